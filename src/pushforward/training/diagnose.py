"""Telling that a run has gone wrong, in one sentence."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

import torch
from torch import Tensor

from ..errors import InputError

EXPLODED = 1e8  # no loss of a working run comes near


class TrainingDiverged(InputError):
    """A loss or a weight is no longer a finite number of sensible size; the message says when, and the remedy."""


def diverged(figures: Mapping[str, float]) -> bool:
    """Whether one of the mean losses is NaN, infinite or beyond `EXPLODED`."""
    return any(not math.isfinite(value) or abs(value) > EXPLODED for value in figures.values())


def all_finite(tensors: Iterable[Tensor]) -> bool:
    """Whether every entry of every tensor is finite: one pass and one read for all of them."""
    return bool(torch.stack(torch._foreach_norm(list(tensors))).isfinite().all())


def norm(tensors: Iterable[Tensor | None]) -> Tensor:
    """The Euclidean norm of all entries together (None counts as zero)."""
    norms: Tensor = torch.stack(torch._foreach_norm([tensor for tensor in tensors if tensor is not None])).norm()
    return norms


def divergence(step: int, objective: str, kept: int | None) -> TrainingDiverged:
    """The sentence: what happened, what is kept, what to change."""
    checkpoint = "no checkpoint had been written" if kept is None else f"the checkpoint of step {kept} is kept"
    remedies = "lower learning_rate or raise gamma"
    if objective != "rpgan":
        remedies += ", or take the objective rpgan"
    return TrainingDiverged(
        f"training with the objective {objective} diverged at step {step}: a loss or a weight became infinite, NaN or "
        f"enormous ({checkpoint}); {remedies}"
    )
