"""`GAN`: a generator learned by playing against a critic, for points, tables and images alike.

The critic D learns to tell data x from samples y = G(z); the generator G learns to undo what it finds. The default
game is relativistic pairing with zero-centred gradient penalties on both sides (R3GAN, Huang et al. 2024):

    D descends  sp(-(D(x) - D(y))) + gamma/2 |grad D(x)|^2 + gamma/2 |grad D(y)|^2        sp = softplus
    G descends  sp(-(D(y) - D(x)))

with Adam (beta1 = 0), falling learning rate and gamma, and samples drawn from the moving average of G's weights.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from ..data.codec import Codec
from ..data.dataset import Dataset
from ..data.joint import JointCodec
from ..errors import InputError
from ..nets.conditional import parse_ways
from ..objectives import Objective, objective
from ..training.progress import Reporter
from ..training.regularisers import check_pairs, parse
from ..training.regularisers.table import Words
from ..training.step import Term
from ..witness import Link
from . import given as conditions
from . import setup, several
from .networks import Recipe
from .one_pass import OnePass
from .representation import Represents
from .setup import Game
from .trained import rows_of

Self = TypeVar("Self", bound="GAN")

R1_R2 = "r1+r2"


class GAN(Represents, OnePass):
    """A generative adversarial network for points `(n, d)`, tables and images, with defaults for each.

    objective: a name of `objectives.OBJECTIVES`, or an `Objective` or `Link`.
    steps: generator steps (default by kind, see `networks.recipe`); or time_budget: about how many seconds to train
        for, from which the number of steps is set once, by timing a few.
    batch_size, learning_rate, noise_size, width, depth: default by kind.
    regularise: names of `training.regularisers.REGULARISERS` joined by `+`, each with its number after a colon
        (`r1+r2`, `gp:10`, `r1+spectral-norm+pack:2`), or a list of names and `Regulariser`s, or `none`. By default
        `r1+r2`, of points with `noise` in the first half of the run; `gp` for the objective `wgan`.
    gamma: the weight of `r1` and `r2` where they are given no number of their own: the first value, which falls
        tenfold. By default both ends are set from the data's scale (see `networks`). Also the weight of `gp`, by
        default 10, for points 1.
    n_critic: critic steps to one generator step. critic_rate: the critic's learning rate in multiples of the
        generator's (two time scales).
    lambda_1: None for the direct step; a number for the target step, with this rate in data space (see
        `training.step`). regressions: generator steps to each target.
    optimiser: of both players, a name of `training.optimisers.OPTIMISERS`.
    networks: your own (generator, critic) modules, of which copies are trained: the generator has
        `noise(n, *, generator)` and `forward(noise)`, the critic gives one score per row. Such a model cannot be
        saved in a folder.
    terms: what else the generator descends, by name: functions of (data, samples), encoded rows of which the second
        carry its graph, that give losses `(m,)` or one (see `several.apart` for an example). combine: how these, the
        game's loss first, are descended together, a way of `objectives.several` (`mgda`, `upgrad`, `weighted`, ...);
        their sum by default. preference: a positive weight for each loss. Such a model has no folder.
    conditioning: how what is given (`fit(..., given=)`) works, names of `nets.conditional.WAYS` joined by `+`; by
        default `concat`, for images `film+projection`. class_weight: of what an auxiliary classifier says.
    balance: from 0 (rare levels are met as often as in the data) to 1 (all levels of a given column alike).
    until: `indistinguishable` lets an auditor end the run (see `training.stopping`): when the upper confidence bound
        of its AUC is under the tolerance, or when it sees no progress any more. tolerance: that AUC, in [.5, 1].
    checkpoint_every: steps between two checkpoints (default: 30 seconds).
    precision: `32-true`, or `bf16-mixed` (see Lightning Fabric).
    device: `auto`, `cpu`, `cuda` or `mps`. seed: of everything random; nothing global is read or set.

    Learned: see `OnePass`.
    """

    _columns: tuple[str, ...] = ()  # of the data, that are given
    _given: conditions.Given | None = None  # while it is fitted

    def __init__(
        self,
        objective: str | Objective | Link = "rpgan",
        *,
        steps: int | None = None,
        time_budget: float | None = None,
        batch_size: int | None = None,
        learning_rate: float | None = None,
        regularise: Words | None = None,
        gamma: float | None = None,
        n_critic: int = 1,
        critic_rate: float = 1.0,
        lambda_1: float | None = None,
        regressions: int = 1,
        optimiser: str = "adam",
        noise_size: int | None = None,
        width: int | None = None,
        depth: int | None = None,
        networks: tuple[nn.Module, nn.Module] | None = None,
        terms: Mapping[str, Term] | None = None,
        combine: str | None = None,
        preference: Sequence[float] | None = None,
        conditioning: str | None = None,
        class_weight: float = 1.0,
        balance: float = 0.0,
        until: str | None = None,
        tolerance: float = 0.55,
        checkpoint_every: int | None = None,
        precision: str = "32-true",
        device: str = "auto",
        seed: int = 0,
    ) -> None:
        self.objective = objective
        self.steps = steps
        self.time_budget = time_budget
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.regularise = regularise
        self.gamma = gamma
        self.n_critic = n_critic
        self.critic_rate = critic_rate
        self.lambda_1 = lambda_1
        self.regressions = regressions
        self.optimiser = optimiser
        self.noise_size = noise_size
        self.width = width
        self.depth = depth
        self.networks = networks
        self.terms = terms
        self.combine = combine
        self.preference = preference
        self.conditioning = conditioning
        self.class_weight = class_weight
        self.balance = balance
        self.until = until
        self.tolerance = tolerance
        self.checkpoint_every = checkpoint_every
        self.precision = precision
        self.device = device
        self.seed = seed

    def _game(self) -> Game:
        played = objective(self.objective)
        if self.regressions > 1 and self.lambda_1 is None:
            raise InputError("regressions are steps to a target, which only lambda_1 makes; give lambda_1, such as 1.0")
        words = self.regularise
        if words is None:
            words = "none" if played.critic is None else "gp" if played.name == "wgan" else R1_R2
        named = [part if isinstance(part, tuple) else (part.name, None) for part in parse(words)]
        if self.regularise is not None:
            for sentence in check_pairs(played, [name for name, _ in named]):
                warnings.warn(sentence, stacklevel=3)
        ways = parse_ways(self.conditioning) if self.conditioning else ()
        if not 0 <= self.balance <= 1:
            raise InputError(f"balance is between 0 (as in the data) and 1 (all levels alike), not {self.balance!r}")
        if not self.class_weight > 0:
            raise InputError(f"class_weight must be a positive number, not {self.class_weight!r}")
        if "auxiliary" in ways and played.critic is not None:
            words = [*([words] if isinstance(words, str) else words), conditions.Auxiliary(self.class_weight)]
        return Game(
            objective=played,
            regularise=words,
            open=self.regularise is None and words == R1_R2,
            gamma=self.gamma,
            n_critic=self.n_critic,
            critic_rate=self.critic_rate,
            lambda_1=self.lambda_1,
            regressions=self.regressions,
            optimiser=self.optimiser,
            own=self.networks,
            terms=self.terms or {},
            **several.read(self.combine, self.preference, losses=1 + len(self.terms or {}) + ("auxiliary" in ways)),
        )

    # ---- what is given

    def fit(
        self: Self,
        data: Any,
        *,
        holdout: Any = None,
        given: Any = None,
        out: str | os.PathLike[str] | None = None,
        resume: bool = False,
        log: str | None = None,
        progress: bool | Reporter = True,
    ) -> Self:
        """As `OnePass.fit`; with `given`, the generator learns the rows' law conditional on it.

        given: names of columns of a table; numbers of columns of points; or, beside points or images, labels `(n,)`,
            vectors `(n, k)`, a table of n rows, or a file of any of these. What is asked of samples later: see
            `sample`. holdout: where conditions stand beside the data, (rows, their conditions).
        """
        setup.check(self)
        self._game()
        dataset = rows_of(data)
        self._columns = ()
        if given is not None:
            dataset, self._columns = conditions.attach(dataset, given)
        self._refuse_given(dataset)
        held = None if holdout is None else conditions.attach_held(dataset, holdout, self._columns)
        if out is not None and resume:
            conditions.same(Path(out), self._columns)
        try:
            return self._fit(dataset, held, out=out, resume=resume, log=log, progress=progress)
        finally:
            self._given = None

    def _refuse_given(self, dataset: Dataset) -> None:
        if not self._columns and dataset.given is None:
            if self.conditioning is not None or self.balance:
                raise InputError("conditioning and balance are about what is given, and nothing is; give fit `given`")
        elif self.networks is not None:
            raise InputError("networks of your own cannot be given conditions; leave networks or given out")

    def _codec(self, dataset: Dataset) -> tuple[Codec, Tensor]:
        return setup.encode(dataset, self.seed, self._columns)

    def _recipe(self, codec: Codec, game: Game) -> Recipe:
        return super()._recipe(conditions.of_data(codec), game)

    def _describe(self, codec: Codec, rows: Tensor) -> dict[str, Any]:
        if not self._columns and not isinstance(codec, JointCodec):
            return {}
        self._given = conditions.find(codec, self._columns, rows)
        ways = self.conditioning or conditions.DEFAULT_WAYS[codec.kind]
        return {"given": conditions.describe(self._given, self._columns, ways, self.balance)}

    def _chances(self) -> Tensor | None:
        return self._given.chances(self.balance) if self._given else None

    def _networks(
        self, codec: Codec, network: Mapping[str, Any], generator: torch.Generator
    ) -> tuple[nn.Module, nn.Module | None]:
        if "given" not in network:
            return super()._networks(codec, network, generator)
        made, critic = conditions.networks(codec, network, generator, class_weight=self.class_weight)
        if self._given is not None:
            self._given.keep(made.conditions, self._chances(), seed=self.seed)  # type: ignore[arg-type]
        return made, critic
