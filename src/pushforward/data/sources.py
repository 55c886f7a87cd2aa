"""Data from anywhere, and back: `read`, `write`, `to_container`, `check_alike`.

What is read as what, unless `kind` says otherwise:

- `.csv` `.tsv` `.parquet` and frames (polars, pandas, pyarrow) are tables, unless the file was written from points;
- arrays and `.npy` `.npz` of 1 or 2 dimensions are points, of 3 or 4 dimensions images: `(n, h, w)`, `(n, h, w, c)`
  or `(n, c, h, w)`, c = 1 or 3; where both fit, torch puts channels first and NumPy last. Image values are bytes, or
  numbers in 0..1 or 0..255. Of an `.npz` the array `images`, else `x`, else the only one is read;
- a folder (with its subfolders), a `.zip`, a `.tar` or a file of pictures is images;
- a folder or a glob (`part-*.parquet`) of Parquet or CSV shards is one table;
- `sample:NAME` and `toy:NAME[:n]` are built in (`builtin`, `toys`).

Rows are counted from 1 in messages, the header not counted.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from torch import Tensor

from ..errors import InputError
from . import arrays, frames, pictures
from .alike import check_alike
from .builtin import is_builtin, read_builtin
from .dataset import Container, Dataset, Kind
from .provenance import made_by_of
from .writing import to_container, write

__all__ = ["ENDINGS", "check_alike", "read", "to_container", "write"]

ENDINGS = (".csv", ".tsv", ".parquet", ".npy", ".npz", ".zip", *sorted(pictures.ENDINGS))
KINDS = ("points", "table", "images")


def read(
    source: Any,
    *,
    kind: Kind | None = None,
    name: str | None = None,
    columns: Mapping[str, str] | None = None,
) -> Dataset:
    """`source` as a checked `Dataset`; see the module's docstring for what is read as what.

    `columns` overrule the inferred types of a table's columns, `{"price": "continuous"}`. `name` is used in messages
    (the path by default). Raises `InputError` with one sentence for anything that cannot be used as it is.
    """
    if kind is not None and kind not in KINDS:
        raise InputError(f"unknown kind {kind!r}; known kinds: {', '.join(KINDS)}")
    if isinstance(source, Dataset):
        return source
    if isinstance(source, str) and is_builtin(source):
        data = read_builtin(source)
        if data.kind == "table":
            return _table(data.values, data.name, "polars", kind, columns)
        if kind not in (None, data.kind):
            raise InputError(f"{source}: is {data.kind} and cannot be read as {kind}; leave the kind out")
        return _no_columns(data, columns)
    if isinstance(source, str | Path):
        from .streams import only_in_parts, open_stream  # they read their parts by this module

        if only_in_parts(source):
            opened = open_stream(source, kind=kind, columns=columns, name=name)
            assert opened is not None
            return replace(opened.whole(), path=str(source))
        return replace(_read_path(Path(source), kind, name or str(source), columns), path=str(source))
    return _read_object(source, kind, name or "data", columns)


def _read_path(path: Path, kind: Kind | None, name: str, columns: Mapping[str, str] | None) -> Dataset:
    if not path.exists():
        raise InputError(f"{name}: no such file or folder; check the path")
    ending = path.suffix.lower()
    try:
        if path.is_dir():
            return _images(*_pictures_in(path), name, kind, columns)
        if ending == ".zip":
            return _images(*pictures.read_zip(path), name, kind, columns)
        if ending in pictures.ENDINGS:
            return _images(*pictures.read_one(path), name, kind, columns)
        if ending in (".csv", ".tsv"):
            frame, record = frames.read_csv(path, columns)
            return _table(frame, name, "polars", kind, columns, record)
        if ending == ".parquet":
            frame, record = frames.read_parquet(path)
            return _table(frame, name, "polars", kind, columns, record)
        if ending in (".npy", ".npz"):
            array, record = arrays.load_npy(path) if ending == ".npy" else arrays.load_npz(path)
            return _array(array, name, "numpy", kind, columns, record)
    except OSError as error:
        raise InputError(f"{name}: cannot be read ({error.strerror or error}); check that you may read it") from error
    raise InputError(f"{name}: the ending {ending or '(none)'!r} is not known; known: a folder, {', '.join(ENDINGS)}")


def _pictures_in(path: Path) -> tuple[Tensor, dict[str, Any] | None]:
    if (path / "model.json").exists():
        raise InputError(f"{path}: is the folder of a fitted model, not data; draw from it with `pushforward sample`")
    return pictures.read_folder(path)


def _read_object(source: Any, kind: Kind | None, name: str, columns: Mapping[str, str] | None) -> Dataset:
    package = type(source).__module__.partition(".")[0]
    if isinstance(source, Tensor):
        array = (
            source.detach().cpu().float() if source.dtype.is_floating_point and source.element_size() < 4 else source
        )
        return _array(array.detach().cpu().numpy(), name, "torch", kind, columns)
    if isinstance(source, np.ndarray):
        return _array(source, name, "numpy", kind, columns)
    if isinstance(source, pl.LazyFrame):
        source = source.collect()
    if isinstance(source, pl.DataFrame):
        return _table(source, name, "polars", kind, columns)
    if package == "pandas" and hasattr(source, "iloc") and hasattr(source, "columns"):
        frame, restore = frames.from_pandas(source, name)
        return _table(frame, name, "pandas", kind, columns, restore=restore)
    if package == "pyarrow" and hasattr(source, "schema") and hasattr(source, "num_rows"):
        frame, restore = frames.from_arrow(source, name)
        return _table(frame, name, "arrow", kind, columns, restore=restore)
    if isinstance(source, list | tuple):
        return _array(np.asarray(source), name, "numpy", kind, columns)
    raise InputError(
        f"{name}: cannot read a {type(source).__name__}; "
        "give a path, an array, a tensor, or a polars, pandas or pyarrow table"
    )


def _table(
    frame: pl.DataFrame,
    name: str,
    container: Container,
    kind: Kind | None,
    columns: Mapping[str, str] | None,
    record: Mapping[str, Any] | None = None,
    restore: Mapping[str, Any] | None = None,
) -> Dataset:
    if kind == "images":
        raise InputError(f"{name}: is a table and cannot be read as images; give a folder, a zip or an array")
    if kind == "points" or (kind is None and not columns and (record or {}).get("kind") == "points"):
        if not len(frame) or not frame.width:
            raise InputError(f"{name}: has no rows; give at least one row of data")
        values, names = arrays.points_from_frame(frame, name)
        return Dataset("points", values, name, container, made_by_of(record), restore=names)
    frame = frames.finish(frame, columns, name)
    return Dataset("table", frame, name, container, made_by_of(record), dict(columns) if columns else None, restore)


def _array(
    array: np.ndarray,
    name: str,
    container: Container,
    kind: Kind | None,
    columns: Mapping[str, str] | None,
    record: Mapping[str, Any] | None = None,
) -> Dataset:
    if array.dtype.kind not in "fiub":
        raise InputError(f"{name}: holds {array.dtype}, not numbers; convert it, or give a table")
    kind = kind or ("images" if array.ndim in (3, 4) else "points")
    if kind == "table":
        if array.ndim != 2:
            raise InputError(f"{name}: an array {array.shape} is no table; give it two dimensions")
        frame = pl.DataFrame({f"x{i}": array[:, i] for i in range(array.shape[1])})
        return _table(frame, name, container, kind, columns, record, {"array": str(array.dtype)})
    if kind == "points":
        values, restore = arrays.to_points(array, name)
    else:
        values, restore = arrays.to_images(array, name, channels_first=container == "torch")
    return _no_columns(Dataset(kind, values, name, container, made_by_of(record), restore=restore), columns)


def _images(
    values: Tensor,
    record: Mapping[str, Any] | None,
    name: str,
    kind: Kind | None,
    columns: Mapping[str, str] | None,
) -> Dataset:
    if kind not in (None, "images"):
        raise InputError(f"{name}: holds images and cannot be read as {kind}; leave the kind out")
    return _no_columns(Dataset("images", values, name, "numpy", made_by_of(record)), columns)


def _no_columns(dataset: Dataset, columns: Mapping[str, str] | None) -> Dataset:
    if columns:
        raise InputError(
            f"{dataset.name}: is {dataset.kind}, which have no columns to type; leave the column types out"
        )
    return dataset
