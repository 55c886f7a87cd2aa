"""Metropolis-Hastings GAN (Turner, Hung, Frank, Saatchi & Yosinski 2019, arXiv 1811.11357).

For each row asked, a chain whose proposals are independent rows x' of the generator, accepted with probability

    min(1, w(x') / w(x)),        w = p/q = D/(1 - D), D calibrated

which leaves p unchanged. A chain begins at the score of a real row (drawn from those that the critic was calibrated
by), so it is in p from the start and needs no burn-in; and it goes on until it has accepted at least once, as the real
row is not the generator's to give. After k proposals an independence chain is within

    (1 - 1/W)^k,     W = sup w / E_q w                                     (Mengersen & Tweedie 1996, theorem 2.1)

of p in total variation, from wherever it began: that sets k where none is given. Chains are independent of each other,
and so are the rows.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ..drawing import rng
from .job import Drawn, Job, gave_up

LONGEST = 640  # proposals to a chain, as in the paper
WITHIN = 0.01


def chains(job: Job) -> Drawn:
    """`job.n` rows, the last of as many chains; `InputError` where some of them never move."""
    subject, seed = job.subject, job.seed
    calibration = job.calibration
    assert calibration is not None
    mean = float(job.ratio(subject.score(subject.rows(subject.noise(subject.chunk, seed, "mh", "mean")))).exp().mean())
    largest = math.exp(calibration.top) / mean
    length = job.options.chain or length_for(largest)
    real = calibration.real()
    noises, scores, accepted, tried = [], [], 0, 0
    for first in range(0, job.n, subject.chunk):
        number = first // subject.chunk
        place = torch.rand(subject.chunk, dtype=torch.float64, generator=rng(seed, "mh start", number))
        start = real[(place * (len(real) - 1)).round().long()].to(subject.device)
        found = _run(job, number, job.ratio(start)[: job.n - first], length)
        noises.append(found[0])
        scores.append(found[1])
        accepted, tried = accepted + found[2], tried + found[3]
    return Drawn(
        subject.emitted(torch.cat(noises)),
        torch.cat(scores),
        tried,
        accepted,
        effective=float(job.n),
        figures={"chain": length, "off_at_most": min(1.0, (1 - min(1.0, 1 / largest)) ** length)},
    )


def length_for(largest: float) -> int:
    """Proposals after which a chain with weights up to `largest` (their mean is 1) is within 1 % of its goal."""
    if largest <= 1:
        return 1
    return min(LONGEST, math.ceil(math.log(WITHIN) / math.log1p(-1 / largest)))


def _run(job: Job, number: int, state: Tensor, length: int) -> tuple[Tensor, Tensor, int, int]:
    """One chunk of chains from the log ratios `state` `(n,)`: their noise and scores, rows accepted and tried."""
    subject, n = job.subject, len(state)
    noise, score = torch.empty(0), torch.empty(0)
    moved = torch.zeros(n, dtype=torch.bool, device=state.device)
    accepted = torch.zeros((), dtype=torch.long, device=state.device)
    turn = 0
    while turn < length or not bool(moved.all()):
        if turn >= max(length, job.options.most_tries):
            remedy = "raise most_tries, or take refine='resample'"
            raise gave_up("mh", n, int(moved.sum()), turn * n, remedy)
        proposed = subject.noise(subject.chunk, job.seed, "mh", number, turn)[:n]
        scores = subject.score(subject.rows(proposed))
        ratio = job.ratio(scores)
        uniform = torch.rand(subject.chunk, dtype=torch.float64, generator=rng(job.seed, "mh chance", number, turn))[:n]
        good = uniform.log().to(state.device) <= ratio - state
        if turn:
            shape = (n, *[1] * (proposed.dim() - 1))
            proposed, scores = torch.where(good.view(shape), proposed, noise), torch.where(good, scores, score)
        noise, score, state = proposed, scores, torch.where(good, ratio, state)
        moved |= good
        accepted += good.sum()
        turn += 1
    return noise, score, int(accepted), turn * n
