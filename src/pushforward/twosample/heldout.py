"""Tests by a fitted witness: fit it on one half, look on the other.

One random split. On the half that the witness never saw, its scores are a fixed function of the rows, so relabelling
those rows gives an exact p-value however the witness was found. (Scores from cross-fitting are not exchangeable: each
model has seen the other folds' labels. They serve for the descriptive AUC, not for this.)
"""

import time
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Generator, Tensor

from pushforward.errors import InputError
from pushforward.fitters.classifier import ClassifierFitter, auc, cross_fitted_scores
from pushforward.fitters.critic import CriticFitter
from pushforward.links import LINKS, WASSERSTEIN
from pushforward.readings.significance import Significance, permutation_test
from pushforward.twosample.method import Method
from pushforward.twosample.result import TestResult
from pushforward.witness import Estimate, Fitter, Witness

_FEWEST_TRAINED = 4  # rows a side


def classifier_test(
    x: Float[Tensor, "n d"],
    y: Float[Tensor, "m d"],
    *,
    permutations: int,
    generator: Generator,
    model: Any = "boosting",
    statistic: str = "logit",
    null: str = "permutation",
    train: float = 0.5,
    categorical: Sequence[int] = (),
) -> TestResult:
    """Classifier two-sample test: train on a share `train` of each side, test on the rest.

    `statistic` "logit": mean held-out logit of data less that of the model (Cheng and Cloninger 2022; a symmetrised KL
    estimate), the more powerful one. "accuracy": the mean of the two sides' shares of rightly classified rows, at the
    logit ln p/q = 0 (Lopez-Paz and Oquab 2017). `null` "binomial" gives the accuracy its exact binomial tail instead of
    permutations; it takes equally many held-out rows of each side, where it is valid because a sum of independent
    indicators with mean 1/2 is no more spread than the binomial (Hoeffding 1956). "auc": the held-out AUC itself, which
    asks for the order of the scores alone. The effect is the held-out AUC.
    `model` and `categorical` as in `pushforward.fitters.cross_fitted_scores`.
    """
    if statistic not in _HELD or null not in ("permutation", "binomial"):
        raise InputError('the statistic is "logit", "accuracy" or "auc" and the null "permutation" or "binomial"')
    if null == "binomial" and statistic != "accuracy":
        raise InputError('the binomial null is for statistic="accuracy"; the logit needs null="permutation"')
    started = time.perf_counter()
    (fit_x, test_x), (fit_y, test_y) = split(x, train, generator), split(y, train, generator)
    fitter = ClassifierFitter(model, WASSERSTEIN, tuple(categorical))  # phi = psi = the logit itself
    logit = fitter(fit_x, fit_y, generator=generator)
    scores_x, scores_y = logit.phi(test_x), logit.psi(test_y)
    if null == "binomial":
        value, pvalue = _binomial(scores_x, scores_y)
        found = Significance(value, pvalue, torch.empty(0, dtype=torch.float64))
        permutations = 0
    else:
        ranked = ranks(scores_x, scores_y) if statistic == "auc" else (scores_x, scores_y)
        found = permutation_test(_HELD[statistic], *ranked, permutations=permutations, generator=generator)
    return _result(
        "c2st" if statistic == "logit" else "c2st-accuracy",
        found,
        auc(_array(scores_x), _array(scores_y)),
        LINKS["js"](logit.phi, differentiable="differentiable" in logit.tags),
        (len(x), len(y), permutations),
        started,
    )


def witness_test(
    x: Float[Tensor, "n d"],
    y: Float[Tensor, "m d"],
    *,
    permutations: int,
    generator: Generator,
    fitter: Fitter | None = None,
    train: float = 0.5,
) -> TestResult:
    """Test by the held-out gap of any fitter's witness; the default is a neural critic for JS.

    The statistic is the gap. The effect is the held-out AUC of psi, which is the critic's score up to a monotone map.
    """
    started = time.perf_counter()
    (fit_x, test_x), (fit_y, test_y) = split(x, train, generator), split(y, train, generator)
    witness = (fitter or CriticFitter())(fit_x, fit_y, generator=generator)
    found = permutation_test(witness, test_x, test_y, permutations=permutations, generator=generator)
    with torch.no_grad():
        effect = auc(_array(witness.psi(test_x)), _array(witness.psi(test_y)))
    return _result("critic", found, effect, witness, (len(x), len(y), permutations), started)


def classifier_auc(
    x: Float[Tensor, "n d"],
    y: Float[Tensor, "m d"],
    *,
    generator: Generator,
    level: float = 0.95,
    model: Any = "boosting",
    folds: int = 5,
    categorical: Sequence[int] = (),
) -> Estimate:
    """The cross-fitted AUC: every row scored by a model that did not see it. A description; not a test."""
    seed = int(torch.randint(2**31 - 1, (), generator=generator, device=generator.device))
    a, b = cross_fitted_scores(_array(x), _array(y), folds=folds, seed=seed, model=model, categorical=categorical)
    return auc(a, b, level=level)


def _positive(scores: Tensor) -> Tensor:
    """1 where the score says data, 0 where it says model, 1/2 where it says neither."""
    return 0.5 + 0.5 * scores.sign()


# Witnesses on scores. The gap of the second is (share of x called data + share of y called model) / 2.
_IDENTITY = Witness(phi=lambda s: s, psi=lambda s: s)
_ACCURACY = Witness(phi=lambda s: 0.5 + 0.5 * _positive(s), psi=lambda s: 0.5 * _positive(s))
_AUC = Witness(phi=lambda s: 0.5 + s, psi=lambda s: s)  # of ranks divided by their number
_HELD = {"logit": _IDENTITY, "accuracy": _ACCURACY, "auc": _AUC}


def ranks(a: Float[Tensor, " n"], b: Float[Tensor, " m"]) -> tuple[Float[Tensor, " n"], Float[Tensor, " m"]]:
    """Pooled ranks divided by n + m, ties sharing their mean: mean of a less mean of b is AUC - 1/2."""
    pooled = torch.cat([a, b]).double().contiguous()
    order = pooled.sort().values
    below, upto = (torch.searchsorted(order, pooled, right=right) for right in (False, True))
    share = (below + upto) / (2.0 * len(pooled))
    return share[: len(a)], share[len(a) :]


def _binomial(scores_x: Tensor, scores_y: Tensor) -> tuple[float, float]:
    """The accuracy on equally many rows of each side, and its upper tail under Binomial(rows, 1/2)."""
    from scipy.stats import binom

    each = min(len(scores_x), len(scores_y))
    a, b = scores_x[:each], scores_y[:each]  # in the random order of the split
    right = int((a > 0).sum()) + int((b <= 0).sum())
    return right / (2 * each), float(binom.sf(right - 1, 2 * each, 0.5))


def split(rows: Tensor, train: float, generator: Generator) -> tuple[Tensor, Tensor]:
    """A random share `train` of the rows, and the rest."""
    if not 0.0 < train < 1.0:
        raise InputError(f"the share to train on must lie between 0 and 1, not {train}")
    count = round(train * len(rows))
    if count < _FEWEST_TRAINED or len(rows) - count < 2:
        raise InputError(f"{len(rows)} rows are too few to train on a share {train:g} and test on the rest")
    order = torch.randperm(len(rows), generator=generator, device=generator.device).to(rows.device)
    return rows[order[:count]], rows[order[count:]]


def _array(values: Tensor) -> Any:
    return np.asarray(values.detach().double().cpu().numpy())


def _result(
    method: str, found: Significance, effect: Estimate, witness: Witness, counts: tuple[int, int, int], started: float
) -> TestResult:
    return TestResult(
        method=method,
        statistic=found.statistic,
        pvalue=found.pvalue,
        null=found.null,
        effect=effect,
        n_x=counts[0],
        n_y=counts[1],
        permutations=counts[2],
        witness=witness,
        seconds=time.perf_counter() - started,
    )


def _accuracy_test(
    x: Float[Tensor, "n d"],
    y: Float[Tensor, "m d"],
    *,
    permutations: int,
    generator: Generator,
    model: Any = "boosting",
    null: str = "permutation",
    train: float = 0.5,
    categorical: Sequence[int] = (),
) -> TestResult:
    return classifier_test(
        x,
        y,
        permutations=permutations,
        generator=generator,
        model=model,
        statistic="accuracy",
        null=null,
        train=train,
        categorical=categorical,
    )


METHODS = {
    "c2st": Method(
        family="classifiers",
        reads="held-out logit of a classifier: whatever boosted trees, or another model, can learn",
        convention="mean held-out logit of x less that of y",
        cost="one training on half the rows",
        effect="held-out AUC",
        test=classifier_test,
        distance=classifier_auc,
        at_least=8,
        missing=True,
    ),
    "c2st-accuracy": Method(
        family="classifiers",
        reads="held-out accuracy of a classifier: coarser than its logit",
        convention="mean of the two sides' held-out shares classified rightly",
        cost="one training on half the rows",
        effect="held-out AUC",
        test=_accuracy_test,
        distance=classifier_auc,
        at_least=8,
        missing=True,
    ),
    "critic": Method(
        family="critics",
        reads="held-out gap of a neural critic, or of any fitter's witness",
        convention="held-out gap, in the units of the fitter's divergence (default: JS, unhalved)",
        cost="one training on half the rows",
        effect="held-out AUC",
        test=witness_test,
        at_least=16,
    ),
}
