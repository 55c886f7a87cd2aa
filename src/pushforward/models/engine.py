"""Lightning Fabric: where a model trains, in how many processes, and what else its figures are written to."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from ..errors import InputError

if TYPE_CHECKING:
    from lightning_fabric import Fabric

LOGGERS = ("csv", "tensorboard", "wandb")


PRECISIONS = ("32-true", "bf16-mixed")


def engine(device: str, log: str | None, out: Path | None, *, precision: str = "32-true") -> Fabric:
    """A launched Fabric on one device; under `torchrun`, one process on each of its devices."""
    from lightning_fabric import Fabric

    if precision not in PRECISIONS:
        raise InputError(f"precision must be one of {', '.join(PRECISIONS)}, not {precision!r}")
    processes = int(os.environ.get("LOCAL_WORLD_SIZE", "1")) if "TORCHELASTIC_RUN_ID" in os.environ else 1
    distributed = processes > 1 or int(os.environ.get("WORLD_SIZE", "1")) > processes
    try:
        fabric = Fabric(
            accelerator=device,
            precision=precision,  # type: ignore[arg-type]
            devices=processes,
            num_nodes=int(os.environ.get("WORLD_SIZE", "1")) // processes if distributed else 1,
            strategy="ddp" if distributed else "auto",
            loggers=_logger(log, out) if log else None,
        )
        fabric.launch()
    except (RuntimeError, ValueError) as error:
        raise InputError(f"device {device!r} cannot be used here ({error}); try device='cpu'") from error
    return fabric


def device_of(device: str) -> torch.device:
    """Where a loaded model lives: `auto` is the GPU where there is one."""
    if device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        return torch.empty(0, device=device).device
    except (AssertionError, RuntimeError) as error:  # torch without that kind of device asserts
        told = str(error).splitlines()[0]
        raise InputError(f"device {device!r} cannot be used here ({told}); load it with device='cpu'") from error


def _logger(log: str, out: Path | None) -> Any:
    root = Path("logs") if out is None else out
    if log == "csv":
        from lightning_fabric.loggers.csv_logs import CSVLogger

        return CSVLogger(root, name="csv")
    if log == "tensorboard":
        from lightning_fabric.loggers.tensorboard import TensorBoardLogger

        try:
            return TensorBoardLogger(root, name="tensorboard")
        except ModuleNotFoundError:
            raise InputError("log='tensorboard' needs TensorBoard: pip install 'pushforward[tensorboard]'") from None
    if log == "wandb":
        try:
            from wandb.integration.lightning.fabric import WandbLogger
        except ModuleNotFoundError:
            raise InputError("log='wandb' needs Weights & Biases: pip install 'pushforward[wandb]'") from None
        return WandbLogger(project="pushforward", save_dir=str(root))
    raise InputError(f"unknown log {log!r}; known: {', '.join(LOGGERS)}")
