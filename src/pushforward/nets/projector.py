"""Networks for contrastive learning: rows -> features h, features -> projections that are compared.

    one tower   h = F(x),  z = P(h): views of one row are to have one z, up to its length; h is the representation
                (Chen et al. 2020, section 2.1: P keeps what the loss throws away from being thrown away in h)
    two towers  u = A(a),  v = B(b): rows that belong together are to have one direction; at the scale
                s = exp(t), s <= 100, t learned from ln(1/.07) (Radford et al. 2021, section 2.5)

Nothing normalises over the batch, so every row is encoded on its own, and processes need not agree on anything.
"""

import math
from collections.abc import Callable
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import leaky_relu, normalize

from pushforward.objectives import contrastive

from .conv import ConvCritic
from .event import Event
from .initialise import SLOPE, linear
from .joint import Joint
from .mlp import Body

WARMEST, FIRST = math.log(100.0), math.log(1 / 0.07)  # of the scale's logarithm t

View = Callable[[Tensor, Any], Tensor]
"""(rows `(n, *event)`, a `training.draw.Draw`) -> rows changed at random."""


class Tower(nn.Module):
    """Rows `(n, *event)` -> features `(n, size)`: convolutions for images, a residual perceptron for points and tables,
    then one layer more."""

    def __init__(self, event: Event, *, width: int, depth: int, size: int, generator: torch.Generator) -> None:
        super().__init__()
        self.images = event.kind == "images"
        self.body: nn.Module
        if self.images:
            critic = ConvCritic(event.shape, width=width, depth=depth, generator=generator)
            seen = critic.leave.in_features
            critic.leave = nn.Identity()  # type: ignore[assignment]
            self.body = critic
        else:
            self.body, seen = Body(event.size, width=width, depth=depth, generator=generator), width
        self.leave = linear(seen, size, generator)

    def forward(self, x: Float[Tensor, "n *event"]) -> Float[Tensor, "n size"]:
        h = self.body.features(x) if self.images else self.body(x.flatten(1))  # type: ignore[operator]
        out: Tensor = leaky_relu(self.leave(h), SLOPE)
        return out


class Head(nn.Module):
    """h `(n, size)` -> W' act(W h) `(n, projection)`."""

    def __init__(self, size: int, projection: int, *, generator: torch.Generator) -> None:
        super().__init__()
        self.inner = linear(size, size, generator)
        self.outer = linear(size, projection, generator, gain=1.0)

    def forward(self, h: Float[Tensor, "n size"]) -> Float[Tensor, "n projection"]:
        out: Tensor = self.outer(leaky_relu(self.inner(h), SLOPE))
        return out


class Siamese(nn.Module):
    """One tower with a head, and the two `views` of a row that it learns from.

    joint: rows are (x, label) side by side, a label's number or -1 where it is not known: the loss is then the
    supervised one. What is encoded is x alone.
    """

    charges = ("contrast",)

    def __init__(
        self, tower: Tower, head: Head, views: tuple[View, View], *, temperature: float, joint: Joint | None
    ) -> None:
        super().__init__()
        self.tower, self.head = tower, head
        self.views, self.temperature, self.joint = views, temperature, joint

    def encode(self, x: Float[Tensor, "n *event"]) -> Float[Tensor, "n size"]:
        """The features h."""
        h: Tensor = self.tower(x)
        return h

    def forward(self, x: Float[Tensor, "n *event"]) -> Float[Tensor, "n projection"]:
        """The projections z, of any length."""
        z: Tensor = self.head(self.tower(x))
        return z

    def learn(self, rows: Tensor, moment: Any) -> dict[str, Tensor]:
        """NT-Xent of two views of every row, or the supervised loss: `(n,)`, in nats."""
        draw, labels = moment.draw, None
        if self.joint is not None:
            rows, told = self.joint.split(rows)
            labels = told.squeeze(1)
        u, v = self(torch.cat([view(rows, draw) for view in self.views])).chunk(2)
        several = draw.world_size > 1
        among = (draw.gather(u), draw.gather(v)) if several else None
        first = draw.rank * len(u)
        if labels is None:
            loss = contrastive.nt_xent(u, v, temperature=self.temperature, among=among, first=first)
        else:
            everyone = None if among is None else (*among, draw.gather(labels).long())
            loss = contrastive.supervised(
                u, v, labels.long(), temperature=self.temperature, among=everyone, first=first
            )
        return {"contrast": loss}


class Towers(nn.Module):
    """Two towers, each with a linear layer to `projection` numbers, for rows that come in pairs.

    joint: rows are (b, a) side by side, as `data.pairs.PairsCodec` lays them. `views`: of a and of b.
    """

    charges = ("contrast",)

    def __init__(
        self,
        towers: tuple[Tower, Tower],
        joint: Joint,
        views: tuple[View, View],
        *,
        size: int,
        projection: int,
        generator: torch.Generator,
    ) -> None:
        super().__init__()
        self.a, self.b = (
            nn.Sequential(tower, linear(size, projection, generator, gain=1.0, bias=False)) for tower in towers
        )
        self.joint, self.views = joint, views
        self.t = nn.Parameter(torch.full((), FIRST, device=generator.device))

    @property
    def scale(self) -> Float[Tensor, ""]:
        """s = exp(t), at most 100."""
        return self.t.clamp(max=WARMEST).exp()

    def encode_a(self, a: Float[Tensor, "n *event"]) -> Float[Tensor, "n projection"]:
        """u, of length 1."""
        return normalize(self.a(a), dim=1)

    def encode_b(self, b: Float[Tensor, "n *event"]) -> Float[Tensor, "n projection"]:
        """v, of length 1."""
        return normalize(self.b(b), dim=1)

    def learn(self, rows: Tensor, moment: Any) -> dict[str, Tensor]:
        """CLIP's loss of the pairs, `(n,)`, in nats."""
        draw = moment.draw
        b, a = self.joint.split(rows)
        u, v = self.a(self.views[0](a, draw)), self.b(self.views[1](b, draw))
        among = (draw.gather(u), draw.gather(v)) if draw.world_size > 1 else None
        return {"contrast": contrastive.clip(u, v, self.scale, among=among, first=draw.rank * len(u))}
