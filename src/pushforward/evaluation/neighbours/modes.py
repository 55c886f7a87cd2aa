"""Which parts of REAL does FAKE have too few of, or none: counts by mode, and their tests.

Modes are labels where they are known; else the cells of a k-means fitted on one half of the real rows, and the other
half and the fakes are counted in them (rows that made the cells would be too many in them, and the test not exact). For
each mode with real count r of n and fake count f of m, Fisher's exact test (two-sided) compares the shares; Holm's
adjustment holds the chance of naming any mode wrongly at alpha.

    effective number of modes = exp(-sum_c p_c ln p_c),       share missing = sum_c max(0, p_c - q_c) (total variation),

p, q the shares among reals and fakes; `dropped` names the modes that have significantly too few fakes.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, final

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from ...errors import InputError
from ...readings import holm
from ..memorization import row_keys
from .search import features

Rows = NDArray[np.int64]
MOST_MODES = 50
MOST_FITTED = 20_000  # rows that the k-means is fitted on


@final
@dataclass(frozen=True)
class Mode:
    """One mode: its label, its counts, the ratio of the fakes' share to the reals', the p-value and Holm's adjustment;
    `row`: a real row in it, the one nearest to its centre where modes are cells."""

    label: str
    real: int
    fake: int
    ratio: float
    pvalue: float
    adjusted: float
    row: int


@final
@dataclass(frozen=True)
class ModeReport:
    """`modes` by falling real count; `captured`: those with a fake; `n` real and `m` fake rows counted."""

    modes: tuple[Mode, ...]
    captured: int
    effective_real: float
    effective_fake: float
    missing: float
    n: int
    m: int

    @property
    def pvalue(self) -> float:
        """Of "every mode has its share": the least adjusted p-value."""
        return min(mode.adjusted for mode in self.modes)

    def dropped(self, alpha: float = 0.05) -> tuple[Mode, ...]:
        """Modes that have significantly too few fakes, the largest first."""
        return tuple(mode for mode in self.modes if mode.adjusted <= alpha and mode.ratio < 1)


def mode_report(
    *,
    real: Tensor,
    fake: Tensor,
    labels: tuple[NDArray[Any], NDArray[Any]] | None = None,
    modes: int | None = None,
    seed: int = 0,
) -> ModeReport:
    """Features `real` `(n, d)`, `fake` `(m, d)`; `labels`: known modes of the rows of each, `(n,)` and `(m,)`.

    Without labels `modes` cells are made (None: one for each 100 rows, 2 to 50). `InputError` for labels that do not
    fit the rows, and for fewer than two real rows a mode.
    """
    x, y = (part.cpu().numpy() for part in features(real=real, fake=fake))
    if labels is not None:
        known = tuple(np.asarray(part).ravel() for part in labels)
        for name, part, rows in (("real", known[0], x), ("fake", known[1], y)):
            if len(part) != len(rows):
                raise InputError(f"labels: {len(part)} of {name} for {len(rows)} rows; give one a row")
        names, codes = np.unique(np.concatenate([part.astype(str) for part in known]), return_inverse=True)
        first = np.full(len(names), -1)
        first[codes[: len(x)][::-1]] = np.arange(len(x))[::-1]
        return _report([str(name) for name in names], codes[: len(x)], codes[len(x) :], first)
    count = modes or int(min(MOST_MODES, max(2, min(len(x) // 2, len(y)) // 100)))
    if not 1 <= count <= len(x) // 2:
        raise InputError(f"modes must lie between 1 and {len(x) // 2}, half of the real rows, not {count}")
    return _by_cells(x, y, count, seed)


def _by_cells(x: NDArray[np.float64], y: NDArray[np.float64], count: int, seed: int) -> ModeReport:
    from sklearn.cluster import KMeans

    order = np.random.default_rng(seed).permutation(len(x))
    fitted, counted = order[: len(x) // 2][:MOST_FITTED], order[len(x) // 2 :]
    count = min(count, len(np.unique(row_keys(x[fitted]))))
    cells = KMeans(count, n_init=1, random_state=seed).fit(x[fitted])
    of_real, of_fake = cells.predict(x[counted]), cells.predict(y)
    rows = np.full(count, -1)
    gaps = ((x[counted] - cells.cluster_centers_[of_real]) ** 2).sum(1)
    far_first = np.argsort(-gaps, kind="stable")
    rows[of_real[far_first]] = counted[far_first]  # the last one written, the nearest, stays
    return _report([f"cell {c + 1}" for c in range(count)], of_real, of_fake, rows)


def _report(names: list[str], of_real: Rows, of_fake: Rows, rows: Rows) -> ModeReport:
    from scipy.stats import fisher_exact

    n, m, count = len(of_real), len(of_fake), len(names)
    real, fake = np.bincount(of_real, minlength=count), np.bincount(of_fake, minlength=count)
    pvalues = np.array([fisher_exact([[r, n - r], [f, m - f]]).pvalue for r, f in zip(real, fake, strict=True)])
    adjusted = holm(np.clip(pvalues, 0.0, 1.0))
    p, q = real / n, fake / m
    ratio = np.divide(q, p, out=np.full(count, math.inf), where=p > 0)
    found = [
        Mode(names[c], int(real[c]), int(fake[c]), float(ratio[c]), float(pvalues[c]), float(adjusted[c]), int(rows[c]))
        for c in np.lexsort((np.arange(count), -real))
    ]
    missing = float(np.clip(p - q, 0, None).sum())
    return ModeReport(tuple(found), int((fake > 0).sum()), _effective(p), _effective(q), missing, n, m)


def _effective(share: NDArray[np.float64]) -> float:
    some = share[share > 0]
    return float(math.exp(-(some * np.log(some)).sum()))
