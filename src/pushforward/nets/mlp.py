"""Networks for points: residual multilayer perceptrons.

Generator: noise (n, m) -> h = W_0 z -> h + block(h), `depth` times -> W_1 act(h), reshaped to (n, *event).
Critic:    x (n, *event) -> the same trunk -> one score per row (n,).

A block is h -> h + W' act(W act(h)), without normalisation (which would tie the rows of a batch together and spoil
per-sample gradient penalties); its second layer starts at zero, so the trunk starts as a linear map (Fixup, Zhang et
al. 2019, as in R3GAN, Huang et al. 2024).
"""

import math
from collections.abc import Callable, Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import leaky_relu

from .critic import PLAIN, Critic, Shape
from .even import even_normal
from .initialise import SLOPE, linear

LOUD = 5.0

Change = Callable[[int, Tensor], Tensor]
"""(number of a block, what it gave) -> what the next one sees: how a condition may reach every block."""


class ResidualBlock(nn.Module):
    """h `(n, width)` -> h + W' act(W act(h)); `steep` > 0: -> h + W' tanh(steep W act(h)).

    A rectifier makes a sudden step, such as a generator needs between two modes, of two kinks close together with
    large weights of opposite signs, which training finds slowly; one tanh with a large factor makes it alone.
    """

    def __init__(self, width: int, *, steep: float = 0.0, generator: torch.Generator) -> None:
        super().__init__()
        self.steep = steep
        self.inner = linear(width, width, generator)
        self.outer = linear(width, width, generator, gain=0.0)

    def forward(self, h: Tensor) -> Tensor:
        inner = self.inner(leaky_relu(h, SLOPE))
        out: Tensor = h + self.outer((self.steep * inner).tanh() if self.steep else leaky_relu(inner, SLOPE))
        return out


class Body(nn.Module):
    """`(n, n_in) -> (n, width)`, its last hidden layer, through `depth` residual blocks of one `width`.

    With `steep` blocks the first layer sees its input times `LOUD` and starts with weights as much smaller: the same
    map at first, and one that Adam changes faster.
    """

    def __init__(self, n_in: int, *, width: int, depth: int, steep: float = 0.0, generator: torch.Generator) -> None:
        super().__init__()
        self.loud = LOUD if steep else 1.0
        self.enter = linear(n_in, width, generator, gain=1.0 / self.loud)
        self.blocks = nn.ModuleList([ResidualBlock(width, steep=steep, generator=generator) for _ in range(depth)])

    def forward(self, h: Tensor, change: Change | None = None) -> Tensor:
        h = self.enter(self.loud * h)
        for number, block in enumerate(self.blocks):
            h = block(h)
            h = h if change is None else change(number, h)
        return leaky_relu(h, SLOPE)


class Trunk(nn.Module):
    """`(n, n_in) -> (n, n_out)`: a body and a linear layer."""

    def __init__(
        self, n_in: int, n_out: int, *, width: int, depth: int, steep: float = 0.0, generator: torch.Generator
    ) -> None:
        super().__init__()
        self.body = Body(n_in, width=width, depth=depth, steep=steep, generator=generator)
        self.leave = linear(width, n_out, generator, gain=1.0)

    def forward(self, h: Tensor, change: Change | None = None) -> Tensor:
        out: Tensor = self.leave(self.body(h, change))
        return out


class MLPGenerator(nn.Module):
    """Gaussian noise `(n, noise_size)` -> points `(n, *event)`; `bounded` ones, by tanh, lie in (-1, 1).

    `steep`: how sudden the steps are that its blocks make (see `ResidualBlock`); 0 for plain ones.
    """

    def __init__(
        self,
        event_shape: Sequence[int],
        *,
        noise_size: int = 16,
        width: int = 128,
        depth: int = 2,
        bounded: bool = False,
        steep: float = 0.0,
        generator: torch.Generator,
    ) -> None:
        super().__init__()
        self.bounded = bounded
        self.event_shape = tuple(event_shape)
        self.noise_size = noise_size
        self.trunk = Trunk(
            noise_size, math.prod(event_shape), width=width, depth=depth, steep=steep, generator=generator
        )

    def noise(self, n: int, *, generator: torch.Generator) -> Float[Tensor, "n m"]:
        return torch.randn(n, self.noise_size, generator=generator, device=generator.device)

    def even_noise(self, n: int, *, generator: torch.Generator) -> Float[Tensor, "n m"]:
        """As `noise`, but the rows of one call lie evenly: for the steps of a game."""
        return even_normal(n, self.noise_size, generator)

    def forward(self, noise: Float[Tensor, "n m"], change: Change | None = None) -> Float[Tensor, "n *event"]:
        out: Tensor = self.trunk(noise, change).unflatten(1, self.event_shape)
        return out.tanh() if self.bounded else out


class MLPCritic(Critic):
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
        shape: Shape = PLAIN,
        generator: torch.Generator,
    ) -> None:
        super().__init__(width, shape, generator=generator)
        n_in = shape.pack * math.prod(event_shape) * (1 + 2 * len(frequencies))
        self.body = Body(n_in, width=width, depth=depth, generator=generator)
        self.frequencies: Tensor
        fixed = torch.tensor([float(f) for f in frequencies], device=generator.device)
        self.register_buffer("frequencies", fixed, persistent=False)

    def hidden(self, x: Float[Tensor, "n *event"]) -> Float[Tensor, "n width"]:
        x = x.flatten(1)
        if len(self.frequencies):
            phases = x[:, :, None] * self.frequencies
            x = torch.cat(
                [x, (phases.sin() / self.frequencies).flatten(1), (phases.cos() / self.frequencies).flatten(1)], 1
            )
        out: Tensor = self.body(x)
        return out
