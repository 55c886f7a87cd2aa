"""`Dataset`: rows of one kind, read and checked; what every other room takes and gives.

Three kinds:

- `points`: `values` is a floating tensor `(n, d)`;
- `table`: `values` is a polars `DataFrame` of n rows;
- `images`: `values` is a `uint8` tensor `(n, c, h, w)`, c = 1 or 3.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import polars as pl
import torch
from torch import Tensor

Kind = Literal["points", "table", "images"]
Container = Literal["torch", "numpy", "polars", "pandas", "arrow"]


@dataclass(frozen=True, eq=False)
class Dataset:
    """`values` of one `kind`, the `name` to use in messages, and the `container` the user brought them in.

    `made_by` is the provenance record of synthetic data (model, seed, version), where the file carried one.
    `columns` are the user's column types that overrule inference (`{"price": "continuous"}`); `restore` (JSON-able) is
    what `sources.to_container` needs beyond `values` to give back what the user brought (layout, dtypes). `given` is
    what belongs to the rows without being part of them (labels, vectors), one row for each.
    """

    kind: Kind
    values: Any  # Tensor for points and images, pl.DataFrame for tables: see the module's docstring
    name: str = "data"
    container: Container = "numpy"
    made_by: Mapping[str, Any] | None = field(default=None)
    columns: Mapping[str, str] | None = field(default=None)
    restore: Mapping[str, Any] | None = field(default=None)
    path: str | None = field(default=None)
    sampled: Mapping[str, Any] | None = field(default=None)
    given: Dataset | None = field(default=None)

    def __repr__(self) -> str:
        shape = " x ".join(str(n) for n in self.values.shape)
        given = "" if self.given is None else f", given={self.given!r}"
        return f"Dataset({self.kind!r}, {shape}, name={self.name!r}{given})"

    def _repr_html_(self) -> str:
        """What a notebook shows: its size, its columns with their kinds, its first rows."""
        from ..report import card

        return card(self)

    def plot(self, **options: Any) -> Any:
        """The points, the distribution of every column, or a sheet of the images, as an Altair chart: see
        `report.plot`."""
        from ..report import plot

        return plot(self, **options)

    def __len__(self) -> int:
        return len(self.values)

    def take(self, rows: Tensor) -> Dataset:
        """The rows at the integer positions `rows` `(k,)`, in that order."""
        given = None if self.given is None else self.given.take(rows)
        if self.kind == "table":
            assert isinstance(self.values, pl.DataFrame)
            return replace(self, values=self.values[rows.cpu().numpy()], path=None, given=given)
        return replace(self, values=self.values[rows], path=None, given=given)

    def split(self, share: float, *, seed: int = 0) -> tuple[Dataset, Dataset]:
        """Two disjoint random parts, the second with `round(share * n)` rows (a train part and a holdout)."""
        order = torch.randperm(len(self), generator=torch.Generator().manual_seed(seed))
        held = round(share * len(self))
        return self.take(order[held:].sort().values), self.take(order[:held].sort().values)
