"""Estimators: `fit`, `sample`, `save`, `load`. One file per family."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .folder import describe_run
    from .gan import GAN

__all__ = ["GAN", "describe_run", "load"]

CLASSES = ("GAN",)


def __getattr__(name: str) -> Any:
    if name == "GAN":
        from .gan import GAN

        return GAN
    if name == "describe_run":
        from .folder import describe_run

        return describe_run
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def load(folder: str | os.PathLike[str]) -> Any:
    """The fitted model that was saved in `folder`, of whatever class it is.

    Raises `InputError` naming the file that is missing, truncated, or of a newer version.
    """
    from ..errors import InputError
    from .folder import MODEL, read_model

    name = read_model(Path(folder))["class"]
    if name not in CLASSES:
        raise InputError(
            f"{Path(folder) / MODEL}: a model of class {name!r}, which this version lacks; upgrade pushforward"
        )
    return __getattr__(name).load(folder)
