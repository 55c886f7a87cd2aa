"""Has a model copied its training rows? Its samples beside rows that were kept out, both seen from the training rows.

Every sample looks for its nearest real row among the training rows T and the rows kept out H together. A model that
learned the law and no single row cannot know which real rows it was trained on, so that, given the samples and all N =
|T| + |H| real rows, the labels "T" and "H" are exchangeable: with w_i the share of samples that real row i is nearest
to and f = |T|/N, the share that finds a training row has mean f and variance

    f (1 - f) (sum_i w_i^2 - 1/N) N / (N - 1)                                      (a finite population's)

under relabelling, which gives a one-sided normal p-value. Equal real rows share their weight. Were a share c of the
samples copies and the rest honest, the share would be c + (1 - c) f, so that

    followed = (share - f) / (1 - f)

estimates c. A test of enough rows finds the smallest c, and one that nobody minds; a model is refused where c is at
least `TOLERATED` and the excess is beyond chance, or where more of its samples equal a training row than of the rows
kept out (Fisher's exact test), by as large a share.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import final

import numpy as np
from numpy.typing import NDArray

from ...data.matrix import Matrix

Array = NDArray[np.float64]
ALPHA = 0.001  # of either test: several models are looked at
TOLERATED = 0.1  # share of samples that follow single training rows, from which on a model is refused
MOST_REAL, MOST_ASKED = 50_000, 3_000  # rows among which to look; samples that look
WIDE = 8  # columns of a category of more levels


@final
@dataclass(frozen=True)
class Copies:
    """What was found: the share `closer` of samples whose nearest real row was trained on, `expected` without copying,
    `followed` (module docstring) and its p-value; the share `equal` to a training row, that of rows kept out, and the
    p-value of that excess. `refused`: why such a model is not to be chosen, or empty."""

    closer: float
    expected: float
    followed: float
    pvalue: float
    equal: float
    equal_held: float
    equal_pvalue: float

    @property
    def refused(self) -> str:
        if self.equal_pvalue <= ALPHA and self.equal - self.equal_held >= TOLERATED:
            return (
                f"it copies: {self.equal:.1%} of its samples equal a training row, {self.equal_held:.1%} of rows that "
                "it never saw do"
            )
        if self.pvalue <= ALPHA and self.followed >= TOLERATED:
            return (
                f"it copies: {self.closer:.1%} of its samples have a training row as their nearest real row, "
                f"{self.expected:.1%} would without copying"
            )
        return ""

    def record(self) -> dict[str, float]:
        """Plain numbers, for JSON."""
        return asdict(self)


def look(matrix: Matrix, train: Array, held: Array, fake: Array, *, seed: int) -> Copies:
    """Rows `(n, k)` as `matrix` codes them: trained on, kept out, and drawn from the model."""
    from scipy.stats import fisher_exact, norm

    rng = np.random.default_rng([seed, 11])
    train, held = _some(train, MOST_REAL, rng), _some(held, MOST_REAL, rng)
    known = np.unique(_keys(train))
    hits, misses = (int(np.isin(_keys(part), known).sum()) for part in (fake, held))
    equal_p = float(fisher_exact([[hits, len(fake) - hits], [misses, len(held) - misses]], "greater").pvalue)
    embed = _embedding(matrix, train, rng)
    both = embed(np.concatenate([train, held]))
    _, first, place = np.unique(_keys(both), return_index=True, return_inverse=True)  # an order that knows no labels
    times = np.bincount(place.ravel()).astype(float)
    trained = np.bincount(place.ravel()[: len(train)], minlength=len(first))
    nearest = _nearest(embed(_some(fake, MOST_ASKED, rng)), both[first])
    total, expected = len(both), len(train) / len(both)
    weight = np.bincount(nearest, minlength=len(first)) / len(nearest)
    closer = float((weight * trained / times).sum())
    spread = (float((weight**2 / times).sum()) - 1 / total) * total / (total - 1)
    # samples that all find one row are one observation; never surer than that many coins would be
    variance = expected * (1 - expected) * max(spread, 1e-3 / len(nearest))
    return Copies(
        closer=closer,
        expected=expected,
        followed=max(0.0, (closer - expected) / (1 - expected)),
        pvalue=max(1e-300, float(norm.sf((closer - expected) / math.sqrt(variance)))),
        equal=hits / len(fake),
        equal_held=misses / len(held),
        equal_pvalue=equal_p,
    )


def _some(rows: Array, most: int, rng: np.random.Generator) -> Array:
    return rows[np.sort(rng.permutation(len(rows))[:most])]


def _keys(rows: Array) -> NDArray[np.void]:
    """A key for each row, equal where the rows are (missing values equal each other, and -0 is 0)."""
    plain = np.ascontiguousarray(np.where(np.isnan(rows), np.nan, rows) + 0.0)
    return plain.view(np.dtype((np.void, plain.dtype.itemsize * plain.shape[1]))).ravel()


def _embedding(matrix: Matrix, train: Array, rng: np.random.Generator) -> Callable[[Array], Array]:
    """Rows as points in which every column weighs about alike: numbers over their standard deviation, another category
    or a value missing on one side only at distance 1; of many levels, each at a random place, at about that distance
    from the others, so that the width does not grow with them."""
    there = np.isfinite(train)
    count = np.maximum(there.sum(0), 1)
    centre = np.where(there, train, 0.0).sum(0) / count
    spread = np.sqrt(np.where(there, (train - centre) ** 2, 0.0).sum(0) / count)
    tables = {}
    for j in matrix.categorical:
        levels = int(np.where(there[:, j], train[:, j], 0.0).max()) + 3  # one for missing, one for unseen ones
        places = np.eye(levels) if levels <= WIDE else rng.normal(size=(levels, WIDE)) / math.sqrt(WIDE)
        tables[j] = places / math.sqrt(2)

    def embed(rows: Array) -> Array:
        parts = []
        for j in range(rows.shape[1]):
            missing = np.isnan(rows[:, j])
            if j in tables:
                known = np.minimum(np.where(missing, -1, rows[:, j]), len(tables[j]) - 2).astype(np.int64)
                parts.append(tables[j][known])
            else:
                parts.append(np.where(missing, 0.0, (rows[:, j] - centre[j]) / (spread[j] or 1.0))[:, None])
                if not there[:, j].all():
                    parts.append(missing[:, None].astype(float))
        return np.ascontiguousarray(np.concatenate(parts, 1))

    return embed


def _nearest(queries: Array, rows: Array) -> NDArray[np.int64]:
    from sklearn.neighbors import NearestNeighbors

    method = "kd_tree" if rows.shape[1] <= 6 else "brute"
    found: NDArray[np.int64] = (
        NearestNeighbors(n_neighbors=1, algorithm=method).fit(rows).kneighbors(queries, return_distance=False)[:, 0]
    )
    return found
