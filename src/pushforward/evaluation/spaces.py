"""Spaces in which rows have distances: standardised numbers and half-weighted one-hot levels; pixels; their PCA.

Two rows that differ in one category are as far apart as two that differ by one standard deviation in one number.
Scales come from all rows given, whichever set they belong to: a scale that knows the labels would spoil the tests.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from ..data.dataset import Dataset
from .frames import Frame

Array = NDArray[np.float64]
MOST_LEVELS = 30
PIXELS = 1024  # pictures with more values are shrunk to about this many before distances
COMPONENTS = 32
MOST_ROWS = 20_000


@dataclass(frozen=True)
class Space:
    """`rows[role]` `(n, k)` and, in words, what they are; `blocks[j]`: the positions that column j of the frame became.

    `blocks` is empty where the rows are not made of the frame's columns.
    """

    rows: Mapping[str, Array]
    reads: str
    blocks: tuple[tuple[int, ...], ...] = ()


def space_of(datasets: Mapping[str, Dataset], frame: Frame) -> Space:
    """Where nearest neighbours, the MMD and the PCA picture live, for any kind of data."""
    if next(iter(datasets.values())).kind == "images":
        return _pixels(datasets)
    return _mixed(frame)


def _mixed(frame: Frame) -> Space:
    pooled = np.concatenate(list(frame.rows.values()))
    blocks: list[Array] = []
    ends = []
    for j in range(len(frame.names)):
        ends.append(sum(block.shape[1] for block in blocks))
        values = pooled[:, j]
        if frame.kinds[j] == "category":
            width = min(len(frame.levels[j]), MOST_LEVELS + 1)
            codes = np.minimum(values, width - 1).astype(np.int64)
            if width > 1:
                blocks.append((codes[:, None] == np.arange(width)) * np.sqrt(0.5))
            continue
        there = np.isfinite(values)
        seen = values[there]
        if not len(seen):
            continue
        largest = np.abs(seen).max() or 1.0
        values, seen = values / largest, seen / largest  # squares of huge values would overflow
        low, high = np.quantile(seen, [0.01, 0.99])
        core = np.clip(seen, low, high)  # a few wild values do not set the scale
        scale = core.std() or seen.std()
        if scale > 0:
            blocks.append(np.where(there, (np.nan_to_num(values) - core.mean()) / scale, 0.0)[:, None])
        if not there.all():
            blocks.append((~there)[:, None].astype(np.float64))
    stacked = np.concatenate(blocks, 1) if blocks else np.zeros((len(pooled), 1))
    spans = itertools.pairwise([*ends, stacked.shape[1]])
    what = "standardised columns, one-hot categories" if frame.categorical else "standardised coordinates"
    return Space(_split(stacked, frame.rows), what, tuple(tuple(range(a, b)) for a, b in spans) if blocks else ())


def _pixels(datasets: Mapping[str, Dataset]) -> Space:
    first = next(iter(datasets.values())).values
    _, channels, height, width = first.shape
    ratio = min(1.0, (PIXELS / (channels * height * width)) ** 0.5)
    size = (max(1, round(height * ratio)), max(1, round(width * ratio)))
    rows = {}
    for role, data in datasets.items():
        parts = []
        for part in data.values.split(1024):
            x = part.float() / 255
            if ratio < 1:
                x = torch.nn.functional.interpolate(x, size=size, mode="area")
            parts.append(x.flatten(1).double().numpy())
        rows[role] = np.concatenate(parts)
    shrunk = f" shrunk to {size[1]}x{size[0]}" if ratio < 1 else ""
    return Space(rows, f"pixels of {width}x{height} pictures{shrunk}, white is 1")


def principal(space: Space, roles: tuple[str, ...], components: int) -> tuple[dict[str, Array], Array]:
    """PCA scores of `roles` `(n, components)`, axes from all of them together, and the shares of variance explained."""
    pooled = np.concatenate([space.rows[role] for role in roles])
    pooled = pooled[:: max(1, len(pooled) // MOST_ROWS)]  # enough for axes
    centre = pooled.mean(0)
    covariance = (pooled - centre).T @ (pooled - centre) / max(1, len(pooled) - 1)
    variance, axes = np.linalg.eigh(covariance)
    top = slice(-1, -min(components, len(variance)) - 1, -1)
    axes = axes[:, top]
    axes = axes * np.where(axes[np.abs(axes).argmax(0), np.arange(axes.shape[1])] < 0, -1, 1)  # a sign that repeats
    share = variance[top] / max(1e-300, variance.sum())
    return {role: (space.rows[role] - centre) @ axes for role in roles}, share


def _split(stacked: Array, rows: Mapping[str, Array]) -> dict[str, Array]:
    ends = np.cumsum([len(part) for part in rows.values()])[:-1]
    return dict(zip(rows, np.split(stacked, ends), strict=True))
