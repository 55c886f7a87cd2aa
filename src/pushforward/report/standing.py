"""Pictures that stand alone, in one look: `save_picture` of a chart, an image, or frames that become an animation.

    save_picture(chart, "null.png")                                   # an Altair chart
    save_picture([chart_at(step) for step in steps], "training.gif")  # frames: charts or images of one size
    save_picture(sheet_of(images), "digits.png")                      # images on a sheet

Colours are told apart by readers with any colour vision (after Okabe and Ito, 2008), the first two of them the
report's own: real is blue, fake is vermilion, everywhere.
"""

from __future__ import annotations

import io
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ..errors import InputError
from ..files import atomic_file
from .charts import FONT
from .sheet import sheet

REAL, FAKE = "#0069a8", "#c2500f"
SERIES = (REAL, FAKE, "#1c8a66", "#b0669a", "#b98500", "#56b4e9", "#4a4a4a")
LOOK: dict[str, Any] = {
    "background": "white",
    "font": FONT,
    "view": {"stroke": None},
    "axis": {
        "labelColor": "#3d4653",
        "titleColor": "#3d4653",
        "domainColor": "#c9cfd8",
        "tickColor": "#c9cfd8",
        "gridColor": "#edf0f4",
        "titleFontWeight": "normal",
        "labelFontSize": 12,
        "titleFontSize": 13,
    },
    "legend": {"labelFontSize": 12, "titleFontSize": 12, "titleFontWeight": "normal", "symbolOpacity": 1},
    "header": {"labelFontSize": 13, "titleFontSize": 13, "titleFontWeight": "normal", "labelFontWeight": 600},
    "title": {"fontSize": 15, "subtitleFontSize": 12.5, "subtitleColor": "#5b6573", "anchor": "start", "offset": 12},
    "range": {"category": list(SERIES)},
    "line": {"strokeWidth": 2},
    "point": {"filled": True},
}


def image_of(picture: Any, *, scale: float = 2.0) -> Any:
    """`picture` as an image of Pillow: an Altair chart drawn with `scale` dots a pixel, or the image itself."""
    from PIL import Image

    if isinstance(picture, Image.Image):
        return picture
    if not hasattr(picture, "to_dict"):
        raise InputError(f"a picture is an Altair chart or an image of Pillow, not {type(picture).__name__}")
    import vl_convert

    png = vl_convert.vegalite_to_png(_looked(picture.to_dict()), scale=scale)
    return Image.open(io.BytesIO(png)).convert("RGB")


def _looked(spec: dict[str, Any]) -> dict[str, Any]:
    """`spec` in the look, but for what it says itself; Altair says something of the view in every chart."""
    own = spec.get("config", {})
    parts = {key: {**LOOK.get(key, {}), **part} if isinstance(part, dict) else part for key, part in own.items()}
    return {**spec, "config": {**LOOK, **parts}}


def sheet_of(images: Any, *, columns: int = 10, scale: int = 4) -> Any:
    """`images`, an array or tensor `(n, h, w)` or `(n, c, h, w)` of bytes (or of numbers from 0 to 1), row by row on
    one image of Pillow, every pixel `scale` dots wide."""
    from PIL import Image

    x = torch.as_tensor(np.asarray(images))
    if x.is_floating_point():
        x = (x.clamp(0, 1) * 255).round().to(torch.uint8)
    if x.ndim not in (3, 4) or len(x) == 0 or x.dtype != torch.uint8:
        raise InputError(f"images are (n, h, w) or (n, c, h, w), bytes or from 0 to 1, not {tuple(x.shape)} {x.dtype}")
    x = x[:, None] if x.ndim == 3 else x
    canvas = sheet(x, columns=min(columns, len(x)), scale=scale).permute(1, 2, 0).numpy()
    return Image.fromarray(canvas[:, :, 0] if canvas.shape[2] == 1 else canvas)


def save_picture(picture: Any, path: str | os.PathLike[str], *, scale: float = 2.0, seconds: float = 5.0) -> None:
    """Write `picture` to `path`, replacing it.

    picture: an Altair chart or an image of Pillow, for a .png (a chart also for an .svg); or a sequence of them,
        the frames of an animation, for a .gif.
    scale: dots a pixel of a chart. seconds: how long an animation lasts, before it rests a while on its last frame
        and begins again.
    Raises `InputError` for another ending, frames of several sizes, or none.
    """
    target = Path(path)
    frames = list(picture) if isinstance(picture, Sequence) else None
    ending = target.suffix.lower()
    if ending not in ((".gif",) if frames is not None else (".png", ".svg")):
        raise InputError(f"{path}: frames become a .gif, one picture a .png or an .svg; choose such a name")
    if ending == ".svg":
        _svg(picture, target)
    elif frames is None:
        with atomic_file(target) as temporary:
            image_of(picture, scale=scale).save(temporary, format="PNG", optimize=True)
    else:
        _animation(frames, target, scale=scale, seconds=seconds)


def _svg(picture: Any, target: Path) -> None:
    import vl_convert

    if not hasattr(picture, "to_dict"):
        raise InputError(f"{target}: only charts can be written as .svg; choose a .png")
    with atomic_file(target) as temporary:
        svg = vl_convert.vegalite_to_svg(_looked(picture.to_dict()))
        Path(temporary).write_text(svg, encoding="utf-8")


def _animation(frames: Sequence[Any], target: Path, *, scale: float, seconds: float) -> None:
    """A GIF of one palette for all frames, which keeps it small and still colours from flickering."""
    from PIL import Image

    images = [image_of(frame, scale=scale) for frame in frames]
    if not images:
        raise InputError(f"{target}: an animation needs at least one frame")
    if len({image.size for image in images}) != 1:
        sizes = sorted({image.size for image in images})
        raise InputError(
            f"{target}: frames are of {len(sizes)} sizes, from {sizes[0]} to {sizes[-1]}; "
            "make them alike (marks beyond an axis widen a chart: mark_...(clip=True))"
        )
    chosen = images[:: max(1, len(images) // 6)] + images[-1:]
    strip = Image.new("RGB", (chosen[0].width, sum(image.height for image in chosen)))
    top = 0
    for image in chosen:
        strip.paste(image, (0, top))
        top += image.height
    palette = strip.quantize(64, method=Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE)
    flat = [image.convert("RGB").quantize(palette=palette, dither=Image.Dither.NONE) for image in images]
    each = max(20, round(1000 * seconds / len(flat)))
    with atomic_file(target) as temporary:
        flat[0].save(
            temporary,
            format="GIF",
            save_all=True,
            append_images=flat[1:],
            duration=[each] * (len(flat) - 1) + [each + 1500],
            loop=0,
            optimize=True,
        )
