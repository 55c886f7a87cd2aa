"""What `fit` and `sample` do once their words are parsed."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console

from ..errors import InputError
from .options import SUFFIXES

if TYPE_CHECKING:
    from ..data.dataset import Dataset, Kind

INTERRUPTED = 130
AUDITED = 0.2  # share held out for --until where --holdout says nothing


def clear_run(path: Path) -> None:
    """Remove an earlier run at `path`; refuse a folder that is none, whatever `--force` says."""
    if not path.exists():
        return
    ours = ("model.json", "checkpoints", "run/model.json")
    if not path.is_dir() or (any(path.iterdir()) and not any((path / name).exists() for name in ours)):
        raise InputError(f"{path}: is not a run folder, so --force will not remove it; choose another --out")
    shutil.rmtree(path)


def fit_run(
    data: str,
    out: Path,
    *,
    model: str,
    parameters: Mapping[str, Any],
    holdout: float,
    kind: Kind | None,
    columns: Mapping[str, str] | None,
    log: str | None,
    resume: bool,
    force: bool,
) -> int:
    """Fit, save in the folder `out`, and return the exit status (130 where the user stopped it)."""
    from ..data import sources
    from ..models import by_name
    from ..objectives import objective
    from ..training.regularisers import parse

    family = by_name(model)
    named = {name: value for name, value in parameters.items() if value is not None}
    for name in named:
        if name not in family.parameter_names():
            raise InputError(
                f"--{name.replace('_', '-')} is not for --model {model}; leave it out, or take --model gan"
            )
    # unknown names are told before the data are read
    objective(named.get("objective", "rpgan"))
    parse(named.get("regularise", "none"))
    dataset = sources.read(data, kind=kind, columns=columns)
    held = None
    if named.get("until") and not holdout:
        holdout = AUDITED  # the auditor needs rows; kept in RUN/data like any holdout
    if holdout > 0:
        dataset, held = dataset.split(holdout, seed=parameters["seed"])
    estimator = family(**named)
    leads = os.environ.get("RANK", "0") == "0"  # under torchrun one process writes and speaks for all
    if force and not resume and leads:
        clear_run(out)
    try:
        estimator.fit(dataset, holdout=held, out=out, resume=resume, log=log, progress=leads)
    except KeyboardInterrupt:  # later ones are caught by the loop, which saves
        Console(stderr=True).print("Stopped before the first step: there is nothing to save yet.")
        return INTERRUPTED
    if not leads:
        return INTERRUPTED if getattr(estimator, "interrupted_", False) else 0
    if held is not None:
        _keep_parts(out / "data", {"train": dataset, "holdout": held}, share=holdout, seed=parameters["seed"])
    console = Console()
    if getattr(estimator, "interrupted_", False):
        console.print(
            f"Stopped at step {estimator.steps_done_:,}; go on by the same command with --resume.", highlight=False
        )
        return INTERRUPTED
    if getattr(estimator, "closing_", None):
        console.print(estimator.closing_["sentence"], highlight=False)
    console.print(
        f"Fitted and saved in {out}. Draw from it: pushforward sample {out} -n 1000 --out FILE", highlight=False
    )
    return 0


def _keep_parts(folder: Path, parts: Mapping[str, Dataset], *, share: float, seed: int) -> None:
    """Write which rows were trained on and which were not, once, so that a later `compare` is honest."""
    from ..data import sources

    for name, part in parts.items():
        path = folder / f"{name}{SUFFIXES[part.kind]}"
        if not path.exists():
            sources.write(
                part, path, made_by={"part": name, "of": part.name, "share": share, "seed": seed}, synthetic=False
            )


def sample_run(run: Path, n: int, out: Path, *, seed: int | None, force: bool) -> None:
    """Draw `n` samples from the model in `run` and write them to `out`, with how they were made."""
    from ..data import sources
    from ..models import load

    dataset = load(run).sample_dataset(n, seed=seed)
    sources.write(dataset, out, made_by=dataset.made_by, force=force)
    Console().print(f"Wrote {n:,} samples to {out}.", highlight=False)
