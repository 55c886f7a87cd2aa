"""Autoencoders: an encoder of rows x into latents z and a decoder back, learned from data alone.

    Plain        c(x, G(E(x~))),  x~ = x, or x with some of it spoilt                    (Vincent et al. 2008)
    Variational  -E_q ln p(x|z) + beta KL(q(z|x) || N(0, I)),  q = N(mu(x), diag e^s(x))   (Kingma and Welling 2014)
                 or, of K draws, -ln mean_k p(x, z_k)/q(z_k|x)                             (Burda et al. 2016)
    Wasserstein  c(x, G(E(x))) + weight D(codes, N(0, I))                                  (Tolstikhin et al. 2018)

The ELBO is E_q ln p(x|z) - KL(q || p(z)) = ln p(x) - KL(q || p(z|x)); L_K, the bound of K draws, is the ELBO at K = 1,
grows with K, and tends to ln p(x). A condition c stands beside x where the encoder reads and beside z where the decoder
writes. Laws of x given what the decoder wrote: `nets.decoders`.
"""

import math
from collections.abc import Iterator
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from .codes import CodeLaw, Divergence
from .conditional import PLANES, planes
from .conv import ConvCritic, ConvGenerator
from .critic import Shape
from .decoders import Law
from .encoder import WIDEST_LOG_VARIANCE
from .event import Event
from .initialise import linear
from .mlp import Trunk

TILE = 1 << 24  # numbers that a decoder writes at a time, at most, where many draws are scored


class Reader(nn.Module):
    """Rows `(n, *event)` and conditions `(n, c)` -> `(n, outputs)`, by convolutions or by a perceptron.

    affine: one affine map.
    """

    def __init__(
        self,
        event: Event,
        outputs: int,
        *,
        width: int,
        depth: int,
        convolve: bool = False,
        affine: bool = False,
        generator: torch.Generator,
    ) -> None:
        super().__init__()
        self.given, self.convolve = event.given, convolve
        self.narrow = None
        self.body: nn.Module
        if convolve:
            if event.given > PLANES:
                self.narrow = linear(event.given, PLANES, generator, gain=1.0)
            channels, *size = event.shape
            seen = (channels + planes(event.given), *size)
            self.body = ConvCritic(seen, width=width, depth=depth, shape=Shape(outputs=outputs), generator=generator)
        elif affine:
            self.body = linear(event.size + event.given, outputs, generator, gain=1.0)
        else:
            self.body = Trunk(event.size + event.given, outputs, width=width, depth=depth, generator=generator)

    def forward(self, x: Float[Tensor, "n *event"], c: Tensor | None = None) -> Float[Tensor, "n outputs"]:
        c = x.new_zeros(len(x), self.given) if c is None else c
        if self.convolve and self.given:
            wide = c if self.narrow is None else self.narrow(c)
            x = torch.cat([x, wide[:, :, None, None].expand(-1, -1, *x.shape[2:])], 1)
        elif not self.convolve:
            x = torch.cat([x.flatten(1), c], 1) if self.given else x.flatten(1)
        out: Tensor = self.body(x)
        return out.reshape(len(x), -1)


class Writer(nn.Module):
    """Latents `(n, m)` and conditions `(n, c)` -> what a law of x needs, `(n, *shape)`."""

    def __init__(
        self,
        event: Event,
        latent_size: int,
        shape: tuple[int, ...],
        *,
        width: int,
        depth: int,
        convolve: bool = False,
        affine: bool = False,
        generator: torch.Generator,
    ) -> None:
        super().__init__()
        self.given, self.shape = event.given, tuple(shape)
        n_in, n_out = latent_size + event.given, math.prod(shape)
        self.body: nn.Module
        if convolve:
            sizes: dict[str, Any] = {"width": width, "depth": depth, "bounded": False}
            self.body = ConvGenerator(shape, noise_size=n_in, **sizes, generator=generator)
        elif affine:
            self.body = linear(n_in, n_out, generator, gain=1.0)
        else:
            self.body = Trunk(n_in, n_out, width=width, depth=depth, generator=generator)

    def forward(self, z: Float[Tensor, "n m"], c: Tensor | None = None) -> Float[Tensor, "n *shape"]:
        if self.given:
            z = torch.cat([z, z.new_zeros(len(z), self.given) if c is None else c], 1)
        out: Tensor = self.body(z)
        return out.reshape(len(z), *self.shape)


class Coder(nn.Module):
    """What all of them share: a reader, a writer, and the law of what is written. The latent is `latent_size` long."""

    charges: tuple[str, ...] = ("reconstruction",)

    def __init__(self, reader: Reader, writer: Writer, law: Law, latent_size: int) -> None:
        super().__init__()
        self.reader, self.writer, self.law, self.latent_size = reader, writer, law, latent_size

    def encode(self, x: Float[Tensor, "n *event"], c: Tensor | None = None) -> Float[Tensor, "n m"]:
        z: Tensor = self.reader(x, c)
        return z

    def decode(self, z: Float[Tensor, "n m"], c: Tensor | None = None) -> Float[Tensor, "n *event"]:
        return self.law.guess(self.writer(z, c))

    def scored(self, z: Tensor, x: Tensor, c: Tensor | None = None) -> Float[Tensor, " n"]:
        """ln p(x | z)."""
        return self.law.log_prob(self.writer(z, c), x)

    def _random(self, n: int, *latent: Tensor, generator: torch.Generator) -> Tensor:
        """Noise: that of the latent, and what a draw of x takes."""
        on, law = generator.device, self.law
        eps = torch.randn(n, law.normals, generator=generator, device=on)
        u = torch.rand(n, law.uniforms, generator=generator, device=on)
        return torch.cat([*latent, eps, u], 1)

    def _drawn(self, z: Tensor, noise: Tensor, c: Tensor | None) -> Tensor:
        """x ~ p(x | z) by the end of `noise`."""
        law = self.law
        rest = noise[:, noise.shape[1] - law.normals - law.uniforms :]
        return law.draw(self.writer(z, c), rest[:, : law.normals], rest[:, law.normals :])


class Plain(Coder):
    """Deterministic both ways. noise: how much of a row is spoilt before it is read, see `spoil`. codes: a law of the
    latents, by which rows can be drawn once it is fitted; without one there is nothing to draw from."""

    def __init__(
        self,
        reader: Reader,
        writer: Writer,
        law: Law,
        latent_size: int,
        *,
        noise: float = 0.0,
        masking: bool = False,
        blocks: tuple[tuple[int, int], ...] = (),
        codes: CodeLaw | None = None,
    ) -> None:
        super().__init__(reader, writer, law, latent_size)
        self.level, self.masking, self.blocks, self.codes = noise, masking, blocks, codes

    def learn(self, x: Tensor, moment: Any, c: Tensor | None = None) -> dict[str, Tensor]:
        return {"reconstruction": -self.scored(self.encode(self._spoilt(x, moment.draw), c), x, c)}

    def noise(self, n: int, *, generator: torch.Generator) -> Float[Tensor, "n m"]:
        assert self.codes is not None
        return self._random(n, self.codes.noise(n, generator=generator), generator=generator)

    def forward(self, noise: Float[Tensor, "n m"], c: Tensor | None = None) -> Tensor:
        assert self.codes is not None
        return self._drawn(self.codes(noise[:, : self.codes.noise_size]), noise, c)

    def _spoilt(self, x: Tensor, draw: Any) -> Tensor:
        if not self.level:
            return x
        if not self.masking:
            noisy: Tensor = x + self.level * draw.normal(*x.shape)
            return noisy
        images = x.dim() == 4
        kept: Tensor = draw.uniform(len(x), *self._units(x)) >= self.level
        if self.blocks:
            sizes = torch.tensor([stop - start for start, stop in self.blocks], device=x.device)
            kept = kept.repeat_interleave(sizes, 1)
        return torch.where(kept, x, -1.0 if images else 0.0)

    def _units(self, x: Tensor) -> tuple[int, ...]:
        """What is blotted out together: a table's cells, a picture's pixels in all channels."""
        if x.dim() == 4:
            return (1, *x.shape[2:])
        return (len(self.blocks),) if self.blocks else tuple(x.shape[1:])


class Variational(Coder):
    """q(z|x) = N(mu(x), diag e^s(x)) from a reader of 2 m outputs, and p(z) = N(0, I).

    beta: weight of the divergence (Higgins et al. 2017). free_bits: nats of every latent that are not charged, of its
    mean over the batch (Kingma et al. 2016, eq. 15). warm_up: share of the run in which the divergence's weight rises
    to beta (Sonderby et al. 2016). samples: K, of the bound that is climbed; 1 is the ELBO with its divergence in
    closed form, more are L_K, with (ln p(z) - ln q(z|x)) weighted as the divergence is.
    """

    def __init__(
        self,
        reader: Reader,
        writer: Writer,
        law: Law,
        latent_size: int,
        *,
        beta: float = 1.0,
        free_bits: float = 0.0,
        warm_up: float = 0.0,
        samples: int = 1,
    ) -> None:
        super().__init__(reader, writer, law, latent_size)
        self.beta, self.free_bits, self.warm_up, self.samples = beta, free_bits, warm_up, samples
        self.charges = ("reconstruction", "divergence") if samples == 1 else ("bound",)

    def moments(self, x: Tensor, c: Tensor | None = None) -> tuple[Float[Tensor, "n m"], Float[Tensor, "n m"]]:
        """(mu, s): mean and log variance of q(z|x), |s| < `WIDEST_LOG_VARIANCE`."""
        mean, spread = self.reader(x, c).chunk(2, 1)
        return mean, WIDEST_LOG_VARIANCE * torch.tanh(spread / WIDEST_LOG_VARIANCE)

    def divergence(self, mean: Tensor, spread: Tensor) -> Float[Tensor, "n m"]:
        """KL(N(mu, e^s) || N(0, 1)) of every latent, nats."""
        return (mean.square() + spread.exp() - 1 - spread) / 2

    def learn(self, x: Tensor, moment: Any, c: Tensor | None = None) -> dict[str, Tensor]:
        weight = self.beta * (min(1.0, moment.progress / self.warm_up) if self.warm_up else 1.0)
        mean, spread = self.moments(x, c)
        if self.samples > 1:
            return {"bound": -self._bound(x, c, mean, spread, moment.draw, weight)}
        eps = moment.draw.normal(*mean.shape)
        told = -self.scored(mean + torch.exp(spread / 2) * eps, x, c)
        each = self.divergence(mean, spread)
        if self.free_bits:
            own = moment.draw.gather(each).mean(0).clamp(min=self.free_bits).sum()
            return {"reconstruction": told, "divergence": weight * own.expand(len(x))}
        return {"reconstruction": told, "divergence": weight * each.sum(1)}

    def told(self, x: Tensor, moment: Any, c: Tensor | None = None) -> Float[Tensor, " n"]:
        """Minus the bound with the divergence at its full weight, all of it charged."""
        mean, spread = self.moments(x, c)
        if self.samples > 1:
            return -self._bound(x, c, mean, spread, moment.draw, self.beta)
        eps = moment.draw.normal(*mean.shape)
        told = self.scored(mean + torch.exp(spread / 2) * eps, x, c)
        return self.beta * self.divergence(mean, spread).sum(1) - told

    def _bound(
        self, x: Tensor, c: Tensor | None, mean: Tensor, spread: Tensor, draw: Any, weight: float
    ) -> Float[Tensor, " n"]:
        """ln mean_k p(x|z_k) (p(z_k)/q(z_k|x))^weight, of `samples` draws."""
        n, k = len(x), self.samples
        eps = draw.normal(n, k, mean.shape[1]).flatten(0, 1)
        mean, spread = (one.repeat_interleave(k, 0) for one in (mean, spread))
        z = mean + torch.exp(spread / 2) * eps
        prior = (eps.square() + spread - z.square()).sum(1) / 2
        again = x.repeat_interleave(k, 0)
        told = self.scored(z, again, None if c is None else c.repeat_interleave(k, 0)) + weight * prior
        bound: Tensor = told.view(n, k).logsumexp(1) - math.log(k)
        return bound

    def encode(self, x: Tensor, c: Tensor | None = None) -> Float[Tensor, "n m"]:
        return self.moments(x, c)[0]

    def noise(self, n: int, *, generator: torch.Generator) -> Float[Tensor, "n m"]:
        z = torch.randn(n, self.latent_size, generator=generator, device=generator.device)
        return self._random(n, z, generator=generator)

    def forward(self, noise: Float[Tensor, "n m"], c: Tensor | None = None) -> Tensor:
        return self._drawn(noise[:, : self.latent_size], noise, c)

    # ---- likelihood

    @torch.no_grad()
    def weights(
        self, x: Tensor, draws: int, *, generator: torch.Generator, c: Tensor | None = None
    ) -> tuple[Float[Tensor, "draws n"], Float[Tensor, "draws n"]]:
        """(ln p(x, z_k), ln q(z_k|x)) of `draws` latents z_k ~ q(z|x), float64."""
        mean, spread = self.moments(x, c)
        joint, own = [], []
        for k in self._tiles(len(x), draws):
            drawn = [torch.randn(mean.shape, generator=generator, device=generator.device) for _ in range(k)]
            eps = torch.stack(drawn).to(x)  # one draw at a time: what is drawn does not depend on the tiles
            z = mean + torch.exp(spread / 2) * eps
            given = None if c is None else c.repeat(k, 1)
            told = self.scored(z.flatten(0, 1), x.repeat(k, *[1] * (x.dim() - 1)), given).view(k, -1).double()
            half = 0.5 * self.latent_size * math.log(2 * math.pi)
            joint.append(told - z.double().square().sum(2) / 2 - half)
            own.append(-(eps.square() + spread).double().sum(2) / 2 - half)
        return torch.cat(joint), torch.cat(own)

    def log_prob(
        self, x: Tensor, *, generator: torch.Generator, c: Tensor | None = None, draws: int = 64
    ) -> Float[Tensor, " n"]:
        """ln mean_k p(x, z_k)/q(z_k|x), in expectation at most ln p(x), which it tends to."""
        joint, own = self.weights(x, draws, generator=generator, c=c)
        return torch.logsumexp(joint - own, 0) - math.log(draws)

    def _tiles(self, n: int, draws: int) -> Iterator[int]:
        """So many draws at a time."""
        most = max(1, TILE // (n * math.prod(self.writer.shape)))
        for first in range(0, draws, most):
            yield min(most, draws - first)


class Wasserstein(Coder):
    """Deterministic both ways; the law of the codes is drawn to N(0, I) by a `divergence` of the two."""

    def __init__(self, reader: Reader, writer: Writer, law: Law, latent_size: int, divergence: Divergence) -> None:
        super().__init__(reader, writer, law, latent_size)
        self.divergence = divergence
        lesson = () if divergence.critic is None else ("critic",)
        self.charges = ("reconstruction", "penalty", *lesson)

    def learn(self, x: Tensor, moment: Any, c: Tensor | None = None) -> dict[str, Tensor]:
        z = self.encode(x, c)
        prior = moment.draw.normal(*z.shape)
        every, priors = moment.draw.gather(z), moment.draw.gather(prior)
        found = {"reconstruction": -self.scored(z, x, c), "penalty": self.divergence.pull(priors, every).expand(len(x))}
        if self.divergence.critic is not None:
            found["critic"] = self.divergence.lesson(priors, every).expand(len(x))
        return found

    def told(self, x: Tensor, moment: Any, c: Tensor | None = None) -> Float[Tensor, " n"]:
        """What a row costs; the penalty is of the codes together, and a critic's word of it is no measure."""
        z = self.encode(x, c)
        return -self.scored(z, x, c) + self.divergence.measure(moment.draw.normal(*z.shape), z)

    def noise(self, n: int, *, generator: torch.Generator) -> Float[Tensor, "n m"]:
        z = torch.randn(n, self.latent_size, generator=generator, device=generator.device)
        return self._random(n, z, generator=generator)

    def forward(self, noise: Float[Tensor, "n m"], c: Tensor | None = None) -> Tensor:
        return self._drawn(noise[:, : self.latent_size], noise, c)
