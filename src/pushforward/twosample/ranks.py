"""Rank tests, feature by feature: Kolmogorov-Smirnov and Cramer-von Mises, with one joint permutation null.

For one feature with pooled order statistics z_(1) <= ... <= z_(N), N = n + m, let c_k be the number of x among the
first k. Both statistics are functions of c alone,

    D = max_k |c_k/n - (k - c_k)/m|             (k runs over the last of each group of ties),
    T = U/(nmN) - (4nm - 1)/(6N),  U = n sum_{k in x} (R_k - c_k)^2 + m sum_{k in y} (R_k - k + c_k)^2,

with R_k the mid-rank (Kolmogorov 1933, Smirnov 1939; Anderson 1962: the values of scipy's `ks_2samp` and
`cramervonmises_2samp`). So each feature is sorted once, and all B relabellings are a cumulative sum of their members in
that order. Features are joined by the maximum of D, or the sum of T; relabelling whole rows keeps their dependence, so
the joint p-value is exact (Westfall and Young 1993). The single features' p-values come from scipy's exact or limiting
distributions, adjusted by Holm or Benjamini and Hochberg. Ties make those of D conservative; those of T do not hold
then, and are replaced by the feature's own permutation p-value.
"""

import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import final

import torch
from jaxtyping import Bool, Float
from torch import Generator, Tensor

from pushforward.errors import InputError
from pushforward.readings.adjust import adjust_pvalues
from pushforward.readings.significance import draw_members, permutation_pvalue
from pushforward.twosample.method import Method
from pushforward.twosample.result import Part, TestResult
from pushforward.witness import Estimate

_CELLS = 1 << 22  # rows times relabellings held at a time
_LARGE = 100_000  # pooled rows above which "auto" takes the limiting null: relabelling costs B N there
_EXACT_PAIRS = 1_000_000  # n m up to which a single feature's p-value is exact
_TIED = 0.01  # share of the rows that one value may hold for the limiting law of T to serve
SMALLEST = 5e-324  # a tail that underflows is still above 0


def member_runs(members: Bool[Tensor, "N B"], order: Tensor) -> Iterator[Tensor]:
    """The relabellings in the order of one feature, as `(b, N)` bool pieces of bounded size."""
    rows = members.T
    step = max(1, _CELLS // len(order))
    for start in range(0, len(rows), step):
        yield rows[start : start + step].index_select(1, order)


def observed_first(n: int, members: Bool[Tensor, "N B"]) -> Bool[Tensor, "N C"]:
    """The labels as given, then those of `members`: one path for the statistic and its null."""
    given = torch.zeros(members.shape[1] + 1, len(members), dtype=torch.bool, device=members.device)
    given[0, :n] = True
    given[1:] = members.T
    return given.T


@final
@dataclass(frozen=True)
class KolmogorovSmirnov:
    """The largest of the features' Kolmogorov-Smirnov distances, in [0, 1]. Piecewise constant: no gradient."""

    def __call__(self, x: Float[Tensor, "n d"], y: Float[Tensor, "m d"]) -> Float[Tensor, ""]:
        """max_j sup_t |F_x,j(t) - F_y,j(t)|."""
        return ks_distances(x, y, _as_given(x, y)).amax()

    def with_null(
        self, x: Float[Tensor, "n d"], y: Float[Tensor, "m d"], members: Bool[Tensor, "N B"]
    ) -> tuple[Tensor, Tensor]:
        """The statistic and its values under each column of `members`: one sort and B cumulative sums a feature."""
        joint = ks_distances(x, y, observed_first(len(x), members)).amax(0)
        return joint[0], joint[1:]


@final
@dataclass(frozen=True)
class CramerVonMises:
    """The sum over features of the Cramer-von Mises statistic T. Piecewise constant: no gradient."""

    def __call__(self, x: Float[Tensor, "n d"], y: Float[Tensor, "m d"]) -> Float[Tensor, ""]:
        """sum_j T_j, scipy's T."""
        return cvm_statistics(x, y, _as_given(x, y)).sum()

    def with_null(
        self, x: Float[Tensor, "n d"], y: Float[Tensor, "m d"], members: Bool[Tensor, "N B"]
    ) -> tuple[Tensor, Tensor]:
        """The statistic and its values under each column of `members`: one sort and B cumulative sums a feature."""
        joint = cvm_statistics(x, y, observed_first(len(x), members)).sum(0)
        return joint[0], joint[1:]


def ks_distances(
    x: Float[Tensor, "n d"], y: Float[Tensor, "m d"], members: Bool[Tensor, "N C"]
) -> Float[Tensor, "d C"]:
    """D of every feature under every labelling, in float64; exact integers until the last division."""
    n, m = len(x), len(y)
    up, down = m // math.gcd(n, m), n // math.gcd(n, m)
    small = (n + m) * max(up, down) < 2**31
    found = []
    for column in torch.cat([x, y]).unbind(1):
        values, order = column.sort()
        last = torch.cat([values[1:] != values[:-1], values.new_ones(1, dtype=torch.bool)])
        place = torch.arange(1, n + m + 1, device=values.device)
        pieces = []
        for piece in member_runs(members, order):
            count = piece.cumsum(1, dtype=torch.int32 if small else torch.int64)
            height = count.mul_(up + down).sub_(down * place)  # up for a member, down for another
            pieces.append((height * last).abs_().amax(1))
        found.append(torch.cat(pieces))
    return torch.stack(found).double() / (up * n)


def cvm_statistics(
    x: Float[Tensor, "n d"], y: Float[Tensor, "m d"], members: Bool[Tensor, "N C"]
) -> Float[Tensor, "d C"]:
    """T of every feature under every labelling, in float64."""
    n, m = len(x), len(y)
    total = n + m
    found = []
    for column in torch.cat([x, y]).unbind(1):
        values, order = column.sort()
        place = torch.arange(1, total + 1, device=values.device, dtype=torch.float64)
        _, group, size = torch.unique_consecutive(values, return_inverse=True, return_counts=True)
        above = place - (size.cumsum(0).double() - 0.5 * (size.double() - 1.0))[group]  # k - R_k
        pieces = []
        for piece in member_runs(members, order):
            count = piece.cumsum(1, dtype=torch.int32).double()
            in_y = (place - above - count).square_()  # of the members of x
            in_x = (count - above).square_()  # of the others: R_k - (k - c_k)
            pieces.append(torch.where(piece, n * in_y, m * in_x).sum(1))
        found.append(torch.cat(pieces))
    return torch.stack(found) / (n * m * total) - (4.0 * n * m - 1.0) / (6.0 * total)


def ks_test(
    x: Float[Tensor, "n d"],
    y: Float[Tensor, "m d"],
    *,
    permutations: int,
    generator: Generator,
    adjust: str = "holm",
    null: str = "auto",
) -> TestResult:
    """Test by the largest feature-wise Kolmogorov-Smirnov distance.

    `null` "permutation": relabelling of whole rows. "asymptotic": Kolmogorov's distribution (exact where nm <= 1e6) for
    each feature, the smallest p-value times the number of features; conservative under ties. "auto" takes the first up
    to 100,000 pooled rows. `adjust` ("holm" or "bh") is for the single features, which are the `parts`. The effect is
    the distance with an interval that covers the largest distance at its level at any sample size
    (`ks_interval`).
    """
    _check(null, adjust)
    pvalues = [_ks_pvalue(a, b) for a, b in _columns(x, y)]
    rows = (x, y)
    if null == "asymptotic" or (null == "auto" and len(x) + len(y) > _LARGE):
        return _limiting("ks", rows, ks_distances(x, y, _as_given(x, y))[:, 0], pvalues, adjust)
    return _relabelled("ks", rows, pvalues, adjust, permutations=permutations, generator=generator)


def cvm_test(
    x: Float[Tensor, "n d"],
    y: Float[Tensor, "m d"],
    *,
    permutations: int,
    generator: Generator,
    adjust: str = "holm",
    null: str = "auto",
) -> TestResult:
    """Test by the sum over features of the Cramer-von Mises statistic; options as in `ks_test`.

    The limiting distribution does not hold for tied values: single features with a value that more than 1 % of the
    rows share get permutation p-values, and the asymptotic null is refused (`InputError`), also where
    "auto" would take it.

    The effect is the mean over features of the integral of (F_x - F_y)^2 over the pooled rows, bias removed
    (`cvm_distance`).
    """
    _check(null, adjust)
    pvalues = [_cvm_pvalue(a, b) for a, b in _columns(x, y)]
    rows = (x, y)
    if null == "asymptotic" or (null == "auto" and len(x) + len(y) > _LARGE):
        known = [p for p in pvalues if p is not None]
        if len(known) < len(pvalues):
            raise InputError('cvm has no limiting null for tied values; use method ks, or null="permutation"')
        return _limiting("cvm", rows, cvm_statistics(x, y, _as_given(x, y))[:, 0], known, adjust)
    return _relabelled("cvm", rows, pvalues, adjust, permutations=permutations, generator=generator)


def ks_distance(
    x: Float[Tensor, "n d"], y: Float[Tensor, "m d"], *, generator: Generator, level: float = 0.95
) -> Estimate:
    """The largest Kolmogorov-Smirnov distance over features (`ks_interval`); nothing is random."""
    return ks_interval(float(KolmogorovSmirnov()(x, y)), len(x), len(y), x.shape[1], level)


def ks_interval(distance: float, n: int, m: int, features: int, level: float = 0.95) -> Estimate:
    """An interval for max_j D_j that holds at any sample size, half of 1 - level to each side.

    A row moves the figure by at most 1/n (1/m), so it strays from its mean by McDiarmid's bound, and its mean is
    not below the truth: that gives `high`. `low` gives way by the bands of Dvoretzky, Kiefer, Wolfowitz and Massart
    around all 2 d distribution functions. `stderr` is the bound of Efron and Stein, (1/n + 1/m)^.5 / 2.
    """
    miss = (1.0 - level) / 2.0
    above = math.sqrt(math.log(1.0 / miss) / 2.0 * (1.0 / n + 1.0 / m))
    band = math.sqrt(math.log(4.0 * features / miss) / 2.0)
    below = band / math.sqrt(n) + band / math.sqrt(m)
    stderr = 0.5 * math.sqrt(1.0 / n + 1.0 / m)
    return Estimate(distance, stderr, max(0.0, distance - below), min(1.0, distance + above), level)


def cvm_distance(
    x: Float[Tensor, "n d"], y: Float[Tensor, "m d"], *, generator: Generator, level: float = 0.95
) -> Estimate:
    """Mean over features of theta = integral of (F_x - F_y)^2 over the pooled rows; nothing is random.

    The plug-in less its bias at given places, F_x(1 - F_x)/(n - 1) + F_y(1 - F_y)/(m - 1), so that it is about 0 on
    average at equal distributions and may be negative. The standard error is that of its influence function, for a row
    at x 2 int_{t >= x} (F_x - F_y) dH + n/N (F_x - F_y)^2(x), likewise for y: the first order, which vanishes in truth
    at equal distributions.
    """
    n, m = len(x), len(y)
    value, influence = 0.0, torch.zeros(n + m, dtype=torch.float64, device=x.device)
    for column in torch.cat([x, y]).unbind(1):
        values, order = column.sort()
        _, group, size = torch.unique_consecutive(values, return_inverse=True, return_counts=True)
        end = size.cumsum(0)
        in_x = order < n
        count = in_x.cumsum(0)[end - 1].double()
        share_x, share_y = count / n, (end - count) / m
        gap = share_x - share_y
        bias = share_x * (1.0 - share_x) / (n - 1) + share_y * (1.0 - share_y) / (m - 1)
        weighted = gap * size / (n + m)
        value += float((gap * weighted - bias * size / (n + m)).sum())
        beyond = 2.0 * weighted.flip(0).cumsum(0).flip(0)
        of_x, of_y = beyond + n / (n + m) * gap.square(), m / (n + m) * gap.square() - beyond
        influence[order] += torch.where(in_x, of_x[group], of_y[group])
    features = x.shape[1]
    spread = influence[:n].var() / n + influence[n:].var() / m
    return Estimate.normal(value / features, math.sqrt(float(spread)) / features, level)


def _as_given(x: Tensor, y: Tensor) -> Tensor:
    return observed_first(len(x), torch.zeros(len(x) + len(y), 0, dtype=torch.bool, device=x.device))


def _columns(x: Tensor, y: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
    """The features of both sides, on the CPU."""
    return zip(x.detach().cpu().unbind(1), y.detach().cpu().unbind(1), strict=True)


def _ks_pvalue(a: Tensor, b: Tensor) -> float:
    from scipy.stats import ks_2samp

    method = "exact" if len(a) * len(b) <= _EXACT_PAIRS else "asymp"
    return max(float(ks_2samp(a.double().numpy(), b.double().numpy(), method=method).pvalue), SMALLEST)


def _cvm_pvalue(a: Tensor, b: Tensor) -> float | None:
    """None where one value holds more than a hundredth of the rows: the law is that of untied values."""
    from scipy.stats import cramervonmises_2samp

    copies = int(torch.cat([a, b]).unique(return_counts=True)[1].max())
    if copies > max(1.0, _TIED * (len(a) + len(b))):
        return None
    method = "exact" if max(len(a), len(b)) <= 10 else "asymptotic"
    return max(float(cramervonmises_2samp(a.double().numpy(), b.double().numpy(), method=method).pvalue), SMALLEST)


def _check(null: str, adjust: str) -> None:
    if null not in ("auto", "permutation", "asymptotic"):
        raise InputError(f'the null is "auto", "permutation" or "asymptotic", not {null!r}')
    adjust_pvalues([1.0], adjust)


def _parts(values: Tensor, pvalues: list[float], adjust: str) -> tuple[Part, ...]:
    adjusted = adjust_pvalues(pvalues, adjust)
    parts = [
        Part(f"feature {j}", float(v), p, float(q))
        for j, (v, p, q) in enumerate(zip(values, pvalues, adjusted, strict=True))
    ]
    return tuple(sorted(parts, key=lambda part: (part.pvalue, -part.statistic)))


def _effect(method: str, x: Tensor, y: Tensor, generator: Generator) -> Estimate:
    return (ks_distance if method == "ks" else cvm_distance)(x, y, generator=generator)


def _relabelled(
    method: str,
    rows: tuple[Tensor, Tensor],
    pvalues: Sequence[float | None],
    adjust: str,
    *,
    permutations: int,
    generator: Generator,
) -> TestResult:
    """The joint test by relabelling; features without a p-value get theirs from the same relabellings."""
    started = time.perf_counter()
    x, y = rows
    members = draw_members(len(x), len(y), permutations, generator=generator).to(x.device)
    with torch.no_grad():
        scores = (ks_distances if method == "ks" else cvm_statistics)(x, y, observed_first(len(x), members))
        joint = scores.amax(0) if method == "ks" else scores.sum(0)
    filled = [
        permutation_pvalue(float(score[0]), score[1:]) if p is None else p
        for p, score in zip(pvalues, scores, strict=True)
    ]
    return TestResult(
        method=method,
        statistic=float(joint[0]),
        pvalue=permutation_pvalue(float(joint[0]), joint[1:]),
        null=joint[1:],
        effect=_effect(method, x, y, generator),
        n_x=len(x),
        n_y=len(y),
        permutations=permutations,
        witness=None,
        seconds=time.perf_counter() - started,
        parts=_parts(scores[:, 0], filled, adjust),
    )


def _limiting(
    method: str, rows: tuple[Tensor, Tensor], values: Tensor, pvalues: list[float], adjust: str
) -> TestResult:
    """The joint test by the smallest of the features' p-values, times their number (Bonferroni)."""
    started = time.perf_counter()
    x, y = rows
    return TestResult(
        method=method,
        statistic=float(values.amax() if method == "ks" else values.sum()),
        pvalue=min(1.0, min(pvalues) * len(pvalues)),
        null=torch.empty(0, dtype=torch.float64),
        effect=_effect(method, x, y, torch.Generator()),
        n_x=len(x),
        n_y=len(y),
        permutations=0,
        witness=None,
        seconds=time.perf_counter() - started,
        parts=_parts(values, pvalues, adjust),
    )


METHODS = {
    "ks": Method(
        family="ranks",
        reads="Kolmogorov-Smirnov, feature by feature: any difference of one distribution, best near its middle",
        convention="max over features of sup|F_x - F_y|",
        cost="d (n+m) (log(n+m) + B)",
        effect="largest Kolmogorov-Smirnov distance",
        test=ks_test,
        distance=ks_distance,
    ),
    "cvm": Method(
        family="ranks",
        reads="Cramer-von Mises, feature by feature: like ks, but adding up small differences",
        convention="sum over features of scipy's T = nm/(n+m) times the integral of (F_x - F_y)^2 over the pooled rows",
        cost="d (n+m) (log(n+m) + B)",
        effect="mean over features of the integral of (F_x - F_y)^2, bias removed",
        test=cvm_test,
        distance=cvm_distance,
    ),
}
