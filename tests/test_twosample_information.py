"""Mutual information by its lower bounds, and the test of independence: against correlated Gaussians.

(x_k, y_k), k = 1 .. d, of correlation rho: I = -d/2 ln(1 - rho^2), and the critic that makes every bound tight is the
log density ratio  sum_k [ -ln(1 - rho^2)/2 - (rho^2 (x_k^2 + y_k^2) - 2 rho x_k y_k) / (2 (1 - rho^2)) ].
"""

import math
from typing import Any

import pytest
import torch
from scipy.stats import binom
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import PolynomialFeatures

from pushforward.errors import InputError
from pushforward.fitters.critic import CriticFitter
from pushforward.fitters.pairs import PairCritic, PairScore, info_nce
from pushforward.twosample.information import BOUNDS, independence_test, mutual_information


def gaussians(n: int, d: int, rho: float, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    draw = torch.Generator().manual_seed(seed)
    x, e = (torch.randn(n, d, generator=draw, dtype=torch.float64) for _ in range(2))
    return x, rho * x + math.sqrt(1 - rho**2) * e


def information(d: int, rho: float) -> float:
    return -0.5 * d * math.log(1 - rho**2)


def log_ratio(rho: float) -> PairScore:
    def score(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        off = (rho**2 * (x.square() + y.square()) - 2 * rho * x * y) / (2 * (1 - rho**2))
        return (-0.5 * math.log(1 - rho**2) - off).sum(1)

    return score


# ---- the bound of a matrix of scores


def test_infonce_is_its_formula_and_capped(generator: torch.Generator) -> None:
    scores = torch.randn(7, 7, generator=generator, dtype=torch.float64) * 3
    loss = 0.0
    for matrix in (scores, scores.T):
        for i in range(7):
            loss += float(torch.log(sum(torch.exp(matrix[i, j]) for j in range(7))) - matrix[i, i]) / 14
    assert float(info_nce(scores)) == pytest.approx(math.log(7) - loss, abs=1e-12)
    assert float(info_nce(torch.zeros(9, 9))) == pytest.approx(0.0, abs=1e-6)  # nothing told
    sure = 1e4 * torch.eye(9, dtype=torch.float64)
    assert float(info_nce(sure)) == pytest.approx(math.log(9), abs=1e-12)  # everything: the cap


@pytest.mark.parametrize(
    ("rho", "size", "expected"), [(0.5, 64, 2.456), (0.5, 512, 2.76), (0.8, 64, 4.12), (0.8, 512, 6.08)]
)
def test_infonce_of_the_optimal_critic(rho: float, size: int, expected: float) -> None:
    """In 20 dimensions, I = 2.877 and 10.217: what N candidates can show of it, the mean of 60 or 120 groups of N.

    Within 5.5 standard errors, of 59 degrees of freedom, which chance leaves less than once in 10^6 runs, and .02 for
    the rounding of the figures: at most .17 in all. Without the true pair among the candidates, or with its score
    doubled, it is off by more."""
    groups, values = 120 if size == 64 else 60, []
    x, y = gaussians(size * groups, 20, rho, seed=1)
    for a, b in zip(x.split(size), y.split(size), strict=True):
        off = rho**2 * (a.square().sum(1)[:, None] + b.square().sum(1)) - 2 * rho * a @ b.T
        values.append(info_nce(-0.5 * 20 * math.log(1 - rho**2) - off / (2 * (1 - rho**2))))
    found = torch.stack(values)
    stderr = float(found.std()) / math.sqrt(groups)
    assert abs(float(found.mean()) - expected) < 5.5 * stderr + 0.02 < 0.17
    assert float(found.mean()) < information(20, rho) + 5.5 * stderr
    assert float(found.max()) <= math.log(size)
    if size == 64:  # the same from the pairs themselves; their groups are others
        told = mutual_information(x, y, critic=log_ratio(rho), size=size)
        assert abs(told.value - float(found.mean())) < 5.5 * math.sqrt(2) * stderr
        assert told.stderr == pytest.approx(stderr, rel=0.6)


@pytest.mark.parametrize("bound", BOUNDS)
def test_bounds_are_tight_at_the_log_ratio(bound: str) -> None:
    """rho = .6 in 2 dimensions, I = .446. |z| > 5 happens by chance less than once in 10^6 runs; a bound that leaves
    out the +1 of its link, or is read with the wrong constant, is off by much more than its standard error of .02."""
    x, y = gaussians(6000, 2, 0.6, seed=2)
    found = mutual_information(x, y, bound=bound, critic=log_ratio(0.6))
    assert 0 < found.stderr < 0.025
    slack = 0.01 if bound == "infonce" else 0.0  # of N = 256: of order I/N
    assert abs(found.value - information(2, 0.6)) < 5 * found.stderr + slack


def test_a_constant_does_not_matter_to_dv_and_a_wrong_critic_stays_below() -> None:
    x, y = gaussians(4000, 2, 0.6, seed=3)
    plain, shifted = (
        mutual_information(x, y, bound="dv", critic=lambda a, b, c=c: log_ratio(0.6)(a, b) + c) for c in (0.0, 3.0)
    )
    assert shifted.value == pytest.approx(plain.value, abs=1e-9)
    off = mutual_information(x, y, bound="nwj", critic=lambda a, b: log_ratio(0.6)(a, b) + 1.0)
    # E_P[v + c + 1] - e^c = I + c + 1 - e^c
    assert abs(off.value - (information(2, 0.6) + 2 - math.e)) < 5 * off.stderr
    wrong = mutual_information(x, y, bound="nwj", critic=log_ratio(-0.6))
    assert wrong.high < 0


def test_the_standard_error_is_the_spread_over_repetitions() -> None:
    """The U-statistic's error against 60 fresh samples: their ratio has a standard deviation of about .1."""
    found = [
        mutual_information(*gaussians(200, 1, 0.7, seed=100 + k), bound="nwj", critic=log_ratio(0.7)) for k in range(60)
    ]
    spread = float(torch.tensor([one.value for one in found]).std())
    said = sum(one.stderr for one in found) / len(found)
    assert 0.6 < said / spread < 1.6
    covered = sum(one.low <= information(1, 0.7) <= one.high for one in found)
    assert binom.cdf(covered, 60, 0.93) > 1e-6


# ---- fitted critics


@pytest.mark.parametrize("bound", BOUNDS)
def test_learned_bounds_come_near_and_stay_below(bound: str) -> None:
    """rho = .8 in 1 dimension, I = .511, from 1600 pairs: at least .40, and no more than I by 5 standard errors."""
    x, y = gaussians(1600, 1, 0.8, seed=4)
    model = PairCritic(steps=120, width=32, depth=1, features=8)
    found = mutual_information(x.float(), y.float(), bound=bound, model=model)
    assert 0.40 < found.value < information(1, 0.8) + 5 * found.stderr
    assert found.low < information(1, 0.8)


@pytest.mark.parametrize("model", [CriticFitter(steps=200), make_pipeline(PolynomialFeatures(2), LogisticRegression())])
def test_classifiers_learn_it_too(model: Any) -> None:
    """The log ratio is a polynomial of second order."""
    x, y = gaussians(800, 1, 0.8, seed=5)
    found = mutual_information(x, y, bound="dv", model=model)
    assert 0.35 < found.value < information(1, 0.8) + 5 * found.stderr


def test_what_no_correlation_shows() -> None:
    """A noisy circle: the correlation is 0, the information is not. The p-value is the least that 199 permutations can
    give, and the interval lies above 0."""
    draw = torch.Generator().manual_seed(6)
    angle = 2 * math.pi * torch.rand(600, 1, generator=draw)
    x = angle.cos() + 0.1 * torch.randn(600, 1, generator=draw)
    y = angle.sin() + 0.1 * torch.randn(600, 1, generator=draw)
    found = independence_test(x, y, model=PairCritic(steps=200, width=32), permutations=199)
    assert found.pvalue == 1 / 200
    assert found.effect.low > 0
    assert found.method == "independence-infonce"
    assert len(found.null) == 199
    assert abs(float(found.null.mean())) < 1e-5 * float(found.null.std()) + 1e-6
    assert found.statistic > float(found.null.max())


def test_independent_pairs_are_seldom_called_dependent() -> None:
    """The level: of 40 samples without dependence at most Binomial(40, .1) are called so at .1, whatever the critic;
    its upper tail at 10^-6 is 15. A test that looks at the pairs it was fitted on calls far more of them so."""
    few = PairCritic(steps=10, width=8, depth=1, features=2)
    called = 0
    for k in range(40):
        x, y = gaussians(40, 1, 0.0, seed=1000 + k)
        called += independence_test(x, y, model=few, permutations=9, size=2, seed=k).pvalue <= 0.1
    assert called <= int(binom.isf(1e-6, 40, 0.1))


def test_same_seed_same_answer_and_the_order_of_the_pairs() -> None:
    x, y = gaussians(200, 2, 0.5, seed=7)
    quick = PairCritic(steps=20, width=8)
    one, two = (mutual_information(x, y, model=quick, seed=3) for _ in range(2))
    assert one == two
    assert mutual_information(x, y, model=quick, seed=4) != one
    pictures = x.reshape(200, 1, 2, 1)
    assert mutual_information(pictures, y, model=quick, seed=3) == one  # more dimensions are flattened


def test_a_constant_side_tells_nothing() -> None:
    x, _ = gaussians(200, 2, 0.5, seed=8)
    found = independence_test(x, torch.ones(200, 1), model=PairCritic(steps=20, width=8), permutations=19)
    assert found.pvalue > 0.05
    assert found.effect.value < 1e-6  # what the critic makes of x alone can only cost


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"y": torch.zeros(39, 1)}, "40 rows of x and 39 of y"),
        ({"x": torch.zeros(20, 1), "y": torch.zeros(20, 1)}, "too few"),
        ({"bound": "jsd"}, "infonce, dv, nwj, mine"),
        ({"bound": "nwj", "size": 8}, "size is the N of infonce"),
        ({"size": 30}, "two held-out groups"),
        ({"train": 1.0}, "train=1.0"),
        ({"bound": "mine", "model": "boosting"}, "critic of pairs of its own"),
        ({"x": torch.full((40, 1), math.nan)}, "x has values that are missing"),
    ],
)
def test_what_makes_no_sense_is_refused(change: dict[str, object], says: str) -> None:
    given: dict[str, object] = {"x": torch.arange(40.0)[:, None], "y": torch.arange(40.0)[:, None], **change}
    x, y = given.pop("x"), given.pop("y")
    with pytest.raises(InputError, match=says):
        mutual_information(x, y, model=given.pop("model", PairCritic(steps=1)), **given)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="permutation"):
        independence_test(torch.zeros(40, 1), torch.zeros(40, 1), permutations=0)
