"""Graph tests: exact trees and neighbours, moments by enumeration, the runs distribution, level, power."""

import itertools
import math
from typing import Any

import numpy as np
import pytest
import torch
from scipy.sparse.csgraph import minimum_spanning_tree
from scipy.spatial.distance import cdist
from scipy.stats import binom

from pushforward.conformance import check_fitter
from pushforward.errors import InputError
from pushforward.fitters.neighbours import NeighbourFitter, nearest_neighbours, spanning_trees
from pushforward.readings.significance import permutation_test
from pushforward.twosample import graphs
from pushforward.twosample.graphs import METHODS, EdgeCount, EdgeMoments, NeighbourShare, edge_counts, runs_tail

KINDS = ["original", "generalised", "weighted", "max"]


def pair(n: int, m: int, d: int, seed: int = 0, shift: float = 0.0) -> tuple[torch.Tensor, torch.Tensor]:
    g = torch.Generator().manual_seed(seed)
    return torch.randn(n, d, generator=g) + shift, torch.randn(m, d, generator=g)


def run(method: str, x: torch.Tensor, y: torch.Tensor, seed: int = 0, permutations: int = 39, **options: Any) -> Any:
    test = METHODS[method].test
    assert test is not None
    return test(x, y, permutations=permutations, generator=torch.Generator().manual_seed(seed), **options)


@pytest.mark.parametrize(("n", "d"), [(2, 1), (40, 1), (60, 2), (120, 15)])
def test_tree_has_the_minimum_length(n: int, d: int) -> None:
    rows = pair(n, 1, d)[0].double()
    edges = spanning_trees(rows)
    length = (rows[edges[:, 0]] - rows[edges[:, 1]]).norm(dim=1).sum()
    assert float(length) == pytest.approx(minimum_spanning_tree(cdist(rows, rows)).sum(), rel=1e-9)
    assert edges.shape == (n - 1, 2)


def test_orthogonal_trees() -> None:
    """The second tree is the shortest without the edges of the first; no edge comes twice; too many are refused."""
    rows = pair(40, 1, 2)[0].double()
    edges = spanning_trees(rows, 3)
    assert len({frozenset(edge) for edge in edges.tolist()}) == len(edges) == 3 * 39
    square = cdist(rows, rows)
    square[edges[:39, 0], edges[:39, 1]] = square[edges[:39, 1], edges[:39, 0]] = 0.0  # absent, for scipy
    second = edges[39:78]
    length = (rows[second[:, 0]] - rows[second[:, 1]]).norm(dim=1).sum()
    assert float(length) == pytest.approx(minimum_spanning_tree(square).sum(), rel=1e-9)
    with pytest.raises(InputError, match="at most 20 orthogonal trees, not 21"):
        spanning_trees(rows, 21)


@pytest.mark.parametrize("rows", [50, 6000])
@pytest.mark.parametrize("d", [1, 3, 20])
def test_neighbours_are_the_nearest(rows: int, d: int) -> None:
    """By distance (ties may be any of the tied); a row is not its own neighbour. Tiles, k-d tree and windows."""
    z = pair(rows, 1, d)[0].double()
    if d == 1:
        z = z.mul(20).round()
    found = graphs._graph_neighbours(z, 4)
    some = torch.arange(0, rows, max(1, rows // 50))
    assert not (found == torch.arange(rows)[:, None]).any()
    assert all(len(set(row)) == 4 for row in found[some].tolist())
    truth = np.sort(cdist(z[some], z), axis=1)[:, 1:5]
    reached = (z[found[some]] - z[some, None]).norm(dim=2).sort(1).values
    assert np.allclose(reached, truth, rtol=1e-6, atol=1e-6)


def test_neighbour_search_in_tiles(monkeypatch: pytest.MonkeyPatch) -> None:
    a, b = pair(33, 57, 6)
    whole, own = nearest_neighbours(a, b, 5), nearest_neighbours(b, b, 5, own=True)
    monkeypatch.setattr("pushforward.fitters.neighbours._QUERIES", 7)
    monkeypatch.setattr("pushforward.fitters.neighbours._ROWS", 3)
    assert torch.equal(nearest_neighbours(a, b, 5), whole)
    assert torch.equal(nearest_neighbours(b, b, 5, own=True), own)
    with pytest.raises(InputError, match="between 1 and 56"):
        nearest_neighbours(b, b, 57, own=True)


def test_edge_moments_by_enumeration() -> None:
    """All C(9, 4) labellings of a tree: means and covariances exactly, and the generalised statistic by its formula."""
    x, y = pair(4, 5, 2)
    edges = EdgeCount().graph(x, y)
    choices = list(itertools.combinations(range(9), 4))
    members = torch.zeros(9, len(choices), dtype=torch.bool)
    for column, chosen in enumerate(choices):
        members[list(chosen), column] = True
    inside, outside = edge_counts(edges, members)
    degree = torch.bincount(edges.flatten(), minlength=9).double()
    moments = EdgeMoments(8, 0.5 * float((degree * (degree - 1)).sum()), 4, 5)
    both = torch.stack([inside, outside])
    assert torch.tensor(moments.mean(), dtype=torch.float64).tolist() == pytest.approx(both.mean(1).tolist())
    truth = both.cov(correction=0)
    assert moments.covariance() == pytest.approx((float(truth[0, 0]), float(truth[1, 1]), float(truth[0, 1])))
    off = both - both.mean(1, keepdim=True)
    generalised = (off * torch.linalg.solve(truth, off)).sum(0)
    assert torch.allclose(moments.combine(inside, outside, "generalised"), generalised)
    for kind in ("original", "weighted"):
        scores = moments.combine(inside, outside, kind)
        assert float(scores.mean()) == pytest.approx(0.0, abs=1e-12)
        assert float(scores.var(correction=0)) == pytest.approx(1.0)
    assert bool((moments.combine(inside, outside, "max") >= moments.combine(inside, outside, "weighted")).all())


@pytest.mark.parametrize(
    "statistic", [*(EdgeCount(kind) for kind in KINDS), EdgeCount(trees=2), NeighbourShare(3)], ids=repr
)
@pytest.mark.parametrize("d", [1, 3])
def test_relabelling_at_once_is_relabelling_one_by_one(statistic: Any, d: int) -> None:
    """On the pooled rows as they lie, so that the one graph is the same: only the labels move."""
    x, y = pair(11, 16, d)
    value, null = statistic.with_null(x, y, torch.stack([torch.arange(27) < 11, torch.arange(27) % 2 == 0], 1)[:, :1])
    assert float(value) == float(null[0]) == float(statistic(x, y))
    g = torch.Generator().manual_seed(1)
    row = torch.randperm(27, generator=g) < 11
    pooled = torch.cat([x, y])
    null = statistic.with_null(x, y, row[:, None])[1]
    assert float(statistic(pooled[row], pooled[~row])) == pytest.approx(float(null[0]), abs=1e-12)


def test_neighbour_share_by_hand() -> None:
    x, y = torch.tensor([[0.0], [1.0], [2.1]]), torch.tensor([[10.0], [11.0], [3.0]])
    assert float(NeighbourShare(1)(x, y)) == pytest.approx(4 / 6)  # 2.1 and 3.0 have each other
    e = METHODS["knn"].distance(x, y, generator=torch.Generator(), k=1)  # type: ignore[misc]
    assert e.value == pytest.approx(4 / 6 - 0.4)
    assert math.isnan(e.low)


def test_runs_distribution() -> None:
    """The exact tail against all C(11, 4) orders, and the test that uses it."""
    counts = []
    for chosen in itertools.combinations(range(11), 4):
        row = np.isin(np.arange(11), chosen)
        counts.append(1 + int((row[1:] != row[:-1]).sum()))
    for runs in range(2, 10):
        assert runs_tail(runs, 4, 7) == pytest.approx(np.mean(np.array(counts) <= runs), rel=1e-9)
    assert runs_tail(2, 500_000, 500_000) > 0.0
    x, y = torch.arange(10.0)[:, None], torch.arange(10.0)[:, None] + 100
    result = run("wald-wolfowitz", x, y, null="exact")
    assert result.pvalue == pytest.approx(2 / math.comb(20, 10), rel=1e-9)
    assert result.effect.value == pytest.approx(0.9)
    big = pair(1_000_000, 500_000, 1, shift=0.5)
    assert run("wald-wolfowitz", *big).pvalue < 1e-6


CASES: list[tuple[str, dict[str, Any]]] = [
    *(("friedman-rafsky", {"statistic": kind, "trees": 2}) for kind in KINDS),
    ("friedman-rafsky", {}),
    ("wald-wolfowitz", {}),
    ("wald-wolfowitz", {"null": "exact"}),
    ("knn", {"k": 3}),
]


@pytest.mark.parametrize(("method", "options"), CASES)
def test_level_and_power(method: str, options: dict[str, Any]) -> None:
    """Rejections at .05 of 150 equal pairs with many ties, n = 24, m = 16: more than 23 with probability 2e-6 by a
    valid test, fewer with probability .1 at a level of .2. Five shifts by 2.5 deviations at n = 60, all found."""
    assert binom.sf(23, 150, 0.05) < 2e-6
    d = 1 if method == "wald-wolfowitz" else 2
    seen = 0
    for seed in range(150):
        x, y = (rows.mul(1.5).round() for rows in pair(24, 16, d, seed))
        seen += run(method, x, y, seed, **options).pvalue <= 0.05
    assert seen <= 23
    for seed in range(5):
        assert run(method, *pair(60, 60, d, seed, 2.5), **options).pvalue <= 0.05


def test_generalised_sees_scale_in_many_dimensions() -> None:
    """Where the wider sample's rows all have neighbours in the narrower one, the original count is blind."""
    x, y = pair(80, 80, 60)
    assert run("friedman-rafsky", 1.4 * x, y, statistic="generalised").pvalue <= 0.05
    assert run("friedman-rafsky", 1.4 * x, y).pvalue > 0.05


@pytest.mark.parametrize(("method", "options"), CASES)
def test_edge_cases(method: str, options: dict[str, Any]) -> None:
    """Finite results for two rows a side, ties, wide rows; nothing is detected between copies. With every row equal,
    the random order decides, and over 40 seeds p <= .05 comes at most 10 times (1e-5 at level .05)."""
    d = 1 if method == "wald-wolfowitz" else 3
    x, y = pair(20, 15, d)
    options = {key: value for key, value in options.items() if key != "trees"}
    wide = pair(6, 5, 40 if d > 1 else 1)
    for a, b in ((x[:2], y[:2]), (x.round(), y), wide, (x.double(), y.double())):
        result = run(method, a, b, **options)
        assert 0.0 < result.pvalue <= 1.0
        assert math.isfinite(result.statistic)
    same = torch.full((14, d), 0.1)
    assert sum(run(method, same, same[:9], seed, **options).pvalue <= 0.05 for seed in range(40)) <= 10


def test_identical_samples_are_not_detected() -> None:
    """Copies of one another are each other's neighbours: fewer same-side edges than by chance."""
    x = pair(30, 1, 3)[0]
    for method in ("friedman-rafsky", "knn"):
        assert run(method, x, x.clone()).pvalue == 1.0
    assert run("wald-wolfowitz", x[:, :1], x[:, :1].clone()).pvalue > 0.05


def test_neighbour_witness() -> None:
    """A log ratio near the truth: mean absolute error below .35 at 4,000 rows a side, where v has deviation 1."""
    check_fitter(NeighbourFitter())
    x, y = pair(4000, 2000, 1, shift=1.0)
    fitted = NeighbourFitter(200)(x, y, generator=torch.Generator())
    assert "log_ratio" in fitted.tags
    assert "differentiable" not in fitted.tags
    fresh = torch.linspace(-1.0, 2.0, 61)[:, None]
    v = fitted.phi(fresh) - math.log(2.0)  # ln 2 + logsigmoid v
    v = v - torch.log(-torch.expm1(v))
    assert float((v - (fresh[:, 0] - 0.5)).abs().mean()) < 0.2
    result = run("knn", x[:200], y[:100], k=5)
    assert result.witness is not None
    assert float(result.witness.gap(x[200:], y[100:])) > 0.1


def test_refusals() -> None:
    x, y = pair(10, 10, 2)
    for method, options, message in (
        ("friedman-rafsky", {"statistic": "mean"}, "one of original, generalised, weighted, max, not 'mean'"),
        ("friedman-rafsky", {"trees": 0}, "orthogonal trees, not 0"),
        ("wald-wolfowitz", {}, "runs need one feature, not 2"),
        ("knn", {"k": 20}, "k must lie between 1 and 19"),
    ):
        with pytest.raises(InputError, match=message):
            run(method, x, y, **options)
    with pytest.raises(InputError, match='"auto", "permutation" or "exact"'):
        run("wald-wolfowitz", x[:, :1], y[:, :1], null="normal")
    assert permutation_test(NeighbourShare(2), x, y, permutations=9, generator=torch.Generator()).pvalue > 0.0
