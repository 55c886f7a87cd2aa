"""Likelihoods, and in which direction each is off: exact values, bounds, importance estimates, kernel estimates.

For a model density p and data x_1..x_n the negative log-likelihood is -mean_i ln p(x_i), in nats; its expectation over
the data is the entropy of the data plus KL(data || p), so of two models the one with the smaller value on HELD-OUT rows
is nearer. On the training rows it means little: a model that stores them beats the truth (`generalisation_gap`).

Bits per dimension of D values that were b whole levels spread over an interval of length s:

    bits = nll / (D ln 2) + log2(b / s),

the second term being the width of one level in the units of the density (8-bit pictures scaled to [0, 1]: + 8; scaled
to [-1, 1]: + 7; a model of the levels themselves, with masses and not densities: s = b, + 0).

A density judged on whole levels can grow without bound, so levels are first spread by noise u over their cells
(dequantisation). Jensen: ln P(x) = ln int_cell p(x + u) du >= E_q[ln p(x + u) - ln q(u|x)], with q uniform (Theis et
al. 2016) or learned (Ho et al. 2019): a lower bound of the log-likelihood, hence an UPPER bound of the bits.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TypeAlias, final

import torch
from torch import Generator, Tensor

from ...errors import InputError
from ...witness import Estimate

LogDensity: TypeAlias = Callable[[Tensor], Tensor]
"""`(n, ...) -> (n,)`: natural logarithm of the density or mass of each row."""
Noise: TypeAlias = Callable[[Tensor, Generator], tuple[Tensor, Tensor]]
"""Levels `(n, ...)` -> noise in [0, 1) of the same shape and its log density `(n,)`."""

KINDS = ("exact", "lower_bound", "importance", "estimate")
LOG_LIKELIHOOD = "nats of log-likelihood"
NLL = "nats"
BITS = "bits per dimension"
PERPLEXITY = "perplexity"
_BATCH = 8192


@final
@dataclass(frozen=True)
class Likelihood:
    """A mean over rows with its interval (the rows being the randomness), how it was got, and its units.

    `kind` speaks of the log-likelihood behind the figure: "exact"; "lower_bound" of it, in expectation; "importance",
    an importance-sampling estimate, unbiased for the likelihood and so low for its logarithm; "estimate", by a model
    of samples, off in either direction. The interval is of the mean of what was computed, whatever its `kind`.
    """

    estimate: Estimate
    kind: str
    units: str
    rows: int

    @property
    def value(self) -> float:
        return self.estimate.value

    @property
    def bound(self) -> str:
        """On which side of the truth the figure lies in expectation: "below", "above", "" (on it, or unknown)."""
        if self.kind in ("exact", "estimate"):
            return ""
        return "below" if self.units == LOG_LIKELIHOOD else "above"


def mean_of(rows: Tensor, *, kind: str, units: str, level: float = 0.95) -> Likelihood:
    """The mean of one figure for each row `(n,)` with its normal interval."""
    values = rows.detach().double().flatten()
    n = len(values)
    if n < 2:
        raise InputError(f"a mean likelihood with an interval needs at least 2 rows, not {n}; give more")
    if torch.isnan(values).any():
        place = int(torch.isnan(values).nonzero()[0, 0])
        raise InputError(f"the log-likelihood of row {place} is NaN; look at that row and at the model")
    mean = float(values.mean())
    if not math.isfinite(mean):  # a row that the model rules out: the figure is infinite, and so are its ends
        return Likelihood(Estimate(mean, math.inf, mean, mean, level), kind, units, n)
    return Likelihood(Estimate.normal(mean, float(values.std()) / math.sqrt(n), level), kind, units, n)


def log_densities(log_prob: LogDensity, x: Tensor) -> Tensor:
    """`log_prob` of all rows of `x` in float64 `(n,)`, batch by batch, without gradients."""
    if len(x) == 0:
        raise InputError("there are no rows to take the likelihood of; give at least 2")
    found = []
    with torch.no_grad():
        for part in x.split(_BATCH):
            values = log_prob(part)
            if values.shape != part.shape[:1]:
                raise InputError(
                    f"log_prob gave {tuple(values.shape)} for {len(part)} rows; it must give one number for each row"
                )
            found.append(values.double())
    return torch.cat(found)


def negative_log_likelihood(log_prob: LogDensity, x: Tensor, *, kind: str = "exact", level: float = 0.95) -> Likelihood:
    """-mean ln p(x) in nats over the rows of `x` `(n, ...)`; `kind` is that of `log_prob` (see `Likelihood`)."""
    if kind not in KINDS:
        raise InputError(f"kind {kind!r}: must be one of {', '.join(KINDS)}")
    return mean_of(-log_densities(log_prob, x), kind=kind, units=NLL, level=level)


def bits_per_dim(nll: Likelihood, dims: int, *, bins: int = 256, span: float = 1.0) -> Likelihood:
    """A negative log-likelihood in nats of rows of `dims` values as bits per dimension (module docstring).

    `bins`: the levels that a value could take; `span`: the length of the interval they were spread over before the
    density saw them (1 for [0, 1], 2 for [-1, 1], `bins` for the levels as they are).
    """
    if nll.units != NLL:
        raise InputError(f"bits per dimension are made from nats of negative log-likelihood, not from {nll.units}")
    e = nll.estimate
    value, low, high = (bits_of_nats(v, dims, bins=bins, span=span) for v in (e.value, e.low, e.high))
    stderr = e.stderr / (dims * math.log(2))
    return replace(nll, estimate=Estimate(value, stderr, low, high, e.level), units=BITS)


def bits_of_nats(nats: float, dims: int, *, bins: int = 256, span: float = 1.0) -> float:
    """`nats / (dims ln 2) + log2(bins / span)` of a plain number."""
    if dims < 1 or bins < 1 or not span > 0:
        raise InputError(f"bits per dimension need dims, bins and span above 0, not {dims}, {bins} and {span}")
    return nats / (dims * math.log(2)) + math.log2(bins / span)


def uniform_noise(levels: Tensor, generator: Generator) -> tuple[Tensor, Tensor]:
    """u ~ U[0, 1) for every value, ln q = 0."""
    u = torch.rand(levels.shape, generator=generator, dtype=torch.float64, device=levels.device)
    return u, torch.zeros(len(levels), dtype=torch.float64, device=levels.device)


def dequantised_bits(
    log_prob: LogDensity,
    levels: Tensor,
    *,
    bins: int = 256,
    low: float = 0.0,
    span: float = 1.0,
    draws: int = 1,
    noise: Noise = uniform_noise,
    generator: Generator,
    level: float = 0.95,
) -> Likelihood:
    """An upper bound of the bits per dimension of whole `levels` `(n, ...)` in 0..bins-1 under a density.

    The density `log_prob` is of values `low + span * (level + u) / bins`. With `draws` = K > 1 the bound is the tighter
    importance-weighted one, ln mean_k p(x + u_k)/q(u_k|x) (Burda et al. 2016), which tends to ln P(x) as K grows.
    """
    whole = levels.double()
    if draws < 1:
        raise InputError(f"draws {draws}: at least one draw of the noise is needed")
    if bool(((whole < 0) | (whole >= bins) | (whole != whole.round())).any()):
        raise InputError(f"levels must be whole numbers from 0 to {bins - 1}; the data as they are before any scaling")
    weights = []
    for _ in range(draws):
        u, log_q = noise(levels, generator)
        if bool(((u < 0) | (u >= 1)).any()):
            raise InputError("the dequantisation noise must lie in [0, 1), or the bound does not hold")
        spread = (low + span * (whole + u.double()) / bins).to(torch.get_default_dtype())
        weights.append(log_densities(log_prob, spread) - log_q.double())
    nats = math.log(draws) - torch.logsumexp(torch.stack(weights), 0)
    dims = whole[0].numel()
    return bits_per_dim(mean_of(nats, kind="lower_bound", units=NLL, level=level), dims, bins=bins, span=span)


def perplexity(token_log_probs: Tensor, *, mask: Tensor | None = None, level: float = 0.95) -> Likelihood:
    """exp(mean negative log-likelihood of a token) of a discrete model; uniform over V tokens it is V.

    `token_log_probs` `(n,)`, or `(n, t)` for n sequences with a `mask` `(n, t)` of what counts. The sequences are the
    randomness: tokens of one sequence depend on each other, so the interval is of a ratio of sums over sequences
    (delta method), taken on the logarithm.
    """
    log_p = token_log_probs.detach().double()
    log_p = log_p[:, None] if log_p.ndim == 1 else log_p
    counted = torch.ones_like(log_p) if mask is None else mask.double()
    if counted.shape != log_p.shape:
        raise InputError(f"mask {tuple(counted.shape)} and token_log_probs {tuple(log_p.shape)} differ in shape")
    n, tokens = len(log_p), float(counted.sum())
    if n < 2 or tokens == 0:
        raise InputError(f"a perplexity with an interval needs 2 sequences that hold tokens, not {n} with {tokens:.0f}")
    lost = -torch.where(counted > 0, log_p * counted, 0.0).sum(1)
    mean = float(lost.sum()) / tokens
    stderr = float((lost - mean * counted.sum(1)).std()) * math.sqrt(n) / tokens
    inner = Estimate.normal(mean, stderr, level)
    value, low, high = (math.exp(v) for v in (inner.value, inner.low, inner.high))
    return Likelihood(Estimate(value, value * stderr, low, high, level), "exact", PERPLEXITY, n)


def elbo(log_joint: Tensor, log_q: Tensor, *, level: float = 0.95) -> Likelihood:
    """mean_k [ln p(x, z_k) - ln q(z_k|x)], z_k ~ q: a lower bound of ln p(x) (Kingma and Welling 2014).

    `log_joint` and `log_q` `(k, n)` of k draws for each of n rows.
    """
    return mean_of(_log_weights(log_joint, log_q).mean(0), kind="lower_bound", units=LOG_LIKELIHOOD, level=level)


def iwae(log_joint: Tensor, log_q: Tensor, *, level: float = 0.95) -> Likelihood:
    """ln mean_k p(x, z_k)/q(z_k|x) (Burda et al. 2016): a lower bound in expectation, and no looser than the ELBO.

    `log_joint` and `log_q` `(k, n)` of k draws for each of n rows.
    """
    w = _log_weights(log_joint, log_q)
    return mean_of(torch.logsumexp(w, 0) - math.log(len(w)), kind="lower_bound", units=LOG_LIKELIHOOD, level=level)


def _log_weights(log_joint: Tensor, log_q: Tensor) -> Tensor:
    if log_joint.shape != log_q.shape or log_joint.ndim != 2:
        raise InputError(
            f"log_joint {tuple(log_joint.shape)} and log_q {tuple(log_q.shape)} must both be (draws, rows)"
        )
    return log_joint.detach().double() - log_q.detach().double()


def generalisation_gap(log_prob: LogDensity, *, train: Tensor, holdout: Tensor, level: float = 0.95) -> Estimate:
    """mean ln p over `train` less that over `holdout`, in nats, with Welch's normal interval.

    Of a model that knows the distribution and not the rows it is 0; above 0 the model remembers its training rows, and
    its likelihood on them, which may then exceed that of the true distribution, says nothing of its quality.
    """
    a, b = (
        mean_of(log_densities(log_prob, x), kind="exact", units=LOG_LIKELIHOOD, level=level).estimate
        for x in (train, holdout)
    )
    if not (math.isfinite(a.value) and math.isfinite(b.value)):
        return Estimate(a.value - b.value, math.inf, -math.inf, math.inf, level)
    return Estimate.normal(a.value - b.value, math.hypot(a.stderr, b.stderr), level)
