"""The loop: steps, the moving average, the history, checkpoints, and the ways a run can end.

    for step in range(steps):
        figures += step(...)                         # adversarial, or a regression: see step.py
        average <- average + (1 - decay) (weights - average)
        now and then: record the mean figures; look closer (`monitor`); ask the auditor (`audit`); write a checkpoint

It runs on Lightning Fabric (device, precision, processes). Nothing is read back from the device between two records.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol, cast, runtime_checkable

import torch
from torch import Tensor, nn

from . import checkpoint, ema, heap
from .batches import Batches, derive
from .diagnose import all_finite, diverged, divergence
from .diagnostics import alarms
from .draw import Draw, Moment
from .history import History
from .player import Player
from .progress import Event, Kind, Reporter
from .schedule import Schedule
from .signals import graceful
from .step import Generator, Rules, step

if TYPE_CHECKING:
    from lightning_fabric import Fabric

Outcome = Literal["finished", "interrupted", "stopped"]


@runtime_checkable
class Kept(Protocol):
    """Something with a memory of its own that a checkpoint must hold."""

    def tree(self) -> dict[str, Any]: ...

    def restore(self, tree: dict[str, Any]) -> None: ...


@runtime_checkable
class Monitor(Kept, Protocol):
    """A closer look at the players: more figures for the history."""

    def __call__(self, state: State) -> dict[str, float]: ...


@runtime_checkable
class Audit(Kept, Protocol):
    """Whether the run should go on; called with the moving average as it is."""

    def __call__(self, state: State) -> dict[str, float]: ...

    def stop(self) -> str:
        """Why to stop now; empty to go on."""
        ...


@dataclass(eq=False)
class State:
    """All that a run changes: a checkpoint holds it, and nothing else is needed to go on."""

    generator: Player
    critic: Player | None
    average: nn.Module  # the generator's moving average
    rules: Rules
    device: torch.device
    monitor: Monitor | None = None
    audit: Audit | None = None
    step: int = 0
    seconds: float = 0.0
    summed: int = 0  # steps in `sums` since the last record
    sums: Tensor = field(init=False)

    def __post_init__(self) -> None:
        self.averaged = list(self.average.parameters())
        self.memory = nn.ModuleList(self.rules.regularisers).to(self.device)
        if isinstance(self.rules.velocity, nn.Module):
            self.memory.append(self.rules.velocity.to(self.device))
        self.sums = torch.zeros(len(self.rules.figures), device=self.device)

    @property
    def players(self) -> list[Player]:
        return [self.generator] + ([self.critic] if self.critic else [])

    def _kept(self) -> dict[str, Any]:
        named = {
            "generator": self.generator,
            "critic": self.critic,
            "monitor": self.monitor,
            "audit": self.audit,
        }
        return {name: kept for name, kept in named.items() if kept is not None}

    def tree(self) -> dict[str, Any]:
        return {
            **{name: kept.tree() for name, kept in self._kept().items()},
            "average": self.average.state_dict(),
            "memory": self.memory.state_dict(),
            "step": self.step,
            "seconds": self.seconds,
            "summed": self.summed,
            "sums": self.sums,
        }

    def restore(self, tree: dict[str, Any]) -> None:
        for name, kept in self._kept().items():
            kept.restore(tree[name])
        self.average.load_state_dict(tree["average"])
        self.memory.load_state_dict(tree["memory"])
        self.step, self.seconds, self.summed = tree["step"], tree["seconds"], tree["summed"]
        self.sums = tree["sums"].to(self.device)

    def stop(self) -> str:
        """Why to stop now, by the audit or by a monitor that may say so; empty to go on."""
        lookers = (self.audit, self.monitor)
        return next((why for one in lookers if isinstance(one, Audit) and (why := one.stop())), "")

    def finite(self) -> bool:
        return all_finite([weight for player in self.players for weight in player.weights])


@dataclass(frozen=True)
class Settings:
    """How a run goes: how long, and how often it records, looks and saves."""

    schedule: Schedule
    half_life: int  # of the moving average, in rows
    seed: int
    log_every: int
    monitor_every: int = 0  # in steps, a multiple of log_every; 0: never
    audit_every: int = 0  # likewise
    checkpoint_steps: int | None = None
    checkpoint_seconds: float = 30.0


def advance(state: State, settings: Settings, batches: Batches, draw: Draw) -> None:
    """One step of the run, with everything random a function of (seed, step)."""
    plan, rules = settings.schedule.at(state.step), state.rules
    draw.generator.manual_seed(derive(settings.seed, "step", state.step))
    for player in state.players:
        player.set(plan)
    batches.drawn = state.step * (rules.n_critic if state.critic else 1)
    figures = step(
        rules,
        cast(Generator, state.generator.network),
        state.critic.network if state.critic else None,
        state.generator,
        state.critic,
        batches,
        Moment(state.step, settings.schedule.steps, draw),
    )
    state.sums += torch.stack([figures[name] for name in rules.figures])
    decay = ema.decay_at(state.step, batches.batch_size, settings.half_life)
    ema.update(state.averaged, state.generator.weights, decay)
    state.step += 1
    state.summed += 1


def drawer(state: State, fabric: Fabric) -> Draw:
    """What this process draws by, in step with the others."""

    def gather(rows: Tensor) -> Tensor:
        if fabric.world_size == 1:
            return rows
        return cast(Tensor, fabric.all_gather(rows, sync_grads=True)).flatten(0, 1)

    return Draw(torch.Generator(state.device), fabric.global_rank, fabric.world_size, gather)


def run(
    state: State,
    settings: Settings,
    batches: Batches,
    fabric: Fabric,
    *,
    history: History,
    out: Path | None = None,
    report: Reporter = lambda event: None,
) -> Outcome:
    """Advance `state` to the schedule's last step, until the audit says stop, or until SIGINT or SIGTERM, and leave a
    checkpoint in `out`.

    Raises `TrainingDiverged` when a loss or weight is no longer a sensible number; the last checkpoint was written
    while all were.
    """
    steps = settings.schedule.steps
    draw = drawer(state, fabric)
    clock = time.monotonic() - state.seconds
    kept, saved_at = (state.step or None), time.monotonic()
    message = ""
    name = state.rules.objective.name if state.rules.objective else ""

    def emit(kind: Kind, record: dict[str, Any] | None = None, message: str = "") -> None:
        if fabric.is_global_zero:
            report(Event(kind, state.step, steps, state.seconds, record or {}, message))

    told = {alarm.name for alarm in alarms(history.records)}  # of a run that is resumed

    def look_out() -> None:
        for alarm in alarms(history.records):
            if alarm.name not in told:
                told.add(alarm.name)
                emit("alarm", message=str(alarm))

    def keep() -> None:
        nonlocal kept, saved_at
        if not state.finite() or not bool(state.sums.isfinite().all()):
            raise divergence(state.step, name, kept)
        if out and kept != state.step:
            if fabric.is_global_zero:
                history.sync()
                checkpoint.save(out, state.step, state.tree())
            kept, saved_at = state.step, time.monotonic()
            emit("checkpoint")

    why = state.stop()
    emit("start")
    try:
        with graceful() as asked, fabric.autocast(), heap.kept():
            while state.step < steps and not asked.requested and not why:
                advance(state, settings, batches, draw)
                state.seconds = time.monotonic() - clock
                if state.step % settings.log_every == 0 or state.step == steps:
                    record = _record(state, settings, fabric)
                    wrong = diverged({figure: record[figure] for figure in state.rules.figures})
                    if wrong:
                        raise divergence(state.step, name, kept, wrong)
                    history.append(record)
                    plain = {k: v for k, v in record.items() if k != "step" and isinstance(v, int | float)}
                    fabric.log_dict(plain, step=state.step)
                    emit("log", record)
                    if state.monitor and settings.monitor_every and state.step % settings.monitor_every == 0:
                        look_out()
                    why = state.stop()
                if out and _due(state.step, saved_at, settings):
                    keep()
            keep()
        if why:
            message = why
        elif state.step < steps:
            message = f"interrupted at step {state.step} of {steps}" + ("; resume continues from here" if out else "")
        return "stopped" if why else "finished" if state.step == steps else "interrupted"
    finally:
        emit("end", message=message)


def calibrate(
    state: State,
    settings: Settings,
    batches: Batches,
    fabric: Fabric,
    budget: float,
    *,
    trial: float = 2.0,
    warm_up: int = 2,
) -> int:
    """How many steps fit into `budget` seconds: the median of a few timed ones. `state` is put back as it was."""
    before = checkpoint.unpack(*checkpoint.pack(state.tree()))
    draw = drawer(state, fabric)
    times: list[float] = []
    started = time.monotonic()
    with heap.kept():
        while len(times) < warm_up + 3 or (time.monotonic() - started < min(trial, budget / 20) and len(times) < 200):
            began = time.monotonic()
            advance(state, settings, batches, draw)
            state.sums.sum().item()  # wait for the device
            times.append(time.monotonic() - began)
    state.restore(before)
    return max(1, int(budget / sorted(times[warm_up:])[len(times[warm_up:]) // 2]))


def _due(step: int, saved_at: float, settings: Settings) -> bool:
    if settings.checkpoint_steps:
        return step % settings.checkpoint_steps == 0
    return time.monotonic() - saved_at >= settings.checkpoint_seconds


def _record(state: State, settings: Settings, fabric: Fabric) -> dict[str, Any]:
    """Mean figures since the last record, gradient norms of the last step, what the schedule and the regularisers had
    set; and, when it is their turn, what the monitor and the audit found."""
    plan = settings.schedule.at(state.step - 1)
    norms = {"generator_gradient": state.generator.gradient_norm()}
    if state.critic:
        norms["critic_gradient"] = state.critic.gradient_norm()
    if fabric.world_size > 1:  # every process has summed over its own rows
        state.sums = cast(Tensor, fabric.all_reduce(state.sums, reduce_op="mean"))
    values = torch.cat([state.sums / state.summed, torch.stack(list(norms.values()))]).tolist()  # one transfer
    state.sums, state.summed = torch.zeros_like(state.sums), 0
    record: dict[str, Any] = {"step": state.step, **dict(zip((*state.rules.figures, *norms), values, strict=True))}
    for one in state.rules.regularisers:
        record |= one.figures((state.step - 1) / settings.schedule.steps)
    last = state.step == settings.schedule.steps
    for look, every in ((state.monitor, settings.monitor_every), (state.audit, settings.audit_every)):
        if look and every and (state.step % every == 0 or (last and state.step > every)):
            record |= look(state)
    return {**record, "learning_rate": plan.learning_rate, "seconds": round(state.seconds, 3)}
