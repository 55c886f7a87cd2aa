"""The command line as a user meets it: fit, sample, show, compare, gates, the demo, and an interrupted fit."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch

from pushforward.cli import main
from pushforward.cli.options import SUFFIXES, column_types
from pushforward.cli.show import sparkline
from pushforward.data import sources
from pushforward.errors import InputError
from pushforward.twosample import METHODS


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a fitted run of a small table and 400 samples of it."""
    folder = tmp_path_factory.mktemp("small")
    rng = np.random.default_rng(0)
    frame = pl.DataFrame({"a": rng.normal(size=900), "b": rng.integers(0, 9, 900), "c": rng.choice(["u", "v"], 900)})
    frame.write_csv(folder / "data.csv")
    argv = ["fit", str(folder / "data.csv"), "--out", str(folder / "run"), "--steps", "30", "--holdout", "0.3"]
    assert main(argv) == 0
    assert main(["sample", str(folder / "run"), "-n", "400", "--out", str(folder / "fake.parquet"), "--seed", "1"]) == 0
    return folder


def test_samples_are_like_the_data(small: Path) -> None:
    data, fake = pl.read_csv(small / "data.csv"), pl.read_parquet(small / "fake.parquet")
    assert len(fake) == 400
    assert fake.schema == data.schema
    assert fake["b"].is_between(data["b"].min(), data["b"].max()).all()
    parts = [len(pl.read_parquet(small / "run" / "data" / f"{name}.parquet")) for name in ("train", "holdout")]
    assert parts == [630, 270]


def test_the_same_seed_draws_the_same(small: Path, tmp_path: Path) -> None:
    for seed, same in ((1, True), (2, False)):
        path = tmp_path / f"{seed}.parquet"
        assert main(["sample", str(small / "run"), "-n", "400", "--out", str(path), "--seed", str(seed)]) == 0
        assert pl.read_parquet(path).equals(pl.read_parquet(small / "fake.parquet")) == same


def test_show_tells_a_run_and_a_file(small: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["show", str(small / "run"), "--json"]) == 0
    run = json.loads(capsys.readouterr().out)
    assert (run["what"], run["status"], run["step"]) == ("run", "finished", "30 of 30")
    assert main(["show", str(small / "fake.parquet"), "--json"]) == 0
    file = json.loads(capsys.readouterr().out)
    assert file["synthetic"] is True
    assert file["made_by"]["model"] == run["made_by"]["model"]
    assert file["made_by"]["seed"] == 1
    assert main(["show", str(small / "run" / "data" / "holdout.parquet"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["synthetic"] is False
    assert main(["show", str(small / "run")]) == 0
    assert "finished" in capsys.readouterr().out


def test_compare_writes_what_it_is_asked_for(small: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    parts = small / "run" / "data"
    argv = ["compare", str(parts / "holdout.parquet"), str(small / "fake.parquet"), "--train"]
    argv += [str(parts / "train.parquet"), "--html", str(tmp_path / "r.html"), "--json", str(tmp_path / "r.json")]
    assert main([*argv, "--fail-if", "auc>1", "--fail-if", "pvalue<0"]) == 0
    printed = capsys.readouterr().out
    result = json.loads((tmp_path / "r.json").read_text())
    assert result["schema"] == "pushforward.compare/1"
    assert result["verdict"]["sentence"].split()[0] in " ".join(printed.split())
    assert 0 < result["verdict"]["pvalue"] <= 1
    assert {column["name"] for column in result["columns"]} == {"a", "b", "c"}
    page = (tmp_path / "r.html").read_text()
    assert "<script src" not in page
    assert "http://" not in page.replace("http://www.w3.org", "")
    assert main([*argv[:3], "--json", "-", "--fail-if", "auc>=0"]) == 1
    out, error = capsys.readouterr()
    assert json.loads(out)["schema"] == "pushforward.compare/1"
    assert "auc>=0" in error
    assert main(argv) == 2  # the page exists already
    assert "--force" in capsys.readouterr().err


def test_lists(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["methods"]) == 0
    printed = capsys.readouterr().out
    for name, method in METHODS.items():
        assert f"  {name} " in printed
        assert printed.index(method.family) < printed.index(f"  {name} ")
    assert max(len(line.rstrip()) for line in printed.splitlines()) <= 80
    assert main(["objectives"]) == 0
    assert "rpgan" in capsys.readouterr().out
    assert main(["--version"]) == 0
    assert capsys.readouterr().out.startswith("pushforward ")


def test_methods_in_columns_where_there_is_room(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "120")
    assert main(["methods"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["method", "what", "it", "sees", "cost", "assumes"]
    assert max(len(line) for line in lines) <= 120
    assert "cost: " not in "".join(lines)


def test_a_method_at_length(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["methods", "c2st"]) == 0
    printed = " ".join(capsys.readouterr().out.split())
    for words in (METHODS["c2st"].convention, "train=0.5", "held-out AUC", "Classifier two-sample test", "8 a side"):
        assert words in printed
    assert main(["methods", "--json"]) == 0
    listed = json.loads(capsys.readouterr().out)
    assert set(listed) == set(METHODS)
    assert listed["energy"]["options"] == {"unbiased": "True"}
    assert all(listed[name]["sees"] == method.reads for name, method in METHODS.items())
    assert main(["methods", "mmd", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == listed["mmd"]
    assert main(["methods", "c2sst"]) == 2
    assert "did you mean c2st" in capsys.readouterr().err


def test_compare_runs_the_methods_asked_for(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rng = np.random.default_rng(0)
    for name, shift in (("real", 0.0), ("fake", 0.7)):
        np.save(tmp_path / f"{name}.npy", rng.normal(shift, 1.0, (300, 2)))
    argv = ["compare", str(tmp_path / "real.npy"), str(tmp_path / "fake.npy"), "--method", "energy", "--method", "mmd"]
    argv += ["--permutations", "99", "--rows", "200", "--json", str(tmp_path / "r.json")]
    assert main([*argv, "--fail-if", "energy.pvalue>0.5"]) == 0
    printed = " ".join(capsys.readouterr().out.split())
    assert "200 of 300 real and 200 of 300 fake rows; points as they are" in printed
    assert "energy: 2E|X-Y| - E|X-X'| - E|Y-Y'|, U-statistic, 99 permutations" in printed
    assert "rests on: x1 (" in printed or "rests on: x2 (" in printed
    tests = json.loads((tmp_path / "r.json").read_text())["tests"]
    assert [(test["name"], test["pvalue"], test["n_real"]) for test in tests] == [
        ("energy", 0.01, 200),
        ("mmd", 0.01, 200),
    ]
    assert main([*argv, "--force", "--fail-if", "energy.pvalue<0.05"]) == 1
    assert "gate failed: energy.pvalue<0.05" in capsys.readouterr().err


def test_column_types() -> None:
    assert column_types(["price:continuous", "a:b:integer"]) == {"price": "continuous", "a:b": "integer"}
    assert column_types(None) is None
    with pytest.raises(InputError, match="NAME:TYPE"):
        column_types(["price"])


def test_sparkline() -> None:
    assert sparkline([0.0, 1.0]) == "▁█"
    assert len(sparkline(list(range(1000)), width=20)) == 20
    assert sparkline([]) == ""


@pytest.mark.parametrize("kind", ["points", "images", "table"])
def test_demo(kind: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """All of it but for the size: 3 steps, and at most 4,000 rows."""
    read = sources.read
    monkeypatch.setattr(sources, "read", lambda source: read(source).take(torch.arange(min(4000, len(read(source))))))
    out = tmp_path / "demo"
    assert main(["demo", "--kind", kind, "--out", str(out), "--steps", "3"]) == 0
    assert str(out / "report.html") in capsys.readouterr().out.replace("\n", "")
    names = {path.name.partition(".")[0] for path in out.iterdir()}
    assert {"run", "train", "holdout", "samples", "report"} <= names
    ending = SUFFIXES[kind]
    assert len(sources.read(out / f"holdout{ending}")) == len(sources.read(out / f"samples{ending}"))
    assert main(["demo", "--kind", kind, "--out", str(out), "--steps", "3"]) == 2  # exists, and no --force


def test_interrupted_fit_saves_and_resumes(tmp_path: Path) -> None:
    """Ctrl-C: exit 130, a whole run on disk, and --resume ends with the weights of the uninterrupted run."""
    base = [sys.executable, "-m", "pushforward", "fit", "toy:ring:1000", "--steps", "300", "--batch-size", "32"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    straight, broken = tmp_path / "straight", tmp_path / "broken"
    assert main([*base[3:], "--out", str(straight)]) == 0
    fit = subprocess.Popen(
        [*base, "--out", str(broken)], env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    history = broken / "history.jsonl"
    deadline = time.monotonic() + 120
    while not (history.exists() and history.stat().st_size > 0) and time.monotonic() < deadline:
        time.sleep(0.01)
    fit.send_signal(signal.SIGINT)
    out, error = fit.communicate(timeout=60)
    assert fit.returncode == 130, (out, error)
    assert b"--resume" in out
    assert b"Traceback" not in error
    assert main([*base[3:], "--out", str(broken), "--resume"]) == 0
    assert (broken / "weights.safetensors").read_bytes() == (straight / "weights.safetensors").read_bytes()


def test_interrupted_before_the_first_step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    from pushforward.models import setup

    def interrupt(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(setup, "encode", interrupt)
    assert main(["fit", "toy:ring:100", "--out", str(tmp_path / "run")]) == 130
    assert "nothing to save" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("model", ["score-difference", "drifting"])
def test_models_without_a_critic(model: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run, fake = tmp_path / "run", tmp_path / "fake.npy"
    assert main(["fit", "toy:moons:600", "--out", str(run), "--model", model, "--steps", "3"]) == 0
    assert main(["sample", str(run), "-n", "50", "--out", str(fake)]) == 0
    assert np.load(fake).shape == (50, 2)
    assert main(["show", str(run)]) == 0
    capsys.readouterr()
    argv = ["fit", "toy:moons:600", "--out", str(tmp_path / "other"), "--model", model, "--regularise", "gp"]
    assert main(argv) == 2
    assert f"--regularise is not for --model {model}" in " ".join(capsys.readouterr().err.split())


def test_regularisers_are_listed_and_used(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["regularisers", "--json"]) == 0
    assert {"r1", "gp", "pack", "spectral-norm"} <= set(json.loads(capsys.readouterr().out))
    argv = ["fit", "toy:ring:400", "--out", str(tmp_path / "run"), "--steps", "3", "--regularise", "gp:1+pack:2"]
    assert main(argv) == 0
    capsys.readouterr()
    assert main([*argv[:3], str(tmp_path / "b"), "--regularise", "gp:1+pakc:2"]) == 2
    assert "unknown regulariser 'pakc'" in " ".join(capsys.readouterr().err.split())


def test_models_are_listed_with_what_they_can_do(capsys: pytest.CaptureFixture[str]) -> None:
    from pushforward.models import NAMES

    assert main(["models", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert list(rows) == list(NAMES)
    assert rows["bigan"]["can"] == "sample, encode, decode, reconstruct, features"
    assert rows["imputer"]["can"] == "sample, fill"


def test_refinements_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["refinements", "--json"]) == 0
    assert "mh" in json.loads(capsys.readouterr().out)
