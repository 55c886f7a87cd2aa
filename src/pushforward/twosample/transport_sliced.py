"""Sliced and max-sliced Wasserstein distances: transport on the line, over many directions.

    SW_p^p = mean over directions t of W_p^p(t.x, t.y),        MSW_p = max over directions of W_p(t.x, t.y)

with t uniform on the unit sphere (Bonneel et al. 2015; Deshpande et al. 2019). Both numbers are given as p-th roots.
For isotropic Gaussians SW_2^2 = |D|^2/d + (s0 - s1)^2. The directions never depend on the labels: they come from a seed
and, for the maximum, from the pooled rows; so relabelling with fixed directions is an exact test. (Directions learned
by gradient ascent on the labels would need rows of their own.) Cost: k (n+m) log(n+m), then k (n+m) a relabelling.
"""

from dataclasses import dataclass
from typing import final

import torch
from jaxtyping import Bool, Float
from torch import Generator, Tensor

from pushforward.errors import InputError
from pushforward.twosample import transport_line as line
from pushforward.twosample.method import Method
from pushforward.twosample.result import TestResult
from pushforward.twosample.running import run_permutations
from pushforward.witness import Estimate, Statistic

_PRINCIPAL = 32  # principal directions among those of the maximum


@final
@dataclass(frozen=True)
class SlicedStatistic:
    """SW_p over `projections` directions drawn from `seed`, or with `largest` the maximum over directions.

    The maximum is over the axes (where they are no more than half of the directions), up to 32 principal directions of
    the pooled rows, and random ones: a lower bound of the maximum over the sphere. In one dimension both are W_p.
    """

    projections: int = 100
    p: float = 2.0
    seed: int = 0
    largest: bool = False

    def __post_init__(self) -> None:
        line.check_order(self.p)
        if self.projections < 1:
            raise InputError(f"a sliced distance needs at least one projection, not {self.projections}")

    def __call__(self, x: Float[Tensor, "n d"], y: Float[Tensor, "m d"]) -> Float[Tensor, ""]:
        """The distance in float64; the gradient flows to the rows along fixed directions."""
        return line.root(self._join(self.powers(x, y, self.directions(x, y))), self.p)

    def with_null(
        self, x: Float[Tensor, "n d"], y: Float[Tensor, "m d"], members: Bool[Tensor, "N B"]
    ) -> tuple[Tensor, Tensor]:
        """The distance and its values under each column of `members`: one sort of the pooled rows for each
        direction.
        """
        directions, labels = self.directions(x, y), members.T
        levels, pooled = line.even_levels(len(x), len(y), x), torch.cat([x, y])
        total = pooled.new_zeros(labels.shape[0], dtype=torch.float64)
        for direction in directions:
            z, order = (pooled @ direction).sort()
            value = line.null_powers(z, labels[:, order], len(x), self.p, levels)
            total = torch.maximum(total, value) if self.largest else total + value / len(directions)
        return self(x, y), total if self.p == 1.0 else total ** (1.0 / self.p)

    def powers(self, x: Tensor, y: Tensor, directions: Tensor) -> Tensor:
        """W_p^p along each direction `(k,)`."""
        levels = line.even_levels(len(x), len(y), x)
        return torch.cat(
            [
                line.powers((some @ x.T).sort(1).values, (some @ y.T).sort(1).values, self.p, levels)
                for some in line.direction_blocks(directions, len(x) + len(y))
            ]
        )

    def directions(self, x: Float[Tensor, "n d"], y: Float[Tensor, "m d"]) -> Float[Tensor, "k d"]:
        """Unit vectors, the same however the pooled rows are labelled."""
        d = x.shape[1]
        if d == 1:
            return x.new_ones(1, 1)
        generator = torch.Generator().manual_seed(self.seed)
        drawn: Tensor = torch.randn(self.projections, d, generator=generator, dtype=torch.float64).to(x)
        drawn = drawn / torch.linalg.vector_norm(drawn, dim=1, keepdim=True)
        if not self.largest:
            return drawn
        axes = torch.eye(d).to(x) if 2 * d <= self.projections else x.new_zeros(0, d)
        pooled = torch.cat([x, y]).detach()
        principal = _principal(pooled, min(_PRINCIPAL, d, self.projections - len(axes)))
        return torch.cat([axes, principal, drawn])[: max(self.projections, len(axes) + len(principal))]

    def estimate(self, x: Tensor, y: Tensor, level: float) -> Estimate:
        """The distance with the interval of its dual potentials: see `sliced_distance`."""
        directions = self.directions(x, y)
        each = self.powers(x, y, directions)
        if self.largest:
            directions = directions[each.argmax()][None]
        variance = _variance(x, y, directions, self.p)
        return line.root_estimate(float(self._join(each)), variance, self.p, level)

    def _join(self, each: Tensor) -> Tensor:
        return each.amax() if self.largest else each.mean()


def _principal(pooled: Tensor, count: int) -> Tensor:
    """The leading `count` principal directions, of the covariance or of the Gram matrix, whichever is smaller."""
    centred = (pooled - pooled.mean(0)).double()
    n, d = centred.shape
    vectors: Tensor
    if d <= n:
        vectors = torch.linalg.eigh(centred.T @ centred).eigenvectors[:, -count:].T
    else:
        rows = centred[:: max(1, n // 512)]  # their span is enough
        vectors = torch.linalg.eigh(rows @ rows.T).eigenvectors[:, -min(count, len(rows)) :].T @ rows
        norms = torch.linalg.vector_norm(vectors, dim=1, keepdim=True)
        vectors = (vectors / norms)[(norms > 1e-9 * norms.max()).squeeze(1)]
    return vectors.to(pooled)


def _variance(x: Tensor, y: Tensor, directions: Tensor, p: float) -> float:
    """var phi(x)/n + var psi(y)/m, phi and psi the means over `directions` of the dual potentials at the rows."""
    n, m, k = len(x), len(y), len(directions)
    levels = line.even_levels(n, m, x)
    phi, psi = (rows.new_zeros(len(rows), dtype=torch.float64) for rows in (x, y))
    for direction in directions:
        (a, at_a), (b, at_b) = (x @ direction).sort(), (y @ direction).sort()
        u, v = line.potentials(a, b, p, levels)
        phi[at_a] += u / k
        psi[at_b] += v / k
    return float(phi.var() / n + psi.var() / m)


def _test(
    name: str, statistic: SlicedStatistic, x: Tensor, y: Tensor, permutations: int, generator: Generator
) -> TestResult:
    chosen = statistic.directions(x, y)
    if statistic.largest:
        chosen = chosen[statistic.powers(x, y, chosen).argmax()][None]
    return run_permutations(
        name,
        statistic,
        x,
        y,
        permutations=permutations,
        generator=generator,
        effect=lambda: statistic.estimate(x, y, 0.95),
        witness=lambda: line.line_witness(x, y, chosen, statistic.p),
    )


def _seed(generator: Generator) -> int:
    return int(torch.randint(2**31 - 1, (), generator=generator, device=generator.device))


def sliced_test(
    x: Float[Tensor, "n d"],
    y: Float[Tensor, "m d"],
    *,
    permutations: int,
    generator: Generator,
    projections: int = 100,
    p: float = 2.0,
) -> TestResult:
    """Test by SW_p over `projections` random directions, the same for every relabelling.

    The witness is the mean of the 1-D potentials, whose gap is SW_p^p over these directions.
    """
    return _test("sliced", SlicedStatistic(projections, p, _seed(generator)), x, y, permutations, generator)


def max_sliced_test(
    x: Float[Tensor, "n d"],
    y: Float[Tensor, "m d"],
    *,
    permutations: int,
    generator: Generator,
    projections: int = 100,
    p: float = 2.0,
) -> TestResult:
    """Test by the largest W_p over a label-free set: axes, principal directions of the pooled rows, random ones.

    The witness is the potential of the winning direction, whose gap is W_p^p along it.
    """
    return _test(
        "max-sliced", SlicedStatistic(projections, p, _seed(generator), largest=True), x, y, permutations, generator
    )


def sliced_distance(
    x: Float[Tensor, "n d"],
    y: Float[Tensor, "m d"],
    *,
    generator: Generator,
    level: float = 0.95,
    projections: int = 100,
    p: float = 2.0,
) -> Estimate:
    """SW_p with a normal interval from the dual potentials (del Barrio and Loubes 2019; Xi and Niles-Weed 2022).

    Centred on the expectation at these sizes and for these directions: neither the plug-in's upward bias, of order
    n^(-1/2) in SW_p near equality, nor the spread over directions is in it. Where P and Q are nearly equal the limit is
    not normal and the interval only tells the order of the spread. NaN for equal samples.
    """
    return SlicedStatistic(projections, p, _seed(generator)).estimate(x, y, level)


def max_sliced_distance(
    x: Float[Tensor, "n d"],
    y: Float[Tensor, "m d"],
    *,
    generator: Generator,
    level: float = 0.95,
    projections: int = 100,
    p: float = 2.0,
) -> Estimate:
    """The largest W_p over the directions, with the interval of W_p along the winning one.

    The choice of the winner on the same rows is not in the interval, nor the plug-in's bias; both raise the value.
    """
    return SlicedStatistic(projections, p, _seed(generator), largest=True).estimate(x, y, level)


def sliced_statistic(projections: int = 100, p: float = 2.0, seed: int = 0) -> Statistic:
    """SW_p along directions drawn from `seed`, as a loss."""
    return SlicedStatistic(projections, p, seed)


def max_sliced_statistic(projections: int = 100, p: float = 2.0, seed: int = 0) -> Statistic:
    """The largest W_p over the directions, as a loss; the principal directions are taken as constants."""
    return SlicedStatistic(projections, p, seed, largest=True)


METHODS = {
    "sliced": Method(
        family="transport",
        reads="transport along random lines: location, spread and shape of the whole",
        convention="SW_p = (mean over directions of W_p^p)^(1/p), not its power; p = 2",
        cost="k (n+m) (log(n+m) + B), k = 100 directions",
        effect="SW_p, in the data's units",
        assumes="finite moments of order p",
        test=sliced_test,
        distance=sliced_distance,
        statistic=sliced_statistic,
    ),
    "max-sliced": Method(
        family="transport",
        reads="transport along the one line, of axes, principal and random directions, that differs most",
        convention="max over a label-free set of directions of W_p, not its power; p = 2",
        cost="k (n+m) (log(n+m) + B), k = 100 directions",
        effect="largest W_p, in the data's units",
        assumes="finite moments of order p",
        test=max_sliced_test,
        distance=max_sliced_distance,
        statistic=max_sliced_statistic,
    ),
}
