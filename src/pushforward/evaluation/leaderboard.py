"""Several generators against the same data: who is ahead, and by more than noise?

Every FAKE is compared with REAL by itself. The order is by one figure (the AUC by default); two entries are told apart
where the difference of their figures is more than the noise of both: z = (a - b) / sqrt(se_a^2 + se_b^2), the standard
errors from the figures' intervals. As all are held against the same real rows their errors agree in part, which makes z
conservative. Holm adjusts over all pairs. Entries that cannot be told from the first share its place.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

import numpy as np

from ..errors import InputError
from ..readings.adjust import holm
from .compare import compare
from .comparison import Comparison, Metric
from .history import difference_pvalue
from .plain import plain, written

SCHEMA = "pushforward.leaderboard/1"


@final
@dataclass(frozen=True)
class Pair:
    """Two entries, `better` ahead of `worse`: the difference of their figures (better - worse) and its evidence."""

    better: str
    worse: str
    difference: float
    pvalue: float
    pvalue_adjusted: float


@final
@dataclass(frozen=True)
class Standing:
    """One entry: `place` counts from 1; entries that were not told apart from a better one share its place."""

    name: str
    place: int
    value: float
    low: float | None
    high: float | None


@final
@dataclass(frozen=True)
class Leaderboard:
    """`standings` by the figure `by`, the best first; `pairs`: all of them; `comparisons` by name."""

    by: str
    alpha: float
    standings: tuple[Standing, ...]
    pairs: tuple[Pair, ...]
    comparisons: Mapping[str, Comparison]

    @property
    def sentence(self) -> str:
        """Who is ahead, and who copied."""
        first = [standing.name for standing in self.standings if standing.place == 1]
        if len(first) == 1:
            told = f"{first[0]} is ahead of all others by {self.by}, beyond noise."
        else:
            told = f"{', '.join(first)} cannot be told apart at the head, by {self.by}."
        copied = [
            name
            for name, comparison in self.comparisons.items()
            if any("copies" in finding.name for finding in comparison.findings)
        ]
        return f"{told} Copies of training rows were found in {', '.join(copied)}." if copied else told

    def to_dict(self) -> dict[str, Any]:
        """Plain dicts, lists, strings and numbers."""
        comparisons = {name: one.to_dict() for name, one in self.comparisons.items()}
        own = {name: plain(getattr(self, name)) for name in ("by", "alpha", "sentence", "standings", "pairs")}
        return {"schema": SCHEMA} | own | {"comparisons": comparisons}

    def to_json(self, path: str | Path | None = None) -> str:
        """The JSON text; also written to `path`, where one is given."""
        return written(json.dumps(self.to_dict(), indent=1, ensure_ascii=False, allow_nan=False), path)

    def to_markdown(self, path: str | Path | None = None) -> str:
        """The table and each verdict; also written to `path`, where one is given."""
        from .markdown import leaderboard_markdown

        return written(leaderboard_markdown(self), path)

    def to_html(self, path: str | Path | None = None) -> str:
        """One self-contained page; also written to `path`, where one is given."""
        from ..report import leaderboard_page

        return written(leaderboard_page(self), path)

    def __repr__(self) -> str:
        return f"Leaderboard(by {self.by}: {_ranked(self.standings)})"

    def _repr_html_(self) -> str:
        """What a notebook shows: the table."""
        from ..report import card

        return card(self)

    def plot(self, **options: Any) -> Any:
        """The figure that orders, with its interval, for every entry, as an Altair chart; see `report.plot`."""
        from ..report import plot

        return plot(self, **options)


def _ranked(standings: Sequence[Standing], most: int = 8) -> str:
    """`1 GAN 0.52, 2 VAE 0.61, ...`"""
    told = ", ".join(f"{one.place} {one.name} {one.value:.3g}" for one in standings[:most])
    return told + (", ..." if len(standings) > most else "")


def leaderboard(
    real: Any,
    fakes: Mapping[str, Any],
    *,
    by: str = "auc",
    alpha: float = 0.05,
    **settings: Any,
) -> Leaderboard:
    """Compare every one of `fakes` (name -> samples) with `real`, in order of the figure `by`.

    `settings` are those of `compare` (`train`, `holdout`, `suite`, `metrics`, `seed`, ...), the same for all. Raises
    `InputError` for fewer than two fakes and for a figure that not every comparison has.
    """
    if len(fakes) < 2:
        raise InputError("a leaderboard needs two or more sets of samples; compare takes a single one")
    return standings({name: compare(real, fake, alpha=alpha, **settings) for name, fake in fakes.items()}, by=by)


def standings(comparisons: Mapping[str, Comparison], *, by: str = "auc") -> Leaderboard:
    """The leaderboard of comparisons with the same real data."""
    found = {name: _figure(name, one, by) for name, one in comparisons.items()}
    alpha = next(iter(comparisons.values())).alpha
    order = sorted(found, key=lambda name: _badness(found[name]))
    couples = list(itertools.combinations(order, 2))
    pvalues = [difference_pvalue(found[a], found[b]) for a, b in couples]
    adjusted = holm(np.array(pvalues))
    pairs = tuple(
        Pair(a, b, found[a].value - found[b].value, float(p), float(q))
        for (a, b), p, q in zip(couples, pvalues, adjusted, strict=True)
    )
    places = _places(order, pairs, alpha)
    table = tuple(Standing(name, places[name], found[name].value, found[name].low, found[name].high) for name in order)
    return Leaderboard(by, alpha, table, pairs, dict(comparisons))


def _figure(name: str, comparison: Comparison, by: str) -> Metric:
    try:
        metric = comparison[by]
    except KeyError as error:
        known = ", ".join(one.name for one in comparison.metrics if one.low is not None)
        raise InputError(f"by {by}: the comparison with {name} has no such figure; with intervals: {known}") from error
    if metric.low is None:
        raise InputError(f"by {by}: has no interval, so nothing can be told apart by it; take one such as auc")
    return metric


def _badness(metric: Metric) -> float:
    if metric.direction == "baseline":
        return abs(metric.value - (0.5 if metric.name == "auc" else metric.baseline or 0.0))
    return metric.value if metric.direction == "lower" else -metric.value


def _places(order: Sequence[str], pairs: Sequence[Pair], alpha: float) -> dict[str, int]:
    """1 + the number of entries that are ahead beyond noise."""
    return {name: 1 + sum(pair.worse == name and pair.pvalue_adjusted <= alpha for pair in pairs) for name in order}
