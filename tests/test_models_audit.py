"""`until="indistinguishable"` through a model: rows kept apart, the best average kept, the closing figure, resuming."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from pushforward.cli import main
from pushforward.errors import InputError
from pushforward.models import GAN, load

SMALL = {"steps": 3, "width": 8, "depth": 1, "batch_size": 32, "device": "cpu", "until": "indistinguishable"}


@pytest.fixture(scope="module")
def rows() -> np.ndarray:
    x = torch.randn(1500, 2, generator=torch.Generator().manual_seed(0))
    return (x * torch.tensor([1.0, 3.0])).numpy()


def whole_but_held(rows: np.ndarray) -> np.ndarray:
    """The rows that a fit of `rows` trains on when it keeps a fifth out itself."""
    from pushforward.data.sources import read
    from pushforward.models.setup import AUDITED

    return read(rows).split(AUDITED, seed=0)[0].values.numpy()


@pytest.fixture(scope="module")
def fitted(rows: np.ndarray, tmp_path_factory: pytest.TempPathFactory) -> tuple[GAN, Path]:
    out = tmp_path_factory.mktemp("audit") / "run"
    return GAN(**SMALL, checkpoint_every=1).fit(rows, out=out, progress=False), out


def test_a_bad_generator_is_not_called_indistinguishable(fitted: tuple[GAN, Path]) -> None:
    """Three steps teach nothing: the true AUC is far above .55, and a wrong verdict has a chance of at most .05 by
    the bounds, of about 0 here."""
    model, _ = fitted
    audits = [record for record in model.history_ if "auc" in record]
    assert [record["step"] for record in audits] == [1, 2, 3]
    assert all(0.6 < record["auc"] <= record["auc_upper"] for record in audits)
    assert model.stopped_ == ""
    assert model.data_["rows"] == 1200  # a fifth was kept out
    assert model.closing_ is not None
    assert model.closing_["n_real"] == 150  # half of that fifth
    assert model.closing_["auc"] > 0.6
    assert "nothing had looked at before" in model.closing_["sentence"]


def test_it_is_saved_and_shown(fitted: tuple[GAN, Path], capsys: pytest.CaptureFixture[str]) -> None:
    model, out = fitted
    again = load(out)
    assert again.closing_ == json.loads(json.dumps(model.closing_))
    assert np.array_equal(again.sample(50, seed=1), model.sample(50, seed=1))
    assert main(["show", str(out)]) == 0
    assert "nothing had looked at" in " ".join(capsys.readouterr().out.split())


def test_resumed_is_uninterrupted(fitted: tuple[GAN, Path], rows: np.ndarray, tmp_path: Path) -> None:
    whole, _ = fitted

    def stop(event: object) -> None:
        if getattr(event, "kind", "") == "checkpoint" and getattr(event, "step", 0) == 1:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        GAN(**SMALL, checkpoint_every=1).fit(rows, out=tmp_path / "run", progress=stop)
    with pytest.raises(InputError, match="different data"):  # the auditor must go on with the rows it began with
        GAN(**SMALL, checkpoint_every=1).fit(
            whole_but_held(rows), holdout=rows[:300], out=tmp_path / "run", resume=True, progress=False
        )
    model = GAN(**SMALL, checkpoint_every=1).fit(rows, out=tmp_path / "run", resume=True, progress=False)
    assert model.id_ == whole.id_
    assert model.closing_ == whole.closing_


def test_bad_input(rows: np.ndarray, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(InputError, match="hold out at least 240"):
        GAN(**SMALL).fit(rows[:300], progress=False)
    with pytest.raises(InputError, match="until must be 'indistinguishable'"):
        GAN(until="bored").fit(rows, progress=False)
    with pytest.raises(InputError, match=r"tolerance is an AUC between 0\.5 and 1"):
        GAN(until="indistinguishable", tolerance=0.4).fit(rows, progress=False)
    argv = ["fit", "toy:ring:900", "--out", str(tmp_path / "run"), "--until", "bored", "--steps", "2"]
    assert main(argv) == 2
    assert "until must be 'indistinguishable'" in capsys.readouterr().err
