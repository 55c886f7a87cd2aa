"""`read_bounded`: a source of any size as a `Dataset` of at most so many rows, and what is thereby left open."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from ...errors import InputError
from ..dataset import Dataset, Kind
from .opening import TABLES, open_stream
from .progress import Progress
from .sampling import chosen_rows, sweep
from .summary import Summary

WHOLE_BYTES = 1 << 25  # a text file up to this is read whole: to know its rows is to have read it


@dataclass(frozen=True)
class Bounded:
    """Of `rows` rows in `parts` parts and `bytes` bytes on disk (0: no file), `kept` were kept; `summary` is of all."""

    rows: int
    kept: int
    parts: int
    bytes: int
    summary: Summary

    @property
    def widening(self) -> float:
        """How much wider intervals are for keeping fewer rows: sqrt(rows / kept), for errors that fall as 1/sqrt(n)."""
        return math.sqrt(self.rows / self.kept)

    @property
    def sentence(self) -> str:
        if self.kept == self.rows:
            return f"all {self.rows:,} rows"
        times = f"{self.widening:.1f}" if self.widening < 10 else f"{self.widening:,.0f}"
        return (
            f"{self.kept:,} of {self.rows:,} rows, drawn uniformly; intervals are those of the rows kept, "
            f"about {times} times as wide as those of all would be"
        )

    def to_dict(self) -> dict[str, Any]:
        """JSON-able, without the summary."""
        told = {"rows": self.rows, "kept": self.kept, "parts": self.parts, "bytes": self.bytes}
        return {**told, "widening": self.widening, "sentence": self.sentence}


def read_bounded(
    source: Any,
    *,
    most_rows: int,
    seed: int,
    kind: Kind | None = None,
    columns: Mapping[str, str] | None = None,
    progress: Progress | None = None,
) -> tuple[Dataset, Bounded]:
    """At most `most_rows` rows of `source` (`sources.read` says what it may be), and what they are of how many.

    Up to `most_rows` rows are read whole, as `sources.read` does. Of more, `most_rows` are drawn uniformly
    (`sampling`); which, depends on the seed and on how many there are only: the same rows from a CSV as from Parquet.
    All rows are read once in bounded chunks, checked, and summarised.

    To know how many rows there are, nothing is loaded: Parquet says it in its footers, `.npy` in its header; a CSV of
    more than 32 MiB is read once beforehand in chunks. What cannot be read in parts (objects in memory, zips, folders
    of pictures, smaller CSVs) is read whole first. Under `torchrun` each process reads its share of the parts and all
    get the same rows, and the same summary (means and variances to rounding).
    """
    if most_rows < 1:
        raise InputError(f"most_rows {most_rows}: must be a whole number of at least 1")
    stream = None if _small(source) else open_stream(source, kind=kind, columns=columns, progress=progress)
    if stream is None:
        return _of_whole(source, most_rows, seed, kind, columns)
    chosen = chosen_rows(stream.rows, most_rows, seed=seed)
    kept, summary = sweep(stream, chosen, progress=progress, summarise=True)
    assert summary is not None
    if len(kept) == stream.rows:
        kept = replace(kept, path=str(source))  # as `sources.read` tells of a whole file
    return kept, Bounded(stream.rows, len(kept), len(stream.parts), stream.bytes, summary)


def _small(source: Any) -> bool:
    """Whether `source` is a text file so small that it is read whole at once."""
    if not isinstance(source, str | Path):
        return False
    path = Path(source)
    text = path.suffix.lower() in TABLES and path.suffix.lower() != ".parquet"
    return text and path.is_file() and path.stat().st_size <= WHOLE_BYTES


def _of_whole(
    source: Any, most_rows: int, seed: int, kind: Kind | None, columns: Mapping[str, str] | None
) -> tuple[Dataset, Bounded]:
    from .. import sources  # which may itself come to read tars and shards by this package

    data = sources.read(source, kind=kind, columns=columns)
    size = Path(source).stat().st_size if isinstance(source, str | Path) and Path(source).is_file() else 0
    bounded = Bounded(len(data), min(len(data), most_rows), 1, size, Summary.of(data))
    if len(data) > most_rows:
        data = data.take(torch.from_numpy(chosen_rows(len(data), most_rows, seed=seed)))
    return data, bounded
