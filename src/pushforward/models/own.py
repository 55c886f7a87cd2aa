"""Networks of the user's own: what they give is looked at once, before training."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ..errors import InputError


def check(generator: nn.Module, critic: nn.Module | None, x: Tensor, scores: int, outputs: int) -> None:
    """One batch through both: the generator must give rows shaped like the encoded data `x` `(n, *event)`, the critic
    `scores` scores (of `outputs` numbers, where those are several) for them. `InputError` says what came instead."""
    if not hasattr(generator, "noise"):
        raise InputError(
            f"the generator {type(generator).__name__} has no method noise(n, *, generator), which draws its input; "
            "add one that returns n rows of noise"
        )
    with torch.no_grad():
        z = generator.noise(len(x), generator=torch.Generator().manual_seed(0))  # type: ignore[operator]
        y = generator(z)
        if tuple(y.shape) != tuple(x.shape):
            raise InputError(
                f"the generator gives {_shape(y)} for {len(x)} rows of noise, but the encoded data are {_shape(x)}; "
                "make its last layer give that"
            )
        if critic is None:
            return
        found = critic(torch.cat([x, y]))
    expected = (2 * scores,) if outputs == 1 else (2 * scores, outputs)
    if tuple(found.shape) != expected:
        raise InputError(
            f"the critic gives {_shape(found)} for {2 * len(x)} rows, but {expected} is expected, one score per row; "
            "squeeze its last dimension" + (f" or give it {outputs} outputs" if outputs > 1 else "")
        )


def _shape(rows: Tensor) -> str:
    return str(tuple(rows.shape))
