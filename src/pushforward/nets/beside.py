"""A network of rows given conditions, as a network of rows that hold them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from .conditional import Conditions
from .joint import Joint


class Beside(nn.Module):
    """`core` models x given c; this one takes and gives rows that hold both.

    joint: rows are (x, c) side by side; without it c takes the `places` of flat rows of `total` numbers. The core sees
    the entries of c scaled to a second moment of one (`Layout.loudness`). Its noise is followed by a condition.
    """

    loudness: Tensor
    places: Tensor
    others: Tensor

    def __init__(
        self, core: nn.Module, conditions: Conditions, *, joint: Joint | None, places: Sequence[int], total: int
    ) -> None:
        super().__init__()
        self.core, self.conditions, self.joint, self.total = core, conditions, joint, total
        self.charges: tuple[str, ...] = tuple(getattr(core, "charges", ()))
        on = conditions.codes.device
        self.register_buffer("loudness", conditions.layout.loudness().to(on), persistent=False)
        self.register_buffer("places", torch.tensor(list(places), dtype=torch.long, device=on), persistent=False)
        rest = [place for place in range(total) if place not in set(places)]
        self.register_buffer("others", torch.tensor(rest, dtype=torch.long, device=on), persistent=False)

    # ---- rows

    def parts(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        """x, and c as the core sees it."""
        if self.joint is not None:
            x, c = self.joint.split(rows)
        else:
            x, c = rows[:, self.others], rows[:, self.places]
        return x, c * self.loudness

    def whole(self, x: Tensor, c: Float[Tensor, "n c"]) -> Tensor:
        """Rows of x and of conditions as they are in data."""
        if self.joint is not None:
            return self.joint.join(x, c)
        rows = x.new_zeros(len(x), self.total)
        return rows.index_copy(1, self.others, x).index_copy(1, self.places, c.to(x))

    def warm_start(self, rows: Tensor, *, generator: torch.Generator) -> None:
        """Start a core that can from training `rows`."""
        start = getattr(self.core, "warm_start", None)
        if start is not None:
            start(self.parts(rows)[0], generator=generator)

    # ---- drawing

    def noise(self, n: int, *, generator: torch.Generator) -> Float[Tensor, "n m"]:
        z: Tensor = self.core.noise(n, generator=generator)  # type: ignore[operator]
        return torch.cat([z, self.conditions.draw(n, generator=generator)], 1)

    def given(self, noise: Float[Tensor, "n m"], c: Float[Tensor, "n c"]) -> Float[Tensor, "n m"]:
        """`noise` with the conditions `c` in place of its own."""
        return torch.cat([noise[:, : -len(self.loudness)], c.to(noise)], 1)

    def forward(self, noise: Float[Tensor, "n m"]) -> Tensor:
        size = len(self.loudness)
        z, c = noise[:, :-size], noise[:, -size:]
        return self.whole(self.core(z, c * self.loudness), c)

    # ---- learning and reading

    def learn(self, rows: Tensor, moment: Any) -> dict[str, Tensor]:
        x, c = self.parts(rows)
        told: dict[str, Tensor] = self.core.learn(x, moment, c)  # type: ignore[operator]
        return told

    def told(self, rows: Tensor, moment: Any) -> Float[Tensor, " n"]:
        """What a held-out row costs."""
        x, c = self.parts(rows)
        return cost(self.core, x, moment, c)

    def log_prob(self, rows: Tensor, *, generator: torch.Generator) -> Float[Tensor, " n"]:
        """ln p(x | c)."""
        x, c = self.parts(rows)
        told: Tensor = self.core.log_prob(x, generator=generator, c=c)  # type: ignore[operator]
        return told

    def encode(self, rows: Tensor) -> Float[Tensor, "n k"]:
        x, c = self.parts(rows)
        z: Tensor = self.core.encode(x, c)  # type: ignore[operator]
        return z

    def decode(self, z: Float[Tensor, "n k"], c: Float[Tensor, "n c"]) -> Tensor:
        """Rows of latents under conditions as they are in data."""
        return self.whole(self.core.decode(z, c * self.loudness), c)  # type: ignore[operator]

    def reconstruct(self, rows: Tensor) -> Tensor:
        """Each row through its latent, under its own condition."""
        x, loud = self.parts(rows)
        z = self.core.encode(x, loud)  # type: ignore[operator]
        return self.whole(self.core.decode(z, loud), loud / self.loudness)  # type: ignore[operator]


def cost(network: Any, x: Tensor, moment: Any, *given: Tensor) -> Float[Tensor, " n"]:
    """What a row costs by a network that learns from data: its own `told`, or else the sum of what it learns from."""
    told = getattr(network, "told", None)
    if told is not None:
        own: Tensor = told(x, moment, *given)
        return own
    losses: dict[str, Tensor] = network.learn(x, moment, *given)
    return torch.stack(list(losses.values())).sum(0)
