"""The commands that judge, as a user types them: catalogues, several FAKEs, what moved, features."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from pushforward.cli import main

QUICK = ["--metric", "repeats"]


@pytest.fixture
def files(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    for name, move in (("real", 0.0), ("good", 0.0), ("moved", 1.5)):
        x = rng.normal(size=(300, 2))
        pl.DataFrame({"a": x[:, 0] + move, "b": x[:, 1]}).write_csv(tmp_path / f"{name}.csv")
    return tmp_path


def test_metrics_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["metrics"]) == 0
    assert "frechet" in capsys.readouterr().out
    assert main(["metrics", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["precision"]["gives"][-1] == "clipped_coverage"
    assert told["auc"]["group"] == "always"


def test_several_fakes_make_a_leaderboard(files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    real, good, moved = (str(files / f"{name}.csv") for name in ("real", "good", "moved"))
    outputs = ["--html", str(files / "b.html"), "--json", str(files / "b.json"), "--md", str(files / "b.md")]
    assert main(["compare", real, moved, good, *QUICK, *outputs, "--fail-if", "auc>0.7"]) == 1
    shown = capsys.readouterr()
    out, err = ("".join(text.split()) for text in shown)  # lines are broken anywhere in a long path
    assert "isaheadofallothersbyauc" in out
    assert f"auc>0.7({moved})" in err
    board = json.loads((files / "b.json").read_text())
    assert [Path(one["name"]).stem for one in board["standings"]] == ["good", "moved"]
    assert set(board["comparisons"]) == {good, moved}
    assert main(["compare", real, good, good]) == 2
    assert "given twice" in capsys.readouterr().err


def test_what_moved_since_an_earlier_result(files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    real, good, moved = (str(files / f"{name}.csv") for name in ("real", "good", "moved"))
    before = str(files / "before.json")
    assert main(["compare", real, good, *QUICK, "--json", before]) == 0
    capsys.readouterr()
    assert main(["compare", real, moved, *QUICK, "--against", before]) == 0
    shown = "".join(capsys.readouterr().out.split())  # lines are broken anywhere in a long path
    assert f"Since{before}:" in shown
    assert "worse" in shown
    assert main(["compare", real, good, "--by", "repeats"]) == 2
    assert "orders several FAKEs" in capsys.readouterr().err


def test_features_are_saved_and_compared(files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = str(files / "digits.npz")
    assert main(["encode-features", "sample:digits", "--encoder", "random-conv", "--out", out]) == 0
    assert "128numbers" in "".join(capsys.readouterr().out.split())
    assert main(["encode-features", "sample:digits", "--encoder", "random-conv", "--out", out]) == 2
    assert "already exists" in capsys.readouterr().err
    other = str(files / "other.npz")
    assert main(["encode-features", "sample:digits", "--encoder", "pixels", "--out", other]) == 0
    assert main(["compare", out, other]) == 2
    assert "encode both by the same encoder" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--metric", "nonsense"], "unknown metric 'nonsense'; known: "),
        (["--suite", "nonsense"], "known: quick, full, image, table, privacy"),
        (["--target", "nonsense"], "columns: a, b"),
        (["--encoder", "pixels"], "these data are a table"),
        (["--against", "nothing.json"], "cannot be read"),
        (["--most-rows", "5"], "give at least 20"),
    ],
)
def test_mistakes_are_one_sentence(
    files: Path, words: list[str], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["compare", str(files / "real.csv"), str(files / "good.csv"), *words]) == 2
    error = capsys.readouterr().err
    assert told in error
    assert error.count("\n") == 1
