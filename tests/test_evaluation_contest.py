"""Leaderboards of models: who is ahead, the ceiling, models that fail, likelihoods, and what is written."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch

from pushforward.data.sources import read
from pushforward.errors import InputError
from pushforward.evaluation.contest import SCHEMA, Contest, contest
from pushforward.evaluation.figures import LeftOut
from pushforward.evaluation.likelihood.figures import of_model
from pushforward.models import KDE, Bootstrap, Copula, Gaussian, Independent, load


def rows(n: int, seed: int = 0) -> pl.DataFrame:
    rng = np.random.default_rng(seed)
    x = rng.normal(size=n)
    kind = np.where(x + 0.5 * rng.normal(size=n) > 0, "high", "low")
    return pl.DataFrame({"x": x, "y": x + 0.3 * rng.normal(size=n), "kind": kind, "alone": rng.exponential(size=n)})


class Breaks(Independent):
    def _learn(self, rows: torch.Tensor) -> dict[str, torch.Tensor]:
        raise ArithmeticError("out of numbers")


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> tuple[Contest, Path]:
    out = tmp_path_factory.mktemp("contest")
    models = {"margins": Independent(), "copula": Copula(), "kernel": KDE(), "broken": Breaks(), "again": Bootstrap()}
    return contest(rows(800), models=models, budget=5.0, metrics=["tv3"], out=out), out


def test_the_order_and_the_ceiling(found: tuple[Contest, Path]) -> None:
    """Margins without their relation are told with an AUC of .8 or more, and the copula's is .2 lower at least, with
    a noise of .03 each."""
    board = found[0]
    assert (board.train, board.judged, board.kind) == (640, 160, "table")
    places = {one.name: one.place for one in board.board.standings}
    assert set(places) == {"margins", "copula", "again"}
    assert places["margins"] == 3
    assert board.board.comparisons["margins"].verdict.detected
    assert abs(board.ceiling("auc") - 0.5) < 0.15  # two real sets of 160: the standard error is .03
    assert "Between two real sets auc is 0." in board.sentence
    assert "Copies of training rows were found in again" in board.sentence
    quality = board.figure("copula", "quality")
    assert quality is not None
    assert quality.baseline == board.ceiling("quality")
    margins = board.figure("margins", "quality")
    assert margins is not None
    assert margins.value < quality.value <= 1.0  # the score sees pairs
    assert board.figure("copula", "tv3") is not None
    assert board.shown == ("quality", "tstr")
    assert board.figure("copula", "log_likelihood") is None


def test_what_fails_says_why(found: tuple[Contest, Path]) -> None:
    board, out = found
    why = {entry.name: entry.why for entry in board.failed}
    assert why["broken"] == "it failed with ArithmeticError: out of numbers"
    assert "is table, which KDE does not model; it takes points and images" in why["kernel"]
    assert board.entry("copula").family == "Copula"
    assert board.entry("copula").numbers > 9
    assert sorted(path.name for path in out.iterdir()) == ["again", "copula", "margins"]
    assert isinstance(load(out / "copula"), Copula)


def test_what_is_written(found: tuple[Contest, Path], tmp_path: Path) -> None:
    board, _ = found
    told = json.loads(board.to_json(tmp_path / "b.json"))
    assert told == json.loads((tmp_path / "b.json").read_text())
    assert told["schema"] == SCHEMA
    assert set(told["ceiling"]) == {"auc", "quality", "tstr"}
    assert [entry["name"] for entry in told["entries"]] == ["margins", "copula", "kernel", "broken", "again"]
    text = board.to_markdown(tmp_path / "b.md")
    assert "| | real against real | 0." in text
    assert "- broken has no figures: it failed with ArithmeticError: out of numbers" in text
    page = board.to_html(tmp_path / "b.html")
    assert page == (tmp_path / "b.html").read_text()
    for part in ("real against real", "pushforward leaderboard", "out of numbers", "640 rows to train on"):
        assert part in page
    assert "<script>" in page
    assert "http" not in page.replace("http-equiv", "").replace("http://www.w3.org/2000/svg", "")


def test_names_of_models_are_escaped() -> None:
    board = contest(rows(300), models={"<b>|bold": Copula()}, metrics=["repeats"])
    assert "<b>|bold" not in board.to_html()
    assert "&lt;b&gt;|bold" in board.to_html()
    assert "&lt;b>\\|bold" in board.to_markdown()
    assert board.sentence.startswith("<b>|bold is the only model with figures.")


# ---- likelihoods


def test_the_likelihood_of_rows_kept_out_is_scipys() -> None:
    """A Gaussian's mean log density of rows it never saw, and by how much its own rows fare better."""
    from scipy import stats

    rng = np.random.default_rng(0)
    train, held = rng.normal(size=(60, 3)), rng.normal(size=(500, 3))
    model = Gaussian().fit(train, progress=False)
    found = of_model(model, train=read(train), holdout=read(held))
    law = stats.multivariate_normal(train.mean(0), np.cov(train.T, bias=True))
    each = law.logpdf(held)
    assert (found.likelihood.kind, found.likelihood.units) == ("exact", "nats of log-likelihood")
    assert found.likelihood.value == pytest.approx(each.mean(), abs=1e-5)
    assert found.likelihood.estimate.stderr == pytest.approx(each.std(ddof=1) / math.sqrt(500), rel=1e-4)
    assert found.gap.value == pytest.approx(law.logpdf(train).mean() - each.mean(), abs=1e-5)
    metrics = {metric.name: metric for metric in found.metrics()}
    assert metrics["log_likelihood"].direction == "higher"
    assert "exact" in metrics["log_likelihood"].reads
    assert metrics["likelihood_gap"].low < metrics["likelihood_gap"].value


def test_a_memoriser_has_a_gap() -> None:
    """A narrow kernel on 300 rows: its own rows are far likelier than others, by many nats."""
    rng = np.random.default_rng(0)
    train, held = rng.normal(size=(300, 2)), rng.normal(size=(300, 2))
    found = of_model(KDE(0.02).fit(train, progress=False), train=read(train), holdout=read(held))
    assert found.gap.low > 1.0


def test_bits_per_dimension_of_images() -> None:
    """Independent uniform bytes have 8 bits; the fitted Gaussian's are above that, by its wrong shape (.25 bits)."""
    images = np.random.default_rng(0).integers(0, 256, size=(6000, 2, 2), dtype=np.uint8)
    model = Gaussian().fit(images[:4000], progress=False)
    found = of_model(model, train=read(images[:4000]), holdout=read(images[4000:]))
    assert found.likelihood.units == "bits per dimension"
    wrong = 0.5 * math.log2(2 * math.pi * math.e / 12)  # of a Gaussian for a uniform law of the same variance
    assert found.likelihood.value == pytest.approx(8 + wrong, abs=6 * found.likelihood.estimate.stderr + 0.005)
    assert found.metrics()[0].name == "bits_per_dim"
    assert found.likelihood.kind == "lower_bound"  # whole shades, spread by noise


class Narrow(Gaussian):
    """Gives no mass to positive first numbers."""

    def log_prob(self, data: Any) -> torch.Tensor:
        found = super().log_prob(data)
        return torch.where(data.values[:, 0] > 0, -torch.inf, found)


def test_what_a_model_rules_out_is_said() -> None:
    x = np.random.default_rng(0).normal(size=(400, 2))
    model = Narrow().fit(x, progress=False)
    with pytest.raises(
        LeftOut, match="impossible under the model, so that the mean is minus infinity; over the others"
    ):
        of_model(model, train=read(x), holdout=read(x))
    with pytest.raises(LeftOut, match="has no likelihood"):
        of_model(Independent().fit(x, progress=False), train=read(x), holdout=read(x))
    board = contest(x, models={"narrow": Narrow(), "gaussian": Gaussian()}, metrics=["repeats"], by="auc")
    assert "impossible under the model" in board.entry("narrow").likelihood
    assert board.entry("gaussian").likelihood == "exact; nats of log-likelihood"
    assert board.figure("narrow", "log_likelihood") is None
    likelihood = board.figure("gaussian", "log_likelihood")
    assert likelihood is not None
    assert likelihood.value == pytest.approx(-1 - math.log(2 * math.pi), abs=0.5)
    assert any(one.name == "log_likelihood" for one in board.board.comparisons["narrow"].left_out)
    assert json.loads(board.to_json())["board"]["comparisons"]["gaussian"]["metrics"]


# ---- refusals


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        ({"budget": 0.0}, "budget must be a positive number"),
        ({"share": 0.0}, "share is of the rows kept out"),
        ({"most_judged": 5}, "too few to tell"),
        ({"models": ["nothing"]}, "unknown model 'nothing'"),
        ({"metrics": ["nothing"]}, "unknown metric 'nothing'"),
        (
            {"models": ["cyclegan", "kde"]},
            "no model could be judged .kde: data: is table, .*; cyclegan: CycleGAN translates",
        ),
        ({"holdout": pl.DataFrame({"other": [1.0] * 30})}, "other"),
    ],
)
def test_what_cannot_be_done(wrong: dict[str, Any], reason: str) -> None:
    with pytest.raises(InputError, match=reason):
        contest(rows(150), **{"models": ["copula"], **wrong})


def test_few_rows() -> None:
    with pytest.raises(InputError, match="32 rows to train on and 8 to judge by are too few"):
        contest(rows(40), models=["copula"])
