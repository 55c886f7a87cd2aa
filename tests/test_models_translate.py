"""Translators: closed-form maps they must find, what holds before any training, and that a run can be gone on with."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch
from PIL import Image
from torch import Tensor

import pushforward
from pushforward.cli.app import run
from pushforward.data.codec import codec_from_dict, fit_codec
from pushforward.data.pairs import PairsCodec, side_by_side
from pushforward.data.sources import read
from pushforward.errors import InputError
from pushforward.models import CycleGAN, Pix2Pix
from pushforward.models.cyclegan import apart
from pushforward.nets.translator import (
    ImageTranslator,
    PointTranslator,
    PotentialTranslator,
    Start,
    TableTranslator,
    bend,
)

TINY: dict[str, Any] = {"steps": 3, "batch_size": 16, "width": 8, "depth": 1, "device": "cpu"}


def normal(n: int, seed: int, *, factor: Tensor | None = None, mean: tuple[float, ...] = (0.0, 0.0)) -> Tensor:
    """Rows `(n, d)` of N(mean, factor' factor)."""
    z = torch.randn(n, len(mean), generator=torch.Generator().manual_seed(seed))
    return (z if factor is None else z @ factor) + torch.tensor(mean)


def pictures(n: int, seed: int, *, size: tuple[int, int] = (8, 8), channels: int = 3) -> np.ndarray:
    """Random blobs on white, uint8 `(n, h, w, c)`."""
    generator = torch.Generator().manual_seed(seed)
    small = torch.rand(n, channels, 4, 4, generator=generator)
    big = torch.nn.functional.interpolate(small, size=size, mode="bilinear", align_corners=False)
    return (255 * big).round().to(torch.uint8).permute(0, 2, 3, 1).numpy()


def frame(n: int, seed: int, *, shift: float = 0.0) -> pl.DataFrame:
    rng = np.random.default_rng(seed)
    level = rng.integers(0, 3, n)
    return pl.DataFrame(
        {
            "mass": rng.normal(level, 1.0) + shift,
            "size": rng.normal(size=n),
            "kind": np.array(["a", "b", "c"])[level],
        }
    )


# ---- what holds before any training


def test_translators_begin_as_the_identity(generator: torch.Generator) -> None:
    x = torch.randn(5, 3, generator=generator)
    assert torch.equal(PointTranslator((3,), (3,), width=8, generator=generator)(x), x)
    images = torch.rand(2, 3, 21, 10, generator=generator) * 2 - 1
    made = ImageTranslator((3, 21, 10), width=4, generator=generator)(images)
    assert made.shape == images.shape
    assert torch.allclose(made, images, atol=1e-5)
    codec = fit_codec(read(frame(50, 0)))
    rows = codec.expand(codec.encode(read(frame(50, 0))))
    assert torch.allclose(TableTranslator(codec.blocks, width=8, generator=generator)(rows), rows)


def test_bend_takes_pixels_from_where_the_flow_says(generator: torch.Generator) -> None:
    x = torch.rand(1, 2, 6, 7, generator=generator)
    flow = torch.zeros(1, 2, 6, 7)
    flow[:, 0] = 2.0  # from two pixels to the right
    found = bend(x, flow)
    assert torch.allclose(found[..., :-2], x[..., 2:], atol=1e-5)
    assert torch.allclose(found[..., -1], x[..., -1], atol=1e-5)  # the edge is repeated
    flow = torch.zeros(1, 2, 6, 7)
    flow[:, 1] = -1.0  # from one pixel above
    assert torch.allclose(bend(x, flow)[:, :, 1:], x[:, :, :-1], atol=1e-5)


def test_categories_can_change_and_stay_exact(generator: torch.Generator) -> None:
    codec = fit_codec(read(frame(50, 0)))
    rows = codec.expand(codec.encode(read(frame(50, 0))))
    made = TableTranslator(codec.blocks, width=8, generator=generator)
    with torch.no_grad():
        made.trunk.leave.bias[made.k + 1] = 10.0  # the second level wins over the own one
    found = made(rows)[:, made.k :]
    assert torch.equal(found, torch.eye(found.shape[1])[torch.ones(len(rows), dtype=torch.long)])


# ---- two domains in one codec


def test_pairs_codec_holds_both_domains_and_returns() -> None:
    for of, to in ((frame(7, 0), frame(11, 1)), (pictures(5, 0), pictures(3, 1)), (normal(6, 0), normal(9, 1))):
        one, other = read(of), read(to)
        both = side_by_side(one, other, seed=3)
        assert len(both) == max(len(one), len(other))
        codec = PairsCodec(fit_codec(other), fit_codec(one))
        again = codec_from_dict(json.loads(json.dumps(codec.to_dict())), codec.tensors())
        rows = codec.expand(codec.encode(both))
        assert rows.shape == (len(both), *codec.event_shape)
        assert torch.equal(again.expand(again.encode(both)), rows)
        back = again.decode(rows)
        for found, true, alone in ((back, both, codec.to), (back.given, both.given, codec.of)):
            true = alone.decode(alone.expand(alone.encode(replace(true, given=None))))  # as it returns by itself
            if true.kind == "table":
                assert found.values["kind"].to_list() == true.values["kind"].to_list()
                assert np.allclose(found.values["mass"], true.values["mass"], atol=0.1)  # it draws in its grid's cells
            else:
                assert torch.equal(found.values, true.values)


def test_side_by_side_uses_rows_evenly() -> None:
    both = side_by_side(read(torch.arange(3.0)[:, None]), read(torch.arange(10.0)[:, None]), seed=0)
    assert both.values.flatten().sort().values.tolist() == list(range(10))
    assert sorted(both.given.values.flatten().int().bincount().tolist()) == [3, 3, 4]


# ---- known maps


def test_matched_coordinates_hold_the_map_between_scales_already() -> None:
    """b = s a + m column by column, another sample of it: with a domain in coordinates of its own the first step is
    already the Monge map, up to the error of two means and deviations of 4,000 rows (about .02 each; .1 is 5 sigma)."""
    a, b = normal(4000, 0), normal(4000, 1, factor=torch.diag(torch.tensor([3.0, 0.5])), mean=(10.0, -4.0))
    model = CycleGAN(match=True, learning_rate=1e-6, **TINY).fit(a, to=b, progress=False)
    x = normal(500, 2)
    true = x * torch.tensor([3.0, 0.5]) + torch.tensor([10.0, -4.0])
    found = model.translate(x)
    assert float(((found - true) / torch.tensor([3.0, 0.5])).abs().max()) < 0.25
    assert torch.allclose(model.translate(found, to="A"), x, atol=1e-3)


def test_the_game_keeps_the_least_moving_map_of_gaussians() -> None:
    """Two Gaussians far apart, whose Monge map is (x - m1) M + m2: it is started from, up to the error of two means
    and covariances of 2,000 rows (about .03), and not left."""
    first, second = torch.tensor([[1.0, 0.5], [0.0, 0.6]]), torch.tensor([[0.5, -0.4], [0.0, 1.0]])
    a, b = normal(3000, 0, factor=first), normal(2000, 1, factor=second, mean=(2.0, 1.0))
    model = CycleGAN(steps=60, batch_size=128, device="cpu").fit(a, to=b, progress=False)
    x = normal(1000, 2, factor=first)
    true = monge(x, first.T @ first, second.T @ second) + torch.tensor([2.0, 1.0])
    spread = float((b - b.mean(0)).square().sum(1).mean().sqrt())
    found = model.translate(x)
    assert float((x - true).norm(dim=1).mean()) / spread > 1.5
    assert float((found - true).norm(dim=1).mean()) / spread < 0.12
    assert float((model.translate(found, to="A") - x).norm(dim=1).mean()) / spread < 0.12
    assert model.history_[-1].keys() >= {"cycle", "cost", "gap", "critic_loss"}


def test_the_game_bends_the_map_of_two_moments() -> None:
    """x -> Q f(Q'x), f_j(u) = .3 u + h_j tanh 2u, the gradient of a convex function: two moments leave .26 of it."""
    turn = torch.tensor([[0.8, -0.6], [0.6, 0.8]])

    def bent(x: Tensor) -> Tensor:
        u = x @ turn
        return (0.3 * u + torch.tensor([2.0, 0.5]) * (2 * u).tanh()) @ turn.T + 1

    generator = torch.Generator().manual_seed(0)
    a, other, x = (3**0.5 * (2 * torch.rand(n, 2, generator=generator) - 1) for n in (3000, 3000, 1000))
    b = bent(other)
    model = CycleGAN(steps=250, batch_size=128, device="cpu").fit(a, to=b, progress=False)
    spread = float((b - b.mean(0)).square().sum(1).mean().sqrt())
    moments = monge(x - a.mean(0), a.T.cov(), b.T.cov()) + b.mean(0)
    assert float((moments - bent(x)).norm(dim=1).mean()) / spread > 0.22
    assert float((model.translate(x) - bent(x)).norm(dim=1).mean()) / spread < 0.18  # .14 to .15 over seeds


def test_moments_are_carried_over_and_back() -> None:
    """T has the mean and covariance of B, T^-1 undoes it, and its matrix in the points' own units is symmetric."""
    first, second = torch.tensor([[1.0, 0.5], [0.0, 0.6]]), torch.tensor([[0.5, -0.4], [0.0, 0.05]])
    a, b = normal(900, 0, factor=first, mean=(5.0, 0.0)), normal(700, 1, factor=second, mean=(2.0, 1.0))
    model = CycleGAN(**{**TINY, "learning_rate": 1e-12}).fit(a, to=b, progress=False)
    made = model.translate(a)
    assert torch.allclose(made.mean(0), b.mean(0), atol=0.01)
    assert torch.allclose(made.T.cov(), b.T.cov(), atol=0.02)
    assert torch.allclose(model.translate(made, to="A"), a, atol=1e-3)
    matrix = torch.linalg.lstsq(a - a.mean(0), made - made.mean(0)).solution
    assert torch.allclose(matrix, matrix.T, atol=1e-3)


def test_numbers_of_tables_start_from_their_moments_and_missing_ones_stay_missing() -> None:
    a, b = frame(300, 0), frame(400, 1, shift=6.0)
    a = a.with_columns(pl.when(pl.int_range(300) % 3 == 0).then(None).otherwise(pl.col("size")).alias("size"))
    model = CycleGAN(**{**TINY, "learning_rate": 1e-12}).fit(a, to=b, progress=False)
    made = model.translate(a, seed=0)
    assert abs(made["mass"].mean() - b["mass"].mean()) < 1.0  # of a distance of 6
    assert made["size"].is_null().to_list() == a["size"].is_null().to_list()
    assert made["kind"].to_list() == a["kind"].to_list()


def test_a_potential_translator_is_the_gradient_of_a_function(generator: torch.Generator) -> None:
    """Its Jacobian is symmetric where P is the transpose of Q."""
    q = torch.tensor([[1.0, 0.3], [0.1, 0.7]])
    made = PotentialTranslator(Start(torch.eye(2), torch.zeros(2)), q, q.T, units=16, generator=generator)
    x = torch.randn(2, generator=generator)
    assert torch.equal(made(x[None]), x[None])
    with torch.no_grad():
        made.heights.copy_(torch.randn(16, generator=generator))
    jacobian = torch.autograd.functional.jacobian(lambda row: made(row[None])[0], x)
    assert float((jacobian - torch.eye(2)).abs().max()) > 0.1
    assert torch.allclose(jacobian, jacobian.T, atol=1e-5)


def monge(x: Tensor, first: Tensor, second: Tensor) -> Tensor:
    """x S1^-1/2 (S1^1/2 S2 S1^1/2)^1/2 S1^-1/2: the optimal map N(0, S1) -> N(0, S2)."""

    def root(s: Tensor) -> Tensor:
        values, vectors = torch.linalg.eigh(s)
        return vectors @ torch.diag(values.sqrt()) @ vectors.T

    half = root(first)
    inverse = torch.linalg.inv(half)
    return x @ inverse @ root(half @ second @ half) @ inverse


def test_two_copies_of_one_domain_stay_where_they_are() -> None:
    rows = normal(1500, 0)
    model = CycleGAN(**{**TINY, "steps": 25, "batch_size": 128}).fit(rows, to=normal(1500, 1), progress=False)
    x = normal(500, 2)
    assert float((model.translate(x) - x).norm(dim=1).mean()) < 0.15  # of a spread of 1.41


def test_pairs_are_followed() -> None:
    """b = (x0 + x1, x0 - x1, 3): pairs say which map it is, and B may have another width."""
    a = normal(1500, 0)
    b = torch.stack([a.sum(1), a[:, 0] - a[:, 1], torch.full((1500,), 3.0)], 1)
    model = Pix2Pix(steps=150, batch_size=128, width=32, depth=1, device="cpu").fit(a, to=b, progress=False)
    x = normal(400, 1)
    true = torch.stack([x.sum(1), x[:, 0] - x[:, 1], torch.full((400,), 3.0)], 1)
    found = model.translate(x)
    assert found.shape == (400, 3)
    assert float((found - true).norm(dim=1).mean()) < 0.25  # of a spread of 2
    with pytest.raises(InputError, match="no such domain"):
        model.translate(x, to="A")


def test_noise_makes_several_answers(tmp_path: Path) -> None:
    a = normal(200, 0)
    model = Pix2Pix(noise_size=2, **{**TINY, "steps": 20}).fit(a, to=a + 1, progress=False)
    one, again, other = (model.translate(a, seed=seed) for seed in (1, 1, 2))
    assert torch.equal(one, again)
    assert not torch.equal(one, other)
    model.save(tmp_path / "run")
    assert torch.equal(pushforward.load(tmp_path / "run").translate(a, seed=1), one)


def test_charges_are_those_of_the_formula() -> None:
    one, other = torch.tensor([[1.0, 2.0], [0.0, 0.0]]), torch.tensor([[0.0, 0.0], [0.0, 3.0]])
    assert apart(one, other).tolist() == [2.5, 4.5]


# ---- every kind, and the run's folder


@pytest.mark.parametrize("kind", ["points", "table", "images"])
def test_save_load_and_resume(kind: str, tmp_path: Path) -> None:
    a, b = {
        "points": (normal(60, 0).numpy(), normal(90, 1).numpy()),
        "table": (frame(60, 0), frame(90, 1, shift=1.0)),
        "images": (pictures(40, 0), pictures(50, 1)),
    }[kind]
    given: dict[str, Any] = {**TINY, "steps": 6, "checkpoint_every": 3}
    whole = CycleGAN(**given).fit(a, to=b, out=tmp_path / "whole", progress=False)

    def stop(event: Any) -> None:
        if event.kind == "log" and event.step == 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        CycleGAN(**given).fit(a, to=b, out=tmp_path / "run", progress=stop)
    resumed = CycleGAN(**given).fit(a, to=b, out=tmp_path / "run", resume=True, progress=False)
    loaded = pushforward.load(tmp_path / "run")
    same(whole.translate(a, seed=0), resumed.translate(a, seed=0))
    same(whole.translate(a, seed=0), loaded.translate(a, seed=0))
    same(whole.translate(b, to="A", seed=0), loaded.translate(b, to="A", seed=0))
    drawn = loaded.sample(7, given=a, seed=1)
    same(drawn, loaded.sample(7, given=a, seed=1))
    assert len(drawn) == 7
    assert type(drawn) is type(a)
    made_by = loaded.translate_dataset(a, to="A", seed=5).made_by
    assert made_by["translated_to"] == "A"
    assert made_by["model"] == whole.id_


def same(one: Any, other: Any) -> None:
    assert one.equals(other) if isinstance(one, pl.DataFrame) else np.array_equal(one, other)


def test_an_auditor_may_look_on() -> None:
    a, b = normal(1500, 0), normal(1600, 1)
    model = CycleGAN(until="indistinguishable", **{**TINY, "steps": 4}).fit(a, to=b, progress=False)
    assert model.closing_ is not None
    assert model.data_["rows"] == 1280  # a fifth of each is kept out


# ---- bad input


def test_domains_that_cannot_be_translated_are_refused() -> None:
    model = CycleGAN(**TINY)
    cases = [
        (pictures(4, 0), pictures(4, 0, size=(8, 10)), "images of 10 x 8"),
        (pictures(4, 0), pictures(4, 0, channels=1), "grey images"),
        (normal(4, 0), normal(4, 0, mean=(0.0, 0.0, 0.0)), "points of 3 coordinates"),
        (frame(9, 0), frame(9, 1).drop("size"), "lacks the column 'size'"),
        (frame(9, 0), normal(9, 0), "points"),
        (normal(9, 0), normal(1, 0), "a domain of 1 rows"),
        (normal(9, 0), None, "the other one too"),
    ]
    for a, b, words in cases:
        with pytest.raises(InputError, match=words):
            model.fit(a, to=b, progress=False)
    with pytest.raises(InputError, match="5 rows and"):
        Pix2Pix(**TINY).fit(normal(5, 0), to=normal(6, 0), progress=False)
    with pytest.raises(InputError, match="two sizes"):
        Pix2Pix(**TINY).fit(pictures(4, 0), to=pictures(4, 0, size=(8, 10)), progress=False)


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"cycle": -1.0}, "cycle is a weight"),
        ({"ways": "bend+twist"}, "bend, colour, detail"),
        ({"start": "noise"}, "'identity' or 'moments'"),
        ({"objective": "feature-matching"}, "does not score rows"),
        ({"steps": 0}, "steps"),
    ],
)
def test_parameters_that_make_no_sense_are_refused(wrong: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError, match=words):
        CycleGAN(**wrong).fit(normal(9, 0), to=normal(9, 1), progress=False)


def test_pictures_have_no_moments_to_start_from() -> None:
    with pytest.raises(InputError, match="leave start out"):
        CycleGAN(start="moments", **TINY).fit(pictures(9, 0), to=pictures(9, 1), progress=False)


def test_rows_of_another_form_are_refused_and_grey_ones_taken_as_colour() -> None:
    model = CycleGAN(**TINY).fit(pictures(20, 0), to=pictures(20, 1), progress=False)
    assert model.translate(pictures(3, 2, channels=1)).shape[0] == 3
    for given, words in ((pictures(3, 2, size=(10, 8)), "8 x 10"), (pictures(1, 2)[:0], "no|empty|rows|images")):
        with pytest.raises(InputError, match=words):
            model.translate(given)
    with pytest.raises(InputError, match="'A' or 'B'"):
        model.translate(pictures(3, 2), to="C")  # type: ignore[arg-type]
    with pytest.raises(InputError, match="given=ROWS"):
        model.sample(3)


# ---- the command line


def folder(path: Path, names: list[str], seed: int) -> Path:
    for name, pixels in zip(names, pictures(len(names), seed), strict=True):
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(path / name)
    return path


def test_commands_fit_and_translate_folders_and_keep_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    folder(tmp_path / "google", ["cat.png", "dog.png", "sub/cow.png", "fox.png"], 0)
    folder(tmp_path / "twitter", ["1.png", "2.png", "3.png"], 1)
    words = ["fit", "google", "--model", "cyclegan", "--to", "twitter", "--out", "run", "--steps", "2"]
    assert run(words) == 0
    assert "pushforward translate" in capsys.readouterr().out
    assert run(["translate", "run", "--in", "google", "--out", "made"]) == 0
    made = sorted(str(file.relative_to("made")) for file in Path("made").rglob("*.png"))
    assert made == ["cat.png", "dog.png", "fox.png", "sub/cow.png"]
    record = json.loads(Image.open("made/cat.png").text["pushforward"])  # type: ignore[attr-defined]
    assert record["synthetic"] is True
    assert record["made_by"]["translated_to"] == "B"
    assert run(["translate", "run", "--in", "twitter", "--out", "back.npz", "--to", "A"]) == 0
    assert len(read("back.npz")) == 3
    with pytest.raises(InputError, match="already exists"):
        run(["translate", "run", "--in", "google", "--out", "made"])
    assert run(["translate", "run", "--in", "google", "--out", "made", "--force"]) == 0


def test_commands_refuse_in_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    np.save("a.npy", normal(40, 0).numpy())
    np.save("b.npy", normal(30, 1).numpy())
    cases = [
        (["fit", "a.npy", "--model", "cyclegan", "--out", "run"], "--to DATA"),
        (["fit", "a.npy", "--model", "gan", "--to", "b.npy", "--out", "run"], "take --model cyclegan"),
        (["fit", "a.npy", "--model", "cyclegan", "--to", "none.npy", "--out", "run"], "none.npy"),
    ]
    for argv, words in cases:
        with pytest.raises(InputError, match=words):
            run(argv)
    assert run(["fit", "a.npy", "--out", "gan", "--steps", "1"]) == 0
    with pytest.raises(InputError, match="does not translate"):
        run(["translate", "gan", "--in", "a.npy", "--out", "c.npy"])
    held = ["fit", "a.npy", "--model", "cyclegan", "--to", "b.npy", "--out", "run", "--steps", "1", "--holdout", "0.2"]
    assert run(held) == 0
    assert {file.name for file in Path("run/data").glob("*.npy")} == {
        "train.npy",
        "holdout.npy",
        "to-train.npy",
        "to-holdout.npy",
    }
