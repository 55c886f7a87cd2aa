"""Lower bounds of divergences with their intervals: learn a critic on one half, read its gap on the other.

For any function T, D_f(P||Q) >= E_P[T] - E_Q[f*(T)] (Nguyen, Wainwright and Jordan 2010; the f-GAN objective of Nowozin
et al. 2016). On rows that T was not fitted on, the right-hand side is a difference of two means, so `low` of its normal
interval is a lower confidence limit of the divergence itself, at half of 1 - level; `high` limits what this critic
reaches, not the divergence. Means of e^v are heavy-tailed where the divergence is large (KL, Pearson): their normal
interval then needs many rows.

Donsker and Varadhan's KL >= E_P[T] - ln E_Q[e^T] is not linear in Q. With the constant c = ln mean e^T over the fitting
half, ln E_Q[e^T] <= c + E_Q[e^(T-c)] - 1, so phi = 1 + T - c and psi = e^(T-c) are a witness, certified, whose gap is
below Donsker and Varadhan's by about (E_Q[e^(T-c)] - 1)^2/2.

`tv-accuracy`: a classifier that is right with probability a at equal class sizes shows TV >= 2a - 1, with equality for
the best one.
"""

import math
import time
from typing import Any

import torch
from jaxtyping import Float
from torch import Generator, Tensor

from pushforward import links
from pushforward.errors import InputError
from pushforward.fitters.classifier import ClassifierFitter
from pushforward.fitters.critic import CriticFitter
from pushforward.readings.estimate import estimate
from pushforward.readings.significance import permutation_test
from pushforward.twosample.divergences import Divergence
from pushforward.twosample.method import Method
from pushforward.twosample.result import TestResult
from pushforward.witness import Estimate, Fitter, Score, Witness

_FEWEST = 8  # rows a side to fit on
_CHECKED = 65_536  # rows of the fitting half that fix the constant


def bound_test(
    x: Float[Tensor, "n d"],
    y: Float[Tensor, "m d"],
    *,
    permutations: int,
    generator: Generator,
    divergence: str = "kl",
    order: float = 0.5,
    model: Any = "critic",
    train: float = 0.5,
) -> TestResult:
    """Test by the held-out gap of a witness for `divergence`, which is also the effect: a lower bound with interval.

    `model` "critic" is a neural critic, and "logistic", "boosting", "forest", "mlp" or one of scikit-learn's a
    classifier: its log ratio, learned by cross-entropy (calm where the bound's own e^v is not) and kept within its
    range on the rows it was fitted on, is put into the link. A `Fitter` is taken at its word: its witness is to be one
    of this divergence, like that of `CriticFitter(FGAN["hellinger"])`, which trains on the bound itself. `renyi` takes
    the bound of `alpha` through its increasing map. Fitted on a share `train` of each side;
    relabelling the rest gives the p-value.
    """
    kind = Divergence(divergence, order)
    return _test("nwj", kind, x, y, permutations=permutations, generator=generator, model=model, train=train)


def bound_distance(
    x: Float[Tensor, "n d"],
    y: Float[Tensor, "m d"],
    *,
    generator: Generator,
    level: float = 0.95,
    divergence: str = "kl",
    order: float = 0.5,
    model: Any = "critic",
    train: float = 0.5,
) -> Estimate:
    """The held-out lower bound of `divergence`: `low` is a lower confidence limit of it at (1 - level)/2."""
    kind = Divergence(divergence, order)
    witness, held_x, held_y = _fit(kind, x, y, generator, model, train, donsker=False)
    return kind.from_base(estimate(witness, held_x, held_y, level=level))


def dv_test(
    x: Float[Tensor, "n d"],
    y: Float[Tensor, "m d"],
    *,
    permutations: int,
    generator: Generator,
    model: Any = "critic",
    train: float = 0.5,
) -> TestResult:
    """Test by the held-out Donsker-Varadhan bound of KL(P||Q), its constant fixed on the fitting half; else `nwj`."""
    return _test("dv", Divergence("kl"), x, y, permutations=permutations, generator=generator, model=model, train=train)


def dv_distance(
    x: Float[Tensor, "n d"],
    y: Float[Tensor, "m d"],
    *,
    generator: Generator,
    level: float = 0.95,
    model: Any = "critic",
    train: float = 0.5,
) -> Estimate:
    """The held-out Donsker-Varadhan bound of KL(P||Q), in nats; the interval as in `bound_distance`."""
    witness, held_x, held_y = _fit(Divergence("kl"), x, y, generator, model, train, donsker=True)
    return estimate(witness, held_x, held_y, level=level)


def _test(
    name: str,
    kind: Divergence,
    x: Tensor,
    y: Tensor,
    *,
    permutations: int,
    generator: Generator,
    model: Any,
    train: float,
) -> TestResult:
    started = time.perf_counter()
    witness, held_x, held_y = _fit(kind, x, y, generator, model, train, donsker=name == "dv")
    fitted = time.perf_counter()
    found = permutation_test(witness, held_x, held_y, permutations=permutations, generator=generator)
    tested = time.perf_counter()
    return TestResult(
        method=name,
        statistic=found.statistic,
        pvalue=found.pvalue,
        null=found.null,
        effect=kind.from_base(estimate(witness, held_x, held_y)),
        n_x=len(x),
        n_y=len(y),
        permutations=permutations,
        witness=witness,
        seconds=tested - started,
        timings={"fit": fitted - started, "test": tested - fitted},
    )


def _fit(
    kind: Divergence, x: Tensor, y: Tensor, generator: Generator, model: Any, train: float, *, donsker: bool
) -> tuple[Witness, Tensor, Tensor]:
    """A witness of `kind` from a share of the rows, and the rows that it has not seen."""
    (fit_x, held_x), (fit_y, held_y) = (split(rows, train, generator) for rows in (x, y))
    if isinstance(model, Fitter) and not donsker:
        return model(fit_x, fit_y, generator=generator), held_x, held_y
    fitter = CriticFitter() if isinstance(model, str) and model == "critic" else ClassifierFitter(model)
    witness = fitter(fit_x, fit_y, generator=generator)
    score = _within(_log_ratio(witness), fit_x, fit_y)
    if donsker:
        return donsker_varadhan(score, fit_y), held_x, held_y
    return kind.link()(score, differentiable="differentiable" in witness.tags), held_x, held_y


def _log_ratio(witness: Witness) -> Score:
    """v from a witness of the link `js`: phi + psi = ln 2 - sp(-v) + sp(v) - ln 2 = v."""
    return lambda rows: witness.phi(rows) + witness.psi(rows)


def _within(score: Score, x: Tensor, y: Tensor) -> Score:
    """The score kept within its range on (up to 65,536 a side of) the rows it was fitted on: still a score, so still a
    bound, and one far row on which it extrapolates cannot swamp a mean of e^v.
    """
    with torch.no_grad():
        seen = score(torch.cat([x[:_CHECKED], y[:_CHECKED]]))
    low, high = float(seen.min()), float(seen.max())
    return lambda rows: score(rows).clamp(low, high)


def donsker_varadhan(score: Score, y: Float[Tensor, "m d"]) -> Witness:
    """phi = 1 + T - c, psi = e^(T - c), c = ln mean e^T over `y`, the fitting half's model rows: the link `kl` at
    T - c.
    """
    with torch.no_grad():
        scores = score(y[:_CHECKED]).double()
        constant = float(torch.logsumexp(scores, 0)) - math.log(len(scores))
    return links.LINKS["kl"](lambda rows: score(rows) - constant)


def split(rows: Tensor, train: float, generator: Generator) -> tuple[Tensor, Tensor]:
    """A random share `train` of the rows, and the rest."""
    if not 0.0 < train < 1.0:
        raise InputError(f"the share to train on must lie between 0 and 1, not {train}")
    count = round(train * len(rows))
    if count < _FEWEST or len(rows) - count < 2:
        raise InputError(f"{len(rows)} rows are too few to train on a share {train:g} and test on the rest")
    order = torch.randperm(len(rows), generator=generator, device=generator.device).to(rows.device)
    return rows[order[:count]], rows[order[count:]]


def accuracy_test(
    x: Float[Tensor, "n d"],
    y: Float[Tensor, "m d"],
    *,
    permutations: int,
    generator: Generator,
    model: Any = "boosting",
    train: float = 0.5,
) -> TestResult:
    """Total variation as accuracy: 2a - 1 for the share a that a classifier gets right of equally many held-out rows.

    The p-value is the exact upper tail of Binomial(rows, 1/2): under one distribution a row of x is called x exactly as
    often as a row of y, and the sum of two binomials with mean chances averaging 1/2 is no more spread than that
    (Hoeffding 1956). `permutations` is not used. The effect as in `accuracy_distance`.
    """
    from scipy.stats import binom

    started = time.perf_counter()
    score, right, trials = _rightly_classified(x, y, generator, model, train)
    return TestResult(
        method="tv-accuracy",
        statistic=2.0 * right / trials - 1.0,
        pvalue=max(float(binom.sf(right - 1, trials, 0.5)), math.ulp(0.0)),
        null=torch.empty(0, dtype=torch.float64),
        effect=_twice_less_one(right, trials, 0.95),
        n_x=len(x),
        n_y=len(y),
        permutations=0,
        witness=score,
        seconds=time.perf_counter() - started,
    )


def accuracy_distance(
    x: Float[Tensor, "n d"],
    y: Float[Tensor, "m d"],
    *,
    generator: Generator,
    level: float = 0.95,
    model: Any = "boosting",
    train: float = 0.5,
) -> Estimate:
    """2a - 1 with Clopper and Pearson's limits: `low` is a lower confidence limit of TV(P, Q) at (1 - level)/2.

    `high` limits what this classifier reaches, not TV. The limits are conservative because the count of right answers,
    a sum of two binomials of different chances, is no more spread than the one binomial they assume (Hoeffding 1956).
    """
    _, right, trials = _rightly_classified(x, y, generator, model, train)
    return _twice_less_one(right, trials, level)


def _rightly_classified(
    x: Tensor, y: Tensor, generator: Generator, model: Any, train: float
) -> tuple[Witness, int, int]:
    """The classifier's witness of `tv`, how many held-out rows it gets right, and of how many."""
    (fit_x, held_x), (fit_y, held_y) = (split(rows, train, generator) for rows in (x, y))
    witness = ClassifierFitter(model, links.LINKS["tv"])(fit_x, fit_y, generator=generator)
    each = min(len(held_x), len(held_y))
    a, b = witness.phi(held_x[:each]), witness.psi(held_y[:each])
    return witness, int((a > 0.0).sum()) + int((b <= 0.0).sum()), 2 * each


def _twice_less_one(right: int, trials: int, level: float) -> Estimate:
    from scipy.stats import beta

    tail = 0.5 * (1.0 - level)
    low = float(beta.ppf(tail, right, trials - right + 1)) if right else 0.0
    high = float(beta.ppf(1.0 - tail, right + 1, trials - right)) if right < trials else 1.0
    share = right / trials
    stderr = 2.0 * math.sqrt(share * (1.0 - share) / trials)
    return Estimate(2.0 * share - 1.0, stderr, 2.0 * low - 1.0, 2.0 * high - 1.0, level)


METHODS = {
    "nwj": Method(
        family="critics",
        reads="a lower bound of any f-divergence, by a neural critic or a classifier",
        convention="held-out E_P[T] - E_Q[f*(T)] (default kl, in nats; for renyi that of alpha)",
        cost="one training on half the rows",
        effect="lower bound of the divergence; its lower limit is one of the divergence",
        test=bound_test,
        distance=bound_distance,
        at_least=16,
    ),
    "dv": Method(
        family="critics",
        reads="a lower bound of KL(P||Q), by a neural critic or a classifier",
        convention="held-out 1 + E_P[T - c] - E_Q[e^(T - c)], c of the fitting half (Donsker-Varadhan), in nats",
        cost="one training on half the rows",
        effect="lower bound of KL(P||Q), in nats; its lower limit is one of KL",
        test=dv_test,
        distance=dv_distance,
        at_least=16,
    ),
    "tv-accuracy": Method(
        family="classifiers",
        reads="total variation, by how often a classifier is right",
        convention="2 (held-out accuracy) - 1 at equal class sizes; exact binomial tail, no permutations",
        cost="one training on half the rows",
        effect="lower bound of TV; its lower limit (Clopper-Pearson) is one of TV",
        test=accuracy_test,
        distance=accuracy_distance,
        at_least=16,
    ),
}
