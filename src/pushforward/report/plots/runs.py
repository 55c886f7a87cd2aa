"""Charts of training: every figure of a history over the steps, with the alarms; and what `Auto` tried."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ...errors import InputError
from ...training.diagnostics import alarms
from ...training.diagnostics.alarms import Alarm
from ..pictures.training import GRADIENTS, KEPT_BACK, LOSS, LOSSES, QUALITY, Panel, _between, _number, _points, _worded
from ..runs import run_of, sentence
from ..words import cut, duration, figure, wrapped
from .parts import FAKE, INK, MUTED, REAL, SERIES, data, intervals, span, titled

LEAST = 2  # records that make a curve
ALARM = "#b00020"
NAMED = ("blue", "vermilion", "green", "pink", "ochre", "light blue", "dark grey")  # the colours of SERIES
ACROSS = 2
_PLAIN = {"var(--real)": REAL, "var(--fake)": FAKE, "var(--ink)": INK, "var(--muted)": MUTED}


def of_model(model: Any, **options: Any) -> Any:
    """Of a fitted model: its history, under the sentence on its run."""
    if not hasattr(model, "codec_"):
        raise InputError(f"this {type(model).__name__} is not fitted yet; call fit first, or load a saved one")
    run = run_of(model)
    charges = tuple(getattr(getattr(model, "generator_", None), "charges", ()))
    if not run.history:
        raise InputError(f"{run.name} has no history: it was fitted in one go, without steps")
    return of_history(run.history, title=sentence(run), charges=charges, **options)


def of_history(
    history: Any,
    *,
    title: str = "",
    charges: Sequence[str] = (),
    figures: Sequence[str] | None = None,
    width: int = 300,
    height: int = 130,
) -> Any:
    """Of the records of a run: losses, then what was watched, then gradients; an upright line is an alarm.

    figures: names of the records' numbers, a panel each, instead. charges: those that are paid beside the objective.
    """
    import altair as alt

    records: list[Mapping[str, Any]] = list(getattr(history, "records", history))
    found = alarms(records)
    panels = _panels(records, charges) if figures is None else _asked(records, figures)
    drawn = [chart for panel in panels if (chart := _drawn(panel, records, found, width, height)) is not None]
    if not drawn:
        raise InputError(
            f"{len(records)} records make no curve; train for more steps, or record more often (log_every)"
        )
    last = records[-1]
    took = f" in {duration(float(last['seconds']))}" if _number(last.get("seconds")) else ""
    head = title or f"{int(last['step']):,} steps{took}"
    told = [f"step {alarm.step:,}, {alarm.name}: {alarm.sentence}" for alarm in found]
    quiet = [] if told or figures is not None else ["no alarm was raised"]
    return titled(alt.concat(*drawn, columns=ACROSS, spacing=26), head, *told, *quiet, width=ACROSS * (width + 60))


def _panels(records: Sequence[Mapping[str, Any]], charges: Sequence[str]) -> list[Panel]:
    plays = any("critic_loss" in record for record in records)
    paid = [name for name in charges if any(_number(record.get(name)) for record in records)]
    lines = tuple((name, _worded(name), SERIES[k % len(SERIES)], False) for k, name in enumerate(paid))
    charged = [Panel("What is paid", "", lines)] if lines else []
    return [LOSSES if plays else LOSS, KEPT_BACK, *charged, *QUALITY, GRADIENTS]


def _asked(records: Sequence[Mapping[str, Any]], figures: Sequence[str]) -> list[Panel]:
    there = list(dict.fromkeys(name for record in records for name, value in record.items() if _number(value)))
    unknown = [name for name in figures if name not in there]
    if unknown:
        raise InputError(f"figure {unknown[0]!r}: no record has it; they have {', '.join(there)}")
    return [Panel(_worded(name), "", ((name, _worded(name), INK, False),)) for name in figures]


def _drawn(
    panel: Panel, records: Sequence[Mapping[str, Any]], found: Sequence[Alarm], width: int, height: int
) -> Any | None:
    """The chart of one panel; None where no line of it has points enough."""
    import altair as alt

    lines = [
        (name, _PLAIN.get(colour, colour), dashed, _points(records, key)) for key, name, colour, dashed in panel.lines
    ]
    lines = [line for line in lines if len(line[3]) >= LEAST]
    if not lines:
        return None
    log = panel.log and all(y > 0 for *_, points in lines for _, y in points)
    steps = [x for *_, points in lines for x, _ in points]
    x = alt.X(
        "x:Q",
        title=None,
        scale=alt.Scale(domain=[min(steps), max(steps)], nice=False),
        axis=alt.Axis(tickCount=4, grid=False, format="~s" if max(steps) >= 1000 else "~r"),
    )
    bands = [(_PLAIN.get(colour, colour), _between(records, low, high)) for low, high, colour in panel.bands]
    ends = [y for *_, points in lines for _, y in points] + [v for _, band in bands for _, a, b in band for v in (a, b)]
    up = alt.Scale(type="log", nice=False) if log else alt.Scale(domain=span(ends), nice=False, zero=False)
    y = alt.Y("y:Q", title=None, scale=up, axis=alt.Axis(tickCount=4))
    layers = []
    for colour, band in bands:
        rows = [{"x": a, "low": b, "high": c} for a, b, c in band]
        layers.append(alt.Chart(data(rows)).mark_area(color=colour, opacity=0.16).encode(x=x, y="low:Q", y2="high:Q"))
    for name, colour, dashed, points in lines:
        curve = [{"x": a, "y": b, "line": name} for a, b in points]
        mark = alt.Chart(data(curve)).mark_line(color=colour, strokeWidth=1.7, strokeDash=[4, 3] if dashed else [1, 0])
        layers.append(mark.encode(x=x, y=y, tooltip=["line:N", "x:Q", alt.Tooltip("y:Q", format=".4~g")]))
    rules = [{"x": alarm.step, "told": str(alarm)} for alarm in found if alarm.name == panel.alarm]
    if rules:
        rule = alt.Chart(data(rules)).mark_rule(color=ALARM, strokeDash=[3, 3], strokeWidth=1.5)
        layers.append(rule.encode(x=x, tooltip=alt.Tooltip("told:N", title="alarm")))
    return alt.layer(*layers).properties(width=width, height=height, title=_head(panel, lines, width))


def _head(panel: Panel, lines: Sequence[tuple[str, str, bool, Any]], width: int) -> Any:
    """What a panel shows; its lines by their colours, with their last values."""
    import altair as alt

    words = {**dict(zip(SERIES, NAMED, strict=True)), INK: "black", MUTED: "grey"}
    told = [
        f"{'dashed' if dashed else words[colour]}: {name} {figure(points[-1][1])}"
        for name, colour, dashed, points in lines
    ]
    under = figure(lines[0][3][-1][1]) if len(panel.lines) == 1 else ", ".join(told)
    return alt.Title(
        wrapped(panel.title, int(width / 7)), subtitle=wrapped(cut(under, 200), int(width / 6)), fontSize=13, offset=6
    )


def of_choice(model: Any, *, width: int = 480) -> Any:
    """Of `Auto`: the figure by which every model that it tried was judged, with the interval."""
    choice = vars(model).get("choice_")
    if choice is None:
        raise InputError("this Auto is not fitted yet; call fit first, or load a saved one")
    judged = [one for one in choice["candidates"] if _number(one.get("auc"))]
    if not judged:
        raise InputError(f"no model was judged: {choice['sentence']}")
    rows = [
        {
            "name": f"{one['model']}, {one['seconds']:.0f} s",
            "value": one["auc"],
            "low": one.get("auc_low"),
            "high": one.get("auc_high"),
            "colour": FAKE if one["model"] == choice["chosen"] else MUTED,
            "told": f"{one['model']}: {figure(one['auc'])}",
        }
        for one in sorted(judged, key=lambda one: float(one["auc"]))
    ]
    refused = [
        f"{one['model']} was refused: {cut(one['refused'], 160)}" for one in choice["candidates"] if one.get("refused")
    ]
    chart = intervals(rows, title="AUC of the best judge, on rows kept out", width=width, rule=0.5)
    return titled(chart, choice["sentence"], "vermilion: the chosen one; dashed: a coin", *refused, width=width + 100)
