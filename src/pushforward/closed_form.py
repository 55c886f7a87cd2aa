"""Distances between Gaussians in closed form: ground truth for every estimator here, and a feature of its own.

P = N(m0, S0) is the data and Q = N(m1, S1) the model, D = m0 - m1. Everything is a function of two `Gaussian`s and
returns a scalar tensor in their dtype (use float64). The f-divergences that have a closed form all come from one
integral (`affinity`); conventions are those of `pushforward.links`, so `hellinger` is int (sqrt p - sqrt q)^2, twice
the halved form, and nothing here is a square root unless its name says so.

>>> p, q = Gaussian.univariate(0.0, 1.0), Gaussian.univariate(3.0, 2.0)
>>> float(wasserstein2_squared(p, q))
10.0
"""

import math
from dataclasses import dataclass
from typing import final

import torch
from jaxtyping import Float
from torch import Generator, Tensor

from pushforward.errors import InputError
from pushforward.witness import Score


@final
@dataclass(frozen=True, eq=False)
class Gaussian:
    """N(`mean` `(d,)`, `covariance` `(d, d)`), positive definite."""

    mean: Tensor
    covariance: Tensor

    def __post_init__(self) -> None:
        d = len(self.mean) if self.mean.ndim == 1 else -1
        if self.covariance.shape != (d, d):
            shapes = f"{tuple(self.mean.shape)} and {tuple(self.covariance.shape)}"
            raise InputError(f"a Gaussian needs a mean (d,) and a covariance (d, d), not {shapes}")

    @classmethod
    def univariate(cls, mean: float, deviation: float) -> "Gaussian":
        """N(mean, deviation^2) in one dimension, float64."""
        return cls(torch.tensor([mean], dtype=torch.float64), torch.tensor([[deviation**2]], dtype=torch.float64))

    @classmethod
    def isotropic(cls, mean: Float[Tensor, " d"], deviation: float) -> "Gaussian":
        """N(mean, deviation^2 I)."""
        return cls(mean, torch.eye(len(mean), dtype=mean.dtype, device=mean.device) * deviation**2)

    def log_prob(self, x: Float[Tensor, "n d"]) -> Float[Tensor, " n"]:
        """ln p(x), in nats."""
        factor = _cholesky(self.covariance)
        z: Tensor = torch.linalg.solve_triangular(factor, (x - self.mean).T, upper=False)
        return -0.5 * (z * z).sum(0) - factor.diagonal().log().sum() - 0.5 * len(self.mean) * math.log(2.0 * math.pi)

    def score(self, x: Float[Tensor, "n d"]) -> Float[Tensor, "n d"]:
        """grad ln p(x) = -S^-1 (x - m)."""
        return -_solve(self.covariance, (x - self.mean).T).T

    def sample(self, n: int, *, generator: Generator) -> Float[Tensor, "n d"]:
        """n draws."""
        noise = torch.randn(n, len(self.mean), generator=generator, dtype=self.mean.dtype, device=generator.device)
        return self.mean + noise.to(self.mean.device) @ _cholesky(self.covariance).T


def log_ratio(p: Gaussian, q: Gaussian) -> Score:
    """x -> ln p(x)/q(x): the score at which every f-divergence link is tight."""
    return lambda x: p.log_prob(x) - q.log_prob(x)


def affinity(p: Gaussian, q: Gaussian, a: float) -> Float[Tensor, ""]:
    """int p^a q^(1-a) = |S0|^((1-a)/2) |S1|^(a/2) |Sa|^(-1/2) exp(-a(1-a)/2 D'Sa^-1 D), Sa = a S1 + (1-a) S0.

    Infinite where Sa is not positive definite (possible for a outside [0, 1]). Source: Gil, Alajaji and Linder (2013).
    """
    mixed = a * q.covariance + (1.0 - a) * p.covariance
    if bool((_eigenvalues(mixed) <= 0.0).any()):
        return torch.full_like(p.mean[0], math.inf)
    logdets = (1.0 - a) * p.covariance.logdet() + a * q.covariance.logdet() - mixed.logdet()
    d = p.mean - q.mean
    return torch.exp(0.5 * logdets - 0.5 * a * (1.0 - a) * (d @ _solve(mixed, d)))


def alpha(p: Gaussian, q: Gaussian, a: float) -> Float[Tensor, ""]:
    """(int p^a q^(1-a) - 1) / (a(a - 1)), with KL(P||Q) at a = 1 and KL(Q||P) at a = 0."""
    if a == 1.0:
        return kl(p, q)
    if a == 0.0:
        return kl(q, p)
    return (affinity(p, q, a) - 1.0) / (a * (a - 1.0))


def kl(p: Gaussian, q: Gaussian) -> Float[Tensor, ""]:
    """KL(P||Q) = (tr(S1^-1 S0) + D'S1^-1 D - d + ln|S1|/|S0|) / 2, in nats."""
    d = p.mean - q.mean
    inverse_times = _solve(q.covariance, torch.cat([p.covariance, d[:, None]], 1))
    trace, quadratic = inverse_times[:, :-1].diagonal().sum(), d @ inverse_times[:, -1]
    return 0.5 * (trace + quadratic - len(d) + q.covariance.logdet() - p.covariance.logdet())


def jeffreys(p: Gaussian, q: Gaussian) -> Float[Tensor, ""]:
    """KL(P||Q) + KL(Q||P)."""
    return kl(p, q) + kl(q, p)


def hellinger(p: Gaussian, q: Gaussian) -> Float[Tensor, ""]:
    """int (sqrt p - sqrt q)^2 = 2 (1 - int sqrt(pq)): the unhalved squared distance, at most 2."""
    return 2.0 * (1.0 - affinity(p, q, 0.5))


def pearson(p: Gaussian, q: Gaussian) -> Float[Tensor, ""]:
    """chi^2(P||Q) = int (p - q)^2/q; finite iff 2 S1 - S0 is positive definite."""
    return affinity(p, q, 2.0) - 1.0


def neyman(p: Gaussian, q: Gaussian) -> Float[Tensor, ""]:
    """chi^2(Q||P) = int (p - q)^2/p; finite iff 2 S0 - S1 is positive definite."""
    return affinity(q, p, 2.0) - 1.0


def mahalanobis(p: Gaussian, q: Gaussian) -> Float[Tensor, ""]:
    """delta = sqrt(D'S^-1 D) for two Gaussians of one covariance S (`InputError` for two)."""
    if not torch.allclose(p.covariance, q.covariance, rtol=1e-9, atol=0.0):
        raise InputError("the closed form of this distance needs Gaussians of equal covariance")
    d = p.mean - q.mean
    return (d @ _solve(p.covariance, d)).sqrt()


def total_variation(p: Gaussian, q: Gaussian) -> Float[Tensor, ""]:
    """TV = 2 Phi(delta/2) - 1 for equal covariances."""
    return 2.0 * _ndtr(mahalanobis(p, q) / 2.0) - 1.0


def best_accuracy(p: Gaussian, q: Gaussian) -> Float[Tensor, ""]:
    """Accuracy of the Bayes classifier at equal class sizes, Phi(delta/2), for equal covariances."""
    return _ndtr(mahalanobis(p, q) / 2.0)


def best_auc(p: Gaussian, q: Gaussian) -> Float[Tensor, ""]:
    """AUC of the log ratio, Phi(delta/sqrt 2), for equal covariances."""
    return _ndtr(mahalanobis(p, q) / math.sqrt(2.0))


def wasserstein2_squared(p: Gaussian, q: Gaussian) -> Float[Tensor, ""]:
    """W2^2 = |D|^2 + tr(S0 + S1 - 2 (S1^.5 S0 S1^.5)^.5), the Frechet distance; singular covariances are fine."""
    values, vectors = torch.linalg.eigh(q.covariance)
    root: Tensor = (vectors * values.clamp_min(0.0).sqrt()) @ vectors.T
    cross = _eigenvalues(root @ p.covariance @ root).clamp_min(0.0).sqrt().sum()
    d = p.mean - q.mean
    return d @ d + p.covariance.diagonal().sum() + q.covariance.diagonal().sum() - 2.0 * cross


def wasserstein1(p: Gaussian, q: Gaussian) -> Float[Tensor, ""]:
    """W1 in one dimension, E|a + bZ| = b sqrt(2/pi) e^(-a^2/2b^2) + a (1 - 2 Phi(-a/b)), a = m1 - m0, b = |s1 - s0|."""
    if len(p.mean) != 1:
        raise InputError(f"W1 between Gaussians has a closed form in one dimension, not in {len(p.mean)}")
    a = (q.mean - p.mean)[0]
    b = (q.covariance.sqrt() - p.covariance.sqrt()).abs()[0, 0]
    if float(b) == 0.0:
        return a.abs()
    return b * math.sqrt(2.0 / math.pi) * torch.exp(-0.5 * (a / b) ** 2) + a * (1.0 - 2.0 * _ndtr(-a / b))


def sliced_wasserstein2_squared(p: Gaussian, q: Gaussian) -> Float[Tensor, ""]:
    """Mean of W2^2 over directions, |D|^2/d + (s0 - s1)^2, for isotropic covariances s^2 I (`InputError` for
    others).
    """
    for g in (p, q):
        if not torch.allclose(g.covariance, torch.eye(len(g.mean)).to(g.covariance) * g.covariance[0, 0]):
            raise InputError("sliced W2 between Gaussians has a closed form for isotropic covariances only")
    d = p.mean - q.mean
    return d @ d / len(d) + (p.covariance[0, 0].sqrt() - q.covariance[0, 0].sqrt()) ** 2


def mmd_squared(p: Gaussian, q: Gaussian, bandwidth: float) -> Float[Tensor, ""]:
    """MMD^2 for k = exp(-|x - y|^2/(2 s^2)): e(0, 2 S0) + e(0, 2 S1) - 2 e(D, S0 + S1).

    e(D, C) = |I + C/s^2|^-.5 exp(-D'(C + s^2 I)^-1 D/2) is E k of a difference N(D, C).
    """

    def e(d: Tensor, c: Tensor) -> Tensor:
        eye = torch.eye(len(d)).to(c)
        quadratic = d @ _solve(c + bandwidth**2 * eye, d)
        return torch.exp(-0.5 * (eye + c / bandwidth**2).logdet() - 0.5 * quadratic)

    zero, d = torch.zeros_like(p.mean), p.mean - q.mean
    return e(zero, 2.0 * p.covariance) + e(zero, 2.0 * q.covariance) - 2.0 * e(d, p.covariance + q.covariance)


def kid(p: Gaussian, q: Gaussian) -> Float[Tensor, ""]:
    """MMD^2 for the cubic kernel k = (x'y/d + 1)^3 of the kernel inception distance (Binkowski et al. 2018)."""
    return _cubic(p, p) + _cubic(q, q) - 2.0 * _cubic(p, q)


def _cubic(p: Gaussian, q: Gaussian) -> Tensor:
    """E (x'y/d + 1)^3 for independent x ~ P, y ~ Q, from the first three moments of x'y (Isserlis)."""
    a, b, s, t, d = p.mean, q.mean, p.covariance, q.covariance, len(p.mean)
    first = a @ b
    second = torch.trace((s + torch.outer(a, a)) @ (t + torch.outer(b, b)))
    third = first**3 + 3.0 * first * (a @ t @ a + b @ s @ b + (s * t).sum()) + 6.0 * (a @ t @ s @ b)
    return third / d**3 + 3.0 * second / d**2 + 3.0 * first / d + 1.0


# torch.linalg and torch.special carry no types of their own


def _solve(matrix: Tensor, right: Tensor) -> Tensor:
    solution: Tensor = torch.linalg.solve(matrix, right)
    return solution


def _cholesky(matrix: Tensor) -> Tensor:
    factor: Tensor = torch.linalg.cholesky(matrix)
    return factor


def _eigenvalues(matrix: Tensor) -> Tensor:
    values: Tensor = torch.linalg.eigvalsh(matrix)
    return values


def _ndtr(t: Tensor) -> Tensor:
    """Phi, the standard normal distribution function."""
    probability: Tensor = torch.special.ndtr(t)
    return probability
