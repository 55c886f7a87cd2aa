"""Optimal transport on the line, where sorting solves it: costs, every relabelling, and dual potentials.

With quantile functions F^-1 and G^-1 of two weighted samples,

    W_p^p = int_0^1 |F^-1(u) - G^-1(u)|^p du        (p >= 1),        W_1 = int |F(z) - G(z)| dz.

Both quantile functions are steps, so the integral is a finite sum over the merged levels: exact for any n and m, with
no interpolation. Sorting the pooled rows once serves all relabellings: those that play x, taken in pooled order, are
sorted already. Everything is summed in float64. Cost: (n+m) log(n+m), then n+m a relabelling.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import final

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from pushforward.errors import InputError
from pushforward.witness import Estimate, Tag, Witness

_AT_ONCE = 1 << 20  # numbers in a working array
_KNOTS = 10_000  # a witness keeps at most so many points of each line


@final
@dataclass(frozen=True, eq=False)
class Levels:
    """The merged steps of two quantile functions: on a share `width` of [0, 1], they are x_(`i`) and y_(`j`); `(L,)`
    each, in order.
    """

    i: Tensor
    j: Tensor
    width: Tensor


def even_levels(n: int, m: int, like: Tensor) -> Levels:
    """The steps of n and m rows of equal weight, found in integers."""
    if n == m:
        every = torch.arange(n, device=like.device)
        return Levels(every, every, torch.full((n,), 1.0 / n, dtype=torch.float64, device=like.device))
    ends_x, ends_y = (torch.arange(1, k + 1, device=like.device) * other for k, other in ((n, m), (m, n)))
    ends = torch.unique(torch.cat([ends_x, ends_y]))
    width = torch.diff(ends, prepend=ends.new_zeros(1)).double() / (n * m)
    return Levels((ends - 1) // m, (ends - 1) // n, width)


def weighted_levels(a: Float[Tensor, " n"], b: Float[Tensor, " m"]) -> Levels:
    """The steps of rows of weights `a` and `b` (in the order of the sorted rows, each of sum 1)."""
    ends_x, ends_y = a.cumsum(0), b.cumsum(0)
    ends = torch.cat([ends_x, ends_y]).sort().values
    width = torch.diff(ends, prepend=ends.new_zeros(1))
    middle = ends - 0.5 * width
    i, j = torch.searchsorted(ends_x, middle), torch.searchsorted(ends_y, middle)
    return Levels(i.clamp_max(len(a) - 1), j.clamp_max(len(b) - 1), width)


def powers(x: Float[Tensor, "*k n"], y: Float[Tensor, "*k m"], p: float, levels: Levels) -> Float[Tensor, "*k"]:
    """W_p^p of rows sorted along the last axis, for every leading index."""
    gaps = (x.double()[..., levels.i] - y.double()[..., levels.j]).abs()
    return (gaps if p == 1.0 else gaps**p) @ levels.width


def null_powers(
    z: Float[Tensor, " N"], members: Bool[Tensor, "B N"], n: int, p: float, levels: Levels
) -> Float[Tensor, " B"]:
    """W_p^p under each relabelling: `z` is sorted, and row b of `members` marks which of it play x, n of them."""
    z, m = z.double(), len(z) - n
    if p == 1.0:
        steps, rank = torch.diff(z), torch.arange(1, n + m, device=z.device, dtype=torch.float64)
    found = []
    for part in members.split(max(1, _AT_ONCE // len(z))):
        if p == 1.0:  # F - G = c/n - (k - c)/m, c of the first k rows playing x
            ahead = part[:, :-1].cumsum(1, dtype=torch.float64).mul_(1.0 / n + 1.0 / m).sub_(rank / m)
            found.append(ahead.abs_() @ steps)
        else:
            chosen, others = (z[side.nonzero()[:, 1]].reshape(len(part), -1) for side in (part, ~part))
            found.append(powers(chosen, others, p, levels))
    return torch.cat(found)


def potentials(
    x: Float[Tensor, " n"], y: Float[Tensor, " m"], p: float, levels: Levels
) -> tuple[Float[Tensor, " n"], Float[Tensor, " m"]]:
    """An optimal dual (u, v) of the sorted rows: u_i + v_j <= |x_i - y_j|^p, equal where the plan has mass.

    The plan's mass lies on the staircase of `levels`; along it u and v are the sums of the cost's own steps. Where a
    stair goes up and across at once there are two ways round it, and their mean is taken. Rows of no weight get 0.
    """
    a, b = x.double()[levels.i], y.double()[levels.j]
    both, first, second = (a - b).abs() ** p, (a[1:] - b[:-1]).abs() ** p, (a[:-1] - b[1:]).abs() ** p
    up = 0.5 * ((first - both[:-1]) + (both[1:] - second))  # x moves first, y moves first
    along_x = torch.cat([both[:1], up]).cumsum(0)
    u, v = x.new_zeros(len(x), dtype=torch.float64), y.new_zeros(len(y), dtype=torch.float64)
    u[levels.i], v[levels.j] = along_x, both - along_x
    return u, v


def root(total: Float[Tensor, ""], p: float) -> Float[Tensor, ""]:
    """total^(1/p), with gradient 0 instead of infinity at 0."""
    if p == 1.0:
        return total
    positive = total > 0.0
    return torch.where(positive, torch.where(positive, total, 1.0) ** (1.0 / p), 0.0)


def root_estimate(total: float, variance: float, p: float, level: float) -> Estimate:
    """The estimate of W_p from W_p^p = `total` and the variance of that: the normal interval of W_p^p through the root.

    `stderr` is by the delta method. At 0, where the two samples are equal, nothing is known of the spread: NaN.
    """
    if total <= 0.0:
        return Estimate(0.0, math.nan, math.nan, math.nan, level)
    e = Estimate.normal(total, math.sqrt(variance), level)
    value = total ** (1.0 / p)
    low, high = (max(0.0, end) ** (1.0 / p) for end in (e.low, e.high))
    return Estimate(value, e.stderr * value / (p * total), low, high, level)


def check_order(p: float) -> float:
    """`p` itself; `InputError` below 1 or where it is not finite."""
    if not 1.0 <= p < math.inf:
        raise InputError(f"the order p of a Wasserstein distance must be at least 1 and finite, not {p}")
    return float(p)


def line_witness(
    x: Float[Tensor, "n d"], y: Float[Tensor, "m d"], directions: Float[Tensor, "k d"], p: float
) -> Witness:
    """The witness of the mean over `directions` of W_p^p between the projected rows: the mean of their potentials.

    On each line phi and psi interpolate the dual between the rows (10,000 of them at most), and are constant beyond.
    For p = 1 both are the one function with slope sign(G - F), 1-Lipschitz and so certified; for p > 1 the dual's
    inequality is kept at the rows alone. Tight where every row is a knot.
    """
    tags: set[Tag] = {"differentiable"} if p > 1.0 else {"differentiable", "certified"}
    if (len(x) + len(y) if p == 1.0 else max(len(x), len(y))) <= _KNOTS:
        tags.add("tight")
    levels = even_levels(len(x), len(y), x)
    lines = [_line_knots(x @ direction, y @ direction, p, levels) for direction in directions]
    data, fake = ([torch.stack(part) for part in zip(*side, strict=True)] for side in zip(*lines, strict=True))
    phi, psi = _interpolation(directions, data[0], data[1]), _interpolation(directions, fake[0], fake[1])
    return Witness(phi=phi, psi=psi, tags=frozenset(tags))


def _line_knots(x: Tensor, y: Tensor, p: float, levels: Levels) -> tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]]:
    """Knots and values of phi, and of psi, for the rows of one line."""
    n, m = len(x), len(y)
    if p == 1.0:
        z, order = torch.cat([x, y]).double().sort()
        ahead = (order < n).cumsum(0)[:-1]
        rank = torch.arange(1, n + m, device=x.device)
        slope = torch.sign((rank - ahead) * n - ahead * m)  # of G - F, in integers
        values = torch.cat([z.new_zeros(1), (slope * torch.diff(z)).cumsum(0)])
        one = _thin(z), _thin(values)
        return one, one
    x, y = x.double().sort().values, y.double().sort().values
    u, v = potentials(x, y, p, levels)
    return (_thin(x), _thin(u)), (_thin(y), _thin(-v))


def _thin(values: Tensor) -> Tensor:
    count = len(values)
    if count <= _KNOTS:
        return values
    return values[torch.linspace(0, count - 1, _KNOTS, device=values.device, dtype=torch.float64).round().long()]


def _interpolation(directions: Tensor, knots: Tensor, values: Tensor) -> Callable[[Tensor], Tensor]:
    """rows -> the mean over the lines of the piecewise linear function through `knots`, `values` `(k, K)`."""

    def one(rows: Tensor) -> Tensor:
        t = (rows @ directions.to(rows).T).T.contiguous()
        x, v = knots.to(t), values.to(t)
        right = torch.searchsorted(x, t.detach()).clamp(1, x.shape[1] - 1)
        (x0, x1), (v0, v1) = ((a.gather(1, right - 1), a.gather(1, right)) for a in (x, v))
        share = ((t - x0) / torch.where(x1 > x0, x1 - x0, 1.0)).clamp(0.0, 1.0)
        return (v0 + share * (v1 - v0)).mean(0)

    def score(rows: Tensor) -> Tensor:
        flat = rows.flatten(1) if rows.is_floating_point() else rows.flatten(1).double()
        return torch.cat([one(part) for part in flat.split(max(1, _AT_ONCE // len(directions)))])

    return score


def direction_blocks(directions: Float[Tensor, "k d"], rows: int) -> Iterator[Tensor]:
    """`directions` a few at a time, so that their projections of so many rows stay within a working array."""
    yield from directions.split(max(1, 4 * _AT_ONCE // rows))
