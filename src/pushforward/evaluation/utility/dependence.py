"""Which pairs of columns go together differently in FAKE, whatever their marginals: a p-value for each pair.

Both columns are cut into bins (a numeric column that has shifted, stretched or bent is first ranked within each set, so
that only how it goes with others is left), and among the cells of their table the odds of a row's being real are
looked at. If the association (every odds ratio) is the same in both sets, these odds are a product of two factors,

    logit P(real | a, b) = r_a + s_b,

whatever the marginals of either set, because a change of a marginal multiplies the odds by a factor of its own.
Pearson's X^2 of this additive fit against the counts is chi-squared with (cells with rows) - (rows + columns - 1)
degrees of freedom, and where it is not additive,

    w^2 = (X^2 - df)/(n + m)

estimates the effect (Cohen's w, 0 to 1), whose interval inverts the noncentral chi-squared. For two numeric columns a
second p-value compares the rank correlations, ranks within each set, with their jackknife errors; the pair's p-value is
twice the smaller. Holm's adjustment runs over the pairs.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import combinations
from typing import final

import numpy as np
from numpy.typing import NDArray
from scipy import special, stats

from ...errors import InputError
from ...readings.adjust import holm
from ..associations import GROUPS, Associations, associations
from ..comparison import P_FLOOR
from ..frames import Frame
from .binning import Codes, binned_columns, own_ranks
from .quality import ks_complement

Array = NDArray[np.float64]

MOST_BINS = 8
ROWS_PER_CELL = 25
MOST_PAIRS = 1225  # fifty columns
LEAST = 2.0
LARGE = 5e4
MOVED = 0.01  # p-value of a column's marginals below which it is ranked within each set
RANK_NOISE = 1.2  # how much at most X^2 grew with estimated ranks, in simulation, strong dependence included


@final
@dataclass(frozen=True)
class PairDependence:
    """One pair: the associations of REAL and FAKE (rank correlation, correlation ratio or Cramer's V, as in
    `associations`), the effect w with its interval, the p-value and its Holm adjustment."""

    names: tuple[str, str]
    real: float
    fake: float
    effect: float
    low: float
    high: float
    pvalue: float
    adjusted: float

    @property
    def sentence(self) -> str:
        return (
            f"{self.names[0]} and {self.names[1]} go together differently (change {self.effect:.2g} of 1; association "
            f"{self.real:.2f} in real rows, {self.fake:.2f} in fake rows)"
        )


def dependence(
    frame: Frame, *, real: Array, fake: Array, seed: int = 0, level: float = 0.95, most_pairs: int = MOST_PAIRS
) -> tuple[PairDependence, ...]:
    """All pairs of columns of `frame` (of more than `most_pairs`, those that go together most in both sets taken as
    one, a choice that knows no labels), the least likely first.

    `real` `(n, p)` and `fake` `(m, p)` are independent rows coded as the frame's. The interval of each effect is at
    `level` divided among the pairs (Bonferroni), so that all hold at once. Columns that never vary are left out.
    """
    if min(len(real), len(fake)) < 4 * GROUPS:
        raise InputError(f"dependence needs at least {4 * GROUPS} rows of each set, not {len(real)} and {len(fake)}")
    small = min(len(real), len(fake))
    bins = int(np.clip(math.isqrt(small // ROWS_PER_CELL), 2, MOST_BINS))
    rng = np.random.default_rng([seed, 253])
    aligned_real, aligned_fake, moved = _aligned(frame, real, fake, rng)
    x, y, sizes = binned_columns(frame, aligned_real, aligned_fake, bins=bins)
    pairs = _closest(np.concatenate([x, y]), [j for j, size in enumerate(sizes) if size > 1], most_pairs)
    of = _association_lookup(frame, real, fake)
    found = []
    for a, b in pairs:
        counts = [_counts(side[:, a], side[:, b], sizes[a], sizes[b]) for side in (x, y)]
        statistic, df = additive_chi_squared(*counts)
        statistic /= RANK_NOISE if moved[a] or moved[b] else 1.0
        ends = effect_interval(statistic, df, len(real) + len(fake), 1 - (1 - level) / len(pairs))
        values, rank_p = of(a, b)
        p = float(stats.chi2.sf(statistic, df)) if df else 1.0
        if rank_p is not None:
            p = min(1.0, 2 * min(p, rank_p))
        found.append(PairDependence((frame.names[a], frame.names[b]), *values, *ends, max(P_FLOOR, p), 1.0))
    adjusted = holm(np.array([pair.pvalue for pair in found]))
    done = [replace(pair, adjusted=float(q)) for pair, q in zip(found, adjusted, strict=True)]
    return tuple(sorted(done, key=lambda pair: (pair.adjusted, -pair.effect)))


def _closest(codes: Codes, varied: list[int], most: int) -> list[tuple[int, int]]:
    """The pairs of columns `varied`, at most `most`: those whose bins correlate most over all rows."""
    pairs = list(combinations(varied, 2))
    if len(pairs) <= most:
        return pairs
    size = np.abs(np.corrcoef(codes[:, varied].T.astype(np.float64)))
    order = np.argsort(-size[np.triu_indices(len(varied), 1)], kind="stable")[:most]
    return [pairs[k] for k in np.sort(order)]


def _aligned(frame: Frame, real: Array, fake: Array, rng: np.random.Generator) -> tuple[Array, Array, list[bool]]:
    """Both sets with numeric columns whose marginals plainly differ as ranks within each set, and which those are."""
    x, y, moved = real.copy(), fake.copy(), [False] * len(frame.kinds)
    for j, kind in enumerate(frame.kinds):
        if kind != "category" and _moved(real[:, j], fake[:, j]):
            x[:, j], y[:, j], moved[j] = own_ranks(real[:, j], rng), own_ranks(fake[:, j], rng), True
    return x, y, moved


def _moved(x: Array, y: Array) -> bool:
    """Whether two columns plainly differ: Kolmogorov and Smirnov's test in the limit of many rows."""
    n, m = int(np.isfinite(x).sum()), int(np.isfinite(y).sum())
    if not n or not m:
        return False
    distance = 1 - ks_complement(real=x, fake=y)
    return bool(special.kolmogorov(distance * math.sqrt(n * m / (n + m))) < MOVED)


def _counts(a: Codes, b: Codes, rows: int, columns: int) -> Array:
    return np.bincount(a * columns + b, minlength=rows * columns).reshape(rows, columns).astype(np.float64)


def additive_chi_squared(real: Array, fake: Array) -> tuple[float, int]:
    """Pearson's X^2 of `logit P(real | a, b) = r_a + s_b` against the counts `(A, B)` of both sets, and its degrees of
    freedom.

    Sparse levels are joined to their neighbours first (`_pooled`), and cells of so few rows that less than `LEAST` of
    either set are expected are set aside; which those are depends on the counts of both sets together alone.
    """
    real, fake = _pooled(real, fake)
    rarer = min(real.sum(), fake.sum()) / max(1.0, real.sum() + fake.sum())
    enough = (real + fake) * rarer >= LEAST
    real, fake = real * enough, fake * enough
    real, fake = (side[enough.any(1)][:, enough.any(0)] for side in (real, fake))
    total = real + fake
    if min(real.shape) < 2:
        return 0.0, 0
    share = _additive_fit(real, total)
    cells = total > 0
    variance = (total * share * (1 - share))[cells]
    statistic = float((((real - total * share)[cells]) ** 2 / np.maximum(variance, 1e-12)).sum())
    df = int(cells.sum()) - (real.shape[0] + real.shape[1] - _components(cells))
    return (statistic, df) if df > 0 else (0.0, 0)


def _pooled(real: Array, fake: Array) -> tuple[Array, Array]:
    """Join the sparsest level of a column to its neighbour while a level holds under `5 * levels` rows of a set."""
    for axis in (0, 1):
        while real.shape[axis] > 2:
            least = np.minimum(real.sum(1 - axis), fake.sum(1 - axis))
            k = int(least.argmin())
            if least[k] >= 5 * real.shape[1 - axis]:
                break
            other = k - 1 if k == real.shape[axis] - 1 or (k > 0 and least[k - 1] < least[k + 1]) else k + 1
            real, fake = (_joined(side, k, other, axis) for side in (real, fake))
    return real, fake


def _joined(table: Array, k: int, other: int, axis: int) -> Array:
    table = np.moveaxis(table, axis, 0).copy()
    table[other] += table[k]
    return np.moveaxis(np.delete(table, k, 0), 0, axis)


def _components(cells: NDArray[np.bool_]) -> int:
    """How many unconnected blocks the non-empty cells form: each has a factor of its own."""
    if cells.all(1).any() and cells.any(1).all():  # the usual case: one row touches every column
        return 1
    from scipy.sparse import csr_matrix
    from scipy.sparse.csgraph import connected_components

    rows, columns = cells.shape
    graph = np.zeros((rows + columns, rows + columns), dtype=np.int8)
    graph[:rows, rows:] = cells
    return int(connected_components(csr_matrix(graph), directed=False)[0])


def _additive_fit(real: Array, total: Array, iterations: int = 40) -> Array:
    """The maximum-likelihood `P(real | a, b)` `(A, B)` of the additive logit, by Newton's method."""
    rows, columns = total.shape
    beta = np.zeros(rows + columns)
    for _ in range(iterations):
        share = 1 / (1 + np.exp(-np.clip(beta[:rows, None] + beta[None, rows:], -30, 30)))
        slack, weight = real - total * share, total * share * (1 - share)
        slope = np.concatenate([slack.sum(1), slack.sum(0)])
        curve = np.block([[np.diag(weight.sum(1)), weight], [weight.T, np.diag(weight.sum(0))]])
        move = np.linalg.solve(
            curve + 1e-9 * float(total.sum()) * np.eye(len(curve)), slope
        )  # r + 1, s - 1 is no change
        move *= min(1.0, 4.0 / max(1e-12, float(np.abs(move).max())))
        beta += move
        if float(np.abs(slope).max()) < 1e-7 * max(1.0, float(total.sum())):
            break
    result: Array = 1 / (1 + np.exp(-np.clip(beta[:rows, None] + beta[None, rows:], -30, 30)))
    return result


def effect_interval(statistic: float, df: int, rows: int, level: float) -> tuple[float, float, float]:
    """w and its interval: the noncentralities under which X^2 = `statistic` is neither too large nor too small."""
    if not df:
        return 0.0, 0.0, 1.0
    tail = (1 - level) / 2
    if statistic > LARGE:  # sqrt(X^2) is normal around sqrt(noncentrality) by then
        half = float(special.ndtri(1 - tail))
        ends = [max(0.0, math.sqrt(statistic - df) + side * half) ** 2 for side in (-1, 1)]
    else:
        ends = [float(special.chndtrinc(statistic, df, share)) for share in (1 - tail, tail)]
    shown = (v if v > 1e-9 else 0.0 for v in (statistic - df, *ends))
    value, low, high = (min(1.0, math.sqrt(v / rows)) for v in shown)
    return value, min(low, value), max(high, value)


def _association_lookup(
    frame: Frame, real: Array, fake: Array
) -> Callable[[int, int], tuple[tuple[float, float], float | None]]:
    """For a pair: its associations in both sets, and for two numeric columns the p-value of their being equal.

    Ranks are taken within each set, so that a shifted or stretched column leaves the correlation as it was.
    """
    alone: list[Associations] = []
    for role, rows in (("real", real), ("fake", fake)):
        alone.append(associations(Frame(frame.names, frame.kinds, frame.levels, {role: rows})))
    (x, sx), (y, sy) = ((f.value[role], f.stderr[role]) for f, role in zip(alone, ("real", "fake"), strict=True))

    def look(a: int, b: int) -> tuple[tuple[float, float], float | None]:
        if max(a, b) >= len(x):
            return (float("nan"), float("nan")), None
        values = (float(x[a, b]), float(y[a, b]))
        if "category" in (frame.kinds[a], frame.kinds[b]):
            return values, None
        return values, _rank_pvalue(values, (float(sx[a, b]), float(sy[a, b])))

    return look


def _rank_pvalue(values: tuple[float, float], stderrs: tuple[float, float]) -> float | None:
    """Student's t of the difference of Fisher's atanh, degrees of freedom after Welch and Satterthwaite."""
    if not np.isfinite([*values, *stderrs]).all() or max(abs(v) for v in values) > 1 - 1e-9:
        return None
    spread = [s / (1 - v * v) for v, s in zip(values, stderrs, strict=True)]
    variance = sum(s * s for s in spread)
    if variance == 0:
        return None
    df = (GROUPS - 1) * variance**2 / sum(s**4 for s in spread)
    t = (math.atanh(values[0]) - math.atanh(values[1])) / math.sqrt(variance)
    return float(2 * stats.t.sf(abs(t), df))
