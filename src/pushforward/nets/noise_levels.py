"""Rows under Gaussian noise: levels, preconditioning, the denoising loss, and the samplers that go back from noise.

    x_sigma = x + sigma e,  e ~ N(0, I);     D(x_sigma, sigma) ~ E[x | x_sigma];     score = (D(x) - x) / sigma^2

(Tweedie's formula; Vincent 2011.) Written with the angle a = atan(sigma), for rows of unit variance,

    y = cos a x + sin a e = cos a x_sigma            (variance 1 at every level)
    F(y, a) ~ E[sin a x - cos a e | y],              D = cos a y + sin a F,      e ~ sin a y - cos a F

F is what a network gives: Karras et al. (2022, table 1) with sigma_data = 1, c_skip = cos^2 a, c_out = sin a, and their
loss weight lambda = 1 / c_out^2, so that the loss is the plain |F - (sin a x - cos a e)|^2. The probability flow

    d x_sigma / d sigma = (x_sigma - D) / sigma      (Karras et al. 2022, eq. 1, with sigma(t) = t)

is dy / da = -F in these terms. A denoiser here is any `denoiser(x, sigma) -> rows`, sigma `(n,)`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

Denoise = Callable[[Tensor, Tensor], Tensor]
"""(rows `(n, *event)`, noise levels `(n,)`) -> denoised rows `(n, *event)`."""

RHO = 7.0  # Karras et al. 2022, eq. 5


def over(values: Float[Tensor, " n"], rows: Tensor) -> Tensor:
    """`(n,)` as `(n, 1, ...)`, to stand beside rows `(n, *event)`."""
    return values.view(-1, *[1] * (rows.dim() - 1))


def evenly(n: int, draw: Any) -> Float[Tensor, " n"]:
    """Numbers of [0, 1), one from each n-th of it, in order: of a run of several processes, this one's share of theirs.

    The mean over a batch of a function of them has a far smaller error than of independent draws (Kingma et al. 2021,
    appendix I.1). draw: of `training.draw`.
    """
    whole = draw.world_size * n
    found: Tensor = (draw.mine(torch.arange(whole, device=draw.device)) + draw.uniform(n)) / whole
    return found


def log_normal_levels(p: Float[Tensor, " n"], *, mean: float, spread: float) -> Float[Tensor, " n"]:
    """The levels sigma below which lies a share p of the law ln sigma ~ N(mean, spread^2)."""
    levels: Tensor = (mean + spread * torch.special.ndtri(p.clamp(1e-6, 1 - 1e-6))).exp()
    return levels


def schedule(steps: int, lowest: float, highest: float) -> tuple[float, ...]:
    """`steps` falling noise levels from highest to lowest, and then 0 (Karras et al. 2022, eq. 5)."""
    if steps == 1:
        return highest, 0.0
    first, last = highest ** (1 / RHO), lowest ** (1 / RHO)
    return (*((first + i / (steps - 1) * (last - first)) ** RHO for i in range(steps)), 0.0)


# ---- the loss, and what follows from a denoiser or a score


def dsm_loss(
    score: Callable[[Tensor, Tensor], Tensor],
    x: Float[Tensor, n * event],
    sigma: Float[Tensor, " n"],
    e: Float[Tensor, n * event],
) -> Float[Tensor, " n"]:
    """|s(x + sigma e, sigma) + e / sigma|^2, summed over a row's numbers; its minimiser is the score of the noisy rows
    (Vincent 2011, eq. 9)."""
    s = over(sigma, x)
    return (score(x + s * e, sigma) + e / s).flatten(1).square().sum(1)


def score_of_denoiser(denoised: Tensor, x: Tensor, sigma: Tensor) -> Tensor:
    """(D(x) - x) / sigma^2."""
    return (denoised - x) / over(sigma, x).square()


def denoiser_of_score(score: Tensor, x: Tensor, sigma: Tensor) -> Tensor:
    """x + sigma^2 s(x)."""
    return x + over(sigma, x).square() * score


# ---- samplers


def heun(denoiser: Denoise, x: Float[Tensor, n * event], levels: Sequence[float]) -> Float[Tensor, n * event]:
    """The probability flow from levels[0] to levels[-1], by Heun's steps (Karras et al. 2022, algorithm 1).

    x: rows with noise of levels[0]. The levels may fall or rise; a step to level 0 is Euler's, which lands on D(x).
    """
    for now, then in pairwise(levels):
        x = _heun_step(denoiser, x, now, then)
    return x


def _heun_step(denoiser: Denoise, x: Tensor, now: float, then: float) -> Tensor:
    slope = (x - denoiser(x, x.new_full((len(x),), now))) / now
    ahead = x + (then - now) * slope
    if then == 0:
        return ahead
    other = (ahead - denoiser(ahead, x.new_full((len(x),), then))) / then
    return x + (then - now) * (slope + other) / 2


def churned(
    denoiser: Denoise,
    x: Float[Tensor, n * event],
    levels: Sequence[float],
    noise: Float[Tensor, "n steps *event"],
    *,
    churn: float,
) -> Float[Tensor, n * event]:
    """The stochastic sampler: each step first adds noise, to (1 + g) of its level, and then follows the flow
    (Karras et al. 2022, algorithm 2, with S_noise = 1 and all levels churned).

    g = min(churn / steps, sqrt 2 - 1). noise: standard normal, for each of the steps one.
    """
    gain = min(churn / (len(levels) - 1), math.sqrt(2) - 1)
    for step, (now, then) in enumerate(pairwise(levels)):
        louder = now * (1 + gain)
        x = x + math.sqrt(louder**2 - now**2) * noise[:, step]
        x = _heun_step(denoiser, x, louder, then)
    return x
