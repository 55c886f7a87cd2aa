"""Charts of several sets of samples beside one another: leaderboards and contests."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..words import cut, figure, interval, listed
from .parts import FAKE, MUTED, intervals, titled


def of_leaderboard(board: Any, *, width: int = 480) -> Any:
    """Of a `Leaderboard`: the figure that orders it, with its interval, for every set of samples."""
    chart = _standings(board, {}, None, width)
    under = "vermilion: not told apart from the first; lines: 95% intervals"
    return titled(chart, board.sentence, under, "dashed: a coin" if board.by == "auc" else "", width=width + 100)


def of_contest(found: Any, *, width: int = 480) -> Any:
    """Of a `Contest`: as of its leaderboard, with the seconds that each took and the figure between two real sets."""
    ceiling = found.ceiling(found.board.by)
    seconds = {entry.name: f"{entry.seconds:.1f} s" for entry in found.entries}
    chart = _standings(found.board, seconds, ceiling, width)
    under = "vermilion: not told apart from the first; lines: 95% intervals" + (
        "" if ceiling is None else "; dashed: between two real sets"
    )
    failed = f"without figures: {listed([cut(one.name, 40) for one in found.failed])}" if found.failed else ""
    return titled(chart, found.sentence, under, failed, width=width + 100)


def _standings(board: Any, more: Mapping[str, str], rule: float | None, width: int) -> Any:
    rows = [
        {
            "name": f"{cut(one.name, 40)}{f', {more[one.name]}' if one.name in more else ''}",
            "value": one.value,
            "low": one.low,
            "high": one.high,
            "colour": FAKE if one.place == 1 else MUTED,
            "told": f"place {one.place}: {figure(one.value)} ({interval(one.low, one.high)})",
        }
        for one in board.standings
    ]
    if rule is None and board.by == "auc":
        rule = 0.5
    return intervals(rows, title=board.by, width=width, rule=rule)
