"""Can a classifier tell FAKE from REAL? Its AUC with an interval, its evidence, and the rows that it is surest of.

Effect size: the AUC of scores that are cross-fitted, every row judged by trees that did not see it, with an interval
given the fitted trees. DeLong's variance takes the scores as fixed, but rows of one fold train the judges of another
and the other way round, so that the chance agreement of two rows counts twice. Where the trees learned nothing that is
all there is, and the variance is twice DeLong's; where they tell all rows it is nothing. In between

    variance = DeLong's (1 + (1 - g)^2),   g = |2 AUC - 1|,

which simulations bear out (benchmarks/bench_intervals.py).

Evidence: the rows are cut into K parts; for k = 2..K the trees are fitted on the parts before k and judge part k, and
the mean scores of its real and its fake rows are compared under relabellings of part k. Given all earlier parts the
trees are fixed, so each p-value is exact whatever came before it, and Stouffer's sum of the K - 1 is exact too. Unlike
one split in halves, (K-1)/K of the rows give evidence; unlike cross-validation, no judge has seen what it judges, not
even through the other folds (Lheritier and Cazals 2018 bet along such a sequence; here the parts are few and large).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from ..fitters.classifier import auc, cross_fitted_scores
from ..fitters.scorers import fit_scorer
from ..witness import Estimate
from .comparison import TestPart
from .intervals import relabelled_gap, stouffer

Array = NDArray[np.float64]
ROC_POINTS = 120
SCORE_BINS = 48


@dataclass(frozen=True)
class Discrimination:
    """Cross-fitted log odds of real to fake: `real` `(n,)`, `fake` `(m,)`; the AUC with its interval; pictures."""

    real: Array
    fake: Array
    auc: float
    low: float
    high: float

    def picture(self) -> dict[str, Any]:
        """The ROC curve (real taken for real against fake taken for real), and histograms of the scores."""
        scores = np.concatenate([self.real, self.fake])
        cuts = np.unique(np.quantile(scores, np.linspace(0, 1, ROC_POINTS)))[::-1]
        hit, alarm = ((np.sort(s).size - np.searchsorted(np.sort(s), cuts)) / len(s) for s in (self.real, self.fake))
        low, high = np.quantile(scores, [0.001, 0.999])
        if high - low < 1e-9:
            low, high = low - 0.5, high + 0.5
        edges = np.linspace(low, high, SCORE_BINS + 1)
        shares = [np.histogram(np.clip(s, low, high), edges)[0] / len(s) for s in (self.real, self.fake)]
        return {
            "roc": {"false": _rounded([0.0, *alarm, 1.0]), "true": _rounded([0.0, *hit, 1.0])},
            "scores": {"edges": _rounded(edges), "real": _rounded(shares[0]), "fake": _rounded(shares[1])},
        }


def discriminate(
    x: Array, y: Array, *, categorical: Sequence[int], folds: int, seed: int, level: float
) -> Discrimination:
    """Cross-fitted boosted trees on features `x` `(n, k)`, `y` `(m, k)`."""
    real, fake = cross_fitted_scores(x, y, folds=folds, seed=seed, categorical=list(categorical))
    found = auc(real, fake, level=level)
    low, high = _widened(found, level)
    if low == high:  # every score alike: the spread of scores says nothing, that of chance does
        half = float(stats.norm.ppf(0.5 + level / 2)) * chance_spread(len(real), len(fake))
        low, high = max(0.0, low - half), min(1.0, high + half)
    return Discrimination(real, fake, found.value, low, high)


def _widened(found: Estimate, level: float) -> tuple[float, float]:
    """The interval of the AUC `found` with the variance of the module's docstring, on the logit scale."""
    value = found.value
    if not 0 < value < 1 or found.stderr == 0:
        return found.low, found.high
    stderr = found.stderr * math.sqrt(1 + (1 - abs(2 * value - 1)) ** 2)
    half = float(stats.norm.ppf(0.5 + level / 2)) * stderr / (value * (1 - value))
    centre = math.log(value / (1 - value))
    return 1 / (1 + math.exp(half - centre)), 1 / (1 + math.exp(-half - centre))


def sequential_test(
    x: Array, y: Array, *, categorical: Sequence[int], parts: int, permutations: int, seed: int
) -> tuple[TestPart, int, int]:
    """The evidence as in the module's docstring, and how many real and fake rows gave it."""
    rng = np.random.default_rng([seed, 1])
    blocks_x = np.array_split(rng.permutation(len(x)), parts)
    blocks_y = np.array_split(rng.permutation(len(y)), parts)
    pvalues, weights, gaps = [], [], []
    for k in range(1, parts):
        seen_x, seen_y = np.concatenate(blocks_x[:k]), np.concatenate(blocks_y[:k])
        scorer = fit_scorer(x[seen_x], y[seen_y], model="boosting", seed=seed + k, categorical=list(categorical))
        a, b = scorer(x[blocks_x[k]]), scorer(y[blocks_y[k]])
        gap, p = relabelled_gap(a, b, permutations=permutations, rng=rng)
        gaps.append(gap)
        pvalues.append(p)
        weights.append(math.sqrt(1 / (1 / len(a) + 1 / len(b))))
    held_x, held_y = len(x) - len(blocks_x[0]), len(y) - len(blocks_y[0])
    part = TestPart(
        "classifier",
        float(np.average(gaps, weights=weights)),
        stouffer(np.array(pvalues), np.array(weights)),
        f"boosted trees, each of {parts - 1} parts of the rows judged by trees fitted on the parts before it; "
        f"{permutations} relabellings of each",
    )
    return part, held_x, held_y


def detectable_auc(n: int, m: int, *, alpha: float, power: float = 0.8) -> float:
    """The AUC that a test on n real and m fake judged rows finds with probability `power`, by the normal
    approximation of the rank sum: variance (n+m+1)/(12nm)."""
    return min(1.0, 0.5 + float(stats.norm.isf(alpha) + stats.norm.ppf(power)) * chance_spread(n, m))


def chance_spread(n: int, m: int) -> float:
    """The standard deviation of the AUC of scores that know nothing."""
    return math.sqrt((n + m + 1) / (12 * n * m))


def _rounded(values: Any) -> list[float]:
    return [round(float(v), 5) for v in values]
