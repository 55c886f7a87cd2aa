"""`BiGAN`: a generator and its inverse, learned in one game (Donahue et al. 2017; ALI, Dumoulin et al. 2017).

The critic judges pairs. Data x come with what an encoder makes of them, samples with the latent they were made from:

    D descends  loss_D(D(x, E(x)), D(G(z), z)) + gamma/2 (|grad D|^2 at the first pairs + at the second)
    G and E     loss_D(D(G(z), z), D(x, E(x))) + cycle mean|x - G(E(x))| + cycle_latent mean|z - E(G(z))|

Each side wants to be taken for the other, so the gradient goes through both. Where the two laws of pairs agree, G's
samples have the data's law, E's latents that of z, and a deterministic E inverts G almost everywhere (Donahue et al.
2017, theorem 2). The game alone comes near that slowly, and the cycle terms (ALICE, Li et al. 2017) ask for it: on a
ring of 8 modes cycle = 1 brings |G(E(x)) - x| from .16 to .04 of a radius of 1, and costs the samples nothing; at 5 it
is .02, and the game suffers. Digits and tables take 5 (docs/benchmarks/bigan.md).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ..data.codec import Codec
from ..errors import InputError
from ..nets import Critic, Shape
from ..nets.encoder import LAWS, BiGenerator, Encoder, Law, PairCritic
from ..nets.joint import Joint
from ..objectives import Objective
from ..training.regularisers.table import Words
from ..witness import Link
from . import latent, networks
from .adversarial import Adversarial
from .rows import as_array, chunks, give_back, read_rows
from .setup import Game

CYCLE = {"points": 1.0, "table": 5.0, "images": 5.0}
NARROWEST = 128  # width of the layers that see x and z together, at least


class BiGAN(Adversarial):
    """A generator with an encoder, for points `(n, d)`, tables and images.

    noise_size: of the latent z that the encoder infers. A table's latent is its generator's continuous noise: one
        normal for every numeric slot, and `noise_size` more; the uniforms that its categories are drawn by are not
        inferred, and `decode` takes the likeliest category.
    law: of z, `normal` N(0, I), or `uniform` on [-1, 1] (points and images).
    stochastic: whether E(x) is a normal law, with a mean and a variance that x decides (ALI), or one latent (BiGAN).
    cycle, cycle_latent: weights of mean |x - G(E(x))|, by default 1 for points and 5 for tables and images, and of mean
        |z - E(G(z))|; 0 for the game alone.
    perceptron: for images of any size take networks to which the order of the pixels says nothing.
    Everything else as for `GAN`.

    Learned: see `OnePass`; `generator_` holds both, as `decoder` and `encoder`.
    """

    def __init__(
        self,
        objective: str | Objective | Link = "rpgan",
        *,
        steps: int | None = None,
        time_budget: float | None = None,
        batch_size: int | None = None,
        learning_rate: float | None = None,
        regularise: Words | None = None,
        gamma: float | None = None,
        n_critic: int = 1,
        critic_rate: float = 1.0,
        optimiser: str = "adam",
        noise_size: int | None = None,
        law: Law = "normal",
        stochastic: bool = False,
        cycle: float | None = None,
        cycle_latent: float = 0.0,
        perceptron: bool = False,
        width: int | None = None,
        depth: int | None = None,
        until: str | None = None,
        tolerance: float = 0.55,
        checkpoint_every: int | None = None,
        precision: str = "32-true",
        device: str = "auto",
        seed: int = 0,
    ) -> None:
        super().__init__(
            objective,
            steps=steps,
            time_budget=time_budget,
            batch_size=batch_size,
            learning_rate=learning_rate,
            regularise=regularise,
            gamma=gamma,
            n_critic=n_critic,
            critic_rate=critic_rate,
            optimiser=optimiser,
            noise_size=noise_size,
            width=width,
            depth=depth,
            until=until,
            tolerance=tolerance,
            checkpoint_every=checkpoint_every,
            precision=precision,
            device=device,
            seed=seed,
        )
        self.law = law
        self.stochastic = stochastic
        self.cycle = cycle
        self.cycle_latent = cycle_latent
        self.perceptron = perceptron

    def _game(self) -> Game:
        if self.law not in LAWS:
            raise InputError(f"unknown law {self.law!r} of the latent; known: {', '.join(LAWS)}")
        for name, weight in (("cycle", self.cycle), ("cycle_latent", self.cycle_latent)):
            if weight is not None and not weight >= 0:
                raise InputError(f"{name} is a weight of at least 0, not {weight!r}")
        return super()._game()

    def _networks(
        self, codec: Codec, network: Mapping[str, Any], generator: torch.Generator
    ) -> tuple[nn.Module, nn.Module | None]:
        if self.law == "uniform" and codec.kind == "table":
            raise InputError("a table's latent is normal, as its numeric slots are; leave law out")
        plain = {**network, "shape": asdict(Shape()), "perceptron": self.perceptron}
        decoder, body = networks.build(codec, **plain, generator=generator)
        size = latent_size(decoder, network["noise_size"])
        outputs = asdict(Shape(outputs=size * (2 if self.stochastic else 1)))
        _, inner = networks.build(codec, **{**plain, "shape": outputs}, generator=generator)
        assert isinstance(body, Critic)
        assert inner is not None
        joint = Joint((codec.event_shape, (size,)))
        cycle = (CYCLE[codec.kind] if self.cycle is None else float(self.cycle), float(self.cycle_latent))
        encoder = Encoder(inner, size, stochastic=self.stochastic)
        critic = PairCritic(
            body,
            joint,
            width=max(network["width"], NARROWEST) if codec.kind == "images" else network["width"],
            depth=1,
            shape=Shape(**network["shape"]),
            generator=generator,
        )
        return BiGenerator(decoder, encoder, joint, law=self.law, cycle=cycle), critic

    # ---- both ways

    def encode(self, data: Any, *, seed: int | None = None) -> np.ndarray:
        """The latents E(x) of the rows of `data`, float32 `(n, m)`. Of a stochastic encoder the means, or, with a
        `seed`, draws. `InputError` for data of another form than the model's."""
        dataset = read_rows(self, data)
        return as_array(self._encoded(chunks(self, dataset), seed))

    def decode(self, z: Any, *, seed: int = 0) -> Any:
        """The rows G(z) of latents `(n, m)`, in the kind of container that the model was fitted on."""
        return latent.decode(self, z, seed=seed)

    def reconstruct(self, data: Any) -> Any:
        """G(E(x)) for the rows of `data`, in the kind of container that the model was fitted on."""
        dataset, made = read_rows(self, data), self._both()
        codes = self._encoded(chunks(self, dataset), None)
        with torch.no_grad():
            return give_back(self, (made.emit(made.complete(z)) for z in codes))

    def _both(self) -> BiGenerator:
        self._require_fitted()
        assert isinstance(self.generator_, BiGenerator)
        return self.generator_

    def _encoded(self, parts: Iterator[Tensor], seed: int | None) -> Iterator[Tensor]:
        encoder = self._both().encoder
        draw = None if seed is None or not self.stochastic else torch.Generator().manual_seed(seed)
        for x in parts:
            eta = None if draw is None else torch.randn(len(x), encoder.size, generator=draw).to(x.device)
            with torch.no_grad():
                yield encoder(x, eta)


def latent_size(decoder: nn.Module, noise_size: int) -> int:
    """How many coordinates of the decoder's noise are inferred: all, but a table's uniforms."""
    slots: int = getattr(decoder, "k", 0)
    return slots + noise_size
