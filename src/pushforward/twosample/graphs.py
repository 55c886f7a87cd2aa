"""Graph tests: how often do edges of a graph on the pooled rows join rows of the same side?

The graph (a Euclidean minimum spanning tree, the k nearest neighbours, or in one dimension the sorted order) does not
know the labels, so it is made once and a relabelling only recolours it. With M the members, deg the degrees,

    cross = sum_edges [M_i != M_j],    R_1 = (deg' M - cross)/2,    R_2 = |E| - R_1 - cross

for all relabellings at once. Rows are put in a random order first, so that ties among distances are broken without
looking at the labels.

R_1 and R_2 have known means mu and covariance Sigma under relabelling; from them (Friedman and Rafsky 1979; Chen and
Friedman 2017; Chen, Chen and Su 2018; Chu and Chen 2019), large when the sets differ:

    original      (E cross - cross)/sd: fewer cross edges than expected
    generalised   (R - mu)' Sigma^-1 (R - mu): also sees one side more clumped than the other (scale, many dimensions)
    weighted      (m-1) R_1 + (n-1) R_2, standardised: the original, right for n != m
    max           max(weighted, |R_1 - R_2 standardised|)

The effects carry no interval (NaN): a graph changes with every row left out, and neither the jackknife nor a normal
approximation is known to hold for it at the sizes of use.
"""

import math
import time
from dataclasses import dataclass
from typing import final

import torch
from jaxtyping import Bool, Float, Int
from torch import Generator, Tensor

from pushforward.errors import InputError
from pushforward.fitters.neighbours import NeighbourFitter, nearest_neighbours, spanning_trees
from pushforward.twosample.method import Method
from pushforward.twosample.ranks import observed_first
from pushforward.twosample.result import TestResult
from pushforward.twosample.running import run_permutations
from pushforward.witness import Estimate

_CELLS = 1 << 24  # edges times relabellings compared at a time
_LARGE = 100_000  # pooled rows above which the runs test takes its exact tail: relabelling costs B N there
_TREE, _FEW = 5000, 6  # rows from which, and features up to which, a k-d tree pays,
_COPIES = 32  # unless more rows than this coincide: they would share one leaf
_STATISTICS = ("original", "generalised", "weighted", "max")


def edge_counts(edges: Int[Tensor, "E 2"], members: Bool[Tensor, "N C"]) -> tuple[Tensor, Tensor]:
    """Edges within the members and edges within the others, `(C,)` each in float64, for every labelling."""
    count = members.shape[1]
    cross = torch.zeros(count, dtype=torch.float64, device=members.device)
    inside = torch.zeros_like(cross)
    step = max(1, _CELLS // max(1, count))
    for start in range(0, len(edges), step):
        ends = edges[start : start + step]
        a, b = members[ends[:, 0]], members[ends[:, 1]]
        inside += (a & b).sum(0)
        cross += (a ^ b).sum(0)
    return inside, len(edges) - inside - cross


@final
@dataclass(frozen=True)
class EdgeMoments:
    """Mean and covariance of (R_1, R_2) over all labellings of a graph with `edges` edges, of which `pairs` pairs share
    an end, for n members among N = n + m rows (Chen and Friedman 2017, lemma 3.1).
    """

    edges: int
    pairs: float
    n: int
    m: int

    def mean(self) -> tuple[float, float]:
        """E R_1 and E R_2."""
        n, m, total = self.n, self.m, self.n + self.m
        return tuple(self.edges * k * (k - 1) / (total * (total - 1)) for k in (n, m))  # type: ignore[return-value]

    def covariance(self) -> tuple[float, float, float]:
        """Var R_1, Var R_2 and Cov(R_1, R_2)."""
        n, m, total = self.n, self.m, self.n + self.m
        apart = self.edges * (self.edges - 1) - 2.0 * self.pairs  # ordered pairs of edges without a common end
        first, second = self.mean()
        own = []
        for k, mean in ((n, first), (m, second)):
            three = k * (k - 1) * (k - 2) / (total * (total - 1) * (total - 2))
            four = three * (k - 3) / max(1, total - 3)
            own.append(mean - mean * mean + 2.0 * self.pairs * three + apart * four)
        both = n * (n - 1) / total * m * (m - 1) / (total - 1) / ((total - 2) * max(1, total - 3))
        return own[0], own[1], apart * both - first * second

    def combine(self, inside: Tensor, outside: Tensor, statistic: str) -> Tensor:
        """The statistic of that name from R_1 and R_2; 0 in a direction in which nothing varies."""
        (first, second), (a, b, c) = self.mean(), self.covariance()
        u, v = inside - first, outside - second

        def standardised(p: float, q: float) -> Tensor:
            variance = p * p * a + q * q * b + 2.0 * p * q * c
            scale = p * p * a + q * q * b
            return (p * u + q * v) / math.sqrt(variance) if variance > 1e-12 * scale else torch.zeros_like(u)

        if statistic == "original":
            return standardised(1.0, 1.0)
        weighted = standardised(self.m - 1.0, self.n - 1.0)
        if statistic == "weighted":
            return weighted
        difference = standardised(1.0, -1.0)
        if statistic == "max":
            return torch.maximum(weighted, difference.abs())
        # the weighted sum and the difference are uncorrelated and span both counts (Chu and Chen 2019)
        return weighted.square() + difference.square()


@final
@dataclass(frozen=True)
class EdgeCount:
    """An edge-count statistic on the union of `trees` orthogonal Euclidean minimum spanning trees of the pooled rows:
    each is the shortest without the edges of those before. `seed` orders the rows, which settles ties. No gradient.
    """

    statistic: str = "original"
    trees: int = 1
    seed: int = 0

    def __call__(self, x: Float[Tensor, "n d"], y: Float[Tensor, "m d"]) -> Float[Tensor, ""]:
        """The statistic, in null standard deviations (squared for "generalised")."""
        none = torch.zeros(len(x) + len(y), 0, dtype=torch.bool, device=x.device)
        return self.with_null(x, y, none)[0]

    def with_null(
        self, x: Float[Tensor, "n d"], y: Float[Tensor, "m d"], members: Bool[Tensor, "N B"]
    ) -> tuple[Tensor, Tensor]:
        """The statistic and its values under each column of `members`, on one graph."""
        return _OnGraph(self.graph(x, y), self.statistic).with_null(x, y, members)

    def graph(self, x: Float[Tensor, "n d"], y: Float[Tensor, "m d"]) -> Int[Tensor, "E 2"]:
        """The edges, as pairs of pooled rows."""
        order = _order(len(x) + len(y), self.seed).to(x.device)
        pooled = torch.cat([x, y]).detach()[order]
        if pooled.shape[1] == 1 and self.trees == 1:
            order = order[pooled[:, 0].sort(stable=True).indices]
            return torch.stack([order[:-1], order[1:]], 1)
        return order[spanning_trees(pooled, self.trees)]


@final
@dataclass(frozen=True)
class NeighbourShare:
    """The share of all k nearest neighbours that are of their row's own side (Schilling 1986; Henze 1988).

    Under one distribution its mean is (n(n-1) + m(m-1))/(N(N-1)). `seed` orders the rows, which settles ties. No
    gradient.
    """

    k: int = 5
    seed: int = 0

    def __call__(self, x: Float[Tensor, "n d"], y: Float[Tensor, "m d"]) -> Float[Tensor, ""]:
        """The share, in [0, 1]."""
        none = torch.zeros(len(x) + len(y), 0, dtype=torch.bool, device=x.device)
        return self.with_null(x, y, none)[0]

    def with_null(
        self, x: Float[Tensor, "n d"], y: Float[Tensor, "m d"], members: Bool[Tensor, "N B"]
    ) -> tuple[Tensor, Tensor]:
        """The share and its values under each column of `members`: one search, then comparisons."""
        return _OnGraph(self.graph(x, y), "share").with_null(x, y, members)

    def graph(self, x: Float[Tensor, "n d"], y: Float[Tensor, "m d"]) -> Int[Tensor, "E 2"]:
        """The edges from every pooled row to its neighbours."""
        order = _order(len(x) + len(y), self.seed).to(x.device)
        near = order[_graph_neighbours(torch.cat([x, y]).detach()[order], self.k)]
        return torch.stack([order[:, None].expand_as(near), near], 2).flatten(0, 1)


@final
@dataclass(frozen=True, eq=False)
class _OnGraph:
    """A statistic of the labels on a graph that is already made of these rows."""

    edges: Tensor
    statistic: str

    def __call__(self, x: Float[Tensor, "n d"], y: Float[Tensor, "m d"]) -> Float[Tensor, ""]:
        none = torch.zeros(len(x) + len(y), 0, dtype=torch.bool, device=x.device)
        return self.with_null(x, y, none)[0]

    def with_null(
        self, x: Float[Tensor, "n d"], y: Float[Tensor, "m d"], members: Bool[Tensor, "N B"]
    ) -> tuple[Tensor, Tensor]:
        inside, outside = edge_counts(self.edges, observed_first(len(x), members))
        if self.statistic == "share":
            values = (inside + outside) / len(self.edges)
        else:
            degree = torch.bincount(self.edges.flatten(), minlength=len(members)).double()
            pairs = 0.5 * float((degree * (degree - 1.0)).sum())
            values = EdgeMoments(len(self.edges), pairs, len(x), len(y)).combine(inside, outside, self.statistic)
        return values[0], values[1:]


def friedman_rafsky_test(
    x: Float[Tensor, "n d"],
    y: Float[Tensor, "m d"],
    *,
    permutations: int,
    generator: Generator,
    statistic: str = "original",
    trees: int = 1,
) -> TestResult:
    """Test by cross edges of the pooled rows' minimum spanning tree, or of `trees` orthogonal ones together.

    `statistic` is one of those above. The effect is the Henze-Penrose divergence (`henze_penrose`), without an
    interval. In one dimension with one tree this is the runs test.
    """
    if statistic not in _STATISTICS:
        raise InputError(f"the statistic is one of {', '.join(_STATISTICS)}, not {statistic!r}")
    edges = EdgeCount(statistic, trees, _seed(generator)).graph(x, y)
    return run_permutations(
        "friedman-rafsky",
        _OnGraph(edges, statistic),
        x,
        y,
        permutations=permutations,
        generator=generator,
        effect=lambda: _henze_penrose(edges, len(x), len(y), 0.95),
    )


def runs_test(
    x: Float[Tensor, "n d"], y: Float[Tensor, "m d"], *, permutations: int, generator: Generator, null: str = "auto"
) -> TestResult:
    """Wald and Wolfowitz's (1940) runs test for one feature: few runs of one side in the sorted pooled rows.

    The statistic is the number of runs, standardised and turned round. `null` "permutation", "exact" (the number of
    runs has a known distribution; ties are in random order, where it holds too), or "auto": the first up to 100,000
    pooled rows. `InputError` for more than one feature. Effect as in `friedman_rafsky_test`.
    """
    if x.shape[1] != 1:
        raise InputError(f"runs need one feature, not {x.shape[1]}; friedman-rafsky is the runs test of many")
    if null not in ("auto", "permutation", "exact"):
        raise InputError(f'the null is "auto", "permutation" or "exact", not {null!r}')
    edges = EdgeCount(seed=_seed(generator)).graph(x, y)
    counted = _OnGraph(edges, "original")
    if null == "permutation" or (null == "auto" and len(x) + len(y) <= _LARGE):
        return run_permutations(
            "wald-wolfowitz",
            counted,
            x,
            y,
            permutations=permutations,
            generator=generator,
            effect=lambda: _henze_penrose(edges, len(x), len(y), 0.95),
        )
    started = time.perf_counter()
    value, effect = float(counted(x, y)), _henze_penrose(edges, len(x), len(y), 0.95)
    return TestResult(
        method="wald-wolfowitz",
        statistic=value,
        pvalue=runs_tail(_cross(edges, len(x)) + 1, len(x), len(y)),
        null=torch.empty(0, dtype=torch.float64),
        effect=effect,
        n_x=len(x),
        n_y=len(y),
        permutations=0,
        witness=None,
        seconds=time.perf_counter() - started,
    )


def neighbour_test(
    x: Float[Tensor, "n d"], y: Float[Tensor, "m d"], *, permutations: int, generator: Generator, k: int = 5
) -> TestResult:
    """Test by the share of the `k` nearest neighbours that are of their row's own side.

    The effect is that share less its mean under one distribution, without an interval; the witness is the log ratio of
    counts among more neighbours (`NeighbourFitter`).
    """
    counted = _OnGraph(NeighbourShare(k, _seed(generator)).graph(x, y), "share")
    return run_permutations(
        "knn",
        counted,
        x,
        y,
        permutations=permutations,
        generator=generator,
        effect=lambda: _excess(float(counted(x, y)), len(x), len(y), 0.95),
        witness=lambda: NeighbourFitter()(x, y, generator=generator),
    )


def neighbour_distance(
    x: Float[Tensor, "n d"], y: Float[Tensor, "m d"], *, generator: Generator, level: float = 0.95, k: int = 5
) -> Estimate:
    """The share of same-side neighbours less its mean under one distribution; no interval."""
    return _excess(float(NeighbourShare(k, _seed(generator))(x, y)), len(x), len(y), level)


def henze_penrose(
    x: Float[Tensor, "n d"], y: Float[Tensor, "m d"], *, generator: Generator, level: float = 0.95
) -> Estimate:
    """1 - N cross/(2nm) -> 1 - int f g/(a f + b g), a = n/N, b = m/N: 0 for equal distributions, 1 for disjoint ones
    (Henze and Penrose 1999), and a little below 0 by chance. No interval.
    """
    return _henze_penrose(EdgeCount(seed=_seed(generator)).graph(x, y), len(x), len(y), level)


def runs_tail(runs: int, n: int, m: int) -> float:
    """P(at most `runs` runs) when n and m labels are in random order, exactly; O(runs)."""
    if runs >= 2 * min(n, m) + 1:
        return 1.0
    half = torch.arange(1, runs // 2 + 1, dtype=torch.float64)
    even = math.log(2.0) + _log_choose(n - 1, half - 1) + _log_choose(m - 1, half - 1)
    half = torch.arange(1, (runs - 1) // 2 + 1, dtype=torch.float64)
    odd = torch.logaddexp(
        _log_choose(n - 1, half) + _log_choose(m - 1, half - 1), _log_choose(n - 1, half - 1) + _log_choose(m - 1, half)
    )
    log_tail = torch.cat([even, odd]).logsumexp(0) - _log_choose(n + m, torch.tensor(float(n), dtype=torch.float64))
    return min(1.0, max(float(log_tail.exp()), 5e-324))


def _log_choose(n: int, k: Tensor) -> Tensor:
    """log C(n, k), -inf where k > n."""
    top = torch.tensor(n + 1.0, dtype=torch.float64)
    value = top.lgamma() - (k + 1.0).lgamma() - (n - k).clamp_min(0.0).add(1.0).lgamma()
    return torch.where(k <= n, value, -math.inf)


def _cross(edges: Tensor, n: int) -> int:
    return int(((edges[:, 0] < n) != (edges[:, 1] < n)).sum())


def _henze_penrose(edges: Tensor, n: int, m: int, level: float) -> Estimate:
    first = edges[: n + m - 1]  # the shortest tree, where there are several
    value = 1.0 - _cross(first, n) * (n + m) / (2.0 * n * m)
    return Estimate(value, math.nan, math.nan, math.nan, level)


def _excess(share: float, n: int, m: int, level: float) -> Estimate:
    expected = (n * (n - 1) + m * (m - 1)) / ((n + m) * (n + m - 1))
    return Estimate(share - expected, math.nan, math.nan, math.nan, level)


def _graph_neighbours(rows: Tensor, k: int) -> Tensor:
    """The k nearest others of every row: sorted windows for one feature, a k-d tree for few, tiles for many."""
    total, d = rows.shape
    if not 1 <= k < total:
        raise InputError(f"k must lie between 1 and {total - 1}, one less than all rows, not {k}")
    if d == 1:
        return _line_neighbours(rows[:, 0], k)
    if total >= _TREE and d <= _FEW and rows.device.type == "cpu":
        copies = int(torch.unique(rows, dim=0, return_counts=True)[1].max())
        if copies <= _COPIES:
            return _tree_neighbours(rows, k)
    return nearest_neighbours(rows, rows, k, own=True)


def _line_neighbours(values: Tensor, k: int) -> Tensor:
    """In sorted order the k nearest are among the k before and the k after."""
    total = len(values)
    sorted_values, order = values.double().sort(stable=True)
    offset = torch.cat([torch.arange(-k, 0), torch.arange(1, k + 1)]).to(values.device)
    near = torch.empty(total, k, dtype=torch.int64, device=values.device)
    for part in torch.arange(total, device=values.device).split(1 << 18):
        place = part[:, None] + offset
        outside = (place < 0) | (place >= total)
        place = place.clamp(0, total - 1)
        gap = (sorted_values[place] - sorted_values[part, None]).abs().masked_fill(outside, math.inf)
        near[order[part]] = order[place.gather(1, gap.topk(k, largest=False).indices)]
    return near


def _tree_neighbours(rows: Tensor, k: int) -> Tensor:
    from scipy.spatial import cKDTree

    points = rows.double().numpy()
    found = torch.from_numpy(cKDTree(points).query(points, k + 1)[1])
    own = found == torch.arange(len(points))[:, None]
    own[:, -1] |= ~own.any(1)  # hidden behind its copies: any one of the k + 1 may go
    return found[~own].view(len(points), k)


def _order(total: int, seed: int) -> Tensor:
    return torch.randperm(total, generator=torch.Generator().manual_seed(seed))


def _seed(generator: Generator) -> int:
    return int(torch.randint(2**31 - 1, (), generator=generator, device=generator.device))


METHODS = {
    "friedman-rafsky": Method(
        family="graphs",
        reads="edges of the minimum spanning tree between the two sets: any difference, best in few dimensions",
        convention='(E cross - cross)/sd of the cross edges; statistic="generalised", "weighted", "max" see more',
        cost="(n+m)^2 d for the tree, then (n+m) B",
        effect="Henze-Penrose divergence, 1 - N cross/(2nm)",
        test=friedman_rafsky_test,
        distance=henze_penrose,
    ),
    "wald-wolfowitz": Method(
        family="graphs",
        reads="runs of one set in the sorted rows of one feature: any difference, weakly",
        convention="(E runs - runs)/sd",
        cost="(n+m) (log(n+m) + B)",
        effect="Henze-Penrose divergence, 1 - N cross/(2nm)",
        assumes="one feature",
        test=runs_test,
        distance=henze_penrose,
    ),
    "knn": Method(
        family="graphs",
        reads="nearest neighbours of the same set: local differences of density, in moderate dimensions",
        convention="share of the k nearest neighbours on their row's own side",
        cost="(n+m)^2 d, then k (n+m) B",
        effect="that share less its mean under equality",
        test=neighbour_test,
        distance=neighbour_distance,
    ),
}
