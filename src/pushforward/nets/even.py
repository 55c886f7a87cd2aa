"""Noise whose rows lie evenly within a batch.

A scrambled Sobol set, shifted by one uniform vector modulo 1 (Cranley and Patterson, 1976), goes through the normal
quantile: every row is N(0, I), and together they are even, so that the generator's batch has as many rows of each mode
as its law says, up to very few. `training.even` does the same for the data.
"""

from __future__ import annotations

from functools import lru_cache

import torch
from jaxtyping import Float
from torch import Tensor

MOST = 16  # dimensions, beyond which a few hundred rows cannot be even


def even_normal(n: int, m: int, generator: torch.Generator) -> Float[Tensor, "n m"]:
    """`n` rows of N(0, I) in `m` dimensions, on the generator's device; independent ones for m > `MOST`."""
    device = generator.device
    if m > MOST:
        return torch.randn(n, m, generator=generator, device=device)
    shift = torch.rand(m, generator=generator, device=device)
    points = (_sobol(n, m, device) + shift) % 1
    points = points[torch.randperm(n, generator=generator, device=device)]
    tiny = 2.0**-24
    found: Tensor = torch.special.ndtri(points.clamp(tiny, 1 - tiny))
    return found


@lru_cache(maxsize=8)
def _sobol(n: int, m: int, device: torch.device) -> Float[Tensor, "n m"]:
    return torch.quasirandom.SobolEngine(m, scramble=True, seed=0).draw(n).to(device)
