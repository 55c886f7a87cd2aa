"""The commands. Each parses its words, calls one function of the library and prints what it returned."""

from __future__ import annotations

import json
import shlex
import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from .options import column_types, must_be_new

app = typer.Typer(
    name="pushforward",
    help="Learn to draw new samples from data, and tell with evidence whether two sets of samples differ.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


class KindName(StrEnum):
    points = "points"
    table = "table"
    images = "images"


class LogName(StrEnum):
    csv = "csv"
    tensorboard = "tensorboard"
    wandb = "wandb"


DATA = "a .csv, .parquet, .npy or .npz file, a folder or zip of images, or a built-in name (sample:diamonds, toy:ring)"
KindOption = Annotated[
    KindName | None, typer.Option("--kind", help="Read DATA as this kind; told from the file by default.")
]
ColumnOption = Annotated[
    list[str] | None,
    typer.Option(
        "--column",
        metavar="NAME:TYPE",
        help="Type of a column: continuous, integer, boolean, categorical or datetime. May be repeated.",
    ),
]
SeedOption = Annotated[int, typer.Option("--seed", help="Every random choice follows from it.")]
ForceOption = Annotated[bool, typer.Option("--force", help="Replace an output that exists.")]


def run(argv: list[str]) -> int:
    """Run the words `argv` and return the exit status; a user's mistake leaves as `InputError`."""
    try:
        app(args=argv, prog_name="pushforward")
    except SystemExit as stop:
        return stop.code if isinstance(stop.code, int) else 0
    return 0


def command_line() -> str:
    """The command as it was typed, for the record of how an output was made."""
    return shlex.join(["pushforward", *sys.argv[1:]])


def _version(asked: bool) -> None:
    if asked:
        from .. import __version__

        print(f"pushforward {__version__}")
        raise typer.Exit


@app.callback()
def _main(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and leave.")
    ] = False,
) -> None:
    pass


@app.command()
def demo(
    kind: Annotated[KindName, typer.Option("--kind", help="Which embedded data to take.")] = KindName.table,
    out: Annotated[Path, typer.Option("--out", help="Folder for the run, the samples and the report.")] = Path(
        "pushforward-demo"
    ),
    steps: Annotated[int | None, typer.Option("--steps", min=1, help="Fewer is quicker and worse.")] = None,
    seed: SeedOption = 0,
    force: ForceOption = False,
) -> None:
    """The main job on embedded real data: fit, sample, compare, report."""
    from .demo import run_demo

    run_demo(kind.value, out, steps=steps, seed=seed, force=force)


@app.command()
def fit(
    data: Annotated[str, typer.Argument(metavar="DATA", help=DATA)],
    out: Annotated[Path, typer.Option("--out", metavar="RUN", help="Folder for the run.")],
    model: Annotated[str, typer.Option("--model", help="What to fit: gan, score-difference or drifting.")] = "gan",
    objective: Annotated[
        str | None,
        typer.Option("--objective", help="What is played for; rpgan by default (see `objectives`)."),
    ] = None,
    regularise: Annotated[
        str | None,
        typer.Option("--regularise", metavar="NAMES", help="Such as r1+r2 or gp:10+pack:2 (see `regularisers`)."),
    ] = None,
    steps: Annotated[
        int | None, typer.Option("--steps", min=1, help="Training steps; by default from the data.")
    ] = None,
    batch_size: Annotated[int | None, typer.Option("--batch-size", min=2, help="By default from the data.")] = None,
    until: Annotated[
        str | None,
        typer.Option(
            "--until",
            metavar="indistinguishable",
            help="Let an auditor with rows of its own stop the run: when it can no longer tell, or sees no progress.",
        ),
    ] = None,
    tolerance: Annotated[
        float | None,
        typer.Option("--tolerance", min=0.5, max=1.0, help="AUC below which --until calls it indistinguishable; 0.55."),
    ] = None,
    holdout: Annotated[
        float,
        typer.Option("--holdout", min=0.0, max=0.9, help="Share of rows kept out of training, saved in RUN/data."),
    ] = 0.0,
    kind: KindOption = None,
    column: ColumnOption = None,
    log: Annotated[LogName | None, typer.Option("--log", help="Also write the history there, under RUN.")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with an interrupted RUN.")] = False,
    seed: SeedOption = 0,
    force: ForceOption = False,
) -> None:
    """Fit a generator to DATA."""
    from .work import fit_run

    if not resume:
        must_be_new(out, "--out RUN", force=force)
    status = fit_run(
        data,
        out,
        model=model,
        parameters={
            "objective": objective,
            "regularise": regularise,
            "steps": steps,
            "batch_size": batch_size,
            "until": until,
            "tolerance": tolerance,
            "seed": seed,
        },
        holdout=holdout,
        kind=kind.value if kind else None,
        columns=column_types(column),
        log=log.value if log else None,
        resume=resume,
        force=force,
    )
    raise typer.Exit(status)


@app.command()
def sample(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="Folder of a fitted model.")],
    n: Annotated[int, typer.Option("-n", min=1, help="How many to draw.")],
    out: Annotated[Path, typer.Option("--out", metavar="FILE", help="Where to write them; the ending says how.")],
    seed: Annotated[int | None, typer.Option("--seed", help="The same seed draws the same samples.")] = None,
    force: ForceOption = False,
) -> None:
    """Draw new samples from a fitted model, of the same kind as its data."""
    from .work import sample_run

    must_be_new(out, "--out FILE", force=force)
    sample_run(run, n, out, seed=seed, force=force)


@app.command()
def compare(
    real: Annotated[str, typer.Argument(metavar="REAL", help=f"The data: {DATA}.")],
    fake: Annotated[str, typer.Argument(metavar="FAKE", help="The samples to judge, of the same kind.")],
    train: Annotated[
        str | None, typer.Option("--train", metavar="DATA", help="What FAKE's model saw: to look for copies.")
    ] = None,
    holdout: Annotated[
        str | None, typer.Option("--holdout", metavar="DATA", help="More real data: the baseline.")
    ] = None,
    html: Annotated[Path | None, typer.Option("--html", metavar="FILE", help="Write the page.")] = None,
    json_path: Annotated[
        Path | None, typer.Option("--json", metavar="FILE", help="Write the result as JSON; - prints it.")
    ] = None,
    markdown: Annotated[
        Path | None, typer.Option("--markdown", metavar="FILE", help="Write the result as text.")
    ] = None,
    fail_if: Annotated[
        list[str] | None,
        typer.Option("--fail-if", metavar="EXPR", help='Exit with 1 where it holds, e.g. "auc>0.8". May be repeated.'),
    ] = None,
    method: Annotated[
        list[str] | None,
        typer.Option(
            "--method",
            metavar="NAME",
            help="Run this two-sample test too (`pushforward methods` lists them). May be repeated.",
        ),
    ] = None,
    permutations: Annotated[
        int | None, typer.Option("--permutations", min=1, help="Relabellings for --method; 999 by default.")
    ] = None,
    rows: Annotated[
        int | None,
        typer.Option("--rows", help="Most rows of each set for --method; 5,000 by default, 20,000 in the full suite."),
    ] = None,
    suite: Annotated[str, typer.Option("--suite", help="How much to measure.")] = "quick",
    alpha: Annotated[float, typer.Option("--alpha", min=1e-6, max=0.5, help="Level of the test.")] = 0.05,
    kind: KindOption = None,
    column: ColumnOption = None,
    seed: SeedOption = 0,
    force: ForceOption = False,
) -> None:
    """Tell whether, how much and where FAKE differs from REAL."""
    from .work import compare_files

    printed = json_path is not None and str(json_path) == "-"
    for path, option in ((html, "--html"), (None if printed else json_path, "--json"), (markdown, "--markdown")):
        must_be_new(path, option, force=force)
    status = compare_files(
        real,
        fake,
        train=train,
        holdout=holdout,
        html=html,
        json_path=json_path,
        markdown=markdown,
        fail_if=fail_if or [],
        suite=suite,
        alpha=alpha,
        kind=kind.value if kind else None,
        columns=column_types(column),
        seed=seed,
        command=command_line(),
        methods=method or [],
        permutations=permutations,
        rows=rows,
    )
    raise typer.Exit(status)


@app.command()
def show(
    path: Annotated[Path, typer.Argument(metavar="RUN|FILE", help="A run folder, or a file of samples.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print it as JSON.")] = False,
) -> None:
    """Print what a run is and how it went, or how a file of samples was made."""
    from .show import describe, print_description

    description = describe(path)
    if as_json:
        print(json.dumps(description, indent=2, default=str))
    else:
        print_description(description)


@app.command()
def methods(
    name: Annotated[str | None, typer.Argument(metavar="[NAME]", help="Describe this one at length.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print every field as JSON.")] = False,
) -> None:
    """List the two-sample tests by family: what each sees, what it costs, what it assumes."""
    from .catalogue import described, print_catalogue, print_method

    if as_json:
        print(json.dumps(described(name), indent=2, ensure_ascii=False))
    elif name is None:
        print_catalogue()
    else:
        print_method(name)


@app.command()
def objectives(
    as_json: Annotated[bool, typer.Option("--json", help="Print every field as JSON.")] = False,
) -> None:
    """List the training objectives: what each estimates, when exactly, and who proposed it."""
    from ..objectives import OBJECTIVES

    rows = {
        name: {"estimates": one.estimates, "exact": one.tight, "source": one.source} for name, one in OBJECTIVES.items()
    }
    print_rows("Objectives", rows, as_json=as_json)


@app.command()
def regularisers(
    as_json: Annotated[bool, typer.Option("--json", help="Print every field as JSON.")] = False,
) -> None:
    """List the regularisers of the game: what each does, what its number means, and who proposed it."""
    from ..training.regularisers import REGULARISERS

    rows = {name: {"does": one.does, "number": one.number, "source": one.source} for name, one in REGULARISERS.items()}
    print_rows("Regularisers", rows, as_json=as_json)


def print_rows(title: str, rows: dict[str, dict[str, str]], *, as_json: bool) -> None:
    """A table with one row a name, as text or as JSON."""
    from rich.console import Console
    from rich.table import Table

    if as_json:
        print(json.dumps(rows, indent=2, ensure_ascii=False))
        return
    table = Table(title=title, box=None, title_justify="left", title_style="bold", pad_edge=False)
    for column in ("name", *next(iter(rows.values()))):
        table.add_column(column, overflow="fold", style="bold" if column == "name" else "")
    for name, row in rows.items():
        table.add_row(name, *row.values())
    Console().print(table)
