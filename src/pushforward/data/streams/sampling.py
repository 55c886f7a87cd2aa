"""A uniform sample of the rows of a stream that depends on the seed and the rows' numbers only.

Row i gets the key `mix(s + (i + 1) g)`, a bijection of i (splitmix64; Steele, Lea and Flood 2014, fig. 16), s a hash of
the seed; the k rows of the smallest keys are kept, in the order of the source. No two keys are equal, so exactly k rows
are kept, each subset (up to the quality of the hash) equally likely, and it matters neither how the rows are cut into
chunks nor which process reads which part.

A figure of the k kept of n rows has the variance of a figure of k rows: its interval covers what an interval of all n
would, and is about sqrt(n / k) times as wide.
"""

from __future__ import annotations

import io
import json
from dataclasses import replace
from typing import Any

import numpy as np
import polars as pl
import torch
from numpy.typing import NDArray

from ...errors import InputError
from ..dataset import Dataset
from .gather import gathered, processes
from .progress import Progress
from .stream import Part, Stream, joined
from .summary import Summary

Rows = NDArray[np.int64]
_BLOCK = 1 << 17  # keys made at a time
_MASK = 2**64 - 1
_GOLDEN = 0x9E3779B97F4A7C15


def keys(rows: Rows, seed: int) -> NDArray[np.uint64]:
    """The key of each of the `rows` (numbers from 0)."""
    start = _mixed(np.array([(seed * _GOLDEN + _GOLDEN) & _MASK], dtype=np.uint64))
    with np.errstate(over="ignore"):
        return _mixed(start + (rows.astype(np.uint64) + np.uint64(1)) * np.uint64(_GOLDEN))


def _mixed(z: NDArray[np.uint64]) -> NDArray[np.uint64]:
    with np.errstate(over="ignore"):
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


def chosen_rows(n: int, k: int, *, seed: int) -> Rows:
    """The numbers of the `k` rows of `n` (all, where k >= n) with the smallest keys, rising; O(k) memory."""
    if k < 1:
        raise InputError(f"{k} rows cannot be kept; give a whole number of at least 1")
    if k >= n:
        return np.arange(n)
    held_keys, held = np.empty(0, dtype=np.uint64), np.empty(0, dtype=np.int64)
    for first in range(0, n, _BLOCK):
        rows = np.arange(first, min(first + _BLOCK, n))
        fresh = keys(rows, seed)
        if len(held) == k:  # only what is below the k-th smallest so far can be kept
            low = fresh < held_keys.max()
            rows, fresh = rows[low], fresh[low]
        held_keys, held = np.concatenate([held_keys, fresh]), np.concatenate([held, rows])
        if len(held) > k:
            kept = np.argpartition(held_keys, k - 1)[:k]
            held_keys, held = held_keys[kept], held[kept]
    return np.sort(held)


def reservoir(stream: Stream, rows: int, *, seed: int, progress: Progress | None = None) -> Dataset:
    """`rows` rows of the `stream` (all, where it has no more), drawn uniformly without replacement.

    It is what `sources.read(source).take(numbers)` gives for the `chosen_rows`. Where `torch.distributed` is set up,
    each process reads its share of the parts, and all get the whole sample. Only the chunks of parts that hold a chosen
    row are read and checked. Raises `InputError` for a flaw in them.
    """
    chosen = chosen_rows(stream.rows, rows, seed=seed)
    return sweep(stream.only(lambda part: _holds(part, chosen)), chosen, progress=progress, summarise=False)[0]


def sweep(
    stream: Stream, chosen: Rows, *, progress: Progress | None, summarise: bool
) -> tuple[Dataset, Summary | None]:
    """The `chosen` rows (rising numbers, held by the stream's parts) and a summary of all rows read, in one pass."""
    rank, count = processes()
    own = stream.share(rank, count)
    mine: list[tuple[Rows, Dataset, Summary | None]] = []

    def work() -> bytes:
        mine.append(_own(own, chosen, progress, summarise))
        return b"" if count == 1 else _packed(*mine[0])

    found = gathered(work)
    parts = mine if count == 1 else [_unpacked(payload, stream.empty) for payload in found]
    order = np.argsort(np.concatenate([numbers for numbers, _, _ in parts]))
    kept = joined(stream.empty, [dataset for _, dataset, _ in parts])
    summaries = [summary for _, _, summary in parts if summary is not None]
    whole = summaries[0] if summaries else None
    for summary in summaries[1:]:
        whole = summary if whole is None else whole.merge(summary)
    ordered = kept if count == 1 else kept.take(torch.from_numpy(order))
    return ordered, whole


def _own(
    stream: Stream, chosen: Rows, progress: Progress | None, summarise: bool
) -> tuple[Rows, Dataset, Summary | None]:
    """The numbers of the chosen rows in the parts of `stream`, those rows, and the summary of all."""
    numbers: list[Rows] = []
    kept: list[Dataset] = []
    summary = Summary.of(stream.empty) if summarise else None
    for first, chunk in stream.chunks(progress):
        low, high = np.searchsorted(chosen, [first, first + len(chunk)])
        if high > low:
            numbers.append(chosen[low:high])
            kept.append(chunk.take(torch.from_numpy(chosen[low:high] - first)))
        if summary is not None:
            summary = summary.merge(Summary.of(chunk))
    return np.concatenate([np.empty(0, dtype=np.int64), *numbers]), joined(stream.empty, kept), summary


def _holds(part: Part, chosen: Rows) -> bool:
    low, high = np.searchsorted(chosen, [part.first, part.first + part.rows])
    return bool(high > low)


def _packed(numbers: Rows, kept: Dataset, summary: Summary | None) -> bytes:
    """Row numbers, rows (tables in Arrow's IPC format) and summary, each behind its length."""
    if kept.kind == "table":
        out = io.BytesIO()
        kept.values.write_ipc(out)
        rows = out.getvalue()
    else:
        rows = kept.values.contiguous().numpy().tobytes()
    told = b"" if summary is None else json.dumps(summary.to_dict()).encode()
    blocks = (numbers.astype("<i8").tobytes(), rows, told)
    return b"".join(len(block).to_bytes(8, "little") + block for block in blocks)


def _unpacked(payload: bytes, empty: Dataset) -> tuple[Rows, Dataset, Summary | None]:
    blocks, at = [], 0
    while at < len(payload):
        length = int.from_bytes(payload[at : at + 8], "little")
        blocks.append(payload[at + 8 : at + 8 + length])
        at += 8 + length
    numbers = np.frombuffer(blocks[0], dtype="<i8").astype(np.int64)
    values: Any
    if empty.kind == "table":
        values = pl.read_ipc(io.BytesIO(blocks[1])) if len(numbers) else empty.values
    else:
        flat = np.frombuffer(bytearray(blocks[1]), dtype=empty.values.numpy().dtype)
        values = torch.from_numpy(flat.reshape(len(numbers), *empty.values.shape[1:]))
    summary = Summary.from_dict(json.loads(blocks[2])) if blocks[2] else None
    return numbers, replace(empty, values=values), summary
