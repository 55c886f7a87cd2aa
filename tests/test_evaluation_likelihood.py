"""Likelihoods: closed forms, bounds on the right side, and the trap of a model that stores its training rows.

Repeated checks state the probability with which correct code fails them (at most 1e-6).
"""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy import stats
from torch import Generator, Tensor
from torch.distributions import MultivariateNormal, Normal

from pushforward.errors import InputError
from pushforward.evaluation import likelihood as L
from pushforward.evaluation.job import prepare


def normal_log_prob(x: Tensor) -> Tensor:
    return Normal(0.0, 1.0).log_prob(x).sum(1)


def test_bits_per_dimension_known_values() -> None:
    """Uniform over 256 values: 8 bits, told as a density on [0, 1], one on [-1, 1], and as masses of the levels."""
    d = 12
    assert L.bits_of_nats(0.0, d) == 8.0
    assert L.bits_of_nats(d * math.log(2.0), d, span=2.0) == pytest.approx(8.0, abs=1e-12)
    assert L.bits_of_nats(d * math.log(256.0), d, span=256.0) == pytest.approx(8.0, abs=1e-12)
    assert L.bits_of_nats(d * math.log(2.0), d, bins=1) == pytest.approx(1.0, abs=1e-12)  # one bit each, no levels


def test_dequantised_bits_of_a_uniform_model_are_eight(generator: Generator) -> None:
    levels = torch.randint(0, 256, (50, 6), generator=generator)
    found = L.dequantised_bits(lambda x: torch.zeros(len(x)), levels, generator=generator)
    assert (found.value, found.units, found.kind, found.bound) == (8.0, "bits per dimension", "lower_bound", "above")
    wide = L.dequantised_bits(
        lambda x: torch.full((len(x),), -6 * math.log(2.0)), levels, low=-1.0, span=2.0, generator=generator
    )
    assert wide.value == pytest.approx(8.0, abs=1e-6)


def test_dequantisation_bounds_the_discretised_mass_from_above_and_tightens(generator: Generator) -> None:
    """A logistic density on 16 levels has cell masses in closed form: bits(1 draw) > bits(64 draws) > the truth."""
    levels = torch.randint(0, 16, (400, 3), generator=generator)
    scale = 0.4  # in cells, so that the density bends much within one
    edges = torch.arange(17, dtype=torch.float64)
    mass = torch.sigmoid((edges[1:] - 8.0) / scale) - torch.sigmoid((edges[:-1] - 8.0) / scale)
    truth = float(-mass.log2()[levels].mean())

    def log_prob(x: Tensor) -> Tensor:
        t = (x.double() - 8.0) / scale
        return (-t - 2 * torch.nn.functional.softplus(-t) - math.log(scale)).sum(1)

    def bits(draws: int) -> float:
        return L.dequantised_bits(
            log_prob, levels, bins=16, span=16.0, draws=draws, generator=Generator().manual_seed(draws)
        ).value

    one, many = bits(1), bits(256)
    assert one > truth + 0.05
    assert truth - 0.02 < many < one - 0.05


def test_variational_noise_is_checked_and_tightens_the_bound(generator: Generator) -> None:
    """p(x) = 2x on one cell: the mass is 1, uniform noise loses E[-ln 2u] = 1 - ln 2 nats, noise of density 2u none."""
    levels = torch.zeros(4000, 1, dtype=torch.int64)

    def log_prob(x: Tensor) -> Tensor:
        return torch.log(2 * x.double()).sum(1)

    def root(at: Tensor, generator: Generator) -> tuple[Tensor, Tensor]:
        u = torch.rand(at.shape, generator=generator, dtype=torch.float64).sqrt().clamp(max=1 - 1e-7)
        return u, torch.log(2 * u.float().double()).sum(1)

    plain = L.dequantised_bits(log_prob, levels, bins=1, generator=generator)
    assert abs(plain.value - (1 - math.log(2)) / math.log(2)) < 5 * plain.estimate.stderr  # false failure 6e-7
    assert L.dequantised_bits(log_prob, levels, bins=1, noise=root, generator=generator).value == pytest.approx(
        0.0, abs=1e-9
    )
    with pytest.raises(InputError, match="must lie in"):
        L.dequantised_bits(
            log_prob, levels, bins=1, noise=lambda at, g: (at + 1.0, torch.zeros(len(at))), generator=generator
        )


def test_negative_log_likelihood_is_the_entropy_and_covers(generator: Generator) -> None:
    """The entropy of N(0, I_3) is 3/2 ln(2 pi e). 300 repetitions at 95 %: more than 35 misses are a defect."""
    truth, misses = 1.5 * math.log(2 * math.pi * math.e), 0
    for _ in range(300):
        e = L.negative_log_likelihood(normal_log_prob, torch.randn(200, 3, generator=generator)).estimate
        misses += not e.low <= truth <= e.high
    assert misses <= stats.binom.isf(1e-6, 300, 0.05)


def test_perplexity(generator: Generator) -> None:
    uniform = L.perplexity(torch.full((30, 7), -math.log(50.0), dtype=torch.float64))
    assert uniform.value == pytest.approx(50.0, abs=1e-10)
    log_p = torch.tensor([[-1.0, -2.0, -9.0], [-3.0, -9.0, -9.0], [-0.5, -0.5, -2.0]])
    mask = torch.tensor([[1, 1, 0], [1, 0, 0], [1, 1, 1]])
    assert L.perplexity(log_p, mask=mask).value == pytest.approx(math.exp(9.0 / 6.0), abs=1e-12)
    # sequences that share their hardness: the interval must be as wide as sequences, not as tokens, warrant
    hard = torch.randn(100, 1, generator=generator).expand(100, 50) - 2.0
    alone, as_tokens = L.perplexity(hard), L.perplexity(hard.flatten())
    assert alone.estimate.stderr > 6 * as_tokens.estimate.stderr


def test_bounds_are_ordered_and_meet_at_the_posterior(generator: Generator) -> None:
    """z ~ N(0,1), x|z ~ N(z,1): ln p(x) = ln N(x; 0, 2). ELBO < IWAE-50 < ln p(x); with q the posterior all equal."""
    x = torch.linspace(-2, 2, 200, dtype=torch.float64)
    zero, one = torch.zeros_like(x), torch.ones_like(x)
    truth = float(Normal(zero, math.sqrt(2.0) * one).log_prob(x).mean())

    def weights(q: Normal, k: int) -> tuple[Tensor, Tensor]:
        z = q.loc + q.scale * torch.randn(k, 200, generator=generator, dtype=torch.float64)
        return Normal(zero, one).log_prob(z) + Normal(z, one).log_prob(x), q.log_prob(z)

    off = Normal(x * 0.5 + 0.4, 0.9 * one)
    joint, log_q = weights(off, 50)
    low, tight = L.elbo(joint, log_q), L.iwae(joint, log_q)
    assert low.value < tight.value - 0.05
    assert tight.value == pytest.approx(truth, abs=0.05)
    assert (low.kind, low.bound) == ("lower_bound", "below")
    exact = L.elbo(*weights(Normal(x * 0.5, math.sqrt(0.5) * one), 3))
    assert exact.value == pytest.approx(truth, abs=1e-12)


def test_annealed_importance_sampling_of_a_linear_generator(generator: Generator) -> None:
    """x = W z + b + sigma noise is N(b, WW' + sigma^2 I), and E[w] = p(x): the mean weight of each of 6 rows is p(x) to
    5.5 of its standard errors 1/sqrt(effective chains) (false failure 2e-7; sees .5 nats, as of a lost constant)."""
    w = torch.randn(5, 3, generator=generator, dtype=torch.float64)
    b = torch.randn(5, generator=generator, dtype=torch.float64)
    truth = MultivariateNormal(b, w @ w.T + 0.09 * torch.eye(5, dtype=torch.float64))
    z = torch.randn(6, 3, generator=generator, dtype=torch.float64)
    x = z @ w.T + b + 0.3 * torch.randn(6, 5, generator=generator, dtype=torch.float64)
    found = L.annealed_log_likelihood(
        lambda z: z @ w.T + b, x, latent=3, sigma=0.3, chains=300, temperatures=80, leapfrogs=5, generator=generator
    )
    ratio = torch.exp(found.rows - truth.log_prob(x))
    assert bool(((ratio - 1).abs() < 5.5 / found.effective.sqrt()).all())
    assert bool((found.effective > 30).all())
    assert 0.5 < found.accepted < 0.8
    assert (found.likelihood.kind, found.likelihood.bound) == ("importance", "below")


def test_kernel_density_is_the_mixture_of_its_kernels(generator: Generator) -> None:
    y = torch.randn(70, 2, generator=generator, dtype=torch.float64) + 50.0
    x = torch.randn(9, 2, generator=generator, dtype=torch.float64) + 50.0
    kernels = MultivariateNormal(y[:, None], 0.3**2 * torch.eye(2, dtype=torch.float64))
    expected = torch.logsumexp(kernels.log_prob(x), 0) - math.log(70)
    assert torch.allclose(L.kernel_log_density(x, y, width=0.3), expected, atol=1e-10)


def test_parzen_comes_near_the_entropy_and_orders_models(generator: Generator) -> None:
    """Of 2-d normals: within .15 nats of -entropy at m = 1200, and below it (the cross entropy is the larger)."""
    real, fake = (torch.randn(1200, 2, generator=generator) for _ in range(2))
    found = L.parzen_log_likelihood(real=real, fake=fake, generator=generator)
    assert found.kind == "estimate"
    assert found.value == pytest.approx(-math.log(2 * math.pi * math.e), abs=0.15)
    shifted = L.parzen_log_likelihood(real=real, fake=fake + 1.0, generator=generator)
    assert shifted.estimate.high < found.estimate.low - 0.5  # KL is 1
    assert L.fit_parzen(fake.round(), generator=generator).unbounded  # whole numbers have no density


def test_memorisation_beats_the_truth_and_the_holdout_tells(generator: Generator) -> None:
    """A tiny kernel on every training row: a higher training likelihood than the true density, and a huge gap."""
    train, holdout = (torch.randn(300, 4, generator=generator) for _ in range(2))
    stored = L.Parzen(train, 0.01)
    nll = {name: L.negative_log_likelihood(p, train) for name, p in (("truth", normal_log_prob), ("stored", stored))}
    assert nll["stored"].estimate.high < nll["truth"].estimate.low - 1.0
    gap = L.generalisation_gap(stored, train=train, holdout=holdout)
    assert gap.low > 100.0
    fair = L.generalisation_gap(normal_log_prob, train=train, holdout=holdout)
    assert abs(fair.value) < 4.9 * fair.stderr  # false failure 1e-6
    tuned = L.fit_parzen(train, generator=generator)
    assert L.negative_log_likelihood(tuned, holdout).value < L.negative_log_likelihood(stored, holdout).value - 100


def test_figure_on_points_and_why_it_is_left_out() -> None:
    from pushforward.evaluation.figures import LeftOut

    rng = np.random.default_rng(0)
    real, near, far = rng.normal(size=(900, 3)), rng.normal(size=(900, 3)), rng.normal(size=(900, 3)) * 3
    values = []
    for fake in (near, far):
        job = prepare({"real": real, "fake": fake}, suite="quick", alpha=0.05, seed=0)
        (metric,) = L.FIGURES[0].compute(job)
        assert metric.low is not None
        assert metric.baseline is not None
        assert metric.low < metric.value < metric.high
        values.append(metric.value - metric.baseline)
    assert abs(values[0]) < 0.25
    assert values[1] < -0.5
    for data, why in ((rng.normal(size=(200, 20)), "20 dimensions"), (rng.integers(0, 3, (200, 2)), "repeat")):
        job = prepare({"real": data.astype(float), "fake": data.astype(float)}, suite="quick", alpha=0.05, seed=0)
        with pytest.raises(LeftOut, match=why):
            L.FIGURES[0].compute(job)


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: L.negative_log_likelihood(lambda x: x, torch.ones(5, 2)), "one number for each row"),
        (lambda: L.negative_log_likelihood(lambda x: x[:, 0] * math.nan, torch.ones(5, 2)), "row 0 is NaN"),
        (lambda: L.negative_log_likelihood(normal_log_prob, torch.ones(5, 2), kind="guess"), "lower_bound"),
        (lambda: L.negative_log_likelihood(normal_log_prob, torch.ones(0, 2)), "no rows"),
        (lambda: L.bits_of_nats(1.0, 0), "above 0"),
        (lambda: L.kernel_log_density(torch.ones(3, 2), torch.ones(3, 4), width=1.0), "one d"),
        (lambda: L.fit_parzen(torch.ones(3, 2), generator=Generator()), "at least 10"),
        (lambda: L.fit_parzen(torch.ones(30, 2), generator=Generator()), "equal"),
        (lambda: L.elbo(torch.ones(3), torch.ones(3)), "draws, rows"),
        (
            lambda: L.dequantised_bits(normal_log_prob, torch.full((3, 2), 0.5), generator=Generator()),
            "whole numbers from 0 to 255",
        ),
        (lambda: L.bits_per_dim(L.perplexity(torch.zeros(3)), 2), "perplexity"),
    ],
)
def test_bad_input_says_what_to_do(call, says: str) -> None:
    with pytest.raises(InputError, match=says):
        call()
