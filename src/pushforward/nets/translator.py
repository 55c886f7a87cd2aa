"""Translators: networks that turn a row of one domain into a row of another, and begin as a map that is known.

Among the maps that carry one distribution onto another there are many; a network whose change starts at zero moves
from the one it begins as, the identity or an affine `Start`, and so tends to one that is near it.

    points    G(x) = x + W' body(x)                                         body: a residual perceptron, W' = 0 at first
              G(x) = T(x) + P W' diag(a) tanh(W Q x + b)                    a gradient, a = 0 at first; T(x) = M x + c
    tables    numbers as in the first, T(x) for x where there is a start, given the categories; block b by
              o_b = onehot(argmax(l_b)),   l_b = KEEP x_b + W'_b body(x)    (straight-through, see `nets.tabular`)
    images    x' = bend(x, f),  G(x) = x' + recolour(x', c) + detail,       (f, c, detail) = ladder(x), 0 at first

The ladder of an image is a small U: patches of pixels (see `nets.conv`) descend by averaging to a base of about 4 x 4
and climb again, each rung joined by what it was on the way down (Ronneberger et al. 2015), with residual blocks and no
normalisation. `bend` takes the pixel at u + f(u), bilinearly, the edge repeated (Jaderberg et al. 2015): what moves
stays sharp. f and c come from a coarse rung and change slowly over the picture; `detail` comes from the top, and may
draw anything. Each way of changing a picture can be left out.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import (
    avg_pool2d,
    grid_sample,
    interpolate,
    leaky_relu,
    one_hot,
    pad,
    pixel_shuffle,
    pixel_unshuffle,
    softmax,
)

from ..errors import InputError
from .conv import ConvBlock, ladder, patch_size
from .initialise import SLOPE, conv, linear
from .mlp import Trunk
from .tabular import _layout

if TYPE_CHECKING:
    from ..data.tables import Block

KEEP = 4.0  # how far the score of a row's own level is above the others' at first
TEMPERATURE = 1.0
WIDEST = 4  # in multiples of the width at full size
WAYS = ("bend", "colour", "detail")
COLOURS = 16  # inner width of the recolouring


class Start(nn.Module):
    """x -> M x + c, `(n, d)` -> `(n, e)`: fixed, and kept with the weights."""

    def __init__(self, matrix: Float[Tensor, "e d"], offset: Float[Tensor, " e"]) -> None:
        super().__init__()
        self.matrix: Tensor
        self.offset: Tensor
        self.register_buffer("matrix", matrix.float())
        self.register_buffer("offset", offset.float())

    def forward(self, x: Float[Tensor, "n d"]) -> Float[Tensor, "n e"]:
        return torch.addmm(self.offset, x, self.matrix.T)


class PotentialTranslator(nn.Module):
    """Rows `(n, d)` -> rows `(n, d)` by G(x) = T(x) + P W' diag(a) tanh(W Q x + b), a = 0 at first.

    Where P and Q belong to each other (`models.moments`), G is in the data's own coordinates the gradient of a
    function, sum_i a_i log cosh(w_i x + b_i) beside a quadratic one. Of all maps of one law onto another only one is
    the gradient of a convex function, the one that moves rows least (Brenier 1991): so what the game leaves open is
    not there to find. That it stays convex is not made sure of.
    """

    def __init__(
        self,
        start: Start,
        inward: Float[Tensor, "d d"],
        outward: Float[Tensor, "d d"],
        *,
        units: int = 128,
        generator: torch.Generator,
    ) -> None:
        super().__init__()
        self.start = start
        self.inward: Tensor
        self.outward: Tensor
        self.register_buffer("inward", inward.float())
        self.register_buffer("outward", outward.float())
        self.enter = linear(len(inward), units, generator, gain=1.0)
        with torch.no_grad():
            self.enter.bias.copy_(torch.randn(units, generator=generator, device=generator.device))
        self.heights = nn.Parameter(torch.zeros(units, device=generator.device))

    def forward(self, x: Float[Tensor, "n d"]) -> Float[Tensor, "n d"]:
        slopes = self.heights * self.enter(x @ self.inward.T).tanh()
        found: Tensor = self.start(x) + slopes @ self.enter.weight @ self.outward.T
        return found

    def begin(self, x: Float[Tensor, "n d"]) -> Float[Tensor, "n d"]:
        """What it makes of rows before any training."""
        found: Tensor = self.start(x)
        return found


class PointTranslator(nn.Module):
    """Rows `(n, d)` -> rows `(n, e)`; where e is not d there is no identity, and it begins as 0.

    noise_size: how many Gaussians it is given beside the rows.
    """

    def __init__(
        self,
        event_shape: Sequence[int],
        made_shape: Sequence[int],
        *,
        width: int = 128,
        depth: int = 2,
        noise_size: int = 0,
        generator: torch.Generator,
    ) -> None:
        super().__init__()
        self.near = tuple(event_shape) == tuple(made_shape)
        n_in, n_out = math.prod(event_shape) + noise_size, math.prod(made_shape)
        self.trunk = Trunk(n_in, n_out, width=width, depth=depth, generator=generator)
        nn.init.zeros_(self.trunk.leave.weight)

    def forward(self, x: Float[Tensor, "n d"], noise: Float[Tensor, "n m"] | None = None) -> Float[Tensor, "n e"]:
        change: Tensor = self.trunk(x if noise is None else torch.cat([x, noise], 1))
        return x + change if self.near else change

    def begin(self, x: Float[Tensor, "n d"]) -> Float[Tensor, "n d"]:
        """What it makes of rows before any training, where that is not 0."""
        return x


class TableTranslator(nn.Module):
    """Expanded rows `(n, k + c)` -> rows `(n, k + c)`: numbers moved, then exact one-hot groups, as `blocks` lie."""

    def __init__(
        self,
        blocks: Sequence[Block],
        *,
        width: int = 128,
        depth: int = 2,
        noise_size: int = 0,
        start: Start | None = None,
        generator: torch.Generator,
    ) -> None:
        super().__init__()
        self.start = start
        self.k, self.groups = _layout(blocks)
        size = self.k + sum(stop - start for start, stop in self.groups)
        starts = {b.column: b.start for b in blocks if b.kind == "category"}
        self.companions = [starts.get(b.column, -1) for b in blocks if b.kind == "numeric"]
        self.trunk = Trunk(size + noise_size, size, width=width, depth=depth, generator=generator)
        nn.init.zeros_(self.trunk.leave.weight)

    def forward(self, x: Float[Tensor, "n d"], noise: Float[Tensor, "n m"] | None = None) -> Float[Tensor, "n d"]:
        change = self.trunk(x if noise is None else torch.cat([x, noise], 1))
        kept = [self._group(x, change, self.k + start, self.k + stop) for start, stop in self.groups]
        ones = x.new_ones(len(x))
        onehot = torch.cat(kept, 1) if kept else x[:, self.k :]
        there = [onehot[:, place - self.k] if place >= 0 else ones for place in self.companions]
        numbers = self.begin(x)[:, : self.k] + change[:, : self.k]
        return torch.cat([numbers * torch.stack(there, 1), onehot], 1) if self.k else onehot

    def begin(self, x: Float[Tensor, "n d"]) -> Float[Tensor, "n d"]:
        """What it makes of rows before any training, but for the numbers of rows that have none."""
        return x if self.start is None else torch.cat([self.start(x[:, : self.k]), x[:, self.k :]], 1)

    def _group(self, x: Tensor, change: Tensor, start: int, stop: int) -> Tensor:
        scores = KEEP * x[:, start:stop] + change[:, start:stop]
        soft = softmax(scores / TEMPERATURE, 1)
        hard = one_hot(scores.argmax(1), stop - start).to(soft.dtype)
        return hard + (soft - soft.detach())


class ImageTranslator(nn.Module):
    """Images `(n, c, h, w)` in [-1, 1] -> images of the same size, not bounded: what decodes them clips.

    made: how many channels it gives (as many as it gets, by default). Where it gives fewer, those start as the mean of
    the channels; where more, every one as their mean. ways: which of `WAYS` it may change a picture in.
    """

    def __init__(
        self,
        event_shape: Sequence[int],
        made: int | None = None,
        *,
        width: int = 32,
        depth: int = 1,
        noise_size: int = 0,
        ways: Sequence[str] = WAYS,
        generator: torch.Generator,
    ) -> None:
        super().__init__()
        channels, self.height, self.wide = event_shape
        self.made = made or channels
        self.patch = patch_size(self.height, self.wide)
        sizes = ladder(math.ceil(self.height / self.patch), math.ceil(self.wide / self.patch))[::-1]
        self.margins = (0, sizes[0][1] * self.patch - self.wide, 0, sizes[0][0] * self.patch - self.height)
        widths = [min(WIDEST, 2**rung) * width for rung in range(len(sizes))]
        self.coarse = min(1, len(widths) - 1)  # the rung that says where pixels come from and what becomes of colours
        self.enter = conv(channels * self.patch**2 + noise_size, widths[0], 3, generator, gain=1.0)

        def blocks(size: int) -> nn.Sequential:
            return nn.Sequential(*(ConvBlock(size, generator=generator) for _ in range(depth)))

        self.top = 0 if "detail" in ways else self.coarse  # the rung up to which it climbs
        self.down = nn.ModuleList(blocks(size) for size in widths)
        pairs = list(pairwise(widths))
        self.wider = nn.ModuleList(conv(a, b, 1, generator, gain=1.0, bias=False) for a, b in pairs)
        self.narrower = nn.ModuleList(conv(b, a, 1, generator, gain=1.0, bias=False) for a, b in pairs[self.top :])
        self.up = nn.ModuleList(blocks(size) for size in widths[self.top : -1])
        middle = widths[self.coarse]
        self.flow = conv(middle, 2, 3, generator, gain=0.0) if "bend" in ways else None
        self.colour = Recolour(self.made, middle, COLOURS, generator=generator) if "colour" in ways else None
        detail = self.made * self.patch**2
        self.detail = conv(widths[0], detail, 3, generator, gain=0.0) if "detail" in ways else None

    def forward(self, x: Float[Tensor, "n c h w"], noise: Float[Tensor, "n m"] | None = None) -> Tensor:
        h = pixel_unshuffle(pad(x, self.margins, mode="replicate"), self.patch)
        if noise is not None:
            h = torch.cat([h, noise[:, :, None, None].expand(-1, -1, *h.shape[2:])], 1)
        coarse, fine = self._ladder(self.enter(h))
        if self.flow is not None:
            x = bend(x, self._spread(self.flow(coarse)))
        x = x if x.shape[1] == self.made else x.mean(1, keepdim=True).expand(-1, self.made, -1, -1)
        if self.colour is not None:
            x = x + self.colour(x, coarse.mean((2, 3), keepdim=True))
        if self.detail is not None:
            x = x + self._cropped(pixel_shuffle(self.detail(fine), self.patch))
        return x

    def begin(self, x: Tensor) -> Tensor:
        """What it makes of pictures before any training, where as many channels come out as went in."""
        return x

    def _ladder(self, h: Tensor) -> tuple[Tensor, Tensor]:
        """Down and up again: what the rungs `coarse` and `top` give."""
        passed: list[Tensor] = []
        for rung, blocks in enumerate(self.down):
            if rung:
                passed.append(h)
                h = avg_pool2d(self.wider[rung - 1](h), 2)
            h = blocks(h)
        coarse = h
        for rung in reversed(range(self.top, len(passed))):
            h = passed[rung] + interpolate(self.narrower[rung - self.top](h), scale_factor=2, mode="nearest")
            h = self.up[rung - self.top](h)
            coarse = h if rung == self.coarse else coarse
        return leaky_relu(coarse, SLOPE), leaky_relu(h, SLOPE)

    def _spread(self, h: Tensor) -> Tensor:
        """From the coarse rung to every pixel, without steps."""
        return self._cropped(
            interpolate(h, scale_factor=self.patch * 2**self.coarse, mode="bilinear", align_corners=False)
        )

    def _cropped(self, h: Tensor) -> Tensor:
        return h[..., : self.height, : self.wide]


class Recolour(nn.Module):
    """x `(n, c, h, w)`, context `(n, k, 1, 1)` -> W' act(W x + C context), pixel by pixel; W' = 0 at first.

    What becomes of a colour depends on the picture, and not on the place in it: nothing is drawn that was not there.
    (A context of each place, however smooth, drew shadows and clouds.)
    """

    def __init__(self, channels: int, width: int, inner: int, *, generator: torch.Generator) -> None:
        super().__init__()
        self.context = conv(width, inner, 1, generator, gain=1.0)
        self.inner = conv(channels, inner, 1, generator)
        self.outer = conv(inner, channels, 1, generator, gain=0.0)

    def forward(self, x: Tensor, context: Tensor) -> Tensor:
        out: Tensor = self.outer(leaky_relu(self.inner(x) + self.context(context), SLOPE))
        return out


def known_ways(words: str) -> tuple[str, ...]:
    """`bend+colour` -> the ways named; `InputError` for one that is not known."""
    named = tuple(words.split("+")) if words else ()
    unknown = [word for word in named if word not in WAYS]
    if unknown or not named:
        raise InputError(f"ways={words!r}: name some of {', '.join(WAYS)}, joined by +")
    return named


def bend(x: Float[Tensor, "n c h w"], flow: Float[Tensor, "n 2 h w"]) -> Float[Tensor, "n c h w"]:
    """Every pixel taken from where `flow` says, (right, down) in pixels from its own place; the edge is repeated."""
    h, w = x.shape[2:]
    rows = torch.arange(h, device=x.device, dtype=x.dtype)[:, None].expand(h, w)
    columns = torch.arange(w, device=x.device, dtype=x.dtype).expand(h, w)
    at = torch.stack([(2 * (columns + flow[:, 0]) + 1) / w - 1, (2 * (rows + flow[:, 1]) + 1) / h - 1], 3)
    return grid_sample(x, at, mode="bilinear", padding_mode="border", align_corners=False)
