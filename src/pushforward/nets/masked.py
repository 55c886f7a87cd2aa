"""A network for rows of which some cells are seen: the conditional law of every other cell, and draws of them all.

For a row x and a mask m (1 where seen) the network gives, for each unseen unit u by itself,

    number      p(z | seen) = sum_j w_j N(z; mu_j, sigma_j^2),     j = 1 .. `COMPONENTS`
    category    p(level | seen) = softmax of its scores

and a number beside a category block (`value`, `missing`, point masses) is there only where its level is `value`. It is
trained by maximum likelihood under random masks,

    loss = E_{x, m} [ mean over unseen u of  -log p(x_u | x_seen, m) ],

and fills a row unit by unit in random order, each filled unit then counting as seen: an order-agnostic autoregressive
model (Uria, Murray and Larochelle 2014; Hoogeboom et al. 2022, arXiv 2110.02037, section 3), whose joint law is exact
where the conditionals are. Rows of many units are filled several units at a time, `passes` times.

What the network sees of a number: its latent z, its value in standard deviations, and the phases of that value at
round periods (`Reading`), by which relations such as "the last two digits" or "the hour of that time" are simple; all
of it 0 where unseen.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import log_softmax, one_hot

from .initialise import linear
from .mlp import Body

COMPONENTS = 8
WIDEST = math.log(3.0)  # log sigma of a component
FURTHEST = 6.0  # standard deviations: draws are kept within
PASSES = 32  # at most, to fill a row


@dataclass(frozen=True)
class Layout:
    """Rows `(n, k + c)`: k numbers and then one-hot groups, of `units` units.

    numbers: the unit of each number. groups: (start, stop, unit, place of `missing` or -1) of each, counted after the
    numbers. present: for each number the place, after the numbers, of the entry that says it is there, or -1.
    """

    units: int
    numbers: tuple[int, ...]
    groups: tuple[tuple[int, int, int, int], ...] = ()
    present: tuple[int, ...] = ()

    @property
    def k(self) -> int:
        return len(self.numbers)

    @property
    def c(self) -> int:
        return self.groups[-1][1] if self.groups else 0

    @property
    def places(self) -> list[int]:
        """The unit of every place of a row."""
        return [*self.numbers, *(unit for start, stop, unit, _ in self.groups for _ in range(start, stop))]


class Reading(nn.Module):
    """Latent numbers `(n, k)` -> what the network sees of them `(n, width)`.

    tables: for each number the (distribution function, values) of its marginal map, by which z becomes its value; None
    where z is the value. periods: for each number pairs (multiplier, offset) that make phases of its value,
    phase = value * multiplier + offset, seen as cos and sin of 2 pi phase.
    """

    cdf: Tensor
    values: Tensor
    staircase: Tensor
    centre: Tensor
    slope: Tensor
    which: Tensor
    multiplier: Tensor
    offset: Tensor
    owners: Tensor  # the number that each of what is seen belongs to

    def __init__(
        self,
        k: int,
        tables: Sequence[tuple[Tensor, Tensor, bool]] = (),
        periods: Sequence[tuple[int, float, float]] = (),
    ) -> None:
        super().__init__()
        longest = max((len(values) for _, values, _ in tables), default=0)
        cdf, values = torch.ones(len(tables), longest), torch.zeros(len(tables), longest)
        for i, (one, its, _) in enumerate(tables):
            cdf[i, : len(one)], values[i, : len(its)], values[i, len(its) :] = one.float(), its.float(), float(its[-1])
        spread = [its.double().std(correction=0) if len(its) > 1 else torch.ones(()) for _, its, _ in tables]
        fixed = {
            "cdf": cdf,
            "values": values,
            "staircase": torch.tensor([stairs for _, _, stairs in tables], dtype=torch.bool),
            "centre": torch.tensor([float(its.double().mean()) for _, its, _ in tables]),
            "slope": torch.tensor([1 / max(float(s), 1e-30) for s in spread]),
            "which": torch.tensor([number for number, _, _ in periods], dtype=torch.long),
            "multiplier": torch.tensor([multiplier for _, multiplier, _ in periods]),
            "offset": torch.tensor([offset for _, _, offset in periods]),
        }
        for name, tensor in fixed.items():
            self.register_buffer(name, tensor, persistent=False)
        owners = [*range(k), *(range(k) if tables else ()), *2 * [number for number, _, _ in periods]]
        self.register_buffer("owners", torch.tensor(owners, dtype=torch.long), persistent=False)

    def forward(self, z: Tensor) -> Tensor:
        if not self.values.numel():
            return z
        value = self.value(z)
        phase = 2 * math.pi * (value[:, self.which] * self.multiplier + self.offset)
        return torch.cat([z, (value - self.centre) * self.slope, phase.cos(), phase.sin()], 1)

    def value(self, z: Tensor) -> Tensor:
        """The values `(n, k)` of latent numbers, as `data.marginals.Marginal.decode` gives them, up to rounding."""
        u = torch.special.ndtr(z).T.contiguous()
        right = torch.searchsorted(self.cdf, u).clamp(max=self.cdf.shape[1] - 1)
        at = self.values.gather(1, right)
        left = (right - 1).clamp(min=0)
        low, high = self.cdf.gather(1, left), self.cdf.gather(1, right)
        share = ((u - low) / (high - low).clamp(min=1e-12)).clamp(0, 1)
        between = torch.lerp(self.values.gather(1, left), at, share)
        return torch.where(self.staircase[:, None], at, between).T


class Law(NamedTuple):
    """Of every number a mixture (log weights, means, log sigmas, each `(n, k, components)`), of every group the scores
    of its levels `(n, c)`."""

    weights: Tensor
    means: Tensor
    sigmas: Tensor
    scores: Tensor


def start(layout: Layout) -> Tensor:
    """What is added to a network's numbers so that they begin well: components side by side over N(0, 1), every level
    score at 0."""
    middle = (torch.arange(COMPONENTS) + 0.5) / COMPONENTS
    first = torch.cat([torch.zeros(COMPONENTS), torch.special.ndtri(middle), torch.full((COMPONENTS,), -1.0)])
    return torch.cat([first.repeat(layout.k), torch.zeros(layout.c)])


def law_of(layout: Layout, out: Float[Tensor, "n outputs"], sharpest: float) -> Law:
    """The law that a network's numbers `(n, 3 k COMPONENTS + c)` stand for; `sharpest`: the least log sigma."""
    mixture = out[:, : 3 * layout.k * COMPONENTS].view(len(out), layout.k, 3, COMPONENTS)
    weights, means, sigmas = mixture.unbind(2)
    return Law(log_softmax(weights, 2), means, sigmas.clamp(sharpest, WIDEST), out[:, out.shape[1] - layout.c :])


def present(layout: Layout, there: Tensor, onehot: Float[Tensor, "n c"]) -> Float[Tensor, "n k"]:
    """1 where a number is there: the entry of the one-hot groups at its place in `there` `(k,)`; -1 is always there."""
    if not onehot.shape[1]:
        return onehot.new_ones(len(onehot), layout.k)
    return torch.where(there >= 0, onehot[:, there.clamp(min=0)], 1.0)


def surprise(layout: Layout, law: Law, x: Float[Tensor, "n d"], there: Tensor) -> Float[Tensor, "n units"]:
    """-log p(x_u) of every unit under its own law."""
    k, onehot = layout.k, x[:, layout.k :]
    out = x.new_zeros(len(x), layout.units)
    if k:
        off = (x[:, :k, None] - law.means) * torch.exp(-law.sigmas)
        each = law.weights - law.sigmas - off.square() / 2
        told = (0.5 * math.log(2 * math.pi) - each.logsumexp(2)) * present(layout, there, onehot)
        out = out.index_add(1, torch.tensor(layout.numbers, device=x.device), told)
    if layout.groups:
        told = torch.stack(
            [-(onehot[:, a:b] * log_softmax(law.scores[:, a:b], 1)).sum(1) for a, b, _, _ in layout.groups], 1
        )
        units = torch.tensor([unit for _, _, unit, _ in layout.groups], device=x.device)
        out = out.index_add(1, units, told)
    return out


def draw(
    layout: Layout, law: Law, noise: Float[Tensor, "n noise_size"], there: Tensor, *, holes: bool
) -> Float[Tensor, "n d"]:
    """One draw of every cell by itself; of each number `noise` has a Gaussian and a uniform, of each level a uniform.
    holes: whether `missing` may be drawn."""
    k, c = layout.k, layout.c
    eps, u, v = noise[:, :k], noise[:, k : 2 * k], noise[:, 2 * k : 2 * k + c]
    groups = []
    gumbel = -torch.log(-torch.log(v.clamp(1e-9, 1 - 1e-7)))
    for a, b, _, missing in layout.groups:
        scores = law.scores[:, a:b] + gumbel[:, a:b]
        if missing >= 0 and not holes and b - a > 1:
            scores[:, missing] = -torch.inf
        groups.append(one_hot(scores.argmax(1), b - a).to(noise.dtype))
    onehot = torch.cat(groups, 1) if groups else noise.new_zeros(len(noise), 0)
    if not k:
        return onehot
    chosen = (law.weights.exp().cumsum(2) < u[:, :, None]).sum(2, keepdim=True).clamp(max=COMPONENTS - 1)
    mean, sigma = law.means.gather(2, chosen).squeeze(2), law.sigmas.gather(2, chosen).squeeze(2)
    numbers = (mean + sigma.exp() * eps).clamp(-FURTHEST, FURTHEST) * present(layout, there, onehot)
    return torch.cat([numbers, onehot], 1)


class MaskedNet(nn.Module):
    """(rows `(n, d)`, mask `(n, units)`) -> `Law` of every cell given the seen ones.

    sharpest: the least sigma. Where values repeat (pixels that are all black) a likelihood grows without bound as sigma
    falls, and a network that may follow it learns little else.
    """

    place: Tensor
    seen_by: Tensor
    start: Tensor
    there: Tensor

    def __init__(
        self,
        layout: Layout,
        reading: Reading,
        *,
        width: int = 256,
        depth: int = 3,
        sharpest: float = 1e-3,
        generator: torch.Generator,
    ) -> None:
        super().__init__()
        self.layout, self.reading, self.sharpest = layout, reading, math.log(sharpest)
        k, c = layout.k, layout.c
        places = torch.tensor(layout.places, dtype=torch.long)
        self.register_buffer("place", places, persistent=False)
        owners = torch.tensor(layout.numbers, dtype=torch.long)[reading.owners.cpu()]
        self.register_buffer("seen_by", torch.cat([owners, places[k:]]), persistent=False)
        self.register_buffer("there", torch.tensor(layout.present or [-1] * k, dtype=torch.long), persistent=False)
        n_in = len(reading.owners) + c + layout.units
        self.body = Body(n_in, width=width, depth=depth, generator=generator)
        self.leave = linear(width, 3 * k * COMPONENTS + c, generator, gain=0.1)
        self.register_buffer("start", start(layout))  # until `start_at` sets the levels' frequencies
        self.to(generator.device)

    def start_at(self, rows: Float[Tensor, "n d"]) -> None:
        """Let every level's first score be its log frequency among `rows`, half a row added."""
        onehot = rows[:, self.layout.k :]
        if onehot.shape[1]:
            self.start[-self.layout.c :] = torch.log((onehot.sum(0) + 0.5) / (len(rows) + 1)).to(self.start)

    def present(self, onehot: Tensor) -> Tensor:
        """1 `(n, k)` where a number is there, by the one-hot groups `(n, c)`."""
        return present(self.layout, self.there, onehot)

    def forward(self, x: Float[Tensor, "n d"], mask: Float[Tensor, "n units"]) -> Law:
        k, c = self.layout.k, self.layout.c
        numbers, onehot = x[:, :k], x[:, k:]
        read = self.reading(numbers)
        if c and k:
            read = read * self.present(onehot)[:, self.reading.owners]
        found = torch.cat([read, onehot], 1) * mask[:, self.seen_by]
        out = self.leave(self.body(torch.cat([found, mask], 1))) + self.start
        return law_of(self.layout, out, self.sharpest)

    def surprise(self, x: Float[Tensor, "n d"], mask: Float[Tensor, "n units"]) -> Float[Tensor, "n units"]:
        """-log p(x_u | seen) of every unit by itself, 0 where it is seen."""
        return surprise(self.layout, self(x, mask), x, self.there) * (1 - mask)

    # ---- filling

    @property
    def noise_size(self) -> int:
        """Numbers by which one row is filled: of each number a Gaussian and a uniform, of each level a uniform, and of
        each unit one that says when it is filled."""
        return 2 * self.layout.k + self.layout.c + self.layout.units

    def noise(self, n: int, *, generator: torch.Generator) -> Float[Tensor, "n noise_size"]:
        k = self.layout.k
        gaussian = torch.randn(n, k, generator=generator, device=generator.device)
        uniform = torch.rand(n, self.noise_size - k, generator=generator, device=generator.device)
        return torch.cat([gaussian, uniform], 1)

    @torch.no_grad()
    def fill(
        self,
        x: Float[Tensor, "n d"],
        mask: Float[Tensor, "n units"],
        noise: Float[Tensor, "n noise_size"],
        *,
        passes: int = PASSES,
        holes: bool = False,
    ) -> Float[Tensor, "n d"]:
        """`x` with every unseen unit drawn; seen ones are as they were. holes: whether `missing` may be drawn."""
        x, mask = torch.where(mask[:, self.place] > 0, x, 0.0), mask.clone()
        turn = _turns(mask, noise[:, -self.layout.units :], passes)
        for now in range(int(turn.max()) + 1 if len(turn) else 0):
            rows = (turn == now).any(1).nonzero().flatten()
            chosen = turn[rows] == now
            drawn = draw(self.layout, self(x[rows], mask[rows]), noise[rows], self.there, holes=holes)
            x[rows] = torch.where(chosen[:, self.place], drawn, x[rows])
            mask[rows] = torch.where(chosen, 1.0, mask[rows])
        return x


def _turns(mask: Tensor, keys: Tensor, passes: int) -> Tensor:
    """In which pass each unseen unit is filled, -1 where seen: one a pass in the order of `keys`; where a row has more
    unseen units than `passes`, several a pass."""
    unseen = mask < 0.5
    rank = torch.where(unseen, keys, 2.0).argsort(1).argsort(1)
    count = unseen.sum(1, keepdim=True)
    turn = torch.where(count <= passes, rank, rank * passes // count.clamp(min=1))
    return torch.where(unseen, turn, -1)
