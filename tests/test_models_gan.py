"""`models.GAN` end to end: conventions, every objective, saving, resuming bit for bit, and how runs end."""

import copy
import dataclasses
import json
import os
import signal
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch
from sklearn.base import clone

from pushforward import links, objectives
from pushforward.data import sources
from pushforward.errors import InputError
from pushforward.models import GAN, SimCLR, describe_run, load
from pushforward.training import checkpoint
from pushforward.training.diagnose import TrainingDiverged
from pushforward.training.progress import Event

TINY: Mapping[str, Any] = {
    "steps": 24,
    "width": 8,
    "depth": 1,
    "batch_size": 16,
    "checkpoint_every": 5,
    "device": "cpu",
}


@pytest.fixture(scope="module")
def points() -> np.ndarray:
    return np.random.default_rng(0).normal(size=(200, 2)) * [3.0, 0.1] + [5.0, -1.0]


@pytest.fixture(scope="module")
def pictures() -> np.ndarray:
    return np.random.default_rng(1).integers(0, 256, size=(60, 12, 11, 3), dtype=np.uint8)


@pytest.fixture(scope="module")
def saved(points: np.ndarray, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("saved") / "run"
    GAN(**TINY).fit(points, out=folder, progress=False)
    return folder


def without_seconds(history: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{name: value for name, value in record.items() if name != "seconds"} for record in history]


def interrupt_at(step: int, number: signal.Signals = signal.SIGINT) -> Callable[[Event], None]:
    def report(event: Event) -> None:
        if event.kind == "log" and event.step == step:
            os.kill(os.getpid(), number)

    return report


# ---- conventions


def test_parameters_are_stored_unchanged_and_cloned() -> None:
    objective = objectives.objective("hinge")
    model = GAN(objective, steps=7, gamma=0.5)
    assert model.get_params()["objective"] is objective
    twin = clone(model)
    assert {k: v for k, v in twin.get_params().items() if k != "objective"} == {
        k: v for k, v in model.get_params().items() if k != "objective"
    }
    assert model.set_params(steps=9) is model
    assert model.steps == 9
    assert repr(GAN("ns", steps=3)) == "GAN(objective='ns', steps=3)"
    with pytest.raises(InputError, match=r"no parameter 'stepz'.*steps"):
        model.set_params(stepz=1)


def test_fit_returns_self_and_gives_back_what_was_brought(points: np.ndarray) -> None:
    model = GAN(**TINY)
    assert model.fit(points, progress=False) is model
    assert model.get_params() == GAN(**TINY).get_params()
    drawn = model.sample(50, seed=3)
    assert isinstance(drawn, np.ndarray)
    assert drawn.shape == (50, 2)
    assert drawn.dtype == points.dtype
    assert isinstance(GAN(**TINY).fit(torch.from_numpy(points), progress=False).sample(4), torch.Tensor)


@pytest.mark.parametrize("crop", [4, 12])  # a perceptron's size, and one for convolutions
def test_images_come_back_as_images(crop: int, pictures: np.ndarray) -> None:
    drawn = GAN(**{**TINY, "steps": 3}).fit(pictures[:, :crop], progress=False).sample(5, seed=0)
    assert drawn.shape == (5, crop, 11, 3)
    assert drawn.dtype == np.uint8


def test_tables_come_back_as_tables(tmp_path: Path) -> None:
    draw = np.random.default_rng(2)
    frame = pl.DataFrame(
        {
            "price": draw.lognormal(size=120).round(2),
            "rooms": draw.integers(1, 6, 120),
            "town": draw.choice(list("abc"), 120),
        }
    )
    model = GAN(**TINY).fit(frame, out=tmp_path / "run", progress=False)
    drawn = model.sample(40, seed=0)
    assert isinstance(drawn, pl.DataFrame)
    assert drawn.schema == frame.schema
    assert drawn.equals(load(tmp_path / "run").sample(40, seed=0))
    assert drawn["price"].is_between(frame["price"].min(), frame["price"].max()).all()
    assert set(drawn["town"]) <= set("abc")


def test_samples_follow_the_seed_and_not_the_number(points: np.ndarray, saved: Path) -> None:
    model = load(saved)
    many, few = model.sample(9000, seed=5), model.sample(1500, seed=5)
    np.testing.assert_allclose(many[:1500], few, rtol=1e-5)
    assert (model.sample(100, seed=5) == model.sample(100, seed=5)).all()
    assert not (model.sample(100, seed=6) == model.sample(100, seed=5)).any()
    assert not (model.sample(10) == model.sample(10)).all()
    assert len(np.unique(many, axis=0)) == 9000


def test_samples_say_how_they_were_made(saved: Path) -> None:
    model = load(saved)
    made_by = model.sample_dataset(5, seed=11).made_by
    assert made_by == {
        "tool": "pushforward",
        "version": made_by["version"],
        "class": "GAN",
        "model": model.id_,
        "seed": 11,
    }


def test_history_is_data(points: np.ndarray) -> None:
    model = GAN(**TINY).fit(points[:150], holdout=points[150:], progress=False)
    assert [record["step"] for record in model.history_] == list(range(1, 25))
    for name in (
        "critic_loss",
        "generator_loss",
        "gap",
        "accuracy",
        "generator_gradient",
        "critic_gradient",
    ):
        assert all(np.isfinite(record[name]) for record in model.history_), name


def test_events(points: np.ndarray, tmp_path: Path) -> None:
    events: list[Event] = []
    GAN(**TINY).fit(points, out=tmp_path / "run", progress=events.append)
    assert [event.kind for event in events[:2]] == ["prepare", "start"]
    assert events[-1].kind == "end"
    assert [event.step for event in events if event.kind == "checkpoint"] == [5, 10, 15, 20, 24]
    assert all(event.steps == 24 for event in events[1:])


def test_time_budget_sets_the_number_of_steps(points: np.ndarray) -> None:
    options = {**TINY, "steps": None, "time_budget": 3.0}
    model = GAN(**options).fit(points, progress=False)
    assert model.steps_ == model.steps_done_ >= 10
    # the trial steps leave no trace: the same number of steps asked for gives the same model
    assert GAN(**{**TINY, "steps": model.steps_}).fit(points, progress=False).id_ == model.id_


# ---- objectives


@pytest.mark.parametrize("name", [*sorted(objectives.OBJECTIVES), "alpha:1.5"])
def test_every_objective_trains(name: str, points: np.ndarray) -> None:
    before = GAN(name, **{**TINY, "steps": 1}).fit(points, progress=False)
    model = GAN(name, **{**TINY, "steps": 8}).fit(points, progress=False)
    assert model.id_ != before.id_
    assert np.isfinite(model.sample(20, seed=0)).all()


def test_objectives_as_objects(points: np.ndarray, tmp_path: Path) -> None:
    named = GAN("hinge", **TINY).fit(points, progress=False)
    assert GAN(objectives.objective("hinge"), **TINY).fit(points, progress=False).id_ == named.id_
    linked = GAN(links.link("kl"), **{**TINY, "steps": 3}).fit(points, progress=False)
    linked.save(tmp_path / "linked")
    assert load(tmp_path / "linked").objective is links.link("kl")


def test_own_objectives_train_but_are_not_saved(points: np.ndarray, tmp_path: Path) -> None:
    own = dataclasses.replace(objectives.objective("ns"), name="mine")
    model = GAN(own, **{**TINY, "steps": 3}).fit(points, progress=False)
    with pytest.raises(InputError, match=r"'mine'.*by name"):
        model.save(tmp_path / "saved")
    with pytest.raises(InputError, match=r"'mine'.*by name"):
        GAN(own, **TINY).fit(points, out=tmp_path / "run", progress=False)
    assert not list(tmp_path.iterdir())


def test_wasserstein_takes_the_gradient_penalty(points: np.ndarray) -> None:
    options = {**TINY, "steps": 3}
    wgan = GAN("wgan", **options).fit(points, progress=False)
    assert wgan.id_ == GAN("wgan", regularise="gp:1", **options).fit(points, progress=False).id_
    assert wgan.id_ != GAN("wgan", regularise="none", **options).fit(points, progress=False).id_
    game = GAN(**options).fit(points, progress=False)
    assert game.history_[0]["gamma_r1+r2"] == game.gamma_[0]
    first, last = game.gamma_
    assert first == pytest.approx(2.0, rel=1e-3)  # the spread of standardised 2-d data
    assert last <= first / 10
    assert GAN(gamma=0.5, **options).fit(points, progress=False).gamma_ == (0.5, 0.05)


@pytest.mark.parametrize(
    "options", [{"lambda_1": 1.0}, {"n_critic": 3}, {"regularise": "gp-one-sided"}, {"regularise": "none"}]
)
def test_other_ways_to_train(options: dict[str, Any], points: np.ndarray) -> None:
    assert np.isfinite(GAN(**TINY, **options).fit(points, progress=False).sample(9, seed=0)).all()


def test_the_target_step_goes_the_same_way_as_the_direct_one(points: np.ndarray) -> None:
    """With lambda_1 = 1 and Adam the gradients differ by a constant factor (n), which Adam divides out."""
    direct, target = (
        GAN(**{**TINY, "steps": 10}, lambda_1=lambda_1).fit(points, progress=False).sample(50, seed=0)
        for lambda_1 in (None, 1.0)
    )
    np.testing.assert_allclose(direct, target, rtol=1e-3, atol=1e-3)


# ---- save and load


def test_what_is_saved_draws_the_same(points: np.ndarray, saved: Path, tmp_path: Path) -> None:
    first = load(saved)
    first.save(tmp_path / "again")
    again = GAN.load(tmp_path / "again")
    assert (again.sample(30, seed=1) == first.sample(30, seed=1)).all()
    assert again.history_ == first.history_
    assert again.get_params() == first.get_params()
    assert again.id_ == first.id_
    assert sorted(item.name for item in (tmp_path / "again").iterdir()) == [
        "history.jsonl",
        "model.json",
        "weights.safetensors",
    ]
    score = again.critic_(again.codec_.encode(sources.read(points)))
    assert score.shape == (200,)


def test_describe_run(saved: Path) -> None:
    described = describe_run(saved)
    assert described["status"] == "finished"
    assert (described["step"], described["steps"], described["rows"]) == (24, 24, 200)
    assert len(described["history"]) == 24
    json.dumps(described)


def damage(folder: Path, name: str, harm: str) -> None:
    path = folder / name
    if harm == "missing":
        path.unlink()
    elif harm == "truncated":
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    elif harm == "other":
        path.write_bytes(path.read_bytes()[:-1] + b"\x01")
    elif harm == "newer":
        content = json.loads(path.read_text())
        path.write_text(json.dumps({**content, "schema": "pushforward.model/99"}))


@pytest.mark.parametrize(
    ("name", "harm"),
    [
        ("model.json", "missing"),
        ("model.json", "truncated"),
        ("model.json", "newer"),
        ("weights.safetensors", "missing"),
        ("weights.safetensors", "truncated"),
        ("weights.safetensors", "other"),
    ],
)
def test_damaged_folders_are_named(name: str, harm: str, saved: Path, points: np.ndarray, tmp_path: Path) -> None:
    import shutil

    folder = tmp_path / "run"
    shutil.copytree(saved, folder)
    damage(folder, name, harm)
    word = {"missing": "missing", "truncated": "truncated", "other": "not the file", "newer": "newer"}[harm]
    for use in (lambda: load(folder), lambda: GAN(**TINY).fit(points, out=folder, resume=True, progress=False)):
        with pytest.raises(InputError, match=word) as error:
            use()
        assert str(folder / name) in str(error.value)
        assert "\n" not in str(error.value)


def test_no_folder_and_no_model(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such folder"):
        load(tmp_path / "nowhere")
    with pytest.raises(InputError, match=r"model\.json"):
        load(tmp_path)
    with pytest.raises(InputError, match="not fitted"):
        GAN().sample(3)


# ---- resume


def uninterrupted(data: np.ndarray, folder: Path, **options: Any) -> GAN:
    return GAN(**{**TINY, **options}).fit(data, out=folder, progress=False)


@pytest.mark.parametrize("kind", ["points", "images"])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_resumed_is_uninterrupted_bit_for_bit(
    kind: str, number: signal.Signals, points: np.ndarray, pictures: np.ndarray, tmp_path: Path
) -> None:
    data = points if kind == "points" else pictures
    options = {"n_critic": 2} if number == signal.SIGTERM else {}
    whole = uninterrupted(data, tmp_path / "whole", **options)
    model = GAN(**TINY, **options)
    for step in (3, 11, 17):
        model.fit(data, out=tmp_path / "parts", resume=True, progress=interrupt_at(step, number))
        assert model.interrupted_
        assert model.steps_done_ == step
        assert load(tmp_path / "parts").interrupted_  # and can be drawn from as it is
    model.fit(data, out=tmp_path / "parts", resume=True, progress=False)
    assert not model.interrupted_
    assert model.id_ == whole.id_
    assert without_seconds(model.history_) == without_seconds(whole.history_)
    ends = [checkpoint.latest(tmp_path / name) for name in ("whole", "parts")]
    (_, one), (_, other) = ends  # type: ignore[misc]
    packed = [checkpoint.pack(tree) for tree in (one, other)]
    assert packed[0][1].keys() == packed[1][1].keys()
    assert all(torch.equal(tensor, packed[1][1][name]) for name, tensor in packed[0][1].items())


def test_a_finished_run_is_resumed_at_once(saved: Path, points: np.ndarray) -> None:
    events: list[Event] = []
    model = GAN(**TINY).fit(points, out=saved, resume=True, progress=events.append)
    assert not events
    assert model.id_ == load(saved).id_


def test_interrupted_without_a_folder_keeps_what_it_learned(points: np.ndarray) -> None:
    model = GAN(**TINY).fit(points, progress=interrupt_at(9))
    assert model.interrupted_
    assert model.steps_done_ == 9
    assert len(model.sample(5)) == 5


def test_resume_refuses_other_data_and_parameters(points: np.ndarray, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    GAN(**TINY).fit(points, out=folder, progress=interrupt_at(9))
    before = load(folder).id_
    model = GAN(**TINY)
    for data, difference in (
        (points[:-1], "rows 200 then, 199 now"),
        (points + 1, "other values"),
        (np.c_[points, points], "layout"),
    ):
        with pytest.raises(InputError, match=difference):
            model.fit(data, out=folder, resume=True, progress=False)
    for options, difference in (
        ({"steps": 25}, "steps was 24 and is 25"),
        ({"objective": "ns"}, "objective was 'rpgan' and is 'ns'"),
        ({"seed": 1}, "seed was 0 and is 1"),
    ):
        with pytest.raises(InputError, match=difference):
            GAN(**{**TINY, **options}).fit(points, out=folder, resume=True, progress=False)
    assert load(folder).id_ == before
    GAN(**{**TINY, "checkpoint_every": 7}).fit(points, out=folder, resume=True, progress=False)


def test_a_run_is_not_written_over(saved: Path, points: np.ndarray) -> None:
    before = (saved / "model.json").read_bytes()
    with pytest.raises(InputError, match="already holds a run; resume"):
        GAN(**TINY).fit(points, out=saved, progress=False)
    assert (saved / "model.json").read_bytes() == before


def test_torn_checkpoint_falls_back_and_ends_the_same(points: np.ndarray, tmp_path: Path) -> None:
    whole = uninterrupted(points, tmp_path / "whole")
    folder = tmp_path / "run"
    GAN(**TINY).fit(points, out=folder, progress=interrupt_at(13))
    newest = max((folder / checkpoint.FOLDER).iterdir())
    damage(newest, "tensors.safetensors", "truncated")
    assert GAN(**TINY).fit(points, out=folder, resume=True, progress=False).id_ == whole.id_


# ---- bad ends and bad words


@pytest.mark.parametrize("out", [True, False])
def test_explosion_is_told_and_the_last_good_checkpoint_stays(out: bool, points: np.ndarray, tmp_path: Path) -> None:
    folder = tmp_path / "run" if out else None
    model = GAN(**{**TINY, "steps": 200}, learning_rate=1e6)
    # the first steps are harmless, as Adam's step is cut down to nothing after them
    with pytest.raises(
        TrainingDiverged, match=r"rpgan diverged at step \d+.*lower learning_rate or raise gamma"
    ) as error:
        model.fit(points, out=folder, progress=False)
    assert isinstance(error.value, InputError)
    assert "\n" not in str(error.value)
    if folder:
        found = checkpoint.latest(folder)
        if found is not None:
            assert f"checkpoint of step {found[0]} is kept" in str(error.value)
            tensors = checkpoint.pack(found[1])[1].values()
            assert all(tensor.isfinite().all() for tensor in tensors)
        else:
            with pytest.raises(InputError, match="diverged before its first checkpoint"):
                load(folder)


def test_nan_after_a_good_checkpoint(points: np.ndarray, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = 0

    def critic(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        nonlocal calls
        calls += 1
        return torch.nn.functional.softplus(b - a) * (float("nan") if calls > 12 else 1.0)

    broken = dataclasses.replace(objectives.objective("rpgan"), critic=critic)
    patched = {**objectives.OBJECTIVES, "rpgan": broken}
    monkeypatch.setattr("pushforward.objectives.table.OBJECTIVES", patched)
    monkeypatch.setattr("pushforward.models.saving.OBJECTIVES", patched)
    with pytest.raises(TrainingDiverged, match="checkpoint of step 10 is kept"):
        GAN(**TINY).fit(points, out=tmp_path / "run", progress=False)
    found = checkpoint.latest(tmp_path / "run")
    assert found is not None
    assert found[0] == 10
    model = load(tmp_path / "run")
    assert model.steps_done_ == 10
    assert np.isfinite(model.sample(20, seed=0)).all()
    assert describe_run(tmp_path / "run")["status"] == "diverged"


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"objective": "best"}, "unknown objective 'best'.*rpgan"),
        ({"regularise": "r3"}, "unknown regulariser"),
        ({"regressions": 3}, "regressions are steps to a target.*lambda_1"),
        ({"steps": 0}, "steps must be a whole number"),
        ({"batch_size": 2.5}, "batch_size"),
        ({"learning_rate": -1.0}, "learning_rate must be a positive"),
        ({"steps": 3, "time_budget": 3.0}, "give one of them"),
        ({"device": "abacus"}, "abacus"),
        ({"seed": None}, "seed"),
    ],
)
def test_bad_parameters_are_refused_before_anything_is_written(
    options: dict[str, Any], words: str, points: np.ndarray, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=words) as error:
        GAN().set_params(**options).fit(points, out=tmp_path / "run", progress=False)
    assert "\n" not in str(error.value)
    assert not (tmp_path / "run").exists()


def test_one_row_is_not_enough(points: np.ndarray) -> None:
    with pytest.raises(InputError, match="at least two"):
        GAN(**TINY).fit(points[:1], progress=False)


@pytest.mark.parametrize("data", ["equal", "two", "constant column"])
def test_hardly_any_data(data: str, points: np.ndarray) -> None:
    x = {"equal": np.ones((50, 2)), "two": points[:2], "constant column": np.c_[points, np.ones(200)]}[data]
    drawn = GAN(**TINY).fit(x, progress=False).sample(7, seed=0)
    assert np.isfinite(drawn).all()


@pytest.mark.parametrize("log", ["csv", "tensorboard"])
def test_loggers(log: str, points: np.ndarray, tmp_path: Path) -> None:
    GAN(**TINY).fit(points, out=tmp_path / "run", log=log, progress=False)
    files = [item for item in (tmp_path / "run" / log).rglob("*") if item.is_file()]
    assert files
    if log == "csv":
        (metrics,) = [item for item in files if item.name == "metrics.csv"]
        lines = metrics.read_text().splitlines()
        assert len(lines) == 25
        assert "critic_loss" in lines[0]


def test_logger_that_is_not_there(points: np.ndarray, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"unknown log 'paper'.*csv"):
        GAN(**TINY).fit(points, log="paper", progress=False)


def test_fitting_leaves_the_data_alone(points: np.ndarray) -> None:
    before = copy.deepcopy(points)
    GAN(**{**TINY, "steps": 2}).fit(points, progress=False)
    assert (points == before).all()


# ---- watched, audited, with networks of one's own


def test_a_closer_look_is_recorded(points: np.ndarray) -> None:
    model = GAN(**{**TINY, "steps": 120}).fit(points[:150], holdout=points[150:], progress=False)
    looked = [record for record in model.history_ if "modes_effective" in record]
    assert [record["step"] for record in looked] == [50, 100, 120]
    for name in ("holdout_gap", "critic_auc_held", "coverage", "ema_gap", "saturation"):
        assert all(np.isfinite(record[name]) for record in looked), name


class Plain(torch.nn.Module):
    """A generator of the user's own."""

    def __init__(self, d: int = 2) -> None:
        super().__init__()
        self.map = torch.nn.Linear(3, d)
        torch.nn.init.constant_(self.map.weight, 0.3)

    def noise(self, n: int, *, generator: torch.Generator) -> torch.Tensor:
        return torch.randn(n, 3, generator=generator, device=generator.device)

    def forward(self, noise: torch.Tensor) -> torch.Tensor:
        return self.map(noise)


class Scores(torch.nn.Module):
    def __init__(self, squeeze: bool) -> None:
        super().__init__()
        self.map, self.squeeze = torch.nn.Linear(2, 1), squeeze
        torch.nn.init.constant_(self.map.weight, 0.1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.map(x).squeeze(1) if self.squeeze else self.map(x)


def test_networks_of_ones_own(points: np.ndarray, tmp_path: Path) -> None:
    options = {name: value for name, value in TINY.items() if name not in ("width", "depth", "noise_size")}
    with torch.random.fork_rng():
        networks = Plain(), Scores(squeeze=True)
        wrong_critic, wrong_generator = (Plain(), Scores(squeeze=False)), (Plain(d=3), Scores(squeeze=True))
    model = GAN(networks=networks, **options).fit(points, progress=False)
    assert isinstance(model.generator_, Plain)
    assert bool(
        (networks[0].map.weight == 0.3).all()
    )  # what was given is as it was given, so a second fit is the first
    assert networks[1].map.weight.requires_grad
    assert GAN(networks=networks, **options).fit(points, progress=False).id_ == model.id_
    assert model.sample(5, seed=0).shape == (5, 2)
    with pytest.raises(InputError, match=r"critic gives \(32, 1\).*\(32,\) is expected"):
        GAN(networks=wrong_critic, **options).fit(points, progress=False)
    with pytest.raises(InputError, match=r"generator gives \(16, 3\).*\(16, 2\)"):
        GAN(networks=wrong_generator, **options).fit(points, progress=False)
    with pytest.raises(InputError, match="cannot be rebuilt"):
        GAN(networks=networks, **options).fit(points, out=tmp_path / "run", progress=False)


def test_a_run_can_be_watched_without_noticing() -> None:
    """`Event.sample` draws from the average or from the generator as it is, by one noise; the run is as without."""
    x = np.random.default_rng(0).normal(size=(200, 2)).astype(np.float32)
    small = {"steps": 8, "batch_size": 16, "width": 8, "seed": 0, "device": "cpu"}
    seen: list[tuple[np.ndarray, np.ndarray]] = []

    def watch(event: Event) -> None:
        if event.kind == "log":
            assert event.sample is not None
            seen.append((event.sample(5), event.sample(5, averaged=False)))
            np.testing.assert_array_equal(event.sample(5), seen[-1][0])

    watched = GAN(**small).fit(x, progress=watch)
    plain = GAN(**small).fit(x, progress=False)
    np.testing.assert_array_equal(watched.sample(20, seed=1), plain.sample(20, seed=1))
    assert len(seen) == 8
    assert seen[0][0].shape == (5, 2)
    assert not np.array_equal(seen[0][1], seen[-1][1])
    np.testing.assert_array_equal(seen[-1][0], watched.sample(5, seed=0))  # the last average is the model


def test_what_draws_nothing_has_nothing_to_watch() -> None:
    seen: list[object] = []
    x = np.random.default_rng(0).normal(size=(200, 2)).astype(np.float32)
    SimCLR(steps=2, batch_size=16, width=8, seed=0).fit(x, progress=lambda event: seen.append(event.sample))
    assert seen
    assert not any(seen)
