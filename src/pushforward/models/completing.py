"""The networks of a model that fills rows, and how they see data of each kind: units, values, phases.

What is masked as one (`data.masks`): a table's column, a coordinate of points, a pixel. Tables are taken in the latents
of their own columns, without `data.coordinates`: joint coordinates of a partly seen row cannot be computed.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import polars as pl
import torch
from torch import nn

from ..data import masks
from ..data.codec import Codec
from ..data.columns import Column
from ..data.holes import units
from ..data.tables import TableCodec
from ..errors import InputError
from ..nets import ConvCritic, MLPCritic, Shape
from ..nets.completer import CompletedCritic, Completer
from ..nets.masked import Layout, MaskedNet, Reading
from .networks import TINY, Recipe

MOST = 4096  # numbers in a row that a perceptron still takes
SHARPEST = {"images": 0.1, "numbers": 1e-3}
NOISE = 16  # of the refinement, where there is a game
DAY = 86400.0
ROUND_SECONDS = (60.0, 600.0, 3600.0, 3 * 3600.0, 6 * 3600.0, DAY / 2, DAY, 7 * DAY)
MONTHS = (30.436875 * DAY, 91.310625 * DAY, 365.2425 * DAY)  # a month, a quarter, a year
PER_SECOND = {"ms": 1e3, "us": 1e6, "ns": 1e9}


def recipe(codec: Codec, default: Recipe) -> Recipe:
    """The settings of a model that fills rows: more steps than a game's, as the law of every cell given any others is
    learned; images get wider networks."""
    if codec.kind == "table":
        return replace(default, steps=3000, batch_size=512, learning_rate=2e-3, noise_size=NOISE, width=256, depth=3)
    if codec.kind == "points":
        return replace(default, steps=2000, batch_size=512, learning_rate=2e-3, noise_size=NOISE, width=128, depth=3)
    return replace(default, steps=2000, batch_size=128, learning_rate=2e-3, noise_size=NOISE, width=256, depth=3)


def size(codec: Codec) -> tuple[int, ...]:
    """What a mask of one row is: (units,), or (height, width)."""
    if isinstance(codec, TableCodec):
        return (len(units(codec)),)
    return codec.event_shape if codec.kind == "points" else codec.event_shape[1:]


def layout(codec: Codec) -> Layout:
    """Which places of an expanded, flattened row are which unit's."""
    if not isinstance(codec, TableCodec):
        channels = 1 if codec.kind == "points" else codec.event_shape[0]
        pixels = math.prod(codec.event_shape) // channels
        return Layout(pixels, tuple(range(pixels)) * channels)
    of = {name: number for number, name in enumerate(units(codec))}
    missing = {f.column.name: f.levels.missing_code for f in codec.fields if f.levels is not None}
    k, present = codec.n_numeric, dict(codec.companions)
    groups = []
    for b in codec.blocks[k:]:
        code = missing[b.column]
        groups.append((b.start - k, b.stop - k, of[b.column], -1 if code is None else code))
    return Layout(
        len(of),
        tuple(of[b.column] for b in codec.blocks[:k]),
        tuple(groups),
        tuple(present[i] - k if i in present else -1 for i in range(k)),
    )


def reading(codec: Codec) -> Reading:
    """What the network sees of the numbers of a row."""
    if not isinstance(codec, TableCodec):
        return Reading(math.prod(codec.event_shape))
    fields = [f for f in codec.fields if f.marginal is not None]
    tables = [(m.cdf, m.values, m.discrete) for m in codec.marginals]
    phases = []
    for number, f in enumerate(fields):
        for period in periods(f.column):
            phases.append((number, f.column.step / period, f.column.origin / period % 1.0))
    return Reading(len(fields), tables, phases)


def periods(column: Column) -> list[float]:
    """Round periods of a column on a grid, in its units: 1, 2, 5, 10, ...; of a time from a minute to a year. None as
    short as two steps of its grid, nor longer than its range."""
    if not column.step:
        return []
    if column.dtype.is_temporal():
        unit = 1 / DAY if column.dtype == pl.Date else PER_SECOND.get(getattr(column.dtype, "time_unit", "ns"), 1e9)
        found = [seconds * unit for seconds in ROUND_SECONDS + MONTHS]
    else:
        found = [m * 10.0**power for power in range(12) for m in (1, 2, 5)]
    return [
        period for period in found if 2 * column.step <= period * (1 + 1e-9) and period <= column.top - column.origin
    ]


def build(
    codec: Codec,
    *,
    noise_size: int,
    width: int,
    depth: int,
    shape: Mapping[str, Any] | None,
    generator: torch.Generator,
) -> tuple[nn.Module, nn.Module | None]:
    """(completer, critic) for the codec's data; `shape` is the critic's, None for neither critic nor refinement."""
    numbers = math.prod(codec.event_shape)
    if numbers > MOST or not numbers:
        raise InputError(
            f"rows of {numbers:,} numbers cannot be filled by this model, which takes 1 to {MOST:,}; "
            + ("give columns that vary" if not numbers else "make the images smaller")
        )
    sharpest = SHARPEST["images" if codec.kind == "images" else "numbers"]
    base = MaskedNet(layout(codec), reading(codec), width=width, depth=depth, sharpest=sharpest, generator=generator)
    completer = Completer(
        base,
        codec.event_shape,
        size(codec),
        masks.draw,
        noise_size=0 if shape is None else noise_size,
        width=128,
        generator=generator,
    )
    if shape is None:
        return completer, None
    seen = Shape(**shape)
    if codec.kind == "images" and numbers > TINY:
        channels, height, wide = codec.event_shape
        inner: Any = ConvCritic((channels + 1, height, wide), width=32, depth=1, shape=seen, generator=generator)
        return completer, CompletedCritic(inner, completer.joint, (height, wide))
    inner = MLPCritic(completer.joint.event_shape, width=128, depth=2, shape=seen, generator=generator)
    return completer, CompletedCritic(inner, completer.joint)
