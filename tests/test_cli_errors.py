"""Bad input at the command line: exit status 2, one sentence that names the place, nothing half-written."""

from __future__ import annotations

import io
import json
import struct
import subprocess
import sys
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from PIL import Image

from pushforward.cli import main

GOOD = "a,b,c\n" + "".join(f"{i},{i * 0.5},{'uv'[i % 2]}\n" for i in range(40))


def csv(path: Path, text: str) -> str:
    path.write_text(text)
    return str(path)


def png(width: int, height: int) -> bytes:
    buffer = io.BytesIO()
    Image.new("L", (width, height), 7).save(buffer, "PNG")
    return buffer.getvalue()


def bomb() -> bytes:
    """A PNG of a few kilobytes whose header promises 60,000 x 60,000 pixels."""

    def chunk(name: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))

    header = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 0, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0" * 100)) + chunk(b"IEND", b"")
    )


def folder(path: Path, **images: bytes) -> str:
    path.mkdir()
    for name, content in images.items():
        (path / f"{name}.png").write_bytes(content)
    return str(path)


def zipped(path: Path, member: str) -> str:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(member, png(8, 8))
    return str(path)


def array(path: Path, values: np.ndarray) -> str:
    np.save(path, values)
    return str(path)


def pickled(path: Path) -> str:
    np.savez(path, x=np.array([{"an": "object"}], dtype=object))
    return str(path)


def with_hole(value: float, *, rows: slice) -> np.ndarray:
    values = np.random.default_rng(0).normal(size=(50, 2))
    values[rows] = value
    return values


FIT: dict[str, tuple[Callable[[Path], str], list[str]]] = {
    "missing file": (lambda d: str(d / "nowhere.csv"), ["nowhere.csv"]),
    "empty file": (lambda d: csv(d / "void.csv", ""), ["void.csv", "empty"]),
    "ragged rows": (lambda d: csv(d / "ragged.csv", "a,b\n1,2\n3,4\n5,6,7\n"), ["ragged.csv", "4"]),
    "no rows": (lambda d: csv(d / "head.csv", "a,b\n"), ["head.csv", "row"]),
    "duplicate names": (lambda d: csv(d / "twice.csv", "a,b,a\n1,2,3\n"), ["twice.csv", "'a'"]),
    "infinite value": (lambda d: array(d / "inf.npy", with_hole(np.inf, rows=slice(7, 8))), ["inf.npy", "infinite"]),
    "all-NaN row": (lambda d: array(d / "nan.npy", with_hole(np.nan, rows=slice(7, 8))), ["nan.npy"]),
    "sizes": (lambda d: folder(d / "mixed", one=png(8, 8), two=png(9, 8)), ["mixed", "8", "9", "png"]),
    "truncated PNG": (lambda d: folder(d / "cut", one=png(64, 64)[:60]), ["cut", "one.png"]),
    "bomb": (lambda d: folder(d / "bomb", one=bomb()), ["bomb", "one.png"]),
    "zip with ../": (lambda d: zipped(d / "up.zip", "../up.png"), ["up.zip", "../up.png"]),
    "pickled NPZ": (lambda d: pickled(d / "objects.npz"), ["objects.npz"]),
    "no images": (lambda d: folder(d / "bare"), ["bare"]),
    "unknown ending": (lambda d: csv(d / "data.xyz", "1"), ["data.xyz"]),
    "unknown built-in": (lambda d: "sample:rubies", ["sample:rubies", "diamonds"]),
}


def outcome(capsys: pytest.CaptureFixture[str], argv: list[str]) -> tuple[int, str]:
    status = main(argv)
    return status, capsys.readouterr().err


def one_sentence(error: str, words: list[str]) -> None:
    assert error.startswith("pushforward: "), error
    assert error.count("\n") == 1, error
    assert "Traceback" not in error
    for word in words:
        assert word in error, f"{word!r} is not in: {error}"


@pytest.mark.parametrize("case", FIT)
def test_fit_refuses(case: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make, words = FIT[case]
    source = make(tmp_path)
    before = sorted(tmp_path.rglob("*"))
    status, error = outcome(capsys, ["fit", source, "--out", str(tmp_path / "run"), "--steps", "2"])
    assert status == 2
    one_sentence(error, words)
    assert sorted(tmp_path.rglob("*")) == before


COMPARE: dict[str, tuple[str, list[str]]] = {
    "column lacking": ("\n".join(line.rsplit(",", 1)[0] for line in GOOD.splitlines()), ["fake.csv", "'c'"]),
    "column added": ("\n".join(f"{line},{'d' if i == 0 else 1}" for i, line in enumerate(GOOD.splitlines())), ["'d'"]),
    "text for numbers": (GOOD.replace("\n3,1.5,", "\n3,much,"), ["fake.csv", "'b'"]),
}


@pytest.mark.parametrize("case", COMPARE)
def test_compare_refuses(case: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text, words = COMPARE[case]
    real, fake = csv(tmp_path / "real.csv", GOOD), csv(tmp_path / "fake.csv", text)
    status, error = outcome(capsys, ["compare", real, fake, "--html", str(tmp_path / "page.html")])
    assert status == 2
    one_sentence(error, words)
    assert not (tmp_path / "page.html").exists()


def test_unknown_objective_lists_the_known(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    argv = ["fit", "toy:ring:200", "--out", str(tmp_path / "run"), "--objective", "magic"]
    status, error = outcome(capsys, argv)
    assert status == 2
    one_sentence(error, ["magic", "rpgan", "wgan", "reverse-kl"])
    assert not (tmp_path / "run").exists()


def test_out_that_exists_is_kept(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    kept = tmp_path / "thesis"
    kept.mkdir()
    (kept / "chapter.txt").write_text("years of work")
    status, error = outcome(capsys, ["fit", "toy:ring:200", "--out", str(kept)])
    assert status == 2
    one_sentence(error, ["thesis", "--force", "--resume"])
    status, error = outcome(capsys, ["fit", "toy:ring:200", "--out", str(kept), "--force", "--steps", "2"])
    assert status == 2
    one_sentence(error, ["thesis"])
    assert (kept / "chapter.txt").read_text() == "years of work"


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("runs") / "run"
    assert main(["fit", "toy:ring:500", "--out", str(path), "--steps", "3", "--batch-size", "32"]) == 0
    return path


def copy(run: Path, to: Path) -> Path:
    import shutil

    shutil.copytree(run, to)
    return to


@pytest.mark.parametrize("name", ["model.json", "weights.safetensors"])
@pytest.mark.parametrize("harm", ["missing", "truncated"])
def test_harmed_run(run: Path, name: str, harm: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    broken = copy(run, tmp_path / "run")
    if harm == "missing":
        (broken / name).unlink()
    else:
        content = (broken / name).read_bytes()
        (broken / name).write_bytes(content[: len(content) // 2])
    out = tmp_path / "samples.npy"
    status, error = outcome(capsys, ["sample", str(broken), "-n", "5", "--out", str(out)])
    assert status == 2
    one_sentence(error, [name])
    assert not out.exists()


def test_newer_run(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    newer = copy(run, tmp_path / "run")
    record = json.loads((newer / "model.json").read_text())
    record["schema"] = "pushforward.model/99"
    (newer / "model.json").write_text(json.dumps(record))
    status, error = outcome(capsys, ["sample", str(newer), "-n", "5", "--out", str(tmp_path / "s.npy")])
    assert status == 2
    one_sentence(error, ["model.json", "99"])


def test_not_a_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status, error = outcome(capsys, ["sample", str(tmp_path), "-n", "5", "--out", str(tmp_path / "s.npy")])
    assert status == 2
    one_sentence(error, [str(tmp_path)])


@pytest.mark.parametrize("suffix", [".parquet", ".csv"])
def test_full_disk_keeps_the_old_file(suffix: str, tmp_path: Path) -> None:
    """A real write error from the kernel: the process may not write files beyond 64 kB."""
    out = tmp_path / f"copy{suffix}"
    out.write_text("the old one")
    script = f"""
import resource, sys
from pushforward.data import sources
from pushforward.cli import main
from pushforward.errors import InputError
data = sources.read("sample:diamonds")
resource.setrlimit(resource.RLIMIT_FSIZE, (65536, 65536))
try:
    sources.write(data, {str(out)!r}, made_by={{}}, force=True)
except InputError as error:
    sys.exit(str(error))
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert str(out) in done.stderr
    assert "Traceback" not in done.stderr
    assert out.read_text() == "the old one"
    assert list(tmp_path.iterdir()) == [out]


def test_usage_errors_exit_with_2(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert main(["fit"]) == 2
    assert main(["compare", "toy:ring:100", "toy:ring:100", "--alpha", "7"]) == 2
    capsys.readouterr()
    status, error = outcome(capsys, ["compare", "toy:ring:100", "toy:ring:100", "--fail-if", "beauty>1"])
    assert status == 2
    one_sentence(error, ["beauty", "auc"])
    nowhere = ["compare", "nowhere.csv", "nowhere.csv"]  # told before the data are looked for
    for words, told in (
        (["--method", "energi"], ["'energi'", "did you mean energy"]),
        (["--method", "zzzzzz"], ["'zzzzzz'", "pushforward methods"]),
        (["--method", "mmd", "--permutations", "9"], ["9 permutations", "at least 19"]),
        (["--method", "mmd", "--rows", "5"], ["5 rows", "at least 20"]),
        (["--rows", "50"], ["--method"]),
        (["--method", "mmd", "--fail-if", "energy.pvalue<0.1"], ["energy", "--method energy"]),
    ):
        status, error = outcome(capsys, [*nowhere, *words])
        assert status == 2
        one_sentence(error, told)
    assert outcome(capsys, nowhere)[0] == 2
    real = csv(tmp_path / "real.csv", GOOD)
    status, error = outcome(capsys, ["compare", real, real, "--column", "price:continuous"])
    assert status == 2
    one_sentence(error, ["price"])


def test_unseen_category_is_evidence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    real = csv(tmp_path / "real.csv", GOOD)
    fake = csv(tmp_path / "fake.csv", GOOD.replace(",v\n", ",w\n"))
    assert main(["compare", real, fake, "--json", str(tmp_path / "r.json")]) == 0
    result = json.loads((tmp_path / "r.json").read_text())
    worst = min(result["columns"], key=lambda column: column["pvalue_adjusted"])
    assert worst["name"] == "c"
    assert worst["pvalue_adjusted"] < 1e-3
    assert pl.read_csv(fake)["c"].n_unique() == 2
