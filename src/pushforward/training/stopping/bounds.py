"""Bounds that hold for samples of any size, and for any number of looks once each look has its share of alpha.

*Means of bounded variables.* Let T_1, ..., T_n in [0, 1] be independent with mean A. For stakes l_i in [0, 1) that look
only at T_1, ..., T_(i-1), the capital

    K(m) = prod_i (1 - l_i (T_i - m))        has        E K(A) = 1,    and K increases with m,

so that P(K(A) >= 1/a) <= a (Markov), and U = the m where K(m) = 1/a is above A with probability 1 - a at least: were
A >= U, then K(A) >= K(U) = 1/a. The lower bound is the mirror image. Such bounds adapt to the variance of T by betting
(Waudby-Smith and Ramdas 2024, section 4); none uses a normal approximation.

*Shares.* k of n independent draws: the exact limits of Clopper and Pearson (1934).

*Looks.* The k-th look may spend alpha/(k (k + 1)), which adds up to alpha over all k whatever the looks have in common.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
_BOLDEST = 0.9  # the largest stake: no factor falls below 0.1
_TIGHT = 1e-10


def share_of(alpha: float, look: int) -> float:
    """alpha/(k (k + 1)), the part of alpha that look k = 1, 2, ... may spend."""
    return alpha / (look * (look + 1))


def stakes(values: Array, log_level: float) -> Array:
    """l_i = sqrt(2 L / (n v_i)), at most 0.9, with L = `log_level` = ln(1/a) and v_i the variance of the values before.

    The variance starts at 1/4, counted as one value, the mean at 1/2 (Waudby-Smith and Ramdas 2024, eq. 26).
    """
    n = len(values)
    count = np.arange(1, n + 1)
    means = (0.5 + np.cumsum(values)) / (count + 1)
    variances = (0.25 + np.cumsum((values - means) ** 2)) / (count + 1)
    before = np.concatenate([[0.25], variances[:-1]])
    return np.minimum(_BOLDEST, np.sqrt(2 * log_level / (n * before)))


def log_capital(values: Array, m: float, bets: Array) -> float:
    """ln prod_i (1 + l_i (T_i - m)): what was won by betting that the mean is above `m`."""
    return float(np.log1p(bets * (values - m)).sum())


def upper_mean(values: Array, alpha: float) -> float:
    """A number that the mean of `values` in [0, 1] exceeds or equals with probability `alpha` at most."""
    return 1.0 - lower_mean([1.0 - values], alpha)


def lower_mean(columns: list[Array], alpha: float) -> float:
    """A number that the largest of the means lies at or under with probability `alpha` at most.

    `columns` are several sequences of values in [0, 1], however they depend on one another. The capitals are averaged,
    which is fair where every mean is at most m, so that the price of looking at J of them is ln J.
    """
    from scipy.optimize import brentq

    level = math.log(1 / alpha)
    bets = [stakes(values, level) for values in columns]
    if _average(columns, bets, 0.0) < level:
        return 0.0
    # at m = 1 no factor exceeds 1, so the capital passes 1/alpha in between
    return max(0.0, float(brentq(lambda m: _average(columns, bets, m) - level, 0.0, 1.0, xtol=_TIGHT)) - _TIGHT)


def log_evalue(columns: list[Array], m: float, alpha: float) -> float:
    """ln of the average capital against "every mean is at most `m`"; the stakes are set for the level `alpha`."""
    return _average(columns, [stakes(values, math.log(1 / alpha)) for values in columns], m)


def _average(columns: list[Array], bets: list[Array], m: float) -> float:
    logs = [log_capital(values, m, bet) for values, bet in zip(columns, bets, strict=True)]
    return float(np.logaddexp.reduce(logs)) - math.log(len(logs))


def upper_share(k: int, n: int, alpha: float) -> float:
    """Clopper and Pearson's upper limit of a share seen `k` times in `n`, exceeded with probability `alpha` at most."""
    from scipy.stats import beta

    return 1.0 if k >= n else float(beta.ppf(1 - alpha, k + 1, n - k))


def lower_share(k: int, n: int, alpha: float) -> float:
    """The lower limit of the same."""
    return 1.0 - upper_share(n - k, n, alpha)


def detectable_gap(n: int, group: int, log_level: float, *, power: float = 0.8) -> float:
    """By how much a mean must exceed 1/2 for the capital to pass e^L with probability `power`, to first order.

    For `n` values, each the mean of `group` comparisons of one row with fakes, all from one law: the variance of a
    value is v = 1/12 + 1/(6 group); with the stake sqrt(2 L/(n v)) the log capital has mean sqrt(2 L n/v) gap - L and
    standard deviation sqrt(2 L), so gap = sqrt(v/n) (sqrt(2 L) + z), z the normal quantile of `power`.
    """
    from scipy.stats import norm

    variance = 1 / 12 + 1 / (6 * group)
    return math.sqrt(variance / n) * (math.sqrt(2 * log_level) + float(norm.ppf(power)))
