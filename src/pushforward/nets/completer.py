"""Rows completed from what is seen of them: a fitted conditional law, and on it, where wanted, a game.

    base        every unseen cell drawn from the law of `nets.masked`, in random order, the seen ones given
    refined     y = base + (1 - m) R(base, m, eps),     R a residual trunk that starts at zero, numbers only

The base pays -log p(x_unseen | x_seen) on data under fresh masks: the charge `surprise`, which alone trains it. In a
game R plays for the completed row beside its mask, (y, m), against data with masks of the same law, (x, m): where the
critic cannot tell these apart, y given (x_seen, m) follows the data's conditional law (Belghazi et al. 2019,
arXiv 1902.10026; Yoon et al. 2018, where the critic guesses m instead).
"""

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from .critic import Critic
from .joint import Joint
from .masked import MaskedNet
from .mlp import Trunk

Law = Callable[..., Tensor]
"""(n, size, *, generator) -> masks `(n, units)` of 0 and 1."""

FEW_PASSES = 8  # in which a row is filled while a game trains


class Completer(nn.Module):
    """Fills rows of shape `event`; `size` is that of a mask, `(units,)` or `(height, width)`.

    law: draws training masks. noise_size: of R; 0 for no R, and so nothing to play for. A row's `noise` is what fills
    it and, in a game, which training row it completes and the mask.
    """

    charges = ("surprise",)
    pool: Tensor

    def __init__(
        self,
        base: MaskedNet,
        event: Sequence[int],
        size: Sequence[int],
        law: Law,
        *,
        noise_size: int = 0,
        width: int = 128,
        depth: int = 2,
        generator: torch.Generator,
    ) -> None:
        super().__init__()
        self.base, self.event, self.size, self.law = base, tuple(event), tuple(size), law
        self.noise_size = noise_size
        self.joint = Joint((self.event, (math.prod(self.size),)))
        d, k = math.prod(self.event), base.layout.k
        self.register_buffer("pool", torch.zeros(0, d, device=generator.device), persistent=False)
        if noise_size and k:
            self.refine = Trunk(d + base.layout.units + noise_size, k, width=width, depth=depth, generator=generator)
            nn.init.zeros_(self.refine.leave.weight)
            self.refine.to(generator.device)

    @property
    def plays(self) -> bool:
        """Whether there is something that a game could train."""
        return hasattr(self, "refine")

    def warm_start(self, rows: Float[Tensor, "n *event"], *, generator: torch.Generator) -> "Completer":
        """Take the levels' frequencies from expanded training `rows`; and, for a game, the rows to be completed."""
        flat = rows.flatten(1)
        self.base.start_at(flat)
        if self.plays:
            self.pool = flat.to(self.pool)
        return self

    # ---- noise and rows

    @property
    def laws(self) -> tuple[tuple[str, int], ...]:
        """(law, how many) of the noise's coordinates, in order; the bits of a mask are no law's."""
        k, units = self.base.layout.k, self.base.layout.units
        found = (("normal", k), ("uniform", self.base.noise_size - k))
        return (*found, ("normal", self.noise_size), ("uniform", 1), ("onehot", units)) if self.plays else found

    def noise(self, n: int, *, generator: torch.Generator) -> Float[Tensor, "n m"]:
        parts = [self.base.noise(n, generator=generator)]
        if self.plays:
            parts.append(torch.randn(n, self.noise_size, generator=generator, device=generator.device))
            parts.append(torch.rand(n, 1, generator=generator, device=generator.device))
            parts.append(self.law(n, self.size, generator=generator))
        return torch.cat(parts, 1)

    def forward(self, noise: Float[Tensor, "n m"]) -> Float[Tensor, "n joint"]:
        """Training rows, masked by the noise and completed, beside their masks."""
        units = self.base.layout.units
        mask, which = noise[:, -units:], noise[:, -units - 1]
        if not len(self.pool):
            raise RuntimeError("a completer plays with training rows; give it some by warm_start")
        seen = self.pool[(which * len(self.pool)).long().clamp(max=len(self.pool) - 1)]
        filled = self._complete(seen, mask, noise, passes=FEW_PASSES, holes=True)
        return self.joint.join(filled, mask)

    def data(self, x: Float[Tensor, "n *event"], draw: Any) -> Float[Tensor, "n joint"]:
        """Data beside masks of the same law, drawn by `draw` (a `training.draw.Draw`)."""
        return self.joint.join(x, self._masks(len(x), draw))

    def _masks(self, n: int, draw: Any) -> Tensor:
        masks: Tensor = draw.mine(self.law(draw.world_size * n, self.size, generator=draw.generator))
        return masks

    def learn(self, x: Float[Tensor, "n *event"], moment: Any) -> dict[str, Tensor]:
        """Without a game: the surprise of data under masks drawn by the `training.draw.Moment`'s draw."""
        return {"surprise": self.surprise(x, self._masks(len(x), moment.draw))}

    def owes(self, play: Any, z: Tensor | None) -> dict[str, Tensor]:
        """What the base pays: the mean surprise of the unseen units of each of `play.x`, rows with masks."""
        x, mask = self.joint.split(play.x)
        return {"surprise": self.surprise(x, mask)}

    def surprise(self, x: Float[Tensor, "n *event"], mask: Float[Tensor, "n units"]) -> Float[Tensor, " n"]:
        """Mean over the unseen units of -log p(x_u | seen); 0 for a row that is seen entirely."""
        told = self.base.surprise(x.flatten(1), mask)
        return told.sum(1) / (1 - mask).sum(1).clamp(min=1)

    def emit(self, noise: Float[Tensor, "n m"]) -> Float[Tensor, "n *event"]:
        """Whole rows of which nothing was seen: the model's own samples."""
        blank = noise.new_zeros(len(noise), math.prod(self.event))
        mask = noise.new_zeros(len(noise), self.base.layout.units)
        return self.complete(blank.unflatten(1, self.event), mask, noise, holes=True)

    def complete(
        self,
        x: Float[Tensor, "n *event"],
        mask: Float[Tensor, "n units"],
        noise: Float[Tensor, "n m"],
        *,
        holes: bool = False,
    ) -> Float[Tensor, "n *event"]:
        """`x` with every unseen unit made; seen ones are as they were. holes: whether one may be made `missing`."""
        made: Tensor = self._complete(x.flatten(1), mask, noise, holes=holes).unflatten(1, self.event)
        return made

    def _complete(self, x: Tensor, mask: Tensor, noise: Tensor, *, holes: bool, **passes: int) -> Tensor:
        of_base = self.base.noise_size
        filled = self.base.fill(x, mask, noise[:, :of_base], holes=holes, **passes)
        if not self.plays:
            return filled
        k, eps = self.base.layout.k, noise[:, of_base : of_base + self.noise_size]
        free = (1 - mask[:, self.base.place[:k]]) * self.base.present(filled[:, k:])
        moved = filled[:, :k] + free * self.refine(torch.cat([filled, mask, eps], 1))
        return torch.cat([moved, filled[:, k:]], 1)


class CompletedCritic(nn.Module):
    """Flat joint rows (x, m) -> scores, by a critic of another make; images get their mask as one more channel.

    picture: (height, width) of the mask where rows are images for `inner`; empty where they are numbers side by side.
    """

    def __init__(self, inner: Critic, joint: Joint, picture: Sequence[int] = ()) -> None:
        super().__init__()
        self.inner, self.joint, self.picture, self.shape = inner, joint, tuple(picture), inner.shape

    def forward(self, rows: Float[Tensor, "n joint"]) -> Float[Tensor, "packs *outputs"]:
        out: Tensor = self.inner(self._as_seen(rows))
        return out

    def features(self, rows: Float[Tensor, "n joint"]) -> Float[Tensor, "packs width"]:
        """The last hidden layer."""
        return self.inner.features(self._as_seen(rows))

    def _as_seen(self, rows: Tensor) -> Tensor:
        if not self.picture:
            return rows
        x, mask = self.joint.split(rows)
        return torch.cat([x, mask.unflatten(1, (1, *self.picture))], 1)
