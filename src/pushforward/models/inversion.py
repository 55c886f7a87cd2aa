"""Nearest latents: which noise makes the row most like a given one (Creswell and Bharath 2018; Lipton and Tripathi
2017).

    z*(x) = argmin_z |G(z) - x|^2 + prior |u(z)|^2,     |.| in encoded space, u(z) the latent in normal coordinates

by Adam from several starts a row: the nearest of many draws and, where the model has an encoder, E(x). The game has
many local minima, so the distance reached is told, beside that of the best draw alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, final

import numpy as np
import torch
from torch import Tensor

from ..errors import InputError
from ..training.step import emitter
from .drawing import CHUNK, rng
from .latent import Laws, codes, from_normal, laws, noise_of, to_normal
from .rows import as_array, chunks, device, give_back, read_rows

if TYPE_CHECKING:
    from .one_pass import OnePass

CANDIDATES = 2048  # draws that the starts are chosen from
AT_ONCE = 1024  # rows times starts that move together, of images an eighth of it
RATE, FALL = 0.1, 0.1  # Adam's first rate, and its last in multiples of that
BETAS = (0.9, 0.99)


@final
@dataclass(frozen=True, eq=False)
class Inversion:
    """What `invert` found: `latents` `(n, m)`; `distances` `(n,)` |G(z) - x| in encoded space (root of the summed
    squares; points standardised, images in [-1, 1]), `drawn` those of the nearest draw, where it started; and `rows`,
    G(z), in the kind of container that the model was fitted on."""

    latents: np.ndarray
    distances: np.ndarray
    drawn: np.ndarray
    rows: Any


def invert(
    model: OnePass,
    data: Any,
    *,
    starts: int = 4,
    steps: int = 200,
    prior: float = 0.0,
    candidates: int = CANDIDATES,
    seed: int = 0,
) -> Inversion:
    """The nearest latents of every row of `data`.

    starts: how many latents each row is sought from; steps: of Adam. prior: the price of |u|^2, which keeps latents
    where draws come from. candidates: draws that the starts are the nearest of. Equal for equal seeds. `InputError` for
    data of another form than the model's, or numbers that make no sense.
    """
    for name, value in (("starts", starts), ("steps", steps), ("candidates", candidates)):
        if not isinstance(value, int) or value < (0 if name == "steps" else 1):
            raise InputError(f"{name} must be a whole number of at least {0 if name == 'steps' else 1}, not {value!r}")
    if not prior >= 0:
        raise InputError(f"prior must be a number of at least 0, not {prior!r}")
    dataset = read_rows(model, data)
    pool = _Pool.of(model, max(candidates, starts), seed)
    size = max(1, (AT_ONCE if model.codec_.kind != "images" else AT_ONCE // 8) // starts)
    found = [_inverted(model, x, pool, starts, steps, prior) for x in chunks(model, dataset, size=size)]
    noise, reached, drawn = (torch.cat(parts) for parts in zip(*found, strict=True))
    return Inversion(
        as_array([noise]), reached.cpu().numpy(), drawn.cpu().numpy(), give_back(model, _made(model, noise))
    )


@dataclass(frozen=True)
class _Pool:
    """Draws and the rows they make: `noise` `(c, m)`, `rows` `(c, D)`, on the model's device."""

    noise: Tensor
    rows: Tensor
    laws: Laws

    @classmethod
    def of(cls, model: OnePass, n: int, seed: int) -> _Pool:
        noise_of(model, np.zeros(sum(size for _, size in laws(model))))  # refuses a model without latents
        draw: Any = model.generator_.noise
        noise = draw(n, generator=rng(seed, "invert")).to(device(model))
        return cls(noise, torch.cat([part.flatten(1) for part in _made(model, noise)]), laws(model))


def _made(model: OnePass, noise: Tensor) -> Iterator[Tensor]:
    make = emitter(model.generator_)
    for part in noise.split(CHUNK[model.codec_.kind]):
        with torch.no_grad():
            yield make(part)


def _starts(model: OnePass, x: Tensor, pool: _Pool, starts: int) -> tuple[Tensor, Tensor]:
    """(noise `(n * starts, m)`, row by row; distance of the nearest draw `(n,)`)."""
    near = torch.cdist(x.flatten(1), pool.rows).topk(starts, dim=1, largest=False)
    noise = pool.noise[near.indices]
    encoder = getattr(model.generator_, "encoder", None)
    if encoder is not None:  # in place of the farthest of the draws
        with torch.no_grad():
            noise[:, -1] = noise_of(model, encoder(x).cpu().numpy()).to(x.device)
    return noise.flatten(0, 1), near.values[:, 0]


def _inverted(
    model: OnePass, x: Tensor, pool: _Pool, starts: int, steps: int, prior: float
) -> tuple[Tensor, Tensor, Tensor]:
    """(noise `(n, m)`, distance reached `(n,)`, distance of the nearest draw `(n,)`) of rows x `(n, *event)`."""
    make, target = emitter(model.generator_), x.flatten(1).repeat_interleave(starts, 0)
    begun, drawn = _starts(model, x, pool, starts)
    free = ~codes(pool.laws).to(x.device)
    whole = to_normal(begun, pool.laws)
    u = whole[:, free].clone().requires_grad_()
    adam = torch.optim.Adam([u], lr=RATE, betas=BETAS)
    best, least = begun.clone(), torch.full((len(begun),), torch.inf, device=x.device)
    for step in range(steps + 1):
        noise = from_normal(whole.masked_scatter(free.expand_as(whole), u), pool.laws)
        gaps = (make(noise).flatten(1) - target).square().sum(1)
        loss = gaps + prior * u.square().sum(1)
        with torch.no_grad():
            better = loss < least
            least = torch.where(better, loss, least)
            best = torch.where(better[:, None], noise, best)
        if step == steps:
            break
        adam.param_groups[0]["lr"] = RATE * (1 + (FALL - 1) * step / steps)
        (u.grad,) = torch.autograd.grad(loss.sum(), u)
        adam.step()
    chosen = least.unflatten(0, (-1, starts)).argmin(1) + starts * torch.arange(len(x), device=x.device)
    with torch.no_grad():
        reached = (make(best[chosen]).flatten(1) - x.flatten(1)).norm(dim=1)
    return best[chosen].detach(), reached, drawn
