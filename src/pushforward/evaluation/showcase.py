"""Rows worth looking at, copies, and the scatter: the parts of a comparison that show single samples."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from . import memorization, spaces
from .comparison import Copies, Metric, Record
from .discrimination import Discrimination
from .intervals import wilson
from .job import Job, raw_rows
from .thumbnails import thumbnail

Array = NDArray[np.float64]
SCATTER = 700  # points of each set
RECORDS = {"table": 8, "points": 8, "images": 20}
PAIRS = {"table": 4, "points": 4, "images": 10}
NEIGHBOUR_COMPONENTS = 64  # where there are more values, distances are taken in this many principal components
MOST_CELLS = 16_000_000  # values held at once by the search for neighbours


@dataclass(frozen=True)
class Judged:
    """Row numbers of the real and fake rows that the classifier scored, and its scores of them."""

    real: NDArray[np.int64]
    fake: NDArray[np.int64]
    telling: Discrimination


def records(job: Job, judged: Judged) -> tuple[Record, ...]:
    """The fakes with the lowest scores (most fake-like), then the real rows with the highest (most missed)."""
    count = RECORDS[job.kind]
    found = []
    for role, name, rows, scores, sign in (
        ("fake", "fake-like", judged.fake, judged.telling.fake, 1.0),
        ("real", "missed", judged.real, judged.telling.real, -1.0),
    ):
        for k in np.argsort(sign * scores, kind="stable")[:count]:
            values, image = show(job, role, int(rows[k]))
            found.append(Record(name, int(rows[k]), round(float(scores[k]), 4), values, image))
    return tuple(found)


def show(job: Job, role: str, row: int) -> tuple[dict[str, Any], str | None]:
    """The cells of a table's row or a point, or the thumbnail of a picture."""
    if job.kind == "images":
        return {}, thumbnail(job.data[role].values[row])
    return job.frame.record(role, row), None


def scatter(job: Job) -> dict[str, Any]:
    """Points as they are where they have two coordinates; else the first two principal components of the space."""
    roles = ("real", "fake")
    if job.kind == "points" and len(job.frame.names) == 2:
        points, axes, share = job.frame.rows, list(job.frame.names), None
    else:
        part = {role: job.space.rows[role][job.sample(role, 20_000, 40 + s)] for s, role in enumerate(roles)}
        points, explained = spaces.principal(spaces.Space(part, job.space.reads), roles, 2)
        axes, share = ["component 1", "component 2"], [round(float(v), 4) for v in explained]
    view: dict[str, Any] = {"axes": axes[: points["real"].shape[1]], "explained": share}
    rng = np.random.default_rng([job.seed, 7])
    for role in roles:
        chosen = points[role][rng.permutation(len(points[role]))[:SCATTER]]
        view[role] = [[float(f"{v:.5g}") for v in row] for row in chosen if np.isfinite(row).all()]
    return view


def modes(job: Job, level: float) -> list[Metric]:
    """Where REAL is a built-in toy with separate modes: how many FAKE has, and the share of fakes near one."""
    from ..data.toys import TOYS, mode_report

    name = job.data["real"].name.removeprefix("toy:").split(":")[0]
    if job.kind != "points" or not job.data["real"].name.startswith("toy:") or name not in TOYS:
        return []
    if TOYS[name].modes is None:
        return []
    real, fake = (mode_report(job.data[role].values, TOYS[name]) for role in ("real", "fake"))
    low, high = wilson(fake.high_quality, len(job.data["fake"]), level)
    near = "share of fakes within 3 sigma of a mode; the baseline is of real itself"
    return [
        Metric(
            "modes", "modes", fake.captured, None, None, real.captured, "higher",
            f"of {fake.modes} modes have a fake within 3 sigma",
        ),
        Metric("high_quality", "modes", fake.high_quality, low, high, real.high_quality, "higher", near),
    ]  # fmt: skip


def copies(job: Job, level: float) -> tuple[Copies, list[Metric], dict[str, Any]]:
    """Copies of training rows, where training rows and real rows not among them were given; else what was left out."""
    if "train" not in job.data:
        return _without_train(job, level)
    held = "holdout" if "holdout" in job.data else "real"
    fake, train, holdout = raw_rows(job.data, job.frame, "fake", "train", held)
    exact = memorization.duplicates(fake, train), memorization.duplicates(holdout, train), len(fake)
    if held == "real" and job.contained:
        note = (
            "Copies could not be judged: REAL repeats the training rows, so there is nothing to hold them against. "
            "Give real rows that were not trained on as --holdout."
        )
        low, high = wilson(exact[0], exact[2], level)
        known = Copies(False, note, n_train=len(train), duplicates=exact[0], duplicates_low=low, duplicates_high=high)
        return known, [], {}
    space = _neighbour_space(job, ("fake", "train", held))
    rows = space.rows
    most = max(1_000, min(job.suite.copy_rows, MOST_CELLS // max(1, rows["train"].shape[1])))
    figures, neighbours = memorization.look_for_copies(
        rows["fake"],
        rows["train"],
        rows[held],
        level=level,
        seed=job.seed,
        most_queries=job.suite.copy_queries,
        most_rows=most,
    )
    found, metrics = memorization.judged(figures | {"space": space.reads}, exact, alpha=job.alpha, level=level)
    view: dict[str, Any] = {"distances": neighbours.picture(), "pairs": _pairs(job, neighbours)}
    if job.kind == "images":
        from .encoders import nearest_pairs

        view["nearest"] = nearest_pairs(job, [pair["fake_row"] for pair in view["pairs"]])
    return found, metrics, view


def _without_train(job: Job, level: float) -> tuple[Copies, list[Metric], dict[str, Any]]:
    fake, real = raw_rows(job.data, job.frame, "fake", "real")
    share = memorization.duplicates(fake, real)
    low, high = wilson(share, len(fake), level)
    (a, i), (b, k) = job.baseline[0]
    first, second = raw_rows(job.data, job.frame, a, b)
    baseline = memorization.duplicates(second[k], first[i])
    note = (
        "Copies of training data were not looked for: the training rows were not given (--train). "
        f"{share:.2%} of the fake rows equal a row of REAL exactly; between the two real sets it is {baseline:.2%}."
    )
    reads = "share of fake rows that equal a row of real exactly"
    metric = Metric("duplicates", "copies", share, low, high, baseline, "baseline", reads)
    known = Copies(
        False, note, duplicates=share, duplicates_low=low, duplicates_high=high, duplicates_baseline=baseline
    )
    return known, [metric], {}


def _neighbour_space(job: Job, roles: tuple[str, ...]) -> spaces.Space:
    """Wide rows in their first principal components (rounded, so that equal rows stay equal); others as they are."""
    if job.space.rows["real"].shape[1] <= NEIGHBOUR_COMPONENTS:
        return job.space
    rows, share = spaces.principal(job.space, roles, NEIGHBOUR_COMPONENTS)
    reads = (
        f"first {NEIGHBOUR_COMPONENTS} principal components ({share.sum():.0%} of the variance) of {job.space.reads}"
    )
    return spaces.Space({role: np.round(part, 7) for role, part in rows.items()}, reads)


def _pairs(job: Job, neighbours: memorization.Neighbours) -> list[dict[str, Any]]:
    """The fakes nearest to a training row beside that row."""
    found = []
    for fake, train, distance in neighbours.closest(PAIRS[job.kind]):
        sides = {role: show(job, role, row) for role, row in (("train", train), ("fake", fake))}
        found.append(
            {
                "distance": float(f"{distance:.4g}"),
                **{f"{role}_row": row for role, row in (("train", train), ("fake", fake))},
                **{role: {"values": values, "image": image} for role, (values, image) in sides.items()},
            }
        )
    return found
