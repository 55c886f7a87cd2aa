"""Networks for tables: numbers and categories in one row, `(n, k + c)`, as `data.tables.TableCodec` expands them.

Generator. Its noise is (eps, z, v): k and `noise_size` Gaussians and c uniforms.

    categories, block by block:   o_b = onehot(argmax(l_b + g)),  g = -log(-log v),   l_b = base_b(o_before) + head_b(z)
    numbers, given all of these:  e   = eps * exp(s / 2) + t,     (t, s) = trunk(eps, z, o),   |s| < 1

The one-hots are exact in the forward pass and pass the gradient of softmax((l + g) / tau) back: straight-through
Gumbel (Jang et al. 2017, section 2.2). The base is a small network of every block on the ones before,

    base_b(o) = log frequencies + A_b o + C_b silu(B_b o + a_b)

of which `warm_start` fixes the log frequencies and, where the table has more than `FEW_LEVELS` levels in all, fits the
rest by maximum likelihood. The joint law of few levels is left to the game, which learns it nearly as well: on diamonds
(20 levels) boosted trees' AUC falls from .572 to .539 in 1,500 steps, where a fitted base has .526 to .533. The
heads and the trunk start at zero: the generator begins as the base and independent Gaussian numbers, that is, in
`data.coordinates`, as the preconditioner alone. A number whose companion entry ("value", see `TableCodec.companions`)
is 0 is 0.

Where columns are given, their condition c stands behind the noise: their numbers and one-hots are c's, their groups
come first in the base's order (so that the fitted base is conditional on them; it is then fitted for few levels too),
and the heads and the trunk see them. Given numbers must lie where nothing else moves them: `data.coordinates`, `fixed`.

Critic. A residual trunk on numbers and one-hots. (Waves cos(pi f Phi(e)) as further inputs, f to 8, made it learn rows
by heart sooner than structure: held-out AUC .603 against .615 without, after 1,500 steps on diamonds.)
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate, pairwise
from typing import TYPE_CHECKING

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import log_softmax, one_hot, silu, softmax

from .conditional import Conditions, Film, Paying
from .critic import PLAIN, Critic, Shape
from .mlp import Body, Trunk

if TYPE_CHECKING:
    from ..data.tables import Block

TEMPERATURE = 0.5
FEW_LEVELS = 64
HIDDEN = 32  # of the base, for each block
WARM_STEPS, WARM_BATCH, WARM_RATE = 600, 2048, 0.02
WARM_OPERATIONS = 3e11  # of the warm start's multiplications at most: a few seconds


class TabularGenerator(Paying, nn.Module):
    """Noise `(n, k + noise_size + c)` -> rows `(n, k + c)`: numbers, then exact one-hot groups, as `blocks` lie.

    conditions, places: what is given, and where it lies in a row; the noise then has a condition behind it. film: it
    modulates the trunk's blocks too.
    """

    base_direct: Tensor  # A
    base_inner: Tensor  # B
    base_offset: Tensor  # a
    base_outer: Tensor  # C
    base_bias: Tensor

    def __init__(
        self,
        blocks: Sequence[Block],
        *,
        noise_size: int = 16,
        width: int = 128,
        depth: int = 2,
        conditions: Conditions | None = None,
        places: Sequence[int] = (),
        film: bool = False,
        generator: torch.Generator,
    ) -> None:
        super().__init__()
        self.k, outer = _layout(blocks)
        self.conditions = conditions
        self._arrange(outer, places, generator.device)
        self.c = sum(stop - start for start, stop in self.groups)
        self.noise_size = noise_size
        starts = {b.column: b.start - self.k for b in blocks if b.kind == "category"}
        self.companions = [starts.get(b.column, -1) for b in blocks if b.kind == "numeric"]
        hidden, size = HIDDEN * len(self.groups), conditions.layout.size if conditions else 0
        sizes = {"direct": (self.c, self.c), "inner": (self.c, hidden), "offset": (hidden,), "outer": (HIDDEN, self.c)}
        for name, shape in {**sizes, "bias": (self.c,)}.items():
            self.register_buffer(f"base_{name}", torch.zeros(shape, device=generator.device))
        if self.c:
            self.heads = Trunk(noise_size + size, self.c, width=width // 2, depth=1, generator=generator)
            nn.init.zeros_(self.heads.leave.weight)
        if self.k:
            n_in = self.k + noise_size + self.c
            self.trunk = Trunk(n_in, 2 * self.k, width=width, depth=depth, generator=generator)
            nn.init.zeros_(self.trunk.leave.weight)
            self.film = Film(size, [width] * depth, generator=generator) if film else None

    def _arrange(self, outer: list[tuple[int, int]], places: Sequence[int], device: torch.device) -> None:
        """The groups in the base's order, given ones first, and how that order and the row's become each other."""
        first = [i for i, (start, _) in enumerate(outer) if start + self.k in places]
        order = first + [i for i in range(len(outer)) if i not in first]
        inward = [place for i in order for place in range(*outer[i])]
        ends = list(accumulate((outer[i][1] - outer[i][0] for i in order), initial=0))
        self.groups, self.n_given = list(pairwise(ends)), len(first)
        slots = torch.tensor([place for place in places if place < self.k], dtype=torch.long, device=device)
        moved = torch.tensor(inward, dtype=torch.long, device=device)
        self.slots: Tensor
        self.inward: Tensor
        self.outward: Tensor
        for name, index in (("slots", slots), ("inward", moved), ("outward", moved.argsort())):
            self.register_buffer(name, index, persistent=False)

    def noise(self, n: int, *, generator: torch.Generator) -> Float[Tensor, "n m"]:
        gaussian = torch.randn(n, self.k + self.noise_size, generator=generator, device=generator.device)
        parts = [gaussian, torch.rand(n, self.c, generator=generator, device=generator.device)]
        return torch.cat(parts + ([self.conditions.draw(n, generator=generator)] if self.conditions else []), 1)

    def given(self, noise: Float[Tensor, "n m"], c: Float[Tensor, "n c"]) -> Float[Tensor, "n m"]:
        """`noise` with the conditions `c` in place of its own."""
        return torch.cat([noise[:, : self.k + self.noise_size + self.c], c.to(noise)], 1)

    def forward(self, noise: Float[Tensor, "n m"]) -> Float[Tensor, "n d"]:
        own = [self.k, self.noise_size, self.c]
        eps, z, v, given = noise.split([*own, noise.shape[1] - sum(own)], 1)
        numbers = given[:, : len(self.slots)]
        onehot = self._categories(torch.cat([z, given], 1), v, given[:, len(self.slots) :]) if self.c else v
        if not self.k:
            return onehot
        eps = eps.index_copy(1, self.slots, numbers) if len(self.slots) else eps
        change = self.film.at(given) if self.film is not None else None
        shift, scale = self.trunk(torch.cat([eps, z, onehot], 1), change).chunk(2, 1)
        made = eps * torch.exp(torch.tanh(scale) / 2) + shift
        made = made.index_copy(1, self.slots, numbers) if len(self.slots) else made
        return torch.cat([made * self._there(onehot), onehot], 1)

    def _categories(self, z: Tensor, v: Tensor, given: Tensor) -> Tensor:
        gumbel = -torch.log(-torch.log(v.clamp(1e-9, 1 - 1e-7)))
        scores = self.heads(z) + gumbel + self.base_bias
        drawn: list[Tensor] = [given] if self.n_given else []
        for i, (start, stop) in enumerate(self.groups):
            if i < self.n_given:
                continue
            group = scores[:, start:stop]
            if drawn:
                o, mine = torch.cat(drawn, 1), slice(i * HIDDEN, (i + 1) * HIDDEN)
                h = silu(o @ self.base_inner[:start, mine] + self.base_offset[mine])
                group = group + o @ self.base_direct[:start, start:stop] + h @ self.base_outer[:, start:stop]
            soft = softmax(group / TEMPERATURE, 1)
            hard = one_hot(group.argmax(1), stop - start).to(soft.dtype)
            drawn.append(hard + (soft - soft.detach()))  # the bracket is exactly 0: groups stay exact one-hots
        found = torch.cat(drawn, 1)
        return found[:, self.outward] if self.n_given else found

    def _there(self, onehot: Tensor) -> Tensor:
        ones = onehot.new_ones(len(onehot))
        return torch.stack([onehot[:, place] if place >= 0 else ones for place in self.companions], 1)

    def warm_start(self, rows: Float[Tensor, "n d"], *, generator: torch.Generator) -> TabularGenerator:
        """Set the base of the categories from expanded training `rows`, on the CPU: see the module's docstring."""
        onehot, count = rows[:, self.k :][:, self.inward.to(rows.device)], len(self.groups)
        # a level's first score is its log frequency, with half a row added so that the rarest stays possible
        bias = torch.log((onehot.sum(0) + 0.5) / (len(onehot) + 1))
        self.base_bias.copy_(bias)
        if (self.c > FEW_LEVELS and count > 1) or 0 < self.n_given < count:
            self._fit_base(onehot, bias, count, generator)
        return self

    def _fit_base(self, onehot: Tensor, bias: Tensor, count: int, generator: torch.Generator) -> None:
        direct, inner = torch.zeros(self.c, self.c), torch.randn(self.c, HIDDEN * count, generator=generator)
        free = [direct, inner, torch.zeros(HIDDEN * count), torch.zeros(HIDDEN, self.c), bias]
        sees, owns = torch.zeros(self.c, self.c), torch.zeros(self.c, HIDDEN * count)
        for i, (start, stop) in enumerate(self.groups):
            sees[:start, start:stop] = 1
            owns[:start, i * HIDDEN : (i + 1) * HIDDEN] = 1
        adam = torch.optim.Adam([one.requires_grad_() for one in free], lr=WARM_RATE, fused=True)
        batch = min(WARM_BATCH, len(onehot))
        steps = WARM_STEPS if self.c > FEW_LEVELS else WARM_STEPS // 3  # few are learned soon
        steps = min(steps, int(WARM_OPERATIONS / (6 * batch * self.c * (self.c + HIDDEN * count))))
        for step in range(steps):
            adam.param_groups[0]["lr"] = WARM_RATE * (1 - step / steps)
            x = onehot[torch.randint(len(onehot), (batch,), generator=generator)]
            h = silu(x @ (inner * owns) + free[2]).unflatten(1, (count, HIDDEN))
            scores = x @ (direct * sees) + bias
            loss = x.new_zeros(())
            for i, (start, stop) in enumerate(self.groups):
                if i < self.n_given:
                    continue
                group = scores[:, start:stop] + h[:, i] @ free[3][:, start:stop]
                loss = loss - (x[:, start:stop] * log_softmax(group, 1)).sum(1).mean()
            # a light pull to independence, for pairs of levels that were hardly seen together
            loss = loss + 1e-5 * (direct.square().sum() + free[3].square().sum())
            adam.zero_grad()
            loss.backward()
            adam.step()
        with torch.no_grad():
            fitted = (direct * sees, inner * owns, free[2], free[3], bias)
            for name, value in zip(("direct", "inner", "offset", "outer", "bias"), fitted, strict=True):
                getattr(self, f"base_{name}").copy_(value)


class TabularCritic(Critic):
    """Rows `(n, k + c)` -> scores `(n,)`, higher where data exceed the model."""

    def __init__(
        self,
        blocks: Sequence[Block],
        *,
        width: int = 128,
        depth: int = 2,
        shape: Shape = PLAIN,
        generator: torch.Generator,
    ) -> None:
        super().__init__(width, shape, generator=generator)
        k, groups = _layout(blocks)
        n_in = shape.pack * (k + sum(stop - start for start, stop in groups))
        self.body = Body(n_in, width=width, depth=depth, generator=generator)

    def hidden(self, x: Float[Tensor, "n d"]) -> Float[Tensor, "n width"]:
        out: Tensor = self.body(x)
        return out


def _layout(blocks: Sequence[Block]) -> tuple[int, list[tuple[int, int]]]:
    """(numeric slots k, places of every one-hot group counted after them)."""
    k = sum(b.kind == "numeric" for b in blocks)
    return k, [(b.start - k, b.stop - k) for b in blocks if b.kind == "category"]
