"""Squared kernel distances of features over all pairs, with their variance in closed form: KID and CMMD.

    MMD^2 = sum_{i != j} k(x_i, x_j)/(n(n-1)) + sum_{i != j} k(y_i, y_j)/(m(m-1)) - 2 mean k(x_i, y_j)

is unbiased. By Hoeffding's decomposition, with k_PP, k_QQ, k_PQ the doubly centred kernel, its variance is

    4 V_x/n + 4 V_y/m + B,    B = 2 E k_PP^2/(n(n-1)) + 2 E k_QQ^2/(m(m-1)) + 4 E k_PQ^2/(nm),

V_x = var of h(x) = E k(x, X') - E k(x, Y), V_y likewise. The sample variances of the estimated h carry noise: their sum
A = 4 var h_x/n + 4 var h_y/m is 2 B larger on average. Row sums of the kernel matrix give A, its sum of squares B
(Sutherland and Deka 2019 give the unbiased estimates of all terms); the interval is that of `squared_norms`. The spread
of KID over subsets, which other libraries print, is not an error of the figure: it grows as the subsets shrink.

Tiles of the kernel matrix are made once each and never held together: O(n d + tile^2) memory.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, final

import torch
from torch import Tensor

from ...errors import InputError
from ...fitters.kernel import GaussianKernel, Kernel, PolynomialKernel
from ...witness import Estimate
from .inputs import check_level, two_sets
from .squared_norms import squared_norm_estimate, without_interval

_CACHED_TILE = 256  # half the work is elementwise: on a CPU, tiles that stay in the cache
_TILE = 4096
_SAMPLE = 256  # rows of each set that give the constant taken off the kernel


def kernel_distance(
    *,
    real: Any,
    fake: Any,
    degree: int = 3,
    offset: float = 1.0,
    scale: float | None = None,
    unbiased: bool = True,
    level: float = 0.95,
) -> Estimate:
    """KID: MMD^2 of features `(n, d)`, `(m, d)` under k = (x'y / scale + offset)^degree, all pairs (Binkowski et al.
    2018).

    `scale` is d unless given. Products are made in the features' own precision (float32 or float64), sums in float64.
    `unbiased=False`: the V-statistic, without an interval (NaN). Three rows a side at least (`InputError`).
    """
    x, y = two_sets(real, fake, at_least=3)
    if degree < 1 or (scale is not None and not 0.0 < scale < math.inf):
        raise InputError(
            f"degree {degree} and scale {scale}: the kernel needs a degree of 1 or more and a scale above 0"
        )
    kernel = PolynomialKernel(math.sqrt(x.shape[1] if scale is None else scale), degree, float(offset))
    return mmd_estimate(kernel, x, y, unbiased=unbiased, level=level)


def cmmd(
    *,
    real: Any,
    fake: Any,
    bandwidth: float = 10.0,
    scale: float = 1000.0,
    normalise: bool = True,
    unbiased: bool = True,
    level: float = 0.95,
) -> Estimate:
    """CMMD: `scale` times MMD^2 of unit-norm embeddings under exp(-|x - y|^2 / (2 bandwidth^2)) (Jayasumana et al.
    2024, arXiv 2401.09603), there with CLIP's embeddings.

    Here the U-statistic; `unbiased=False` is the published code's V-statistic, which is larger by about 2 scale
    (1 - mean k)/n and has no interval (NaN). `normalise=False`: rows as they are. In float64.
    """
    x, y = (rows.double() for rows in two_sets(real, fake, at_least=3))
    if not 0.0 < bandwidth < math.inf:
        raise InputError(f"the bandwidth must be a positive number, not {bandwidth!r}")
    if normalise:
        x, y = (torch.nn.functional.normalize(rows) for rows in (x, y))
    found = mmd_estimate(GaussianKernel(bandwidth), x, y, unbiased=unbiased, level=level)
    return Estimate(found.value * scale, found.stderr * scale, found.low * scale, found.high * scale, level)


def mmd_estimate(kernel: Kernel, x: Tensor, y: Tensor, *, unbiased: bool = True, level: float = 0.95) -> Estimate:
    """MMD^2 of rows `(n, d)` and `(m, d)` under any kernel, by tiles, in the rows' precision."""
    check_level(level)
    if getattr(kernel, "stationary", False):
        centre = torch.cat([x, y]).mean(0)  # squared distances cancel in proportion to the squared norms
        x, y = x - centre, y - centre
    a, b = x[:: max(1, len(x) // _SAMPLE)], y[:: max(1, len(y) // _SAMPLE)]
    constant = float(kernel(a.double(), b.double()).mean())  # changes no statistic, and saves their digits
    with torch.no_grad():
        xx, yy, xy = _own(kernel, x, constant), _own(kernel, y, constant), _between(kernel, x, y, constant)
    n, m = len(x), len(y)
    plug_in = (xx.total + xx.diagonal) / n**2 + (yy.total + yy.diagonal) / m**2 - 2.0 * xy.total / (n * m)
    if not unbiased:
        return without_interval(plug_in, level)
    value = xx.total / (n * (n - 1)) + yy.total / (m * (m - 1)) - 2.0 * xy.total / (n * m)
    h_x = xx.rows / (n - 1) - xy.rows / m
    h_y = yy.rows / (m - 1) - xy.columns / n
    linear = 4.0 * float(h_x.var() / n + h_y.var() / m)
    rest = 2.0 * xx.own_centred() / (n * (n - 1)) + 2.0 * yy.own_centred() / (m * (m - 1))
    rest += 4.0 * xy.between_centred() / (n * m)
    return squared_norm_estimate(value, plug_in=plug_in, linear=linear, rest=rest, level=level)


@final
@dataclass(frozen=True, eq=False)
class _Sums:
    """Sums of a block of the kernel matrix, less a constant: over its columns (`rows`), its rows (`columns`), and of
    its squares; the diagonal of a set with itself is summed apart and left out of the rest."""

    rows: Tensor
    columns: Tensor
    squares: float
    diagonal: float = 0.0

    @property
    def total(self) -> float:
        return float(self.rows.sum())

    def own_centred(self) -> float:
        """E k~(X, X')^2 = E k^2 - 2 E (E[k | X])^2 + (E k)^2 from distinct rows, the middle one without bias."""
        n = len(self.rows)
        pairs = n * (n - 1)
        given = (float((self.rows**2).sum()) - self.squares) / (pairs * (n - 2))
        return max(0.0, self.squares / pairs - 2.0 * given + (self.total / pairs) ** 2)

    def between_centred(self) -> float:
        """E k~(X, Y)^2 = E k^2 - E (E[k | X])^2 - E (E[k | Y])^2 + (E k)^2."""
        n, m = len(self.rows), len(self.columns)
        given_x = (float((self.rows**2).sum()) - self.squares) / (n * m * (m - 1))
        given_y = (float((self.columns**2).sum()) - self.squares) / (n * m * (n - 1))
        return max(0.0, self.squares / (n * m) - given_x - given_y + (self.total / (n * m)) ** 2)


def _own(kernel: Kernel, x: Tensor, constant: float) -> _Sums:
    rows = x.new_zeros(len(x), dtype=torch.float64)
    squares, diagonal = 0.0, 0.0
    for i in _blocks(x):
        for j in _blocks(x):
            if j.start < i.start:
                continue
            k = kernel(x[i], x[j]).sub_(constant)
            if i == j:
                diagonal += float(k.diagonal().sum(dtype=torch.float64))
                k.fill_diagonal_(0.0)
            else:
                rows[j] += k.sum(0, dtype=torch.float64)
            rows[i] += k.sum(1, dtype=torch.float64)
            squares += float(k.square_().sum(dtype=torch.float64)) * (1.0 if i == j else 2.0)
    return _Sums(rows, rows, squares, diagonal)


def _between(kernel: Kernel, x: Tensor, y: Tensor, constant: float) -> _Sums:
    rows, columns = (part.new_zeros(len(part), dtype=torch.float64) for part in (x, y))
    squares = 0.0
    for i in _blocks(x):
        for j in _blocks(y):
            k = kernel(x[i], y[j]).sub_(constant)
            rows[i] += k.sum(1, dtype=torch.float64)
            columns[j] += k.sum(0, dtype=torch.float64)
            squares += float(k.square_().sum(dtype=torch.float64))
    return _Sums(rows, columns, squares)


def _blocks(x: Tensor) -> Iterator[slice]:
    tile = _CACHED_TILE if x.device.type == "cpu" else _TILE
    return (slice(start, min(len(x), start + tile)) for start in range(0, len(x), tile))
