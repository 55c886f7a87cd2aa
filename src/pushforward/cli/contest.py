"""`pushforward leaderboard`: several families of models on the user's data under one budget, ranked."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..errors import InputError
from .options import column_types, must_be_new
from .shared import DATA, ColumnOption, ForceOption, KindOption, SeedOption, app, command_line, terminal

if TYPE_CHECKING:
    from ..data.dataset import Dataset
    from ..evaluation.contest import Contest


@app.command()
def leaderboard(
    data: Annotated[str, typer.Argument(metavar="DATA", help=DATA)],
    models: Annotated[
        str | None,
        typer.Option(
            "--models", metavar="NAMES", help="Such as copula,trees,gan (see `models`); by default what suits DATA."
        ),
    ] = None,
    budget: Annotated[
        float, typer.Option("--budget", metavar="SECONDS", min=1.0, help="Of fitting, for all models together.")
    ] = 300.0,
    steps: Annotated[
        int | None, typer.Option("--steps", min=1, help="Of every model that is trained by steps, instead of time.")
    ] = None,
    holdout: Annotated[
        str | None, typer.Option("--holdout", metavar="DATA", help="Rows to judge by; by default a fifth of DATA.")
    ] = None,
    rows: Annotated[int, typer.Option("--rows", min=20, help="Most rows to judge by.")] = 10_000,
    metric: Annotated[
        list[str] | None,
        typer.Option("--metric", metavar="NAME", help="Measure this too (see `metrics`). May be repeated."),
    ] = None,
    target: Annotated[
        str | None, typer.Option("--target", metavar="COLUMN", help="What models learn to predict, for utility.")
    ] = None,
    by: Annotated[str, typer.Option("--by", metavar="NAME", help="The figure that orders the models.")] = "auc",
    out: Annotated[
        Path | None,
        typer.Option("--out", metavar="FOLDER", help="Keep the fitted models, the two parts of DATA and the page."),
    ] = None,
    html: Annotated[Path | None, typer.Option("--html", metavar="FILE", help="Write the page.")] = None,
    json_path: Annotated[
        Path | None, typer.Option("--json", metavar="FILE", help="Write the result as JSON; - prints it.")
    ] = None,
    markdown: Annotated[
        Path | None, typer.Option("--markdown", "--md", metavar="FILE", help="Write the result as text.")
    ] = None,
    kind: KindOption = None,
    column: ColumnOption = None,
    seed: SeedOption = 0,
    force: ForceOption = False,
) -> None:
    """Fit several models to DATA within one budget and rank them by their samples."""
    printed = json_path is not None and str(json_path) == "-"
    outputs = {"--html": html, "--markdown": markdown, "--json": None if printed else json_path, "--out FOLDER": out}
    for option, path in outputs.items():
        must_be_new(path, option, force=force)
    found = run_contest(
        data,
        holdout,
        {
            "models": None if models is None else [name.strip() for name in models.split(",") if name.strip()],
            "budget": budget,
            "steps": steps,
            "most_judged": rows,
            "metrics": metric or [],
            "target": target,
            "by": by,
            "seed": seed,
        },
        out=out,
        kind=kind.value if kind else None,
        columns=column_types(column),
        force=force,
    )
    written = _write(found, outputs, out)
    if printed:
        print(found.to_json())
    else:
        print_contest(found, written=written)


def run_contest(
    data: str,
    holdout: str | None,
    settings: dict[str, Any],
    *,
    out: Path | None,
    kind: Any,
    columns: dict[str, str] | None,
    force: bool,
) -> Contest:
    """Read, fit, judge; with `out`, the models are kept there, and the rows they were fitted to and judged by."""
    import dataclasses

    from ..data import sources
    from ..evaluation.contest import SHARE, contest

    dataset = sources.read(data, kind=kind, columns=columns)
    if out is not None:
        _make_room(out, force=force)
    if holdout is None:
        train, held = dataset.split(SHARE, seed=settings["seed"])
    else:
        train, held = dataset, sources.read(holdout, kind=dataset.kind, columns=columns)
    if out is not None:
        _keep(out, train, held, seed=settings["seed"])
    models = None if out is None else out / "models"
    found = contest(train, holdout=held, **settings, out=models, progress=True)
    made_by = {"command": command_line()}
    comparisons = {
        name: dataclasses.replace(one, made_by={**one.made_by, **made_by})
        for name, one in found.board.comparisons.items()
    }
    return dataclasses.replace(found, board=dataclasses.replace(found.board, comparisons=comparisons))


def _make_room(out: Path, *, force: bool) -> None:
    import shutil

    if out.exists() and force:
        if not out.is_dir() or (any(out.iterdir()) and not (out / "models").is_dir()):
            raise InputError(
                f"{out}: is not the folder of a leaderboard, so --force will not remove it; choose another"
            )
        shutil.rmtree(out)


def _keep(out: Path, train: Dataset, held: Dataset, *, seed: int) -> None:
    """Write both parts of the data, so that a later comparison is honest."""
    from ..data import sources
    from .options import SUFFIXES

    for name, part in (("train", train), ("holdout", held)):
        made_by = {"part": name, "of": part.name, "seed": seed}
        sources.write(part, out / "data" / f"{name}{SUFFIXES[part.kind]}", made_by=made_by, synthetic=False)


def _write(found: Contest, outputs: dict[str, Path | None], out: Path | None) -> list[Path]:
    ways = {"--html": found.to_html, "--markdown": found.to_markdown, "--json": found.to_json}
    asked = [(ways[option], path) for option, path in outputs.items() if option in ways and path is not None]
    if out is not None:
        asked += [(found.to_html, out / "leaderboard.html"), (found.to_json, out / "leaderboard.json")]
    for write, path in asked:
        write(path)
    return [path for _, path in asked]


def print_contest(found: Contest, *, written: Sequence[Path] = ()) -> None:
    """The table, what was found in each model's samples, and why some have no figures."""
    from rich.padding import Padding
    from rich.table import Table
    from rich.text import Text

    console, board, shown = terminal(), found.board, found.shown
    console.print(Text(found.sentence, style="bold"))
    console.print(
        f"{found.train:,} rows to train on, {found.judged:,} kept out to judge by; {found.budget:g} s of fitting.",
        highlight=False,
    )
    table = Table(box=None, pad_edge=False, header_style="dim")
    table.add_column("place", justify="right")
    table.add_column("model")
    for name in (board.by, "interval", *(name.replace("_", " ") for name in shown), "seconds"):
        table.add_column(name, justify="right")
    ceiling = [_number(found.ceiling(name)) for name in shown]
    table.add_row("", "real against real", _number(found.ceiling(board.by)), "", *ceiling, "", style="dim")
    for one in board.standings:
        figures = [found.figure(one.name, name) for name in shown]
        cells = [_number(None if figure is None else figure.value) for figure in figures]
        interval = f"{_number(one.low)} … {_number(one.high)}"
        seconds = f"{found.entry(one.name).seconds:.1f}"
        table.add_row(str(one.place), Text(one.name), _number(one.value), interval, *cells, seconds)
    console.print(table)
    for one in board.standings:
        for finding in board.comparisons[one.name].findings:
            told = Text.assemble((f"{one.name}: {finding.name}", "bold"), f": {finding.sentence}")
            console.print(Padding(told, (0, 0, 0, 2), expand=False), highlight=False)
    for entry in found.failed:
        console.print(Text(f"{entry.name} has no figures: {entry.why}", style="yellow"))
    for path in written:
        console.print(f"Wrote {path}.", highlight=False)


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.3g}" if abs(value) < 1000 else f"{value:,.0f}"
