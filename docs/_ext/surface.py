"""The public surface: which names each page of the reference shows, and where every object of the package is shown."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Iterator
from functools import cache
from typing import Any

PACKAGE = "pushforward"

# Page of docs/reference/api -> its modules in order. A module shows its `__all__`, else what it defines itself.
PAGES: dict[str, tuple[str, ...]] = {
    "pushforward": ("pushforward",),
    "witness": ("pushforward.witness",),
    "links": ("pushforward.links",),
    "closed_form": ("pushforward.closed_form",),
    "fitters": ("pushforward.fitters",),
    "readings": ("pushforward.readings",),
    "twosample": ("pushforward.twosample",),
    "objectives": ("pushforward.objectives", "pushforward.objectives.several"),
    "flow": ("pushforward.flow",),
    "nets": ("pushforward.nets",),
    "data": (
        "pushforward.data.dataset",
        "pushforward.data.sources",
        "pushforward.data.streams",
        "pushforward.data.codec",
        "pushforward.data.points",
        "pushforward.data.tables",
        "pushforward.data.images",
        "pushforward.data.toys",
        "pushforward.data.provenance",
    ),
    "training": (
        "pushforward.training.step",
        "pushforward.training.loop",
        "pushforward.training.penalties",
        "pushforward.training.regularisers",
        "pushforward.training.optimisers",
        "pushforward.training.schedule",
        "pushforward.training.ema",
        "pushforward.training.stopping",
        "pushforward.training.diagnostics",
        "pushforward.training.history",
        "pushforward.training.checkpoint",
    ),
    "models": ("pushforward.models",),
    "models_more": (
        "pushforward.models.latent",
        "pushforward.models.inversion",
        "pushforward.models.representation",
        "pushforward.models.refine",
        "pushforward.models.several",
        "pushforward.models.maps",
    ),
    "evaluation": ("pushforward.evaluation",),
    "fidelity": ("pushforward.evaluation.fidelity",),
    "neighbours": ("pushforward.evaluation.neighbours",),
    "utility": ("pushforward.evaluation.utility",),
    "likelihood": ("pushforward.evaluation.likelihood",),
    "classification": ("pushforward.evaluation.classification",),
    "encoders": ("pushforward.evaluation.encoders",),
    "report": ("pushforward.report", "pushforward.report.pictures"),
    "conformance": ("pushforward.conformance",),
    "errors": ("pushforward.errors", "pushforward.files"),
}
SHARED = "models"  # the page that also shows the classes from which models inherit


def names_of(module_name: str) -> list[str]:
    """The public names of a module, in its own order where it states one."""
    module = importlib.import_module(module_name)
    if hasattr(module, "__all__"):
        return list(module.__all__)
    return [
        name
        for name, value in vars(module).items()
        if not name.startswith("_") and getattr(value, "__module__", None) == module_name and is_documented(value)
    ]


def is_documented(value: Any) -> bool:
    return inspect.isclass(value) or inspect.isroutine(value)


def bases() -> list[type]:
    """The classes of the package from which models inherit public methods, the nearest first."""
    from pushforward import models

    found: dict[type, None] = {}
    for name in models.__all__:
        cls = getattr(models, name)
        if inspect.isclass(cls):
            for base in cls.__mro__[1:]:
                if base.__module__.startswith(PACKAGE) and own_methods(base) and base not in shown():
                    found.setdefault(base)
    return sorted(found, key=lambda cls: (-len(own_methods(cls)), cls.__name__))


def own_methods(cls: type) -> list[str]:
    """The public methods and properties that a class defines itself, and of which something is said."""
    return [
        name
        for name, value in vars(cls).items()
        if not name.startswith("_")
        and (inspect.isfunction(value) or isinstance(value, property | classmethod | staticmethod))
        and (value.fget.__doc__ if isinstance(value, property) else inspect.getdoc(getattr(cls, name)))
    ]


def inherited(cls: type) -> dict[str, type]:
    """Public methods that a class takes from other classes of the package, and from which."""
    found: dict[str, type] = {}
    own = set(own_methods(cls))
    for base in cls.__mro__[1:]:
        if base.__module__.startswith(PACKAGE):
            for name in own_methods(base):
                if name not in own:
                    found.setdefault(name, base)
    return found


@cache
def shown() -> dict[Any, str]:
    """Object -> the name under which it is shown. A name of a nearer page wins over one that passes it on."""
    found: dict[Any, str] = {}
    for _, module, name, value in entries():
        if is_documented(value):
            home = getattr(value, "__module__", "")
            if value not in found or home == module:
                found[value] = f"{module}.{name}"
    return found


def entries() -> Iterator[tuple[str, str, str, Any]]:
    """(page, module, name, object) of all that the pages show."""
    for page, modules in PAGES.items():
        for module in modules:
            loaded = importlib.import_module(module)
            for name in names_of(module):
                yield page, module, name, getattr(loaded, name)


@cache
def canonical() -> dict[str, str]:
    """Every dotted name under which an object may be met -> the name under which it is shown."""
    found = {}
    for value, name in shown().items():
        found[f"{value.__module__}.{value.__qualname__}"] = name
    for base in bases():
        found[f"{base.__module__}.{base.__qualname__}"] = f"{base.__module__}.{base.__qualname__}"
    for _, module, name, value in entries():
        full = f"{module}.{name}"
        found.setdefault(full, shown().get(value, full) if is_documented(value) else full)
    return found


@cache
def by_last_name() -> dict[str, str]:
    """Last part of a name -> the only shown name that ends so, where there is but one."""
    ends: dict[str, set[str]] = {}
    for full in set(canonical().values()):
        ends.setdefault(full.rpartition(".")[2], set()).add(full)
    return {last: next(iter(full)) for last, full in ends.items() if len(full) == 1}


def target(name: str, near: str) -> str | None:
    """The shown name that `name`, as written in the docstring of something in the module `near`, means, if any."""
    known = canonical()
    room, plain = near, "." not in name and name[:1].islower()
    name = name.removeprefix("pf.")
    while room and not (plain and room == PACKAGE != near):  # a plain word means what is near, not a name at the top
        for full in (f"{room}.{name}", f"{room}.{name}".replace(".pushforward.", ".")):
            if full in known:
                return known[full]
            owner, _, method = full.rpartition(".")
            if owner in known and (found := method_of(owner, method)) is not None:
                return found
        room = room.rpartition(".")[0]
    if name in known:
        return known[name]
    owner, _, method = name.rpartition(".")
    if owner in by_last_name() and (found := method_of(by_last_name()[owner], method)) is not None:
        return found
    last = by_last_name().get(name)
    return last if last is not None and name[:1].isupper() else None


def method_of(owner: str, method: str) -> str | None:
    """The name under which the public `method` of the class `owner`, its own or inherited, is shown."""
    module, _, name = owner.rpartition(".")
    try:
        cls = getattr(importlib.import_module(module), name, None)
    except ImportError:
        return None
    if not inspect.isclass(cls) or method.startswith("_"):
        return None
    if method in own_methods(cls):
        known = canonical().get(owner, owner)
        return f"{known}.{method}"
    base = inherited(cls).get(method)
    if base is None:
        return None
    full = f"{base.__module__}.{base.__qualname__}"
    return f"{canonical()[full]}.{method}" if full in canonical() else None
