"""Flow matching: straight paths from noise to data, the velocity that moves one into the other, and ODEs.

    x_t = (1 - t) x_0 + t x_1,   x_0 ~ N(0, I),  x_1 data;      u(x, t) = E[x_1 - x_0 | x_t = x]

is what |v(x_t, t) - (x_1 - x_0)|^2 is least at (Lipman et al. 2023, theorem 2), and dx/dt = u moves N(0, I) into the
data's law. Where x_0 and x_1 are drawn independently, the score of x_t is

    grad ln p_t(x) = (t u(x, t) - x) / (1 - t).

`coupled` pairs a batch's noise and data by optimal transport instead (Pooladian et al. 2023; Tong et al. 2024): the
paths are shorter and cross less; u is then no longer a score.

In the terms of `noise_levels`, t = cos a / (cos a + sin a), y = x_t / ((1-t)^2 + t^2)^(1/2), and with one network F

    u = (cos a - sin a) y + (cos a + sin a) F(y, a).

Along an ODE dx/dt = v(x, t), d ln p(x_t) / dt = -div v (Chen et al. 2018, theorem 1).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise

import torch
from jaxtyping import Float
from torch import Tensor

from .noise_levels import over

Velocity = Callable[[Tensor, float], Tensor]
"""(rows `(n, *event)`, time) -> `(n, *event)`."""

COUPLINGS = ("independent", "ot")
FEW = 64  # numbers in a row up to which a divergence is exact; beyond, it is estimated
PROBES = 4  # of an estimated one


# ---- flow matching


def between(x_0: Tensor, x_1: Tensor, t: Float[Tensor, " n"]) -> Tensor:
    """x_t = (1 - t) x_0 + t x_1."""
    return torch.lerp(x_0, x_1, over(t, x_0))


def flow_matching_loss(
    velocity: Callable[[Tensor, Tensor], Tensor],
    x_0: Float[Tensor, n * event],
    x_1: Float[Tensor, n * event],
    t: Float[Tensor, " n"],
) -> Float[Tensor, " n"]:
    """|v(x_t, t) - (x_1 - x_0)|^2, summed over a row's numbers (Lipman et al. 2023, eq. 9 for straight paths)."""
    return (velocity(between(x_0, x_1, t), t) - (x_1 - x_0)).flatten(1).square().sum(1)


def score_of_velocity(velocity: Tensor, x: Tensor, t: Float[Tensor, " n"]) -> Tensor:
    """(t u - x) / (1 - t): the score of x_t, where noise and data are independent."""
    t = over(t, x)
    return (t * velocity - x) / (1 - t)


def velocity_of_score(score: Tensor, x: Tensor, t: Float[Tensor, " n"]) -> Tensor:
    """(x + (1 - t) s) / t: the inverse of `score_of_velocity`."""
    t = over(t, x)
    return (x + (1 - t) * score) / t


def coupled(x_0: Float[Tensor, n * event], x_1: Float[Tensor, n * event], coupling: str) -> Tensor:
    """x_0 in the order in which its rows belong to those of x_1.

    independent: as they are. ot: the assignment of least mean |x_1 - x_0|^2, by the Hungarian method on the CPU
    (scipy), whose cost grows as n^3: about .1 s for 512 rows.
    """
    if coupling == "independent":
        return x_0
    from scipy.optimize import linear_sum_assignment

    with torch.no_grad():
        a, b = x_1.flatten(1).float(), x_0.flatten(1).float()
        cost = b.square().sum(1) - 2 * a @ b.T  # |a|^2 changes no assignment
        _, columns = linear_sum_assignment(cost.cpu().numpy())
    return x_0[torch.from_numpy(columns).to(x_0.device)]


# ---- ODEs


def integrate(velocity: Velocity, x: Float[Tensor, n * event], times: Sequence[float], *, method: str) -> Tensor:
    """x moved along dx/dt = v(x, t) from times[0] to times[-1], a step between each two; `method`: heun or rk4."""
    step = METHODS[method]
    for now, then in pairwise(times):
        x = x + step(velocity, x, now, then)
    return x


def _heun(v: Velocity, x: Tensor, now: float, then: float) -> Tensor:
    h = then - now
    first = v(x, now)
    return h / 2 * (first + v(x + h * first, then))


def _rk4(v: Velocity, x: Tensor, now: float, then: float) -> Tensor:
    h, middle = then - now, (now + then) / 2
    first = v(x, now)
    second = v(x + h / 2 * first, middle)
    third = v(x + h / 2 * second, middle)
    return h / 6 * (first + 2 * second + 2 * third + v(x + h * third, then))


METHODS: dict[str, Callable[[Velocity, Tensor, float, float], Tensor]] = {"heun": _heun, "rk4": _rk4}


def integrate_with_density(
    velocity: Velocity,
    x: Float[Tensor, n * event],
    times: Sequence[float],
    *,
    method: str,
    generator: torch.Generator,
) -> tuple[Tensor, Float[Tensor, " n"]]:
    """(x moved, ln p(x moved) - ln p(x)): -div v integrated along the way, by the same steps.

    The divergence is exact in at most `FEW` dimensions, and else an unbiased estimate by `PROBES` random signs that
    stay the same along the way (Hutchinson; Grathwohl et al. 2019, eq. 8), drawn from `generator`.
    """
    shape, d = x.shape, x[0].numel()
    probes = _probes(x, generator) if d > FEW else None

    def joint(state: Tensor, t: float) -> Tensor:
        rows = state[:, :d].reshape(shape)
        moved, divergence = _with_divergence(lambda at: velocity(at, t), rows, probes)
        return torch.cat([moved.flatten(1), -divergence[:, None]], 1)

    state = torch.cat([x.flatten(1), x.new_zeros(len(x), 1)], 1)
    state = integrate(joint, state, times, method=method)
    return state[:, :d].reshape(shape), state[:, d]


def _probes(x: Tensor, generator: torch.Generator) -> Tensor:
    signs = torch.randint(2, (PROBES, *x.shape), generator=generator, device=generator.device)
    return (2 * signs - 1).to(x)


def _with_divergence(v: Callable[[Tensor], Tensor], x: Tensor, probes: Tensor | None) -> tuple[Tensor, Tensor]:
    """v(x) and div v `(n,)`: the sum of e_k . dv/dx e_k over all axes, or the mean of p . dv/dx p over the probes.

    By reverse mode, one pass for each axis or probe: on a small network a quarter of the time of `torch.func.jvp`.
    """
    with torch.enable_grad():
        at = x.detach().requires_grad_()
        moved = v(at)
        if probes is None:
            flat = moved.flatten(1)
            slopes = [
                torch.autograd.grad(flat[:, k].sum(), at, retain_graph=True)[0].flatten(1)[:, k]
                for k in range(flat.shape[1])
            ]
            return moved.detach(), torch.stack(slopes).sum(0)
        slopes = [
            (torch.autograd.grad((moved * probe).sum(), at, retain_graph=True)[0] * probe).flatten(1).sum(1)
            for probe in probes
        ]
        return moved.detach(), torch.stack(slopes).mean(0)
