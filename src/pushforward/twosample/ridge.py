"""A classifier test in closed form: cross-fitted ridge regression on kernel coordinates, every row tested, none lost.

Targets N/(2n) on x and -N/(2m) on y have mean 0 and make the regression function positive exactly where p > q. The
features are the principal coordinates (`pushforward.fitters.nystroem`) of the mean of Gaussian kernels of several
bandwidths, on rows scaled to unit pooled variance: all label-free. Ridge regression on them is linear in the targets,
so that for every relabelling at once, with K folds drawn without looking at labels,

    scores of fold k = F_k (F_-k' F_-k + N lambda)^-1 F_-k' T,    T `(N, 1 + B)`,

which are a few matrix products: the cross-fitting is repeated under each relabelling, and the permutation p-value is
exact although no rows were set aside. lambda is chosen label-free too: so that the whole fit has sqrt N effective
degrees of freedom. Cost (n+m) R (d + R + 2B), R landmarks.
"""

import time
from dataclasses import dataclass
from typing import final

import torch
from jaxtyping import Bool, Float
from torch import Generator, Tensor

from pushforward.errors import InputError
from pushforward.fitters.classifier import auc
from pushforward.fitters.kernel import MultiscaleKernel, bandwidth_grid
from pushforward.fitters.nystroem import draw_landmarks, spectral_basis
from pushforward.readings.feature_sums import Features
from pushforward.readings.significance import draw_members, permutation_pvalue
from pushforward.twosample.method import Method
from pushforward.twosample.result import TestResult
from pushforward.twosample.scaling import scaled
from pushforward.witness import Estimate, Tag, Witness

STATISTICS = ("margin", "accuracy", "auc")
_COLUMNS = 256  # relabellings whose scores are held at a time


def ridge_test(
    x: Float[Tensor, "n d"],
    y: Float[Tensor, "m d"],
    *,
    permutations: int,
    generator: Generator,
    statistic: str = "margin",
    folds: int = 5,
    landmarks: int = 256,
    bandwidths: int = 7,
) -> TestResult:
    """Classifier two-sample test by cross-fitted ridge scores.

    `statistic`: "margin", the mean score of x less that of y (the most powerful); "accuracy", the mean of the two
    sides' shares scored on their own side of 0; "auc". The
    effect is the cross-fitted AUC with DeLong's interval; the witness the regression on all rows.
    """
    if statistic not in STATISTICS:
        raise InputError(f"unknown statistic {statistic!r}; known: {', '.join(STATISTICS)}")
    started = time.perf_counter()
    with torch.no_grad():
        ridge, rows = _prepare(x, y, folds, landmarks, bandwidths, generator)
        members = draw_members(len(x), len(y), permutations, generator=generator).to(x.device)
        observed = torch.zeros(len(rows), 1, dtype=torch.bool, device=rows.device)
        observed[: len(x)] = True
        first = ridge.scores(observed)[:, 0]
        value = float(_read(first[:, None], observed, statistic)[0])
        parts = torch.split(members, _COLUMNS, dim=1)
        null = torch.cat([_read(ridge.scores(part), part, statistic) for part in parts])
        witness = ridge.witness(observed)
    return TestResult(
        method="c2st-ridge",
        statistic=value,
        pvalue=permutation_pvalue(value, null),
        null=null,
        effect=auc(first[: len(x)].cpu().numpy(), first[len(x) :].cpu().numpy()),
        n_x=len(x),
        n_y=len(y),
        permutations=permutations,
        witness=witness,
        seconds=time.perf_counter() - started,
    )


def ridge_auc(
    x: Float[Tensor, "n d"],
    y: Float[Tensor, "m d"],
    *,
    generator: Generator,
    level: float = 0.95,
    folds: int = 5,
    landmarks: int = 256,
    bandwidths: int = 7,
) -> Estimate:
    """The cross-fitted AUC of the ridge scores."""
    with torch.no_grad():
        ridge, rows = _prepare(x, y, folds, landmarks, bandwidths, generator)
        observed = torch.zeros(len(rows), 1, dtype=torch.bool, device=rows.device)
        observed[: len(x)] = True
        scores = ridge.scores(observed)[:, 0].cpu().numpy()
    return auc(scores[: len(x)], scores[len(x) :], level=level)


@final
@dataclass(frozen=True, eq=False)
class _Ridge:
    """The regression of labels on `features` `(N, r)`: `penalty` is N lambda, `fold` `(N,)` the fold of each row."""

    features: Tensor
    fold: Tensor
    folds: int
    penalty: float
    score_of: Features

    def scores(self, members: Bool[Tensor, "N b"]) -> Float[Tensor, "N b"]:
        """The cross-fitted scores under each labelling."""
        targets = self._targets(members)
        total, gram = self.features.T @ targets, self.features.T @ self.features
        scores = torch.empty_like(targets)
        for k in range(self.folds):
            held = self.fold == k
            own = self.features[held]
            scores[held] = own @ self._solve(gram - own.T @ own, total - own.T @ targets[held])
        return scores

    def witness(self, observed: Bool[Tensor, "N 1"]) -> Witness:
        """phi = psi = the regression on all rows, about (p - q)/(p + q) for n = m."""
        beta = self._solve(self.features.T @ self.features, self.features.T @ self._targets(observed))[:, 0]

        def score(t: Tensor) -> Tensor:
            return self.score_of(t.flatten(1)) @ beta.to(t)

        tags: frozenset[Tag] = frozenset({"differentiable"})
        return Witness(score, score, tags)

    def _targets(self, members: Tensor) -> Tensor:
        n = int(members[:, 0].sum())
        total = len(members)
        marks = members.to(self.features)
        return marks * (total / (2.0 * n)) - (1.0 - marks) * (total / (2.0 * (total - n)))

    def _solve(self, gram: Tensor, right: Tensor) -> Tensor:
        system = gram + self.penalty * torch.eye(len(gram), dtype=gram.dtype, device=gram.device)
        solution: Tensor = torch.linalg.solve(system, right)
        return solution


def _prepare(
    x: Tensor, y: Tensor, folds: int, landmarks: int, bandwidths: int, generator: Generator
) -> tuple[_Ridge, Tensor]:
    if folds < 2 or len(x) + len(y) < 2 * folds:
        raise InputError(f"{folds} folds need at least 2 folds and {2 * folds} rows in all, not {len(x) + len(y)}")
    if landmarks < 2 or bandwidths < 1:
        raise InputError(f"ridge needs at least 2 landmarks and 1 bandwidth, not {landmarks} and {bandwidths}")
    rows, scaling = scaled(torch.cat([x, y]), standardise=True)
    chosen = draw_landmarks(rows, landmarks, generator=generator)
    kernel = MultiscaleKernel(tuple(bandwidth_grid(chosen, bandwidths)) or (1.0,))
    basis = spectral_basis(kernel, rows, chosen)
    root = basis.variances.sqrt()
    features = basis(rows).double() * root
    order = torch.randperm(len(rows), generator=generator, device=generator.device).to(rows.device)
    penalty = len(rows) * _penalty_of(basis.variances, len(rows) ** 0.5)
    ridge = _Ridge(features, order % folds, folds, penalty, lambda t: basis(scaling(t)) * root.to(t))
    return ridge, rows


def _penalty_of(variances: Float[Tensor, " r"], freedom: float) -> float:
    """lambda with sum_j s_j/(s_j + lambda) = `freedom`, or near 0 where there are fewer coordinates than that."""
    if not len(variances):
        return 1.0
    low, high = 1e-8 * float(variances[0]), float(variances.sum()) / freedom
    for _ in range(60):
        middle = (low * high) ** 0.5
        if float((variances / (variances + middle)).sum()) > freedom:
            low = middle
        else:
            high = middle
    return high


def _read(scores: Float[Tensor, "N b"], members: Bool[Tensor, "N b"], statistic: str) -> Float[Tensor, " b"]:
    """The statistic of each column of scores under its own labelling."""
    if statistic == "accuracy":
        scores = 0.5 * (1.0 + scores.sign())
    elif statistic == "auc":
        columns = scores.T.contiguous()
        order = columns.sort(1).values
        below, upto = (torch.searchsorted(order, columns, right=right) for right in (False, True))
        scores = (below + upto).T / (2.0 * len(scores))
    marks = members.to(scores)
    n = marks[:, 0].sum()
    gap = (scores * marks).sum(0) / n - (scores * (1.0 - marks)).sum(0) / (len(scores) - n)
    if statistic == "margin":
        return gap
    return 0.5 + gap if statistic == "auc" else 0.5 + 0.5 * gap


METHODS = {
    "c2st-ridge": Method(
        family="classifiers",
        reads="cross-fitted ridge regression on kernel coordinates: a classifier test that sets no rows aside",
        convention="mean cross-fitted score of x less that of y",
        cost="(n+m) R (d + R + 2B), R = 256 landmarks",
        effect="cross-fitted AUC",
        test=ridge_test,
        distance=ridge_auc,
        at_least=5,
    )
}
