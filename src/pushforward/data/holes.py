"""Rows of which some cells are missing, as what they hold and where they hold nothing: `read_holes`.

    table     null or NaN in a cell
    points    NaN in an array, a NumPy masked array, or a pair (array, mask)
    images    the same; a pixel is missing where any of its channels is

A mask is true where a value is missing, as in `numpy.ma`; of images it may be `(n, h, w)`, or `(h, w)` for all of them.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import torch
from torch import Tensor

from ..errors import InputError
from . import arrays
from .alike import check_alike
from .codec import Codec
from .columns import NUMERIC
from .dataset import Dataset
from .images import ImageCodec
from .points import PointsCodec
from .sources import read
from .tables import TableCodec

_TEXT = (pl.String, pl.Categorical, pl.Enum)


@dataclass(frozen=True, eq=False)
class Holes:
    """rows: what there is, in the codec's form, with anything in the holes. seen: `(n, units)`, 1 where a unit (column,
    coordinate, pixel; see `masks`) is known, and so can be conditioned on. given: the rows as the user brought them."""

    rows: Dataset
    seen: Tensor
    given: Dataset
    missing: Any  # a frame of booleans, or a boolean tensor of the values' shape

    def __len__(self) -> int:
        return len(self.rows)

    def filled(self, made: Dataset) -> Dataset:
        """The given rows with their holes, and nothing else, taken from the rows `made`, in the user's own types."""
        if self.rows.kind != "table":
            values = torch.where(self.missing, made.values.to(self.given.values.dtype), self.given.values)
            return replace(self.given, values=values, path=None)
        columns = [
            _merged(column, self.rows.values[column.name], made.values[column.name], self.missing[column.name])
            for column in self.given.values.get_columns()
        ]
        return replace(self.given, values=pl.DataFrame(columns), path=None)


def units(codec: TableCodec) -> list[str]:
    """The columns of a table that have places in a row: the units of its masks."""
    return [f.column.name for f in codec.fields if f.marginal is not None or f.has_codes]


def read_holes(source: Any, codec: Codec) -> Holes:
    """`source` as `Holes` for a model whose data `codec` encodes; `InputError` for rows unlike those it was fitted on,
    for a column that training never saw a value of, and where nothing is missing."""
    if isinstance(codec, TableCodec):
        found = _table(source, codec)
    else:
        assert isinstance(codec, PointsCodec | ImageCodec)
        found = _numbers(source, codec)
    empty = not found.missing.to_numpy().any() if isinstance(found.missing, pl.DataFrame) else not found.missing.any()
    if empty:
        raise InputError(
            f"{found.given.name}: no cell is missing, so there is nothing to fill; leave cells empty (null or NaN) "
            "where values are wanted"
        )
    return found


# ---- tables


def _table(source: Any, codec: TableCodec) -> Holes:
    given = read(source, kind="table", name=None if isinstance(source, str | Path) else "rows")
    like = check_alike(_example(codec), given)
    frame: pl.DataFrame = like.values
    missing = frame.select(
        (pl.col(name).is_null() | pl.col(name).is_nan() if dtype.is_float() else pl.col(name).is_null()).alias(name)
        for name, dtype in frame.schema.items()
    )
    for f in codec.fields:
        if f.column.kind == "empty" and missing[f.column.name].any():
            raise InputError(
                f"{given.name}: column {f.column.name!r} had no value in training, so nothing is known to fill it "
                "with; fit and fill without that column"
            )
    known, _, names = codec.features(like)
    seen = []
    for name in units(codec):
        f, place = next(f for f in codec.fields if f.column.name == name), names.index(name)
        told = ~missing[name].to_numpy()
        if f.column.kind not in NUMERIC and f.levels is not None:  # of a level never met nothing was learned
            told = told & (known[:, place] < len(f.levels.names))
        seen.append(torch.from_numpy(told))
    return Holes(like, torch.stack(seen, 1).float(), given, missing)


def _example(codec: TableCodec) -> Dataset:
    """One row of the training data's columns and types, with a value wherever its column has one."""
    k = codec.n_numeric
    codes = [0 if f.levels.value else f.levels.first for f in codec.fields if f.has_codes and f.levels is not None]
    row = torch.tensor([[0.0] * k + [float(code) for code in codes]])
    example = replace(codec, coordinates=None).decode(codec.expand(row))
    return replace(example, name=f"the training data ({codec.name})")


def _merged(given: pl.Series, like: pl.Series, made: pl.Series, missing: pl.Series) -> pl.Series:
    """`given` with what is `missing` from `made`: in the user's own type where that can hold it, else in `like`'s."""
    for base in (given, like, like.cast(pl.String) if like.dtype in _TEXT else like):
        if base.dtype == pl.Null or (base.dtype in _TEXT) != (made.dtype in _TEXT):
            continue
        try:
            filling = made.cast(base.dtype)
        except pl.exceptions.PolarsError:
            continue
        frame = pl.DataFrame({"base": base, "made": filling, "missing": missing})
        return frame.select(pl.when("missing").then("made").otherwise("base").alias(given.name)).to_series()
    if missing.all():
        return made.alias(given.name)
    raise InputError(f"column {given.name!r} holds {given.dtype} where training had {made.dtype}; give it that type")


# ---- points and images


def _numbers(source: Any, codec: PointsCodec | ImageCodec) -> Holes:
    name = str(source) if isinstance(source, str | Path) else source.name if isinstance(source, Dataset) else "rows"
    array, missing, container, columns = _array(source, name)
    if array.dtype.kind == "f":
        missing = missing | np.isnan(array)
    plain = np.where(missing, np.zeros((), array.dtype), array)
    if codec.kind == "points":
        plain = plain.reshape(len(plain), -1)
        if plain.shape[1] != codec.event_shape[0]:
            raise InputError(
                f"{name}: has {plain.shape[1]} coordinates and the model's data {codec.event_shape[0]}; give it as many"
            )
        rows = read(plain, kind="points", name=name)
        restore = {"names": columns} if columns else {"ndim": array.ndim, "dtype": str(array.dtype)}
        rows = replace(rows, container=container, restore=restore)
        holes = torch.from_numpy(missing.reshape(len(plain), -1))
        return Holes(rows, (~holes).float(), rows, holes)
    rows = read(torch.from_numpy(plain) if container == "torch" else plain, kind="images", name=name)
    if tuple(rows.values.shape[1:]) != codec.event_shape:
        raise InputError(
            f"{name}: images of {tuple(rows.values.shape[1:])} (channels, height, width), and the model's are "
            f"{codec.event_shape}; bring them to that size"
        )
    laid = _laid_out(missing, dict(rows.restore or {}).get("layout", "hw"), rows.values.shape)
    return Holes(rows, (~laid.any(1)).flatten(1).float(), rows, laid)


def _array(source: Any, name: str) -> tuple[np.ndarray, np.ndarray, Any, list[str] | None]:
    """(values, where they are said to be missing, container, names of a frame's columns)."""
    if isinstance(source, tuple) and len(source) == 2:
        array, _, container, columns = _array(source[0], name)
        mask = np.asarray(source[1].cpu() if isinstance(source[1], Tensor) else source[1]).astype(bool)
        return array, _spread(mask, array, name), container, columns
    if isinstance(source, Dataset):
        source = source.values
    if isinstance(source, np.ma.MaskedArray):
        return np.ma.getdata(source), np.ma.getmaskarray(source), "numpy", None
    if isinstance(source, str | Path) and Path(source).suffix.lower() in (".npy", ".npz"):
        load = arrays.load_npy if Path(source).suffix.lower() == ".npy" else arrays.load_npz
        source = load(Path(source))[0]
    if isinstance(source, Tensor):
        array = source.detach().cpu().numpy()
        return array, np.zeros(array.shape, dtype=bool), "torch", None
    if isinstance(source, np.ndarray | list):
        array = np.asarray(source)
        return array, np.zeros(array.shape, dtype=bool), "numpy", None
    table = read(source, kind="table")
    text = [column for column in table.values.columns if not table.values[column].dtype.is_numeric()]
    if text:
        raise InputError(
            f"{name}: column {text[0]!r} does not hold numbers, as the model's data do; drop or convert it"
        )
    array = table.values.select(pl.all().cast(pl.Float64).fill_null(float("nan"))).to_numpy()
    return array, np.zeros(array.shape, dtype=bool), table.container, table.values.columns


def _spread(mask: np.ndarray, array: np.ndarray, name: str) -> np.ndarray:
    """The mask of pixels or cells, `(n, ...)` or one for all rows, in the array's shape."""
    one = mask
    if array.ndim == 4 and mask.ndim < 4:  # of pixels: for every channel
        last = array.shape[3 - mask.ndim : 3] == mask.shape
        one = mask[..., None] if last else np.expand_dims(mask, -3)
    try:
        if np.broadcast_shapes(one.shape, array.shape) == array.shape:
            return np.array(np.broadcast_to(one, array.shape))
    except ValueError:
        pass
    raise InputError(f"{name}: the mask {mask.shape} does not fit the values {array.shape}; give one of that shape")


def _laid_out(missing: np.ndarray, layout: str, shape: torch.Size) -> Tensor:
    """Where images `(n, c, h, w)` hold nothing, from a mask in the user's layout."""
    turned = missing[:, None] if layout == "hw" else missing.transpose(0, 3, 1, 2) if layout == "hwc" else missing
    return torch.from_numpy(np.array(np.broadcast_to(turned, tuple(shape)), order="C"))
