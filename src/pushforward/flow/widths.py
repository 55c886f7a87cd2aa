"""The widths at which two samples are compared, from coarse to fine, set from the data.

A width s smooths both densities by a Gaussian of that deviation: the velocities move what is visible at s. `coarse`
sees the whole cloud at once, so that mass gets to every part of it; `fine` the finest structure that the rows show:

    coarse   the root mean square distance of a row from the mean
    fine     the width at which a row has, in the median, NEIGHBOURS effective neighbours,
             (sum_j k_ij)^2 / sum_j k_ij^2 with k_ij = exp(-|x_i - x_j|^2 / (2 s^2)), j != i

The second is a perplexity (as in t-SNE, van der Maaten and Hinton 2008), which means the same in any dimension.
"""

import math
from dataclasses import dataclass
from typing import final

import torch
from jaxtyping import Float
from torch import Tensor

from pushforward.errors import InputError
from pushforward.flow.tiles import FLOOR

NEIGHBOURS = 8.0  # effective neighbours at the fine width
_ROWS, _ASKED = 1024, 256  # rows that are neighbours, and those of them whose neighbours are counted
_HALVINGS = 14  # of the bracket of the fine width, on the logarithmic scale: to a thousandth
_NARROWEST = 1e-4  # of the coarse width: what float32 distances can still tell apart


@final
@dataclass(frozen=True)
class Widths:
    """From `coarse` down to `fine`, both in the data's units."""

    coarse: float
    fine: float

    def __post_init__(self) -> None:
        if not 0.0 < self.fine <= self.coarse < math.inf:
            raise InputError(f"widths fall from a coarse to a fine one, both positive, not {self.coarse}, {self.fine}")

    def at(self, progress: float) -> float:
        """The width at `progress` in [0, 1]: coarse^(1 - progress) fine^progress."""
        share = min(max(progress, 0.0), 1.0)
        return math.exp((1.0 - share) * math.log(self.coarse) + share * math.log(self.fine))


def widths(x: Float[Tensor, "n *event"], *, seed: int = 0, neighbours: float = NEIGHBOURS) -> Widths:
    """The widths of the data `x`; `seed` draws 1024 rows to be measured where there are more.

    `InputError` for fewer than two rows and for rows that are all equal. Where there are fewer rows than twice
    `neighbours`, half of the rows are asked for.
    """
    if len(x) < 2:
        raise InputError(f"widths need at least 2 rows of data, not {len(x)}")
    chosen = torch.randperm(len(x), generator=torch.Generator().manual_seed(seed))[:_ROWS]
    rows = x[chosen.to(x.device)].detach().flatten(1).double()
    rows = rows - rows.mean(0)
    coarse = math.sqrt(float(rows.square().sum(1).mean()))
    if not coarse > 0.0:
        raise InputError("the rows of the data are all equal, so they have no scale; give data that vary")
    squares = torch.cdist(rows[:_ASKED] / coarse, rows / coarse).square().float().fill_diagonal_(math.inf)
    wanted = min(neighbours, 0.5 * (len(rows) - 1))
    low, high = math.log(_NARROWEST), 0.0
    for _ in range(_HALVINGS):
        middle = 0.5 * (low + high)
        if _effective(squares, math.exp(middle)) < wanted:
            low = middle
        else:
            high = middle
    return Widths(coarse, coarse * math.exp(high))


def _effective(squares: Tensor, width: float) -> float:
    """The median over rows of (sum k)^2 / sum k^2; the nearest neighbour always counts."""
    exponents = squares / (-2.0 * width**2)
    k = (exponents - exponents.amax(1, keepdim=True)).clamp_min_(FLOOR).exp_()
    return float((k.sum(1).square() / k.square().sum(1)).median())
