"""`GAN`: a generator learned by playing against a critic, for points, tables and images alike.

The critic D learns to tell data x from samples y = G(z); the generator G learns to undo what it finds. The default
game is relativistic pairing with zero-centred gradient penalties on both sides (R3GAN, Huang et al. 2024):

    D descends  sp(-(D(x) - D(y))) + gamma/2 |grad D(x)|^2 + gamma/2 |grad D(y)|^2        sp = softplus
    G descends  sp(-(D(y) - D(x)))

with Adam (beta1 = 0), falling learning rate and gamma, and samples drawn from the moving average of G's weights.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl
import torch
from torch import Tensor, nn

from ..data.codec import Codec
from ..data.dataset import Dataset
from ..data.sources import read as read_data
from ..data.sources import to_container
from ..errors import InputError
from ..links import Objective
from ..training import checkpoint
from ..training.batches import Batches, settle
from ..training.diagnose import TrainingDiverged
from ..training.history import History, Record
from ..training.loop import Settings, State, run
from ..training.progress import Event, Reporter, reporter
from ..witness import Link
from . import saving, setup
from .base import Estimator
from .engine import engine
from .folder import HISTORY, MODEL, identity, read_model, versions
from .identity import fingerprint, same_data, same_parameters
from .setup import rng

if TYPE_CHECKING:
    from lightning_fabric import Fabric

# rows drawn at a time: fixed, so that what a seed draws never depends on memory
CHUNK = {"points": 8192, "table": 8192, "images": 512}
NOT_OF_THE_RUN = ("device", "checkpoint_every")  # parameters that may change when a run is resumed


class GAN(Estimator):
    """A generative adversarial network for points `(n, d)`, tables and images, with defaults for each.

    objective: a name of `links.OBJECTIVES`, or an `Objective` or `Link`.
    steps: generator steps (default by kind, see `networks.recipe`); or time_budget: about how many seconds to train
        for, from which the number of steps is set once, by timing a few.
    batch_size, learning_rate, noise_size, width, depth: default by kind.
    penalty: `r1+r2` (the default), `r1`, `gp` (the default of `wgan`), `gp-one-sided` or `none`.
    gamma: the penalty's weight. For `r1` and `r1+r2`: the first value, which falls tenfold; by default both ends are
        set from the data's scale (see `networks`). For `gp`: constant, 10 by default.
    n_critic: critic steps to one generator step.
    lambda_1: None for the direct step; a number for the target step, with this rate in data space (see
    `training.step`).
    checkpoint_every: steps between two checkpoints (default: 30 seconds).
    device: `auto`, `cpu`, `cuda` or `mps`. seed: of everything random; nothing global is read or set.

    Learned: `history_` (list of records), `steps_` (planned), `steps_done_`, `interrupted_`, `generator_` (the
    averaged one), `critic_`, `codec_`, `gamma_` (first and last weight), `id_` (of this model, recorded with all it
    makes).
    """

    def __init__(
        self,
        objective: str | Objective | Link = "rpgan",
        *,
        steps: int | None = None,
        time_budget: float | None = None,
        batch_size: int | None = None,
        learning_rate: float | None = None,
        penalty: str | None = None,
        gamma: float | None = None,
        n_critic: int = 1,
        lambda_1: float | None = None,
        noise_size: int | None = None,
        width: int | None = None,
        depth: int | None = None,
        checkpoint_every: int | None = None,
        device: str = "auto",
        seed: int = 0,
    ) -> None:
        self.objective = objective
        self.steps = steps
        self.time_budget = time_budget
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.penalty = penalty
        self.gamma = gamma
        self.n_critic = n_critic
        self.lambda_1 = lambda_1
        self.noise_size = noise_size
        self.width = width
        self.depth = depth
        self.checkpoint_every = checkpoint_every
        self.device = device
        self.seed = seed

    # ---- fit

    def fit(
        self,
        data: Any,
        *,
        holdout: Any = None,
        out: str | os.PathLike[str] | None = None,
        resume: bool = False,
        log: str | None = None,
        progress: bool | Reporter = True,
    ) -> GAN:
        """Learn to draw rows like those of `data`: a `Dataset`, or anything `data.sources.read` reads.

        holdout: rows kept out of training; the critic's view of them is recorded (`holdout_gap`: its mean score of
            training rows less that of these; it grows as the critic learns the training rows by heart).
        out: the run folder: the model, its history and its checkpoints. resume: go on from its last whole checkpoint,
            bit for bit as if never stopped; where no run was begun, it begins.
        log: `csv`, `tensorboard` or `wandb`, besides the history.
        progress: True for a bar (or plain lines, when piped), False for silence, or a function that takes
            `training.progress.Event`s.

        SIGINT (Ctrl-C) and SIGTERM end it after the step in progress with `interrupted_` True, and in `out` a
        checkpoint. Raises `InputError` for data, folders or parameters that cannot be used, and `TrainingDiverged`
        (one too).
        """
        setup.check(self)
        folder = None if out is None else Path(out)
        if folder:
            saving.parameters(self)  # an objective without a name is refused before it has cost anything
        fabric = engine(self.device, log, folder)
        saved = None if folder is None else saving.previous(folder, resume)
        fabric.barrier()
        dataset, held = _rows(data), None if holdout is None else _rows(holdout)
        self.data_ = fingerprint(dataset)
        if folder and saved:
            same_data(folder, saved["run"]["data"], self.data_)
            same_parameters(folder, saved["parameters"], saving.parameters(self), NOT_OF_THE_RUN)
            if saved["run"]["status"] == "finished":
                return saving.adopt(self, folder, saved)
        show = reporter(progress)
        show(Event("prepare", 0, 0, 0.0, message=f"reading {len(dataset):,} rows of {dataset.kind} into shape"))
        state, settings, batches = self._begin(dataset, held, saved, fabric)
        if folder and saved:
            saving.restore(state, folder)
        history = self._open(folder if fabric.is_global_zero else None, state)
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
        if folder and fabric.is_global_zero:
            saving.write(self, folder, outcome)
        return self

    def _begin(
        self, dataset: Dataset, held: Dataset | None, saved: dict[str, Any] | None, fabric: Fabric
    ) -> tuple[State, Settings, Batches]:
        """Encode the data, decide what is open, and make the players."""
        self.codec_: Codec
        self.codec_, encoded = setup.encode(dataset, self.seed)
        rows = settle(encoded, fabric.device)
        decided = setup.plan(self, self.codec_, rows)
        steps = int(saved["run"]["steps"]) if saved else None
        state, settings, batches = setup.begin(self, self.codec_, rows, held, decided, fabric, steps=steps)
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
        self.generator_: nn.Module = state.average.eval()
        self.critic_: nn.Module = state.critic.network.eval().requires_grad_(False)
        self.interrupted_: bool = outcome == "interrupted"
        self.steps_done_: int = state.step
        self.id_: str = identity(saving.tensors(self))

    def _keep_last_good(self, folder: Path, state: State) -> None:
        """After a divergence the run folder holds the model of its last checkpoint, if there is one."""
        kept = checkpoint.latest(folder) is not None
        if kept:
            saving.restore(state, folder)
            self._finish(state, "diverged")
        saving.write(self, folder, "diverged", weights=kept)

    # ---- sample

    def sample(self, n: int, *, seed: int | None = None) -> Any:
        """`n` new rows in the kind of container that the data came in; the same `seed` draws the same rows."""
        return to_container(self.sample_dataset(n, seed=seed))

    def sample_dataset(self, n: int, *, seed: int | None = None) -> Dataset:
        """`n` new rows; `made_by` says how: the tool, its version, the class, the model's id and the seed."""
        self._require_fitted()
        if n < 1:
            raise InputError(f"the number of samples must be at least 1, not {n}")
        seed = secrets.randbits(31) if seed is None else seed
        drawn = _joined([self.codec_.decode(rows, generator=extra) for rows, extra in self._draw(n, seed)])
        made_by = {
            "tool": "pushforward",
            "version": versions()["pushforward"],
            "class": type(self).__name__,
            "model": self.id_,
            "seed": seed,
        }
        return replace(drawn, made_by=made_by)

    def _draw(self, n: int, seed: int) -> Iterator[tuple[Tensor, torch.Generator]]:
        """Encoded rows by the chunk, each with its own noise, drawn on the CPU: neither n nor the device matters."""
        device = next(self.generator_.parameters()).device
        chunk = CHUNK[self.codec_.kind]
        for first in range(0, n, chunk):
            number = first // chunk
            noise = self.generator_.noise(chunk, generator=rng(seed, "sample", number))  # type: ignore[operator]
            with torch.no_grad():
                yield self.generator_(noise[: n - first].to(device)), rng(seed, "decode", number)

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
    def load(cls, directory: str | os.PathLike[str]) -> GAN:
        """The model saved in `directory`; `InputError` names a file that is missing, truncated or too new."""
        folder = Path(directory)
        saved = read_model(folder)
        try:
            model = cls(**saving.arguments(saved["parameters"]))
        except (TypeError, KeyError) as error:
            raise InputError(f"{folder / MODEL}: its parameters are not those of {cls.__name__} ({error})") from None
        return saving.adopt(model, folder, saved)

    def _require_fitted(self) -> None:
        if not hasattr(self, "generator_"):
            raise InputError(f"this {type(self).__name__} is not fitted yet; call fit first, or load a saved one")


def _rows(data: Any) -> Dataset:
    dataset = read_data(data)
    if len(dataset) < 2:
        raise InputError(f"{dataset.name}: {len(dataset)} rows are not enough to learn from; give at least two")
    return dataset


def _joined(parts: list[Dataset]) -> Dataset:
    """The rows of all parts, in order."""
    values = [one.values for one in parts]
    return replace(parts[0], values=torch.cat(values) if isinstance(values[0], Tensor) else pl.concat(values))
