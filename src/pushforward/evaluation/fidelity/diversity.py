"""How varied a set is: the Vendi score, the inception score, and the birthday test of support size.

- Vendi score (Friedman and Dieng 2023): exp of the entropy of the eigenvalues of K/n, K_ij = k(x_i, x_j), k(x, x) = 1:
  the effective number of different rows, 1 where all are equal, n where none resembles another. For the linear kernel
  of unit-norm rows (the cosine) these are the eigenvalues of X'X/n, `(d, d)`, so n may be any number.
- Inception score (Salimans et al. 2016): exp E KL(p(label | x) || p(label)), between 1 and the number of classes.
- Birthday test (Arora, Risteski and Zhang 2018): s draws from N equally likely things hold a repetition with
  probability 1 - prod_{i<s} (1 - i/N), one half at s ~ sqrt(2 N ln 2). The share of near-equal pairs estimates
  sum_i p_i^2, whose inverse is N for a uniform support, and at most the size of the support always.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, final

import torch
from torch import Tensor

from ...errors import InputError
from ...fitters.kernel import Kernel, minus_squared_distances
from ...twosample.inputs import as_rows
from ...witness import Estimate
from .inputs import check_level
from .squared_norms import without_interval

_MOST_ROWS = 6_000  # of a kernel matrix held whole
_TILE = 1024


def vendi_score(
    *, fake: Any, kernel: Kernel | None = None, order: float = 1.0, groups: int = 20, seed: int = 0, level: float = 0.95
) -> Estimate:
    """The effective number of different rows among features `(n, d)`, from 1 to n.

    By default the cosine of the rows (a row of zeros resembles only its like). `kernel` is any other with k(x, x) = 1,
    for at most 6,000 rows. `order` q: exp of Renyi's entropy of order q (1: Shannon's; larger: rare kinds count less).
    The interval is the delete-a-group jackknife's (`groups` of rows, dealt by `seed`; 0: none); it is for the score
    that n rows have on average, since the score grows with n until every kind was seen. With a kernel: no interval
    (NaN).
    """
    check_level(level)
    rows = as_rows(fake, "fake", at_least=2).double()
    if order < 0.0:
        raise InputError(f"order {order}: must be 0 or more")
    if kernel is not None:
        if len(rows) > _MOST_ROWS:
            raise InputError(f"fake has {len(rows):,} rows, and a kernel matrix is held for {_MOST_ROWS:,} at most")
        return without_interval(_effective(_eigenvalues(kernel(rows, rows)) / len(rows), order), level)
    blank = (rows == 0.0).all(1, keepdim=True)
    unit = torch.cat([torch.nn.functional.normalize(rows), blank.double()], 1)
    if len(unit) <= unit.shape[1]:  # the spectrum of the smaller of X X' and X'X
        return without_interval(_effective(_eigenvalues(unit @ unit.T) / len(unit), order), level)
    groups = min(max(1, groups), len(unit) // 2)
    order_of_rows = torch.randperm(len(unit), generator=torch.Generator().manual_seed(seed)).to(unit.device)
    parts = unit[order_of_rows].tensor_split(groups)
    grams = [part.T @ part for part in parts]
    whole = torch.stack(grams).sum(0)
    value = _effective(_eigenvalues(whole) / len(unit), order)
    if groups == 1:
        return without_interval(value, level)
    without = [
        math.log(_effective(_eigenvalues(whole - gram) / (len(unit) - len(part)), order))
        for gram, part in zip(grams, parts, strict=True)
    ]
    return _around_log(value, without, (1.0, float(len(unit))), level)


def inception_score(*, fake: Any, splits: int = 1, level: float = 0.95) -> Estimate:
    """exp of the mean KL divergence of class probabilities `(n, K)` of fakes from their average: from 1 to K.

    `splits` > 1: the mean over that many runs of consecutive rows, as often published (10). The interval comes from
    the delete-one jackknife. `InputError` for negative probabilities and for rows that do not sum to 1.
    """
    check_level(level)
    p = as_rows(fake, "fake (class probabilities)", at_least=2).double()
    if bool((p < 0.0).any()) or not torch.allclose(p.sum(1), p.new_ones(()), atol=1e-4):
        raise InputError("fake must hold class probabilities: no value below 0 and every row summing to 1 (softmax)")
    if not 1 <= splits <= len(p) // 2:
        raise InputError(f"splits {splits}: must lie between 1 and {len(p) // 2}, half the rows")
    parts = [_inception(part) for part in p.tensor_split(splits)]
    value = sum(value for value, _ in parts) / splits
    stderr = math.sqrt(sum((score * error) ** 2 for score, error in parts)) / splits
    return _log_normal(value, stderr / value, (1.0, float(p.shape[1])), level)


@final
@dataclass(frozen=True)
class Birthday:
    """`pairs` near-equal pairs among `rows` rows; their share `collision` of all pairs, and the `support` size
    1/collision (its interval's upper end is infinite where no repetition may exist); `half`: the rows among which a
    repetition is as likely as not."""

    rows: int
    pairs: int
    threshold: float
    collision: Estimate
    support: Estimate
    half: float


def birthday_test(*, fake: Any, threshold: float = 0.0, level: float = 0.95) -> Birthday:
    """How large a support the rows `(n, d)` speak for: the share of pairs at a Euclidean distance <= `threshold`.

    All pairs are looked at, by tiles. The share is a U-statistic of sum_i p_i^2 = q; its interval joins the Poisson
    error of few pairs with the variance of the first order, 4 var(share of rows equal to x)/n. A continuous law has no
    repetitions: there, only a comparison with real rows at the same threshold says something.
    """
    check_level(level)
    rows = as_rows(fake, "fake").double()
    if not 0.0 <= threshold < math.inf:
        raise InputError(f"threshold {threshold}: must be a distance, 0 or more")
    matches = near_pairs(rows, threshold)
    n = len(rows)
    total, pairs = n * (n - 1) // 2, int(matches.sum()) // 2
    q = pairs / total
    share = matches.double() / (n - 1)
    # the sample variance of the shares exceeds that of their means by the binomial noise of each
    first = max(0.0, float(share.var()) - q * (1.0 - q) / (n - 1))
    low, high = _poisson_like(pairs, total, 4.0 * first / n, level)
    stderr = math.sqrt(4.0 * first / n + q * (1.0 - q) / total)
    inverse = Estimate(_inverse(q), stderr * _inverse(q) ** 2 if q else math.inf, _inverse(high), _inverse(low), level)
    return Birthday(n, pairs, threshold, Estimate(q, stderr, low, high, level), inverse, median_sample(_inverse(q)))


def repetition_probability(support: float, rows: int) -> float:
    """P(some two of `rows` draws from `support` equally likely things are equal) = 1 - prod_{i < rows} (1 - i/support).

    >>> round(repetition_probability(365, 23), 3)
    0.507
    """
    if support < 1 or rows < 0:
        raise InputError(f"support {support} and rows {rows}: give at least 1 thing and no fewer than 0 rows")
    if rows > support:
        return 1.0
    i = torch.arange(rows, dtype=torch.float64)
    return -math.expm1(float(torch.log1p(-i / support).sum()))


def median_sample(support: float) -> float:
    """sqrt(2 N ln 2): the rows among which a repetition is about as likely as not, for N equally likely things."""
    return math.sqrt(2.0 * support * math.log(2.0))


def near_pairs(rows: Tensor, threshold: float) -> Tensor:
    """`(n,)`: how many other rows lie within `threshold` of each; at 0, how many are equal to it bit for bit."""
    if threshold == 0.0:
        _, inverse, counts = torch.unique(rows, dim=0, return_inverse=True, return_counts=True)
        repeated: Tensor = counts[inverse] - 1
        return repeated
    z = rows - rows.mean(0)
    matches = torch.zeros(len(z), dtype=torch.int64, device=z.device)
    for part, found in zip(z.split(_TILE), matches.split(_TILE), strict=True):
        for other in z.split(_TILE):
            found += (minus_squared_distances(part, other) >= -(threshold**2)).sum(1)
    return (matches - 1).clamp_min(0)  # a row lies within any threshold of itself


def _effective(eigenvalues: Tensor, order: float) -> float:
    p = eigenvalues.clamp_min(0.0)
    p = p / p.sum()
    if order == 1.0:
        return math.exp(-float(torch.special.xlogy(p, p).sum()))
    if math.isinf(order):
        return 1.0 / float(p.max())
    p = p[p > len(p) * torch.finfo(p.dtype).eps]  # at order 0 rounding would count
    return math.exp(math.log(float((p**order).sum())) / (1.0 - order))


def _eigenvalues(matrix: Tensor) -> Tensor:
    values: Tensor = torch.linalg.eigvalsh(matrix)
    return values


def _inception(p: Tensor) -> tuple[float, float]:
    """The score of one split and the jackknife's standard error of its logarithm."""
    xlogy: Callable[[Tensor, Tensor], Tensor] = torch.special.xlogy
    n = len(p)
    own, total = xlogy(p, p).sum(1), p.sum(0)
    mean = total / n
    left = (total - p).clamp_min(0.0) / (n - 1)
    without = (own.sum() - own) / (n - 1) - xlogy(left, left).sum(1)
    log_score = float(own.mean() - xlogy(mean, mean).sum())
    error = math.sqrt((n - 1) / n * float(((without - without.mean()) ** 2).sum()))
    return math.exp(log_score), error


def _around_log(value: float, without: list[float], bounds: tuple[float, float], level: float) -> Estimate:
    """The delete-a-group jackknife of the logarithm, with Student's quantile."""
    from scipy.stats import t

    k = len(without)
    logs = torch.tensor(without, dtype=torch.float64)
    error = math.sqrt((k - 1) / k * float(((logs - logs.mean()) ** 2).sum()))
    return _log_normal(value, error, bounds, level, float(t.ppf(0.5 + level / 2.0, k - 1)))


def _log_normal(
    value: float, error: float, bounds: tuple[float, float], level: float, quantile: float | None = None
) -> Estimate:
    """value times exp(+- z error), within `bounds`."""
    from scipy.stats import norm

    z = float(norm.ppf(0.5 + level / 2.0)) if quantile is None else quantile
    low, high = value * math.exp(-z * error), value * math.exp(z * error)
    return Estimate(value, value * error, max(min(bounds[0], value), low), min(max(bounds[1], value), high), level)


def _poisson_like(pairs: int, total: int, first: float, level: float) -> tuple[float, float]:
    """The exact interval of a Poisson count, widened by the variance `first` of what the count's mean depends on."""
    from scipy.stats import chi2, norm

    tail = (1.0 - level) / 2.0
    q = pairs / total
    low = float(chi2.ppf(tail, 2 * pairs)) / 2.0 / total if pairs else 0.0
    high = float(chi2.isf(tail, 2 * pairs + 2)) / 2.0 / total
    more = float(norm.isf(tail)) * math.sqrt(first)
    return max(0.0, q - math.hypot(q - low, more)), min(1.0, q + math.hypot(high - q, more))


def _inverse(q: float) -> float:
    return 1.0 / q if q > 0.0 else math.inf
