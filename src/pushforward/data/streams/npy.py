"""`.npy` files by spans of rows, mapped into memory anew for each, so that the last span's pages are given back."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import torch
from torch import Tensor

from ...errors import InputError
from .. import arrays
from ..dataset import Dataset, Kind
from ..provenance import made_by_of, read_sidecar
from .stream import CHUNK, CHUNK_BYTES, Stream, numbered
from .tables import TableForm, check_finite


def open_npy(file: Path, name: str, *, kind: Kind | None) -> Stream | None:
    """The array in spans; None for one that cannot be used as `kind`, which `sources.read` tells."""
    if file.stat().st_size == 0:
        return None
    array = _mapped(file)
    kind = kind or ("images" if array.ndim in (3, 4) else "points")
    fits = {"points": (1, 2), "table": (2,), "images": (3, 4)}[kind]
    if array.ndim not in fits or array.dtype.kind not in "fiub" or not array.size:
        return None
    rows, width = len(array), math.prod(array.shape[1:])
    step = max(1, min(CHUNK, CHUNK_BYTES // (8 * width)))
    found = [
        (f"{file}: rows {first + 1:,} on", name, min(step, rows - first), _reader(file, first, step))
        for first in range(0, rows, step)
    ]
    parts, rows = numbered(found, name)
    made_by = made_by_of(read_sidecar(file))
    empty, finish = _form(array, name, kind, (part.read for part in parts))
    empty = Dataset(kind, empty.values, name, "numpy", made_by, restore=empty.restore)
    return Stream(empty, parts, rows, file.stat().st_size, finish)


def _mapped(file: Path) -> np.ndarray:
    try:
        array: np.ndarray = np.load(file, mmap_mode="r", allow_pickle=False)
    except (ValueError, EOFError, OSError, MemoryError) as error:
        raise arrays.unreadable(file, error) from error
    return array


def _reader(file: Path, first: int, step: int) -> Callable[[], Iterator[Any]]:
    return lambda: iter([np.array(_mapped(file)[first : first + step])])


def _form(
    array: np.ndarray, name: str, kind: Kind, reads: Iterator[Callable[[], Iterator[Any]]]
) -> tuple[Dataset, Any]:
    """An empty `Dataset` with the chunks' form, and how a chunk is finished."""
    some = np.zeros_like(array[:1])  # the form is that of the values' types; the values themselves are checked later
    if kind == "images":
        _, restore = arrays.to_images(some, name, channels_first=False)
        restore["scale"] = _scale(array.dtype, name, reads)
        images = ImagesForm(restore["layout"], restore["scale"])
        return Dataset("images", images(some, name, 0)[:0], name, restore=restore), images
    if kind == "points":
        values, restore = arrays.to_points(some, name)
        return Dataset("points", values[:0], name, restore=restore), PointsForm()
    frame = _frame(some)[:0]
    return Dataset("table", frame, name, restore={"array": str(array.dtype)}), FrameForm(TableForm((), frame.width > 1))


def _frame(array: np.ndarray) -> pl.DataFrame:
    return pl.DataFrame({f"x{i}": array[:, i] for i in range(array.shape[1])})


def _scale(dtype: np.dtype[Any], name: str, reads: Iterator[Callable[[], Iterator[Any]]]) -> int:
    """255 for booleans and for floats none of which exceeds 1, else 1: `arrays.to_images`."""
    if dtype == np.uint8:
        return 1
    if dtype.kind == "b":
        return 255
    low, high, first = math.inf, -math.inf, 0
    for read in reads:
        for chunk in read():
            if not np.isfinite(chunk).all():
                row = first + int(np.flatnonzero(~np.isfinite(chunk).reshape(len(chunk), -1).all(1))[0])
                raise InputError(f"{name}: image {row + 1} holds NaN or infinite values; drop it")
            low, high = min(low, float(chunk.min())), max(high, float(chunk.max()))
            first += len(chunk)
    if low < 0 or high > 255:
        raise InputError(f"{name}: image values run from {low:g} to {high:g}; scale them to 0..1 or to 0..255")
    return 255 if dtype.kind == "f" and high <= 1 else 1


@dataclass(frozen=True)
class ImagesForm:
    """Arrays of one `layout` to uint8 `(n, c, h, w)`, values times `scale`."""

    layout: str
    scale: int

    def __call__(self, array: np.ndarray, file: str, row: int) -> Tensor:
        turned = {"hw": lambda x: x[:, None], "hwc": lambda x: x.transpose(0, 3, 1, 2), "chw": lambda x: x}
        values = turned[self.layout](array)
        if values.dtype == bool:
            values = values.astype(np.uint8) * 255
        elif values.dtype != np.uint8:
            values = np.rint(values * float(self.scale)).astype(np.uint8)
        return torch.from_numpy(np.array(values, order="C"))


@dataclass(frozen=True)
class PointsForm:
    """Arrays `(n,)` or `(n, d)` of numbers to points."""

    def __call__(self, array: np.ndarray, file: str, row: int) -> Tensor:
        if array.dtype.kind == "f":
            check_finite(array.reshape(len(array), -1), file, row)
        return arrays.to_points(array, file)[0]


@dataclass(frozen=True)
class FrameForm:
    """Arrays `(n, p)` to tables with the columns x0, x1, ..."""

    checked: TableForm

    def __call__(self, array: np.ndarray, file: str, row: int) -> pl.DataFrame:
        return self.checked(_frame(array), file, row)
