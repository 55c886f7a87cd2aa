"""The commands that fit, draw and list. Each parses its words, calls one function of the library and prints what it
returned; those that judge stand in `judging`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from . import contest as contest
from . import encoding as encoding
from . import improving as improving
from . import judging as judging  # its commands join the application
from . import likelihood as likelihood
from . import translating as translating
from .options import column_types, must_be_new
from .shared import (
    DATA,
    ColumnOption,
    ForceOption,
    KindName,
    KindOption,
    LogName,
    SeedOption,
    app,
    print_rows,
    terminal,
)

MODEL, GIVEN, LENGTH = "What is fitted", "Beside the data", "How long"  # panels of the options of `fit`


def run(argv: list[str]) -> int:
    """Run the words `argv` and return the exit status; a user's mistake leaves as `InputError`."""
    try:
        app(args=argv, prog_name="pushforward")
    except SystemExit as stop:
        return stop.code if isinstance(stop.code, int) else 0
    return 0


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
    model: Annotated[
        str | None,
        typer.Option(
            "--model",
            rich_help_panel=MODEL,
            help="What to fit, by its name (see `models`). By default auto for a table (the best of several), "
            "flow-matching for points, gan for images; gan, where an option is of games.",
        ),
    ] = None,
    objective: Annotated[
        str | None,
        typer.Option(
            "--objective", rich_help_panel=MODEL, help="What is played for; rpgan by default (see `objectives`)."
        ),
    ] = None,
    regularise: Annotated[
        str | None,
        typer.Option(
            "--regularise",
            rich_help_panel=MODEL,
            metavar="NAMES",
            help="Such as r1+r2 or gp:10+pack:2 (see `regularisers`).",
        ),
    ] = None,
    given: Annotated[
        list[str] | None,
        typer.Option(
            "--given",
            rich_help_panel=GIVEN,
            metavar="COLUMN|FILE",
            help="Learn the rest given this column (again for more); beside images or points, a file of labels or "
            "vectors, or `label` for the classes of an image folder.",
        ),
    ] = None,
    conditioning: Annotated[
        str | None,
        typer.Option(
            "--conditioning",
            rich_help_panel=GIVEN,
            help="How --given works: concat, projection, auxiliary, film, joined by +.",
        ),
    ] = None,
    balance: Annotated[
        float | None,
        typer.Option(
            "--balance",
            rich_help_panel=GIVEN,
            min=0.0,
            max=1.0,
            help="From 0, as in the data, to 1, all given levels alike.",
        ),
    ] = None,
    to: Annotated[
        str | None,
        typer.Option(
            "--to", rich_help_panel=GIVEN, metavar="DATA", help="For cyclegan and pix2pix: the domain to translate to."
        ),
    ] = None,
    labels: Annotated[
        str | None,
        typer.Option(
            "--labels",
            rich_help_panel=GIVEN,
            metavar="COLUMN|FILE",
            help="For simclr: classes whose rows belong together; or `label` for those of an image folder.",
        ),
    ] = None,
    steps: Annotated[
        int | None,
        typer.Option("--steps", rich_help_panel=LENGTH, min=1, help="Training steps; by default from the data."),
    ] = None,
    time_budget: Annotated[
        float | None,
        typer.Option(
            "--time-budget",
            rich_help_panel=LENGTH,
            metavar="SECONDS",
            min=1.0,
            help="About so many, instead of --steps; with auto, for all.",
        ),
    ] = None,
    batch_size: Annotated[
        int | None, typer.Option("--batch-size", rich_help_panel=LENGTH, min=2, help="By default from the data.")
    ] = None,
    setting: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            rich_help_panel=MODEL,
            metavar="NAME=VALUE",
            help="Any other setting of the model (again for more), see `models NAME`.",
        ),
    ] = None,
    until: Annotated[
        str | None,
        typer.Option(
            "--until",
            rich_help_panel=LENGTH,
            metavar="indistinguishable",
            help="Let an auditor with rows of its own stop the run: when it can no longer tell, or sees no progress.",
        ),
    ] = None,
    tolerance: Annotated[
        float | None,
        typer.Option(
            "--tolerance",
            rich_help_panel=LENGTH,
            min=0.5,
            max=1.0,
            help="AUC below which --until calls it indistinguishable; 0.55.",
        ),
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
            "conditioning": conditioning,
            "balance": balance,
            "steps": steps,
            "time_budget": time_budget,
            "batch_size": batch_size,
            "until": until,
            "tolerance": tolerance,
            "seed": seed,
        },
        holdout=holdout,
        kind=kind.value if kind else None,
        columns=column_types(column),
        given=given,
        to=to,
        labels=labels,
        settings=setting,
        log=log.value if log else None,
        resume=resume,
        force=force,
    )
    raise typer.Exit(status)


@app.command()
def sample(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="Folder of a fitted model.")],
    out: Annotated[Path, typer.Option("--out", metavar="FILE", help="Where to write them; the ending says how.")],
    n: Annotated[int | None, typer.Option("-n", min=1, help="How many to draw.")] = None,
    given: Annotated[
        list[str] | None,
        typer.Option(
            "--given",
            metavar="COLUMN=VALUE",
            help="What they are to meet (again for more): cut=Ideal, cut=Ideal|Fair, 'price>5000', price=100..200, "
            "cut=Ideal:.5|Fair:.5; or a file of conditions, one for each; for an imputer, rows with holes to fill.",
        ),
    ] = None,
    refine: Annotated[
        str | None,
        typer.Option("--refine", metavar="NAME", help="Let the critic improve them: mh, drs, ... (see `refinements`)."),
    ] = None,
    real: Annotated[
        str | None,
        typer.Option(
            "--real", metavar="DATA", help="Rows to calibrate the critic by; by default those that RUN holds out."
        ),
    ] = None,
    guidance: Annotated[
        float | None,
        typer.Option("--guidance", min=0.0, help="Of a diffusion given something: by how much that is exaggerated."),
    ] = None,
    seed: Annotated[int | None, typer.Option("--seed", help="The same seed draws the same samples.")] = None,
    force: ForceOption = False,
) -> None:
    """Draw new samples from a fitted model, of the same kind as its data."""
    from .work import sample_run

    must_be_new(out, "--out FILE", force=force)
    sample_run(run, n, out, given=given, refine=refine, real=real, guidance=guidance, seed=seed, force=force)


@app.command()
def show(
    path: Annotated[Path, typer.Argument(metavar="RUN|FILE", help="A run folder, or a file of samples.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print it as JSON.")] = False,
    html: Annotated[
        Path | None, typer.Option("--html", metavar="FILE", help="Write a page with pictures of all the run can do.")
    ] = None,
    data: Annotated[
        list[str] | None,
        typer.Option(
            "--data",
            metavar="DATA",
            help="Real rows for --html; by default those that RUN holds out. Twice for a translator: rows of A, of B.",
        ),
    ] = None,
    force: ForceOption = False,
) -> None:
    """Print what a run is and how it went, or how a file of samples was made; --html draws a run."""
    from .show import describe, print_description, write_page

    if html is not None or data:
        write_page(path, html, data, force=force)
        if not as_json:
            return
    description = describe(path)
    if as_json:
        print(json.dumps(description, indent=2, default=str))
    else:
        print_description(description)


@app.command()
def models(
    name: Annotated[str | None, typer.Argument(metavar="NAME", help="One of them: its settings, explained.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print every field as JSON.")] = False,
) -> None:
    """List the models: what each is, and what it can do beside fit and sample; or explain one."""
    from ..models import NAMES, WHAT, by_name

    if name is not None:
        explain(name, as_json=as_json)
        return
    more = ("sample", "log_prob", "encode", "decode", "reconstruct", "translate", "fill", "features")
    rows = {}
    for one in NAMES:
        family = by_name(one)
        rows[one] = {"is": WHAT[one], "can": ", ".join(name for name in more if hasattr(family, name))}
    print_rows("Models", rows, as_json=as_json)


def explain(name: str, *, as_json: bool) -> None:
    """Print what the model `name` is, and its settings with their defaults."""
    import inspect

    from ..models import WHAT, by_name
    from .settings import lead, meanings

    family = by_name(name)
    defaults = {one: p.default for one, p in inspect.signature(family).parameters.items()}
    said = meanings(family)
    if as_json:
        told = {"name": name, "is": WHAT[name], "settings": defaults, "meanings": said}
        print(json.dumps(told, indent=2, default=str))
        return
    console = terminal()
    console.print(f"{name}: {WHAT[name]}", style="bold", highlight=False, markup=False)
    console.print(f"{lead(family)}\n", highlight=False, markup=False)
    rows = {one: {"default": json.dumps(value, default=str), "means": said[one]} for one, value in defaults.items()}
    print_rows("Settings, for fit --set NAME=VALUE", rows, as_json=False)


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


@app.command()
def refinements(
    as_json: Annotated[bool, typer.Option("--json", help="Print every field as JSON.")] = False,
) -> None:
    """List the ways in which a critic may improve samples: what each does, and who proposed it."""
    from ..models.refine import METHODS

    print_rows(
        "Refinements",
        {name: {"does": one.does, "source": one.source} for name, one in METHODS.items()},
        as_json=as_json,
    )
