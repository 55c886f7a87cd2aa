"""What a regulariser may do in a step. Each is a module of small hooks; what it remembers is in its buffers.

    critic step      y = replay(y);  loss = objective + mean charge(scene) + inertia("critic", weights)
                     observe(scene);  descend;  after(weights)
    both             the critic sees view(rows), of each side on its own
    generator step   loss against opponent(play), + inertia("generator", weights)

Hooks are composed in the order in which the regularisers are named. None reads anything back from the device.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from ...nets import Shape
from ..draw import Draw, Moment

Score = Callable[[Tensor], Tensor]
Role = Literal["critic", "generator"]


@dataclass(frozen=True)
class Play:
    """The game at one moment, as regularisers see it.

    critic: what scores rows, as it sees them now (views included); network: the critic itself, and `score` makes of
    it, with other weights put in by name, what `critic` is of its own. x, y: data and samples `(n, *event)`; in the
    generator's step y carries the generator's graph. loss: (scores of x, scores of y) -> the critic's mean loss,
    without charges.
    """

    critic: Score
    network: nn.Module
    score: Callable[[Mapping[str, Tensor]], Score]
    x: Tensor
    y: Tensor
    moment: Moment
    loss: Callable[[Tensor, Tensor], Tensor]

    @property
    def draw(self) -> Draw:
        return self.moment.draw


@dataclass(frozen=True)
class Scene(Play):
    """A critic step: x and y require gradients, and a = D(x), b = D(y) come from them, so that a penalty there needs
    no second forward pass."""

    a: Tensor
    b: Tensor
    weights: Sequence[Tensor] = ()  # of the critic; listing them takes as long as a small layer, so it is done once
    signs: Tensor | None = None  # +1 or -1 for each output of an embedding, drawn afresh for every scene

    def line(self, scores: Tensor) -> Tensor:
        """One number per row, whose slope is charged: the score itself; of an embedding `(n, k)` its sum with random
        signs, for which E|grad s.D|^2 = sum_k |grad D_k|^2 (plain sums would let slopes of two outputs cancel)."""
        return scores if self.signs is None else scores @ self.signs

    @property
    def pack(self) -> int:
        """How many rows have one score."""
        return len(self.x) // len(self.a)


class Regulariser(nn.Module):
    """One of the ways to steady the game; a kind overrides the hooks it needs."""

    name = ""

    def shape(self, shape: Shape) -> Shape:
        """The critic's shape with what this one needs."""
        return shape

    def prepare(self, critic: nn.Module, *, seed: int) -> nn.Module:
        """The critic with what must be built into it, before its first step (and before its weights are loaded)."""
        return critic

    def view(self, rows: Tensor, moment: Moment) -> Tensor:
        """What the critic sees of `rows` `(n, *event)`, data and samples alike; differentiable in them."""
        return rows

    def replay(self, y: Tensor, moment: Moment) -> Tensor:
        """The samples that the critic is shown in place of `y`."""
        return y

    def charge(self, scene: Scene) -> Tensor | None:
        """Added to the critic's loss: one value per row, whose mean is taken."""
        return None

    def inertia(self, role: Role, weights: Sequence[Tensor]) -> Tensor | None:
        """Added to a player's loss for the weights that it has, `()`."""
        return None

    def opponent(self, play: Play) -> Score | None:
        """What the generator plays against, if other than the critic just trained."""
        return None

    def observe(self, scene: Scene) -> None:
        """Remember something of the scene, without gradients."""

    def after(self, weights: Sequence[Tensor]) -> None:
        """Change the critic's weights in place after its step."""

    def figures(self, progress: float) -> dict[str, float]:
        """What the history should record of it."""
        return {}


def slopes(scores: Tensor, *at: Tensor) -> tuple[Tensor, ...]:
    """The gradient of every row's score in that row, for each of `at`, differentiable once more."""
    return torch.autograd.grad(scores.sum(), at, create_graph=True)
