"""Importance weights, and resampling by them (Rubin 1988; Kitagawa 1996).

Rows of the generator have weights w = e^l, l the calibrated log ratio, normalised to mean 1: weighted means over them
estimate means over data. Their effective sample size is (sum w)^2 / sum w^2 (Kong 1992). `resampled` draws rows from a
pool by these weights, systematically: a row of the pool is taken floor or ceil of its expected number of times.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from ..drawing import rng
from .job import Drawn, Job


def weighted(job: Job) -> Drawn:
    """`job.n` rows of the generator with their weights."""
    noise, scores, weights = _pool(job, job.n)
    size = effective(weights)
    return Drawn(
        job.subject.emitted(noise),
        scores,
        job.n,
        job.n,
        size,
        weights,
        figures={"largest_weight": float(weights.max())},
        remark="the rows are the generator's own, and their weights do the refining",
    )


def resampled(job: Job) -> Drawn:
    """`job.n` rows drawn from a pool by their weights."""
    tried = job.options.pool * job.n
    noise, scores, weights = _pool(job, tried)
    draw = rng(job.seed, "resample")
    place = (torch.arange(job.n, dtype=torch.float64) + torch.rand((), dtype=torch.float64, generator=draw)) / job.n
    running = weights.cumsum(0).cpu()
    index = torch.searchsorted(running / running[-1], place).clamp(max=tried - 1)
    index = index[torch.randperm(job.n, generator=draw)]
    counts = torch.bincount(index)
    distinct = int((counts > 0).sum())
    pool = effective(weights)
    index = index.to(noise.device)
    return Drawn(
        job.subject.emitted(noise[index]),
        scores[index],
        tried,
        distinct,
        effective=min(pool, job.n**2 / float(counts.double().square().sum())),
        figures={"distinct": distinct, "pool_effective": pool},
        remark="" if distinct == job.n else f"{distinct:,} of the rows are distinct, as good ones are taken repeatedly",
    )


def effective(weights: Float[Tensor, " n"]) -> float:
    """(sum w)^2 / sum w^2."""
    return float(weights.sum() ** 2 / weights.square().sum())


def _pool(job: Job, n: int) -> tuple[Tensor, Tensor, Tensor]:
    """Noise, scores and weights (of mean 1) of `n` rows."""
    subject = job.subject
    noises, scores = [], []
    for first in range(0, n, subject.chunk):
        noise = subject.noise(subject.chunk, job.seed, "pool", first // subject.chunk)[: n - first]
        noises.append(noise)
        scores.append(subject.score(subject.rows(noise)))
    score = torch.cat(scores)
    ratio = job.ratio(score)
    weights = torch.exp(ratio - ratio.max())
    return torch.cat(noises), score, weights / weights.mean()
