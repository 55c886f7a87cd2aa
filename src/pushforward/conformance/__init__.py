"""The public suite: what any `Link`, `Objective`, `Fitter` or estimator must pass, ours and yours.

Every check raises `AssertionError` and says where; call them from your own tests.
"""

from pushforward.conformance.estimators import check_estimator
from pushforward.conformance.fitters import check_fitter
from pushforward.conformance.links import check_link, check_objective

__all__ = ["check_estimator", "check_fitter", "check_link", "check_objective"]
