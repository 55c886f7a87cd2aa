"""A saved model is a folder, and nothing in it is ever unpickled:

    model.json            schema, class, parameters, codec, network, run, versions, made_by
    weights.safetensors   `generator.*` (the moving average), `critic.*`, `codec.*`
    history.jsonl         one record a line
    checkpoints/          while and after a fit with `out`: see training/checkpoint.py

`weights.safetensors` is written before the `model.json` that names its SHA-256, so a folder whose two files do not
belong together is noticed.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from ..errors import InputError
from ..files import atomic_file, write_text
from ..training.history import read as read_history

SCHEMA = "pushforward.model"
VERSION = 1
MODEL, WEIGHTS, HISTORY = "model.json", "weights.safetensors", "history.jsonl"


def versions() -> dict[str, str]:
    """The versions that made a model: this package's, Python's and those of what computes."""
    from .. import __version__

    found = {"pushforward": __version__, "python": platform.python_version()}
    for name in ("torch", "numpy", "lightning-fabric"):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def write_model(folder: Path, description: Mapping[str, Any]) -> None:
    """Write `model.json`; the schema and versions are added."""
    content = {"schema": f"{SCHEMA}/{VERSION}", **description, "versions": versions()}
    write_text(folder / MODEL, json.dumps(content, indent=2, ensure_ascii=False) + "\n")


def write_weights(folder: Path, tensors: Mapping[str, Tensor]) -> str:
    """Write `weights.safetensors`; its SHA-256."""
    with atomic_file(folder / WEIGHTS) as temporary:
        save_file({name: tensor.detach().cpu().clone().contiguous() for name, tensor in tensors.items()}, temporary)
        with temporary.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()


def read_model(folder: Path) -> dict[str, Any]:
    """The content of `model.json`. `InputError` where it is missing, truncated or of a newer version."""
    path = folder / MODEL
    if not folder.is_dir():
        raise InputError(f"{folder}: there is no such folder; give the folder that a fit was saved in")
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        family, number = str(content["schema"]).rsplit("/", 1)
        known = family == SCHEMA and int(number) <= VERSION
        required = ("class", "parameters", "codec", "network", "run")
        missing = [name for name in required if name not in content] if known else []
    except FileNotFoundError:
        raise InputError(f"{path}: this file is missing, so {folder} is not a saved model; fit it again") from None
    except (json.JSONDecodeError, UnicodeDecodeError, KeyError, TypeError, ValueError):
        raise InputError(f"{path}: truncated or not a model's description; restore it or fit the model again") from None
    if not known:
        raise InputError(
            f"{path}: saved by a newer version of pushforward (schema {content['schema']}; this one reads up to "
            f"{SCHEMA}/{VERSION}); upgrade pushforward"
        )
    if missing:
        raise InputError(f"{path}: lacks {', '.join(missing)}; restore it or fit the model again")
    return dict(content)


def describe_run(path: str | os.PathLike[str]) -> dict[str, Any]:
    """What the run in the folder `path` is and how it went, JSON-able; `history` has its records.

    Raises `InputError` where `model.json` is missing, truncated or of a newer version; the weights are not read.
    """
    folder = Path(path)
    content = read_model(folder)
    run, codec = content["run"], content["codec"]
    records = read_history(folder / HISTORY)
    return {
        "model": content["class"],
        "kind": codec.get("kind"),
        "data": codec.get("name"),
        "rows": run["data"]["rows"],
        "status": run["status"],
        "step": records[-1]["step"] if records and run["status"] == "training" else run["step"],
        "steps": run["steps"],
        "seconds": records[-1]["seconds"] if records else None,
        "parameters": {name: value for name, value in content["parameters"].items() if value is not None},
        "network": content["network"],
        "gamma": run["gamma"],
        "id": content["made_by"]["model"],
        "versions": content["versions"],
        "history": records,
    }


def read_weights(folder: Path, digest: str | None) -> dict[str, Tensor]:
    """The tensors of `weights.safetensors`; `InputError` where it is missing, truncated or not the one of `digest`."""
    path = folder / WEIGHTS
    try:
        with path.open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
        with safe_open(path, framework="pt") as tensors:
            # Copied: the file's own places are not aligned, and by some BLAS the last bit of a product hangs on that.
            read = {name: tensors.get_tensor(name).clone() for name in tensors.keys()}  # noqa: SIM118 (not a mapping)
    except FileNotFoundError:
        raise InputError(f"{path}: this file is missing; restore it or fit the model again") from None
    except SafetensorError as error:
        raise InputError(f"{path}: truncated or damaged ({error}); restore it or fit the model again") from None
    if digest is not None and found != digest:
        raise InputError(f"{path}: not the file that {MODEL} was saved with; restore it or fit the model again")
    return read


def part(tensors: Mapping[str, Tensor], name: str) -> dict[str, Tensor]:
    """The tensors named `name.*`, without that prefix."""
    return {key.removeprefix(f"{name}."): tensor for key, tensor in tensors.items() if key.startswith(f"{name}.")}


def identity(tensors: Mapping[str, Tensor]) -> str:
    """A model's id: the first 16 hexadecimal digits of the SHA-256 of its tensors and their names."""
    digest = hashlib.sha256()
    for name, tensor in sorted(tensors.items()):
        digest.update(name.encode())
        digest.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()[:16]
