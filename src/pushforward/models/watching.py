"""What looks on while a model trains: the monitor of its diagnostics, the auditor that may end it, and the velocity
that some follow."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from ..data.codec import Codec
from ..data.dataset import Dataset
from ..data.matrix import Matrix
from ..data.writing import to_container
from ..errors import InputError
from ..objectives import Objective
from ..training.batches import derive
from ..training.draw import Moment
from ..training.loop import State
from .drawing import draw, rng

if TYPE_CHECKING:
    from ..flow import Velocity
    from ..training.diagnostics import Monitor
    from ..training.stopping import Auditor, Closing

SEEN = 20_000  # rows of each side that the monitor prepares itself by, at most
MOST_FAKES = {"points": 40_000, "table": 40_000, "images": 6_000}  # of one audit
FEWEST_HELD = 240  # rows that an auditor needs: two parts


class Along(nn.Module):
    """A velocity of `flow` as the step calls it: estimated from the rows of all processes, for this one's samples."""

    def __init__(self, velocity: Velocity) -> None:
        super().__init__()
        self.velocity = velocity  # registered, and so checkpointed, where it is a module

    def forward(self, y: Tensor, x: Tensor, moment: Moment) -> Tensor:
        where = moment.draw
        x, y = where.gather(x), where.gather(y)
        update = getattr(self.velocity, "update", None)
        if update is not None:
            update(y, x, progress=moment.progress, generator=where.generator)
        return where.mine(self.velocity(y, x, progress=moment.progress, generator=where.generator))


class _Summed(nn.Module):
    """The scores of all games of a critic as one."""

    def __init__(self, critic: nn.Module) -> None:
        super().__init__()
        self.critic = critic

    def forward(self, rows: Tensor) -> Tensor:
        scores: Tensor = self.critic(rows).sum(1)
        return scores


class Monitored:
    """The diagnostics of `training.diagnostics`, prepared at the first look."""

    def __init__(
        self, codec: Codec, rows: Tensor, held: Dataset | None, objective: Objective | None, seed: int
    ) -> None:
        self.codec, self.rows, self.held, self.objective, self.seed = codec, rows, held, objective, seed
        self.monitor: Monitor | None = None

    def __call__(self, state: State) -> dict[str, float]:
        monitor = self._prepared(state.device)
        critic = state.critic.network if state.critic else None
        shape, objective = getattr(critic, "shape", None), self.objective
        if shape is not None and (shape.pack > 1 or shape.deviation):
            critic = None  # it has no score for a row by itself
        if critic is not None and getattr(critic, "games", 1) > 1:
            critic, objective = _Summed(critic), None  # independent games: their log ratios add up
        return monitor(state.step, state.generator.network, state.average, critic, objective)

    def _prepared(self, device: torch.device) -> Monitor:
        from ..training.diagnostics import Monitor

        if self.monitor is None:
            some = torch.randperm(len(self.rows), generator=rng(self.seed, "watched"))[:SEEN].to(self.rows.device)
            train = self.codec.expand(self.rows[some].to(device))
            held = None
            if self.held is not None:
                kept = self.held.take(torch.arange(min(SEEN, len(self.held))))
                held = self.codec.expand(self.codec.encode(kept).to(device))
            self.monitor = Monitor(train, held, seed=derive(self.seed, "monitor"))
        return self.monitor

    def tree(self) -> dict[str, Any]:
        return {"monitor": self.monitor.tree() if self.monitor else None}

    def restore(self, tree: dict[str, Any]) -> None:
        if tree["monitor"] is None:
            self.monitor = None
        else:
            self._prepared(self.rows.device).restore(tree["monitor"])


def watched(state: State, codec: Codec) -> Callable[..., Any]:
    """What draws rows while a run goes on: `Event.sample`."""

    def sample(n: int, *, averaged: bool = True, seed: int = 0) -> Any:
        network = state.average if averaged else state.generator.network
        training = network.training
        network.eval()
        try:
            return to_container(draw(network, codec, n, seed))
        finally:
            network.train(training)

    return sample


class Audited:
    """The auditor of `training.stopping` at work on a run, and the average that it judged best so far.

    One half of the rows held out is watched, the other kept for the closing figure. That there is no progress is heard
    only from step `settled` on: until then the run changes its own rules, and what does not yet help may be meant to.
    """

    def __init__(
        self, auditor: Auditor, matrix: Matrix, codec: Codec, average: nn.Module, *, settled: int, seed: int
    ) -> None:
        self.auditor, self.matrix, self.codec, self.settled, self.seed = auditor, matrix, codec, settled, seed
        self.best = copy.deepcopy(average)

    @classmethod
    def of(
        cls,
        train: Dataset,
        held: Dataset,
        codec: Codec,
        average: nn.Module,
        *,
        tolerance: float,
        settled: int,
        seed: int,
    ) -> Audited:
        from ..training.stopping import Auditor

        if len(held) < FEWEST_HELD:
            raise InputError(
                f"{len(held)} rows are too few for an audit (until='indistinguishable'); hold out at least "
                f"{FEWEST_HELD}, or train without it"
            )
        watched, closing = held.split(0.5, seed=derive(seed, "audit"))
        matrix = Matrix.fit(train)  # the coding must not have seen a row that is judged
        auditor = Auditor(matrix(watched), matrix(closing), tolerance=tolerance, seed=derive(seed, "auditor") % 2**31)
        return cls(auditor, matrix, codec, average, settled=settled, seed=seed)

    def __call__(self, state: State) -> dict[str, Any]:
        found = self.auditor.audit(state.step, self._fakes(state.average, self.auditor.fakes_wanted, state.step))
        if self.auditor.best_step == state.step:
            self.best.load_state_dict(state.average.state_dict())
        shown = ("auc", "auc_stderr", "auc_upper", "auc_lower", "lost", "lost_upper", "p_value", "detectable", "judge")
        record = found.record()
        return {name if name.startswith("auc") else f"audit_{name}": record[name] for name in shown}

    def warning(self) -> str:
        """Said at the start where the rows held out are too few for the tolerance; empty where they are enough."""
        reach = self.auditor.reach()
        if reach <= self.auditor.tolerance:
            return ""
        return (
            f"with so few rows held out, even a perfect generator would hardly be found under the tolerance "
            f"{self.auditor.tolerance:g} (from {reach:.3f} on it would be): hold out more rows, or raise the tolerance"
        )

    def stop(self) -> str:
        decision = self.auditor.decision()
        early = not self.auditor.audits or self.auditor.audits[-1].step < self.settled
        if decision == "go on" or (decision == "no progress" and early):
            return ""
        last, best = self.auditor.audits[-1], self.auditor.best_step
        if decision == "indistinguishable":
            return (
                f"stopped at step {last.step}: indistinguishable by the auditor (upper bound of its AUC "
                f"{last.auc_upper:.3f}, tolerance {self.auditor.tolerance:g})"
            )
        return (
            f"stopped at step {last.step}: the auditor sees no progress any more (AUC {last.auc.value:.3f}; it would "
            f"have noticed {last.detectable:.3f}); the model of step {best} is kept"
        )

    def close(self) -> Closing | None:
        """The closing figure of the best average, on rows that nothing had looked at; None if there was no audit."""
        if not self.auditor.audits:
            return None
        return self.auditor.close(self._fakes(self.best, self.auditor.fakes_wanted_to_close, -1))

    def _fakes(self, average: nn.Module, wanted: int, number: int) -> Any:
        n = min(wanted, MOST_FAKES[self.codec.kind])
        return self.matrix(draw(average, self.codec, n, derive(self.seed, "audit", number)))

    def tree(self) -> dict[str, Any]:
        return {"auditor": self.auditor.tree(), "best": self.best.state_dict()}

    def restore(self, tree: dict[str, Any]) -> None:
        self.auditor.restore(tree["auditor"])
        self.best.load_state_dict(tree["best"])
