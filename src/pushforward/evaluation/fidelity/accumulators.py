"""Metrics that see their data batch by batch, in a training loop or over many processes, in bounded memory.

Each holds `update(real=..., fake=...)` (either may be left out), `merge(other)`, `compute()`, `reset()`,
`state_dict()` of plain tensors, and `reduce()`, which makes it the metric of all ranks' rows where `torch.distributed`
is set up (once, at the end: what is updated after it would be counted again). `FrechetAccumulator` is exact; those on a
`Reservoir` compute their metric on a uniform sample of the rows, and its interval, which is one for independent rows,
speaks of the population as before, only wider.

    quality = FrechetAccumulator(width=64)
    for batch in loader:
        quality.update(real=encode(batch), fake=encode(generate(len(batch))))
    print(quality.compute())
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Protocol, final

import torch
from torch import Tensor

from ...errors import InputError
from ...witness import Estimate
from .frechet import frechet_of_groups
from .kernel_distances import kernel_distance
from .moments import Moments
from .reservoir import Numbering, Reservoir, hashed

_SIDES = ("real", "fake")


class Accumulator(Protocol):
    """What every streaming metric here can do."""

    def update(
        self,
        *,
        real: Tensor | None = None,
        fake: Tensor | None = None,
        real_numbers: Tensor | None = None,
        fake_numbers: Tensor | None = None,
    ) -> None: ...
    def merge(self, other: Any) -> None: ...
    def compute(self) -> Any: ...
    def reset(self) -> None: ...
    def reduce(self) -> None: ...
    def state_dict(self) -> dict[str, Tensor]: ...
    def load_state_dict(self, state: Mapping[str, Tensor]) -> None: ...


@final
class FrechetAccumulator:
    """The Frechet distance of all features seen, `(n, width)` a batch, from their moments alone.

    With `groups` a power of 2 of at least 4, each row joins one of them by a hash of `seed` and its number in the
    stream, and `compute` gives the corrected distance with its interval (`frechet_distance`); with 1 group, the
    plug-in. Memory: 16 groups width^2 bytes.
    """

    def __init__(
        self,
        width: int,
        *,
        groups: int = 8,
        seed: int = 0,
        level: float = 0.95,
        device: torch.device | str = "cpu",
        shard: tuple[int, int] | None = None,
    ) -> None:
        if width < 1 or groups < 1 or groups == 2 or groups & (groups - 1):
            raise InputError(f"width {width} and groups {groups}: give a width of 1 or more, and 1, 4, 8, 16... groups")
        self.width, self.groups, self.seed, self.level = width, groups, seed, level
        self._device, self._shard = device, shard
        self.reset()

    def reset(self) -> None:
        """Forget all rows."""
        self.moments = {side: Moments(self.width, groups=self.groups, device=self._device) for side in _SIDES}
        self._numbering = {side: Numbering(self._shard) for side in _SIDES}

    def update(
        self,
        *,
        real: Tensor | None = None,
        fake: Tensor | None = None,
        real_numbers: Tensor | None = None,
        fake_numbers: Tensor | None = None,
    ) -> None:
        """Take in features `(n, width)`; `*_numbers` `(n,)`: of the rows in the whole stream, where known."""
        given = zip(_SIDES, (real, fake), (real_numbers, fake_numbers), strict=True)
        for stream, (side, rows, numbers) in enumerate(given):
            if rows is not None:
                numbers = self._numbering[side].next(len(rows), numbers, rows.device)
                group = hashed(numbers, 2 * self.seed + stream) & (self.groups - 1)
                self.moments[side].update(rows, group)

    def merge(self, other: FrechetAccumulator) -> None:
        """Take in what `other` has seen: other rows, with the same settings."""
        if (other.groups, other.seed) != (self.groups, self.seed):
            raise InputError("the two accumulators have different groups or seeds; make both alike")
        for side in _SIDES:
            self.moments[side].merge(other.moments[side])

    def compute(self) -> Estimate:
        """The distance of what was seen; `InputError` for too few rows."""
        for side, moments in self.moments.items():
            if float(moments.count.sum()) < 2:
                raise InputError(f"{side} has had {int(moments.count.sum())} rows; update with at least 2 first")
        return frechet_of_groups(real=self.moments["real"], fake=self.moments["fake"], level=self.level)

    def reduce(self) -> None:
        """Over all ranks of `torch.distributed`, where it is set up."""
        for moments in self.moments.values():
            moments.reduce()

    def state_dict(self) -> dict[str, Tensor]:
        """Tensors named `real.*` and `fake.*`."""
        state = {f"{side}.{name}": value for side in _SIDES for name, value in self.moments[side].state_dict().items()}
        return state | {f"{side}.numbered": torch.tensor(self._numbering[side].seen) for side in _SIDES}

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Go on from what `state_dict` gave."""
        for side in _SIDES:
            self.moments[side].load_state_dict(_below(state, side))
            self._numbering[side].seen = int(state[f"{side}.numbered"])


@final
class ReservoirMetric:
    """Any metric `function(*, real, fake)` of two sets of rows, on uniform samples of at most `rows` of each."""

    def __init__(
        self,
        function: Callable[..., Any],
        *,
        rows: int = 10_000,
        seed: int = 0,
        shard: tuple[int, int] | None = None,
    ) -> None:
        self.function, self._size, self._seed, self._shard = function, rows, seed, shard
        self.reset()

    def reset(self) -> None:
        """Forget all rows."""
        self.samples = {
            side: Reservoir(self._size, seed=2 * self._seed + stream, shard=self._shard)
            for stream, side in enumerate(_SIDES)
        }

    def update(
        self,
        *,
        real: Tensor | None = None,
        fake: Tensor | None = None,
        real_numbers: Tensor | None = None,
        fake_numbers: Tensor | None = None,
    ) -> None:
        """Take in rows `(n, *d)`; `*_numbers` `(n,)`: of the rows in the whole stream, where known."""
        for side, rows, numbers in zip(_SIDES, (real, fake), (real_numbers, fake_numbers), strict=True):
            if rows is not None:
                self.samples[side].update(rows, numbers)

    def merge(self, other: ReservoirMetric) -> None:
        """Take in what `other` has seen: other rows, with the same settings."""
        for side in _SIDES:
            self.samples[side].merge(other.samples[side])

    def compute(self) -> Any:
        """The function of both samples."""
        for side, sample in self.samples.items():
            if not sample.seen:
                raise InputError(f"{side} has had no rows; update with some first")
        return self.function(real=self.samples["real"].rows(), fake=self.samples["fake"].rows())

    def reduce(self) -> None:
        """Over all ranks of `torch.distributed`, where it is set up."""
        for sample in self.samples.values():
            sample.reduce()

    def state_dict(self) -> dict[str, Tensor]:
        """Tensors named `real.*` and `fake.*`."""
        return {f"{side}.{name}": value for side in _SIDES for name, value in self.samples[side].state_dict().items()}

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Go on from what `state_dict` gave."""
        for side in _SIDES:
            self.samples[side].load_state_dict(_below(state, side))


KernelDistanceAccumulator = partial(ReservoirMetric, kernel_distance)
"""KID (`kernel_distance`) on at most `rows` of each set; its interval is that of the sample's size."""


def _below(state: Mapping[str, Tensor], side: str) -> dict[str, Tensor]:
    return {name.removeprefix(f"{side}."): value for name, value in state.items() if name.startswith(f"{side}.")}
