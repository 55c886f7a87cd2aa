"""What translators share: two domains read and held beside each other, their rows as noise, and rows translated.

A translator's noise is rows of the domains themselves, drawn at random with each other's; so while it trains it plays
the same steps as any other generator. The rows belong to the data, not to the model: a saved one has none.
"""

from __future__ import annotations

import os
import secrets
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, Literal, TypeVar, cast

import torch
from torch import Tensor, nn

from ..data.alike import check_alike
from ..data.codec import Codec
from ..data.dataset import Dataset
from ..data.pairs import PairsCodec
from ..data.sources import read as read_data
from ..data.sources import to_container
from ..data.tables import TableCodec
from ..errors import InputError
from ..nets import ConvCritic, MLPCritic, Shape, TabularCritic
from ..nets.translator import ImageTranslator, PointTranslator, Start, TableTranslator, known_ways
from ..objectives import objective
from ..training.batches import derive, settle
from ..training.progress import Reporter
from ..training.regularisers.table import Words
from . import setup
from .drawing import CHUNK, joined, rng
from .folder import versions
from .one_pass import OnePass

Self = TypeVar("Self", bound="Translating")
Way = Literal["A", "B"]
FEWEST = 2  # rows of a domain


class Sources:
    """Encoded rows of both domains, of which `draw` gives joint rows; copies of a model share them."""

    def __init__(self, rows: Tensor, expand: Callable[[Tensor], Tensor], first: int, paired: bool) -> None:
        self.rows, self.expand, self.first, self.paired = rows, expand, first, paired

    def __deepcopy__(self, memo: dict[int, Any]) -> Sources:
        return self

    def draw(self, n: int, *, generator: torch.Generator) -> Tensor:
        """Joint rows `(n, total)`, each part drawn by itself, or rows that belong together where `paired`."""
        if self.rows.device != generator.device:
            self.rows = settle(self.rows, generator.device) if generator.device.type == "cuda" else self.rows
        count, on = len(self.rows), self.rows.device
        places = torch.randint(count, (n,), generator=generator, device=generator.device).to(on)
        one = self.expand(self.rows[places])
        if self.paired:
            return one.to(generator.device)
        others = torch.randint(count, (n,), generator=generator, device=generator.device).to(on)
        other = self.expand(self.rows[others])
        return torch.cat([one[:, : self.first], other[:, self.first :]], 1).to(generator.device)


def drawn(sources: Sources | None, n: int, *, generator: torch.Generator) -> Tensor:
    """Joint rows of the training data; `InputError` where the model was loaded and has none."""
    if sources is None:
        raise InputError("a saved translator holds no rows to translate; give it some: translate(rows)")
    return sources.draw(n, generator=generator)


class Translating(OnePass, ABC):
    """A model of two domains, A and B: `fit(A, to=B)`, `translate(rows)`.

    Learned: see `OnePass`.
    """

    noise_size: int | None = None
    _paired = False

    def fit(
        self: Self,
        data: Any,
        *,
        to: Any = None,
        holdout: Any = None,
        out: str | os.PathLike[str] | None = None,
        resume: bool = False,
        log: str | None = None,
        progress: bool | Reporter = True,
    ) -> Self:
        """Learn to turn rows of `data` (domain A) into rows like those of `to` (domain B).

        Both are `Dataset`s, or anything `data.sources.read` reads, of one kind. holdout: a pair, rows of A and rows of
        B that are kept out; with `until` and without it, a fifth of each is kept out. The auditor judges translations
        of training rows of A against the held-out rows of B. Everything else as for every model (`OnePass.fit`).
        """
        setup.check(self)
        self._game()
        of = _domain(data)
        if to is None:
            raise InputError(f"{type(self).__name__} translates between two domains; give the other one too (to=ROWS)")
        pair = of, self._alike(of, _domain(to))
        held = None if holdout is None else self._held(pair, holdout)
        if self.until and held is None:
            pair, held = self._split(*pair)
        return self._fit(
            self._beside(*pair),
            None if held is None else self._beside(*held),
            out=out,
            resume=resume,
            log=log,
            progress=progress,
        )

    def _alike(self, of: Dataset, to: Dataset) -> Dataset:
        """`to` in the form of `of`; `InputError` where one cannot be turned into the other."""
        return check_alike(of, to)

    @abstractmethod
    def _beside(self, of: Dataset, to: Dataset) -> Dataset:
        """Rows of B with rows of A as what is given."""

    def _split(self, of: Dataset, to: Dataset) -> tuple[tuple[Dataset, Dataset], tuple[Dataset, Dataset]]:
        """The training rows of both domains, and those that are kept for the auditor."""
        seeds = (self.seed, self.seed if self._paired else derive(self.seed, "holdout") % 2**31)
        parts = [one.split(setup.AUDITED, seed=seed) for one, seed in zip((of, to), seeds, strict=True)]
        return (parts[0][0], parts[1][0]), (parts[0][1], parts[1][1])

    def _held(self, pair: tuple[Dataset, Dataset], holdout: Any) -> tuple[Dataset, Dataset]:
        if not isinstance(holdout, tuple | list) or len(holdout) != 2:
            raise InputError("holdout must be a pair, rows of the first domain and rows of the second")
        of, to = (check_alike(one, _domain(held)) for one, held in zip(pair, holdout, strict=True))
        return of, to

    # ---- translate

    @abstractmethod
    def _translators(self) -> dict[str, tuple[Codec, Codec, nn.Module]]:
        """By the domain translated to: the codecs of what goes in and of what comes out, and what is between."""

    def translate(self, data: Any, *, to: Way = "B", seed: int | None = None) -> Any:
        """Every row of `data` as it would be in the domain `to`: in order, in the container they came in.

        seed: of what is drawn, where the model draws anything or a table's rare levels share a code.
        Raises `InputError` for rows of another kind, size or other columns, and for an unknown domain.
        """
        return to_container(self.translate_dataset(data, to=to, seed=seed))

    def translate_dataset(self, data: Any, *, to: Way = "B", seed: int | None = None) -> Dataset:
        """As `translate`, a `Dataset` whose `made_by` says how."""
        self._require_fitted()
        known = self._translators()
        if to not in known:
            raise InputError(
                f"to={to!r}: no such domain; {type(self).__name__} translates to {' or '.join(map(repr, known))}"
            )
        seed = secrets.randbits(31) if seed is None else seed
        taken, given, network = known[to]
        dataset = _like(taken, read_data(data, kind=None if isinstance(data, Dataset) else taken.kind))
        same = taken.event_shape == given.event_shape  # else the other domain's own form is given back
        found = joined(list(self._by_the_chunk(dataset, taken, given, network, seed)))
        form: dict[str, Any] = {"container": dataset.container, "restore": dataset.restore}
        made_by = {
            "tool": "pushforward",
            "version": versions()["pushforward"],
            "class": type(self).__name__,
            "model": self.id_,
            "translated_to": to,
            "from": dataset.name,
            "seed": seed,
        }
        return replace(found, name=dataset.name, made_by=made_by, **(form if same else {}))

    def _by_the_chunk(self, dataset: Dataset, taken: Codec, given: Codec, network: nn.Module, seed: int) -> Any:
        device = next(self.generator_.parameters()).device
        for number, rows in enumerate(taken.encode(dataset, generator=rng(seed, "encode")).split(CHUNK[taken.kind])):
            x = taken.expand(rows.to(device)).float()
            noise = self._noise(len(x), rng(seed, "sample", number))
            with torch.no_grad():
                y = network(x) if noise is None else network(x, noise.to(device))
            yield given.decode(y, generator=rng(seed, "decode", number))

    def _noise(self, n: int, generator: torch.Generator) -> Tensor | None:
        """What is drawn beside the rows; None for a model that draws nothing."""
        return None

    def sample_dataset(
        self, n: int, *, given: Any = None, refine: str | None = None, real: Any = None, seed: int | None = None
    ) -> Dataset:
        """Translations to B of `n` rows drawn at random from `given`: a run folder holds no rows of its own."""
        self._require_fitted()
        if n < 1:
            raise InputError(f"the number of samples must be at least 1, not {n}")
        if refine is not None:
            raise InputError(f"refine={refine!r}: {type(self).__name__} translates row by row; leave refine out")
        if given is None:
            raise InputError(
                f"{type(self).__name__} makes rows from rows, and a run folder holds none; give some to draw from "
                "(given=ROWS), or translate all of them: translate(ROWS), `pushforward translate RUN --in FILE`"
            )
        seed = secrets.randbits(31) if seed is None else seed
        rows = _like(self._translators()["B"][0], read_data(given))
        places = torch.randint(len(rows), (n,), generator=rng(seed, "sources"))
        return self.translate_dataset(rows.take(places), seed=seed)

    def sample(
        self, n: int, *, given: Any = None, refine: str | None = None, real: Any = None, seed: int | None = None
    ) -> Any:
        """As `sample_dataset`, in the kind of container that `given` has."""
        return to_container(self.sample_dataset(n, given=given, refine=refine, real=real, seed=seed))

    def _calibrate(self, dataset: Dataset, held: Dataset | None) -> None:
        """Nothing is refined: there is one translation of a row, not many to choose from."""
        self.calibration_ = None


def _domain(data: Any) -> Dataset:
    dataset = read_data(data)
    if len(dataset) < FEWEST:
        raise InputError(f"{dataset.name}: a domain of {len(dataset)} rows; give at least {FEWEST}")
    return dataset


def _like(codec: Codec, dataset: Dataset) -> Dataset:
    """`dataset` in the form of the domain that `codec` was fitted on."""
    if not len(dataset):
        raise InputError(f"{dataset.name}: has no rows; give at least one")
    if dataset.kind == codec.kind == "images" and dataset.values.shape[1] < codec.event_shape[0]:
        dataset = replace(dataset, values=dataset.values.expand(-1, codec.event_shape[0], -1, -1))  # grey ones as RGB
    form = codec.decode(torch.zeros(1, *codec.event_shape), generator=rng(0))
    return check_alike(replace(form, name="the domain this model translates from"), dataset)


def codecs(model: OnePass) -> PairsCodec:
    """The codec of a model of two domains."""
    return cast(PairsCodec, model.codec_)


def played(model: Any, words: Words) -> setup.Game:
    """The game of a translator, by its parameters; refuses those that make no sense."""
    found = objective(model.objective)
    if found.critic is None or found.reads != "scores":
        raise InputError(
            f"the objective {found.name} does not score rows, which the domains are judged by; take rpgan, ns or hinge"
        )
    known_ways(model.ways)
    return setup.Game(
        objective=found,
        regularise=words,
        gamma=model.gamma,
        n_critic=model.n_critic,
        critic_rate=model.critic_rate,
        optimiser=model.optimiser,
    )


def translator(
    taken: Codec,
    given: Codec,
    network: Mapping[str, Any],
    generator: torch.Generator,
    *,
    noise_size: int = 0,
    start: Start | None = None,
) -> nn.Module:
    """What turns rows of the codec `taken` into rows of `given`: at first as the identity if it can, a table's by
    `start` where there is one."""
    sizes = {"width": network["width"], "depth": network["depth"], "noise_size": noise_size}
    if isinstance(given, TableCodec):
        return TableTranslator(given.blocks, **sizes, start=start, generator=generator)
    if given.kind == "points":
        return PointTranslator(taken.event_shape, given.event_shape, **sizes, generator=generator)
    ways = known_ways(network["ways"])
    return ImageTranslator(taken.event_shape, given.event_shape[0], **sizes, ways=ways, generator=generator)


def critic_of(codec: Codec, seen: Shape, network: Mapping[str, Any], generator: torch.Generator) -> nn.Module:
    """A critic of the rows of `codec`."""
    sizes: dict[str, Any] = {"width": network["width"], "depth": network["depth"], "shape": seen}
    if codec.kind == "images":
        return ConvCritic(codec.event_shape, **sizes, generator=generator)
    if isinstance(codec, TableCodec):
        return TabularCritic(codec.blocks, **sizes, generator=generator)
    return MLPCritic(codec.event_shape, **sizes, frequencies=network["frequencies"], generator=generator)
