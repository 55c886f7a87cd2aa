"""Models that descend several losses at once: how they are told to, and what can be had of each.

A model whose network has several losses (a VAE's distortion and rate), or a GAN with `terms` beside its game, descends
them together as its `combine` and `preference` say (`objectives.several`). `trade_off` fits one model for each of many
preferences and measures what each ends with, on rows that none of them saw: the front of what can be had at once.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypedDict, final

import torch
from jaxtyping import Float
from torch import Tensor, nn

from ..errors import InputError
from ..objectives.several import WAYS, Front, dominated
from ..objectives.several.directions import AGGREGATORS
from ..training.batches import derive
from ..training.draw import Draw, Moment
from .base import Estimator
from .rows import chunks, device, read_rows
from .trained import Trained

Measure = Callable[[Any, Any], Mapping[str, float]]
"""(fitted model, rows held out) -> figures by name, each the better the smaller."""


class Told(TypedDict):
    """What `setup.Game` takes."""

    combine: str
    preference: tuple[float, ...]


def read(combine: str | None, preference: Sequence[float] | None, *, losses: int | None = None) -> Told:
    """`InputError` for an unknown way, and for a preference that is not of positive numbers, one for each of `losses`
    (where that is known)."""
    known = (*WAYS, *(name.lower() for name in AGGREGATORS))
    if combine is not None and combine.lower() not in known:
        raise InputError(f"unknown combine {combine!r}; known: {', '.join(known)}")
    if preference is not None and combine is None:
        raise InputError("a preference weighs losses that are combined; say how (combine='weighted', say)")
    weights = tuple(float(one) for one in preference or ())
    wrong = losses is not None and len(weights) not in (0, losses)
    if wrong or not all(weight > 0 for weight in weights):
        many = "one for each loss" if losses is None else f"{losses} of them"
        raise InputError(f"preference: positive numbers are expected, {many}, not {preference!r}")
    return {"combine": (combine or "").lower(), "preference": weights}


def apart(margin: float) -> Callable[[Tensor, Tensor], Float[Tensor, " m"]]:
    """A term of privacy: what samples y pay for being nearer than `margin`, in standardised units, to a row x of the
    batch: max(0, 1 - min_i |y - x_i| / margin)^2."""

    def term(x: Tensor, y: Tensor) -> Tensor:
        nearest = torch.cdist(y.flatten(1), x.flatten(1)).amin(1)
        return (1 - nearest / margin).clamp(min=0).square()

    return term


# ---- fronts


@final
@dataclass(frozen=True, eq=False)
class TradeOff:
    """`front.losses` `(n, k)` of the losses `names`, of `models`, one for each of `front.preferences`."""

    names: tuple[str, ...]
    front: Front
    models: tuple[Any, ...]

    def __repr__(self) -> str:
        return f"TradeOff({' and '.join(self.names)}: {self.front!r})"

    def _repr_html_(self) -> str:
        """What a notebook shows: the front."""
        from ..report import card

        return card(self)

    def plot(self, **options: Any) -> Any:
        """The front as an Altair chart, under the names of its losses; see `report.plot`."""
        from ..report import plot

        return plot(self, **options)


def trade_off(
    model: Estimator,
    data: Any,
    *,
    preferences: Sequence[Sequence[float]],
    held: Any,
    how: str = "weighted",
    measure: Measure | None = None,
) -> TradeOff:
    """Fit a model like `model` to `data` for each of the `preferences` and measure it on the rows `held`.

    measure: by default the mean of each loss that the network learns from, unweighted by the preference. Raises
    `InputError` for a model without `combine`, and for fewer than two preferences.
    """
    if "combine" not in model.parameter_names():
        raise InputError(f"{type(model).__name__} has one loss, of which there is no front; take one with several")
    if len(preferences) < 2:
        raise InputError(f"{len(preferences)} preferences make no front; give at least two")
    fitted, figures = [], []
    for preference in preferences:
        settings = {**model.get_params(), "combine": how, "preference": tuple(preference)}
        one: Any = type(model)(**settings)
        fitted.append(one.fit(data, progress=False))
        figures.append(dict((measure or losses_of)(one, held)))
    names = tuple(figures[0])
    losses = torch.tensor([[one[name] for name in names] for one in figures], dtype=torch.float64)
    weights = torch.tensor([list(one) for one in preferences], dtype=torch.float64)
    return TradeOff(names, Front(losses, weights, weights, dominated(losses)), tuple(fitted))


@torch.no_grad()
def losses_of(model: Trained, held: Any, *, seed: int = 0) -> dict[str, float]:
    """The mean of each loss that a model's network learns from, on rows `held`, at the end of its run."""
    network: Any = model.generator_
    if not hasattr(network, "learn"):
        raise InputError(f"{type(model).__name__} learns from no loss of single rows; say what to measure (measure=)")
    assert isinstance(network, nn.Module)
    dataset, sums, on = read_rows(model, held), dict.fromkeys(network.charges, 0.0), device(model)  # type: ignore[arg-type]
    over = Moment(1, 1, Draw(torch.Generator(on).manual_seed(derive(seed, "front"))))
    for x in chunks(model, dataset):
        for name, rows in network.learn(x, over).items():  # type: ignore[operator]
            sums[name] += float(rows.sum())
    return {name: total / len(dataset) for name, total in sums.items()}
