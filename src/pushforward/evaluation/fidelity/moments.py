"""`Moments`: mean and covariance of a stream of rows, exact to rounding however it is cut, merged or shared out.

For two sets of n_a and n_b rows with means mu_a, mu_b and scatters M = sum (x - mu)(x - mu)', the union has (Chan,
Golub and LeVeque 1983)

    n = n_a + n_b,    mu = mu_a + (n_b/n) delta,    M = M_a + M_b + (n_a n_b/n) delta delta',    delta = mu_b - mu_a,

which loses no digits where the mean is far from 0. All in float64. The rows may be dealt into several groups, each with
moments of its own, so that the moments of any union of groups (`union`) come without another look at the rows.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import final

import torch
import torch.distributed
from torch import Tensor

from ...errors import InputError

_CELLS = 8_000_000  # values turned into float64 at once
_BLOCK = 256


@final
class Moments:
    """`count` `(g,)`, `mean` `(g, d)` and `scatter` `(g, d, d)` of the rows seen so far, in `groups` groups."""

    def __init__(self, width: int, *, groups: int = 1, device: torch.device | str = "cpu") -> None:
        def zeros(*shape: int) -> Tensor:
            return torch.zeros(shape, dtype=torch.float64, device=device)

        self.count, self.mean, self.scatter = zeros(groups), zeros(groups, width), zeros(groups, width, width)

    @property
    def width(self) -> int:
        return self.mean.shape[1]

    @property
    def groups(self) -> int:
        return len(self.count)

    def update(self, rows: Tensor, group: Tensor | None = None) -> None:
        """Take in rows `(n, d)`; `group` `(n,)` says which group each belongs to (without it, the first)."""
        if rows.ndim != 2 or rows.shape[1] != self.width:
            raise InputError(f"rows are {tuple(rows.shape)}, but these moments are of {self.width} values a row")
        rows = rows.detach().to(self.mean.device)
        step = max(1, _CELLS // max(1, self.width))
        for start in range(0, len(rows), step):
            part = rows[start : start + step].double()
            if group is None:
                self._take(part[None], part.new_tensor([float(len(part))]))
            else:
                self._take(*_dealt(part, group[start : start + step].to(rows.device), self.groups))

    def merge(self, other: Moments) -> None:
        """Take in what `other` has seen, group by group."""
        if other.mean.shape != self.mean.shape:
            raise InputError(
                f"moments of {other.groups} groups of {other.width} values cannot be merged into {self.groups} groups "
                f"of {self.width}; make both alike"
            )
        parts = (other.count, other.mean, other.scatter)
        count, mean, scatter = (part.to(self.mean.device) for part in parts)
        self.scatter += scatter
        self._join(count, mean)

    def covariance(self) -> Tensor:
        """`(d, d)` of all rows, with n - 1 in the denominator."""
        return self.union(self.count.new_ones(1, self.groups))[2][0]

    def union(self, members: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Counts `(k,)`, means `(k, d)` and covariances `(k, d, d)` of the unions of groups that `members` `(k, g)`
        marks by 1."""
        centre = (self.count @ self.mean) / self.count.sum().clamp_min(1.0)
        mean = self.mean - centre  # the products below then cancel no digits
        count = members @ self.count
        centred = (members * self.count) @ mean / count[:, None]
        weighted = self.count[:, None] * mean
        if self.groups == 1:
            return count, centred + centre, members[:, :, None] * self.scatter / (count - 1.0)[:, None, None]
        own = (members @ self.scatter.flatten(1)).unflatten(1, self.scatter.shape[1:])
        between = (weighted.T * members[:, None, :]) @ mean
        scatter = own + between - count[:, None, None] * centred[:, :, None] * centred[:, None, :]
        return count, centred + centre, scatter / (count - 1.0)[:, None, None]

    def state_dict(self) -> dict[str, Tensor]:
        """`count`, `mean` and `scatter`: the tensors themselves."""
        return {"count": self.count, "mean": self.mean, "scatter": self.scatter}

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Go on from what `state_dict` gave."""
        self.count, self.mean, self.scatter = (state[name].clone() for name in ("count", "mean", "scatter"))

    def reduce(self) -> None:
        """Where `torch.distributed` is set up: become the moments of all ranks' rows, on every rank."""
        if not (torch.distributed.is_available() and torch.distributed.is_initialized()):
            return
        count, total = self.count.clone(), self.count[:, None] * self.mean
        for part in (count, total):
            torch.distributed.all_reduce(part)
        mean = total / count[:, None].clamp_min(1.0)
        shift = self.mean - mean
        scatter = self.scatter + self.count[:, None, None] * shift[:, :, None] * shift[:, None, :]
        torch.distributed.all_reduce(scatter)
        self.count, self.mean, self.scatter = count, mean, scatter

    def _take(self, rows: Tensor, count: Tensor) -> None:
        """Rows by group, `(g, l, d)` with zeros behind the first `count` `(g,)` of each group."""
        mean = rows.sum(1) / count.clamp_min(1.0)[:, None]
        centred = rows - mean[:, None]
        if len(rows) == 1:
            _add_gram(self.scatter[0], centred[0])
        else:
            there = torch.arange(rows.shape[1], device=rows.device) < count[:, None]
            centred *= there[:, :, None]
            self.scatter.baddbmm_(centred.mT, centred)
        self._join(count, mean)

    def _join(self, count: Tensor, mean: Tensor) -> None:
        """The equations of the module, for a scatter that was added already."""
        total = self.count + count
        delta = torch.where(count[:, None] > 0.0, mean - self.mean, 0.0)
        share = count / total.clamp_min(1.0)
        self.scatter.baddbmm_((delta * (self.count * share)[:, None])[:, :, None], delta[:, None, :])
        self.mean += delta * share[:, None]
        self.count = total


def _dealt(rows: Tensor, group: Tensor, groups: int) -> tuple[Tensor, Tensor]:
    """Rows `(n, d)` by their group, `(g, l, d)` filled up with zeros, and how many each group has."""
    count = torch.bincount(group, minlength=groups)
    order = group.argsort(stable=True)
    place = torch.arange(len(rows), device=rows.device) - (count.cumsum(0) - count)[group[order]]
    dealt = rows.new_zeros(groups, int(count.max()), rows.shape[1])
    dealt[group[order], place] = rows[order]
    return dealt, count.double()


def _add_gram(scatter: Tensor, rows: Tensor) -> None:
    """Add `rows' rows`, of which only the blocks on and below the diagonal are multiplied out."""
    for start in range(0, len(scatter), _BLOCK):
        stop = min(len(scatter), start + _BLOCK)
        below = rows[:, start:].T @ rows[:, start:stop]
        scatter[start:, start:stop] += below
        scatter[start:stop, stop:] += below[stop - start :].T
