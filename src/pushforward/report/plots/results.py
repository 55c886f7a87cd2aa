"""Charts of tests and estimates."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from ...errors import InputError
from .. import sentences
from ..words import counted, cut, figure, interval, p_value, wrapped
from .parts import FAKE, MUTED, REAL, bars, bins, data, finite, intervals, one_of, span, titled

MOST = 25  # parts of a test
BETTING = ("betting", "e-c2st")  # their statistic is a log wealth, whose tail Ville's inequality bounds


def of_test(
    result: Any, what: str | None = None, *, alpha: float = 0.05, most: int = MOST, width: int = 480, height: int = 220
) -> Any:
    """Of a `TestResult`: "null", the statistic under relabelling and as it was observed (for a law that is not a
    sample: the p-value); "parts", the single statistics of a test that joins several, at most `most`."""
    kept = np.asarray(result.null.detach().double().cpu())
    kept = kept[np.isfinite(kept)]
    known = ["null", *(["parts"] if result.parts else [])]
    default = "parts" if len(kept) < 2 and len(result.parts) > 1 else "null"
    title = sentences.of_test(result, alpha)
    about = f"{result.method}, {result.n_x:,} rows of data and {result.n_y:,} of the model"
    if one_of(what, known, default, "test") == "parts":
        return titled(_parts(result, alpha, most, width), title, about, _shown(result, most), width=width)
    effect = sentences.of_effect(result)
    under = [about, f"effect {effect}" if effect else ""]
    if len(kept) < 2 or not math.isfinite(result.statistic):
        drawn = _betting if result.method in BETTING else _law
        return titled(drawn(result, alpha, width), title, *under, width=width)
    reached = sentences.of_relabellings(result)
    legend = f"blue: the statistic under relabelling; vermilion: as observed{f', {reached}' if reached else ''}"
    return titled(_null(result, kept, width, height), title, *under, legend, width=width)


def _null(result: Any, kept: Any, width: int, height: int) -> Any:
    import altair as alt

    edges, shares = bins(kept, 40)
    words = wrapped(f"statistic: {result.convention or result.method}", int(width / 6.5))
    x = alt.X(
        "from:Q",
        title=words,
        scale=alt.Scale(domain=span([*edges, result.statistic]), nice=False, zero=False),
        axis=alt.Axis(tickCount=6, grid=False),
    )
    null = bars(edges, [s * len(kept) for s in shares], REAL, x, "relabellings", of="relabellings")
    seen = alt.Chart(data([{"at": result.statistic, "told": figure(result.statistic)}]))
    rule = seen.mark_rule(color=FAKE, strokeWidth=3).encode(x="at:Q", tooltip=alt.Tooltip("told:N", title="observed"))
    middle = (span([*edges, result.statistic])[0] + span([*edges, result.statistic])[1]) / 2
    right = result.statistic > middle
    text = seen.mark_text(color=FAKE, align="right" if right else "left", dx=-7 if right else 7, baseline="top", y=2)
    return alt.layer(null, rule, text.encode(x="at:Q", text="told:N")).properties(width=width, height=height)


def _law(result: Any, alpha: float, width: int) -> Any:
    """The p-value on a log axis: all that is known where the null is a law and not a sample."""
    import altair as alt

    p = max(float(result.pvalue), 1e-300)
    ends = [min(p / 3, alpha / 50), 1.0]
    scale = alt.Scale(type="log", domain=ends, nice=False, clamp=True)
    decades = -math.floor(math.log10(ends[0]))
    at = [10.0**-k for k in range(0, decades + 1, math.ceil(decades / 8))]
    x = alt.X("p:Q", scale=scale, title="p-value, exact or by its limiting law", axis=alt.Axis(values=at, format="~g"))
    seen = alt.Chart(data([{"p": p, "one": 1.0, "told": p_value(result.pvalue)}]))
    bar = seen.mark_rule(color=FAKE, strokeWidth=4, opacity=0.6).encode(x=x, x2="one:Q")
    dot = seen.mark_circle(color=FAKE, size=130, opacity=1).encode(x=x, tooltip=alt.Tooltip("told:N", title=" "))
    level = alt.Chart(data([{"p": alpha, "told": f"level {alpha:g}"}]))
    rule = level.mark_rule(color=MUTED, strokeDash=[4, 4]).encode(x=x)
    text = level.mark_text(color=MUTED, align="left", dx=5, y=8).encode(x=x, text="told:N")
    return alt.layer(rule, text, bar, dot).properties(width=width, height=70)


def _betting(result: Any, alpha: float, width: int) -> Any:
    """Ville's bound of the chance that the wealth ever grows as large, and the largest that it was."""
    import altair as alt

    wealth = max(0.0, float(result.statistic))
    top = 1.25 * max(wealth, -math.log(alpha))
    at = np.linspace(0.0, top, 101).tolist()
    x = alt.X("at:Q", title="largest log wealth, in nats", scale=alt.Scale(domain=[0, top], nice=False))
    y = alt.Y("p:Q", title="chance at most", scale=alt.Scale(domain=[0, 1]), axis=alt.Axis(tickCount=5))
    curve = alt.Chart(data([{"at": v, "p": math.exp(-v)} for v in at])).mark_line(color=REAL).encode(x=x, y=y)
    marks = [{"at": wealth, "p": math.exp(-wealth), "told": f"observed {figure(wealth)}"}]
    dot = alt.Chart(data(marks)).mark_circle(color=FAKE, size=130, opacity=1)
    level = alt.Chart(data([{"p": alpha, "told": f"level {alpha:g}"}]))
    rule = level.mark_rule(color=MUTED, strokeDash=[4, 4]).encode(y="p:Q")
    text = level.mark_text(color=MUTED, align="right", baseline="bottom", dy=-3).encode(
        x=alt.value(width - 4), y="p:Q", text="told:N"
    )
    chart = alt.layer(rule, text, curve, dot.encode(x=x, y=y, tooltip=alt.Tooltip("told:N", title=" ")))
    return chart.properties(width=width, height=180)


def _parts(result: Any, alpha: float, most: int, width: int) -> Any:
    rows = [
        {
            "name": part.name,
            "value": part.statistic,
            "low": None,
            "high": None,
            "colour": FAKE if part.adjusted <= alpha else REAL,
            "told": f"{part.name}: {figure(part.statistic)}, {p_value(part.pvalue)}, adjusted {part.adjusted:.2g}",
        }
        for part in result.parts[:most]
        if math.isfinite(part.statistic)
    ]
    if not rows:
        raise InputError("this test's parts have no statistics to draw")
    return intervals(rows, title="statistic of each part", width=width)


def _shown(result: Any, most: int) -> str:
    found = sum(part.adjusted <= 0.05 for part in result.parts)
    left = len(result.parts) - most
    told = f"vermilion: the {counted(found, 'part')} whose adjusted p-value is at most 0.05" if found else ""
    return f"{told}{'; ' if told and left > 0 else ''}{f'{left:,} more are not drawn' if left > 0 else ''}"


def of_estimate(estimate: Any, *, name: str = "", baseline: float | None = None, width: int = 480) -> Any:
    """Of an `Estimate`: the point with its interval, and the figure between two real sets where it is given."""
    told = f"{cut(name, 60) or 'The estimate'} is {sentences.of_estimate(estimate)}"
    return of_estimates({name: estimate}, baseline=baseline, width=width, title=told)


def of_estimates(
    estimates: Mapping[str, Any], *, baseline: float | None = None, title: str = "", width: int = 480
) -> Any:
    """Of estimates by name: a point with its interval each, in their order."""
    rows = [
        {
            "name": name,
            "value": one.value,
            "low": one.low if math.isfinite(one.low) else None,
            "high": one.high if math.isfinite(one.high) else None,
            "colour": FAKE,
            "told": f"{name} {figure(one.value)} {interval(one.low, one.high)}".strip(),
        }
        for name, one in estimates.items()
        if math.isfinite(one.value)
    ]
    if not rows:
        raise InputError("there is no finite estimate to draw")
    chart = intervals(rows, title="estimate", width=width, step=34, rule=baseline)
    best = min(rows, key=lambda row: row["value"])
    told = title or f"{cut(best['name'], 60)} has the smallest of {len(rows)} estimates, {figure(best['value'])}"
    bounded = finite(*(row["low"] for row in rows))
    levels = {f"{100 * one.level:g}%" for one in estimates.values()}
    under = f"lines: {' and '.join(sorted(levels))} intervals" if bounded and len(rows) > 1 else ""
    return titled(chart, told, under, f"dashed: {figure(baseline)}" if baseline is not None else "", width=width)
