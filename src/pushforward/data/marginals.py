"""One numeric column to and from a standard normal latent: the rank-Gaussian map.

With F the distribution function of the training values, a value t becomes `z = Phi^-1(F(t))`, and back
`t = F^-1(Phi(z))`. F is kept in one of two forms:

- *discrete*: a repeated few values, `F` a staircase. A value owns the whole step `(F(t-), F(t)]`, and `encode` puts it
  at a uniformly random place inside, so that z is exactly N(0, 1); `decode` returns the value whose step holds
  `Phi(z)`, so that every heap and gap of the column comes back as it was.
- *knots*: many values, `F` linear between quantiles (evenly spaced, denser in both tails). Values on a grid (integers,
  so many decimals) are first spread uniformly over their grid cell, and `decode` rounds them back to it.

Both clip to the training bounds. Units: a column's *ticks* (grid steps above its minimum), or its own units off grid.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

DISCRETE_VALUES = 16384  # at most so many steps in a staircase
DISCRETE_REPEATS = 3  # and at least so many rows per value, so that a continuous column is not replayed value by value
KNOTS = 2048
_ROUNDING = 5e-8  # z is kept as float32: so far from a step's edge it stays on its side


@dataclass(frozen=True, eq=False)
class Marginal:
    """`values` `(k,)` ascending and `cdf` `(k,)` = F at them (at their right end where `discrete`), both float64.

    `grid`: the values are whole ticks. `margin`: the least distance of u to 0 and 1, half a row of the training set.
    """

    values: Tensor
    cdf: Tensor
    discrete: bool
    grid: bool
    margin: float

    @classmethod
    def fit(cls, ticks: Tensor, *, grid: bool, generator: torch.Generator) -> Marginal:
        """Fit on the float64 `ticks` `(n,)`, n >= 1, none of them missing."""
        n = len(ticks)
        ordered = ticks.sort().values
        values, counts = torch.unique_consecutive(ordered, return_counts=True)
        if len(values) <= min(DISCRETE_VALUES, max(1, n // DISCRETE_REPEATS)):
            return cls(values, counts.cumsum(0).double() / n, True, grid, 0.5 / n)
        if grid:
            ordered = (ordered + _uniform(n, generator) - 0.5).sort().values
        u = _levels(n)
        place = u * (n - 1)
        low = place.floor().long().clamp(max=max(n - 2, 0))
        share = place - low
        high = (low + 1).clamp(max=n - 1)
        return cls(ordered[low] * (1 - share) + ordered[high] * share, u, False, grid, 0.5 / n)

    def encode(self, ticks: Tensor, generator: torch.Generator) -> Tensor:
        """z `(n,)` float64 of the `ticks` `(n,)`; random inside a step, a grid cell or a tie."""
        noise = _uniform(len(ticks), generator)
        if self.discrete:
            step = self._nearest(ticks)
            low, high = torch.cat([self.cdf.new_zeros(1), self.cdf[:-1]])[step], self.cdf[step]
            edge = ((high - low) / 4).clamp(max=_ROUNDING)
            u = (low + noise * (high - low)).clamp(low + edge, high - edge)
        else:
            if self.grid:
                ticks = ticks + noise - 0.5
            ticks = ticks.clamp(self.values[0], self.values[-1])
            first = torch.searchsorted(self.values, ticks, right=False)
            last = torch.searchsorted(self.values, ticks, right=True) - 1
            tied = last > first  # several knots at this very value: anywhere between them
            left = last.clamp(0, len(self.values) - 2)
            gap = self.values[left + 1] - self.values[left]
            share = torch.where(gap > 0, (ticks - self.values[left]) / gap, torch.ones_like(gap)).clamp(0, 1)
            u = self.cdf[left] * (1 - share) + self.cdf[left + 1] * share
            ends = (first.clamp(max=len(self.values) - 1), last.clamp(min=0))
            u = torch.where(tied, self.cdf[ends[0]] * (1 - noise) + self.cdf[ends[1]] * noise, u)
        z: Tensor = torch.special.ndtri(u.clamp(self.margin, 1 - self.margin))
        return z

    def decode(self, z: Tensor) -> Tensor:
        """The ticks `(n,)` float64 of the latent `z` `(n,)`, inside the training bounds; NaN is taken as 0."""
        u = torch.special.ndtr(torch.nan_to_num(z.double(), nan=0.0))
        if self.discrete:
            step: Tensor = torch.searchsorted(self.cdf, u).clamp(max=len(self.values) - 1)
            return self.values[step]
        right = torch.searchsorted(self.cdf, u).clamp(1, len(self.cdf) - 1)
        share = ((u - self.cdf[right - 1]) / (self.cdf[right] - self.cdf[right - 1])).clamp(0, 1)
        ticks = self.values[right - 1] * (1 - share) + self.values[right] * share
        out: Tensor = ticks.round() if self.grid else ticks.clamp(self.values[0], self.values[-1])
        return out

    def _nearest(self, ticks: Tensor) -> Tensor:
        right = torch.searchsorted(self.values, ticks).clamp(max=len(self.values) - 1)
        left = (right - 1).clamp(min=0)
        return torch.where(ticks - self.values[left] < self.values[right] - ticks, left, right)


def _uniform(n: int, generator: torch.Generator) -> Tensor:
    return torch.rand(n, dtype=torch.float64, generator=generator)


def _levels(n: int) -> Tensor:
    """Ascending probabilities 0..1 of the knots: even, four rows apart or more, and halving to 1/n in both tails."""
    even = torch.linspace(0, 1, min(KNOTS, max(n // 4, min(n, 32), 2)), dtype=torch.float64)
    tail = torch.tensor([2.0**-i for i in range(2, 60) if 2.0**i < n], dtype=torch.float64)
    u: Tensor = torch.unique_consecutive(torch.cat([even, tail, 1 - tail]).sort().values)
    return u
