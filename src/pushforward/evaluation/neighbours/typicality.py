"""Alpha-precision, beta-recall and authenticity (Alaa et al. 2022), with the indices of the paper's text.

For alpha in [0, 1] let S_alpha be the ball about the mean of the reals that holds a share alpha of them, and P(alpha)
the share of fakes in it. A perfect generator has P(alpha) = alpha, and

    alpha precision = 1 - 2 int_0^1 |P(alpha) - alpha| d alpha                                (eq. 8 and section 3.2)

is 1 for it and 0 where no fake is in any. In turn, for beta, a real counts as recalled if its nearest fake lies within
the ball to its k-th nearest real, and within the ball about the fakes' mean that holds a share beta of them; beta
recall is the same integral. For a perfect generator in few dimensions it is near the `expected_coverage`; in many the
nearest fake of most rows is one of a few near the middle, and it falls (.37 at d = 64, n = 2,000): a figure to be read
against that of real rows.

A fake is *authentic* if it is further from its nearest training row than that row is from its own nearest other
training row. (A common implementation looks that second distance up under the wrong number, that of the fake.) The
share of a perfect generator depends on the dimension (at n = 2,000 .39 for d = 2, .57 for 8, .82 for 64), so it is read
against that of held-out rows; exact copies are never authentic.

Intervals: alpha precision and beta recall as for the figures of `manifolds` aim at the expectation at these sizes, with
the variance between disjoint parts of the rows, which scales as 1/n whether or not the two distributions are equal.
Authenticity is a share of independent fakes given the training rows: Wilson's.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor

from ...errors import InputError
from ...witness import Estimate
from ..intervals import wilson
from .search import check_k, features, nearest

GROUPS = 8
CUTS = 2


@final
@dataclass(frozen=True)
class Authenticity:
    """The share of authentic fakes; that of held-out rows and the p-value of "fakes are no less authentic than they"
    (Fisher's exact test, one-sided), where there are held-out rows."""

    share: Estimate
    expected: Estimate | None
    pvalue: float | None


def alpha_precision(
    *, real: Tensor, fake: Tensor, level: float = 0.95, generator: torch.Generator | None = None
) -> Estimate:
    """1 - 2 int |P(alpha) - alpha|: are fakes as typical of `real` `(n, d)` as reals are? `fake` `(m, d)`."""
    x, y = features(real=real, fake=fake)
    return _grouped(_alpha, x, y, level=level, least=8, generator=generator)


def beta_recall(
    *, real: Tensor, fake: Tensor, k: int = 5, level: float = 0.95, generator: torch.Generator | None = None
) -> Estimate:
    """1 - 2 int |R(beta) - beta|: are reals found where fakes are typical? About `expected_coverage` for a perfect
    generator. `real` `(n, d)`, `fake` `(m, d)`; `InputError` unless k < n."""
    x, y = features(real=real, fake=fake)
    check_k(k, real=len(x))
    return _grouped(lambda a, b: _beta(a, b, k), x, y, level=level, least=4 * k, generator=generator)


def authenticity(*, train: Tensor, fake: Tensor, holdout: Tensor | None = None, level: float = 0.95) -> Authenticity:
    """The share of `fake` `(m, d)` that are authentic beside `train` `(n, d)`, and of `holdout` `(h, d)`."""
    rows, y = features(train=train, fake=fake)
    if len(rows) < 2:
        raise InputError("train: authenticity needs at least two training rows; give more")
    true, count = _authentic(y, rows), len(y)
    share = _share(true, count, level)
    if holdout is None:
        return Authenticity(share, None, None)
    from scipy.stats import fisher_exact

    _, held = features(train=rows, holdout=holdout)
    known = _authentic(held, rows)
    table = [[true, count - true], [known, len(held) - known]]
    return Authenticity(share, _share(known, len(held), level), float(fisher_exact(table, "less").pvalue))


def _authentic(queries: Tensor, rows: Tensor) -> int:
    near = nearest(queries=queries, rows=rows, k=1)
    met, place = near.index[:, 0].unique(return_inverse=True)
    gaps = nearest(queries=rows[met], rows=rows, k=2).distance[:, 1]  # the nearest is the row itself, or its equal
    return int((near.distance[:, 0] > gaps[place]).sum())


def _share(hits: int, count: int, level: float) -> Estimate:
    share = hits / count
    low, high = wilson(share, count, level)
    return Estimate(share, math.sqrt(share * (1 - share) / count), low, high, level)


def _alpha(real: Tensor, fake: Tensor) -> float:
    centre = real.mean(0)
    inner, outer = (real - centre).norm(dim=1).sort().values, (fake - centre).norm(dim=1)
    # the smallest alpha whose ball holds the fake; none does where it is beyond every real
    rank = torch.searchsorted(inner, outer) + 1.0
    return 1.0 - 2.0 * _gap_to_diagonal((rank / len(inner)).where(rank <= len(inner), math.inf))


def _beta(real: Tensor, fake: Tensor, k: int) -> float:
    reach = nearest(queries=real, rows=real, k=k, own=True).distance[:, -1]
    near = nearest(queries=real, rows=fake, k=1)
    radius = (fake - fake.mean(0)).norm(dim=1)
    rank = torch.searchsorted(radius.sort().values, radius) + 1.0
    level = (rank / len(fake))[near.index[:, 0]]
    return 1.0 - 2.0 * _gap_to_diagonal(level.double().where(near.distance[:, 0] <= reach, math.inf))


def _gap_to_diagonal(levels: Tensor) -> float:
    """int_0^1 |G(t) - t| dt exactly, G(t) the share of `levels` that are at most t."""
    inside = levels[levels <= 1.0].double().sort().values
    edges = torch.cat([inside.new_zeros(1), inside, inside.new_ones(1)])
    height = torch.arange(len(inside) + 1, dtype=torch.float64, device=edges.device) / len(levels)
    a, b = edges[:-1] - height, edges[1:] - height  # t - G at both ends of each step
    across = a * b < 0
    area = torch.where(across, 0.5 * (a.square() + b.square()), 0.5 * (b.square() - a.square()).abs())
    return float(area.sum())


def _grouped(
    figure: Callable[[Tensor, Tensor], float],
    x: Tensor,
    y: Tensor,
    *,
    level: float,
    least: int,
    generator: torch.Generator | None,
) -> Estimate:
    """`figure` with the interval of the variance between its values in disjoint groups of rows, at most 1."""
    from scipy.stats import t

    value = figure(x, y)
    groups = min(GROUPS, len(x) // least, len(y) // least)
    if groups < 3:
        return Estimate(value, math.nan, -1.0, 1.0, level)
    generator = generator or torch.Generator().manual_seed(0)
    variance = 0.0
    for _ in range(CUTS):
        cuts = [torch.randperm(len(z), generator=generator).to(z.device).chunk(groups) for z in (x, y)]
        values = torch.tensor([figure(x[i], y[j]) for i, j in zip(*cuts, strict=True)], dtype=torch.float64)
        variance += float(values.var()) / groups / CUTS
    half = float(t.ppf(0.5 + level / 2, groups - 1)) * math.sqrt(variance)
    return Estimate(value, math.sqrt(variance), value - half, min(1.0, value + half), level)
