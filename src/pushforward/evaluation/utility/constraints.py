"""Constraints found in REAL: looked for in one half of its rows, confirmed on the other, so that chance finds none.

A candidate is a rule that at most `NEARLY` of the first half break (real data have typing errors). It is confirmed when
the upper end of an exact (Clopper-Pearson) interval of its rate in the second half, simultaneous over all K candidates
(level 1 - 0.05/K), is below `CEILING`; a rule between columns must also be broken at least `TELLING` times as often
where the columns are shuffled against each other, or it says nothing about how they go together ("carat < price").
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import permutations
from typing import final

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from ...errors import InputError
from ...readings.adjust import holm
from ..comparison import P_FLOOR
from ..frames import MISSING, Frame
from .relations import linear_relations, product_relations
from .rules import Constraint, Violation, breaks, missing, on_grid, violations

Array = NDArray[np.float64]

NEARLY = 0.005
CEILING = 0.05
TELLING = 4.0
ALPHA = 0.05  # of confirming any rule that is broken more often than CEILING
LEAST_ROWS = 50
MOST_ROWS = 10_000  # of each half
MOST_COLUMNS = 40
EDGE = 5  # so many equal values, and this share, make the least value a bound
EDGE_SHARE = 0.0005
STEPS = {
    "numeric": (1000.0, 100.0, 10.0, 5.0, 1.0, 0.5, 0.1, 0.01, 0.001, 0.0001),
    "datetime": (86400.0, 3600.0, 60.0, 1.0),
}
TIMES = {86400.0: "whole days", 3600.0: "whole hours", 60.0: "whole minutes", 1.0: "whole seconds"}


@final
@dataclass(frozen=True)
class Table:
    """Coded rows `(n, p)` of REAL with what the columns are: names, kinds and levels as in `Frame`."""

    names: tuple[str, ...]
    kinds: tuple[str, ...]
    levels: tuple[tuple[str, ...], ...]
    rows: Array

    @classmethod
    def of(cls, frame: Frame, rows: Array) -> Table:
        return cls(frame.names, frame.kinds, frame.levels, rows)

    def part(self, rows: NDArray[np.int64]) -> Table:
        return replace(self, rows=self.rows[rows])

    def missing_code(self, j: int) -> float:
        """What stands for a missing value in column j: NaN, or a level's code (-1 where no level says so)."""
        if self.kinds[j] != "category":
            return float("nan")
        return float(self.levels[j].index(MISSING)) if MISSING in self.levels[j] else -1.0

    def shown(self, j: int, value: float) -> str:
        if self.kinds[j] == "datetime":
            return str(np.datetime64(round(value), "s")).removesuffix("T00:00:00").replace("T", " ")
        return f"{value:,.6g}" if abs(value) < 1e6 else f"{value:,.0f}"


@final
@dataclass(frozen=True)
class Broken:
    """A rule in FAKE beside the same in REAL rows it was not found in; p-values of "fakes break it more often"."""

    constraint: Constraint
    fake: Violation
    real: Violation
    pvalue: float
    adjusted: float

    @property
    def sentence(self) -> str:
        return (
            f"{self.constraint.sentence}: broken by {self.fake.rate:.2%} of fake rows and {self.real.rate:.2%} of real"
        )


def find_constraints(table: Table, *, seed: int = 0, most_rows: int = MOST_ROWS) -> tuple[Constraint, ...]:
    """The constraints that REAL keeps, each with its sentence and the rows it was confirmed on (module docstring).

    Halves are drawn from `seed`, at most `most_rows` rows each. Fewer than `LEAST_ROWS` rows a half: `InputError`.
    """
    if len(table.rows) < 2 * LEAST_ROWS:
        raise InputError(f"{len(table.rows)} rows are too few to find rules in; give at least {2 * LEAST_ROWS}")
    order = np.random.default_rng([seed, 250]).permutation(len(table.rows))[: 2 * most_rows]
    half = len(order) // 2
    first, second = table.part(np.sort(order[:half])), table.part(np.sort(order[half:]))
    candidates = [rule for find in _FINDERS for rule in find(first)]
    shuffled = _shuffled(second.rows, np.random.default_rng([seed, 251]))
    found = [_confirmed(rule, second.rows, shuffled, len(candidates)) for rule in candidates]
    return _without_implied([rule for rule in found if rule is not None])


def broken_rules(
    constraints: tuple[Constraint, ...], *, real: Array, fake: Array, level: float = 0.95
) -> tuple[Broken, ...]:
    """Each constraint in `fake` and in `real` rows `(n, p)`, the least likely first, with Holm's adjustment.

    The p-value is Fisher's exact one-sided test that fakes break the rule more often. `real` must hold no row that the
    constraints were found or confirmed in: those were chosen for keeping them.
    """
    sides = [violations(constraints, rows, level=level) for rows in (fake, real)]
    pvalues = [_fisher(f, r) for f, r in zip(*sides, strict=True)]
    adjusted = holm(np.array(pvalues))
    found = [Broken(c, f, r, p, float(q)) for c, f, r, p, q in zip(constraints, *sides, pvalues, adjusted, strict=True)]
    return tuple(sorted(found, key=lambda b: (b.adjusted, b.pvalue, b.real.rate - b.fake.rate)))


def _fisher(fake: Violation, real: Violation) -> float:
    total, marked = fake.counted + real.counted, fake.broken + real.broken
    if not fake.counted or not real.counted:
        return 1.0
    return min(1.0, max(P_FLOOR, float(stats.hypergeom.sf(fake.broken - 1, total, marked, fake.counted))))


def _shuffled(rows: Array, rng: np.random.Generator) -> Array:
    """Every column in an order of its own: as if the columns knew nothing of each other."""
    return np.stack([rows[rng.permutation(len(rows)), j] for j in range(rows.shape[1])], 1)


def _confirmed(rule: Constraint, rows: Array, shuffled: Array, candidates: int) -> Constraint | None:
    counts, broken = breaks(rule, rows)
    n, b = int(counts.sum()), int(broken.sum())
    if n < LEAST_ROWS or b > NEARLY * n:
        return None
    upper = float(stats.beta.isf(ALPHA / candidates, b + 1, n - b))
    limit = CEILING
    if len(rule.columns) > 1:
        spoken, wrong = breaks(rule, shuffled)
        limit = min(limit, float(wrong.sum()) / max(1, int(spoken.sum())) / TELLING)
    return replace(rule, counted=n, broken=b) if upper <= limit else None


# --- candidates, each from one half ---------------------------------------------------------------------------------


def _ranges(t: Table) -> list[Constraint]:
    found = []
    for j, kind in enumerate(t.kinds):
        x = t.rows[np.isfinite(t.rows[:, j]), j]
        if kind == "category" or len(x) < LEAST_ROWS or x.min() == x.max():
            continue
        enough = max(EDGE, EDGE_SHARE * len(x))
        low = x.min() if (x == x.min()).sum() >= enough else -np.inf
        high = x.max() if (x == x.max()).sum() >= enough else np.inf
        if kind == "numeric" and low < 0 <= x.min() and x.mean() < 2.33 * x.std():
            low = 0.0  # a normal column of this mean and spread would go below it in one row of a hundred
        name = t.names[j]
        if np.isfinite(low) and np.isfinite(high):
            says = f"{name} lies between {t.shown(j, low)} and {t.shown(j, high)}"
        elif np.isfinite(low):
            says = f"{name} is never negative" if low == 0 else f"{name} is never below {t.shown(j, low)}"
        elif np.isfinite(high):
            says = f"{name} is never above {t.shown(j, high)}"
        else:
            continue
        found.append(Constraint("range", (j,), says, (float(low), float(high))))
    return found


def _grids(t: Table) -> list[Constraint]:
    found = []
    for j, kind in enumerate(t.kinds):
        x = t.rows[np.isfinite(t.rows[:, j]), j]
        if kind == "category" or len(x) < LEAST_ROWS or x.min() == x.max():
            continue
        step = next((s for s in STEPS[kind] if on_grid(x, s).mean() >= 1 - NEARLY), None)
        if step is None:
            continue
        if kind == "datetime":
            says = f"{t.names[j]} holds {TIMES[step]}"
        elif step == 1:
            says = f"{t.names[j]} is a whole number"
        elif step > 1:
            says = f"{t.names[j]} is a multiple of {step:g}"
        else:
            digits = len(f"{step:.4f}".rstrip("0").split(".")[1])
            says = f"{t.names[j]} has at most {digits} decimal{'s' * (digits > 1)}"
            says = f"{t.names[j]} is a multiple of 0.5" if step == 0.5 else says
        found.append(Constraint("grid", (j,), says, (step,)))
    return found


def _orders(t: Table) -> list[Constraint]:
    found = []
    for kind in ("numeric", "datetime"):
        columns = [j for j, other in enumerate(t.kinds) if other == kind][:MOST_COLUMNS]
        for a, b in permutations(columns, 2):
            x, y = t.rows[:, a], t.rows[:, b]
            both = np.isfinite(x) & np.isfinite(y)
            if both.sum() < LEAST_ROWS or (x[both] > y[both]).mean() > NEARLY:
                continue
            strict = bool((x[both] == y[both]).mean() <= EDGE_SHARE)
            says = f"{t.names[a]} {'<' if strict else '<='} {t.names[b]}"
            found.append(Constraint("order", (a, b), says, (float(strict),)))
    return found


def _dependencies(t: Table) -> list[Constraint]:
    n = len(t.rows)
    coded = {}
    for j in range(min(len(t.names), MOST_COLUMNS)):
        seen = t.rows[np.isfinite(t.rows[:, j]), j]
        levels = np.unique(seen)
        if 2 <= len(levels) <= n / EDGE:  # fewer than five rows a level on average: nearly a key
            coded[j] = levels
    found = []
    for a, b in permutations(coded, 2):
        if len(coded[a]) < len(coded[b]):
            continue
        both = np.isfinite(t.rows[:, a]) & np.isfinite(t.rows[:, b])
        x, y = np.searchsorted(coded[a], t.rows[both, a]), np.searchsorted(coded[b], t.rows[both, b])
        cell, count = np.unique(x * len(coded[b]) + y, return_counts=True)
        order = np.lexsort((-count, cell // len(coded[b])))
        key, first = np.unique(cell[order] // len(coded[b]), return_index=True)
        if both.sum() < LEAST_ROWS or count[order][first].sum() < (1 - NEARLY) * both.sum():
            continue
        value = coded[b][cell[order][first] % len(coded[b])]
        table = tuple(zip(coded[a][key].tolist(), value.tolist(), strict=True))
        found.append(Constraint("dependency", (a, b), f"{t.names[a]} determines {t.names[b]}", (), table))
    return found


def _missings(t: Table) -> list[Constraint]:
    codes = {j: t.missing_code(j) for j in range(len(t.names))}
    absent = {j: missing(t.rows[:, j], code) for j, code in codes.items()}
    absent = {j: m for j, m in absent.items() if EDGE <= m.sum() <= len(m) - EDGE}
    found, grouped = [], set()
    for a, b in permutations(list(absent)[:MOST_COLUMNS], 2):
        either, differ = (absent[a] | absent[b]).sum(), (absent[a] ^ absent[b]).sum()
        if a < b and b not in grouped and differ <= NEARLY * either:
            grouped.add(b)  # one rule links it to the first of its like
            says = f"{t.names[a]} and {t.names[b]} are missing together"
            found.append(Constraint("missing", (a, b), says, (1.0, codes[a], codes[b])))
    for a, b in permutations([j for j in absent if j not in grouped][:MOST_COLUMNS], 2):
        if (absent[a] & ~absent[b]).sum() <= NEARLY * absent[a].sum():
            says = f"where {t.names[a]} is missing, {t.names[b]} is missing"
            found.append(Constraint("missing", (a, b), says, (0.0, codes[a], codes[b])))
    return found


def _linear(t: Table) -> list[Constraint]:
    return linear_relations(t.rows, _numbers(t), t.names)


def _products(t: Table) -> list[Constraint]:
    columns = [j for j in _numbers(t) if t.kinds[j] == "numeric"]
    return product_relations(t.rows, columns, t.names)


def _numbers(t: Table) -> list[int]:
    return [j for j, kind in enumerate(t.kinds) if kind != "category"][:MOST_COLUMNS]


_FINDERS: Sequence[Callable[[Table], list[Constraint]]] = (
    _linear,
    _products,
    _orders,
    _dependencies,
    _missings,
    _ranges,
    _grids,
)


def _without_implied(rules: list[Constraint]) -> tuple[Constraint, ...]:
    """Without what follows from others: a -> c where a -> b and b -> c; what an exact two-column relation implies."""
    tied = {frozenset(rule.columns) for rule in rules if rule.kind in ("linear", "product") and len(rule.columns) == 2}
    kept = []
    for rule in rules:
        if rule.kind in ("order", "dependency") and frozenset(rule.columns) in tied:
            continue
        same = {r.columns for r in rules if r.kind == rule.kind}
        if rule.kind in ("order", "dependency", "missing") and _follows(rule.columns, same):
            continue
        kept.append(rule)
    return tuple(kept)


def _follows(columns: tuple[int, ...], edges: set[tuple[int, ...]]) -> bool:
    """Whether an edge a -> c follows from two others, a -> b -> c; among columns that determine each other, of which
    the first stands for all, by way of the first."""
    a, c = columns
    for b in {end for _, end in edges}:
        if b in (a, c) or not {(a, b), (b, c)} <= edges:
            continue
        like_a, like_c = (b, a) in edges, (c, b) in edges
        if (not like_a or b < a) and (not like_c or b < c):
            return True
    return False
