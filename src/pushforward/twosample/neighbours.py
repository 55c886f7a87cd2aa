"""Nearest neighbours by streamed tiles: the k smallest distances of every row, never the whole matrix of distances.

A tile of squared distances is one matrix product; the k smallest of each row are kept from tile to tile. The product
rounds close pairs badly, so the distances of the few that are kept are computed again from differences. In one column
the rows are sorted instead: the k nearest lie within k places on either side.
"""

from dataclasses import dataclass
from typing import final

import torch
from jaxtyping import Float
from torch import Tensor

from pushforward.fitters.kernel import minus_squared_distances

_TILE = 4096
_CELLS = 2**23  # entries made at a time


@final
@dataclass(frozen=True, eq=False)
class Neighbours:
    """For each row its nearest others, nearest first: `index` `(n, k)` into them and `distance` `(n, k)`, Euclidean."""

    index: Tensor
    distance: Tensor


def nearest(rows: Float[Tensor, "n d"], others: Float[Tensor, "m d"], k: int, *, own: bool = False) -> Neighbours:
    """The k nearest of `others` to each of `rows`, float64; `own` says that they are the same rows and leaves each out
    of its own list. k must be less than the others there are.
    """
    a, b = rows.detach().double(), others.detach().double()
    centre = b.mean(0)
    a, b = a - centre, b - centre
    with torch.no_grad():
        return _on_a_line(a[:, 0], b[:, 0], k, own) if a.shape[1] == 1 else _tiled(a, b, k, own)


def _tiled(a: Tensor, b: Tensor, k: int, own: bool) -> Neighbours:
    height = max(1, min(_TILE, _CELLS // max(min(len(b), _TILE), k * a.shape[1])))
    found = [_of_part(part, b, k, start * height if own else None) for start, part in enumerate(a.split(height))]
    return Neighbours(torch.cat([f.index for f in found]), torch.cat([f.distance for f in found]))


def _of_part(part: Tensor, b: Tensor, k: int, first: int | None) -> Neighbours:
    """The k nearest of b to the rows of `part`, which are rows `first`, ... of b themselves, or None."""
    best = part.new_full((len(part), 0), 0.0)
    index = torch.zeros(len(part), 0, dtype=torch.long, device=part.device)
    for start in range(0, len(b), _TILE):
        tile = minus_squared_distances(part, b[start : start + _TILE])
        if first is not None:
            rows = torch.arange(len(part), device=part.device)
            columns = rows + first - start
            inside = (columns >= 0) & (columns < tile.shape[1])
            tile[rows[inside], columns[inside]] = -torch.inf
        near = tile.topk(min(k, tile.shape[1]), 1)
        best, index = torch.cat([best, near.values], 1), torch.cat([index, near.indices + start], 1)
        kept = best.topk(min(k, best.shape[1]), 1)
        best, index = kept.values, index.gather(1, kept.indices)
    exact = (part[:, None, :] - b[index]).square().sum(2).sqrt()
    order = exact.argsort(1)
    return Neighbours(index.gather(1, order), exact.gather(1, order))


def _on_a_line(a: Tensor, b: Tensor, k: int, own: bool) -> Neighbours:
    ordered, place = b.sort()
    around = torch.arange(-k - 1, k + 1, device=b.device)
    index, distance = [], []
    height = max(1, _CELLS // len(around))
    for start in range(0, len(a), height):
        part = a[start : start + height]
        rank = torch.arange(start, start + len(part), device=a.device)
        at = torch.searchsorted(ordered, part)
        if own:  # a row's own place: among equal rows any window about it holds k of them
            inverse = torch.empty_like(place)
            inverse[place] = torch.arange(len(place), device=place.device)
            at = inverse[rank]
        spot = at[:, None] + around
        valid = (spot >= 0) & (spot < len(b))
        spot = spot.clamp(0, len(b) - 1)
        if own:
            valid &= spot != at[:, None]
        gap = torch.where(valid, (part[:, None] - ordered[spot]).abs(), torch.inf)
        near = gap.topk(k, 1, largest=False)
        index.append(place[spot.gather(1, near.indices)])
        distance.append(near.values)
    return Neighbours(torch.cat(index), torch.cat(distance))
