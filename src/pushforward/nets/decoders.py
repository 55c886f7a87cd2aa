"""What a decoder's numbers say of a row: laws p(x | out), from which rows are scored, drawn and best guessed.

`out` is what a network makes of a latent (`nets.autoencoder.Writer`); given it, the entries of x are independent.

    Gaussian      points      N(x_i; out_i, s_i^2), one s_i for each coordinate, learned beside the network
    Bernoulli     images      of two shades: P(bright) = sigmoid(out)
    Categorical   images      of few shades: P(shade) = softmax(out)
    Cells         images      of any shades: the mass of the pixel's cell under a logistic or a Gaussian,
                              P(shade) = F((upper - m) / s) - F((lower - m) / s), the outermost cells open
                              (Kingma et al. 2016, appendix; Salimans et al. 2017, eq. 2)
    Mixed         tables      numbers that are there: sum_j w_j N(z; m_j, s_j^2); categories: softmax
    Squared       any         no law: -|x - out|^2, of categories the log softmax

A mass of a picture is of the pictures of training's shades: a picture with another shade has log mass -inf.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import log_softmax, logsigmoid, one_hot

from .event import Event

COMPONENTS = 8  # of a table's number
SHARPEST = math.log(1e-3)  # log of the least s of standardised numbers and of shades, where [-1, 1] is their range
WIDEST = math.log(30.0)
LOUD = 10.0  # log s is a weight times this, so that Adam, whose steps are of one size, moves it soon
OUTMOST = 1e3  # where an open cell ends, in units of [-1, 1]
NAMES = ("gaussian", "bernoulli", "categorical", "logistic", "mixed")


class Law(nn.Module, ABC):
    """p(x | out) of one row; `out` is `(n, *shape)`, and a draw takes `normals` and `uniforms` random numbers."""

    shape: tuple[int, ...]
    normals: int = 0
    uniforms: int = 0

    @abstractmethod
    def log_prob(self, out: Tensor, x: Tensor) -> Float[Tensor, " n"]:
        """ln p(x | out), nats."""

    @abstractmethod
    def guess(self, out: Tensor) -> Tensor:
        """The mean of numbers, the likeliest of shades and levels: `(n, *event)`."""

    @abstractmethod
    def draw(self, out: Tensor, eps: Float[Tensor, "n normals"], u: Float[Tensor, "n uniforms"]) -> Tensor:
        """A draw by standard Gaussian and uniform numbers: `(n, *event)`."""


class Gaussian(Law):
    """Points: N(out, diag s^2). `shared`: one s for all coordinates."""

    def __init__(self, event: Event, *, shared: bool = False, device: torch.device) -> None:
        super().__init__()
        self.shape = event.shape
        self.normals = event.size
        self.loud_sigma = nn.Parameter(torch.zeros(() if shared else event.shape, device=device))

    @property
    def log_sigma(self) -> Tensor:
        """ln s, `(d,)` or `()`."""
        return (LOUD * self.loud_sigma).clamp(SHARPEST, WIDEST)

    def log_prob(self, out: Tensor, x: Tensor) -> Float[Tensor, " n"]:
        s = self.log_sigma
        off = (x - out) * torch.exp(-s)
        return -(off.square() / 2 + s + 0.5 * math.log(2 * math.pi)).flatten(1).sum(1)

    def guess(self, out: Tensor) -> Tensor:
        return out

    def draw(self, out: Tensor, eps: Tensor, u: Tensor) -> Tensor:
        return out + torch.exp(self.log_sigma) * eps.view_as(out)


class Pictures(Law):
    """What the laws of pictures share: their shades as numbers in [-1, 1], and which pixel has which."""

    levels: Tensor
    middles: Tensor

    def __init__(self, event: Event, per_pixel: int, *, device: torch.device) -> None:
        super().__init__()
        channels, *size = event.shape
        self.shape = (channels * per_pixel, *size)
        levels = torch.tensor(event.shades, dtype=torch.float32, device=device) / 127.5 - 1
        self.register_buffer("levels", levels, persistent=False)
        self.register_buffer("middles", (levels[1:] + levels[:-1]) / 2, persistent=False)

    def ranks(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Of every pixel the place of its shade (the nearest), and of every row 0, or -inf where a pixel has none."""
        ranks = torch.bucketize(x, self.middles)
        none = ((x - self.levels[ranks]).abs() > 1 / 255).flatten(1).any(1)
        return ranks, x.new_zeros(len(x)).masked_fill(none, -torch.inf)


class Bernoulli(Pictures):
    """Images of two shades."""

    def __init__(self, event: Event, *, device: torch.device) -> None:
        super().__init__(event, 1, device=device)
        self.uniforms = event.size

    def log_prob(self, out: Tensor, x: Tensor) -> Float[Tensor, " n"]:
        ranks, seen = self.ranks(x)
        return logsigmoid(out * (2 * ranks - 1)).flatten(1).sum(1) + seen

    def guess(self, out: Tensor) -> Tensor:
        return self.levels[(out > 0).long()]

    def draw(self, out: Tensor, eps: Tensor, u: Tensor) -> Tensor:
        return self.levels[(u.view_as(out) < out.sigmoid()).long()]


class Categorical(Pictures):
    """Images of few shades: scores of every shade of every pixel."""

    def __init__(self, event: Event, *, device: torch.device) -> None:
        super().__init__(event, len(event.shades), device=device)
        self.uniforms = event.size

    def log_prob(self, out: Tensor, x: Tensor) -> Float[Tensor, " n"]:
        ranks, seen = self.ranks(x)
        told = log_softmax(self._scores(out), 2).gather(2, ranks.unsqueeze(2))
        return told.flatten(1).sum(1) + seen

    def guess(self, out: Tensor) -> Tensor:
        return self.levels[self._scores(out).argmax(2)]

    def draw(self, out: Tensor, eps: Tensor, u: Tensor) -> Tensor:
        scores = self._scores(out).movedim(2, -1)
        return self.levels[choose(scores, u.view(scores.shape[:-1]))]

    def _scores(self, out: Tensor) -> Tensor:
        """`(n, c, shades, h, w)`."""
        scores: Tensor = out.unflatten(1, (-1, len(self.levels)))
        return scores


class Cells(Pictures):
    """Images by the mass of each pixel's cell under a location and a scale: `logistic`, both of every pixel; or
    `gaussian`, the location of every pixel and one scale for all, learned beside the network."""

    def __init__(self, event: Event, name: str, *, device: torch.device) -> None:
        self.logistic = name == "logistic"
        super().__init__(event, 2 if name == "logistic" else 1, device=device)
        self.edges: Tensor
        ends = torch.tensor([OUTMOST], device=device)
        self.register_buffer("edges", torch.cat([-ends, self.middles, ends]), persistent=False)
        self.uniforms, self.normals = (event.size, 0) if self.logistic else (0, event.size)
        if not self.logistic:
            self.loud_sigma = nn.Parameter(torch.full((), -0.1, device=device))

    def log_prob(self, out: Tensor, x: Tensor) -> Float[Tensor, " n"]:
        ranks, seen = self.ranks(x)
        m, s = self._place(out)
        upper, lower = ((self.edges[ranks + step] - m) * torch.exp(-s) for step in (1, 0))
        told = _logistic_mass(lower, upper) if self.logistic else _gaussian_mass(lower, upper)
        found: Tensor = told.flatten(1).sum(1) + seen
        return found

    def guess(self, out: Tensor) -> Tensor:
        return self._nearest(self._place(out)[0])

    def draw(self, out: Tensor, eps: Tensor, u: Tensor) -> Tensor:
        m, s = self._place(out)
        e = torch.logit(u.view_as(m), eps=1e-6) if self.logistic else eps.view_as(m)
        return self._nearest(m + torch.exp(s) * e)

    def _nearest(self, x: Tensor) -> Tensor:
        return self.levels[torch.bucketize(x.contiguous(), self.middles)]

    def _place(self, out: Tensor) -> tuple[Tensor, Tensor]:
        if not self.logistic:
            return out, (LOUD * self.loud_sigma).clamp(SHARPEST, WIDEST)
        m, s = out.chunk(2, 1)
        return m, (s - 2).clamp(SHARPEST, WIDEST)  # begins at about the width of ordinary differences


def _logistic_mass(a: Tensor, b: Tensor) -> Tensor:
    """ln(sigmoid(b) - sigmoid(a)) of a < b = ln sigmoid(b) + ln sigmoid(-a) + ln(1 - e^(a - b)), elementwise."""
    return logsigmoid(b) + logsigmoid(-a) + torch.log(-torch.expm1((a - b).clamp(max=-1e-6)))


def _gaussian_mass(a: Tensor, b: Tensor) -> Tensor:
    """ln(Phi(b) - Phi(a)) of a < b, taken in the lower tail, elementwise."""
    flip = a + b > 0
    a, b = torch.where(flip, -b, a), torch.where(flip, -a, b)
    upper = torch.special.log_ndtr(b)
    ratio = torch.special.log_ndtr(a.clamp(min=-1e3)) - upper
    mass: Tensor = upper + torch.log(-torch.expm1(ratio.clamp(max=-1e-6)))
    return mass


class Mixed(Law):
    """Tables: each number that is there a mixture of Gaussians, each group a softmax.

    components 0: numbers by the squared error in the place of a density (`Squared`).
    """

    present: Tensor

    def __init__(self, event: Event, *, components: int = COMPONENTS, device: torch.device) -> None:
        super().__init__()
        self.k, self.components = event.numbers, components
        self.groups = list(event.levels)
        self.shape = (self.k * max(1, 3 * components) + sum(self.groups),)
        self.normals = self.k if components else 0
        self.uniforms = (self.k if components else 0) + len(self.groups)
        places = torch.tensor(event.present, dtype=torch.long, device=device)
        self.register_buffer("present", places, persistent=False)
        # different places from the start, or the components stay one
        spread = torch.linspace(-1.5, 1.5, components, device=device) if components > 1 else torch.zeros(components)
        self.register_buffer("starts", spread.to(device), persistent=False)

    def log_prob(self, out: Tensor, x: Tensor) -> Float[Tensor, " n"]:
        numbers, scores = self._parts(out)
        told = out.new_zeros(len(out))
        if self.k:
            z = x[:, : self.k]
            each = -(z - numbers).square() if not self.components else self._density(numbers, z)
            told = told + (each * self._there(x)).sum(1)
        for score, levels in zip(scores, x[:, self.k :].split(self.groups, 1) if self.groups else (), strict=True):
            told = told + (log_softmax(score, 1) * levels).sum(1)
        return told

    def guess(self, out: Tensor) -> Tensor:
        numbers, scores = self._parts(out)
        levels = [one_hot(score.argmax(1), score.shape[1]).to(out) for score in scores]
        if self.components and self.k:
            weights, means, _ = self._mixture(numbers)
            numbers = (weights.exp() * means).sum(2)
        return self._row(numbers, levels)

    def draw(self, out: Tensor, eps: Tensor, u: Tensor) -> Tensor:
        numbers, scores = self._parts(out)
        mine = self.k if self.components else 0
        levels = [one_hot(choose(score, u[:, mine + i]), score.shape[1]).to(out) for i, score in enumerate(scores)]
        if mine:
            weights, means, sigmas = self._mixture(numbers)
            chosen = choose(weights, u[:, :mine]).unsqueeze(2)
            numbers = means.gather(2, chosen).squeeze(2) + sigmas.gather(2, chosen).squeeze(2).exp() * eps
        return self._row(numbers, levels)

    def _parts(self, out: Tensor) -> tuple[Tensor, Sequence[Tensor]]:
        """What is said of the numbers, and the scores of every group."""
        n = out.shape[1] - sum(self.groups)
        numbers = out[:, :n] if not self.components else out[:, :n].view(len(out), self.k, 3 * self.components)
        return numbers, out[:, n:].split(self.groups, 1) if self.groups else ()

    def _mixture(self, numbers: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Log weights, means and log sigmas, each `(n, k, components)`."""
        weights, means, sigmas = numbers.chunk(3, 2)
        return log_softmax(weights, 2), means + self.starts, (sigmas - 0.5).clamp(SHARPEST, WIDEST)  # type: ignore[operator]

    def _density(self, numbers: Tensor, z: Tensor) -> Float[Tensor, "n k"]:
        weights, means, sigmas = self._mixture(numbers)
        off = (z.unsqueeze(2) - means) * torch.exp(-sigmas)
        return (weights - sigmas - off.square() / 2).logsumexp(2) - 0.5 * math.log(2 * math.pi)

    def _there(self, x: Tensor) -> Float[Tensor, "n k"]:
        """1 where a number is there, 0 where its column's level is another than `value`."""
        return torch.where(self.present < 0, 1.0, x[:, self.present.clamp(min=0)])

    def _row(self, numbers: Tensor, levels: list[Tensor]) -> Tensor:
        row = torch.cat([numbers, *levels], 1)
        return torch.cat([numbers * self._there(row), *levels], 1) if self.k else row


class Squared(Law):
    """Points and images: -|x - out|^2, the cost of a plain autoencoder; what is drawn is the guess."""

    def __init__(self, event: Event) -> None:
        super().__init__()
        self.shape = event.shape
        self.bounded = event.kind == "images"

    def log_prob(self, out: Tensor, x: Tensor) -> Float[Tensor, " n"]:
        return -(x - out).square().flatten(1).sum(1)

    def guess(self, out: Tensor) -> Tensor:
        return out.clamp(-1, 1) if self.bounded else out

    def draw(self, out: Tensor, eps: Tensor, u: Tensor) -> Tensor:
        return self.guess(out)


def choose(scores: Float[Tensor, "*n levels"], u: Float[Tensor, "*n"]) -> Tensor:
    """A level of each softmax by its distribution function at `u`."""
    passed = scores.softmax(-1).cumsum(-1) <= u.unsqueeze(-1)
    return passed.sum(-1).clamp(max=scores.shape[-1] - 1)


def law(event: Event, name: str, *, device: torch.device) -> Law:
    """The law of that name of `NAMES`, or `squared`, of rows like `event`."""
    made: dict[str, Any] = {
        "gaussian": lambda: (
            Cells(event, name, device=device) if event.kind == "images" else Gaussian(event, device=device)
        ),
        "logistic": lambda: Cells(event, name, device=device),
        "bernoulli": lambda: Bernoulli(event, device=device),
        "categorical": lambda: Categorical(event, device=device),
        "mixed": lambda: Mixed(event, device=device),
        "squared": lambda: Mixed(event, components=0, device=device) if event.kind == "table" else Squared(event),
    }
    found: Law = made[name]()
    return found
