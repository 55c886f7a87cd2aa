"""Conditions on a column in words, with ends rounded in the column's own units; see `pushforward.readings.regions`."""

import math
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import final

import numpy as np
from numpy.typing import NDArray

_MOVED = 0.02  # share of the rows of the smaller side that rounding an end may carry across it
_LISTED = 4  # levels named before "and 12 more"
_STEPS = (86_400.0, 3_600.0, 60.0, 1.0, 1e-3, 1e-6)  # seconds that a date is rounded to, coarsest first
_MISSING = "(missing)"


@final
@dataclass(frozen=True)
class Look:
    """How a column's values are written: whole numbers only, whole days only, some missing; in how many digits."""

    integer: bool
    days: bool
    missing: bool


@final
@dataclass(frozen=True)
class Column:
    """A column of the described rows: "numeric", "datetime" (seconds since 1970) or "category" (codes of `levels`)."""

    name: str
    kind: str = "numeric"
    levels: tuple[str, ...] = ()

    def look(self, values: NDArray[np.float64]) -> Look:
        """How the column's values are written; all that there are are given."""
        if self.kind == "category":
            return Look(False, False, False)
        given = values[~np.isnan(values)]
        whole = bool(np.all(given == np.round(given)))
        days = self.kind == "datetime" and bool(np.all(given % 86_400.0 == 0.0))
        return Look(whole and self.kind == "numeric", days, len(given) < len(values))

    def rounded(self, at: float, values: NDArray[np.float64]) -> float:
        """`at` as round as it can be while rows worth at most 2 % of the smaller side of `values` change sides."""
        if self.kind == "datetime":
            candidates = [math.floor(at / step) * step for step in _STEPS]
        else:
            whole = bool(np.all(values == np.round(values)))
            at = float(math.floor(at)) if whole else at
            candidates = [_significant(at, digits) for digits in range(1, 17)]
        ordered = np.sort(values)
        below = int(np.searchsorted(ordered, at, side="right"))
        for candidate in candidates:
            under = int(np.searchsorted(ordered, candidate, side="right"))
            if abs(under - below) <= _MOVED * min(below, len(ordered) - below) and 0 < under < len(ordered):
                return candidate
        return at


@final
@dataclass(frozen=True)
class Side:
    """What a box asks of one column: a value in `(low, high]`, or one of `levels`; `missing`: or none at all."""

    low: float = -math.inf
    high: float = math.inf
    missing: bool = True
    levels: frozenset[int] | None = None

    def holds(self, values: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Which of `values` `(n,)` fulfil it."""
        if self.levels is not None:
            return np.isin(values, list(self.levels))
        given = ~np.isnan(values)
        inside = given & (values > self.low) & (values <= self.high)
        return inside | (~given & self.missing)


def in_words(column: Column, side: Side, look: Look) -> str:
    """The condition `side` on `column`: "price > 9,000", "cut is one of Fair, Good", "carat is missing"."""
    if side.levels is not None:
        return _levels(column, side.levels)
    name, low, high = column.name, side.low, side.high
    if low >= high:
        return f"{name} is missing"
    if math.isinf(low) and math.isinf(high):
        return f"{name} is given"
    tail = " (or missing)" if side.missing and look.missing else ""
    if column.kind == "datetime":
        return _dates(name, low, high, look) + tail
    if look.integer and math.isfinite(low) and high - low <= 1.0:
        return f"{name} = {_number(high, name)}{tail}"
    if math.isinf(low):
        return f"{name} ≤ {_number(high, name)}{tail}"
    if math.isinf(high):
        return f"{name} > {_number(low, name)}{tail}"
    first = low + 1.0 if look.integer and high - low <= 60.0 else low  # few whole numbers: both ends belong
    return f"{name} between {_number(first, name)} and {_number(high, name)}{tail}"


def _levels(column: Column, chosen: frozenset[int]) -> str:
    left_out = frozenset(range(len(column.levels))) - chosen
    few, negated = (left_out, True) if len(left_out) < len(chosen) else (chosen, False)
    names = [column.levels[i] for i in sorted(few)]  # the more frequent first
    if names == [_MISSING]:
        return f"{column.name} is {'given' if negated else 'missing'}"
    shown = ["missing" if name == _MISSING else name for name in names]
    if len(names) == 1:
        return f"{column.name} {'≠' if negated else '='} {shown[0]}"
    more = f" and {len(names) - _LISTED} more" if len(names) > _LISTED + 1 else ""
    listed = ", ".join(shown[:_LISTED] if more else shown)
    return f"{column.name} is {'none' if negated else 'one'} of {listed}{more}"


def _dates(name: str, low: float, high: float, look: Look) -> str:
    if math.isinf(low):
        return f"{name} up to {_date(high, look)}"
    if math.isinf(high):
        return f"{name} after {_date(low, look)}"
    if look.days and high - low <= 86_400.0:
        return f"{name} on {_date(high, look)}"
    return f"{name} after {_date(low, look)} up to {_date(high, look)}"


def _date(seconds: float, look: Look) -> str:
    stamp = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=seconds)
    if look.days or seconds % 86_400.0 == 0.0:
        return f"{stamp:%Y-%m-%d}"
    return f"{stamp:%Y-%m-%d %H:%M}" if seconds % 60.0 == 0.0 else f"{stamp:%Y-%m-%d %H:%M:%S}"


def _number(value: float, name: str) -> str:
    if float(value).is_integer() and abs(value) < 1e15:
        return f"{value:.0f}" if "year" in name.lower() else f"{value:,.0f}"
    return f"{value:,.12g}"


def _significant(value: float, digits: int) -> float:
    return float(f"{value:.{digits - 1}e}")
