"""Critics of joint rows: two that judge two domains apart, and one that judges pairs."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn

from .joint import Joint


class Apart(nn.Module):
    """Joint rows `(n, total)` -> a score of each part by a critic of its own, `(n, parts)`: so many games at once."""

    def __init__(self, joint: Joint, critics: Sequence[nn.Module]) -> None:
        super().__init__()
        self.joint, self.games = joint, len(critics)
        self.critics = nn.ModuleList(critics)
        self.shape = getattr(critics[0], "shape", None)

    def forward(self, rows: Float[Tensor, "n total"]) -> Float[Tensor, "packs games"]:
        parts = self.joint.split(rows)
        return torch.stack([critic(part) for critic, part in zip(self.critics, parts, strict=True)], 1)


class Stacked(nn.Module):
    """Joint rows of two images of one size -> a score of both by one critic, which sees them as channels of one."""

    def __init__(self, joint: Joint, critic: nn.Module) -> None:
        super().__init__()
        self.joint, self.critic = joint, critic
        self.shape = getattr(critic, "shape", None)

    def forward(self, rows: Float[Tensor, "n total"]) -> Float[Tensor, " packs"]:
        scores: Tensor = self.critic(torch.cat(list(self.joint.split(rows)), 1))
        return scores
