"""Probabilistic classifiers as scorers: from two matrices to a function that estimates log p/q of a row.

The logistic model is our own few lines of Newton's method: it needs no import, takes a millisecond, and its weights can
be read as a witness that tensors differentiate through. The rest is scikit-learn.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias, final

import numpy as np
import numpy.typing as npt

from pushforward.errors import InputError

Array: TypeAlias = npt.NDArray[np.float64]
Scorer: TypeAlias = Callable[[Array], Array]
"""`(k, d) -> (k,)`: estimated log p/q, class sizes removed."""

MODELS = ("logistic", "boosting", "forest", "mlp")
_MOST_LEVELS = 255  # what scikit-learn's histogram boosting can take as categories
_LEAST_PROBABILITY = 1e-6  # a forest may answer exactly 0 or 1; its logit is capped at +-13.8
_WIDEST_NEWTON = 512  # columns beyond which a d x d Hessian is no longer cheap


def fit_scorer(x: Array, y: Array, *, model: Any = "boosting", seed: int, categorical: Sequence[int] = ()) -> Scorer:
    """Train `model` on `x` (label 1) and `y` (label 0); the scorer returns logits less the prior ln(n/m).

    `model` is one of `MODELS` or a scikit-learn classifier with `predict_proba` (a clone of it is fitted; where its
    `random_state` is None it becomes `seed`). Unknown names raise `InputError`.
    """
    plain = not categorical and x.shape[1] <= _WIDEST_NEWTON and not (np.isnan(x).any() or np.isnan(y).any())
    if isinstance(model, str) and model == "logistic" and plain:
        return fit_logistic(x, y)
    rows = np.concatenate([x, y])
    (kept,) = np.nonzero(~np.isnan(rows).all(0))  # scikit-learn's trees refuse a column that is missing throughout
    if not len(kept):
        raise InputError("every value is missing, so there is nothing to tell the two sets apart by")
    codes = [int(i) for i, j in enumerate(kept) if j in set(categorical)]
    estimator = _estimator(model, seed=seed, categorical=codes, width=len(kept))
    estimator.fit(rows[:, kept], np.concatenate([np.ones(len(x)), np.zeros(len(y))]))
    prior = math.log(len(x) / len(y))
    return lambda new: _logit(estimator, new[:, kept]) - prior


@final
@dataclass(frozen=True, eq=False)
class Linear:
    """rows @ weights + bias."""

    weights: Array
    bias: float

    def __call__(self, rows: Array) -> Array:
        scores: Array = rows @ self.weights + self.bias
        return scores


def fit_logistic(x: Array, y: Array, *, ridge: float = 1.0, iterations: int = 50) -> Linear:
    """Ridge logistic regression on standardised columns by damped Newton steps.

    Minimises sum_i sp(-s_i v_i) + ridge/2 |w|^2 over w and a free intercept, s_i = +1 for `x` `(n, d)`, -1 for `y`
    `(m, d)`; `ridge` = 1 is scikit-learn's C = 1. The intercept leaves without ln(n/m).
    """
    rows = np.concatenate([x, y])
    centre, scale = rows.mean(0), rows.std(0)
    scale = np.where(scale > 0.0, scale, 1.0)
    design = np.column_stack([(rows - centre) / scale, np.ones(len(rows))])
    label = np.concatenate([np.ones(len(x)), np.zeros(len(y))])
    penalty = np.full(design.shape[1], ridge)
    penalty[-1] = 0.0
    beta = np.zeros(design.shape[1])
    beta[-1] = math.log(len(x) / len(y))

    def loss(b: Array) -> float:
        v = design @ b
        return float(np.logaddexp(0.0, v).sum() - v @ label + 0.5 * (penalty * b) @ b)

    current = loss(beta)
    for _ in range(iterations):
        p = 0.5 * (1.0 + np.tanh(0.5 * (design @ beta)))
        gradient = design.T @ (p - label) + penalty * beta
        hessian = (design * (p * (1.0 - p))[:, None]).T @ design + np.diag(penalty)
        hessian[-1, -1] += 1e-9  # perfectly separated classes flatten the intercept
        step = np.linalg.solve(hessian, gradient)
        size = 1.0
        while (new := loss(beta - size * step)) > current and size > 1e-6:
            size /= 2.0
        if new > current:
            break
        beta, gain, current = beta - size * step, current - new, new
        if gain < 1e-9 * (1.0 + abs(current)):
            break
    weights = beta[:-1] / scale
    return Linear(weights, float(beta[-1] - weights @ centre - math.log(len(x) / len(y))))


def recode(x: Array, y: Array, categorical: Sequence[int]) -> tuple[Array, Array, list[int]]:
    """The `categorical` columns of both as codes 0, 1, ... by falling frequency; rare levels past 254 share the last.

    Which set a row comes from is not looked at, so a test on the result stays exact. Missing stays missing.
    """
    if not categorical:
        return x, y, []
    both = np.concatenate([x, y])
    for j in categorical:
        if not 0 <= j < both.shape[1]:
            raise InputError(f"categorical column {j} does not exist; there are {both.shape[1]} columns")
        known = ~np.isnan(both[:, j])
        _, inverse, counts = np.unique(both[known, j], return_inverse=True, return_counts=True)
        rank = np.empty(len(counts))
        rank[np.argsort(-counts, kind="stable")] = np.arange(len(counts))
        both[known, j] = np.minimum(rank[inverse], _MOST_LEVELS - 1)
    return both[: len(x)], both[len(x) :], list(categorical)


def _logit(estimator: Any, rows: Array) -> Array:
    p = np.asarray(estimator.predict_proba(rows), dtype=np.float64)[:, 1]
    p = np.clip(p, _LEAST_PROBABILITY, 1.0 - _LEAST_PROBABILITY)
    logit: Array = np.log(p) - np.log1p(-p)
    return logit


def _estimator(model: Any, *, seed: int, categorical: list[int], width: int) -> Any:
    """An unfitted scikit-learn classifier for 0/1 labels."""
    if not isinstance(model, str):
        return _seeded_clone(model, seed)
    if model == "boosting":
        from sklearn.ensemble import HistGradientBoostingClassifier

        return HistGradientBoostingClassifier(random_state=seed, categorical_features=categorical or None)
    if model == "forest":
        from sklearn.ensemble import RandomForestClassifier

        return RandomForestClassifier(300, min_samples_leaf=5, random_state=seed)
    if model == "logistic":
        from sklearn.linear_model import LogisticRegression

        return _prepared(LogisticRegression(max_iter=1000), categorical, width)
    if model == "mlp":
        from sklearn.neural_network import MLPClassifier

        net = MLPClassifier((64, 64), alpha=1e-3, early_stopping=True, max_iter=200, random_state=seed)
        return _prepared(net, categorical, width)
    raise InputError(f"unknown classifier {model!r}; known: {', '.join(MODELS)}, or pass a scikit-learn classifier")


def _seeded_clone(model: Any, seed: int) -> Any:
    from sklearn.base import clone

    if not hasattr(model, "predict_proba"):
        raise InputError(
            f"{type(model).__name__} has no predict_proba; a witness needs a classifier with probabilities"
        )
    copy = clone(model)
    unset = {k: seed for k, v in copy.get_params().items() if k.split("__")[-1] == "random_state" and v is None}
    return copy.set_params(**unset)  # else it would draw from the global state


def _prepared(classifier: Any, categorical: list[int], width: int) -> Any:
    """The classifier behind standardised, mean-imputed numbers with missingness flags, and one-hot categories."""
    from sklearn.compose import ColumnTransformer
    from sklearn.impute import SimpleImputer
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    numeric = [j for j in range(width) if j not in set(categorical)]
    numbers = make_pipeline(SimpleImputer(add_indicator=True), StandardScaler())
    levels = OneHotEncoder(handle_unknown="infrequent_if_exist", max_categories=64, sparse_output=False)
    return make_pipeline(
        ColumnTransformer([("numbers", numbers, numeric), ("levels", levels, categorical)]), classifier
    )
