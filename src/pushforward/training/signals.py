"""Stopping on request: Ctrl-C and SIGTERM end the loop after the step in progress."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class Stop:
    """Whether, and by which signal, a stop was asked for."""

    def __init__(self) -> None:
        self.signal: int | None = None

    @property
    def requested(self) -> bool:
        return self.signal is not None


@contextmanager
def graceful() -> Iterator[Stop]:
    """Yield a `Stop` that the first SIGINT or SIGTERM sets; a second one acts as it did before.

    Only the main thread may set signal handlers; elsewhere the `Stop` stays unset. The handlers found are put back.
    """
    stop = Stop()
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return
    found = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def handle(number: int, frame: FrameType | None) -> None:
        stop.signal = number
        _restore()

    def _restore() -> None:
        for number, handler in found.items():
            if handler is not None:  # None: set from outside Python, and cannot be put back from here
                signal.signal(number, handler)

    try:
        for number in found:
            signal.signal(number, handle)
        yield stop
    finally:
        _restore()
