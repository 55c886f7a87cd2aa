"""CSV by spans of lines: read twice, first to count rows and learn the types from all of them, then chunk by chunk.

A span ends at a line feed outside quotes: one with an even number of quotation marks before it, in a file where a mark
opens a field only at its start and closes it only at its end (RFC 4180). Any other file is left to be read whole.

The types are those that `frames.read_csv` tells, but for one: a column that mixes fractions with integers both within
and beyond 64 bits is one of floats here, and of text there (polars' inference).
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from ...errors import InputError
from .. import frames
from ..dataset import Kind
from ..provenance import read_sidecar
from .progress import Progress
from .stream import CHUNK, CHUNK_BYTES, Stream, numbered, size
from .tables import Schema, common_record, common_schema, form

_LONGEST = 1 << 28  # bytes of one record
_FAR = 1e38  # below the greatest integer of 128 bits
_AS_TEXT = ("categorical", "date", "datetime", "time")  # these may look like numbers: 01234, 20200131


class Unusual(Exception):
    """A file that is to be read whole, or not at all; `frames.read_csv` tells."""


@dataclass(frozen=True)
class Span:
    """Bytes `start` to `stop` of a file, whole lines, which hold `rows` rows."""

    file: Path
    separator: str
    header: tuple[str, ...]
    start: int
    stop: int
    rows: int


def open_csv(
    files: list[Path],
    name: str,
    *,
    kind: Kind | None,
    columns: Mapping[str, str] | None,
    shards: bool,
    progress: Progress | None,
) -> Stream:
    """The lines of `files`, one after another. Raises `Unusual` for what has to be read whole."""
    text = {label for label, chosen in (columns or {}).items() if chosen in _AS_TEXT}
    spans: list[Span] = []
    headers: list[tuple[Path, Schema]] = []
    types: dict[str, set[pl.DataType]] = {}
    for file in files:
        header = None
        for span, found in _scan(file, text, types):
            header = span.header
            for label, dtype in found.items():
                types.setdefault(label, set()).add(dtype)
            spans.append(span)
            if progress is not None:
                progress(sum(s.rows for s in spans), None)
        if header is None:
            if shards:
                raise InputError(f"{file}: the shard has no rows; remove it")
            raise Unusual
        headers.append((file, dict.fromkeys(header, pl.String())))
    order = list(common_schema(headers))
    schema = {label: _whole_type(types.get(label, set())) for label in order}

    def texts(wanted: list[str]) -> Iterator[pl.DataFrame]:
        for span in spans:
            yield _parsed(span, {label: pl.String() for label in wanted})

    record = common_record([read_sidecar(file) for file in files])
    found_parts = [
        (f"{s.file}: bytes {s.start:,} to {s.stop:,}", str(s.file) if shards else name, s.rows, _reader(s, schema))
        for s in spans
    ]
    parts, rows = numbered(found_parts, name)
    empty, finish = form(
        schema, name, kind=kind, columns=columns, record=record, texts=texts, recognise=True, holding=len(types)
    )
    return Stream(empty, parts, rows, size(files), finish)


def _reader(span: Span, schema: Schema) -> Callable[[], Iterator[Any]]:
    return lambda: _parsed(span, schema).iter_slices(CHUNK)


def _whole_type(found: set[pl.DataType]) -> pl.DataType:
    """The type that polars gives a column whose spans have the types `found` (a span without values has none)."""
    if len(found) == 1:
        only = next(iter(found))
        return pl.Float64() if only == pl.Int128 else only
    if found and all(dtype in (pl.Int64, pl.Float64, pl.Int128) for dtype in found):
        return pl.Float64()  # integers beyond 64 bits are kept as floats: `frames._recognise`
    return pl.String()


def _scan(
    file: Path, text: set[str], known: Mapping[str, set[pl.DataType]]
) -> Iterator[tuple[Span, dict[str, pl.DataType]]]:
    """The spans of a file, each with the types of the columns that hold values in it; `known`: those found so far."""
    separator, header, start, end = _head(file)
    with file.open("rb") as opened:
        opened.seek(start)
        line, held = 1 + _lines_before(file, start), b""
        while start < end:
            fresh = opened.read(min(CHUNK_BYTES, end - start - len(held)))
            held += fresh
            last = start + len(held) >= end or not fresh
            rows, used, lines = _check(held, separator, header, file, line, last=last)
            if not used:
                if last or len(held) > _LONGEST:
                    raise Unusual
                continue
            guess = [pl.String() if label in text else _whole_type(known.get(label, set())) for label in header]
            frame = _as_guessed(held[:used], separator, guess, [bool(known.get(label)) for label in header])
            if frame is None:
                frame = _parse(held[:used], separator, len(header), [label in text for label in header])
            if len(header) > 1 and len(frame) != rows:
                raise Unusual
            types = {
                label: column.dtype
                for label, column in zip(header, frame.get_columns(), strict=True)
                if column.null_count() < len(frame)
            }
            yield Span(file, separator, header, start, start + used, len(frame)), types
            held, start, line = held[used:], start + used, line + lines


def _head(file: Path) -> tuple[str, tuple[str, ...], int, int]:
    """The separator, the column names, where the rows begin, and where the last of them ends."""
    with file.open("rb") as opened:
        begin = opened.read(1 << 20)
        mark = 3 if begin.startswith(b"\xef\xbb\xbf") else 0
        begin = begin[mark:]
        line = begin[: begin.find(b"\n") + 1]
        if not line.strip() or line.count(b'"') % 2:  # empty, one line only, or a line feed in a column's name
            raise Unusual
        try:
            first = line.decode()
        except UnicodeDecodeError:
            raise Unusual from None
        separator = next((s for s in ",\t;|" if s in first.rstrip("\n")), ",")
        header = next(csv.reader(io.StringIO(first), delimiter=separator), [])
        frames.check_names(header, file)
        end = file.stat().st_size
        while len(header) > 1 and end:  # blank lines at the end say nothing; of one column, they are missing values
            opened.seek(max(0, end - 4096))
            tail = opened.read(min(4096, end))
            kept = len(tail.rstrip(b"\r\n"))
            end -= len(tail) - kept
            if kept:
                break
        return separator, tuple(header), mark + len(line), end


def _lines_before(file: Path, start: int) -> int:
    with file.open("rb") as opened:
        return opened.read(start).count(b"\n")


def _check(
    raw: bytes, separator: str, header: tuple[str, ...], file: Path, line: int, *, last: bool
) -> tuple[int, int, int]:
    """(records, bytes, line feeds) of the whole records that `raw`, from line `line` on, begins with.

    Raises `InputError` for text that is not UTF-8 and lines of another width than the header, as `frames` does.
    """
    data = np.frombuffer(raw, dtype=np.uint8)
    feeds, marks = data == ord("\n"), data == ord(separator)
    quotes = data == ord('"')
    if quotes.any():
        inside = (np.cumsum(quotes, dtype=np.uint8) & 1).astype(bool)  # the count may wrap: 256 is even
        feeds, marks = feeds & ~inside, marks & ~inside
    ends = np.flatnonzero(feeds)
    used = len(data) if last else int(ends[-1]) + 1 if len(ends) else 0
    if last and len(data) and not (len(ends) and ends[-1] == len(data) - 1):
        ends = np.append(ends, len(data))
    if not used:
        return 0, 0, 0
    if quotes.any():
        _check_quotes(data[:used], quotes[:used], ord(separator))
    _check_utf8(raw[:used], file, line)
    width = len(header)
    fields = np.diff(np.searchsorted(np.flatnonzero(marks[:used]), ends), prepend=0) + 1
    lengths = np.diff(ends, prepend=-1) - 1
    blank = (lengths == 0) | ((lengths == 1) & (data[np.maximum(ends, 1) - 1] == ord("\r")))
    fields[blank] = 0 if width > 1 else 1
    wrong = np.flatnonzero(fields != width)
    if len(wrong):
        at = line + raw.count(b"\n", 0, int(ends[wrong[0]]))
        raise frames.ragged(file, at, int(fields[wrong[0]]), width)
    return len(ends), used, raw.count(b"\n", 0, used)


def _check_quotes(data: np.ndarray, quotes: np.ndarray, separator: int) -> None:
    """`Unusual` unless every field with quotation marks begins and ends with one, and those within are doubled."""
    at = np.flatnonzero(quotes)
    if len(at) % 2:
        raise Unusual
    around = np.concatenate([[ord("\n")], data, [ord("\n")]]).astype(np.uint8)
    edges = (separator, ord("\n"), ord("\r"), ord('"'))
    if not (np.isin(around[at[0::2]], edges).all() and np.isin(around[at[1::2] + 2], edges).all()):
        raise Unusual


def _check_utf8(raw: bytes, file: Path, line: int) -> None:
    try:
        if not raw.isascii():
            raw.decode("utf-8")
    except UnicodeDecodeError as error:
        at = line + raw.count(b"\n", 0, error.start)
        raise InputError(f"{file}: line {at} is not UTF-8 text; save the file as UTF-8") from error


def _as_guessed(raw: bytes, separator: str, guess: list[pl.DataType], known: list[bool]) -> pl.DataFrame | None:
    """The records in `raw` with the types of the spans before: quicker than to infer them, which is left (None) to
    where they do not fit, a column has its first values, or the parser takes for numbers what inference does not."""
    if not any(known) or _odd_numbers(raw, separator):
        return None
    try:
        frame = pl.read_csv(
            _headed(raw, separator, len(guess)),
            separator=separator,
            null_values=frames.MISSING,
            infer_schema_length=0,
            schema_overrides={f"c{i}": dtype for i, dtype in enumerate(guess)},
        )
    except pl.exceptions.PolarsError:
        return None
    for column, seen in zip(frame.get_columns(), known, strict=True):
        if not seen and column.null_count() < len(frame):
            return None
        if column.dtype == pl.Float64 and not (column.abs() < _FAR).all():  # Inf, NAN; more digits than 128 bits hold
            return None
    return frame


def _odd_numbers(raw: bytes, separator: str) -> bool:
    """Whether a field may begin with white space or a plus, or hold `.e`: text, yet the parser would read numbers."""
    data = np.frombuffer(raw, dtype=np.uint8)
    before, after = data[:-1], data[1:]
    starts = (before == ord(separator)) | (before == ord("\n")) | (before == ord('"'))
    odd = (after == ord("+")) | (after == ord(" "))
    if separator != "\t":
        odd |= after == ord("\t")
    exponents = (before == ord(".")) & ((after == ord("e")) | (after == ord("E")))
    return raw[:1] in (b"+", b" ", b"\t") or bool(((starts & odd) | exponents).any())


def _parse(raw: bytes, separator: str, width: int, text: list[bool]) -> pl.DataFrame:
    """The records in `raw`, each column of the type that its own values have (text where `text` says so)."""
    overrides = {f"c{i}": pl.String() for i in range(width) if text[i]}
    try:
        return pl.read_csv(
            _headed(raw, separator, width),
            separator=separator,
            null_values=frames.MISSING,
            infer_schema_length=None,
            schema_overrides=overrides,
        )
    except pl.exceptions.PolarsError:
        raise Unusual from None


def _parsed(span: Span, schema: Mapping[str, pl.DataType]) -> pl.DataFrame:
    """The records of `span`, the columns of `schema` in its order and types."""
    with span.file.open("rb") as opened:
        opened.seek(span.start)
        raw = opened.read(span.stop - span.start)
    place = {label: f"c{i}" for i, label in enumerate(span.header)}
    try:
        frame = pl.read_csv(
            _headed(raw, span.separator, len(span.header)),
            separator=span.separator,
            null_values=frames.MISSING,
            columns=[place[label] for label in schema],
            schema_overrides={place[label]: dtype for label, dtype in schema.items()},
            infer_schema_length=0,
        )
    except pl.exceptions.PolarsError as error:
        reason = str(error).splitlines()[0]
        raise InputError(f"{span.file}: cannot be read as CSV ({reason}); check its quotes and separators") from error
    return frame.select([pl.col(place[label]).alias(label) for label in schema])


def _headed(raw: bytes, separator: str, width: int) -> bytes:
    """`raw` under column names of ours: those of the file may need quotes."""
    return separator.join(f"c{i}" for i in range(width)).encode() + b"\n" + raw
