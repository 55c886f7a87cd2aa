"""Tests and distances by optimal transport: values against scipy, POT and closed forms; level, power, gradients."""

import math
from typing import Any

import numpy as np
import ot
import pytest
import torch
from scipy.stats import binom, wasserstein_distance

from pushforward import closed_form as cf
from pushforward.closed_form import Gaussian
from pushforward.errors import InputError
from pushforward.readings.significance import draw_members, permutation_test
from pushforward.twosample import transport
from pushforward.twosample.result import TestResult
from pushforward.twosample.transport_sinkhorn import SinkhornStatistic

METHODS = transport.METHODS
CASES: list[tuple[str, dict[str, Any]]] = [
    ("wasserstein-1d", {}),
    ("wasserstein-1d", {"p": 2.0}),
    ("exact-ot", {"rows": 12}),
    ("exact-ot", {"rows": 12, "p": 2.0}),
    ("sliced", {"projections": 10}),
    ("max-sliced", {"projections": 10, "p": 1.0}),
    ("sinkhorn", {}),
    ("sinkhorn", {"debiased": False}),
    ("unbalanced-sinkhorn", {}),
]


def pair(n: int, m: int, shift: float, seed: int = 0, d: int = 2) -> tuple[torch.Tensor, torch.Tensor]:
    g = torch.Generator().manual_seed(seed)
    x, y = (torch.randn(k, d, generator=g, dtype=torch.float64) for k in (n, m))
    return x + shift, y


def width(name: str) -> int:
    return 1 if name == "wasserstein-1d" else 2


def run(
    name: str, x: torch.Tensor, y: torch.Tensor, seed: int = 0, permutations: int = 39, **options: Any
) -> TestResult:
    g = torch.Generator().manual_seed(seed)
    return METHODS[name].test(x, y, permutations=permutations, generator=g, **options)


def value(name: str, x: torch.Tensor, y: torch.Tensor, **options: Any) -> float:
    return METHODS[name].distance(x, y, generator=torch.Generator().manual_seed(0), **options).value


def test_every_method_is_tested() -> None:
    assert {name for name, _ in CASES} == set(METHODS)


@pytest.mark.parametrize(
    ("name", "options", "tail"),
    [(*case, "ties") for case in CASES] + [(*case, "heavy") for case in CASES[::2]],
)
def test_type_one_error(name: str, options: dict[str, Any], tail: str) -> None:
    """Level .05 at n = 14, m = 10 in 40 tests: more than 12 rejections have probability below 1e-7, and a level of .5
    gives them 99 times in 100. Rows are rounded to halves, or Cauchy."""
    assert binom.sf(12, 40, 0.05) < 1e-7 < 0.99 < binom.sf(12, 40, 0.5)
    options = {k: v for k, v in options.items() if k != "rows"}
    statistic, found = METHODS[name].statistic(**options), 0
    for seed in range(40):
        x, y = pair(14, 10, 0.0, seed, width(name))
        if tail == "ties":
            x, y = ((2.0 * rows).round() for rows in (x, y))
        else:
            x, y = (torch.tan(math.pi * (torch.special.ndtr(rows) - 0.5)) for rows in (x, y))
        g = torch.Generator().manual_seed(seed)
        found += permutation_test(statistic, x, y, permutations=19, generator=g).pvalue <= 0.05
    assert found <= 12


@pytest.mark.parametrize(("name", "options"), CASES)
def test_power(name: str, options: dict[str, Any]) -> None:
    """A shift by 1.5 deviations in every column at 60 rows a side: each test has power above .9999."""
    for seed in range(3):
        x, y = pair(60, 60, 1.5, seed, width(name))
        result = run(name, x.float(), y.float(), seed, **options)
        assert result.pvalue == 1 / 40
        assert result.witness is not None
        assert float(result.witness.gap(x, y)) > 0.0
        assert (result.n_x, result.n_y) == (60, 60)


@pytest.mark.parametrize(("name", "options"), CASES)
def test_all_relabellings_at_once_are_the_relabellings(name: str, options: dict[str, Any]) -> None:
    x, y = pair(17, 12, 0.4, 0, width(name))
    if "sinkhorn" in name:
        options = {**options, "blur": 0.7}
    statistic = METHODS[name].statistic(**{k: v for k, v in options.items() if k != "rows"})
    members, pooled = draw_members(17, 12, 7, generator=torch.Generator().manual_seed(0)), torch.cat([x, y])
    observed, null = statistic.with_null(x, y, members)
    brute = torch.stack([statistic(pooled[row], pooled[~row]) for row in members.T])
    assert torch.allclose(null, brute, rtol=1e-6, atol=0.0)
    assert float(observed) == pytest.approx(float(statistic(x, y)), rel=1e-6)


@pytest.mark.parametrize(("name", "options"), CASES)
def test_gradients(name: str, options: dict[str, Any]) -> None:
    x, y = (rows.requires_grad_() for rows in pair(3, 2, 0.4, 0, width(name)))
    if "sinkhorn" in name:
        options = {**options, "blur": 0.7}
    statistic = METHODS[name].statistic(**{k: v for k, v in options.items() if k != "rows"})
    assert torch.autograd.gradcheck(statistic, (x, y), atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize(("name", "options"), CASES)
def test_equal_constant_and_few_rows(name: str, options: dict[str, Any]) -> None:
    x, _ = pair(12, 5, 0.0, 0, width(name))
    equal = run(name, x, x.clone(), **options)
    assert equal.pvalue == 1.0
    assert math.isfinite(equal.statistic)
    constant = run(name, torch.ones(9, width(name)), torch.ones(6, width(name)), **options)
    assert constant.pvalue == 1.0
    assert constant.statistic == pytest.approx(0.0, abs=1e-9)
    few = run(name, *pair(2, 2, 0.0, 0, width(name)), **options)
    assert 0.0 < few.pvalue <= 1.0


@pytest.mark.parametrize("method", ["wasserstein-1d", "exact-ot", "sliced", "max-sliced"])
def test_point_masses(method: str) -> None:
    """Data at 0, model at theta: W = |theta|, with gradient 1 where JS and TV are flat."""
    theta = torch.tensor(0.7, dtype=torch.float64, requires_grad=True)
    result = METHODS[method].statistic(p=1.0)(torch.zeros(5, 1, dtype=torch.float64), theta.expand(8, 1))
    result.backward()
    assert float(result.detach()) == pytest.approx(0.7)
    assert float(theta.grad) == pytest.approx(1.0)


@pytest.mark.parametrize(("n", "m"), [(50, 50), (40, 31), (7, 100)])
def test_wasserstein_1d_agrees_with_scipy_and_pot(n: int, m: int) -> None:
    x, y = pair(n, m, 0.3, 0, 1)
    a, b = x[:, 0].numpy(), y[:, 0].numpy()
    assert value("wasserstein-1d", x, y) == pytest.approx(wasserstein_distance(a, b), abs=1e-12)
    rng = np.random.default_rng(0)
    u, v = rng.random(n), rng.random(m)
    u[0] = 0.0
    weights = {"weights_x": torch.from_numpy(u), "weights_y": torch.from_numpy(v)}
    assert value("wasserstein-1d", x, y, **weights) == pytest.approx(wasserstein_distance(a, b, u, v), rel=1e-9)
    for p in (1.5, 2.0, 3.0):
        power = ot.wasserstein_1d(a, b, u / u.sum(), v / v.sum(), p=p)
        assert value("wasserstein-1d", x, y, p=p, **weights) == pytest.approx(float(power) ** (1 / p), rel=1e-9)


def test_wasserstein_1d_of_many_rows_and_ties() -> None:
    g = torch.Generator().manual_seed(0)
    x, y = torch.randn(200_000, 1, generator=g), torch.randn(150_000, 1, generator=g) * 1.2
    truth = wasserstein_distance(x[:, 0].double().numpy(), y[:, 0].double().numpy())
    e = METHODS["wasserstein-1d"].distance(x, y, generator=g)
    assert e.value == pytest.approx(truth, rel=1e-9)
    closed = float(cf.wasserstein1(Gaussian.univariate(0.0, 1.0), Gaussian.univariate(0.0, 1.2)))
    assert abs(e.value - closed) < 6 * e.stderr + 1e-3
    a, b = (x[:400] * 2).round(), (y[:300] * 2).round()
    truth = wasserstein_distance(a[:, 0].numpy(), b[:, 0].numpy())
    result = run("wasserstein-1d", a, b)
    assert result.statistic == pytest.approx(truth, rel=1e-6)
    assert float(result.witness.gap(a.double(), b.double())) == pytest.approx(truth, rel=1e-6)
    assert "certified" in result.witness.tags
    z = torch.linspace(-9.0, 9.0, 2001, dtype=torch.float64)
    slope = torch.diff(result.witness.psi(z[:, None])).abs() / torch.diff(z)
    assert 0.99 < float(slope.max()) <= 1.0 + 1e-6


@pytest.mark.parametrize(("method", "p"), [("wasserstein-1d", 1.0), ("wasserstein-1d", 2.0), ("sliced", 2.0)])
def test_intervals_cover(method: str, p: float) -> None:
    """Two Gaussians a shift of 1 apart: the plug-in's bias is small, and a 95 % interval misses more than 20 times in
    100 with probability 1e-7. It is not too wide either: the spread of the values is what the standard errors say."""
    d = width(method)
    truth = 1.0 if d == 1 else math.sqrt(float(cf.sliced_wasserstein2_squared(*isotropic(2))))
    values, errors, missed = [], [], 0
    for seed in range(100):
        x, y = pair(120, 90, 0.0, seed, d)
        x[:, 0] += 1.0
        options = {} if d == 1 else {"projections": 20}
        e = METHODS[method].distance(x, y, generator=torch.Generator().manual_seed(0), p=p, **options)
        missed += not e.low <= truth <= e.high
        values.append(e.value)
        errors.append(e.stderr)
    assert missed <= 20
    assert 0.7 < np.std(values) / np.mean(errors) < 1.4


def isotropic(d: int) -> tuple[Gaussian, Gaussian]:
    mean = torch.zeros(d, dtype=torch.float64)
    mean[0] = 1.0
    return Gaussian.isotropic(mean, 1.0), Gaussian.isotropic(torch.zeros(d, dtype=torch.float64), 1.0)


def test_exact_transport_agrees_with_pot_and_a_translation() -> None:
    x, y = pair(40, 33, 0.5, 0, 3)
    for p, metric in ((1.0, "euclidean"), (2.0, "sqeuclidean")):
        truth = ot.emd2([], [], ot.dist(x.numpy(), y.numpy(), metric=metric)) ** (1 / p)
        assert value("exact-ot", x, y, p=p) == pytest.approx(truth, rel=1e-9)
        result = run("exact-ot", x, y, p=p)
        assert result.statistic == pytest.approx(truth, rel=1e-9)
        assert float(result.witness.gap(x, y)) == pytest.approx(truth**p, rel=1e-9)
        assert value("exact-ot", x, x + 0.25, p=p) == pytest.approx(0.25 * math.sqrt(3), rel=1e-9)
    weights = torch.tensor([2.0] * 5 + [1.0] * 35)
    assert value("exact-ot", x, y, weights_x=weights) == pytest.approx(
        value("exact-ot", torch.cat([x, x[:5]]), y), rel=1e-9
    )
    few = run("exact-ot", x, y, rows=10)
    assert (few.n_x, few.n_y) == (40, 33)


def test_sliced_agrees_with_its_closed_form_and_pot() -> None:
    """SW_2^2 = |D|^2/d + (s0 - s1)^2 within .03: 400 directions leave .006 of spread and 2000 rows .01."""
    g = torch.Generator().manual_seed(0)
    p, q = isotropic(3)[0], Gaussian.isotropic(torch.zeros(3, dtype=torch.float64), 2.0)
    x, y = p.sample(2000, generator=g), q.sample(1500, generator=g)
    squared = value("sliced", x, y, projections=400) ** 2
    assert squared == pytest.approx(float(cf.sliced_wasserstein2_squared(p, q)), abs=0.1)
    statistic = METHODS["sliced"].statistic(projections=30, p=2.0)
    a, b = x[:50], y[:37]
    lines = statistic.directions(a, b)
    theirs = ot.sliced_wasserstein_distance(a.numpy(), b.numpy(), projections=lines.T.numpy(), p=2)
    assert float(statistic(a, b)) == pytest.approx(float(theirs), rel=1e-9)
    largest = METHODS["max-sliced"].statistic(projections=30)
    theirs = ot.max_sliced_wasserstein_distance(a.numpy(), b.numpy(), projections=largest.directions(a, b).T.numpy())
    assert float(largest(a, b)) == pytest.approx(float(theirs), rel=1e-9)
    result = run("sliced", a, b, projections=30)
    assert float(result.witness.gap(a, b)) == pytest.approx(result.statistic**2, rel=1e-9)


def test_max_sliced_finds_one_direction_among_many() -> None:
    """One column of 200 with twice the spread, d > n: a principal direction shows it, and labels choose nothing."""
    x, y = pair(80, 60, 0.0, 0, 200)
    x[:, 3] *= 8.0
    directions = METHODS["max-sliced"].statistic().directions(x, y)
    swapped = METHODS["max-sliced"].statistic().directions(y, x)
    assert torch.allclose(directions.norm(dim=1), torch.ones(len(directions)).double())
    assert float(directions[:, 3].abs().max()) > 0.9
    assert torch.allclose((directions @ swapped.T).abs().amax(1), torch.ones(len(directions)).double(), atol=1e-6)
    assert run("max-sliced", x, y).detected(0.05)


def gaussian_grid(mean: float, deviation: float) -> tuple[torch.Tensor, torch.Tensor]:
    z = torch.linspace(-9.0, 9.0, 400, dtype=torch.float64)
    return z[:, None], torch.exp(-0.5 * ((z - mean) / deviation) ** 2)


def entropic_gaussians(m0: float, s0: float, m1: float, s1: float, blur: float) -> float:
    """OT_eps of two Gaussians on the line in our convention: half of Janati et al. (2020), theorem 1, sigma = blur."""
    d = math.sqrt(4.0 * s0**2 * s1**2 + blur**4)
    bures = s0**2 + s1**2 - d + blur**2 * (1.0 - math.log(2.0 * blur**2)) + blur**2 * math.log(d + blur**2)
    return 0.5 * ((m0 - m1) ** 2 + bures)


@pytest.mark.parametrize("blur", [0.5, 1.0, 3.0])
def test_sinkhorn_between_gaussians(blur: float) -> None:
    """On a weighted grid, which integrates a Gaussian to rounding."""
    (x, a), (y, b) = gaussian_grid(0.5, 1.0), gaussian_grid(-0.3, 1.4)
    cross = entropic_gaussians(0.5, 1.0, -0.3, 1.4, blur)
    own = entropic_gaussians(0.5, 1.0, 0.5, 1.0, blur), entropic_gaussians(-0.3, 1.4, -0.3, 1.4, blur)
    weights = {"blur": blur, "weights_x": a, "weights_y": b}
    assert value("sinkhorn", x, y, debiased=False, **weights) == pytest.approx(cross, rel=1e-6)
    assert value("sinkhorn", x, y, **weights) == pytest.approx(cross - 0.5 * sum(own), rel=1e-6)


def entropy(pi: np.ndarray, reference: np.ndarray) -> float:
    """KL(pi | reference) = sum pi ln(pi/reference) - pi + reference."""
    return float((pi * np.log(pi / reference) - pi + reference).sum())


def test_sinkhorn_agrees_with_pot() -> None:
    """POT's plan for |x - y|^2 at reg = 2 blur^2 is ours; our value is <pi, |x-y|^2/2> + blur^2 KL(pi | a x b)."""
    x, y = pair(30, 20, 0.4)
    blur, cost = 0.8, ot.dist(x.numpy(), y.numpy())
    a, b = np.full(30, 1 / 30), np.full(20, 1 / 20)
    pi = ot.sinkhorn(a, b, cost, 2 * blur**2, method="sinkhorn_log", stopThr=1e-13, numItermax=10_000)
    ours = 0.5 * (pi * cost).sum() + blur**2 * entropy(pi, np.outer(a, b))
    assert value("sinkhorn", x, y, blur=blur, debiased=False) == pytest.approx(ours, rel=1e-6)
    theirs = ot.bregman.empirical_sinkhorn_divergence(x.numpy(), y.numpy(), 2 * blur**2)
    assert value("sinkhorn", x, y, blur=blur) != pytest.approx(float(theirs) / 2, rel=1e-3)  # without the entropy


def test_unbalanced_sinkhorn_agrees_with_pot() -> None:
    x, y = pair(30, 20, 0.4)
    blur, reach, cost = 0.8, 1.1, 0.5 * ot.dist(x.numpy(), y.numpy())
    a, b = np.full(30, 1 / 30), np.full(20, 1 / 20)
    pi = ot.unbalanced.sinkhorn_unbalanced(
        a, b, cost, blur**2, reach**2, reg_type="kl", stopThr=1e-14, numItermax=20_000
    )
    ours = (pi * cost).sum() + blur**2 * entropy(pi, np.outer(a, b))
    ours += reach**2 * (entropy(pi.sum(1), a) + entropy(pi.sum(0), b))
    options = {"blur": blur, "reach": reach, "debiased": False}
    assert value("unbalanced-sinkhorn", x, y, **options) == pytest.approx(ours, rel=1e-6)
    far = torch.cat([y, torch.full((1, 2), 1e3, dtype=torch.float64)])
    assert value("unbalanced-sinkhorn", x, far, blur=blur, reach=reach) < 0.3  # counted, and not weighed
    assert value("unbalanced-sinkhorn", x, y, blur=blur, reach=1e4) == pytest.approx(
        value("sinkhorn", x, y, blur=blur), rel=1e-4
    )


def test_sinkhorn_limits_and_tiles() -> None:
    x, y = pair(40, 30, 0.7)
    means = 0.5 * float(((x.mean(0) - y.mean(0)) ** 2).sum())
    assert value("sinkhorn", x, y, blur=300.0) == pytest.approx(means, rel=1e-3)
    exact = 0.5 * value("exact-ot", x, y, p=2.0) ** 2
    assert value("sinkhorn", x, y, blur=0.1) == pytest.approx(exact, rel=0.03)
    assert value("sinkhorn", x + 1e4, y + 1e4, blur=0.5) == pytest.approx(value("sinkhorn", x, y, blur=0.5), rel=1e-6)
    assert value("sinkhorn", x.float(), y.float(), blur=0.5) == pytest.approx(
        value("sinkhorn", x, y, blur=0.5), rel=1e-5
    )


def test_far_off_rows_that_scalings_cannot_hold() -> None:
    """Two clumps 1000 blurs apart, e^500000: the batch gives up and each relabelling is solved in logarithms."""
    x, y = pair(5, 4, 0.0, 0, 1)
    x[0], y[0] = 1e3, 1e3 + 1.0
    statistic = SinkhornStatistic(1.0)
    members, pooled = draw_members(5, 4, 3, generator=torch.Generator().manual_seed(0)), torch.cat([x, y])
    _, null = statistic.with_null(x, y, members)
    assert torch.allclose(null, torch.stack([statistic(pooled[r], pooled[~r]) for r in members.T]), rtol=1e-6)


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("wasserstein-1d", {}, "takes one column, not 2; use sliced or exact-ot"),
        ("sliced", {"p": 0.5}, "must be at least 1 and finite, not 0.5"),
        ("sliced", {"p": math.inf}, "must be at least 1 and finite"),
        ("max-sliced", {"projections": 0}, "at least one projection, not 0"),
        ("exact-ot", {"p": 3.0}, "p=1 or p=2, not 3"),
        ("exact-ot", {"rows": 1}, "at least 2 rows of each side, not rows=1"),
        ("exact-ot", {"iterations": 2}, "more than 2 iterations"),
        ("sinkhorn", {"blur": 0.0}, "blur must be a positive number"),
        ("sinkhorn", {"blur": "wide"}, "blur must be a positive number or"),
        ("sinkhorn", {"blur": 0.05, "iterations": 3}, "did not converge at blur=0.05"),
        ("unbalanced-sinkhorn", {"reach": -1.0}, "reach must be a positive number"),
        ("unbalanced-sinkhorn", {"reach": "far"}, "reach must be a positive number or"),
    ],
)
def test_unusable_input_is_one_sentence(name: str, options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        run(name, *pair(20, 20, 0.3), **options)
    assert "\n" not in str(caught.value)


def test_too_many_pairs_and_weighted_nulls_are_refused() -> None:
    with pytest.raises(InputError, match="25000000 at most; give fewer rows"):
        value("exact-ot", torch.zeros(6000, 1), torch.zeros(6000, 1))
    x, y = pair(6, 5, 0.0, 0, 1)
    members = draw_members(6, 5, 2, generator=torch.Generator())
    for name, options in (("wasserstein-1d", {}), ("exact-ot", {}), ("sinkhorn", {"blur": 1.0})):
        weighted = METHODS[name].statistic(weights_x=torch.ones(6), **options)
        with pytest.raises(InputError, match="test without weights"):
            weighted.with_null(x, y, members)
