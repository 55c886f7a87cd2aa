"""What families that play against a critic share beside `GAN`: its parameters, its game, and the critic's features."""

from __future__ import annotations

import warnings

from ..errors import InputError
from ..objectives import Objective, objective
from ..training.regularisers import check_pairs, parse
from ..training.regularisers.table import Words
from ..witness import Link
from .one_pass import OnePass
from .representation import Represents
from .setup import Game

R1_R2 = "r1+r2"


class Adversarial(Represents, OnePass):
    """A generator that plays against a critic; a family adds its own parameters and networks."""

    def __init__(
        self,
        objective: str | Objective | Link,
        *,
        steps: int | None,
        time_budget: float | None,
        batch_size: int | None,
        learning_rate: float | None,
        regularise: Words | None,
        gamma: float | None,
        n_critic: int,
        critic_rate: float,
        optimiser: str,
        noise_size: int | None,
        width: int | None,
        depth: int | None,
        until: str | None,
        tolerance: float,
        checkpoint_every: int | None,
        precision: str,
        device: str,
        seed: int,
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
        self.optimiser = optimiser
        self.noise_size = noise_size
        self.width = width
        self.depth = depth
        self.until = until
        self.tolerance = tolerance
        self.checkpoint_every = checkpoint_every
        self.precision = precision
        self.device = device
        self.seed = seed

    def _game(self) -> Game:
        played = objective(self.objective)
        if played.critic is None or played.reads not in ("scores", "features"):
            raise InputError(
                f"the objective {played.name!r} has no critic that scores rows, which {type(self).__name__} plays "
                "against; choose another, such as rpgan"
            )
        words = self.regularise
        if words is None:
            words = "gp" if played.name == "wgan" else R1_R2
        else:
            named = [part[0] if isinstance(part, tuple) else part.name for part in parse(words)]
            for sentence in check_pairs(played, named):
                warnings.warn(sentence, stacklevel=3)
        return Game(
            objective=played,
            regularise=words,
            gamma=self.gamma,
            n_critic=self.n_critic,
            critic_rate=self.critic_rate,
            optimiser=self.optimiser,
        )
