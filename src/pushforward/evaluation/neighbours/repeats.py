"""Does FAKE repeat itself? Fake rows that stand more than once among the fakes, or almost, beside the same of REAL.

Both sets are cut to one size, since the more rows there are the more meet by chance. A row is *repeated* if another row
of its own set equals it bit for bit, and *crowded* if another row of its own set lies within a distance t: a quarter of
the upper quartile of the distances from the pooled rows to their fifth nearest others, which knows no labels, and which
fakes that all crowd together, being half of the rows, do not move. If the two sets are of one distribution, their
labels are exchangeable: the p-value is that of the number of repeated (crowded) fakes among relabellings of the pooled
rows, (1 + #{as many or more})/(1 + B), exact; drawing stops at the 20th such relabelling, the l-th drawn, where 20/l is
as valid (Besag and Clifford 1991). It sees repeats that stand out from what REAL repeats, and any crowding together.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ...errors import InputError
from ...witness import Estimate
from ..memorization import row_keys
from .copying import share
from .search import close_pairs, features, nearest

Rows = NDArray[np.int64]
RELABELLINGS = 999
FIFTH = 5
ENOUGH = 20  # relabellings with as many: the p-value is plainly not small


@final
@dataclass(frozen=True)
class Repeats:
    """Share of the `rows` fakes looked at that their own set repeats, that of as many reals, and the p-value of "fakes
    repeat themselves no more than reals do". The intervals hold given which values occur (Wilson's)."""

    fake: Estimate
    real: Estimate
    pvalue: float
    rows: int


def repeats(
    *, real: NDArray[Any], fake: NDArray[Any], seed: int = 0, relabellings: int = RELABELLINGS, level: float = 0.95
) -> Repeats:
    """Rows `(., k)` of any type that can be compared bit for bit; exact repeats within each set."""
    if len(real) == 0 or len(fake) == 0 or real.shape[1] != fake.shape[1]:
        raise InputError(f"real and fake must be filled and of one width, not {real.shape} and {fake.shape}")
    rng = np.random.default_rng(seed)
    x, y = _alike(real, fake, rng)
    _, group = np.unique(row_keys(np.concatenate([x, y])), return_inverse=True)
    group = group.ravel()

    def repeated(chosen: Rows) -> int:
        """How many of the chosen pooled rows have a twin among them."""
        size = np.bincount(group[chosen])
        return int(size[size > 1].sum())

    return _tested(repeated, len(x), rng, relabellings, level)


def crowding(
    *,
    real: Tensor,
    fake: Tensor,
    reach: float = 0.25,
    seed: int = 0,
    relabellings: int = RELABELLINGS,
    level: float = 0.95,
) -> Repeats:
    """Features `(., d)`: near repeats, within the `reach` of a distance to the fifth nearest."""
    if not 0 < reach < math.inf:
        raise InputError(f"reach must be a positive share of a distance, such as 0.25, not {reach}")
    rng = np.random.default_rng(seed)
    a_real, a_fake = (part.cpu().numpy() for part in features(real=real, fake=fake))
    x, y = _alike(a_real, a_fake, rng)
    pooled = torch.from_numpy(np.concatenate([x, y]))
    gaps = nearest(queries=pooled, rows=pooled, k=min(FIFTH, len(pooled) - 1), own=True).distance[:, -1]
    limit = (reach * float(np.quantile(gaps.numpy(), 0.75))) ** 2
    # equal rows stand as one: pairs of them could be nearly all there are
    _, first, group = np.unique(row_keys(pooled.numpy()), return_index=True, return_inverse=True)
    group, rows = group.ravel(), pooled[torch.from_numpy(first)]
    edges = [
        torch.stack([pairs.i, pairs.j])[:, (pairs.square <= limit) & (pairs.i < pairs.j)]
        for pairs in close_pairs(rows, rows, reach_x=pooled.new_full((len(rows),), limit))
    ]
    a, b = torch.cat([torch.empty(2, 0, dtype=torch.int64), *edges], 1).numpy()

    def crowded(chosen: Rows) -> int:
        count = np.bincount(group[chosen], minlength=len(rows))
        close = count > 1
        both = (count[a] > 0) & (count[b] > 0)
        close[a[both]] = close[b[both]] = True
        return int(count[close].sum())

    return _tested(crowded, len(x), rng, relabellings, level)


def _alike(real: NDArray[Any], fake: NDArray[Any], rng: np.random.Generator) -> tuple[NDArray[Any], NDArray[Any]]:
    count = min(len(real), len(fake))
    return real[rng.permutation(len(real))[:count]], fake[rng.permutation(len(fake))[:count]]


def _tested(
    figure: Callable[[Rows], int], count: int, rng: np.random.Generator, relabellings: int, level: float
) -> Repeats:
    of_real, of_fake = figure(np.arange(count)), figure(np.arange(count, 2 * count))
    pvalue = _pvalue(lambda: figure(rng.permutation(2 * count)[:count]) >= of_fake, relabellings) if of_fake else 1.0
    return Repeats(share(of_fake, count, level), share(of_real, count, level), pvalue, count)


def _pvalue(as_many: Callable[[], bool], relabellings: int) -> float:
    met = 0
    for drawn in range(1, relabellings + 1):
        met += as_many()
        if met == ENOUGH:
            return met / drawn
    return (1 + met) / (1 + relabellings)
