"""`Reservoir`: a uniform sample of k rows of a stream, the same however the stream is ordered, batched or shared out.

Every row has a number in the whole stream, and a key hashed from (seed, number). The k rows of smallest key are kept: a
uniform sample without replacement, since keys behave as independent uniforms, and one that depends on nothing but the
seed and the numbered rows. Merging two reservoirs keeps the k smallest keys of both, so shards read by different
processes give exactly the sample that one process reads (bottom-k sketches: Cohen and Kaplan 2007).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import final

import torch
import torch.distributed
from torch import Tensor

from ...errors import InputError

_LAST = 2**63 - 1
_MOST_DIMENSIONS = 8
_DTYPES = (torch.float32, torch.float64, torch.float16, torch.bfloat16, torch.uint8, torch.int64, torch.bool)


def hashed(numbers: Tensor, seed: int) -> Tensor:
    """A pseudo-random int64 for each int64, in all 64 bits: the finaliser of SplitMix64 (Steele et al. 2014), twice."""
    mixed = _finalised(torch.full_like(numbers, seed) * -7046029254386353131 + 1442695040888963407)
    return _finalised(numbers * -7046029254386353131 ^ mixed)


def processes() -> tuple[int, int]:
    """(which process this is, how many there are) under `torch.distributed`; (0, 1) without it."""
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        return torch.distributed.get_rank(), torch.distributed.get_world_size()
    return 0, 1


@final
class Numbering:
    """The numbers of rows in the whole stream, where the caller does not give them: row i of shard r of s is i s + r,
    as `torch.utils.data.DistributedSampler` deals rows out."""

    def __init__(self, shard: tuple[int, int] | None = None) -> None:
        self.shard, self.shards = shard or processes()
        if not 0 <= self.shard < self.shards:
            raise InputError(f"shard {self.shard} of {self.shards}: give (number, count) with 0 <= number < count")
        self.seen = 0

    def next(self, count: int, numbers: Tensor | None, device: torch.device) -> Tensor:
        """The numbers of the next `count` rows `(count,)`: those given, or the next of this shard."""
        if numbers is None:
            numbers = torch.arange(self.seen, self.seen + count, device=device) * self.shards + self.shard
        elif numbers.shape != (count,) or numbers.is_floating_point():
            raise InputError(
                f"numbers have shape {tuple(numbers.shape)}; give one whole number for each of {count} rows"
            )
        self.seen += count
        return numbers.to(device, torch.int64)


@final
class Reservoir:
    """At most `size` rows of all those given to `update`, drawn uniformly by `seed`; `seen` counts them all.

    `shard`: (number, count) of the part of the stream seen here; by default the process's under `torch.distributed`.
    """

    def __init__(self, size: int, *, seed: int = 0, shard: tuple[int, int] | None = None) -> None:
        if size < 1:
            raise InputError(f"size {size}: a reservoir keeps at least 1 row")
        self.size, self.seed = size, seed
        self._numbering = Numbering(shard)
        self.seen = 0
        self.keys = torch.empty(0, dtype=torch.int64)
        self.numbers = torch.empty(0, dtype=torch.int64)
        self.kept = torch.empty(0)

    def update(self, rows: Tensor, numbers: Tensor | None = None) -> None:
        """Take in rows `(n, *d)`; `numbers` `(n,)` are theirs in the whole stream, where known."""
        if rows.dtype not in _DTYPES or not 1 <= rows.ndim <= _MOST_DIMENSIONS:
            raise InputError(f"a reservoir cannot keep rows of {rows.dtype} in shape {tuple(rows.shape)}")
        rows = rows.detach()
        numbers = self._numbering.next(len(rows), numbers, rows.device)
        self.seen += len(rows)
        keys = hashed(numbers, self.seed)
        if len(self.keys) >= self.size:
            chance = keys <= self.keys.max().to(keys.device)
            rows, numbers, keys = rows[chance], numbers[chance], keys[chance]
        self._keep(keys, numbers, rows)

    def merge(self, other: Reservoir) -> None:
        """Take in what `other` kept of its rows, which must be other rows of the stream, by the same seed and size."""
        if (other.size, other.seed) != (self.size, self.seed):
            raise InputError(
                f"a reservoir of {other.size} rows by seed {other.seed} cannot be merged into one of {self.size} by "
                f"{self.seed}; make both alike"
            )
        self.seen += other.seen
        self._keep(other.keys, other.numbers, other.kept)

    def rows(self) -> Tensor:
        """The sample, `(min(size, seen), *d)`, in the order of the stream."""
        return self.kept

    def state_dict(self) -> dict[str, Tensor]:
        """`keys`, `numbers`, `kept` and the counts: tensors alone."""
        counts = torch.tensor([self.seen, self._numbering.seen])
        return {"keys": self.keys, "numbers": self.numbers, "kept": self.kept, "counts": counts}

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Go on from what `state_dict` gave."""
        self.keys, self.numbers, self.kept = (state[name] for name in ("keys", "numbers", "kept"))
        self.seen, self._numbering.seen = (int(count) for count in state["counts"])

    def reduce(self) -> None:
        """Where `torch.distributed` is set up: become the sample of all ranks' rows, on every rank."""
        ranks = processes()[1]
        if ranks == 1:
            return
        like = _agreed_row(self.kept)
        if like is None:
            return
        padded = like.new_zeros(self.size, *like.shape)
        padded[: len(self.kept)] = self.kept.view(-1, *like.shape)
        marks = torch.zeros(self.size + 1, 2, dtype=torch.int64, device=self.kept.device)
        marks[0] = torch.tensor([len(self.keys), self.seen])
        marks[1 : len(self.keys) + 1] = torch.stack([self.keys, self.numbers], 1)
        all_rows, all_marks = ([torch.empty_like(part) for _ in range(ranks)] for part in (padded, marks))
        torch.distributed.all_gather(all_rows, padded)
        torch.distributed.all_gather(all_marks, marks)
        counts = [int(found[0, 0]) for found in all_marks]
        self.seen = sum(int(found[0, 1]) for found in all_marks)
        self.keys, self.numbers, self.kept = self.keys[:0], self.numbers[:0], padded[:0]
        keys = torch.cat([found[1 : count + 1] for found, count in zip(all_marks, counts, strict=True)])
        self._keep(keys[:, 0], keys[:, 1], torch.cat([r[:count] for r, count in zip(all_rows, counts, strict=True)]))

    def _keep(self, keys: Tensor, numbers: Tensor, rows: Tensor) -> None:
        """Of those kept and these, the smallest keys, in the order of their numbers."""
        if not len(keys):
            return
        if len(self.keys):
            if rows.shape[1:] != self.kept.shape[1:]:
                raise InputError(f"rows have shape {tuple(rows.shape[1:])}, those before {tuple(self.kept.shape[1:])}")
            keys = torch.cat([self.keys.to(keys.device), keys])
            numbers = torch.cat([self.numbers.to(keys.device), numbers])
            rows = torch.cat([self.kept.to(rows), rows])
        if len(keys) > self.size:
            smallest = keys.topk(self.size, largest=False, sorted=False).indices
            keys, numbers, rows = keys[smallest], numbers[smallest], rows[smallest]
        order = numbers.argsort()
        self.keys, self.numbers, self.kept = keys[order], numbers[order], rows[order]


def _finalised(z: Tensor) -> Tensor:
    z = (z ^ _shifted(z, 30)) * -4658895280553007687
    z = (z ^ _shifted(z, 27)) * -7723592293110705685
    return z ^ _shifted(z, 31)


def _shifted(z: Tensor, bits: int) -> Tensor:
    """A logical shift to the right: int64 has only the arithmetic one."""
    return (z >> bits) & (_LAST >> (bits - 1))


def _agreed_row(kept: Tensor) -> Tensor | None:
    """A row as those on whichever rank has rows (a rank without any does not know), of zeros; None where none has."""
    said = torch.full((2 + _MOST_DIMENSIONS,), -1, dtype=torch.int64, device=kept.device)
    if len(kept):
        said[0], said[1] = kept.ndim - 1, _DTYPES.index(kept.dtype)
        said[2 : 1 + kept.ndim] = torch.tensor(kept.shape[1:])
    torch.distributed.all_reduce(said, op=torch.distributed.ReduceOp.MAX)
    dimensions, dtype = int(said[0]), int(said[1])
    if dimensions < 0:
        return None
    shape = [int(size) for size in said[2 : 2 + dimensions]]
    return torch.zeros(shape, dtype=_DTYPES[dtype], device=kept.device)
