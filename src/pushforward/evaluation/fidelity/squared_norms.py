"""An interval for a squared distance |delta|^2 between two means, estimated without bias, that holds where it is 0 too.

The Frechet distance (to second order) and every MMD^2 are |delta|^2, delta the difference of two means in some space.
With D = delta + noise, noise ~ N(0, Sigma) for the sizes at hand, the plug-in is |D|^2 and the estimate
|D|^2 - tr Sigma has the variance

    4 delta' Sigma delta + 2 tr Sigma^2:    a linear part, in proportion to |delta|^2 along one direction, and a rest B.

What is seen is A = 4 D' Sigma D = 4 delta' Sigma delta + 2 B on average. At |delta|^2 = theta in the direction that was
found the variance is thus c theta + B, with c = A/|D|^2, or (A - 2B)/estimate where the estimate stands clear of 0.
The interval is the set of all theta that a test at that variance does not reject, |estimate - theta| <=
z sqrt(c theta + B), as Wilson's interval is for a share: its ends solve a quadratic equation.
"""

from __future__ import annotations

import math

from ...witness import Estimate


def squared_norm_estimate(
    estimate: float, *, plug_in: float, linear: float, rest: float, dof: float = math.inf, level: float = 0.95
) -> Estimate:
    """`estimate` with its interval; `linear` is A, `rest` B, both with `dof` degrees of freedom (Student's quantile).

    `low` and `high` are clipped at 0, but `low` is never above the estimate, which may be negative.
    """
    from scipy.stats import norm, t

    z = float(norm.ppf(0.5 + level / 2.0) if math.isinf(dof) else t.ppf(0.5 + level / 2.0, dof))
    slope = linear / plug_in if plug_in > 0.0 else 0.0
    if estimate > 2.0 * math.sqrt(rest):
        slope = max(slope, (linear - 2.0 * rest) / estimate)
    centre = estimate + z * z * slope / 2.0
    half = z * math.sqrt(max(0.0, z * z * slope * slope / 4.0 + slope * estimate + rest))
    stderr = math.sqrt(max(linear - rest, rest))
    return Estimate(estimate, stderr, min(max(0.0, centre - half), estimate), max(0.0, centre + half), level)


def without_interval(value: float, level: float) -> Estimate:
    """A value whose error is not known: NaN."""
    return Estimate(value, math.nan, math.nan, math.nan, level)
