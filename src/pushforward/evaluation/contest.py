"""Several families of models on the same data under one budget: which of them is ahead?

The data are split once: every model is fitted to the training rows within its share of the budget, and as many samples
as there are rows kept out are compared with these (`compare`, told which rows were trained on, so that copies show).
The order is `leaderboard`'s; beside it stand the quality score, training on samples and testing on real rows, copies,
the likelihood of the rows kept out where a model has one, and what it cost. The same figures between the rows kept out
and training rows are the ceiling: no model should be expected to do better.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, final

import numpy as np
import torch

from ..data.dataset import Dataset
from ..data.sources import check_alike
from ..data.sources import read as read_data
from ..errors import InputError
from ..models.choosing.candidates import Attempt, estimators, fit_within, in_order, numbers, prepare
from ..training.progress import Event, Reporter, reporter
from .catalogue import check_metrics, ordered
from .compare import compare
from .comparison import Comparison, Metric, Omission
from .figures import LeftOut
from .frames import frame_of
from .job import LEAST_ROWS
from .leaderboard import Leaderboard, standings
from .likelihood.figures import KIND_IN_WORDS, Held, of_model
from .plain import plain, written
from .utility.quality import quality

SCHEMA = "pushforward.contest/1"
BUDGET = 300.0  # seconds
SHARE = 0.2  # of the rows, kept out
MOST_JUDGED = 10_000  # rows kept out that are compared with samples
METRICS: Mapping[str, tuple[str, ...]] = {
    "table": ("tstr",),
    "points": ("precision", "tstr"),
    "images": ("frechet", "precision"),
}
SHOWN: Mapping[str, tuple[str, ...]] = {  # columns of the table, beside the figure that orders it
    "table": ("quality", "tstr", "log_likelihood"),
    "points": ("precision", "recall", "tstr", "log_likelihood"),
    "images": ("frechet", "precision", "recall", "bits_per_dim"),
}


@final
@dataclass(frozen=True)
class Entry:
    """One model: `seconds` to fit (`cpu`: of this process's own time, all threads) and `drawing` seconds for the
    samples judged; the training `rows` that it saw; how many `numbers` it learned; what its `likelihood` is, or why it
    has none of these rows (empty: it has none at all). `why` says why it has no figures; it is empty for those that
    have."""

    name: str
    family: str
    seconds: float
    rows: int
    cpu: float = 0.0
    drawing: float = 0.0
    numbers: int = 0
    likelihood: str = ""
    why: str = ""


@final
@dataclass(frozen=True)
class Contest:
    """`board`: the models that could be judged, in order; `entries`: all of them, in the order they were fitted;
    `train` and `judged` rows of `data`; `budget` in seconds."""

    data: str
    kind: str
    train: int
    judged: int
    budget: float
    seed: int
    entries: tuple[Entry, ...]
    board: Leaderboard

    @property
    def shown(self) -> tuple[str, ...]:
        """Figures beside the one that orders, of those that any model has."""
        every = {metric.name for one in self.board.comparisons.values() for metric in one.metrics}
        return tuple(name for name in SHOWN[self.kind] if name in every and name != self.board.by)

    @property
    def failed(self) -> tuple[Entry, ...]:
        """The models without figures."""
        return tuple(entry for entry in self.entries if entry.why)

    def entry(self, name: str) -> Entry:
        return next(one for one in self.entries if one.name == name)

    def ceiling(self, figure: str) -> float | None:
        """`figure` between two real sets."""
        found = next(iter(self.board.comparisons.values()))
        return next((metric.baseline for metric in found.metrics if metric.name == figure), None)

    def figure(self, name: str, figure: str) -> Metric | None:
        """The figure of the model `name`; None where it has none."""
        return next((one for one in self.board.comparisons[name].metrics if one.name == figure), None)

    @property
    def sentence(self) -> str:
        """Who is ahead, beside the ceiling."""
        told = self.board.sentence
        if len(self.board.standings) == 1:
            told = f"{self.board.standings[0].name} is the only model with figures."
        ceiling = self.ceiling(self.board.by)
        return told if ceiling is None else f"{told} Between two real sets {self.board.by} is {ceiling:.3g}."

    def to_dict(self) -> dict[str, Any]:
        """Plain dicts, lists, strings and numbers."""
        own = ("data", "kind", "train", "judged", "budget", "seed", "sentence")
        names = (self.board.by, *self.shown)
        return {
            "schema": SCHEMA,
            **{name: getattr(self, name) for name in own},
            "entries": plain(self.entries),
            "ceiling": {name: self.ceiling(name) for name in names},
            "board": self.board.to_dict(),
        }

    def to_json(self, path: str | Path | None = None) -> str:
        """The JSON text; also written to `path`, where one is given."""
        return written(json.dumps(self.to_dict(), indent=1, ensure_ascii=False, allow_nan=False), path)

    def to_markdown(self, path: str | Path | None = None) -> str:
        """The table, what was left out and why, and the findings; also written to `path`, where one is given."""
        from .markdown import contest_markdown

        return written(contest_markdown(self), path)

    def __repr__(self) -> str:
        failed = f", {len(self.failed)} without figures" if self.failed else ""
        return f"Contest({len(self.entries)} models of {self.data!r}{failed}; {self.board!r})"

    def _repr_html_(self) -> str:
        """What a notebook shows: the table."""
        from ..report import card

        return card(self)

    def plot(self, **options: Any) -> Any:
        """The figure that orders, with its interval, for every model, as an Altair chart; see `report.plot`."""
        from ..report import plot

        return plot(self, **options)

    def to_html(self, path: str | Path | None = None) -> str:
        """One self-contained page; also written to `path`, where one is given."""
        from ..report import contest_page

        return written(contest_page(self), path)


def contest(
    data: Any,
    *,
    models: Sequence[str] | Mapping[str, Any] | None = None,
    budget: float = BUDGET,
    steps: int | None = None,
    holdout: Any = None,
    share: float = SHARE,
    most_judged: int = MOST_JUDGED,
    metrics: Sequence[str] = (),
    target: str | None = None,
    by: str = "auc",
    alpha: float = 0.05,
    device: str = "auto",
    seed: int = 0,
    out: str | Path | None = None,
    progress: bool | Reporter = False,
) -> Contest:
    """Fit `models` to `data` within `budget` seconds in all, and rank them by their samples.

    models: names of `models.NAMES`, or a mapping from names to estimators of one's own; by default those that suit the
        kind of data (`models.choosing`). Closed-form models take what time they take; those trained by steps share what
        is left, or take `steps`. Judging is not counted.
    holdout: rows to judge by; without it, `share` of the data is kept out. At most `most_judged` of them are used.
    metrics, target, alpha: as for `compare`, beside what each kind of data has anyway (`METRICS`). by: what orders.
    out: a folder for the fitted models, one folder each.

    A model that fails, or does not take the data, is an entry that says why. `InputError` where none can be judged.
    """
    if not budget > 0:
        raise InputError(f"budget must be a positive number of seconds, not {budget!r}")
    check_metrics(metrics)
    train, held = _parts(read_data(data), holdout, share, most_judged, seed)
    tried = estimators(models, train.kind, steps=steps, device=device, seed=seed)
    show = reporter(progress)
    names = tuple(dict.fromkeys((*METRICS[train.kind], *metrics)))
    prepare(tried, train)
    left = budget
    entries: list[Entry] = []
    found: dict[str, Comparison] = {}
    for name in in_order(tried):
        show(Event("prepare", 0, 0, 0.0, message=f"{name}: {len(entries) + 1} of {len(tried)}"))
        attempt = fit_within(tried[name], train, left / (len(tried) - len(entries)), progress=progress)
        left = max(0.0, left - attempt.seconds)
        if getattr(attempt.model, "interrupted_", False):
            raise KeyboardInterrupt
        entry, comparison = _judge(
            name, tried[name], attempt, train, held, {"metrics": names, "target": target, "alpha": alpha, "seed": seed}
        )
        entries.append(entry)
        if comparison is not None:
            found[name] = comparison
        if attempt.model is not None and out is not None:
            attempt.model.save(Path(out) / name)
    if not found:
        raise InputError(
            f"no model could be judged ({'; '.join(f'{entry.name}: {entry.why}' for entry in entries)}); name others"
        )
    board = standings(found, by=by)
    return Contest(train.name, train.kind, len(train), len(held), budget, seed, tuple(entries), board)


def _parts(dataset: Dataset, holdout: Any, share: float, most: int, seed: int) -> tuple[Dataset, Dataset]:
    """Training rows, and rows to judge by."""
    if not 0 < share < 1:
        raise InputError(f"share is of the rows kept out, between 0 and 1, not {share!r}")
    if most < LEAST_ROWS:
        raise InputError(f"most_judged {most}: too few to tell; give at least {LEAST_ROWS}")
    if holdout is None:
        train, held = dataset.split(share, seed=seed)
    else:
        train, held = dataset, check_alike(dataset, read_data(holdout))
    if len(train) < LEAST_ROWS or len(held) < LEAST_ROWS:
        raise InputError(
            f"{dataset.name}: {len(train)} rows to train on and {len(held)} to judge by are too few to tell; "
            f"give at least {LEAST_ROWS} of each"
        )
    if len(held) > most:
        order = np.random.default_rng([seed, 294]).permutation(len(held))[:most]
        held = held.take(torch.from_numpy(np.sort(order)))
    return replace(train, path=None), replace(held, name=f"{dataset.name}, rows kept out", path=None)


def _judge(
    name: str, model: Any, attempt: Attempt, train: Dataset, held: Dataset, settings: Mapping[str, Any]
) -> tuple[Entry, Comparison | None]:
    """What a model cost, and its samples beside the rows kept out; a model that cannot draw them says why."""
    entry = Entry(name, type(model).__name__, attempt.seconds, attempt.rows, attempt.cpu, why=attempt.why)
    if attempt.model is None:
        return entry, None
    started = time.perf_counter()
    try:
        samples = attempt.model.sample_dataset(len(held), seed=settings["seed"])
        drawing = time.perf_counter() - started
        found = compare(held, replace(samples, name=name), train=train, **settings)
    except InputError as error:
        return replace(entry, why=str(error)), None
    except (ArithmeticError, LookupError, RuntimeError, TypeError, ValueError) as error:
        return replace(entry, why=f"it failed with {type(error).__name__}: {error}".splitlines()[0]), None
    more = [_quality(held, samples, train, settings["seed"])] if held.kind == "table" else []
    left_out = found.left_out
    likely: Held | None = None
    try:
        likely = of_model(attempt.model, train=train, holdout=held, seed=settings["seed"])
        more += likely.metrics()
        told = f"{KIND_IN_WORDS[likely.likelihood.kind]}; {likely.likelihood.units}"
    except LeftOut as reason:
        told = str(reason) if hasattr(attempt.model, "log_prob") else ""
        left_out = (*left_out, Omission("log_likelihood", str(reason)))
    found = replace(found, metrics=ordered((*found.metrics, *more)), left_out=left_out)
    known = replace(entry, drawing=drawing, numbers=numbers(attempt.model), likelihood=told)
    return known, found


def _quality(held: Dataset, samples: Dataset, train: Dataset, seed: int) -> Metric:
    """The quality score of samples, beside that of as many training rows."""
    rows = np.random.default_rng([seed, 295]).permutation(len(train))[: len(held)]
    alike = {"fake": samples, "train": train.take(torch.from_numpy(np.sort(rows)))}
    frame = frame_of({"real": held, **{role: check_alike(held, part) for role, part in alike.items()}})
    of_fake, of_train = (quality(frame, real=frame.rows["real"], fake=frame.rows[role]).overall for role in alike)
    reads = "mean similarity of columns and of pairs of columns, 0 to 1, by the definitions of sdmetrics; no interval"
    return Metric("quality", "utility", of_fake, None, None, of_train, "higher", reads)
