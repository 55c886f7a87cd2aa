"""Divergences of discrete data: every distinct row is a category, and everything is a function of the two counts.

With p_c and q_c the shares of category c among x and y, the plug-in divergence is the direct sum over categories. Its
expectation lies above the truth: to second order by half the trace of the Hessian times the multinomial covariance,

    bias = 1/2 sum_c [g_pp p_c (1 - p_c)/n + g_qq q_c (1 - q_c)/m],    D = sum_c g(p_c, q_c),

which for P = Q is f''(1)/2 (K - 1)(1/n + 1/m) (Miller 1955 and Madow for the entropy). The estimate takes it off unless
`correct=False`. It needs counts of several in most categories: where most rows are alone in theirs, no correction helps
and the estimate means little.
"""

import math
from dataclasses import dataclass
from typing import final

import torch
from jaxtyping import Bool, Float, Int
from torch import Generator, Tensor

from pushforward.errors import InputError
from pushforward.twosample.divergences import Divergence, of_masses
from pushforward.twosample.method import Method
from pushforward.twosample.result import TestResult
from pushforward.twosample.running import run_permutations
from pushforward.witness import Estimate, Witness

_CELLS = 2**24  # entries of the tables made at a time


def categories(
    x: Float[Tensor, "n d"], y: Float[Tensor, "m d"], bins: int | None = None
) -> tuple[Int[Tensor, " N"], int]:
    """The category of each pooled row, and how many there are.

    A category is a distinct row; with `bins`, a distinct row of bins, each column cut at the quantiles of the pooled
    rows. Which side a row is on is not looked at, so a permutation test on the result stays exact.
    """
    rows = torch.cat([x, y])
    if bins is not None:
        if bins < 2:
            raise InputError(f"a column needs at least 2 bins, not {bins}")
        ordered = rows.sort(0).values
        cuts = ordered[[(len(rows) * i) // bins for i in range(1, bins)]]
        rows = (rows[:, None, :] >= cuts[None]).sum(1)
    if rows.shape[1] == 1:
        distinct, index = torch.unique(rows[:, 0], return_inverse=True)
    else:
        distinct, index = torch.unique(rows, dim=0, return_inverse=True)
    return index, len(distinct)


def _counts(index: Tensor, size: int, n: int) -> tuple[Tensor, Tensor]:
    """How often each category occurs among the first n and among the other rows, float64."""
    left, right = (torch.bincount(part, minlength=size).double() for part in (index[:n], index[n:]))
    return left, right


@final
@dataclass(frozen=True)
class CountTest:
    """Pearson's chi-square or the likelihood-ratio G of the 2 x K table of counts, all relabellings by their counts.

    With e = c_k n/N the expected counts: chi2 = sum (o - e)^2/e and G = 2 sum o ln(o/e), over both sides. Both are
    finite whatever the supports.
    """

    statistic: str = "chi2"
    bins: int | None = None

    def __call__(self, x: Float[Tensor, "n d"], y: Float[Tensor, "m d"]) -> Float[Tensor, ""]:
        """The statistic in float64."""
        index, size = categories(x, y, self.bins)
        left, right = _counts(index, size, len(x))
        return self._of_counts(left[:, None], left + right, len(x) / (len(x) + len(y)))[0]

    def with_null(
        self, x: Float[Tensor, "n d"], y: Float[Tensor, "m d"], members: Bool[Tensor, "N B"]
    ) -> tuple[Tensor, Tensor]:
        """The statistic and its values under each column of `members`: counts are sums of rows of `members`."""
        index, size = categories(x, y, self.bins)
        total = torch.bincount(index, minlength=size).double()
        share, values = len(x) / len(members), []
        for part in members.split(max(1, _CELLS // len(members)), 1):
            table = torch.zeros(size, part.shape[1], device=members.device)  # whole numbers below 2^24: exact
            table.index_add_(0, index, part.float())
            values.append(self._of_counts(table.double(), total, share))
        left, _ = _counts(index, size, len(x))
        return self._of_counts(left[:, None], total, share)[0], torch.cat(values)

    def _of_counts(self, left: Tensor, total: Tensor, share: float) -> Tensor:
        """`left` `(K, B)` counts of x, `total` `(K,)` counts of both, `share` = n/N."""
        expected = share * total[:, None]
        if self.statistic == "chi2":  # (o - e)^2 (1/e + 1/(c - e)): what one side has too many the other lacks
            return ((left - expected) ** 2 / (expected * (1.0 - share))).sum(0)
        right, other = total[:, None] - left, (1.0 - share) * total[:, None]
        return 2.0 * (torch.xlogy(left, left / expected) + torch.xlogy(right, right / other)).sum(0)


@final
@dataclass(frozen=True)
class MassStatistic:
    """The plug-in divergence of the categories' shares: direct sums, infinite where the supports say so."""

    kind: Divergence
    bins: int | None = None

    def __call__(self, x: Float[Tensor, "n d"], y: Float[Tensor, "m d"]) -> Float[Tensor, ""]:
        """In nats where the divergence has them, float64; piecewise constant, so without a gradient."""
        left, right = _counts(*categories(x, y, self.bins), len(x))
        return of_masses(self.kind, left / len(x), right / len(y))


def discrete_test(
    x: Float[Tensor, "n d"],
    y: Float[Tensor, "m d"],
    *,
    permutations: int,
    generator: Generator,
    statistic: str = "chi2",
    divergence: str = "js",
    order: float = 0.5,
    bins: int | None = None,
) -> TestResult:
    """Permutation test of the 2 x K table of counts by Pearson's chi-square ("chi2") or the likelihood ratio ("g").

    Exact at any counts, small ones too. Where no row repeats (continuous data without `bins`) the statistic is the same
    for every relabelling and p = 1. The effect is the `divergence` (of `order`) as in `discrete_distance`. The witness
    scores ln p/q per category with half a row added to each count; unseen categories score 0.
    """
    if statistic not in ("chi2", "g"):
        raise InputError(f'the statistic of counts is "chi2" or "g", not {statistic!r}')
    kind = Divergence(divergence, order)
    return run_permutations(
        "discrete",
        CountTest(statistic, bins),
        x,
        y,
        permutations=permutations,
        generator=generator,
        effect=lambda: _estimate(kind, x, y, 0.95, bins, correct=True),
        witness=None if bins is not None else lambda: mass_witness(x, y),
        quadratic=True,
    )


def discrete_distance(
    x: Float[Tensor, "n d"],
    y: Float[Tensor, "m d"],
    *,
    generator: Generator,
    level: float = 0.95,
    divergence: str = "js",
    order: float = 0.5,
    bins: int | None = None,
    correct: bool = True,
) -> Estimate:
    """The plug-in divergence less its second-order bias (`correct`), with an interval; nothing is random.

    The variance is the delta method's, sum p_c a_c^2 - (sum p_c a_c)^2 over n for a = dg/dp, likewise for q, plus the
    second-order f''(1)^2 (K - 1)(1/n + 1/m)^2/2 that remains where P = Q. `tv` has no second derivative: it stays as it
    is, with McDiarmid's interval sqrt(ln(2/(1 - level))/2 (1/n + 1/m)) about its expectation, which lies above the
    truth by at most sqrt(K - 1)/2 (n^-1/2 + m^-1/2). An infinite value has NaN limits.
    """
    return _estimate(Divergence(divergence, order), x, y, level, bins, correct=correct)


def _estimate(kind: Divergence, x: Tensor, y: Tensor, level: float, bins: int | None, *, correct: bool) -> Estimate:
    n, m = len(x), len(y)
    left, right = _counts(*categories(x, y, bins), n)
    p, q = left / n, right / m
    value = float(of_masses(kind.base, p, q))
    if not math.isfinite(value):
        return Estimate(math.inf, math.nan, math.nan, math.nan, level)
    if kind.name == "tv":
        half = math.sqrt(0.5 * math.log(2.0 / (1.0 - level)) * (1.0 / n + 1.0 / m))
        sign = (p - q).sign()
        stderr = math.sqrt(0.25 * (_variance(p, sign) / n + _variance(q, sign) / m))
        return Estimate(value, stderr, max(0.0, value - half), min(1.0, value + half), level)
    variance, bias = _expansion(kind.base, p, q, n, m)
    second = 0.5 * kind.curvature**2 * (len(p) - 1) * (1.0 / n + 1.0 / m) ** 2
    centred = value - bias if correct else value
    return kind.from_base(Estimate.normal(centred, math.sqrt(variance + second), level))


def _expansion(kind: Divergence, p: Tensor, q: Tensor, n: int, m: int) -> tuple[float, float]:
    """Variance and bias of the plug-in from its first and second derivatives; absent categories contribute nothing."""
    with torch.enable_grad():
        a, b = p.clone().requires_grad_(), q.clone().requires_grad_()
        # each side's derivatives where it has mass; the other side's zeros stay constants
        first = torch.autograd.grad(of_masses(kind, a, b), (a, b), create_graph=True)
        present = [torch.where(side > 0.0, slope, 0.0) for side, slope in zip((p, q), first, strict=True)]
        second = [
            torch.autograd.grad(slope.sum(), side, retain_graph=True, allow_unused=True)[0]
            for slope, side in zip(present, (a, b), strict=True)
        ]
    slopes = [torch.where(side > 0.0, slope.detach(), 0.0) for side, slope in zip((p, q), first, strict=True)]
    variance = _variance(p, slopes[0]) / n + _variance(q, slopes[1]) / m
    bias = 0.0
    for side, curve, rows in zip((p, q), second, (n, m), strict=True):
        if curve is not None:
            bias += 0.5 * float(torch.where(side > 0.0, curve * side * (1.0 - side), 0.0).sum()) / rows
    return variance, bias


def _variance(share: Tensor, value: Tensor) -> float:
    mean = (share * value).sum()
    return max(0.0, float((share * (value - mean) ** 2).sum()))


def mass_witness(x: Float[Tensor, "n d"], y: Float[Tensor, "m d"]) -> Witness:
    """v = ln p/q of a row's category, with half a row added to each count; 0 for rows seen on neither side.

    Through the link of `js`: certified for these scores, since any score is, and a log ratio.
    """
    known, index = torch.unique(torch.cat([x, y]).double(), dim=0, return_inverse=True)
    left, right = _counts(index, len(known), len(x))
    smooth = 0.5 * len(known)
    ratio = ((left + 0.5) / (len(x) + smooth)).log() - ((right + 0.5) / (len(y) + smooth)).log()

    def score(rows: Tensor) -> Tensor:
        wanted = rows.detach().flatten(1).to(known)
        both, place = torch.unique(torch.cat([known, wanted]), dim=0, return_inverse=True)
        table = torch.zeros(len(both), dtype=torch.float64, device=known.device)
        table[place[: len(known)]] = ratio
        return table[place[len(known) :]].to(rows)

    return Divergence("js").link()(score, differentiable=False)


METHODS = {
    "discrete": Method(
        family="densities",
        reads="counts of distinct rows: any difference between discrete distributions of few values",
        convention="Pearson's chi-square of the 2 x K counts (or G = 2 sum o ln(o/e))",
        cost="(n+m) (log(n+m) + B)",
        effect="divergence of the shares, bias removed (default js: 2 JSD, in nats)",
        assumes="rows that repeat; with bins=, columns are cut at pooled quantiles",
        test=discrete_test,
        distance=discrete_distance,
        statistic=lambda divergence="js", order=0.5, bins=None: MassStatistic(Divergence(divergence, order), bins),
    ),
}
