"""What the critic knows, on rows it was trained on and on rows it never saw.

Scores: a of data, b of samples, h of held-out data. AUC(a, b) = P(a > b) + P(a = b)/2.

- AUC of training rows and of held-out rows over samples, with DeLong's variance (1988);
- overfitting: AUC(a, h), which is 1/2 if the critic cannot tell the rows that it was trained on from others. Then a
  and h are exchangeable, and z = (AUC - 1/2) / sqrt((n + m + 1)/(12 n m)) is Mann and Whitney's;
- the divergence that minus the critic's loss estimates, on held-out rows: an estimate that overfitting cannot inflate;
- calibration: is sigma(score) the probability of being real? The slope s of a logistic regression on s score + c (1 is
  calibrated, less is overconfident), and how far sigma(score + c) is from the shares of real rows, in equal bins, less
  what sampling explains. The constant c is free because relativistic losses do not determine it;
- saturation: 1 - mean |dL_G/db| at the samples / its largest value at any score that data or samples have. Near 1 the
  generator learns nothing where it is (for minimax, dL_G/db = sigma(b), when samples are obvious).
"""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor

from ...objectives import Objective
from ...witness import Estimate

BINS = 15
GROUPS = 16
LEVEL = 0.95


def _placements(a: Tensor, b: Tensor) -> Tensor:
    """For each of `a`, the share of `b` below it; ties count half."""
    ordered = b.sort().values
    below = torch.searchsorted(ordered, a, side="left") + torch.searchsorted(ordered, a, side="right")
    return below.double() / (2 * len(b))


def auc(a: Float[Tensor, " n"], b: Float[Tensor, " m"], *, level: float = LEVEL) -> Estimate:
    """P(a > b) + P(a = b)/2 with DeLong's standard error.

    The interval is Wilson's at the number of draws that has this variance, which is still one when the AUC is 1.
    """
    over, under = _placements(a, b), _placements(b, a)
    value = float(over.mean())
    variance = float(over.var(correction=1) / len(a) + under.var(correction=1) / len(b))
    smaller = min(len(a), len(b))
    draws = value * (1 - value) / variance if variance > 0 else float(smaller)
    z = Estimate.normal(0.0, 1.0, level).high
    centre = (value + z * z / (2 * draws)) / (1 + z * z / draws)
    half = z / (1 + z * z / draws) * math.sqrt(value * (1 - value) / draws + z * z / (4 * draws * draws))
    return Estimate(value, math.sqrt(variance), max(0.0, centre - half), min(1.0, centre + half), level)


def mann_whitney(a: Float[Tensor, " n"], h: Float[Tensor, " m"]) -> tuple[float, float]:
    """(AUC of a over h, z): z is standard normal if a and h are exchangeable (smaller in size with ties)."""
    value = float(_placements(a, h).mean())
    n, m = len(a), len(h)
    return value, (value - 0.5) / math.sqrt((n + m + 1) / (12 * n * m))


def divergence(
    objective: Objective, a: Float[Tensor, " n"], b: Float[Tensor, " m"], *, level: float = LEVEL
) -> Estimate:
    """Minus the critic's mean loss at scores it was not trained on, in the objective's units (`estimates`).

    The rows are dealt into `GROUPS` groups, so that losses of a whole batch have a standard error too, with Student's
    quantile.
    """
    from scipy.stats import t

    assert objective.critic is not None
    size = min(len(a), len(b)) // GROUPS
    pairs = zip(a[: size * GROUPS].chunk(GROUPS), b[: size * GROUPS].chunk(GROUPS), strict=True)
    values = torch.stack([-objective.critic(x, y).mean() for x, y in pairs]).double()
    value, stderr = float(values.mean()), float(values.std()) / math.sqrt(GROUPS)
    half = float(t.ppf((1 + level) / 2, GROUPS - 1)) * stderr
    return Estimate(value, stderr, value - half, value + half, level)


def calibration(h: Float[Tensor, " n"], b: Float[Tensor, " m"]) -> tuple[float, float]:
    """(slope, error) of sigma(score) as the probability of being real, for as many real as sampled rows.

    The slope is that of logistic regression with a ridge of one hundredth of an observation, which keeps it finite
    where the scores separate the two. The error is the mean over `BINS` equal bins of |share of real - mean sigma|,
    less the mean that sampling gives a perfectly calibrated critic, and at least 0.
    """
    n = min(len(h), len(b))
    scores = torch.cat([h[:n], b[:n]]).double()
    real = torch.cat([scores.new_ones(n), scores.new_zeros(n)])
    scale = float(scores.std()) or 1.0
    slope, _ = _logistic(scores / scale, real, free=True)
    _, shift = _logistic(scores, real, free=False)
    p, order = torch.sigmoid(scores + shift), scores.argsort()
    error, chance = 0.0, 0.0
    for part in order.chunk(BINS):
        spread = float((p[part] * (1 - p[part])).sum()) / len(part) ** 2
        error += abs(float((real[part] - p[part]).mean())) * len(part)
        chance += math.sqrt(2 / math.pi * spread) * len(part)
    return slope / scale, max(0.0, (error - chance) / len(scores))


def _logistic(x: Tensor, real: Tensor, *, free: bool) -> tuple[float, float]:
    """(slope, intercept) of maximum likelihood, the slope 1 unless `free`, by damped Newton steps."""
    slope, shift = (0.0 if free else 1.0), (0.0 if free else -float(x.median()))
    for _ in range(50):
        p = torch.sigmoid(slope * x + shift)
        w, residual = p * (1 - p), real - p
        g1, h00 = float(residual.sum()), float(w.sum()) + 1e-2
        if free:
            g0, h11, h01 = (
                float((residual * x).sum()) - 1e-2 * slope,
                float((w * x * x).sum()) + 1e-2,
                float((w * x).sum()),
            )
            determinant = h00 * h11 - h01 * h01
            step = (h00 * g0 - h01 * g1) / determinant, (h11 * g1 - h01 * g0) / determinant
        else:
            step = 0.0, g1 / h00
        size = max(map(abs, step))
        damp = min(1.0, 4.0 / size) if size > 0 else 1.0
        slope, shift = slope + damp * step[0], shift + damp * step[1]
        if size < 1e-8:
            break
    return slope, shift


def saturation(objective: Objective, a: Float[Tensor, " n"], b: Float[Tensor, " m"]) -> float:
    """The share of the generator's gradient that is lost, in [0, 1]; see the module's docstring.

    0 where the gradient is the same at all scores (wgan, hinge), and where it vanishes at all of them, 1.
    """
    n = min(len(a), len(b))
    a, b = a[:n].detach(), b[:n].detach()

    def pull(scores: Tensor) -> Tensor:
        with torch.enable_grad():
            at = scores.clone().requires_grad_()
            loss = objective.generator(a, at)
            # a loss of the whole batch is a mean already
            (slope,) = torch.autograd.grad(loss.sum() * (len(at) if loss.dim() == 0 else 1), at)
        return slope.abs()

    here = pull(b)
    largest = float(torch.maximum(here.max(), pull(a.roll(1)).max()))
    return 1.0 - float(here.mean()) / largest if largest > 0 else 1.0
