"""What the autoencoders share: the length of a latent, the law of the decoder, the two bodies."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch

from ...errors import InputError
from ...nets.autoencoder import Reader, Writer
from ...nets.decoders import Law, law
from ...nets.event import Event
from ..networks import TINY

SUITS = {
    "points": ("gaussian",),
    "table": ("mixed",),
    "images": ("bernoulli", "categorical", "logistic", "gaussian"),
}
FEW = 32  # shades up to which each has a probability of its own
LATENT = {"points": 8, "table": 16}  # at most, where nothing is said


def latent_of(event: Event, asked: int | None) -> int:
    """How long a latent is. Where nothing is said: of points and tables 8 and 16, at most as many as a row has numbers;
    of tiny images 16, of larger ones 64. `InputError` for more than a row has numbers."""
    if asked is None:
        images = 16 if event.size <= TINY else 64
        return min(event.size, LATENT.get(event.kind, images))
    if asked > event.size:
        raise InputError(
            f"latent_size {asked} is larger than the data, whose rows have {event.size} numbers; give at most "
            f"{event.size}"
        )
    return asked


def law_of(event: Event, name: str | None, *, device: torch.device) -> Law:
    """The decoder's law by name, or by the kind of data. `InputError` for one that does not suit them."""
    shades = len(event.shades)
    if name is None:
        name = SUITS[event.kind][0]
        if event.kind == "images":
            name = "bernoulli" if shades == 2 else "categorical" if shades <= FEW else "logistic"
    if name not in SUITS[event.kind]:
        raise InputError(f"decoder {name!r} does not suit {event.kind}; choose {' or '.join(SUITS[event.kind])}")
    if name == "bernoulli" and shades != 2:
        raise InputError(f"decoder 'bernoulli' is of images of two shades, and these have {shades}; choose another")
    if name == "categorical" and shades > FEW:
        raise InputError(f"decoder 'categorical' is of at most {FEW} shades, and these have {shades}; choose logistic")
    return law(event, name, device=device)


def check_decoder(name: str | None) -> None:
    """`InputError` for a decoder that there is not."""
    known = sorted({one for names in SUITS.values() for one in names})
    if name is not None and name not in known:
        raise InputError(f"unknown decoder {name!r}; known: {', '.join(known)}, or leave it out")


def check_whole(**given: int | None) -> None:
    """`InputError` for one of these that is not a whole number of at least 1."""
    for name, value in given.items():
        if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < 1):
            raise InputError(f"{name} must be a whole number of at least 1, not {value!r}")


def check_number(name: str, value: Any, *, above: bool = False) -> None:
    """`InputError` for what is not a finite number of at least 0 (above 0)."""
    plain = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    if not plain or value < 0 or (above and value == 0):
        raise InputError(f"{name} must be a number {'above' if above else 'of at least'} 0, not {value!r}")


def bodies(
    event: Event,
    network: Mapping[str, Any],
    law: Law,
    *,
    read: int,
    written: int,
    affine: bool = False,
    generator: torch.Generator,
) -> tuple[Reader, Writer]:
    """A reader of `read` outputs, and a writer of what `law` needs from `written` numbers."""
    more: dict[str, Any] = {
        "width": network["width"],
        "depth": network["depth"],
        "convolve": event.kind == "images" and event.size > TINY and not network.get("perceptron") and not affine,
        "affine": affine,
        "generator": generator,
    }
    return Reader(event, read, **more), Writer(event, written, law.shape, **more)
