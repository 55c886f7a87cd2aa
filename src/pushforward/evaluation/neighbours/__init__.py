"""Figures that rest on nearest neighbours: coverage, memorisation and privacy.

- `manifolds`: precision, recall, density, coverage and their clipped forms;
- `typicality`: alpha-precision, beta-recall, authenticity;
- `copying`: data copying (C_T), membership, near copies, distances to the closest record; `fld`: feature likelihood;
- `repeats`: rows that FAKE repeats; `modes`: counts by mode, and which are missing;
- `gower`: the nearest record of a table of mixed columns; `search`: the exact search behind the others.
"""

from .copying import (
    DataCopying,
    RecordDistances,
    closest_record,
    data_copying,
    distance_ratio,
    identical,
    membership,
    near_copies,
    record_distances,
)
from .fld import FeatureLikelihood, feature_likelihood
from .gower import GowerNearest, gower_nearest
from .manifolds import NeighbourScores, density_coverage, expected_coverage, neighbour_scores, precision_recall
from .modes import Mode, ModeReport, mode_report
from .repeats import Repeats, crowding, repeats
from .search import nearest
from .typicality import Authenticity, alpha_precision, authenticity, beta_recall

__all__ = [
    "Authenticity",
    "DataCopying",
    "FeatureLikelihood",
    "GowerNearest",
    "Mode",
    "ModeReport",
    "NeighbourScores",
    "RecordDistances",
    "Repeats",
    "alpha_precision",
    "authenticity",
    "beta_recall",
    "closest_record",
    "crowding",
    "data_copying",
    "density_coverage",
    "distance_ratio",
    "expected_coverage",
    "feature_likelihood",
    "gower_nearest",
    "identical",
    "membership",
    "mode_report",
    "near_copies",
    "nearest",
    "neighbour_scores",
    "precision_recall",
    "record_distances",
    "repeats",
]
