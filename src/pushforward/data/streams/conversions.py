"""What the text columns of a table hold, told from all of its rows a chunk at a time.

`frames` recognises dates, times and true/false in a CSV where *all* values of a column fit, and reads what the user
typed likewise. Here the same is decided over a stream: a format stays a candidate while every chunk fits it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

import polars as pl

from ...errors import InputError
from .. import frames

TextChunks = Callable[[list[str]], Iterator[pl.DataFrame]]  # columns by name -> their text, chunk by chunk
_TEXT = (pl.String, pl.Categorical, pl.Enum)
_KINDS = {"date": frames.DATES, "datetime": frames.MOMENTS, "time": frames.TIMES}
_ASKED = {
    "date": frames.DATES + frames.LOCAL_DATES,
    "time": frames.TIMES,
    "datetime": frames.MOMENTS + frames.LOCAL_MOMENTS + frames.DATES,
}


@dataclass(frozen=True)
class Conversion:
    """The text column `name` as `kind`: "boolean", "float", "integer", or a date, datetime or time of format `form`.

    `asked`: the type the user chose, where he did.
    """

    name: str
    kind: str
    form: str = ""
    asked: str = ""

    def __call__(self, values: pl.Series, first: int, source: str) -> pl.Series:
        """`values`, whose first row is the row `first` of `source`."""
        text = values.cast(pl.String)
        if self.kind == "boolean":
            return (text.str.to_lowercase() == "true").alias(self.name)
        if self.kind in ("float", "integer"):
            out = text.str.strip_chars().cast(pl.Int64 if self.kind == "integer" else pl.Float64, strict=False)
        else:
            found = frames.first_format(text, (self.form,), self.kind)
            out = pl.Series(self.name, [None] * len(text), dtype=pl.Null) if found is None else found
        wrong = out.is_null() & values.is_not_null()
        if wrong.any():
            row = int(wrong.arg_max() or 0)
            raise _unfit(source, self.name, self.asked or self.kind, first + row, text[row])
        return out


def _unfit(source: str, name: str, kind: str, row: int, value: str) -> InputError:
    return InputError(
        f"{source}: column {name!r} is to be {kind} but row {row + 1} holds {value!r}; "
        "mend that value or choose another type"
    )


def decide(
    schema: Mapping[str, pl.DataType],
    columns: Mapping[str, str] | None,
    texts: TextChunks,
    source: str,
    *,
    recognise: bool,
) -> tuple[Conversion, ...]:
    """How to read the text columns of `schema`, with the user's types `columns`; `recognise`: dates and the like too.

    `texts` is called only where a column's values have to be looked at. Raises `InputError` for values that do not fit
    the type the user chose.
    """
    asked = {
        name: kind
        for name, kind in (columns or {}).items()
        if schema[name] in _TEXT and kind not in ("categorical", "boolean")
    }
    kept_as_text = {
        name for name, kind in (columns or {}).items() if kind in ("categorical", "date", "datetime", "time")
    }
    watched = [name for name, dtype in schema.items() if recognise and dtype == pl.String and name not in kept_as_text]
    trials = [_Trial(name, asked.get(name, ""), name in watched) for name in schema if name in asked or name in watched]
    open_trials, first = trials, 0
    for chunk in texts([trial.name for trial in trials]) if trials else ():
        for trial in open_trials:
            trial.look(chunk[trial.name].cast(pl.String), first)
        open_trials = [trial for trial in open_trials if trial.open]
        first += len(chunk)
        if not open_trials:
            break
    return tuple(found for trial in trials if (found := trial.conversion(source)) is not None)


@dataclass(eq=False)
class _Trial:
    """What a column may still be, after the chunks looked at."""

    name: str
    asked: str
    watched: bool
    example: tuple[int, str] | None = None
    odd: tuple[int, str] | None = None
    boolean: bool = False
    whole: bool = True
    forms: dict[str, tuple[str, ...]] = field(default_factory=dict)
    asked_forms: tuple[str, ...] = ()

    @property
    def open(self) -> bool:
        """Whether more rows can change the answer."""
        undecided = self.example is None or self.boolean or any(self.forms.values()) or bool(self.asked_forms)
        return undecided or (self.asked == "integer" and self.whole)

    def look(self, text: pl.Series, first: int) -> None:
        present = text.drop_nulls()
        if not len(present):
            return
        if self.example is None:
            self._start((first + int(text.is_not_null().arg_max() or 0), present[0]))
        if self.boolean:
            self.boolean = bool(present.str.to_lowercase().is_in(["true", "false"]).all())
        self.forms = {kind: self._fit(present, kind, forms) for kind, forms in self.forms.items()}
        fitting = self._fit(present, self.asked, self.asked_forms)
        if self.asked_forms and not fitting:
            row = _oddest(text, self.asked, self.asked_forms)
            self.odd = (first + row, text[row])
        self.asked_forms = fitting
        if self.asked == "integer" and self.whole:
            stripped = present.str.strip_chars()
            numbers, exact = stripped.cast(pl.Float64, strict=False), stripped.cast(pl.Int64, strict=False)
            whole = bool((numbers.drop_nulls() % 1 == 0).all())
            self.whole = whole and exact.null_count() == numbers.null_count()

    def _start(self, example: tuple[int, str]) -> None:
        self.example, value = example, example[1]
        if self.watched:
            self.boolean = value.lower() in ("true", "false")
            if not self.boolean and value[:1].isdigit() and len(value) >= 5:
                self.forms = dict(_KINDS)
        self.asked_forms = _ASKED.get(self.asked, ())

    def _fit(self, present: pl.Series, kind: str, forms: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(form for form in forms if frames.first_format(present, (form,), kind) is not None)

    def conversion(self, source: str) -> Conversion | None:
        if self.boolean:
            return Conversion(self.name, "boolean")
        for kind, forms in self.forms.items():
            if forms:
                return Conversion(self.name, kind, forms[0])
        if not self.asked:
            return None
        if self.asked in _ASKED:
            if self.asked_forms:
                return Conversion(self.name, self.asked, self.asked_forms[0], self.asked)
            if self.odd is not None:
                raise _unfit(source, self.name, self.asked, *self.odd)
            return Conversion(self.name, self.asked, _ASKED[self.asked][0], self.asked)
        return Conversion(self.name, "integer" if self.asked == "integer" and self.whole else "float", "", self.asked)


def _oddest(text: pl.Series, kind: str, forms: tuple[str, ...]) -> int:
    """The first row that does not fit the one of `forms` which fits most rows."""
    least: pl.Series | None = None
    for form in forms:
        moment = pl.Datetime("us", "UTC") if form.endswith("%z") else pl.Datetime("us")
        try:
            parsed = text.str.strptime({"date": pl.Date(), "time": pl.Time()}.get(kind, moment), form, strict=False)
        except pl.exceptions.PolarsError:
            continue
        wrong = parsed.is_null() & text.is_not_null()
        if least is None or (wrong.sum() or 0) < (least.sum() or 0):
            least = wrong
    return int((text.is_not_null() if least is None else least).arg_max() or 0)
