"""The nearest record of a table with columns of mixed kinds, by Gower's (1971) distance.

    D(a, b) = 1/c sum_j delta_j(a_j, b_j),

over c columns: for numbers and dates delta = min(1, |a - b| / range_j), with the range of `rows` (where that is 0, 1
unless equal); for categories 1 unless equal. A missing value is at distance 0 from a missing value and at 1 from any
other. This is the distance of sdmetrics' "distance to closest record".

Tiles are summed in float32, which proposes a few candidates; those are computed again in float64, and a query whose
candidates are not shown to hold the nearest by more than rounding is searched again in float64.
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
    """The cells of one set by how they are compared: `plain` numbers in units of the range that never differ by more
    than 1, `careful` ones that may or are missing (then 10: more than 1 from all), `codes` of categories."""

    plain: Tensor
    careful: Tensor
    codes: Tensor

    def to(self, dtype: torch.dtype) -> _Columns:
        return _Columns(self.plain.to(dtype), self.careful.to(dtype), self.codes.to(dtype))

    def part(self, rows: slice | Tensor) -> _Columns:
        return _Columns(self.plain[rows], self.careful[rows], self.codes[rows])

    def __len__(self) -> int:
        return len(self.plain)


def gower_nearest(*, queries: Tensor, rows: Tensor, kinds: Sequence[str]) -> GowerNearest:
    """The nearest of `rows` `(n, c)` to each of `queries` `(q, c)`: numbers, and codes of categories; NaN is missing.

    `kinds[j]` is "numeric", "datetime" (seconds) or "category". Exact; of several rows at one distance any is named.
    O(q n c) time, one tile of memory. `InputError` for widths that differ, other kinds, infinite values, or no rows.
    """
    a, b = _checked(queries, rows, kinds)
    x, y = _coded(a, b, kinds)
    low = y.to(torch.float32)
    index, distance = [], []
    for first in range(0, len(x), _HEIGHT):
        part = x.part(slice(first, first + _HEIGHT))
        found, gap, certain = _of_part(part, part.to(torch.float32), y, low)
        again = (~certain).nonzero()[:, 0]
        if len(again):
            rest = part.part(again)
            found[again], gap[again], _ = _of_part(rest, rest, y, y)
        index.append(found)
        distance.append(gap / len(kinds))
    return GowerNearest(torch.cat(index), torch.cat(distance))


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
    plain: list[tuple[Tensor, Tensor]] = []
    careful: list[tuple[Tensor, Tensor]] = []
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
        beyond = bool(a.isnan().any() or b.isnan().any() or (a.abs() > 1).any() or (a < 0).any() or span == 0)
        (careful if beyond else plain).append(_missing_far(a, b) if beyond else (a, b))
    sides = [
        _Columns(
            *(
                torch.stack([c[side] for c in group], 1) if group else rows.new_zeros(len(z), 0)
                for group in (plain, careful, codes)
            )
        )
        for side, z in ((0, queries), (1, rows))
    ]
    return sides[0], sides[1]


def _missing_far(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    """A missing value further than 1 from every other value, and the far ones no further than they need to be."""
    return a.clamp(-2.0, 3.0).nan_to_num(10.0), b.nan_to_num(10.0)


def _of_part(exact: _Columns, part: _Columns, y: _Columns, low: _Columns) -> tuple[Tensor, Tensor, Tensor]:
    """Nearest row and c times its distance for a few queries, and whether they are certain."""
    count = min(1 + _SPARE, len(y))
    best = part.plain.new_empty(len(part), 0)
    places = torch.empty(len(part), 0, dtype=torch.int64, device=part.plain.device)
    for start in range(0, len(y), _WIDTH):
        value, index = least(_tile(part, low.part(slice(start, start + _WIDTH))), count)
        best, places = torch.cat([best, value], 1), torch.cat([places, index + start], 1)
    best, kept = best.topk(count, largest=False)
    places = places.gather(1, kept)
    gaps = _paired(exact, y, places)
    gap, first = gaps.min(1)
    slack = 1e-6 * (part.plain.shape[1] + part.careful.shape[1] + part.codes.shape[1] + 1)
    certain = (gap + slack <= best[:, -1].double()) | (gap == 0) | (count == len(y))
    return places.gather(1, first[:, None])[:, 0], gap, certain


def _tile(a: _Columns, b: _Columns) -> Tensor:
    """c D(a_i, b_j), column by column in a tile that stays in the cache."""
    total = a.plain.new_zeros(len(a), len(b))
    scratch = torch.empty_like(total)
    plain, careful, codes = (part.T.contiguous() for part in (b.plain, b.careful, b.codes))
    for j in range(a.plain.shape[1]):
        torch.sub(a.plain[:, j, None], plain[j], out=scratch)
        total += scratch.abs_()
    for j in range(a.careful.shape[1]):
        torch.sub(a.careful[:, j, None], careful[j], out=scratch)
        total += scratch.abs_().clamp_(max=1.0)
    for j in range(a.codes.shape[1]):
        torch.sub(a.codes[:, j, None], codes[j], out=scratch)
        total += scratch.abs_().clamp_(max=1.0)  # codes are whole numbers: equal, or at least 1 apart
    return total


def _paired(a: _Columns, b: _Columns, places: Tensor) -> Tensor:
    """c D between each row of `a` and its candidates, summed in float64."""
    plain = (a.plain[:, None] - b.plain[places]).abs().sum(2)
    careful = (a.careful[:, None] - b.careful[places]).abs().clamp(max=1.0).sum(2)
    return plain + careful + (a.codes[:, None] != b.codes[places]).sum(2)
