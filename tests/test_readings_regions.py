"""Regions in words: planted differences are found and described, chance is not, and the intervals cover.

False-failure rate of each statistical check: 1e-6 by the binomial tail.
"""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy import stats

from pushforward.errors import InputError
from pushforward.fitters.kernel import EnergyKernel, kernel_witness
from pushforward.readings.regions import ratio_interval, regions, regions_of_scores
from pushforward.readings.wording import Column, Look, Side, in_words
from pushforward.witness import Witness

FALSE_FAILURE = 1e-6
CUTS = ("Ideal", "Good", "Fair", "(missing)")
DAY = 86_400.0
LINEAR = Witness(phi=lambda v: -v.flatten(1)[:, 0], psi=lambda v: -v.flatten(1)[:, 0])


def diamonds(n: int, rng: np.random.Generator, share: float) -> np.ndarray:
    """Price (whole), cut (a code), carat (sometimes missing), day: with a `share` of dear Fair ones added."""
    price = rng.integers(300, 20_000, n).astype(float)
    cut = rng.choice(4, n, p=[0.6, 0.25, 0.1, 0.05]).astype(float)
    carat = np.where(rng.random(n) < 0.1, np.nan, rng.gamma(2.0, 0.4, n))
    added = rng.random(n) < share
    price[added], cut[added] = rng.integers(9_001, 20_000, int(added.sum())), 2.0
    return np.stack([price, cut, carat, DAY * rng.integers(19_700, 20_000, n)], 1)


COLUMNS = [Column("price"), Column("cut", "category", CUTS), Column("carat"), Column("day", "datetime")]


def told(rows: np.ndarray) -> np.ndarray:
    """Scores of a judge who knows: low for dear Fair rows, with noise."""
    rng = np.random.default_rng(5)
    return np.where((rows[:, 1] == 2) & (rows[:, 0] > 9_000), -1.0, 0.0) + 0.3 * rng.normal(size=len(rows))


def test_a_planted_region_is_found_and_told() -> None:
    """5 % of dear Fair rows are added to the fakes: 0.1 * 11/19.7 = 5.6 % of REAL, 0.05 + 0.95 * 5.6 % of FAKE."""
    rng = np.random.default_rng(0)
    real, fake = diamonds(8_000, rng, 0.0), diamonds(8_000, rng, 0.05)
    grown = np.concatenate([real[:4_000], fake[:4_000]])
    found = regions_of_scores(told(grown), grown, real[4_000:], fake[4_000:], columns=COLUMNS)
    first = found[0]
    assert "cut = Fair" in first.conditions
    assert "price > 9,000" in first.conditions
    inside = 0.1 * 10_999 / 19_700
    ratio = (0.05 + 0.95 * inside) / inside
    assert first.ratio is not None
    assert first.high is not None
    assert first.low <= ratio <= first.high
    assert first.low > 1.0
    assert first.text.startswith(" and ".join(first.conditions) + ": ")
    assert f"{first.ratio:.1f}x more frequent in FAKE (95% interval" in first.text
    assert first.real_share == first.n_real / 4_000


def test_an_interaction_without_main_effects_is_found() -> None:
    """A flipped correlation: no single split of the scores explains anything, two of them explain all."""
    rng = np.random.default_rng(1)
    base = rng.multivariate_normal([0, 0], [[1, 0.7], [0.7, 1]], 4_000)
    real, fake = base[:2_000], base[2_000:] * [1, -1]
    grown = np.concatenate([real[:1_000], fake[:1_000]])
    found = regions_of_scores(
        grown[:, 0] * grown[:, 1], grown, real[1_000:], fake[1_000:], columns=[Column("a"), Column("b")], depth=2
    )
    assert len(found) >= 2
    assert all(len(region.conditions) == 2 for region in found[:2])


@pytest.mark.parametrize("side", ["fake", "real"])
def test_a_region_that_one_set_lacks(side: str) -> None:
    rng = np.random.default_rng(2)
    a, b = rng.uniform(0, 1, (600, 1)), rng.uniform(0, 1.5, (600, 1))
    real, fake = (a, b) if side == "fake" else (b, a)
    grown = np.concatenate([real[:300], fake[:300]])
    score = np.where(grown[:, 0] > 1, -1.0, 1.0) * (1.0 if side == "fake" else -1.0)
    found = regions_of_scores(score, grown, real[300:], fake[300:], columns=[Column("x")])
    assert f"found in {side.upper()} only" in found[0].text
    assert "nan" not in found[0].text + found[-1].text
    if side == "fake":
        assert (found[0].ratio, found[0].high) == (None, None)
        assert found[0].low > 3
    else:
        assert (found[0].ratio, found[0].low) == (0.0, 0.0)


def test_chance_is_not_described() -> None:
    """Over 80 null problems at least one region is claimed in at most 5 % of them, whatever the witness learned."""
    claims = 0
    for seed in range(80):
        g = torch.Generator().manual_seed(seed)
        x, y = torch.randn(360, 2, generator=g), torch.randn(300, 2, generator=g)
        w = kernel_witness(EnergyKernel(), x[:120], y[:100])
        claims += bool(regions(w, x[120:], y[100:], least_share=0.05, generator=g))
    assert claims <= stats.binom.isf(FALSE_FAILURE, 80, 0.05)


def test_a_witness_s_own_rows_would_flatter_it() -> None:
    """The check above can fail: scores that know the labels of the counted rows claim regions under the null."""
    rng = np.random.default_rng(3)
    column = Column("k", "category", tuple(f"level {j}" for j in range(40)))
    claims = 0
    for _ in range(20):
        codes = rng.integers(0, 40, 800)
        excess = np.bincount(codes[:400], minlength=40) - np.bincount(codes[400:], minlength=40)
        rows = codes[:, None].astype(float)
        found = regions_of_scores(excess[codes].astype(float), rows, rows[:400], rows[400:], columns=[column], depth=1)
        claims += bool(found)
    assert claims > stats.binom.isf(FALSE_FAILURE, 20, 0.05)


def test_the_same_generator_gives_the_same_regions(generator: torch.Generator) -> None:
    x, y = torch.randn(2_000, 3, generator=generator), torch.randn(2_000, 3, generator=generator) + 0.5
    first, again = (regions(LINEAR, x, y, generator=torch.Generator().manual_seed(1)) for _ in range(2))
    assert first == again
    assert first[0].conditions[0].startswith("x0 ")
    named = regions(LINEAR, x, y, names=["a", "b", "c"], generator=torch.Generator().manual_seed(1))
    assert named[0].text == first[0].text.replace("x0", "a").replace("x1", "b").replace("x2", "c")


@pytest.mark.parametrize(("p", "ratio"), [(0.02, 1.0), (0.02, 4.0), (0.3, 2.0), (0.9, 1.05)])
def test_ratio_intervals_cover(p: float, ratio: float) -> None:
    rng = np.random.default_rng(4)
    k, f = rng.binomial(500, p, 400), rng.binomial(300, p * ratio, 400)
    ends = [ratio_interval(int(b), 300, int(a), 500, 0.95) for a, b in zip(k, f, strict=True)]
    misses = sum(not low <= ratio <= high for low, high in ends)
    assert misses <= stats.binom.isf(FALSE_FAILURE, 400, 0.06)  # a score interval holds to within a point of its level
    assert misses >= stats.binom.ppf(FALSE_FAILURE, 400, 0.02)  # and is no wider than that


def test_ratio_intervals_agree_with_the_logarithm_s_where_counts_are_large() -> None:
    from scipy.stats.contingency import relative_risk

    low, high = ratio_interval(9_000, 100_000, 3_000, 100_000, 0.95)
    katz = relative_risk(9_000, 100_000, 3_000, 100_000).confidence_interval(0.95)
    assert (low, high) == pytest.approx((katz.low, katz.high), rel=1e-3)
    assert ratio_interval(0, 50, 0, 50, 0.95) == (0.0, math.inf)
    assert ratio_interval(0, 50, 9, 50, 0.95)[0] == 0.0
    assert ratio_interval(9, 50, 0, 50, 0.95)[1] == math.inf
    inverse = ratio_interval(30, 200, 12, 300, 0.9), ratio_interval(12, 300, 30, 200, 0.9)
    assert inverse[0] == pytest.approx((1 / inverse[1][1], 1 / inverse[1][0]))


WHOLE, REAL_NUMBER, DAYS = Look(True, False, False), Look(False, False, True), Look(False, True, False)


@pytest.mark.parametrize(
    ("column", "side", "look", "words"),
    [
        (Column("price"), Side(low=9_000.0), WHOLE, "price > 9,000"),
        (Column("price"), Side(4_000.0, 9_000.0), WHOLE, "price between 4,000 and 9,000"),
        (Column("doors"), Side(1.0, 4.0), WHOLE, "doors between 2 and 4"),
        (Column("doors"), Side(2.0, 3.0), WHOLE, "doors = 3"),
        (Column("year"), Side(high=2010.0), WHOLE, "year ≤ 2010"),
        (Column("carat"), Side(low=0.75), REAL_NUMBER, "carat > 0.75 (or missing)"),
        (Column("carat"), Side(high=-0.75, missing=False), REAL_NUMBER, "carat ≤ -0.75"),
        (Column("carat"), Side(missing=False), REAL_NUMBER, "carat is given"),
        (Column("carat"), Side(low=math.inf), REAL_NUMBER, "carat is missing"),
        (Column("day", "datetime"), Side(low=19_723 * DAY), DAYS, "day after 2024-01-01"),
        (Column("day", "datetime"), Side(19_722 * DAY, 19_723 * DAY), DAYS, "day on 2024-01-01"),
        (
            Column("at", "datetime"),
            Side(high=19_723 * DAY + 3_600),
            REAL_NUMBER,
            "at up to 2024-01-01 01:00 (or missing)",
        ),
        (Column("cut", "category", CUTS), Side(levels=frozenset({2})), WHOLE, "cut = Fair"),
        (Column("cut", "category", CUTS), Side(levels=frozenset({0, 1, 3})), WHOLE, "cut ≠ Fair"),
        (Column("cut", "category", CUTS), Side(levels=frozenset({1, 2})), WHOLE, "cut is one of Good, Fair"),
        (Column("cut", "category", CUTS), Side(levels=frozenset({3})), WHOLE, "cut is missing"),
        (Column("cut", "category", CUTS), Side(levels=frozenset({0, 1, 2})), WHOLE, "cut is given"),
        (
            Column("id", "category", tuple("abcdefghijklmnop")),
            Side(levels=frozenset(range(7))),
            WHOLE,
            "id is one of a, b, c, d and 3 more",
        ),
    ],
)
def test_words(column: Column, side: Side, look: Look, words: str) -> None:
    assert in_words(column, side, look) == words


def test_ends_are_rounded_in_the_column_s_units() -> None:
    rng = np.random.default_rng(6)
    prices = rng.integers(300, 20_000, 5_000).astype(float)
    assert Column("price").rounded(9_013.5, prices) == 9_000.0
    assert Column("carat").rounded(0.5037, rng.uniform(0, 1, 2_000)) == 0.5
    few = np.array([1.0, 2.0, 3.0, 4.0])
    assert Column("doors").rounded(2.5, few) == 2.0
    assert Column("x").rounded(1.23456, np.array([1.2345, 1.2346, 1.2347])) == pytest.approx(1.23456, abs=4e-5)
    days = DAY * rng.integers(19_700, 20_000, 500)
    assert Column("day", "datetime").rounded(19_800.5 * DAY, days) == 19_800 * DAY


def test_missing_values_are_a_region_of_their_own() -> None:
    rng = np.random.default_rng(7)
    real, fake = rng.normal(size=(2_000, 2)), rng.normal(size=(2_000, 2))
    fake[rng.random(2_000) < 0.2, 1] = np.nan
    grown = np.concatenate([real[:1_000], fake[:1_000]])
    scores = np.where(np.isnan(grown[:, 1]), -1.0, 0.1)
    found = regions_of_scores(scores, grown, real[1_000:], fake[1_000:], columns=[Column("a"), Column("carat")])
    assert found[0].conditions == ("carat is missing",)
    assert "found in FAKE only" in found[0].text


def test_nothing_to_say() -> None:
    rows = np.random.default_rng(8).normal(size=(200, 2))
    constant = np.ones((200, 2))
    columns = [Column("a"), Column("b")]
    assert regions_of_scores(np.zeros(200), rows, rows, rows, columns=columns) == ()
    assert regions_of_scores(rows[:, 0], constant, constant, constant, columns=columns) == ()
    assert regions_of_scores(rows[:, 0], np.full((200, 2), np.nan), rows, rows, columns=columns) == ()


def test_bad_input(generator: torch.Generator) -> None:
    x = torch.randn(50, 2, generator=generator)
    with pytest.raises(InputError, match="at least 40 rows"):
        regions(LINEAR, x[:39], x, generator=generator)
    with pytest.raises(InputError, match="3 names were given for 2"):
        regions(LINEAR, x, x, names=["a", "b", "c"], generator=generator)
    with pytest.raises(InputError, match="infinite"):
        regions(LINEAR, x / 0.0, x, generator=generator)
    with pytest.raises(InputError, match="but rows of y"):
        regions(LINEAR, x, x[:, :1], generator=generator)
    with pytest.raises(InputError, match="depth"):
        regions(LINEAR, x, x, depth=0, generator=generator)
