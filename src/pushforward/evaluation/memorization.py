"""Has the generator copied its training data? Nearest neighbours of FAKE in the training and in the held-out rows.

Every fake looks for its nearest real row among training and held-out rows together. A generator that learned the
distribution, however well or badly, cannot know which real rows were trained on, so those labels are exchangeable given
the fakes and all real rows: a share `expected` = n_train / (n_train + n_holdout) of the fakes finds a training row, and
with w_i the share of fakes that real row i is nearest to, the variance of that share under relabelling is

    expected (1 - expected) (sum_i w_i^2 - 1/N) N / (N - 1),        N = n_train + n_holdout,

which gives the p-value (one-sided, normal) and the effective number of fakes behind Wilson's interval. Equal real rows
count as one row that shares its label. The baseline is the same share for every held-out row among all others.
"""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from . import intervals
from .comparison import P_FLOOR, Copies, Metric

Array = NDArray[np.float64]
DISTANCE_BINS = 40


@dataclass(frozen=True)
class Neighbours:
    """For copies: the nearest training row of each fake looked at (`nearest`, `distance`), and of held-out rows."""

    fake_rows: NDArray[np.int64]
    nearest: NDArray[np.int64]
    distance: Array
    holdout_distance: Array

    def closest(self, count: int) -> list[tuple[int, int, float]]:
        """(fake row, training row, distance) of the closest pairs, one for each training row."""
        pairs: list[tuple[int, int, float]] = []
        used: set[int] = set()
        for k in np.argsort(self.distance, kind="stable"):
            if int(self.nearest[k]) not in used:
                used.add(int(self.nearest[k]))
                pairs.append((int(self.fake_rows[k]), int(self.nearest[k]), float(self.distance[k])))
            if len(pairs) == count:
                break
        return pairs

    def picture(self) -> dict[str, Any]:
        """Histograms of the distance to the nearest training row: held-out rows (real) beside fakes."""
        top = float(np.quantile(np.concatenate([self.distance, self.holdout_distance]), 0.97)) or 1.0
        edges = np.linspace(0, top, DISTANCE_BINS + 1)
        shares = [np.histogram(np.clip(d, 0, top), edges)[0] / len(d) for d in (self.holdout_distance, self.distance)]
        rounded = [[round(float(v), 5) for v in part] for part in (edges, *shares)]
        return {"edges": rounded[0], "real": rounded[1], "fake": rounded[2]}


def row_keys(values: NDArray[Any]) -> NDArray[np.void]:
    """A key for each row `(n, k)`, equal where the rows are equal bit for bit (-0 is 0, all NaNs are one)."""
    plain = np.ascontiguousarray(values)
    if plain.dtype.kind == "f":
        plain = np.where(np.isnan(plain), np.nan, plain) + 0.0
    return plain.view(np.dtype((np.void, plain.dtype.itemsize * plain.shape[1]))).ravel()


def duplicates(values: NDArray[Any], among: NDArray[Any]) -> float:
    """The share of the rows of `values` that occur, exactly, in `among`."""
    known = {key.tobytes() for key in row_keys(among)}
    return float(np.mean([key.tobytes() in known for key in row_keys(values)]))


def repeated(values: NDArray[Any]) -> float:
    """The share of the rows of `values` that have a twin there."""
    keys = [key.tobytes() for key in row_keys(values)]
    counts = Counter(keys)
    return float(np.mean([counts[key] > 1 for key in keys]))


def contains(train: NDArray[Any], real: NDArray[Any]) -> bool:
    """Whether most rows of `real` stand in `train` beyond what chance explains.

    Rows of few possible values meet by chance: as often as a row of `train` has a twin there. Where nearly all have
    one, nothing can be told, and the answer is no.
    """
    natural, met = repeated(train), duplicates(real, train)
    return natural < 0.95 and met - natural >= 0.5 * (1 - natural)


def look_for_copies(
    fake: Array, train: Array, holdout: Array, *, level: float, seed: int, most_queries: int, most_rows: int
) -> tuple[dict[str, Any], Neighbours]:
    """The figures of `Copies` that neighbours give, and the neighbours. All are rows `(n, k)` of one space.

    At most `most_queries` fakes and held-out rows ask, among at most `most_rows` training (and as many held-out) rows.
    """
    rng = np.random.default_rng([seed, 2])
    fake_rows, train_rows = _some(len(fake), most_queries, rng), _some(len(train), most_rows, rng)
    held = holdout[_some(len(holdout), most_rows, rng)]
    fake, train = fake[fake_rows], train[train_rows]
    both = np.concatenate([train, held])
    _, first, inverse = np.unique(
        row_keys(both), return_index=True, return_inverse=True
    )  # an order that knows no labels
    union, inverse = both[first], inverse.ravel()
    of_train = np.bincount(inverse[: len(train)], minlength=len(union)).astype(float)
    copies = np.bincount(inverse, minlength=len(union)).astype(float)
    expected = len(train) / (len(train) + len(held))

    index, distance = _nearest(fake, union, 1)
    closer = float((of_train / copies)[index[:, 0]].mean())
    variance = _relabelling_variance(index[:, 0], copies, expected)
    effective = expected * (1 - expected) / variance
    low, high = intervals.wilson(closer, effective, level)
    z = (closer - expected) / math.sqrt(variance)
    first_of = np.full(len(union), -1)
    first_of[inverse[: len(train)][::-1]] = train_rows[::-1]
    nearest, gap = _nearest_trained(fake, union, of_train > 0, index[:, 0], distance[:, 0])

    ask = _some(len(held), most_queries, rng)
    own = inverse[len(train) + ask]
    baseline, held_gap = _leave_one_out(held[ask], own, union, of_train, copies)
    figures = {
        "n_train": len(train),
        "n_holdout": len(held),
        "closer": closer,
        "closer_low": low,
        "closer_high": high,
        "closer_baseline": baseline,
        "expected": expected,
        "pvalue": max(P_FLOOR, float(stats.norm.sf(z))),
    }
    return figures, Neighbours(fake_rows, first_of[nearest], gap, held_gap)


def _relabelling_variance(index: NDArray[np.int64], copies: Array, expected: float) -> float:
    weight = np.bincount(index, minlength=len(copies)) / len(index)
    total = copies.sum()
    square = float((weight**2 / copies).sum())  # a row that occurs c times: c labels share its weight
    variance = expected * (1 - expected) * (square - 1 / total) * total / max(1.0, total - 1)
    return max(float(variance), expected * (1 - expected) / len(index) * 1e-3, 1e-300)


def _leave_one_out(
    rows: Array, own: NDArray[np.int64], union: Array, of_train: Array, copies: Array
) -> tuple[float, Array]:
    """The share of held-out `rows` (at `own` in `union`) whose nearest other row is a training row, and their distance
    to the nearest training row."""
    index, _ = _nearest(rows, union, min(2, len(union)))
    other = np.where(index[:, 0] == own, -1, 0)
    second = index[np.arange(len(rows)), other]
    twins = copies[own] > 1
    credit = (of_train / copies)[second]
    credit[twins] = of_train[own][twins] / (copies[own][twins] - 1)
    gap = _nearest_trained(rows, union, of_train > 0, own, np.zeros(len(rows)))[1]
    return float(credit.mean()), gap


def _nearest_trained(
    rows: Array, union: Array, trained: NDArray[np.bool_], index: NDArray[np.int64], distance: Array
) -> tuple[NDArray[np.int64], Array]:
    """The nearest `trained` row of `union`: the known nearest (`index`, `distance`) where it is one, else searched."""
    index, distance = index.copy(), distance.copy()
    (places,) = np.nonzero(trained)
    ask = ~trained[index]
    if ask.any():
        found, gap = _nearest(rows[ask], union[places], 1)
        index[ask], distance[ask] = places[found[:, 0]], gap[:, 0]
    return index, distance


def _nearest(queries: Array, rows: Array, k: int) -> tuple[NDArray[np.int64], Array]:
    """Indices and Euclidean distances `(q, k)` of the nearest `rows`; exact, by tiles that fit the cache."""
    from sklearn.neighbors import NearestNeighbors

    method = "kd_tree" if rows.shape[1] <= 6 else "brute"
    search = NearestNeighbors(n_neighbors=k, algorithm=method).fit(rows)
    distance, index = search.kneighbors(queries)
    return index, distance


def _some(count: int, most: int, rng: np.random.Generator) -> NDArray[np.int64]:
    return np.sort(rng.permutation(count)[:most]) if count > most else np.arange(count)


def judged(
    figures: dict[str, Any], exact: tuple[float, float, int], *, alpha: float, level: float
) -> tuple[Copies, list[Metric]]:
    """`Copies` and metrics of the figures of neighbours and of `exact` duplicates (fake, holdout, number of fakes)."""
    twins, twins_baseline, n_fake = exact
    low, high = intervals.wilson(twins, n_fake, level)
    closer, expected, p = figures["closer"], figures["expected"], figures["pvalue"]
    share = (
        f"{closer:.1%} of the fakes have a training row as their nearest real row; {expected:.1%} would without copying"
    )
    shown = f"p ≤ {P_FLOOR:.0e}" if p <= P_FLOOR else f"p = {p:.2g}"
    if p <= alpha:
        note = f"The fakes lie nearer to the training rows than held-out data can explain ({shown}): {share}."
    else:
        note = f"No copying was detected ({shown}): {share}."
    copies = Copies(
        judged=True,
        note=note,
        duplicates=twins,
        duplicates_low=low,
        duplicates_high=high,
        duplicates_baseline=twins_baseline,
        **figures,
    )
    metrics = [
        Metric(
            "closer_to_train",
            "copies",
            closer,
            figures["closer_low"],
            figures["closer_high"],
            figures["closer_baseline"],
            "baseline",
            f"share of fakes whose nearest real row was trained on; {expected:.4g} is expected without copying",
        ),
        Metric(
            "duplicates",
            "copies",
            twins,
            low,
            high,
            twins_baseline,
            "baseline",
            "share of fake rows that equal a training row exactly; baseline: of held-out rows",
        ),
    ]
    return copies, metrics
