"""Hand-made maps: what they do to a law that is known, without anything to fit.

`Pushforward`: x = T(z) of an invertible T and z of a base law with a density p_z,

    p(x) = p_z(T^-1(x)) |det dT^-1/dx|                                          (the change of variables)

`InverseTransform`: in one dimension, x = Q(u) of u uniform on (0, 1) has the quantile function Q: every law on the line
is such a pushforward, with p(x) = 1 / Q'(F(x)), F = Q^-1.
"""

from __future__ import annotations

import copy
import math
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor
from torch.distributions import Distribution
from torch.distributions.transforms import Transform

from ..errors import InputError
from .classical.base import Likelihood
from .drawing import rng

HALVINGS = 80  # of an interval of u, to find F(x)
STEP = 1e-4  # of u, in units of its distance from 0 or 1, for Q'
BASES = ("normal", "uniform")


@dataclass(frozen=True)
class Map:
    """An invertible map of rows `(n, d)` by three functions of them; `log_abs_det(z)` `(n,)` is ln |det dT/dz|.

    Where `inverse` gives what is not finite, x is no value of T.
    """

    forward: Callable[[Tensor], Tensor]
    inverse: Callable[[Tensor], Tensor]
    log_abs_det: Callable[[Tensor], Tensor]


class Pushforward:
    """The law of T(z), z ~ base, in closed form; rows are `(n, d)` float64.

    transform: a `torch.distributions` transform (zuko's are such), a `Map`, or a sequence of these, the first one
        first. base: `normal` or `uniform` on the unit cube of d dimensions; or a `torch.distributions` law of rows; or
        anything with `sample(n, seed=)` and `log_prob(rows)`, such as a fitted model.
    `log_prob` outside the support is -inf.
    """

    likelihood: ClassVar[Likelihood] = "exact"

    def __init__(self, transform: Any, base: Any = "normal", *, d: int | None = None) -> None:
        self.transform = transform
        self.base = base
        self.d = d
        self._steps = tuple(transform) if isinstance(transform, Sequence) else (transform,)
        for step in self._steps:
            if not isinstance(step, Transform | Map):
                raise InputError(
                    f"a step of a transform must be a torch.distributions transform or a models.maps.Map, not "
                    f"{type(step).__name__}"
                )
        if isinstance(base, str):
            if base not in BASES:
                raise InputError(f"unknown base {base!r}; known: {', '.join(BASES)}, or a law with log_prob")
            if d is None or d < 1:
                raise InputError(f"the base {base!r} needs a number of dimensions of at least 1; give d")
        elif not callable(getattr(base, "log_prob", None)) or not callable(getattr(base, "sample", None)):
            raise InputError(f"a base must have sample and log_prob, and {type(base).__name__} has not both")

    def sample(self, n: int, *, seed: int | None = None) -> np.ndarray:
        """`n` rows `(n, d)`; the same `seed` draws the same rows."""
        if n < 1:
            raise InputError(f"the number of samples must be at least 1, not {n}")
        return self.decode(self._drawn(n, secrets.randbits(31) if seed is None else seed))

    def decode(self, z: Any) -> np.ndarray:
        """T(z)."""
        x = _rows(z)
        for step in self._steps:
            x = step.forward(x) if isinstance(step, Map) else step(x)
        found: np.ndarray = x.detach().numpy()
        return found

    def encode(self, x: Any) -> np.ndarray:
        """T^-1(x); NaN where x is no value of T."""
        found: np.ndarray = self._back(_rows(x))[0].detach().numpy()
        return found

    def log_prob(self, x: Any) -> Tensor:
        """ln p of rows `(n, d)`: `(n,)` float64."""
        z, slope, inside = self._back(_rows(x))
        safe = torch.where(inside[:, None], z, self._inner(z.shape[1]))
        told, within = self._base_log_prob(safe)
        return torch.where(inside & within, told - slope, -torch.inf).detach()

    def _back(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """z of x, ln |det dT/dz| there, and whether x is a value of T."""
        inside, slope = torch.ones(len(x), dtype=torch.bool), x.new_zeros(len(x))
        for step in reversed(self._steps):
            if isinstance(step, Map):
                z = step.inverse(x)
                part = step.log_abs_det(z)
            else:
                valid = _by_row(step.codomain.check(x))
                inside = inside & valid
                z = step.inv(x)
                part = _summed(step.log_abs_det_jacobian(z, x))
            inside = inside & z.isfinite().all(1) & part.isfinite()
            slope = slope + part
            x = torch.where(inside[:, None], z, math.nan)
        return x, slope, inside

    # ---- the base

    def _drawn(self, n: int, seed: int) -> Tensor:
        if isinstance(self.base, str):
            make = torch.randn if self.base == "normal" else torch.rand
            return make(n, self.d or 1, generator=rng(seed, "sample"), dtype=torch.float64)
        if isinstance(self.base, Distribution):
            with torch.random.fork_rng(devices=[]):  # these draw from the global state only
                torch.default_generator.manual_seed(seed)
                return _rows(self.base.sample(torch.Size([n])))
        return _rows(self.base.sample(n, seed=seed))

    def _base_log_prob(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """ln p_z, and where z is in the base's support."""
        if self.base == "normal":
            return (-0.5 * z.square() - 0.5 * math.log(2 * math.pi)).sum(1), torch.ones(len(z), dtype=torch.bool)
        if self.base == "uniform":
            return z.new_zeros(len(z)), ((z >= 0) & (z <= 1)).all(1)
        if not isinstance(self.base, Distribution):
            told = torch.as_tensor(self.base.log_prob(z.numpy())).double()
            return told, ~told.isnan()
        law = copy.copy(self.base)
        law._validate_args = False  # of this copy: rows outside are told by `within`
        own = next((value.dtype for value in vars(law).values() if isinstance(value, Tensor)), z.dtype)
        like = (z if law.batch_shape + law.event_shape else z.squeeze(1)).to(own)
        within = _by_row(law.support.check(like)) if law.support is not None else torch.ones(len(z), dtype=torch.bool)
        return _summed(law.log_prob(like)).double(), within

    def _inner(self, d: int) -> Tensor:
        """Some row of the base, to stand where there is none."""
        return self._drawn(1, 0).expand(1, d)


class InverseTransform:
    """A law on the line by its quantile function: x = Q(u), u ~ U(0, 1).

    quantile: an increasing function of arrays `(n,)` in (0, 1), such as `scipy.stats.gamma(2).ppf`; `of` makes one from
    data. cdf: its inverse; without it, it is found by halving. `log_prob` has Q' by differences, to about 1e-6.
    """

    likelihood: ClassVar[Likelihood] = "exact"

    def __init__(self, quantile: Callable[[Any], Any], cdf: Callable[[Any], Any] | None = None) -> None:
        self.quantile = quantile
        self.cdf = cdf

    @classmethod
    def of(cls, data: Any, *, smooth: bool = True) -> InverseTransform:
        """The law of `data` `(n,)`. smooth: the values between neighbouring quantiles, about 2 n^(1/3) of them, are
        equally likely (a histogram of equal masses, on the data's range); else the data's own values, each as likely:
        a law without a density.
        """
        values = np.sort(_column(data))
        if len(values) < 2 or values[0] == values[-1]:
            raise InputError("a law on the line is learned from at least two values that differ")
        if not smooth:
            return _Steps(values)
        levels = np.linspace(0, 1, max(2, round(2 * len(values) ** (1 / 3))) + 1)
        knots = np.quantile(values, levels)
        if (np.diff(knots) <= 0).any():
            place = knots[:-1][np.diff(knots) <= 0][0]
            raise InputError(f"the value {place:g} is repeated so often that it has no density; take smooth=False")
        return _Knots(knots, levels)

    def sample(self, n: int, *, seed: int | None = None) -> np.ndarray:
        """`n` values; the same `seed` draws the same ones."""
        if n < 1:
            raise InputError(f"the number of samples must be at least 1, not {n}")
        seed = secrets.randbits(31) if seed is None else seed
        u = torch.rand(n, generator=rng(seed, "sample"), dtype=torch.float64).numpy()
        return self.decode(np.clip(u, 1e-16, 1 - 1e-16))

    def decode(self, u: Any) -> np.ndarray:
        """Q(u) of numbers in (0, 1)."""
        u = _column(u)
        if ((u < 0) | (u > 1)).any():
            raise InputError("u must lie between 0 and 1")
        found: np.ndarray = np.asarray(self.quantile(u), dtype=np.float64)
        return found

    def encode(self, x: Any) -> np.ndarray:
        """u = F(x)."""
        x = _column(x)
        if self.cdf is not None:
            told: np.ndarray = np.asarray(self.cdf(x), dtype=np.float64)
            return told
        low, high = np.zeros_like(x), np.ones_like(x)
        for _ in range(HALVINGS):
            middle = (low + high) / 2
            below = np.asarray(self.quantile(np.clip(middle, 1e-300, 1 - 1e-16))) < x
            low, high = np.where(below, middle, low), np.where(below, high, middle)
        found: np.ndarray = (low + high) / 2
        return found

    def log_prob(self, x: Any) -> Tensor:
        """ln p of values `(n,)`, float64; -inf outside the range of Q."""
        x = _column(x)
        u = self.encode(x)
        inner = np.clip(u, 1e-12, 1 - 1e-12)
        step = STEP * np.minimum(inner, 1 - inner)
        rise = np.asarray(self.quantile(inner + step)) - np.asarray(self.quantile(inner - step))
        low, high = np.asarray(self.quantile(np.array([1e-300, 1 - 1e-16])))
        with np.errstate(divide="ignore"):
            told = np.log(2 * step) - np.log(rise)
        return torch.from_numpy(np.where((x >= low) & (x <= high), told, -np.inf))


class _Knots(InverseTransform):
    """Q linear between knots, where p is constant."""

    def __init__(self, knots: np.ndarray, levels: np.ndarray) -> None:
        super().__init__(lambda u: np.interp(u, levels, knots), lambda x: np.interp(x, knots, levels))
        self.knots, self.levels = knots, levels

    def log_prob(self, x: Any) -> Tensor:
        x = _column(x)
        cell = np.clip(np.searchsorted(self.knots, x, side="right") - 1, 0, len(self.knots) - 2)
        told = np.log(np.diff(self.levels)) - np.log(np.diff(self.knots))
        inside = (x >= self.knots[0]) & (x <= self.knots[-1])
        return torch.from_numpy(np.where(inside, told[cell], -np.inf))


class _Steps(InverseTransform):
    """The empirical law of sorted values; log_prob is of a mass."""

    def __init__(self, values: np.ndarray) -> None:
        n = len(values)
        super().__init__(
            lambda u: values[np.clip(np.ceil(np.asarray(u) * n).astype(int) - 1, 0, n - 1)],
            lambda x: np.searchsorted(values, x, side="right") / n,
        )
        self.values = values

    def log_prob(self, x: Any) -> Tensor:
        x = _column(x)
        count = np.searchsorted(self.values, x, side="right") - np.searchsorted(self.values, x, side="left")
        with np.errstate(divide="ignore"):
            return torch.from_numpy(np.log(count / len(self.values)))


def _rows(x: Any) -> Tensor:
    """Float64 `(n, d)`."""
    rows = torch.as_tensor(np.asarray(x.detach() if isinstance(x, Tensor) else x, dtype=np.float64))
    rows = rows[:, None] if rows.dim() == 1 else rows
    if rows.dim() != 2:
        raise InputError(f"rows of shape {tuple(rows.shape)}; give (n, d)")
    return rows


def _column(x: Any) -> np.ndarray:
    values = np.asarray(x.detach() if isinstance(x, Tensor) else x, dtype=np.float64)
    values = values[:, 0] if values.ndim == 2 and values.shape[1] == 1 else values
    if values.ndim != 1:
        raise InputError(f"values of shape {values.shape}; a law on the line takes (n,)")
    if np.isnan(values).any():
        raise InputError("some values are NaN; leave them out")
    return values


def _by_row(valid: Tensor) -> Tensor:
    return valid if valid.dim() == 1 else valid.flatten(1).all(1)


def _summed(found: Tensor) -> Tensor:
    return found if found.dim() == 1 else found.flatten(1).sum(1)
