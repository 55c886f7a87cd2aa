"""A regulariser that remembers samples."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from ..draw import Moment
from .base import Regulariser


class Replay(Regulariser):
    """Half of the samples that the critic is shown are old ones (Shrivastava et al. 2017, section 2.3).

    `size` rows are kept, the same in every process. At each critic step the first half of the batch is exchanged for
    rows drawn from those kept (with replacement), and takes the place of others of them, chosen at random; while there
    is room it is only added. At the very first step nothing is old.
    """

    name = "replay"
    rows: Tensor
    count: Tensor  # rows ever put in

    def __init__(self, size: int, event_shape: Sequence[int]) -> None:
        super().__init__()
        self.register_buffer("rows", torch.zeros(size, *event_shape))
        self.register_buffer("count", torch.zeros((), dtype=torch.long))

    def replay(self, y: Tensor, moment: Moment) -> Tensor:
        draw, size = moment.draw, len(self.rows)
        device, generator = draw.device, draw.generator  # alike in every process, as is all that is kept
        every = draw.gather(y.detach()).to(self.rows.dtype)
        half = min(len(every) // 2, size)
        kept = self.count.clamp(1, size)
        chosen = (torch.rand(half, generator=generator, device=device) * kept).long()
        old = self.rows[torch.minimum(chosen, kept - 1)]
        shown = torch.cat([torch.where(self.count > 0, old, every[:half]), every[half:]])
        room = (self.count + torch.arange(half, device=device)) % size
        others = torch.randperm(size, generator=generator, device=device)[:half]
        self.rows.index_copy_(0, torch.where(self.count < size, room, others), every[:half])
        self.count += half
        return draw.mine(shown).to(y.dtype)
