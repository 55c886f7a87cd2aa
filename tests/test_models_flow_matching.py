"""Flow matching: the velocity of Gaussian data in closed form, its ODE, its score, couplings; then the estimator.

The statistical checks ask whether a mean over independent draws is within 5.3 of its standard errors of the truth:
correct code fails one in 10^7.
"""

import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from pushforward.errors import InputError
from pushforward.models.diffusion import FlowMatching
from pushforward.nets import paths
from pushforward.nets.denoiser import Flow
from pushforward.nets.event import Event
from pushforward.nets.noise_levels import over
from pushforward.training.draw import Draw, Moment

CERTAIN = 5.3
M, S = 0.8, 0.4


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def truth(x: Tensor, t: Tensor) -> Tensor:
    """u of data N(M, S^2): m + (t s^2 - (1-t)) / ((1-t)^2 + t^2 s^2) (x - t m)."""
    t = over(t, x)
    return M + (t * S**2 - (1 - t)) / ((1 - t) ** 2 + t**2 * S**2) * (x - t * M)


@pytest.mark.parametrize("t", [0.1, 0.5, 0.9])
def test_the_loss_is_least_at_the_gaussian_velocity(t: float) -> None:
    """At u neither its level nor its slope in x can be bettered: both gradients of the loss are 0 within their errors;
    5 % beside it the slope's is not."""
    n = 400_000
    x_0 = torch.randn(n, 1, generator=rng(1), dtype=torch.float64)
    x_1 = M + S * torch.randn(n, 1, generator=rng(2), dtype=torch.float64)
    times = torch.full((n,), t, dtype=torch.float64)

    def gradients(factor: float) -> tuple[Tensor, Tensor]:
        add = torch.zeros(n, 2, dtype=torch.float64, requires_grad=True)

        def velocity(x: Tensor, at: Tensor) -> Tensor:
            return factor * truth(x, at) + add[:, :1] + add[:, 1:] * (x - t * M)

        (each,) = torch.autograd.grad(paths.flow_matching_loss(velocity, x_0, x_1, times).sum(), add)
        return each.mean(0), each.std(0) / math.sqrt(n)

    mean, error = gradients(1.0)
    assert bool((mean.abs() < CERTAIN * error).all())
    mean, error = gradients(1.05)
    assert bool((mean.abs() > 2 * CERTAIN * error).any())


def test_its_ode_moves_the_standard_normal_onto_the_gaussian() -> None:
    """x_0 goes to m + s x_0; halving the steps costs a factor of 4 by Heun and of 16 by Runge and Kutta."""
    x = torch.linspace(-3, 3, 31, dtype=torch.float64)[:, None]

    def error(method: str, steps: int) -> float:
        times = [i / steps for i in range(steps + 1)]
        at = lambda rows, t: truth(rows, torch.full((1,), t, dtype=torch.float64))  # noqa: E731
        there = paths.integrate(at, x, times, method=method)
        back = paths.integrate(at, there, times[::-1], method=method)
        assert float((back - x).abs().max()) < 50 * float((there - (M + S * x)).abs().max()) + 1e-9
        return float((there - (M + S * x)).abs().max())

    assert error("rk4", 10) < 1e-5
    assert error("heun", 40) / error("heun", 80) == pytest.approx(4, rel=0.2)
    assert error("rk4", 160) / error("rk4", 320) == pytest.approx(16, rel=0.15)


def test_the_score_of_a_velocity() -> None:
    """(t u - x) / (1 - t) is the score of x_t ~ N(t m, (1-t)^2 + t^2 s^2), and the velocity comes back from it."""
    t, x = torch.linspace(0.02, 0.98, 25, dtype=torch.float64), torch.randn(25, 2, generator=rng(), dtype=torch.float64)
    score = paths.score_of_velocity(truth(x, t), x, t)
    column = t[:, None]
    torch.testing.assert_close(score, -(x - column * M) / ((1 - column) ** 2 + column**2 * S**2))
    torch.testing.assert_close(paths.velocity_of_score(score, x, t), truth(x, t))


def exact_flow(d: int, steps: int, **options: Any) -> Flow:
    """A `Flow` whose field is that of N(M, S^2) data."""

    class Field(nn.Module):
        def forward(self, y: Tensor, a: Tensor, c: Tensor | None = None) -> Tensor:
            cos, sin = over(a.cos(), y), over(a.sin(), y)
            return sin * M + sin * cos * (S**2 - 1) / (S**2 * cos**2 + sin**2) * (y - cos * M)

    net = Flow(Event("points", (d,)), width=8, depth=1, steps=steps, generator=rng(), **options)
    net.field = Field()  # type: ignore[assignment]
    return net


def test_the_network_is_preconditioned_to_a_velocity() -> None:
    """F and v are one another: the exact F gives the exact u at every time, both ends included."""
    net = exact_flow(2, 10)
    t, x = torch.linspace(0, 1, 21), torch.randn(21, 2, generator=rng())
    torch.testing.assert_close(net.velocity(net.at())(x, t), truth(x, t), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("method", ["rk4", "heun"])
def test_samples_and_density_of_the_exact_velocity(method: str) -> None:
    net = exact_flow(3, 60, method=method)
    z = net.noise(200, generator=rng(1))
    x = net(z)
    assert float((x - (M + S * z)).abs().max()) < 2e-3
    off = 1e-4 if method == "rk4" else 0.02
    assert float((net.encode(x) - z).abs().max()) < off
    told = net.log_prob(x, generator=rng(2))
    assert float((told - torch.distributions.Normal(M, S).log_prob(x).sum(1)).abs().max()) < off


# ---- couplings


def test_optimal_coupling_is_the_sorted_one_on_a_line() -> None:
    x_0, x_1 = torch.randn(200, 1, generator=rng(1)), 2 * torch.randn(200, 1, generator=rng(2))
    paired = paths.coupled(x_0, x_1, "ot")
    assert torch.equal(paired.sort(0).values, x_0.sort(0).values)
    assert torch.equal(paired[x_1.argsort(0).squeeze(1)], x_0.sort(0).values)
    assert torch.equal(paths.coupled(x_0, x_1, "independent"), x_0)


def test_optimal_coupling_shortens_the_paths() -> None:
    """Mean squared displacement of 8 modes against 256 rows of noise: by more than a third, and by no reordering of two
    pairs any further."""
    angle = torch.randint(8, (256,), generator=rng(1)) * (math.pi / 4)
    x_1 = 1.4 * torch.stack([angle.cos(), angle.sin()], 1) + 0.1 * torch.randn(256, 2, generator=rng(2))
    x_0 = torch.randn(256, 2, generator=rng(3))
    paired = paths.coupled(x_0, x_1, "ot")
    before, after = ((x_1 - x).square().sum(1).mean() for x in (x_0, paired))
    assert float(after) < 0.67 * float(before)
    cost = torch.cdist(x_1, paired).square()
    swapped = cost + cost.T
    kept = cost.diagonal()[:, None] + cost.diagonal()[None]
    assert float((kept - swapped).max()) < 1e-4


def test_both_couplings_train() -> None:
    """The loss of a batch with the optimal coupling is less, as less of x_1 - x_0 is left unexplained."""
    x, losses = torch.randn(256, 2, generator=rng(4)), {}
    for coupling in paths.COUPLINGS:
        net = Flow(Event("points", (2,)), width=8, depth=1, steps=4, coupling=coupling, generator=rng())
        losses[coupling] = net.learn(x, Moment(0, 1, Draw(rng(1))))["matching"].mean().detach()
    assert float(losses["ot"]) < 0.8 * float(losses["independent"])


# ---- the estimator


def test_it_learns_a_gaussian() -> None:
    """150 steps on N((3, -1), C): KL to the truth under .05 (an untrained network, the standardised normal, is at .46),
    samples of the right moments, velocity near the closed form."""
    c = torch.tensor([[1.0, 0.8], [0.8, 1.0]])
    law = torch.distributions.MultivariateNormal(torch.tensor([3.0, -1.0]), c)
    draw = lambda n, seed: law.loc + torch.randn(n, 2, generator=rng(seed)) @ law.scale_tril.T  # noqa: E731
    model = FlowMatching(
        steps=150,
        batch_size=128,
        learning_rate=3e-3,
        width=32,
        depth=2,
        sampling_steps=12,
        validation=0.0,
        device="cpu",
    )
    model.fit(draw(4000, 1).numpy(), progress=False)
    fresh = draw(1000, 2)
    kl = law.log_prob(fresh) - model.log_prob(fresh.numpy())
    assert -0.02 < float(kl.mean()) < 0.05
    x = torch.from_numpy(model.sample(4000, seed=0))
    assert float((x.mean(0) - law.loc).abs().max()) < 0.15
    assert float((x.T.cov() - c).abs().max()) < 0.2


def test_names_that_are_unknown_are_refused() -> None:
    rows = np.zeros((10, 2), dtype=np.float32)
    with pytest.raises(InputError, match="known: independent, ot"):
        FlowMatching(coupling="sinkhorn").fit(rows, progress=False)
    with pytest.raises(InputError, match="known: heun, rk4"):
        FlowMatching(method="euler").fit(rows, progress=False)
