"""Kolmogorov-Smirnov and Cramer-von Mises: scipy's values with and without ties, adjustments, level, intervals."""

import math
from typing import Any

import numpy as np
import pytest
import torch
from scipy.stats import binom, cramervonmises_2samp, false_discovery_control, ks_2samp

from pushforward.errors import InputError
from pushforward.readings.adjust import adjust_pvalues, benjamini_hochberg, holm
from pushforward.twosample.ranks import METHODS, CramerVonMises, KolmogorovSmirnov, ks_interval


def pair(n: int, m: int, d: int, seed: int = 0, shift: float = 0.0) -> tuple[torch.Tensor, torch.Tensor]:
    g = torch.Generator().manual_seed(seed)
    return torch.randn(n, d, generator=g) + shift, torch.randn(m, d, generator=g)


def run(method: str, x: torch.Tensor, y: torch.Tensor, seed: int = 0, permutations: int = 39, **options: Any) -> Any:
    test = METHODS[method].test
    assert test is not None
    return test(x, y, permutations=permutations, generator=torch.Generator().manual_seed(seed), **options)


@pytest.mark.parametrize(("n", "m"), [(40, 40), (37, 52), (2, 3)])
@pytest.mark.parametrize("ties", [False, True])
def test_values_are_those_of_scipy(n: int, m: int, ties: bool) -> None:
    x, y = (rows.double() for rows in pair(n, m, 3, shift=0.3))
    if ties:
        x, y = x.mul(2).round(), y.mul(2).round()
    ks = [ks_2samp(x[:, j].numpy(), y[:, j].numpy(), method="exact") for j in range(3)]
    cvm = [cramervonmises_2samp(x[:, j].numpy(), y[:, j].numpy()) for j in range(3)]
    result = run("ks", x, y)
    assert result.statistic == pytest.approx(max(r.statistic for r in ks), abs=1e-12)
    assert {p.name: p.pvalue for p in result.parts} == {
        f"feature {j}": pytest.approx(r.pvalue, rel=1e-9) for j, r in enumerate(ks)
    }
    assert [p.pvalue for p in result.parts] == sorted(r.pvalue for r in ks)
    result = run("cvm", x, y)
    assert result.statistic == pytest.approx(sum(r.statistic for r in cvm), rel=1e-9)
    if ties:  # by relabelling, since scipy's law is not that of tied values
        assert all(40.0 * p.pvalue == pytest.approx(round(40.0 * p.pvalue)) for p in result.parts)
    else:
        assert [p.pvalue for p in result.parts] == pytest.approx(sorted(r.pvalue for r in cvm), rel=1e-9)


@pytest.mark.parametrize("statistic", [KolmogorovSmirnov(), CramerVonMises()], ids=repr)
def test_relabelling_at_once_is_relabelling_one_by_one(statistic: Any) -> None:
    x, y = pair(17, 12, 3, shift=0.5)
    x[:, 0], y[:, 0] = x[:, 0].round(), y[:, 0].round()
    g = torch.Generator().manual_seed(1)
    members = torch.stack([torch.randperm(29, generator=g) < 17 for _ in range(8)], 1)
    value, null = statistic.with_null(x, y, members)
    pooled = torch.cat([x, y])
    singly = torch.stack([statistic(pooled[row], pooled[~row]) for row in members.T])
    assert float(value) == pytest.approx(float(statistic(x, y)), abs=1e-12)
    assert torch.allclose(null, singly, atol=1e-12)


def test_adjustments() -> None:
    p = [0.04, 0.001, 0.03, 0.5, 0.012]
    assert holm(p) == pytest.approx([0.09, 0.005, 0.09, 0.5, 0.048])
    assert benjamini_hochberg(p) == pytest.approx(false_discovery_control(p))
    assert holm([0.9, 0.8]) == pytest.approx([1.0, 1.0])
    assert np.array_equal(adjust_pvalues(p, "bh"), benjamini_hochberg(p))
    assert len(holm([])) == len(benjamini_hochberg([])) == 0
    with pytest.raises(InputError, match='"holm" or "bh", not \'by\''):
        adjust_pvalues(p, "by")


def test_adjusted_parts() -> None:
    x, y = pair(100, 80, 6)
    x[:, 2] += 1.5
    x[:, 4] += 0.6
    for rule, function in (("holm", holm), ("bh", benjamini_hochberg)):
        result = run("ks", x, y, adjust=rule)
        assert result.parts[0].name == "feature 2"
        assert [p.adjusted for p in result.parts] == pytest.approx(list(function([p.pvalue for p in result.parts])))


@pytest.mark.parametrize("method", ["ks", "cvm"])
@pytest.mark.parametrize("null", ["permutation", "asymptotic"])
def test_level_and_power(method: str, null: str) -> None:
    """Rejections at .05 of 200 equal pairs, with ties in one feature: more than 27 with probability below 1e-6 by a
    valid test, fewer than that by one of level .2 with probability .02. Five shifts by one deviation at n = 100."""
    assert binom.sf(27, 200, 0.05) < 2e-6
    assert binom.cdf(27, 200, 0.2) < 0.02
    seen = 0
    for seed in range(200):
        x, y = pair(24, 16, 2, seed)
        if method == "ks" or null == "permutation":
            x[:, 0], y[:, 0] = x[:, 0].round(), y[:, 0].round()
        seen += run(method, x, y, seed, null=null).pvalue <= 0.05
    assert seen <= 27
    for seed in range(5):
        assert run(method, *pair(100, 100, 2, seed, 1.0), null=null).pvalue <= 0.05


def test_intervals_cover() -> None:
    """N(1, 1) and N(0, 1): D = 2 Phi(1/2) - 1. The interval of ks holds at any size (fewer than 40 of 50 at 95 %:
    1e-6); that of cvm has the truth 0.0814.. = int (F - G)^2 d(F + G)/2 inside as often."""
    grid = torch.linspace(-9.0, 10.0, 200_001, dtype=torch.float64)
    gap = torch.special.ndtr(grid) - torch.special.ndtr(grid - 1.0)
    density = (torch.exp(-0.5 * grid**2) + torch.exp(-0.5 * (grid - 1.0) ** 2)) / (2.0 * math.sqrt(2.0 * math.pi))
    truths = {"ks": float(gap.amax()), "cvm": float(torch.trapezoid(gap**2 * density, grid))}
    assert binom.cdf(39, 50, 0.95) < 1e-4
    for method, truth in truths.items():
        covered, width = 0, 0.0
        for seed in range(50):
            e = METHODS[method].distance(*pair(150, 150, 1, seed, 1.0), generator=torch.Generator())  # type: ignore[misc]
            covered += e.low <= truth <= e.high
            width = max(width, e.high - e.low)
        assert covered >= 40
        assert width < {"ks": 0.5, "cvm": 0.15}[method]
    cvm = METHODS["cvm"].distance
    assert cvm is not None
    null = torch.tensor([cvm(*pair(30, 20, 1, seed), generator=torch.Generator()).value for seed in range(100)])
    error = float(null.std()) / 10.0
    assert abs(float(null.mean())) < 6 * error < (1 / 30 + 1 / 20) / 6  # the plug-in's bias
    assert ks_interval(0.3, 10_000, 10_000, 1).low > 0.25
    assert ks_interval(0.99, 10, 10, 1).high == 1.0


@pytest.mark.parametrize("method", ["ks", "cvm"])
def test_a_million_rows(method: str) -> None:
    """Found at a shift of .02 (D = .008, five times its null scale) by the limiting null, without relabelling."""
    x, y = pair(1_000_000, 300_000, 1, shift=0.02)
    result = run(method, x, y, permutations=500)
    assert result.permutations == len(result.null) == 0
    assert 0.0 < result.pvalue < 1e-6
    assert result.seconds < 20.0


@pytest.mark.parametrize("method", ["ks", "cvm"])
def test_edge_cases(method: str) -> None:
    x, y = pair(20, 15, 3)
    for null in ("permutation", "asymptotic") if method == "ks" else ("permutation",):
        assert run(method, x, x.clone(), null=null).pvalue == 1.0
        assert run(method, torch.full((9, 2), 0.1), torch.full((5, 2), 0.1), null=null).pvalue == 1.0
    for a, b in ((x[:2], y[:2]), (x.round(), y), pair(6, 5, 40), (x.double(), y.double())):
        result = run(method, a, b)
        assert 0.0 < result.pvalue <= 1.0
        assert math.isfinite(result.statistic)
        assert result.effect.low <= result.effect.value <= result.effect.high
    with pytest.raises(InputError, match="no limiting null for tied values"):
        run("cvm", x.round(), y, null="asymptotic")
    far = run("ks", x + 1e6, y, null="asymptotic")
    assert far.statistic == 1.0
    with pytest.raises(InputError, match='the null is "auto", "permutation" or "asymptotic", not \'exact\''):
        run(method, x, y, null="exact")
    with pytest.raises(InputError, match="adjust must be"):
        run(method, x, y, adjust="none")
