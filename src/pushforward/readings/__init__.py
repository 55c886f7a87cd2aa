"""Readings: `Witness` -> answer, each written once for every fitter.

- `estimate(w, x, y)`: the gap with its standard error and interval;
- `permutation_test(statistic, x, y, ...)`: p = (1 + #)/(1 + B) for a witness or any statistic; `KernelStatistic` does
  all B relabellings in one streamed product;
- `explain(w, x, y, ...)`: the records and features that carry the difference;
- `regions(w, x, y, ...)`: where, in words: the leaves of a shallow tree on the witness, counted on rows kept back;
- `jackknife(statistic, x, y, ...)`: a standard error for any smooth statistic;
- `holm`, `benjamini_hochberg`: p-values adjusted for their number;
- `velocity(w, y)`: where to move a model sample.
"""

from pushforward.readings.adjust import benjamini_hochberg, holm
from pushforward.readings.estimate import Estimate, estimate
from pushforward.readings.explain import Explanation, explain, patches
from pushforward.readings.flow import velocity
from pushforward.readings.jackknife import jackknife
from pushforward.readings.kernel_sums import KernelStatistic, KernelSums, kernel_sums
from pushforward.readings.regions import Region, regions, regions_of_scores
from pushforward.readings.significance import Significance, draw_members, permutation_pvalue, permutation_test
from pushforward.readings.wording import Column

__all__ = [
    "Column",
    "Estimate",
    "Explanation",
    "KernelStatistic",
    "KernelSums",
    "Region",
    "Significance",
    "benjamini_hochberg",
    "draw_members",
    "estimate",
    "explain",
    "holm",
    "jackknife",
    "kernel_sums",
    "patches",
    "permutation_pvalue",
    "permutation_test",
    "regions",
    "regions_of_scores",
    "velocity",
]
