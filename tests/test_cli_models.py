"""Commands beyond fit, sample and compare: filling, refining, encoding, asking of any model."""

import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch

from pushforward.cli import main
from pushforward.data import sources
from pushforward.errors import InputError
from pushforward.models import WHAT, load
from pushforward.models.classical import Trees
from pushforward.models.gan import GAN


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    rng = np.random.default_rng(0)
    x = rng.normal(size=600)
    kind = np.where(x > 0, "up", "down")
    path = tmp_path_factory.mktemp("data") / "table.csv"
    pl.DataFrame({"x": x, "y": x + 0.1 * rng.normal(size=600), "kind": kind}).write_csv(path)
    return path


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "ring"
    GAN(steps=30, width=16, depth=1, batch_size=64, device="cpu").fit("toy:ring:600", out=folder, progress=False)
    return folder


def test_holes_are_filled_by_command(table: Path, tmp_path: Path) -> None:
    filler, holes, out = tmp_path / "filler", tmp_path / "holes.csv", tmp_path / "filled.csv"
    assert main(["fit", str(table), "--given", "any", "--steps", "20", "--out", str(filler)]) == 0
    pl.DataFrame({"x": [0.5, None, -1.0], "y": [None, 1.0, -1.0], "kind": ["up", None, None]}).write_csv(holes)
    assert main(["sample", str(filler), "--given", str(holes), "--out", str(out), "--seed", "1"]) == 0
    filled = pl.read_csv(out)
    assert filled.null_count().sum_horizontal().item() == 0
    assert filled["x"][0] == 0.5
    assert filled["kind"][0] == "up"
    assert set(filled["kind"]) <= {"up", "down"}
    thrice = ["sample", str(filler), "-n", "9", "--given", str(holes), "--out", str(tmp_path / "thrice.csv")]
    assert main(thrice) == 0
    assert len(pl.read_csv(tmp_path / "thrice.csv")) == 9


def test_any_belongs_to_the_imputer(table: Path) -> None:
    with pytest.raises(InputError, match="Imputer"):
        GAN().fit(table, given="any")


def test_samples_are_refined_by_command(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "better.npy"
    assert main(["sample", str(run), "-n", "50", "--refine", "resample", "--out", str(out), "--seed", "2"]) == 0
    assert "effective sample size" in " ".join(capsys.readouterr().out.split())
    made_by = sources.read(out).made_by
    assert made_by is not None
    assert made_by["refine"] == "resample"
    assert made_by["refinement"]["calibration"]["of"] == "training rows"
    assert sources.read(out).values.shape == (50, 2)


def said(capsys: pytest.CaptureFixture[str]) -> str:
    """The one line on stderr."""
    return " ".join(capsys.readouterr().err.split())


def test_what_cannot_be_refined(run: Path, table: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    trees = tmp_path / "trees"
    Trees().fit(table, out=trees, progress=False)
    for words, expected in (
        ([str(trees), "-n", "5", "--refine", "mh"], "no critic"),
        ([str(run), "-n", "5", "--refine", "best"], "unknown refinement 'best'; known: drs"),
        ([str(run), "-n", "5", "--real", "toy:ring"], "--refine NAME"),
        ([str(run)], "-n N"),
        ([str(run), "-n", "5", "--refine", "importance"], "resample"),
    ):
        assert main(["sample", *words, "--out", str(tmp_path / "no.npy")]) == 2
        assert expected in said(capsys)
    assert not (tmp_path / "no.npy").exists()


def test_any_model_can_be_asked(table: Path, tmp_path: Path) -> None:
    """Closed-form models meet conditions by rejection."""
    trees, out = tmp_path / "trees", tmp_path / "some.csv"
    assert main(["fit", str(table), "--model", "trees", "--out", str(trees)]) == 0
    asked = ["--given", "kind=up", "--given", "y>0.5"]
    assert main(["sample", str(trees), "-n", "40", *asked, "--out", str(out)]) == 0
    drawn = pl.read_csv(out)
    assert len(drawn) == 40
    assert set(drawn["kind"]) == {"up"}
    assert float(drawn["y"].min()) > 0.5
    report = load(trees).sample_dataset(40, given={"kind": "up"}, seed=0).made_by["given"]
    assert report["kept"] < report["tried"]


def test_latents_are_written_by_command(table: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    principal, out = tmp_path / "ppca", tmp_path / "z.npy"
    assert main(["fit", "toy:moons:300", "--model", "ppca", "--out", str(principal)]) == 0
    assert main(["encode", str(principal), "--in", "toy:moons:300", "--out", str(out)]) == 0
    assert np.load(out).shape == (300, 1)
    trees = tmp_path / "trees"
    Trees().fit(table, out=trees, progress=False)
    assert main(["encode", str(trees), "--in", str(table), "--out", str(tmp_path / "no.npy")]) == 2
    assert "has no encoder; models with one: bigan, autoencoder" in said(capsys)


def test_every_model_of_the_command_line_is_described() -> None:
    from pushforward.models import NAMES

    assert set(WHAT) == set(NAMES)


def test_a_diffusion_is_guided_and_distilled_by_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    teacher, guided, quick = tmp_path / "teacher", tmp_path / "guided", tmp_path / "quick"
    small = ["--set", "width=16", "--set", "depth=1", "--set", "sampling_steps=4", "--steps", "20"]
    assert main(["fit", "toy:ring:600", "--model", "diffusion", *small, "--holdout", "0.2", "--out", str(teacher)]) == 0
    assert main(["guide", str(teacher), "--steps", "10", "--out", str(guided)]) == 0
    assert main(["distill", str(teacher), "--steps", "4", "--out", str(quick)]) == 0
    for run in (guided, quick):
        assert main(["sample", str(run), "-n", "20", "--seed", "1", "--out", str(tmp_path / f"{run.name}.npy")]) == 0
        assert np.isfinite(np.load(tmp_path / f"{run.name}.npy")).all()
    assert main(["guide", str(quick), "--out", str(tmp_path / "no")]) == 2
    assert "undoes no noise" in " ".join(capsys.readouterr().err.split())
    assert main(["distill", str(teacher), "--force", "--out", str(teacher)]) == 2
    assert (teacher / "model.json").exists()


def test_a_model_that_draws_nothing_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = tmp_path / "features"
    words = ["fit", "toy:ring:600", "--model", "simclr", "--set", "width=16", "--steps", "10", "--out", str(run)]
    assert main(words) == 0
    assert "pushforward encode" in " ".join(capsys.readouterr().out.split())
    assert main(["encode", str(run), "--in", "toy:ring:100", "--out", str(tmp_path / "h.npy")]) == 0
    assert len(np.load(tmp_path / "h.npy")) == 100
    assert main(["sample", str(run), "-n", "5", "--out", str(tmp_path / "s.npy")]) == 2
    assert "a SimCLR draws nothing" in " ".join(capsys.readouterr().err.split())


def test_guidance_belongs_to_diffusions(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    labels, points, run = tmp_path / "labels.npy", tmp_path / "points.npy", tmp_path / "run"
    which = np.arange(400) % 2
    np.save(labels, which)
    np.save(points, np.random.default_rng(0).normal(size=(400, 2)) + 4 * which[:, None])
    small = ["--set", "width=16", "--set", "depth=1", "--set", "sampling_steps=4", "--steps", "20"]
    words = ["fit", str(points), "--model", "flow-matching", "--given", str(labels), *small, "--out", str(run)]
    assert main(words) == 0
    draw = ["sample", str(run), "-n", "6", "--given", "label=1", "--guidance", "2", "--out", str(tmp_path / "s.npy")]
    assert main(draw) == 0
    assert main(["sample", str(run), "-n", "6", "--refine", "mh", "--out", str(tmp_path / "t.npy")]) == 2
    assert "no critic" in " ".join(capsys.readouterr().err.split())


def test_images_without_a_gpu_are_trained_for_minutes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The default steps for images that take convolutions would be hours; whoever says how long is not overruled."""
    from pushforward.cli import work

    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(work, "SOME_MINUTES", 1.0)
    np.save(tmp_path / "images.npy", np.random.default_rng(0).integers(0, 256, (60, 20, 20), dtype=np.uint8))
    words = ["fit", str(tmp_path / "images.npy"), "--kind", "images"]
    assert main([*words, "--out", str(tmp_path / "run")]) == 0
    assert "No GPU here: training for about 0 minutes" in capsys.readouterr().err
    assert json.loads((tmp_path / "run" / "model.json").read_text())["parameters"]["time_budget"] == 1.0
    assert main([*words, "--out", str(tmp_path / "short"), "--steps", "2"]) == 0
    assert "No GPU" not in capsys.readouterr().err
