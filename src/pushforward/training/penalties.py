"""Gradient penalties on a critic: pure, per sample, any event shape.

    R1   gamma/2 |grad_x D(x)|^2                    at data x       (Mescheder et al. 2018, eq. 9)
    R2   gamma/2 |grad_y D(y)|^2                    at samples y
    GP   lambda (|grad D(u)| - 1)^2                 at u = t x + (1 - t) y, t ~ U(0, 1) (Gulrajani et al. 2017, eq. 3)
    one-sided GP   lambda max(0, |grad D(u)| - 1)^2 (Petzka et al. 2018)

Every function returns one value per row `(n,)`; the norm is over all dimensions but the first, and t is drawn once per
row. For a linear critic D(x) = w.x, R1 = gamma/2 |w|^2 and GP = lambda (|w| - 1)^2, whatever the shape.
A critic must score each row by itself: the gradient of the summed scores is then the gradient of each row's own.
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType

import torch
from jaxtyping import Float
from torch import Tensor

from ..errors import InputError

Critic = Callable[[Tensor], Tensor]

# (critic, x, y, scores of x, scores of y, weight, generator) -> (n,). x and y require gradients and the scores come
# from them, so that a penalty at x and y needs no second forward pass.
Penalty = Callable[[Critic, Tensor, Tensor, Tensor, Tensor, float, torch.Generator], Tensor]


def squared_norm(gradient: Float[Tensor, "n *event"]) -> Float[Tensor, " n"]:
    """|g_i|^2 for every row i."""
    return gradient.flatten(1).square().sum(1)


def _gradient(scores: Tensor, x: Tensor) -> Tensor:
    return torch.autograd.grad(scores.sum(), x, create_graph=True)[0]


def r1(critic: Critic, x: Float[Tensor, "n *event"], gamma: float) -> Float[Tensor, " n"]:
    """gamma/2 |grad_x D(x)|^2 for every row of the data `x`."""
    x = x.detach().requires_grad_()
    return gamma / 2 * squared_norm(_gradient(critic(x), x))


def r2(critic: Critic, y: Float[Tensor, "n *event"], gamma: float) -> Float[Tensor, " n"]:
    """gamma/2 |grad_y D(y)|^2 for every row of the samples `y`."""
    return r1(critic, y, gamma)


def between(
    x: Float[Tensor, "n *event"], y: Float[Tensor, "n *event"], generator: torch.Generator
) -> Float[Tensor, "n *event"]:
    """t x + (1 - t) y with one t ~ U(0, 1) for each row."""
    t = torch.rand(len(x), *[1] * (x.dim() - 1), generator=generator, device=x.device, dtype=x.dtype)
    return torch.lerp(y, x, t)


def gradient_penalty(
    critic: Critic,
    x: Float[Tensor, "n *event"],
    y: Float[Tensor, "n *event"],
    weight: float,
    *,
    generator: torch.Generator,
    one_sided: bool = False,
) -> Float[Tensor, " n"]:
    """weight (|grad D(u)| - 1)^2 at one u per row between `x` and `y`; `one_sided` charges only norms above 1."""
    u = between(x.detach(), y.detach(), generator).requires_grad_()
    # the tiny constant keeps the square root's gradient finite where the critic is flat
    excess = (squared_norm(_gradient(critic(u), u)) + 1e-20).sqrt() - 1
    return weight * (excess.clamp_min(0) if one_sided else excess).square()


def _r1r2(critic: Critic, x: Tensor, y: Tensor, a: Tensor, b: Tensor, weight: float, _: torch.Generator) -> Tensor:
    at_x, at_y = torch.autograd.grad(a.sum() + b.sum(), (x, y), create_graph=True)
    return weight / 2 * (squared_norm(at_x) + squared_norm(at_y))


def _r1(critic: Critic, x: Tensor, y: Tensor, a: Tensor, b: Tensor, weight: float, _: torch.Generator) -> Tensor:
    return weight / 2 * squared_norm(_gradient(a, x))


def _gp(critic: Critic, x: Tensor, y: Tensor, a: Tensor, b: Tensor, weight: float, rng: torch.Generator) -> Tensor:
    return gradient_penalty(critic, x, y, weight, generator=rng)


def _gp_one_sided(
    critic: Critic, x: Tensor, y: Tensor, a: Tensor, b: Tensor, weight: float, rng: torch.Generator
) -> Tensor:
    return gradient_penalty(critic, x, y, weight, generator=rng, one_sided=True)


def _none(critic: Critic, x: Tensor, y: Tensor, a: Tensor, b: Tensor, weight: float, _: torch.Generator) -> Tensor:
    return torch.zeros_like(a)


PENALTIES: Mapping[str, Penalty] = MappingProxyType(
    {"r1+r2": _r1r2, "r1": _r1, "gp": _gp, "gp-one-sided": _gp_one_sided, "none": _none}
)


def penalty(name: str) -> Penalty:
    """The penalty of that name; an unknown name raises `InputError` with the known ones."""
    try:
        return PENALTIES[name]
    except KeyError:
        raise InputError(f"unknown penalty {name!r}; choose one of {', '.join(PENALTIES)}") from None
