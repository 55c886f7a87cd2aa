"""Penalties on a critic: pure, one value per score, any event shape.

    R1         gamma/2 |grad_x D(x)|^2                at data x       (Mescheder et al. 2018, eq. 9)
    R2         gamma/2 |grad_y D(y)|^2                at samples y
    GP         lambda (|grad D(u)| - 1)^2             at u = t x + (1 - t) y, t ~ U(0, 1) (Gulrajani et al. 2017, eq. 3)
    one-sided  lambda max(0, |grad D(u)| - 1)^2       (Petzka et al. 2018, eq. 8)
    DRAGAN     lambda (|grad D(x + e)| - 1)^2         e ~ N(0, (s/2)^2), s the deviation of the data's entries
                                                      (Kodali et al. 2017, algorithm 1)
    LeCam      lambda (|D(x) - b|^2 + |D(y) - a|^2)   a, b: moving averages of D(x), D(y) (Tseng et al. 2021, eq. 5)

The norm is over all dimensions of what one score is given for: of a row, or of all the rows of a pack, which also share
one t. For a linear critic D(x) = w.x, R1 = gamma/2 |w|^2 and GP = lambda (|w| - 1)^2, whatever the shape. A critic must
score each row (or pack) by itself: the gradient of the summed scores is then the gradient of each one's own.
"""

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor

from .draw import Draw
from .kinks import RectifiersAsProducts

Critic = Callable[[Tensor], Tensor]


def squared_norm(gradient: Float[Tensor, "n *event"], pack: int = 1) -> Float[Tensor, " packs"]:
    """|g_i|^2 for every row i, or for every `pack` consecutive rows together."""
    found: Tensor = gradient.flatten(1).square().sum(1)
    return found if pack == 1 else found.unflatten(0, (-1, pack)).sum(1)


def _gradient(scores: Tensor, x: Tensor) -> Tensor:
    return torch.autograd.grad(scores.sum(), x, create_graph=True)[0]


def r1(critic: Critic, x: Float[Tensor, "n *event"], gamma: float) -> Float[Tensor, " packs"]:
    """gamma/2 |grad_x D(x)|^2 for every score of the data `x`."""
    x = x.detach().requires_grad_()
    scores = critic(x)
    return gamma / 2 * squared_norm(_gradient(scores, x), len(x) // len(scores))


def r2(critic: Critic, y: Float[Tensor, "n *event"], gamma: float) -> Float[Tensor, " packs"]:
    """gamma/2 |grad_y D(y)|^2 for every score of the samples `y`."""
    return r1(critic, y, gamma)


def between(
    x: Float[Tensor, "n *event"], y: Float[Tensor, "n *event"], draw: Draw, pack: int = 1
) -> Float[Tensor, "n *event"]:
    """t x + (1 - t) y with one t ~ U(0, 1) for each row, or for each `pack` consecutive rows."""
    t = draw.uniform(len(x) // pack, *[1] * (x.dim() - 1)).to(x.dtype)
    return torch.lerp(y, x, t if pack == 1 else t.repeat_interleave(pack, 0))


def unit_slope(
    critic: Critic, u: Float[Tensor, "n *event"], weight: float, *, one_sided: bool = False
) -> Float[Tensor, " packs"]:
    """weight (|grad D(u)| - 1)^2 for every score of `u`; `one_sided` charges only norms above 1."""
    u = u.detach().requires_grad_()
    with RectifiersAsProducts():
        scores = critic(u)
    # the tiny constant keeps the square root's gradient finite where the critic is flat
    excess = (squared_norm(_gradient(scores, u), len(u) // len(scores)) + 1e-20).sqrt() - 1
    return weight * (excess.clamp_min(0) if one_sided else excess).square()


def gradient_penalty(
    critic: Critic,
    x: Float[Tensor, "n *event"],
    y: Float[Tensor, "n *event"],
    weight: float,
    *,
    draw: Draw,
    one_sided: bool = False,
    pack: int = 1,
) -> Float[Tensor, " packs"]:
    """weight (|grad D(u)| - 1)^2 at one u between `x` and `y` for each row, or for each `pack` consecutive ones."""
    return unit_slope(critic, between(x, y, draw, pack), weight, one_sided=one_sided)


def dragan(
    critic: Critic, x: Float[Tensor, "n *event"], weight: float, *, draw: Draw, spread: float = 0.5
) -> Float[Tensor, " packs"]:
    """weight (|grad D(u)| - 1)^2 at u = x + spread s e, e ~ N(0, 1), s the deviation of all entries of the batch."""
    deviation = draw.gather(x.detach()).std(correction=0)
    noise = draw.normal(len(x), *x.shape[1:]).to(x.dtype)
    return unit_slope(critic, x + spread * deviation * noise, weight)


def lecam(
    a: Float[Tensor, " n"],
    b: Float[Tensor, " n"],
    data: Float[Tensor, ""],
    samples: Float[Tensor, ""],
    weight: float,
) -> Float[Tensor, " n"]:
    """weight (|a - samples|^2 + |b - data|^2): scores of each side are held to the other side's moving average."""
    return weight * ((a - samples).square() + (b - data).square())
