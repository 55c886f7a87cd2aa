"""The table of objectives: name -> `Objective`, from the families beside."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from pushforward.errors import InputError
from pushforward.links import alpha_order, fgan_alpha
from pushforward.objectives import batches, checks, scores
from pushforward.objectives.objective import Objective, of_link
from pushforward.witness import Link

OBJECTIVES: Mapping[str, Objective] = MappingProxyType({row.name: row for row in (*scores.ROWS, *batches.ROWS)})
"""Adversarial losses, and distances that need no critic, by name; the f-divergences use the critic outputs of
`links.FGAN`."""


def objective(name_or_obj: str | Objective | Link) -> Objective:
    """The objective of a name (`rpgan`, `js`, `alpha:1.5`, `alpha:1.5-ns`), of a link, or itself.

    An unknown name raises `InputError` with the known ones; an object that cannot work, with what is wrong with it
    (see `checks`).
    """
    if isinstance(name_or_obj, (Objective, Link)):
        found = of_link(name_or_obj) if isinstance(name_or_obj, Link) else name_or_obj
        if OBJECTIVES.get(found.name) is not found:
            checks.check(found)
        return found
    if name_or_obj in OBJECTIVES:
        return OBJECTIVES[name_or_obj]
    order = alpha_order(name_or_obj.removesuffix("-ns"))
    if order is not None:
        return of_link(fgan_alpha(order), saturating=not name_or_obj.endswith("-ns"))
    known = ", ".join(sorted(OBJECTIVES))
    raise InputError(f"unknown objective {name_or_obj!r}; known: {known} and alpha:A for an order A")
