"""Asking a model of rows under any order for rows that hold asked values: see `nets.made.AnyOrder`.

What is asked to be one value is set, and the rest drawn given it: exact conditional laws, for any columns together.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import polars as pl
import torch
from torch import Tensor

from ..data.holes import read_holes, units
from ..data.tables import TableCodec
from .drawing import CHUNK, rng

if TYPE_CHECKING:
    from ..data.conditions import Term
    from .asked import Subject
    from .conditional import Source


def telling(subject: Subject, terms: Sequence[Term], seed: tuple[int, ...]) -> Source:
    """For `conditional._draw`: rows with the asked values, and which of their units are seen."""
    codec = subject.codec
    exact = pl.DataFrame([term.of(np.zeros(1, dtype=int)) for term in terms])
    if isinstance(codec, TableCodec):
        known = {f.column.name: f.column.dtype for f in codec.fields}
        blank = {name: pl.Series(name, [None], dtype=dtype) for name, dtype in known.items()}
        asked = pl.DataFrame(
            [exact[name].cast(dtype) if name in exact else blank[name] for name, dtype in known.items()]
        )
        holes, names = read_holes(asked, codec), units(codec)
        mine = dict.fromkeys(block.column for block in codec.blocks)  # the network's units, see `nets.cells.layout_of`
        seen = holes.seen[:, [names.index(name) for name in mine]]
    else:
        array = np.full((1, codec.event_shape[0]), np.nan)
        for name in exact.columns:
            array[0, int(name)] = exact[name][0]
        holes = read_holes(array, codec)
        seen = holes.seen

    def source(number: int, first: int, count: int) -> tuple[Tensor, pl.DataFrame | None]:
        size = max(count, CHUNK[codec.kind])  # so that fewer are the first of more
        rows = holes.rows.take(torch.zeros(size, dtype=torch.long))
        found = codec.expand(codec.encode(rows, generator=rng(seed[0], "told", *seed[1:], number))).flatten(1)
        told = torch.cat([found, seen.expand(size, -1).to(found)], 1)[:count]
        return told, exact[np.zeros(count, dtype=int)]

    return source
