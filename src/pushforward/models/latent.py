"""What can be done in the latent space of any generator: draw, decode, walk, and find directions with a meaning.

A latent is one row of a generator's noise, `(m,)`; for a model with an encoder, what that gives is one too. Its
coordinates follow known laws: normal for points and images; a table's generator has uniforms besides. Walks take place
in normal coordinates, u = Phi^-1(F(z)), where a straight line between two draws runs through the middle, a place that
no draw comes from (|u|^2 concentrates at m), and an arc at their distance does not (White 2016):

    spherical   u(t) = r(t) (cos(t W) e + sin(t W) f),   e = a/|a|,  f _|_ e in the plane of a and b,  W = angle(a, b)
    linear      u(t) = (1 - t) a + t b
    direction   u + s v,   v the unit normal of a linear classifier of labels in u (as InterFaceGAN, Shen et al. 2020)

with r(t) = (1 - t)|a| + t|b|. A one-hot code, or what is given, changes from a's to b's half-way.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, final

import numpy as np
import torch
from torch import Tensor
from torch.special import ndtr, ndtri

from ..data.sources import to_container
from ..errors import InputError
from ..nets import TabularGenerator
from ..training.step import emitter
from .drawing import CHUNK, joined, rng
from .rows import as_array, device, give_back

if TYPE_CHECKING:
    from ..data.dataset import Dataset
    from .one_pass import OnePass

How = Literal["spherical", "linear"]
Laws = tuple[tuple[str, int], ...]
HOWS: tuple[How, ...] = ("spherical", "linear")
EDGE = 1e-6  # how near to its ends a uniform is taken to a normal coordinate
HELD = 0.3  # share of the latents that a direction's accuracy is measured on


# ---- drawing and decoding


def latents(model: OnePass, n: int, seed: int = 0) -> np.ndarray:
    """`n` latents `(n, m)`: those from which `model.sample(n, seed=seed)` makes its rows."""
    _one_pass(model)
    if n < 1:
        raise InputError(f"the number of latents must be at least 1, not {n}")
    chunk = CHUNK[model.codec_.kind]
    noise: Any = model.generator_.noise
    parts = [noise(chunk, generator=rng(seed, "sample", number)) for number in range(-(-n // chunk))]
    return as_array(parts)[:n]


def decode(model: OnePass, z: Any, *, seed: int = 0) -> Any:
    """The rows G(z) of latents `(n, m)`, in the kind of container that the model was fitted on; of a model with an
    encoder also those of what it gives. `seed` draws what a row's code leaves open (rare levels of a table)."""
    return to_container(decode_dataset(model, z, seed=seed))


def decode_dataset(model: OnePass, z: Any, *, seed: int = 0) -> Dataset:
    """`decode`, as a `Dataset`."""
    found = [
        model.codec_.decode(part, generator=rng(seed, "decode", number))
        for number, part in enumerate(_generated(model, noise_of(model, z)))
    ]
    return joined(found)


def noise_of(model: OnePass, z: Any) -> Tensor:
    """`z` as rows of noise `(n, m)` on the CPU. `InputError` for another width than the model's latents have."""
    _one_pass(model)
    generator, rows = model.generator_, torch.as_tensor(np.asarray(z), dtype=torch.float32)
    rows = rows[None] if rows.dim() == 1 else rows
    width = sum(size for _, size in laws(model))
    encoder = getattr(generator, "encoder", None)
    if rows.dim() != 2 or not len(rows) or rows.shape[1] not in {width, getattr(encoder, "size", width)}:
        shape = tuple(np.shape(z))
        raise InputError(f"latents of shape {shape} are not this model's; give rows of {width} numbers, (n, {width})")
    if not bool(rows.isfinite().all()):
        raise InputError("the latents hold NaN or infinite numbers; give finite ones")
    if rows.shape[1] == width:
        return rows
    complete: Callable[[Tensor], Tensor] = generator.complete  # type: ignore[assignment]
    return complete(rows)


def _generated(model: OnePass, noise: Tensor) -> Iterator[Tensor]:
    make, on = emitter(model.generator_), device(model)
    for part in noise.split(CHUNK[model.codec_.kind]):
        with torch.no_grad():
            yield make(part.to(on))


def _one_pass(model: OnePass) -> None:
    if not hasattr(model, "_require_fitted"):
        raise InputError(f"a {type(model).__name__} has no latents; give a fitted model with a generator")
    model._require_fitted()
    if not hasattr(model.generator_, "noise"):
        raise InputError(f"a {type(model).__name__} makes its rows from data, not from latents; take a GAN")


# ---- laws of the coordinates


def laws(model: OnePass) -> Laws:
    """(name, how many) of the latents' coordinates, in order: `normal`, `uniform` on (0, 1), `symmetric` on (-1, 1) or
    `onehot`; and `given`, a condition behind the rest. A generator of another law says so in an attribute `laws`."""
    generator = model.generator_
    own: Laws | None = getattr(generator, "laws", None)
    if own is not None:
        return own
    noise: Any = generator.noise
    conditions: Any = getattr(generator, "conditions", None)
    given = 0 if conditions is None else int(conditions.layout.size)
    uniforms = generator.c if isinstance(generator, TabularGenerator) else 0
    normals = int(noise(1, generator=rng(0)).shape[1]) - uniforms - given
    return tuple((law, n) for law, n in (("normal", normals), ("uniform", uniforms), ("given", given)) if n)


def to_normal(noise: Tensor, found: Laws) -> Tensor:
    """u = Phi^-1(F(z)) coordinate by coordinate; one-hot codes as they are."""
    parts = noise.split([size for _, size in found], 1)
    return torch.cat([_into(part, law) for part, (law, _) in zip(parts, found, strict=True)], 1)


def from_normal(u: Tensor, found: Laws) -> Tensor:
    """The inverse of `to_normal`."""
    parts = u.split([size for _, size in found], 1)
    return torch.cat([_out_of(part, law) for part, (law, _) in zip(parts, found, strict=True)], 1)


def _into(z: Tensor, law: str) -> Tensor:
    if law not in ("uniform", "symmetric"):
        return z
    u: Tensor = ndtri(((z + 1) / 2 if law == "symmetric" else z).clamp(EDGE, 1 - EDGE))
    return u


def _out_of(u: Tensor, law: str) -> Tensor:
    if law not in ("uniform", "symmetric"):
        return u
    z: Tensor = ndtr(u)
    return 2 * z - 1 if law == "symmetric" else z


def codes(found: Laws) -> Tensor:
    """`(m,)`: True where a coordinate is of a one-hot code or a condition, which no walk moves along."""
    return torch.cat([torch.full((size,), law in ("onehot", "given")) for law, size in found])


# ---- walks


def spherical(a: Tensor, b: Tensor, t: Tensor) -> Tensor:
    """`(n, steps, m)`: from rows of a to those of b `(n, m)` along an arc, at `t` `(steps,)`; see the module's
    docstring. Rows of one norm keep it all along. Opposite rows take a way round through one of the axes."""
    a, b = a.double(), b.double()
    r_a, r_b = a.norm(dim=1, keepdim=True), b.norm(dim=1, keepdim=True)
    e, to = a / r_a.clamp_min(1e-12), b / r_b.clamp_min(1e-12)
    cosine = (e * to).sum(1, keepdim=True).clamp(-1, 1)
    side = to - cosine * e
    # parallel or opposite: any direction across will do; the axis least along e is far from it
    axis = torch.nn.functional.one_hot(e.abs().argmin(1), e.shape[1]).to(e.dtype)
    across = axis - (axis * e).sum(1, keepdim=True) * e
    side = torch.where(side.norm(dim=1, keepdim=True) > 1e-6, side, across)
    f = side / side.norm(dim=1, keepdim=True).clamp_min(1e-12)
    angle = cosine.acos()[:, :, None] * t.double()[None, :, None]
    radius = r_a[:, :, None] + (r_b - r_a)[:, :, None] * t.double()[None, :, None]
    arc: Tensor = radius * (angle.cos() * e[:, None] + angle.sin() * f[:, None])
    return arc.float()


def between(a: Tensor, b: Tensor, steps: int, found: Laws, how: How) -> Tensor:
    """Noise `(n, steps, m)` on the way from a to b `(n, m)`, both ends in."""
    t = torch.linspace(0, 1, steps)
    fixed = codes(found)
    u, w = to_normal(a, found), to_normal(b, found)
    way = torch.where(t[None, :, None] < 0.5, u[:, None], w[:, None])
    u, w = u[:, ~fixed], w[:, ~fixed]
    moved = spherical(u, w, t) if how == "spherical" else torch.lerp(u[:, None], w[:, None], t[None, :, None])
    way = way.masked_scatter(~fixed.expand_as(way), moved)
    noise: Tensor = from_normal(way.flatten(0, 1), found).unflatten(0, way.shape[:2])
    return noise


def interpolate(model: OnePass, a: Any, b: Any, steps: int = 9, *, how: How = "spherical") -> Any:
    """The rows on the way from the latents `a` to the latents `b` (`(m,)` or `(n, m)`), both ends in: n * steps rows,
    the first way's first, in the kind of container that the model was fitted on."""
    if how not in HOWS:
        raise InputError(f"unknown way {how!r} of interpolating; known: {', '.join(HOWS)}")
    if not isinstance(steps, int) or steps < 2:
        raise InputError(f"steps must be a whole number of at least 2, both ends, not {steps!r}")
    first, last = noise_of(model, a), noise_of(model, b)
    if len(first) != len(last):
        raise InputError(f"{len(first)} latents to start from and {len(last)} to go to; give as many of either")
    way = between(first, last, steps, laws(model), how)
    return give_back(model, _generated(model, way.flatten(0, 1)))


def traverse(model: OnePass, z: Any, dimension: Any, values: Sequence[float]) -> Any:
    """Rows that change along one dimension of the latents `z` (`(m,)` or `(n, m)`): n * len(values) rows, the first
    latent's first.

    dimension: a coordinate's number, which takes each of `values` (in units of its own law); or a vector `(m,)`, of
    which each of `values` times is added to the latent in normal coordinates (a `Directions` has some).
    """
    start, wanted = noise_of(model, z), torch.as_tensor(np.asarray(values), dtype=torch.float32)
    found = laws(model)
    if wanted.dim() != 1 or not len(wanted):
        raise InputError(f"values must be a list of numbers, one a step, not {values!r}")
    if isinstance(dimension, int | np.integer):
        if not 0 <= dimension < start.shape[1]:
            raise InputError(f"dimension {dimension}: the latents have dimensions 0 to {start.shape[1] - 1}")
        way = start[:, None].repeat(1, len(wanted), 1)
        way[:, :, int(dimension)] = wanted
    else:
        vector = torch.as_tensor(np.asarray(dimension), dtype=torch.float32)
        if vector.shape != start.shape[1:]:
            raise InputError(
                f"a direction of shape {tuple(vector.shape)} in latents of {start.shape[1]} dimensions; give a "
                "dimension's number, or one number for every dimension"
            )
        moved = to_normal(start, found)[:, None] + wanted[:, None] * vector
        way = from_normal(moved.flatten(0, 1), found).unflatten(0, moved.shape[:2])
    return give_back(model, _generated(model, way.flatten(0, 1)))


# ---- directions


@final
@dataclass(frozen=True, eq=False)
class Directions:
    """Directions of latent space, one for every label: `vectors` `(k, m)` of unit length, in normal coordinates, along
    which the label of that name becomes likelier. `accuracy`: of the linear classifier they are the normals of, on
    latents it was not fitted to; `chance`: of always saying the most frequent label there."""

    names: tuple[Any, ...]
    vectors: np.ndarray
    accuracy: float
    chance: float
    rows: int

    def __getitem__(self, name: Any) -> np.ndarray:
        if name not in self.names:
            raise InputError(f"no direction is named {name!r}; there are {', '.join(map(str, self.names))}")
        found: np.ndarray = self.vectors[self.names.index(name)]
        return found


def directions(model: OnePass, z: Any, labels: Any, *, seed: int = 0) -> Directions:
    """Directions by the `labels` of the rows that the latents `z` `(n, m)` make.

    labels: one for every latent; or the name of a table's column, whose values in the decoded rows are taken; or a
    function of the decoded rows (a classifier's `predict`). Logistic regression on a random 70 %; its accuracy is told
    on the rest. `InputError` for fewer than two labels, or ones with fewer than two latents.
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import train_test_split

    noise = noise_of(model, z)
    told = _labels(model, noise, labels, seed)
    names, counts = np.unique(told, return_counts=True)
    if len(names) < 2 or counts.min() < 2:
        raise InputError(
            f"{len(names)} different labels, the rarest {int(counts.min())} times: a direction is found between two "
            "or more, each with at least 2 latents; give more latents"
        )
    u = to_normal(noise, laws(model)).numpy()
    held = max(len(names), round(HELD * len(u)))
    fit_u, held_u, fit_labels, held_labels = train_test_split(u, told, test_size=held, random_state=seed, stratify=told)
    model_of = LogisticRegression(max_iter=1000).fit(fit_u, fit_labels)
    normals = model_of.coef_ if len(names) > 2 else np.concatenate([-model_of.coef_, model_of.coef_])
    vectors = normals / np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-12)
    chance = float(np.unique(held_labels, return_counts=True)[1].max() / len(held_labels))
    return Directions(
        tuple(names.tolist()),
        vectors.astype(np.float32),
        float(model_of.score(held_u, held_labels)),
        chance,
        len(u),
    )


def _labels(model: OnePass, noise: Tensor, labels: Any, seed: int) -> np.ndarray:
    if isinstance(labels, str):
        frame = decode_dataset(model, noise, seed=seed).values
        columns = getattr(frame, "columns", None)
        if columns is None or labels not in columns:
            known = f"there are {', '.join(columns)}" if columns else "only tables have columns"
            raise InputError(f"no column {labels!r} to take labels from; {known}")
        found = frame[labels].cast(str).fill_null("missing").to_numpy()
    else:
        found = labels(decode(model, noise, seed=seed)) if callable(labels) else labels
    told: np.ndarray = np.asarray(found)
    if told.shape != (len(noise),):
        raise InputError(f"labels of shape {told.shape} for {len(noise)} latents; give one label for every latent")
    return told
