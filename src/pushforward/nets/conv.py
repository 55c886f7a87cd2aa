"""Networks for images of any size: small residual convolutional networks without normalisation.

Images larger than `FINEST` are cut into patches of 2 x 2, 4 x 4, ... pixels, which are taken as channels: most of the
cost of a convolution is at full size, and little of the picture. From there both networks climb or descend a ladder
of sizes, each half of the next (rounded up), down to a base of about 4 x 4:

    generator  noise -> (width_0, base) -> [double, block, block ...] -> patches -> image, cropped to its size
    critic     image, zero-padded -> patches -> [block, ..., halve] -> (width_0, base) -> one score

A block is h -> h + W'' act(W' act(h)) with 3 x 3 windows, its last layer zero at first; sizes are doubled and halved by
averaging filters (bilinear, 2 x 2 mean), and widths changed by 1 x 1 windows, outside the blocks (as in R3GAN, Huang et
al. 2024, whose grouped bottlenecks pay off only at larger widths).
"""

import math
from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, interpolate, leaky_relu, pad, pixel_shuffle, pixel_unshuffle

from .critic import PLAIN, Critic, Shape
from .initialise import SLOPE, conv, linear
from .mlp import Change

BASE = 4  # the ladder ends at the first size that is at most BASE + 3
FINEST = 16  # the top of the ladder, in patches
WIDEST = 8  # in multiples of the width at full size


def patch_size(height: int, width: int) -> int:
    """1, 2, 4, ...: the least for which at most `FINEST` patches lie along the longer side."""
    return 1 << max(0, math.ceil(math.log2(max(height, width) / FINEST)))


def ladder(height: int, width: int) -> list[tuple[int, int]]:
    """Sizes from the base up: each is twice the one before, and the last at least (height, width)."""
    doublings = max(0, math.floor(math.log2(max(1, min(height, width)) / BASE)))
    base = (math.ceil(height / 2**doublings), math.ceil(width / 2**doublings))
    return [(base[0] * 2**k, base[1] * 2**k) for k in range(doublings + 1)]


def widths_of(event_shape: Sequence[int], width: int) -> list[int]:
    """The generator's channels after each rung, from the base up."""
    patch = patch_size(*event_shape[1:])
    return _widths(width, len(ladder(*(math.ceil(side / patch) for side in event_shape[1:]))))


class ConvBlock(nn.Module):
    """h `(n, width, h, w)` -> h + W'' act(W' act(h))."""

    def __init__(self, width: int, *, generator: torch.Generator) -> None:
        super().__init__()
        self.inner = conv(width, width, 3, generator)
        self.outer = conv(width, width, 3, generator, gain=0.0)

    def forward(self, h: Tensor) -> Tensor:
        out: Tensor = h + self.outer(leaky_relu(self.inner(leaky_relu(h, SLOPE)), SLOPE))
        return out


def _widths(width: int, rungs: int) -> list[int]:
    """Channels from the base up: `width` at full size, doubling at each halving up to `WIDEST` times."""
    return [min(WIDEST, 2**k) * width for k in reversed(range(rungs))]


class ConvGenerator(nn.Module):
    """Gaussian noise `(n, noise_size)` -> images `(n, c, h, w)` in (-1, 1); any numbers where not `bounded`."""

    def __init__(
        self,
        event_shape: Sequence[int],
        *,
        noise_size: int = 64,
        width: int = 32,
        depth: int = 1,
        bounded: bool = True,
        generator: torch.Generator,
    ) -> None:
        super().__init__()
        self.bounded = bounded
        channels, self.height, self.width = event_shape
        self.patch = patch_size(self.height, self.width)
        sizes = ladder(math.ceil(self.height / self.patch), math.ceil(self.width / self.patch))
        widths = _widths(width, len(sizes))
        self.noise_size = noise_size
        self.base = (widths[0], *sizes[0])
        self.enter = linear(noise_size, math.prod(self.base), generator, gain=1.0)
        self.levels = nn.ModuleList()
        for before, after in zip([widths[0], *widths[:-1]], widths, strict=True):
            change = conv(before, after, 1, generator, gain=1.0, bias=False) if before != after else nn.Identity()
            self.levels.append(nn.Sequential(change, *(ConvBlock(after, generator=generator) for _ in range(depth))))
        self.leave = conv(widths[-1], channels * self.patch**2, 3, generator, gain=1.0)

    def noise(self, n: int, *, generator: torch.Generator) -> Float[Tensor, "n m"]:
        return torch.randn(n, self.noise_size, generator=generator, device=generator.device)

    def forward(self, noise: Float[Tensor, "n m"], change: Change | None = None) -> Float[Tensor, "n c h w"]:
        h = self.enter(noise).unflatten(1, self.base)
        for rung, level in enumerate(self.levels):
            if rung:
                h = interpolate(h, scale_factor=2, mode="nearest")
            h = level(h)
            h = h if change is None else change(rung, h)
        images: Tensor = pixel_shuffle(self.leave(leaky_relu(h, SLOPE)), self.patch)
        images = images[..., : self.height, : self.width]
        return images.tanh() if self.bounded else images


class ConvCritic(Critic):
    """Images `(n, c, h, w)` -> scores `(n,)`, higher where data exceed the model."""

    def __init__(
        self,
        event_shape: Sequence[int],
        *,
        width: int = 32,
        depth: int = 1,
        shape: Shape = PLAIN,
        generator: torch.Generator,
    ) -> None:
        channels, height, wide = event_shape
        patch = patch_size(height, wide)
        sizes = ladder(math.ceil(height / patch), math.ceil(wide / patch))
        widths = _widths(width, len(sizes))[::-1]
        super().__init__(widths[-1] * math.prod(sizes[0]), shape, generator=generator)
        self.patch = patch
        self.margins = (0, sizes[-1][1] * patch - wide, 0, sizes[-1][0] * patch - height)
        self.enter = conv(shape.pack * channels * patch**2, widths[0], 3, generator, gain=1.0)
        self.levels = nn.ModuleList()
        for before, after in zip(widths, [*widths[1:], widths[-1]], strict=True):
            change = conv(before, after, 1, generator, gain=1.0, bias=False) if before != after else nn.Identity()
            self.levels.append(nn.Sequential(*(ConvBlock(before, generator=generator) for _ in range(depth)), change))

    def hidden(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n features"]:
        h = self.enter(pixel_unshuffle(pad(x, self.margins), self.patch))
        for rung, level in enumerate(self.levels):
            if rung:
                h = avg_pool2d(h, 2)
            h = level(h)
        return leaky_relu(h, SLOPE).flatten(1)
