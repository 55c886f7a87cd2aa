"""Data that are always there: `sample:NAME` (real, shipped) and `toy:NAME[:n]` (drawn from an exact density)."""

from __future__ import annotations

from importlib.resources import as_file, files

import numpy as np
import polars as pl
import torch

from ..errors import InputError
from .dataset import Dataset
from .toys import toy

SAMPLES = ("diamonds", "weather", "digits")
_TOY_SEED = 0


def is_builtin(source: str) -> bool:
    """Whether `source` names built-in data rather than a file."""
    return source.startswith(("sample:", "toy:"))


def read_builtin(source: str) -> Dataset:
    """The built-in data called `source`."""
    prefix, _, name = source.partition(":")
    if prefix == "toy":
        return _read_toy(source, name)
    if name == "digits":
        return _read_digits()
    if name not in SAMPLES:
        raise InputError(f"{source}: no such sample; known: {', '.join('sample:' + s for s in SAMPLES)}")
    with as_file(files(__package__) / "samples" / f"{name}.parquet") as path:
        return Dataset("table", pl.read_parquet(path), source, "polars")


def builtin_labels(source: str) -> np.ndarray | None:
    """The classes of the rows of built-in data `(n,)`; None where they have none."""
    if source != "sample:digits":
        return None
    from sklearn.datasets import load_digits

    labels: np.ndarray = load_digits().target
    return labels


def _read_toy(source: str, rest: str) -> Dataset:
    name, colon, count = rest.partition(":")
    made = toy(name)
    if colon and not (count.isdecimal() and int(count) > 0):
        raise InputError(f"{source}: {count!r} is not a number of points; write toy:{name}:1000")
    generator = torch.Generator().manual_seed(_TOY_SEED)
    return Dataset("points", made.sample(int(count) if colon else made.rows, generator), source, "numpy")


def _read_digits() -> Dataset:
    """scikit-learn's 1,797 handwritten digits, 8 x 8: shades 0..16 scaled to bytes 0..255, `round(255 v / 16)`."""
    from sklearn.datasets import load_digits

    shades = load_digits().images
    values = torch.from_numpy(np.rint(shades * (255 / 16)).astype(np.uint8))[:, None]
    return Dataset("images", values, "sample:digits", "numpy")
