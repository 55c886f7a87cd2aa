"""MMD-D: the MMD under a kernel that was trained, on half of the rows, to make this very test powerful.

Liu et al. 2020; the kernel is that of `pushforward.fitters.deep_kernel`. On the other half the kernel is a fixed one,
so its permutation p-value is exact.
"""

import time

import torch
from jaxtyping import Float
from torch import Generator, Tensor

from pushforward.fitters.deep_kernel import DeepKernelFitter
from pushforward.fitters.kernel import kernel_witness
from pushforward.readings.kernel_sums import kernel_sums
from pushforward.readings.significance import draw_members
from pushforward.twosample.heldout import split
from pushforward.twosample.method import Method
from pushforward.twosample.result import TestResult
from pushforward.twosample.running import kernel_result


def deep_kernel_test(
    x: Float[Tensor, "n d"],
    y: Float[Tensor, "m d"],
    *,
    permutations: int,
    generator: Generator,
    fitter: DeepKernelFitter | None = None,
    train: float = 0.5,
) -> TestResult:
    """Train `fitter` on a share `train` of each side and test MMD^2_u on the rest.

    The effect is that MMD^2 with its interval, the kernel given. Cost: the training (about 2 s at the defaults), then
    the cost of "mmd" on the rest with the network's forward pass in the kernel.
    """
    started = time.perf_counter()
    (fit_x, test_x), (fit_y, test_y) = split(x, train, generator), split(y, train, generator)
    kernel = (fitter or DeepKernelFitter()).kernel(fit_x, fit_y, generator=generator)
    trained = time.perf_counter()
    members = draw_members(len(test_x), len(test_y), permutations, generator=generator).to(x.device)
    with torch.no_grad():
        sums = kernel_sums(kernel, test_x, test_y, members)
    witness = kernel_witness(kernel, test_x, test_y, squared_norm=sums.statistic(unbiased=False))
    timings = {"training": trained - started, "test": time.perf_counter() - trained}
    return kernel_result("mmd-deep", sums, members, (len(x), len(y)), witness, started=started, timings=timings)


METHODS = {
    "mmd-deep": Method(
        family="kernels",
        reads="MMD under a kernel learned on half the rows: structure that no fixed kernel fits",
        convention="MMD^2 (U-statistic) of the learned kernel on the half it has not seen",
        cost="a training, then (n+m)^2 (d + B) / 8",
        effect="MMD^2 of the learned kernel",
        test=deep_kernel_test,
        at_least=8,
    )
}
