"""Intervals and adjustments that hold for the statistic they are given to.

- a share k/n: Wilson's score interval;
- distances that are a supremum of differences of shares (Kolmogorov-Smirnov, total variation), and their means over
  columns: one row of n moves the figure by at most 1/n, so McDiarmid's inequality bounds its deviation from its mean;
  the mean exceeds the truth (Jensen) by a bias that is bounded too, so `low` gives way by both and `high` by the first;
- smooth functions of sums: the delete-a-group jackknife with Student's quantile.

None resamples with replacement: a bootstrap of a distance that may be 0 does not hold there.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import stats

from ..readings import permutation_pvalue

KOLMOGOROV_MEAN = math.sqrt(math.pi / 2) * math.log(2)  # E sup |Brownian bridge| = 0.8687


def wilson(share: float, n: float, level: float = 0.95) -> tuple[float, float]:
    """Wilson's (1927) interval of a proportion `share` seen in `n` independent draws (n may be an effective number)."""
    if n <= 0:
        return 0.0, 1.0
    z = float(stats.norm.ppf(0.5 + level / 2))
    centre = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    return max(0.0, min(centre - half, share)), min(1.0, max(centre + half, share))


def deviation(n: int, m: int, level: float = 0.95) -> float:
    """McDiarmid: a figure that one of n (m) rows moves by at most 1/n (1/m) strays from its mean by at most this."""
    return math.sqrt(math.log(2 / (1 - level)) / 2 * (1 / n + 1 / m))


def ks_bias(n: int, m: int) -> float:
    """At most how far the mean of the plug-in Kolmogorov-Smirnov distance exceeds the truth."""
    return KOLMOGOROV_MEAN * (1 / math.sqrt(n) + 1 / math.sqrt(m))


def tv_bias(pooled: NDArray[np.float64], n: int, m: int) -> float:
    """By how much at most the plug-in total variation exceeds the truth on average: sum_k E|noise_k| / 2."""
    scale = np.sqrt(np.clip(pooled * (1 - pooled), 0, None) * (1 / n + 1 / m))
    return float(0.5 * math.sqrt(2 / math.pi) * scale.sum())


def distance_interval(distance: float, bias: float, n: int, m: int, level: float = 0.95) -> tuple[float, float]:
    half = deviation(n, m, level)
    return max(0.0, distance - bias - half), min(1.0, distance + half)


def jackknife_stderr(leave_out: NDArray[np.float64]) -> NDArray[np.float64]:
    """Delete-a-group jackknife: `leave_out` (g, ...) are the figure without each of g equal groups of rows."""
    groups = len(leave_out)
    spread: NDArray[np.float64] = ((leave_out - leave_out.mean(0)) ** 2).sum(0)
    return np.sqrt((groups - 1) / groups * spread)


def relabelled_gap(
    x: NDArray[np.float64], y: NDArray[np.float64], *, permutations: int, rng: np.random.Generator
) -> tuple[float, float]:
    """`(mean(x) - mean(y), p)`: one-sided `permutation_pvalue` over relabellings of the pooled scores.

    Exact whatever the scores are, as long as they were fixed before the labels of these rows were seen.
    """
    pooled = np.concatenate([x, y])
    n, total = len(x), len(pooled)
    block = min(permutations, max(1, 4_000_000 // total))
    sums = []
    for start in range(0, permutations, block):
        keys = rng.random((min(block, permutations - start), total), dtype=np.float32)
        sums.append(pooled[np.argpartition(keys, n - 1, axis=1)[:, :n]].sum(1))
    rounding = 1e-12 * max(1.0, float(np.abs(pooled).sum()))  # of the sums, which may be all alike
    pvalue = permutation_pvalue(float(x.sum()) - rounding, torch.from_numpy(np.concatenate(sums)))
    return float(x.mean() - y.mean()), pvalue


def stouffer(pvalues: NDArray[np.float64], weights: NDArray[np.float64]) -> float:
    """Stouffer's weighted sum of normal scores, valid for p-values each valid given all that came before it."""
    z = stats.norm.isf(np.asarray(pvalues, dtype=float))
    return float(stats.norm.sf((weights * z).sum() / np.linalg.norm(weights)))
