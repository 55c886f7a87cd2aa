"""`Comparison`: what `compare` returns, and its JSON and Markdown.

The JSON is `pushforward.compare/1`. A reader of that schema finds at the top level `schema`, `verdict`, `metrics`,
`columns`, `inputs` and `made_by`; beside them stand `test`, `copies`, `records`, `regions`, `tests`, `findings`,
`looked_for`, `left_out`, `notes`, `history` and `views` (small, pre-binned data for pictures, at most 1,500 points
each). Later minor versions only add keys; a reader ignores those it does not know, and does without those that an
earlier version did not write.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, final

from ..errors import InputError
from ..readings.regions import Region
from .plain import build, plain, written

SCHEMA = "pushforward.compare/1"
P_FLOOR = 1e-12  # an asymptotic p-value is not to be trusted further out; at the floor it reads "at most"


@final
@dataclass(frozen=True)
class Verdict:
    """The answer in one sentence: was a difference detected at level alpha, and how large is it (AUC, 0.5 is none)?"""

    detected: bool
    pvalue: float
    auc: float
    auc_low: float
    auc_high: float
    sentence: str


@final
@dataclass(frozen=True)
class TestPart:
    """One of the tests behind the verdict."""

    __test__ = False  # not a test case, whatever pytest makes of the name

    name: str
    statistic: float
    pvalue: float
    reads: str


@final
@dataclass(frozen=True)
class GlobalTest:
    """One p-value for "the two sets come from one distribution": `min(1, k * min_i p_i)` over its k parts (Bonferroni).

    `detectable_auc` is the AUC of a classifier that the classifier part would have found with probability 0.8.
    """

    method: str
    pvalue: float
    parts: tuple[TestPart, ...]
    detectable_auc: float
    n_x: int
    n_y: int

    def detected(self, alpha: float = 0.05) -> bool:
        return self.pvalue <= alpha


@final
@dataclass(frozen=True)
class Metric:
    """A figure, its interval, and the same figure between two sets of real data.

    `direction`: which way is better: "lower", "higher", or "baseline" (the nearer to the baseline).
    """

    name: str
    group: str
    value: float
    low: float | None
    high: float | None
    baseline: float | None
    direction: str
    reads: str

    def _repr_html_(self) -> str:
        """What a notebook shows: the figure beside that of two real sets."""
        from ..report import card

        return card(self)


@final
@dataclass(frozen=True)
class Column:
    """How one column (coordinate, image statistic) differs.

    `statistic`: numeric and datetime columns: the Kolmogorov-Smirnov distance, a missing value counted as the lowest of
    all; categories: the total variation distance, missing being a level. Both lie in [0, 1]; `low, high` bound the
    population's distance, `baseline` is the same between two real sets. `shift`: numeric columns: the Wasserstein-1
    distance in units of REAL's standard deviation. `outside`: share of FAKE outside REAL's range or categories.
    """

    name: str
    kind: str
    statistic: float
    low: float
    high: float
    baseline: float
    pvalue: float
    pvalue_adjusted: float
    missing_real: float
    missing_fake: float
    outside: float
    outside_baseline: float
    shift: float | None = None
    shift_baseline: float | None = None


@final
@dataclass(frozen=True)
class Copies:
    """Has the generator copied its training data? `judged` is false where the data needed were not given: see `note`.

    `closer`: share of fakes whose nearest real row, among training and held-out rows together, is a training row;
    `expected`: that share where the fakes do not depend on which were trained on, n_train / (n_train + n_holdout);
    `pvalue`: exchangeability test of the excess; `space`: where distances were taken.
    """

    judged: bool
    note: str
    space: str = ""
    n_train: int = 0
    n_holdout: int = 0
    closer: float | None = None
    closer_low: float | None = None
    closer_high: float | None = None
    closer_baseline: float | None = None
    expected: float | None = None
    pvalue: float | None = None
    duplicates: float | None = None
    duplicates_low: float | None = None
    duplicates_high: float | None = None
    duplicates_baseline: float | None = None

    def detected(self, alpha: float = 0.05) -> bool:
        return self.pvalue is not None and self.pvalue <= alpha


@final
@dataclass(frozen=True)
class Record:
    """One row worth looking at: `role` "fake-like" (a FAKE row that the classifier sees through) or "missed" (a REAL
    row of a sort that FAKE seldom has). `score` is the cross-fitted log odds of real to fake; `row` counts from 0;
    `values` holds a table's or a point's cells, `image` a small PNG as a data URI.
    """

    role: str
    row: int
    score: float
    values: Mapping[str, Any] = field(default_factory=dict)
    image: str | None = None


@final
@dataclass(frozen=True)
class Attribution:
    """How much a witness rests on one column.

    `fall`: by how much the difference of the means of psi over REAL and FAKE falls when the column is shuffled over the
    rows of both; `stderr`: its standard error over the shuffles; `share`: of the sum of all columns' positive falls.
    """

    name: str
    fall: float
    stderr: float
    share: float


@final
@dataclass(frozen=True)
class MethodPart:
    """One of several statistics that a method joins; None where it has no such number."""

    name: str
    statistic: float | None
    pvalue: float | None
    adjusted: float | None


@final
@dataclass(frozen=True)
class MethodReport:
    """What one two-sample method, asked for by name, says of the two sets. None: the method has no such figure.

    `convention`: what `statistic` is; `effect` with `effect_low, effect_high` is in the units `effect_reads`;
    `detectable`: the value of the statistic that would have been found with probability 0.8; `n_real`, `n_fake`: the
    rows tested, which `rows_read` describes; `seconds`: of the test. `parts` are the single statistics of a method that
    joins several. `features`, `records` (scored by the witness) and `regions` are read on rows that the witness was not
    fitted on; `note` says where they are missing and why.
    """

    name: str
    family: str
    convention: str
    assumes: str
    statistic: float | None
    pvalue: float | None
    effect: float | None
    effect_low: float | None
    effect_high: float | None
    effect_reads: str
    detectable: float | None
    n_real: int
    n_fake: int
    rows_read: str
    permutations: int
    seconds: float
    parts: tuple[MethodPart, ...] = ()
    features: tuple[Attribution, ...] = ()
    records: tuple[Record, ...] = ()
    regions: tuple[Region, ...] = ()
    note: str = ""


@final
@dataclass(frozen=True)
class Finding:
    """One fault, named: `sentence` says what is wrong and where.

    `pvalue` is that of its own test, `pvalue_adjusted` Holm's over all `kinds` of fault that were looked for, so that
    the chance of any finding where there is no fault is at most the comparison's alpha.
    """

    name: str
    group: str
    sentence: str
    pvalue: float
    pvalue_adjusted: float


@final
@dataclass(frozen=True)
class Omission:
    """A figure that was asked for, or belongs to the suite, and does not fit the data; `why` says what would help."""

    name: str
    why: str


@final
@dataclass(frozen=True)
class Change:
    """How a figure moved since an earlier comparison: `before` to `after`, beyond noise where `pvalue_adjusted` (Holm
    over all figures that both have) is small. `better` is None where neither way is."""

    name: str
    before: float
    after: float
    pvalue: float
    pvalue_adjusted: float
    better: bool | None


@final
@dataclass(frozen=True)
class History:
    """What moved since the comparison called `name`; `note` says what could not be held against it, and why."""

    name: str
    changes: tuple[Change, ...]
    note: str = ""


@final
@dataclass(frozen=True)
class Comparison:
    """The evidence on whether REAL and FAKE differ, by how much, where, and whether FAKE is a copy.

    `comparison["auc"]` is the `Metric` of that name. `findings`: the faults that were found, by name, the most certain
    first; `looked_for`: all that were looked for. `regions`: where the sets differ, in words, the most telling first;
    `tests`: the two-sample methods that were asked for; `left_out`: figures that do not fit; `notes`: what a reader
    should know first. Results compare equal if all that they hold does.
    """

    verdict: Verdict
    test: GlobalTest
    metrics: tuple[Metric, ...]
    columns: tuple[Column, ...]
    copies: Copies
    records: tuple[Record, ...]
    inputs: Mapping[str, Any]
    made_by: Mapping[str, Any]
    views: Mapping[str, Any] = field(default_factory=dict, repr=False)
    regions: tuple[Region, ...] = ()
    tests: tuple[MethodReport, ...] = ()
    findings: tuple[Finding, ...] = ()
    looked_for: tuple[str, ...] = ()
    left_out: tuple[Omission, ...] = ()
    notes: tuple[str, ...] = ()
    history: History | None = None

    @property
    def alpha(self) -> float:
        return float(self.inputs["alpha"])

    def __getitem__(self, name: str) -> Metric:
        for metric in self.metrics:
            if metric.name == name:
                return metric
        raise KeyError(f"no metric {name!r}; there are: {', '.join(metric.name for metric in self.metrics)}")

    def to_dict(self) -> dict[str, Any]:
        """Plain dicts, lists, strings and numbers, in the schema of the module's docstring."""
        parts = {item.name: plain(getattr(self, item.name)) for item in dataclasses.fields(self)}
        last = {"views": parts.pop("views")}  # long: after everything that people read
        return {"schema": SCHEMA} | parts | last

    @classmethod
    def from_dict(cls, data: Mapping[str, Any], *, name: str = "the comparison") -> Comparison:
        """The inverse of `to_dict`; `name` is what to call it in messages."""
        schema = data.get("schema") if isinstance(data, Mapping) else None
        if schema != SCHEMA:
            raise InputError(f"{name}: schema {schema!r} is not {SCHEMA!r}; write it anew with this version's compare")
        try:
            test = dict(data["test"], parts=tuple(build(TestPart, part) for part in data["test"]["parts"]))
            return cls(
                verdict=build(Verdict, data["verdict"]),
                test=build(GlobalTest, test),
                metrics=tuple(build(Metric, item) for item in data["metrics"]),
                columns=tuple(build(Column, item) for item in data["columns"]),
                copies=build(Copies, data["copies"]),
                records=tuple(build(Record, item) for item in data["records"]),
                inputs=dict(data["inputs"]),
                made_by=dict(data["made_by"]),
                views=dict(data["views"]),
                regions=_regions(data.get("regions", ())),
                tests=tuple(_method_report(item) for item in data.get("tests", ())),
                findings=tuple(build(Finding, item) for item in data.get("findings", ())),
                looked_for=tuple(data.get("looked_for", ())),
                left_out=tuple(build(Omission, item) for item in data.get("left_out", ())),
                notes=tuple(data.get("notes", ())),
                history=_history(data.get("history")),
            )
        except (KeyError, TypeError) as error:
            raise InputError(f"{name}: is not a whole comparison ({error}); write it anew with compare") from error

    @classmethod
    def from_json(cls, path: str | Path) -> Comparison:
        """Read what `to_json(path)` wrote."""
        try:
            data = json.loads(Path(path).read_text(encoding="utf-8"))
        except OSError as error:
            raise InputError(f"{path}: cannot be read ({error.strerror}); check the path") from error
        except ValueError as error:
            raise InputError(f"{path}: is not JSON ({error}); write it anew with compare --json") from error
        return cls.from_dict(data, name=str(path))

    def to_json(self, path: str | Path | None = None) -> str:
        """The JSON text; also written to `path`, where one is given."""
        text = json.dumps(self.to_dict(), indent=1, ensure_ascii=False, allow_nan=False)
        return written(text, path)

    def to_markdown(self, path: str | Path | None = None) -> str:
        """A summary for a pull request or a log; also written to `path`, where one is given."""
        from .markdown import markdown

        return written(markdown(self), path)

    def __repr__(self) -> str:
        verdict = self.verdict
        parts = {"findings": self.findings, "figures": self.metrics, "columns": self.columns}
        counts = ", ".join(f"{name}={len(part)}" for name, part in parts.items())
        return (
            f"Comparison({'different' if verdict.detected else 'no difference detected'}, p={verdict.pvalue:.2g}, "
            f"auc={verdict.auc:.4g} [{verdict.auc_low:.4g}, {verdict.auc_high:.4g}], {counts})"
        )

    def _repr_html_(self) -> str:
        """What a notebook shows: the verdict, the findings and the figures."""
        from ..report import card

        return card(self)

    def plot(self, what: str | None = None, **options: Any) -> Any:
        """An Altair chart: "figures" beside what real data give, "columns" by rank, a column by its name, "roc",
        "scores" or "scatter"; see `report.plot`."""
        from ..report import plot

        return plot(self, what, **options)

    def to_html(self, path: str | Path | None = None) -> str:
        """One self-contained page that needs no network and no script; also written to `path`, where one is given."""
        from ..report import html_page  # the one look upwards: a result shows itself

        return written(html_page(self), path)


def _history(data: Mapping[str, Any] | None) -> History | None:
    if data is None:
        return None
    return build(History, dict(data, changes=tuple(build(Change, item) for item in data["changes"])))


def _regions(items: Any) -> tuple[Region, ...]:
    return tuple(build(Region, dict(item, conditions=tuple(item["conditions"]))) for item in items)


def _method_report(data: Mapping[str, Any]) -> MethodReport:
    nested = {"parts": MethodPart, "features": Attribution, "records": Record}
    built: dict[str, Any] = {name: tuple(build(cls, item) for item in data[name]) for name, cls in nested.items()}
    return build(MethodReport, dict(data, **built, regions=_regions(data["regions"])))
