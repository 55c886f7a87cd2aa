"""The loop: steps, the moving average, the history, checkpoints, and the ways a run can end.

    for step in range(steps):
        figures += step(...)                         # adversarial: see step.py
        average <- average + (1 - decay) (weights - average)
        now and then: record the mean figures; write a checkpoint

It runs on Lightning Fabric (device, precision, processes). Nothing is read back from the device between two records.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast

import torch
from torch import Tensor, nn

from . import checkpoint, ema
from .batches import Batches, derive
from .diagnose import all_finite, diverged, divergence, norm
from .history import History
from .progress import Event, Reporter
from .schedule import Plan, Schedule
from .signals import graceful
from .step import FIGURES, Generator, Rules, step

if TYPE_CHECKING:
    from lightning_fabric import Fabric


class Player:
    """A network and its Adam; calling it with a loss descends one step, in this network's weights alone."""

    def __init__(self, network: nn.Module, fabric: Fabric) -> None:
        self.network = network
        self.fabric = fabric
        self.weights = list(network.parameters())
        # one fused kernel for all weights: on 2 CPU cores about a third of the time of the loop over weights
        self.adam = torch.optim.Adam(self.weights, lr=0.0, betas=(0.0, 0.9), eps=1e-8, fused=True)

    def set(self, plan: Plan) -> None:
        self.adam.param_groups[0].update(lr=plan.learning_rate, betas=(0.0, plan.beta2))

    def __call__(self, loss: Tensor) -> None:
        self.adam.zero_grad()
        self.fabric.backward(loss, inputs=self.weights)
        if self.fabric.world_size > 1:
            self._average_gradients()
        self.adam.step()

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
        state = self.adam.state
        return {
            "network": self.network.state_dict(),
            "adam": [dict(state[weight]) if weight in state else {} for weight in self.weights],
        }

    def restore(self, tree: dict[str, Any]) -> None:
        self.network.load_state_dict(tree["network"])
        for weight, moments in zip(self.weights, tree["adam"], strict=True):
            self.adam.state[weight] = {name: value.to(weight.device) for name, value in moments.items()}


@dataclass(eq=False)
class State:
    """All that a run changes: a checkpoint holds it, and nothing else is needed to go on."""

    generator: Player
    critic: Player
    average: nn.Module  # the generator's moving average
    device: torch.device
    step: int = 0
    seconds: float = 0.0
    summed: int = 0  # steps in `sums` since the last record
    sums: Tensor = field(init=False)

    def __post_init__(self) -> None:
        self.sums = torch.zeros(len(FIGURES), device=self.device)

    def tree(self) -> dict[str, Any]:
        return {
            "generator": self.generator.tree(),
            "critic": self.critic.tree(),
            "average": self.average.state_dict(),
            "step": self.step,
            "seconds": self.seconds,
            "summed": self.summed,
            "sums": self.sums,
        }

    def restore(self, tree: dict[str, Any]) -> None:
        self.generator.restore(tree["generator"])
        self.critic.restore(tree["critic"])
        self.average.load_state_dict(tree["average"])
        self.step, self.seconds, self.summed = tree["step"], tree["seconds"], tree["summed"]
        self.sums = tree["sums"].to(self.device)

    def finite(self) -> bool:
        return all_finite([*self.generator.weights, *self.critic.weights])


@dataclass(frozen=True)
class Settings:
    """How a run goes: what one step does, how long, and how often it records and saves."""

    rules: Rules
    schedule: Schedule
    n_critic: int
    half_life: int  # of the moving average, in rows
    seed: int
    log_every: int
    checkpoint_steps: int | None = None
    checkpoint_seconds: float = 30.0
    view: Callable[[Tensor, torch.Generator], Tensor] | None = None  # what the critic sees of a batch
    watch: Callable[[State], dict[str, Tensor]] | None = None  # more figures for every record


def advance(state: State, settings: Settings, batches: Batches, rng: torch.Generator, rank: int = 0) -> None:
    """One step of the run, with everything random a function of (seed, rank, step)."""
    plan = settings.schedule.at(state.step)
    rng.manual_seed(derive(settings.seed, "step", rank, state.step))
    state.generator.set(plan)
    state.critic.set(plan)
    batches.drawn = state.step * settings.n_critic
    see = settings.view
    state.sums += step(
        settings.rules,
        cast(Generator, state.generator.network),
        state.critic.network,
        state.generator,
        state.critic,
        batches,
        n_critic=settings.n_critic,
        weight=plan.weight,
        rng=rng,
        view=(lambda batch: see(batch, rng)) if see else (lambda batch: batch),
    )
    decay = ema.decay_at(state.step, batches.batch_size, settings.half_life)
    ema.update(state.average.parameters(), state.generator.weights, decay)
    state.step += 1
    state.summed += 1


def run(
    state: State,
    settings: Settings,
    batches: Batches,
    fabric: Fabric,
    *,
    history: History,
    out: Path | None = None,
    report: Reporter = lambda event: None,
) -> Literal["finished", "interrupted"]:
    """Advance `state` to the schedule's last step, or until SIGINT or SIGTERM, and leave a checkpoint in `out`.

    Raises `TrainingDiverged` when a loss or weight is no longer a sensible number; the last checkpoint was written
    while all were.
    """
    steps = settings.schedule.steps
    rng = torch.Generator(state.device)
    clock = time.monotonic() - state.seconds
    kept, saved_at = (state.step or None), time.monotonic()
    message = ""

    def emit(kind: Literal["start", "log", "checkpoint", "end"], record: dict[str, Any] | None = None) -> None:
        if fabric.is_global_zero:
            report(Event(kind, state.step, steps, state.seconds, record or {}, message))

    def keep() -> None:
        nonlocal kept, saved_at
        if not state.finite() or not bool(state.sums.isfinite().all()):
            raise divergence(state.step, settings.rules.objective.name, kept)
        if out and kept != state.step:
            if fabric.is_global_zero:
                history.sync()
                checkpoint.save(out, state.step, state.tree())
            kept, saved_at = state.step, time.monotonic()
            emit("checkpoint")

    emit("start")
    try:
        with graceful() as stop, fabric.autocast():
            while state.step < steps and not stop.requested:
                advance(state, settings, batches, rng, fabric.global_rank)
                state.seconds = time.monotonic() - clock
                if state.step % settings.log_every == 0 or state.step == steps:
                    record = _record(state, settings)
                    if diverged({name: record[name] for name in FIGURES}):
                        raise divergence(state.step, settings.rules.objective.name, kept)
                    history.append(record)
                    fabric.log_dict({k: v for k, v in record.items() if k != "step"}, step=state.step)
                    emit("log", record)
                if out and _due(state.step, saved_at, settings):
                    keep()
            keep()
        if state.step < steps:
            message = f"interrupted at step {state.step} of {steps}" + ("; resume continues from here" if out else "")
        return "finished" if state.step == steps else "interrupted"
    finally:
        emit("end")


def calibrate(
    state: State, settings: Settings, batches: Batches, budget: float, *, trial: float = 2.0, warm_up: int = 2
) -> int:
    """How many steps fit into `budget` seconds: the median of a few timed ones. `state` is put back as it was."""
    before = checkpoint.unpack(*checkpoint.pack(state.tree()))
    rng = torch.Generator(state.device)
    times: list[float] = []
    started = time.monotonic()
    while len(times) < warm_up + 3 or (time.monotonic() - started < min(trial, budget / 20) and len(times) < 200):
        began = time.monotonic()
        advance(state, settings, batches, rng)
        state.sums.sum().item()  # wait for the device
        times.append(time.monotonic() - began)
    state.restore(before)
    return max(1, int(budget / sorted(times[warm_up:])[len(times[warm_up:]) // 2]))


def _due(step: int, saved_at: float, settings: Settings) -> bool:
    if settings.checkpoint_steps:
        return step % settings.checkpoint_steps == 0
    return time.monotonic() - saved_at >= settings.checkpoint_seconds


def _record(state: State, settings: Settings) -> dict[str, Any]:
    """Mean figures since the last record, gradient norms of the last step, and what the schedule had set."""
    plan = settings.schedule.at(state.step - 1)
    more = {
        "generator_gradient": state.generator.gradient_norm(),
        "critic_gradient": state.critic.gradient_norm(),
        **(settings.watch(state) if settings.watch else {}),
    }
    values = torch.cat([state.sums / state.summed, torch.stack(list(more.values()))]).tolist()  # one transfer
    state.sums, state.summed = torch.zeros_like(state.sums), 0
    names = (*FIGURES, *more)
    return {
        "step": state.step,
        **dict(zip(names, values, strict=True)),
        "learning_rate": plan.learning_rate,
        "penalty_weight": plan.weight,
        "seconds": round(state.seconds, 3),
    }
