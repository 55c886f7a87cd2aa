"""`two_sample`, `distance` and `discrepancy`: one call each for every method in `METHODS`."""

import dataclasses
import math
from typing import Any

import torch
from torch import Generator, Tensor

from pushforward.errors import InputError
from pushforward.twosample.inputs import as_rows, same_columns
from pushforward.twosample.method import Method, check_options, takes
from pushforward.twosample.methods import METHODS, find_method
from pushforward.twosample.result import TestResult
from pushforward.witness import Estimate, Statistic

DEFAULT = "mmd-agg"


def two_sample(
    x: Any,
    y: Any,
    method: str = DEFAULT,
    *,
    permutations: int = 500,
    alpha: float = 0.05,
    seed: int = 0,
    generator: Generator | None = None,
    memory_budget: int | None = None,
    missing: bool = False,
    **options: Any,
) -> TestResult:
    """Do `x` (data) and `y` (model) come from one distribution?

    `x` and `y` are arrays, tensors or numeric frames of `(n, d)` and `(m, d)` rows, n and m as they come; vectors are
    one column, images are flattened. `method` is a name in `METHODS` (`pushforward methods` lists them), and `options`
    are those of its test. Randomness comes from `generator`, or from `seed`. `memory_budget`, in bytes, bounds the
    working memory of the methods that stream (the others ignore it).

    Every p-value is valid at any sample size: under one distribution P(p <= alpha) <= alpha, and p is at least
    1/(1 + permutations). So `permutations` must be able to reach `alpha` (19 for 0.05); that is all `alpha` is for
    here.

    >>> import torch
    >>> g = torch.Generator().manual_seed(0)
    >>> x, y = torch.randn(200, 2, generator=g), torch.randn(300, 2, generator=g) + 0.5
    >>> result = two_sample(x, y)
    >>> result.detected()
    True
    >>> round(result.pvalue, 3)
    0.002

    Errors are `InputError`, in a sentence: an unknown method or option, NaN or infinite values, rows that differ in
    width, too few of them.
    """
    chosen = find_method(method)
    if chosen.test is None:
        raise InputError(f"method {method!r} gives a distance but no test; known: {_having('test')}")
    check_options(chosen.test, method, options)
    if not 0.0 < alpha < 1.0:
        raise InputError(f"alpha must lie between 0 and 1, not {alpha}")
    if permutations < 1 or 1.0 / (1 + permutations) > alpha * (1.0 + 1e-9):
        needed = max(1, math.ceil(1.0 / alpha - 1e-9) - 1)
        raise InputError(f"{permutations} permutations cannot reach alpha={alpha:g}; use at least {needed}")
    a, b = _rows(chosen, method, x, y, missing=missing)
    budget = {"memory_budget": memory_budget} if takes(chosen.test, "memory_budget") else {}
    level = {"alpha": alpha} if takes(chosen.test, "alpha") else {}
    result = chosen.test(
        a, b, permutations=permutations, generator=_source(generator, seed), **budget, **level, **options
    )
    return dataclasses.replace(result, method=method, convention=chosen.convention)


def distance(
    x: Any,
    y: Any,
    method: str,
    *,
    level: float = 0.95,
    seed: int = 0,
    generator: Generator | None = None,
    missing: bool = False,
    **options: Any,
) -> Estimate:
    """How far apart are `x` (data) and `y` (model)? The method's effect with an interval at `level`, and no test.

    `METHODS[method].effect` names the units. Inputs, options and errors as in `two_sample`.
    """
    chosen = find_method(method)
    if chosen.distance is None:
        raise InputError(f"method {method!r} gives a test but no distance; known: {_having('distance')}")
    check_options(chosen.distance, method, options)
    if not 0.0 < level < 1.0:
        raise InputError(f"level must lie between 0 and 1, not {level}")
    a, b = _rows(chosen, method, x, y, missing=missing)
    return chosen.distance(a, b, generator=_source(generator, seed), level=level, **options)


def discrepancy(method: str, **options: Any) -> Statistic:
    """The method's statistic as a function of two tensors `((n, d), (m, d)) -> ()` with a gradient: a loss.

    >>> import torch
    >>> y = torch.zeros(3, 1, requires_grad=True)
    >>> discrepancy("energy", unbiased=False)(torch.ones(5, 1), y).backward()
    >>> bool((y.grad < 0).all())
    True
    """
    chosen = find_method(method)
    if chosen.statistic is None:
        raise InputError(f"method {method!r} has no statistic to differentiate; known: {_having('statistic')}")
    check_options(chosen.statistic, method, options)
    return chosen.statistic(**options)


def _having(part: str) -> str:
    return ", ".join(sorted(name for name, method in METHODS.items() if getattr(method, part) is not None))


def _source(generator: Generator | None, seed: int) -> Generator:
    return generator if generator is not None else torch.Generator().manual_seed(seed)


def _rows(chosen: Method, name: str, x: Any, y: Any, *, missing: bool) -> tuple[Tensor, Tensor]:
    """Both sets as rows of the same columns that the method can take."""
    if missing and not chosen.missing:
        raise InputError(f"method {name!r} cannot take missing values; drop or fill them, or use c2st")
    a, b = (as_rows(v, n, at_least=chosen.at_least, missing=missing) for v, n in ((x, "x"), (y, "y")))
    return same_columns(a, b)
