"""Settings of any model by command, what `models NAME` tells, and how likely a model holds data to be."""

import json
import math
from pathlib import Path

import numpy as np
import pytest

from pushforward.cli import main
from pushforward.models import load
from pushforward.models.classical import Gaussian


@pytest.fixture(scope="module")
def line(tmp_path_factory: pytest.TempPathFactory) -> Path:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(400, 2)) * [1.0, 3.0]
    path = tmp_path_factory.mktemp("data") / "line.npy"
    np.save(path, x)
    return path


def test_any_setting_reaches_the_model(line: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = tmp_path / "run"
    words = ["fit", str(line), "--model", "vae", "--set", "latent_size=1", "--set", "beta=0.5", "--set", "width=8"]
    assert main([*words, "--set", "decoder=gaussian", "--steps", "20", "--out", str(run)]) == 0
    model = load(run)
    assert (model.latent_size, model.beta, model.width, model.decoder) == (1, 0.5, 8, "gaussian")
    capsys.readouterr()
    assert main(["fit", str(line), "--model", "vae", "--set", "latent=1", "--out", str(tmp_path / "no")]) == 2
    told = " ".join(capsys.readouterr().err.split())
    assert "has no setting 'latent'; it has latent_size" in told
    assert main(["fit", str(line), "--model", "vae", "--set", "latent_size", "--out", str(tmp_path / "no")]) == 2
    assert "NAME=VALUE" in capsys.readouterr().err
    assert not (tmp_path / "no").exists()


def test_the_mean_likelihood_is_told(line: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Of a Gaussian at maximum likelihood: -1/2 ln det(2 pi e S) exactly."""
    run, out = tmp_path / "gaussian", tmp_path / "rows.npy"
    Gaussian().fit(str(line), out=run, progress=False)
    assert main(["log-prob", str(run), "--in", str(line), "--json", "--out", str(out)]) == 0
    found = json.loads(capsys.readouterr().out)
    s = np.cov(np.load(line).T, bias=True)
    exact = -0.5 * np.linalg.slogdet(2 * math.pi * math.e * s)[1]
    assert found["mean"] == pytest.approx(exact, abs=1e-6)
    assert found["low"] < found["mean"] < found["high"]
    assert found["likelihood"] == "exact"
    assert np.load(out).mean() == pytest.approx(exact, abs=1e-5)
    assert main(["log-prob", str(run), "--in", str(line), "--out", str(out)]) == 2  # already there
    capsys.readouterr()
    assert main(["log-prob", str(run), "--in", str(line)]) == 0
    assert "nats a row" in capsys.readouterr().out


def test_pictures_have_bits(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = tmp_path / "digits"
    words = ["fit", "sample:digits", "--model", "made", "--set", "width=16", "--steps", "5", "--out", str(run)]
    assert main(words) == 0
    capsys.readouterr()
    assert main(["log-prob", str(run), "--in", "sample:digits", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["bits_per_dim"] == pytest.approx(-found["mean"] / (64 * math.log(2)))
    assert 1 < found["bits_per_dim"] < 2 * math.log2(17)


def test_models_without_a_likelihood_are_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = tmp_path / "copula"
    assert main(["fit", "sample:weather", "--model", "copula", "--out", str(run)]) == 0
    capsys.readouterr()
    assert main(["log-prob", str(run), "--in", "sample:weather"]) == 2
    told = " ".join(capsys.readouterr().err.split())
    assert "a Copula has no likelihood; models with one:" in told
    assert "gaussian" in told
