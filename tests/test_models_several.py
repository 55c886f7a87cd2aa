"""Several losses at once in training: what is descended, what is refused, and the front that comes of it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from pushforward.errors import InputError
from pushforward.models import GAN, VAE, Gaussian
from pushforward.models.several import apart, read, trade_off
from pushforward.objectives.several import combined
from pushforward.training.draw import Draw, Moment
from pushforward.training.step import Rules, step

RING = np.random.default_rng(0).normal(size=(300, 2))
TINY: dict[str, Any] = {"steps": 12, "batch_size": 16, "width": 8, "depth": 1, "device": "cpu"}


class Two(nn.Module):
    """A network of two losses: |w - a|^2 and |w - b|^2, whatever the rows."""

    charges = ("near_a", "near_b")

    def __init__(self) -> None:
        super().__init__()
        self.w = nn.Parameter(torch.tensor([3.0, 2.0]))

    def learn(self, x: torch.Tensor, moment: Any) -> dict[str, torch.Tensor]:
        a, b = torch.tensor([0.0, 0.0]), torch.tensor([1.0, 0.0])
        n = len(x)
        return {"near_a": (self.w - a).square().sum().expand(n), "near_b": (self.w - b).square().sum().expand(n)}


@pytest.mark.parametrize("how", ["", "weighted", "mgda", "smooth-tchebycheff"])
def test_a_learning_step_descends_what_is_said(how: str) -> None:
    network, found = Two(), {}

    def descend(loss: torch.Tensor) -> None:
        (found["gradient"],) = torch.autograd.grad(loss, [network.w])

    preference = (0.3, 0.7) if how else ()
    rules = Rules(None, charges=network.charges, combine=how, preference=preference)
    moment = Moment(0, 1, Draw(torch.Generator().manual_seed(0)))
    figures = step(rules, network, None, descend, None, lambda: torch.zeros(5, 2), moment)  # type: ignore[arg-type]
    losses = torch.stack([one.mean() for one in network.learn(torch.zeros(1, 2), None).values()])
    assert [float(figures[name]) for name in network.charges] == pytest.approx(losses.tolist())
    whole = losses.sum() if not how else combined(losses, [network.w], how, preference=torch.tensor(preference))
    (expected,) = torch.autograd.grad(whole, [network.w])
    torch.testing.assert_close(found["gradient"], expected)


def test_a_term_keeps_samples_away_from_data() -> None:
    """|y - x| at 0, half the margin, the margin and beyond."""
    x, y = torch.zeros(1, 2), torch.tensor([[0.0, 0.0], [0.5, 0.0], [0.0, 1.0], [3.0, 3.0]])
    torch.testing.assert_close(apart(1.0)(x, y), torch.tensor([1.0, 0.25, 0.0, 0.0]))


def test_a_gan_descends_a_users_term() -> None:
    """A term that pulls every sample to one place outweighs the game: the samples end there."""
    there = torch.tensor([2.0, -1.0])
    settings = {**TINY, "steps": 400, "learning_rate": 0.02, "width": 16}
    model = GAN(terms={"pull": lambda x, y: 1000 * (y - there).square().sum(1)}, **settings).fit(RING, progress=False)
    assert "pull" in model.history_[-1]
    spread = RING.std(0)
    samples = (model.sample(200, seed=0) - RING.mean(0)) / spread
    assert np.abs(samples.mean(0) - there.numpy()).max() < 0.3
    with pytest.raises(InputError, match="terms are functions of your own"):
        GAN(terms={"pull": lambda x, y: y.sum(1)}, **TINY).fit(RING, out="never-made", progress=False)


@pytest.mark.parametrize("how", ["mgda", "weighted"])
def test_a_gan_combines_its_game_with_a_term(how: str) -> None:
    model = GAN(terms={"apart": apart(0.1)}, combine=how, preference=(1.0, 2.0), **TINY).fit(RING, progress=False)
    assert np.isfinite(model.sample(5, seed=0)).all()


def test_what_makes_no_sense_is_told() -> None:
    with pytest.raises(InputError, match="known: weighted"):
        read("sideways", None)
    with pytest.raises(InputError, match="say how"):
        read(None, (1.0, 2.0))
    with pytest.raises(InputError, match="2 of them"):
        read("mgda", (1.0, 2.0, 3.0), losses=2)
    with pytest.raises(InputError, match="positive"):
        read("mgda", (1.0, -2.0))
    with pytest.raises(InputError, match="one loss"):
        trade_off(Gaussian(), RING, preferences=[(1, 1), (1, 2)], held=RING)
    with pytest.raises(InputError, match="at least two"):
        trade_off(GAN(), RING, preferences=[(1, 1)], held=RING)


def test_a_front_of_a_gan_with_a_measure_of_ones_own() -> None:
    """The measure is called on every model; dominated points are told."""
    models: list[Any] = []

    def measure(model: Any, held: Any) -> dict[str, float]:
        models.append(model)
        return {"first": float(model.preference[0]), "second": float(model.preference[0])}

    pull = {"pull": lambda x, y: y.square().sum(1)}
    found = trade_off(GAN(terms=pull, **TINY), RING, preferences=[(1, 1), (2, 1)], held=RING, measure=measure)
    assert found.names == ("first", "second")
    assert found.front.dominated.tolist() == [False, True]
    assert found.models == tuple(models)


def test_the_front_of_a_vae() -> None:
    """More weight on the rate leaves a smaller divergence and a worse reconstruction: both ends are on the front."""
    rng = np.random.default_rng(3)
    x = rng.normal(size=(800, 1)) @ rng.normal(size=(1, 4)) + 0.3 * rng.normal(size=(800, 4))
    model = VAE(latent_size=1, steps=150, width=16, depth=1, learning_rate=0.01, device="cpu")
    found = trade_off(model, x[:600], preferences=[(10.0, 1.0), (1.0, 10.0)], held=x[600:])
    assert set(found.names) == {"reconstruction", "divergence"}
    distortion, rate = (found.front.losses[:, found.names.index(name)] for name in ("reconstruction", "divergence"))
    assert distortion[0] < distortion[1] - 0.3
    assert rate[1] < rate[0] - 0.3
    assert not found.front.dominated.any()
