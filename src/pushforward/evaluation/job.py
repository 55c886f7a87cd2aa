"""What the parts of a comparison share: the data by role, their columns and distances, two real sets as a baseline."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar, cast

import numpy as np
import torch
from numpy.typing import NDArray

from ..data import sources
from ..data.dataset import Dataset, Kind
from ..data.streams import read_bounded, shown
from ..errors import InputError
from . import spaces
from .encoders.features import check_features
from .encoders.labels import labels_alike, labels_from, labels_of
from .frames import Frame, frame_of
from .memorization import contains, duplicates, repeated

Array = NDArray[np.float64]
Rows = NDArray[np.int64]
T = TypeVar("T")
LEAST_ROWS = 20
MOST_ROWS = 200_000  # of a source on disk; of larger ones, so many are drawn
WIDEST_FOR_TREES = 256  # wider points are judged by their principal components


@dataclass(frozen=True)
class Suite:
    """How much is measured: most rows (of each set) for each part, folds, relabellings, random halvings of REAL.

    Which figures a suite of this name runs, the figures say themselves (`figures.Figure.suites`).
    """

    classifier_rows: int
    folds: int
    permutations: int
    kernel_rows: int
    association_rows: int
    copy_queries: int
    copy_rows: int
    halvings: int
    method_rows: int


QUICK = Suite(20_000, 5, 999, 4_000, 50_000, 4_000, 50_000, 4, 5_000)
SUITES: Mapping[str, Suite] = {
    "quick": QUICK,
    "full": Suite(200_000, 10, 4_999, 10_000, 500_000, 50_000, 200_000, 16, 20_000),
    "image": QUICK,
    "table": QUICK,
    "privacy": replace(QUICK, copy_queries=20_000, copy_rows=200_000),
}


@dataclass(frozen=True)
class Job:
    """`data[role]` for the roles "real", "fake" and, where given, "train" and "holdout"; `baseline`: pairs of two real
    sets as (role, row numbers), described by `baseline_reads`; `contained`: whether `train` holds REAL's own rows;
    `labels[role]`: class codes `(n,)` of pictures into `label_names`; `target`: the column to predict. `cache` keeps
    what several figures share, by name."""

    data: Mapping[str, Dataset]
    frame: Frame
    space: spaces.Space
    baseline: list[tuple[tuple[str, Rows], tuple[str, Rows]]]
    baseline_reads: str
    contained: bool
    suite: Suite
    alpha: float
    seed: int
    labels: Mapping[str, NDArray[np.int64]] = field(default_factory=dict)
    label_names: tuple[str, ...] = ()
    target: str | None = None
    notes: tuple[str, ...] = ()
    cache: dict[str, Any] = field(default_factory=dict, repr=False, compare=False)

    @property
    def kind(self) -> str:
        return self.data["real"].kind

    def once(self, name: str, make: Callable[[], T]) -> T:
        """`make()`, called for the first who asks for `name` and kept."""
        if name not in self.cache:
            self.cache[name] = make()
        return cast(T, self.cache[name])

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


def prepare(
    roles: Mapping[str, Any],
    *,
    suite: str,
    alpha: float,
    seed: int,
    encoder: Any = None,
    target: str | None = None,
    labels: Mapping[str, Any] | None = None,
    most_rows: int | None = None,
    download: bool = False,
) -> Job:
    """Read and check the sources by role (None: not given), code them alike, choose the baseline."""
    if suite not in SUITES:
        raise InputError(f"unknown suite {suite!r}; known: {', '.join(SUITES)}")
    if not 0 < alpha < 1:
        raise InputError(f"alpha {alpha}: must lie between 0 and 1, such as 0.05")
    data = {
        role: source if isinstance(source, Dataset) else bounded(source, seed=seed, most_rows=most_rows)
        for role, source in roles.items()
        if source is not None
    }
    check_features(data)
    for role, dataset in data.items():
        if role != "real":
            data[role] = sources.check_alike(data["real"], dataset)
        if len(dataset) < LEAST_ROWS:
            raise InputError(f"{dataset.name}: {len(dataset)} rows are too few to tell; give at least {LEAST_ROWS}")
    codes, names = _labels(data, labels or {})
    frame = frame_of(data)
    if target is not None and (data["real"].kind != "table" or target not in frame.names):
        known = f"columns: {', '.join(frame.names)}" if data["real"].kind == "table" else "it is for tables"
        raise InputError(f"target {target!r}: {data['real'].name} has no such column; {known}")
    if encoder is None:
        space = spaces.space_of(data, frame)
    else:
        from .encoders import space_with

        space = space_with(encoder, data, frame, download=download)
    raw = dict(zip(data, raw_rows(data, frame, *data), strict=True))
    contained = "train" in raw and contains(raw["train"], raw["real"])
    pairs, reads = _baseline(data, contained, SUITES[suite], seed)
    return Job(
        data=data,
        frame=frame,
        space=space,
        baseline=pairs,
        baseline_reads=reads,
        contained=contained,
        suite=SUITES[suite],
        alpha=alpha,
        seed=seed,
        labels=codes,
        label_names=names,
        target=target,
        notes=_notes(data, raw),
    )


def bounded(
    source: Any,
    *,
    seed: int,
    most_rows: int | None = None,
    kind: Kind | None = None,
    columns: Mapping[str, str] | None = None,
    progress: bool = False,
) -> Dataset:
    """`source` read whole, or, where it has more than `most_rows` (`MOST_ROWS`) rows, that many of them, drawn
    uniformly while it is read in parts; `Dataset.sampled` then says so."""
    most = MOST_ROWS if most_rows is None else most_rows
    if most < LEAST_ROWS:
        raise InputError(f"most_rows {most}: too few to tell; give at least {LEAST_ROWS}")
    with shown(str(source), on=progress) as report:
        dataset, found = read_bounded(source, most_rows=most, seed=seed, kind=kind, columns=columns, progress=report)
    return dataset if found.kept == found.rows else replace(dataset, sampled=found.to_dict())


def _labels(data: Mapping[str, Dataset], given: Mapping[str, Any]) -> tuple[Mapping[str, Rows], tuple[str, ...]]:
    """Class labels of images by role: those given, else those that stand in the files the images came from."""
    strange = [role for role in given if role not in data]
    if strange:
        raise InputError(f"labels of {strange[0]!r}: there is no such set; there are: {', '.join(data)}")
    if data["real"].kind != "images":
        if given:
            raise InputError(f"labels: are for images, and these data are {data['real'].kind}")
        return {}, ()
    found = {}
    for role, dataset in data.items():
        labels = labels_from(given[role], source=f"labels of {role}") if role in given else labels_of(dataset.path)
        if labels is not None and len(labels) == len(dataset):
            found[role] = labels
        elif labels is not None and role in given:
            raise InputError(f"labels of {role}: {len(labels):,} for {len(dataset):,} images; give one an image")
    return labels_alike(found, {role: len(dataset) for role, dataset in data.items()})


def _notes(data: Mapping[str, Dataset], raw: Mapping[str, NDArray[Any]]) -> tuple[str, ...]:
    """What a reader should know before any figure: sets that seem swapped, a holdout that is none."""
    told = []
    real, fake = data["real"], data["fake"]
    if _synthetic(real) and not _synthetic(fake):
        told.append(
            f"{real.name} says that a model made it, and {fake.name} does not: were REAL and FAKE given in the wrong "
            "order? Every figure depends on which is which."
        )
    if "train" in raw and "holdout" in raw:
        if contains(raw["train"], raw["holdout"]):
            raise InputError(
                f"{data['holdout'].name}: most of its rows stand in {data['train'].name} too, so it is no holdout; "
                "give rows that were not trained on"
            )
        shared, own = duplicates(raw["holdout"], raw["train"]), repeated(raw["train"])
        if shared > own + 0.005:
            told.append(
                f"{shared:.1%} of the rows of {data['holdout'].name} stand in {data['train'].name} too, more than the "
                f"{own:.1%} that repeat there by chance: the holdout overlaps the training rows, and copies look rarer "
                "beside it than they are."
            )
    return tuple(told)


def _synthetic(dataset: Dataset) -> bool:
    record = dataset.made_by or {}
    return bool(record.get("synthetic", record.get("model")))


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
