"""Freed memory stays at hand while a run goes on."""

import subprocess
import sys
from pathlib import Path

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


def huge_pages() -> bool:
    """Whether the kernel hands out 2 MB at a time, so that there are few faults to save."""
    setting = Path("/sys/kernel/mm/transparent_hugepage/enabled")
    return setting.exists() and "[always]" in setting.read_text()


@pytest.mark.skipif(heap._glibc() is None or huge_pages(), reason="not the C library of GNU, or pages of 2 MB")
def test_no_page_is_asked_for_twice_within_and_all_are_given_back_afterwards() -> None:
    out = subprocess.run([sys.executable, "-c", COUNT], capture_output=True, text=True, check=True, timeout=120)
    usual, kept, before, after = map(int, out.stdout.split())
    assert usual > 2 * PAGES  # the day this fails, `heap` has nothing left to do
    assert kept < PAGES / 2
    assert after < before + 20 * PAGES


@pytest.mark.skipif(heap._glibc() is None, reason="not the C library of GNU")
def test_the_last_to_end_gives_back(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []

    class Library:
        def mallopt(self, what: int, value: int) -> None:
            if what == heap.TRIM_THRESHOLD:
                asked.append(value)

        def malloc_trim(self, _: object) -> None: ...

    monkeypatch.setattr(heap, "_glibc", Library)
    with heap.kept():
        with heap.kept():
            pass
        assert asked == [heap.NEVER, heap.NEVER]
    assert asked[-1] == heap.USUAL


def test_where_there_is_no_mallopt_nothing_happens(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(heap, "_glibc", lambda: None)
    with heap.kept():
        pass
