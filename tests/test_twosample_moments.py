"""Means, spreads and Frechet distances: classical values, exact relabelling, level, power, refusals."""

import math
from typing import Any

import numpy as np
import pytest
import torch
from scipy.linalg import sqrtm
from scipy.stats import binom, f, ttest_ind

from pushforward.conformance import check_fitter
from pushforward.errors import InputError
from pushforward.fitters.moments import MeanFitter
from pushforward.readings.significance import permutation_test
from pushforward.twosample.moments import METHODS, Frechet, Hotelling, SpreadRatio, mean_distance
from pushforward.witness import Statistic

STATISTICS: list[Statistic] = [Hotelling(), Hotelling(0.2), SpreadRatio(), SpreadRatio("sum"), Frechet()]


def pair(n: int, m: int, d: int, seed: int = 0, shift: float = 0.0) -> tuple[torch.Tensor, torch.Tensor]:
    g = torch.Generator().manual_seed(seed)
    return torch.randn(n, d, generator=g) + shift, torch.randn(m, d, generator=g)


def run(method: str, x: torch.Tensor, y: torch.Tensor, seed: int = 0, permutations: int = 39, **options: Any) -> Any:
    test = METHODS[method].test
    assert test is not None
    return test(x, y, permutations=permutations, generator=torch.Generator().manual_seed(seed), **options)


@pytest.mark.parametrize("statistic", STATISTICS, ids=repr)
@pytest.mark.parametrize(("n", "m", "d"), [(30, 20, 1), (25, 35, 4), (9, 12, 40), (14, 30, 20), (2, 3, 2)])
def test_relabelling_at_once_is_relabelling_one_by_one(statistic: Any, n: int, m: int, d: int) -> None:
    x, y = pair(n, m, d, shift=0.3)
    x[:, 0], y[:, 0] = x[:, 0].round(), y[:, 0].round()
    g = torch.Generator().manual_seed(1)
    members = torch.stack([torch.randperm(n + m, generator=g) < n for _ in range(6)], 1)
    value, null = statistic.with_null(x, y, members)
    pooled = torch.cat([x, y])
    singly = torch.stack([statistic(pooled[row], pooled[~row]) for row in members.T])
    assert float(value) == pytest.approx(float(statistic(x, y)), rel=1e-6)
    assert torch.allclose(null, singly, rtol=1e-6, atol=1e-9)


def test_hotelling_is_the_classical_statistic() -> None:
    """Student's t squared in one dimension; in four, the formula itself; its F tail; any scale of the features."""
    x, y = pair(30, 20, 1, shift=0.5)
    t = float(ttest_ind(x[:, 0].double(), y[:, 0].double()).statistic)
    result = run("hotelling", x, y, null="f")
    assert result.statistic == pytest.approx(t * t, rel=1e-9)
    assert result.pvalue == pytest.approx(float(ttest_ind(x[:, 0].double(), y[:, 0].double()).pvalue), rel=1e-9)
    x, y = pair(30, 20, 4, shift=0.5)
    x[:, 1] *= 1e6
    y[:, 1] *= 1e6
    a, b = x.double().numpy(), y.double().numpy()
    pooled = (29 * np.cov(a.T) + 19 * np.cov(b.T)) / 48
    difference = a.mean(0) - b.mean(0)
    truth = 12.0 * difference @ np.linalg.solve(pooled, difference)
    result = run("hotelling", x, y, null="f")
    assert result.statistic == pytest.approx(truth, rel=1e-9)
    assert result.pvalue == pytest.approx(f.sf(truth * 45 / (4 * 48), 4, 45), rel=1e-8)
    constant = torch.full((50, 1), 0.1)
    assert float(Hotelling()(torch.cat([x, constant[:30]], 1), torch.cat([y, constant[:20]], 1))) == pytest.approx(
        truth, rel=1e-9
    )


def test_mean_distance_is_unbiased_and_covered() -> None:
    """delta^2 = 1 in 5 dimensions: the mean of 200 estimates within 6 standard errors (2e-9), the plug-in's (1.25 and
    more) outside them; at least 46 of 60 intervals cover it (Student's at 95 %: fewer with probability 2e-7)."""
    assert binom.cdf(45, 60, 0.95) < 1e-6
    values, plug_in, covered = [], [], 0
    for seed in range(200):
        x, y = pair(60, 50, 5, seed)
        x[:, 0] += 1.0
        values.append(float(mean_distance(x, y)))
        plug_in.append(float(Hotelling()(x, y)) * 110 / 3000)
        if seed < 60:
            e = METHODS["hotelling"].distance(x, y, generator=torch.Generator().manual_seed(seed))  # type: ignore[misc]
            covered += e.low <= 1.0 <= e.high
    error = np.std(values) / math.sqrt(200)
    assert abs(np.mean(values) - 1.0) < 6 * error < abs(np.mean(plug_in) - 1.0) + 3 * error
    assert covered >= 46


def frechet_of(mean: np.ndarray, a: np.ndarray, b: np.ndarray) -> float:
    return float(mean @ mean + np.trace(a + b - 2 * np.real(sqrtm(a @ b))))


def with_moments(mean: list[float], covariance: list[list[float]], n: int, seed: int) -> torch.Tensor:
    """n rows whose sample mean and (n - 1) covariance are exactly these."""
    z = torch.randn(n, len(mean), generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    z = z - z.mean(0)
    white = torch.linalg.solve_triangular(torch.linalg.cholesky(z.T.cov().reshape(len(mean), -1)), z.T, upper=False)
    return (torch.linalg.cholesky(torch.tensor(covariance, dtype=torch.float64)) @ white).T + torch.tensor(mean)


def test_frechet_values() -> None:
    one = Frechet()(with_moments([0.0], [[1.0]], 30, 0), with_moments([3.0], [[4.0]], 20, 1))
    assert float(one) == pytest.approx(10.0, rel=1e-9)
    two = Frechet()(
        with_moments([1.0, -1.0], [[2.0, 1.0], [1.0, 2.0]], 30, 0),
        with_moments([0.0, 0.0], [[1.0, 0.0], [0.0, 3.0]], 20, 1),
    )
    assert float(two) == pytest.approx(2.5166852264521, rel=1e-9)
    x, y = pair(50, 40, 6, shift=0.3)
    a, b = x.double().numpy(), y.double().numpy()
    assert float(Frechet()(x, y)) == pytest.approx(
        frechet_of(a.mean(0) - b.mean(0), np.cov(a.T), np.cov(b.T)), rel=1e-9
    )


def test_frechet_of_fewer_rows_than_features() -> None:
    """The nuclear norm, against the eigenvalues of the d x d product; and its null bias at d = 64, n = 2000 (1.104)."""
    x, y = pair(12, 15, 30)
    a, b = x.double().numpy(), y.double().numpy()
    roots = np.linalg.eigvals(np.cov(a.T) @ np.cov(b.T))
    trace = np.sqrt(np.clip(np.sort(roots.real)[-11:], 0, None)).sum()
    truth = ((a.mean(0) - b.mean(0)) ** 2).sum() + np.trace(np.cov(a.T)) + np.trace(np.cov(b.T)) - 2 * trace
    assert float(Frechet()(x, y)) == pytest.approx(truth, rel=1e-7)
    assert float(Frechet()(*pair(2000, 2000, 64))) == pytest.approx(1.104, rel=0.05)


@pytest.mark.parametrize("statistic", STATISTICS, ids=repr)
def test_gradients(statistic: Statistic) -> None:
    x, y = (rows.double() for rows in pair(9, 7, 3, shift=0.5))
    assert torch.autograd.gradcheck(statistic, (x.requires_grad_(), y.requires_grad_()), atol=1e-5)
    x, y = (rows.double() for rows in pair(5, 4, 12, shift=0.5))
    wide = Hotelling(0.2) if statistic == Hotelling() else statistic  # a share found from the rows is held fixed
    assert torch.autograd.gradcheck(wide, (x.requires_grad_(), y.requires_grad_()), atol=1e-5)


def test_brown_forsythe_spread() -> None:
    """The log ratio itself, and its interval over 100 pairs whose spreads differ by a factor e^.5 (95 %: fewer than 80
    covered with probability 1e-8)."""
    x, y = (rows.double() for rows in pair(51, 40, 2))
    y[:, 1] *= 3.0
    a, b = ((rows - rows.median(0).values).abs().mean(0) for rows in (x, y))
    e = METHODS["variance"].distance(x, y, generator=torch.Generator())  # type: ignore[misc]
    assert e.value == pytest.approx(float((a / b).log().abs().amax()), rel=1e-6)
    result = run("variance", x, y)
    assert result.parts[0].name == "feature 1"
    assert result.statistic == pytest.approx(result.parts[0].statistic)
    assert result.parts[0].adjusted >= result.parts[0].pvalue == pytest.approx(1 / 40)
    covered = 0
    for seed in range(100):
        x, y = pair(150, 120, 1, seed)
        e = METHODS["variance"].distance(x * math.exp(0.5), y, generator=torch.Generator())  # type: ignore[misc]
        covered += e.low <= 0.5 <= e.high
    assert binom.cdf(79, 100, 0.95) < 1e-7
    assert covered >= 80


@pytest.mark.parametrize("statistic", STATISTICS, ids=repr)
def test_level(statistic: Statistic) -> None:
    """Rejections at .05 of 200 equal pairs, n = 24, m = 16: more than 27 with probability below 2e-6 by a valid test,
    fewer with probability .02 at a level of .2."""
    assert binom.sf(27, 200, 0.05) < 2e-6
    assert binom.cdf(27, 200, 0.2) < 0.02
    seen = 0
    for seed in range(200):
        g = torch.Generator().manual_seed(seed)
        seen += permutation_test(statistic, *pair(24, 16, 2, seed), permutations=39, generator=g).pvalue <= 0.05
    assert seen <= 27


@pytest.mark.parametrize(
    ("method", "options"),
    [("hotelling", {}), ("hotelling", {"null": "f"}), ("variance", {}), ("variance", {"join": "sum"}), ("frechet", {})],
)
def test_power(method: str, options: dict[str, Any]) -> None:
    """Five clear differences at n = 100, each found (power > .9999; a blind test passes with probability 3e-7)."""
    for seed in range(5):
        x, y = pair(100, 100, 2, seed, shift=0.0 if method == "variance" else 1.0)
        assert run(method, 3.0 * x if method == "variance" else x, y, **options).pvalue <= 0.05


@pytest.mark.parametrize("method", list(METHODS))
def test_edge_cases(method: str) -> None:
    x, y = pair(20, 15, 3)
    assert run(method, x, x.clone()).pvalue == 1.0
    same = torch.full((12, 2), 0.1)
    assert run(method, same, same[:7]).pvalue == 1.0
    assert run(method, same.double(), same[:7].double()).statistic == pytest.approx(0.0, abs=1e-9)
    x[:, 1], y[:, 1] = 0.3, 0.3
    for a, b in ((x, y), (x[:2], y[:2]), (x.round(), y.round()), pair(8, 6, 50)):
        result = run(method, a, b)
        assert 0.0 < result.pvalue <= 1.0
        assert math.isfinite(result.statistic)
        assert math.isfinite(result.effect.value)


def test_mean_witness() -> None:
    """Certified and tight: the gap on its own rows is D'S^-1 D; shrunk and wide rows too."""
    for n, m, d in ((40, 30, 3), (8, 9, 25)):
        x, y = (rows.double() for rows in pair(n, m, d, shift=0.5))
        for shrinkage in (None, 0.3):
            witness = MeanFitter(shrinkage)(x, y, generator=torch.Generator())
            truth = float(Hotelling(shrinkage)(x, y)) * (n + m) / (n * m)
            assert float(witness.gap(x, y)) == pytest.approx(truth, rel=1e-8)
    check_fitter(MeanFitter())


@pytest.mark.parametrize(
    ("method", "options", "message"),
    [
        ("hotelling", {"shrinkage": 2.0}, "shrinkage must lie between 0 and 1, not 2.0"),
        ("hotelling", {"null": "chi2"}, 'the null is "permutation" or "f"'),
        ("variance", {"join": "mean"}, 'join must be "max" or "sum"'),
    ],
)
def test_refusals(method: str, options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        run(method, *pair(10, 10, 2), **options)
    with pytest.raises(InputError, match="independent features"):
        run("hotelling", *pair(5, 5, 20), null="f")
