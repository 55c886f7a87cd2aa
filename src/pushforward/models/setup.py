"""Setting a run up: what the parameters leave open is decided from the data, and the players are made."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn

from ..data.codec import Codec, fit_codec
from ..data.dataset import Dataset
from ..data.joint import JointCodec
from ..data.tables import TableCodec
from ..errors import InputError
from ..nets import Shape
from ..nets.groups import GROUP
from ..objectives import Objective
from ..training import optimisers
from ..training.augment import shift
from ..training.batches import Batches, derive
from ..training.loop import Settings, State, calibrate
from ..training.player import Player
from ..training.regularisers import Regulariser, Setting, regularisers
from ..training.regularisers.gradient import ZeroCentred
from ..training.regularisers.seen import Noise
from ..training.regularisers.table import Words
from ..training.schedule import FLAT_FROM
from ..training.step import Rules, Term
from . import networks, own
from .drawing import rng
from .networks import Recipe
from .watching import Along, Audited

if TYPE_CHECKING:
    from lightning_fabric import Fabric

    from ..flow import Velocity
    from .trained import Trained

AUDITED = 0.2  # share of the rows that `until` keeps out of training where no holdout is given
LOOKS, AUDITS = 50, 25  # how often a run is looked at closely, and audited
SETTLED = 0.3  # share of a run before which the auditor is not heard that there is no progress
SELDOM = 50  # steps between two close looks, at least
WARM_ROWS = 50_000  # rows at most that a table's generator is fitted to before the game,
WARM_NUMBERS = 40_000_000  # of these many numbers when expanded, at most (160 MB)


@dataclass(frozen=True)
class Game:
    """What a family plays, by its parameters: an objective with its regularisers, or a velocity, by its name or as what
    makes one from some expanded rows (`make(rows, seed=)`)."""

    objective: Objective | None = None
    velocity: str | Callable[..., Velocity] | None = None
    regularise: Words = "none"
    open: bool = False  # whether the regularisers are not the user's: those of points then have noise beside them
    gamma: float | None = None
    n_critic: int = 1
    critic_rate: float = 1.0
    lambda_1: float | None = None
    regressions: int = 1
    optimiser: str = "adam"
    own: tuple[nn.Module, nn.Module] | None = None
    terms: Mapping[str, Term] = field(default_factory=dict)
    combine: str = ""
    preference: tuple[float, ...] = ()

    @property
    def adversarial(self) -> bool:
        return self.objective is not None and self.objective.critic is not None


@dataclass(frozen=True)
class Plan:
    """Everything decided: the recipe with the user's values in it, what regularisers are made from, the networks."""

    recipe: Recipe
    gamma: tuple[float, float]  # first and last weight of a zero-centred penalty
    network: dict[str, Any]  # the arguments of `networks.build`, JSON-able
    regularisers: tuple[Regulariser, ...]


def check(model: Trained) -> None:
    """Refuse, before anything is read, parameters that make no sense (`InputError`)."""
    whole = (
        "steps", "batch_size", "n_critic", "regressions", "noise_size", "width", "depth", "checkpoint_every"
    )  # fmt: skip
    for name in whole:
        value = getattr(model, name, None)
        if value is not None and (not isinstance(value, int) or value < 1):
            raise InputError(f"{name} must be a whole number of at least 1, not {value!r}")
    for name in ("time_budget", "learning_rate", "lambda_1", "gamma", "critic_rate"):
        value = getattr(model, name, None)
        if value is not None and not (value > 0 or (name == "gamma" and value == 0)):
            raise InputError(f"{name} must be a positive number, not {value!r}")
    if not isinstance(model.seed, int):
        raise InputError(f"seed must be a whole number, not {model.seed!r}")
    if model.steps is not None and model.time_budget is not None:
        raise InputError("steps and time_budget both say how long to train; give one of them")
    if model.until not in (None, "indistinguishable"):
        raise InputError(f"until must be 'indistinguishable' or None, not {model.until!r}")
    if not 0.5 < model.tolerance < 1:
        raise InputError(f"tolerance is an AUC between 0.5 and 1, not {model.tolerance!r}")


def encode(dataset: Dataset, seed: int, columns: Sequence[str] = ()) -> tuple[Codec, Tensor]:
    """The codec fitted on `dataset`, and its rows encoded; a table's numbers in joint coordinates where any help, but
    for those of the given `columns`."""
    key = (seed, *sorted(columns))
    codec = _FITTED.get(dataset, {}).get(key)
    if codec is None:
        codec = _fit(dataset, seed, columns)
        _FITTED.setdefault(dataset, {})[key] = codec
    return codec, codec.encode(dataset, generator=rng(seed, "encode"))


# Several models on one dataset share its coordinates, which take longer to fit than some of them.
_FITTED: WeakKeyDictionary[Dataset, dict[tuple[object, ...], Codec]] = WeakKeyDictionary()


def _fit(dataset: Dataset, seed: int, columns: Sequence[str]) -> Codec:
    codec = fit_codec(dataset)
    if isinstance(codec, TableCodec):
        from ..data.coordinates import Coordinates

        rows = codec.encode(dataset, generator=rng(seed, "encode"))
        fixed = [b.start for b in codec.blocks if b.kind == "numeric" and b.column in columns]
        coordinates = Coordinates.fit(codec, rows, seed=derive(seed, "coordinates"), fixed=fixed)
        if coordinates is not None:
            codec = codec.with_coordinates(coordinates)
    return codec


def plan(model: Trained, game: Game, codec: Codec, rows: Tensor) -> Plan:
    """What `model`'s parameters leave open, from the encoded training `rows`."""
    default = model._recipe(codec, game)
    names = ("steps", "batch_size", "learning_rate", "noise_size", "width", "depth")
    recipe = replace(default, **{name: getattr(model, name, None) or getattr(default, name) for name in names})
    data, expand = _data_part(codec)
    spread, local = networks.scales(rows, expand, seed=derive(model.seed, "scale"))
    if game.gamma is not None:
        gamma = (float(game.gamma), float(game.gamma) / 10)
    else:
        gamma = networks.weights_from_scale(spread, local, recipe.coarse, recipe.fine)
    network: dict[str, Any] = {"noise_size": recipe.noise_size, "width": recipe.width, "depth": recipe.depth}
    if codec.kind == "points":
        network["steep"] = recipe.steep
        network["frequencies"] = list(networks.frequencies_from_scale(local, data.event_shape[0]))
    if game.open and codec is data and codec.kind == "points" and not getattr(model, "_columns", ()):
        deviation = math.sqrt(spread / math.prod(codec.event_shape)) / 2
        game = replace(game, regularise=_with_noise(game.regularise, deviation))
    made = _regularisers(game, codec, gamma, recipe.gp, len(rows), recipe.batch_size, model.seed, (spread, local))
    shape = Shape(outputs=game.objective.outputs if game.objective else 1)
    for one in made:
        shape = one.shape(shape)
    network["shape"] = asdict(shape) if game.adversarial else None
    network |= model._describe(codec, rows)
    return Plan(recipe, gamma, network, made)


def _with_noise(words: Words, deviation: float) -> Words:
    """Modes that the critic sees apart keep whatever share of the samples they have: nothing is left between them that
    it could move. Noise over the first half of a run lets the shares settle while modes overlap; the other half is for
    sharpness."""
    return [*([words] if isinstance(words, str) else words), Noise(deviation, until=0.5)]


def _data_part(codec: Codec) -> tuple[Codec, Callable[[Tensor], Tensor]]:
    """The codec of the data alone, and what makes their expanded rows of compact ones: conditions have no scale."""
    if not isinstance(codec, JointCodec):
        return codec, codec.expand
    return codec.data, lambda rows: codec.data.expand(codec.parts(rows)[0])


def begin(
    model: Trained,
    game: Game,
    codec: Codec,
    rows: Tensor,
    train: Dataset,
    held: Dataset | None,
    decided: Plan,
    fabric: Fabric,
    *,
    steps: int | None,
) -> tuple[State, Settings, Batches]:
    """The players with their first weights, how the run goes, and its batches; `steps` overrules the plan's."""
    on, recipe = fabric.device, decided.recipe
    generator: nn.Module
    critic: nn.Module | None
    if game.own:  # trained as copies: a parameter of the constructor stays as it was given
        generator, critic = copy.deepcopy(game.own)
    else:
        generator, critic = model._networks(codec, decided.network, rng(model.seed, "weights"))
    critic = critic if game.adversarial else None
    warm_start = getattr(generator, "warm_start", None)
    if warm_start is not None:
        most = max(1, min(WARM_ROWS, WARM_NUMBERS // codec.event_shape[0]))
        some = torch.randperm(len(rows), generator=rng(model.seed, "warm start"))[:most].to(rows.device)
        warm_start(codec.expand(rows[some]).cpu(), generator=rng(model.seed, "warm start", 1))
    critic = prepared(critic, decided.regularisers, seed=model.seed)
    batches = Batches(
        rows,
        codec.expand,
        recipe.batch_size,
        seed=model.seed,
        device=on,
        rank=fabric.global_rank,
        world_size=fabric.world_size,
        multiple=_multiple(decided.network["shape"]),
        chances=model._chances(),
        even=_even(game, codec, decided, generator),
    )
    if game.own:
        x = batches()
        shape = decided.network["shape"] or asdict(Shape())
        own.check(generator, critic, x, len(x) // shape["pack"], shape["outputs"])
    average = copy.deepcopy(generator).requires_grad_(False).eval()  # it draws conditions as the data have them
    optimiser = optimisers.optimiser(game.optimiser)
    state = State(
        Player(generator.to(on), fabric, optimiser=optimiser),
        Player(critic.to(on), fabric, optimiser=optimiser, rate=game.critic_rate) if critic else None,
        average.to(on),
        _rules(game, decided, codec, rows, generator, critic, model.seed),
        on,
    )

    def settings(steps: int) -> Settings:
        log_every = max(1, steps // 200)
        return Settings(
            schedule=model._schedule(steps, recipe.learning_rate),
            half_life=recipe.half_life * batches.batch_size,
            seed=model.seed,
            log_every=log_every,
            monitor_every=_every(steps, log_every, LOOKS, at_least=SELDOM),
            audit_every=_every(steps, log_every, AUDITS),
            checkpoint_steps=model.checkpoint_every,
        )

    if steps is None and model.time_budget is not None:
        steps = calibrate(state, settings(recipe.steps), batches, fabric, model.time_budget)
    state.monitor = model._monitor(game, codec, rows, held, average)
    steps = steps or recipe.steps
    if model.until and held is not None:
        falls = game.velocity is not None or any(isinstance(one, ZeroCentred) for one in decided.regularisers)
        state.audit = Audited.of(
            train,
            held,
            codec,
            average,
            tolerance=model.tolerance,
            settled=round(steps * (FLAT_FROM if falls else SETTLED)),
            seed=model.seed,
        )
    return state, settings(steps), batches


def _regularisers(
    game: Game,
    codec: Codec,
    gamma: tuple[float, float],
    slope: float,
    rows: int,
    batch: int,
    seed: int,
    scales: tuple[float, float] | None = None,
) -> tuple[Regulariser, ...]:
    gp = slope if game.gamma is None else float(game.gamma)
    images, event = codec.kind == "images", getattr(codec, "data", codec).event_shape  # of what is viewed
    return regularisers(
        game.regularise,
        lambda number: Setting(number, gamma, rows, batch, event, images, seed, gp, scales, codec.event_shape),
    )


def built_in(model: Trained, critic: nn.Module, gamma: tuple[float, float], rows: int) -> nn.Module:
    """The critic of a saved model as it was trained: with what its regularisers had built into it."""
    # a penalty has nothing built in, so its weight does not matter
    made = _regularisers(model._game(), model.codec_, gamma, 1.0, rows, model.batch_size or 1, model.seed)
    found = prepared(critic, made, seed=model.seed)
    assert found is not None
    return found


def _every(steps: int, log_every: int, times: int, *, at_least: int = 1) -> int:
    """Steps between two of about so many looks: a multiple of those between two records."""
    return log_every * math.ceil(max(at_least, steps / times) / log_every)


def prepared(critic: nn.Module | None, made: Sequence[Regulariser], *, seed: int) -> nn.Module | None:
    """The critic with what the regularisers build into it."""
    for one in made if critic else ():
        assert critic is not None
        critic = one.prepare(critic, seed=derive(seed, "regularise"))
    return critic


def _multiple(shape: dict[str, Any] | None) -> int:
    """How many rows a critic of this shape scores together."""
    return shape["pack"] * (GROUP if shape["deviation"] else 1) if shape else 1


def _even(game: Game, codec: Codec, decided: Plan, generator: nn.Module) -> bool:
    """Whether batches lie evenly over points and noise: for critics that score one row at a time, so that only means
    over rows are read off a batch."""
    alone = game.adversarial and game.objective is not None and game.objective.reads != "embedding"
    return (
        alone
        and codec.kind == "points"
        and _multiple(decided.network["shape"]) == 1
        and hasattr(generator, "even_noise")
    )


def _rules(
    game: Game, decided: Plan, codec: Codec, rows: Tensor, generator: nn.Module, critic: nn.Module | None, seed: int
) -> Rules:
    velocity = None
    if game.velocity:
        from ..flow import velocity_by_name

        # as many rows as it will see at a time: the finest width is one at which those still have neighbours
        some = torch.randperm(len(rows), generator=rng(seed, "velocity"))[: decided.recipe.batch_size].to(rows.device)
        make = velocity_by_name(game.velocity).make if isinstance(game.velocity, str) else game.velocity
        velocity = Along(make(codec.expand(rows[some]), seed=derive(seed, "velocity")))
    moved = decided.recipe.shift
    view = {"view": lambda images, moment: shift(images, moved, moment.draw)} if moved and game.adversarial else {}
    return Rules(
        game.objective,
        decided.regularisers,
        lambda_1=game.lambda_1,
        regressions=game.regressions,
        n_critic=game.n_critic,
        velocity=velocity,
        joint=getattr(critic, "joint", None),
        charges=tuple(getattr(generator, "charges", ())),
        terms=game.terms,
        combine=game.combine,
        preference=game.preference,
        even=_even(game, codec, decided, generator),
        **view,
    )
