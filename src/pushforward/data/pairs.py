"""`PairsCodec`: rows of two domains side by side, of one kind.

    Dataset with .given --encode--> compact rows (x, a) --expand--> flat joint rows `(n, D + A)` --decode--> Dataset

x is a row of the domain that is translated to, a one of the domain that is translated from (`.given`). Whether row i of
one has anything to do with row i of the other is the model's affair; where it has not, `side_by_side` brings domains of
different lengths to one.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import polars as pl
import torch
from torch import Tensor

from ..errors import InputError
from .codec import Codec, codec_from_dict
from .dataset import Dataset, Kind


@dataclass(frozen=True, eq=False)
class PairsCodec:
    """The codec `to` of the rows that are made and the codec `of` of those they are made from."""

    to: Codec
    of: Codec

    @property
    def kind(self) -> Kind:
        return self.to.kind

    @property
    def name(self) -> str:
        return str(getattr(self.to, "name", self.kind))

    @property
    def shapes(self) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """The event shapes of x and of a, as `nets.joint.Joint` takes them."""
        return self.to.event_shape, self.of.event_shape

    @property
    def event_shape(self) -> tuple[int, ...]:
        return (sum(math.prod(shape) for shape in self.shapes),)

    def encode(self, dataset: Dataset, *, generator: torch.Generator | None = None) -> Tensor:
        """Compact rows `(n, m)` on the CPU."""
        if dataset.given is None:
            raise InputError(f"{dataset.name}: rows of one domain, where the model has two; give rows of both")
        both = self.to.encode(dataset, generator=generator), self.of.encode(dataset.given, generator=generator)
        return torch.cat([rows.flatten(1) for rows in both], 1)

    def expand(self, rows: Tensor) -> Tensor:
        """Float32 joint rows `(n, D + A)`."""
        first = _compact_size(self.to)
        sides = (self.to, rows[:, :first]), (self.of, rows[:, first:])
        return torch.cat([codec.expand(_unflat(codec, part)).flatten(1) for codec, part in sides], 1)

    def decode(self, rows: Tensor, *, generator: torch.Generator | None = None) -> Dataset:
        """The rows that are made, with those of the other domain as `.given`, from joint rows `(n, D + A)`."""
        x, a = rows.split([math.prod(shape) for shape in self.shapes], 1)
        given = self.of.decode(a.unflatten(1, self.shapes[1]), generator=generator)
        return replace(self.to.decode(x.unflatten(1, self.shapes[0]), generator=generator), given=given)

    def to_dict(self) -> dict[str, Any]:
        return {
            "kind": self.kind,
            "codec": "pairs",
            "name": self.name,
            "to": self.to.to_dict(),
            "of": self.of.to_dict(),
        }

    def tensors(self) -> dict[str, Tensor]:
        both = {"to": self.to.tensors(), "of": self.of.tensors()}
        return {f"{which}.{name}": tensor for which, found in both.items() for name, tensor in found.items()}

    @classmethod
    def from_dict(cls, d: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> PairsCodec:
        def mine(which: str) -> Codec:
            found = {n.removeprefix(f"{which}."): t for n, t in tensors.items() if n.startswith(f"{which}.")}
            return codec_from_dict(d[which], found)

        return cls(mine("to"), mine("of"))


def side_by_side(of: Dataset, to: Dataset, *, seed: int) -> Dataset:
    """Rows of `to` with rows of `of` as `.given`, at random: every row of the longer once, of the shorter about as
    often as every other."""
    n = max(len(of), len(to))
    generator = torch.Generator().manual_seed(seed)

    def places(rows: int) -> Tensor:
        return torch.cat([torch.randperm(rows, generator=generator) for _ in range(-(-n // rows))])[:n]

    given, made = of.take(places(len(of))), to.take(places(len(to)))
    return replace(made, given=given)


def together(of: Dataset, to: Dataset) -> Dataset:
    """The rows of both domains as one data set, for a codec that suits both."""
    if of.kind == "table":
        values: Any = pl.concat([to.values, of.values], how="vertical_relaxed")
    else:
        values = torch.cat([to.values, of.values])
    return replace(to, values=values, given=None, path=None)


def _compact_size(codec: Codec) -> int:
    """How many places a compact row has."""
    from .tables import TableCodec

    return len(codec.blocks) if isinstance(codec, TableCodec) else math.prod(codec.event_shape)


def _unflat(codec: Codec, rows: Tensor) -> Tensor:
    return rows if codec.kind == "table" else rows.unflatten(1, codec.event_shape)
