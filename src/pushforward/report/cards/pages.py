"""Cards of comparisons: the short of their pages (`report.small`)."""

from __future__ import annotations

from typing import Any

from ..small import contest_fragment, fragment, leaderboard_fragment


def of_comparison(comparison: Any) -> str:
    return fragment(comparison)


def of_leaderboard(board: Any) -> str:
    return leaderboard_fragment(board)


def of_contest(found: Any) -> str:
    return contest_fragment(found)
