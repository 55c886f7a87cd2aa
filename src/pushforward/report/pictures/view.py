"""`View`: a fitted model, real rows to hold against it, and how its noise becomes rows; what pictures are drawn from.

What a model can do is read off the methods it has, never off its class: `sample`, `encode`, `decode`, `reconstruct`,
`translate`, a generator with `noise`, conditions. Everything drawn follows from one seed.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ...data.codec import Codec
from ...data.dataset import Dataset, Kind
from ...data.sources import read
from ...evaluation.frames import Frame, frame_of
from ...evaluation.spaces import principal, space_of
from ...models.drawing import rng
from ...models.latent import Laws, laws
from ...training.step import emitter
from . import sheets
from .parts import Sheet

Array = NDArray[np.float64]
FAKES = {"points": 4000, "table": 4000, "images": 600}
REALS = {"points": 4000, "table": 4000, "images": 2000}
CHUNK = 256


@dataclass(frozen=True)
class Axis:
    """A direction of the noise that can be followed: its `places` (one coordinate, or a one-hot code) and its values
    from one end to the other, `(t, len(places))`; `law` is one of `models.latent.laws`; a `code` was trained to have
    a meaning."""

    name: str
    places: tuple[int, ...]
    values: Tensor
    law: str
    code: bool = False

    def apply(self, z: Tensor) -> Tensor:
        """`z` `(b, m)` with this direction at each of its values: `(t, b, m)`."""
        out = z.expand(len(self.values), *z.shape).clone()
        out[:, :, list(self.places)] = self.values[:, None, :].to(z)
        return out

    def finer(self, steps: int) -> Axis:
        """The same direction with more values; a code has no more."""
        if self.law == "onehot":
            return self
        low, high = float(self.values[0, 0]), float(self.values[-1, 0])
        return Axis(self.name, self.places, torch.linspace(low, high, steps)[:, None], self.law, self.code)


LETTERS = {"normal": "z", "uniform": "v", "symmetric": "z"}
ENDS = {"normal": (-2.326, 2.326), "uniform": (0.01, 0.99), "symmetric": (-0.98, 0.98)}  # 1st and 99th percentiles


def axes_of(found: Laws, *, steps: int = 9, coded: bool = False) -> tuple[Axis, ...]:
    """The directions of noise whose coordinates follow the laws `found`; numbers run from their 1st to their 99th
    percentile in `steps` values. `coded`: its one-hot and symmetric coordinates are codes c1, ..., u1, ..."""
    axes: list[Axis] = []
    place = numbers = 0
    for law, size in found:
        if law == "onehot":
            name = f"c{1 + sum(axis.law == law for axis in axes)}"
            axes.append(Axis(name, tuple(range(place, place + size)), torch.eye(size), law, True))
        else:
            line = torch.linspace(*ENDS[law], steps)[:, None]
            code = coded and law == "symmetric"
            for k in range(place, place + size):
                numbers += code
                axes.append(Axis(f"u{numbers}" if code else f"{LETTERS[law]}{k}", (k,), line, law, code))
        place += size
    return tuple(axes)


@dataclass(frozen=True, eq=False)
class View:
    """A fitted `model`, and `real` rows (in words: `real_is`) where there are any."""

    model: Any
    real: Dataset | None = None
    real_is: str = ""
    seed: int = 0
    other: Dataset | None = None  # rows of the second domain, of a model of two

    @property
    def codec(self) -> Codec:
        found: Codec = self.model.codec_
        return found

    @property
    def kind(self) -> Kind:
        return self.codec.kind

    @property
    def name(self) -> str:
        """The data that the model was fitted on."""
        return str(getattr(self.codec, "name", "data"))

    def can(self, *names: str) -> bool:
        """Whether the model has all these methods."""
        return all(callable(getattr(self.model, name, None)) for name in names)

    @cached_property
    def fake(self) -> Dataset:
        """Samples of the model; of one that makes rows from rows, what it makes of the real ones."""
        if self.can("translate") and self.some_real is not None:
            return self.translated(self.some_real, "B")
        found: Dataset = self.model.sample_dataset(FAKES[self.kind], seed=self.seed)
        return found

    def translated(self, rows: Dataset, to: str) -> Dataset:
        """`rows` as the model makes them in the domain `to`."""
        seeded = getattr(self.model, "translate_dataset", None)
        return self.dataset(
            self.model.translate(rows, to=to) if seeded is None else seeded(rows, to=to, seed=self.seed)
        )

    @cached_property
    def some_real(self) -> Dataset | None:
        """As many real rows as pictures need, drawn at random."""
        return None if self.real is None else chosen(self.real, REALS[self.kind], self.seed)

    @cached_property
    def frame(self) -> Frame:
        """The columns of real and fake rows, coded together; of fakes alone where there are no real ones."""
        parts = {"fake": self.fake} if self.some_real is None else {"real": self.some_real, "fake": self.fake}
        return frame_of(parts)

    @cached_property
    def tile(self) -> int:
        """How many pixels a side an image keeps on this page."""
        return sheets.side_of((self.fake if self.some_real is None else self.some_real).values)

    def sheet(self, images: Tensor | Dataset, columns: int, alt: str, *, shown: int = sheets.SHOWN) -> Sheet:
        values = images.values if isinstance(images, Dataset) else images
        return sheets.sheet(values, columns, alt, side=self.tile, shown=shown)

    def dataset(self, rows: Any) -> Dataset:
        """What a method of the model returned, as a `Dataset` of the model's kind."""
        if isinstance(rows, Dataset):
            return rows
        if isinstance(rows, Tensor):
            rows = rows.detach().cpu()
        return read(rows, kind=self.kind)

    # ---- noise, where the model has a generator that takes it

    @property
    def generator(self) -> nn.Module:
        found: nn.Module = self.model.generator_
        return found

    def noise(self, n: int, *purpose: str | int) -> Tensor:
        """`(n, m)` rows of noise, on the CPU."""
        return self.generator.noise(n, generator=rng(self.seed, "page", *purpose))  # type: ignore[operator, no-any-return]

    def rows(self, z: Tensor) -> Tensor:
        """The encoded rows that noise `z` `(n, m)` becomes, on the CPU."""
        emit = emitter(self.generator)
        on = next(self.generator.parameters()).device
        with torch.no_grad():
            return torch.cat([emit(part.to(on)).cpu() for part in z.split(CHUNK)])

    def decoded(self, rows: Tensor) -> Dataset:
        """Encoded rows as data of the user's kind."""
        return self.codec.decode(rows, generator=rng(self.seed, "page", "decode"))

    def emitted(self, z: Tensor) -> Dataset:
        """The data that noise `z` `(n, m)` becomes."""
        return self.decoded(self.rows(z))

    def seen(self, z: Tensor) -> Array:
        """What noise `z` `(n, m)` becomes, as coordinates `(n, k)` in which distances mean something: encoded rows; of
        tables, whose encoding may be whitened, standardised numbers and half-weighted categories."""
        rows = self.rows(z)
        return seen_of(self.decoded(rows)) if self.kind == "table" else rows.flatten(1).double().numpy()

    @cached_property
    def followable(self) -> bool:
        """Whether the model's noise is rows of numbers, and not rows of another domain."""
        if not hasattr(self.model, "generator_") or not hasattr(self.generator, "noise") or self.can("translate"):
            return False
        z = self.noise(2, "probe")
        return isinstance(z, Tensor) and z.ndim == 2 and z.shape[1] > 0 and z.is_floating_point()

    @cached_property
    def free(self) -> int:
        """How many coordinates of the noise, the first ones, are its own; what follows them is what is given."""
        conditions = getattr(self.generator, "conditions", None)
        return self.noise(1, "probe").shape[1] - (conditions.layout.size if conditions is not None else 0)

    @cached_property
    def laws(self) -> Laws:
        """What the noise's own coordinates follow (see `models.latent`)."""
        found, left = [], self.free
        for law, size in laws(self.model):
            found += [(law, min(size, left))] if left > 0 else []
            left -= size
        return tuple(found)

    @cached_property
    def axes(self) -> tuple[Axis, ...]:
        """The directions of the noise."""
        return axes_of(self.laws, coded=hasattr(self.generator, "with_codes"))


def chosen(data: Dataset, n: int, seed: int) -> Dataset:
    """At most `n` rows of `data`, drawn at random, in a random order."""
    order = torch.randperm(len(data), generator=torch.Generator().manual_seed(seed))[:n]
    return data.take(order)


def seen_of(data: Dataset) -> Array:
    """The rows in the space in which they are compared (see `evaluation.spaces`)."""
    return space_of({"fake": data}, frame_of({"fake": data})).rows["fake"]


def plane(parts: dict[str, Dataset]) -> tuple[dict[str, Array], list[str]]:
    """Every part's rows in the plane: points of two coordinates as they are, else in two principal components.

    The names of the axes say which share of the variance each holds.
    """
    first = next(iter(parts.values()))
    if first.kind == "points" and first.values.shape[1] == 2:
        return {role: data.values.double().cpu().numpy() for role, data in parts.items()}, ["x1", "x2"]
    frame = frame_of(parts)
    space = space_of(parts, frame)
    scores, share = principal(space, tuple(parts), 2)
    if next(iter(scores.values())).shape[1] < 2:  # a single number: spread upwards, so that points do not hide points
        scores = {role: np.c_[rows, np.arange(len(rows)) % 97 / 97] for role, rows in scores.items()}
        return scores, [frame.names[0], ""]
    return scores, [f"component {k + 1} ({share[k]:.0%})" for k in range(2)]
