"""Velocities by name: the displacement of each model row for a unit step, in the data's own units.

A `Velocity` compares model rows y with data rows x and says where each row of y should go. `progress` in [0, 1] says
how far the flow has come: it lowers the width at which the two are compared, from coarse to fine (`widths`). One that
learns is a `Learner`, an `nn.Module` that is trained on the rows of the moment before it is asked.

| name | displacement | descends |
|---|---|---|
| score-difference | s^2 (grad ln p_s - grad ln q_s), by kernel sums | KL(Q_s, P_s) of the smoothed distributions |
| critic | the same, s^2 grad of a critic trained on noisy rows | the same |
| denoisers | the same, the difference of two denoisers | the same |
| mmd | s^2 (grad p_s - grad q_s) / max | MMD^2 with a Gaussian kernel of width s |
| drift | the drifting field | none known: its fixed point is P |
| wasserstein | debiased entropic map less identity | the Sinkhorn divergence at blur s, towards W2^2/2 |
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import ClassVar, Protocol, final, runtime_checkable

import torch
from jaxtyping import Float
from torch import Generator, Tensor

from pushforward.errors import InputError
from pushforward.flow.kernel_fields import drifting_field, mean_shift_difference, mmd_field
from pushforward.flow.networks import CriticField, DenoiserField
from pushforward.flow.transport_field import LAST, entropic_displacement
from pushforward.flow.widths import Widths, widths
from pushforward.readings.flow import velocity
from pushforward.witness import Fitter

OWN = 0.1  # a row's weight among its own neighbours: see `kernel_fields`


@runtime_checkable
class Velocity(Protocol):
    """(model rows y `(m, *event)`, data rows x `(n, *event)`) -> the displacement of each row of y, detached."""

    def __call__(
        self, y: Float[Tensor, "m *event"], x: Float[Tensor, "n *event"], *, progress: float, generator: Generator
    ) -> Float[Tensor, "m *event"]: ...


@runtime_checkable
class Learner(Velocity, Protocol):
    """A velocity with a state: `update` trains it on model rows `y` and data rows `x`."""

    def update(self, y: Tensor, x: Tensor, *, progress: float, generator: Generator) -> None: ...


@final
@dataclass(frozen=True)
class ScoreDifferenceField:
    """s^2 (grad ln p_s - grad ln q_s) at the width s of the moment: `kernel_fields.mean_shift_difference`."""

    between: Widths
    own: float = OWN

    def __call__(self, y: Tensor, x: Tensor, *, progress: float, generator: Generator) -> Tensor:
        """The displacement of each row of `y`; nothing is random."""
        with torch.no_grad():
            return mean_shift_difference(*_flat(y, x), self.between.at(progress), own=self.own).reshape(y.shape)


@final
@dataclass(frozen=True)
class MMDField:
    """s^2 (grad p_s - grad q_s) / max at the width s of the moment: `kernel_fields.mmd_field`.

    `noise` is Arbel et al.'s injection (2019, eq. 18): the gradient is read at y + noise s xi, xi ~ N(0, I).
    """

    between: Widths
    noise: float = 0.0

    def __call__(self, y: Tensor, x: Tensor, *, progress: float, generator: Generator) -> Tensor:
        """The displacement of each row of `y`; `generator` draws the noise."""
        s = self.between.at(progress)
        with torch.no_grad():
            model, data = _flat(y, x)
            at = None
            if self.noise > 0.0:
                drawn = torch.randn(model.shape, generator=generator, device=generator.device).to(model)
                at = model + self.noise * s * drawn
            return mmd_field(model, data, s, at=at).reshape(y.shape)


@final
@dataclass(frozen=True)
class DriftField:
    """The drifting field at `TEMPERATURES` of the root mean square distance of two data rows, falling with `progress`.

    At the end the lowest temperature is the fine width, where that is finer than the paper's.
    """

    TEMPERATURES: ClassVar[tuple[float, ...]] = (0.02, 0.05, 0.2)

    between: Widths
    own: float = OWN

    def temperatures(self, progress: float) -> tuple[float, ...]:
        """In the data's units."""
        distance = 2.0**0.5 * self.between.coarse
        fall = min(1.0, self.between.fine / (self.TEMPERATURES[0] * distance))
        return tuple(t * distance * fall ** min(max(progress, 0.0), 1.0) for t in self.TEMPERATURES)

    def __call__(self, y: Tensor, x: Tensor, *, progress: float, generator: Generator) -> Tensor:
        """The displacement of each row of `y`; nothing is random."""
        with torch.no_grad():
            return drifting_field(*_flat(y, x), self.temperatures(progress), own=self.own).reshape(y.shape)


@final
@dataclass(frozen=True)
class WassersteinField:
    """The debiased entropic map less the identity, its blur the width of the moment: see `transport_field`."""

    between: Widths
    last: int = LAST

    def __call__(self, y: Tensor, x: Tensor, *, progress: float, generator: Generator) -> Tensor:
        """The displacement of each row of `y`; nothing is random."""
        span = 4.0 * self.between.coarse
        with torch.no_grad():
            found = entropic_displacement(*_flat(y, x), self.between.at(progress), span=span, last=self.last)
        return found.reshape(y.shape)


@final
@dataclass(frozen=True)
class WitnessField:
    """scale^2 grad psi of the witness that `fitter` finds on the rows of each step; see `of_witness`."""

    fitter: Fitter
    scale: Widths | float = 1.0

    def __call__(self, y: Tensor, x: Tensor, *, progress: float, generator: Generator) -> Tensor:
        """The displacement of each row of `y`; `generator` is the fitter's."""
        witness = self.fitter(x.detach(), y.detach(), generator=generator)
        scale = self.scale.at(progress) if isinstance(self.scale, Widths) else self.scale
        return scale**2 * velocity(witness, y)


def of_witness(fitter: Fitter, scale: Widths | float = 1.0) -> WitnessField:
    """A velocity of any fitter whose witness has a gradient: it is fitted anew on the rows of every step.

    grad psi is a divergence per length; times `scale`^2, a number or widths to fall along, it is a length. The psi of
    reverse KL gives the score difference, that of JS sigma(ln p/q) times it. `InputError`, when called, for a witness
    without a gradient.
    """
    return WitnessField(fitter, scale)


def _flat(y: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
    return y.detach().flatten(1), x.detach().flatten(1).to(y.dtype)


@final
@dataclass(frozen=True)
class VelocityRow:
    """`make(x, seed=...)` builds the velocity for data like `x` `(n, *event)`; `steps` is how many suit a flow."""

    name: str
    what: str
    descends: str
    source: str
    make: Callable[..., Velocity]
    steps: int = 200


def _score_difference(x: Tensor, *, seed: int) -> Velocity:
    return ScoreDifferenceField(widths(x, seed=seed))


def _mmd(x: Tensor, *, seed: int) -> Velocity:
    return MMDField(widths(x, seed=seed))


def _drift(x: Tensor, *, seed: int) -> Velocity:
    return DriftField(widths(x, seed=seed))


def _wasserstein(x: Tensor, *, seed: int) -> Velocity:
    return WassersteinField(widths(x, seed=seed))


def _critic(x: Tensor, *, seed: int) -> Velocity:
    return CriticField(x, seed=seed)


def _denoisers(x: Tensor, *, seed: int) -> Velocity:
    return DenoiserField(x, seed=seed)


VELOCITIES: Mapping[str, VelocityRow] = MappingProxyType(
    {
        row.name: row
        for row in (
            VelocityRow(
                "score-difference",
                "up the data's smoothed log density and down the model's, by kernel sums",
                "KL(model || data) of the smoothed distributions",
                "Weber 2023, arXiv 2304.10027",
                _score_difference,
            ),
            VelocityRow(
                "critic",
                "up the score of a critic trained on noisy rows",
                "KL(model || data) of the smoothed distributions",
                "Goodfellow et al. 2014, section 4.1; Sonderby et al. 2017 (instance noise)",
                _critic,
            ),
            VelocityRow(
                "denoisers",
                "from where the model's denoiser sends a row to where the data's does",
                "KL(model || data) of the smoothed distributions",
                "Vincent 2011; Yin et al. 2024, arXiv 2311.18828",
                _denoisers,
            ),
            VelocityRow(
                "mmd",
                "up the kernel mean of the data and down that of the model",
                "MMD^2 with a Gaussian kernel",
                "Arbel et al. 2019, arXiv 1906.04370",
                _mmd,
            ),
            VelocityRow(
                "drift",
                "to the data near by and away from the model's rows near by, weighted by both",
                "none known; still where both are alike",
                "Deng et al. 2026, arXiv 2602.04770",
                _drift,
            ),
            VelocityRow(
                "wasserstein",
                "to where entropic optimal transport sends the row",
                "the Sinkhorn divergence, towards half the squared Wasserstein distance",
                "Feydy et al. 2019; Pooladian, Cuturi and Niles-Weed 2022",
                _wasserstein,
                steps=50,
            ),
        )
    }
)
"""Name -> velocity."""


def velocity_by_name(name: str) -> VelocityRow:
    """The row of `VELOCITIES`; `InputError`, with the known, for an unknown name."""
    if name not in VELOCITIES:
        raise InputError(f"unknown velocity {name!r}; known: {', '.join(VELOCITIES)}")
    return VELOCITIES[name]
