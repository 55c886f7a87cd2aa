"""Readings: `Witness` -> answer, each written once for every fitter.

- `estimate(w, x, y)`: the gap with its standard error and interval;
- `permutation_test(statistic, x, y, ...)`: p = (1 + #)/(1 + B) for a witness or any statistic; `KernelStatistic` does
  all B relabellings in one streamed product;
- `explain(w, x, y, ...)`: the records and features that carry the difference;
- `velocity(w, y)`: where to move a model sample.
"""

from pushforward.readings.estimate import Estimate, estimate
from pushforward.readings.explain import Explanation, explain, patches
from pushforward.readings.flow import velocity
from pushforward.readings.kernel_sums import KernelStatistic, KernelSums, kernel_sums
from pushforward.readings.significance import Significance, draw_members, permutation_pvalue, permutation_test

__all__ = [
    "Estimate",
    "Explanation",
    "KernelStatistic",
    "KernelSums",
    "Significance",
    "draw_members",
    "estimate",
    "explain",
    "kernel_sums",
    "patches",
    "permutation_pvalue",
    "permutation_test",
    "velocity",
]
