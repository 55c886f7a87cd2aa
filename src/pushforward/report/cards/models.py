"""Cards of models: what such a model is, what it was fitted to, its settings, how training ended, and its alarms.

Nothing is drawn from the model: a card may be shown at the end of every cell.
"""

from __future__ import annotations

from typing import Any

from ...models.base import brief
from ...training.progress import describe
from ..runs import abilities, described, run_of, sentence, weights
from ..words import counted, cut, duration
from . import html

LIKELIHOODS = {
    "exact": "exact",
    "lower_bound": "a lower bound",
    "importance": "an estimate from below",
    "none": "none",
}
KINDS = {"points": "points", "table": "rows of a table", "images": "images"}
LONG = 400  # characters of one line


def of_model(model: Any) -> str:
    """A fitted model, or one that is to be fitted."""
    fitted = all(hasattr(model, name) for name in ("codec_", "data_", "id_"))
    return _fitted(model) if fitted else _unfitted(model)


def _unfitted(model: Any) -> str:
    kinds = [KINDS.get(kind, kind) for kind in getattr(model, "kinds", ())]
    lines = [
        ("what", cut(described(model), LONG)),
        ("takes", ", ".join(kinds)),
        ("likelihood", _likelihood(model)),
        ("settings", _settings(model)),
    ]
    head = f"{type(model).__name__}, not fitted yet"
    return html.card(head, html.facts(lines), html.note("Next:", ".fit(data)"), plain=True)


def _fitted(model: Any) -> str:
    run = run_of(model)
    choice = vars(model).get("choice_") or {}
    record = run.history[-1] if run.history else {}
    lines = [
        ("what", cut(run.what, LONG)),
        ("data", f"{counted(int(run.data['rows']), 'row')} of {cut(str(run.of), 80)} ({run.data['kind']})"),
        ("settings", _settings(model) or "the defaults"),
        ("learned", ", ".join(_counted(name, count) for name, count in weights(model))),
        ("likelihood", _likelihood(model)),
        ("can", ", ".join(name for name, _ in abilities(model))),
        ("training", duration(run.seconds) if run.seconds and not choice else ""),
        ("last figures", "" if choice else describe(record)),
        ("stopped", run.stopped),
        ("closing figure", run.closing),
    ]
    alarms = [(one.name, f"{one.sentence}. Try: {one.remedy}.") for one in run.alarms]
    calls = [*([".plot_history()"] if run.history else []), "pushforward.report.run_page(model, 'run.html')"]
    return html.card(
        cut(choice.get("sentence") or sentence(run), 3 * LONG),
        html.bullets(alarms),
        html.facts((name, cut(text, 2 * LONG)) for name, text in lines),
        html.note("More:", *calls),
        bad=bool(alarms),
    )


def _likelihood(model: Any) -> str:
    tag = getattr(model, "likelihood", None)
    return LIKELIHOODS.get(tag, tag) if isinstance(tag, str) else ""


def _counted(name: str, count: int) -> str:
    return f"{name} of {counted(count, 'number' if name == 'law' else 'weight')}"


def _settings(model: Any) -> str:
    return ", ".join(f"{name}={brief(value)}" for name, value in model.changed_params().items())
