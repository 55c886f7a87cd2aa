"""What refinement works on: a generator, the critic that judged it, and the codec of its rows.

The critic judges *rows*, `generator(noise)`: the samples themselves, or samples joined with what belongs to them (a
condition, the noise they came from). What is decoded is `emit(noise)`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, final

import torch
from jaxtyping import Float
from torch import Tensor, nn

from ...data.alike import check_alike
from ...data.codec import Codec
from ...data.dataset import Dataset
from ...data.sources import read
from ...errors import InputError
from ...training.batches import derive
from ...training.draw import Draw
from ...training.step import data_rows, emitter
from ..drawing import CHUNK, draw, rng

if TYPE_CHECKING:
    from ..one_pass import OnePass

TRIED = 4  # rows by which a critic of the user's own is looked at


@final
@dataclass(frozen=True, eq=False)
class Subject:
    """`noise -> rows -> scores`, in inference, on the generator's device; all noise is drawn on the CPU."""

    generator: nn.Module
    critic: nn.Module
    codec: Codec

    @classmethod
    def of(cls, model: OnePass) -> Subject:
        """Of a fitted model. `InputError` where it has no critic, or one that gives no score for a row by itself."""
        if hasattr(model, "_require_fitted"):
            model._require_fitted()
        if getattr(model, "critic_", None) is None:
            raise InputError(
                f"this {type(model).__name__} was trained without a critic, and it is the critic that refines; "
                "fit a GAN"
            )
        assert model.critic_ is not None
        subject = cls(model.generator_, model.critic_, model.codec_)
        subject.check()
        return subject

    def check(self) -> None:
        """`InputError` where the critic gives no score for a row by itself."""
        shape = getattr(self.critic, "shape", None)
        if shape is not None and (shape.pack > 1 or shape.deviation):
            words = "packed rows" if shape.pack > 1 else "groups of rows"
            raise InputError(
                f"this model's critic judges {words} and has no score for a row by itself, so it cannot refine; fit "
                "without pack and deviation"
            )
        found = self.score(self.rows(self.noise(TRIED, 0, "refine", "look")))
        if tuple(found.shape) != (TRIED,):
            raise InputError(
                f"this model's critic gives {tuple(found.shape)} for {TRIED} rows, and refining takes one score a row; "
                "fit an objective of plain scores, with one critic"
            )

    @property
    def device(self) -> torch.device:
        return next(self.generator.parameters()).device

    @property
    def chunk(self) -> int:
        """Rows drawn at a time: fixed, so that what a seed draws does not depend on memory."""
        return CHUNK[self.codec.kind]

    def noise(self, n: int, seed: int, *purpose: int | str) -> Tensor:
        """Noise of `n` rows for one purpose."""
        drawn: Tensor = self.generator.noise(n, generator=rng(seed, *purpose))  # type: ignore[operator]
        return drawn.to(self.device)

    @torch.no_grad()
    def rows(self, noise: Tensor) -> Tensor:
        """What the critic judges, by the chunk."""
        return self._chunked(self.generator, noise)

    @torch.no_grad()
    def score(self, rows: Tensor) -> Float[Tensor, " n"]:
        """The critic's raw scores of rows, by the chunk."""
        return self._chunked(self.critic, rows)

    def score_noise(self, noise: Tensor) -> Float[Tensor, " n"]:
        """Scores of the rows that the noise gives, with gradient."""
        found: Tensor = self.critic(self.generator(noise))
        return found

    def emitted(self, noise: Tensor) -> Iterator[Tensor]:
        """Encoded data rows for noise, by the chunk."""
        emit = emitter(self.generator)
        for part in noise.split(self.chunk):
            with torch.no_grad():
                yield emit(part)

    def real(self, data: Any, seed: int, most: int) -> tuple[Dataset, Tensor]:
        """Real rows, at most so many, as read and as the critic judges them. `InputError` for other data than its."""
        dataset = read(data)
        given = dataset.given
        if given is None:
            dataset = check_alike(replace(draw(self.generator, self.codec, 1, seed), name="the model's data"), dataset)
        if len(dataset) > most:
            dataset = dataset.take(torch.randperm(len(dataset), generator=rng(seed, "real"))[:most].sort().values)
        x = self.codec.expand(self.codec.encode(dataset, generator=rng(seed, "encode")).to(self.device))
        drawn = Draw(torch.Generator(self.device).manual_seed(derive(seed, "join")))
        with torch.no_grad():
            return dataset, data_rows(self.generator, x, drawn)

    def _chunked(self, call: Callable[[Tensor], Tensor], rows: Tensor) -> Tensor:
        if len(rows) <= self.chunk:
            return call(rows)
        return torch.cat([call(part) for part in rows.split(self.chunk)])
