"""Two-sample tests: exact level, power where there is a difference, and clear refusals."""

import math
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch
from scipy.spatial.distance import cdist
from scipy.stats import binom

from pushforward import closed_form as cf
from pushforward.closed_form import Gaussian
from pushforward.errors import InputError
from pushforward.fitters import CriticFitter, KernelFitter
from pushforward.readings import explain, velocity
from pushforward.twosample import distance, two_sample

QUICK = CriticFitter(width=8, depth=1, steps=20)
CASES: list[tuple[str, dict[str, Any]]] = [
    ("mmd", {}),
    ("mmd", {"unbiased": False, "bandwidth": 1.0}),
    ("energy", {}),
    ("c2st", {"model": "logistic"}),
    ("c2st-accuracy", {"model": "logistic"}),
    ("c2st-accuracy", {"model": "logistic", "null": "binomial"}),
    ("critic", {"fitter": QUICK}),
    ("critic", {"fitter": KernelFitter()}),
]


def pair(n: int, m: int, shift: float, seed: int, d: int = 2) -> tuple[torch.Tensor, torch.Tensor]:
    g = torch.Generator().manual_seed(seed)
    return torch.randn(n, d, generator=g) + shift, torch.randn(m, d, generator=g)


@pytest.mark.parametrize(("method", "options"), CASES)
def test_type_one_error(method: str, options: dict[str, Any]) -> None:
    """Level: 300 tests of equal distributions at alpha = .05, n = 36, m = 24. Rejections of a valid test exceed 41 with
    probability 1e-8; a level of .2 (a witness read on its own training rows has .5 or more) does so 99 times in 100."""
    assert binom.sf(41, 300, 0.05) < 1e-7 < 0.99 < binom.sf(41, 300, 0.2)
    repetitions = 300 if options.get("fitter") is not QUICK else 100
    rejections = 0
    for seed in range(repetitions):
        x, y = pair(36, 24, 0.0, seed)
        rejections += two_sample(x, y, method, permutations=39, seed=seed, **options).detected(0.05)
    most = int(binom.isf(1e-7, repetitions, 0.05))
    assert rejections <= most


@pytest.mark.parametrize(("method", "options"), CASES)
def test_power(method: str, options: dict[str, Any]) -> None:
    """A shift by one deviation in both of two coordinates (best AUC .84) at n = 200 a side, 5 seeds: each test has
    power above .9999 there, and a blind one passes with probability 3e-7."""
    if options.get("fitter") is QUICK:
        options = {"fitter": CriticFitter(width=16, depth=1, steps=100)}
    for seed in range(5):
        result = two_sample(*pair(200, 200, 1.0, seed), method, permutations=99, seed=seed, **options)
        assert result.detected(0.05)


def test_boosted_trees_see_what_moments_hide() -> None:
    """Four clumps against their mean and covariance: same first two moments."""
    rng = np.random.default_rng(0)
    x = rng.choice([-1.0, 1.0], size=(150, 2)) + 0.1 * rng.normal(size=(150, 2))
    y = rng.normal(size=(150, 2)) * x.std()
    assert two_sample(x, y, "c2st").pvalue <= 0.01
    assert two_sample(x, y, "c2st", model="logistic").pvalue > 0.01


def test_mmd_result() -> None:
    x, y = pair(60, 80, 0.5, 0)
    result = two_sample(x, y, "mmd", bandwidth=1.3, permutations=99)
    brute = [torch.exp(-(torch.from_numpy(cdist(a, b)) ** 2) / (2 * 1.3**2)) for a, b in ((x, x), (y, y), (x, y))]
    xx, yy, xy = brute
    truth = (xx.sum() - 60) / (60 * 59) + (yy.sum() - 80) / (80 * 79) - 2 * xy.mean()
    assert result.statistic == pytest.approx(float(truth), rel=1e-6)
    assert result.effect.value == result.statistic
    assert (result.method, result.n_x, result.n_y, result.permutations) == ("mmd", 60, 80, 99)
    assert result.null.shape == (99,)
    assert result.pvalue == 0.01
    assert result.seconds > 0.0
    assert result.witness is not None
    assert float(result.witness.gap(x, y)) == pytest.approx(float(xx.mean() + yy.mean() - 2 * xy.mean()), rel=1e-4)


def test_mmd_estimates_its_closed_form() -> None:
    """Within six standard errors (2e-9), which are asked to be small against the value."""
    p, q = Gaussian.univariate(0.7, 1.0), Gaussian.univariate(0.0, 1.0)
    g = torch.Generator().manual_seed(0)
    e = distance(p.sample(1500, generator=g), q.sample(1000, generator=g), "mmd", bandwidth=1.0)
    truth = float(cf.mmd_squared(p, q, 1.0))
    assert abs(e.value - truth) < 6 * e.stderr
    assert e.stderr < 0.15 * truth


def test_energy_distance_states_its_convention() -> None:
    """2E|X-Y| - E|X-X'| - E|Y-Y'| without the pairs of a row with itself."""
    x, y = (a.double().numpy() for a in pair(40, 30, 0.5, 0))
    xx, yy, xy = cdist(x, x), cdist(y, y), cdist(x, y)
    truth = 2 * xy.mean() - xx.sum() / (40 * 39) - yy.sum() / (30 * 29)
    assert distance(x, y, "energy").value == pytest.approx(truth, rel=1e-9)
    assert two_sample(x, y, "energy", permutations=19).statistic == pytest.approx(truth, rel=1e-9)


def test_classifier_statistics() -> None:
    """Accuracy and AUC near Bayes (.69 and .76 for a shift of one deviation), six standard errors of 500 rows a
    side.
    """
    g = torch.Generator().manual_seed(0)
    x, y = torch.randn(1000, 1, generator=g) + 1.0, torch.randn(1000, 1, generator=g)
    p, q = Gaussian.univariate(1.0, 1.0), Gaussian.univariate(0.0, 1.0)
    accuracy = two_sample(x, y, "c2st-accuracy", model="logistic", permutations=99)
    assert abs(accuracy.statistic - float(cf.best_accuracy(p, q))) < 6 * 0.015
    assert abs(accuracy.effect.value - float(cf.best_auc(p, q))) < 6 * 0.015
    assert float(accuracy.null.mean()) == pytest.approx(0.5, abs=0.02)
    exact = two_sample(x, y, "c2st-accuracy", model="logistic", null="binomial")
    assert exact.pvalue == pytest.approx(binom.sf(round(exact.statistic * 1000) - 1, 1000, 0.5))
    assert exact.permutations == len(exact.null) == 0
    logit = two_sample(x, y, "c2st", model="logistic", permutations=99)
    assert abs(logit.statistic - 1.0) < 0.4  # E_P v - E_Q v = delta^2 = 1, the two KLs together


def test_cross_fitted_auc_is_the_distance_of_c2st() -> None:
    x, y = pair(400, 300, 0.5, 0)
    e = distance(x, y, "c2st", model="logistic")
    truth = float(cf.best_auc(Gaussian.univariate(math.sqrt(0.5), 1.0), Gaussian.univariate(0.0, 1.0)))
    assert e.low < truth < e.high
    with pytest.raises(InputError, match=r"no distance; known: .*c2st, c2st-accuracy, c2st-ridge.*energy"):
        distance(x, y, "critic")


def test_the_witness_of_a_test_can_be_read_on() -> None:
    x, y = pair(200, 200, 0.0, 0, d=3)
    x[:, 1] += 1.5
    for method, options in (
        ("mmd", {}),
        ("c2st", {"model": "logistic"}),
        ("critic", {"fitter": CriticFitter(steps=60)}),
    ):
        witness = two_sample(x, y, method, permutations=19, **options).witness
        assert witness is not None
        assert int(explain(witness, x, y, generator=torch.Generator().manual_seed(0)).ranked[0]) == 1
        assert int(velocity(witness, y).mean(0).argmax()) == 1


def test_detectable_effect() -> None:
    """At the shift whose MMD^2 equals `detectable()`, the test should reject about 80 times in 100: 60 are asked of 100
    (a correct rate of .8 gives fewer with probability 1e-6), and at most 97."""
    base = two_sample(*pair(100, 100, 0.0, 0, d=1), "mmd", bandwidth=1.0, permutations=400)
    target, q = base.detectable(0.05, 0.8), Gaussian.univariate(0.0, 1.0)
    shifts = torch.linspace(0.0, 1.5, 301)
    values = [float(cf.mmd_squared(Gaussian.univariate(float(s), 1.0), q, 1.0)) for s in shifts]
    shift = float(shifts[next(i for i, v in enumerate(values) if v >= target)])
    found = sum(
        two_sample(*pair(100, 100, shift, seed, d=1), "mmd", bandwidth=1.0, permutations=99, seed=seed).detected()
        for seed in range(1, 101)
    )
    assert 60 <= found <= 97
    assert math.isnan(
        two_sample(*pair(50, 50, 0.0, 0), "c2st-accuracy", model="logistic", null="binomial").detectable()
    )


def test_containers_agree_and_seeds_repeat() -> None:
    x, y = pair(50, 40, 0.3, 0)
    results = [
        two_sample(a, b, "mmd", permutations=99, seed=4)
        for a, b in (
            (x, y),
            (x.numpy(), y.numpy()),
            (x.tolist(), y.tolist()),
            (pl.DataFrame(x.numpy()), pl.DataFrame(y.numpy())),
            (x.reshape(50, 1, 2), y.reshape(40, 1, 2)),
            (x, y.double()),
        )
    ]
    assert len({round(r.statistic, 9) for r in results}) == 1
    assert len({r.pvalue for r in results}) == 1
    same = two_sample(x, y, "mmd", permutations=99, generator=torch.Generator().manual_seed(4))
    assert same.pvalue == results[0].pvalue
    column = two_sample(x[:, 0], y[:, 0], "mmd", permutations=19)
    assert column.statistic == two_sample(x[:, :1], y[:, :1], "mmd", permutations=19).statistic
    assert two_sample(np.arange(20), np.arange(20), "mmd", permutations=19).pvalue == 1.0


def test_missing_values_are_evidence_for_trees() -> None:
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(120, 2)), rng.normal(size=(120, 2))
    x[rng.random(120) < 0.5, 0] = np.nan
    assert two_sample(x, y, "c2st", missing=True).pvalue <= 0.01
    with pytest.raises(InputError, match="cannot take missing values"):
        two_sample(x, y, "mmd", missing=True)


GOOD = np.random.default_rng(0).normal(size=(30, 2))


def spoiled(value: float) -> np.ndarray:
    rows = GOOD.copy()
    rows[3, 1] = value
    return rows


@pytest.mark.parametrize(
    ("x", "y", "options", "message"),
    [
        (spoiled(np.nan), GOOD, {}, r"x has a missing value \(NaN\) in row 3, column 1"),
        (GOOD, spoiled(np.inf), {}, "y has an infinite value in row 3, column 1"),
        (GOOD, GOOD[:, :1], {}, "rows of x have 2 values but rows of y have 1"),
        (GOOD[:1], GOOD, {}, "x has 1 rows, and this test needs at least 2"),
        (GOOD, GOOD[:5], {"method": "c2st"}, "y has 5 rows, and this test needs at least 8"),
        (3.0, GOOD, {}, "x is a single number"),
        (GOOD[:, :0], GOOD[:, :0], {}, "x has no columns"),
        (np.array([["a"], ["b"]]), GOOD, {}, "not real numbers"),
        (GOOD + 1j, GOOD, {}, "not real numbers"),
        (torch.from_numpy(GOOD) + 1j, GOOD, {}, "complex"),
        (GOOD, GOOD, {"method": "mdm"}, "unknown method 'mdm'; known: mmd-agg, mmd, energy"),
        (GOOD, GOOD, {"bandwith": 1.0}, "not know the option 'bandwith'; its options are kernel, bandwidth, unbiased"),
        (GOOD, GOOD, {"bandwidth": -1.0}, "bandwidth must be a positive number"),
        (GOOD, GOOD, {"permutations": 10}, "cannot reach alpha=0.05; use at least 19"),
        (GOOD, GOOD, {"alpha": 0.0}, "alpha must lie between 0 and 1"),
        (GOOD, GOOD, {"method": "c2st", "statistic": "f1"}, '"logit", "accuracy" or "auc"'),
        (GOOD, GOOD, {"method": "c2st", "null": "binomial"}, "binomial null is for"),
        (GOOD, GOOD, {"method": "c2st-accuracy", "statistic": "logit"}, "does not know the option"),
        (GOOD, GOOD, {"method": "c2st", "train": 0.99}, "too few to train"),
        (GOOD, GOOD, {"method": "c2st", "train": 1.5}, "between 0 and 1"),
    ],
)
def test_unusable_input_is_one_sentence(x: Any, y: Any, options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        two_sample(x, y, **({"method": "mmd"} | options))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("alpha", [0.05, 0.1, 0.01, 0.03, 1 / 3])
def test_fewest_permutations(alpha: float) -> None:
    needed = math.ceil(1 / alpha - 1e-9) - 1
    assert two_sample(GOOD, GOOD, "mmd", permutations=needed, alpha=alpha).permutations == needed
    with pytest.raises(InputError, match=f"use at least {needed}"):
        two_sample(GOOD, GOOD, "mmd", permutations=needed - 1, alpha=alpha)
