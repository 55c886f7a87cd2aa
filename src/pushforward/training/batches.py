"""Batches of rows that lie on the device as one tensor, and the seeds of everything random in a run.

Nothing here has a state to save: which rows batch k holds, and which noise step t draws, are functions of the seed
and of k or t. A resumed run therefore sees what the uninterrupted one would have.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable

import torch
from torch import Tensor

from ..errors import InputError
from .even import along_a_curve, even_pass


def derive(seed: int, *purpose: int | str) -> int:
    """A seed in 0..2^63-1 for one purpose, unrelated to those of other purposes (a hash of all the arguments)."""
    text = "/".join(map(str, (seed, *purpose))).encode()
    return int.from_bytes(hashlib.blake2b(text, digest_size=8).digest(), "big") >> 1


class Batches:
    """Calls give batch after batch of `rows` `(n, ...)`, expanded; every pass over the rows is shuffled anew.

    Rows left over at the end of a pass (fewer than a batch) are left out of that pass. With several processes, each
    takes its own block of every batch. `multiple`: the rows of a block are a multiple of this many.

    `chances` `(n,)`, of any sum: a pass then draws n rows in these proportions (systematically, by one uniform number:
    a row of chance p comes floor(np) or ceil(np) times).

    even: every batch lies evenly over the rows (see `even`); not with `chances`.
    """

    def __init__(
        self,
        rows: Tensor,
        expand: Callable[[Tensor], Tensor],
        batch_size: int,
        *,
        seed: int,
        device: torch.device,
        rank: int = 0,
        world_size: int = 1,
        multiple: int = 1,
        chances: Tensor | None = None,
        even: bool = False,
    ) -> None:
        self.rows = rows
        self.expand = expand
        unit = multiple * world_size
        self.batch_size = min(batch_size, len(rows)) // unit * unit
        if not self.batch_size:
            raise InputError(
                f"{min(batch_size, len(rows))} rows in a batch ({len(rows)} in the data) cannot be shared by "
                f"{world_size} processes in groups of {multiple}; give at least {unit} rows"
            )
        self.per_pass = len(rows) // self.batch_size
        self.seed = seed
        self.device = device
        block = self.batch_size // world_size
        self.share = slice(rank * block, (rank + 1) * block)
        self.running = None if chances is None else (chances.double().cumsum(0) / chances.double().sum()).cpu()
        self.curve = along_a_curve(rows) if even and chances is None else None
        self.drawn = 0
        self._pass = -1
        self._order = torch.empty(0, dtype=torch.long)

    def __call__(self) -> Tensor:
        number, place = divmod(self.drawn, self.per_pass)
        if number != self._pass:
            shuffle = torch.Generator(self.rows.device).manual_seed(derive(self.seed, "pass", number))
            if self.curve is None:
                self._order = torch.randperm(len(self.rows), generator=shuffle, device=self.rows.device)
            else:
                self._order = even_pass(self.curve, self.batch_size, shuffle)
            if self.running is not None:
                self._order = self._drawn_rows(number).to(self.rows.device)[self._order]
            self._pass = number
        self.drawn += 1
        index = self._order[place * self.batch_size : (place + 1) * self.batch_size][self.share]
        return self.expand(self.rows.index_select(0, index).to(self.device, non_blocking=True))

    def _drawn_rows(self, number: int) -> Tensor:
        assert self.running is not None
        n, u = len(self.rows), torch.Generator().manual_seed(derive(self.seed, "chances", number))
        at = (torch.arange(n, dtype=torch.float64) + torch.rand((), generator=u, dtype=torch.float64)) / n
        return torch.searchsorted(self.running, at).clamp_(max=n - 1)


def settle(rows: Tensor, device: torch.device) -> Tensor:
    """`rows` on the device if they take at most half of its free memory, else where they are (batches then travel)."""
    if device.type != "cuda":
        return rows.to(device)
    free, _ = torch.cuda.mem_get_info(device)
    return rows.to(device) if rows.numel() * rows.element_size() < free / 2 else rows.pin_memory()
