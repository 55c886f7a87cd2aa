"""Training on fakes over several target columns of a comparison: mean skills, and the target that fares worst.

REAL is cut in three, or in two where a holdout is given, which is then the test part: A trains, B trains too (what a
gap between two real training sets looks like), C is the test part that neither has seen. All training sets have one
size.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, final

import numpy as np
from numpy.typing import NDArray

from ...errors import InputError
from ...witness import Estimate
from ..figures import LeftOut
from .predict import LEAST_ROWS, Utility, default_targets, fit, utility
from .scores import of_influence

if TYPE_CHECKING:
    from ..job import Job

Array = NDArray[np.float64]

TRAIN_ROWS = 4_000
TEST_ROWS = 6_000
MOST_TARGETS = 10


@final
@dataclass(frozen=True)
class Learning:
    """Means over `targets` with intervals over the test rows, all targets judged on the same ones.

    `gap_baseline`: the mean gap between two real training sets. `worst`: the target with the largest gap, and its TRTR.
    """

    trtr: Estimate
    tstr: Estimate
    gap: Estimate
    trts: Estimate
    gap_baseline: float
    targets: tuple[Utility, ...]
    score: str
    n_train: int
    n_test: int

    @property
    def worst(self) -> tuple[Utility, float]:
        found = max(self.targets, key=lambda item: item.gap.value)
        return found, found.trtr.value


def learn(job: Job, *, model: str, level: float, targets: Sequence[str] = ()) -> Learning:
    """`utility` for each of `targets` (names; without them `default_targets`: every column that can be predicted, of
    more than `MOST_TARGETS` evenly spread ones), rows without a target left out."""
    first, second, test, fake = _parts(job)
    frame = job.frame
    unknown = [name for name in targets if name not in frame.names]
    if unknown:
        raise InputError(f"target {unknown[0]!r}: no such column; there are {', '.join(frame.names)}")
    chosen = [frame.names.index(name) for name in targets] or default_targets(first, frame.kinds, MOST_TARGETS)
    found: list[Utility] = []
    others: list[float] = []
    for j in chosen:
        try:
            one = utility(
                real_train=first, fake=fake, real_test=test, target=j, kinds=frame.kinds, names=frame.names,
                model=model, seed=job.seed, level=level,
            )  # fmt: skip
        except InputError:
            if targets:
                raise
            continue
        found.append(one)
        again = fit(second[np.isfinite(second[:, j])], target=j, kinds=frame.kinds, model=model, seed=job.seed)
        others.append(one.trtr.value - again.score(test, level).skill)
    if not found:
        raise LeftOut("no column can be predicted: each has one value, too many levels, or too few rows")
    return _mean(found, others, level)


def _parts(job: Job) -> tuple[Array, Array, Array, Array]:
    """A, B, the test part and the fakes (twice as many as A: half train, half are tested), in random order."""
    rng = np.random.default_rng([job.seed, 270])
    rows = {role: job.frame.rows[role][rng.permutation(len(job.frame.rows[role]))] for role in ("real", "fake")}
    real = rows["real"]
    if "holdout" in job.data:
        held = job.frame.rows["holdout"]
        test = held[rng.permutation(len(held))[:TEST_ROWS]]
    else:
        cut = min(TEST_ROWS, len(real) // 3)
        test, real = real[:cut], real[cut:]
    size = min(TRAIN_ROWS, len(real) // 2, len(rows["fake"]) // 2)
    if size < LEAST_ROWS:
        raise LeftOut(f"only {size} rows are left to train on; give at least {6 * LEAST_ROWS} rows of each set")
    return real[:size], real[size : 2 * size], test, rows["fake"][: size + min(size, TEST_ROWS)]


def _mean(found: list[Utility], others: list[float], level: float) -> Learning:
    names = ("trtr", "tstr", "trts")
    skill = {name: np.mean([item.parts[k].skill for item in found]) for k, name in enumerate(names)}
    influence = {name: np.mean([item.parts[k].influence for item in found], 0) for k, name in enumerate(names)}
    means = {name: of_influence(float(skill[name]), influence[name], level) for name in names}
    gap = of_influence(float(skill["trtr"] - skill["tstr"]), influence["trtr"] - influence["tstr"], level)
    scores = " and ".join(sorted({item.score for item in found}))
    return Learning(
        means["trtr"],
        means["tstr"],
        gap,
        means["trts"],
        float(np.mean(others)),
        tuple(found),
        scores,
        max(item.n_train for item in found),
        max(item.n_test for item in found),
    )
