"""VQ-VAE (van den Oord et al. 2017): a row as a few places that each hold one entry of a codebook.

    E(x) = (e_1 .. e_P),  each in R^D;  k_p = argmin_k |e_p - b_k|^2,  q_p = b_{k_p}
    loss = -ln p(x | e + sg(q - e)) + sum_p |sg(e_p) - q_p|^2 + beta sum_p |e_p - sg(q_p)|^2           (eq. 3)
         + anchor mean_k min_{p, rows} |b_k - sg(e_p)|^2  - ln p(sg(k_1 .. k_P))

sg stops the gradient, which goes straight through the quantisation to the encoder. The fourth term, not in the paper,
draws every entry to the nearest of what was encoded, so that none stays unused for good. The last is an autoregressive
prior of the codes, a small transformer (causal attention), which learns beside and changes nothing else.

As P(k | x) is one point, ln p(x) >= ln p(x | q) + ln p(k_1 .. k_P): a lower bound (their section 3.2).
"""

import math
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, gelu, scaled_dot_product_attention

from .autoencoder import Coder, Reader, Writer
from .decoders import Law, choose
from .initialise import fill_, linear

HEADS = 4
ANCHOR = 0.05


class Block(nn.Module):
    """h `(n, p, width)` -> h + attention to places up to its own, -> h + a perceptron of each place (pre-norm)."""

    def __init__(self, width: int, *, generator: torch.Generator) -> None:
        super().__init__()
        self.norms = nn.ModuleList([nn.LayerNorm(width, device=generator.device) for _ in range(2)])
        self.look = linear(width, 3 * width, generator, gain=1.0)
        self.mix = linear(width, width, generator, gain=0.0)
        self.inner = linear(width, 2 * width, generator)
        self.outer = linear(2 * width, width, generator, gain=0.0)

    def forward(self, h: Float[Tensor, "n p width"]) -> Float[Tensor, "n p width"]:
        q, k, v = (one.unflatten(2, (HEADS, -1)).transpose(1, 2) for one in self.look(self.norms[0](h)).chunk(3, 2))
        seen = scaled_dot_product_attention(q, k, v, is_causal=True).transpose(1, 2).flatten(2)
        h = h + self.mix(seen)
        out: Tensor = h + self.outer(gelu(self.inner(self.norms[1](h))))
        return out


class CausalPrior(nn.Module):
    """p(k_1 .. k_P | c) = prod_p p(k_p | k_1 .. k_{p-1}, c), each one of `levels`."""

    def __init__(
        self, places: int, levels: int, *, given: int, width: int, depth: int, generator: torch.Generator
    ) -> None:
        super().__init__()
        self.places, self.levels = places, levels
        on = generator.device
        self.tokens = nn.Parameter(fill_(torch.empty(levels, width, device=on), math.sqrt(width), generator))
        self.where = nn.Parameter(fill_(torch.empty(places, width, device=on), math.sqrt(width), generator))
        self.given = linear(given, width, generator, gain=1.0) if given else None
        self.blocks = nn.ModuleList([Block(width, generator=generator) for _ in range(depth)])
        self.norm = nn.LayerNorm(width, device=on)
        self.leave = linear(width, levels, generator, gain=0.1)

    def forward(self, codes: Int[Tensor, "n p"], c: Tensor | None = None) -> Float[Tensor, "n q levels"]:
        """Scores of places 0 .. p by the p codes before; of all P places where all P are given."""
        shown = min(codes.shape[1] + 1, self.places)
        before = self.tokens[codes[:, : shown - 1]]
        h = torch.cat([before.new_zeros(len(codes), 1, before.shape[2]), before], 1) + self.where[:shown]
        if self.given is not None and c is not None:
            h = h + self.given(c).unsqueeze(1)
        for block in self.blocks:
            h = block(h)
        scores: Tensor = self.leave(self.norm(h))
        return scores

    def log_prob(self, codes: Int[Tensor, "n p"], c: Tensor | None = None) -> Float[Tensor, " n"]:
        scores = self(codes, c)
        return -cross_entropy(scores.flatten(0, 1), codes.flatten(), reduction="none").view_as(codes).sum(1)

    def draw(self, u: Float[Tensor, "n p"], c: Tensor | None = None) -> Int[Tensor, "n p"]:
        """Codes by uniform numbers, place by place."""
        codes = u.new_zeros(len(u), 0, dtype=torch.long)
        for place in range(self.places):
            found = choose(self(codes, c)[:, -1], u[:, place])
            codes = torch.cat([codes, found[:, None]], 1)
        return codes


class VectorQuantised(Coder):
    """A latent is `places` codes, whole numbers below `levels`; each stands for `size` numbers of the codebook."""

    charges = ("reconstruction", "codebook", "commitment", "prior")

    def __init__(
        self,
        reader: Reader,
        writer: Writer,
        law: Law,
        prior: CausalPrior,
        *,
        size: int,
        commitment: float = 0.25,
        generator: torch.Generator,
    ) -> None:
        super().__init__(reader, writer, law, prior.places)
        self.prior, self.commitment, self.size = prior, commitment, size
        book = torch.empty(prior.levels, size, device=generator.device)
        self.codebook = nn.Parameter(fill_(book, math.sqrt(size), generator))

    def warm_start(self, rows: Tensor, *, generator: torch.Generator) -> None:
        """The codebook from what the first weights make of training `rows`."""
        with torch.no_grad():
            found = self._encoded(rows[:4096].to(self.codebook), None).flatten(0, 1)
            some = torch.randint(len(found), (len(self.codebook),), generator=generator)
            jitter = torch.randn(self.codebook.shape, generator=generator).to(found)
            self.codebook.copy_(found[some.to(found.device)] + 0.01 * found.std() * jitter)

    def learn(self, x: Tensor, moment: Any, c: Tensor | None = None) -> dict[str, Tensor]:
        e = self._encoded(x, c)
        distances = self._distances(e.detach())
        codes = distances.argmin(2)
        q = self.codebook[codes]
        straight = (e + (q - e).detach()).flatten(1)
        nearest = distances.flatten(0, 1).amin(0).mean()
        drawn = (e.detach() - q).square().sum((1, 2))
        return {
            "reconstruction": -self.scored(straight, x, c),
            "codebook": drawn + ANCHOR * nearest,
            "commitment": self.commitment * (e - q.detach()).square().sum((1, 2)),
            "prior": -self.prior.log_prob(codes, c),
        }

    def told(self, x: Tensor, moment: Any, c: Tensor | None = None) -> Float[Tensor, " n"]:
        """Minus the lower bound of ln p(x)."""
        bound: Tensor = self.log_prob(x, generator=moment.draw.generator, c=c)
        return -bound

    def encode(self, x: Tensor, c: Tensor | None = None) -> Float[Tensor, "n p"]:
        return self.codes(x, c).float()

    def codes(self, x: Tensor, c: Tensor | None = None) -> Int[Tensor, "n p"]:
        """The entry of the codebook of every place."""
        return self._distances(self._encoded(x, c)).argmin(2)

    def decode(self, z: Float[Tensor, "n p"], c: Tensor | None = None) -> Tensor:
        return super().decode(self._looked_up(z.round().long().clamp(0, self.prior.levels - 1)), c)

    def noise(self, n: int, *, generator: torch.Generator) -> Float[Tensor, "n m"]:
        u = torch.rand(n, self.prior.places, generator=generator, device=generator.device)
        return self._random(n, u, generator=generator)

    def forward(self, noise: Float[Tensor, "n m"], c: Tensor | None = None) -> Tensor:
        codes = self.prior.draw(noise[:, : self.prior.places], c)
        return self._drawn(self._looked_up(codes), noise, c)

    def log_prob(self, x: Tensor, *, generator: torch.Generator, c: Tensor | None = None) -> Float[Tensor, " n"]:
        """ln p(x | q(x)) + ln p(k(x)) <= ln p(x); nothing is drawn."""
        codes = self.codes(x, c)
        bound: Tensor = self.scored(self._looked_up(codes), x, c) + self.prior.log_prob(codes, c)
        return bound

    def _encoded(self, x: Tensor, c: Tensor | None) -> Float[Tensor, "n p size"]:
        out: Tensor = self.reader(x, c).unflatten(1, (self.prior.places, self.size))
        return out

    def _looked_up(self, codes: Int[Tensor, "n p"]) -> Float[Tensor, "n m"]:
        found: Tensor = self.codebook[codes].flatten(1)
        return found

    def _distances(self, e: Float[Tensor, "n p size"]) -> Float[Tensor, "n p levels"]:
        """|e_p - b_k|^2."""
        flat = e.flatten(0, 1)
        b = self.codebook
        found = flat.square().sum(1, keepdim=True) - 2 * flat @ b.T + b.square().sum(1)
        distances: Tensor = found.clamp(min=0).unflatten(0, e.shape[:2])
        return distances
