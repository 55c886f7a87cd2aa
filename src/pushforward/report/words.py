"""Numbers and cells in words, as pages, cards and charts write them."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Sequence
from typing import Any

LONGEST = 60  # characters of a cell
FEW = 4  # names that are listed


def figure(value: float | None) -> str:
    """Three or four digits, as one reads them."""
    if value is None or math.isnan(value):
        return "–"
    if math.isinf(value):
        return "∞" if value > 0 else "−∞"
    if float(value).is_integer() and abs(value) < 1e6 and abs(value) != 1:
        return f"{value:,.0f}"
    if abs(value) < 1e-4:
        return f"{value:.1e}"
    if abs(value) < 1e-2:
        return f"{value:.4f}"
    return f"{value:.3f}" if abs(value) < 10 else f"{value:,.4g}"


def interval(low: float | None, high: float | None) -> str:
    """`low … high`, or nothing where there is none."""
    if low is None or high is None or math.isnan(low) or math.isnan(high):
        return ""
    return f"{figure(low)} … {figure(high)}"


def p_value(p: float) -> str:
    """`p = 0.012`; what rounds to 1 is 1."""
    return f"p = {p:.2g}" if p < 0.995 else "p = 1"


def cell(value: Any) -> str:
    """A cell of a record."""
    if value is None:
        return "–"
    if isinstance(value, float):
        return f"{value:.5g}"
    return cut(str(value), LONGEST)


def cut(text: str, most: int) -> str:
    """`text` with at most `most` characters."""
    return text if len(text) <= most else text[: most - 3] + "…"


def duration(seconds: float) -> str:
    """About how long."""
    if seconds < 1:
        return "less than a second"
    if seconds < 120:
        return f"{seconds:.0f} seconds"
    return f"{seconds / 60:.0f} minutes" if seconds < 7200 else f"{seconds / 3600:.1f} hours"


def listed(names: Sequence[str], most: int = FEW) -> str:
    """`a, b, c and 9 more`."""
    if len(names) <= most + 1:
        return ", ".join(names)
    return f"{', '.join(names[:most])} and {len(names) - most} more"


def counted(n: int, noun: str) -> str:
    """`1 row`, `1,200 rows`."""
    return f"{n:,} {noun}" + ("" if n == 1 else "s")


def wrapped(text: str, width: int) -> list[str]:
    """`text` in lines of at most `width` characters; words longer than that are cut in two."""
    return textwrap.wrap(text, max(10, width)) or [""]
