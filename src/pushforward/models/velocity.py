"""Generators trained without a critic: samples move along a velocity, and the generator is regressed onto their goal.

    t = y + lambda_1 V(y, x),    G descends  mean |G(z) - t|^2 / 2          y = G(z)

`ScoreDifference`: V is the difference of the scores of data and samples, smoothed by a kernel whose width falls from
the size of the whole cloud to that of its finest structure. `Drifting`: V is the drifting field (Deng et al. 2026,
arXiv 2602.04770). Neither plays a game, so there is nothing to balance. Both rest on distances between rows: they
suit points and other data of few dimensions.
"""

from __future__ import annotations

from .one_pass import OnePass
from .setup import Game


class _Flow(OnePass):
    """A generator that follows a velocity of `flow.VELOCITIES`.

    steps, time_budget, batch_size, learning_rate, noise_size, width, depth: default by kind; a batch is also the
    sample by which the velocity is estimated, so it should be large.
    lambda_1: how far along the velocity a target lies. regressions: generator steps to each target.
    until, tolerance, checkpoint_every, precision, device, seed: as for `GAN`.

    Learned: see `OnePass`; there is no critic.
    """

    _velocity = ""

    def __init__(
        self,
        *,
        steps: int | None = None,
        time_budget: float | None = None,
        batch_size: int | None = None,
        learning_rate: float | None = None,
        lambda_1: float = 1.0,
        regressions: int = 1,
        noise_size: int | None = None,
        width: int | None = None,
        depth: int | None = None,
        until: str | None = None,
        tolerance: float = 0.55,
        checkpoint_every: int | None = None,
        precision: str = "32-true",
        device: str = "auto",
        seed: int = 0,
    ) -> None:
        self.steps = steps
        self.time_budget = time_budget
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.lambda_1 = lambda_1
        self.regressions = regressions
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
        return Game(velocity=self._velocity, lambda_1=self.lambda_1, regressions=self.regressions)


class ScoreDifference(_Flow):
    __doc__ = _Flow.__doc__
    _velocity = "score-difference"


class Drifting(_Flow):
    __doc__ = _Flow.__doc__
    _velocity = "drift"
