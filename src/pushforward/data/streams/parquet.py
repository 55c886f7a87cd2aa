"""Parquet files by row group: the footers say how many rows there are, and one batch of one group is held at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import polars as pl

from ...errors import InputError
from ..dataset import Kind
from ..provenance import KEY, parse
from .stream import CHUNK, Stream, numbered, size
from .tables import Schema, common_record, common_schema, form

_BUFFER = 1 << 20  # bytes of a column that are read ahead: not its whole chunk of the row group


def open_parquet(
    files: list[Path], name: str, *, kind: Kind | None, columns: Mapping[str, str] | None, shards: bool
) -> Stream:
    """The row groups of `files`, one after another; `shards`: a file without rows is refused by name."""
    schemas, records, found, vacant = [], [], [], []
    for file in files:
        schema, record, groups, none = _footer(file)
        if shards and not sum(groups):
            raise InputError(f"{file}: the shard has no rows; remove it")
        schemas.append((file, schema))
        records.append(record)
        vacant.append(none)
        found += [(file, group, rows) for group, rows in enumerate(groups) if rows]
    schema = common_schema(schemas)

    def texts(wanted: list[str]) -> Iterator[pl.DataFrame]:
        for file, group, _ in found:
            yield from _batches(file, group, {name: schema[name] for name in wanted})

    record = common_record(records)
    parts, rows = numbered(
        [(_where(f, g), str(f) if shards else name, n, _reader(f, g, schema)) for f, g, n in found], name
    )
    holding = len(schema) - sum(all(name in empty for empty in vacant) for name in schema)
    empty, finish = form(
        schema, name, kind=kind, columns=columns, record=record, texts=texts, recognise=False, holding=holding
    )
    return Stream(empty, parts, rows, size(files), finish)


def _reader(file: Path, group: int, schema: Schema) -> Callable[[], Iterator[Any]]:
    return lambda: _batches(file, group, schema)


def _where(file: Path, group: int) -> str:
    return f"{file}: row group {group + 1}"


def _footer(file: Path) -> tuple[Schema, dict[str, Any] | None, list[int], set[str]]:
    """The columns and their types, the provenance record, the rows of each group, and the columns known to be empty."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    if file.stat().st_size == 0:
        raise InputError(f"{file}: the file is empty; give a Parquet file with rows")
    try:
        schema = dict(pl.read_parquet_schema(file))
        metadata = pq.read_metadata(file)
        groups = [metadata.row_group(i).num_rows for i in range(metadata.num_row_groups)]
    except (pl.exceptions.PolarsError, pa.ArrowException, OSError, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise InputError(f"{file}: is not a whole Parquet file ({reason}); write or copy it again") from error
    told = (metadata.metadata or {}).get(KEY.encode())
    record = parse(None if told is None else told.decode(errors="replace"))
    columns = {n: dtype for n, dtype in schema.items() if not n.startswith("__index_level_")}
    return columns, record, groups, _vacant(metadata)


def _vacant(metadata: Any) -> set[str]:
    """The columns without a value, as far as the footer says so."""
    out: set[str] = set()
    for j in range(metadata.num_columns):
        chunks = [metadata.row_group(i).column(j) for i in range(metadata.num_row_groups)]
        told = [chunk.statistics for chunk in chunks]
        if all(
            s is not None and s.has_null_count and s.null_count == c.num_values
            for s, c in zip(told, chunks, strict=True)
        ):
            out.add(chunks[0].path_in_schema if chunks else "")
    return out


def _batches(file: Path, group: int, schema: Schema) -> Iterator[pl.DataFrame]:
    """The rows of one row group with the columns and types of `schema`, at most `CHUNK` at a time."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        # buffered, so that a group which is the whole of a large file is not held either
        with pq.ParquetFile(file, pre_buffer=False, buffer_size=_BUFFER) as opened:
            for batch in opened.iter_batches(CHUNK, row_groups=[group], columns=list(schema)):
                frame = pl.from_arrow(batch)
                assert isinstance(frame, pl.DataFrame)
                yield frame.select([pl.col(name).cast(dtype) for name, dtype in schema.items()])
    except (pl.exceptions.PolarsError, pa.ArrowException, OSError, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise InputError(f"{_where(file, group)} cannot be read ({reason}); write or copy the file again") from error
