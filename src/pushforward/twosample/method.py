"""`Method`: one way to compare two samples, and what a user is told about it before choosing it."""

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias, final

from pushforward.errors import InputError
from pushforward.twosample.result import TestResult
from pushforward.witness import Estimate, Statistic

Family: TypeAlias = Literal[
    "kernels", "moments", "ranks", "graphs", "transport", "densities", "critics", "classifiers", "sequential"
]

_GIVEN = {"x", "y", "permutations", "generator", "level", "memory_budget", "alpha"}


@final
@dataclass(frozen=True, eq=False)
class Method:
    """One way to compare two samples.

    - `test`: rows `(n, d)`, `(m, d)`, `permutations`, `generator` and keyword options -> `TestResult`. One that can
      bound its memory also takes `memory_budget` (bytes);
    - `distance`: the same rows, `generator`, `level` and options -> `Estimate`;
    - `statistic`: options -> a function `((n, d), (m, d)) -> ()`, differentiable where the mathematics is;
    any of the three may be None where the method has none. In one line each: `reads`, what it sees; `convention`, the
    statistic it reports, normalisation included; `cost`; `assumes`, beyond rows that are independent; `effect`, the
    units of `TestResult.effect` and of `distance`. `at_least` rows are needed on each side; `missing` says that NaN may
    be allowed (`missing=True`).
    """

    family: Family
    reads: str
    convention: str
    cost: str
    effect: str
    assumes: str = "independent rows"
    test: Callable[..., TestResult] | None = None
    distance: Callable[..., Estimate] | None = None
    statistic: Callable[..., Statistic] | None = None
    at_least: int = 2
    missing: bool = False


def check_options(function: Callable[..., Any], method: str, options: dict[str, Any]) -> None:
    """`InputError` for an option that `function`, which serves `method`, does not have."""
    known = [name for name in inspect.signature(function).parameters if name not in _GIVEN]
    for name in options:
        if name not in known:
            listed = f"its options are {', '.join(known)}" if known else "it has no options"
            raise InputError(f"method {method!r} does not know the option {name!r}; {listed}")


def takes(function: Callable[..., Any], name: str) -> bool:
    """Whether `function` has a parameter of that name."""
    return name in inspect.signature(function).parameters
