"""Images: `uint8` `(n, c, h, w)`, grey (c = 1) or RGB (c = 3), to and from floats in [-1, 1]."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from .dataset import Container, Dataset, Kind


@dataclass(frozen=True, eq=False)
class ImageCodec:
    """`x = byte / 127.5 - 1`; back by rounding and clipping to 0..255. Sizes are kept; padding is left to networks."""

    shape: tuple[int, int, int]
    name: str = "images"
    container: Container = "numpy"
    restore: Mapping[str, Any] | None = None

    kind: ClassVar[Kind] = "images"

    @classmethod
    def fit(cls, dataset: Dataset) -> ImageCodec:
        """Take the size of the training images `dataset`."""
        channels, height, width = dataset.values.shape[1:]
        return cls((channels, height, width), dataset.name, dataset.container, dataset.restore)

    @property
    def event_shape(self) -> tuple[int, ...]:
        return self.shape

    def encode(self, dataset: Dataset, *, generator: torch.Generator | None = None) -> Tensor:
        """The bytes themselves: `uint8` `(n, c, h, w)`."""
        values: Tensor = dataset.values
        return values

    def expand(self, rows: Tensor) -> Tensor:
        """Float32 in [-1, 1]."""
        return rows.float() / 127.5 - 1

    def decode(self, rows: Tensor, *, generator: torch.Generator | None = None) -> Dataset:
        """Images from floats `(n, c, h, w)`; NaN becomes mid-grey."""
        values = torch.nan_to_num(rows.detach().cpu().float(), nan=0.0)
        values = ((values + 1) * 127.5).round().clamp(0, 255).to(torch.uint8)
        return Dataset("images", values, self.name, self.container, restore=self.restore)

    def to_dict(self) -> dict[str, Any]:
        """JSON-able; there are no tensors."""
        return {
            "kind": self.kind,
            "shape": list(self.shape),
            "name": self.name,
            "container": self.container,
            "restore": self.restore,
        }

    def tensors(self) -> dict[str, Tensor]:
        return {}

    @classmethod
    def from_dict(cls, d: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> ImageCodec:
        channels, height, width = d["shape"]
        return cls((channels, height, width), d["name"], d["container"], d["restore"])
