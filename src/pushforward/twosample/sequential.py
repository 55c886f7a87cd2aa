"""Sequential two-sample tests: bet against "both streams have one distribution", and stop whenever you like.

A test holds wealth, 1 at first. Before each batch it fixes, from earlier batches alone, a bet whose expected factor
is 1 (an e-value) if the batch's rows of x and y have one distribution, which may drift from batch to batch. Wealth is
then a nonnegative martingale, so P(wealth ever >= 1/a) <= a (Ville 1939), and p = 1/(largest wealth so far) is valid
at any time, whenever and for whatever reason one looks or stops. Nothing is to be corrected for looking often.

`ClassifierBetting` bets on which rows of the batch are x (Pandeva, Bakker, Naesseth and Forre 2022, "E-valuating
classifier two-sample tests"); `pushforward.twosample.betting.KernelBetting` on a kernel witness.

>>> import torch
>>> g = torch.Generator().manual_seed(0)
>>> test = ClassifierBetting()
>>> for step in range(40):
...     state = test.update(torch.randn(20, 2, generator=g) + 0.5, torch.randn(20, 2, generator=g))
...     if state.detected(0.001):
...         break
>>> state.detected(0.001), state.seen_x < 800
(True, True)
"""

import math
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol, final, runtime_checkable

import numpy as np
import torch
from jaxtyping import Float
from torch import Generator, Tensor

from pushforward.errors import InputError
from pushforward.fitters.classifier import ClassifierFitter
from pushforward.fitters.scorers import Array, Scorer, fit_scorer
from pushforward.links import LINKS
from pushforward.twosample.inputs import as_rows
from pushforward.twosample.method import Method
from pushforward.twosample.result import TestResult
from pushforward.witness import Estimate, Witness

_TEMPERS = np.array([0.0, 0.25, 0.5, 1.0])  # of the logits; the first stakes nothing, so wealth stays above 1/4
_FEWEST = 8  # rows a side before the first bet
_REFIT = 0.2  # share of new rows at which a classifier is trained afresh
_TOGETHER = 128  # rows whose labels are judged together
_BATCHES = 20


@final
@dataclass(frozen=True)
class Evidence:
    """Where a sequential test stands: `log_wealth` now, `log_peak` at its highest, in nats; rows and batches seen."""

    log_wealth: float = 0.0
    log_peak: float = 0.0
    seen_x: int = 0
    seen_y: int = 0
    updates: int = 0

    @property
    def wealth(self) -> float:
        """The e-value: at least 1/a with probability at most a under the null, at any stopping time."""
        return math.exp(min(self.log_wealth, math.log(sys.float_info.max)))

    @property
    def pvalue(self) -> float:
        """1/(largest wealth so far), at most 1 and never 0."""
        return max(math.exp(-max(0.0, self.log_peak)), sys.float_info.min)

    def detected(self, alpha: float = 0.05) -> bool:
        """Whether wealth has reached 1/alpha: for equal streams the chance that it ever does is at most alpha."""
        return self.pvalue <= alpha

    def after(self, log_wealth: float, n: int, m: int) -> "Evidence":
        """The state after one more batch of n and m rows."""
        peak = max(self.log_peak, log_wealth)
        return Evidence(log_wealth, peak, self.seen_x + n, self.seen_y + m, self.updates + 1)


@runtime_checkable
class SequentialTest(Protocol):
    """Batches in, evidence out."""

    @property
    def state(self) -> Evidence:
        """Where the test stands."""
        ...

    def update(self, x: Any, y: Any) -> Evidence:
        """Bet on the batch, settle, learn from it. `x` (data) and `y` (model): `(n, d)`, `(m, d)`, any n and m."""
        ...


@final
class Past:
    """The latest rows of one stream, at most `most` of them."""

    def __init__(self, most: int) -> None:
        if most < _FEWEST:
            raise InputError(f"a sequential test must remember at least {_FEWEST} rows a side, not {most}")
        self.most = most
        self._parts: list[Tensor] = []

    def __len__(self) -> int:
        return sum(len(part) for part in self._parts)

    def add(self, rows: Tensor) -> None:
        """Append rows; the oldest leave."""
        if len(rows):
            self._parts.append(rows[-self.most :])
        while self._parts and len(self) - len(self._parts[0]) >= self.most:
            del self._parts[0]

    def rows(self) -> Tensor:
        """What is remembered, oldest first."""
        return torch.cat(self._parts)[-self.most :]


def batch_of(x: Any, y: Any, width: int | None) -> tuple[Tensor, Tensor]:
    """A batch as float64 rows of one width, `width` if it is known; either side may be empty."""
    a, b = (as_rows(rows, name, at_least=0).double() for rows, name in ((x, "x"), (y, "y")))
    for rows, name in ((a, "x"), (b, "y")):
        if rows.shape[1] != (width or a.shape[1]):
            raise InputError(f"rows of {name} have {rows.shape[1]} values, not {width or a.shape[1]} as before")
    return a, b.to(a.device)


@final
class ClassifierBetting:
    """Bets on the labels of each batch by a classifier trained on the batches before (E-C2ST).

    Let o_i be the odds that the classifier gives row i of a batch of being x, n of whose N rows are. The e-value is

        prod_{i in x} o_i^s / mean over all choices S of n of the N rows of prod_{i in S} o_i^s,    s = 0, 1/4, 1/2, 1.

    Proof: under the null every choice of n of the batch's rows is equally likely to be x, given the rows and the past;
    the expectation of the numerator is the denominator. The odds' prior cancels and n need not be m. The four powers s
    are four bets run side by side, a quarter of the wealth on each, so that odds that are too bold cannot ruin it. The
    denominator is an elementary symmetric polynomial, summed in the log domain for up to 128 rows at a time.

    `model` as in `pushforward.fitters.fit_scorer` ("logistic" is linear: "boosting" sees more and costs more),
    retrained when a fifth of the rows is new; `remember` rows a side are kept. Cost a batch: one training at most, then
    128 N.
    """

    def __init__(self, *, model: Any = "logistic", remember: int = 20_000, seed: int = 0) -> None:
        self.model, self.seed = model, seed
        self._past = Past(remember), Past(remember)
        self._stakes = np.zeros(len(_TEMPERS))  # log wealth of each bet
        self._scorer: Scorer | None = None
        self._fitted, self._fresh = 0, 0
        self._width: int | None = None
        self._state = Evidence()

    @property
    def state(self) -> Evidence:
        """Where the test stands."""
        return self._state

    def update(self, x: Any, y: Any) -> Evidence:
        """Bet on the labels of `x` `(n, d)` and `y` `(m, d)`, settle, and learn from them."""
        a, b = batch_of(x, y, self._width)
        self._width = a.shape[1]
        self._train()
        if self._scorer is not None and min(len(a), len(b)):
            scores = [self._scorer(rows.cpu().numpy()) for rows in (a, b)]
            self._stakes = self._stakes + log_evalues(scores[0], scores[1])
        for past, rows in zip(self._past, (a, b), strict=True):
            past.add(rows)
        self._fresh += len(a) + len(b)
        wealth = float(np.logaddexp.reduce(self._stakes)) - math.log(len(self._stakes))
        self._state = self._state.after(wealth, len(a), len(b))
        return self._state

    def _train(self) -> None:
        """Train on what is past, where there is enough of it and enough of that is new."""
        if min(map(len, self._past)) < _FEWEST or self._fresh < _REFIT * self._fitted:
            return
        x, y = (past.rows().cpu().numpy() for past in self._past)
        self._scorer = fit_scorer(x, y, model=self.model, seed=self.seed + self._state.updates)
        self._fitted, self._fresh = len(x) + len(y), 0


def log_evalues(scores_x: Array, scores_y: Array) -> Array:
    """ln e for each power s of the odds e^v: the rows are dealt into parts of about 128, whose e-values multiply."""
    parts = min(len(scores_x), len(scores_y), -(-(len(scores_x) + len(scores_y)) // _TOGETHER))
    total = np.zeros(len(_TEMPERS))
    for a, b in zip(np.array_split(scores_x, parts), np.array_split(scores_y, parts), strict=True):
        total += _log_evalue(a, b) if len(a) <= len(b) else _log_evalue(-b, -a)
    return total


def _log_evalue(a: Array, b: Array) -> Array:
    """ln e of choosing `a` among all rows; len(a) is the smaller, which the sum over choices is faster for."""
    scores = np.outer(np.concatenate([a, b]), _TEMPERS)
    n, rows = len(a), len(scores)
    # sums[k]: ln of the sum over choices of k of the rows so far of the product of their odds
    sums = np.full((n + 1, len(_TEMPERS)), -np.inf)
    sums[0] = 0.0
    for score in scores:
        sums[1:] = np.logaddexp(sums[1:], sums[:-1] + score)
    choices = math.lgamma(rows + 1.0) - math.lgamma(n + 1.0) - math.lgamma(rows - n + 1.0)
    evalue: Array = scores[:n].sum(0) - (sums[n] - choices)
    return evalue


def run_stream(
    method: str,
    test: SequentialTest,
    x: Float[Tensor, "n d"],
    y: Float[Tensor, "m d"],
    *,
    generator: Generator,
    batches: int,
    witness: Callable[[], Witness] | None = None,
) -> TestResult:
    """Deal both sets in random order into batches, bet on each in turn; p = 1/(largest wealth).

    The statistic is the largest log wealth, the effect the log wealth at the end per row, in nats, without an interval:
    its increments are neither independent nor alike.
    """
    if batches < 2:
        raise InputError(f"a sequential test needs at least 2 batches, not {batches}: it bets on one from another")
    started = time.perf_counter()
    shuffled = [rows[torch.randperm(len(rows), generator=generator, device=generator.device)] for rows in (x, y)]
    dealt = min(batches, len(x), len(y))
    for a, b in zip(*(rows.tensor_split(dealt) for rows in shuffled), strict=True):
        test.update(a, b)
    state, ended = test.state, time.perf_counter()
    return TestResult(
        method=method,
        statistic=state.log_peak,
        pvalue=state.pvalue,
        null=torch.empty(0, dtype=torch.float64),
        effect=Estimate(state.log_wealth / (len(x) + len(y)), math.nan, math.nan, math.nan),
        n_x=len(x),
        n_y=len(y),
        permutations=0,
        witness=None if witness is None else witness(),
        seconds=ended - started,
        timings={"test": ended - started},
    )


def classifier_betting_test(
    x: Float[Tensor, "n d"],
    y: Float[Tensor, "m d"],
    *,
    permutations: int,
    generator: Generator,
    model: Any = "logistic",
    batches: int = _BATCHES,
) -> TestResult:
    """E-C2ST on finite sets, dealt into `batches`; `permutations` is not used.

    The witness is that of `model` trained on all rows, through the link of `js`.
    """
    seed = int(torch.randint(2**31 - 1, (), generator=generator, device=generator.device))
    return run_stream(
        "e-c2st",
        ClassifierBetting(model=model, seed=seed),
        x,
        y,
        generator=generator,
        batches=batches,
        witness=lambda: ClassifierFitter(model, LINKS["js"])(x, y, generator=generator),
    )


METHODS = {
    "e-c2st": Method(
        family="sequential",
        reads="what a classifier learns from earlier batches; valid at any stopping time",
        convention="largest log wealth, in nats; p = 1/wealth (Ville), no permutations",
        cost="a training whenever a fifth of the rows is new, then 128 (n+m)",
        effect="log wealth per row, in nats (no interval)",
        test=classifier_betting_test,
    ),
}
