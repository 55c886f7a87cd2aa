"""Faults by name: what a reader should act on, each with a test of its own.

A figure says how much; a finding says what is wrong: a shifted column, copies, a lost mode. Every finder looks for one
kind of fault and gives a p-value that is valid where FAKE has the law of REAL (and did not copy). Holm's adjustment
over all kinds that could be looked for keeps the chance of any finding in a faultless comparison at most alpha.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..readings.adjust import holm
from .associations import Associations
from .comparison import P_FLOOR, Column, Copies, Finding
from .job import Job

Array = NDArray[np.float64]
NAMED = 3  # columns, pairs, modes or rules that a sentence names


@dataclass(frozen=True)
class Evidence:
    """What the finders read: the job and what was already computed from it."""

    job: Job
    columns: Sequence[Column]
    associations: Associations | None
    copies: Copies


@dataclass(frozen=True)
class Suspicion:
    """A kind of fault, looked for: `pvalue` of its test and, should it hold, the sentence."""

    name: str
    group: str
    pvalue: float
    sentence: str


Finder = Callable[[Evidence], "Suspicion | None"]


def findings(evidence: Evidence) -> tuple[tuple[Finding, ...], tuple[str, ...]]:
    """The faults found at the comparison's alpha, the surest first, and the names of all that were looked for."""
    looked = [found for finder in FINDERS if (found := finder(evidence)) is not None]
    adjusted = holm([found.pvalue for found in looked])
    told = [
        Finding(found.name, found.group, found.sentence, max(P_FLOOR, found.pvalue), max(P_FLOOR, float(q)))
        for found, q in zip(looked, adjusted, strict=True)
        if q <= evidence.job.alpha
    ]
    told.sort(key=lambda finding: finding.pvalue_adjusted)
    return tuple(told), tuple(found.name for found in looked)


# ---- the finders


def columns(evidence: Evidence) -> Suspicion:
    """Single columns: Holm over them, so that the least adjusted p-value is one valid p-value."""
    job = evidence.job
    differing = [column for column in evidence.columns if column.pvalue_adjusted <= job.alpha]
    differing.sort(key=lambda column: -column.statistic)
    told = "; ".join(describe(job, column) for column in differing[:NAMED])
    more = f"; and {len(differing) - NAMED} more" if len(differing) > NAMED else ""
    what = {"table": "column", "points": "coordinate", "images": "picture statistic"}[job.kind]
    count = f"{len(differing)} {what}{'s' if len(differing) != 1 else ''} of {len(evidence.columns)} differ"
    least = min(column.pvalue_adjusted for column in evidence.columns)
    blurred = job.kind == "images" and any(_is_softer(job, column) for column in differing)
    name, lead = ("blur", "The pictures are blurred: ") if blurred else ("columns", "")
    return Suspicion(name, "columns", least, f"{lead}{count}: {told}{more}.")


def _is_softer(job: Job, column: Column) -> bool:
    if column.name != "edges":
        return False
    x, y = _both(job, column.name)
    return bool(np.median(y) < np.median(x))


def describe(job: Job, column: Column) -> str:
    """How FAKE's column lies to REAL's, in a few words and numbers."""
    x, y = _both(job, column.name)
    distance = f"distance {column.statistic:.2g}"
    if column.kind == "category":
        return f"{column.name} ({_level(job, column.name, x, y)}; {distance})"
    gap = column.missing_fake - column.missing_real
    if abs(gap) >= 0.5 * column.statistic and abs(gap) > 0.001:
        return f"{column.name} ({column.missing_fake:.1%} missing, {column.missing_real:.1%} in real; {distance})"
    x, y = x[np.isfinite(x)], y[np.isfinite(y)]
    if not len(x) or not len(y):
        return f"{column.name} ({distance})"
    spread = float(np.subtract(*np.quantile(x, [0.75, 0.25]))) or float(np.ptp(x)) or 1.0
    move = float(np.median(y) - np.median(x)) / spread
    if abs(move) < 0.02:
        wider = float(np.subtract(*np.quantile(y, [0.75, 0.25]))) / spread
        return f"{column.name} ({'wider' if wider > 1.02 else 'narrower' if wider < 0.98 else 'reshaped'}; {distance})"
    a, b = (job.frame.cell(job.frame.names.index(column.name), float(np.median(part))) for part in (x, y))
    return f"{column.name} ({'higher' if move > 0 else 'lower'}: median {b} for {a}; {distance})"


def _level(job: Job, name: str, x: Array, y: Array) -> str:
    """The level whose share moved most."""
    levels = job.frame.levels[job.frame.names.index(name)]
    shares = [np.bincount(part.astype(np.int64), minlength=len(levels)) / len(part) for part in (x, y)]
    k = int(np.abs(shares[1] - shares[0]).argmax())
    return f"{levels[k]} {shares[1][k]:.1%} for {shares[0][k]:.1%}"


def _both(job: Job, name: str) -> tuple[Array, Array]:
    j = job.frame.names.index(name)
    return job.frame.rows["real"][:, j], job.frame.rows["fake"][:, j]


def near_copies(evidence: Evidence) -> Suspicion | None:
    """Fakes that lie nearer to training rows than to held-out ones (see `memorization`)."""
    copies = evidence.copies
    if copies.pvalue is None or copies.closer is None or copies.expected is None:
        return None
    sentence = (
        f"The fakes lie too near to the training rows: {copies.closer:.1%} have one as their nearest real row, "
        f"{copies.expected:.1%} would without copying."
    )
    return Suspicion("near copies", "copies", copies.pvalue, sentence)


FINDERS: tuple[Finder, ...] = (columns, near_copies)
