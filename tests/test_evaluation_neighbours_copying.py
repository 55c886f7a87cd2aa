"""Memorisation and privacy by neighbours: nulls by simulation, exact laws, planted copies.

Tests on random samples have fixed seeds and bounds of five standard errors: correct code would fail one in a million.
"""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from pushforward.errors import InputError
from pushforward.evaluation.neighbours import (
    alpha_precision,
    authenticity,
    beta_recall,
    closest_record,
    data_copying,
    distance_ratio,
    feature_likelihood,
    gower_nearest,
    identical,
    membership,
    near_copies,
    record_distances,
)
from pushforward.evaluation.neighbours.copying import quantile_estimate
from pushforward.evaluation.neighbours.fld import _fit, _nll
from pushforward.evaluation.neighbours.typicality import _gap_to_diagonal


def normal(seed: int, rows: int, width: int, shift: float = 0.0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(rows, width, generator=generator, dtype=torch.float64) + shift


@pytest.mark.parametrize(("width", "share"), [(2, 0.39), (8, 0.57), (64, 0.82)])
def test_authenticity_of_a_perfect_generator_and_of_copies(width: int, share: float) -> None:
    train, fake, holdout = normal(1, 2000, width), normal(2, 2000, width), normal(3, 2000, width)
    found = authenticity(train=train, fake=fake, holdout=holdout)
    assert found.share.value == pytest.approx(share, abs=0.06)
    assert found.expected is not None
    assert found.expected.value == pytest.approx(share, abs=0.06)
    assert found.pvalue is not None
    assert found.pvalue > 1e-6
    copied = authenticity(train=train, fake=train[:500], holdout=holdout)
    assert copied.share.value == 0.0
    assert copied.pvalue is not None
    assert copied.pvalue < 1e-9


def test_authenticity_looks_the_training_row_up_under_its_own_number() -> None:
    train = torch.tensor([[0.0], [10.0], [10.1], [30.0]])
    fake = torch.tensor([[11.0], [1.0], [29.0]])  # nearest: rows 2, 0, 3, whose own neighbours are .1, 10, 19.9 away
    assert authenticity(train=train, fake=fake).share.value == pytest.approx(1 / 3)


def test_the_integral_of_alpha_precision_is_exact() -> None:
    levels = torch.tensor([0.1, 0.1, 0.45, 0.9, math.inf], dtype=torch.float64)
    grid = (torch.arange(200_000, dtype=torch.float64) + 0.5) / 200_000
    height = (levels[:, None] <= grid[None, ::20]).double().mean(0)
    assert _gap_to_diagonal(levels) == pytest.approx(float((height - grid[::20]).abs().mean()), abs=1e-4)


def test_alpha_precision_and_beta_recall_at_their_ends() -> None:
    real, fake = normal(4, 1000, 3), normal(5, 1000, 3)
    assert alpha_precision(real=real, fake=fake).value > 0.93
    assert beta_recall(real=real, fake=fake).value > 0.9
    assert alpha_precision(real=real, fake=fake + 50).value == pytest.approx(0.0, abs=1e-9)
    assert beta_recall(real=real, fake=fake + 50).value == pytest.approx(0.0, abs=1e-9)
    narrow = alpha_precision(real=real, fake=0.5 * fake)
    assert narrow.high < 0.75  # all fakes near the middle: P(alpha) far above alpha


def test_alpha_precision_covers() -> None:
    """50 repetitions: fewer than 38 hits of nominally 95 % have probability 1e-6."""
    found = []
    for seed in range(50):
        one = alpha_precision(real=normal(2 * seed, 200, 3), fake=1.3 * normal(2 * seed + 1, 200, 3))
        found.append((one.value, one.low, one.high))
    value, low, high = torch.tensor(found).T
    assert int(((low <= value.mean()) & (value.mean() <= high)).sum()) >= 38
    assert float((high - low).mean() / (3.92 * value.std())) < 2


def test_the_score_of_data_copying_has_variance_one_and_its_p_value_holds() -> None:
    """100 nulls: a standard deviation of 1 +- .36 is five standard errors; 20 rejections have probability 1e-7."""
    scores, raw, pvalues = [], [], []
    for seed in range(100):
        train, holdout, fake = (normal(3 * seed + s, n, 2) for s, n in enumerate((200, 240, 240)))
        found = data_copying(train=train, holdout=holdout, fake=fake, cells=5, seed=0)
        scores.append(found.score)
        raw.append(found.statistic)
        pvalues.append(found.pvalue)
    assert np.std(scores) == pytest.approx(1.0, abs=0.36)
    assert abs(np.mean(scores)) < 5 / 10
    assert np.std(raw) < 0.7  # as published: about 1/sqrt(5), so that its usual cut at -3 would never be met
    assert np.sum(np.array(pvalues) <= 0.05) < 20


@pytest.mark.parametrize("width", [3, 40])
def test_planted_copies_are_found(width: int) -> None:
    train, holdout, fake = normal(7, 1500, width), normal(8, 1500, width), normal(9, 1500, width)
    clean = record_distances(train=train, holdout=holdout, fake=fake)
    assert data_copying(train=train, holdout=holdout, fake=fake, distances=clean).pvalue > 1e-6
    assert near_copies(clean).pvalue > 1e-6
    fake[:75] = train[:75] + 0.02 * normal(10, 75, width)  # 5 % near copies
    found = record_distances(train=train, holdout=holdout, fake=fake)
    close = near_copies(found)
    assert close.pvalue < 1e-6
    assert close.fake.low > close.holdout.value
    assert np.mean(found.nearest[:75] == np.arange(75)) > 0.9
    fake[:] = train + 0.02 * normal(11, 1500, width)
    assert data_copying(train=train, holdout=holdout, fake=fake).pvalue < 1e-9
    assert membership(train=train, holdout=holdout, fake=fake).low > 0.9


def test_membership_of_what_leaks_nothing() -> None:
    found = membership(train=normal(12, 800, 5), holdout=normal(13, 800, 5), fake=normal(14, 800, 5))
    assert found.value == pytest.approx(0.5, abs=5 * found.stderr)
    assert 0.005 < found.stderr < 0.03


def test_the_law_of_near_copies_is_exact() -> None:
    """The share of p-values at most 5 % is at most 5 %: 200 nulls, 29 of them have probability 3e-7."""
    hits = 0
    for seed in range(200):
        train, holdout, fake = (normal(3 * seed + s, 60, 2) for s in range(3))
        hits += near_copies(record_distances(train=train, holdout=holdout, fake=fake), quantile=0.2).pvalue <= 0.05
    assert hits < 29


def test_identical_rows_and_their_exact_test() -> None:
    train, fake, holdout = (normal(s, 300, 2).numpy() for s in (15, 16, 17))
    fake[:6] = train[:6]
    found = identical(train=train, holdout=holdout, fake=fake)
    assert (found.fake.value, found.holdout.value) == (0.02, 0.0)
    assert found.pvalue == pytest.approx(math.comb(300, 6) / math.comb(600, 6), rel=1e-9)


def test_quantiles_have_the_interval_of_order_statistics() -> None:
    found = quantile_estimate(np.arange(1.0, 101.0), 0.5)
    assert (found.low, found.high) == (40.0, 61.0)  # P(40 <= Binomial(100, 1/2) < 61) = .9648
    rng, hits = np.random.default_rng(0), 0
    for _ in range(400):
        one = quantile_estimate(rng.normal(size=80), 0.05)
        hits += one.low <= -1.6449 <= one.high
    assert hits >= 400 * 0.95 - 5 * math.sqrt(400 * 0.05 * 0.95)
    train = torch.tensor([[0.0], [1.0], [1.0]])
    gaps = record_distances(train=train, holdout=torch.tensor([[3.0]]), fake=torch.tensor([[0.25], [1.0]]))
    assert distance_ratio(gaps).fake_median.value == pytest.approx((1 / 3 + 1.0) / 2)
    assert closest_record(gaps).holdout_median.value == 2.0


def test_feature_likelihood_orders_generators() -> None:
    train, holdout, fake = normal(18, 600, 8), normal(19, 300, 8), normal(20, 300, 8)
    good = feature_likelihood(train=train, holdout=holdout, fake=fake)
    poor = feature_likelihood(train=train, holdout=holdout, fake=fake + 2)
    part = feature_likelihood(train=train, holdout=holdout, fake=fake.clamp(min=0))
    copied = feature_likelihood(train=train, holdout=holdout, fake=train[:300] + 1e-3)
    assert abs(good.fld.value) < 5 * good.fld.stderr + 2
    assert poor.fld.low > good.fld.high
    assert part.fld.low > good.fld.high
    assert copied.gap.high < good.gap.low - 10
    assert copied.fld.low > good.fld.high


def test_the_fit_of_widths_climbs_and_scores_are_densities() -> None:
    rows, means = normal(21, 200, 2), normal(22, 60, 2)
    nll = [float(_nll(rows, means, _fit(means, rows, steps)).mean()) for steps in (0, 3, 20)]
    assert nll[0] > nll[1] > nll[2]
    widths = _fit(means, rows, 20)
    grid = torch.cartesian_prod(*[torch.linspace(-9, 9, 721, dtype=torch.float64)] * 2)
    mass = torch.exp(-_nll(grid, means[:5], widths[:5].clamp(min=0.01))).sum() * (18 / 720) ** 2
    assert float(mass) == pytest.approx(1.0, abs=1e-3)


def gower(queries: Tensor, rows: Tensor, kinds: list[str]) -> Tensor:
    """The whole matrix, as sdmetrics defines it."""
    total = torch.zeros(len(queries), len(rows), dtype=torch.float64)
    for j, kind in enumerate(kinds):
        a, b = queries[:, j, None], rows[None, :, j]
        span = rows[:, j].nan_to_num(math.inf).min(), rows[:, j].nan_to_num(-math.inf).max()
        scale = float(span[1] - span[0])
        gap = (a != b).double() if kind == "category" or scale == 0 else ((a - b).abs() / scale).clamp(max=1)
        one, both = a.isnan() ^ b.isnan(), a.isnan() & b.isnan()
        total += torch.where(both, 0.0, torch.where(one, 1.0, gap))
    return total / len(kinds)


def test_gower_is_that_of_the_whole_matrix() -> None:
    kinds = ["numeric", "category", "datetime", "numeric", "numeric", "category"]
    rows, queries = normal(23, 900, 6), normal(24, 200, 6)
    for table in (rows, queries):
        table[:, [1, 5]] = table[:, [1, 5]].round().abs()
        table[:, 3] = 7.0  # a column of one value
        table[table[:, 0] > 1.2, 2] = math.nan
    queries[0, 3], queries[1, 4], queries[2, 1] = 8.0, 99.0, math.nan  # another value, out of range, missing
    queries[3] = rows[17]
    rows[5, 3] = math.nan
    found, whole = gower_nearest(queries=queries, rows=rows, kinds=kinds), gower(queries, rows, kinds)
    torch.testing.assert_close(found.distance, whole.min(1).values, rtol=0, atol=1e-12)
    torch.testing.assert_close(whole.gather(1, found.index[:, None])[:, 0], found.distance, rtol=0, atol=1e-12)
    assert float(found.distance[3]) == 0.0


@pytest.mark.parametrize("step", [0.0, 0.25])  # numbers of many values, or of few: ties beyond the candidates
def test_gower_sums_products_and_what_is_out_of_range(step: float) -> None:
    """Categories of few and of many levels; a third of the queries out of range, a fifth of the numbers missing."""
    kinds = ["numeric"] * 4 + ["category"] * 3
    rows, queries = normal(26, 2500, 7), normal(27, 300, 7)
    for table in (rows, queries):
        table[:, 4:6] = table[:, 4:6].round().abs()
        table[:, 6] = (table[:, 6] * 200).round().abs()  # more levels than are summed by products
        if step:
            table[:, :4] = (table[:, :4] / step).round() * step
        table[:, 1][normal(28, len(table), 1)[:, 0] > 0.84] = math.nan
        table[:, 4][normal(29, len(table), 1)[:, 0] > 1.5] = math.nan
    queries[:100, 0] += 3.0
    queries[100:150] = rows[:50]
    queries[150, 5] = 99.0  # a level that no row has
    found, whole = gower_nearest(queries=queries, rows=rows, kinds=kinds), gower(queries, rows, kinds)
    torch.testing.assert_close(found.distance, whole.min(1).values, rtol=0, atol=1e-12)
    torch.testing.assert_close(whole.gather(1, found.index[:, None])[:, 0], found.distance, rtol=0, atol=1e-12)
    assert bool((found.distance[100:150] == 0).all())


def test_bad_input_is_named() -> None:
    x = normal(25, 50, 3)
    with pytest.raises(InputError, match="quantile"):
        near_copies(record_distances(train=x, holdout=x, fake=x), quantile=1.0)
    with pytest.raises(InputError, match="no cell has 20"):
        data_copying(train=x, holdout=x[:10], fake=x)
    with pytest.raises(InputError, match="holdout: 2 features"):
        record_distances(train=x, holdout=x[:, :2], fake=x)
    with pytest.raises(InputError, match="two training rows"):
        authenticity(train=x[:1], fake=x)
    with pytest.raises(InputError, match="halved"):
        feature_likelihood(train=x[:2], holdout=x, fake=x)
    with pytest.raises(InputError, match="column kind 'text'"):
        gower_nearest(queries=x, rows=x, kinds=["numeric", "text", "category"])
    with pytest.raises(InputError, match="table of 2 columns"):
        gower_nearest(queries=x, rows=x, kinds=["numeric", "category"])
