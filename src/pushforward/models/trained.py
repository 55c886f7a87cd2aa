"""What all models share that are trained by steps: fitting, the run's folder, and a saved model's way back.

A family adds its constructor and its rules, what one step of training does; `one_pass.py` and `neural.py` add what can
be done with the network that was trained.
"""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import torch
from torch import Tensor, nn

from ..data.codec import Codec
from ..data.dataset import Dataset
from ..data.sources import read as read_data
from ..errors import InputError
from ..training import checkpoint
from ..training.batches import Batches, settle
from ..training.diagnose import TrainingDiverged
from ..training.history import History, Record
from ..training.loop import Monitor, Settings, State, run
from ..training.progress import Event, Reporter, reporter
from ..training.schedule import Schedule
from . import networks, saving, setup
from .base import Estimator
from .engine import engine
from .folder import HISTORY, MODEL, identity, read_model
from .identity import fingerprint, same_data, same_parameters
from .setup import Game
from .watching import Audited, Monitored, watched

if TYPE_CHECKING:
    from lightning_fabric import Fabric

Self = TypeVar("Self", bound="Trained")

NOT_OF_THE_RUN = ("device", "checkpoint_every")  # parameters that may change when a run is resumed


class Trained(Estimator, ABC):
    """A network, `generator_`, fitted to points `(n, d)`, tables or images by steps.

    Learned: `history_` (list of records), `steps_` (planned), `steps_done_`, `interrupted_`, `stopped_` (why it ended
    before the last step, or empty), `closing_` (the audit's closing figure, or None), `generator_` (the averaged one),
    `critic_` (None where there is none), `codec_`, `gamma_` (first and last weight of a zero-centred penalty),
    `calibration_` (of the critic's scores, see `refine`; None where they say nothing of single rows), `id_` (of this
    model, recorded with all it makes).
    """

    # what every family's constructor has
    steps: int | None
    time_budget: float | None
    batch_size: int | None
    learning_rate: float | None
    width: int | None
    depth: int | None
    until: str | None
    tolerance: float
    checkpoint_every: int | None
    precision: str
    device: str
    seed: int

    @abstractmethod
    def _game(self) -> Game:
        """What this family plays, by its parameters; those that make no sense are refused (`InputError`)."""

    def _codec(self, dataset: Dataset) -> tuple[Codec, Tensor]:
        """The codec fitted on the training rows, and the rows encoded (compact)."""
        return setup.encode(dataset, self.seed)

    def _describe(self, codec: Codec, rows: Tensor) -> dict[str, Any]:
        """What `_networks` needs beside the sizes: JSON-able, kept in `model.json`."""
        return {}

    def _train_rows(self, rows: Tensor) -> Tensor:
        """The encoded rows to train on: all, or what remains where some are kept back."""
        return rows

    def _schedule(self, steps: int, learning_rate: float) -> Schedule:
        """What changes over the run."""
        return Schedule(steps, learning_rate)

    def _chances(self) -> Tensor | None:
        """How often each training row is to be drawn, `(n,)`; None for all alike. Asked after `_describe`."""
        return None

    def _recipe(self, codec: Codec, game: Game) -> networks.Recipe:
        """The settings that its parameters leave open."""
        return networks.recipe(codec, velocity=game.velocity)

    def _monitor(self, game: Game, codec: Codec, rows: Tensor, held: Dataset | None, average: nn.Module) -> Monitor:
        """What looks on while it trains; what also has `best`, a network, and `stop` chooses and ends (`State`)."""
        return Monitored(codec, rows, held, game.objective, self.seed)

    def _networks(
        self, codec: Codec, network: Mapping[str, Any], generator: torch.Generator
    ) -> tuple[nn.Module, nn.Module | None]:
        """(generator, critic) as `network` says, their first weights drawn from `generator`; at fit and at load.

        A generator may have `warm_start(rows, *, generator)`, which is given expanded training rows before the game.
        """
        return networks.build(codec, **network, generator=generator)

    # ---- fit

    def fit(
        self: Self,
        data: Any,
        *,
        holdout: Any = None,
        out: str | os.PathLike[str] | None = None,
        resume: bool = False,
        log: str | None = None,
        progress: bool | Reporter = True,
    ) -> Self:
        """Learn to draw rows like those of `data`: a `Dataset`, or anything `data.sources.read` reads.

        holdout: rows kept out of training. What the critic makes of them is recorded (it sees training rows ever
            better as it learns them by heart), and with `until` an auditor tests the samples against them; without
            any, `until` keeps a fifth of `data` out itself.
        out: the run folder: the model, its history and its checkpoints. resume: go on from its last whole checkpoint,
            bit for bit as if never stopped; where no run was begun, it begins.
        log: `csv`, `tensorboard` or `wandb`, besides the history.
        progress: True for a bar (or plain lines, when piped), False for silence, or a function that takes
            `training.progress.Event`s, by which it can also draw samples on the way.

        SIGINT (Ctrl-C) and SIGTERM end it after the step in progress with `interrupted_` True, and in `out` a
        checkpoint. Raises `InputError` for data, folders or parameters that cannot be used, and `TrainingDiverged`
        (one too).
        """
        setup.check(self)
        self._game()
        dataset, held = rows_of(data), None if holdout is None else rows_of(holdout)
        return self._fit(dataset, held, out=out, resume=resume, log=log, progress=progress)

    def _fit(
        self: Self,
        dataset: Dataset,
        held: Dataset | None,
        *,
        out: str | os.PathLike[str] | None,
        resume: bool,
        log: str | None,
        progress: bool | Reporter,
    ) -> Self:
        """`fit` on data that are read."""
        setup.check(self)
        game = self._game()
        folder = None if out is None else Path(out)
        if folder:
            saving.parameters(self)  # an objective without a name is refused before it has cost anything
        fabric = engine(self.device, log, folder, precision=self.precision)
        saved = None if folder is None else saving.previous(folder, resume)
        fabric.barrier()
        if self.until and held is None:
            dataset, held = dataset.split(setup.AUDITED, seed=self.seed)
        self.data_ = fingerprint(dataset)
        if self.until and held is not None:  # the auditor must go on with the rows that it began with
            self.data_["holdout"] = fingerprint(held)["sha256"]
        if folder and saved:
            same_data(folder, saved["run"]["data"], self.data_)
            same_parameters(folder, saved["parameters"], saving.parameters(self), NOT_OF_THE_RUN)
            if saved["run"]["status"] == "finished":
                saving.adopt(self, folder, saved)
                return self
        show = reporter(progress)
        show(Event("prepare", 0, 0, 0.0, message=f"reading {len(dataset):,} rows of {dataset.kind} into shape"))
        state, settings, batches = self._begin(game, dataset, held, saved, fabric)
        if folder and saved:
            saving.restore(state, folder)
        if isinstance(state.audit, Audited) and state.audit.warning():
            show(Event("prepare", 0, 0, 0.0, message=state.audit.warning()))
        history = self._open(folder if fabric.is_global_zero else None, state)
        if callable(progress) and hasattr(self, "sample") and not hasattr(self, "translate"):
            look = watched(state, self.codec_)
            show = lambda event: progress(replace(event, sample=look))  # noqa: E731
        try:
            outcome = run(state, settings, batches, fabric, history=history, out=folder, report=show)
        except TrainingDiverged:
            if folder and fabric.is_global_zero:
                self._keep_last_good(folder, state)
            raise
        finally:
            for logger in fabric.loggers:
                logger.finalize("finished")
        self._finish(state, outcome)
        self._calibrate(dataset, held)
        if folder and fabric.is_global_zero:
            saving.write(self, folder, outcome)
        return self

    def _begin(
        self, game: Game, dataset: Dataset, held: Dataset | None, saved: dict[str, Any] | None, fabric: Fabric
    ) -> tuple[State, Settings, Batches]:
        """Encode the data, decide what is open, and make the players."""
        self.codec_: Codec
        self.codec_, encoded = self._codec(dataset)
        rows = settle(self._train_rows(encoded), fabric.device)
        decided = setup.plan(self, game, self.codec_, rows)
        steps = int(saved["run"]["steps"]) if saved else None
        state, settings, batches = setup.begin(
            self, game, self.codec_, rows, dataset, held, decided, fabric, steps=steps
        )
        self.network_: dict[str, Any] = decided.network
        self.gamma_: tuple[float, ...] = decided.gamma
        self.steps_: int = settings.schedule.steps
        return state, settings, batches

    def _open(self, folder: Path | None, state: State) -> History:
        """The history, up to the state's step; in `folder`, also the description of the run."""
        if folder is None:
            history = History()
        else:
            saving.write(self, folder, "training", weights=False)
            history = History(folder / HISTORY, until=state.step)
        self.history_: list[Record] = history.records
        return history

    def _finish(self, state: State, outcome: str) -> None:
        audited = state.audit if isinstance(state.audit, Audited) else None
        best = audited.best if audited and audited.auditor.audits else getattr(state.monitor, "best", state.average)
        self.generator_: nn.Module = best.eval()
        self.critic_: nn.Module | None = state.critic.network.eval().requires_grad_(False) if state.critic else None
        self.stopped_: str = state.stop()
        closing = audited.close() if audited and outcome in ("finished", "stopped") else None
        self.closing_: dict[str, Any] | None = closing.record() if closing else None
        self.interrupted_: bool = outcome == "interrupted"
        self.steps_done_: int = state.step
        self.calibration_: dict[str, Any] | None = None
        self.id_: str = identity(saving.tensors(self))

    def _calibrate(self, dataset: Dataset, held: Dataset | None) -> None:
        """What is to be learned of the trained players, by rows held out or else by training rows."""

    def _keep_last_good(self, folder: Path, state: State) -> None:
        """After a divergence the run folder holds the model of its last checkpoint, if there is one."""
        kept = checkpoint.latest(folder) is not None
        if kept:
            saving.restore(state, folder)
            self._finish(state, "diverged")
        saving.write(self, folder, "diverged", weights=kept)

    # ---- save and load

    def save(self, directory: str | os.PathLike[str]) -> None:
        """Write the model into `directory`: `model.json`, `weights.safetensors`, `history.jsonl`.

        Raises `InputError` where the objective is an object that has no name to save it by.
        """
        self._require_fitted()
        saving.parameters(self)
        folder = Path(directory)
        History(folder / HISTORY).replace(self.history_)
        saving.write(self, folder, "interrupted" if self.interrupted_ else "finished")

    @classmethod
    def load(cls: type[Self], directory: str | os.PathLike[str], *, device: str | None = None) -> Self:
        """The model saved in `directory`, on its own device or on `device`; `InputError` names a file that is missing,
        truncated or too new."""
        folder = Path(directory)
        saved = read_model(folder)
        try:
            model = cls(**saving.arguments(saved["parameters"]))
        except (TypeError, KeyError) as error:
            raise InputError(f"{folder / MODEL}: its parameters are not those of {cls.__name__} ({error})") from None
        model.device = device or model.device
        saving.adopt(model, folder, saved)
        return model

    def _require_fitted(self) -> None:
        if not hasattr(self, "generator_"):
            raise InputError(f"this {type(self).__name__} is not fitted yet; call fit first, or load a saved one")


def rows_of(data: Any) -> Dataset:
    """`data` read; `InputError` for fewer than two rows."""
    dataset = read_data(data)
    if len(dataset) < 2:
        raise InputError(f"{dataset.name}: {len(dataset)} rows are not enough to learn from; give at least two")
    return dataset
