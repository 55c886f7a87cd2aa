"""The pages and the pictures: `html_page` of a comparison, `leaderboard_page` of several, `contest_page` of
several models, `run_page` of a fitted model
or a run, what a notebook shows (`fragment`, `leaderboard_fragment`, `run_fragment`), `write_sheet` of images; and
`save_picture`, of a chart or of frames, for pictures that stand alone."""

from .page import html_page
from .run_page import run_page
from .sheet import write_sheet
from .small import contest_page, fragment, leaderboard_fragment, leaderboard_page, run_fragment
from .standing import FAKE, REAL, SERIES, image_of, save_picture, sheet_of

__all__ = [
    "FAKE",
    "REAL",
    "SERIES",
    "contest_page",
    "fragment",
    "html_page",
    "image_of",
    "leaderboard_fragment",
    "leaderboard_page",
    "run_fragment",
    "run_page",
    "save_picture",
    "sheet_of",
    "write_sheet",
]
