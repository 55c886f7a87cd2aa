"""Translations: a row of one domain, the row of the other that it becomes, and the way back."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from markupsafe import Markup

from ...data.dataset import Dataset
from ...errors import InputError
from ...evaluation.frames import Frame, frame_of
from .drawing import cloud
from .mirrored import beside, errors, figure, pairs_of
from .parts import FAKE, REAL, Body, Chart, Charts, Key, Picture, Section
from .samples import MOST_COLUMNS, marginal
from .view import View, chosen, plane

ROWS = {"images": 32, "points": 250, "table": 5}
ROW = 8
MEASURED = 256
LINES = 90
COMPARED = 2000
FIRST, SECOND = "A", "B"


def translation(view: View) -> Section | None:
    """Triptychs (source, there, and back again) for every domain that real rows are at hand of; of a model that goes
    one way only, which learned from pairs, the source, its translation and its true counterpart."""
    if not view.can("translate") or view.real is None:
        return None
    if not _returns(view, view.real):
        found = [_one_way(view, view.real, view.other)]
    else:
        found = _both(view, view.real, view.other, FIRST, SECOND)
        if view.other is not None:
            found += _both(view, view.other, view.real, SECOND, FIRST)
    return Section("translation", "Translation", tuple(found))


def _returns(view: View, source: Dataset) -> bool:
    try:
        view.translated(view.translated(source.take(torch.arange(1)), SECOND), FIRST)
    except InputError:
        return False
    return True


def _one_way(view: View, source: Dataset, target: Dataset | None) -> Picture:
    some = chosen(source, max(MEASURED, ROWS[view.kind]), view.seed)
    there = view.translated(some, SECOND)
    first = torch.arange(min(ROWS[view.kind], len(some)))
    parts, lead, true = [some.take(first), there.take(first)], "", None
    if target is not None and len(target) == len(source):
        true = chosen(target, max(MEASURED, ROWS[view.kind]), view.seed)  # the same rows: they correspond
        mine, chance = errors(true, there)
        lead = _told(f"from {len(some):,} translations to their true counterparts in {SECOND}", mine, chance, SECOND)
        parts.append(true.take(first))
    last = ", and below it its true counterpart" if true is not None else ""
    reads = {
        "images": f"In each block the source, below it its translation{last}.",
        "points": "A line leads from a translation (dot) to its true counterpart: short lines are right.",
        "table": f"Each row, below it its translation{last}.",
    }[view.kind]
    names = ("source", f"translated to {SECOND}", f"true in {SECOND}")[: len(parts)]
    body: Body
    if view.kind == "images":
        body = pairs_of(view, list(zip(names, parts, strict=True)), ROW)
    elif view.kind == "table":
        body = beside(parts[0], list(zip(names[1:], parts[1:], strict=True)), name=names[0])
    else:
        made, wanted = parts[1], parts[-1]
        if true is None:
            reads = "Translations, in the plane of the other domain."
        places, axes = plane({"made": made, "wanted": wanted})
        ways = [list(pair) for pair in zip(places["made"].tolist(), places["wanted"].tolist(), strict=True)][:LINES]
        shown = {"wanted": places["wanted"].tolist(), "made": places["made"].tolist()}
        svg = cloud(shown, [OTHER, FAKE], label="Translations and their counterparts", axes=axes, traces=ways, side=340)
        body = Charts((Chart("", Markup(svg)),))
    keys = (Key(FAKE, names[1]), *([Key(OTHER, names[2])] if true is not None else [])) if view.kind == "points" else ()
    return Picture(f"From {FIRST} to {SECOND}", reads, body, lead, keys)


def _told(what: str, mine: float, chance: float, domain: str) -> str:
    """The distance `mine` beside that of two random rows."""
    lead = f"Root mean square distance {what}: {figure(mine)}"
    if chance <= 0:
        return f"{lead}."
    return f"{lead}; two random rows of {domain} are {figure(chance)} apart, so {mine / chance:.0%} of chance."


def _both(view: View, source: Dataset, target: Dataset | None, of: str, to: str) -> list[Picture]:
    found = [_triptychs(view, source, target, of, to)]
    if view.kind == "table" and target is not None:
        there = view.translated(chosen(source, COMPARED, view.seed), to)
        if set(there.values.columns) == set(target.values.columns):
            found.append(_columns(frame_of({"real": chosen(target, COMPARED, view.seed), "fake": there}), to))
    return found


def _columns(frame: Frame, to: str) -> Picture:
    """Every column of translations over that of real rows of the domain they were translated to."""
    items = [Chart(name, Markup(marginal(frame, name))) for name in frame.names[:MOST_COLUMNS]]
    reads = f"Translations (line) should have the shape of the real rows of {to} (area)."
    keys = (Key(REAL, f"real rows of {to}"), Key(FAKE, f"translated to {to}"))
    return Picture(f"Columns of {to} one by one", reads, Charts(tuple(items)), "", keys)


def _triptychs(view: View, source: Dataset, target: Dataset | None, of: str, to: str) -> Picture:
    some = chosen(source, max(MEASURED, ROWS[view.kind]), view.seed)
    there = view.translated(some, to)
    back = view.translated(there, of)
    mine, chance = errors(some, back)
    lead = _told(f"from {len(some):,} rows of {of} to where they come back", mine, chance, of)
    first = torch.arange(min(ROWS[view.kind], len(some)))
    parts = [one.take(first) for one in (some, there, back)]
    body = BODIES[view.kind](view, parts, target, (of, to))
    what = {
        "images": "In each block, from above: the source, its translation, and the way back: a translation should look "
        "like the other domain and still be the same thing.",
        "points": "A line leads from a source (dot) to its translation: these should cover the other domain, and "
        "neighbours should stay neighbours.",
        "table": "Each row, its translation, and the way back: what is the same thing should still be.",
    }[view.kind]
    keys: tuple[Key, ...] = ()
    if view.kind == "points":
        keys = (Key(REAL, of), Key(FAKE, f"translated to {to}"), *([Key(OTHER, to)] if target is not None else []))
    return Picture(f"From {of} to {to}, and back", what, body, lead, keys)


OTHER = "var(--c3)"
Parts = list[Dataset]


def _images(view: View, parts: Parts, target: Dataset | None, domains: tuple[str, str]) -> Body:
    names = (f"source in {domains[0]}", f"translation to {domains[1]}", "back again")
    return pairs_of(view, list(zip(names, parts, strict=True)), ROW)


def _points(view: View, parts: Parts, target: Dataset | None, domains: tuple[str, str]) -> Body:
    source, there, back = parts
    sets = {"source": source, "there": there, "back": back}
    if target is not None:
        sets["target"] = chosen(target, ROWS["points"], view.seed)
    if len({data.values.shape[1] for data in sets.values()}) > 1:
        return Charts(())  # domains of different width share no plane
    places, axes = plane(sets)
    ways = [
        list(pair) for pair in zip(places["source"][:LINES].tolist(), places["there"][:LINES].tolist(), strict=True)
    ]
    home = [list(pair) for pair in zip(places["source"][:LINES].tolist(), places["back"][:LINES].tolist(), strict=True)]
    both = np.concatenate(list(places.values()))
    low, high = both.min(0), both.max(0)
    pad = 0.05 * (high - low) + 1e-9
    frame = list(zip(low - pad, high + pad, strict=True))
    shown: dict[str, Any] = {name: places[name].tolist() for name in ("target", "source", "there") if name in places}
    colours = {"target": OTHER, "source": REAL, "there": FAKE}
    drawn = (
        Chart(
            "There",
            Markup(
                cloud(
                    shown,
                    [colours[name] for name in shown],
                    label=f"Points of {domains[0]} and their translations",
                    axes=axes,
                    traces=ways,
                    faint=("target",),
                    frame=frame,
                    side=340,
                )
            ),
        ),
        Chart(
            "And back again",
            Markup(
                cloud(
                    {"source": shown["source"], "back": places["back"].tolist()},
                    [REAL, FAKE],
                    label=f"Points of {domains[0]} and where they come back",
                    axes=axes,
                    traces=home,
                    frame=frame,
                    side=340,
                )
            ),
        ),
    )
    return Charts(drawn)


def _table(view: View, parts: Parts, target: Dataset | None, domains: tuple[str, str]) -> Body:
    source, there, back = parts
    if set(there.values.columns) != set(source.values.columns):
        return beside(source, [("back", back)])
    return beside(source, [(f"in {domains[1]}", there), ("back", back)], name=f"in {domains[0]}")


BODIES: dict[str, Callable[[View, Parts, Dataset | None, tuple[str, str]], Body]] = {
    "images": _images,
    "points": _points,
    "table": _table,
}
