"""What a fidelity metric accepts, and the one sentence it says about what it does not."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from ...errors import InputError
from ...twosample.inputs import as_rows


def two_sets(real: Any, fake: Any, *, at_least: int = 2) -> tuple[Tensor, Tensor]:
    """Features of both sets, `(n, d)` and `(m, d)`, in the wider of their dtypes and on real's device.

    Dimensions after the first are flattened. `InputError` for fewer than `at_least` rows, differing widths, no columns,
    NaN or infinite values, and what are not numbers.
    """
    x, y = as_rows(real, "real", at_least=at_least), as_rows(fake, "fake", at_least=at_least)
    if x.shape[1] != y.shape[1]:
        raise InputError(
            f"rows of real have {x.shape[1]} values but rows of fake have {y.shape[1]}; "
            "use features of one encoder for both"
        )
    dtype = torch.promote_types(x.dtype, y.dtype)
    dtype = torch.promote_types(dtype, torch.float32)  # half precision is for storage
    return x.to(dtype), y.to(x.device, dtype)


def check_level(level: float) -> None:
    """`InputError` unless `level` is a probability."""
    if not 0.0 < level < 1.0:
        raise InputError(f"level {level}: must lie between 0 and 1, such as 0.95")
