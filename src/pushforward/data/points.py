"""Points: float arrays `(n, d)` to and from standardised float32."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from .dataset import Container, Dataset, Kind


@dataclass(frozen=True, eq=False)
class PointsCodec:
    """`z = (x - mean) / std` per coordinate (`mean`, `std`: `(d,)` float64; a constant coordinate has std 1)."""

    mean: Tensor
    std: Tensor
    dtype: torch.dtype
    name: str = "data"
    container: Container = "numpy"
    restore: Mapping[str, Any] | None = None

    kind: ClassVar[Kind] = "points"

    @classmethod
    def fit(cls, dataset: Dataset) -> PointsCodec:
        """Fit on the training rows `dataset`."""
        x = dataset.values.double()
        std = x.std(0, correction=0)
        # a coordinate that varies by no more than rounding is constant
        std = torch.where(std > 1e-12 * x.abs().amax(0), std, torch.ones_like(std))
        return cls(x.mean(0), std, dataset.values.dtype, dataset.name, dataset.container, dataset.restore)

    @property
    def event_shape(self) -> tuple[int, ...]:
        return (len(self.mean),)

    def encode(self, dataset: Dataset, *, generator: torch.Generator | None = None) -> Tensor:
        """Float32 `(n, d)`; nothing is drawn."""
        x: Tensor = dataset.values.double()
        return ((x - self.mean) / self.std).float()

    def expand(self, rows: Tensor) -> Tensor:
        """`rows` as they are."""
        return rows

    def decode(self, rows: Tensor, *, generator: torch.Generator | None = None) -> Dataset:
        """Points `(n, d)` in the training data's units and dtype."""
        values = (rows.detach().cpu().double() * self.std + self.mean).to(self.dtype)
        return Dataset("points", values, self.name, self.container, restore=self.restore)

    def to_dict(self) -> dict[str, Any]:
        """JSON-able, without `tensors()`."""
        return {
            "kind": self.kind,
            "dtype": str(self.dtype).removeprefix("torch."),
            "name": self.name,
            "container": self.container,
            "restore": self.restore,
        }

    def tensors(self) -> dict[str, Tensor]:
        return {"mean": self.mean, "std": self.std}

    @classmethod
    def from_dict(cls, d: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> PointsCodec:
        dtype = getattr(torch, d["dtype"])
        return cls(tensors["mean"], tensors["std"], dtype, d["name"], d["container"], d["restore"])
