"""Datasets to files, with how they were made, and back to the kind of object the user brought.

What is given with the rows (`Dataset.given`) goes where `--given` finds it again: labels of images into folders, one
for each class, and into an `.npz` as its array `labels`; vectors into an `.npz` as `given`; anything else into a file
beside, FILE.given.csv or FILE.given.npy, row by row.
"""

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
_SUFFIX = {"table": ".csv", "points": ".npy"}  # of what is given, in a file of its own
_NOT_IN_NAMES = set('/\\:*?"<>|\0\n\r\t')  # of a folder, on any system
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
    apart = _apart(dataset, ending)
    conditions = None if apart is None else _conditions(path, apart.kind)
    for target in (path, beside, conditions):
        if target is not None and target.exists() and not force:
            raise InputError(
                f"{target}: already exists; give --force (force=True) to replace it, or choose another name"
            )
    if apart is not None and conditions is not None:
        write(apart, conditions, made_by=made_by, force=force, synthetic=synthetic)
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


def conditions_beside(path: Path) -> Path | None:
    """The file of what is given with the rows of `path`, where one was written."""
    return next((found for kind in _SUFFIX if (found := _conditions(path, kind)).is_file()), None)


def _conditions(path: Path, kind: str) -> Path:
    return path.with_name(f"{path.name}.given{_SUFFIX[kind]}")


def classes(dataset: Dataset) -> list[str] | None:
    """The class of each row, where what is given is one column of categories; else None."""
    given = dataset.given
    if given is None or given.kind != "table" or len(given.values.columns) != 1 or not len(dataset):
        return None
    column = given.values.to_series()
    numbers = column.dtype.is_float() or column.dtype.is_temporal() or column.dtype.is_nested()
    return None if numbers or column.null_count() else column.cast(pl.String).to_list()


def _folders(dataset: Dataset) -> list[str] | None:
    """Names of folders for the classes of images; None where there are none, or where one cannot name a folder."""
    names = classes(dataset)
    if names is None or any(not name or name[0] in ". " or set(name) & _NOT_IN_NAMES for name in set(names)):
        return None
    return names


def _apart(dataset: Dataset, ending: str) -> Dataset | None:
    """What is given with the rows, where the file itself has no place for it."""
    given = dataset.given
    if given is None or not len(dataset):
        return None
    if ending == ".npz":
        return None if classes(dataset) is not None or given.kind == "points" else given
    return None if dataset.kind == "images" and ending in ("", ".zip") and _folders(dataset) is not None else given


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
            named: dict[str, Any] = {key: _array(dataset), KEY: np.array(record)} | _arrays_given(dataset)
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


def _arrays_given(dataset: Dataset) -> dict[str, np.ndarray]:
    """What is given, as arrays of an .npz: whole numbers or text, or vectors."""
    if (names := classes(dataset)) is not None and dataset.given is not None:
        column = dataset.given.values.to_series()
        return {"labels": column.to_numpy() if column.dtype.is_integer() else np.array(names)}
    return {"given": _array(dataset.given)} if dataset.given is not None and dataset.given.kind == "points" else {}


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
    if path.exists() and (
        not path.is_dir() or any(f.is_file() and f.suffix.lower() not in pictures.ENDINGS for f in path.rglob("*"))
    ):
        raise InputError(f"{path}: holds more than images, so it is not replaced; choose another folder")
    with atomic_folder(path) as temporary:
        for name, content in _pngs(dataset, record):
            (temporary / name).parent.mkdir(exist_ok=True)
            (temporary / name).write_bytes(content)


def _pngs(dataset: Dataset, record: str) -> Any:
    values = dataset.values.cpu().numpy()
    digits = max(6, len(str(len(values))))
    names = _folders(dataset)
    folders = [""] * len(values) if names is None else [f"{name}/" for name in names]
    return ((f"{folders[i]}{i:0{digits}d}.png", pictures.png(pixels, record)) for i, pixels in enumerate(values))


def _all(file: IO[bytes], content: bytes) -> None:
    file.write(content)
