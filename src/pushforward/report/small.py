"""What a notebook shows of a comparison, and the page of a leaderboard."""

from __future__ import annotations

from ..evaluation.comparison import Comparison
from ..evaluation.leaderboard import Leaderboard
from .page import _bar, dress, environment, figure


def fragment(comparison: Comparison) -> str:
    """Verdict, findings and figures as HTML with its styles inline: no script, nothing that leaks into the notebook."""
    text: str = environment().get_template("fragment.html.j2").render(c=comparison)
    return text


def leaderboard_fragment(board: Leaderboard) -> str:
    """The table of a leaderboard, for a notebook."""
    text: str = environment().get_template("board_fragment.html.j2").render(b=board)
    return text


def leaderboard_page(board: Leaderboard) -> str:
    """One self-contained page: the table, the pairs, and the first screen of every comparison."""
    made = environment()
    ends = [end for one in board.standings for end in (one.low, one.high) if end is not None]
    low, high = min(ends), max(ends)
    pad = 0.06 * (high - low) or 0.5
    bars = {
        one.name: _bar(low - pad, high + pad, one.low or 0.0, one.high or 0.0, one.value, None, figure(one.value))
        for one in board.standings
    }
    text: str = made.get_template("leaderboard.html.j2").render(b=board, bars=bars, **dress(made))
    return text
