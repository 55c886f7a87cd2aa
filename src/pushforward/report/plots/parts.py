"""What the charts share: titles in lines, names that stay apart, intervals below one another, bars, domains."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ...errors import InputError
from ..standing import FAKE, REAL, SERIES
from ..words import cut, wrapped

INK, MUTED, LINE = "#1d2430", "#5b6573", "#c9cfd8"
TITLE, SUBTITLE = 8.0, 6.4  # pixels a character, about
CUT = "slice(datum.label, indexof(datum.label, '|') + 1)"  # a name without the number that keeps it apart

__all__ = ["CUT", "FAKE", "INK", "LINE", "MUTED", "REAL", "SERIES"]


def data(rows: Sequence[Mapping[str, Any]]) -> Any:
    """Rows of numbers and short texts. A frame, for Altair looks every row of a list over, which takes seconds."""
    import polars as pl

    return pl.DataFrame([dict(row) for row in rows], infer_schema_length=None)


def titled(chart: Any, title: str, *under: str, width: int = 480) -> Any:
    """`chart` under its sentence, broken into lines where it is long; `under` are smaller lines."""
    import altair as alt

    lines = [line for text in under if text for line in wrapped(cut(text, 600), int(width / SUBTITLE))]
    heading = alt.Title(wrapped(cut(title, 600), int(width / TITLE)), subtitle=lines)
    return chart.properties(title=heading)


def apart(names: Sequence[str], most: int = 60) -> list[str]:
    """Names that stay apart even where they are equal, in their order: shown by `CUT`."""
    return [f"{k:04d}|{cut(name, most)}" for k, name in enumerate(names)]


def names_axis(limit: int = 160, **more: Any) -> Any:
    """The axis of names that `apart` made."""
    import altair as alt

    return alt.Axis(
        title=None, ticks=False, domain=False, grid=False, labelExpr=CUT, labelLimit=limit, labelPadding=9, **more
    )


def finite(*values: float | None) -> list[float]:
    """Those that are numbers."""
    return [float(v) for v in values if v is not None and math.isfinite(v)]


def span(values: Sequence[float], pad: float = 0.04) -> list[float]:
    """A domain that holds `values`, with some room."""
    low, high = min(values), max(values)
    room = pad * (high - low) or 0.05 * abs(high) or 0.5
    return [low - room, high + room]


def bins(values: Any, most: int = 40) -> tuple[list[float], list[float]]:
    """(edges, shares) of finite `values` `(n,)`; a bin holds as many whole numbers as any other."""
    values = np.asarray(values, dtype=float)
    low, high = float(values.min()), float(values.max())
    if low == high:
        edges = np.array([low - 0.5, low + 0.5])
    elif bool((values == np.round(values)).all()):
        width = math.ceil((high - low + 1) / most)
        edges = np.arange(low - 0.5, high + width, width)
    else:
        edges = np.linspace(low, high, most + 1)
    counts = np.histogram(values, edges)[0]
    return edges.tolist(), (counts / len(values)).tolist()


def bars(edges: Sequence[float], heights: Sequence[float], colour: str, x: Any, y_title: str, *, of: str) -> Any:
    """A histogram as bars from edge to edge."""
    import altair as alt

    rows = [{"from": a, "to": b, "height": h, "zero": 0} for a, b, h in zip(edges, edges[1:], heights, strict=False)]
    return (
        alt.Chart(data(rows))
        .mark_rect(color=colour, opacity=0.55, stroke="white", strokeWidth=0.5)
        .encode(
            x=x,
            x2="to:Q",
            y=alt.Y("height:Q", title=y_title, axis=alt.Axis(tickCount=4), scale=alt.Scale(domainMin=0)),
            y2="zero:Q",
            tooltip=[
                alt.Tooltip("from:Q", format=".4~g"),
                alt.Tooltip("to:Q", format=".4~g"),
                alt.Tooltip("height:Q", title=of, format=".4~g"),
            ],
        )
    )


def one_of(what: str | None, known: Sequence[str], default: str, thing: str) -> str:
    """`what`, or the default; `InputError` for a chart that there is not."""
    if what is not None and what not in known:
        raise InputError(f"a {thing} has no chart {what!r}; it has {', '.join(known)}")
    return what or default


def intervals(
    rows: Sequence[Mapping[str, Any]],
    *,
    title: str,
    width: int,
    step: int = 24,
    rule: float | None = None,
    domain: Sequence[float] | None = None,
) -> Any:
    """A dot with its interval for every row, below one another on one axis: `name`, `value`, `low` and `high` (None
    where there is none), `colour`, `told` (the tooltip) and, where there is one, the `baseline` as an upright tick.

    rule: an upright line over all of them.
    """
    import altair as alt

    names = apart([str(row["name"]) for row in rows])
    table = [{**row, "name": name, "told": cut(str(row["told"]), 200)} for row, name in zip(rows, names, strict=True)]
    shown = [v for row in rows for v in finite(row["value"], row["low"], row["high"], row.get("baseline"))]
    ends = span([*shown, *finite(rule)]) if domain is None else list(domain)
    x = alt.X("value:Q", title=title, scale=alt.Scale(domain=ends, nice=False, zero=False), axis=alt.Axis(tickCount=6))
    y = alt.Y("name:N", sort=names, axis=names_axis())
    colour = alt.Color("colour:N", scale=None)
    base = alt.Chart(data(table)).encode(y=y)
    layers = []
    if rule is not None:
        layers.append(alt.Chart(data([{"value": rule}])).mark_rule(color=MUTED, strokeDash=[4, 4]).encode(x=x))
    bounded = alt.Chart(data([row for row in table if finite(row["low"], row["high"])])).encode(y=y)
    layers.append(bounded.mark_rule(strokeWidth=3, opacity=0.55).encode(x=alt.X("low:Q"), x2="high:Q", color=colour))
    layers.append(
        base.mark_circle(size=80, opacity=1).encode(x=x, color=colour, tooltip=alt.Tooltip("told:N", title=" "))
    )
    based = [row for row in table if finite(row.get("baseline"))]
    if based:
        ticks = alt.Chart(data(based)).mark_tick(thickness=3, size=0.7 * step, color=REAL)
        layers.append(ticks.encode(x="baseline:Q", y=y))
    return alt.layer(*layers).properties(width=width, height=alt.Step(step))
