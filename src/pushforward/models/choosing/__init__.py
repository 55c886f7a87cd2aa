"""`Auto`: which model suits these data? Several are fitted within a budget and judged by rows that none of them saw."""

from .auto import Auto

__all__ = ["Auto"]
