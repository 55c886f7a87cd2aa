"""The pages and the pictures: `html_page` of a comparison, `leaderboard_page` of several, `run_page` of a fitted model
or a run, what a notebook shows (`fragment`, `leaderboard_fragment`, `run_fragment`), `write_sheet` of images."""

from .page import html_page
from .run_page import run_page
from .sheet import write_sheet
from .small import fragment, leaderboard_fragment, leaderboard_page, run_fragment

__all__ = [
    "fragment",
    "html_page",
    "leaderboard_fragment",
    "leaderboard_page",
    "run_fragment",
    "run_page",
    "write_sheet",
]
