"""The figures of nearest neighbours as `compare` shows them: each with its interval and the same between real rows.

Figures of copying need `train`, and real rows that were not trained on: the holdout, or REAL where `train` does not
hold REAL's own rows. Their baseline puts one half of those rows in the place of the fakes, against the other.
Where a test gives no interval for its statistic, none is shown, and the reading has the p-value.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ...errors import InputError
from ...witness import Estimate
from ..comparison import Metric
from ..figures import Figure, LeftOut
from ..job import Job
from ..shared import (
    MODE_ROWS,
    STREAM,
    TRAINING_ROWS,
    distances_of,
    held_role,
    identical_of,
    modes_of,
    near_copies_of,
    pairs,
    repeats_of,
    rows_of,
    three,
)
from .copying import DataCopying, RecordDistances, Share, closest_record, data_copying, distance_ratio, membership
from .copying import near_copies as near_copies_among
from .fld import feature_likelihood
from .gower import gower_nearest
from .manifolds import NeighbourScores, neighbour_scores
from .modes import mode_report
from .repeats import Repeats
from .typicality import alpha_precision, authenticity, beta_recall

Array = NDArray[np.float64]
K = 5
LIKELIHOOD_ROWS = 1_000
EVERY = ("quick", "full", "image", "table")


def metric(name: str, group: str, found: Estimate, baseline: float | None, direction: str, reads: str) -> Metric:
    """An `Estimate` as a `Metric`; without an interval where it has no standard error."""
    known = math.isfinite(found.stderr) and math.isfinite(found.high)
    low, high = (found.low, found.high) if known else (None, None)
    return Metric(name, group, found.value, low, high, baseline, direction, reads)


def _manifolds(job: Job) -> list[Metric]:
    x, y, a, b = pairs(job, job.suite.kernel_rows // 2, STREAM)
    if min(map(len, (x, y, a, b))) <= K:
        raise LeftOut(f"fewer than {K + 1} rows on a side; give more rows")
    found, base = (job.once(f"neighbour_scores {s}", _scores(*z)) for s, z in (("", (x, y)), ("baseline", (a, b))))
    what = f"neighbourhoods of {K} rows in the space of {job.space.reads}, {found.n:,} real and {found.m:,} fake rows"
    rows = (
        ("precision", "fidelity", "higher", f"share of fakes within a neighbourhood of real rows; {what}"),
        ("density", "fidelity", "baseline", "real neighbourhoods that a fake lies in, over k; 1 if perfect"),
        ("clipped_density", "fidelity", "higher", "share of fakes as good as real ones; single rows count for little"),
        ("recall", "coverage", "higher", f"share of real rows within a neighbourhood of fakes; {what}"),
        ("coverage", "coverage", "higher",
         f"share of real neighbourhoods with a fake in them; {found.expected_coverage:.3f} for a perfect generator"),
        ("clipped_coverage", "coverage", "higher", "share of good fakes that would cover real rows as well"),
    )  # fmt: skip
    return [metric(n, g, getattr(found, n), getattr(base, n).value, direction, r) for n, g, direction, r in rows]


def _scores(x: Tensor, y: Tensor) -> Callable[[], NeighbourScores]:
    return lambda: neighbour_scores(real=x, fake=y, k=K)


def _typicality(job: Job) -> list[Metric]:
    x, y, a, b = pairs(job, job.suite.kernel_rows // 2, STREAM)
    alpha, beta = alpha_precision(real=x, fake=y), beta_recall(real=x, fake=y, k=K)
    alpha_base, beta_base = alpha_precision(real=a, fake=b).value, beta_recall(real=a, fake=b, k=K).value
    return [
        metric(
            "alpha_precision", "fidelity", alpha, alpha_base, "higher", "are fakes as typical as reals: 1 if just so"
        ),
        metric("beta_recall", "coverage", beta, beta_base, "higher", "are reals met where fakes are typical"),
    ]


def _modes(job: Job) -> list[Metric]:
    found = modes_of(job)
    _, _, a, b = pairs(job, MODE_ROWS * job.suite.kernel_rows, STREAM + 4)
    if "real" in job.labels and "fake" in job.labels:
        (r, i), (s, k) = job.baseline[0]
        codes = (job.labels[r][i], job.labels[s][k]) if r in job.labels and s in job.labels else None
        base = None if codes is None else mode_report(real=rows_of(job, r, i), fake=rows_of(job, s, k), labels=codes)
    else:
        base = mode_report(real=a, fake=b, modes=len(found.modes), seed=job.seed) if len(a) >= 4 else None
    dropped = found.dropped(job.alpha)
    named = ", ".join(
        f"{m.label} ({m.real / found.n:.1%} of real, {m.fake / found.m:.1%} of fake)" for m in dropped[:3]
    )
    share = sum(mode.real for mode in dropped) / found.n
    what = f"{len(found.modes)} {'labels' if 'real' in job.labels else 'cells of a k-means'}"
    least = f"least Holm-adjusted p = {found.pvalue:.2g}"
    base_share = None if base is None else sum(mode.real for mode in base.dropped(job.alpha)) / base.n
    return [
        Metric("mode_missing", "modes", found.missing, None, None, None if base is None else base.missing, "lower",
               f"total variation between shares of {what}; no interval: it has a floor that depends on the rows"),
        Metric("modes_effective", "modes", found.effective_fake, None, None, found.effective_real, "baseline",
               f"exp of the entropy of the fakes' shares of {what}; baseline: of the reals"),
        Metric("mode_dropped", "modes", share, None, None, base_share, "lower",
               f"share of real in modes with significantly too few fakes; {least}" + (f": {named}" if named else "")),
    ]  # fmt: skip


def _repeats(job: Job) -> list[Metric]:
    exact, near = repeats_of(job)
    return [
        _repeated("repeats", exact, "share of fake rows that repeat another fake row exactly"),
        _repeated("crowding", near, "share of fake rows almost equal to another fake row"),
    ]


def _repeated(name: str, found: Repeats, what: str) -> Metric:
    reads = f"{what}, of {found.rows:,}; baseline: the same of real; {_p(found.pvalue)} for more than real's"
    return metric(name, "copies", found.fake, found.real.value, "baseline", reads)


def _halves(job: Job, held: Tensor) -> tuple[Tensor, Tensor]:
    """The held-out rows in two random halves: one plays the fakes."""
    order = torch.from_numpy(np.random.default_rng([job.seed, STREAM + 16]).permutation(len(held)))
    return held[order[: len(held) // 2]], held[order[len(held) // 2 :]]


def _data_copying(job: Job) -> list[Metric]:
    train, held, fake, distances = distances_of(job)
    first, second = _halves(job, held)
    try:
        found: DataCopying = job.once(
            "data_copying",
            lambda: data_copying(train=train, holdout=held, fake=fake, seed=job.seed, distances=distances),
        )
        base = data_copying(train=train, holdout=second, fake=first, seed=job.seed)
    except InputError as error:  # too few rows, or fakes and held-out rows in different cells
        raise LeftOut(str(error)) from error
    reads = (
        f"C_T of {len(found.cells)} cells over its spread without copying (normal): far below 0 where fakes are too "
        f"near to training rows; {_p(found.pvalue)}; no interval: it is a test's score"
    )
    return [Metric("data_copying", "copies", found.score, None, None, base.score, "baseline", reads)]


def _near(job: Job) -> list[Metric]:
    _, _, _, distances = distances_of(job)
    close = near_copies_of(job)
    dcr, ratio = closest_record(distances), distance_ratio(distances)
    what = "distance of a fake to its closest training row"
    return [
        _share("near_copies", close, "share of fakes nearer to a training row than nearly all held-out rows are"),
        metric("dcr_low", "privacy", dcr.fake_low, dcr.holdout_low.value, "baseline", f"5 % quantile of the {what}"),
        metric("dcr_median", "privacy", dcr.fake_median, dcr.holdout_median.value, "baseline", f"median {what}"),
        metric("nndr_low", "privacy", ratio.fake_low, ratio.holdout_low.value, "baseline",
               f"5 % quantile of the {what} over that to the second closest"),
    ]  # fmt: skip


def _share(name: str, found: Share, what: str) -> Metric:
    return metric(name, "privacy", found.fake, found.holdout.value, "baseline", f"{what}; {_p(found.pvalue)} for more")


def _identical(job: Job) -> list[Metric]:
    reads = "share of fakes equal to a training row; baseline: of held-out rows"
    return [_share("identical", identical_of(job), reads)]


def _membership(job: Job) -> list[Metric]:
    train, held, fake = three(job, job.suite.copy_queries, job.suite.copy_queries)
    found = membership(train=train, holdout=held, fake=fake)
    first, second = _halves(job, held)
    base = membership(train=train, holdout=second, fake=first).value
    reads = "AUC of telling training rows from unseen ones by the distance to the nearest fake: 0.5 if nothing leaks"
    return [metric("membership_auc", "privacy", found, base, "baseline", reads)]


def _authentic(job: Job) -> list[Metric]:
    train, held, fake, _ = distances_of(job)
    found = authenticity(train=train, fake=fake, holdout=held)
    base = None if found.expected is None else found.expected.value
    test = "" if found.pvalue is None else f"; {_p(found.pvalue)} for fewer than of held-out rows"
    reads = f"share of fakes further from their training row than it is from its own neighbour{test}"
    return [metric("authenticity", "privacy", found.share, base, "baseline", reads)]


def _likelihood(job: Job) -> list[Metric]:
    train, held, fake = three(job, LIKELIHOOD_ROWS, 2 * LIKELIHOOD_ROWS)
    found = feature_likelihood(train=train, holdout=held, fake=fake, seed=job.seed)
    first, second = _halves(job, held)
    base = feature_likelihood(train=train, holdout=second, fake=first, seed=job.seed)
    given = "interval: of the held-out rows, given fakes and fit"
    return [
        metric("fld", "fidelity", found.fld, base.fld.value, "lower",
               f"how unlikely held-out rows are under a density on the fakes, 100 nats a dimension; {given}"),
        metric("fld_gap", "copies", found.gap, base.gap.value, "baseline",
               f"how much more likely training rows are than held-out rows; far below baseline where copied; {given}"),
    ]  # fmt: skip


def _gower(job: Job) -> list[Metric]:
    held, count = held_role(job), min(job.suite.copy_queries, 5_000)
    rows = {}
    for s, (role, most) in enumerate(
        (("train", min(TRAINING_ROWS, job.suite.copy_rows)), (held, count), ("fake", count))
    ):
        rows[role] = torch.from_numpy(job.frame.rows[role][job.sample(role, most, STREAM + 20 + s)])
    near = {
        role: gower_nearest(queries=rows[role], rows=rows["train"], kinds=job.frame.kinds) for role in ("fake", held)
    }
    gaps = {role: found.distance.numpy()[:, None] for role, found in near.items()}
    distances = RecordDistances(gaps["fake"], gaps[held], near["fake"].index.numpy())
    dcr = closest_record(distances)
    what = "Gower's distance of a fake to its closest training row, 0 to 1"
    return [
        _share("gower_copies", near_copies_among(distances), "near_copies by Gower's distance"),
        metric("gower_dcr_low", "privacy", dcr.fake_low, dcr.holdout_low.value, "baseline", f"5 % quantile of {what}"),
        metric(
            "gower_dcr_median", "privacy", dcr.fake_median, dcr.holdout_median.value, "baseline", f"median of {what}"
        ),
    ]


def _p(pvalue: float) -> str:
    return f"p = {max(pvalue, 1e-12):.2g}" if pvalue > 1e-12 else "p ≤ 1e-12"


FIGURES: tuple[Figure, ...] = (
    Figure("precision", "fidelity", _manifolds,
           "precision, recall, density, coverage and the clipped ones, by nearest neighbours",
           "Kynkaanniemi et al. 2019; Naeem et al. 2020; Salvy et al. 2025", EVERY,
           gives=("precision", "recall", "density", "coverage", "clipped_density", "clipped_coverage")),
    Figure("alpha_precision", "fidelity", _typicality, "are fakes typical of REAL, and reals met by typical fakes",
           "Alaa et al. 2022", ("full",), gives=("alpha_precision", "beta_recall")),
    Figure("mode_missing", "modes", _modes, "counts by mode (labels, or cells of REAL) and which have too few fakes",
           "Fisher's exact test, Holm 1979", EVERY, gives=("mode_missing", "modes_effective", "mode_dropped")),
    Figure("repeats", "copies", _repeats, "fake rows that repeat other fake rows, exactly or almost",
           "a relabelling test", (*EVERY, "privacy"), gives=("repeats", "crowding")),
    Figure("data_copying", "copies", _data_copying, "the data-copying test C_T, rescaled",
           "Meehan et al. 2020", ("full", "privacy"), needs=("train",)),
    Figure("near_copies", "privacy", _near, "fakes nearer to training rows than held-out rows; distances and ratios",
           "an exact beta-binomial test", ("full", "privacy"), needs=("train",),
           gives=("near_copies", "dcr_low", "dcr_median", "nndr_low")),
    Figure("identical", "privacy", _identical, "fakes equal to a training row, against held-out rows",
           "Fisher's exact test", ("full", "privacy"), needs=("train",)),
    Figure("membership_auc", "privacy", _membership, "can training rows be told by their distance to the fakes",
           "Chen et al. 2020; DeLong et al. 1988", ("full", "privacy"), needs=("train",)),
    Figure("authenticity", "privacy", _authentic, "fakes that are no near copy of a training row",
           "Alaa et al. 2022", ("full", "privacy"), needs=("train",)),
    Figure("fld", "fidelity", _likelihood, "feature likelihood divergence and its generalisation gap",
           "Jiralerspong et al. 2023", ("full", "privacy"), needs=("train",), gives=("fld", "fld_gap")),
    Figure("gower_copies", "privacy", _gower, "near copies and closest records by Gower's distance of mixed columns",
           "Gower 1971", ("full", "privacy"), kinds=("table",), needs=("train",),
           gives=("gower_copies", "gower_dcr_low", "gower_dcr_median")),
)  # fmt: skip
