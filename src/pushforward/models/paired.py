"""`Pix2Pix`: a translator learned from pairs, row i of A with row i of B (Isola et al. 2017).

    D  descends  loss_D(D(b, a), D(G(a, z), a)) + charges                 z: noise, where any is asked for
    G  descends  loss_G(D(b, a), D(G(a, z), a)) + pull |G(a, z) - b|      the mean absolute difference of entries

The critic sees what was translated beside what it was translated to. The pull alone would give the median of all b that
belong to an a, blurred where there are several; the game asks for one that could be.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from ..data.alike import check_alike
from ..data.codec import Codec, fit_codec
from ..data.dataset import Dataset
from ..data.pairs import PairsCodec, together
from ..errors import InputError
from ..nets import ConvCritic, MLPCritic, Shape
from ..nets.domains import Stacked
from ..nets.joint import Joint
from ..objectives import Objective
from ..training.regularisers.base import Play
from ..training.regularisers.table import Words
from ..witness import Link
from .drawing import rng
from .networks import Recipe
from .setup import Game
from .translating import Sources, Translating, codecs, drawn, played, translator

RECIPES = {
    "points": Recipe(3000, 256, 1e-3, 0, 64, 2, coarse=1.0, fine=1.0, half_life=200),
    "table": Recipe(2000, 256, 1e-3, 0, 128, 2, coarse=0.1, fine=1.0, half_life=200),
    "images": Recipe(6000, 32, 1e-3, 0, 32, 1, coarse=0.01, fine=0.01, half_life=200),
}


class Pix2Pix(Translating):
    """A translator from A to B, fitted to rows of both that correspond.

    Points of any two widths, images of one height and width (grey or RGB each), tables with the same columns.

    pull: the weight above. noise_size: of the noise z; 0 (the default) makes one answer for every row.
    ways: as for `CycleGAN`. Everything else as for `GAN`.

    Learned: see `OnePass`; `generator_` holds the translator as `forth`.
    """

    _paired = True

    def __init__(
        self,
        objective: str | Objective | Link = "rpgan",
        *,
        pull: float = 10.0,
        noise_size: int | None = None,
        ways: str = "bend+colour+detail",
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
        self.pull = pull
        self.noise_size = noise_size
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
        if not isinstance(self.pull, int | float) or self.pull < 0:
            raise InputError(f"pull is a weight of at least 0, not {self.pull!r}")
        return played(self, self.regularise or "r1+r2")

    def _recipe(self, codec: Codec, game: Game) -> Recipe:
        return RECIPES[codec.kind]

    def _describe(self, codec: Codec, rows: Tensor) -> dict[str, Any]:
        return {"ways": self.ways}

    def _alike(self, of: Dataset, to: Dataset) -> Dataset:
        if len(of) != len(to):
            raise InputError(
                f"{of.name} has {len(of):,} rows and {to.name} {len(to):,}; pairs need a row of one for every row of "
                "the other (without pairs: CycleGAN)"
            )
        if of.kind == "table" or of.kind != to.kind:
            return check_alike(of, to)
        sizes = [tuple(one.values.shape[2:]) for one in (of, to)]  # none for points
        if sizes[0] != sizes[1]:
            told = [f"{name} of {size[1]} x {size[0]}" for name, size in zip((of.name, to.name), sizes, strict=True)]
            raise InputError(f"images of two sizes, {told[0]} and {told[1]}; bring them to one size")
        return to

    def _held(self, pair: tuple[Dataset, Dataset], holdout: Any) -> tuple[Dataset, Dataset]:
        of, to = super()._held(pair, holdout)
        return of, self._alike(of, to)

    def _beside(self, of: Dataset, to: Dataset) -> Dataset:
        return replace(to, given=of)

    def _codec(self, dataset: Dataset) -> tuple[Codec, Tensor]:
        to, of = replace(dataset, given=None), dataset.given
        assert of is not None
        if of.values.shape[1:] == to.values.shape[1:]:
            both = fit_codec(together(of, to))
            codec = PairsCodec(both, both)
        else:
            codec = PairsCodec(fit_codec(to), fit_codec(of))
        rows = codec.encode(dataset, generator=rng(self.seed, "encode"))
        self._sources = Sources(rows, codec.expand, math.prod(codec.to.event_shape), paired=True)
        return codec, rows

    def _networks(
        self, codec: Codec, network: Mapping[str, Any], generator: torch.Generator
    ) -> tuple[nn.Module, nn.Module | None]:
        assert isinstance(codec, PairsCodec)
        joint = Joint(codec.shapes, viewed=())  # moving one of a pair would spoil it
        size = network["noise_size"]
        forth = translator(codec.of, codec.to, network, generator, noise_size=size)
        made = Forth(joint, forth, size, self.pull, getattr(self, "_sources", None))
        sizes: dict[str, Any] = {"width": network["width"], "depth": network["depth"]}
        sizes["shape"] = Shape(**network["shape"])
        if codec.kind == "images":
            (b, height, width), (a, _, _) = codec.shapes
            return made, Stacked(joint, ConvCritic((a + b, height, width), **sizes, generator=generator))
        critic = MLPCritic(joint.event_shape, **sizes, generator=generator)
        critic.joint = joint  # type: ignore[assignment]
        return made, critic

    def _translators(self) -> dict[str, tuple[Codec, Codec, nn.Module]]:
        pair, one = codecs(self), self.generator_
        assert isinstance(one, Forth)
        return {"B": (pair.of, pair.to, one.forth)}

    def _noise(self, n: int, generator: torch.Generator) -> Tensor | None:
        one = self.generator_
        assert isinstance(one, Forth)
        return torch.randn(n, one.noise_size, generator=generator) if one.noise_size else None


class Forth(nn.Module):
    """The translator as a player: pairs (b, a) of the data with noise z -> joint rows (G(a, z), a)."""

    def __init__(self, joint: Joint, forth: nn.Module, noise_size: int, pull: float, sources: Sources | None) -> None:
        super().__init__()
        self.joint, self.forth, self.noise_size, self.pull = joint, forth, noise_size, pull
        self.charges = ("pull",) if pull > 0 else ()
        self.sources = sources

    def noise(self, n: int, *, generator: torch.Generator) -> Tensor:
        rows = drawn(self.sources, n, generator=generator)
        return torch.cat([rows, torch.randn(n, self.noise_size, generator=generator, device=generator.device)], 1)

    def forward(self, noise: Tensor) -> Tensor:
        _, a = self.joint.split(noise[:, : sum(self.joint.sizes)])
        z = noise[:, sum(self.joint.sizes) :] if self.noise_size else None
        made: Tensor = self.forth(a) if z is None else self.forth(a, z)
        return self.joint.join(made, a)

    def owes(self, play: Play, z: Tensor) -> dict[str, Tensor]:
        """The pull of the module's docstring, `(n,)`."""
        b, _ = self.joint.split(z[:, : sum(self.joint.sizes)])
        made, _ = self.joint.split(play.y)
        return {"pull": self.pull * (made - b).flatten(1).abs().mean(1)}
