"""`Distilled`: a generator of one pass, taught by a diffusion.

It is regressed onto some of the teacher's samples from its own noise, and then trained by the target step of
`training.step` along the score difference of `nets.one_step`: samples move to where the teacher's law is denser than
their own, and the generator is regressed onto where they went. The teacher is asked for scores; no data are needed.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from ...data.codec import Codec
from ...data.dataset import Dataset
from ...errors import InputError
from ...nets.one_step import OneStep, TeacherField
from ...training.batches import derive
from ...training.progress import Reporter
from .. import networks, setup
from ..drawing import rng
from ..one_pass import OnePass
from ..setup import Game
from . import base
from .noised import Diffusion, FlowMatching, recipe

Self = TypeVar("Self", bound="Distilled")

STUDENT_RATE = 1e-3


class Distilled(OnePass):
    """A fitted `Diffusion` or `FlowMatching` (independent coupling) as a generator of one pass.

    pairs: samples that the teacher draws; the generator is regressed onto them first. warm_steps: of that regression.
    rounds: steps of the student's score to one of the generator's; looks: noise levels at which each row is judged.
    lambda_1: how far along the score difference a target lies. regressions: generator steps to each target.
    steps, time_budget, batch_size, learning_rate: of the generator. until, tolerance: judge samples of the teacher.
    checkpoint_every, precision, device, seed: as for `GAN`.

    Learned: see `Trained`; there is no critic. The networks are as wide and deep as the teacher's.
    """

    _base: Diffusion | FlowMatching | None = None
    width: int | None = None
    depth: int | None = None

    def __init__(
        self,
        *,
        pairs: int = 10_000,
        warm_steps: int = 500,
        rounds: int = 2,
        looks: int = 2,
        lambda_1: float = 1.0,
        regressions: int = 1,
        steps: int | None = None,
        time_budget: float | None = None,
        batch_size: int | None = None,
        learning_rate: float | None = None,
        until: str | None = None,
        tolerance: float = 0.55,
        checkpoint_every: int | None = None,
        precision: str = "32-true",
        device: str = "auto",
        seed: int = 0,
    ) -> None:
        self.pairs = pairs
        self.warm_steps = warm_steps
        self.rounds = rounds
        self.looks = looks
        self.lambda_1 = lambda_1
        self.regressions = regressions
        self.steps = steps
        self.time_budget = time_budget
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.until = until
        self.tolerance = tolerance
        self.checkpoint_every = checkpoint_every
        self.precision = precision
        self.device = device
        self.seed = seed

    def fit(  # type: ignore[override]
        self: Self,
        model: Diffusion | FlowMatching,
        *,
        out: str | os.PathLike[str] | None = None,
        resume: bool = False,
        log: str | None = None,
        progress: bool | Reporter = True,
    ) -> Self:
        """Learn to draw in one pass what the fitted `model` draws. out, resume, log, progress: see `Trained.fit`."""
        setup.check(self)
        self._game()
        network = base.network_of(model, "distillation")
        if getattr(network, "churn", 0.0):
            raise InputError("distillation follows the deterministic sampler; fit the diffusion with churn=0")
        self._base = model
        try:
            dataset = model.sample_dataset(self.pairs, seed=derive(self.seed, "rows of the teacher"))
            self._fit(dataset, None, out=out, resume=resume, log=log, progress=progress)
            return self
        finally:
            self._base = None

    def _game(self) -> Game:
        for name, least in (("pairs", 2), ("warm_steps", 0), ("rounds", 1), ("looks", 1)):
            value = getattr(self, name)
            if not isinstance(value, int) or value < least:
                raise InputError(f"{name} must be a whole number of at least {least}, not {value!r}")
        return Game(velocity=self._velocity, lambda_1=self.lambda_1, regressions=self.regressions, optimiser="momentum")

    def _velocity(self, rows: Tensor, *, seed: int) -> TeacherField:
        """The score difference between the teacher and a student of the generator."""
        assert self._base is not None
        teacher = base.network_of(self._base, "distillation")
        return TeacherField(teacher, rounds=self.rounds, looks=self.looks, learning_rate=STUDENT_RATE)

    def _codec(self, dataset: Dataset) -> tuple[Codec, Tensor]:
        assert self._base is not None
        codec = self._base.codec_
        return codec, codec.encode(dataset, generator=rng(self.seed, "encode"))

    def _recipe(self, codec: Codec, game: Game) -> networks.Recipe:
        found = recipe(networks.recipe(codec), codec)
        return replace(found, steps=1500, batch_size=min(256, found.batch_size), learning_rate=5e-4, half_life=200)

    def _describe(self, codec: Codec, rows: Tensor) -> dict[str, Any]:
        assert self._base is not None
        return {"base": base.described(self._base)}

    def _networks(
        self, codec: Codec, network: Mapping[str, Any], generator: torch.Generator
    ) -> tuple[nn.Module, nn.Module | None]:
        teacher = base.rebuilt(codec, network["base"], generator)
        if self._base is None:
            return OneStep(teacher), None
        teacher.load_state_dict(self._base.generator_.state_dict())
        made = OneStep(teacher)
        made.warm_steps = self.warm_steps
        if self.warm_steps:
            z, rows = base.drawn(teacher.eval(), codec.kind, self.pairs, seed=derive(self.seed, "pairs"))
            made.pairs = z.unflatten(1, teacher.event.shape), rows
        return made, None


def distill(
    model: Diffusion | FlowMatching,
    *,
    steps: int | None = None,
    device: str = "auto",
    seed: int = 0,
    progress: bool | Reporter = True,
) -> Distilled:
    """`model` as a generator of one pass: `Distilled(...).fit(model)`."""
    return Distilled(steps=steps, device=device, seed=seed).fit(model, progress=progress)
