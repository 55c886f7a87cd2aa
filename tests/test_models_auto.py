"""`Auto`: what it chooses and why, that it refuses copies, its folder, and its refusals."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch
from sklearn.base import clone

from pushforward.conformance.estimators import check_folder, check_parameters, check_samples, check_unfitted
from pushforward.data.matrix import Matrix
from pushforward.data.sources import read
from pushforward.errors import InputError
from pushforward.models import Auto, Bootstrap, Copula, Gaussian, Independent, Trees, describe_run, load
from pushforward.models.choosing.auto import CHOICE
from pushforward.models.choosing.candidates import copied, estimators, fit_within, in_order, names_for, numbers
from pushforward.models.choosing.copying import look
from pushforward.models.choosing.judging import Judged, choose, sentence

QUICK = {"steps": 2, "device": "cpu"}


def rows(n: int, seed: int = 0) -> pl.DataFrame:
    """Two numbers that go together, a category that follows one of them, and a number by itself; three decimals."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=n).round(3)
    kind = np.where(x + 0.5 * rng.normal(size=n) > 0, "high", "low")
    return pl.DataFrame(
        {"x": x, "y": (x + 0.3 * rng.normal(size=n)).round(3), "kind": kind, "alone": rng.exponential(size=n).round(3)}
    )


@pytest.fixture(scope="module")
def chosen(tmp_path_factory: pytest.TempPathFactory) -> tuple[Auto, Path]:
    out = tmp_path_factory.mktemp("auto") / "run"
    return Auto(["bootstrap", "copula", "independent"], **QUICK).fit(rows(3000), out=out, progress=False), out


# ---- the choice


def test_the_memoriser_is_refused_and_the_copula_beats_the_margins(chosen: tuple[Auto, Path]) -> None:
    """The copula is the truth of these rows but for the category. Bootstrap has no AUC to speak of, and is refused: of
    its samples 99 % and more equal one of 2,400 training rows (the rest are a rounding off)."""
    model, _ = chosen
    assert model.chosen_ == "copula"
    assert isinstance(model.model_, Copula)
    found = {one["model"]: one for one in model.choice_["candidates"]}
    assert "of its samples equal a training row, 0.0% of rows that it never saw" in found["bootstrap"]["refused"]
    assert found["bootstrap"]["equal_pvalue"] < 1e-100
    assert found["copula"]["refused"] == found["independent"]["refused"] == ""
    assert found["copula"]["auc"] + 0.1 < found["independent"]["auc"]
    told = model.choice_["sentence"]
    assert told.startswith("Of 3 models copula was chosen: an AUC of ")
    assert "bootstrap was refused: it copies" in told
    assert [one["step"] for one in model.history_] == [1, 2, 3]
    assert all(one["rows"] == 2400 and one["seconds"] > 0 for one in model.history_)
    closing = model.closing_
    assert closing is not None
    assert closing["n_real"] == 300  # half of a fifth
    assert (
        "On 300 rows that nothing had looked at before, samples of copula are told from data by" in closing["sentence"]
    )


def judged(
    model: str, auc: float, stderr: float = 0.01, numbers: int = 10, lost: float = 0.0, refused: str = ""
) -> Judged:
    return Judged(
        model, 1.0, 100, refused=refused, auc=auc, auc_low=auc - 2 * stderr, auc_high=auc + 2 * stderr,
        auc_stderr=stderr, lost=lost, judge="trees", numbers=numbers,
    )  # fmt: skip


def test_the_simplest_of_those_that_cannot_be_told_apart() -> None:
    """sqrt(.01^2 + .01^2) = .0141: what is .01 worse is as good, and what is .02 worse is not."""
    best = judged("large", 0.52, numbers=1000)
    assert choose([best, judged("small", 0.53)]) == 1
    assert choose([best, judged("small", 0.54)]) == 0
    assert choose([best, judged("small", 0.53, refused="it copies")]) == 0
    assert choose([best, judged("small", 0.53, lost=0.05)]) == 0  # it lost a twentieth of the data
    assert choose([judged("a", 0.5, refused="no"), Judged("b", 0.0, 0, refused="failed")]) is None
    told = sentence([best, judged("small", 0.53), judged("far", 0.9)], 1)
    assert told == (
        "Of 3 models small was chosen: an AUC of 0.530 (0.510 to 0.550) against rows that none was shown, within a "
        "standard error of that of large (0.520 (0.500 to 0.540)), and simpler; then far 0.900."
    )


def test_none_that_could_be_taken() -> None:
    with pytest.raises(InputError, match=r"none of 2 models can be taken \(bootstrap: it copies.*cyclegan: CycleGAN"):
        Auto(["bootstrap", "cyclegan"], **QUICK).fit(rows(1500), progress=False)


# ---- copying


def looked(model: Any, n: int = 2000) -> Any:
    train, held = read(rows(n)), read(rows(n, 1))
    matrix = Matrix.fit(train)
    fake = matrix(model.fit(train, progress=False).sample_dataset(3000, seed=0))
    return look(matrix, matrix(train), matrix(held), fake, seed=0)


def test_honest_samples_are_not_taken_for_copies() -> None:
    """Samples of the law itself: the p-value is uniform, and a refusal has a chance of .001 at most (fixed seed)."""
    train, held, fake = (read(rows(n, seed)) for n, seed in ((2000, 0), (1000, 1), (3000, 2)))
    matrix = Matrix.fit(train)
    found = look(matrix, matrix(train), matrix(held), matrix(fake), seed=0)
    assert found.expected == pytest.approx(2 / 3)
    assert abs(found.closer - found.expected) < 5 * 0.02  # the standard error is about .02
    assert not found.refused
    assert found.equal == found.equal_held == 0.0


def test_copies_are_found_however_they_are_made() -> None:
    """All of the samples, or a third, and leaves of one row; half of all real rows were trained on."""
    whole = looked(Bootstrap())
    assert whole.equal > 0.99  # the rest is a rounding off
    assert whole.followed == pytest.approx(1.0)
    assert looked(Trees(leaf=1)).refused
    assert not looked(Copula()).refused
    train, held, fresh = read(rows(2000)), read(rows(2000, 1)), read(rows(2000, 2))
    matrix = Matrix.fit(train)
    mixed = np.concatenate([matrix(train)[:1000], matrix(fresh)])
    third = look(matrix, matrix(train), matrix(held), mixed, seed=0)
    assert third.equal == pytest.approx(1 / 3)
    assert third.followed == pytest.approx(1 / 3, abs=0.1)  # its standard error is about .03
    assert third.refused
    blurred = mixed.copy()
    blurred[:, [0, 1, 3]] += 1e-6  # no two rows are equal any more
    near = look(matrix, matrix(train), matrix(held), blurred, seed=0)
    assert near.equal == 0.0
    assert "nearest real row" in near.refused


def test_rows_that_everybody_has_are_no_copies() -> None:
    """Of nine possible rows every sample equals a training row, and so do the rows kept out."""
    rng = np.random.default_rng(0)
    frames = [
        read(pl.DataFrame({"a": rng.integers(0, 3, n), "b": rng.choice(list("xyz"), n)})) for n in (900, 450, 900)
    ]
    matrix = Matrix.fit(frames[0])
    train, held, fake = (matrix(one) for one in frames)
    found = look(matrix, train, held, fake, seed=0)
    assert found.equal == found.equal_held == 1.0
    assert found.closer == pytest.approx(2 / 3, abs=0.02)
    assert not found.refused


def test_holes_and_many_levels() -> None:
    rng = np.random.default_rng(0)
    frame = pl.DataFrame(
        {
            "word": rng.integers(0, 400, 1500).astype(str),
            "hole": np.where(rng.random(1500) < 0.3, np.nan, rng.random(1500)),
        }
    ).with_columns(pl.col("hole").fill_nan(None))
    parts = [read(frame[i : i + 500]) for i in (0, 500, 1000)]
    matrix = Matrix.fit(parts[0])
    train, held, fresh = (matrix(part) for part in parts)
    assert not look(matrix, train, held, fresh, seed=0).refused
    assert look(matrix, train, held, train, seed=0).refused


# ---- candidates


def test_candidates_are_made_by_name() -> None:
    made = estimators(["trees-40", "gan", "copula"], "table", steps=3, device="cpu", seed=7)
    assert made["trees-40"].get_params() == {"leaf": 40, "seed": 7}
    assert (made["gan"].steps, made["gan"].device, made["gan"].seed) == (3, "cpu", 7)
    assert in_order(made) == ["trees-40", "copula", "gan"]
    assert {"independent", "copula", "trees", "trees-40", "gan"} <= set(names_for("table"))
    own = Trees(leaf=9)
    assert estimators({"mine": own}, "table", steps=3, device="cpu", seed=7)["mine"].leaf == 9
    for wrong, reason in (
        (["magic"], "unknown model 'magic'; known: .*, copula, "),
        (["auto"], "unknown model"),
        ([], "none were"),
    ):
        with pytest.raises(InputError, match=reason):
            estimators(wrong, "table", steps=None, device="cpu", seed=0)
    with pytest.raises(InputError, match="given twice"):
        estimators(["trees", "trees"], "table", steps=None, device="cpu", seed=0)


class Slow(Independent):
    """Takes a hundredth of a millisecond for each row; or breaks."""

    def _learn(self, rows: torch.Tensor) -> dict[str, torch.Tensor]:
        import time

        if self.seed == 13:
            raise RuntimeError("thirteen\nand more")
        time.sleep(1e-5 * len(rows))
        return super()._learn(rows)


def test_a_slow_model_is_given_as_many_rows_as_there_is_time_for() -> None:
    """40,000 rows take .4 s and more; the budget is half of that, and the pilot of 4,000 takes .04."""
    data = read(pl.DataFrame({"x": np.arange(40_000.0)}))
    found = fit_within(Slow(), data, 0.2)
    assert 4_000 <= found.rows < 40_000
    assert fit_within(Slow(), data, 60.0).rows == 40_000
    assert fit_within(Slow(seed=13), data.take(torch.arange(50)), 1.0).why == "it failed with RuntimeError: thirteen"


def test_numbers_count_what_was_learned() -> None:
    x = np.random.default_rng(0).normal(size=(50, 3))
    assert numbers(Gaussian().fit(x, progress=False)) == 3 + 3 + 9
    assert numbers(copied(Gaussian()).fit(x, progress=False)) == 15


# ---- being the chosen model


def test_it_is_the_chosen_model(chosen: tuple[Auto, Path]) -> None:
    model, _ = chosen
    assert model.codec_ is model.model_.codec_
    assert not hasattr(model, "log_prob")
    x = np.random.default_rng(0).normal(size=(1500, 2)) @ [[1.0, 0.9], [0.0, 0.4]]
    other = Auto(["gaussian"], **QUICK).fit(x, progress=False)
    assert other.chosen_ == "gaussian"
    torch.testing.assert_close(other.log_prob(x), other.model_.log_prob(x))
    assert not hasattr(Auto(), "log_prob")


def test_it_conforms(chosen: tuple[Auto, Path]) -> None:
    model, _ = chosen
    data = read(rows(3000))
    check_parameters(Auto(["copula"], seed=3))
    check_unfitted(Auto(), data)
    check_samples(model, data)
    check_folder(model, data)
    assert clone(model).get_params() == model.get_params()


def test_its_folder(chosen: tuple[Auto, Path]) -> None:
    """`load` gives the chosen model, `Auto.load` also how it was chosen; and a finished choice is not made again."""
    model, out = chosen
    assert isinstance(load(out), Copula)
    assert describe_run(out)["model"] == "Copula"
    back = Auto.load(out)
    assert back.choice_ == json.loads((out / CHOICE).read_text()) == json.loads(json.dumps(model.choice_))
    assert back.sample(5, seed=1).equals(model.sample(5, seed=1))
    again = clone(model).fit(rows(3000), out=out, resume=True, progress=False)
    assert again.choice_["candidates"] == back.choice_["candidates"]  # the very seconds of the first time
    with pytest.raises(InputError, match="different data"):
        clone(model).fit(rows(3000, 5), out=out, resume=True, progress=False)
    with pytest.raises(InputError, match="steps was 2 and is 3"):
        clone(model).set_params(steps=3).fit(rows(3000), out=out, resume=True, progress=False)
    with pytest.raises(InputError, match="already holds a run"):
        clone(model).fit(rows(3000), out=out, progress=False)


def test_damaged_folders(chosen: tuple[Auto, Path], tmp_path: Path) -> None:
    model, _ = chosen
    model.save(tmp_path)
    (tmp_path / CHOICE).write_text("{")
    with pytest.raises(InputError, match="truncated or damaged"):
        Auto.load(tmp_path)
    (tmp_path / CHOICE).unlink()
    with pytest.raises(InputError, match=r"not chosen by Auto; load it by pushforward\.load"):
        Auto.load(tmp_path)


def test_one_seed_chooses_and_draws_alike_and_candidates_that_train_resume(tmp_path: Path) -> None:
    data = rows(600)
    wanted = clone_of(seed=4)
    one = wanted.fit(data, out=tmp_path / "run", progress=False)
    assert (tmp_path / "run" / "candidates" / "gan" / "model.json").exists()
    (tmp_path / "run" / CHOICE).unlink()  # as if killed before the choice was written
    two = clone_of(seed=4).fit(data, out=tmp_path / "run", resume=True, progress=False)
    assert two.sample(20, seed=0).equals(one.sample(20, seed=0))
    for a, b in zip(one.history_, two.history_, strict=True):
        assert {k: v for k, v in a.items() if k != "seconds"} == {k: v for k, v in b.items() if k != "seconds"}


def clone_of(seed: int) -> Auto:
    return Auto({"gan": by_hand()}, seed=seed)


def by_hand() -> Any:
    from pushforward.models import GAN

    return GAN(steps=3, width=8, depth=1, batch_size=32, device="cpu", seed=1)


# ---- refusals


def test_few_rows_are_not_judged() -> None:
    """479 rows: a copula is taken, and the sentence says that nothing was judged."""
    model = Auto().fit(rows(479), progress=False)
    assert (model.chosen_, model.history_, model.closing_) == ("copula", [], None)
    assert model.choice_["sentence"].startswith("479 rows are too few to judge models by")
    assert len(model.sample(3, seed=0)) == 3
    held = Auto(["copula"]).fit(rows(600), holdout=rows(100, 1), progress=False)
    assert held.choice_["sentence"].startswith("100 rows are too few")


def test_a_holdout_is_what_judges_and_a_failure_costs_one_place_only() -> None:
    tried = {"broken": Slow(seed=13), "copula": Copula()}
    model = Auto(tried, **QUICK).fit(rows(400), holdout=rows(300, 1), progress=False)
    assert model.history_[1]["rows"] == 400
    assert model.closing_["n_real"] == 150
    assert model.chosen_ == "copula"
    assert "broken was refused: it failed with RuntimeError: thirteen." in model.choice_["sentence"]


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        ({"seed": "x"}, "seed must be a whole number"),
        ({"time_budget": 0.0}, "time_budget must be a positive number of seconds"),
        ({"share": 1.0}, "share is of the rows kept out"),
        ({"steps": 0}, "steps must be a whole number"),
        ({"models": ["nothing"]}, "unknown model 'nothing'"),
    ],
)
def test_parameters_that_make_no_sense(wrong: dict[str, Any], reason: str) -> None:
    with pytest.raises(InputError, match=reason):
        Auto(**wrong).fit(rows(600), progress=False)


def test_models_on_one_dataset_share_its_coordinates(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fitted once, though two models need them; a model alone comes to the same weights."""
    from pushforward.data import coordinates
    from pushforward.data.coordinates import Coordinates
    from pushforward.models import Flow

    monkeypatch.setattr(coordinates, "STEPS", 10)
    fitted = []
    fit = Coordinates.fit
    monkeypatch.setattr(Coordinates, "fit", lambda *a, **more: fitted.append(1) or fit(*a, **more))
    options: dict[str, Any] = {"steps": 2, "width": 8, "seed": 3, "device": "cpu"}
    rows = read("sample:diamonds").take(torch.arange(800))
    shared = [Flow(**options).fit(rows, progress=False).id_ for _ in range(2)]
    assert len(fitted) == 1
    alone = Flow(**options).fit(rows.take(torch.arange(800)), progress=False).id_
    assert len(fitted) == 2
    assert shared == [alone, alone]
