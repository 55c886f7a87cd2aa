"""A fitted diffusion or flow as the start of another model."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from ...data.codec import Codec
from ...errors import InputError
from ...nets.beside import Beside
from ...nets.denoiser import Denoiser, Flow, Noised
from ..drawing import CHUNK, rng
from ..neural import event_of
from .noised import Diffusion, FlowMatching, denoiser, flow

BUILDERS = {"Diffusion": denoiser, "FlowMatching": flow}


def network_of(model: Any, what: str) -> Noised:
    """The trained network of `model`; `InputError` where `what` cannot be made of it."""
    if not isinstance(model, Diffusion | FlowMatching):
        raise InputError(f"{what} starts from a fitted Diffusion or FlowMatching, not from a {type(model).__name__}")
    model._require_fitted()
    network = model.generator_
    if isinstance(network, Beside):
        raise InputError(f"{what} of a model of rows given something is not offered; fit one with nothing given")
    if isinstance(network, Flow) and network.coupling != "independent":
        raise InputError(
            f"{what} reads the model's score, which flow matching has with coupling='independent' only; fit it so"
        )
    assert isinstance(network, Denoiser | Flow)
    return network


def described(model: Diffusion | FlowMatching) -> dict[str, Any]:
    """What `rebuilt` needs: JSON-able."""
    return {"class": type(model).__name__, "network": model.network_, "model": model.id_}


def rebuilt(codec: Codec, said: Mapping[str, Any], generator: torch.Generator) -> Noised:
    """A network like the one described, its weights still to be loaded."""
    made: Noised = BUILDERS[said["class"]](event_of(codec, said["network"]), said["network"], generator)
    return made


def drawn(network: Noised, kind: str, n: int, *, seed: int) -> tuple[Tensor, Tensor]:
    """Noise `(n, m)` and the rows of unit scale that the network makes of it."""
    noise = network.noise(n, generator=rng(seed, "base"))
    on = next(network.parameters()).device
    with torch.no_grad():
        rows = [network.drawn(part.to(on), network.at()).cpu() for part in noise.split(CHUNK[kind])]
    return noise, torch.cat(rows)
