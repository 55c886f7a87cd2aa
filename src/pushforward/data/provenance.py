"""How an output was made, written into it so that synthetic data can be recognised as synthetic.

The record is JSON: `{"schema": "pushforward.made_by/1", "synthetic": true, "kind": "table", "made_by": {...}}`. It goes
into Parquet metadata, an NPZ field and every PNG's text chunk, all under the key `pushforward`. CSV and NPY have no
room for it: it goes beside them in `FILE.json`, with the SHA-256 of the file, and is believed only while that matches.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..files import write_text

KEY = "pushforward"
SCHEMA = "pushforward.made_by/1"


def make_record(made_by: Mapping[str, Any] | None, *, kind: str, synthetic: bool) -> dict[str, Any]:
    """The record to write. Without `made_by` it still holds the kind."""
    return {
        "schema": SCHEMA,
        "synthetic": synthetic,
        "kind": kind,
        "made_by": None if made_by is None else dict(made_by),
    }


def dump(record: Mapping[str, Any]) -> str:
    """The record as one line of JSON."""
    return json.dumps(record, ensure_ascii=False, default=str)


def parse(text: str | None) -> dict[str, Any] | None:
    """The record in `text`; None where it holds none (whatever else a file carries there is not ours)."""
    if not text:
        return None
    try:
        record = json.loads(text)
    except ValueError:
        return None
    ours = isinstance(record, dict) and str(record.get("schema", "")).startswith("pushforward.made_by/")
    return record if ours else None


def made_by_of(record: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """`Dataset.made_by` of a record: its own entries, with `synthetic` first."""
    if record is None or not isinstance(record.get("made_by"), dict):
        return None
    return {"synthetic": bool(record.get("synthetic", True)), **record["made_by"]}


def sidecar(path: Path) -> Path:
    """Where the record of a CSV or NPY file is kept."""
    return path.with_name(path.name + ".json")


def write_sidecar(path: Path, record: Mapping[str, Any]) -> None:
    """Write the record of the file `path` beside it."""
    write_text(sidecar(path), dump({**record, "file": path.name, "sha256": _digest(path)}) + "\n")


def read_sidecar(path: Path) -> dict[str, Any] | None:
    """The record beside `path`, where there is one and it speaks of the bytes that are there now."""
    beside = sidecar(path)
    if not beside.is_file() or beside.stat().st_size > 1 << 20:
        return None
    record = parse(beside.read_text(encoding="utf-8", errors="replace"))
    return record if record is not None and record.get("sha256") == _digest(path) else None


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
