"""From a statistic to a `TestResult`: what every permutation method shares."""

import time
from collections.abc import Callable, Mapping

import torch
from jaxtyping import Bool, Float
from torch import Generator, Tensor

from pushforward.readings.jackknife import jackknife
from pushforward.readings.kernel_sums import KernelSums
from pushforward.readings.significance import permutation_pvalue, permutation_test
from pushforward.twosample.result import Part, TestResult
from pushforward.witness import Estimate, Statistic, Witness


def kernel_result(
    method: str,
    sums: KernelSums,
    members: Bool[Tensor, "N B"],
    counts: tuple[int, int],
    witness: Witness,
    *,
    started: float,
    unbiased: bool = True,
    timings: Mapping[str, float] | None = None,
) -> TestResult:
    """The result of a test by MMD^2 from its sums; `counts` are the rows given, `started` the clock at the start."""
    statistic, null = sums.statistic(unbiased=unbiased), sums.null(members, unbiased=unbiased)
    return TestResult(
        method=method,
        statistic=statistic,
        pvalue=permutation_pvalue(statistic, null),
        null=null,
        effect=sums.estimate(),
        n_x=counts[0],
        n_y=counts[1],
        permutations=members.shape[1],
        witness=witness,
        seconds=time.perf_counter() - started,
        quadratic=True,
        timings=timings or {},
    )


def run_permutations(
    method: str,
    statistic: Statistic,
    x: Float[Tensor, "n d"],
    y: Float[Tensor, "m d"],
    *,
    permutations: int,
    generator: Generator,
    effect: Callable[[], Estimate] | None = None,
    witness: Callable[[], Witness] | None = None,
    quadratic: bool = False,
    parts: tuple[Part, ...] = (),
) -> TestResult:
    """Test `statistic` by random relabelling (in one go where it has `with_null`: see `Relabelled`).

    `effect` and `witness` are made after the test, so that their time is told apart; the effect is by default the
    statistic with its jackknife interval, and only its value where there are too few rows for one.
    """
    started = time.perf_counter()
    found = permutation_test(statistic, x, y, permutations=permutations, generator=generator)
    tested = time.perf_counter()
    if effect is not None:
        size = effect()
    elif min(len(x), len(y)) >= 4:
        size = jackknife(statistic, x, y, generator=generator)
    else:
        size = Estimate(found.statistic, float("nan"), float("nan"), float("nan"))
    measured = time.perf_counter()
    with torch.no_grad():
        seen = None if witness is None else witness()
    ended = time.perf_counter()
    return TestResult(
        method=method,
        statistic=found.statistic,
        pvalue=found.pvalue,
        null=found.null,
        effect=size,
        n_x=len(x),
        n_y=len(y),
        permutations=permutations,
        witness=seen,
        seconds=ended - started,
        quadratic=quadratic,
        parts=parts,
        timings={"test": tested - started, "effect": measured - tested, "witness": ended - measured},
    )
