"""Real rows of which parts were hidden, and what the model puts there."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import polars as pl
import torch
from markupsafe import Markup
from torch import Tensor

from ...data.dataset import Dataset
from ...models.drawing import rng
from .drawing import cloud
from .mirrored import beside, errors, figure, pairs_of
from .parts import FAKE, REAL, Body, Chart, Charts, Key, Picture, Section
from .view import View, chosen, plane

HIDDEN = 0.3  # share of the cells of points and tables
ROWS = {"images": 32, "points": 400, "table": 5}
ROW = 8
DRAWS = 2  # fillings of images
GREY = 128


def filling(view: View) -> Section | None:
    """Rows, the same with holes, and filled."""
    if not view.can("fill") or view.real is None:
        return None
    real = chosen(view.real, ROWS[view.kind], view.seed)
    hidden, filled = MAKERS[view.kind](view, real)
    mine, chance = errors(real, filled[0])
    lead = f"Root mean square difference from the truth, over all cells: {figure(mine)}"
    lead += f"; two random real rows are {figure(chance)} apart." if chance > 0 else "."
    keys: tuple[Key, ...] = ()
    body: Body
    if view.kind == "images":
        names = ["truth", "what is shown to the model", *[f"filling {k + 1}" for k in range(len(filled))]]
        body = pairs_of(view, list(zip(names, [real, hidden, *filled], strict=True)), ROW)
        reads = (
            "In each block the truth, what is shown of it, and two fillings: they should suit what is seen, and differ "
        )
        reads += "where it leaves things open."
    elif view.kind == "table":
        body = beside(real, [("with holes", hidden), ("filled", filled[0])], name="truth")
        reads = "Each row, the same with holes, and filled: no filling can know the truth, but it should be possible."
    else:
        places, axes = plane({"truth": real, "filled": filled[0]})
        shown: dict[str, Any] = {name: rows.tolist() for name, rows in places.items()}
        body = Charts((Chart("", Markup(cloud(shown, [REAL, FAKE], label="Filled points", axes=axes, side=340))),))
        reads = "Filled rows should lie where true ones lie, not in the middle between them."
        keys = (Key(REAL, "truth"), Key(FAKE, "filled where coordinates were hidden"))
    return Section("filling", "Filling holes", (Picture("Rows with holes", reads, body, lead, keys),))


def _cells(view: View, n: int, p: int) -> Tensor:
    """Which cells are hidden `(n, p)`: at random, at least one and not all of every row that has two."""
    hidden = torch.rand(n, p, generator=rng(view.seed, "page", "holes")) < HIDDEN
    rows = torch.arange(n)
    hidden[rows, rows % p] = True
    if p > 1:
        hidden[rows, (rows + 1) % p] = False
    return hidden


def _points(view: View, real: Dataset) -> tuple[Dataset, list[Dataset]]:
    values = real.values.clone()
    values[_cells(view, *values.shape)] = torch.nan
    return real, [view.dataset(view.model.fill(values.numpy(), seed=view.seed))]


def _table(view: View, real: Dataset) -> tuple[Dataset, list[Dataset]]:
    hidden = _cells(view, len(real), real.values.width).numpy()
    columns = []
    for j, column in enumerate(real.values.get_columns()):
        marked = pl.DataFrame({"v": column, "hidden": hidden[:, j]})
        columns.append(
            marked.select(pl.when("hidden").then(None).otherwise(pl.col("v")).alias(column.name))[column.name]
        )
    holed = Dataset("table", pl.DataFrame(columns), real.name, real.container, columns=real.columns)
    return holed, [view.dataset(view.model.fill(holed, seed=view.seed))]


def _images(view: View, real: Dataset) -> tuple[Dataset, list[Dataset]]:
    """Hidden are, in turn, the lower half, the right half, a square in the middle, and half of all pixels."""
    n, _, h, w = real.values.shape
    masks = torch.zeros(4, h, w, dtype=torch.bool)
    masks[0, h // 2 :], masks[1, :, w // 2 :], masks[2, h // 4 : h - h // 4, w // 4 : w - w // 4] = True, True, True
    masks[3] = torch.rand(h, w, generator=rng(view.seed, "page", "holes")) < 0.5
    hidden = masks[torch.arange(n) // ROW % 4]
    shown = torch.where(hidden[:, None], GREY, real.values).to(torch.uint8)
    drawn = [view.model.fill((real.values, hidden), seed=view.seed + k) for k in range(DRAWS)]
    holed = Dataset("images", shown, real.name, real.container)
    return holed, [view.dataset(one) for one in drawn]


MAKERS: dict[str, Callable[[View, Dataset], tuple[Dataset, Sequence[Dataset]]]] = {
    "images": _images,
    "points": _points,
    "table": _table,
}
