"""Two-sample statistics of an explicit feature map and all their relabellings, in time linear in the rows.

Where k(a, b) = f(a)'f(b) with f in R^r, nothing of size N x N is needed: with F = f(z) `(N, r)` for the pooled rows,

    V'KV = |F'V|^2 column by column,    K 1_x = F (F'1_x),

so one product F'V `(r, B)`, accumulated over chunks of rows, answers everything: `KernelSums` for the statistics of the
MMD's form, or the products themselves for other quadratic forms. Cost N r B; memory r B and a chunk.
"""

from collections.abc import Callable, Iterator
from typing import TypeAlias

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from pushforward.errors import InputError
from pushforward.readings.kernel_sums import KernelSums

Features: TypeAlias = Callable[[Tensor], Tensor]
"""`(n, d) -> (n, r)`, each row on its own."""

_CHUNK_VALUES = 4_000_000  # numbers of a feature matrix held at a time: 32 MB in float64


def chunks(rows: int, width: int) -> Iterator[slice]:
    """Consecutive pieces of `rows` rows such that each holds at most some millions of `width`-vectors' numbers."""
    size = max(1, _CHUNK_VALUES // max(1, width))
    for start in range(0, rows, size):
        yield slice(start, min(start + size, rows))


def projections(
    features: Features, z: Float[Tensor, "N d"], members: Bool[Tensor, "N B"], *, width: int
) -> Float[Tensor, "r B"]:
    """F'V in the features' precision, F the features of `z`, V = `members` as 0 and 1."""
    total: Tensor | None = None
    for part in chunks(len(z), max(width, members.shape[1])):
        f = features(z[part])
        product = f.T @ members[part].to(f)
        total = product if total is None else total + product
    assert total is not None
    return total


def feature_sums(
    features: Features,
    x: Float[Tensor, "n d"],
    y: Float[Tensor, "m d"],
    members: Bool[Tensor, "N B"] | None = None,
    *,
    width: int,
) -> KernelSums:
    """The sums of the kernel f(a)'f(b), less the constant that centres the pooled features; `width` is about r.

    As `kernel_sums`: two rows a side (`InputError`); without `members` only the observed sums are made.
    """
    n, m = len(x), len(y)
    if min(n, m) < 2:
        raise InputError(f"a kernel statistic needs at least two rows on each side, not {n} and {m}")
    z = torch.cat([x, y])
    sides = torch.zeros(n + m, 2, dtype=torch.bool, device=z.device)
    sides[:n, 0], sides[n:, 1] = True, True
    marked = sides if members is None else torch.cat([sides, members], 1)
    sums = projections(features, z, marked, width=width).double()
    total = sums[:, :2].sum(1)
    centre = total / (n + m)
    sums[:, :1] -= n * centre[:, None]
    sums[:, 1:2] -= m * centre[:, None]
    sums[:, 2:] -= n * centre[:, None]
    to_sides, diagonal = z.new_empty(n + m, 2, dtype=torch.float64), z.new_empty(n + m, dtype=torch.float64)
    for part in chunks(n + m, width):
        f = features(z[part]).double() - centre
        to_sides[part], diagonal[part] = f @ sums[:, :2], (f * f).sum(1)
    return KernelSums(to_sides[:, 0], to_sides[:, 1], diagonal, (sums[:, 2:] ** 2).sum(0), n, m)
