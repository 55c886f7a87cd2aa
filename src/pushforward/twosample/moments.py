"""Moment tests: means (Hotelling), spreads, and means and covariances together (Frechet).

Under relabelling only sums over the members change, so all B relabellings are matrix products of the members with the
rows (Hotelling), with their running counts (spreads), or batches of d x d eigenvalues (Frechet).
"""

import math
import time
from dataclasses import dataclass
from typing import final

import torch
from jaxtyping import Bool, Float
from torch import Generator, Tensor

from pushforward.errors import InputError
from pushforward.fitters.moments import RANK, MeanFitter, ridge, standard_scale
from pushforward.readings.jackknife import jackknife
from pushforward.readings.significance import draw_members, permutation_pvalue
from pushforward.twosample.method import Method
from pushforward.twosample.ranks import SMALLEST, member_runs, observed_first
from pushforward.twosample.result import Part, TestResult
from pushforward.twosample.running import run_permutations
from pushforward.witness import Estimate, Statistic

_CELLS = 1 << 22  # numbers held at a time


def member_means(rows: Float[Tensor, "N d"], members: Bool[Tensor, "N C"]) -> Float[Tensor, "C d"]:
    """The mean of the members' rows under each labelling, members taken a piece at a time."""
    step = max(1, _CELLS // len(rows))
    pieces = [piece.to(rows) @ rows for piece in members.T.split(step)]
    return torch.cat(pieces) / members[:, :1].sum()


@final
@dataclass(frozen=True)
class Hotelling:
    """T^2 = nm/(n+m) D'S^-1 D, D the difference of means, S the pooled covariance (Hotelling 1931).

    Features are brought to unit pooled deviation and S shrunk towards the identity by `shrinkage` (default: none where
    2d <= n + m - 2, where T^2 is the classical one; else Ledoit and Wolf's share of the pooled rows, labels unseen).
    With A the shrunk covariance of the pooled rows about their common mean, S = A - k D D', so that T^2 = c q/(1 - k q)
    with q = D'A^-1 D: one inverse serves every relabelling.
    """

    shrinkage: float | None = None

    def __call__(self, x: Float[Tensor, "n d"], y: Float[Tensor, "m d"]) -> Float[Tensor, ""]:
        """T^2 in float64; differentiable (a share of shrinkage found from the rows is held fixed)."""
        z, s = self._standard(x, y)
        n, m = len(x), len(y)
        difference = z[:n].mean(0) - z[n:].mean(0)
        share = (1.0 - s) / (n + m - 2)
        if s > 0.0 and z.shape[1] > n + m:
            weights = torch.cat([z.new_full((n,), 1.0 / n), z.new_full((m,), -1.0 / m)])
            gram = z @ z.T
            q = weights @ gram @ torch.linalg.solve(share * gram + s * torch.eye(n + m).to(z), weights)
        else:
            a = share * (z.T @ z) + s * torch.eye(z.shape[1]).to(z)
            q = difference @ torch.linalg.pinv(a, hermitian=True, rtol=RANK) @ difference
        return self._from(q, share, n, m)

    def with_null(
        self, x: Float[Tensor, "n d"], y: Float[Tensor, "m d"], members: Bool[Tensor, "N B"]
    ) -> tuple[Tensor, Tensor]:
        """T^2 and its values under each column of `members`."""
        z, s = self._standard(x, y)
        n, m = len(x), len(y)
        share = (1.0 - s) / (n + m - 2)
        left, values, _ = torch.linalg.svd(z, full_matrices=False)  # of z = U s V': A = V diag(share s^2 + ridge) V'
        keep = values > math.sqrt(RANK) * values.amax()
        root = left[:, keep] * (values[keep] / (share * values[keep].square() + s).sqrt())
        total = root.sum(0)
        means = member_means(root, observed_first(n, members))
        q = (means - (total - n * means) / m).square().sum(1)
        found = self._from(q, share, n, m)
        return found[0], found[1:]

    def _standard(self, x: Tensor, y: Tensor) -> tuple[Tensor, float]:
        pooled = torch.cat([x, y]).double()
        centre, scale = standard_scale(pooled)
        z = (pooled - centre) / scale
        return z, ridge(z, self.shrinkage)

    def _from(self, q: Tensor, share: float, n: int, m: int) -> Tensor:
        c = n * m / (n + m)
        # share c q = 1 where the means separate the sets within rounding
        return c * q / (1.0 - share * c * q).clamp_min(1e-12)


def mean_distance(x: Float[Tensor, "n d"], y: Float[Tensor, "m d"], shrinkage: float | None = None) -> Tensor:
    """The squared Mahalanobis distance of the means, D'S^-1 D, less its bias under normality where nothing is shrunk:
    (N - d - 3)/(N - 2) D'S^-1 D - d N/(nm). It may be negative.
    """
    n, m, d = len(x), len(y), x.shape[1]
    value = Hotelling(shrinkage)(x, y) * ((n + m) / (n * m))
    if (shrinkage or 0.0) > 0.0 or 2 * d > n + m - 2:
        return value
    return value * max(0.0, (n + m - d - 3) / (n + m - 2)) - d * (n + m) / (n * m)


def hotelling_test(
    x: Float[Tensor, "n d"],
    y: Float[Tensor, "m d"],
    *,
    permutations: int,
    generator: Generator,
    shrinkage: float | None = None,
    null: str = "permutation",
) -> TestResult:
    """Test the means by T^2 (`Hotelling`).

    `null` "permutation", or "f": T^2 (N - d - 1)/(d (N - 2)) ~ F(d, N - d - 1), exact for normal rows and for them
    alone; it needs an unshrunk covariance of full rank (`InputError`). The effect is the squared Mahalanobis distance
    (`mean_distance`) with a jackknife interval, which at equal means is too wide.
    """
    _check_share(shrinkage)
    if null not in ("permutation", "f"):
        raise InputError(f'the null is "permutation" or "f", not {null!r}')
    statistic = Hotelling(shrinkage)
    if null == "f":
        return _hotelling_f(statistic, x, y, generator)
    return run_permutations(
        "hotelling",
        statistic,
        x,
        y,
        permutations=permutations,
        generator=generator,
        effect=lambda: mean_estimate(x, y, generator=generator, shrinkage=shrinkage),
        witness=lambda: MeanFitter(shrinkage)(x, y, generator=generator),
        quadratic=True,
    )


def mean_estimate(
    x: Float[Tensor, "n d"],
    y: Float[Tensor, "m d"],
    *,
    generator: Generator,
    level: float = 0.95,
    shrinkage: float | None = None,
) -> Estimate:
    """`mean_distance` with its jackknife interval (NaN where a side has fewer than 4 rows)."""
    _check_share(shrinkage)
    return jackknifed(lambda a, b: mean_distance(a, b, shrinkage), x, y, generator, level)


def _hotelling_f(statistic: Hotelling, x: Tensor, y: Tensor, generator: Generator) -> TestResult:
    from scipy.stats import f

    started = time.perf_counter()
    n, m, d = len(x), len(y), x.shape[1]
    z, s = statistic._standard(x, y)
    if s > 0.0 or int(torch.linalg.matrix_rank(z, rtol=math.sqrt(RANK))) < d or n + m - d - 1 < 1:
        raise InputError('null="f" needs independent features, at most half as many as rows; use null="permutation"')
    value = float(statistic(x, y))
    tail = float(f.sf(value * (n + m - d - 1) / (d * (n + m - 2)), d, n + m - d - 1))
    return TestResult(
        method="hotelling",
        statistic=value,
        pvalue=max(tail, SMALLEST),
        null=torch.empty(0, dtype=torch.float64),
        effect=mean_estimate(x, y, generator=generator, shrinkage=statistic.shrinkage),
        n_x=n,
        n_y=m,
        permutations=0,
        witness=MeanFitter(statistic.shrinkage)(x, y, generator=generator),
        seconds=time.perf_counter() - started,
    )


@final
@dataclass(frozen=True)
class SpreadRatio:
    """The largest over features of |log(A_x/A_y)|/se, A the mean absolute deviation from the side's own median.

    Brown and Forsythe's (1974) measure of spread, as a log ratio, so that it has no units. se = (1/n + 1/m)^.5 times
    the coefficient of variation of the pooled rows' deviations puts the features on one scale without looking at the
    labels. `join` "sum" adds the squares instead.
    """

    join: str = "max"

    def __call__(self, x: Float[Tensor, "n d"], y: Float[Tensor, "m d"]) -> Float[Tensor, ""]:
        """The joined statistic in float64; differentiable."""
        a, b = (rows.double() - rows.double().median(0).values for rows in (x, y))
        floor, error = _spread_scale(torch.cat([x, y]).double(), len(x))
        ratio = ((a.abs().mean(0) + floor) / (b.abs().mean(0) + floor)).log() / error
        return self.joined(ratio[:, None])[0]

    def with_null(
        self, x: Float[Tensor, "n d"], y: Float[Tensor, "m d"], members: Bool[Tensor, "N B"]
    ) -> tuple[Tensor, Tensor]:
        """The statistic and its values under each column of `members`."""
        found = self.joined(spread_scores(x, y, observed_first(len(x), members)))
        return found[0], found[1:]

    def joined(self, scores: Float[Tensor, "d C"]) -> Float[Tensor, " C"]:
        """Over the features."""
        return scores.abs().amax(0) if self.join == "max" else scores.square().sum(0)


def spread_scores(
    x: Float[Tensor, "n d"], y: Float[Tensor, "m d"], members: Bool[Tensor, "N C"]
) -> Float[Tensor, "d C"]:
    """log(A_x/A_y)/se of every feature under every labelling.

    In sorted order the sum of |z - median| over the members is that of z times +1 above their median and -1 below,
    which their running count tells: no median is ever taken.
    """
    n, m = len(x), len(y)
    pooled = torch.cat([x, y]).double()
    floor, error = _spread_scale(pooled, n)
    place = torch.arange(1, n + m + 1, device=pooled.device, dtype=torch.int32)
    found = []
    for j, column in enumerate(pooled.unbind(1)):
        values, order = (column - column.median()).sort()
        pieces = []
        for piece in member_runs(members, order):
            count = piece.cumsum(1, dtype=torch.int32)
            above = torch.where(piece, (2 * count - 1 - n).sign(), 0).double() @ values / n
            below = torch.where(piece, 0, (2 * (place - count) - 1 - m).sign()).double() @ values / m
            pieces.append(((above.clamp_min(0.0) + floor[j]) / (below.clamp_min(0.0) + floor[j])).log() / error[j])
        found.append(torch.cat(pieces))
    return torch.stack(found)


def _spread_scale(pooled: Tensor, n: int) -> tuple[Tensor, Tensor]:
    """What keeps an empty spread off 0, and the standard error of the log ratio, of each feature."""
    m = len(pooled) - n
    deviation = (pooled - pooled.median(0).values).abs()
    mean = deviation.mean(0)
    floor = torch.where(mean > 0.0, 1e-9 * mean, torch.ones_like(mean))
    error = deviation.std(0) / mean.clamp_min(1e-300) * math.sqrt(1.0 / n + 1.0 / m)
    return floor, torch.where(error > 0.0, error, torch.ones_like(error))


def variance_test(
    x: Float[Tensor, "n d"], y: Float[Tensor, "m d"], *, permutations: int, generator: Generator, join: str = "max"
) -> TestResult:
    """Test the features' spreads (`SpreadRatio`); `parts` are the features with their own permutation p-values,
    adjusted by the null of the maximum (Westfall and Young 1993).

    The effect is the largest |log(A_x/A_y)| (`spread_estimate`).
    """
    if join not in ("max", "sum"):
        raise InputError(f'join must be "max" or "sum", not {join!r}')
    started = time.perf_counter()
    members = draw_members(len(x), len(y), permutations, generator=generator).to(x.device)
    with torch.no_grad():
        scores = spread_scores(x, y, observed_first(len(x), members)).abs()
        joint, largest = SpreadRatio(join).joined(scores), scores.amax(0)[1:]
    parts = [
        Part(f"feature {j}", float(row[0]), *(permutation_pvalue(float(row[0]), null) for null in (row[1:], largest)))
        for j, row in enumerate(scores)
    ]
    return TestResult(
        method="variance",
        statistic=float(joint[0]),
        pvalue=permutation_pvalue(float(joint[0]), joint[1:]),
        null=joint[1:],
        effect=spread_estimate(x, y, generator=generator),
        n_x=len(x),
        n_y=len(y),
        permutations=permutations,
        witness=None,
        seconds=time.perf_counter() - started,
        parts=tuple(sorted(parts, key=lambda part: -part.statistic)),
    )


def spread_estimate(
    x: Float[Tensor, "n d"], y: Float[Tensor, "m d"], *, generator: Generator, level: float = 0.95
) -> Estimate:
    """The largest |log(A_x/A_y)| over features, A the mean absolute deviation from the median; nothing is random.

    Each log ratio is asymptotically normal with the delta method's standard error; the interval is that of the largest
    over bands that hold for all features at once (Bonferroni). `stderr` is that of the feature that is largest.
    """
    n, m = len(x), len(y)
    deviations = [(rows.double() - rows.double().median(0).values).abs() for rows in (x, y)]
    floor, _ = _spread_scale(torch.cat([x, y]).double(), n)
    a, b = (rows.mean(0) + floor for rows in deviations)
    size = (a / b).log().abs()
    error = (deviations[0].var(0) / (n * a * a) + deviations[1].var(0) / (m * b * b)).sqrt()
    z = Estimate.normal(0.0, 1.0, 1.0 - (1.0 - level) / x.shape[1]).high
    low, high = float((size - z * error).amax().clamp_min(0.0)), float((size + z * error).amax())
    return Estimate(float(size.amax()), float(error[size.argmax()]), low, high, level)


@final
@dataclass(frozen=True)
class Frechet:
    """|D|^2 + tr(S_x + S_y - 2 (S_x S_y)^.5), covariances with n - 1 and m - 1: the squared 2-Wasserstein distance of
    the two Gaussian fits (Dowson and Landau 1982), in squared data units.

    A plug-in: for N(0, I_d) on both sides its mean is about (1/n + 1/m)(d + d(d+1)/4), not 0. For any factors F F' =
    S_x, G G' = S_y the cross term is the nuclear norm of F'G. More features than rows are first turned into the space
    the pooled rows span, which changes nothing. Cost O(d^3) a relabelling, d at most n + m - 1.
    """

    def __call__(self, x: Float[Tensor, "n d"], y: Float[Tensor, "m d"]) -> Float[Tensor, ""]:
        """The distance in float64; differentiable."""
        n, m = len(x), len(y)
        a, b = x.double(), y.double()
        shift = a.mean(0) - b.mean(0)
        a, b = (a - a.mean(0)) / math.sqrt(n - 1), (b - b.mean(0)) / math.sqrt(m - 1)
        traces = a.square().sum() + b.square().sum()
        if x.shape[1] >= min(n, m):
            cross = torch.linalg.svdvals(a @ b.T).sum()
        else:
            cross = torch.linalg.svdvals(_factor(a.T @ a).T @ _factor(b.T @ b)).sum()
        value: Tensor = shift.square().sum() + traces - 2.0 * cross
        return value

    def with_null(
        self, x: Float[Tensor, "n d"], y: Float[Tensor, "m d"], members: Bool[Tensor, "N B"]
    ) -> tuple[Tensor, Tensor]:
        """The distance and its values under each column of `members`, in batches of covariances."""
        z = torch.cat([x, y]).double()
        z = z - torch.where((z == z[0]).all(0), z[0], z.mean(0))  # constant features are 0, not rounding
        if z.shape[1] >= len(z):
            left, values, _ = torch.linalg.svd(z, full_matrices=False)
            z = left * values
        step = max(1, _CELLS // max(z.numel(), 4 * z.shape[1] ** 2))
        pieces = [self._batch(z, rows.T) for rows in observed_first(len(x), members).T.split(step)]
        found = torch.cat(pieces)
        return found[0], found[1:]

    def _batch(self, z: Tensor, members: Tensor) -> Tensor:
        n = int(members[:, 0].sum())
        m = len(z) - n
        mean = member_means(z, members)
        other = -n / m * mean  # the pooled mean is 0
        count, d = z.shape
        if count * d * d <= _CELLS:
            products = (z[:, :, None] * z[:, None, :]).flatten(1)
            second = (members.T.to(z) @ products).view(-1, d, d)
        else:
            second = torch.stack([z[labels].T @ z[labels] for labels in members.T])
        outer = mean[:, :, None] * mean[:, None, :]
        of_x = (second - n * outer) / (n - 1)
        of_y = (z.T @ z - second - m * (n / m) ** 2 * outer) / (m - 1)
        f = _factor(of_x)
        values = torch.linalg.eigvalsh(f.mT @ of_y @ f).clamp_min(0.0)
        traces = (of_x + of_y).diagonal(dim1=1, dim2=2).sum(1)
        distance: Tensor = (mean - other).square().sum(1) + traces - 2.0 * values.sqrt().sum(1)
        return distance


def _factor(covariance: Tensor) -> Tensor:
    """L with L L' = covariance + 1e-14 of its mean variance, which lets constant features pass."""
    trace = covariance.detach().diagonal(dim1=-2, dim2=-1).mean(-1).clamp_min(1e-200)
    ridged = covariance + 1e-14 * trace[..., None, None] * torch.eye(covariance.shape[-1]).to(covariance)
    factor: Tensor
    factor, failed = torch.linalg.cholesky_ex(ridged)
    if bool(failed.any()):
        values, vectors = torch.linalg.eigh(covariance)
        factor = vectors * values.clamp_min(0.0).sqrt()[..., None, :]
    return factor


def frechet_test(
    x: Float[Tensor, "n d"], y: Float[Tensor, "m d"], *, permutations: int, generator: Generator
) -> TestResult:
    """Test means and covariances by the Frechet distance (`Frechet`): exact by relabelling, in spite of its bias.

    The effect is the distance with a jackknife interval, centred on the plug-in with the bias stated there.
    """
    return run_permutations("frechet", Frechet(), x, y, permutations=permutations, generator=generator, quadratic=True)


def frechet_distance(
    x: Float[Tensor, "n d"], y: Float[Tensor, "m d"], *, generator: Generator, level: float = 0.95
) -> Estimate:
    """The Frechet distance with a jackknife interval, not corrected for its bias."""
    return jackknifed(Frechet(), x, y, generator, level)


def jackknifed(statistic: Statistic, x: Tensor, y: Tensor, generator: Generator, level: float) -> Estimate:
    """The jackknife, or the value alone (NaN limits) where there are too few rows for one."""
    if min(len(x), len(y)) < 4:
        return Estimate(float(statistic(x, y)), math.nan, math.nan, math.nan, level)
    return jackknife(statistic, x, y, generator=generator, level=level)


def _check_share(shrinkage: float | None) -> None:
    if shrinkage is not None and not 0.0 <= shrinkage <= 1.0:
        raise InputError(f"shrinkage must lie between 0 and 1, not {shrinkage}")


METHODS = {
    "hotelling": Method(
        family="moments",
        reads="difference of the means, in the metric of the pooled covariance",
        convention="T^2 = nm/(n+m) D'S^-1 D; S shrunk towards independent features where 2d > n+m-2",
        cost="(n+m) d min(d, n+m) + (n+m) d B",
        effect="squared Mahalanobis distance of the means, bias removed where S is not shrunk",
        test=hotelling_test,
        distance=mean_estimate,
        statistic=Hotelling,
    ),
    "variance": Method(
        family="moments",
        reads="differences of the features' spreads, one by one, robustly",
        convention="max over features of |log ratio of mean absolute deviations from the median| / se",
        cost="d (n+m) (log(n+m) + B)",
        effect="largest |log ratio of mean absolute deviations|",
        test=variance_test,
        distance=spread_estimate,
        statistic=SpreadRatio,
    ),
    "frechet": Method(
        family="moments",
        reads="means and covariances together, as the transport distance between Gaussian fits",
        convention="|D|^2 + tr(S_x + S_y - 2 (S_x S_y)^.5), unbiased covariances, bias not removed",
        cost="((n+m) d^2 + d^3) B",
        effect="Frechet distance, in squared data units",
        test=frechet_test,
        distance=frechet_distance,
        statistic=Frechet,
    ),
}
