"""Is this the same run? The fingerprint of data, and what differs, in one sentence."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import polars as pl

from ..data.dataset import Dataset
from ..errors import InputError

ROWS_AT_A_TIME = 65_536


def fingerprint(dataset: Dataset) -> dict[str, Any]:
    """Kind, rows, layout and the SHA-256 of the values: equal for equal data, whatever file they came from."""
    digest = hashlib.sha256()
    if dataset.kind == "table":
        frame: pl.DataFrame = dataset.values
        # categorical columns number their levels by the order in which a process met them: their text does not vary
        frame = frame.with_columns(pl.col(pl.Categorical).cast(pl.String))
        for part in frame.iter_slices(ROWS_AT_A_TIME):
            buffer = io.BytesIO()
            part.write_ipc_stream(buffer)
            digest.update(buffer.getbuffer())
        layout = {name: str(dtype) for name, dtype in frame.schema.items()}
    else:
        digest.update(memoryview(dataset.values.detach().cpu().contiguous().numpy()).cast("B"))
        layout = {"shape": str(tuple(dataset.values.shape[1:])), "dtype": str(dataset.values.dtype)}
    found = {"kind": dataset.kind, "rows": len(dataset), "layout": layout, "sha256": digest.hexdigest()}
    return found if dataset.given is None else {**found, "given": fingerprint(dataset.given)["sha256"]}


def same_data(folder: Path, then: Mapping[str, Any], now: Mapping[str, Any]) -> None:
    """`InputError` saying how the data differ from those the run in `folder` was started with."""
    if then == now:
        return
    for what in ("kind", "rows", "layout", "given", "holdout"):
        if then.get(what) != now.get(what):
            difference = f"{what} {_short(then.get(what))} then, {_short(now.get(what))} now"
            break
    else:
        difference = "other values in the same layout"
    raise InputError(
        f"{folder}: this run was started on different data ({difference}); resume it with the same data, or fit into "
        "another folder"
    )


def same_parameters(folder: Path, then: Mapping[str, Any], now: Mapping[str, Any], free: Collection[str]) -> None:
    """`InputError` naming the parameters, other than the `free` ones, that differ from those the run has."""
    differences = [
        f"{name} was {then.get(name)!r} and is {now.get(name)!r}"
        for name in sorted({*then, *now})
        if name not in free and then.get(name) != now.get(name)
    ]
    if differences:
        raise InputError(
            f"{folder}: this run was started with other parameters ({'; '.join(differences)}); resume it with its own, "
            "or fit into another folder"
        )


def _short(value: Any) -> str:
    text = str(value)
    return text if len(text) <= 120 else text[:117] + "..."
