"""Cards of tests, estimates, single figures, fronts, and rows that were moved."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from .. import sentences
from ..words import counted, cut, figure, interval
from . import html

PARTS = 10  # of a test that are listed
BARS = 40  # of a small histogram
DOTS = 400


def of_test(result: Any) -> str:
    """The decision, the figures, the null sample with the statistic in it, and the parts."""
    rows = f"{result.n_x:,} of data, {result.n_y:,} of the model"
    reached = sentences.of_relabellings(result)
    statistic = figure(result.statistic) + (f"; {reached}" if reached else "")
    lines = [
        ("method", result.method),
        ("statistic", statistic),
        ("", result.convention),
        ("effect", sentences.of_effect(result)),
        ("rows", rows),
        ("time", f"{result.seconds:.2g} s"),
    ]
    parts = [html.facts(lines), _null(result), _parts(result)]
    calls = [".plot()", *([".plot('parts')"] if len(result.parts) > 1 else [])]
    return html.card(sentences.of_test(result) + ".", *parts, html.note("More:", *calls), bad=result.detected())


def _null(result: Any) -> str:
    null = result.null.detach().double().cpu().numpy()
    null = null[np.isfinite(null)]
    if len(null) < 2 or not math.isfinite(result.statistic):
        return ""
    low, high = min(null.min(), result.statistic), max(null.max(), result.statistic)
    if low == high:
        return ""
    counts = np.histogram(null, BARS, (low, high))[0]
    label = f"The statistic under {counted(len(null), 'relabelling')}, and the observed one"
    drawn = html.columns((counts / counts.max()).tolist(), (result.statistic - low) / (high - low), label)
    return f"<p>{drawn}</p>"


def _parts(result: Any) -> str:
    if len(result.parts) < 2:
        return ""
    rows = [
        (cut(part.name, 60), figure(part.statistic), f"{part.pvalue:.2g}", f"{part.adjusted:.2g}")
        for part in result.parts[:PARTS]
    ]
    more = len(result.parts) - len(rows)
    drawn = html.table(("part", "statistic", "p", "p adjusted"), rows, right=(False, True, True, True))
    return drawn + (html.note(f"and {counted(more, 'more part')}.") if more > 0 else "")


def of_estimate(estimate: Any) -> str:
    """The number, its interval and its standard error."""
    error = "" if math.isnan(estimate.stderr) else figure(estimate.stderr)
    head = sentences.of_estimate(estimate)
    return html.card(head, html.facts([("standard error", error)]) if error else "", plain=True)


def of_metric(metric: Any) -> str:
    """The figure beside that of two real sets."""
    better = {"lower": "lower is better", "higher": "higher is better", "baseline": "the nearer to real the better"}
    lines = [
        ("95% interval", interval(metric.low, metric.high)),
        ("real against real", "" if metric.baseline is None else figure(metric.baseline)),
        ("group", metric.group),
        ("reads", f"{metric.reads}; {better.get(metric.direction, metric.direction)}"),
    ]
    from ..page import metric_bar

    bar = metric_bar(metric)
    drawn = "" if bar is None else html.strip(bar.low, bar.high, bar.value, bar.baseline, bar.reads)
    return html.card(f"{metric.name} {figure(metric.value)}", drawn, html.facts(lines), plain=True)


def of_trade_off(found: Any) -> str:
    """Its front, under the names of its losses."""
    return of_front(found.front, found.names)


def of_front(front: Any, names: Sequence[str] = ()) -> str:
    """How many points are on it, between which losses, and a small picture of two."""
    losses = front.losses.detach().double().cpu().numpy()
    ends = [
        (names[k] if names else f"loss {k + 1}", f"{figure(float(values.min()))} … {figure(float(values.max()))}")
        for k, values in enumerate(losses.T)
        if len(values)
    ]
    drawn = ""
    if losses.shape[1] == 2 and len(losses) > 1:
        drawn = html.dots(_placed(losses[:DOTS]), "The second loss over the first")
    return html.card(
        sentences.of_front(front) + ".", html.facts(ends), drawn, html.note("More:", ".plot()"), plain=True
    )


def of_transported(moved: Any) -> str:
    """How far the rows went, and where they lie in the first two coordinates."""
    rows = np.asarray(moved.rows.detach().cpu() if hasattr(moved.rows, "detach") else moved.rows)
    path = f"{len(moved.path):,} snapshots" if len(moved.path) else "none kept (keep=)"
    lines = [
        ("rows", " × ".join(f"{n:,}" for n in rows.shape)),
        ("path", path),
        ("time", f"{moved.seconds:.2g} s"),
    ]
    drawn = html.dots(_placed(rows[:DOTS]), "The rows where they ended") if rows.shape[1:] == (2,) else ""
    head = sentences.of_transported(moved) + "."
    return html.card(head, html.facts(lines), drawn, html.note("More:", ".plot()", ".plot('speed')"), plain=True)


def _placed(points: Any) -> list[tuple[float, float]]:
    """Points of the plane in the unit square."""
    points = np.asarray(points, dtype=float)
    points = points[np.isfinite(points).all(1)]
    if not len(points):
        return []
    low, span = points.min(0), np.ptp(points, axis=0)
    found = (points - low) / np.where(span > 0, span, 1.0)
    return [(float(x), float(y)) for x, y in found]
