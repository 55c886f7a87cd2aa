"""Tables: mixed columns to and from one float tensor, `TableCodec`.

Compact row, float32 `(n, k + m)`: k numeric latents, then m category codes (exact whole numbers).
Expanded row, float32: the same k numeric slots, then a one-hot group for every code; `blocks` says which is whose.

- A numeric column (number, date, time, duration) takes one numeric slot, about N(0, 1): `marginals.Marginal`. Where it
  has missing values or point masses (values that more than `atom_share` of its rows share) it takes a category block
  too, with the levels `value`, `missing`, and the masses. Where its level is not `value`, the numeric slot is 0.
- A numeric column of at most `few` distinct values is a category block alone, its levels those numbers.
- A categorical or boolean column is a category block: `missing` where needed, the `max_levels` most frequent levels by
  falling frequency, and one code that the rest share (`levels.Levels`).
- A constant or empty column takes no room and comes back as it was.

Decoding takes the largest entry of every group, keeps numbers inside the training bounds and on the training grid
(integers, decimals, whole hours), and restores names, order, dtypes and categories.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Literal, Protocol

import numpy as np
import polars as pl
import torch
from torch import Tensor

from .columns import NUMERIC, Column, as_float, blank_rows, infer, physical
from .dataset import Container, Dataset, Kind
from .levels import Levels
from .marginals import Marginal

MAX_LEVELS = 256
ATOM_SHARE = 0.2
FEW = 10
_CHUNK = 65536  # rows of one-hot groups held at a time
_BOOSTABLE = 250  # categories that scikit-learn's boosted trees take as such
_SECONDS = {"ms": 1e-3, "us": 1e-6, "ns": 1e-9}


class Coordinates(Protocol):
    """A joint invertible map on the numeric slots given the categories, fitted on training rows."""

    def forward(self, numeric: Tensor, onehot: Tensor) -> Tensor:
        """Numeric latents `(n, k)` given the one-hot groups `(n, c)` -> coordinates `(n, k)`."""

    def inverse(self, numeric: Tensor, onehot: Tensor) -> Tensor:
        """The inverse of `forward`."""

    def log_slope(self, numeric: Tensor, onehot: Tensor) -> Tensor:
        """ln |det| of `forward` at latents `(n, k)`: `(n,)`."""

    def to_dict(self) -> dict[str, Any]: ...

    def tensors(self) -> dict[str, Tensor]: ...


@dataclass(frozen=True)
class Block:
    """Places `start:stop` of the expanded row are table column `column`'s: a number, or a one-hot of `levels`."""

    column: str
    kind: Literal["numeric", "category"]
    start: int
    stop: int
    levels: int


@dataclass(frozen=True, eq=False)
class Field:
    """One table column as it is encoded: its numeric slot (`marginal`), its category block (`levels`), or neither."""

    column: Column
    marginal: Marginal | None = None
    levels: Levels | None = None

    @property
    def has_codes(self) -> bool:
        return self.levels is not None and self.column.kind not in ("constant", "empty")

    @property
    def codes_are_ticks(self) -> bool:
        return self.column.kind in NUMERIC


@dataclass(frozen=True, eq=False)
class TableCodec:
    """See the module's docstring. `fit` makes one; `with_coordinates` adds a joint map of the numeric slots."""

    fields: tuple[Field, ...]
    name: str = "table"
    container: Container = "polars"
    restore: Mapping[str, Any] | None = None
    coordinates: Coordinates | None = None
    has_blank_rows: bool = False
    blocks: tuple[Block, ...] = field(init=False)

    kind: ClassVar[Kind] = "table"

    def __post_init__(self) -> None:
        object.__setattr__(self, "blocks", _blocks(self.fields))

    @classmethod
    def fit(
        cls,
        dataset: Dataset,
        *,
        columns: Mapping[str, str] | None = None,
        max_levels: int = MAX_LEVELS,
        atom_share: float = ATOM_SHARE,
        few: int = FEW,
        coordinates: Coordinates | None = None,
        seed: int = 0,
    ) -> TableCodec:
        """Fit on the training rows `dataset`; `columns` (or the dataset's own) overrule the inferred column types."""
        frame: pl.DataFrame = dataset.values
        generator = torch.Generator().manual_seed(seed)
        fields = tuple(
            _fit_field(frame[column.name], column, max_levels, atom_share, few, generator)
            for column in infer(frame, {**(dataset.columns or {}), **(columns or {})})
        )
        blank = blank_rows(frame).any()
        return cls(fields, dataset.name, dataset.container, dataset.restore, coordinates, blank)

    def with_coordinates(self, coordinates: Coordinates | None) -> TableCodec:
        """This codec with `coordinates` composed after its marginal maps."""
        return replace(self, coordinates=coordinates)

    @property
    def event_shape(self) -> tuple[int, ...]:
        return (self.blocks[-1].stop if self.blocks else 0,)

    @property
    def columns(self) -> tuple[Column, ...]:
        return tuple(f.column for f in self.fields)

    @property
    def n_numeric(self) -> int:
        """k: how many numeric slots lead every row."""
        return sum(f.marginal is not None for f in self.fields)

    @property
    def marginals(self) -> tuple[Marginal, ...]:
        """The marginal map of every numeric slot."""
        return tuple(f.marginal for f in self.fields if f.marginal is not None)

    @property
    def companions(self) -> tuple[tuple[int, int], ...]:
        """Pairs (numeric slot, place of its `value` entry in the expanded row) of numbers that are not always there.

        A generator multiplies the slot by that entry, as `encode` puts 0 where the level is missing or a point mass.
        """
        value = {b.column: b.start for b in self.blocks if b.kind == "category"}
        return tuple((b.start, value[b.column]) for b in self.blocks if b.kind == "numeric" and b.column in value)

    def encode(self, dataset: Dataset, *, generator: torch.Generator | None = None) -> Tensor:
        """Compact rows `(n, k + m)` float32. `generator` places values inside their steps and grid cells."""
        generator = generator or torch.Generator().manual_seed(0)
        numeric, codes = [], []
        for f in self.fields:
            z, code = _encode_field(f, dataset.values[f.column.name], generator)
            numeric += [z] if z is not None else []
            codes += [code] if code is not None else []
        n, k = len(dataset), len(numeric)
        rows = torch.empty(n, k + len(codes), dtype=torch.float32)
        for i, column in enumerate(numeric + codes):
            rows[:, i] = column
        if self.coordinates is not None and k:
            for part in torch.split(rows, _CHUNK):
                part[:, :k] = self.coordinates.forward(part[:, :k].clone(), self.expand(part)[:, k:])
        return rows

    def expand(self, rows: Tensor) -> Tensor:
        """Compact rows `(n, k + m)` -> `(n, *event_shape)` float32."""
        k = self.n_numeric
        sizes = [b.levels for b in self.blocks[k:]]
        out = rows.new_zeros(len(rows), self.event_shape[0], dtype=torch.float32)
        out[:, :k] = rows[:, :k]
        if sizes:
            starts = torch.tensor([b.start for b in self.blocks[k:]], device=rows.device)
            out.scatter_(1, rows[:, k:].long() + starts, 1.0)
        return out

    def compact(self, rows: Tensor) -> Tensor:
        """Expanded rows (one-hot or soft groups) -> compact rows: the inverse of `expand`."""
        k = self.n_numeric
        codes = [rows[:, b.start : b.stop].argmax(1).to(torch.float32) for b in self.blocks[k:]]
        return torch.cat([rows[:, :k].float(), *[c[:, None] for c in codes]], 1)

    def decode(self, rows: Tensor, *, generator: torch.Generator | None = None) -> Dataset:
        """A table from expanded rows `(n, *event_shape)`; `generator` (seed 0 by default) redraws pooled levels."""
        generator = generator or torch.Generator().manual_seed(0)
        rows, k = rows.detach().float(), self.n_numeric
        compact = self._fill_blank_rows(rows, self.compact(rows))
        if self.coordinates is not None and k:
            numeric = [
                self.coordinates.inverse(part[:, :k], self.expand(part)[:, k:]) for part in torch.split(compact, _CHUNK)
            ]
            compact = torch.cat([torch.cat(numeric), compact[:, k:]], 1) if numeric else compact
        compact = compact.cpu()
        series, slot, code = [], 0, k
        for f in self.fields:
            z = compact[:, slot] if f.marginal is not None else None
            codes = compact[:, code].long().numpy() if f.has_codes else None
            slot, code = slot + (z is not None), code + (codes is not None)
            series.append(_decode_field(f, z, codes, len(rows), generator))
        return Dataset("table", pl.DataFrame(series), self.name, self.container, restore=self.restore)

    def features(self, dataset: Dataset) -> tuple[np.ndarray, list[int], list[str]]:
        """For boosted trees: float64 `(n, columns)`, which of them are categorical, and their names.

        Missing is NaN. Numbers are as they are, dates and times in seconds. A category is its rank by training
        frequency and an unseen one is one past the last. Columns of 250 levels or more are not called categorical,
        as trees take no more: the rank is then a number.
        """
        out = np.empty((len(dataset), len(self.fields)))
        categorical = []
        for i, f in enumerate(self.fields):
            values = dataset.values[f.column.name]
            if f.column.kind == "empty":
                out[:, i] = np.where(values.is_null().to_numpy(), np.nan, 0.0)
            elif f.column.kind in NUMERIC or (f.column.kind == "constant" and f.column.dtype.is_numeric()):
                out[:, i] = as_float(values) * _seconds(values.dtype)
            else:
                assert f.levels is not None
                out[:, i] = f.levels.ranks(_keys(values, f.column.dtype))
                categorical += [i] if len(f.levels.names) < _BOOSTABLE else []
        return out, categorical, [f.column.name for f in self.fields]

    def to_dict(self) -> dict[str, Any]:
        """JSON-able, without `tensors()`."""
        return {
            "kind": self.kind,
            "name": self.name,
            "container": self.container,
            "restore": self.restore,
            "has_blank_rows": self.has_blank_rows,
            "coordinates": None if self.coordinates is None else self.coordinates.to_dict(),
            "fields": [
                {
                    "column": f.column.to_dict(),
                    "levels": None if f.levels is None else f.levels.to_dict(),
                    "marginal": None
                    if f.marginal is None
                    else {"discrete": f.marginal.discrete, "grid": f.marginal.grid, "margin": f.marginal.margin},
                }
                for f in self.fields
            ],
        }

    def tensors(self) -> dict[str, Tensor]:
        out: dict[str, Tensor] = {}
        for i, f in enumerate(self.fields):
            if f.marginal is not None:
                out |= {f"marginal.{i}.values": f.marginal.values, f"marginal.{i}.cdf": f.marginal.cdf}
        if self.coordinates is not None:
            out |= {f"coordinates.{name}": value for name, value in self.coordinates.tensors().items()}
        return out

    @classmethod
    def from_dict(cls, d: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> TableCodec:
        fields = []
        for i, f in enumerate(d["fields"]):
            marginal = None
            if f["marginal"] is not None:
                marginal = Marginal(tensors[f"marginal.{i}.values"], tensors[f"marginal.{i}.cdf"], **f["marginal"])
            levels = None if f["levels"] is None else Levels.from_dict(f["levels"])
            fields.append(Field(Column.from_dict(f["column"]), marginal, levels))
        coordinates = None
        if d["coordinates"] is not None:
            from .coordinates import Coordinates as Fitted

            mine = {n.removeprefix("coordinates."): t for n, t in tensors.items() if n.startswith("coordinates.")}
            coordinates = Fitted.from_dict(d["coordinates"], mine)
        return cls(tuple(fields), d["name"], d["container"], d["restore"], coordinates, d["has_blank_rows"])

    def _fill_blank_rows(self, rows: Tensor, compact: Tensor) -> Tensor:
        """Where training had no row that is missing everywhere, make none: the likeliest column there speaks."""
        k = self.n_numeric
        coded = [f for f in self.fields if f.has_codes]
        never = len(coded) < sum(f.column.kind != "empty" for f in self.fields)  # some column is never missing
        if self.has_blank_rows or never or not coded or any(f.levels.missing_code is None for f in coded if f.levels):
            return compact
        absent = torch.tensor([f.levels.missing_code for f in coded if f.levels], device=rows.device)
        blank = (compact[:, k:] == absent).all(1)
        for row in blank.nonzero().flatten().tolist():
            best, place = -torch.inf, (0, 0)
            for j, b in enumerate(self.blocks[k:]):
                scores = rows[row, b.start : b.stop].clone()
                scores[int(absent[j])] = -torch.inf
                if float(scores.max()) > best:
                    best, place = float(scores.max()), (j, int(scores.argmax()))
            compact[row, k + place[0]] = place[1]
        return compact


def _blocks(fields: Sequence[Field]) -> tuple[Block, ...]:
    names = [f.column.name for f in fields if f.marginal is not None]
    blocks = [Block(name, "numeric", i, i + 1, 0) for i, name in enumerate(names)]
    stop = len(blocks)
    for f in fields:
        if f.has_codes and f.levels is not None:
            blocks.append(Block(f.column.name, "category", stop, stop + f.levels.n, f.levels.n))
            stop += f.levels.n
    return tuple(blocks)


def _fit_field(
    values: pl.Series, column: Column, max_levels: int, atom_share: float, few: int, generator: torch.Generator
) -> Field:
    if column.kind == "empty":
        return Field(column)
    if column.kind not in NUMERIC:
        keys = _keys(values, column.dtype)
        return Field(column, None, Levels.fit(keys, max_levels=max_levels, missing=bool(keys.null_count())))
    ticks = pl.Series(column.ticks(values)).fill_nan(None)
    missing, present = bool(ticks.null_count()), ticks.drop_nulls()
    counted = Levels.fit(present, max_levels=few + 1, missing=missing)
    heavy = sum(c > atom_share * len(present) for c in counted.counts)
    if len(counted.names) <= max(few, heavy):
        return Field(column, None, counted)
    levels = Levels(counted.names[:heavy], counted.counts[:heavy], heavy, True, missing) if heavy or missing else None
    plain = present.filter(~present.is_in(counted.names[:heavy].implode())) if heavy else present
    grid = column.step > 0
    return Field(
        column, Marginal.fit(torch.from_numpy(plain.to_numpy().copy()), grid=grid, generator=generator), levels
    )


def _encode_field(f: Field, values: pl.Series, generator: torch.Generator) -> tuple[Tensor | None, Tensor | None]:
    if f.codes_are_ticks:
        ticks = f.column.ticks(values)
        keys = pl.Series(ticks).fill_nan(None)
        if f.marginal is None and f.levels is not None and len(f.levels.names):  # a number in between: the nearest
            keys = _nearest(keys, f.levels.names)
    elif f.has_codes:
        keys = _keys(values, f.column.dtype)
    codes = torch.from_numpy(f.levels.encode(keys)) if f.has_codes and f.levels is not None else None
    if f.marginal is None:
        return None, codes
    z = f.marginal.encode(torch.from_numpy(np.nan_to_num(ticks)), generator)
    absent = torch.from_numpy(np.isnan(ticks))
    silent = absent if codes is None or f.levels is None or not f.levels.value else codes > 0
    return z.masked_fill_(silent | absent, 0.0), codes


def _decode_field(
    f: Field, z: Tensor | None, codes: np.ndarray | None, n: int, generator: torch.Generator
) -> pl.Series:
    column = f.column
    if column.kind == "empty":
        hole = np.ones(n, dtype=bool)
        return (
            column.blank(pl.Series(column.name, [None] * n, dtype=column.dtype), hole)
            if column.nan
            else pl.Series(column.name, [None] * n, dtype=column.dtype)
        )
    if column.kind not in NUMERIC:
        assert f.levels is not None
        keys = f.levels.decode(codes if codes is not None else np.zeros(n, dtype=np.int64), generator)
        return column.blank(_from_keys(keys, column.dtype), keys.is_null().to_numpy())
    ticks = np.zeros(n) if z is None or f.marginal is None else f.marginal.decode(z).numpy()
    missing = np.zeros(n, dtype=bool)
    if codes is not None and f.levels is not None:
        missing = codes == f.levels.missing_code if f.levels.missing else missing
        atoms = f.levels.decode(codes, generator)
        ticks = np.where(atoms.is_null().to_numpy(), ticks, atoms.fill_null(0.0).to_numpy())
    return column.values(ticks, missing)


def _keys(values: pl.Series, dtype: pl.DataType) -> pl.Series:
    """What names a level: text, boolean, float or integer (times as stored); null where missing."""
    if dtype in (pl.String, pl.Categorical, pl.Enum):
        return values.cast(pl.String)
    if dtype.is_float() or dtype.is_decimal():
        return values.cast(pl.Float64).fill_nan(None)
    if dtype == pl.Boolean:
        return values.cast(pl.Boolean)
    if values.dtype.is_float():  # integers that came as floats: a fraction is an unseen level
        return values.fill_nan(None)
    return physical(values).cast(pl.Int64 if dtype != pl.UInt64 else pl.UInt64)


def _from_keys(keys: pl.Series, dtype: pl.DataType) -> pl.Series:
    if dtype.is_temporal():
        return keys.cast(pl.Int32 if dtype == pl.Date else pl.Int64).cast(dtype)
    return keys.cast(dtype)


def _nearest(keys: pl.Series, names: pl.Series) -> pl.Series:
    known = np.sort(names.to_numpy())
    middles = (known[1:] + known[:-1]) / 2
    nearest = pl.Series(known[np.searchsorted(middles, keys.fill_null(0.0).to_numpy())])
    return pl.select(pl.when(keys.is_null()).then(None).otherwise(nearest)).to_series()


def _seconds(dtype: pl.DataType) -> float:
    """The seconds in one stored unit of a date or time; 1 for plain numbers."""
    if dtype == pl.Date:
        return 86400.0
    if isinstance(dtype, pl.Datetime | pl.Duration):
        return _SECONDS[dtype.time_unit]
    return 1e-9 if dtype == pl.Time else 1.0
