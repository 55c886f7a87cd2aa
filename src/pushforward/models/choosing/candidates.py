"""Which models are tried, and fitting one of them within the seconds that it may take."""

from __future__ import annotations

import inspect
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, final

import torch

from ...data.dataset import Dataset, Kind
from ...errors import InputError
from ...training.progress import Reporter
from .. import setup
from ..drawing import rng

SETTINGS: Mapping[str, tuple[str, Mapping[str, Any]]] = MappingProxyType(
    {"trees-40": ("trees", {"leaf": 40})}  # leaves so large that samples do not follow single rows
)
DEFAULT: Mapping[Kind, tuple[str, ...]] = MappingProxyType(
    {
        "table": ("independent", "copula", "trees", "trees-40", "made", "vae", "flow", "gan"),
        "points": ("independent", "copula", "gaussian", "mixture", "trees-40", "vae", "flow", "gan"),
        "images": ("ppca", "vae", "gan"),
    }
)
PILOT = 4_000  # rows that show how long a model without steps takes
GROWTH = 1.1  # of that time with the rows: sorting, and a little more


@final
@dataclass(frozen=True, eq=False)
class Attempt:
    """A fitted `model`, the `seconds` that it took (of them `cpu` of this process's own time, all threads) and the
    training `rows` that it saw; or `why` there is none."""

    model: Any
    seconds: float
    rows: int
    why: str = ""
    cpu: float = 0.0


def names_for(kind: Kind) -> tuple[str, ...]:
    """The models that are tried on data of this kind where none are named."""
    from .. import NAMES

    return tuple(name for name in DEFAULT[kind] if SETTINGS.get(name, (name, {}))[0] in NAMES)


def estimators(
    models: Sequence[str] | Mapping[str, Any] | None, kind: Kind, *, steps: int | None, device: str, seed: int
) -> dict[str, Any]:
    """Unfitted models by name. `models`: names, or a mapping from names to estimators of one's own, taken as they are.

    `steps` and `device` are for models of `names` that have such a parameter. Raises `InputError` for unknown names.
    """
    from .. import NAMES, by_name

    if isinstance(models, Mapping):
        if not models:
            raise InputError("models: none were given; name some, such as copula, trees and gan")
        return {str(name): copied(model) for name, model in models.items()}
    names = names_for(kind) if models is None else tuple([models] if isinstance(models, str) else models)
    if not names:
        raise InputError("models: none were given; name some, such as copula, trees and gan")
    twice = [name for name in names if names.count(name) > 1]
    if twice:
        raise InputError(f"models: {twice[0]!r} is given twice; give each once")
    made = {}
    for name in names:
        if name not in SETTINGS and (name not in NAMES or name == "auto"):
            known = ", ".join(sorted({*NAMES, *SETTINGS} - {"auto"}))
            raise InputError(f"unknown model {name!r}; known: {known}")
        family, settings = SETTINGS.get(name, (name, {}))
        cls = by_name(family)
        wanted = {"steps": steps, "device": device, "seed": seed}
        has = cls.parameter_names()
        made[name] = cls(**settings, **{key: value for key, value in wanted.items() if key in has})
    return made


def copied(model: Any) -> Any:
    """A model with the same parameters that has learned nothing."""
    return type(model)(**model.get_params())


def trains(model: Any) -> bool:
    """Whether it is trained by steps, and so takes what time it is given."""
    return hasattr(model, "time_budget") and hasattr(model, "steps")


def in_order(models: Mapping[str, Any]) -> list[str]:
    """First those that take the time they take, then those that share what is left."""
    return sorted(models, key=lambda name: trains(models[name]))


def prepare(models: Mapping[str, Any], train: Dataset) -> None:
    """Fit what all models of a table share, its coordinates, so that it takes of nobody's time."""
    seeds = {model.seed for model in models.values() if trains(model) and hasattr(model, "seed")}
    if train.kind == "table" and train.given is None:
        for seed in seeds:
            setup.encode(train, seed)


def fit_within(
    model: Any,
    train: Dataset,
    seconds: float,
    *,
    out: Path | None = None,
    resume: bool = False,
    progress: bool | Reporter = False,
) -> Attempt:
    """Fit `model` to `train` in about so many `seconds`; what it cannot do is told in `Attempt.why`.

    A model trained by steps that says nothing of how many is given the seconds as its budget. Of others a fit to
    `PILOT` rows is timed, and where all rows would take too long, as many random ones are taken as there is time for.
    """
    why = unfit(model)
    if why:
        return Attempt(None, 0.0, 0, why)
    started, spent = time.perf_counter(), time.process_time()
    try:
        more: dict[str, Any] = {}
        if not trains(model):
            train = _affordable(model, train, seconds)
        else:
            more = {"out": out, "resume": resume}
            if model.steps is None and model.time_budget is None:
                model.set_params(time_budget=max(1.0, seconds))
        model.fit(train, progress=progress, **more)
    except InputError as error:
        return Attempt(None, time.perf_counter() - started, len(train), str(error))
    except (ArithmeticError, LookupError, RuntimeError, TypeError, ValueError) as error:
        # one family's fault must not cost the others their place; its own words are told
        told = f"it failed with {type(error).__name__}: {error}".splitlines()[0]
        return Attempt(None, time.perf_counter() - started, len(train), told)
    return Attempt(model, time.perf_counter() - started, len(train), cpu=time.process_time() - spent)


def unfit(model: Any) -> str:
    """Why a model cannot be tried at all, or an empty string."""
    name = type(model).__name__
    if hasattr(model, "translate"):
        return f"{name} translates between two domains, and there is one"
    if not hasattr(model, "sample_dataset"):
        return f"{name} does not draw samples"
    if "data" not in inspect.signature(model.fit).parameters:
        return f"{name} is not fitted to data alone"
    return ""


def _affordable(model: Any, train: Dataset, seconds: float) -> Dataset:
    """`train`, or as many of its rows as may be learned from within `seconds`, by the time that `PILOT` rows take."""
    if len(train) <= 2 * PILOT:
        return train
    order = torch.randperm(len(train), generator=rng(model.seed, "pilot"))
    started = time.perf_counter()
    copied(model).fit(train.take(order[:PILOT].sort().values), progress=False)
    taken = max(1e-3, time.perf_counter() - started)
    rows = int(PILOT * (max(seconds, taken) / taken) ** (1 / GROWTH))
    return train if rows >= len(train) else train.take(order[:rows].sort().values)


def numbers(model: Any) -> int:
    """How many numbers a fitted model has learned: the simpler of two models has fewer."""
    if hasattr(model, "arrays_"):
        return sum(array.numel() for array in model.arrays_.values())
    return sum(tensor.numel() for tensor in model.generator_.state_dict().values())
