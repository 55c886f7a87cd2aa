"""Charts of data, and of rows that were moved."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np

from ...errors import InputError
from .. import sentences
from ..cards.data import sentence
from ..words import counted, cut, listed
from .parts import FAKE, LINE, MUTED, REAL, apart, bars, bins, data, names_axis, one_of, titled

MOST = 12  # columns
POINTS = 2000
LEVELS = 12
BINS = 32  # so that the days of a month have one each
ACROSS = 3
ROWS = 100_000  # of a column that are counted
TILES = 100
TRACES = 4000  # snapshots of rows in all
STAMPS = ("date", "datetime")


def of_dataset(
    dataset: Any,
    *,
    columns: Sequence[str] | None = None,
    most: int = MOST,
    width: int = 200,
    height: int = 110,
    side: int = 360,
) -> Any:
    """Of a `Dataset`: points of the plane as dots, else the distribution of each column or coordinate (those of
    `columns`, or the first `most`); images as a sheet."""
    if not len(dataset):
        raise InputError(f"{dataset.name}: has no rows to draw")
    if dataset.kind == "images":
        return titled(_sheet(dataset), sentence(dataset), _some(min(TILES, len(dataset)), len(dataset)), width=640)
    if dataset.kind == "points" and dataset.values.shape[1] == 2 and columns is None:
        return titled(
            _plane(dataset, side),
            sentence(dataset),
            _some(math.ceil(len(dataset) / math.ceil(len(dataset) / POINTS)), len(dataset)),
            width=side + 60,
        )
    names = (
        [f"x{k + 1}" for k in range(dataset.values.shape[1])] if dataset.kind == "points" else dataset.values.columns
    )
    unknown = [name for name in columns or () if name not in names]
    if unknown:
        raise InputError(f"{dataset.name}: has no column {cut(unknown[0], 80)!r}; it has {listed(list(names), 12)}")
    chosen = list(columns) if columns is not None else list(names[:most])
    return titled(
        _grid(dataset, list(names), chosen, width, height),
        sentence(dataset),
        _more(len(chosen), len(names)),
        width=ACROSS * (width + 60),
    )


def _some(shown: int, n: int) -> str:
    return "" if shown >= n else f"{shown:,} of them are drawn"


def _more(shown: int, n: int) -> str:
    return "" if shown >= n else f"{shown:,} of {n:,} columns are drawn"


def _sheet(dataset: Any) -> Any:
    import altair as alt

    from ..thumbnails import thumbnails

    uri, width, height = thumbnails(dataset.values[:TILES], 20, most=400_000, shown=32, sharp=True)
    place = alt.Chart(data([{"uri": uri}])).mark_image(width=width, height=height).encode(url="uri:N")
    return place.encode(x=alt.value(width / 2), y=alt.value(height / 2)).properties(width=width, height=height)


def _plane(dataset: Any, side: int) -> Any:
    import altair as alt

    stride = math.ceil(len(dataset) / POINTS)
    rows = dataset.values[::stride].detach().double().cpu().numpy()
    rows = rows[np.isfinite(rows).all(1)]
    if not len(rows):
        raise InputError(f"{dataset.name}: has no finite points to draw")
    x, y = square(rows)
    points = [{"x": float(a), "y": float(b)} for a, b in rows]
    return (
        alt.Chart(data(points))
        .mark_circle(size=14, opacity=0.5, color=REAL)
        .encode(x=x, y=y)
        .properties(width=side, height=side)
    )


def square(rows: Any, names: Sequence[str] = ("x1", "x2")) -> tuple[Any, Any]:
    """Axes of the plane that hold `rows` `(n, 2)`, with one unit for both unless that would hide one of them."""
    import altair as alt

    low, high = np.asarray(rows).min(0), np.asarray(rows).max(0)
    middle, reach = (low + high) / 2, (high - low) / 2
    if reach.min() > 0.2 * reach.max():
        reach = np.full(2, reach.max())
    reach = 1.06 * np.where(reach > 0, reach, 0.5)
    ends = [[float(m - r), float(m + r)] for m, r in zip(middle, reach, strict=True)]
    x = alt.X("x:Q", title=names[0], scale=alt.Scale(domain=ends[0], nice=False), axis=alt.Axis(tickCount=5))
    y = alt.Y("y:Q", title=names[1], scale=alt.Scale(domain=ends[1], nice=False), axis=alt.Axis(tickCount=5))
    return x, y


def _grid(dataset: Any, names: Sequence[str], chosen: Sequence[str], width: int, height: int) -> Any:
    import altair as alt

    if not chosen:
        raise InputError(f"{dataset.name}: has no columns to draw")
    panels = [_marginal(dataset, names.index(name), name, width, height) for name in chosen]
    return alt.concat(*panels, columns=ACROSS, spacing=22)


def _marginal(dataset: Any, k: int, name: str, width: int, height: int) -> Any:
    """The distribution of one column of at most `ROWS` rows, the share that is missing beside its name."""
    import altair as alt
    import polars as pl

    stride = math.ceil(len(dataset) / ROWS)
    if dataset.kind == "points":
        series = pl.Series(name, dataset.values[::stride, k].detach().double().cpu().numpy())
    else:
        series = dataset.values[name].gather_every(stride)
    gone = series.null_count() / max(1, len(series))
    told = f"{cut(name, 30)}, {100 * gone:.2g}% missing" if gone else cut(name, 34)
    head = alt.Title(told, fontSize=13, offset=4, limit=width + 40)
    series = series.drop_nulls()
    asked = (dataset.columns or {}).get(name)
    named = asked in ("categorical", "boolean") or not (series.dtype.is_numeric() or series.dtype.is_temporal())
    drawn = _levels(series, width, height) if named else _numbers(series, width, height)
    return drawn.properties(title=head)


def _levels(series: Any, width: int, height: int) -> Any:
    import altair as alt

    found = Counter(str(level) for level in series.to_list()).most_common()
    left = sum(count for _, count in found[LEVELS:])
    shown = found[:LEVELS]
    if left:
        shown.append((f"({len(found) - LEVELS:,} more)", left))
    names = apart([level for level, _ in shown], 30)
    rows = [{"level": name, "share": count / len(series)} for name, (_, count) in zip(names, shown, strict=True)]
    return (
        alt.Chart(data(rows))
        .mark_bar(color=REAL, opacity=0.7)
        .encode(
            y=alt.Y("level:N", sort=names, axis=names_axis(90, labelFontSize=10.5)),
            x=alt.X("share:Q", title=None, axis=alt.Axis(format="~%", tickCount=3)),
            tooltip=[alt.Tooltip("share:Q", format=".2%")],
        )
        .properties(width=width, height=height)
    )


def _numbers(series: Any, width: int, height: int) -> Any:
    """Bins between the 0.2nd and 99.8th percentile, so that a stray value does not hide the rest."""
    import altair as alt

    stamps = series.dtype.is_temporal() and str(series.dtype).lower().startswith(STAMPS)
    if stamps:
        series = series.cast(_datetime()).dt.epoch("ms")
    elif series.dtype.is_temporal():
        series = series.to_physical()
    values = series.cast(float, strict=False).drop_nulls().to_numpy()
    values = values[np.isfinite(values)]
    if not len(values):
        return (
            alt.Chart(data([{"told": "no values"}]))
            .mark_text()
            .encode(text="told:N")
            .properties(width=width, height=height)
        )
    low, high = np.quantile(values, [0.002, 0.998])
    inside = values[(values >= low) & (values <= high)]
    edges, shares = bins(inside if len(inside) else values, BINS)
    scale = (
        alt.Scale(type="utc", nice=False, domain=[edges[0], edges[-1]])
        if stamps
        else alt.Scale(nice=False, zero=False, domain=[edges[0], edges[-1]])
    )
    far = max(abs(edges[0]), abs(edges[-1])) >= 10_000
    axis = alt.Axis(grid=False, tickCount=4, format=alt.Undefined if stamps else "~s" if far else "~r")
    if len(edges) == 2:  # one value: it alone is marked
        axis.values = [float(inside[0])] if len(inside) else alt.Undefined
    x = alt.X("from", type="temporal" if stamps else "quantitative", scale=scale, title=None, axis=axis)
    chart = bars(edges, shares, REAL, x, "", of="share")
    chart.encoding.y = alt.Y("height:Q", title=None, axis=alt.Axis(tickCount=3, format="~%"))
    return chart.properties(width=width, height=height)


def _datetime() -> Any:
    import polars as pl

    return pl.Datetime("ms")


# ---- rows that were moved


def of_transported(moved: Any, what: str | None = None, *, side: int = 360, width: int = 480, height: int = 200) -> Any:
    """Of a `Transported`: "rows", where rows of the plane ended, with the way that they took where snapshots were kept;
    "speed", how far a row moved in each step."""
    rows = _numpy(moved.rows)
    flat = rows.ndim == 2 and rows.shape[1] == 2
    if one_of(what, ("rows", "speed"), "rows" if flat else "speed", "transport") == "speed":
        return titled(_speed(moved, width, height), sentences.of_transported(moved), width=width)
    if not flat:
        raise InputError(f"rows of {counted(rows[0].size, 'number')} do not lie in the plane; take plot('speed')")
    chart = _ways(rows, _numpy(moved.path), side)
    under = "grey: where they began and the way they took" if len(moved.path) > 1 else ""
    return titled(chart, sentences.of_transported(moved), under, width=side + 60)


def _numpy(values: Any) -> Any:
    return np.asarray(values.detach().cpu() if hasattr(values, "detach") else values, dtype=float)


def _speed(moved: Any, width: int, height: int) -> Any:
    import altair as alt

    if not moved.speed:
        raise InputError("these rows made no step")
    rows = [{"step": k + 1, "speed": float(v)} for k, v in enumerate(moved.speed)]
    rows = rows[:: math.ceil(len(rows) / POINTS)]
    x = alt.X("step:Q", title="step", scale=alt.Scale(nice=False), axis=alt.Axis(grid=False))
    y = alt.Y("speed:Q", title="mean displacement of a row", scale=alt.Scale(domainMin=0))
    line = alt.Chart(data(rows)).mark_line(color=FAKE).encode(x=x, y=y, tooltip=["step:Q", "speed:Q"])
    return line.properties(width=width, height=height)


def _ways(rows: Any, path: Any, side: int) -> Any:
    import altair as alt

    stride = math.ceil(len(rows) / POINTS)
    ended = rows[::stride]
    kept = np.isfinite(ended).all(1)
    every = [ended[kept]]
    layers = []
    if len(path) > 1:
        few = path[:, :: math.ceil(len(rows) * len(path) / TRACES)]
        every.append(few.reshape(-1, 2))
    x, y = square(np.concatenate(every))
    if len(path) > 1:
        lines = [
            {"x": float(p[0]), "y": float(p[1]), "row": k, "at": t}
            for k in range(few.shape[1])
            for t, p in enumerate(few[:, k])
        ]
        way = alt.Chart(data(lines)).mark_line(color=LINE, strokeWidth=0.8, opacity=0.9)
        layers.append(way.encode(x=x, y=y, detail="row:N", order="at:Q"))
        began = [row for row in lines if row["at"] == 0]
        layers.append(alt.Chart(data(began)).mark_circle(size=12, color=MUTED, opacity=0.8).encode(x=x, y=y))
    dots = [{"x": float(a), "y": float(b)} for a, b in every[0]]
    layers.append(alt.Chart(data(dots)).mark_circle(size=16, color=FAKE, opacity=0.7).encode(x=x, y=y))
    return alt.layer(*layers).properties(width=side, height=side)
