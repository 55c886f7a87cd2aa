"""The sample kept of a stream, the summary of all of it, and both from two processes as from one.

The statistical tests have fixed seeds; of correct code, each would fail for a share of at most 1e-7 of other seeds.
"""

from __future__ import annotations

import itertools
import json
import math
import subprocess
import sys
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch
from scipy import stats

from pushforward.data.dataset import Dataset
from pushforward.data.sources import read
from pushforward.data.streams import (
    Levels,
    Numbers,
    Summary,
    bounded,
    chosen_rows,
    open_stream,
    progress,
    read_bounded,
    reservoir,
    sampling,
    shown,
    text,
)
from pushforward.errors import InputError

FALSE_FAILURE = 1e-7


# --- which rows ------------------------------------------------------------------------------------------------------


def test_keys_are_splitmix64() -> None:
    """Vigna's splitmix64 from the state 1234567 begins with these numbers (as published with it)."""
    states = np.array([(1234567 + i * sampling._GOLDEN) % 2**64 for i in (1, 2, 3)], dtype=np.uint64)
    assert sampling._mixed(states).tolist() == [6457827717110365317, 3203168211198807973, 9817491932198370423]


def test_chosen_rows_are_a_set_of_the_size_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    many = chosen_rows(100_003, 1000, seed=5)
    assert len(np.unique(many)) == 1000
    assert (np.diff(many) > 0).all()
    assert 0 <= many[0] < many[-1] < 100_003
    monkeypatch.setattr(sampling, "_BLOCK", 77)
    assert np.array_equal(chosen_rows(100_003, 1000, seed=5), many)  # whatever the blocks are
    assert np.array_equal(chosen_rows(7, 7, seed=0), np.arange(7))
    assert np.array_equal(chosen_rows(7, 100, seed=0), np.arange(7))
    assert not np.array_equal(chosen_rows(100_003, 1000, seed=6), many)
    with pytest.raises(InputError, match="0 rows"):
        chosen_rows(7, 0, seed=0)


@pytest.fixture(scope="module")
def draws() -> np.ndarray:
    """Which of 1,000 rows are among the 100 kept, for 2,000 seeds: boolean (2000, 1000)."""
    kept = np.zeros((2000, 1000), dtype=bool)
    for seed in range(2000):
        kept[seed, chosen_rows(1000, 100, seed=seed)] = True
    return kept


def test_each_row_is_as_likely(draws: np.ndarray) -> None:
    """Chi-squared over rows; chances that differ by 5 % (a standard deviation) would move it by 12 of its own."""
    counts = draws.sum(0)
    statistic = ((counts - 200.0) ** 2).sum() / (200 * 0.9) * (999 / 1000)
    low, high = stats.chi2.ppf([FALSE_FAILURE / 2, 1 - FALSE_FAILURE / 2], 999)
    assert low < statistic < high


@pytest.mark.parametrize("apart", [1, 2, 64])
def test_rows_are_kept_independently_of_their_neighbours(draws: np.ndarray, apart: int) -> None:
    """Pairs of kept rows so far apart: k (k - 1) / (n (n - 1)) of all; 4 % more or fewer would be seen."""
    found = (draws[:, :-apart] & draws[:, apart:]).sum(1)
    expected = (1000 - apart) * 100 * 99 / (1000 * 999)
    z = (found.mean() - expected) / (found.std(ddof=1) / math.sqrt(len(found)))
    assert abs(z) < stats.norm.isf(FALSE_FAILURE / 2)


def test_seeds_are_independent(draws: np.ndarray) -> None:
    """Rows that two following seeds share: 10 in the mean, as in two independent draws."""
    found = (draws[:-1:2] & draws[1::2]).sum(1)
    z = (found.mean() - 10.0) / math.sqrt(100 * 0.1 * 0.9 * 900 / 999 / len(found))
    assert abs(z) < stats.norm.isf(FALSE_FAILURE / 2)


def test_the_mean_of_the_rows_kept_has_the_error_that_is_stated() -> None:
    """Of a figure over many files of n rows, k kept: variance sigma^2 / k, n / k times that of all rows."""
    rng = np.random.default_rng(0)
    n, k, repeats = 2000, 200, 1500
    means = np.array([rng.normal(size=n)[chosen_rows(n, k, seed=seed)].mean() for seed in range(repeats)])
    ratio = means.var() * n  # to the variance of the mean of all n
    widening = bounded.Bounded(n, k, 1, 0, Summary(n, ())).widening
    low, high = stats.chi2.ppf([FALSE_FAILURE / 2, 1 - FALSE_FAILURE / 2], repeats) / repeats
    assert low < ratio / widening**2 < high  # within 20 %


# --- the rows themselves ---------------------------------------------------------------------------------------------


def table(n: int = 2000) -> pl.DataFrame:
    rng = np.random.default_rng(0)
    frame = pl.DataFrame(
        {
            "id": np.arange(n),
            "x": rng.normal(size=n) + 1e6,
            "category": rng.choice(["a", "b", "c"], n, p=[0.7, 0.2, 0.1]),
            "coded": pl.Series(rng.choice(["u", "v"], n), dtype=pl.Categorical),
            "flag": rng.random(n) < 0.5,
            "moment": pl.Series(rng.integers(0, 10**9, n)).cast(pl.Datetime("ms")),
        }
    )
    return frame.with_columns(pl.when(pl.Series(rng.random(n) > 0.1)).then(pl.col("x", "category", "moment")))


@pytest.mark.parametrize("name", ["t.parquet", "t.csv", "x.npy", "i.npy"])
def test_a_reservoir_is_the_rows_taken_of_the_whole(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(text, "CHUNK_BYTES", 5000)
    monkeypatch.setattr(bounded, "WHOLE_BYTES", 1000)
    path = tmp_path / name
    rng = np.random.default_rng(1)
    if name.startswith("t"):
        (table().write_parquet(path, row_group_size=300) if "parquet" in name else table().write_csv(path))
    else:
        np.save(path, rng.normal(size=(2000, 3)) if name == "x.npy" else rng.integers(0, 256, (2000, 3, 4, 5)))
    whole = read(path)
    want = whole.take(torch.from_numpy(chosen_rows(2000, 150, seed=3)))
    opened = open_stream(path)
    assert opened is not None
    told: list[tuple[int, int | None]] = []
    kept, stated = read_bounded(path, most_rows=150, seed=3, progress=lambda *done: told.append(done))
    for found in (reservoir(opened, 150, seed=3), kept):
        same = found.values.equals(want.values) if whole.kind == "table" else torch.equal(found.values, want.values)
        assert same
        assert (found.kind, found.name, found.container) == (want.kind, want.name, want.container)
        assert (found.made_by, found.columns, found.restore) == (want.made_by, want.columns, want.restore)
    if whole.kind == "table":
        assert kept.values.schema == whole.values.schema
    assert (stated.rows, stated.kept, stated.parts) == (2000, 150, len(opened.parts))
    assert stated.bytes == path.stat().st_size
    assert stated.sentence.startswith("150 of 2,000 rows, drawn uniformly; intervals are those of the rows kept")
    assert stated.to_dict()["widening"] == pytest.approx(math.sqrt(2000 / 150))
    assert told[-1] == (2000, 2000)
    assert_alike(stated.summary, Summary.of(whole))


def test_small_sources_are_read_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    table().write_csv(tmp_path / "t.csv")
    table().write_parquet(tmp_path / "t.parquet")
    frame = table()
    for source in (tmp_path / "t.csv", tmp_path / "t.parquet", frame, str(tmp_path / "*.parquet")):
        data, stated = read_bounded(source, most_rows=2000, seed=0)
        assert (stated.kept, stated.rows, len(data)) == (2000, 2000, 2000)
        assert stated.sentence == "all 2,000 rows"
        assert data.path == (None if source is frame else str(source))
    few = [read_bounded(source, most_rows=99, seed=4)[0].values["id"] for source in (tmp_path / "t.csv", frame)]
    monkeypatch.setattr(bounded, "WHOLE_BYTES", 0)  # the rows kept do not depend on how they are read
    few += [read_bounded(tmp_path / name, most_rows=99, seed=4)[0].values["id"] for name in ("t.csv", "t.parquet")]
    assert all(rows.equals(few[0]) for rows in few)
    with pytest.raises(InputError, match="most_rows 0"):
        read_bounded(frame, most_rows=0, seed=0)


# --- the summary -----------------------------------------------------------------------------------------------------


def assert_alike(found: Summary, want: Summary) -> None:
    """Counts and levels exactly; means and variances to rounding."""
    assert found.rows == want.rows
    for a, b in zip(found.columns, want.columns, strict=True):
        assert (type(a), a.name, a.count, a.missing) == (type(b), b.name, b.count, b.missing)
        if isinstance(a, Levels) and isinstance(b, Levels):
            assert (a.beyond, a.complete) == (b.beyond, b.complete)
            assert a.distinct == pytest.approx(b.distinct)
            assert a.levels.equals(b.levels)
        elif isinstance(a, Numbers) and isinstance(b, Numbers):
            assert (a.low, a.high) == (b.low, b.high)
            assert a.mean == pytest.approx(b.mean, rel=1e-12)
            assert a.variance == pytest.approx(b.variance, rel=1e-9)


def data_of(frame: pl.DataFrame, **columns: str) -> Dataset:
    return Dataset("table", frame, "t", "polars", columns=columns or None)


def test_figures_of_the_summary() -> None:
    frame = table()
    summary = Summary.of(data_of(frame))
    x, category, moment = summary["x"], summary["category"], summary["moment"]
    assert isinstance(x, Numbers)
    assert isinstance(category, Levels)
    assert isinstance(moment, Numbers)
    present = frame["x"].drop_nulls().to_numpy()
    assert (x.count, x.missing) == (len(present), frame["x"].null_count())
    assert (x.low, x.high) == (present.min(), present.max())
    assert x.mean == pytest.approx(present.mean(), rel=1e-14)
    assert x.variance == pytest.approx(present.var(ddof=1), rel=1e-12)
    counts = dict(category.levels.iter_rows())
    assert counts == dict(frame["category"].drop_nulls().value_counts().iter_rows())
    assert list(counts) == ["a", "b", "c"]
    assert (category.missing, category.beyond, category.distinct) == (frame["category"].null_count(), 0, 3.0)
    assert moment.low == frame["moment"].dt.timestamp("us").min() / 1e6
    assert moment.mean == pytest.approx(frame["moment"].drop_nulls().dt.timestamp("us").mean() / 1e6)
    assert isinstance(summary["flag"], Levels)
    assert isinstance(Summary.of(data_of(frame, id="categorical"))["id"], Levels)


@pytest.mark.parametrize("cuts", [(), (1,), (0, 3, 1500), tuple(range(0, 2000, 37))])
def test_summaries_merge_in_any_cut(cuts: tuple[int, ...]) -> None:
    """Deviations of 1 around a mean of 1e6: the sum of squares less the squared mean would have lost four digits."""
    frame = table()
    edges = [0, *cuts, 2000]
    parts = [Summary.of(data_of(frame[a:b])) for a, b in itertools.pairwise(edges)]
    merged = parts[0]
    for part in parts[1:]:
        merged = merged.merge(part)
    assert_alike(merged, Summary.of(data_of(frame)))
    assert_alike(Summary.from_dict(json.loads(json.dumps(merged.to_dict()))), merged)


def test_points_and_pictures_have_summaries() -> None:
    rng = np.random.default_rng(0)
    points = Summary.of(read(rng.normal(size=(50, 3))))
    assert [column.name for column in points.columns] == ["x1", "x2", "x3"]
    pictures = rng.integers(0, 256, (50, 4, 5, 3), dtype=np.uint8)
    summary = Summary.of(read(pictures))
    assert [column.name for column in summary.columns] == ["red", "green", "blue"]
    green = summary["green"]
    assert isinstance(green, Numbers)
    assert green.mean == pytest.approx(pictures[..., 1].mean() / 255, rel=1e-6)


def test_levels_beyond_the_cap_are_stated() -> None:
    """20,000 levels, 500 kept: their counts are exact in any order of merging; the rest is counted together."""
    rng = np.random.default_rng(0)
    values = pl.Series("c", rng.integers(0, 20_000, 200_000)).cast(pl.String)
    exact = dict(values.value_counts().iter_rows())
    whole = Levels.of("c", values, cap=500)
    pieces = [Levels.of("c", values[i : i + 9000], cap=500) for i in range(0, 200_000, 9000)]
    for order in (pieces, pieces[::-1]):
        merged = order[0]
        for piece in order[1:]:
            merged = merged.merge(piece)
        assert merged.levels.equals(whole.levels)
        assert merged.beyond == whole.beyond
        assert merged.distinct == pytest.approx(whole.distinct)
    assert len(whole.levels) == 500
    assert all(exact[level] == count for level, count in whole.levels.iter_rows())
    assert whole.beyond == 200_000 - sum(whole.levels["count"])
    assert not whole.complete
    assert abs(whole.distinct / len(exact) - 1) < 5.5 / math.sqrt(498)  # 5.5 of its standard errors
    few = Levels.of("c", values[:300], cap=500)
    assert few.complete
    assert few.distinct == values[:300].n_unique()


# --- progress --------------------------------------------------------------------------------------------------------


def test_progress_in_plain_lines(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter(float(i) for i in range(1000))
    monkeypatch.setattr(progress.time, "monotonic", lambda: next(clock))
    with shown("t.parquet") as tell:
        assert tell is not None
        for done in range(5, 31, 5):
            tell(done, None)  # counted first
        for done in range(5, 201, 5):
            tell(done, 200)
    lines = capsys.readouterr().err.splitlines()
    assert lines[0].startswith("reading t.parquet: 25 rows counted")
    assert lines[1].startswith("reading t.parquet: 20 of 200 rows")
    assert lines[-1].startswith("reading t.parquet: 200 of 200 rows")
    assert len(lines) <= 13
    with shown("t.parquet", on=False) as tell:
        assert tell is None


def test_a_quick_read_shows_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    with shown("t.parquet") as tell:
        assert tell is not None
        tell(10, 10)
    assert capsys.readouterr().err == ""


# --- two processes ---------------------------------------------------------------------------------------------------

SCRIPT = """
import json, sys
import torch, torch.distributed as dist
from pushforward.data.streams import open_stream, read_bounded, reservoir, bounded, text
from pushforward.errors import InputError
rank, store, folder = int(sys.argv[1]), sys.argv[2], sys.argv[3]
torch.set_num_threads(1)
text.CHUNK_BYTES, bounded.WHOLE_BYTES = 20_000, 1000
dist.init_process_group("gloo", init_method="file://" + store, rank=rank, world_size=2)
told, rows = {}, []
for name in ("t.parquet", "t.csv", "x.npy", "i.npy", "shards", "one.parquet"):
    opened = open_stream(folder + "/" + name)
    kept, stated = read_bounded(folder + "/" + name, most_rows=150, seed=3, progress=lambda *done: rows.append(done))
    again = reservoir(opened, 150, seed=3)
    if kept.kind == "table":
        assert kept.values.equals(again.values)
        kept.values.write_ipc(f"{folder}/kept-{rank}-{name}.arrow")
    else:
        assert torch.equal(kept.values, again.values)
        torch.save(kept.values, f"{folder}/kept-{rank}-{name}.pt")
    told[name] = [stated.to_dict(), stated.summary.to_dict(), rows[-1]]
try:
    read_bounded(folder + "/bad.parquet", most_rows=150, seed=3)
except InputError as error:
    told["error"] = str(error)
json.dump(told, open(f"{folder}/told-{rank}.json", "w"))
dist.destroy_process_group()
"""


def test_two_processes_keep_and_summarise_what_one_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    frame = table()
    frame.write_parquet(tmp_path / "t.parquet", row_group_size=300)
    frame.write_csv(tmp_path / "t.csv")
    np.save(tmp_path / "x.npy", rng.normal(size=(200_000, 6)))
    np.save(tmp_path / "i.npy", rng.integers(0, 256, (2000, 32, 32, 3), dtype=np.uint8))
    frame.write_parquet(tmp_path / "one.parquet")  # one part: the second process has none
    (tmp_path / "shards").mkdir()
    for i in range(3):
        frame[700 * i : 700 * i + 700].write_parquet(tmp_path / "shards" / f"{i}.parquet")
    frame.with_columns(x=pl.when(pl.col("id") == 350).then(np.inf).otherwise("x")).write_parquet(
        tmp_path / "bad.parquet", row_group_size=300
    )
    store = tmp_path / "store"
    runs = [
        subprocess.Popen(
            [sys.executable, "-c", SCRIPT, str(rank), str(store), str(tmp_path)], stderr=subprocess.PIPE, text=True
        )
        for rank in range(2)
    ]
    for run in runs:
        _, errors = run.communicate(timeout=150)
        assert run.returncode == 0, errors[-2000:]
    told = [json.loads((tmp_path / f"told-{rank}.json").read_text()) for rank in range(2)]
    monkeypatch.setattr(text, "CHUNK_BYTES", 20_000)
    monkeypatch.setattr(bounded, "WHOLE_BYTES", 1000)
    for name in ("t.parquet", "t.csv", "x.npy", "i.npy", "shards", "one.parquet"):
        kept, stated = read_bounded(tmp_path / name, most_rows=150, seed=3)
        for rank in range(2):
            if kept.kind == "table":
                found = pl.read_ipc(tmp_path / f"kept-{rank}-{name}.arrow")
                assert found.schema == kept.values.schema
                assert found.equals(kept.values)
            else:
                found = torch.load(tmp_path / f"kept-{rank}-{name}.pt", weights_only=True)
                assert found.dtype == kept.values.dtype
                assert torch.equal(found, kept.values)
            assert told[rank][name][0] == stated.to_dict()
            assert_alike(Summary.from_dict(told[rank][name][1]), stated.summary)
        if stated.parts > 1:  # each read its own share and no more
            read_by = [told[rank][name][2][0] for rank in range(2)]
            assert sum(read_by) == stated.rows
            assert max(read_by) < stated.rows
    assert told[0]["error"] == told[1]["error"]  # the flaw lies in a part of the second process
    assert "column 'x' is infinite in row 351" in told[0]["error"]
