"""`pushforward leaderboard`, and the default model of a table, as a user types them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from pushforward.cli import main


@pytest.fixture
def data(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    x = rng.normal(size=490)  # too few for joint coordinates, which take their time
    frame = pl.DataFrame({"x": x, "y": x + 0.3 * rng.normal(size=490), "kind": np.where(x > 0, "high", "low")})
    frame.write_csv(tmp_path / "data.csv")
    return tmp_path / "data.csv"


def test_models_are_ranked_on_the_users_data(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = data.parent
    out = folder / "board"
    words = [
        "leaderboard",
        str(data),
        "--models",
        "copula, independent,cyclegan",
        "--metric",
        "repeats",
        "--budget",
        "5",
    ]
    files = ["--html", str(folder / "b.html"), "--json", str(folder / "b.json"), "--md", str(folder / "b.md")]
    assert main([*words, *files, "--out", str(out)]) == 0
    shown = "".join(capsys.readouterr().out.split())  # lines are broken anywhere
    assert "copulaisaheadofallothersbyauc,beyondnoise." in shown
    assert "392rowstotrainon,98keptouttojudgeby;5soffitting." in shown
    assert "realagainstreal" in shown
    assert "cycleganhasnofigures:CycleGANtranslatesbetweentwodomains" in shown
    told = json.loads((folder / "b.json").read_text())
    assert [one["name"] for one in told["board"]["standings"]] == ["copula", "independent"]
    assert told["board"]["comparisons"]["copula"]["made_by"]["command"].startswith("pushforward")
    assert "pushforward leaderboard" in (folder / "b.html").read_text()
    assert "real against real" in (folder / "b.md").read_text()
    assert {path.name for path in out.iterdir()} == {"data", "models", "leaderboard.html", "leaderboard.json"}
    assert len(pl.read_parquet(out / "data" / "holdout.parquet")) == 98
    capsys.readouterr()
    again = ["compare", str(out / "data" / "holdout.parquet"), str(folder / "s.csv"), "--metric", "repeats"]
    assert (
        main(["sample", str(out / "models" / "copula"), "-n", "98", "--out", str(folder / "s.csv"), "--seed", "0"]) == 0
    )
    assert main([*again, "--train", str(out / "data" / "train.parquet")]) == 0
    capsys.readouterr()
    assert main([*words, "--out", str(out)]) == 2
    assert "already exists" in capsys.readouterr().err
    (folder / "mine").mkdir()
    (folder / "mine" / "letter.txt").write_text("dear")
    assert main([*words, "--out", str(folder / "mine"), "--force"]) == 2
    assert "is not the folder of a leaderboard" in "".join(capsys.readouterr().err.replace("\n", " "))
    assert (folder / "mine" / "letter.txt").exists()


def test_json_on_standard_output(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["leaderboard", str(data), "--models", "independent", "--metric", "repeats", "--rows", "50", "--json", "-"]
    assert main(words) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["judged"], told["entries"][0]["name"]) == (50, "independent")
    assert told["sentence"].startswith("independent is the only model with figures.")


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["--models", "magic"], "unknown model 'magic'; known:"),
        (["--models", ","], "none were given"),
        (["--by", "nothing"], "has no such figure"),
        (["--metric", "nothing"], "unknown metric 'nothing'"),
    ],
)
def test_mistakes_are_one_sentence(
    data: Path, capsys: pytest.CaptureFixture[str], words: list[str], reason: str
) -> None:
    assert main(["leaderboard", str(data), "--models", "copula", *words]) == 2
    error = " ".join(capsys.readouterr().err.split())
    assert reason in error
    assert "Traceback" not in error


def test_a_table_is_fitted_by_the_best_of_several(
    data: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a word on how to train; with one it is a GAN as ever. What was chosen is told, kept and shown."""
    from pushforward.models.choosing import candidates

    monkeypatch.setattr(candidates, "names_for", lambda kind: ("copula", "independent"))
    run = data.parent / "run"
    assert main(["fit", str(data), "--out", str(run)]) == 0
    said = "".join("".join(capsys.readouterr()).split())
    assert said.count("Of2modelscopulawaschosen:anAUCof") == 1
    assert main(["show", str(run), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["model"] == "Copula"
    assert told["choice"].startswith("Of 2 models copula was chosen")
    assert "nothing had looked at before" in told["closing"]
    assert main(["sample", str(run), "-n", "5", "--out", str(data.parent / "s.csv")]) == 0
    small = ["--steps", "1", "--batch-size", "16"]
    assert main(["fit", str(data), "--out", str(data.parent / "gan"), *small]) == 0
    capsys.readouterr()
    assert main(["show", str(data.parent / "gan"), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["model"], told["choice"]) == ("GAN", None)
    assert main(["fit", str(data), "--out", str(run), "--model", "auto", "--until", "indistinguishable"]) == 2
    capsys.readouterr()
    assert (
        main(["fit", str(data), "--model", "auto", "--until", "indistinguishable", "--out", str(run), "--force"]) == 2
    )
    assert "--until is not for --model auto" in " ".join(capsys.readouterr().err.split())
