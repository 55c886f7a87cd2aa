"""What each column of a table is, inferred once and written down: `Column`.

Kinds: `continuous`, `integer`, `boolean`, `categorical`, `datetime`, `date`, `duration`, `time`, `constant` (one value,
nothing missing) and `empty` (nothing but missing values). A user's `columns={"price": "continuous"}` overrules that.

Numeric kinds are measured in *ticks*: `tick = (value - origin) / step`, where a column on a grid (integers, a fixed
number of decimals, whole hours) has the widest step that holds all of its training values, and ticks are whole numbers.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from ..errors import InputError

CHOICES = ("continuous", "integer", "boolean", "categorical", "datetime", "date", "duration", "time")  # for overrides
NUMERIC = frozenset({"continuous", "integer", "datetime", "date", "duration", "time"})
_INTEGERS = (pl.Int8, pl.Int16, pl.Int32, pl.Int64, pl.UInt8, pl.UInt16, pl.UInt32, pl.UInt64)
_DECIMALS = 10
_EXACT = 2.0**52  # below it every whole number is a float64


@dataclass(frozen=True)
class Column:
    """A column's name, kind and polars `dtype`; the grid of a numeric one (`step` 0: off grid).

    Whole-number columns (integers, times in their own unit) have `decimals` None; `origin`, `step` and the bound `top`
    are in that unit. Decimal ones count them in units of `10**-decimals`. `nan`: a missing value is NaN, not null.
    """

    name: str
    kind: str
    dtype: pl.DataType
    origin: int = 0
    step: int = 0
    top: int = 0
    decimals: int | None = None
    nan: bool = False

    def to_dict(self) -> dict[str, Any]:
        """JSON-able; `from_dict` inverts it."""
        return {**self.__dict__, "dtype": dtype_to_json(self.dtype)}

    @classmethod
    def from_dict(cls, d: Mapping[str, Any]) -> Column:
        return cls(**{**d, "dtype": dtype_from_json(d["dtype"])})

    def ticks(self, values: pl.Series) -> np.ndarray:
        """Float64 ticks `(n,)`, NaN where missing."""
        if self.step and self.decimals is None:  # subtract as integers: nanoseconds do not fit in a float64
            whole = physical(values)
            if whole.dtype.is_integer():
                return _offsets(whole, self.origin) / self.step
        plain = as_float(values)
        if not self.step:
            return plain
        # a value that is off the training grid keeps its fraction
        return (np.round(plain * 10.0 ** (self.decimals or 0), 6) - self.origin) / self.step

    def values(self, ticks: np.ndarray, missing: np.ndarray) -> pl.Series:
        """The column back, in its own dtype, from float64 `ticks` `(n,)` and the boolean `missing` `(n,)`."""
        ticks = np.where(missing, 0.0, ticks)
        if self.step and self.decimals is None:
            out = pl.Series(self.name, self._whole(ticks))
            out = (
                out.cast(_storage(self.dtype)).cast(self.dtype)
                if self.dtype.is_temporal()
                else _to_number(out, self.dtype)
            )
        elif self.step:
            out = pl.Series(self.name, (np.rint(ticks) * self.step + self.origin) / 10.0 ** (self.decimals or 0))
            out = _to_number(out, self.dtype)
        else:
            out = _to_number(pl.Series(self.name, ticks), self.dtype)
        return self.blank(out, missing)

    def _whole(self, ticks: np.ndarray) -> np.ndarray:
        """origin + step * ticks, clipped to the bounds, modulo 2^64: exact wherever the training values fit 64 bits."""
        most = np.uint64(self.top - self.origin)
        offsets = np.minimum(np.rint(ticks).clip(0).astype(np.uint64) * np.uint64(self.step), most)
        whole = offsets + np.uint64(self.origin % 2**64)
        signed: np.ndarray = whole.view(np.int64)
        return whole if self.dtype == pl.UInt64 else signed

    def blank(self, values: pl.Series, missing: np.ndarray) -> pl.Series:
        """`values` with the `missing` rows emptied, by null or by NaN as the training data had it."""
        if not missing.any():
            return values.alias(self.name)
        kept = pl.when(pl.col("m").not_()).then("v")  # null elsewhere
        out = kept.otherwise(pl.lit(float("nan"), dtype=values.dtype)) if self.nan else kept
        return pl.DataFrame({"v": values, "m": missing}).select(out.alias(self.name))[self.name]


def infer(frame: pl.DataFrame, overrides: Mapping[str, str] | None = None) -> tuple[Column, ...]:
    """A `Column` for each column of `frame`; `InputError` for an unknown type or column, or a dtype of no kind."""
    overrides = dict(overrides or {})
    for name, kind in overrides.items():
        if name not in frame.columns:
            raise InputError(
                f"there is no column {name!r} to read as {kind}; the columns are {', '.join(frame.columns)}"
            )
        if kind not in CHOICES:
            raise InputError(f"column {name!r}: unknown type {kind!r}; known types: {', '.join(CHOICES)}")
    return tuple(_infer_one(frame[name], overrides.get(name)) for name in frame.columns)


def _infer_one(values: pl.Series, override: str | None) -> Column:
    name, dtype = values.name, values.dtype
    nan = bool(dtype.is_float() and values.is_nan().any() and not values.null_count())
    present = values.fill_nan(None).drop_nulls() if dtype.is_float() else values.drop_nulls()
    if not len(present):
        return Column(name, "empty", dtype, nan=nan)
    if len(present) == len(values) and present.n_unique() == 1:
        return Column(name, "constant", dtype)
    kind = override or kind_of(values)
    if kind in NUMERIC:
        if not (dtype.is_numeric() or dtype.is_temporal() or dtype == pl.Boolean):
            row = int(values.is_not_null().arg_max() or 0)
            raise InputError(
                f"column {name!r} holds text ({present[0]!r} in row {row + 1}) and cannot be {kind}; "
                "clean it, or leave it categorical"
            )
        return Column(name, kind, dtype, *_grid(present), nan=nan)
    return Column(name, kind, dtype, nan=nan)


def kind_of(values: pl.Series) -> str:
    """The kind that a column's dtype stands for; `InputError` where it has none (lists, structures, bytes)."""
    name, dtype = values.name, values.dtype
    if dtype in _INTEGERS:
        return "integer"
    if dtype.is_float() or dtype.is_decimal():
        return "continuous"
    named = {pl.Boolean: "boolean", pl.Date: "date", pl.Datetime: "datetime", pl.Duration: "duration", pl.Time: "time"}
    if dtype.base_type() in named:
        return named[dtype.base_type()]
    if dtype in (pl.String, pl.Categorical, pl.Enum):
        return "categorical"
    if dtype == pl.Null:
        return "empty"
    raise InputError(
        f"column {name!r} is of type {dtype}, which has no place in a table of numbers, categories and dates; drop it"
    )


def _grid(present: pl.Series) -> tuple[int, int, int, int | None]:
    """(origin, step, top, decimals) of the values, step 0 where they lie on no grid of at most ten decimals."""
    whole = physical(present)
    if whole.dtype.is_integer():
        low, high = int(whole.min()), int(whole.max())  # type: ignore[arg-type]
        if high - low >= _EXACT:
            return low, max(1, (high - low) // 2**50), high, None  # so wide that single units are below a float's reach
        offsets = _offsets(whole, low).astype(np.int64)
        return low, max(1, int(np.gcd.reduce(offsets))), high, None
    plain = as_float(present)
    single = present.dtype == pl.Float32
    for decimals in range(_DECIMALS + 1):
        for part in (plain[:1000], plain):
            with np.errstate(over="ignore"):
                scaled = np.rint(part * 10.0**decimals)
            back = scaled / 10.0**decimals
            exact = back.astype(np.float32) == part.astype(np.float32) if single else back == part
            if not exact.all() or np.abs(scaled).max() >= _EXACT:
                break
        else:
            origin = int(scaled.min())
            step = max(1, int(np.gcd.reduce(scaled.astype(np.int64) - origin)))
            return origin, step, int(scaled.max()), decimals
    return 0, 0, 0, None


def _offsets(whole: pl.Series, origin: int) -> np.ndarray:
    """`whole - origin` as float64 `(n,)`, NaN where missing; subtracted as integers where these are near each other."""
    unsigned = whole.dtype == pl.UInt64
    values = whole.fill_null(origin).to_numpy() if whole.null_count() else whole.to_numpy()
    if unsigned:
        below = values < np.uint64(max(origin, 0))
        out = np.where(below, -1.0, (values - np.uint64(max(origin, 0))).astype(np.float64))
    else:
        rough = values.astype(np.float64) - float(origin)
        near = values.astype(np.int64) - np.int64(origin) if -(2**63) <= origin < 2**63 else values
        out = np.where(np.abs(rough) < _EXACT, near.astype(np.float64), rough)
    return np.where(whole.is_null().to_numpy(), np.nan, out)


def blank_rows(frame: pl.DataFrame) -> pl.Series:
    """Boolean `(n,)`: the rows that are missing (null or NaN) in every column."""
    floats = {name for name, dtype in frame.schema.items() if dtype.is_float()}
    absent = [pl.col(n).is_null() | pl.col(n).is_nan() if n in floats else pl.col(n).is_null() for n in frame.columns]
    return frame.select(pl.all_horizontal(absent)).to_series()


def physical(values: pl.Series) -> pl.Series:
    """Dates and times as the integers they are stored as; booleans as 0 and 1; other columns as they are."""
    return values.cast(pl.Int8) if values.dtype == pl.Boolean else values.to_physical()


def as_float(values: pl.Series) -> np.ndarray:
    """Float64 `(n,)`, NaN where missing; dates and times in their stored units."""
    out = values if values.dtype.is_decimal() else physical(values)
    return out.cast(pl.Float64).fill_null(float("nan")).to_numpy()


def _storage(dtype: pl.DataType) -> pl.DataType:
    return pl.Int32() if dtype == pl.Date else pl.Int64()


def _to_number(values: pl.Series, dtype: pl.DataType) -> pl.Series:
    if dtype.is_integer():
        return values.round().cast(dtype)
    if dtype == pl.Boolean:
        return values.round().cast(pl.Int8).cast(pl.Boolean)
    return values.cast(dtype)


def dtype_to_json(dtype: pl.DataType) -> dict[str, Any]:
    """A polars dtype as JSON; `dtype_from_json` inverts it."""
    out: dict[str, Any] = {"name": str(dtype.base_type())}
    if isinstance(dtype, pl.Datetime):
        out |= {"unit": dtype.time_unit, "zone": dtype.time_zone}
    elif isinstance(dtype, pl.Duration):
        out |= {"unit": dtype.time_unit}
    elif isinstance(dtype, pl.Enum):
        out |= {"categories": dtype.categories.to_list()}
    elif isinstance(dtype, pl.Decimal):
        out |= {"precision": dtype.precision, "scale": dtype.scale}
    return out


def dtype_from_json(d: Mapping[str, Any]) -> pl.DataType:
    """The polars dtype that `dtype_to_json` wrote."""
    match d["name"]:
        case "Datetime":
            return pl.Datetime(d["unit"], d["zone"])
        case "Duration":
            return pl.Duration(d["unit"])
        case "Enum":
            return pl.Enum(d["categories"])
        case "Decimal":
            return pl.Decimal(d["precision"], d["scale"])
        case name if name in _PLAIN:
            plain: pl.DataType = getattr(pl, name)()
            return plain
    raise InputError(f"the saved column type {d['name']!r} is unknown to this version; update pushforward")


_PLAIN = frozenset(
    {str(dtype) for dtype in _INTEGERS}
    | {"Float32", "Float64", "Boolean", "String", "Categorical", "Date", "Time", "Null"}
)
