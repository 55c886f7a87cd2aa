"""Batches that lie evenly over the data: the same in expectation as independent rows, with far less chance in them.

A game's critic sees by how much one batch has too few rows of a mode, and the generator moves mass for it; of 512
independent rows in 8 modes every mode's share is off by 12 % in each batch. Stratified sampling leaves little of that:
the rows in the order of a space-filling curve are cut into as many windows as a batch has rows, anew in every pass, and
each batch takes one row of every window. `nets.even` does the same for the noise.

Rows within a batch are in random order, but not independent: means over rows keep their expectation, statistics of
several rows do not. So this is for critics that score one row at a time.
"""

from __future__ import annotations

import torch
from jaxtyping import Int
from torch import Tensor

MOST = 16  # coordinates that the curve goes by
_SPARE = 4  # bits of the curve beyond those that number the rows


def along_a_curve(rows: Tensor) -> Int[Tensor, " n"]:
    """Positions of `rows` `(n, ...)` along the Morton (Z-order) curve through their marginal ranks, by the coordinates
    of most variance, at most `MOST`."""
    x = rows.flatten(1).float()
    x = x[:, x.var(0).argsort(descending=True, stable=True)[:MOST]]
    n, d = x.shape
    bits = -(-(n.bit_length() + _SPARE) // d)
    cells = torch.empty(d, n, dtype=torch.int64, device=x.device)
    steps = (torch.arange(n, device=x.device) * 2**bits).div(n, rounding_mode="floor")
    for place, column in enumerate(x.T):
        cells[place, column.argsort(stable=True)] = steps
    code = torch.zeros(n, dtype=torch.int64, device=x.device)
    for bit in range(bits - 1, -1, -1):
        for cell in cells:
            code.mul_(2).add_(cell >> bit & 1)
    return code.argsort(stable=True)


def even_pass(curve: Int[Tensor, " n"], batch_size: int, generator: torch.Generator) -> Int[Tensor, " m"]:
    """A pass over the rows along the curve, batch after batch: each batch has one row of each of `batch_size` windows.
    What is left over, fewer than a batch, is another part of the curve in every pass."""
    count, device = len(curve) // batch_size, curve.device
    begin = torch.randint(len(curve), (1,), generator=generator, device=device)
    used = curve[(begin + torch.arange(count * batch_size, device=device)) % len(curve)].view(batch_size, count)
    drawn = used.gather(1, torch.rand(batch_size, count, generator=generator, device=device).argsort(1))
    order = torch.rand(count, batch_size, generator=generator, device=device).argsort(1)
    return drawn.T.gather(1, order).flatten()
