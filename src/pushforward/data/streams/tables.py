"""Tables in parts: one form for all shards, and chunks checked as `frames.finish` checks a whole table.

Shards are put into the first one's order of columns; where their types differ, all are read as the widest of them
(integers and floats as floats), and what has no common type is refused by file and column.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import torch
from torch import Tensor

from ...errors import InputError
from .. import arrays, frames
from ..columns import blank_rows, kind_of
from ..dataset import Dataset, Kind
from ..provenance import made_by_of
from .conversions import Conversion, TextChunks, decide

Schema = dict[str, pl.DataType]


def common_schema(schemas: list[tuple[Path, Schema]]) -> Schema:
    """The types that all shards are read as; `InputError` names the file and the column that do not fit."""
    first_path, first = schemas[0]
    out = dict(first)
    for path, schema in schemas[1:]:
        for name in first:
            if name not in schema:
                raise InputError(f"{path}: lacks the column {name!r}, unlike {first_path}; give all shards one form")
        for name in schema:
            if name not in first:
                raise InputError(
                    f"{path}: has the column {name!r} besides, unlike {first_path}; give all shards one form"
                )
        for name, dtype in schema.items():
            if dtype != out[name]:
                out[name] = _wider(name, out[name], dtype, path, first_path)
    return out


def _wider(name: str, a: pl.DataType, b: pl.DataType, path: Path, first: Path) -> pl.DataType:
    parts = [pl.DataFrame(schema={name: dtype}) for dtype in (a, b)]
    try:
        return pl.concat(parts, how="vertical_relaxed").dtypes[0]
    except pl.exceptions.PolarsError as error:
        raise InputError(
            f"{path}: column {name!r} holds {b} where {first} has {a}; give all shards the same type of values"
        ) from error


def common_record(records: list[dict[str, Any] | None]) -> dict[str, Any] | None:
    """The provenance record that all shards carry; None where they differ or have none."""
    return records[0] if all(_told(record) == _told(records[0]) for record in records) else None


def _told(record: dict[str, Any] | None) -> dict[str, Any] | None:
    """A record without what is of its file only."""
    return None if record is None else {k: v for k, v in record.items() if k not in ("file", "sha256")}


def form(
    schema: Schema,
    name: str,
    *,
    kind: Kind | None,
    columns: Mapping[str, str] | None,
    record: dict[str, Any] | None,
    texts: TextChunks,
    recognise: bool,
    holding: int,
) -> tuple[Dataset, TableForm | PointsForm]:
    """The empty `Dataset` of chunks with the raw types `schema`, and how a raw chunk is finished.

    `recognise`: dates and the like in text; `holding`: how many columns hold a value in any row.
    """
    bare = pl.DataFrame(schema=schema)
    frames.typed(bare, columns or {}, name)  # unknown columns and types
    conversions = decide(schema, columns, texts, name, recognise=recognise)
    typed = bare.with_columns([conversion(bare[conversion.name], 0, name) for conversion in conversions])
    if kind == "points" or (kind is None and not columns and (record or {}).get("kind") == "points"):
        values = _no_points(typed, name)
        restore = {"names": typed.columns}
        empty = Dataset("points", values, name, "polars", made_by_of(record), restore=restore)
        return empty, PointsForm(conversions, values.dtype == torch.float32)
    for column in typed.get_columns():
        try:
            kind_of(column)
        except InputError as error:
            raise InputError(f"{name}: {error}") from error
    empty = Dataset("table", typed, name, "polars", made_by_of(record), dict(columns) if columns else None)
    return empty, TableForm(conversions, holding > 1)


def _no_points(typed: pl.DataFrame, name: str) -> Tensor:
    """Points `(0, d)` of the columns of `typed`; a text column is refused by name."""
    for column in typed.get_columns():
        if not (column.dtype.is_numeric() or column.dtype == pl.Boolean):
            raise InputError(f"{name}: column {column.name!r} holds {column.dtype}, not numbers; read it as a table")
    single = all(dtype == pl.Float32 for dtype in typed.dtypes)
    return torch.empty((0, typed.width), dtype=torch.float32 if single else torch.float64)


@dataclass(frozen=True)
class TableForm:
    """Raw chunks to checked tables. `several` columns hold values: then a row without any is refused; of one column, it
    is just missing."""

    conversions: tuple[Conversion, ...]
    several: bool

    def __call__(self, frame: pl.DataFrame, file: str, row: int) -> pl.DataFrame:
        frame = frame.with_columns([c(frame[c.name], row, file) for c in self.conversions])
        for column in frame.get_columns():
            if column.dtype.is_float() and column.is_infinite().any():
                at = row + int(column.is_infinite().arg_max() or 0) + 1
                raise InputError(
                    f"{file}: column {column.name!r} is infinite in row {at}; make it a number or leave it empty"
                )
        if self.several:
            blank = blank_rows(frame)
            if blank.any():
                raise InputError(
                    f"{file}: row {row + int(blank.arg_max() or 0) + 1} is missing in every column; "
                    "drop the rows that say nothing"
                )
        return frame


@dataclass(frozen=True)
class PointsForm:
    """Raw chunks of a table of numbers to points."""

    conversions: tuple[Conversion, ...]
    single: bool

    def __call__(self, frame: pl.DataFrame, file: str, row: int) -> Tensor:
        frame = frame.with_columns([c(frame[c.name], row, file) for c in self.conversions])
        dtype = pl.Float32 if self.single else pl.Float64
        array = frame.select(pl.all().cast(dtype).fill_null(float("nan"))).to_numpy()
        check_finite(array, file, row)
        return arrays.to_points(array, file)[0]


def check_finite(array: np.ndarray, file: str, row: int) -> None:
    """`InputError` naming the first value of points `array` `(n, d)`, from row `row` on, that is no finite number."""
    finite = np.isfinite(array)
    if finite.all():
        return
    at = int(np.flatnonzero(~finite.all(1))[0])
    if np.isnan(array[at]).all():
        raise InputError(f"{file}: row {row + at + 1} is NaN throughout; drop such rows")
    column = int(np.flatnonzero(~finite[at])[0])
    nan = bool(np.isnan(array[at, column]))
    remedy = " or read it as a table, which models missing values" if nan else " or clip it"
    what = "NaN" if nan else "infinite"
    raise InputError(f"{file}: row {row + at + 1}, column {column + 1} is {what}; drop it{remedy}")
