"""Discriminator rejection sampling (Azadi, Olsson, Darrell, Goodfellow & Odena 2019, arXiv 1810.06758).

A row with log ratio l = log p/q is accepted with probability sigma(F),

    F = d - log(1 - e^(d - eps)) - gamma,      d = l - M <= 0,   M the largest l so far       (their algorithm 1)

With gamma = 0 and eps -> 0, sigma(F) = e^(l - M): exact rejection sampling. Else gamma is a percentile of F over the
first rows, so that rows there have an even chance: more rows are accepted, and the target is met less exactly.

M is taken from rows that are drawn first and not used, and rises where a larger l is met. Every row keeps the uniform
number that it was judged by, so a rise judges again what was accepted under a lower M: the order of rows makes no
difference.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from ..drawing import rng
from .job import Drawn, Job, gave_up

EPSILON = 1e-6
FIRST = 10_000  # rows that set M and gamma, of points and table rows
FIRST_IMAGES = 1024


def rejection(job: Job) -> Drawn:
    """`job.n` rows by rejection; `InputError` where so many tries do not give them."""
    subject, options = job.subject, job.options
    first = FIRST_IMAGES if subject.codec.kind == "images" else FIRST
    at_first = job.ratio(subject.score(subject.rows(subject.noise(first, job.seed, "drs", "first"))))
    most = float(at_first.max())
    gamma = 0.0
    if options.percentile is not None:
        shifted = threshold(at_first, most, 0.0)
        gamma = float(torch.quantile(shifted, options.percentile / 100))
    kept = Kept(job, gamma, most)
    number = 0
    while len(kept.ratio) < job.n:
        if number * subject.chunk >= options.most_tries * job.n:
            remedy = "refine='mh' or 'resample' make do with fewer tries, and so does a percentile such as 80"
            raise gave_up("drs", job.n, len(kept.ratio), number * subject.chunk, remedy)
        kept.draw(number)
        number += 1
    tried, accepted = number * subject.chunk, len(kept.ratio)
    return Drawn(
        subject.emitted(kept.noise[: job.n]),
        kept.scores[: job.n],
        tried,
        accepted,
        effective=float(job.n),
        figures={"largest_log_ratio": kept.most, "gamma": gamma},
    )


def threshold(ratio: Float[Tensor, " n"], most: float, gamma: float) -> Float[Tensor, " n"]:
    """F at log ratios, float64."""
    d = (ratio.double() - most).clamp(max=0.0)
    return d - torch.log1p(-torch.exp(d - EPSILON)) - gamma


class Kept:
    """Rows accepted so far: their noise, scores, log ratios, and the log uniform numbers that judged them."""

    def __init__(self, job: Job, gamma: float, most: float) -> None:
        self.job, self.gamma, self.most = job, gamma, most
        self.noise, self.scores, self.ratio, self.chance = (torch.empty(0) for _ in range(4))

    def draw(self, number: int) -> None:
        """Try another chunk."""
        subject, seed = self.job.subject, self.job.seed
        noise = subject.noise(subject.chunk, seed, "drs", number)
        scores = subject.score(subject.rows(noise))
        ratio = self.job.ratio(scores)
        chance = torch.rand(len(noise), dtype=torch.float64, generator=rng(seed, "drs chance", number)).log()
        found = (noise, scores, ratio, chance.to(noise.device))
        self._judge(*found if not number else (torch.cat(pair) for pair in zip(self._all(), found, strict=True)))

    def _all(self) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        return self.noise, self.scores, self.ratio, self.chance

    def _judge(self, noise: Tensor, scores: Tensor, ratio: Tensor, chance: Tensor) -> None:
        """Keep those rows whose chance is below the logarithm of their probability, under the largest ratio."""
        self.most = max(self.most, float(ratio.max()))
        good = chance <= torch.nn.functional.logsigmoid(threshold(ratio, self.most, self.gamma))
        self.noise, self.scores, self.ratio, self.chance = noise[good], scores[good], ratio[good], chance[good]
