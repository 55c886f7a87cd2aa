"""The exponential moving average of a network's weights: what samples are drawn from.

    w_ema <- w + decay (w_ema - w),   decay = 0.5^(batch / half-life), the half-life counted in rows seen

(Karras et al. 2018). Early on the half-life is at most `WARM_UP` of the rows seen so far, so that the average forgets
the first weights (Karras et al. 2020, `ema_rampup`).
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor

WARM_UP = 0.05


def decay_at(step: int, batch_size: int, half_life: int) -> float:
    """The decay of the average at `step` (from 0), for a `half_life` in rows."""
    rows = min(half_life, WARM_UP * (step + 1) * batch_size)
    return float(0.5 ** (batch_size / max(rows, 1e-8)))


@torch.no_grad()
def update(average: Iterable[Tensor], weights: Iterable[Tensor], decay: float) -> None:
    """Move `average` towards `weights`, in place, all tensors in one call."""
    torch._foreach_lerp_(list(average), list(weights), 1 - decay)
