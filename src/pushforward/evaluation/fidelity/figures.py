"""Fidelity and variety as `compare` shows them: distances of moments and kernels, effective numbers, repetitions.

Distances are corrected for their bias, so a figure from few rows and its baseline from half of them can be compared;
effective numbers grow with the rows, so there real and fake are given equally many. Wide features are seen in their
first principal components where a covariance has to be known well (`_COMPONENTS`), never more than an eighth of the
rows.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ...witness import Estimate
from .. import spaces
from ..comparison import Metric
from ..figures import Figure, LeftOut
from ..job import Job, some
from .diversity import birthday_test, inception_score, vendi_score
from .frechet import frechet_distance, spatial_frechet
from .kernel_distances import cmmd, kernel_distance

_STREAM = 100
_LEAST_ROWS = 32
_COMPONENTS = 64  # of wide features: as many moments as some thousand rows determine
_NARROW = 64  # values a row: up to here kernels take as many rows as trees, in float64
_EMBEDDING = 32  # fewer values a row are no embedding: their norm is information
_GRID = 8  # cells a side of the maps of a spatial distance
_NEAR = 0.01  # of the median distance of real rows: pairs nearer than this count as equal
_MEDIAN_ROWS = 1_000

Rows = NDArray[np.int64]


@dataclass(frozen=True)
class _Sets:
    """Rows of REAL and FAKE, of the two real sets of the baseline, and what they are in words."""

    real: Tensor
    fake: Tensor
    first: Tensor
    second: Tensor
    reads: str


def _chosen(job: Job, most: int) -> list[tuple[str, Rows]]:
    """(role, row numbers) of real, fake and the two sets of the baseline, at most `most` rows of each."""
    rng = np.random.default_rng([job.seed, _STREAM + 2])
    own = [(role, job.sample(role, most, _STREAM + s)) for s, role in enumerate(("real", "fake"))]
    chosen = own + [(role, some(rows, most, rng)) for role, rows in job.baseline[0]]
    least = min(len(rows) for _, rows in chosen)
    if least < _LEAST_ROWS:
        raise LeftOut(f"a set (or a half of REAL, as its baseline) has {least} rows; give at least {_LEAST_ROWS}")
    return chosen


def _components(job: Job) -> _Sets:
    """Principal components: all that vary where there are few, else the first `_COMPONENTS`."""

    def made() -> _Sets:
        wide = job.space.rows["real"].shape[1] > _NARROW
        chosen = _chosen(job, job.suite.kernel_rows if wide else job.suite.classifier_rows)
        count = min(_COMPONENTS, min(len(rows) for _, rows in chosen) // 8)
        x, y, share = _scores(job, chosen[:2], count)
        a, b, _ = _scores(job, chosen[2:], count)
        reads = job.space.reads
        if 0.0 < share < 1.0 - 1e-9:
            reads = f"first {x.shape[1]} principal components ({share:.0%} of the variance) of {reads}"
        return _Sets(x, y, a, b, reads)

    return job.once("fidelity.components", made)


def _scores(job: Job, chosen: list[tuple[str, Rows]], count: int) -> tuple[Tensor, Tensor, float]:
    """Both sets in the principal components that vary, at most `count`, and their share of the variance.

    The axes come from these two sets alone: axes that had seen more of one than of the other would fit its noise, and
    show as a difference of variances.
    """
    parts = {str(k): job.space.rows[role][rows] for k, (role, rows) in enumerate(chosen)}
    scores, share = spaces.principal(spaces.Space(parts, job.space.reads), tuple(parts), count)
    varying = max(1, int((share > 1e-12).sum()))
    x, y = (torch.from_numpy(np.ascontiguousarray(scores[name][:, :varying])) for name in parts)
    return x, y, float(share.sum())


def _features(job: Job) -> _Sets:
    """The rows as they are, at most the suite's rows for kernels; wide ones in float32."""

    def made() -> _Sets:
        dtype = torch.float64 if job.space.rows["real"].shape[1] <= _NARROW else torch.float32
        chosen = _chosen(job, job.suite.kernel_rows)
        x, y, a, b = (torch.from_numpy(job.space.rows[role][rows]).to(dtype) for role, rows in chosen)
        return _Sets(x, y, a, b, job.space.reads)

    return job.once("fidelity.features", made)


def _metric(name: str, group: str, found: Estimate, baseline: float, direction: str, reads: str) -> Metric:
    known = math.isfinite(found.low) and math.isfinite(found.high)
    low, high = (found.low, found.high) if known else (None, None)
    return Metric(name, group, found.value, low, high, baseline, direction, reads)


def _not_negative(found: Estimate) -> Estimate:
    """For people: an unbiased distance below 0 reads 0."""
    return Estimate(max(0.0, found.value), found.stderr, max(0.0, found.low), found.high, found.level)


def _frechet(job: Job) -> list[Metric]:
    sets = _components(job)
    found = _not_negative(frechet_distance(real=sets.real, fake=sets.fake, seed=job.seed))
    baseline = max(0.0, frechet_distance(real=sets.first, fake=sets.second, seed=job.seed).value)
    reads = f"Frechet distance of means and covariances, without its bias: {sets.reads}"
    return [_metric("frechet", "distance", found, baseline, "lower", reads)]


def _kid(job: Job) -> list[Metric]:
    sets = _features(job)
    found = kernel_distance(real=sets.real, fake=sets.fake)
    baseline = kernel_distance(real=sets.first, fake=sets.second).value
    reads = f"kernel distance (MMD², cubic kernel, all pairs, unbiased: it may be negative) of {sets.reads}"
    return [_metric("kid", "distance", found, baseline, "lower", reads)]


def _cmmd(job: Job) -> list[Metric]:
    width = job.space.rows["real"].shape[1]
    if width < _EMBEDDING:
        raise LeftOut(
            f"rows have {width} values, and CMMD sets their norm to 1: it is for embeddings of {_EMBEDDING} or more; "
            "give an encoder"
        )
    sets = _features(job)
    found = cmmd(real=sets.real, fake=sets.fake)
    baseline = cmmd(real=sets.first, fake=sets.second).value
    reads = f"1000 times MMD² of unit-norm rows, Gaussian kernel of width 10, unbiased: {sets.reads}"
    return [_metric("cmmd", "distance", found, baseline, "lower", reads)]


def _vendi(job: Job) -> list[Metric]:
    sets = _features(job)
    count = min(len(sets.real), len(sets.fake))
    rng = np.random.default_rng([job.seed, _STREAM + 3])
    real, fake = (rows[torch.from_numpy(some(np.arange(len(rows)), count, rng))] for rows in (sets.real, sets.fake))
    found = vendi_score(fake=fake, seed=job.seed)
    baseline = vendi_score(fake=real, groups=0).value
    reads = (
        f"Vendi score, the effective number of different rows among {count:,} fakes by cosine; baseline: as many real "
        f"rows; in {sets.reads}"
    )
    return [_metric("vendi", "coverage", found, baseline, "baseline", reads)]


def _inception(job: Job) -> list[Metric]:
    real, fake = (job.data[role].values.flatten(1).double().cpu().numpy() for role in ("real", "fake"))
    if fake.shape[1] < 2 or not all((p >= 0).all() and np.allclose(p.sum(1), 1, atol=1e-4) for p in (real, fake)):
        raise LeftOut(
            "rows are not class probabilities; give a classifier's softmax outputs for REAL and FAKE as features"
        )
    found = inception_score(fake=torch.from_numpy(fake))
    baseline = inception_score(fake=torch.from_numpy(real)).value
    reads = f"inception score of {fake.shape[1]} classes: 1 where all fakes look alike, {fake.shape[1]} at most"
    return [_metric("inception", "coverage", found, baseline, "baseline", reads)]


def _birthday(job: Job) -> list[Metric]:
    sets = _components(job)
    most = job.suite.kernel_rows
    real, fake = sets.real[:: -(-len(sets.real) // most)], sets.fake[:: -(-len(sets.fake) // most)]
    few = real[:: max(1, len(real) // _MEDIAN_ROWS)]
    threshold = _NEAR * float(torch.nn.functional.pdist(few).median())
    found, baseline = (birthday_test(fake=rows, threshold=threshold) for rows in (fake, real))
    if found.pairs:
        says = f"as from {found.support.value:,.0f} equally likely ones, where {found.half:,.0f} rows have a repetition"
    else:
        says = f"none among {found.rows:,} rows, so as from {found.support.low:,.0f} equally likely ones or more;"
        says += " a repetition"
    reads = (
        f"share of pairs of fakes that are all but equal ({says} as likely as not): nearer than {threshold:.3g}, "
        f"a hundredth of the median distance of real rows, in {sets.reads}"
    )
    return [_metric("birthday", "coverage", found.collision, baseline.collision.value, "baseline", reads)]


def _spatial(job: Job) -> list[Metric]:
    chosen = _chosen(job, job.suite.kernel_rows)
    channels = min(7, job.data["real"].values.shape[1])
    least = min(len(rows) for _, rows in chosen)
    side = min(_GRID, int(math.sqrt(least / (8 * channels))), *job.data["real"].values.shape[2:])
    if side < 2:
        raise LeftOut(f"{least} rows are too few for maps of positions; give at least {32 * channels}")
    maps = []
    for role, rows in chosen:
        parts = job.data[role].values[torch.from_numpy(rows)].split(1024)
        pooled = [torch.nn.functional.adaptive_avg_pool2d(part.float() / 255, side) for part in parts]
        maps.append(torch.cat(pooled).double())
    found = _not_negative(spatial_frechet(real=maps[0], fake=maps[1], channels=channels, seed=job.seed))
    baseline = max(0.0, spatial_frechet(real=maps[2], fake=maps[3], channels=channels, seed=job.seed).value)
    reads = f"Frechet distance of the {channels} x {side} x {side} map of mean colours: where things are in a picture"
    return [_metric("spatial", "distance", found, baseline, "lower", reads)]


FIGURES: tuple[Figure, ...] = (
    Figure(
        "frechet", "distance", _frechet, "distance of means and covariances, corrected, with an interval",
        "Heusel et al. 2017 (FID, there on Inception features); Chong and Forsyth 2020 on its bias",
        suites=("quick", "full", "image", "table"),
    ),
    Figure(
        "kid", "distance", _kid, "cubic kernel distance over all pairs, with the variance of its U-statistic",
        "Binkowski et al. 2018", suites=("full", "image"),
    ),
    Figure(
        "cmmd", "distance", _cmmd, "Gaussian kernel distance of unit-norm embeddings",
        "Jayasumana et al. 2024, arXiv 2401.09603", suites=("full", "image"), kinds=("points", "images"),
    ),
    Figure(
        "vendi", "coverage", _vendi, "effective number of different rows, beside that of as many real ones",
        "Friedman and Dieng 2023", suites=("full", "image"),
    ),
    Figure(
        "inception", "coverage", _inception, "inception score, where the rows are class probabilities",
        "Salimans et al. 2016", kinds=("points",),
    ),
    Figure(
        "birthday", "coverage", _birthday, "all but equal pairs among fakes, and the size of support they speak for",
        "Arora, Risteski and Zhang 2018", kinds=("points", "images"),
    ),
    Figure(
        "spatial", "distance", _spatial, "Frechet distance of what is where in a picture",
        "Nash et al. 2021, section 4.1 (there on Inception's maps)", suites=("full", "image"), kinds=("images",),
    ),
)  # fmt: skip
