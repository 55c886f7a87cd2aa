"""The command that writes what a model's encoder makes of data."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..errors import InputError
from .options import column_types, must_be_new
from .shared import DATA, ColumnOption, ForceOption, KindName, app, terminal

if TYPE_CHECKING:
    from ..data.dataset import Kind


@app.command()
def encode(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="The folder of a fitted model that has an encoder.")],
    data: Annotated[str, typer.Option("--in", metavar="DATA", help=DATA)],
    out: Annotated[Path, typer.Option("--out", metavar="FILE.npy", help="Where to write the latents, one row each.")],
    kind: Annotated[
        KindName | None, typer.Option("--kind", help="Read DATA as this kind; the model's own by default.")
    ] = None,
    column: ColumnOption = None,
    side: Annotated[
        str | None, typer.Option("--side", metavar="a|b", help="Of clip: rows like DATA of the fit (a), or like --to.")
    ] = None,
    force: ForceOption = False,
) -> None:
    """Write the latents of DATA by the encoder of RUN."""
    must_be_new(out, "--out FILE", force=force)
    encode_run(run, data, out, kind=kind.value if kind else None, columns=column_types(column), side=side, force=force)


def encode_run(
    run: Path,
    data: str,
    out: Path,
    *,
    kind: Kind | None,
    columns: dict[str, str] | None,
    side: str | None = None,
    force: bool,
) -> None:
    """Encode `data` by the model in `run` and write points to `out`, with how they were made."""
    import torch

    from ..data import sources
    from ..data.dataset import Dataset
    from ..models import load

    model = load(run)
    if not hasattr(model, "encode"):
        raise InputError(
            f"{run}: a {type(model).__name__} has no encoder; models with one: {', '.join(with_encoders())}"
        )
    codec, more = getattr(model, "codec_", None), {}
    if "side" in inspect.signature(model.encode).parameters:
        more["side"] = side or "a"
        codec = codec.of if more["side"] == "a" else codec.to  # type: ignore[union-attr]
    elif side is not None:
        raise InputError(f"{run}: a {type(model).__name__} has one encoder; leave --side out")
    dataset = sources.read(data, kind=kind or getattr(codec, "kind", None), columns=columns)
    latents = torch.as_tensor(model.encode(dataset, **more))
    made_by = {"tool": "pushforward", "class": type(model).__name__, "model": model.id_, "encoded": data}
    sources.write(Dataset("points", latents, str(out)), out, made_by=made_by, force=force, synthetic=False)
    terminal().print(f"Wrote {len(latents):,} latents of {latents.shape[1]:,} numbers to {out}.", highlight=False)


def with_encoders() -> list[str]:
    """The names of the models that have an encoder, as `fit --model` takes them."""
    from ..models import NAMES, by_name

    return [name for name in NAMES if hasattr(by_name(name), "encode")]
