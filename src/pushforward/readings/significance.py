"""The test reading: is the statistic larger than under random relabelling of the pooled rows?

If x and y come from one distribution, every assignment of the n + m pooled rows to the two sides is equally likely.
With B random assignments, p = (1 + #{T_b >= T}) / (1 + B) satisfies P(p <= alpha) <= alpha exactly, at any sample
size, for any statistic (Phipson and Smyth 2010): it is never 0. The statistic must not have been chosen on these rows;
a witness has to be fitted on others.

A statistic that can do all B relabellings at once says so by a method `with_null` (`Relabelled`). Kernel statistics do
them in one streamed product (`pushforward.readings.kernel_sums`), the gap of a witness in one small one.
"""

from dataclasses import dataclass, field
from typing import Protocol, final, runtime_checkable

import torch
from jaxtyping import Bool, Float
from torch import Generator, Tensor

from pushforward.errors import InputError
from pushforward.witness import Statistic, Witness

_TIE = 1e-4  # of the null's standard deviation: values closer than the rounding of float32 sums count as equal


@final
@dataclass(frozen=True, eq=False)
class Significance:
    """The observed `statistic`, its `pvalue` and its `null` `(B,)` under relabelling."""

    statistic: float
    pvalue: float
    null: Tensor = field(repr=False)


@runtime_checkable
class Relabelled(Protocol):
    """A statistic that evaluates many relabellings at once."""

    def with_null(
        self, x: Float[Tensor, "n *d"], y: Float[Tensor, "m *d"], members: Bool[Tensor, "N B"]
    ) -> tuple[Tensor, Tensor]:
        """The statistic `()` and its values `(B,)`; column b of `members` marks the pooled rows [x; y] that play x."""
        ...


@final
@dataclass(frozen=True, eq=False)
class Gap:
    """The gap of a witness as a statistic: each pooled row is scored once, and relabelling is a matrix product."""

    witness: Witness

    def __call__(self, x: Float[Tensor, "n *d"], y: Float[Tensor, "m *d"]) -> Float[Tensor, ""]:
        """mean phi(x) - mean psi(y)."""
        return self.witness.gap(x, y)

    def with_null(
        self, x: Float[Tensor, "n *d"], y: Float[Tensor, "m *d"], members: Bool[Tensor, "N B"]
    ) -> tuple[Tensor, Tensor]:
        """The gap and its values under each column of `members`."""
        pooled = torch.cat([x, y])
        with torch.no_grad():
            phi, psi = self.witness.phi(pooled).double(), self.witness.psi(pooled).double()
        n, m = len(x), len(y)
        chosen = torch.stack([phi / n, psi / m]) @ members.to(phi)
        return phi[:n].mean() - psi[n:].mean(), chosen[0] + chosen[1] - psi.sum() / m


def draw_members(n: int, m: int, permutations: int, *, generator: Generator) -> Bool[Tensor, "N B"]:
    """B random choices of n out of the n + m pooled rows, one a column, on the generator's device."""
    members = torch.zeros(permutations, n + m, dtype=torch.bool, device=generator.device)
    for row in members:
        row[torch.randperm(n + m, generator=generator, device=generator.device)[:n]] = True
    return members.T


def permutation_pvalue(statistic: float, null: Float[Tensor, " B"]) -> float:
    """(1 + #{T_b >= T}) / (1 + B), values within rounding of T counting as equal to it."""
    null = null.double()
    tie = _TIE * float(null.std()) if len(null) > 1 else 0.0
    return (1 + int((null >= statistic - tie).sum())) / (1 + len(null))


def permutation_test(
    statistic: Statistic | Witness,
    x: Float[Tensor, "n *d"],
    y: Float[Tensor, "m *e"],
    *,
    permutations: int = 500,
    generator: Generator,
) -> Significance:
    """Test whether `x` and `y` come from one distribution by any statistic that is large when they do not.

    A `Witness` stands for its gap. Permutations come from `generator`. `InputError` for an empty side, for rows of
    different shapes, for no permutations, and for a statistic that is not finite.
    """
    if len(x) == 0 or len(y) == 0:
        raise InputError(f"a test needs rows on both sides, not {len(x)} and {len(y)}")
    if x.shape[1:] != y.shape[1:]:
        raise InputError(f"rows of x have shape {tuple(x.shape[1:])} but rows of y {tuple(y.shape[1:])}")
    if permutations < 1:
        raise InputError(f"a permutation test needs at least one permutation, not {permutations}")
    members = draw_members(len(x), len(y), permutations, generator=generator).to(x.device)
    counted = Gap(statistic) if isinstance(statistic, Witness) else statistic
    with torch.no_grad():
        if isinstance(counted, Relabelled):
            observed, null = counted.with_null(x, y, members)
        else:
            pooled = torch.cat([x, y])
            observed = counted(x, y)
            null = torch.stack([counted(pooled[row], pooled[~row]) for row in members.T])
    if not (torch.isfinite(observed) and torch.isfinite(null).all()):
        raise InputError("the statistic is not finite on these rows; look for overflow in the witness or the data")
    return Significance(float(observed), permutation_pvalue(float(observed), null), null)
