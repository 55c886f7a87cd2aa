"""The Lipschitz critic: a neural lower bound of W_1 whose constraint is only encouraged.

    W_1(P, Q) = sup over 1-Lipschitz D of  E_P D - E_Q D        (Kantorovich and Rubinstein)

D is trained on the gap less weight (|grad D(u)| - 1)_+^2 at u = t x + (1 - t) y, one t for each pair (Gulrajani et al.
2017; one-sided: Petzka et al. 2018), and then divided by the largest gradient norm seen at the rows and between them,
where that exceeds 1. Beyond those points nothing bounds the gradient, so the witness is not certified.
"""

import math
from dataclasses import dataclass
from typing import final

import torch
from jaxtyping import Float
from torch import Generator, Tensor

from pushforward.errors import InputError
from pushforward.fitters.critic import batch, forward, initial_weights, keep_back
from pushforward.links import WASSERSTEIN
from pushforward.witness import Score, Witness

_CHECK_EVERY = 20  # steps between looks at the rows kept back
_PATIENCE = 15  # looks without a rise before stopping
_FEWEST = 8  # rows a side
_PROBES = 2048  # points at which the gradient is measured in the end


@final
@dataclass(frozen=True)
class LipschitzCriticFitter:
    """Samples -> an approximately 1-Lipschitz function, by a multilayer perceptron on rows divided by one scale.

    `weight` of the gradient penalty, `width` units in each of `depth` hidden layers (SiLU), Adam with `learning_rate`
    for at most `steps` steps. A quarter of the rows is kept back; the weights with the highest penalised gap on it are
    kept. Everything random comes from the generator. Tagged `differentiable` alone: the gap estimates W_1 from below
    if training fell short, from above if the gradient is larger where nobody looked.
    """

    weight: float = 10.0
    width: int = 64
    depth: int = 2
    steps: int = 800
    learning_rate: float = 2e-3

    def __call__(self, x: Float[Tensor, "n *d"], y: Float[Tensor, "m *d"], *, generator: Generator) -> Witness:
        """The witness of data `x` and model samples `y`, in the data's units; at least 8 rows a side (`InputError`)."""
        if min(len(x), len(y)) < _FEWEST:
            raise InputError(f"a critic needs at least {_FEWEST} rows on each side, not {len(x)} and {len(y)}")
        dtype = x.dtype if x.is_floating_point() else torch.float32
        data, fake = x.detach().flatten(1).to(dtype), y.detach().flatten(1).to(dtype)
        pooled = torch.cat([data, fake])
        centre = pooled.mean(0)
        spread = float((pooled - centre).square().mean().sqrt())  # one for all columns: gradients keep their length
        scale = spread if spread > 0.0 else 1.0
        data, fake = (data - centre) / scale, (fake - centre) / scale
        weights = initial_weights([data.shape[1], *[self.width] * self.depth, 1], data, generator)
        self._train(weights, data, fake, generator)
        steepest = max(1.0, _steepest(weights, data, fake, generator))

        def score(rows: Tensor) -> Tensor:
            flat = rows.flatten(1)
            flat = flat if flat.is_floating_point() else flat.to(dtype)
            kept = [w.to(flat) for w in weights]
            return forward(kept, (flat - centre.to(flat)) / scale) * (scale / steepest)

        return WASSERSTEIN(score)

    def _train(self, weights: list[Tensor], x: Tensor, y: Tensor, generator: Generator) -> None:
        """Train `weights` in place and leave the ones with the highest penalised gap on the rows kept back."""
        (seen_x, kept_x), (seen_y, kept_y) = keep_back(x, generator), keep_back(y, generator)
        optimiser = torch.optim.Adam(weights, lr=self.learning_rate, betas=(0.5, 0.9))
        best, best_value, waited = [w.detach().clone() for w in weights], -math.inf, 0
        for step in range(1, self.steps + 1):
            loss = -self._objective(weights, batch(seen_x, generator), batch(seen_y, generator), generator)
            optimiser.zero_grad()
            torch.autograd.backward(loss)
            optimiser.step()
            if step % _CHECK_EVERY and step < self.steps:
                continue
            value = float(self._objective(weights, kept_x, kept_y, generator).detach())
            if value > best_value:
                best, best_value, waited = [w.detach().clone() for w in weights], value, 0
            else:
                waited += 1
            if waited == _PATIENCE or not math.isfinite(value):
                break
        with torch.no_grad():
            for w, kept in zip(weights, best, strict=True):
                w.requires_grad_(False).copy_(kept)

    def _objective(self, weights: list[Tensor], x: Tensor, y: Tensor, generator: Generator) -> Tensor:
        """The gap less the penalty."""
        steep = _gradient_norms(lambda rows: forward(weights, rows), _between(x, y, generator), create_graph=True)
        gap = forward(weights, x).mean() - forward(weights, y).mean()
        return gap - self.weight * (steep - 1.0).clamp_min(0.0).square().mean()


def _between(x: Tensor, y: Tensor, generator: Generator) -> Tensor:
    """t x + (1 - t) y for as many pairs as the longer side has rows, one t each."""
    count = max(len(x), len(y))
    t = torch.rand(count, 1, generator=generator, device=generator.device, dtype=torch.float64).to(x)
    return torch.lerp(_cycle(y, count), _cycle(x, count), t)


def _cycle(rows: Tensor, count: int) -> Tensor:
    return rows[torch.arange(count, device=rows.device) % len(rows)]


def _gradient_norms(score: Score, rows: Tensor, *, create_graph: bool = False) -> Tensor:
    """|grad D| at each row; the tiny constant keeps the root's own gradient finite."""
    with torch.enable_grad():
        u = rows.detach().requires_grad_()
        gradient = torch.autograd.grad(score(u).sum(), u, create_graph=create_graph)[0]
    return (gradient.square().sum(1) + 1e-20).sqrt()


def _steepest(weights: list[Tensor], x: Tensor, y: Tensor, generator: Generator) -> float:
    """The largest gradient norm at rows and at points between them."""
    probes = [_between(batch(x, generator), batch(y, generator), generator), x[:_PROBES], y[:_PROBES]]
    return float(_gradient_norms(lambda rows: forward(weights, rows), torch.cat(probes)).max())
