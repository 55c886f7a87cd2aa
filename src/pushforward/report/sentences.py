"""What results say in one sentence: the head of a card, the title of a chart."""

from __future__ import annotations

import math
from typing import Any

from .words import counted, figure, interval, p_value


def of_test(result: Any, alpha: float = 0.05) -> str:
    """Of a `TestResult`."""
    found = "A difference was detected" if result.detected(alpha) else "No difference was detected"
    return f"{found}: {p_value(result.pvalue)}"


def of_relabellings(result: Any) -> str:
    """How many relabellings reach the statistic; empty where the null is not a sample of them."""
    count = len(result.null)
    reached = result.pvalue * (1 + count) - 1
    if not count or abs(reached - round(reached)) > 1e-6 or not -0.5 < reached < count + 0.5:
        return ""
    reaches = "reaches" if round(reached) == 1 else "reach"
    return f"{'none' if round(reached) == 0 else f'{round(reached):,}'} of {count:,} relabellings {reaches} it"


def of_effect(result: Any) -> str:
    """The effect of a test with its interval and, where the method is known, its units."""
    effect = result.effect
    if math.isnan(effect.value):
        return ""
    between = interval(effect.low, effect.high)
    told = figure(effect.value) + (f" ({between})" if between else "")
    units = units_of(result.method)
    return f"{told}: {units}" if units else told


def units_of(method: str) -> str:
    """What the effect of a two-sample method is."""
    from ..twosample.methods import METHODS

    return METHODS[method].effect if method in METHODS else ""


def of_estimate(estimate: Any) -> str:
    """Of an `Estimate`."""
    between = interval(estimate.low, estimate.high)
    return figure(estimate.value) + (f", {100 * estimate.level:g}% interval {between}" if between else ", no interval")


def of_front(front: Any) -> str:
    """Of a `Front`."""
    on = int((~front.dominated).sum())
    left = len(front.losses) - on
    told = f"{counted(on, 'point')} on the front of {front.losses.shape[1]} losses"
    return f"{told}; {left:,} {'is' if left == 1 else 'are'} dominated" if left else told


def of_transported(moved: Any) -> str:
    """Of a `Transported`."""
    told = f"{counted(len(moved.rows), 'row')} moved in {counted(len(moved.speed), 'step')}"
    if not moved.speed:
        return told
    return f"{told}: {figure(moved.speed[0])} a row in the first, {figure(moved.speed[-1])} in the last"
