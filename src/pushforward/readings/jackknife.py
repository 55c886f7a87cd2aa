"""A standard error for any smooth statistic of two samples: the delete-a-group jackknife.

Each side is cut at random into K groups; T_k leaves out the k-th group of both sides. With pseudo-values
K T - (K-1) T_k, the variance of T is that of their mean, and Student's quantile with K - 1 degrees of freedom gives the
interval (Miller 1974; Kott 2001). It holds for statistics that are asymptotically linear in the samples, which most
distances are where the distributions differ and none is where they are equal: there it is too wide, which is the safe
side. It is centred on what the statistic estimates at these sizes; a plug-in's bias is not removed.
"""

import math

import torch
from jaxtyping import Float
from torch import Generator, Tensor

from pushforward.errors import InputError
from pushforward.witness import Estimate, Statistic


def jackknife(
    statistic: Statistic,
    x: Float[Tensor, "n *d"],
    y: Float[Tensor, "m *d"],
    *,
    generator: Generator,
    level: float = 0.95,
    groups: int = 20,
) -> Estimate:
    """The value of `statistic` with its standard error and interval; evaluates it 1 + `groups` times.

    `generator` deals the rows into groups (fewer where a side has fewer rows). Needs four rows a side (`InputError`).
    """
    from scipy.stats import t

    k = min(groups, len(x) // 2, len(y) // 2)
    if k < 2:
        raise InputError(f"a jackknife needs at least 4 rows on each side, not {len(x)} and {len(y)}")
    (group_x, group_y) = (_deal(len(rows), k, generator).to(rows.device) for rows in (x, y))
    with torch.no_grad():
        value = float(statistic(x, y))
        left_out = torch.tensor(
            [float(statistic(x[group_x != i], y[group_y != i])) for i in range(k)], dtype=torch.float64
        )
    stderr = math.sqrt((k - 1) / k * float(((left_out - left_out.mean()) ** 2).sum()))
    half = float(t.ppf(0.5 + level / 2.0, k - 1)) * stderr
    return Estimate(value, stderr, value - half, value + half, level)


def _deal(rows: int, groups: int, generator: Generator) -> Tensor:
    """A random group for each row, of sizes that differ by one at most."""
    order = torch.randperm(rows, generator=generator, device=generator.device)
    return order % groups
