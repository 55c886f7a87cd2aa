"""The alternatives and null families on which two-sample tests are compared; each draws (x, y) from a seed.

Sources: mixture, Biggs, Schrab and Gretton 2023; perturbed uniform, Schrab et al. 2023; Blob and HDGM, Liu et al. 2020;
spiked covariance, after Santoro and Panaretos 2025 (who do not print the size of their spike; ours is below).
"""

import math
from collections.abc import Callable
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Array: TypeAlias = NDArray[np.float64]
Draw: TypeAlias = Callable[[int, int], tuple[Array, Array]]
"""(rows of each set, seed) -> (x, y)."""


def mixture(n: int, seed: int, *, null: bool = False) -> tuple[Array, Array]:
    """Four Gaussians at (+-20, +-20), deviation 1; one of y's has 1.3."""
    rng = np.random.default_rng([seed, 1])
    corners = np.array([[20.0, 20.0], [20.0, -20.0], [-20.0, 20.0], [-20.0, -20.0]])
    sides = []
    for deviations in (np.ones(4), np.ones(4) if null else np.array([1.3, 1.0, 1.0, 1.0])):
        mode = rng.integers(4, size=n)
        sides.append(corners[mode] + rng.normal(size=(n, 2)) * deviations[mode, None])
    return sides[0], sides[1]


def _bump(t: Array) -> Array:
    """G: a positive bump on (-1, -1/2) and its negative on (-1/2, 0), of height 1/e."""
    value = np.zeros_like(t)
    for centre, sign in ((-0.75, 1.0), (-0.25, -1.0)):
        u = 4.0 * (t - centre)
        inside = np.abs(u) < 1.0
        value[inside] += sign * np.exp(-1.0 / (1.0 - u[inside] ** 2))
    return value


def perturbed_uniform(n: int, seed: int, *, d: int, amplitude: float, p: int = 2) -> tuple[Array, Array]:
    """Uniform on the cube against the density 1 + a e^d sum_j theta_j prod_i G(p x_i - j_i), theta of random signs."""
    rng = np.random.default_rng([seed, 2])
    theta = rng.choice([-1.0, 1.0], size=(p,) * d)
    kept: list[Array] = []
    while sum(map(len, kept)) < n:
        z = rng.random((2 * n, d))
        cell = np.minimum((p * z).astype(int), p - 1)
        bump = math.exp(d) * np.prod(_bump(p * z - (cell + 1)), axis=1)
        density = 1.0 + amplitude * theta[tuple(cell.T)] * bump
        kept.append(z[rng.random(2 * n) * (1.0 + amplitude) < density])
    return rng.random((n, d)), np.concatenate(kept)[:n]


def blob(n: int, seed: int, *, published: bool = False) -> tuple[Array, Array]:
    """3 x 3 Gaussians on a unit grid, variance .03; y's mode i has covariance c_i. `n` rows of each set in all.

    c_i = -(.02 + .002 i) for i < 4, 0 at 4, +(.02 + .002 (i - 5)) after. `published` multiplies normal rows by the
    Cholesky factor L instead of L', as the authors' code does, so that the coordinates' variances differ too.
    """
    rng = np.random.default_rng([seed, 3])
    centres = np.array([[i, j] for i in range(3) for j in range(3)], dtype=float)
    mode_x, mode_y = rng.integers(9, size=n), rng.integers(9, size=n)
    x = centres[mode_x] + math.sqrt(0.03) * rng.normal(size=(n, 2))
    y = centres[mode_y]
    for i in range(9):
        c = 0.0 if i == 4 else -(0.02 + 0.002 * i) if i < 4 else 0.02 + 0.002 * (i - 5)
        factor = np.linalg.cholesky(np.array([[0.03, c], [c, 0.03]]))
        rows = mode_y == i
        y[rows] += rng.normal(size=(int(rows.sum()), 2)) @ (factor if published else factor.T)
    return x, y


def hdgm(n: int, seed: int, *, d: int = 10) -> tuple[Array, Array]:
    """Half N(0, I), half N(.5, I); in y the first two coordinates correlate by +.5 in one mode, -.5 in the other."""
    rng = np.random.default_rng([seed, 4])
    x, y = rng.normal(size=(n, d)), rng.normal(size=(n, d))
    half = n // 2
    for rows, r in ((slice(0, half), 0.5), (slice(half, n), -0.5)):
        y[rows, 1] = r * y[rows, 0] + math.sqrt(1.0 - r * r) * y[rows, 1]
    x[half:] += 0.5
    y[half:] += 0.5
    return x, y


def spiked(n: int, seed: int, *, d: int, spike: float) -> tuple[Array, Array]:
    """N(0, I) against N(0, I + spike v v'), v a random unit vector."""
    rng = np.random.default_rng([seed, 5])
    v = rng.normal(size=d)
    v /= np.linalg.norm(v)
    x, y = rng.normal(size=(n, d)), rng.normal(size=(n, d))
    return x, y + (math.sqrt(1.0 + spike) - 1.0) * (y @ v)[:, None] * v


def shift(n: int, seed: int, *, d: int, size: float) -> tuple[Array, Array]:
    """N(0, I) against N(size e, I), e the first axis."""
    rng = np.random.default_rng([seed, 6])
    x, y = rng.normal(size=(n, d)), rng.normal(size=(n, d))
    y[:, 0] += size
    return x, y


def laplace(n: int, seed: int) -> tuple[Array, Array]:
    """A normal against a Laplace distribution of the same mean and variance."""
    rng = np.random.default_rng([seed, 7])
    return rng.normal(size=(n, 1)), rng.laplace(size=(n, 1)) / math.sqrt(2.0)


def null_discrete(n: int, seed: int, *, m: int) -> tuple[Array, Array]:
    """Small whole numbers in three columns: ties everywhere."""
    rng = np.random.default_rng([seed, 8])
    z = np.column_stack([rng.binomial(4, 0.4, n + m), rng.integers(0, 3, n + m), rng.poisson(1.0, n + m)])
    return z[:n].astype(float), z[n:].astype(float)


def null_heavy(n: int, seed: int, *, m: int) -> tuple[Array, Array]:
    """Student's t with 1.5 degrees of freedom (infinite variance) in two dependent columns."""
    rng = np.random.default_rng([seed, 9])
    z = rng.standard_t(1.5, size=(n + m, 2))
    z[:, 1] += 0.5 * z[:, 0]
    return z[:n], z[n:]


def null_wide(n: int, seed: int, *, m: int, d: int = 500) -> tuple[Array, Array]:
    """N(0, S) in many more dimensions than rows, neighbouring coordinates correlated."""
    rng = np.random.default_rng([seed, 10])
    z = rng.normal(size=(n + m, d))
    z[:, 1:] += 0.5 * z[:, :-1]
    return z[:n], z[n:]


NULLS: dict[str, Callable[..., tuple[Array, Array]]] = {
    "discrete": null_discrete,
    "heavy-tailed": null_heavy,
    "d = 500": null_wide,
}
