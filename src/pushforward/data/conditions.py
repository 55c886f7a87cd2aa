"""Conditions in words: which values are asked of which columns, and which rows meet them.

    {"cut": "Ideal"}                                 equal
    {"cut": ["Ideal", "Fair"]}, {"cut": "Ideal|Fair"}    one of these
    {"price": ">5000"}, ">=", "<", "<=", {"price": "100..200"}    a range; with dots both ends belong to it
    {"price": None}                                  missing
    {"cut": {"Ideal": .5, "Fair": .5}}               these, in these shares of the rows

On the command line `cut=Ideal`, `cut=Ideal|Fair`, `cut=Ideal:.5|Fair:.5`, `price>5000`, `price=100..200`; two bounds of
one column make a range. Several columns are asked together.

A level, or a number beyond the bounds, that no training row has is refused.
"""

from __future__ import annotations

import datetime as dt
import math
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import polars as pl

from ..errors import InputError
from .columns import NUMERIC, Column
from .dataset import Dataset
from .tables import Field, TableCodec, _from_keys

LISTED = 12  # names in a message
_OPERATORS = (">=", "<=", "=", ">", "<")


@dataclass(frozen=True)
class Range:
    """Between `low` and `high`, either of which may be None; an open end does not belong to it."""

    low: Any = None
    high: Any = None
    open_low: bool = False
    open_high: bool = False

    def met(self, values: pl.Series) -> pl.Series:
        """Boolean `(n,)`; missing values are not within."""
        within = values.is_not_null()
        if self.low is not None:
            within &= values > self.low if self.open_low else values >= self.low
        if self.high is not None:
            within &= values < self.high if self.open_high else values <= self.high
        return within.fill_null(False)

    def and_(self, other: Range) -> Range:
        """What is in both."""
        ours = self
        if other.low is not None and (ours.low is None or other.low >= ours.low):
            ours = replace(ours, low=other.low, open_low=other.open_low or (ours.open_low and ours.low == other.low))
        if other.high is not None and (ours.high is None or other.high <= ours.high):
            ends = other.open_high or (ours.open_high and ours.high == other.high)
            ours = replace(ours, high=other.high, open_high=ends)
        return ours


@dataclass(frozen=True)
class Known:
    """What training rows had in a column: its levels, or the bounds of its numbers, or nothing that is checked."""

    name: str
    dtype: pl.DataType
    levels: tuple[Any, ...] | None = None
    missing: bool = True
    low: Any = None
    high: Any = None

    @property
    def is_text(self) -> bool:
        return self.dtype in (pl.String, pl.Categorical, pl.Enum)

    @property
    def ordered(self) -> bool:
        return self.dtype.is_numeric() or self.dtype.is_temporal()


@dataclass(frozen=True)
class Term:
    """`column` is one of `values` (None among them: missing), or within `range`."""

    known: Known
    values: tuple[Any, ...] = ()
    range: Range | None = None

    @property
    def column(self) -> str:
        return self.known.name

    @property
    def single(self) -> bool:
        """Whether there is just one value to it."""
        return len(self.values) == 1

    def met(self, frame: pl.DataFrame) -> pl.Series:
        """Boolean `(n,)`: the rows of `frame` that meet it."""
        values = comparable(frame[self.column])
        if self.range is not None:
            return self.range.met(values)
        named = [value for value in self.values if value is not None]
        found = values.is_in(self._series(named).implode()).fill_null(False)
        return found | values.is_null() if None in self.values else found

    def of(self, index: np.ndarray) -> pl.Series:
        """The values of these numbers, as the column stores them."""
        return self._series([self.values[i] for i in index]).cast(self.known.dtype).alias(self.column)

    def _series(self, values: Sequence[Any]) -> pl.Series:
        return pl.Series(values, dtype=pl.String() if self.known.is_text else self.known.dtype, strict=False)


@dataclass(frozen=True)
class Shares:
    """`column` takes the values of `terms`, one each, in the proportions `shares`, which add up to 1."""

    terms: tuple[Term, ...]
    shares: tuple[float, ...]


def met(frame: pl.DataFrame, terms: Collection[Term]) -> np.ndarray:
    """Boolean `(n,)`: the rows that meet all `terms`."""
    found = np.ones(len(frame), dtype=bool)
    for term in terms:
        found &= term.met(frame).to_numpy()
    return found


def comparable(values: pl.Series) -> pl.Series:
    """Text as text, NaN as missing."""
    if values.dtype in (pl.Categorical, pl.Enum):
        return values.cast(pl.String)
    return values.fill_nan(None) if values.dtype.is_float() else values


# ---- what there is to ask for


def known_columns(codec: TableCodec) -> dict[str, Known]:
    """What is known of every column of a table, by name."""
    return {f.column.name: _known(f) for f in codec.fields}


def _known(field: Field) -> Known:
    column, levels = field.column, field.levels
    missing = levels is not None and levels.missing
    if column.kind == "empty":
        return Known(column.name, column.dtype, ())
    if column.kind not in NUMERIC:
        assert levels is not None
        return Known(column.name, column.dtype, tuple(_from_keys(levels.names, column.dtype).to_list()), missing)
    if field.marginal is None:
        assert levels is not None
        return Known(column.name, column.dtype, _values(column, levels.names.to_numpy()), missing)
    ends = field.marginal.values[[0, -1]].double().numpy()
    masses = levels.names.to_numpy() if levels is not None else ends[:0]
    low, high = _values(column, np.array([min([ends[0], *masses]), max([ends[1], *masses])]))
    return Known(column.name, column.dtype, None, missing, low, high)


def _values(column: Column, ticks: np.ndarray) -> tuple[Any, ...]:
    return tuple(column.values(ticks.astype(np.float64), np.zeros(len(ticks), dtype=bool)).to_list())


def points_frame(dataset: Dataset) -> pl.DataFrame:
    """Points `(n, d)` as columns "0", "1", ..."""
    return pl.DataFrame({str(i): dataset.values[:, i].numpy() for i in range(dataset.values.shape[1])})


# ---- what is asked for


def parse(given: Mapping[Any, Any], known: Mapping[str, Known]) -> tuple[list[Term], list[Shares]]:
    """The terms that the words of `given` stand for; `InputError` for an unknown column, level or number."""
    terms: list[Term] = []
    shares: list[Shares] = []
    for name, asked in given.items():
        if str(name) not in known:
            raise InputError(f"there is no column {str(name)!r} to ask anything of; known: {listed(known)}")
        column = known[str(name)]
        asked = _read_text(asked, column) if isinstance(asked, str) else asked
        if isinstance(asked, Mapping):
            shares.append(_shares(asked, column))
        else:
            terms.append(_term(asked, column))
    return terms, shares


def listed(names: Collection[Any]) -> str:
    """The first names, for a message."""
    some = [str(name) for name in list(names)[:LISTED]]
    return ", ".join(some) + (f", ... ({len(names)} in all)" if len(names) > LISTED else "")


def words(said: Sequence[str], columns: Collection[str] = ()) -> dict[str, Any]:
    """`["cut=Ideal", "price>5000", "price<=6000"]` -> what `parse` takes. `columns`: names that may themselves hold
    one of `= < >`."""
    out: dict[str, Any] = {}
    for word in said:
        name, operator, value = _parts(word, columns)
        asked: Any = value if operator == "=" else operator + value
        if name in out:
            bounds = [_range_text(one) for one in (out[name], asked)]
            if bounds[0] is None or bounds[1] is None:
                raise InputError(f"{word}: {name!r} is asked for twice; join values by |, as in {name}=a|b")
            asked = (*bounds[0], *bounds[1]) if isinstance(out[name], str) else (*out[name], *bounds[1])
        out[name] = asked
    return out


def _parts(word: str, columns: Collection[str]) -> tuple[str, str, str]:
    for name in sorted(columns, key=len, reverse=True):
        rest = word.removeprefix(name)
        operator = next((o for o in _OPERATORS if rest.startswith(o)), None)
        if word.startswith(name) and operator:
            return name, operator, rest[len(operator) :]
    found = re.match(r"(.+?)(>=|<=|=|>|<)(.*)", word, re.DOTALL)
    if found is None:
        raise InputError(f"{word!r} asks for nothing; write it as COLUMN=VALUE, COLUMN>NUMBER or COLUMN=LOW..HIGH")
    return found[1], found[2], found[3]


def _range_text(text: Any) -> tuple[str, ...] | None:
    if isinstance(text, tuple):
        return text
    return (text,) if text.startswith((">", "<")) else None


def _read_text(text: str, known: Known) -> Any:
    """What a text asks of the column: a value, a list of them, a range, or shares by value."""
    if known.is_text and (known.levels is None or text in known.levels):
        return [text]
    parts = [part.strip() for part in text.split("|")]
    weighed = [part.rpartition(":") for part in parts]
    levels = {str(level) for level in known.levels or ()}
    if levels and not levels.issuperset(parts) and all(name in levels and _is_number(w) for name, _, w in weighed):
        return {name: float(weight) for name, _, weight in weighed}
    if len(parts) > 1:
        return parts
    if known.ordered:
        for operator in (">=", "<=", ">", "<"):
            if text.startswith(operator):
                bound, is_open = _value(text[len(operator) :].strip(), known), "=" not in operator
                return Range(low=bound, open_low=is_open) if ">" in operator else Range(high=bound, open_high=is_open)
        low, dots, high = text.partition("..")
        if dots:
            return Range(_value(low.strip(), known), _value(high.strip(), known))
    return [text]


def _is_number(text: str) -> bool:
    try:
        return math.isfinite(float(text))
    except ValueError:
        return False


def _term(asked: Any, known: Known) -> Term:
    if isinstance(asked, tuple) and asked and all(isinstance(one, str) and one[:1] in "<>" for one in asked):
        bounds = [_read_text(one, known) for one in asked]  # bounds that hold together
        if not all(isinstance(one, Range) for one in bounds):
            raise InputError(f"column {known.name!r} has no order, so {' and '.join(asked)} is no range of it")
        merged = bounds[0]
        for one in bounds[1:]:
            merged = merged.and_(one)
        asked = merged
    if isinstance(asked, Range):
        return Term(known, range=_checked(asked, known))
    several = asked if isinstance(asked, list | tuple | set | frozenset) else [asked]
    if isinstance(asked, np.ndarray | pl.Series):
        several = asked.tolist() if isinstance(asked, np.ndarray) else asked.to_list()
    values = tuple(dict.fromkeys(_seen(one, known) for one in several))
    if not values:
        raise InputError(f"column {known.name!r}: nothing is asked for; name at least one value")
    return Term(known, values)


def _shares(asked: Mapping[Any, Any], known: Known) -> Shares:
    parts = {value: float(share) for value, share in asked.items()}
    total = sum(parts.values())
    if not parts or min(parts.values()) < 0 or not (math.isfinite(total) and total > 0):
        raise InputError(f"column {known.name!r}: shares must be numbers of at least 0, not all of them 0")
    kept = {value: share / total for value, share in parts.items() if share > 0}
    return Shares(tuple(_term([value], known) for value in kept), tuple(kept.values()))


def _seen(value: Any, known: Known) -> Any:
    """The value in the column's own type; `InputError` where no training row has such a one."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        if not known.missing:
            raise InputError(f"column {known.name!r} was never missing in the training data; ask for a value of it")
        return None
    found = _value(value, known)
    if known.dtype.is_integer() and isinstance(found, float):
        raise InputError(f"{known.name}={value}: this column holds whole numbers; ask for one, or for a range")
    if known.levels is not None and found not in known.levels:
        raise InputError(f"{known.name}={value}: no training row has it; {known.name} has {listed(known.levels)}")
    if known.low is not None and not known.low <= found <= known.high:
        raise InputError(
            f"{known.name}={value}: outside of what training rows have, {known.low} to {known.high}; ask within that"
        )
    return found


def _checked(asked: Range, known: Known) -> Range:
    if not known.ordered:
        raise InputError(f"column {known.name!r} has no order, so it has no ranges; name values, joined by |")
    low = None if asked.low is None else _value(asked.low, known)
    high = None if asked.high is None else _value(asked.high, known)
    asked = replace(asked, low=low, high=high)
    shown = f"{known.name} in {'-inf' if low is None else low}..{'inf' if high is None else high}"
    if low is not None and high is not None and (low > high or (low == high and (asked.open_low or asked.open_high))):
        raise InputError(f"{shown}: is empty; give the lower bound first")
    lowest, highest = known.low, known.high
    if known.levels:
        present = pl.Series(known.levels, dtype=known.dtype)
        if not asked.met(present).any():
            raise InputError(f"{shown}: no training row is there; {known.name} has {listed(known.levels)}")
    elif lowest is not None and not asked.met(pl.Series([lowest, highest], dtype=known.dtype)).any():
        inside = (low is None or low < highest) and (high is None or high > lowest)
        if not inside:
            raise InputError(f"{shown}: no training row is there; they have {lowest} to {highest}")
    return asked


def _value(value: Any, known: Known) -> Any:
    """`value`, a word or a Python object, as one of the column's type."""
    dtype = known.dtype
    try:
        if known.is_text:
            return str(value)
        if dtype == pl.Boolean:
            return _boolean(value)
        if dtype.is_temporal():
            return _temporal(value, dtype)
        number = float(value)
        if dtype.is_integer():
            if number != round(number):
                return number  # a bound may lie between whole numbers; as a value it is then unseen
            return int(value) if isinstance(value, str) and value.lstrip("+-").isdigit() else int(number)
        if dtype == pl.Float32:
            return float(np.float32(number))
        return number
    except (ValueError, TypeError, OverflowError, pl.exceptions.PolarsError):
        wanted = "a date or time like 2013-07-01" if dtype.is_temporal() else "true or false"
        wanted = wanted if dtype.is_temporal() or dtype == pl.Boolean else "a number"
        raise InputError(f"{known.name}: {value!r} is not {wanted}, which this column holds") from None


def _boolean(value: Any) -> bool:
    if str(value).lower() not in ("true", "false", "1", "0"):
        raise ValueError(value)
    return str(value).lower() in ("true", "1")


def _temporal(value: Any, dtype: pl.DataType) -> Any:
    if not isinstance(value, str):
        return pl.Series([value]).cast(dtype)[0]
    if dtype == pl.Date:
        return dt.date.fromisoformat(value)
    if dtype == pl.Time:
        return dt.time.fromisoformat(value)
    if isinstance(dtype, pl.Datetime):
        found = dt.datetime.fromisoformat(value)
        return pl.Series([found]).dt.replace_time_zone(dtype.time_zone).cast(dtype)[0]
    return dt.timedelta(seconds=float(value))


def term_in_words(term: Term) -> str:
    if term.range is None:
        return f"{term.column}={'|'.join('missing' if v is None else str(v) for v in term.values)}"
    one = term.range
    low = "" if one.low is None else f"{one.low} {'<' if one.open_low else '<='} "
    high = "" if one.high is None else f" {'<' if one.open_high else '<='} {one.high}"
    return f"{low}{term.column}{high}"


def in_words(given: Mapping[Any, Any]) -> str:
    """What was asked, for the record."""
    words = []
    for name, asked in given.items():
        if isinstance(asked, str) and asked.startswith((">", "<")):
            words.append(f"{name}{asked}")
        elif isinstance(asked, Mapping):
            words.append(f"{name}=" + "|".join(f"{level}:{share}" for level, share in asked.items()))
        elif isinstance(asked, tuple) and all(isinstance(one, str) and one[:1] in "<>" for one in asked):
            words += [f"{name}{one}" for one in asked]
        elif isinstance(asked, list | tuple | set):
            words.append(f"{name}=" + "|".join(map(str, asked)))
        else:
            words.append(f"{name}={asked}")
    return ", ".join(words)
