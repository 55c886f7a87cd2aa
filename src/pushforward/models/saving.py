"""A one-pass model into its folder and out of it again: which attributes go where. The files are `folder`'s."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch import Tensor

from .. import links
from ..data.codec import codec_from_dict
from ..errors import InputError
from ..objectives import OBJECTIVES, Objective
from ..training import checkpoint
from ..training.history import read as read_history
from ..training.loop import State
from ..witness import Link
from .drawing import rng
from .engine import device_of
from .folder import HISTORY, MODEL, WEIGHTS, part, read_model, read_weights, write_model, write_weights
from .setup import built_in

if TYPE_CHECKING:
    from .trained import Trained


def previous(folder: Path, resume: bool) -> dict[str, Any] | None:
    """What `model.json` says of the run to be resumed in `folder`; None for a run that starts anew.

    `InputError` where there is a run and `resume` is not asked for, or its `model.json` cannot be used.
    """
    begun = any((folder / name).exists() for name in (MODEL, WEIGHTS, HISTORY, checkpoint.FOLDER))
    if begun and not resume:
        raise InputError(f"{folder}: already holds a run; resume it (resume=True), or choose another folder")
    return read_model(folder) if begun else None


def write(model: Trained, folder: Path, status: str, *, weights: bool = True) -> None:
    """Write the model into `folder`: its weights, where it has some by now, and then `model.json`."""
    digest = write_weights(folder, tensors(model)) if weights else None
    write_model(
        folder,
        {
            "class": type(model).__name__,
            "parameters": parameters(model),
            "codec": model.codec_.to_dict(),
            "network": model.network_,
            "run": {
                "status": status,
                "step": model.steps_done_ if weights else 0,
                "steps": model.steps_,
                "gamma": list(model.gamma_),
                "stopped": model.stopped_ if weights else "",
                "closing": model.closing_ if weights else None,
                "calibration": model.calibration_ if weights else None,
                "data": model.data_,
            },
            "weights": digest,
            "made_by": {"model": model.id_ if weights else None, "seed": model.seed},
        },
    )


def adopt(model: Trained, folder: Path, saved: dict[str, Any]) -> None:
    """Give `model` what the folder, whose `model.json` is `saved`, has learned."""
    run = saved["run"]
    if run["status"] == "training":
        raise InputError(f"{folder}: this fit was cut short before it saved its weights; continue it with resume")
    if run["status"] == "diverged" and saved.get("weights") is None:
        raise InputError(f"{folder}: this fit diverged before its first checkpoint; fit again with other parameters")
    found = read_weights(folder, saved.get("weights"))
    try:
        model.codec_ = codec_from_dict(saved["codec"], part(found, "codec"))
        generator, critic = model._networks(model.codec_, saved["network"], rng(0))
        generator.load_state_dict(part(found, "generator"))
        if critic is not None:
            critic = built_in(model, critic, tuple(run["gamma"]), run["data"]["rows"])
            critic.load_state_dict(part(found, "critic"))
    except (KeyError, RuntimeError, TypeError, ValueError) as error:
        raise InputError(f"{folder / WEIGHTS}: does not fit {MODEL} beside it ({error})") from error
    device = device_of(model.device)
    model.generator_ = generator.to(device).eval().requires_grad_(False)
    model.critic_ = None if critic is None else critic.to(device).eval().requires_grad_(False)
    model.stopped_, model.closing_ = run.get("stopped", ""), run.get("closing")
    model.calibration_ = run.get("calibration")
    model.network_, model.gamma_, model.data_ = saved["network"], tuple(run["gamma"]), run["data"]
    model.steps_, model.steps_done_ = run["steps"], run["step"]
    model.interrupted_ = run["status"] == "interrupted"
    model.history_ = read_history(folder / HISTORY)
    model.id_ = saved["made_by"]["model"]


def restore(state: State, folder: Path) -> None:
    """Put `state` where the newest whole checkpoint of `folder` left it, if there is any."""
    found = checkpoint.latest(folder)
    if found is None:
        return
    step, tree = found
    try:
        state.restore(tree)
    except (KeyError, RuntimeError, ValueError, TypeError, AttributeError) as error:
        place = folder / checkpoint.FOLDER
        raise InputError(f"{place}: the checkpoint of step {step} does not fit this model ({error})") from error


def tensors(model: Trained) -> dict[str, Tensor]:
    """All that `weights.safetensors` holds."""
    parts = {
        "generator": model.generator_.state_dict(),
        "critic": model.critic_.state_dict() if model.critic_ is not None else {},
        "codec": model.codec_.tensors(),
    }
    return {f"{name}.{key}": tensor for name, found in parts.items() for key, tensor in found.items()}


def parameters(model: Trained) -> dict[str, Any]:
    """The constructor's arguments as JSON values, the objective by its name.

    `InputError` for what could not be found again by name: an objective that is not the registered one of its name,
    regularisers or networks of the user's own.
    """
    given = model.get_params()
    if given.get("networks") is not None:
        raise InputError(
            "networks of your own cannot be rebuilt from a folder; fit without out, and save their state_dict yourself"
        )
    if given.get("terms"):
        raise InputError("terms are functions of your own, which a saved model cannot name; fit it without out")
    words = given.get("regularise")
    if words is not None and not isinstance(words, str):
        if not all(isinstance(word, str) for word in words):
            raise InputError(
                "a regulariser of your own cannot be saved by name; fit it without out, or choose regularisers by name"
            )
        given["regularise"] = "+".join(words)
    if "objective" in given:
        given["objective"] = _objective_name(given["objective"])
    return {name: list(value) if isinstance(value, tuple) else value for name, value in given.items()}


def arguments(saved: dict[str, Any]) -> dict[str, Any]:
    """The constructor's arguments that `parameters` wrote."""
    named = saved.get("objective")
    return {**saved, "objective": links.link(named["link"])} if isinstance(named, dict) else saved


def _objective_name(objective: str | Objective | Link) -> str | dict[str, str]:
    if isinstance(objective, str):
        return objective
    if isinstance(objective, Link) and links.LINKS.get(objective.name) is objective:
        return {"link": objective.name}
    if isinstance(objective, Objective) and OBJECTIVES.get(objective.name) is objective:
        return objective.name
    raise InputError(
        f"the objective {objective.name!r} is an object of your own, which a saved model cannot name; fit it without "
        "out and do not save it, or choose an objective by name"
    )
