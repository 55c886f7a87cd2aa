"""Differentiable distances between two batches of rows `(n, d)`, held whole: the losses of generators without a critic,
and of critics that only choose what is compared. Nothing is read back from the device.

    kernel       sum_{i!=j} k(x_i, x_j)/(n(n-1)) + sum_{i!=j} k(y_i, y_j)/(m(m-1)) - 2 mean k(x, y)
    sinkhorn     OT(x, y) - OT(x, x)/2 - OT(y, y)/2,   cost |x - y|^2/2, eps = blur^2   (convention: `fitters.sinkhorn`)

The first is the unbiased MMD^2 (Gretton et al. 2012, eq. 3); of k = -|x - y| it is the energy distance
2E|X-Y| - E|X-X'| - E|Y-Y'|. With `relative`, lengths are measured in the root mean square distance of two rows of the
pooled batch, s = sqrt(2 sum of variances), which is taken as a constant: widths then suit any data, and the samples
wherever they are.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar, final

import torch
from jaxtyping import Float
from torch import Tensor

from pushforward.errors import InputError
from pushforward.fitters.kernel import Kernel

_COOLING = 0.25
_SPAN = 2.0  # of the rows, in root mean square distances: where the temperature starts
_FLOOR = -60.0  # of exponents below the largest of a row: what is less is slow (denormal) and counts for nothing


def pooled(x: Float[Tensor, "n d"], y: Float[Tensor, "m d"]) -> tuple[Float[Tensor, " d"], Float[Tensor, ""]]:
    """(mean, s) of the pooled rows, as constants; s = 1 where all rows are equal."""
    z = torch.cat([x, y]).detach()
    spread = (2.0 * z.var(0, correction=0).sum()).sqrt()
    return z.mean(0), torch.where(spread > 0.0, spread, torch.ones_like(spread))


@final
@dataclass(frozen=True)
class MeanKernel:
    """The mean of stationary kernels, differentiable where they are."""

    kernels: tuple[Kernel, ...]
    stationary: ClassVar[bool] = True

    def __call__(self, a: Float[Tensor, "p d"], b: Float[Tensor, "q d"]) -> Float[Tensor, "p q"]:
        """The kernel matrix of the rows of `a` and `b`."""
        total = self.kernels[0](a, b)
        for kernel in self.kernels[1:]:
            total = total + kernel(a, b)
        return total / len(self.kernels)


@final
@dataclass(frozen=True)
class KernelDistance:
    """MMD^2 under a stationary `kernel`, U-statistic; one matrix of the pooled rows holds all pairs."""

    kernel: Kernel
    relative: bool = False

    def __call__(self, x: Float[Tensor, "n d"], y: Float[Tensor, "m d"]) -> Float[Tensor, ""]:
        """The statistic, in the rows' precision. `InputError` for fewer than two rows a side."""
        n, m = len(x), len(y)
        if min(n, m) < 2:
            raise InputError(
                f"this objective compares rows within a batch, and {min(n, m)} is too few; raise batch_size"
            )
        centre, scale = pooled(x, y)
        z = torch.cat([x, y]) - centre
        k = self.kernel(z / scale, z / scale) if self.relative else self.kernel(z, z)
        xx, yy, xy = k[:n, :n], k[n:, n:], k[:n, n:]
        return (xx.sum() - xx.trace()) / (n * (n - 1)) + (yy.sum() - yy.trace()) / (m * (m - 1)) - 2.0 * xy.mean()


@final
@dataclass(frozen=True)
class SinkhornDistance:
    """The debiased Sinkhorn divergence (Genevay et al. 2018; Feydy et al. 2019) at a `blur` relative to s.

    The temperature falls from the rows' size to eps by factors of 4, with `sweeps` updates of the potentials at each
    and `last` at eps: a fixed number, so that nothing is looked at in between, which leaves the value within about a
    thousandth of itself at the default blur. Its gradient is that with the potentials
    held (envelope theorem), sum_j pi_ij (y_i - x_j) less the same within the batch; it has no second derivative.
    """

    blur: float = 0.1
    sweeps: int = 3
    last: int = 30

    def __call__(self, x: Float[Tensor, "n d"], y: Float[Tensor, "m d"]) -> Float[Tensor, ""]:
        """The divergence in squared units of the data, as a plane that touches it: its value and its gradient."""
        with torch.no_grad():
            centre, scale = pooled(x, y)
            value, pull_x, pull_y = self._solve((x - centre) / scale, (y - centre) / scale)
            value, pull_x, pull_y = value * scale**2, pull_x * scale, pull_y * scale
        return value + (pull_x * (x - x.detach())).sum() + (pull_y * (y - y.detach())).sum()

    def _solve(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        across, back = _cost(x, y), _cost(y, x)
        own_x, own_y = _cost(x, x), _cost(y, y)
        f, g = x.new_zeros(len(x)), y.new_zeros(len(y))
        alone_x, alone_y = f, g
        for eps in self._temperatures():
            g = _update(back, f, eps)
            f = _update(across, g, eps)
            # where both potentials are one, the mean of an update and what it updates converges fast
            alone_x = 0.5 * (alone_x + _update(own_x, alone_x, eps))
            alone_y = 0.5 * (alone_y + _update(own_y, alone_y, eps))
        eps = self.blur**2
        value = (f - alone_x).mean() + (g - alone_y).mean()
        # a row's own place cancels: each is drawn to its partners and away from those within its batch
        pull_x = _partners(own_x, alone_x, x, eps) - _partners(across, g, y, eps)
        pull_y = _partners(own_y, alone_y, y, eps) - _partners(back, f, x, eps)
        return value, pull_x / len(x), pull_y / len(y)

    def _temperatures(self) -> Iterator[float]:
        falls = max(0, math.ceil(2.0 * math.log(_SPAN / self.blur) / -math.log(_COOLING)))
        for k in range(falls, 0, -1):
            yield from [self.blur**2 * _COOLING**-k] * self.sweeps
        yield from [self.blur**2] * self.last


def _cost(a: Tensor, b: Tensor) -> Float[Tensor, "p q"]:
    """|a_i - b_j|^2/2."""
    return torch.addmm(0.5 * (b * b).sum(1), a, b.T, alpha=-1.0) + 0.5 * (a * a).sum(1, keepdim=True)


def _exponents(cost: Tensor, potential: Tensor, eps: float) -> tuple[Tensor, Tensor]:
    """(g_j - C_ij)/eps less its largest over j, and the largest."""
    scores = (potential - cost) / eps
    top = scores.amax(1, keepdim=True)
    return (scores - top).clamp_min_(_FLOOR), top.squeeze(1)


def _update(cost: Tensor, potential: Tensor, eps: float) -> Float[Tensor, " p"]:
    """-eps ln mean_j exp((g_j - C_ij)/eps)."""
    exponents, top = _exponents(cost, potential, eps)
    return -eps * (exponents.exp_().mean(1).log() + top)


def _partners(cost: Tensor, potential: Tensor, points: Tensor, eps: float) -> Float[Tensor, "p d"]:
    """The mean of the points that each row is sent to."""
    weights = _exponents(cost, potential, eps)[0].exp_()
    return weights @ points / weights.sum(1, keepdim=True)
