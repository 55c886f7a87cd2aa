"""What fakes are good for: models trained on them, rules they keep, columns that go together as in REAL."""

from .constraints import Broken, Table, broken_rules, find_constraints
from .dependence import PairDependence, dependence
from .figures import FIGURES, pairs_of, rules_of
from .learning import Learning, learn
from .predict import Utility, default_targets, utility
from .quality import (
    Quality,
    correlation,
    correlation_ratio,
    cramers_v,
    quality,
)
from .rules import Constraint, Violation, violations
from .triples import Triples, total_variation_of_triples

__all__ = [
    "FIGURES",
    "Broken",
    "Constraint",
    "Learning",
    "PairDependence",
    "Quality",
    "Table",
    "Triples",
    "Utility",
    "Violation",
    "broken_rules",
    "correlation",
    "correlation_ratio",
    "cramers_v",
    "default_targets",
    "dependence",
    "find_constraints",
    "learn",
    "pairs_of",
    "quality",
    "rules_of",
    "total_variation_of_triples",
    "utility",
    "violations",
]
