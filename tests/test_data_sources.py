"""Reading, writing and refusing: every ending both ways, provenance, and one clear sentence for each flaw."""

from __future__ import annotations

import io
import json
import resource
import struct
import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import sklearn.datasets  # noqa: F401 - its import draws from `random`, which no test may do
import torch
from PIL import Image

from pushforward.data.codec import Codec, codec_from_dict, fit_codec
from pushforward.data.dataset import Dataset
from pushforward.data.sources import check_alike, read, to_container, write
from pushforward.errors import InputError

MADE_BY = {"model": "gan-ü", "seed": 7, "version": "0.1.0"}
KNOWN = {"synthetic": True, **MADE_BY}


def grey(n: int = 5, h: int = 6, w: int = 4) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (n, h, w), dtype=np.uint8)


def colour(n: int = 5, h: int = 6, w: int = 4) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (n, h, w, 3), dtype=np.uint8)


def png(array: np.ndarray, mode: str | None = None) -> bytes:
    out = io.BytesIO()
    image = Image.fromarray(array)
    (image.convert(mode) if mode else image).save(out, "PNG")
    return out.getvalue()


def refused(source: Any, *words: str, **options: Any) -> str:
    """`source` is refused in one sentence that holds `words`."""
    with pytest.raises(InputError) as caught:
        read(source, **options)
    return told(caught.value, *words)


def told(error: InputError, *words: str) -> str:
    text = str(error)
    assert "\n" not in text
    for word in words:
        assert word in text, f"{word!r} is not in: {text}"
    return text


# --- there and back -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("ending", [".csv", ".tsv", ".parquet"])
def test_tables_there_and_back(ending: str, tmp_path: Path) -> None:
    weather = read("sample:weather")
    frame = weather.values.head(500).with_columns(
        day=pl.col("time_hour").dt.date(),
        clock=pl.col("time_hour").dt.time(),
        local=pl.col("time_hour").dt.replace_time_zone(None) + pl.duration(milliseconds=250),
        flag=pl.col("temp") > 38,
        text=pl.lit('a "quoted", one'),
    )
    write(Dataset("table", frame, "w", "polars"), tmp_path / f"t{ending}", made_by=MADE_BY)
    back = read(tmp_path / f"t{ending}")
    # a column that is empty in the written rows has no type in a CSV
    full = [c for c in frame.columns if frame[c].null_count() < len(frame)]
    assert back.values.select(full).equals(frame.select(full))
    assert back.made_by == KNOWN
    assert (back.kind, back.container) == ("table", "polars")


@pytest.mark.parametrize("ending", [".npy", ".npz", ".csv", ".parquet"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_points_there_and_back(ending: str, dtype: str, tmp_path: Path) -> None:
    x = np.random.default_rng(0).normal(size=(50, 3)).astype(dtype)
    write(read(x), tmp_path / f"p{ending}", made_by=MADE_BY)
    back = read(tmp_path / f"p{ending}")
    assert (back.kind, back.made_by) == ("points", KNOWN)
    np.testing.assert_allclose(back.values.numpy(), x, rtol=1e-7)
    assert back.values.dtype == getattr(torch, dtype) or ending == ".csv"


@pytest.mark.parametrize("make", [grey, colour])
@pytest.mark.parametrize("name", ["folder", "i.zip", "i.npz", "i.npy"])
def test_images_there_and_back(make: Any, name: str, tmp_path: Path) -> None:
    data = read(make())
    assert data.kind == "images"
    write(data, tmp_path / name, made_by=MADE_BY)
    back = read(tmp_path / name)
    assert torch.equal(back.values, data.values)
    assert back.made_by == KNOWN


def test_a_sheet_of_images(tmp_path: Path) -> None:
    write(read(grey(5)), tmp_path / "sheet.png", made_by=MADE_BY)
    page = read(tmp_path / "sheet.png")
    assert page.values.shape == (1, 1, 12, 12)
    assert torch.equal(page.values[0, 0, 6:, 4:8], torch.from_numpy(grey(5)[4]))
    assert page.made_by == KNOWN


def test_a_sidecar_speaks_only_for_its_own_bytes(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    write(read(pl.DataFrame({"a": [1, 2]})), path, made_by=MADE_BY, synthetic=False)
    assert read(path).made_by == {"synthetic": False, **MADE_BY}
    path.write_text("a\n3\n4\n")
    assert read(path).made_by is None
    (tmp_path / "t.csv.json").write_text("[not ours")
    assert read(path).made_by is None


def test_existing_files_are_kept_unless_forced(tmp_path: Path) -> None:
    data, path = read(np.eye(3)), tmp_path / "x.npy"
    (tmp_path / "x.npy.json").write_text("the user's own")
    with pytest.raises(InputError, match=r"x\.npy\.json: already exists"):
        write(data, path, made_by=None)
    write(data, path, made_by=None, force=True)
    with pytest.raises(InputError, match=r"x\.npy: already exists"):
        write(read(np.ones((2, 2))), path, made_by=None)
    write(read(np.ones((2, 2))), path, made_by=None, force=True)
    assert read(path).values.shape == (2, 2)
    mixed = tmp_path / "mixed"
    mixed.mkdir()
    (mixed / "thesis.txt").write_text("years of work")
    with pytest.raises(InputError, match="more than images"):
        write(read(grey()), mixed, made_by=None, force=True)
    assert (mixed / "thesis.txt").exists()


def test_endings_must_fit_the_kind(tmp_path: Path) -> None:
    for data, name, word in (
        (read(pl.DataFrame({"a": [1, 2]})), "t.npy", ".parquet"),
        (read(grey()), "i.csv", ".zip"),
        (read(np.eye(2)), "p", ".npy"),
        (read(np.eye(2)), "p.xlsx", ".npy"),
    ):
        with pytest.raises(InputError) as caught:
            write(data, tmp_path / name, made_by=None)
        told(caught.value, name, word)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["t.csv", "t.parquet", "p.npy", "p.npz", "i.zip", "i"])
def test_a_full_disk_keeps_the_old_file(name: str, tmp_path: Path) -> None:
    """The limit on a file's size stands in for a full disk: the writers meet the same kind of error."""
    rng = np.random.default_rng(0)
    small, large = {
        "t": (read(pl.DataFrame({"a": [1, 2]})), read(pl.DataFrame({"a": rng.normal(size=20_000)}))),
        "p": (read(np.eye(2)), read(rng.normal(size=(20_000, 2)))),
        "i": (read(grey()), read(grey(2, 256, 256))),
    }[name[0]]
    path = tmp_path / name
    write(small, path, made_by=None)
    before = {f: f.read_bytes() for f in tmp_path.rglob("*") if f.is_file()}
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, limits[1]))
    try:
        with pytest.raises(InputError, match="no space left"):
            write(large, path, made_by=None, force=True)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert {f: f.read_bytes() for f in tmp_path.rglob("*") if f.is_file()} == before


# --- containers and layouts -----------------------------------------------------------------------------------------

ARRAYS = {
    "points": np.random.default_rng(0).normal(size=(40, 3)),
    "one dimension": np.random.default_rng(0).normal(size=40).astype(np.float32),
    "half": np.random.default_rng(0).normal(size=(40, 2)).astype(np.float16),
    "whole": np.random.default_rng(0).integers(-9, 9, (40, 2)),
    "grey": grey(40),
    "last": colour(40),
    "first": np.ascontiguousarray(colour(40).transpose(0, 3, 1, 2)),
    "unit": (colour(40) / 255.0).astype(np.float32),
    "0..255": grey(40).astype(np.float64),
    "bits": grey(40) > 127,
    "big endian": np.random.default_rng(0).normal(size=(40, 2)).astype(">f8"),
}


# torch knows no byte orders
@pytest.mark.parametrize(
    ("name", "tensor"), [(n, t) for n, a in ARRAYS.items() for t in (False, True) if a.dtype.isnative or not t]
)
def test_arrays_come_back_as_they_were(name: str, tensor: bool) -> None:
    given = ARRAYS[name]
    data = read(torch.from_numpy(given) if tensor else given)
    codec = fit_codec(data)
    assert isinstance(codec, Codec)
    codec = codec_from_dict(json.loads(json.dumps(codec.to_dict())), codec.tensors())
    rows = codec.expand(codec.encode(data))
    assert (rows.dtype, rows.shape) == (torch.float32, (40, *codec.event_shape))
    back = to_container(codec.decode(rows))
    assert type(back) is type(torch.from_numpy(given) if tensor else given)
    array = back.numpy() if tensor else back
    assert array.shape == given.shape
    assert array.dtype == given.dtype or (tensor and name == "half")
    tolerance = {"half": 2e-3}.get(name, 1e-5)
    np.testing.assert_allclose(array.astype(float), given.astype(float), rtol=tolerance, atol=tolerance)


def test_points_are_standardised_and_constants_survive() -> None:
    x = torch.randn(500, 3, generator=torch.Generator().manual_seed(0)).double() * 50 + 1000
    x[:, 1] = 0.1
    codec = fit_codec(read(x))
    rows = codec.encode(read(x))
    torch.testing.assert_close(rows[:, [0, 2]].std(0, correction=0), torch.ones(2))
    assert torch.equal(codec.decode(rows).values[:, 1], x[:, 1])


def test_frames_as_points_and_arrays_as_tables() -> None:
    frame = pl.DataFrame({"a": [1.0, 2.5], "b": [3, 4]})
    points = read(frame, kind="points")
    assert points.values.tolist() == [[1.0, 3.0], [2.5, 4.0]]
    assert to_container(points).equals(frame.cast(pl.Float64))
    table = read(np.array([[1.0, np.nan], [2.0, 5.0]]), kind="table")
    assert table.values.columns == ["x0", "x1"]
    np.testing.assert_array_equal(to_container(table), [[1.0, np.nan], [2.0, 5.0]])
    assert read(points) is points
    assert read([[1.0, 2.0], [3.0, 4.0]]).values.shape == (2, 2)


def test_digits_are_bytes() -> None:
    digits = read("sample:digits").values
    assert (digits.shape, digits.dtype) == ((1797, 1, 8, 8), torch.uint8)
    assert (int(digits.min()), int(digits.max()), digits.unique().numel()) == (0, 255, 17)
    refused("sample:rubies", "sample:diamonds")


# --- CSV --------------------------------------------------------------------------------------------------------------


def csv(tmp_path: Path, text: str | bytes, name: str = "f.csv") -> Path:
    path = tmp_path / name
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


def test_csv_types_are_told_from_all_rows(tmp_path: Path) -> None:
    path = csv(
        tmp_path,
        '\ufeffn,x,flag,day,when,zone,zip,"a ""b""",late\r\n'
        "1,1.5,True,2020-01-01,2020-01-01 10:00,2020-01-01T10:00:00Z,01234,NA,1\r\n"
        'NA,,False,2020-02-01,2020-01-01 11:00,,99999,"x, y",2\r\n'
        '3,2,TRUE,,2020-01-01 12:30,2020-01-02T10:00:00Z,00001,"two\nlines",2.5\r\n',
    )
    frame = read(path, columns={"zip": "categorical"}).values
    assert frame.schema == {
        "n": pl.Int64,
        "x": pl.Float64,
        "flag": pl.Boolean,
        "day": pl.Date,
        "when": pl.Datetime("us"),
        "zone": pl.Datetime("us", "UTC"),
        "zip": pl.String,
        'a "b"': pl.String,
        "late": pl.Float64,
    }
    assert frame["zip"].to_list() == ["01234", "99999", "00001"]
    assert frame.null_count().row(0) == (1, 1, 0, 1, 0, 1, 0, 1, 0)


def test_csv_columns_can_be_typed(tmp_path: Path) -> None:
    path = csv(tmp_path, "d,t,i\n31/12/2020,7,1\n01/02/2021,8.5,2\n")
    frame = read(path, columns={"d": "date", "t": "continuous", "i": "categorical"}).values
    assert frame.schema == {"d": pl.Date, "t": pl.Float64, "i": pl.String}
    kept = read(csv(tmp_path, "a,b\n1,x\n2,y\n"), columns={"a": "continuous"})
    assert (kept.values["a"].dtype, kept.columns) == (pl.Int64, {"a": "continuous"})
    csv(tmp_path, "d,t,i\n31/12/2020,7,1\n01/02/2021,8.5,2\n")
    refused(path, "f.csv", "'d'", "row 1", "31/12/2020", columns={"d": "integer"})
    refused(path, "f.csv", "'cost'", "d, t, i", columns={"cost": "integer"})
    refused(path, "f.csv", "'t'", "unknown type", "continuous", columns={"t": "number"})


def test_csv_separators_and_last_lines(tmp_path: Path) -> None:
    for text in ("a;b\n1;2\n", "a\tb\n1\t2", "a|b\r\n1|2\r\n\r\n\n", "a,b\n1,2"):
        assert read(csv(tmp_path, text)).values.rows() == [(1, 2)]
    assert read(csv(tmp_path, "a\n1\n\n3\n")).values["a"].to_list() == [1, None, 3]


RAGGED = "a,b\n" + "1,2\n" * 5
BAD_CSV = {
    "empty": ("", ["empty"]),
    "blank": ("\n \n", ["empty"]),
    "short row": (RAGGED + "3\n" + "1,2\n", ["line 7", "1 fields", "2"]),
    "long row": (RAGGED + "3,4,5\n", ["line 7", "3 fields"]),
    "short quoted row": ('a,b\n"x, y",2\n3\n', ["line 3", "1 fields"]),
    "blank line": (RAGGED + "\n1,2\n", ["line 7", "blank"]),
    "no rows": ("a,b\n", ["no rows"]),
    "no rows, no end": ("a,b", ["no rows"]),
    "same names": ("a,b,a\n1,2,3\n", ["'a'", "twice"]),
    "latin-1": ("a,b\n1,x\n2,caf\u00e9\n".encode("latin-1"), ["line 3", "UTF-8"]),
    "utf-16": ("a,b\n1,2\n".encode("utf-16"), ["line 1", "UTF-8"]),
    "infinite": ("a,b\n1,2\n3,inf\n", ["'b'", "infinite", "row 2"]),
    "minus infinite": ("a,b\n1,2\n3,-inf\n", ["'b'", "infinite", "row 2"]),
    "nothing in a row": ("a,b\n1,2\nNA,NaN\n4,5\n", ["row 2", "missing in every column"]),
    "open quote": ('a,b\n"x,1\n2,3\n', ["f.csv"]),
}


@pytest.mark.parametrize("name", BAD_CSV)
def test_bad_csv(name: str, tmp_path: Path) -> None:
    text, words = BAD_CSV[name]
    refused(csv(tmp_path, text), "f.csv", *words)


def test_bad_paths_and_parquet(tmp_path: Path) -> None:
    refused(tmp_path / "nowhere.csv", "nowhere.csv", "no such file")
    refused(csv(tmp_path, "a\n1\n", "data.xlsx"), "data.xlsx", "'.xlsx'", ".parquet")
    refused(csv(tmp_path, "", "e.parquet"), "e.parquet", "empty")
    refused(csv(tmp_path, "PAR1 nonsense", "n.parquet"), "n.parquet", "Parquet")
    pl.DataFrame({"a": [1, 2, 3]}).write_parquet(tmp_path / "t.parquet")
    cut = (tmp_path / "t.parquet").read_bytes()[:-40]
    refused(csv(tmp_path, cut, "cut.parquet"), "cut.parquet", "Parquet")
    pl.DataFrame({"a": [[1], [2]]}).write_parquet(tmp_path / "list.parquet")
    refused(tmp_path / "list.parquet", "'a'", "List")
    pl.DataFrame({"a": []}).write_parquet(tmp_path / "none.parquet")
    refused(tmp_path / "none.parquet", "no rows")
    pl.DataFrame({"a": ["x", "y"], "b": [1, 2]}).write_parquet(tmp_path / "text.parquet")
    refused(tmp_path / "text.parquet", "'a'", "'x'", "not numbers", kind="points")
    refused(tmp_path / "text.parquet", "cannot be read as images", kind="images")
    refused(tmp_path / "text.parquet", "unknown kind", kind="picture")
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "model.json").write_text("{}")
    refused(tmp_path / "run", "fitted model", "sample")


# --- arrays -----------------------------------------------------------------------------------------------------------


def test_bad_points(tmp_path: Path) -> None:
    def saved(array: np.ndarray) -> Path:
        np.save(tmp_path / "x.npy", array)
        return tmp_path / "x.npy"

    x = np.ones((5, 3))
    x[2] = np.nan
    refused(saved(x), "x.npy", "row 3", "NaN throughout")
    x[2] = [1, np.nan, 1]
    refused(saved(x), "row 3, column 2", "NaN", "table")
    x[2] = [1, 1, -np.inf]
    refused(saved(x), "row 3, column 3", "infinite")
    refused(saved(np.ones((0, 3))), "empty")
    refused(saved(np.ones((2, 2, 2, 2, 2))), "(2, 2, 2, 2, 2)")
    refused(saved(np.array(["a", "b"])), "not numbers")
    refused(saved(np.ones((2, 2), dtype=complex)), "not numbers")
    refused(object(), "cannot read a object")
    refused(np.eye(2), "no columns", columns={"a": "integer"})


def test_pickles_are_refused_and_not_run(tmp_path: Path) -> None:
    class Trap:
        def __reduce__(self) -> Any:
            return Path.touch, (tmp_path / "sprung",)

    objects = np.array([Trap()], dtype=object)
    np.save(tmp_path / "o.npy", objects, allow_pickle=True)
    np.savez(tmp_path / "o.npz", x=objects)
    refused(tmp_path / "o.npy", "o.npy", "pickled")
    refused(tmp_path / "o.npz", "o.npz", "pickled")
    assert not (tmp_path / "sprung").exists()


def test_bad_npz_and_npy(tmp_path: Path) -> None:
    np.savez(tmp_path / "two.npz", a=np.eye(2), b=np.eye(3))
    refused(tmp_path / "two.npz", "a, b", "'x'")
    np.savez(tmp_path / "named.npz", labels=np.arange(2), images=grey(2))
    assert read(tmp_path / "named.npz").kind == "images"
    np.savez(tmp_path / "whole.npz", x=np.random.default_rng(0).normal(size=(100, 2)))
    np.save(tmp_path / "whole.npy", np.eye(50))
    for name in ("whole.npz", "whole.npy"):
        refused(csv(tmp_path, (tmp_path / name).read_bytes()[:-300], f"cut_{name}"), f"cut_{name}", "NumPy")
        refused(csv(tmp_path, b"", f"void_{name}"), "empty")
    # a header that promises a terabyte
    with (tmp_path / "vast.npy").open("wb") as file:
        np.lib.format.write_array_header_1_0(file, {"descr": "<f8", "fortran_order": False, "shape": (10**11, 2)})
        file.write(b"\0" * 64)
    refused(tmp_path / "vast.npy", "vast.npy")


# --- images -----------------------------------------------------------------------------------------------------------


def folder(tmp_path: Path, **files: bytes) -> Path:
    path = tmp_path / "pics"
    path.mkdir(exist_ok=True)
    for name, content in files.items():
        (path / f"{name}.png").write_bytes(content)
    return path


def bomb(side: int) -> bytes:
    """A PNG of a few hundred bytes that claims side x side pixels."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(99))) + chunk(b"IEND", b"")
    )


def test_folders_of_mixed_modes(tmp_path: Path) -> None:
    one, three = grey(1)[0], colour(1)[0]
    grey_only = read(folder(tmp_path, a=png(one), b=png(one, "1"), c=png(one.astype(np.uint16) * 257)))
    assert grey_only.values.shape == (3, 1, 6, 4)
    assert torch.equal(grey_only.values[0], grey_only.values[2])
    see_through = np.dstack([three, np.zeros((6, 4), dtype=np.uint8)])
    mixed = read(folder(tmp_path, d=png(three), e=png(see_through)))
    assert mixed.values.shape == (5, 3, 6, 4)
    assert torch.equal(mixed.values[3], torch.from_numpy(three).permute(2, 0, 1))
    assert (mixed.values[4] == 255).all()  # transparent: the white behind it


def test_bad_images(tmp_path: Path) -> None:
    good = png(grey(1)[0])
    refused(folder(tmp_path, a=good, b=good, c=png(grey(1, 8, 9)[0])), "pics", "4 x 6", "and 1 more", "9 x 8", "c.png")
    refused(folder(tmp_path, c=png(grey(1, 64, 64)[0])[:1500]), "several sizes")
    (tmp_path / "pics" / "a.png").unlink()
    (tmp_path / "pics" / "b.png").unlink()
    refused(tmp_path / "pics", "c.png", "damaged or cut short")
    refused(folder(tmp_path, c=good[:20]), "c.png")
    refused(folder(tmp_path, c=b"hello"), "c.png", "not an image")
    refused(folder(tmp_path, c=bomb(60_000)), "c.png", "pixels", "50,000,000")
    refused(folder(tmp_path, c=bomb(8_000)), "c.png", "8000 x 8000 pixels")
    (tmp_path / "pics" / "c.png").unlink()
    refused(tmp_path / "pics", "pics", "no images")


def test_bad_zips(tmp_path: Path) -> None:
    good, path = png(grey(1)[0]), tmp_path / "z.zip"

    def zipped(*names: str, content: bytes = good) -> Path:
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            for name in names:
                archive.writestr(name, content)
        return path

    assert read(zipped("b/2.png", "a.png", "__MACOSX/a.png", "notes.txt")).values.shape == (2, 1, 6, 4)
    for name in ("../up.png", "a/../../up.png", "/etc/up.png", "..\\up.png", "C:\\up.png"):
        refused(zipped("a.png", name), "z.zip", "outside")
    assert list(tmp_path.iterdir()) == [path]
    refused(zipped("notes.txt"), "z.zip", "no images")
    refused(zipped("a.png", content=bytes(300 << 20)), "a.png", "300 MiB")
    refused(zipped("a.png", content=good[:60]), "a.png", "damaged or cut short")
    refused(csv(tmp_path, zipped("a.png").read_bytes()[:50], "cut.zip"), "cut.zip", "not a whole zip")


def test_bad_image_arrays() -> None:
    refused(np.ones((3, 4, 5, 2)), "(3, 4, 5, 2)", "channels")
    refused(-grey().astype(float), "from -", "0..255")
    holed = grey().astype(float)
    holed[2, 1, 1] = np.nan
    refused(holed, "image 3", "NaN")
    refused(grey(), "images", "no columns", columns={"a": "integer"})


# --- frames and likeness ----------------------------------------------------------------------------------------------


def test_bad_frames() -> None:
    pd = pytest.importorskip("pandas")
    refused(pd.DataFrame([[1, 2]], columns=["a", "a"]), "'a'", "twice")
    refused(pd.DataFrame({"m": ["x", 1, 2.5, None]}), "'m'", "mixes types")
    refused(pl.DataFrame({"a": [1.0, float("inf")]}), "'a'", "row 2")
    refused(pl.DataFrame({"a": [1.0, float("nan")], "b": ["x", None]}), "row 2")
    assert len(read(pl.DataFrame({"a": [None, None], "b": ["x", None]}))) == 2
    refused(pl.DataFrame(), "no columns")
    refused(pl.DataFrame({"a": pl.Series([], dtype=pl.Int64)}), "no rows")


def alike(real: pl.DataFrame, fake: pl.DataFrame) -> pl.DataFrame:
    return check_alike(read(real, name="REAL"), read(fake, name="FAKE")).values


def unlike(real: Any, fake: Any, *words: str) -> None:
    with pytest.raises(InputError) as caught:
        check_alike(read(real, name="REAL"), read(fake, name="FAKE"))
    told(caught.value, "FAKE", "REAL", *words)


def test_likeness_of_tables() -> None:
    real = pl.DataFrame({"n": [1, 2], "x": [1.5, 2.5], "c": ["a", "b"], "f": [True, False], "z": ["01", "A2"]})
    same = alike(real, real.select("z", "c", "x", "n", "f"))
    assert same.equals(real)
    odd = alike(real, real.with_columns(c=pl.Series(["new", None]), n=pl.Series([1.5, 2.0]), z=pl.Series([1, 2])))
    assert odd["c"].to_list() == ["new", None]
    assert odd["n"].to_list() == [1.5, 2.0]
    assert odd["z"].to_list() == ["1", "2"]
    unlike(real, real.drop("x", "c"), "lacks the columns 'x', 'c'")
    unlike(real, real.with_columns(id=1, key=2), "'id', 'key' besides")
    unlike(real, real.rename({"x": "y"}), "lacks the column 'x'", "has the column 'y' besides")
    unlike(real, real.with_columns(x=pl.Series(["1.5", "much"])), "'x'", "'much'", "row 2", "numbers")
    assert alike(real, real.with_columns(x=pl.Series(["1.5", "7"])))["x"].to_list() == [1.5, 7.0]
    assert alike(real, real.with_columns(x=pl.lit(None)))["x"].dtype == pl.Float64
    unlike(real, np.eye(2), "points", "table")
    assert alike(real, real.with_columns(f=pl.Series([0, 1])))["f"].to_list() == [False, True]
    unlike(real, real.with_columns(f=pl.Series([1, 2])), "'f'", "row 2", "true and false")


def test_likeness_of_dates_and_enums() -> None:
    real = pl.DataFrame({"d": [1, 2], "e": ["a", "b"]}).with_columns(
        pl.col("d").cast(pl.Datetime("us")).dt.replace_time_zone("UTC"), pl.col("e").cast(pl.Enum(["a", "b"]))
    )
    fake = real.with_columns(pl.col("d").dt.replace_time_zone(None).cast(pl.Datetime("ns")), e=pl.Series(["a", "zzz"]))
    out = alike(real, fake)
    assert out["d"].equals(real["d"])
    assert out["e"].to_list() == ["a", "zzz"]
    unlike(real, real.with_columns(d=pl.Series(["soon", "late"])), "'d'", "'soon'", "row 1", "dates")


def test_likeness_of_points_and_images() -> None:
    assert check_alike(read(np.eye(3)), read(np.eye(3, dtype=np.float32))).values.dtype == torch.float64
    unlike(np.eye(2), np.eye(3), "3 coordinates", "2 coordinates")
    unlike(grey(), colour(), "RGB images of 4 x 6", "grey images of 4 x 6")
    unlike(grey(), grey(5, 8, 8), "8 x 8", "4 x 6")
