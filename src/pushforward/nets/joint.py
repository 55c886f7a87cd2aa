"""Joint rows: several tensors of one row, side by side in a flat one, for critics that judge them together."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor


@dataclass(frozen=True)
class Joint:
    """Parts of the given `shapes`, flattened and concatenated.

    viewed: which parts are data that augmentations may change; the others (conditions, latents) stay as they are.
    """

    shapes: tuple[tuple[int, ...], ...]
    viewed: tuple[int, ...] = (0,)

    def __post_init__(self) -> None:
        object.__setattr__(self, "shapes", tuple(tuple(shape) for shape in self.shapes))

    @property
    def sizes(self) -> list[int]:
        """How many numbers every part has."""
        return [math.prod(shape) for shape in self.shapes]

    @property
    def event_shape(self) -> tuple[int, ...]:
        return (sum(self.sizes),)

    def join(self, *parts: Tensor) -> Float[Tensor, "n total"]:
        """One flat row of every part's row; all in the first part's dtype."""
        return torch.cat([part.flatten(1).to(parts[0].dtype) for part in parts], 1)

    def split(self, rows: Float[Tensor, "n total"]) -> Sequence[Tensor]:
        """The parts `(n, *shape)` of joint rows."""
        parts = rows.split(self.sizes, 1)
        return [part.unflatten(1, shape) for part, shape in zip(parts, self.shapes, strict=True)]
