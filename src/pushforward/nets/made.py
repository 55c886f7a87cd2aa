"""Masked autoregressive networks (MADE, Germain et al. 2015): the whole law of a row in one pass.

    ln p(x | c) = sum_t ln p(x_{o(t)} | x_{o(1)}, ..., x_{o(t-1)}, c)

for an order o of the row's *units* (a table's columns, a coordinate, a pixel's channel). The conditional laws come from
one perceptron whose weights are masked: with the rank r of a unit in the order and a degree m of every hidden unit,

    input -> hidden    where r(input) < m            hidden -> hidden    where m <= m'
    hidden -> output   where m <= r(output)          input -> output     where r(input) < r(output)

(eqs. 8 to 11 there), so that no path leads from a unit to its own law or to an earlier one's. With several orders the
weights are shared and the law is their even mixture, ln mean_o p_o(x) (section 4.2). What a unit's law is, and how
it is read, its cells say (`nets.cells`).

`AnyOrder` is the network of `nets.masked` under all orders at once: it fills what is not seen of a row.
"""

import math
from typing import Any, cast

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import leaky_relu

from .cells import Cells
from .initialise import GAIN, SLOPE, fill_
from .masked import Layout, MaskedNet, Reading

DIRECT = 4_000_000  # weights straight from inputs to outputs at most


class _Layer(nn.Module):
    """A linear layer whose weights are multiplied by a mask at each call."""

    def __init__(self, n_in: int, n_out: int, generator: torch.Generator, *, gain: float = GAIN) -> None:
        super().__init__()
        self.weight = nn.Parameter(fill_(torch.empty(n_out, n_in, device=generator.device), gain, generator))
        self.bias = nn.Parameter(torch.zeros(n_out, device=generator.device))

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        return nn.functional.linear(x, self.weight * mask, self.bias)


class MADENet(nn.Module):
    """Rows `(n, *event)` -> ln p(x | c); see the module's docstring.

    orders: how many; the first is the rows' own unless `shuffled`, the others are drawn. context: numbers of c.
    """

    charges = ("nll",)
    degree: Tensor
    inner: Tensor
    ranks: Tensor
    inputs: Tensor

    def __init__(
        self,
        cells: Cells,
        event: tuple[int, ...],
        *,
        orders: int = 1,
        shuffled: bool = False,
        context: int = 0,
        width: int = 256,
        depth: int = 2,
        generator: torch.Generator,
    ) -> None:
        super().__init__()
        self.cells, self.event, self.context = cells, event, context
        units, n_in, n_out = cells.units, len(cells.reads) + context, len(cells.writes)
        first = 0 if context or units == 1 else 1
        degree = first + torch.arange(width) * max(1, units - first) // width
        ranks = []
        for number in range(orders):
            drawn = torch.randperm(units, generator=generator, device=generator.device).cpu()
            order = cells.natural if number == 0 and not shuffled else drawn
            ranks.append(torch.empty_like(order).scatter_(0, order, torch.arange(units)))
        # a condition comes before everything
        inputs = torch.cat([cells.reads, torch.full((context,), units, dtype=torch.long)])
        self.register_buffer("ranks", torch.stack(ranks))
        for name, fixed in (
            ("degree", degree),
            ("inner", (degree[:, None] >= degree).float()),
            ("inputs", inputs),
        ):
            self.register_buffer(name, fixed, persistent=False)
        self.enter = _Layer(n_in, width, generator, gain=1.0)
        pairs = [(_Layer(width, width, generator), _Layer(width, width, generator, gain=0.0)) for _ in range(depth)]
        self.blocks = nn.ModuleList([nn.ModuleList(pair) for pair in pairs])
        self.leave = _Layer(width, n_out, generator, gain=0.1)
        direct = n_in * n_out <= DIRECT
        self.direct = _Layer(n_in, n_out, generator, gain=0.0) if direct else None
        self.to(generator.device)

    def warm_start(self, rows: Tensor, *, generator: torch.Generator) -> None:
        self.cells.start_at(rows.flatten(1))

    def laws(self, x: Tensor, rank: Tensor, c: Tensor | None = None) -> Float[Tensor, "n outputs"]:
        """What the laws of flat rows' units are made of, under the order of `rank` `(units,)`."""
        read = self.cells.read(x) if c is None else torch.cat([self.cells.read(x), c], 1)
        before = torch.cat([rank, rank.new_full((1,), -1)])[self.inputs]
        after = rank[self.cells.writes]
        h = self.enter(read, (before < self.degree[:, None]).to(read.dtype))
        for block in self.blocks:
            one, other = cast(nn.ModuleList, block)
            h = h + other(leaky_relu(one(leaky_relu(h, SLOPE), self.inner), SLOPE), self.inner)
        out = self.leave(leaky_relu(h, SLOPE), (self.degree <= after[:, None]).to(h.dtype)) + self.cells.begin
        if self.direct is not None:
            out = out + self.direct(read, (before < after[:, None]).to(h.dtype))
        found: Tensor = out
        return found

    # ---- the likelihood

    def log_prob(
        self, x: Float[Tensor, "n *event"], *, generator: torch.Generator | None = None, c: Tensor | None = None
    ) -> Float[Tensor, " n"]:
        """ln mean_o p_o(x | c), exactly."""
        flat = x.flatten(1)
        told = [-self.cells.surprise(self.laws(flat, rank, c), flat).sum(1) for rank in self.ranks]
        return torch.stack(told).logsumexp(0) - math.log(len(told))

    def learn(self, x: Float[Tensor, "n *event"], moment: Any, c: Tensor | None = None) -> dict[str, Tensor]:
        """-ln p_o(x | c) in an order drawn for the batch."""
        draw, flat = moment.draw, x.flatten(1)
        which = torch.randint(len(self.ranks), (1,), generator=draw.generator, device=draw.device)
        return {"nll": self.cells.surprise(self.laws(flat, self.ranks[which].squeeze(0), c), flat).sum(1)}

    def told(self, x: Float[Tensor, "n *event"], moment: Any, c: Tensor | None = None) -> Float[Tensor, " n"]:
        return -self.log_prob(x, c=c)

    # ---- drawing

    def noise(self, n: int, *, generator: torch.Generator) -> Float[Tensor, "n m"]:
        own = self.cells.noise(n, generator=generator)
        return torch.cat([own, torch.rand(n, 1, generator=generator, device=generator.device)], 1)

    def forward(self, noise: Float[Tensor, "n m"], c: Tensor | None = None) -> Float[Tensor, "n *event"]:
        """Ancestral sampling: unit by unit, each given the ones before it in its row's order."""
        which = (noise[:, -1] * len(self.ranks)).long().clamp(max=len(self.ranks) - 1)
        x = noise.new_zeros(len(noise), len(self.cells.place))
        for number, rank in enumerate(self.ranks):
            rows = (which == number).nonzero().flatten()
            mine, chance, given = x[rows], noise[rows, :-1], None if c is None else c[rows]
            for unit in rank.argsort():
                drawn = self.cells.draw(self.laws(mine, rank, given), chance)
                mine = torch.where(self.cells.place == unit, drawn, mine)
            x = x.index_copy(0, rows, mine)
        made: Tensor = x.unflatten(1, self.event)
        return made


class AnyOrder(nn.Module):
    """The law of rows under any order of their units, and so of any units given any others: `nets.masked.MaskedNet`.

    It learns the conditional laws of the units that are not seen, under masks that a random order of the units leaves
    after a random number of them,

        E_{o, t} [ U / (U - t) sum_{u not among o(1..t)} -ln p(x_u | x_{o(1)}, ..., x_{o(t)}) ]  =  E_o [ -ln p_o(x) ]

    (Uria et al. 2014; Hoogeboom et al. 2022, eq. 8). Its law is the even mixture of `orders` of them.
    """

    charges = ("nll",)
    fills = True  # any units given any others: see `models.told`
    ranks: Tensor

    def __init__(
        self,
        layout: Layout,
        event: tuple[int, ...],
        *,
        orders: int = 1,
        width: int = 256,
        depth: int = 3,
        generator: torch.Generator,
    ) -> None:
        super().__init__()
        self.event = event
        self.base = MaskedNet(layout, Reading(layout.k), width=width, depth=depth, generator=generator)
        own = torch.arange(layout.units, device=generator.device)
        drawn = [torch.randperm(layout.units, generator=generator, device=generator.device) for _ in range(orders - 1)]
        self.register_buffer("ranks", torch.stack([own, *drawn]))

    @property
    def units(self) -> int:
        return self.base.layout.units

    def warm_start(self, rows: Tensor, *, generator: torch.Generator) -> None:
        self.base.start_at(rows.flatten(1))

    def learn(self, x: Float[Tensor, "n *event"], moment: Any) -> dict[str, Tensor]:
        u = moment.draw.uniform(len(x), self.units + 1)
        seen = (u[:, -1:] * self.units).floor().clamp(max=self.units - 1)
        mask = (u[:, :-1].argsort(1).argsort(1) < seen).to(x.dtype)
        each = self.base.surprise(x.flatten(1), mask)
        return {"nll": each.sum(1) * self.units / (self.units - seen.squeeze(1))}

    def log_prob(self, x: Float[Tensor, "n *event"], *, generator: torch.Generator) -> Float[Tensor, " n"]:
        """ln mean_o p_o(x) by the chain rule, in as many passes as there are units, for each order."""
        flat, told = x.flatten(1), []
        for rank in self.ranks:
            total = flat.new_zeros(len(flat))
            for turn in range(self.units):
                mask = (rank < turn).to(flat.dtype).expand(len(flat), -1)
                total = total - (self.base.surprise(flat, mask) * (rank == turn)).sum(1)
            told.append(total)
        return torch.stack(told).logsumexp(0) - math.log(len(told))

    # ---- drawing

    def noise(self, n: int, *, generator: torch.Generator) -> Float[Tensor, "n m"]:
        """What fills a row, which of the orders it is filled in, and what is seen of it: nothing."""
        base = self.base.noise(n, generator=generator)
        which = torch.rand(n, 1, generator=generator, device=generator.device)
        return torch.cat([base, which, base.new_zeros(n, math.prod(self.event) + self.units)], 1)

    def given(self, noise: Float[Tensor, "n m"], c: Float[Tensor, "n c"]) -> Float[Tensor, "n m"]:
        """`noise` with rows and their masks `c`, `(n, size + units)`, as what is seen."""
        return torch.cat([noise[:, : -c.shape[1]], c.to(noise)], 1)

    def forward(self, noise: Float[Tensor, "n m"]) -> Float[Tensor, "n *event"]:
        own, size = self.base.noise_size, math.prod(self.event)
        chance, which, x, mask = noise.split([own, 1, size, self.units], 1)
        order = (which.squeeze(1) * len(self.ranks)).long().clamp(max=len(self.ranks) - 1)
        chance = torch.cat([chance[:, : own - self.units], self.ranks[order] / self.units], 1)
        made: Tensor = self.base.fill(x, mask, chance, passes=self.units, holes=True).unflatten(1, self.event)
        return made
