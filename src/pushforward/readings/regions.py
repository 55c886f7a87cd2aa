"""The regions reading: where two sets differ, in words that the owner of a table understands.

A shallow regression tree is grown on the scores of a witness over the pooled rows, so that its leaves are boxes in
which data exceed the model or the model the data. The rows of REAL and of FAKE in each box are then counted among
*other* rows, which neither the tree nor the witness has seen: so the ratio of the two shares, with Koopman's (1984)
score interval, is not flattered by the search. The intervals hold for all leaves at once (Bonferroni), and a box is
claimed only where its interval excludes 1 (and the ratio is at least 1.1 either way, which is worth a sentence).

Categories enter the tree ordered by the mean score of each level, for which a split by a threshold is the best split
into two sets of levels (Breiman et al. 1984, section 8.8; Fisher 1958). Thresholds are rounded as far as at most 1 % of
the rows at hand change sides, and the counting uses the rounded ones: the words say exactly what was counted.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, final

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Generator, Tensor

from pushforward.errors import InputError
from pushforward.readings.wording import Column, Side, in_words
from pushforward.witness import Witness

Array = NDArray[np.float64]
_LEAST_ROWS = 10  # a level seen less often than this has no score of its own
_SHRINK = 10.0  # rows at the grand mean that every level's mean is mixed with
_CELLS = 1_000_000  # values that the tree is grown on at most
_SCOUT = 6  # depth of the tree that tells which columns matter
_ROOTS = 10  # columns, and levels of each, that a first split is sought among
_TELLING = 1.1  # a region as frequent as that in both sets, or nearly, is not worth a sentence
_AHEAD = 8_000  # rows on which it is sought
_GAIN = 1.05  # by which the best first split must beat the greedy one


@final
@dataclass(frozen=True)
class Region:
    """A box in the columns in which one set has more of its rows than the other.

    `conditions` in words, all of which hold; `real_share`, `fake_share`: shares of the counted rows of each set
    that lie in it, `n_real`, `n_fake`: their numbers; `ratio` = fake_share / real_share with the interval `low, high`
    (None: without bound, REAL having no such row); `text`: all of it in one line.
    """

    conditions: tuple[str, ...]
    real_share: float
    fake_share: float
    ratio: float | None
    low: float
    high: float | None
    n_real: int
    n_fake: int
    text: str


@final
@dataclass(frozen=True)
class Box:
    """The rows that fulfil `sides[j]` in column j, for each j."""

    sides: dict[int, Side]

    def holds(self, rows: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Which of `rows` `(n, p)` lie in the box `(n,)`."""
        inside = np.ones(len(rows), dtype=bool)
        for j, side in self.sides.items():
            inside &= side.holds(rows[:, j])
        return inside


def regions(
    w: Witness,
    x: Float[Tensor, "n *d"],
    y: Float[Tensor, "m *e"],
    *,
    names: Sequence[str] | None = None,
    depth: int = 3,
    least_share: float = 0.005,
    level: float = 0.95,
    generator: Generator,
) -> tuple[Region, ...]:
    """Describe where data `x` and model samples `y` differ according to `w`, the most telling region first.

    One random half of each side grows the tree, on psi; the other is counted. The rows must be ones that `w` was not
    fitted on, or the counted half would have chosen its own regions. `names` are those of the flattened values (x0, x1,
    ... by default); the tree has at most `depth` conditions to a leaf, and at least `least_share` of the rows in each.
    Empty where nothing was found. Needs 40 rows a side (`InputError`).
    """
    flat = [rows.detach().flatten(1).double().cpu().numpy() for rows in (x, y)]
    if flat[0].shape[1] != flat[1].shape[1]:
        raise InputError(f"rows of x have {flat[0].shape[1]} values but rows of y {flat[1].shape[1]}")
    if any(np.isinf(rows).any() for rows in flat):
        raise InputError("regions are described for finite values; drop or clip the infinite ones")
    found = tuple(names) if names is not None else tuple(f"x{j}" for j in range(flat[0].shape[1]))
    if len(found) != flat[0].shape[1]:
        raise InputError(f"{len(found)} names were given for {flat[0].shape[1]} values a row")
    if min(len(x), len(y)) < 40:
        raise InputError(f"regions need at least 40 rows on each side, not {len(x)} and {len(y)}")
    halves = [torch.randperm(len(rows), generator=generator, device=generator.device).cpu().numpy() for rows in flat]
    grow = [np.sort(order[: len(order) // 2]) for order in halves]
    held = [np.sort(order[len(order) // 2 :]) for order in halves]
    with torch.no_grad():
        scores = [w.psi(rows[torch.from_numpy(g).to(rows.device)]) for rows, g in zip((x, y), grow, strict=True)]
    return regions_of_scores(
        np.concatenate([s.double().cpu().numpy() for s in scores]),
        np.concatenate([flat[0][grow[0]], flat[1][grow[1]]]),
        flat[0][held[0]],
        flat[1][held[1]],
        columns=[Column(name) for name in found],
        depth=depth,
        least_share=least_share,
        level=level,
    )


def regions_of_scores(
    scores: NDArray[np.float64],
    rows: NDArray[np.float64],
    real: NDArray[np.float64],
    fake: NDArray[np.float64],
    *,
    columns: Sequence[Column],
    depth: int = 3,
    least_share: float = 0.005,
    level: float = 0.95,
) -> tuple[Region, ...]:
    """The regions in which `real` `(n, p)` and `fake` `(m, p)` differ, by the `scores` `(k,)` of `rows` `(k, p)`.

    Numbers, dates in seconds (NaN where missing) and codes of categories stand in the columns as `columns` say; the
    scores may come from any other encoding of the same rows. They must not depend on which of `real` and `fake` the
    counted rows belong to: cross-fitted scores of the counted rows' own sample do, by the folds they were fitted on.
    """
    boxes = list(_boxes(scores, rows, columns, depth, least_share))
    if len(boxes) < 2 or not len(real) or not len(fake):
        return ()
    there = np.concatenate([rows, real, fake])
    looks = [column.look(there[:, j]) for j, column in enumerate(columns)]
    found = []
    for box in boxes:
        k, f = int(box.holds(real).sum()), int(box.holds(fake).sum())
        low, high = ratio_interval(f, len(fake), k, len(real), 1.0 - (1.0 - level) / len(boxes))
        if low <= 1.0 <= high or max(k * len(fake), f * len(real)) < _TELLING * min(k * len(fake), f * len(real)):
            continue
        conditions = tuple(in_words(columns[j], side, looks[j]) for j, side in sorted(box.sides.items()))
        p, q = k / len(real), f / len(fake)
        ratio, top = (q / p if k else None), (high if math.isfinite(high) else None)
        text = f"{' and '.join(conditions)}: {_claim(p, q, low, top, level)}"
        found.append((_evidence(k, len(real), f, len(fake)), Region(conditions, p, q, ratio, low, top, k, f, text)))
    found.sort(key=lambda item: -item[0])
    return tuple(region for _, region in found)


def ratio_interval(f: int, m: int, k: int, n: int, level: float) -> tuple[float, float]:
    """Koopman's score interval of q/p where f of m rows fell in with probability q, and k of n with p.

    The ratios t that are not rejected by z(t) = (q - t p)/se, with p, q in the variance fitted under q = t p. It needs
    no correction for counts of 0: the upper end is then infinite, or the lower one 0.
    """
    from scipy.optimize import brentq
    from scipy.stats import norm

    if k == 0 and f == 0:
        return 0.0, math.inf
    z = float(norm.ppf(0.5 + level / 2.0))
    ends = []
    for sign, open_end in ((1.0, f == 0), (-1.0, k == 0)):
        if open_end:
            ends.append(0.0 if sign > 0 else math.inf)
            continue
        ends.append(
            math.exp(brentq(lambda t, s=sign: _score(math.exp(t), f, m, k, n) - s * z, -40.0, 40.0, xtol=1e-10))
        )
    return ends[0], ends[1]


def _score(t: float, f: int, m: int, k: int, n: int) -> float:
    """z(t), falling in t."""
    a, b, c = t * (n + m), -(t * (m + k) + f + n), float(k + f)
    p = 2.0 * c / (-b + math.sqrt(max(0.0, b * b - 4.0 * a * c)))  # the fitted p; q = t p
    p = min(p, 1.0, 1.0 / t)
    variance = t * p * (1.0 - t * p) / m + t * t * p * (1.0 - p) / n
    gap = f / m - t * k / n
    return gap / math.sqrt(variance) if variance > 0.0 else math.copysign(math.inf, gap)


def _evidence(k: int, n: int, f: int, m: int) -> float:
    """The leaf's share of the Jeffreys divergence, (q - p) ln(q/p): small where both sides have much the same share."""
    p, q = (k + 0.5) / (n + 1.0), (f + 0.5) / (m + 1.0)
    return (q - p) * math.log(q / p)


def _claim(p: float, q: float, low: float, high: float | None, level: float) -> str:
    shares = f"{_percent(p)} of REAL, {_percent(q)} of FAKE"
    interval = f"{100 * level:g}% interval"
    if p == 0.0:
        return f"found in FAKE only ({interval} from {_times(low)}x more frequent; {shares})"
    if q == 0.0:
        return (
            f"found in REAL only ({interval} from {_times(1.0 / high if high else math.inf)}x more frequent; {shares})"
        )
    if q > p:
        upper = "without bound" if high is None else _times(high)
        return f"{_times(q / p)}x more frequent in FAKE ({interval} {_times(low)} to {upper}; {shares})"
    lower = "without bound" if low <= 0.0 else _times(1.0 / low)
    upper = "without bound" if high is None else _times(1.0 / high)
    return f"{_times(p / q)}x less frequent in FAKE ({interval} {upper} to {lower}; {shares})"


def _times(ratio: float) -> str:
    if ratio < 1.95:
        return f"{ratio:.2f}"
    return f"{ratio:.1f}" if ratio < 9.95 else f"{ratio:,.0f}"


def _percent(share: float) -> str:
    if share == 0.0:
        return "none"
    return f"{100 * share:.2g}%" if share < 0.0995 else f"{100 * share:.0f}%"


# --- the tree -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Coded:
    """A column as the tree takes it: `values` = (raw - centre)/scale, or the mean score of the level, from `order`."""

    values: Array
    centre: float = 0.0
    scale: float = 1.0
    order: Array | None = None


@dataclass(frozen=True)
class _Grove:
    """What trees are grown on: raw `rows`, their coded form `table`, `target`, and the least rows in a leaf."""

    rows: Array
    table: Array
    target: Array
    columns: Sequence[Column]
    coded: Sequence[_Coded]
    least: int

    def thinned(self, most: int) -> "_Grove":
        """Every k-th row, so that about `most` are left."""
        k = -(-len(self.rows) // most)
        least = max(_LEAST_ROWS, self.least // k)
        return replace(self, rows=self.rows[::k], table=self.table[::k], target=self.target[::k], least=least)

    def tree(self, chosen: NDArray[np.bool_] | None = None, *, depth: int) -> Any:
        """A regression tree on all rows, or on those `chosen`."""
        from sklearn.tree import DecisionTreeRegressor

        pick = slice(None) if chosen is None else chosen
        grown = DecisionTreeRegressor(max_depth=depth, min_samples_leaf=self.least, random_state=0)
        return grown.fit(self.table[pick], self.target[pick]).tree_


def _boxes(scores: Array, rows: Array, columns: Sequence[Column], depth: int, least_share: float) -> Iterator[Box]:
    """The leaves of a regression tree on the scores, each as a box with rounded ends.

    A tree that is grown greedily does not see what only two columns together show (a changed correlation, a shift
    within one category). So the first split is looked ahead: over quartiles and levels of the columns that matter, the
    one after which the two trees below it explain most.
    """
    if not 0.0 < least_share < 0.5 or depth < 1:
        raise InputError(f"depth must be at least 1 and least_share between 0 and 0.5, not {depth} and {least_share}")
    low, high = np.quantile(scores, [0.005, 0.995])
    if high <= low or len(rows) < 2 * _LEAST_ROWS:
        return
    every = -(-rows.size // _CELLS)
    rows, target = rows[::every], np.clip(scores, low, high)[::every]  # a few wild scores do not grow the tree
    coded = [_code(rows[:, j], target, column) for j, column in enumerate(columns)]
    least = max(_LEAST_ROWS, math.ceil(least_share * len(rows)))
    grove = _Grove(rows, np.stack([c.values for c in coded], 1), target, columns, coded, least)
    root = _best_root(grove.thinned(_AHEAD), depth) if depth > 1 else None
    if root is None:
        yield from _walk(grove.tree(depth=depth), 0, Box({}), grove, rows)
        return
    j, halves = root
    for half in halves:
        inside = half.holds(rows[:, j])
        yield from _walk(grove.tree(inside, depth=depth - 1), 0, Box({j: half}), grove, rows[inside])


def _best_root(grove: _Grove, depth: int) -> tuple[int, tuple[Side, Side]] | None:
    """The first split after which two trees explain most; None where greedy splitting does nearly as well."""
    rows, target = grove.rows, grove.target
    best, root = _GAIN * _explained(grove.tree(depth=depth)), None
    for j, halves in _roots(grove):
        left = halves[0].holds(rows[:, j])
        if not grove.least <= left.sum() <= len(rows) - grove.least:
            continue
        between = left.sum() * (~left).sum() / len(rows) * (target[left].mean() - target[~left].mean()) ** 2
        explained = between + sum(_explained(grove.tree(part, depth=depth - 1)) for part in (left, ~left))
        if explained > best:
            best, root = explained, (j, halves)
    return root


def _roots(grove: _Grove) -> Iterator[tuple[int, tuple[Side, Side]]]:
    """Candidate first splits: each level of a category against the others, the quartiles of a number."""
    importance = grove.tree(depth=_SCOUT).compute_feature_importances()
    for j in np.argsort(-importance, kind="stable")[:_ROOTS]:
        column, values = grove.columns[j], grove.rows[:, j]
        if column.kind == "category":
            every = frozenset(range(len(column.levels)))
            counts = np.bincount(values.astype(np.int64), minlength=len(every))
            for level in np.argsort(-counts, kind="stable")[:_ROOTS]:
                yield int(j), (Side(levels=frozenset({int(level)})), Side(levels=every - {int(level)}))
        elif not np.isnan(values).all():
            given = values[~np.isnan(values)]
            for cut in np.unique(np.quantile(given, [0.25, 0.5, 0.75])):
                at = column.rounded(float(cut), given)
                yield int(j), (Side(high=at), Side(low=at, missing=False))


def _explained(tree: Any) -> float:
    """The sum of squares that a tree explains."""
    leaves = tree.children_left < 0
    weighted = tree.impurity * tree.weighted_n_node_samples
    return float(weighted[0] - weighted[leaves].sum())


def _code(raw: Array, target: Array, column: Column) -> _Coded:
    if column.kind == "category":
        codes = raw.astype(np.int64)
        counts = np.bincount(codes, minlength=len(column.levels)).astype(float)
        sums = np.bincount(codes, weights=target - target.mean(), minlength=len(column.levels))
        order = np.where(counts >= _LEAST_ROWS, sums / (counts + _SHRINK), 0.0)
        order = order / (float(np.abs(order).max()) or 1.0)
        return _Coded(order[codes], order=order)
    given = raw[~np.isnan(raw)]
    if not len(given):
        return _Coded(np.zeros(len(raw)))
    centre = float(np.median(given))
    scale = float(np.abs(given - centre).max()) or 1.0  # scikit-learn takes float32: keep what it can resolve
    return _Coded((raw - centre) / scale, centre, scale)


def _walk(tree: Any, node: int, box: Box, grove: _Grove, rows: Array) -> Iterator[Box]:
    """The boxes of the leaves below `node`, which is `box`; `rows` are those in it."""
    j = int(tree.feature[node])
    if j < 0:
        yield box
        return
    cut, side = float(tree.threshold[node]), box.sides.get(j, Side())
    order, column = grove.coded[j].order, grove.columns[j]
    if order is not None:
        within = side.levels if side.levels is not None else frozenset(range(len(column.levels)))
        lower = frozenset(int(i) for i in np.flatnonzero(order.astype(np.float32) <= cut))
        halves = (Side(levels=within & lower), Side(levels=within - lower))
    else:
        missing_left = bool(tree.missing_go_to_left[node])
        raw = cut * grove.coded[j].scale + grove.coded[j].centre
        values = rows[:, j]
        at = column.rounded(raw, values[~np.isnan(values)]) if math.isfinite(raw) else raw
        halves = (
            Side(side.low, min(side.high, at), side.missing and missing_left),
            Side(max(side.low, at), side.high, side.missing and not missing_left),
        )
    for child, half in zip((tree.children_left[node], tree.children_right[node]), halves, strict=True):
        yield from _walk(tree, int(child), Box({**box.sides, j: half}), grove, rows[half.holds(rows[:, j])])
