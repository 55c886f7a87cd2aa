"""What a two-sample test accepts, and the one sentence it says about what it does not."""

from typing import Any

import numpy as np
import torch
from torch import Tensor

from pushforward.errors import InputError


def as_rows(values: Any, name: str, *, at_least: int = 2, missing: bool = False) -> Tensor:
    """`values` as a floating tensor `(n, d)`: an array, tensor, sequence or frame of numbers, `(n,)` or `(n, *d)`.

    A vector is n rows of one column; further dimensions are flattened. Tensors keep their device and precision,
    integers become float64. `InputError`, naming `name` and the row, for anything that is not a number, for fewer than
    `at_least` rows, for infinite values, and for NaN unless `missing`.
    """
    rows = _tensor(values, name)
    if rows.ndim == 0:
        raise InputError(f"{name} is a single number; give a matrix with one row per sample")
    if len(rows) < at_least:
        raise InputError(f"{name} has {len(rows)} rows, and this test needs at least {at_least}")
    rows = rows[:, None] if rows.ndim == 1 else rows.flatten(1)
    if rows.shape[1] == 0:
        raise InputError(f"{name} has no columns")
    bad = torch.isinf(rows) if missing else ~torch.isfinite(rows)
    if bad.any():
        row, column = (int(i) for i in bad.nonzero()[0])
        what = "a missing value (NaN)" if torch.isnan(rows[row, column]) else "an infinite value"
        raise InputError(f"{name} has {what} in row {row}, column {column}; drop or fill such rows first")
    return rows


def _tensor(values: Any, name: str) -> Tensor:
    if isinstance(values, Tensor):
        tensor = values.detach()
    else:
        array = np.asarray(values)
        if array.dtype.kind not in "biuf":
            raise InputError(f"{name} holds {array.dtype} values, not real numbers; encode them first")
        tensor = torch.from_numpy(array.astype(np.float64) if array.dtype.kind != "f" else np.array(array))
    if tensor.is_complex():
        raise InputError(f"{name} holds complex numbers; give their real and imaginary parts as columns")
    return tensor if tensor.is_floating_point() else tensor.double()


def same_columns(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """Both in the wider of their two dtypes on x's device; `InputError` if their widths differ."""
    if x.shape[1] != y.shape[1]:
        raise InputError(f"rows of x have {x.shape[1]} values but rows of y have {y.shape[1]}; they must be alike")
    dtype = torch.promote_types(x.dtype, y.dtype)
    return x.to(dtype), y.to(x.device, dtype)
