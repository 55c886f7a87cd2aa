"""`SimCLR`: features in which two random views of a row are alike, and other rows are not (Chen et al. 2020).

    h = F(x),  z = P(h),    F and P descend NT-Xent over the views of a batch (`objectives.contrastive`)

With labels, rows of one class are to be alike too (Khosla et al. 2020). What the views change is forgotten, what they
leave is kept: they are the prior. The projection P is used in training alone (there, section 4.2).
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, ClassVar, TypeVar

import numpy as np
import torch
from torch import Tensor, nn

from ...data.codec import Codec, fit_codec
from ...data.dataset import Dataset
from ...data.joint import JointCodec
from ...data.points import PointsCodec
from ...data.sources import read as read_data
from ...errors import InputError
from ...nets.event import Event
from ...nets.joint import Joint
from ...nets.projector import Head, Siamese, Tower
from ...training.loop import State
from ...training.progress import Reporter
from .. import setup
from ..drawing import rng
from ..networks import TINY, Recipe
from ..neural import Neural
from ..rows import as_array, chunks, read_rows
from ..semi_supervised import LABEL, labelled, without
from ..setup import Game
from ..trained import rows_of
from . import views

Self = TypeVar("Self", bound="SimCLR")

TEMPERATURE = 0.2


class SimCLR(Neural):
    """A representation of images, tables or points; there is nothing to sample.

    views: the random changes, by name (`contrastive.views`), by default for images `warp+jitter+cutout`, of larger
        colour ones `crop+flip+jitter`, for tables `corrupt`, for points `noise`.
    temperature: tau of the loss, .2 by default. size: of the features; projection: of what the loss compares.
    Everything else as for every network that learns from data alone (`Neural`).

    Learned: see `Trained`.
    """

    likelihood: ClassVar = "none"
    _column: str | None = None  # of a table, that holds the labels

    def __init__(
        self,
        *,
        views: str | None = None,
        temperature: float | None = None,
        size: int = 128,
        projection: int = 64,
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
        self.views = views
        self.temperature = temperature
        self.size = size
        self.projection = projection

    # ---- fit

    def fit(
        self: Self,
        data: Any,
        labels: Any = None,
        *,
        holdout: Any = None,
        out: str | os.PathLike[str] | None = None,
        resume: bool = False,
        log: str | None = None,
        progress: bool | Reporter = True,
    ) -> Self:
        """Learn features of rows like those of `data`.

        labels: one for every row, of which None, NaN and -1 say that it is not known; or the name of a table's column,
            which is then no part of what is encoded. holdout: rows, without labels, whose loss is recorded.
        Everything else as for every model (`Trained.fit`).
        """
        setup.check(self)
        self._game()
        dataset, self._column = rows_of(data), None
        held = None if holdout is None else rows_of(holdout)
        if labels is not None:
            dataset, self._column = labelled(dataset, labels)
            dataset = replace(dataset, given=_numbers(dataset))
            if held is not None:
                held = without(held, self._column)
                held = replace(held, given=Dataset("points", torch.full((len(held), 1), -1.0), "no labels"))
        self._fit(dataset, held, out=out, resume=resume, log=log, progress=progress)
        return self

    def _check(self) -> None:
        if self.views is not None:
            views.parse(self.views)
        if self.temperature is not None and not self.temperature > 0:
            raise InputError(f"temperature must be a positive number, not {self.temperature!r}")
        for name in ("size", "projection"):
            value = getattr(self, name)
            if not isinstance(value, int) or value < 1:
                raise InputError(f"{name} must be a whole number of at least 1, not {value!r}")

    def _codec(self, dataset: Dataset) -> tuple[Codec, Tensor]:
        codec = fit_codec(replace(dataset, given=None))
        if dataset.given is not None:
            codec = JointCodec(codec, PointsCodec(torch.zeros(1), torch.ones(1), torch.float32, "labels"))
        return codec, codec.encode(dataset, generator=rng(self.seed, "encode"))

    def _describe(self, codec: Codec, rows: Tensor) -> dict[str, Any]:
        return {**super()._describe(codec, rows), "column": self._column}

    def _settings(self) -> dict[str, Any]:
        temperature = TEMPERATURE if self.temperature is None else float(self.temperature)
        return {"views": self.views, "temperature": temperature, "size": self.size, "projection": self.projection}

    def _recipe(self, codec: Codec, game: Game) -> Recipe:
        return recipe(codec)

    def _networks(
        self, codec: Codec, network: Mapping[str, Any], generator: torch.Generator
    ) -> tuple[nn.Module, nn.Module | None]:
        made, critic = super()._networks(codec, network, generator)
        assert isinstance(made, Siamese)
        made.joint = Joint(codec.shapes) if isinstance(codec, JointCodec) else None
        return made, critic

    def _network(self, event: Event, network: Mapping[str, Any], generator: torch.Generator) -> nn.Module:
        sizes = {"width": network["width"], "depth": network["depth"], "size": network["size"]}
        tower = Tower(event, **sizes, generator=generator)
        head = Head(network["size"], network["projection"], generator=generator)
        sides = views.pair(network["views"] or views.default(event), event)
        return Siamese(tower, head, sides, temperature=network["temperature"], joint=None)

    def _finish(self, state: State, outcome: str) -> None:
        if isinstance(self.codec_, JointCodec):  # labels belong to the fit; what is encoded has none
            self.codec_ = self.codec_.data
        super()._finish(state, outcome)

    # ---- encode

    def encode(self, data: Any) -> np.ndarray:
        """The features h of the rows of `data`, float32 `(n, size)`. `InputError` for data of another form than the
        model's; a column of labels may be there or not."""
        self._require_fitted()
        kind = None if isinstance(data, Dataset) else self.codec_.kind
        dataset = read_rows(self, without(read_data(data, kind=kind), self.network_["column"]))
        network = self.generator_
        assert isinstance(network, Siamese)
        with torch.no_grad():
            return as_array(network.encode(x) for x in chunks(self, dataset))


def recipe(codec: Codec) -> Recipe:
    """Steps, batch, rate and sizes of contrastive learning on the codec's kind."""
    data = codec.data if isinstance(codec, JointCodec) else codec
    if data.kind == "images":
        tiny = torch.Size(data.event_shape).numel() <= TINY
        steps, width = (1000, 16) if tiny else (2000, 32)
        return Recipe(steps, 256, 1e-3, 1, width, 1, coarse=1.0, fine=1.0, half_life=50)
    return Recipe(2000, 256, 1e-3, 1, 256, 2, coarse=1.0, fine=1.0, half_life=50)


def _numbers(dataset: Dataset) -> Dataset:
    """The labels of `dataset.given` as numbers `(n, 1)`, -1 where not known; `InputError` where there are none."""
    assert dataset.given is not None
    told = dataset.given.values[LABEL]
    there = torch.from_numpy(told.is_not_null().to_numpy().copy())
    names, numbers = np.unique(told.drop_nulls().to_numpy(), return_inverse=True)
    if len(names) < 2:
        raise InputError(f"{dataset.name}: {len(names)} different labels are known; give two or more, or none at all")
    codes = torch.full((len(told), 1), -1.0)
    codes[there] = torch.from_numpy(numbers)[:, None].float()
    return Dataset("points", codes, "labels")
