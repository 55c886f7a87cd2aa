"""What `fit`, `sample` and `compare` do once their words are parsed."""

from __future__ import annotations

import dataclasses
import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console

from ..errors import InputError
from .options import SUFFIXES

if TYPE_CHECKING:
    from ..data.dataset import Dataset, Kind
    from ..evaluation import Comparison

INTERRUPTED = 130
AUDITED = 0.2  # share held out for --until where --holdout says nothing
REGIONS = 3  # regions printed; the page and the JSON have them all


def models_by_name() -> dict[str, type]:
    from ..models import GAN, Drifting, ScoreDifference

    return {"gan": GAN, "score-difference": ScoreDifference, "drifting": Drifting}


def clear_run(path: Path) -> None:
    """Remove an earlier run at `path`; refuse a folder that is none, whatever `--force` says."""
    if not path.exists():
        return
    ours = ("model.json", "checkpoints", "run/model.json")
    if not path.is_dir() or (any(path.iterdir()) and not any((path / name).exists() for name in ours)):
        raise InputError(f"{path}: is not a run folder, so --force will not remove it; choose another --out")
    shutil.rmtree(path)


def fit_run(
    data: str,
    out: Path,
    *,
    model: str,
    parameters: Mapping[str, Any],
    holdout: float,
    kind: Kind | None,
    columns: Mapping[str, str] | None,
    log: str | None,
    resume: bool,
    force: bool,
) -> int:
    """Fit, save in the folder `out`, and return the exit status (130 where the user stopped it)."""
    from ..data import sources
    from ..objectives import objective
    from ..training.regularisers import parse

    known = models_by_name()
    if model not in known:
        raise InputError(f"--model {model}: no such model; known: {', '.join(sorted(known))}")
    named = {name: value for name, value in parameters.items() if value is not None}
    for name in named:
        if name not in known[model].parameter_names():  # type: ignore[attr-defined]
            raise InputError(
                f"--{name.replace('_', '-')} is not for --model {model}; leave it out, or take --model gan"
            )
    # unknown names are told before the data are read
    objective(named.get("objective", "rpgan"))
    parse(named.get("regularise", "none"))
    dataset = sources.read(data, kind=kind, columns=columns)
    held = None
    if named.get("until") and not holdout:
        holdout = AUDITED  # the auditor needs rows; kept in RUN/data like any holdout
    if holdout > 0:
        dataset, held = dataset.split(holdout, seed=parameters["seed"])
    estimator = known[model](**named)
    leads = os.environ.get("RANK", "0") == "0"  # under torchrun one process writes and speaks for all
    if force and not resume and leads:
        clear_run(out)
    try:
        estimator.fit(dataset, holdout=held, out=out, resume=resume, log=log, progress=leads)
    except KeyboardInterrupt:  # later ones are caught by the loop, which saves
        Console(stderr=True).print("Stopped before the first step: there is nothing to save yet.")
        return INTERRUPTED
    if not leads:
        return INTERRUPTED if estimator.interrupted_ else 0
    if held is not None:
        _keep_parts(out / "data", {"train": dataset, "holdout": held}, share=holdout, seed=parameters["seed"])
    console = Console()
    if estimator.interrupted_:
        console.print(
            f"Stopped at step {estimator.steps_done_:,}; go on by the same command with --resume.", highlight=False
        )
        return INTERRUPTED
    if estimator.closing_:
        console.print(estimator.closing_["sentence"], highlight=False)
    console.print(
        f"Fitted and saved in {out}. Draw from it: pushforward sample {out} -n 1000 --out FILE", highlight=False
    )
    return 0


def _keep_parts(folder: Path, parts: Mapping[str, Dataset], *, share: float, seed: int) -> None:
    """Write which rows were trained on and which were not, once, so that a later `compare` is honest."""
    from ..data import sources

    for name, part in parts.items():
        path = folder / f"{name}{SUFFIXES[part.kind]}"
        if not path.exists():
            sources.write(
                part, path, made_by={"part": name, "of": part.name, "share": share, "seed": seed}, synthetic=False
            )


def sample_run(run: Path, n: int, out: Path, *, seed: int | None, force: bool) -> None:
    """Draw `n` samples from the model in `run` and write them to `out`, with how they were made."""
    from ..data import sources
    from ..models import load

    dataset = load(run).sample_dataset(n, seed=seed)
    sources.write(dataset, out, made_by=dataset.made_by, force=force)
    Console().print(f"Wrote {n:,} samples to {out}.", highlight=False)


def compare_files(
    real: str,
    fake: str,
    *,
    train: str | None,
    holdout: str | None,
    html: Path | None,
    json_path: Path | None,
    markdown: Path | None,
    fail_if: Sequence[str],
    suite: str,
    alpha: float,
    kind: Kind | None,
    columns: Mapping[str, str] | None,
    seed: int,
    command: str,
    methods: Sequence[str] = (),
    permutations: int | None = None,
    rows: int | None = None,
) -> int:
    """Compare, write what was asked for, print the rest, and return 1 where a gate failed."""
    from ..data import sources
    from ..evaluation import check_gate, compare, gate
    from ..evaluation.methods import check_methods

    check_methods(methods, permutations=permutations, rows=rows, alpha=alpha)
    for expression in fail_if:
        name = check_gate(expression)[0].partition(".")
        if name[1] and name[0] not in methods:
            raise InputError(f"--fail-if {expression!r}: method {name[0]!r} is not run; add --method {name[0]}")
    if not methods and (permutations is not None or rows is not None):
        raise InputError("--permutations and --rows belong to --method; name one, such as --method mmd")
    read = {
        role: sources.read(source, kind=kind, columns=columns)
        for role, source in (("real", real), ("fake", fake), ("train", train), ("holdout", holdout))
        if source is not None
    }
    result = compare(
        read["real"],
        read["fake"],
        train=read.get("train"),
        holdout=read.get("holdout"),
        suite=suite,
        alpha=alpha,
        seed=seed,
        methods=methods,
        permutations=permutations,
        method_rows=rows,
    )
    result = dataclasses.replace(result, made_by={**result.made_by, "command": command})
    failed = [expression for expression in fail_if if gate(result, expression)]
    if html is not None:
        result.to_html(html)
    if markdown is not None:
        result.to_markdown(markdown)
    to_stdout = json_path is not None and str(json_path) == "-"
    if json_path is not None and not to_stdout:
        result.to_json(json_path)
    if to_stdout:
        print(result.to_json())
    else:
        print_comparison(result, written=[path for path in (html, json_path, markdown) if path is not None])
    errors = Console(stderr=True)
    for expression in failed:
        errors.print(f"gate failed: {expression}", style="red", highlight=False)
    return 1 if failed else 0


def print_comparison(result: Comparison, *, written: Sequence[Path] = ()) -> None:
    """The verdict, the metrics beside their baselines, and the columns that differ most."""
    from rich.padding import Padding
    from rich.table import Table
    from rich.text import Text

    console = Console()
    console.print(Text(result.verdict.sentence, style="bold"))
    table = Table(box=None, pad_edge=False, header_style="dim")
    table.add_column("metric")
    for name in ("value", "interval", "real vs real"):
        table.add_column(name, justify="right")
    room = console.width >= 120  # what a figure means is in the report; here only where it fits on the line
    if room:
        table.add_column("reads")
    for metric in result.metrics:
        interval = "" if metric.low is None else f"{metric.low:.3g} … {metric.high:.3g}"
        baseline = "" if metric.baseline is None else f"{metric.baseline:.4g}"
        cells = [metric.name, f"{metric.value:.4g}", interval, baseline]
        table.add_row(*cells, *([Text(metric.reads, style="dim")] if room else []))
    console.print(table)
    different = [column for column in result.columns if column.pvalue_adjusted <= result.alpha]
    if different:
        names = ", ".join(f"{column.name} ({column.statistic:.3g})" for column in different[:8])
        console.print(f"{len(different)} of {len(result.columns)} columns differ: {names}", highlight=False)
    elif result.columns:
        console.print(f"No single column of {len(result.columns)} was found to differ.", highlight=False)
    if result.regions:
        console.print("Where they differ, in words:", style="bold")
        for region in result.regions[:REGIONS]:
            console.print(Padding(Text(region.text), (0, 0, 0, 2), expand=False), highlight=False)
    if result.tests:
        print_tests(result, console)
    for path in written:
        console.print(f"Wrote {path}.", highlight=False)


def print_tests(result: Comparison, console: Console) -> None:
    """The two-sample methods that were asked for: a line of figures each, then what it says of where."""
    from rich.padding import Padding
    from rich.table import Table
    from rich.text import Text

    from ..evaluation.markdown import method_words, p_text

    console.print(Text(f"Two-sample tests on {result.tests[0].rows_read}", style="bold"))
    table = Table(box=None, pad_edge=False, header_style="dim")
    table.add_column("method")
    for name in ("statistic", "p", "effect", "interval", "detectable", "seconds"):
        table.add_column(name, justify="right")
    for test in result.tests:
        interval = "" if test.effect_low is None else f"{test.effect_low:.3g} … {test.effect_high or 0.0:.3g}"
        p = "" if test.pvalue is None else p_text(test.pvalue)
        figures = (test.statistic, test.effect, test.detectable)
        statistic, effect, detectable = ("" if value is None else f"{value:.3g}" for value in figures)
        table.add_row(test.name, statistic, p, effect, interval, detectable, f"{test.seconds:.2g}")
    console.print(table)
    for test in result.tests:
        drawn = f", {test.permutations:,} permutations" if test.permutations else ""
        told = f"{test.name}: {test.convention}{drawn}; effect: {test.effect_reads}"
        console.print(Text(told, style="dim"))
        for line in method_words(test, result.alpha):
            console.print(Padding(Text(line), (0, 0, 0, 2), expand=False))
