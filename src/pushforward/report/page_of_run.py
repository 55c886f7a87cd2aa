"""The page of a run: what the model is, how it trained, and pictures of all it can do, in one self-contained file.

What is shown follows from the methods that the model has (`pictures.view`). A run without weights, one that is still
training or was cut short, has a page of its history only. The page has the dress of a comparison's (`report.page`).
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from ..data import sources
from ..data.alike import check_alike
from ..data.builtin import is_builtin
from ..data.dataset import Dataset
from ..errors import InputError
from ..files import write_text
from ..models.drawing import rng
from .page import dress, environment
from .pictures import Section, View, history_of, pictures_of
from .runs import Run, abilities, codecs_of, run_of, sentence, weights

HOLDOUT = "data/holdout"
STATUS = {
    "finished": "Finished",
    "training": "Still training, or cut short",
    "interrupted": "Interrupted",
    "diverged": "Diverged; this is the last good model",
    "stopped": "Ended by the auditor",
}


def run_page(
    run: Any, path: str | os.PathLike[str] | None = None, *, data: Any = None, seed: int = 0, force: bool = False
) -> str:
    """The page of `run`, a fitted model or the folder of one, as text; also written to `path`, where one is given.

    data: real rows of the model's kind to reconstruct, translate, encode and compare with (of a translator: rows of its
    first domain, or a pair, rows of either); by default those that the run's folder holds out, else the built-in data
    that it was trained on. seed: of all that is drawn.

    Raises `InputError` where `path` exists (unless `force`), where the folder holds no run, and for data of another
    kind, size or columns.
    """
    if path is not None and Path(path).exists() and not force:
        raise InputError(f"{path}: already exists; replace it with force=True (--force), or choose another file")
    told = run_of(run)
    real = _real(told, data)
    sections: tuple[Section, ...] = ()
    if told.model is not None:
        sections = pictures_of(View(told.model, real.rows, real.what, seed, real.other))
    charges = tuple(getattr(getattr(told.model, "generator_", None), "charges", ()))
    trained = history_of(told.history, told.alarms, charges)
    text = _rendered(told, (*sections, *([trained] if trained else [])), real, seed)
    if path is not None:
        write_text(path, text)
    return text


@dataclass(frozen=True)
class Real:
    """Real rows to hold the model against and, in words, what they are; of a model of two domains, rows of either."""

    rows: Dataset | None = None
    what: str = ""
    other: Dataset | None = None


def _real(run: Run, data: Any) -> Real:
    """What was given as `data`; else what the run's folder holds out; else the built-in data it was trained on."""
    if run.model is None:
        if data is not None:
            raise InputError(
                f"{run.path}: has no weights, so there is nothing to hold data against; leave the data out"
            )
        return Real()
    if data is not None:
        return _given_rows(run, list(data) if isinstance(data, list | tuple) else [data])
    kept, other = (_kept(run, name) for name in ("holdout", "to-holdout"))
    if kept is not None:
        second = None if other is None else _checked(run, sources.read(other), 1)
        return Real(_checked(run, sources.read(kept)), "rows held out of training", second)
    name = str(run.data["name"])
    if len(codecs_of(run.model)) == 1 and is_builtin(name):  # they are here anyway
        return Real(_checked(run, sources.read(name)), f"rows of {name}, on which it was trained")
    return Real()


def _kept(run: Run, name: str) -> Path | None:
    """The file of that name, whatever its ending, that the run's folder keeps."""
    found = sorted(p for p in Path(run.path, "data").glob(f"{name}.*") if p.suffix != ".json") if run.path else []
    return found[0] if found else None


def _given_rows(run: Run, data: list[Any]) -> Real:
    most = len(codecs_of(run.model))
    if not 1 <= len(data) <= most:
        raise InputError(
            f"{len(data)} sets of data are given, and {run.name} has {most} domain{'s' * (most > 1)}; give one"
        )
    rows = [_checked(run, sources.read(one), domain) for domain, one in enumerate(data)]
    return Real(rows[0], f"rows of {rows[0].name}", rows[1] if len(rows) > 1 else None)


def _checked(run: Run, rows: Dataset, domain: int = 0) -> Dataset:
    """`rows` in the form of the model's; `InputError` where they are of another kind, size or other columns."""
    codec = codecs_of(run.model)[domain]
    form = codec.decode(torch.zeros(1, *codec.event_shape), generator=rng(0))
    fitted = replace(form, name=f"what {run.path or run.name} was fitted on", given=None)
    return replace(check_alike(fitted, rows), given=rows.given)


def _rendered(run: Run, sections: tuple[Section, ...], real: Real, seed: int) -> str:
    made = environment()
    text: str = made.get_template("run.html.j2").render(
        run=run,
        status=STATUS.get(run.status, run.status),
        sentence=sentence(run),
        abilities=abilities(run.model),
        weights=weights(run.model),
        sections=sections,
        real=real,
        seed=seed,
        made_by=json.dumps(dict(run.made_by), indent=1, ensure_ascii=False, default=str),
        run_css=_css(made),
        **dress(made),
    )
    return text


def _css(made: Any) -> Any:
    from markupsafe import Markup

    return Markup(made.loader.get_source(made, "run.css")[0])
