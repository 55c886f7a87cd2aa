"""Kernel two-sample tests in one streamed pass over the kernel matrix: the maximum mean discrepancy, energy distance.

MMD^2_u = sum_{i != j} k(x_i, x_j)/(n(n-1)) + sum_{i != j} k(y_i, y_j)/(m(m-1)) - 2 mean k(x_i, y_j)  (Gretton et al.
2012, lemma 6). The energy distance 2E|X-Y| - E|X-X'| - E|Y-Y'| is the same statistic for k = -|x - y|.
"""

import math
import time
from dataclasses import dataclass
from typing import final

import torch
from jaxtyping import Float
from torch import Generator, Tensor

from pushforward.errors import InputError
from pushforward.fitters.kernel import EnergyKernel, Kernel, kernel_named, kernel_witness, median_distance
from pushforward.readings.kernel_sums import kernel_sums, tile_for
from pushforward.readings.significance import draw_members
from pushforward.twosample.method import Method
from pushforward.twosample.result import TestResult
from pushforward.twosample.running import kernel_result
from pushforward.witness import Estimate


def mmd_test(
    x: Float[Tensor, "n d"],
    y: Float[Tensor, "m d"],
    *,
    permutations: int,
    generator: Generator,
    memory_budget: int | None = None,
    kernel: str | Kernel = "gaussian",
    bandwidth: float | str = "median",
    unbiased: bool = True,
) -> TestResult:
    """Test by MMD^2, by default with the kernel exp(-|a - b|^2/(2 bandwidth^2)).

    `kernel` is "gaussian", "laplace", "rational-quadratic", "imq", "polynomial" or any symmetric function of rows
    `((p, d), (q, d)) -> (p, q)` (then `bandwidth` is its own affair). `bandwidth` is in the data's units, or "median":
    the median distance between pooled rows. Statistic and effect are MMD^2 (the U-statistic, or with `unbiased=False`
    the V-statistic; the effect is always the U-statistic). Cost (n+m)^2 (d + B)/2.
    """
    chosen = find_kernel(kernel, bandwidth, x, y, generator)
    return _kernel_test("mmd", chosen, x, y, permutations, generator, memory_budget, unbiased)


def energy_test(
    x: Float[Tensor, "n d"],
    y: Float[Tensor, "m d"],
    *,
    permutations: int,
    generator: Generator,
    memory_budget: int | None = None,
    unbiased: bool = True,
) -> TestResult:
    """Test by the energy distance 2E|X-Y| - E|X-X'| - E|Y-Y'| (scipy's `energy_distance` is its square root)."""
    return _kernel_test("energy", EnergyKernel(), x, y, permutations, generator, memory_budget, unbiased)


def mmd_distance(
    x: Float[Tensor, "n d"],
    y: Float[Tensor, "m d"],
    *,
    generator: Generator,
    level: float = 0.95,
    kernel: str | Kernel = "gaussian",
    bandwidth: float | str = "median",
) -> Estimate:
    """MMD^2 (U-statistic: it may be negative) with its interval; kernel as in `mmd_test`."""
    return kernel_sums(find_kernel(kernel, bandwidth, x, y, generator), x, y).estimate(level=level)


def energy_distance(
    x: Float[Tensor, "n d"], y: Float[Tensor, "m d"], *, generator: Generator, level: float = 0.95
) -> Estimate:
    """The energy distance (U-statistic) with its interval; nothing is random, `generator` is not used."""
    return kernel_sums(EnergyKernel(), x, y).estimate(level=level)


@final
@dataclass(frozen=True, eq=False)
class KernelLoss:
    """MMD^2 as a differentiable function of two samples, U- or V-statistic, the kernel matrices held whole.

    `bandwidth` None: the median distance of the first 512 rows of each, as a constant.
    """

    kernel: str | Kernel = "gaussian"
    bandwidth: float | None = None
    unbiased: bool = True

    def __call__(self, x: Float[Tensor, "n *d"], y: Float[Tensor, "m *d"]) -> Float[Tensor, ""]:
        """The statistic, in the rows' precision."""
        a, b, n, m = x.flatten(1), y.flatten(1), len(x), len(y)
        k = self._kernel(a, b)
        if getattr(k, "stationary", False):
            centre = torch.cat([a, b]).detach().mean(0)
            a, b = a - centre, b - centre
        xx, yy, xy = k(a, a), k(b, b), k(a, b).mean()
        if not self.unbiased:
            return xx.mean() + yy.mean() - 2.0 * xy
        return (xx.sum() - xx.trace()) / (n * (n - 1)) + (yy.sum() - yy.trace()) / (m * (m - 1)) - 2.0 * xy

    def _kernel(self, a: Tensor, b: Tensor) -> Kernel:
        if not isinstance(self.kernel, str):
            return self.kernel
        width = self.bandwidth
        if width is None:
            distances = torch.nn.functional.pdist(torch.cat([a[:512], b[:512]]).detach().double())
            width = float(distances.median()) or 1.0
        return kernel_named(self.kernel, width)


def find_kernel(kernel: str | Kernel, bandwidth: float | str, x: Tensor, y: Tensor, generator: Generator) -> Kernel:
    """A kernel by name and bandwidth, or the kernel that was given."""
    if not isinstance(kernel, str):
        return kernel
    return kernel_named(kernel, find_bandwidth(bandwidth, x, y, generator))


def find_bandwidth(bandwidth: float | str, x: Tensor, y: Tensor, generator: Generator) -> float:
    """The bandwidth, or for "median" the median distance of pooled rows drawn by `generator`."""
    if bandwidth == "median":
        return median_distance(torch.cat([x, y]), generator=generator)
    if isinstance(bandwidth, str) or not 0.0 < bandwidth < math.inf:
        raise InputError(f'the bandwidth must be a positive number or "median", not {bandwidth!r}')
    return float(bandwidth)


def _kernel_test(
    method: str,
    kernel: Kernel,
    x: Tensor,
    y: Tensor,
    permutations: int,
    generator: Generator,
    memory_budget: int | None,
    unbiased: bool,
) -> TestResult:
    started = time.perf_counter()
    tile = tile_for(memory_budget, len(x) + len(y), x.shape[1], permutations)
    members = draw_members(len(x), len(y), permutations, generator=generator).to(x.device)
    with torch.no_grad():
        sums = kernel_sums(kernel, x, y, members, tile=tile)
    witness = kernel_witness(kernel, x, y, squared_norm=sums.statistic(unbiased=False))
    return kernel_result(method, sums, members, (len(x), len(y)), witness, started=started, unbiased=unbiased)


METHODS = {
    "mmd": Method(
        family="kernels",
        reads="maximum mean discrepancy: any difference at the scale of the bandwidth, in few dimensions",
        convention="MMD^2, U-statistic; Gaussian kernel exp(-|a-b|^2/(2 bandwidth^2)) unless another is named",
        cost="(n+m)^2 (d + B) / 2",
        effect="MMD^2 (U-statistic)",
        test=mmd_test,
        distance=mmd_distance,
        statistic=KernelLoss,
    ),
    "energy": Method(
        family="kernels",
        reads="energy distance: differences of location and scale, no bandwidth to choose",
        convention="2E|X-Y| - E|X-X'| - E|Y-Y'|, U-statistic",
        cost="(n+m)^2 (d + B) / 2",
        effect="energy distance (U-statistic)",
        assumes="finite means",
        test=energy_test,
        distance=energy_distance,
        statistic=lambda unbiased=True: KernelLoss(EnergyKernel(), unbiased=unbiased),
    ),
}
