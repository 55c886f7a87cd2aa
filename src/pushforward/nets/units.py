"""Rows of data as rows of unit scale, to which noise of every level is added, and back.

points    as they are: standardised
images    ((r + u) / L - m) / s: ranks r among the L shades of training, spread over their cells by u in [0, 1)
          (Theis et al. 2016), m and s the mean and deviation of all pixels; back by the cell a number falls into
tables    numbers as they are; one-hot groups centred at their frequencies and divided by the root mean variance of
          their entries, so that every group is about as loud as a number; back as numbers (a codec takes the argmax)
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from .event import Event


class Units(nn.Module):
    """`warm_start` learns the scale of training rows; until then it is one."""

    centre: Tensor
    scale: Tensor
    levels: Tensor

    def __init__(self, event: Event, *, device: torch.device) -> None:
        super().__init__()
        self.event = event
        shape = event.shape if event.kind == "table" else ()
        self.register_buffer("centre", torch.zeros(shape, device=device))
        self.register_buffer("scale", torch.ones(shape, device=device))
        self.register_buffer("levels", torch.tensor(event.shades, dtype=torch.long, device=device), persistent=False)

    def warm_start(self, rows: Tensor) -> None:
        """Learn from expanded training `rows`."""
        if self.event.kind == "images":
            unit = self._unit(rows, torch.full_like(rows, 0.5))
            self.centre.copy_(unit.mean())
            self.scale.copy_((unit.var() + 1 / (12 * len(self.levels) ** 2)).sqrt())
        elif self.event.kind == "table":
            mean, variance = rows.mean(0), rows.var(0, correction=0)
            for block in self.event.blocks:
                if block.kind == "category":
                    at = slice(block.start, block.stop)
                    self.centre[at] = mean[at]
                    self.scale[at] = variance[at].mean().sqrt().clamp(min=1e-2)

    def enter(self, x: Tensor, u: Tensor) -> Tensor:
        """Expanded rows -> rows of unit scale. u: like x, in [0, 1); only images look at it."""
        if self.event.kind == "points":
            return x
        return ((self._unit(x, u) if self.event.kind == "images" else x) - self.centre) / self.scale

    def leave(self, rows: Tensor) -> Tensor:
        """Rows of unit scale -> expanded rows."""
        if self.event.kind == "points":
            return rows
        x = rows * self.scale + self.centre
        if self.event.kind == "table":
            return x
        ranks = (torch.nan_to_num(x) * len(self.levels)).floor().long().clamp(0, len(self.levels) - 1)
        return self.levels.to(x)[ranks] / 127.5 - 1

    def ln_slope(self) -> Tensor:
        """ln |d unit-scale row / d x|: of points and tables; of images, what makes a density of spread ranks the mass
        of a picture."""
        each = self.scale.log().expand(self.event.shape).sum()
        if self.event.kind == "images":
            return -each - self.event.size * math.log(len(self.levels))
        return -each

    def known(self, x: Tensor) -> Tensor:
        """`(n,)`: whether every pixel of a picture has a shade of training; True of all else."""
        if self.event.kind != "images":
            return torch.ones(len(x), dtype=torch.bool, device=x.device)
        return (self._ranks(x) >= 0).flatten(1).all(1)

    def _ranks(self, x: Tensor) -> Tensor:
        """Of pictures in [-1, 1]; -1 where a pixel has none of the levels."""
        table = torch.full((256,), -1, dtype=torch.long, device=x.device)
        table[self.levels] = torch.arange(len(self.levels), device=x.device)
        return table[((x + 1) * 127.5).round().long().clamp(0, 255)]

    def _unit(self, x: Tensor, u: Tensor) -> Tensor:
        return (self._ranks(x).clamp(min=0) + u) / len(self.levels)
