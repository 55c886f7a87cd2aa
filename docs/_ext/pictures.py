"""The pictures of the gallery: those that a script leaves in its folder (`pushforward.report.save_picture`).

A scraper in sphinx-gallery's sense. It runs after every block of a script, moves the `.png` and `.gif` files that are
named after the script to where sphinx-gallery wants them, and returns the reStructuredText that shows them. Nothing
stays behind among the scripts.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from PIL import Image

ENDINGS = (".png", ".gif")
DENSE = 700  # pixels of width from which a PNG holds two dots for a pixel, as `save_picture` draws charts


class Pictures:
    """Takes the pictures of a script."""

    def __repr__(self) -> str:
        return "Pictures"  # stands in the configuration, by which sphinx-gallery knows whether it changed

    def __call__(self, block: Any, block_vars: dict[str, Any], gallery_conf: dict[str, Any]) -> str:
        script = Path(block_vars["src_file"])
        out = []
        for made in left_by(script):
            target = Path(next(block_vars["image_path_iterator"])).with_suffix(made.suffix)
            shutil.move(made, target)
            if target.suffix == ".gif":
                _last_frame(target)
            place = "/" + target.relative_to(gallery_conf["src_dir"]).as_posix()
            out += [f".. image:: {place}", f"   :alt: {_title(script)}", f"   :width: {_width(target)}px"]
            out += ["   :class: sphx-glr-single-img", ""]
        return "\n".join(out)


def left_by(script: Path) -> list[Path]:
    """The pictures in the folder of `script` that carry its name."""
    return sorted(path for ending in ENDINGS for path in script.parent.glob(f"{script.stem}*{ending}"))


def forget(gallery_conf: dict[str, Any], script: Any) -> None:
    """Before a script, and after: what an earlier run that failed has left is no picture of this one."""
    for path in left_by(Path(gallery_conf["src_dir"], "..", "examples", script).resolve()):
        path.unlink()


def _last_frame(path: Path) -> None:
    """The thumbnail of an animation shows how it ends: sphinx-gallery takes a PNG before a GIF."""
    with Image.open(path) as image:
        image.seek(getattr(image, "n_frames", 1) - 1)
        image.convert("RGB").save(path.with_suffix(".png"))


def _width(path: Path) -> int:
    with Image.open(path) as image:
        return image.width // 2 if path.suffix == ".png" and image.width >= DENSE else image.width


def _title(script: Path) -> str:
    lines = script.read_text(encoding="utf-8").lstrip('"').strip().splitlines()
    return lines[0].strip()
