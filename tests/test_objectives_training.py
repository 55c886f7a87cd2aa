"""Objectives at play: point masses, embeddings, generators without a critic, and a user's own objective."""

import dataclasses
import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from pushforward.errors import InputError
from pushforward.links import LINKS, Link, alpha, fgan_alpha
from pushforward.models import GAN
from pushforward.nets import MLPCritic, MLPGenerator, Shape
from pushforward.objectives import OBJECTIVES, Objective, objective
from pushforward.training.diagnose import TrainingDiverged
from pushforward.training.draw import Draw, Moment
from pushforward.training.regularisers.gradient import Lipschitz, ZeroCentred
from pushforward.training.step import Rules, step


def rng(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


class Adam:
    """Descends in one network's weights (torch.optim would import its compiler, which takes seconds)."""

    def __init__(self, network: nn.Module, rate: float, *, momentum: float = 0.0) -> None:
        self.weights, self.rate, self.momentum = list(network.parameters()), rate, momentum
        self.means = [torch.zeros_like(weight) for weight in self.weights]
        self.squares = [torch.zeros_like(weight) for weight in self.weights]
        self.steps = 0

    def __call__(self, loss: Tensor) -> None:
        self.steps += 1
        slopes = torch.autograd.grad(loss, self.weights, allow_unused=True)
        with torch.no_grad():
            for weight, slope, mean, square in zip(self.weights, slopes, self.means, self.squares, strict=True):
                slope = torch.zeros_like(weight) if slope is None else slope
                mean.lerp_(slope, 1 - self.momentum)
                square.lerp_(slope.square(), 0.1)
                weight -= self.rate * mean / (square / (1 - 0.9**self.steps)).sqrt().add(1e-8)


# ---- two point masses: P at 0, Q at theta


class Dirac(nn.Module):
    """All samples at theta."""

    def __init__(self, theta: float) -> None:
        super().__init__()
        self.theta = nn.Parameter(torch.tensor(theta))

    def noise(self, n: int, *, generator: torch.Generator) -> Tensor:
        return torch.zeros(n, 1)

    def forward(self, noise: Tensor) -> Tensor:
        return noise + self.theta


class Line(nn.Module):
    """D(x) = w x + c, which is all that a critic of two points can say."""

    def __init__(self) -> None:
        super().__init__()
        self.w, self.c = nn.Parameter(torch.tensor(-0.1)), nn.Parameter(torch.tensor(0.0))

    def forward(self, x: Tensor) -> Tensor:
        return self.w * x.squeeze(1) + self.c


def after(rules: Rules, *, theta: float, steps: int, rate: float) -> list[float]:
    """theta along `steps` plain gradient steps, against a critic trained well before each."""
    generator, critic, draw = Dirac(theta), Line(), Draw(rng(0))
    descend = Adam(critic, 0.15)
    path = []

    def move(loss: Tensor) -> None:
        (slope,) = torch.autograd.grad(loss, [generator.theta])
        with torch.no_grad():
            generator.theta -= rate * slope
        path.append(float(generator.theta.detach()))

    def data() -> Tensor:
        return torch.zeros(2, 1)

    warm = dataclasses.replace(rules, n_critic=80)
    step(warm, generator, critic, lambda loss: None, descend, data, Moment(0, steps, draw))
    for at in range(steps):
        step(rules, generator, critic, move, descend, data, Moment(at, steps, draw))
    return path


def test_wasserstein_moves_point_masses_together_and_js_does_not() -> None:
    """W1 = |theta| falls wherever theta is; JSD = ln 2 is flat, and a good critic lets nothing through.

    The penalties are those of WGAN-GP, at a weight that lets a line turn round (at 10 its slope cannot pass 0 once it
    is 1 either way), and of its one-sided form, under which the slope is that of W1: 1.
    """
    played = objective("wgan")
    path = after(Rules(played, (Lipschitz(0.1),), n_critic=6), theta=2.0, steps=24, rate=0.05)
    assert max(map(abs, path[-6:])) < 0.4
    path = after(Rules(played, (Lipschitz(10.0, one_sided=True),), n_critic=6), theta=2.0, steps=24, rate=0.1)
    assert abs(path[9] - 1.0) < 0.2  # ten steps of .1
    assert max(map(abs, path[-4:])) < 0.4
    path = after(Rules(objective("minimax"), n_critic=2), theta=2.0, steps=24, rate=0.1)
    assert abs(path[-1] - 2.0) < 0.1


# ---- embeddings and hidden layers, with penalties; no critic


@pytest.mark.parametrize("name", ["mmd", "sinkhorn-learned", "feature-matching", "ragan"])
def test_joint_losses_train_with_zero_centred_penalties(name: str) -> None:
    """Both players move and all that is reported of the losses is finite; the generator comes closer."""
    g = rng(1)
    played = objective(name)
    generator = MLPGenerator((2,), noise_size=2, width=16, depth=1, generator=g)
    critic = MLPCritic((2,), width=16, depth=1, shape=Shape(outputs=played.outputs), generator=g)
    rules = Rules(played, (ZeroCentred(0.5, 0.5),))
    descend_generator, descend_critic = Adam(generator, 2e-2), Adam(critic, 1e-2)

    def off() -> float:
        with torch.no_grad():
            y = generator(generator.noise(500, generator=rng(2)))
        return float((y.mean(0) - 3.0).norm())

    first = off()
    for at in range(30):
        figures = step(
            rules,
            generator,
            critic,
            descend_generator,
            descend_critic,
            lambda: 3.0 + 0.5 * torch.randn(32, 2, generator=g),
            Moment(at, 30, Draw(g)),
        )
        assert {"critic_loss", "generator_loss", "penalty"} <= set(rules.figures)
        assert all(figures[key].isfinite() and figures[key].shape == () for key in rules.figures)
    assert off() < 0.8 * first


def points() -> np.ndarray:
    x: np.ndarray = torch.randn(256, 2, generator=rng(3)).mul(0.5).add(2.0).numpy()
    return x


TINY = {"batch_size": 32, "width": 16, "depth": 1, "seed": 0, "device": "cpu"}


@pytest.mark.parametrize("name", ["energy", "sinkhorn"])
def test_generators_train_without_a_critic(name: str) -> None:
    """Some steps of descent find mean and spread, and there is no critic to keep."""
    model = GAN(name, steps=50, learning_rate=1e-2, **TINY).fit(points(), progress=False)
    y = model.sample(1000, seed=0)
    assert model.critic_ is None
    assert np.abs(y.mean(0) - 2.0).max() < 0.25
    assert np.abs(y.std(0) - 0.5).max() < 0.25


# ---- a user's own


def test_an_own_link_in_one_line() -> None:
    """Half the Pearson divergence, phi = v and psi = v + v^2/2, straight into a model."""
    model = GAN(Link(lambda v: v, lambda v: v + v**2 / 2, "mine"), steps=5, **TINY).fit(points(), progress=False)
    assert model.steps_done_ == 5
    assert objective(alpha(1.5)).name == "alpha:1.5"
    v = torch.tensor([-1.0, 0.5, 3.0])
    named = objective("alpha:1.5").critic  # in an output whose powers do not overflow, unlike the log ratio's
    assert named is not None
    torch.testing.assert_close(named(v, v), fgan_alpha(1.5).psi(v) - v)


def test_unknown_names_list_the_known() -> None:
    with pytest.raises(InputError, match=r"unknown objective 'mdm'; known: alpha, .*mmd, .*wgan and alpha:A"):
        GAN("mdm", steps=1, **TINY).fit(points(), progress=False)


def own(**changes: object) -> Objective:
    return dataclasses.replace(OBJECTIVES["wgan"], name="mine", **changes)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (own(critic=lambda a, b: b[:, None] - a), r"critic loss .*'mine' gives shape \(4, 4\) .* \(4,\), or one, \(\)"),
        (own(generator=lambda a, b: b[:2]), r"generator loss .*'mine' gives shape \(2,\) for two \(4,\) tensors"),
        (own(generator=lambda a, b: 1.0), "generator loss .*'mine' gives float"),
        (own(critic=lambda a, b: b @ a[:, None, None]), "critic loss .*'mine' fails on two .*RuntimeError"),
        (own(critic=lambda a, b: (b - a).log()), "critic loss .*not finite .*look at its logarithms"),
        (own(critic=lambda a, b: (b - a - 5).abs().sqrt() * 0 + (b * 0).sqrt()), "gradient is not finite"),
        (own(generator=lambda a, b: b.detach()), "generator loss .*no gradient"),
        (own(critic=None), "has no critic"),
        (own(reads="data"), "critic must be None"),
        (own(outputs=3), "outputs=3 makes no sense"),
        (dataclasses.replace(OBJECTIVES["mmd"], critic=lambda a, b: a - b), r"gives shape \(4, 16\)"),
        (LINKS["tv"], "critic loss .*'tv' has no gradient"),
        (Link(lambda v: v.mean(), lambda v: v[:, None], "mine"), r"'mine' gives shape \(4, 1\)"),
    ],
)
def test_an_own_objective_that_cannot_work_is_refused_in_one_sentence(wrong: Objective | Link, words: str) -> None:
    with pytest.raises(InputError, match=words) as error:
        GAN(wrong, **TINY).fit(points(), progress=False)
    assert "\n" not in str(error.value)


def failing(after: int, bad: float) -> Callable[[Tensor, Tensor], Tensor]:
    """b - a for a while, then times `bad`."""
    calls = 0

    def loss(a: Tensor, b: Tensor) -> Tensor:
        nonlocal calls
        calls += 1
        return (b - a) * (bad if calls > after else 1.0)

    return loss


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_nan_in_an_own_objective_ends_the_run_with_a_sentence(bad: float) -> None:
    with pytest.raises(TrainingDiverged, match=r"objective mine diverged at step \d+: .*NaN") as error:
        GAN(own(critic=failing(8, bad)), steps=20, **TINY).fit(points(), progress=False)
    assert "\n" not in str(error.value)
