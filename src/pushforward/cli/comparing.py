"""What `compare` does once its words are parsed, and how a comparison looks on a terminal."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import InputError
from .shared import terminal

if TYPE_CHECKING:
    from rich.console import Console

    from ..data.dataset import Dataset, Kind
    from ..evaluation import Comparison, Finding, Leaderboard

REGIONS = 3  # regions printed; the page and the JSON have them all


@dataclass(frozen=True)
class Request:
    """What the command line asked of `compare`: sources, outputs, gates, and the `settings` of `evaluation.compare`."""

    real: str
    fakes: Sequence[str]
    train: str | None
    holdout: str | None
    html: Path | None
    json_path: Path | None
    markdown: Path | None
    fail_if: Sequence[str]
    kind: Kind | None
    columns: Mapping[str, str] | None
    command: str
    against: Path | None
    by: str
    settings: Mapping[str, Any]


def compare_files(request: Request) -> int:
    """Compare, write what was asked for, print the rest, and return 1 where a gate failed."""
    from ..evaluation import Comparison, compare, gate
    from ..evaluation.job import bounded
    from ..evaluation.leaderboard import standings

    check_request(request)
    join_processes()
    earlier = None if request.against is None else Comparison.from_json(request.against)

    leads = os.environ.get("RANK", "0") == "0"  # under torchrun all read, and one process writes and speaks

    def read(source: str) -> Dataset:
        return bounded(
            source,
            seed=request.settings["seed"],
            most_rows=request.settings["most_rows"],
            kind=request.kind,
            columns=request.columns,
            progress=leads,
        )

    more = {"train": request.train, "holdout": request.holdout}
    given = {role: read(source) for role, source in more.items() if source is not None}
    real = read(request.real)
    results = {}
    for fake in request.fakes:
        found = compare(
            real,
            read(fake),
            train=given.get("train"),
            holdout=given.get("holdout"),
            against=earlier,
            **request.settings,
        )
        if found.history is not None:
            found = dataclasses.replace(found, history=dataclasses.replace(found.history, name=str(request.against)))
        results[fake] = dataclasses.replace(found, made_by={**found.made_by, "command": request.command})
    shown = results[request.fakes[0]] if len(results) == 1 else standings(results, by=request.by)
    failed = [
        f"{e}" if len(results) == 1 else f"{e} ({name})"
        for e in request.fail_if
        for name, one in results.items()
        if gate(one, e)
    ]
    if not leads:
        return 1 if failed else 0
    to_stdout = request.json_path is not None and str(request.json_path) == "-"
    written = {request.html: shown.to_html, request.markdown: shown.to_markdown}
    if not to_stdout:
        written[request.json_path] = shown.to_json
    paths = [path for path in written if path is not None]
    for path in paths:
        written[path](path)
    if to_stdout:
        print(shown.to_json())
    elif isinstance(shown, Comparison):
        print_comparison(shown, written=paths)
    else:
        print_leaderboard(shown, written=paths)
    errors = terminal(stderr=True)
    for expression in failed:
        errors.print(f"gate failed: {expression}", style="red", highlight=False)
    return 1 if failed else 0


def join_processes() -> None:
    """Under `torchrun`, let the processes share the reading and the sums over pairs."""
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        import torch.distributed as processes

        if not processes.is_initialized():
            processes.init_process_group("gloo")


def check_request(request: Request) -> None:
    """Whatever can be told to be wrong before the data are read."""
    from ..evaluation import check_gate
    from ..evaluation.catalogue import check_metrics
    from ..evaluation.methods import check_methods

    settings = request.settings
    methods, permutations, rows = (settings[name] for name in ("methods", "permutations", "method_rows"))
    check_methods(methods, permutations=permutations, rows=rows, alpha=settings["alpha"])
    check_metrics(settings["metrics"])
    for expression in request.fail_if:
        name = check_gate(expression)[0].partition(".")
        if name[1] and name[0] not in methods:
            raise InputError(f"--fail-if {expression!r}: method {name[0]!r} is not run; add --method {name[0]}")
    if not methods and (permutations is not None or rows is not None):
        raise InputError("--permutations and --rows belong to --method; name one, such as --method mmd")
    if len(set(request.fakes)) < len(request.fakes):
        raise InputError("the same FAKE is given twice; give each once")
    if request.by != "auc" and len(request.fakes) == 1:
        raise InputError(f"--by {request.by}: orders several FAKEs, and one is given; leave it out, or give more")


def print_leaderboard(board: Leaderboard, *, written: Sequence[Path] = ()) -> None:
    """The standings, then what was found in each."""
    from rich.padding import Padding
    from rich.table import Table
    from rich.text import Text

    console = terminal()
    console.print(Text(board.sentence, style="bold"))
    table = Table(box=None, pad_edge=False, header_style="dim")
    for name in ("place", board.by, "interval"):
        table.add_column(name, justify="right")
    table.add_column("samples")
    for one in board.standings:
        interval = "" if one.low is None else f"{one.low:.3g} … {one.high or 0.0:.3g}"
        table.add_row(str(one.place), f"{one.value:.4g}", interval, Text(one.name))
    console.print(table)
    for one in board.standings:
        comparison = board.comparisons[one.name]
        console.print(Text(one.name, style="bold"))
        for finding in comparison.findings or ():
            console.print(
                Padding(Text(f"{finding.name}: {finding.sentence}"), (0, 0, 0, 2), expand=False), highlight=False
            )
        if not comparison.findings:
            console.print(Padding(Text(comparison.verdict.sentence), (0, 0, 0, 2), expand=False), highlight=False)
    for path in written:
        console.print(f"Wrote {path}.", highlight=False)


def print_comparison(result: Comparison, *, written: Sequence[Path] = ()) -> None:
    """The verdict, the metrics beside their baselines, and the columns that differ most."""
    from rich.padding import Padding
    from rich.table import Table
    from rich.text import Text

    console = terminal()
    console.print(Text(result.verdict.sentence, style="bold"))
    for note in result.notes:
        console.print(Text(f"Note: {note}", style="yellow"))
    for finding in result.findings:
        told = Text.assemble((finding.name, "bold"), f": {finding.sentence}", (f" p {shown_p(finding)}", "dim"))
        console.print(Padding(told, (0, 0, 0, 2), expand=False), highlight=False)
    absent = [name for name in result.looked_for if name not in {finding.name for finding in result.findings}]
    if absent:
        console.print(Text(f"Looked for and not found: {', '.join(absent)}.", style="dim"))
    print_history(result, console)
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
        alone = "Looked at by themselves, " if "columns" in absent else ""
        console.print(f"{alone}{len(different)} of {len(result.columns)} columns differ: {names}", highlight=False)
    elif result.columns:
        console.print(f"No single column of {len(result.columns)} was found to differ.", highlight=False)
    if result.regions:
        console.print("Where they differ, in words:", style="bold")
        for region in result.regions[:REGIONS]:
            console.print(Padding(Text(region.text), (0, 0, 0, 2), expand=False), highlight=False)
    if result.left_out:
        left = "; ".join(f"{one.name} ({one.why})" for one in result.left_out)
        console.print(Text(f"Left out: {left}.", style="dim"))
    if result.tests:
        print_tests(result, console)
    for path in written:
        console.print(f"Wrote {path}.", highlight=False)


def shown_p(finding: Finding) -> str:
    from ..evaluation.markdown import p_text

    text = p_text(finding.pvalue_adjusted)
    return text if text.startswith("≤") else f"= {text}"


def print_history(result: Comparison, console: Console) -> None:
    """What moved since an earlier comparison, where one was given."""
    from rich.text import Text

    if result.history is None:
        return
    moved = [change for change in result.history.changes if change.pvalue_adjusted <= result.alpha]
    ways = {None: "", True: ", better", False: ", worse"}
    told = "; ".join(f"{one.name} {one.before:.4g} to {one.after:.4g}{ways[one.better]}" for one in moved)
    note = f" ({result.history.note})" if result.history.note else ""
    console.print(Text(f"Since {result.history.name}: {told or 'no figure moved beyond noise'}{note}.", style="bold"))


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
