"""In which coordinates rows are moved.

Latent space: noise whose coordinates are uniform is moved as the normal numbers of the same rank, so that every
coordinate is N(0, 1), has no edges, and moves at one scale; a condition or a code in the noise stays. Data space: the
encoded rows themselves, of which categories stay (and numbers that are not there), and images stay within [-1, 1].

A generator says what its noise is by `laws`, (name, how many) in order: `normal`; `uniform` on [0, 1]; `symmetric`,
uniform on [-1, 1]; `onehot`, a code, and `fixed`, a condition, which stay.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import final

import torch
from jaxtyping import Float
from torch import Tensor, nn

from ...data.tables import TableCodec
from ...errors import InputError
from ...nets import TabularGenerator
from .subject import Subject

STAY = ("fixed", "onehot")
MANY = 16  # dimensions from which on noise keeps to its sphere; in fewer, all of them are needed
EDGE = 1e-6  # of uniform numbers, whose normal ones are then within 4.8


class Coordinates(ABC):
    """u `(n, *shape)` <-> what makes rows; `mask` is 1 where u may move."""

    mask: Tensor | None = None

    @abstractmethod
    def start(self, noise: Tensor) -> Tensor:
        """u of fresh noise."""

    @abstractmethod
    def score(self, u: Tensor) -> Float[Tensor, " n"]:
        """The critic's scores, with gradient."""

    @abstractmethod
    def parts(self, u: Tensor) -> Iterator[Tensor]:
        """Encoded rows by the chunk."""

    def within(self, u: Tensor) -> Tensor:
        """The nearest u that there is."""
        return u

    def tangent(self, step: Tensor, u: Tensor) -> Tensor:
        """The part of a step at u that keeps to where noise lies."""
        return step

    def onto(self, u: Tensor, before: Tensor) -> Tensor:
        """u, stepped to from `before`, back where noise lies."""
        return u

    def slope(self, u: Tensor) -> tuple[Float[Tensor, " n"], Tensor]:
        """(scores, their gradients in u), where u may move."""
        with torch.enable_grad():
            at = u.detach().requires_grad_()
            scores = self.score(at)
            (found,) = torch.autograd.grad(scores.sum(), at)
        found = torch.nan_to_num(found)
        return scores.detach(), found if self.mask is None else found * self.mask


@final
class Latent(Coordinates):
    """Noise as normal numbers."""

    def __init__(self, subject: Subject) -> None:
        self.subject = subject
        look = subject.noise(1, 0, "refine", "look")
        self.laws = laws(subject.generator, look[0].numel() if look.dim() == 2 else 0)
        if any(law in STAY for law, _ in self.laws):
            free = [torch.full((size,), float(law not in STAY)) for law, size in self.laws]
            self.mask = torch.cat(free).to(look.device)

    def start(self, noise: Tensor) -> Tensor:
        return self._mapped(noise, {"uniform": _normal, "symmetric": lambda v: _normal((v + 1) / 2)})

    def noise(self, u: Tensor) -> Tensor:
        """The noise that the generator takes."""
        cdf = torch.special.ndtr
        return self._mapped(u, {"uniform": cdf, "symmetric": lambda v: 2 * cdf(v) - 1})

    def score(self, u: Tensor) -> Float[Tensor, " n"]:
        return self.subject.score_noise(self.noise(u))

    def parts(self, u: Tensor) -> Iterator[Tensor]:
        return self.subject.emitted(self.noise(u))

    def tangent(self, step: Tensor, u: Tensor) -> Tensor:
        """Without its part along u: normal numbers in many dimensions keep to a sphere (Tanaka 2019, of 128)."""
        if u[0].numel() < MANY:
            return step
        flat, at = step.flatten(1), u.flatten(1)
        along = (flat * at).sum(1, keepdim=True) / at.square().sum(1, keepdim=True).clamp(min=1e-12)
        return (flat - along * at).view_as(step)

    def onto(self, u: Tensor, before: Tensor) -> Tensor:
        """As far from 0 as before, in many dimensions."""
        if u[0].numel() < MANY:
            return u
        shape = (len(u), *[1] * (u.dim() - 1))
        now, then = (one.flatten(1).norm(dim=1).clamp(min=1e-12) for one in (u, before))
        found: Tensor = u * (then / now).view(shape)
        return found

    def _mapped(self, values: Tensor, maps: dict[str, object]) -> Tensor:
        if not any(law in maps for law, _ in self.laws):
            return values
        parts = values.split([size for _, size in self.laws], 1)
        return torch.cat(
            [maps[law](part) if law in maps else part for (law, _), part in zip(self.laws, parts, strict=True)],  # type: ignore[operator]
            1,
        )


@final
class Data(Coordinates):
    """The encoded rows themselves. `InputError` for a model whose critic judges more than those, and where there is no
    number to move."""

    def __init__(self, subject: Subject) -> None:
        self.subject = subject
        if hasattr(subject.generator, "emit") or hasattr(subject.critic, "joint"):
            raise InputError(
                "this model's critic judges rows together with what they were made from, so they cannot be moved by "
                "themselves; move them in latent space (dot, dgflow)"
            )
        self.bounded = subject.codec.kind == "images"
        self.companions: tuple[tuple[int, int], ...] = ()
        if isinstance(subject.codec, TableCodec):
            codec = subject.codec
            if not codec.n_numeric:
                raise InputError(
                    "a table of categories alone has no number to move; refine it in latent space (dgflow)"
                )
            self.companions = codec.companions
            self.mask = torch.zeros(codec.event_shape[0], device=subject.device)
            self.mask[: codec.n_numeric] = 1

    def start(self, noise: Tensor) -> Tensor:
        return self.subject.rows(noise)

    def score(self, u: Tensor) -> Float[Tensor, " n"]:
        found: Tensor = self.subject.critic(u)
        return found

    def slope(self, u: Tensor) -> tuple[Float[Tensor, " n"], Tensor]:
        scores, found = super().slope(u)
        for number, there in self.companions:  # a number that is not there stays 0
            found[:, number] = found[:, number] * u[:, there]
        return scores, found

    def within(self, u: Tensor) -> Tensor:
        return u.clamp(-1, 1) if self.bounded else u

    def parts(self, u: Tensor) -> Iterator[Tensor]:
        return iter(u.split(self.subject.chunk))


def laws(generator: nn.Module, size: int) -> tuple[tuple[str, int], ...]:
    """The laws of the `size` coordinates of a generator's noise; `normal` where it says nothing."""
    found = getattr(generator, "laws", None)
    if found is not None:
        return tuple(found)
    if isinstance(generator, TabularGenerator):
        return (("normal", size - generator.c), ("uniform", generator.c)) if generator.c else (("normal", size),)
    conditions = getattr(generator, "conditions", None)
    if conditions is not None:
        own = int(conditions.layout.size)
        core: nn.Module = getattr(generator, "core", nn.Identity())
        return (*laws(core, size - own), ("fixed", own))
    return (("normal", size),)


def _normal(uniform: Tensor) -> Tensor:
    found: Tensor = torch.special.ndtri(uniform.clamp(EDGE, 1 - EDGE))
    return found
