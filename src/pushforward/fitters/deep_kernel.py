"""The deep kernel: a kernel on learned features, trained to make the MMD test powerful.

k(a, b) = [(1 - e) kappa(f(a), f(b)) + e] q(a, b), kappa and q Gaussian, f a small network, e in (0, 1); network, e and
both bandwidths are trained by gradient ascent on the power proxy MMD^2_u / (sigma + 1e-4), sigma^2 the variance of the
U-statistic under the alternative (Liu et al. 2020). Trained on rows, it must be tested on others.
"""

import math
from dataclasses import dataclass
from typing import final

import torch
from jaxtyping import Float
from torch import Generator, Tensor

from pushforward.fitters.critic import forward, initial_weights
from pushforward.fitters.kernel import kernel_witness, median_distance, minus_squared_distances
from pushforward.witness import Witness

_BATCH = 256  # rows of each side in a step: the proxy takes a kernel matrix of twice as many
_RIDGE = 1e-4  # added to sigma, so that the proxy does not run away where both vanish


@final
@dataclass(frozen=True, eq=False)
class DeepKernel:
    """k above. `weights` of the network, and `raw` `(3,)`: logit e, ln of kappa's and of q's bandwidth; rows are taken
    to unit scale first by `centre` and `scale`."""

    weights: list[Tensor]
    raw: Tensor
    centre: Tensor
    scale: Tensor

    def __call__(self, a: Float[Tensor, "p d"], b: Float[Tensor, "q d"]) -> Float[Tensor, "p q"]:
        """The kernel matrix of the rows of `a` and `b`."""
        left, right = ((rows - self.centre.to(rows)) / self.scale.to(rows) for rows in (a, b))
        raw = self.raw.to(a)
        share, inner, outer = raw[0].sigmoid(), raw[1].exp(), raw[2].exp()
        weights = [w.to(a) for w in self.weights]
        f, g = forward(weights, left), forward(weights, right)
        kappa = (0.5 * minus_squared_distances(f / inner, g / inner)).exp()
        q = (0.5 * minus_squared_distances(left / outer, right / outer)).exp()
        return ((1.0 - share) * kappa + share) * q


@final
@dataclass(frozen=True)
class DeepKernelFitter:
    """Samples -> the witness of MMD^2 under a trained `DeepKernel`.

    `width` units in each of two hidden layers and `width` features; Adam with `learning_rate` for `steps` steps on
    batches of at most 256 rows a side.
    """

    width: int = 32
    steps: int = 200
    learning_rate: float = 5e-3

    def __call__(self, x: Float[Tensor, "n *d"], y: Float[Tensor, "m *d"], *, generator: Generator) -> Witness:
        """The witness of data `x` and model samples `y` under the kernel trained on them."""
        return kernel_witness(self.kernel(x, y, generator=generator), x.flatten(1), y.flatten(1))

    def kernel(self, x: Float[Tensor, "n *d"], y: Float[Tensor, "m *d"], *, generator: Generator) -> DeepKernel:
        """The trained kernel alone."""
        a, b = x.flatten(1), y.flatten(1)
        spread, centre = torch.std_mean(torch.cat([a, b]), 0)
        scale = torch.where(spread > 0.0, spread, 1.0)
        weights = initial_weights([a.shape[1], self.width, self.width, self.width], a, generator)
        pooled = (torch.cat([a, b]) - centre) / scale
        with torch.no_grad():
            seen = forward(weights, pooled)
        widths = [median_distance(rows, generator=generator) for rows in (seen, pooled)]
        raw = a.new_tensor([-2.0, math.log(widths[0]), math.log(widths[1])]).requires_grad_(True)
        deep = DeepKernel(weights, raw, centre, scale)
        optimiser = torch.optim.Adam([*weights, raw], lr=self.learning_rate)
        size = min(_BATCH, len(a), len(b))
        with torch.enable_grad():
            for _ in range(self.steps):
                loss = -power_proxy(deep, _draw(a, size, generator), _draw(b, size, generator))
                optimiser.zero_grad()
                torch.autograd.backward(loss)
                optimiser.step()
        for parameter in (*weights, raw):
            parameter.requires_grad_(False)
        return deep


def power_proxy(kernel: DeepKernel, x: Float[Tensor, "n d"], y: Float[Tensor, "n d"]) -> Float[Tensor, ""]:
    """MMD^2_u / (sigma + 1e-4) on equally many rows, with H_ij = k(x_i, x_j) + k(y_i, y_j) - k(x_i, y_j) - k(y_i, x_j)
    and sigma^2 = 4 (mean_i (mean_j H_ij)^2 - (mean H)^2) (Liu et al. 2020, equations 3 and 5)."""
    n = len(x)
    k = kernel(torch.cat([x, y]), torch.cat([x, y]))
    h = k[:n, :n] + k[n:, n:] - k[:n, n:] - k[n:, :n]
    value = (h.sum() - h.trace()) / (n * (n - 1))
    variance = 4.0 * ((h.mean(1) ** 2).mean() - h.mean() ** 2)
    return value / (variance.clamp_min(1e-8).sqrt() + _RIDGE)


def _draw(rows: Tensor, size: int, generator: Generator) -> Tensor:
    """`size` different rows."""
    order = torch.randperm(len(rows), generator=generator, device=generator.device)[:size]
    return rows[order.to(rows.device)]
