"""Several objectives at once: ways of descending them together, and the front of what can be had."""

from .directions import WAYS, combined, least_norm, smooth_tchebycheff, tchebycheff, weighted
from .front import Front, dominated, hypervolume, pareto

__all__ = [
    "WAYS",
    "Front",
    "combined",
    "dominated",
    "hypervolume",
    "least_norm",
    "pareto",
    "smooth_tchebycheff",
    "tchebycheff",
    "weighted",
]
