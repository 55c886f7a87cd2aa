"""Normalising flows on zuko's networks: densities by the change of variables (Rezende & Mohamed 2015).

    ln p(x | c) = ln N(z; 0, I) + ln |det dz/dx|,     z = f_T o ... o f_1 (x; c)

Each f is triangular under an order of the coordinates, z_i = g(x_i; phi_i(x_before, c)), so that its determinant is
the product of the dg/dx_i, and its inverse takes one pass for every step of the order:

    maf        g affine, one coordinate a step                     (Papamakarios et al. 2017)
    nsf        g a rational-quadratic spline on [-5, 5], the identity beyond    (Durkan et al. 2019)
    realnvp    g affine, two steps: the second half given the first, orders drawn    (Dinh et al. 2017)

phi comes from zuko's masked perceptrons, g from its transforms. Beside points there are

    images     of L shades: rank r, spread by u ~ U[0, 1), becomes a number by a map T of its pixel, and
               ln P(r) >= E_u [ ln p(T(r + u)) + ln T'(r + u) ]      (Theis et al. 2016, eq. 6; Burda et al. 2016 for
               ln mean_k over draws of u, which is closer). T is the logit of a + (1 - 2 a) (r + u) / L, standardised
               (Dinh et al. 2017, section 4.1; what lies beyond its ends is lost to the bound), or the normal score of
               the pixel's own distribution function, under which the flow begins as the law of independent pixels.
    tables     ln P(o | c) of the one-hot groups by `nets.made`, and the numbers given them by the flow. A number that
               is not there (its group's level is not `value`) takes no part: it is 0 at every f and in no determinant.

`import zuko` switches off the validation of torch.distributions for the whole process, and its layers draw from the
global random state: both are as before when `zuko` returns, and first weights come from the generator passed in.
"""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import log_softmax, one_hot
from torch.special import ndtr, ndtri

from .cells import FEW_SHADES, RowCells
from .event import Event
from .initialise import initialise, spread
from .made import MADENet
from .masked import Layout

TRANSFORMS = {"nsf": 3, "maf": 5, "realnvp": 8}
"""How many of each make a flow."""

SQUASHES = ("logit", "score")
MARGIN = 0.025  # a of the logit
EDGE = 1e-9  # of a distribution function, from 0 and 1
DRAWS = 8  # of the dequantisation's noise, for the likelihood of pictures


class _Zuko(NamedTuple):
    masked_mlp: Any
    spline: Any
    affine: Any


@contextmanager
def _untouched() -> Iterator[None]:
    """What zuko's import and layers change of torch, put back."""
    from torch.distributions import Distribution, transforms

    validate, constraints = Distribution._validate_args, Distribution.__dict__["arg_constraints"]
    name = transforms._InverseTransform.__name__
    with torch.random.fork_rng(devices=[]):
        try:
            yield
        finally:
            Distribution._validate_args = validate
            Distribution.arg_constraints = constraints  # type: ignore[method-assign]
            transforms._InverseTransform.__name__ = name


@cache
def zuko() -> _Zuko:
    """The pieces of zuko that are used here; imported at the first call, and only here."""
    with _untouched():
        from zuko.nn import MaskedMLP
        from zuko.transforms import MonotonicAffineTransform, MonotonicRQSTransform
    return _Zuko(MaskedMLP, MonotonicRQSTransform, MonotonicAffineTransform)


# ---- the flow of numbers


class Layers(nn.Module):
    """Numbers `(n, d)` given `(n, context)` <-> latents `(n, d)`. bins: of a spline."""

    def __init__(
        self,
        d: int,
        *,
        kind: str,
        transforms: int,
        bins: int = 8,
        context: int = 0,
        width: int = 128,
        depth: int = 2,
        generator: torch.Generator,
    ) -> None:
        super().__init__()
        self.kind, self.context = kind, context
        self.sizes = [bins, bins, bins - 1] if kind == "nsf" else [1, 1]
        self.steps = min(2, d) if kind == "realnvp" else d
        self.constant = d == 1 and not context  # a perceptron needs some input: a one
        hypers = []
        order = torch.arange(d)
        for number in range(transforms):
            if kind == "realnvp" and d > 2 and number % 2 == 0:
                order = torch.randperm(d, generator=generator, device=generator.device).cpu()
            order = order if number == 0 else d - 1 - order
            turn = torch.div(order, math.ceil(d / self.steps), rounding_mode="floor")
            hypers.append(self._hyper(turn, context or int(self.constant), [width] * depth, generator))
        self.hypers = nn.ModuleList(hypers)

    def _hyper(self, turn: Tensor, context: int, hidden: list[int], generator: torch.Generator) -> nn.Module:
        """The perceptron that says the parameters of every coordinate by those of earlier turns and the context."""
        before = torch.cat([turn[:, None] > turn, torch.ones(len(turn), context, dtype=torch.bool)], 1)
        kinked = self.kind != "nsf"
        with _untouched():
            mask = before.repeat_interleave(sum(self.sizes), 0)
            made: nn.Sequential = zuko().masked_mlp(mask, hidden, nn.ReLU if kinked else nn.SiLU)
        if kinked:  # affine maps of few numbers bend only where units have their kinks
            return spread(made.to(generator.device), generator)
        initialise(made.to(generator.device), generator)
        for parameter in made[-1].parameters():  # every spline starts as the identity
            nn.init.zeros_(parameter)
        return made

    def _g(self, hyper: nn.Module, x: Tensor, c: Tensor | None) -> Any:
        parts = [x] if c is None else [x, c]
        if self.constant:
            parts.append(torch.ones_like(x))
        found = hyper(torch.cat(parts, 1)).unflatten(1, (x.shape[1], -1)).to(x.dtype).split(self.sizes, 2)
        return zuko().spline(*found) if self.kind == "nsf" else zuko().affine(*(one.squeeze(2) for one in found))

    def forward(
        self, x: Float[Tensor, "n d"], c: Tensor | None = None, there: Tensor | None = None
    ) -> tuple[Float[Tensor, "n d"], Float[Tensor, " n"]]:
        """(z, ln |det dz/dx|); `there` `(n, d)` is 1 where a number takes part, elsewhere x must be 0."""
        total = x.new_zeros(len(x))
        for hyper in self.hypers:
            g = self._g(hyper, x, c)
            if self.kind == "nsf":
                x, steep = g.call_and_ladj(x)
            else:
                x, steep = g(x), g.log_scale
            if there is not None:
                x, steep = x * there, steep * there
            total = total + steep.sum(1)
        return x, total

    def inverse(self, z: Float[Tensor, "n d"], c: Tensor | None = None, there: Tensor | None = None) -> Tensor:
        """x of z."""
        for hyper in reversed(self.hypers):
            x = torch.zeros_like(z)
            for _ in range(self.steps):
                x = self._g(hyper, x, c).inv(z)
                x = x if there is None else x * there
            z = x
        return z


def log_normal(z: Float[Tensor, "n d"]) -> Float[Tensor, "n d"]:
    """ln N(z; 0, 1)."""
    return -0.5 * z.square() - 0.5 * math.log(2 * math.pi)


# ---- pictures as numbers


class Pixels(nn.Module):
    """T of the module's docstring: pictures in [-1, 1] <-> numbers, one map for every pixel of the event."""

    shares: Tensor  # of the shades, (d, L); of `score`
    mean: Tensor
    std: Tensor
    values: Tensor

    def __init__(self, event: Event, squash: str, device: torch.device) -> None:
        super().__init__()
        self.squash, self.levels = squash, len(event.shades)
        d = event.size
        values = torch.tensor(event.shades, dtype=torch.float32, device=device) / 127.5 - 1
        self.register_buffer("values", values, persistent=False)
        even = torch.full((d, self.levels) if squash == "score" else (0, 0), 1 / self.levels, device=device)
        self.register_buffer("shares", even)
        self.register_buffer("mean", torch.zeros(d, device=device))
        self.register_buffer("std", torch.ones(d, device=device))

    def ranks(self, x: Float[Tensor, "n d"]) -> tuple[Tensor, Tensor]:
        """Whole numbers of the shades, and whether each is one of training's."""
        right = torch.searchsorted(self.values, x.contiguous()).clamp(1, max(1, self.levels - 1))
        if self.levels == 1:
            right = torch.zeros_like(right)
        left = (right - 1).clamp(min=0)
        rank = torch.where(x - self.values[left] < self.values[right] - x, left, right)
        return rank, (self.values[rank] - x).abs() < 1 / 255  # half a byte

    def start_at(self, x: Float[Tensor, "n d"], generator: torch.Generator) -> None:
        """Take the pixels' own laws from flat training rows."""
        rank = self.ranks(x.to(self.values))[0]
        if self.squash == "score":
            ones = torch.ones_like(rank, dtype=torch.float32)
            counts = torch.zeros_like(self.shares).scatter_add_(1, rank.T, ones.T)
            # shades near the met ones are likelier than others, where there are many
            counts = counts if self.levels <= FEW_SHADES else _smoothed(counts)
            self.shares.copy_((counts + 0.5) / (counts.sum(1, keepdim=True) + 0.5 * self.levels))
            return
        u = torch.rand(x.shape, generator=generator)
        y = self.unit_to_logit((rank.cpu() + u) / self.levels).to(self.mean)
        self.mean.copy_(y.mean(0))
        self.std.copy_(y.std(0).clamp(min=1e-3))

    @staticmethod
    def unit_to_logit(s: Tensor) -> Tensor:
        return torch.logit(MARGIN + (1 - 2 * MARGIN) * s)

    def forward(self, rank: Tensor, u: Tensor) -> tuple[Tensor, Tensor]:
        """(T(r + u), ln T'(r + u)), each `(n, d)`."""
        if self.squash == "logit":
            t = MARGIN + (1 - 2 * MARGIN) * (rank + u) / self.levels
            steep = math.log((1 - 2 * MARGIN) / self.levels) - t.log() - torch.log1p(-t) - self.std.log()
            return (torch.logit(t) - self.mean) / self.std, steep
        share = self.shares.T.gather(0, rank)
        below = (self.shares.double().cumsum(1) - self.shares).T.gather(0, rank)
        y = ndtri((below + share * u.double()).clamp(EDGE, 1 - EDGE)).float()
        return y, share.log() - log_normal(y)

    def inverse(self, y: Float[Tensor, "n d"]) -> Float[Tensor, "n d"]:
        """The shades in whose cells numbers lie, as pictures."""
        if self.squash == "logit":
            s = (torch.sigmoid(y * self.std + self.mean) - MARGIN) / (1 - 2 * MARGIN)
            return self.values[(s * self.levels).floor().long().clamp(0, self.levels - 1)]
        ends = self.shares.double().cumsum(1)
        rank = torch.searchsorted(ends, ndtr(y.double()).T.contiguous(), right=True).T
        return self.values[rank.clamp(max=self.levels - 1)]


def _smoothed(counts: Tensor) -> Tensor:
    """Counts `(d, L)` spread over neighbouring levels, by a triangle seventeen wide."""
    kernel = 9.0 - (torch.arange(17, device=counts.device) - 8.0).abs()
    padded = nn.functional.conv1d(counts[:, None], (kernel / kernel.sum())[None, None], padding=8)
    return padded.squeeze(1)


# ---- the network


class FlowNet(nn.Module):
    """Rows like `event` <-> latents `(n, latent_size)`, one for every number and every group, N(0, 1) each.

    A group's latent is the normal score of the middle of its level's share of (0, 1) under the law of the groups before
    it: decoding takes the level whose share holds it.
    """

    charges = ("nll",)

    def __init__(
        self,
        event: Event,
        *,
        kind: str,
        transforms: int,
        bins: int,
        squash: str,
        width: int,
        depth: int,
        generator: torch.Generator,
    ) -> None:
        super().__init__()
        self.event = event
        self.k = event.numbers if event.kind == "table" else event.size
        self.levels = list(event.levels)
        self.latent_size = self.k + len(self.levels)
        on = generator.device
        self.pixels = Pixels(event, squash, on) if event.kind == "images" else None
        self.categories: MADENet | None = None
        if self.levels:
            groups, at = [], 0
            for number, size in enumerate(self.levels):
                groups.append((at, at + size, number, -1))
                at += size
            cells = RowCells(Layout(len(groups), (), tuple(groups)))
            self.categories = MADENet(cells, (at,), context=event.given, width=width, depth=depth, generator=generator)
        if self.k:
            self.layers = Layers(
                self.k,
                kind=kind,
                transforms=transforms,
                bins=bins,
                context=sum(self.levels) + event.given,
                width=width,
                depth=depth,
                generator=generator,
            )
        places = [place - self.k if place >= 0 else -1 for place in event.present]
        self.present: Tensor
        self.register_buffer("present", torch.tensor(places, dtype=torch.long, device=on), persistent=False)

    def warm_start(self, rows: Tensor, *, generator: torch.Generator) -> None:
        flat = rows.flatten(1)
        if self.pixels is not None:
            self.pixels.start_at(flat, generator)
        if self.categories is not None:
            self.categories.warm_start(flat[:, self.k :], generator=generator)

    # ---- the likelihood

    def log_prob(
        self, x: Float[Tensor, "n *event"], *, generator: torch.Generator, c: Tensor | None = None
    ) -> Float[Tensor, " n"]:
        """ln p(x | c): exact of points and tables, of images ln mean over `DRAWS` of the bound."""
        if self.pixels is None:
            return self._log_prob(x, c)
        size = (len(x), self.event.size)
        draws = [torch.rand(size, generator=generator, device=generator.device).to(x.device) for _ in range(DRAWS)]
        return torch.stack([self._log_mass(x, u, c) for u in draws]).logsumexp(0) - math.log(DRAWS)

    def learn(self, x: Float[Tensor, "n *event"], moment: Any, c: Tensor | None = None) -> dict[str, Tensor]:
        if self.pixels is None:
            return {"nll": -self._log_prob(x, c)}
        return {"nll": -self._log_mass(x, moment.draw.uniform(len(x), self.event.size), c)}

    def _log_mass(self, x: Tensor, u: Tensor, c: Tensor | None) -> Tensor:
        """One draw of the bound of a picture's ln P; -inf where a shade is none of training's."""
        assert self.pixels is not None
        rank, known = self.pixels.ranks(x.flatten(1))
        y, steep = self.pixels(rank, u)
        z, total = self.layers(y, c)
        found = log_normal(z).sum(1) + total + steep.sum(1)
        return torch.where(known.all(1), found, -torch.inf)

    def _log_prob(self, x: Tensor, c: Tensor | None) -> Tensor:
        numbers, onehot, there = self._parts(x)
        found = x.new_zeros(len(x))
        if self.categories is not None:
            found = found + self.categories.log_prob(onehot, c=c)
        if self.k:
            z, total = self.layers(numbers, self._context(onehot, c), there)
            density = log_normal(z)
            found = found + (density if there is None else density * there).sum(1) + total
        return found

    def _parts(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor | None]:
        """Numbers, one-hot groups, and where numbers are there (None: everywhere)."""
        numbers, onehot = x[:, : self.k], x[:, self.k :]
        there = self._there(onehot)
        return numbers if there is None else numbers * there, onehot, there

    def _there(self, onehot: Tensor) -> Tensor | None:
        if not self.levels or not self.k or self.event.kind != "table":
            return None
        return torch.where(self.present >= 0, onehot[:, self.present.clamp(min=0)], 1.0)

    def _context(self, onehot: Tensor, c: Tensor | None) -> Tensor | None:
        parts = ([onehot] if onehot.shape[1] else []) + ([] if c is None else [c])
        return torch.cat(parts, 1) if parts else None

    # ---- latents

    def noise(self, n: int, *, generator: torch.Generator) -> Float[Tensor, "n m"]:
        return torch.randn(n, self.latent_size, generator=generator, device=generator.device)

    def forward(self, noise: Float[Tensor, "n m"], c: Tensor | None = None) -> Float[Tensor, "n *event"]:
        return self.decode(noise, c)

    def encode(self, x: Float[Tensor, "n *event"], c: Tensor | None = None) -> Float[Tensor, "n k"]:
        """z; of pictures, that of the middle of their cells."""
        if self.pixels is not None:
            rank, _ = self.pixels.ranks(x.flatten(1))
            z: Tensor = self.layers(self.pixels(rank, torch.full_like(rank, 0.5, dtype=torch.float32))[0], c)[0]
            return z
        numbers, onehot, there = self._parts(x)
        parts = [self.layers(numbers, self._context(onehot, c), there)[0]] if self.k else []
        if self.categories is not None:
            shares = self._shares(onehot, c)
            for share, level in zip(shares, onehot.split(self.levels, 1), strict=True):
                middle = (share.cumsum(1) - share / 2).mul(level).sum(1, keepdim=True)
                parts.append(ndtri(middle.clamp(EDGE, 1 - EDGE)).to(x.dtype))
        return torch.cat(parts, 1)

    def decode(self, z: Float[Tensor, "n k"], c: Tensor | None = None) -> Float[Tensor, "n *event"]:
        """The rows of latents."""
        numbers, scores = z[:, : self.k], z[:, self.k :]
        onehot = self._levels(scores, c)
        if not self.k:
            return onehot
        there = self._there(onehot)
        numbers = numbers if there is None else numbers * there
        made = self.layers.inverse(numbers, self._context(onehot, c), there)
        if self.pixels is not None:
            made = self.pixels.inverse(made)
        rows: Tensor = torch.cat([made, onehot], 1).unflatten(1, self.event.shape)
        return rows

    def _shares(self, onehot: Tensor, c: Tensor | None) -> list[Tensor]:
        """The shares of every group's levels, each `(n, levels)`, by the groups before it."""
        assert self.categories is not None
        out = self.categories.laws(onehot, self.categories.ranks[0], c)
        return [log_softmax(one.double(), 1).exp() for one in out.split(self.levels, 1)]

    def _levels(self, scores: Tensor, c: Tensor | None) -> Tensor:
        """One-hot groups by their latents, group after group."""
        onehot = scores.new_zeros(len(scores), sum(self.levels))
        for number, size in enumerate(self.levels):
            ends = self._shares(onehot, c)[number].cumsum(1)
            level = torch.searchsorted(ends, ndtr(scores[:, number : number + 1].double()), right=True)
            at = sum(self.levels[:number])
            onehot[:, at : at + size] = one_hot(level.squeeze(1).clamp(max=size - 1), size).to(onehot.dtype)
        return onehot
