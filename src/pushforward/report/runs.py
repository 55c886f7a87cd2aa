"""What is known of a run, whether it lies in a folder or was just fitted: `run_of`, and its `sentence`."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import InputError
from ..models import folder as folders
from ..training import checkpoint
from ..training.diagnostics import alarms
from ..training.diagnostics.alarms import Alarm
from ..training.history import read as read_history
from .words import duration


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
        what=described(model),
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
        what=described(model),
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


def described(model: Any) -> str:
    """The first sentence of the class's documentation."""
    return " ".join((type(model).__doc__ or "").split("\n\n")[0].replace("`", "").split()) if model is not None else ""


def codecs_of(model: Any) -> list[Any]:
    """Of the rows the model draws; of one of two domains, those of the first and of the second."""
    codec = model.codec_
    return [codec.of, codec.to] if hasattr(codec, "of") and hasattr(codec, "to") else [codec]


def sentence(run: Run) -> str:
    """The run in one sentence."""
    kind = {"images": "images", "points": "points"}.get(str(run.data["kind"]), "rows")
    took = f" in {duration(run.seconds)}" if run.seconds else ""
    rows, name = f"{run.data['rows']:,}", run.data["name"]
    if run.model is not None and len(codecs_of(run.model)) > 1:
        return f"{run.name} learned to turn {kind} of domain A into {kind} of domain B: {run.step:,} steps{took}."
    if not run.history and run.status == "finished":
        return f"{run.name} was fitted in closed form to {rows} {kind} of {name}."
    if run.model is None:
        return f"{run.name} is learning from {rows} {kind} of {name}: step {run.step:,} of {run.steps:,}{took}."
    of = "" if run.step == run.steps else f" of {run.steps:,}"
    if not callable(getattr(run.model, "sample", None)):
        return f"{run.name} learned from {rows} {kind} of {name}: {run.step:,}{of} steps{took}."
    return f"{run.name} learned to draw {kind} like the {rows} of {name}: {run.step:,}{of} steps{took}."


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


def abilities(model: Any) -> list[tuple[str, str]]:
    """The methods that the model has, each with what it does."""
    found = [(name, does) for name, does in ABILITIES.items() if callable(getattr(model, name, None))]
    return [pair for pair in found if pair[0] != "sample"] if model is not None and len(codecs_of(model)) > 1 else found


def weights(model: Any) -> list[tuple[str, int]]:
    """Each network with its number of weights."""
    parts = {"generator": getattr(model, "generator_", None), "critic": getattr(model, "critic_", None)}
    found = [(name, sum(p.numel() for p in net.parameters())) for name, net in parts.items() if net is not None]
    arrays = getattr(model, "arrays_", None)
    return found if arrays is None else [("law", sum(array.numel() for array in arrays.values()))]
