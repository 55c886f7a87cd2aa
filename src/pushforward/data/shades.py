"""`Shades`: the levels that the pixels of training pictures took, and pictures as whole numbers of them.

With L levels a picture is a row of ranks r in 0..L-1, and (r + u) / L, u in [0, 1), is that rank spread over its cell
of the unit interval: a density p of spread pictures bounds the mass P of the picture from below,
ln P(r) >= E_u ln p((r + u) / L) - D ln L (Theis et al. 2016).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

FEW = 32  # levels at most that are told apart; pictures of more are taken to have all 256


@dataclass(frozen=True)
class Shades:
    """`levels`: bytes, ascending."""

    levels: tuple[int, ...]

    @classmethod
    def of(cls, pictures: Tensor) -> Shades:
        """Those of `uint8` pictures."""
        found = torch.unique(pictures)
        return cls(tuple(found.tolist()) if len(found) <= FEW else tuple(range(256)))

    def __len__(self) -> int:
        return len(self.levels)

    def ranks(self, x: Tensor) -> Tensor:
        """Whole numbers of pictures in [-1, 1], of their shape; -1 where a pixel has none of the levels."""
        bytes_ = ((x + 1) * 127.5).round().long()
        table = torch.full((256,), -1, dtype=torch.long, device=x.device)
        table[torch.tensor(self.levels, device=x.device)] = torch.arange(len(self), device=x.device)
        return torch.where((bytes_ >= 0) & (bytes_ < 256), table[bytes_.clamp(0, 255)], -1)

    def expanded(self, ranks: Tensor) -> Tensor:
        """Pictures in [-1, 1] of ranks, of their shape."""
        return self._values(ranks.device)[ranks] / 127.5 - 1

    def spread(self, ranks: Tensor, u: Tensor) -> Tensor:
        """(r + u) / L, of u in [0, 1)."""
        return (ranks + u) / len(self)

    def ranks_of(self, unit: Tensor) -> Tensor:
        """The ranks in whose cells numbers of the unit interval lie; the nearest for numbers beyond it."""
        return (unit * len(self)).floor().long().clamp(0, len(self) - 1)

    def _values(self, device: torch.device) -> Tensor:
        return torch.tensor(self.levels, dtype=torch.float32, device=device)


def shades(levels: Sequence[int]) -> Shades:
    """From what was saved."""
    return Shades(tuple(int(level) for level in levels))
