"""`Flow`: a normalising flow, an invertible network with an exact density, its latents and samples in both directions.

    x = f^-1(z), z ~ N(0, I),      ln p(x) = ln N(f(x); 0, I) + ln |det df/dx|

`transform` names f: `nsf` (splines, the most flexible), `maf` (affine, autoregressive), `realnvp` (affine, coupling:
samples as fast as densities; the other two take one pass for every number of a row). See `nets.zuko_flow`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, ClassVar

import torch
from torch import nn

from ..data.codec import Codec
from ..errors import InputError
from ..nets.event import Event
from ..nets.zuko_flow import SQUASHES, TRANSFORMS, FlowNet
from . import networks
from .classical.base import BoundOfImages, Likelihood
from .neural import Codes, Conditioned, Densities, Samples
from .setup import Game

MOST = 4096  # numbers in a row


class Flow(Conditioned, Samples, Densities, Codes):
    """A normalising flow of points, images or tables.

    transform: `nsf`, `maf` or `realnvp`; transforms: how many of them, one after the other (3, 5 and 8). bins: of a
        spline of `nsf`; None: 16, of images 8. squash: how the spread shades of a pixel become a number, `score` or
        `logit`; None: `score`.
    `log_prob` is exact of points and tables, and of images a lower bound by uniform dequantisation. `encode` gives z,
    `(n, numbers)`, and of a table one more for every category; `decode` is its inverse.
    The others: see `Neural`.
    """

    likelihood: ClassVar[Likelihood] = BoundOfImages()  # type: ignore[assignment]

    def __init__(
        self,
        *,
        transform: str = "nsf",
        transforms: int | None = None,
        bins: int | None = None,
        squash: str | None = None,
        steps: int | None = None,
        time_budget: float | None = None,
        batch_size: int | None = None,
        learning_rate: float | None = None,
        width: int | None = None,
        depth: int | None = None,
        validation: float = 0.1,
        until: str | None = None,
        tolerance: float = 0.55,
        checkpoint_every: int | None = None,
        precision: str = "32-true",
        device: str = "auto",
        seed: int = 0,
    ) -> None:
        super().__init__(
            steps=steps,
            time_budget=time_budget,
            batch_size=batch_size,
            learning_rate=learning_rate,
            width=width,
            depth=depth,
            validation=validation,
            until=until,
            tolerance=tolerance,
            checkpoint_every=checkpoint_every,
            precision=precision,
            device=device,
            seed=seed,
        )
        self.transform = transform
        self.transforms = transforms
        self.bins = bins
        self.squash = squash

    def _check(self) -> None:
        if self.transform not in TRANSFORMS:
            raise InputError(f"unknown transform {self.transform!r}; known: {', '.join(TRANSFORMS)}")
        if self.squash not in (None, *SQUASHES):
            raise InputError(f"unknown squash {self.squash!r}; known: {', '.join(SQUASHES)}")
        for name, value, least in (("transforms", self.transforms, 1), ("bins", self.bins, 2)):
            if value is not None and (not isinstance(value, int) or value < least):
                raise InputError(f"{name} must be a whole number of at least {least}, not {value!r}")

    def _settings(self) -> dict[str, Any]:
        return {
            "kind": self.transform,
            "transforms": self.transforms or TRANSFORMS[self.transform],
            "bins": self.bins,
            "squash": self.squash or "score",
        }

    def _recipe(self, codec: Codec, game: Game) -> networks.Recipe:
        recipe = super()._recipe(codec, game)
        if codec.kind == "images":
            return replace(recipe, steps=2000, batch_size=128, width=256, depth=2)
        return replace(recipe, width=64 if codec.kind == "points" and self.transform == "nsf" else 128, depth=2)

    def _network(self, event: Event, network: Mapping[str, Any], generator: torch.Generator) -> nn.Module:
        if event.size > MOST:
            raise InputError(f"rows of {event.size:,} numbers are too many for this flow, which takes {MOST:,} at most")
        named = {name: network[name] for name in ("kind", "transforms", "squash", "width", "depth")}
        bins = network["bins"] or (8 if event.kind == "images" else 16)
        return FlowNet(event, **named, bins=bins, generator=generator)
