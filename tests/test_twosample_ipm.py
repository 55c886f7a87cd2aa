"""Integral probability metrics: given functions, the Dudley metric, the Lipschitz critic."""

from typing import Any

import numpy as np
import pytest
import torch
from scipy.optimize import linprog
from scipy.stats import binom

from pushforward.errors import InputError
from pushforward.fitters.lipschitz import LipschitzCriticFitter
from pushforward.readings.significance import draw_members
from pushforward.twosample import ipm
from pushforward.twosample.result import TestResult

METHODS = ipm.METHODS
QUICK = {"fitter": LipschitzCriticFitter(width=8, depth=1, steps=8)}


def columns(rows: torch.Tensor) -> torch.Tensor:
    return rows


def radius(rows: torch.Tensor) -> torch.Tensor:
    return rows.norm(dim=1)


def rows_of(n: int, m: int, shift: float, seed: int, d: int = 2) -> tuple[torch.Tensor, torch.Tensor]:
    g = torch.Generator().manual_seed(seed)
    x, y = (torch.randn(k, d, generator=g, dtype=torch.float64) for k in (n, m))
    return x + shift, y


def run(
    name: str, x: torch.Tensor, y: torch.Tensor, seed: int = 0, permutations: int = 39, **options: Any
) -> TestResult:
    g = torch.Generator().manual_seed(seed)
    return METHODS[name].test(x, y, permutations=permutations, generator=g, **options)


@pytest.mark.parametrize(
    ("name", "options", "repetitions"),
    [
        ("ipm", {}, 60),
        ("ipm", {"functions": columns, "standardised": True}, 60),
        ("dudley", {"rows": 8}, 40),
        ("lipschitz-critic", QUICK, 40),
    ],
)
def test_type_one_error(name: str, options: dict[str, Any], repetitions: int) -> None:
    """Level .05 with ties (rounded rows): a valid test rejects more often than `most` with probability 1e-7."""
    most = int(binom.isf(1e-7, repetitions, 0.05))
    found = 0
    for seed in range(repetitions):
        x, y = rows_of(30, 20, 0.0, seed)
        found += run(name, (2 * x).round(), (2 * y).round(), seed, 19, **options).detected(0.05)
    assert found <= most


@pytest.mark.parametrize(
    ("name", "options"),
    [("ipm", {}), ("ipm", {"functions": [radius]}), ("dudley", {"rows": 30}), ("lipschitz-critic", {})],
)
def test_power(name: str, options: dict[str, Any]) -> None:
    """A shift by one deviation in both of two columns, 150 rows a side: every test here has power above .9999."""
    if name == "lipschitz-critic":
        options = {"fitter": LipschitzCriticFitter(width=16, depth=1, steps=60, learning_rate=1e-2)}
    for seed in range(3):
        assert run(name, *rows_of(150, 150, 1.0, seed), seed, 39, **options).detected(0.05)


def test_ipm_is_the_largest_difference_of_means() -> None:
    x, y = rows_of(40, 25, 0.4, 0, d=3)
    functions = [radius, lambda rows: rows[:, 0], lambda rows: -3.0 * rows[:, 1].sin()]
    result = run("ipm", x, y, functions=functions, permutations=199)
    each = [abs(float(f(x).mean() - f(y).mean())) for f in functions]
    assert result.statistic == pytest.approx(max(each), rel=1e-12)
    assert [part.name for part in result.parts] == [
        ["radius", "function 1", "function 2"][j] for j in np.argsort(each)[::-1]
    ]
    assert [part.statistic for part in result.parts] == pytest.approx(sorted(each, reverse=True))
    assert all(part.adjusted >= part.pvalue for part in result.parts)
    assert result.parts[0].adjusted == result.pvalue
    assert result.witness is not None
    assert float(result.witness.gap(x, y)) == pytest.approx(result.statistic)
    pooled = torch.cat([x, y])
    scaled = run("ipm", x, y, functions=functions, standardised=True)
    over = max(e / float(f(pooled).std()) for e, f in zip(each, functions, strict=True))
    assert scaled.statistic == pytest.approx(over, rel=1e-12)
    assert float(scaled.witness.gap(x, y)) == pytest.approx(over, rel=1e-9)


def test_ipm_null_and_matrix_functions() -> None:
    x, y = rows_of(20, 14, 0.4, 0)
    members, pooled = draw_members(20, 14, 8, generator=torch.Generator().manual_seed(0)), torch.cat([x, y])
    for options in ({}, {"functions": columns}, {"functions": [radius], "standardised": True}):
        statistic = METHODS["ipm"].statistic(**options)
        value, null = statistic.with_null(x, y, members)
        brute = torch.stack([statistic(pooled[row], pooled[~row]) for row in members.T])
        assert torch.allclose(null, brute, rtol=1e-9)
        assert float(value) == pytest.approx(float(statistic(x, y)), rel=1e-12)
    rows = x.clone().requires_grad_()
    assert torch.autograd.gradcheck(lambda t: METHODS["ipm"].statistic(functions=columns)(t, y), (rows,))


def test_ipm_interval_covers_the_population() -> None:
    """Means differ by .5 in one column of three; a valid 95 % interval misses more than 17 times in 80 with 1e-7."""
    missed = 0
    for seed in range(80):
        x, y = rows_of(80, 60, 0.0, seed, d=3)
        x[:, 1] += 0.5
        e = METHODS["ipm"].distance(x, y, generator=torch.Generator(), functions=columns)
        missed += not e.low <= 0.5 <= e.high
    assert missed <= binom.isf(1e-7, 80, 0.05)


def test_ipm_of_constant_functions() -> None:
    x, y = rows_of(20, 20, 0.5, 0)
    result = run("ipm", x, y, functions=[lambda rows: torch.full_like(rows[:, 0], 7.1)], standardised=True)
    assert result.statistic == pytest.approx(0.0, abs=1e-12)
    assert result.pvalue == 1.0
    assert run("ipm", torch.ones(9, 2), torch.ones(5, 2)).pvalue == 1.0


def programme(x: np.ndarray, y: np.ndarray) -> tuple[float, float]:
    """The Dudley metric and its L as the linear programme itself: values f_i, bounds L and s."""
    z, n = np.concatenate([x, y]), len(x)
    count = len(z)
    rows = []
    for i in range(count):
        for j in range(count):
            if i != j:
                row = np.zeros(count + 2)
                row[[i, j, count]] = 1.0, -1.0, -np.linalg.norm(z[i] - z[j])
                rows.append(row)
        for sign in (1.0, -1.0):
            row = np.zeros(count + 2)
            row[[i, count + 1]] = sign, -1.0
            rows.append(row)
    last = np.zeros(count + 2)
    last[count:] = 1.0
    means = np.concatenate([np.full(n, -1.0 / n), np.full(count - n, 1.0 / (count - n)), np.zeros(2)])
    bounds = [(None, None)] * count + [(0.0, None)] * 2
    found = linprog(means, A_ub=np.array([*rows, last]), b_ub=np.append(np.zeros(len(rows)), 1.0), bounds=bounds)
    return -found.fun, found.x[count]


@pytest.mark.parametrize(("n", "m", "scale"), [(12, 9, 1.0), (8, 8, 0.1), (7, 11, 20.0)])
def test_dudley_is_its_linear_programme(n: int, m: int, scale: float) -> None:
    x, y = rows_of(n, m, 0.3, 0)
    x, y = scale * x, scale * y
    value, _ = programme(x.numpy(), y.numpy())
    statistic = METHODS["dudley"].statistic()
    assert float(statistic(x, y)) == pytest.approx(value, rel=1e-8)
    result = run("dudley", x, y)
    assert result.statistic == pytest.approx(value, rel=1e-8)
    w = result.witness
    assert w is not None
    assert float(w.gap(x, y)) == pytest.approx(value, rel=1e-8)
    z = torch.cat([x, y, 5.0 * scale * rows_of(150, 1, 0.0, 1)[0]])
    f = w.psi(z)
    run_ = torch.cdist(z, z, compute_mode="donot_use_mm_for_euclid_dist")
    slope = ((f[:, None] - f).abs()[run_ > 0] / run_[run_ > 0]).max()
    assert 0.99 < float(f.abs().max() + slope) <= 1.0 + 1e-6  # certified on any rows, and not by being small


@pytest.mark.parametrize("rho", [0.3, 1.0, 12.0])
def test_dudley_of_two_points(rho: float) -> None:
    """2 rho/(2 + rho), with its derivative 4/(2 + rho)^2, wherever the programme's two constraints meet."""
    y = torch.full((4, 1), rho, dtype=torch.float64, requires_grad=True)
    value = METHODS["dudley"].statistic()(torch.zeros(3, 1, dtype=torch.float64), y)
    value.backward()
    assert float(value.detach()) == pytest.approx(2 * rho / (2 + rho), rel=1e-12)
    assert float(y.grad.sum()) == pytest.approx(4 / (2 + rho) ** 2, rel=1e-9)


def test_dudley_gradient_and_null() -> None:
    x, y = rows_of(7, 6, 0.3, 0)
    a, b = x.clone().requires_grad_(), y.clone().requires_grad_()
    statistic = METHODS["dudley"].statistic()
    assert torch.autograd.gradcheck(statistic, (a, b), atol=1e-5)
    members, pooled = draw_members(7, 6, 5, generator=torch.Generator().manual_seed(0)), torch.cat([x, y])
    _, null = statistic.with_null(x, y, members)
    assert torch.allclose(null, torch.stack([statistic(pooled[r], pooled[~r]) for r in members.T]))
    weights = torch.tensor([2.0] * 3 + [1.0] * 4)
    repeated = torch.cat([x, x[:3]])
    e = METHODS["dudley"].distance(x, y, generator=torch.Generator(), weights_x=weights)
    assert e.value == pytest.approx(float(statistic(repeated, y)), rel=1e-9)
    assert 0.0 <= e.low < e.value < e.high <= 2.0


def test_heavy_tails_and_equal_sets() -> None:
    g = torch.Generator().manual_seed(0)
    x = torch.tan(3.14 * (torch.rand(30, 1, generator=g, dtype=torch.float64) - 0.5))
    for name, options in (("ipm", {}), ("dudley", {}), ("lipschitz-critic", QUICK)):
        result = run(name, x, x.clone(), **options)
        assert 0.0 < result.pvalue <= 1.0
        if name != "lipschitz-critic":
            assert result.pvalue == 1.0
    assert run("dudley", 1e6 * x, x).statistic <= 2.0


def test_lipschitz_critic_result() -> None:
    x, y = rows_of(60, 40, 1.0, 0)
    result = run("lipschitz-critic", x, y, **QUICK)
    assert (result.n_x, result.n_y) == (60, 40)
    assert result.effect.value == pytest.approx(result.statistic)
    assert result.witness is not None
    assert "certified" not in result.witness.tags
    assert "uncertified" in METHODS["lipschitz-critic"].convention
    e = METHODS["lipschitz-critic"].distance(x, y, generator=torch.Generator().manual_seed(0), **QUICK)
    assert e.value == pytest.approx(result.statistic)


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("ipm", {"functions": []}, "at least one function"),
        ("ipm", {"functions": [columns]}, "columns must give one value for each row, not shape"),
        ("ipm", {"functions": lambda rows: rows[:3]}, "values for n rows, not shape"),
        ("ipm", {"functions": [radius, lambda rows: rows[:, 0].log()]}, "function 1 is not finite"),
        ("dudley", {"rows": 1}, "at least 2 rows of each side, not rows=1"),
        ("lipschitz-critic", {"train": 1.2}, "between 0 and 1"),
        ("lipschitz-critic", {"train": 0.1}, "too few to train"),
    ],
)
def test_unusable_input_is_one_sentence(name: str, options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        run(name, *rows_of(30, 30, 0.0, 0), **options)
    assert "\n" not in str(caught.value)


def test_dudley_refuses_too_many_pairs() -> None:
    with pytest.raises(InputError, match="4000000 at most; give fewer rows"):
        METHODS["dudley"].distance(torch.zeros(3000, 1), torch.zeros(2000, 1), generator=torch.Generator())
