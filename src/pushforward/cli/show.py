"""`pushforward show`: what a run folder or a file of samples is, how it was made and went; the page of a run."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

from ..errors import InputError
from .options import must_be_new
from .shared import terminal

_BARS = "▁▂▃▄▅▆▇█"


def describe(path: Path) -> dict[str, Any]:
    """A JSON-able description of the run folder or data file at `path`."""
    return _describe_run(path) if _is_run(path) else _describe_data(path)


def _is_run(path: Path) -> bool:
    if not path.exists():
        raise InputError(f"{path}: no such run folder or file; check the path")
    return path.is_dir() and any((path / name).exists() for name in ("model.json", "checkpoints"))


def write_page(path: Path, html: Path | None, data: Sequence[str] | None, *, force: bool) -> None:
    """Write the page of the run in the folder `path` to `html`; `data`: real rows to hold against it."""

    from ..report import run_page

    if html is None:
        raise InputError("--data is for the page of a run; give --html FILE too, or leave it out")
    if not _is_run(path):
        raise InputError(f"{path}: is no run folder, and only a run has a page; leave --html out, or give a run")
    must_be_new(html, "--html FILE", force=force)
    run_page(path, html, data=list(data) if data else None, force=force)
    terminal(stderr=True).print(f"Wrote {html}.", highlight=False)


def _describe_run(path: Path) -> dict[str, Any]:
    from ..models.choosing.auto import CHOICE, read_choice
    from ..models.folder import HISTORY, read_model
    from ..training.checkpoint import latest
    from ..training.diagnostics import alarms
    from ..training.history import read

    saved = read_model(path)
    history = read(path / HISTORY)
    run = saved["run"]
    choice = read_choice(path) if (path / CHOICE).exists() else {}
    found = latest(path) if run["status"] != "finished" else None
    step = max(run["step"], found[0] if found else 0)
    return {
        "what": "run",
        "path": str(path),
        "model": saved["class"],
        "status": _status(run["status"], resumable=found is not None),
        "step": f"{step:,} of {run['steps']:,}",
        "seconds": history[-1].get("seconds") if history else None,
        "objective": saved["parameters"].get("objective"),
        "parameters": saved["parameters"],
        "data": run["data"],
        "network": saved["network"],
        "made_by": saved["made_by"],
        "stopped": run.get("stopped") or None,
        "choice": choice.get("sentence"),
        "closing": (run.get("closing") or choice.get("closing") or {}).get("sentence"),
        "alarms": [str(alarm) for alarm in alarms(history)] or None,
        "versions": saved["versions"],
        "history": history,
    }


def _status(status: str, *, resumable: bool) -> str:
    rest = {
        "training": "still training, or cut short",
        "interrupted": "interrupted",
        "diverged": "diverged; holds the last good model",
        "stopped": "ended by the auditor",
    }.get(status, status)
    return f"{rest}; go on with --resume" if resumable and status not in ("diverged", "stopped") else rest


def _describe_data(path: Path) -> dict[str, Any]:
    from ..data import sources

    dataset = sources.read(path)
    description: dict[str, Any] = {"what": "data", "path": str(path), "kind": dataset.kind, "n": len(dataset)}
    if dataset.kind == "table":
        description["columns"] = {name: str(dtype) for name, dtype in dataset.values.schema.items()}
    else:
        description["shape"] = list(dataset.values.shape[1:])
    made_by = dict(dataset.made_by or {})
    description["synthetic"] = bool(made_by.pop("synthetic", False))
    if made_by:
        description["made_by"] = made_by
    return description


def sparkline(values: Sequence[float], width: int = 36) -> str:
    """`values` as a line of block characters, averaged down to at most `width` of them."""
    if not values:
        return ""
    groups = min(width, len(values))
    edges = [round(i * len(values) / groups) for i in range(groups + 1)]
    means = [sum(values[a:b]) / (b - a) for a, b in pairwise(edges)]
    low, high = min(means), max(means)
    span = (high - low) or 1.0
    return "".join(_BARS[min(int((mean - low) / span * len(_BARS)), len(_BARS) - 1)] for mean in means)


def print_description(description: Mapping[str, Any]) -> None:
    from rich.table import Table
    from rich.text import Text

    console = terminal()
    table = Table(show_header=False, box=None, pad_edge=False)
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    history = description.get("history") or []
    for key, value in description.items():
        if key == "history" or value is None:
            continue
        for number, item in enumerate(value if key == "alarms" else [value]):
            table.add_row("" if number else key.replace("_", " "), Text(_text(item)))
    console.print(table)
    names = dict.fromkeys(key for row in history for key in row)  # some figures are not in every record
    for name in [key for key in names if key not in ("step", "seconds")]:
        values = [row[name] for row in history if isinstance(row.get(name), int | float)]
        if len(values) > 1:
            line = f"{name.replace('_', ' '):>18}  {sparkline(values)}  {values[0]:.3g} → {values[-1]:.3g}"
            console.print(Text(line, no_wrap=True))


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Mapping):
        return ", ".join(f"{key}={_text(item)}" for key, item in value.items() if item is not None)
    if isinstance(value, str):
        return value
    if isinstance(value, int | float):
        return f"{value:,.6g}" if isinstance(value, float) else f"{value:,}"
    return json.dumps(value, default=str)
