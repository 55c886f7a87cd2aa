"""`two_sample`, `distance` and the table of methods they choose from."""

import inspect
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, final

import torch
from torch import Generator, Tensor

from pushforward.errors import InputError
from pushforward.twosample.heldout import classifier_auc, classifier_test, witness_test
from pushforward.twosample.inputs import as_rows, same_columns
from pushforward.twosample.mmd import energy_distance, energy_test, mmd_distance, mmd_test
from pushforward.twosample.result import TestResult
from pushforward.witness import Estimate


@final
@dataclass(frozen=True, eq=False)
class Method:
    """One way to compare two samples.

    `test` and `distance` take rows `(n, d)`, `(m, d)` and keyword options; `reads` says in a line what it sees;
    `effect` names the units of `TestResult.effect`; `at_least` rows are needed on each side; `missing` says that NaN
    may be allowed (`missing=True`).
    """

    test: Callable[..., TestResult]
    reads: str
    effect: str
    distance: Callable[..., Estimate] | None = None
    at_least: int = 2
    missing: bool = False


def _accuracy_test(*args: Any, **options: Any) -> TestResult:
    return classifier_test(*args, statistic="accuracy", **options)


METHODS: Mapping[str, Method] = MappingProxyType(
    {
        "mmd": Method(
            mmd_test,
            "maximum mean discrepancy: any difference at the scale of the bandwidth, in few dimensions",
            "MMD^2 (U-statistic)",
            mmd_distance,
        ),
        "energy": Method(
            energy_test,
            "energy distance: differences of location and scale, no bandwidth to choose",
            "energy distance (U-statistic)",
            energy_distance,
        ),
        "c2st": Method(
            classifier_test,
            "held-out logit of a classifier: whatever boosted trees, or another model, can learn",
            "held-out AUC",
            classifier_auc,
            at_least=8,
            missing=True,
        ),
        "c2st-accuracy": Method(
            _accuracy_test,
            "held-out accuracy of a classifier: coarser than its logit",
            "held-out AUC",
            classifier_auc,
            at_least=8,
            missing=True,
        ),
        "critic": Method(
            witness_test, "held-out gap of a neural critic, or of any fitter's witness", "held-out AUC", at_least=16
        ),
    }
)
"""Name -> `Method`."""


def two_sample(
    x: Any,
    y: Any,
    method: str = "mmd",
    *,
    permutations: int = 500,
    alpha: float = 0.05,
    seed: int = 0,
    generator: Generator | None = None,
    missing: bool = False,
    **options: Any,
) -> TestResult:
    """Do `x` (data) and `y` (model) come from one distribution?

    `x` and `y` are arrays, tensors or numeric frames of `(n, d)` and `(m, d)` rows, n and m as they come; vectors are
    one column, images are flattened. `method` is a name in `METHODS`, and `options` are those of its test: `bandwidth`,
    `unbiased` (mmd), `model`, `statistic`, `null`, `train`, `categorical` (c2st), `fitter` (critic). Randomness comes
    from `generator`, or from `seed`.

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
    chosen = _method(method)
    _check_options(chosen.test, method, options)
    if not 0.0 < alpha < 1.0:
        raise InputError(f"alpha must lie between 0 and 1, not {alpha}")
    if permutations < 1 or 1.0 / (1 + permutations) > alpha * (1.0 + 1e-9):
        needed = max(1, math.ceil(1.0 / alpha - 1e-9) - 1)
        raise InputError(f"{permutations} permutations cannot reach alpha={alpha:g}; use at least {needed}")
    a, b = _rows(chosen, method, x, y, missing=missing)
    source = generator if generator is not None else torch.Generator().manual_seed(seed)
    return chosen.test(a, b, permutations=permutations, generator=source, **options)


def distance(
    x: Any,
    y: Any,
    method: str = "mmd",
    *,
    level: float = 0.95,
    seed: int = 0,
    generator: Generator | None = None,
    missing: bool = False,
    **options: Any,
) -> Estimate:
    """How far apart are `x` (data) and `y` (model)? The method's effect with an interval at `level`, and no test.

    Units: MMD^2 for "mmd", 2E|X-Y| - E|X-X'| - E|Y-Y'| for "energy", the cross-fitted AUC (0.5 where they cannot be
    told apart) for "c2st". Inputs, options and errors as in `two_sample`.
    """
    chosen = _method(method)
    if chosen.distance is None:
        known = ", ".join(sorted(n for n, m in METHODS.items() if m.distance))
        raise InputError(f"method {method!r} gives a test but no distance; known are {known}")
    _check_options(chosen.distance, method, options)
    if not 0.0 < level < 1.0:
        raise InputError(f"level must lie between 0 and 1, not {level}")
    a, b = _rows(chosen, method, x, y, missing=missing)
    source = generator if generator is not None else torch.Generator().manual_seed(seed)
    return chosen.distance(a, b, generator=source, level=level, **options)


def _rows(chosen: Method, name: str, x: Any, y: Any, *, missing: bool) -> tuple[Tensor, Tensor]:
    """Both sets as rows of the same columns that the method can take."""
    if missing and not chosen.missing:
        raise InputError(f"method {name!r} cannot take missing values; drop or fill them, or use c2st")
    a, b = (as_rows(v, n, at_least=chosen.at_least, missing=missing) for v, n in ((x, "x"), (y, "y")))
    return same_columns(a, b)


def _method(name: str) -> Method:
    if name not in METHODS:
        raise InputError(f"unknown method {name!r}; known are {', '.join(METHODS)}")
    return METHODS[name]


def _check_options(function: Callable[..., Any], method: str, options: Mapping[str, Any]) -> None:
    target = classifier_test if function is _accuracy_test else function
    reserved = {"x", "y", "permutations", "generator", "level"} | ({"statistic"} if target is not function else set())
    known = [name for name in inspect.signature(target).parameters if name not in reserved]
    for name in options:
        if name not in known:
            listed = f"its options are {', '.join(known)}" if known else "it has no options"
            raise InputError(f"method {method!r} does not know the option {name!r}; {listed}")
