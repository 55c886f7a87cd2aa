"""`Constraint`: a rule that the rows of a table keep, and which rows break it.

The kinds, for columns a, b, c:

    range         low <= a <= high, a bound at which many values lie, or zero
    grid          a is a whole multiple of a step (whole numbers, two decimals, whole days)
    order         a < b, or a <= b
    linear        c = ka * a + kb * b + k, to a tolerance (sums, differences, multiples)
    product       c = k * a^p * b^q
    dependency    a determines b
    missing       a and b are missing together, or a's being missing implies b's

A row counts where the rule says something about it: values that are missing, or levels never seen by a dependency, do
not count for or against.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import final

import numpy as np
from numpy.typing import NDArray

from .. import intervals

Array = NDArray[np.float64]
Flags = NDArray[np.bool_]


@final
@dataclass(frozen=True)
class Constraint:
    """`columns`: positions; `sentence`: the rule in words; `parameters` and `table` (of a dependency): its numbers.

    `counted` and `broken`: rows of REAL that it was confirmed on, and how many of them break it.
    """

    kind: str
    columns: tuple[int, ...]
    sentence: str
    parameters: tuple[float, ...] = ()
    table: tuple[tuple[float, float], ...] = field(default=(), repr=False)
    counted: int = 0
    broken: int = 0


@final
@dataclass(frozen=True)
class Violation:
    """How many of the `counted` rows break a constraint; `low, high`: Wilson's interval of the `rate`."""

    constraint: Constraint
    counted: int
    broken: int
    low: float
    high: float

    @property
    def rate(self) -> float:
        return self.broken / self.counted if self.counted else 0.0


def breaks(constraint: Constraint, rows: Array) -> tuple[Flags, Flags]:
    """Which of `rows` `(n, p)` the rule speaks about, and which of those break it: `(n,)` each."""
    counts, good = _CHECKS[constraint.kind](constraint, rows[:, list(constraint.columns)])
    return counts, counts & ~good


def violations(constraints: tuple[Constraint, ...], rows: Array, *, level: float = 0.95) -> tuple[Violation, ...]:
    """The share of `rows` `(n, p)`, coded like those the constraints were found in, that break each of them."""
    found = []
    for constraint in constraints:
        counts, broken = breaks(constraint, rows)
        n, b = int(counts.sum()), int(broken.sum())
        low, high = intervals.wilson(b / n if n else 0.0, n, level)
        found.append(Violation(constraint, n, b, low, high))
    return tuple(found)


def missing(values: Array, code: float) -> Flags:
    """Where a column is missing: NaN, or the level `code` that says so."""
    return np.isnan(values) if np.isnan(code) else values == code


def _range(c: Constraint, x: Array) -> tuple[Flags, Flags]:
    (a,) = x.T
    low, high = c.parameters
    return np.isfinite(a), (a >= low) & (a <= high)


def _grid(c: Constraint, x: Array) -> tuple[Flags, Flags]:
    (a,) = x.T
    return np.isfinite(a), on_grid(a, c.parameters[0])


def on_grid(values: Array, step: float) -> Flags:
    """Whole multiples of `step`, but for the rounding of floating-point numbers."""
    steps = values / step
    off: Flags = np.abs(steps - np.round(steps)) <= 1e-6 + 1e-14 * np.abs(steps)
    return off


def _order(c: Constraint, x: Array) -> tuple[Flags, Flags]:
    a, b = x.T
    return np.isfinite(a) & np.isfinite(b), (a < b) if c.parameters[0] else (a <= b)


def _linear(c: Constraint, x: Array) -> tuple[Flags, Flags]:
    *slopes, constant, tolerance = c.parameters
    expected = x[:, :-1] @ np.array(slopes) + constant
    counts: Flags = np.isfinite(x.sum(1))
    return counts, np.abs(x[:, -1] - expected) <= tolerance


def _product(c: Constraint, x: Array) -> tuple[Flags, Flags]:
    *powers, factor, tolerance = c.parameters
    with np.errstate(all="ignore"):
        expected = factor * np.prod(x[:, :-1] ** np.array(powers), 1)
    counts: Flags = np.isfinite(x).all(1) & np.isfinite(expected)
    with np.errstate(invalid="ignore"):
        good: Flags = np.abs(x[:, -1] - expected) <= tolerance + 1e-6 * np.abs(expected)
    return counts, good


def _dependency(c: Constraint, x: Array) -> tuple[Flags, Flags]:
    a, b = x.T
    keys, values = np.array(c.table).T
    place = np.clip(np.searchsorted(keys, a), 0, len(keys) - 1)
    return np.isfinite(b) & (keys[place] == a), values[place] == b


def _missing(c: Constraint, x: Array) -> tuple[Flags, Flags]:
    together, *codes = c.parameters
    a, b = (missing(x[:, k], code) for k, code in enumerate(codes))
    return ((a | b), (a == b)) if together else (a, b)


_CHECKS: dict[str, Callable[[Constraint, Array], tuple[Flags, Flags]]] = {
    "range": _range,
    "grid": _grid,
    "order": _order,
    "linear": _linear,
    "product": _product,
    "dependency": _dependency,
    "missing": _missing,
}
