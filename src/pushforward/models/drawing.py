"""Rows from a generator: noise by the chunk, one pass, decoded."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import polars as pl
import torch
from torch import Tensor, nn

from ..data.codec import Codec
from ..data.dataset import Dataset
from ..training.batches import derive
from ..training.step import emitter

# rows drawn at a time: fixed, so that what a seed draws never depends on memory
CHUNK = {"points": 8192, "table": 8192, "images": 512}


def draw(generator: nn.Module, codec: Codec, n: int, seed: int) -> Dataset:
    """`n` rows of `generator`, decoded; the same `seed` draws the same rows, and fewer are the first of more."""
    return joined([codec.decode(rows, generator=extra) for rows, extra in _rows(generator, codec, n, seed)])


def _rows(generator: nn.Module, codec: Codec, n: int, seed: int) -> Iterator[tuple[Tensor, torch.Generator]]:
    """Encoded rows by the chunk, each with its own noise, drawn on the CPU: neither n nor the device matters."""
    device = next(generator.parameters()).device
    chunk = CHUNK[codec.kind]
    for first in range(0, n, chunk):
        number = first // chunk
        noise: Tensor = generator.noise(chunk, generator=rng(seed, "sample", number))  # type: ignore[operator]
        with torch.no_grad():
            yield emitter(generator)(noise[: n - first].to(device)), rng(seed, "decode", number)


def rng(seed: int, *purpose: int | str) -> torch.Generator:
    """A generator on the CPU for one purpose."""
    return torch.Generator().manual_seed(derive(seed, *purpose))


def joined(parts: list[Dataset]) -> Dataset:
    """The rows of all parts, in order."""
    values: list[Any] = [one.values for one in parts]
    given = joined([one.given for one in parts if one.given is not None]) if parts[0].given is not None else None
    together = torch.cat(values) if isinstance(values[0], Tensor) else pl.concat(values)
    return replace(parts[0], values=together, given=given)
