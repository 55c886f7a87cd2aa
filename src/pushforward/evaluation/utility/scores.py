"""Scores of predictions with what each test row adds to them, so that differences and means of scores have intervals.

A score S that is a smooth function of means over n test rows has influence values u_i with mean 0 and

    S_n - S = mean_i u_i + o(1/sqrt(n)),      stderr = sd(u)/sqrt(n).

Given the fitted model the test rows are the only randomness. Two models judged on the same rows are compared by the
difference of their influence values, and a mean over targets by their mean: nothing is assumed independent but rows.

`skill` is scaled so that a constant predictor has 0 and a perfect one 1: R^2 for numbers,

    R^2 = 1 - mean (y - f)^2 / mean (y - mean y)^2,

and 2 AUC - 1 (Gini) for categories, AUC being one-against-rest, weighted by the share of each level.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import final

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from ...witness import Estimate
from .. import intervals

Array = NDArray[np.float64]


@final
@dataclass(frozen=True)
class Scored:
    """One model on one target's test rows: `skill`, its influence values `(n,)`, and a second figure (RMSE, accuracy).

    `influence` is for all test rows; rows whose target is missing add 0.
    """

    skill: float
    influence: Array
    second: Estimate

    def estimate(self, level: float = 0.95) -> Estimate:
        return of_influence(self.skill, self.influence, level)


def of_influence(value: float, influence: Array, level: float = 0.95) -> Estimate:
    """The normal interval of a figure with these influence values `(n,)`."""
    n = len(influence)
    return Estimate.normal(value, float(influence.std(ddof=1)) / math.sqrt(n), level)


def score_numbers(truth: Array, predicted: Array, *, level: float = 0.95) -> Scored:
    """R^2 (as scikit-learn's `r2_score`) and the root mean squared error, whose interval is on the squared error."""
    n = len(truth)
    used = np.isfinite(truth)
    y, f = truth[used], predicted[used]
    lost, spread = (y - f) ** 2, (y - y.mean()) ** 2
    ratio = float(lost.mean() / spread.mean())
    influence = np.zeros(n)
    influence[used] = -(lost - ratio * spread) / spread.mean() * (n / used.sum())
    mean = Estimate.normal(float(lost.mean()), float(lost.std(ddof=1)) / math.sqrt(len(y)), level)
    value, low, high = (math.sqrt(max(0.0, v)) for v in (mean.value, mean.low, mean.high))
    return Scored(1.0 - ratio, influence, Estimate(value, mean.stderr / max(2 * value, 1e-300), low, high, level))


def score_levels(truth: Array, probability: Array, levels: Array, *, level: float = 0.95) -> Scored:
    """2 AUC - 1, the AUC as scikit-learn's weighted one-against-rest, and accuracy; `probability` `(n, k)` of `levels`.

    A level that the model does not know has probability 0 throughout. Levels that the test rows lack, or all have, say
    nothing and are left out of the mean.
    """
    n = len(truth)
    strange = np.setdiff1d(truth, levels)
    levels = np.concatenate([levels, strange])
    probability = np.concatenate([probability, np.zeros((n, len(strange)))], 1)
    area, weight = 0.0, 0.0
    influence = np.zeros(n)
    for k, name in enumerate(levels):
        hit = truth == name
        share = float(hit.mean())
        if not 0 < hit.sum() < n:
            continue
        own, above, below = _area(probability[hit, k], probability[~hit, k])
        area += share * own
        weight += share
        influence[hit] += above - own + own
        influence[~hit] += share * (below - own) / (1 - share)
    chosen = levels[probability.argmax(1)]
    right = float((chosen == truth).mean())
    second = Estimate(right, math.sqrt(right * (1 - right) / n), *intervals.wilson(right, n, level), level)
    if weight == 0:
        return Scored(0.0, np.zeros(n), second)
    value = area / weight
    influence = (influence - value) / weight
    return Scored(2 * value - 1, 2 * (influence - influence.mean()), second)


def _area(positive: Array, negative: Array) -> tuple[float, Array, Array]:
    """AUC, and for each positive (negative) the share of negatives (positives) on its right side, ties half."""
    above = (stats.rankdata(np.concatenate([positive, negative])))[: len(positive)] - stats.rankdata(positive)
    below = (stats.rankdata(np.concatenate([negative, positive])))[: len(negative)] - stats.rankdata(negative)
    return float(above.mean() / len(negative)), above / len(negative), 1.0 - below / len(positive)
