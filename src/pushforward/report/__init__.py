"""The page and the pictures: `html_page` of a comparison, `leaderboard_page` of several, what a notebook shows
(`fragment`, `leaderboard_fragment`), `write_sheet` of images."""

from .page import html_page
from .sheet import write_sheet
from .small import fragment, leaderboard_fragment, leaderboard_page

__all__ = ["fragment", "html_page", "leaderboard_fragment", "leaderboard_page", "write_sheet"]
