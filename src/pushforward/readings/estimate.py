"""The estimate reading: what the gap of a witness is worth on samples it was not fitted on.

gap = mean phi(x) - mean psi(y); for independent samples its variance is var phi(x)/n + var psi(y)/m, and the interval
is normal. For a certified witness the gap's expectation is a lower bound of the divergence, so `low` is a lower
confidence limit of the divergence itself (at half of 1 - level). On the rows that the witness was fitted on the same
number is optimistic and bounds nothing.
"""

import math

import torch
from jaxtyping import Float
from torch import Tensor

from pushforward.errors import InputError
from pushforward.witness import Estimate, Witness

__all__ = ["Estimate", "estimate"]


def estimate(w: Witness, x: Float[Tensor, "n *d"], y: Float[Tensor, "m *d"], *, level: float = 0.95) -> Estimate:
    """The gap of `w` on data `x` and model samples `y`, with its standard error and normal interval at `level`.

    In the divergence's own units. Needs two rows on each side (`InputError`).
    """
    if min(len(x), len(y)) < 2:
        raise InputError(f"a standard error needs at least two rows on each side, not {len(x)} and {len(y)}")
    with torch.no_grad():
        a, b = w.phi(x).double(), w.psi(y).double()
    stderr = math.sqrt(float(a.var() / len(a) + b.var() / len(b)))
    return Estimate.normal(float(a.mean() - b.mean()), stderr, level)
