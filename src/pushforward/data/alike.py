"""`check_alike`: are two sets of samples of one form, so that they can be compared at all?"""

from __future__ import annotations

from dataclasses import replace

import polars as pl

from ..errors import InputError
from .dataset import Dataset

_TEXT = (pl.String, pl.Categorical, pl.Enum)


def check_alike(real: Dataset, fake: Dataset) -> Dataset:
    """`fake` in `real`'s form: the same kind, sizes and columns (in `real`'s order); else `InputError`.

    Numbers stay as they are where `real`'s type would round them, and categories that `real` lacks are kept: both are
    evidence. Text where `real` has numbers or dates is converted where all of it can be, else refused with its row.
    """
    if real.kind != fake.kind:
        raise InputError(f"{fake.name} is {fake.kind} but {real.name} is {real.kind}; compare data of one kind")
    if real.kind == "table":
        return _alike_tables(real, fake)
    if real.values.shape[1:] != fake.values.shape[1:]:
        raise InputError(f"{fake.name} holds {_form(fake)} but {real.name} holds {_form(real)}; bring them to one form")
    if real.kind == "points" and real.values.dtype != fake.values.dtype:
        return replace(fake, values=fake.values.to(real.values.dtype))
    return fake


def _form(dataset: Dataset) -> str:
    if dataset.kind == "points":
        return f"points of {dataset.values.shape[1]} coordinates"
    channels, height, width = dataset.values.shape[1:]
    return f"{'grey' if channels == 1 else 'RGB'} images of {width} x {height}"


def _alike_tables(real: Dataset, fake: Dataset) -> Dataset:
    lacking = [name for name in real.values.columns if name not in fake.values.columns]
    extra = [name for name in fake.values.columns if name not in real.values.columns]
    if lacking or extra:
        told = [f"lacks {_names(lacking)}"] * bool(lacking) + [f"has {_names(extra)} besides"] * bool(extra)
        raise InputError(f"{fake.name}: {' and '.join(told)}, unlike {real.name}; give both the same columns")
    columns = [
        _alike_column(real.values[name], fake.values[name], real.name, fake.name) for name in real.values.columns
    ]
    return replace(fake, values=pl.DataFrame(columns), columns=real.columns)


def _names(names: list[str]) -> str:
    shown = ", ".join(repr(name) for name in names[:8]) + (", ..." if len(names) > 8 else "")
    return f"the column{'s' if len(names) > 1 else ''} {shown}"


def _alike_column(real: pl.Series, fake: pl.Series, real_name: str, fake_name: str) -> pl.Series:
    want, have = real.dtype, fake.dtype
    if want == have or want == pl.Null:
        return fake
    if fake.null_count() == len(fake):
        return fake.cast(pl.Null).cast(want)
    if want in _TEXT:
        # numbers read from a file whose every level looks like one; unseen levels do not fit an Enum, so text
        return fake.cast(pl.String)
    if real.null_count() == len(real):
        return fake
    if want.is_numeric() and _number(have):
        return fake if have != pl.Boolean else fake.cast(pl.Int8)
    out = _convert(fake, want)
    wrong = out.is_null() & fake.is_not_null()
    if wrong.any():
        row = int(wrong.arg_max() or 0)
        raise InputError(
            f"{fake_name}: column {fake.name!r} holds {fake[row]!r} in row {row + 1} where {real_name} has "
            f"{_word(want)}; give it the same type of values"
        )
    return out


def _convert(fake: pl.Series, want: pl.DataType) -> pl.Series:
    if fake.dtype in _TEXT and want.is_temporal():
        text = fake.cast(pl.String)
        try:
            return _nothing(fake, want) if want == pl.Duration else text.str.strptime(want, strict=False)  # type: ignore[arg-type]
        except pl.exceptions.ComputeError:  # no format fits even the first of them
            return _nothing(fake, want)
    if fake.dtype in _TEXT and want == pl.Boolean:
        lower = fake.cast(pl.String).str.to_lowercase()
        return lower.replace_strict({"true": True, "false": False}, default=None, return_dtype=pl.Boolean)
    if want == pl.Boolean and fake.dtype.is_numeric():
        return fake.cast(pl.Float64).replace_strict({0.0: False, 1.0: True}, default=None, return_dtype=pl.Boolean)
    if fake.dtype in _TEXT and want.is_numeric():
        return fake.cast(pl.String).cast(pl.Float64, strict=False)
    if (
        isinstance(want, pl.Datetime)
        and isinstance(fake.dtype, pl.Datetime)
        and not (want.time_zone and fake.dtype.time_zone)
    ):
        return fake.dt.replace_time_zone(want.time_zone).cast(want)
    if (
        want.is_temporal()
        and fake.dtype.is_temporal()
        and {want.base_type(), fake.dtype.base_type()} <= {pl.Date, pl.Datetime}
    ):
        return fake.cast(want, strict=False)
    if want == pl.Duration and _number(fake.dtype):  # CSV has no durations: seconds
        return (fake.cast(pl.Float64) * 1e6).round().cast(pl.Int64).cast(pl.Duration("us")).cast(want)
    return fake.cast(want) if fake.dtype == want.base_type() else _nothing(fake, want)


def _nothing(fake: pl.Series, want: pl.DataType) -> pl.Series:
    return pl.Series(fake.name, [None] * len(fake), dtype=want)


def _number(dtype: pl.DataType) -> bool:
    return dtype.is_numeric() or dtype == pl.Boolean


def _word(dtype: pl.DataType) -> str:
    if dtype.is_numeric():
        return "numbers"
    return "true and false" if dtype == pl.Boolean else "dates or times"
