"""The critic fitter: a small neural network trained on a link's own bound and stopped early.

It maximises mean phi(D(x)) - mean psi(D(y)) over D, which by the duality of the f-divergence makes D the log density
ratio (the class sizes never enter, because each side is a mean of its own). A quarter of each side is kept back;
training stops when the bound on it no longer rises, and the best weights are kept.
"""

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import final

import torch
from jaxtyping import Float
from torch import Generator, Tensor
from torch.nn.functional import silu

from pushforward.errors import InputError
from pushforward.links import LINKS
from pushforward.witness import Link, Score, Witness

_BATCH = 512  # rows of each side in a step
_CHECK_EVERY = 20  # steps between looks at the rows kept back
_PATIENCE = 10  # looks without a rise before stopping
_KEPT_BACK = 0.25
_FEWEST = 8  # rows a side


@final
@dataclass(frozen=True)
class CriticFitter:
    """Samples -> witness by a multilayer perceptron on standardised, flattened rows.

    `link` is the divergence trained on and read (any f-divergence: then the bound holds for any weights, and the
    witness is certified). `width` units in each of `depth` hidden layers (SiLU: the velocity needs a smooth critic),
    AdamW with `learning_rate`, at most `steps` steps. Initial weights, batches and the rows kept back come from the
    generator, so a seed fixes the witness; global random state is neither read nor set.
    """

    link: Link = LINKS["js"]
    width: int = 64
    depth: int = 2
    steps: int = 1000
    learning_rate: float = 2e-3
    weight_decay: float = 1e-2

    def __call__(self, x: Float[Tensor, "n *d"], y: Float[Tensor, "m *d"], *, generator: Generator) -> Witness:
        """The witness of data `x` and model samples `y`, in their dtype; at least 8 rows a side (`InputError`)."""
        if min(len(x), len(y)) < _FEWEST:
            raise InputError(f"a critic needs at least {_FEWEST} rows on each side, not {len(x)} and {len(y)}")
        dtype = x.dtype if x.is_floating_point() else torch.float32
        data, fake = x.flatten(1).to(dtype), y.flatten(1).to(dtype)
        (seen_x, kept_x), (seen_y, kept_y) = keep_back(data, generator), keep_back(fake, generator)
        spread, centre = torch.std_mean(torch.cat([seen_x, seen_y]), 0)
        scale = torch.where(spread > 0, spread, 1.0)
        weights = initial_weights([data.shape[1], *[self.width] * self.depth, 1], data, generator)

        def score(rows: Tensor) -> Tensor:
            return forward(weights, (rows.flatten(1) - centre) / scale)

        self._train(score, weights, seen_x, seen_y, kept_x, kept_y, generator)
        for w in weights:
            w.requires_grad_(False)
        return self.link(score)

    def _train(
        self,
        score: Score,
        weights: list[Tensor],
        x: Tensor,
        y: Tensor,
        kept_x: Tensor,
        kept_y: Tensor,
        generator: Generator,
    ) -> None:
        """Train `weights` in place and leave the ones with the highest gap on the rows kept back."""
        witness = self.link(score)
        optimiser = torch.optim.AdamW(weights, lr=self.learning_rate, weight_decay=self.weight_decay)
        best, best_gap, waited = [w.detach().clone() for w in weights], -math.inf, 0
        for step in range(1, self.steps + 1):
            loss = -witness.gap(batch(x, generator), batch(y, generator))
            optimiser.zero_grad()
            torch.autograd.backward(loss)
            optimiser.step()
            if step % _CHECK_EVERY and step < self.steps:
                continue
            with torch.no_grad():
                gap = float(witness.gap(kept_x, kept_y))
            if gap > best_gap:
                best, best_gap, waited = [w.detach().clone() for w in weights], gap, 0
            else:
                waited += 1
            if waited == _PATIENCE or not math.isfinite(gap):
                break
        with torch.no_grad():
            for w, kept in zip(weights, best, strict=True):
                w.copy_(kept)


def keep_back(rows: Tensor, generator: Generator) -> tuple[Tensor, Tensor]:
    """Three quarters of the rows, to be seen in training, and the quarter kept back."""
    order = torch.randperm(len(rows), generator=generator, device=generator.device).to(rows.device)
    kept = max(2, round(_KEPT_BACK * len(rows)))
    return rows[order[kept:]], rows[order[:kept]]


def batch(rows: Tensor, generator: Generator) -> Tensor:
    """512 rows drawn with replacement, or all where there are no more."""
    if len(rows) <= _BATCH:
        return rows
    chosen = torch.randint(len(rows), (_BATCH,), generator=generator, device=generator.device)
    return rows[chosen.to(rows.device)]


def initial_weights(widths: list[int], like: Tensor, generator: Generator) -> list[Tensor]:
    """[W1, b1, W2, b2, ...] on `like`'s device: N(0, 1/fan in) and 0; the last layer a tenth of that, for a calm
    start.
    """
    weights: list[Tensor] = []
    for k, (fan_in, fan_out) in enumerate(pairwise(widths)):
        gain = (0.1 if k == len(widths) - 2 else 1.0) / math.sqrt(fan_in)
        draw = torch.randn(fan_in, fan_out, generator=generator, device=generator.device).to(like) * gain
        weights += [draw.requires_grad_(), torch.zeros(fan_out).to(like).requires_grad_()]
    return weights


def forward(weights: list[Tensor], rows: Tensor) -> Tensor:
    """The perceptron's output `(n,)`: SiLU between the layers of `initial_weights`."""
    *hidden, (last, bias) = zip(weights[::2], weights[1::2], strict=True)
    for w, b in hidden:
        rows = silu(rows @ w + b)
    return (rows @ last + bias).squeeze(1)
