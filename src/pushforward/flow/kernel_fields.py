"""Velocity fields between two samples in closed form: pure functions, streamed in tiles, safe in float32.

Everywhere `y` `(m, d)` are the model's rows, which are moved, `x` `(n, d)` the data, and the result `(m, d)` is the
displacement of each row of y for a unit step. With k = exp(-|.|^2/(2 s^2)), the data's and the model's rows smoothed to
the width s are p_s(y) = mean_j k(y, x_j) and q_s(y) = mean_{j != i} k(y, y_j): a row is no neighbour of its own. Then

    score difference   s^2 (grad ln p_s - grad ln q_s)  =  sum_j k x_j / sum_j k  -  sum_j k y_j / sum_j k
    MMD                s^2 (grad p_s - grad q_s) / c,      c the largest of p_s and q_s at any row of y

The first is the exact score difference of the two smoothed samples, a difference of mean shifts (Weber 2023, arXiv
2304.10027); the second the gradient of the MMD's witness (Arbel et al. 2019, eq. 8). c is a choice of time alone: with
it a unit step is about the longest that is stable, at any width.

The kernel of the MMD has no tail: rows that repel each other out of its sight, as a tight cluster of them does, stay
where they end. The score difference normalises each mean by its own mass and so sees data from anywhere.

`own` is the weight of a row among its own neighbours. 0 leaves it out, which makes q_s unbiased; but then a row alone
between two modes has its nearest others where its nearest data are, and stays where it is. A tenth lets it go to the
data, and is little among the neighbours of all others. `at` `(r, d)` are rows to evaluate a field at instead of y, none
of them one of the model's.
"""

import math
from collections.abc import Iterator, Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from pushforward.flow.tiles import FLOOR, tiles, weighted


def mean_shift_difference(
    y: Float[Tensor, "m d"],
    x: Float[Tensor, "n d"],
    width: float,
    *,
    own: float = 0.0,
    at: Float[Tensor, "r d"] | None = None,
) -> Float[Tensor, "_ d"]:
    """s^2 (grad ln p_s - grad ln q_s) at the rows of `y`, s = `width`. A single row is drawn to the data alone."""
    parts = []
    for _, to_data, to_model in _exponents(y, x, width, own, at):
        (_, near_data), (_, near_model) = weighted(to_data, x), weighted(to_model, y)
        parts.append(near_data - near_model)
    return torch.cat(parts)


def mmd_field(
    y: Float[Tensor, "m d"], x: Float[Tensor, "n d"], width: float, *, at: Float[Tensor, "r d"] | None = None
) -> Float[Tensor, "_ d"]:
    """s^2 (grad p_s - grad q_s) / c at the rows of `y`, s = `width`."""
    where, others = (y, max(1, len(y) - 1)) if at is None else (at, len(y))
    parts, tops = [], []
    for rows, to_data, to_model in _exponents(y, x, width, 0.0, at):
        (mass_p, near_data), (mass_q, near_model) = weighted(to_data, x), weighted(to_model, y)
        p, q = (mass_p - math.log(len(x))).exp(), (mass_q - math.log(others)).exp()
        parts.append(p[:, None] * (near_data - where[rows]) - q[:, None] * (near_model - where[rows]))
        tops.append(torch.maximum(p, q).amax())
    return torch.cat(parts) / torch.stack(tops).amax().clamp_min(torch.finfo(y.dtype).tiny)


def drifting_field(
    y: Float[Tensor, "m d"],
    x: Float[Tensor, "n d"],
    temperatures: Sequence[float],
    *,
    own: float = 0.0,
    at: Float[Tensor, "r d"] | None = None,
) -> Float[Tensor, "_ d"]:
    """The drifting field (Deng et al. 2026, arXiv 2602.04770, algorithm 2), summed over `temperatures`:

        V_i = (sum_j A-_ij) sum_j A+_ij x_j - (sum_j A+_ij) sum_j A-_ij y_j,
        A = (softmax over the n + m columns x softmax over the rows)^(1/2)  of  -|y_i - .| / temperature,

    A+ the part of A over the data and A- over the model. Antisymmetric in x and y, so 0 where they are alike. Three
    passes over the tiles: the nearest row of each column (taken off its exponents), the columns' sums, the field.
    """
    n, m, centre = len(x), len(y), x.mean(0)
    alone = at is not None or m == 1  # no row has a self to be kept apart from
    selves = [math.inf if alone else -t * _log(own) for t in temperatures]  # a row's distance from itself
    nearest = y.new_full((n + m,), math.inf)
    for _, lengths in _distances(y, x, at):
        nearest = torch.minimum(nearest, lengths.amin(0))
    nearests = [torch.cat([nearest[:n], nearest[n:].clamp_max(s)]) for s in selves]
    columns = [torch.zeros_like(nearest) for _ in temperatures]
    for start, lengths in _distances(y, x, at):
        for column, close, t, own_length in zip(columns, nearests, temperatures, selves, strict=True):
            if not alone:
                lengths[:, n:].diagonal(start).fill_(own_length)
            column += _decay(lengths - close, t).sum(0)
    points, parts = torch.cat([torch.cat([x, y]) - centre, y.new_ones(n + m, 1)], 1), []
    for start, lengths in _distances(y, x, at):
        total = y.new_zeros(())
        for column, close, t, own_length in zip(columns, nearests, temperatures, selves, strict=True):
            if not alone:
                lengths[:, n:].diagonal(start).fill_(own_length)
            closest = lengths.amin(1, keepdim=True)
            row = _decay(lengths - closest, t).sum(1, keepdim=True)
            a = _decay((lengths - 0.5 * closest).sub_(0.5 * close), t)
            right = points * column.rsqrt()[:, None]
            data, model = a[:, :n] @ right[:n], a[:, n:] @ right[n:]
            total = total + (model[:, -1:] * data[:, :-1] - data[:, -1:] * model[:, :-1]) / row
        parts.append(total)
    return torch.cat(parts)


def _exponents(
    y: Tensor, x: Tensor, width: float, own: float, at: Tensor | None
) -> Iterator[tuple[slice, Tensor, Tensor]]:
    """(rows, -|y - x|^2/(2 s^2), -|y - y'|^2/(2 s^2)), a few rows at a time; a row of y meets itself at ln `own`."""
    n, m, centre = len(x), len(y), x.mean(0)
    others = (torch.cat([x, y]) - centre) / width
    heights = -0.5 * (others * others).sum(1)
    queries = others[n:] if at is None else (at - centre) / width
    for rows in tiles(len(queries), others):
        q = queries[rows]
        exponents = torch.addmm(heights, q, others.T).sub_(0.5 * (q * q).sum(1, keepdim=True))
        to_data, to_model = exponents[:, :n], exponents[:, n:]
        if at is None and m > 1:
            to_model.diagonal(rows.start).fill_(_log(own))
        yield rows, to_data, to_model


def _distances(y: Tensor, x: Tensor, at: Tensor | None) -> Iterator[tuple[int, Tensor]]:
    """(first row, distances of a few rows from all of [x; y]); a row of y is infinitely far from itself."""
    n, m, centre = len(x), len(y), x.mean(0)
    others = torch.cat([x, y]) - centre
    heights = (others * others).sum(1)
    queries = others[n:] if at is None else at - centre
    for rows in tiles(len(queries), others):
        q = queries[rows]
        squares = torch.addmm(heights, q, others.T, alpha=-2.0).add_((q * q).sum(1, keepdim=True))
        if at is None and m > 1:
            squares[:, n:].diagonal(rows.start).fill_(math.inf)
        yield rows.start, squares.clamp_min_(0.0).sqrt_()


def _decay(lengths: Tensor, temperature: float) -> Tensor:
    """e^(-length/temperature) in place, no less than e^-60."""
    return lengths.mul_(-1.0 / temperature).clamp_min_(FLOOR).exp_()


def _log(weight: float) -> float:
    return math.log(weight) if weight > 0.0 else -math.inf
