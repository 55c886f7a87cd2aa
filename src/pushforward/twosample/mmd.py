"""Kernel two-sample tests: the maximum mean discrepancy and the energy distance, with all permutations in one pass.

MMD^2_u = sum_{i != j} k(x_i, x_j)/(n(n-1)) + sum_{i != j} k(y_i, y_j)/(m(m-1)) - 2 mean k(x_i, y_j)  (Gretton et al.
2012, lemma 6). The energy distance 2E|X-Y| - E|X-X'| - E|Y-Y'| is the same statistic for k = -|x - y|.
"""

import time

import torch
from jaxtyping import Float
from torch import Generator, Tensor

from pushforward.errors import InputError
from pushforward.fitters.kernel import EnergyKernel, GaussianKernel, Kernel, kernel_witness, median_distance
from pushforward.readings.kernel_sums import KernelStatistic, KernelSums, kernel_sums
from pushforward.readings.significance import draw_members, permutation_pvalue
from pushforward.twosample.method import Method
from pushforward.twosample.result import TestResult
from pushforward.witness import Estimate


def mmd_test(
    x: Float[Tensor, "n d"],
    y: Float[Tensor, "m d"],
    *,
    permutations: int,
    generator: Generator,
    bandwidth: float | str = "median",
    unbiased: bool = True,
) -> TestResult:
    """Test by MMD^2 with the kernel exp(-|a - b|^2/(2 bandwidth^2)).

    `bandwidth` is in the data's units, or "median": the median distance between pooled rows. Statistic and effect are
    MMD^2 (the U-statistic, or with `unbiased=False` the V-statistic; the effect is always the U-statistic).
    """
    kernel = GaussianKernel(_bandwidth(bandwidth, x, y, generator))
    return _kernel_test("mmd", kernel, x, y, permutations=permutations, generator=generator, unbiased=unbiased)


def energy_test(
    x: Float[Tensor, "n d"], y: Float[Tensor, "m d"], *, permutations: int, generator: Generator, unbiased: bool = True
) -> TestResult:
    """Test by the energy distance 2E|X-Y| - E|X-X'| - E|Y-Y'| (scipy's `energy_distance` is its square root)."""
    kernel = EnergyKernel()
    return _kernel_test("energy", kernel, x, y, permutations=permutations, generator=generator, unbiased=unbiased)


def mmd_distance(
    x: Float[Tensor, "n d"],
    y: Float[Tensor, "m d"],
    *,
    generator: Generator,
    level: float = 0.95,
    bandwidth: float | str = "median",
) -> Estimate:
    """MMD^2 (U-statistic: it may be negative) with its interval; kernel as in `mmd_test`."""
    kernel = GaussianKernel(_bandwidth(bandwidth, x, y, generator))
    return kernel_sums(kernel, x, y).estimate(level=level)


def energy_distance(
    x: Float[Tensor, "n d"], y: Float[Tensor, "m d"], *, generator: Generator, level: float = 0.95
) -> Estimate:
    """The energy distance (U-statistic) with its interval; nothing is random, `generator` is not used."""
    return kernel_sums(EnergyKernel(), x, y).estimate(level=level)


def _bandwidth(bandwidth: float | str, x: Tensor, y: Tensor, generator: Generator) -> float:
    if bandwidth == "median":
        return median_distance(torch.cat([x, y]), generator=generator)
    if isinstance(bandwidth, str) or not bandwidth > 0.0:
        raise InputError(f'the bandwidth must be a positive number or "median", not {bandwidth!r}')
    return float(bandwidth)


def _kernel_test(
    method: str, kernel: Kernel, x: Tensor, y: Tensor, *, permutations: int, generator: Generator, unbiased: bool
) -> TestResult:
    started = time.perf_counter()
    members = draw_members(len(x), len(y), permutations, generator=generator).to(x.device)
    with torch.no_grad():
        sums: KernelSums = kernel_sums(kernel, x, y, members)
        statistic, null = sums.statistic(unbiased=unbiased), sums.null(members, unbiased=unbiased)
    return TestResult(
        method=method,
        statistic=statistic,
        pvalue=permutation_pvalue(statistic, null),
        null=null,
        effect=sums.estimate(),
        n_x=len(x),
        n_y=len(y),
        permutations=permutations,
        witness=kernel_witness(kernel, x, y, squared_norm=sums.statistic(unbiased=False)),
        seconds=time.perf_counter() - started,
        quadratic=True,
    )


METHODS = {
    "mmd": Method(
        family="kernels",
        reads="maximum mean discrepancy: any difference at the scale of the bandwidth, in few dimensions",
        convention="MMD^2, U-statistic, k = exp(-|a-b|^2/(2 bandwidth^2))",
        cost="(n+m)^2 (d + B) / 2",
        effect="MMD^2 (U-statistic)",
        test=mmd_test,
        distance=mmd_distance,
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
        statistic=lambda unbiased=True: KernelStatistic(EnergyKernel(), unbiased),
    ),
}
