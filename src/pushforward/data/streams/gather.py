"""What the processes of a `torchrun` found, brought together: as bytes in uint8 tensors, so that nothing is pickled."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.distributed

from ...errors import InputError


def processes() -> tuple[int, int]:
    """(rank, how many): (0, 1) where `torch.distributed` is not set up."""
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        return torch.distributed.get_rank(), torch.distributed.get_world_size()
    return 0, 1


def gathered(work: Callable[[], bytes]) -> list[bytes]:
    """What `work()` gives in each process, by rank, in all of them.

    Where it raises `InputError` in one process, all raise it: none is left waiting.
    """
    if processes()[1] == 1:
        return [work()]
    flaw = None
    try:
        payload = b"\0" + work()
    except InputError as error:
        flaw, payload = error, b"\1" + str(error).encode()
    found = _all_gather(payload)
    if flaw is not None:
        raise flaw
    for each in found:
        if each[:1] == b"\1":
            raise InputError(each[1:].decode())
    return [each[1:] for each in found]


def _all_gather(payload: bytes) -> list[bytes]:
    count = processes()[1]
    on_gpu = torch.distributed.get_backend() == "nccl"
    device = torch.device("cuda", torch.cuda.current_device()) if on_gpu else torch.device("cpu")
    lengths = [torch.zeros(1, dtype=torch.int64, device=device) for _ in range(count)]
    torch.distributed.all_gather(lengths, torch.tensor([len(payload)], dtype=torch.int64, device=device))
    sizes = [int(length) for length in lengths]
    mine = torch.zeros(max(sizes), dtype=torch.uint8, device=device)
    mine[: len(payload)] = torch.frombuffer(bytearray(payload), dtype=torch.uint8).to(device)
    found = [torch.empty_like(mine) for _ in range(count)]
    torch.distributed.all_gather(found, mine)
    return [bytes(each[:length].cpu().numpy().data) for each, length in zip(found, sizes, strict=True)]
