"""Do two sets of samples differ, how much and where, and is one a copy of the other: `compare` and its result."""

from .compare import SUITES, compare
from .comparison import Column, Comparison, Copies, Finding, GlobalTest, Metric, Record, Verdict
from .gates import check_gate, gate
from .leaderboard import Leaderboard, leaderboard

__all__ = [
    "SUITES",
    "Column",
    "Comparison",
    "Copies",
    "Finding",
    "GlobalTest",
    "Leaderboard",
    "Metric",
    "Record",
    "Verdict",
    "check_gate",
    "compare",
    "gate",
    "leaderboard",
]
