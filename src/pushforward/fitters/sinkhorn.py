"""Entropic optimal transport between two samples, streamed, with its potentials as a witness.

Convention (that of geomloss with p = 2): C(x, y) = |x - y|^2/2, eps = blur^2, rho = reach^2, and

    OT(a, b) = min over pi >= 0 of  <pi, C> + eps KL(pi | a x b) [+ rho KL(pi_1 | a) + rho KL(pi_2 | b)]
    S(a, b)  = OT(a, b) - OT(a, a)/2 - OT(b, b)/2                    (Genevay et al. 2018; Feydy et al. 2019)

with KL(p | q) = sum p ln(p/q) - p + q. Without `reach` the marginals are kept exactly. At the optimum

    f = damp T(g), g = damp T(f),   T(g)(x) = -eps ln sum_j b_j exp((g_j - C(x, y_j))/eps),   damp = 1/(1 + eps/rho),
    OT = <a, f> + <b, g>        or with reach        (rho + eps/2) (<a, 1 - e^(-f/rho)> + <b, 1 - e^(-g/rho)>).

As blur grows S tends to |mean x - mean y|^2/2, as it shrinks to W_2^2/2. Other libraries differ: POT's
`empirical_sinkhorn_divergence` takes |x - y|^2 and the entropy instead of the KL (its reg is 2 blur^2 for the same
plan) and returns <pi, C> without the entropy.

T is evaluated in tiles, in float64: no n x m matrix is held. The temperature falls from the data's diameter to eps by
factors of 4; a few dozen passes of n m exponentials follow at eps, more for a smaller blur.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import final

import torch
from jaxtyping import Float
from torch import Generator, Tensor

from pushforward.errors import InputError
from pushforward.witness import Score, Tag, Witness

_TILE = 1 << 20  # numbers in a tile
_COOLING = 0.25
_STAY, _ROUGH = 100, 0.02  # updates at a temperature at most, and the marginal error at which to leave it
_ACCEPTED = 1000.0  # times the error to stop at: still taken when the iterations are used up
ADAPT = 20  # updates between looks at the rate of convergence


@final
@dataclass(frozen=True)
class Entropic:
    """The problem and its solver: `blur` and `reach` in the data's units (`reach` None: exact marginals), and when to
    stop: at a marginal error of `tolerance`, summed over the rows, or after `iterations` at eps. Then a thousand times
    that error is let pass (rows that hardly communicate lose theirs like 1/iterations, and shift the value by less than
    eps times it) and more is an `InputError`.

    OT's own error is of second order in that of exact marginals but of first order with a `reach`, where a thousandth
    of `tolerance` is asked.
    """

    blur: float
    reach: float | None = None
    tolerance: float = 1e-6
    iterations: int = 500

    def __post_init__(self) -> None:
        for name, value in (("blur", self.blur), ("reach", self.reach), ("tolerance", self.tolerance)):
            if value is not None and not 0.0 < value < math.inf:
                raise InputError(f"the {name} must be a positive number, not {value}")
        if self.iterations < 1:
            raise InputError(f"Sinkhorn needs at least one iteration, not {self.iterations}")

    @property
    def eps(self) -> float:
        """blur^2."""
        return self.blur**2

    @property
    def rho(self) -> float:
        """reach^2, or infinity."""
        return math.inf if self.reach is None else self.reach**2

    @property
    def threshold(self) -> float:
        """The error at which to stop."""
        return self.tolerance if self.reach is None else 1e-3 * self.tolerance

    def damp(self, eps: float) -> float:
        """1/(1 + eps/rho)."""
        return 1.0 / (1.0 + eps / self.rho)

    def worth(self, potential: Float[Tensor, "*n"]) -> Float[Tensor, "*n"]:
        """What a potential contributes to OT: itself, or (rho + eps/2)(1 - e^(-f/rho))."""
        if self.reach is None:
            return potential
        return -(self.rho + 0.5 * self.eps) * torch.expm1(-potential / self.rho)

    def done(self, error: float, step: int, slack: float = 1.0) -> bool:
        """Whether to stop after `step` iterations."""
        return error <= slack * self.threshold or step >= self.iterations

    def accepts(self, error: float) -> bool:
        """Whether the error is small enough when the iterations are used up."""
        return error <= _ACCEPTED * self.threshold

    def check(self, error: float) -> None:
        """`InputError` unless the error is accepted."""
        if not self.accepts(error):
            raise InputError(
                f"Sinkhorn did not converge at blur={self.blur:g}: the marginals are off by {error:.1e} after "
                f"{self.iterations} iterations; use a larger blur or more iterations"
            )


@final
@dataclass(frozen=True, eq=False)
class Side:
    """One measure: float64 `points` `(n, d)`, their `mass` `(n,)` (a share of 1 each) and its logarithm."""

    points: Tensor
    mass: Tensor

    @property
    def log_mass(self) -> Tensor:
        """ln of the masses; -inf for rows of no weight."""
        return self.mass.log()


def soft_transform(rows: Tensor, side: Side, potential: Tensor, eps: float) -> Tensor:
    """T(potential) `(r,)` at `rows` `(r, d)`: -eps ln sum_j b_j exp((g_j - |x - y_j|^2/2)/eps), in tiles."""
    norms = 0.5 * (rows * rows).sum(1)
    parts = [torch.logsumexp(scores, 1) for scores in _tiles(rows, side, potential, eps)]
    return norms - eps * torch.cat(parts)


def barycentres(rows: Float[Tensor, "r d"], side: Side, potential: Tensor, eps: float) -> Float[Tensor, "r d"]:
    """The mean of the points that each row is sent to: rows - barycentres is the gradient of `soft_transform`."""
    parts = [torch.softmax(scores, 1) @ side.points for scores in _tiles(rows, side, potential, eps)]
    return torch.cat(parts)


def _tiles(rows: Tensor, side: Side, potential: Tensor, eps: float) -> Iterator[Tensor]:
    """ln b_j + (g_j - C(x, y_j))/eps less what depends on x alone, a few rows at a time."""
    level = side.log_mass + (potential - 0.5 * (side.points * side.points).sum(1)) / eps
    for part in rows.split(max(1, _TILE // len(side.points))):
        yield torch.addmm(level, part, side.points.T, alpha=1.0 / eps)


def cross_potentials(x: Side, y: Side, problem: Entropic) -> tuple[Float[Tensor, " n"], Float[Tensor, " m"]]:
    """(f, g) of OT(x, y), by alternate updates while the temperature falls. `InputError` without convergence."""
    f, g = torch.zeros_like(x.mass), torch.zeros_like(y.mass)
    for eps in _temperatures(x, y, problem.eps):
        damp = problem.damp(eps)
        for _ in range(_STAY):
            g = damp * soft_transform(y.points, x, f, eps)
            before, f = f, damp * soft_transform(x.points, y, g, eps)
            if float(marginal_error(x.mass, (before - f) / eps)) < _ROUGH:
                break
    eps, damp, omega, error, step = problem.eps, problem.damp(problem.eps), f.new_ones(()), f.new_tensor(math.inf), 0
    earlier = error
    while not problem.done(float(error), step):
        to_g = damp * soft_transform(y.points, x, f, eps)
        error = marginal_error(y.mass, (g - to_g) / eps)
        g = g + omega * (to_g - g)
        to_f = damp * soft_transform(x.points, y, g, eps)
        error = torch.maximum(error, marginal_error(x.mass, (f - to_f) / eps))
        f = f + omega * (to_f - f)
        step += 1
        if step % ADAPT == 0:
            omega, earlier = relaxation(omega, error, earlier), error
    problem.check(float(error))
    g = damp * soft_transform(y.points, x, f, eps)
    return damp * soft_transform(x.points, y, g, eps), g


def relaxation(omega: Tensor, error: Tensor, before: Tensor) -> Tensor:
    """A better factor for over-relaxed updates, from the errors now and `ADAPT` updates before; elementwise.

    Alternate updates converge at a rate q that is close to 1 for a small blur or far-off rows; taken omega times as
    far, at omega - 1 for omega = 2/(1 + sqrt(1 - q)) (Thibault et al. 2021). A rate r seen under omega tells q by
    Young's relation (r + omega - 1)^2 = q omega^2 r. Where errors grow, omega goes back towards 1.
    """
    rate = (error / before) ** (1.0 / ADAPT)
    q = ((rate + omega - 1.0) ** 2 / (omega**2 * rate)).clamp(0.0, 0.9999)
    better = 2.0 / (1.0 + (1.0 - q).sqrt())
    better = torch.where(rate > omega - 1.0, torch.maximum(better, omega), omega)
    better = torch.where(rate < 1.0, better, 1.0 + 0.5 * (omega - 1.0))
    return torch.where(torch.isfinite(before) & (rate > 0.0), better, omega)


def self_potential(x: Side, problem: Entropic) -> Float[Tensor, " n"]:
    """f of OT(x, x), where both potentials are one: the mean of an update and what it updates converges fast."""
    f = torch.zeros_like(x.mass)
    for eps in _temperatures(x, x, problem.eps):
        f = 0.5 * (f + problem.damp(eps) * soft_transform(x.points, x, f, eps))
    eps, damp, error, step = problem.eps, problem.damp(problem.eps), math.inf, 0
    while not problem.done(error, step):
        better = damp * soft_transform(x.points, x, f, eps)
        error = float(marginal_error(x.mass, (f - better) / eps))
        f, step = 0.5 * (f + better), step + 1
    problem.check(error)
    return f


def marginal_error(mass: Tensor, excess: Tensor) -> Tensor:
    """How far the plan's marginal is from `mass` `(n, ...)`: sum over rows of a |e^excess - 1|, exponents capped."""
    return (mass * torch.expm1(excess.clamp(-50.0, 50.0)).abs()).sum(0)


def _temperatures(x: Side, y: Side, eps: float) -> Iterator[float]:
    low, high = torch.minimum(x.points.amin(0), y.points.amin(0)), torch.maximum(x.points.amax(0), y.points.amax(0))
    current = float(((high - low) ** 2).sum())
    while current > eps:
        yield current
        current *= _COOLING


@final
@dataclass(frozen=True, eq=False)
class Potentials:
    """Solved potentials: `f` on x, `g` on y, and `f_self`, `g_self` of the debiasing terms (None without)."""

    x: Side
    y: Side
    problem: Entropic
    f: Tensor
    g: Tensor
    f_self: Tensor | None
    g_self: Tensor | None

    def worths(self) -> tuple[Float[Tensor, " n"], Float[Tensor, " m"]]:
        """What each row contributes: the divergence is <a, first> + <b, second>."""
        at_x, at_y = self.problem.worth(self.f), self.problem.worth(self.g)
        if self.f_self is None or self.g_self is None:
            return at_x, at_y
        return at_x - self.problem.worth(self.f_self), at_y - self.problem.worth(self.g_self)

    def gradients(self) -> tuple[Float[Tensor, "n d"], Float[Tensor, "m d"]]:
        """The divergence's gradient in the rows, potentials held (envelope theorem): sum_j pi_ij (x_i - y_j)."""
        x, y = self.x, self.y
        at_x = self._pull(x, y, self.f, self.g) - (0.0 if self.f_self is None else self._pull(x, x, self.f_self))
        at_y = self._pull(y, x, self.g, self.f) - (0.0 if self.g_self is None else self._pull(y, y, self.g_self))
        return at_x, at_y

    def _pull(self, own: Side, other: Side, f: Tensor, g: Tensor | None = None) -> Tensor:
        sent = own.mass if self.problem.reach is None else own.mass * torch.exp(-f / self.problem.rho)
        away = own.points - barycentres(own.points, other, f if g is None else g, self.problem.eps)
        return sent[:, None] * away

    def score(self, which: str, centre: Tensor) -> Score:
        """The worth of any row as data (`which` "x") or as model ("y"): potentials by the soft transform."""
        problem, eps = self.problem, self.problem.eps
        own, other = (self.x, self.y) if which == "x" else (self.y, self.x)
        across, alone = (self.g, self.f_self) if which == "x" else (self.f, self.g_self)

        def worth(t: Tensor, side: Side, potential: Tensor) -> Tensor:
            there = Side(side.points.to(t.device), side.mass.to(t.device))
            transformed = soft_transform(t, there, potential.to(t.device), eps)
            return problem.worth(problem.damp(eps) * transformed)

        def value(rows: Tensor) -> Tensor:
            t = rows.flatten(1).double() - centre.to(rows.device)
            found = worth(t, other, across)
            if alone is not None:
                found = found - worth(t, own, alone)
            return found.to(rows.dtype if rows.is_floating_point() else torch.float64)

        return value


def solve(
    x: Float[Tensor, "n d"],
    y: Float[Tensor, "m d"],
    a: Float[Tensor, " n"],
    b: Float[Tensor, " m"],
    problem: Entropic,
    *,
    debiased: bool,
) -> tuple[Potentials, Tensor]:
    """The potentials between `x` and `y` of masses `a` and `b`, and the centre that their rows were shifted by."""
    with torch.no_grad():
        centre = torch.cat([x, y]).double().mean(0)
        data, fake = Side(x.double() - centre, a), Side(y.double() - centre, b)
        f, g = cross_potentials(data, fake, problem)
        alone = (self_potential(data, problem), self_potential(fake, problem)) if debiased else (None, None)
        return Potentials(data, fake, problem, f, g, *alone), centre


def check_blur(blur: float | str, x: Tensor, y: Tensor) -> float:
    """`blur` as a number; "spread" is half the root mean square distance of the pooled rows, sqrt(sum of variances/2).

    It looks at no label. Unlike the median distance it grows with a heavy tail, where a small blur would not converge.
    """
    if blur == "spread":
        pooled = torch.cat([x, y]).detach().double()
        spread = math.sqrt(0.5 * float(pooled.var(0).sum()))
        return spread if spread > 0.0 else 1.0
    if isinstance(blur, str) or not 0.0 < blur < math.inf:
        raise InputError(f'the blur must be a positive number or "spread", not {blur!r}')
    return float(blur)


@final
@dataclass(frozen=True)
class SinkhornFitter:
    """Samples -> the potentials of the (debiased) Sinkhorn divergence as a witness, by the soft transform anywhere.

    Its gap on the rows it was fitted on is the divergence between them (tight). Not certified: the entropic dual is
    penalised and not constrained, and the debiased divergence is not a supremum of gaps.
    """

    blur: float | str = "spread"
    reach: float | None = None
    debiased: bool = True
    tolerance: float = 1e-6
    iterations: int = 500

    def __call__(self, x: Float[Tensor, "n *d"], y: Float[Tensor, "m *d"], *, generator: Generator) -> Witness:
        """The witness of data `x` and model samples `y`; nothing is random."""
        data, fake = x.detach().flatten(1), y.detach().flatten(1)
        problem = Entropic(check_blur(self.blur, data, fake), self.reach, self.tolerance, self.iterations)
        a, b = (torch.full((len(s),), 1.0 / len(s), dtype=torch.float64, device=s.device) for s in (data, fake))
        return potentials_witness(*solve(data, fake, a, b, problem, debiased=self.debiased))


def potentials_witness(found: Potentials, centre: Tensor) -> Witness:
    """The witness of solved potentials: see `SinkhornFitter`."""
    fake = found.score("y", centre)
    return Witness(
        phi=found.score("x", centre),
        psi=lambda rows: -fake(rows),
        tags=frozenset[Tag]({"tight", "differentiable"}),
    )
