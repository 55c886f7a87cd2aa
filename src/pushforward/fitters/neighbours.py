"""Nearest neighbours: exact search in streamed tiles, and the log ratio that the two sides' counts among them give.

Among the k nearest of the n + m pooled rows around a point there are about k n p/(n p + m q) of x, so with counts c_x
and c_y = k - c_x (a half added to each, so that an empty side stays finite)

    v = log((c_x + 1/2)/n) - log((c_y + 1/2)/m)

estimates log p/q, consistently as k grows and k/(n + m) falls (Loftsgaarden and Quesenberry 1965). A row that the
witness was fitted on is its own nearest neighbour, which draws its score towards its own side by 1/k.

`spanning_trees` is here for the same reason: exact geometry of the rows with O(n) memory.
"""

import math
from dataclasses import dataclass, field
from typing import final

import numpy as np
import torch
from jaxtyping import Float, Int
from numpy.typing import NDArray
from torch import Generator, Tensor

from pushforward.errors import InputError
from pushforward.fitters.kernel import minus_squared_distances
from pushforward.links import LINKS
from pushforward.witness import Link, Witness

_QUERIES = 1024  # rows searched at a time, against
_ROWS = 16_384  # candidates at a time


def nearest_neighbours(
    queries: Float[Tensor, "q d"], rows: Float[Tensor, "n d"], k: int, *, own: bool = False
) -> Int[Tensor, "q k"]:
    """The indices of the k of `rows` nearest to each query (Euclidean, in float64), nearest first.

    `own` says that the queries are the rows themselves, in order: a row is then not its own neighbour. Ties go by the
    place among `rows` in a way that is not specified: put the rows in a random order where that matters. Cost
    O(q n d), memory O(q k) and one tile. `InputError` unless 1 <= k <= the candidates.
    """
    if not 1 <= k <= len(rows) - int(own):
        raise InputError(f"k must lie between 1 and {len(rows) - int(own)}, the rows there are to choose from, not {k}")
    centre = rows.double().mean(0)
    base, points = rows.double() - centre, queries.double() - centre
    found = []
    for first in range(0, len(points), _QUERIES):
        part = points[first : first + _QUERIES]
        near = part.new_empty(len(part), 0)
        index = torch.empty(len(part), 0, dtype=torch.int64, device=part.device)
        for start in range(0, len(base), _ROWS):
            tile = minus_squared_distances(part, base[start : start + _ROWS])
            if own:
                place = torch.arange(len(part), device=part.device) + first - start
                inside = (place >= 0) & (place < tile.shape[1])
                tile[inside.nonzero()[:, 0], place[inside]] = -math.inf
            best = tile.topk(min(k, tile.shape[1]), dim=1)
            near, index = torch.cat([near, best.values], 1), torch.cat([index, best.indices + start], 1)
            kept = near.topk(min(k, near.shape[1]), dim=1)
            near, index = kept.values, index.gather(1, kept.indices)
        found.append(index)
    return torch.cat(found)


def spanning_trees(rows: Float[Tensor, "n d"], trees: int = 1) -> Int[Tensor, "E 2"]:
    """The edges of `trees` orthogonal Euclidean minimum spanning trees, `(trees (n - 1), 2)` indices of rows.

    Each is the shortest that uses no edge of those before (Friedman and Rafsky 1979, section 6). Prim's (1957)
    algorithm in float64 on the CPU: O(trees n^2 d) time, O(n d) memory. Ties go by the place among the rows.
    `InputError` where there are too few rows for so many trees.
    """
    if not 1 <= trees <= max(1, len(rows) // 2):
        raise InputError(f"{len(rows)} rows have at most {max(1, len(rows) // 2)} orthogonal trees, not {trees}")
    points = (rows.double() - rows.double().mean(0)).cpu().numpy()
    used: dict[int, list[int]] = {}
    found = []
    for k in range(trees):
        edges = _prim(points, used)
        found.append(torch.from_numpy(edges))
        if k + 1 < trees:
            for a, b in edges.tolist():
                used.setdefault(a, []).append(b)
                used.setdefault(b, []).append(a)
    return torch.cat(found).to(rows.device)


def _prim(rows: NDArray[np.float64], used: dict[int, list[int]]) -> NDArray[np.int64]:
    """One tree without the edges `used` (neighbours by row). A row that joins is replaced by the last one left.

    In NumPy, not torch: n short steps one after another, in which torch spends most of its time on its own calls.
    """
    count = len(rows)
    norm = np.einsum("ij,ij->i", rows, rows)
    z, height = rows[1:].T.copy(), norm[1:].copy()
    name, place = np.arange(1, count), np.arange(-1, count - 1)  # place of each row among those left; -1: joined
    near, parent = np.full(count - 1, np.inf), np.zeros(count - 1, dtype=np.int64)
    edges = np.empty((count - 1, 2), dtype=np.int64)
    newest = 0
    for step in range(count - 1):
        left = count - 1 - step
        square = (-2.0 * rows[newest]) @ z[:, :left]
        square += height[:left]
        square += norm[newest]
        if newest in used:
            barred = place[used[newest]]
            square[barred[barred >= 0]] = np.inf
        np.putmask(parent[:left], square < near[:left], newest)
        np.minimum(near[:left], square, out=near[:left])
        j, last = int(near[:left].argmin()), left - 1
        if near[j] == np.inf:
            raise InputError(f"the {count} rows have no further orthogonal spanning tree; ask for fewer trees")
        newest = int(name[j])
        edges[step] = parent[j], newest
        place[name[last]] = j
        place[newest] = -1
        z[:, j] = z[:, last]
        for values in (height, name, near, parent):
            values[j] = values[last]
    return edges


@final
@dataclass(frozen=True)
class NeighbourFitter:
    """Samples -> witness by the k nearest neighbours: v as above, read through a `link` (default: that of JS).

    `k` defaults to the square root of n + m, within 5 and 64 (and at most n + m). The witness has no gradient; scoring
    a row costs O((n + m) d).
    """

    k: int | None = None
    link: Link = field(default_factory=lambda: LINKS["js"])

    def __call__(self, x: Float[Tensor, "n *d"], y: Float[Tensor, "m *d"], *, generator: Generator) -> Witness:
        """The witness of data `x` and model samples `y`; `generator` orders the rows, which settles ties."""
        n, m = len(x), len(y)
        k = min(n + m, max(5, min(64, round(math.sqrt(n + m))))) if self.k is None else self.k
        order = torch.randperm(n + m, generator=generator, device=generator.device).to(x.device)
        rows, is_x = torch.cat([x, y]).flatten(1)[order].double(), order < n
        nearest_neighbours(rows[:1], rows, k)  # refuses a k that cannot be, before anything is scored

        def score(t: Tensor) -> Tensor:
            near = nearest_neighbours(t.detach().flatten(1).to(rows), rows, k)
            count = is_x[near].sum(1).double()
            return (((count + 0.5) / (k - count + 0.5)).log() - math.log(n / m)).to(t)

        return self.link(score, differentiable=False)
