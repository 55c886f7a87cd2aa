"""Results of benches as JSON in docs/benchmarks/, and the pages made of them."""

import json
import os
import platform
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

FOLDER = Path(__file__).resolve().parent.parent / "docs" / "benchmarks"


def store(name: str, found: dict[str, Any]) -> dict[str, Any]:
    """Lay `found` over the stored results of `name`, dictionary by dictionary (so that an interrupted run loses
    nothing), and give them all."""
    path = FOLDER / f"{name}.json"
    results = _laid(json.loads(path.read_text()) if path.exists() else {}, found)
    _replace(path, json.dumps(results, indent=1) + "\n")
    return results


def write(name: str, lines: Sequence[str]) -> None:
    """The page `name`, of these lines."""
    _replace(FOLDER / f"{name}.md", "\n".join(lines).rstrip() + "\n")


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """A Markdown table; every column but the first is of numbers."""
    ruler = "|---|" + "---:|" * (len(head) - 1)
    return [f"| {' | '.join(head)} |", ruler, *(f"| {' | '.join(row)} |" for row in rows)]


def machine() -> str:
    """Where this runs, in a few words."""
    return f"{os.cpu_count()} cores ({platform.machine()}), torch {torch.__version__}"


def _replace(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_name(path.name + ".new")
    fresh.write_text(text)
    os.replace(fresh, path)


def _laid(below: dict[str, Any], above: dict[str, Any]) -> dict[str, Any]:
    both = {
        k: _laid(below[k], v) if isinstance(v, dict) and isinstance(below.get(k), dict) else v for k, v in above.items()
    }
    return below | both
