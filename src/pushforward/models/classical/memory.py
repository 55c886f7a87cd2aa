"""The memoriser: training rows, drawn again."""

from __future__ import annotations

import torch
from torch import Tensor

from .base import Explicit


class Bootstrap(Explicit):
    """Draws training rows with replacement: every two-sample test finds it perfect, and every test of copying must
    find it out. For tests, and as the limit that no honest generator should reach."""

    def __init__(self, *, seed: int = 0) -> None:
        self.seed = seed

    def _learn(self, rows: Tensor) -> dict[str, Tensor]:
        return {"rows": rows}

    def _draw(self, n: int, generator: torch.Generator) -> Tensor:
        rows = self.arrays_["rows"]
        return self.codec_.expand(rows[torch.randint(len(rows), (n,), generator=generator)])
