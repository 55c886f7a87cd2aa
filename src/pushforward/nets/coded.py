"""A generator whose noise has codes in it, and a reader that finds them in its samples (InfoGAN, Chen et al. 2016).

    noise      (c, z):  one-hot codes of K_1, K_2, ... levels, numbers uniform on [-1, 1], and the rest as it was
    reader     Q(c|y):  softmax for every one-hot code, N(m_j, e^{s_j}) for every number
    owed       weight * E[ -log Q(c | G(c, z)) ]

for which I(c; y) >= H(c) - E[-log Q(c|y)] (there, eq. 4). The reader is the generator's, not the critic's: both descend
the same term, which is the published game (eq. 6), and no step of the critic moves it.
"""

import math
from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, one_hot

CHARGE = "codes"
WIDEST_LOG_VARIANCE = 8.0


class CodedGenerator(nn.Module):
    """`decoder`, of whose noise the coordinates from `place` on are codes: of `categorical` levels, then `continuous`
    numbers. `reader`: a body that gives `reads(categorical, continuous)` numbers a row."""

    charges = (CHARGE,)

    def __init__(
        self,
        decoder: nn.Module,
        reader: nn.Module,
        *,
        categorical: Sequence[int],
        continuous: int,
        place: int = 0,
        weight: float = 1.0,
    ) -> None:
        super().__init__()
        self.decoder = decoder
        self.reader = reader
        self.categorical = tuple(categorical)
        self.continuous = continuous
        self.place = place
        self.weight = weight

    @property
    def size(self) -> int:
        """Coordinates that are codes."""
        return sum(self.categorical) + self.continuous

    @property
    def laws(self) -> tuple[tuple[str, int], ...]:
        """The laws of the coordinates of the noise, in order: (name, how many)."""
        uniforms: int = getattr(self.decoder, "c", 0)
        noise: Any = self.decoder.noise
        width = noise(1, generator=torch.Generator().manual_seed(0)).shape[1]
        found = [("normal", self.place), *(("onehot", levels) for levels in self.categorical)]
        found += [("symmetric", self.continuous), ("normal", width - self.place - self.size - uniforms)]
        return tuple((law, n) for law, n in [*found, ("uniform", uniforms)] if n)

    def noise(self, n: int, *, generator: torch.Generator) -> Float[Tensor, "n m"]:
        drawn: Tensor = self.decoder.noise(n, generator=generator)  # type: ignore[operator]
        on = generator.device
        codes = [
            one_hot(torch.randint(levels, (n,), generator=generator, device=on), levels).float()
            for levels in self.categorical
        ]
        numbers = 2 * torch.rand(n, self.continuous, generator=generator, device=on) - 1
        return self.with_codes(drawn, torch.cat([*codes, numbers], 1))

    def with_codes(self, noise: Float[Tensor, "n m"], codes: Float[Tensor, "n size"]) -> Float[Tensor, "n m"]:
        """`noise` with these codes in place of its own."""
        return torch.cat([noise[:, : self.place], codes.to(noise), noise[:, self.place + self.size :]], 1)

    def codes(self, noise: Float[Tensor, "n m"]) -> Float[Tensor, "n size"]:
        """The codes in `noise`."""
        return noise[:, self.place : self.place + self.size]

    def forward(self, noise: Float[Tensor, "n m"]) -> Float[Tensor, "n *event"]:
        out: Tensor = self.decoder(noise)
        return out

    def warm_start(self, rows: Float[Tensor, "n *event"], *, generator: torch.Generator) -> None:
        """Start a decoder that can from training `rows`."""
        start = getattr(self.decoder, "warm_start", None)
        if start is not None:
            start(rows, generator=generator)

    def read(self, y: Float[Tensor, "n *event"]) -> tuple[list[Tensor], Tensor, Tensor]:
        """Q of rows: the logits of every one-hot code, and means and log variances `(n, continuous)` of the numbers."""
        out: Tensor = self.reader(y).reshape(len(y), -1)
        *logits, mean, spread = out.split([*self.categorical, self.continuous, self.continuous], 1)
        return logits, mean, WIDEST_LOG_VARIANCE * torch.tanh(spread / WIDEST_LOG_VARIANCE)

    def surprise(self, y: Float[Tensor, "n *event"], codes: Float[Tensor, "n size"]) -> Float[Tensor, "n k"]:
        """-log Q(c_i | y) in nats of every code, one-hot ones first."""
        logits, mean, spread = self.read(y)
        *given, numbers = codes.split([*self.categorical, self.continuous], 1)
        found = [cross_entropy(one, c.argmax(1), reduction="none") for one, c in zip(logits, given, strict=True)]
        gaps = ((numbers - mean).square() * torch.exp(-spread) + spread + math.log(2 * math.pi)) / 2
        return torch.cat([torch.stack(found, 1), gaps], 1) if found else gaps

    @property
    def entropies(self) -> list[float]:
        """H(c_i) in nats, one-hot codes first; of a number the differential entropy, log 2."""
        return [math.log(levels) for levels in self.categorical] + [math.log(2)] * self.continuous

    def owes(self, play: Any, z: Tensor) -> dict[str, Tensor]:
        return {CHARGE: self.weight * self.surprise(play.y, self.codes(z)).sum(1)}


def reads(categorical: Sequence[int], continuous: int) -> int:
    """How many numbers a row a reader gives."""
    return sum(categorical) + 2 * continuous
