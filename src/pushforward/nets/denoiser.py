"""Networks that undo noise: `Denoiser` for diffusion, `Flow` for flow matching. One field of noisy rows is behind both.

Both learn F(y, a) ~ E[sin a x - cos a e | y] of y = cos a x + sin a e (see `noise_levels`, `paths`), the one at
log-normal levels for the loss of a denoiser, the other along straight paths, uniformly in time, for the loss of a
velocity. They differ in what they train on, in the coupling of data and noise, and in the clock of their ODE:

    Denoiser    dx/dsigma = (x - D(x, sigma)) / sigma     from sigma = `HIGHEST` to `LOWEST`
    Flow        dx/dt = v(x, t)                           from t = 0 to 1

With conditions c, a share of the training rows is given nothing; then, w the guidance,

    F_w = F(y, a, nothing) + w (F(y, a, c) - F(y, a, nothing))            (Ho & Salimans 2022, eq. 6, with w for 1 + w)
"""

from __future__ import annotations

import copy
import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, ClassVar, TypeVar

import torch
from jaxtyping import Float
from torch import Tensor, nn

from . import noise_levels, paths
from .event import Event
from .level_networks import level_network
from .noise_levels import over
from .units import Units

Network = TypeVar("Network", bound="Noised")
Field = Callable[[Tensor, Tensor], Tensor]
"""(y `(n, *event)`, angles `(n,)` or `(1,)`) -> F."""

TINY = 256  # numbers in an image up to which a perceptron learns more in the same time than convolutions
LOWEST, HIGHEST = 2e-3, 80.0  # noise levels that a diffusion spans, in units of the data's deviation
PURE = math.pi / 2 - 1e-5  # the angle at t = 0: short of where its tangent is rounded to a negative number
LOOKS = 4  # levels at which a held-out row is judged: the loss of one says little of a network
LEVEL_MEAN, LEVEL_SPREAD = -0.5, 1.4  # of ln sigma in training


class Noised(nn.Module, ABC):
    """What both share: a field of noisy rows, units, guidance, and the ODE between noise and data.

    event: what a row is. dropout: share of training rows that are given nothing, where something is given. steps: of
    the sampler. method: of the ODE of codes and densities, see `paths.METHODS`; it takes `ode_steps`.
    """

    charges: ClassVar[tuple[str, ...]]
    guidance = 1.0

    def __init__(
        self,
        event: Event,
        *,
        width: int,
        depth: int,
        steps: int,
        dropout: float = 0.1,
        generator: torch.Generator,
    ) -> None:
        super().__init__()
        self.event, self.steps, self.dropout = event, steps, dropout
        self.latent_size = event.size
        self.units = Units(event, device=generator.device)
        convolve = event.kind == "images" and event.size > TINY
        self.field = level_network(
            event.shape, convolve=convolve, width=width, depth=depth, given=event.given, generator=generator
        )

    def warm_start(self, rows: Tensor, *, generator: torch.Generator) -> None:
        """The scale of training rows."""
        self.units.warm_start(rows)

    # ---- the field

    def at(self, c: Tensor | None = None) -> Field:
        """F under conditions `c` `(n, k)` as this network guides by them; without, of rows given nothing."""
        if c is None:
            return lambda y, a: self.field(y, a)
        if self.guidance == 1.0:
            return lambda y, a: self.field(y, a, c)

        def guided(y: Tensor, a: Tensor) -> Tensor:
            free: Tensor = self.field(y, a, torch.full_like(c, math.nan))
            return torch.lerp(free, self.field(y, a, c), self.guidance)

        return guided

    def guided(self: Network, guidance: float) -> Network:
        """This network with another guidance; the weights are shared."""
        other = copy.copy(self)
        other.guidance = guidance
        return other

    def _dropped(self, c: Tensor | None, draw: Any) -> Tensor | None:
        """Conditions, those of a share of the rows taken away."""
        if c is None or not self.dropout:
            return c
        return torch.where(draw.uniform(len(c), 1) < self.dropout, math.nan, c)

    # ---- what the two define

    @abstractmethod
    def learn(self, x: Tensor, moment: Any, c: Tensor | None = None) -> dict[str, Float[Tensor, " n"]]:
        """The loss of every row."""

    @abstractmethod
    def drawn(self, noise: Float[Tensor, "n m"], field: Field) -> Tensor:
        """Rows of unit scale from noise, with `field` in the place of this network's own."""

    @abstractmethod
    def to_noise(self, rows: Tensor, field: Field, generator: torch.Generator | None) -> tuple[Tensor, Tensor | None]:
        """Rows of unit scale along the ODE to standard normal rows; with a generator, also their ln p `(n,)`."""

    # ---- what a trained network does

    def told(self, x: Tensor, moment: Any, c: Tensor | None = None) -> Float[Tensor, " n"]:
        """The mean loss of every row over `LOOKS` levels and noises, all of them given what they are given."""
        kept, self.dropout = self.dropout, 0.0
        try:
            losses = [self.learn(x, moment, c)[self.charges[0]] for _ in range(LOOKS)]
        finally:
            self.dropout = kept
        return torch.stack(losses).mean(0)

    def noise(self, n: int, *, generator: torch.Generator) -> Float[Tensor, "n m"]:
        return torch.randn(n, self.event.size, generator=generator, device=generator.device)

    def forward(self, noise: Float[Tensor, "n m"], c: Tensor | None = None) -> Tensor:
        return self.units.leave(self.drawn(noise, self.at(c)))

    def decode(self, z: Float[Tensor, "n k"], c: Tensor | None = None) -> Tensor:
        """Rows of the noise that the ODE takes to them."""
        rows: Tensor = self(z, c)
        return rows

    @torch.no_grad()
    def encode(self, x: Tensor, c: Tensor | None = None) -> Float[Tensor, "n k"]:
        """The noise that the ODE takes to x; of pictures, to the middle of their cell."""
        return self.to_noise(self.units.enter(x, torch.full_like(x, 0.5)), self.at(c), None)[0].flatten(1)

    @torch.no_grad()
    def log_prob(self, x: Tensor, *, generator: torch.Generator, c: Tensor | None = None) -> Float[Tensor, " n"]:
        """ln p along the ODE; of pictures the bound of `units`, with one draw of where in its cell each pixel lies."""
        u = torch.rand(x.shape, generator=generator, device=generator.device).to(x)
        _, told = self.to_noise(self.units.enter(x, u), self.at(c), generator)
        assert told is not None
        return torch.where(self.units.known(x), told + self.units.ln_slope(), -math.inf)


class Denoiser(Noised):
    """D(x, sigma) ~ E[data | data + sigma noise = x]: Karras et al. (2022).

    level_mean, level_spread: of ln sigma in training. churn: of the stochastic sampler (their S_churn); 0 for the
    deterministic one, of which noise is one Gaussian number for each of the data.
    """

    charges = ("denoising",)

    def __init__(
        self,
        event: Event,
        *,
        width: int,
        depth: int,
        steps: int,
        churn: float = 0.0,
        dropout: float = 0.1,
        level_mean: float = LEVEL_MEAN,
        level_spread: float = LEVEL_SPREAD,
        generator: torch.Generator,
    ) -> None:
        super().__init__(event, width=width, depth=depth, steps=steps, dropout=dropout, generator=generator)
        self.churn, self.level_mean, self.level_spread = churn, level_mean, level_spread

    def learn(self, x: Tensor, moment: Any, c: Tensor | None = None) -> dict[str, Float[Tensor, " n"]]:
        """|F - (sin a x - cos a e)|^2 / d: the denoiser's squared error, weighted 1 / c_out^2."""
        draw = moment.draw
        rows = self.units.enter(x, draw.uniform(*x.shape))
        p = noise_levels.evenly(len(x), draw)
        levels = noise_levels.log_normal_levels(p, mean=self.level_mean, spread=self.level_spread)
        a, e = levels.atan(), draw.normal(*rows.shape)
        cos, sin = over(a.cos(), rows), over(a.sin(), rows)
        found = self.at(self._dropped(c, draw))(cos * rows + sin * e, a)
        return {"denoising": (found - (sin * rows - cos * e)).flatten(1).square().mean(1)}

    def denoise(self, x: Float[Tensor, n * event], sigma: Float[Tensor, " m"], c: Tensor | None = None) -> Tensor:
        """D of rows of unit scale with noise of level sigma."""
        return self.denoiser(self.at(c))(x, sigma)

    def denoiser(self, field: Field) -> noise_levels.Denoise:
        """D by a field: cos a y + sin a F, y = cos a x."""

        def denoise(x: Tensor, sigma: Tensor) -> Tensor:
            a = sigma.atan()
            cos, sin = over(a.cos(), x), over(a.sin(), x)
            return cos * cos * x + sin * field(cos * x, a)

        return denoise

    def noise(self, n: int, *, generator: torch.Generator) -> Float[Tensor, "n m"]:
        copies = 1 + (self.steps if self.churn else 0)
        return torch.randn(n, copies * self.event.size, generator=generator, device=generator.device)

    def drawn(self, noise: Float[Tensor, "n m"], field: Field) -> Tensor:
        parts = noise.unflatten(1, (-1, *self.event.shape))
        levels = noise_levels.schedule(self.steps, LOWEST, HIGHEST)
        x = HIGHEST * parts[:, 0]
        if parts.shape[1] > 1:
            return noise_levels.churned(self.denoiser(field), x, levels, parts[:, 1:], churn=self.churn)
        return noise_levels.heun(self.denoiser(field), x, levels)

    def to_noise(self, rows: Tensor, field: Field, generator: torch.Generator | None) -> tuple[Tensor, Tensor | None]:
        """dy/da = -F from the lowest level to the highest, where y is taken to be standard normal."""
        levels = noise_levels.schedule(self.steps + 1, LOWEST, HIGHEST)[:-1]
        angles = [math.atan(level) for level in reversed(levels)]

        def back(y: Tensor, a: float) -> Tensor:
            return -field(y, y.new_full((1,), a))

        y = math.cos(angles[0]) * rows
        if generator is None:
            return paths.integrate(back, y, angles, method="rk4"), None
        z, moved = paths.integrate_with_density(back, y, angles, method="rk4", generator=generator)
        return z, _standard(z) - moved + self.event.size * math.log(math.cos(angles[0]))


class Flow(Noised):
    """v(x, t) ~ E[x_1 - x_0 | x_t = x]: flow matching along straight paths (Lipman et al. 2023).

    coupling: of noise and data in training, see `paths.coupled`.
    """

    charges = ("matching",)

    def __init__(
        self,
        event: Event,
        *,
        width: int,
        depth: int,
        steps: int,
        coupling: str = "independent",
        method: str = "rk4",
        dropout: float = 0.1,
        generator: torch.Generator,
    ) -> None:
        super().__init__(event, width=width, depth=depth, steps=steps, dropout=dropout, generator=generator)
        self.coupling, self.method = coupling, method

    def learn(self, x: Tensor, moment: Any, c: Tensor | None = None) -> dict[str, Float[Tensor, " n"]]:
        """|v(x_t, t) - (x_1 - x_0)|^2 / d, at times from every n-th of [0, 1]."""
        draw = moment.draw
        rows = self.units.enter(x, draw.uniform(*x.shape))
        start = paths.coupled(draw.normal(*rows.shape), rows, self.coupling)
        t = noise_levels.evenly(len(x), draw)
        velocity = self.velocity(self.at(self._dropped(c, draw)))
        return {"matching": paths.flow_matching_loss(velocity, start, rows, t) / self.event.size}

    def velocity(self, field: Field) -> Callable[[Tensor, Tensor], Tensor]:
        """v by a field: (cos a - sin a) y + (cos a + sin a) F, tan a = (1 - t) / t."""

        def velocity(x: Tensor, t: Tensor) -> Tensor:
            a = torch.atan2(1 - t, t).clamp(max=PURE)
            cos, sin = over(a.cos(), x), over(a.sin(), x)
            y = (cos + sin) * x
            return (cos - sin) * y + (cos + sin) * field(y, a)

        return velocity

    def drawn(self, noise: Float[Tensor, "n m"], field: Field) -> Tensor:
        x = noise.unflatten(1, self.event.shape)
        return paths.integrate(self._at_times(field), x, self.times(), method=self.method)

    def to_noise(self, rows: Tensor, field: Field, generator: torch.Generator | None) -> tuple[Tensor, Tensor | None]:
        times = self.times()[::-1]
        if generator is None:
            return paths.integrate(self._at_times(field), rows, times, method=self.method), None
        z, moved = paths.integrate_with_density(self._at_times(field), rows, times, method="rk4", generator=generator)
        return z, _standard(z) - moved

    def times(self) -> tuple[float, ...]:
        """From 0 to 1, denser towards the end, where the fine structure is made: t = 1 - (1 - s)^2."""
        return tuple(1 - (1 - i / self.steps) ** 2 for i in range(self.steps + 1))

    def _at_times(self, field: Field) -> paths.Velocity:
        velocity = self.velocity(field)
        return lambda x, t: velocity(x, x.new_full((1,), t))


def _standard(z: Tensor) -> Float[Tensor, " n"]:
    """ln N(z; 0, I)."""
    flat = z.flatten(1)
    return -0.5 * (flat.square().sum(1) + flat.shape[1] * math.log(2 * math.pi))
