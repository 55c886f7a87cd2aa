"""`Stream`: a source too large to hold, as parts that are read one after another in bounded chunks.

A *part* is what is read by itself: a row group of a Parquet file, a span of lines of a CSV, a span of rows of an array,
a tar of images. Parts know how many rows they hold, so that every row has a number in the whole source (from 0; from 1
in messages) whoever reads it: a chunk is `(first, Dataset)`. `share` gives one of several processes its parts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import polars as pl
import torch

from ...errors import InputError
from ..dataset import Dataset, Kind
from .progress import Progress

CHUNK = 1 << 16  # most rows of a chunk
CHUNK_BYTES = 1 << 24  # about the most bytes of a chunk of an array, or of CSV text

Finish = Callable[[Any, str, int], Any]


@dataclass(frozen=True, eq=False)
class Part:
    """`rows` rows from the row `first` of the whole source on, which is the row `row` of `file` (both from 0).

    `read()` yields them raw, chunk by chunk; `where` is used in messages.
    """

    where: str
    file: str
    row: int
    first: int
    rows: int
    read: Callable[[], Iterator[Any]]


@dataclass(frozen=True, eq=False)
class Stream:
    """`parts` of a source of `rows` rows and `bytes` bytes on disk.

    `empty` is a `Dataset` without rows that says what the chunks are: kind, columns and types, name, provenance.
    `finish(values, file, row)` turns a raw chunk, from the row `row` of `file` on, into checked values in that form.
    """

    empty: Dataset
    parts: tuple[Part, ...]
    rows: int
    bytes: int
    finish: Finish

    @property
    def name(self) -> str:
        return self.empty.name

    @property
    def kind(self) -> Kind:
        return self.empty.kind

    def __iter__(self) -> Iterator[tuple[int, Dataset]]:
        """`(first row, Dataset)` for each chunk of the parts held, at most `CHUNK` rows each, every one checked."""
        return self.chunks()

    def chunks(self, progress: Progress | None = None) -> Iterator[tuple[int, Dataset]]:
        """The same, telling `progress(rows done, rows in all)` of the parts held after each chunk."""
        done, total = 0, sum(part.rows for part in self.parts)
        for part in self.parts:
            at = 0
            for values in part.read():
                finished = self.finish(values, part.file, part.row + at)
                yield part.first + at, replace(self.empty, values=finished)
                at += len(values)
                done += len(values)
                if progress is not None:
                    progress(done, total)
            if at != part.rows:
                raise InputError(
                    f"{part.where}: gave {at:,} rows where it had said {part.rows:,}; it has changed or is damaged, "
                    "so write it again"
                )

    def whole(self, progress: Progress | None = None) -> Dataset:
        """All rows of the parts held, in memory."""
        return joined(self.empty, [chunk for _, chunk in self.chunks(progress)])

    def share(self, rank: int, processes: int) -> Stream:
        """The parts of process `rank` of `processes`: every `processes`-th. The rows keep their numbers."""
        return replace(self, parts=self.parts[rank::processes])

    def only(self, wanted: Callable[[Part], bool]) -> Stream:
        """The parts for which `wanted(part)` holds. The rows keep their numbers."""
        return replace(self, parts=tuple(part for part in self.parts if wanted(part)))


def joined(empty: Dataset, parts: list[Dataset]) -> Dataset:
    """The rows of all `parts` in the form of `empty`."""
    values: Any = [empty.values, *(part.values for part in parts)]
    return replace(empty, values=pl.concat(values, rechunk=True) if empty.kind == "table" else torch.cat(values))


def numbered(found: list[tuple[str, str, int, Callable[[], Iterator[Any]]]], name: str) -> tuple[tuple[Part, ...], int]:
    """The parts `(where, file, rows, read)` in order, each with its first row, and the rows in all."""
    parts: list[Part] = []
    first = row = 0
    for where, file, rows, read in found:
        row = row if parts and parts[-1].file == file else 0
        parts.append(Part(where, file, row, first, rows, read))
        first, row = first + rows, row + rows
    if not first:
        raise InputError(f"{name}: has no rows; give at least one row of data")
    return tuple(parts), first


def size(files: list[Path]) -> int:
    """Bytes on disk."""
    return sum(file.stat().st_size for file in files)
