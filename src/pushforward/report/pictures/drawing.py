"""The charts of a run, drawn by Altair to SVG as those of a comparison are (see `report.charts`)."""

from __future__ import annotations

import hashlib
import itertools
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..charts import _format, _named, _padded
from ..charts import draw as full

Point = tuple[float, float]
FLAT = 1e-3  # relative change under which a curve is drawn as level
_DOT = r'<path transform="translate\([-\d.e]+,[-\d.e]+\)" d="M[\d.]+,0A[^"]*" fill="[^"]*"[^>]*? opacity="[^"]*"/>'
_DOTS = re.compile(f"(?:{_DOT}){{2,}}")
_PARTS = re.compile(r'translate\(([-\d.e]+),([-\d.e]+)\)" d="M([\d.]+),0.*?fill="([^"]*)".*?opacity="([^"]*)"')
_ID = re.compile(r"\b[0-9a-f]{8}-(?:clip|gradient)[\w-]*")
_LONG = re.compile(r"(-?\d+\.\d)\d+")


def draw(chart: Any, label: str, **data: list[dict[str, Any]]) -> str:
    """As `charts.draw`, in fewer bytes: a tenth of a pixel is fine enough, and dots of one look share it."""
    svg = _DOTS.sub(lambda m: _dots(m[0]), full(chart, label, **data))
    ids = list(dict.fromkeys(_ID.findall(svg)))  # Vega counts on from one chart to the next: here each has its own
    svg = _ID.sub(lambda m: f"@{ids.index(m[0])}@", svg)
    svg = re.sub(r"@(\d+)@", rf"{hashlib.sha256(svg.encode()).hexdigest()[:8]}-\1", svg)
    return re.sub(r' (d|transform|cx|cy)="[^"]*"', lambda m: _LONG.sub(r"\1", m[0]), svg)


def _dots(paths: str) -> str:
    """A run of filled circles, as Vega draws them, as one group for every radius, colour and opacity."""
    out = []
    for (radius, colour, opacity), found in itertools.groupby(_PARTS.findall(paths), key=lambda dot: dot[2:]):
        circles = "".join(f'<circle cx="{x}" cy="{y}" r="{radius[:4]}"/>' for x, y, *_ in found)
        out.append(f'<g fill="{colour}" fill-opacity="{opacity}">{circles}</g>')
    return "".join(out)


@dataclass(frozen=True)
class Series:
    """One line of a chart: its `name`, its colour, its points, and dashes where it only serves for reference."""

    name: str
    colour: str
    points: Sequence[Point]
    dashed: bool = False


@dataclass(frozen=True)
class Band:
    """The area between two lines."""

    colour: str
    points: Sequence[tuple[float, float, float]]


def _axes(
    rows: Sequence[Mapping[str, Any]],
    axes: tuple[str | None, str | None],
    ends: tuple[float, float] | None,
    *,
    log: bool,
    percent: bool,
) -> tuple[Any, Any]:
    """The two axes of lines through `rows`."""
    import altair as alt

    at = [row["x"] for row in rows]
    across = alt.X(
        "x:Q",
        scale=alt.Scale(domain=list(ends or (min(at), max(at))), nice=False),
        axis=alt.Axis(tickCount=4, grid=False, title=axes[0], format="~s" if max(at) >= 1000 else "~r"),
    )
    heights = [row["y"] for row in rows]
    low, high = min(heights), max(heights)
    level = not log and high - low < FLAT * max(abs(low), abs(high))  # all but constant: no rounding is drawn large
    span = [low - abs(low) / 10, high + abs(high) / 10] if level else alt.Undefined
    up = alt.Y(
        "y:Q",
        stack=None,
        scale=alt.Scale(type="log") if log else alt.Scale(zero=False, domain=span),
        axis=alt.Axis(
            tickCount=3 if log else 4,
            grid=not log,
            title=axes[1],
            domain=False,
            ticks=False,
            format="~e" if log else "~%" if percent else _format([low, high]),
        ),
    )
    return across, up


def curves(
    series: Sequence[Series],
    *,
    label: str,
    bands: Sequence[Band] = (),
    rules: Sequence[tuple[float, str]] = (),
    axes: tuple[str | None, str | None] = ("step", None),
    log: bool = False,
    percent: bool = False,
    ends: tuple[float, float] | None = None,
    size: tuple[int, int] = (262, 130),
) -> str:
    """Lines over a common axis; `rules` are upright lines, each with its words; `ends` of the axis cut them off."""
    import altair as alt

    rows: list[dict[str, Any]] = [
        {"x": x, "y": y, "line": str(k), "reads": f"{one.name}, {axes[0] or 'at'} {x:,.4g}: {y:.4g}"}
        for k, one in enumerate(series)
        for x, y in one.points
    ]
    if not rows:
        return ""
    names, colours = [str(k) for k in range(len(series))], [one.colour for one in series]
    dashes = [[4, 3] if one.dashed else [1, 0] for one in series]
    across, up = _axes(rows, axes, ends, log=log, percent=percent)
    lines = (
        _named("rows")
        .mark_line(strokeWidth=1.6, aria=False, clip=True)
        .encode(
            x=across,
            y=up,
            color=alt.Color("line:N", scale=alt.Scale(domain=names, range=colours), legend=None),
            strokeDash=alt.StrokeDash("line:N", scale=alt.Scale(domain=names, range=dashes), legend=None),
        )
    )
    layers: list[Any] = []
    data: dict[str, Any] = {"rows": rows}
    for k, band in enumerate(bands):
        data[f"band{k}"] = [{"x": x, "low": low, "high": high} for x, low, high in band.points]
        layers.append(
            _named(f"band{k}")
            .mark_area(opacity=0.18, color=band.colour, aria=False)
            .encode(x=across, y="low:Q", y2="high:Q")
        )
    layers.append(lines)
    if rules:
        data["rules"] = [{"x": x, "reads": reads} for x, reads in rules]
        layers.append(
            _named("rules")
            .mark_rule(color="var(--alarm)", strokeDash=[3, 3], strokeWidth=1.4)
            .encode(x=across, description="reads:N")
        )
    return draw(alt.layer(*layers).properties(width=size[0], height=size[1]), label, **data)


def shares(
    edges: Sequence[float],
    heights: Mapping[str, Sequence[float]],
    colours: Sequence[str],
    *,
    label: str,
    stamps: bool = False,
    dashed: Sequence[str] = (),
    size: tuple[int, int] = (262, 120),
) -> str:
    """Several distributions over the same bins, each a stepped line."""
    import altair as alt

    at = [edge * 1000 for edge in edges] if stamps else list(edges)
    rows = [
        {"at": a, "share": share, "side": str(k)}
        for k, values in enumerate(heights.values())
        for a, share in zip(at, [*values, values[-1]], strict=True)
    ]
    names = [str(k) for k in range(len(heights))]
    dashes = [[4, 3] if name in dashed else [1, 0] for name in heights]
    kind: Any = "temporal" if stamps else "quantitative"
    scale = alt.Scale(zero=False, nice=False, type="utc") if stamps else alt.Scale(zero=False, nice=False)
    shown = alt.Undefined if stamps else _format(edges)
    chart = (
        _named("rows")
        .mark_line(interpolate="step-after", strokeWidth=1.6, aria=False)
        .encode(
            x=alt.X("at", type=kind, scale=scale, axis=alt.Axis(tickCount=4, grid=False, title=None, format=shown)),
            y=alt.Y(
                "share:Q", stack=None, axis=alt.Axis(tickCount=3, format="~%", title=None, domain=False, ticks=False)
            ),
            color=alt.Color("side:N", scale=alt.Scale(domain=names, range=list(colours)), legend=None),
            strokeDash=alt.StrokeDash("side:N", scale=alt.Scale(domain=names, range=dashes), legend=None),
        )
    )
    return draw(chart.properties(width=size[0], height=size[1]), label, rows=rows)


def bars(
    levels: Sequence[str],
    heights: Mapping[str, Sequence[float]],
    colours: Sequence[str],
    *,
    label: str,
    width: int = 190,
) -> str:
    """Several distributions over the same levels: a bar of each, one below the other."""
    import altair as alt

    names = [f"{k}|{name}" for k, name in enumerate(levels)]
    sides = [str(k) for k in range(len(heights))]
    rows = [
        {"level": level, "share": share, "side": str(k), "reads": f"{name}, {level.split('|', 1)[1]}: {share:.2%}"}
        for k, (name, values) in enumerate(heights.items())
        for level, share in zip(names, values, strict=True)
    ]
    cut = "slice(datum.label, indexof(datum.label, '|') + 1)"
    axis = alt.Axis(title=None, ticks=False, domain=False, labelLimit=96, labelExpr=cut)
    chart = (
        _named("rows")
        .mark_bar()
        .encode(
            y=alt.Y("level:N", sort=names, axis=axis, scale=alt.Scale(paddingInner=0.3)),
            yOffset=alt.YOffset("side:N", sort=sides),
            x=alt.X("share:Q", axis=alt.Axis(format="~%", tickCount=3, title=None, domain=False)),
            color=alt.Color("side:N", scale=alt.Scale(domain=sides, range=list(colours)), legend=None),
            description="reads:N",
        )
    )
    step = max(4, min(9, 30 // len(heights)))
    return draw(chart.properties(width=width, height=step * len(heights) * len(names)), label, rows=rows)


def cloud(
    points: Mapping[str, Sequence[Sequence[float]]],
    colours: Sequence[str],
    *,
    label: str,
    axes: Sequence[str],
    side: int = 270,
    traces: Sequence[Sequence[Sequence[float]]] = (),
    faint: Sequence[str] = (),
    frame: Sequence[Sequence[float]] | None = None,
) -> str:
    """Points in the plane, each set in its colour; `traces` are lines over them, from a dot to a bare end.

    faint: the sets that only stand behind the others. frame: ((x low, x high), (y low, y high)), by default what holds
    everything.
    """
    import altair as alt

    rows: list[dict[str, Any]] = [
        {"x": float(p[0]), "y": float(p[1]), "set": str(k), "shown": 0.22 if name in faint else 0.6}
        for k, (name, part) in enumerate(points.items())
        for p in part
    ]
    flat = [(row["x"], row["y"]) for row in rows] + [(float(p[0]), float(p[1])) for line in traces for p in line]
    if not flat:
        return ""
    spans = frame or [_padded([p[k] for p in flat]) for k in (0, 1)]
    x = alt.X("x:Q", scale=alt.Scale(domain=list(spans[0]), nice=False), axis=alt.Axis(title=axes[0], tickCount=5))
    y = alt.Y("y:Q", scale=alt.Scale(domain=list(spans[1]), nice=False), axis=alt.Axis(title=axes[1], tickCount=5))
    names = [str(k) for k in range(len(points))]
    dots = (
        _named("rows")
        .mark_circle(size=10, aria=False, clip=True)
        .encode(
            x=x,
            y=y,
            opacity=alt.Opacity("shown:Q", scale=None),
            color=alt.Color("set:N", scale=alt.Scale(domain=names, range=list(colours)), legend=None),
        )
    )
    layers: list[Any] = [dots]
    data: dict[str, Any] = {"rows": rows}
    if traces:
        data["traces"] = [
            {"x": float(p[0]), "y": float(p[1]), "line": k, "place": i}
            for k, line in enumerate(traces)
            for i, p in enumerate(line)
        ]
        data["starts"] = [{"x": float(line[0][0]), "y": float(line[0][1])} for line in traces]
        line = _named("traces").mark_line(strokeWidth=1.5, opacity=0.85, color="var(--fake)", aria=False, clip=True)
        layers.append(line.encode(x=x, y=y, detail="line:N", order="place:Q"))
        start = _named("starts").mark_circle(size=18, opacity=1, color="var(--fake)", aria=False, clip=True)
        layers.append(start.encode(x=x, y=y))
    return draw(alt.layer(*layers).properties(width=side, height=side), label, **data)


def grid_of_lines(
    table: Mapping[tuple[str, str], Sequence[Point]],
    *,
    most: float,
    label: str,
    size: tuple[int, int] = (88, 42),
) -> str:
    """A small line for every (row, column) of `table`, all on the scale from -`most` to `most`; a rule marks 0."""
    import altair as alt

    down = list(dict.fromkeys(row for row, _ in table))
    across = list(dict.fromkeys(column for _, column in table))
    row_of = {name: f"{k:03d}|{name}" for k, name in enumerate(down)}
    column_of = {name: f"{k:03d}|{name}" for k, name in enumerate(across)}
    rows = [
        {"x": x, "y": y, "row": row_of[a], "column": column_of[b]} for (a, b), line in table.items() for x, y in line
    ]
    cut = "slice(datum.label, indexof(datum.label, '|') + 1)"
    bare = alt.Axis(labels=False, ticks=False, domain=False, grid=False, title=None)
    x = alt.X("x:Q", axis=bare)
    y = alt.Y("y:Q", scale=alt.Scale(domain=[-most, most], nice=False), axis=bare)
    line = alt.Chart().mark_line(strokeWidth=1.8, color="var(--fake)", aria=False).encode(x=x, y=y)
    rule = alt.Chart().mark_rule(color="var(--line)", aria=False).encode(y=alt.datum(0.0))
    header = alt.Header(labelExpr=cut, labelLimit=size[0] + 20, labelFontSize=11, labelFontWeight="normal", title=None)
    side = alt.Header(
        labelExpr=cut, labelAngle=0, labelAlign="right", labelFontSize=11, labelLimit=150, title=None, labelPadding=8
    )
    chart = (
        alt.layer(rule, line, data=alt.NamedData(name="rows"))
        .properties(width=size[0], height=size[1])
        .facet(row=alt.Row("row:N", header=side), column=alt.Column("column:N", header=header), spacing=10)
        .properties(padding={"left": 30, "top": 5, "right": 5, "bottom": 5})
    )
    return draw(chart, label, rows=rows)
