"""Frozen results as plain dicts and lists, and back; text to a file."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

T = TypeVar("T")


def written(text: str, path: str | Path | None) -> str:
    """`text`, also written to `path` where one is given."""
    if path is not None:
        from ..files import write_text

        write_text(path, text)
    return text


def plain(value: Any) -> Any:
    """Nested dataclasses, mappings and tuples as dicts and lists."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {item.name: plain(getattr(value, item.name)) for item in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return value


def build(cls: type[T], data: Mapping[str, Any]) -> T:
    """The dataclass `cls` of `data`; keys that it does not know are passed over."""
    known = {item.name for item in dataclasses.fields(cls)}  # type: ignore[arg-type]
    return cls(**{key: value for key, value in data.items() if key in known})
