"""Is FAKE worth training on? Train on synthetic rows, test on real ones (TSTR), beside train on real, test on real.

For one target column the other columns predict it: boosted trees (scikit-learn's HistGradientBoosting) or, as a second
opinion, a linear model (ridge, logistic). Three fits meet on the same real test rows, which no model has seen:

    TRTR  trained on real rows,      TSTR  on as many fake rows,      gap = TRTR - TSTR  (0: fakes serve as well),

and TRTS judges the model of the real rows on fake rows: high where fakes keep the relations the real rows have, even
where they cover little of them. Skills are scaled so that a constant predictor has 0 (`scores`). Intervals take the
test rows as the randomness, given the fitted models; what another training sample would change is shown by the gap
between two real training sets, not by the interval.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from ...errors import InputError
from ...witness import Estimate
from .scores import Scored, of_influence, score_levels, score_numbers

Array = NDArray[np.float64]

MODELS = ("boosting", "linear")
LEAST_ROWS = 30
MOST_LEVELS = 20  # a category of more is not predicted
TREE_LEVELS = 250
LINEAR_LEVELS = 30
ROUNDS = 100


@final
@dataclass(frozen=True)
class Utility:
    """One target. `score` names the skills: "R2" or "2 AUC - 1"; `tstr_second` and `trtr_second` are RMSE or accuracy.

    `gap` is TRTR less TSTR on the same rows, its interval that of the paired difference. `parts`: TRTR and TSTR on the
    real test rows and TRTS on the fake ones, with what each row adds, for means over targets.
    """

    target: str
    score: str
    model: str
    trtr: Estimate
    tstr: Estimate
    gap: Estimate
    trts: Estimate
    trtr_second: Estimate
    tstr_second: Estimate
    n_train: int
    n_test: int
    parts: tuple[Scored, Scored, Scored]


def utility(
    *,
    real_train: Array,
    fake: Array,
    real_test: Array,
    target: int,
    kinds: Sequence[str],
    names: Sequence[str] | None = None,
    model: str = "boosting",
    seed: int = 0,
    level: float = 0.95,
) -> Utility:
    """TSTR, TRTR and TRTS for column `target` of rows coded as a `Frame`'s: `(n, p)`, NaN missing, categories as codes.

    Of `fake` the first half trains and the second half is TRTS's test; `real_train` and the training fakes are cut to
    the same number of rows, so that neither learns from more. Rows come in random order: they are taken from the front.
    Raises `InputError` where the target cannot be predicted: one value only, too many levels, too few rows.
    """
    name = names[target] if names is not None else f"column {target}"
    if model not in MODELS:
        raise InputError(f"model {model!r}: known: {', '.join(MODELS)}")
    half = len(fake) // 2
    trained, tested = fake[:half], fake[half:]
    size = min(len(real_train), len(trained))
    sets = [_with_target(rows, target) for rows in (real_train[:size], trained[:size], real_test, tested)]
    for rows, what in zip(sets, ("real training", "fake training", "real test", "fake test"), strict=True):
        if len(rows) < LEAST_ROWS:
            raise InputError(f"{name}: {len(rows)} {what} rows have a value; give at least {LEAST_ROWS}")
    why = cannot_predict(sets[0][:, target], kinds[target])
    if why:
        raise InputError(f"{name} {why}; choose another target")
    on_real = fit(sets[0], target=target, kinds=kinds, model=model, seed=seed)
    on_fake = fit(sets[1], target=target, kinds=kinds, model=model, seed=seed)
    trtr, tstr = on_real.score(real_test, level), on_fake.score(real_test, level)
    trts = on_real.score(tested, level)
    return Utility(
        name,
        "2 AUC - 1" if kinds[target] == "category" else "R2",
        model,
        trtr.estimate(level),
        tstr.estimate(level),
        of_influence(trtr.skill - tstr.skill, trtr.influence - tstr.influence, level),
        trts.estimate(level),
        trtr.second,
        tstr.second,
        min(len(sets[0]), len(sets[1])),
        len(sets[2]),
        (trtr, tstr, trts),
    )


def cannot_predict(values: Array, kind: str) -> str:
    """Why a target with these training values makes no task; "" where it does."""
    seen, count = np.unique(values[np.isfinite(values)], return_counts=True)
    if len(seen) < 2:
        return "never varies"
    if kind == "category" and len(seen) > MOST_LEVELS:
        return f"has {len(seen)} levels, more than the {MOST_LEVELS} that are predicted"
    if kind == "category" and np.sort(count)[-2] < 5:
        return "has one level but for a few rows"
    return ""


def default_targets(real: Array, kinds: Sequence[str], most: int = 10) -> list[int]:
    """The columns that can be predicted; of more than `most`, evenly spread ones."""
    fine = [j for j, kind in enumerate(kinds) if not cannot_predict(real[:, j], kind)]
    if len(fine) <= most:
        return fine
    return [fine[k] for k in np.linspace(0, len(fine) - 1, most).round().astype(int)]


@final
@dataclass(frozen=True)
class Fitted:
    """A model of column `target`, trained: `score` judges it on rows with all columns."""

    estimator: Any
    target: int
    category: bool
    design: Any

    def score(self, rows: Array, level: float = 0.95) -> Scored:
        """Its skill on `rows` `(n, p)`; rows without a target add nothing."""
        truth = rows[:, self.target]
        if not self.category:
            return score_numbers(truth, self._predict(rows), level=level)
        classes = getattr(self.estimator, "classes_", None)
        if classes is None:  # the training rows had one level only
            levels = np.array([self.estimator])
            return score_levels(truth, np.ones((len(rows), 1)), levels, level=level)
        return score_levels(truth, self.estimator.predict_proba(self.design(rows)), classes, level=level)

    def _predict(self, rows: Array) -> Array:
        if isinstance(self.estimator, float):
            return np.full(len(rows), self.estimator)
        predicted: Array = self.estimator.predict(self.design(rows))
        return predicted


def fit(rows: Array, *, target: int, kinds: Sequence[str], model: str = "boosting", seed: int = 0) -> Fitted:
    """The model of column `target` by the others, from rows `(n, p)` whose target is there."""
    others = [j for j in range(rows.shape[1]) if j != target and np.unique(rows[:, j]).size > 1]
    y = rows[:, target]
    category = kinds[target] == "category"
    if not others or np.ptp(y) == 0:  # nothing to learn from, or nothing to learn: the best constant
        return Fitted(
            float(np.bincount(y.astype(int)).argmax()) if category else float(y.mean()), target, category, None
        )
    codes = [k for k, j in enumerate(others) if kinds[j] == "category"]
    if model == "linear":
        estimator, design = _linear(category, codes, others)
    else:
        estimator, design = _boosting(len(np.unique(y)) if category else 1, codes, others, seed)
    estimator.fit(design(rows), y)
    return Fitted(estimator, target, category, design)


def _boosting(levels: int, codes: list[int], others: list[int], seed: int) -> tuple[Any, Any]:
    from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

    made = HistGradientBoostingClassifier if levels > 1 else HistGradientBoostingRegressor
    rounds = int(np.clip(3 * ROUNDS // levels, 30, ROUNDS))  # each round grows a tree for every level
    rate = 0.1 if rounds == ROUNDS else 0.15
    estimator = made(
        learning_rate=rate, max_iter=rounds, categorical_features=codes or None, random_state=seed, early_stopping=False
    )

    def design(rows: Array) -> Array:
        x = rows[:, others].copy()
        x[:, codes] = np.minimum(x[:, codes], TREE_LEVELS)
        return x

    return estimator, design


def _linear(category: bool, codes: list[int], others: list[int]) -> tuple[Any, Any]:
    from sklearn.compose import ColumnTransformer
    from sklearn.impute import SimpleImputer
    from sklearn.linear_model import LogisticRegression, Ridge
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    numbers = [k for k in range(len(others)) if k not in codes]
    levels = OneHotEncoder(handle_unknown="ignore", max_categories=LINEAR_LEVELS)
    plain = make_pipeline(SimpleImputer(add_indicator=True, keep_empty_features=True), StandardScaler())
    columns = ColumnTransformer([("numbers", plain, numbers), ("levels", levels, codes)])
    last = LogisticRegression(max_iter=200) if category else Ridge()
    return make_pipeline(columns, last), lambda rows: rows[:, others]


def _with_target(rows: Array, target: int) -> Array:
    return rows[np.isfinite(rows[:, target])]
