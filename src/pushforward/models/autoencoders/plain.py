"""`Autoencoder`: rows into a few numbers and back, deterministic, with as little lost as can be.

    minimise  E c(x, G(E(x~))),   c = |x - y|^2 (of categories the log loss),   x~ = x, or x spoilt

With `linear` maps it is the principal components in another basis: the squared error of all rows is at least n times
the sum of the discarded eigenvalues of their covariance, and the best reaches it (Baldi and Hornik 1989). With `noise`
it is a denoising autoencoder (Vincent et al. 2008): it is shown rows of which a part is spoilt and asked for whole
ones, so it must learn where rows lie, and not the identity.

A plain autoencoder cannot generate: nothing says which codes belong to rows, and between them lies anything. `sample`
is absent, unless a law of the codes is named, which is then fitted to those of the training rows after training.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MethodType
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ...data.dataset import Dataset
from ...errors import InputError
from ...nets.autoencoder import Plain
from ...nets.codes import CodeLaw
from ...nets.decoders import law
from ...nets.event import Event
from .. import saving
from ..drawing import rng
from ..folder import identity
from ..neural import Codes, Samples
from ..rows import chunks
from .common import bodies, check_number, check_whole, latent_of

LATENTS = ("gaussian", "mixture")
FITTED = 20_000  # rows at most whose codes the law is fitted to
NARROWEST = 1e-6  # of a covariance, in multiples of the codes' variance


class OnlyWithLaw:
    """A method that an autoencoder has only where a law of its codes is named."""

    def __init__(self, method: Callable[..., Any]) -> None:
        self.method, self.__doc__ = method, method.__doc__

    def __get__(self, model: Autoencoder | None, owner: type) -> Any:
        if model is None:
            return self.method
        if model.latent is None:
            raise AttributeError(
                f"a plain {owner.__name__} cannot generate, as nothing says which codes belong to rows; fit it with "
                "latent='gaussian' or 'mixture', or take a VAE"
            )
        return MethodType(self.method, model)


class Autoencoder(Samples, Codes):
    """An autoencoder of points `(n, d)`, tables and images.

    latent_size: how many numbers a latent has; at most as many as a row. linear: both maps affine, width and depth
        unused.
    noise: how much of a row is spoilt before it is read: the standard deviation of Gaussian noise (points in standard
        deviations), or, with `masking`, the share of coordinates, cells or pixels that are blotted out; 0 for none.
        masking: by default for images and tables.
    latent: law of the codes, `gaussian` or `mixture`, by which rows are drawn; or None. components: Gaussians in a
        mixture.
    perceptron: for images of any size take networks without convolutions. steps, ..., seed: see `Neural`.
    """

    def __init__(
        self,
        *,
        latent_size: int | None = None,
        linear: bool = False,
        noise: float = 0.0,
        masking: bool | None = None,
        latent: str | None = None,
        components: int = 10,
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
        self.linear = linear
        self.noise = noise
        self.masking = masking
        self.latent = latent
        self.components = components
        self.perceptron = perceptron

    sample = OnlyWithLaw(Samples.sample)
    sample_dataset = OnlyWithLaw(Samples.sample_dataset)

    def _check(self) -> None:
        check_whole(latent_size=self.latent_size, components=self.components)
        check_number("noise", self.noise)
        if self.latent not in (None, *LATENTS):
            raise InputError(f"unknown law {self.latent!r} of the codes; choose {' or '.join(LATENTS)}, or None")
        if self.masking and self.noise >= 1:
            raise InputError(f"noise {self.noise!r} with masking is the share that is blotted out; give less than 1")
        if self.until:
            raise InputError("until judges samples while a model trains, and codes get a law afterwards; leave it out")

    def _settings(self) -> dict[str, Any]:
        names = ("latent_size", "linear", "noise", "masking", "latent", "components", "perceptron")
        return {name: getattr(self, name) for name in names}

    def _network(self, event: Event, network: Mapping[str, Any], generator: torch.Generator) -> nn.Module:
        size, cost = latent_of(event, network["latent_size"]), law(event, "squared", device=generator.device)
        affine = network["linear"]
        reader, writer = bodies(event, network, cost, read=size, written=size, affine=affine, generator=generator)
        masking = event.kind != "points" if network["masking"] is None else network["masking"]
        if masking and network["noise"] >= 1:
            raise InputError(f"noise {network['noise']!r} is the share of a row that is blotted out; give less than 1")
        codes = None
        if network["latent"]:
            components = network["components"] if network["latent"] == "mixture" else 1
            codes = CodeLaw(size, components, device=generator.device)
        blocks = tuple((block.start, block.stop) for block in event.blocks)
        spoils: dict[str, Any] = {"noise": network["noise"], "masking": masking, "blocks": blocks}
        return Plain(reader, writer, cost, size, codes=codes, **spoils)

    def _calibrate(self, dataset: Dataset, held: Dataset | None) -> None:
        """The law of the codes, from those of training rows."""
        made = self.generator_
        assert isinstance(made, Plain)
        if made.codes is None:
            return
        order = torch.randperm(len(dataset), generator=rng(self.seed, "codes"))[:FITTED]
        with torch.no_grad():
            found = torch.cat([made.encode(x).double().cpu() for x in chunks(self, dataset.take(order))])
        made.codes.hold(*fit_codes(found.numpy(), len(made.codes.weights), seed=self.seed))
        self.id_ = identity(saving.tensors(self))


def fit_codes(codes: np.ndarray, components: int, *, seed: int) -> tuple[Tensor, Tensor, Tensor]:
    """(weights, means, covariances) of a mixture of Gaussians fitted to `codes` `(n, m)`."""
    from sklearn.mixture import GaussianMixture

    least = NARROWEST * max(float(codes.var(0).mean()), 1e-12)
    fitted = GaussianMixture(min(components, len(codes)), reg_covar=least, random_state=seed).fit(codes)
    return tuple(torch.from_numpy(one) for one in (fitted.weights_, fitted.means_, fitted.covariances_))  # type: ignore[return-value]
