"""The chart of a front: what several losses can be had at once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ...errors import InputError
from .. import sentences
from .parts import FAKE, MUTED, REAL, data, span, titled


def of_front(
    front: Any, *, names: Sequence[str] | None = None, losses: tuple[int, int] = (0, 1), side: int = 320
) -> Any:
    """Of a `Front`: two of its `losses`, the first of them across. Its points are filled and joined in the order of the
    first loss, those that another one dominates hollow."""
    import altair as alt

    k = front.losses.shape[1]
    words = [f"loss {i + 1}" for i in range(k)] if names is None else list(names)
    if len(words) != k or len(set(losses)) != 2 or not all(0 <= i < k for i in losses):
        raise InputError(f"a front of {k} losses: give {k} names, and two different losses of 0 to {k - 1} to draw")
    points = front.losses[:, list(losses)].tolist()
    rows = [{"x": x, "y": y, "on": not out} for (x, y), out in zip(points, front.dominated.tolist(), strict=True)]
    if not rows:
        raise InputError("this front has no points to draw")
    on, out = ([row for row in rows if row["on"] == side] for side in (True, False))
    across, up = (words[i] for i in losses)
    x = alt.X("x:Q", scale=alt.Scale(domain=span([r["x"] for r in rows]), nice=False), title=across)
    y = alt.Y("y:Q", scale=alt.Scale(domain=span([r["y"] for r in rows]), nice=False), title=up)
    tips = [alt.Tooltip("x:Q", title=across, format=".4~g"), alt.Tooltip("y:Q", title=up, format=".4~g")]
    kept = alt.Chart(data(on)).encode(x=x, y=y)
    layers = [kept.mark_line(color=MUTED, strokeWidth=1).encode(order="x:Q")] if k == 2 else []
    layers.append(kept.mark_circle(size=70, opacity=1, color=REAL).encode(tooltip=tips))
    if out:
        left = alt.Chart(data(out)).encode(x=x, y=y, tooltip=tips)
        layers.append(left.mark_point(size=55, color=FAKE, filled=False))
    chart = alt.layer(*layers).properties(width=side, height=side)
    return titled(
        chart, sentences.of_front(front), "hollow: dominated by another point" if out else "", width=side + 60
    )


def of_trade_off(found: Any, *, losses: tuple[int, int] = (0, 1), side: int = 320) -> Any:
    """Of a `TradeOff`: its front, under the names of its losses."""
    return of_front(found.front, names=[name.replace("_", " ") for name in found.names], losses=losses, side=side)
