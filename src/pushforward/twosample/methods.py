"""`METHODS`: every way of comparing two samples, by name. Each family's module owns its rows."""

from collections.abc import Mapping
from types import MappingProxyType

from pushforward.errors import InputError
from pushforward.twosample import heldout, mmd
from pushforward.twosample.method import Method

METHODS: Mapping[str, Method] = MappingProxyType({**mmd.METHODS, **heldout.METHODS})
"""Name -> `Method`."""


def find_method(name: str) -> Method:
    """The row of `METHODS`; `InputError` for an unknown name."""
    if name not in METHODS:
        raise InputError(f"unknown method {name!r}; known are {', '.join(METHODS)}")
    return METHODS[name]
