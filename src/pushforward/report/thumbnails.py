"""Images laid out in one PNG, its gaps transparent so that it suits a light page and a dark one; `thumbnails` is the
small sheet that cards and charts show."""

from __future__ import annotations

import base64
import io

import torch
from torch import Tensor
from torch.nn.functional import interpolate

SIDE = 48  # pixels that a thumbnail keeps, at most, and takes, about
MOST = 60_000  # bytes of the PNG


def thumbnails(
    images: Tensor, columns: int, *, most: int = MOST, shown: int = SIDE, sharp: bool = False
) -> tuple[str, int, int]:
    """uint8 `images` `(n, c, h, w)`, `columns` to a row: a data URI, its width and its height on the page, where a tile
    takes about `shown` pixels. `sharp`: pixels are drawn large in the PNG, for those who would smooth them.

    Tiles lose pixels until the PNG has at most `most` bytes.
    """
    side = min(SIDE, max(images.shape[2:]))
    while True:
        tiles = shrunk(images.cpu(), side)
        scale = max(1, round(shown / max(tiles.shape[2:])))
        if sharp:
            tiles = tiles.repeat_interleave(scale, 2).repeat_interleave(scale, 3)
        canvas = laid_out(tiles, max(1, min(columns, len(tiles))))
        found = png(canvas)
        if len(found) <= most or side <= 8:
            times = 1 if sharp else scale
            uri = "data:image/png;base64," + base64.b64encode(found).decode("ascii")
            return uri, canvas.shape[2] * times, canvas.shape[1] * times
        side = side * 3 // 4


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


def png(canvas: Tensor) -> bytes:
    from PIL import Image

    mode = "LA" if canvas.shape[0] == 2 else "RGBA"
    buffer = io.BytesIO()
    Image.fromarray(canvas.permute(1, 2, 0).contiguous().numpy(), mode).save(buffer, format="PNG", optimize=True)
    return buffer.getvalue()
