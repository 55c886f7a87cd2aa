"""Gradient penalties as regularisers: when and where `penalties`' functions are charged."""

from __future__ import annotations

from torch import Tensor

from ..penalties import dragan, gradient_penalty, squared_norm
from ..schedule import falling
from .base import Regulariser, Scene, slopes


class ZeroCentred(Regulariser):
    """gamma/2 |grad D|^2 at data (R1), at samples (R2) or at both in one backward pass; gamma falls over the run."""

    def __init__(self, first: float, last: float, *, data: bool = True, samples: bool = True) -> None:
        super().__init__()
        self.first, self.last = first, last
        self.data, self.samples = data, samples
        self.name = "+".join(name for name, on in (("r1", data), ("r2", samples)) if on)

    def charge(self, scene: Scene) -> Tensor:
        gamma, pack = falling(self.first, self.last, scene.moment.progress), scene.pack
        if self.data and self.samples:
            at_x, at_y = slopes(scene.line(scene.a).sum() + scene.line(scene.b).sum(), scene.x, scene.y)
            return gamma / 2 * (squared_norm(at_x, pack) + squared_norm(at_y, pack))
        (at,) = slopes(scene.line(scene.a), scene.x) if self.data else slopes(scene.line(scene.b), scene.y)
        return gamma / 2 * squared_norm(at, pack)

    def figures(self, progress: float) -> dict[str, float]:
        return {f"gamma_{self.name}": falling(self.first, self.last, progress)}


class Lipschitz(Regulariser):
    """weight (|grad D(u)| - 1)^2 at one place u on the line between each row of data and one of samples."""

    def __init__(self, weight: float, *, one_sided: bool = False) -> None:
        super().__init__()
        self.weight, self.one_sided = weight, one_sided
        self.name = "gp-one-sided" if one_sided else "gp"

    def charge(self, scene: Scene) -> Tensor:
        return gradient_penalty(
            lambda rows: scene.line(scene.critic(rows)),
            scene.x,
            scene.y,
            self.weight,
            draw=scene.draw,
            one_sided=self.one_sided,
            pack=scene.pack,
        )


class Dragan(Regulariser):
    """weight (|grad D(u)| - 1)^2 at one noisy place u beside each row of data."""

    name = "dragan"

    def __init__(self, weight: float) -> None:
        super().__init__()
        self.weight = weight

    def charge(self, scene: Scene) -> Tensor:
        return dragan(lambda rows: scene.line(scene.critic(rows)), scene.x, self.weight, draw=scene.draw)
