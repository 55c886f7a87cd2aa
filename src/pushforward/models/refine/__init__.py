"""Refinement: rows of a trained generator improved by the critic that judged it, by the methods of METHODS."""

from __future__ import annotations

from .calibration import Calibration, calibrate
from .calls import Refined, Report, calibration_of, held_out, measure, refined
from .job import Method, Options
from .methods import METHODS
from .subject import Subject

__all__ = [
    "METHODS",
    "Calibration",
    "Method",
    "Options",
    "Refined",
    "Report",
    "Subject",
    "calibrate",
    "calibration_of",
    "held_out",
    "measure",
    "refined",
]
