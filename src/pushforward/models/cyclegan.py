"""`CycleGAN`: two translators between two domains of which no rows correspond (Zhu et al. 2017).

G turns rows a of domain A into rows of B, F rows b of B into rows of A; D_B and D_A judge them, two games at once:

    D_B, D_A  descend  loss_D(D_B(b), D_B(G(a))) + loss_D(D_A(a), D_A(F(b))) + charges of both
    G, F      descend  loss_G of both  +  cycle    (|F(G(a)) - a|^2 + |G(F(b)) - b|^2)
                                       +  identity (|G(b) - b|^2 + |F(a) - a|^2)
                                       +  cost (1 - p / .6)+ (|G(a) - a|^2 + |F(b) - b|^2)     p: progress, 0 to 1

all squares means over the entries of an encoded row. The critics are shown old translations too (`replay`).

What makes the answer one of many. Any map of A onto B, followed by any map of B onto itself, wins the games; the cycle
only asks for a pair of inverses. So (1) both translators start as the identity (`nets.translator`), (2) the cost draws
them to the map that moves rows least, the Monge map of optimal transport, and falls to 0, for at full weight it would
also keep rows from going all the way, and (3) squares, not absolute values (which the paper has), are charged: those
have a kink at the identity, and hold the translators there.

Nothing of this is a guarantee: where one domain is nearly a line, the game has been seen to end mirrored along it.

`match=True` puts each domain into coordinates of its own (points: standardised; tables: every number by its own
quantiles), so that the identity there is the column-by-column match already: for one population measured twice. It is
wrong for domains that truly differ in a column.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from ..data.codec import Codec, fit_codec
from ..data.dataset import Dataset
from ..data.pairs import PairsCodec, side_by_side, together
from ..data.whitened import WhitenedCodec
from ..errors import InputError
from ..nets import Shape
from ..nets.domains import Apart
from ..nets.joint import Joint
from ..objectives import Objective
from ..training.batches import derive
from ..training.regularisers.base import Play
from ..training.regularisers.table import Words
from ..witness import Link
from .drawing import rng
from .moments import gradients, numbers
from .networks import Recipe
from .setup import Game
from .translating import Sources, Translating, codecs, critic_of, drawn, played, translator

FADED = 0.6  # of a run, after which rows cost nothing to move
UNITS = 4  # of a potential, in multiples of the width
STARTS = ("identity", "moments")
CHARGES = ("cycle", "identity", "cost")
RECIPES = {
    "points": Recipe(2000, 256, 5e-3, 0, 32, 1, coarse=0.15, fine=1.0, half_life=200),
    "table": Recipe(2000, 256, 3e-3, 0, 64, 1, coarse=0.1, fine=1.0, half_life=200),
    "images": Recipe(4000, 16, 2e-3, 0, 16, 1, coarse=0.01, fine=0.01, half_life=200, shift=1),
}
COST = {"points": 2.0, "table": 2.0, "images": 0.0}  # colours are far apart where a pixel has moved by one


class CycleGAN(Translating):
    """Translators between two domains, of points of one width, tables with the same columns, or images of one size.

    cycle, identity, cost: the weights above; 0 leaves a term out. The cost is 2 by default, and 0 for images, where the
        square of a difference of pixels says little about how far they moved.
    match: whether each domain has coordinates of its own.
    ways: in which a picture may be changed, joined by `+`: `bend` (pixels move), `colour` (colours change, slowly over
        the picture), `detail` (anything, pixel by pixel). See `nets.translator`.
    regularise: by default `r1+r2+replay`. Everything else as for `GAN`.

    Learned: see `OnePass`; `generator_` holds both, as `forth` (A to B) and `back`.
    """

    def __init__(
        self,
        objective: str | Objective | Link = "rpgan",
        *,
        cycle: float = 2.0,
        identity: float = 0.0,
        cost: float | None = None,
        match: bool = False,
        start: str | None = None,
        ways: str = "bend",
        steps: int | None = None,
        time_budget: float | None = None,
        batch_size: int | None = None,
        learning_rate: float | None = None,
        regularise: Words | None = None,
        gamma: float | None = None,
        n_critic: int = 1,
        critic_rate: float = 1.0,
        optimiser: str = "adam",
        width: int | None = None,
        depth: int | None = None,
        until: str | None = None,
        tolerance: float = 0.55,
        checkpoint_every: int | None = None,
        precision: str = "32-true",
        device: str = "auto",
        seed: int = 0,
    ) -> None:
        self.objective = objective
        self.cycle = cycle
        self.identity = identity
        self.cost = cost
        self.match = match
        self.start = start
        self.ways = ways
        self.steps = steps
        self.time_budget = time_budget
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.regularise = regularise
        self.gamma = gamma
        self.n_critic = n_critic
        self.critic_rate = critic_rate
        self.optimiser = optimiser
        self.width = width
        self.depth = depth
        self.until = until
        self.tolerance = tolerance
        self.checkpoint_every = checkpoint_every
        self.precision = precision
        self.device = device
        self.seed = seed

    def _game(self) -> Game:
        for name in CHARGES:
            weight = getattr(self, name)
            if not (weight is None and name == "cost") and (not isinstance(weight, int | float) or weight < 0):
                raise InputError(f"{name} is a weight of at least 0, not {weight!r}")
        if self.start not in (None, *STARTS):
            raise InputError(f"start={self.start!r}: a translator starts from {' or '.join(map(repr, STARTS))}")
        return played(self, self.regularise or "r1+r2+replay")

    def _recipe(self, codec: Codec, game: Game) -> Recipe:
        return RECIPES[codec.kind]

    def _describe(self, codec: Codec, rows: Tensor) -> dict[str, Any]:
        cost = COST[codec.kind] if self.cost is None else self.cost
        return {"ways": self.ways, "cost": cost, "start": self._starts(codec)}

    def _starts(self, codec_or_data: Codec | Dataset) -> str:
        """Where the translators start from."""
        if self.start == "moments" and codec_or_data.kind == "images":
            raise InputError("start='moments': two moments of pictures say little of where to start; leave start out")
        return self.start or ("identity" if self.match or codec_or_data.kind == "images" else "moments")

    def _beside(self, of: Dataset, to: Dataset) -> Dataset:
        return side_by_side(of, to, seed=derive(self.seed, "domains"))

    def _codec(self, dataset: Dataset) -> tuple[Codec, Tensor]:
        to, of = dataset, dataset.given
        assert of is not None
        alone = replace(to, given=None)
        if to.kind == "points" and self._starts(to) == "moments":
            codec = PairsCodec(WhitenedCodec.fit(alone), WhitenedCodec.fit(of))
        elif self.match:
            codec = PairsCodec(fit_codec(alone), fit_codec(of))
        else:
            both = fit_codec(together(of, alone))
            codec = PairsCodec(both, both)
        rows = codec.encode(dataset, generator=rng(self.seed, "encode"))
        self._sources = Sources(rows, codec.expand, math.prod(codec.to.event_shape), paired=False)
        return codec, rows

    def _networks(
        self, codec: Codec, network: Mapping[str, Any], generator: torch.Generator
    ) -> tuple[nn.Module, nn.Module | None]:
        assert isinstance(codec, PairsCodec)
        joint = Joint(codec.shapes, viewed=(0, 1))
        metrics: tuple[Tensor, ...] = ()
        if network["start"] == "moments" and codec.kind == "points":
            forth, back, metrics = gradients(codec, UNITS * network["width"], generator)
        else:
            begin = numbers(codec, getattr(self, "_sources", None)) if network["start"] == "moments" else (None, None)
            forth = translator(codec.of, codec.to, network, generator, start=begin[0])
            back = translator(codec.to, codec.of, network, generator, start=begin[1])
        weights = {"cycle": self.cycle, "identity": self.identity, "cost": network["cost"]}
        made = Both(joint, forth, back, weights, getattr(self, "_sources", None), metrics)
        seen = Shape(**network["shape"])
        critics = [critic_of(codec.to, seen, network, generator) for _ in range(2)]
        return made, Apart(joint, critics)

    def _translators(self) -> dict[str, tuple[Codec, Codec, nn.Module]]:
        pair, both = codecs(self), self.generator_
        assert isinstance(both, Both)
        return {"A": (pair.to, pair.of, both.back), "B": (pair.of, pair.to, both.forth)}


class Both(nn.Module):
    """Both translators as one player: joint rows (b, a) of the data -> joint rows (G(a), F(b))."""

    def __init__(
        self,
        joint: Joint,
        forth: nn.Module,
        back: nn.Module,
        weights: Mapping[str, float],
        sources: Sources | None,
        metrics: Sequence[Tensor] = (),
    ) -> None:
        super().__init__()
        self.joint, self.forth, self.back = joint, forth, back
        self.weights = dict(weights)
        self.charges = tuple(name for name, weight in weights.items() if weight > 0)
        self.sources = sources
        self.metric_b: Tensor | None
        self.metric_a: Tensor | None
        for name, metric in zip(("metric_b", "metric_a"), metrics or (None, None), strict=True):
            self.register_buffer(name, metric, persistent=False)

    def noise(self, n: int, *, generator: torch.Generator) -> Tensor:
        return drawn(self.sources, n, generator=generator)

    def forward(self, noise: Tensor) -> Tensor:
        b, a = self.joint.split(noise)
        return self.joint.join(self.forth(a), self.back(b))

    def owes(self, play: Play, z: Tensor) -> dict[str, Tensor]:
        """The terms of the module's docstring, each `(n,)`."""
        (b, a), (made_b, made_a) = self.joint.split(z), self.joint.split(play.y)
        owed = {}
        if "cycle" in self.charges:
            owed["cycle"] = apart(self.back(made_b), a) + apart(self.forth(made_a), b)
        if "identity" in self.charges:
            owed["identity"] = apart(self.forth(b), b) + apart(self.back(a), a)
        if "cost" in self.charges:
            owed["cost"] = fading(play.moment.progress) * (
                apart(made_b, self.forth.begin(a), self.metric_b) + apart(made_a, self.back.begin(b), self.metric_a)
            )
        return {name: self.weights[name] * value for name, value in owed.items()}


def fading(progress: float) -> float:
    """The share of the cost at `progress`: from 1, in a line, to 0 at `FADED`."""
    return max(0.0, 1 - progress / FADED)


def apart(one: Tensor, other: Tensor, metric: Tensor | None = None) -> Tensor:
    """The mean square over the entries of each row, `(n,)`; of their products with `metric` `(d, d)` where given."""
    change = (one - other).flatten(1)
    return (change if metric is None else change @ metric).square().mean(1)
