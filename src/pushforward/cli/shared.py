"""The application, and the options that several commands share."""

from __future__ import annotations

import io
import json
import os
import re
import shlex
import sys
from enum import StrEnum
from pathlib import Path
from typing import IO, TYPE_CHECKING, Annotated, Any, TextIO, cast

import typer
from typer.core import TyperGroup

if TYPE_CHECKING:
    from rich.console import Console

PANELS = {  # the order in which help lists the commands
    "The main job": ("demo", "fit", "sample", "compare", "show"),
    "With a fitted model": ("encode", "log-prob", "translate", "guide", "distill"),
    "Beside it": ("leaderboard", "encode-features"),
    "What can be named": ("models", "objectives", "regularisers", "refinements", "metrics", "methods"),
}
WHOLE = 10_000  # characters: wider than any line
METAVARS = {bool: "", int: "N", float: "X", str: "NAME", Path: "PATH"}  # flags take no word


class Commands(TyperGroup):
    """The commands, by panels, with plain words for what their options take."""

    def __init__(self, **more: Any) -> None:
        super().__init__(**more)
        order = [name for names in PANELS.values() for name in names]
        self.commands = dict(sorted(self.commands.items(), key=lambda item: order.index(item[0])))
        for panel, names in PANELS.items():
            for name in names:
                self.commands[name].rich_help_panel = panel  # type: ignore[attr-defined]
        for command in self.commands.values():
            for param in command.params:
                if getattr(param, "metavar", "") is None:
                    param.metavar = METAVARS.get(param.type_descriptor.annotation)  # type: ignore[attr-defined]

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        command = super().get_command(ctx, cmd_name)
        asked = None if command is None else command.get_help_option(ctx)
        if asked is not None:
            asked.metavar = ""
        return command

    def list_commands(self, ctx: Any) -> list[str]:
        return list(self.commands)


app = typer.Typer(
    name="pushforward",
    cls=Commands,
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


FORMS = "a .csv, .parquet, .npy or .npz file, a folder or zip of images, or a built-in name (sample:diamonds, toy:ring)"
DATA = f"A{FORMS[1:]}."
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


def terminal(*, stderr: bool = False) -> Console:
    """What to print by. Lines are fitted to a terminal; elsewhere they stay whole, for the programs that read them."""
    from rich.console import Console

    told = Console(stderr=stderr)
    if told.is_terminal:
        return told
    width = None if "COLUMNS" in os.environ else WHOLE
    return Console(stderr=stderr, width=width, file=cast(IO[str], _Trimmed(sys.stderr if stderr else sys.stdout)))


class _Trimmed(io.TextIOBase):
    """Text on its way to a file: tables without the blanks that fill their last column."""

    def __init__(self, file: TextIO) -> None:
        self.to = file

    @property
    def encoding(self) -> str:  # type: ignore[override]
        return self.to.encoding

    def write(self, text: str) -> int:
        self.to.write(re.sub(r"[ \t]+(?=\n)", "", text))
        return len(text)

    def flush(self) -> None:
        self.to.flush()


def command_line() -> str:
    """The command as it was typed, for the record of how an output was made."""
    return shlex.join(["pushforward", *sys.argv[1:]])


def print_rows(title: str, rows: dict[str, dict[str, str]], *, as_json: bool) -> None:
    """A table with one row a name, as text or as JSON."""
    from rich.table import Table

    if as_json:
        print(json.dumps(rows, indent=2, ensure_ascii=False))
        return
    table = Table(title=title, box=None, title_justify="left", title_style="bold", pad_edge=False)
    for column in ("name", *next(iter(rows.values()))):
        table.add_column(column, overflow="fold", style="bold" if column == "name" else "")
    for name, row in rows.items():
        table.add_row(name, *row.values())
    terminal().print(table)
