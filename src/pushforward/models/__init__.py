"""Estimators: `fit`, `sample`, `save`, `load`. One file per family."""

from __future__ import annotations

import os
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .flows import Drifting, ScoreDifference
    from .folder import describe_run
    from .gan import GAN

__all__ = ["GAN", "Drifting", "ScoreDifference", "describe_run", "load"]

CLASSES = {"GAN": "gan", "ScoreDifference": "flows", "Drifting": "flows"}  # and the file of each


def __getattr__(name: str) -> Any:
    if name in CLASSES:
        return getattr(import_module(f".{CLASSES[name]}", __name__), name)
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
