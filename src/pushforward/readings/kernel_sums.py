"""Kernel two-sample statistics and all their relabellings from one pass over the kernel matrix, never held whole.

For the pooled rows z = [x; y], K = k(z, z), and V in {0, 1}^{N x B} whose columns mark the rows that play x,

    s_xx = diag(V' K V),    r = K 1,    s_xy = r' V - s_xx,    s_yy = sum r - 2 r' V + s_xx,

so only diag(V' K V) needs work: upper-triangular tiles of K, each multiplied into V once. Memory is O(N B + tile^2).
A statistic of the MMD's form does not change when a constant is subtracted from K, so the mean is taken off first; what
float32 then rounds is the fluctuation alone. The observed statistic itself is summed in float64 from float64 tiles.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from itertools import combinations_with_replacement, pairwise
from typing import final

import torch
import torch.distributed
from jaxtyping import Bool, Float
from torch import Tensor

from pushforward.errors import InputError
from pushforward.witness import Estimate

_LEAST_TILE = 128
_CACHED_TILE = 384  # without relabellings the work is elementwise: tiles that stay in the cache
_TILE = 2048  # fewer, larger operations: each one makes its threads wait for each other


@final
@dataclass(frozen=True, eq=False)
class KernelSums:
    """Sums of K less a constant, in float64: enough for every statistic of the MMD's form and its null.

    `to_x`, `to_y` `(N,)`: sums of each pooled row of K over the columns of x and of y; `diagonal` `(N,)`; `quadratic`
    `(B,)`: diag(V' K V); `n`, `m`.
    """

    to_x: Tensor
    to_y: Tensor
    diagonal: Tensor
    quadratic: Tensor
    n: int
    m: int

    def statistic(self, *, unbiased: bool = True) -> float:
        """MMD^2 between x and y: the U-statistic (own pairs left out of the within means) or the V-statistic."""
        n = self.n
        xx, xy, yy = self.to_x[:n].sum(), self.to_y[:n].sum(), self.to_y[n:].sum()
        own_x, own_y = self.diagonal[:n].sum(), self.diagonal[n:].sum()
        return float(self._combine(xx, xy, yy, own_x, own_y, unbiased))

    def null(self, members: Bool[Tensor, "N B"], *, unbiased: bool = True) -> Float[Tensor, " B"]:
        """The same statistic under each relabelling."""
        rows = self.to_x + self.to_y
        linear = torch.stack([rows, self.diagonal]) @ members.to(rows)
        xx = self.quadratic
        xy = linear[0] - xx
        yy = rows.sum() - 2.0 * linear[0] + xx
        return self._combine(xx, xy, yy, linear[1], self.diagonal.sum() - linear[1], unbiased)

    def stderr(self) -> float:
        """The standard error of the U-statistic from its first-order projection (Serfling 1980, section 5.3).

        h(x_i) = mean_{j != i} k(x_i, x_j) - mean_j k(x_i, y_j), likewise for y; the variance is 4 var h(x)/n
        + 4 var h(y)/m. The estimated h carry noise of their own, so at equal distributions, where the true first order
        vanishes, this overstates the spread (by about a factor sqrt 2): the interval is on the safe side there.
        """
        n, m = self.n, self.m
        h_x = (self.to_x[:n] - self.diagonal[:n]) / (n - 1) - self.to_y[:n] / m
        h_y = (self.to_y[n:] - self.diagonal[n:]) / (m - 1) - self.to_x[n:] / n
        return math.sqrt(4.0 * float(h_x.var() / n + h_y.var() / m))

    def estimate(self, *, level: float = 0.95) -> Estimate:
        """MMD^2 by the U-statistic with its interval."""
        return Estimate.normal(self.statistic(unbiased=True), self.stderr(), level)

    def _combine(self, xx: Tensor, xy: Tensor, yy: Tensor, own_x: Tensor, own_y: Tensor, unbiased: bool) -> Tensor:
        n, m = self.n, self.m
        if unbiased:
            return (xx - own_x) / (n * (n - 1)) + (yy - own_y) / (m * (m - 1)) - 2.0 * xy / (n * m)
        return xx / (n * n) + yy / (m * m) - 2.0 * xy / (n * m)


def kernel_sums(
    kernel: Callable[[Tensor, Tensor], Tensor],
    x: Float[Tensor, "n *d"],
    y: Float[Tensor, "m *d"],
    members: Bool[Tensor, "N B"] | None = None,
    *,
    tile: int | None = None,
) -> KernelSums:
    """One pass over the tiles of k([x; y], [x; y]): `kernel` is `((p, d), (q, d)) -> (p, q)`, symmetric, and returns
    a new matrix, which is overwritten. Where it says `stationary = True`, it is given centred rows.

    `x` and `y` need two rows each (`InputError`). `members` `(N, B)` marks the relabellings; without it only the
    observed sums are made. Where `torch.distributed` is set up, its processes share the tiles out and add up their
    sums; all must be given the same rows and members, and all get the same answer.
    """
    n, m = len(x), len(y)
    if min(n, m) < 2:
        raise InputError(f"a kernel statistic needs at least two rows on each side, not {n} and {m}")
    z = torch.cat([x.flatten(1), y.flatten(1)]).double()
    if getattr(kernel, "stationary", False):
        z = z - z.mean(0)  # squared distances cancel in proportion to the squared norms
    sample = z[:: max(1, (n + m) // 256)]
    mean = float(kernel(sample, sample).mean())
    size = tile or (_CACHED_TILE if members is None else _TILE)
    blocks = _blocks(0, n, size) + _blocks(n, n + m, size)
    side = z.new_zeros(2, n + m)
    diagonal = z.new_zeros(n + m)
    quadratic = z.new_zeros(0 if members is None else members.shape[1])
    ranks, rank = _processes()
    for number, (rows, columns) in enumerate(combinations_with_replacement(blocks, 2)):
        if number % ranks == rank:
            k = kernel(z[rows], z[columns])
            side[int(columns.start >= n), rows] += k.sum(1)
            if columns is rows:
                diagonal[rows] = k.diagonal()
            else:
                side[int(rows.start >= n), columns] += k.sum(0)
            if members is not None:
                # in this order: rounding before the mean is off would leave errors that do not average out
                product = k.sub_(mean).float() @ members[columns].float()
                share = product.mul_(members[rows]).sum(0, dtype=torch.float64)
                quadratic += share if columns is rows else 2.0 * share
    if ranks > 1:
        for part in (side, diagonal, quadratic):
            torch.distributed.all_reduce(part)
    # the same constant off everything: no statistic changes, and the sums are those of the product above
    side -= mean * torch.tensor([[n], [m]]).to(side)
    return KernelSums(side[0], side[1], diagonal - mean, quadratic, n, m)


def _processes() -> tuple[int, int]:
    """How many processes share the work, and which of them this is."""
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        return torch.distributed.get_world_size(), torch.distributed.get_rank()
    return 1, 0


def tile_for(memory_budget: int | None, rows: int, width: int, permutations: int) -> int:
    """The side of the tiles with which `kernel_sums` stays within `memory_budget` bytes beside the caller's own rows.

    Held are the rows in float64, the marks of the relabellings, a few tiles, and the tiles' products with the marks.
    `InputError`, with the least budget, where not even tiles of 128 rows fit.
    """
    if memory_budget is None:
        return _TILE

    def need(tile: int) -> int:
        return rows * (16 * width + permutations + 32) + tile * (24 * tile + 12 * permutations + 32 * width)

    if need(_LEAST_TILE) > memory_budget:
        least = -(-need(_LEAST_TILE) // 1_000_000)
        raise InputError(
            f"a memory budget of {memory_budget:,} bytes is too small for {rows:,} rows and {permutations} "
            f"permutations; give at least {least} MB, or fewer permutations"
        )
    tile = _LEAST_TILE
    while tile < _TILE and need(2 * tile) <= memory_budget:
        tile *= 2
    return tile


def _blocks(start: int, stop: int, tile: int) -> list[slice]:
    """[start, stop) in as few pieces of at most `tile` rows as will do, all about as long."""
    pieces = -(-(stop - start) // tile)
    edges = [start + (stop - start) * k // pieces for k in range(pieces + 1)]
    return [slice(a, b) for a, b in pairwise(edges)]


@final
@dataclass(frozen=True, eq=False)
class KernelStatistic:
    """MMD^2 under any kernel as a statistic for `permutation_test`, all relabellings in one streamed product."""

    kernel: Callable[[Tensor, Tensor], Tensor]
    unbiased: bool = True

    def __call__(self, x: Float[Tensor, "n *d"], y: Float[Tensor, "m *d"]) -> Float[Tensor, ""]:
        """The U-statistic (or, biased, the V-statistic) in float64."""
        value = kernel_sums(self.kernel, x, y).statistic(unbiased=self.unbiased)
        return torch.tensor(value, dtype=torch.float64, device=x.device)

    def with_null(
        self, x: Float[Tensor, "n *d"], y: Float[Tensor, "m *d"], members: Bool[Tensor, "N B"]
    ) -> tuple[Tensor, Tensor]:
        """The statistic and its values under each column of `members`."""
        sums = kernel_sums(self.kernel, x, y, members)
        value = torch.tensor(sums.statistic(unbiased=self.unbiased), dtype=torch.float64, device=x.device)
        return value, sums.null(members, unbiased=self.unbiased)
