"""Findings, leaderboards and history: what is planted is named, what is not is not.

Plants are so strong that correct code misses them with probability below 1e-6; seeds are fixed.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch

from pushforward.data import sources
from pushforward.data.dataset import Dataset
from pushforward.errors import InputError
from pushforward.evaluation import Comparison, compare, leaderboard
from pushforward.evaluation.catalogue import figures
from pushforward.evaluation.combinations import thin_combinations
from pushforward.evaluation.findings import first_screen
from pushforward.evaluation.history import history
from pushforward.evaluation.job import Job, prepare


def table(n: int, seed: int) -> Dataset:
    """Numbers that hang together, a rule (low <= high), two categories."""
    rng = np.random.default_rng(seed)
    a = rng.normal(size=n)
    low = rng.gamma(2.0, size=n)
    frame = pl.DataFrame(
        {
            "a": a,
            "b": a + 0.5 * rng.normal(size=n),
            "low": low,
            "high": low + rng.gamma(1.0, size=n),
            "colour": rng.choice(["red", "green", "blue"], n, p=[0.5, 0.3, 0.2]),
            "size": rng.choice(["S", "M", "L"], n),
        }
    )
    return Dataset("table", frame, f"table {seed}")


def job(fake: Dataset, **more: Dataset) -> Job:
    return prepare({"real": table(1500, 0), "fake": fake, **more}, suite="quick", alpha=0.05, seed=0)


def named(fake: Dataset, **more: Dataset) -> dict[str, str]:
    found, looked_for = first_screen(job(fake, **more))
    assert {finding.name for finding in found} - {"dropped modes"} <= set(looked_for)
    assert all(finding.pvalue <= finding.pvalue_adjusted <= 0.05 for finding in found)
    return {finding.name: finding.sentence for finding in found}


def test_a_perfect_generator_has_no_findings() -> None:
    assert named(table(1500, 1), train=table(3000, 2)) == {}


def test_a_shifted_column_is_named() -> None:
    fake = table(1500, 1)
    moved = dataclasses.replace(fake, values=fake.values.with_columns(a=pl.col("a") + 1, b=pl.col("b") + 1))
    found = named(moved)
    assert "a (higher" in found["columns"]
    assert "2 columns of 6 differ" in found["columns"]


def test_a_broken_correlation_is_named_and_no_column_is() -> None:
    fake = table(1500, 1)
    order = np.random.default_rng(3).permutation(1500)
    found = named(dataclasses.replace(fake, values=fake.values.with_columns(b=fake.values["b"][order])))
    assert "a and b go together differently" in found["dependence"]
    assert "columns" not in found


def test_a_broken_rule_is_named() -> None:
    fake = table(1500, 1)
    order = np.random.default_rng(3).permutation(1500)
    found = named(dataclasses.replace(fake, values=fake.values.with_columns(high=fake.values["high"][order])))
    assert "low" in found["rules"]
    assert "high" in found["rules"]


def test_a_lost_combination_is_named() -> None:
    fake = table(1500, 1)
    kept = fake.values.filter(~((pl.col("colour") == "blue") & (pl.col("size") == "S")))
    found = named(dataclasses.replace(fake, values=kept))
    assert "colour blue with size S: 0.00% of the fakes" in found["dropped modes"]


def test_copies_and_repeats_are_named() -> None:
    train, fake = table(3000, 2), table(1500, 1)
    mixed = dataclasses.replace(fake, values=pl.concat([train.values[:100], fake.values[100:]]))
    found = named(mixed, train=train)
    assert found["copies"].startswith("6.67% of the fakes equal a training row exactly; 0.00%")
    twice = dataclasses.replace(fake, values=pl.concat([fake.values[:750]] * 2))
    assert "100.0% of the fakes repeat another fake exactly" in named(twice)["repeats"]


def test_blur_is_named() -> None:
    digits = sources.read("sample:digits")
    soft = digits.values[600:1200].float()
    soft = torch.nn.functional.avg_pool2d(soft, 3, stride=1, padding=1)
    parts = {"real": digits.take(torch.arange(600)), "fake": dataclasses.replace(digits, values=soft.byte(), path=None)}
    found, _ = first_screen(prepare(parts, suite="quick", alpha=0.05, seed=0))
    assert "blur" in {finding.name for finding in found}


def test_combinations_keep_their_level() -> None:
    """400 pairs of sets of one law: rejections at .05 are at most 42 (false-failure rate below 1e-6 at level .05)."""
    rng = np.random.default_rng(0)
    rejected = 0
    for _ in range(400):
        rows = rng.integers(0, 3, size=(600, 3))
        found = thin_combinations(rows[:300], rows[300:], [3, 3, 3])
        rejected += bool(found) and found[0].adjusted <= 0.05
    assert rejected <= 42


def test_a_leaderboard_orders_and_shares_places(tmp_path: Path) -> None:
    moved = table(800, 5)
    moved = dataclasses.replace(moved, values=moved.values.with_columns(a=pl.col("a") + 1))
    board = leaderboard(table(800, 0), {"moved": moved, "one": table(800, 3), "two": table(800, 4)})
    assert [(s.place, s.name) for s in board.standings][2] == (3, "moved")
    assert {s.place for s in board.standings[:2]} == {1}
    assert "cannot be told apart" in board.sentence
    board.to_json(tmp_path / "b.json")
    board.to_html(tmp_path / "b.html")
    assert "| 3 | moved |" in board.to_markdown()
    assert "<table>" in board._repr_html_()
    with pytest.raises(InputError, match=r"by nothing: .*with intervals: auc"):
        leaderboard(table(800, 0), {"one": table(800, 3), "two": table(800, 4)}, by="nothing", metrics=["repeats"])
    with pytest.raises(InputError, match="two or more"):
        leaderboard(table(800, 0), {"one": table(800, 3)})


@pytest.fixture(scope="module")
def before() -> Comparison:
    return compare(table(800, 0), table(800, 3), metrics=["repeats"])


def test_history_tells_what_moved(before: Comparison, tmp_path: Path) -> None:
    moved = table(800, 5)
    moved = dataclasses.replace(moved, values=moved.values.with_columns(a=pl.col("a") + 1))
    before.to_json(tmp_path / "before.json")
    now = compare(table(800, 0), moved, metrics=["repeats"], against=tmp_path / "before.json")
    assert now.history is not None
    changes = {change.name: change for change in now.history.changes}
    assert changes["auc"].pvalue_adjusted < 1e-6
    assert changes["auc"].better is False
    assert changes["repeats"].pvalue_adjusted > 0.05
    assert "auc" in now.to_markdown()
    same = history(before, before, name="itself")
    assert all(change.pvalue == 1.0 for change in same.changes)
    assert Comparison.from_dict(now.to_dict()) == now


def test_a_result_shows_itself(before: Comparison) -> None:
    shown = before._repr_html_()
    assert before.verdict.sentence.split(" (")[0] in shown
    assert "<script" not in shown


def test_metrics_by_name_and_what_is_left_out(before: Comparison) -> None:
    assert before["repeats"].group == "copies"
    with pytest.raises(KeyError, match="frechet"):
        before["frechet"]
    asked = compare(table(200, 0), table(200, 3), metrics=["spatial", "identical"])
    assert {one.name: one.why for one in asked.left_out} == {
        "spatial": "is for images, not for table",
        "identical": "needs --train",
    }
    with pytest.raises(InputError, match=r"unknown metric 'nonsense'; known: .*frechet"):
        compare(table(200, 0), table(200, 3), metrics=["nonsense"])


def test_every_figure_has_a_unique_name_and_says_what_it_reads() -> None:
    names = [name for row in figures().values() for name in {row.name, *row.gives}]
    assert len(names) == len(set(names))
    assert all(row.reads and row.source for row in figures().values())


def test_swapped_sets_and_a_holdout_that_overlaps_are_told() -> None:
    real, fake = table(300, 0), dataclasses.replace(table(300, 1), made_by={"synthetic": True, "model": "GAN"})
    assert compare(real, fake, metrics=["repeats"]).notes == ()
    assert "wrong order" in compare(fake, real, metrics=["repeats"]).notes[0]
    train, held = table(400, 2), table(200, 3)
    overlapping = dataclasses.replace(held, values=pl.concat([held.values[:150], train.values[:50]]))
    notes = compare(real, table(300, 1), train=train, holdout=overlapping, metrics=["repeats"]).notes
    assert "25.0% of the rows" in notes[0]
    with pytest.raises(InputError, match="so it is no holdout"):
        compare(real, table(300, 1), train=train, holdout=train.take(torch.arange(150)), metrics=["repeats"])


def test_rows_that_both_sets_hold_do_not_mislead_the_classifier() -> None:
    """REAL against itself: a judge that saw the same row in the other set would be wrong about all of them."""
    same = table(400, 0)
    assert abs(compare(same, same, metrics=["repeats"]).verdict.auc - 0.5) < 0.02


def test_a_target_must_be_a_column() -> None:
    with pytest.raises(InputError, match=r"target 'price': .* has no such column; columns: a, b"):
        compare(table(100, 0), table(100, 1), target="price")


def test_large_sources_are_sampled_and_said_to_be(tmp_path: Path) -> None:
    for seed in (0, 1):
        table(3000, seed).values.write_parquet(tmp_path / f"{seed}.parquet")
    found = compare(tmp_path / "0.parquet", tmp_path / "1.parquet", most_rows=500, metrics=["repeats"])
    told = found.inputs["real"]
    assert told["rows"] == 500
    assert told["sampled"]["sentence"].startswith("500 of 3,000 rows, drawn uniformly")
    again = compare(tmp_path / "0.parquet", tmp_path / "1.parquet", most_rows=500, metrics=["repeats"])
    assert again["auc"] == found["auc"]
