"""The categories of a column to and from codes: `Levels`.

A block's codes, in this order: `value` (the numeric slot speaks; numeric columns only), `missing`, the kept levels by
falling frequency, and `pooled`: past `max_levels` kept ones, the rest share one code, and decoding redraws among them
by their training frequency (their relation to other columns is lost; the report of a fit says how many there are).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
import torch

_VALUE, _MISSING = "value", "missing"


@dataclass(frozen=True)
class Levels:
    """`names` `(k,)`: the kept levels then the pooled ones, by falling frequency; `counts` `(k,)` their training rows.

    The first `kept` have a code of their own. `value`, `missing`: whether there is a code for that.
    """

    names: pl.Series
    counts: tuple[int, ...]
    kept: int
    value: bool = False
    missing: bool = False

    @classmethod
    def fit(cls, keys: pl.Series, *, max_levels: int, missing: bool) -> Levels:
        """The levels of the non-missing among `keys`; ties in frequency fall in the order of the names."""
        counted = keys.drop_nulls().alias("level").value_counts().sort(["count", "level"], descending=[True, False])
        return cls(counted["level"], tuple(counted["count"].to_list()), min(max_levels, len(counted)), False, missing)

    @property
    def first(self) -> int:
        """The code of the first kept level."""
        return int(self.value) + int(self.missing)

    @property
    def pooled(self) -> int:
        """How many levels share the last code."""
        return len(self.names) - self.kept

    @property
    def n(self) -> int:
        """How many codes there are."""
        return self.first + self.kept + bool(self.pooled)

    @property
    def missing_code(self) -> int | None:
        return int(self.value) if self.missing else None

    def ranks(self, keys: pl.Series) -> np.ndarray:
        """Float64 `(n,)`: the position of each key among `names`, `len(names)` where unseen, NaN where missing."""
        if not len(self.names):
            only: np.ndarray = np.where(keys.is_null().to_numpy(), np.nan, 0.0)
            return only
        position = pl.Series(np.arange(len(self.names), dtype=np.float64))
        ranks = keys.replace_strict(self.names, position, default=float(len(self.names)), return_dtype=pl.Float64)
        out: np.ndarray = np.where(keys.is_null().to_numpy(), np.nan, ranks.to_numpy())
        return out

    def encode(self, keys: pl.Series) -> np.ndarray:
        """Int64 codes `(n,)`. An unseen level takes the pooled code, else the value's, else the most frequent one's."""
        ranks = self.ranks(keys)
        absent, unseen = np.isnan(ranks), ranks >= len(self.names)
        fallback = 0 if self.value else self.first + self.kept if self.pooled else self.first
        codes = self.first + np.minimum(np.nan_to_num(ranks), self.kept).astype(np.int64)
        codes[unseen] = fallback
        codes[absent] = self.missing_code if self.missing_code is not None else fallback
        out: np.ndarray = codes
        return out

    def decode(self, codes: np.ndarray, generator: torch.Generator) -> pl.Series:
        """The keys `(n,)` of int64 `codes` `(n,)`; null where the code is `value` or `missing`."""
        ranks = codes - self.first
        if self.pooled:
            drawn = np.flatnonzero(ranks >= self.kept)
            share = np.cumsum(np.asarray(self.counts[self.kept :], dtype=np.float64))
            u = torch.rand(len(drawn), dtype=torch.float64, generator=generator).numpy() * share[-1]
            ranks[drawn] = self.kept + np.minimum(np.searchsorted(share, u, side="right"), self.pooled - 1)
        index = pl.Series(np.maximum(ranks, 0), dtype=pl.Int64)
        index = index.zip_with(pl.Series(ranks >= 0), pl.Series([None], dtype=pl.Int64).new_from_index(0, len(index)))
        return self.names.gather(index)

    def labels(self) -> tuple[str, ...]:
        """What each code stands for, in words."""
        named = [str(name) for name in self.names[: self.kept].to_list()]
        ends = [f"{self.pooled} rarer levels"] if self.pooled else []
        return (*[_VALUE] * self.value, *[_MISSING] * self.missing, *named, *ends)

    def to_dict(self) -> dict[str, Any]:
        """JSON-able; `from_dict` inverts it."""
        return {
            "names": self.names.to_list(),
            "dtype": str(self.names.dtype),
            "counts": list(self.counts),
            "kept": self.kept,
            "value": self.value,
            "missing": self.missing,
        }

    @classmethod
    def from_dict(cls, d: Mapping[str, Any]) -> Levels:
        names = pl.Series("level", d["names"], dtype=getattr(pl, d["dtype"]))
        return cls(names, tuple(d["counts"]), d["kept"], d["value"], d["missing"])
