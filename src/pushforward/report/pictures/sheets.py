"""Images laid out in one PNG, its gaps transparent so that it suits a light page and a dark one."""

from __future__ import annotations

import base64
import io

import torch
from torch import Tensor
from torch.nn.functional import interpolate

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
        if len(_png(laid_out(some, len(some)))) * TILES / max(1, len(some)) <= MOST_BYTES:
            return side
    return min(largest, SIDES[-1])


def shrunk(images: Tensor, side: int) -> Tensor:
    """uint8 `images` with at most `side` pixels a side, by averaging over areas."""
    height, width = images.shape[2:]
    ratio = min(1.0, side / max(height, width))
    if ratio == 1.0:
        return images
    size = (max(1, round(height * ratio)), max(1, round(width * ratio)))
    return interpolate(images.float(), size=size, mode="area").round().to(torch.uint8)


def laid_out(images: Tensor, columns: int) -> Tensor:
    """uint8 `(n, c, h, w)` row by row: `(c + 1, H, W)`, the last channel 255 on images and 0 in the gaps."""
    n, c, h, w = images.shape
    rows, gap = -(-n // columns), max(1, h // 14)
    canvas = torch.zeros(c + 1, rows * (h + gap) - gap, columns * (w + gap) - gap, dtype=torch.uint8)
    for k in range(n):
        top, left = (k // columns) * (h + gap), (k % columns) * (w + gap)
        canvas[:c, top : top + h, left : left + w] = images[k]
        canvas[c, top : top + h, left : left + w] = 255
    return canvas


def sheet(images: Tensor, columns: int, alt: str, *, side: int, shown: int = SHOWN) -> Sheet:
    """These uint8 `images` `(n, c, h, w)`, `columns` to a row, each at most `side` pixels in the PNG and about `shown`
    on the page."""
    tiles = shrunk(images.cpu(), side)
    canvas = laid_out(tiles, columns)
    scale = max(1.0, round(shown / max(tiles.shape[2:])))
    uri = "data:image/png;base64," + base64.b64encode(_png(canvas)).decode("ascii")
    return Sheet(uri, round(canvas.shape[2] * scale), alt)


def _png(canvas: Tensor) -> bytes:
    from PIL import Image

    mode = "LA" if canvas.shape[0] == 2 else "RGBA"
    buffer = io.BytesIO()
    Image.fromarray(canvas.permute(1, 2, 0).contiguous().numpy(), mode).save(buffer, format="PNG", optimize=True)
    return buffer.getvalue()
