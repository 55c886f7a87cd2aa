"""Regularisers that charge for the scores themselves."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn.functional import softplus

from ...objectives import Objective
from ..draw import Draw
from ..penalties import lecam
from .base import Regulariser, Scene


class LeCam(Regulariser):
    """weight (|D(x) - mean D(y)|^2 + |D(y) - mean D(x)|^2), the means moving ones over earlier steps (Tseng 2021).

    Each mean is sum_i decay^(t-i) (1 - decay) D_i / (1 - decay^t), free of the zero that it starts from; at the first
    step there is none, and no charge.
    """

    name = "lecam"
    data: Tensor
    samples: Tensor
    known: Tensor

    def __init__(self, weight: float, *, decay: float = 0.99) -> None:
        super().__init__()
        self.weight, self.decay = weight, decay
        for name in ("data", "samples", "known"):
            self.register_buffer(name, torch.zeros(()))

    def charge(self, scene: Scene) -> Tensor:
        # the means as they are now: `observe` will move them in place
        data, samples = self.data / self.known.clamp_min(1e-12), self.samples / self.known.clamp_min(1e-12)
        return lecam(scene.a, scene.b, data, samples, self.weight) * (self.known > 0)

    def observe(self, scene: Scene) -> None:
        one = self.known.new_ones(())
        means = (scene.draw.gather(side.detach()).mean() for side in (scene.a, scene.b))
        for mean, now in zip((self.data, self.samples, self.known), (*means, one), strict=True):
            mean.lerp_(now.to(mean.dtype), 1 - self.decay)


class Smooth(Regulariser):
    """One-sided label smoothing (Salimans et al. 2016, section 3.4): data are labelled 1 - s, samples 0.

    Cross-entropy with the label 1 - s costs (1 - s) sp(-a) + s sp(a) = sp(-a) + s a, as sp(a) - sp(-a) = a: the extra
    charge is s D(x). The critic's optimum is then log((1 - s) p / (q + s p)), at most log((1 - s) / s).
    """

    name = "smooth"

    def __init__(self, amount: float) -> None:
        super().__init__()
        self.amount = amount

    def charge(self, scene: Scene) -> Tensor:
        return self.amount * scene.a


class Consistency(Regulariser):
    """Balanced consistency: weight (|D(x) - D(T(x))|^2 + |D(y) - D(T(y))|^2), T a random change (Zhao et al. 2021)."""

    name = "bcr"

    def __init__(self, weight: float, change: Callable[[Tensor, Draw], Tensor]) -> None:
        super().__init__()
        self.weight, self.change = weight, change

    def charge(self, scene: Scene) -> Tensor:
        # one side after the other, as each draws for its own rows
        return self.weight * (self._off(scene, scene.x, scene.a) + self._off(scene, scene.y, scene.b))

    def _off(self, scene: Scene, rows: Tensor, scores: Tensor) -> Tensor:
        joint, rows = getattr(scene.network, "joint", None), rows.detach()
        if joint is None:
            changed = self.change(rows, scene.draw)
        else:  # of joint rows, only the data in them
            parts = enumerate(joint.split(rows))
            changed = joint.join(*(self.change(p, scene.draw) if i in joint.viewed else p for i, p in parts))
        off = scores - scene.critic(changed)
        return off.reshape(len(off), -1).square().sum(1)


def jitter(deviation: float) -> Callable[[Tensor, Draw], Tensor]:
    """Adds N(0, deviation^2) to every entry."""

    def change(rows: Tensor, draw: Draw) -> Tensor:
        return rows + deviation * draw.normal(len(rows), *rows.shape[1:]).to(rows.dtype)

    return change


def logistic(objective: Objective) -> bool:
    """Whether the critic's loss is sp(-a) + sp(b), but for a constant."""
    if objective.critic is None or objective.reads != "scores" or objective.joint:
        return False
    a, b = (side.flatten() for side in torch.meshgrid(*[torch.linspace(-3, 3, 7).double()] * 2, indexing="ij"))
    off = objective.critic(a, b) - softplus(-a) - softplus(b)
    return bool((off - off.mean()).abs().max() < 1e-6)
