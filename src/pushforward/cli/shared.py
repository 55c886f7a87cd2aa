"""The application, and the options that several commands share."""

from __future__ import annotations

import json
import shlex
import sys
from enum import StrEnum
from typing import Annotated

import typer

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


def command_line() -> str:
    """The command as it was typed, for the record of how an output was made."""
    return shlex.join(["pushforward", *sys.argv[1:]])


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
