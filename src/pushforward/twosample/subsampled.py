"""MMD tests that look at only part of the kernel matrix: in pairs, in blocks, or across two halves.

- linear (Gretton et al. 2012, section 6): the mean of h = k(x, x') + k(y, y') - k(x, y') - k(x', y) over disjoint
  quadruples. Exchanging x with y in one quadruple turns its h into -h, so under equal distributions the signs of all h
  are fair coins given |h|: B random sign patterns give an exact p-value.
- block (Zaremba, Gretton and Blaschko 2013): the mean of MMD^2_u over disjoint blocks of n/b rows; labels are
  exchanged within each block, which is exact too. Between the linear (smallest blocks) and the full statistic.
- cross (Shekhar, Kim and Ramdas 2022): a witness from one half, f = mean k(x, .) - mean k(y, .), its mean difference on
  the other half divided by its standard error. Whatever the kernel and the dimension that is nearly standard normal
  under equal distributions, so one pass gives a p-value without permutations.
"""

import math
import time

import torch
from jaxtyping import Float
from torch import Generator, Tensor

from pushforward.errors import InputError
from pushforward.fitters.kernel import Kernel, kernel_witness
from pushforward.readings.kernel_sums import kernel_sums
from pushforward.readings.significance import draw_members, permutation_pvalue
from pushforward.twosample.kernels import find_kernel
from pushforward.twosample.method import Method
from pushforward.twosample.result import TestResult
from pushforward.witness import Estimate

_CHUNK = 4096  # rows of the halves' kernel matrix at a time
_LEAST = 5e-324  # a p-value is never 0


def linear_test(
    x: Float[Tensor, "n d"],
    y: Float[Tensor, "m d"],
    *,
    permutations: int,
    generator: Generator,
    kernel: str | Kernel = "gaussian",
    bandwidth: float | str = "median",
) -> TestResult:
    """The linear-time MMD^2 on min(n, m)/2 quadruples in random order, with B sign patterns. Cost (n+m)(d + B).

    The effect is the statistic with its normal interval: it is a mean of independent terms, and unbiased for MMD^2.
    Kernels as in "mmd".
    """
    started = time.perf_counter()
    a, b = _shuffled(x, y, generator)
    h = _quadruples(find_kernel(kernel, bandwidth, x, y, generator), a, b)
    signs = torch.randint(2, (len(h), permutations), generator=generator, device=generator.device).to(h) * 2.0 - 1.0
    null = (h @ signs) / len(h)
    value = float(h.mean())
    return TestResult(
        method="mmd-linear",
        statistic=value,
        pvalue=permutation_pvalue(value, null),
        null=null,
        effect=Estimate.normal(value, float(h.std()) / math.sqrt(len(h))),
        n_x=len(x),
        n_y=len(y),
        permutations=permutations,
        witness=None,
        seconds=time.perf_counter() - started,
    )


def linear_distance(
    x: Float[Tensor, "n d"],
    y: Float[Tensor, "m d"],
    *,
    generator: Generator,
    level: float = 0.95,
    kernel: str | Kernel = "gaussian",
    bandwidth: float | str = "median",
) -> Estimate:
    """MMD^2 by the linear-time statistic, with its normal interval."""
    a, b = _shuffled(x, y, generator)
    h = _quadruples(find_kernel(kernel, bandwidth, x, y, generator), a, b)
    return Estimate.normal(float(h.mean()), float(h.std()) / math.sqrt(len(h)), level)


def block_test(
    x: Float[Tensor, "n d"],
    y: Float[Tensor, "m d"],
    *,
    permutations: int,
    generator: Generator,
    kernel: str | Kernel = "gaussian",
    bandwidth: float | str = "median",
    block: int | None = None,
) -> TestResult:
    """The mean of MMD^2_u over blocks of `block` rows of x and as many of y (by default the square root of min(n, m)),
    in random order; the rest is not looked at. Cost (n+m) block (d + B). The effect is the statistic with Student's
    interval over blocks. Kernels as in "mmd".
    """
    started = time.perf_counter()
    n = min(len(x), len(y))
    size = max(2, round(math.sqrt(n))) if block is None else block
    if not 2 <= size <= n:
        raise InputError(f"a block must have between 2 and {n} rows of each side, not {size}")
    chosen, count = find_kernel(kernel, bandwidth, x, y, generator), n // size
    a, b = _shuffled(x, y, generator)
    values = torch.empty(count, dtype=torch.float64)
    null = torch.zeros(permutations, dtype=torch.float64)
    for i in range(count):
        rows = slice(i * size, (i + 1) * size)
        members = draw_members(size, size, permutations, generator=generator).to(x.device)
        sums = kernel_sums(chosen, a[rows], b[rows], members)
        values[i] = sums.statistic()
        null += sums.null(members).cpu() / count
    value = float(values.mean())
    return TestResult(
        method="mmd-block",
        statistic=value,
        pvalue=permutation_pvalue(value, null),
        null=null,
        effect=_student(values),
        n_x=len(x),
        n_y=len(y),
        permutations=permutations,
        witness=None,
        seconds=time.perf_counter() - started,
    )


def cross_test(
    x: Float[Tensor, "n d"],
    y: Float[Tensor, "m d"],
    *,
    permutations: int,
    generator: Generator,
    kernel: str | Kernel = "gaussian",
    bandwidth: float | str = "median",
) -> TestResult:
    """The studentised cross-MMD, against Student's law with the degrees of freedom of Welch; no permutations are drawn.

    Valid in large samples: the values of f on the second halves need a central limit theorem, which a bounded kernel
    has soon. About as many rows as an exact test need not be halved would have 1.4 times the signal. Cost
    (n+m)^2 d/4. The witness is that of the first halves; the effect is its mean difference on the second, in units of
    MMD^2, with the normal interval.
    """
    from scipy.stats import t

    started = time.perf_counter()
    chosen = find_kernel(kernel, bandwidth, x, y, generator)
    a, b = _shuffled(x, y, generator, keep_all=True)
    (a1, a2), (b1, b2) = (a[: len(a) // 2], a[len(a) // 2 :]), (b[: len(b) // 2], b[len(b) // 2 :])
    f_x, f_y = _mean_difference(chosen, a1, b1, a2), _mean_difference(chosen, a1, b1, b2)
    gap = float(f_x.mean() - f_y.mean())
    share_x, share_y = float(f_x.var()) / len(f_x), float(f_y.var()) / len(f_y)
    stderr = math.sqrt(share_x + share_y)
    if stderr > 1e-12 * abs(gap) and stderr > 0.0:
        freedom = (share_x + share_y) ** 2 / (share_x**2 / (len(f_x) - 1) + share_y**2 / (len(f_y) - 1))
        statistic = gap / stderr
        pvalue = max(float(t.sf(statistic, freedom)), _LEAST)
    else:  # all rows of each second half are equal
        statistic, pvalue = 0.0, 1.0
    return TestResult(
        method="mmd-cross",
        statistic=statistic,
        pvalue=pvalue,
        null=torch.empty(0, dtype=torch.float64),
        effect=Estimate.normal(gap, stderr),
        n_x=len(x),
        n_y=len(y),
        permutations=0,
        witness=kernel_witness(chosen, a1, b1),
        seconds=time.perf_counter() - started,
    )


def _shuffled(x: Tensor, y: Tensor, generator: Generator, *, keep_all: bool = False) -> tuple[Tensor, Tensor]:
    """Both in random order and float64; cut to the same length unless `keep_all`."""
    least = min(len(x), len(y))
    sides = []
    for rows in (x, y):
        order = torch.randperm(len(rows), generator=generator, device=generator.device)
        sides.append(rows[(order if keep_all else order[:least]).to(rows.device)].double())
    return sides[0], sides[1]


def _quadruples(kernel: Kernel, a: Tensor, b: Tensor) -> Float[Tensor, " h"]:
    """h of each disjoint quadruple: rows 2i and 2i + 1 of both sides."""
    half = len(a) // 2
    if half < 2:
        raise InputError(f"the linear-time MMD needs at least 4 rows on each side, not {len(a)}")
    sides = [a[0 : 2 * half : 2], a[1 : 2 * half : 2], b[0 : 2 * half : 2], b[1 : 2 * half : 2]]
    x1, x2, y1, y2 = (rows.unsqueeze(1) for rows in sides)

    def k(p: Tensor, q: Tensor) -> Tensor:  # one value a pair: a batch of 1 x 1 kernel matrices
        values: Tensor = torch.vmap(kernel)(p, q)
        return values.flatten()

    return k(x1, x2) + k(y1, y2) - k(x1, y2) - k(x2, y1)


def _student(values: Float[Tensor, " k"], level: float = 0.95) -> Estimate:
    """The mean of independent values with Student's interval; no limits for a single one."""
    from scipy.stats import t

    mean, k = float(values.mean()), len(values)
    if k < 2:
        return Estimate(mean, math.nan, math.nan, math.nan, level)
    stderr = float(values.std()) / math.sqrt(k)
    half = float(t.ppf(0.5 + level / 2.0, k - 1)) * stderr
    return Estimate(mean, stderr, mean - half, mean + half, level)


def _mean_difference(kernel: Kernel, a: Tensor, b: Tensor, rows: Tensor) -> Float[Tensor, " k"]:
    """mean k(a, .) - mean k(b, .) at each of `rows`."""
    return torch.cat(
        [
            torch.stack([kernel(part, side).mean(1) for side in (a, b)]).diff(dim=0)[0].neg()
            for part in torch.split(rows, max(1, _CHUNK**2 // max(1, 4 * max(len(a), len(b)))))
        ]
    )


METHODS = {
    "mmd-linear": Method(
        family="kernels",
        reads="MMD in linear time, from disjoint pairs: for very large samples and plain differences",
        convention="MMD^2, mean over disjoint quadruples (linear-time U-statistic)",
        cost="(n+m)(d + B)",
        effect="MMD^2 (linear-time)",
        test=linear_test,
        distance=linear_distance,
        at_least=4,
    ),
    "mmd-block": Method(
        family="kernels",
        reads="MMD over blocks of rows: between the linear-time and the full statistic",
        convention="mean of MMD^2 (U-statistic) over blocks",
        cost="(n+m) b (d + B), b = sqrt n",
        effect="MMD^2 (block mean)",
        test=block_test,
        at_least=4,
    ),
    "mmd-cross": Method(
        family="kernels",
        reads="MMD between halves, studentised: no permutations, at the price of half the rows",
        convention="cross-MMD^2 divided by its standard error",
        cost="(n+m)^2 d / 4",
        assumes="n large enough for a central limit theorem",
        effect="cross-MMD^2",
        test=cross_test,
        at_least=8,
    ),
}
