"""Laws put together from those of single columns: independent, or joined by a Gaussian copula.

Every column has its own empirical law: of numbers the rank-Gaussian map of `data.marginals` (for points, here; for
tables, in their codec), of categories the frequencies. With F a column's distribution function, x = F^-1(Phi(z)) draws
it from z ~ N(0, 1): inverse transform sampling, which for points of one column is all there is to do.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import ClassVar

import torch
from torch import Tensor
from torch.special import ndtr, ndtri

from ...data.dataset import Kind
from ...data.marginals import Marginal
from ...data.tables import TableCodec
from ..drawing import rng
from .base import Explicit

EDGE = 1e-7


class Columns(Explicit):
    """A law of normal latents `(n, c)`, one for every number and every category; a model adds `_latents`."""

    kinds: ClassVar[tuple[Kind, ...]] = ("points", "table")

    @abstractmethod
    def _latents(self, n: int, generator: torch.Generator) -> Tensor:
        """Float64 latents `(n, c)`, each column N(0, 1)."""

    def _learn(self, rows: Tensor) -> dict[str, Tensor]:
        codec = self.codec_
        if isinstance(codec, TableCodec):
            shares = {}
            for place, block in enumerate(codec.blocks[codec.n_numeric :]):
                counts = torch.bincount(rows[:, codec.n_numeric + place].long(), minlength=block.levels)
                shares[f"shares.{place}"] = counts.double() / len(rows)
            return shares
        law: dict[str, Tensor] = {}
        for j in range(rows.shape[1]):
            fitted = Marginal.fit(rows[:, j].double(), grid=False, generator=rng(self.seed, "marginal", j))
            law |= {f"values.{j}": fitted.values, f"cdf.{j}": fitted.cdf}
            law[f"form.{j}"] = torch.tensor([float(fitted.discrete), fitted.margin], dtype=torch.float64)
        return law

    def _marginal(self, j: int, law: dict[str, Tensor]) -> Marginal:
        discrete, margin = law[f"form.{j}"].tolist()
        return Marginal(law[f"values.{j}"], law[f"cdf.{j}"], bool(discrete), False, margin)

    def _draw(self, n: int, generator: torch.Generator) -> Tensor:
        z, codec = self._latents(n, generator), self.codec_
        if not isinstance(codec, TableCodec):
            return torch.stack([self._marginal(j, self.arrays_).decode(z[:, j]) for j in range(z.shape[1])], 1)
        k = codec.n_numeric
        codes = [
            torch.searchsorted(self.arrays_[f"shares.{place}"].cumsum(0)[:-1], ndtr(z[:, k + place]))
            for place in range(z.shape[1] - k)
        ]
        compact = torch.cat([z[:, :k].float(), *[code[:, None].float() for code in codes]], 1)
        rows = codec.expand(compact)
        for slot, place in codec.companions:
            rows[:, slot] *= rows[:, place]
        return rows

    def _width(self) -> int:
        codec = self.codec_
        return len(codec.blocks) if isinstance(codec, TableCodec) else codec.event_shape[0]


class Independent(Columns):
    """Every column drawn on its own: right margins, no relations."""

    def __init__(self, *, seed: int = 0) -> None:
        self.seed = seed

    def _latents(self, n: int, generator: torch.Generator) -> Tensor:
        return torch.randn(n, self._width(), generator=generator, dtype=torch.float64)


class Copula(Columns):
    """A Gaussian copula (Song 2000): latents z ~ N(0, R), every column through its own inverse distribution function.

    R is the correlation of the training rows' latents. A category's latent lies in its level's share of (0, 1) in the
    order of the codec's codes, at a random place (the distributional transform, Rueschendorf 2009), which weakens
    relations of categories with few levels: the price of a Gaussian copula for mixed rows. A number that is not there
    (its level is `missing` or a mass) counts as a random one.
    """

    def __init__(self, *, seed: int = 0) -> None:
        self.seed = seed

    def _learn(self, rows: Tensor) -> dict[str, Tensor]:
        law = super()._learn(rows)
        z = self._observed(rows, law)
        centred = (z - z.mean(0)) / z.std(0, correction=0).clamp(min=1e-12)
        correlation = centred.T @ centred / len(z)
        values, axes = torch.linalg.eigh(correlation)
        half = axes * values.clamp(min=0).sqrt()
        # columns that repeat others make R singular, which its root does not mind; the diagonal is kept at 1
        return {**law, "root": half / half.square().sum(1, keepdim=True).sqrt().clamp(min=1e-12)}

    def _observed(self, rows: Tensor, law: dict[str, Tensor]) -> Tensor:
        """The latents of compact training rows."""
        codec, chance = self.codec_, rng(self.seed, "copula")
        if not isinstance(codec, TableCodec):
            columns = [self._marginal(j, law).encode(rows[:, j].double(), chance) for j in range(rows.shape[1])]
            return torch.stack(columns, 1)
        k = codec.n_numeric
        z = rows.double()
        for place in range(len(codec.blocks) - k):
            shares, code = law[f"shares.{place}"], rows[:, k + place].long()
            low = shares.cumsum(0)[code] - shares[code]
            u = low + shares[code] * torch.rand(len(rows), generator=chance, dtype=torch.float64)
            z[:, k + place] = ndtri(u.clamp(EDGE, 1 - EDGE))
        expanded = codec.expand(rows)
        for slot, entry in codec.companions:
            absent = expanded[:, entry] == 0
            z[absent, slot] = torch.randn(int(absent.sum()), generator=chance, dtype=torch.float64)
        return z

    def _latents(self, n: int, generator: torch.Generator) -> Tensor:
        root = self.arrays_["root"]
        return torch.randn(n, root.shape[1], generator=generator, dtype=torch.float64) @ root.T
