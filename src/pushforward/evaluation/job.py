"""What the parts of a comparison share: the data by role, their columns and distances, two real sets as a baseline."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from ..data import sources
from ..data.dataset import Dataset
from ..errors import InputError
from . import spaces
from .frames import Frame, frame_of
from .memorization import contains

Array = NDArray[np.float64]
Rows = NDArray[np.int64]
LEAST_ROWS = 20
WIDEST_FOR_TREES = 256  # wider points are judged by their principal components


@dataclass(frozen=True)
class Suite:
    """How much is measured: most rows (of each set) for each part, folds, relabellings, random halvings of REAL."""

    classifier_rows: int
    folds: int
    permutations: int
    kernel_rows: int
    association_rows: int
    copy_queries: int
    copy_rows: int
    halvings: int
    method_rows: int


SUITES: Mapping[str, Suite] = {
    "quick": Suite(20_000, 5, 999, 4_000, 50_000, 4_000, 50_000, 4, 5_000),
    "full": Suite(200_000, 10, 4_999, 10_000, 500_000, 50_000, 200_000, 16, 20_000),
}


@dataclass(frozen=True)
class Job:
    """`data[role]` for the roles "real", "fake" and, where given, "train" and "holdout"; `baseline`: pairs of two real
    sets as (role, row numbers), described by `baseline_reads`."""

    data: Mapping[str, Dataset]
    frame: Frame
    space: spaces.Space
    baseline: list[tuple[tuple[str, Rows], tuple[str, Rows]]]
    baseline_reads: str
    contained: bool
    suite: Suite
    alpha: float
    seed: int

    @property
    def kind(self) -> str:
        return self.data["real"].kind

    def sample(self, role: str, most: int, stream: int) -> Rows:
        """Row numbers of `role`, at most `most` of them, in rising order; `stream` keeps draws apart."""
        return some(np.arange(len(self.data[role])), most, np.random.default_rng([self.seed, stream]))

    def baseline_columns(self) -> list[tuple[Array, Array]]:
        """The columns of the two real sets, for each pair."""
        return [(self.frame.rows[a][i], self.frame.rows[b][k]) for (a, i), (b, k) in self.baseline]

    def features(self, a: str, i: Rows, b: str, k: Rows) -> tuple[Array, Array, list[int], str]:
        """What trees see of rows `i` of role `a` and `k` of role `b`, which of it are categories, and this in words."""
        wide = len(self.frame.names) > WIDEST_FOR_TREES
        if self.kind == "images" or (self.kind == "points" and wide):
            part = spaces.Space({"x": self.space.rows[a][i], "y": self.space.rows[b][k]}, self.space.reads)
            scores, share = spaces.principal(part, ("x", "y"), spaces.COMPONENTS)
            count = scores["x"].shape[1]
            reads = f"first {count} principal components ({share.sum():.0%} of the variance) of {self.space.reads}"
            return scores["x"], scores["y"], [], reads
        reads = "coordinates as they are" if self.kind == "points" else "columns as they are, categories as categories"
        return self.frame.trees(a)[i], self.frame.trees(b)[k], self.frame.categorical, reads


def some(rows: Rows, most: int, rng: np.random.Generator) -> Rows:
    """At most `most` of `rows`, in rising order."""
    return rows if len(rows) <= most else np.sort(rng.permutation(rows)[:most])


def prepare(roles: Mapping[str, Any], *, suite: str, alpha: float, seed: int) -> Job:
    """Read and check the sources by role (None: not given), code them alike, choose the baseline."""
    if suite not in SUITES:
        raise InputError(f"suite {suite!r}: no such suite; known: {', '.join(SUITES)}")
    if not 0 < alpha < 1:
        raise InputError(f"alpha {alpha}: must lie between 0 and 1, such as 0.05")
    data: dict[str, Dataset] = {}
    for role, source in roles.items():
        if source is None:
            continue
        dataset = source if isinstance(source, Dataset) else sources.read(source)
        if role != "real":
            dataset = sources.check_alike(data["real"], dataset)
        if len(dataset) < LEAST_ROWS:
            raise InputError(f"{dataset.name}: {len(dataset)} rows are too few to tell; give at least {LEAST_ROWS}")
        data[role] = dataset
    frame = frame_of(data)
    contained = "train" in data and contains(*raw_rows(data, frame, "train", "real"))
    pairs, reads = _baseline(data, contained, SUITES[suite], seed)
    return Job(data, frame, spaces.space_of(data, frame), pairs, reads, contained, SUITES[suite], alpha, seed)


def raw_rows(data: Mapping[str, Dataset], frame: Frame, *roles: str) -> list[NDArray[Any]]:
    """The rows of `roles` as arrays `(n, k)` that are equal bit for bit where the rows are."""
    kind = data["real"].kind
    if kind == "table":
        return [frame.rows[role] for role in roles]
    flat = [data[role].values.reshape(len(data[role]), -1).cpu() for role in roles]
    return [(part if kind == "images" else part.to(torch.float32)).numpy() for part in flat]


def _baseline(
    data: Mapping[str, Dataset], contained: bool, suite: Suite, seed: int
) -> tuple[list[tuple[tuple[str, Rows], tuple[str, Rows]]], str]:
    rng = np.random.default_rng([seed, 3])
    n = len(data["real"])
    if "holdout" in data:
        m = len(data["holdout"])
        return [(("real", np.arange(n)), ("holdout", np.arange(m)))], f"real against holdout ({n:,} and {m:,} rows)"
    if "train" in data and not contained:
        rows = some(np.arange(len(data["train"])), len(data["fake"]), rng)
        return [(("real", np.arange(n)), ("train", rows))], f"real ({n:,} rows) against {len(rows):,} training rows"
    orders = [rng.permutation(n) for _ in range(suite.halvings)]
    pairs = [(("real", np.sort(o[: n // 2])), ("real", np.sort(o[n // 2 :]))) for o in orders]
    return pairs, f"two random halves of real ({n // 2:,} and {n - n // 2:,} rows)"
