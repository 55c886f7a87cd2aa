"""The page of a run: what the model is, how it trained, and pictures of all it can do, in one self-contained file.

What is shown follows from the methods that the model has (`pictures.view`). A run without weights, one that is still
training or was cut short, has a page of its history only. The page has the dress of a comparison's (`report.page`).
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
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
from ..models import folder as folders
from ..models.drawing import rng
from ..training import checkpoint
from ..training.diagnostics import alarms
from ..training.diagnostics.alarms import Alarm
from ..training.history import read as read_history
from .page import dress, environment
from .pictures import Section, View, history_of, pictures_of

HOLDOUT = "data/holdout"
STATUS = {
    "finished": "Finished",
    "training": "Still training, or cut short",
    "interrupted": "Interrupted",
    "diverged": "Diverged; this is the last good model",
    "stopped": "Ended by the auditor",
}


@dataclass(frozen=True)
class Run:
    """What is told of a run, whether it lies in a folder or was just fitted; `model` is None without weights."""

    name: str  # the model's class
    what: str  # what such a model is, in one sentence
    status: str
    step: int
    steps: int
    data: Mapping[str, Any]  # kind, name, rows
    parameters: Mapping[str, Any]
    network: Mapping[str, Any]
    made_by: Mapping[str, Any]
    history: list[dict[str, Any]]
    stopped: str = ""
    closing: str = ""
    path: str = ""
    model: Any = None

    @property
    def of(self) -> str:
        """What it was fitted to; of a model of two domains, both."""
        if self.model is None or len(codecs_of(self.model)) == 1:
            return str(self.data["name"])
        return " and ".join(dict.fromkeys(str(getattr(codec, "name", "rows")) for codec in codecs_of(self.model)))

    @property
    def seconds(self) -> float | None:
        return self.history[-1].get("seconds") if self.history else None

    @property
    def alarms(self) -> list[Alarm]:
        return alarms(self.history)


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


def run_of(run: Any) -> Run:
    """What is known of `run`: a fitted model, or the path of a folder that one was saved in."""
    return _of_folder(Path(run)) if isinstance(run, str | os.PathLike) else _of_model(run)


def _of_folder(path: Path) -> Run:
    from ..models import load

    saved = folders.read_model(path)
    state, history = saved["run"], read_history(path / folders.HISTORY)
    found = checkpoint.latest(path) if state["status"] in ("training", "interrupted") else None
    step = max(state["step"], found[0] if found else 0, int(history[-1]["step"]) if history else 0)
    model = load(path) if saved.get("weights") else None
    return Run(
        name=saved["class"],
        what=_what(model),
        status=state["status"],
        step=step,
        steps=state["steps"],
        data={"kind": saved["codec"].get("kind"), "name": saved["codec"].get("name"), "rows": state["data"]["rows"]},
        parameters=_given(saved["parameters"]),
        network=saved["network"],
        made_by={**saved["made_by"], **saved["versions"]},
        history=history,
        stopped=state.get("stopped") or "",
        closing=(state.get("closing") or {}).get("sentence", ""),
        path=str(path),
        model=model,
    )


def _of_model(model: Any) -> Run:
    if not hasattr(model, "codec_"):
        raise InputError(f"this {type(model).__name__} is not fitted yet; call fit first, or give the folder of a run")
    closing = getattr(model, "closing_", None) or {}
    stopped = getattr(model, "stopped_", "")
    status = "interrupted" if getattr(model, "interrupted_", False) else "stopped" if stopped else "finished"
    return Run(
        name=type(model).__name__,
        what=_what(model),
        status=status,
        step=getattr(model, "steps_done_", 1),
        steps=getattr(model, "steps_", 1),
        data={"kind": model.codec_.kind, "name": model.codec_.name, "rows": model.data_["rows"]},
        parameters=_given(model.get_params()),
        network=getattr(model, "network_", {}),
        made_by={"model": model.id_, "seed": getattr(model, "seed", None), **folders.versions()},
        history=getattr(model, "history_", []),
        stopped=stopped,
        closing=closing.get("sentence", ""),
        model=model,
    )


def _given(parameters: Mapping[str, Any]) -> dict[str, Any]:
    plain = (str, int, float, bool)
    return {name: v if isinstance(v, plain) else str(v) for name, v in parameters.items() if v is not None}


def _what(model: Any) -> str:
    """The first sentence of the class's documentation."""
    return " ".join((type(model).__doc__ or "").split("\n\n")[0].replace("`", "").split()) if model is not None else ""


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


def codecs_of(model: Any) -> list[Any]:
    """Of the rows the model draws; of one of two domains, those of the first and of the second."""
    codec = model.codec_
    return [codec.of, codec.to] if hasattr(codec, "of") and hasattr(codec, "to") else [codec]


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
        abilities=_abilities(run.model),
        weights=_weights(run.model),
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


def sentence(run: Run) -> str:
    """The run in one sentence."""
    kind = {"images": "images", "points": "points"}.get(str(run.data["kind"]), "rows")
    took = f" in {_duration(run.seconds)}" if run.seconds else ""
    rows, name = f"{run.data['rows']:,}", run.data["name"]
    if run.model is not None and len(codecs_of(run.model)) > 1:
        return f"{run.name} learned to turn {kind} of domain A into {kind} of domain B: {run.step:,} steps{took}."
    if not run.history and run.status == "finished":
        return f"{run.name} was fitted in closed form to {rows} {kind} of {name}."
    if run.model is None:
        return f"{run.name} is learning from {rows} {kind} of {name}: step {run.step:,} of {run.steps:,}{took}."
    of = "" if run.step == run.steps else f" of {run.steps:,}"
    return f"{run.name} learned to draw {kind} like the {rows} of {name}: {run.step:,}{of} steps{took}."


def _duration(seconds: float) -> str:
    if seconds < 1:
        return "less than a second"
    if seconds < 120:
        return f"{seconds:.0f} seconds"
    return f"{seconds / 60:.0f} minutes" if seconds < 7200 else f"{seconds / 3600:.1f} hours"


ABILITIES = {
    "sample": "draws new rows",
    "encode": "encodes rows as latents",
    "decode": "decodes latents",
    "reconstruct": "reconstructs rows",
    "translate": "translates between domains",
    "fill": "fills missing values",
    "features": "gives the critic's features of rows",
    "codes": "reads codes in rows",
    "predict": "predicts labels",
    "log_prob": "tells how probable a row is",
}


def _abilities(model: Any) -> list[tuple[str, str]]:
    """The methods that the model has, each with what it does."""
    found = [(name, does) for name, does in ABILITIES.items() if callable(getattr(model, name, None))]
    return [pair for pair in found if pair[0] != "sample"] if model is not None and len(codecs_of(model)) > 1 else found


def _weights(model: Any) -> list[tuple[str, int]]:
    """Each network with its number of weights."""
    parts = {"generator": getattr(model, "generator_", None), "critic": getattr(model, "critic_", None)}
    found = [(name, sum(p.numel() for p in net.parameters())) for name, net in parts.items() if net is not None]
    arrays = getattr(model, "arrays_", None)
    return found if arrays is None else [("law", sum(array.numel() for array in arrays.values()))]
