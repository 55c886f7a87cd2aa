"""`Diffusion` and `FlowMatching`: networks that undo noise, drawn from along an ODE. The mathematics is in
`nets.noise_levels`, `nets.paths` and `nets.denoiser`.

Their density is that of the ODE: exact but for the error of `sampling_steps` steps of Runge and Kutta (on the toys of
docs/benchmarks/explicit.md, twice as many moved ln p of no row looked at by more than .004). In more than
`nets.paths.FEW` dimensions the divergence is an unbiased estimate, with a spread that grows with the dimension. Of
pictures, ln p is a lower bound (by one draw of where in its cell each pixel lies).
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from ...data.codec import Codec
from ...data.dataset import Dataset
from ...data.sources import to_container
from ...errors import InputError
from ...nets.beside import Beside
from ...nets.denoiser import TINY, Denoiser, Flow, Noised
from ...nets.event import Event
from ...nets.paths import COUPLINGS, METHODS
from .. import networks
from ..classical.base import BoundOfImages, Likelihood
from ..given import of_data
from ..neural import Codes, Conditioned, Densities, Samples
from ..setup import Game


class _Noised(Samples, Densities, Codes, Conditioned):
    """What both share: checks, the recipe, guidance, and what tables have no density for."""

    likelihood: ClassVar[Likelihood] = BoundOfImages()  # type: ignore[assignment]
    sampling_steps: int
    dropout: float

    def _check(self) -> None:
        if not isinstance(self.sampling_steps, int) or self.sampling_steps < 1:
            raise InputError(f"sampling_steps must be a whole number of at least 1, not {self.sampling_steps!r}")
        if not 0 <= self.dropout < 1:
            raise InputError(f"dropout is a share of the rows from 0 to below 1, not {self.dropout!r}")

    def _recipe(self, codec: Codec, game: Game) -> networks.Recipe:
        return recipe(super()._recipe(codec, game), codec)

    def sample(self, n: int, *, given: Any = None, guidance: float | None = None, seed: int | None = None) -> Any:
        """`n` new rows in the kind of container that the data came in; the same `seed` draws the same rows.

        given: what they are to meet, see `conditional.answer`. guidance: by how much what is given is exaggerated
        (classifier-free guidance, Ho & Salimans 2022): 1 samples the law that was learned, 0 is given nothing, more
        than 1 makes rows more typical of what is given, and less diverse.
        """
        return to_container(self.sample_dataset(n, given=given, guidance=guidance, seed=seed))

    def sample_dataset(
        self, n: int, *, given: Any = None, guidance: float | None = None, seed: int | None = None
    ) -> Dataset:
        """`sample`, as a `Dataset` whose `made_by` says how."""
        if guidance is None:
            return super().sample_dataset(n, given=given, seed=seed)
        self._require_fitted()
        if not isinstance(self.generator_, Beside) or not self.dropout:
            raise InputError(
                "guidance exaggerates what is given, and this model was fitted with nothing given, or with dropout=0; "
                "leave it out, or fit with given and a dropout of about .1"
            )
        if not 0 <= guidance < float("inf"):
            raise InputError(f"guidance must be a number of at least 0, not {guidance!r}")
        other = copy.copy(self)
        other.generator_ = guided(self.generator_, float(guidance))
        drawn = Samples.sample_dataset(other, n, given=given, seed=seed)
        return replace(drawn, made_by={**(drawn.made_by or {}), "guidance": float(guidance)})

    def log_prob(self, data: Any, *, given: Any = None, seed: int = 0) -> Tensor:
        """ln p of every row of points or pictures, in nats: see `Densities.log_prob`, and the module's docstring for
        how exact it is. The categories of a table are points of a continuous law here, which have no mass."""
        self._require_fitted()
        if of_data(self.codec_).kind == "table":
            raise InputError(
                f"{type(self).__name__} draws the categories of a table as rounded numbers and has no likelihood for "
                "them; take a flow or an autoregressive model for one"
            )
        return super().log_prob(data, given=given, seed=seed)


def guided(network: nn.Module, guidance: float) -> nn.Module:
    """A conditional network with another guidance, its weights shared."""
    assert isinstance(network, Beside)
    other, core = copy.copy(network), network.core
    assert isinstance(core, Noised)
    other._modules = {**network._modules, "core": core.guided(guidance)}
    return other


def recipe(found: networks.Recipe, codec: Codec) -> networks.Recipe:
    """The settings of a family of this kind that its parameters leave open."""
    data = of_data(codec)
    if data.kind != "images":
        return replace(found, width=128, depth=3, half_life=200)
    tiny = torch.Size(data.event_shape).numel() <= TINY
    return replace(found, batch_size=128, width=256 if tiny else 32, depth=3 if tiny else 1, half_life=500)


class Diffusion(_Noised):
    """A denoiser at every level of noise, drawn from by undoing noise step by step (Karras et al. 2022, EDM).

    sampling_steps: of the sampler, two passes each. churn: 0 for the deterministic sampler, Heun's steps along the
        probability flow; above, each step first adds noise anew (their S_churn, up to about 40).
    dropout: of what is given, share of training rows that are given nothing, for `guidance`.
    steps, time_budget, batch_size, learning_rate, width, depth, validation: see `Neural`.
    until, tolerance, checkpoint_every, precision, device, seed: as for `GAN`.

    Learned: see `Trained`; `encode` and `decode` follow the probability flow both ways.
    """

    def __init__(
        self,
        *,
        sampling_steps: int = 32,
        churn: float = 0.0,
        dropout: float = 0.1,
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
        self.sampling_steps = sampling_steps
        self.churn = churn
        self.dropout = dropout
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

    def _check(self) -> None:
        super()._check()
        if not 0 <= self.churn < float("inf"):
            raise InputError(f"churn must be a number of at least 0, not {self.churn!r}")

    def _settings(self) -> dict[str, Any]:
        return {"steps": self.sampling_steps, "churn": self.churn, "dropout": self.dropout}

    def _network(self, event: Event, network: Mapping[str, Any], generator: torch.Generator) -> Denoiser:
        return denoiser(event, network, generator)


class FlowMatching(_Noised):
    """A velocity that moves noise into data along straight paths (Lipman et al. 2023), drawn from by its ODE.

    coupling: `independent`, or `ot` for noise and data of a batch paired by optimal transport (Tong et al. 2024).
    sampling_steps: of the ODE; method: `rk4`, four passes each, or `heun`, two.
    dropout: of what is given, share of training rows that are given nothing, for `guidance`.
    steps, time_budget, batch_size, learning_rate, width, depth, validation: see `Neural`.
    until, tolerance, checkpoint_every, precision, device, seed: as for `GAN`.

    Learned: see `Trained`; `encode` and `decode` follow the ODE both ways.
    """

    def __init__(
        self,
        *,
        coupling: str = "independent",
        sampling_steps: int = 24,
        method: str = "rk4",
        dropout: float = 0.1,
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
        self.coupling = coupling
        self.sampling_steps = sampling_steps
        self.method = method
        self.dropout = dropout
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

    def _check(self) -> None:
        super()._check()
        if self.coupling not in COUPLINGS:
            raise InputError(f"unknown coupling {self.coupling!r}; known: {', '.join(COUPLINGS)}")
        if self.method not in METHODS:
            raise InputError(f"unknown method {self.method!r} of an ODE; known: {', '.join(METHODS)}")

    def _settings(self) -> dict[str, Any]:
        return {
            "steps": self.sampling_steps,
            "method": self.method,
            "coupling": self.coupling,
            "dropout": self.dropout,
        }

    def _network(self, event: Event, network: Mapping[str, Any], generator: torch.Generator) -> Flow:
        return flow(event, network, generator)


def denoiser(event: Event, network: Mapping[str, Any], generator: torch.Generator) -> Denoiser:
    """The network of a `Diffusion`."""
    names = ("width", "depth", "steps", "churn", "dropout")
    return Denoiser(event, **{name: network[name] for name in names}, generator=generator)


def flow(event: Event, network: Mapping[str, Any], generator: torch.Generator) -> Flow:
    """The network of a `FlowMatching`."""
    names = ("width", "depth", "steps", "method", "coupling", "dropout")
    return Flow(event, **{name: network[name] for name in names}, generator=generator)
