"""What every method of the catalogue owes its user, whatever its family."""

import math
from typing import Any

import numpy as np
import pytest
import torch

from pushforward.errors import InputError
from pushforward.fitters import CriticFitter, DeepKernelFitter, LipschitzCriticFitter
from pushforward.twosample import METHODS, TestResult, discrepancy, distance, two_sample

CRITIC = CriticFitter(width=8, depth=1, steps=10)
OPTIONS: dict[str, dict[str, Any]] = {
    "c2st": {"model": "logistic"},
    "c2st-accuracy": {"model": "logistic"},
    "tv-accuracy": {"model": "logistic"},
    "critic": {"fitter": CRITIC},
    "nwj": {"model": "logistic"},
    "dv": {"model": "logistic"},
    "mmd-deep": {"fitter": DeepKernelFitter(width=8, steps=5)},
    "lipschitz-critic": {"fitter": LipschitzCriticFitter(width=8, depth=1, steps=8)},
    "lrt": {"log_p": lambda z: -0.5 * (z**2).sum(1), "log_q": lambda z: -0.5 * ((z - 1.0) ** 2).sum(1)},
    "ipm": {"functions": lambda z: torch.cat([z.tanh(), z.cos()], 1)},
    "me": {"steps": 5},
    "scf": {"steps": 5},
    "discrete": {"bins": 3},
}
"""Options that a method needs, or that make it quick."""
NO_GRADIENT = {"tv-knn", "discrete"}  # counts: steps, not slopes
ONE_COLUMN = {"wasserstein-1d", "wald-wolfowitz"}
TESTS = [name for name, method in METHODS.items() if method.test is not None]
DISTANCES = [name for name, method in METHODS.items() if method.distance is not None]
LOSSES = [name for name, method in METHODS.items() if method.statistic is not None and name not in NO_GRADIENT]


def rows(name: str, n: int, m: int, seed: int = 0, shift: float = 0.0) -> tuple[torch.Tensor, torch.Tensor]:
    g = torch.Generator().manual_seed(seed)
    d = 1 if name in ONE_COLUMN else 2
    return torch.randn(n, d, generator=g), torch.randn(m, d, generator=g) + shift


def answer(name: str, x: Any, y: Any, seed: int = 0) -> TestResult | None:
    """The result of 99 permutations, or None where the method refuses, which must be in one line."""
    try:
        return two_sample(x, y, name, permutations=99, seed=seed, **OPTIONS.get(name, {}))
    except InputError as error:
        if "\n" in str(error):
            pytest.fail(f"more than one line: {error}")
        return None


@pytest.mark.parametrize("name", METHODS)
def test_a_method_says_what_it_is(name: str) -> None:
    method = METHODS[name]
    for text in (method.reads, method.convention, method.cost, method.effect, method.assumes):
        assert 3 < len(text) < 140
        assert "\n" not in text
    assert method.test or method.distance


@pytest.mark.parametrize("name", TESTS)
def test_answers(name: str) -> None:
    """A valid, repeatable result with everything that was promised, for n other than m."""
    x, y = rows(name, 40, 30, shift=0.3)
    first, second = (two_sample(x, y, name, permutations=99, seed=3, **OPTIONS.get(name, {})) for _ in range(2))
    assert 0.0 < first.pvalue <= 1.0
    assert first.pvalue == second.pvalue
    assert first.statistic == second.statistic
    assert math.isfinite(first.statistic)
    assert (first.method, first.n_x, first.n_y) == (name, 40, 30)
    assert first.convention == METHODS[name].convention
    assert first.permutations in (0, 99)
    assert len(first.null) == first.permutations
    assert bool(torch.isfinite(first.null).all())
    assert first.seconds > 0.0
    assert math.isfinite(first.effect.value)
    if first.witness is not None:
        scores = first.witness.phi(x), first.witness.psi(y)
        assert [len(s) for s in scores] == [40, 30]
        assert all(bool(torch.isfinite(s).all()) for s in scores)


@pytest.mark.parametrize("name", TESTS)
def test_identical_samples_are_no_evidence(name: str) -> None:
    """x against its own copy, in float64 and as whole numbers: no NaN, and nothing found, or a sentence that says why.

    Tests that split the rows at random see two different halves, so a p-value below .05 is asked to stay rare only
    over three seeds: three in a row happen to a valid test once in 8000."""
    x, _ = rows(name, 30, 30)
    for z in (x.double(), x.mul(2.0).round().long()):
        results = [answer(name, z, z, seed) for seed in range(3)]
        pvalues = [result.pvalue for result in results if result is not None]
        assert all(0.0 < p <= 1.0 for p in pvalues)
        assert max(pvalues, default=1.0) > 0.05


@pytest.mark.parametrize("name", TESTS)
def test_constant_columns_and_constant_rows(name: str) -> None:
    """A column that says nothing changes no validity; all rows equal is no evidence at all, or one sentence."""
    x, y = rows(name, 30, 25)
    constant = (torch.zeros_like(x), torch.zeros_like(y))
    wide = tuple(torch.cat([a, torch.ones_like(a[:, :1])], 1) for a in (x, y)) if name not in ONE_COLUMN else (x, y)
    for a, b in (constant, wide):
        result = answer(name, a, b)
        if result is not None:
            assert 0.0 < result.pvalue <= 1.0
            assert math.isfinite(result.statistic)


@pytest.mark.parametrize("name", TESTS)
def test_other_types_of_number(name: str) -> None:
    """Half precision, whole numbers and truth values are taken, or refused in a sentence."""
    x, y = (a.numpy() for a in rows(name, 30, 25))
    for a, b in ((x.astype(np.float16), y.astype(np.float16)), (x > 0, y > 0)):
        result = answer(name, a, b)
        assert result is None or 0.0 < result.pvalue <= 1.0


@pytest.mark.parametrize("name", [name for name in DISTANCES if name != "variance"])  # that is blind to shifts
def test_distances_grow_with_the_difference(name: str) -> None:
    """A shift by two deviations is farther than one by none, by more than the larger standard error."""
    options = OPTIONS.get(name, {})
    near, far = (distance(*rows(name, 120, 100, seed=1, shift=shift), name, **options) for shift in (0.0, 2.0))
    errors = [e.stderr for e in (near, far) if math.isfinite(e.stderr)]  # graphs have none
    assert far.value - near.value > max(errors, default=0.0)


@pytest.mark.parametrize("name", LOSSES)
def test_losses_have_gradients(name: str) -> None:
    """Descending the discrepancy in y lowers it."""
    options = {} if name in ("nwj", "dv") else OPTIONS.get(name, {})
    x, y = rows(name, 24, 20, shift=1.0)
    loss, moving = discrepancy(name, **options), y.double().requires_grad_(True)
    before = loss(x.double(), moving)
    (slope,) = torch.autograd.grad(before, moving)
    assert float(slope.norm()) > 0.0
    after = loss(x.double(), (moving - 1e-4 * slope / slope.norm()).detach())
    assert float(after) < float(before.detach())


def test_large_columns_stay_quick() -> None:
    """A million rows of one column: ranks and transport on the line answer."""
    g = torch.Generator().manual_seed(0)
    x, y = torch.randn(1_000_000, generator=g), torch.randn(1_000_000, generator=g) + 0.01
    assert distance(x, y, "wasserstein-1d").value == pytest.approx(0.01, abs=0.006)
