"""Likelihood-ratio tests: what can be said when both densities are given.

With v = ln p/q known, nothing has to be learned and no row is spent on learning. By Neyman and Pearson no test of "the
rows come from Q" against "they come from P" is better than one on L = sum_i v(z_i), at any size.

- Under Q the ratio e^L has expectation 1, so P_Q(e^L >= 1/a) <= a (Markov): min(1, e^-L) is a p-value at any n. That is
  the rule "decide for P at a ratio above 20", wrong once in 20.
- Under P, L grows by KL(P||Q) a row, so about ln(1/a)/KL rows settle it: of the order 1/KL where KL is small.
- With BC = int sqrt(pq) = 1 - H/2 (H the unhalved squared Hellinger distance), errors a and b need
  n >= ln(1 - (1 - a - b)^2)/(2 ln BC) rows, and n >= ln(ab)/(2 ln BC) are enough: both of the order 1/H
  (Bar-Yossef 2002; Canonne 2022).
"""

import math
import sys
from dataclasses import dataclass
from typing import final

import torch
from jaxtyping import Float
from torch import Generator, Tensor

from pushforward.errors import InputError
from pushforward.links import LINKS
from pushforward.readings.estimate import estimate
from pushforward.twosample.inputs import as_rows
from pushforward.twosample.method import Method
from pushforward.twosample.result import TestResult
from pushforward.twosample.running import run_permutations
from pushforward.witness import Estimate, Score, Statistic, Witness

_RELATIVE_ERROR = 1e-12


@final
@dataclass(frozen=True)
class LikelihoodRatio:
    """What n rows say of "they come from Q" (the null) against "they come from P".

    - `log_ratio`: L = sum ln p/q, in nats; positive speaks for P;
    - `pvalue`: min(1, e^-L), valid under Q at any n (Markov), or, where rows of Q were given, their Monte Carlo one;
    - `per_row`: the mean of ln p/q with its normal interval: estimates KL(P||Q) if the rows come from P, -KL(Q||P) if
      from Q;
    - `rows`: n; `draws`: how many samples of n rows of Q the Monte Carlo p-value compares with (0: Markov).
    """

    log_ratio: float
    pvalue: float
    per_row: Estimate
    rows: int
    draws: int = 0

    def detected(self, alpha: float = 0.05) -> bool:
        """Whether Q is rejected at `alpha`."""
        return self.pvalue <= alpha


def likelihood_ratio_test(
    z: Float[Tensor, "n d"],
    log_p: Score,
    log_q: Score,
    *,
    reference: Float[Tensor, "r d"] | None = None,
) -> LikelihoodRatio:
    """Test that the rows `z` come from Q against P, both log densities `(n, d) -> (n,)` given and normalised.

    With `reference`, fresh rows of Q, they are cut into B = r // n samples of n rows each, and
    p = (1 + #{L_b >= L})/(1 + B): exact, and much smaller than Markov's where P and Q are close. `InputError` where a
    density is 0 or not a number.
    """
    rows = as_rows(z, "z", at_least=1)
    v = scores(rows, log_p, log_q, "z")
    n, total = len(v), float(v.sum())
    per_row = Estimate.normal(float(v.mean()), float(v.std()) / math.sqrt(n) if n > 1 else math.nan)
    if reference is None:
        return LikelihoodRatio(total, min(1.0, max(math.exp(-max(total, 0.0)), sys.float_info.min)), per_row, n)
    draws = len(reference) // n
    if draws < 1:
        raise InputError(f"the reference has {len(reference)} rows, fewer than the {n} rows of one sample")
    w = scores(as_rows(reference, "reference"), log_p, log_q, "reference")
    null = w[: draws * n].reshape(draws, n).sum(1)
    slack = _RELATIVE_ERROR * (1.0 + abs(total))  # sums of equal rows in another order count as equal
    pvalue = (1 + int((null >= total - slack).sum())) / (1 + draws)
    return LikelihoodRatio(total, pvalue, per_row, n, draws)


def samples_needed(hellinger: float, *, alpha: float = 0.05, power: float = 0.95) -> tuple[int, int]:
    """Rows that any test of Q against P needs, and rows that are enough for the likelihood ratio.

    `hellinger` is int (sqrt p - sqrt q)^2 in (0, 2] (`pushforward.closed_form.hellinger`); `alpha` the chance to reject
    Q wrongly and 1 - `power` that to keep it wrongly, together below 1. Formulas in the module.
    """
    if not 0.0 < hellinger <= 2.0:
        raise InputError(f"the squared Hellinger distance lies in (0, 2], not at {hellinger}; at 0 no rows suffice")
    missed = 1.0 - power
    if not (0.0 < alpha < 1.0 and 0.0 < missed < 1.0 and alpha + missed < 1.0):
        raise InputError(f"alpha={alpha} and power={power} must lie between 0 and 1, alpha below power")
    if hellinger == 2.0:
        return 1, 1
    per_row = -2.0 * math.log1p(-0.5 * hellinger)
    least = -math.log(1.0 - (1.0 - alpha - missed) ** 2) / per_row
    enough = -math.log(alpha * missed) / per_row
    return max(1, math.ceil(least)), max(1, math.ceil(enough))


def scores(rows: Float[Tensor, "n d"], log_p: Score, log_q: Score, name: str) -> Float[Tensor, " n"]:
    """v = log_p - log_q of each row, float64; `InputError` naming the first row where it is not finite."""
    p, q = log_p(rows), log_q(rows)
    for values, density in ((p, "log_p"), (q, "log_q")):
        if values.shape != (len(rows),):
            raise InputError(f"{density} must give one value for each of {len(rows)} rows, not {tuple(values.shape)}")
    v = p.double() - q.double()
    if not bool(torch.isfinite(v).all()):
        row = int((~torch.isfinite(v)).nonzero()[0])
        raise InputError(
            f"ln p/q is {float(v[row])} at row {row} of {name}: a density is 0 there; mix both with a wide one"
        )
    return v


@final
@dataclass(frozen=True, eq=False)
class LikelihoodStatistic:
    """mean v(x) - mean v(y), v = log_p - log_q; each pooled row is scored once for all relabellings."""

    log_p: Score
    log_q: Score

    def __call__(self, x: Float[Tensor, "n d"], y: Float[Tensor, "m d"]) -> Float[Tensor, ""]:
        """In nats, float64, with the densities' own gradients."""
        return scores(x, self.log_p, self.log_q, "x").mean() - scores(y, self.log_p, self.log_q, "y").mean()

    def with_null(self, x: Float[Tensor, "n d"], y: Float[Tensor, "m d"], members: Tensor) -> tuple[Tensor, Tensor]:
        """The statistic and its values under each column of `members` `(N, B)`."""
        n, m = len(x), len(y)
        v = torch.cat([scores(x, self.log_p, self.log_q, "x"), scores(y, self.log_p, self.log_q, "y")])
        chosen = v @ members.to(v)
        return v[:n].mean() - v[n:].mean(), chosen / n - (v.sum() - chosen) / m


def lrt(
    x: Float[Tensor, "n d"],
    y: Float[Tensor, "m d"],
    *,
    permutations: int,
    generator: Generator,
    log_p: Score | None = None,
    log_q: Score | None = None,
) -> TestResult:
    """Two-sample test by the given densities: `log_p` of the data and `log_q` of the model, `(n, d) -> (n,)` each.

    H0 is that x and y come from one distribution, whichever; of the tests against "x from P and y from Q" the one on
    sum v(x) - sum v(y) is the likelihood-ratio test for n = m. The p-value is by relabelling, so it holds whether or
    not the densities are right or normalised. The effect is mean v(x) - mean v(y), which estimates KL(P||Q) + KL(Q||P)
    where they are right. The witness is v by the link of Jeffreys' divergence.
    """
    p, q = _given(log_p, log_q)
    return run_permutations(
        "lrt",
        LikelihoodStatistic(p, q),
        x,
        y,
        permutations=permutations,
        generator=generator,
        effect=lambda: _difference(p, q, x, y, 0.95),
        witness=lambda: LINKS["jeffreys"](lambda rows: p(rows) - q(rows)),
    )


def lrt_distance(
    x: Float[Tensor, "n d"],
    y: Float[Tensor, "m d"],
    *,
    generator: Generator,
    level: float = 0.95,
    log_p: Score | None = None,
    log_q: Score | None = None,
) -> Estimate:
    """mean v(x) - mean v(y) with its normal interval: Jeffreys' divergence where the densities are right."""
    return _difference(*_given(log_p, log_q), x, y, level)


def _difference(p: Score, q: Score, x: Tensor, y: Tensor, level: float) -> Estimate:
    identity = Witness(phi=lambda rows: scores(rows, p, q, "x"), psi=lambda rows: scores(rows, p, q, "y"))
    return estimate(identity, x, y, level=level)


def _given(log_p: Score | None, log_q: Score | None) -> tuple[Score, Score]:
    if log_p is None or log_q is None:
        raise InputError("the likelihood-ratio test needs both log densities; give log_p= and log_q=, rows to values")
    return log_p, log_q


def _statistic(log_p: Score | None = None, log_q: Score | None = None) -> Statistic:
    return LikelihoodStatistic(*_given(log_p, log_q))


METHODS: dict[str, Method] = {
    "lrt": Method(
        family="densities",
        reads="the likelihood ratio: best where both log densities are known",
        convention="mean v(x) - mean v(y), v = log_p - log_q, in nats",
        cost="both densities once per row, then (n+m) B",
        effect="KL(P||Q) + KL(Q||P), in nats, where the densities are right",
        assumes="log_p= and log_q= are given; the test holds whether or not they are right",
        test=lrt,
        distance=lrt_distance,
        statistic=_statistic,
    ),
}
