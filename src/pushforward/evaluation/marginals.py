"""Column by column: how far apart, with what evidence, beside the distance between two real sets.

Numeric and datetime columns: Kolmogorov-Smirnov on the line extended by "missing" below all values; its asymptotic
p-value is conservative where values tie. Where values are missing, a test of the two missing rates is added, and the
column's p is twice the smaller. Categories: total variation; the p-value is Pearson's chi-squared, levels with fewer
than five expected rows pooled (by their count in both sets together, so that the pooling knows no labels). Holm's
adjustment runs over the columns.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from ..readings.adjust import holm
from . import intervals
from .comparison import P_FLOOR, Column, Metric
from .frames import MISSING, Frame

Array = NDArray[np.float64]
BINS = 40
SHOWN_LEVELS = 12


def columns(frame: Frame, baseline: Sequence[tuple[Array, Array]], *, level: float = 0.95) -> list[Column]:
    """The columns of roles "real" and "fake", the least likely first; `baseline` pairs of real sets, averaged over."""
    x, y = frame.rows["real"], frame.rows["fake"]
    found = []
    for j, (name, kind) in enumerate(zip(frame.names, frame.kinds, strict=True)):
        nominal = kind == "category"
        distance, bias, pvalue = distance_and_pvalue(x[:, j], y[:, j], nominal)
        low, high = intervals.distance_interval(distance, bias, len(x), len(y), level)
        against = [distance_and_pvalue(a[:, j], b[:, j], nominal)[0] for a, b in baseline]
        out = [outside(a[:, j], b[:, j], nominal) for a, b in baseline]
        shifts = [] if nominal else [shift(a[:, j], b[:, j]) for a, b in baseline]
        missing = [_missing(side[:, j], frame.levels[j]) for side in (x, y)]
        found.append(
            Column(
                name=name,
                kind=kind,
                statistic=distance,
                low=low,
                high=high,
                baseline=float(np.mean(against)),
                pvalue=pvalue,
                pvalue_adjusted=1.0,
                missing_real=missing[0],
                missing_fake=missing[1],
                outside=outside(x[:, j], y[:, j], nominal),
                outside_baseline=float(np.mean(out)),
                shift=None if nominal else shift(x[:, j], y[:, j]),
                shift_baseline=None
                if nominal or None in shifts
                else float(np.mean([s for s in shifts if s is not None])),
            )
        )
    adjusted = holm(np.array([column.pvalue for column in found]))
    found = [
        replace(column, pvalue=max(P_FLOOR, column.pvalue), pvalue_adjusted=max(P_FLOOR, float(p)))
        for column, p in zip(found, adjusted, strict=True)
    ]
    return sorted(found, key=lambda column: (column.pvalue_adjusted, -column.statistic))


def distance_and_pvalue(x: Array, y: Array, nominal: bool) -> tuple[float, float, float]:
    """The distance between columns `x` `(n,)` and `y` `(m,)`, the bound of its bias, and the p-value."""
    n, m = len(x), len(y)
    if nominal:
        width = int(max(x.max(), y.max())) + 1
        a, b = (np.bincount(side.astype(np.int64), minlength=width) for side in (x, y))
        distance = 0.5 * float(np.abs(a / n - b / m).sum())
        return distance, intervals.tv_bias((a + b) / (n + m), n, m), _chi_squared(a, b)
    low_x, low_y = np.where(np.isnan(x), -np.inf, x), np.where(np.isnan(y), -np.inf, y)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # sizes whose exact count overflows: scipy falls back by itself
        test = stats.ks_2samp(low_x, low_y, method="exact" if max(n, m) <= 200 else "asymp")
    distance, pvalue = float(test.statistic), float(test.pvalue)
    lost_x, lost_y = int(np.isnan(x).sum()), int(np.isnan(y).sum())
    if lost_x + lost_y:
        pvalue = min(1.0, 2 * min(pvalue, _chi_squared(np.array([lost_x, n - lost_x]), np.array([lost_y, m - lost_y]))))
    return distance, intervals.ks_bias(n, m), pvalue


def _chi_squared(a: NDArray[np.int64], b: NDArray[np.int64]) -> float:
    """Pearson's test of two rows of counts; Fisher's exact one where only two small levels are left."""
    n, m = int(a.sum()), int(b.sum())
    total = a + b
    common = total * min(n, m) >= 5 * (n + m)
    if not common.all():
        rare = ~common & (total > 0)
        a, b = np.append(a[common], a[rare].sum()), np.append(b[common], b[rare].sum())
    kept = a + b > 0
    a, b = a[kept], b[kept]
    if len(a) < 2:
        return 1.0
    if len(a) == 2 and (a + b).min() * min(n, m) < 5 * (n + m):
        return float(stats.fisher_exact(np.stack([a, b]))[1])
    if (a + b).min() * min(n, m) < 5 * (n + m):  # the pooled rest is still rare: it joins the least of the others
        order = np.argsort(a + b)
        first, second = order[0], order[1]
        a[second] += a[first]
        b[second] += b[first]
        a, b = np.delete(a, first), np.delete(b, first)
    return float(stats.chi2_contingency(np.stack([a, b]), correction=False)[1])


def shift(x: Array, y: Array) -> float | None:
    """Wasserstein-1 over the standard deviation of `x`, both on the values that are there; None without any spread."""
    a, b = x[np.isfinite(x)], y[np.isfinite(y)]
    if len(a) < 2 or not len(b):
        return None
    largest = max(np.abs(a).max(), np.abs(b).max()) or 1.0
    a, b = a / largest, b / largest  # squares of huge values would overflow
    if a.std() == 0:
        return None
    return float(stats.wasserstein_distance(a, b) / a.std())


def outside(x: Array, y: Array, nominal: bool) -> float:
    """The share of `y` beyond the range of `x`, or in a category that `x` lacks."""
    return float(_outside(x, y, nominal).mean())


def _outside(x: Array, y: Array, nominal: bool) -> NDArray[np.bool_]:
    if nominal:
        return ~np.isin(y, np.unique(x))
    seen = x[np.isfinite(x)]
    if not len(seen):
        return np.isfinite(y)
    beyond: NDArray[np.bool_] = (y < seen.min()) | (y > seen.max())
    return beyond


def _missing(values: Array, levels: tuple[str, ...]) -> float:
    if levels:
        return float((values == levels.index(MISSING)).mean()) if MISSING in levels else 0.0
    return float(np.isnan(values).mean())


def metrics(
    frame: Frame, found: Sequence[Column], baseline: Sequence[tuple[Array, Array]], *, noun: str, level: float
) -> list[Metric]:
    """The mean distance over columns (each a `noun`), and the share of rows with a value outside what REAL has."""
    x, y = frame.rows["real"], frame.rows["fake"]
    n, m = len(x), len(y)
    nominal = [kind == "category" for kind in frame.kinds]
    distances = [distance_and_pvalue(x[:, j], y[:, j], flag) for j, flag in enumerate(nominal)]
    mean = float(np.mean([d for d, _, _ in distances]))
    bias = float(np.mean([b for _, b, _ in distances]))
    low, high = intervals.distance_interval(mean, bias, n, m, level)
    what = f"{len(found)} {noun}s" if len(found) > 1 else f"1 {noun}"
    worst = max(found, key=lambda column: column.statistic)
    strays = _strays(x, y, nominal)
    stray_low, stray_high = intervals.wilson(strays, m, level)
    return [
        Metric(
            "marginals",
            "columns",
            mean,
            low,
            high,
            float(np.mean([column.baseline for column in found])),
            "lower",
            f"mean distance of {what} seen one by one (KS or total variation); the largest: {worst.name}",
        ),
        Metric(
            "outside",
            "columns",
            strays,
            stray_low,
            stray_high,
            float(np.mean([_strays(a, b, nominal) for a, b in baseline])),
            "baseline",
            "share of fake rows with a value beyond the real range or a category the real data lack",
        ),
    ]


def _strays(x: Array, y: Array, nominal: Sequence[bool]) -> float:
    found = np.zeros(len(y), dtype=bool)
    for j, flag in enumerate(nominal):
        found |= _outside(x[:, j], y[:, j], flag)
    return float(found.mean())


def picture(frame: Frame, name: str) -> dict[str, Any]:
    """Shares of real and fake rows by bin or by level, ready to draw."""
    j = frame.names.index(name)
    x, y = frame.rows["real"][:, j], frame.rows["fake"][:, j]
    if frame.kinds[j] == "category":
        return _levels_picture(x, y, frame.levels[j])
    a, b = x[np.isfinite(x)], y[np.isfinite(y)]
    both = np.concatenate([a, b])
    if not len(both):
        return {"kind": "numeric", "edges": [], "real": [], "fake": [], "clipped": False}
    low, high = np.quantile(both, [0.002, 0.998])
    clipped = bool(low > both.min() or high < both.max())
    if low == high:
        low, high, clipped = both.min(), both.max(), False
    edges = _edges(both[(both >= low) & (both <= high)])
    share = [np.histogram(np.clip(v, edges[0], edges[-1]), edges)[0] / max(1, len(w)) for v, w in ((a, x), (b, y))]
    digits = [float(f"{edge:.8g}") for edge in edges]
    return {
        "kind": frame.kinds[j],
        "edges": digits,
        "real": [round(float(v), 6) for v in share[0]],
        "fake": [round(float(v), 6) for v in share[1]],
        "clipped": clipped,
    }


def _edges(values: Array) -> Array:
    """At most about `BINS` equal bins; on a grid (whole numbers, decimals) each holds as many of its values as any."""
    unique = np.unique(values)
    low, high = unique[0], unique[-1]
    if low == high:
        return np.array([low - 0.5, low + 0.5])
    gaps = np.diff(unique)
    step = gaps.min()
    count = (high - low) / step
    if count <= 1000 * BINS and np.all(np.abs(gaps / step - np.round(gaps / step)) < 0.05):
        width = step * np.ceil((count + 1) / BINS)
        count = np.ceil((high - low + step) / width - 1e-6)
        return np.asarray(low - step / 2 + width * np.arange(count + 1))
    return np.linspace(low, high, BINS + 1)


def _levels_picture(x: Array, y: Array, levels: tuple[str, ...]) -> dict[str, Any]:
    a, b = (np.bincount(side.astype(np.int64), minlength=len(levels)) / len(side) for side in (x, y))
    order = np.argsort(-(a + b), kind="stable")
    head, tail = order[:SHOWN_LEVELS], order[SHOWN_LEVELS:]
    strange = [k for k in tail[np.argsort(-b[tail], kind="stable")][:3] if a[k] == 0 and b[k] > 0]
    head, tail = np.append(head, np.array(strange, dtype=int)), np.setdiff1d(tail, strange)
    names = [levels[k] for k in head]
    real, fake = list(a[head]), list(b[head])
    if len(tail):
        names.append(f"({len(tail)} more)")
        real.append(a[tail].sum())
        fake.append(b[tail].sum())
    return {
        "kind": "category",
        "levels": names,
        "real": [round(float(v), 6) for v in real],
        "fake": [round(float(v), 6) for v in fake],
    }
