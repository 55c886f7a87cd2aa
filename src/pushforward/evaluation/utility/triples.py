"""Three columns at a time: the total variation between their joint distributions, columns cut into a few bins.

    TV(a, b, c) = 1/2 sum_cells |p_cell - q_cell|

catches what no pair shows (an exclusive or). The plug-in value of n and m rows exceeds the truth by noise, the more so
the more cells there are: about 1/2 sqrt(2/pi) sum_cells sqrt(p (1 - p) (1/n + 1/m)). The interval gives way by that
much below (McDiarmid's inequality for the rest, since one row moves every TV, and their mean, by at most 1/n), and a
baseline is only comparable at the same numbers of rows.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations
from math import comb
from typing import final

import numpy as np
from numpy.typing import NDArray

from ...errors import InputError
from ...witness import Estimate
from .. import intervals
from ..frames import Frame
from .binning import Codes, binned_columns

Array = NDArray[np.float64]

MOST_TRIPLES = 200
MOST_BINS = 10
ROWS_PER_CELL = 20


@final
@dataclass(frozen=True)
class Triples:
    """`mean`: of the total variation over the triples looked at; `worst`, `names`: the largest of them."""

    mean: Estimate
    worst: Estimate
    names: tuple[str, str, str]
    triples: int
    of: int
    bins: int


def total_variation_of_triples(
    frame: Frame,
    *,
    real: Array,
    fake: Array,
    seed: int = 0,
    most: int = MOST_TRIPLES,
    bins: int | None = None,
    level: float = 0.95,
) -> Triples:
    """The total variation of all (at most `most`, drawn by `seed`) triples of the columns of `frame`.

    `real` `(n, p)` and `fake` `(m, p)` are rows coded as the frame's. Without `bins`, columns are cut so that a cell
    holds about `ROWS_PER_CELL` rows: as many bins as fit, 2 to `MOST_BINS`. The interval of the largest is simultaneous
    over the triples looked at.
    """
    p, (n, m) = len(frame.names), (len(real), len(fake))
    if p < 3:
        raise InputError(f"{p} columns make no triple; give at least 3")
    if bins is None:
        bins = int(np.clip(round((min(n, m) / ROWS_PER_CELL) ** (1 / 3)), 2, MOST_BINS))
    x, y, sizes = binned_columns(frame, real, fake, bins=bins)
    chosen = _triples(p, most, seed)
    found = np.array([_distance(x[:, t], y[:, t], [sizes[j] for j in t]) for t in chosen.tolist()])
    distance, bias = found.T
    ends = [intervals.distance_interval(float(distance.mean()), float(bias.mean()), n, m, level)]
    each = 1 - (1 - level) / len(chosen)
    bounds = [intervals.distance_interval(float(d), float(b), n, m, each) for d, b in found]
    ends.append((max(low for low, _ in bounds), max(high for _, high in bounds)))
    top = int(distance.argmax())
    values = (float(distance.mean()), float(distance[top]))
    mean, worst = (Estimate(v, (high - low) / 4, low, high, level) for v, (low, high) in zip(values, ends, strict=True))
    a, b, c = (frame.names[j] for j in chosen[top])
    return Triples(mean, worst, (a, b, c), len(chosen), comb(p, 3), bins)


def _triples(p: int, most: int, seed: int) -> NDArray[np.int64]:
    """All triples `(k, 3)`, or `most` different ones at random."""
    if comb(p, 3) <= 20 * most:
        every = np.array(list(combinations(range(p), 3)))
        if len(every) <= most:
            return every
        return every[np.sort(np.random.default_rng([seed, 252]).permutation(len(every))[:most])]
    rng = np.random.default_rng([seed, 252])
    drawn = np.sort(rng.integers(0, p, (6 * most, 3)), 1)
    drawn = drawn[(np.diff(drawn, axis=1) > 0).all(1)]
    _, first = np.unique(drawn, axis=0, return_index=True)
    return np.asarray(drawn[np.sort(first)][:most])


def _distance(x: Codes, y: Codes, sizes: list[int]) -> tuple[float, float]:
    """The plug-in total variation, and by how much at most it exceeds the truth on average."""
    shape = tuple(sizes)
    cells = int(np.prod(shape))
    a, b = (np.bincount(np.ravel_multi_index(tuple(side.T), shape), minlength=cells) for side in (x, y))
    n, m = len(x), len(y)
    return 0.5 * float(np.abs(a / n - b / m).sum()), intervals.tv_bias((a + b) / (n + m), n, m)
