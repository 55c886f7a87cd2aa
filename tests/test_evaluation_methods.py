"""Two-sample methods by name within a comparison: their figures, their reasons, and what they refuse."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from types import MappingProxyType
from typing import Any

import numpy as np
import polars as pl
import pytest
from scipy import stats
from torch import Generator, Tensor

from pushforward.errors import InputError
from pushforward.evaluation import Comparison, compare, gate
from pushforward.evaluation import methods as by_name
from pushforward.evaluation.job import Job, prepare
from pushforward.twosample import METHODS, Method, Part, TestResult, calls, two_sample
from pushforward.twosample import methods as table_of_methods
from pushforward.witness import Estimate

FALSE_FAILURE = 1e-6


def frame(n: int, seed: int, shift: float) -> pl.DataFrame:
    """Numbers, a hole, and a category; `shift` moves the price of the Fair ones only."""
    rng = np.random.default_rng(seed)
    cut = rng.choice(["Ideal", "Good", "Fair"], n)
    price = rng.normal(10.0, 1.0, n) + shift * (cut == "Fair")
    carat = pl.Series([None if v < -1 else float(v) for v in rng.normal(size=n)])
    return pl.DataFrame({"price": price, "noise": rng.normal(size=n), "cut": cut, "carat": carat})


@pytest.fixture(scope="module")
def table() -> Job:
    return prepare({"real": frame(900, 0, 0.0), "fake": frame(800, 1, 3.0)}, suite="quick", alpha=0.05, seed=0)


@pytest.fixture(scope="module")
def shown() -> Comparison:
    return compare(frame(500, 0, 0.0), frame(400, 1, 3.0), methods=["energy", "c2st"], permutations=99)


@pytest.fixture
def catalogue(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Adds methods to the table, for one test."""

    def add(**methods: Method) -> None:
        known = MappingProxyType({**METHODS, **methods})
        for module in (by_name, calls, table_of_methods):
            monkeypatch.setattr(module, "METHODS", known)

    return add


def test_the_figures_are_those_of_two_sample(table: Job) -> None:
    report = by_name.run_methods(table, ["energy"], permutations=99, rows=None)[0]
    x, y = (table.space.rows[role] for role in ("real", "fake"))
    direct = two_sample(x, y, "energy", permutations=99, seed=0)
    assert (report.statistic, report.pvalue) == (direct.statistic, direct.pvalue)
    assert (report.effect, report.effect_low) == (direct.effect.value, direct.effect.low)
    assert report.detectable == direct.detectable(0.05)
    assert (report.n_real, report.n_fake, report.permutations) == (900, 800, 99)
    assert report.rows_read == "all 900 real and all 800 fake rows; standardised columns, one-hot categories"
    assert report.convention == METHODS["energy"].convention


@pytest.mark.parametrize("name", ["energy", "c2st"])
def test_a_shift_within_one_category_is_explained(table: Job, name: str) -> None:
    """Only the price of Fair ones is moved, by three deviations: the price must lead, the region must name both."""
    report = by_name.run_methods(table, [name], permutations=99, rows=None)[0]
    assert report.pvalue == 0.01
    assert report.features[0].name == "price"
    assert {item.name for item in report.features} == {"price", "noise", "cut", "carat"}
    assert sum(item.share for item in report.features if item.fall > 0) == pytest.approx(1.0)
    more = next(region for region in report.regions if region.low > 1.0)
    assert any(condition.startswith("price ") for condition in more.conditions)
    assert "more frequent in FAKE" in more.text or "found in FAKE only" in more.text
    fakes = [record for record in report.records if record.role == "fake-like"]
    assert np.mean([record.values["price"] for record in fakes]) > 11.5
    assert [record.score for record in fakes] == sorted(record.score for record in fakes)


def test_columns_are_shuffled_whole(table: Job) -> None:
    """Every position of the rows belongs to exactly one column, a category having all of its levels."""
    positions = [j for block in table.space.blocks for j in block]
    assert positions == list(range(table.space.rows["real"].shape[1]))
    assert [len(block) for block in table.space.blocks] == [1, 1, 3, 2]
    assert np.allclose(table.space.rows["real"][:, table.space.blocks[2]].sum(1), np.sqrt(0.5))


def test_rows_are_capped_and_said_to_be(table: Job) -> None:
    report = by_name.run_methods(table, ["energy"], permutations=19, rows=100)[0]
    assert (report.n_real, report.n_fake) == (100, 100)
    assert report.rows_read.startswith("100 of 900 real and 100 of 800 fake rows")
    assert report.regions  # counted on the rows beyond the cap


def test_no_explanation_of_chance() -> None:
    """Under the null, the regions of the compare job and of a method are claimed in at most 5 % of 24 jobs."""
    claims = 0
    for seed in range(24):
        roles = {"real": frame(160, 100 + seed, 0.0), "fake": frame(140, 200 + seed, 0.0)}
        job = prepare(roles, suite="quick", alpha=0.05, seed=seed)
        claims += bool(by_name.run_methods(job, ["energy"], permutations=19, rows=None)[0].regions)
    assert claims <= stats.binom.isf(FALSE_FAILURE, 24, 0.05)


def test_points_are_read_as_they_are(catalogue: Callable[..., None]) -> None:
    seen: list[Tensor] = []

    def spy(x: Tensor, y: Tensor, *, permutations: int, generator: Generator) -> TestResult:
        seen.append(x)
        return result(x, y)

    catalogue(spy=dataclasses.replace(METHODS["energy"], test=spy))
    rows = np.random.default_rng(0).normal(1e6, 1.0, (60, 2))
    job = prepare({"real": rows, "fake": rows + 1.0}, suite="quick", alpha=0.05, seed=0)
    report = by_name.run_methods(job, ["spy"], permutations=None, rows=None)[0]
    assert np.array_equal(seen[0].numpy(), job.frame.rows["real"])
    assert len(seen) == 1  # without a witness there is no second run
    assert "no witness" in report.note


def result(x: Tensor, y: Tensor, parts: tuple[Part, ...] = ()) -> TestResult:
    """A test's answer without a witness, and without an interval."""
    nan = float("nan")
    return TestResult(
        "spy", 1.0, 0.5, x.new_zeros(0), Estimate(1.0, nan, nan, nan), len(x), len(y), 0, None, 0.0, parts=parts
    )


def test_parts_are_named_after_the_columns(table: Job, catalogue: Callable[..., None]) -> None:
    def parted(x: Tensor, y: Tensor, *, permutations: int, generator: Generator) -> TestResult:
        names = [*(f"feature {j}" for j in range(x.shape[1])), "column 0 squared", "feature 99", "width 2"]
        return result(x, y, tuple(Part(name, 1.0, 0.5, float("nan")) for name in names))

    catalogue(parted=dataclasses.replace(METHODS["energy"], test=parted))
    report = by_name.run_methods(table, ["parted"], permutations=None, rows=None)[0]
    names = [part.name for part in report.parts]
    assert names[:2] == ["price", "noise"]
    assert set(names[2:5]) == {"cut = Ideal", "cut = Good", "cut = Fair"}
    assert names[5:] == ["carat", "carat missing", "price squared", "feature 99", "width 2"]
    assert report.parts[0].adjusted is None
    assert (report.effect_low, report.detectable) == (None, None)


def test_a_distance_without_a_test_gives_its_effect(table: Job, catalogue: Callable[..., None]) -> None:
    catalogue(far=dataclasses.replace(METHODS["energy"], test=None))
    report = by_name.run_methods(table, ["far"], permutations=None, rows=None)[0]
    assert (report.statistic, report.pvalue) == (None, None)
    assert report.effect is not None
    assert report.effect > 0


def test_a_refusal_names_the_method(table: Job, catalogue: Callable[..., None]) -> None:
    def thin(x: Tensor, y: Tensor, *, permutations: int, generator: Generator) -> TestResult:
        raise InputError(f"needs one column, not {x.shape[1]}")

    catalogue(thin=dataclasses.replace(METHODS["energy"], test=thin))
    with pytest.raises(InputError, match=r"^method 'thin': needs one column, not 7$"):
        by_name.run_methods(table, ["thin"], permutations=None, rows=None)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"methods": ["energi"]}, "no method 'energi'; did you mean energy"),
        ({"methods": ["mmd"], "permutations": 18}, "at least 19"),
        ({"methods": ["mmd"], "permutations": 0}, "at least 19"),
        ({"methods": ["mmd"], "method_rows": 19}, "at least 20"),
    ],
)
def test_mistakes_are_told_before_the_data_are_read(options: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError, match=words):
        compare("nowhere.csv", "nowhere.csv", **options)


def test_reports_travel(shown: Comparison) -> None:
    assert [test.name for test in shown.tests] == ["energy", "c2st"]
    assert Comparison.from_dict(shown.to_dict()) == shown
    assert "methods=['energy', 'c2st'], permutations=99" in shown.made_by["command"]
    text = shown.to_markdown()
    assert "| energy | " in text
    assert "rests on: price" in text
    assert gate(shown, "energy.pvalue<0.05")
    assert gate(shown, "c2st.effect>0.6")
    with pytest.raises(InputError, match=r"no figure 'mmd\.pvalue' here; known: .*c2st\.pvalue"):
        gate(shown, "mmd.pvalue<0.05")


def test_the_page_shows_them(shown: Comparison) -> None:
    page = shown.to_html()
    assert '<section id="tests">' in page
    assert '<section id="where">' in page
    for test in shown.tests:
        assert f"<h3>{test.name}: where</h3>" in page
    assert "price" in page


def test_images_and_wide_points(catalogue: Callable[..., None]) -> None:
    from pushforward.data import sources

    digits = sources.read("sample:digits")
    real, fake = digits.take(np.arange(200)), digits.take(np.arange(200, 400))
    fake = dataclasses.replace(fake, values=255 - fake.values)
    job = prepare({"real": real, "fake": fake}, suite="quick", alpha=0.05, seed=0)
    report = by_name.run_methods(job, ["energy"], permutations=19, rows=None)[0]
    assert report.features == ()
    assert "pixels" in report.note
    assert report.records[0].image is not None
    assert "brightness" in report.regions[0].text
    rng = np.random.default_rng(0)
    job = prepare(
        {"real": rng.normal(size=(80, 50)), "fake": rng.normal(size=(80, 50))}, suite="quick", alpha=0.05, seed=0
    )
    assert "more than 40" in by_name.run_methods(job, ["energy"], permutations=19, rows=None)[0].note
