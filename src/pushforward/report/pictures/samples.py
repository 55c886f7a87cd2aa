"""Samples as one looks at them: a sheet of images, a scatter of points, rows and columns of a table."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from markupsafe import Markup

from ...evaluation import marginals
from ...evaluation.frames import Frame
from .. import charts
from .drawing import bars, cloud, shares
from .parts import FAKE, REAL, Chart, Charts, Key, Picture, Rows, Section, Strip, Strips
from .view import Array, View, plane

SHEET_ROWS, SHEET_COLUMNS = 8, 8
SCATTER = 900
MOST_COLUMNS = 24  # of a table that are drawn
MOST_CELLS = 14  # of a row that are shown
FIRST = 8
SIDES = (Key(REAL, "real rows"), Key(FAKE, "samples"))


def samples(view: View) -> Section | None:
    """What `sample` draws, beside real rows where there are any."""
    if not view.can("sample", "sample_dataset") or view.can("translate"):  # rows from rows: see `translated`
        return None
    makers = {"images": (_sheets, _scatter), "points": (_scatter, _columns), "table": (_first_rows, _columns, _scatter)}
    found = [make(view) for make in makers[view.kind]]
    beside = f" Real rows: {view.real_is}." if view.real is not None else ""
    lead = f"Drawn with seed {view.seed}, not picked.{beside}"
    return Section("samples", "Samples", tuple(one for one in found if one is not None), lead)


def _sheets(view: View) -> Picture:
    count = SHEET_ROWS * SHEET_COLUMNS
    parts = [("samples", view.fake)] + ([("real rows", view.some_real)] if view.some_real is not None else [])
    rows = []
    for name, data in parts:
        some = data.values[:count]
        rows.append(Strip(name, view.sheet(some, SHEET_COLUMNS, f"{len(some)} {name} of {view.name}")))
    reads = "Look for what repeats, for what is never there, and for what no real image has."
    return Picture("Sheet", reads, Strips(tuple(rows), columns=2))


def _scatter(view: View) -> Picture | None:
    if view.kind == "points" and view.fake.values.shape[1] == 1:
        return None  # its one coordinate is drawn as a distribution
    real = view.some_real
    parts = {"real": real} if real is not None else {}
    places, axes = plane({**parts, "fake": view.fake})
    some = {role: _finite(rows[:SCATTER]) for role, rows in places.items()}
    flat = view.kind == "points" and view.fake.values.shape[1] == 2
    reads = (
        "Samples should lie where real points lie, as densely, and nowhere else."
        if flat
        else "A flat view in the two directions of largest variance: what lies apart here is apart, what overlaps may "
        "still differ."
    )
    colours = {"real": REAL, "fake": FAKE}
    shown = [("real",), ("fake",), ("real", "fake")] if real is not None else [("fake",)]
    items = []
    for roles in shown:
        parts_shown = {role: some[role].tolist() for role in roles}
        svg = cloud(
            parts_shown,
            [colours[role] for role in roles],
            label=f"Scatter of {' and '.join(roles)} rows",
            axes=axes,
            frame=_frame(list(some.values())),
        )
        title = "Both" if len(roles) == 2 else "Real" if roles == ("real",) else "Samples"
        items.append(Chart(title, Markup(svg)))
    return Picture("Scatter", reads, Charts(tuple(items)), keys=SIDES if real is not None else ())


def _frame(parts: list[Array]) -> list[list[float]]:
    """One frame that holds all of `parts`."""
    both = np.concatenate(parts)
    return [charts._padded(both[:, k].tolist()) for k in (0, 1)]


def _finite(rows: Array) -> Array:
    """Rows that can be drawn, to five digits: no more is seen, and the page stays small."""
    kept = rows[np.isfinite(rows).all(1)]
    return np.array([[float(f"{v:.5g}") for v in row] for row in kept]).reshape(-1, rows.shape[1])


def _columns(view: View) -> Picture:
    """The distribution of every column or coordinate, fake over real."""
    frame = view.frame
    items = [Chart(name, Markup(marginal(frame, name))) for name in frame.names[:MOST_COLUMNS]]
    noun = "column" if view.kind == "table" else "coordinate"
    more = len(frame.names) - len(items)
    lead = f"{more} more {noun}s are not drawn." if more > 0 else ""
    reads = f"Each {noun} by itself: the samples (line) should have the shape of the real rows (area)."
    if view.real is None:
        reads = f"Each {noun} of the samples by itself."
    keys = SIDES if view.real is not None else ()
    return Picture(f"{noun.capitalize()}s one by one", reads, Charts(tuple(items)), lead, keys)


def marginal(frame: Frame, name: str) -> str:
    """One column's distribution, fake over real; of a frame of fakes only, theirs."""
    label = f"Distribution of {name}"
    if "real" in frame.rows:
        shape = marginals.picture(frame, name)
        drawn = charts.levels if shape["kind"] == "category" else charts.histogram
        return drawn(shape, label=f"{label}, real and fake")
    twice = replace(frame, rows={"real": frame.rows["fake"], "fake": frame.rows["fake"]})  # bins by them alone
    alone = marginals.picture(twice, name)
    if alone["kind"] == "category":
        return bars(alone["levels"], {"samples": alone["fake"]}, [FAKE], label=label)
    if not alone["edges"]:
        return ""
    return shares(alone["edges"], {"samples": alone["fake"]}, [FAKE], label=label, stamps=alone["kind"] == "datetime")


def _first_rows(view: View) -> Picture:
    frame = view.frame
    names = frame.names[:MOST_CELLS]
    rows = [
        tuple(frame.cell(j, frame.rows["fake"][k, j]) for j in range(len(names)))
        for k in range(min(FIRST, len(view.fake)))
    ]
    more = len(frame.names) - len(names)
    lead = f"{more} more columns are left out." if more > 0 else ""
    reads = "Read a row across: do its values go together?"
    return Picture("The first rows", reads, Rows(tuple(names), tuple(rows)), lead)
