"""MADE: masses that add up to one, exact conditional laws against a table of joint frequencies, and its manners."""

from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch
from scipy import integrate, stats
from sklearn.base import clone

from pushforward.data.tables import Block
from pushforward.errors import InputError
from pushforward.models.autoregressive import MADE
from pushforward.nets.cells import RowCells, ToneCells, cells_of, layout_of
from pushforward.nets.event import Event
from pushforward.nets.made import AnyOrder, MADENet
from pushforward.training.draw import Draw, Moment

TINY: dict[str, Any] = {"width": 32, "depth": 1, "device": "cpu", "validation": 0.0}
MIXED = Event(
    "table",
    (7,),
    (
        Block("a", "numeric", 0, 1, 1),
        Block("b", "numeric", 1, 2, 1),
        Block("b", "category", 2, 4, 2),
        Block("k", "category", 4, 7, 3),
    ),
)


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def shaken(net: torch.nn.Module, seed: int = 1) -> Any:
    """Every weight drawn anew, so that nothing is at its first value."""
    generator = rng(seed)
    with torch.no_grad():
        for weight in net.parameters():
            weight.copy_(0.7 * torch.randn(weight.shape, generator=generator) / max(1, weight.shape[-1]) ** 0.5)
    return net.double().requires_grad_(False)


def made(event: Event, **options: Any) -> Any:
    return shaken(MADENet(cells_of(event), event.shape, width=20, depth=2, generator=rng(), **options))


# ---- the law


@pytest.mark.parametrize(("orders", "shuffled"), [(1, False), (1, True), (3, False)])
def test_masses_of_all_binary_pictures_add_up_to_one(orders: int, shuffled: bool) -> None:
    """2^9 pictures, weights at random; and no two orders give the same law."""
    event = Event("images", (1, 3, 3), shades=(0, 255))
    net = made(event, orders=orders, shuffled=shuffled)
    x = torch.tensor(list(product([-1.0, 1.0], repeat=9)), dtype=torch.float64).view(-1, 1, 3, 3)
    mass = net.log_prob(x).exp()
    assert float(mass.sum()) == pytest.approx(1, abs=1e-12)
    assert float(mass.max() / mass.min()) > 10  # far from uniform
    other = made(event, orders=orders, shuffled=shuffled)
    other.ranks.copy_(other.ranks.flip(1))
    assert not torch.allclose(other.log_prob(x).exp(), mass, rtol=0.01)


def test_masses_given_a_condition_add_up_to_one() -> None:
    net = made(Event("images", (1, 2, 2), shades=(0, 128, 255), given=2), context=2)
    values = [shade / 127.5 - 1 for shade in (0, 128, 255)]
    x = torch.tensor(list(product(values, repeat=4)), dtype=torch.float64).view(-1, 1, 2, 2)
    laws = []
    for c in ([0.3, -1.0], [2.0, 1.0]):
        laws.append(net.log_prob(x, c=torch.tensor([c], dtype=torch.float64).expand(len(x), -1)).exp())
        assert float(laws[-1].sum()) == pytest.approx(1, abs=1e-12)
    assert float((laws[0] - laws[1]).abs().max()) > 1e-3


def test_no_unit_sees_itself_or_a_later_one() -> None:
    """The gradient of a unit's surprise by every other unit, for mixed rows in a drawn order."""
    cells = RowCells(layout_of(MIXED))
    net = shaken(MADENet(cells, (7,), shuffled=True, width=20, depth=2, generator=rng(3)))
    x = torch.tensor([[0.4, -0.2, 1.0, 0.0, 0.0, 1.0, 0.0]], dtype=torch.float64, requires_grad=True)
    rank = net.ranks[0]
    read: list[torch.Tensor] = []
    out = net.laws(x, rank)
    for unit in range(cells.units):
        mine = out[:, cells.writes == unit].square().sum()
        (slope,) = torch.autograd.grad(mine, x, retain_graph=True)
        sees = {int(cells.place[i]) for i in slope[0].nonzero().flatten()}
        assert sees <= {u for u in range(cells.units) if rank[u] < rank[unit]}
        read.append(slope)
    last = int(rank.argmax())
    assert len({int(cells.place[i]) for i in read[last][0].nonzero().flatten()}) == cells.units - 1


def test_a_mixed_table_has_total_mass_one() -> None:
    """Sum over the categories of the integral over the numbers; a number that is missing has no density."""
    net = shaken(MADENet(RowCells(layout_of(MIXED)), (7,), width=20, depth=1, generator=rng(2)))
    # a narrow component would need a fine grid
    with torch.no_grad():
        for weight in net.leave.weight, net.direct.weight:
            weight *= 0.3
    axis = np.linspace(-20, 20, 161)
    total = 0.0
    for there, kind in product([1.0, 0.0], range(3)):
        k = [float(i == kind) for i in range(3)]
        grid = torch.tensor(list(product(axis, axis if there else [0.0])), dtype=torch.float64)
        tail = torch.tensor([[there, 1 - there, *k]], dtype=torch.float64).expand(len(grid), -1)
        with torch.no_grad():
            p = net.log_prob(torch.cat([grid, tail], 1)).exp().view(len(axis), -1).numpy()
        whole = integrate.simpson(p, x=axis, axis=0)
        total += float(integrate.simpson(whole, x=axis)) if there else float(whole[0])
    assert total == pytest.approx(1, abs=2e-3)


def test_masses_of_all_tones_add_up_to_one() -> None:
    """256 shades of a pixel under mixtures of discretised logistics, sharp ones too."""
    cells = ToneCells(Event("images", (1, 1, 1), shades=tuple(range(256))))
    x = torch.arange(256, dtype=torch.float64)[:, None] / 127.5 - 1
    for seed in range(5):
        out = 3 * torch.randn(1, 15, generator=rng(seed), dtype=torch.float64)
        out[:, 10:] -= 2
        mass = torch.exp(-cells.surprise(out.expand(256, -1), x))
        assert float(mass.sum()) == pytest.approx(1, abs=1e-9)


def test_any_order_at_its_end_is_exact() -> None:
    """The chain rule of two units by hand, and the training loss's mean over orders is the likelihood's."""
    event = Event("table", (5,), (Block("a", "category", 0, 2, 2), Block("k", "category", 2, 5, 3)))
    net = shaken(AnyOrder(layout_of(event), (5,), orders=1, width=16, depth=1, generator=rng()))
    eyes = [torch.eye(2, dtype=torch.float64), torch.eye(3, dtype=torch.float64)]
    x = torch.stack([torch.cat([a, k]) for a in eyes[0] for k in eyes[1]])
    own = net.log_prob(x, generator=rng())
    assert float(own.exp().sum()) == pytest.approx(1, abs=1e-12)
    net.ranks.copy_(net.ranks.flip(1))
    other = net.log_prob(x, generator=rng())
    assert float(other.exp().sum()) == pytest.approx(1, abs=1e-12)
    rows = x[4:5].expand(50_000, -1)
    told = net.learn(rows, Moment(0, 1, Draw(rng(5))))["nll"]
    truth = -float(own[4] + other[4]) / 2
    assert abs(float(told.mean()) - truth) < 5.5 * float(told.std()) / 50_000**0.5  # 1e-7


# ---- drawing


@pytest.mark.parametrize("orders", [1, 3])
def test_draws_have_the_masses_that_are_told(orders: int) -> None:
    """Chi-squared of 40,000 draws over the 16 binary pictures, at 1e-6; it catches masses that are off by 5 %."""
    event = Event("images", (1, 2, 2), shades=(0, 255))
    net = made(event, orders=orders)
    x = torch.tensor(list(product([-1.0, 1.0], repeat=4)), dtype=torch.float64).view(-1, 1, 2, 2)
    with torch.no_grad():
        mass = net.log_prob(x).exp().numpy()
        drawn = net(net.noise(40_000, generator=rng(7)).double()).flatten(1)
    code = ((drawn > 0).long() @ torch.tensor([8, 4, 2, 1])).numpy()
    assert stats.chisquare(np.bincount(code, minlength=16), 40_000 * mass).pvalue > 1e-6


def test_tones_are_drawn_by_their_masses() -> None:
    cells = ToneCells(Event("images", (1, 1, 1), shades=tuple(range(256))))
    out = torch.tensor([[0.0, 0.5, -1, 0, 0, -1.0, -0.4, 0.1, 0.6, 1.0, -2, -2, -1, -2, 0.0]])
    x = torch.arange(256)[:, None] / 127.5 - 1
    mass = torch.exp(-cells.surprise(out.expand(256, -1), x)).double().flatten().numpy()
    drawn = cells.draw(out.expand(50_000, -1), cells.noise(50_000, generator=rng(2)))
    counts = np.bincount(((drawn.flatten() + 1) * 127.5).round().long().numpy(), minlength=256)
    assert stats.chisquare(counts, 50_000 * mass / mass.sum()).pvalue > 1e-6


# ---- the estimator


@pytest.fixture(scope="module")
def table() -> pl.DataFrame:
    draw = np.random.default_rng(1)
    kind = draw.choice(["low", "mid", "high"], size=2000, p=[0.5, 0.3, 0.2])
    shift = np.select([kind == "low", kind == "mid"], [-3.0, 0.0], 3.0)
    x = shift + 0.5 * draw.normal(size=2000)
    flag = np.where(draw.random(2000) < np.where(kind == "high", 0.9, 0.1), "yes", "no")
    hole = [
        None if one < 0.3 else float(v) for one, v in zip(draw.random(2000), x + draw.normal(size=2000), strict=True)
    ]
    return pl.DataFrame({"kind": kind, "x": x, "flag": flag, "hole": hole})


@pytest.fixture(scope="module")
def anyway(table: pl.DataFrame) -> MADE:
    return MADE(order="any", steps=250, learning_rate=6e-3, batch_size=128, **TINY).fit(table, progress=False)


def test_any_columns_can_be_given_together(table: pl.DataFrame, anyway: MADE) -> None:
    """What is asked is held exactly; the rest follows it; and what is asked as a range is met by rejection."""
    found = anyway.sample(2000, given={"kind": "high"}, seed=1)
    assert set(found["kind"]) == {"high"}
    of = table.filter(pl.col("kind") == "high")
    assert abs(found["x"].mean() - of["x"].mean()) < 0.4  # of a spread of 2.4 over all kinds
    assert abs(float((found["flag"] == "yes").mean()) - 0.9) < 0.1
    assert found["hole"].null_count() > 300
    found = anyway.sample(400, given={"x": float(table["x"][0]), "flag": "yes"}, seed=1)
    assert found["x"].n_unique() == 1
    assert found["x"][0] == pytest.approx(table["x"][0])
    assert set(found["flag"]) == {"yes"}
    both = anyway.sample_dataset(300, given={"kind": "low", "x": "<-3"}, seed=2)
    assert set(both.values["kind"]) == {"low"}
    assert both.values["x"].max() < -3
    assert both.made_by is not None
    assert 0.3 < both.made_by["given"]["share"] < 0.7  # half of the low ones, not a sixth of all
    shared = anyway.sample(100, given={"kind": {"low": 0.25, "high": 0.75}}, seed=3)
    assert dict(shared["kind"].value_counts().iter_rows()) == {"low": 25, "high": 75}
    few = anyway.sample(30, given={"kind": "high"}, seed=1)
    assert few.equals(anyway.sample(2000, given={"kind": "high"}, seed=1)[:30])


def test_any_order_of_points() -> None:
    """y = x + noise: given x, y is near it."""
    draw = np.random.default_rng(0)
    x = draw.normal(size=(2000, 1))
    rows = np.hstack([x, x + 0.1 * draw.normal(size=(2000, 1))])
    model = MADE(order="any", orders=2, steps=150, learning_rate=6e-3, batch_size=128, **TINY).fit(rows, progress=False)
    found = model.sample(500, given={"1": 1.5}, seed=0)
    np.testing.assert_allclose(found[:, 1], 1.5)
    assert abs(found[:, 0].mean() - 1.5) < 0.3
    assert found[:, 0].std() < 0.6
    assert bool(model.log_prob(rows).isfinite().all())


class Alone(MADE):
    """In the columns' own coordinates: untrained, it is the law of independent columns."""

    def _joint(self) -> bool:
        return False


def test_the_likelihood_of_tables_beats_independence(table: pl.DataFrame) -> None:
    """Of held-out rows, by more than a nat: x, kind and flag hang together; every order is near the others."""
    told = {}
    for name, options in {"natural": {}, "random": {"order": "random"}, "three": {"orders": 3}}.items():
        model = MADE(steps=150, learning_rate=6e-3, batch_size=128, **TINY, **options)  # type: ignore[arg-type]
        told[name] = float(model.fit(table[:1500], progress=False).log_prob(table[1500:]).mean())
        drawn = model.sample(1500, seed=2)
        assert drawn.schema == table.schema
        assert drawn.filter(pl.col("kind") == "high")["x"].median() > 2
    apart = Alone(steps=1, device="cpu").fit(table[:1500], progress=False).log_prob(table[1500:])
    assert min(told.values()) > float(apart.mean()) + 1
    assert max(told.values()) - min(told.values()) < 0.5


def test_given_columns_labels_and_pictures(table: pl.DataFrame) -> None:
    model = MADE(steps=30, batch_size=128, **TINY).fit(table, given=["kind"], progress=False)
    assert set(model.sample(50, given={"kind": "mid"}, seed=0)["kind"]) == {"mid"}
    draw = np.random.default_rng(3)
    label = np.arange(600) % 2
    pictures = ((draw.random((600, 3, 3)) < np.where(label, 0.9, 0.1)[:, None, None]) * 255).astype(np.uint8)
    beside = MADE(steps=120, learning_rate=0.01, batch_size=128, **TINY).fit(pictures, given=label, progress=False)
    truth = 9 * (0.9 * np.log(0.9) + 0.1 * np.log(0.1))
    assert float(beside.log_prob(pictures, given=label).mean()) == pytest.approx(truth, abs=0.25)
    assert (
        beside.sample(200, given=1, seed=0).mean() > 0.8 * 255 > 0.2 * 255 > beside.sample(200, given=0, seed=0).mean()
    )


def test_a_shade_that_training_never_had_has_no_mass() -> None:
    pictures = np.random.default_rng(0).choice([0, 100, 255], size=(200, 2, 2)).astype(np.uint8)
    model = MADE(steps=20, **TINY).fit(pictures, progress=False)
    odd = pictures[:3].copy()
    odd[1, 0, 0] = 77
    told = model.log_prob(odd)
    assert told.isfinite().tolist() == [True, False, True]
    assert float(told[1]) == -np.inf
    many = np.random.default_rng(0).integers(0, 256, size=(300, 2, 2), dtype=np.uint8)
    wide = MADE(steps=60, **TINY).fit(many, progress=False)
    assert bool(wide.log_prob(many).isfinite().all())
    assert wide.sample(5, seed=0).shape == (5, 2, 2)


@pytest.mark.parametrize("order", ["natural", "any"])
def test_seeds_folders_and_clones(table: pl.DataFrame, tmp_path: Path, order: str) -> None:
    model = MADE(order=order, orders=2, steps=8, **TINY).fit(table, out=tmp_path / "run", progress=False)
    again = MADE.load(tmp_path / "run")
    assert again.sample(40, seed=5).equals(model.sample(40, seed=5))
    assert model.sample(10, seed=5).equals(model.sample(40, seed=5)[:10])
    torch.testing.assert_close(again.log_prob(table), model.log_prob(table), rtol=0, atol=0)
    twin = clone(model).fit(table, progress=False)
    assert twin.sample(40, seed=5).equals(model.sample(40, seed=5))
    assert model.log_prob(table[:1]).shape == (1,)


def test_what_cannot_be_used(table: pl.DataFrame) -> None:
    for options, words in (
        ({"order": "best"}, "unknown order 'best'; known: natural, random, any"),
        ({"orders": 0}, "orders must be a whole number of at least 1, not 0"),
    ):
        with pytest.raises(InputError, match=words):
            MADE(**options).fit(table, progress=False)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="is of points and tables"):
        MADE(order="any").fit(np.zeros((9, 2, 2), dtype=np.uint8), progress=False)
    with pytest.raises(InputError, match="fit it without given"):
        MADE(order="any").fit(table, given=["kind"], progress=False)
    with pytest.raises(InputError, match="no column 'colour'"):
        MADE(order="any", steps=1, **TINY).fit(table, progress=False).sample(3, given={"colour": 1})
