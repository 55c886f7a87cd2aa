"""Toy distributions with exact densities: truth to measure a generator against.

Each draws with `sample(n, generator)` float32 `(n, d)` and gives `log_prob(x)` in nats. `ring` and `grid` follow PacGAN
(arXiv 1712.04086, section 4.1), `mixture-1d` is f-GAN's (arXiv 1606.00709, section 2.4).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from ..errors import InputError

_NODES = 384  # along a curve


@dataclass(frozen=True, eq=False)
class Toy:
    """A distribution on R^d: a mixture over `centres` `(k, d)` of normals, or uniform squares, of width `scales`.

    `modes` `(m, d)` and `sigma` where the modes are points; else None.
    """

    name: str
    rows: int  # by default
    draw: Callable[[int, torch.Generator], Tensor]
    density: Callable[[Tensor], Tensor]
    d: int = 2
    modes: Float[Tensor, "m d"] | None = None
    sigma: float | None = None

    def sample(self, n: int, generator: torch.Generator) -> Float[Tensor, "n d"]:
        """`n` independent draws, float32."""
        return self.draw(n, generator).float()

    def log_prob(self, x: Float[Tensor, "n d"]) -> Float[Tensor, " n"]:
        """Exact log density in nats at `x`, float64."""
        return self.density(x.double())


@dataclass(frozen=True)
class ModeReport:
    """`captured`: modes with a high-quality sample; `high_quality`: the share of samples within 3 sigma of a mode.

    `reverse_kl`: KL(samples' histogram over modes || uniform), nats, each sample counted at its nearest mode.
    """

    captured: int
    modes: int
    high_quality: float
    reverse_kl: float


def mode_report(samples: Float[Tensor, "n d"], toy: Toy) -> ModeReport:
    """How `samples` cover the modes of `toy` (PacGAN's protocol asks for 2500 of them).

    A sample belongs to its nearest mode and is of high quality within 3 sigma of it.
    """
    if toy.modes is None or toy.sigma is None:
        raise InputError(f"toy:{toy.name} has no separate modes to count; use ring or grid")
    distance, nearest = torch.cdist(samples.double(), toy.modes).min(1)
    good = distance <= 3 * toy.sigma
    k = len(toy.modes)
    captured = int((torch.bincount(nearest[good], minlength=k) > 0).sum())
    share = torch.bincount(nearest, minlength=k) / len(samples)
    reverse_kl = float(torch.xlogy(share, share * k).sum())
    return ModeReport(captured, k, float(good.double().mean()), reverse_kl)


def toy(name: str) -> Toy:
    """The toy called `name`; an unknown one raises `InputError` with the known."""
    if name not in TOYS:
        raise InputError(f"toy:{name}: no such toy; known: {', '.join(TOYS)}")
    return TOYS[name]


def _normals(name: str, centres: Tensor, sigma: float, rows: int) -> Toy:
    """An even mixture of isotropic normals."""
    k, d = centres.shape

    def draw(n: int, generator: torch.Generator) -> Tensor:
        which = torch.randint(k, (n,), generator=generator)
        return centres[which] + sigma * torch.randn(n, d, generator=generator, dtype=torch.float64)

    return Toy(name, rows, draw, lambda x: _log_mixture(x, centres, sigma), d, centres, sigma)


def _log_mixture(x: Tensor, centres: Tensor, sigma: float, weights: Tensor | None = None) -> Tensor:
    """log sum_j w_j N(x; c_j, sigma^2 I), evenly weighted by default."""
    d = centres.shape[1]
    even = torch.full((len(centres),), 1 / len(centres), dtype=torch.float64)
    # |x - c|^2 = |x|^2 - 2 x.c + |c|^2, the part without x joined to the weights
    offsets = (even if weights is None else weights).log() - (centres**2).sum(1) / (2 * sigma**2)
    parts = [
        torch.logsumexp(torch.addmm(offsets, rows, centres.T, alpha=1 / sigma**2), 1) for rows in torch.split(x, 4096)
    ]
    constant = d * (math.log(sigma) + 0.5 * math.log(2 * math.pi))
    return torch.cat(parts) - (x**2).sum(1) / (2 * sigma**2) - constant


def _ring() -> Toy:
    # eight steps of a full turn: linspace(0, 2 pi, 8) with both ends would put two modes in one place
    angle = torch.arange(8, dtype=torch.float64) * (2 * math.pi / 8)
    return _normals("ring", torch.stack([angle.cos(), angle.sin()], 1), 0.01, 100_000)


def _grid() -> Toy:
    side = torch.arange(-4, 5, 2, dtype=torch.float64)
    return _normals("grid", torch.cartesian_prod(side, side), 0.05, 100_000)


def _square() -> Toy:
    side = torch.arange(-3, 4, 2, dtype=torch.float64)
    return _normals("square", torch.cartesian_prod(side, side), 0.1, 100_000)


def _curves(name: str, curve: Callable[[Tensor], Tensor], power: int, sigma: float) -> Toy:
    """A point `curve(s)` `(2, n, 2)` on one of two curves plus N(0, sigma^2 I); s in [0, 1] of density p s^(p-1).

    The density is the integral over s by Gauss and Legendre, exact to rounding as the nodes are far closer than sigma.
    """

    @cache
    def nodes() -> tuple[Tensor, Tensor]:
        place, weight = (torch.from_numpy(v) for v in np.polynomial.legendre.leggauss(_NODES))
        s = (place + 1) / 2
        share = weight / 4 * power * s ** (power - 1)
        return curve(s).reshape(-1, 2), torch.cat([share, share])

    def draw(n: int, generator: torch.Generator) -> Tensor:
        s = torch.rand(n, generator=generator, dtype=torch.float64) ** (1 / power)
        branch = torch.randint(2, (n,), generator=generator)
        points = curve(s)[branch, torch.arange(n)]
        return points + sigma * torch.randn(n, 2, generator=generator, dtype=torch.float64)

    def density(x: Tensor) -> Tensor:
        centres, weights = nodes()
        return _log_mixture(x, centres, sigma, weights)

    return Toy(name, 20_000, draw, density)


def _two_moons(s: Tensor) -> Tensor:
    angle = math.pi * s
    upper = torch.stack([angle.cos(), angle.sin()], -1)
    return torch.stack([upper, torch.stack([1 - angle.cos(), 0.5 - angle.sin()], -1)])


def _two_spirals(s: Tensor) -> Tensor:
    angle = 3 * math.pi * s  # s of density 2s: nearly even along the arc
    arm = torch.stack([-angle * angle.cos(), angle * angle.sin()], -1) / 3
    return torch.stack([arm, -arm])


def _checkerboard() -> Toy:
    """Uniform on eight of the sixteen 2 x 2 squares of [-4, 4]^2, those whose indices add to an even number."""
    cells = torch.tensor([(i, j) for i in range(4) for j in range(4) if (i + j) % 2 == 0], dtype=torch.float64)

    def draw(n: int, generator: torch.Generator) -> Tensor:
        which = torch.randint(8, (n,), generator=generator)
        # float32 may round a draw just under an edge up onto it
        inside = torch.rand(n, 2, generator=generator, dtype=torch.float64).clamp(max=1 - 1e-6)
        return 2 * (cells[which] + inside) - 4

    def density(x: Tensor) -> Tensor:
        index = torch.floor((x + 4) / 2)
        inside = ((index >= 0) & (index < 4)).all(1) & (index.sum(1) % 2 == 0)
        return torch.zeros(len(x), dtype=torch.float64).masked_fill_(~inside, -math.inf) - math.log(32)

    return Toy("checkerboard", 20_000, draw, density)


def _mixture_1d() -> Toy:
    """0.33 N(-1, variance .065) + 0.67 N(2, variance 2)."""
    weights = torch.tensor([0.33, 0.67], dtype=torch.float64)
    means = torch.tensor([-1.0, 2.0], dtype=torch.float64)
    deviations = torch.tensor([0.065, 2.0], dtype=torch.float64).sqrt()

    def draw(n: int, generator: torch.Generator) -> Tensor:
        which = (torch.rand(n, generator=generator, dtype=torch.float64) >= weights[0]).long()
        return (means[which] + deviations[which] * torch.randn(n, generator=generator, dtype=torch.float64))[:, None]

    def density(x: Tensor) -> Tensor:
        z = (x - means) / deviations
        return torch.logsumexp(weights.log() - deviations.log() - 0.5 * math.log(2 * math.pi) - z**2 / 2, 1)

    return Toy("mixture-1d", 20_000, draw, density, d=1)


TOYS: Mapping[str, Toy] = {
    made.name: made
    for made in (
        _ring(),
        _grid(),
        _square(),
        _curves("moons", _two_moons, 1, 0.1),
        _curves("spirals", _two_spirals, 2, 0.1),
        _checkerboard(),
        _mixture_1d(),
    )
}
