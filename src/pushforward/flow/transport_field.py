"""The Wasserstein velocity: how far entropic transport sends each row, debiased.

With the plan of entropic transport at the cost |x - y|^2/2 and eps = blur^2 (`fitters.sinkhorn`), a row y_i is sent to
the mean of its partners, T(y_i) = sum_j pi_ij x_j / sum_j pi_ij. Transport of the model to itself sends it to a mean
S(y_i) which is not y_i either, the bias that the blur causes, so the displacement is

    T(y_i) - S(y_i) = -m grad_{y_i} S_eps,    S_eps the Sinkhorn divergence

(Feydy et al. 2019; Pooladian, Cuturi and Niles-Weed 2022): a unit step of its Wasserstein gradient flow. Between
N(a, A) and N(b, B) in one dimension T - S = a - b + (c(A, B) - c(B, B)) (y - b)/B with c(A, B) = (sqrt(4AB + eps^2) -
eps)/2 (Janati et al. 2020), which tends to the optimal map as eps falls.

A flow needs no exact marginals at each of its steps, so the potentials are not solved to the end: the temperature
falls by factors of 4 from the data's diameter to eps, with `SWEEPS` updates at each and `LAST` at eps. T is a mean of
data whatever the potentials.
"""

import math
from collections.abc import Iterator

import torch
from jaxtyping import Float
from torch import Tensor

from pushforward.flow.tiles import log_sum, tiles, weighted

SWEEPS, LAST = 2, 12  # updates of the potentials at each temperature, and at the last
_COOLING = 0.25


def entropic_displacement(
    y: Float[Tensor, "m d"], x: Float[Tensor, "n d"], blur: float, *, span: float | None = None, last: int = LAST
) -> Float[Tensor, "m d"]:
    """T - S at the rows of `y` `(m, d)`, between it and the data `x` `(n, d)`.

    `span` is the width from which the temperature falls (by default, that of the rows; giving one saves looking at
    them), `last` the number of updates at eps.
    """
    centre = x.mean(0)
    data, model = x - centre, y - centre
    f, g, alone = x.new_zeros(len(x)), y.new_zeros(len(y)), y.new_zeros(len(y))
    for eps in _temperatures(_span(data, model) if span is None else span, blur, last):
        to_f, to_g = _transform(data, model, g, eps), _transform(model, data, f, eps)
        f, g = 0.5 * (f + to_f), 0.5 * (g + to_g)
        alone = 0.5 * (alone + _transform(model, model, alone, eps))
    eps = blur**2
    f = _transform(data, model, _transform(model, data, f, eps), eps)
    return _partners(model, data, f, eps) - _partners(model, model, alone, eps)


def _transform(rows: Tensor, points: Tensor, potential: Tensor, eps: float) -> Tensor:
    """-eps ln mean_j exp((g_j - |row - point_j|^2/2)/eps) `(r,)`: the potential of `rows` that fits the points'."""
    parts = [log_sum(exponents) for exponents in _scores(rows, points, potential, eps)]
    return 0.5 * (rows * rows).sum(1) - eps * (torch.cat(parts) - math.log(len(points)))


def _partners(rows: Tensor, points: Tensor, potential: Tensor, eps: float) -> Tensor:
    """The mean of the points that each row is sent to `(r, d)`."""
    return torch.cat([weighted(exponents, points)[1] for exponents in _scores(rows, points, potential, eps)])


def _scores(rows: Tensor, points: Tensor, potential: Tensor, eps: float) -> Iterator[Tensor]:
    """(g_j - |row - point_j|^2/2)/eps less what depends on the row alone, a few rows at a time."""
    level = (potential - 0.5 * (points * points).sum(1)) / eps
    for part in tiles(len(rows), points):
        yield torch.addmm(level, rows[part], points.T, alpha=1.0 / eps)


def _span(data: Tensor, model: Tensor) -> float:
    low, high = torch.minimum(data.amin(0), model.amin(0)), torch.maximum(data.amax(0), model.amax(0))
    return float(torch.linalg.vector_norm(high - low))


def _temperatures(span: float, blur: float, last: int) -> list[float]:
    """eps of each update."""
    falls = max(0, math.ceil(2.0 * math.log(span / blur) / -math.log(_COOLING)))
    return [blur**2 * _COOLING**-k for k in range(falls, 0, -1) for _ in range(SWEEPS)] + [blur**2] * last
