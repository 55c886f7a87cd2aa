"""Shared by every test: nothing may read or set a global random state."""

from __future__ import annotations

import random
from collections.abc import Iterator

import numpy as np
import pytest
import rich.console  # noqa: F401  (draws from `random` when first imported: before any test)
import torch


@pytest.fixture(autouse=True)
def no_global_randomness() -> Iterator[None]:
    """Fail a test that moves the global state of `random`, NumPy or torch."""
    before = random.getstate(), np.random.get_state()[1].copy(), torch.get_rng_state()  # noqa: NPY002
    yield
    after = random.getstate(), np.random.get_state()[1], torch.get_rng_state()  # noqa: NPY002
    moved = [
        name
        for name, same in (
            ("random", before[0] == after[0]),
            ("numpy.random", np.array_equal(before[1], after[1])),
            ("torch", torch.equal(before[2], after[2])),
        )
        if not same
    ]
    assert not moved, f"global random state was used: {', '.join(moved)}"


@pytest.fixture
def generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)
