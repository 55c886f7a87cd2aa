"""Memory that the processor's steps may keep.

A training step on the processor takes and frees the same tens of megabytes again and again. glibc's malloc hands freed
blocks at the end of the heap back to the system (from 128 KB on, or twice the largest block freed so far), and the next
step gets them anew, page by page, each one zeroed: up to a fifth of the time of a convolutional step. Within `kept()`
the heap keeps what is freed; when the last `kept()` of the process ends it is trimmed, and from then on it is at 64 MB
that glibc gives back. Nothing happens where the C library has no `mallopt`.
"""

import ctypes
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

TRIM_THRESHOLD, MMAP_THRESHOLD = -1, -3  # mallopt(3)
LARGE = 32 << 20  # glibc raises its own threshold to this at most: larger blocks are the system's
USUAL, NEVER = 2 * LARGE, -1

_lock, _open = threading.Lock(), 0  # how many `kept()` there are


@cache
def _glibc() -> Any:
    """The C library, None if it is not glibc."""
    try:
        library = ctypes.CDLL(None)
        library.gnu_get_libc_version, library.mallopt, library.malloc_trim  # noqa: B018 (looked up)
    except (OSError, TypeError, AttributeError):
        return None
    return library


@contextmanager
def kept() -> Iterator[None]:
    """The process keeps freed memory until the end; then it is given back."""
    global _open
    library = _glibc()
    if library is None:
        yield
        return
    with _lock:
        _open += 1
        library.mallopt(MMAP_THRESHOLD, LARGE)
        library.mallopt(TRIM_THRESHOLD, NEVER)
    try:
        yield
    finally:
        with _lock:
            _open -= 1
            if not _open:
                library.mallopt(TRIM_THRESHOLD, USUAL)  # as glibc has it after a block of 32 MB was freed
                library.malloc_trim(ctypes.c_size_t(0))
