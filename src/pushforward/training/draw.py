"""Randomness and company of one process among several: what a step draws does not depend on how many share it.

Every process draws for the rows of the whole batch and keeps its own block, so that the draws of all, in order, are
those of one process on the union batch.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Draw:
    """Random numbers for this process's rows; `generator` is on the device and alike in every process."""

    generator: torch.Generator
    rank: int = 0
    world_size: int = 1
    gather: Callable[[Tensor], Tensor] = lambda rows: rows  # rows of all processes in order, differentiable

    def normal(self, n: int, *shape: int) -> Tensor:
        """N(0, 1), `(n, *shape)`."""
        return self.mine(torch.randn(self.world_size * n, *shape, generator=self.generator, device=self.device))

    def uniform(self, n: int, *shape: int) -> Tensor:
        """U(0, 1), `(n, *shape)`."""
        return self.mine(torch.rand(self.world_size * n, *shape, generator=self.generator, device=self.device))

    def integers(self, low: int, high: int, n: int, *shape: int) -> Tensor:
        """Whole numbers in [low, high), `(n, *shape)`."""
        size = (self.world_size * n, *shape)
        return self.mine(torch.randint(low, high, size, generator=self.generator, device=self.device))

    def mine(self, rows: Tensor) -> Tensor:
        """This process's block of the rows of all."""
        return rows if self.world_size == 1 else rows.chunk(self.world_size)[self.rank]

    @property
    def device(self) -> torch.device:
        return self.generator.device


@dataclass(frozen=True)
class Moment:
    """Where a run is: `step` of `steps`, what is drawn there."""

    step: int
    steps: int
    draw: Draw

    @property
    def progress(self) -> float:
        """0 at the first step, 1 after the last."""
        return min(1.0, self.step / self.steps)
