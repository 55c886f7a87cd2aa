"""Rows on a common scale, chosen without looking at labels."""

from dataclasses import dataclass
from typing import final

import torch
from jaxtyping import Float
from torch import Tensor


@final
@dataclass(frozen=True, eq=False)
class Scaling:
    """Rows -> (rows - centre) * inverse, differentiable."""

    centre: Tensor
    inverse: Tensor

    def __call__(self, rows: Tensor) -> Tensor:
        return (rows.flatten(1) - self.centre.to(rows)) * self.inverse.to(rows)


def scaled(z: Float[Tensor, "N d"], *, standardise: bool) -> tuple[Tensor, Scaling]:
    """The pooled rows centred and (if `standardise`) divided by their columns' deviations, constant columns by 1."""
    wide = z.double()
    centre = wide.mean(0)
    spread = wide.std(0, correction=0) if standardise else torch.ones_like(centre)
    least = 1e-12 * (wide.abs().amax(0) + 1e-300)  # rounding of a constant
    scaling = Scaling(centre, torch.where(spread > least, 1.0 / spread, 0.0 if standardise else 1.0))
    return scaling(wide).float(), scaling
