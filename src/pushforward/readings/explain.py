"""The explain reading: which records, and which features, carry the difference that a witness sees.

*Records.* The witness is high where the data exceed the model: the rows of `x` with the highest phi are what the model
misses, the rows of `y` with the lowest psi are what gives the model away.

*Features.* By occlusion: shuffle one feature (or group of features) over the pooled rows, which severs it from the side
it came from and leaves its pooled marginal as it was, and see by how much the gap falls. That needs no gradient, so
every witness can be asked, and it is in the gap's own units. Two caveats that come with it: features that say the same
thing share the credit or hide each other, and shuffling can make combinations that no row has. Gradients were not
chosen: they are local, depend on the features' scales, and vanish where a critic saturates.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import final

import torch
from jaxtyping import Float
from torch import Generator, Tensor

from pushforward.errors import InputError
from pushforward.witness import Witness


@final
@dataclass(frozen=True, eq=False)
class Explanation:
    """Where two sets differ, according to one witness.

    - `gap`: its gap on these rows;
    - `missed` `(k,)`, `given_away` `(k,)`: positions in x of the rows with the highest phi, in y of those with the
      lowest psi, most telling first; `phi` `(n,)`, `psi` `(m,)`: the values of all rows;
    - `features` `(g,)`: fall of the gap when the feature is occluded, mean over repeats; `stderr` `(g,)`: its standard
      error over the repeats; `ranked` `(g,)`: features by falling attribution.
    """

    gap: float
    missed: Tensor
    given_away: Tensor
    phi: Tensor = field(repr=False)
    psi: Tensor = field(repr=False)
    features: Tensor
    stderr: Tensor
    ranked: Tensor


def explain(
    w: Witness,
    x: Float[Tensor, "n *d"],
    y: Float[Tensor, "m *d"],
    *,
    groups: Sequence[Sequence[int]] | None = None,
    top: int = 10,
    repeats: int = 5,
    generator: Generator,
) -> Explanation:
    """Rank the records and features of data `x` and model samples `y` by what the witness makes of them.

    `groups` lists the positions in the flattened row that are shuffled together (the one-hot columns of a category, the
    pixels of a patch: see `patches`); by default each position is a feature. Scores the rows g x `repeats` times.
    """
    if top < 1 or repeats < 2:
        raise InputError(f"explain needs top >= 1 and repeats >= 2, not {top} and {repeats}")
    width = x[0].numel()
    blocks = [[j] for j in range(width)] if groups is None else [list(g) for g in groups]
    if any(not 0 <= j < width for block in blocks for j in block):
        raise InputError(f"a group names a feature outside 0..{width - 1}")
    with torch.no_grad():
        phi, psi = w.phi(x), w.psi(y)
        gap = float(phi.double().mean() - psi.double().mean())
        falls = torch.stack([gap - _occluded(w, x, y, block, repeats, generator) for block in blocks])
    mean = falls.mean(1)
    return Explanation(
        gap=gap,
        missed=phi.argsort(descending=True, stable=True)[:top],
        given_away=psi.argsort(stable=True)[:top],
        phi=phi,
        psi=psi,
        features=mean,
        stderr=falls.std(1) / repeats**0.5,
        ranked=mean.argsort(descending=True, stable=True),
    )


def _occluded(w: Witness, x: Tensor, y: Tensor, block: list[int], repeats: int, generator: Generator) -> Tensor:
    """The gap with the features of `block` shuffled over the pooled rows, once per repeat `(repeats,)`."""
    n = len(x)
    pooled = torch.cat([x, y]).flatten(1)
    gaps = []
    for _ in range(repeats):
        order = torch.randperm(len(pooled), generator=generator, device=generator.device).to(pooled.device)
        shuffled = pooled.clone()
        shuffled[:, block] = pooled[order][:, block]
        rows = shuffled.reshape(len(pooled), *x.shape[1:])
        gaps.append(w.phi(rows[:n]).double().mean() - w.psi(rows[n:]).double().mean())
    return torch.stack(gaps)


def patches(shape: tuple[int, int, int], size: int) -> list[list[int]]:
    """Groups for images of `shape` (c, h, w): the flattened positions of each size x size patch, all channels together,
    row by row."""
    c, h, w = shape
    positions = torch.arange(c * h * w).reshape(c, h, w)
    return [
        positions[:, top : top + size, left : left + size].flatten().tolist()
        for top in range(0, h, size)
        for left in range(0, w, size)
    ]
