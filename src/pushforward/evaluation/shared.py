"""What several figures and findings of one comparison need: computed once, kept in `Job.cache`."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from .combinations import Combination, thin_combinations
from .figures import LeftOut
from .job import Job, Rows, raw_rows, some
from .neighbours.copying import RecordDistances, Share, identical, near_copies, record_distances
from .neighbours.modes import ModeReport, mode_report
from .neighbours.repeats import Repeats, crowding, repeats

STREAM = 150  # of `Job.sample`: 150 to 199 are for nearest neighbours
TRAINING_ROWS = 20_000
MODE_ROWS = 2  # for each row that goes to kernels: a mode of 2 % must be more than a handful
CROWD_ROWS = 4_000  # close pairs are listed: of collapsed fakes all are


def rows_of(job: Job, role: str, index: Rows) -> Tensor:
    """Features of these rows, in the job's space."""
    return torch.from_numpy(job.space.rows[role][index])


def pairs(job: Job, most: int, stream: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Features of real, fake, and the two real sets of the baseline; at most `most` rows of each."""
    x, y = (rows_of(job, role, job.sample(role, most, stream + s)) for s, role in enumerate(("real", "fake")))
    rng = np.random.default_rng([job.seed, stream + 2])
    a, b = (rows_of(job, role, some(rows, most, rng)) for role, rows in job.baseline[0])
    return x, y, a, b


def held_role(job: Job) -> str:
    """The role of real rows that were not trained on."""
    if "train" not in job.data:
        raise LeftOut("needs --train")
    if "holdout" in job.data:
        return "holdout"
    if job.contained:
        raise LeftOut("REAL repeats the training rows, so nothing shows how near unseen rows come; give --holdout")
    return "real"


def modes_of(job: Job) -> ModeReport:
    """Modes by label where there are labels, else by the cells of a k-means; `Mode.row` is a row of REAL."""

    def made() -> ModeReport:
        if "real" in job.labels and "fake" in job.labels:
            names = np.array(job.label_names)
            codes = (names[job.labels["real"]], names[job.labels["fake"]])
            every = [torch.zeros((len(part), 1), dtype=torch.float64) for part in codes]  # labels need no features
            return mode_report(real=every[0], fake=every[1], labels=codes)
        most = MODE_ROWS * job.suite.kernel_rows
        x, y, _, _ = pairs(job, most, STREAM + 4)
        found = mode_report(real=x, fake=y, seed=job.seed)
        rows = job.sample("real", most, STREAM + 4)
        named = tuple(replace(mode, row=int(rows[mode.row])) if mode.row >= 0 else mode for mode in found.modes)
        return replace(found, modes=named)

    return job.once("modes", made)


def repeats_of(job: Job) -> tuple[Repeats, Repeats]:
    """Exact and near repeats of the fakes among themselves."""

    def made() -> tuple[Repeats, Repeats]:
        most = job.suite.kernel_rows
        i, k = (job.sample(role, most, STREAM + 8 + s) for s, role in enumerate(("real", "fake")))
        real, fake = raw_rows(job.data, job.frame, "real", "fake")
        exact = repeats(real=real[i], fake=fake[k], seed=job.seed)
        i, k = (job.sample(role, min(most, CROWD_ROWS), STREAM + 8 + s) for s, role in enumerate(("real", "fake")))
        return exact, crowding(real=rows_of(job, "real", i), fake=rows_of(job, "fake", k), seed=job.seed)

    return job.once("repeats", made)


def three(job: Job, most: int, most_train: int = TRAINING_ROWS) -> tuple[Tensor, Tensor, Tensor]:
    """Features of training, held-out and fake rows."""
    roles = (("train", min(job.suite.copy_rows, most_train)), (held_role(job), most), ("fake", most))
    train, held, fake = (
        rows_of(job, role, job.sample(role, count, STREAM + 12 + s)) for s, (role, count) in enumerate(roles)
    )
    return train, held, fake


def distances_of(job: Job) -> tuple[Tensor, Tensor, Tensor, RecordDistances]:
    """Features of training, held-out and fake rows, and the distances of the latter two to the first."""

    def made() -> tuple[Tensor, Tensor, Tensor, RecordDistances]:
        train, held, fake = three(job, job.suite.copy_queries)
        return train, held, fake, record_distances(train=train, holdout=held, fake=fake)

    return job.once("distances", made)


def near_copies_of(job: Job) -> Share:
    """The share of fakes nearer to a training row than nearly all held-out rows are."""
    return job.once("near_copies", lambda: near_copies(distances_of(job)[3]))


def identical_of(job: Job) -> Share:
    """The share of fakes that equal a training row, beside that of held-out rows."""

    def made() -> Share:
        train, held, fake = raw_rows(job.data, job.frame, "train", held_role(job), "fake")
        return identical(train=train, holdout=held, fake=fake)

    return job.once("identical", made)


def combinations_of(job: Job) -> tuple[Combination, ...]:
    """Levels and pairs of levels of which FAKE has too few."""

    def made() -> tuple[Combination, ...]:
        categorical = job.frame.categorical
        real, fake = (job.frame.rows[role][:, categorical].astype(np.int64) for role in ("real", "fake"))
        return thin_combinations(real, fake, [len(job.frame.levels[j]) for j in categorical], alpha=job.alpha)

    found = job.once("combinations", made)
    places = job.frame.categorical
    return tuple(replace(one, conditions=tuple((places[j], k) for j, k in one.conditions)) for one in found)
