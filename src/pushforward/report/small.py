"""What a notebook shows of a comparison or a fitted model, and the page of a leaderboard."""

from __future__ import annotations

from typing import Any

from ..evaluation.comparison import Comparison
from ..evaluation.contest import Contest
from ..evaluation.frames import frame_of
from ..evaluation.leaderboard import Leaderboard
from .page import _bar, dress, environment
from .pictures import View
from .pictures.sheets import LARGEST, sheet
from .runs import run_of, sentence
from .words import figure

SHOWN, FIRST = 24, 5  # images, and rows, that a notebook shows of a model
MOST = 30  # findings or entries that a notebook shows


def fragment(comparison: Comparison) -> str:
    """Verdict, findings and figures as HTML with its styles inline: no script, nothing that leaks into the notebook."""
    text: str = environment().get_template("fragment.html.j2").render(c=comparison, most=MOST)
    return text


def run_fragment(model: Any) -> str:
    """A fitted model in a sentence, its alarms, and its first samples; inline styles only, no script."""
    view, told = View(model), run_of(model)
    images, rows = None, None
    draws = view.can("sample", "sample_dataset") and not view.can("translate")
    if draws and view.kind == "images":
        some = model.sample_dataset(SHOWN, seed=0)
        images = sheet(some.values, SHOWN // 2, f"{SHOWN} samples", side=LARGEST)
    elif draws:
        frame = frame_of({"fake": model.sample_dataset(FIRST, seed=0)})
        rows = frame.names, [list(frame.record("fake", k).values()) for k in range(FIRST)]
    template = environment().get_template("run_fragment.html.j2")
    text: str = template.render(sentence=sentence(told), alarms=told.alarms, images=images, rows=rows)
    return text


def leaderboard_fragment(board: Leaderboard) -> str:
    """The table of a leaderboard, for a notebook."""
    text: str = environment().get_template("board_fragment.html.j2").render(b=board, most=MOST)
    return text


def contest_fragment(found: Contest) -> str:
    """The table of a contest, for a notebook."""
    text: str = environment().get_template("contest_fragment.html.j2").render(b=found.board, k=found, most=MOST)
    return text


def leaderboard_page(board: Leaderboard) -> str:
    """One self-contained page: the table, the pairs, and the first screen of every comparison."""
    return _board_page(board, "leaderboard.html.j2")


def contest_page(found: Contest) -> str:
    """The page of a leaderboard with what models cost, the ceiling, and those that have no figures."""
    return _board_page(found.board, "contest.html.j2", k=found)


def _board_page(board: Leaderboard, template: str, **more: Any) -> str:
    made = environment()
    ends = [end for one in board.standings for end in (one.low, one.high) if end is not None]
    low, high = min(ends), max(ends)
    pad = 0.06 * (high - low) or 0.5
    bars = {
        one.name: _bar(low - pad, high + pad, one.low or 0.0, one.high or 0.0, one.value, None, figure(one.value))
        for one in board.standings
    }
    text: str = made.get_template(template).render(b=board, bars=bars, **dress(made), **more)
    return text
