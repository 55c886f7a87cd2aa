"""Freed memory stays at hand while a run goes on."""

import subprocess
import sys

import pytest

from pushforward.training import heap

ROUNDS, BLOCKS, PAGES = 20, 6, 1_600_000 * 4 // 4096  # of one block
COUNT = f"""
import resource, torch
from contextlib import nullcontext
from pushforward.training import heap
torch.set_num_threads(1)
faults = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_minflt
def step():
    blocks = [torch.ones(1_600_000) for _ in range({BLOCKS})]
    del blocks
for way in (nullcontext, heap.kept):
    with way():
        step(), step()
        before = faults()
        for _ in range({ROUNDS}):
            step()
        print(faults() - before)
print(int(open("/proc/self/statm").read().split()[1]))
blocks = [torch.ones(1_600_000) for _ in range(50)]
with heap.kept():
    del blocks
print(int(open("/proc/self/statm").read().split()[1]))
"""


@pytest.mark.skipif(heap._glibc() is None, reason="not the C library of GNU")
def test_no_page_is_asked_for_twice_within_and_all_are_given_back_afterwards() -> None:
    out = subprocess.run([sys.executable, "-c", COUNT], capture_output=True, text=True, check=True, timeout=120)
    usual, kept, before, after = map(int, out.stdout.split())
    assert usual > 2 * PAGES  # the day this fails, `heap` has nothing left to do
    assert kept < PAGES / 2
    assert after < before + 20 * PAGES


def test_where_there_is_no_mallopt_nothing_happens(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(heap, "_glibc", lambda: None)
    with heap.kept():
        pass
