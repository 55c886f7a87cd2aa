"""Moment generating and characteristic functions: distances between them, and their tests.

mgf   max over |t| <= tau of |log E e^{t.x} - log E e^{t.y}|
cf    int |E e^{it.x} - E e^{it.y}|^2 w(t) dt, w Gaussian: the MMD^2 of a Gaussian kernel, by random frequencies
"""

import math
from dataclasses import dataclass
from typing import final

import torch
from jaxtyping import Bool, Float
from torch import Generator, Tensor

from pushforward.errors import InputError
from pushforward.fitters.kernel import median_distance
from pushforward.fitters.moments import standard_scale, waves
from pushforward.twosample.method import Method
from pushforward.twosample.moments import jackknifed, member_means
from pushforward.twosample.ranks import observed_first
from pushforward.twosample.result import TestResult
from pushforward.twosample.running import run_permutations
from pushforward.witness import Estimate, Tag, Witness

_DOMINANT = 0.5  # share of a moment generating function's mean that one row may hold
_CELLS = 1 << 22  # rows times frequencies held at a time
_ROUNDING = 1e-13  # of a mean of cosines; a difference below it is none, so that equal rows tie
_FEWEST = 4  # rows of a side on each half


@final
@dataclass(frozen=True)
class GeneratingFunction:
    """max over t of |log mean e^{t.x} - log mean e^{t.y}|, rows standardised by the pooled mean and deviations.

    t runs over `directions` random directions (from `seed`; in one dimension over both signs) at lengths `tau`/2 and
    `tau`, in units of 1/pooled deviation. `InputError` where one row holds more than half of the pooled mean (of eight
    rows or more): then the moment generating function is not being estimated.
    """

    tau: float = 0.5
    directions: int = 64
    seed: int = 0

    def __call__(self, x: Float[Tensor, "n d"], y: Float[Tensor, "m d"]) -> Float[Tensor, ""]:
        """The distance in float64; differentiable."""
        weights = self._weights(x, y)
        return (weights[: len(x)].mean(0).log() - weights[len(x) :].mean(0).log()).abs().amax()

    def with_null(
        self, x: Float[Tensor, "n d"], y: Float[Tensor, "m d"], members: Bool[Tensor, "N B"]
    ) -> tuple[Tensor, Tensor]:
        """The distance and its values under each column of `members`: one product with the N x t exponentials."""
        weights = self._weights(x, y)
        labels = observed_first(len(x), members)
        chosen, other = member_means(weights, labels), member_means(weights, ~labels)
        found = (chosen.log() - other.log()).abs().amax(1)
        return found[0], found[1:]

    def _weights(self, x: Tensor, y: Tensor) -> Tensor:
        """e^{t.z} over its largest value, `(N, t)`."""
        pooled = torch.cat([x, y]).double()
        centre, scale = standard_scale(pooled)
        exponents = ((pooled - centre) / scale) @ self._points(x.shape[1]).to(pooled).T
        weights = (exponents - exponents.detach().amax(0)).exp()
        largest = float((1.0 / weights.detach().sum(0)).amax())
        if largest > max(_DOMINANT, 4.0 / len(pooled)):
            raise InputError(
                f"one row holds {largest:.0%} of the moment generating function at tau={self.tau:g}: "
                "tails too heavy; use a smaller tau, or a method such as energy or cf"
            )
        return weights

    def _points(self, d: int) -> Tensor:
        if d == 1:
            ways = torch.tensor([[1.0], [-1.0]], dtype=torch.float64)
        else:
            source = torch.Generator().manual_seed(self.seed)
            ways = torch.randn(self.directions, d, generator=source, dtype=torch.float64)
            ways = ways / ways.norm(dim=1, keepdim=True)
        return torch.cat([0.5 * self.tau * ways, self.tau * ways])


def generating_test(
    x: Float[Tensor, "n d"],
    y: Float[Tensor, "m d"],
    *,
    permutations: int,
    generator: Generator,
    tau: float = 0.5,
    directions: int = 64,
) -> TestResult:
    """Test by the distance of moment generating functions (`GeneratingFunction`), directions drawn by `generator`.

    The effect is the distance with a jackknife interval; a maximum, it is biased upwards near 0.
    """
    return run_permutations(
        "mgf", _generating(tau, directions, generator), x, y, permutations=permutations, generator=generator
    )


def generating_distance(
    x: Float[Tensor, "n d"],
    y: Float[Tensor, "m d"],
    *,
    generator: Generator,
    level: float = 0.95,
    tau: float = 0.5,
    directions: int = 64,
) -> Estimate:
    """The distance of moment generating functions with a jackknife interval."""
    return jackknifed(_generating(tau, directions, generator), x, y, generator, level)


def _generating(tau: float, directions: int, generator: Generator) -> GeneratingFunction:
    if not tau > 0.0 or directions < 1:
        raise InputError(f"tau must be positive and directions at least 1, not {tau} and {directions}")
    seed = int(torch.randint(2**31 - 1, (), generator=generator, device=generator.device))
    return GeneratingFunction(float(tau), directions, seed)


@final
@dataclass(frozen=True)
class CharacteristicFunction:
    """mean over frequencies t ~ N(0, I/bandwidth^2) of |E e^{it.x} - E e^{it.y}|^2.

    Its mean over the frequencies is the biased (V-statistic) MMD^2 of exp(-|a-b|^2/(2 bandwidth^2)) exactly; one draw
    strays from it by about sd/`frequencies`^.5 (Epps and Singleton 1986; Zhao and Meng 2015). `bandwidth` is in the
    data's units; None takes the median distance of the pooled rows. `seed` draws the frequencies. O(N frequencies d).
    """

    bandwidth: float | None = None
    frequencies: int = 512
    seed: int = 0

    def __call__(self, x: Float[Tensor, "n d"], y: Float[Tensor, "m d"]) -> Float[Tensor, ""]:
        """The distance in float64; differentiable (the median's bandwidth is held fixed)."""
        points = self.points(x, y)
        return (waves(x, points).mean(0) - waves(y, points).mean(0)).square().sum() / len(points)

    def with_null(
        self, x: Float[Tensor, "n d"], y: Float[Tensor, "m d"], members: Bool[Tensor, "N B"]
    ) -> tuple[Tensor, Tensor]:
        """The distance and its values under each column of `members`, frequencies taken a piece at a time."""
        points, labels = self.points(x, y), observed_first(len(x), members)
        pooled = torch.cat([x, y])
        n, m = len(x), len(y)
        found = torch.zeros(labels.shape[1], dtype=torch.float64, device=x.device)
        for part in points.split(max(1, _CELLS // (2 * len(pooled)))):
            wave = waves(pooled, part)
            mean = member_means(wave, labels)
            gap = mean - (wave.sum(0) - n * mean) / m
            found += torch.where(gap.abs() > _ROUNDING, gap, 0.0).square().sum(1) / len(points)
        return found[0], found[1:]

    def points(self, x: Float[Tensor, "n d"], y: Float[Tensor, "m d"]) -> Float[Tensor, "t d"]:
        """The frequencies, in float64 (radians per unit of the data)."""
        source = torch.Generator().manual_seed(self.seed)
        width = self.bandwidth or median_distance(torch.cat([x, y]).detach(), generator=source)
        return torch.randn(self.frequencies, x.shape[1], generator=source, dtype=torch.float64).to(x.device) / width


def characteristic_test(
    x: Float[Tensor, "n d"],
    y: Float[Tensor, "m d"],
    *,
    permutations: int,
    generator: Generator,
    bandwidth: float | None = None,
    frequencies: int = 512,
) -> TestResult:
    """Test by the distance of characteristic functions (`CharacteristicFunction`), frequencies drawn by `generator`.

    The effect is the same distance with the bias of the rows removed (`characteristic_estimate`); the witness is its
    mean difference, certified for these frequencies.
    """
    statistic = _characteristic(bandwidth, frequencies, generator)
    return run_permutations(
        "cf",
        statistic,
        x,
        y,
        permutations=permutations,
        generator=generator,
        effect=lambda: characteristic_estimate(statistic, x, y),
        witness=lambda: _wave_witness(statistic.points(x, y), x, y),
        quadratic=True,
    )


def characteristic_distance(
    x: Float[Tensor, "n d"],
    y: Float[Tensor, "m d"],
    *,
    generator: Generator,
    level: float = 0.95,
    bandwidth: float | None = None,
    frequencies: int = 512,
) -> Estimate:
    """The distance of characteristic functions without the bias of the rows, with its interval."""
    return characteristic_estimate(_characteristic(bandwidth, frequencies, generator), x, y, level)


def characteristic_estimate(
    statistic: CharacteristicFunction, x: Float[Tensor, "n d"], y: Float[Tensor, "m d"], level: float = 0.95
) -> Estimate:
    """int |phi_x - phi_y|^2 w: the U-statistic over rows, averaged over the frequencies; it may be negative.

    The standard error joins the first-order projection over the rows (too wide at equal distributions, where it
    vanishes in truth) and the spread over the frequencies.
    """
    n, m = len(x), len(y)
    points = statistic.points(x, y)
    count = len(points)
    wave_x, wave_y = waves(x, points), waves(y, points)
    mean_x, mean_y = wave_x.mean(0), wave_y.mean(0)

    def power(a: Tensor, b: Tensor) -> Tensor:
        return (a * b).view(2, count).sum(0)

    # |mean|^2 holds each row with itself, which is 1/n of 1
    own_x = (n * power(mean_x, mean_x) - 1.0) / (n - 1)
    own_y = (m * power(mean_y, mean_y) - 1.0) / (m - 1)
    each = own_x + own_y - 2.0 * power(mean_x, mean_y)
    h_x = (n * (wave_x @ mean_x) / count - 1.0) / (n - 1) - wave_x @ mean_y / count
    h_y = (m * (wave_y @ mean_y) / count - 1.0) / (m - 1) - wave_y @ mean_x / count
    variance = 4.0 * (h_x.var() / n + h_y.var() / m) + (each.var() / count if count > 1 else 0.0)
    return Estimate.normal(float(each.mean()), math.sqrt(float(variance)), level)


def _characteristic(bandwidth: float | None, frequencies: int, generator: Generator) -> CharacteristicFunction:
    if bandwidth is not None and not bandwidth > 0.0:
        raise InputError(f"the bandwidth must be a positive number or None (the median), not {bandwidth!r}")
    if frequencies < 1:
        raise InputError(f"there must be at least one frequency, not {frequencies}")
    seed = int(torch.randint(2**31 - 1, (), generator=generator, device=generator.device))
    return CharacteristicFunction(bandwidth, frequencies, seed)


def _wave_witness(points: Tensor, x: Tensor, y: Tensor) -> Witness:
    """phi = 2w - |w|^2, psi = 2w for w(t) = mean_f Re(e^{if.t} conj(phi_x - phi_y)(f)): the kernel witness."""
    weights = (waves(x, points).mean(0) - waves(y, points).mean(0)) / len(points)
    norm = float(weights.square().sum()) * len(points)

    def difference(t: Tensor) -> Tensor:
        return 2.0 * (waves(t.flatten(1), points.to(t.device)) @ weights.to(t.device))

    tags: frozenset[Tag] = frozenset({"certified", "tight", "differentiable"})
    return Witness(phi=lambda t: (difference(t) - norm).to(t), psi=lambda t: difference(t).to(t), tags=tags)


METHODS = {
    "mgf": Method(
        family="moments",
        reads="moment generating functions near 0: means, spreads and the tails they weigh",
        convention="max over |t| <= tau of |log E e^(t.x) - log E e^(t.y)|, standardised rows",
        cost="(n+m) directions (d + B)",
        effect="the same distance",
        assumes="light tails (it refuses others)",
        test=generating_test,
        distance=generating_distance,
        statistic=GeneratingFunction,
    ),
    "cf": Method(
        family="moments",
        reads="characteristic functions: any difference at the scale of the bandwidth, at a cost linear in the rows",
        convention="int |phi_x - phi_y|^2 w by random frequencies: MMD^2 (V), k = exp(-|a-b|^2/(2 bandwidth^2))",
        cost="(n+m) frequencies (d + B)",
        effect="the same distance, bias of the rows removed",
        test=characteristic_test,
        distance=characteristic_distance,
        statistic=CharacteristicFunction,
    ),
}
