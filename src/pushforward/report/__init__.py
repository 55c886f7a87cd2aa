"""The pages and the pictures: `html_page` of a comparison, `leaderboard_page` of several, `contest_page` of
several models, `run_page` of a fitted model
or a run, what a notebook shows (`fragment`, `leaderboard_fragment`, `run_fragment`), `write_sheet` of images."""

from .page import html_page
from .run_page import run_page
from .sheet import write_sheet
from .small import contest_page, fragment, leaderboard_fragment, leaderboard_page, run_fragment

__all__ = [
    "contest_page",
    "fragment",
    "html_page",
    "leaderboard_fragment",
    "leaderboard_page",
    "run_fragment",
    "run_page",
    "write_sheet",
]
