"""`Figure`: a metric by name: which data it fits, what it needs, and how a comparison computes it.

Each group of metrics (fidelity, coverage, copies, utility, likelihood) holds its own tuple of figures; `compare` runs
those of its suite, or those asked for by name. A figure that does not fit the data raises `LeftOut` with the reason,
which the result reports; nothing is left out silently.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, final

from .comparison import Metric

if TYPE_CHECKING:
    from .job import Job

KINDS = ("points", "table", "images")


class LeftOut(Exception):
    """A figure does not fit these data; the message says why, and what to give where that would help."""


@final
@dataclass(frozen=True)
class Figure:
    """`compute(job)` gives one or more `Metric`s, the first of them called `name`.

    `suites`: those that run it unasked. `needs`: roles beside "real" and "fake" that must be given. `kinds`: of data.
    `gives`: the names of all metrics it computes, where there are more than one. `reads`: one line for the catalogue.
    """

    name: str
    group: str
    compute: Callable[[Job], list[Metric]]
    reads: str
    source: str
    suites: tuple[str, ...] = ("full",)
    kinds: tuple[str, ...] = KINDS
    needs: tuple[str, ...] = ()
    gives: tuple[str, ...] = ()
