"""Points and images from arrays: NumPy, torch, `.npy`, `.npz`, and back."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import torch
from torch import Tensor

from ..errors import InputError
from .provenance import KEY, parse, read_sidecar

MAX_BYTES = 8 << 30  # of what an archive unpacks to


def load_npy(path: Path) -> tuple[np.ndarray, dict[str, Any] | None]:
    """The array of an `.npy` file and its provenance record. Pickled objects are refused."""
    if path.stat().st_size == 0:
        raise InputError(f"{path}: the file is empty; save the array again")
    try:
        array = np.array(np.load(path, mmap_mode="r", allow_pickle=False))
    except (ValueError, EOFError, OSError, MemoryError) as error:
        raise unreadable(path, error) from error
    return array, read_sidecar(path)


def load_npz(path: Path) -> tuple[np.ndarray, dict[str, Any] | None]:
    """One array of an `.npz` file and its provenance record: the one named `images`, else `x`, else the only one."""
    if path.stat().st_size == 0:
        raise InputError(f"{path}: the file is empty; save the array again")
    try:
        with zipfile.ZipFile(path) as archive:
            size = sum(member.file_size for member in archive.infolist())
        if size > MAX_BYTES:
            raise InputError(
                f"{path}: unpacks to {size / 2**30:.0f} GiB, more than 8; save it as .npy or take fewer rows"
            )
        with np.load(path, allow_pickle=False) as arrays:
            names = [name for name in arrays.files if name != KEY]
            key = next((name for name in ("images", "x") if name in names), names[0] if len(names) == 1 else None)
            if key is None:
                what = f"holds the arrays {', '.join(names)}" if names else "holds no array"
                raise InputError(f"{path}: {what}; name the one to read 'images' or 'x'")
            record = parse(str(arrays[KEY])) if KEY in arrays.files else None
            return arrays[key], record
    except (ValueError, EOFError, OSError, MemoryError, zipfile.BadZipFile, NotImplementedError) as error:
        if isinstance(error, InputError):
            raise
        raise unreadable(path, error) from error


def unreadable(path: Path, error: Exception) -> InputError:
    if any(word in str(error) for word in ("pickle", "Object arrays", "Python objects")):
        return InputError(
            f"{path}: holds pickled Python objects, which can run code and are refused; save plain numbers"
        )
    return InputError(f"{path}: is not a whole NumPy file ({str(error).splitlines()[0]}); save it again")


def to_points(array: np.ndarray, name: str) -> tuple[Tensor, dict[str, Any]]:
    """Points `(n, d)` of an array `(n,)` or `(n, d)`; integers become float64 and are restored by rounding."""
    if array.ndim not in (1, 2) or array.dtype.kind not in "fiub":
        raise InputError(f"{name}: points must be numbers (n, d), not {array.dtype} {array.shape}; reshape them")
    _check_rows(array, name)
    restore = {"ndim": array.ndim, "dtype": str(array.dtype)}
    values = array.reshape(len(array), -1)
    if values.dtype.kind != "f" or values.dtype.itemsize not in (4, 8):
        values = values.astype(np.float32 if values.dtype == np.float16 else np.float64)
    wrong = ~np.isfinite(values)
    if wrong.any():
        row = int(np.flatnonzero(wrong.any(1))[0])
        column = int(np.flatnonzero(wrong[row])[0])
        if np.isnan(values[row]).all():
            raise InputError(f"{name}: row {row + 1} is NaN throughout; drop such rows")
        what = "NaN" if np.isnan(values[row, column]) else "infinite"
        remedy = " or read it as a table, which models missing values" if what == "NaN" else " or clip it"
        raise InputError(f"{name}: row {row + 1}, column {column + 1} is {what}; drop it{remedy}")
    return torch.from_numpy(np.ascontiguousarray(values.astype(values.dtype.newbyteorder("="), copy=False))), restore


def to_images(array: np.ndarray, name: str, *, channels_first: bool) -> tuple[Tensor, dict[str, Any]]:
    """Images uint8 `(n, c, h, w)` of an array `(n, h, w)`, `(n, h, w, c)` or `(n, c, h, w)`, c = 1 or 3.

    Where both orders are possible, `channels_first` decides. Bytes are as they are; other numbers lie in 0..1
    (scaled by 255) or, where any exceeds 1, in 0..255.
    """
    if array.ndim not in (3, 4) or array.dtype.kind not in "fiub":
        raise InputError(f"{name}: images must be numbers (n, h, w) or (n, h, w, c), not {array.dtype} {array.shape}")
    _check_rows(array, name)
    layout = "hw"
    if array.ndim == 4:
        fits = [order for order, axis in (("chw", 1), ("hwc", 3)) if array.shape[axis] in (1, 3)]
        if not fits:
            raise InputError(f"{name}: images {array.shape} have neither 1 nor 3 channels; make them grey or RGB")
        layout = fits[0] if len(fits) == 1 else ("chw" if channels_first else "hwc")
    values = array[:, None] if layout == "hw" else array.transpose(0, 3, 1, 2) if layout == "hwc" else array
    scale = 1
    if array.dtype == bool:
        values, scale = values.astype(np.uint8) * 255, 255
    elif array.dtype != np.uint8:
        if not np.isfinite(values).all():
            row = int(np.flatnonzero(~np.isfinite(values).reshape(len(values), -1).all(1))[0])
            raise InputError(f"{name}: image {row + 1} holds NaN or infinite values; drop it")
        low, high = float(values.min()), float(values.max())
        if low < 0 or high > 255:
            raise InputError(f"{name}: image values run from {low:g} to {high:g}; scale them to 0..1 or to 0..255")
        scale = 255 if array.dtype.kind == "f" and high <= 1 else 1
        values = np.rint(values * float(scale)).astype(np.uint8)
    restore = {"layout": layout, "dtype": str(array.dtype), "scale": scale}
    return torch.from_numpy(np.array(values, order="C")), restore


def points_from_frame(frame: pl.DataFrame, name: str) -> tuple[Tensor, dict[str, Any]]:
    """Points of a table of numbers; a text column is refused by name."""
    for column in frame.get_columns():
        if not (column.dtype.is_numeric() or column.dtype == pl.Boolean):
            example = column.drop_nulls().head(1).to_list()
            shown = f" ({example[0]!r})" if example else ""
            raise InputError(
                f"{name}: column {column.name!r} holds {column.dtype}{shown}, not numbers; read it as a table"
            )
    single = all(dtype == pl.Float32 for dtype in frame.dtypes)
    array = frame.select(pl.all().cast(pl.Float32 if single else pl.Float64).fill_null(float("nan"))).to_numpy()
    values, _ = to_points(array, name)
    return values, {"names": frame.columns}


def from_points(values: Tensor, restore: Mapping[str, Any] | None) -> np.ndarray:
    """The array that `to_points` took, for new values."""
    array = values.detach().cpu().numpy()
    if not restore or "dtype" not in restore:
        return array
    if restore["ndim"] == 1:
        array = array[:, 0]
    dtype = np.dtype(restore["dtype"])
    if dtype.kind in "iu":
        bounds = np.iinfo(dtype)
        array = np.rint(array).clip(bounds.min, bounds.max)
    return (array > 0.5) if dtype.kind == "b" else array.astype(dtype)


def from_images(values: Tensor, restore: Mapping[str, Any] | None) -> np.ndarray:
    """The array that `to_images` took, for new values; without `restore`, `(n, h, w)` grey or `(n, h, w, 3)` bytes."""
    array = values.detach().cpu().numpy()
    layout = (restore or {}).get("layout") or ("hw" if array.shape[1] == 1 else "hwc")
    array = array[:, 0] if layout == "hw" else array.transpose(0, 2, 3, 1) if layout == "hwc" else array
    dtype, scale = np.dtype((restore or {}).get("dtype", "uint8")), (restore or {}).get("scale", 1)
    if dtype.kind == "b":
        return array > 127
    return np.ascontiguousarray((array / scale).astype(dtype) if scale != 1 else array.astype(dtype))


def _check_rows(array: np.ndarray, name: str) -> None:
    if not array.size:
        raise InputError(f"{name}: the array {array.shape} is empty; give at least one row")
