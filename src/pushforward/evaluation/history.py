"""What moved since an earlier comparison, beyond noise.

Both comparisons give a figure with an interval; half its width over the normal quantile stands for its standard error,
and z = (after - before) / sqrt(se_before^2 + se_after^2) has about a standard normal law where the figure did not move.
Where both used the same real rows their errors agree in part, and z is conservative. Holm adjusts over all figures.
"""

from __future__ import annotations

import math

import numpy as np
from scipy import stats

from ..errors import InputError
from ..readings.adjust import holm
from .comparison import P_FLOOR, Change, Comparison, History, Metric

LEVEL = 0.95


def history(now: Comparison, before: Comparison, *, name: str) -> History:
    """The changes of all figures with intervals that both have, the surest first."""
    if now.inputs["kind"] != before.inputs["kind"]:
        raise InputError(f"{name}: compares {before.inputs['kind']}, this comparison {now.inputs['kind']}")
    earlier = {metric.name: metric for metric in before.metrics}
    pairs = [(earlier[metric.name], metric) for metric in now.metrics if metric.name in earlier]
    both = [(old, new) for old, new in pairs if old.low is not None and new.low is not None]
    if not both:
        return History(name, (), f"{name} has no figure with an interval in common with this comparison")
    pvalues = np.array([difference_pvalue(old, new) for old, new in both])
    adjusted = holm(pvalues)
    changes = [
        Change(new.name, old.value, new.value, float(max(P_FLOOR, p)), float(max(P_FLOOR, q)), _better(old, new))
        for (old, new), p, q in zip(both, pvalues, adjusted, strict=True)
    ]
    changes.sort(key=lambda change: (change.pvalue_adjusted, change.pvalue))
    return History(name, tuple(changes), _note(now, before, name))


def difference_pvalue(old: Metric, new: Metric) -> float:
    """Two-sided p-value of "the figure is the same in both", from their intervals."""
    error = math.hypot(_stderr(old), _stderr(new))
    if error == 0:
        return 1.0 if old.value == new.value else P_FLOOR
    return 2 * float(stats.norm.sf(abs(new.value - old.value) / error))


def _stderr(metric: Metric) -> float:
    assert metric.low is not None
    assert metric.high is not None
    # the wider side: intervals that are cut off at a bound are short there
    half = max(metric.high - metric.value, metric.value - metric.low)
    return half / float(stats.norm.ppf(0.5 + LEVEL / 2))


def _better(old: Metric, new: Metric) -> bool | None:
    if new.value == old.value:
        return None
    if new.direction in ("lower", "higher"):
        return (new.value < old.value) == (new.direction == "lower")
    if new.baseline is None:
        return None
    return abs(new.value - new.baseline) < abs(old.value - new.baseline)


def _note(now: Comparison, before: Comparison, name: str) -> str:
    told = []
    for role in ("real", "train", "holdout"):
        a, b = before.inputs.get(role), now.inputs.get(role)
        if (a and (a["name"], a["rows"])) != (b and (b["name"], b["rows"])):
            told.append(f"{role} was {a['name'] if a else 'not given'} there and is {b['name'] if b else 'not given'}")
    if before.made_by.get("version") != now.made_by.get("version"):
        told.append(f"{name} was made by version {before.made_by.get('version')}")
    return "; ".join(told)
