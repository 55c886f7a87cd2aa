"""One row out of several drawn for it: means of numbers, most frequent levels of categories."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import polars as pl
import torch
from torch import Tensor

from ..data.dataset import Dataset


def point_of(drawn: Sequence[Dataset]) -> Dataset:
    """The cell-by-cell mean of numbers, dates and pixels, and the most frequent level of text and booleans (of levels
    equally frequent the one drawn first), of data sets of the same n rows."""
    values = [one.values for one in drawn]
    if isinstance(values[0], Tensor):
        mean = torch.stack([one.double() for one in values]).mean(0)
        whole = not values[0].is_floating_point()
        return replace(drawn[0], values=(mean.round() if whole else mean).to(values[0].dtype))
    columns = [_column([one[name] for one in values]) for name in values[0].columns]
    return replace(drawn[0], values=pl.DataFrame(columns))


def _column(drawn: list[pl.Series]) -> pl.Series:
    first = drawn[0]
    dtype = first.dtype
    if dtype == pl.Null:
        return first
    if dtype.is_numeric() or dtype.is_temporal():
        numbers = [one.to_physical() if dtype.is_temporal() else one for one in drawn]
        if dtype.is_unsigned_integer():  # a difference may be negative
            numbers = [one.cast(pl.Float64 if dtype == pl.UInt64 else pl.Int64) for one in numbers]
        # relative to the first draw, so that moments in nanoseconds keep their precision
        base = numbers[0]
        means = pl.DataFrame({str(i): (one - base).cast(pl.Float64) for i, one in enumerate(numbers)}).mean_horizontal()
        if dtype.is_float() or dtype.is_decimal():
            return (base.cast(pl.Float64) + means).cast(dtype).alias(first.name)
        mean = base + means.round().cast(base.dtype)
        return mean.cast(first.to_physical().dtype).cast(dtype).alias(first.name)
    if dtype in (pl.Categorical, pl.Enum):
        return _column([one.cast(pl.String) for one in drawn]).cast(dtype)
    _, codes = np.unique(
        np.concatenate([one.cast(pl.String).fill_null("\0").to_numpy() for one in drawn]), return_inverse=True
    )
    votes = codes.reshape(len(drawn), -1)
    agree = np.stack([(votes == one).sum(0) for one in votes])
    best = agree.argmax(0)
    places = pl.Series(best * len(first) + np.arange(len(first)))
    return pl.concat([one.rechunk() for one in drawn]).gather(places).alias(first.name)
