"""`Event`: what one row of data is to a network that models it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..data.dataset import Kind
    from ..data.tables import Block


@dataclass(frozen=True)
class Event:
    """Rows `(n, *shape)`, float32, as a codec expands them.

    points: standardised numbers `(d,)`. images: [-1, 1], `(c, h, w)`; `shades` are the byte levels that training
    pictures had, ascending (all 256 where they had more than a few). table: numbers, about N(0, 1), and then one-hot
    groups; `blocks` say which is whose. given: how many numbers of a condition stand beside a row; 0 where none do.
    """

    kind: Kind
    shape: tuple[int, ...]
    blocks: tuple[Block, ...] = ()
    shades: tuple[int, ...] = ()
    given: int = 0

    @property
    def size(self) -> int:
        """How many numbers a row has."""
        n = 1
        for side in self.shape:
            n *= side
        return n

    @property
    def numbers(self) -> int:
        """How many of a table's entries are numbers; they come first."""
        return sum(block.kind == "numeric" for block in self.blocks)

    @property
    def levels(self) -> tuple[int, ...]:
        """The sizes of a table's one-hot groups, in order."""
        return tuple(block.levels for block in self.blocks if block.kind == "category")

    @property
    def present(self) -> tuple[int, ...]:
        """For each number of a table the place, in the row, of the entry that says it is there; -1 where it always is.

        A column with missing values or point masses has a number and a group; the group's first level is `value`.
        """
        starts = {block.column: block.start for block in self.blocks if block.kind == "category"}
        return tuple(starts.get(block.column, -1) for block in self.blocks if block.kind == "numeric")
