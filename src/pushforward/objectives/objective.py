"""`Objective`: what the critic and the generator descend, pure functions of what the critic gives for two batches."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, final

from torch import Tensor

from pushforward.witness import Link

Loss = Callable[[Tensor, Tensor], Tensor]
"""(of data, of samples) -> one value per row `(n,)`, or one for the batch `()`; the step takes the mean."""

Reads = Literal["scores", "embedding", "features", "data"]


@final
@dataclass(frozen=True, eq=False)
class Objective:
    """An adversarial loss: what the critic descends and what the generator descends, both pure.

    `reads` says of what:

    - `scores`: one number per row, a = D(x) of data and b = D(y) of samples, each `(n,)`;
    - `embedding`: the critic gives `outputs` numbers per row, `(n, outputs)`, and both losses read those;
    - `features`: the critic's loss reads scores, the generator's the critic's last hidden layer `(n, width)`;
    - `data`: there is no critic (`critic` is None), and the generator's loss reads the rows themselves, flattened.

    `paired`: the generator's loss reads the data's side too; others ignore it. `joint`: a loss of the batch as a whole
    (it cannot be taken apart into rows, and processes must share their rows for it). `estimates` says what minus the
    critic's mean loss (where there is no critic, the generator's loss itself) estimates at the optimum, `tight` where
    it is exact.
    """

    name: str
    critic: Loss | None
    generator: Loss
    paired: bool = False
    joint: bool = False
    reads: Reads = "scores"
    outputs: int = 1
    estimates: str = ""
    tight: str = ""
    source: str = ""


def of_link(
    pair: Link, *, saturating: bool = True, estimates: str = "", tight: str = "", source: str = ""
) -> Objective:
    """The objective of a link: critic -(phi(a) - psi(b)); generator -psi(b), or the non-saturating -phi(b)."""
    return Objective(
        name=pair.name if saturating else f"{pair.name}-ns",
        critic=lambda a, b: pair.psi(b) - pair.phi(a),
        generator=(lambda a, b: -pair.psi(b)) if saturating else (lambda a, b: -pair.phi(b)),
        estimates=estimates or f"the {pair.name} divergence",
        tight=tight or ("at v = log p/q" if "log_ratio" in pair.tags else "at the best of all critics"),
        source=source or "Nowozin et al. 2016",
    )


def relativistic(
    name: str, loss: Callable[[Tensor], Tensor], *, source: str = "", estimates: str = "", tight: str = ""
) -> Objective:
    """Relativistic pairing of any margin loss: critic loss(a - b), generator loss(b - a).

    a and b must be paired at random and afresh each step (Jolicoeur-Martineau 2019, the RpGAN form).
    """
    return Objective(
        name=name,
        critic=lambda a, b: loss(a - b),
        generator=lambda a, b: loss(b - a),
        paired=True,
        estimates=estimates,
        tight=tight,
        source=source or "Jolicoeur-Martineau 2019",
    )


def relativistic_average(
    name: str, loss: Callable[[Tensor], Tensor], *, source: str = "", estimates: str = "", tight: str = ""
) -> Objective:
    """Relativistic average of any margin loss: each score against the mean score of the other side,

        critic loss(a - mean b) + loss(mean a - b),     generator loss(b - mean a) + loss(mean b - a)

    (Jolicoeur-Martineau 2019, section 4.2).
    """

    def higher(a: Tensor, b: Tensor) -> Tensor:
        return loss(a - b.mean()) + loss(a.mean() - b)

    return Objective(
        name=name,
        critic=higher,
        generator=lambda a, b: higher(b, a),
        paired=True,
        joint=True,
        estimates=estimates,
        tight=tight,
        source=source or "Jolicoeur-Martineau 2019",
    )
