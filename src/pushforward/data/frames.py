"""Tables from files and frames: CSV, Parquet, polars, pandas, pyarrow. Every flaw is told with its column and row."""

from __future__ import annotations

import base64
import csv
import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from ..errors import InputError
from .columns import CHOICES, blank_rows, kind_of
from .provenance import KEY, parse, read_sidecar

MISSING = ["", "NA", "N/A", "<NA>", "NaN", "nan", "NULL", "null"]
_QUICK = 1 << 26  # bytes scanned at a time
DATES = ("%Y-%m-%d", "%Y/%m/%d")
TIMES = ("%H:%M:%S", "%H:%M:%S%.f", "%H:%M")
MOMENTS = tuple(
    f"{date}{gap}{time}{zone}"
    for date in DATES
    for gap in (" ", "T")
    for time in ("%H:%M:%S", "%H:%M:%S%.f", "%H:%M")
    for zone in ("", "Z", "%z")
)
# tried only where the user says that the column is a date
LOCAL_DATES = ("%m/%d/%Y", "%d/%m/%Y", "%d.%m.%Y", "%d-%m-%Y", "%Y%m%d", "%d %b %Y", "%b %d, %Y")
LOCAL_MOMENTS = tuple(f"{date} {time}" for date in LOCAL_DATES for time in ("%H:%M:%S", "%H:%M", "%I:%M %p"))


def read_csv(path: Path, columns: Mapping[str, str] | None) -> tuple[pl.DataFrame, dict[str, Any] | None]:
    """The table in a CSV file (or one separated by tabs or semicolons) and its provenance record.

    `NA`, `NaN`, `null` and nothing are missing. Types are told from all rows; ISO dates and times are recognised.
    """
    raw = path.read_bytes()
    if not raw.strip():
        raise InputError(f"{path}: the file is empty; give a CSV with a header and rows")
    raw = raw.removeprefix(b"\xef\xbb\xbf")
    _check_text(raw, path)
    line = raw[: raw.find(b"\n") if b"\n" in raw else len(raw)].decode()
    separator = next((s for s in ",\t;|" if s in line), ",")
    header = next(csv.reader(io.StringIO(raw[: 1 << 20].decode(errors="ignore")), delimiter=separator), [])
    check_names(header, path)
    _check_ragged(raw, separator, len(header), path)
    if len(header) > 1:  # of one column, a blank line is a missing value
        raw = raw.rstrip(b"\r\n") + b"\n"
    as_text = ("categorical", "date", "datetime", "time")  # these may look like numbers: 01234, 20200131
    text = {name: pl.String for name, kind in (columns or {}).items() if name in header and kind in as_text}
    try:
        frame = pl.read_csv(
            raw, separator=separator, null_values=MISSING, infer_schema_length=None, schema_overrides=text
        )
    except (pl.exceptions.PolarsError, OSError) as error:
        reason = str(error).splitlines()[0]
        raise InputError(f"{path}: cannot be read as CSV ({reason}); check its quotes and separators") from error
    if not len(frame):
        raise InputError(f"{path}: has a header but no rows; give at least one row of data")
    frame.columns = header  # polars keeps doubled quotes
    return _recognise(frame, skip=set(text)), read_sidecar(path)


def read_parquet(path: Path) -> tuple[pl.DataFrame, dict[str, Any] | None]:
    """The table in a Parquet file and its provenance record."""
    if path.stat().st_size == 0:
        raise InputError(f"{path}: the file is empty; give a Parquet file with rows")
    try:
        record = parse(pl.read_parquet_metadata(path).get(KEY))
        frame = pl.read_parquet(path)
    except (pl.exceptions.PolarsError, OSError, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise InputError(f"{path}: is not a whole Parquet file ({reason}); write or copy it again") from error
    return frame.drop(name for name in frame.columns if name.startswith("__index_level_")), record  # pandas' index


def from_pandas(frame: Any, name: str) -> tuple[pl.DataFrame, dict[str, Any]]:
    """A pandas frame (its index is dropped) and what `to_pandas` needs to restore its dtypes."""
    import pandas as pd

    names = [str(column) for column in frame.columns]
    check_names(names, name)
    dtypes: list[dict[str, Any]] = []
    series = []
    for position, label in enumerate(names):
        column = frame.iloc[:, position]
        entry: dict[str, Any] = {"dtype": str(column.dtype)}
        if isinstance(column.dtype, pd.CategoricalDtype):
            categories = column.cat.categories
            entry |= {
                "ordered": bool(column.cat.ordered),
                "categories": categories.tolist(),
                "of": str(categories.dtype),
            }
            column = column.astype(categories.dtype) if not column.isna().any() else column.astype(object)
        try:
            series.append(pl.Series(label, pl.from_pandas(column.reset_index(drop=True))))
        except (TypeError, ValueError, pl.exceptions.PolarsError) as error:
            raise InputError(
                f"{name}: column {label!r} mixes types that do not go together ({error}); make it all of one type"
            ) from error
        dtypes.append(entry)
    labels = frame.columns.tolist()
    plain = all(isinstance(label, str) for label in labels)
    return pl.DataFrame(series), {"dtypes": dtypes, "labels": None if plain else labels}


def to_pandas(frame: pl.DataFrame, restore: Mapping[str, Any] | None) -> Any:
    """A pandas frame with the dtypes that `from_pandas` saw; values that such a dtype cannot hold keep their own."""
    import pandas as pd

    out = {}
    entries = (restore or {}).get("dtypes") or [{}] * frame.width
    for series, entry in zip(frame.get_columns(), entries, strict=True):
        column = series.to_pandas()
        dtype: Any = entry.get("dtype")
        if dtype == "category":
            categories = pd.Index(entry["categories"], dtype=entry["of"])
            dtype = pd.CategoricalDtype(categories, ordered=entry["ordered"])
        try:
            out[series.name] = column if dtype is None else column.astype(dtype)
        except (TypeError, ValueError):
            out[series.name] = column
    result = pd.DataFrame(out)
    if (restore or {}).get("labels"):
        result.columns = pd.Index(restore["labels"])  # type: ignore[index]
    return result


def from_arrow(table: Any, name: str) -> tuple[pl.DataFrame, dict[str, Any]]:
    """A pyarrow table and what `to_arrow` needs to restore its schema."""
    check_names(list(table.schema.names), name)
    frame = pl.from_arrow(table)
    assert isinstance(frame, pl.DataFrame)
    return frame, {"schema": base64.b64encode(table.schema.serialize().to_pybytes()).decode()}


def to_arrow(frame: pl.DataFrame, restore: Mapping[str, Any] | None) -> Any:
    """A pyarrow table of the schema that `from_arrow` saw; a column that such a type cannot hold keeps its own."""
    import pyarrow as pa

    table = frame.to_arrow()
    if not (restore or {}).get("schema"):
        return table
    schema = pa.ipc.read_schema(pa.py_buffer(base64.b64decode(restore["schema"])))  # type: ignore[index]
    for i, (column, target) in enumerate(zip(table.columns, schema, strict=True)):
        try:
            if pa.types.is_dictionary(target.type) and not pa.types.is_dictionary(column.type):
                column = column.dictionary_encode()
            table = table.set_column(i, target, column.cast(target.type))
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
            continue
    return table


def finish(frame: pl.DataFrame, columns: Mapping[str, str] | None, name: str) -> pl.DataFrame:
    """Check a table however it came, and turn the columns that the user typed into what their type needs."""
    if not frame.width:
        raise InputError(f"{name}: has no columns; give a table with at least one")
    if not len(frame):
        raise InputError(f"{name}: has no rows; give at least one row of data")
    frame = typed(frame, columns or {}, name)
    try:
        for column in frame.get_columns():
            kind_of(column)
    except InputError as error:
        raise InputError(f"{name}: {error}") from error
    for column in frame.get_columns():
        if column.dtype.is_float() and column.is_infinite().any():
            row = int(column.is_infinite().arg_max() or 0) + 1
            raise InputError(
                f"{name}: column {column.name!r} is infinite in row {row}; make it a number or leave it empty"
            )
    if sum(column.null_count() < len(frame) for column in frame.get_columns()) > 1:  # of one, a row is just missing
        blank = blank_rows(frame)
        if blank.any():
            raise InputError(
                f"{name}: row {int(blank.arg_max() or 0) + 1} is missing in every column "
                f"({int(blank.sum())} such rows); drop the rows that say nothing"
            )
    return frame


def typed(frame: pl.DataFrame, columns: Mapping[str, str], name: str) -> pl.DataFrame:
    for label, kind in columns.items():
        if label not in frame.columns:
            raise InputError(
                f"{name}: there is no column {label!r} to read as {kind}; the columns are {', '.join(frame.columns)}"
            )
        if kind not in CHOICES:
            raise InputError(f"{name}: column {label!r}: unknown type {kind!r}; known types: {', '.join(CHOICES)}")
        series = frame[label]
        if series.dtype in (pl.String, pl.Categorical, pl.Enum) and kind not in ("categorical", "boolean"):
            frame = frame.with_columns(_parse(series.cast(pl.String), kind, name))
    return frame


def _parse(series: pl.Series, kind: str, name: str) -> pl.Series:
    """A text column as the `kind` that the user says it is."""
    if kind in ("continuous", "integer", "duration"):
        out = series.str.strip_chars().cast(pl.Float64, strict=False)
        if kind == "integer" and bool((out.drop_nulls() % 1 == 0).all()):
            whole = series.str.strip_chars().cast(pl.Int64, strict=False)
            out = whole if whole.null_count() == out.null_count() else out
    else:
        formats = {"date": DATES + LOCAL_DATES, "time": TIMES, "datetime": MOMENTS + LOCAL_MOMENTS + DATES}[kind]
        found = first_format(series, formats, kind)
        out = pl.Series(series.name, [None] * len(series), dtype=pl.Date) if found is None else found
    wrong = out.is_null() & series.is_not_null()
    if wrong.any():
        row = int(wrong.arg_max() or 0)
        raise InputError(
            f"{name}: column {series.name!r} is to be {kind} but row {row + 1} holds {series[row]!r}; "
            "mend that value or choose another type"
        )
    return out.alias(series.name)


def _recognise(frame: pl.DataFrame, *, skip: set[str]) -> pl.DataFrame:
    """ISO dates, times and moments, and true/false in any case, as what they are; integers beyond 64 bits as floats."""
    found = []
    for column in frame.get_columns():
        if str(column.dtype) in ("Int128", "UInt128"):
            found.append(column.cast(pl.Float64))
        if column.dtype != pl.String or column.name in skip or not (len(column) - column.null_count()):
            continue
        example = column.drop_nulls()[0]
        if example.lower() in ("true", "false"):
            lower = column.str.to_lowercase()
            if lower.drop_nulls().is_in(["true", "false"]).all():
                found.append((lower == "true").alias(column.name))
        elif example[:1].isdigit() and len(example) >= 5:
            for formats, kind in ((DATES, "date"), (MOMENTS, "datetime"), (TIMES, "time")):
                parsed = first_format(column, formats, kind)
                if parsed is not None:
                    found.append(parsed)
                    break
    return frame.with_columns(found)


def first_format(column: pl.Series, formats: tuple[str, ...], kind: str) -> pl.Series | None:
    """`column` read by the first of `formats` that fits all of it, or None."""
    dtype = {"date": pl.Date(), "time": pl.Time(), "datetime": pl.Datetime("us")}[kind]
    for part in (column.drop_nulls().head(100), column):
        left = []
        for form in formats:
            zoned = form.endswith(("Z", "%z"))
            target = pl.Datetime("us", "UTC") if zoned and kind == "datetime" else dtype
            try:
                parsed = part.str.strptime(target if form.endswith("%z") else dtype, form, strict=True, exact=True)
            except pl.exceptions.PolarsError:
                continue
            if form.endswith("Z"):
                parsed = parsed.dt.replace_time_zone("UTC")
            if len(part) == len(column):
                return parsed
            left.append(form)
        formats = tuple(left)
    return None


def check_names(header: list[str], name: Path | str) -> None:
    seen: set[str] = set()
    for column in header:
        if column in seen:
            raise InputError(f"{name}: the column name {column!r} occurs twice; rename one of them")
        seen.add(column)


def _check_text(raw: bytes, path: Path) -> None:
    try:
        raw.decode("utf-8") if not raw.isascii() else None
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise InputError(f"{path}: line {line} is not UTF-8 text; save the file as UTF-8") from error


def _check_ragged(raw: bytes, separator: str, width: int, path: Path) -> None:
    """Every line must have as many fields as the header (polars pads short ones without a word)."""
    raw = raw.rstrip(b"\r\n") if width > 1 else raw
    if b'"' in raw:
        reader = csv.reader(io.TextIOWrapper(io.BytesIO(raw), encoding="utf-8", newline=""), delimiter=separator)
        try:
            for row in reader:
                if len(row) != width and (row or width > 1):
                    raise ragged(path, reader.line_num, len(row), width)
        except csv.Error as error:
            raise InputError(f"{path}: line {reader.line_num} cannot be read ({error}); check its quotes") from error
        return
    data, start, line = np.frombuffer(raw, dtype=np.uint8), 0, 1
    while start < len(data):
        stop = min(start + _QUICK, len(data))
        stop = len(data) if stop == len(data) else (raw.rfind(b"\n", start, stop) + 1 or len(data))
        part = data[start:stop]
        ends = np.flatnonzero(part == ord("\n"))
        if not len(ends) or ends[-1] != len(part) - 1:
            ends = np.append(ends, len(part))
        marks = np.flatnonzero(part == ord(separator))
        fields = np.diff(np.searchsorted(marks, ends), prepend=0) + 1
        lengths = np.diff(ends, prepend=-1) - 1
        blank = (lengths == 0) | ((lengths == 1) & (part[np.minimum(ends, len(part)) - 1] == ord("\r")))
        fields[blank] = 0 if width > 1 else 1
        wrong = np.flatnonzero(fields != width)
        if len(wrong):
            raise ragged(path, line + int(wrong[0]), int(fields[wrong[0]]), width)
        start, line = stop, line + len(ends)


def ragged(path: Path, line: int, found: int, width: int) -> InputError:
    if not found:
        return InputError(f"{path}: line {line} is blank; remove it")
    return InputError(f"{path}: line {line} has {found} fields where the header has {width}; mend that line")
