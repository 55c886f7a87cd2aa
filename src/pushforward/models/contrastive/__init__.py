"""Contrastive learning: representations from what belongs together, without a likelihood and without samples.

simclr   two random views of one row, or rows of one class            `SimCLR`
clip     rows of two kinds that correspond, row by row                `CLIP`
views    the random changes, by name
"""

from .clip import CLIP
from .simclr import SimCLR

__all__ = ["CLIP", "SimCLR"]
