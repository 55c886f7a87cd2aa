"""The history of a run: one record per logged step, kept in memory and appended to a file of JSON lines.

A line is written and flushed whole; a process killed in between leaves at most one torn last line, which reading drops.
When a run is resumed, the lines after the checkpoint's step are dropped, for they are about to be written again.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from ..files import write_text

Record = dict[str, Any]


def read(path: Path) -> list[Record]:
    """The records of the file; a torn last line is left out, a missing file has none."""
    records: list[Record] = []
    if path.exists():
        for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
            try:
                records.append(json.loads(line))
            except json.JSONDecodeError:
                break
    return records


class History:
    """The records so far and, where `path` is given, the file they are appended to."""

    def __init__(self, path: Path | None = None, *, until: int = 0) -> None:
        """Take up the records of `path` up to and with step `until`; the file is cut there."""
        self.path = path
        self.replace([record for record in read(path) if record["step"] <= until] if path else [])

    def replace(self, records: Iterable[Record]) -> None:
        """These records instead, in memory and in the file."""
        self.records = list(records)
        if self.path:
            write_text(self.path, "".join(json.dumps(record) + "\n" for record in self.records))

    def append(self, record: Record) -> None:
        self.records.append(record)
        if self.path:
            with self.path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(record) + "\n")

    def sync(self) -> None:
        """Wait until the file is on the disk: a checkpoint must not be newer than the history it continues."""
        if self.path:
            with self.path.open("a", encoding="utf-8") as file:
                os.fsync(file.fileno())
