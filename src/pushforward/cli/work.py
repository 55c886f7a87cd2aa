"""What `fit` and `sample` do once their words are parsed."""

from __future__ import annotations

import inspect
import json
import os
import shutil
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import InputError
from . import given as words
from .options import SUFFIXES
from .shared import terminal

if TYPE_CHECKING:
    from ..data.dataset import Dataset, Kind

INTERRUPTED = 130
ANY = "any"  # --given any: whatever is there, learned by the imputer
OF_AUTO = {"seed", "time_budget"}  # what may be said of how to train, and a table still be given to several models
SOME_MINUTES = 300.0  # seconds of training, where the default steps would take hours
AUDITED = 0.2  # share held out for --until where --holdout says nothing


def clear_run(path: Path) -> None:
    """Remove an earlier run at `path`; refuse a folder that is none, whatever `--force` says."""
    if not path.exists():
        return
    ours = ("model.json", "checkpoints", "run/model.json", "candidates")
    if not path.is_dir() or (any(path.iterdir()) and not any((path / name).exists() for name in ours)):
        raise InputError(f"{path}: is not a run folder, so --force will not remove it; choose another --out")
    shutil.rmtree(path)


def _takes_hours(dataset: Dataset, named: Mapping[str, Any]) -> bool:
    """Whether the default number of steps is one for a GPU, and there is none: images that take convolutions."""
    import torch

    from ..models.networks import TINY

    here = str(named.get("device", "auto"))
    on_cpu = here == "cpu" or (here == "auto" and not torch.cuda.is_available())
    return on_cpu and dataset.kind == "images" and dataset.values[0].numel() > TINY


def _begun(out: Path) -> str | None:
    """The name of the model that the run in `out` is of; None where that has none, or none was begun."""
    from ..models import NAMES, by_name
    from ..models.folder import MODEL, read_model

    if not (out / MODEL).is_file():
        return None
    begun = read_model(out)["class"]
    return next((name for name in NAMES if by_name(name).__name__ == begun), None)


def fit_run(
    data: str,
    out: Path,
    *,
    model: str | None,
    parameters: Mapping[str, Any],
    holdout: float,
    kind: Kind | None,
    columns: Mapping[str, str] | None,
    given: Sequence[str] | None = None,
    to: str | None = None,
    labels: str | None = None,
    settings: Sequence[str] | None = None,
    log: str | None,
    resume: bool,
    force: bool,
) -> int:
    """Fit, save in the folder `out`, and return the exit status (130 where the user stopped it)."""
    from ..data import sources
    from ..models import by_name
    from ..objectives import objective
    from ..training.regularisers import parse

    named = {name: value for name, value in parameters.items() if value is not None}
    source: Any = data
    if model is None and resume and (begun := _begun(out)) is not None:
        model = begun
    elif model is None:
        model = "gan"
        known = set(by_name("flow-matching").parameter_names())
        if given is None and to is None and set(named) <= known:
            source = sources.read(data, kind=kind, columns=columns)
            if source.kind == "points" and _set(settings) <= known:
                model = "flow-matching"
            elif source.kind == "table" and set(named) <= OF_AUTO:
                model = "auto"
    if given == [ANY] and model in ("gan", "imputer"):
        model, given = "imputer", None
    family = by_name(model)
    for name in named:
        if name not in family.parameter_names():
            raise InputError(
                f"--{name.replace('_', '-')} is not for --model {model}; leave it out, or take --model gan"
            )
    named |= _settings(settings, model, family)
    if given:
        words.check_model(model, family)
    two = "to" in inspect.signature(family.fit).parameters
    if two != (to is not None):
        raise InputError(
            f"--model {model} is of two sets of rows; give the other one: --to DATA"
            if two
            else f"--to is not for --model {model}; leave it out, or take --model cyclegan, pix2pix or clip"
        )
    # unknown names are told before the data are read
    if named.get("objective") != "none":  # the imputer's word for no game
        objective(named.get("objective", "rpgan"))
    parse(named.get("regularise", "none"))
    dataset, asked = words.attach(data, sources.read(source, kind=kind, columns=columns), given)
    more: dict[str, Any] = {} if asked is None else {"given": asked}
    if labels is not None:
        if holdout and not (dataset.kind == "table" and labels in dataset.values.columns):
            raise InputError("--labels of a file or of classes belong to all rows; leave --holdout out")
        more["labels"] = words.labels(model, family, data, dataset, labels)
    held = None
    if named.get("until") and not holdout:
        holdout = AUDITED  # the auditor needs rows; kept in RUN/data like any holdout
    parts = {}
    if to is not None:
        more["to"] = sources.read(to, kind=kind, columns=columns)
    if holdout > 0:
        dataset, held = dataset.split(holdout, seed=parameters["seed"])
        parts = {"train": dataset, "holdout": held}
    if holdout > 0 and to is not None:
        more["to"], other = more["to"].split(holdout, seed=parameters["seed"])
        parts |= {"to-train": more["to"], "to-holdout": other}
    leads = os.environ.get("RANK", "0") == "0"  # under torchrun one process writes and speaks for all
    if model == "gan" and not named.keys() & {"steps", "time_budget", "until"} and _takes_hours(dataset, named):
        named["time_budget"] = SOME_MINUTES
        if leads:
            terminal(stderr=True).print(
                f"No GPU here: training for about {SOME_MINUTES / 60:.0f} minutes; --time-budget SECONDS or --steps N "
                "for more.",
                highlight=False,
            )
    estimator = family(**named)
    if force and not resume and leads:
        clear_run(out)
    try:
        kept = (held, other) if held is not None and to is not None else held
        estimator.fit(dataset, holdout=kept, **more, out=out, resume=resume, log=log, progress=leads)
    except KeyboardInterrupt:  # later ones are caught by the loop, which saves
        terminal(stderr=True).print("Stopped before the first step: there is nothing to save yet.")
        return INTERRUPTED
    if not leads:
        return INTERRUPTED if getattr(estimator, "interrupted_", False) else 0
    if parts:
        _keep_parts(out / "data", parts, share=holdout, seed=parameters["seed"])
    console = terminal()
    if getattr(estimator, "interrupted_", False):
        console.print(
            f"Stopped at step {estimator.steps_done_:,}; go on by the same command with --resume.", highlight=False
        )
        return INTERRUPTED
    if getattr(estimator, "closing_", None):
        console.print(estimator.closing_["sentence"], highlight=False)
    use = f"Draw from it: pushforward sample {out} -n 1000 --out FILE"
    if hasattr(estimator, "translate"):
        use = f"Translate by it: pushforward translate {out} --in DATA --out FILE"
    elif not hasattr(estimator, "sample"):
        use = f"Encode by it: pushforward encode {out} --in DATA --out FILE.npy"
    console.print(f"Fitted and saved in {out}. {use}", highlight=False)
    return 0


def _set(said: Sequence[str] | None) -> set[str]:
    """The names in `["latent_size=8", ...]`."""
    return {one.partition("=")[0].strip().replace("-", "_") for one in said or ()}


def _settings(said: Sequence[str] | None, model: str, family: Any) -> dict[str, Any]:
    """`["latent_size=8", "decoder=bernoulli"]` as constructor arguments: JSON values, or else plain words."""
    found: dict[str, Any] = {}
    known = family.parameter_names()
    for one in said or ():
        name, equals, value = one.partition("=")
        name = name.strip().replace("-", "_")
        if not equals:
            raise InputError(f"--set {one}: write it as NAME=VALUE, for example --set width=256")
        if name not in known:
            raise InputError(f"--set {one}: --model {model} has no setting {name!r}; it has {', '.join(known)}")
        try:
            found[name] = json.loads(value)
        except json.JSONDecodeError:
            found[name] = value
    return found


def _keep_parts(folder: Path, parts: Mapping[str, Dataset], *, share: float, seed: int) -> None:
    """Write which rows were trained on and which were not, once, so that a later `compare` is honest."""
    from ..data import sources

    for name, part in parts.items():
        path = folder / f"{name}{SUFFIXES[part.kind]}"
        if not path.exists():
            sources.write(
                part, path, made_by={"part": name, "of": part.name, "share": share, "seed": seed}, synthetic=False
            )


def sample_run(
    run: Path,
    n: int | None,
    out: Path,
    *,
    given: Sequence[str] | None = None,
    refine: str | None = None,
    real: str | None = None,
    guidance: float | None = None,
    seed: int | None,
    force: bool,
) -> None:
    """Draw `n` samples from the model in `run`, that meet `given` or that its critic refines, and write them to `out`
    with how they were made."""
    from ..data import sources
    from ..models import load

    model = load(run)
    if not hasattr(model, "sample_dataset"):
        raise InputError(f"{run}: a {type(model).__name__} draws nothing; encode by it, or fit another model")
    more = _refinement(model, run, refine, real)
    with warnings.catch_warnings():  # they are in the report
        warnings.simplefilter("ignore")
        asked = words.asked(model, given)
        if more and "refine" not in inspect.signature(model.sample_dataset).parameters:
            raise InputError(
                f"{run}: a {type(model).__name__} has no critic to refine by; leave --refine out, or fit a GAN"
            )
        if guidance is not None:
            if "guidance" not in inspect.signature(model.sample_dataset).parameters:
                raise InputError(f"{run}: a {type(model).__name__} takes no guidance; leave --guidance out")
            more["guidance"] = guidance
        if n is None and not (asked is not None and hasattr(model, "fill")):
            raise InputError("-n N: say how many samples to draw")
        dataset = model.sample_dataset(n, seed=seed, **more, **({} if asked is None else {"given": asked}))
    sources.write(dataset, out, made_by=dataset.made_by, force=force)
    for sentence in words.told(dataset.made_by):
        terminal().print(sentence, highlight=False, markup=False)
    terminal().print(f"Wrote {len(dataset):,} samples to {out}.", highlight=False)


def _refinement(model: Any, run: Path, refine: str | None, real: str | None) -> dict[str, Any]:
    """What `sample` takes for --refine and --real."""
    from ..data import sources
    from ..models.refine import held_out
    from ..models.refine.methods import method

    if refine is None:
        if real is not None:
            raise InputError("--real calibrates the critic that refines; give --refine NAME, or leave it out")
        return {}
    method(refine)  # an unknown one is told before anything is read
    rows = held_out(run) if real is None else sources.read(real)
    if rows is not None and getattr(model, "network_", {}).get("given"):
        rows = words.as_written(real or str(rows.path), rows)
    return {"refine": refine, "real": rows}
