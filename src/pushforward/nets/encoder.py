"""Networks that go both ways between rows x and latents z, and the critic of pairs (BiGAN, Donahue et al. 2017; ALI,
Dumoulin et al. 2017).

    encoder     E(x) = mu(x),   or, stochastic,   E(x) = mu(x) + exp(s(x) / 2) eta,   eta ~ N(0, I)
    generator   the pair (G(z), z), of samples;   data give the pair (x, E(x))
    critic      a body of x and a body of z, side by side, then joint layers, then one score

The critic sees pairs as flat rows (`nets.joint.Joint`). At the optimum of the game the two laws of pairs agree, and a
deterministic E inverts G almost everywhere (Donahue et al. 2017, theorem 2).
"""

import math
from typing import Any, Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn

from .critic import PLAIN, Critic, Shape
from .joint import Joint
from .mlp import Body

Law = Literal["normal", "uniform"]
LAWS: tuple[Law, ...] = ("normal", "uniform")
CHARGES = ("cycle_data", "cycle_latent")
WIDEST_LOG_VARIANCE = 8.0  # of a stochastic encoder's output


class Encoder(nn.Module):
    """Rows `(n, *event)` -> latents `(n, size)`, by a `body` that gives `size` numbers a row, twice as many where it is
    stochastic: a critic of that many outputs."""

    def __init__(self, body: nn.Module, size: int, *, stochastic: bool = False) -> None:
        super().__init__()
        self.body = body
        self.size = size
        self.stochastic = stochastic

    def moments(self, x: Float[Tensor, "n *event"]) -> tuple[Float[Tensor, "n m"], Float[Tensor, "n m"] | None]:
        """(mu, s): mean and log variance of E(x); s is None where it is deterministic. |s| < `WIDEST_LOG_VARIANCE`."""
        out: Tensor = self.body(x).reshape(len(x), -1)
        if not self.stochastic:
            return out, None
        mean, spread = out.chunk(2, 1)
        # begins narrow: an encoder that begins as noise tells its critic nothing of x
        return mean, WIDEST_LOG_VARIANCE * torch.tanh((spread - 3.0) / WIDEST_LOG_VARIANCE)

    def forward(self, x: Float[Tensor, "n *event"], noise: Tensor | None = None) -> Float[Tensor, "n m"]:
        """mu(x); with `noise` eta `(n, size)`, a draw of a stochastic one."""
        mean, spread = self.moments(x)
        return mean if spread is None or noise is None else mean + torch.exp(spread / 2) * noise


class BiGenerator(nn.Module):
    """A generator G of rows and an encoder E of the same latents, as one player.

    The latent is the first `encoder.size` coordinates of G's noise; what noise remains (a table's uniforms) is G's own.
    `law` of the latent: `normal`, N(0, I), or `uniform`, on [-1, 1]. `cycle`: weights of mean |x - G(E(x))| and mean
    |z - E(G(z))| (Li et al. 2017, ALICE), which are charged where they are not 0.
    """

    charges: tuple[str, ...]

    def __init__(
        self, decoder: nn.Module, encoder: Encoder, joint: Joint, *, law: Law = "normal", cycle: tuple[float, float]
    ) -> None:
        super().__init__()
        self.decoder = decoder
        self.encoder = encoder
        self.joint = joint
        self.law = law
        self.cycle = cycle
        self.charges = tuple(name for name, weight in zip(CHARGES, cycle, strict=True) if weight)

    @property
    def laws(self) -> tuple[tuple[str, int], ...]:
        """The laws of the coordinates of the noise, in order: (name, how many)."""
        rest = getattr(self.decoder, "c", 0)
        latent = ("normal" if self.law == "normal" else "symmetric", self.encoder.size)
        return (latent, ("uniform", rest)) if rest else (latent,)

    def noise(self, n: int, *, generator: torch.Generator) -> Float[Tensor, "n m"]:
        drawn: Tensor = self.decoder.noise(n, generator=generator)  # type: ignore[operator]
        if self.law == "uniform":
            flat = torch.rand(n, self.encoder.size, generator=generator, device=generator.device)
            drawn = torch.cat([2 * flat - 1, drawn[:, self.encoder.size :]], 1)
        return drawn

    def latent(self, noise: Float[Tensor, "n m"]) -> Float[Tensor, "n size"]:
        """The part of the noise that E infers."""
        return noise[:, : self.encoder.size]

    def complete(self, latent: Float[Tensor, "n size"]) -> Float[Tensor, "n m"]:
        """Noise of which `latent` is the inferred part; a table's uniforms are then 1/2, which draws the likeliest
        categories."""
        rest: int = getattr(self.decoder, "c", 0)
        return torch.cat([latent, latent.new_full((len(latent), rest), 0.5)], 1)

    def warm_start(self, rows: Float[Tensor, "n *event"], *, generator: torch.Generator) -> None:
        """Start a decoder that can from training `rows`."""
        start = getattr(self.decoder, "warm_start", None)
        if start is not None:
            start(rows, generator=generator)

    def emit(self, noise: Float[Tensor, "n m"]) -> Float[Tensor, "n *event"]:
        """G(z), encoded rows of data."""
        out: Tensor = self.decoder(noise)
        return out

    def forward(self, noise: Float[Tensor, "n m"]) -> Float[Tensor, "n total"]:
        return self.joint.join(self.emit(noise), self.latent(noise))

    def data(self, x: Float[Tensor, "n *event"], draw: Any = None) -> Float[Tensor, "n total"]:
        """The pair (x, E(x)); `draw` (a `training.draw.Draw`) draws a stochastic E, whose mean is taken without."""
        eta = draw.normal(len(x), self.encoder.size) if draw is not None and self.encoder.stochastic else None
        return self.joint.join(x, self.encoder(x, eta))

    def owes(self, play: Any, z: Tensor) -> dict[str, Tensor]:
        """The cycle terms at the pairs of both sides; the noise beside the latent is that of the samples."""
        found: dict[str, Tensor] = {}
        if self.cycle[0]:
            x, code = self.joint.split(play.x)
            back = self.emit(torch.cat([code, z[:, self.encoder.size :]], 1))
            found[CHARGES[0]] = self.cycle[0] * (x - back).flatten(1).abs().mean(1)
        if self.cycle[1]:
            y, code = self.joint.split(play.y)
            found[CHARGES[1]] = self.cycle[1] * (code - self.encoder(y)).abs().mean(1)
        return found


class PairCritic(Critic):
    """Joint rows (x, z) -> scores: a body of x, a body of z, and `depth` residual blocks of both.

    `body`: a critic of x alone, whose own last layer is left out. Packed pairs are looked at side by side.
    """

    def __init__(
        self,
        body: Critic,
        joint: Joint,
        *,
        width: int,
        depth: int,
        shape: Shape = PLAIN,
        generator: torch.Generator,
    ) -> None:
        super().__init__(width, shape, generator=generator)
        assert isinstance(body.leave, nn.Linear)
        seen = body.leave.in_features
        body.leave = nn.Identity()  # type: ignore[assignment]
        self.joint = joint
        self.body = body
        self.latent = Body(math.prod(joint.shapes[1]), width=width, depth=1, generator=generator)
        self.both = Body(shape.pack * (seen + width), width=width, depth=depth, generator=generator)

    def hidden(self, x: Float[Tensor, "n total"]) -> Float[Tensor, "n width"]:
        packs = len(x)
        data, latent = self.joint.split(x.reshape(packs * self.shape.pack, -1))
        h = torch.cat([self.body.hidden(data), self.latent(latent)], 1)
        out: Tensor = self.both(h.reshape(packs, -1))
        return out
