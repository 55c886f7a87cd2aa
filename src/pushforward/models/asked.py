"""A fitted model as something to ask, and conditions that come row by row: read, typed and checked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
import torch
from torch import Tensor

from ..data.codec import Codec
from ..data.conditions import Known, comparable, known_columns, listed, points_frame
from ..data.dataset import Dataset
from ..data.sources import read as read_data
from ..data.tables import TableCodec
from ..errors import InputError
from ..training.step import emitter
from .drawing import rng
from .given import layout_of, of_conditions, of_data

if TYPE_CHECKING:
    from .classical.base import Explicit
    from .trained import Trained


class Subject:
    """A fitted model as something to ask: which columns it is given, which it makes, and what is known of them."""

    def __init__(self, model: Trained | Explicit) -> None:
        model._require_fitted()
        self.model = model
        self.generator: Any = getattr(model, "generator_", None)  # a closed-form law has none
        self.codec: Codec = model.codec_
        self.said: Mapping[str, Any] | None = getattr(model, "network_", {}).get("given")
        self.beside = self.said is not None and not self.said["columns"]

    @property
    def fills(self) -> bool:
        """Whether any of its columns can be set, and the others drawn given them (`models.told`)."""
        return bool(getattr(self.generator, "fills", False))

    def drawn(self, size: int, count: int, chance: torch.Generator, conditions: Tensor | None) -> Tensor:
        """The first `count` of `size` expanded rows, under `conditions` where there are any."""
        if self.generator is None:
            rows: Tensor = self.model._draw(size, chance)[:count].float()  # type: ignore[union-attr]
            return rows
        noise = self.generator.noise(size, generator=chance)[:count]
        if conditions is not None:
            noise = self.generator.given(noise, conditions)
        with torch.no_grad():
            return emitter(self.generator)(noise.to(next(self.generator.parameters()).device))

    @cached_property
    def inner(self) -> Codec:
        """The codec of the conditions."""
        assert self.said is not None
        return of_conditions(self.codec, self.said["columns"])

    @cached_property
    def columns(self) -> list[str]:
        """What can be set, by name; vectors beside the rows have no names."""
        if self.said is None:
            return []
        if isinstance(self.inner, TableCodec):
            return [column.name for column in self.inner.columns]
        return list(self.said["columns"])

    @cached_property
    def kept(self) -> pl.DataFrame:
        """The conditions of training rows that the generator keeps, as a frame."""
        codes = self.generator.conditions.codes.cpu()
        found = self.inner.decode(layout_of(self.inner).expand(codes), generator=rng(0, "conditions"))
        return (
            found.values if found.kind == "table" else points_frame(found).rename(dict(enumerate_names(self.columns)))
        )

    @cached_property
    def known(self) -> dict[str, Known]:
        """What is known of every column that something can be asked of; `InputError` where there is none."""
        made = of_data(self.codec)
        known: dict[str, Known] = {}
        if isinstance(made, TableCodec):
            known = known_columns(made)
        elif made.kind == "points":
            known = {str(i): Known(str(i), pl.Float64()) for i in range(made.event_shape[0])}
        if self.beside and isinstance(self.inner, TableCodec):
            known |= known_columns(self.inner)
        if self.said is not None and not self.beside and not isinstance(self.inner, TableCodec):
            ends = {name: self.kept[name] for name in self.columns}
            known |= {
                name: Known(name, pl.Float64(), low=values.min(), high=values.max()) for name, values in ends.items()
            }
        if not known:
            how = "conditions are vectors: give one (k,) or one for each row (n, k)" if self.beside else "given=labels"
            raise InputError(
                f"nothing can be asked of this model by name; {how if self.beside else 'fit it with ' + how}"
            )
        return known

    def frame(self, rows: Dataset) -> pl.DataFrame:
        """Drawn rows as a frame of the columns that something can be asked of."""
        return rows.values if rows.kind == "table" else points_frame(rows)

    def encode(self, conditions: Dataset, *seed: int | str) -> Tensor:
        """Conditions, expanded."""
        return self.inner.expand(self.inner.encode(conditions, generator=rng(0, *seed)))

    def put(self, rows: Dataset, exact: pl.DataFrame | None) -> Dataset:
        """`rows` with the values that were asked, where there are any, in their columns."""
        if exact is None:
            return rows
        if self.beside:
            assert rows.given is not None
            return replace(rows, given=replace(rows.given, values=put_over(rows.given.values, exact)))
        if rows.kind == "table":
            return replace(rows, values=put_over(rows.values, exact))
        values = rows.values.clone()
        for name in exact.columns:
            values[:, int(name)] = torch.from_numpy(exact[name].to_numpy().copy()).to(values.dtype)
        return replace(rows, values=values)


def enumerate_names(names: Sequence[str]) -> list[tuple[str, str]]:
    """Pairs ("0", first name), ("1", second), ..."""
    return [(str(i), name) for i, name in enumerate(names)]


def put_over(frame: pl.DataFrame, exact: pl.DataFrame) -> pl.DataFrame:
    """`frame` with the values of `exact`, but where those are missing."""
    columns = []
    for name in exact.columns:
        values = exact[name].cast(frame[name].dtype)
        columns.append(values.zip_with(comparable(values).is_not_null(), frame[name]).alias(name))
    return frame.with_columns(columns)


def read_conditions(subject: Subject, given: Any) -> tuple[Dataset, bool]:
    """Conditions by the row, and whether it is one for all."""
    if isinstance(given, pl.Series):
        given = given.to_numpy()
    array = given.detach().cpu().numpy() if isinstance(given, Tensor) else given
    array = np.asarray(array) if isinstance(array, list | tuple) else array
    if isinstance(subject.inner, TableCodec):
        if isinstance(array, np.ndarray):
            array = array[:, 0] if array.ndim == 2 and array.shape[1] == 1 else array
            if array.ndim != 1 or len(subject.columns) != 1:
                raise InputError(
                    f"given: an array {array.shape}, where {listed(subject.columns)} are given; give a frame"
                )
            column = subject.inner.columns[0]
            array = pl.DataFrame({column.name: array.tolist()}, strict=False)
        frame = read_data(array if isinstance(array, pl.DataFrame) else given, kind="table").values
        return Dataset("table", _fitting(subject, frame), "given"), False
    size = layout_of(subject.inner).size
    if not isinstance(array, np.ndarray):
        array = read_data(given, kind="points").values.numpy()
    one = array.ndim == 1 and len(array) == size
    array = array[None] if one else array[:, None] if array.ndim == 1 and size == 1 else array
    if array.ndim != 2 or array.shape[1] != size:
        raise InputError(f"given: {array.shape}, where conditions are of {size} numbers; give (n, {size}) or ({size},)")
    if not np.isfinite(array.astype(np.float64)).all():
        raise InputError("given: some of its numbers are not finite; give finite ones")
    return Dataset("points", torch.as_tensor(array.astype(np.float64)), "given"), one


def _fitting(subject: Subject, frame: pl.DataFrame) -> pl.DataFrame:
    """The given columns of `frame` in their own types; `InputError` for a missing one or an unseen value."""
    names = subject.columns
    missing = [name for name in names if name not in frame.columns]
    if missing:
        raise InputError(f"given: the column {missing[0]!r} is missing; this model is given {', '.join(names)}")
    extra = [name for name in frame.columns if name not in names]
    if extra:
        raise InputError(f"given: {extra[0]!r} is not given to this model row by row; it is given {', '.join(names)}")
    known, columns = known_columns(subject.inner), []  # type: ignore[arg-type]
    for name in names:
        one, values = known[name], comparable(frame[name])
        typed = values.cast(pl.String if one.is_text else one.dtype, strict=False)
        absent = typed.is_null() & values.is_not_null()
        wrong = absent | (typed.is_null() if not one.missing else pl.Series(np.zeros(len(typed), dtype=bool)))
        if one.levels is not None:
            levels = pl.Series(one.levels, dtype=typed.dtype)
            wrong |= ~typed.is_in(levels.implode()).fill_null(True)
        elif one.low is not None:
            wrong |= ~typed.is_between(one.low, one.high).fill_null(True)
        if wrong.any():
            row = int(wrong.arg_max() or 0)
            has = listed(one.levels) if one.levels is not None else f"{one.low} to {one.high}"
            raise InputError(f"given, row {row + 1}: no training row has {name}={frame[name][row]!r}; {name} has {has}")
        columns.append(typed.alias(name))
    return pl.DataFrame(columns)


def unseen(subject: Subject, frame: pl.DataFrame) -> list[str]:
    """A sentence where combinations of levels are asked for that no kept training row has."""
    known = known_columns(subject.inner)  # type: ignore[arg-type]
    names = [name for name in subject.columns if known[name].levels is not None]
    if len(names) < 2:
        return []
    seen = pl.DataFrame([comparable(subject.kept[name]) for name in names]).unique()
    strange = frame.select(names).join(seen, on=names, how="anti", nulls_equal=True)
    if not len(strange):
        return []
    first = ", ".join(f"{name}={strange[name][0]}" for name in names)
    return [
        f"{len(strange):,} rows ask for what no training row has together ({first}): the model was not trained there"
    ]
