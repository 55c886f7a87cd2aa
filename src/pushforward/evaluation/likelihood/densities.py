"""Kernel (Parzen) density estimates: a likelihood for what can only be sampled, and to be read as an estimate.

    p_h(x) = mean_j N(x; y_j, h^2 I),        y_j the m samples of the model.

The width h maximises the mean log density of held-out model samples, so it is chosen without a look at the real rows.
The estimate is off in either direction and the more so the higher the dimension: rankings of models by it can be wrong
(Theis, van den Oord and Bethge 2016), which is why it is always marked `estimate` and stands beside a real-vs-real one.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import final

import torch
from torch import Generator, Tensor

from ...errors import InputError
from .bits import LOG_LIKELIHOOD, Likelihood, mean_of

WIDTHS = 25
NARROWEST = 1e-3  # of the spread of the samples; a best width there means that values repeat
_TILE = 4_000_000


@final
@dataclass(frozen=True)
class Parzen:
    """The kernel density of `samples` `(m, d)` at `width`: a callable `(n, d) -> (n,)` of log densities.

    `unbounded`: the held-out likelihood was still growing at the narrowest width tried, or most samples occur more than
    once: such samples have no density, and no figure should be quoted.
    """

    samples: Tensor
    width: float
    unbounded: bool = False

    def __call__(self, x: Tensor) -> Tensor:
        return kernel_log_density(x, self.samples, width=self.width)


def kernel_log_density(x: Tensor, samples: Tensor, *, width: float) -> Tensor:
    """ln p_h at `x` `(n, d)`: `(n,)`, float64, by tiles."""
    if x.ndim != 2 or samples.ndim != 2 or x.shape[1] != samples.shape[1]:
        raise InputError(
            f"rows {tuple(x.shape)} and samples {tuple(samples.shape)} must be (n, d) and (m, d) with one d"
        )
    if not width > 0:
        raise InputError(f"width {width}: a kernel needs a width above 0")
    m, d = samples.shape
    centre = samples.double().mean(0)  # distances of centred rows keep their digits
    y = (samples.double() - centre) / width
    rows = max(1, _TILE // max(1, m))
    parts = []
    for part in x.split(rows):
        a = (part.double() - centre) / width
        parts.append(torch.logsumexp(-0.5 * torch.cdist(a, y).square(), 1))
    constant = math.log(m) + d * math.log(width) + 0.5 * d * math.log(2 * math.pi)
    return torch.cat(parts) - constant


def fit_parzen(samples: Tensor, *, generator: Generator, most_fitted: int = 2_000) -> Parzen:
    """The kernel density of `samples` `(m, d)`, its width by the likelihood of held-out samples.

    One fifth of at most `most_fitted` samples is held out; `WIDTHS` widths from `NARROWEST` to 2 times the spread are
    tried, on an even grid of logarithms. All samples then carry kernels.
    """
    if len(samples) < 10:
        raise InputError(f"{len(samples)} samples are too few to choose a kernel's width; give at least 10")
    if not torch.isfinite(samples).all():
        raise InputError("samples must be finite; drop rows with missing values or fill them")
    some = samples[torch.randperm(len(samples), generator=generator, device=generator.device)[:most_fitted]]
    held, rest = some[: len(some) // 5], some[len(some) // 5 :]
    spread = float(samples.double().var(0).mean().sqrt())
    if not spread > 0:
        raise InputError("all samples are equal: they have no density")
    widths = [spread * float(f) for f in torch.logspace(math.log10(NARROWEST), math.log10(2.0), WIDTHS)]
    scores = [float(kernel_log_density(held, rest, width=h).mean()) for h in widths]
    best = max(range(WIDTHS), key=scores.__getitem__)
    fewer = (len(rest) / len(samples)) ** (1 / (samples.shape[1] + 4))  # the best width falls as m^(-1/(d+4))
    different = torch.unique(samples, dim=0)
    return Parzen(samples, widths[best] * fewer, unbounded=best == 0 or 2 * len(different) < len(samples))


def parzen_log_likelihood(
    *, real: Tensor, fake: Tensor, generator: Generator, width: float | None = None, level: float = 0.95
) -> Likelihood:
    """Mean log density in nats of the `real` rows `(n, d)` under the kernel density of `fake` `(m, d)`: an estimate.

    The interval takes the real rows as the randomness, given the fakes.
    """
    density = Parzen(fake, width) if width is not None else fit_parzen(fake, generator=generator)
    return mean_of(density(real), kind="estimate", units=LOG_LIKELIHOOD, level=level)
