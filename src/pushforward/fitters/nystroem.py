"""A kernel in finitely many coordinates, ordered by how much of the pooled data's variance each carries.

From R landmark rows L (drawn without looking at labels), the Nystroem features f(z) = K_LL^(-1/2) k(L, z) satisfy
f(a)'f(b) ~ k(a, b), exactly where a or b is a landmark. Their pooled covariance C = U S U' gives the principal
coordinates e_j(z) = s_j^(-1/2) u_j'(f(z) - mean f): uncorrelated over the pooled rows, of variance 1. In them

    MMD^2 = sum_j s_j delta_j^2,    delta_j = mean e_j(x) - mean e_j(y),

and sum_j s_j/(s_j + lambda) delta_j^2 is the spectrally regularised MMD (Hagrass, Sriperumbudur and Li 2024; kernel
Fisher discriminant, Harchaoui, Bach and Moulines 2007), which stops the few coarse coordinates from drowning the fine
ones. Nothing here sees which set a row comes from, so relabelling the coordinates gives exact tests.
"""

from dataclasses import dataclass
from typing import final

import torch
from jaxtyping import Float
from torch import Generator, Tensor

from pushforward.fitters.kernel import Kernel
from pushforward.witness import Tag, Witness

_RANK = 1e-7  # of the largest eigenvalue: below lies the rounding of the kernel matrix
_ROUNDING = 1e-12  # of the mean squared feature: a variance below this is none
_CHUNK = 8192  # rows of which the covariance is summed at a time


def draw_landmarks(z: Float[Tensor, "N d"], count: int, *, generator: Generator) -> Float[Tensor, "R d"]:
    """`count` rows of `z` at random, or all of them."""
    if len(z) <= count:
        return z
    return z[torch.randperm(len(z), generator=generator, device=generator.device)[:count].to(z.device)]


@final
@dataclass(frozen=True, eq=False)
class SpectralBasis:
    """The coordinates e `(n, d) -> (n, r)` above, `variances` `(r,)` = s in falling order.

    e(z) = k(z, `landmarks`) @ `weights` - `shift`.
    """

    kernel: Kernel
    landmarks: Tensor
    weights: Tensor
    shift: Tensor
    variances: Tensor

    def __call__(self, rows: Float[Tensor, "n d"]) -> Float[Tensor, "n r"]:
        """The coordinates of each row, in its own precision."""
        return self.kernel(rows, self.landmarks.to(rows)) @ self.weights.to(rows) - self.shift.to(rows)

    def witness(self, weights: Float[Tensor, " r"], difference: Float[Tensor, " r"]) -> Witness:
        """The witness of sum_j `weights`_j delta_j^2 >= 0 at the observed `difference` delta.

        With w = sum_j weights_j delta_j e_j, phi = 2w - sum_j weights_j delta_j^2 and psi = 2w: certified for every
        pair of distributions, tight on the samples that delta was taken from.
        """
        direction, norm = weights * difference, float((weights * difference**2).sum())
        combined, offset = self.weights @ direction, float(self.shift @ direction)

        def twice(t: Tensor) -> Tensor:
            rows = t.flatten(1)
            return 2.0 * (self.kernel(rows, self.landmarks.to(rows)) @ combined.to(rows) - offset)

        tags: frozenset[Tag] = frozenset({"certified", "tight", "differentiable"})
        return Witness(phi=lambda t: twice(t) - norm, psi=twice, tags=tags)


def spectral_basis(
    kernel: Kernel, z: Float[Tensor, "N d"], landmarks: Float[Tensor, "R d"], *, most: int | None = None
) -> SpectralBasis:
    """The basis of `kernel` on the pooled rows `z`, of at most `most` coordinates. Cost N R (d + R), memory R^2."""
    own, turn = torch.linalg.eigh(kernel(landmarks, landmarks).double())
    kept = own > own[-1].clamp_min(1e-300) * _RANK
    root = turn[:, kept] / own[kept].sqrt()
    mean, second = root.new_zeros(root.shape[1]), root.new_zeros(root.shape[1], root.shape[1])
    for part in torch.split(z, _CHUNK):
        f = kernel(part, landmarks).to(root) @ root
        mean += f.sum(0)
        second += f.T @ f
    mean /= len(z)
    variances, axes = torch.linalg.eigh(second / len(z) - torch.outer(mean, mean))
    variances, axes = variances.flip(0), axes.flip(1)
    floor = torch.maximum(variances[:1].sum() * _RANK, _ROUNDING * second.trace() / len(z))
    rank = int((variances > floor).sum())
    rank = rank if most is None else min(rank, most)
    axes = axes[:, :rank] / variances[:rank].sqrt()
    return SpectralBasis(kernel, landmarks, root @ axes, mean @ axes, variances[:rank])
