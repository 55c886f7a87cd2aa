"""Showing how far the reading of a large source has come.

Whatever reads takes a `Progress`: a function of (rows done, rows in all or None where that is not known yet).
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

Progress = Callable[[int, int | None], None]
QUIET = 2.0  # seconds in which nothing is shown: most sources are read by then
_LINES = 10  # plain lines for each pass over the rows


@contextmanager
def shown(what: str, *, on: bool = True) -> Iterator[Progress | None]:
    """Yield a `Progress` that shows on stderr how many rows of `what` are read; None where not `on`.

    A bar on a terminal, else about ten plain lines a pass. What takes less than `QUIET` seconds shows nothing.
    """
    if not on:
        yield None
    elif sys.stderr.isatty():
        yield from _bar(what)
    else:
        yield _Lines(what)


def _bar(what: str) -> Iterator[Progress]:
    from rich.console import Console
    from rich.markup import escape
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.completed:,.0f} rows"))
    clocks = (TimeElapsedColumn(), TextColumn("left"), TimeRemainingColumn())
    bar = Progress(*columns, *clocks, console=Console(stderr=True), transient=True)
    task = bar.add_task(f"reading {escape(what)}", total=None)
    started = time.monotonic()

    def tell(done: int, total: int | None) -> None:
        bar.update(task, completed=done, total=total)
        if time.monotonic() - started > QUIET and not bar.live.is_started:
            bar.start()

    try:
        yield tell
    finally:
        if bar.live.is_started:
            bar.stop()


class _Lines:
    """Plain lines: each tenth of the rows, or, while their number is not known, every five seconds."""

    def __init__(self, what: str) -> None:
        self.what = what
        self.started = self.last = time.monotonic()
        self.tenth = 0

    def __call__(self, done: int, total: int | None) -> None:
        now = time.monotonic()
        if now - self.started < QUIET:
            return
        if total is None:
            if now - self.last >= 5.0:
                self._print(f"{done:,} rows counted", now)
            return
        tenth = _LINES * done // max(total, 1)
        if tenth < self.tenth:  # another pass has begun
            self.tenth = 0
        if tenth > self.tenth:
            self.tenth = tenth
            self._print(f"{done:,} of {total:,} rows", now)

    def _print(self, text: str, now: float) -> None:
        self.last = now
        print(f"reading {self.what}: {text}  {now - self.started:.0f} s", file=sys.stderr, flush=True)
