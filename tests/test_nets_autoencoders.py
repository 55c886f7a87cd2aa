"""Decoders' laws, bounds of the likelihood, penalties of codes and quantised codes, against closed forms."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise

import pytest
import torch
from torch import Tensor, nn
from torch.distributions import Categorical, MixtureSameFamily, MultivariateNormal, Normal

from pushforward.data.tables import Block
from pushforward.evaluation.likelihood import elbo, iwae
from pushforward.fitters.kernel import RationalQuadraticKernel, kernel_witness
from pushforward.nets.autoencoder import Plain, Reader, Variational, Wasserstein, Writer
from pushforward.nets.codes import SCALES, CodeLaw, Divergence, Multiquadrics
from pushforward.nets.decoders import Gaussian, Law, Mixed, law
from pushforward.nets.event import Event
from pushforward.nets.vector_quantised import CausalPrior, VectorQuantised
from pushforward.objectives.statistics import KernelDistance, MeanKernel
from pushforward.training.draw import Draw, Moment

CPU = torch.device("cpu")
SIGMAS = 6.0  # a two-sided Gaussian check at 6 standard errors fails by chance once in 5e8 (seeds are fixed besides)
TABLE = Event(
    "table",
    (6,),
    blocks=(
        Block("a", "numeric", 0, 1, 1),
        Block("b", "numeric", 1, 2, 1),
        Block("b", "category", 2, 4, 2),
        Block("c", "category", 4, 6, 2),
    ),
)


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def moment(progress: float = 1.0, seed: int = 0) -> Moment:
    return Moment(round(1000 * progress), 1000, Draw(rng(seed)))


def near(found: Tensor, truth: float) -> None:
    """The mean of `found` `(n,)` is `truth`, to `SIGMAS` of its standard errors."""
    off, error = abs(float(found.double().mean()) - truth), float(found.double().std()) / math.sqrt(len(found))
    assert off < SIGMAS * error, f"{float(found.mean())} is {off / error:.1f} standard errors from {truth}"


# ---- the laws of what a decoder writes


@pytest.mark.parametrize(
    ("name", "shades"),
    [("bernoulli", (0, 255)), ("categorical", (0, 17, 200)), ("logistic", (3, 90, 91, 255)), ("gaussian", range(256))],
)
def test_masses_of_all_shades_sum_to_one(name: str, shades: tuple[int, ...]) -> None:
    event = Event("images", (1, 1, 1), shades=tuple(shades))
    made = law(event, name, device=CPU)
    values = torch.tensor(event.shades).float().view(-1, 1, 1, 1) / 127.5 - 1
    for seed in range(3):
        out = 2 * torch.randn(1, *made.shape, generator=rng(seed))
        told = made.log_prob(out.expand(len(values), *made.shape), values)
        assert torch.logsumexp(told.double(), 0).abs() < 2e-5
        if len(shades) < 256:
            assert torch.isneginf(made.log_prob(out, torch.full((1, 1, 1, 1), 0.123456)))
        seen = values[int(told.argmax())]
        if name in ("bernoulli", "categorical"):
            assert torch.equal(made.guess(out)[0], seen)


@pytest.mark.parametrize("name", ["bernoulli", "categorical", "logistic", "gaussian"])
def test_drawn_shades_have_the_masses_of_the_law(name: str) -> None:
    """A chi-square of 3 degrees of freedom above 45 has probability 9e-10; it sees a mass that is 2 % off."""
    shades, n = ((0, 255) if name == "bernoulli" else (0, 80, 150, 255)), 40_000
    made = law(Event("images", (1, 1, 1), shades=shades), name, device=CPU)
    values = torch.tensor(shades).float().view(-1, 1, 1, 1) / 127.5 - 1
    out = 0.3 * torch.randn(1, *made.shape, generator=rng(1))
    drawn = made.draw(
        out.expand(n, *made.shape),
        torch.randn(n, made.normals, generator=rng(2)),
        torch.rand(n, made.uniforms, generator=rng(3)),
    )
    expected = n * made.log_prob(out.expand(len(values), *made.shape), values).exp()
    counts = torch.stack([(drawn == value).sum() for value in values])
    assert counts.sum() == n
    assert ((counts - expected).square() / expected).sum() < 45


def test_cells_far_from_their_location_keep_finite_masses_and_slopes() -> None:
    event = Event("images", (1, 1, 2), shades=tuple(range(256)))
    for name in ("logistic", "gaussian"):
        made = law(event, name, device=CPU)
        out = torch.tensor([[[[50.0, -50.0]]]] if name == "gaussian" else [[[[50.0, -50.0]], [[-9.0, -9.0]]]])
        out.requires_grad_()
        told = made.log_prob(out, torch.tensor([[[[-1.0, 1.0]]]]))
        (slope,) = torch.autograd.grad(told.sum(), out)
        assert told.isfinite().all()
        assert told.item() < -100
        assert slope.isfinite().all()


def test_a_gaussian_is_the_normal_density() -> None:
    made = Gaussian(Event("points", (3,)), device=CPU)
    made.loud_sigma.data = torch.tensor([0.05, -0.1, 0.0])
    x, out = torch.randn(5, 3, generator=rng(1)), torch.randn(5, 3, generator=rng(2))
    truth = Normal(out, torch.tensor([math.exp(0.5), math.exp(-1.0), 1.0])).log_prob(x).sum(1)
    assert torch.allclose(made.log_prob(out, x), truth, atol=1e-5)


def test_a_mixed_row_is_a_mixture_for_numbers_that_are_there_and_a_softmax_for_levels() -> None:
    made = Mixed(TABLE, components=3, device=CPU)
    out = torch.randn(2, *made.shape, generator=rng(1))
    rows = torch.tensor([[0.3, -1.2, 1.0, 0.0, 0.0, 1.0], [0.3, 0.0, 0.0, 1.0, 1.0, 0.0]])
    weights, means, sigmas = out[:, :18].view(2, 2, 9).chunk(3, 2)
    parts = Normal(means + torch.tensor([-1.5, 0.0, 1.5]), (sigmas - 0.5).exp())
    numbers = MixtureSameFamily(Categorical(logits=weights), parts).log_prob(rows[:, :2])
    levels = [Categorical(logits=out[:, a:b]) for a, b in ((18, 20), (20, 22))]
    masses = levels[0].log_prob(torch.tensor([0, 1])) + levels[1].log_prob(torch.tensor([1, 0]))
    truth = masses + numbers[:, 0] + torch.tensor([1.0, 0.0]) * numbers[:, 1]
    assert torch.allclose(made.log_prob(out, rows), truth, atol=1e-5)


def test_a_drawn_table_row_is_one_hot_and_an_absent_number_is_zero() -> None:
    made = Mixed(TABLE, device=CPU)
    n = 500
    out = torch.randn(1, *made.shape, generator=rng(0)).expand(n, -1)
    eps, u = torch.randn(n, made.normals, generator=rng(1)), torch.rand(n, made.uniforms, generator=rng(2))
    for rows in (made.draw(out, eps, u), made.guess(out)):
        assert torch.equal(rows[:, 2:4].sum(1), torch.ones(n))
        assert torch.equal(rows[:, 4:].sum(1), torch.ones(n))
        assert bool((rows[rows[:, 3] == 1, 1] == 0).all())
        assert bool(made.log_prob(out, rows).isfinite().all())
    assert 0 < int(made.draw(out, eps, u)[:, 3].sum()) < n


# ---- a linear-Gaussian VAE, of which everything is known


@dataclass(frozen=True)
class Known:
    """x = W z + b + s e in 3 dimensions, z and e standard: p(x), and q the best with independent latents.

    p(z|x) = N(mu, L^-1), L = I + W'W/s^2, and KL(q || p(z|x)) = (sum ln L_jj - ln det L)/2 for q = N(mu, diag 1/L_jj).
    """

    net: Variational
    x: Tensor
    log_p: float
    kl: float
    chi2: float  # of p(z|x) from q: the relative variance of one importance weight

    @classmethod
    def make(cls) -> Known:
        w = torch.tensor([[1.0, 0.8], [0.2, 1.0], [-0.5, 0.4]])
        b, sigma, x = torch.tensor([0.3, -0.2, 0.1]), 0.7, torch.tensor([[1.0, -0.4, 0.8]])
        lam = torch.eye(2) + w.T @ w / sigma**2
        to_mean = torch.linalg.solve(lam, w.T) / sigma**2
        event = Event("points", (3,))
        made = Gaussian(event, shared=True, device=CPU)
        made.loud_sigma.data = torch.tensor(math.log(sigma) / 10)
        sizes = {"width": 1, "depth": 1, "affine": True, "generator": rng()}
        reader, writer = Reader(event, 4, **sizes), Writer(event, 2, made.shape, **sizes)
        assert isinstance(reader.body, nn.Linear)
        assert isinstance(writer.body, nn.Linear)
        spread = 8 * torch.atanh(-lam.diagonal().log() / 8)  # the reader bends log variances: 8 tanh(. / 8)
        reader.body.weight.data = torch.cat([to_mean, torch.zeros(2, 3)])
        reader.body.bias.data = torch.cat([-to_mean @ b, spread])
        writer.body.weight.data, writer.body.bias.data = w, b
        log_p = float(MultivariateNormal(b, w @ w.T + sigma**2 * torch.eye(3)).log_prob(x[0]))
        v = lam.diagonal()
        kl = float(v.log().sum() - lam.logdet()) / 2
        chi2 = math.exp(float(lam.logdet() - v.log().sum() / 2 - (2 * lam - v.diag()).logdet() / 2)) - 1
        return cls(Variational(reader, writer, made, 2), x, log_p, kl, chi2)


def test_the_elbo_is_log_p_less_the_divergence_of_the_posteriors() -> None:
    known = Known.make()
    assert known.kl > 0.05
    joint, own = known.net.weights(known.x.expand(1000, -1), 50, generator=rng())
    near((joint - own).flatten(), known.log_p - known.kl)
    told = elbo(joint, own)
    assert told.kind == "lower_bound"
    assert told.value == pytest.approx(float((joint - own).mean()))


def test_what_is_learned_is_minus_the_elbo_with_its_divergence_in_closed_form() -> None:
    known = Known.make()
    with torch.no_grad():
        found = known.net.learn(known.x.expand(50_000, -1), moment())
        mean, spread = known.net.moments(known.x)
    truth = torch.distributions.kl_divergence(
        Normal(mean, (spread / 2).exp()), Normal(torch.zeros(2), torch.ones(2))
    ).sum()
    assert torch.allclose(found["divergence"], truth, atol=1e-5)
    near(found["reconstruction"] + found["divergence"], known.kl - known.log_p)
    near(known.net.told(known.x.expand(30_000, -1), moment(seed=1)).detach(), known.kl - known.log_p)


def test_bounds_of_more_draws_are_tighter_never_above_log_p_and_off_by_the_weights_variance() -> None:
    """L_1 < L_5 < L_50 < ln p, each by more than 6 standard errors of the paired differences; and of many draws
    ln p - L_K = Var(w) / (2 K p^2) + O(1/K^2), Var(w)/p^2 = chi^2(p(z|x) || q), known in closed form here."""
    known = Known.make()
    joint, own = known.net.weights(known.x.expand(20_000, -1), 50, generator=rng())
    w = joint - own
    bounds = [(w[:k].logsumexp(0) - math.log(k)) for k in (1, 5, 50)]
    assert iwae(joint, own).value == pytest.approx(float(bounds[2].mean()))
    for one, more in pairwise(bounds):
        gain = more - one
        assert gain.mean() > SIGMAS * gain.std() / math.sqrt(len(gain))
    gap = known.log_p - bounds[2]
    error = float(gap.std()) / math.sqrt(len(gap))
    assert gap.mean() > SIGMAS * error
    assert abs(float(gap.mean()) - known.chi2 / 100) < SIGMAS * error + 0.1 * known.chi2 / 100
    near((bounds[0] - known.log_p).exp(), 1.0)  # the weight itself is unbiased


def test_the_bound_that_is_climbed_is_that_of_the_weights() -> None:
    known = Known.make()
    known.net.samples = 5
    with torch.no_grad():
        climbed = -known.net.learn(known.x.expand(40_000, -1), moment())["bound"]
        joint, own = known.net.weights(known.x.expand(40_000, -1), 5, generator=rng(9))
    other = (joint - own).logsumexp(0) - math.log(5)
    error = math.sqrt(float(climbed.var() + other.var()) / 40_000)
    assert abs(float(climbed.mean() - other.mean())) < SIGMAS * error
    assert torch.equal(known.net.log_prob(known.x, generator=rng(4), draws=64), _weighed(known, 64))


def _weighed(known: Known, draws: int) -> Tensor:
    joint, own = known.net.weights(known.x, draws, generator=rng(4))
    return (joint - own).logsumexp(0) - math.log(draws)


def test_weights_do_not_depend_on_how_many_are_scored_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    known = Known.make()
    whole = known.net.log_prob(known.x.expand(7, -1), generator=rng(), draws=20)
    monkeypatch.setattr("pushforward.nets.autoencoder.TILE", 3 * 7 * 6)
    assert torch.allclose(known.net.log_prob(known.x.expand(7, -1), generator=rng(), draws=20), whole, atol=1e-6)


def test_a_linear_vae_learns_what_probabilistic_pca_knows() -> None:
    """At its best a linear VAE's ELBO is the likelihood of probabilistic PCA (Lucas et al. 2019): the bound may not
    exceed it, and comes within .02 nats of it."""
    n, d, q = 500, 4, 2
    x = torch.randn(n, q, generator=rng(1)) @ (1.5 * torch.randn(q, d, generator=rng(2)))
    x = x + 0.5 * torch.randn(n, d, generator=rng(3))
    x = x - x.mean(0)
    values = torch.linalg.eigvalsh(x.T @ x / n).flip(0)
    s2 = values[q:].mean()
    best = -float(d * math.log(2 * math.pi) + values[:q].log().sum() + (d - q) * s2.log() + d) / 2
    event = Event("points", (d,))
    made, sizes = Gaussian(event, shared=True, device=CPU), {"width": 1, "depth": 1, "affine": True}
    reader = Reader(event, 2 * q, **sizes, generator=rng(4))
    net = Variational(reader, Writer(event, q, made.shape, **sizes, generator=rng(5)), made, q)
    adam, draw = torch.optim.Adam(net.parameters(), lr=0.02, betas=(0.9, 0.99), fused=True), Draw(rng(6))
    for step in range(1000):
        adam.param_groups[0]["lr"] = 0.02 * (1 - step / 1000) + 1e-4
        loss = torch.stack([one.mean() for one in net.learn(x, Moment(step, 1000, draw)).values()]).sum()
        adam.zero_grad()
        loss.backward()
        adam.step()
    with torch.no_grad():
        mean, spread = net.moments(x)
        assert isinstance(net.writer.body, nn.Linear)
        w, s2 = net.writer.body.weight, (2 * made.log_sigma).exp()
        off = (x - net.writer(mean)).square().sum(1) + spread.exp() @ w.square().sum(0)
        exact = -(off / s2 + d * (2 * math.pi * s2).log()) / 2 - net.divergence(mean, spread).sum(1)
        evidence = MultivariateNormal(net.writer.body.bias, w @ w.T + s2 * torch.eye(d)).log_prob(x)
    assert best - 0.02 < float(exact.double().mean()) <= float(evidence.double().mean()) + 1e-5 <= best + 2e-5


def test_the_masses_of_all_pictures_sum_to_one() -> None:
    """Importance weights are unbiased for p(x): over the 16 pictures of 2 x 2 pixels of two shades they sum to 1."""
    event = Event("images", (1, 2, 2), shades=(0, 255))
    made = law(event, "bernoulli", device=CPU)
    reader = Reader(event, 4, width=8, depth=1, generator=rng(1))
    net = Variational(reader, Writer(event, 2, made.shape, width=8, depth=1, generator=rng(2)), made, 2)
    pictures = torch.cartesian_prod(*[torch.tensor([-1.0, 1.0])] * 4).view(16, 1, 2, 2)
    joint, own = net.weights(pictures, 10_000, generator=rng(3))
    near((joint - own).exp().sum(1), 1.0)


def test_free_bits_charge_a_latent_no_less_than_theirs_and_give_it_no_slope_below() -> None:
    net = Known.make().net
    x = torch.randn(64, 3, generator=rng(5))
    each = net.divergence(*net.moments(x)).mean(0)
    net.free_bits = float(each.max()) * 2
    found = net.learn(x, moment())["divergence"]
    assert torch.allclose(found, torch.full((64,), 2 * net.free_bits))
    slopes = torch.autograd.grad(found.sum(), list(net.reader.parameters()))
    assert all(bool((slope == 0).all()) for slope in slopes)
    net.free_bits = float(each.min()) / 2
    assert torch.allclose(net.learn(x, moment())["divergence"], each.sum().expand(64))


def test_the_divergence_warms_up_in_proportion_to_the_run() -> None:
    net = Known.make().net
    net.warm_up, net.beta, x = 0.5, 4.0, Known.make().x
    full = net.learn(x, moment(0.5))["divergence"]
    for progress, share in ((0.0, 0.0), (0.25, 0.5), (0.5, 1.0), (1.0, 1.0)):
        assert torch.allclose(net.learn(x, moment(progress))["divergence"], share * full)
    assert torch.allclose(full, 4.0 * net.divergence(*net.moments(x)).sum(1))


# ---- bodies


@pytest.mark.parametrize("given", [0, 3, 40])
@pytest.mark.parametrize("convolve", [False, True])
def test_bodies_read_and_write_rows_beside_their_conditions(given: int, convolve: bool) -> None:
    event = Event("images", (3, 20, 12), shades=tuple(range(256)), given=given)
    made = law(event, "logistic", device=CPU)
    sizes = {"width": 4, "depth": 1, "convolve": convolve}
    reader, writer = (
        Reader(event, 10, **sizes, generator=rng(1)),
        Writer(event, 5, made.shape, **sizes, generator=rng(2)),
    )
    x, c = torch.rand(4, *event.shape, generator=rng(3)) * 2 - 1, torch.randn(4, given, generator=rng(4))
    assert reader(x, c).shape == (4, 10)
    out = writer(torch.randn(4, 5, generator=rng(5)), c)
    assert out.shape == (4, 6, 20, 12)
    assert made.guess(out).shape == x.shape
    if given:
        assert not torch.allclose(reader(x, c), reader(x, c + 1))


# ---- plain: what is spoilt, and laws of codes


def test_masking_blots_out_whole_cells_and_pixels_at_its_rate() -> None:
    cost, sizes = law(TABLE, "squared", device=CPU), {"width": 1, "depth": 1, "affine": True, "generator": rng()}
    reader, writer = Reader(TABLE, 2, **sizes), Writer(TABLE, 2, cost.shape, **sizes)
    blocks = tuple((block.start, block.stop) for block in TABLE.blocks)
    net = Plain(reader, writer, cost, 2, noise=0.3, masking=True, blocks=blocks)
    spoilt = net._spoilt(torch.ones(50_000, 6), Draw(rng()))
    assert torch.equal(spoilt[:, 2], spoilt[:, 3])
    assert torch.equal(spoilt[:, 4], spoilt[:, 5])
    for place in (0, 1, 2, 4):
        near(1 - spoilt[:, place], 0.3)
    pictures = torch.zeros(20_000, 3, 2, 2)
    spoilt = Plain(reader, writer, cost, 2, noise=0.3, masking=True)._spoilt(pictures, Draw(rng()))
    assert torch.equal(spoilt[:, 0], spoilt[:, 2])
    near(-spoilt[:, 0, 1, 1], 0.3)


def test_a_law_of_codes_draws_its_mixture() -> None:
    codes = CodeLaw(2, 4, device=CPU)
    means = torch.tensor([[-3.0, 0.0], [2.0, 1.0]])
    covariances = torch.tensor([[[1.0, 0.6], [0.6, 0.5]], [[0.1, 0.0], [0.0, 2.0]]])
    codes.hold(torch.tensor([0.25, 0.75]), means, covariances)
    z = codes(codes.noise(100_000, generator=rng()))
    for place in range(2):
        near(z[:, place], float(torch.tensor([0.25, 0.75]) @ means[:, place]))
    near((z[:, 0] < -0.5).float(), 0.25 * float(Normal(0.0, 1.0).cdf(torch.tensor(2.5))))
    first = z[z[:, 0] < -0.5]
    assert abs(float(torch.cov(first.T)[0, 1]) - 0.6) < 0.03


# ---- penalties of codes


def test_the_mmd_of_codes_is_the_librarys_under_its_own_kernels() -> None:
    p, c = torch.randn(60, 3, generator=rng(1)), 0.5 * torch.randn(50, 3, generator=rng(2)) + 1
    kernels = MeanKernel(tuple(RationalQuadraticKernel(math.sqrt(3 * scale), 1.0) for scale in SCALES))
    divergence = Divergence("mmd", 2.0, 3, width=8, generator=rng(3))
    assert torch.allclose(divergence.pull(p, c), 2 * KernelDistance(kernels)(p, c), rtol=1e-5)
    assert divergence.measure(p[:1], c[:1]) == 0


def test_the_pull_of_the_mmd_is_the_slope_of_its_witness() -> None:
    """-grad psi of the witness w between prior and codes, up to the n/(n - 1) of unbiasedness (n = 200)."""
    p, c = torch.randn(200, 2, generator=rng(1)), 0.3 * torch.randn(200, 2, generator=rng(2)) + 1
    c.requires_grad_()
    (pull,) = torch.autograd.grad(Divergence("mmd", 1.0, 2, width=8, generator=rng(3)).pull(p, c), c)
    witness = kernel_witness(Multiquadrics(2), p, c.detach())
    (slope,) = torch.autograd.grad(-witness.psi(c).mean(), c)
    assert torch.linalg.norm(pull - slope) < 0.02 * torch.linalg.norm(slope)


def test_a_critic_of_codes_learns_from_its_lesson_and_codes_from_the_pull_alone() -> None:
    divergence = Divergence("ns", 1.0, 2, width=8, generator=rng(3))
    assert divergence.critic is not None
    p, c = torch.randn(20, 2, generator=rng(1)), torch.randn(20, 2, generator=rng(2)).requires_grad_()
    weights = list(divergence.critic.parameters())
    divergence.pull(p, c).backward()
    assert all(weight.grad is None for weight in weights)
    assert c.grad is not None
    assert float(c.grad.abs().sum()) > 0
    c.grad = None
    divergence.lesson(p, c).backward()
    assert c.grad is None
    assert sum(float(weight.grad.abs().sum()) for weight in weights if weight.grad is not None) > 0


@pytest.mark.parametrize("penalty", ["mmd", "energy"])
def test_codes_come_to_their_prior(penalty: str) -> None:
    """Codes that start as N(2, .25^2) end near N(0, 1) in both moments."""
    event = Event("points", (2,))
    cost, sizes = law(event, "squared", device=CPU), {"width": 1, "depth": 1, "affine": True}
    reader = Reader(event, 2, **sizes, generator=rng(1))
    assert isinstance(reader.body, nn.Linear)
    reader.body.weight.data, reader.body.bias.data = 0.25 * torch.eye(2), torch.full((2,), 2.0)
    divergence = Divergence(penalty, 1.0, 2, width=32, generator=rng(2))
    net = Wasserstein(reader, Writer(event, 2, cost.shape, **sizes, generator=rng(3)), cost, 2, divergence)
    adam, draw = torch.optim.Adam(reader.parameters(), lr=0.05, betas=(0.5, 0.99), fused=True), Draw(rng(4))
    for step in range(150):
        adam.param_groups[0]["lr"] = 0.05 * (1 - step / 150) + 1e-4
        loss = net.learn(draw.normal(64, 2), Moment(step, 150, draw))["penalty"].mean()
        adam.zero_grad()
        loss.backward()
        adam.step()
    with torch.no_grad():
        z = net.encode(torch.randn(4000, 2, generator=rng(5)))
    assert float(z.mean(0).abs().max()) < 0.2
    assert float((torch.cov(z.T) - torch.eye(2)).abs().max()) < 0.3


def test_a_critic_that_has_learned_pulls_codes_to_the_prior() -> None:
    divergence = Divergence("ns", 1.0, 2, width=16, generator=rng(2))
    assert divergence.critic is not None
    adam, draw = torch.optim.Adam(divergence.critic.parameters(), lr=0.02, fused=True), Draw(rng(4))
    for _ in range(40):
        adam.zero_grad()
        divergence.lesson(draw.normal(64, 2), draw.normal(64, 2) + 2).backward()
        adam.step()
    codes = (draw.normal(64, 2) + 2).requires_grad_()
    (pull,) = torch.autograd.grad(divergence.pull(draw.normal(64, 2), codes), codes)
    assert bool((pull.mean(0) > 0).all())  # descended, the codes' mean of 2 falls


# ---- vector quantisation


def quantised(given: int = 0) -> VectorQuantised:
    event = Event("images", (1, 2, 2), shades=(0, 255), given=given)
    made: Law = law(event, "bernoulli", device=CPU)
    reader = Reader(event, 6, width=8, depth=1, generator=rng(1))
    writer = Writer(event, 6, made.shape, width=8, depth=1, generator=rng(2))
    prior = CausalPrior(2, 3, given=given, width=8, depth=1, generator=rng(3))
    return VectorQuantised(reader, writer, made, prior, size=3, generator=rng(4))


PICTURES = torch.cartesian_prod(*[torch.tensor([-1.0, 1.0])] * 4).view(16, 1, 2, 2)


def test_the_prior_of_codes_is_a_distribution_and_looks_at_what_came_before_alone() -> None:
    prior = CausalPrior(3, 4, given=0, width=8, depth=2, generator=rng(1))
    with torch.no_grad():
        for weight in prior.parameters():  # the blocks start at zero; wake them
            weight.add_(0.3 * torch.randn(weight.shape, generator=rng(2)))
        codes = torch.cartesian_prod(*[torch.arange(4)] * 3)
        told = prior.log_prob(codes)
        assert torch.logsumexp(told.double(), 0).abs() < 1e-5
        changed = codes.clone()
        changed[:, 2] = (changed[:, 2] + 1) % 4
        assert torch.allclose(prior(codes), prior(changed), atol=1e-6)
        n = 10_000
        drawn = prior.draw(torch.rand(n, 3, generator=rng(3)))
        counts = torch.bincount((drawn * torch.tensor([16, 4, 1])).sum(1), minlength=64)
    expected = n * told.exp()
    # chi-square of 63 degrees of freedom: above 150 with probability 4e-9
    assert ((counts - expected).square() / expected).sum() < 150


def test_the_quantised_bound_is_a_lower_bound_of_a_distribution() -> None:
    """sum_x p(x | k(x)) p(k(x)) <= sum_x p(x) = 1, over all pictures of 2 x 2 pixels."""
    net = quantised()
    with torch.no_grad():
        net.codebook.copy_(net._encoded(PICTURES, None).flatten(0, 1)[:3])
        total = float(net.log_prob(PICTURES, generator=rng()).exp().sum())
        codes = net.codes(PICTURES)
        truth = net.law.log_prob(net.writer(net.codebook[codes].flatten(1)), PICTURES) + net.prior.log_prob(codes)
        assert torch.allclose(net.log_prob(PICTURES, generator=rng()), truth)
        whole = torch.cartesian_prod(torch.arange(3), torch.arange(3))
        exact = torch.stack(
            [
                net.scored(net._looked_up(k.expand(16, 2)), PICTURES) + net.prior.log_prob(k[None]).expand(16)
                for k in whole
            ]
        ).logsumexp(0)
    assert 0 < total < 1
    assert bool((truth <= exact).all())
    assert float(exact.exp().sum()) == pytest.approx(1.0, abs=1e-4)


def test_codes_are_the_nearest_entries_and_gradients_go_straight_through() -> None:
    net = quantised()
    e = net._encoded(PICTURES, None).detach()
    slow = torch.stack([(e - entry).square().sum(2) for entry in net.codebook], 2).argmin(2)
    assert torch.equal(net.codes(PICTURES), slow)
    found = net.learn(PICTURES, moment())
    q = net.codebook[slow]
    assert torch.allclose(found["commitment"], 0.25 * (e - q).square().sum((1, 2)), atol=1e-5)
    (at_codebook,) = torch.autograd.grad(
        found["reconstruction"].sum(), net.codebook, retain_graph=True, allow_unused=True
    )
    assert at_codebook is None
    bias = net.reader.body.leave.bias
    (through,) = torch.autograd.grad(found["reconstruction"].sum(), bias)
    leaf = q.detach().flatten(1).requires_grad_()
    (straight,) = torch.autograd.grad(-net.scored(leaf, PICTURES).sum(), leaf)
    assert torch.allclose(through, straight.sum(0), atol=1e-5)


def test_codes_survive_their_way_through_the_decoder() -> None:
    net = quantised(given=2)
    c = torch.randn(16, 2, generator=rng(7))
    codes = net.encode(PICTURES, c)
    assert codes.shape == (16, 2)
    assert net.decode(codes, c).shape == PICTURES.shape
    rows = net(net.noise(16, generator=rng(8)), c)
    assert bool(((rows == 1) | (rows == -1)).all())
