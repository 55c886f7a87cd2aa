"""The random changes that make views, by name: `warp+jitter:0.5+cutout`, each with a strength after a colon.

| name | of | does | strength |
|---|---|---|---|
| warp | images | turns, magnifies, moves, stretches a little | 1: by up to .35 rad, exp(.2), .12 of a side, exp(.1) |
| jitter | images | brightness, contrast, saturation of colours | 1: by up to a quarter, a half, all of it |
| cutout | images | a box of half the sides set to mid grey | the share of images, .3 |
| crop | images | a random window at full size | the least share of the area, .3 |
| flip | images | mirrors half of them | - |
| corrupt | points, tables | cells take the value of another row (SCARF) | the share of cells, .6 |
| noise | points, images | Gaussian noise, on standardised points and pixels in [-1, 1] | .3 |
| none | any | nothing | - |

What a change leaves as it was is what the features will keep: a flip is wrong where left and right mean something.
`corrupt` is made on one of the two views alone, the other being the row itself (Bahri et al. 2022, algorithm 1); all
others on both.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor

from ...data.dataset import Kind
from ...errors import InputError
from ...nets.event import Event
from ...training import augment
from ...training.draw import Draw

KNOWN: Mapping[str, tuple[tuple[Kind, ...], float]] = {  # name -> (kinds, strength)
    "warp": (("images",), 1.0),
    "jitter": (("images",), 1.0),
    "cutout": (("images",), 0.3),
    "crop": (("images",), 0.3),
    "flip": (("images",), 1.0),
    "corrupt": (("points", "table"), 0.6),
    "noise": (("points", "images"), 0.3),
    "none": (("points", "table", "images"), 1.0),
}
SHARES = ("cutout", "crop", "corrupt")  # their strength is a share
PHOTO = 32  # sides from which on a colour image is taken for a photograph


@final
@dataclass(frozen=True, eq=False)
class Views:
    """Changes in turn, (name, strength); `owners`: the cell of every place of a row of points or of a table."""

    changes: tuple[tuple[str, float], ...]
    owners: Tensor

    def __call__(self, rows: Tensor, draw: Draw) -> Tensor:
        for name, strength in self.changes:
            if name == "warp":
                rows = augment.warp(
                    rows, draw, turn=0.35 * strength, zoom=0.2 * strength, move=0.12 * strength, stretch=0.1 * strength
                )
            elif name == "jitter":
                rows = augment.jitter(
                    rows, draw, brightness=0.25 * strength, saturation=strength, contrast=0.5 * strength
                )
            elif name == "cutout":
                rows = augment.cut(rows, draw, share=strength)
            elif name == "crop":
                rows = augment.crop(rows, draw, least=strength)
            elif name == "flip":
                rows = augment.mirror(rows, draw)
            elif name == "corrupt":
                rows = augment.corrupt(rows, self.owners.to(rows.device), draw, share=strength)
            elif name == "noise":
                rows = augment.blur(rows, draw, spread=strength)
        return rows


def default(event: Event) -> str:
    """What suits rows like `event` unless the user knows better."""
    if event.kind == "images":
        photo = event.shape[0] > 1 and min(event.shape[1:]) >= PHOTO
        return "crop+flip+jitter" if photo else "warp+jitter+cutout"
    return "corrupt" if event.kind == "table" else "noise"


def parse(words: str, kind: Kind | None = None) -> tuple[tuple[str, float], ...]:
    """The changes that `words` name; `InputError` for an unknown one, a wrong strength, or one not for this kind."""
    found = []
    for word in words.split("+"):
        name, colon, number = word.strip().partition(":")
        if name not in KNOWN:
            raise InputError(f"unknown view {name!r}; choose of {', '.join(KNOWN)}, joined by +")
        kinds, strength = KNOWN[name]
        if kind is not None and kind not in kinds:
            fit = [one for one, (its, _) in KNOWN.items() if kind in its]
            raise InputError(f"the view {name!r} is for {' and '.join(kinds)}, not for {kind}; take {', '.join(fit)}")
        if colon:
            try:
                strength = float(number)
            except ValueError:
                raise InputError(f"the strength in {word!r} is not a number; write for example {name}:0.5") from None
        if not (0 < strength <= 1 if name in SHARES else 0 < strength < float("inf")):
            most = "in (0, 1]" if name in SHARES else "above 0"
            raise InputError(f"the strength of the view {name!r} must be a number {most}, not {strength:g}")
        found.append((name, strength))
    return tuple(found)


def pair(words: str, event: Event) -> tuple[Views, Views]:
    """The two sides' changes: those of `words`, `corrupt` on the second alone."""
    changes, owners = parse(words, event.kind), cells(event)
    first = tuple(change for change in changes if change[0] != "corrupt")
    return Views(first, owners), Views(changes, owners)


def both(words: str, event: Event) -> Views:
    """All the changes of `words`, for one side."""
    return Views(parse(words, event.kind), cells(event))


def cells(event: Event) -> Tensor:
    """The number of the column of every place of a row `(size,)`: a table's number and the codes beside it are one."""
    if event.kind != "table":
        return torch.arange(event.size)
    columns = {name: number for number, name in enumerate(dict.fromkeys(block.column for block in event.blocks))}
    places = torch.empty(event.size, dtype=torch.long)
    for block in event.blocks:
        places[block.start : block.stop] = columns[block.column]
    return places
