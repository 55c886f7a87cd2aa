"""The page and the pictures: `html_page` of a comparison, `write_sheet` of images."""

from .page import html_page
from .sheet import write_sheet

__all__ = ["html_page", "write_sheet"]
