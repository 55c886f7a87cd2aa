"""Diffusion: closed forms of Gaussians for the loss, the flow, the density and the guided score; then the estimators.

The statistical checks of closed forms ask whether a mean over independent draws is within 5.3 of its standard errors of
the truth: correct code fails one in 10^7. What they would catch is stated with each.
"""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch
from torch import Tensor, nn

from pushforward.conformance import check_estimator
from pushforward.data.tables import Block
from pushforward.errors import InputError
from pushforward.models.diffusion import Diffusion, Distilled, FlowMatching, Guided, distill, guide
from pushforward.nets import noise_levels, paths
from pushforward.nets.denoiser import Denoiser, Flow
from pushforward.nets.event import Event
from pushforward.nets.guided import Guided as GuidedNetwork
from pushforward.nets.guided import corrected
from pushforward.nets.level_networks import level_network
from pushforward.nets.one_step import OneStep, TeacherField
from pushforward.nets.units import Units
from pushforward.training.draw import Draw, Moment
from pushforward.twosample.calls import discrepancy

TINY: dict[str, Any] = {"steps": 4, "width": 16, "depth": 1, "sampling_steps": 3, "device": "cpu"}
CERTAIN = 5.3  # standard errors


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


class GaussianField(nn.Module):
    """F of data N(m, s^2) in every number: E[sin a x - cos a e | cos a x + sin a e = y]."""

    def __init__(self, m: float, s: float) -> None:
        super().__init__()
        self.m, self.s = m, s

    def forward(self, y: Tensor, a: Tensor, c: Tensor | None = None) -> Tensor:
        cos, sin = noise_levels.over(a.cos(), y), noise_levels.over(a.sin(), y)
        slope = sin * cos * (self.s**2 - 1) / (self.s**2 * cos**2 + sin**2)
        return sin * self.m + slope * (y - cos * self.m)


def exact(net: Any, m: float, s: float) -> Any:
    net.field = GaussianField(m, s)
    return net


def points(d: int) -> Event:
    return Event("points", (d,))


def gaussian_denoiser(m: float, s: float) -> noise_levels.Denoise:
    def denoise(x: Tensor, sigma: Tensor) -> Tensor:
        v = noise_levels.over(sigma, x) ** 2
        return (s**2 * x + v * m) / (s**2 + v)

    return denoise


def energy(x: Any, y: Any) -> float:
    return float(
        discrepancy("energy")(torch.as_tensor(np.asarray(x)).double(), torch.as_tensor(np.asarray(y)).double())
    )


# ---- the loss and its minimiser


def test_the_denoising_loss_is_least_at_the_score() -> None:
    """Of x ~ N(0, s^2) the score of x + sigma e is -x / (s^2 + sigma^2): there the loss has no slope in the factor of
    x, and 5 % beside it has one (more than 10 standard errors)."""
    s, sigma, n = 0.7, 0.5, 400_000
    x, e = s * torch.randn(n, 1, generator=rng(1), dtype=torch.float64), torch.randn(n, 1, generator=rng(2)).double()

    def slope(factor: float) -> tuple[float, float]:
        by = torch.full((n,), factor, dtype=torch.float64, requires_grad=True)
        loss = noise_levels.dsm_loss(lambda rows, _: by[:, None] * rows, x, torch.full((n,), sigma).double(), e)
        (each,) = torch.autograd.grad(loss.sum(), by)
        return float(each.mean()), float(each.std()) / math.sqrt(n)

    truth = -1 / (s**2 + sigma**2)
    mean, error = slope(truth)
    assert abs(mean) < CERTAIN * error
    mean, error = slope(1.05 * truth)
    assert abs(mean) > 2 * CERTAIN * error


def test_score_and_denoiser_are_one_another() -> None:
    x, sigma = (
        torch.randn(6, 2, 3, generator=rng(), dtype=torch.float64),
        torch.linspace(0.1, 3, 6, dtype=torch.float64),
    )
    denoise = gaussian_denoiser(0.3, 0.8)
    score = noise_levels.score_of_denoiser(denoise(x, sigma), x, sigma)
    over = noise_levels.over(sigma, x)
    torch.testing.assert_close(score, -(x - 0.3) / (0.8**2 + over**2))
    torch.testing.assert_close(noise_levels.denoiser_of_score(score, x, sigma), denoise(x, sigma))


def test_the_network_is_preconditioned_to_a_denoiser() -> None:
    """The exact F gives the exact denoiser; and the loss there is the variance that no network explains."""
    net = exact(Denoiser(points(1), width=8, depth=1, steps=4, generator=rng()), 0.3, 0.8)
    x, sigma = 3 * torch.randn(50, 1, generator=rng(1)), torch.linspace(0.01, 30, 50)
    torch.testing.assert_close(net.denoise(x, sigma), gaussian_denoiser(0.3, 0.8)(x, sigma), rtol=1e-5, atol=1e-5)
    rows = 0.3 + 0.8 * torch.randn(100_000, 1, generator=rng(2))
    told = net.learn(rows, Moment(0, 1, Draw(rng(3))))["denoising"].double()
    levels = noise_levels.log_normal_levels((torch.arange(100_000) + 0.5) / 100_000, mean=-0.5, spread=1.4)
    a = levels.atan().double()
    left = (0.8**2 / (0.8**2 * a.cos() ** 2 + a.sin() ** 2)).mean()  # var(sin a x - cos a e | y)
    assert abs(told.mean() - left) < CERTAIN * told.std() / math.sqrt(len(rows))


def test_levels_are_spread_evenly_over_their_law() -> None:
    """One in every n-th of it, so that the mean of ln sigma is within 1 / n of its own."""
    levels = noise_levels.log_normal_levels(noise_levels.evenly(1000, Draw(rng())), mean=-0.5, spread=1.4)
    p = torch.special.ndtr((levels.log() + 0.5) / 1.4)
    assert bool(((p * 1000).floor() == torch.arange(1000)).float().mean() > 0.99)
    alone = noise_levels.evenly(10, Draw(rng()))
    shared = torch.cat([noise_levels.evenly(5, Draw(rng(), rank=rank, world_size=2)) for rank in (0, 1)])
    assert torch.equal(alone, shared)
    assert noise_levels.schedule(1, 0.1, 10.0) == (10.0, 0.0)
    falling = noise_levels.schedule(5, 0.1, 10.0)
    assert falling[0] == pytest.approx(10.0)
    assert falling[-2] == pytest.approx(0.1)
    assert falling[-1] == 0.0


# ---- samplers


@pytest.mark.parametrize("rising", [False, True])
def test_the_sampler_follows_the_probability_flow_of_a_gaussian(rising: bool) -> None:
    """x_t = mu + (x_T - mu) sqrt((s^2 + t^2) / (s^2 + T^2)), to second order: half the step, a quarter of the error."""
    m, s = 0.5, 0.3
    x = torch.linspace(-30, 30, 41, dtype=torch.float64)[:, None]
    errors = []
    for steps in (32, 64, 128):
        levels = noise_levels.schedule(steps, 0.05, 20.0)[:-1]
        levels = levels[::-1] if rising else levels
        truth = m + (x - m) * math.sqrt((s**2 + levels[-1] ** 2) / (s**2 + levels[0] ** 2))
        found = noise_levels.heun(gaussian_denoiser(m, s), x, levels)
        errors.append(float(((found - truth) / truth.abs().max()).abs().max()))
    assert errors[2] < 5e-4
    assert errors[0] / errors[1] == pytest.approx(4, rel=0.25)
    assert errors[1] / errors[2] == pytest.approx(4, rel=0.15)


def test_the_stochastic_sampler_keeps_the_law() -> None:
    """By the exact denoiser of a Gaussian a sample is linear in all its noise, so that its mean and variance are known
    without drawing any: they come to those of the data as the steps are made finer."""
    m, s, errors = 0.5, 0.6, []
    for steps in (40, 160, 640):
        levels = noise_levels.schedule(steps, 2e-3, 80.0)
        units = torch.eye(steps + 1, dtype=torch.float64)
        inputs = torch.cat([units[:1] * 0, units])  # nothing, the start alone, the noise of each step alone
        x = noise_levels.churned(gaussian_denoiser(m, s), 80 * inputs[:, :1], levels, inputs[:, 1:, None], churn=10.0)
        errors.append(abs(float((x[1:] - x[0]).square().sum()) / s**2 - 1))
        assert float(x[0, 0]) == pytest.approx(m, abs=0.01)
    assert errors[0] < 0.06
    assert errors[1] < errors[0] / 10
    assert errors[2] < errors[1] / 10
    noise = torch.randn(9, 4, 1, generator=rng(), dtype=torch.float64)
    levels, start = noise_levels.schedule(4, 0.1, 10.0), torch.ones(9, 1, dtype=torch.float64)
    calm = noise_levels.churned(gaussian_denoiser(m, s), start, levels, noise, churn=0.0)
    assert torch.equal(calm, noise_levels.heun(gaussian_denoiser(m, s), start, levels))


# ---- densities and codes


@pytest.mark.parametrize("make", [Denoiser, Flow])
@pytest.mark.parametrize("d", [1, 3, paths.FEW + 6])
def test_the_density_along_the_ode_is_the_gaussians(make: Callable[..., Any], d: int) -> None:
    """ln p of N(m, s^2), also beyond `FEW` dimensions, where random signs see the whole of a diagonal slope."""
    net = exact(make(points(d), width=8, depth=1, steps=32, generator=rng()), 0.4, 0.7)
    x = 0.4 + 0.7 * torch.randn(20, d, generator=rng(1))
    told = net.log_prob(x, generator=rng(2))
    truth = torch.distributions.Normal(0.4, 0.7).log_prob(x).sum(1)
    # a diffusion takes rows at the loudest level for N(0, I), and they are shifted by cos a m = m / 80 there
    shifted = (0.4 / 80 * (x - 0.4).abs() / 0.7).sum(1) if make is Denoiser else 0.0
    assert float(((told - truth).abs() - shifted).max()) < 1e-3 * d


def test_an_estimated_divergence_is_unbiased() -> None:
    """Mean over 20,000 probes of v = A x against the trace of A; a dropped factor would be off by 100 of its errors."""
    a = torch.randn(3, 3, generator=rng(1), dtype=torch.float64) + torch.eye(3, dtype=torch.float64)
    x = torch.randn(1, 3, generator=rng(2), dtype=torch.float64)
    probes = (2 * torch.randint(2, (20_000, 1, 3), generator=rng(3)) - 1).double()
    each = torch.einsum("kni,ij,knj->k", probes, a, probes)
    _, told = paths._with_divergence(lambda rows: rows @ a.T, x, probes[:500])
    torch.testing.assert_close(told, each[:500].mean()[None])
    assert abs(float(each.mean() - a.trace())) < CERTAIN * float(each.std()) / math.sqrt(len(each))
    _, whole = paths._with_divergence(lambda rows: rows @ a.T, x, None)
    torch.testing.assert_close(whole, a.trace()[None])


@pytest.mark.parametrize("make", [Denoiser, Flow])
def test_codes_go_there_and_back(make: Callable[..., Any]) -> None:
    """decode(encode(x)) = x to the solver's error, and the code of a Gaussian is (x - m) / s."""
    net = exact(make(points(2), width=8, depth=1, steps=64, generator=rng()), 0.4, 0.7)
    x = torch.randn(30, 2, generator=rng(1))
    z = net.encode(x)
    assert float((z - (x - 0.4) / 0.7).abs().max()) < 0.01
    assert float((net.decode(z) - x).abs().max()) < 0.01


# ---- guidance


def test_discriminator_guidance_is_exact_at_the_optimal_critic() -> None:
    """Model N(0, 1.4^2), data N(.6, .7^2): the model's field and the gradient of ln p_sigma / q_sigma make the data's
    field at w = 1, half of the difference at w = 1/2, and samples follow the data's own flow."""
    q, p = GaussianField(0.0, 1.4), GaussianField(0.6, 0.7)

    def log_ratio(y: Tensor, a: Tensor) -> Tensor:
        def density(m: float, s: float) -> Tensor:
            cos, sin = noise_levels.over(a.cos(), y), noise_levels.over(a.sin(), y)
            return torch.distributions.Normal(cos * m, (s**2 * cos**2 + sin**2).sqrt()).log_prob(y).sum(1)

        return density(0.6, 0.7) - density(0.0, 1.4)

    y, a = torch.randn(60, 2, generator=rng(), dtype=torch.float64), torch.linspace(0.01, 1.55, 60, dtype=torch.float64)
    torch.testing.assert_close(corrected(q, log_ratio, 1.0)(y, a), p(y, a))
    torch.testing.assert_close(corrected(q, log_ratio, 0.5)(y, a), (p(y, a) + q(y, a)) / 2)
    net = Denoiser(points(2), width=8, depth=1, steps=24, generator=rng())
    noise = net.noise(50, generator=rng(1)).double()
    torch.testing.assert_close(net.drawn(noise, corrected(q, log_ratio, 1.0)), net.drawn(noise, p))


def test_the_critic_learns_the_log_ratio_at_every_level() -> None:
    """The loss of the exact log ratio is less than of twice and of half of it: an f-divergence's bound is tight there.

    The differences of paired losses are 10 and more of their standard errors."""
    base = exact(Denoiser(points(1), width=8, depth=1, steps=4, generator=rng()), 0.0, 1.4)
    net = GuidedNetwork(base, width=8, depth=1, weight=1.0, generator=rng())
    net.hold(1.4 * torch.randn(50_000, 1, generator=rng(1)))
    rows = 0.6 + 0.7 * torch.randn(20_000, 1, generator=rng(2))

    class Ratio(nn.Module):
        def __init__(self, factor: float) -> None:
            super().__init__()
            self.factor = factor

        def forward(self, y: Tensor, a: Tensor) -> Tensor:
            cos, sin = a.cos()[:, None], a.sin()[:, None]
            p = torch.distributions.Normal(cos * 0.6, (0.49 * cos**2 + sin**2).sqrt()).log_prob(y)
            q = torch.distributions.Normal(0 * cos, (1.96 * cos**2 + sin**2).sqrt()).log_prob(y)
            return self.factor * (p - q).squeeze(1)

    losses = {}
    for factor in (0.5, 1.0, 2.0):
        net.critic = Ratio(factor)
        losses[factor] = net.learn(rows, Moment(0, 1, Draw(rng(3))))["surprise"].double()
    for other in (0.5, 2.0):
        worse = losses[other] - losses[1.0]
        assert float(worse.mean()) > CERTAIN * float(worse.std()) / math.sqrt(len(worse))


def test_classifier_free_guidance_is_linear_in_its_weight() -> None:
    event = Event("points", (2,), given=3)
    net = Denoiser(event, width=16, depth=2, steps=4, generator=rng())
    with torch.no_grad():
        for weight in net.parameters():
            weight.copy_(0.3 * torch.randn(weight.shape, generator=rng(1)))
    y, a, c = torch.randn(5, 2, generator=rng(2)), torch.linspace(0.1, 1.4, 5), torch.randn(5, 3, generator=rng(3))
    net.requires_grad_(False)
    free, full = net.field(y, a, torch.full_like(c, math.nan)), net.at(c)(y, a)
    assert float((free - full).abs().min()) > 1e-4
    torch.testing.assert_close(net.guided(0.0).at(c)(y, a), free)
    torch.testing.assert_close(net.guided(3.0).at(c)(y, a), free + 3 * (full - free))
    assert net.guidance == 1.0


# ---- one-step distillation


def test_the_teachers_field_is_the_score_difference() -> None:
    """V = E[F_t - F_s] = E[tan a (grad_y ln p_t - grad_y ln p_s)], by quadrature over levels, of two Gaussians; and it
    vanishes where the student's law is the teacher's."""
    teacher = exact(Denoiser(points(1), width=8, depth=1, steps=4, generator=rng()), 1.0, 0.5)
    field = TeacherField(teacher, rounds=1, looks=50, learning_rate=1e-3)
    y = torch.full((4000, 1), 0.2)
    assert float(field(y, y, progress=0.0, generator=rng(1)).abs().max()) == 0.0
    field.student = GaussianField(0.0, 0.5)
    told = field(y, y, progress=0.0, generator=rng(1)).double()
    sigma = noise_levels.log_normal_levels((torch.arange(20_000) + 0.5) / 20_000, mean=-0.5, spread=1.4).double()
    a = sigma.atan()
    v = 0.25 * a.cos() ** 2 + a.sin() ** 2
    expected = float((a.tan() * a.cos() * 1.0 / v).mean())  # scores differ by cos a (m_t - m_s) / v at every y
    assert abs(float(told.mean()) - expected) < CERTAIN * float(told.std()) / math.sqrt(len(told)) + 1e-3


def test_one_step_starts_as_the_teachers_denoiser() -> None:
    teacher = exact(Denoiser(points(2), width=8, depth=1, steps=4, generator=rng()), 0.3, 0.5)
    made = OneStep(teacher)
    z = torch.randn(9, 2, generator=rng(1))
    sigma = torch.full((9,), math.tan(made.angle))
    torch.testing.assert_close(made(z), gaussian_denoiser(0.3, 0.5)(z / math.cos(made.angle), sigma))


# ---- networks and units


@pytest.mark.parametrize("shape", [(3,), (1, 5, 5), (3, 20, 17)])
@pytest.mark.parametrize("scores", [False, True])
def test_networks_take_any_shape_and_one_level_for_all(shape: tuple[int, ...], scores: bool) -> None:
    net: Any = level_network(
        shape, convolve=len(shape) == 3 and shape[1] > 16, width=8, depth=1, given=2, scores=scores, generator=rng()
    )
    with torch.no_grad():
        for weight in net.parameters():
            weight.copy_(0.2 * torch.randn(weight.shape, generator=rng(1)))
    y, c = torch.randn(4, *shape, generator=rng(2)), torch.randn(4, 2, generator=rng(3))
    one = net(y, torch.full((1,), 0.7), c)
    assert one.shape == ((4,) if scores else y.shape)
    torch.testing.assert_close(one, net(y, torch.full((4,), 0.7), c), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(one[1:2], net(y[1:2], torch.full((1,), 0.7), c[1:2]), rtol=1e-4, atol=1e-5)
    assert bool(net(y, torch.tensor([0.0]), None).isfinite().all())
    pure = net(y, torch.tensor([math.pi / 2]), None)  # in single precision its tangent is negative
    assert float((pure - net(y, torch.tensor([math.pi / 2 - 1e-3]), None)).detach().abs().max()) < 0.01


def test_units_of_pictures_and_tables() -> None:
    event = Event("images", (1, 4, 4), shades=(0, 10, 255))
    units = Units(event, device=torch.device("cpu"))
    ranks = torch.randint(3, (50, 1, 4, 4), generator=rng())
    x = torch.tensor([0.0, 10.0, 255.0])[ranks] / 127.5 - 1
    units.warm_start(x)
    rows = units.enter(x, torch.rand(x.shape, generator=rng(1)))
    assert abs(float(rows.std()) - 1) < 0.02
    torch.testing.assert_close(units.leave(rows), x)
    assert units.known(x).all()
    x[7, 0, 2, 2] = 0.5
    assert units.known(x).logical_not().nonzero().tolist() == [[7]]
    mixed = Event("table", (4,), (Block("a", "numeric", 0, 1, 1), Block("k", "category", 1, 4, 3)))
    units = Units(mixed, device=torch.device("cpu"))
    codes = torch.nn.functional.one_hot(torch.tensor([0] * 90 + [1] * 9 + [2]), 3).float()
    table = torch.cat([torch.randn(100, 1, generator=rng(2)), codes], 1)
    units.warm_start(table)
    rows = units.enter(table, torch.zeros_like(table))
    torch.testing.assert_close(rows[:, 0], table[:, 0])
    torch.testing.assert_close(rows[:, 1:].square().mean(), torch.tensor(1.0))
    torch.testing.assert_close(units.leave(rows), table)


# ---- the estimators


def ring(n: int, seed: int) -> np.ndarray:
    angle = torch.randint(3, (n,), generator=rng(seed)) * (2 * math.pi / 3)
    x = torch.stack([angle.cos(), angle.sin()], 1) * 2 + 0.2 * torch.randn(n, 2, generator=rng(seed + 1))
    return x.numpy()


SMALL: dict[str, Any] = {
    "batch_size": 128,
    "learning_rate": 3e-3,
    "width": 32,
    "depth": 2,
    "validation": 0.0,
    "device": "cpu",
}


@pytest.fixture(scope="module")
def trained() -> Diffusion:
    return Diffusion(steps=150, sampling_steps=16, **SMALL).fit(ring(3000, 5), progress=False)


def test_it_learns_three_modes(trained: Diffusion) -> None:
    """Its density is within .8 nats of the truth on average (a Gaussian of the same moments is 2.8 off) and adds up to
    one over the plane; samples are near fresh rows."""
    fresh = ring(1500, 50)
    assert energy(trained.sample(1500, seed=0), fresh) < 0.05
    told = trained.log_prob(fresh[:300])
    truth = -np.log(3 * 2 * math.pi * 0.2**2) - 1
    assert abs(float(told.mean()) - truth) < 0.8
    side = torch.linspace(-4.5, 4.5, 50, dtype=torch.float64)
    mass = trained.log_prob(torch.cartesian_prod(side, side).numpy()).exp().sum() * float(side[1] - side[0]) ** 2
    assert abs(float(mass) - 1) < 0.1


def test_codes_of_a_trained_one(trained: Diffusion) -> None:
    x = ring(50, 7)
    z = trained.encode(x)
    assert z.shape == (50, 2)
    assert np.abs(trained.decode(z) - x).mean() < 0.1
    assert np.array_equal(trained.reconstruct(x), trained.reconstruct(x))


def test_guided_by_a_critic_it_is_nearer_to_the_data(tmp_path: Path) -> None:
    """A diffusion after 40 steps: the energy distance of the same noise's samples falls to less than a quarter (with
    these seeds, to a twentieth). At weight 0 it is the diffusion itself; saved and loaded it draws the same."""
    rows, fresh = ring(3000, 5), ring(1500, 50)
    poor = Diffusion(steps=40, sampling_steps=16, **SMALL).fit(rows, progress=False)
    options = {**SMALL, "learning_rate": 4e-3, "validation": 0.1}
    made = Guided(steps=200, samples=2000, **options).fit(rows, model=poor, progress=False)
    before, after = (energy(made.sample(1500, weight=w, seed=0), fresh) for w in (0.0, 1.0))
    assert after < before / 4
    assert np.array_equal(made.sample(20, weight=0.0, seed=3), poor.sample(20, seed=3))
    made.save(tmp_path)
    again = Guided.load(tmp_path)
    assert np.array_equal(again.sample(20, seed=3), made.sample(20, seed=3))
    assert again.sample_dataset(2, seed=0).made_by["weight"] == 1.0
    x = torch.from_numpy(rows[:10])
    assert made.generator_.log_ratio(x, torch.full((10,), 0.1)).shape == (10,)


def test_distilled_into_one_pass(trained: Diffusion, tmp_path: Path) -> None:
    """One pass of one network, nearer to the law than a Gaussian of its moments (.21); a finished run that is resumed
    is taken as it is, and loaded it draws the same."""
    model = Distilled(steps=60, warm_steps=100, pairs=1500, batch_size=128, learning_rate=1e-3, device="cpu")
    made = model.fit(trained, out=tmp_path, progress=False)
    assert energy(made.sample(1500, seed=0), ring(1500, 50)) < 0.15
    assert made.history_[-1]["generator_loss"] >= 0
    for again in (Distilled.load(tmp_path), Distilled(**made.get_params()).fit(trained, out=tmp_path, resume=True)):
        assert np.array_equal(again.sample(20, seed=3), made.sample(20, seed=3))


@pytest.mark.parametrize("model", [Diffusion(**TINY), FlowMatching(**TINY)])
def test_conformance_points(model: Any) -> None:
    rows = np.random.default_rng(0).normal(size=(160, 3)).astype(np.float32)
    check_estimator(model, rows, given=[2], bad_data=isinstance(model, Diffusion))  # what both share is tried once


def test_the_stochastic_sampler_of_an_estimator() -> None:
    """All of its noise comes from the seed; another amount of churn makes other rows of the same network."""
    rows = np.random.default_rng(0).normal(size=(40, 3)).astype(np.float32)
    calm, churned = (Diffusion(**TINY, churn=churn).fit(rows, progress=False) for churn in (0.0, 5.0))
    assert np.array_equal(churned.sample(9, seed=1), churned.sample(9, seed=1))
    assert np.array_equal(churned.sample(4, seed=1), churned.sample(9, seed=1)[:4])
    assert not np.array_equal(churned.sample(9, seed=1), calm.sample(9, seed=1))
    torch.testing.assert_close(churned.log_prob(rows), calm.log_prob(rows))


def test_conformance_images() -> None:
    rows = np.random.default_rng(0).integers(0, 2, (130, 4, 4)).astype(np.uint8) * 255
    check_estimator(Diffusion(**TINY), rows, bad_data=False)


def test_guidance_of_what_is_given(tmp_path: Path) -> None:
    """Two labels, two places: guidance moves them apart, none brings them together; saved and loaded it draws alike."""
    labels = np.arange(1500) % 2
    rows = np.stack([2.0 * labels - 1, 0 * labels], 1) + 0.8 * np.random.default_rng(0).normal(size=(1500, 2))
    model = Diffusion(steps=120, sampling_steps=8, dropout=0.2, **SMALL)
    model.fit(rows.astype(np.float32), given=labels, progress=False)

    def apart(guidance: float) -> float:
        left, right = (model.sample(400, given=label, guidance=guidance, seed=1)[:, 0].mean() for label in (0, 1))
        return float(right - left)

    assert apart(1.0) > 1.2
    assert apart(3.0) > apart(1.0) + 0.2
    assert abs(apart(0.0)) < 0.3
    assert model.sample_dataset(2, given=1, guidance=3.0, seed=0).made_by["guidance"] == 3.0
    model.save(tmp_path)
    again = Diffusion.load(tmp_path).sample(9, given=1, guidance=2.0, seed=4)
    assert np.array_equal(again, model.sample(9, given=1, guidance=2.0, seed=4))


def test_tables_have_their_types_and_levels() -> None:
    rng_ = np.random.default_rng(0)
    frame = pl.DataFrame(
        {"x": rng_.normal(size=300), "k": rng_.choice(["a", "b", "c"], 300), "n": rng_.integers(0, 50, 300)}
    ).with_columns(pl.when(pl.col("n") < 5).then(None).otherwise(pl.col("n")).alias("n"))
    model = Diffusion(**TINY).fit(frame, progress=False)
    drawn = model.sample(40, seed=0)
    assert drawn.schema == frame.schema
    assert set(drawn["k"]) <= {"a", "b", "c"}
    with pytest.raises(InputError, match="has no likelihood"):
        model.log_prob(frame)
    guided = guide(model, frame, steps=3, samples=50, device="cpu", progress=False)
    assert guided.sample(5, seed=0).schema == frame.schema
    once = Distilled(steps=2, warm_steps=2, pairs=50, device="cpu").fit(model, progress=False)
    assert once.sample(5, seed=0).schema == frame.schema


def test_pictures_have_the_shades_of_training_and_a_mass() -> None:
    """ln P is a bound; of pictures with another shade it is minus infinity."""
    rows = np.random.default_rng(0).integers(0, 3, (120, 1, 6, 6)).astype(np.uint8) * 100
    model = Diffusion(**TINY).fit(rows, progress=False)
    assert set(np.unique(model.sample(20, seed=0))) <= {0, 100, 200}
    told = model.log_prob(rows[:8])
    assert bool(told.isfinite().all())
    assert -36 * math.log(3) * 4 < float(told.mean()) < 0
    other = rows[:8].copy()
    other[3, 0, 0, 0] = 7
    assert torch.isneginf(model.log_prob(other)).nonzero().tolist() == [[3]]


def test_larger_pictures_pass_through_convolutions() -> None:
    rows = np.random.default_rng(0).integers(0, 256, (40, 3, 18, 17)).astype(np.uint8)
    model = Diffusion(**{**TINY, "width": 4, "steps": 2}).fit(rows, progress=False)
    assert model.sample(2, seed=0).shape == (2, 3, 18, 17)
    assert bool(model.log_prob(rows[:2]).isfinite().all())
    assert torch.equal(model.log_prob(rows[:2], seed=1), model.log_prob(rows[:2], seed=1))
    guided = Guided(steps=2, samples=20, width=4, depth=1, device="cpu").fit(rows, model=model, progress=False)
    assert guided.sample(2, seed=0).shape == (2, 3, 18, 17)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"sampling_steps": 0}, "sampling_steps must be"),
        ({"churn": -1.0}, "churn must be"),
        ({"dropout": 1.0}, "dropout is a share"),
    ],
)
def test_parameters_that_make_no_sense_are_refused(options: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError, match=words):
        Diffusion(**options).fit(ring(20, 0), progress=False)


def test_what_cannot_be_asked_is_refused(trained: Diffusion) -> None:
    rows = ring(20, 0)
    with pytest.raises(InputError, match="nothing given"):
        trained.sample(3, guidance=2.0)
    with pytest.raises(InputError, match="starts from a fitted Diffusion"):
        Guided().fit(rows, model=Distilled(), progress=False)
    with pytest.raises(InputError, match="not fitted yet"):
        distill(Diffusion())
    with pytest.raises(InputError, match="weight must be"):
        guide(trained, rows, weight=-1.0)
    with pytest.raises(InputError, match="pairs must be"):
        Distilled(pairs=1).fit(trained)
    with pytest.raises(InputError, match="coupling='independent'"):
        guide(FlowMatching(**TINY, coupling="ot").fit(rows, progress=False), rows)
    with pytest.raises(InputError, match="churn=0"):
        distill(Diffusion(**TINY, churn=3.0).fit(rows, progress=False))
    conditional = Diffusion(**TINY).fit(rows, given=[0], progress=False)
    with pytest.raises(InputError, match="given something"):
        guide(conditional, rows)
