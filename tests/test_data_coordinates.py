"""Joint coordinates: exactly invertible, standard normal on training rows, and idle where there is nothing to find."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import numpy as np
import polars as pl
import pytest
import torch

from pushforward.data import coordinates as module
from pushforward.data.codec import codec_from_dict
from pushforward.data.coordinates import Coordinates, Monotone, from_standard, log_density, split, standard
from pushforward.data.dataset import Dataset
from pushforward.data.tables import TableCodec

N = 3000


def table(frame: pl.DataFrame) -> Dataset:
    return Dataset("table", frame, "here", "polars")


def fitted(frame: pl.DataFrame, **options: int) -> tuple[TableCodec, torch.Tensor, Coordinates | None]:
    codec = TableCodec.fit(table(frame))
    rows = codec.encode(table(frame))
    return codec, codec.expand(rows), Coordinates.fit(codec, rows, **options)


def related(n: int = N, seed: int = 0) -> pl.DataFrame:
    """A box: length, width, and their product to two decimals; a price by grade with heaps; holes in one column."""
    rng = np.random.default_rng(seed)
    length = rng.lognormal(1.5, 0.3, n).round(2)
    width = (length * rng.normal(1, 0.02, n)).round(2)
    grade = rng.integers(0, 3, n)
    price = np.round(length**2 * np.exp(0.5 * grade + 0.1 * rng.normal(size=n)) * 20, -1)
    holed = np.where(rng.random(n) < 0.1, np.nan, length + rng.normal(0, 0.1, n))
    return pl.DataFrame(
        {
            "length": length,
            "width": width,
            "area": (length * width).round(2),
            "price": price.astype(int),
            "holed": holed.round(2),
            "grade": np.array(["a", "b", "c"])[grade],
        }
    )


@pytest.fixture(scope="module")
def box() -> tuple[TableCodec, torch.Tensor, Coordinates]:
    codec, x, found = fitted(related())
    assert found is not None
    return codec, x, found


def test_it_is_exactly_invertible_and_standard_normal_on_training_rows(
    box: tuple[TableCodec, torch.Tensor, Coordinates],
) -> None:
    codec, x, found = box
    k = codec.n_numeric
    e = found.forward(x[:, :k], x[:, k:])
    there = found.there(x[:, k:]) > 0
    assert torch.equal(e == 0, ~there)
    for j in range(k):
        ordered = e[there[:, j], j].sort().values
        ideal = torch.special.ndtri((torch.arange(len(ordered)) + 0.5) / len(ordered))
        assert (ordered - ideal).abs()[30:-30].max() < 0.1  # R makes it so, up to 256 knots
    back = found.inverse(e, x[:, k:])
    assert (back - x[:, :k]).abs().quantile(0.999) < 1e-3
    decoded = codec.with_coordinates(found).decode(torch.cat([e, x[:, k:]], 1)).values
    plain = related()
    for name in plain.columns[:-1]:  # rounding lets the odd value at the edge of its grid cell fall to the neighbour
        assert (decoded[name].to_numpy() == plain[name].to_numpy())[~plain[name].is_nan().to_numpy()].mean() > 0.99


def test_it_takes_relations_out(box: tuple[TableCodec, torch.Tensor, Coordinates]) -> None:
    codec, x, found = box
    k = codec.n_numeric
    names = [b.column for b in codec.blocks[:k]]
    e = found.forward(x[:, :k], x[:, k:])
    whole = (found.there(x[:, k:]) > 0).all(1)
    before, after = (torch.corrcoef(t[whole].T).fill_diagonal_(0).abs().max() for t in (x[:, :k], e))
    assert before > 0.95
    assert after < 0.1  # sampling error of a correlation is about 1/sqrt(2700) = .02
    assert found.gain[names.index("area")] > 2.5 or found.gain[names.index("width")] > 2.5
    # new rows drawn as N(0, I) keep the product: its relative error was 15 % of the spread or more without
    y = x.clone()
    y[:, :k] = torch.randn(len(x), k, generator=torch.Generator().manual_seed(1))
    drawn = codec.with_coordinates(found).decode(y).values
    error = (drawn["area"] / (drawn["length"] * drawn["width"]) - 1).abs()
    assert error.median() < 0.02  # type: ignore[operator]


def test_saved_and_loaded_it_is_the_same(box: tuple[TableCodec, torch.Tensor, Coordinates]) -> None:
    codec, x, found = box
    codec = codec.with_coordinates(found)
    text = json.dumps(codec.to_dict())
    again = codec_from_dict(json.loads(text), {name: t.clone() for name, t in codec.tensors().items()})
    assert isinstance(again, TableCodec)
    assert again.decode(x).values.equals(codec.decode(x).values)
    assert torch.equal(again.encode(table(related())), codec.encode(table(related())))


def test_the_same_seed_gives_the_same_map() -> None:
    frame = related(1000)
    one, two = (fitted(frame, seed=3)[2] for _ in range(2))
    assert one is not None
    assert two is not None
    assert all(torch.equal(a, two.tensors()[name]) for name, a in one.tensors().items())


@pytest.mark.parametrize(
    "frame",
    [
        related(100),  # few rows
        pl.DataFrame({"word": ["a", "b", "c", "d"] * 500}),  # no number
        pl.DataFrame({"x": np.random.default_rng(0).normal(size=(2000))}),  # a number alone
        pl.DataFrame(dict(zip("xyz", np.random.default_rng(0).normal(size=(3, 2000)), strict=True))),  # nothing to find
        pl.DataFrame({"x": [1.5] * 2000, "y": np.random.default_rng(0).normal(size=2000)}),  # a constant
    ],
    ids=["few", "words", "alone", "independent", "constant"],
)
def test_it_is_absent_where_there_is_nothing_to_do(frame: pl.DataFrame) -> None:
    assert fitted(frame)[2] is None


def test_only_explained_slots_take_part() -> None:
    rng = np.random.default_rng(0)
    a, free = rng.normal(size=(2, 2000))
    _, x, found = fitted(pl.DataFrame({"a": a, "free": free, "b": a + 0.1 * rng.normal(size=2000)}))
    assert found is not None
    assert not found.active[1]
    e = found.forward(x[:, :3], x[:, 3:])
    assert torch.equal(e[:, 1], x[:, 1])
    assert sum(found.active) == 1


def test_outliers_heavy_ties_and_holes_everywhere_are_survived() -> None:
    rng = np.random.default_rng(0)
    n = 1500
    a = rng.normal(size=n)
    frame = pl.DataFrame(
        {
            "a": np.where(rng.random(n) < 0.3, 0.0, a),  # a point mass
            "b": np.where(rng.random(n) < 0.01, 1e9, a + 0.01 * rng.normal(size=n)),  # outliers
            "c": np.where(rng.random(n) < 0.97, np.nan, a),  # hardly ever there
            "d": rng.integers(0, 40, n),
            "e": [None] * n,
        },
        schema_overrides={"e": pl.Float64},
    )
    codec, x, found = fitted(frame)
    assert found is not None
    k = codec.n_numeric
    e = found.forward(x[:, :k], x[:, k:])
    assert torch.isfinite(e).all()
    assert torch.isfinite(found.inverse(e, x[:, k:])).all()
    wild = 4 * torch.randn(n, k, generator=torch.Generator().manual_seed(0))
    back = codec.with_coordinates(found).decode(torch.cat([wild, x[:, k:]], 1)).values
    b = frame["b"]
    assert back["b"].min() >= b.min()  # type: ignore[operator]
    assert back["b"].max() <= b.max()  # type: ignore[operator]


def test_a_mixtures_distribution_function_and_density_agree() -> None:
    parts = split(torch.randn(1, 9, generator=torch.Generator().manual_seed(2)))
    r = torch.linspace(-4, 4, 4001)
    parts = tuple(part.expand(len(r), -1) for part in parts)
    density = log_density(r, parts).exp()
    cdf = torch.special.ndtr(standard(r, parts).double())
    slope = (cdf[2:] - cdf[:-2]) / (r[2] - r[0])
    assert (slope - density[1:-1]).abs().max() < 1e-3
    assert (from_standard(standard(r, parts), parts) - r).abs().max() < 1e-4
    far = torch.tensor([-50.0, -20.0, 20.0, 50.0])
    parts = tuple(part[:4] for part in parts)
    assert (from_standard(standard(far, parts), parts) - far).abs().max() < 0.01  # the wide part keeps tails apart


def test_a_monotone_map_inverts_through_ties_and_beyond_its_ends() -> None:
    line = Monotone.through(
        torch.tensor([-1.0, 0, 0, 2], dtype=torch.float64), torch.tensor([0.0, 1, 1, 5], dtype=torch.float64)
    )
    x = torch.tensor([-4.0, -1, -0.5, 1, 2, 7])
    assert torch.allclose(line.inverse(line(x)), x, atol=1e-4)
    assert torch.allclose(line(x), torch.tensor([-3.0, 0, 0.5, 3, 5, 15]), atol=1e-4)
    assert float(line.slope(torch.tensor([1.0]))[0]) == pytest.approx(2, abs=1e-3)


def test_wide_tables_stay_within_their_share_of_work() -> None:
    """The fit's multiplications are bounded: a table of many slots and levels takes fewer steps, not longer."""
    per_step = 6 * module.BATCH * 19 * (500 * module.WIDTH + module.WIDTH**2 + 18 * module.WIDTH)
    assert math.floor(module.OPERATIONS / per_step) < module.STEPS


def test_the_slope_is_that_of_the_map() -> None:
    """ln |det de/du| against finite differences: slots are triangular in the map's order, so the determinant is the
    product of the diagonal ones. The rank maps keep few knots, so that hardly any step crosses a corner."""
    rng = np.random.default_rng(0)
    n = 3000
    x = rng.normal(size=n)
    kind = np.where(rng.random(n) < 0.5, "a", "b")
    y = 2 * x + 0.3 * rng.normal(size=n) + (kind == "a")
    z = np.exp(0.3 * x) + 0.1 * rng.normal(size=n)
    plain = TableCodec.fit(Dataset("table", pl.DataFrame({"x": x, "y": y, "z": z, "kind": kind}), "made"))
    rows = plain.encode(Dataset("table", pl.DataFrame({"x": x, "y": y, "z": z, "kind": kind}), "made"))
    fitted = Coordinates.fit(plain, rows, seed=0)
    assert fitted is not None
    assert sum(fitted.active) >= 2
    few = tuple(Monotone(one.x[::128].contiguous(), one.y[::128].contiguous()) for one in fitted.ranks)
    found = replace(fitted, ranks=few)
    expanded = plain.expand(rows[:400])
    k = plain.n_numeric
    u, onehot = expanded[:, :k], expanded[:, k:]
    step, numeric = 3e-3, torch.zeros(400, dtype=torch.float64)
    for j in range(k):
        up, down = u.clone(), u.clone()
        up[:, j] += step
        down[:, j] -= step
        rise = (found.forward(up, onehot) - found.forward(down, onehot))[:, j].double()
        numeric += torch.log(rise / (2 * step))
    told = found.log_slope(u, onehot)
    assert float(told.std()) > 0.1  # it is not one number for all rows
    assert float((told - numeric).abs().median()) < 2e-3
    assert float((told - numeric).mean().abs()) < 0.01
