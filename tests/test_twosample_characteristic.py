"""Moment generating and characteristic functions, and the optimised places: closed forms, level, power, refusals."""

import math
from typing import Any

import pytest
import torch
from scipy.stats import binom, chi2

from pushforward import closed_form as cf
from pushforward.closed_form import Gaussian
from pushforward.errors import InputError
from pushforward.fitters.kernel import GaussianKernel
from pushforward.fitters.moments import Places, optimise_places
from pushforward.readings.kernel_sums import kernel_sums
from pushforward.readings.significance import permutation_test
from pushforward.twosample.characteristic import (
    CharacteristicFunction,
    GeneratingFunction,
    characteristic_estimate,
    waves,
)
from pushforward.twosample.methods import METHODS
from pushforward.twosample.moments import Hotelling
from pushforward.twosample.places import held_out
from pushforward.witness import Statistic

STATISTICS: list[Statistic] = [
    GeneratingFunction(),
    GeneratingFunction(0.5, 8),
    CharacteristicFunction(1.0, 64),
    CharacteristicFunction(None, 16),
]


def pair(n: int, m: int, d: int, seed: int = 0, shift: float = 0.0) -> tuple[torch.Tensor, torch.Tensor]:
    g = torch.Generator().manual_seed(seed)
    return torch.randn(n, d, generator=g) + shift, torch.randn(m, d, generator=g)


def run(method: str, x: torch.Tensor, y: torch.Tensor, seed: int = 0, permutations: int = 39, **options: Any) -> Any:
    test = METHODS[method].test
    assert test is not None
    return test(x, y, permutations=permutations, generator=torch.Generator().manual_seed(seed), **options)


@pytest.mark.parametrize("statistic", STATISTICS, ids=repr)
@pytest.mark.parametrize("d", [1, 3])
def test_relabelling_at_once_is_relabelling_one_by_one(statistic: Any, d: int) -> None:
    x, y = pair(17, 12, d, shift=0.5)
    g = torch.Generator().manual_seed(1)
    members = torch.stack([torch.randperm(29, generator=g) < 17 for _ in range(6)], 1)
    value, null = statistic.with_null(x, y, members)
    pooled = torch.cat([x, y])
    singly = torch.stack([statistic(pooled[row], pooled[~row]) for row in members.T])
    assert float(value) == pytest.approx(float(statistic(x, y)), rel=1e-9)
    assert torch.allclose(null, singly, rtol=1e-6, atol=1e-9)  # the median sums in float64 in another order


@pytest.mark.parametrize("statistic", STATISTICS[:3], ids=repr)
def test_gradients(statistic: Statistic) -> None:
    x, y = (rows.double() for rows in pair(7, 6, 2, shift=0.5))
    assert torch.autograd.gradcheck(statistic, (x.requires_grad_(), y.requires_grad_()), atol=1e-6)


def test_characteristic_distance_is_the_gaussian_mmd() -> None:
    """Over 20,000 frequencies within six standard errors of the V-statistic of the same rows (2e-9), which are under
    4 % of it; a bandwidth off by a fifth would be seen."""
    x, y = pair(60, 50, 3, shift=0.5)
    statistic = CharacteristicFunction(1.3, 20_000, 7)
    points = statistic.points(x, y)
    each = (waves(x, points).mean(0) - waves(y, points).mean(0)).square().view(2, -1).sum(0)
    error = float(each.std()) / math.sqrt(20_000)
    truth = kernel_sums(GaussianKernel(1.3), x, y).statistic(unbiased=False)
    assert float(statistic(x, y)) == pytest.approx(float(each.mean()), rel=1e-9)
    assert abs(float(statistic(x, y)) - truth) < 6 * error < 0.04 * truth
    other = kernel_sums(GaussianKernel(1.04), x, y).statistic(unbiased=False)
    assert abs(other - truth) > 6 * error


def test_characteristic_estimate_meets_its_closed_form() -> None:
    """Six standard errors (2e-9), small against the value; without the bias of the rows at equal distributions."""
    p, q = Gaussian.univariate(0.7, 1.0), Gaussian.univariate(0.0, 1.0)
    g = torch.Generator().manual_seed(0)
    x, y = p.sample(1500, generator=g), q.sample(1000, generator=g)
    e = METHODS["cf"].distance(x, y, generator=g, bandwidth=1.0)  # type: ignore[misc]
    truth = float(cf.mmd_squared(p, q, 1.0))
    assert abs(e.value - truth) < 6 * e.stderr < truth
    sums = kernel_sums(GaussianKernel(1.0), x, y)
    wide = characteristic_estimate(CharacteristicFunction(1.0, 4000), x, y)
    assert wide.value == pytest.approx(sums.statistic(), rel=0.15)
    assert wide.stderr == pytest.approx(sums.stderr(), rel=0.15)
    null = [float(METHODS["cf"].distance(*pair(30, 30, 2, s), generator=g).value) for s in range(60)]  # type: ignore[misc]
    spread = torch.tensor(null).std().item() / math.sqrt(60)
    assert abs(sum(null) / 60) < 6 * spread < 1 / 30  # 1/n is the plug-in's bias


def test_characteristic_witness_is_tight() -> None:
    x, y = (rows.double() for rows in pair(80, 60, 2, shift=1.0))
    result = run("cf", x, y)
    assert result.witness.tags == {"certified", "tight", "differentiable"}
    assert float(result.witness.gap(x, y)) == pytest.approx(result.statistic, rel=1e-9)
    assert result.witness.psi(x.float()).dtype == torch.float32


def test_generating_function_of_gaussians() -> None:
    """log E e^{tx} - log E e^{ty} = a t for a shift by a: within .1 of a tau (five standard errors) for one feature."""
    x, y = pair(4000, 4000, 1, shift=0.5)
    scale = float(torch.cat([x, y]).std())
    assert float(GeneratingFunction(0.8)(x, y)) == pytest.approx(0.5 * 0.8 / scale, abs=0.1)


def test_heavy_tails_are_refused() -> None:
    g = torch.Generator().manual_seed(0)
    x, y = (torch.randn(300, 2, generator=g) / torch.randn(300, 2, generator=g) for _ in range(2))
    with pytest.raises(InputError, match=r"one row holds \d+% of the moment generating function at tau=0.5"):
        run("mgf", x, y)
    assert run("mgf", x, y, tau=0.05).pvalue > 0.0


def test_places_are_telling() -> None:
    """A wider first coordinate of six: optimised on one sample, places have 1.5 times the T^2 on another, over four
    samples, that they had where they began (measured: 2.2 times or more)."""
    for kind in ("me", "scf"):
        before, after = 0.0, 0.0
        for seed in range(4):
            (x, y), (a, b) = pair(400, 300, 6, seed), pair(400, 300, 6, 100 + seed)
            x[:, 0] *= 1.6
            a[:, 0] *= 1.6
            scores = []
            for steps in (0, 50):
                g = torch.Generator().manual_seed(seed)
                places = optimise_places(x, y, kind=kind, places=5, steps=steps, generator=g)
                assert isinstance(places, Places)
                scores.append(float(Hotelling(0.0)(places(a), places(b))))
            before, after = before + scores[0], after + scores[1]
        assert after > 1.5 * before


def test_limiting_null() -> None:
    x, y = pair(200, 200, 2)
    me = run("me", x, y, null="chi2", steps=5)
    assert me.pvalue == pytest.approx(chi2.sf(me.statistic, 5))
    scf = run("scf", x, y, null="chi2", steps=5, places=2)
    assert scf.pvalue == pytest.approx(chi2.sf(scf.statistic, 4))
    assert scf.permutations == len(scf.null) == 0
    same = run("scf", x, y, steps=5, places=2)
    assert same.statistic == pytest.approx(scf.statistic)
    assert same.permutations == 39
    fitted = run("me", *pair(200, 200, 2, 0, 1.0), steps=20).witness
    assert float(fitted.gap(*pair(500, 500, 2, 9, 1.0))) > 0.2


CASES: list[tuple[str, dict[str, Any]]] = [
    ("mgf", {}),
    ("cf", {"frequencies": 32}),
    ("me", {"steps": 5, "places": 2}),
    ("scf", {"steps": 5, "places": 2}),
]


@pytest.mark.parametrize(("method", "options"), CASES)
def test_level_and_power(method: str, options: dict[str, Any]) -> None:
    """Rejections at .05 of 100 equal pairs, n = 24, m = 16: more than 18 with probability 1e-6 by a valid test; places
    judged on the rows that they were found on reject far more. Five shifts by 1.5 deviations at n = 100, all found."""
    assert binom.sf(18, 100, 0.05) < 1e-6
    seen = 0
    for seed in range(100):
        x, y = pair(24, 16, 2, seed)
        if method in ("mgf", "cf"):
            statistic = GeneratingFunction() if method == "mgf" else CharacteristicFunction(None, 32)
            g = torch.Generator().manual_seed(seed)
            seen += permutation_test(statistic, x, y, permutations=39, generator=g).pvalue <= 0.05
        else:
            g = torch.Generator().manual_seed(seed)
            found, (a, b), _ = held_out(method, x, y, g, 2, 5, 0.5)
            seen += permutation_test(Hotelling(0.0), found(a), found(b), permutations=39, generator=g).pvalue <= 0.05
    assert seen <= 18
    for seed in range(5):
        assert run(method, *pair(100, 100, 2, seed, 1.5), **options).pvalue <= 0.05


@pytest.mark.parametrize(("method", "options"), CASES)
def test_edge_cases(method: str, options: dict[str, Any]) -> None:
    x, y = pair(20, 15, 3)
    same = torch.full((12, 2), 0.1)
    assert run(method, same, same[:9], **options).pvalue == 1.0
    if method in ("mgf", "cf"):
        assert run(method, x, x.clone(), **options).pvalue == 1.0
        assert 0.0 < run(method, x[:2], y[:2], **options).pvalue <= 1.0
    x[:, 1], y[:, 1] = 0.3, 0.3
    for a, b in ((x, y), (x.round(), y.round()), pair(10, 12, 40), (x.double(), y.double())):
        result = run(method, a, b, **options)
        assert 0.0 < result.pvalue <= 1.0
        assert math.isfinite(result.statistic)
        assert math.isfinite(result.effect.value)


@pytest.mark.parametrize(
    ("method", "options", "message"),
    [
        ("mgf", {"tau": -1.0}, "tau must be positive"),
        ("mgf", {"directions": 0}, "directions at least 1"),
        ("cf", {"bandwidth": 0.0}, "bandwidth must be a positive number"),
        ("cf", {"frequencies": 0}, "at least one frequency, not 0"),
        ("me", {"null": "normal"}, '"permutation" or "chi2"'),
        ("scf", {"places": 0}, "places must be at least 1"),
        ("me", {"train": 1.0}, "between 0 and 1, not 1.0"),
        ("me", {"train": 0.9}, "20 rows are too few to find places on a share 0.9"),
    ],
)
def test_refusals(method: str, options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        run(method, *pair(20, 20, 2), **options)
