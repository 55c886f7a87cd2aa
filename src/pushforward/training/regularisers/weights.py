"""Regularisers of the players' weights."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize
from torch.nn.utils.parametrizations import spectral_norm

from ...nets.initialise import fill_
from ..batches import derive
from .base import Regulariser, Role

LAYERS = (
    nn.Linear,
    nn.Conv1d,
    nn.Conv2d,
    nn.Conv3d,
    nn.ConvTranspose1d,
    nn.ConvTranspose2d,
    nn.ConvTranspose3d,
)
SETTLE = 30  # power iterations before the first step


class Clip(Regulariser):
    """After each of its steps every weight of the critic is put back into [-most, most] (Arjovsky et al. 2017)."""

    name = "clip"

    def __init__(self, most: float) -> None:
        super().__init__()
        self.most = most

    @torch.no_grad()
    def after(self, weights: Sequence[Tensor]) -> None:
        torch._foreach_clamp_max_(list(weights), self.most)
        torch._foreach_clamp_min_(list(weights), -self.most)


class SpectralNorm(Regulariser):
    """Every linear and convolutional layer of the critic divided by its largest singular value, which a step of power
    iteration follows in each forward pass (Miyato et al. 2018; a convolution's matrix is `(out, in * window)`).

    Layers that start at zero have no direction to keep and are filled anew. A residual critic is not 1-Lipschitz by it:
    a block h + f(h) may double distances.
    """

    name = "spectral-norm"

    def prepare(self, critic: nn.Module, *, seed: int) -> nn.Module:
        """The first vectors come from `seed`: neither the first weights nor the global random state matter."""
        for number, layer in enumerate(list(critic.modules())):
            if isinstance(layer, LAYERS) and not parametrize.is_parametrized(layer, "weight"):
                device = layer.weight.device
                generator = torch.Generator(device).manual_seed(derive(seed, number))
                if not bool(layer.weight.any()):
                    fill_(layer.weight, 1.0, generator)
                # torch draws vectors of its own from the global state, which is put back, and are drawn again here
                with torch.random.fork_rng([device] if device.type == "cuda" else []):
                    spectral_norm(layer)
                self._settle(layer, generator)
        return critic

    @staticmethod
    @torch.no_grad()
    def _settle(layer: nn.Module, generator: torch.Generator) -> None:
        for vector in layer.parametrizations.weight[0].buffers():  # type: ignore[union-attr, index]
            drawn = torch.randn(vector.shape, generator=generator, device=generator.device).to(vector.dtype)
            vector.copy_(drawn / drawn.norm())
        before = layer.training
        layer.train()
        for _ in range(SETTLE):
            _ = layer.weight  # each access is one iteration
        layer.train(before)


class Historical(Regulariser):
    """weight |w - mean of w over the steps so far|^2 for both players (historical averaging, Salimans et al. 2016).

    The means are made when a player's weights are first seen, and come and go with a state that is loaded.
    """

    name = "historical"
    home: Tensor  # tells the device

    def __init__(self, weight: float) -> None:
        super().__init__()
        self.weight = weight
        self.register_buffer("home", torch.zeros(()), persistent=False)

    def inertia(self, role: Role, weights: Sequence[Tensor]) -> Tensor:
        now = torch.cat([weight.flatten() for weight in weights])
        if role not in self._buffers:
            self.register_buffer(role, torch.zeros_like(now, requires_grad=False))
            self.register_buffer(f"{role}_steps", torch.zeros((), device=now.device))
        mean, steps = self.get_buffer(role), self.get_buffer(f"{role}_steps")
        steps += 1
        mean.lerp_(now.detach(), (1 / steps).to(mean.dtype))  # the present weights are among them
        return self.weight * (now - mean).square().sum()

    def _load_from_state_dict(self, state_dict: Mapping[str, Any], prefix: str, *rest: Any) -> None:
        for name in ("critic", "critic_steps", "generator", "generator_steps"):
            value = state_dict.get(prefix + name)
            if value is None:
                self._buffers.pop(name, None)
            elif name not in self._buffers:
                self.register_buffer(name, torch.empty_like(value, device=self.home.device))
        super()._load_from_state_dict(state_dict, prefix, *rest)
