"""An accumulator in the shape that `torchmetrics` users know: `update(features, real=True)`, `compute()`, `reset()`.

`TorchMetric` needs nothing but torch. `torchmetrics_metric` makes, where torchmetrics is installed, an instance of its
`Metric`, which goes into a `MetricCollection`, a Lightning module or a checkpoint; its states are the accumulator's
tensors, and what runs over ranks is the accumulator's own `reduce`, once per `compute`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, final

import torch
from torch import Tensor

from ...errors import InputError
from .accumulators import Accumulator


@final
class TorchMetric:
    """`make()` gives a fresh accumulator, such as `lambda: FrechetAccumulator(64)`."""

    def __init__(self, make: Callable[[], Accumulator]) -> None:
        self._make = make
        self.accumulator = make()

    def update(self, features: Tensor, *, real: bool) -> None:
        """Take in features `(n, d)` of real rows, or of fake ones."""
        _feed(self.accumulator, features, real)

    def compute(self) -> Tensor:
        """The value `()` over all ranks; more rows may follow. The accumulator's `compute` has the interval too."""
        return _value(self._make, self.accumulator.state_dict())

    def reset(self) -> None:
        """Forget all rows."""
        self.accumulator.reset()


def torchmetrics_metric(make: Callable[[], Accumulator], *, higher_is_better: bool = False) -> Any:
    """A `torchmetrics.Metric` with `update(features, real)` and `compute() -> ()`.

    `InputError` where torchmetrics cannot be imported.
    """
    try:
        from torchmetrics import Metric
    except ImportError as error:
        raise InputError(
            f"torchmetrics cannot be imported ({error}); install it (pip install torchmetrics), or use TorchMetric"
        ) from error
    names = {key: key.replace(".", "_") for key in make().state_dict()}

    class Adapted(Metric):  # type: ignore[misc]
        full_state_update = True
        is_differentiable = False

        def __init__(self) -> None:
            super().__init__(sync_on_compute=False)
            for key, value in make().state_dict().items():
                self.add_state(names[key], default=value.clone(), dist_reduce_fx=None)

        def update(self, features: Tensor, real: bool) -> None:
            accumulator = make()
            accumulator.load_state_dict({key: getattr(self, name) for key, name in names.items()})
            _feed(accumulator, features, real)
            for key, value in accumulator.state_dict().items():
                setattr(self, names[key], value)

        def compute(self) -> Tensor:
            return _value(make, {key: getattr(self, name) for key, name in names.items()})

    Adapted.higher_is_better = higher_is_better
    return Adapted()


def _feed(accumulator: Accumulator, features: Tensor, real: bool) -> None:
    if real:
        accumulator.update(real=features)
    else:
        accumulator.update(fake=features)


def _value(make: Callable[[], Accumulator], state: dict[str, Tensor]) -> Tensor:
    """`compute` of a copy, so that `reduce` leaves this rank's own state as it is."""
    copy = make()
    copy.load_state_dict(state)
    copy.reduce()
    found = copy.compute()
    return torch.tensor(float(getattr(found, "value", found)), dtype=torch.float64)
