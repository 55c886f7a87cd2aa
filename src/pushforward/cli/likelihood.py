"""The command that tells how likely a model holds data to be."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from ..errors import InputError
from .options import column_types, must_be_new
from .shared import DATA, ColumnOption, ForceOption, SeedOption, app, terminal

UNITS = {
    "points": "density in the data's units",
    "images": "mass of the discrete picture",
    "table": "row as encoded: comparable between models of the same training rows",
}
READS = {
    "exact": "exact",
    "lower_bound": "a lower bound",
    "importance": "an importance-weighted estimate, at most the truth in expectation",
}


@app.command(name="log-prob")
def log_prob(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="The folder of a fitted model that has a likelihood.")],
    data: Annotated[str, typer.Option("--in", metavar="DATA", help=DATA)],
    out: Annotated[
        Path | None, typer.Option("--out", metavar="FILE.npy", help="Also write ln p of every row, in nats.")
    ] = None,
    column: ColumnOption = None,
    seed: SeedOption = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Print it as JSON.")] = False,
    force: ForceOption = False,
) -> None:
    """Tell the mean log-likelihood of DATA under RUN, how exact it is, and for images the bits per dimension."""
    must_be_new(out, "--out FILE", force=force)
    found = log_prob_run(run, data, out, columns=column_types(column), seed=seed, force=force)
    if as_json:
        print(json.dumps(found, indent=2))
        return

    bits = f"; {found['bits_per_dim']:.4f} bits per dimension" if "bits_per_dim" in found else ""
    terminal().print(
        f"ln p = {found['mean']:.4f} nats a row [{found['low']:.4f}, {found['high']:.4f}] over {found['rows']:,} rows"
        f"{bits}: {found['reads']} ({found['units']}).",
        highlight=False,
        markup=False,
    )


def log_prob_run(
    run: Path, data: str, out: Path | None, *, columns: dict[str, str] | None, seed: int, force: bool
) -> dict[str, Any]:
    """The mean of ln p with its interval, and each row's in `out`, with how they were made."""
    import inspect
    import math

    from ..data import sources
    from ..data.dataset import Dataset
    from ..evaluation.likelihood.bits import LOG_LIKELIHOOD, mean_of
    from ..models import NAMES, by_name, load

    model = load(run)
    if not hasattr(model, "log_prob"):
        have = [name for name in NAMES if hasattr(by_name(name), "log_prob")]
        raise InputError(f"{run}: a {type(model).__name__} has no likelihood; models with one: {', '.join(have)}")
    dataset = sources.read(data, kind=model.codec_.kind, columns=columns)
    seeded = {"seed": seed} if "seed" in inspect.signature(model.log_prob).parameters else {}
    rows = model.log_prob(dataset, **seeded)
    told = mean_of(rows, kind=model.likelihood, units=LOG_LIKELIHOOD)
    found: dict[str, Any] = {
        "mean": told.value,
        "low": told.estimate.low,
        "high": told.estimate.high,
        "rows": len(rows),
        "likelihood": model.likelihood,
        "reads": READS[model.likelihood],
        "units": UNITS[model.codec_.kind],
    }
    if model.codec_.kind == "images":
        found["bits_per_dim"] = -told.value / (math.prod(model.codec_.event_shape) * math.log(2))
    if out is not None:
        made_by = {"tool": "pushforward", "class": type(model).__name__, "model": model.id_, "log_prob": data}
        one = Dataset("points", rows[:, None], str(out))
        sources.write(one, out, made_by=made_by, force=force, synthetic=False)
    return found
