"""Networks of noisy rows: (y, a, c) -> rows, or one number per row, at every noise level a.

y: rows `(n, *event)` of about unit variance at every level; a: the angle atan(sigma) of each, `(n,)` or one for all,
`(1,)` (see `noise_levels`); c: conditions `(n, k)`, or None for none. Points, tables and tiny images pass through a
perceptron, larger images through convolutions down a ladder of sizes and up again, each rung joined with its like on
the way down (Ronneberger et al. 2015; the ladder is that of `conv`). What is known of the level and the condition,

    e = W'' silu(W' levels(a)) + V (c - or nothing),

changes every block's hidden layer, h -> h (1 + g(e)) + b(e) (Perez et al. 2018), and last layers start at zero.

A perceptron on few numbers also sees waves of them, sin and cos of f x at frequencies up to `FINEST`, each damped by
exp(-(f sigma)^2 / 2), as the noise at that level leaves of it: structure much finer than the data's deviation, which a
perceptron alone learns slowly.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, group_norm, interpolate, pad, pixel_shuffle, pixel_unshuffle, silu

from .conv import ladder, patch_size, widths_of
from .initialise import conv, linear

FEW = 16  # numbers in a row up to which there are waves: in more, neighbours are never near
WAVES, FINEST = 6, 16.0  # frequencies from 1 to FINEST
BEATS = (0.5, 1.0, 2.0)  # of the logarithm of the level
QUIETEST, LOUDEST = 1e-3, 20.0  # levels that are told apart, between what hardly blurs and what leaves hardly anything
LEAST = 1e-5  # of a cosine that is divided by
GROUPS = 8


def _level(a: Tensor) -> Tensor:
    """sigma = tan a; of the angle of pure noise, a large number (pi / 2, rounded up, has a negative tangent)."""
    return a.sin() / a.cos().clamp(min=LEAST)


class Knowledge(nn.Module):
    """The level and the condition -> e `(n, width)`. `size` numbers in a condition; 0 for none."""

    def __init__(self, width: int, size: int, *, generator: torch.Generator) -> None:
        super().__init__()
        self.enter = linear(3 + 2 * len(BEATS), width, generator)
        self.leave = linear(width, width, generator)
        self.size = size
        if size:
            self.condition = linear(size + 1, width, generator, gain=1.0, bias=False)

    def forward(self, a: Float[Tensor, " m"], c: Float[Tensor, "n k"] | None) -> Float[Tensor, "n width"]:
        loud = _level(a).clamp(QUIETEST, LOUDEST).log()
        beats = [wave for beat in BEATS for wave in ((beat * loud).sin(), (beat * loud).cos())]
        e: Tensor = self.leave(silu(self.enter(torch.stack([loud / 4, a.sin(), a.cos(), *beats], 1))))
        if self.size and c is not None:
            # a row of NaN is told apart from any condition: nothing is known there
            known = ~c.isnan().any(1, keepdim=True)
            e = e + self.condition(torch.cat([torch.where(known, c, 0.0), known.to(c)], 1))
        return silu(e)


class PerceptronBlock(nn.Module):
    """h `(n, width)` -> h + W' silu((W silu(h)) (1 + g(e)) + b(e))."""

    def __init__(self, width: int, known: int, *, generator: torch.Generator) -> None:
        super().__init__()
        self.inner = linear(width, width, generator)
        self.outer = linear(width, width, generator, gain=0.0)
        self.change = linear(known, 2 * width, generator, gain=0.0)

    def forward(self, h: Tensor, e: Tensor) -> Tensor:
        gain, shift = self.change(e).chunk(2, 1)
        out: Tensor = h + self.outer(silu(self.inner(silu(h)) * (1 + gain) + shift))
        return out


class Perceptron(nn.Module):
    """Rows `(n, *event)` -> `(n, *event)`, or `(n,)` where `scores`."""

    frequencies: Tensor

    def __init__(
        self,
        event_shape: Sequence[int],
        *,
        width: int,
        depth: int,
        given: int = 0,
        scores: bool = False,
        generator: torch.Generator,
    ) -> None:
        super().__init__()
        self.event_shape, self.scores = tuple(event_shape), scores
        d = math.prod(event_shape)
        waves = [FINEST ** (k / (WAVES - 1)) for k in range(WAVES)] if d <= FEW else []
        self.register_buffer("frequencies", torch.tensor(waves, device=generator.device), persistent=False)
        known = max(16, width // 4)
        self.knowledge = Knowledge(known, given, generator=generator)
        self.enter = linear(d * (1 + 2 * len(waves)), width, generator, gain=1.0)
        self.blocks = nn.ModuleList([PerceptronBlock(width, known, generator=generator) for _ in range(depth)])
        self.leave = linear(width, 1 if scores else d, generator, gain=0.0)

    def forward(self, y: Float[Tensor, n * event], a: Float[Tensor, " m"], c: Tensor | None = None) -> Tensor:
        h, e = self.enter(self._heard(y.flatten(1), a)), self.knowledge(a, c)
        for block in self.blocks:
            h = block(h, e)
        out: Tensor = self.leave(silu(h))
        return out.squeeze(1) if self.scores else out.unflatten(1, self.event_shape)

    def _heard(self, y: Float[Tensor, "n d"], a: Float[Tensor, " m"]) -> Tensor:
        """The numbers, and the waves of them that the noise leaves."""
        if not len(self.frequencies):
            return y
        sigma = _level(a)[:, None]
        left = torch.exp(-0.5 * (sigma * self.frequencies) ** 2)[:, None, :]
        phases = (y / a.cos().clamp(min=LEAST)[:, None])[:, :, None] * self.frequencies
        return torch.cat([y, (phases.sin() * left).flatten(1), (phases.cos() * left).flatten(1)], 1)


class ImageBlock(nn.Module):
    """h `(n, before, h, w)` -> (n, after, h, w): P h + W' silu(norm(W silu(norm(h))) (1 + g(e)) + b(e)).

    norm is over the channels of a group and the places of one image; P is 1 x 1, or nothing where widths agree.
    """

    def __init__(self, before: int, after: int, known: int, *, generator: torch.Generator) -> None:
        super().__init__()
        self.pass_on = conv(before, after, 1, generator, gain=1.0, bias=False) if before != after else nn.Identity()
        self.inner = conv(before, after, 3, generator)
        self.outer = conv(after, after, 3, generator, gain=0.0)
        self.change = linear(known, 2 * after, generator, gain=0.0)

    def forward(self, h: Tensor, e: Tensor) -> Tensor:
        gain, shift = self.change(e)[:, :, None, None].chunk(2, 1)
        inner = _normed(self.inner(silu(_normed(h))))
        out: Tensor = self.pass_on(h) + self.outer(silu(inner * (1 + gain) + shift))
        return out


def _normed(h: Tensor) -> Tensor:
    return group_norm(h, math.gcd(GROUPS, h.shape[1]))


class Convolutions(nn.Module):
    """Images `(n, c, h, w)` -> `(n, c, h, w)`, or `(n,)`, the mean of what every place says, where `scores`."""

    def __init__(
        self,
        event_shape: Sequence[int],
        *,
        width: int,
        depth: int,
        given: int = 0,
        scores: bool = False,
        generator: torch.Generator,
    ) -> None:
        super().__init__()
        channels, self.height, self.width = event_shape
        self.scores, self.patch = scores, patch_size(self.height, self.width)
        sides = ladder(math.ceil(self.height / self.patch), math.ceil(self.width / self.patch))
        widths = widths_of(event_shape, width)[::-1]  # from full size down
        known = 4 * width
        self.margins = (0, sides[-1][1] * self.patch - self.width, 0, sides[-1][0] * self.patch - self.height)
        self.knowledge = Knowledge(known, given, generator=generator)
        self.enter = conv(channels * self.patch**2, widths[0], 3, generator, gain=1.0)
        self.down, self.up = nn.ModuleList(), nn.ModuleList()
        for before, after in pairwise([widths[0], *widths]):
            self.down.append(_rung(before, after, depth, known, generator))
        self.middle = _rung(widths[-1], widths[-1], depth, known, generator)
        for wide, narrow in pairwise(widths[::-1]):
            self.up.append(_rung(wide + narrow, narrow, depth, known, generator))
        self.leave = conv(widths[0], (1 if scores else channels) * self.patch**2, 3, generator, gain=0.0)

    def forward(self, y: Float[Tensor, "n c h w"], a: Float[Tensor, " m"], c: Tensor | None = None) -> Tensor:
        e = self.knowledge(a, c)
        h = self.enter(pixel_unshuffle(pad(y, self.margins), self.patch))
        passed: list[Tensor] = []
        for rung, blocks in enumerate(self.down):
            h = _through(blocks, avg_pool2d(h, 2) if rung else h, e)
            passed.append(h)
        h = _through(self.middle, passed.pop(), e)
        for blocks in self.up:
            h = interpolate(h, scale_factor=2, mode="nearest")
            h = _through(blocks, torch.cat([h, passed.pop()], 1), e)
        out: Tensor = self.leave(silu(_normed(h)))
        if self.scores:
            return out.flatten(1).mean(1)
        return pixel_shuffle(out, self.patch)[..., : self.height, : self.width]


def _rung(before: int, after: int, depth: int, known: int, generator: torch.Generator) -> nn.ModuleList:
    widths = [before, *[after] * depth]
    return nn.ModuleList([ImageBlock(one, other, known, generator=generator) for one, other in pairwise(widths)])


def _through(blocks: nn.Module, h: Tensor, e: Tensor) -> Tensor:
    assert isinstance(blocks, nn.ModuleList)
    for block in blocks:
        h = block(h, e)
    return h


def level_network(
    event_shape: Sequence[int],
    *,
    convolve: bool,
    width: int,
    depth: int,
    given: int = 0,
    scores: bool = False,
    generator: torch.Generator,
) -> Perceptron | Convolutions:
    """The network for rows of this shape, its first weights drawn from `generator`, on its device."""
    make = Convolutions if convolve else Perceptron
    return make(event_shape, width=width, depth=depth, given=given, scores=scores, generator=generator)
