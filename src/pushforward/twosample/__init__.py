"""Two-sample tests by name: a statistic and its null -> `TestResult`.

`two_sample(x, y, method)` answers whether two sets differ, `distance(x, y, method)` by how much, `discrepancy(method)`
is its statistic as a function to differentiate; `METHODS` lists the ways. For streams, `ClassifierBetting` and
`KernelBetting` may be looked at after every batch; for one sample and two known densities there is
`likelihood_ratio_test`.
"""

from pushforward.twosample.betting import KernelBetting
from pushforward.twosample.calls import discrepancy, distance, two_sample
from pushforward.twosample.likelihood import LikelihoodRatio, likelihood_ratio_test, samples_needed
from pushforward.twosample.method import Method
from pushforward.twosample.methods import METHODS
from pushforward.twosample.result import Part, TestResult
from pushforward.twosample.sequential import ClassifierBetting, Evidence, SequentialTest

__all__ = [
    "METHODS",
    "ClassifierBetting",
    "Evidence",
    "KernelBetting",
    "LikelihoodRatio",
    "Method",
    "Part",
    "SequentialTest",
    "TestResult",
    "discrepancy",
    "distance",
    "likelihood_ratio_test",
    "samples_needed",
    "two_sample",
]
