"""Divergences between fitted Gaussians: the two samples' means and covariances in the closed forms.

What `pushforward.closed_form` has: every divergence of `divergences.NAMES` but `js`, which has none between Gaussians.
Total variation has one for equal covariances only, and takes the pooled covariance: it is then 2 Phi(delta/2) - 1 of
the Mahalanobis distance, and blind to a difference of covariances. Covariances divide by n - 1.
"""

from dataclasses import dataclass
from typing import final

import torch
from jaxtyping import Bool, Float
from torch import Generator, Tensor

from pushforward import closed_form
from pushforward.closed_form import Gaussian
from pushforward.errors import InputError
from pushforward.readings.jackknife import jackknife
from pushforward.twosample.divergences import Divergence, renyi_of_alpha
from pushforward.twosample.method import Method
from pushforward.twosample.result import TestResult
from pushforward.twosample.running import run_permutations
from pushforward.witness import Estimate, Witness

_CELLS = 2**24  # entries of the matrices made at a time
_FLAT = 1e-10  # least variance of a direction, as a share of the pooled one


def between(kind: Divergence, p: Gaussian, q: Gaussian) -> Float[Tensor, ""]:
    """The closed form of `kind` between two Gaussians; for `tv` they must share their covariance."""
    if kind.base.name == "alpha":
        value = closed_form.alpha(p, q, kind.order)
        return renyi_of_alpha(value, kind.order) if kind.name == "renyi" else value
    if kind.name == "reverse-kl":
        return closed_form.kl(q, p)
    table = {
        "kl": closed_form.kl,
        "jeffreys": closed_form.jeffreys,
        "hellinger": closed_form.hellinger,
        "pearson": closed_form.pearson,
        "neyman": closed_form.neyman,
        "tv": closed_form.total_variation,
    }
    if kind.name not in table:
        raise InputError(f"the divergence {kind.name!r} has no closed form between Gaussians; use {', '.join(table)}")
    return table[kind.name](p, q)


def fit(rows: Float[Tensor, "n d"]) -> Gaussian:
    """The Gaussian of the rows' mean and covariance (divided by n - 1), in float64."""
    return Gaussian(rows.double().mean(0), torch.cov(rows.double().T).reshape(rows.shape[1], rows.shape[1]))


@final
@dataclass(frozen=True)
class GaussianStatistic:
    """The closed form of `kind` between the Gaussians fitted to x and y; relabellings from their sums of z and z z'."""

    kind: Divergence

    def __call__(self, x: Float[Tensor, "n d"], y: Float[Tensor, "m d"]) -> Float[Tensor, ""]:
        """In float64, with a gradient in both."""
        return self._value(fit(x), fit(y), len(x), len(y))

    def with_null(
        self, x: Float[Tensor, "n d"], y: Float[Tensor, "m d"], members: Bool[Tensor, "N B"]
    ) -> tuple[Tensor, Tensor]:
        """The statistic and its values under each column of `members`; second moments of all by one product."""
        n, m, d = len(x), len(y), x.shape[1]
        pooled = torch.cat([x, y]).double()
        scale = pooled.std(0)
        z = (pooled - pooled.mean(0)) / torch.where(scale > 0.0, scale, 1.0)  # the divergences do not see it
        observed = self(z[:n], z[n:])
        upper = torch.triu_indices(d, d, device=z.device)
        total = (z.T @ z)[upper[0], upper[1]]
        values = []
        for part in members.split(max(1, _CELLS // max(len(z), upper.shape[1])), 1):
            sums = z.new_zeros(upper.shape[1] + d, part.shape[1])
            for rows, chosen in zip(z.split(self._rows(d)), part.split(self._rows(d)), strict=True):
                sums += torch.cat([rows[:, upper[0]] * rows[:, upper[1]], rows], 1).T @ chosen.to(z)
            for column in sums.T:
                products, first = column[: upper.shape[1]], column[upper.shape[1] :]
                p = _moments(first, products, n, upper)
                q = _moments(z.sum(0) - first, total - products, m, upper)
                values.append(self._value(p, q, n, m))
        return observed, torch.stack(values)

    def _rows(self, d: int) -> int:
        return max(1, _CELLS // (d * (d + 1) // 2 + d))

    def _value(self, p: Gaussian, q: Gaussian, n: int, m: int) -> Tensor:
        if self.kind.name == "tv":
            pooled = ((n - 1) * p.covariance + (m - 1) * q.covariance) / (n + m - 2)
            return between(self.kind, Gaussian(p.mean, pooled), Gaussian(q.mean, pooled))
        return between(self.kind, p, q)


def _moments(first: Tensor, products: Tensor, n: int, upper: Tensor) -> Gaussian:
    """The Gaussian of n rows from their sum and the upper triangle of the sum of their products."""
    mean, d = first / n, len(first)
    matrix = products.new_zeros(d, d)
    matrix[upper[0], upper[1]] = products
    matrix = matrix + matrix.triu(1).T - n * torch.outer(mean, mean)
    return Gaussian(mean, matrix / (n - 1))


def gaussian_test(
    x: Float[Tensor, "n d"],
    y: Float[Tensor, "m d"],
    *,
    permutations: int,
    generator: Generator,
    divergence: str = "jeffreys",
    order: float = 0.5,
) -> TestResult:
    """Permutation test of the divergence between the fitted Gaussians: differences of means and covariances only.

    The plug-in is the statistic; the effect has the jackknife's interval about it. Needs more rows than columns on
    both sides. The witness is the log ratio of the two Gaussians, through the divergence's own link.
    """
    kind = _checked(divergence, order, x, y)
    return run_permutations(
        "gaussian",
        GaussianStatistic(kind),
        x,
        y,
        permutations=permutations,
        generator=generator,
        effect=lambda: _estimate(kind, x, y, generator, 0.95),
        witness=lambda: gaussian_witness(kind, x, y),
        quadratic=kind.name != "tv",
    )


def gaussian_distance(
    x: Float[Tensor, "n d"],
    y: Float[Tensor, "m d"],
    *,
    generator: Generator,
    level: float = 0.95,
    divergence: str = "jeffreys",
    order: float = 0.5,
) -> Estimate:
    """The divergence between the fitted Gaussians with its jackknife interval (NaN limits where rows are too few).

    Centred on the plug-in's expectation, which for normal data lies above the truth by about f''(1)/2 (1/n + 1/m)
    (d + d(d + 1)/2).
    """
    return _estimate(_checked(divergence, order, x, y), x, y, generator, level)


def gaussian_witness(kind: Divergence, x: Float[Tensor, "n d"], y: Float[Tensor, "m d"]) -> Witness:
    """v = ln p/q of the two fitted Gaussians (sharing the pooled covariance for `tv`), by the link of `kind`."""
    p, q = fit(x.detach()), fit(y.detach())
    if kind.name == "tv":
        both = ((len(x) - 1) * p.covariance + (len(y) - 1) * q.covariance) / (len(x) + len(y) - 2)
        p, q = Gaussian(p.mean, both), Gaussian(q.mean, both)
    ratio = closed_form.log_ratio(p, q)
    return kind.link()(lambda rows: ratio(rows.flatten(1).to(p.mean)).to(rows))


def _estimate(kind: Divergence, x: Tensor, y: Tensor, generator: Generator, level: float) -> Estimate:
    smallest = min(len(x), len(y))
    statistic = GaussianStatistic(kind)
    kept = smallest - -(-smallest // min(20, smallest // 2)) if smallest >= 4 else 0
    if kept <= x.shape[1] + 1:
        return Estimate(float(statistic(x, y)), float("nan"), float("nan"), float("nan"), level)
    return jackknife(statistic, x, y, generator=generator, level=level)


def _checked(divergence: str, order: float, x: Tensor, y: Tensor) -> Divergence:
    """The divergence; `InputError` where it has no closed form, a covariance is singular, or the value infinite."""
    kind = Divergence(divergence, order)
    if kind.name == "js":
        raise InputError("the divergence 'js' has no closed form between Gaussians; use jeffreys, hellinger, kl")
    d = x.shape[1]
    if min(len(x), len(y)) < d + 2:
        raise InputError(f"Gaussians in {d} columns need at least {d + 2} rows on each side, not {len(x)} and {len(y)}")
    pooled = torch.cat([x, y]).double()
    scale = pooled.std(0)
    if bool((scale == 0.0).any()):
        column = int((scale == 0.0).nonzero()[0])
        raise InputError(f"column {column} is constant, so no Gaussian has a density there; drop it")
    for rows, name in ((x, "x"), (y, "y")):
        spread = fit((rows.double() - pooled.mean(0)) / scale).covariance
        least = float(torch.linalg.eigvalsh(spread)[0])
        if least < _FLAT:
            raise InputError(f"the covariance of {name} is singular; drop columns that others determine")
    if not bool(torch.isfinite(GaussianStatistic(kind)(x, y))):
        raise InputError(f"the {kind.label} divergence is infinite between the fitted Gaussians; use kl or hellinger")
    return kind


METHODS = {
    "gaussian": Method(
        family="densities",
        reads="means and covariances, by a divergence between fitted Gaussians",
        convention="closed form between the samples' Gaussians (default jeffreys: KL(P||Q) + KL(Q||P), in nats)",
        cost="(n+m) d^2 B / 2 + d^3 B",
        effect="the same divergence",
        assumes="more rows than columns; the estimate assumes normal data, the test does not",
        test=gaussian_test,
        distance=gaussian_distance,
        statistic=lambda divergence="jeffreys", order=0.5: GaussianStatistic(Divergence(divergence, order)),
        at_least=4,
    ),
}
