"""Every metric by name, and which of them a comparison runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from types import MappingProxyType

from ..errors import InputError
from .comparison import Metric, Omission
from .figures import Figure, LeftOut
from .job import Job

# What every comparison measures, whatever the suite: what they are and which data they fit.
ALWAYS: Mapping[str, str] = MappingProxyType(
    {
        "auc": "how well boosted trees tell fake from real on rows they did not see",
        "mmd2": "squared maximum mean discrepancy (points, images)",
        "modes": "captured modes of a built-in toy",
        "high_quality": "share of fakes within 3 sigma of a mode of a built-in toy",
        "marginals": "mean distance of the columns' distributions",
        "outside": "share of fake cells beyond what real has",
        "correlations": "mean difference of the associations of pairs of columns",
        "correlation_worst": "largest difference of the association of a pair of columns",
        "closer_to_train": "share of fakes whose nearest real row was trained on (needs --train)",
        "duplicates": "share of fakes that equal a training (real) row exactly",
    }
)


# the order of reading: is there a difference, how good, how complete, how original, how useful, and where
GROUPS = (
    "classifier",
    "distance",
    "fidelity",
    "coverage",
    "modes",
    "copies",
    "privacy",
    "utility",
    "likelihood",
    "columns",
    "correlations",
    "structure",
)


@cache
def figures() -> Mapping[str, Figure]:
    """The table of metrics: name -> `Figure`, those that a suite or `metrics=` chooses from."""
    from .classification import FIGURES as classes
    from .fidelity.figures import FIGURES as fidelity
    from .likelihood.figures import FIGURES as likelihood
    from .neighbours.figures import FIGURES as neighbours
    from .utility.figures import FIGURES as utility

    rows = (*fidelity, *neighbours, *utility, *classes, *likelihood)
    found = {row.name: row for row in rows}
    assert len(found) == len(rows), "two figures of one name"
    return MappingProxyType(found)


def check_metrics(names: Sequence[str]) -> tuple[str, ...]:
    """`names` as they are; `InputError` with the known ones if one is unknown. A name of what is always measured, or of
    a figure's by-product, stands for its figure."""
    table = figures()
    for name in names:
        if name not in table and name not in ALWAYS and not any(name in row.gives for row in table.values()):
            known = ", ".join(sorted({*table, *ALWAYS}))
            raise InputError(f"unknown metric {name!r}; known: {known}")
    return tuple(names)


def chosen(names: Sequence[str], suite: str) -> list[Figure]:
    """The figures asked for by name, else those of the suite."""
    table = figures().values()
    if names:
        return [row for row in table if row.name in names or any(name in row.gives for name in names)]
    return [row for row in table if suite in row.suites]


def measure(job: Job, rows: Sequence[Figure]) -> tuple[list[Metric], list[Omission]]:
    """The metrics of `rows`, and what was left out and why."""
    metrics: list[Metric] = []
    left: list[Omission] = []
    for row in rows:
        why = _unfit(job, row)
        if why is None:
            try:
                metrics += row.compute(job)
            except (LeftOut, InputError) as reason:
                why = str(reason)
        if why is not None:
            left.append(Omission(row.name, why))
    return metrics, left


def _unfit(job: Job, row: Figure) -> str | None:
    if job.kind not in row.kinds:
        return f"is for {' and '.join(row.kinds)}, not for {job.kind}"
    lacking = [role for role in row.needs if role not in job.data]
    if lacking:
        return f"needs {' and '.join(f'--{role}' for role in lacking)}"
    return None


def ordered(metrics: Sequence[Metric]) -> tuple[Metric, ...]:
    """By group, in the order of `GROUPS`."""
    place = {group: k for k, group in enumerate(GROUPS)}
    return tuple(sorted(metrics, key=lambda metric: place.get(metric.group, len(GROUPS))))
