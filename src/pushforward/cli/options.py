"""Turning command-line words into arguments, and checks that must come before any work."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ..errors import InputError

SUFFIXES = {"points": ".npy", "table": ".parquet", "images": ".zip"}


def column_types(words: Sequence[str] | None) -> dict[str, str] | None:
    """`["price:continuous", "a:b:integer"]` -> `{"price": "continuous", "a:b": "integer"}`: the last colon counts."""
    if not words:
        return None
    types: dict[str, str] = {}
    for word in words:
        name, colon, kind = word.rpartition(":")
        if not colon or not name or not kind:
            raise InputError(f"--column {word}: write it as NAME:TYPE, for example --column price:continuous")
        if name in types:
            raise InputError(f"--column {word}: the type of column {name!r} is given twice; keep one of them")
        types[name] = kind
    return types


def must_be_new(path: Path | None, option: str, *, force: bool) -> None:
    """Refuse, before any work is done, an output that already exists."""
    if path is not None and path.exists() and not force:
        remedy = (
            "--force to replace it or --resume to go on with it" if option == "--out RUN" else "--force to replace it"
        )
        raise InputError(f"{path}: already exists; give {remedy}, or choose another {option}")
