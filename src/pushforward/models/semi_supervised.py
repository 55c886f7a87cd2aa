"""`SemiSupervised`: a GAN whose critic is a classifier, of which few rows need a label (Salimans et al. 2016).

The critic gives K logits l_k(x), one for each class; a sample is the class K + 1, whose logit is held at 0. With
Z(x) = sum_k exp l_k(x),

    D(x) = Z / (Z + 1) = sigma(v),   v(x) = log Z(x)           (there, section 5)
    D descends  sp(-v(x)) + sp(v(y))                           all data x against samples y
                + weight * E[-log softmax(l(x))_label]         the rows with a label
    G descends  |E h(x) - E h(y)|^2                            feature matching (section 3.1), h the last hidden layer

so that v is the score of any other game, and log Z the free energy of the classifier.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from typing import Any, TypeVar

import numpy as np
import polars as pl
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from ..data.codec import Codec
from ..data.dataset import Dataset
from ..data.sources import read as read_data
from ..errors import InputError
from ..nets import Shape
from ..nets.critic import Critic
from ..objectives import Objective
from ..training.progress import Reporter
from ..training.regularisers import Regulariser
from ..training.regularisers.base import Scene
from ..training.regularisers.table import Words
from ..witness import Link
from . import networks, setup
from .adversarial import Adversarial
from .rows import as_array, chunks, read_rows
from .setup import Game
from .trained import rows_of

Self = TypeVar("Self", bound="SemiSupervised")

LABEL, UNKNOWN = "label", -1
# the first weight of R1 + R2 in units of the data's spread: a classifier must be free to turn where few rows lie. With
# 20 labels on two blobs of points, 1 leaves it at 86 % right, .05 brings it to 99 %
COARSE = 0.05
LABELLED = 128  # labelled rows in a step, at most: with replacement where fewer are known


class ClassCritic(nn.Module):
    """A critic of K outputs as one of one score: v(x) = log sum_k exp l_k(x)."""

    def __init__(self, body: Critic) -> None:
        super().__init__()
        self.body = body

    def classify(self, x: Tensor) -> Tensor:
        """Logits `(n, K)` of the classes."""
        logits: Tensor = self.body(x)
        return logits

    def features(self, x: Tensor) -> Tensor:
        return self.body.features(x)

    def forward(self, x: Tensor) -> Tensor:
        return self.classify(x).logsumexp(1)


class Supervised(Regulariser):
    """weight * E[-log softmax(l(x))_label] over random rows with a label, seen as all others are.

    What it learns from is laid in by `know` before the run.
    """

    name = "labels"

    def __init__(self, weight: float) -> None:
        super().__init__()
        self.weight = weight
        self.expand: Callable[[Tensor], Tensor] = lambda rows: rows
        self.rows: Tensor
        self.labels: Tensor
        for name in ("rows", "labels"):  # they belong to the data: no checkpoint holds them
            self.register_buffer(name, torch.empty(0), persistent=False)

    def know(self, rows: Tensor, labels: Tensor, expand: Callable[[Tensor], Tensor]) -> None:
        """Compact rows with a label, its number `(n,)` for each, and what expands such rows."""
        self.rows, self.labels, self.expand = rows, labels, expand

    def charge(self, scene: Scene) -> Tensor | None:
        chosen = scene.draw.integers(0, len(self.rows), min(LABELLED, len(scene.x)))
        caught: list[Tensor] = []
        critic = scene.network
        assert isinstance(critic, ClassCritic)
        handle = critic.body.register_forward_hook(lambda _, __, logits: caught.append(logits))
        try:  # scored as all rows are, through the views; the logits on the way are what is wanted
            scene.critic(self.expand(self.rows[chosen]).to(scene.x))
        finally:
            handle.remove()
        return self.weight * cross_entropy(caught[0], self.labels[chosen], reduction="none")


class SemiSupervised(Adversarial):
    """A generator and a classifier of K classes, for points `(n, d)`, tables and images.

    weight: of the labelled rows' loss. Everything else as for `GAN`.

    Learned: see `OnePass`; and `classes_`.
    """

    _column: str | None = None  # of a table, that holds the labels
    _known: Supervised | None = None  # while it is fitted

    def __init__(
        self,
        objective: str | Objective | Link = "feature-matching",
        *,
        weight: float = 1.0,
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
        self.weight = weight

    # ---- fit

    def fit(  # type: ignore[override]
        self: Self,
        data: Any,
        labels: Any,
        *,
        holdout: Any = None,
        out: str | os.PathLike[str] | None = None,
        resume: bool = False,
        log: str | None = None,
        progress: bool | Reporter = True,
    ) -> Self:
        """Learn to draw rows like those of `data`, and to tell their classes.

        labels: one for every row, of which None, NaN and -1 say that it is not known; or the name of a table's column,
            which is then no part of what is drawn (missing where not known). holdout: rows, without labels.
        Everything else as for `GAN.fit`.
        """
        setup.check(self)
        self._game()
        dataset, column = labelled(rows_of(data), labels)
        held = None if holdout is None else without(rows_of(holdout), column)
        self._column, self._known = column, Supervised(float(self.weight))
        try:
            return self._fit(dataset, held, out=out, resume=resume, log=log, progress=progress)
        finally:
            self._known = None  # the rows are the user's, not the model's

    def _game(self) -> Game:
        if not self.weight > 0:
            raise InputError(f"weight must be a positive number, not {self.weight!r}")
        game = super()._game()
        words = [game.regularise] if isinstance(game.regularise, str) else list(game.regularise)
        return game if self._known is None else replace(game, regularise=[*words, self._known])

    def _codec(self, dataset: Dataset) -> tuple[Codec, Tensor]:
        assert dataset.given is not None
        assert self._known is not None
        codec, rows = super()._codec(replace(dataset, given=None))
        told = dataset.given.values[LABEL]
        self.classes_ = np.array(sorted(told.drop_nulls().unique().to_list()))
        if len(self.classes_) < 2:
            raise InputError(
                f"{dataset.name}: {len(self.classes_)} different labels are known; a classifier needs two or more"
            )
        there = torch.from_numpy(told.is_not_null().to_numpy().copy())
        codes = torch.from_numpy(np.searchsorted(self.classes_, told.drop_nulls().to_numpy()))
        self._known.know(rows[there], codes.long(), codec.expand)
        return codec, rows

    def _recipe(self, codec: Codec, game: Game) -> networks.Recipe:
        recipe = super()._recipe(codec, game)
        return replace(recipe, coarse=min(recipe.coarse, COARSE))

    def _describe(self, codec: Codec, rows: Tensor) -> dict[str, Any]:
        return {"classes": self.classes_.tolist(), "column": self._column}

    def _networks(
        self, codec: Codec, network: Mapping[str, Any], generator: torch.Generator
    ) -> tuple[nn.Module, nn.Module | None]:
        plain = {name: value for name, value in network.items() if name not in ("classes", "column")}
        if Shape(**network["shape"]) != Shape():
            raise InputError("a classifier looks at one row at a time: leave pack and deviation out of regularise")
        self.classes_ = np.array(network["classes"])
        shape = asdict(Shape(outputs=len(self.classes_)))
        made, body = networks.build(codec, **{**plain, "shape": shape}, generator=generator)
        assert isinstance(body, Critic)
        return made, ClassCritic(body)

    # ---- classes

    def predict_proba(self, data: Any) -> np.ndarray:
        """softmax(l(x)), the probability of every class of `classes_`, float32 `(n, K)`, for the rows of `data`."""
        self._require_fitted()
        dataset = read_rows(self, without(read_data(data, kind=self._kind(data)), self.network_["column"]))
        critic = self.critic_
        assert isinstance(critic, ClassCritic)
        with torch.no_grad():
            return as_array([critic.classify(x).softmax(1) for x in chunks(self, dataset)])

    def predict(self, data: Any) -> np.ndarray:
        """The likeliest class of every row of `data`, `(n,)`."""
        found: np.ndarray = self.classes_[self.predict_proba(data).argmax(1)]
        return found

    def _kind(self, data: Any) -> Any:
        return None if isinstance(data, Dataset) else self.codec_.kind


def without(dataset: Dataset, column: str | None) -> Dataset:
    """A table without its column of labels, if it has that."""
    if column is None or dataset.kind != "table" or column not in dataset.values.columns:
        return dataset
    return replace(dataset, values=dataset.values.drop(column))


def labelled(dataset: Dataset, labels: Any) -> tuple[Dataset, str | None]:
    """(rows with their labels as what is given with them, null where not known; the column that held them or None)."""
    column = labels if isinstance(labels, str) else None
    if column is not None:
        columns = dataset.values.columns if dataset.kind == "table" else []
        if column not in columns:
            known = f"it has {', '.join(columns)}" if columns else "only tables have columns; give one label a row"
            raise InputError(f"{dataset.name}: has no column {column!r} of labels; {known}")
        told = dataset.values[column]
        told = told.cast(pl.String) if told.dtype in (pl.Categorical, pl.Enum) else told
        dataset = without(dataset, column)
        if not dataset.values.width:
            raise InputError(f"{dataset.name}: has no columns but the labels {column!r}; give some to learn from")
    else:
        told = _series(labels)
    if len(told) != len(dataset):
        raise InputError(f"{len(told)} labels for the {len(dataset)} rows of {dataset.name}; give one for every row")
    if told.dtype.is_float():
        told = told.fill_nan(None)
        told = told.cast(pl.Int64) if bool((told.drop_nulls() == told.drop_nulls().round()).all()) else told
    if told.dtype.is_signed_integer():
        told = told.set(told == UNKNOWN, None)
    given = Dataset("table", pl.DataFrame({LABEL: told.alias(LABEL)}), f"labels of {dataset.name}", "polars")
    return replace(dataset, given=given), column


def _series(labels: Any) -> pl.Series:
    try:
        values = labels.tolist() if hasattr(labels, "tolist") else list(labels)
        return pl.Series(LABEL, values, strict=True)
    except TypeError:
        raise InputError(
            "labels are not a list of numbers or words, None where not known; give one for every row, of one type"
        ) from None
