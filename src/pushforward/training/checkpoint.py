"""Checkpoints: a folder per kept step, whole or absent, and read without unpickling anything.

    checkpoints/step-000000400/
        state.json            schema, step, everything that is not a tensor, and the SHA-256 of the tensors' file
        tensors.safetensors   every tensor, by its path in the tree

A checkpoint is a tree of dictionaries, lists, plain values and tensors. It is written beside its place, flushed to
the disk and renamed, and only then are older ones removed; the newest `KEEP` stay, so that one torn by a failing disk
leaves another. JSON keeps a Python float exactly, and safetensors keeps a tensor's bits.
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from ..errors import InputError
from ..files import atomic_folder

SCHEMA = "pushforward.checkpoint"
VERSION = 1
KEEP = 2
FOLDER = "checkpoints"

_NAME = re.compile(r"step-(\d{9,})")
_TENSOR = "$tensor"

Tree = Any  # dict | list | tuple | str | int | float | bool | None | Tensor, nested


def pack(tree: Tree, path: str = "") -> tuple[Any, dict[str, Tensor]]:
    """`tree` as a JSON value in which each tensor is named by its path, and the tensors by that name."""
    if isinstance(tree, Tensor):
        return {_TENSOR: path}, {path: tree.detach().cpu().clone().contiguous()}
    tensors: dict[str, Tensor] = {}

    def inner(key: object, value: Tree) -> Any:
        packed, found = pack(value, f"{path}/{key}" if path else str(key))
        tensors.update(found)
        return packed

    if isinstance(tree, Mapping):
        return {str(key): inner(key, value) for key, value in tree.items()}, tensors
    if isinstance(tree, list | tuple):
        return [inner(key, value) for key, value in enumerate(tree)], tensors
    return tree, tensors


def unpack(packed: Any, tensors: Mapping[str, Tensor]) -> Tree:
    """The tree that `pack` took apart (tuples come back as lists)."""
    if isinstance(packed, dict):
        if set(packed) == {_TENSOR}:
            return tensors[packed[_TENSOR]]
        return {key: unpack(value, tensors) for key, value in packed.items()}
    if isinstance(packed, list):
        return [unpack(value, tensors) for value in packed]
    return packed


def save(run: Path, step: int, tree: Tree) -> Path:
    """Write the checkpoint of `step` into the run folder `run`, then remove all but the newest `KEEP` up to it.

    Raises `InputError` where the disk is full or not writable; the earlier checkpoints are then untouched.
    """
    folder = run / FOLDER / f"step-{step:09d}"
    packed, tensors = pack(tree)
    with atomic_folder(folder) as temporary:
        save_file(tensors, temporary / "tensors.safetensors")
        state = {
            "schema": f"{SCHEMA}/{VERSION}",
            "step": step,
            "sha256": _digest(temporary / "tensors.safetensors"),
            "state": packed,
        }
        (temporary / "state.json").write_text(json.dumps(state), encoding="utf-8")
    found = _found(run)
    later = [old for number, old in found if number > step]  # of a run that was resumed from an earlier one
    for old in later + [old for number, old in found if number <= step][KEEP:]:
        shutil.rmtree(old, ignore_errors=True)
    for left in (run / FOLDER).glob(".step-*"):  # of a process that was killed while it wrote
        shutil.rmtree(left, ignore_errors=True)
    return folder


def load(folder: Path) -> tuple[int, Tree]:
    """The step and tree of one checkpoint; `InputError` where it is torn, incomplete or of a newer version."""
    try:
        state = json.loads((folder / "state.json").read_text(encoding="utf-8"))
        schema = str(state["schema"])
        if schema != f"{SCHEMA}/{VERSION}":
            raise InputError(
                f"{folder / 'state.json'}: written by another version of pushforward (schema {schema}, this one reads "
                f"{SCHEMA}/{VERSION}); upgrade pushforward to continue this run"
            )
        if _digest(folder / "tensors.safetensors") != state["sha256"]:
            raise InputError(f"{folder / 'tensors.safetensors'}: truncated or altered since it was written")
        return int(state["step"]), unpack(state["state"], load_file(folder / "tensors.safetensors"))
    except FileNotFoundError as error:
        raise InputError(f"{error.filename}: this file of the checkpoint is missing") from error
    except (json.JSONDecodeError, UnicodeDecodeError, KeyError, TypeError, SafetensorError) as error:
        raise InputError(f"{folder}: this checkpoint is truncated or damaged ({error})") from error


def latest(run: Path) -> tuple[int, Tree] | None:
    """The newest whole checkpoint of the run folder `run`; torn ones are passed over for earlier ones.

    None where there is no checkpoint at all; `InputError`, about the newest, where there are some and none is whole.
    """
    first: InputError | None = None
    for _, folder in _found(run):
        try:
            return load(folder)
        except InputError as error:
            first = first or error
    if first is not None:
        raise first
    return None


def _found(run: Path) -> list[tuple[int, Path]]:
    """(step, folder) of every checkpoint by name, the newest first."""
    folder = run / FOLDER
    names = ((_NAME.fullmatch(item.name), item) for item in folder.iterdir()) if folder.is_dir() else ()
    return sorted(((int(match[1]), item) for match, item in names if match), reverse=True)


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
