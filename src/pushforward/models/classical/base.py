"""What the closed-form models share: data encoded, a law learned as a few arrays, rows drawn from it, and a folder.

A model adds `_learn(rows) -> arrays` and `_draw(n, generator) -> expanded rows`; the arrays are all that it keeps.
"""

from __future__ import annotations

import math
import os
import secrets
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar, Literal, TypeVar

import torch
from torch import Tensor

from ...data.codec import Codec, codec_from_dict, fit_codec
from ...data.dataset import Dataset, Kind
from ...data.points import PointsCodec
from ...data.shades import Shades, shades
from ...data.sources import read as read_data
from ...data.sources import to_container
from ...errors import InputError
from ...training.progress import Event, Reporter, reporter
from .. import saving
from ..base import Estimator
from ..drawing import CHUNK, joined, rng
from ..folder import MODEL, WEIGHTS, identity, part, read_model, read_weights, versions, write_model, write_weights
from ..identity import fingerprint, same_data, same_parameters

Self = TypeVar("Self", bound="Explicit")
Likelihood = Literal["exact", "lower_bound", "importance", "none"]

DRAWS = 8  # of the noise that spreads a picture's shades, for its likelihood


class BoundOfImages:
    """What a model's `log_prob` is where it is exact, but of images a lower bound: an attribute that looks."""

    def __get__(self, model: Any, owner: type) -> Likelihood:
        codec = getattr(model, "codec_", None)
        return "lower_bound" if codec is not None and codec.kind == "images" else "exact"


class Explicit(Estimator, ABC):
    """A law fitted in one go. `kinds`: the data it takes; `likelihood`: what its `log_prob`, if any, is.

    seed: of whatever a fit draws.

    Learned: `codec_`, `arrays_` (all that was learned, by name), `data_` (fingerprint of the training rows), `id_`.
    """

    kinds: ClassVar[tuple[Kind, ...]] = ("points", "images", "table")
    likelihood: ClassVar[Likelihood] = "none"
    seed: int

    @abstractmethod
    def _learn(self, rows: Tensor, /) -> dict[str, Tensor]:
        """What is learned from training rows as `_rows` gives them, as arrays by name."""

    def _rows(self, dataset: Dataset) -> Tensor:
        """Training rows: compact ones `(n, ...)`."""
        return self.codec_.encode(dataset, generator=rng(self.seed, "encode"))

    def _kept(self, dataset: Dataset) -> dict[str, Tensor]:
        """What is known of the data before the law is learned, as arrays by name."""
        return {}

    @abstractmethod
    def _draw(self, n: int, generator: torch.Generator) -> Tensor:
        """`n` expanded rows."""

    def _check(self) -> None:
        """Refuse parameters that make no sense (`InputError`)."""

    # ---- fit

    def fit(
        self: Self,
        data: Any,
        *,
        holdout: Any = None,
        out: str | os.PathLike[str] | None = None,
        resume: bool = False,
        log: str | None = None,
        progress: bool | Reporter = True,
    ) -> Self:
        """Learn the law of `data`: a `Dataset`, or anything `data.sources.read` reads.

        holdout is not looked at and log has nothing to log: these models have no steps. out: the run folder; with
        resume, a model that is already there is taken as it is.
        """
        if not isinstance(self.seed, int):
            raise InputError(f"seed must be a whole number, not {self.seed!r}")
        self._check()
        folder = None if out is None else Path(out)
        saved = None if folder is None else saving.previous(folder, resume)
        dataset = self._suitable(read_data(data))
        self.data_ = fingerprint(dataset)
        if folder and saved:
            same_data(folder, saved["run"]["data"], self.data_)
            same_parameters(folder, saved["parameters"], self.get_params(), ())
            return self._adopt(folder, saved)
        show = reporter(progress)
        show(Event("prepare", 0, 0, 0.0, message=f"fitting {type(self).__name__} to {len(dataset):,} rows"))
        self.codec_: Codec = fit_codec(dataset)
        self.arrays_: dict[str, Tensor] = self._kept(dataset)
        found = self._learn(self._rows(dataset))
        # Row by row in memory, as they are read back: the last bit of a product may hang on the order.
        self.arrays_ |= {name: tensor.contiguous() for name, tensor in found.items()}
        self.id_: str = identity(self._tensors())
        if folder:
            self.save(folder)
        return self

    def _suitable(self, dataset: Dataset) -> Dataset:
        if dataset.kind not in self.kinds:
            raise InputError(
                f"{dataset.name}: is {dataset.kind}, which {type(self).__name__} does not model; it takes "
                f"{' and '.join(self.kinds)}"
            )
        if len(dataset) < 2:
            raise InputError(f"{dataset.name}: {len(dataset)} rows are not enough to learn from; give at least two")
        return dataset

    # ---- sample

    def sample(self, n: int, *, given: Any = None, seed: int | None = None) -> Any:
        """`n` new rows in the kind of container that the data came in; the same `seed` draws the same rows.

        given: what they are to meet (by rejection), see `conditional.answer`.
        """
        return to_container(self.sample_dataset(n, given=given, seed=seed))

    def sample_dataset(self, n: int, *, given: Any = None, seed: int | None = None) -> Dataset:
        """`n` new rows; `made_by` says how. Fewer rows of the same seed are the first of more."""
        from ..conditional import answer

        self._require_fitted()
        if n < 1:
            raise InputError(f"the number of samples must be at least 1, not {n}")
        seed = secrets.randbits(31) if seed is None else seed
        drawn, report = (self._rows_of(n, seed), None) if given is None else answer(self, n, given, seed)
        made_by: dict[str, Any] = {
            "tool": "pushforward",
            "version": versions()["pushforward"],
            "class": type(self).__name__,
            "model": self.id_,
            "seed": seed,
        }
        return replace(drawn, made_by=made_by if report is None else {**made_by, "given": report})

    def _rows_of(self, n: int, seed: int) -> Dataset:
        chunk, parts = CHUNK[self.codec_.kind], []
        for number, first in enumerate(range(0, n, chunk)):
            rows = self._draw(chunk, rng(seed, "sample", number))[: n - first]
            parts.append(self.codec_.decode(rows.float(), generator=rng(seed, "decode", number)))
        return joined(parts)

    # ---- save and load

    def save(self, directory: str | os.PathLike[str]) -> None:
        """Write the model into `directory`: `model.json` and `weights.safetensors`."""
        self._require_fitted()
        folder = Path(directory)
        digest = write_weights(folder, self._tensors())
        write_model(
            folder,
            {
                "class": type(self).__name__,
                "parameters": self.get_params(),
                "codec": self.codec_.to_dict(),
                "network": {},
                "run": {"status": "finished", "step": 1, "steps": 1, "gamma": [], "data": self.data_},
                "weights": digest,
                "made_by": {"model": self.id_, "seed": self.seed},
            },
        )

    @classmethod
    def load(cls: type[Self], directory: str | os.PathLike[str], *, device: str | None = None) -> Self:
        """The model saved in `directory`; `InputError` names a file that is missing, truncated or too new. It computes
        on the CPU, whatever the `device`."""
        folder = Path(directory)
        saved = read_model(folder)
        try:
            model = cls(**saved["parameters"])
        except TypeError as error:
            raise InputError(f"{folder / MODEL}: its parameters are not those of {cls.__name__} ({error})") from None
        return model._adopt(folder, saved)

    def _adopt(self: Self, folder: Path, saved: Mapping[str, Any]) -> Self:
        found = read_weights(folder, saved.get("weights"))
        try:
            self.codec_ = codec_from_dict(saved["codec"], part(found, "codec"))
        except (KeyError, RuntimeError, TypeError, ValueError) as error:
            raise InputError(f"{folder / WEIGHTS}: does not fit {MODEL} beside it ({error})") from error
        self.arrays_ = part(found, "law")
        self.data_, self.id_ = saved["run"]["data"], saved["made_by"]["model"]
        return self

    def _tensors(self) -> dict[str, Tensor]:
        parts = {"law": self.arrays_, "codec": self.codec_.tensors()}
        return {f"{name}.{key}": tensor for name, found in parts.items() for key, tensor in found.items()}

    def _require_fitted(self) -> None:
        if not hasattr(self, "arrays_"):
            raise InputError(f"this {type(self).__name__} is not fitted yet; call fit first, or load a saved one")


class Density(Explicit):
    """One whose law has a density on vectors: points, or images as the vectors of their pixels.

    Pictures of L shades are fitted as vectors of the unit cube, (r + u) / L of ranks r and fresh u ~ U[0, 1)
    (`data.shades`), and drawn as the shades in whose cells the vectors lie. A model adds `_log_density(x)`, of
    standardised points or of such vectors.
    """

    kinds: ClassVar[tuple[Kind, ...]] = ("points", "images")
    likelihood: ClassVar[Likelihood] = BoundOfImages()  # type: ignore[assignment]

    @abstractmethod
    def _log_density(self, x: Tensor) -> Tensor:
        """ln p of float64 vectors `(n, d)` in the codec's units: `(n,)`."""

    def log_prob(self, data: Any, *, seed: int = 0) -> Tensor:
        """ln p of every row, in nats: `(n,)` float64.

        Of points, the exact density in the data's own units. Of images, a lower bound of ln P of the picture among
        pictures of the shades of training, ln mean_k p((r + u_k) / L) - d ln L over `DRAWS` draws of u (Theis et al.
        2016, eq. 6; Burda et al. 2016), so that -log2 P / d are bits per dimension; -inf for a picture with another
        shade. seed: of those draws.
        """
        self._require_fitted()
        if self._shades is None:
            found: Tensor = self._log_density(self._vectors(data)) - self._scale()
            return found
        ranks = self._ranks(data)
        draws = []
        for number in range(DRAWS):
            u = torch.rand(ranks.shape, generator=rng(seed, "log_prob", number), dtype=torch.float64)
            draws.append(self._log_density(self._shades.spread(ranks, u)))
        told = torch.stack(draws).logsumexp(0) - math.log(DRAWS) - ranks.shape[1] * math.log(len(self._shades))
        return torch.where((ranks >= 0).all(1), told, -torch.inf)

    @property
    def _shades(self) -> Shades | None:
        """Of images, the shades of training."""
        kept = self.arrays_.get("shades")
        return None if kept is None else shades(kept.tolist())

    def _kept(self, dataset: Dataset) -> dict[str, Tensor]:
        if dataset.kind != "images":
            return {}
        return {"shades": torch.tensor(Shades.of(dataset.values).levels, dtype=torch.uint8)}

    def _rows(self, dataset: Dataset) -> Tensor:
        """Training rows: float64 vectors `(n, d)`."""
        if self._shades is None:
            return self._vectors(dataset)
        ranks = self._ranks(dataset)
        u = torch.rand(ranks.shape, generator=rng(self.seed, "dequantise"), dtype=torch.float64)
        return self._shades.spread(ranks, u)

    def _vectors(self, data: Any) -> Tensor:
        """Float64 `(n, d)` in the codec's units, of images the middles of their cells; `InputError` for another kind
        or another width."""
        if self._shades is not None:
            return self._shades.spread(self._ranks(data).clamp(min=0), torch.tensor(0.5, dtype=torch.float64))
        dataset, codec = self._alike(data), self.codec_
        assert isinstance(codec, PointsCodec)
        values: Tensor = (dataset.values.double() - codec.mean) / codec.std
        return values

    def _ranks(self, data: Any) -> Tensor:
        """Whole numbers of the shades of pictures `(n, d)`, -1 for one that training never had."""
        assert self._shades is not None
        codec = self.codec_
        return self._shades.ranks(codec.expand(codec.encode(self._alike(data)))).flatten(1)

    def _alike(self, data: Any) -> Dataset:
        dataset = data if isinstance(data, Dataset) else read_data(data, kind=self.codec_.kind)
        if dataset.kind != self.codec_.kind or tuple(dataset.values.shape[1:]) != self.codec_.event_shape:
            raise InputError(
                f"{dataset.name}: {dataset.kind} of shape {tuple(dataset.values.shape[1:])}, but this model was fitted "
                f"to {self.codec_.kind} of shape {self.codec_.event_shape}"
            )
        return dataset

    def _scale(self) -> float:
        """ln |dx/du| from the codec's units of points to their own."""
        assert isinstance(self.codec_, PointsCodec)
        return float(self.codec_.std.log().sum())

    def _shaped(self, x: Tensor) -> Tensor:
        """Vectors in the codec's units as expanded rows."""
        rows: Tensor = x.unflatten(1, self.codec_.event_shape)
        return rows if self._shades is None else self._shades.expanded(self._shades.ranks_of(rows))
