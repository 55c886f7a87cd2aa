"""Velocities that learn: a critic and a pair of denoisers, trained on the rows of the moment.

Both estimate the displacement of `kernel_fields.mean_shift_difference`, s^2 (grad ln p_s - grad ln q_s), by regression
instead of sums over all rows. With xi ~ N(0, I) and s the width at the progress of the flow,

    critic      a logistic regression of x + s xi against y + s xi:   v = ln p_s/q_s,    displacement s^2 grad v(y)
    denoisers   D_p(x + s xi) ~ x,  D_q(y + s xi) ~ y,   so D_p(t) - t = s^2 grad ln p_s(t) (Tweedie; Vincent 2011):
                displacement D_p(y) - D_q(y)

The noise is the critic's only regularisation: v is smooth at the scale s whatever the network, as both densities are.
The second is the pair of Yin et al. (2024, distribution matching distillation) with both halves learned from samples.

Networks take rows in units of the data's deviation, the logarithm of s, and sines and cosines of the rows at
frequencies up to half of one over the fine width, each damped where noise of width s would drown it. They are built
alike and see the same noise, so that much of their error cancels in the difference. Rows of any shape are flattened.
"""

import math
from typing import final

import torch
from jaxtyping import Float
from torch import Generator, Tensor, nn
from torch.nn.functional import softplus

from pushforward.flow.widths import Widths, widths
from pushforward.nets.mlp import Trunk
from pushforward.witness import Link

ROUNDS, BATCH = 5, 512  # training steps per step of the flow, and rows of each side in one
WARM_UP = 10  # times as many before the first step of the flow: it is at the coarse widths that mass finds its part
LEARNING_RATE = 2e-3
_BETAS = (0.9, 0.99)
_SPREAD = 0.5  # widths trained on: s e^U(-.5, .5)
_FREQUENCIES = 8
_FEW = 16  # dimensions up to which there are sines and cosines: in more, neighbours are never near


class WidthNetwork(nn.Module):
    """(rows `(n, d)`, their widths `(n,)`) -> `(n, n_out)`, both in units of the data's deviation."""

    def __init__(self, d: int, n_out: int, fine: float, *, width: int, depth: int, generator: Generator) -> None:
        super().__init__()
        top = 0.5 / fine
        count = _FREQUENCIES if top >= 2.0 and d <= _FEW else 0
        chosen = torch.tensor([top ** (k / (_FREQUENCIES - 1)) for k in range(count)], device=generator.device)
        self.frequencies: Tensor
        self.register_buffer("frequencies", chosen, persistent=False)
        self.trunk = Trunk(d * (1 + 2 * count) + 1, n_out, width=width, depth=depth, generator=generator)

    def forward(self, rows: Float[Tensor, "n d"], s: Float[Tensor, " n"]) -> Float[Tensor, "n k"]:
        s = s[:, None]
        inputs = [rows / (1.0 + s * s).sqrt(), 0.25 * s.log()]
        if len(self.frequencies):
            phases = rows[:, :, None] * self.frequencies
            heard = torch.exp(-0.125 * (s * self.frequencies) ** 2)[:, None, :]
            inputs += [(phases.sin() * heard).flatten(1), (phases.cos() * heard).flatten(1)]
        out: Tensor = self.trunk(torch.cat(inputs, 1))
        return out


class _Learned(nn.Module):
    """What both share: units, the width at a progress, batches with their noise, and the optimiser."""

    def __init__(
        self, x: Float[Tensor, "n *event"], *, between: Widths | None, rounds: int, learning_rate: float, seed: int
    ) -> None:
        super().__init__()
        rows = x.detach().flatten(1).float()
        self.between = widths(x, seed=seed) if between is None else between
        self.rounds, self.learning_rate = rounds, learning_rate
        self.scale = self.between.coarse / math.sqrt(rows.shape[1])
        self.centre: Tensor
        self.register_buffer("centre", rows.mean(0))
        self._optimiser: torch.optim.Optimizer | None = None

    def _network(self, n_out: int, *, width: int, depth: int, seed: int) -> WidthNetwork:
        generator = torch.Generator(device=self.centre.device).manual_seed(seed)
        fine = self.between.fine / self.scale
        return WidthNetwork(len(self.centre), n_out, fine, width=width, depth=depth, generator=generator)

    def _units(self, rows: Tensor) -> Tensor:
        return (rows.detach().flatten(1).float() - self.centre) / self.scale

    def _width(self, progress: float) -> float:
        """s, in units of the data's deviation."""
        return self.between.at(progress) / self.scale

    def _drawn(self, rows: Tensor, generator: Generator) -> Tensor:
        """`BATCH` of the rows, with replacement."""
        chosen = torch.randint(len(rows), (BATCH,), generator=generator, device=generator.device)
        return rows[chosen.to(rows.device)]

    def _noise(self, like: Tensor, progress: float, generator: Generator) -> tuple[Tensor, Tensor]:
        """Widths around the one at `progress` `(BATCH,)`, and standard normal noise."""
        jitter = torch.rand(len(like), generator=generator, device=generator.device).to(like)
        noise = torch.randn(like.shape, generator=generator, device=generator.device).to(like)
        return self._width(progress) * torch.exp(_SPREAD * (2.0 * jitter - 1.0)), noise

    def _rounds(self) -> int:
        return self.rounds * (WARM_UP if self._optimiser is None else 1)

    def _descend(self, loss: Tensor) -> None:
        if self._optimiser is None:
            self._optimiser = torch.optim.Adam(self.parameters(), lr=self.learning_rate, betas=_BETAS)
        self._optimiser.zero_grad()
        torch.autograd.backward(loss)
        self._optimiser.step()


@final
class CriticField(_Learned):
    """s^2 grad psi(v(y)) of a critic v trained on noisy rows; without a `link`, psi = v: the score difference.

    With one, its psi of the critic: for JS, sigma(v) times the score difference. `state_dict` is the critic's; the
    optimiser's moments start anew.
    """

    def __init__(
        self,
        x: Float[Tensor, "n *event"],
        *,
        between: Widths | None = None,
        link: Link | None = None,
        width: int = 128,
        depth: int = 2,
        rounds: int = ROUNDS,
        learning_rate: float = LEARNING_RATE,
        seed: int = 0,
    ) -> None:
        super().__init__(x, between=between, rounds=rounds, learning_rate=learning_rate, seed=seed)
        self.link = link
        self.critic = self._network(1, width=width, depth=depth, seed=seed)

    def update(self, y: Tensor, x: Tensor, *, progress: float, generator: Generator) -> None:
        """`rounds` steps of the critic (at first, `WARM_UP` times as many) on model rows `y` and data rows `x`."""
        data, model = self._units(x), self._units(y)
        with torch.enable_grad():
            for _ in range(self._rounds()):
                rows = torch.cat([self._drawn(data, generator), self._drawn(model, generator)])
                s, noise = self._noise(rows, progress, generator)
                a, b = self.critic(rows + s[:, None] * noise, s).squeeze(1).chunk(2)
                self._descend(softplus(-a).mean() + softplus(b).mean())

    def __call__(
        self, y: Float[Tensor, "m *event"], x: Float[Tensor, "n *event"], *, progress: float, generator: Generator
    ) -> Float[Tensor, "m *event"]:
        """The displacement of each row of `y` for a unit step; `x` is not looked at."""
        s = self._width(progress)
        with torch.enable_grad():
            at = self._units(y).requires_grad_()
            v = self.critic(at, at.new_full((len(at),), s)).squeeze(1)
            read = v if self.link is None else self.link.psi(v)
            (slope,) = torch.autograd.grad(read.sum(), at)
        return (self.scale * s * s * slope).to(y.dtype).reshape(y.shape)


@final
class DenoiserField(_Learned):
    """D_p(y) - D_q(y) of two denoisers, of the data and of the model; see the module's docstring.

    D(t, s) = t/(1 + s^2) + s/(1 + s^2)^(1/2) F(t, s): the first term is right for N(0, 1) (Karras et al. 2022, eq. 7).
    """

    def __init__(
        self,
        x: Float[Tensor, "n *event"],
        *,
        between: Widths | None = None,
        width: int = 128,
        depth: int = 2,
        rounds: int = ROUNDS,
        learning_rate: float = LEARNING_RATE,
        seed: int = 0,
    ) -> None:
        super().__init__(x, between=between, rounds=rounds, learning_rate=learning_rate, seed=seed)
        d = len(self.centre)
        self.data = self._network(d, width=width, depth=depth, seed=seed)
        self.model = self._network(d, width=width, depth=depth, seed=seed)

    def update(self, y: Tensor, x: Tensor, *, progress: float, generator: Generator) -> None:
        """`rounds` steps of both denoisers (at first, `WARM_UP` times as many), on data rows `x` and model rows `y`."""
        data, model = self._units(x), self._units(y)
        with torch.enable_grad():
            for _ in range(self._rounds()):
                a, b = self._drawn(data, generator), self._drawn(model, generator)
                s, noise = self._noise(a, progress, generator)
                self._descend(self._error(self.data, a, s, noise) + self._error(self.model, b, s, noise))

    def _error(self, network: WidthNetwork, rows: Tensor, s: Tensor, noise: Tensor) -> Tensor:
        """The mean squared error of F against what makes D exact."""
        column = s[:, None]
        root = (1.0 + column**2).sqrt()
        noisy = rows + column * noise
        target = (rows - noisy / root**2) * root / column
        error: Tensor = (network(noisy, s) - target).square().mean()
        return error

    def __call__(
        self, y: Float[Tensor, "m *event"], x: Float[Tensor, "n *event"], *, progress: float, generator: Generator
    ) -> Float[Tensor, "m *event"]:
        """The displacement of each row of `y` for a unit step; `x` is not looked at."""
        s = self._width(progress)
        with torch.no_grad():
            at = self._units(y)
            every = at.new_full((len(at),), s)
            difference: Tensor = self.data(at, every) - self.model(at, every)
        found: Tensor = (self.scale * s / math.sqrt(1.0 + s * s) * difference).to(y.dtype)
        return found.reshape(y.shape)
