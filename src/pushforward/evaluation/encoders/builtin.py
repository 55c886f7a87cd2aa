"""Encoders that need no file: pixels, principal components, random convolutions, the features of a saved run.

Random convolutions. Untrained convolutional networks already see edges, strokes and textures, and know no data set's
bias (Naeem et al. 2020, section 5, use one for data far from photographs). Here: pictures in -1..1; `LEVELS` levels,
each a 3 x 3 convolution with N(0, 2/m) weights (m: fan-in), a leaky rectifier and, between levels, 2 x 2 means; of each
level the mean of every channel over each cell of a 2 x 2 grid; all of these times a random orthonormal matrix to
`CONVOLVED` numbers, which keeps their geometry (Johnson and Lindenstrauss 1984). The seed gives all weights.
"""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import adaptive_avg_pool2d, avg_pool2d, leaky_relu

from ...data.dataset import Dataset
from ...errors import InputError
from ...nets.initialise import SLOPE, conv
from .encoder import BATCH, Encoder
from .preparation import Preparation, at_most

NUMBERS = 1024  # pixels: pictures with more values are shrunk to about this many
COMPONENTS = 64
LEVELS = (32, 64, 128)
CONVOLVED = 128
LARGEST = 64  # random convolutions: larger pictures are shrunk to about this side


def pixels() -> Encoder:
    """The pixels themselves, at most about `NUMBERS` of them."""
    return Encoder("pixels", "pixels", "pixels", lambda x: x.flatten(1), Preparation(at_most(NUMBERS)), batch=1024)


def pca(components: int = COMPONENTS) -> Encoder:
    """The first principal components of the pixels, axes from all rows that `fit` is given."""
    if components < 1:
        raise InputError(f"pca:{components}: give a number of components of at least 1, such as pca:{COMPONENTS}")
    name = f"pca:{components}"

    def fitted(unfitted: Encoder, rows: Tensor) -> Encoder:
        values = replace(pixels(), preparation=unfitted.preparation)(in_order(rows))
        centre, axes, share = principal_axes(values, components)
        count = axes.shape[1]
        note = f"first {count} principal components ({share:.0%} of the variance of all {len(rows):,} rows)"
        digest = hashlib.sha256(axes.numpy().tobytes() + centre.numpy().tobytes()).hexdigest()[:16]

        def network(x: Tensor) -> Tensor:
            return (x.flatten(1) - centre.to(x.device)) @ axes.to(x.device)

        return replace(unfitted, note=note, key=f"{name}:{digest}", network=network, fitting=None)

    preparation = Preparation(at_most(NUMBERS))
    return Encoder(name, "principal components", name, None, preparation, batch=1024, fitting=fitted)


def in_order(rows: Tensor) -> Tensor:
    """The same pictures in the order of their bytes: sums over them then round alike, whatever order they came in."""
    flat = np.ascontiguousarray(rows.cpu().numpy().reshape(len(rows), -1))
    keys = flat.view(np.dtype((np.void, flat.shape[1]))).ravel()
    return rows[torch.from_numpy(np.argsort(keys, kind="stable"))]


def principal_axes(rows: Tensor, components: int) -> tuple[Tensor, Tensor, float]:
    """(mean `(d,)`, axes `(d, k)`, their share of the variance) of `rows` `(n, d)`; k = min(components, d, n - 1).

    All rows count alike and in any order. Each axis has the sign that makes its largest entry positive.
    """
    centre = rows.double().mean(0).float()
    total = torch.zeros(rows.shape[1], rows.shape[1], dtype=torch.float64)
    for part in rows.split(4096):
        centred = part - centre
        total += (centred.T @ centred).double()
    variance, axes = torch.linalg.eigh(total / max(1, len(rows) - 1))
    count = max(1, min(components, rows.shape[1], len(rows) - 1))
    top = axes[:, -count:].flip(1)
    top = top * torch.where(top.gather(0, top.abs().argmax(0, keepdim=True)) < 0, -1.0, 1.0)
    share = float(variance[-count:].clamp_min(0).sum() / variance.clamp_min(0).sum().clamp_min(1e-300))
    return centre, top.float(), share


class RandomConvolutions(nn.Module):
    """Images `(n, c, h, w)` in -1..1 -> `(n, CONVOLVED)`; see the module's docstring."""

    def __init__(self, channels: int, *, generator: torch.Generator) -> None:
        super().__init__()
        before = (channels, *LEVELS)
        layers = (conv(a, b, 3, generator, bias=False) for a, b in zip(before, LEVELS, strict=False))
        self.levels = nn.ModuleList(layers)
        drawn = torch.randn(4 * sum(LEVELS), CONVOLVED, generator=generator, dtype=torch.float64)
        self.projection = nn.Buffer(torch.linalg.qr(drawn).Q.float())

    def forward(self, h: Tensor) -> Tensor:
        found = []
        for k, level in enumerate(self.levels):
            if k and min(h.shape[2:]) > 1:
                h = avg_pool2d(h, 2)
            h = leaky_relu(level(h), SLOPE)
            found.append(adaptive_avg_pool2d(h, 2).flatten(1))
        return torch.cat(found, 1) @ self.projection


def random_conv(seed: int = 0, device: torch.device | None = None) -> Encoder:
    """Features of an untrained convolutional network whose weights follow from `seed`."""
    name = "random-conv" if seed == 0 else f"random-conv:{seed}"
    on = device or torch.device("cpu")

    def fitted(unfitted: Encoder, rows: Tensor) -> Encoder:
        channels = unfitted.preparation.channels if unfitted.preparation else None
        made = RandomConvolutions(channels or rows.shape[1], generator=torch.Generator().manual_seed(seed))
        return replace(unfitted, network=made.eval().requires_grad_(False).to(on), fitting=None)

    note = f"random convolutional features ({len(LEVELS)} levels, seed {seed})"
    preparation = Preparation(at_most(3 * LARGEST**2), scale="signed")
    return Encoder(name, note, f"random-conv:{seed}", None, preparation, device=on, batch=BATCH, fitting=fitted)


def critic(run: str, device: torch.device | None = None) -> Encoder:
    """The last hidden layer of the critic that the run folder `run` holds.

    It learned to tell its training rows from its samples: a test of those very rows in these features is not valid, and
    `reads` says so. A critic that packs m rows is given every row m times.
    """
    model = _model(run)
    network = getattr(model, "critic_", None)
    if network is None or not hasattr(network, "features"):
        raise InputError(f"critic:{run}: this {type(model).__name__} has no critic with features; take another encoder")
    on = device or torch.device("cpu")
    network, codec, copies = network.to(on), model.codec_, int(network.shape.pack)

    def features(rows: Tensor) -> Tensor:
        found: Tensor = network.features(_encoded(codec, rows, run, on).repeat_interleave(copies, 0))
        return found

    note = f"last hidden layer of the critic of {run} (valid for rows that it was not trained on)"
    return Encoder(f"critic:{run}", note, f"critic:{model.id_}", features, kinds=(codec.kind,), device=on)


def run_encoder(run: str, device: torch.device | None = None) -> Encoder:
    """What the `encode` of the model in the run folder `run` gives."""
    model = _model(run)
    if not hasattr(model, "encode"):
        raise InputError(f"encoder:{run}: this {type(model).__name__} has no encoder; take critic:{run} instead")
    on = device or torch.device("cpu")

    def features(rows: Tensor) -> Tensor:
        found: Tensor = torch.as_tensor(model.encode(Dataset(model.codec_.kind, rows.cpu())))
        return found

    note = f"what the encoder of {run} makes"
    return Encoder(f"encoder:{run}", note, f"encoder:{model.id_}", features, kinds=(model.codec_.kind,), device=on)


def _model(run: str) -> Any:
    from ...models import load

    model = load(Path(run))
    if model.codec_.kind == "table":
        raise InputError(f"{run}: is a model of tables, whose features are not an encoder's; give a run on images")
    return model


def _encoded(codec: Any, rows: Tensor, run: str, device: torch.device) -> Tensor:
    if tuple(rows.shape[1:]) != tuple(codec.event_shape):
        raise InputError(
            f"critic:{run}: reads rows {tuple(codec.event_shape)}, not {tuple(rows.shape[1:])}; "
            "bring the data to the form that it was trained on"
        )
    expanded: Tensor = codec.expand(codec.encode(Dataset(codec.kind, rows.cpu())).to(device))
    return expanded
