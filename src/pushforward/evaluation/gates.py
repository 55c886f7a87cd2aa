"""`--fail-if`: conditions on a comparison, such as `auc>0.8`, that make a pipeline stop."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable

from ..errors import InputError
from .comparison import Comparison

OPERATORS: dict[str, Callable[[float, float], bool]] = {
    ">=": operator.ge,
    "<=": operator.le,
    "==": operator.eq,
    ">": operator.gt,
    "<": operator.lt,
}
GATED = ("pvalue", "statistic", "effect")  # of a two-sample method
_FORM = re.compile(
    r"\s*([A-Za-z_](?:[\w-]*\w)?(?:\.[a-z]+)?)\s*(>=|<=|==|>|<)\s*([-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)\s*"
)


def check_gate(expression: str) -> tuple[str, str, float]:
    """The name, the operator and the number of `expression`; `InputError` if it has not that form."""
    match = _FORM.fullmatch(expression)
    if match is None:
        raise InputError(
            f"--fail-if {expression!r}: is not of the form NAME OPERATOR NUMBER with one of "
            f"{' '.join(OPERATORS)}, such as 'auc>0.8'"
        )
    name, sign, number = match.groups()
    return name, sign, float(number)


def gate(comparison: Comparison, expression: str) -> bool:
    """Whether `expression` holds of `comparison`, that is, whether the gate FAILED.

    Names are those of the metrics, `pvalue`, `auc`, `auc_low`, `auc_high` of the verdict, and `METHOD.pvalue`,
    `METHOD.statistic`, `METHOD.effect` of the two-sample methods that were run. A name that this
    comparison has no figure for raises `InputError`, so that a gate is never passed by what was not measured.
    """
    name, sign, number = check_gate(expression)
    figures = {metric.name: metric.value for metric in comparison.metrics}
    verdict = comparison.verdict
    figures |= {key: getattr(verdict, key) for key in ("pvalue", "auc", "auc_low", "auc_high")}
    for test in comparison.tests:
        own = {f"{test.name}.{key}": getattr(test, key) for key in GATED}
        figures |= {key: value for key, value in own.items() if value is not None}
    if name not in figures:
        raise InputError(f"--fail-if {expression!r}: no figure {name!r} here; known: {', '.join(sorted(figures))}")
    return OPERATORS[sign](figures[name], number)
