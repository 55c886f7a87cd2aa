"""Levels and pairs of levels that REAL has and FAKE lacks: modes of a table that no distance shows.

With r of n real rows and f of m fake rows in a level (or in two levels of two columns at once), the p-value of "FAKE
has its share" against too few is the hypergeometric tail P(F <= f) given r + f, and Holm adjusts over all that were
looked at. Which those are is chosen by the rows of both sets together, so that the choice knows no labels: a pair of
levels counts where neither level alone holds nearly the same rows, and where enough rows are in it for a test to see it
gone.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations
from typing import final

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from ..readings.adjust import holm

Array = NDArray[np.float64]
Codes = NDArray[np.int64]
MOST_LEVELS = 40  # of a column; the more frequent
MOST_COLUMNS = 24


@final
@dataclass(frozen=True)
class Combination:
    """`conditions` (column, level), one or two; the shares of real and fake rows in it; p-values of too few fakes."""

    conditions: tuple[tuple[int, int], ...]
    real: float
    fake: float
    pvalue: float
    adjusted: float


def thin_combinations(
    real: Codes, fake: Codes, sizes: list[int], *, alpha: float = 0.05, alone: bool = True
) -> tuple[Combination, ...]:
    """Of codes `real` `(n, c)` and `fake` `(m, c)` of `sizes` levels: all that were looked at, the surest first.

    `alone`: single levels too, not only pairs.
    """
    n, m = len(real), len(fake)
    columns = [j for j, size in enumerate(sizes) if size > 1][:MOST_COLUMNS]
    x, y = (np.minimum(codes, MOST_LEVELS) for codes in (real, fake))
    widths = [min(size, MOST_LEVELS + 1) for size in sizes]
    found: list[tuple[tuple[tuple[int, int], ...], int, int]] = []
    single = {}
    for j in columns:
        a, b = (np.bincount(side[:, j], minlength=widths[j]) for side in (x, y))
        single[j] = a + b
        if alone:
            found += [(((j, k),), int(a[k]), int(b[k])) for k in range(min(widths[j], MOST_LEVELS))]
    for i, j in combinations(columns, 2):
        shape = (widths[i], widths[j])
        a, b = (np.bincount(s[:, i] * shape[1] + s[:, j], minlength=shape[0] * shape[1]).reshape(shape) for s in (x, y))
        both = a + b
        nearly = (both > 0.9 * single[i][:, None]) | (both > 0.9 * single[j][None, :])
        for k, q in zip(*np.nonzero((both > 0) & ~nearly), strict=True):
            if k < MOST_LEVELS and q < MOST_LEVELS:
                found.append((((i, int(k)), (j, int(q))), int(a[k, q]), int(b[k, q])))
    if not found:
        return ()
    of_real, of_fake = (np.array([item[s] for item in found]) for s in (1, 2))
    # the least p-value that this many rows could give; where even that says nothing, there is nothing to look for
    least = stats.hypergeom.cdf(0, n + m, of_real + of_fake, m)
    worth = least * len(found) <= alpha
    if not worth.any():
        return ()
    chosen = np.flatnonzero(worth)
    pvalues = np.minimum(1.0, stats.hypergeom.cdf(of_fake, n + m, of_real + of_fake, m)[chosen])
    adjusted = holm(pvalues)
    rows = [
        Combination(found[k][0], of_real[k] / n, of_fake[k] / m, float(p), float(q))
        for k, p, q in zip(chosen, pvalues, adjusted, strict=True)
    ]
    return tuple(sorted(rows, key=lambda row: (row.adjusted, row.fake - row.real)))
