"""`Guided`: a diffusion whose sampler is corrected by a critic (discriminator guidance, Kim et al. 2023).

The mathematics is in `nets.guided`. The critic is trained between noised rows of the data and noised samples of the
model; rows kept back choose it, so that it corrects nothing where it can tell nothing.
"""

from __future__ import annotations

import copy
import os
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from ...data.codec import Codec
from ...data.dataset import Dataset
from ...data.sources import to_container
from ...errors import InputError
from ...nets.guided import Guided as GuidedNetwork
from ...training.batches import derive
from ...training.progress import Reporter
from .. import networks, setup
from ..drawing import rng
from ..neural import Samples
from ..rows import read_rows
from ..setup import Game
from ..trained import rows_of
from . import base
from .noised import Diffusion, FlowMatching, recipe

Self = TypeVar("Self", bound="Guided")

FEWEST, MOST = 5000, 20_000  # samples of the model that the critic learns from, where it is not said how many
MOST_IMAGES = 5000


class Guided(Samples):
    """A fitted `Diffusion` or `FlowMatching` (independent coupling) with a critic that corrects its sampler.

    weight: w of s + w grad ln d / (1 - d); 1 is exact at the optimal critic. samples: how many the model draws for the
        critic to learn from; by default as many as there are rows, within 5,000 and 20,000.
    steps, time_budget, batch_size, learning_rate, width, depth, validation: of the critic, see `Neural`.
    until, tolerance, checkpoint_every, precision, device, seed: as for `GAN`.

    Learned: see `Trained`; the model that was guided is part of it, and `save` keeps both.
    """

    _base: Diffusion | FlowMatching | None = None

    def __init__(
        self,
        *,
        weight: float = 1.0,
        samples: int | None = None,
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
        self.weight = weight
        self.samples = samples
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

    def fit(  # type: ignore[override]
        self: Self,
        data: Any,
        *,
        model: Diffusion | FlowMatching,
        holdout: Any = None,
        out: str | os.PathLike[str] | None = None,
        resume: bool = False,
        log: str | None = None,
        progress: bool | Reporter = True,
    ) -> Self:
        """Train the critic that tells samples of `model` from `data`, rows like those that it was fitted to.

        holdout, out, resume, log, progress: see `Trained.fit`.
        """
        setup.check(self)
        self._game()
        base.network_of(model, "discriminator guidance")
        dataset, held = read_rows(model, rows_of(data)), None if holdout is None else read_rows(model, holdout)
        self._base = model
        try:
            self._fit(dataset, held, out=out, resume=resume, log=log, progress=progress)
            return self
        finally:
            self._base = None

    def sample(self, n: int, *, weight: float | None = None, seed: int | None = None) -> Any:  # type: ignore[override]
        """`n` new rows in the kind of container that the data came in; the same `seed` draws the same rows.

        weight: of the critic's correction, in the place of the model's own; 0 samples the model that is guided.
        """
        return to_container(self.sample_dataset(n, weight=weight, seed=seed))

    def sample_dataset(  # type: ignore[override]
        self, n: int, *, weight: float | None = None, seed: int | None = None
    ) -> Dataset:
        """`sample`, as a `Dataset` whose `made_by` says how."""
        self._require_fitted()
        weight = self.weight if weight is None else _weight(weight)
        other = copy.copy(self)
        assert isinstance(self.generator_, GuidedNetwork)
        other.generator_ = self.generator_.weighted(weight)
        drawn = Samples.sample_dataset(other, n, seed=seed)
        return replace(drawn, made_by={**(drawn.made_by or {}), "weight": weight})

    def _check(self) -> None:
        _weight(self.weight)
        if self.samples is not None and (not isinstance(self.samples, int) or self.samples < 10):
            raise InputError(f"samples must be a whole number of at least 10, not {self.samples!r}")

    def _recipe(self, codec: Codec, game: Game) -> networks.Recipe:
        found = recipe(super()._recipe(codec, game), codec)
        return replace(found, steps=2000, depth=min(2, found.depth))

    def _codec(self, dataset: Dataset) -> tuple[Codec, Tensor]:
        assert self._base is not None
        codec = self._base.codec_
        return codec, codec.encode(dataset, generator=rng(self.seed, "encode"))

    def _describe(self, codec: Codec, rows: Tensor) -> dict[str, Any]:
        assert self._base is not None
        most = MOST_IMAGES if codec.kind == "images" else MOST
        return {
            "base": base.described(self._base),
            "weight": float(self.weight),
            "samples": self.samples or min(most, max(FEWEST, len(rows))),
        }

    def _network(self, event: Any, network: Mapping[str, Any], generator: torch.Generator) -> nn.Module:
        raise NotImplementedError

    def _networks(
        self, codec: Codec, network: Mapping[str, Any], generator: torch.Generator
    ) -> tuple[nn.Module, nn.Module | None]:
        guided = base.rebuilt(codec, network["base"], generator)
        if self._base is not None:
            guided.load_state_dict(self._base.generator_.state_dict())
        sizes = {"width": network["width"], "depth": network["depth"]}
        made = GuidedNetwork(guided.requires_grad_(False), **sizes, weight=network["weight"], generator=generator)
        if self._base is not None:
            seed = derive(self.seed, "samples of the model")
            made.hold(base.drawn(guided.eval(), codec.kind, network["samples"], seed=seed)[1])
        return made, None


def _weight(weight: Any) -> float:
    if not isinstance(weight, int | float) or not 0 <= weight < float("inf"):
        raise InputError(f"weight must be a number of at least 0, not {weight!r}")
    return float(weight)


def guide(
    model: Diffusion | FlowMatching,
    data: Any,
    *,
    weight: float = 1.0,
    steps: int | None = None,
    samples: int | None = None,
    device: str = "auto",
    seed: int = 0,
    progress: bool | Reporter = True,
) -> Guided:
    """`model` with a critic, trained on `data`, that corrects its sampler: `Guided(...).fit(data, model=model)`."""
    made = Guided(weight=weight, samples=samples, steps=steps, device=device, seed=seed)
    return made.fit(data, model=model, progress=progress)
