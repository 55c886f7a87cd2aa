"""Variational lower bounds with their limits, and total variation as accuracy."""

import math
from typing import Any

import pytest
import torch
from scipy.stats import beta, binom

from pushforward import closed_form as cf
from pushforward.closed_form import Gaussian
from pushforward.errors import InputError
from pushforward.fitters.critic import CriticFitter
from pushforward.links import FGAN, LINKS
from pushforward.readings import estimate
from pushforward.twosample import bounds
from pushforward.twosample.bounds import METHODS
from pushforward.twosample.divergences import Divergence
from pushforward.twosample.gaussian import between
from pushforward.twosample.result import TestResult

F64 = torch.float64
P = Gaussian(torch.tensor([0.8, 0.6], dtype=F64), torch.eye(2, dtype=F64))
Q = Gaussian(torch.zeros(2, dtype=F64), torch.eye(2, dtype=F64))


def source(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def pair(n: int, m: int, seed: int, p: Gaussian = Q) -> tuple[torch.Tensor, torch.Tensor]:
    g = source(seed)
    return p.sample(n, generator=g).float(), Q.sample(m, generator=g).float()


def run(method: str, x: torch.Tensor, y: torch.Tensor, seed: int = 0, b: int = 19, **options: Any) -> TestResult:
    test = METHODS[method].test
    assert test is not None
    return test(x, y, permutations=b, generator=source(seed), **options)


def js_truth() -> float:
    """2 JSD of P and Q by quadrature along the line between their means, where the log ratio is t - 1/2."""
    t = torch.linspace(-9.0, 10.0, 20001, dtype=F64)
    p, q = (torch.exp(-0.5 * (t - c) ** 2) / math.sqrt(2 * math.pi) for c in (1.0, 0.0))
    f = LINKS["js"].f
    assert f is not None
    return float(torch.trapezoid(q * f(p / q), t))


@pytest.mark.parametrize("method", ["nwj", "dv", "tv-accuracy"])
def test_type_one_error(method: str) -> None:
    """Level: 80 tests of equal distributions at alpha = .05, n = 36, m = 24, read from a logistic model. Rejections of
    a valid test exceed the limit with probability 1e-7; a level of .4 does so 99 times in 100."""
    most = int(binom.isf(1e-7, 80, 0.05))
    assert binom.sf(most, 80, 0.4) > 0.99
    found = [run(method, *pair(36, 24, seed), seed, model="logistic") for seed in range(80)]
    assert sum(result.detected(0.05) for result in found) <= most


@pytest.mark.parametrize(
    ("method", "model"), [("nwj", "logistic"), ("nwj", "critic"), ("dv", "critic"), ("tv-accuracy", "logistic")]
)
def test_power(method: str, model: str) -> None:
    """delta = 1 at 400 rows a side: beyond all of the null, or p <= .005; a blind test passes once in 200."""
    assert run(method, *pair(400, 400, 0, P), 0, 199, model=model).pvalue <= 0.005


@pytest.mark.parametrize(
    "name", ["kl", "reverse-kl", "js", "jeffreys", "hellinger", "pearson", "neyman", "tv", "alpha", "renyi"]
)
def test_bounds_between_gaussians(name: str) -> None:
    """N(m, I) against N(0, I), delta = 1, 3000 rows a side, by a logistic log ratio, which is of the right form: the
    estimate is within six standard errors (2e-9) of the truth, and within 25 % of it or two of them; the lower
    confidence limit is below the truth. The chi-squares' own tails (moments of e^2v) make their errors the largest."""
    truth = js_truth() if name == "js" else float(between(Divergence(name), P, Q))
    e = bounds.bound_distance(*pair(3000, 3000, 0, P), generator=source(), divergence=name, model="logistic")
    assert abs(e.value - truth) < 6 * e.stderr
    assert e.value > truth - max(0.25 * truth, 2 * e.stderr)
    assert e.low < truth
    assert e.stderr < 0.3 * truth


@pytest.mark.parametrize("name", ["kl", "js"])
def test_neural_bounds_are_below_and_not_far(name: str) -> None:
    """A critic trained on 1000 rows a side reaches half of the truth and passes it by six standard errors at most."""
    truth = js_truth() if name == "js" else float(between(Divergence(name), P, Q))
    e = bounds.bound_distance(*pair(2000, 2000, 1, P), generator=source(), divergence=name)
    assert 0.5 * truth < e.value < truth + 6 * e.stderr
    assert e.low < truth


def test_lower_limits_hold() -> None:
    """60 repetitions at 120 rows a side: the 80 % interval's lower limit passes the truth with probability at most
    about .1; 22 of 60 or fewer do (a true rate of .1 exceeds that with probability 1e-8)."""
    truth, above = float(cf.kl(P, Q)), 0
    for seed in range(60):
        e = bounds.bound_distance(*pair(120, 120, seed, P), generator=source(seed), level=0.8, model="logistic")
        above += e.low > truth
    assert above <= 22
    assert binom.sf(22, 60, 0.1) < 1e-7


def test_donsker_varadhan() -> None:
    """The witness bounds KL, its value is within (t - 1)^2 of the nonlinear bound for t = mean e^(T - c), and it mends
    any constant that is added to the score."""
    fit_y, (x, y) = pair(4000, 4000, 3, P)[1], pair(4000, 4000, 4, P)
    ratio = cf.log_ratio(P, Q)
    witness = bounds.donsker_varadhan(lambda z: ratio(z.double()) + 7.0, fit_y)
    e, truth = estimate(witness, x, y), float(cf.kl(P, Q))
    assert abs(e.value - truth) < 6 * e.stderr < 0.2
    assert {"certified", "log_ratio"} <= witness.tags
    shifted = witness.phi(x) - 1.0
    nonlinear = float(shifted.mean() - witness.psi(y).mean().log())
    t = float(witness.psi(y).mean())
    assert e.value <= nonlinear + 1e-12
    assert nonlinear - e.value <= (t - 1.0) ** 2 + 1e-12
    fitted = bounds.dv_distance(*pair(3000, 3000, 0, P), generator=source(), model="logistic")
    assert abs(fitted.value - truth) < 6 * fitted.stderr < 0.4


def test_renyi_is_the_map_of_alpha() -> None:
    x, y = pair(400, 400, 0, P)
    options = {"model": "logistic", "order": 0.5}
    a = bounds.bound_distance(x, y, generator=source(), divergence="alpha", **options)
    r = bounds.bound_distance(x, y, generator=source(), divergence="renyi", **options)
    for got, base in ((r.low, a.low), (r.value, a.value), (r.high, a.high)):
        assert got == pytest.approx(-2.0 * math.log(1.0 - base / 4.0), rel=1e-6)
    step = 1e-5
    slope = (math.log(1 - (a.value - step) / 4) - math.log(1 - (a.value + step) / 4)) / step
    assert r.stderr == pytest.approx(slope * a.stderr, rel=1e-4)


def test_result_of_a_bound() -> None:
    x, y = pair(300, 200, 0, P)
    result = run("nwj", x, y, 5, divergence="js", model="logistic")
    assert result.effect.value == pytest.approx(result.statistic, rel=1e-5)
    assert result.null.shape == (19,)
    assert (result.method, result.n_x, result.n_y, result.permutations) == ("nwj", 300, 200, 19)
    assert result.witness is not None
    assert "certified" in result.witness.tags


def test_total_variation_as_accuracy() -> None:
    """TV = 2 Phi(1/2) - 1 = .383: near it at 3000 held-out rows a side (six standard errors), Clopper and Pearson's
    limits, and the exact tail."""
    truth = float(cf.total_variation(P, Q))
    x, y = pair(4000, 5000, 0, P)
    result = run("tv-accuracy", x, y, model="logistic")
    e, trials = result.effect, 4000
    right = round(trials * (e.value + 1) / 2)
    assert e.value == result.statistic == 2 * right / trials - 1
    assert abs(e.value - truth) < 6 * e.stderr < 0.1
    assert e.low == pytest.approx(2 * float(beta.ppf(0.025, right, trials - right + 1)) - 1)
    assert e.high == pytest.approx(2 * float(beta.ppf(0.975, right + 1, trials - right)) - 1)
    assert 0.0 < result.pvalue < 1e-30
    few = run("tv-accuracy", *pair(40, 60, 1, P), model="logistic")
    right = round(40 * (few.statistic + 1) / 2)
    assert few.pvalue == pytest.approx(float(binom.sf(right - 1, 40, 0.5)))
    assert few.permutations == len(few.null) == 0
    apart = run("tv-accuracy", torch.zeros(3000, 1), torch.ones(3000, 1), model="logistic")
    assert apart.statistic == apart.effect.high == 1.0
    assert 0.0 < apart.pvalue < 1e-300
    again = bounds.accuracy_distance(x, y, generator=source(), model="logistic")
    assert again == e


def test_lower_limits_of_total_variation_hold() -> None:
    """60 repetitions: the lower limit at .1 passes TV 22 times or less (a rate of .1, which Clopper and Pearson's
    limits and the classifier's own loss keep it below, exceeds that with probability 1e-8)."""
    truth, above = float(cf.total_variation(P, Q)), 0
    for seed in range(60):
        e = bounds.accuracy_distance(*pair(60, 60, seed, P), generator=source(seed), level=0.8, model="logistic")
        above += e.low > truth
    assert above <= 22
    assert binom.sf(22, 60, 0.1) < 1e-7


def test_edges() -> None:
    same = torch.ones(30, 2)
    for method in METHODS:
        result = run(method, same, same, model="logistic")
        assert 0.3 <= result.pvalue <= 1.0
        assert math.isfinite(result.statistic)
        g = source()
        wide = torch.randn(20, 60, generator=g), torch.randn(24, 60, generator=g)
        assert 0.0 < run(method, *wide, model="logistic").pvalue <= 1.0


@pytest.mark.parametrize(
    ("method", "options", "message"),
    [
        ("nwj", {"divergence": "mmd"}, "unknown divergence 'mmd'; known: kl"),
        ("nwj", {"train": 1.5}, "between 0 and 1, not 1.5"),
        ("dv", {"train": 0.99}, "too few to train on a share 0.99"),
        ("tv-accuracy", {"model": "oracle"}, "unknown classifier 'oracle'"),
    ],
)
def test_unusable_input_is_one_sentence(method: str, options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        run(method, *pair(40, 30, 0), **options)
    assert "\n" not in str(caught.value)


def test_a_fitter_of_the_bound_itself() -> None:
    fitter = CriticFitter(FGAN["hellinger"], width=16, depth=1, steps=100)
    e = bounds.bound_distance(*pair(600, 600, 0, P), generator=source(), divergence="hellinger", model=fitter)
    truth = float(cf.hellinger(P, Q))
    assert 0.3 * truth < e.value < truth + 6 * e.stderr


def test_one_far_row_cannot_swamp_the_bound() -> None:
    """A score that extrapolates to e^40 there, against its range on the rows it was fitted on."""
    x, y = pair(200, 200, 0, P)
    y[7] = 60.0
    for seed in range(4):
        assert (
            abs(bounds.bound_distance(x, y, generator=source(seed), divergence="pearson", model="logistic").value) < 20
        )
