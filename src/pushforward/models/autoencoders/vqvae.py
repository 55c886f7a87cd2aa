"""`VQVAE`: an autoencoder whose codes are entries of a codebook, and a prior of them (van den Oord et al. 2017).

A row becomes `latent_size` whole numbers below `codebook`; an autoregressive prior learns how they go together, in the
same run, so that rows can be drawn. ln p(x) >= ln p(x | its codes) + ln p(its codes) is the bound that `log_prob`
gives. The terms of the loss are in `nets.vector_quantised`. The codes are places of one vector that an encoder of the
whole row makes; they are not places of a picture.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
import torch
from torch import nn

from ...errors import InputError
from ...nets.event import Event
from ...nets.vector_quantised import CausalPrior, VectorQuantised
from ..classical.base import Likelihood
from ..neural import Codes, Conditioned, Densities, Samples
from .common import bodies, check_decoder, check_number, check_whole, latent_of, law_of

PRIOR = {"width": 64, "depth": 2}


class VQVAE(Samples, Densities, Codes, Conditioned):
    """A vector-quantised autoencoder of points `(n, d)`, tables and images.

    latent_size: how many codes a row has; at most as many as it has numbers. codebook: how many entries. code_size: the
        numbers that an entry stands for. commitment: weight of the encoder's distance to its entries.
    decoder: as of `VAE`. perceptron: for images of any size take networks without convolutions.
    steps, ..., seed: see `Neural`.

    `encode` gives whole numbers `(n, latent_size)`, int64; `decode` takes them.
    """

    likelihood: ClassVar[Likelihood] = "lower_bound"

    def __init__(
        self,
        *,
        latent_size: int | None = None,
        codebook: int = 64,
        code_size: int = 8,
        commitment: float = 0.25,
        decoder: str | None = None,
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
        self.codebook = codebook
        self.code_size = code_size
        self.commitment = commitment
        self.decoder = decoder
        self.perceptron = perceptron

    def _check(self) -> None:
        check_whole(latent_size=self.latent_size, codebook=self.codebook, code_size=self.code_size)
        check_decoder(self.decoder)
        check_number("commitment", self.commitment)
        if self.codebook < 2:
            raise InputError("a codebook of one entry says nothing; give at least 2")

    def _settings(self) -> dict[str, Any]:
        names = ("latent_size", "codebook", "code_size", "commitment", "decoder", "perceptron")
        return {name: getattr(self, name) for name in names}

    def _network(self, event: Event, network: Mapping[str, Any], generator: torch.Generator) -> nn.Module:
        places, size = latent_of(event, network["latent_size"]), network["code_size"]
        law = law_of(event, network["decoder"], device=generator.device)
        wide = places * size
        reader, writer = bodies(event, network, law, read=wide, written=wide, generator=generator)
        prior = CausalPrior(places, network["codebook"], given=event.given, **PRIOR, generator=generator)
        weight = network["commitment"]
        return VectorQuantised(reader, writer, law, prior, size=size, commitment=weight, generator=generator)

    # ---- codes

    def encode(self, data: Any, *, given: Any = None) -> np.ndarray:
        """The codes of the rows of `data`: whole numbers below `codebook`, `(n, latent_size)` int64."""
        return super().encode(data, given=given).astype(np.int64)

    def decode(self, z: Any, *, given: Any = None) -> Any:
        """The rows of codes `(n, latent_size)`, in the kind of container that the model was fitted on."""
        codes = np.asarray(z)
        if codes.size and (codes != np.rint(codes)).any() | (codes < 0).any() | (codes >= self.codebook).any():
            raise InputError(f"codes are whole numbers from 0 to {self.codebook - 1}, as encode gives them")
        return super().decode(codes, given=given)
