"""Two-sample tests by name: a statistic and its null -> `TestResult`.

`two_sample(x, y, method)` answers whether two sets differ, `distance(x, y, method)` by how much; `METHODS` lists the
ways.
"""

from pushforward.twosample.methods import METHODS, Method, distance, two_sample
from pushforward.twosample.result import TestResult

__all__ = ["METHODS", "Method", "TestResult", "distance", "two_sample"]
