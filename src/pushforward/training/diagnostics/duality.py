"""The duality gap: how far a generator and a critic are from an equilibrium (Grnarova et al. 2019).

With the game's value V(G, D) = -E loss_D(D(x), D(G(z))), which the critic maximises and the generator minimises,

    gap = max_D' V(G, D') - min_G' V(G', D)  >=  0,

and 0 at an equilibrium of the game and nowhere else. Both best responses start from copies of the players and are
trained for a number of steps on one set of rows; V is then taken on another. A best response that is trained for a
finite time is not the best, so the gap found is, but for sampling, a lower bound of the gap.

V is the critic's also for objectives whose generator descends something else (`ns`): the gap is then of the game whose
equilibrium is sought.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast, final

import torch
from torch import Tensor, nn

from ...errors import InputError
from ...objectives import Objective
from ...witness import Estimate

if TYPE_CHECKING:
    from ..step import Generator

Penalty = Callable[[nn.Module, Tensor, Tensor], Tensor]
"""(critic, data, samples) -> what the critic's best response pays besides its loss."""


@final
@dataclass(frozen=True)
class DualityGap:
    """`gap` with its interval, the value of the game as it stands, and after each side's best response alone."""

    gap: Estimate
    value: float
    best_critic: float
    best_generator: float


def duality_gap(
    generator: nn.Module,
    critic: nn.Module,
    objective: Objective,
    train: Tensor,
    held: Tensor,
    *,
    steps: int = 200,
    learning_rate: float = 1e-3,
    batch_size: int = 128,
    penalty: Penalty | None = None,
    seed: int = 0,
) -> DualityGap:
    """The gap of `generator` and `critic`, best responses learned on `train` and valued on `held` `(n, *event)`.

    Adam with `learning_rate` for `steps` on each side; the players are left as they are. Without a `penalty` an
    objective whose value is unbounded (`wgan`) has no best critic: the figure then grows with `steps`. Raises
    `InputError` for an objective that reads more than scores.
    """
    if objective.critic is None or objective.reads != "scores":
        raise InputError(f"the objective {objective.name} has no critic's score to play for, so no duality gap")
    if min(len(train), len(held)) < 2:
        raise InputError(f"a duality gap needs two rows on each side, not {len(train)} and {len(held)}")
    rng = torch.Generator().manual_seed(seed)
    best_critic = _respond(generator, critic, objective, train, steps, learning_rate, batch_size, penalty, rng, True)
    best_generator = _respond(generator, critic, objective, train, steps, learning_rate, batch_size, None, rng, False)
    noise = cast("Generator", generator).noise(len(held), generator=rng).to(held.device)
    with torch.no_grad():
        as_is = _value(generator, critic, objective, held, noise)
        high = _value(generator, best_critic, objective, held, noise)
        low = _value(best_generator, critic, objective, held, noise)
    difference = (high - low).float().cpu().double()
    stderr = float(difference.std(correction=1)) / math.sqrt(len(held)) if difference.dim() else math.nan
    gap = Estimate.normal(float(difference.mean()), stderr)
    return DualityGap(gap, float(as_is.mean()), float(high.mean()), float(low.mean()))


def _value(generator: nn.Module, critic: nn.Module, objective: Objective, x: Tensor, noise: Tensor) -> Tensor:
    """-loss_D row by row (or one number, for objectives of a whole batch)."""
    assert objective.critic is not None
    return -objective.critic(critic(x), critic(generator(noise)))


def _respond(
    generator: nn.Module,
    critic: nn.Module,
    objective: Objective,
    rows: Tensor,
    steps: int,
    learning_rate: float,
    batch_size: int,
    penalty: Penalty | None,
    rng: torch.Generator,
    critics_turn: bool,
) -> nn.Module:
    """A copy of the critic (or of the generator) after `steps` of its own against the other as it stands."""
    generator, critic = copy.deepcopy(generator), copy.deepcopy(critic)
    player, other = (critic, generator) if critics_turn else (generator, critic)
    player.requires_grad_(True)
    other.requires_grad_(False)
    adam = torch.optim.Adam(player.parameters(), lr=learning_rate, betas=(0.0, 0.99))
    for _ in range(steps):
        chosen = torch.randint(len(rows), (min(batch_size, len(rows)),), generator=rng).to(rows.device)
        x = rows[chosen]
        noise = cast("Generator", generator).noise(len(x), generator=rng).to(rows.device)
        value = _value(generator, critic, objective, x, noise).mean()
        loss = -value if critics_turn else value
        if penalty is not None:
            loss = loss + penalty(critic, x, generator(noise).detach())
        adam.zero_grad()
        loss.backward()
        adam.step()
    return player
