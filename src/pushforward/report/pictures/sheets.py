"""Images laid out in one PNG, its gaps transparent so that it suits a light page and a dark one."""

from __future__ import annotations

import base64

from torch import Tensor

from ..thumbnails import laid_out, png, shrunk
from .parts import Sheet

LARGEST = 96  # pixels a side that a tile keeps, at most
SIDES = (64, 48, 40, 32, 24)  # and what it is shrunk to where the page would grow too large
TILES = 560  # tiles of one page, about
MOST_BYTES = 900_000  # of all its PNGs
SHOWN = 52  # pixels a side that a tile takes on the page, about
MEASURED = 24  # tiles by which the size of a PNG is foretold


def side_of(images: Tensor) -> int:
    """How many pixels a side a tile of these uint8 `images` `(n, c, h, w)` may keep: all, or what keeps pages small."""
    largest = max(images.shape[2:])
    for side in (min(largest, LARGEST), *(s for s in SIDES if s < largest)):
        some = shrunk(images[:MEASURED], side)
        if len(png(laid_out(some, len(some)))) * TILES / max(1, len(some)) <= MOST_BYTES:
            return side
    return min(largest, SIDES[-1])


def sheet(images: Tensor, columns: int, alt: str, *, side: int, shown: int = SHOWN) -> Sheet:
    """These uint8 `images` `(n, c, h, w)`, `columns` to a row, each at most `side` pixels in the PNG and about `shown`
    on the page."""
    tiles = shrunk(images.cpu(), side)
    canvas = laid_out(tiles, columns)
    scale = max(1.0, round(shown / max(tiles.shape[2:])))
    uri = "data:image/png;base64," + base64.b64encode(png(canvas)).decode("ascii")
    return Sheet(uri, round(canvas.shape[2] * scale), alt)
