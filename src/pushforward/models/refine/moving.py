"""What methods that move rows share: how far they went, and how far to go.

A critic is taken as it was for the rows where they first were, and it prefers rows moved along its slope ever more. How
far to go is therefore found in a pilot, on rows of its own: until real rows and moved ones score alike,

    E l(real) = E l(moved),

l the calibrated log ratio. It is bounded, so that a few rows far off do not speak for all, as they do in a mean score;
and it is flat where scores tell nothing, which the AUC of scores is not.
"""

from __future__ import annotations

from collections.abc import Callable

from jaxtyping import Float
from torch import Tensor

from .calibration import Calibration

PILOT = {"points": 1024, "table": 1024, "images": 128}  # rows of a pilot
BISECTIONS = 3


def moved_figures(distance: Float[Tensor, " n"]) -> dict[str, float]:
    """How far rows went, in the coordinates they were moved in."""
    return {"moved_mean": float(distance.mean()), "moved_median": float(distance.median())}


def matched(calibration: Calibration, moved: Callable[[float], Tensor], first: float, most: float) -> float:
    """The size between `first` and `most` at which `moved(size)`, scores of moved rows, are nearest to those of real
    rows: doubled from `first` until they are beyond, and then bisected."""
    goal = float(calibration(calibration.real()).mean())

    def lower(size: float) -> float:
        return goal - float(calibration(moved(size)).mean())

    found = {first: lower(first)}
    size = first
    while found[size] > 0 and 2 * size <= most:
        size *= 2
        found[size] = lower(size)
    if found[size] < 0 and size > first:
        low, high = size / 2, size
        for _ in range(BISECTIONS):
            middle = (low * high) ** 0.5
            found[middle] = lower(middle)
            low, high = (middle, high) if found[middle] > 0 else (low, middle)
    return min(found, key=lambda one: abs(found[one]))
