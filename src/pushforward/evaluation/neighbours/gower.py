"""The nearest record of a table with columns of mixed kinds, by Gower's (1971) distance.

    D(a, b) = 1/c sum_j delta_j(a_j, b_j),

over c columns: for numbers and dates delta = min(1, |a - b| / range_j), with the range of `rows` (where that is 0, 1
unless equal); for categories 1 unless equal. A missing value is at distance 0 from a missing value and at 1 from any
other. This is the distance of sdmetrics' "distance to closest record".

Tiles are summed in float32, which proposes a few candidates; those are computed again in float64, and a query whose
candidates are not shown to hold the nearest by more than rounding is searched again in float64. What is a product of a
cell of one row and a cell of the other is summed by one matrix product: equal categories of few levels by indicators,
and, with numbers laid about 0 and a missing one put at 0,

    delta = |a - b| + [b missing, a not] (1 - |a|) + [a missing, b not] (1 - |b|),   |a - b| = max(2a, 2b) - a - b,

of which only the maximum is left to be summed column by column.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor

from ...errors import InputError
from .search import least

_HEIGHT = 64
_WIDTH = 2048
_SPARE = 3
_LEVELS = 32  # of a category up to which it is summed by products
_FAR = 10.0  # a missing number: more than 1 from all
KINDS = ("numeric", "datetime", "category")


@final
@dataclass(frozen=True, eq=False)
class GowerNearest:
    """`index` `(q,)` of the nearest row of each query and their `distance` `(q,)` in [0, 1], float64."""

    index: Tensor
    distance: Tensor


@final
@dataclass(frozen=True, eq=False)
class _Columns:
    """The cells of one set in float64: `numbers` in units of the range, and `codes` of categories."""

    numbers: Tensor
    codes: Tensor

    def part(self, rows: slice | Tensor) -> _Columns:
        return _Columns(self.numbers[rows], self.codes[rows])

    def __len__(self) -> int:
        return len(self.numbers)


@final
@dataclass(frozen=True, eq=False)
class _Terms:
    """One side of c D = sum max(plain, plain') + sum min(1, |careful - careful'|) + product . product'."""

    plain: Tensor
    careful: Tensor
    product: Tensor


def gower_nearest(*, queries: Tensor, rows: Tensor, kinds: Sequence[str]) -> GowerNearest:
    """The nearest of `rows` `(n, c)` to each of `queries` `(q, c)`: numbers, and codes of categories; NaN is missing.

    `kinds[j]` is "numeric", "datetime" (seconds) or "category". Exact; of several rows at one distance any is named.
    O(q n c) time, one tile of memory. `InputError` for widths that differ, other kinds, infinite values, or no rows.
    """
    a, b = _checked(queries, rows, kinds)
    x, y = _coded(a, b, kinds)
    index = torch.empty(len(x), dtype=torch.int64, device=b.device)
    distance = b.new_empty(len(x))
    beyond = _beyond(x.numbers).any(1)  # the few queries out of range do not slow the others
    for group in ((~beyond).nonzero()[:, 0], beyond.nonzero()[:, 0]):
        if len(group):
            found, gap = _of_group(x.part(group), y, torch.float32)
            index[group], distance[group] = found, gap / len(kinds)
    return GowerNearest(index, distance)


def _of_group(x: _Columns, y: _Columns, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """Nearest row and c times its distance, tile by tile of `dtype`; what float32 leaves uncertain again in float64."""
    left, right = _terms(x, y, dtype)
    parts = []
    for first in range(0, len(x), _HEIGHT):
        here = slice(first, first + _HEIGHT)
        parts.append(_of_part(x.part(here), y, _rows(left, here), right))
    index, gap, certain = (torch.cat(part) for part in zip(*parts, strict=True))
    again = (~certain).nonzero()[:, 0]
    if len(again) and dtype != torch.float64:
        index[again], gap[again] = _of_group(x.part(again), y, torch.float64)
    return index, gap


def _checked(queries: Tensor, rows: Tensor, kinds: Sequence[str]) -> tuple[Tensor, Tensor]:
    found = []
    for name, part in (("queries", queries), ("rows", rows)):
        part = torch.as_tensor(part)
        if part.ndim != 2 or part.shape[1] != len(kinds) or not len(part):
            raise InputError(f"{name}: a table of {len(kinds)} columns is wanted, not of shape {tuple(part.shape)}")
        if bool(torch.isinf(part).any()):
            raise InputError(f"{name}: holds infinite values; make them missing (NaN), or drop those rows")
        found.append(part.detach().double())
    for kind in kinds:
        if kind not in KINDS:
            raise InputError(f"column kind {kind!r}: unknown; known: {', '.join(KINDS)}")
    return found[0].to(found[1].device), found[1]


def _coded(queries: Tensor, rows: Tensor, kinds: Sequence[str]) -> tuple[_Columns, _Columns]:
    numbers: list[tuple[Tensor, Tensor]] = []
    codes: list[tuple[Tensor, Tensor]] = []
    for j, kind in enumerate(kinds):
        a, b = queries[:, j], rows[:, j]
        if kind == "category":
            codes.append((a.nan_to_num(-1.0), b.nan_to_num(-1.0)))
            continue
        known = b[~b.isnan()]
        low = known.min() if len(known) else b.new_zeros(())
        span = float(known.max() - low) if len(known) else 0.0
        a, b = ((part - low) / span if span > 0 else (part != low) * 10.0 + part * 0.0 for part in (a, b))
        numbers.append((a.clamp(-2.0, 3.0).nan_to_num(_FAR), b.nan_to_num(_FAR)))  # beyond 1 from all is far enough
    x, y = (_Columns(_stacked(numbers, side, z), _stacked(codes, side, z)) for side, z in ((0, queries), (1, rows)))
    return x, y


def _beyond(numbers: Tensor) -> Tensor:
    """Out of the range of the rows, and not missing."""
    return (numbers < 0) | ((numbers > 1) & (numbers != _FAR))


def _stacked(pairs: Sequence[tuple[Tensor, Tensor]], side: int, like: Tensor) -> Tensor:
    return torch.stack([pair[side] for pair in pairs], 1) if pairs else like.new_zeros(len(like), 0)


def _terms(x: _Columns, y: _Columns, dtype: torch.dtype) -> tuple[_Terms, _Terms]:
    """Both sides of the sum that the module's text gives, the second turned: a column of cells in each row."""
    plain: list[tuple[Tensor, Tensor]] = []
    careful: list[tuple[Tensor, Tensor]] = []
    alone = [x.numbers.new_zeros(len(x)), y.numbers.new_zeros(len(y))]
    products = [(alone[0], torch.ones_like(alone[1])), (torch.ones_like(alone[0]), alone[1])]
    for a, b in zip(x.numbers.T, y.numbers.T, strict=True):
        lost_a, lost_b = a == _FAR, b == _FAR
        if bool(_beyond(a).any()):
            careful.append((a, b))
            continue
        a, b = (a - 0.5).masked_fill(lost_a, 0.0), (b - 0.5).masked_fill(lost_b, 0.0)
        plain.append((2.0 * a, 2.0 * b))
        alone[0] -= a
        alone[1] -= b
        if bool(lost_a.any() | lost_b.any()):
            products.append(((1.0 - a.abs()).masked_fill(lost_a, 0.0), lost_b.double()))
            products.append((lost_a.double(), (1.0 - b.abs()).masked_fill(lost_b, 0.0)))
    for a, b in zip(x.codes.T, y.codes.T, strict=True):
        levels = b.unique()
        if len(levels) > _LEVELS:
            careful.append((a, b))  # codes are whole numbers: equal, or at least 1 apart
            continue
        alone[0] += 1.0
        products += [(-(a == level).double(), (b == level).double()) for level in levels]
    groups = (plain, careful, products)
    left = _Terms(*(_stacked(group, 0, x.numbers).to(dtype) for group in groups))
    return left, _Terms(*(_stacked(group, 1, y.numbers).to(dtype).T.contiguous() for group in groups))


def _rows(left: _Terms, rows: slice) -> _Terms:
    return _Terms(left.plain[rows], left.careful[rows], left.product[rows])


def _of_part(x: _Columns, y: _Columns, left: _Terms, right: _Terms) -> tuple[Tensor, Tensor, Tensor]:
    """Nearest row and c times its distance for a few queries, and whether they are certain."""
    count = min(1 + _SPARE, len(y))
    best = left.product.new_empty(len(x), 0)
    places = torch.empty(len(x), 0, dtype=torch.int64, device=best.device)
    for start in range(0, len(y), _WIDTH):
        value, index = least(_tile(left, right, slice(start, start + _WIDTH)), count)
        best, places = torch.cat([best, value], 1), torch.cat([places, index + start], 1)
    best, kept = best.topk(count, largest=False)
    places = places.gather(1, kept)
    gaps = (x.numbers[:, None] - y.numbers[places]).abs().clamp(max=1.0).sum(2)
    gaps += (x.codes[:, None] != y.codes[places]).sum(2)
    gap, first = gaps.min(1)
    # at most 4 c + 4 roundings of sums that stay below 2 c + 2; counts of unequal categories are exact
    slack = 4.0 * (x.numbers.shape[1] + x.codes.shape[1] + 1) ** 2 * torch.finfo(best.dtype).eps
    certain = gap + (slack if x.numbers.shape[1] else 0.0) <= best[:, -1].double()
    return places.gather(1, first[:, None])[:, 0], gap, certain | (gap == 0) | (count == len(y))


def _tile(left: _Terms, right: _Terms, piece: slice) -> Tensor:
    """c D(a_i, b_j): a matrix product, then column by column in a tile that stays in the cache."""
    total = left.product @ right.product[:, piece]
    scratch = torch.empty_like(total)
    for j, row in enumerate(right.plain[:, piece]):
        torch.maximum(left.plain[:, j, None], row, out=scratch)
        total += scratch
    for j, row in enumerate(right.careful[:, piece]):
        torch.sub(left.careful[:, j, None], row, out=scratch)
        total += scratch.abs_().clamp_(max=1.0)
    return total
