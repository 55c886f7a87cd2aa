"""Which row of a table speaks of a thing: by the names of its classes, so that none of them need be imported."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def found(table: Mapping[str, str], thing: Any) -> str | None:
    """The entry of the nearest of `thing`'s classes; None where no class of it has one."""
    names = (f"{one.__module__}.{one.__qualname__}" for one in type(thing).__mro__)
    return next((table[name] for name in names if name in table), None)
