"""Showing a run live: the engine emits events, and a reporter is any function that takes them.

On a terminal the default reporter draws a bar (rich); when piped it prints a plain line every twentieth of the run.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Kind = Literal["prepare", "start", "log", "alarm", "checkpoint", "end"]


@dataclass(frozen=True)
class Event:
    """`prepare` (with its `message`), `start`, `log` (with its history record), `alarm` (with its `message`, once for
    each kind of alarm), `checkpoint`, and always, last, `end` (with its `message`)."""

    kind: Kind
    step: int
    steps: int
    seconds: float
    record: Mapping[str, Any] = field(default_factory=dict)
    message: str = ""


Reporter = Callable[[Event], None]


def reporter(progress: bool | Reporter) -> Reporter:
    """`progress` itself if it is a function; for True a bar or plain lines, on stderr; for False silence."""
    if callable(progress):
        return progress
    if not progress:
        return lambda event: None
    return _Bar() if sys.stderr.isatty() else _Lines()


def describe(record: Mapping[str, Any]) -> str:
    """The figures that tell how a run goes, short."""
    shown = {
        "critic_loss": "critic",
        "generator_loss": "generator",
        "gap": "gap",
        "modes_effective": "modes",
        "auc": "audit AUC",
    }
    return "  ".join(f"{short} {record[name]:.3g}" for name, short in shown.items() if record.get(name) is not None)


def _told(event: Event) -> str:
    return f"alarm at step {event.step:,}: {event.message}" if event.kind == "alarm" else event.message


class _Lines:
    """About twenty plain lines a run."""

    def __init__(self) -> None:
        self.shown = 0

    def __call__(self, event: Event) -> None:
        if event.kind == "log" and 20 * event.step // event.steps > self.shown:
            self.shown = 20 * event.step // event.steps
            print(
                f"step {event.step}/{event.steps}  {describe(event.record)}  {event.seconds:.0f} s",
                file=sys.stderr,
                flush=True,
            )
        elif event.kind in ("prepare", "alarm", "end") and event.message:
            print(_told(event), file=sys.stderr, flush=True)


class _Bar:
    """A bar with the time left and the last figures."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

        self.progress = Progress(
            TextColumn("step {task.completed:.0f}/{task.total:.0f}"),
            BarColumn(),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            TextColumn("{task.description}"),
            console=Console(stderr=True),
        )

    def __call__(self, event: Event) -> None:
        if event.kind in ("prepare", "alarm"):
            self.progress.console.print(_told(event), highlight=False, markup=False)
        elif event.kind == "start":
            self.task = self.progress.add_task("", total=event.steps, completed=event.step)
            self.progress.start()
        elif event.kind == "log":
            self.progress.update(self.task, completed=event.step, description=describe(event.record))
        elif event.kind == "end":
            self.progress.stop()
            if event.message:
                self.progress.console.print(event.message, highlight=False)
