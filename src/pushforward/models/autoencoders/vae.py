"""`VAE`: a variational autoencoder, trained on the evidence lower bound or on the tighter one of K draws.

    ELBO = E_q ln p(x|z) - KL(q(z|x) || N(0, I)) = ln p(x) - KL(q(z|x) || p(z|x))        (Kingma and Welling 2014)
    L_K  = E ln mean_k p(x, z_k) / q(z_k|x),  z_k ~ q(z|x),  L_1 = ELBO <= L_K <= L_K+1 <= ln p(x)   (Burda et al. 2016)

The decoder is a law p(x|z) that suits the data (`nets.decoders`): points Gaussian with a standard deviation of every
coordinate, learned (Rybkin et al. 2021); images of two shades Bernoulli, of few a probability for each, of many the
mass of each shade's cell under a logistic; tables mixed, numbers by mixtures of Gaussians where they are there and
categories by their probabilities.

A VAE can be read in two ways, which are one: as an autoencoder whose codes cost nats (rate KL, distortion
-E ln p(x|z)), and as a density whose posterior is learned beside it, so that the bound is low by exactly how far the
learned posterior is from the true one.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from ...errors import InputError
from ...nets.autoencoder import Variational
from ...nets.beside import Beside
from ...nets.event import Event
from ..classical.base import Likelihood
from ..drawing import rng
from ..neural import Codes, Conditioned, Densities, Samples, attached
from ..rows import chunks, read_rows
from .common import bodies, check_decoder, check_number, check_whole, latent_of, law_of

DRAWS = 64


class VAE(Samples, Densities, Codes, Conditioned):
    """A variational autoencoder of points `(n, d)`, tables and images.

    latent_size: how many numbers a latent has; at most as many as a row. decoder: `gaussian`, `bernoulli`,
        `categorical`, `logistic` or `mixed`; by the kind of data where nothing is said, see the module.
    samples: K of the bound that is climbed; 1 is the ELBO, more an importance-weighted autoencoder (IWAE).
    beta: weight of the divergence; free_bits: nats of every latent that it does not charge; warm_up: share of the run
        in which its weight rises from 0. perceptron: for images of any size take networks without convolutions.
    combine, preference: how its two losses, distortion and rate, are descended together: see `models.several`; by
        default their sum.
    steps, ..., seed: see `Neural`.

    `encode` gives the means of q(z|x), `decode` the mean of p(x|z) (of categories and shades the likeliest).
    """

    likelihood: ClassVar[Likelihood] = "importance"

    def __init__(
        self,
        *,
        latent_size: int | None = None,
        decoder: str | None = None,
        samples: int = 1,
        beta: float = 1.0,
        free_bits: float = 0.0,
        warm_up: float = 0.0,
        combine: str | None = None,
        preference: Sequence[float] | None = None,
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
        self.decoder = decoder
        self.samples = samples
        self.beta = beta
        self.free_bits = free_bits
        self.warm_up = warm_up
        self.combine = combine
        self.preference = preference
        self.perceptron = perceptron

    def _check(self) -> None:
        check_whole(latent_size=self.latent_size, samples=self.samples)
        check_decoder(self.decoder)
        check_number("beta", self.beta)
        check_number("free_bits", self.free_bits)
        if not (isinstance(self.warm_up, int | float) and 0 <= self.warm_up < 1):
            raise InputError(f"warm_up is a share of the run from 0 to below 1, not {self.warm_up!r}")
        if self.free_bits and self.samples > 1:
            raise InputError(
                "free_bits holds the divergence of the ELBO, which a bound of several samples does not have"
            )

    def _settings(self) -> dict[str, Any]:
        names = ("latent_size", "decoder", "samples", "beta", "free_bits", "warm_up", "perceptron")
        return {name: getattr(self, name) for name in names}

    def _network(self, event: Event, network: Mapping[str, Any], generator: torch.Generator) -> nn.Module:
        size = latent_of(event, network["latent_size"])
        law = law_of(event, network["decoder"], device=generator.device)
        reader, writer = bodies(event, network, law, read=2 * size, written=size, generator=generator)
        named = {name: network[name] for name in ("beta", "free_bits", "warm_up", "samples")}
        return Variational(reader, writer, law, size, **named)

    # ---- likelihood

    def log_prob(self, data: Any, *, draws: int = DRAWS, given: Any = None, seed: int = 0) -> Tensor:
        """ln mean_k p(x, z_k)/q(z_k|x) of every row over `draws` latents z_k ~ q(z|x), nats, `(n,)` float64.

        In expectation at most ln p(x), and nearer to it the more draws. Units and what a row is: `Densities.log_prob`.
        """
        return self._weighed(data, given, draws, seed, lambda w: w.logsumexp(0) - math.log(len(w)))

    def elbo(self, data: Any, *, draws: int = DRAWS, given: Any = None, seed: int = 0) -> Tensor:
        """The mean over `draws` latents of ln p(x, z)/q(z|x), of every row: the evidence lower bound, in the units of
        `log_prob`, `(n,)` float64."""
        return self._weighed(data, given, draws, seed, lambda w: w.mean(0))

    def _weighed(self, data: Any, given: Any, draws: int, seed: int, read: Callable[[Tensor], Tensor]) -> Tensor:
        """What `read` makes of the log weights `(draws, n)` of the rows."""
        check_whole(draws=draws)
        dataset = attached(self, read_rows(self, data), given)
        made = self.generator_
        core, parts = made.core if isinstance(made, Beside) else made, []
        assert isinstance(core, Variational)
        for number, rows in enumerate(chunks(self, dataset)):
            x, c = made.parts(rows) if isinstance(made, Beside) else (rows, None)
            joint, own = core.weights(x, draws, generator=rng(seed, "log_prob", number), c=c)
            parts.append(read(joint - own).cpu())
        return torch.cat(parts) + self._log_scale() + self._log_slope(dataset)
