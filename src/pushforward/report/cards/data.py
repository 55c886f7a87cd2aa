"""The card of a data set: its kind and size, its columns with their kinds, and its first rows as one looks at them."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..words import cell, counted, cut
from . import html

ROWS, CELLS = 5, 14  # of a table that are shown
TILES, ACROSS = 24, 12  # images
DOTS = 300
POINTS = 8  # coordinates of a point that are shown


def of_dataset(data: Any) -> str:
    """The data set in a sentence, then its first rows: cells, thumbnails, or points of the plane."""
    shown = {"table": _table, "points": _points, "images": _images}[data.kind](data)
    made_by = data.made_by or {}
    more = [
        ("given", f"{counted(len(data.given), 'row')} of {data.given.kind}" if data.given is not None else ""),
        (
            "made by",
            cut(", ".join(f"{k} {v}" for k, v in made_by.items() if not isinstance(v, dict)), 200),
        ),
        ("sampled", cut(str(dict(data.sampled)), 200) if data.sampled else ""),
    ]
    lines = html.facts(more) if any(value for _, value in more) else ""
    return html.card(sentence(data), shown, lines, html.note("More:", ".plot()"), plain=True)


def sentence(data: Any) -> str:
    """`flights: a table of 50,000 rows and 19 columns`."""
    name, n = cut(data.name, 100), len(data)
    if data.kind == "table":
        return f"{name}: a table of {counted(n, 'row')} and {counted(len(data.values.columns), 'column')}"
    if data.kind == "points":
        return f"{name}: {counted(n, 'point')} of {counted(data.values.shape[1], 'coordinate')}"
    c, h, w = data.values.shape[1:]
    return f"{name}: {counted(n, 'image')} of {h} × {w} pixels, {'grey' if c == 1 else 'in colour'}"


def _table(data: Any) -> str:
    frame = data.values
    names = frame.columns[:CELLS]
    told = data.columns or {}
    heads = [f"{cut(name, 40)}\n{told.get(name) or kind(frame.schema[name])}" for name in names]
    right = [frame.schema[name].is_numeric() for name in names]
    rows = [[cell(value) for value in row] for row in frame[:ROWS].select(names).rows()]
    left = len(frame.columns) - len(names)
    more = html.note(f"and {counted(left, 'more column')}.") if left > 0 else ""
    return html.table(heads, rows, right=right) + more


def kind(dtype: Any) -> str:
    """What a column of this polars type holds, in a word."""
    import polars as pl

    if dtype.is_integer():
        return "integer"
    if dtype.is_numeric():
        return "number"
    words = {
        pl.Boolean: "boolean",
        pl.Date: "date",
        pl.Datetime: "datetime",
        pl.Duration: "duration",
        pl.Time: "time",
        pl.String: "text",
        pl.Categorical: "category",
        pl.Enum: "category",
    }
    return next((word for base, word in words.items() if dtype == base), str(dtype).lower())


def _points(data: Any) -> str:
    d = data.values.shape[1]
    if d == 2 and len(data) > 2:
        some = data.values[:: max(1, len(data) // DOTS)][:DOTS].detach().double().cpu().numpy()
        some = some[np.isfinite(some).all(1)]
        if len(some) > 1:
            low, span = some.min(0), np.ptp(some, axis=0)
            placed = (some - low) / np.where(span > 0, span, 1.0)
            label = f"{counted(len(some), 'point')} of the plane"
            return html.dots([(float(x), float(y)) for x, y in placed], label)
    heads = [f"x{k + 1}" for k in range(min(d, POINTS))]
    rows = [[cell(float(v)) for v in row[:POINTS]] for row in data.values[:ROWS].tolist()]
    more = html.note(f"and {counted(d - POINTS, 'more coordinate')}.") if d > POINTS else ""
    return html.table(heads, rows, right=[True] * len(heads)) + more


def _images(data: Any) -> str:
    from ..thumbnails import thumbnails

    if not len(data):
        return ""
    uri, width, _ = thumbnails(data.values[:TILES], ACROSS)
    return html.image(uri, width, f"The first {min(TILES, len(data))} images")
