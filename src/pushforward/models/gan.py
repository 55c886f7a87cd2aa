"""`GAN`: a generator learned by playing against a critic, for points, tables and images alike.

The critic D learns to tell data x from samples y = G(z); the generator G learns to undo what it finds. The default
game is relativistic pairing with zero-centred gradient penalties on both sides (R3GAN, Huang et al. 2024):

    D descends  sp(-(D(x) - D(y))) + gamma/2 |grad D(x)|^2 + gamma/2 |grad D(y)|^2        sp = softplus
    G descends  sp(-(D(y) - D(x)))

with Adam (beta1 = 0), falling learning rate and gamma, and samples drawn from the moving average of G's weights.
"""

from __future__ import annotations

import warnings

from torch import nn

from ..errors import InputError
from ..objectives import Objective, objective
from ..training.regularisers import check_pairs, parse
from ..training.regularisers.table import Words
from ..witness import Link
from .one_pass import OnePass
from .setup import Game

R1_R2 = "r1+r2"


class GAN(OnePass):
    """A generative adversarial network for points `(n, d)`, tables and images, with defaults for each.

    objective: a name of `objectives.OBJECTIVES`, or an `Objective` or `Link`.
    steps: generator steps (default by kind, see `networks.recipe`); or time_budget: about how many seconds to train
        for, from which the number of steps is set once, by timing a few.
    batch_size, learning_rate, noise_size, width, depth: default by kind.
    regularise: names of `training.regularisers.REGULARISERS` joined by `+`, each with its number after a colon
        (`r1+r2`, `gp:10`, `r1+spectral-norm+pack:2`), or a list of names and `Regulariser`s, or `none`. By default
        `r1+r2`; `gp` for the objective `wgan`.
    gamma: the weight of `r1` and `r2` where they are given no number of their own: the first value, which falls
        tenfold. By default both ends are set from the data's scale (see `networks`). Also the weight of `gp`.
    n_critic: critic steps to one generator step. critic_rate: the critic's learning rate in multiples of the
        generator's (two time scales).
    lambda_1: None for the direct step; a number for the target step, with this rate in data space and `regressions`
        generator steps to each target (see `training.step`).
    optimiser: of both players, a name of `training.optimisers.OPTIMISERS`.
    networks: your own (generator, critic) modules, of which copies are trained: the generator has
        `noise(n, *, generator)` and `forward(noise)`, the critic gives one score per row. Such a model cannot be
        saved in a folder.
    until: `indistinguishable` lets an auditor end the run (see `training.stopping`): when the upper confidence bound
        of its AUC is under `tolerance`, or when it sees no progress any more.
    checkpoint_every: steps between two checkpoints (default: 30 seconds).
    precision: `32-true`, or `bf16-mixed` (see Lightning Fabric).
    device: `auto`, `cpu`, `cuda` or `mps`. seed: of everything random; nothing global is read or set.

    Learned: see `OnePass`.
    """

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
        return Game(
            objective=played,
            regularise=words,
            gamma=self.gamma,
            n_critic=self.n_critic,
            critic_rate=self.critic_rate,
            lambda_1=self.lambda_1,
            regressions=self.regressions,
            optimiser=self.optimiser,
            own=self.networks,
        )
