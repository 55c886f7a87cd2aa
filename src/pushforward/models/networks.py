"""Which networks and settings suit which data: the recipe of each kind, and the penalty's weight from the data's scale.

All distances are in encoded space, the one that critics see (points standardised, images in [-1, 1]).

The weight gamma of R1 + R2 sets the width h at which the critic can tell data from samples: a critic that goes from 0
to 1 over a distance h has |grad|^2 = 1/h^2, and pays gamma / (2 h^2). So gamma is measured in squared distances of
the data,

    first = coarse * spread,   spread = E|x - E x|^2                          (the size of the whole cloud)
    last  = min(first / 10, fine * local)                                     (the size of its finest visible structure)
    local = median squared distance to the sqrt(m)-th nearest of m = 1024 rows

and falls geometrically from the first to the last (schedule.py): the generator first finds all the mass, as every
region is within the critic's sight, and then sharpens. With the last value from the start, points fall into a few
modes and stay.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from ..data.codec import Codec
from ..data.tables import TableCodec
from ..nets import ConvCritic, ConvGenerator, MLPCritic, MLPGenerator, Shape, TabularCritic, TabularGenerator

SAMPLED = 1024  # rows whose distances are measured
TINY = 256  # numbers in an image up to which a perceptron learns more in the same time than convolutions


@dataclass(frozen=True)
class Recipe:
    """Settings of one run; `noise_size`, `width` and `depth` are those of both networks."""

    steps: int
    batch_size: int
    learning_rate: float
    noise_size: int
    width: int
    depth: int
    coarse: float
    fine: float
    half_life: int  # of the moving average, in batches
    steep: float = 0.0  # how sudden the steps are that the generator's blocks make (see `nets.mlp`)
    shift: int = 0  # images: the critic sees them shifted by up to this many pixels
    gp: float = 10.0  # weight of a penalty that holds the critic's slope at 1 (Gulrajani et al. 2017)


def recipe(codec: Codec, *, velocity: object = None) -> Recipe:
    """The default settings for data of the codec's kind and size, of a game or of a generator that follows `velocity`.

    points: 15,000 steps of 512. images: 6,000 of 128 for tiny ones (`TINY`), else 10,000 of 64. table: 2,000 of 512,
    as the generator starts from fitted coordinates and categories (`data.coordinates`, `nets.tabular`).
    """
    if velocity:
        return _recipe_of_flow(codec)
    if codec.kind == "points":
        (d,) = codec.event_shape
        # as many dimensions as the data, while those are few: more noise than data must be folded away, which costs
        # the generator sharpness (ring-8: 97 % high quality with 2, 83 % with 16, at the same step)
        sizes = (15000, 512, 1e-3, max(2, min(d, 64)), 128, 2)
        # gp: at 10 a critic that takes one step at a time cannot keep up (square, 500 steps: 2 modes of 16; at 1 all)
        return Recipe(*sizes, coarse=1.0, fine=1.0, half_life=500, steep=8.0, gp=1.0)
    if codec.kind == "images":
        if math.prod(codec.event_shape) <= TINY:
            return Recipe(6000, 128, 1e-3, 64, 256, 2, coarse=0.1, fine=0.01, half_life=500, shift=1)
        return Recipe(10000, 64, 5e-4, 64, 32, 1, coarse=0.1, fine=0.01, half_life=500, shift=1)
    return Recipe(2000, 512, 2e-3, 16, 128, 2, coarse=0.1, fine=1.0, half_life=200)


def _recipe_of_flow(codec: Codec) -> Recipe:
    """As for a game, with the larger batches that a velocity is estimated from."""
    game = recipe(codec)
    return replace(game, steps=4000, batch_size=512, shift=0)


def build(
    codec: Codec,
    *,
    noise_size: int,
    width: int,
    depth: int,
    frequencies: Sequence[float] = (),
    steep: float = 0.0,
    perceptron: bool = False,
    shape: Mapping[str, Any] | None,
    generator: torch.Generator,
) -> tuple[nn.Module, nn.Module | None]:
    """(generator, critic) for the codec's data, their first weights drawn from `generator`, on its device.

    `shape` is the critic's (see `nets.Shape`); None for no critic. perceptron: for images of any size, as for tiny
    ones: networks to which the order of the pixels says nothing.
    """
    event, sizes = codec.event_shape, {"width": width, "depth": depth}
    seen = Shape(**(shape or {}))
    tiny = codec.kind == "images" and (perceptron or math.prod(event) <= TINY)
    made: nn.Module
    critic: nn.Module
    if isinstance(codec, TableCodec):
        made = TabularGenerator(codec.blocks, noise_size=noise_size, width=width, depth=depth, generator=generator)
        critic = TabularCritic(codec.blocks, **sizes, shape=seen, generator=generator)
    elif codec.kind == "points" or tiny:
        made = MLPGenerator(event, noise_size=noise_size, **sizes, bounded=tiny, steep=steep, generator=generator)
        critic = MLPCritic(event, **sizes, frequencies=frequencies, shape=seen, generator=generator)
    else:
        made = ConvGenerator(event, noise_size=noise_size, width=width, depth=depth, generator=generator)
        critic = ConvCritic(event, **sizes, shape=seen, generator=generator)
    return made, critic if shape is not None else None


def frequencies_from_scale(local: float, dimensions: int, *, count: int = 6, few: int = 16) -> tuple[float, ...]:
    """Angular frequencies from 1 to half of one over the finest structure, evenly on the log scale; none where that is
    less than 2 (nothing fine to see) or in more than `few` dimensions (where neighbours are never near)."""
    top = 0.5 / math.sqrt(local) if local > 0 else 0.0
    if top < 2 or dimensions > few:
        return ()
    return tuple(min(top, 64.0) ** (k / (count - 1)) for k in range(count))


def scales(rows: Tensor, expand: Callable[[Tensor], Tensor], *, seed: int) -> tuple[float, float]:
    """(spread, local) of the encoded `rows`: see the module's docstring. Squared distances."""
    chosen = torch.randperm(len(rows), generator=torch.Generator().manual_seed(seed))[:SAMPLED]
    x = expand(rows[chosen.to(rows.device)]).flatten(1).cpu().double()
    spread = float((x - x.mean(0)).square().sum(1).mean())
    neighbour = min(len(x) - 1, max(1, round(math.sqrt(len(x)))))
    local = float(torch.cdist(x, x).square().kthvalue(neighbour + 1, dim=1).values.median()) if len(x) > 1 else 0.0
    return spread, local


def weights_from_scale(spread: float, local: float, coarse: float, fine: float) -> tuple[float, float]:
    """(first, last) weight of R1 + R2. Data without any spread get 1 and .1, for want of a scale."""
    if spread <= 0:
        return 1.0, 0.1
    first = coarse * spread
    return first, min(first / 10, max(fine * local, 1e-5 * first))  # equal rows make local 0
