"""Samples by what is given: a grid of images, points over real points, distributions of columns, level by level.

All rows of a grid are drawn with the same seed, so one column has the same noise throughout: what changes along it is
what the condition changes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
import torch
from markupsafe import Markup

from ...data.conditions import comparable
from ...data.dataset import Dataset
from ...evaluation.frames import Frame, frame_of
from ...evaluation.marginals import picture
from ...models.asked import Subject
from ...models.conditional import answer
from .drawing import Series, bars, cloud, curves, shares
from .parts import COLOURS, FAKE, REAL, Body, Chart, Charts, Key, Picture, Section, Strip, Strips
from .view import Array, View, chosen, plane

MOST_LEVELS = {"images": 12, "points": 9, "table": 5}
EACH = {"images": 10, "points": 400, "table": 1500}
MOST_COLUMNS = 3  # given columns with pictures of their own
STEPS = 60
TELLING = 6  # columns of a table whose distributions are drawn
NEAR, FEWEST = 0.02, 30  # share of real rows, and rows at least, that stand for a number
QUANTILES = (0.05, 0.275, 0.5, 0.725, 0.95)


@dataclass(frozen=True)
class Level:
    """One value of a given column: how it is asked for, its name, and whether real rows can have exactly it."""

    asked: Any
    name: str
    exact: bool


def conditional(view: View) -> Section | None:
    """A picture for each given column, or for some of the given vectors."""
    if not hasattr(view.model, "generator_") or not getattr(view.model, "network_", {}).get("given"):
        return None
    subject = Subject(view.model)
    found = [_by_level(view, subject, column) for column in subject.columns[:MOST_COLUMNS]]
    if not subject.columns and view.kind == "images":
        found = [_by_vector(view, subject)]
    return Section("conditional", "By what is given", tuple(found))


def levels_of(subject: Subject, column: str, most: int) -> list[Level]:
    """The commonest levels of a given column in the order of their names, or quantiles of its numbers."""
    known, kept = subject.known[column], subject.kept[column]
    if known.levels is None:
        values = kept.drop_nulls().sort()
        found = [values[round(q * (len(values) - 1))] for q in QUANTILES]
        return [Level(value, _short(value), False) for value in dict.fromkeys(found)]
    counts = comparable(kept).drop_nulls().value_counts().sort("count", descending=True)
    common = sorted(counts.to_series(0).to_list()[:most])
    return [Level(value, _short(value), True) for value in common]


def _short(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _by_level(view: View, subject: Subject, column: str) -> Picture:
    found = levels_of(subject, column, MOST_LEVELS[view.kind])
    rest = [name for name in subject.columns if name != column]
    drawn = [answer(view.model, EACH[view.kind], {column: level.asked}, view.seed)[0] for level in found]
    body = BODIES[view.kind](view, column, found, drawn)
    reads = {
        "images": f"Each row is asked for one {column}, each column has one noise: along a row {column} should hold, "
        "down a column only what it changes should change.",
        "points": f"Samples asked for one {column}, over real points of that {column}: they should cover each other.",
        "table": f"Each curve is the share of rows up to a value, each colour one {column}: samples should have "
        "the curves of the real rows beside them.",
    }[view.kind]
    keys: tuple[Key, ...] = ()
    if view.kind == "table":
        keys = tuple(Key(COLOURS[k], f"{column} = {level.name}") for k, level in enumerate(found))
    if view.kind == "points":
        keys = (Key(REAL, "real rows"), Key(FAKE, "samples"))
    lead = f"The other given columns ({', '.join(rest)}) follow the data." if rest else ""
    if view.kind != "images" and view.real is not None and not all(level.exact for level in found):
        lead = f"{lead} Real rows are the {NEAR:.0%} nearest to each number.".strip()
    return Picture(f"By {column}", reads, body, lead, keys)


def _images(view: View, column: str, found: Sequence[Level], drawn: Sequence[Dataset]) -> Body:
    rows = [
        Strip(level.name, view.sheet(part, len(part), f"images asked for {column} = {level.name}", shown=44))
        for level, part in zip(found, drawn, strict=True)
    ]
    return Strips(tuple(rows), columns=2, grid=True)


def real_at(view: View, column: str, level: Level) -> Dataset | None:
    """Real rows of this level, drawn at random, where they say it (in a column, or beside them); of a number those
    nearest to it, `NEAR` of all rows."""
    real = view.real
    if real is None:
        return None
    beside = real.given.values if real.given is not None and real.given.kind == "table" else None
    frame = real.values if real.kind == "table" else beside
    if frame is None or column not in frame.columns:
        return None
    values = frame[column]
    if level.exact:
        same = comparable(values).cast(pl.String) == str(level.asked)
        found = np.flatnonzero(same.fill_null(False).to_numpy())
    else:
        number = values.to_physical().cast(pl.Float64)
        asked = pl.Series([level.asked]).cast(values.dtype).to_physical().cast(pl.Float64)[0]
        away = (number - asked).abs().fill_null(float("inf")).fill_nan(float("inf")).to_numpy()
        found = np.argsort(away, kind="stable")[: max(FEWEST, round(NEAR * len(away)))]
    return chosen(real.take(torch.from_numpy(found)), EACH[view.kind], view.seed)


def _points(view: View, column: str, found: Sequence[Level], drawn: Sequence[Dataset]) -> Body:
    parts = {f"fake {k}": part for k, part in enumerate(drawn)}
    real = [real_at(view, column, level) for level in found]
    parts |= {f"real {k}": part for k, part in enumerate(real) if part is not None and len(part)}
    places, axes = plane(parts)
    both = np.concatenate(list(places.values()))
    low, high = np.quantile(both, [0.002, 0.998], axis=0)
    pad = 0.06 * (high - low) + 1e-9
    frame = list(zip(low - pad, high + pad, strict=True))
    items = []
    for k, level in enumerate(found):
        shown = {role: places[f"{role} {k}"].tolist() for role in ("real", "fake") if f"{role} {k}" in places}
        colours = [REAL if role == "real" else FAKE for role in shown]
        svg = cloud(shown, colours, label=f"Points with {column} = {level.name}", axes=axes, frame=frame)
        items.append(Chart(f"{column} = {level.name}", Markup(svg)))
    return Charts(tuple(items))


def _table(view: View, column: str, found: Sequence[Level], drawn: Sequence[Dataset]) -> Body:
    parts = {f"fake {k}": part for k, part in enumerate(drawn)}
    real = [real_at(view, column, level) for level in found]
    parts |= {f"real {k}": part for k, part in enumerate(real) if part is not None and len(part)}
    frame = frame_of(parts)
    names = [name for name in _telling(frame, len(found)) if name != column][:TELLING]
    items = []
    for name in names:
        for role, title in (("real", "real rows"), ("fake", "samples")):
            there = [k for k in range(len(found)) if f"{role} {k}" in frame.rows]
            if there:
                items.append(Chart(name, Markup(_drawn(frame, name, role, there, found)), title))
    return Charts(tuple(items), across=4)


def _telling(frame: Frame, count: int) -> list[str]:
    """The columns by how far their distributions differ between levels, the farthest first: the largest distance
    between the distribution functions (of categories, total variation) of any two levels."""
    far = []
    for j in range(len(frame.names)):
        rows = [frame.rows[f"fake {k}"][:, j] for k in range(count)]
        grid = np.unique(np.concatenate(rows)[np.isfinite(np.concatenate(rows))])[:5000]
        if j in frame.categorical:
            table = np.stack([[(part == v).mean() for v in grid] for part in rows])
            gap = 0.5 * np.abs(table[:, None] - table[None]).sum(2).max()
        else:
            table = np.stack([np.searchsorted(np.sort(part), grid, side="right") / len(part) for part in rows])
            gap = np.abs(table[:, None] - table[None]).max()
        far.append(float(gap))
    return [frame.names[j] for j in np.argsort(-np.array(far), kind="stable") if far[j] > 0]


def _drawn(frame: Frame, name: str, role: str, there: Sequence[int], found: Sequence[Level]) -> str:
    """One column's distribution at every level, in bins that hold for all of them, real and fake."""
    j = frame.names.index(name)
    pooled = np.concatenate([rows[:, j : j + 1] for rows in frame.rows.values()])
    alone = Frame((name,), (frame.kinds[j],), (frame.levels[j],), {"real": pooled, "fake": pooled})
    shape = picture(alone, name)
    colours = [COLOURS[k] for k in there]
    parts = {found[k].name: frame.rows[f"{role} {k}"][:, j] for k in there}
    label = f"Distribution of {name} by level, {role} rows"
    if shape["kind"] == "category":
        shown = [level for level in shape["levels"] if level in frame.levels[j]][:8]
        codes = [frame.levels[j].index(level) for level in shown]
        heights = {k: [float((part == code).mean()) for code in codes] for k, part in parts.items()}
        return bars(shown, heights, colours, label=label)
    if shape["kind"] == "datetime":
        heights = {k: _histogram(part, shape["edges"]) for k, part in parts.items()}
        return shares(shape["edges"], heights, colours, label=label, stamps=True) if shape["edges"] else ""
    series = [Series(k, colour, _rising(part)) for (k, part), colour in zip(parts.items(), colours, strict=True)]
    ends = (shape["edges"][0], shape["edges"][-1]) if shape["edges"] else None
    return curves(series, label=label, axes=(None, None), percent=True, ends=ends)


def _histogram(values: Array, edges: Sequence[float]) -> list[float]:
    inside = np.clip(values[np.isfinite(values)], edges[0], edges[-1])
    found: list[float] = (np.histogram(inside, edges)[0] / max(1, len(values))).tolist()
    return found


def _rising(values: Array) -> list[tuple[float, float]]:
    """The distribution function at `STEPS` of its quantiles."""
    there = np.sort(values[np.isfinite(values)])
    if not len(there):
        return []
    q = np.linspace(0, 1, STEPS)
    at = there[np.round(q * (len(there) - 1)).astype(np.int64)]
    up = np.searchsorted(there, at, side="right") / len(there)
    return [(float(f"{x:.6g}"), float(f"{y:.4g}")) for x, y in zip(at, up, strict=True)]


def _by_vector(view: View, subject: Subject) -> Picture:
    """Images for some of the given vectors."""
    kept = subject.inner.decode(subject.generator.conditions.codes[: MOST_LEVELS["images"]].cpu())
    rows = []
    for k, vector in enumerate(kept.values.numpy()):
        part = answer(view.model, EACH["images"], vector, view.seed)[0]
        rows.append(Strip(f"row {k + 1}", view.sheet(part, len(part), f"images of condition {k + 1}", shown=44)))
    reads = "Each row is asked for what one training row was given, each column has the same noise."
    return Picture("By the vectors given", reads, Strips(tuple(rows), columns=2, grid=True))


BODIES: dict[str, Callable[[View, str, Sequence[Level], Sequence[Dataset]], Body]] = {
    "images": _images,
    "points": _points,
    "table": _table,
}
