"""`pushforward translate`: rows of one domain turned into rows of the other."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Annotated, Any, Literal, cast

import typer

from ..errors import InputError
from .options import must_be_new
from .shared import ForceOption, app, terminal

if TYPE_CHECKING:
    from ..data.dataset import Dataset


@app.command()
def translate(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="Folder of a fitted translator (cyclegan or pix2pix).")],
    source: Annotated[
        str, typer.Option("--in", metavar="DATA", help="What to translate: a folder or zip of images, or a file.")
    ],
    out: Annotated[
        Path, typer.Option("--out", metavar="DIR|FILE", help="Where to write it; a folder of images keeps their names.")
    ],
    to: Annotated[
        str, typer.Option("--to", metavar="A|B", help="Into which domain: B is the one that `fit` got with --to.")
    ] = "B",
    seed: Annotated[int | None, typer.Option("--seed", help="Of what is drawn, where anything is.")] = None,
    force: ForceOption = False,
) -> None:
    """Translate DATA from one domain into the other, row by row."""
    must_be_new(out, "--out", force=force)
    translate_run(run, source, out, to=to, seed=seed, force=force)


def translate_run(run: Path, source: str, out: Path, *, to: str, seed: int | None, force: bool) -> None:
    """Translate `source` by the model in `run` and write it to `out`, with how it was made."""
    from ..data import sources
    from ..models import load
    from ..models.translating import Translating

    model = load(run)
    if not isinstance(model, Translating):
        raise InputError(
            f"{run}: a {type(model).__name__} does not translate; fit one that does: "
            "pushforward fit A --model cyclegan --to B --out RUN"
        )
    dataset = model.translate_dataset(sources.read(source), to=cast(Literal["A", "B"], to), seed=seed)
    names = _names(Path(source)) if dataset.kind == "images" and out.suffix == "" else None
    if names is not None and len(names) == len(dataset):
        _write_named(dataset, out, names, force=force)
    else:
        sources.write(dataset, out, made_by=dataset.made_by, force=force)
    terminal().print(f"Translated {len(dataset):,} rows into domain {to}: {out}.", highlight=False)


def _names(source: Path) -> list[PurePosixPath] | None:
    """The names of the pictures of a folder, in the order in which they are read; None where it is none."""
    from ..data.pictures import files_in

    return [PurePosixPath(file.relative_to(source)) for file in files_in(source)] if source.is_dir() else None


def _write_named(dataset: Dataset, out: Path, names: Sequence[PurePosixPath], *, force: bool) -> None:
    """A folder of PNGs with the names that the pictures had, whole or not at all."""
    from ..data import pictures
    from ..data.provenance import dump, make_record
    from ..files import atomic_folder

    places = [name.with_suffix(".png") for name in names]
    count = Counter(places)
    twice = [name for name, place in zip(names, places, strict=True) if count[place] > 1][:2]
    if twice:
        raise InputError(
            f"{twice[0]} and {twice[1]} would both be written as {twice[0].with_suffix('.png')}; rename one of them"
        )
    foreign = out.exists() and (
        not out.is_dir() or any(f.is_file() and f.suffix.lower() not in pictures.ENDINGS for f in out.rglob("*"))
    )
    if foreign:
        raise InputError(f"{out}: holds more than images, so it is not replaced; choose another folder")
    record = dump(make_record(dataset.made_by, kind="images", synthetic=True))
    values: Any = dataset.values.cpu().numpy()
    with atomic_folder(out) as temporary:
        for place, pixels in zip(places, values, strict=True):
            (temporary / place).parent.mkdir(parents=True, exist_ok=True)
            (temporary / place).write_bytes(pictures.png(pixels, record))
