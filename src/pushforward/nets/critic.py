"""What all critics share: rows -> (packed) -> last hidden layer -> scores."""

from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn

from .groups import deviation, pack
from .initialise import linear


@dataclass(frozen=True)
class Shape:
    """What a critic sees at once and gives: `pack` rows as one, the `deviation` of groups of rows beside the hidden
    layer, and `outputs` numbers."""

    pack: int = 1
    deviation: bool = False
    outputs: int = 1


PLAIN = Shape()


class Critic(nn.Module, ABC):
    """Rows `(n, *event)` -> scores `(n / pack,)`, or `(n / pack, outputs)` where outputs > 1.

    A kind of critic adds `hidden`: packed rows -> last hidden layer `(n, width)`.
    """

    def __init__(self, width: int, shape: Shape, *, generator: torch.Generator) -> None:
        super().__init__()
        self.shape = shape
        self.leave = linear(width + shape.deviation, shape.outputs, generator, gain=1.0)

    @abstractmethod
    def hidden(self, x: Tensor) -> Tensor:
        """Packed rows -> last hidden layer `(n, width)`."""

    def features(self, x: Float[Tensor, "n *event"]) -> Float[Tensor, "packs width"]:
        """The last hidden layer, after its activation."""
        return self.hidden(pack(x, self.shape.pack))

    def forward(self, x: Float[Tensor, "n *event"]) -> Float[Tensor, "packs *outputs"]:
        return self.scores(self.features(x))

    def scores(self, h: Float[Tensor, "packs width"]) -> Float[Tensor, "packs *outputs"]:
        """Scores of the last hidden layer."""
        if self.shape.deviation:
            h = torch.cat([h, deviation(h)], 1)
        out: Tensor = self.leave(h)
        return out.squeeze(1) if self.shape.outputs == 1 else out
