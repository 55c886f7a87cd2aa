"""Small PNGs as data URIs: pictures that travel inside a result."""

from __future__ import annotations

import base64
import io

import torch
from torch import Tensor

SIDE = 64


def thumbnail(image: Tensor) -> str:
    """A uint8 image `(c, h, w)`, c = 1 or 3, as a `data:image/png` URI, shrunk to at most `SIDE` pixels a side."""
    from PIL import Image

    array = image.to(torch.uint8).permute(1, 2, 0).cpu().numpy()
    picture = Image.fromarray(array[:, :, 0] if array.shape[2] == 1 else array)
    picture.thumbnail((SIDE, SIDE))
    buffer = io.BytesIO()
    picture.save(buffer, format="PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")
