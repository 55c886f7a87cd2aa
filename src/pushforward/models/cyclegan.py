"""`CycleGAN`: two translators between two domains of which no rows correspond (Zhu et al. 2017).

G turns rows a of domain A into rows of B, F rows b of B into rows of A; D_B and D_A judge them, two games at once:

    D_B, D_A  descend  loss_D(D_B(b), D_B(G(a))) + loss_D(D_A(a), D_A(F(b))) + charges of both
    G, F      descend  loss_G of both  +  cycle    (|F(G(a)) - a|^2 + |G(F(b)) - b|^2)
                                       +  identity (|G(b) - b|^2 + |F(a) - a|^2)
                                       +  cost c(p) (|G(a) - T(a)|^2 + |F(b) - T^-1(b)|^2)

all squares means over the entries of an encoded row; c falls in a line from 1 to min(1, 500/n) at 60 % of the run, n
the rows of the smaller domain. The critics are shown old translations too (`replay`).

What makes the answer one of many. Any map of A onto B, followed by any map of B onto itself, wins the games; the cycle
only asks for a pair of inverses. The map that moves rows least, the Monge map of optimal transport, is one of them:

`start="moments"` (by default, of points and tables) begins at the linear map T that does so for two means and
    covariances, `T(x) = m_B + A (x - m_A)` (formula and source: `models.moments`), of points and of tables' numbers as
    encoded. What the game has to find is what two moments do not say. Points are seen in whitened coordinates, and
    their translators are gradients of functions (`nets.translator.PotentialTranslator`), of which only the Monge map
    wins the game if they are convex; |.|^2 of a change is measured so that moving least beyond T is moving least.
`start="identity"` (by default, of images, and with `match`) begins at T(x) = x, with translators of any form. The cost
    then draws them to the Monge map without making sure of it: where one domain is nearly a line, the game has been
    seen to end mirrored along it.

Squares, not absolute values (which the paper has), are charged: those have a kink at T, and hold translators there.
The cost lasts where rows are few, for then the critics tell mostly chance, and stops where they are many, for it would
keep rows from going all the way.

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

FADED = 0.6  # of a run, after which the cost falls no further
FEW = 500  # rows of a domain, of which no more can be known than that they are where they started
UNITS = 4  # of a potential, in multiples of the width
STARTS = ("identity", "moments")
CHARGES = ("cycle", "identity", "cost")
RECIPES = {
    "gradients": Recipe(1000, 256, 1e-2, 0, 32, 1, coarse=0.03, fine=1.0, half_life=200),
    "points": Recipe(2000, 256, 5e-3, 0, 32, 1, coarse=0.15, fine=1.0, half_life=200),
    "table": Recipe(2000, 256, 1e-3, 0, 64, 1, coarse=0.1, fine=1.0, half_life=200),
    "images": Recipe(4000, 16, 2e-3, 0, 16, 1, coarse=0.01, fine=0.01, half_life=200, shift=1),
}
COST = {"points": 2.0, "table": 4.0, "images": 0.0}  # colours are far apart where a pixel has moved by one


class CycleGAN(Translating):
    """Translators between two domains, of points of one width, tables with the same columns, or images of one size.

    cycle, identity, cost: the weights above; 0 leaves a term out. The cost is 2 by default, 4 for tables, and 0 for
        images, where the square of a difference of pixels says little about how far they moved.
    match: whether each domain has coordinates of its own.
    start: `moments` or `identity`, above; pictures have the latter only.
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
        return RECIPES["gradients" if isinstance(codec, PairsCodec) and gradual(codec) else codec.kind]

    def _describe(self, codec: Codec, rows: Tensor) -> dict[str, Any]:
        cost = COST[codec.kind] if self.cost is None else self.cost
        return {
            "ways": self.ways,
            "cost": cost,
            "lasting": min(1.0, FEW / self._fewest),
            "start": self._starts(codec),
        }

    def _starts(self, of: Codec | Dataset) -> str:
        """Where the translators of such rows start from."""
        if self.start == "moments" and of.kind == "images":
            raise InputError("start='moments': two moments of pictures say little of where to start; leave start out")
        return self.start or ("identity" if self.match or of.kind == "images" else "moments")

    def _beside(self, of: Dataset, to: Dataset) -> Dataset:
        self._fewest = min(len(of), len(to))
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
        forth: nn.Module
        back: nn.Module
        if gradual(codec):
            forth, back, metrics = gradients(codec, UNITS * network["width"], generator)
        else:
            begin = numbers(codec, getattr(self, "_sources", None)) if network["start"] == "moments" else (None, None)
            forth = translator(codec.of, codec.to, network, generator, start=begin[0])
            back = translator(codec.to, codec.of, network, generator, start=begin[1])
        weights = {"cycle": self.cycle, "identity": self.identity, "cost": network["cost"]}
        made = Both(joint, forth, back, weights, getattr(self, "_sources", None), metrics, network["lasting"])
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
        lasting: float = 0.0,
    ) -> None:
        super().__init__()
        self.joint, self.forth, self.back = joint, forth, back
        self.weights = dict(weights)
        self.charges = tuple(name for name, weight in weights.items() if weight > 0)
        self.sources, self.lasting = sources, lasting
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
            beyond_b = apart(made_b, begun(self.forth, a), self.metric_b)
            beyond_a = apart(made_a, begun(self.back, b), self.metric_a)
            owed["cost"] = fading(play.moment.progress, self.lasting) * (beyond_b + beyond_a)
        return {name: self.weights[name] * value for name, value in owed.items()}


def fading(progress: float, lasting: float) -> float:
    """The share of the cost at `progress`: from 1, in a line, to `lasting` at `FADED`."""
    return max(lasting, 1 - (1 - lasting) * progress / FADED)


def begun(made: nn.Module, x: Tensor) -> Tensor:
    """What a translator made of rows before any training."""
    found: Tensor = made.begin(x)  # type: ignore[operator]
    return found


def gradual(codec: PairsCodec) -> bool:
    """Whether translators between such rows are gradients."""
    return isinstance(codec.to, WhitenedCodec)


def apart(one: Tensor, other: Tensor, metric: Tensor | None = None) -> Tensor:
    """The mean square over the entries of each row, `(n,)`; of their products with `metric` `(d, d)` where given."""
    change = (one - other).flatten(1)
    return (change if metric is None else change @ metric).square().mean(1)
