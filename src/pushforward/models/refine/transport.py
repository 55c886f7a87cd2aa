"""Discriminator optimal transport (Tanaka 2019, arXiv 1910.06832), in latent space and in data space.

Where the critic D is nearly the potential of an optimal transport, a sample y belongs at

    T(y) = argmin_x  |x - y| - D(x) / K,       latent:  T(z) = argmin_v  |v - z| - D(G(v)) / k

K (k) is the slope that D (D o G) in fact has, the largest |D(x) - D(x')| / |x - x'| of a hundred pairs of samples; the
median over several such hundreds is taken, as a largest value varies. Only slopes matter, so the critic needs no
calibration. The minimum is sought by gradient descent from y, with steps of a length that every row finds for itself:
longer after a step that helped, shorter after one that did not and was not taken. The distance is smoothed at 0,
sqrt(r^2 + delta^2), where the paper adds a small vector. In latent space of many dimensions rows stay as far from 0 as
they are (see `coordinates`).

Only the critic of a Wasserstein game has one slope along all ways that mass must go; where another's is less than K, no
row moves. So where the scores of real rows are known (a calibration), K is lowered until moved rows score as real ones
do (see `moving`).
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from ..drawing import rng
from .coordinates import Coordinates, Data, Latent
from .job import Drawn, Job
from .moving import PILOT, matched, moved_figures

STEPS = 20
PAIRS, REPEATS, OF_IMAGES = 100, 11, 3
SMOOTH = 1e-3  # delta, in typical lengths
EASIEST = 64.0  # K over the least slope tried
FIRST = 0.1  # the first step, in typical lengths
LONGER, SHORTER = 1.5, 0.25  # the next, after one that helped, or did not


def latent(job: Job) -> Drawn:
    """`job.n` rows, each moved in latent space."""
    return _transported(job, Latent(job.subject))


def data(job: Job) -> Drawn:
    """`job.n` rows, each moved in data space."""
    return _transported(job, Data(job.subject))


def _transported(job: Job, space: Coordinates) -> Drawn:
    subject, options = job.subject, job.options
    measured, length = scales(job, space)
    steps = options.steps or STEPS
    rate = options.rate or FIRST * length
    slope = options.lipschitz or piloted(job, space, measured, rate, steps, SMOOTH * length)
    move = descent(space, slope, rate, steps, SMOOTH * length)
    rows, scores, starts = [], [], []
    for first in range(0, job.n, subject.chunk):
        noise = subject.noise(subject.chunk, job.seed, "dot", first // subject.chunk)[: job.n - first]
        start = space.start(noise)
        found, score = move(start)
        rows.append(found)
        scores.append(score)
        starts.append((found - start).flatten(1).norm(dim=1))
    figures = {
        "lipschitz": slope,
        "lipschitz_measured": measured,
        "steps": steps,
        "rate": rate,
        **moved_figures(torch.cat(starts)),
    }
    every = torch.cat(rows)
    return Drawn(space.parts(every), torch.cat(scores), job.n, job.n, float(job.n), figures=figures)


def piloted(job: Job, space: Coordinates, measured: float, rate: float, steps: int, delta: float) -> float:
    """The K to take: see the module's docstring; the one measured where real rows' scores are not known."""
    if job.calibration is None or not job.calibration.tells:
        return measured
    start = space.start(job.subject.noise(PILOT[job.subject.codec.kind], job.seed, "pilot"))

    def moved(easier: float) -> Tensor:
        return descent(space, measured / easier, rate, steps, delta)(start)[1]

    return measured / matched(job.calibration, moved, 1.0, EASIEST)


def descent(
    space: Coordinates, slope: float, rate: float, steps: int, delta: float
) -> Callable[[Tensor], tuple[Tensor, Tensor]]:
    """What moves rows: start -> (the best places found, their scores)."""

    def value(u: Tensor, start: Tensor, score: Tensor) -> Tensor:
        return ((u - start).flatten(1).square().sum(1) + delta**2).sqrt() - score / slope

    def move(start: Tensor) -> tuple[Tensor, Tensor]:
        u, shape = start, (len(start), *[1] * (start.dim() - 1))
        score, climb = space.slope(u)
        least = value(u, start, score)
        size = torch.full_like(least, rate)
        for _ in range(steps):
            away = u - start
            distance = (away.flatten(1).square().sum(1) + delta**2).sqrt()
            down = space.tangent(climb / slope - away / distance.view(shape), u)
            length = down.flatten(1).norm(dim=1).clamp(min=1.0)
            trial = space.within(space.onto(u + (size / length).view(shape) * down, u))
            score_there, climb_there = space.slope(trial)
            value_there = value(trial, start, score_there)
            good = value_there < least
            u, climb = (torch.where(good.view(shape), one, other) for one, other in ((trial, u), (climb_there, climb)))
            score, least = torch.where(good, score_there, score), torch.where(good, value_there, least)
            size = size * torch.where(good, LONGER, SHORTER)
        return u, score

    return move


def scales(job: Job, space: Coordinates) -> tuple[float, float]:
    """(effective Lipschitz constant of the scores, typical length: over which scores change by a deviation)."""
    repeats = OF_IMAGES if job.subject.codec.kind == "images" else REPEATS
    noise = job.subject.noise(2 * PAIRS * repeats, job.seed, "lipschitz")
    u = torch.cat([space.start(part) for part in noise.split(job.subject.chunk)])
    with torch.no_grad():
        scores = torch.cat([space.score(part) for part in u.split(job.subject.chunk)]).double()
    order = torch.randperm(len(u), generator=rng(job.seed, "lipschitz pairs")).to(u.device)
    one, other = order.chunk(2)
    apart = (u[one] - u[other]).flatten(1).double().norm(dim=1)
    secants = torch.where(apart > 0, (scores[one] - scores[other]).abs() / apart, torch.zeros_like(apart))
    slope = float(secants.view(repeats, PAIRS).max(1).values.median())
    slope = slope if slope > 0 else 1.0
    return slope, float(scores.std()) / slope
