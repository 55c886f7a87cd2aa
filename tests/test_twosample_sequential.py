"""Sequential tests: valid whenever one stops, quick where there is a difference."""

import itertools
import math
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from scipy.stats import binom

from pushforward.errors import InputError
from pushforward.twosample import betting, sequential
from pushforward.twosample.betting import KernelBetting
from pushforward.twosample.sequential import ClassifierBetting, Evidence, SequentialTest, log_evalues

TESTS: list[Callable[..., SequentialTest]] = [ClassifierBetting, KernelBetting]
METHODS = {**sequential.METHODS, **betting.METHODS}


def batch(g: torch.Generator, n: int, m: int, shift: float = 0.0) -> tuple[torch.Tensor, torch.Tensor]:
    return torch.randn(n, 2, generator=g) + shift, torch.randn(m, 2, generator=g)


@pytest.mark.parametrize("make", TESTS)
def test_type_one_error_under_optional_stopping(make: Callable[..., SequentialTest]) -> None:
    """300 null streams that drift from batch to batch, uneven in size, stopped as soon as p <= .1 in 8 looks: 66
    rejections or fewer, which a rate of .1 exceeds with probability 1e-9 (a level of .3 does so 99 times in 100)."""
    assert binom.sf(66, 300, 0.1) < 1e-8 < 0.99 < binom.sf(66, 300, 0.3)
    rejections = 0
    for seed in range(300):
        g, test = torch.Generator().manual_seed(seed), make(seed=seed)
        for step in range(8):
            x, y = batch(g, 5 + step % 3, 6)
            if test.update(x + step, y + step).detected(0.1):
                rejections += 1
                break
    assert rejections <= 66


@pytest.mark.parametrize("make", TESTS)
def test_power_on_a_shift(make: Callable[..., SequentialTest]) -> None:
    """Half a deviation in each of two coordinates: found at .001 within 60 batches of 10 rows a side in all of 5
    streams; a valid test without power does so with probability 1e-15."""
    for seed in range(5):
        g, test = torch.Generator().manual_seed(seed), make(seed=seed)
        assert any(test.update(*batch(g, 10, 10, 0.5)).detected(0.001) for _ in range(60))
        assert test.state.log_wealth > 5.0


@pytest.mark.parametrize("sizes", [(1, 1), (2, 3), (4, 2), (5, 1)])
def test_label_evalues_average_to_one(sizes: tuple[int, int]) -> None:
    """Over all choices of which rows are x the mean of e is 1, for each power of the odds; against the sum itself."""
    n, m = sizes
    scores = np.random.default_rng(0).normal(size=n + m) * 3.0
    found = []
    for chosen in itertools.combinations(range(n + m), n):
        mask = np.isin(np.arange(n + m), chosen)
        found.append(np.exp(log_evalues(scores[mask], scores[~mask])))
    np.testing.assert_allclose(np.mean(found, 0), 1.0, rtol=1e-12)
    weights = [np.exp(scores[list(c)].sum()) for c in itertools.combinations(range(n + m), n)]
    np.testing.assert_allclose([e[-1] for e in found], weights / np.mean(weights), rtol=1e-10)
    np.testing.assert_allclose([e[0] for e in found], 1.0)


def test_label_evalues_of_many_rows() -> None:
    """Dealt in parts, uneven sides, extreme scores: finite; constant scores stake nothing."""
    rng = np.random.default_rng(0)
    large = log_evalues(rng.normal(size=700) * 400.0, rng.normal(size=300) * 400.0)
    assert np.isfinite(large).all()
    np.testing.assert_allclose(log_evalues(np.ones(50), np.ones(300)), 0.0, atol=1e-9)
    perfect = log_evalues(np.full(64, 500.0), np.full(64, -500.0))
    choices = math.lgamma(129) - 2 * math.lgamma(65)
    np.testing.assert_allclose(perfect[1:], choices, rtol=1e-12)


def test_payoffs_change_sign_with_the_pair() -> None:
    g = torch.Generator().manual_seed(0)
    first, (x, y) = batch(g, 30, 30, 1.0), batch(g, 7, 7)
    payoffs = []
    for a, b in ((x, y), (y, x)):
        test = KernelBetting()
        test.update(*first)
        payoffs.append(test._payoffs(a.double(), b.double()))
    np.testing.assert_allclose(payoffs[0], -np.array(payoffs[1]), rtol=1e-12)
    assert max(map(abs, payoffs[0])) <= 1.0


@pytest.mark.parametrize("make", TESTS)
def test_wealth_never_overflows_and_is_never_lost(make: Callable[..., SequentialTest]) -> None:
    """Ten thousand rows a side, far apart: the p-value stays above 0 and wealth finite. Then equal streams for the
    classifier: a quarter of the wealth is never staked."""
    test = make()
    for _ in range(20):
        state = test.update(torch.ones(500, 1), -torch.ones(500, 1))
    assert state.log_wealth > 800.0
    assert state.pvalue == sys.float_info.min
    assert math.isfinite(state.wealth)
    assert (state.seen_x, state.seen_y, state.updates) == (10_000, 10_000, 20)
    for _ in range(5):
        last = test.update(-torch.ones(500, 1), torch.ones(500, 1))
    assert last.log_wealth < state.log_wealth
    assert last.log_peak == state.log_peak  # evidence once seen stays
    assert last.pvalue == state.pvalue


def test_evidence_reads() -> None:
    state = Evidence().after(math.log(50.0), 3, 4).after(-1.0, 1, 0)
    assert state.pvalue == pytest.approx(0.02)
    assert state.detected(0.05)
    assert not state.detected(0.01)
    assert state.wealth == pytest.approx(math.exp(-1.0))
    assert (state.seen_x, state.seen_y, state.updates) == (4, 4, 2)
    assert Evidence().pvalue == 1.0


@pytest.mark.parametrize("make", TESTS)
def test_streams_of_any_shape(make: Callable[..., SequentialTest]) -> None:
    """Empty sides, single rows, arrays, constants, more columns than rows, what is forgotten."""
    g, test = torch.Generator().manual_seed(0), make(remember=16)
    assert isinstance(test, SequentialTest)
    for n, m in ((0, 5), (5, 0), (1, 1), (9, 9), (3, 30), (1, 12), (40, 2)):
        x, y = batch(g, n, m)
        state = test.update(x.numpy(), y.numpy())
        assert math.isfinite(state.log_wealth)
    assert [len(past.rows()) for past in test._past] == [16, 16]
    constant = make()
    for _ in range(6):
        state = constant.update(torch.ones(10, 3), torch.ones(10, 3))
    assert state.pvalue == pytest.approx(1.0)
    wide = make()
    for _ in range(4):
        state = wide.update(torch.randn(9, 40, generator=g), torch.randn(9, 40, generator=g))
    assert 0.0 < state.pvalue <= 1.0


def test_any_classifier() -> None:
    """Boosted trees see four clumps that a line cannot, p < 1e-4."""
    rng, test, line = np.random.default_rng(0), ClassifierBetting(model="boosting"), ClassifierBetting()
    for _ in range(4):
        x = rng.choice([-1.0, 1.0], size=(60, 2)) + 0.1 * rng.normal(size=(60, 2))
        y = rng.normal(size=(60, 2))
        state, blind = test.update(x, y), line.update(x, y)
    assert state.detected(1e-4)
    assert not blind.detected(1e-4)


@pytest.mark.parametrize("method", sorted(METHODS))
def test_finite_sets(method: str) -> None:
    test = METHODS[method].test
    assert test is not None

    def run(x: torch.Tensor, y: torch.Tensor, seed: int = 0, **options: Any) -> Any:
        return test(x, y, permutations=99, generator=torch.Generator().manual_seed(seed), **options)

    g = torch.Generator().manual_seed(0)
    x, y = batch(g, 300, 200, 0.8)
    result = run(x, y)
    assert result.pvalue < 1e-4
    assert result.pvalue == pytest.approx(math.exp(-result.statistic))
    assert result.permutations == len(result.null) == 0
    assert result.effect.value > 0.0
    assert math.isnan(result.effect.low)
    assert float(result.witness.gap(x, y)) > 0.0
    assert run(x, y).pvalue == result.pvalue
    few = run(*batch(g, 3, 2))
    assert 0.0 < few.pvalue <= 1.0
    assert run(torch.ones(40, 1), torch.ones(30, 1)).pvalue == pytest.approx(1.0)
    rejections = sum(run(*batch(g, 60, 40), seed, batches=6).detected(0.1) for seed in range(40))
    assert rejections <= 17  # a rate of .1 exceeds it with probability 1e-8
    with pytest.raises(InputError, match="at least 2 batches, not 1"):
        run(x, y, batches=1)


@pytest.mark.parametrize("make", TESTS)
def test_unusable_input_is_one_sentence(make: Callable[..., SequentialTest]) -> None:
    test = make()
    test.update(torch.zeros(4, 2), torch.zeros(4, 2))
    for call, message in (
        (lambda: test.update(torch.zeros(4, 3), torch.zeros(4, 3)), "rows of x have 3 values, not 2 as before"),
        (lambda: test.update(torch.zeros(4, 2), torch.zeros(4, 3)), "rows of y have 3 values, not 2 as before"),
        (lambda: test.update(torch.full((4, 2), math.nan), torch.zeros(4, 2)), "x has a missing value"),
        (lambda: make(remember=2), "must remember at least 8 rows a side, not 2"),
    ):
        with pytest.raises(InputError, match=message) as caught:
            call()
        assert "\n" not in str(caught.value)
    assert test.state.updates == 1
