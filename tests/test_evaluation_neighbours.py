"""Search and the figures of neighbourhoods: against dense definitions, closed forms and published numbers.

Tests on random samples have fixed seeds and bounds of five standard errors: correct code would fail one in a million.
"""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from pushforward.errors import InputError
from pushforward.evaluation.neighbours import (
    density_coverage,
    expected_coverage,
    neighbour_scores,
    precision_recall,
)
from pushforward.evaluation.neighbours.manifolds import NAMES, _coverage_curve, _Rows
from pushforward.evaluation.neighbours.search import _among_own, close_pairs, nearest


def normal(seed: int, rows: int, width: int, shift: float = 0.0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(rows, width, generator=generator, dtype=torch.float64) + shift


def dense(x: Tensor, y: Tensor) -> Tensor:
    return (x[:, None] - y).square().sum(2).sqrt()


def peer(real: Tensor, fake: Tensor, k: int) -> dict[str, float]:
    """The definitions of the package prdc (strict <), and of the clipped figures' authors, with whole matrices."""
    rr, ff, rf = dense(real, real), dense(fake, fake), dense(real, fake)
    about_real, about_fake = rr.sort(1).values[:, k], ff.sort(1).values[:, k]
    inside = rf < about_real[:, None]
    clip = about_real.clamp(max=float(about_real.quantile(0.5)))
    own = (rr <= clip[:, None]).sum(0) - 1
    best = (own.double() / k).clamp(max=1).mean()
    curve = torch.from_numpy(_coverage_curve(len(real), len(fake), k))
    held = (inside.sum(1).double() / k).clamp(max=1).mean()
    return {
        "precision": float(inside.any(0).double().mean()),
        "recall": float((rf < about_fake).any(1).double().mean()),
        "density": float(inside.sum()) / (k * len(fake)),
        "coverage": float((rf.min(1).values < about_real).double().mean()),
        "clipped_density": min(1.0, float(((rf <= clip[:, None]).sum(0).double() / k).clamp(max=1).mean() / best)),
        "clipped_coverage": float((curve < held).sum()) / len(curve),
    }


@pytest.mark.parametrize("width", [1, 3, 12, 80])
@pytest.mark.parametrize("own", [True, False])
def test_nearest_is_that_of_the_whole_matrix(width: int, own: bool) -> None:
    rows = normal(0, 700, width)
    rows[300:350] = rows[:50]  # some stand twice
    queries = rows if own else normal(1, 90, width)
    whole = dense(queries, rows)
    if own:
        whole.fill_diagonal_(math.inf)
    found = nearest(queries=queries, rows=rows, k=7, own=own)
    torch.testing.assert_close(found.distance, whole.sort(1).values[:, :7], rtol=0, atol=1e-12)
    torch.testing.assert_close(whole.gather(1, found.index), found.distance, rtol=0, atol=1e-12)


def test_nearest_survives_what_float32_cannot_tell_apart() -> None:
    rows = 1e-4 * normal(2, 600, 20) + torch.arange(600)[:, None].double() % 2 * 1e3  # two far heaps of close rows
    whole = dense(rows, rows).fill_diagonal_(math.inf)
    found = nearest(queries=rows, rows=rows, k=3, own=True)
    torch.testing.assert_close(found.distance, whole.sort(1).values[:, :3], rtol=0, atol=1e-12)


@pytest.mark.parametrize("unlike", [False, True])
def test_nearest_of_more_own_rows_than_a_tile(unlike: bool) -> None:
    """Each product serves both of its rows; if those met first lie in a heap of their own, that does not pay."""
    rows = normal(13, 2100, 10)
    rows[1500:1530] = rows[:30]  # some stand twice
    if unlike:
        rows[(torch.arange(2100) * 0.6180339887498949).frac() < 0.25] += 50.0
    whole = torch.cdist(rows, rows, compute_mode="donot_use_mm_for_euclid_dist").fill_diagonal_(math.inf)
    found = nearest(queries=rows, rows=rows, k=6, own=True)
    torch.testing.assert_close(found.distance, whole.topk(6, largest=False).values, rtol=0, atol=1e-12)
    torch.testing.assert_close(whole.gather(1, found.index), found.distance, rtol=0, atol=1e-12)
    assert (_among_own(rows, 6) is None) == unlike


def test_close_pairs_are_exact_at_ties() -> None:
    generator = torch.Generator().manual_seed(3)
    x, y = (torch.randint(0, 3, (n, 9), generator=generator).double() for n in (1500, 5000))
    reach = torch.full((1500,), 4.0, dtype=torch.float64)
    at = within = 0
    for pairs in close_pairs(x, y, reach_x=reach):
        at += int((pairs.square == 4.0).sum())
        within += int((pairs.square <= 4.0).sum())
    square = torch.cdist(x, y).square().round()  # whole numbers
    assert (at, within) == (int((square == 4).sum()), int((square <= 4).sum()))


@pytest.mark.parametrize(("n", "m", "width", "k"), [(300, 300, 2, 5), (260, 150, 20, 3), (150, 300, 120, 5)])
def test_the_figures_are_those_of_the_plain_definitions(n: int, m: int, width: int, k: int) -> None:
    real, fake = normal(4, n, width), normal(5, m, width, 0.2)
    found, plain = neighbour_scores(real=real, fake=fake, k=k), peer(real, fake, k)
    for name in NAMES:
        slack = 2 / (m + 1) if name == "clipped_coverage" else 1e-9  # whose authors count whole steps of the curve
        assert getattr(found, name).value == pytest.approx(plain[name], abs=slack), name
    assert precision_recall(real=real, fake=fake, k=k) == (found.precision, found.recall)
    assert density_coverage(real=real, fake=fake, k=k) == (found.density, found.coverage)


def test_expected_coverage_and_the_curve_that_inverts_it() -> None:
    assert expected_coverage(500, 500, 5) == pytest.approx(0.9692, abs=5e-5)
    assert expected_coverage(500, 1000, 5) == pytest.approx(0.9960, abs=5e-5)
    from scipy.stats import betabinom

    curve = _coverage_curve(50, 40, 3)
    for good in (0, 1, 2, 17, 40):
        law = betabinom(good, 3, 47)
        assert curve[good] == pytest.approx(sum(min(j, 3) * law.pmf(j) for j in range(good + 1)) / 3, abs=1e-12)


@pytest.mark.parametrize("width", [1, 8, 40])
def test_identical_distributions_have_density_one_and_the_expected_coverage(width: int) -> None:
    density, coverage = [], []
    for seed in range(30):
        found = _Rows.of(normal(2 * seed, 90, width), normal(2 * seed + 1, 60, width), 5)
        density.append(float(found.density.mean()))
        coverage.append(float(found.coverage.mean()))
    for values, truth in ((density, 1.0), (coverage, expected_coverage(90, 60, 5))):
        sample = torch.tensor(values)
        assert abs(float(sample.mean()) - truth) < 5 * float(sample.std()) / math.sqrt(30)


@pytest.mark.parametrize(("width", "scale"), [(2, 1.5), (12, 0.5)])  # by a tree, by products
def test_ties_leave_both_expectations_as_they_are(width: int, scale: float) -> None:
    """Rows that all are equal, and rows of few values: strict comparisons would say 0, closed ones far more than 1."""
    equal = neighbour_scores(real=torch.zeros(200, 3), fake=torch.zeros(300, 3), k=5)
    assert equal.density.value == pytest.approx(1.0, abs=1e-9)
    assert equal.coverage.value == pytest.approx(expected_coverage(200, 300, 5), abs=1e-9)
    assert equal.precision.value > 0.99
    found = []
    for seed in range(100):
        x, y = ((normal(100 + 2 * seed + s, 120, width) * scale).round() for s in (0, 1))
        scores = _Rows.of(x, y, 5)
        found.append([float(scores.density.mean()), float(scores.coverage.mean())])
    sample = torch.tensor(found)
    gap = (sample.mean(0) - torch.tensor([1.0, expected_coverage(120, 120, 5)])).abs()
    bound = 5 * sample.std(0) / math.sqrt(100) + 1e-3
    assert bool((gap < bound).all())
    assert float(bound.max()) < 0.08  # squares of rounded roots, as edges, miss the truth by .13 in 12 dimensions


def test_one_outlier_and_the_published_numbers() -> None:
    """d = 64, n = 2,000, shift 0.5, k = 5: one real row at (3, ..., 3) lifts precision from .326 to .886.

    A sample's figures have standard deviations of .02 to .033; the bounds are five of the difference between the
    published sample and the mean of three.
    """
    found = []
    for seed in range(3):
        real, fake = normal(2 * seed, 2000, 64), normal(2 * seed + 1, 2000, 64, 0.5)
        plain = _Rows.of(real, fake, 5)
        real[0] = 3.0
        spoiled = _Rows.of(real, fake, 5)
        figures = (plain.precision, spoiled.precision, spoiled.density, spoiled.coverage)
        found.append([float(rows.mean()) for rows in figures])
        assert abs(float(spoiled.clipped_density.mean() - plain.clipped_density.mean())) < 0.01
    means = torch.tensor(found).mean(0).tolist()
    for value, published, bound in zip(means, (0.326, 0.886, 0.345, 0.371), (0.13, 0.14, 0.13, 0.19), strict=True):
        assert value == pytest.approx(published, abs=bound)


@pytest.mark.parametrize("bad", [0.0, 0.3, 0.7])
def test_clipped_figures_fall_in_a_straight_line(bad: float) -> None:
    real, fake = normal(8, 1500, 8), normal(9, 1500, 8)
    fake[: int(bad * 1500)] += 100.0
    found = neighbour_scores(real=real, fake=fake, k=5)
    assert found.clipped_density.value == pytest.approx(1 - bad, abs=0.06)
    assert found.clipped_coverage.value == pytest.approx(1 - bad, abs=0.06)


def test_intervals_hold_what_samples_of_this_size_give_on_average() -> None:
    """40 repetitions: of nominally 95 %, fewer than 29 hits have probability 1e-7; half as wide have about 27.
    (The calibration itself, over 300 and more, is in benchmarks/bench_neighbours.py.)"""
    found = []
    for seed in range(40):
        scores = neighbour_scores(real=normal(2 * seed, 160, 4), fake=normal(2 * seed + 1, 160, 4, 0.4), k=3)
        found.append([[e.value, e.low, e.high] for e in (getattr(scores, name) for name in NAMES[:4])])
    value, low, high = torch.tensor(found).unbind(2)
    truth = value.mean(0)
    hits = ((low <= truth) & (truth <= high)).sum(0)
    assert bool((hits >= 29).all())
    width = (high - low).mean(0) / (2 * 1.96 * value.std(0))
    assert bool(((width > 0.7) & (width < 1.9)).all()), width


def test_no_interval_is_claimed_of_few_rows() -> None:
    found = neighbour_scores(real=normal(10, 30, 3), fake=normal(11, 30, 3), k=5)
    assert math.isnan(found.precision.stderr)
    assert (found.precision.low, found.precision.high) == (0.0, 1.0)


def test_bad_input_is_named() -> None:
    x = normal(12, 30, 3)
    with pytest.raises(InputError, match="30 rows of real"):
        neighbour_scores(real=x, fake=x, k=30)
    with pytest.raises(InputError, match="fake: 2 features"):
        neighbour_scores(real=x, fake=x[:, :2])
    with pytest.raises(InputError, match="fake: row 4"):
        neighbour_scores(real=x, fake=torch.where(torch.arange(30)[:, None] == 4, math.nan, x))
    with pytest.raises(InputError, match="real: features are a filled matrix"):
        neighbour_scores(real=x[:0], fake=x)
    with pytest.raises(InputError, match="between 1 and 29"):
        nearest(queries=x, rows=x, k=30, own=True)
    with pytest.raises(TypeError):
        neighbour_scores(x, x)  # type: ignore[misc]  # real and fake cannot be swapped silently
