"""A user's data as rows that a fitted model's networks see, and rows of theirs as data of the user's kind."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from ..data.alike import check_alike
from ..data.dataset import Dataset
from ..data.sources import read as read_data
from ..data.sources import to_container
from ..errors import InputError
from .drawing import CHUNK, joined, rng

if TYPE_CHECKING:
    from .trained import Trained


def read_rows(model: Trained, data: Any) -> Dataset:
    """`data` in the form of those `model` was fitted on. `InputError` for another kind, size or other columns."""
    model._require_fitted()
    codec = model.codec_
    dataset = read_data(data, kind=None if isinstance(data, Dataset) else codec.kind)
    if not len(dataset):
        raise InputError(f"{dataset.name}: has no rows; give at least one")
    fitted = codec.decode(torch.zeros(1, *codec.event_shape), generator=rng(0))
    found = check_alike(replace(fitted, name="the data this model was fitted on"), dataset)
    return replace(found, given=dataset.given)


def device(model: Trained) -> torch.device:
    """Where the model's generator lives."""
    return next(model.generator_.parameters()).device


def chunks(model: Trained, dataset: Dataset, *, size: int | None = None) -> Iterator[Tensor]:
    """Expanded rows of `dataset`, so many at a time, on the model's device; alike at every call."""
    codec, on = model.codec_, device(model)
    compact = codec.encode(dataset, generator=rng(model.seed, "encode"))
    for part in compact.split(size or CHUNK[codec.kind]):
        yield codec.expand(part.to(on)).float()


def give_back(model: Trained, parts: Iterable[Tensor], *, seed: int = 0) -> Any:
    """Encoded rows `(n, *event)`, by the part, as data of the kind of container that the model was fitted on."""
    codec = model.codec_
    found = [codec.decode(part, generator=rng(seed, "decode", number)) for number, part in enumerate(parts)]
    return to_container(joined(found))


def as_array(rows: Iterable[Tensor]) -> np.ndarray:
    """Float32 `(n, ...)` on the CPU."""
    found: np.ndarray = torch.cat([part.detach().float().cpu() for part in rows]).numpy()
    return found
