"""How a run went, from the records of its history: which figures belong on one chart, and what they mean."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from ...training.diagnostics.alarms import Alarm
from .drawing import Band, Series, curves
from .parts import COLOURS, FAKE, INK, MUTED, REAL, Chart, Charts, Key, Picture, Section

MOST_POINTS = 240
LEAST = 2  # records that make a curve


@dataclass(frozen=True)
class Panel:
    """A chart: `lines` are (figure, its name on the page, colour, dashed); `bands` (lower, upper, colour)."""

    title: str
    reads: str
    lines: tuple[tuple[str, str, str, bool], ...]
    bands: tuple[tuple[str, str, str], ...] = ()
    alarm: str = ""
    log: bool = False


QUALITY = (
    Panel(
        "Auditor",
        "AUC of the best judge on rows held out, 0.5 being a coin; shaded is what it may truly be, for all audits "
        "together.",
        (("auc", "AUC", INK, False),),
        (("auc_lower", "auc_upper", INK),),
    ),
    Panel(
        "Data without their share of samples",
        "Share of the data that the auditor sees to have less than half the samples they should, and its upper bound.",
        (("audit_lost", "seen", INK, False), ("audit_lost_upper", "upper bound", MUTED, True)),
    ),
    Panel(
        "Critic on data it has seen, and on held-out rows",
        "AUC of the critic against samples: where the two part, it knows its training rows by heart.",
        (("critic_auc_train", "training rows", REAL, False), ("critic_auc_held", "held-out rows", FAKE, False)),
        (("critic_auc_held_low", "critic_auc_held_high", FAKE),),
        "overfitting",
    ),
    Panel(
        "Effective number of clusters",
        "How many clusters of the data the samples are worth: a line far below the data's is mode collapse.",
        (("modes_effective", "samples", FAKE, False), ("modes_effective_data", "data", REAL, True)),
        (),
        "collapse",
    ),
    Panel(
        "Coverage",
        "Share of real neighbourhoods that hold a sample, beside what other real rows reach.",
        (("coverage", "samples", FAKE, False), ("coverage_data", "data", REAL, True)),
    ),
    Panel(
        "Divergence that the objective estimates",
        "What the critic makes of held-out rows and samples: it can only fall short of the truth, so a low value with "
        "a weak critic proves nothing.",
        (("divergence", "estimate", INK, False),),
        (("divergence_low", "divergence_high", INK),),
    ),
    Panel(
        "Noise whose sample changed cluster",
        "From one record to the next, at the same noise: what stays high is a generator that hops between modes.",
        (("hopping_share", "share", INK, False),),
        (),
        "hopping",
    ),
    Panel(
        "Generator's gradient that is lost",
        "Share lost where the samples are: near 1 the generator learns nothing.",
        (("saturation", "share", INK, False),),
        (),
        "saturation",
    ),
)
KEPT_BACK = Panel(
    "Loss on rows it does not learn from",
    "Where the rows kept back part from the training rows, it learns these by heart; its best average is the model.",
    (
        ("loss_train", "training rows", REAL, False),
        ("loss_validation", "rows kept back", FAKE, False),
        ("loss_held", "rows held out", INK, True),
    ),
)
LOSS = Panel("Loss", "What the network descends.", (("generator_loss", "loss", INK, False),))
LOSSES = Panel(
    "Losses",
    "A game's losses need not fall: what matters is that neither side runs away.",
    (("critic_loss", "critic", REAL, False), ("generator_loss", "generator", FAKE, False)),
    (),
    "oscillation",
)
GRADIENTS = Panel(
    "Gradients",
    "Norm of each player's gradient, on a log scale: one that grows without end is a run about to diverge.",
    (("critic_gradient", "critic", REAL, False), ("generator_gradient", "generator", FAKE, False)),
    log=True,
)
SCHEDULE = Panel(
    "Learning rate",
    "What the schedule allowed at each step.",
    (("learning_rate", "rate", INK, False),),
    log=True,
)
# figures that are drawn elsewhere, or that say little as a curve
SPENT = {
    "step",
    "seconds",
    "gap",
    "accuracy",
    "auc_stderr",
    "auc_lower",
    "holdout_z",
    "modes",
    "audit_detectable",
    "audit_lost_lower",
}
CHARGED = "What is paid"


def training(
    history: Sequence[Mapping[str, Any]], alarms: Sequence[Alarm], charges: Sequence[str] = ()
) -> Section | None:
    """The curves of a run's records; `charges` are the figures that the generator pays besides the objective."""
    if len(history) < LEAST:
        return None
    plays = any("critic_loss" in record for record in history)
    panels = [LOSSES if plays else LOSS, KEPT_BACK, *_charged(history, charges), *QUALITY]
    shown = _drawn(panels, history, alarms)
    drawn = {name for panel in (*panels, GRADIENTS, SCHEDULE) for name, *_ in panel.lines}
    drawn |= {name for panel in panels for low, high, _ in panel.bands for name in (low, high)}
    rest = [name for name in _figures(history) if name not in drawn | SPENT]
    others = [GRADIENTS, SCHEDULE, *(Panel(_worded(name), "", ((name, _worded(name), INK, False),)) for name in rest)]
    pictures = [
        Picture(
            "Course of the run",
            "Each chart has the steps of training from left to right; an upright line marks where an alarm was raised.",
            Charts(tuple(shown)),
        )
    ]
    small = _drawn(others, history, ())
    if small:
        pictures.append(
            Picture("Every other figure", "The same records, one figure each.", Charts(tuple(small)), folded=True)
        )
    return Section("training", "How it trained", tuple(pictures))


def _charged(history: Sequence[Mapping[str, Any]], charges: Sequence[str]) -> list[Panel]:
    there = [name for name in charges if name in _figures(history)]
    if not there:
        return []
    lines = tuple((name, _worded(name), COLOURS[k % len(COLOURS)], False) for k, name in enumerate(there))
    return [Panel(CHARGED, "Terms that are paid, as weighted: they should fall.", lines)]


def _figures(history: Sequence[Mapping[str, Any]]) -> list[str]:
    """The names of all numbers that any record has, in their order."""
    return list(dict.fromkeys(name for row in history for name, value in row.items() if _number(value)))


def _number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _worded(name: str) -> str:
    return name.replace("_", " ")


def _drawn(panels: Sequence[Panel], history: Sequence[Mapping[str, Any]], alarms: Sequence[Alarm]) -> list[Chart]:
    found = []
    for panel in panels:
        lines = [(name, colour, dashed, _points(history, key)) for key, name, colour, dashed in panel.lines]
        lines = [line for line in lines if len(line[3]) >= LEAST]
        if not lines:
            continue
        log = panel.log and all(y > 0 for *_, points in lines for _, y in points)
        svg = curves(
            [Series(name, colour, points, dashed) for name, colour, dashed, points in lines],
            label=f"{panel.title} over the steps of training",
            bands=[Band(colour, _between(history, low, high)) for low, high, colour in panel.bands],
            rules=[(alarm.step, str(alarm)) for alarm in alarms if alarm.name == panel.alarm],
            log=log,
        )
        last = lines[0][3][-1][1]
        named = len(lines) > 1 or panel.title == CHARGED
        keys = tuple(Key(colour, name) for name, colour, _, _ in lines) if named else ()
        found.append(Chart(panel.title, Markup(svg), f"{last:.3g}".replace("-", "−"), keys, panel.reads))
    return found


def _points(history: Sequence[Mapping[str, Any]], key: str) -> list[tuple[float, float]]:
    """(step, figure) of the records that have it, thinned by averaging over neighbours."""
    there = [(float(row["step"]), float(row[key])) for row in history if _number(row.get(key))]
    width = math.ceil(len(there) / MOST_POINTS)
    if width <= 1:
        return there
    parts = [there[i : i + width] for i in range(0, len(there), width)]
    return [(part[-1][0], sum(y for _, y in part) / len(part)) for part in parts]


def _between(history: Sequence[Mapping[str, Any]], low: str, high: str) -> list[tuple[float, float, float]]:
    return [
        (float(row["step"]), float(row[low]), float(row[high]))
        for row in history
        if _number(row.get(low)) and _number(row.get(high))
    ]
