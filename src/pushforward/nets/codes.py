"""Laws of latents ("codes"): one that is fitted to those of training rows, and how far theirs is from N(0, I)."""

from dataclasses import dataclass
from typing import ClassVar, final

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.func import functional_call

from ..errors import InputError
from ..fitters.kernel import minus_squared_distances
from ..objectives import Objective, objective
from ..objectives.statistics import KernelDistance
from .mlp import MLPCritic

MMD = "mmd"
SCALES = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)  # of the kernels (Tolstikhin et al. 2018, section 4 and its code)
SLOPE_WEIGHT = 1.0  # of a critic's squared slope at both laws


class CodeLaw(nn.Module):
    """A mixture of `components` Gaussians, drawn from by a uniform and `size` Gaussian numbers; `hold` fills it in."""

    weights: Tensor
    means: Tensor
    roots: Tensor

    def __init__(self, size: int, components: int, *, device: torch.device) -> None:
        super().__init__()
        self.size, self.noise_size = size, size + 1
        self.register_buffer("weights", torch.full((components,), 1.0 / components, device=device))
        self.register_buffer("means", torch.zeros(components, size, device=device))
        self.register_buffer("roots", torch.eye(size, device=device).repeat(components, 1, 1))

    def hold(self, weights: Tensor, means: Tensor, covariances: Tensor) -> None:
        """Take these, of at most as many components as there is room for."""
        used = len(weights)
        self.weights.zero_()
        self.weights[:used] = weights.to(self.weights)
        self.means[:used] = means.to(self.means)
        self.roots[:used] = torch.linalg.cholesky(covariances.double()).to(self.roots)

    def noise(self, n: int, *, generator: torch.Generator) -> Float[Tensor, "n m"]:
        u = torch.rand(n, 1, generator=generator, device=generator.device)
        return torch.cat([u, torch.randn(n, self.size, generator=generator, device=generator.device)], 1)

    def forward(self, noise: Float[Tensor, "n m"]) -> Float[Tensor, "n size"]:
        which = (self.weights.cumsum(0) <= noise[:, :1]).sum(1).clamp(max=int(self.weights.count_nonzero()) - 1)
        return self.means[which] + torch.einsum("nij,nj->ni", self.roots[which], noise[:, 1:])


@final
@dataclass(frozen=True)
class Multiquadrics:
    """k(a, b) = mean over s of `SCALES` of C / (C + |a - b|^2), C = 2 size s (Tolstikhin et al. 2018, section 4): the
    mean of `fitters.kernel.RationalQuadraticKernel(sqrt(size s), 1)`, with the distances taken once."""

    size: int
    stationary: ClassVar[bool] = True

    def __call__(self, a: Float[Tensor, "p d"], b: Float[Tensor, "q d"]) -> Float[Tensor, "p q"]:
        """The kernel matrix of the rows of `a` and `b`."""
        distances = minus_squared_distances(a, b).clamp(max=0.0) / (2 * self.size)
        total = torch.zeros_like(distances)
        for scale in SCALES:
            total = total + scale / (scale - distances)
        return total / len(SCALES)


class Divergence(nn.Module):
    """How far codes `(n, m)` are from draws of their prior: `mmd`, the unbiased MMD^2 under `Multiquadrics`; or an
    objective by name, of the distances that need no critic (`energy`, `sinkhorn`, `gmmn`), or of those between scores
    of a critic of codes (`ns`, `rpgan`, ...), which learns beside and whose slope is charged on both sides.

    The prior plays the data's part, and codes the samples'.
    """

    def __init__(self, name: str, weight: float, size: int, *, width: int, generator: torch.Generator) -> None:
        super().__init__()
        self.weight, self.played = weight, None if name == MMD else playable(name)
        self.distance = KernelDistance(Multiquadrics(size)) if self.played is None else self.played.generator
        self.critic: MLPCritic | None = None
        if self.played is not None and self.played.critic is not None:
            self.critic = MLPCritic((size,), width=width, depth=2, generator=generator)

    def measure(self, prior: Tensor, codes: Tensor) -> Tensor:
        """weight * distance, where there is one that needs no critic and rows enough to tell; else 0."""
        if self.critic is not None or len(codes) < 2:
            return codes.new_zeros(())
        return self.weight * self.distance(prior, codes)

    def pull(self, prior: Tensor, codes: Tensor) -> Tensor:
        """What the codes pay: the distance, or the generator's loss against the critic as it stands."""
        if self.critic is None:
            return self.measure(prior, codes)
        frozen = {name: weight.detach() for name, weight in self.critic.named_parameters()}
        a, b = (functional_call(self.critic, frozen, (rows,)) for rows in (prior, codes))
        return self.weight * self.distance(a, b).mean()

    def lesson(self, prior: Tensor, codes: Tensor) -> Tensor:
        """What the critic descends: its loss, and `SLOPE_WEIGHT`/2 its squared slope on both sides."""
        assert self.critic is not None
        assert self.played is not None
        assert self.played.critic is not None
        with torch.enable_grad():
            rows = torch.cat([prior, codes]).detach().requires_grad_()
            scores = self.critic(rows)
            a, b = scores.chunk(2)
            (slope,) = torch.autograd.grad(scores.sum(), rows, create_graph=True)
        return self.played.critic(a, b).mean() + SLOPE_WEIGHT * slope.square().sum(1).mean()


def playable(name: str) -> Objective:
    """The objective of that name, where codes can be drawn to their prior by it."""
    found = objective(name)
    if found.critic is not None and found.reads != "scores":
        raise InputError(
            f"penalty {name!r} needs a critic that gives more than a score; choose mmd, energy, sinkhorn, gmmn, or a "
            "game of scores such as ns or rpgan"
        )
    return found
