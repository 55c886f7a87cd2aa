"""Masks: which cells of a row are seen. A mask is `(n, units)`, 1 where seen, 0 where to be filled.

A *unit* is what is masked as one: a table's column (its number and its category block together), a coordinate of
points, a pixel with all its channels (row by row).

The law by which training masks are drawn, independently of the rows, reaches every pattern:

    rows      a share r ~ U(0, 1) for each row, and every unit seen with probability r; one row in `BLANK`, none at all
    images    a third so; a third with one rectangle unseen; a third with one side (half, a third, ...) unseen
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

BLANK = 0.1  # share of rows of which nothing is seen: what is learned there is the whole row's law


def draw(n: int, size: Sequence[int], *, generator: torch.Generator) -> Float[Tensor, "n units"]:
    """Training masks of n rows; `size` is `(units,)`, or `(height, width)` of images."""
    if len(size) == 1:
        return _scattered(n, size[0], generator)
    height, width = size
    kinds = torch.rand(n, 1, generator=generator, device=generator.device) * 3
    scattered = _scattered(n, height * width, generator)
    holes = 1 - _rectangles(n, height, width, generator)
    halves = 1 - _sides(n, height, width, generator)
    return torch.where(kinds < 1, scattered, torch.where(kinds < 2, holes, halves))


def _scattered(n: int, units: int, generator: torch.Generator) -> Tensor:
    u = torch.rand(n, units + 2, generator=generator, device=generator.device)
    rate = torch.where(u[:, -1:] < BLANK, torch.zeros_like(u[:, -1:]), u[:, -2:-1])
    return (u[:, :units] < rate).float()


def _rectangles(n: int, height: int, width: int, generator: torch.Generator) -> Tensor:
    """1 inside one rectangle of each image: both corners uniform, so that all sizes occur."""
    ends = torch.rand(n, 2, 2, generator=generator, device=generator.device).sort(1).values
    inside = []
    for axis, length in enumerate((height, width)):
        place = (torch.arange(length, device=generator.device) + 0.5) / length
        low, high = ends[:, 0, axis, None] - 0.5 / length, ends[:, 1, axis, None] + 0.5 / length
        inside.append(((place >= low) & (place <= high)).float())
    return (inside[0][:, :, None] * inside[1][:, None, :]).flatten(1)


def _sides(n: int, height: int, width: int, generator: torch.Generator) -> Tensor:
    """1 on one side of each image: upper, lower, left or right, up to a uniform cut."""
    u = torch.rand(n, 2, generator=generator, device=generator.device)
    side, cut = (u[:, 0] * 4).long()[:, None, None], u[:, 1][:, None, None]
    down = ((torch.arange(height, device=u.device) + 0.5) / height)[None, :, None].expand(n, height, width)
    along = ((torch.arange(width, device=u.device) + 0.5) / width)[None, None, :].expand(n, height, width)
    place = torch.where(side < 2, down, along)
    return torch.where(side % 2 == 0, place < cut, place > cut).float().flatten(1)
