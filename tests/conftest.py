"""Shared by every test: nothing may read or set a global random state.

(`random` is banned from the package by a lint rule instead: the type checks that run under test draw from it.)
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
import torch


@pytest.fixture(autouse=True)
def no_global_randomness() -> Iterator[None]:
    """Fail a test that moves the global random state of NumPy or torch."""
    before = np.random.get_state()[1].copy(), torch.get_rng_state()  # noqa: NPY002
    yield
    assert np.array_equal(before[0], np.random.get_state()[1]), "the global state of numpy.random was used"  # noqa: NPY002
    assert torch.equal(before[1], torch.get_rng_state()), "the global random state of torch was used"


@pytest.fixture
def generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)
