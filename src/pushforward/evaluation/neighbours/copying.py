"""Has the generator copied its training data? Fakes beside held-out rows, both seen from the training rows.

Every figure here compares distances of fakes with the same distances of `holdout`: real rows that were not trained on.
Given the training rows, the fakes of a generator that learned the distribution and no more are exchangeable with them,
so that the tests below are exact or hold by the central limit theorem for many rows, whatever the space.

- Data copying, C_T (Meehan, Chaudhuri, Dasgupta 2020): within each cell pi of a k-means of the training rows, the
  Mann-Whitney z of the fakes' distances to the nearest training row against the held-out rows'; then the mean of the z
  with weights w_pi, the held-out rows' shares. Far below 0: fakes are too near. Given the counts in the cells the z are
  independent, each of variance 1 under the null, so C_T has the standard deviation sqrt(sum w^2), about 1/sqrt(k), not
  1: `score` is C_T over it. (The distance is to the nearest of all training rows, not of the cell's alone.)
- Membership: P(a training row is nearer to its nearest fake than a held-out row is to its own), an AUC with DeLong's
  interval (Chen et al. 2020; distance-based attack). 0.5: an attacker learns nothing.
- Near copies: the r-th least of the h held-out distances, r = floor(q (h + 1)), is the mark; of m fakes under the null
  BetaBinomial(m; r, h + 1 - r) lie below it, an exact test. Ties only lower the count.
- Distance to the closest record, and its ratio to the second closest: quantiles, with intervals by order statistics.
- Identical rows, against held-out rows' by Fisher's exact test.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, final

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from ...errors import InputError
from ...witness import Estimate
from ..intervals import wilson
from ..memorization import row_keys
from .search import features, nearest

Array = NDArray[np.float64]
LEAST_IN_CELL = 20  # of fakes and of held-out rows, for a cell to count (Meehan et al.'s tau)
MOST_CELLS = 20


@final
@dataclass(frozen=True, eq=False)
class RecordDistances:
    """Distances to the two nearest training rows, of fakes `(m, 2)` and held-out rows `(h, 2)`; `nearest` `(m,)` is the
    training row nearest to each fake."""

    fake: Array
    holdout: Array
    nearest: NDArray[np.int64]


@final
@dataclass(frozen=True)
class DataCopying:
    """`statistic`: C_T as published; `score`: over its standard deviation under the null; `pvalue`: one-sided, of
    "fakes are no nearer to the training rows than held-out rows"; `cells`: z of each cell that counted."""

    statistic: float
    score: float
    pvalue: float
    cells: tuple[float, ...]


@final
@dataclass(frozen=True)
class Share:
    """A share of the fakes, the same of held-out rows (or what is expected of them), and the p-value of "no more"."""

    fake: Estimate
    holdout: Estimate
    pvalue: float


@final
@dataclass(frozen=True)
class Quantiles:
    """The 5 % quantile and the median of a distance (or ratio), of fakes and of held-out rows."""

    fake_low: Estimate
    fake_median: Estimate
    holdout_low: Estimate
    holdout_median: Estimate


def record_distances(*, train: Tensor, holdout: Tensor, fake: Tensor) -> RecordDistances:
    """Features `train` `(n, d)`, `holdout` `(h, d)`, `fake` `(m, d)`; `InputError` for fewer than two training rows."""
    rows, held, y = features(train=train, holdout=holdout, fake=fake)
    if len(rows) < 2:
        raise InputError("train: distances to the nearest two training rows need at least two of them; give more")
    own, other = (nearest(queries=z, rows=rows, k=2) for z in (y, held))
    return RecordDistances(own.distance.cpu().numpy(), other.distance.cpu().numpy(), own.index[:, 0].cpu().numpy())


def data_copying(
    *,
    train: Tensor,
    holdout: Tensor,
    fake: Tensor,
    cells: int | None = None,
    seed: int = 0,
    distances: RecordDistances | None = None,
) -> DataCopying:
    """The test C_T. `cells`: of the k-means (None: one for each 100 fakes or held-out rows, at most 20); `distances`
    where they are known. `InputError` where no cell has 20 fakes and 20 held-out rows."""
    from sklearn.cluster import KMeans

    rows, held, y = (part.cpu().numpy() for part in features(train=train, holdout=holdout, fake=fake))
    distances = distances or record_distances(train=train, holdout=holdout, fake=fake)
    count = cells or max(1, min(MOST_CELLS, min(len(held), len(y)) // (5 * LEAST_IN_CELL)))
    if not 1 <= count <= len(rows):
        raise InputError(f"cells must lie between 1 and {len(rows)}, the training rows, not {count}")
    count = min(count, len(np.unique(row_keys(rows))))
    means = KMeans(count, n_init=1, random_state=seed).fit(rows)
    of_fake, of_held = means.predict(y), means.predict(held)
    found, weights = [], []
    for cell in range(count):
        a, b = distances.fake[of_fake == cell, 0], distances.holdout[of_held == cell, 0]
        if min(len(a), len(b)) >= LEAST_IN_CELL:
            found.append(_mann_whitney(a, b))
            weights.append(len(b) / len(held))
    if not found:
        raise InputError(f"no cell has {LEAST_IN_CELL} fakes and as many held-out rows; give more rows, or lower cells")
    return _combined(np.array(found), np.array(weights))


def membership(*, train: Tensor, holdout: Tensor, fake: Tensor, level: float = 0.95) -> Estimate:
    """The AUC of telling training rows `(n, d)` from `holdout` `(h, d)` by their distance to the nearest of `fake`."""
    from ...fitters.classifier import auc

    y, rows, held = features(fake=fake, train=train, holdout=holdout)
    near = [-nearest(queries=z, rows=y, k=1).distance[:, 0].cpu().numpy() for z in (rows, held)]
    return auc(near[0], near[1], level=level)


def near_copies(distances: RecordDistances, *, quantile: float = 0.02, level: float = 0.95) -> Share:
    """The share of fakes nearer to a training row than a share `quantile` of held-out rows is, with an exact test."""
    from scipy.stats import betabinom

    if not 0 < quantile < 1:
        raise InputError(f"quantile must lie between 0 and 1, such as 0.02, not {quantile}")
    a, b = distances.fake[:, 0], np.sort(distances.holdout[:, 0])
    h, m = len(b), len(a)
    rank = max(1, math.floor(quantile * (h + 1)))
    hits = int((a < b[rank - 1]).sum())
    pvalue = float(betabinom.sf(hits - 1, m, rank, h + 1 - rank)) if hits else 1.0
    expected = rank / (h + 1)
    spread = math.sqrt(expected * (1 - expected) / (h + 2))
    known = Estimate(expected, spread, *wilson(expected, h, level), level)
    return Share(share(hits, m, level), known, min(1.0, pvalue))


def identical(*, train: NDArray[Any], holdout: NDArray[Any], fake: NDArray[Any], level: float = 0.95) -> Share:
    """The share of fakes that equal a training row bit for bit, raw rows `(., k)`, beside held-out rows'."""
    from scipy.stats import fisher_exact

    known = np.unique(row_keys(train))
    hits, held = (int(np.isin(row_keys(part), known).sum()) for part in (fake, holdout))
    table = [[hits, len(fake) - hits], [held, len(holdout) - held]]
    pvalue = float(fisher_exact(table, "greater").pvalue)
    return Share(share(hits, len(fake), level), share(held, len(holdout), level), pvalue)


def closest_record(distances: RecordDistances, *, level: float = 0.95) -> Quantiles:
    """Quantiles of the distance to the nearest training row."""
    return _quantiles(distances.fake[:, 0], distances.holdout[:, 0], level)


def distance_ratio(distances: RecordDistances, *, level: float = 0.95) -> Quantiles:
    """Quantiles of the distance to the nearest training row over that to the second nearest, in [0, 1]; near 0 where
    one row was copied. Where both distances are 0 the ratio is 1: two equal training rows, neither singled out."""
    ratios = [
        np.divide(part[:, 0], part[:, 1], out=np.ones(len(part)), where=part[:, 1] > 0)
        for part in (distances.fake, distances.holdout)
    ]
    return _quantiles(ratios[0], ratios[1], level)


def share(hits: int, count: int, level: float = 0.95) -> Estimate:
    """hits/count with Wilson's interval."""
    value = hits / count
    return Estimate(value, math.sqrt(value * (1 - value) / count), *wilson(value, count, level), level)


def quantile_estimate(values: Array, quantile: float, level: float = 0.95) -> Estimate:
    """A quantile with the distribution-free interval of order statistics x_(r), x_(s):
    P(x_(r) <= q < x_(s)) = P(r <= Binomial(n, quantile) < s) >= level."""
    from scipy.stats import binom, norm

    order, n = np.sort(values), len(values)
    low = int(binom.ppf((1 - level) / 2, n, quantile))
    high = int(binom.ppf((1 + level) / 2, n, quantile)) + 1
    ends = order[max(low, 1) - 1], order[min(high, n) - 1]
    stderr = float(ends[1] - ends[0]) / (2 * float(norm.ppf((1 + level) / 2)))
    return Estimate(float(np.quantile(order, quantile)), stderr, float(ends[0]), float(ends[1]), level)


def _quantiles(fake: Array, holdout: Array, level: float) -> Quantiles:
    return Quantiles(*(quantile_estimate(part, q, level) for part in (fake, holdout) for q in (0.05, 0.5)))


def _mann_whitney(a: Array, b: Array) -> float:
    """z of #{a > b} + half the ties: mean 0 and variance 1 if a and b are exchangeable; negative where a is less."""
    from scipy.stats import rankdata, tiecorrect

    ranks = rankdata(np.concatenate([a, b]))
    n, m = len(a), len(b)
    excess = ranks[:n].sum() - n * (n + 1) / 2 - n * m / 2
    variance = float(tiecorrect(ranks)) * n * m * (n + m + 1) / 12
    return float(excess / math.sqrt(variance)) if variance > 0 else 0.0


def _combined(z: Array, weights: Array) -> DataCopying:
    from scipy.stats import norm

    weights = weights / weights.sum()
    statistic = float(weights @ z)
    score = statistic / float(np.linalg.norm(weights))
    return DataCopying(statistic, score, float(norm.cdf(score)), tuple(float(v) for v in z))
