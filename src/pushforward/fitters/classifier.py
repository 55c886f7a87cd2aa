"""The classifier fitter: tell data from model samples, and read the logit as a witness.

Trained on n rows of P (label 1) and m rows of Q (label 0), a probabilistic classifier has at its optimum the logit
ln p/q + ln n/m. The prior ln n/m is removed here, once, so that what leaves this module is a log ratio.

`cross_fitted_scores` gives every row a score from a model that never saw it, and `auc` says how well the scores
separate the two sets: 0.5 where they cannot be told apart. Scores of different folds depend on each other through the
shared training rows, so the cross-fitted AUC is a description with an approximate interval; the p-value of a classifier
test comes from one train/test split (`pushforward.twosample`), whose permutation null is exact.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, final

import numpy as np
import numpy.typing as npt
import torch
from jaxtyping import Float
from torch import Generator, Tensor

from pushforward.errors import InputError
from pushforward.fitters.scorers import Array, Linear, Scorer, fit_scorer, recode
from pushforward.links import LINKS
from pushforward.witness import Estimate, Link, Score, Witness


def cross_fitted_scores(
    x: npt.ArrayLike,
    y: npt.ArrayLike,
    *,
    folds: int = 5,
    seed: int = 0,
    model: Any = "boosting",
    categorical: Sequence[int] | None = None,
) -> tuple[Array, Array]:
    """Log-ratio scores of all rows of `x` `(n, d)` and `y` `(m, d)`, each by a model that did not see the row.

    `model` is "boosting" (scikit-learn's HistGradientBoostingClassifier with its defaults; NaN means missing),
    "logistic", "forest", "mlp", or any scikit-learn classifier with `predict_proba`. `categorical` lists the columns
    that hold codes. Folds are stratified and drawn from `seed`; rare rows that are equal share one, since a model that
    saw such a row in the other set has learned the wrong answer. Returns `(n,)` and `(m,)`; higher is more like `x`.
    """
    data, fake = _matrix(x, "x"), _matrix(y, "y")
    _same_width(data, fake)
    if folds < 2 or min(len(data), len(fake)) < folds:
        raise InputError(
            f"{folds} folds need at least 2 folds and as many rows on each side, not {len(data)}, {len(fake)}"
        )
    rng = np.random.default_rng(seed)
    data, fake, codes = recode(data, fake, categorical or ())
    fold_x, fold_y = _fold_of(len(data), folds, rng), _fold_of(len(fake), folds, rng)
    fold_x, fold_y = np.split(
        _together(np.concatenate([data, fake]), np.concatenate([fold_x, fold_y]), folds), [len(data)]
    )
    scores_x, scores_y = np.empty(len(data)), np.empty(len(fake))
    for k in range(folds):
        scorer = fit_scorer(data[fold_x != k], fake[fold_y != k], model=model, seed=seed + k, categorical=codes)
        scores_x[fold_x == k] = scorer(data[fold_x == k])
        scores_y[fold_y == k] = scorer(fake[fold_y == k])
    return scores_x, scores_y


def _together(rows: Array, fold: npt.NDArray[np.int64], most: int) -> npt.NDArray[np.int64]:
    """`fold` `(n,)` with equal `rows` `(n, d)` in one, where at most `most` are equal: more is a value of few."""
    plain = np.ascontiguousarray(np.where(np.isnan(rows), np.nan, rows) + 0.0)
    keys = plain.view(np.dtype((np.void, plain.dtype.itemsize * plain.shape[1]))).ravel()
    _, first, group, count = np.unique(keys, return_index=True, return_inverse=True, return_counts=True)
    group = group.ravel()
    return np.where(count[group] <= most, fold[first[group]], fold)


def auc(scores_x: npt.ArrayLike, scores_y: npt.ArrayLike, *, level: float = 0.95) -> Estimate:
    """P(score of data > score of model) + half the ties, with DeLong's standard error (DeLong et al. 1988).

    The interval is DeLong's on the logit scale, so that it stays within [0, 1]; at a perfect 0 or 1, where the variance
    estimate vanishes, it is the exact binomial one for min(n, m) perfect trials. `scores_x` `(n,)`, `scores_y` `(m,)`.
    """
    a, b = np.asarray(scores_x, dtype=np.float64).ravel(), np.asarray(scores_y, dtype=np.float64).ravel()
    n, m = len(a), len(b)
    if min(n, m) < 2:
        raise InputError(f"an AUC needs at least two scores on each side, not {n} and {m}")
    if not (np.isfinite(a).all() and np.isfinite(b).all()):
        raise InputError("an AUC needs finite scores")
    beats = _placements(a, b)  # for each of x: share of y it beats
    beaten = 1.0 - _placements(b, a)  # for each of y: share of x that beats it
    value = float(beats.mean())
    stderr = math.sqrt(float(beats.var(ddof=1)) / n + float(beaten.var(ddof=1)) / m)
    low, high = _auc_interval(value, stderr, min(n, m), level)
    return Estimate(value, stderr, low, high, level)


def _placements(a: Array, b: Array) -> Array:
    """For each a: the share of b below it, ties counting half."""
    order = np.sort(b)
    below, upto = np.searchsorted(order, a, side="left"), np.searchsorted(order, a, side="right")
    share: Array = (below + upto) / (2.0 * len(b))
    return share


def _auc_interval(value: float, stderr: float, trials: int, level: float) -> tuple[float, float]:
    edge = float(((1.0 - level) / 2.0) ** (1.0 / trials))  # Clopper and Pearson for `trials` successes out of as many
    if value >= 1.0 or value <= 0.0:
        return (edge, 1.0) if value >= 1.0 else (0.0, 1.0 - edge)
    if stderr == 0.0:  # every score alike: nothing was learned, and nothing is known about the spread
        return value, value
    z = Estimate.normal(0.0, 1.0, level).high
    centre, half = math.log(value / (1.0 - value)), z * stderr / (value * (1.0 - value))
    return _sigmoid(centre - half), _sigmoid(centre + half)


def _sigmoid(t: float) -> float:
    return 1.0 / (1.0 + math.exp(-t)) if t >= 0 else math.exp(t) / (1.0 + math.exp(t))


@final
@dataclass(frozen=True)
class ClassifierFitter:
    """Samples -> witness by a probabilistic classifier: v = logit - ln(n/m), read through a `link`.

    `model` and `categorical` as in `cross_fitted_scores`. The witness of "logistic" is linear and has a gradient; those
    of scikit-learn's estimators have none. All rows given are used for training.
    """

    model: Any = "boosting"
    link: Link = LINKS["js"]
    categorical: tuple[int, ...] = ()

    def __call__(self, x: Float[Tensor, "n *d"], y: Float[Tensor, "m *d"], *, generator: Generator) -> Witness:
        """The witness of data `x` and model samples `y`; the classifier's seed is drawn from `generator`."""
        seed = int(torch.randint(2**31 - 1, (), generator=generator, device=generator.device))
        data, fake = _matrix(x.flatten(1).cpu().numpy(), "x"), _matrix(y.flatten(1).cpu().numpy(), "y")
        _same_width(data, fake)
        scorer = fit_scorer(data, fake, model=self.model, seed=seed, categorical=self.categorical)
        return self.link(_tensor_score(scorer), differentiable=isinstance(scorer, Linear))


def _tensor_score(scorer: Scorer) -> Score:
    """A scorer of float64 arrays as a function of tensors, in their dtype and on their device."""
    if isinstance(scorer, Linear):
        weights, bias = torch.from_numpy(scorer.weights), scorer.bias
        return lambda x: x.flatten(1) @ weights.to(x) + bias
    return lambda x: torch.from_numpy(scorer(x.detach().flatten(1).double().cpu().numpy())).to(x)


def _matrix(values: npt.ArrayLike, name: str) -> Array:
    a = np.asarray(values, dtype=np.float64)
    if a.ndim != 2:
        raise InputError(f"{name} must be a matrix of rows and columns, not of shape {a.shape}")
    if np.isinf(a).any():
        raise InputError(f"{name} has an infinite value in row {int(np.argwhere(np.isinf(a))[0, 0])}; drop or clip it")
    return a


def _same_width(x: Array, y: Array) -> None:
    if x.shape[1] != y.shape[1]:
        raise InputError(f"x has {x.shape[1]} columns but y has {y.shape[1]}; give both the same columns")


def _fold_of(rows: int, folds: int, rng: np.random.Generator) -> npt.NDArray[np.int64]:
    """A random fold for each row, of sizes that differ by one at most."""
    return rng.permutation(np.arange(rows) % folds)
