"""`WAE`: a Wasserstein autoencoder (Tolstikhin et al. 2018).

    minimise  E c(x, G(E(x))) + weight D(N(0, I), law of E(x))

For c a metric and D = 0 the first term is an optimal-transport cost between the data and the samples G(z), z ~ N(0, I)
(their theorem 1). Single rows may have any code, as long as all of them together are spread as the prior is; a VAE asks
that of every row's own posterior. D is any of the library's own ways to compare two samples: `mmd`, the unbiased MMD^2
under inverse multiquadric kernels (their section 4), `energy`, `sinkhorn` (Patrini et al. 2018), `gmmn`; or a game
against a critic of codes by the name of its objective, `ns` being the paper's WAE-GAN and the adversarial autoencoder
of Makhzani et al. (2016).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import torch
from torch import nn

from ...data.codec import Codec
from ...nets.autoencoder import Wasserstein
from ...nets.codes import MMD, Divergence, playable
from ...nets.decoders import law
from ...nets.event import Event
from ..networks import Recipe
from ..neural import Codes, Conditioned, Samples
from ..setup import Game
from .common import bodies, check_number, check_whole, latent_of

WEIGHT = 10.0  # of the penalty for every number of a row, whose squared error is of that order
NARROWEST = 64  # width of a critic of codes, at least


class WAE(Samples, Codes, Conditioned):
    """A Wasserstein autoencoder of points `(n, d)`, tables and images.

    latent_size: how many numbers a latent has; at most as many as a row. penalty: `mmd`, or the name of an objective
        (see the module). weight: of the penalty; by default 10 for every number of a row, and for a game 1.
    perceptron: for images of any size take networks without convolutions. steps, ..., seed: see `Neural`.

    The cost is |x - y|^2, and of a table minus the log probability of its decoder's law, from which samples are drawn.
    """

    def __init__(
        self,
        *,
        latent_size: int | None = None,
        penalty: str = MMD,
        weight: float | None = None,
        perceptron: bool = False,
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
        self.latent_size = latent_size
        self.penalty = penalty
        self.weight = weight
        self.perceptron = perceptron

    def _check(self) -> None:
        check_whole(latent_size=self.latent_size)
        if self.weight is not None:
            check_number("weight", self.weight)
        if self.penalty != MMD:
            playable(self.penalty)

    def _recipe(self, codec: Codec, game: Game) -> Recipe:
        """Batches of at most 256: a distance between two of them is of all their pairs."""
        found = super()._recipe(codec, game)
        return replace(found, batch_size=min(256, found.batch_size))

    def _settings(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in ("latent_size", "penalty", "weight", "perceptron")}

    def _network(self, event: Event, network: Mapping[str, Any], generator: torch.Generator) -> nn.Module:
        size = latent_of(event, network["latent_size"])
        cost = law(event, "mixed" if event.kind == "table" else "squared", device=generator.device)
        reader, writer = bodies(event, network, cost, read=size, written=size, generator=generator)
        name, weight = network["penalty"], network["weight"]
        if weight is None:
            played = name != MMD and playable(name).critic is not None
            weight = 1.0 if played else WEIGHT * event.size
        wide = max(NARROWEST, network["width"])
        divergence = Divergence(name, weight, size, width=wide, generator=generator)
        return Wasserstein(reader, writer, cost, size, divergence)
