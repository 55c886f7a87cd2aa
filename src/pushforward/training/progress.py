"""Showing a run live: the engine emits events, and a reporter is any function that takes them.

On a terminal the default reporter draws a bar (rich); in a notebook it draws one in the cell's output, in place; when
piped it prints a plain line every twentieth of the run.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from html import escape
from typing import Any, Literal

Kind = Literal["prepare", "start", "log", "alarm", "checkpoint", "end"]


@dataclass(frozen=True)
class Event:
    """`prepare` (with its `message`), `start`, `log` (with its history record), `alarm` (with its `message`, once for
    each kind of alarm), `checkpoint`, and always, last, `end` (with its `message`).

    `sample(n, averaged=True, seed=0)`, in all but the first of a model that draws rows: n rows of the moving average or
    of the generator as it is, as the model's own `sample` gives them. One seed is one noise, so that what becomes of a
    latent can be followed; the run does not notice.
    """

    kind: Kind
    step: int
    steps: int
    seconds: float
    record: Mapping[str, Any] = field(default_factory=dict)
    message: str = ""
    sample: Callable[..., Any] | None = field(default=None, repr=False)


Reporter = Callable[[Event], None]


def reporter(progress: bool | Reporter) -> Reporter:
    """`progress` itself if it is a function; for True a bar or plain lines, on stderr or in the notebook; for False
    silence."""
    if callable(progress):
        return progress
    if not progress:
        return lambda event: None
    if in_notebook():
        return _Notebook()
    return _Bar() if sys.stderr.isatty() else _Lines()


def in_notebook() -> bool:
    """Whether this runs in the kernel of a notebook, whose output shows HTML."""
    ipython = sys.modules.get("IPython")  # a kernel has imported it
    shell = ipython.get_ipython() if ipython is not None and hasattr(ipython, "get_ipython") else None
    return getattr(shell, "kernel", None) is not None


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
                self.progress.console.print(event.message, highlight=False, markup=False)


class _Notebook:
    """One line of output, redrawn in place: it needs no widgets, and what the notebook keeps is its last state."""

    EVERY = 0.2  # seconds between two drawings, at least

    def __init__(self) -> None:
        self.handle: Any = None
        self.event = Event("start", 0, 0, 0.0)
        self.notes: list[str] = []
        self.begun = (0, 0.0)  # step and seconds of a run that goes on
        self.drawn = 0.0

    def __call__(self, event: Event) -> None:
        from IPython.display import display

        if event.kind == "prepare" and event.message:
            display(_both(event.message, f"<small>{escape(event.message)}</small>"), raw=True)
        elif event.kind == "start":
            self.event, self.begun = event, (event.step, event.seconds)
            self.handle = display(self._line(), raw=True, display_id=True)
        elif event.kind in ("log", "alarm", "end") and self.handle is not None:
            self.notes += [_told(event)] if event.kind != "log" and event.message else []
            record = event.record or self.event.record
            self.event = Event(event.kind, event.step, event.steps, event.seconds, record)
            now = time.monotonic()
            if event.kind != "log" or now - self.drawn >= self.EVERY:
                self.drawn = now
                self.handle.update(self._line(), raw=True)

    def _line(self) -> dict[str, str]:
        """The bar, the time left or taken, the last figures, and what was told."""
        now, figures = self.event, describe(self.event.record)
        steps, seconds = now.step - self.begun[0], now.seconds - self.begun[1]
        clock = f"{now.seconds:.0f} s"
        if now.kind != "end" and steps > 0:
            clock += f", {seconds * (now.steps - now.step) / steps:.0f} s left"
        words = "  ".join(part for part in (f"step {now.step:,} of {now.steps:,}", clock, figures) if part)
        bar = f'<progress value="{now.step}" max="{max(1, now.steps)}" style="width:14em"></progress>'
        notes = "".join(f"<br><small>{escape(note)}</small>" for note in self.notes)
        return _both("\n".join([words, *self.notes]), f"{bar} <small>{escape(words)}</small>{notes}")


def _both(text: str, html: str) -> dict[str, str]:
    return {"text/plain": text, "text/html": f"<div>{html}</div>"}
