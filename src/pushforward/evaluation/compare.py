"""`compare`: two sets of samples of one kind -> evidence on whether, how much and where they differ."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from .. import __version__
from ..data.dataset import Dataset
from . import associations, marginals, showcase
from .catalogue import check_metrics, chosen, measure, ordered
from .comparison import P_FLOOR, Column, Comparison, Copies, GlobalTest, Metric, TestPart, Verdict
from .discrimination import Discrimination, detectable_auc, discriminate, sequential_test
from .findings import Evidence, findings
from .frames import Frame
from .history import history
from .job import SUITES, Job, prepare, some
from .methods import check_methods, classifier_regions, run_methods
from .showcase import Judged

__all__ = ["SUITES", "compare"]

Array = NDArray[np.float64]
LEVEL = 0.95
NOUNS = {"table": "column", "points": "coordinate", "images": "picture statistic"}
PICTURES = 12  # columns whose marginals are drawn


def compare(
    real: Any,
    fake: Any,
    *,
    train: Any = None,
    holdout: Any = None,
    suite: str = "quick",
    metrics: Sequence[str] = (),
    encoder: Any = None,
    target: str | None = None,
    labels: Mapping[str, Any] | None = None,
    against: Comparison | str | Path | None = None,
    most_rows: int | None = None,
    download: bool = False,
    alpha: float = 0.05,
    seed: int = 0,
    methods: Sequence[str] = (),
    permutations: int | None = None,
    method_rows: int | None = None,
) -> Comparison:
    """Compare `real` with `fake`: anything that `data.sources.read` takes (files, names, arrays, frames, `Dataset`s).

    `train`: what FAKE's model was trained on; needed to look for copies. `holdout`: more real data, not trained on; the
    baseline of every figure, and what copies are measured against. Without it, the baseline is REAL against as many
    rows of `train`, and without that (or where `train` holds REAL's own rows) random halves of REAL.

    `suite`: which figures are measured and on how many rows (`job.SUITES`); `metrics`: names of `catalogue.figures()`
    to measure in place of the suite's. `encoder`: of images, whose features distances and classifiers then see (see
    `encoders`). `target`: the column that models learn to predict (`tstr`). `labels`: class labels of images by role,
    where the files do not hold them. `against`: an earlier comparison, or its JSON: what moved is in `history`.
    `most_rows`: of files with more rows (by default 200,000), so many are drawn uniformly while they are read in parts,
    in bounded memory; intervals are those of the rows drawn. `download`: let an encoder fetch its published weights.

    `methods`: names of two-sample methods (`pushforward.twosample.METHODS`) to run beside, each reported in `tests`
    with its own p-value, which the verdict does not use; `permutations` (999) and the cap `method_rows` of the rows of
    each set (5,000; in the full suite 20,000) are theirs.

    The verdict's p-value is exact or conservative for independent rows (`discrimination`, `marginals`): the chance of a
    wrong "detected" is at most `alpha`. The result depends on the data, the versions in `made_by` and `seed` only.

    Raises `InputError` for sets of different kinds, columns or shapes, for fewer than 20 rows, for unknown
    suites, metrics and methods, and for a method that cannot take these rows.
    """
    methods, metrics = ([names] if isinstance(names, str) else names for names in (methods, metrics))
    check_methods(methods, permutations=permutations, rows=method_rows, alpha=alpha)
    check_metrics(metrics)
    earlier = Comparison.from_json(against) if isinstance(against, str | Path) else against
    job = prepare(
        {"real": real, "fake": fake, "train": train, "holdout": holdout},
        suite=suite,
        alpha=alpha,
        seed=seed,
        encoder=encoder,
        target=target,
        labels=labels,
        most_rows=most_rows,
        download=download,
    )
    tests = run_methods(job, methods, permutations=permutations, rows=method_rows)
    rows = chosen(metrics, suite)
    measured, left_out = measure(job, rows)
    baseline = job.baseline_columns()
    columns = marginals.columns(job.frame, baseline, level=LEVEL)
    judged, reads, parts, held = _classify(job)
    parts.append(_columns_part(columns, NOUNS[job.kind]))
    always = [_auc_metric(judged.telling, _baseline_auc(job))]
    if job.kind != "table":
        part, metric = _kernels(job)
        parts.append(part)
        always.append(metric)
    test = _global(job, parts, held)
    always += showcase.modes(job, LEVEL)
    always += marginals.metrics(job.frame, columns, baseline, noun=NOUNS[job.kind], level=LEVEL)
    association_metrics, association_view = _associate(job)
    copies, copy_metrics, copy_view = showcase.copies(job, LEVEL)
    pictured = {column.name: marginals.picture(job.frame, column.name) for column in columns[:PICTURES]}
    named, looked_for = findings(Evidence(job, columns, copies))
    told = [found.sentence for found in named if "copies" in found.name]
    if told and not copies.detected(alpha):  # the shares of all fakes show nothing, and the nearest of them do
        copies = replace(copies, note=" ".join(told))
    result = Comparison(
        verdict=_verdict(test, judged.telling, copies, alpha),
        test=test,
        metrics=ordered((*always, *association_metrics, *copy_metrics, *measured)),
        columns=tuple(columns),
        copies=copies,
        records=showcase.records(job, judged),
        inputs=_inputs(job, suite, reads),
        made_by=_made_by(
            job,
            {
                "suite": suite,
                "metrics": list(metrics),
                "encoder": encoder if isinstance(encoder, str | None) else type(encoder).__name__,
                "target": target,
                "most_rows": most_rows,
                "alpha": alpha,
                "seed": seed,
                "methods": list(methods),
                "permutations": permutations,
                "method_rows": method_rows,
            },
        ),
        views={
            **judged.telling.picture(),
            "columns": pictured,
            "correlations": association_view,
            "pca": showcase.scatter(job),
            **copy_view,
        },
        regions=classifier_regions(job),
        tests=tests,
        findings=named,
        looked_for=looked_for,
        left_out=tuple(left_out),
        notes=job.notes,
    )
    if earlier is None:
        return result
    return replace(result, history=history(result, earlier, name=str(against) if against is not earlier else "before"))


def _classify(job: Job) -> tuple[Judged, str, list[TestPart], tuple[int, int]]:
    """The judged rows, what the trees saw, their test, and how many rows gave it evidence."""
    i, k = (job.sample(role, job.suite.classifier_rows, 10 + s) for s, role in enumerate(("real", "fake")))
    x, y, categorical, reads = job.features("real", i, "fake", k)
    telling = discriminate(x, y, categorical=categorical, folds=job.suite.folds, seed=job.seed, level=LEVEL)
    part, held_x, held_y = sequential_test(
        x, y, categorical=categorical, parts=job.suite.folds, permutations=job.suite.permutations, seed=job.seed
    )
    return Judged(i, k, telling), reads, [part], (held_x, held_y)


def _baseline_auc(job: Job) -> float:
    rng = np.random.default_rng([job.seed, 4])
    (a, i), (b, k) = job.baseline[0]
    i, k = some(i, job.suite.classifier_rows, rng), some(k, job.suite.classifier_rows, rng)
    x, y, categorical, _ = job.features(a, i, b, k)
    return discriminate(x, y, categorical=categorical, folds=job.suite.folds, seed=job.seed, level=LEVEL).auc


def _auc_metric(telling: Discrimination, baseline: float) -> Metric:
    reads = "how well boosted trees tell fake from real on rows they did not see: 0.5 not at all, 1 always"
    return Metric("auc", "classifier", telling.auc, telling.low, telling.high, baseline, "baseline", reads)


def _columns_part(columns: list[Column], noun: str) -> TestPart:
    least = min(columns, key=lambda column: column.pvalue_adjusted)
    reads = f"the least Holm-adjusted p-value of single {noun}s, {len(columns)} in all: {least.name}"
    return TestPart("columns", least.statistic, least.pvalue_adjusted, reads)


def _kernels(job: Job) -> tuple[TestPart, Metric]:
    """The aggregated kernel test, and MMD^2 at one bandwidth as a figure beside its baseline."""
    from ..twosample import distance, two_sample

    most, relabellings = job.suite.kernel_rows, min(job.suite.permutations, 999)
    rng = np.random.default_rng([job.seed, 5])
    (a, i), (b, k) = job.baseline[0]

    def rows(role: str, index: NDArray[np.int64]) -> torch.Tensor:
        return torch.from_numpy(job.space.rows[role][index]).float()

    x, y = rows("real", job.sample("real", most, 30)), rows("fake", job.sample("fake", most, 31))
    found = two_sample(x, y, "mmd-agg", permutations=relabellings, seed=job.seed)
    effect = distance(x, y, "mmd", seed=job.seed)
    baseline = distance(rows(a, some(i, most, rng)), rows(b, some(k, most, rng)), "mmd", seed=job.seed)
    reads = f"kernels of many widths, joined, in the space of {job.space.reads}; {relabellings} relabellings"
    metric = Metric(
        "mmd2", "distance", effect.value, effect.low, effect.high, baseline.value, "lower",
        f"squared maximum mean discrepancy, unbiased, of {job.space.reads}",
    )  # fmt: skip
    return TestPart("kernels", found.statistic, found.pvalue, reads), metric


def _global(job: Job, parts: list[TestPart], held: tuple[int, int]) -> GlobalTest:
    pvalue = min(1.0, len(parts) * min(part.pvalue for part in parts))
    power = detectable_auc(*held, alpha=job.alpha / len(parts))
    method = f"Bonferroni over {', '.join(part.name for part in parts)}"
    return GlobalTest(method, pvalue, tuple(parts), power, len(job.data["real"]), len(job.data["fake"]))


def _verdict(test: GlobalTest, telling: Discrimination, copies: Copies, alpha: float) -> Verdict:
    """The sentence: what was found, or what would have been; never "they are the same"."""
    p = f"p ≤ {P_FLOOR * len(test.parts):.0e}" if test.pvalue <= P_FLOOR * len(test.parts) else f"p = {test.pvalue:.2g}"
    figures = f"{p}, AUC = {telling.auc:.3f} [{telling.low:.3f}, {telling.high:.3f}]"
    detected = test.detected(alpha)
    if detected:
        least = min(test.parts, key=lambda part: part.pvalue)
        where = {"classifier": "", "columns": "; it shows in single columns", "kernels": "; it shows in kernel means"}
        sentence = f"A difference was detected ({figures}{where[least.name] if telling.low <= 0.5 else ''})."
    else:
        sentence = (
            f"No difference was detected at n = {test.n_x:,} real and {test.n_y:,} fake ({figures}); "
            f"a difference of AUC {test.detectable_auc:.3f} would have been found with probability 0.8."
        )
    if copies.detected(alpha):
        sentence += (
            f" The fakes lie too near to the training rows: they may be copies ({copies.closer:.1%} are nearest to "
            f"one, {copies.expected:.1%} would be without copying)."
        )
    return Verdict(detected, test.pvalue, telling.auc, telling.low, telling.high, sentence)


def _associate(job: Job) -> tuple[list[Metric], dict[str, Any]]:
    if len(job.frame.names) < 2 or job.kind == "images":
        return [], {}
    most = job.suite.association_rows
    rows = {role: job.frame.rows[role][job.sample(role, most, 20 + s)] for s, role in enumerate(("real", "fake"))}
    rng = np.random.default_rng([job.seed, 6])
    for (role, index), name in zip(job.baseline[0], ("first", "second"), strict=True):
        rows[name] = job.frame.rows[role][some(index, most, rng)]
    found = associations.associations(Frame(job.frame.names, job.frame.kinds, job.frame.levels, rows))
    return associations.metrics_and_view(found, [(found.value["first"], found.value["second"])], level=LEVEL)


def _inputs(job: Job, suite: str, reads: str) -> dict[str, Any]:
    described: dict[str, Any] = {"kind": job.kind, "alpha": job.alpha, "level": LEVEL, "suite": suite}
    for role in ("real", "fake", "train", "holdout"):
        described[role] = _described(job.data.get(role))
    caps = asdict(job.suite)
    caps["rows_judged"] = {role: min(len(job.data[role]), job.suite.classifier_rows) for role in ("real", "fake")}
    return described | {
        "columns": len(job.frame.names),
        "baseline": job.baseline_reads,
        "classifier_sees": reads,
        "distances_in": job.space.reads,
        "caps": caps,
    }


def _described(dataset: Dataset | None) -> dict[str, Any] | None:
    if dataset is None:
        return None
    made_by = None if dataset.made_by is None else {str(k): _jsonable(v) for k, v in dataset.made_by.items()}
    described = {"name": dataset.name, "rows": len(dataset), "made_by": made_by}
    return described if dataset.sampled is None else described | {"sampled": dict(dataset.sampled)}


def _jsonable(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _jsonable(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_jsonable(item) for item in value]
    return value if value is None or isinstance(value, bool | int | str) else _finite(value)


def _finite(value: Any) -> Any:
    return float(value) if isinstance(value, float) and np.isfinite(value) else str(value)


def _made_by(job: Job, asked: Mapping[str, Any]) -> dict[str, Any]:
    names = ", ".join(
        f"{role}={job.data[role].name!r}" if role in ("train", "holdout") else repr(job.data[role].name)
        for role in ("real", "fake", "train", "holdout")
        if role in job.data
    )
    settings = "".join(f", {name}={value!r}" for name, value in asked.items() if value not in (None, []))
    packages = ("numpy", "scipy", "scikit-learn", "torch", "polars")
    return {
        "version": __version__,
        "seed": job.seed,
        "command": f"pushforward.compare({names}{settings})",
        "versions": {name: version(name) for name in packages},
    }
