"""Exact relations between two or three numeric columns: c = ka a + kb b + k, and c = k a^p b^q.

The covariance matrix of columns that keep a linear relation exactly is singular. So that a few wrong rows do not hide
a relation, it is looked for in `DRAWS` small random sets of rows, the eigenvalues of all pairs and triples of columns
at once. What the small sets propose is fitted to, and held against, all rows. A product is a linear relation between
logarithms with whole coefficients.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from .rules import Constraint, breaks, on_grid

Array = NDArray[np.float64]

DRAWS = 6
DRAWN = 30  # rows of each small set
MOST_COLUMNS = 24
SINGULAR = 1e-6  # of correlations, where columns are rounded; what is not exact falls to the tolerance later
SINGULAR_LOGS = 1e-5
NEARLY = 0.005
_WHOLE = 0.02
_SAME = 1e-3  # a share of the spread below which a column takes no part


def linear_relations(rows: Array, columns: Sequence[int], names: Sequence[str]) -> list[Constraint]:
    """Candidates "c = ka a + kb b + k" and "c = ka a + k" that nearly all of `rows` `(n, p)` keep."""
    found: list[Constraint] = []
    for group in _singular(rows, columns, logs=False):
        if any(set(rule.columns) <= set(group) for rule in found):
            continue  # two of the three are tied already
        part = rows[np.isfinite(rows[:, group]).all(1)][:, group]
        for dependent in _by_spread(part):
            rule = _linear_rule(part, group, dependent, names)
            if rule is not None and _kept(rule, rows):
                found.append(rule)
                break
    return found


def product_relations(rows: Array, columns: Sequence[int], names: Sequence[str]) -> list[Constraint]:
    """Candidates "c = k a^p b^q", p and q among -2, -1, 1, 2, of positive columns."""
    positive = [j for j in columns if _positive(rows[:, j])]
    found: list[Constraint] = []
    for group in _singular(rows, positive, logs=True):
        if any(set(rule.columns) <= set(group) for rule in found):
            continue
        part = rows[np.isfinite(rows[:, group]).all(1)][:, group]
        part = part[(part > 0).all(1)]
        for dependent in _by_spread(np.log(part)):
            rule = _product_rule(part, group, dependent, names)
            if rule is not None and _kept(rule, rows):
                found.append(rule)
                break
    return found


def _positive(values: Array) -> bool:
    seen = values[np.isfinite(values)]
    return len(seen) > 0 and bool((seen > 0).mean() > 1 - NEARLY)


def _kept(rule: Constraint, rows: Array) -> bool:
    counts, broken = breaks(rule, rows)
    return bool(counts.sum() >= DRAWN and broken.sum() <= NEARLY * counts.sum())


def _singular(rows: Array, columns: Sequence[int], *, logs: bool) -> list[tuple[int, ...]]:
    """Pairs, then triples without such pairs, whose correlation matrix is singular in one of the small sets of rows."""
    usable = [j for j in columns if np.isfinite(rows[:, j]).mean() > 0.5][:MOST_COLUMNS]
    whole = rows[np.isfinite(rows[:, usable]).all(1)][:, usable] if usable else np.zeros((0, 0))
    if logs and len(whole):
        whole = np.log(np.where(whole > 0, whole, np.nan))
        whole = whole[np.isfinite(whole).all(1)]
    if len(usable) < 2 or len(whole) < DRAWN:
        return []
    rng = np.random.default_rng(len(whole))
    sets = [whole[rng.permutation(len(whole))[:DRAWN]] for _ in range(DRAWS)]
    with np.errstate(invalid="ignore", divide="ignore"):
        correlations = np.nan_to_num(np.stack([np.corrcoef(part.T) for part in sets]))
    bound = SINGULAR_LOGS if logs else SINGULAR
    found: list[tuple[int, ...]] = []
    for size in (2, 3):
        groups = np.array(list(combinations(range(len(usable)), size)))
        if not len(groups):
            continue
        least = np.linalg.eigvalsh(correlations[:, groups[:, :, None], groups[:, None, :]])[..., 0]
        varies = (correlations[:, groups, groups] > 0.5).all(-1)  # a constant column has no correlation with itself
        hit = ((least < bound) & varies).any(0)
        found += [tuple(usable[k] for k in group) for group in groups[hit]]
    pairs = [set(group) for group in found if len(group) == 2]
    return [g for g in found if len(g) == 2 or not any(pair <= set(g) for pair in pairs)]


def _by_spread(part: Array) -> list[int]:
    """Which column to solve for: the one that spreads most first, whose coefficients read best."""
    return [int(k) for k in np.argsort(-part.std(0), kind="stable")]


def _fit(part: Array, dependent: int) -> tuple[Array, float]:
    """Slopes and constant of the dependent column by the others, by least squares among the rows that fit best."""
    others = np.delete(np.arange(part.shape[1]), dependent)
    x, y = part[:, others], part[:, dependent]
    centre, scale = x.mean(0), np.where(x.std(0) > 0, x.std(0), 1.0)
    design = np.column_stack([(x - centre) / scale, np.ones(len(x))])
    used = np.ones(len(x), dtype=bool)
    for _ in range(4):  # rows that break the relation leave
        beta, *_ = np.linalg.lstsq(design[used], y[used], rcond=None)
        size = np.abs(y - design @ beta)
        used = size <= max(float(np.quantile(size, 0.98)), 1e-12 * float(np.abs(y).max()))
    slopes = beta[:-1] / scale
    return slopes, float(beta[-1] - slopes @ centre)


def _linear_rule(part: Array, group: tuple[int, ...], dependent: int, names: Sequence[str]) -> Constraint | None:
    slopes, constant = _fit(part, dependent)
    others = [k for k in range(len(group)) if k != dependent]
    y = part[:, dependent]
    if (np.abs(slopes) * part[:, others].std(0) < _SAME * y.std()).any():
        return None
    slopes = np.array([_simple(v, part[:, k].std() / y.std()) for v, k in zip(slopes, others, strict=True)])
    constant = float(np.median(y - part[:, others] @ slopes))
    tolerance = _tolerance(y)
    constant = _simple(constant, 1.0 / max(1.0, abs(constant)))
    ordered = (*(group[k] for k in others), group[dependent])
    says = _linear_sentence(slopes, constant, [names[j] for j in ordered])
    return Constraint("linear", ordered, says, (*map(float, slopes), constant, tolerance))


def _tolerance(values: Array) -> float:
    """Half of the last decimal that a column is rounded to; else a millionth of its spread."""
    scale = float(np.abs(values).max())
    for step in (1.0, 0.1, 0.01, 0.001, 0.0001):
        if on_grid(values, step).mean() > 1 - NEARLY:
            return 0.51 * step if step < 1 else 1e-6 * max(1.0, scale)
    return 1e-6 * float(values.std()) + 1e-12 * scale


def _simple(value: float, weight: float) -> float:
    """The simplest fraction nearby, where there is one within what the coefficient can be told to."""
    near = Fraction(value).limit_denominator(12)
    return float(near) if abs(float(near) - value) * weight < 1e-4 else float(f"{value:.7g}")


def _linear_sentence(slopes: Array, constant: float, names: Sequence[str]) -> str:
    *others, dependent = names
    if len(others) == 2 and sorted(slopes) == [-1.0, -1.0]:
        left = f"{others[0]} + {others[1]} + {dependent}"
        return f"{left} = {constant:,.6g}"
    terms = ""
    for slope, name in sorted(zip(slopes, others, strict=True), key=lambda pair: -pair[0]):
        size = "" if abs(slope) == 1 else f"{abs(slope):g} × "
        sign = (" - " if slope < 0 else " + ") if terms else ("-" if slope < 0 else "")
        terms += f"{sign}{size}{name}"
    if constant:
        terms += f" {'-' if constant < 0 else '+'} {abs(constant):,.6g}"
    return f"{dependent} = {terms}"


def _product_rule(part: Array, group: tuple[int, ...], dependent: int, names: Sequence[str]) -> Constraint | None:
    powers, _ = _fit(np.log(part), dependent)
    whole = np.round(powers)
    if (np.abs(powers - whole) > _WHOLE).any() or (whole == 0).any() or (np.abs(whole) > 2).any():
        return None
    others = [k for k in range(len(group)) if k != dependent]
    y = part[:, dependent]
    if len(others) == 1 and whole[0] == 1:
        return None  # a multiple: linear
    ratios = np.log(y) - np.log(part[:, others]) @ whole
    factor = math.exp(float(np.median(ratios)))
    factor = _simple(factor, 1.0 / factor)
    step = next((s for s in (1.0, 0.1, 0.01, 0.001, 0.0001) if on_grid(y, s).mean() > 1 - NEARLY), None)
    tolerance = 0.51 * step if step is not None else 0.0
    ordered = (*(group[k] for k in others), group[dependent])
    says = _product_sentence(whole, factor, [names[j] for j in ordered])
    return Constraint("product", ordered, says, (*map(float, whole), factor, tolerance))


def _product_sentence(powers: Array, factor: float, names: Sequence[str]) -> str:
    *others, dependent = names
    shown = [(name if abs(p) == 1 else f"{name}^{abs(p):g}", p > 0) for name, p in zip(others, powers, strict=True)]
    above = ([f"{factor:g}"] if factor != 1 else []) + [name for name, up in shown if up]
    below = [name for name, up in shown if not up]
    return f"{dependent} = {' × '.join(above) or '1'}" + "".join(f" / {name}" for name in below)
