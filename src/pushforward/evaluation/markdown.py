"""A comparison as Markdown: for a pull request, a log, a terminal."""

from __future__ import annotations

from .comparison import P_FLOOR, Comparison


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
    lines += ["| metric | value | interval | real vs real | reads |", "|---|---|---|---|---|"]
    for metric in comparison.metrics:
        interval = "" if metric.low is None else f"{metric.low:.4g} … {metric.high:.4g}"
        baseline = "" if metric.baseline is None else f"{metric.baseline:.4g}"
        lines.append(f"| {metric.name} | {metric.value:.4g} | {interval} | {baseline} | {_cell(metric.reads)} |")
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
    lines += ["", comparison.copies.note, ""]
    made = comparison.made_by
    lines.append(f"Baseline: {inputs['baseline']}. pushforward {made['version']}, seed {made['seed']}.")
    return "\n".join(lines) + "\n"


def _cell(text: str) -> str:
    """User text that cannot leave its table cell or become a tag."""
    plain = str(text).replace("\\", "\\\\").replace("|", "\\|").replace("\n", " ").replace("\r", " ")
    return plain.replace("<", "&lt;").replace("`", "\\`")
