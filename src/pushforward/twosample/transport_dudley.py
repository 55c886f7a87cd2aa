"""The Dudley metric between samples: sup of E_P f - E_Q f over |f|_inf + Lip(f) <= 1 (Dudley 1966).

For two empirical measures it is a linear programme; it separates. With the Lipschitz constant L held, the supremum over
|f| <= 1 - L and Lip(f) <= L is transport under the truncated distance (Kantorovich and Rubinstein),

    D(L) = OT(a, b; cost min(L |x - y|, 2 (1 - L))),        Dudley = max over L in [0, 1] of D(L).

D is concave, because the programme is, and piecewise linear; any plan's cost, as a function of L, touches D from above.
So each network simplex gives a tangent, and the next L is where the two tangents that enclose the maximum meet: exact
after a few solves. Two points at a distance rho are 2 rho/(2 + rho) apart; the metric never exceeds 2.
"""

from dataclasses import dataclass, replace
from typing import final

import torch
from jaxtyping import Bool, Float
from torch import Generator, Tensor

from pushforward.errors import InputError
from pushforward.fitters.transport import (
    Plan,
    check_pairs,
    envelope,
    exact_plan,
    ground_cost,
    masses,
    weighted_variance,
)
from pushforward.twosample.method import Method
from pushforward.twosample.result import TestResult
from pushforward.twosample.running import run_permutations
from pushforward.twosample.transport import few_rows
from pushforward.witness import Estimate, Statistic, Tag, Witness

_EXACT = 1e-12  # relative gap between tangents and D at which the maximum is found
_SOLVES = 100
_MOST_PAIRS = 4_000_000


@final
@dataclass(frozen=True, eq=False)
class _Tangent:
    """A plan at `at`: its cost there is `value`, and `slope` = sum of its mass times |x - y| (`near`) or -2 (far)."""

    at: float
    value: float
    slope: float
    plan: Plan
    near: Tensor

    def __call__(self, lipschitz: float) -> float:
        return self.value + self.slope * (lipschitz - self.at)


@final
@dataclass(frozen=True, eq=False)
class Solved:
    """The maximum: its `value`, its `lipschitz` constant, and the tangents that meet there."""

    value: float
    lipschitz: float
    rising: _Tangent
    falling: _Tangent


def solve(distances: Float[Tensor, "n m"], a: Float[Tensor, " n"], b: Float[Tensor, " m"]) -> Solved:
    """The Dudley metric of masses `a`, `b` at these float64 `distances`. `InputError` if it takes over 100 solves."""
    # at L = 0 every pair is near, and at L = 1 every pair apart is far: D is 0 at both, with slopes W_1 and -2 TV
    rising = _tangent(distances, a, b, 0.0, distances, torch.ones_like(distances, dtype=torch.bool))
    falling = _tangent(distances, a, b, 1.0, (distances > 0.0).to(distances), distances == 0.0)
    if rising.slope <= 0.0 or falling.slope >= 0.0:
        return Solved(0.0, 0.0, rising, falling)
    for _ in range(_SOLVES):
        meet = (falling.value - rising.value + rising.slope * rising.at - falling.slope * falling.at) / (
            rising.slope - falling.slope
        )
        cap, cost = 2.0 * (1.0 - meet), meet * distances
        found = _tangent(distances, a, b, meet, cost.clamp_max(cap), cost <= cap)
        if rising(meet) - found.value <= _EXACT * max(found.value, 1e-300) or found.slope == 0.0:
            if found.slope == 0.0:
                rising = falling = found
            return Solved(found.value, meet, rising, falling)
        rising, falling = (found, falling) if found.slope > 0.0 else (rising, found)
    raise InputError(f"the Dudley metric was not found in {_SOLVES} solves; give fewer rows, or use exact-ot")


def _tangent(distances: Tensor, a: Tensor, b: Tensor, at: float, cost: Tensor, near: Tensor) -> _Tangent:
    """The optimal plan for `cost`, and its own cost at `at` with the slope there; `near` marks the linear entries."""
    plan = exact_plan(cost, a, b, duals=False)
    close = near[plan.rows, plan.columns]
    slopes = torch.where(close, distances[plan.rows, plan.columns], -2.0)
    value = at * (plan.mass * slopes)[close].sum() + 2.0 * (1.0 - at) * plan.mass[~close].sum()
    return _Tangent(at, float(value), float(plan.mass @ slopes), plan, close)


@final
@dataclass(frozen=True, eq=False)
class DudleyStatistic:
    """The Dudley metric; its gradient is that of the optimal plans and constant, mixed so that L stays optimal."""

    weights_x: Tensor | None = None
    weights_y: Tensor | None = None

    def __call__(self, x: Float[Tensor, "n d"], y: Float[Tensor, "m d"]) -> Float[Tensor, ""]:
        """The metric, in float64."""
        found, _, _ = self.solve(x, y)
        rise, fall, at = found.rising.slope, found.falling.slope, found.lipschitz
        share = 1.0 if rise == fall else -fall / (rise - fall)  # of the rising plan: the slopes in L cancel
        value = x.new_zeros((), dtype=torch.float64)
        for weight, tangent in ((share, found.rising), (1.0 - share, found.falling)):
            rows, columns = tangent.plan.rows, tangent.plan.columns
            moved = torch.linalg.vector_norm(x.double()[rows] - y.double()[columns], dim=1)
            cost = torch.where(tangent.near, at * moved, 2.0 * (1.0 - at))
            value = value + weight * (tangent.plan.mass @ cost)
        return value

    def with_null(
        self, x: Float[Tensor, "n d"], y: Float[Tensor, "m d"], members: Bool[Tensor, "N B"]
    ) -> tuple[Tensor, Tensor]:
        """The metric and its values under each column of `members`: pooled distances once, then ten solves or so."""
        if self.weights_x is not None or self.weights_y is not None:
            raise InputError("rows of unequal weight cannot be relabelled; test without weights")
        check_pairs(len(x) + len(y), len(x) + len(y), _MOST_PAIRS)
        z = torch.cat([x, y]).double()
        distances, a, b = ground_cost(z, z, 1.0), masses(None, x, "x"), masses(None, y, "y")
        first = torch.arange(len(z), device=x.device) < len(x)
        values = [solve(distances[side][:, ~side], a, b).value for side in (first, *members.T)]
        found = torch.tensor(values, dtype=torch.float64, device=x.device)
        return found[0], found[1:]

    def estimate(self, x: Tensor, y: Tensor, level: float) -> Estimate:
        """The metric with the interval of its function: see `dudley_distance`."""
        found, a, b = self.solve(x, y)
        if found.value <= 0.0:
            nan = float("nan")
            return Estimate(0.0, nan, nan, nan, level)
        witness = dudley_witness(x.double(), y.double(), a, b, found)
        variance = weighted_variance(witness.phi(x.double()), a) + weighted_variance(witness.psi(y.double()), b)
        e = Estimate.normal(found.value, variance**0.5, level)
        return replace(e, low=max(0.0, e.low), high=min(2.0, e.high))

    def solve(self, x: Tensor, y: Tensor) -> tuple[Solved, Tensor, Tensor]:
        """The maximum, and the masses of the rows."""
        check_pairs(len(x), len(y), _MOST_PAIRS)
        a, b = masses(self.weights_x, x, "weights_x"), masses(self.weights_y, y, "weights_y")
        return solve(ground_cost(x.detach().double(), y.detach().double(), 1.0), a, b), a, b


def dudley_witness(
    x: Float[Tensor, "n d"], y: Float[Tensor, "m d"], a: Float[Tensor, " n"], b: Float[Tensor, " m"], found: Solved
) -> Witness:
    """The bounded Lipschitz function that attains the metric: max_i (u_i - min(L |z - x_i|, 2 (1 - L))), centred.

    Its slope is at most L and its range at most 2 (1 - L) by construction: certified, and tight on these rows.
    """
    at = found.lipschitz
    cap = 2.0 * (1.0 - at)

    def cost(s: Tensor, t: Tensor) -> Tensor:
        return (at * ground_cost(s, t, 1.0)).clamp_max(cap)

    plan = exact_plan(cost(x, y), a, b)
    function = envelope(x, plan.u - (plan.u.max() - 0.5 * cap), cost)
    return Witness(phi=function, psi=function, tags=frozenset[Tag]({"certified", "tight", "differentiable"}))


def dudley_test(
    x: Float[Tensor, "n d"],
    y: Float[Tensor, "m d"],
    *,
    permutations: int,
    generator: Generator,
    rows: int = 100,
) -> TestResult:
    """Test by the Dudley metric on at most `rows` rows of each side, drawn at random: a relabelling is some ten solves.

    At 100 rows a side a relabelling takes about 10 ms. The metric is bounded, so heavy tails do not matter; it sees
    differences at the scale of one unit, so scale the data first. Statistic, effect and witness are those of the rows
    drawn; `distance` takes all rows, up to four million pairs.
    """
    if rows < 2:
        raise InputError(f"the Dudley metric needs at least 2 rows of each side, not rows={rows}")
    p, q = few_rows(x, rows, generator), few_rows(y, rows, generator)
    statistic = DudleyStatistic()
    result = run_permutations(
        "dudley",
        statistic,
        p,
        q,
        permutations=permutations,
        generator=generator,
        effect=lambda: statistic.estimate(p, q, 0.95),
        witness=lambda: dudley_witness(
            p.double(), q.double(), masses(None, p, "x"), masses(None, q, "y"), statistic.solve(p, q)[0]
        ),
    )
    return replace(result, n_x=len(x), n_y=len(y))


def dudley_distance(
    x: Float[Tensor, "n d"],
    y: Float[Tensor, "m d"],
    *,
    generator: Generator,
    level: float = 0.95,
    weights_x: Tensor | None = None,
    weights_y: Tensor | None = None,
) -> Estimate:
    """The Dudley metric of all rows with the normal interval of its optimal function, var f(x)/n + var f(y)/m.

    Centred on the expectation at these sizes: the plug-in's upward bias is not removed, and near equality the limit is
    not normal. NaN limits for equal samples. Nothing is random, `generator` is not used.
    """
    return DudleyStatistic(weights_x, weights_y).estimate(x, y, level)


def dudley_statistic(weights_x: Tensor | None = None, weights_y: Tensor | None = None) -> Statistic:
    """The Dudley metric as a loss; constant weights."""
    return DudleyStatistic(weights_x, weights_y)


METHODS = {
    "dudley": Method(
        family="transport",
        reads="bounded Lipschitz functions: any difference at the scale of one unit, heavy tails or not",
        convention="sup of E_P f - E_Q f over |f|_inf + Lip(f) <= 1; the test on at most 100 rows a side",
        cost="about ten network simplexes, (n m)^1.25 each, for each of B relabellings",
        effect="Dudley metric, between 0 and 2",
        test=dudley_test,
        distance=dudley_distance,
        statistic=dudley_statistic,
    ),
}
