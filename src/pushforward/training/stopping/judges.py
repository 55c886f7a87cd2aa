"""The judges of an audit: three ways to tell data from samples, none of which resembles a neural critic.

- `trees`: boosted trees (missing values, steps, conditions on several columns);
- `quadratic`: logistic regression on the columns, their squares and products (small shifts of means, widths and
  correlations, which trees need many rows for);
- `neighbours`: log distances to the nearest samples less those to the nearest data rows, of three ranks, weighed by
  logistic regression (separate modes, narrow sheets, and copies of few points, at distance 0 of one another).

Each is trained on rows that no figure is then computed on, and is a function `(n, k) -> (n,)`, high for data.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pushforward.fitters.scorers import fit_logistic, fit_scorer

Array = NDArray[np.float64]
Judge = Callable[[Array], Array]

NAMES = ("trees", "quadratic", "neighbours")
IN_WORDS = {"trees": "boosted trees", "quadratic": "a quadratic logistic model", "neighbours": "nearest neighbours"}
_NEIGHBOURS = (1, 5, 30)
_FLOOR = 1e-4  # of distances, in standard deviations: equal rows are this far apart
_WIDEST = 48  # columns that distances are measured in; more are turned into principal axes
_CROSSED = 16  # axes whose products the quadratic judge sees
_CLIP = 8.0  # standard deviations


@dataclass(frozen=True, eq=False)
class Axes:
    """Rows with gaps in them as complete rows of standardised columns, at most `_WIDEST` and one more.

    Missing values become the mean and a column of flags. Beyond `_WIDEST` columns: principal axes, and the log length
    of what they leave out.
    """

    centre: Array
    scale: Array
    flagged: NDArray[np.int64]
    axes: Array | None

    @classmethod
    def fit(cls, rows: Array) -> Axes:
        """From training rows, data and samples together: whose they are is not looked at."""
        there = np.isfinite(rows)
        (flagged,) = np.nonzero(~there.all(0))
        centre, scale = np.zeros(rows.shape[1]), np.ones(rows.shape[1])
        for j in range(rows.shape[1]):
            seen = rows[there[:, j], j]
            if len(seen):
                largest = np.abs(seen).max() or 1.0  # squares of huge values would overflow
                core = np.clip(seen / largest, *np.quantile(seen / largest, [0.005, 0.995]))
                centre[j] = core.mean() * largest
                scale[j] = (core.std() or (seen / largest).std()) * largest or 1.0
        plain = cls(centre, scale, flagged, None)
        complete = plain(rows)
        if complete.shape[1] <= _WIDEST:
            return plain
        _, axes = np.linalg.eigh(complete.T @ complete)  # centred but for the flags
        return cls(centre, scale, flagged, axes[:, : -_WIDEST - 1 : -1])

    def __call__(self, rows: Array) -> Array:
        standard = np.clip((rows - self.centre) / self.scale, -_CLIP, _CLIP)
        complete = np.concatenate([np.nan_to_num(standard), np.isnan(rows[:, self.flagged]).astype(float)], axis=1)
        if self.axes is None:
            return complete
        seen = complete @ self.axes
        left_out = np.linalg.norm(complete - seen @ self.axes.T, axis=1)
        return np.column_stack([seen, np.log(left_out + _FLOOR)])


def fit_judges(x: Array, y: Array, *, seed: int, names: tuple[str, ...] = NAMES) -> Mapping[str, Judge]:
    """The judges called `names`, trained on data `x` `(n, k)` and samples `y` `(m, k)`; NaN is missing."""
    view = Axes.fit(np.concatenate([x, y]))
    a, b = view(x), view(y)
    narrow = x.shape[1] <= _WIDEST
    makers: dict[str, Callable[[], Judge]] = {
        "trees": lambda: _trees(x, y, seed) if narrow else _seen_by(view, _trees(a, b, seed)),
        "quadratic": lambda: _seen_by(view, _quadratic(a, b)),
        "neighbours": lambda: _seen_by(view, _neighbours(a, b)),
    }
    return {name: makers[name]() for name in names}


def _seen_by(view: Axes, judge: Judge) -> Judge:
    return lambda rows: judge(view(rows))


def _trees(x: Array, y: Array, seed: int) -> Judge:
    from sklearn.ensemble import HistGradientBoostingClassifier

    model = HistGradientBoostingClassifier(
        max_iter=50,
        max_leaf_nodes=15,
        min_samples_leaf=30,
        early_stopping=False,
        l2_regularization=1.0,
        random_state=seed,
    )
    return fit_scorer(x, y, model=model, seed=seed)


def _quadratic(x: Array, y: Array) -> Judge:
    i, j = np.triu_indices(min(x.shape[1], _CROSSED))

    def products(rows: Array) -> Array:
        return np.column_stack([rows, rows[:, i] * rows[:, j], rows[:, _CROSSED:] ** 2])

    linear = fit_logistic(products(x), products(y))
    return lambda rows: linear(products(rows))


def _neighbours(x: Array, y: Array) -> Judge:
    """Logistic regression on the log distances to the nearest, the 5 and the 30 nearest samples less those to data."""
    from sklearn.neighbors import NearestNeighbors

    method = "kd_tree" if x.shape[1] <= 6 else "brute"
    real, fake = (
        NearestNeighbors(n_neighbors=min(_NEIGHBOURS[-1], len(rows) - 1), algorithm=method).fit(rows) for rows in (x, y)
    )

    def logs(search: Any, rows: Array | None) -> Array:
        """`(n, 3)`; None: of the search's own rows, none its own neighbour."""
        distances = np.log(search.kneighbors(rows)[0] + _FLOOR)
        return np.stack([distances[:, :k].mean(1) for k in _NEIGHBOURS], axis=1)

    linear = fit_logistic(logs(fake, x) - logs(real, None), logs(fake, None) - logs(real, y))
    return lambda rows: linear(logs(fake, rows) - logs(real, rows))
