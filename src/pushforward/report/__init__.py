"""Pages, pictures and charts of results.

- `plot(thing)`: an Altair chart of a result, a run, a model or data, which `result.plot()` looks up;
- `card(thing)`: what a notebook shows of it (`_repr_html_`);
- `html_page` of a comparison, `leaderboard_page` of several, `contest_page` of several models, `run_page` of a fitted
  model or a run; `fragment`, `leaderboard_fragment`, `contest_fragment`, `run_fragment` are the short of them;
- `save_picture`, of a chart or of frames, for pictures that stand alone; `write_sheet` of images, `write_front`.

Names are imported on first use, so that a notebook does not wait for pages that it does not show.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .cards import card
    from .fronts import write_front
    from .page import html_page
    from .page_of_run import run_page
    from .plots import plot
    from .sheet import write_sheet
    from .small import (
        contest_fragment,
        contest_page,
        fragment,
        leaderboard_fragment,
        leaderboard_page,
        run_fragment,
    )
    from .standing import FAKE, REAL, SERIES, image_of, save_picture, sheet_of

_HOMES = {
    "FAKE": "standing",
    "REAL": "standing",
    "SERIES": "standing",
    "card": "cards",
    "contest_fragment": "small",
    "contest_page": "small",
    "fragment": "small",
    "html_page": "page",
    "image_of": "standing",
    "leaderboard_fragment": "small",
    "leaderboard_page": "small",
    "plot": "plots",
    "run_fragment": "small",
    "run_page": "page_of_run",
    "save_picture": "standing",
    "sheet_of": "standing",
    "write_front": "fronts",
    "write_sheet": "sheet",
}

__all__ = [
    "FAKE",
    "REAL",
    "SERIES",
    "card",
    "contest_fragment",
    "contest_page",
    "fragment",
    "html_page",
    "image_of",
    "leaderboard_fragment",
    "leaderboard_page",
    "plot",
    "run_fragment",
    "run_page",
    "save_picture",
    "sheet_of",
    "write_front",
    "write_sheet",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f".{_HOMES[name]}", __name__), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
