"""Two-sample tests by name: a statistic and its null -> `TestResult`.

`two_sample(x, y, method)` answers whether two sets differ, `distance(x, y, method)` by how much, `discrepancy(method)`
is its statistic as a function to differentiate; `METHODS` lists the ways.
"""

from pushforward.twosample.calls import discrepancy, distance, two_sample
from pushforward.twosample.method import Method
from pushforward.twosample.methods import METHODS
from pushforward.twosample.result import Part, TestResult

__all__ = ["METHODS", "Method", "Part", "TestResult", "discrepancy", "distance", "two_sample"]
