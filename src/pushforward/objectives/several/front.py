"""The front of several losses: what can be had at once.

A point f dominates g where f_i <= g_i for all i and f_i < g_i for one. The *hypervolume* is the volume that points
dominate within a reference point r: the larger, the better the front (Zitzler & Thiele 1999).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, final

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from pushforward.errors import InputError

from .directions import combined


def dominated(points: Float[Tensor, "n k"]) -> Bool[Tensor, " n"]:
    """Which of the points another one dominates."""
    no_worse = (points[:, None] <= points[None]).all(2)
    better = (points[:, None] < points[None]).any(2)
    found: Tensor = (no_worse & better).any(0)
    return found


def hypervolume(points: Float[Tensor, "n k"], reference: Sequence[float] | Float[Tensor, " k"]) -> float:
    """The volume of {y <= reference: some point <= y}, exact, by slices along the last loss."""
    r = torch.as_tensor(reference, dtype=torch.float64)
    x = points.detach().double().cpu()
    if x.dim() != 2 or x.shape[1] != len(r):
        raise InputError(f"points {tuple(x.shape)} and a reference of {len(r)} numbers; give points (n, {len(r)})")
    return _volume(x[(x < r).all(1)], r)


def _volume(x: Tensor, r: Tensor) -> float:
    if not len(x):
        return 0.0
    if x.shape[1] == 1:
        return float(r[0] - x[:, 0].min())
    x = x[x[:, -1].argsort()]
    ends = torch.cat([x[1:, -1], r[-1:]])
    heights = (ends - x[:, -1]).tolist()
    slices = (height * _volume(x[: i + 1, :-1], r[:-1]) for i, height in enumerate(heights) if height > 0)
    return float(sum(slices))


@final
@dataclass(frozen=True, eq=False)
class Front:
    """`losses` `(n, k)` at `points` `(n, d)`, found with `preferences` `(n, k)`; `dominated` `(n,)` are not on it."""

    losses: Float[Tensor, "n k"]
    points: Float[Tensor, "n d"]
    preferences: Float[Tensor, "n k"]
    dominated: Bool[Tensor, " n"]

    def __repr__(self) -> str:
        n, k = self.losses.shape
        return f"Front({n - int(self.dominated.sum())} of {n} points on the front of {k} losses)"

    def _repr_html_(self) -> str:
        """What a notebook shows: how many points are on it, between which losses."""
        from pushforward.report import card

        return card(self)

    def plot(self, **options: Any) -> Any:
        """Two of its losses as an Altair chart; see `report.plot`. options: `names` of the losses."""
        from pushforward.report import plot

        return plot(self, **options)

    def hypervolume(self, reference: Sequence[float]) -> float:
        """Of the losses, see `hypervolume`."""
        return hypervolume(self.losses, reference)


def pareto(
    losses: Callable[[Float[Tensor, " d"]], Float[Tensor, " k"]],
    starts: Float[Tensor, "n d"],
    how: str = "smooth-tchebycheff",
    *,
    preferences: Float[Tensor, "m k"] | None = None,
    ideal: Float[Tensor, " k"] | float = 0.0,
    steps: int = 1000,
    learning_rate: float = 0.02,
) -> Front:
    """The points that gradient descent (Adam) finds for each preference, from the start of its row.

    losses: x `(d,)` -> `(k,)`, differentiable. preferences: by default spread evenly, for two losses from (1, 0) to
    (0, 1) without these ends; for more, they must be given.
    """
    k = len(losses(starts[0]))
    if preferences is None:
        if k != 2:
            raise InputError(f"{k} losses: give preferences (n, {k}); they are only spread by themselves for two")
        share = (torch.arange(len(starts), dtype=starts.dtype) + 0.5) / len(starts)
        preferences = torch.stack([share, 1 - share], 1)
    if len(preferences) != len(starts):
        raise InputError(f"{len(preferences)} preferences for {len(starts)} starts; give one for each")
    ends = torch.stack(list(_descended(losses, starts, how, preferences, ideal, steps, learning_rate)))
    found = torch.stack([losses(x) for x in ends]).detach()
    return Front(found, ends, preferences, dominated(found))


def _descended(
    losses: Callable[[Tensor], Tensor],
    starts: Tensor,
    how: str,
    preferences: Tensor,
    ideal: Tensor | float,
    steps: int,
    learning_rate: float,
) -> Iterator[Tensor]:
    for start, preference in zip(starts, preferences, strict=True):
        x = start.detach().clone().requires_grad_()
        adam = torch.optim.Adam([x], lr=learning_rate)
        fall = torch.optim.lr_scheduler.CosineAnnealingLR(adam, steps)
        for _ in range(steps):
            adam.zero_grad()
            combined(losses(x), [x], how, preference=preference, ideal=ideal).backward()
            adam.step()
            fall.step()
        yield x.detach()
