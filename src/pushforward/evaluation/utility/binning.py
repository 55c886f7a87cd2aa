"""Columns as a few bins, for tables of counts: quantiles or levels of REAL and FAKE together, missing a bin too."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..frames import Frame

Array = NDArray[np.float64]
Codes = NDArray[np.int64]


def binned(x: Array, y: Array, *, category: bool, bins: int) -> tuple[Codes, Codes, int]:
    """Codes of columns `x` `(n,)` and `y` `(m,)` below the returned number.

    A category keeps its `bins - 1` most frequent levels among both, the others being one; a number is cut at quantiles
    of both together, into at most `bins`, equal values never apart. The cuts do not know which row is of which set.
    """
    pooled = np.concatenate([x, y])
    if category:
        levels, place, count = np.unique(pooled, return_inverse=True, return_counts=True)
        rank = np.empty(len(levels), dtype=np.int64)
        rank[np.argsort(-count, kind="stable")] = np.arange(len(levels))
        codes = np.minimum(rank[place], bins - 1)
    else:
        there = np.isfinite(pooled)
        cuts = np.unique(np.quantile(pooled[there], np.arange(1, bins) / bins)) if there.any() else np.zeros(0)
        codes = np.searchsorted(cuts, pooled, side="right")
        codes[~there] = len(cuts) + 1
    used, codes = np.unique(codes, return_inverse=True)
    return codes[: len(x)].astype(np.int64), codes[len(x) :].astype(np.int64), len(used)


def binned_columns(frame: Frame, x: Array, y: Array, *, bins: int) -> tuple[Codes, Codes, list[int]]:
    """All columns of rows `x` `(n, p)`, `y` `(m, p)` by `binned`: two matrices of codes, and the number for each."""
    parts = [binned(x[:, j], y[:, j], category=kind == "category", bins=bins) for j, kind in enumerate(frame.kinds)]
    return np.stack([a for a, _, _ in parts], 1), np.stack([b for _, b, _ in parts], 1), [k for _, _, k in parts]


def own_ranks(values: Array, rng: np.random.Generator) -> Array:
    """Ranks in (0, 1) of a column within itself `(n,)`, ties in random order, NaN where missing.

    The rank transform of the column's own distribution, randomised at its atoms (Ruschendorf 1981): uniform whatever
    the column, so that a shifted, stretched or bent one is as it was.
    """
    there = np.flatnonzero(np.isfinite(values))
    order = there[np.lexsort((rng.random(len(there)), values[there]))]
    ranks = np.full(len(values), np.nan)
    ranks[order] = (np.arange(len(order)) + 0.5) / max(1, len(order))
    return ranks
