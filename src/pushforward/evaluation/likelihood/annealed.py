"""ln p(x) of a decoder-based model by annealed importance sampling (Neal 2001; Wu et al. 2017).

The generator G with a Gaussian observation model is p(z) = N(0, I), p(x|z) = N(x; G(z), sigma^2 I). From z ~ p(z) a
chain goes through f_t(z) = p(z) p(x|z)^{b_t}, 0 = b_0 < ... < b_T = 1, each transition a Hamiltonian step that leaves
f_t invariant, and collects ln w = sum_t (b_t - b_{t-1}) ln p(x|z_{t-1}). E[w] = p(x) exactly, so over K chains

    ln p^(x) = ln mean_k w_k        has expectation at most ln p(x),

a stochastic lower bound that is tight for many temperatures (Wu et al. 2017, section 3).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import final

import torch
from torch import Generator, Tensor

from ...errors import InputError
from .bits import LOG_LIKELIHOOD, Likelihood, mean_of

_ACCEPTED = 0.65  # the target of the step size (Neal 2011)


@final
@dataclass(frozen=True)
class Annealed:
    """`rows` `(n,)`: the estimate of ln p(x) of each row; `effective` `(n,)`: how many `chains` carry its weight;
    `accepted`: share of the Hamiltonian steps taken; `likelihood`: the mean over rows."""

    rows: Tensor
    effective: Tensor
    chains: int
    accepted: float
    likelihood: Likelihood


def annealed_log_likelihood(
    decode: Callable[[Tensor], Tensor],
    x: Tensor,
    *,
    latent: int,
    sigma: float,
    generator: Generator,
    chains: int = 16,
    temperatures: int = 300,
    leapfrogs: int = 10,
    step: float = 0.1,
    level: float = 0.95,
) -> Annealed:
    """Annealed importance sampling of ln p(x) for rows `x` `(n, d)` under `decode`: `(m, latent) -> (m, d)`.

    `sigma` is the standard deviation of the observations around G(z), and the figure hangs on it: choose it on held-out
    rows and quote it. The leapfrog step starts at `step` and follows the share accepted, row by row.
    """
    if x.ndim != 2 or len(x) < 2:
        raise InputError(f"x {tuple(x.shape)}: must be at least 2 rows (n, d)")
    if latent < 1 or chains < 1 or temperatures < 2 or leapfrogs < 1 or not (sigma > 0 and step > 0):
        raise InputError("latent, chains and leapfrogs must be at least 1, temperatures 2, sigma and step above 0")
    n, d = x.shape
    target = x.detach().repeat(chains, 1)  # chain k of row i stands at k n + i

    def log_observed(z: Tensor) -> Tensor:
        residual = (target - decode(z).flatten(1)).double()
        return -0.5 * (residual / sigma).square().sum(1) - d * (math.log(sigma) + 0.5 * math.log(2 * math.pi))

    z = torch.randn(chains * n, latent, generator=generator, dtype=x.dtype, device=x.device)
    schedule = torch.sigmoid(torch.linspace(-4.0, 4.0, temperatures + 1, dtype=torch.float64))
    schedule = (schedule - schedule[0]) / (schedule[-1] - schedule[0])
    steps = torch.full((n,), step, dtype=x.dtype, device=x.device)
    log_w = torch.zeros(chains * n, dtype=torch.float64, device=x.device)
    taken = 0.0
    for before, after in zip(schedule[:-1].tolist(), schedule[1:].tolist(), strict=True):
        with torch.no_grad():
            log_w += (after - before) * log_observed(z)
        z, accepted = _hamiltonian(z, after, log_observed, steps.repeat(chains), leapfrogs, generator)
        share = accepted.view(chains, n).to(x.dtype).mean(0)
        steps = steps * torch.exp(0.1 * (share - _ACCEPTED))
        taken += float(share.mean()) / temperatures
    w = log_w.view(chains, n)
    rows = torch.logsumexp(w, 0) - math.log(chains)
    effective = torch.exp(2 * torch.logsumexp(w, 0) - torch.logsumexp(2 * w, 0))
    found = mean_of(rows, kind="importance", units=LOG_LIKELIHOOD, level=level)
    return Annealed(rows, effective, chains, taken, found)


def _hamiltonian(
    z: Tensor,
    beta: float,
    log_observed: Callable[[Tensor], Tensor],
    steps: Tensor,
    leapfrogs: int,
    generator: Generator,
) -> tuple[Tensor, Tensor]:
    """One Hamiltonian Monte Carlo step `(m, latent)` at inverse temperature `beta`, and which chains took it."""

    def energy(at: Tensor) -> tuple[Tensor, Tensor]:
        with torch.enable_grad():
            at = at.detach().requires_grad_(True)
            value = 0.5 * at.double().square().sum(1) - beta * log_observed(at)
            (slope,) = torch.autograd.grad(value.sum(), at)
        return value.detach(), slope

    jitter = torch.rand(steps.shape, generator=generator, dtype=z.dtype, device=z.device)
    width = (steps * (0.7 + 0.6 * jitter))[:, None]  # paths of one length may come back to where they started
    momentum = torch.randn(z.shape, generator=generator, dtype=z.dtype, device=z.device)
    start, slope = energy(z)
    kinetic = 0.5 * momentum.double().square().sum(1)
    new, p = z, momentum - 0.5 * width * slope
    end = start
    for k in range(leapfrogs):
        new = new + width * p
        end, slope = energy(new)
        p = p - (1.0 if k < leapfrogs - 1 else 0.5) * width * slope
    change = start + kinetic - end - 0.5 * p.double().square().sum(1)
    luck = torch.rand(len(z), generator=generator, dtype=torch.float64, device=z.device)
    accepted = luck.log() < change  # NaN from a step that ran away counts as refused
    return torch.where(accepted[:, None], new, z).detach(), accepted
