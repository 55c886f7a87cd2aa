"""Reading in parts: whatever the chunks, the rows are those that `sources.read` gives; each flaw in one sentence."""

from __future__ import annotations

import io
import subprocess
import sys
import tarfile
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image

from pushforward.data.dataset import Dataset
from pushforward.data.sources import read, write
from pushforward.data.streams import npy, only_in_parts, open_stream, parquet, stream, tars, text
from pushforward.errors import InputError


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Chunks of at most 50 rows, 1,500 bytes of a CSV, 4,000 bytes of an array."""
    for module in (stream, parquet, text, npy, tars):
        monkeypatch.setattr(module, "CHUNK", 50)
    monkeypatch.setattr(text, "CHUNK_BYTES", 1500)
    monkeypatch.setattr(npy, "CHUNK_BYTES", 4000)
    monkeypatch.setattr(tars, "CHUNK_BYTES", 200)


def mixed(n: int = 300) -> pl.DataFrame:
    """A column of every type."""
    rng = np.random.default_rng(0)
    frame = pl.DataFrame(
        {
            "small": pl.Series(rng.integers(0, 9, n), dtype=pl.Int16),
            "huge": pl.Series(rng.integers(0, 2**60, n), dtype=pl.UInt64),
            "single": pl.Series(rng.normal(size=n), dtype=pl.Float32),
            "double": rng.normal(size=n),
            "text": rng.choice(["a", 'say "b"', "ü, c"], n),
            "category": pl.Series(rng.choice(["x", "y"], n), dtype=pl.Categorical),
            "level": pl.Series(rng.choice(["p", "q"], n), dtype=pl.Enum(["p", "q", "r"])),
            "flag": rng.random(n) < 0.5,
            "day": [date(2020, 1, 1) + timedelta(int(i)) for i in range(n)],
            "clock": [time(1, 2, 3)] * n,
            "moment": pl.Series([datetime(2020, 1, 1)] * n, dtype=pl.Datetime("ms", "UTC")),
            "span": [timedelta(seconds=3)] * n,
            "money": pl.Series([Decimal("1.25")] * n, dtype=pl.Decimal(10, 2)),
            "nothing": pl.Series([None] * n, dtype=pl.Null),
        }
    )
    missing = pl.Series(rng.random(n) < 0.1)
    return frame.with_columns(pl.when(~missing).then(pl.col("double", "text", "flag", "day")))


def assert_same(found: Dataset, want: Dataset) -> None:
    assert (found.kind, found.name, found.container) == (want.kind, want.name, want.container)
    assert (found.made_by, found.columns, found.restore) == (want.made_by, want.columns, want.restore)
    if want.kind == "table":
        assert found.values.schema == want.values.schema
        assert found.values.equals(want.values)
    else:
        assert found.values.dtype == want.values.dtype
        assert torch.equal(found.values, want.values)


def whole(path: str | Path, **options: object) -> Dataset:
    """What the stream of `path` gives, after a look at its chunks."""
    opened = open_stream(path, **options)  # type: ignore[arg-type]
    assert opened is not None
    first = 0
    for at, chunk in opened:
        assert at == first
        assert 0 < len(chunk) <= 50
        first += len(chunk)
    assert first == opened.rows == sum(part.rows for part in opened.parts)
    assert opened.bytes > 0
    return opened.whole()


def opened_whole(path: str | Path, **options: object) -> Dataset:
    """As `whole`, or as `read` where the source is left to that."""
    opened = open_stream(path, **options)  # type: ignore[arg-type]
    return read(path, **options) if opened is None else opened.whole()  # type: ignore[arg-type]


def refused(path: str | Path, *words: str, **options: object) -> None:
    """Opening or reading `path` fails with one sentence that holds `words`."""
    with pytest.raises(InputError) as caught:
        opened_whole(path, **options)
    message = str(caught.value)
    assert "\n" not in message
    for word in words:
        assert word in message, f"{word!r} is not in: {message}"


# --- Parquet ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("group", [7, 130, 1000])
def test_parquet_by_row_group(group: int, tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"
    mixed().write_parquet(path, row_group_size=group)
    opened = open_stream(path)
    assert opened is not None
    assert len(opened.parts) == -(-300 // group)
    assert_same(whole(path), read(path))


def test_parquet_of_pandas_and_of_points(tmp_path: Path) -> None:
    frame = mixed().select("small", "category", "day").to_pandas().set_index(np.arange(300) + 5)
    frame.to_parquet(tmp_path / "p.parquet", engine="pyarrow", row_group_size=100)
    assert_same(whole(tmp_path / "p.parquet"), read(tmp_path / "p.parquet"))
    write(read(np.random.default_rng(0).normal(size=(120, 3))), tmp_path / "x.parquet", made_by={"model": "gan"})
    assert whole(tmp_path / "x.parquet").made_by == {"synthetic": True, "model": "gan"}
    assert_same(whole(tmp_path / "x.parquet"), read(tmp_path / "x.parquet"))
    assert_same(whole(tmp_path / "x.parquet", kind="table"), read(tmp_path / "x.parquet", kind="table"))


@pytest.mark.parametrize("form", ["%Y-%m-%d", "%d.%m.%Y"])
def test_types_that_the_user_chose(form: str, tmp_path: Path) -> None:
    frame = mixed().select(
        pl.col("day").dt.to_string(form),
        pl.col("small").cast(pl.String).alias("whole"),
        pl.col("double").cast(pl.String),
        code=pl.col("small"),
    )
    chosen = {"day": "date", "whole": "integer", "double": "continuous", "code": "categorical"}
    frame.write_parquet(tmp_path / "t.parquet", row_group_size=70)
    frame.write_csv(tmp_path / "t.csv")
    for name in ("t.parquet", "t.csv"):
        found = whole(tmp_path / name, columns=chosen)
        assert_same(found, read(tmp_path / name, columns=chosen))
        assert found.values["day"].dtype == pl.Date
        assert found.values["whole"].dtype == pl.Int64


def test_a_process_reads_its_share(tmp_path: Path) -> None:
    mixed().write_parquet(tmp_path / "t.parquet", row_group_size=40)
    opened = open_stream(tmp_path / "t.parquet")
    assert opened is not None
    shares = [opened.share(rank, 3) for rank in range(3)]
    assert [len(share.parts) for share in shares] == [3, 3, 2]
    pieces = sorted(((at, chunk.values) for share in shares for at, chunk in share), key=lambda piece: piece[0])
    assert pl.concat([values for _, values in pieces]).equals(read(tmp_path / "t.parquet").values)


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="Linux says how much memory was held")
def test_a_file_of_one_large_row_group_is_not_held(tmp_path: Path) -> None:
    """115 MB of numbers in a single row group; reading takes 64 MiB beyond the imports, of three times as many too."""
    path = tmp_path / "one.parquet"
    values = np.random.default_rng(0).random((1_200_000, 12))
    pl.DataFrame({f"x{j}": values[:, j] for j in range(12)}).write_parquet(
        path, row_group_size=1_200_000, compression="uncompressed"
    )
    script = """
import sys
from pushforward.data.streams import read_bounded
def peak():  # MiB; of this process alone, unlike getrusage, which takes over its parent's
    return int(next(line for line in open("/proc/self/status") if line.startswith("VmHWM")).split()[1]) / 1024
read_bounded(sys.argv[2], most_rows=10, seed=0)
before = peak()
data, bounded = read_bounded(sys.argv[1], most_rows=1000, seed=0)
print(len(data), bounded.rows, peak() - before)
"""
    pl.DataFrame({"x": [0.0, 1.0]}).write_parquet(tmp_path / "small.parquet")
    argv = [sys.executable, "-c", script, str(path), str(tmp_path / "small.parquet")]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=120, check=True)
    kept, rows, growth = done.stdout.split()
    assert (kept, rows) == ("1000", "1200000")
    assert float(growth) < 90


# --- CSV -------------------------------------------------------------------------------------------------------------

POOLS = {
    "integers": ["1", "2", "-3", "007", ""],
    "numbers": ["1.5", "2", "1e5", "nan", "", ".5"],
    "beyond 64 bits": ["99999999999999999999", "1", "9007199254740993", ""],
    "true or false": ["true", "false", "True", "FALSE", ""],
    "mixed": ["true", "1"],
    "text": ["a", "b c", "é", "", "NA", "x1"],
    "quoted": ['"a,b"', '"c ""d"""', "plain", '"multi\nline"', '""', ""],
    "dates": ["2020-01-02", "2021-12-31", ""],
    "moments": ["2020-01-02 03:04:05", "2020-01-02 03:04:05.25", "2020-01-02T03:04:05", ""],
    "zoned": ["2020-01-02T03:04:05Z", ""],
    "two forms": ["2020-01-02", "2020/01/02"],
    "clock": ["03:04:05", "23:59:59", ""],
    "nothing": [""],
    "spaced": ["1", "2", " 1", "2 ", ""],
    "almost numbers": ["1", "2.5", "+1", "NAN", "1.e5", "\t3"],
}


def random_csv(rng: np.random.Generator) -> bytes:
    """A few columns whose values change their look on the way, with odd ends, separators, a flaw now and then."""
    width, n = int(rng.integers(1, 5)), int(rng.integers(1, 60))
    separator, feed = str(rng.choice([",", ",", ";", "\t"])), str(rng.choice(["\n", "\r\n"]))
    header = [f"k{i}" for i in range(width)]
    if rng.random() < 0.2:
        header[0] = '"k,0"'
    columns = []
    for pool in (POOLS[str(name)] for name in rng.choice(list(POOLS), width)):
        late, early = rng.choice(pool, n), rng.choice(pool[: int(rng.integers(1, len(pool) + 1))], n)
        columns.append(np.where(np.arange(n) < rng.integers(0, n + 1), early, late))
    lines = [separator.join(header), *(separator.join(map(str, row)) for row in zip(*columns, strict=True))]
    if rng.random() < 0.05:
        lines.insert(int(rng.integers(1, len(lines) + 1)), str(rng.choice(["", "1,2,3,4,5,6", 'a"b"'])))
    raw = feed.join(lines) + feed * int(rng.integers(0, 4))
    return (b"\xef\xbb\xbf" if rng.random() < 0.1 else b"") + raw.encode()


@pytest.mark.parametrize("size", [20, 200])
def test_csv_is_read_as_a_whole_one_is(size: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Types are told from all rows, however few of them a chunk holds; a flaw is one to both."""
    monkeypatch.setattr(text, "CHUNK_BYTES", size)
    path, read_in_parts = tmp_path / "t.csv", 0
    for seed in range(40):
        path.write_bytes(random_csv(np.random.default_rng([size, seed])))
        try:
            want = read(path)
        except InputError:
            with pytest.raises(InputError):
                opened_whole(path)
            continue
        opened = open_stream(path)
        if opened is not None:  # stray quotation marks are left to `read`
            assert_same(opened.whole(), want)
            read_in_parts += len(opened.parts) > 1
    assert read_in_parts > 12


def test_csv_with_its_record(tmp_path: Path) -> None:
    data = Dataset("table", mixed().drop("nothing", "span", "money"), "t", "polars")
    write(data, tmp_path / "t.csv", made_by={"model": "gan"})
    assert whole(tmp_path / "t.csv").made_by == {"synthetic": True, "model": "gan"}
    assert_same(whole(tmp_path / "t.csv"), read(tmp_path / "t.csv"))
    told: list[tuple[int, int | None]] = []
    open_stream(tmp_path / "t.csv", progress=lambda done, total: told.append((done, total)))
    assert told[-1] == (300, None)


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("1,2", ("line 151 has 2 fields where the header has 3",)),
        ("", ("line 151 is blank",)),
        ("9,inf,c", ("column 'b' is infinite in row 150",)),
        (",,", ("row 150 is missing in every column",)),
    ],
)
def test_flaws_of_a_csv_have_their_place(line: str, words: tuple[str, ...], tmp_path: Path) -> None:
    lines = [f"{i},{i / 7},c{i % 3}" for i in range(300)]
    lines[149] = line
    (tmp_path / "t.csv").write_text("a,b,c\n" + "\n".join(lines) + "\n")
    refused(tmp_path / "t.csv", *words)


def test_text_that_is_not_utf8_or_not_what_was_chosen(tmp_path: Path) -> None:
    lines = [f"{i},2020-01-02" for i in range(300)]
    lines[199] = "1,oops"
    path = tmp_path / "t.csv"
    path.write_text("a,b\n" + "\n".join(lines))
    refused(path, "column 'b'", "date", "row 200", "'oops'", columns={"b": "date"})
    refused(path, "column 'b'", "continuous", "row 1 ", columns={"b": "continuous"})
    refused(path, "no column 'z'", columns={"z": "date"})
    lines[199] = "1,\xff"
    path.write_bytes(("a,b\n" + "\n".join(lines)).encode("latin-1"))
    refused(path, "line 201 is not UTF-8")


# --- arrays ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", "int32", "bool"])
@pytest.mark.parametrize("shape", [(300,), (300, 3), (300, 4, 5), (300, 4, 5, 3), (300, 3, 4, 5)])
def test_arrays(dtype: str, shape: tuple[int, ...], tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    np.save(tmp_path / "x.npy", rng.uniform(0, 200 if dtype == "int32" else 1, shape).astype(dtype))
    assert_same(whole(tmp_path / "x.npy"), read(tmp_path / "x.npy"))
    if len(shape) == 2:
        assert_same(whole(tmp_path / "x.npy", kind="table"), read(tmp_path / "x.npy", kind="table"))


def test_the_scale_of_pictures_is_that_of_all(tmp_path: Path) -> None:
    pictures = np.random.default_rng(0).uniform(0, 1, (300, 4, 5))
    pictures[290] *= 200  # only here is it seen that white is 255
    np.save(tmp_path / "x.npy", pictures)
    assert_same(whole(tmp_path / "x.npy"), read(tmp_path / "x.npy"))
    pictures[290] = np.nan
    np.save(tmp_path / "x.npy", pictures)
    refused(tmp_path / "x.npy", "image 291 holds NaN")


def test_a_flaw_of_points_has_its_row(tmp_path: Path) -> None:
    points = np.random.default_rng(0).normal(size=(300, 3))
    points[250, 1] = np.nan
    np.save(tmp_path / "x.npy", points)
    refused(tmp_path / "x.npy", "row 251, column 2 is NaN")
    pl.DataFrame(points, schema=["a", "b", "c"]).write_parquet(tmp_path / "x.parquet", row_group_size=99)
    refused(tmp_path / "x.parquet", "row 251, column 2 is NaN", kind="points")
    (tmp_path / "x.npy").write_bytes((tmp_path / "x.npy").read_bytes()[:-9])
    refused(tmp_path / "x.npy", "not a whole NumPy file")


# --- shards and tars -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("ending", ["parquet", "csv"])
def test_shards_are_one_table(ending: str, tmp_path: Path) -> None:
    frame = mixed().drop("nothing", "span", "money", "huge")
    for i in range(3):
        part = frame[100 * i : 100 * i + 100]
        part = part.select(reversed(part.columns)) if i == 1 else part  # columns in another order
        getattr(part, f"write_{ending}")(tmp_path / f"part-{i}.{ending}")
    (tmp_path / "_SUCCESS").touch()
    getattr(frame, f"write_{ending}")(one := tmp_path.parent / f"one.{ending}")
    want = read(one).values
    for source in (tmp_path, str(tmp_path / f"part-*.{ending}")):
        assert whole(source).values.equals(want)
        assert whole(source).name == str(source)
        assert only_in_parts(source)


def test_shards_of_other_types_are_widened(tmp_path: Path) -> None:
    pl.DataFrame({"a": [1, 2], "b": ["x", "y"]}).write_parquet(tmp_path / "0.parquet")
    pl.DataFrame({"a": [1.5, None], "b": ["x", "z"]}).write_parquet(tmp_path / "1.parquet")
    assert whole(tmp_path).values["a"].to_list() == [1.0, 2.0, 1.5, None]
    (tmp_path / "c").mkdir()
    (tmp_path / "c" / "0.csv").write_text("a,b\n1,2020-01-01\n2,2020-01-02\n")
    (tmp_path / "c" / "1.csv").write_text("a,b\n1.5,\n,2020-02-30x\n")
    assert whole(tmp_path / "c").values.dtypes == [pl.Float64, pl.String]


def test_flaws_of_shards_name_the_file(tmp_path: Path) -> None:
    pl.DataFrame({"a": [1], "b": [2]}).write_parquet(tmp_path / "0.parquet")
    second = tmp_path / "1.parquet"
    for frame, words in (
        (pl.DataFrame({"a": [1]}), ("1.parquet", "lacks the column 'b'")),
        (pl.DataFrame({"a": [1], "b": [2], "c": [3]}), ("1.parquet", "has the column 'c' besides")),
        (pl.DataFrame({"a": [1], "b": [[2]]}), ("1.parquet", "column 'b'", "List")),
        (pl.DataFrame({"a": [1], "b": [2]}).clear(), ("1.parquet", "no rows")),
    ):
        frame.write_parquet(second)
        refused(tmp_path, *words)
    pl.DataFrame({"a": [1.0, 2.0, np.inf], "b": [1, 2, 3]}).write_parquet(second, row_group_size=1)
    refused(tmp_path, "1.parquet: column 'a' is infinite in row 3")
    second.write_bytes(b"")
    refused(tmp_path, "1.parquet", "empty")
    second.write_bytes((tmp_path / "0.parquet").read_bytes()[:-20])
    refused(tmp_path, "1.parquet", "not a whole Parquet file")
    second.rename(tmp_path / "1.csv")
    refused(tmp_path, "one ending")
    refused(str(tmp_path / "*.nope"), "no file matches")
    (tmp_path / "c").mkdir()
    (tmp_path / "c" / "0.csv").write_text("a\n1\n")
    (tmp_path / "c" / "1.csv").write_text("a\n")
    refused(tmp_path / "c", "1.csv", "no rows")
    (tmp_path / "h" / "year=2020").mkdir(parents=True)
    (tmp_path / "0.parquet").rename(tmp_path / "h" / "year=2020" / "0.parquet")
    refused(tmp_path / "h", "key=value")


def test_a_damaged_row_group_is_named(tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"
    mixed().select("double").write_parquet(path, row_group_size=100, compression="zstd")
    start = pq.read_metadata(path).row_group(1).column(0).data_page_offset
    raw = bytearray(path.read_bytes())
    raw[start : start + 200] = b"\xff" * 200
    path.write_bytes(raw)
    refused(path, "t.parquet: row group 2 cannot be read")


def tar_of(path: Path, pictures: np.ndarray, *, start: int = 0) -> None:
    with tarfile.open(path, "w") as archive:
        for i, pixels in enumerate(pictures):
            content = io.BytesIO()
            Image.fromarray(pixels).save(content, "PNG")
            for ending, data in (("png", content.getvalue()), ("cls", b"3"), ("json", b"{}")):
                member = tarfile.TarInfo(f"{start + i:04d}.{ending}")
                member.size = len(data)
                archive.addfile(member, io.BytesIO(data))


@pytest.mark.parametrize("shape", [(30, 6, 4), (30, 6, 4, 3)])
def test_tars_of_pictures(shape: tuple[int, ...], tmp_path: Path) -> None:
    pictures = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    tar_of(tmp_path / "a.tar", pictures[:20])
    tar_of(tmp_path / "b.tar", pictures[20:], start=20)
    found = whole(tmp_path)
    assert found.kind == "images"
    assert torch.equal(found.values, read(pictures).values)
    opened = open_stream(str(tmp_path / "*.tar"))
    assert opened is not None
    assert [part.rows for part in opened.parts] == [20, 10]
    refused(tmp_path, "cannot be read as table", kind="table")


def test_flaws_of_tars(tmp_path: Path) -> None:
    pictures = np.random.default_rng(0).integers(0, 256, (20, 6, 4), dtype=np.uint8)
    path = tmp_path / "a.tar"
    tar_of(path, pictures)
    raw = path.read_bytes()
    for cut in (len(raw) // 2, 512 * 6, 512 * 6 + 100, 700, 100, 0):  # in a member, between two, in a header, ...
        path.write_bytes(raw[:cut])
        refused(path, "a.tar", "not a whole tar")
    tar_of(path, pictures[:0])
    refused(path, "holds no images")
    tar_of(path, pictures)
    tar_of(tmp_path / "b.tar", pictures[:, :5])
    refused(tmp_path, "several sizes", "b.tar")


def test_what_is_left_to_be_read_whole(tmp_path: Path) -> None:
    write(read(np.zeros((3, 4, 5), dtype=np.uint8)), tmp_path / "pictures", made_by=None)
    (tmp_path / "stray.csv").write_text('a,b\n1,5" pipe\n2,6" pipe\n')
    np.savez(tmp_path / "x.npz", x=np.zeros((3, 2)))
    with pytest.raises(InputError, match="unknown kind 'rows'"):
        open_stream(tmp_path / "stray.csv", kind="rows")  # type: ignore[arg-type]
    assert not any(map(only_in_parts, ("toy:ring:50", tmp_path / "pictures", tmp_path / "stray.csv")))
    for source in ("toy:ring:50", np.zeros((3, 2)), tmp_path / "pictures", tmp_path / "x.npz"):
        assert open_stream(source) is None
    assert open_stream(tmp_path / "stray.csv") is None
    assert open_stream(tmp_path / "missing.csv") is None
