"""Filling rows: the law of masks, the conditional law of a cell, and what comes back of a user's rows."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch
from torch import Tensor

from pushforward.data import masks
from pushforward.data.codec import fit_codec
from pushforward.data.dataset import Dataset
from pushforward.data.holes import read_holes
from pushforward.data.marginals import Marginal
from pushforward.data.sources import read
from pushforward.errors import InputError
from pushforward.models import load
from pushforward.models.completing import layout, periods, reading
from pushforward.models.consensus import point_of
from pushforward.models.gan import GAN
from pushforward.models.imputing import Imputer, fill
from pushforward.nets.completer import Completer
from pushforward.nets.masked import Layout, MaskedNet, Reading, _turns

SMALL = {"width": 48, "depth": 2, "device": "cpu"}


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def table(n: int, seed: int = 0) -> pl.DataFrame:
    """`twice` is 2 x + noise of .1, `sign` the sign of x, `level` depends on x with a known law, `gone` is missing in a
    third of the rows, `when` a date that follows x."""
    g = np.random.default_rng(seed)
    x = g.normal(size=n)
    level = np.where(g.random(n) < np.where(x > 0, 0.9, 0.2), "a", "b")
    return pl.DataFrame(
        {
            "x": x,
            "twice": 2 * x + 0.1 * g.normal(size=n),
            "sign": np.where(x > 0, "plus", "minus"),
            "level": level,
            "gone": pl.Series(np.round(x, 1)).zip_with(
                pl.Series(g.random(n) > 1 / 3), pl.Series([None] * n, dtype=pl.Float64)
            ),
            "count": pl.Series(np.rint(20 + 5 * x).astype(np.int64)),
            "when": [dt.date(2020, 1, 1) + dt.timedelta(days=int(d)) for d in np.rint(100 + 20 * x)],
            "same": [7] * n,
        }
    )


@pytest.fixture(scope="module")
def filler() -> Imputer:
    return Imputer(steps=300, batch_size=192, **SMALL).fit(table(3000), progress=False)


# ---- masks


def test_masks_of_rows_reach_every_pattern() -> None:
    """Every unit is seen at (1 - BLANK) / 2; whole rows are unseen at BLANK + (1 - BLANK) / (units + 1), each within
    five standard errors (false failures < 1e-6)."""
    n, units = 40_000, 3
    found = masks.draw(n, (units,), generator=rng())
    assert set(found.unique().tolist()) == {0.0, 1.0}
    p = (1 - masks.BLANK) / 2
    assert (found.mean(0) - p).abs().max() < 5 * (0.25 / n) ** 0.5
    blank = masks.BLANK + (1 - masks.BLANK) / (units + 1)
    assert abs((found.sum(1) == 0).float().mean() - blank) < 5 * (blank * (1 - blank) / n) ** 0.5
    patterns = (found @ torch.tensor([1.0, 2.0, 4.0])).long().bincount(minlength=8)
    assert (patterns > 0.02 * n).all()


def test_masks_of_images_have_holes_and_sides() -> None:
    found = masks.draw(3000, (6, 8), generator=rng()).unflatten(1, (6, 8))
    rows, columns = found.mean(2), found.mean(1)
    upper = ((rows[:, :2] == 0).all(1) & (rows[:, -1] == 1)).float().mean()
    left = ((columns[:, :2] == 0).all(1) & (columns[:, -1] == 1)).float().mean()
    inside = (found[:, 0].all(1) & found[:, -1].all(1) & found[:, :, 0].all(1) & found[:, :, -1].all(1)).float().mean()
    assert upper > 0.02
    assert left > 0.02
    assert inside > 0.05
    assert torch.equal(masks.draw(5, (6, 8), generator=rng(1)), masks.draw(5, (6, 8), generator=rng(1)))


# ---- the network


def net(width: int = 24) -> MaskedNet:
    """Two numbers, the second with a block (value, missing, an atom), and a group of three levels."""
    made = MaskedNet(
        Layout(3, (0, 1), ((0, 3, 1, 1), (3, 6, 2, -1)), (-1, 0)), Reading(2), width=width, depth=2, generator=rng()
    )
    with torch.no_grad():  # away from its first weights, at which nothing depends on anything
        for weight in made.parameters():
            weight.add_(0.3 * torch.randn(weight.shape, generator=rng(3)))
    return made


def some_rows(n: int) -> Tensor:
    g = rng(5)
    onehot = [torch.nn.functional.one_hot(torch.randint(3, (n,), generator=g), 3).float() for _ in range(2)]
    numbers = torch.randn(n, 2, generator=g)
    numbers[:, 1] *= onehot[0][:, 0]
    return torch.cat([numbers, *onehot], 1)


def test_what_is_unseen_is_not_looked_at() -> None:
    made, x, other = net(), some_rows(40), some_rows(80)[40:]
    mask = masks.draw(40, (3,), generator=rng(1))
    mixed = torch.where(mask[:, made.place] > 0, x, other)
    for one, two in zip(made(x, mask), made(mixed, mask), strict=True):
        assert torch.equal(one, two)


@torch.no_grad()
def test_surprise_is_a_density() -> None:
    """exp(-surprise) of a number integrates to 1 over a grid, of a category it sums to 1, of both together too."""
    made, x = net(), some_rows(1)
    grid = torch.linspace(-12, 12, 20_001)[:, None]
    rows = x.repeat(len(grid), 1)
    rows[:, :1] = grid
    mask = torch.tensor([[0.0, 1.0, 1.0]]).repeat(len(grid), 1)
    step = 24 / 20_000
    assert float(torch.exp(-made.surprise(rows, mask)[:, 0].double()).sum() * step) == pytest.approx(1, abs=1e-4)
    level = x.repeat(3, 1)
    level[:, 5:] = torch.eye(3)
    unseen = torch.tensor([[1.0, 1.0, 0.0]]).repeat(3, 1)
    assert float(torch.exp(-made.surprise(level, unseen)[:, 2]).sum()) == pytest.approx(1, abs=1e-5)
    # value: the density of the number times the chance that it is there; missing and the atom: their chances
    rows = x.repeat(len(grid), 1)
    rows[:, 1:2], rows[:, 2:5] = grid, torch.tensor([1.0, 0.0, 0.0])
    both = torch.tensor([[1.0, 0.0, 1.0]])
    there = torch.exp(-made.surprise(rows, both.repeat(len(grid), 1))[:, 1].double()).sum() * step
    absent = x.repeat(2, 1)
    absent[:, 1], absent[:, 2:5] = 0, torch.eye(3)[1:]
    rest = torch.exp(-made.surprise(absent, both.repeat(2, 1))[:, 1].double()).sum()
    assert float(there + rest) == pytest.approx(1, abs=1e-4)


def test_draws_follow_the_law_of_the_surprise() -> None:
    """One unseen cell at a time: the frequencies of 40,000 drawn levels are those of the scores (chi-squared with 2
    degrees of freedom, p > 1e-7), and the mean of a drawn number is the mixture's (5 standard errors)."""
    made, n = net(), 40_000
    x, g = some_rows(1).repeat(n, 1), rng(2)
    unseen = torch.tensor([[1.0, 1.0, 0.0]]).repeat(n, 1)
    drawn = made.fill(x, unseen, made.noise(n, generator=g))
    law = made(x[:1], unseen[:1])
    p = law.scores[0, 3:].softmax(0).detach()
    counts = drawn[:, 5:].sum(0)
    assert float(((counts - n * p) ** 2 / (n * p)).sum()) < 32
    unseen = torch.tensor([[0.0, 1.0, 1.0]]).repeat(n, 1)
    drawn = made.fill(x, unseen, made.noise(n, generator=g))[:, 0]
    law = made(x[:1], unseen[:1])
    mean = float((law.weights.exp() * law.means)[0, 0].sum().detach())
    assert abs(float(drawn.mean()) - mean) < 5 * float(drawn.std()) / n**0.5 + 1e-3


def test_fill_keeps_what_is_seen_and_makes_no_hole() -> None:
    made, x, n = net(), some_rows(500), 500
    mask = masks.draw(n, (3,), generator=rng(1))
    noise = made.noise(n, generator=rng(2))
    filled = made.fill(x, mask, noise)
    seen = mask[:, made.place] > 0
    assert torch.equal(filled[seen], x[seen])
    assert not bool(filled[mask[:, 1] == 0][:, 3].any())  # the place of `missing`
    assert torch.equal(filled[:, 2:5].sum(1), torch.ones(n))
    assert torch.equal(filled[:, 5:].sum(1), torch.ones(n))
    assert torch.equal(filled[:, 1] == 0, filled[:, 2] == 0)  # a number is where its level says so
    assert bool(made.fill(x, mask, noise, holes=True)[mask[:, 1] == 0][:, 3].any())
    assert torch.equal(made.fill(x, mask, noise), filled)


def test_turns_fill_every_unit_once() -> None:
    mask = masks.draw(200, (20,), generator=rng())
    keys = torch.rand(200, 20, generator=rng(1))
    one, few = _turns(mask, keys, 32), _turns(mask, keys, 4)
    assert torch.equal(one < 0, mask > 0)
    assert torch.equal(few < 0, mask > 0)
    for row, seen in zip(one, mask, strict=True):
        assert sorted(row[seen == 0].tolist()) == list(range(int((seen == 0).sum())))
    assert int(few.max()) == 3
    full = few[mask.sum(1) == 0]
    assert len(full)
    assert torch.equal(full.sort(1).values, torch.arange(4).repeat_interleave(5).expand(len(full), -1))


def test_values_are_those_of_the_marginal_maps() -> None:
    g = rng()
    stairs = torch.randint(0, 30, (4000,), generator=g).double()
    smooth = torch.randn(4000, generator=g).double() * 7 + 3
    maps = [Marginal.fit(stairs, grid=True, generator=g), Marginal.fit(smooth, grid=False, generator=g)]
    assert maps[0].discrete
    assert not maps[1].discrete
    read_by = Reading(2, [(m.cdf, m.values, m.discrete) for m in maps], [(0, 0.1, 0.0)])
    z = torch.stack([m.encode(v, g) for m, v in zip(maps, (stairs, smooth), strict=True)], 1).float()
    found = read_by.value(z).double()
    assert torch.equal(found[:, 0], stairs)
    assert float((found[:, 1] - maps[1].decode(z[:, 1])).abs().max()) < 1e-3
    seen = read_by(z)
    assert torch.allclose(seen[:, 4].double(), torch.cos(2 * torch.pi * stairs / 10), atol=1e-4)


def test_layout_and_periods_of_a_table() -> None:
    codec = fit_codec(read(table(500)))
    found = layout(codec)
    assert found.units == 7
    assert found.k == codec.n_numeric
    assert found.k + found.c == codec.event_shape[0]
    gone = [f.column.name for f in codec.fields if f.column.name != "same"].index("gone")
    number = found.numbers.index(gone)
    start, _, unit, missing = next(group for group in found.groups if group[2] == gone)
    assert found.present[number] == start
    assert unit == gone
    assert missing == 1
    count = next(f.column for f in codec.fields if f.column.name == "count")
    assert periods(count) == [2, 5, 10, 20]
    x = codec.expand(codec.encode(read(table(500))))
    assert torch.isfinite(reading(codec)(x[:, : found.k])).all()


# ---- what is learned


def test_points_follow_the_conditional_law() -> None:
    """y = 2 x + .3 e: of 2,000 fills the residual's deviation is .3 within 20 % (unconditional fills: 2.8), its mean 0
    within .05. Samples have the data's covariance within 15 %. Best guesses miss the conditional mean by < .15."""
    g = np.random.default_rng(0)
    x = g.normal(size=(4000, 2))
    x[:, 1] = 2 * x[:, 0] + 0.3 * x[:, 1]
    model = Imputer(steps=200, batch_size=128, **SMALL).fit(x, progress=False)
    rows = x[:2000].copy()
    rows[:, 1] = np.nan
    made = model.fill(rows, seed=1)
    assert np.array_equal(made[:, 0], rows[:, 0])
    assert made.dtype == rows.dtype
    left = made[:, 1] - 2 * rows[:, 0]
    assert abs(left.mean()) < 0.05
    assert left.std() == pytest.approx(0.3, rel=0.2)
    drawn = model.sample(4000, seed=1)
    assert np.allclose(np.cov(drawn.T), np.cov(x.T), rtol=0.15)
    best = model.fill_points(rows, seed=1, draws=30)
    assert np.sqrt(np.mean((best[:, 1] - 2 * rows[:, 0]) ** 2)) < 0.15


def test_a_table_is_filled_by_what_the_other_cells_say(filler: Imputer) -> None:
    """Of 2,000 rows: `twice` within .4 of 2 x (its deviation is 2), `sign` right in 95 % (by chance half), `a` at .9 or
    .2 by the sign within .06, dates within 6 days (their deviation is 20)."""
    truth = table(2000, seed=1)
    blanks = {name: pl.lit(None, dtype=truth.schema[name]).alias(name) for name in ("twice", "sign", "level", "when")}
    one = filler.fill(truth.with_columns(blanks["twice"]), seed=0)
    assert float(((one["twice"] - 2 * truth["x"]) ** 2).mean()) ** 0.5 < 0.4
    assert one.drop("twice", "gone").equals(truth.drop("twice", "gone"))
    one = filler.fill(truth.with_columns(blanks["sign"]), seed=0)
    assert float((one["sign"] == truth["sign"]).mean()) > 0.95
    one = filler.fill(truth.with_columns(blanks["level"]), seed=0)
    for sign, share in (("plus", 0.9), ("minus", 0.2)):
        rows = one.filter(pl.col("sign") == sign)
        assert float((rows["level"] == "a").mean()) == pytest.approx(share, abs=0.06)
    one = filler.fill(truth.with_columns(blanks["when"]), seed=0)
    days = (one["when"] - truth["when"]).dt.total_days()
    assert one.schema["when"] == pl.Date
    assert float((days**2).mean()) ** 0.5 < 6


def test_holes_are_filled_and_samples_have_the_datas(filler: Imputer) -> None:
    rows = table(900, seed=2)
    filled = filler.fill(rows, seed=0)
    assert filled["gone"].null_count() == 0
    assert rows["gone"].null_count() > 200
    seen = rows["gone"].is_not_null()
    assert filled.filter(seen).equals(rows.filter(seen))
    assert set(filled["gone"]) <= {round(v / 10, 1) + 0.0 for v in range(-60, 60)}  # on the training data's grid
    sampled = filler.sample(2000, seed=0)
    assert sampled["gone"].is_null().mean() == pytest.approx(1 / 3, abs=0.1)
    assert sampled.schema == rows.schema


def test_fills_are_drawn_by_seed(filler: Imputer) -> None:
    rows = table(50, seed=3).with_columns(level=pl.lit(None, dtype=pl.String), x=pl.lit(None, dtype=pl.Float64))
    one, again, other = (fill(filler, rows, draws=3, seed=seed) for seed in (1, 1, 2))
    assert one.values.equals(again.values)
    assert not one.values.equals(other.values)
    assert len(one) == 150
    assert not one.values[:50].equals(one.values[50:100])
    assert one.values["count"].to_list() == 3 * rows["count"].to_list()
    assert one.made_by
    assert one.made_by["seed"] == 1
    assert one.made_by["draws"] == 3
    assert one.made_by["model"] == filler.id_


def test_samples_given_rows_are_these_filled(filler: Imputer) -> None:
    rows = table(20, seed=9).with_columns(x=pl.lit(None, dtype=pl.Float64))
    assert filler.sample(given=rows, seed=2).equals(filler.fill(rows, seed=2))
    assert filler.sample(60, given=rows, seed=2).equals(filler.fill(rows, draws=3, seed=2))
    with pytest.raises(InputError, match="30 samples cannot be 20 rows filled several times"):
        filler.sample(30, given=rows)
    with pytest.raises(InputError, match="say how many samples to draw"):
        filler.sample()


def test_the_users_own_types_come_back(filler: Imputer) -> None:
    pandas = pytest.importorskip("pandas")
    rows = table(40, seed=4).with_columns(
        pl.col("count").cast(pl.Int16), pl.col("level").cast(pl.Categorical), pl.lit(None).alias("sign")
    )
    rows = rows.with_columns(
        pl.when(pl.int_range(pl.len()) > 5).then(pl.col("count")), same=pl.lit(None, dtype=pl.Int64)
    )
    filled = filler.fill(rows[:, ::-1], seed=0)
    assert filled.columns == rows.columns[::-1]
    assert filled.schema["count"] == pl.Int16
    assert filled.schema["level"] == pl.Categorical
    assert filled["count"][6:].to_list() == rows["count"][6:].to_list()
    assert filled.null_count().sum_horizontal()[0] == 0
    assert set(filled["sign"]) <= {"plus", "minus"}
    assert set(filled["same"]) == {7}
    frame = pandas.DataFrame({name: table(20)[name].to_list() for name in table(20).columns})
    frame.loc[3, "count"] = np.nan  # pandas makes the column float
    filled = filler.fill(frame, seed=0)
    assert isinstance(filled, pandas.DataFrame)
    assert not filled["count"].isna().any()
    assert filled["count"].drop(3).tolist() == frame["count"].drop(3).tolist()


def test_a_level_never_met_is_kept_and_not_read(filler: Imputer) -> None:
    """What stands beside an unknown level is filled as if that cell were empty."""
    rows = table(30, seed=5).with_columns(twice=pl.lit(None, dtype=pl.Float64))
    strange = rows.with_columns(level=pl.lit("never"))
    empty = rows.with_columns(level=pl.lit(None, dtype=pl.String))
    holes = read_holes(strange, filler.codec_)
    assert not bool(holes.seen[:, 3].any())
    assert torch.equal(holes.seen, read_holes(empty, filler.codec_).seen)
    filled = filler.fill(strange, seed=0)
    assert set(filled["level"]) == {"never"}
    assert filled["twice"].null_count() == 0


def test_best_guesses(filler: Imputer) -> None:
    rows = table(600, seed=6).with_columns(twice=pl.lit(None, dtype=pl.Float64), level=pl.lit(None, dtype=pl.String))
    truth = table(600, seed=6)
    best = filler.fill_points(rows, seed=0)
    assert float(((best["twice"] - 2 * truth["x"]) ** 2).mean()) ** 0.5 < 0.25
    assert float((best["level"] == pl.Series(np.where(truth["x"] > 0, "a", "b"))).mean()) > 0.9
    parts = [
        pl.DataFrame({"u": pl.Series([a], dtype=pl.UInt8), "t": [b], "d": [dt.datetime(2020, 1, day)], "s": [c]})
        for a, b, day, c in ((250, True, 1, "q"), (240, False, 2, "p"), (251, False, 3, "p"))
    ]
    found = point_of([Dataset("table", part) for part in parts]).values
    assert found.row(0) == (247, False, dt.datetime(2020, 1, 2), "p")
    assert found.schema["u"] == pl.UInt8


# ---- images


def pictures(n: int, seed: int = 0) -> np.ndarray:
    """Bytes `(n, 6, 6)`: the lower half is the upper one mirrored."""
    g = np.random.default_rng(seed)
    upper = np.where(g.random((n, 3, 1)) < 0.5, 230, 20).repeat(6, 2) + g.integers(-15, 16, (n, 3, 6))
    return np.concatenate([upper, upper[:, ::-1]], 1).astype(np.uint8)


def test_images_are_inpainted() -> None:
    """Rows of pixels are bright or dark (230 or 20): 85 % of the mirrored half right (by chance half)."""
    model = Imputer(steps=250, batch_size=128, **SMALL).fit(pictures(1500), progress=False)
    images = pictures(300, seed=1)
    lower = np.zeros((6, 6), dtype=bool)
    lower[3:] = True
    made = model.fill((images, lower), seed=0)
    assert made.dtype == np.uint8
    assert np.array_equal(made[:, :3], images[:, :3])
    assert float(((made[:, 3:] > 125) == (images[:, 3:] > 125)).mean()) > 0.85
    masked = np.ma.MaskedArray(images, np.broadcast_to(lower, images.shape))
    floats = np.where(lower, np.nan, images.astype(float))
    assert np.array_equal(model.fill(masked, seed=0), made)
    assert np.array_equal(model.fill(floats, seed=0), made.astype(float))
    with pytest.raises(InputError, match=r"the mask \(5, 6\) does not fit the values"):
        model.fill((images, np.zeros((5, 6), dtype=bool)))
    with pytest.raises(InputError, match="bring them to that size"):
        model.fill((images[:, :5], lower[:5]))


def test_masks_of_colour_images_lie_where_the_user_says() -> None:
    images = np.random.default_rng(0).integers(0, 255, (4, 5, 4, 3)).astype(np.uint8)
    codec = fit_codec(read(images))
    where = np.zeros((4, 5, 4), dtype=bool)
    where[:, 1, 2] = True
    for mask in (where, where[0], where[..., None].repeat(3, 3)):
        holes = read_holes((images, mask), codec)
        unseen = (1 - holes.seen).unflatten(1, (5, 4))
        assert bool((unseen[:, 1, 2] == 1).all())
        assert int(unseen.sum()) == 4
    moved = torch.from_numpy(images.transpose(0, 3, 1, 2).copy())
    holes = read_holes((moved, torch.from_numpy(where)), fit_codec(read(moved)))
    assert torch.equal(holes.seen, read_holes((images, where), codec).seen)


# ---- runs


def test_runs_are_saved_loaded_and_resumed(tmp_path: Path, filler: Imputer) -> None:
    filler.save(tmp_path / "saved")
    rows = table(30, seed=7).with_columns(x=pl.lit(None, dtype=pl.Float64))
    found = load_imputer(tmp_path / "saved")
    assert found.fill(rows, seed=3).equals(filler.fill(rows, seed=3))
    assert found.sample(20, seed=3).equals(filler.sample(20, seed=3))
    settings = {"batch_size": 32, "checkpoint_every": 4, "seed": 1, **SMALL}
    whole = Imputer(steps=8, **settings).fit(table(200), progress=False)

    def stop(event: object) -> None:
        if getattr(event, "kind", "") == "checkpoint" and getattr(event, "step", 0) == 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Imputer(steps=8, **settings).fit(table(200), out=tmp_path / "run", progress=stop)
    resumed = Imputer(steps=8, **settings).fit(table(200), out=tmp_path / "run", resume=True, progress=False)
    assert resumed.id_ == whole.id_
    assert all("surprise" in record for record in whole.history_)
    assert any("surprise_train" in record for record in filler.history_)


def load_imputer(folder: Path) -> Imputer:
    return Imputer.load(folder)


@pytest.mark.parametrize("kind", ["points", "table", "images", "colour"])
def test_a_game_refines_and_leaves_what_is_seen(kind: str) -> None:
    """Of images of more than 256 numbers the critic is convolutional."""
    g = np.random.default_rng(0)
    data = {
        "points": g.normal(size=(300, 3)),
        "table": table(300),
        "images": pictures(300),
        "colour": g.integers(0, 256, (300, 10, 9, 3)).astype(np.uint8),
    }[kind]
    model = Imputer(objective="rpgan", steps=6, batch_size=32, **SMALL).fit(data, progress=False)
    assert {"critic_loss", "surprise"} <= set(model.history_[-1])
    assert model.critic_ is not None
    completer = model.generator_
    assert isinstance(completer, Completer)
    assert completer.plays
    x = model.codec_.expand(model.codec_.encode(read(data)))
    mask = masks.draw(300, completer.size, generator=rng())
    with torch.no_grad():
        made = completer.complete(x, mask, completer.noise(300, generator=rng(1)))
    place = completer.base.place
    seen = mask[:, place] > 0
    assert torch.equal(made.flatten(1)[seen], x.flatten(1)[seen])
    assert not torch.equal(made, x)
    assert len(model.sample(7, seed=0)) == 7


@pytest.mark.parametrize("columns", [("sign", "level"), ("x", "twice")])
def test_tables_of_one_sort_of_column(columns: tuple[str, str]) -> None:
    data = table(120).select(columns)
    model = Imputer(steps=3, batch_size=32, **SMALL).fit(data, progress=False)
    rows = data.head(10).with_columns(pl.lit(None, dtype=data.schema[columns[0]]).alias(columns[0]))
    filled = model.fill(rows, seed=0)
    assert filled[columns[0]].null_count() == 0
    assert filled[columns[1]].equals(rows[columns[1]])
    assert model.sample(5, seed=0).schema == data.schema


# ---- refusals


def test_what_cannot_be_filled_is_refused(filler: Imputer) -> None:
    rows = table(20, seed=8)
    whole = rows.with_columns(pl.col("gone").fill_null(0.0))
    with pytest.raises(InputError, match="no cell is missing, so there is nothing to fill; leave cells empty"):
        filler.fill(whole)
    with pytest.raises(InputError, match=r"lacks the column 'level' and has the column 'other' besides"):
        filler.fill(rows.rename({"level": "other"}))
    with pytest.raises(InputError, match=r"column 'x' holds 'far' in row 1"):
        filler.fill(rows.with_columns(x=pl.lit("far")))
    with pytest.raises(InputError, match="the number of draws must be at least 1, not 0"):
        filler.fill(rows, draws=0)
    with pytest.raises(InputError, match="no such file"):
        filler.fill("nowhere.csv")
    with pytest.raises(InputError, match="not fitted yet"):
        Imputer().fill(rows)
    plain = GAN(steps=2, batch_size=32, width=16, depth=1, device="cpu").fit(
        np.random.default_rng(0).normal(size=(64, 2)), progress=False
    )
    with pytest.raises(InputError, match=r"this GAN was not fitted to fill rows, and cannot; fit models.Imputer"):
        fill(plain, rows)


def test_a_column_never_seen_is_refused() -> None:
    data = table(60).with_columns(never=pl.lit(None, dtype=pl.Float64))
    model = Imputer(steps=2, batch_size=32, **SMALL).fit(data, progress=False)
    with pytest.raises(InputError, match="column 'never' had no value in training"):
        model.fill(data)


def test_points_that_cannot_be_filled_are_refused() -> None:
    x = np.random.default_rng(0).normal(size=(64, 3))
    model = Imputer(steps=2, batch_size=32, **SMALL).fit(x, progress=False)
    with pytest.raises(InputError, match="has 2 coordinates and the model's data 3"):
        model.fill(np.full((4, 2), np.nan))
    with pytest.raises(InputError, match="no cell is missing"):
        model.fill(x)
    frame = pl.DataFrame({"a": [1.0, None], "b": ["u", "v"], "c": [1.0, 2.0]})
    with pytest.raises(InputError, match="column 'b' does not hold numbers"):
        model.fill(frame)
    with pytest.raises(InputError, match=r"row 1, column 2 is infinite"):
        model.fill(np.array([[np.nan, np.inf, 0.0]]))


def test_an_objective_without_a_critic_is_refused() -> None:
    with pytest.raises(InputError, match="has no critic, and this model refines by a game"):
        Imputer(objective="gmmn").fit(np.zeros((8, 2)), progress=False)
    assert callable(load)
