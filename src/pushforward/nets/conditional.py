"""Networks that are given something: rows x with a condition c, for which the generator makes x and the critic judges
both.

The generator's noise is (z, c), c drawn from conditions of training rows, which it keeps compact (`Conditions`). What
it gives holds c unchanged: beside x in a joint row, or in those columns of x that are the given ones. How c works:

    concat      G(z, c) and D(x, c): c stands beside the inputs                     (Mirza & Osindero 2014)
    projection  D(x) = score(h) + <V c, h>,  h = the critic's last hidden layer     (Miyato & Koyama 2018, eq. 3)
    auxiliary   a head of the critic's h(x) predicts c: see `ConditionalCritic.surprise`   (Odena et al. 2017)
    film        h -> h (1 + g(c)) + b(c) after each of the generator's blocks       (Perez et al. 2018, eq. 1)

and several together. The generator has c beside z in any case; the critic sees it at its input where `concat` is named,
or neither `projection` nor `auxiliary` is.

The slope of the critic in c is not charged by penalties: c is the same for data and samples, so there is nothing to
transport along it.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import log_softmax

from ..errors import InputError
from .critic import Critic
from .groups import pack
from .initialise import linear
from .joint import Joint
from .mlp import Change

WAYS = ("concat", "projection", "auxiliary", "film")
PLANES = 16  # channels at most in which a convolutional critic sees a condition


@dataclass(frozen=True)
class Layout:
    """A condition's numbers: `numeric` plain ones, then a one-hot group for each of `levels`."""

    numeric: int
    levels: tuple[int, ...] = ()

    @property
    def size(self) -> int:
        return self.numeric + sum(self.levels)

    @property
    def compact(self) -> int:
        return self.numeric + len(self.levels)

    def expand(self, codes: Float[Tensor, "n m"]) -> Float[Tensor, "n c"]:
        """Numbers and level numbers -> numbers and one-hots."""
        if not self.levels:
            return codes
        starts = torch.tensor([self.numeric + sum(self.levels[:i]) for i in range(len(self.levels))])
        out = codes.new_zeros(len(codes), self.size)
        out[:, : self.numeric] = codes[:, : self.numeric]
        return out.scatter_(1, codes[:, self.numeric :].long() + starts.to(codes.device), 1.0)

    def loudness(self) -> Tensor:
        """`(c,)`: a factor that gives the entries of every group a second moment of one on average."""
        return torch.cat([torch.ones(self.numeric), *[torch.full((n,), math.sqrt(n)) for n in self.levels]])

    def groups(self, c: Tensor) -> list[Tensor]:
        """The numbers, and the entries of every one-hot group, of conditions or of predictions of them."""
        return list(c.split([self.numeric, *self.levels], 1))


class Conditions(nn.Module):
    """Conditions of training rows, kept as compact codes `(kept, m)`, to be drawn from.

    While training, those with a high chance are drawn more often (`hold`); afterwards, all alike.
    """

    codes: Tensor
    chances: Tensor  # running sums of the chances while training; empty for equal ones

    def __init__(self, layout: Layout, kept: int, *, balanced: bool, device: torch.device) -> None:
        super().__init__()
        self.layout = layout
        self.register_buffer("codes", torch.zeros(kept, layout.compact, device=device))
        self.register_buffer("chances", torch.zeros(kept if balanced else 0, dtype=torch.float64, device=device))

    def hold(self, codes: Float[Tensor, "kept m"], chances: Tensor | None = None) -> None:
        """Keep these; `chances` `(kept,)`, of any sum, are those of being drawn while training."""
        self.codes.copy_(codes)
        if len(self.chances) and chances is not None:
            running = chances.double().cumsum(0)
            self.chances.copy_(running / running[-1])

    def draw(self, n: int, *, generator: torch.Generator) -> Float[Tensor, "n c"]:
        """`n` conditions of training rows, expanded, on the generator's device."""
        on = generator.device
        if self.training and len(self.chances):
            u = torch.rand(n, dtype=torch.float64, generator=generator, device=on).to(self.chances.device)
            index = torch.searchsorted(self.chances, u).clamp_(max=len(self.codes) - 1)
        else:
            index = torch.randint(len(self.codes), (n,), generator=generator, device=on).to(self.codes.device)
        return self.layout.expand(self.codes[index]).to(on)


class Film(nn.Module):
    """h -> h (1 + g(c)) + b(c), g and b linear and 0 at first; of features `(n, width)` or maps `(n, width, ...)`."""

    def __init__(self, size: int, widths: Sequence[int], *, generator: torch.Generator) -> None:
        super().__init__()
        self.maps = nn.ModuleList([linear(size, 2 * width, generator, gain=0.0) for width in widths])

    def at(self, c: Float[Tensor, "n c"]) -> Change:
        """What it does to each block's output, given `c`."""

        def change(number: int, h: Tensor) -> Tensor:
            gain, shift = self.maps[number](c).chunk(2, 1)
            shape = (len(h), -1, *[1] * (h.dim() - 2))
            return torch.addcmul(shift.view(shape) + h, gain.view(shape), h)

        return change


class Paying:
    """A generator that pays for what an auxiliary classifier does not see of its conditions, once `pay` is called."""

    charges: tuple[str, ...] = ()
    class_weight = 0.0

    def pay(self, weight: float) -> None:
        self.charges, self.class_weight = ("class_loss",), weight

    def owes(self, play: Any, z: Tensor) -> dict[str, Tensor]:
        """weight * surprise of the critic's head, row by row (Odena et al. 2017, L_C)."""
        return {"class_loss": self.class_weight * play.network.surprise(play.y)}


class ConditionalGenerator(Paying, nn.Module):
    """(z, c) `(n, noise_size + size)` -> rows that hold c.

    core: (z, c) -> x `(n, *event)`, its blocks changed by the `film`, where there is one. joint: rows are (x, c) side
    by side; without it c takes the `places` of x that are given.
    """

    loudness: Tensor

    def __init__(
        self,
        core: nn.Module,
        conditions: Conditions,
        *,
        noise_size: int,
        joint: Joint | None = None,
        places: Sequence[int] = (),
        film: Film | None = None,
    ) -> None:
        super().__init__()
        self.core, self.conditions, self.film = core, conditions, film
        self.noise_size, self.joint = noise_size, joint
        self.register_buffer("loudness", conditions.layout.loudness().to(conditions.codes.device), persistent=False)
        self.places: Tensor
        self.register_buffer("places", torch.tensor(list(places), device=conditions.codes.device), persistent=False)

    def noise(self, n: int, *, generator: torch.Generator) -> Float[Tensor, "n m"]:
        z = torch.randn(n, self.noise_size, generator=generator, device=generator.device)
        return torch.cat([z, self.conditions.draw(n, generator=generator)], 1)

    def given(self, noise: Float[Tensor, "n m"], c: Float[Tensor, "n c"]) -> Float[Tensor, "n m"]:
        """`noise` with the conditions `c` in place of its own."""
        return torch.cat([noise[:, : self.noise_size], c.to(noise)], 1)

    def forward(self, noise: Float[Tensor, "n m"]) -> Float[Tensor, "n d"]:
        z, c = noise[:, : self.noise_size], noise[:, self.noise_size :]
        loud = c * self.loudness
        change = None if self.film is None else self.film.at(loud)
        x = self.core(torch.cat([z, loud], 1), change)
        return self.joint.join(x, c) if self.joint is not None else x.index_copy(1, self.places, c)


class ConditionalCritic(nn.Module):
    """Rows that hold a condition -> scores, by a `core` critic and what `ways` name.

    joint: rows are (x, c) side by side; without it c lies at the `places` of the row.
    """

    places: Tensor

    def __init__(
        self,
        core: Critic,
        layout: Layout,
        *,
        ways: Sequence[str],
        joint: Joint | None = None,
        places: Sequence[int] = (),
        generator: torch.Generator,
    ) -> None:
        super().__init__()
        self.core, self.layout, self.shape = core, layout, core.shape
        if joint is not None:
            self.joint = joint
        self.beside = joint
        self.seen = sees(ways)
        self.register_buffer("places", torch.tensor(list(places), device=generator.device), persistent=False)
        width = core.leave.in_features - core.shape.deviation
        plane = self.seen and joint is not None and len(joint.shapes[0]) == 3 and layout.size > PLANES
        self.narrow = linear(layout.size, PLANES, generator, gain=1.0) if plane else None
        if "projection" in ways:
            if core.shape.outputs > 1:
                raise InputError(
                    "projection adds to one score, and this objective has several; take conditioning='concat'"
                )
            self.projection = linear(core.shape.pack * layout.size, width, generator, gain=1.0, bias=False)
        if "auxiliary" in ways:
            if core.shape.pack > 1:
                raise InputError("an auxiliary classifier judges one row at a time; leave pack out, or take projection")
            self.head = linear(width, layout.size, generator, gain=1.0)

    def forward(self, rows: Float[Tensor, "n d"]) -> Float[Tensor, "packs *outputs"]:
        x, c = self.read(rows)
        h = self._hidden(x, c)
        out = self.core.scores(h)
        if hasattr(self, "projection"):
            out = out + (self.projection(pack(c, self.shape.pack)) * h).sum(1) / math.sqrt(h.shape[1])
        return out

    def features(self, rows: Float[Tensor, "n d"]) -> Float[Tensor, "packs width"]:
        """The last hidden layer."""
        return self._hidden(*self.read(rows))

    def read(self, rows: Float[Tensor, "n d"]) -> tuple[Tensor, Tensor]:
        """x and c of the rows; c without gradient."""
        if self.beside is not None:
            x, c = self.beside.split(rows)
            return x, c.detach()
        return rows, rows.index_select(1, self.places).detach()

    def surprise(self, rows: Float[Tensor, "n d"]) -> Float[Tensor, " n"]:
        """How far from c the head's prediction by x is: -log of each one-hot's probability, half the squared error of
        each number, added up."""
        x, c = self.read(rows)
        found = self.layout.groups(self.head(self._hidden(x, torch.zeros_like(c))))
        truth = self.layout.groups(c)
        loss = (found[0] - truth[0]).square().sum(1) / 2
        for logits, levels in zip(found[1:], truth[1:], strict=True):
            loss = loss - (log_softmax(logits, 1) * levels).sum(1)
        return loss

    def _hidden(self, x: Tensor, c: Tensor) -> Tensor:
        if self.beside is None:
            return self.core.features(x.index_copy(1, self.places, c if self.seen else torch.zeros_like(c)))
        if not self.seen:
            return self.core.features(x)
        if x.dim() == 2 or not _maps(self.core):
            return self.core.features(torch.cat([x.flatten(1), c], 1))
        planes = c if self.narrow is None else self.narrow(c)
        return self.core.features(torch.cat([x, planes[..., None, None].expand(-1, -1, *x.shape[2:])], 1))


def planes(size: int) -> int:
    """In how many channels a convolutional critic sees a condition of `size` numbers."""
    return min(size, PLANES)


def sees(ways: Sequence[str]) -> bool:
    """Whether the critic has the condition at its input."""
    return "concat" in ways or not {"projection", "auxiliary"} & set(ways)


def parse_ways(words: str) -> tuple[str, ...]:
    """`concat+projection` -> the names, checked (`InputError`)."""
    named = tuple(word.strip() for word in words.split("+"))
    for name in named:
        if name not in WAYS:
            raise InputError(f"unknown conditioning {name!r}; known: {', '.join(WAYS)}, joined by +")
    return named


def _maps(core: nn.Module) -> bool:
    from .conv import ConvCritic

    return isinstance(core, ConvCritic)
