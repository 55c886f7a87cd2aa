"""One self-contained HTML page of a comparison: no network, light and dark, for the screen and for paper.

Everything the page shows stands in the `Comparison` (so a saved JSON makes the same page); everything that comes from
the user's data is escaped by Jinja or by Vega. The one script sorts and filters tables; the page's policy admits it by
its hash and nothing else.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..evaluation.comparison import P_FLOOR, Attribution, Column, Comparison, Metric
from ..readings.regions import Region
from . import charts
from .reading import GROUPS, SECTIONS
from .words import cell, figure

MOST_COLUMNS = 200  # rows of the column table; the JSON has them all
MOST_CELLS = 40  # cells of a record that are shown


@dataclass(frozen=True)
class Bar:
    """Where an interval, its value and its baseline lie on a strip from 0 to 100."""

    low: float
    high: float
    value: float
    baseline: float | None
    reads: str
    start: str
    end: str


def environment() -> Any:
    """Jinja with the filters of the pages; everything that is put in is escaped."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    made = Environment(
        loader=PackageLoader("pushforward.report", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    filters: dict[str, Any] = {
        "figure": figure,
        "p": p_text,
        "percent": percent,
        "cell": cell,
        "two": two,
        "count": lambda n: f"{n:,}",
        "claim": claim,
        "share": share,
        "score": score,
    }
    made.filters |= filters
    return made


def dress(made: Any) -> dict[str, Any]:
    """The style sheet and the script of a page, and the hash by which its policy admits the script."""
    from markupsafe import Markup

    script, css = (made.loader.get_source(made, name)[0] for name in ("page.js", "page.css"))
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return {"css": Markup(css), "script": Markup(script), "script_hash": f"sha256-{digest}"}


def html_page(comparison: Comparison) -> str:
    """The page as text; `Comparison.to_html(path)` writes it."""
    from markupsafe import Markup

    made = environment()
    inputs = comparison.inputs
    pictures = {name: Markup(svg) for name, svg in _pictures(comparison).items()}
    marginals = [
        (column, Markup(_marginal(comparison.views["columns"][column.name], column))) for column in _drawn(comparison)
    ]
    text: str = made.get_template("page.html.j2").render(
        c=comparison,
        inputs=inputs,
        noun={"table": "column", "points": "coordinate", "images": "picture statistic"}[inputs["kind"]],
        **dress(made),
        sections=SECTIONS,
        groups=_groups(comparison.metrics),
        metric_bars={metric.name: metric_bar(metric) for metric in comparison.metrics},
        columns=comparison.columns[:MOST_COLUMNS],
        column_bars=_column_bars(comparison.columns),
        show_regions=bool(comparison.regions) or comparison.verdict.detected,
        attribution_bars={test.name: _attribution_bars(test.features) for test in comparison.tests},
        pictures=pictures,
        scatter=[Markup(svg) for svg in charts.scatter(comparison.views["pca"])],
        marginals=marginals,
        pairs=comparison.views["correlations"].get("pairs", []),
        copies_pairs=comparison.views.get("pairs", []),
        nearest=comparison.views.get("nearest", []),
        records={role: [r for r in comparison.records if r.role == role] for role in ("fake-like", "missed")},
        most_cells=MOST_CELLS,
        made_by=json.dumps(dict(comparison.made_by), indent=1, ensure_ascii=False),
    )
    return text


def _groups(metrics: Sequence[Metric]) -> list[tuple[str, str, str, list[Metric]]]:
    """(group, heading, how to read it, metrics) in the order of the metrics."""
    found = []
    for group in dict.fromkeys(metric.group for metric in metrics):
        title, reading = GROUPS.get(group, (group.capitalize(), ""))
        found.append((group, title, reading, [metric for metric in metrics if metric.group == group]))
    return found


def _drawn(comparison: Comparison) -> list[Column]:
    return [column for column in comparison.columns if column.name in comparison.views["columns"]]


def _pictures(comparison: Comparison) -> dict[str, str]:
    views = comparison.views
    drawn = {
        "roc": charts.roc(views["roc"], comparison.verdict.auc),
        "scores": charts.histogram(
            views["scores"],
            width=400,
            height=280,
            title="score: log odds of real to fake",
            label="Classifier scores, real and fake",
        ),
    }
    if len(views["correlations"].get("names", [])) > 2:  # the one pair of two columns stands among the figures
        drawn["heat"] = charts.heat_map(views["correlations"])
    if "distances" in views:
        drawn["distances"] = charts.histogram(
            views["distances"],
            width=520,
            height=190,
            title="distance to the nearest training row",
            label="Distance to the nearest training row, held-out and fake",
        )
    return drawn


def _marginal(view: Mapping[str, Any], column: Column) -> str:
    label = f"Distribution of {column.name}, real and fake"
    return charts.levels(view, label=label) if view["kind"] == "category" else charts.histogram(view, label=label)


def metric_bar(metric: Metric) -> Bar | None:
    """The strip of one metric, on a scale of its own that shows its interval and its baseline."""
    if metric.low is None or metric.high is None:
        return None
    ends = [metric.low, metric.high, metric.value] + ([] if metric.baseline is None else [metric.baseline])
    low, high = min(ends), max(ends)
    if metric.name == "auc":
        low, high = min(0.49, low), max(0.52, high)
    if metric.name != "auc" and 0 <= low < 0.5 * high:
        low = 0.0
    pad = 0.06 * (high - low) or 0.5
    start = low if low == 0 else low - pad
    reads = f"{figure(metric.value)}, 95% interval {figure(metric.low)} to {figure(metric.high)}"
    return _bar(start, high + pad, metric.low, metric.high, metric.value, metric.baseline, reads)


def _column_bars(columns: tuple[Column, ...]) -> dict[str, Bar]:
    """One scale for all columns, so that lengths compare."""
    top = max((max(column.high, column.baseline) for column in columns), default=1.0) or 1.0
    return {
        column.name: _bar(
            0.0,
            1.02 * top,
            column.low,
            column.high,
            column.statistic,
            column.baseline,
            f"{figure(column.statistic)}, 95% interval {figure(column.low)} to {figure(column.high)}",
        )
        for column in columns
    }


def _attribution_bars(features: tuple[Attribution, ...]) -> list[Bar]:
    """Falls of the gap with two standard errors, on one scale for all columns of a method."""
    ends = [(item.fall - 2 * item.stderr, item.fall + 2 * item.stderr) for item in features]
    low, high = min([0.0, *(a for a, _ in ends)]), max([0.0, *(b for _, b in ends)]) or 1.0
    return [
        _bar(low, high, a, b, item.fall, None, f"fall {figure(item.fall)}, standard error {item.stderr:.2g}")
        for item, (a, b) in zip(features, ends, strict=True)
    ]


def _bar(start: float, end: float, low: float, high: float, value: float, baseline: float | None, reads: str) -> Bar:
    def place(x: float) -> float:
        return round(100 * (x - start) / (end - start), 2)

    beside = f"; real against real {figure(baseline)}" if baseline is not None else ""
    return Bar(
        low=place(low),
        high=place(high),
        value=place(value),
        baseline=None if baseline is None else place(baseline),
        reads=reads + beside,
        start=f"{start:.2g}",
        end=f"{end:.2g}",
    )


def two(value: float, signed: bool = False) -> str:
    """Two decimals, a true minus, and no minus zero."""
    text = f"{round(value, 2) + 0.0:{'+' if signed else ''}.2f}"
    return text.replace("-", "−")


def percent(value: float | None) -> str:
    if value is None:
        return "–"
    if 0 < value < 0.0005:
        return "< 0.1%"
    return f"{100 * value:.1f}%"


def p_text(p: float) -> str:
    """`p` with two digits; at the floor, a bound."""
    return f"≤ {P_FLOOR:.0e}" if p <= P_FLOOR else f"{p:.2g}" if p < 0.995 else "1"


def claim(region: Region) -> str:
    """What a region's text says after its conditions."""
    return region.text[len(" and ".join(region.conditions)) + 2 :]


def share(value: float) -> str:
    return f"{100 * value:.0f}%".replace("-", "−")


def score(value: float) -> str:
    """The score of a record: two decimals, or two digits where those would be noughts."""
    return f"{value:.2f}" if abs(value) >= 0.1 or value == 0 else f"{value:.2g}"
