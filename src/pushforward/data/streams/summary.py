"""`Summary`: exact figures of each column over all rows, from chunks, in memory that does not grow with the rows.

Numbers: count, missing, least, greatest, mean and variance in float64. Two parts a and b are merged by (Chan, Golub and
LeVeque 1979, eq. 2.1)

    mean = mean_a + (n_b / n) d,    M2 = M2_a + M2_b + (n_a n_b / n) d^2,    d = mean_b - mean_a,  n = n_a + n_b

with M2 the sum of squared deviations. Categories: rows by level, exact for up to `CAP` levels. Where there are more,
those with the smallest hashes are kept: such a level was kept in every part, so its count is exact whatever the order
and the parts were; the rows of all others are counted in `beyond`, and the number of levels is estimated as
(CAP - 1) / u, u the share of hashes up to the greatest kept (Bar-Yossef et al. 2002; standard error 1 / sqrt(CAP - 2)).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import polars as pl
import torch
from numpy.typing import NDArray

from ..columns import NUMERIC, as_float, kind_of
from ..dataset import Dataset

CAP = 50_000
_NO_LEVELS = pl.DataFrame(schema={"level": pl.String(), "count": pl.Int64()})
_COLOURS = {1: ("grey",), 3: ("red", "green", "blue")}


@dataclass(frozen=True)
class Numbers:
    """A column of numbers (dates and moments: seconds since 1970): `count` values, `missing` besides; `m2` as above."""

    name: str
    count: int
    missing: int
    low: float = math.nan
    high: float = math.nan
    mean: float = math.nan
    m2: float = 0.0

    @property
    def variance(self) -> float:
        """Unbiased, divided by n - 1; NaN for fewer than two values."""
        return self.m2 / (self.count - 1) if self.count > 1 else math.nan

    @classmethod
    def of(cls, name: str, values: NDArray[np.float64]) -> Numbers:
        """Those of `values` `(n,)`, NaN where missing."""
        absent = np.isnan(values)
        present = values[~absent] if absent.any() else values
        if not len(present):
            return cls(name, 0, len(values))
        mean = float(present.mean())
        deviations = present - mean
        with np.errstate(over="ignore"):  # of values beyond 1e150 the variance is infinite
            m2 = float(np.dot(deviations, deviations))
        return cls(name, len(present), len(values) - len(present), float(present.min()), float(present.max()), mean, m2)

    def merge(self, other: Numbers) -> Numbers:
        """The same of both sets of rows."""
        n, missing = self.count + other.count, self.missing + other.missing
        if not self.count or not other.count:
            full = self if self.count else other
            return Numbers(self.name, n, missing, full.low, full.high, full.mean, full.m2)
        d, share = other.mean - self.mean, other.count / n
        m2 = self.m2 + other.m2 + self.count * share * d * d
        low, high = min(self.low, other.low), max(self.high, other.high)
        return Numbers(self.name, n, missing, low, high, self.mean + share * d, m2)


@dataclass(frozen=True)
class Levels:
    """A column of categories: `count` values, `missing` besides. `levels` has the columns `level` and `count`, most
    frequent first; `complete`: it holds all levels, else `beyond` rows have others and `distinct` is an estimate."""

    name: str
    count: int
    missing: int
    levels: pl.DataFrame = field(compare=False)
    beyond: int = 0
    distinct: float = 0.0
    cap: int = CAP

    @property
    def complete(self) -> bool:
        return not self.beyond

    @classmethod
    def of(cls, name: str, values: pl.Series, *, cap: int = CAP) -> Levels:
        """Those of a column, null where missing."""
        counted = values.cast(pl.String).alias("level").drop_nulls().value_counts(name="count")
        counted = counted.with_columns(pl.col("count").cast(pl.Int64))
        return cls._capped(name, len(values) - values.null_count(), values.null_count(), counted, cap)

    @classmethod
    def _capped(cls, name: str, count: int, missing: int, counted: pl.DataFrame, cap: int) -> Levels:
        distinct = float(len(counted))
        if len(counted) > cap:
            counted = counted.with_columns(pl.col("level").hash(seed=0).alias("hash")).bottom_k(cap, by="hash")
            distinct = (cap - 1) / ((float(counted["hash"].max()) + 1) / 2.0**64)  # type: ignore[arg-type]
            counted = counted.drop("hash")
        counted = counted.sort(["count", "level"], descending=[True, False])
        return cls(name, count, missing, counted, count - int(counted["count"].sum()), distinct, cap)

    def merge(self, other: Levels) -> Levels:
        """The same of both sets of rows."""
        both = pl.concat([self.levels, other.levels]).group_by("level").agg(pl.col("count").sum())
        count, missing, cap = self.count + other.count, self.missing + other.missing, min(self.cap, other.cap)
        merged = self._capped(self.name, count, missing, both, cap)
        if merged.beyond and len(both) <= cap:  # both had lost some and none is lost now: the estimate of either
            return Levels(
                self.name, count, missing, merged.levels, merged.beyond, max(self.distinct, other.distinct), cap
            )
        return merged


@dataclass(frozen=True)
class Summary:
    """The figures of `rows` rows, by column: a table's columns, points' coordinates x1, x2, ..., or, of pictures, the
    mean of each colour (1 is white)."""

    rows: int
    columns: tuple[Numbers | Levels, ...]

    def __getitem__(self, name: str) -> Numbers | Levels:
        return next(column for column in self.columns if column.name == name)

    @classmethod
    def of(cls, data: Dataset, *, cap: int = CAP) -> Summary:
        """The summary of the rows of `data`; text columns keep at most `cap` levels."""
        if data.kind == "table":
            chosen = data.columns or {}
            return cls(len(data), tuple(_column(c, chosen.get(c.name), cap) for c in data.values.get_columns()))
        if data.kind == "points":
            rows = data.values.detach().cpu().double().numpy()
            return cls(len(data), tuple(Numbers.of(f"x{j + 1}", rows[:, j]) for j in range(rows.shape[1])))
        means = torch.cat([part.float().mean((2, 3)) for part in data.values.split(2048)]).double().numpy() / 255
        names = _COLOURS[data.values.shape[1]]
        return cls(len(data), tuple(Numbers.of(name, means[:, j]) for j, name in enumerate(names)))

    def merge(self, other: Summary) -> Summary:
        """The summary of both sets of rows."""
        both = zip(self.columns, other.columns, strict=True)
        return Summary(self.rows + other.rows, tuple(a.merge(b) for a, b in both))  # type: ignore[arg-type]

    def to_dict(self) -> dict[str, Any]:
        """JSON-able; `from_dict` inverts it."""
        return {"rows": self.rows, "columns": [_to_dict(column) for column in self.columns]}

    @classmethod
    def from_dict(cls, d: Mapping[str, Any]) -> Summary:
        return cls(d["rows"], tuple(_from_dict(column) for column in d["columns"]))


def _column(values: pl.Series, chosen: str | None, cap: int) -> Numbers | Levels:
    kind = chosen or kind_of(values)
    if kind not in NUMERIC or values.dtype in (pl.String, pl.Categorical, pl.Enum):
        return Levels.of(values.name, values.fill_nan(None) if values.dtype.is_float() else values, cap=cap)
    if values.dtype.base_type() in (pl.Date, pl.Datetime):
        micros = values.cast(pl.Datetime("us")).to_physical().cast(pl.Float64)
        return Numbers.of(values.name, micros.fill_null(float("nan")).to_numpy() / 1e6)
    return Numbers.of(values.name, as_float(values))


def _to_dict(column: Numbers | Levels) -> dict[str, Any]:
    if isinstance(column, Levels):
        return {**column.__dict__, "levels": column.levels.to_dict(as_series=False)}
    return {key: None if value != value else value for key, value in column.__dict__.items()}


def _from_dict(d: Mapping[str, Any]) -> Numbers | Levels:
    if "levels" in d:
        return Levels(**{**d, "levels": pl.DataFrame(d["levels"], schema=_NO_LEVELS.schema)})
    full: dict[str, Any] = {key: math.nan if value is None else value for key, value in d.items()}
    return Numbers(**full)
