"""Images from a folder, a zip or one file, and back to PNG.

Grey pictures (modes 1, L, LA, 16 bit) stay grey if all are; otherwise all become RGB; transparency is laid over white.
Sizes are read from the headers before anything is decoded, so that a picture that would fill the memory is refused.
"""

from __future__ import annotations

import io
import math
import warnings
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageFile, PngImagePlugin, UnidentifiedImageError
from torch import Tensor

from ..errors import InputError
from .provenance import KEY, parse

ENDINGS = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".webp", ".tif", ".tiff", ".pgm", ".ppm", ".gif"})
FORMATS = ("PNG", "JPEG", "BMP", "WEBP", "TIFF", "PPM", "GIF")
MAX_PIXELS = 50_000_000  # in one picture
MAX_MEMBER = 256 << 20  # bytes of one picture's file
MAX_BYTES = 8 << 30  # of all pictures, decoded
GREY = frozenset({"1", "L", "LA", "I", "I;16", "I;16B", "I;16L", "F"})

Opener = Callable[[], io.IOBase]


def read_folder(path: Path) -> tuple[Tensor, dict[str, Any] | None]:
    """The images under the folder `path` in the order of their names, uint8 `(n, c, h, w)`, and their record."""
    found = files_in(path)
    if not found:
        raise InputError(f"{path}: the folder holds no images ({', '.join(sorted(ENDINGS))}); choose another")
    return _decode([(str(f), _file_opener(f)) for f in found], str(path))


def files_in(path: Path) -> list[Path]:
    """The pictures under the folder `path`, in the order in which they are read."""
    return sorted(f for f in path.rglob("*") if f.suffix.lower() in ENDINGS and f.is_file() and not _hidden(f, path))


def read_one(path: Path) -> tuple[Tensor, dict[str, Any] | None]:
    """One image file, as a set of one."""
    return _decode([(str(path), _file_opener(path))], str(path))


def read_zip(path: Path) -> tuple[Tensor, dict[str, Any] | None]:
    """The images in a zip in the order of their names. Nothing is unpacked to disk."""
    try:
        with zipfile.ZipFile(path) as archive:
            members = [m for m in archive.infolist() if not m.is_dir()]
            for member in members:
                _check_member(member, path)
            found = sorted(
                (
                    m
                    for m in members
                    if PurePosixPath(m.filename).suffix.lower() in ENDINGS and not hidden_name(m.filename)
                ),
                key=lambda m: m.filename,
            )
            if not found:
                raise InputError(f"{path}: the zip holds no images ({', '.join(sorted(ENDINGS))}); choose another")
            return _decode([(f"{path}:{m.filename}", _member_opener(archive, m)) for m in found], str(path))
    except (zipfile.BadZipFile, NotImplementedError, EOFError) as error:
        raise InputError(f"{path}: is not a whole zip file ({error}); copy or make it again") from error


def _check_member(member: zipfile.ZipInfo, path: Path) -> None:
    name = PurePosixPath(member.filename.replace("\\", "/"))
    if name.is_absolute() or ".." in name.parts or member.filename[1:2] == ":":
        raise InputError(f"{path}: the entry {member.filename!r} points outside the zip; make the zip again without it")
    if member.flag_bits & 1:
        raise InputError(f"{path}: the entry {member.filename!r} is encrypted; make the zip again without a password")
    if member.file_size > MAX_MEMBER:
        size = member.file_size / 2**20
        raise InputError(
            f"{path}: the entry {member.filename!r} unpacks to {size:.0f} MiB, more than 256; leave it out"
        )


def _hidden(file: Path, root: Path) -> bool:
    return hidden_name(file.relative_to(root).as_posix())


def hidden_name(name: str) -> bool:
    return any(part.startswith((".", "__MACOSX")) for part in PurePosixPath(name).parts)


def _file_opener(path: Path) -> Callable[[], Any]:
    return lambda: path.open("rb")


def _member_opener(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> Callable[[], Any]:
    def read() -> io.BytesIO:
        with archive.open(member) as file:
            return io.BytesIO(file.read(MAX_MEMBER + 1)[:MAX_MEMBER])  # the declared size is not to be trusted

    return read


@contextmanager
def open_picture(name: str, opener: Callable[[], Any]) -> Iterator[Image.Image]:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # our own limit is lower
            with opener() as file, Image.open(file, formats=FORMATS) as image:
                if image.width * image.height > MAX_PIXELS:
                    raise _bomb(name, f"{image.width} x {image.height} pixels")
                yield image
    except Image.DecompressionBombError as error:
        raise _bomb(name, "far too many pixels") from error
    except UnidentifiedImageError as error:
        raise InputError(f"{name}: is not an image that can be read; remove it or save it as PNG") from error
    except (OSError, SyntaxError, ValueError, EOFError, MemoryError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{name}: the image is damaged or cut short ({error}); replace or remove it") from error


def _bomb(name: str, what: str) -> InputError:
    return InputError(f"{name}: has {what}, more than {MAX_PIXELS:,}; shrink it or leave it out")


def _decode(sources: list[tuple[str, Callable[[], Any]]], where: str) -> tuple[Tensor, dict[str, Any] | None]:
    sizes: dict[tuple[int, int], list[str]] = {}
    grey, record = True, None
    for i, (name, opener) in enumerate(sources):
        with open_picture(name, opener) as image:
            sizes.setdefault(image.size, []).append(name)
            grey = grey and image.mode in GREY
            if i == 0:
                text = image.info.get(KEY)
                record = parse(str(text)) if text else None
    if len(sizes) > 1:
        raise InputError(f"{where}: images of several sizes, {_tell_sizes(sizes)}; bring them to one size")
    ((width, height),) = sizes
    shape = (len(sources), 1 if grey else 3, height, width)
    if math.prod(shape) > MAX_BYTES:
        raise InputError(
            f"{where}: {len(sources):,} images of {width} x {height} fill more than 8 GiB; give fewer or smaller"
        )
    out = np.empty(shape, dtype=np.uint8)
    for i, (name, opener) in enumerate(sources):
        with open_picture(name, opener) as image:
            out[i] = pixels_of(image, grey)
    return torch.from_numpy(out), record


def _tell_sizes(sizes: dict[tuple[int, int], list[str]]) -> str:
    ranked = sorted(sizes.items(), key=lambda item: -len(item[1]))
    told = [
        f"{w} x {h} ({names[0]}{f' and {len(names) - 1} more' if len(names) > 1 else ''})" for (w, h), names in ranked
    ]
    return ", ".join(told[:4]) + (f" and {len(told) - 4} other sizes" if len(told) > 4 else "")


def pixels_of(image: ImageFile.ImageFile | Image.Image, grey: bool) -> np.ndarray:
    """Uint8 `(c, h, w)`."""
    if image.mode in ("I", "I;16", "I;16B", "I;16L", "F"):
        wide = np.asarray(image).astype(np.float64)
        wide = wide if image.mode == "F" else wide / 257.0  # 16 bits to 8
        shade = np.rint(wide).clip(0, 255).astype(np.uint8)
        return shade[None] if grey else np.repeat(shade[None], 3, 0)
    if image.mode in ("LA", "PA", "RGBA", "RGBa", "La") or "transparency" in image.info:
        layer = image.convert("RGBA")
        white = Image.new("RGBA", layer.size, (255, 255, 255, 255))
        image = Image.alpha_composite(white, layer)
    pixels = np.asarray(image.convert("L" if grey else "RGB"))
    return pixels[None] if grey else pixels.transpose(2, 0, 1)


def to_pil(pixels: np.ndarray) -> Image.Image:
    """A picture of uint8 `(c, h, w)`, c = 1 or 3."""
    return Image.fromarray(pixels[0] if len(pixels) == 1 else np.ascontiguousarray(pixels.transpose(1, 2, 0)))


def png(pixels: np.ndarray, record: str | None) -> bytes:
    """A PNG of uint8 `(c, h, w)` with the record in its text."""
    info = PngImagePlugin.PngInfo()
    if record is not None:
        info.add_itxt(KEY, record)
    out = io.BytesIO()
    to_pil(pixels).save(out, "PNG", pnginfo=info)
    return out.getvalue()


def sheet(values: Tensor) -> np.ndarray:
    """All images of uint8 `(n, c, h, w)` side by side, near a square: uint8 `(c, H, W)`."""
    n, c, h, w = values.shape
    across = math.ceil(math.sqrt(n))
    down = math.ceil(n / across)
    if down * h * across * w > MAX_PIXELS:
        raise InputError(f"{n:,} images of {w} x {h} are too many for one sheet; write them to a folder or a .zip")
    page = np.full((down * across, c, h, w), 255, dtype=np.uint8)
    page[:n] = values.cpu().numpy()
    return page.reshape(down, across, c, h, w).transpose(2, 0, 3, 1, 4).reshape(c, down * h, across * w)
