"""The picture of a front: what several losses can be had at once."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path

from ..errors import InputError
from ..files import write_text
from ..objectives.several import Front
from .charts import _named, _padded
from .pictures.drawing import draw

# the page's colours, for a picture that stands alone
PLAIN = {
    "--real": "#1668b8",
    "--fake": "#c8501e",
    "--ink": "#1d2430",
    "--muted": "#5b6573",
    "--line": "#c9cfd8",
    "--grid": "#edf0f4",
}


def front_chart(front: Front, names: Sequence[str] = ("first loss", "second loss"), *, side: int = 270) -> str:
    """The losses of `front`, two of them, as an `<svg>`: its points filled, those another one dominates hollow, joined
    in the order of the first loss. `InputError` for another number of losses."""
    import altair as alt

    if front.losses.shape[1] != 2 or len(names) != 2:
        raise InputError(f"a front of {front.losses.shape[1]} losses cannot be drawn in a plane; draw two of them")
    points = front.losses.tolist()
    rows = [{"x": x, "y": y, "on": not out} for (x, y), out in zip(points, front.dominated.tolist(), strict=True)]
    x, y = (
        alt.X(f"{name}:Q", scale=alt.Scale(domain=_padded([row[name] for row in rows]), nice=False), title=title)
        if name == "x"
        else alt.Y(f"{name}:Q", scale=alt.Scale(domain=_padded([row[name] for row in rows]), nice=False), title=title)
        for name, title in zip(("x", "y"), names, strict=True)
    )
    line = _named("on").mark_line(color="var(--muted)", strokeWidth=1, aria=False).encode(x=x, y=y, order="x:Q")
    filled = _named("on").mark_circle(size=55, opacity=1, color="var(--real)", aria=False).encode(x=x, y=y)
    hollow = _named("out").mark_point(size=45, color="var(--fake)", aria=False).encode(x=x, y=y)
    on = sorted((row for row in rows if row["on"]), key=lambda row: row["x"])
    return draw(
        alt.layer(line, filled, hollow).properties(width=side, height=side),
        f"{names[1]} over {names[0]}: {len(on)} points on the front, {len(rows) - len(on)} dominated",
        on=on,
        out=[row for row in rows if not row["on"]],
    )


def write_front(
    front: Front,
    path: str | os.PathLike[str],
    names: Sequence[str] = ("first loss", "second loss"),
    *,
    force: bool = False,
) -> None:
    """`front_chart` as the file `path`, an .svg; `InputError` where it exists, unless `force`."""
    target = Path(path)
    if target.suffix.lower() != ".svg":
        raise InputError(f"{path}: the picture of a front is an .svg; choose such a name")
    if target.exists() and not force:
        raise InputError(f"{path}: already exists; replace it with force=True, or choose another file")
    svg = re.sub(r"var\((--[a-z]+)\)", lambda m: PLAIN.get(m[1], "#888"), front_chart(front, names))
    write_text(target, svg if "xmlns=" in svg else svg.replace("<svg ", '<svg xmlns="http://www.w3.org/2000/svg" ', 1))
