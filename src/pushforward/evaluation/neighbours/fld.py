"""The feature likelihood divergence and its generalisation gap (Jiralerspong et al. 2023, arXiv 2302.04440).

A Gaussian stands on every fake y_j, with a width of its own that makes the training rows likely:

    p(x) = 1/m sum_j N(x; y_j, s_j I),    s maximising sum_i log p(x_i) over training rows x_i,

in features standardised by the held-out rows. Where fakes are copies their widths collapse, and held-out rows become
unlikely; where fakes are poor or miss a part of the data, they are unlikely too. In hundredths of a nat a dimension,

    FLD = 100/d (NLL(holdout) - NLL0(holdout)),      gap = 100/d (NLL(train) - NLL(holdout)),

NLL0 being that of one half of the training rows fitted to the other: FLD is near 0 for a perfect generator, and the gap
falls far below that of real rows in the fakes' place when fakes copy. As in the authors' code a broad Gaussian at the
training rows' mean takes part in the fit, so that no row is impossible, and not in the scores. The widths are found by
expectation maximisation, which needs no step size and ends higher in likelihood than fifty steps of Adam:

    r_ij = responsibility of j for i,     s_j = sum_i r_ij |x_i - y_j|^2 / (d sum_i r_ij).

The intervals are of the held-out (and training) rows' mean, given the fakes and the fit.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor

from ...errors import InputError
from ...witness import Estimate
from .search import features

STEPS = 20
SMALLEST_EXP = -80.0
LEAST = 1e-8  # of a variance, in standardised units: an exact copy's would be 0
BACKGROUND = 0.9**2  # squared distances to the training mean count by this much in the background (the authors' code)
_CELLS = 2**22


@final
@dataclass(frozen=True)
class FeatureLikelihood:
    """`fld` and `gap` in 100 nats a dimension; `steps` of the fit were done."""

    fld: Estimate
    gap: Estimate
    steps: int


def feature_likelihood(
    *, train: Tensor, holdout: Tensor, fake: Tensor, steps: int = STEPS, seed: int = 0, level: float = 0.95
) -> FeatureLikelihood:
    """FLD and its gap of features `train` `(n, d)`, `holdout` `(h, d)`, `fake` `(m, d)`.

    `seed` halves the training rows for NLL0, each half at most m rows. Time O(steps n m d), memory O(n + m) and a tile.
    `InputError` for fewer than four training rows.
    """
    rows, held, y = features(train=train, holdout=holdout, fake=fake)
    if len(rows) < 4:
        raise InputError(f"train: {len(rows)} rows cannot be halved for a baseline; give at least 4")
    scale = held.std(0, correction=0)
    scale = torch.where(scale > 0, scale, torch.ones_like(scale))
    rows, held, y = ((part - held.mean(0)) / scale for part in (rows, held, y))
    order = torch.randperm(len(rows), generator=torch.Generator().manual_seed(seed)).to(rows.device)
    half = min(len(y), len(rows) // 2)
    first, second = rows[order[:half]], rows[order[half:]]
    widths = _fit(y, rows, steps)
    known = _nll(held, first, _fit(first, second, steps))
    of_held, of_train = _nll(held, y, widths), _nll(rows, y, widths)
    unit = 100.0 / rows.shape[1]
    fld = Estimate.normal(unit * float((of_held - known).mean()), unit * _spread(of_held - known), level)
    stderr = math.hypot(_spread(of_held), _spread(of_train))
    gap = Estimate.normal(unit * float(of_train.mean() - of_held.mean()), unit * stderr, level)
    return FeatureLikelihood(fld, gap, steps)


def _spread(values: Tensor) -> float:
    return float(values.std()) / math.sqrt(len(values)) if len(values) > 1 else math.nan


def _fit(means: Tensor, rows: Tensor, steps: int) -> Tensor:
    """The widths s_j (variances) of Gaussians on `means` that make `rows` likely, from their nearest rows on."""
    d = rows.shape[1]
    height = max(1, _CELLS // len(means))
    nearest = means.new_full((len(means),), math.inf)
    for part in rows.split(height):
        nearest = torch.minimum(nearest, _squares(part, means).amin(0))
    widths = (nearest / d).clamp(min=LEAST)
    centre = rows.mean(0)
    broad = float((rows - centre).square().mean()) or 1.0
    behind = -0.5 * BACKGROUND * (rows - centre).square().sum(1) / broad - 0.5 * d * math.log(2 * math.pi * broad)
    for _ in range(steps):
        weight, spread = torch.zeros_like(widths), torch.zeros_like(widths)
        for part, ground in zip(rows.split(height), behind.split(height), strict=True):
            square = _squares(part, means)
            square = square.float()  # the fit bears it; the scores are made in float64
            share, top = _scaled(_log_density(square, widths.float(), d))
            part_of = (share.sum(1) + (ground.float() - top).clamp(SMALLEST_EXP, -SMALLEST_EXP).exp()).reciprocal()
            weight += (part_of @ share).double()
            spread += (part_of @ share.mul_(square)).double()
        fresh = spread / (d * weight)
        widths = torch.where(weight > 1e-12, fresh, widths).clamp(min=LEAST)  # a mean that answers for no row stays
    return widths


def _nll(rows: Tensor, means: Tensor, widths: Tensor) -> Tensor:
    height = max(1, _CELLS // len(means))
    found = []
    for part in rows.split(height):
        share, top = _scaled(_log_density(_squares(part, means), widths, rows.shape[1]))
        found.append(-(top + share.sum(1).log()))
    return torch.cat(found)


def _scaled(log: Tensor) -> tuple[Tensor, Tensor]:
    """exp(log - top) and the greatest of each row, top; overwrites `log`. What is less than e^SMALLEST_EXP
    does not matter and is raised to that: subnormal numbers are slow."""
    top = log.amax(1)
    return log.sub_(top[:, None]).clamp_(min=SMALLEST_EXP).exp_(), top


def _log_density(square: Tensor, widths: Tensor, d: int) -> Tensor:
    """log of N(x; y_j, s_j I) / m."""
    return -0.5 * square / widths - 0.5 * d * torch.log(2 * math.pi * widths) - math.log(len(widths))


def _squares(rows: Tensor, means: Tensor) -> Tensor:
    """Squared distances; by products in float64, which for standardised rows round far below `LEAST`."""
    square = torch.addmm(means.square().sum(1), rows, means.T, alpha=-2.0) + rows.square().sum(1)[:, None]
    return square.clamp(min=0.0)
