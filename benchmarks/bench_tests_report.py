"""docs/benchmarks/two-sample.md from the results in docs/benchmarks/two-sample.json; `merge` adds to the latter.

    python benchmarks/bench_tests_report.py
"""

import json
import math
import os
from pathlib import Path
from typing import Any

PAGE = Path(__file__).resolve().parent.parent / "docs" / "benchmarks" / "two-sample.md"
RESULTS = PAGE.with_suffix(".json")


def wilson(successes: int, trials: int) -> tuple[float, float]:
    """Wilson's 95 % interval of a probability."""
    z, p = 1.959964, successes / trials
    centre, half = p + z * z / (2 * trials), z * math.sqrt(p * (1 - p) / trials + z * z / (4 * trials * trials))
    return (centre - half) / (1 + z * z / trials), (centre + half) / (1 + z * z / trials)


def merge(found: dict[str, Any]) -> None:
    """Lay `found` over the stored results, dictionary by dictionary, so that an interrupted run loses nothing."""
    results = _laid(json.loads(RESULTS.read_text()) if RESULTS.exists() else {}, found)
    RESULTS.parent.mkdir(parents=True, exist_ok=True)
    fresh = RESULTS.with_suffix(".new")
    fresh.write_text(json.dumps(results, indent=1) + "\n")
    os.replace(fresh, RESULTS)


def _laid(below: dict[str, Any], above: dict[str, Any]) -> dict[str, Any]:
    both = {k: _laid(below[k], v) if isinstance(v, dict) and isinstance(below.get(k), dict) else v for k, v in above.items()}
    return below | both
