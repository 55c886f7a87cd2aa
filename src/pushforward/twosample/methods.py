"""`METHODS`: every way of comparing two samples, by name. Each family's module owns its rows."""

from collections.abc import Mapping
from types import MappingProxyType

from pushforward.errors import InputError
from pushforward.twosample import (
    aggregate,
    betting,
    bounds,
    characteristic,
    deep,
    densities,
    discrete,
    features,
    gaussian,
    graphs,
    heldout,
    ipm,
    kernels,
    likelihood,
    moments,
    places,
    ranks,
    ridge,
    sequential,
    subsampled,
    transport,
)
from pushforward.twosample.method import Method

_FAMILIES = (
    (aggregate, kernels, subsampled, features, deep),
    (moments, characteristic, places),
    (ranks, graphs),
    (transport, ipm),
    (densities, discrete, gaussian, likelihood, bounds),
    (ridge, heldout),
    (sequential, betting),
)

METHODS: Mapping[str, Method] = MappingProxyType(
    {name: method for rooms in _FAMILIES for room in rooms for name, method in room.METHODS.items()}
)
"""Name -> `Method`."""


def find_method(name: str) -> Method:
    """The row of `METHODS`; `InputError` for an unknown name."""
    if name not in METHODS:
        raise InputError(f"unknown method {name!r}; known: {', '.join(METHODS)}")
    return METHODS[name]
