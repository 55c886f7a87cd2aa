"""How pairs of columns hang together, in REAL and in FAKE, and where that differs.

Two numeric columns: the correlation of their ranks (ranks among real and fake rows together, pairs with both present).
A numeric and a category: the correlation ratio eta of the ranks over the levels. Two categories: Cramer's V with
Bergsma's (2013) correction of its bias. All are functions of sums over rows, so one pass over `GROUPS` groups of rows
gives the figures and, by leaving groups out, their jackknife errors.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from . import intervals
from .comparison import Metric
from .frames import Frame

Array = NDArray[np.float64]
GROUPS = 20
MOST_LEVELS = 24
MOST_COLUMNS = 100
SHOWN_COLUMNS = 24
SHOWN_PAIRS = 10


@dataclass(frozen=True)
class Associations:
    """`value[role]` `(p, p)`, `stderr[role]` `(p, p)` of the columns `names` `(p,)`; NaN where there is no spread."""

    names: tuple[str, ...]
    kinds: tuple[str, ...]
    value: dict[str, Array]
    stderr: dict[str, Array]


@dataclass(frozen=True)
class _Design:
    """A sample laid out for products: ranks zero-filled `(n, q)`, their masks, and one-hot levels `(n, L)`."""

    ranks: Array
    present: Array
    onehot: Array


def associations(frame: Frame) -> Associations:
    """For every role of `frame`; of more than `MOST_COLUMNS` columns, the first."""
    used = range(min(len(frame.names), MOST_COLUMNS))
    numerical = [j for j in frame.numerical if j in used]
    categorical = [j for j in frame.categorical if j in used]
    order = np.argsort(numerical + categorical)
    pooled = np.concatenate(list(frame.rows.values()))
    ranks = np.stack([_ranks(pooled[:, j]) for j in numerical], 1) if numerical else np.zeros((len(pooled), 0))
    ends = np.cumsum([len(rows) for rows in frame.rows.values()])[:-1]
    widths = [min(len(frame.levels[j]), MOST_LEVELS + 1) for j in categorical]
    value, stderr = {}, {}
    for role, part in zip(frame.rows, np.split(ranks, ends), strict=True):
        codes = frame.rows[role][:, categorical].astype(np.int64)
        value[role], stderr[role] = _estimate(part, codes, widths, order)
    return Associations(tuple(frame.names[j] for j in used), tuple(frame.kinds[j] for j in used), value, stderr)


def _ranks(values: Array) -> Array:
    ranks = stats.rankdata(values, nan_policy="omit") / max(1, np.isfinite(values).sum()) - 0.5
    return np.asarray(ranks, dtype=np.float64)


def _estimate(
    ranks: Array, codes: NDArray[np.int64], widths: list[int], order: NDArray[np.int64]
) -> tuple[Array, Array]:
    """The matrix of one sample and its jackknife standard errors, columns in `order`."""
    count = min(GROUPS, len(ranks))
    groups = [np.arange(i, len(ranks), count) for i in range(count)]  # interleaved: rows may come sorted by time
    sums = [_sums(_design(ranks[g], codes[g], widths)) for g in groups]
    total = {key: np.sum([s[key] for s in sums], 0) for key in sums[0]}
    full = _assemble(total, widths)[np.ix_(order, order)]
    without = [_assemble({key: total[key] - s[key] for key in total}, widths)[np.ix_(order, order)] for s in sums]
    return full, intervals.jackknife_stderr(np.stack(without))


def _design(ranks: Array, codes: NDArray[np.int64], widths: list[int]) -> _Design:
    present = np.isfinite(ranks).astype(np.float64)
    blocks = [np.zeros((len(ranks), 0))]
    for j, width in enumerate(widths):
        blocks.append((np.minimum(codes[:, j], width - 1)[:, None] == np.arange(width)).astype(np.float64))
    return _Design(np.nan_to_num(ranks), present, np.concatenate(blocks, 1))


def _sums(d: _Design) -> dict[str, Array]:
    x, seen, z = d.ranks, d.present, d.onehot
    return {
        "n": seen.T @ seen,
        "s": x.T @ seen,
        "ss": (x * x).T @ seen,
        "xy": x.T @ x,
        "zn": z.T @ seen,
        "zs": z.T @ x,
        "zz": z.T @ z,
    }


def _assemble(t: dict[str, Array], widths: list[int]) -> Array:
    with np.errstate(divide="ignore", invalid="ignore"):
        n = t["n"]
        variance = t["ss"] / n - (t["s"] / n) ** 2
        variance[variance < 1e-10] = np.nan  # one value only: no association to speak of
        r = (t["xy"] / n - (t["s"] / n) * (t["s"].T / n)) / np.sqrt(variance * variance.T)
        q, p = len(n), len(n) + len(widths)
        result = np.full((p, p), np.nan)
        result[:q, :q] = np.clip(r, -1, 1)
        ends = np.cumsum([0, *widths])
        blocks = [slice(a, b) for a, b in pairwise(ends)]
        for i, block in enumerate(blocks):
            count, part = t["zn"][block], t["zs"][block]
            between = (
                np.nansum(np.where(count > 0, part**2 / count, 0), 0) / np.diag(n) - (np.diag(t["s"]) / np.diag(n)) ** 2
            )
            result[q + i, :q] = result[:q, q + i] = np.sqrt(np.clip(between / np.diag(variance), 0, 1))
            for k, other in enumerate(blocks[:i]):
                result[q + i, q + k] = result[q + k, q + i] = _cramer(t["zz"][block, other])
        np.fill_diagonal(result, 1.0)
    return result


def _cramer(table: Array) -> float:
    table = table[table.sum(1) > 0.5][:, table.sum(0) > 0.5]
    n, (rows, cols) = table.sum(), table.shape
    if min(rows, cols) < 2 or n < 3:
        return float("nan")
    expected = np.outer(table.sum(1), table.sum(0)) / n
    phi2 = float(((table - expected) ** 2 / expected).sum() / n)
    phi2 = max(0.0, phi2 - (rows - 1) * (cols - 1) / (n - 1))
    rows, cols = rows - (rows - 1) ** 2 / (n - 1), cols - (cols - 1) ** 2 / (n - 1)
    return float(np.sqrt(min(1.0, phi2 / max(1e-12, min(rows - 1, cols - 1)))))


def metrics_and_view(
    found: Associations, baseline: list[tuple[Array, Array]], *, level: float = 0.95
) -> tuple[list[Metric], dict[str, Any]]:
    """The mean and the largest difference over pairs, and the data of the picture.

    `baseline`: association matrices of two real sets, averaged over. The intervals are simultaneous over all pairs
    (Bonferroni, Student's t of the jackknife), so that they hold for the mean and for the largest alike.
    """
    p = len(found.names)
    above = np.triu_indices(p, 1)
    difference = (found.value["fake"] - found.value["real"])[above]
    stderr = np.hypot(found.stderr["real"], found.stderr["fake"])[above]
    usable = np.isfinite(difference) & np.isfinite(stderr)
    if not usable.any():
        return [], {}
    t = float(stats.t.ppf(1 - (1 - level) / (2 * usable.sum()), GROUPS - 1))
    size = np.abs(difference)
    low, high = np.clip(size - t * stderr, 0, None), np.clip(size + t * stderr, None, 2)
    against = [np.abs(a - b)[above][usable] for a, b in baseline]
    order = np.flatnonzero(usable)[np.argsort(-size[usable], kind="stable")]
    worst = order[0]
    names = [(found.names[above[0][k]], found.names[above[1][k]]) for k in order[:SHOWN_PAIRS]]
    metrics = []
    if usable.sum() > 1:
        metrics.append(
            Metric(
                "correlations",
                "correlations",
                float(size[usable].mean()),
                float(low[usable].mean()),
                float(high[usable].mean()),
                _mean([float(np.nanmean(a)) for a in against]),
                "lower",
                f"mean absolute difference of association over {int(usable.sum())} pairs of columns",
            )
        )
    metrics.append(
        Metric(
            "correlation_worst",
            "correlations",
            float(size[worst]),
            float(low[usable].max()),
            float(high[usable].max()),
            _mean([float(np.nanmax(a)) for a in against]),
            "lower",
            f"largest difference of association: {names[0][0]} with {names[0][1]}",
        )
    )
    pairs = [
        {
            "a": a,
            "b": b,
            "real": _number(found.value["real"][above][k]),
            "fake": _number(found.value["fake"][above][k]),
            "difference": _number(difference[k]),
            "low": _number(difference[k] - t * stderr[k]),
            "high": _number(difference[k] + t * stderr[k]),
        }
        for k, (a, b) in zip(order[:SHOWN_PAIRS], names, strict=True)
    ]
    return metrics, {"pairs": pairs, "n_pairs": int(usable.sum()), **_matrix(found)}


def _matrix(found: Associations) -> dict[str, Any]:
    """The (at most `SHOWN_COLUMNS`) columns whose associations differ most, in their own order."""
    gap = np.nan_to_num(np.abs(found.value["fake"] - found.value["real"]))
    chosen = np.sort(np.argsort(-gap.max(1), kind="stable")[:SHOWN_COLUMNS])
    grid = np.ix_(chosen, chosen)
    return {
        "names": [found.names[j] for j in chosen],
        "real": [[_number(v) for v in row] for row in found.value["real"][grid]],
        "fake": [[_number(v) for v in row] for row in found.value["fake"][grid]],
    }


def _mean(values: list[float]) -> float | None:
    return float(np.mean(values)) if values else None


def _number(value: float) -> float | None:
    return round(float(value), 4) if np.isfinite(value) else None
