"""Divergences from the distances to k-th nearest neighbours: no density is fitted, nothing is trained.

For a row x_i let rho be the distance to its k-th nearest other row of x and nu that to its k-th nearest row of y. The
ball estimates of the densities there, k/((n-1) c rho^d) and k/(m c nu^d), give the log ratio

    u_i = ln m/(n-1) + d ln(nu/rho)   (about ln p/q at x_i),    w_j = ln n/(m-1) + d ln(nu/rho)   (about ln q/p at y_j).

- `kl`: mean u, consistent at fixed k because the bias of ln rho and of ln nu is the same digamma (Wang, Kulkarni and
  Verdu 2009); `reverse-kl`: mean w; `jeffreys`: their sum.
- int p^a q^(1-a), from x where a > 1/2, by (Gamma(k)^2 / (Gamma(k-a+1) Gamma(k+a-1))) mean e^((a-1)u), whose factor
  removes the bias of fixed k (Poczos and Schneider 2011; it needs k > |a - 1|); from y, with 1 - a for a, where
  a < 1/2; from both, averaged, at a = 1/2. Hence `alpha`, `renyi`, `hellinger` (a = 1/2), `pearson` (2) and `neyman`
  (-1).
- `js` and `tv` are no such moments, and the estimate is plugged into their bound E_P phi(v) - E_Q psi(v) with v = u on
  x and v = -w on y. The noise in v does not vanish at fixed k, so they come out low by O(1/k), and may be negative
  where P = Q. So k is sqrt(min(n, m)) for these two, between 5 and 100, and 5 for the others, unless it is given.

All of them also carry the bias of densities that are not flat across a ball, which grows with d: n^(-1/d) or so. It is
worst where one density reaches into tails that the other leaves empty: `reverse-kl` and `neyman` of a wide model come
out too low.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import final

import torch
from jaxtyping import Bool, Float
from torch import Generator, Tensor
from torch.nn.functional import logsigmoid, softplus

from pushforward.errors import InputError
from pushforward.readings.jackknife import jackknife
from pushforward.twosample.divergences import Divergence, renyi_of_alpha
from pushforward.twosample.method import Method
from pushforward.twosample.neighbours import nearest
from pushforward.twosample.result import TestResult
from pushforward.twosample.running import run_permutations
from pushforward.witness import Estimate, Statistic, Witness

_K = 5  # neighbours where the bias of a fixed number is removed
_MOST_K = 100
_CELLS = 2**24  # entries of a table of neighbours under relabelling, made at a time
_MOST = 2**34  # entries of all such tables together: about two minutes of one core
_SPARE = 8  # neighbours beyond k (and half as many again as k), for the groups that the jackknife leaves out
_LARGE = 100_000  # rows beyond which ten groups have to do
_TINY = 1e-150  # a distance whose square is still positive
_LN2 = math.log(2.0)


def of_ratios(
    kind: Divergence, u: Float[Tensor, "N *b"], w: Float[Tensor, "N *b"], on_x: Float[Tensor, "N *b"], k: int
) -> Float[Tensor, "*b"]:
    """The divergence from log ratios: `u` where `on_x` is 1 and `w` where it is 0 (elsewhere they may hold anything
    finite).
    """
    n = on_x.sum(0)
    m = len(on_x) - n

    def mean(values: Tensor, side: Tensor, rows: Tensor) -> Tensor:
        return (values * side).sum(0) / rows

    def power(a: float) -> Tensor:
        order = max(a, 1.0 - a)  # as seen from the side that it is estimated on
        log_factor = 2.0 * math.lgamma(k) - math.lgamma(k - order + 1.0) - math.lgamma(k + order - 1.0)
        from_x = mean(((a - 1.0) * u).exp(), on_x, n) if a >= 0.5 else u.new_zeros(())
        from_y = mean((-a * w).exp(), 1.0 - on_x, m) if a <= 0.5 else u.new_zeros(())
        return math.exp(log_factor) * (from_x + from_y) / (2.0 if a == 0.5 else 1.0)

    def plain(name: str) -> Tensor:
        if name == "kl":
            return mean(u, on_x, n)
        if name == "reverse-kl":
            return mean(w, 1.0 - on_x, m)
        if name == "jeffreys":
            return mean(u, on_x, n) + mean(w, 1.0 - on_x, m)
        if name == "js":
            return mean(_LN2 + logsigmoid(u), on_x, n) - mean(softplus(-w) - _LN2, 1.0 - on_x, m)
        if name == "tv":
            return 0.5 * (mean(u.sign(), on_x, n) + mean(w.sign(), 1.0 - on_x, m))
        if name == "hellinger":
            return 2.0 * (1.0 - power(0.5))
        return power(2.0 if name == "pearson" else -1.0) - 1.0

    if kind.base.name != "alpha":
        return plain(kind.name)
    a = kind.order
    value = plain({1.0: "kl", 0.0: "reverse-kl"}[a]) if a in (0.0, 1.0) else (power(a) - 1.0) / (a * (a - 1.0))
    return renyi_of_alpha(value, a) if kind.name == "renyi" else value


@final
@dataclass(frozen=True)
class NeighbourStatistic:
    """The estimate of `kind` from k-th neighbours.

    Zero distances (rows that repeat more than k times) count as the smallest positive one among the pooled rows'
    neighbours, which no relabelling changes: the test stays exact, though the estimate then means little.
    """

    kind: Divergence
    k: int | None = None

    def __call__(self, x: Float[Tensor, "n d"], y: Float[Tensor, "m d"]) -> Float[Tensor, ""]:
        """In nats where the divergence has them, float64. The gradient holds the choice of neighbours fixed."""
        k = _neighbours(self.kind, self.k, len(x), len(y))
        floor = _floor(torch.cat([x, y]), k)
        sides = []
        for own, other in ((x, y), (y, x)):
            rho = _kth(own, own, k, own=True).clamp_min(floor)
            nu = _kth(own, other, k, own=False).clamp_min(floor)
            sides.append(_log_ratio(rho.log(), nu.log(), len(own), len(other), x.shape[1]))
        return _join(self.kind, sides[0], sides[1], k)

    def with_null(
        self, x: Float[Tensor, "n d"], y: Float[Tensor, "m d"], members: Bool[Tensor, "N B"]
    ) -> tuple[Tensor, Tensor]:
        """The estimate and its values under each column of `members`.

        One list of the L nearest pooled rows of every row serves all relabellings: counting along it finds the k-th
        of either side. L is such that the lists of random labels are long enough; the rare column in which one is not
        is evaluated from its rows.
        """
        n, m, total = len(x), len(y), len(members)
        k = _neighbours(self.kind, self.k, n, m)
        length = _length(k, min(n, m) / total, total * members.shape[1], total - 1)
        if length * total * members.shape[1] > _MOST:
            most = max(19, _MOST // (length * total))
            raise InputError(
                f"nearest neighbours of {total} rows under {members.shape[1]} permutations take too long; "
                f"use at most {most} permutations, or fewer rows"
            )
        pooled = torch.cat([x, y])
        floor = _floor(pooled, k)
        near = nearest(pooled, pooled, length, own=True)
        log_distance = near.distance.clamp_min(floor).log()
        values = []
        for part in members.split(max(1, _CELLS // (length * total)), 1):
            values.append(self._relabelled(pooled, near.index, log_distance, part, (n, m, k)))
        return self(x, y), torch.cat(values)

    def _relabelled(
        self, pooled: Tensor, index: Tensor, log_distance: Tensor, members: Tensor, sizes: tuple[int, int, int]
    ) -> Tensor:
        """The estimate under each column of `members`, from the pooled rows' lists of neighbours."""
        (n, m, k), length = sizes, index.shape[1]
        same = members[index] == members[:, None, :]
        counted = same.cumsum(1, dtype=torch.int16)
        among = torch.arange(1, length + 1, dtype=torch.int16, device=index.device)[None, :, None]
        to_same = (counted < k).sum(1)
        to_other = (among - counted < k).sum(1)
        short = ((to_same >= length) | (to_other >= length)).any(0)
        last = length - 1
        log_rho = log_distance.gather(1, to_same.clamp_max(last))
        log_nu = log_distance.gather(1, to_other.clamp_max(last))
        d, on_x = pooled.shape[1], members.to(log_rho)
        u = _log_ratio(log_rho, log_nu, n, m, d)
        w = _log_ratio(log_rho, log_nu, m, n, d)
        values = of_ratios(self.kind, u, w, on_x, k)
        for b in short.nonzero()[:, 0].tolist():
            values[b] = self(pooled[members[:, b]], pooled[~members[:, b]])
        return values


def _join(kind: Divergence, u: Tensor, w: Tensor, k: int) -> Tensor:
    """The divergence from the log ratios of the rows of x and of y."""
    on_x = torch.cat([torch.ones_like(u), torch.zeros_like(w)])
    return of_ratios(kind, torch.cat([u, torch.zeros_like(w)]), torch.cat([torch.zeros_like(u), w]), on_x, k)


def _log_ratio(log_rho: Tensor, log_nu: Tensor, own: int, other: int, d: int) -> Tensor:
    return d * (log_nu - log_rho) + math.log(other / (own - 1))


def _kth(rows: Tensor, others: Tensor, k: int, *, own: bool) -> Tensor:
    """The distance of each row to the k-th nearest of `others`, float64; with a gradient where they have one."""
    near = nearest(rows, others, k, own=own)
    if not (rows.requires_grad or others.requires_grad):
        return near.distance[:, -1]
    return (rows.double() - others.double()[near.index[:, -1]]).square().sum(1).clamp_min(1e-300).sqrt()


def _floor(pooled: Tensor, k: int) -> float:
    """The smallest positive distance among the pooled rows' k nearest; 1 where all of them are 0. Where no row repeats
    no distance is below it, and it need not be found.
    """
    if len(torch.unique(pooled, dim=0) if pooled.shape[1] > 1 else torch.unique(pooled)) == len(pooled):
        return _TINY
    distances = nearest(pooled, pooled, k, own=True).distance
    positive = distances[distances > 0.0]
    return max(_TINY, float(positive.min())) if len(positive) else 1.0


def _neighbours(kind: Divergence, k: int | None, n: int, m: int) -> int:
    """How many neighbours: k, or by the rule of the module; `InputError` where there are too few rows for them."""
    if k is None:
        k = min(max(_K, round(math.sqrt(min(n, m)))), _MOST_K) if kind.name in ("js", "tv") else _K
    if min(n, m) <= k:
        raise InputError(f"{k} neighbours need at least {k + 1} rows on each side, not {n} and {m}; use a smaller k")
    return k


def _length(k: int, share: float, lists: int, most: int) -> int:
    """Neighbours enough that fewer than one of `lists` lists of random labels is expected to have k - 1 or fewer of
    the side of that `share`.
    """
    from scipy.stats import binom

    length = 2 * k
    while length < most and lists * float(binom.cdf(k - 1, length, share)) > 0.5:
        length += max(4, length // 8)
    return min(length, most)


def _checked(divergence: str, order: float, k: int | None) -> Divergence:
    """The divergence; `InputError` for fewer neighbours than it needs."""
    kind = Divergence(divergence, order)
    fixed = {"hellinger": 0.5, "pearson": 2.0, "neyman": -1.0}
    a = fixed.get(kind.name, kind.order if kind.base.name == "alpha" else 1.0)
    reach = abs(max(a, 1.0 - a) - 1.0)
    count = _K if k is None else k
    if count < 1 or count <= reach:
        raise InputError(f"the {kind.label} divergence needs more than {reach:g} neighbours, not k={count}")
    return kind


def knn_test(
    x: Float[Tensor, "n d"],
    y: Float[Tensor, "m d"],
    *,
    permutations: int,
    generator: Generator,
    divergence: str = "kl",
    order: float = 0.5,
    k: int | None = None,
) -> TestResult:
    """Permutation test by a nearest-neighbour estimate of `divergence`, which is also the effect.

    Rows that repeat do not invalidate the test (see `NeighbourStatistic`); the effect then has NaN limits. The witness
    is the log ratio ln p/q by k-th neighbours among x and among y, through the divergence's own link: on rows other
    than these its gap is a lower bound of the divergence.
    """
    kind = _checked(divergence, order, k)
    return run_permutations(
        f"{divergence}-knn",
        NeighbourStatistic(kind, k),
        x,
        y,
        permutations=permutations,
        generator=generator,
        effect=lambda: _estimate(kind, x, y, k, generator, 0.95, ties=True),
        witness=lambda: knn_witness(kind, x, y, k),
    )


def knn_distance(
    x: Float[Tensor, "n d"],
    y: Float[Tensor, "m d"],
    *,
    generator: Generator,
    level: float = 0.95,
    divergence: str = "kl",
    order: float = 0.5,
    k: int | None = None,
) -> Estimate:
    """The nearest-neighbour estimate with the interval of a delete-a-group jackknife, centred on its expectation.

    The jackknife lets both the rows and their parts as neighbours vary; what it does not see is the bias (see the
    module). `InputError` where rows repeat so often that a k-th distance is 0: there is no density then.
    """
    return _estimate(_checked(divergence, order, k), x, y, k, generator, level, ties=False)


def _estimate(
    kind: Divergence, x: Tensor, y: Tensor, given: int | None, generator: Generator, level: float, *, ties: bool
) -> Estimate:
    """The estimate; where distances vanish, its value alone (`ties`) or a refusal."""
    n, m = len(x), len(y)
    k = _neighbours(kind, given, n, m)
    near = [
        nearest(rows, others, min(k + k // 2 + _SPARE, len(others) - own), own=bool(own))
        for rows, others, own in ((x, x, 1), (x, y, 0), (y, y, 1), (y, x, 0))
    ]
    floor = 0.0
    if any(bool((part.distance[:, k - 1] == 0.0).any()) for part in near):
        if not ties:
            raise InputError(
                f"rows repeat more than {k} times, so there is no density to estimate; use the method 'discrete'"
            )
        floor = _floor(torch.cat([x, y]), k)
    index = [part.index for part in near]
    logs = [part.distance.clamp_min(floor).log() for part in near]

    def of_rows(a: Tensor, b: Tensor) -> Tensor:
        """The estimate from the rows of x and y numbered `a` and `b` alone."""
        kept = [torch.zeros(rows, dtype=torch.bool, device=x.device) for rows in (n, m)]
        kept[0][a[:, 0].long()] = True
        kept[1][b[:, 0].long()] = True
        kth = [
            _surviving(logs[i][kept[i // 2]], kept[others][index[i][kept[i // 2]]], k)
            for i, others in enumerate((0, 1, 1, 0))
        ]
        u = _log_ratio(kth[0], kth[1], len(a), len(b), x.shape[1])
        w = _log_ratio(kth[2], kth[3], len(b), len(a), x.shape[1])
        return _join(kind, u, w, k)

    numbers = [torch.arange(rows, dtype=torch.float64, device=x.device)[:, None] for rows in (n, m)]
    if floor > 0.0 or min(n, m) < 2 * (k + 2):
        return Estimate(float(of_rows(*numbers)), math.nan, math.nan, math.nan, level)
    groups = 20 if max(n, m) <= _LARGE else 10
    return jackknife(of_rows, *numbers, generator=generator, level=level, groups=groups)


def _surviving(log_distance: Tensor, kept: Tensor, k: int) -> Tensor:
    """The k-th entry of each list among those `kept` (the last one where a list has fewer)."""
    place = (kept.cumsum(1) < k).sum(1).clamp_max(kept.shape[1] - 1)
    return log_distance.gather(1, place[:, None])[:, 0]


def knn_witness(kind: Divergence, x: Float[Tensor, "n d"], y: Float[Tensor, "m d"], k: int | None = None) -> Witness:
    """v = ln m/n + d ln(nu/rho), k-th distances to y and to x, by the link of `kind`: a log ratio, without gradient."""
    count = _neighbours(kind, k, len(x), len(y))
    floor = _floor(torch.cat([x, y]), count)
    shift = math.log(len(y) / len(x))

    def score(rows: Tensor) -> Tensor:
        flat = rows.detach().flatten(1).to(x.device)
        rho, nu = (nearest(flat, side, count).distance[:, -1].clamp_min(floor).log() for side in (x, y))
        return (shift + x.shape[1] * (nu - rho)).to(rows)

    return kind.link()(score, differentiable=False)


_READS = {
    "kl": "KL(P||Q): mass of the data that the model lacks",
    "reverse-kl": "KL(Q||P): mass of the model that the data lack",
    "js": "Jensen-Shannon: any difference of densities, bounded",
    "jeffreys": "both KLs together: any difference of densities",
    "hellinger": "squared Hellinger: any difference of densities, bounded",
    "pearson": "chi^2(P||Q): where data are much denser than the model",
    "neyman": "chi^2(Q||P): where the model is much denser than the data",
    "tv": "total variation: share of mass that differs, coarsely",
    "alpha": "alpha divergence of any order",
    "renyi": "Renyi divergence of any order",
}
_UNITS = {
    "js": "2 JSD, in nats, biased low by O(1/k)",
    "tv": "total variation, at most 1, biased low by O(1/k)",
    "hellinger": "int (sqrt p - sqrt q)^2, at most 2",
    "pearson": "int (p - q)^2/q",
    "neyman": "int (p - q)^2/p",
    "alpha": "(int p^a q^(1-a) - 1)/(a(a - 1)), a = order",
    "renyi": "ln(int p^a q^(1-a))/(a - 1), a = order, in nats",
}


def _method(name: str) -> Method:
    ordered = name in ("alpha", "renyi")
    test, measure, statistic = _ordered(name) if ordered else _plain(name)
    units = _UNITS.get(name, f"{name}, in nats")
    return Method(
        family="densities",
        reads=f"{_READS[name]}; by k-th neighbours, in few dimensions",
        convention=f"nearest-neighbour estimate of {units}",
        cost="(n+m)^2 d + 40 (n+m) B",
        effect=units,
        assumes="densities, so rows that do not repeat; the test holds without",
        test=test,
        distance=measure,
        statistic=statistic,
        at_least=_K + 1,
    )


def _plain(name: str) -> tuple[Callable[..., TestResult], Callable[..., Estimate], Callable[..., Statistic]]:
    def test(x: Tensor, y: Tensor, *, permutations: int, generator: Generator, k: int | None = None) -> TestResult:
        return knn_test(x, y, permutations=permutations, generator=generator, divergence=name, k=k)

    def measure(x: Tensor, y: Tensor, *, generator: Generator, level: float = 0.95, k: int | None = None) -> Estimate:
        return knn_distance(x, y, generator=generator, level=level, divergence=name, k=k)

    return test, measure, lambda k=None: NeighbourStatistic(_checked(name, 0.5, k), k)


def _ordered(name: str) -> tuple[Callable[..., TestResult], Callable[..., Estimate], Callable[..., Statistic]]:
    def test(
        x: Tensor, y: Tensor, *, permutations: int, generator: Generator, order: float = 0.5, k: int | None = None
    ) -> TestResult:
        return knn_test(x, y, permutations=permutations, generator=generator, divergence=name, order=order, k=k)

    def measure(
        x: Tensor, y: Tensor, *, generator: Generator, level: float = 0.95, order: float = 0.5, k: int | None = None
    ) -> Estimate:
        return knn_distance(x, y, generator=generator, level=level, divergence=name, order=order, k=k)

    return test, measure, lambda order=0.5, k=None: NeighbourStatistic(_checked(name, order, k), k)


METHODS = {f"{name}-knn": _method(name) for name in _READS}
