"""`Frame`: the columns of several datasets side by side, coded alike; what marginals, correlations and trees read.

Points have their coordinates as columns, tables their own, images a few statistics of each picture. Categories are
coded by falling frequency over ALL rows given, real and fake together: a coding fitted on the real rows only would
itself tell the two apart (an unseen level occurs only in the fake), and no p-value would hold.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from ..data.columns import NUMERIC, as_float, infer
from ..data.dataset import Dataset
from ..errors import InputError

MISSING = "(missing)"
TIMES = frozenset({"datetime", "date"})
TREE_LEVELS = 250  # scikit-learn's histogram boosting takes at most 255 categories


@dataclass(frozen=True)
class Frame:
    """`rows[role]` `(n, p)` float64: numbers, NaN where missing; categories as codes into `levels[j]`, missing a level.

    `kinds[j]` is "numeric", "datetime" (seconds since 1970) or "category"; `levels[j]` is empty but for categories.
    """

    names: tuple[str, ...]
    kinds: tuple[str, ...]
    levels: tuple[tuple[str, ...], ...]
    rows: Mapping[str, NDArray[np.float64]]

    @property
    def categorical(self) -> list[int]:
        return [j for j, kind in enumerate(self.kinds) if kind == "category"]

    @property
    def numerical(self) -> list[int]:
        return [j for j, kind in enumerate(self.kinds) if kind != "category"]

    def trees(self, role: str) -> NDArray[np.float64]:
        """`rows[role]` with all but the most frequent levels of a category pooled: what boosted trees can take."""
        values = self.rows[role].copy()
        for j in self.categorical:
            values[:, j] = np.minimum(values[:, j], TREE_LEVELS)
        return values

    def cell(self, j: int, value: float) -> str | float | int | None:
        """A value of column j as a person (and JSON) reads it."""
        if self.kinds[j] == "category":
            return self.levels[j][int(value)]
        if not np.isfinite(value):
            return None
        if self.kinds[j] == "datetime":
            stamp = str(np.datetime64(round(value), "s"))
            return stamp.removesuffix("T00:00:00").replace("T", " ")
        return int(value) if float(value).is_integer() and abs(value) < 2**53 else float(f"{value:.6g}")

    def record(self, role: str, row: int) -> dict[str, str | float | int | None]:
        return {name: self.cell(j, self.rows[role][row, j]) for j, name in enumerate(self.names)}


def frame_of(datasets: Mapping[str, Dataset]) -> Frame:
    """The columns of `datasets` (role -> data, all of one kind and alike), coded together."""
    kind = next(iter(datasets.values())).kind
    if kind == "table":
        return _table(datasets)
    if kind == "points":
        rows = {role: data.values.reshape(len(data), -1).double().cpu().numpy() for role, data in datasets.items()}
        names = tuple(f"x{j + 1}" for j in range(next(iter(rows.values())).shape[1]))
    else:
        both = {role: image_statistics(data) for role, data in datasets.items()}
        rows = {role: values for role, (_, values) in both.items()}
        names = next(iter(both.values()))[0]
    return Frame(names, ("numeric",) * len(names), ((),) * len(names), rows)


def image_statistics(data: Dataset) -> tuple[tuple[str, ...], NDArray[np.float64]]:
    """Brightness (mean), contrast (standard deviation), edges (mean absolute step to the next pixel), and the means of
    the colours; all on a scale where white is 1."""
    values = data.values
    columns: list[list[NDArray[np.float32]]] = []
    for part in values.split(2048):
        x = part.float() / 255
        edges = 0.5 * (x.diff(dim=2).abs().mean((1, 2, 3)) + x.diff(dim=3).abs().mean((1, 2, 3)))
        figures = [x.mean((1, 2, 3)), x.flatten(1).std(1, correction=0), edges]
        if x.shape[1] == 3:
            figures += list(x.mean((2, 3)).T)
        columns.append([figure.nan_to_num().numpy() for figure in figures])
    names: tuple[str, ...] = ("brightness", "contrast", "edges")
    if values.shape[1] == 3:
        names += ("red", "green", "blue")
    stacked = [np.concatenate(parts) for parts in zip(*columns, strict=True)]
    return names, np.stack(stacked, 1).astype(np.float64)


def _table(datasets: Mapping[str, Dataset]) -> Frame:
    frames = {role: data.values for role, data in datasets.items()}
    pooled = pl.concat(
        [frame.select(next(iter(frames.values())).columns) for frame in frames.values()], how="vertical_relaxed"
    )
    values: list[NDArray[np.float64]] = []
    kinds: list[str] = []
    levels: list[tuple[str, ...]] = []
    for column in infer(pooled, _overrides(datasets)):
        series = pooled[column.name]
        if column.kind in NUMERIC or (column.kind in ("constant", "empty") and series.dtype.is_numeric()):
            values.append(_seconds(series) if column.kind in TIMES else as_float(series))
            kinds.append("datetime" if column.kind in TIMES else "numeric")
            levels.append(())
        else:
            codes, names = _codes(series)
            values.append(codes)
            kinds.append("category")
            levels.append(names)
    stacked = np.stack(values, 1).astype(np.float64)
    if np.isinf(stacked).any():
        j = int(np.isinf(stacked).any(0).argmax())
        raise InputError(f"column {pooled.columns[j]!r} holds infinite values; make them missing, or drop those rows")
    ends = np.cumsum([len(frame) for frame in frames.values()])
    rows = dict(zip(frames, np.split(stacked, ends[:-1]), strict=True))
    return Frame(tuple(pooled.columns), tuple(kinds), tuple(levels), rows)


def _overrides(datasets: Mapping[str, Dataset]) -> dict[str, str]:
    """The column types the user chose, for whichever of the sets."""
    return {name: kind for data in datasets.values() for name, kind in (data.columns or {}).items()}


def _seconds(series: pl.Series) -> NDArray[np.float64]:
    micros = series.cast(pl.Datetime("us")).to_physical()
    return micros.cast(pl.Float64).fill_null(float("nan")).to_numpy() / 1e6


def _codes(series: pl.Series) -> tuple[NDArray[np.float64], tuple[str, ...]]:
    """Codes by falling frequency, ties by name; a missing value is a level like any other."""
    text = series.cast(pl.String).fill_null(MISSING).alias("level")
    counts = text.value_counts().sort(["count", "level"], descending=[True, False])
    names = counts["level"]
    codes = text.replace_strict(names, pl.Series(np.arange(len(names), dtype=np.float64)), return_dtype=pl.Float64)
    return codes.to_numpy(), tuple(names.to_list())
