"""The picture of a front as a file: what several losses can be had at once."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from ..errors import InputError
from ..objectives.several import Front
from .plots.fronts import of_front
from .standing import save_picture


def write_front(
    front: Front,
    path: str | os.PathLike[str],
    names: Sequence[str] = ("first loss", "second loss"),
    *,
    force: bool = False,
) -> None:
    """`front.plot(names=names)` as the file `path`, an .svg or a .png; `InputError` where it exists, unless `force`."""
    target = Path(path)
    if target.suffix.lower() not in (".svg", ".png"):
        raise InputError(f"{path}: the picture of a front is an .svg or a .png; choose such a name")
    if target.exists() and not force:
        raise InputError(f"{path}: already exists; replace it with force=True, or choose another file")
    save_picture(of_front(front, names=names), target)
