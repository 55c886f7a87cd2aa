"""Conditional generation: networks, balance, training, and samples that meet what is asked."""

import json
import math
import os
import signal
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch
from PIL import Image
from torch import Tensor

from pushforward.cli import main
from pushforward.data import sources
from pushforward.data.tables import TableCodec
from pushforward.errors import InputError
from pushforward.models import GAN, conditional, load
from pushforward.models.given import Given, attach, find, networks
from pushforward.nets import MLPCritic, TabularGenerator
from pushforward.nets.conditional import ConditionalCritic, Conditions, Film, Layout, parse_ways
from pushforward.nets.joint import Joint
from pushforward.training.batches import Batches
from pushforward.training.progress import Event

TINY: Mapping[str, Any] = {"steps": 12, "width": 8, "depth": 1, "batch_size": 32, "device": "cpu"}
ROWS = 300


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.fixture(scope="module")
def frame() -> pl.DataFrame:
    draw = np.random.default_rng(2)
    town = draw.choice(["north", "south", "west"], ROWS, p=[0.6, 0.37, 0.03])
    frame = pl.DataFrame(
        {
            "town": town,
            "heat": np.where(town == "west", "gas", draw.choice(["gas", "oil"], ROWS)),
            "rooms": draw.integers(1, 6, ROWS),
            "price": draw.lognormal(7, 1, ROWS).round(2),
            "area": draw.normal(100, 20, ROWS).round(1),
        }
    )
    return frame.with_columns(pl.when(pl.arange(ROWS) % 7 > 0).then("area"))


@pytest.fixture(scope="module")
def run(frame: pl.DataFrame, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("given") / "run"
    GAN(**TINY).fit(frame, given=["town", "price"], out=folder, progress=False)
    return folder


@pytest.fixture(scope="module")
def free(frame: pl.DataFrame) -> GAN:
    return GAN(**TINY).fit(frame, progress=False)


# ---- networks


def test_conditions_are_drawn_as_they_are_held() -> None:
    """While training by their chances, afterwards evenly. False failures: < 1e-6 (5 standard errors of a share)."""
    layout = Layout(1, (3,))
    kept = Conditions(layout, 4, balanced=True, device=torch.device("cpu"))
    kept.hold(torch.tensor([[0.5, 0.0], [1.5, 1.0], [2.5, 2.0], [3.5, 2.0]]), torch.tensor([6.0, 2.0, 1.0, 1.0]))
    for training, expected in ((True, [0.6, 0.2, 0.2]), (False, [0.25, 0.25, 0.5])):
        drawn = kept.train(training).draw(40_000, generator=rng())
        assert drawn.shape == (40_000, 4)
        assert (drawn[:, 1:].sum(1) == 1).all()
        torch.testing.assert_close(drawn[:, 1:].mean(0), torch.tensor(expected), atol=5 * 0.5 / 200, rtol=0)
        torch.testing.assert_close(drawn[drawn[:, 2] == 1, 0].unique(), torch.tensor([1.5]))  # rows stay together


def critic(ways: str, *, d: int = 3) -> ConditionalCritic:
    layout, joint = Layout(1, (3,)), Joint(((d,), (4,)))
    named = parse_ways(ways)
    n_in = d + 4 if "concat" in named or not {"projection", "auxiliary"} & set(named) else d
    return ConditionalCritic(
        MLPCritic((n_in,), width=8, depth=1, generator=rng(1)), layout, ways=named, joint=joint, generator=rng(2)
    )


def joint_rows(n: int = 6, d: int = 3) -> Tensor:
    c = torch.cat([torch.randn(n, 1, generator=rng(4)), torch.eye(3)[torch.arange(n) % 3]], 1)
    return torch.cat([torch.randn(n, d, generator=rng(3)), c], 1)


@pytest.mark.parametrize("ways", ["concat", "projection", "concat+projection", "film"])
def test_the_critic_sees_the_condition_and_is_not_charged_for_it(ways: str) -> None:
    network, rows = critic(ways), joint_rows().requires_grad_()
    (slope,) = torch.autograd.grad(network(rows).sum(), rows)
    assert (slope[:, 3:] == 0).all()
    assert (slope[:, :3] != 0).any(1).all()
    other = rows.detach().clone()
    other[:, 4:] = other[:, 4:].roll(1, 1)
    assert not torch.isclose(network(rows), network(other)).any()


def test_an_auxiliary_critic_alone_scores_without_the_condition() -> None:
    network, rows = critic("auxiliary"), joint_rows()
    other = rows.clone()
    other[:, 4:] = other[:, 4:].roll(1, 1)
    torch.testing.assert_close(network(rows), network(other))


def test_projection_is_an_inner_product_with_the_hidden_layer() -> None:
    network, rows = critic("projection"), joint_rows()
    h = network.core.features(rows[:, :3])
    inner = (h * (rows[:, 3:] @ network.projection.weight.T)).sum(1) / math.sqrt(8)
    torch.testing.assert_close(network(rows), network.core.leave(h)[:, 0] + inner)


def test_surprise_is_cross_entropy_and_half_the_squared_error() -> None:
    for ways in ("auxiliary", "concat+auxiliary"):
        network, rows = critic(ways), joint_rows()
        with torch.no_grad():
            network.head.weight.zero_()
            network.head.bias.copy_(torch.tensor([2.0, 0.0, 1.0, 2.0]))
        logs = torch.log_softmax(torch.tensor([0.0, 1.0, 2.0]), 0)
        expected = (rows[:, 3] - 2).square() / 2 - (rows[:, 4:] * logs).sum(1)
        torch.testing.assert_close(network.surprise(rows), expected)
    network = critic("concat+auxiliary")  # its head must not see what it is to predict
    other = joint_rows()
    other[:, 4:] = other[:, 4:].roll(1, 1)
    with torch.no_grad():
        network.head.weight.copy_(torch.randn(4, 8, generator=rng(5)))
        probabilities = [torch.exp(-(network.surprise(r) - _half_square(network, r))) for r in _all_levels(other)]
    torch.testing.assert_close(torch.stack(probabilities).sum(0), torch.ones(6))


def _all_levels(rows: Tensor) -> list[Tensor]:
    return [torch.cat([rows[:, :4], torch.eye(3)[torch.full((len(rows),), level)]], 1) for level in range(3)]


def _half_square(network: ConditionalCritic, rows: Tensor) -> Tensor:
    h = network.core.features(torch.cat([rows[:, :3], torch.zeros(len(rows), 4)], 1))
    return (network.head(h)[:, 0] - rows[:, 3]).square() / 2


def test_film_begins_as_nothing_and_then_scales_and_shifts() -> None:
    film, c = Film(2, [3], generator=rng()), torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    h = torch.randn(2, 3, 4, 5, generator=rng(1))
    torch.testing.assert_close(film.at(c)(0, h), h)
    with torch.no_grad():
        film.maps[0].weight[:, 0] = torch.tensor([1.0, 1, 1, 5, 5, 5])
    torch.testing.assert_close(film.at(c)(0, h), torch.stack([2 * h[0] + 5, h[1]]))


@pytest.mark.parametrize("ways", ["concat", "film+projection"])
def test_what_is_given_stays_in_the_row(ways: str, frame: pl.DataFrame) -> None:
    cases = [
        (np.random.default_rng(0).normal(size=(60, 3)), [0, 2]),
        (np.random.default_rng(0).integers(0, 256, (60, 8, 8), dtype=np.uint8), np.arange(60) % 4),
        (np.random.default_rng(0).integers(0, 256, (60, 20, 18, 3), dtype=np.uint8), np.eye(60, 24)),
        (frame, ["town", "area"]),
    ]
    for data, given in cases:
        model = GAN(**{**TINY, "steps": 1}, conditioning=ways).fit(data, given=given, progress=False)
        generator, critic = model.generator_, model.critic_
        places = model.network_["given"]["places"]
        noise = generator.noise(10, generator=rng(1))
        c = generator.conditions.draw(10, generator=rng(2))
        rows = generator(generator.given(noise, c))
        seen = rows[:, places] if places else rows[:, -c.shape[1] :]
        torch.testing.assert_close(seen, c, rtol=0, atol=0)
        assert critic(rows).shape == (10,)
        # and the rest depends on it
        other = generator(generator.given(noise, c.roll(1, 0)))
        assert ways != "concat" or not torch.equal(rows, other)


def test_a_table_s_categories_start_from_those_given() -> None:
    """`b` is a function of `a`; given a, the fitted base knows b before any game. False failures: < 1e-6."""
    a = np.arange(2000) % 3
    frame = pl.DataFrame({"b": np.array(["x", "y", "z"])[(a + 1) % 3], "a": np.array(["k", "l", "m"])[a]})
    codec = TableCodec.fit(sources.read(frame))
    rows = codec.encode(sources.read(frame))
    said = find(codec, ["a"], rows)
    kept = Conditions(said.layout, 30, balanced=False, device=torch.device("cpu"))
    made = TabularGenerator(codec.blocks, width=8, depth=1, conditions=kept, places=said.places, generator=rng())
    kept.hold(said.codes[:30])
    made.warm_start(codec.expand(rows), generator=rng(1))
    drawn = codec.decode(made(made.noise(500, generator=rng(2)))).values
    joint = dict(zip("klm", "yzx", strict=True))
    assert (drawn["b"] == drawn["a"].replace_strict(joint)).mean() > 0.98
    assert drawn["a"].n_unique() == 3


# ---- balance


def test_batches_follow_the_chances() -> None:
    """A pass takes row i floor(n p_i) or ceil(n p_i) times."""
    chances = torch.tensor([5.0, 1, 1, 1, 0, 0.5, 0.5, 1])
    rows = torch.arange(8.0)[:, None]
    whole = Batches(rows, lambda x: x, 8, seed=0, device=torch.device("cpu"), chances=chances)
    for _ in range(20):
        counts = torch.bincount(whole()[:, 0].long(), minlength=8)
        exact = 8 * chances / chances.sum()
        assert (counts >= exact.floor() - 1e-9).all()
        assert (counts <= exact.ceil() + 1e-9).all()
    assert sorted(Batches(rows, lambda x: x, 8, seed=0, device=torch.device("cpu"))()[:, 0].tolist()) == list(range(8))


def test_balance_makes_levels_alike(frame: pl.DataFrame) -> None:
    codec = TableCodec.fit(sources.read(frame))
    rows = codec.encode(sources.read(frame))
    town = frame["town"].to_numpy()

    def of_levels(given: Given, balance: float) -> np.ndarray:
        chances = given.chances(balance)
        assert chances is not None
        p = (chances / chances.sum()).numpy()
        return np.array([p[town == name].sum() for name in ("north", "south", "west")])

    one = find(codec, ["town"], rows)
    np.testing.assert_allclose(of_levels(one, 1.0), 1 / 3)
    share = np.array([(town == name).mean() for name in ("north", "south", "west")])
    np.testing.assert_allclose(of_levels(one, 0.5), np.sqrt(share) / np.sqrt(share).sum())
    assert one.chances(0.0) is None
    # of two columns, each is balanced half of the time: that of towns among rows of balanced heat is what is left
    both = of_levels(find(codec, ["town", "heat"], rows), 1.0)
    np.testing.assert_allclose(both, (1 / 3 + of_levels(find(codec, ["heat"], rows), 1.0)) / 2 * 1.0, atol=0.2)
    assert both[2] > 0.15
    with pytest.raises(InputError, match="no category is given"):
        find(codec, ["price"], rows).chances(0.5)


def test_a_balanced_model_draws_as_the_data_are(frame: pl.DataFrame) -> None:
    """West has 3 % of rows: a third while training, 3 % of samples. False failures: < 1e-6."""
    model = GAN(**TINY, balance=1.0).fit(frame, given="town", progress=False)
    share = (frame["town"] == "west").mean()
    drawn = (model.sample(8000, seed=0)["town"] == "west").mean()
    assert abs(drawn - share) < 5 * math.sqrt(share / 8000)
    training = model.generator_.train().noise(8000, generator=rng(1))
    names = model.codec_.fields[0].levels.names.to_list()
    assert abs(training[:, -3:].mean(0)[names.index("west")] - 1 / 3) < 5 * math.sqrt(0.25 / 8000)


# ---- learning


@pytest.mark.parametrize("ways", ["concat", "projection", "auxiliary", "film", "film+concat+projection+auxiliary"])
def test_every_way_of_conditioning_learns(ways: str) -> None:
    """Labels say on which side points lie, three deviations from the middle. Deterministic on one machine; a generator
    that ignores its label is right half of the time, and would pass with probability < 1e-30."""
    side = np.arange(1000) % 2
    x = np.random.default_rng(0).normal(size=(1000, 2)) * 0.3 + np.stack([2 * side - 1, 0 * side], 1)
    model = GAN(steps=60, width=16, depth=1, batch_size=64, learning_rate=3e-3, device="cpu", conditioning=ways)
    model.fit(x, given=np.array(["left", "right"])[side], progress=False)
    asked = np.repeat(["left", "right"], 300)
    drawn = model.sample(600, given=asked, seed=1)
    assert ((drawn[:, 0] > 0) == (asked == "right")).mean() > 0.7
    names = set(model.history_[-1])
    assert ("class_loss" in names) == ("auxiliary" in ways)


def test_numbers_are_followed() -> None:
    """Points whose second coordinate is the first plus a little; and vectors beside them say where they are."""
    draw = np.random.default_rng(0)
    x = draw.normal(size=(1000, 1))
    rows = np.concatenate([x, x + 0.1 * draw.normal(size=(1000, 1))], 1)
    how: Mapping[str, Any] = {**TINY, "steps": 80, "width": 16, "batch_size": 64, "learning_rate": 3e-3}
    model = GAN(**how).fit(rows, given=[0], progress=False)
    asked = np.linspace(-1.5, 1.5, 400)
    drawn = model.sample(400, given=asked[:, None], seed=0)
    np.testing.assert_array_equal(drawn[:, 0], asked)
    assert np.corrcoef(drawn[:, 1], asked)[0, 1] > 0.8
    inside = model.sample(300, given={0: ">1"}, seed=0)
    assert (inside[:, 0] > 1).all()
    beside = GAN(**how).fit(rows, given=np.concatenate([x, -x], 1), progress=False)
    drawn = beside.sample(300, given=np.array([1.0, -1.0]), seed=0)
    assert drawn.shape == (300, 2)
    assert (drawn[:, 0] > 0).mean() > 0.8
    with pytest.raises(InputError, match=r"conditions are of 2 numbers"):
        beside.sample(5, given=np.ones((5, 3)))


# ---- asking


def test_given_columns_are_exactly_what_was_asked(run: Path, frame: pl.DataFrame) -> None:
    model = load(run)
    drawn = model.sample(50, given={"town": "west", "price": 1234.56}, seed=0)
    assert drawn.schema == frame.schema
    assert (drawn["town"] == "west").all()
    assert (drawn["price"] == 1234.56).all()
    ranged = model.sample(200, given={"price": "500..1000"}, seed=0)
    assert ranged["price"].is_between(500, 1000).all()
    assert ranged["price"].is_in(frame["price"].implode()).all()  # as they are in training rows, town and all
    pairs = frame.select("town", "price")
    assert len(ranged.select("town", "price").join(pairs, on=["town", "price"], how="anti")) == 0
    rows = frame.select("price", "town").sample(40, seed=1)
    followed = model.sample(40, given=rows, seed=0)
    assert followed.select("price", "town").equals(rows)


def test_columns_that_were_not_given_are_met_by_rejection(free: GAN, run: Path) -> None:
    """Of an unconditional model: those of its samples that meet it, in their order."""
    asked = {"town": "south", "rooms": ">=3"}
    everything = free.sample(16_384, seed=4)
    right = everything.filter((pl.col("town") == "south") & (pl.col("rooms") >= 3))
    drawn = free.sample_dataset(300, given=asked, seed=4)
    assert drawn.values.equals(right[:300])
    report = drawn.made_by["given"]
    assert report["asked"] == "town=south, rooms>=3"
    assert report["tried"] == 8192
    assert report["kept"] == len(everything[:8192].filter((pl.col("town") == "south") & (pl.col("rooms") >= 3)))
    assert report["share"] == report["kept"] / 8192
    both = load(run).sample(100, given={"town": "south", "rooms": "2|3", "area": None}, seed=0)
    assert (both["town"] == "south").all()
    assert both["rooms"].is_in([2, 3]).all()
    assert both["area"].is_null().all()
    nothing_rejected = load(run).sample_dataset(20, given={"town": "west"}, seed=0).made_by["given"]
    assert nothing_rejected == {"asked": "town=west", "tried": 20, "kept": 20, "share": 1.0}


def test_too_few_are_refused_and_never_given(free: GAN, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(conditional, "LEAST", 10_000)
    monkeypatch.setattr(conditional, "TRIES", 2)
    top = float(free.codec_.fields[3].marginal.values[-1] * 0.01)  # ticks are hundredths
    with pytest.raises(InputError, match=r"of 16,384 drawn rows [\d,]+ meet it, not the 5,000 asked.*with price given"):
        free.sample(5000, given={"price": f">={0.999 * top:.2f}"}, seed=0)


def test_shares_are_kept_to_the_row(run: Path, free: GAN) -> None:
    for model in (load(run), free):
        drawn = model.sample(101, given={"town": {"west": 0.5, "north": 0.3, "south": 0.2}}, seed=0)
        counts = dict(drawn["town"].value_counts().iter_rows())
        assert sorted(counts.values()) == sorted([51, 30, 20]) or sorted(counts.values()) == sorted([50, 30, 21])
        assert counts["west"] >= 50
        assert drawn["town"][:50].n_unique() == 3  # shuffled
    two = free.sample(60, given={"town": "north:1|south:1", "heat": "gas:2|oil:1"}, seed=0)
    assert two.group_by("town", "heat").len()["len"].sort().to_list() == [10, 10, 20, 20]


def test_seeds_and_numbers(run: Path) -> None:
    model = load(run)
    for given in ({"town": "north"}, {"price": ">1000"}, {"price": 900.0}, {"rooms": "4|5"}):
        many, few = model.sample(60, given=given, seed=3), model.sample(20, given=given, seed=3)
        assert many[:20].equals(few)
        assert not model.sample(20, given=given, seed=4).equals(few)
        assert not model.sample(20, given=given).equals(model.sample(20, given=given))


def test_a_combination_that_was_never_seen_is_warned_of(frame: pl.DataFrame) -> None:
    model = GAN(**TINY).fit(frame, given=["town", "heat"], progress=False)
    with pytest.warns(UserWarning, match=r"no training row has town=west, heat=oil together"):
        drawn = model.sample_dataset(10, given={"town": "west", "heat": "oil"}, seed=0)
    assert drawn.values.select("town", "heat").unique().rows() == [("west", "oil")]
    assert "never" in drawn.made_by["given"]["note"] or "no training row" in drawn.made_by["given"]["note"]
    with pytest.warns(UserWarning, match=r"2 rows ask for what no training row has together \(town=west, heat=oil\)"):
        model.sample(3, given=pl.DataFrame({"town": ["west", "west", "north"], "heat": ["oil", "oil", "gas"]}))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model.sample(3, given={"town": "west", "heat": "gas"})


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"city": "x"}, r"no column 'city'.*town, heat, rooms, price, area"),
        ({"town": "east"}, r"town=east: no training row has it; town has north, south, west"),
        ({"price": 1e9}, r"outside of what training rows have"),
        (pl.DataFrame({"town": ["west"] * 3}), r"the column 'price' is missing; this model is given town, price"),
        (pl.DataFrame({"town": ["west"], "price": [900.0]}), r"1 conditions are given for 3 samples"),
        (pl.DataFrame({"town": ["west", "east", "west"], "price": [900.0] * 3}), r"row 2: .*town='east'"),
        (pl.DataFrame({"town": ["west", None, "west"], "price": [900.0] * 3}), r"row 2: .*town=None"),
        (pl.DataFrame({"town": ["west"] * 3, "price": [900.0] * 3, "rooms": [1] * 3}), r"'rooms' is not given to this"),
        (["a", "b", "c"], r"give a frame"),
    ],
)
def test_what_cannot_be_asked(given: Any, message: str, run: Path) -> None:
    with pytest.raises(InputError, match=message):
        load(run).sample(3, given=given)


def test_a_model_that_is_given_nothing_says_so(free: GAN) -> None:
    images = GAN(**TINY).fit(np.zeros((40, 8, 8), dtype=np.uint8), progress=False)
    with pytest.raises(InputError, match=r"nothing can be asked of this model by name; fit it with given=labels"):
        images.sample(3, given={"label": 1})
    with pytest.raises(InputError, match=r"fitted with nothing given"):
        free.sample(3, given=pl.DataFrame({"town": ["west"] * 3}))


# ---- fitting


@pytest.mark.parametrize(
    ("data", "given", "message"),
    [
        ("frame", ["town", "city"], r"no column 'city' to be given; it has town, heat"),
        ("frame", ["town", "heat", "rooms", "price", "area"], r"leaves nothing to learn"),
        ("frame", np.arange(ROWS), r"is a table, of which given names columns"),
        ("points", [2], r"there is no column 2; its points have columns 0 to 1"),
        ("points", [0, 1], r"leave at least one to learn"),
        ("points", np.arange(7), r"7 conditions are given for the 50 rows"),
        ("points", np.zeros(50), r"holds one value throughout"),
        ("points", "nowhere.npy", r"nowhere.npy: no such file of conditions"),
    ],
)
def test_what_cannot_be_given(data: str, given: Any, message: str, frame: pl.DataFrame) -> None:
    rows = frame if data == "frame" else np.random.default_rng(0).normal(size=(50, 2))
    with pytest.raises(InputError, match=message):
        GAN(**TINY).fit(rows, given=given, progress=False)


def test_parameters_are_checked(frame: pl.DataFrame) -> None:
    for parameters, message in (
        ({"conditioning": "concat+glue"}, r"unknown conditioning 'glue'; known: concat, projection"),
        ({"balance": 2}, r"balance is between 0"),
        ({"class_weight": 0}, r"class_weight must be"),
    ):
        with pytest.raises(InputError, match=message):
            GAN(**TINY, **parameters).fit(frame, given="town", progress=False)
    with pytest.raises(InputError, match=r"about what is given, and nothing is"):
        GAN(**TINY, balance=0.5).fit(frame, progress=False)


def test_labels_of_every_sort_are_read() -> None:
    data = sources.read(np.random.default_rng(0).normal(size=(6, 2)))
    for labels in ([0, 1, 2] * 2, np.array(list("abcabc")), torch.tensor([0, 1] * 3), pl.Series([True, False] * 3)):
        beside, columns = attach(data, labels)
        assert columns == ()
        assert beside.given is not None
        assert beside.given.kind == "table"
        assert TableCodec.fit(beside.given).n_numeric == 0
    assert attach(data, np.linspace(0, 1, 6))[0].given.values["label"].dtype == pl.Float64
    assert attach(data, np.ones((6, 3)))[0].given.kind == "points"


def test_saved_resumed_and_loaded(frame: pl.DataFrame, tmp_path: Path) -> None:
    def stop(event: Event) -> None:
        if event.kind == "log" and event.step == 7:
            os.kill(os.getpid(), signal.SIGINT)

    how = {**TINY, "checkpoint_every": 5, "balance": 0.5, "conditioning": "concat+projection+auxiliary"}
    whole = GAN(**how).fit(frame, given=["town"], out=tmp_path / "whole", progress=False)
    assert GAN(**how).fit(frame, given=["town"], out=tmp_path / "run", progress=stop).interrupted_
    with pytest.raises(InputError, match=r"started with town given, now heat"):
        GAN(**how).fit(frame, given=["heat"], out=tmp_path / "run", resume=True, progress=False)
    resumed = GAN(**how).fit(frame, given=["town"], out=tmp_path / "run", resume=True, progress=False)
    assert resumed.id_ == whole.id_
    given = {"town": "west", "price": ">500"}
    loaded = load(tmp_path / "run")
    assert loaded.sample(30, given=given, seed=1).equals(whole.sample(30, given=given, seed=1))
    assert loaded.sample(30, seed=1).equals(whole.sample(30, seed=1))


def test_rows_held_out_come_with_their_conditions() -> None:
    x, y = np.random.default_rng(0).normal(size=(80, 2)), np.arange(80) % 3
    with pytest.raises(InputError, match=r"holdout: what is given is missing"):
        GAN(**TINY).fit(x[:60], given=y[:60], holdout=x[60:], progress=False)
    model = GAN(**TINY).fit(x[:60], given=y[:60], holdout=(x[60:], y[60:]), progress=False)
    assert len(model.history_) == 12


def test_networks_are_built_alike_from_their_description(run: Path) -> None:
    model = load(run)
    made, critic = networks(model.codec_, model.network_, rng(), class_weight=1.0)
    assert {n: v.shape for n, v in made.state_dict().items()} == {
        n: v.shape for n, v in model.generator_.state_dict().items()
    }
    assert critic is not None


# ---- the command line


def test_fit_and_sample_given_columns(frame: pl.DataFrame, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data, folder, out = tmp_path / "d.csv", tmp_path / "run", tmp_path / "s.csv"
    frame.write_csv(data)
    words = ["--steps", "4", "--batch-size", "32", "--balance", "0.5"]
    assert main(["fit", str(data), "--given", "town", "--given", "heat", "--out", str(folder), *words]) == 0
    assert load(folder).network_["given"]["columns"] == ["town", "heat"]
    command = ["sample", str(folder), "-n", "40", "--out", str(out), "--seed", "1", "--force"]
    assert main([*command, "--given", "town=south", "--given", "price>500", "--given", "price<=5000"]) == 0
    said = " ".join(capsys.readouterr().out.split())
    drawn = pl.read_csv(out)
    assert (drawn["town"] == "south").all()
    assert drawn["price"].is_between(500, 5000, closed="right").all()
    assert len(drawn) == 40
    assert "Asked: town=south, price>500, price<=5000." in said
    assert "drawn rows met it" in said
    assert sources.read(str(out)).made_by["given"]["asked"] == "town=south, price>500, price<=5000"
    for wrong, message in (("town=east", "town has north, south, west"), ("city=x", "no column 'city'")):
        assert main([*command, "--given", wrong]) == 2
        assert message in " ".join(capsys.readouterr().err.split())
    assert main(["fit", str(data), "--given", "city", "--out", str(tmp_path / "r2")]) == 2
    assert "no column 'city' to be given" in " ".join(capsys.readouterr().err.split())
    assert main(["fit", str(data), "--model", "drifting", "--given", "town", "--out", str(tmp_path / "r2")]) == 2
    assert "--given is not for --model drifting" in " ".join(capsys.readouterr().err.split())


def test_fit_and_sample_given_classes_of_images(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    draw = np.random.default_rng(0)
    for name in ("cat", "dog"):
        (tmp_path / "pictures" / name).mkdir(parents=True)
        for i in range(20):
            picture = draw.integers(0, 256, (8, 8), dtype=np.uint8)
            Image.fromarray(picture).save(tmp_path / "pictures" / name / f"{i}.png")
    folder, out = tmp_path / "run", tmp_path / "s.npz"
    fit = ["fit", str(tmp_path / "pictures"), "--given", "label", "--holdout", "0.2", "--steps", "3"]
    assert main([*fit, "--batch-size", "16", "--out", str(folder)]) == 0
    assert main(["sample", str(folder), "-n", "6", "--out", str(out), "--given", "label=cat"]) == 0
    assert sources.read(str(out)).values.shape == (6, 1, 8, 8)
    np.save(tmp_path / "asked.npy", np.array(["cat", "dog", "dog"]))
    asked = ["--given", str(tmp_path / "asked.npy"), "--out", str(out), "--force"]
    assert main(["sample", str(folder), "-n", "3", *asked]) == 0
    capsys.readouterr()
    assert main(["sample", str(folder), "-n", "3", "--out", str(out), "--force", "--given", "label=cow"]) == 2
    assert "label=cow: no training row has it; label has" in " ".join(capsys.readouterr().err.split())
    described = json.loads((folder / "model.json").read_text())
    assert described["network"]["given"]["levels"] == [2]
