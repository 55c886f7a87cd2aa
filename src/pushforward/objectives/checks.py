"""A user's own objective is looked at once, before it costs a run: shapes, NaN, and whether it can teach anything."""

from __future__ import annotations

import torch
from torch import Tensor

from pushforward.errors import InputError
from pushforward.objectives.objective import Loss, Objective

ROWS, WIDE = 4, 3  # of the batches it is tried on, and the numbers of a row where they are several


def check(one: Objective) -> None:
    """Both losses at one small batch of values in [-1, 1]; `InputError` in one sentence for what is wrong."""
    outputs = one.outputs if one.reads == "embedding" else 1
    if outputs < 1 or (one.reads == "scores" and one.outputs != 1):
        raise InputError(
            f"the objective {one.name!r} reads {one.reads}, for which outputs={one.outputs} makes no sense"
        )
    if one.critic is None and one.reads != "data":
        raise InputError(
            f"the objective {one.name!r} reads {one.reads} but has no critic; give it one, or reads='data'"
        )
    if one.critic is not None and one.reads == "data":
        raise InputError(f"the objective {one.name!r} reads the data themselves, so its critic must be None")
    scores, hidden = ("embedding" if outputs > 1 else "scores"), {"features": WIDE, "data": WIDE}
    if one.critic is not None:
        _try(one, "critic", one.critic, *_batches(outputs), f"{scores} of data and of samples")
    _try(one, "generator", one.generator, *_batches(hidden.get(one.reads, outputs)), one.reads)


def _batches(width: int) -> tuple[Tensor, Tensor]:
    shape = (ROWS,) if width == 1 else (ROWS, width)
    a = torch.linspace(-0.9, 1.0, ROWS * width).reshape(shape)
    return a.requires_grad_(), (a.detach().flip(0) * 0.8 - 0.05).requires_grad_()


def _try(one: Objective, player: str, loss: Loss, a: Tensor, b: Tensor, what: str) -> None:
    says = f"the {player} loss of the objective {one.name!r}"
    given = f"two {tuple(a.shape)} tensors ({what})"
    try:
        found = loss(a, b)
    except Exception as error:
        raise InputError(f"{says} fails on {given}: {type(error).__name__}: {error}") from error
    if not isinstance(found, Tensor) or tuple(found.shape) not in ((ROWS,), ()):
        came = f"shape {tuple(found.shape)}" if isinstance(found, Tensor) else type(found).__name__
        raise InputError(f"{says} gives {came} for {given}; it must give one value per row, ({ROWS},), or one, ()")
    slopes: tuple[Tensor | None, ...] = (None,)
    if found.requires_grad:
        slopes = torch.autograd.grad(found.sum(), (a, b) if player == "critic" else (b,), allow_unused=True)
    if not all(bool(value.isfinite().all()) for value in (found, *slopes) if value is not None):
        raise InputError(
            f"{says} or its gradient is not finite for values in [-1, 1]: look at its logarithms and roots"
        )
    if all(slope is None or not bool((slope != 0).any()) for slope in slopes):
        raise InputError(f"{says} has no gradient in what it reads, so nothing would learn from it")
