"""Models whose network learns from data alone: it descends a likelihood, a bound of one, or a regression; no game.

A family adds its constructor, which calls this one, and its network (`_network`). What can be done with a network that
was trained comes as mixins, so that a family has the methods it can honour and no others:

    Samples      sample
    Densities    log_prob, of the kind that the family's `likelihood` says
    Codes        encode, decode, reconstruct
    Conditioned  fit(given=): the network models rows given some of their columns, labels or vectors
"""

from __future__ import annotations

import os
import secrets
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar, TypeVar

import numpy as np
import torch
from torch import Tensor, nn

from ..data.codec import Codec, fit_codec
from ..data.dataset import Dataset, Kind
from ..data.joint import JointCodec
from ..data.points import PointsCodec
from ..data.shades import Shades
from ..data.sources import to_container
from ..data.tables import TableCodec
from ..errors import InputError
from ..nets.beside import Beside
from ..nets.conditional import Conditions, Layout
from ..nets.event import Event
from ..nets.joint import Joint
from ..training.loop import Monitor
from ..training.progress import Reporter
from ..training.schedule import Schedule
from . import given as conditions
from . import networks, setup, several
from .asked import Subject, read_conditions
from .classical.base import Likelihood
from .drawing import CHUNK, draw, rng
from .folder import versions
from .rows import as_array, chunks, device, give_back, read_rows
from .selecting import Selected
from .setup import Game
from .trained import Trained, rows_of

Self = TypeVar("Self", bound="Conditioned")

FEWEST = 100  # rows from which on some are kept back


class Neural(Trained):
    """A network that learns from data alone; see the module's docstring, and `Trained` for what is learned.

    steps, time_budget: how long; one or the other. batch_size, learning_rate, width, depth: default by kind.
    validation: share of the training rows that are kept back: the moving average is looked at 50 times a run on them,
        the best is the model, and the run ends when it has not improved for long. 0: the last average is the model.
    until, tolerance: as for `GAN`, of models that sample. checkpoint_every, precision, device, seed: as for `GAN`.
    """

    kinds: ClassVar[tuple[Kind, ...]] = ("points", "images", "table")
    likelihood: ClassVar[Likelihood] = "none"
    combine: str | None = None  # of families with several losses, which have them as parameters
    preference: Sequence[float] | None = None

    def __init__(
        self,
        *,
        steps: int | None,
        time_budget: float | None,
        batch_size: int | None,
        learning_rate: float | None,
        width: int | None,
        depth: int | None,
        validation: float,
        until: str | None,
        tolerance: float,
        checkpoint_every: int | None,
        precision: str,
        device: str,
        seed: int,
    ) -> None:
        self.steps = steps
        self.time_budget = time_budget
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.width = width
        self.depth = depth
        self.validation = validation
        self.until = until
        self.tolerance = tolerance
        self.checkpoint_every = checkpoint_every
        self.precision = precision
        self.device = device
        self.seed = seed

    # ---- what a family defines

    @abstractmethod
    def _network(self, event: Event, network: Mapping[str, Any], generator: torch.Generator) -> nn.Module:
        """The network of rows like `event`, its first weights drawn from `generator`; at fit and at load. `network` has
        `width`, `depth` and what `_settings` said."""

    def _settings(self) -> dict[str, Any]:
        """What `_network` needs beside the sizes: JSON-able, kept in `model.json`."""
        return {}

    def _joint(self) -> bool:
        """Whether a table's numbers are put into joint coordinates, which take near-deterministic relations out."""
        return True

    def _check(self) -> None:
        """Refuse parameters that make no sense (`InputError`)."""

    # ---- fitting

    def _game(self) -> Game:
        if not (isinstance(self.validation, int | float) and 0 <= self.validation < 1):
            raise InputError(f"validation is a share of the rows from 0 to below 1, not {self.validation!r}")
        if self.until and not hasattr(self, "sample"):
            raise InputError(f"until judges samples, and {type(self).__name__} draws none; leave it out")
        self._check()
        return Game(optimiser="momentum", **several.read(self.combine, self.preference))

    def _fit(self, dataset: Dataset, held: Dataset | None, **more: Any) -> Any:
        for one in (dataset, held):
            if one is not None and one.kind not in self.kinds:
                raise InputError(
                    f"{one.name}: is {one.kind}, which {type(self).__name__} does not model; it takes "
                    f"{' and '.join(self.kinds)}"
                )
        return super()._fit(dataset, held, **more)

    def _codec(self, dataset: Dataset) -> tuple[Codec, Tensor]:
        if self._joint():
            return setup.encode(dataset, self.seed, getattr(self, "_columns", ()))
        codec = fit_codec(dataset)
        return codec, codec.encode(dataset, generator=rng(self.seed, "encode"))

    def _train_rows(self, rows: Tensor) -> Tensor:
        self._kept_back: Tensor | None = None
        if not self.validation or len(rows) < FEWEST:
            return rows
        order = torch.randperm(len(rows), generator=rng(self.seed, "validation")).to(rows.device)
        kept = round(self.validation * len(rows))
        self._kept_back = rows[order[:kept]]
        return rows[order[kept:]]

    def _schedule(self, steps: int, learning_rate: float) -> Schedule:
        return Schedule(steps, learning_rate, end=0.01, beta2=(0.999, 0.999))

    def _recipe(self, codec: Codec, game: Game) -> networks.Recipe:
        if codec.kind == "images":
            return replace(networks.recipe(conditions.of_data(codec)), steps=4000, learning_rate=1e-3, shift=0)
        steps = 5000 if codec.kind == "points" else 4000
        return networks.Recipe(steps, 512, 1e-3, 1, 128, 2, coarse=1.0, fine=1.0, half_life=100)

    def _monitor(self, game: Game, codec: Codec, rows: Tensor, held: Dataset | None, average: nn.Module) -> Monitor:
        sides = {"train": rows}
        if self._kept_back is not None:
            sides["validation"] = self._kept_back
        if held is not None:
            sides["held"] = codec.encode(held, generator=rng(self.seed, "held"))
        del self._kept_back
        return Selected(sides, codec, average, seed=self.seed)

    def _describe(self, codec: Codec, rows: Tensor) -> dict[str, Any]:
        found = dict(self._settings())
        if codec.kind == "images":
            pictures = codec.parts(rows)[0] if isinstance(codec, JointCodec) else rows
            found["shades"] = list(Shades.of(pictures).levels)
        return found

    def _networks(
        self, codec: Codec, network: Mapping[str, Any], generator: torch.Generator
    ) -> tuple[nn.Module, nn.Module | None]:
        event = event_of(codec, network)
        if not event.size:
            raise InputError("nothing in these data varies, so there is nothing to learn; give columns that do")
        core = self._network(event, network, generator)
        if "given" not in network:
            return core, None
        said = network["given"]
        layout = Layout(said["numeric"], tuple(said["levels"]))
        kept = Conditions(layout, said["kept"], balanced=said["balanced"], device=generator.device)
        joint = Joint(codec.shapes) if isinstance(codec, JointCodec) else None
        return Beside(core, kept, joint=joint, places=said["places"], total=codec.event_shape[0]), None


def event_of(codec: Codec, network: Mapping[str, Any]) -> Event:
    """What a row is to the network, without what is given."""
    data, said = conditions.of_data(codec), network.get("given")
    size = Layout(said["numeric"], tuple(said["levels"])).size if said else 0
    if data.kind == "images":
        return Event("images", data.event_shape, shades=tuple(network["shades"]), given=size)
    places = set(said["places"]) if said else set()
    shape = (data.event_shape[0] - len(places),)
    if not isinstance(data, TableCodec):
        return Event("points", shape, given=size)
    blocks, at = [], 0
    for block in data.blocks:
        if block.start not in places:
            blocks.append(replace(block, start=at, stop=at + block.stop - block.start))
            at = blocks[-1].stop
    return Event("table", shape, blocks=tuple(blocks), given=size)


# ---- what a trained network can do


class Samples(Neural):
    """A network that turns noise into rows."""

    def sample(self, n: int, *, given: Any = None, seed: int | None = None) -> Any:
        """`n` new rows in the kind of container that the data came in; the same `seed` draws the same rows.

        given: what they are to meet, see `conditional.answer`.
        """
        return to_container(self.sample_dataset(n, given=given, seed=seed))

    def sample_dataset(self, n: int, *, given: Any = None, seed: int | None = None) -> Dataset:
        """`n` new rows; `made_by` says how. Fewer rows of the same seed are the first of more."""
        from .conditional import answer

        self._require_fitted()
        if n < 1:
            raise InputError(f"the number of samples must be at least 1, not {n}")
        seed = secrets.randbits(31) if seed is None else seed
        if given is None:
            drawn, report = draw(self.generator_, self.codec_, n, seed), None
        else:
            drawn, report = answer(self, n, given, seed)
        made_by: dict[str, Any] = {
            "tool": "pushforward",
            "version": versions()["pushforward"],
            "class": type(self).__name__,
            "model": self.id_,
            "seed": seed,
        }
        return replace(drawn, made_by=made_by if report is None else {**made_by, "given": report})


class Densities(Neural):
    """A network that has a likelihood."""

    def log_prob(self, data: Any, *, given: Any = None, seed: int = 0) -> Tensor:
        """ln p of every row, in nats: `(n,)` float64, as exact as `likelihood` says.

        points: the density in the data's own units. images: the mass of the picture among pictures of the shades of
        training, so that bits per dimension are -log2 P / d; -inf for a picture with another shade. table: of the row
        as it is encoded, the mass of its categories times the density of its numbers in standard normal coordinates,
        comparable between models fitted to the same rows. Of a model of rows given something, ln p(x | given); `given`
        is what stands beside points or images. seed: of the draws of those that are bounds or estimates.
        """
        dataset = attached(self, read_rows(self, data), given)
        parts = []
        with torch.no_grad():
            for number, x in enumerate(chunks(self, dataset)):
                told = self.generator_.log_prob(x, generator=rng(seed, "log_prob", number))  # type: ignore[operator]
                parts.append(told.double().cpu())
        found: Tensor = torch.cat(parts) + self._log_scale() + self._log_slope(dataset)
        return found

    def _log_slope(self, dataset: Dataset) -> Tensor | float:
        """ln |de/du| of a table's joint coordinates, so that densities are of the numbers' own normal coordinates u."""
        codec = self.codec_
        if not isinstance(codec, TableCodec) or codec.coordinates is None:
            return 0.0
        plain = codec.with_coordinates(None)
        u = plain.expand(plain.encode(dataset, generator=rng(self.seed, "encode")))  # as `chunks` encodes them
        k = plain.n_numeric
        return torch.cat([codec.coordinates.log_slope(part[:, :k], part[:, k:]) for part in u.split(CHUNK["table"])])

    def _log_scale(self) -> float:
        """ln |dx/du| of points, from their own units to the codec's; of what is modelled, not of what is given."""
        codec = conditions.of_data(self.codec_)
        if not isinstance(codec, PointsCodec):
            return 0.0
        places = set(self.network_.get("given", {}).get("places", ()))
        modelled = [i for i in range(len(codec.std)) if i not in places]
        return -float(codec.std[modelled].log().sum())


class Codes(Neural):
    """A network that takes rows to latents and back, the same way at every call."""

    def encode(self, data: Any, *, given: Any = None) -> np.ndarray:
        """The latents of the rows of `data`, float32 `(n, k)`. `InputError` for data of another form."""
        dataset = attached(self, read_rows(self, data), given)
        with torch.no_grad():
            return as_array(self.generator_.encode(x) for x in chunks(self, dataset))  # type: ignore[operator]

    def decode(self, z: Any, *, given: Any = None) -> Any:
        """The rows of latents `(n, k)`, in the kind of container that the model was fitted on. `given`: of a model of
        rows given something, one condition for all, or one for each."""
        self._require_fitted()
        latents = torch.as_tensor(np.asarray(z), dtype=torch.float32).to(device(self))
        expected = self._latents()
        if latents.dim() != 2 or latents.shape[1] != expected or not bool(latents.isfinite().all()):
            raise InputError(f"latents {tuple(latents.shape)}: finite numbers (n, {expected}) are expected")
        more: list[Tensor] = []
        if isinstance(self.generator_, Beside):
            if given is None:
                raise InputError("this model makes rows given something; say what (given=)")
            subject = Subject(self)
            asked, _ = read_conditions(subject, given)
            more = [subject.encode(asked, "decode").expand(len(latents), -1).to(latents)]
        with torch.no_grad():
            return give_back(self, [self.generator_.decode(latents, *more)])  # type: ignore[operator]

    def reconstruct(self, data: Any, *, given: Any = None) -> Any:
        """Every row through its latent and back, in the kind of container that the model was fitted on."""
        dataset, network = attached(self, read_rows(self, data), given), self.generator_
        with torch.no_grad():
            if isinstance(network, Beside):
                return give_back(self, [network.reconstruct(x) for x in chunks(self, dataset)])
            return give_back(self, [network.decode(network.encode(x)) for x in chunks(self, dataset)])  # type: ignore[operator]

    def _latents(self) -> int:
        """How many numbers a latent has."""
        core: Any = self.generator_.core if isinstance(self.generator_, Beside) else self.generator_
        return int(core.latent_size)


def attached(model: Neural, dataset: Dataset, given: Any) -> Dataset:
    """`dataset` with what stands beside it, where the model is given such."""
    beside = isinstance(model.codec_, JointCodec)
    if given is not None:
        if not beside:
            raise InputError("given: this model has nothing beside its rows; leave it out")
        return conditions.attach(replace(dataset, given=None), given)[0]
    if beside and dataset.given is None:
        raise InputError("this model is of rows given something beside them; say what (given=)")
    return dataset


class Conditioned(Neural):
    """A family whose network can be of rows given some of their columns, labels or vectors."""

    _columns: tuple[str, ...] = ()
    _given: conditions.Given | None = None

    def fit(
        self: Self,
        data: Any,
        *,
        holdout: Any = None,
        given: Any = None,
        out: str | os.PathLike[str] | None = None,
        resume: bool = False,
        log: str | None = None,
        progress: bool | Reporter = True,
    ) -> Self:
        """As `Trained.fit`; with `given`, the rows' law is learned conditional on it: see `GAN.fit`."""
        setup.check(self)
        self._game()
        dataset, self._columns = rows_of(data), ()
        if given is not None:
            dataset, self._columns = conditions.attach(dataset, given)
        held = None if holdout is None else conditions.attach_held(dataset, holdout, self._columns)
        if out is not None and resume:
            conditions.same(Path(out), self._columns)
        try:
            self._fit(dataset, held, out=out, resume=resume, log=log, progress=progress)
            return self
        finally:
            self._given = None

    def _describe(self, codec: Codec, rows: Tensor) -> dict[str, Any]:
        found = super()._describe(codec, rows)
        if self._columns or isinstance(codec, JointCodec):
            self._given = conditions.find(codec, self._columns, rows)
            found["given"] = conditions.describe(self._given, self._columns, "concat", 0.0)
        return found

    def _networks(
        self, codec: Codec, network: Mapping[str, Any], generator: torch.Generator
    ) -> tuple[nn.Module, nn.Module | None]:
        made, critic = super()._networks(codec, network, generator)
        if self._given is not None and isinstance(made, Beside):
            self._given.keep(made.conditions, None, seed=self.seed)
        return made, critic
