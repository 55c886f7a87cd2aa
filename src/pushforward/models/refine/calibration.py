"""From a critic's score to a log ratio.

What a critic gives is some function of log p/q (p of data, q of samples): relativistic games leave its offset open,
Wasserstein's its scale, and no game is played to its end. The scores of rows that the critic was not trained on, beside
those of fresh samples, say what a score s is worth. Two maps are fitted to n rows of data and m samples:

    affine     l(s) = a s + b, by logistic regression                                              (Platt 1999)
    isotonic   l(s) rises in steps, by the pooling of adjacent violators: log (r + 1/2)/(f + 1/2) in a step with r rows
               of data and f samples, straight between the steps' mean scores                  (Zadrozny & Elkan 2002);
               steps of few rows (less than a share `LEAST`) are pooled with their neighbours, as the highest and
               lowest ones are otherwise found more extreme than they are

The prior log n/m is taken off, once, here. Beyond the scores that were seen, l stays what it is at the last of them,
and |l| never exceeds log(n + m), more than which so many rows cannot tell. `auto` takes the map whose log loss, in
cross-validation with both sides weighing the same,

    mean over data log(1 + e^-l) / 2  +  mean over samples log(1 + e^l) / 2         (l = 0 has log 2 = 0.6931)

is the smaller, and l = 0 (`constant`) where neither beats log 2 by two standard errors: such a critic tells nothing
about rows it never saw.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal, final

import numpy as np
import numpy.typing as npt
import torch
from jaxtyping import Float
from torch import Tensor

from ...errors import InputError
from ...training.diagnostics.critic import auc

Array = npt.NDArray[np.float64]
Kind = Literal["auto", "affine", "isotonic"]
KINDS: tuple[Kind, ...] = ("auto", "affine", "isotonic")
FOLDS = 5
FEWEST = 50  # rows of data and samples, each
QUANTILES = 257  # of the real rows' scores that are kept
SURE = 2.0  # standard errors
LEAST = 0.01  # of all rows: the size of a step of the isotonic map
RIDGE = 1e-4  # of the affine map on standardised scores: keeps it finite where scores separate the sides


@final
@dataclass(frozen=True)
class Calibration:
    """score -> log p/q, straight between the knots (`scores`, `ratios`), level beyond them.

    slope, offset: the affine map, whichever `kind` was chosen: what gradients are taken of. real_scores: quantiles of
    the data's scores. rows, samples: how many of each it was fitted to; `of` says which rows ("holdout", ...).
    log_losses: in cross-validation, of each map and of the constant. auc: of those data over those samples, by the
    score. share: effective sample size of the weights e^l per sample.
    """

    kind: str
    scores: tuple[float, ...]
    ratios: tuple[float, ...]
    slope: float
    offset: float
    real_scores: tuple[float, ...]
    rows: int
    samples: int
    of: str
    log_losses: Mapping[str, float]
    auc: float
    auc_low: float
    auc_high: float
    share: float

    def __call__(self, scores: Float[Tensor, " n"]) -> Float[Tensor, " n"]:
        """l at the `scores`, float64."""
        knots = torch.tensor(self.scores, dtype=torch.float64, device=scores.device)
        values = torch.tensor(self.ratios, dtype=torch.float64, device=scores.device)
        if len(knots) == 1:
            return values.expand(len(scores)).clone()
        s = scores.double().clamp(knots[0], knots[-1])
        right = torch.searchsorted(knots, s).clamp(1, len(knots) - 1)
        share = (s - knots[right - 1]) / (knots[right] - knots[right - 1])
        return torch.lerp(values[right - 1], values[right], share)

    def affine(self, scores: Float[Tensor, " n"]) -> Float[Tensor, " n"]:
        """a s + b, differentiable and without bounds."""
        return self.slope * scores + self.offset

    @property
    def tells(self) -> bool:
        """Whether the scores tell anything."""
        return self.kind != "constant"

    @property
    def top(self) -> float:
        """The largest l there is."""
        return max(self.ratios)

    def real(self) -> Float[Tensor, " k"]:
        """Quantiles of the data's scores, evenly spaced from the least to the largest, float64."""
        return torch.tensor(self.real_scores, dtype=torch.float64)

    def to_dict(self) -> dict[str, Any]:
        """JSON-able."""
        found = asdict(self)
        return {name: list(value) if isinstance(value, tuple) else value for name, value in found.items()}

    @classmethod
    def from_dict(cls, d: Mapping[str, Any]) -> Calibration:
        """What `to_dict` wrote; `InputError` where a part is missing."""
        try:
            found: dict[str, Any] = {one.name: d[one.name] for one in fields(cls)}
        except KeyError as error:
            raise InputError(f"the saved calibration lacks {error}; give real rows, by which it is made anew") from None
        made: dict[str, Any] = {name: tuple(v) if isinstance(v, list) else v for name, v in found.items()}
        return cls(**made)


def calibrate(
    real: Float[Tensor, " n"], fake: Float[Tensor, " m"], *, kind: Kind = "auto", of: str = "rows", seed: int = 0
) -> Calibration:
    """The map from the scores of data `real` that the critic was not trained on, and of samples `fake`, to log p/q.

    `InputError` for an unknown `kind`, fewer than 50 scores on a side, or scores that are not finite.
    """
    if kind not in KINDS:
        raise InputError(f"unknown calibration {kind!r}; known: {', '.join(KINDS)}")
    a, b = (np.asarray(side.detach().double().cpu().numpy()) for side in (real, fake))
    if min(len(a), len(b)) < FEWEST:
        raise InputError(
            f"{min(len(a), len(b))} rows are too few to calibrate the critic; give at least {FEWEST} real rows"
        )
    if not (np.isfinite(a).all() and np.isfinite(b).all()):
        raise InputError("the critic gives scores that are not finite, so it cannot be calibrated; fit the model again")
    measured = _log_losses(a, b, seed)
    losses = {"constant": math.log(2), **{name: loss for name, (loss, _) in measured.items()}}
    sure = [name for name, (loss, stderr) in measured.items() if loss + SURE * stderr < math.log(2)]
    chosen = min(sure or ["constant"], key=lambda name: losses[name]) if kind == "auto" else kind
    slope, offset = _affine(a, b)
    knots, ratios = {"affine": _affine_map, "isotonic": _isotonic_map, "constant": _constant_map}[chosen](a, b)
    weight = np.exp(np.interp(b, knots, ratios))
    found = auc(torch.from_numpy(a), torch.from_numpy(b))
    return Calibration(
        kind=chosen,
        scores=tuple(knots.tolist()),
        ratios=tuple(ratios.tolist()),
        slope=slope if chosen != "constant" else 0.0,
        offset=offset if chosen != "constant" else 0.0,
        real_scores=tuple(np.quantile(a, np.linspace(0, 1, QUANTILES)).tolist()),
        rows=len(a),
        samples=len(b),
        of=of,
        log_losses=losses,
        auc=found.value,
        auc_low=found.low,
        auc_high=found.high,
        share=float(weight.sum() ** 2 / (weight**2).sum() / len(b)),
    )


def log_loss(real: Array, fake: Array) -> float:
    """Of log ratios at data and at samples, both sides weighing the same."""
    return float(np.logaddexp(0, -real).mean() + np.logaddexp(0, fake).mean()) / 2


def _log_losses(a: Array, b: Array, seed: int) -> dict[str, tuple[float, float]]:
    """(log loss in cross-validation, its standard error) of both maps."""
    rng = np.random.default_rng(seed)
    fold_a, fold_b = (rng.permutation(np.arange(len(side)) % FOLDS) for side in (a, b))
    found = {}
    for name, fitted in (("affine", _affine_map), ("isotonic", _isotonic_map)):
        at_a, at_b = np.empty(len(a)), np.empty(len(b))
        for k in range(FOLDS):
            knots, ratios = fitted(a[fold_a != k], b[fold_b != k])
            at_a[fold_a == k] = np.interp(a[fold_a == k], knots, ratios)
            at_b[fold_b == k] = np.interp(b[fold_b == k], knots, ratios)
        variance = np.logaddexp(0, -at_a).var() / len(a) + np.logaddexp(0, at_b).var() / len(b)
        found[name] = log_loss(at_a, at_b), float(np.sqrt(variance)) / 2
    return found


def _affine(a: Array, b: Array) -> tuple[float, float]:
    """(slope, offset) of the logistic regression, both sides weighing the same; the slope is at least 0."""
    from sklearn.linear_model import LogisticRegression

    both = np.concatenate([a, b])
    centre, scale = both.mean(), both.std()
    if scale <= 1e-12 * max(1.0, abs(centre)):
        return 0.0, 0.0
    label = np.concatenate([np.ones(len(a)), np.zeros(len(b))])
    fitted = LogisticRegression(C=1 / RIDGE, class_weight="balanced").fit(((both - centre) / scale)[:, None], label)
    slope, offset = float(fitted.coef_[0, 0]) / scale, float(fitted.intercept_[0])
    if slope < 0:  # the critic prefers samples: not to be believed either way
        return 0.0, 0.0
    return slope, offset - slope * centre


def _affine_map(a: Array, b: Array) -> tuple[Array, Array]:
    slope, offset = _affine(a, b)
    both = np.concatenate([a, b])
    most = math.log(len(both))
    low, high = float(both.min()), float(both.max())
    if slope <= 0 or low == high:
        return np.array([low]), np.zeros(1)
    low, high = max(low, (-most - offset) / slope), min(high, (most - offset) / slope)
    ends = np.array([low, high])
    return ends, slope * ends + offset


def _isotonic_map(a: Array, b: Array) -> tuple[Array, Array]:
    from sklearn.isotonic import IsotonicRegression

    both = np.concatenate([a, b])
    label = np.concatenate([np.ones(len(a)), np.zeros(len(b))])
    steps = IsotonicRegression(y_min=0, y_max=1).fit_transform(both, label)
    order = np.argsort(both, kind="stable")
    step = np.empty(len(both), dtype=np.int64)
    step[order] = _pooled(steps[order], math.ceil(LEAST * len(both)))
    rows, real = np.bincount(step), np.bincount(step, weights=label)
    knots = np.bincount(step, weights=both) / rows
    ratios = np.log((real + 0.5) / (rows - real + 0.5)) - math.log(len(a) / len(b))
    return knots, np.maximum.accumulate(ratios)  # the halves may turn neighbours round


def _pooled(levels: Array, least: int) -> npt.NDArray[np.int64]:
    """The step of each row, for rising `levels`: runs of one level, those shorter than `least` pooled with what follows
    (the last with what comes before)."""
    starts = np.flatnonzero(np.diff(levels, prepend=-np.inf) > 0)
    kept = [0]
    for start in starts:
        if start - kept[-1] >= least:
            kept.append(int(start))
    if len(kept) > 1 and len(levels) - kept[-1] < least:
        kept.pop()
    return np.searchsorted(np.array(kept), np.arange(len(levels)), side="right") - 1


def _constant_map(a: Array, b: Array) -> tuple[Array, Array]:
    return np.array([float(np.median(a))]), np.zeros(1)
