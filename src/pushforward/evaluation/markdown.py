"""A comparison as Markdown: for a pull request, a log, a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .comparison import P_FLOOR, Comparison, MethodReport

if TYPE_CHECKING:
    from .contest import Contest
    from .leaderboard import Leaderboard

REGIONS = 8  # regions that are written out
WAYS = {"lower": " ↓", "higher": " ↑"}


def p_text(p: float) -> str:
    """`p` with two digits, or the floor below which an approximation is not followed."""
    return f"≤ {P_FLOOR:.0e}" if p <= P_FLOOR else f"{p:.2g}"


def markdown(comparison: Comparison) -> str:
    """The verdict, the metrics beside their baselines, the ten columns that differ most, and the word on copies."""
    inputs = comparison.inputs
    lines = [
        f"## {_cell(inputs['real']['name'])} and {_cell(inputs['fake']['name'])}",
        "",
        comparison.verdict.sentence,
        "",
    ]
    lines += first_screen(comparison)
    lines += ["| group | metric | value | interval | real vs real | reads |", "|---|---|---|---|---|---|"]
    for metric in comparison.metrics:
        interval = "" if metric.low is None else f"{metric.low:.4g} … {metric.high:.4g}"
        baseline = "" if metric.baseline is None else f"{metric.baseline:.4g}"
        name = metric.name + WAYS.get(metric.direction, "")
        lines.append(
            f"| {metric.group} | {name} | {metric.value:.4g} | {interval} | {baseline} | {_cell(metric.reads)} |"
        )
    if comparison.left_out:
        lines += ["", "Left out: " + "; ".join(f"{one.name} ({_cell(one.why)})" for one in comparison.left_out) + "."]
    lines += _history(comparison)
    if comparison.regions:
        lines += ["", "Where they differ, in words:", ""]
        lines += [f"- {_cell(region.text)}" for region in comparison.regions[:REGIONS]]
    if comparison.columns:
        lines += [
            "",
            "| column | kind | distance | interval | real vs real | adjusted p |",
            "|---|---|---|---|---|---|",
        ]
    for column in comparison.columns[:10]:
        lines.append(
            f"| {_cell(column.name)} | {column.kind} | {column.statistic:.4g} | {column.low:.4g} … {column.high:.4g} "
            f"| {column.baseline:.4g} | {p_text(column.pvalue_adjusted)} |"
        )
    if len(comparison.columns) > 10:
        lines += ["", f"and {len(comparison.columns) - 10} more columns."]
    lines += _tests(comparison)
    lines += ["", comparison.copies.note, ""]
    made = comparison.made_by
    lines.append(f"Baseline: {inputs['baseline']}. pushforward {made['version']}, seed {made['seed']}.")
    return "\n".join(lines) + "\n"


def first_screen(comparison: Comparison) -> list[str]:
    """Notes, the faults by name, and what was looked for and not found; ends in an empty line where there are any."""
    lines = [f"**Note:** {_cell(note)}" for note in comparison.notes]
    lines += [
        f"- **{found.name}**: {_cell(found.sentence)} (p {p_text(found.pvalue_adjusted)})"
        for found in comparison.findings
    ]
    named = {found.name for found in comparison.findings}
    absent = [name for name in comparison.looked_for if name not in named]
    if absent:
        lines += ["", f"Looked for and not found: {', '.join(absent)}."]
    return [*lines, ""] if lines else []


def _history(comparison: Comparison) -> list[str]:
    past = comparison.history
    if past is None:
        return []
    moved = [change for change in past.changes if change.pvalue_adjusted <= comparison.alpha]
    told = (
        f"{len(moved)} of {len(past.changes)} figures moved beyond noise" if moved else "no figure moved beyond noise"
    )
    lines = ["", f"Since {_cell(past.name)}: {told}{f' ({_cell(past.note)})' if past.note else ''}."]
    for change in moved:
        way = "" if change.better is None else ", better" if change.better else ", worse"
        lines.append(
            f"- {change.name}: {change.before:.4g} to {change.after:.4g}{way} (p {p_text(change.pvalue_adjusted)})"
        )
    return lines


def leaderboard_markdown(board: Leaderboard) -> str:
    """The table of several FAKEs, and the first screen of each."""
    lines = ["## Leaderboard", "", board.sentence, ""]
    lines += [f"| place | samples | {board.by} | interval | findings |", "|---|---|---|---|---|"]
    for standing in board.standings:
        named = ", ".join(found.name for found in board.comparisons[standing.name].findings)
        interval = f"{number(standing.low)} … {number(standing.high)}"
        lines.append(f"| {standing.place} | {_cell(standing.name)} | {standing.value:.4g} | {interval} | {named} |")
    lines += ["", "Places are shared where the difference is within noise (Holm over all pairs).", ""]
    for standing in board.standings:
        one = board.comparisons[standing.name]
        lines += [f"### {_cell(standing.name)}", "", one.verdict.sentence, "", *first_screen(one)]
    return "\n".join(lines) + "\n"


def contest_markdown(found: Contest) -> str:
    """The table of models, with the ceiling and those that have no figures, and the first screen of each."""
    board, shown = found.board, found.shown
    lines = [f"## Models of {_cell(found.data)}", "", found.sentence, ""]
    lines += [
        f"{found.train:,} rows to train on, {found.judged:,} kept out to judge by; {found.budget:g} s of fitting in "
        f"all; seed {found.seed}.",
        "",
        f"| place | model | {board.by} | interval | {' | '.join(shown)} | seconds | findings |",
        "|---|---|---|---|" + "---|" * len(shown) + "---|---|",
    ]
    ceiling = " | ".join(number(found.ceiling(name)) for name in shown)
    lines.append(f"| | real against real | {number(found.ceiling(board.by))} | | {ceiling} | | |")
    for one in board.standings:
        figures = [found.figure(one.name, name) for name in shown]
        cells = " | ".join("" if figure is None else number(figure.value) for figure in figures)
        named = ", ".join(finding.name for finding in board.comparisons[one.name].findings)
        lines.append(
            f"| {one.place} | {_cell(one.name)} | {one.value:.4g} | {number(one.low)} … {number(one.high)} "
            f"| {cells} | {found.entry(one.name).seconds:.1f} | {named} |"
        )
    lines += ["", "Places are shared where the difference is within noise (Holm over all pairs).", ""]
    lines += [f"- {_cell(entry.name)} has no figures: {_cell(entry.why)}" for entry in found.failed]
    lines += [
        f"- likelihood of {_cell(entry.name)}: {_cell(entry.likelihood)}" for entry in found.entries if entry.likelihood
    ]
    for one in board.standings:
        comparison = board.comparisons[one.name]
        lines += ["", f"### {_cell(one.name)}", "", comparison.verdict.sentence, "", *first_screen(comparison)]
    return "\n".join(lines) + "\n"


def _tests(comparison: Comparison) -> list[str]:
    """The two-sample methods that were asked for: a table, then what each says of where."""
    if not comparison.tests:
        return []
    lines = ["", "| test | statistic | p | effect | interval | convention |", "|---|---|---|---|---|---|"]
    for test in comparison.tests:
        interval = "" if test.effect_low is None else f"{test.effect_low:.4g} … {number(test.effect_high)}"
        p = "" if test.pvalue is None else p_text(test.pvalue)
        effect = f"{number(test.effect)} ({_cell(test.effect_reads)})"
        lines.append(
            f"| {test.name} | {number(test.statistic)} | {p} | {effect} | {interval} | {_cell(test.convention)} |"
        )
    for test in comparison.tests:
        lines += ["", f"{test.name}: {_cell(test.rows_read)}."]
        lines += [f"- {_cell(line)}" for line in method_words(test, comparison.alpha)]
    return lines


def number(value: float | None) -> str:
    """Four digits; empty where there is none."""
    return "" if value is None else f"{value:.4g}"


def method_words(test: MethodReport, alpha: float, *, most: int = 3) -> list[str]:
    """What a method says of how much would have been found, of the columns, its parts and the regions; a line each."""
    lines = []
    found = test.pvalue is not None and test.pvalue <= alpha
    if test.detectable is not None and not found:
        lines.append(f"a statistic of {test.detectable:.3g} would have been found with probability 0.8")
    if test.features and found:
        told = [item for item in test.features if item.fall > 2 * item.stderr][:5]
        listed = ", ".join(f"{item.name} ({item.share:.0%})" for item in told)
        if told:
            lines.append(f"rests on: {listed} (shares of what shuffling single columns undoes)")
    if test.parts:
        listed = ", ".join(
            part.name + ("" if part.adjusted is None else f" (p {p_text(part.adjusted)})") for part in test.parts[:5]
        )
        more = f", and {len(test.parts) - 5} more" if len(test.parts) > 5 else ""
        lines.append(f"parts, adjusted: {listed}{more}")
    lines += [region.text for region in test.regions[:most]]
    return lines + ([test.note] if test.note and (found or test.pvalue is None) else [])


def _cell(text: str) -> str:
    """User text that cannot leave its table cell or become a tag."""
    plain = str(text).replace("\\", "\\\\").replace("|", "\\|").replace("\n", " ").replace("\r", " ")
    return plain.replace("<", "&lt;").replace("`", "\\`")
