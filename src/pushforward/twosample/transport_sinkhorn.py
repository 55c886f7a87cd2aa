"""Two-sample tests by the Sinkhorn divergence, balanced and unbalanced, all relabellings at once.

Formulas and convention in `pushforward.fitters.sinkhorn`: |x - y|^2/2, eps = blur^2, S = OT - halves of the self terms.

A relabelling only changes the masses of the N pooled rows, so one kernel serves all. With the pooled rows' own
potential h (which looks at no label) taken in, K_ij = e^((h_i + h_j - C_ij)/eps), the scalings of relabelling b are

    s = K (b o v),   ln u = -damp ln s - (1 - damp) h/eps,        and for a self term  ln u <- (ln u + that)/2,

products of K with N x 4B matrices. Relabelled halves resemble the pool, so the scalings stay near 1: float64 holds
them, and a few dozen products suffice. K is kept for up to 4096 pooled rows and made again in tiles beyond.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import final

import torch
from jaxtyping import Bool, Float
from torch import Generator, Tensor

from pushforward.errors import InputError
from pushforward.fitters.sinkhorn import (
    ADAPT,
    Entropic,
    Potentials,
    Side,
    check_blur,
    marginal_error,
    potentials_witness,
    relaxation,
    self_potential,
    solve,
)
from pushforward.fitters.transport import masses, weighted_variance
from pushforward.twosample.method import Method
from pushforward.twosample.result import TestResult
from pushforward.twosample.running import run_permutations
from pushforward.witness import Estimate, Statistic

_KEPT = 4096  # pooled rows whose kernel is kept
_TILE = 1 << 21  # numbers in a tile beyond
_ROUNDING = 1e-12  # times eps: what equal measures are apart by rounding, which must not be ranked
_SLACK = 100.0  # times the marginal error of a single problem is allowed to every relabelling


@final
@dataclass(frozen=True, eq=False)
class SinkhornStatistic:
    """S(x, y), or with `debiased=False` OT(x, y); `blur` "spread" is half the pooled rows' root mean
    square distance.
    """

    blur: float | str = "spread"
    reach: float | str | None = None
    debiased: bool = True
    weights_x: Tensor | None = None
    weights_y: Tensor | None = None
    tolerance: float = 1e-6
    iterations: int = 500

    def __call__(self, x: Float[Tensor, "n d"], y: Float[Tensor, "m d"]) -> Float[Tensor, ""]:
        """The divergence in float64, with its first derivative in the rows (there is no second)."""
        found, _ = self.solve(x, y)
        at_x, at_y = found.worths()
        value = found.x.mass @ at_x + found.y.mass @ at_y
        if not (torch.is_grad_enabled() and (x.requires_grad or y.requires_grad)):
            return value
        pull_x, pull_y = found.gradients()  # the value as a plane that touches it: its gradient, and no graph of tiles
        return value + (pull_x * (x - x.detach())).sum() + (pull_y * (y - y.detach())).sum()

    def with_null(
        self, x: Float[Tensor, "n d"], y: Float[Tensor, "m d"], members: Bool[Tensor, "N B"]
    ) -> tuple[Tensor, Tensor]:
        """The divergence and its values under each column of `members`; both from one batch of scalings."""
        if self.weights_x is not None or self.weights_y is not None:
            raise InputError("rows of unequal weight cannot be relabelled; test without weights")
        z = torch.cat([x, y]).double()
        first = torch.arange(len(z), device=z.device)[:, None] < len(x)
        a = torch.cat([first, members], 1).double()
        problem = self.problem(x, y)
        values = _relabelled(z - z.mean(0), a / len(x), (1.0 - a) / len(y), problem, self.debiased)
        if not bool(
            torch.isfinite(values).all()
        ):  # rows too far out for scalings: one by one, in logarithms, with cooling
            alone = replace(self, blur=problem.blur, reach=problem.reach)
            values = torch.stack([alone(z[side], z[~side]) for side in a.bool().T])
        values = torch.where(values.abs() <= _ROUNDING * problem.eps, 0.0, values)
        return values[0], values[1:]

    def estimate(self, x: Tensor, y: Tensor, level: float) -> Estimate:
        """The divergence with the interval of its potentials: see `sinkhorn_distance`."""
        return self.estimate_from(self.solve(x, y)[0], level)

    def estimate_from(self, found: Potentials, level: float) -> Estimate:
        """The same from solved potentials."""
        at_x, at_y = found.worths()
        variance = weighted_variance(at_x, found.x.mass) + weighted_variance(at_y, found.y.mass)
        e = Estimate.normal(float(found.x.mass @ at_x + found.y.mass @ at_y), variance**0.5, level)
        return replace(e, low=max(0.0, e.low))

    def problem(self, x: Tensor, y: Tensor) -> Entropic:
        """The problem at these rows' blur."""
        blur = check_blur(self.blur, x, y)
        reach = 2.0 * blur if self.reach == "twice" else self.reach
        if isinstance(reach, str):
            raise InputError(f'the reach must be a positive number or "twice" (the blur), not {reach!r}')
        return Entropic(blur, reach, self.tolerance, self.iterations)

    def solve(self, x: Tensor, y: Tensor) -> tuple[Potentials, Tensor]:
        """The potentials, and the centre of the rows."""
        a, b = masses(self.weights_x, x, "weights_x"), masses(self.weights_y, y, "weights_y")
        return solve(x, y, a, b, self.problem(x, y), debiased=self.debiased)


def _relabelled(z: Tensor, a: Tensor, b: Tensor, problem: Entropic, debiased: bool) -> Float[Tensor, " B"]:
    """The divergence between the measures on the centred rows `z` whose masses are each column of `a`, and of `b`.

    NaN where float64 does not hold the scalings, and without convergence.
    """
    eps, damp, count = problem.eps, problem.damp(problem.eps), a.shape[1]
    h = self_potential(Side(z, torch.full_like(z[:, 0], 1.0 / len(z))), problem)[:, None]
    kernel = _Tiles(z, (h[:, 0] - 0.5 * (z * z).sum(1)) / eps, eps)
    kept = list(kernel()) if len(z) <= _KEPT else None

    def update(masses_: Tensor, logs: Tensor) -> Tensor:
        weighted = masses_ * logs.exp()
        sums = torch.cat([tile @ weighted for tile in (kept if kept is not None else kernel())])
        return -damp * sums.log() - (1.0 - damp) * h / eps

    own = torch.cat([a, b], 1)  # the masses of the two self terms
    log_v, log_self = torch.zeros_like(b), torch.zeros_like(own)
    omega, before, log_u = torch.ones_like(a[0]), torch.full_like(a[0], math.inf), torch.zeros_like(a)
    worst, step = math.inf, 0
    while not problem.done(worst, step, _SLACK):
        if debiased:
            both = update(torch.cat([b, own], 1), torch.cat([log_v, log_self], 1))
            to_u, better = both[:, :count], both[:, count:]
        else:
            to_u, better = update(b, log_v), log_self
        error = marginal_error(a, log_u - to_u)
        log_u = log_u + omega * (to_u - log_u)
        to_v = update(a, log_u)
        error = torch.maximum(error, marginal_error(b, log_v - to_v))
        log_v = log_v + omega * (to_v - log_v)
        worst = float(torch.maximum(error.max(), marginal_error(own, log_self - better).max()))
        log_self, step = 0.5 * (log_self + better), step + 1
        if not math.isfinite(worst):
            break
        if step % ADAPT == 0:
            omega, before = relaxation(omega, error, before), error
    if not problem.accepts(worst):
        return torch.full_like(a[0], math.nan)
    log_u = update(b, log_v)
    log_v = update(a, log_u)
    f, g, alone = (h + eps * log for log in (log_u, log_v, log_self))
    value = (a * problem.worth(f) + b * problem.worth(g)).sum(0)
    if not debiased:
        return value
    return value - (own * problem.worth(alone)).sum(0).view(2, count).sum(0)


@final
@dataclass(frozen=True, eq=False)
class _Tiles:
    """e^((h_i + h_j - C_ij)/eps), some rows at a time."""

    z: Tensor
    level: Tensor
    eps: float

    def __call__(self) -> Iterator[Tensor]:
        """The tiles in order."""
        size = max(1, _TILE // len(self.z))
        for rows, level in zip(self.z.split(size), self.level.split(size), strict=True):
            yield torch.addmm(self.level, rows, self.z.T, alpha=1.0 / self.eps).add_(level[:, None]).exp_()


def _test(
    name: str, statistic: SinkhornStatistic, x: Tensor, y: Tensor, permutations: int, generator: Generator
) -> TestResult:
    found: list[tuple[Potentials, Tensor]] = []

    def effect() -> Estimate:
        found.append(statistic.solve(x, y))
        return statistic.estimate_from(found[0][0], 0.95)

    return run_permutations(
        name,
        statistic,
        x,
        y,
        permutations=permutations,
        generator=generator,
        effect=effect,
        witness=lambda: potentials_witness(*found[0]),
        quadratic=statistic.debiased,
    )


def sinkhorn_test(
    x: Float[Tensor, "n d"],
    y: Float[Tensor, "m d"],
    *,
    permutations: int,
    generator: Generator,
    blur: float | str = "spread",
    debiased: bool = True,
    iterations: int = 500,
) -> TestResult:
    """Test by the Sinkhorn divergence S at `blur`, in the data's units or "spread": half the pooled root mean square
    distance.

    `debiased=False` takes the dual value OT_eps with its KL term. The witness is the pair of potentials, whose gap on
    these rows is the statistic.
    """
    statistic = SinkhornStatistic(check_blur(blur, x, y), None, debiased, iterations=iterations)
    return _test("sinkhorn", statistic, x, y, permutations, generator)


def unbalanced_sinkhorn_test(
    x: Float[Tensor, "n d"],
    y: Float[Tensor, "m d"],
    *,
    permutations: int,
    generator: Generator,
    blur: float | str = "spread",
    reach: float | str = "twice",
    debiased: bool = True,
    iterations: int = 500,
) -> TestResult:
    """Test by the unbalanced Sinkhorn divergence: mass is moved over distances up to about `reach`, else re-created.

    `reach` is in the data's units, or "twice" the blur. A few far-off rows then weigh no more than their number.
    """
    statistic = SinkhornStatistic(check_blur(blur, x, y), reach, debiased, iterations=iterations)
    return _test("unbalanced-sinkhorn", statistic, x, y, permutations, generator)


def sinkhorn_distance(
    x: Float[Tensor, "n d"],
    y: Float[Tensor, "m d"],
    *,
    generator: Generator,
    level: float = 0.95,
    blur: float | str = "spread",
    debiased: bool = True,
    weights_x: Tensor | None = None,
    weights_y: Tensor | None = None,
    iterations: int = 500,
) -> Estimate:
    """S with the normal interval of its potentials' variance, var phi/n + var psi/m (del Barrio et al. 2023).

    Centred on the expectation at these sizes, which exceeds the population's S by a term of order 1/n. Near equality S
    is of second order, its limit is not normal, and the interval tells only the order of the spread.
    """
    number = check_blur(blur, x, y)
    statistic = SinkhornStatistic(number, None, debiased, weights_x, weights_y, iterations=iterations)
    return statistic.estimate(x, y, level)


def unbalanced_sinkhorn_distance(
    x: Float[Tensor, "n d"],
    y: Float[Tensor, "m d"],
    *,
    generator: Generator,
    level: float = 0.95,
    blur: float | str = "spread",
    reach: float | str = "twice",
    debiased: bool = True,
    weights_x: Tensor | None = None,
    weights_y: Tensor | None = None,
    iterations: int = 500,
) -> Estimate:
    """The unbalanced S (both masses 1) with an interval as in `sinkhorn_distance`; `reach` by default "twice"
    the blur.
    """
    number = check_blur(blur, x, y)
    statistic = SinkhornStatistic(number, reach, debiased, weights_x, weights_y, iterations=iterations)
    return statistic.estimate(x, y, level)


def sinkhorn_statistic(
    blur: float | str = "spread",
    debiased: bool = True,
    weights_x: Tensor | None = None,
    weights_y: Tensor | None = None,
    iterations: int = 500,
) -> Statistic:
    """S as a loss; "spread" makes the blur anew, as a constant, at every call."""
    return SinkhornStatistic(blur, None, debiased, weights_x, weights_y, iterations=iterations)


def unbalanced_sinkhorn_statistic(
    blur: float | str = "spread",
    reach: float | str = "twice",
    debiased: bool = True,
    weights_x: Tensor | None = None,
    weights_y: Tensor | None = None,
    iterations: int = 500,
) -> Statistic:
    """The unbalanced S as a loss; "spread" makes the blur anew, as a constant, at every call."""
    return SinkhornStatistic(blur, reach, debiased, weights_x, weights_y, iterations=iterations)


METHODS = {
    "sinkhorn": Method(
        family="transport",
        reads="transport blurred at a scale: location, spread and shape, gently in many dimensions",
        convention="S = OT - self terms/2; cost |x-y|^2/2, eps = blur^2 times KL(pi | a x b) (geomloss, p = 2)",
        cost="dozens of products of (n+m)^2 B",
        effect="Sinkhorn divergence, in the data's units squared (as W_2^2/2)",
        assumes="finite second moments",
        test=sinkhorn_test,
        distance=sinkhorn_distance,
        statistic=sinkhorn_statistic,
    ),
    "unbalanced-sinkhorn": Method(
        family="transport",
        reads="blurred transport over a limited reach: shape, with far-off rows counted and not weighed",
        convention="S = OT - self terms/2; as sinkhorn, marginals by reach^2 KL (geomloss, p = 2)",
        cost="dozens of products of (n+m)^2 B",
        effect="unbalanced Sinkhorn divergence, in the data's units squared",
        test=unbalanced_sinkhorn_test,
        distance=unbalanced_sinkhorn_distance,
        statistic=unbalanced_sinkhorn_statistic,
    ),
}
