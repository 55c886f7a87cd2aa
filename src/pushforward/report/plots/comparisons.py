"""Charts of a comparison."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from ...errors import InputError
from ..reading import GROUPS
from ..words import counted, cut, figure, interval, listed
from .parts import (
    FAKE,
    MUTED,
    REAL,
    apart,
    data,
    finite,
    intervals,
    names_axis,
    span,
    titled,
)

KINDS = ("figures", "columns", "roc", "scores", "scatter")
MOST = 25  # columns
STRIP = 22  # pixels of a figure
SIDES = ("real", "fake")


def of_comparison(
    comparison: Any,
    what: str | None = None,
    *,
    column: str | None = None,
    most: int = MOST,
    width: int = 480,
    height: int = 240,
) -> Any:
    """Of a `Comparison`: "figures" beside what two sets of real data give, "columns" by rank, "roc" and "scores" of the
    classifier, "scatter" of rows, or, by its name, the two distributions of a column (`column=` where it is called like
    one of these)."""
    if column is None and what is not None and what not in KINDS:
        what, column = None, what
    if column is not None:
        return _column(comparison, column, width, height)
    if what == "columns":
        return _columns(comparison, most, width)
    if what == "roc":
        return _roc(comparison, height)
    if what == "scores":
        view = comparison.views["scores"]
        told = f"{comparison.verdict.sentence}"
        chart = _shapes(view, width, height, "classifier's score, log odds of real to fake")
        return titled(chart, told, _key(), width=width)
    if what == "scatter":
        return _scatter(comparison, height)
    return _figures(comparison, width)


def _key() -> str:
    return "blue: real; vermilion: fake"


# ---- figures


def _figures(comparison: Any, width: int) -> Any:
    """Every figure on a line of its own, from left to right where its interval and its baseline lie."""
    import altair as alt

    strip = max(120, width - 260)
    panels = []
    for group in dict.fromkeys(metric.group for metric in comparison.metrics):
        metrics = [metric for metric in comparison.metrics if metric.group == group]
        heading = GROUPS.get(group, (group.capitalize(), ""))[0]
        panel = _strips(metrics, strip)
        panels.append(panel.properties(title=alt.Title(heading, fontSize=12.5, anchor="start", offset=4)))
    if not panels:
        raise InputError("this comparison has no figures to draw; its verdict stands by itself")
    chart = alt.vconcat(*panels, spacing=10)
    under = "vermilion: the figure with its 95% interval; blue: the same figure between two real sets"
    return titled(chart, comparison.verdict.sentence, under, "each line has a scale of its own", width=width + 120)


def _strips(metrics: Sequence[Any], width: int) -> Any:
    import altair as alt

    names = apart([metric.name for metric in metrics], 30)
    rows = [_placed(name, metric) for name, metric in zip(names, metrics, strict=True)]
    scale = alt.Scale(domain=[0, 100], nice=False)

    def at(name: str) -> Any:
        return alt.X(f"{name}:Q", scale=scale, axis=None)

    y = alt.Y("name:N", sort=names, axis=names_axis(150, minExtent=150, maxExtent=150))
    base, spans, ticks = (
        alt.Chart(data([row for row in rows if row[needed] is not None])).encode(y=y)
        for needed in ("value", "low", "baseline")
    )
    return alt.layer(
        base.mark_rule(color="#e3e7ed").encode(x=at("start"), x2="end:Q"),
        spans.mark_rule(color=FAKE, strokeWidth=4, opacity=0.5).encode(x=at("low"), x2="high:Q"),
        ticks.mark_tick(color=REAL, thickness=3, size=14).encode(x=at("baseline")),
        base.mark_circle(color=FAKE, size=70).encode(x=at("value"), tooltip=alt.Tooltip("reads:N", title=" ")),
        base.mark_text(align="left", color="#3d4653", fontSize=11.5).encode(x=alt.value(width + 12), text="told:N"),
    ).properties(width=width, height=alt.Step(STRIP))


def _placed(name: str, metric: Any) -> dict[str, Any]:
    """Where a figure, its interval and its baseline lie from 0 to 100, and what is said beside them."""
    ends = finite(metric.value, metric.low, metric.high, metric.baseline)
    low, high = span(ends, 0.06) if ends else (0.0, 1.0)
    low = 0.0 if 0 <= min(ends, default=0.0) < 0.5 * high else low

    def place(v: float | None) -> float | None:
        return None if v is None or not math.isfinite(v) else round(100 * (v - low) / (high - low), 2)

    between = interval(metric.low, metric.high)
    told = figure(metric.value) + (f"  ({between})" if between else "")
    beside = "" if metric.baseline is None else f"   real {figure(metric.baseline)}"
    return {
        "name": name,
        "value": place(metric.value),
        "low": place(metric.low),
        "high": place(metric.high),
        "baseline": place(metric.baseline),
        "told": told + beside,
        "reads": cut(metric.reads, 200),
        "start": 0,
        "end": 100,
    }


# ---- columns


def _columns(comparison: Any, most: int, width: int) -> Any:
    columns, alpha = comparison.columns, comparison.alpha
    if not columns:
        raise InputError("this comparison has no columns to draw")
    moved = [column for column in columns if column.pvalue_adjusted <= alpha]
    rows = [
        {
            "name": column.name,
            "value": column.statistic,
            "low": column.low,
            "high": column.high,
            "baseline": column.baseline,
            "colour": FAKE if column.pvalue_adjusted <= alpha else MUTED,
            "told": f"{column.name}: {figure(column.statistic)}, adjusted p {column.pvalue_adjusted:.2g}",
        }
        for column in columns[:most]
    ]
    top = max(v for row in rows for v in finite(row["value"], row["high"], row["baseline"]))
    chart = intervals(
        rows,
        title="distance of the two distributions, 0 to 1",
        width=width,
        step=20,
        domain=[0, min(1.0, 1.04 * top) or 1],
    )
    if moved:
        head = f"{len(moved)} of {counted(len(columns), 'column')} {'differs' if len(moved) == 1 else 'differ'}: "
        head += listed([cut(column.name, 40) for column in moved])
    else:
        head = f"None of {counted(len(columns), 'column')} was seen to differ"
    left = len(columns) - len(rows)
    under = f"vermilion: adjusted p at most {alpha:g}; lines: 95% intervals; blue: between real sets"
    return titled(chart, head, under, f"{left:,} more are not drawn" if left > 0 else "", width=width + 100)


def _column(comparison: Any, name: str, width: int, height: int) -> Any:
    found = next((column for column in comparison.columns if column.name == name), None)
    view = comparison.views.get("columns", {}).get(name)
    if found is None or view is None:
        drawn = list(comparison.views.get("columns", {}))
        if found is not None:
            raise InputError(f"column {cut(name, 80)!r} is not drawn; {listed(drawn, 12)} are")
        known = f"charts: {', '.join(KINDS)}; columns: {listed(drawn, 12)}"
        raise InputError(f"{cut(name, 80)!r} is no chart and no column; {known}")
    noun = "differs" if found.pvalue_adjusted <= comparison.alpha else "was not seen to differ"
    between = interval(found.low, found.high)
    head = f"{cut(name, 80)} {noun}: distance {figure(found.statistic)} ({between})"
    beside = f"adjusted p = {found.pvalue_adjusted:.2g}; between two real sets the distance is {figure(found.baseline)}"
    if view["kind"] == "category":
        return titled(_levels(view, width), head, _key(), beside, width=width)
    if not view["edges"]:
        raise InputError(f"{cut(name, 80)!r} has no values on either side to draw")
    return titled(_shapes(view, width, height, ""), head, _key(), beside, width=width)


def _shapes(view: Mapping[str, Any], width: int, height: int, title: str) -> Any:
    """Two distributions over the same bins: real as an area, fake as a line."""
    import altair as alt

    stamps = view.get("kind") == "datetime"
    edges = [1000 * edge if stamps else edge for edge in view["edges"]]
    rows = [
        {"at": at, "share": share, "side": side}
        for side in SIDES
        for at, share in zip(edges, [*view[side], view[side][-1]], strict=True)
    ]
    kind: Any = "temporal" if stamps else "quantitative"
    scale = alt.Scale(zero=False, nice=False, type="utc") if stamps else alt.Scale(zero=False, nice=False)
    x = alt.X("at", type=kind, scale=scale, title=title or None, axis=alt.Axis(grid=False, tickCount=6))
    y = alt.Y("share:Q", stack=None, title="share of rows", axis=alt.Axis(format="~%", tickCount=4))
    real, fake = (alt.Chart(data([row for row in rows if row["side"] == side])).encode(x=x, y=y) for side in SIDES)
    area = real.mark_area(interpolate="step-after", color=REAL, opacity=0.28, line={"color": REAL, "strokeWidth": 1.2})
    line = fake.mark_line(interpolate="step-after", color=FAKE, strokeWidth=2)
    return alt.layer(area, line).properties(width=width, height=height)


def _levels(view: Mapping[str, Any], width: int) -> Any:
    """Two distributions over the same levels: a bar of each."""
    import altair as alt

    names = apart([str(level) for level in view["levels"]], 40)
    rows = [
        {"level": name, "share": share, "side": side}
        for side in SIDES
        for name, share in zip(names, view[side], strict=True)
    ]
    return (
        alt.Chart(data(rows))
        .mark_bar()
        .encode(
            y=alt.Y("level:N", sort=names, axis=names_axis()),
            yOffset=alt.YOffset("side:N", sort=list(SIDES)),
            x=alt.X("share:Q", title="share of rows", axis=alt.Axis(format="~%", tickCount=5)),
            color=alt.Color("side:N", scale=alt.Scale(domain=list(SIDES), range=[REAL, FAKE]), legend=None),
            tooltip=[alt.Tooltip("side:N"), alt.Tooltip("share:Q", format=".2%")],
        )
        .properties(width=width, height=alt.Step(11))
    )


# ---- the classifier, the plane


def _roc(comparison: Any, side: int) -> Any:
    import altair as alt

    view, verdict = comparison.views["roc"], comparison.verdict
    side = max(side, 280)
    rows = [{"x": x, "y": y} for x, y in zip(view["false"], view["true"], strict=True)]
    percent = alt.Axis(format="%", tickCount=5)
    x = alt.X("x:Q", title="fake rows taken for real", axis=percent, scale=alt.Scale(domain=[0, 1]))
    y = alt.Y("y:Q", title="real rows taken for real", axis=percent, scale=alt.Scale(domain=[0, 1]), stack=None)
    chance = alt.Chart(data([{"x": 0, "y": 0}, {"x": 1, "y": 1}])).encode(x=x, y=y)
    curve = alt.Chart(data(rows)).encode(x=x, y=y)
    chart = alt.layer(
        chance.mark_line(color=MUTED, strokeDash=[4, 4], strokeWidth=1),
        curve.mark_area(color=FAKE, opacity=0.12),
        curve.mark_line(color=FAKE),
    ).properties(width=side, height=side)
    between = interval(verdict.auc_low, verdict.auc_high)
    head = f"A classifier tells real from fake with AUC {figure(verdict.auc)} ({between})"
    return titled(chart, head, "on rows that it has not seen; dashed: a coin, 0.5", width=side + 60)


def _scatter(comparison: Any, side: int) -> Any:
    import altair as alt

    view = comparison.views["pca"]
    axes, explained = list(view["axes"]), view.get("explained")
    titles = [f"{axis} ({explained[k]:.0%} of the variance)" if explained else axis for k, axis in enumerate(axes)]
    points = {role: view[role] for role in SIDES}
    flat = [p for part in points.values() for p in part]
    if not flat:
        raise InputError("this comparison kept no rows to draw")
    rows = {
        role: [{"x": p[0], "y": p[1] if len(p) > 1 else k % 97 / 97} for k, p in enumerate(part)]
        for role, part in points.items()
    }
    every = [row for part in rows.values() for row in part]
    side = max(side, 260)
    x = alt.X("x:Q", title=titles[0], scale=alt.Scale(domain=span([r["x"] for r in every]), nice=False))
    y_axis = alt.Axis() if len(axes) > 1 else None
    y = alt.Y(
        "y:Q",
        title=titles[1] if len(axes) > 1 else None,
        scale=alt.Scale(domain=span([r["y"] for r in every]), nice=False),
        axis=y_axis,
    )
    colours = dict(zip(SIDES, (REAL, FAKE), strict=True))
    panels = [
        alt.Chart(data(part)).mark_circle(size=14, opacity=0.5, color=colours[role]).encode(x=x, y=y)
        for role, part in rows.items()
    ]
    chart = alt.hconcat(*(panel.properties(width=side, height=side) for panel in panels), spacing=24)
    return titled(chart, comparison.verdict.sentence, _key(), width=2 * side + 60)
