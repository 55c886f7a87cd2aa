"""Any data as float64 rows for a classifier."""

from __future__ import annotations

from datetime import date, datetime

import numpy as np
import polars as pl
import pytest
import torch

from pushforward.data.dataset import Dataset
from pushforward.data.matrix import VALUES, Matrix
from pushforward.errors import InputError

FRAME = pl.DataFrame(
    {
        "price": [1.5, None, 3.0, float("nan"), 5.0],
        "count": [3, 1, None, 1, 2],
        "cut": ["b", "a", "a", None, "c"],
        "sold": [True, False, None, True, True],
        "day": [date(1970, 1, 2), date(1970, 1, 11), None, date(1970, 1, 1), date(1970, 1, 1)],
        "at": pl.Series([datetime(1970, 1, 1, 0, 0, 1), None, None, None, None], dtype=pl.Datetime("ms")),
    }
)
NAN = float("nan")


def test_a_table_by_hand() -> None:
    """Codes fall with frequency (a twice; b and c once, by name); missing values of any kind are NaN."""
    data = Dataset("table", FRAME)
    view = Matrix.fit(data)
    wanted = [
        [1.5, 3, 1, 1, 1, 1000],
        [NAN, 1, 0, 0, 10, NAN],
        [3.0, NAN, 0, NAN, NAN, NAN],
        [NAN, 1, NAN, 1, 0, NAN],
        [5.0, 2, 2, 1, 0, NAN],
    ]
    np.testing.assert_array_equal(view(data), wanted)
    assert view.names == tuple(FRAME.columns)
    assert view.categorical == (2,)


def test_the_coding_is_that_of_the_rows_fitted_on() -> None:
    """Other rows, columns in another order, other levels, other units of time: the same numbers for the same values."""
    view = Matrix.fit(Dataset("table", FRAME))
    other = FRAME.select(reversed(FRAME.columns)).with_columns(
        cut=pl.Series(["z", "c", "c", "y", None]), at=pl.col("at").cast(pl.Datetime("ns"))
    )
    rows = view(Dataset("table", other))
    np.testing.assert_array_equal(rows[:, 2], [3, 2, 2, 3, NAN])
    np.testing.assert_array_equal(rows[:, [0, 1, 3, 4, 5]], view(Dataset("table", FRAME))[:, [0, 1, 3, 4, 5]])


def test_a_chosen_category_and_an_empty_column() -> None:
    frame = pl.DataFrame({"zip": [20, 10, 20], "note": pl.Series([None] * 3, dtype=pl.String), "nil": [None] * 3})
    data = Dataset("table", frame, columns={"zip": "categorical"})
    view = Matrix.fit(data)
    np.testing.assert_array_equal(view(data), [[0, NAN, NAN], [1, NAN, NAN], [0, NAN, NAN]])
    assert 0 in view.categorical
    later = Dataset("table", frame.with_columns(note=pl.Series(["new", None, None])))
    np.testing.assert_array_equal(view(later)[:, 1], [0, NAN, NAN])


def test_points_are_as_they_are(generator: torch.Generator) -> None:
    x = torch.randn(7, 3, generator=generator)
    data = Dataset("points", x)
    np.testing.assert_array_equal(Matrix.fit(data)(data), x.double().numpy())


@pytest.mark.parametrize("shape", [(1, 28, 28), (3, 32, 32), (3, 5, 4), (1, 1, 300)])
def test_images(shape: tuple[int, int, int], generator: torch.Generator) -> None:
    """Small ones keep every pixel; large ones are averaged, which keeps the mean brightness of even areas."""
    values = torch.randint(256, (9, *shape), generator=generator, dtype=torch.uint8)
    data = Dataset("images", values)
    view = Matrix.fit(data)
    rows = view(data)
    assert rows.shape == (9, len(view.names))
    assert rows.shape[1] <= VALUES + 3
    plain = values.double().numpy() / 255
    np.testing.assert_allclose(rows[:, -3], plain.reshape(9, -1).std(1), atol=1e-6)
    if shape[2] > 1:
        np.testing.assert_allclose(rows[:, -2], np.abs(np.diff(plain, axis=3)).mean((1, 2, 3)), atol=1e-6)
    if plain[0].size <= VALUES:
        np.testing.assert_allclose(rows[:, :-3], plain.reshape(9, -1), atol=1e-6)
    flat = Dataset("images", torch.full((2, *shape), 51, dtype=torch.uint8))
    np.testing.assert_allclose(
        view(flat), np.r_[np.full(rows.shape[1] - 3, 0.2), 0, 0, 0][None].repeat(2, 0), atol=1e-6
    )


def test_unlike_data_is_refused() -> None:
    table, points = Dataset("table", FRAME, name="held"), Dataset("points", torch.zeros(3, 2), name="held")
    with pytest.raises(InputError, match="held is points, not table"):
        Matrix.fit(table)(points)
    with pytest.raises(InputError, match="lacks the column 'price'"):
        Matrix.fit(table)(Dataset("table", FRAME.drop("price"), name="held"))
    with pytest.raises(InputError, match="'price' holds String"):
        Matrix.fit(table)(Dataset("table", FRAME.with_columns(price=pl.lit("x")), name="held"))
    with pytest.raises(InputError, match=r"shape \(3,\), not \(2,\)"):
        Matrix.fit(points)(Dataset("points", torch.zeros(3, 3), name="held"))
