"""Cells: how rows of each kind are read by an autoregressive network, and what the laws of their single units are.

    RowCells      tables and points: mixtures and softmaxes of `nets.masked`, whose pieces these are
    ShadeCells    pictures of few shades: a softmax over the shades of each pixel
    ToneCells     pictures of many: a mixture of logistics, of which a shade gets the mass of its cell
                  (Salimans et al. 2017, PixelCNN++, eq. 2)

A *unit* is what has a place in an order: a table's column, a coordinate, a pixel's channel.
"""

import math
from abc import ABC, abstractmethod

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import log_softmax, logsigmoid, one_hot

from . import masked
from .event import Event
from .masked import COMPONENTS, Layout, Reading

SHARPEST = 1e-3  # sigma of a component of a number's mixture
TONES = 5  # logistics of a pixel with many shades
NARROWEST = -6.0  # log scale of one, in units of [-1, 1]
FEW_SHADES = 32


def layout_of(event: Event) -> Layout:
    """The units of points and tables: a number and a group of one column are one unit."""
    if event.kind == "points":
        return Layout(event.size, tuple(range(event.size)))
    unit = {name: number for number, name in enumerate(dict.fromkeys(block.column for block in event.blocks))}
    k = event.numbers
    groups = tuple((b.start - k, b.stop - k, unit[b.column], -1) for b in event.blocks[k:])
    present = tuple(place - k if place >= 0 else -1 for place in event.present)
    return Layout(len(unit), tuple(unit[b.column] for b in event.blocks[:k]), groups, present)


# ---- what the laws of single units are


class Cells(nn.Module, ABC):
    """How rows of some kind are read, and what their units' laws are.

    reads, writes: the unit of every number that `read` gives, and of every one that the laws are made of. place: of
    every entry of a flat row. natural: the units in their own order.
    """

    reads: Tensor
    writes: Tensor
    place: Tensor
    natural: Tensor

    def _hold(self, reads: Tensor, writes: Tensor, place: Tensor, natural: Tensor, begin: Tensor) -> None:
        for name, value in (("reads", reads), ("writes", writes), ("place", place), ("natural", natural)):
            self.register_buffer(name, value, persistent=False)
        self.begin: Tensor
        self.register_buffer("begin", begin)

    @property
    def units(self) -> int:
        return len(self.natural)

    @abstractmethod
    def read(self, x: Tensor) -> Float[Tensor, "n inputs"]:
        """Flat rows as the network sees them."""

    @abstractmethod
    def surprise(self, out: Float[Tensor, "n outputs"], x: Tensor) -> Float[Tensor, "n units"]:
        """-ln p of every unit; infinite for what training never had."""

    @abstractmethod
    def noise(self, n: int, *, generator: torch.Generator) -> Float[Tensor, "n m"]:
        """What `draw` draws by."""

    @abstractmethod
    def draw(self, out: Float[Tensor, "n outputs"], noise: Float[Tensor, "n m"]) -> Tensor:
        """One draw of every entry by itself: flat rows."""

    def start_at(self, x: Tensor) -> None:
        """Let the first laws of categories be their frequencies among flat rows `x`, half a row added."""


class RowCells(Cells):
    """Tables and points: k numbers, each a mixture of `COMPONENTS` Gaussians, and softmaxes; see `nets.masked`."""

    def __init__(self, layout: Layout) -> None:
        super().__init__()
        self.layout, self.reading = layout, Reading(layout.k)
        numbers, places = torch.tensor(layout.numbers, dtype=torch.long), torch.tensor(layout.places, dtype=torch.long)
        writes = torch.cat([numbers.repeat_interleave(3 * COMPONENTS), places[layout.k :]])
        reads = torch.cat([numbers[self.reading.owners], places[layout.k :]])
        self._hold(reads, writes, places, torch.arange(layout.units), masked.start(layout))
        self.there: Tensor
        there = torch.tensor(layout.present or [-1] * layout.k, dtype=torch.long)
        self.register_buffer("there", there, persistent=False)

    def read(self, x: Tensor) -> Tensor:
        k = self.layout.k
        numbers, onehot = self.reading(x[:, :k]), x[:, k:]
        if onehot.shape[1] and k:
            numbers = numbers * masked.present(self.layout, self.there, onehot)[:, self.reading.owners]
        return torch.cat([numbers, onehot], 1)

    def surprise(self, out: Tensor, x: Tensor) -> Tensor:
        return masked.surprise(self.layout, masked.law_of(self.layout, out, math.log(SHARPEST)), x, self.there)

    def noise(self, n: int, *, generator: torch.Generator) -> Tensor:
        k = self.layout.k
        gaussian = torch.randn(n, k, generator=generator, device=generator.device)
        return torch.cat([gaussian, torch.rand(n, k + self.layout.c, generator=generator, device=generator.device)], 1)

    def draw(self, out: Tensor, noise: Tensor) -> Tensor:
        law = masked.law_of(self.layout, out, math.log(SHARPEST))
        return masked.draw(self.layout, law, noise, self.there, holes=True)

    def start_at(self, x: Tensor) -> None:
        if self.layout.c:
            self.begin[-self.layout.c :] = torch.log((x[:, self.layout.k :].sum(0) + 0.5) / (len(x) + 1)).to(self.begin)


class ShadeCells(Cells):
    """Pictures `(n, d)` in [-1, 1], of few shades: a softmax over the shades for each of their numbers."""

    def __init__(self, event: Event) -> None:
        super().__init__()
        d, levels = event.size, len(event.shades)
        places = torch.arange(d)
        each = places.repeat_interleave(levels)
        self._hold(each, each, places, _raster(event), torch.zeros(d * levels))
        self.values: Tensor
        values = torch.tensor(event.shades, dtype=torch.float32) / 127.5 - 1
        self.register_buffer("values", values, persistent=False)

    def ranks(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """The shade of every number, and whether it is one of training's."""
        off, rank = (x[..., None] - self.values).abs().min(-1)
        return rank, off < 1 / 255  # half a byte

    def read(self, x: Tensor) -> Tensor:
        return one_hot(self.ranks(x)[0], len(self.values)).to(x.dtype).flatten(1)

    def surprise(self, out: Tensor, x: Tensor) -> Tensor:
        rank, known = self.ranks(x)
        told = -log_softmax(out.unflatten(1, (-1, len(self.values))), 2).gather(2, rank[..., None]).squeeze(2)
        return torch.where(known, told, torch.inf)

    def noise(self, n: int, *, generator: torch.Generator) -> Tensor:
        return torch.rand(n, len(self.reads), generator=generator, device=generator.device)

    def draw(self, out: Tensor, noise: Tensor) -> Tensor:
        scores = out - torch.log(-torch.log(noise.clamp(1e-9, 1 - 1e-7)))
        return self.values[scores.unflatten(1, (-1, len(self.values))).argmax(2)]

    def start_at(self, x: Tensor) -> None:
        counts = self.read(x.to(self.values)).sum(0)
        self.begin.copy_(torch.log((counts + 0.5) / (len(x) + 0.5 * len(self.values))))


class ToneCells(Cells):
    """Pictures `(n, d)` in [-1, 1] of all 256 shades: each number is floor(128 (1 + v)), kept within 0..255, of v from
    a mixture of `TONES` logistics; so the mass of a shade is sigmoid((b - m) / s) - sigmoid((a - m) / s) of its cell
    (a, b), the outer cells without end."""

    LEVELS = 256

    def __init__(self, event: Event) -> None:
        super().__init__()
        places = torch.arange(event.size)
        middle = (torch.arange(TONES) + 0.5) / TONES * 2 - 1
        begin = torch.cat([torch.zeros(TONES), middle, torch.full((TONES,), -1.5)]).repeat(event.size)
        self._hold(places, places.repeat_interleave(3 * TONES), places, _raster(event), begin)

    def read(self, x: Tensor) -> Tensor:
        return x

    def surprise(self, out: Tensor, x: Tensor) -> Tensor:
        weights, means, scales = self._laws(out)
        rank = ((x + 1) * 127.5).round()
        low = 2 * rank[..., None] / self.LEVELS - 1
        a, b = (low - means) / scales.exp(), (low + 2 / self.LEVELS - means) / scales.exp()
        # sigmoid(b) - sigmoid(a) = sigmoid(b) sigmoid(-a) (1 - e^(a - b)); without end, a or b is infinite
        below, above = rank[..., None] > 0, rank[..., None] < self.LEVELS - 1
        inner = torch.where(below & above, torch.log(-torch.expm1(a - b)), 0.0)
        mass = torch.where(above, logsigmoid(b), 0.0) + torch.where(below, logsigmoid(-a), 0.0) + inner
        return -(weights + mass).logsumexp(2)

    def noise(self, n: int, *, generator: torch.Generator) -> Tensor:
        return torch.rand(n, (TONES + 1) * self.units, generator=generator, device=generator.device)

    def draw(self, out: Tensor, noise: Tensor) -> Tensor:
        weights, means, scales = self._laws(out)
        u = noise.clamp(1e-7, 1 - 1e-7).unflatten(1, (-1, TONES + 1))
        chosen = (weights - torch.log(-torch.log(u[..., :TONES]))).argmax(2, keepdim=True)
        v = means.gather(2, chosen) + scales.gather(2, chosen).exp() * torch.logit(u[..., TONES:])
        rank = ((v.squeeze(2) + 1) * self.LEVELS / 2).floor().clamp(0, self.LEVELS - 1)
        return rank / 127.5 - 1

    def _laws(self, out: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        weights, means, scales = out.unflatten(1, (-1, 3, TONES)).unbind(2)
        return log_softmax(weights, 2), means, scales.clamp(min=NARROWEST)


def _raster(event: Event) -> Tensor:
    """The numbers of a picture `(c, h, w)` in the order of its pixels, the channels of each together."""
    return torch.arange(event.size).view(event.shape).movedim(0, -1).flatten()


def cells_of(event: Event) -> Cells:
    """The cells of rows like `event`."""
    if event.kind != "images":
        return RowCells(layout_of(event))
    return ShadeCells(event) if len(event.shades) <= FEW_SHADES else ToneCells(event)
