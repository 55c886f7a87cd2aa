"""Regularisers of the adversarial game: composable, by name or as objects."""

from .base import Play, Regulariser, Scene
from .pairs import check_pairs
from .table import REGULARISERS, Row, Setting, parse, regularisers

__all__ = ["REGULARISERS", "Play", "Regulariser", "Row", "Scene", "Setting", "check_pairs", "parse", "regularisers"]
