"""`Imputer`: a model of whole rows that also fills rows of which any cells are missing.

It learns p(unseen | seen) for every set of seen cells at once, under masks drawn afresh for every row (`data.masks`):
by maximum likelihood (`nets.masked`), and, where an `objective` is named, by a game for the completed rows beside it
(`nets.completer`). `fill` draws what is missing, several times if asked (multiple imputation, Rubin 1987);
`fill_points` gives each cell its mean or its most frequent level over many draws; `sample` draws rows of which nothing
was seen.

Missing cells of the training data are a level of their column: whole rows that are sampled have holes as the data do.
A cell to be filled gets a value: the level `missing` is left out there, p(v | seen, not missing). That is right where
values are missing at random given what is seen; from the data alone nothing else can be told.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from ..data import masks
from ..data.codec import Codec, fit_codec
from ..data.dataset import Dataset
from ..data.holes import Holes, read_holes
from ..data.sources import to_container
from ..errors import InputError
from ..nets.completer import Completer
from ..objectives import objective as objective_by_name
from ..training.loop import Monitor, State
from . import completing, networks
from .consensus import point_of
from .drawing import CHUNK, joined, rng
from .folder import versions
from .one_pass import OnePass
from .setup import Game

if TYPE_CHECKING:
    from ..training.regularisers.table import Words

WATCHED = 2000  # rows of each side whose surprise is recorded
NO_GAME = "none"


class Imputer(OnePass):
    """Points, tables and images of which any cells may be missing; see the module's docstring.

    objective: `none` to learn by likelihood alone; a name of `objectives.OBJECTIVES` for a game that refines numbers
        (where it was measured, docs/benchmarks/impute.md, it did not help: moons as before, digits worse).
    regularise, gamma: of that game, as for `GAN`.
    steps, time_budget, batch_size, learning_rate, width, depth: default by kind. noise_size: of the refinement.
    until, tolerance, checkpoint_every, precision, device, seed: as for `GAN`.

    Learned: see `OnePass`; there is no critic without a game.
    """

    def __init__(
        self,
        *,
        objective: str = NO_GAME,
        steps: int | None = None,
        time_budget: float | None = None,
        batch_size: int | None = None,
        learning_rate: float | None = None,
        regularise: Words | None = None,
        gamma: float | None = None,
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
        self.objective = objective
        self.steps = steps
        self.time_budget = time_budget
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.regularise = regularise
        self.gamma = gamma
        self.noise_size = noise_size
        self.width = width
        self.depth = depth
        self.until = until
        self.tolerance = tolerance
        self.checkpoint_every = checkpoint_every
        self.precision = precision
        self.device = device
        self.seed = seed

    def _game(self) -> Game:
        if self.objective == NO_GAME:
            return Game(optimiser="momentum")
        played = objective_by_name(self.objective)
        if played.critic is None:
            raise InputError(
                f"objective {played.name!r} has no critic, and this model refines by a game; choose one that has, or "
                "leave it out"
            )
        words = self.regularise or ("gp" if played.name == "wgan" else "r1+r2")
        return Game(objective=played, regularise=words, gamma=self.gamma)

    def _codec(self, dataset: Dataset) -> tuple[Codec, Tensor]:
        codec = fit_codec(dataset)
        return codec, codec.encode(dataset, generator=rng(self.seed, "encode"))

    def _recipe(self, codec: Codec, game: Game) -> networks.Recipe:
        return completing.recipe(codec, networks.recipe(codec))

    def _monitor(self, game: Game, codec: Codec, rows: Tensor, held: Dataset | None, average: nn.Module) -> Monitor:
        return Surprise(codec, rows, held, self.seed)

    def _networks(
        self, codec: Codec, network: Mapping[str, Any], generator: torch.Generator
    ) -> tuple[nn.Module, nn.Module | None]:
        named = {name: network[name] for name in ("noise_size", "width", "depth", "shape")}
        return completing.build(codec, **named, generator=generator)

    # ---- drawing and filling

    def sample(
        self,
        n: int | None = None,
        *,
        given: Any = None,
        refine: str | None = None,
        real: Any = None,
        seed: int | None = None,
    ) -> Any:
        """`n` new rows; or, `given` rows with holes, these filled: once, or where n is a multiple of their number, that
        often, one completed copy after the other. refine, real: of new rows, see `OnePass.sample`."""
        return to_container(self.sample_dataset(n, given=given, refine=refine, real=real, seed=seed))

    def sample_dataset(
        self,
        n: int | None = None,
        *,
        given: Any = None,
        refine: str | None = None,
        real: Any = None,
        seed: int | None = None,
    ) -> Dataset:
        """`sample`, as a `Dataset` whose `made_by` says how."""
        if given is None:
            if n is None:
                raise InputError("say how many samples to draw, or give rows with holes to fill (given=)")
            return super().sample_dataset(n, refine=refine, real=real, seed=seed)
        if refine is not None:
            raise InputError("rows that are filled cannot be refined by a critic; leave refine out, or given")
        holes = _read(self, given)
        if n is not None and (n < 1 or n % len(holes)):
            raise InputError(
                f"{n} samples cannot be {len(holes)} rows filled several times; leave n out, or give a multiple of "
                f"{len(holes)}"
            )
        return _fill(self, holes, 1 if n is None else n // len(holes), seed)

    def fill(self, rows: Any, *, draws: int = 1, seed: int | None = None) -> Any:
        """`rows` with what is missing drawn, `draws` times one after the other, in the container they came in; see the
        function `fill`."""
        return to_container(fill(self, rows, draws=draws, seed=seed))

    def fill_points(self, rows: Any, *, draws: int = 20, seed: int | None = None) -> Any:
        """`rows` with every missing cell at its mean or its most frequent level; see the function `fill_points`."""
        return to_container(fill_points(self, rows, draws=draws, seed=seed))


class Surprise:
    """The history's closer look at an `Imputer`: mean -log p of an unseen cell given the seen ones, of training rows
    and of held-out ones, under fixed masks."""

    def __init__(self, codec: Codec, rows: Tensor, held: Dataset | None, seed: int) -> None:
        self.sides: dict[str, tuple[Tensor, Tensor]] = {}
        size = completing.size(codec)
        some = torch.randperm(len(rows), generator=rng(seed, "watched"))[:WATCHED].to(rows.device)
        sides = {"train": rows[some]}
        if held is not None:
            sides["held"] = codec.encode(held.take(torch.arange(min(WATCHED, len(held)))), generator=rng(seed, "held"))
        for name, found in sides.items():
            self.sides[name] = (codec.expand(found), masks.draw(len(found), size, generator=rng(seed, "masks", name)))

    @torch.no_grad()
    def __call__(self, state: State) -> dict[str, float]:
        completer = state.average
        assert isinstance(completer, Completer)
        return {
            f"surprise_{name}": float(completer.surprise(x.to(state.device), mask.to(state.device)).mean())
            for name, (x, mask) in self.sides.items()
        }

    def tree(self) -> dict[str, Any]:
        return {}

    def restore(self, tree: dict[str, Any]) -> None:
        """Nothing is remembered."""


def fill(model: OnePass, rows: Any, *, draws: int = 1, seed: int | None = None) -> Dataset:
    """`rows` with their missing cells drawn from the model's law given the others; all else is exactly as it was.

    rows: data like those the model was fitted on, with holes (see `data.holes`). draws: how many completed copies; they
    come one after the other, n rows each, in the order given. `made_by` says how. The same `seed` fills alike.
    A level that training never met stays as it is, and nothing is concluded from it.

    Raises `InputError` for a model that cannot fill, rows unlike the training data, a column that training had no value
    of, and rows without a hole.
    """
    if draws < 1:
        raise InputError(f"the number of draws must be at least 1, not {draws}")
    return _fill(model, _read(model, rows), draws, seed)


def _fill(model: OnePass, holes: Holes, draws: int, seed: int | None) -> Dataset:
    seed = secrets.randbits(31) if seed is None else seed
    parts = [holes.filled(_completed(model, holes, rng_of=(seed, draw))) for draw in range(draws)]
    return replace(joined(parts), made_by=_made_by(model, holes, seed, draws))


def _made_by(model: OnePass, holes: Holes, seed: int, draws: int) -> dict[str, Any]:
    return {
        "tool": "pushforward",
        "version": versions()["pushforward"],
        "class": type(model).__name__,
        "model": model.id_,
        "seed": seed,
        "filled": holes.given.name,
        "draws": draws,
    }


def fill_points(model: OnePass, rows: Any, *, draws: int = 20, seed: int | None = None) -> Dataset:
    """`rows` with every missing number at the mean, and every missing category at the most frequent level, of `draws`
    completions: the best single guess, which hides how uncertain it is."""
    if draws < 1:
        raise InputError(f"the number of draws must be at least 1, not {draws}")
    holes = _read(model, rows)
    seed = secrets.randbits(31) if seed is None else seed
    made = [_completed(model, holes, rng_of=(seed, draw)) for draw in range(draws)]
    return replace(holes.filled(point_of(made)), made_by=_made_by(model, holes, seed, draws))


def _read(model: OnePass, rows: Any) -> Holes:
    model._require_fitted()
    if not isinstance(model.generator_, Completer):
        raise InputError(
            f"this {type(model).__name__} was not fitted to fill rows, and cannot; fit models.Imputer (--given any)"
        )
    if isinstance(rows, str | os.PathLike) and not os.path.exists(rows) and ":" not in os.fspath(rows):
        raise InputError(f"{rows}: no such file; check the path of the rows to fill")
    return read_holes(rows, model.codec_)


def _completed(model: OnePass, holes: Holes, *, rng_of: tuple[int, int]) -> Dataset:
    """The rows of `holes` completed once, in the codec's form."""
    completer, codec = model.generator_, model.codec_
    assert isinstance(completer, Completer)
    on = next(completer.parameters()).device
    seed, draw = rng_of
    encoded = codec.encode(holes.rows, generator=rng(seed, "encode", draw))
    parts = []
    chunk = CHUNK[codec.kind]
    for number, (compact, seen) in enumerate(zip(encoded.split(chunk), holes.seen.split(chunk), strict=True)):
        x = codec.expand(compact.to(on))
        noise = completer.noise(chunk, generator=rng(seed, "fill", draw, number))[: len(x)]
        with torch.no_grad():
            made = completer.complete(x, seen.to(on), noise.to(on))
        parts.append(codec.decode(made, generator=rng(seed, "decode", draw, number)))
    return joined(parts)
