"""Tables there and back: names, order, dtypes, categories, grids, bounds, missing values, point masses."""

from __future__ import annotations

import datetime as dt
import json

import numpy as np
import polars as pl
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pushforward.data.codec import codec_from_dict
from pushforward.data.dataset import Dataset
from pushforward.data.sources import read, to_container
from pushforward.data.tables import TableCodec
from pushforward.errors import InputError


def table(frame: pl.DataFrame) -> Dataset:
    return Dataset("table", frame, "here", "polars")


def reborn(codec: TableCodec) -> TableCodec:
    """Saved and loaded."""
    made = codec_from_dict(json.loads(json.dumps(codec.to_dict())), {k: v.clone() for k, v in codec.tensors().items()})
    assert isinstance(made, TableCodec)
    return made


def there_and_back(frame: pl.DataFrame, **options: object) -> tuple[TableCodec, pl.DataFrame]:
    codec = TableCodec.fit(table(frame), **options)
    rows = codec.encode(table(frame))
    assert rows.dtype == torch.float32
    assert torch.isfinite(rows).all()
    expanded = codec.expand(rows)
    assert expanded.shape == (len(frame), *codec.event_shape)
    assert torch.equal(codec.compact(expanded), rows)
    back = codec.decode(expanded).values
    other = reborn(codec)
    assert other.blocks == codec.blocks
    assert torch.equal(other.encode(table(frame)), rows)
    assert other.decode(expanded).values.equals(back)
    assert back.schema == frame.schema
    return codec, back


def noise(codec: TableCodec, n: int = 400) -> torch.Tensor:
    """What an untrained generator may say: numbers far out, soft groups."""
    generator = torch.Generator().manual_seed(1)
    return 3 * torch.randn(n, *codec.event_shape, generator=generator)


def within_bounds(back: pl.DataFrame, frame: pl.DataFrame) -> None:
    for name in frame.columns:
        seen, made = frame[name].drop_nulls(), back[name].drop_nulls()
        if seen.dtype.is_float():
            seen, made = seen.drop_nans(), made.drop_nans()
        if not len(made):
            continue
        if seen.dtype in (pl.String, pl.Categorical, pl.Enum, pl.Boolean):
            assert set(made.cast(pl.String)) <= set(seen.cast(pl.String))
        else:
            assert seen.min() <= made.min()
            assert made.max() <= seen.max()


moments = st.datetimes(dt.datetime(1900, 1, 1), dt.datetime(2200, 1, 1))
COLUMNS = {
    "continuous": (st.floats(allow_nan=False, allow_infinity=False), pl.Float64),
    "single": (st.floats(width=32, allow_nan=False, allow_infinity=False), pl.Float32),
    "decimals": (st.integers(-(10**6), 10**6).map(lambda i: i / 100), pl.Float64),
    "integer": (st.integers(-(2**63), 2**63 - 1), pl.Int64),
    "unsigned": (st.integers(0, 2**64 - 1), pl.UInt64),
    "byte": (st.integers(-128, 127), pl.Int8),
    "boolean": (st.booleans(), pl.Boolean),
    "text": (st.text(st.characters(codec="utf-8"), max_size=3), pl.String),
    "enum": (st.sampled_from(["low", "mid", "high"]), pl.Enum(["low", "mid", "high", "never"])),
    "categorical": (st.sampled_from(["u", "v", "w"]), pl.Categorical),
    "moment": (moments, pl.Datetime("us")),
    "zoned": (moments.map(lambda t: t.replace(tzinfo=dt.UTC)), pl.Datetime("ns", "UTC")),
    "date": (st.dates(), pl.Date),
    "time": (st.times(), pl.Time),
    "duration": (st.timedeltas(dt.timedelta(-1000), dt.timedelta(1000)), pl.Duration("ms")),
    "empty": (st.none(), pl.String),
}


@st.composite
def frames(draw: st.DrawFn) -> pl.DataFrame:
    names = draw(st.lists(st.sampled_from(sorted(COLUMNS)), min_size=1, max_size=5, unique=True))
    n = draw(st.integers(1, 40))
    columns = []
    for name in names:
        strategy, dtype = COLUMNS[name]
        holes = draw(st.booleans())
        pool = draw(st.lists(st.one_of(st.none(), strategy) if holes else strategy, min_size=1, max_size=n))
        columns.append(pl.Series(name, [pool[i % len(pool)] for i in range(n)], dtype=dtype))
    return pl.DataFrame(columns)


@settings(max_examples=120, deadline=None)
@given(frames())
def test_any_table_there_and_back(frame: pl.DataFrame) -> None:
    codec, back = there_and_back(frame)
    for name in frame.columns:
        assert back[name].is_null().equals(frame[name].is_null()), name
        column = frame[name]
        if column.dtype in (pl.String, pl.Categorical, pl.Enum, pl.Boolean):
            assert back[name].cast(pl.String).equals(column.cast(pl.String)), name
    within_bounds(back, frame)
    within_bounds(codec.decode(noise(codec)).values, frame)
    matrix, categorical, names = codec.features(table(frame))
    assert matrix.shape == frame.shape
    assert names == frame.columns
    assert set(categorical) <= set(range(frame.width))


@settings(max_examples=60, deadline=None)
@given(
    st.integers(0, 4),
    st.integers(-(10**6), 10**6),
    st.integers(1, 50),
    st.lists(st.integers(0, 200), min_size=60, max_size=300),
)
def test_values_stay_on_their_grid(decimals: int, origin: int, step: int, ticks: list[int]) -> None:
    """Decimals and steps come back exactly, from the data and from noise."""
    values = [(origin + step * t) / 10**decimals for t in ticks]
    codec, back = there_and_back(pl.DataFrame({"v": values, "i": [origin + step * t for t in ticks]}))
    made = codec.decode(noise(codec)).values
    for frame in (back, made):
        scaled = frame["v"].to_numpy() * 10**decimals
        assert np.array_equal(np.rint(scaled) / 10**decimals, frame["v"].to_numpy())
        assert np.all((frame["i"].to_numpy() - min(origin + step * t for t in ticks)) % step == 0)


def test_latents_are_normal_and_decode_to_the_marginal() -> None:
    """Multi-modal, heavy-tailed, rounded: N(0, 1) latents; fresh normals decode to the same distribution."""
    rng = np.random.default_rng(0)
    n = 20_000
    frame = pl.DataFrame(
        {
            "modes": np.where(rng.random(n) < 0.3, rng.normal(-5, 0.1, n), rng.normal(4, 1, n)),
            "heavy": rng.standard_cauchy(n),
            "rounded": np.round(rng.normal(0, 3, n), 1),
            "count": rng.poisson(40, n),
            "wide": rng.integers(0, 10**7, n),
            "heaped": np.where(rng.random(n) < 0.15, 5.0, rng.normal(5, 2, n)),
        }
    )
    codec, back = there_and_back(frame)
    z = codec.encode(table(frame))
    assert [b.kind for b in codec.blocks] == ["numeric"] * 6
    from scipy import stats

    for i, name in enumerate(frame.columns):
        assert stats.kstest(z[:, i].numpy(), "norm").pvalue > 1e-6, name
        assert np.quantile(np.abs(back[name].to_numpy() - frame[name].to_numpy()), 0.9) < 0.05 * frame[name].std(), name
    fresh = codec.decode(torch.randn(n, 6, generator=torch.Generator().manual_seed(3))).values
    for name in frame.columns:
        assert stats.ks_2samp(fresh[name].to_numpy(), frame[name].to_numpy()).pvalue > 1e-6, name
    assert (fresh["heaped"] == 5.0).mean() == pytest.approx(0.15, abs=0.02)


def test_a_continuous_column_is_not_replayed() -> None:
    values = np.random.default_rng(0).normal(size=1000)
    codec = TableCodec.fit(table(pl.DataFrame({"v": values})))
    made = codec.decode(torch.randn(1000, 1, generator=torch.Generator().manual_seed(0))).values["v"].to_numpy()
    assert np.isin(made, values).mean() < 0.01


def test_point_masses_and_missing_values_become_levels() -> None:
    rng = np.random.default_rng(0)
    n = 5000
    rain = np.where(rng.random(n) < 0.7, 0.0, rng.gamma(2, 3, n))
    frame = pl.DataFrame({"rain": rain}).with_columns(
        pl.when(pl.Series(rng.random(n) < 0.1)).then(None).otherwise("rain").alias("rain")
    )
    codec, back = there_and_back(frame)
    assert [(b.kind, b.levels) for b in codec.blocks] == [("numeric", 0), ("category", 3)]
    assert codec.fields[0].levels.labels() == ("value", "missing", "0.0")
    assert codec.companions == ((0, 1),)
    rows = codec.encode(table(frame))
    assert (rows[rows[:, 1] > 0, 0] == 0).all()  # the slot is silent where the level speaks
    assert rows[rows[:, 1] == 0, 0].std() == pytest.approx(1, abs=0.02)
    assert (back["rain"] == 0).sum() == (frame["rain"] == 0).sum()
    assert back["rain"].null_count() == frame["rain"].null_count()


def test_kinds_are_inferred_and_overruled() -> None:
    frame = pl.DataFrame(
        {
            "price": [1, 2, 3, 4] * 10,
            "code": [101, 205, 309, 400] * 10,
            "one": ["same"] * 40,
            "none": pl.Series([None] * 40, dtype=pl.Float64),
            "year": [2020] * 40,
            "flag": [True, False] * 20,
        }
    )
    codec, back = there_and_back(frame, columns={"code": "categorical"}, few=2)
    assert [c.kind for c in codec.columns] == ["integer", "categorical", "constant", "empty", "constant", "boolean"]
    assert back.select("one", "none", "year", "flag", "code", "price").equals(
        frame.select("one", "none", "year", "flag", "code", "price")
    )
    with pytest.raises(InputError, match=r"'cost'.*price, code"):
        TableCodec.fit(table(frame), columns={"cost": "continuous"})
    with pytest.raises(InputError, match=r"unknown type 'number'.*continuous"):
        TableCodec.fit(table(frame), columns={"price": "number"})
    with pytest.raises(InputError, match="'one' holds text"):
        TableCodec.fit(
            table(frame.with_columns(one=pl.Series([f"t{i}" for i in range(40)]))), columns={"one": "integer"}
        )


def test_rare_levels_share_a_code_and_are_redrawn_by_frequency() -> None:
    rng = np.random.default_rng(0)
    names = [f"level{i}" for i in range(2000)]
    values = rng.choice(names, 50_000, p=(w := 1 / np.arange(1, 2001)) / w.sum())
    frame = pl.DataFrame({"c": values})
    codec, back = there_and_back(frame)
    (block,) = codec.blocks
    assert block.levels == 257
    top = codec.fields[0].levels.names[:256]
    assert codec.fields[0].levels.counts[255] >= frame["c"].value_counts(sort=True)["count"][256]
    kept = frame["c"].is_in(top.implode())
    assert back["c"].filter(kept).equals(frame["c"].filter(kept))
    rare = back["c"].filter(~kept)
    assert not rare.is_in(top.implode()).any()
    assert rare.n_unique() > 1500
    matrix, categorical, _ = codec.features(table(pl.DataFrame({"c": [*top[:2], "never seen", None]})))
    assert matrix[:2, 0].tolist() == [0, 1]
    assert matrix[2, 0] == frame["c"].n_unique()
    assert np.isnan(matrix[3, 0])
    assert categorical == []


def test_unseen_values_do_not_stop_encoding() -> None:
    train = pl.DataFrame({"c": ["a", "b"] * 20, "n": list(range(40)), "few": [1.0, 2.0] * 20})
    codec = TableCodec.fit(table(train))
    odd = pl.DataFrame({"c": ["z", None], "n": [1000, None], "few": [1.4, None]})
    rows = codec.encode(table(odd))
    assert torch.isfinite(rows).all()
    back = codec.decode(codec.expand(rows)).values
    assert back["n"][0] == 39
    assert back["few"].to_list() == [1.0, 1.0]
    assert codec.features(table(odd))[0][0].tolist() == [2.0, 1000.0, 1.4]


def test_a_fake_may_bring_other_numbers_than_the_codec_saw() -> None:
    """Floats where integers were, in columns that are categories or constants: unseen, not a crash."""
    train = pl.DataFrame({"code": [1, 2] * 20, "same": [7] * 40, "flag": [True, False] * 20})
    codec = TableCodec.fit(table(train), columns={"code": "categorical"})
    fake = pl.DataFrame({"code": [2.0, 1.5], "same": [7.0, 7.5], "flag": [True, None]})
    matrix = codec.features(table(fake))[0]
    np.testing.assert_array_equal(matrix, [[1, 7, 1], [2, 7.5, np.nan]])


def test_a_table_of_constants_has_no_slots() -> None:
    frame = pl.DataFrame({"a": ["x"] * 5, "b": [None] * 5})
    codec, back = there_and_back(frame)
    assert (codec.blocks, codec.event_shape) == ((), (0,))
    assert back.equals(frame)


def test_no_row_is_blank_unless_training_had_one() -> None:
    frame = pl.DataFrame({"a": [1.5, None, 2.5, 7.0] * 30, "b": ["u", "v", None, "w"] * 30})
    codec = TableCodec.fit(table(frame))
    made = codec.decode(noise(codec, 5000)).values
    assert not made.select(pl.all_horizontal(pl.all().is_null())).to_series().any()
    assert made["a"].null_count() > 100


def test_coordinates_are_composed_after_the_marginals() -> None:
    class Shift:
        """Adds each row's first one-hot entry to every slot: needs the categories to be undone."""

        def forward(self, numeric: torch.Tensor, onehot: torch.Tensor) -> torch.Tensor:
            return numeric + 3 * onehot[:, :1]

        def inverse(self, numeric: torch.Tensor, onehot: torch.Tensor) -> torch.Tensor:
            return numeric - 3 * onehot[:, :1]

        def to_dict(self) -> dict[str, object]:
            return {}

        def tensors(self) -> dict[str, torch.Tensor]:
            return {"by": torch.tensor(3.0)}

    rng = np.random.default_rng(0)
    frame = pl.DataFrame(
        {"x": rng.integers(0, 100, 500), "c": rng.choice(["a", "b"], 500), "y": rng.integers(0, 99, 500)}
    )
    plain = TableCodec.fit(table(frame))
    codec = plain.with_coordinates(Shift())
    moved = codec.encode(table(frame)) - plain.encode(table(frame))
    assert set(moved[:, :2].round().flatten().tolist()) == {0.0, 3.0}
    assert codec.decode(codec.expand(codec.encode(table(frame)))).values.equals(frame)
    assert "coordinates.by" in codec.tensors()


@pytest.mark.parametrize("name", ["diamonds", "weather"])
def test_real_data_there_and_back(name: str) -> None:
    data = read(f"sample:{name}")
    assert data.values.shape == {"diamonds": (53_940, 10), "weather": (26_115, 15)}[name]
    train, holdout = data.split(0.2)
    codec = TableCodec.fit(train)
    back = codec.decode(codec.expand(codec.encode(train))).values
    assert back.schema == data.values.schema
    for column in back.columns:
        assert back[column].ne_missing(train.values[column]).mean() < 1e-3, column
    within_bounds(back, train.values)
    rows = codec.encode(holdout)
    assert torch.isfinite(rows).all()
    made = codec.decode(noise(codec)).values
    within_bounds(made, train.values)
    assert made.schema == data.values.schema
    matrix, categorical, names = codec.features(holdout)
    assert [names[i] for i in categorical] == {"diamonds": ["cut", "color", "clarity"], "weather": ["origin"]}[name]
    assert np.isnan(matrix).sum() == holdout.values.null_count().sum_horizontal()[0]


def test_pandas_frames_come_back_as_they_were() -> None:
    pd = pytest.importorskip("pandas")
    frame = pd.DataFrame(
        {
            "grade": pd.Categorical(["b", "a", None, "b"] * 8, categories=["b", "a", "z"], ordered=True),
            "size": pd.Categorical([10, 20, 10, 20] * 8, categories=[20, 10]),
            "count": pd.array([1, None, 3, 70] * 8, dtype="Int64"),
            "small": np.array([1, 2, 3, 100] * 8, dtype=np.int16),
            "real": [0.5, float("nan"), 2.5, 9.5] * 8,
            "flag": [True, False, True, True] * 8,
            "when": pd.to_datetime(["2020-01-01", None, "2020-01-03", "2021-05-05"] * 8),
            "there": pd.to_datetime(["2020-01-01", "2020-02-02", "2020-01-03", "2021-05-05"] * 8).tz_localize(
                "Europe/Paris"
            ),
            "word": ["x", "y", None, "z"] * 8,
        }
    )
    data = read(frame)
    codec = reborn(TableCodec.fit(data))
    back = to_container(codec.decode(codec.expand(codec.encode(data))))
    pd.testing.assert_frame_equal(back, frame)
    numbered = frame[["small"]].set_axis([3], axis=1)
    assert to_container(read(numbered)).columns.tolist() == [3]


def test_arrow_tables_come_back_as_they_were() -> None:
    pa = pytest.importorskip("pyarrow")
    arrow = pa.table(
        {
            "k": pa.array(["a", "b", "a", None] * 8).dictionary_encode(),
            "s": pa.array(["a", "b", "c", "d"] * 8, pa.string()),
            "i": pa.array([1, 2, None, 9] * 8, pa.int32()),
            "t": pa.array([0, 86400, 172800, 5] * 8, pa.timestamp("s")),
            "d": pa.array([1.25, 2.5, 3.75, 4.0] * 8, pa.float32()),
        }
    )
    data = read(arrow)
    codec = reborn(TableCodec.fit(data))
    back = to_container(codec.decode(codec.expand(codec.encode(data))))
    assert back.schema == arrow.schema
    assert back.to_pylist() == arrow.to_pylist()


def test_nan_comes_back_as_nan_and_null_as_null() -> None:
    frame = pl.DataFrame({"nan": [1.5, float("nan"), 2.5, 9.25] * 5, "null": [1.5, None, 2.5, 8.5] * 5})
    _, back = there_and_back(frame)
    assert back["nan"].is_nan().sum() == 5
    assert back["null"].null_count() == 5
