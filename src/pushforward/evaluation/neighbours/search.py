"""Exact nearest neighbours and all pairs within given reaches, tile by tile; never the whole matrix of distances.

Rows are centred. A tile of squared distances is one float32 matrix product of rows with two columns more,

    |a - b|^2 = (-2 a, |a|^2, 1) . (b, 1, |b|^2),

whose error is at most about (d + 8) eps (|a| + |a - b|)^2 times a small constant for every pair that matters (a pair
that is close has |b| <= |a| + |a - b|). So the product only *proposes*: a few candidates more than are wanted are
computed again as sums of squared differences in float64, where equal rows are at exactly 0, and a row whose candidates
cannot be shown to hold all of its neighbours within that error is searched again in float64. In eight dimensions or
fewer on a CPU a k-d tree is faster, and used.

Among one set's own rows a product serves both of its rows: a quarter of the set, spread evenly, is met by all rows
first; of the remaining pairs only those nearer than the best of that quarter are gathered, a few dozen a row.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ...errors import InputError

Array = NDArray[Any]
_SMALL_NEAREST = (128, 4096)
_SMALL_PAIRS = (512, 1024)
_LARGE = (4096, 16_384)
_SQUARE = 768  # height and width of a tile of a set's own rows, and the cells of one that meets the sample
_BATCH = 2**16  # close pairs handed over at a time
_GOLDEN = 0.6180339887498949
_FOLD = 16  # the k least of a row lie in the k least of its folds: one pass of minima, then few values to sort
_SPARE = 4  # candidates more than are wanted
_TREE = 8  # dimensions up to which a k-d tree is used
_CELLS = 2**16  # values gathered at a time for exact distances: they stay in a cache


@final
@dataclass(frozen=True, eq=False)
class Found:
    """For each query its nearest rows, nearest first: `index` `(q, k)` and the `square` of the Euclidean distance to
    each `(q, k)`, a float64 sum of squared differences, so that equal distances compare equal."""

    index: Tensor
    square: Tensor

    @property
    def distance(self) -> Tensor:
        return self.square.sqrt()


@final
@dataclass(frozen=True, eq=False)
class Pairs:
    """Pairs of row `i` of x and row `j` of y with their `square` distances; those that decide anything are exact."""

    i: Tensor
    j: Tensor
    square: Tensor


def features(**sets: Tensor) -> list[Tensor]:
    """The sets `(n, d)` as float64 on one device, checked; each is named by its keyword in what `InputError` says."""
    found: list[Tensor] = []
    for name, rows in sets.items():
        rows = torch.as_tensor(rows)
        if rows.ndim != 2 or 0 in rows.shape:
            raise InputError(f"{name}: features are a filled matrix (n, d), not of shape {tuple(rows.shape)}")
        if found and rows.shape[1] != found[0].shape[1]:
            raise InputError(
                f"{name}: {rows.shape[1]} features a row, but {next(iter(sets))} has {found[0].shape[1]}; "
                "encode both in the same way"
            )
        rows = rows.detach().to(found[0].device if found else rows.device).double()
        if not bool(torch.isfinite(rows).all()):
            place = int((~torch.isfinite(rows)).any(1).nonzero()[0])
            raise InputError(f"{name}: row {place} holds a value that is not a number; drop it or fill it in")
        found.append(rows)
    return found


def check_k(k: int, **counts: int) -> None:
    """`InputError` unless every set has more than k rows."""
    for name, count in counts.items():
        if not 1 <= k < count:
            raise InputError(f"k must lie between 1 and {count - 1} for the {count} rows of {name}, not {k}; lower k")


def nearest(*, queries: Tensor, rows: Tensor, k: int, own: bool = False) -> Found:
    """The k of `rows` `(n, d)` nearest to each of `queries` `(q, d)`, exact in float64.

    `own` says that the queries are the rows themselves, in order; a row is then not its own neighbour. Which of several
    rows at one distance are named is not specified; the distances are. Cost O(q n d), memory O(q k) and one tile.
    `InputError` where there are fewer than k rows to choose from, and for what `features` refuses.
    """
    rows, queries = features(rows=rows, queries=queries)
    there = len(rows) - int(own)
    if not 1 <= k <= there:
        raise InputError(f"k must lie between 1 and {there}, the rows there are to choose from, not {k}")
    if rows.shape[1] <= _TREE and rows.device.type == "cpu":
        return _by_tree(queries, rows, k, own)
    near = _among_own(rows, k) if own and rows.device.type == "cpu" else None
    if near is None:
        mine = torch.arange(len(rows), device=rows.device) if own else None
        near = _by_tiles(queries, rows, k, mine, torch.float32)
    found, sure = near
    again = (~sure).nonzero()[:, 0]
    if len(again):
        better, _ = _by_tiles(queries[again], rows, k, again if own else None, torch.float64)
        found.index[again], found.square[again] = better.index, better.square
    return found


def close_pairs(x: Tensor, y: Tensor, *, reach_x: Tensor, reach_y: Tensor | None = None) -> Iterator[Pairs]:
    """All pairs with |x_i - y_j|^2 <= max(reach_x_i, reach_y_j), in pieces; reaches are squared `(n,)`, `(m,)`.

    A few pairs just beyond are among them: compare `square` with the reach. It is an exact sum of squared differences
    wherever it lies within the rounding of the product of either reach, so comparisons, and ties, are exact.
    """
    centre = x.mean(0)
    a, b = x - centre, y - centre
    slack_a = _slack(a, reach_x)
    slack_b = None if reach_y is None else _slack(b, reach_y)
    limit_a = (reach_x + slack_a).float()[:, None]
    limit_b = None if slack_b is None or reach_y is None else (reach_y + slack_b).float()
    left, right = _left(a, torch.float32), _right(b, torch.float32)
    tall, deep = _tile_size(a.device)[1]
    room = left.new_empty(min(tall, len(a)) * min(deep, len(b)))
    held: list[tuple[Tensor, Tensor, Tensor]] = []
    count = 0
    for first in range(0, len(a), tall):
        part = slice(first, first + tall)
        for start in range(0, len(b), deep):
            piece = slice(start, start + deep)
            tile = _product(left[part], right[piece], room)
            i, j = _close(tile, limit_a[part], None if limit_b is None else limit_b[piece])
            if len(i):
                held.append((i + first, j + start, tile[i, j].double()))
                count += len(i)
            last = first + tall >= len(a) and start + deep >= len(b)
            if held and (last or count >= _BATCH):
                i, j, square = (torch.cat(group) for group in zip(*held, strict=True))
                held, count = [], 0
                doubt = (square - reach_x[i]).abs() <= slack_a[i]
                if reach_y is not None and slack_b is not None:
                    doubt |= (square - reach_y[j]).abs() <= slack_b[j]
                square[doubt] = exact_squares(x, y, i[doubt], j[doubt])
                yield Pairs(i, j, square)


def exact_squares(x: Tensor, y: Tensor, i: Tensor, j: Tensor) -> Tensor:
    """|x_i - y_j|^2 for paired indices, as float64 sums of squared differences: exactly 0 for equal rows."""
    size = max(1, _CELLS // x.shape[1])
    parts = [x[p].sub_(y[q]).square_().sum(1) for p, q in zip(i.split(size), j.split(size), strict=True)]
    return torch.cat(parts) if parts else x.new_zeros(0)


def _slack(rows: Tensor, reach: Tensor) -> Tensor:
    """How far a float32 product may miss squared distances about `reach` from centred `rows`."""
    eps = (rows.shape[1] + 8) * torch.finfo(torch.float32).eps
    slack: Tensor = 4.0 * eps * (rows.norm(dim=1) + reach.sqrt()).square()
    return slack


def _close(tile: Tensor, limit: Tensor, other: Tensor | None) -> tuple[Tensor, Tensor]:
    """Rows and columns of what is at most `limit` `(p, 1)` or `other` `(q,)`; NumPy finds few among many faster."""
    if tile.device.type != "cpu":
        mask = tile <= limit if other is None else (tile <= limit) | (tile <= other)
        i, j = mask.nonzero(as_tuple=True)
        return i, j
    near = np.less_equal(tile.numpy(), limit.numpy())
    if other is not None:
        near |= np.less_equal(tile.numpy(), other.numpy())
    flat = torch.from_numpy(np.flatnonzero(near))
    return flat // tile.shape[1], flat % tile.shape[1]


def _left(rows: Tensor, dtype: torch.dtype) -> Tensor:
    """(-2 a, |a|^2, 1) of centred rows: its product with `_right` is the squared distance."""
    return torch.cat([-2.0 * rows, rows.square().sum(1, keepdim=True), torch.ones_like(rows[:, :1])], 1).to(dtype)


def _right(rows: Tensor, dtype: torch.dtype) -> Tensor:
    """(b, 1, |b|^2) of centred rows."""
    return torch.cat([rows, torch.ones_like(rows[:, :1]), rows.square().sum(1, keepdim=True)], 1).to(dtype)


def _product(left: Tensor, right: Tensor, room: Tensor) -> Tensor:
    """Squared distances in the memory of `room`: fresh memory for each tile costs more than the product."""
    tile = room[: len(left) * len(right)].view(len(left), len(right))
    return torch.mm(left, right.T, out=tile)


def _tile_size(device: torch.device) -> tuple[tuple[int, int], tuple[int, int]]:
    """Rows and columns of a tile for `nearest` and for `close_pairs`: what stays in a cache, or fills a device."""
    return (_SMALL_NEAREST, _SMALL_PAIRS) if device.type == "cpu" else (_LARGE, _LARGE)


def _by_tree(queries: Tensor, rows: Tensor, k: int, own: bool) -> Found:
    from scipy.spatial import cKDTree

    count = k + int(own)
    tree = cKDTree(rows.numpy(), balanced_tree=False)
    distance, index = (
        torch.as_tensor(part).reshape(len(queries), count) for part in tree.query(queries.numpy(), count)
    )
    index = index.long()
    if own:  # drop the row itself, or, where as many rows equal it, the last
        self_ = index == torch.arange(len(queries))[:, None]
        self_[~self_.any(1), -1] = True
        index, distance = index[~self_].view(-1, k), distance[~self_].view(-1, k)
    return _settled(queries, rows, index, k)[0]


def _settled(queries: Tensor, rows: Tensor, places: Tensor, k: int) -> tuple[Found, Tensor]:
    """The k nearest of the candidates `places` `(q, c)` by exact distances, and the squared k-th of them."""
    mine = torch.arange(len(queries), device=rows.device)[:, None].expand_as(places)
    square, order = exact_squares(queries, rows, mine.reshape(-1), places.reshape(-1)).view(places.shape).sort(1)
    return Found(places.gather(1, order[:, :k]), square[:, :k].contiguous()), square[:, k - 1]


def _proved(found: Found, reach: Tensor, beyond: Tensor, centred: Tensor) -> tuple[Found, Tensor]:
    """Which rows are certain: those with no product left out below `beyond`, and that beyond `reach` by rounding."""
    return found, reach + _slack(centred, reach) <= beyond.double()


def _by_tiles(queries: Tensor, rows: Tensor, k: int, mine: Tensor | None, dtype: torch.dtype) -> tuple[Found, Tensor]:
    """The k nearest among candidates of `dtype` products, and for which rows they are certain to be the nearest."""
    count = min(k + _SPARE, len(rows) - int(mine is not None))
    centre = rows.mean(0)
    right = _right(rows - centre, dtype)
    pad = right.new_zeros(-len(rows) % _FOLD, right.shape[1])
    pad[:, -1] = math.inf
    right = torch.cat([right, pad])
    parts = []
    height = _tile_size(rows.device)[0][0]
    for first in range(0, len(queries), height):
        part = queries[first : first + height]
        centred = part - centre
        itself = None if mine is None else mine[first : first + height]
        best, places = _candidates(_left(centred, dtype), right, count, itself)
        parts.append(_proved(*_settled(part, rows, places, k), best.amax(1), centred))
    found = Found(torch.cat([f.index for f, _ in parts]), torch.cat([f.square for f, _ in parts]))
    sure = torch.cat([certain for _, certain in parts])
    return found, sure | (count == len(rows) - int(mine is not None))


def _candidates(left: Tensor, right: Tensor, count: int, mine: Tensor | None) -> tuple[Tensor, Tensor]:
    """The `count` least squared distances to each row of `left`, and where they are."""
    best = left.new_empty(len(left), 0)
    places = torch.empty(len(left), 0, dtype=torch.int64, device=left.device)
    width = _tile_size(left.device)[0][1]
    room = left.new_empty(len(left) * min(width, len(right)))
    for start in range(0, len(right), width):
        tile = _product(left, right[start : start + width], room)
        if mine is not None:
            column = mine - start
            inside = ((column >= 0) & (column < tile.shape[1])).nonzero()[:, 0]
            tile[inside, column[inside]] = math.inf
        value, index = least(tile, count)
        best, places = torch.cat([best, value], 1), torch.cat([places, index + start], 1)
        if best.shape[1] > count:
            best, kept = best.topk(count, largest=False)
            places = places.gather(1, kept)
    return best, places


def _among_own(rows: Tensor, k: int) -> tuple[Found, Tensor] | None:
    """As `_by_tiles` of a set's own rows, with each product taken once; None where that does not pay: if rows are few,
    or the sample unlike the others."""
    n, count = len(rows), k + _SPARE
    sample = _FOLD * (n // (4 * _FOLD))
    if sample <= 2 * count:
        return None
    order = (torch.arange(n).double() * _GOLDEN).frac().argsort()  # the first of them are spread evenly, without period
    centred = rows - rows.mean(0)
    left, right = _left(centred[order], torch.float32), _right(centred[order], torch.float32)
    best, places = left.new_empty(n, count), torch.empty(n, count, dtype=torch.int64)
    nearer = _Nearer(8 * count * n)
    height = max(16, _SQUARE**2 // sample)
    room = left.new_empty(max(height * sample, _SQUARE**2))
    for first, last in _cuts(0, sample, height) + _cuts(sample, n, height):
        tile = _product(left[first:last], right[:sample], room)
        if last <= sample:
            tile.diagonal(first).fill_(math.inf)
        else:
            nearer.add(tile, best[:sample, -1], first, 0, across=True)
        best[first:last], places[first:last] = least(tile, count)
    for i, (first, last) in enumerate(cuts := _cuts(sample, n, _SQUARE)):
        for start, stop in cuts[i:]:
            tile = _product(left[first:last], right[start:stop], room)
            if start == first:
                tile.fill_diagonal_(math.inf)
            else:
                nearer.add(tile, best[start:stop, -1], first, start, across=True)
            nearer.add(tile, best[first:last, -1, None], first, start)
            if nearer.full:
                return None
    value, place = nearer.least(n, count)
    best, kept = torch.cat([best, value], 1).topk(count, largest=False)
    places = torch.cat([places, place], 1).gather(1, kept)
    best[order], places[order] = best.clone(), order[places]
    return _proved(*_settled(rows, rows, places, k), best[:, -1], centred)


def _cuts(first: int, last: int, size: int) -> list[tuple[int, int]]:
    return [(start, min(start + size, last)) for start in range(first, last, size)]


@final
class _Nearer:
    """Rows, columns and values of products below the limits of their rows, up to about `most` of them."""

    def __init__(self, most: int) -> None:
        self.parts: list[tuple[Array, Array, Array]] = []
        self.room = most

    @property
    def full(self) -> bool:
        return self.room < 0

    def add(self, tile: Tensor, limit: Tensor, first: int, start: int, across: bool = False) -> None:
        """What is below `limit` of `tile`, whose rows begin at `first` and columns at `start`, or, `across`, the
        other way round: by columns, with a limit for each."""
        values = tile.numpy()
        flat = np.flatnonzero(np.less(values, limit.numpy()))
        if len(flat) > self.room:
            self.room = -1
            return
        i, j = np.divmod(flat, tile.shape[1])
        self.room -= len(flat)
        self.parts.append(
            (j + start, i + first, values.ravel()[flat]) if across else (i + first, j + start, values.ravel()[flat])
        )

    def least(self, n: int, count: int) -> tuple[Tensor, Tensor]:
        """The `count` least values of each row and their columns, infinite where there are fewer."""
        value, place = np.full((n, count), math.inf, np.float32), np.zeros((n, count), np.int64)
        if self.parts:
            row, column, near = (np.concatenate(part) for part in zip(*self.parts, strict=True))
            bits = np.maximum(near, 0).view(np.int32).astype(np.int64)  # in the order of what they stand for
            order = np.argsort(row << 32 | bits)
            row = row[order]
            rank = np.arange(len(row)) - np.searchsorted(row, np.arange(n))[row]
            row, order, rank = (part[rank < count] for part in (row, order, rank))
            value[row, rank], place[row, rank] = near[order], column[order]
        return torch.from_numpy(value), torch.from_numpy(place)


def least(tile: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """The `count` least of each row (all, where there are fewer) and their columns."""
    rows, width = tile.shape
    groups = width // _FOLD
    if groups <= count or width % _FOLD:
        found = tile.topk(min(count, width), largest=False)
        return found.values, found.indices
    folded = tile.view(rows, _FOLD, groups)
    least = folded.amin(1).topk(count, largest=False, sorted=False).indices
    chosen = folded.gather(2, least[:, None, :].expand(rows, _FOLD, count)).flatten(1)
    value, place = chosen.topk(count, largest=False)
    return value, place // count * groups + least.gather(1, place % count)
