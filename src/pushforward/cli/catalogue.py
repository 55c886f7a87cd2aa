"""`pushforward methods`: the two-sample methods by family, and one of them at length."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import partial
from typing import Any

from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from ..evaluation.methods import check_methods
from ..twosample import METHODS, Method

WIDE = 110  # characters from which cost and assumptions have columns of their own
GIVEN = ("x", "y", "permutations", "generator", "level", "alpha", "memory_budget")  # not options: every test has them


def families() -> dict[str, dict[str, Method]]:
    """The methods by family, families and methods in the order of the table."""
    found: dict[str, dict[str, Method]] = {}
    for name, method in METHODS.items():
        found.setdefault(method.family, {})[name] = method
    return found


def described(name: str | None) -> dict[str, Any]:
    """All that is known of a method, or of every method by name."""
    if name is None:
        return {each: described(each) for each in METHODS}
    _known(name)
    method = METHODS[name]
    return {
        "family": method.family,
        "sees": method.reads,
        "convention": method.convention,
        "effect": method.effect,
        "cost": method.cost,
        "assumes": method.assumes,
        "gives": [what for what in ("test", "distance", "statistic") if getattr(method, what) is not None],
        "least_rows": method.at_least,
        "missing_values": method.missing,
        "options": options(method.test or method.distance or method.statistic),
        "about": about(method),
    }


def options(function: Callable[..., Any] | None) -> dict[str, str]:
    """The options of a method with their defaults, as Python writes them."""
    if function is None:
        return {}
    parameters = inspect.signature(function).parameters
    return {
        name: "" if item.default is inspect.Parameter.empty else repr(item.default)
        for name, item in parameters.items()
        if name not in GIVEN and item.kind is not inspect.Parameter.VAR_KEYWORD
    }


def about(method: Method) -> str:
    """The first paragraph of the docstring of whatever the method does first."""
    function = method.test or method.distance or method.statistic
    text = inspect.getdoc(function.func if isinstance(function, partial) else function) or ""
    return " ".join(text.split("\n\n")[0].split())


def print_catalogue() -> None:
    """Every method: in columns where the terminal is wide, else with cost and assumptions on a second line."""
    console = Console()
    wide = console.width >= WIDE
    table = Table(box=None, pad_edge=False, show_header=wide, header_style="dim", expand=wide)
    table.add_column("method", no_wrap=True)
    table.add_column("what it sees", ratio=5)
    if wide:
        table.add_column("cost", ratio=3)
        table.add_column("assumes", ratio=3)
    for family, methods in families().items():
        table.add_row(Text(family, style="bold"))
        for name, method in methods.items():
            label = Text(f"  {name}", style="cyan")
            if wide:
                table.add_row(
                    label, Text(method.reads), Text(method.cost, style="dim"), Text(method.assumes, style="dim")
                )
                continue
            table.add_row(label, Text(method.reads))
            table.add_row("", Text(f"cost: {method.cost}; assumes: {method.assumes}", style="dim"))
    console.print(table, highlight=False)
    console.print("\nOne at length: pushforward methods NAME. Run it: pushforward compare REAL FAKE --method NAME.")


def print_method(name: str) -> None:
    """One method at length."""
    known = described(name)
    console = Console()
    console.print(Text.assemble((name, "bold"), f"  ({known['family']})"))
    if known["about"]:
        console.print(Padding(Text(known["about"]), (0, 0, 1, 0)))
    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column(style="dim", no_wrap=True)
    table.add_column()
    for key in ("sees", "convention", "effect", "cost", "assumes"):
        table.add_row(key, Text(str(known[key])))
    table.add_row("gives", ", ".join(known["gives"]))
    table.add_row("least rows", f"{known['least_rows']} a side")
    table.add_row("missing values", "can be taken" if known["missing_values"] else "are refused")
    listed = [f"{option}={default}" if default else option for option, default in known["options"].items()]
    table.add_row("options", Text(", ".join(listed) or "none"))
    console.print(table, highlight=False)


def _known(name: str) -> None:
    check_methods([name], permutations=None, rows=None, alpha=0.05)
