"""Maps of latent space: where in it which kinds of rows lie.

With an encoder: principal components of the codes of real rows. Without: the plane of the noise that samples depend on
most, which is spanned by the first two left singular vectors of the regression of samples on noise.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import polars as pl
import torch
from markupsafe import Markup
from torch import Tensor

from ...data.dataset import Dataset
from ...evaluation.frames import MISSING, frame_of
from .drawing import cloud
from .parts import COLOURS, FAKE, REAL, Chart, Charts, Key, Picture, Strip, Strips
from .view import Array, View, chosen, plane, seen_of

GROUPS = 8
FAR = 0.5  # standard deviations from which on a column tells of a group
MAPPED = 1500
EXAMPLES = 12
FEW = 20  # values of a column that can be told apart by colour, the rarest of them pooled
SIDE = 330


def noise_map(view: View) -> list[Picture]:
    """The plane of noise that samples depend on most, coloured by what becomes of it."""
    gaussian = [axis.places[0] for axis in view.axes if axis.law == "normal"]
    if len(gaussian) < 2:
        return []
    z = view.noise(MAPPED, "map")
    sample = view.emitted(z)
    inputs = z[:, gaussian].double().numpy()
    if len(gaussian) == 2:
        places, axes, lead = inputs, [f"z{place}" for place in gaussian], "The two numbers of the noise"
    else:
        places, axes = _followed(inputs, seen_of(sample))
        lead = "The two directions of the noise that samples follow most, by linear regression of samples on noise"
    group, names, what = kinds(view, sample)
    beside, beside_axes = plane({"fake": sample})
    items = (
        _coloured("Noise", places, axes, group, len(names)),
        _coloured("The samples it becomes", beside["fake"], beside_axes, group, len(names)),
    )
    reads = (
        "A colour that fills one region is a kind of sample that the noise keeps together; colours that mix are told "
        "apart by other directions."
    )
    found = Picture("Latent map", reads, Charts(items), f"{lead}; {what}.", _keys(names))
    return [found, *_examples(view, sample, group, names)]


def _followed(inputs: Array, seen: Array) -> tuple[Array, list[str]]:
    weights = np.linalg.lstsq(inputs - inputs.mean(0), seen - seen.mean(0), rcond=None)[0]
    directions, strength, _ = np.linalg.svd(weights, full_matrices=False)
    share = np.append(strength**2, 0.0) / max(1e-300, float((strength**2).sum()))
    if directions.shape[1] < 2:  # samples of one number follow one direction: any other goes beside it
        directions = np.linalg.qr(np.c_[directions, np.eye(len(directions))])[0]
    return inputs @ directions[:, :2], [f"direction {k + 1} ({share[k]:.0%})" for k in range(2)]


def code_map(view: View) -> list[Picture]:
    """PCA of the codes of real rows: over noise, which an encoder should cover, and by kinds of rows."""
    assert view.real is not None
    real = chosen(view.real, MAPPED, view.seed)
    codes = codes_of(view, real)
    parts = {"codes of real rows": codes}
    if view.followable:
        z = view.noise(MAPPED, "map").double().numpy()
        parts |= {"noise": z} if z.shape[1] == codes.shape[1] else {}
    places, axes = _principal(codes, parts)
    colours = [REAL, FAKE][: len(places)]
    own = tuple(Key(colour, name) for colour, name in zip(colours, places, strict=True)) if len(places) > 1 else ()
    group, names, what = kinds(view, real)
    over = cloud({k: short(v) for k, v in places.items()}, colours, label="Codes over noise", axes=axes, side=SIDE)
    items = (
        Chart("Codes over noise" if len(places) > 1 else "Codes", Markup(over), "", own),
        _coloured("Codes by kind of row", places["codes of real rows"], axes, group, len(names), _keys(names)),
    )
    reads = "Codes should cover what the noise covers, and rows of a kind should lie together."
    lead = f"Two principal components of the codes of {len(codes):,} {view.real_is}; {what}."
    found = Picture("Latent map", reads, Charts(items), lead)
    return [found, *_examples(view, real, group, names)]


def codes_of(view: View, data: Dataset) -> Array:
    """`encode` of the rows as a float array `(n, m)`."""
    found = view.model.encode(data)
    array = found.detach().cpu().numpy() if isinstance(found, Tensor) else np.asarray(found)
    return np.asarray(array, dtype=np.float64).reshape(len(array), -1)


def _principal(codes: Array, parts: dict[str, Array]) -> tuple[dict[str, Array], list[str]]:
    """Every part on the two principal axes of `codes`, whose names say which share of their variance each holds."""
    centre = codes.mean(0)
    _, strength, axes = np.linalg.svd(codes - centre, full_matrices=False)
    axes = axes * np.where(axes[np.arange(len(axes)), np.abs(axes).argmax(1)] < 0, -1, 1)[:, None]
    share = np.append(strength**2, 0.0) / max(1e-300, float((strength**2).sum()))
    if len(axes) < 2:
        axes = np.r_[axes, np.zeros((2 - len(axes), codes.shape[1]))]
    named = [f"component {k + 1} ({share[k]:.0%})" for k in range(2)]
    return {name: (rows - centre) @ axes[:2].T for name, rows in parts.items()}, named


def kinds(view: View, data: Dataset) -> tuple[Array, list[str], str]:
    """Which kind each row is of `(n,)`, the names of the kinds, and in words what kinds are.

    The values of a column that the model is given, where it has few; else groups by k-means.
    """
    label = label_of(view, data)
    if label is not None:
        column, text = label
        counts = text.value_counts().sort(["count", column], descending=[True, False])
        most = len(COLOURS)
        names = counts[column].to_list()[: most - 1 if len(counts) > most else most]
        names = sorted(names)
        rest = len(counts) > len(names)
        where = {name: k for k, name in enumerate(names)}
        group = np.array([where.get(value, len(names)) for value in text.to_list()])
        return group, [*names, "others"] if rest else names, f"colours are values of {column}"
    group = grouped(seen_of(data), seed=view.seed)
    return group, _names(view, data, group), "colours are groups by k-means"


def label_of(view: View, data: Dataset) -> tuple[str, pl.Series] | None:
    """The first column of few values, as text, of what the model is given in the rows or beside them."""
    said = getattr(view.model, "network_", {}).get("given") or {}
    if data.given is not None and data.given.kind == "table":
        frame = data.given.values
    elif data.kind == "table":
        frame = data.values.select(said.get("columns", []))
    else:
        return None
    for column in frame.columns:
        if frame[column].n_unique() <= FEW:
            return column, frame[column].cast(pl.String).fill_null(MISSING)
    return None


def grouped(seen: Array, *, seed: int) -> Array:
    """A group for each of the rows `(n, k)`, by k-means; 0 is the largest."""
    from sklearn.cluster import KMeans

    count = min(GROUPS, len(np.unique(seen, axis=0)))
    found = KMeans(count, n_init=3, random_state=seed % 2**32).fit_predict(seen)
    order = np.argsort(-np.bincount(found, minlength=count), kind="stable")
    place = np.empty(count, dtype=np.int64)
    place[order] = np.arange(count)
    renamed: Array = place[found]
    return renamed


def _names(view: View, data: Dataset, group: Array) -> list[str]:
    """The groups by the columns in which each differs most from all rows; images have none that says much."""
    count = int(group.max()) + 1
    share = np.bincount(group, minlength=count) / len(group)
    if view.kind == "images" or (view.kind == "points" and data.values.shape[1] <= 2):
        return [f"group {k + 1} ({share[k]:.0%})" for k in range(count)]
    values, names = numbers(view, data), number_names(view)
    centre, spread = np.nanmean(values, axis=0), np.nanstd(values, axis=0)
    told = []
    for k in range(count):
        away = (np.nanmean(values[group == k], axis=0) - centre) / np.where(spread > 0, spread, 1.0)
        away = np.nan_to_num(away)
        order = np.argsort(-np.abs(away), kind="stable")[:2]
        top = [j for j in order if abs(away[j]) > FAR] or [order[0]]
        told.append(f"{', '.join(_way(names[j], away[j]) for j in top)} ({share[k]:.0%})")
    return told


def _way(name: str, away: float) -> str:
    yes, no = ("mostly", "seldom") if " = " in name else ("high", "low")
    return f"{yes if away > 0 else no} {name}"


def numbers(view: View, data: Dataset) -> Array:
    """Every column as a number `(n, p)`: of a category, whether it has its commonest level among the samples."""
    frame = frame_of({"fake": data})
    values = frame.rows["fake"].copy()
    common = commonest(view)
    for j in frame.categorical:
        level = common.get(frame.names[j], "")
        values[:, j] = values[:, j] == (frame.levels[j].index(level) if level in frame.levels[j] else -1)
    return values


def commonest(view: View) -> dict[str, str]:
    """The commonest level of every categorical column among the samples."""
    frame = view.frame
    most = {j: int(np.bincount(frame.rows["fake"][:, j].astype(np.int64)).argmax()) for j in frame.categorical}
    return {frame.names[j]: frame.levels[j][code] for j, code in most.items()}


def number_names(view: View) -> list[str]:
    """What `numbers` are of."""
    common = commonest(view)
    return [f"{name} = {common[name]}" if name in common else name for name in view.frame.names]


def _coloured(
    title: str, rows: Array, axes: Sequence[str], group: Array, count: int, keys: tuple[Key, ...] = ()
) -> Chart:
    parts = {str(k): short(rows[group == k]) for k in range(count)}
    label = f"{title}, coloured by kind"
    return Chart(title, Markup(cloud(parts, COLOURS[:count], label=label, axes=axes, side=SIDE)), "", keys)


def _keys(names: Sequence[str]) -> tuple[Key, ...]:
    return tuple(Key(COLOURS[k], name) for k, name in enumerate(names))


def _examples(view: View, data: Dataset, group: Array, names: Sequence[str]) -> list[Picture]:
    """Images of every kind, so that a colour has a face."""
    if view.kind != "images":
        return []
    rows = []
    for k, name in enumerate(names):
        some = torch.from_numpy(np.flatnonzero(group == k)[:EXAMPLES])
        sheet = view.sheet(data.take(some), EXAMPLES, f"images of {name}", shown=36)
        rows.append(Strip(name, sheet, colour=COLOURS[k]))
    reads = "Images of every colour of the map: a row of like images is a kind that the map shows."
    return [Picture("What the colours are", reads, Strips(tuple(rows), columns=2))]


def short(rows: Array) -> list[list[float]]:
    """To four digits: no more is seen, and the page stays small."""
    return [[float(f"{v:.4g}") for v in row] for row in rows]
