"""Optimisers of the players, by name. All are Adam, for games without momentum, and three change it for the sake of
saddles, about which plain descent of both players turns in circles or outwards:

    adam           w <- w - eta d,                      d = g / (sqrt(v) + eps), v the moving mean of g^2
    optimistic     w <- w - 2 eta d + eta d_before      (Daskalakis et al. 2018, algorithm 1)
    extragradient  odd steps of the run look ahead, w' <- w - eta d(w); even ones move by what is seen from there,
                   w <- w - eta d(w')                   (Gidel et al. 2019, algorithm 4, ExtraAdam)
    lookahead      after every k steps of the run both players go back to slow <- slow + alpha (w - slow)
                   (Chavdarova et al. 2021, algorithm 1, lookahead-minimax)
    momentum       as adam, with the moving mean of g (beta1 .9) in the place of g: for a likelihood, without a saddle

A step of the run may be several of a player's; `begin` tells the optimisers that must know where one begins. What they
remember is in `state`, weight by weight, beside Adam's own.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor
from torch.optim import Adam, Optimizer

from ..errors import InputError

Make = Callable[[Sequence[Tensor]], Optimizer]


@runtime_checkable
class Paced(Protocol):
    """An optimiser that must know which step of the run is next."""

    def begin(self, turn: int) -> None:
        """Step number `turn` of the run, from 0, begins."""
        ...


class _Saddle(Adam):
    """Adam without momentum, one fused kernel for all weights; its rate and second decay are set before every step."""

    alike = False  # all weights of one type on one device; a copy of an optimiser does without

    def __init__(self, weights: Sequence[Tensor]) -> None:
        # on 2 CPU cores the fused kernel takes about a third of the time of the loop over weights
        super().__init__(list(weights), lr=0.0, betas=(0.0, 0.9), eps=1e-8, fused=True)
        self.alike = len({(w.device, w.dtype) for w in weights}) == 1

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        """As `Adam.step` without a closure, whose hooks and sorting take longer than the kernel in small networks."""
        if not self.alike:
            super().step()
            return
        for group in self.param_groups:
            weights = [w for w in group["params"] if w.grad is not None]
            if not weights:
                continue
            kept = [self._memory(w) for w in weights]
            means, squares, counts = ([memory[name] for memory in kept] for name in ("exp_avg", "exp_avg_sq", "step"))
            torch._foreach_add_(counts, 1)
            torch._fused_adam_(
                weights,
                [w.grad for w in weights],
                means,
                squares,
                [],
                counts,
                lr=group["lr"],
                beta1=group["betas"][0],
                beta2=group["betas"][1],
                weight_decay=0.0,
                eps=group["eps"],
                amsgrad=False,
                maximize=False,
            )

    step.hooked = True  # type: ignore[attr-defined]

    def _memory(self, weight: Tensor) -> dict[str, Tensor]:
        """What Adam remembers of a weight, by its names."""
        memory: dict[str, Tensor] = self.state[weight]
        if "step" not in memory:
            memory["step"] = torch.zeros((), device=weight.device, dtype=torch.float32)
            memory["exp_avg"], memory["exp_avg_sq"] = torch.zeros_like(weight), torch.zeros_like(weight)
        return memory

    def _moving(self) -> list[Tensor]:
        """The weights that this step moves."""
        return [w for group in self.param_groups for w in group["params"] if w.grad is not None]

    def _kept(self, name: str, weights: Sequence[Tensor]) -> list[Tensor]:
        """What is remembered of each by that name; empty where nothing is."""
        return [self.state[w][name] for w in weights if name in self.state.get(w, {})]

    def _keep(self, name: str, weights: Sequence[Tensor], values: Sequence[Tensor]) -> None:
        for w, value in zip(weights, values, strict=True):
            self.state[w][name] = value


def adam(weights: Sequence[Tensor]) -> Optimizer:
    """Adam without momentum; its rate and second decay are set before every step."""
    return _Saddle(weights)


def momentum(weights: Sequence[Tensor]) -> Optimizer:
    """Adam with beta1 = .9."""
    made = _Saddle(weights)
    for group in made.param_groups:
        group["betas"] = (0.9, group["betas"][1])
    return made


class Optimistic(_Saddle):
    """w <- w - 2 eta d + (the step before, eta d): each move is corrected by how the last one differed."""

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        weights = self._moving()
        before = [w.clone() for w in weights]
        super().step()
        move = torch._foreach_sub(weights, before)
        torch._foreach_add_(weights, move)
        last = self._kept("move", weights)
        if last:
            torch._foreach_sub_(weights, last)
        self._keep("move", weights, move)


class Extragradient(_Saddle):
    """Steps of the run in pairs: the first looks ahead, the second starts again from where the first did."""

    ahead = True

    def begin(self, turn: int) -> None:
        self.ahead = turn % 2 == 0

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        weights = self._moving()
        origin = self._kept("origin", weights)
        if self.ahead and not origin:
            before = [w.clone() for w in weights]
            super().step()
            self._keep("origin", weights, before)
            return
        if not self.ahead and origin:
            torch._foreach_copy_(weights, origin)
            for w in weights:
                del self.state[w]["origin"]
        super().step()


class Lookahead(_Saddle):
    """Every `every` steps of the run, w <- slow <- slow + rate (w - slow)."""

    def __init__(self, weights: Sequence[Tensor], *, every: int = 5, rate: float = 0.5) -> None:
        super().__init__(weights)
        self.every, self.rate = every, rate

    @torch.no_grad()
    def begin(self, turn: int) -> None:
        """Both players go back here, between two steps of the run, so that neither meets the other half-way."""
        if turn and turn % self.every == 0:
            weights = [w for w in self.state if "slow" in self.state[w]]
            slow = self._kept("slow", weights)
            torch._foreach_lerp_(slow, weights, self.rate)
            torch._foreach_copy_(weights, slow)

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        weights = self._moving()
        first = [] if self._kept("slow", weights) else [w.clone() for w in weights]
        super().step()
        if first:
            self._keep("slow", weights, first)


OPTIMISERS: Mapping[str, Make] = MappingProxyType(
    {
        "adam": adam,
        "optimistic": Optimistic,
        "extragradient": Extragradient,
        "lookahead": Lookahead,
        "momentum": momentum,
    }
)


def optimiser(name: str) -> Make:
    """What makes the optimiser of that name; an unknown name raises `InputError` with the known ones."""
    if name not in OPTIMISERS:
        raise InputError(f"unknown optimiser {name!r}; known: {', '.join(OPTIMISERS)}")
    return OPTIMISERS[name]
