"""A sheet of images: one PNG that shows many."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ..data.dataset import Dataset
from ..data.provenance import KEY, dump, make_record
from ..errors import InputError
from ..files import atomic_file

GAP = 2


def sheet(images: Tensor, *, columns: int, scale: int = 1) -> Tensor:
    """The uint8 `images` `(n, c, h, w)` row by row on white: `(c, H, W)`, each pixel `scale` x `scale` large."""
    n, c, h, w = images.shape
    rows = -(-n // columns)
    h, w = h * scale, w * scale
    canvas = torch.full((c, rows * (h + GAP) + GAP, columns * (w + GAP) + GAP), 255, dtype=torch.uint8)
    large = images.repeat_interleave(scale, 2).repeat_interleave(scale, 3)
    for k in range(n):
        top, left = GAP + (k // columns) * (h + GAP), GAP + (k % columns) * (w + GAP)
        canvas[:, top : top + h, left : left + w] = large[k]
    return canvas


def write_sheet(
    dataset: Dataset,
    path: str | os.PathLike[str],
    *,
    made_by: Mapping[str, Any] | None = None,
    count: int = 100,
    columns: int = 20,
) -> None:
    """Write the first `count` images of `dataset` as one PNG; `made_by`, where given, goes into its text chunk."""
    from PIL import Image
    from PIL.PngImagePlugin import PngInfo

    if dataset.kind != "images":
        raise InputError(f"{dataset.name}: holds {dataset.kind}, and only images can be laid out on a sheet")
    images = dataset.values[:count].cpu()
    side = max(1, int(max(images.shape[2:])))
    canvas = sheet(images, columns=min(columns, max(1, len(images))), scale=max(1, min(4, 48 // side)))
    array = canvas.permute(1, 2, 0).numpy()
    picture = Image.fromarray(array[:, :, 0] if array.shape[2] == 1 else array)
    info = PngInfo()
    if made_by is not None:
        info.add_itxt(KEY, dump(make_record(made_by, kind="images", synthetic=True)))
    with atomic_file(Path(path)) as temporary:
        picture.save(temporary, format="PNG", pnginfo=info, optimize=True)
