"""Setting a run up: what the parameters leave open is decided from the data, and the players are made."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from .. import links
from ..data.codec import Codec, fit_codec
from ..data.dataset import Dataset
from ..data.tables import TableCodec
from ..errors import InputError
from ..nets import TabularGenerator
from ..training.augment import shift
from ..training.batches import Batches, derive
from ..training.loop import Player, Settings, State, calibrate
from ..training.penalties import penalty
from ..training.schedule import Schedule
from ..training.step import Rules
from . import networks
from .networks import Recipe

if TYPE_CHECKING:
    from lightning_fabric import Fabric

    from .gan import GAN

WATCHED = 1024  # rows of each side that the critic is asked about at every record
WARM_ROWS = 50_000  # rows at most that a table's generator is fitted to before the game,
WARM_NUMBERS = 40_000_000  # of these many numbers when expanded, at most (160 MB)
GP_WEIGHT = 10.0  # Gulrajani et al. 2017


@dataclass(frozen=True)
class Plan:
    """Everything decided: the recipe with the user's values in it, the penalty with its weights, the networks."""

    recipe: Recipe
    penalty: str
    gamma: tuple[float, float]  # first and last weight of the penalty
    network: dict[str, Any]  # the arguments of `networks.build`, JSON-able


def check(model: GAN) -> None:
    """Refuse, before anything is read, parameters that make no sense (`InputError`)."""
    links.objective(model.objective)
    penalty(model.penalty or "r1+r2")
    for name in ("steps", "batch_size", "n_critic", "noise_size", "width", "depth", "checkpoint_every"):
        value = getattr(model, name)
        if value is not None and (not isinstance(value, int) or value < 1):
            raise InputError(f"{name} must be a whole number of at least 1, not {value!r}")
    for name in ("time_budget", "learning_rate", "lambda_1", "gamma"):
        value = getattr(model, name)
        if value is not None and not (value > 0 or (name == "gamma" and value == 0)):
            raise InputError(f"{name} must be a positive number, not {value!r}")
    if not isinstance(model.seed, int):
        raise InputError(f"seed must be a whole number, not {model.seed!r}")
    if model.steps is not None and model.time_budget is not None:
        raise InputError("steps and time_budget both say how long to train; give one of them")


def encode(dataset: Dataset, seed: int) -> tuple[Codec, Tensor]:
    """The codec fitted on `dataset`, and its rows encoded; a table's numbers in joint coordinates where any help."""
    codec = fit_codec(dataset)
    rows = codec.encode(dataset, generator=rng(seed, "encode"))
    if isinstance(codec, TableCodec):
        from ..data.coordinates import Coordinates

        coordinates = Coordinates.fit(codec, rows, seed=derive(seed, "coordinates"))
        if coordinates is not None:
            codec = codec.with_coordinates(coordinates)
            rows = codec.encode(dataset, generator=rng(seed, "encode"))
    return codec, rows


def plan(model: GAN, codec: Codec, rows: Tensor) -> Plan:
    """What `model`'s parameters leave open, from the encoded training `rows`."""
    default = networks.recipe(codec)
    names = ("steps", "batch_size", "learning_rate", "noise_size", "width", "depth")
    recipe = replace(default, **{name: getattr(model, name) or getattr(default, name) for name in names})
    spread, local = networks.scales(rows, codec.expand, seed=derive(model.seed, "scale"))
    charged = model.penalty or ("gp" if links.objective(model.objective).name == "wgan" else "r1+r2")
    if charged.startswith("gp"):
        weight = GP_WEIGHT if model.gamma is None else float(model.gamma)
        gamma = (weight, weight)
    elif model.gamma is not None:
        gamma = (float(model.gamma), float(model.gamma) / 10)
    else:
        gamma = networks.weights_from_scale(spread, local, recipe.coarse, recipe.fine)
    network: dict[str, Any] = {"noise_size": recipe.noise_size, "width": recipe.width, "depth": recipe.depth}
    if codec.kind == "points":
        network["frequencies"] = list(networks.frequencies_from_scale(local, codec.event_shape[0]))
    return Plan(recipe, charged, gamma, network)


def begin(
    model: GAN,
    codec: Codec,
    rows: Tensor,
    held: Dataset | None,
    decided: Plan,
    fabric: Fabric,
    *,
    steps: int | None,
) -> tuple[State, Settings, Batches]:
    """The players with their first weights, how the run goes, and its batches; `steps` overrules the plan's."""
    on, recipe = fabric.device, decided.recipe
    generator, critic = networks.build(codec, **decided.network, generator=rng(model.seed, "weights"))
    if isinstance(generator, TabularGenerator):
        most = max(1, min(WARM_ROWS, WARM_NUMBERS // codec.event_shape[0]))
        some = torch.randperm(len(rows), generator=rng(model.seed, "warm start"))[:most].to(rows.device)
        generator.warm_start(codec.expand(rows[some]).cpu(), generator=rng(model.seed, "warm start", 1))
    average = copy.deepcopy(generator).requires_grad_(False)
    state = State(Player(generator.to(on), fabric), Player(critic.to(on), fabric), average.to(on), on)
    batches = Batches(
        rows,
        codec.expand,
        recipe.batch_size,
        seed=model.seed,
        device=on,
        rank=fabric.global_rank,
        world_size=fabric.world_size,
    )

    def settings(steps: int) -> Settings:
        return Settings(
            rules=Rules(links.objective(model.objective), penalty(decided.penalty), model.lambda_1),
            schedule=Schedule(steps, recipe.learning_rate, *decided.gamma),
            n_critic=model.n_critic,
            half_life=recipe.half_life * batches.batch_size,
            seed=model.seed,
            log_every=max(1, steps // 200),
            checkpoint_steps=model.checkpoint_every,
            view=(lambda x, moves: shift(x, recipe.shift, moves)) if recipe.shift else None,
            watch=None if held is None else _watch(codec, rows, held, on),
        )

    if steps is None and model.time_budget is not None:
        steps = calibrate(state, settings(recipe.steps), batches, model.time_budget)
    return state, settings(steps or recipe.steps), batches


def rng(seed: int, *purpose: int | str) -> torch.Generator:
    """A generator on the CPU for one purpose."""
    return torch.Generator().manual_seed(derive(seed, *purpose))


def _watch(codec: Codec, rows: Tensor, held: Dataset, device: torch.device) -> Callable[[State], dict[str, Tensor]]:
    """By how much the critic scores training rows above held-out ones: `holdout_gap`."""
    train = codec.expand(rows[:WATCHED].to(device))
    kept = codec.expand(codec.encode(held.take(torch.arange(min(WATCHED, len(held))))).to(device))

    def watch(state: State) -> dict[str, Tensor]:
        with torch.no_grad():
            critic = state.critic.network
            return {"holdout_gap": critic(train).mean() - critic(kept).mean()}

    return watch
