"""Reconstructions: a real row, and what the model's encoder and generator make of it together."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from markupsafe import Markup
from torch import Tensor
from torch.nn.functional import interpolate

from ...data.dataset import Dataset
from ...evaluation.frames import frame_of
from ...evaluation.spaces import space_of
from .drawing import cloud
from .parts import FAKE, REAL, Body, Chart, Charts, Key, Picture, Rows, Section, Strip, Strips
from .view import View, chosen, plane

PAIRS = {"images": 32, "points": 300, "table": 6}
ROW = 8  # images side by side
ERRORS = 256  # rows that the error is taken over
MOST_CELLS = 12
ROUNDING = 1e-9


def reconstruction(view: View) -> Section | None:
    """Pairs of real rows and their reconstructions, with the error beside that of a random pair."""
    if not view.can("reconstruct") or view.real is None:
        return None
    real = chosen(view.real, max(ERRORS, PAIRS[view.kind]), view.seed)
    again = view.dataset(view.model.reconstruct(real))
    mine, chance = errors(real, again)
    lead = f"Root mean square error over {len(real):,} {view.real_is}: {figure(mine)}."
    if chance > 0:
        lead = f"{lead[:-1]}; two random real rows are {figure(chance)} apart, so {mine / chance:.0%} of chance."
    some = torch.arange(min(PAIRS[view.kind], len(real)))
    body: Body = BODIES[view.kind](view, real.take(some), again.take(some))
    reads = {
        "images": "Above the source, below its reconstruction: what changes is what the code does not hold.",
        "points": "A line leads from a real point (dot) to its reconstruction: a short one means that little is lost.",
        "table": "Each real row above its reconstruction: what changes is what the code does not hold.",
    }[view.kind]
    keys = (Key(REAL, "real rows"), Key(FAKE, "reconstructions")) if view.kind == "points" else ()
    return Section("reconstruction", "Reconstruction", (Picture("Pairs", reads, body, lead, keys),))


def errors(real: Dataset, again: Dataset) -> tuple[float, float]:
    """Root mean squared distance a coordinate of each row to its partner, and of random pairs of real rows.

    Tables are coded as in comparisons (standardised numbers, half-weighted categories), images with white as 1.
    """
    parts = {"real": real, "fake": again}
    rows = space_of(parts, frame_of(parts)).rows
    x, y = rows["real"], rows["fake"]
    apart = x - np.roll(x, 1, axis=0)
    return float(np.sqrt(np.square(x - y).mean())), float(np.sqrt(np.square(apart).mean()))


def figure(value: float) -> str:
    """Three digits; what is only rounding is 0."""
    return f"{value:.3g}" if value > ROUNDING else "0"


def pairs_of(view: View, parts: list[tuple[str, Dataset]], row: int) -> Strips:
    """Blocks of images: `row` of the first of `parts`, below them those of the second, and so on."""
    values = _alike([data.values for _, data in parts])
    n = min(len(one) for one in values)
    sheets = []
    for first in range(0, n, row):
        last = min(first + row, n)
        stacked = torch.cat([one[first:last] for one in values])
        label = ", ".join(f"{name} {first + 1} to {last}" for name, _ in parts)
        sheets.append(Strip("", view.sheet(stacked, last - first, label)))
    return Strips(tuple(sheets), columns=2)


def _alike(images: list[Tensor]) -> list[Tensor]:
    """uint8 images of one size and as many colours: those of the first, and three where any has three."""
    channels, size = max(one.shape[1] for one in images), images[0].shape[2:]
    found = [one.expand(-1, channels, -1, -1) for one in images]
    return [one if one.shape[2:] == size else interpolate(one.float(), size=size).to(one.dtype) for one in found]


def _images(view: View, real: Dataset, again: Dataset) -> Strips:
    return pairs_of(view, [("source", real), ("reconstruction", again)], ROW)


def _points(view: View, real: Dataset, again: Dataset) -> Charts:
    places, axes = plane({"real": real, "fake": again})
    lines = [[a, b] for a, b in zip(places["real"][:120].tolist(), places["fake"][:120].tolist(), strict=True)]
    svg = cloud(
        {"real": places["real"].tolist(), "fake": places["fake"].tolist()},
        [REAL, FAKE],
        label="Real points and their reconstructions",
        axes=axes,
        traces=lines,
        side=360,
    )
    return Charts((Chart("", Markup(svg)),))


def _table(view: View, real: Dataset, again: Dataset) -> Rows:
    return beside(real, [("again", again)])


BODIES: dict[str, Callable[[View, Dataset, Dataset], Body]] = {
    "images": _images,
    "points": _points,
    "table": _table,
}


def beside(real: Dataset, others: list[tuple[str, Dataset]], name: str = "real") -> Rows:
    """Rows of a table, each above its partners in the `others`; `name`: what the first ones are called."""
    frame = frame_of({name: real, **dict(others)})
    width = min(len(frame.names), MOST_CELLS)
    rows, sides = [], []
    for k in range(len(real)):
        for role, values in frame.rows.items():
            rows.append((role, *(frame.cell(j, values[k, j]) for j in range(width))))
            sides.append("real" if role == name else "fake")
    return Rows(("", *frame.names[:width]), tuple(rows), tuple(sides))
