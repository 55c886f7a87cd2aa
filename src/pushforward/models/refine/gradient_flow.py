"""Discriminator gradient flow (Ansari, Ang & Soh 2021, arXiv 2012.00780), in latent space and in data space.

The gradient flow of an f-divergence of the samples' law q from the data's p, with entropy of weight gamma, moves a row

    u <- u + eta s(l) grad l(u) + sqrt(2 eta gamma) xi,      l = log p/q,  xi ~ N(0, I)
    s = 1 (kl),  sigma(-l) (logd),  sigma(l) (js)

with l from the critic as calibrated (its affine map: the slope matters), at G(z) in latent space. The critic stays the
one of where the rows were first, so a row must not follow it for long: l keeps rising where p/q has been met. The step
eta is therefore the one after whose `steps` steps moved rows score as real ones do, in a pilot (see `moving`), sought
from a quarter of the length that would raise the mean of l as far as it must rise if its gradient stayed the same,

    eta = (E_p l - E_q l) / (steps E_q s |grad l|^2).
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from ...errors import InputError
from ..drawing import rng
from .coordinates import Coordinates, Data, Latent
from .job import Drawn, Job
from .moving import PILOT, matched, moved_figures

STEPS = 20
SHORTEST, LONGEST = 0.25, 64.0

DIVERGENCES: dict[str, Callable[[Tensor], Tensor]] = {
    "kl": torch.ones_like,
    "logd": lambda ratio: torch.sigmoid(-ratio),
    "js": torch.sigmoid,
}


def latent(job: Job) -> Drawn:
    """`job.n` rows, each moved in latent space."""
    return _flowed(job, Latent(job.subject))


def data(job: Job) -> Drawn:
    """`job.n` rows, each moved in data space."""
    return _flowed(job, Data(job.subject))


def _flowed(job: Job, space: Coordinates) -> Drawn:
    subject, options = job.subject, job.options
    if options.divergence not in DIVERGENCES:
        raise InputError(f"unknown divergence {options.divergence!r}; known: {', '.join(DIVERGENCES)}")
    steps = options.steps or STEPS
    rate = options.rate or piloted(job, space, steps)
    rows, scores, apart = [], [], []
    for first in range(0, job.n, subject.chunk):
        number = first // subject.chunk
        start = space.start(subject.noise(subject.chunk, job.seed, "dgflow", number)[: job.n - first])
        found = flow(job, space, start, rate, steps, number)
        rows.append(found)
        with torch.no_grad():
            scores.append(space.score(found))
        apart.append((found - start).flatten(1).norm(dim=1))
    figures = {"steps": steps, "rate": rate, **moved_figures(torch.cat(apart))}
    return Drawn(space.parts(torch.cat(rows)), torch.cat(scores), job.n, job.n, float(job.n), figures=figures)


def flow(job: Job, space: Coordinates, start: Tensor, rate: float, steps: int, number: int) -> Tensor:
    """Rows after `steps` steps of length `rate`."""
    assert job.calibration is not None
    calibration, weigh = job.calibration, DIVERGENCES[job.options.divergence]
    u, shape = start, (len(start), *[1] * (start.dim() - 1))
    spread = (2 * rate * job.options.noise) ** 0.5
    free = 1.0 if space.mask is None else space.mask
    for turn in range(steps):
        scores, climb = space.slope(u)
        pull = calibration.slope * weigh(calibration.affine(scores))
        u = u + rate * pull.view(shape) * climb
        if spread:
            xi = torch.randn(start.shape, generator=rng(job.seed, "dgflow noise", number, turn)).to(u)
            u = u + spread * xi * free
        u = space.within(u)
    return u


def piloted(job: Job, space: Coordinates, steps: int) -> float:
    """The length of a step: see the module's docstring; 0 where the critic tells nothing."""
    calibration, subject = job.calibration, job.subject
    assert calibration is not None
    start = space.start(subject.noise(PILOT[subject.codec.kind], job.seed, "pilot"))
    scores, climb = space.slope(start)
    ratio = calibration.affine(scores.double())
    weight = DIVERGENCES[job.options.divergence](ratio) * calibration.slope**2
    square = float((weight * climb.flatten(1).double().square().sum(1)).mean())
    rise = float(calibration(calibration.real()).mean() - calibration(scores).mean())
    if rise <= 0 or square <= 0:
        return 0.0

    def moved(rate: float) -> Tensor:
        with torch.no_grad():
            return space.score(flow(job, space, start, rate, steps, -1))

    length = rise / (steps * square)
    return matched(calibration, moved, SHORTEST * length, LONGEST * length)
