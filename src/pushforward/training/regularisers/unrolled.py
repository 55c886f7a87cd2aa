"""A regulariser that lets the generator see how the critic will answer."""

from __future__ import annotations

import torch
from torch import Tensor

from ..draw import Draw
from .base import Play, Regulariser, Score


class Unroll(Regulariser):
    """The generator plays against the critic as `steps` of its own descent would leave it (Metz et al. 2017, eq. 5-7).

        w_0 = w,   w_{i+1} = w_i - rate grad_w loss_D(w_i; x, G(z)),   the generator descends loss_G(D_{w_k}),

    whose gradient goes through the steps as well: what the critic would learn from a sample counts against it. The
    steps are plain descent of the objective, without charges, on the batch at hand; the critic itself is not moved.
    """

    name = "unroll"

    def __init__(self, steps: int, *, rate: float = 0.1) -> None:
        super().__init__()
        self.steps, self.rate = steps, rate

    def opponent(self, play: Play) -> Score:
        weights: dict[str, Tensor] = dict(play.network.named_parameters())
        for _ in range(self.steps):
            score = play.score(weights)
            loss = play.loss(score(play.x), score(play.y))
            found = torch.autograd.grad(
                loss, list(weights.values()), create_graph=True, allow_unused=True, materialize_grads=True
            )
            slopes = _mean(found, play.draw)
            weights = {name: w - self.rate * slope for (name, w), slope in zip(weights.items(), slopes, strict=True)}
        return play.score(weights)


def _mean(slopes: tuple[Tensor, ...], draw: Draw) -> tuple[Tensor, ...]:
    """The mean of every slope over the processes, differentiable."""
    if draw.world_size == 1:
        return slopes
    flat = draw.gather(torch.cat([slope.flatten() for slope in slopes])[None]).mean(0)
    parts = flat.split([slope.numel() for slope in slopes])
    return tuple(part.view_as(slope) for part, slope in zip(parts, slopes, strict=True))
