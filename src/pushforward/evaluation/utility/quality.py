"""The scores that users of sdmetrics quote, by its definitions (version 0.32), from our coded frames.

All lie in [0, 1], 1 being best. Between marginals and pairs:

    KSComplement            1 - Kolmogorov-Smirnov distance of the values that are there
    TVComplement            1 - total variation of the levels that are there
    CorrelationSimilarity   1 - |r_fake - r_real| / 2, Pearson's r (or Spearman's) of complete pairs
    ContingencySimilarity   1 - total variation of the joint levels, missing a level
    BoundaryAdherence       share of fakes within the real range (missing counts against, unless REAL has missing too)
    CategoryAdherence       share of fakes in a level that REAL has
    MissingValueSimilarity  1 - |difference of the missing shares|

`overall` is its quality score: the mean of "column shapes" (KS or TV complement of each column) and "column pair
trends": correlation similarity of two numeric columns if |r_real| > 0.5, else left out; contingency similarity of the
others if REAL's uncorrected Cramer's V > 0.3, numbers cut into ten equal bins of EACH set's own range. Its own report
takes 50,000 rows at random where there are more. These are plug-in values without intervals; they fall with the number
of rows alone, so hold them against the same score between two real sets.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import combinations
from typing import Any, final

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from ..frames import MISSING, Frame

Array = NDArray[np.float64]

REAL_CORRELATION = 0.5
REAL_ASSOCIATION = 0.3
BINS = 10


@final
@dataclass(frozen=True)
class Quality:
    """`overall` and its two parts; `columns[name]` and `pairs[a, b]`: the scores they are means of (NaN: not defined);
    `boundaries`, `categories`, `missing`: the adherence scores by column."""

    overall: float
    shapes: float
    trends: float
    columns: dict[str, float]
    pairs: dict[tuple[str, str], float]
    boundaries: dict[str, float]
    categories: dict[str, float]
    missing: dict[str, float]


def quality(frame: Frame, *, real: Array, fake: Array) -> Quality:
    """All scores of rows `real` `(n, p)` and `fake` `(m, p)` coded as the frame's."""
    columns, boundaries, categories, missing = {}, {}, {}, {}
    for j, name in enumerate(frame.names):
        x, y = real[:, j], fake[:, j]
        code = _missing_code(frame, j)
        if frame.kinds[j] == "category":
            columns[name] = tv_complement(real=x[x != code], fake=y[y != code])
            categories[name] = category_adherence(real=x, fake=y)
            shares = [float((side == code).mean()) for side in (x, y)]
        else:
            columns[name] = ks_complement(real=x, fake=y)
            boundaries[name] = boundary_adherence(real=x, fake=y)
            shares = [float(np.isnan(side).mean()) for side in (x, y)]
        missing[name] = 1 - abs(shares[0] - shares[1])
    pairs = {
        (frame.names[a], frame.names[b]): _pair(frame, real, fake, a, b)
        for a, b in combinations(range(len(frame.names)), 2)
    }
    shapes, trends = _mean(list(columns.values())), _mean(list(pairs.values()))
    return Quality(_mean([shapes, trends]), shapes, trends, columns, pairs, boundaries, categories, missing)


def ks_complement(*, real: Array, fake: Array) -> float:
    """1 - KS of the finite values of `real` `(n,)` and `fake` `(m,)`, rounded to 14 decimals as sdmetrics does."""
    x, y = (np.round(side[np.isfinite(side)], 14) for side in (real, fake))
    if not (len(x) and len(y)):
        return float("nan")
    both = np.sort(np.concatenate([x, y]))
    upto = [np.searchsorted(np.sort(side), both, side="right") / len(side) for side in (x, y)]
    return 1 - float(np.abs(upto[0] - upto[1]).max())


def tv_complement(*, real: NDArray[Any], fake: NDArray[Any]) -> float:
    """1 - total variation of the codes `real` `(n,)` and `fake` `(m,)`."""
    if not (len(real) and len(fake)):
        return float("nan")
    levels, place = np.unique(np.concatenate([real, fake]), return_inverse=True)
    a, b = (np.bincount(side, minlength=len(levels)) / len(side) for side in (place[: len(real)], place[len(real) :]))
    return 1 - 0.5 * float(np.abs(a - b).sum())


def correlation_similarity(*, real: Array, fake: Array, ranks: bool = False) -> float:
    """1 - |r_fake - r_real| / 2 of two columns `(n, 2)`; NaN where one never varies."""
    a, b = (correlation(side[:, 0], side[:, 1], ranks=ranks) for side in (real, fake))
    return 1 - abs(a - b) / 2


def contingency_similarity(*, real: Array, fake: Array) -> float:
    """1 - total variation of the joint levels of two columns of codes `(n, 2)`."""
    _, place = np.unique(np.concatenate([real, fake]), axis=0, return_inverse=True)
    place = place.ravel()
    return tv_complement(real=place[: len(real)], fake=place[len(real) :])


def boundary_adherence(*, real: Array, fake: Array) -> float:
    """The share of `fake` between the least and the largest of `real`."""
    seen = real[np.isfinite(real)]
    if not len(seen):
        return float("nan")
    y = fake[np.isfinite(fake)] if len(seen) < len(real) else fake
    return float(((y >= seen.min()) & (y <= seen.max())).mean()) if len(y) else float("nan")


def category_adherence(*, real: Array, fake: Array) -> float:
    """The share of `fake` in a level that `real` has; a missing value is a level."""
    return float(np.isin(fake, np.unique(real)).mean())


# --- associations of two columns as plain numbers -------------------------------------------------------------------


def correlation(x: Array, y: Array, *, ranks: bool = False) -> float:
    """Pearson's r of the complete pairs of `x` and `y` `(n,)`, or Spearman's (`ranks`); NaN without spread."""
    both = np.isfinite(x) & np.isfinite(y)
    a, b = x[both], y[both]
    if ranks:
        a, b = stats.rankdata(a), stats.rankdata(b)
    if len(a) < 2 or np.ptp(a) == 0 or np.ptp(b) == 0:
        return float("nan")
    a, b = a - a.mean(), b - b.mean()
    return float(np.clip((a @ b) / math.sqrt(float(a @ a) * float(b @ b)), -1, 1))


def cramers_v(x: Array, y: Array, *, corrected: bool = False) -> float:
    """Cramer's V of two columns of codes `(n,)`; `corrected`: with Bergsma's (2013) correction of its bias."""
    rows, a = np.unique(x, return_inverse=True)
    columns, b = np.unique(y, return_inverse=True)
    n, (r, c) = len(x), (len(rows), len(columns))
    if min(r, c) < 2:
        return float("nan")
    table = np.bincount(a * c + b, minlength=r * c).reshape(r, c)
    expected = np.outer(table.sum(1), table.sum(0)) / n
    phi2 = float(((table - expected) ** 2 / expected).sum()) / n
    if not corrected:
        return math.sqrt(phi2 / (min(r, c) - 1))
    phi2 = max(0.0, phi2 - (r - 1) * (c - 1) / (n - 1))
    least = min(r - (r - 1) ** 2 / (n - 1), c - (c - 1) ** 2 / (n - 1)) - 1
    return math.sqrt(min(1.0, phi2 / least)) if least > 0 else float("nan")


def correlation_ratio(values: Array, codes: Array) -> float:
    """eta: the square root of the share of the variance of `values` `(n,)` that lies between the levels `codes`."""
    there = np.isfinite(values)
    x, levels = values[there], np.unique(codes[there], return_inverse=True)[1]
    if len(x) < 2 or np.ptp(x) == 0:
        return float("nan")
    x = x - x.mean()
    count = np.bincount(levels)
    between = float((np.bincount(levels, weights=x) ** 2 / count).sum())
    return math.sqrt(min(1.0, between / float(x @ x)))


def _pair(frame: Frame, real: Array, fake: Array, a: int, b: int) -> float:
    """The pair's score in the quality report, NaN where REAL's association is below the report's threshold."""
    x, y = real[:, [a, b]], fake[:, [a, b]]
    nominal = [frame.kinds[j] == "category" for j in (a, b)]
    if not any(nominal):
        if not abs(correlation(x[:, 0], x[:, 1])) > REAL_CORRELATION:
            return float("nan")
        return correlation_similarity(real=x, fake=y)
    x, y = (np.stack([side[:, k] if nominal[k] else _own_bins(side[:, k]) for k in (0, 1)], 1) for side in (x, y))
    if not cramers_v(x[:, 0], x[:, 1]) > REAL_ASSOCIATION:
        return float("nan")
    return contingency_similarity(real=x, fake=y)


def _own_bins(values: Array) -> Array:
    seen = values[np.isfinite(values)]
    if not len(seen):
        return np.full(len(values), BINS + 1.0)
    return np.digitize(values, np.histogram_bin_edges(seen, bins=BINS)).astype(np.float64)


def _missing_code(frame: Frame, j: int) -> float:
    return float(frame.levels[j].index(MISSING)) if MISSING in frame.levels[j] else -1.0


def _mean(values: list[float]) -> float:
    fine = [v for v in values if not math.isnan(v)]
    return float(np.mean(fine)) if fine else float("nan")
