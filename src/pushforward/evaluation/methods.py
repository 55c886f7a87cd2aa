"""Two-sample methods by name on the rows of a comparison: what each says, and why, in columns, rows and regions.

The test reads all rows given to it. Its witness has then seen every one of them, and would flatter itself in an
explanation; so the method is run once more on a random half, and that run's witness is read on the other half: a
quarter of the rows gives the attributions, the records and the scores that the regions are grown on, and the regions
are counted on the rest, together with all rows beyond the cap.
"""

from __future__ import annotations

import difflib
import math
import re
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..errors import InputError
from ..readings import explain
from ..readings.regions import Region, regions_of_scores
from ..readings.wording import Column
from ..twosample import METHODS, TestResult, distance, two_sample
from ..witness import Witness
from . import showcase
from .comparison import Attribution, MethodPart, MethodReport, Record
from .job import LEAST_ROWS, Job

Rows = NDArray[np.int64]
LEVEL = 0.95
PERMUTATIONS = 999
OCCLUDED = 1_500  # rows of each set on which columns are shuffled
REPEATS = 4
_FEATURE = re.compile(r"^(?:feature|column) (\d+)(?=$| )")
MOST_GROUPS = 40  # columns to shuffle one by one
PARTS = 20
RECORDS = 5


def check_methods(names: Sequence[str], *, permutations: int | None, rows: int | None, alpha: float) -> None:
    """`InputError`, in one sentence, for what can be told to be wrong before any data are read."""
    for name in names:
        if name not in METHODS:
            near = difflib.get_close_matches(name, METHODS, n=3, cutoff=0.5)
            meant = f"did you mean {' or '.join(near)}? " if near else ""
            raise InputError(f"no method {name!r}; {meant}`pushforward methods` lists all {len(METHODS)}")
    if permutations is not None and 1.0 / (1 + max(0, permutations)) > alpha * (1 + 1e-9):
        needed = math.ceil(1.0 / alpha - 1e-9) - 1
        raise InputError(f"{permutations} permutations cannot reach alpha {alpha:g}; give at least {needed}")
    if rows is not None and rows < LEAST_ROWS:
        raise InputError(f"{rows} rows are too few for a test to tell; give at least {LEAST_ROWS}")


def run_methods(
    job: Job, names: Sequence[str], *, permutations: int | None, rows: int | None
) -> tuple[MethodReport, ...]:
    """The reports of the methods `names`, each once, on at most `rows` rows of each set."""
    if not names:
        return ()
    most = rows or job.suite.method_rows
    tested = tuple(job.sample(role, most, 60 + s) for s, role in enumerate(("real", "fake")))
    return tuple(_run(job, name, tested, permutations or PERMUTATIONS) for name in dict.fromkeys(names))


def _run(job: Job, name: str, tested: tuple[Rows, ...], permutations: int) -> MethodReport:
    method = METHODS[name]
    x, y = (_rows(job, role, rows) for role, rows in zip(("real", "fake"), tested, strict=True))
    started = time.perf_counter()
    result: TestResult | None = None
    try:
        if method.test is None:
            effect = distance(x, y, name, level=LEVEL, seed=job.seed)
        else:
            result = two_sample(x, y, name, permutations=permutations, alpha=job.alpha, seed=job.seed)
            effect = result.effect
    except InputError as error:
        raise InputError(f"method {name!r}: {error}") from error
    seconds = time.perf_counter() - started
    why = _why(job, name, tested, permutations) if result is not None and result.witness is not None else _Why()
    return MethodReport(
        name=name,
        family=method.family,
        convention=method.convention,
        assumes=method.assumes,
        statistic=_finite(result.statistic) if result else None,
        pvalue=_finite(result.pvalue) if result else None,
        effect=_finite(effect.value),
        effect_low=_finite(effect.low),
        effect_high=_finite(effect.high),
        effect_reads=method.effect,
        detectable=_finite(result.detectable(job.alpha)) if result else None,
        n_real=len(x),
        n_fake=len(y),
        rows_read=_rows_read(job, tested),
        permutations=result.permutations if result else 0,
        seconds=round(seconds, 3),
        parts=_parts(job, result),
        features=why.features,
        records=why.records,
        regions=why.regions,
        note=why.note,
    )


def _rows(job: Job, role: str, rows: Rows) -> Tensor:
    """Points as they are; tables and images in the space in which they have distances."""
    values = job.frame.rows[role] if job.kind == "points" else job.space.rows[role]
    tensor = torch.from_numpy(values[rows])
    return tensor.float() if job.kind == "images" else tensor


def _rows_read(job: Job, tested: tuple[Rows, ...]) -> str:
    counts = []
    for role, rows in zip(("real", "fake"), tested, strict=True):
        total = len(job.data[role])
        counts.append(f"{len(rows):,} of {total:,} {role}" if len(rows) < total else f"all {total:,} {role}")
    return f"{' and '.join(counts)} rows; {'points as they are' if job.kind == 'points' else job.space.reads}"


def _finite(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None


def _parts(job: Job, result: TestResult | None) -> tuple[MethodPart, ...]:
    """The most telling parts; "feature j" or "column j" of the rows is called what the user calls it."""
    parts = () if result is None else result.parts[:PARTS]
    labels = _labels(job) if parts else ()
    return tuple(
        MethodPart(_FEATURE.sub(lambda m: labels[int(m[1])] if int(m[1]) < len(labels) else m[0], part.name), *figures)
        for part in parts
        for figures in [(_finite(part.statistic), _finite(part.pvalue), _finite(part.adjusted))]
    )


def _labels(job: Job) -> tuple[str, ...]:
    """What each position of the tested rows is: a column, "cut = Fair", "carat missing"; none for pixels."""
    frame = job.frame
    if job.kind != "table":
        return frame.names if job.kind == "points" else ()
    found: list[str] = []
    for name, levels, block in zip(frame.names, frame.levels, job.space.blocks, strict=False):
        if levels:
            shown = [*levels[: len(block) - 1], levels[-1] if len(levels) == len(block) else "any other"]
            found += [f"{name} = {level}" for level in shown[: len(block)]]
        else:
            found += [name, f"{name} missing"][: len(block)]
    return tuple(found)


# --- why ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Why:
    features: tuple[Attribution, ...] = ()
    records: tuple[Record, ...] = ()
    regions: tuple[Region, ...] = ()
    note: str = "This method has no witness: it does not say where the sets differ."


def _why(job: Job, name: str, tested: tuple[Rows, ...], permutations: int) -> _Why:
    """The explanation by a witness of one half of the tested rows, read on the other half."""
    rng = np.random.default_rng([job.seed, 8])
    orders = [rng.permutation(rows) for rows in tested]
    fitted = [order[: len(order) // 2] for order in orders]
    read = [order[len(order) // 2 : len(order) // 2 + max(1, len(order) // 4)] for order in orders]
    x, y = (_rows(job, role, rows) for role, rows in zip(("real", "fake"), fitted, strict=True))
    try:
        witness = two_sample(x, y, name, permutations=permutations, alpha=job.alpha, seed=job.seed).witness
    except InputError as error:
        return _Why(note=f"Not explained: half of the rows, which a witness needs, are too few ({error}).")
    if witness is None:
        return _Why()
    a, b = (_rows(job, role, rows) for role, rows in zip(("real", "fake"), read, strict=True))
    features, note = _features(job, witness, a, b)
    with torch.no_grad():
        phi, psi = witness.phi(a).double().cpu().numpy(), witness.psi(b).double().cpu().numpy()
        scores = np.concatenate([witness.psi(a).double().cpu().numpy(), psi])
    return _Why(
        features=features,
        records=(*_records(job, "real", "missed", read[0], phi), *_records(job, "fake", "fake-like", read[1], psi)),
        regions=_regions(job, scores, read, [np.concatenate(pair) for pair in zip(read, fitted, strict=True)]),
        note=note,
    )


def _features(job: Job, witness: Witness, a: Tensor, b: Tensor) -> tuple[tuple[Attribution, ...], str]:
    """Attributions to the columns, each with all the positions that it takes up in the space."""
    if job.kind == "images":
        return (), "Single pixels are not ranked; the regions speak of statistics of the pictures."
    names = job.frame.names
    blocks = tuple((j,) for j in range(len(names))) if job.kind == "points" else job.space.blocks
    there = [(name, block) for name, block in zip(names, blocks, strict=False) if block]
    if len(there) > MOST_GROUPS:
        return (), f"Columns are not ranked one by one where there are more than {MOST_GROUPS} ({len(there)} here)."
    if not there:
        return (), ""
    generator = torch.Generator().manual_seed(job.seed)
    groups = [list(block) for _, block in there]
    judge = Witness(witness.psi, witness.psi)  # one function: an overconfident log ratio has no gap of its own
    found = explain(judge, a[:OCCLUDED], b[:OCCLUDED], groups=groups, top=1, repeats=REPEATS, generator=generator)
    if not (found.gap > 0.0 and math.isfinite(found.gap)):
        return (
            (),
            "On rows that it had not seen the witness found nothing, so there is nothing to attribute to columns.",
        )
    whole = float(found.features.clamp_min(0.0).sum())
    if not (whole > 0.0 and math.isfinite(whole)):
        return (), "The witness does not rest on any one column: shuffling none of them makes it fall."
    figures = ((k, float(found.features[k]), float(found.stderr[k])) for k in found.ranked.tolist())
    return tuple(Attribution(there[k][0], fall, stderr, fall / whole) for k, fall, stderr in figures), ""


def _records(job: Job, role: str, name: str, rows: Rows, scores: NDArray[np.float64]) -> tuple[Record, ...]:
    """The rows that the witness finds most telling: REAL's by the highest phi, FAKE's by the lowest psi."""
    order = np.argsort(scores if role == "fake" else -scores, kind="stable")[:RECORDS]
    found = []
    for k in order:
        values, image = showcase.show(job, role, int(rows[k]))
        found.append(Record(name, int(rows[k]), float(f"{scores[k]:.4g}"), values, image))
    return tuple(found)


def _regions(job: Job, scores: NDArray[np.float64], grow: list[Rows], seen: list[Rows]) -> tuple[Region, ...]:
    """Regions grown on the `scores` of the rows `grow` and counted on all rows of both sets but those `seen`."""
    grown, counted = [], []
    for role, look, known in zip(("real", "fake"), grow, seen, strict=True):
        rows = job.frame.rows[role]
        grown.append(rows[look])
        counted.append(np.delete(rows, known, axis=0))
    return regions_of_scores(scores, np.concatenate(grown), *counted, columns=columns_of(job), level=LEVEL)


def columns_of(job: Job) -> list[Column]:
    """The frame's columns as the regions reading takes them."""
    frame = job.frame
    return [Column(*described) for described in zip(frame.names, frame.kinds, frame.levels, strict=True)]


def classifier_regions(job: Job) -> tuple[Region, ...]:
    """Where the sets differ by the lights of boosted trees: scored on one half of the rows, counted on the other.

    Within the first half the scores are cross-fitted in two folds. Those of a cross-fit over all rows would not do:
    each has seen the labels of the rows that are then counted.
    """
    from ..fitters.classifier import cross_fitted_scores

    chosen = [job.sample(role, job.suite.classifier_rows, 70 + s) for s, role in enumerate(("real", "fake"))]
    rng = np.random.default_rng([job.seed, 9])
    orders = [rng.permutation(rows) for rows in chosen]
    grow = [np.sort(order[: len(order) // 2]) for order in orders]
    if min(len(rows) for rows in grow) < LEAST_ROWS:
        return ()
    x, y, categorical, _ = job.features("real", grow[0], "fake", grow[1])
    scores: Any = np.concatenate(cross_fitted_scores(x, y, folds=2, seed=job.seed, categorical=categorical))
    return _regions(job, scores, grow, grow)
