"""Intervals and adjustments: known values, and coverage over repetitions.

Each repeated check states its size: with the true rate it fails with probability below 1e-6.
"""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from pushforward.evaluation import intervals

FALSE_FAILURE = 1e-6


def test_wilson_known_values() -> None:
    # Newcombe (1998), Statistics in Medicine 17, table I: 81/263, 15/148, 0/20, 1/29
    for k, n, low, high in (
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ):
        assert intervals.wilson(k / n, n) == pytest.approx((low, high), abs=5e-5)


@pytest.mark.parametrize("shift", [0.0, 0.2])
def test_distance_interval_covers(shift: float) -> None:
    """KS of U(0,1) and U(shift, 1 + shift) is `shift`. 300 repetitions at 95 %: more than 35 misses are a defect."""
    rng = np.random.default_rng(1)
    n, m, misses = 120, 200, 0
    for _ in range(300):
        distance = stats.ks_2samp(rng.random(n), rng.random(m) + shift).statistic
        low, high = intervals.distance_interval(distance, intervals.ks_bias(n, m), n, m)
        assert low <= distance <= high
        misses += not low <= shift <= high
    assert misses <= stats.binom.isf(FALSE_FAILURE, 300, 0.05)


def test_total_variation_interval_covers() -> None:
    rng = np.random.default_rng(2)
    p, q = np.array([0.5, 0.3, 0.1, 0.1]), np.array([0.3, 0.3, 0.1, 0.3])
    truth, n, m, misses = 0.5 * np.abs(p - q).sum(), 150, 90, 0
    for _ in range(300):
        a, b = rng.multinomial(n, p), rng.multinomial(m, q)
        distance = 0.5 * float(np.abs(a / n - b / m).sum())
        low, high = intervals.distance_interval(distance, intervals.tv_bias((a + b) / (n + m), n, m), n, m)
        misses += not low <= truth <= high
    assert misses <= stats.binom.isf(FALSE_FAILURE, 300, 0.05)


def test_relabelled_gap_is_exact_and_never_zero() -> None:
    """Under the null p is uniform on {1/20, ..., 1} for B = 19, whatever the scores: here heavy-tailed, and n != m."""
    rng = np.random.default_rng(3)
    scores = rng.standard_cauchy((600, 23))
    p = np.array([intervals.relabelled_gap(s[:9], s[9:], permutations=19, rng=rng)[1] for s in scores])
    counts = np.bincount(np.round(p * 20).astype(int), minlength=21)[1:]
    assert stats.chisquare(counts).pvalue > FALSE_FAILURE
    gap, least = intervals.relabelled_gap(np.ones(30), np.zeros(30), permutations=99, rng=rng)
    assert (gap, least) == (1.0, 0.01)
    assert intervals.relabelled_gap(np.ones(5), np.ones(7), permutations=99, rng=rng)[1] == 1.0  # ties count


def test_stouffer() -> None:
    assert intervals.stouffer(np.array([0.5, 0.5]), np.ones(2)) == pytest.approx(0.5)
    expected = stats.combine_pvalues([0.01, 0.2, 0.6], method="stouffer", weights=[1, 2, 3]).pvalue
    assert intervals.stouffer(np.array([0.01, 0.2, 0.6]), np.array([1.0, 2.0, 3.0])) == pytest.approx(expected)


def test_jackknife_of_a_correlation() -> None:
    """The standard error of Pearson's r of normal pairs is (1 - r^2)/sqrt(n); 20 groups know it to a sixth."""
    rng = np.random.default_rng(4)
    x = rng.multivariate_normal([0, 0], [[1, 0.6], [0.6, 1]], 4000)
    groups = [np.delete(x, np.arange(k, 4000, 20), 0) for k in range(20)]
    found = intervals.jackknife_stderr(np.array([np.corrcoef(g.T)[0, 1] for g in groups]))
    assert float(found) == pytest.approx((1 - 0.36) / np.sqrt(4000), rel=0.6)
