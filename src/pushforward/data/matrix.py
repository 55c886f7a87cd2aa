"""`Matrix`: any data as float64 rows `(n, k)` that a classifier can be trained on.

- points: the coordinates as they are;
- tables: a column each. Numbers, dates and times as numbers (in their stored unit), true and false as 1 and 0,
  categories as codes 0, 1, ... by falling frequency among the rows fitted on (unseen levels share the next code), NaN
  where a value is missing;
- images: pixels on a scale where white is 1, averaged over areas to at most 256 values, and three figures of the whole
  picture at full size: contrast, and the mean absolute step to the next pixel, across and down.

The coding is fitted on rows that a classifier is later neither trained nor judged on, so it gives nothing away.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
import torch
from numpy.typing import NDArray

from ..errors import InputError
from .columns import as_float, kind_of
from .dataset import Dataset, Kind

Array = NDArray[np.float64]
VALUES = 256  # of a picture
_CHUNK = 2048  # pictures at a time


@dataclass(frozen=True, eq=False)
class Matrix:
    """The map from data of one `kind` and form to rows. `names` `(k,)` say what each column is.

    `levels`: for a table, its columns in order, each with the levels of a category, or None; `dtypes` alike.
    """

    kind: Kind
    names: tuple[str, ...]
    shape: tuple[int, ...] = ()
    levels: tuple[pl.Series | None, ...] = ()
    dtypes: tuple[pl.DataType, ...] = ()

    @classmethod
    def fit(cls, dataset: Dataset) -> Matrix:
        """Take the form, and the levels of categories, from the rows `dataset`."""
        if dataset.kind == "points":
            shape = tuple(dataset.values.shape[1:])
            return cls("points", tuple(f"x{j + 1}" for j in range(shape[0])), shape)
        if dataset.kind == "images":
            shape = tuple(dataset.values.shape[1:])
            pixels = shape[0] * int(np.prod(_small(shape)))
            return cls("images", (*(f"pixel {j + 1}" for j in range(pixels)), "contrast", "across", "down"), shape)
        frame, chosen = dataset.values, dict(dataset.columns or {})
        levels = tuple(_levels(frame[name], chosen.get(name)) for name in frame.columns)
        return cls("table", tuple(frame.columns), levels=levels, dtypes=tuple(frame.dtypes))

    @property
    def categorical(self) -> tuple[int, ...]:
        """The positions of columns that hold codes."""
        return tuple(j for j, levels in enumerate(self.levels) if levels is not None)

    def __call__(self, dataset: Dataset) -> Array:
        """The rows `(n, k)` of `dataset`; `InputError` where it has another form than the rows fitted on."""
        if dataset.kind != self.kind:
            raise InputError(f"{dataset.name} is {dataset.kind}, not {self.kind}; give data of one kind")
        if self.kind == "table":
            return self._table(dataset)
        if tuple(dataset.values.shape[1:]) != self.shape:
            raise InputError(
                f"{dataset.name}: rows have the shape {tuple(dataset.values.shape[1:])}, not {self.shape}; "
                "bring them to one form"
            )
        if self.kind == "points":
            rows: Array = dataset.values.detach().cpu().double().numpy()
            return rows
        return np.concatenate([_pictures(part, _small(self.shape)) for part in dataset.values.split(_CHUNK)])

    def _table(self, dataset: Dataset) -> Array:
        frame = dataset.values
        lacking = [name for name in self.names if name not in frame.columns]
        if lacking:
            raise InputError(f"{dataset.name} lacks the column {lacking[0]!r}; give all that were fitted on")
        columns = [
            _numbers(frame[name], dtype, dataset.name) if levels is None else _codes(frame[name], levels)
            for name, levels, dtype in zip(self.names, self.levels, self.dtypes, strict=True)
        ]
        return np.stack(columns, axis=1)


def _levels(values: pl.Series, chosen: str | None) -> pl.Series | None:
    """The levels by falling frequency, ties by name; None for a column of numbers."""
    if chosen != "categorical" and kind_of(values) != "categorical" and values.dtype != pl.Null:
        return None
    counted = values.cast(pl.String).drop_nulls().alias("level").value_counts()
    return counted.sort(["count", "level"], descending=[True, False])["level"]


def _codes(values: pl.Series, levels: pl.Series) -> Array:
    text, known = values.cast(pl.String), np.arange(len(levels), dtype=np.float64)
    if not len(levels):
        codes = pl.Series([0.0]).new_from_index(0, len(values))
    else:
        codes = text.replace_strict(levels, pl.Series(known), default=float(len(levels)), return_dtype=pl.Float64)
    found: Array = np.where(text.is_null().to_numpy(), np.nan, codes.to_numpy())
    return found


def _numbers(values: pl.Series, dtype: pl.DataType, name: str) -> Array:
    if not (values.dtype.is_numeric() or values.dtype.is_temporal() or values.dtype in (pl.Boolean, pl.Null)):
        raise InputError(f"{name}: column {values.name!r} holds {values.dtype} where {dtype} was fitted on; convert it")
    if dtype.is_temporal() and values.dtype != dtype:
        values = values.cast(dtype)  # one unit
    found: Array = as_float(values)
    return found


def _small(shape: tuple[int, ...]) -> tuple[int, int]:
    """The height and width that pictures of `shape` (c, h, w) are averaged to."""
    channels, height, width = shape
    ratio = min(1.0, (VALUES / (channels * height * width)) ** 0.5)
    narrow = max(1, min(int(width * ratio), VALUES // channels))
    return max(1, min(int(height * ratio), VALUES // (channels * narrow))), narrow


def _pictures(values: torch.Tensor, size: tuple[int, int]) -> Array:
    x: Any = values.detach().cpu().float() / 255
    small = torch.nn.functional.adaptive_avg_pool2d(x, size) if size != tuple(x.shape[2:]) else x
    steps = [x.diff(dim=axis).abs().mean((1, 2, 3)).nan_to_num() for axis in (3, 2)]  # none in a picture 1 pixel wide
    figures = torch.stack([x.flatten(1).std(1, correction=0), *steps], 1)
    rows: Array = torch.cat([small.flatten(1), figures], 1).double().numpy()
    return rows
