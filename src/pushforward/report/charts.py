"""The pictures of the page: Altair specifications, drawn once to SVG.

SVG and no script: the page is a tenth of one with Vega inside, prints sharply, and shows where scripts are forbidden
(mail, the artifact viewers of CI servers). Colours are the page's CSS variables, so pictures follow light and dark;
what a mark stands for is its tooltip and its text for screen readers. User text only ever enters as data values, never
as field names, and Vega escapes it.
"""

from __future__ import annotations

import hashlib
import itertools
import re
from collections.abc import Mapping, Sequence
from typing import Any

REAL, FAKE = "var(--real)", "var(--fake)"
FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, Helvetica, Arial, sans-serif"
CONFIG: dict[str, Any] = {
    "background": None,
    "font": FONT,
    "view": {"stroke": None},
    "axis": {
        "labelColor": "var(--muted)",
        "titleColor": "var(--muted)",
        "domainColor": "var(--line)",
        "tickColor": "var(--line)",
        "gridColor": "var(--grid)",
        "titleFontWeight": "normal",
        "labelFontSize": 10.5,
        "titleFontSize": 11,
        "labelLimit": 110,
    },
    "header": {"labelColor": "var(--ink)", "labelFontSize": 12, "title": None, "labelFontWeight": 600},
}


def draw(chart: Any, label: str, **data: list[dict[str, Any]]) -> str:
    """`chart` as an `<svg>` that says `label` to screen readers and scales with the page.

    `data`: the rows of the data sets that the chart names; they join after Altair has looked the specification over,
    which would otherwise spend seconds on validating numbers.
    """
    import vl_convert
    from markupsafe import escape

    svg = vl_convert.vegalite_to_svg({**chart.to_dict(), "config": CONFIG, "datasets": data})
    svg = _unique_ids(svg[svg.index("<svg") :])
    svg = _tooltips(svg)
    return svg.replace("<svg ", f'<svg role="img" aria-label="{escape(label)}" ', 1)


def _named(name: str) -> Any:
    """A chart of the data set called `name`."""
    import altair as alt

    return alt.Chart(alt.NamedData(name=name))


def _tooltips(svg: str) -> str:
    """Give every labelled mark a `<title>`, which browsers show as a tooltip."""
    mark = re.compile(r'<(path|rect|line) ([^<>]*?)aria-label="([^"]*)" role="graphics-symbol"([^<>]*?)/>')
    return mark.sub(lambda m: f"<{m[1]} {m[2]}{m[4].lstrip()}><title>{m[3]}</title></{m[1]}>", svg)


def _unique_ids(svg: str) -> str:
    """Several pictures share one page: their clip paths may not share names."""
    prefix = hashlib.sha256(svg.encode()).hexdigest()[:8] + "-"
    return re.sub(r'(id="|url\(#)', lambda m: m[1] + prefix, svg)


def histogram(view: Mapping[str, Any], *, width: int = 262, height: int = 112, title: str = "", label: str) -> str:
    """Two distributions over the same bins: real as an area, fake as a line."""
    import altair as alt

    edges = view["edges"]
    if not edges:
        return ""
    stamps = view.get("kind") == "datetime"
    at = [edge * 1000 for edge in edges] if stamps else edges
    rows = []
    for side in ("real", "fake"):
        heights = [*view[side], view[side][-1]]
        rows += [{"at": a, "share": s, "side": side} for a, s in zip(at, heights, strict=True)]
    kind: Any = "temporal" if stamps else "quantitative"
    scale = alt.Scale(zero=False, nice=False, type="utc") if stamps else alt.Scale(zero=False, nice=False)
    axis = alt.Axis(tickCount=4, grid=False, title=title or None, format=alt.Undefined if stamps else _format(edges))
    x = alt.X("at", type=kind, scale=scale, axis=axis)
    y = alt.Y("share:Q", stack=None, axis=alt.Axis(tickCount=3, format="~%", title=None, domain=False, ticks=False))
    base = _named("rows").encode(x=x, y=y)
    area = base.transform_filter("datum.side == 'real'").mark_area(
        interpolate="step-after", color=REAL, opacity=0.28, aria=False
    )
    real = base.transform_filter("datum.side == 'real'").mark_line(
        interpolate="step-after", color=REAL, strokeWidth=1.2, aria=False
    )
    fake = base.transform_filter("datum.side == 'fake'").mark_line(
        interpolate="step-after", color=FAKE, strokeWidth=1.8, aria=False
    )
    spans = [
        {
            "from": a,
            "to": b,
            "top": max(r, f),
            "reads": f"{_stamp(p, stamps)} to {_stamp(q, stamps)}: real {r:.2%}, fake {f:.2%}",
        }
        for a, b, p, q, r, f in zip(at, at[1:], edges, edges[1:], view["real"], view["fake"], strict=False)
    ]
    hover = (
        _named("spans")
        .mark_rect(opacity=0, fill="var(--ink)")
        .encode(x=alt.X("from", type=kind, scale=scale), x2="to", description="reads:N")
    )
    chart = alt.layer(area, real, fake, hover).properties(width=width, height=height)
    return draw(chart, label, rows=rows, spans=spans)


def _format(edges: Sequence[float]) -> str:
    """Plain numbers, and 12k for 12,000; never the milli of SI."""
    return "~s" if max(abs(edges[0]), abs(edges[-1])) >= 10_000 else "~r"


def _stamp(value: float, stamps: bool) -> str:
    if not stamps:
        return f"{value:.4g}"
    import datetime

    return f"{datetime.datetime.fromtimestamp(value, datetime.UTC):%Y-%m-%d %H:%M}"


def levels(view: Mapping[str, Any], *, width: int = 190, step: int = 9, label: str) -> str:
    """Two distributions over the same levels: a bar of each, real above fake."""
    import altair as alt

    names = [f"{k}|{name}" for k, name in enumerate(view["levels"])]  # equal names (after cutting) stay apart
    rows = [
        {"level": name, "share": share, "side": side, "reads": f"{name.split('|', 1)[1]}: {side} {share:.2%}"}
        for side in ("real", "fake")
        for name, share in zip(names, view[side], strict=True)
    ]
    axis = alt.Axis(
        title=None,
        ticks=False,
        domain=False,
        labelLimit=96,
        labelExpr="slice(datum.label, indexof(datum.label, '|') + 1)",
    )
    chart = (
        _named("rows")
        .mark_bar()
        .encode(
            y=alt.Y("level:N", sort=names, axis=axis, scale=alt.Scale(paddingInner=0.3)),
            yOffset=alt.YOffset("side:N", sort=["real", "fake"]),
            x=alt.X("share:Q", axis=alt.Axis(format="~%", tickCount=3, title=None, domain=False)),
            color=alt.Color("side:N", scale=alt.Scale(domain=["real", "fake"], range=[REAL, FAKE]), legend=None),
            description="reads:N",
        )
    )
    return draw(chart.properties(width=width, height=2 * step * len(names)), label, rows=rows)


def roc(view: Mapping[str, Any], auc: float, *, side: int = 280) -> str:
    """The share of real rows found against the share of fake rows taken for real."""
    import altair as alt

    rows = [
        {"x": x, "y": y, "reads": f"of fake rows {x:.1%}, of real rows {y:.1%} pass for real"}
        for x, y in zip(view["false"], view["true"], strict=True)
    ]
    at = alt.X(
        "x:Q", axis=alt.Axis(format="%", tickCount=5, title="fake rows taken for real"), scale=alt.Scale(domain=[0, 1])
    )
    up = alt.Y(
        "y:Q",
        stack=None,
        axis=alt.Axis(format="%", tickCount=5, title="real rows taken for real"),
        scale=alt.Scale(domain=[0, 1]),
    )
    base = _named("rows").encode(x=at, y=up)
    chance = _named("diagonal").mark_line(color="var(--muted)", strokeDash=[4, 4], strokeWidth=1, aria=False)
    area = base.mark_area(color="var(--ink)", opacity=0.07, aria=False)
    line = base.mark_line(color="var(--ink)", strokeWidth=2, aria=False)
    dots = base.mark_point(opacity=0, filled=True, size=60).encode(description="reads:N")
    chart = alt.layer(area, chance.encode(x=at, y=up), line, dots).properties(width=side, height=side)
    diagonal = [{"x": 0, "y": 0}, {"x": 1, "y": 1}]
    return draw(chart, f"ROC curve, area {auc:.3f}", rows=rows, diagonal=diagonal)


def heat_map(view: Mapping[str, Any]) -> str:
    """Fake minus real association for every pair of columns: colour says which is larger, its strength by how much."""
    import altair as alt

    names = [f"{k}|{name}" for k, name in enumerate(view["names"])]
    rows = []
    for i, j in itertools.product(range(len(names)), repeat=2):
        real, fake = view["real"][i][j], view["fake"][i][j]
        if i == j or real is None or fake is None:
            continue
        reads = f"{view['names'][i]} with {view['names'][j]}: real {real:.2f}, fake {fake:.2f}"
        rows.append({"a": names[i], "b": names[j], "d": abs(fake - real), "up": fake > real, "reads": reads})
    if not rows:
        return ""
    step = max(14, min(34, 560 // len(names)))
    top = max(0.1, max(row["d"] for row in rows))
    cut = "slice(datum.label, indexof(datum.label, '|') + 1)"
    axis = alt.Axis(title=None, ticks=False, domain=False, labelExpr=cut, labelLimit=120)
    across = alt.Axis(
        title=None, ticks=False, domain=False, labelExpr=cut, labelLimit=120, labelAngle=-45, orient="bottom"
    )
    chart = (
        _named("rows")
        .mark_rect(stroke="var(--card)", strokeWidth=1)
        .encode(
            x=alt.X("b:N", sort=names, scale=alt.Scale(domain=names), axis=across),
            y=alt.Y("a:N", sort=names, scale=alt.Scale(domain=names), axis=axis),
            fillOpacity=alt.FillOpacity("d:Q", scale=alt.Scale(domain=[0, top], range=[0.03, 1]), legend=None),
            fill=alt.Fill(
                "up:N", scale=alt.Scale(domain=[False, True], range=["var(--real)", "var(--fake)"]), legend=None
            ),
            description="reads:N",
        )
    )
    size = step * len(names)
    return draw(
        chart.properties(width=size, height=size), "Differences of association between pairs of columns", rows=rows
    )


def scatter(view: Mapping[str, Any], *, side: int = 270) -> list[str]:
    """Real, fake, and both, on the same axes: one picture each."""
    import altair as alt

    axes: Sequence[str] = view["axes"]
    explained = view.get("explained")
    titles = [f"{a} ({explained[k]:.0%})" if explained else a for k, a in enumerate(axes)]
    points = {role: view[role] for role in ("real", "fake")}
    flat = [p for part in points.values() for p in part]
    if not flat:
        return []
    spread = [_padded([p[k] for p in flat]) for k in range(len(axes))]
    pictures = []
    for roles in (("real",), ("fake",), ("real", "fake")):
        rows = [
            {"x": p[0], "y": p[1] if len(p) > 1 else k % 97 / 97, "role": role}
            for role in roles
            for k, p in enumerate(points[role])
        ]
        x = alt.X("x:Q", scale=alt.Scale(domain=spread[0], nice=False), axis=alt.Axis(title=titles[0], tickCount=5))
        y_axis = alt.Axis(title=titles[1], tickCount=5) if len(axes) > 1 else None
        y = alt.Y("y:Q", scale=alt.Scale(domain=spread[1] if len(axes) > 1 else [0, 1], nice=False), axis=y_axis)
        color = alt.Color("role:N", scale=alt.Scale(domain=["real", "fake"], range=[REAL, FAKE]), legend=None)
        chart = _named("rows").mark_circle(size=9, opacity=0.55, aria=False).encode(x=x, y=y, color=color)
        pictures.append(
            draw(chart.properties(width=side, height=side), f"Scatter of {' and '.join(roles)} samples", rows=rows)
        )
    return pictures


def _padded(values: Sequence[float]) -> list[float]:
    low, high = min(values), max(values)
    pad = 0.04 * (high - low) or 0.5
    return [low - pad, high + pad]
