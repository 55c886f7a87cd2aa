"""The kernel fitter: the mean difference w = E_{x~P} k(x, .) - E_{y~Q} k(y, .), the witness of the MMD in closed form.

In the kernel's space MMD^2 = |mu_P - mu_Q|^2 >= 2 <w, mu_P - mu_Q> - |w|^2 for every w, with equality at w = mu_P -
mu_Q. So phi = 2w - |w|^2 and psi = 2w; the bare w would give half the gradient. On the rows that w was fitted on, the
gap is the biased (V-statistic) MMD^2 exactly.

Energy distance 2E|X-Y| - E|X-X'| - E|Y-Y'| is the MMD^2 of k(x, y) = -|x - y| (Sejdinovic et al. 2013).
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import ClassVar, TypeAlias, final

import torch
from jaxtyping import Float
from torch import Generator, Tensor

from pushforward.errors import InputError
from pushforward.witness import Tag, Witness

Kernel: TypeAlias = Callable[[Tensor, Tensor], Tensor]
"""`((p, d), (q, d)) -> (p, q)`, symmetric. One that depends on differences of rows alone says so by an attribute
`stationary = True`: its rows may then be centred, which saves digits."""

_CHUNK = 1024  # rows scored at a time
_GRID = (0.005, 0.95)  # quantiles of the distances between which bandwidths lie
_MOST_DISTANCES = 2**23  # what torch.quantile takes
_MEDIAN_ROWS = 512  # rows whose pairwise distances give the median: 130,816 of them


def minus_squared_distances(a: Float[Tensor, "p d"], b: Float[Tensor, "q d"]) -> Float[Tensor, "p q"]:
    """-|a_i - b_j|^2 by one product, which rounding may leave a little above 0 (centre the data first)."""
    norm_a, norm_b = (a * a).sum(1, keepdim=True), (b * b).sum(1, keepdim=True)
    left = torch.cat([2.0 * a, norm_a, torch.full_like(norm_a, -1.0)], 1)
    right = torch.cat([b, torch.full_like(norm_b, -1.0), norm_b], 1)
    return left @ right.T


@final
@dataclass(frozen=True)
class GaussianKernel:
    """k(x, y) = exp(-|x - y|^2 / (2 bandwidth^2)), the bandwidth in the data's own units."""

    bandwidth: float

    stationary: ClassVar[bool] = True

    def __call__(self, a: Float[Tensor, "p d"], b: Float[Tensor, "q d"]) -> Float[Tensor, "p q"]:
        """The kernel matrix of the rows of `a` and `b`."""
        scale = 1.0 / (self.bandwidth * math.sqrt(2.0))
        return minus_squared_distances(a * scale, b * scale).exp_()


def _scaled_distances(a: Tensor, b: Tensor, bandwidth: float) -> Tensor:
    """|a_i - b_j| / bandwidth; equal rows are kept off 0 by 1e-12 so that gradients exist."""
    return minus_squared_distances(a / bandwidth, b / bandwidth).clamp_max_(-1e-24).neg_().sqrt_()


@final
@dataclass(frozen=True)
class LaplaceKernel:
    """k(x, y) = exp(-|x - y| / bandwidth), the Euclidean norm."""

    bandwidth: float

    stationary: ClassVar[bool] = True

    def __call__(self, a: Float[Tensor, "p d"], b: Float[Tensor, "q d"]) -> Float[Tensor, "p q"]:
        """The kernel matrix of the rows of `a` and `b`."""
        return (-_scaled_distances(a, b, self.bandwidth)).exp()


@final
@dataclass(frozen=True)
class RationalQuadraticKernel:
    """k(x, y) = (1 + |x - y|^2 / (2 exponent bandwidth^2))^-exponent: a mixture of Gaussian kernels of all widths."""

    bandwidth: float
    exponent: float = 1.0

    stationary: ClassVar[bool] = True

    def __call__(self, a: Float[Tensor, "p d"], b: Float[Tensor, "q d"]) -> Float[Tensor, "p q"]:
        """The kernel matrix of the rows of `a` and `b`."""
        scale = 1.0 / (self.bandwidth * math.sqrt(2.0 * self.exponent))
        return (1.0 - minus_squared_distances(a * scale, b * scale)).clamp(min=1.0) ** -self.exponent


@final
@dataclass(frozen=True)
class InverseMultiquadricKernel:
    """k(x, y) = (1 + |x - y|^2 / bandwidth^2)^(-1/2)."""

    bandwidth: float

    stationary: ClassVar[bool] = True

    def __call__(self, a: Float[Tensor, "p d"], b: Float[Tensor, "q d"]) -> Float[Tensor, "p q"]:
        """The kernel matrix of the rows of `a` and `b`."""
        return (1.0 - minus_squared_distances(a / self.bandwidth, b / self.bandwidth)).clamp(min=1.0).rsqrt()


@final
@dataclass(frozen=True)
class PolynomialKernel:
    """k(x, y) = (x'y / bandwidth^2 + offset)^degree: compares moments up to `degree` and is blind beyond.

    Not invariant to shifts; with `offset` > 0 its MMD is 0 only where all moments up to `degree` agree, which does not
    depend on the origin, but its value does. (KID is degree 3, bandwidth sqrt d, offset 1.)
    """

    bandwidth: float
    degree: int = 3
    offset: float = 1.0

    def __call__(self, a: Float[Tensor, "p d"], b: Float[Tensor, "q d"]) -> Float[Tensor, "p q"]:
        """The kernel matrix of the rows of `a` and `b`."""
        return (a @ b.T / self.bandwidth**2 + self.offset) ** self.degree


@final
@dataclass(frozen=True)
class MultiscaleKernel:
    """The mean of Gaussian kernels of several bandwidths: sees coarse and fine differences at once."""

    bandwidths: tuple[float, ...]
    stationary: ClassVar[bool] = True

    def __call__(self, a: Float[Tensor, "p d"], b: Float[Tensor, "q d"]) -> Float[Tensor, "p q"]:
        """The kernel matrix of the rows of `a` and `b`."""
        half = 0.5 * minus_squared_distances(a, b)
        total = (half / self.bandwidths[0] ** 2).exp_()
        for bandwidth in self.bandwidths[1:]:
            total = total + (half / bandwidth**2).exp_()  # not in place: the gradient needs every term
        return total / len(self.bandwidths)


KERNELS: Mapping[str, Callable[[float], Kernel]] = MappingProxyType(
    {
        "gaussian": GaussianKernel,
        "laplace": LaplaceKernel,
        "rational-quadratic": RationalQuadraticKernel,
        "imq": InverseMultiquadricKernel,
        "polynomial": PolynomialKernel,
    }
)
"""Name -> kernel of a bandwidth."""


def kernel_named(name: str, bandwidth: float) -> Kernel:
    """The kernel of `KERNELS` at a bandwidth; `InputError` for an unknown name."""
    if name not in KERNELS:
        raise InputError(f"unknown kernel {name!r}; known: {', '.join(KERNELS)}")
    return KERNELS[name](bandwidth)


@final
@dataclass(frozen=True)
class EnergyKernel:
    """k(x, y) = -|x - y|: its MMD^2 is the energy distance (not its square root, not its half)."""

    stationary: ClassVar[bool] = True

    def __call__(self, a: Float[Tensor, "p d"], b: Float[Tensor, "q d"]) -> Float[Tensor, "p q"]:
        """Minus the distances of the rows of `a` and `b`; equal rows are kept off 0 by 1e-12 so that gradients
        exist.
        """
        distances = minus_squared_distances(a, b).clamp_max_(-1e-24).neg_().sqrt_()
        return -distances if distances.requires_grad else distances.neg_()


def median_distance(z: Float[Tensor, "n d"], *, generator: Generator) -> float:
    """The median of |z_i - z_j| over pairs i < j, of 512 rows drawn by `generator` where there are more.

    The median heuristic (Gretton et al. 2012): which rows come from which set is not looked at, so a permutation test
    at this bandwidth stays exact. Where more than half of all pairs coincide, the mean of the other distances; where
    all rows are equal, 1.
    """
    if len(z) > _MEDIAN_ROWS:
        rows = torch.randperm(len(z), generator=generator, device=generator.device)[:_MEDIAN_ROWS]
        z = z[rows.to(z.device)]
    distances = torch.nn.functional.pdist(z.double() - z.double().mean(0))
    median = float(distances.median())
    if median > 0.0:
        return median
    positive = distances[distances > 0.0]
    return float(positive.mean()) if len(positive) else 1.0


def bandwidth_grid(z: Float[Tensor, "n d"], count: int, *, span: tuple[float, float] = (0.0, 1.0)) -> list[float]:
    """`count` bandwidths in geometric steps; none where all rows of `z` are equal.

    On the logarithmic scale from half the .005 quantile of the positive distances between rows of `z` (0) to their .95
    quantile (1) they lie between the two numbers of `span`. Takes n^2/2 distances: give it some hundred rows.
    """
    distances = torch.nn.functional.pdist(z.double() - z.double().mean(0))
    distances = distances[distances > 0.0]
    if not len(distances):
        return []
    low, high = torch.quantile(distances[:_MOST_DISTANCES], distances.new_tensor(_GRID)).tolist()
    low, (first, last) = 0.5 * low, span
    places = [first + (last - first) * i / max(1, count - 1) for i in range(count)]
    return [low * (high / low) ** place for place in places]


def kernel_witness(
    kernel: Kernel, x: Float[Tensor, "n d"], y: Float[Tensor, "m d"], *, squared_norm: float | None = None
) -> Witness:
    """The witness of MMD^2 under `kernel`, between the samples `x` and `y`; `squared_norm` is |w|^2 where it is known.

    Scores `(k, *d)` rows against all n + m in chunks, in the rows' own dtype. Certified, tight on `x` and `y`, and
    differentiable where the kernel is.
    """
    centre = torch.cat([x, y]).mean(0) if getattr(kernel, "stationary", False) else x.new_zeros(x.shape[1])
    data, fake = x - centre, y - centre

    def mean_difference(t: Tensor) -> Tensor:
        rows = t.flatten(1) - centre.to(t)
        a, b = data.to(t), fake.to(t)
        return torch.cat([kernel(part, a).mean(1) - kernel(part, b).mean(1) for part in torch.split(rows, _CHUNK)])

    if squared_norm is None:
        with torch.no_grad():
            squared_norm = float(mean_difference(x.double()).mean() - mean_difference(y.double()).mean())
    norm: float = squared_norm
    tags: frozenset[Tag] = frozenset({"certified", "tight", "differentiable"})
    return Witness(phi=lambda t: 2.0 * mean_difference(t) - norm, psi=lambda t: 2.0 * mean_difference(t), tags=tags)


@final
@dataclass(frozen=True)
class KernelFitter:
    """Samples -> the witness of MMD^2. `kernel` defaults to the Gaussian at the median distance of the pooled rows."""

    kernel: Kernel | None = None

    def __call__(self, x: Float[Tensor, "n *d"], y: Float[Tensor, "m *d"], *, generator: Generator) -> Witness:
        """The witness of data `x` and model samples `y`; `generator` draws the rows of the median."""
        a, b = x.flatten(1), y.flatten(1)
        kernel = self.kernel or GaussianKernel(median_distance(torch.cat([a, b]), generator=generator))
        return kernel_witness(kernel, a, b)
