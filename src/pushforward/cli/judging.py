"""The commands that judge: compare, and the catalogues of metrics and tests."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from .options import column_types, must_be_new
from .shared import FORMS, ColumnOption, ForceOption, KindOption, SeedOption, app, command_line, print_rows


@app.command()
def compare(
    real: Annotated[str, typer.Argument(metavar="REAL", help=f"The data: {FORMS}.")],
    fakes: Annotated[
        list[str],
        typer.Argument(metavar="FAKE...", help="The samples to judge, of the same kind; several make a leaderboard."),
    ],
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
        Path | None, typer.Option("--markdown", "--md", metavar="FILE", help="Write the result as text.")
    ] = None,
    fail_if: Annotated[
        list[str] | None,
        typer.Option("--fail-if", metavar="EXPR", help='Exit with 1 where it holds, e.g. "auc>0.8". May be repeated.'),
    ] = None,
    suite: Annotated[
        str, typer.Option("--suite", help="How much to measure: quick, full, image, table or privacy.")
    ] = "quick",
    metric: Annotated[
        list[str] | None,
        typer.Option(
            "--metric",
            metavar="NAME",
            help="Measure this in place of the suite's figures (`pushforward metrics` lists them). May be repeated.",
        ),
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
    most_rows: Annotated[
        int | None,
        typer.Option("--most-rows", help="Of larger files, so many rows are drawn while reading; 200,000 by default."),
    ] = None,
    encoder: Annotated[
        str | None,
        typer.Option("--encoder", metavar="NAME|FILE", help="Features of images: a name, or a TorchScript/ONNX file."),
    ] = None,
    download: Annotated[bool, typer.Option("--download", help="Let an encoder fetch its published weights.")] = False,
    target: Annotated[
        str | None, typer.Option("--target", metavar="COLUMN", help="What models learn to predict, for utility.")
    ] = None,
    against: Annotated[
        Path | None, typer.Option("--against", metavar="JSON", help="An earlier comparison: say what moved.")
    ] = None,
    by: Annotated[str, typer.Option("--by", metavar="NAME", help="The figure that orders several FAKEs.")] = "auc",
    alpha: Annotated[float, typer.Option("--alpha", min=1e-6, max=0.5, help="Level of the test.")] = 0.05,
    kind: KindOption = None,
    column: ColumnOption = None,
    seed: SeedOption = 0,
    force: ForceOption = False,
) -> None:
    """Tell whether, how much and where FAKE differs from REAL."""
    from .comparing import Request, compare_files

    printed = json_path is not None and str(json_path) == "-"
    for path, option in ((html, "--html"), (None if printed else json_path, "--json"), (markdown, "--markdown")):
        must_be_new(path, option, force=force)
    request = Request(
        real=real,
        fakes=fakes,
        train=train,
        holdout=holdout,
        html=html,
        json_path=json_path,
        markdown=markdown,
        fail_if=fail_if or [],
        kind=kind.value if kind else None,
        columns=column_types(column),
        command=command_line(),
        against=against,
        by=by,
        settings={
            "suite": suite,
            "metrics": metric or [],
            "encoder": encoder,
            "target": target,
            "most_rows": most_rows,
            "download": download,
            "alpha": alpha,
            "seed": seed,
            "methods": method or [],
            "permutations": permutations,
            "method_rows": rows,
        },
    )
    raise typer.Exit(compare_files(request))


@app.command()
def metrics(
    as_json: Annotated[bool, typer.Option("--json", help="Print every field as JSON.")] = False,
) -> None:
    """List the metrics: what each reads, for which data, in which suites, and who proposed it."""
    from ..evaluation.catalogue import ALWAYS, figures
    from ..evaluation.figures import KINDS

    if as_json:
        fields = ("group", "reads", "source", "suites", "kinds", "needs", "gives")
        told = {name: {field: getattr(one, field) for field in fields} for name, one in figures().items()}
        always = {name: {"group": "always", "reads": reads} for name, reads in ALWAYS.items()}
        print(json.dumps(always | told, indent=2, ensure_ascii=False))
        return
    rows = {name: {"group": "always", "suites": "all", "reads": reads} for name, reads in ALWAYS.items()}
    for name, one in figures().items():
        limits = [" and ".join(one.kinds)] * (one.kinds != KINDS) + [f"needs --{role}" for role in one.needs]
        reads = one.reads + (f" ({'; '.join(limits)})" if limits else "")
        rows[name] = {"group": one.group, "suites": " ".join(one.suites), "reads": reads}
    print_rows("Metrics", rows, as_json=False)


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


@app.command(name="encode-features")
def encode_features(
    data: Annotated[str, typer.Argument(metavar="DATA", help=f"Images or points: {FORMS}.")],
    encoder: Annotated[
        str, typer.Option("--encoder", metavar="NAME|FILE", help="What encodes: a name, or a TorchScript/ONNX file.")
    ],
    out: Annotated[Path, typer.Option("--out", metavar="FILE", help="Where to write the features: .npz or .npy.")],
    size: Annotated[
        int | None, typer.Option("--size", min=1, help="Side that pictures are resized to; by default the encoder's.")
    ] = None,
    fit: Annotated[
        list[str] | None,
        typer.Option("--fit", metavar="DATA", help="What pca is fitted on besides DATA: the other sets to compare."),
    ] = None,
    device: Annotated[str, typer.Option("--device", help="cpu, cuda or auto.")] = "cpu",
    download: Annotated[
        bool, typer.Option("--download", help="Let inception and dino fetch their published weights.")
    ] = False,
    force: ForceOption = False,
) -> None:
    """Save the features of DATA, to compare them later or elsewhere."""
    from .features import encode_features_command

    must_be_new(out, "--out FILE", force=force)
    encode_features_command(data, encoder, out, size=size, fit=fit or (), device=device, download=download, force=force)
