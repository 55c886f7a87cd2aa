"""Layers whose first weights come from a generator that is passed in.

PyTorch's layers draw their first weights from the global random state. Nothing here reads or moves that state: a
layer is made empty and filled from an explicit `torch.Generator`.

A weight of fan-in m is drawn from N(0, gain^2 / m) (He et al. 2015, eq. 10, where gain^2 = 2 / (1 + slope^2) keeps the
second moment through a leaky rectifier); a bias starts at 0.
"""

from __future__ import annotations

import math
from typing import TypeVar

import torch
from torch import Tensor, nn

SLOPE = 0.2  # of the leaky rectifier, everywhere
GAIN = math.sqrt(2 / (1 + SLOPE**2))

Layer = TypeVar("Layer", bound=nn.Linear | nn.Conv2d)


def fill_(weight: Tensor, gain: float, generator: torch.Generator) -> Tensor:
    """Fill `weight` `(out, in, *window)` with N(0, gain^2 / fan-in) draws, in place; gain 0 gives zeros."""
    fan_in = math.prod(weight.shape[1:])
    drawn = torch.randn(weight.shape, generator=generator, device=generator.device)
    with torch.no_grad():
        return weight.copy_(drawn.mul_(gain / math.sqrt(fan_in)))


def linear(n_in: int, n_out: int, generator: torch.Generator, *, gain: float = GAIN, bias: bool = True) -> nn.Linear:
    """A linear layer `(n, n_in) -> (n, n_out)` filled from `generator`."""
    layer = nn.Linear(n_in, n_out, bias=bias, device="meta")
    return _filled(layer.to_empty(device=generator.device), gain, generator)


def conv(
    n_in: int,
    n_out: int,
    window: int,
    generator: torch.Generator,
    *,
    gain: float = GAIN,
    bias: bool = True,
    groups: int = 1,
) -> nn.Conv2d:
    """A convolution `(n, n_in, h, w) -> (n, n_out, h, w)` that keeps the size, filled from `generator`."""
    layer = nn.Conv2d(n_in, n_out, window, padding=window // 2, bias=bias, groups=groups, device="meta")
    return _filled(layer.to_empty(device=generator.device), gain, generator)


def initialise(module: nn.Module, generator: torch.Generator, *, gain: float = GAIN) -> nn.Module:
    """Refill every linear and convolutional layer of `module` from `generator`, in the order of `modules()`."""
    for layer in module.modules():
        if isinstance(layer, nn.Linear | nn.Conv2d):
            _filled(layer, gain, generator)
    return module


def spread(module: nn.Module, generator: torch.Generator) -> nn.Module:
    """Refill every linear layer of `module`, weights and biases, from U(-1/sqrt(m), 1/sqrt(m)), m its fan-in.

    For networks of few inputs: a bias places a unit's kink, and with all of them at 0 every kink is at the origin.
    """
    for layer in module.modules():
        if isinstance(layer, nn.Linear):
            reach = 1 / math.sqrt(layer.in_features)
            with torch.no_grad():
                for one in layer.parameters(recurse=False):
                    drawn = torch.rand(one.shape, generator=generator, device=generator.device)
                    one.copy_(reach * (2 * drawn - 1))
    return module


def _filled(layer: Layer, gain: float, generator: torch.Generator) -> Layer:
    fill_(layer.weight, gain, generator)
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
    return layer
