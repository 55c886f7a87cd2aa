"""`Auditor`: the sequence of audits, what they decide, and the closing figure. The mathematics is in the package's
docstring."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from statistics import NormalDist
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pushforward.errors import InputError
from pushforward.witness import Estimate

from . import bounds, scoring
from .judges import IN_WORDS, NAMES, Judge, fit_judges
from .scoring import Verdict

Array = NDArray[np.float64]
Decision = Literal["go on", "indistinguishable", "no progress"]

FEWEST = 60  # rows of each part
_FIT = 0.4  # of the watched rows, that judges are trained on
_SAMPLES_TO_A_ROW = 2  # that judges are trained on
_GROUP = 8  # samples that each judged row is set against
_SAMPLES = 15_000  # at most, to be judged
_MEASURE = 1000  # samples that say where the regions begin
_SMOOTHED = 3  # audits whose mean is compared with the champion's
_VISIBLE = 2.0  # standard errors
_TIED = 1.0  # standard errors from the lowest estimate


@dataclass(frozen=True)
class Audit:
    """One look at the generator of `step`; the bounds hold for all audits of a run together, each with 1 - alpha.

    auc: of the `judge` with the highest; its interval is an ordinary one, for this look alone and as if that judge had
    been chosen beforehand. auc_upper, auc_lower: of the best judge's true AUC. lost: the share of the data seen to have
    less than half the samples they should; `lost_upper`, `lost_lower` bound it. log_wealth: ln of the e-value against
    "samples are data"; p_value: of the same, for all looks together. detectable: the AUC that would have made p_value
    fall to alpha 8 times in 10. aucs: of every judge. seconds: what the audit took.
    """

    step: int
    auc: Estimate
    auc_upper: float
    auc_lower: float
    lost: float
    lost_upper: float
    lost_lower: float
    log_wealth: float
    p_value: float
    detectable: float
    judge: str
    aucs: Mapping[str, float]
    seconds: float

    def record(self) -> dict[str, Any]:
        """Plain values, for a line of JSON."""
        return {
            **{k: v for k, v in asdict(self).items() if k != "auc"},
            "auc": self.auc.value,
            "auc_stderr": self.auc.stderr,
        }


@dataclass(frozen=True)
class Closing:
    """The figure at the end, on rows that nothing had looked at: one judge, named before, one look.

    auc: with its interval at 1 - alpha; p_value: of "samples are data", by the rank sum; detectable: the AUC that
    would have been found 8 times in 10 at level alpha; lost, lost_upper: as in `Audit`, of this judge's regions.
    """

    step: int
    auc: Estimate
    p_value: float
    detectable: float
    lost: float
    lost_upper: float
    judge: str
    n_real: int
    n_fake: int
    sentence: str

    def record(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        found = {k: v for k, v in asdict(self).items() if k != "auc"}
        return {**found, "auc": self.auc.value, "auc_low": self.auc.low, "auc_high": self.auc.high}


@dataclass(frozen=True, eq=False)
class _Mark:
    """What a later audit is compared with: placements `(n,)` of the judged rows, and the samples' part of variance."""

    placements: Array
    spread: float

    @classmethod
    def mean(cls, marks: list[_Mark]) -> _Mark:
        k = len(marks)
        return cls(np.mean([mark.placements for mark in marks], axis=0), sum(mark.spread for mark in marks) / k**2)

    def above(self, other: _Mark) -> tuple[float, float]:
        """(AUC here less AUC there, its standard error): the rows are the same, the samples are not."""
        gap = self.placements - other.placements
        return float(gap.mean()), math.sqrt(float(gap.var(ddof=1)) / len(gap) + self.spread + other.spread)

    def tree(self) -> dict[str, Any]:
        return {"placements": torch.from_numpy(self.placements), "spread": self.spread}

    @classmethod
    def restored(cls, tree: Mapping[str, Any]) -> _Mark:
        return cls(tree["placements"].double().cpu().numpy(), float(tree["spread"]))


class Auditor:
    """Looks at a generator from time to time and says when to stop; see the package's docstring for what it promises.

    watched, closing: two disjoint sets of rows `(n, k)` of the data that training never saw (float64; NaN is missing).
    tolerance: an AUC; the run may stop once the best judge's is certainly below. collapse: a share of the data; it
    must also be certain that less than that lacks half its samples. alpha: the chance of ever being wrong, for each of
    the promises. patience: audits without visible progress after which to stop, or half of the audits before them if
    that is more. most: watched rows looked at, at most. names: the judges.
    """

    def __init__(
        self,
        watched: Tensor | NDArray[Any],
        closing: Tensor | NDArray[Any],
        *,
        tolerance: float = 0.55,
        alpha: float = 0.05,
        collapse: float = 0.02,
        patience: int = 5,
        seed: int = 0,
        most: int = 6000,
        names: tuple[str, ...] = NAMES,
    ) -> None:
        if not 0.5 < tolerance < 1:
            raise InputError(f"the tolerance is an AUC between 0.5 (indistinguishable) and 1, not {tolerance}")
        if not 0 < alpha < 0.5:
            raise InputError(f"alpha must lie between 0 and 0.5, not {alpha}")
        if not 0 < collapse < 1:
            raise InputError(f"collapse is a share of the data between 0 and 1, not {collapse}")
        if patience < 2:
            raise InputError(f"patience must be at least 2 audits, not {patience}")
        if not names or set(names) - set(NAMES):
            raise InputError(f"unknown judges {', '.join(names) or '(none)'}; known: {', '.join(NAMES)}")
        rows, self._closing = _matrix(watched, "watched"), _matrix(closing, "closing")
        if rows.shape[1] != self._closing.shape[1]:
            raise InputError(
                f"watched rows have {rows.shape[1]} columns but closing rows {self._closing.shape[1]}; "
                "split one set of rows"
            )
        self.tolerance, self.alpha, self.collapse, self.patience = tolerance, alpha, collapse, patience
        self.seed, self.names = seed, names
        rows = rows[np.random.default_rng([seed, 0]).permutation(len(rows))[:most]]
        fit = round(_FIT * len(rows))
        self._fit, self._judged = rows[:fit], rows[fit:]
        self.audits: list[Audit] = []
        self.best_step = 0
        self.closing: Closing | None = None
        self._decision: Decision = "go on"
        self._recent: list[_Mark] = []
        self._champion: _Mark | None = None  # the last audits that were visibly better than all before
        self._champion_at = 0  # how many audits there were then
        self._lowest: _Mark | None = None  # the audit with the lowest AUC, and what it had lost
        self._lost = 0.0

    # ---- what to bring, and what can be promised with it

    @property
    def fakes_wanted(self) -> int:
        """How many fresh samples make the best of one audit; fewer will do, at the price of wider bounds."""
        return _wanted(len(self._fit), len(self._judged))

    @property
    def fakes_wanted_to_close(self) -> int:
        """The same for `close`."""
        return _wanted(len(self._fit) + len(self._judged), len(self._closing))

    def reach(self, look: int = 10) -> float:
        """The smallest tolerance that a perfect generator would meet at the audit number `look` 8 times in 10.

        A tolerance below it will hardly ever be met, however good the generator: it takes more watched rows.
        """
        n = len(self._judged)
        level = math.log(1 / bounds.share_of(self.alpha, look))
        return min(1.0, 0.5 + bounds.detectable_gap(n, _group(n), level))

    # ---- the audits

    def audit(self, step: int, fakes: Tensor | NDArray[Any]) -> Audit:
        """Look at fresh samples `fakes` `(m, k)` of the generator at `step`; they must not have been used before."""
        started = time.perf_counter()
        if self.audits and step <= self.audits[-1].step:
            raise InputError(f"step {step} is not after step {self.audits[-1].step}, which was audited already")
        look = len(self.audits) + 1
        fit, measure, judged = self._dealt(fakes, _SAMPLES_TO_A_ROW * len(self._fit), look)
        judges = fit_judges(self._fit, fit, seed=_seed(self.seed, look), names=self.names)
        verdicts = {name: _verdict(judge, self._judged, measure, judged) for name, judge in judges.items()}
        found = _audit(step, look, verdicts, self.alpha, started)
        self.audits.append(found)
        self._follow(found, _Mark(verdicts[found.judge].placements, verdicts[found.judge].spread))
        return found

    def decision(self) -> Decision:
        """What follows from the audits so far. Once it is not "go on", training should end."""
        return self._decision

    def _follow(self, found: Audit, mark: _Mark) -> None:
        """Compare the newest audit with those before, and decide."""
        if self._decision == "indistinguishable":
            return
        looks = len(self.audits)
        self._recent = [*self._recent, mark][-_SMOOTHED:]
        if self._champion is None or _visibly_lower(now := _Mark.mean(self._recent), self._champion):
            self._champion = mark if self._champion is None else now
            self._champion_at = looks - (len(self._recent) - 1) // 2  # the middle of the mean
        if self._lowest is None or mark.above(self._lowest)[0] < 0:
            self._lowest, self._lost, self.best_step = mark, found.lost, found.step
        gap, stderr = mark.above(self._lowest)
        if gap <= _TIED * stderr and found.lost <= max(self.collapse, self._lost):
            self.best_step = found.step
        if found.auc_upper < self.tolerance and found.lost_upper < self.collapse:
            self._decision, self.best_step = "indistinguishable", found.step
        elif looks - self._champion_at >= max(self.patience, math.ceil(self._champion_at / 2)):
            self._decision = "no progress"
        else:
            self._decision = "go on"

    # ---- the end

    def close(self, fakes: Tensor | NDArray[Any]) -> Closing:
        """The closing figure, of fresh samples `fakes` `(m, k)` of the generator of `best_step`.

        Computed once: the closing rows are then no longer untouched, and later calls return the same figure.
        """
        if self.closing is not None:
            return self.closing
        if not self.audits:
            raise InputError("nothing was audited yet, so there is no best checkpoint to close with; call audit first")
        best = next(audit for audit in self.audits if audit.step == self.best_step)
        watched = np.concatenate([self._fit, self._judged])
        fit, measure, judged = self._dealt(fakes, _SAMPLES_TO_A_ROW * len(watched), 0)
        judge = fit_judges(watched, fit, seed=_seed(self.seed, 0), names=(best.judge,))[best.judge]
        real, fake = judge(self._closing), judge(judged)
        found = scoring.verdict(real, fake, scoring.thresholds(judge(measure)), level=1 - self.alpha)
        self.closing = _closing(self.best_step, best.judge, found, _rank_sum(real, fake), self.alpha)
        return self.closing

    # ---- state

    def tree(self) -> dict[str, Any]:
        """All that audits changed, as plain values and tensors; the rows and settings are the caller's."""
        return {
            "audits": [{**asdict(audit), "aucs": dict(audit.aucs)} for audit in self.audits],
            "best_step": self.best_step,
            "decision": self._decision,
            "recent": [mark.tree() for mark in self._recent],
            "champion": None if self._champion is None else self._champion.tree(),
            "champion_at": self._champion_at,
            "lowest": None if self._lowest is None else self._lowest.tree(),
            "lost": self._lost,
            "closing": None if self.closing is None else asdict(self.closing),
        }

    def restore(self, tree: Mapping[str, Any]) -> None:
        """Go on from `tree()`, bit for bit, given the same rows and settings."""
        self.audits = [Audit(**{**audit, "auc": Estimate(**audit["auc"])}) for audit in tree["audits"]]
        self.best_step, self._decision = int(tree["best_step"]), tree["decision"]
        self._recent = [_Mark.restored(mark) for mark in tree["recent"]]
        self._champion = None if tree["champion"] is None else _Mark.restored(tree["champion"])
        self._champion_at = int(tree["champion_at"])
        self._lowest = None if tree["lowest"] is None else _Mark.restored(tree["lowest"])
        self._lost = float(tree["lost"])
        closing = tree["closing"]
        self.closing = None if closing is None else Closing(**{**closing, "auc": Estimate(**closing["auc"])})

    def _dealt(self, fakes: Tensor | NDArray[Any], fit: int, look: int) -> tuple[Array, Array, Array]:
        """The samples in random order, dealt into those to train judges on, to set the regions by, and to be judged."""
        rows = _matrix(fakes, "sampled")
        if rows.shape[1] != self._fit.shape[1]:
            raise InputError(
                f"sampled rows have {rows.shape[1]} columns but watched rows {self._fit.shape[1]}; "
                "turn both into matrices in the same way"
            )
        rows = rows[np.random.default_rng([self.seed, 1, look]).permutation(len(rows))]
        fit, measure = min(fit, int(0.3 * len(rows))), min(_MEASURE, len(rows) // 10)
        return rows[:fit], rows[fit : fit + measure], rows[fit + measure :][:_SAMPLES]


def _verdict(judge: Judge, real: Array, measure: Array, fake: Array) -> Verdict:
    return scoring.verdict(judge(real), judge(fake), scoring.thresholds(judge(measure)))


def _audit(step: int, look: int, verdicts: Mapping[str, Verdict], alpha: float, started: float) -> Audit:
    """The figures of audit number `look`, which may spend its share of `alpha` on each promise."""
    spent, every = bounds.share_of(alpha, look), list(verdicts.values())
    aucs = {name: each.auc.value for name, each in verdicts.items()}
    judge = max(aucs, key=aucs.__getitem__)
    lead, own = verdicts[judge], [each.own for each in every]
    wealth = bounds.log_evalue(own, 0.5, spent)
    gap = bounds.detectable_gap(len(lead.own), lead.group, math.log(len(every) / spent))
    return Audit(
        step=step,
        auc=lead.auc,
        auc_upper=max(bounds.upper_mean(values, spent) for values in own),
        auc_lower=bounds.lower_mean(own, spent),
        lost=scoring.lost(every),
        lost_upper=scoring.lost_upper(every, spent),
        lost_lower=scoring.lost_lower(every, spent),
        log_wealth=wealth,
        p_value=max(math.exp(min(0.0, math.log(alpha / spent) - wealth)), sys.float_info.min),
        detectable=min(1.0, 0.5 + gap),
        judge=judge,
        aucs=aucs,
        seconds=time.perf_counter() - started,
    )


def _visibly_lower(now: _Mark, before: _Mark) -> bool:
    gap, stderr = now.above(before)
    return gap < -_VISIBLE * stderr


def _closing(step: int, judge: str, found: Verdict, p_value: float, alpha: float) -> Closing:
    (n, m), auc = (len(found.placements), found.samples), found.auc
    chance = math.sqrt((n + m + 1) / (12 * n * m))
    detectable = min(1.0, 0.5 + chance * (NormalDist().inv_cdf(1 - alpha) + NormalDist().inv_cdf(0.8)))
    lost, lost_upper = scoring.lost([found]), scoring.lost_upper([found], alpha)
    sentence = (
        f"On {n:,} rows that nothing had looked at before, {IN_WORDS[judge]} tell samples of step {step:,} from data "
        f"with an AUC of {auc.value:.3f} ({auc.level:.0%} interval {auc.low:.3f} to {auc.high:.3f}; 0.5 is "
        f"indistinguishable), p = {p_value:.2g}; an AUC of {detectable:.3f} would have been detected 8 times in 10."
    )
    return Closing(step, auc, p_value, detectable, lost, lost_upper, judge, n, m, sentence)


def _rank_sum(real: Array, fake: Array) -> float:
    """One-sided p-value of Mann and Whitney (1947), normal with ties taken into account; never 0."""
    from scipy.stats import mannwhitneyu

    if np.ptp(np.concatenate([real, fake])) == 0:
        return 1.0
    return max(float(mannwhitneyu(real, fake, alternative="greater", method="asymptotic").pvalue), sys.float_info.min)


def _group(judged: int) -> int:
    """Samples that each of the judged rows is set against, where there are as many samples as wanted."""
    return max(1, min(_GROUP, _SAMPLES // judged))


def _wanted(fit: int, judged: int) -> int:
    """Samples so that judges are trained and regions measured on no more than their parts of `_dealt`."""
    train = _SAMPLES_TO_A_ROW * fit
    return max(train + _MEASURE + _group(judged) * judged, math.ceil(train / 0.3), 10 * _MEASURE)


def _seed(seed: int, look: int) -> int:
    return int(np.random.default_rng([seed, 2, look]).integers(2**31 - 1))


def _matrix(rows: Tensor | NDArray[Any], name: str) -> Array:
    """Float64 `(n, k)`."""
    plain = rows.detach().cpu().numpy() if isinstance(rows, Tensor) else np.asarray(rows)
    matrix = np.ascontiguousarray(plain, dtype=np.float64)
    if matrix.ndim != 2 or not matrix.shape[1]:
        raise InputError(f"{name} rows must be a matrix (n, k), not of shape {matrix.shape}; flatten them")
    if len(matrix) < FEWEST:
        raise InputError(f"{len(matrix)} {name} rows are too few to judge by; give at least {FEWEST}")
    if np.isinf(matrix).any():
        row = int(np.argwhere(np.isinf(matrix))[0, 0])
        raise InputError(f"{name} row {row + 1} holds an infinite value; drop or clip it")
    return matrix
