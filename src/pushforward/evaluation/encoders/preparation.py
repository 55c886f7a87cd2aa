"""Bytes to what a network reads: resizing that does not alias, colours, the scale of numbers; stated in words.

Shrinking by picking pixels, or by interpolating between four of them, aliases: features then tell apart two sets that
were merely resized by two programs (Parmar, Zhang and Zhu 2022, "On Aliased Resizing and Surprising Subtleties in GAN
Evaluation"). So pictures are resized as PIL does it, the filter widened by the factor of shrinking,

    out(i) = sum_j w((j + 1/2) / s - (i + 1/2)) in(j) / sum_j w(...),     s = max(1, in / out),  w cubic with a = -1/2,

in floating point, clipped to 0..255. Samples are bytes before this, as saved pictures are; the result of resizing is
not rounded to bytes again unless `quantise` says so (original implementations of the Frechet inception distance did).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, final

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from ...errors import InputError

Numbers = tuple[float, ...]


def _bytes(of_one: Numbers) -> Numbers:
    return tuple(255 * value for value in of_one)


SCALES: dict[str, tuple[Numbers, Numbers, str]] = {  # (byte - mean) / deviation, in words
    "bytes": ((0.0,), (1.0,), "0..255"),
    "unit": ((0.0,), (255.0,), "scaled to 0..1"),
    "signed": ((127.5,), (127.5,), "scaled to -1..1"),
    "lite": ((127.0,), (128.0,), "scaled by (byte - 127)/128"),
    "imagenet": (_bytes((0.485, 0.456, 0.406)), _bytes((0.229, 0.224, 0.225)), "normalised by ImageNet's means"),
    "clip": (
        _bytes((0.48145466, 0.4578275, 0.40821073)),
        _bytes((0.26862954, 0.26130258, 0.27577711)),
        "normalised by CLIP's means",
    ),
}
LUMA = (0.299, 0.587, 0.114)  # ITU-R 601-2, as PIL's mode L

Size = Callable[[int, int, int], tuple[int, int]]  # (channels, height, width) -> (height, width)


@final
@dataclass(frozen=True)
class Preparation:
    """How pictures, uint8 `(n, c, h, w)`, become what a network reads, float32 `(n, channels, *size)`.

    `size`: (height, width), or what gives it from a picture's shape; None: as they are. `channels`: 3 repeats grey as
    RGB, 1 turns RGB into luma (ITU-R 601), None leaves them. `scale`: a name of `SCALES`.
    """

    size: tuple[int, int] | Size | None = None
    channels: int | None = None
    scale: str = "unit"
    quantise: bool = False

    def __post_init__(self) -> None:
        if self.scale not in SCALES:
            raise InputError(f"scale {self.scale!r}: no such scale of an encoder; known: {', '.join(SCALES)}")
        if self.channels not in (None, 1, 3):
            raise InputError(f"channels {self.channels!r}: an encoder reads 1 (grey) or 3 (RGB) channels")
        if isinstance(self.size, tuple) and min(self.size) < 1:
            raise InputError(f"size {self.size}: an encoder's pictures have sides of at least 1 pixel")

    def __call__(self, images: Tensor) -> Tensor:
        """Float32 `(n, channels, *size)` of uint8 `(n, c, h, w)`, on the same device."""
        x = images.float()
        size = self.size_of(images.shape)
        if size != tuple(x.shape[2:]):
            x = interpolate(x, size=size, mode="bicubic", align_corners=False, antialias=True).clamp(0, 255)
            x = x.round() if self.quantise else x
        if self.channels == 3 and x.shape[1] == 1:
            x = x.expand(-1, 3, -1, -1)
        if self.channels == 1 and x.shape[1] == 3:
            x = (x * x.new_tensor(LUMA)[:, None, None]).sum(1, keepdim=True)
        mean, deviation, _ = SCALES[self.scale]
        return (x - x.new_tensor(mean)[:, None, None]) / x.new_tensor(deviation)[:, None, None]

    def size_of(self, shape: torch.Size | tuple[int, ...]) -> tuple[int, int]:
        """(height, width) of what the network reads, for pictures `(..., c, h, w)`."""
        channels, height, width = shape[-3:]
        if self.size is None:
            return height, width
        return self.size if isinstance(self.size, tuple) else self.size(channels, height, width)

    def reads(self, shape: tuple[int, ...]) -> str:
        """In words, for pictures `(c, h, w)`."""
        channels, height, width = shape
        size = self.size_of(shape)
        words = [f"pictures of {width}x{height}"]
        if size != (height, width):
            rounded = "rounded to bytes" if self.quantise else "not rounded again"
            words[0] += f" resized to {size[1]}x{size[0]} (bicubic, antialiased, {rounded})"
        if self.channels not in (None, channels):
            words.append("grey as RGB" if self.channels == 3 else "colours as luma")
        return ", ".join([*words, f"bytes {SCALES[self.scale][2]}"])

    def key(self, shape: tuple[int, ...]) -> str:
        """Equal for two sets of pictures only where they reach the network in one form."""
        height, width = self.size_of(shape)
        return f"{self.channels or shape[0]}x{height}x{width}:{self.scale}{':rounded' if self.quantise else ''}"

    def asked(
        self, size: int | tuple[int, int] | None, scale: str | None, channels: int | None, quantise: bool | None
    ) -> Preparation:
        """With what the user asked for in place of its own."""
        given: dict[str, Any] = {"scale": scale, "channels": channels, "quantise": quantise}
        given["size"] = (size, size) if isinstance(size, int) else size
        return replace(self, **{name: value for name, value in given.items() if value is not None})


def at_most(numbers: int) -> Size:
    """Shrinks pictures of more than `numbers` values to about that many, their proportions kept."""

    def size(channels: int, height: int, width: int) -> tuple[int, int]:
        ratio = min(1.0, (numbers / (channels * height * width)) ** 0.5)
        return max(1, round(height * ratio)), max(1, round(width * ratio))

    return size


def square(least: int, most: int) -> Size:
    """A square whose side is the picture's longer one, but within `least`..`most`."""

    def size(channels: int, height: int, width: int) -> tuple[int, int]:
        side = min(most, max(least, height, width))
        return side, side

    return size
