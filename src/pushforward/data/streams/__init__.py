"""Sources too large to hold: read in parts, in bounded memory, by one process or several; see `read_bounded`."""

from __future__ import annotations

from .bounded import Bounded, read_bounded
from .opening import only_in_parts, open_stream
from .progress import Progress, shown
from .sampling import chosen_rows, reservoir
from .stream import Part, Stream
from .summary import Levels, Numbers, Summary

__all__ = [
    "Bounded",
    "Levels",
    "Numbers",
    "Part",
    "Progress",
    "Stream",
    "Summary",
    "chosen_rows",
    "only_in_parts",
    "open_stream",
    "read_bounded",
    "reservoir",
    "shown",
]
