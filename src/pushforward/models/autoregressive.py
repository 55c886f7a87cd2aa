"""`MADE`: rows unit by unit, each given the ones before it, with an exact likelihood (Germain et al. 2015).

    ln p(x) = sum_t ln p(x_{o(t)} | x_{o(1)}, ..., x_{o(t-1)})

A unit is a table's column, a coordinate of points or a pixel. Its law is a softmax (categories, and pixels of few
shades), a mixture of Gaussians (numbers) or of discretised logistics (pixels of many shades), so that the law of a
table or a picture is one of discrete values where these are discrete. `order` says in which order:

    natural    the row's own (of a table its numbers, then its categories); one pass for the likelihood
    random     a drawn one
    any        all orders at once, by training under masks: any columns can be given and the others drawn from their
               law (`sample(given={"cut": "Ideal"})`), in place of drawing whole rows until some meet it. The likelihood
               is that of the even mixture of `orders` orders, in as many passes as a row has units for each

With `orders` > 1 masked networks of several orders share their weights, and the likelihood is their mixture's: in as
many passes, and a better one (binarised digits: 17.6 nats with one order, 17.0 with eight).

`Imputer` has the same network as `any`, trained on masks of other laws (rectangles and sides of images too), weighs
rows otherwise, and fills rows with holes; it has no likelihood of whole rows. See `nets.made`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, ClassVar

import torch
from torch import nn

from ..data.codec import Codec
from ..errors import InputError
from ..nets.cells import cells_of, layout_of
from ..nets.event import Event
from ..nets.made import AnyOrder, MADENet
from . import networks
from .classical.base import Likelihood
from .neural import Conditioned, Densities, Samples
from .setup import Game

ORDERS = ("natural", "random", "any")
MOST = 4096  # units of a row


class MADE(Conditioned, Samples, Densities):
    """A masked autoregressive network of points, tables or images; see the module's docstring.

    order: `natural`, `random` or `any` (of points and tables); orders: how many there are of it.
    `log_prob` is exact: of points a density, of images the mass of the picture.
    The others: see `Neural`.
    """

    likelihood: ClassVar[Likelihood] = "exact"

    def __init__(
        self,
        *,
        order: str = "natural",
        orders: int = 1,
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
        self.order = order
        self.orders = orders

    def _joint(self) -> bool:
        return self.order != "any"  # in joint coordinates a cell says nothing without those before it

    def _check(self) -> None:
        if self.order not in ORDERS:
            raise InputError(f"unknown order {self.order!r}; known: {', '.join(ORDERS)}")
        if not isinstance(self.orders, int) or self.orders < 1:
            raise InputError(f"orders must be a whole number of at least 1, not {self.orders!r}")

    def _settings(self) -> dict[str, Any]:
        return {"order": self.order, "orders": self.orders}

    def _recipe(self, codec: Codec, game: Game) -> networks.Recipe:
        recipe = super()._recipe(codec, game)
        if codec.kind == "images":
            return replace(recipe, steps=3000, batch_size=128, width=512, depth=1)
        return replace(recipe, width=256, depth=2, learning_rate=2e-3 if codec.kind == "table" else 1e-3)

    def _network(self, event: Event, network: Mapping[str, Any], generator: torch.Generator) -> nn.Module:
        sizes = {"width": network["width"], "depth": network["depth"]}
        if event.size > MOST:
            raise InputError(f"rows of {event.size:,} numbers are too many for this model, which takes {MOST:,}")
        if network["order"] == "any":
            if event.kind == "images":
                raise InputError(
                    "order='any' is of points and tables; to fill pictures fit Imputer, or take order='natural'"
                )
            if event.given:
                raise InputError("order='any' can be given any columns when it is asked; fit it without given")
            return AnyOrder(layout_of(event), event.shape, orders=network["orders"], **sizes, generator=generator)
        return MADENet(
            cells_of(event),
            event.shape,
            orders=network["orders"],
            shuffled=network["order"] == "random",
            context=event.given,
            **sizes,
            generator=generator,
        )
