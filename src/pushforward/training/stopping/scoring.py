"""What a judge's scores of held-back rows say: how often data score above samples, and which data have no samples.

All figures are of functions fixed beforehand; the rows scored here were used for nothing else in the same audit.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pushforward.fitters.classifier import auc
from pushforward.witness import Estimate

from . import bounds

Array = NDArray[np.float64]

REGIONS = (0.0, 0.01, 0.03, 0.1)  # shares of the samples in the regions where data may have been lost
LESS = 2.0  # data are lost where samples are less than 1/LESS times as frequent


@dataclass(frozen=True, eq=False)
class Verdict:
    """One judge's scores, digested; n data rows, m samples.

    `auc`: DeLong's estimate. `placements` `(n,)`: the share of samples that each data row scores above, ties counting
    half; their mean is the AUC. `spread`: the part of its variance that is due to the samples. `own` `(n',)`: the same
    with each data row set against `group` samples of its own, so that these are independent. `regions`: for each
    region (data rows in it, n, samples in it, m). `samples`: m.
    """

    auc: Estimate
    placements: Array
    spread: float
    own: Array
    group: int
    samples: int
    regions: tuple[tuple[int, int, int, int], ...]


def verdict(real: Array, fake: Array, thresholds: Array, *, level: float = 0.95) -> Verdict:
    """From the scores `real` `(n,)` and `fake` `(m,)`; region j is where scores exceed `thresholds[j]`."""
    placements = shares_below(real, fake)
    beaten = shares_below(fake, real)
    spread = float(beaten.var(ddof=1)) / len(fake)
    group = max(1, len(fake) // len(real))
    rows = min(len(real), len(fake))
    set_against, each = fake[: rows * group].reshape(rows, group), real[:rows, None]
    own = ((set_against < each) + 0.5 * (set_against == each)).mean(1)
    regions = tuple((int((real > t).sum()), len(real), int((fake > t).sum()), len(fake)) for t in thresholds)
    return Verdict(_auc(real, fake, level), placements, spread, own, group, len(fake), regions)


def _auc(real: Array, fake: Array, level: float) -> Estimate:
    found = auc(real, fake, level=level)
    if found.low < found.high:
        return found
    # every score alike: the spread of scores says nothing, that of chance does
    chance = math.sqrt((len(real) + len(fake) + 1) / (12 * len(real) * len(fake)))
    return Estimate.normal(found.value, chance, level)


def shares_below(a: Array, b: Array) -> Array:
    """For each of `a` the share of `b` below it, ties counting half."""
    order = np.sort(b)
    below, up_to = np.searchsorted(order, a, side="left"), np.searchsorted(order, a, side="right")
    share: Array = (below + up_to) / (2.0 * len(b))
    return share


def thresholds(scores: Array) -> Array:
    """The upper `REGIONS`-quantiles of samples' scores: of such shares of the samples are the regions beyond."""
    order = np.sort(scores)[::-1]
    return order[[min(len(order) - 1, int(share * len(order))) for share in REGIONS]]


def lost(verdicts: Sequence[Verdict]) -> float:
    """The largest P(S) - LESS Q(S) over all judges' regions S, at least 0: data that lack at least half their samples.

    With all sets S it would be the hockey-stick divergence E_2(P || Q) = integral of (p - 2 q)+: 0 where no q < p/2,
    1/25 where one of 25 equal modes has no samples.
    """
    return max([0.0, *(k / n - LESS * h / m for v in verdicts for k, n, h, m in v.regions)])


def lost_upper(verdicts: Sequence[Verdict], alpha: float) -> float:
    """Above the largest of the true P(S) - 2 Q(S) with probability 1 - `alpha` at least.

    alpha is not divided among the regions: the bound can only fail where that of the region that attains the largest
    does.
    """
    limits = [
        bounds.upper_share(k, n, alpha / 2) - LESS * bounds.lower_share(h, m, alpha / 2)
        for v in verdicts
        for k, n, h, m in v.regions
    ]
    return max(0.0, *limits)


def lost_lower(verdicts: Sequence[Verdict], alpha: float) -> float:
    """Under the largest of the true P(S) - 2 Q(S) with probability 1 - `alpha` at least (Bonferroni), at least 0."""
    regions = [region for v in verdicts for region in v.regions]
    each = alpha / (2 * len(regions))
    limits = [bounds.lower_share(k, n, each) - LESS * bounds.upper_share(h, m, each) for k, n, h, m in regions]
    return max(0.0, *limits)
