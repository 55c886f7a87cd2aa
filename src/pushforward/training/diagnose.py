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


def diverged(figures: Mapping[str, float]) -> str:
    """The first of the mean losses that is NaN, infinite or beyond `EXPLODED`; empty if all are sensible."""
    wrong = (name for name, value in figures.items() if not math.isfinite(value) or abs(value) > EXPLODED)
    return next(wrong, "")


def all_finite(tensors: Iterable[Tensor]) -> bool:
    """Whether every entry of every tensor is finite: one pass and one read for all of them."""
    return bool(torch.stack(torch._foreach_norm(list(tensors))).isfinite().all())


def norm(tensors: Iterable[Tensor | None]) -> Tensor:
    """The Euclidean norm of all entries together (None counts as zero)."""
    norms: Tensor = torch.stack(torch._foreach_norm([tensor for tensor in tensors if tensor is not None])).norm()
    return norms


def divergence(step: int, objective: str, kept: int | None, figure: str = "") -> TrainingDiverged:
    """The sentence: what happened (to which `figure`), what is kept, what to change."""
    checkpoint = "no checkpoint had been written" if kept is None else f"the checkpoint of step {kept} is kept"
    remedies = "lower learning_rate or raise gamma" if objective else "lower learning_rate"
    if objective not in ("rpgan", ""):
        remedies += ", or take the objective rpgan"
    what = f"its {figure.replace('_', ' ')}" if figure else "a loss or a weight"
    played = f"with the objective {objective} " if objective else ""
    return TrainingDiverged(
        f"training {played}diverged at step {step}: {what} became infinite, NaN or enormous ({checkpoint}); {remedies}"
    )
