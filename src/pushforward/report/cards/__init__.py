"""What a notebook shows of a result, a model or data: one small piece of HTML, `card(thing)`.

A card needs no script, no style sheet and no network; colours are the notebook's own, so that light and dark both
read; everything that comes from the user's data is escaped; nothing is computed but numbers that are counted over, and
no card is larger than `MOST` bytes.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

from ...errors import InputError
from ..kinds import found
from ..words import cut
from . import html
from .html import MOST

_CARDS = {  # class -> its file here, and the function in it
    "pushforward.twosample.result.TestResult": "results.of_test",
    "pushforward.witness.Estimate": "results.of_estimate",
    "pushforward.evaluation.comparison.Metric": "results.of_metric",
    "pushforward.objectives.several.front.Front": "results.of_front",
    "pushforward.models.several.TradeOff": "results.of_trade_off",
    "pushforward.flow.particles.Transported": "results.of_transported",
    "pushforward.models.base.Estimator": "models.of_model",
    "pushforward.data.dataset.Dataset": "data.of_dataset",
    "pushforward.evaluation.comparison.Comparison": "pages.of_comparison",
    "pushforward.evaluation.leaderboard.Leaderboard": "pages.of_leaderboard",
    "pushforward.evaluation.contest.Contest": "pages.of_contest",
}

__all__ = ["MOST", "card"]


def card(thing: Any) -> str:
    """`thing` as HTML for a notebook; `InputError` for what has no card."""
    where = found(_CARDS, thing)
    if where is None:
        raise InputError(f"{type(thing).__name__} has no card; results, models and data have")
    file, name = where.split(".")
    text: str = getattr(import_module(f".{file}", __name__), name)(thing)
    if len(text.encode()) > MOST:  # names as long as books: then what it says on one line
        return html.card(cut(repr(thing), 2000), plain=True)
    return text
