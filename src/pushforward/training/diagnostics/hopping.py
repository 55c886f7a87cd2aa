"""Mode hopping: the same noise, looked at again, has gone to other clusters.

With fixed z, c_i and c'_i are the clusters of G_before(z_i) and G_after(z_i):

- the share of z that changed cluster;
- JS divergence (nats, at most ln 2) of the two histograms, less what chance explains. If before and after are
  exchangeable for each z (marginal homogeneity), swapping them leaves the histograms' difference D_j with variance
  (number of z that enter or leave j)/n^2, and the divergence, sum_j D_j^2 / (8 h_j) to second order, has that mean;
- clusters lost: ones that held at least half of their share and are now missing in the sense of `collapse`. If every
  cluster keeps at least half of its share, that happens in a record with a probability of at most its level. A cluster
  is found when it holds half of its share again.
"""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from .clusters import count


def jensen_shannon(a: Int[Tensor, " k"], b: Int[Tensor, " k"]) -> Float[Tensor, ""]:
    """JS divergence of two histograms in nats: the mean of the KL divergences to their mean."""
    p, q = a.double() / a.sum(), b.double() / b.sum()
    m = (p + q) / 2
    return (torch.xlogy(p, p) + torch.xlogy(q, q)).sum() / 2 - torch.xlogy(m, m).sum()


def moved(before: Int[Tensor, " n"], after: Int[Tensor, " n"], k: int) -> tuple[Tensor, Tensor]:
    """(JS divergence of the histograms less its mean under swaps, share of rows that changed cluster); k clusters."""
    n, changed = len(before), before != after
    h, g = count(before, k), count(after, k)
    through = (count(before[changed], k) + count(after[changed], k)).double()
    by_chance = (through / ((h + g) / 2).clamp_min(0.5)).sum() / (8 * n)
    return jensen_shannon(h, g) - by_chance, changed.double().mean()


def turn_over(
    held: Bool[Tensor, " k"],
    counts: Int[Tensor, " k"],
    share: Float[Tensor, " k"],
    at_most: Int[Tensor, " k"],
) -> tuple[Tensor, Tensor, Tensor]:
    """(now held, lost, found), each bool `(k,)`, from what was `held` and the samples' `counts`.

    `share` is the data's and `at_most` the bound of `collapse.missing_at_most`; clusters that are not judged are never
    held.
    """
    missing = counts <= at_most
    full = (counts >= share * counts.sum() / 2) & (at_most >= 0)
    lost, found = held & missing, ~held & full
    return (held & ~lost) | found, lost, found
