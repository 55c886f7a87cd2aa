"""Samples that meet a condition: `answer`.

What a model was fitted to be given (`models.given`) is set directly: asked rows, values and classes as they stand, and
ranges by drawing conditions of training rows within them, so that the other given columns follow the data. Of columns
that the model makes itself, only those rows are kept that meet what is asked (rejection): exact samples of the model's
law on that event, at a cost of 1 / P(event) drawn rows each. The report says how many were tried.

A combination of given values that no training row has is set all the same, with a warning: the generator was never
trained there. A value that no training row has is refused.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
import torch
from torch import Tensor

from ..data.conditions import Shares, Term, in_words, met, parse, points_frame, term_in_words
from ..data.dataset import Dataset
from ..errors import InputError
from .asked import Subject, enumerate_names, put_over, read_conditions, unseen
from .drawing import CHUNK, joined, rng
from .given import layout_of
from .told import telling

if TYPE_CHECKING:
    from .classical.base import Explicit
    from .trained import Trained

TRIES, LEAST = 1000, 100_000  # drawn rows for each row asked at most, where some are rejected; and in all at least
NEAR = 50  # training rows around an asked number, from which the other given columns are drawn

Source = Callable[[int, int, int], tuple[Tensor, "pl.DataFrame | None"]]
"""(number of the chunk, its first row, its rows) -> expanded conditions, and the values to put into their columns."""


def answer(model: Trained | Explicit, n: int, given: Any, seed: int) -> tuple[Dataset, dict[str, Any]]:
    """`n` rows of `model` that meet `given`, and a JSON-able report: `asked` (in words), `tried`, `kept`, `share`.

    given: a mapping from columns to what is asked of them (see `data.conditions`); or `n` conditions: a frame of the
    given columns, labels `(n,)`, vectors `(n, k)`; or one label or vector for all. Raises `InputError` for an unknown
    column or level, for conditions of another number of rows, and where too few of `TRIES` rows for each asked meet it.
    """
    subject = Subject(model)
    if isinstance(given, str | int | float | bool | np.generic) and len(subject.columns) == 1:
        given = {subject.columns[0]: given.item() if isinstance(given, np.generic) else given}
    if not isinstance(given, Mapping):
        return _follow(subject, n, given, seed)
    terms, shares = parse(given, subject.known)
    parts: list[Dataset] = []
    tried = kept = 0
    notes: list[str] = []
    for number, (count, extra) in enumerate(_allot(n, shares)):
        wanted, purpose = [*terms, *extra], (seed, number) if extra else (seed,)
        found, one_tried, one_kept, note = _meet(subject, count, wanted, purpose)
        parts.append(found)
        tried, kept, notes = tried + one_tried, kept + one_kept, notes + ([note] if note else [])
    for note in dict.fromkeys(notes):
        warnings.warn(note, stacklevel=3)
    whole = joined(parts)
    if len(parts) > 1:
        whole = whole.take(torch.randperm(n, generator=rng(seed, "order")))
    report = {"asked": in_words(given), "tried": tried, "kept": kept, "share": kept / tried}
    return whole, report | ({"note": "; ".join(dict.fromkeys(notes))} if notes else {})


# ---- by rows


def _follow(subject: Subject, n: int, given: Any, seed: int) -> tuple[Dataset, dict[str, Any]]:
    """One row for each condition."""
    if subject.said is None:
        raise InputError(
            "this model was fitted with nothing given, so it takes no conditions by the row; fit it with given"
        )
    conditions, one = read_conditions(subject, given)
    if one:
        conditions = conditions.take(torch.zeros(n, dtype=torch.long))
    if len(conditions) != n:
        raise InputError(f"{len(conditions):,} conditions are given for {n:,} samples; give one for each")
    notes = unseen(subject, conditions.values) if conditions.kind == "table" else []
    expanded = subject.encode(conditions, seed, "conditions")
    exact = conditions.values if conditions.kind == "table" else None
    if exact is None and not subject.beside:
        exact = points_frame(conditions).rename(dict(enumerate_names(subject.columns)))

    def source(number: int, first: int, count: int) -> tuple[Tensor, pl.DataFrame | None]:
        return expanded[first : first + count], None if exact is None else exact[first : first + count]

    found, tried, kept = _draw(subject, n, source, [], (seed,), "")
    for note in notes:
        warnings.warn(note, stacklevel=4)
    what = f"{n:,} conditions" + (f" ({', '.join(subject.columns)})" if subject.columns else "")
    report = {"asked": what, "tried": tried, "kept": kept, "share": 1.0}
    return found, report | ({"note": "; ".join(notes)} if notes else {})


# ---- by terms


def _allot(n: int, shares: Sequence[Shares]) -> list[tuple[int, list[Term]]]:
    """How many rows each combination of shared levels gets: by the largest remainder, so that they add up to `n`."""
    cells = [
        (math.prod(s for _, s in cell), [t for t, _ in cell]) for cell in product(*(_pairs(one) for one in shares))
    ]
    exact = np.array([share * n for share, _ in cells])
    counts = np.floor(exact).astype(int)
    for place in np.argsort(counts - exact, kind="stable")[: n - int(counts.sum())]:
        counts[place] += 1
    return [(int(count), terms) for count, (_, terms) in zip(counts, cells, strict=True) if count]


def _pairs(one: Shares) -> list[tuple[Term, float]]:
    return list(zip(one.terms, one.shares, strict=True))


def _meet(subject: Subject, n: int, terms: Sequence[Term], seed: tuple[int, ...]) -> tuple[Dataset, int, int, str]:
    """`n` rows that meet all `terms`: (rows, tried, kept, what to warn of)."""
    own = [term for term in terms if term.column in subject.columns]
    rest = [term for term in terms if term.column not in subject.columns]
    source, note = None, ""
    if own:
        chosen = choose(subject.kept, own)
        note, source = chosen.note, _source(subject, chosen, seed)
    elif subject.fills:
        told = [term for term in rest if term.single and term.values[0] is not None]
        rest = [term for term in rest if term not in told]
        source = telling(subject, told, seed) if told else None
    return *_draw(subject, n, source, rest, seed, ", ".join(map(term_in_words, terms))), note


@dataclass(frozen=True, eq=False)
class Chosen:
    """Which kept conditions to draw from, which terms to put over them, and what to warn of."""

    rows: np.ndarray
    over: tuple[Term, ...]
    note: str = ""


def choose(kept: pl.DataFrame, terms: Sequence[Term]) -> Chosen:
    """The rows of `kept` that meet `terms`; those nearest, where a number is asked that (almost) none has; and all that
    are within the ranges asked, where no row has the asked levels together."""
    numbers = [t for t in terms if t.values and t.known.ordered and t.known.levels is None and None not in t.values]
    others = [t for t in terms if t not in numbers]
    over: list[Term] = []
    note = ""
    rows = np.flatnonzero(met(kept, others))
    if not len(rows):
        levels = [t for t in others if t.values]
        rows = np.flatnonzero(met(kept, [t for t in others if not t.values]))
        if not len(rows):
            words = ", ".join(term_in_words(t) for t in others)
            raise InputError(f"{words}: no training row is there; widen it")
        over += levels
        words = ", ".join(term_in_words(t) for t in others)
        note = f"no training row has {words} together: the model was not trained there"
    if numbers:
        exact = rows[met(kept[rows], numbers)]
        if len(exact) >= NEAR:
            rows = exact
        else:
            rows, over = _nearest(kept, rows, numbers), [*over, *numbers]
    return Chosen(rows, tuple(over), note)


def _nearest(kept: pl.DataFrame, rows: np.ndarray, numbers: Sequence[Term]) -> np.ndarray:
    """The `NEAR` of `rows` nearest to the asked numbers, each column in units of its spread; all if there are fewer."""
    away = np.zeros(len(rows))
    for term in numbers:
        values = kept[term.column][rows].to_physical().cast(pl.Float64).fill_null(float("nan")).to_numpy()
        asked = term.of(np.arange(len(term.values))).to_physical().cast(pl.Float64).to_numpy()
        low, high = np.nanquantile(values, [0.25, 0.75]) if np.isfinite(values).any() else (0.0, 1.0)
        distance = np.abs(values[:, None] - asked).min(1) / max(high - low, 1e-12)
        away += np.where(np.isnan(distance), np.inf, distance)
    return rows[np.argsort(away, kind="stable")[:NEAR]]


def _source(subject: Subject, chosen: Chosen, seed: tuple[int, ...]) -> Source:
    codes = subject.generator.conditions.codes.cpu()
    layout = layout_of(subject.inner)

    def source(number: int, first: int, count: int) -> tuple[Tensor, pl.DataFrame | None]:
        drawn = rng(seed[0], "given", *seed[1:], number)
        size = max(count, CHUNK[subject.codec.kind])  # so that fewer are the first of more
        index = chosen.rows[torch.randint(len(chosen.rows), (size,), generator=drawn).numpy()[:count]]
        exact = subject.kept[index]
        if not chosen.over:
            return layout.expand(codes[torch.from_numpy(index)]), exact
        picks = [torch.randint(len(term.values), (size,), generator=drawn).numpy()[:count] for term in chosen.over]
        over = [term.of(pick) for term, pick in zip(chosen.over, picks, strict=True)]
        exact = put_over(exact, pl.DataFrame(over))
        if subject.inner.kind == "table":
            conditions = Dataset("table", exact)
        else:
            conditions = Dataset("points", torch.from_numpy(exact.to_numpy().astype(np.float64)))
        return subject.encode(conditions, *seed, "cell", number), exact

    return source


def _draw(
    subject: Subject, n: int, source: Source | None, terms: Sequence[Term], seed: tuple[int, ...], words: str
) -> tuple[Dataset, int, int]:
    """`n` rows by the chunk, with their conditions from `source`, of which those that meet `terms` are kept."""
    codec, chunk = subject.codec, CHUNK[subject.codec.kind]
    limit = max(LEAST, TRIES * n)
    parts: list[Dataset] = []
    tried = kept = number = 0
    while kept < n:
        if terms and (tried >= limit or (tried >= LEAST and not kept)):
            raise InputError(_too_few(subject, n, kept, tried, terms, words))
        count = chunk if terms else min(chunk, n - tried)
        conditions, exact = (None, None) if source is None else source(number, tried, count)
        rows = subject.drawn(chunk, count, rng(seed[0], "sample", *seed[1:], number), conditions)
        part = subject.put(codec.decode(rows, generator=rng(seed[0], "decode", *seed[1:], number)), exact)
        if terms:
            part = part.take(torch.from_numpy(np.flatnonzero(met(subject.frame(part), terms))))
        parts.append(part)
        tried, kept, number = tried + count, kept + len(part), number + 1
    return joined(parts).take(torch.arange(n)), tried, kept


def _too_few(subject: Subject, n: int, kept: int, tried: int, terms: Sequence[Term], words: str) -> str:
    names = [term.column for term in terms]
    less = f"ask for at most {kept:,}, ask for a wider range" if kept else "ask for something wider"
    return (
        f"{words}: of {tried:,} drawn rows {kept:,} meet it, not the {n:,} asked (the limit is {TRIES:,} for each, and "
        f"{LEAST:,} in all); {less}, or fit a model with {' and '.join(names)} given"
    )
