"""`open_stream`: which sources can be read in parts, and how."""

from __future__ import annotations

import glob
from collections.abc import Mapping
from pathlib import Path
from typing import Any, get_args

from ...errors import InputError
from .. import pictures
from ..builtin import is_builtin
from ..dataset import Kind
from .npy import open_npy
from .parquet import open_parquet
from .progress import Progress
from .stream import Stream
from .tars import open_tars
from .text import Unusual, open_csv

TABLES = (".parquet", ".csv", ".tsv")
SHARDS = (*TABLES, ".tar")


def open_stream(
    source: Any,
    *,
    kind: Kind | None = None,
    columns: Mapping[str, str] | None = None,
    name: str | None = None,
    progress: Progress | None = None,
) -> Stream | None:
    """`source` in parts, or None where `sources.read` is to read it whole.

    Read in parts: a `.parquet` file by its row groups, a `.csv` or `.tsv` by spans of lines, an `.npy` by spans of
    rows, a `.tar` of pictures; and shards of one of these endings (but `.npy`): a glob (`data/*.parquet`), or a folder
    that holds tables or tars and no pictures, in the order of their names. `kind`, `columns` and `name` are those
    of `sources.read`.

    A CSV is read once here (`progress` is told), since its types depend on all of its rows. Raises `InputError` where
    shards differ in their columns, hold no rows, or cannot be read.
    """
    if kind is not None and kind not in get_args(Kind):
        raise InputError(f"unknown kind {kind!r}; known kinds: {', '.join(get_args(Kind))}")
    if not isinstance(source, str | Path) or (isinstance(source, str) and is_builtin(source)):
        return None
    path, name = Path(source), name or str(source)
    try:
        files, shards = _files(path, name)
        if not files:
            return None
        return _open(files, name, kind, columns, shards, progress)
    except OSError as error:
        raise InputError(f"{name}: cannot be read ({error.strerror or error}); check that you may read it") from error


def only_in_parts(source: str | Path) -> bool:
    """Whether `source` is of a form that is read in parts or not at all: a tar, or shards in a folder or by a glob."""
    if isinstance(source, str) and is_builtin(source):
        return False
    files, shards = _files(Path(source), str(source))
    return bool(files) and (shards or files[0].suffix.lower() == ".tar")


def _open(
    files: list[Path],
    name: str,
    kind: Kind | None,
    columns: Mapping[str, str] | None,
    shards: bool,
    progress: Progress | None,
) -> Stream | None:
    ending = files[0].suffix.lower()
    if ending == ".tar":
        if kind not in (None, "images"):
            raise InputError(f"{name}: holds images and cannot be read as {kind}; leave the kind out")
        if columns:
            raise InputError(f"{name}: is images, which have no columns to type; leave the column types out")
        return open_tars(files, name, progress=progress)
    if ending == ".npy":
        return None if columns else open_npy(files[0], name, kind=kind)
    if kind == "images":
        raise InputError(f"{name}: is a table and cannot be read as images; give a folder, a zip or an array")
    if ending == ".parquet":
        return open_parquet(files, name, kind=kind, columns=columns, shards=shards)
    try:
        return open_csv(files, name, kind=kind, columns=columns, shards=shards, progress=progress)
    except Unusual:
        if not shards:
            return None
        raise InputError(
            f"{name}: the shards have quotation marks or lines that cannot be read in parts; save them as Parquet"
        ) from None


def _files(path: Path, name: str) -> tuple[list[Path], bool]:
    """The files of `path` that are read in parts, none where it is read whole; and whether they are shards."""
    if path.is_file():
        return ([path], False) if path.suffix.lower() in (*SHARDS, ".npy") else ([], False)
    if path.is_dir():
        if (path / "model.json").exists():
            return [], False
        found = []
        for file in path.rglob("*"):
            ending = file.suffix.lower()
            if ending in pictures.ENDINGS and not _hidden(file.relative_to(path)):
                return [], False
            if ending in SHARDS and file.is_file() and not _hidden(file.relative_to(path)):
                found.append(file)
        return _one_ending(found, name, path), True
    if path.exists() or not any(mark in name for mark in "*?["):
        return [], False
    files = [Path(f) for f in glob.glob(str(path), recursive=True) if Path(f).is_file()]
    if not files:
        raise InputError(f"{name}: no file matches; check the pattern")
    other = [f for f in files if f.suffix.lower() not in SHARDS]
    if other:
        raise InputError(f"{other[0]}: cannot be a shard of {name}; shards end in {', '.join(SHARDS)}")
    return _one_ending(files, name, None), True


def _hidden(path: Path) -> bool:
    return any(part.startswith((".", "_")) for part in path.parts)


def _one_ending(files: list[Path], name: str, root: Path | None) -> list[Path]:
    """`files` in the order of their names, all of one ending."""
    endings = sorted({f.suffix.lower() for f in files})
    if len(endings) > 1:
        raise InputError(
            f"{name}: holds {' and '.join(endings)} files; give those of one ending, such as *{endings[0]}"
        )
    below = [] if root is None else [(f, f.relative_to(root).parent.parts) for f in files]
    keyed = next((f for f, folders in below if any("=" in folder for folder in folders)), None)
    if keyed is not None:
        raise InputError(
            f"{keyed}: the folder's name holds a column (key=value) that the file lacks; write it into the shards"
        )
    return sorted(files)
