"""Class labels that come beside images: an array of an `.npz`, or the subfolder that each picture lies in.

set.npz          arrays `images` (or `x`) and `labels` (or `y`); `label_names`, where given, names the codes
folder, or zip   CLASS/picture.png: the first folder is the class, in the order of the pictures that `read` gives
"""

from __future__ import annotations

import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, final

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from ...data import pictures
from ...errors import InputError

Codes = NDArray[np.int64]
KEYS = ("labels", "y")


@final
@dataclass(frozen=True, eq=False)
class Labels:
    """`codes` `(n,)` int64, positions in `names`."""

    codes: Codes
    names: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.codes)


def labels_of(source: Any) -> Labels | None:
    """The class labels that come with the file or folder `source`; None where there are none.

    Raises `InputError` where there are labels, but not one for each row.
    """
    if not isinstance(source, str | Path):
        return None
    path = Path(source)
    try:
        if path.is_dir():
            files = (f.relative_to(path).as_posix() for f in sorted(path.rglob("*")) if f.is_file())
            return _of_folders(list(files))
        if path.suffix.lower() == ".zip" and path.is_file():
            with zipfile.ZipFile(path) as archive:
                return _of_folders(sorted(m.filename for m in archive.infolist() if not m.is_dir()))
        if path.suffix.lower() == ".npz" and path.is_file():
            return _of_npz(path)
    except (OSError, ValueError, EOFError, zipfile.BadZipFile, NotImplementedError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(
            f"{path}: its labels cannot be read ({error}); save them again as whole numbers or text"
        ) from error
    return None


def labels_from(values: Any, names: Sequence[str] | None = None, *, source: str = "labels") -> Labels:
    """Labels given as whole numbers or text `(n,)`. Numbers are positions in `names`, where those are given; else the
    distinct values, in rising order, are the names."""
    array = np.asarray(values.detach().cpu() if isinstance(values, Tensor) else values)
    array = array[:, 0] if array.ndim == 2 and array.shape[1] == 1 else array
    if array.dtype.kind == "f" and np.isfinite(array).all() and (array == np.rint(array)).all():
        array = array.astype(np.int64)
    if array.ndim != 1 or array.dtype.kind not in "iubUSO":
        raise InputError(f"{source}: labels are one whole number or text a row, not {array.dtype} {array.shape}")
    if names is not None and array.dtype.kind in "iub":
        if len(array) and not 0 <= int(array.min()) <= int(array.max()) < len(names):
            raise InputError(
                f"{source}: labels run to {int(array.max())}, but there are {len(names)} names; name every class"
            )
        return Labels(array.astype(np.int64), tuple(map(str, names)))
    if array.dtype.kind in "SO":
        array = np.array([value.decode() if isinstance(value, bytes) else str(value) for value in array])
    found, codes = np.unique(array, return_inverse=True)
    return Labels(codes.astype(np.int64).reshape(-1), tuple(str(name) for name in found))


def labels_alike(given: Mapping[str, Labels], rows: Mapping[str, int]) -> tuple[dict[str, Codes], tuple[str, ...]]:
    """The codes of all roles in the names of "real" (else of the first role), and these names.

    A class that FAKE has none of is evidence; one that REAL lacks is refused (`InputError`), as are roles that have not
    one label for each of their `rows`.
    """
    for role, labels in given.items():
        if len(labels) != rows[role]:
            raise InputError(f"{role}: {len(labels):,} labels for {rows[role]:,} rows; give one label for each row")
    first = "real" if "real" in given else next(iter(given), "")
    if not first:
        return {}, ()
    names = given[first].names
    codes = {}
    for role, labels in given.items():
        used = [labels.names[k] for k in np.unique(labels.codes)]
        strange = [name for name in used if name not in names]
        if strange:
            raise InputError(
                f"{role}: has the class {strange[0]!r}, which {first} lacks (it has {', '.join(map(repr, names[:12]))}"
                f"{', ...' if len(names) > 12 else ''}); give both the same names of classes"
            )
        places = np.array([names.index(name) if name in names else -1 for name in labels.names], dtype=np.int64)
        codes[role] = places[labels.codes]
    return codes, names


def _of_folders(files: Sequence[str]) -> Labels | None:
    """Labels of pictures by their paths inside the folder or zip, in order; hidden files are no pictures."""
    paths = [PurePosixPath(name) for name in files]
    shown = [
        path
        for path in paths
        if path.suffix.lower() in pictures.ENDINGS
        and not any(part.startswith((".", "__MACOSX")) for part in path.parts)
    ]
    if not shown or any(len(path.parts) < 2 for path in shown):
        return None
    return labels_from([path.parts[0] for path in shown])


def _of_npz(path: Path) -> Labels | None:
    with np.load(path, allow_pickle=False) as arrays:
        key = next((key for key in KEYS if key in arrays.files), None)
        pictured = next((name for name in ("images", "x") if name in arrays.files), None)
        if key is None or pictured is None:
            return None
        values = arrays[key]
        names = [str(name) for name in arrays["label_names"]] if "label_names" in arrays.files else None
        rows = len(arrays[pictured])
    if values.dtype.kind == "f" and not (np.isfinite(values).all() and (values == np.rint(values)).all()):
        return None  # a target of regression, not a class
    if values.shape[:1] != (rows,):
        raise InputError(f"{path}: {values.shape} {key} for {rows:,} rows; give one label for each row")
    return labels_from(values, names, source=str(path))
