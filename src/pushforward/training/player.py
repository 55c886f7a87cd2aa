"""A player: a network and the optimiser that moves its weights."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from .diagnose import norm
from .optimisers import Paced, adam
from .schedule import Plan

if TYPE_CHECKING:
    from lightning_fabric import Fabric


class Player:
    """A network and its optimiser; calling it with a loss descends one step, in this network's weights alone.

    rate: its learning rate in multiples of the schedule's (two time scales, Heusel et al. 2017).
    """

    def __init__(
        self,
        network: nn.Module,
        fabric: Fabric,
        *,
        optimiser: Callable[[Sequence[Tensor]], torch.optim.Optimizer] = adam,
        rate: float = 1.0,
    ) -> None:
        self.network = network
        self.fabric = fabric
        self.rate = rate
        self.weights = list(network.parameters())
        self.optimiser = optimiser(self.weights)
        self.turn = 0  # of the run's steps, this one's number

    def set(self, plan: Plan) -> None:
        """A step of the run begins, with these rates."""
        if isinstance(self.optimiser, Paced):
            self.optimiser.begin(self.turn)
        self.turn += 1
        for group in self.optimiser.param_groups:
            group["lr"] = self.rate * plan.learning_rate
            group["betas"] = (group["betas"][0], plan.beta2)

    def __call__(self, loss: Tensor) -> None:
        for weight in self.weights:  # as zero_grad does, without its profiler hooks
            weight.grad = None
        self.fabric.backward(loss, inputs=self.weights)
        if self.fabric.world_size > 1:
            self._average_gradients()
        self.optimiser.step()

    def gradient_norm(self) -> Tensor:
        return norm(weight.grad for weight in self.weights)

    def _average_gradients(self) -> None:
        gradients = [weight.grad for weight in self.weights if weight.grad is not None]
        flat = self.fabric.all_reduce(torch.cat([gradient.flatten() for gradient in gradients]), reduce_op="mean")
        assert isinstance(flat, Tensor)
        at = 0
        for gradient in gradients:
            gradient.copy_(flat[at : at + gradient.numel()].view_as(gradient))
            at += gradient.numel()

    def tree(self) -> dict[str, Any]:
        state = self.optimiser.state
        return {
            "network": self.network.state_dict(),
            "optimiser": [dict(state[weight]) if weight in state else {} for weight in self.weights],
            "turn": self.turn,
        }

    def restore(self, tree: dict[str, Any]) -> None:
        self.network.load_state_dict(tree["network"])
        self.turn = tree["turn"]
        for weight, found in zip(self.weights, tree["optimiser"], strict=True):
            self.optimiser.state[weight] = {
                name: value.to(weight.device) if isinstance(value, Tensor) else value for name, value in found.items()
            }
