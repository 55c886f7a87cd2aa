"""Gaussian, probabilistic PCA, Gaussian mixture, kernel density: laws of vectors with exact densities."""

from __future__ import annotations

import math
import warnings
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ...data.sources import to_container
from ...errors import InputError
from ..drawing import rng
from .base import Density

FLOOR = 1e-6  # of a variance, in the codec's units: directions in which the data do not vary at all keep a density
_TILE = 4_000_000
WIDTHS = 33  # tried for a kernel, on
LEFT_OUT = 2000  # rows at most


class Gaussian(Density):
    """N(m, S), by maximum likelihood; variances along S's axes are at least `FLOOR` (of standardised columns)."""

    def __init__(self, *, seed: int = 0) -> None:
        self.seed = seed

    def _learn(self, x: Tensor) -> dict[str, Tensor]:
        values, axes = _spectrum(x)
        return {"mean": x.mean(0), "variances": values, "axes": axes}

    def _draw(self, n: int, generator: torch.Generator) -> Tensor:
        law = self.arrays_
        z = torch.randn(n, len(law["mean"]), generator=generator, dtype=torch.float64)
        return self._shaped(law["mean"] + (z * law["variances"].sqrt()) @ law["axes"].T)

    def _log_density(self, x: Tensor) -> Tensor:
        law = self.arrays_
        z = (x - law["mean"]) @ law["axes"]
        return -0.5 * ((z.square() / law["variances"]) + law["variances"].log() + math.log(2 * math.pi)).sum(1)


class PPCA(Density):
    """Probabilistic PCA (Tipping & Bishop 1999): x = m + W z + s e, z ~ N(0, I_q), e ~ N(0, I).

    components: q, a whole number, or the share of the variance that they explain together (0..1). With the
    eigenvalues l_1 >= l_2 >= ... of the covariance and its axes U, s^2 is the mean of the left-out eigenvalues and
    W = U_q (L_q - s^2 I)^(1/2); the mean log likelihood of the training rows is
    -(d ln 2 pi + sum_{i <= q} ln l_i + (d - q) ln s^2 + d) / 2. `encode` gives E[z|x]; `decode` inverts it on the plane
    of the q axes, so that `reconstruct`, the two in a row, is the projection on it: the best linear one (PCA).
    """

    def __init__(self, components: int | float = 0.95, *, seed: int = 0) -> None:
        self.components = components
        self.seed = seed

    def _check(self) -> None:
        q = self.components
        whole = isinstance(q, int) and not isinstance(q, bool) and q >= 1
        if not whole and not (isinstance(q, float) and 0 < q < 1):
            raise InputError(f"components must be a whole number of at least 1 or a share between 0 and 1, not {q!r}")

    def _learn(self, x: Tensor) -> dict[str, Tensor]:
        values, axes = _spectrum(x)
        d, most = len(values), min(len(values) - 1, len(x) - 1)
        if isinstance(self.components, int):
            q = self.components
        else:
            share = values.cumsum(0) / values.sum()
            q = min(most, int((share < self.components).sum()) + 1)
        if d == 1 or not 1 <= q <= most:
            raise InputError(
                f"{q} components of {len(x)} rows with {d} numbers leave no noise to estimate; give at most {most}"
                if d > 1
                else "probabilistic PCA needs rows of at least two numbers; take the model 'gaussian'"
            )
        return {
            "mean": x.mean(0),
            "variances": values[:q].clone(),
            "axes": axes[:, :q].clone(),
            "noise": values[q:].mean().clamp(min=FLOOR),
        }

    def _draw(self, n: int, generator: torch.Generator) -> Tensor:
        law = self.arrays_
        d, q = law["axes"].shape
        z = torch.randn(n, q, generator=generator, dtype=torch.float64)
        e = torch.randn(n, d, generator=generator, dtype=torch.float64)
        return self._shaped(law["mean"] + (z * self._loadings()) @ law["axes"].T + law["noise"].sqrt() * e)

    def _log_density(self, x: Tensor) -> Tensor:
        law = self.arrays_
        d, q = law["axes"].shape
        centred = x - law["mean"]
        z = centred @ law["axes"]
        inside = (z.square() / law["variances"] + law["variances"].log()).sum(1)
        outside = (centred.square().sum(1) - z.square().sum(1)).clamp(min=0) / law["noise"]
        return -0.5 * (inside + outside + (d - q) * law["noise"].log() + d * math.log(2 * math.pi))

    def encode(self, data: Any) -> np.ndarray:
        """E[z|x] = (L - s^2)^(1/2) L^(-1) U'(x - m) of every row: `(n, q)` float64."""
        self._require_fitted()
        law = self.arrays_
        z: np.ndarray = (
            (self._vectors(data) - law["mean"]) @ law["axes"] * self._loadings() / law["variances"]
        ).numpy()
        return z

    def decode(self, latents: Any) -> Any:
        """The rows whose `encode` is `latents` `(n, q)`, on the plane of the axes, in the user's kind."""
        self._require_fitted()
        law = self.arrays_
        z = torch.as_tensor(np.asarray(latents), dtype=torch.float64)
        if z.dim() != 2 or z.shape[1] != len(law["variances"]):
            raise InputError(f"latents of shape {tuple(z.shape)}; give (n, {len(law['variances'])})")
        # a loading of 0 (an axis no longer than the noise) encodes to 0 whatever the row is
        scores = torch.where(self._loadings() > 0, z * law["variances"] / self._loadings(), torch.zeros_like(z))
        rows = self._shaped(law["mean"] + scores @ law["axes"].T).float()
        return to_container(self.codec_.decode(rows, generator=rng(self.seed, "decode")))

    def reconstruct(self, data: Any) -> Any:
        """Every row's projection on the plane of the q axes."""
        self._require_fitted()
        law, x = self.arrays_, self._vectors(data)
        flat = law["mean"] + (x - law["mean"]) @ law["axes"] @ law["axes"].T
        return to_container(self.codec_.decode(self._shaped(flat).float(), generator=rng(self.seed, "decode")))

    def _loadings(self) -> Tensor:
        return (self.arrays_["variances"] - self.arrays_["noise"]).clamp(min=0).sqrt()


class Mixture(Density):
    """A mixture of Gaussians with full covariances, by expectation maximisation (scikit-learn's).

    components: how many; None takes the best of 1, 2, 4, ... 64 by the Bayesian information criterion.
    """

    def __init__(self, components: int | None = None, *, seed: int = 0) -> None:
        self.components = components
        self.seed = seed

    def _check(self) -> None:
        if self.components is not None and (not isinstance(self.components, int) or self.components < 1):
            raise InputError(f"components must be a whole number of at least 1, not {self.components!r}")

    def _learn(self, x: Tensor) -> dict[str, Tensor]:
        from sklearn.exceptions import ConvergenceWarning
        from sklearn.mixture import GaussianMixture

        rows = x.numpy()
        if self.components is not None and self.components > len(rows):
            raise InputError(f"{self.components} components for {len(rows)} rows; give fewer components or more rows")
        counts = [2**k for k in range(7) if 10 * 2**k <= len(rows)] or [1]
        best, score = None, math.inf
        for count in counts if self.components is None else [self.components]:
            model = GaussianMixture(count, reg_covar=FLOOR, n_init=2, random_state=self.seed % 2**32, max_iter=300)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", ConvergenceWarning)  # the last of its steps is as good as needed
                model.fit(rows)
            found = model.bic(rows)
            if best is None or found < score:
                best, score = model, found
        assert best is not None
        return {
            "weights": torch.from_numpy(best.weights_.copy()),
            "means": torch.from_numpy(best.means_.copy()),
            "scales": torch.linalg.cholesky(torch.from_numpy(best.covariances_.copy())),
        }

    def _draw(self, n: int, generator: torch.Generator) -> Tensor:
        law = self.arrays_
        which = torch.multinomial(law["weights"], n, replacement=True, generator=generator)
        z = torch.randn(n, law["means"].shape[1], generator=generator, dtype=torch.float64)
        x = torch.empty_like(z)
        for k in which.unique().tolist():
            mine = which == k
            x[mine] = law["means"][k] + z[mine] @ law["scales"][k].T
        return self._shaped(x)

    def _log_density(self, x: Tensor) -> Tensor:
        law, parts = self.arrays_, []
        for weight, mean, scale in zip(law["weights"], law["means"], law["scales"], strict=True):
            z = torch.linalg.solve_triangular(scale, (x - mean).T, upper=False)
            size = z.square().sum(0) + x.shape[1] * math.log(2 * math.pi)
            parts.append(weight.log() - scale.diagonal().log().sum() - 0.5 * size)
        return torch.logsumexp(torch.stack(parts), 0)


class KDE(Density):
    """A Gaussian kernel of one bandwidth on every training row.

    Its rows are training rows with noise on them: as near a memoriser as a density comes.

    bandwidth: the kernel's standard deviation in the codec's units (standardised columns; pixels in [0, 1]); by default
        the one of `WIDTHS` that gives left-out training rows the highest mean log density, each row being left out of
        its own estimate. rows: kernels at most; of more rows, so many are drawn.
    seed: of that draw.
    """

    def __init__(self, bandwidth: float | None = None, *, rows: int = 20_000, seed: int = 0) -> None:
        self.bandwidth = bandwidth
        self.rows = rows
        self.seed = seed

    def _check(self) -> None:
        if self.bandwidth is not None and not self.bandwidth > 0:
            raise InputError(f"bandwidth must be a positive number, not {self.bandwidth!r}")
        if not isinstance(self.rows, int) or self.rows < 2:
            raise InputError(f"rows must be a whole number of at least 2, not {self.rows!r}")

    def _learn(self, x: Tensor) -> dict[str, Tensor]:
        centres = x[torch.randperm(len(x), generator=rng(self.seed, "kernels"))[: self.rows]]
        width = self.bandwidth if self.bandwidth is not None else _left_out_width(centres[:LEFT_OUT])
        return {"centres": centres, "width": torch.tensor(width, dtype=torch.float64)}

    def _draw(self, n: int, generator: torch.Generator) -> Tensor:
        centres = self.arrays_["centres"]
        at = torch.randint(len(centres), (n,), generator=generator)
        noise = torch.randn(n, centres.shape[1], generator=generator, dtype=torch.float64)
        return self._shaped(centres[at] + self.arrays_["width"] * noise)

    def _log_density(self, x: Tensor) -> Tensor:
        centres, width = self.arrays_["centres"], float(self.arrays_["width"])
        tile = max(1, _TILE // len(centres))
        sums = [torch.logsumexp(-0.5 * (torch.cdist(part, centres) / width).square(), 1) for part in x.split(tile)]
        d = x.shape[1]
        return torch.cat(sums) - math.log(len(centres)) - d * math.log(width) - 0.5 * d * math.log(2 * math.pi)


def _spectrum(x: Tensor) -> tuple[Tensor, Tensor]:
    """(variances, axes) of float64 rows `(n, d)`: eigenvalues of the covariance, falling and at least `FLOOR`, `(d,)`,
    and its eigenvectors as columns `(d, d)`."""
    centred = x - x.mean(0)
    values, axes = torch.linalg.eigh(centred.T @ centred / len(x))
    return values.flip(0).clamp(min=FLOOR), axes.flip(1)


def _left_out_width(x: Tensor) -> float:
    """The width of the highest mean ln p_{-i}(x_i) over rows, every row left out of its own estimate."""
    spread = float((x - x.mean(0)).square().mean().sqrt()) or 1.0
    d, n = x.shape[1], len(x)
    squares = torch.cdist(x, x).square()
    squares.fill_diagonal_(math.inf)
    widths = [spread * 10 ** (-3 + 3.5 * k / (WIDTHS - 1)) for k in range(WIDTHS)]
    scores = [float((torch.logsumexp(-0.5 * squares / w**2, 1) - d * math.log(w)).mean()) for w in widths]
    return widths[int(np.nanargmax(scores))] if n > 2 else spread
