"""`data.conditions`: words become terms, terms find rows, and what nobody has seen is refused; fixed coordinates."""

import datetime as dt
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch

from pushforward.data import sources
from pushforward.data.conditions import Range, known_columns, met, parse, words
from pushforward.data.coordinates import Coordinates
from pushforward.data.tables import TableCodec
from pushforward.errors import InputError

N = 400


@pytest.fixture(scope="module")
def frame() -> pl.DataFrame:
    draw = np.random.default_rng(0)
    price = draw.lognormal(7, 1, N).round(2)
    return pl.DataFrame(
        {
            "cut": draw.choice(["Fair", "Good", "a|b", ">x"], N),
            "size": pl.Series(draw.choice(["S", "M"], N), dtype=pl.Enum(["S", "M", "L"])),
            "rooms": draw.integers(1, 5, N),
            "count": draw.integers(0, 1000, N),
            "price": pl.Series(price).set(pl.Series(draw.random(N) < 0.1), None),
            "day": [dt.date(2013, 1, 1) + dt.timedelta(days=int(i)) for i in draw.integers(0, 300, N)],
            "sold": draw.random(N) < 0.5,
        }
    )


@pytest.fixture(scope="module")
def codec(frame: pl.DataFrame) -> TableCodec:
    return TableCodec.fit(sources.read(frame))


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"cut": "Fair"}, pl.col("cut") == "Fair"),
        ({"cut": "Fair|Good"}, pl.col("cut").is_in(["Fair", "Good"])),
        ({"cut": ["Fair", "a|b"]}, pl.col("cut").is_in(["Fair", "a|b"])),
        ({"cut": "a|b"}, pl.col("cut") == "a|b"),  # a level's own name comes before the marks in it
        ({"cut": ">x"}, pl.col("cut") == ">x"),
        ({"size": "S"}, pl.col("size") == "S"),
        ({"rooms": 3}, pl.col("rooms") == 3),
        ({"rooms": "2|3"}, pl.col("rooms").is_in([2, 3])),
        ({"rooms": ">=3"}, pl.col("rooms") >= 3),
        ({"price": ">1000"}, pl.col("price") > 1000),
        ({"price": "500..1000"}, pl.col("price").is_between(500, 1000)),
        ({"price": (">500", "<=1000")}, pl.col("price").is_between(500, 1000, closed="right")),
        ({"price": Range(low=500.0, open_low=True)}, pl.col("price") > 500),
        ({"price": None}, pl.col("price").is_null()),
        ({"count": "<10.5"}, pl.col("count") <= 10),
        ({"day": "2013-03-01..2013-04-01"}, pl.col("day").is_between(dt.date(2013, 3, 1), dt.date(2013, 4, 1))),
        ({"day": dt.date(2013, 3, 1)}, pl.col("day") == dt.date(2013, 3, 1)),
        ({"sold": "true"}, pl.col("sold")),
        ({"cut": "Good", "price": "<800"}, (pl.col("cut") == "Good") & (pl.col("price") < 800)),
    ],
)
def test_terms_find_the_rows_that_polars_finds(
    given: dict[str, Any], expected: pl.Expr, frame: pl.DataFrame, codec: TableCodec
) -> None:
    terms, shares = parse(given, known_columns(codec))
    assert not shares
    wanted = frame.select(expected.fill_null(False)).to_series().to_numpy()
    assert 0 < wanted.sum() < N
    np.testing.assert_array_equal(met(frame, terms), wanted)


def test_shares_are_proportions(codec: TableCodec) -> None:
    for asked in ({"Fair": 3, "Good": 1, "a|b": 0}, "Fair:3|Good:1"):
        terms, shares = parse({"cut": asked}, known_columns(codec))
        assert not terms
        assert [term.values for term in shares[0].terms] == [("Fair",), ("Good",)]
        assert shares[0].shares == (0.75, 0.25)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"colour": "red"}, r"no column 'colour'.*cut, size, rooms"),
        ({"cut": "Ideal"}, r"cut=Ideal: no training row has it; cut has .*Fair"),
        ({"size": "L"}, r"size=L: no training row has it"),
        ({"cut": "Fair|Ideal"}, r"cut=Ideal"),
        ({"rooms": 9}, r"rooms=9: no training row"),
        ({"rooms": ">7"}, r"rooms.*no training row is there"),
        ({"count": 1.5}, r"count=1.5: this column holds whole numbers"),
        ({"price": 1e9}, r"price=1000000000.0: outside of what training rows have"),
        ({"price": ">1e9"}, r"no training row is there; they have"),
        ({"price": "200..100"}, r"is empty"),
        ({"price": "dear"}, r"'dear' is not a number"),
        ({"day": "yesterday"}, r"'yesterday' is not a date"),
        ({"cut": Range(low=1)}, r"no order"),
        ({"cut": None}, r"never missing"),
        ({"cut": {"Fair": -1}}, r"shares"),
        ({"cut": []}, r"nothing is asked"),
    ],
)
def test_what_cannot_be_asked_is_told(given: dict[str, Any], message: str, codec: TableCodec) -> None:
    with pytest.raises(InputError, match=message):
        parse(given, known_columns(codec))


def test_words_of_the_command_line() -> None:
    assert words(["cut=Ideal", "price>5000"]) == {"cut": "Ideal", "price": ">5000"}
    assert words(["price>5000", "price<=6000"]) == {"price": (">5000", "<=6000")}
    assert words(["a=b=c"], ["a=b"]) == {"a=b": "c"}  # the longest known column
    assert words(["cut=Ideal:.5|Fair:.5"]) == {"cut": "Ideal:.5|Fair:.5"}
    for wrong, message in ((["cut"], "asks for nothing"), (["cut=a", "cut=b"], "asked for twice")):
        with pytest.raises(InputError, match=message):
            words(wrong)


def test_fixed_coordinates_come_first_and_stay_as_they_are() -> None:
    draw = np.random.default_rng(1)
    x = draw.normal(size=500)
    frame = pl.DataFrame({"y": 3 * x + 0.1 * draw.normal(size=500), "x": x, "z": x**2 + 0.1 * draw.normal(size=500)})
    codec = TableCodec.fit(sources.read(frame))
    rows = codec.encode(sources.read(frame))
    for fixed in (0, 2):
        found = Coordinates.fit(codec, rows, fixed=[fixed])
        assert found is not None
        assert found.order[0] == fixed
        assert not found.active[fixed]
        assert any(found.active)
        moved = found.forward(rows, rows[:, :0])
        assert (moved[:, fixed] == rows[:, fixed]).all()
        torch.testing.assert_close(found.inverse(moved, rows[:, :0]), rows, atol=2e-3, rtol=0)
        # a change of what is made leaves what is given alone
        other = moved.clone()
        other[:, [j for j in range(3) if j != fixed]] = torch.randn(500, 2, generator=torch.Generator().manual_seed(0))
        assert (found.inverse(other, rows[:, :0])[:, fixed] == rows[:, fixed]).all()
