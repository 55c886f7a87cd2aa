"""Points in coordinates of their own, in which they have mean 0 and covariance I.

    z = S^(-1/2) (x - m)        S: the covariance, shrunk towards a multiple of I (Ledoit and Wolf 2004), `(d, d)`

The root is the symmetric one, so that among all such coordinates these are the nearest to x - m. Two domains that are
each seen like this differ by what two moments do not say, and by a rotation (`monge`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from .dataset import Container, Dataset, Kind

LEAST = 1e-12  # of the mean variance: no direction has less, nor has any where nothing varies


@dataclass(frozen=True, eq=False)
class WhitenedCodec:
    """`mean` m `(d,)` and `root` S^(1/2) `(d, d)`, float64."""

    mean: Tensor
    root: Tensor
    dtype: torch.dtype
    name: str = "data"
    container: Container = "numpy"
    restore: Mapping[str, Any] | None = None

    kind: ClassVar[Kind] = "points"

    @classmethod
    def fit(cls, dataset: Dataset) -> WhitenedCodec:
        """Fit on the training rows `dataset`."""
        x = dataset.values.double()
        root = power(shrunk(x), 0.5)
        return cls(x.mean(0), root, dataset.values.dtype, dataset.name, dataset.container, dataset.restore)

    @property
    def event_shape(self) -> tuple[int, ...]:
        return (len(self.mean),)

    def encode(self, dataset: Dataset, *, generator: torch.Generator | None = None) -> Tensor:
        """Float32 `(n, d)`; nothing is drawn."""
        found: Tensor = torch.linalg.solve(self.root, (dataset.values.double() - self.mean).T)
        return found.T.float().contiguous()

    def expand(self, rows: Tensor) -> Tensor:
        """`rows` as they are."""
        return rows

    def decode(self, rows: Tensor, *, generator: torch.Generator | None = None) -> Dataset:
        """Points `(n, d)` in the training data's units and dtype."""
        values = (rows.detach().cpu().double() @ self.root + self.mean).to(self.dtype)
        return Dataset("points", values, self.name, self.container, restore=self.restore)

    def to_dict(self) -> dict[str, Any]:
        """JSON-able, without `tensors()`."""
        return {
            "kind": self.kind,
            "codec": "whitened",
            "dtype": str(self.dtype).removeprefix("torch."),
            "name": self.name,
            "container": self.container,
            "restore": self.restore,
        }

    def tensors(self) -> dict[str, Tensor]:
        return {"mean": self.mean, "root": self.root}

    @classmethod
    def from_dict(cls, d: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> WhitenedCodec:
        dtype = getattr(torch, d["dtype"])
        return cls(tensors["mean"], tensors["root"], dtype, d["name"], d["container"], d["restore"])


def shrunk(x: Tensor) -> Tensor:
    """The covariance `(d, d)` of rows `(n, d)`, shrunk: positive definite for any number of rows."""
    from sklearn.covariance import ledoit_wolf

    if x.shape[1] == 1:  # where there is nothing to shrink towards
        covariance = x.var(0, correction=0)[:, None]
    else:
        covariance = torch.from_numpy(ledoit_wolf(x.cpu().numpy())[0]).to(x)
    level = float(covariance.diagonal().mean())
    return covariance + (LEAST * level if level > 0 else 1.0) * torch.eye(len(covariance)).to(covariance)


def monge(of: Tensor, to: Tensor) -> Tensor:
    """A = S^(-1/2) (S^(1/2) R S^(1/2))^(1/2) S^(-1/2) for covariances S (`of`) and R (`to`): A > 0 with A S A = R.

    x -> m_B + A (x - m_A) is the map of least mean square movement between any two laws with these covariances that
    differ by an affine map with a positive definite matrix, as two Gaussians do (Olkin and Pukelsheim 1982).
    """
    half, inverse = power(of, 0.5), power(of, -0.5)
    return inverse @ power(half @ to @ half, 0.5) @ inverse


def power(s: Tensor, exponent: float) -> Tensor:
    """s^exponent of a symmetric matrix; eigenvalues that rounding made too small are raised."""
    values, vectors = torch.linalg.eigh((s + s.T) / 2)
    values = values.clamp_min(1e-14 * float(values[-1]))
    found: Tensor = (vectors * values**exponent) @ vectors.T
    return found
