"""Regularisers that change what the critic sees, of data and samples alike."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from ...nets import Shape
from ..augment import diff_augment
from ..draw import Moment
from .base import Regulariser, Scene

PACE = 500_000  # rows after which the share of `Adaptive` may have gone from 0 to 1 (Karras et al. 2020, section 3.1)
MOST = 0.8  # its largest: beyond, the generator may learn the changes (section 2.2)


class Noise(Regulariser):
    """Instance noise: x + N(0, s^2) on both sides, s falling in a line from `deviation` to 0 over the share `until` of
    the run (Soenderby et al. 2017)."""

    name = "noise"

    def __init__(self, deviation: float, until: float = 1.0) -> None:
        super().__init__()
        self.deviation, self.until = deviation, until

    def at(self, progress: float) -> float:
        return self.deviation * max(0.0, 1 - progress / self.until)

    def view(self, rows: Tensor, moment: Moment) -> Tensor:
        noise = moment.draw.normal(len(rows), *rows.shape[1:]).to(rows.dtype)
        return rows + self.at(moment.progress) * noise

    def figures(self, progress: float) -> dict[str, float]:
        return {"noise": self.at(progress)}


class DiffAugment(Regulariser):
    """Every image changed at random (Zhao et al. 2020), each change with probability `share`: see `augment`."""

    name = "diffaugment"

    def __init__(self, share: float = 1.0) -> None:
        super().__init__()
        self.share = share

    def view(self, rows: Tensor, moment: Moment) -> Tensor:
        return diff_augment(rows, moment.draw, self.share)


class Adaptive(Regulariser):
    """The changes of `DiffAugment`, each with a probability p that rises while the critic knows its data too well.

    After every critic step p <- p +- n / `PACE`, by the sign of r - target, within [0, `MOST`], with

        r = mean over data of sign(D(x) - c),   c halfway between the mean scores of data and of samples

    (Karras et al. 2020, eq. 1, where c = 0; a relativistic critic's scores have no zero of their own). In a short run p
    may cross its range in a tenth of the steps.
    """

    name = "ada"
    p: Tensor

    def __init__(self, target: float = 0.6) -> None:
        super().__init__()
        self.target = target
        self.register_buffer("p", torch.zeros(()))

    def view(self, rows: Tensor, moment: Moment) -> Tensor:
        return diff_augment(rows, moment.draw, self.p)

    def observe(self, scene: Scene) -> None:
        gather = scene.draw.gather
        a, b = gather(scene.a.detach()), gather(scene.b.detach())
        known = (a - (a.mean() + b.mean()) / 2).sign().mean()
        pace = max(scene.draw.world_size * len(scene.x) / PACE, 10 / scene.moment.steps)
        self.p.add_((known - self.target).sign().to(self.p.dtype), alpha=pace).clamp_(0, MOST)

    def figures(self, progress: float) -> dict[str, float]:
        return {"augment_p": float(self.p)}


class Pack(Regulariser):
    """The critic scores m rows at once (Lin et al. 2018), so that it sees a lack of variety."""

    name = "pack"

    def __init__(self, m: int) -> None:
        super().__init__()
        self.m = m

    def shape(self, shape: Shape) -> Shape:
        return replace(shape, pack=self.m)


class Deviation(Regulariser):
    """The critic sees how far the rows of a group differ (minibatch standard deviation, Karras et al. 2018)."""

    name = "minibatch-std"

    def shape(self, shape: Shape) -> Shape:
        return replace(shape, deviation=True)
