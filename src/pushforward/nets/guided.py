"""A diffusion that a critic corrects: discriminator guidance (Kim et al. 2023, arXiv 2211.17091).

A critic h(y, a), trained between noised data and noised samples of the model at every level, is at its optimum the log
ratio ln p_sigma / q_sigma of their densities, ln d / (1 - d) of d = sigmoid(h). The score of the model's samples plus
its gradient is that of the data:

    s_w = s + w grad ln d / (1 - d),         of F (see `noise_levels`):   F_w = F + w tan a grad_y h

exact at w = 1 where both the critic and the model's score of its own samples are. At loud noise the log ratio falls off
as 1 / sigma, so h = cos a . net(y, a), and what is added, w sin a grad net, stays bounded at every level.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any, ClassVar

import torch
from jaxtyping import Float
from torch import Tensor, nn

from ..links import LINKS
from .denoiser import LEVEL_MEAN, LEVEL_SPREAD, TINY, Field, Noised
from .level_networks import level_network
from .noise_levels import evenly, log_normal_levels, over

HELD = 5  # one in so many of the model's samples is kept for judging the critic


class LevelCritic(nn.Module):
    """h(y, a): the log ratio of data to samples, of rows with noise."""

    def __init__(self, base: Noised, *, width: int, depth: int, generator: torch.Generator) -> None:
        super().__init__()
        event = base.event
        self.network = level_network(
            event.shape,
            convolve=event.kind == "images" and event.size > TINY,
            width=width,
            depth=depth,
            scores=True,
            generator=generator,
        )

    def forward(self, y: Float[Tensor, n * event], a: Float[Tensor, " m"]) -> Float[Tensor, " n"]:
        scores: Tensor = a.cos() * self.network(y, a)
        return scores


def corrected(field: Field, critic: Callable[[Tensor, Tensor], Tensor], weight: float) -> Field:
    """F + w tan a grad_y h."""

    def found(y: Tensor, a: Tensor) -> Tensor:
        with torch.enable_grad():
            at = y.detach().requires_grad_()
            (slope,) = torch.autograd.grad(critic(at, a).sum(), at)
        return field(y, a) + weight * over(a.tan(), y) * slope

    return found


class Guided(nn.Module):
    """`base` as its critic guides it; only the critic learns.

    weight: w. `hold` gives it the model's samples to learn from, `(m, *event)` of unit scale; they are not saved.
    """

    charges: ClassVar[tuple[str, ...]] = ("surprise",)

    def __init__(self, base: Noised, *, width: int, depth: int, weight: float, generator: torch.Generator) -> None:
        super().__init__()
        self.base, self.weight = base, weight
        self.critic = LevelCritic(base, width=width, depth=depth, generator=generator)
        self.samples: Tensor
        self.register_buffer("samples", torch.zeros(0, *base.event.shape), persistent=False)

    def hold(self, samples: Float[Tensor, m * event]) -> None:
        """Take the model's samples; the first `1/HELD` of them are only for judging (`told`)."""
        self.samples = samples

    def weighted(self, weight: float) -> Guided:
        """This network with another weight; its tensors are shared."""
        other = copy.copy(self)
        other.weight = weight
        return other

    def parameters(self, recurse: bool = True) -> Any:
        """What learns: the critic's."""
        return self.critic.parameters(recurse)

    def learn(self, x: Tensor, moment: Any) -> dict[str, Float[Tensor, " n"]]:
        """The critic's loss: minus its bound of the divergence `gan` between data and samples, both noised alike."""
        return {"surprise": self._surprise(x, moment.draw, len(self.samples) // HELD, len(self.samples))}

    def told(self, x: Tensor, moment: Any) -> Float[Tensor, " n"]:
        """The same on samples that it does not learn from."""
        return self._surprise(x, moment.draw, 0, max(1, len(self.samples) // HELD))

    def _surprise(self, x: Tensor, draw: Any, first: int, last: int) -> Tensor:
        units = self.base.units
        real = units.enter(x, draw.uniform(*x.shape))
        fake = self.samples[draw.integers(first, last, len(x))]
        a = log_normal_levels(evenly(len(x), draw), mean=LEVEL_MEAN, spread=LEVEL_SPREAD).atan()
        e = draw.normal(*real.shape)
        cos, noise = over(a.cos(), real), over(a.sin(), real) * e
        v = self.critic(torch.cat([cos * real + noise, cos * fake + noise]), torch.cat([a, a]))
        link = LINKS["gan"]
        return link.psi(v[len(x) :]) - link.phi(v[: len(x)])

    def log_ratio(self, x: Tensor, sigma: Float[Tensor, " n"]) -> Float[Tensor, " n"]:
        """ln p_sigma / q_sigma of expanded rows without noise, at the levels sigma."""
        rows = self.base.units.enter(x, torch.full_like(x, 0.5))
        a = sigma.atan()
        told: Tensor = self.critic(over(a.cos(), rows) * rows, a)
        return told

    def noise(self, n: int, *, generator: torch.Generator) -> Float[Tensor, "n m"]:
        return self.base.noise(n, generator=generator)

    def forward(self, noise: Float[Tensor, "n m"]) -> Tensor:
        field = corrected(self.base.at(), self.critic, self.weight)
        return self.base.units.leave(self.base.drawn(noise, field))
