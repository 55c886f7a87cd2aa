"""The critic of pairs: does this y belong to this x?

A pair (x_i, y_i) of the data is drawn from P, a pair put together at random from Q, so that the log ratio which a
critic f(x, y) learns is ln p(x, y) / (p(x) p(y)), whose mean over P is the mutual information. The bounds that it may
be trained on are those of `twosample.information`, which reads it on pairs that it has not seen.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, final

import torch
from jaxtyping import Float
from torch import Generator, Tensor
from torch.nn.functional import cross_entropy, silu

from pushforward.fitters.critic import initial_weights, keep_back
from pushforward.links import LINKS

PairScore = Callable[[Tensor, Tensor], Tensor]
"""`((n, dx), (n, dy)) -> (n,)`: high where a pair belongs together; the log density ratio where it is optimal."""

_CHECK_EVERY, _PATIENCE = 20, 10  # steps between two looks at the pairs kept back; looks without a fall before the end


@final
@dataclass(frozen=True, eq=False)
class Score:
    """f(x, y) = join(left(x), right(y)), each row on its own: the sides are worked out once for all pairings."""

    left: Callable[[Tensor], Tensor]
    right: Callable[[Tensor], Tensor]
    join: PairScore


@final
@dataclass(frozen=True)
class PairCritic:
    """Pairs -> score by two perceptrons, f(x, y) = g(x).h(y) + a(x) + b(y), each with a linear way around.

    All B^2 pairs of a batch of B are scored by one matrix product, those off the diagonal being pairs put together at
    random. `loss`: minus one of the bounds, `dv` with a moving average in the gradient's denominator (Belghazi et al.
    2018, section 3.2). A quarter of the pairs is kept back; training stops when their loss no longer falls, and the
    best weights are kept.

    width: of `depth` hidden layers (SiLU). features: of g and h. AdamW with `learning_rate`, at most `steps` steps.
    """

    loss: Literal["infonce", "nwj", "dv"] = "infonce"
    width: int = 64
    depth: int = 2
    features: int = 32
    batch: int = 256
    steps: int = 1000
    learning_rate: float = 2e-3
    weight_decay: float = 1e-2

    def __call__(self, x: Float[Tensor, "n dx"], y: Float[Tensor, "n dy"], *, generator: Generator) -> Score:
        """The score learned from the pairs (x_i, y_i)."""
        seen, kept = keep_back(torch.cat([x, y], 1), generator)
        sides = [_Side.of(part, self, generator) for part in seen.split([x.shape[1], y.shape[1]], 1)]
        parts = [x.shape[1], y.shape[1]]

        def matrix(rows: Tensor) -> Tensor:
            g, h = (side(part) for side, part in zip(sides, rows.split(parts, 1), strict=True))
            return g[:, :-1] @ h[:, :-1].T + g[:, -1:] + h[:, -1]

        weights = [w for side in sides for w in side.weights]
        self._train(matrix, weights, seen, kept, generator)
        return Score(sides[0], sides[1], lambda g, h: (g[:, :-1] * h[:, :-1]).sum(1) + g[:, -1] + h[:, -1])

    def _train(
        self, matrix: Callable[[Tensor], Tensor], weights: list[Tensor], x: Tensor, kept: Tensor, generator: Generator
    ) -> None:
        """Train `weights` in place and leave the ones with the least loss on the pairs kept back."""
        adam = torch.optim.AdamW(weights, lr=self.learning_rate, weight_decay=self.weight_decay)
        size = min(self.batch, len(x))
        few = min(size, len(kept))
        checks = kept[: len(kept) // few * few].split(few)
        best, best_loss, waited = [w.detach().clone() for w in weights], math.inf, 0
        level: Tensor | None = None
        for step in range(1, self.steps + 1):
            chosen = torch.randperm(len(x), generator=generator, device=generator.device)[:size].to(x.device)
            loss, level = self._loss(matrix(x[chosen]), level)
            adam.zero_grad()
            torch.autograd.backward(loss)
            adam.step()
            if step % _CHECK_EVERY and step < self.steps:
                continue
            with torch.no_grad():
                found = float(torch.stack([self._loss(matrix(part), None)[0] for part in checks]).mean())
            if found < best_loss:
                best, best_loss, waited = [w.detach().clone() for w in weights], found, 0
            else:
                waited += 1
            if waited == _PATIENCE or not math.isfinite(found):
                break
        for w, good in zip(weights, best, strict=True):
            w.requires_grad_(False).copy_(good)

    def _loss(self, scores: Float[Tensor, "B B"], level: Tensor | None) -> tuple[Tensor, Tensor | None]:
        """The loss of a batch, and for `dv` ln of the moving average of mean e^f, this batch counting a tenth (all,
        where there is none before it)."""
        if self.loss == "infonce":
            return -info_nce(scores), None
        true, apart = scores.diagonal(), _off_diagonal(scores)
        if self.loss == "nwj":
            return LINKS["kl"].psi(apart).mean() - LINKS["kl"].phi(true).mean(), None
        now = apart.logsumexp(0) - math.log(len(apart))
        new = now.detach()
        level = new if level is None else torch.logaddexp(level + math.log(0.9), new + math.log(0.1))
        return torch.exp(now - level) - 1.0 + level - true.mean(), level


@final
@dataclass(frozen=True, eq=False)
class _Side:
    """One side's network: standardised rows `(n, d)` -> `(n, features + 1)`."""

    weights: list[Tensor]
    centre: Tensor
    scale: Tensor

    @classmethod
    def of(cls, rows: Tensor, critic: PairCritic, generator: Generator) -> "_Side":
        spread, centre = torch.std_mean(rows, 0)
        widths = [rows.shape[1], *[critic.width] * critic.depth, critic.features + 1]
        around = initial_weights([rows.shape[1], critic.features + 1], rows, generator)
        weights = [*initial_weights(widths, rows, generator), *around]
        return cls(weights, centre, torch.where(spread > 0, spread, 1.0))

    def __call__(self, rows: Tensor) -> Tensor:
        rows = (rows - self.centre) / self.scale
        *inner, last, bias, around, shift = self.weights
        h = rows
        for w, b in zip(inner[::2], inner[1::2], strict=True):
            h = silu(h @ w + b)
        return h @ last + bias + rows @ around + shift


def info_nce(scores: Float[Tensor, "N N"]) -> Float[Tensor, ""]:
    """ln N - (CE(S) + CE(S'))/2 with CE(S) = mean_i [-S_ii + ln sum_j e^S_ij], S_ij the score of (x_i, y_j).

    Its expectation over N independent pairs is at most I(X; Y), and it is itself at most ln N.
    """
    own = torch.arange(len(scores), device=scores.device)
    return math.log(len(scores)) - (cross_entropy(scores, own) + cross_entropy(scores.T, own)) / 2


def _off_diagonal(scores: Float[Tensor, "B B"]) -> Float[Tensor, " m"]:
    """All entries but those of the diagonal."""
    return scores.flatten()[:-1].view(len(scores) - 1, -1)[:, 1:].flatten()
