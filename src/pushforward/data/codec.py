"""`Codec`: data of one kind to and from the tensors that networks speak, fitted on training rows only.

Three steps, so that data stay compact on the device and grow only by the batch:

    Dataset --encode--> rows (compact)  --expand--> (n, *event_shape) float32  --decode--> Dataset
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor

from ..errors import InputError
from .dataset import Dataset, Kind


@runtime_checkable
class Codec(Protocol):
    """What `PointsCodec`, `ImageCodec` and `TableCodec` offer; each has `fit(dataset, **options)` too."""

    @property
    def kind(self) -> Kind: ...

    @property
    def event_shape(self) -> tuple[int, ...]:
        """The shape of one expanded row."""

    def encode(self, dataset: Dataset, *, generator: torch.Generator | None = None) -> Tensor:
        """Compact rows `(n, ...)` on the CPU. `generator` (seed 0 by default) draws where a value owns a range."""

    def expand(self, rows: Tensor) -> Tensor:
        """Float32 `(n, *event_shape)` of compact `rows`, on their device: what critics see and generators make."""

    def decode(self, rows: Tensor, *, generator: torch.Generator | None = None) -> Dataset:
        """Data of the user's kind from expanded `rows` `(n, *event_shape)`, made by a generator or by `expand`."""

    def to_dict(self) -> dict[str, Any]:
        """All but `tensors()`, JSON-able."""

    def tensors(self) -> dict[str, Tensor]:
        """The fitted arrays, for safetensors."""


def fit_codec(dataset: Dataset, **options: Any) -> Codec:
    """The codec of `dataset`'s kind, fitted on it (give the training rows only); of both where something is given."""
    codec: Codec = codec_class("joint" if dataset.given is not None else dataset.kind).fit(dataset, **options)
    return codec


def codec_from_dict(d: Mapping[str, Any], tensors: Mapping[str, Tensor] | None = None) -> Codec:
    """The codec that wrote `to_dict()` and `tensors()`."""
    codec: Codec = codec_class(str(d.get("codec", d.get("kind")))).from_dict(d, tensors or {})
    return codec


# name -> where its class is: a kind, or what a codec of another make writes as "codec"
CODECS = {
    "points": ("points", "PointsCodec"),
    "images": ("images", "ImageCodec"),
    "table": ("tables", "TableCodec"),
    "joint": ("joint", "JointCodec"),
    "pairs": ("pairs", "PairsCodec"),
    "whitened": ("whitened", "WhitenedCodec"),
}


def codec_class(name: str) -> Any:
    """The class of the codec `name`; `InputError` where this version has none of that name."""
    if name not in CODECS:
        raise InputError(f"the saved codec is of kind {name!r}, unknown to this version; update pushforward")
    module, found = CODECS[name]
    return getattr(import_module(f".{module}", __package__), found)
