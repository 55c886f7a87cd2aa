"""Collapse: how much of the data's variety the samples have.

Four readings, each beside what the data give for themselves:

- modes_effective: exp of the entropy of the samples' histogram over the data's clusters (from 1 to k);
- modes_missing: clusters with less than `HARDLY` of their share of the samples, so few that half of the share is
  excluded, at level `LEVEL` for all clusters together, by the conditional test of two rates (Przyborowski and Wilenski
  1940). Clusters too small to be ever missed at this level are not judged;
- coverage: the share of real rows whose ball up to their k-th real neighbour holds a sample (Naeem et al. 2020);
- Vendi score: exp of the entropy of the eigenvalues of K/n, K a Gaussian kernel's matrix (Friedman and Dieng 2023).
"""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

HARDLY = 1 / 5  # of its share: with many rows half of it is excluded by not much less than half
LEVEL = 1e-3  # false "missing" clusters per reading
NEIGHBOURS = 5


def effective_number(counts: Tensor) -> Float[Tensor, ""]:
    """exp(-sum p ln p) of the shares p of `counts` `(k,)`: k if all are equal, 1 if all but one are zero."""
    p = counts.double() / counts.sum()
    return torch.exp(-torch.xlogy(p, p).sum())


def missing_at_most(counts: Int[Tensor, " k"], samples: int, *, level: float = LEVEL) -> Int[Tensor, " k"]:
    """For each cluster, the largest number of `samples` at which it counts as missing; -1 where it is not judged.

    `counts` are those of real rows. If every cluster gets at least half of its true share, some cluster is at or under
    its bound with a probability of at most `level`. Of n rows, c real ones and s of m samples lie in a cluster. As
    Poisson numbers whose rates are as n to m/2, s given s + c is binomial, and at most s with the probability that of
    s + c draws at least c are real: the negative binomial's distribution function. Shares make s and c vary less.
    """
    from scipy.stats import nbinom

    seen = counts.double().cpu().numpy().clip(min=0.5)
    real, each = seen.sum() / (seen.sum() + samples / 2), level / len(seen)
    at = nbinom.ppf(each, seen, real)  # the smallest number with cdf >= each
    at = np.minimum(at - (nbinom.cdf(at, seen, real) > each), np.floor(HARDLY * samples * seen / seen.sum()))
    return torch.where(counts > 0, torch.from_numpy(at).long().to(counts.device), -1)


def radii(real: Float[Tensor, "n q"], k: int = NEIGHBOURS) -> Float[Tensor, " n"]:
    """The distance of every row to its k-th nearest other row (fewer rows: to the farthest)."""
    k = min(k, len(real) - 1)
    return _distances(real, real).kthvalue(k + 1, dim=1).values  # the nearest is the row itself


def coverage(
    real: Float[Tensor, "n q"], radius: Float[Tensor, " n"], samples: Float[Tensor, "m q"]
) -> Float[Tensor, ""]:
    """The share of `real` rows with a sample within their `radius`."""
    return (_distances(real, samples).amin(1) <= radius).double().mean()


def _distances(a: Tensor, b: Tensor) -> Tensor:
    # not by a matrix product, whose rounding would part equal rows and blur modes that are narrow
    return torch.cdist(a, b, compute_mode="donot_use_mm_for_euclid_dist")


def bandwidth(real: Float[Tensor, "n q"]) -> float:
    """The median distance between two rows; 1 where they are all alike, or there is one."""
    return float(torch.pdist(real.double()).median()) or 1.0 if len(real) > 1 else 1.0


def vendi(x: Float[Tensor, "n q"], width: float) -> Float[Tensor, ""]:
    """The effective number of different rows, 1..n, as seen by exp(-|x - x'|^2 / (2 width^2))."""
    x = x.double()
    kernel = torch.exp(torch.cdist(x, x).square() / (-2 * width**2))
    p = torch.linalg.eigvalsh(kernel / len(x)).clamp_min(0)
    return torch.exp(-torch.xlogy(p, p).sum())
