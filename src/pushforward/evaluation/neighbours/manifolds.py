"""Precision, recall, density, coverage and their clipped forms: is FAKE where REAL is, and is all of REAL there?

About each row lies a ball that reaches its k-th nearest neighbour in its own set: B(x_i) for n reals, B(y_j) for m
fakes.

    precision         share of fakes in some B(x_i)                       recall    share of reals in some B(y_j)
    density           mean over fakes of #{i: y_j in B(x_i)} / k          coverage  share of reals with a fake in B(x_i)
    clipped density   mean_j min(1, hits_j / k) over the same of the reals among themselves, in balls no larger than
                      their median, at most 1
    clipped coverage  g(mean_i min(k, fakes in B(x_i)) / k), at most 1

(Kynkaanniemi et al. 2019, eq. 1-2; Naeem et al. 2020, eq. 5-6; Salvy et al. 2025, arXiv 2507.01761.) If both sets are
of one continuous distribution, in any dimension, the Q-mass of a ball is Beta(k, n - k), so that

    E density = 1,        E coverage = 1 - prod_{i=1..k} (n - i)/(n + m - i),

and the fakes in a ball are beta-binomial. g inverts f(M) = E min(k, BetaBinomial(M; k, n - k)) / k, the mean that M
good fakes would give, and reads off the share M/m (between the whole M by lines): both clipped figures fall in a
straight line as good rows are replaced by bad ones. `expected_coverage` is the second formula.

Ties. Rows of tables repeat, and balls then reach several rows, or have no radius. Ties are broken at random, and every
figure is its expectation over that: of T rows on a ball's surface of which `a` are among its k nearest, a point there
is inside with probability a/(T + 1). This keeps both formulas exact for every distribution, and is the plain definition
where nothing ties. (A strict `<` gives density 0 to equal points; `<=` gives far more than 1.) The clipped density
takes closed balls, as its authors do, for reals and fakes alike.

Intervals. The figure aimed at is the expectation of the estimate at these n, m, k, over both sets: what other samples
of these sizes would give on average (for the clipped ones, before they are cut at 1 or go through g). Such figures sum
contributions of neighbourhoods, for which neither independence of the rows nor a bootstrap holds (Abadie and Imbens
2008). The rows are cut at random into `GROUPS` disjoint parts; the variance between the parts' figures over that of
independent contributions within them is the design effect of neighbourhoods, and with it the rows of the whole set
count as so many fewer. Wilson's form keeps shares within [0, 1]; Student's quantile pays for the few parts. Simulated
in docs/benchmarks/neighbours.md.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ...errors import InputError
from ...witness import Estimate
from ..intervals import wilson
from .search import Found, check_k, close_pairs, features, nearest

Array = NDArray[np.float64]
GROUPS = 8
CUTS = 2  # times that the rows are cut into groups: steadies the estimate of the design effect
NAMES = ("precision", "recall", "density", "coverage", "clipped_density", "clipped_coverage")


@final
@dataclass(frozen=True)
class NeighbourScores:
    """Six figures of `n` real and `m` fake rows with neighbourhoods of `k`; `expected_coverage` is that of a perfect
    generator, for which the density is 1."""

    precision: Estimate
    recall: Estimate
    density: Estimate
    coverage: Estimate
    clipped_density: Estimate
    clipped_coverage: Estimate
    expected_coverage: float
    k: int
    n: int
    m: int


def neighbour_scores(
    *,
    real: Tensor,
    fake: Tensor,
    k: int = 5,
    level: float = 0.95,
    generator: torch.Generator | None = None,
    intervals: bool = True,
) -> NeighbourScores:
    """All six figures of features `real` `(n, d)`, `fake` `(m, d)` in one pass, with intervals as in the module's text.

    `generator` (on the CPU; None: seed 0) cuts the rows into groups. With fewer than 12 k rows on a side, or without
    `intervals` (half of the work), there is no standard error (NaN), and the interval is all that the figure can be.
    `InputError` for sets that do not fit each other, for values that are not numbers, and unless k < min(n, m).
    """
    x, y = features(real=real, fake=fake)
    check_k(k, real=len(x), fake=len(y))
    whole = _Rows.of(x, y, k)
    effects = _design_effects(x, y, k, generator or torch.Generator().manual_seed(0)) if intervals else None
    found = {}
    for name, rows in whole.each().items():
        limit = math.inf if name in ("density", "clipped_density") else 1.0
        found[name] = _interval(rows, None if effects is None else effects[name], limit=limit, level=level)
    found["clipped_density"] = _ends(found["clipped_density"], lambda v: min(v, 1.0))
    curve = _coverage_curve(len(x), len(y), k)
    found["clipped_coverage"] = _ends(found["clipped_coverage"], lambda v: _share_of_good(v, curve))
    return NeighbourScores(**found, expected_coverage=expected_coverage(len(x), len(y), k), k=k, n=len(x), m=len(y))


def precision_recall(
    *, real: Tensor, fake: Tensor, k: int = 5, level: float = 0.95, generator: torch.Generator | None = None
) -> tuple[Estimate, Estimate]:
    """(precision, recall) of Kynkaanniemi et al. (2019); as `neighbour_scores`, which gives all at the same price."""
    found = neighbour_scores(real=real, fake=fake, k=k, level=level, generator=generator)
    return found.precision, found.recall


def density_coverage(
    *, real: Tensor, fake: Tensor, k: int = 5, level: float = 0.95, generator: torch.Generator | None = None
) -> tuple[Estimate, Estimate]:
    """(density, coverage) of Naeem et al. (2020); as `neighbour_scores`, which gives all at the same price."""
    found = neighbour_scores(real=real, fake=fake, k=k, level=level, generator=generator)
    return found.density, found.coverage


def expected_coverage(n: int, m: int, k: int) -> float:
    """Coverage of n reals by m fakes of their distribution, in any dimension: 1 - prod_{i=1..k} (n - i)/(n + m - i)."""
    return 1.0 - math.prod((n - i) / (n + m - i) for i in range(1, k + 1))


@final
@dataclass(frozen=True, eq=False)
class _Rows:
    """What each row contributes: each figure is the mean of its tensor, of the fakes `(m,)` or of the reals `(n,)`."""

    precision: Tensor
    recall: Tensor
    density: Tensor
    coverage: Tensor
    clipped_density: Tensor
    clipped_coverage: Tensor

    @classmethod
    def of(cls, real: Tensor, fake: Tensor, k: int) -> _Rows:
        n, m = len(real), len(fake)
        inner, outer = _radii(real, k), _radii(fake, k)
        clip = inner.square.clamp(max=_median(inner.square))
        hits, clipped, missed = (real.new_zeros(m) for _ in range(3))  # missed, lost: log of the chance of no ball
        inside, on, lost = (real.new_zeros(n) for _ in range(3))
        for pairs in close_pairs(real, fake, reach_x=inner.square, reach_y=outer.square):
            i, j, square = pairs.i, pairs.j, pairs.square
            chance = _chance(square, inner.square[i], inner.surface[i])
            hits += torch.bincount(j, chance, m)
            missed += torch.bincount(j, torch.log1p(-chance), m)
            clipped += torch.bincount(j[square <= clip[i]], minlength=m)
            inside += torch.bincount(i[square < inner.square[i]], minlength=n)
            on += torch.bincount(i[square == inner.square[i]], minlength=n)
            lost += torch.bincount(i, torch.log1p(-_chance(square, outer.square[j], outer.surface[j])), n)
        known = inner.found
        mine = torch.bincount(known.index[known.square <= clip[:, None]], minlength=n).double()
        best = (mine / k).clamp(max=1.0).mean()
        if float(best) == 0:
            raise InputError(f"real: no row lies in a ball of k = {k} neighbours; raise k")
        return cls(
            precision=-torch.expm1(missed),
            recall=-torch.expm1(lost),
            density=hits / k,
            coverage=torch.where(inside > 0, 1.0, 1.0 - _none_on_surface(inner, on)),
            clipped_density=(clipped / k).clamp(max=1.0) / best,
            clipped_coverage=((inside + on * inner.surface) / k).clamp(max=1.0),
        )

    def each(self) -> dict[str, Tensor]:
        return {name: getattr(self, name) for name in NAMES}


@final
@dataclass(frozen=True, eq=False)
class _Radii:
    """The balls about rows `(n,)`: `square` radii; of the `there` rows on a surface `wanted` are among the k nearest,
    so that a point there is inside with probability `surface`."""

    square: Tensor
    surface: Tensor
    wanted: Tensor
    there: Tensor
    found: Found


def _radii(rows: Tensor, k: int) -> _Radii:
    near = nearest(queries=rows, rows=rows, k=min(k + 1, len(rows) - 1), own=True)
    square = near.square
    edge = square[:, k - 1]
    wanted = k - (square[:, :k] < edge[:, None]).sum(1).double()
    there = (square == edge[:, None]).sum(1).double()
    tied = (square[:, -1] == edge).nonzero()[:, 0]
    if square.shape[1] > k and len(tied):  # more may lie there than were looked for
        there[tied] = -(edge[tied] == 0).double()  # at radius 0 a row meets itself
        for pairs in close_pairs(rows[tied], rows, reach_x=edge[tied]):
            on = pairs.square == edge[tied][pairs.i]
            there[tied] += torch.bincount(pairs.i[on], minlength=len(tied))
    found = Found(near.index[:, :k], square[:, :k])
    return _Radii(edge, wanted / (there + 1.0), wanted, there, found)


def _median(square: Tensor) -> float:
    """The squared median of distances; exactly one of their squares where the middle ones are equal."""
    middle = square.sort().values
    low, high = float(middle[(len(square) - 1) // 2]), float(middle[len(square) // 2])
    return low if low == high else (math.sqrt(low) + math.sqrt(high)) ** 2 / 4


def _chance(square: Tensor, edge: Tensor, surface: Tensor) -> Tensor:
    """That a point at this squared distance lies in the ball."""
    return torch.where(square < edge, 1.0, torch.where(square == edge, surface, 0.0))


def _none_on_surface(balls: _Radii, on: Tensor) -> Tensor:
    """That none of `on` fakes on a surface comes before the last real wanted there: prod (T+1-l)/(T+on+1-l), l <= a."""
    t, a = balls.there + 1.0, balls.wanted
    log = torch.lgamma(t) - torch.lgamma(t - a) - torch.lgamma(t + on) + torch.lgamma(t + on - a)
    return torch.where(on > 0, log.exp(), 1.0)


def _design_effects(x: Tensor, y: Tensor, k: int, generator: torch.Generator) -> dict[str, float] | None:
    """Variance between the figures of disjoint groups over what independent contributions would show."""
    groups = min(GROUPS, len(x) // (4 * k), len(y) // (4 * k))
    if groups < 3:
        return None
    between, within = dict.fromkeys(NAMES, 0.0), dict.fromkeys(NAMES, 0.0)
    for _ in range(CUTS):
        cut_x, cut_y = (torch.randperm(len(z), generator=generator).to(z.device).chunk(groups) for z in (x, y))
        parts = [_Rows.of(x[i], y[j], k).each() for i, j in zip(cut_x, cut_y, strict=True)]
        for name in NAMES:
            between[name] += float(torch.stack([part[name].mean() for part in parts]).var())
            within[name] += float(sum(part[name].var(correction=0) / len(part[name]) for part in parts)) / groups
    return {name: max(0.5, between[name] / within[name]) if within[name] > 0 else 1.0 for name in NAMES}


def _interval(rows: Tensor, effect: float | None, *, limit: float, level: float) -> Estimate:
    """The mean of `rows` with its interval: Wilson's for shares, on the scale of logarithms if there is no `limit`."""
    value, count = float(rows.mean()), len(rows)
    if effect is None:
        return Estimate(value, math.nan, 0.0, limit, level)
    from scipy.stats import norm, t

    stderr = math.sqrt(effect * float(rows.var(correction=0)) / count)
    quantile = float(t.ppf(0.5 + level / 2, GROUPS - 1))
    share = 2 * float(norm.cdf(quantile)) - 1  # the level at which the normal quantile is Student's
    if limit == 1.0 or value == 0:
        worth = value * (1 - value) / stderr**2 if stderr > 0 else count / effect
        low, high = wilson(value, worth, share)
        return Estimate(value, stderr, low, high, level)
    factor = math.exp(quantile * stderr / value)
    return Estimate(value, stderr, value / factor, value * factor, level)


def _ends(found: Estimate, change: Callable[[float], float]) -> Estimate:
    """Value and ends through a rising function; the standard error by its mean slope over the interval."""
    value, low, high = change(found.value), change(found.low), change(found.high)
    slope = (high - low) / (found.high - found.low) if found.low < found.high < math.inf else 1.0
    return Estimate(value, slope * found.stderr, low, high, found.level)


def _coverage_curve(n: int, m: int, k: int) -> Array:
    """f(M), M = 0..m: sum_{t<k} P(BetaBinomial(M; k, n - k) > t) / k."""
    good = np.arange(m + 1.0)
    i = np.arange(1, k + 1)[:, None]
    mass = np.exp(np.log((n - i) / (n + good - i)).sum(0))  # P(0)
    below, total = mass.copy(), np.zeros(m + 1)
    for t in range(k):
        total += 1.0 - below
        mass = mass * np.clip(good - t, 0, None) * (k + t) / ((t + 1) * np.maximum(n - k + good - t - 1, 1))
        below += mass
    return total / k


def _share_of_good(mean: float, curve: Array) -> float:
    """g: the share of good fakes at which the curve has this height; 1 above its end."""
    return float(np.interp(mean, curve, np.linspace(0.0, 1.0, len(curve))))
