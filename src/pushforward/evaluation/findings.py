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
from scipy import stats

from ..errors import InputError
from ..readings.adjust import holm
from . import marginals, showcase
from .classification import classified
from .comparison import P_FLOOR, Column, Copies, Finding
from .figures import LeftOut
from .job import Job
from .neighbours.modes import Mode
from .shared import combinations_of, identical_of, modes_of, near_copies_of, repeats_of
from .utility.figures import pairs_of, rules_of

Array = NDArray[np.float64]
NAMED = 3  # columns, pairs, modes or rules that a sentence names
MOST_CELLS = 6  # of a row that stands for a group
DROPPED = 0.25  # of its share in REAL: below, a mode counts as dropped


@dataclass(frozen=True)
class Evidence:
    """What the finders read: the job and what was already computed from it."""

    job: Job
    columns: Sequence[Column]
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
    looked = [found for finder in FINDERS if (found := _looked(finder, evidence)) is not None]
    adjusted = holm([found.pvalue for found in looked])
    told = [
        Finding(found.name, found.group, found.sentence, max(P_FLOOR, found.pvalue), max(P_FLOOR, float(q)))
        for found, q in zip(looked, adjusted, strict=True)
        if q <= evidence.job.alpha
    ]
    told.sort(key=lambda finding: finding.pvalue_adjusted)
    return tuple(told), tuple(found.name for found in looked)


def first_screen(job: Job) -> tuple[tuple[Finding, ...], tuple[str, ...]]:
    """`findings` of a job by itself, without the rest of a comparison."""
    compared = marginals.columns(job.frame, job.baseline_columns())
    return findings(Evidence(job, compared, showcase.copies(job, 0.95)[0]))


def _looked(finder: Finder, evidence: Evidence) -> Suspicion | None:
    try:
        return finder(evidence)
    except (LeftOut, InputError):  # the data do not fit: the figure of the same name says why
        return None


# ---- the finders


def columns(evidence: Evidence) -> Suspicion:
    """Single columns: Holm over them, so that the least adjusted p-value is one valid p-value."""
    job = evidence.job
    differing = [column for column in evidence.columns if column.pvalue_adjusted <= job.alpha]
    differing.sort(key=lambda column: -column.statistic)
    told = "; ".join(describe(job, column) for column in differing[:NAMED])
    more = f"; and {len(differing) - NAMED} more" if len(differing) > NAMED else ""
    what = {"table": "column", "points": "coordinate", "images": "picture statistic"}[job.kind]
    one = len(differing) == 1
    count = f"{len(differing)} {what}{'' if one else 's'} of {len(evidence.columns)} differ{'s' if one else ''}"
    least = min(column.pvalue_adjusted for column in evidence.columns)
    blurred = job.kind == "images" and any(_is_softer(job, column) for column in differing[:1])
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


def pairs(evidence: Evidence) -> Suspicion | None:
    """Two columns that go together differently, whatever the marginals of each."""
    if evidence.job.kind == "images":
        return None  # picture statistics hang together by what pictures are
    found = pairs_of(evidence.job)
    if not found:
        return None
    differing = [pair for pair in found if pair.adjusted <= evidence.job.alpha]
    differing.sort(key=lambda pair: -pair.effect)
    told = "; ".join(pair.sentence for pair in differing[:NAMED])
    rest = len(differing) - NAMED
    more = f"; and {rest} more pair{'s' if rest > 1 else ''}" if rest > 0 else ""
    return Suspicion("dependence", "correlations", found[0].adjusted, f"{told}{more}.")


def rules(evidence: Evidence) -> Suspicion | None:
    """Rules that REAL keeps and FAKE breaks."""
    if evidence.job.kind != "table":
        return None
    found = rules_of(evidence.job)
    if not found:
        return None
    broken = [rule for rule in found if rule.adjusted <= evidence.job.alpha]
    broken.sort(key=lambda rule: rule.real.rate - rule.fake.rate)
    told = "; ".join(rule.sentence for rule in broken[:NAMED])
    rest = len(broken) - NAMED
    more = f"; and {rest} more rule{'s' if rest > 1 else ''}" if rest > 0 else ""
    return Suspicion("rules", "structure", found[0].adjusted, f"{told}{more}.")


def modes(evidence: Evidence) -> Suspicion:
    """Parts of REAL that FAKE has too few of, or none: classes, groups of similar rows, levels and pairs of levels."""
    job = evidence.job
    found = modes_of(job)
    counts = [(mode.real, mode.fake) for mode in found.modes]
    few = holm(np.minimum(1.0, [stats.hypergeom.cdf(f, found.n + found.m, r + f, found.m) for r, f in counts]))
    lost = [
        (float(q), mode.fake / found.m, mode.real / found.n, _mode(job, mode))
        for q, mode in zip(few, found.modes, strict=True)
    ]
    looked = 1
    if job.frame.categorical and job.kind == "table":
        looked = 2
        lost += [(one.adjusted, one.fake, one.real, _levels(job, one.conditions)) for one in combinations_of(job)]
    lost.sort(key=lambda item: item[0])
    named = [item for item in lost if looked * item[0] <= job.alpha]
    gone = [item for item in named if item[1] < DROPPED * item[2]]
    told = "; ".join(
        f"{name}: {fake:.2%} of the fakes, {real:.2%} of real" for _, fake, real, name in (gone or named)[:NAMED]
    )
    more = f"; and {len(gone or named) - NAMED} more" if len(gone or named) > NAMED else ""
    lead = "Missing, or nearly so" if gone else "Too few"
    return Suspicion(
        "dropped modes" if gone else "thin modes", "modes", min(1.0, looked * lost[0][0]), f"{lead}: {told}{more}."
    )


def _levels(job: Job, conditions: tuple[tuple[int, int], ...]) -> str:
    return " with ".join(f"{job.frame.names[j]} {job.frame.levels[j][k]}" for j, k in conditions)


def _mode(job: Job, mode: Mode) -> str:
    """A class by its label; a group by the row in its middle."""
    if job.labels:
        return f"class {mode.label}"
    if mode.row < 0 or job.kind == "images":
        return mode.label
    cells = list(job.frame.record("real", mode.row).items())[:MOST_CELLS]
    return "rows like " + ", ".join(f"{name} {value}" for name, value in cells)


def repeated(evidence: Evidence) -> Suspicion:
    """Fakes that repeat each other more than REAL's rows do."""
    exact, near = repeats_of(evidence.job)
    # a set that differs in other ways may be more or less crowded than a mixture of both: it must exceed REAL itself
    pvalues = [part.pvalue if part.fake.value > part.real.value else 1.0 for part in (exact, near)]
    pvalue = min(1.0, 2 * min(pvalues))
    if pvalues[0] <= pvalues[1]:
        sentence = (
            f"{exact.fake.value:.1%} of the fakes repeat another fake exactly; {exact.real.value:.1%} of real do."
        )
    else:
        sentence = (
            f"{near.fake.value:.1%} of the fakes lie next to another fake (mode collapse, or repeats with noise); "
            f"{near.real.value:.1%} of real do."
        )
    return Suspicion("repeats", "copies", pvalue, sentence)


def exact_copies(evidence: Evidence) -> Suspicion:
    """Fakes that equal a training row, more often than held-out rows do."""
    found = identical_of(evidence.job)
    sentence = (
        f"{found.fake.value:.2%} of the fakes equal a training row exactly; {found.holdout.value:.2%} of real rows "
        "that were not trained on do."
    )
    return Suspicion("copies", "copies", found.pvalue, sentence)


def near_copies(evidence: Evidence) -> Suspicion:
    """Fakes that lie nearer to training rows than held-out rows do: by all fakes together, or by the nearest ones."""
    copies = evidence.copies
    close = near_copies_of(evidence.job)
    whole = 1.0 if copies.pvalue is None else copies.pvalue
    pvalue = min(1.0, 2 * min(whole, close.pvalue))
    if close.pvalue <= whole:
        sentence = (
            f"{close.fake.value:.1%} of the fakes are nearer to a training row than all but "
            f"{close.holdout.value:.1%} of real rows that were not trained on."
        )
    else:
        sentence = (
            f"The fakes lie too near to the training rows: {copies.closer:.1%} have one as their nearest real row, "
            f"{copies.expected:.1%} would without copying."
        )
    return Suspicion("near copies", "copies", pvalue, sentence)


def labels(evidence: Evidence) -> Suspicion | None:
    """Labels of images that do not fit them: a network trained on real ones errs more often on FAKE's."""
    job = evidence.job
    if "real" not in job.labels or "fake" not in job.labels:
        return None
    found = classified(job)
    sentence = (
        "Labels do not fit: a network trained on real pictures sees the given class in "
        f"{found.faithfulness.value:.1%} of the fakes, and in {found.faithfulness_real.value:.1%} of real pictures "
        "that it did not see."
    )
    return Suspicion("labels", "utility", found.pvalue, sentence)


FINDERS: tuple[Finder, ...] = (columns, pairs, rules, modes, repeated, exact_copies, near_copies, labels)
