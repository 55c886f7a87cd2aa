"""What a page of pictures is made of: sections of pictures, each with one sentence on how to read it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

COLOURS = (
    "var(--c1)",
    "var(--c2)",
    "var(--c3)",
    "var(--c4)",
    "var(--c5)",
    "var(--c6)",
    "var(--c7)",
    "var(--c8)",
    "var(--c9)",
    "var(--c10)",
)
REAL, FAKE, INK, MUTED = "var(--real)", "var(--fake)", "var(--ink)", "var(--muted)"


@dataclass(frozen=True)
class Key:
    """A colour, and what it stands for."""

    colour: str
    name: str


@dataclass(frozen=True)
class Chart:
    """One drawing: an `<svg>` with its caption; `keys` where its colours need names, `reads` how to read it."""

    caption: str
    svg: str
    note: str = ""
    keys: tuple[Key, ...] = ()
    reads: str = ""


@dataclass(frozen=True)
class Charts:
    """Drawings side by side, `across` of them where there is room, or each as wide as it is, to be scrolled."""

    items: tuple[Chart, ...]
    wide: bool = False
    across: int = 3
    form: ClassVar[str] = "charts"


@dataclass(frozen=True)
class Sheet:
    """Images laid out in one PNG: `uri`, its width on the page in pixels, and what a screen reader says."""

    uri: str
    width: int
    alt: str


@dataclass(frozen=True)
class Strip:
    """A sheet beside its name, a note, and the colour that it has elsewhere."""

    label: str
    sheet: Sheet
    note: str = ""
    colour: str = ""


@dataclass(frozen=True)
class Strips:
    """Named sheets below one another, `columns` of them side by side where there is room; in a `grid` the names stand
    beside them and the order goes down first, so that what lies below one another belongs together."""

    rows: tuple[Strip, ...]
    columns: int = 1
    grid: bool = False
    form: ClassVar[str] = "strips"


@dataclass(frozen=True)
class Rows:
    """A table: `head` names its columns, `sides[i]` (real, fake or empty) says what row i is."""

    head: tuple[str, ...]
    rows: tuple[tuple[Any, ...], ...]
    sides: tuple[str, ...] = ()
    form: ClassVar[str] = "rows"

    @property
    def numeric(self) -> list[bool]:
        """Which columns hold numbers."""
        return [any(isinstance(row[j], int | float) for row in self.rows) for j in range(len(self.head))]


Body = Charts | Strips | Rows


@dataclass(frozen=True)
class Picture:
    """A body under its title; `reads` is one sentence on how to read it, `lead` what it shows here, in figures.

    `folded` ones open at a click."""

    title: str
    reads: str
    body: Body
    lead: str = ""
    keys: tuple[Key, ...] = ()
    folded: bool = False


@dataclass(frozen=True)
class Section:
    """Pictures under one heading; `name` is its anchor."""

    name: str
    heading: str
    pictures: tuple[Picture, ...]
    lead: str = ""


def sections(found: Sequence[Section | None]) -> tuple[Section, ...]:
    """Those that have anything to show."""
    return tuple(one for one in found if one is not None and one.pictures)
