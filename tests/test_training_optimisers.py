"""Optimisers for saddles: closed forms on the bilinear game, the published recurrences, and their state."""

import copy
import math
from collections.abc import Iterator

import numpy as np
import pytest
import torch
from lightning_fabric import Fabric
from torch import Tensor, nn

from pushforward.errors import InputError
from pushforward.training import checkpoint
from pushforward.training.optimisers import OPTIMISERS, Paced, optimiser
from pushforward.training.player import Player
from pushforward.training.schedule import Plan, Schedule

SADDLE = ["optimistic", "extragradient", "lookahead"]
PLAIN = 1e9  # an eps so large that d = g / eps: Adam becomes plain descent, whose game has a closed form


def bilinear(name: str, steps: int, rate: float, *, eps: float = 1e-8, schedule: Schedule | None = None) -> list[float]:
    """The distance from the saddle of min_x max_y xy after each step, from (1, 1), both players moving at once."""
    x, y = (torch.ones(1, dtype=torch.float64) for _ in range(2))
    players = [OPTIMISERS[name]([weight]) for weight in (x, y)]
    far = []
    for step in range(steps):
        plan = schedule.at(step) if schedule else Plan(rate * (eps if eps > 1 else 1), 0.9)
        for player in players:
            player.param_groups[0].update(lr=plan.learning_rate, betas=(0.0, plan.beta2), eps=eps)
            if isinstance(player, Paced):
                player.begin(step)
        x.grad, y.grad = y.clone(), -x.clone()
        for player in players:
            player.step()
        far.append(math.hypot(float(x), float(y)))
    return far


def test_plain_descent_of_both_diverges() -> None:
    """The step is 1 - i eta on the plane x + i y: |z| grows by sqrt(1 + eta^2) each time."""
    far = bilinear("adam", 400, 0.1, eps=PLAIN)
    np.testing.assert_allclose(far, math.sqrt(2) * 1.01 ** (0.5 * np.arange(1, 401)), rtol=1e-6)
    assert far[-1] > 10


def test_a_step_is_that_of_pytorchs_adam() -> None:
    """With momentum or without, where a weight has no gradient, and whatever the types of the weights."""
    rng = torch.Generator().manual_seed(0)
    for types in ([torch.float32] * 3, [torch.float32, torch.float64, torch.float32]):
        for name, beta in (("adam", 0.0), ("momentum", 0.9)):
            ours = [torch.randn(4, generator=rng, dtype=kind) for kind in types]
            theirs = [w.clone() for w in ours]
            one, other = OPTIMISERS[name](ours), torch.optim.Adam(theirs, 0.01, (beta, 0.97), 1e-8)
            one.param_groups[0].update(lr=0.01, betas=(beta, 0.97))
            for turn in range(5):
                for i, (w, v) in enumerate(zip(ours, theirs, strict=True)):
                    w.grad = torch.randn(4, generator=rng, dtype=w.dtype) if turn % 2 or i else None
                    v.grad = None if w.grad is None else w.grad.clone()
                one.step()
                other.step()
                torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", list(OPTIMISERS))
def test_a_copy_goes_on(name: str) -> None:
    weight = torch.ones(3)
    weight.grad = torch.ones(3)
    copied = copy.deepcopy(OPTIMISERS[name]([weight]))
    copied.param_groups[0]["lr"] = 0.1
    copied.step()
    (moved,) = copied.param_groups[0]["params"]
    assert (moved < 1).all()


def test_extragradient_in_closed_form() -> None:
    """A pair of steps is 1 - i eta (1 - i eta) = 1 - eta^2 - i eta."""
    far = np.array(bilinear("extragradient", 700, 0.1, eps=PLAIN))
    pairs = np.arange(1, 351)
    np.testing.assert_allclose(far[1::2], math.sqrt(2) * abs(1 - 0.01 - 0.1j) ** pairs, rtol=1e-6)
    np.testing.assert_allclose(far[2::2], far[1:-1:2] * abs(1 - 0.1j), rtol=1e-6)  # looking ahead
    assert far[-1] < far[0] / 5


def test_optimistic_in_closed_form() -> None:
    """z_{t+1} = z_t - 2 i eta z_t + i eta z_{t-1}, with no correction at the first step."""
    z = [1 + 1j, (1 + 1j) * (1 - 0.2j)]
    while len(z) <= 800:
        z.append(z[-1] * (1 - 0.2j) + 0.1j * z[-2])
    far = bilinear("optimistic", 800, 0.1, eps=PLAIN)
    np.testing.assert_allclose(far, np.abs(z[1:]), rtol=1e-6)
    assert far[-1] < 0.1


def test_lookahead_in_closed_form() -> None:
    """A cycle of five steps is (1 + (1 - i eta)^5) / 2; it is taken where the next cycle begins."""
    far = np.array(bilinear("lookahead", 700, 0.1, eps=PLAIN))
    cycle = abs((1 + (1 - 0.1j) ** 5) / 2)
    np.testing.assert_allclose(far[::5], math.sqrt(2) * cycle ** np.arange(140) * abs(1 - 0.1j), rtol=1e-6)
    assert far[-1] < far[0] / 5


def test_as_they_are_used() -> None:
    """With Adam's scaling and the schedule of a run, Adam stays on a circle and the others go to the saddle."""
    ends = {name: bilinear(name, 300, 0.0, schedule=Schedule(300, 0.1))[-1] for name in OPTIMISERS}
    assert ends["adam"] > 0.5
    assert max(ends[name] for name in SADDLE) < 1e-4, ends


def directions(gradients: list[Tensor], beta2: float) -> Iterator[Tensor]:
    """g / (sqrt(v) + eps) with the mean of squares free of its start (Kingma and Ba 2015, algorithm 1)."""
    v = torch.zeros_like(gradients[0])
    for t, g in enumerate(gradients, 1):
        v = beta2 * v + (1 - beta2) * g**2
        yield g / ((v / (1 - beta2**t)).sqrt() + 1e-8)


@pytest.mark.parametrize("name", list(OPTIMISERS))
def test_recurrences(name: str) -> None:
    """Six steps with given gradients against the published update, written out."""
    g = torch.Generator().manual_seed(3)
    gradients = [torch.randn(4, generator=g, dtype=torch.float64) for _ in range(11)]
    start = torch.randn(4, generator=g, dtype=torch.float64)
    eta, d = 0.1, list(directions(gradients, 0.9))
    w, origin, slow, before = start, start, start, torch.zeros(4, dtype=torch.float64)
    expected = []
    for t, move in enumerate(d):
        if name == "optimistic":
            w, before = w - 2 * eta * move + eta * before, move
        elif name == "extragradient" and t % 2 == 0:
            origin, w = w, w - eta * move
        elif name == "extragradient":
            w = origin - eta * move
        else:
            if name == "lookahead" and t and t % 5 == 0:
                slow = slow + 0.5 * (w - slow)
                w = slow
            w = w - eta * move
        expected.append(w)
    weight = start.clone()
    one = OPTIMISERS[name]([weight])
    for t, gradient in enumerate(gradients):
        one.param_groups[0].update(lr=eta, betas=(0.0, 0.9))
        if isinstance(one, Paced):
            one.begin(t)
        weight.grad = gradient.clone()
        one.step()
        torch.testing.assert_close(weight, expected[t], rtol=1e-10, atol=1e-12)


def test_extragradient_with_several_critic_steps() -> None:
    """In the step of the run that looks ahead all steps go on; in the other the first starts from the origin."""
    weight = torch.zeros(1, dtype=torch.float64)
    one = OPTIMISERS["extragradient"]([weight])
    one.param_groups[0].update(lr=PLAIN, eps=PLAIN)
    places = []
    for turn in range(4):
        assert isinstance(one, Paced)
        one.begin(turn)
        for gradient in (-1.0, -1.0):
            weight.grad = torch.full((1,), gradient, dtype=torch.float64)
            one.step()
            places.append(round(float(weight), 5))
    assert places == [1, 2, 1, 2, 3, 4, 3, 4]


class Line(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.arange(6.0).view(2, 3))
        self.bias = nn.Parameter(torch.ones(2))

    def forward(self, x: Tensor) -> Tensor:
        return nn.functional.linear(x, self.weight, self.bias)


@pytest.mark.parametrize("stop", [0, 3, 4, 5, 6])
@pytest.mark.parametrize("name", list(OPTIMISERS))
def test_a_player_goes_on_bit_for_bit(name: str, stop: int) -> None:
    fabric = Fabric(accelerator="cpu", devices=1)
    schedule = Schedule(12, 0.05)
    rows = torch.randn(12, 7, 3, generator=torch.Generator().manual_seed(1))

    def go(player: Player, first: int, last: int) -> None:
        for step in range(first, last):
            player.set(schedule.at(step))
            player(player.network(rows[step]).square().mean())

    whole, begun, resumed = (Player(Line(), fabric, optimiser=optimiser(name)) for _ in range(3))
    go(whole, 0, 12)
    go(begun, 0, stop)
    resumed.restore(checkpoint.unpack(*checkpoint.pack(begun.tree())))
    go(resumed, stop, 12)
    for one, other in zip(whole.weights, resumed.weights, strict=True):
        assert torch.equal(one, other)
    # a trial that is undone leaves no trace
    fresh = Player(Line(), fabric, optimiser=optimiser(name))
    before = checkpoint.unpack(*checkpoint.pack(fresh.tree()))
    go(fresh, 0, 7)
    fresh.restore(before)
    go(fresh, 0, 12)
    assert all(torch.equal(one, other) for one, other in zip(whole.weights, fresh.weights, strict=True))


def test_unknown_names_the_known() -> None:
    with pytest.raises(InputError, match="unknown optimiser 'sgd'; known: adam, optimistic, extragrad"):
        optimiser("sgd")
