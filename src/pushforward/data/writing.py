"""Datasets to files, with how they were made, and back to the kind of object the user brought."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO, Any

import numpy as np
import polars as pl
import torch

from ..errors import InputError
from ..files import atomic_file, atomic_folder
from . import arrays, frames, pictures
from .dataset import Dataset
from .provenance import KEY, dump, make_record, sidecar, write_sidecar

_BY_KIND = {
    "table": (".csv", ".tsv", ".parquet"),
    "points": (".npy", ".npz", ".csv", ".tsv", ".parquet"),
    "images": ("a folder", ".zip", ".npz", ".npy", ".png (one sheet)"),
}
_BESIDE = (".csv", ".tsv", ".npy")  # these have no room for the record


def write(
    dataset: Dataset,
    path: str | Path,
    *,
    made_by: Mapping[str, Any] | None,
    force: bool = False,
    synthetic: bool = True,
) -> None:
    """Write `dataset` to `path`, by its ending (images: a folder where there is none), with the record `made_by`.

    The write is atomic. Raises `InputError` where `path` exists and not `force`, where the ending does not fit the kind
    of data, and where it cannot be written (the old file is then untouched). `provenance` says where the record goes.
    """
    path = Path(path)
    ending = path.suffix.lower()
    record = make_record(made_by, kind=dataset.kind, synthetic=synthetic)
    writer = _writer(dataset, ending, dump(record), path)
    beside = sidecar(path) if ending in _BESIDE else None
    for target in (path, beside):
        if target is not None and target.exists() and not force:
            raise InputError(
                f"{target}: already exists; give --force (force=True) to replace it, or choose another name"
            )
    if writer is None:
        _write_folder(dataset, path, dump(record))
        return
    if path.is_dir():
        raise InputError(f"{path}: is a folder; give the name of a file to write")
    content = io.BytesIO()  # made whole first, so that a full disk is met by our own write and told as such
    writer(content)
    with atomic_file(path) as temporary:
        temporary.write_bytes(content.getbuffer())
    if beside is not None:
        write_sidecar(path, record)


def _writer(dataset: Dataset, ending: str, record: str, path: Path) -> Callable[[IO[bytes]], None] | None:
    """What writes the dataset into an open file; None for a folder of pictures."""
    match dataset.kind, ending:
        case (("table" | "points"), (".csv" | ".tsv")):
            separator = "," if ending == ".csv" else "\t"
            return lambda file: _as_text(_frame(dataset)).write_csv(file, separator=separator)
        case (("table" | "points"), ".parquet"):
            return lambda file: _frame(dataset).write_parquet(file, metadata={KEY: record})
        case (("points" | "images"), ".npy"):
            return lambda file: np.save(file, _array(dataset), allow_pickle=False)
        case (("points" | "images"), ".npz"):
            key = "images" if dataset.kind == "images" else "x"
            named: dict[str, Any] = {key: _array(dataset), KEY: np.array(record)}
            return lambda file: np.savez_compressed(file, **named)
        case "images", ".zip":
            return lambda file: _write_zip(dataset, file, record)
        case "images", ".png":
            page = pictures.sheet(dataset.values)
            return lambda file: _all(file, pictures.png(page, record))
        case "images", "":
            return None
    fit = ", ".join(_BY_KIND[dataset.kind])
    raise InputError(f"{path}: the ending {ending or '(none)'!r} does not fit {dataset.kind}; use {fit}")


def to_container(dataset: Dataset) -> Any:
    """The values as the user brought them: an array, a tensor, or a polars, pandas or pyarrow table."""
    restore = dataset.restore or {}
    if dataset.kind == "table" and "array" in restore:
        array = dataset.values.to_numpy().astype(restore["array"])
        return torch.from_numpy(array) if dataset.container == "torch" else array
    if dataset.kind == "table" or (dataset.kind == "points" and dataset.container in ("polars", "pandas", "arrow")):
        frame = _frame(dataset)
        if dataset.container == "pandas":
            return frames.to_pandas(frame, restore)
        return frames.to_arrow(frame, restore) if dataset.container == "arrow" else frame
    array = _array(dataset)
    return torch.from_numpy(np.ascontiguousarray(array)) if dataset.container == "torch" else array


def _array(dataset: Dataset) -> np.ndarray:
    make = arrays.from_points if dataset.kind == "points" else arrays.from_images
    return make(dataset.values, dataset.restore)


def _frame(dataset: Dataset) -> pl.DataFrame:
    if dataset.kind == "table":
        frame: pl.DataFrame = dataset.values
        return frame
    array = arrays.from_points(dataset.values, dataset.restore)
    array = array[:, None] if array.ndim == 1 else array
    names = (dataset.restore or {}).get("names") or [f"x{i}" for i in range(array.shape[1])]
    return pl.DataFrame({name: array[:, i] for i, name in enumerate(names)})


def _as_text(frame: pl.DataFrame) -> pl.DataFrame:
    """Times in ISO 8601, without fractions of a second where none has any; durations in seconds."""
    return frame.with_columns([_iso(c) for c in frame.get_columns() if c.dtype.is_temporal() and c.dtype != pl.Date])


def _iso(column: pl.Series) -> pl.Series:
    if column.dtype == pl.Duration:
        return column.dt.total_microseconds() / 1e6
    fraction = bool((column.dt.nanosecond() != 0).any())
    if column.dtype == pl.Time:
        return column.dt.to_string("%H:%M:%S%.f" if fraction else "%H:%M:%S")
    zone = getattr(column.dtype, "time_zone", None)
    mark = "" if zone is None else "Z" if zone == "UTC" else "%:z"
    return column.dt.to_string(f"%Y-%m-%dT%H:%M:%S{'%.f' if fraction else ''}{mark}")


def _write_zip(dataset: Dataset, file: IO[bytes], record: str) -> None:
    with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:  # PNGs are compressed already
        for name, content in _pngs(dataset, record):
            archive.writestr(zipfile.ZipInfo(name), content)  # a fixed date: the same images give the same bytes


def _write_folder(dataset: Dataset, path: Path, record: str) -> None:
    if path.exists() and (not path.is_dir() or any(f.suffix.lower() not in pictures.ENDINGS for f in path.iterdir())):
        raise InputError(f"{path}: holds more than images, so it is not replaced; choose another folder")
    with atomic_folder(path) as temporary:
        for name, content in _pngs(dataset, record):
            (temporary / name).write_bytes(content)


def _pngs(dataset: Dataset, record: str) -> Any:
    values = dataset.values.cpu().numpy()
    digits = max(6, len(str(len(values))))
    return ((f"{i:0{digits}d}.png", pictures.png(pixels, record)) for i, pixels in enumerate(values))


def _all(file: IO[bytes], content: bytes) -> None:
    file.write(content)
