"""`JointCodec`: data and what is given beside them (labels, measurements, vectors), row by row.

    Dataset with .given --encode--> compact rows --expand--> flat joint rows (x, c) `(n, D + C)` --decode--> Dataset

x is the expanded row of the data's codec, flattened, and c that of the codec of what is given. Compact rows of images
are bytes; the compact c (float32) then stands behind them as its four bytes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from ..errors import InputError
from .codec import Codec, codec_from_dict, fit_codec
from .dataset import Dataset, Kind


@dataclass(frozen=True, eq=False)
class JointCodec:
    """The codec `data` of the rows and the codec `given` of what is given with them."""

    data: Codec
    given: Codec

    @classmethod
    def fit(cls, dataset: Dataset) -> JointCodec:
        """Fit both on the training rows `dataset`, which has `.given`."""
        return cls(fit_codec(replace(dataset, given=None)), fit_codec(_given(dataset)))

    @property
    def kind(self) -> Kind:
        return self.data.kind

    @property
    def name(self) -> str:
        return str(getattr(self.data, "name", self.kind))

    @property
    def shapes(self) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """The event shapes of x and of c, as `nets.joint.Joint` takes them."""
        return self.data.event_shape, self.given.event_shape

    @property
    def event_shape(self) -> tuple[int, ...]:
        return (sum(torch.Size(shape).numel() for shape in self.shapes),)

    def encode(self, dataset: Dataset, *, generator: torch.Generator | None = None) -> Tensor:
        """Compact rows `(n, m)` on the CPU."""
        x = self.data.encode(dataset, generator=generator).flatten(1)
        c = self.given.encode(_given(dataset), generator=generator).flatten(1).float().contiguous()
        return torch.cat([x, c.view(torch.uint8) if x.dtype == torch.uint8 else c], 1)

    def parts(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        """The compact rows of each codec, from compact rows of both."""
        c_size = self._compact_given(rows.dtype)
        x, c = rows[:, :-c_size], rows[:, -c_size:]
        if rows.dtype == torch.uint8:
            x, c = x.unflatten(1, self.data.event_shape), c.contiguous().view(torch.float32)
        return x, c

    def expand(self, rows: Tensor) -> Tensor:
        """Float32 joint rows `(n, D + C)`."""
        x, c = self.parts(rows)
        return torch.cat([self.data.expand(x).flatten(1), self.given.expand(c).flatten(1)], 1)

    def decode(self, rows: Tensor, *, generator: torch.Generator | None = None) -> Dataset:
        """The data, with `.given`, from joint rows `(n, D + C)`."""
        sizes = [torch.Size(shape).numel() for shape in self.shapes]
        x, c = rows.split(sizes, 1)
        given = self.given.decode(c, generator=generator)
        return replace(self.data.decode(x.unflatten(1, self.shapes[0]), generator=generator), given=given)

    def to_dict(self) -> dict[str, Any]:
        return {
            "kind": self.kind,
            "codec": "joint",
            "name": self.name,
            "data": self.data.to_dict(),
            "given": self.given.to_dict(),
        }

    def tensors(self) -> dict[str, Tensor]:
        both = {"data": self.data.tensors(), "given": self.given.tensors()}
        return {f"{which}.{name}": tensor for which, found in both.items() for name, tensor in found.items()}

    @classmethod
    def from_dict(cls, d: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> JointCodec:
        def mine(which: str) -> Codec:
            found = {n.removeprefix(f"{which}."): t for n, t in tensors.items() if n.startswith(f"{which}.")}
            return codec_from_dict(d[which], found)

        return cls(mine("data"), mine("given"))

    def _compact_given(self, dtype: torch.dtype) -> int:
        """How many places of a compact row are the given's."""
        from .tables import TableCodec

        if isinstance(self.given, TableCodec):
            size = len(self.given.blocks)
        else:
            size = torch.Size(self.given.event_shape).numel()
        return 4 * size if dtype == torch.uint8 else size


def _given(dataset: Dataset) -> Dataset:
    if dataset.given is None:
        raise InputError(
            f"{dataset.name}: nothing is given with these rows, but the model was fitted with something given; give it"
        )
    if len(dataset.given) != len(dataset):
        raise InputError(
            f"{dataset.given.name}: {len(dataset.given):,} rows are given for the {len(dataset):,} of {dataset.name}; "
            "give one for every row"
        )
    return dataset.given
