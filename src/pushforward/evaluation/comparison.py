"""`Comparison`: what `compare` returns, and its JSON and Markdown.

The JSON is `pushforward.compare/1`. A reader of that schema finds at the top level `schema`, `verdict`, `metrics`,
`columns`, `inputs` and `made_by`; beside them stand `test`, `copies`, `records`, `regions`, `tests` and `views` (small,
pre-binned data for pictures, at most 1,500 points each). Later minor versions only add keys; a reader ignores those it
does not know, and does without those that an earlier version did not write.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar, final

from ..errors import InputError
from ..readings.regions import Region

SCHEMA = "pushforward.compare/1"
P_FLOOR = 1e-12  # an asymptotic p-value is not to be trusted further out; at the floor it reads "at most"

T = TypeVar("T")


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
class Comparison:
    """The evidence on whether REAL and FAKE differ, by how much, where, and whether FAKE is a copy.

    `comparison["auc"]` is the `Metric` of that name. `regions`: where they differ, in words, the most telling first;
    `tests`: the two-sample methods that were asked for. Results compare equal if all that they hold does.
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
        parts = {item.name: _plain(getattr(self, item.name)) for item in dataclasses.fields(self)}
        order = (
            "verdict",
            "metrics",
            "columns",
            "inputs",
            "made_by",
            "test",
            "copies",
            "records",
            "regions",
            "tests",
            "views",
        )
        return {"schema": SCHEMA} | {name: parts[name] for name in order}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any], *, name: str = "the comparison") -> Comparison:
        """The inverse of `to_dict`; `name` is what to call it in messages."""
        schema = data.get("schema") if isinstance(data, Mapping) else None
        if schema != SCHEMA:
            raise InputError(f"{name}: schema {schema!r} is not {SCHEMA!r}; write it anew with this version's compare")
        try:
            test = dict(data["test"], parts=tuple(_build(TestPart, part) for part in data["test"]["parts"]))
            return cls(
                verdict=_build(Verdict, data["verdict"]),
                test=_build(GlobalTest, test),
                metrics=tuple(_build(Metric, item) for item in data["metrics"]),
                columns=tuple(_build(Column, item) for item in data["columns"]),
                copies=_build(Copies, data["copies"]),
                records=tuple(_build(Record, item) for item in data["records"]),
                inputs=dict(data["inputs"]),
                made_by=dict(data["made_by"]),
                views=dict(data["views"]),
                regions=_regions(data.get("regions", ())),
                tests=tuple(_method_report(item) for item in data.get("tests", ())),
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
        return _written(text, path)

    def to_markdown(self, path: str | Path | None = None) -> str:
        """A summary for a pull request or a log; also written to `path`, where one is given."""
        from .markdown import markdown

        return _written(markdown(self), path)

    def to_html(self, path: str | Path | None = None) -> str:
        """One self-contained page that needs no network and no script; also written to `path`, where one is given."""
        from ..report import html_page  # the one look upwards: a result shows itself

        return _written(html_page(self), path)


def _written(text: str, path: str | Path | None) -> str:
    if path is not None:
        from ..files import write_text

        write_text(path, text)
    return text


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {item.name: _plain(getattr(value, item.name)) for item in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value


def _regions(items: Any) -> tuple[Region, ...]:
    return tuple(_build(Region, dict(item, conditions=tuple(item["conditions"]))) for item in items)


def _method_report(data: Mapping[str, Any]) -> MethodReport:
    nested = {"parts": MethodPart, "features": Attribution, "records": Record}
    built: dict[str, Any] = {name: tuple(_build(cls, item) for item in data[name]) for name, cls in nested.items()}
    return _build(MethodReport, dict(data, **built, regions=_regions(data["regions"])))


def _build(cls: type[T], data: Mapping[str, Any]) -> T:
    known = {item.name for item in dataclasses.fields(cls)}  # type: ignore[arg-type]
    return cls(**{key: value for key, value in data.items() if key in known})
