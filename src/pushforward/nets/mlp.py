"""Networks for points: residual multilayer perceptrons.

Generator: noise (n, m) -> h = W_0 z -> h + block(h), `depth` times -> W_1 act(h), reshaped to (n, *event).
Critic:    x (n, *event) -> the same trunk -> one score per row (n,).

A block is h -> h + W' act(W act(h)), without normalisation (which would tie the rows of a batch together and spoil
per-sample gradient penalties); its second layer starts at zero, so the trunk starts as a linear map (Fixup, Zhang et
al. 2019, as in R3GAN, Huang et al. 2024).
"""

import math
from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import leaky_relu

from .initialise import SLOPE, linear


class ResidualBlock(nn.Module):
    """h `(n, width)` -> h + W' act(W act(h))."""

    def __init__(self, width: int, *, generator: torch.Generator) -> None:
        super().__init__()
        self.inner = linear(width, width, generator)
        self.outer = linear(width, width, generator, gain=0.0)

    def forward(self, h: Tensor) -> Tensor:
        out: Tensor = h + self.outer(leaky_relu(self.inner(leaky_relu(h, SLOPE)), SLOPE))
        return out


class Trunk(nn.Module):
    """`(n, n_in) -> (n, n_out)` through `depth` residual blocks of one `width`."""

    def __init__(self, n_in: int, n_out: int, *, width: int, depth: int, generator: torch.Generator) -> None:
        super().__init__()
        self.enter = linear(n_in, width, generator, gain=1.0)
        self.blocks = nn.ModuleList([ResidualBlock(width, generator=generator) for _ in range(depth)])
        self.leave = linear(width, n_out, generator, gain=1.0)

    def forward(self, h: Tensor) -> Tensor:
        h = self.enter(h)
        for block in self.blocks:
            h = block(h)
        out: Tensor = self.leave(leaky_relu(h, SLOPE))
        return out


class MLPGenerator(nn.Module):
    """Gaussian noise `(n, noise_size)` -> points `(n, *event)`; `bounded` ones, by tanh, lie in (-1, 1)."""

    def __init__(
        self,
        event_shape: Sequence[int],
        *,
        noise_size: int = 16,
        width: int = 128,
        depth: int = 2,
        bounded: bool = False,
        generator: torch.Generator,
    ) -> None:
        super().__init__()
        self.bounded = bounded
        self.event_shape = tuple(event_shape)
        self.noise_size = noise_size
        self.trunk = Trunk(noise_size, math.prod(event_shape), width=width, depth=depth, generator=generator)

    def noise(self, n: int, *, generator: torch.Generator) -> Float[Tensor, "n m"]:
        return torch.randn(n, self.noise_size, generator=generator, device=generator.device)

    def forward(self, noise: Float[Tensor, "n m"]) -> Float[Tensor, "n *event"]:
        out: Tensor = self.trunk(noise).unflatten(1, self.event_shape)
        return out.tanh() if self.bounded else out


class MLPCritic(nn.Module):
    """Points `(n, *event)` -> scores `(n,)`, higher where data exceed the model.

    Beside each coordinate x it sees sin(f x)/f and cos(f x)/f for every f of `frequencies`: structure much finer than
    the data's standard deviation, which a perceptron alone learns slowly. Divided by f, all have slopes of one size,
    so a penalty on the gradient treats them alike.
    """

    def __init__(
        self,
        event_shape: Sequence[int],
        *,
        width: int = 128,
        depth: int = 2,
        frequencies: Sequence[float] = (),
        generator: torch.Generator,
    ) -> None:
        super().__init__()
        n_in = math.prod(event_shape) * (1 + 2 * len(frequencies))
        self.trunk = Trunk(n_in, 1, width=width, depth=depth, generator=generator)
        self.frequencies: Tensor
        fixed = torch.tensor([float(f) for f in frequencies], device=generator.device)
        self.register_buffer("frequencies", fixed, persistent=False)

    def forward(self, x: Float[Tensor, "n *event"]) -> Float[Tensor, " n"]:
        x = x.flatten(1)
        if len(self.frequencies):
            phases = x[:, :, None] * self.frequencies
            x = torch.cat(
                [x, (phases.sin() / self.frequencies).flatten(1), (phases.cos() / self.frequencies).flatten(1)], 1
            )
        out: Tensor = self.trunk(x).squeeze(1)
        return out
