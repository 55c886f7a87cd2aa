"""Features as data: written once, with where they come from, and compared as points as often as one likes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch

from ... import __version__
from ...data import sources
from ...data.dataset import Dataset
from ...errors import InputError
from .encoder import Encoder, Report
from .names import encoder

FILES = (".npz", ".npy", ".parquet")


def encode_features(
    data: Any,
    which: str | Path | Encoder | Callable[..., Any],
    out: str | Path | None = None,
    *,
    fit: Any = (),
    device: str = "cpu",
    force: bool = False,
    report: Report | None = None,
) -> Dataset:
    """The features of `data` (images, or points where the encoder takes them) as points `(n, d)` float32; also written
    to `out` (.npz, .npy or .parquet), with the encoder, what it reads, the source and its rows as `made_by`.

    `fit`: more data that an encoder is fitted on beside `data`, where it learns from data (`pca`): give every set the
    same ones, or their features cannot be compared.

    Raises `InputError` for data that the encoder cannot take, and where `out` exists and not `force`.
    """
    target = None if out is None else Path(out)
    if target is not None and target.suffix.lower() not in FILES:
        raise InputError(f"{target}: features are written as {', '.join(FILES)}; choose one of these endings")
    if target is not None and target.exists() and not force:  # before any work
        raise InputError(f"{target}: already exists; give --force (force=True) to replace it, or choose another name")
    dataset = encodable(sources.read(data))
    more = [sources.check_alike(dataset, sources.read(one)) for one in _several(fit)]
    made = encoder(which, device=device).fit(_pooled([dataset, *more]))
    features = made(dataset.values, report=report)
    record = {
        "tool": "pushforward",
        "version": __version__,
        "features": record_of(made) | {"source": dataset.name, "rows": len(dataset)},
        "source_made_by": None if dataset.made_by is None else dict(dataset.made_by),
    }
    synthetic = bool((dataset.made_by or {}).get("synthetic", False))
    points = Dataset(
        "points", features, str(target or f"features of {dataset.name}"), "torch", {"synthetic": synthetic, **record}
    )
    if target is not None:
        sources.write(points, target, made_by=record, force=force, synthetic=synthetic)
    return points


def record_of(made: Encoder) -> dict[str, Any]:
    """What is kept of an encoder: its name, what it read, and a key equal for equal encoders only."""
    key = made.key
    if made.preparation is not None and made.shape is not None and len(made.shape) == 3:
        key = f"{key}@{made.preparation.key(made.shape)}"
    return {"encoder": made.name, "key": key, "reads": made.reads, "width": made.width}


def encodable(dataset: Dataset) -> Dataset:
    """`dataset`, unless it is a table."""
    if dataset.kind == "table":
        raise InputError(f"{dataset.name}: is a table, which encoders of images and points do not take; give images")
    return dataset


def check_features(datasets: Mapping[str, Dataset]) -> str:
    """What the features read, where `datasets` (by role) were made by `encode_features`, or "".

    Raises `InputError` where two of them were made by different encoders, or by one that was prepared differently:
    their distances would mean nothing.
    """
    made = {role: _features_of(data) for role, data in datasets.items()}
    known = {role: record for role, record in made.items() if record}
    if not known:
        return ""
    first = next(iter(known))
    for role, record in known.items():
        if record.get("key") != known[first].get("key"):
            raise InputError(
                f"{datasets[role].name}: holds features of {_told(record, known[first])}, but {datasets[first].name} "
                f"holds those of {_told(known[first], record)}; encode both by the same encoder"
            )
    return str(known[first].get("reads", ""))


def _told(record: Mapping[str, Any], other: Mapping[str, Any]) -> str:
    """The encoder's name, or, where that is the same, its key, which tells the two apart."""
    return str(record.get("encoder") if record.get("encoder") != other.get("encoder") else record.get("key"))


def _features_of(dataset: Dataset) -> Mapping[str, Any] | None:
    record = (dataset.made_by or {}).get("features")
    return record if dataset.kind == "points" and isinstance(record, Mapping) else None


def _several(fit: Any) -> list[Any]:
    return list(fit) if isinstance(fit, list | tuple) else [fit]


def _pooled(datasets: list[Dataset]) -> torch.Tensor:
    return datasets[0].values if len(datasets) == 1 else torch.cat([data.values for data in datasets])
