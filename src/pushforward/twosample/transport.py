"""Two-sample tests by optimal transport: W_p on the line by sorting, and in any dimension by the network simplex.

Every Wasserstein number here is the distance W_p = (min over plans of sum pi |x - y|^p)^(1/p) itself, in the data's
units, never its power. `sliced`, `max-sliced`, `sinkhorn` and `unbalanced-sinkhorn` have modules of their own.
"""

from dataclasses import dataclass, replace
from typing import final

import torch
from jaxtyping import Bool, Float
from torch import Generator, Tensor

from pushforward.errors import InputError
from pushforward.fitters.transport import (
    ITERATIONS,
    Plan,
    check_pairs,
    check_power,
    exact_plan,
    ground_cost,
    masses,
    plan_witness,
    weighted_variance,
)
from pushforward.twosample import transport_line as line
from pushforward.twosample.method import Method
from pushforward.twosample.result import TestResult
from pushforward.twosample.running import run_permutations
from pushforward.twosample.transport_sinkhorn import METHODS as SINKHORN
from pushforward.twosample.transport_sliced import METHODS as SLICED
from pushforward.witness import Estimate, Statistic


@final
@dataclass(frozen=True, eq=False)
class LineStatistic:
    """W_p of two sets of one column, each side optionally weighted; all relabellings (unweighted) from one sort."""

    p: float = 1.0
    weights_x: Tensor | None = None
    weights_y: Tensor | None = None

    def __post_init__(self) -> None:
        line.check_order(self.p)

    def __call__(self, x: Float[Tensor, "n d"], y: Float[Tensor, "m d"]) -> Float[Tensor, ""]:
        """W_p in float64, with its gradient in the rows."""
        a, b, levels, _, _ = self.sort(x, y)
        return line.root(line.powers(a, b, self.p, levels), self.p)

    def with_null(
        self, x: Float[Tensor, "n d"], y: Float[Tensor, "m d"], members: Bool[Tensor, "N B"]
    ) -> tuple[Tensor, Tensor]:
        """W_p and its values under each column of `members`."""
        if self.weights_x is not None or self.weights_y is not None:
            raise InputError("rows of unequal weight cannot be relabelled; test without weights")
        z, order = torch.cat([x, y])[:, 0].sort()
        levels, labels = line.even_levels(len(x), len(y), x), members.T
        some = max(1, (1 << 22) // len(z))
        null = [line.null_powers(z, part[:, order], len(x), self.p, levels) for part in labels.split(some)]
        return self(x, y), torch.cat(null) ** (1.0 / self.p)

    def estimate(self, x: Tensor, y: Tensor, level: float) -> Estimate:
        """W_p with the interval of its dual potentials: see `wasserstein_1d_distance`."""
        a, b, levels, wa, wb = self.sort(x, y)
        u, v = line.potentials(a, b, self.p, levels)
        variance = weighted_variance(u, wa) + weighted_variance(v, wb)
        return line.root_estimate(float(line.powers(a, b, self.p, levels)), variance, self.p, level)

    def sort(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor, line.Levels, Tensor, Tensor]:
        """Both sides sorted, their levels, and the weights in that order."""
        if x.shape[1] != 1:
            raise InputError(f"wasserstein-1d takes one column, not {x.shape[1]}; use sliced or exact-ot")
        (a, at_a), (b, at_b) = x[:, 0].sort(), y[:, 0].sort()
        wa, wb = masses(self.weights_x, x, "weights_x")[at_a], masses(self.weights_y, y, "weights_y")[at_b]
        even = self.weights_x is None and self.weights_y is None
        return a, b, line.even_levels(len(a), len(b), a) if even else line.weighted_levels(wa, wb), wa, wb


def wasserstein_1d_test(
    x: Float[Tensor, "n d"], y: Float[Tensor, "m d"], *, permutations: int, generator: Generator, p: float = 1.0
) -> TestResult:
    """Test by W_p of one column. The witness is the dual potential, whose gap is W_p^p (for p = 1: certified)."""
    statistic = LineStatistic(p)
    statistic.sort(x[:2], y[:2])  # says early that there are too many columns
    return run_permutations(
        "wasserstein-1d",
        statistic,
        x,
        y,
        permutations=permutations,
        generator=generator,
        effect=lambda: statistic.estimate(x, y, 0.95),
        witness=lambda: line.line_witness(x, y, x.new_ones(1, 1), p),
    )


def wasserstein_1d_distance(
    x: Float[Tensor, "n d"],
    y: Float[Tensor, "m d"],
    *,
    generator: Generator,
    level: float = 0.95,
    p: float = 1.0,
    weights_x: Tensor | None = None,
    weights_y: Tensor | None = None,
) -> Estimate:
    """W_p of one column, exactly (scipy's `wasserstein_distance` for p = 1), rows weighted or not.

    The interval is normal in W_p^p with the variance of the dual potentials, var u/n + var v/m (del Barrio, Gordaliza
    and Loubes 2019), centred on the expectation at these sizes: the plug-in's upward bias, of order n^(-1/2) near
    equality, is not removed. There the limit is not normal and the interval tells only the order of the spread. NaN
    for equal samples. Nothing is random, `generator` is not used.
    """
    return LineStatistic(p, weights_x, weights_y).estimate(x, y, level)


def wasserstein_1d_statistic(
    p: float = 1.0, weights_x: Tensor | None = None, weights_y: Tensor | None = None
) -> Statistic:
    """W_p of one column as a loss; constant weights."""
    return LineStatistic(p, weights_x, weights_y)


@final
@dataclass(frozen=True, eq=False)
class ExactStatistic:
    """W_p (p = 1 or 2) by the network simplex; the gradient is that of the optimal plan held fixed (Danskin)."""

    p: float = 1.0
    weights_x: Tensor | None = None
    weights_y: Tensor | None = None
    iterations: int = ITERATIONS

    def __post_init__(self) -> None:
        check_power(self.p)

    def __call__(self, x: Float[Tensor, "n d"], y: Float[Tensor, "m d"]) -> Float[Tensor, ""]:
        """W_p in float64."""
        plan, _, _ = self.solve(x, y, duals=False)
        moved = torch.linalg.vector_norm(x.double()[plan.rows] - y.double()[plan.columns], dim=1)
        return line.root(plan.mass @ (moved if self.p == 1.0 else moved**2), self.p)

    def with_null(
        self, x: Float[Tensor, "n d"], y: Float[Tensor, "m d"], members: Bool[Tensor, "N B"]
    ) -> tuple[Tensor, Tensor]:
        """W_p and its values under each column of `members`: the pooled cost once, then one solve for each."""
        if self.weights_x is not None or self.weights_y is not None:
            raise InputError("rows of unequal weight cannot be relabelled; test without weights")
        n = len(x)
        check_pairs(n + len(y), n + len(y))
        z = torch.cat([x, y]).double()
        cost, a, b = ground_cost(z, z, self.p), masses(None, x, "x"), masses(None, y, "y")
        first = torch.arange(len(z), device=x.device) < n
        values = [
            exact_plan(cost[side][:, ~side], a, b, iterations=self.iterations, duals=False).cost
            for side in (first, *members.T)
        ]
        found = torch.tensor(values, dtype=torch.float64, device=x.device).clamp_min(0.0) ** (1.0 / self.p)
        return found[0], found[1:]

    def estimate(self, x: Tensor, y: Tensor, level: float) -> Estimate:
        """W_p with the interval of its dual potentials: see `exact_distance`."""
        plan, a, b = self.solve(x, y)
        return line.root_estimate(plan.cost, plan.variance(a, b), self.p, level)

    def solve(self, x: Tensor, y: Tensor, *, duals: bool = True) -> tuple[Plan, Tensor, Tensor]:
        """The plan between the rows, and their weights."""
        check_pairs(len(x), len(y))
        a, b = masses(self.weights_x, x, "weights_x"), masses(self.weights_y, y, "weights_y")
        cost = ground_cost(x.detach().double(), y.detach().double(), self.p)
        return exact_plan(cost, a, b, iterations=self.iterations, duals=duals), a, b


def exact_test(
    x: Float[Tensor, "n d"],
    y: Float[Tensor, "m d"],
    *,
    permutations: int,
    generator: Generator,
    p: float = 1.0,
    rows: int = 200,
    iterations: int = ITERATIONS,
) -> TestResult:
    """Test by exact W_p on at most `rows` rows of each side, drawn at random: every relabelling is a solve.

    At 200 rows a side a solve takes about 10 ms, growing like the rows to the power 2.5, and the null takes as many as
    there are permutations. Statistic, effect and witness are those of the rows drawn; `distance` uses all rows.
    """
    if rows < 2:
        raise InputError(f"exact transport needs at least 2 rows of each side, not rows={rows}")
    a, b = few_rows(x, rows, generator), few_rows(y, rows, generator)
    statistic = ExactStatistic(p, iterations=iterations)
    result = run_permutations(
        "exact-ot",
        statistic,
        a,
        b,
        permutations=permutations,
        generator=generator,
        effect=lambda: statistic.estimate(a, b, 0.95),
        witness=lambda: plan_witness(a.double(), b.double(), statistic.solve(a, b)[0], p),
    )
    return replace(result, n_x=len(x), n_y=len(y))


def few_rows(rows: Float[Tensor, "n d"], most: int, generator: Generator) -> Float[Tensor, "k d"]:
    """All rows, or `most` of them drawn at random."""
    if len(rows) <= most:
        return rows
    return rows[torch.randperm(len(rows), generator=generator, device=generator.device)[:most].to(rows.device)]


def exact_distance(
    x: Float[Tensor, "n d"],
    y: Float[Tensor, "m d"],
    *,
    generator: Generator,
    level: float = 0.95,
    p: float = 1.0,
    weights_x: Tensor | None = None,
    weights_y: Tensor | None = None,
    iterations: int = ITERATIONS,
) -> Estimate:
    """W_p of all rows, at most 25 million pairs, weighted or not; its interval is normal in W_p^p.

    Its variance is that of the dual potentials, var u/n + var v/m (del Barrio and Loubes 2019), centred on the
    expectation at these sizes: the plug-in's upward bias, of order n^(-1/d), is not removed and in many dimensions
    exceeds the interval. For p = 1 the potentials need not be unique, and near equality the limit is not normal: there
    it tells only the order of the spread. NaN for equal samples. Nothing is random, `generator` is not used.
    """
    return ExactStatistic(p, weights_x, weights_y, iterations).estimate(x, y, level)


def exact_statistic(
    p: float = 1.0, weights_x: Tensor | None = None, weights_y: Tensor | None = None, iterations: int = ITERATIONS
) -> Statistic:
    """W_p by the network simplex as a loss; constant weights."""
    return ExactStatistic(p, weights_x, weights_y, iterations)


METHODS = {
    "wasserstein-1d": Method(
        family="transport",
        reads="earth mover's distance of one column: any difference, weighted by how far mass must move",
        convention="W_p itself, not its power (p = 1: scipy's wasserstein_distance)",
        cost="(n+m) (log(n+m) + B)",
        effect="W_p, in the data's units",
        assumes="one column; finite moments of order p",
        test=wasserstein_1d_test,
        distance=wasserstein_1d_distance,
        statistic=wasserstein_1d_statistic,
    ),
    "exact-ot": Method(
        family="transport",
        reads="exact transport in any dimension: any difference, in few dimensions",
        convention="W_p itself, not its power, p = 1 or 2; the test on at most 200 rows a side",
        cost="one network simplex, about (n m)^1.25, for each of B relabellings",
        effect="W_p, in the data's units",
        assumes="finite moments of order p",
        test=exact_test,
        distance=exact_distance,
        statistic=exact_statistic,
    ),
    **SLICED,
    **SINKHORN,
}
