"""The Frechet distance between the Gaussians of two sets of features, without its bias and with an interval.

    FD = |m1 - m2|^2 + tr S1 + tr S2 - 2 |S1^1/2 S2^1/2|_*          (|.|_*: the sum of singular values)

(Dowson and Landau 1982; on Inception features the "FID" of Heusel et al. 2017). The last term is the sum of the square
roots of the eigenvalues of L' S1 L with S2 = L L', symmetric: a Cholesky factor and one `eigvalsh` instead of a matrix
square root. Where rounding could matter there (singular or nearly singular covariances), it is the sum of singular
values of a product of two roots; with fewer rows than dimensions, of A B' for the centred, scaled rows A and B.

*Bias.* From samples, FD is too large by (1/n + 1/m)(d + d(d+1)/4) between equal N(0, I), and by c/n in general. To
second order, T = |D|^2 with D an average over rows, D = delta + noise. Cut both sets into halves, + and -, at random:
D+- = D +- E, where E is distributed like the noise of D. Hence over many halvings

    mean of (T+ + T-)/2 - T  =  mean |E|^2      estimates the bias, so that 2 T - mean T_half is without it;
    B = var of (T+ + T-)/2                      estimates the variance that remains where FD = 0, 2 tr Sigma^2;
    A = mean of ((T+ - T-)/2)^2                 estimates 4 D' Sigma D, which is 4 delta' Sigma delta + 2 B on average.

This is subsampling at half the rows (Politis, Romano and Wolf 1999), with the two rates of FD = 0 and FD > 0 kept
apart; the interval follows from A and B as in `squared_norms`. The halvings are balanced: the rows are dealt into g
groups, whose moments are taken once, and the rows of a Hadamard matrix say which of them form a half (McCarthy 1969):
g - 1 halvings.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from ...errors import InputError
from ...witness import Estimate
from .inputs import check_level, two_sets
from .moments import Moments
from .squared_norms import squared_norm_estimate, without_interval

_LOST = 1e-9  # of the traces: what rounding may take from the fast route
_CELLS = 8_000_000  # values of covariances held at once while halvings are evaluated


def frechet_distance(
    *, real: Any, fake: Any, correct: bool = True, groups: int | None = None, seed: int = 0, level: float = 0.95
) -> Estimate:
    """The Frechet distance of features `(n, d)` and `(m, d)`, in squared units of the features.

    `correct`: without the bias of finite samples and with an interval that holds for the distance of the two
    distributions, at FD = 0 too; the value may then be slightly negative (`low` and `high` are at least 0, but that
    `low` is never above the value). Costs 2 (groups - 1) further evaluations; the two sets must be independent.
    `groups` (a power of 2; by default 64 for d <= 32, 32 for d <= 256, else 8) are dealt at random by `seed`.
    `correct=False`: the plug-in, as other libraries give it; its error is mostly bias, so it has no interval (NaN).

    `InputError` for features that do not fit, and with `correct` for fewer than 3 d rows in a set.
    """
    check_level(level)
    x, y = two_sets(real, fake)
    if not correct:
        value = _of_few_rows(x, y) if min(len(x), len(y)) <= x.shape[1] else _plug_in(x, y)
        return without_interval(value, level)
    least, width = min(len(x), len(y)), x.shape[1]
    _check_rows(least, width)
    count = _group_count(least, width, groups)
    found = []
    for stream, rows in enumerate((x, y)):
        moments = Moments(width, groups=count, device=x.device)
        generator = torch.Generator().manual_seed(2 * seed + stream)
        moments.update(rows, torch.randperm(len(rows), generator=generator) % count)
        found.append(moments)
    return frechet_of_groups(real=found[0], fake=found[1], level=level)


def frechet_from_moments(
    *, real_mean: Tensor, real_covariance: Tensor, fake_mean: Tensor, fake_covariance: Tensor
) -> float:
    """FD between N(m1, S1) and N(m2, S2), means `(d,)` and covariances `(d, d)`, which may be singular; float64."""
    parts = [torch.as_tensor(part).double() for part in (real_mean, real_covariance, fake_mean, fake_covariance)]
    d = len(parts[0]) if parts[0].ndim == 1 else -1
    if [tuple(part.shape) for part in parts] != [(d,), (d, d)] * 2:
        shapes = ", ".join(str(tuple(part.shape)) for part in parts)
        raise InputError(f"a Frechet distance needs means (d,) and covariances (d, d) of one d, not {shapes}")
    if not all(bool(torch.isfinite(part).all()) for part in parts):
        raise InputError("the moments hold NaN or infinite values; compute them anew from finite features")
    return float(_frechet(*parts))


def spatial_frechet(
    *,
    real: Any,
    fake: Any,
    channels: int = 7,
    correct: bool = True,
    groups: int | None = None,
    seed: int = 0,
    level: float = 0.95,
) -> Estimate:
    """sFID: the Frechet distance of feature maps `(n, c, h, w)`: where things are, not only what there is.

    After Nash et al. (2021, section 4.1) the first `channels` channels are flattened to `channels * h * w` features
    with their positions (7 x 17 x 17 = 2023 for Inception's `mixed_6`); nothing is averaged over positions. The rest is
    `frechet_distance`.
    """
    maps = []
    for name, values in (("real", real), ("fake", fake)):
        tensor = torch.as_tensor(values)
        if tensor.ndim != 4:
            raise InputError(f"{name} has shape {tuple(tensor.shape)}; a spatial distance needs maps (n, c, h, w)")
        maps.append(tensor[:, :channels].flatten(1))
    return frechet_distance(real=maps[0], fake=maps[1], correct=correct, groups=groups, seed=seed, level=level)


def frechet_of_groups(*, real: Moments, fake: Moments, level: float = 0.95) -> Estimate:
    """The corrected distance and its interval from `Moments` in a power of 2 of groups, dealt at random.

    With one group: the plug-in, without an interval.
    """
    if real.mean.shape != fake.mean.shape:
        raise InputError(
            f"real has moments of {real.groups} groups of {real.width} values and fake of {fake.groups} of "
            f"{fake.width}; they must be alike"
        )
    both = [(moments, moments.union(moments.count.new_ones(1, moments.groups))) for moments in (real, fake)]
    value = float(_frechet(both[0][1][1], both[0][1][2], both[1][1][1], both[1][1][2])[0])
    if real.groups == 1:
        return without_interval(value, level)
    _check_rows(int(min(real.count.sum(), fake.count.sum())), real.width, real.groups)
    signs = _hadamard(real.groups)[1:].to(real.mean)
    first, second = (_halves(real, fake, (1.0 + sign * signs) / 2.0) for sign in (1.0, -1.0))
    bias = (first + second) / 2.0 - value
    estimate = value - float(bias.mean())
    linear, rest = float((((first - second) / 2.0) ** 2).mean()), float(bias.var())
    return squared_norm_estimate(estimate, plug_in=value, linear=linear, rest=rest, dof=len(signs), level=level)


def _check_rows(rows: int, width: int, groups: int = 4) -> None:
    least = max(4 * groups, 3 * width)
    if rows < least:
        raise InputError(
            f"{rows} rows of {width} features are too few to take the bias off a Frechet distance; give at least "
            f"{least}, or fewer features (principal components), or ask for no correction"
        )


def _group_count(rows: int, width: int, groups: int | None) -> int:
    if groups is None:
        groups = 64 if width <= 32 else 32 if width <= 256 else 8
        while groups > 4 and groups * 4 > rows:
            groups //= 2
    if groups < 4 or groups & (groups - 1) or 4 * groups > rows:
        raise InputError(f"groups {groups}: must be a power of 2, at least 4 and at most a quarter of the {rows} rows")
    return groups


def _halves(real: Moments, fake: Moments, members: Tensor) -> Tensor:
    """FD of the same unions of groups on both sides, `(k,)` for `members` `(k, g)`."""
    step = max(1, _CELLS // real.width**2)
    found = []
    for part in members.split(step):
        (_, m1, s1), (_, m2, s2) = real.union(part), fake.union(part)
        found.append(_frechet(m1, s1, m2, s2))
    return torch.cat(found)


def _hadamard(order: int) -> Tensor:
    """Sylvester's matrix of +-1, its first row all +1 and every other row half and half."""
    matrix = torch.ones(1, 1)
    while len(matrix) < order:
        matrix = torch.cat([torch.cat([matrix, matrix], 1), torch.cat([matrix, -matrix], 1)])
    return matrix


def _plug_in(x: Tensor, y: Tensor) -> float:
    moments = []
    for rows in (x, y):
        both = Moments(rows.shape[1], device=rows.device)
        both.update(rows)
        moments += [both.mean[0], both.covariance()]
    return float(_frechet(*moments))


def _of_few_rows(x: Tensor, y: Tensor) -> float:
    """FD where a covariance is singular: tr (S1 S2)^1/2 = |A B'|_*, A = (x - mean)/sqrt(n - 1), B likewise."""
    a, b = ((rows - rows.mean(0)) / math.sqrt(len(rows) - 1) for rows in (x.double(), y.double()))
    difference = x.double().mean(0) - y.double().mean(0)
    if max(len(a), len(b)) > a.shape[1]:  # one of them has many rows: a root of its covariance has fewer
        a, b = (rows if len(rows) <= rows.shape[1] else _root(rows.T @ rows).T for rows in (a, b))
    cross = _singular_values(a @ b.T).sum()
    return float(difference @ difference + (a * a).sum() + (b * b).sum() - 2.0 * cross)


def _frechet(m1: Tensor, s1: Tensor, m2: Tensor, s2: Tensor) -> Tensor:
    """FD of moments, batched: `(..., d)` and `(..., d, d)` -> `(...)`."""
    traces = (s1 + s2).diagonal(dim1=-2, dim2=-1).sum(-1)
    return ((m1 - m2) ** 2).sum(-1) + traces - 2.0 * _cross(s1, s2, traces)


def _cross(s1: Tensor, s2: Tensor, traces: Tensor) -> Tensor:
    """|S1^1/2 S2^1/2|_*, by the fast route where rounding allows it."""
    factor, failed = torch.linalg.cholesky_ex(s2)
    if not bool(failed.any()):
        squares: Tensor = torch.linalg.eigvalsh(factor.mT @ s1 @ factor).clamp_min(0.0)
        noise = torch.finfo(squares.dtype).eps * squares[..., -1:]
        roots = squares.sqrt()
        lost = torch.minimum(noise / (2.0 * roots), noise.sqrt()).nan_to_num(0.0).sum(-1)
        if bool((lost <= _LOST * traces).all()):
            return roots.sum(-1)
    return _singular_values(_root(s1).mT @ _root(s2)).sum(-1)


def _root(s: Tensor) -> Tensor:
    """R with R R' = S, directions without variance (to rounding) left at 0."""
    values, vectors = torch.linalg.eigh(s)
    least = values.shape[-1] * torch.finfo(values.dtype).eps * values[..., -1:].clamp_min(0.0)
    root: Tensor = vectors * torch.where(values > least, values, 0.0).sqrt()[..., None, :]
    return root


def _singular_values(matrix: Tensor) -> Tensor:
    values: Tensor = torch.linalg.svdvals(matrix)
    return values
