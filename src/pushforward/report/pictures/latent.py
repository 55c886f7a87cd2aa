"""The noise of a generator: which of its directions change the samples, what lies between two samples, and a map.

A direction's reach is how far a sample moves when that direction alone runs from one end to the other (1st to 99th
percentile) and all others stay, root mean square over samples, as a share of the distance between two random samples
(in encoded space; of tables, among standardised columns):

    reach_j = sqrt( E |G(z; z_j high) - G(z; z_j low)|^2 / E |G(z) - G(z')|^2 )
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
import torch
from markupsafe import Markup

from ...models.latent import between
from .drawing import Series, cloud, curves, grid_of_lines
from .maps import code_map, noise_map, number_names, numbers, short
from .parts import FAKE, REAL, Body, Chart, Charts, Picture, Section, Strip, Strips
from .view import Axis, View, plane

PROBES = {"points": 64, "table": 64, "images": 12}
FOLLOWED = {"points": 6, "table": 8, "images": 8}
MOST_AXES = 256  # directions whose reach is measured
TRACES = 40
STOPS = 9
BEHIND = 600
FINE = 61  # values along a path of points
PATHS = 6
SHOWN_NUMBERS = 8  # columns of a table in its traversals


def latent(view: View) -> Section | None:
    """Traversals, interpolations, and the map of the noise, or of encoded data where the model encodes."""
    found: list[Picture] = []
    if view.followable and view.axes:
        reaches = ranked(view)
        found.append(_traversals(view, reaches))
        if view.kind == "images":
            found.append(_interpolations(view))
        if not view.can("encode"):
            found += noise_map(view)
    if view.can("encode") and view.real is not None:
        found += code_map(view)
    pictures = tuple(found)
    lead = "What the generator makes of its noise." if view.followable else ""
    if view.followable and view.free < view.noise(1, "probe").shape[1]:
        lead = f"{lead} What it is given besides is held, but for the map."
    return Section("latent", "Latents", pictures, lead) if pictures else None


def ranked(view: View) -> list[tuple[Axis, float]]:
    """The directions of the noise with their reach (see the module's docstring): codes, then the rest, the farthest
    first."""
    n = PROBES[view.kind]
    z = view.noise(n, "reach")
    axes = view.axes[:MOST_AXES]
    moved = [axis.apply(z) if axis.law == "onehot" else axis.apply(z)[[0, -1]] for axis in axes]
    seen = view.seen(torch.cat([z, *(part.flatten(0, 1) for part in moved)]))
    apart = float(np.square(seen[:n] - np.roll(seen[:n], 1, 0)).sum(1).mean()) or 1.0
    found, first = [], n
    for axis, part in zip(axes, moved, strict=True):
        ends = seen[first : first + part.shape[0] * n].reshape(part.shape[0], n, -1)
        first += part.shape[0] * n
        # E |a - b|^2 of two values drawn apart: twice the variance, for two ends as for a choice of many
        change = 2 * float(np.square(ends - ends.mean(0)).sum(2).mean()) * len(ends) / (len(ends) - 1)
        found.append((axis, (change / apart) ** 0.5))
    return sorted(found, key=lambda pair: (not pair[0].code, -pair[1]))


def _traversals(view: View, reaches: Sequence[tuple[Axis, float]]) -> Picture:
    top = list(reaches[: FOLLOWED[view.kind]])
    lead = f"Of the {len(view.axes)} directions of the noise, the {len(top)} that change samples most."
    if len(top) == len(view.axes):
        lead = "Every direction of the noise, the one that changes samples most first."
    if top and top[0][0].code:
        lead = f"{lead[:-1]}; codes, which were trained to have a meaning, first."
    lead += " Reach: how far a direction moves a sample, as a share of the distance between two random samples."
    body: Body = BODIES[view.kind](view, top)
    reads = {
        "images": "Along a row one number of the noise grows and the rest stays: a row that changes one thing only "
        "is a direction with a meaning.",
        "points": "Each line is the path of one sample while one number of the noise grows, from the dot onwards; "
        "behind it, faint, where samples lie.",
        "table": "Each line is the mean change of a column, in its standard deviations, while one number of the "
        "noise grows from left to right.",
    }[view.kind]
    if view.kind == "points" and math.prod(view.codec.event_shape) == 1:
        reads = "Each line is one sample while one number of the noise grows from left to right and the rest stays."
    return Picture("Traversals", reads, body, lead)


def _strips(view: View, top: Sequence[tuple[Axis, float]]) -> Strips:
    z = view.noise(1, "traverse")
    rows = []
    for axis, reach in top:
        images = view.emitted(axis.apply(z).flatten(0, 1)).values
        sheet = view.sheet(images, len(images), f"traversal of {axis.name}", shown=48)
        rows.append(Strip(axis.name, sheet, f"reach {reach:.2f}"))
    return Strips(tuple(rows), columns=2)


def _traces(view: View, top: Sequence[tuple[Axis, float]]) -> Charts:
    z = view.noise(TRACES, "traverse")
    fine = [axis.finer(FINE) for axis, _ in top]
    if math.prod(view.codec.event_shape) == 1:
        return Charts(tuple(_function(view, axis, reach) for axis, (_, reach) in zip(fine, top, strict=True)))
    moved = [view.emitted(axis.apply(z).flatten(0, 1)) for axis in fine]
    behind = view.emitted(view.noise(BEHIND, "behind"))
    places, names = plane({"behind": behind, **{str(k): part for k, part in enumerate(moved)}})
    low, high = np.quantile(places["behind"], [0.005, 0.995], axis=0)
    pad = 0.12 * (high - low) + 1e-9
    frame = list(zip(low - pad, high + pad, strict=True))
    items = []
    for k, (axis, reach) in enumerate(top):
        paths = places[str(k)].reshape(-1, TRACES, 2).transpose(1, 0, 2)
        svg = cloud(
            {"samples": short(places["behind"])},
            [REAL],
            label=f"Paths of samples along {axis.name}",
            axes=names,
            traces=[short(path) for path in paths],
            faint=("samples",),
            frame=frame,
        )
        items.append(Chart(axis.name, Markup(svg), f"reach {reach:.2f}"))
    return Charts(tuple(items))


def _function(view: View, axis: Axis, reach: float) -> Chart:
    """Samples of one number, each against one direction of its noise."""
    some = view.emitted(axis.apply(view.noise(PATHS, "traverse")).flatten(0, 1)).values.reshape(-1, PATHS)
    at = axis.values[:, 0].tolist() if axis.law != "onehot" else list(range(len(axis.values)))
    series = [Series("sample", FAKE, list(zip(at, line, strict=True))) for line in some.double().T.tolist()]
    svg = curves(series, label=f"Samples along {axis.name}", axes=(axis.name, "x1"), size=(262, 200))
    return Chart(axis.name, Markup(svg), f"reach {reach:.2f}")


def _lines(view: View, top: Sequence[tuple[Axis, float]]) -> Charts:
    """Mean change of every column along every direction; of a category, of the share of its commonest level."""
    n = 256
    z = view.noise(n, "traverse")
    along = {}
    for axis, reach in top:
        moved = view.emitted(axis.apply(z).flatten(0, 1))
        along[f"{axis.name}, {reach:.2f}"] = numbers(view, moved).reshape(len(axis.values), n, -1)
    names = number_names(view)
    spread = np.nanstd(np.concatenate([part.reshape(-1, len(names)) for part in along.values()]), axis=0)
    change = {key: np.nanmean(part, axis=1) / np.where(spread > 0, spread, 1.0) for key, part in along.items()}
    change = {key: np.nan_to_num(part - np.nanmean(part, axis=0)) for key, part in change.items()}
    moved = np.max([np.ptp(part, axis=0) for part in change.values()], axis=0)
    shown = sorted(np.argsort(-moved, kind="stable")[:SHOWN_NUMBERS].tolist())
    most = max(0.1, *(float(np.abs(part[:, shown]).max()) for part in change.values()))
    table = {
        (key, names[j]): [(float(t), float(f"{v:.4g}")) for t, v in enumerate(part[:, j])]
        for key, part in change.items()
        for j in shown
    }
    svg = grid_of_lines(table, most=most, label="Mean change of columns along directions of the noise")
    left = len(names) - len(shown)
    note = f"{left} columns that move less are left out" if left > 0 else ""
    return Charts(
        (Chart(f"Directions and their reach; a cell goes from −{most:.2g} to {most:.2g}", Markup(svg), note),),
        wide=True,
    )


BODIES: dict[str, Callable[[View, Sequence[tuple[Axis, float]]], Body]] = {
    "images": _strips,
    "points": _traces,
    "table": _lines,
}


def _interpolations(view: View) -> Picture:
    ends = view.noise(2 * PATHS, "interpolate")
    own, a, b = view.free, ends[:PATHS], ends[PATHS:]
    ways = between(a[:, :own], b[:, :own], STOPS, view.laws, "spherical")
    ways = torch.cat([ways, a[:, None, own:].expand(-1, STOPS, -1)], 2)  # what is given stays
    rows = []
    for k, way in enumerate(ways):
        images = view.emitted(way).values
        rows.append(Strip("", view.sheet(images, STOPS, f"interpolation {k + 1} between two samples", shown=48)))
    reads = (
        "From one sample to another, along the sphere near which noise lies: a good path changes little by little and "
        "shows an image all the way."
    )
    return Picture("Interpolations", reads, Strips(tuple(rows), columns=2))
