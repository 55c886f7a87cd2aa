"""MMD tests in time linear in the rows, through explicit features of the Gaussian kernel.

- random features (Rahimi and Recht 2007): f(z) = R^(-1/2) (cos w'z, sin w'z), w ~ N(0, 1/bandwidth^2); f(a)'f(b) has
  the Gaussian kernel as its mean. With R fixed the test is exact, and blind to what R frequencies do not see.
- compressed (in the spirit of Compress Then Test, Domingo-Enrich, Dwivedi and Mackey 2023): every row is summarised by
  its kernel values at R landmark rows, R about 2 sqrt(n+m), drawn without looking at labels. k is replaced by its
  Nystroem approximation, exact between a row and a landmark, so that the statistic is the MMD of a kernel a little
  smaller than k; all B relabellings then cost (n+m) R B instead of (n+m)^2 B.
"""

import math
import time

import torch
from jaxtyping import Float
from torch import Generator, Tensor

from pushforward.errors import InputError
from pushforward.fitters.kernel import Kernel
from pushforward.fitters.nystroem import draw_landmarks, spectral_basis
from pushforward.readings.feature_sums import Features, feature_sums
from pushforward.readings.significance import draw_members
from pushforward.twosample.kernels import find_bandwidth, find_kernel
from pushforward.twosample.method import Method
from pushforward.twosample.result import TestResult
from pushforward.twosample.running import kernel_result
from pushforward.witness import Estimate, Tag, Witness


def random_features_test(
    x: Float[Tensor, "n d"],
    y: Float[Tensor, "m d"],
    *,
    permutations: int,
    generator: Generator,
    features: int = 500,
    bandwidth: float | str = "median",
    unbiased: bool = True,
) -> TestResult:
    """Test by MMD^2 of the kernel that `features` random frequencies make. Cost (n+m) R (d + B)."""
    f = _fourier(x, y, features, bandwidth, generator)
    return _feature_test("mmd-rff", f, 2 * features, x, y, permutations, generator, unbiased)


def random_features_distance(
    x: Float[Tensor, "n d"],
    y: Float[Tensor, "m d"],
    *,
    generator: Generator,
    level: float = 0.95,
    features: int = 500,
    bandwidth: float | str = "median",
) -> Estimate:
    """MMD^2 (U-statistic) of the random features' kernel; the interval is for that kernel, frequencies given."""
    f = _fourier(x, y, features, bandwidth, generator)
    return feature_sums(f, x, y, width=2 * features).estimate(level=level)


def compressed_test(
    x: Float[Tensor, "n d"],
    y: Float[Tensor, "m d"],
    *,
    permutations: int,
    generator: Generator,
    kernel: str | Kernel = "gaussian",
    bandwidth: float | str = "median",
    landmarks: int | None = None,
    unbiased: bool = True,
) -> TestResult:
    """Test by MMD^2 of the Nystroem kernel. Cost (n+m) R (d + R + B) with R `landmarks`. Kernels as in "mmd"."""
    rows = torch.cat([x, y])
    count = round(2.0 * math.sqrt(len(rows))) if landmarks is None else landmarks
    if count < 2:
        raise InputError(f"compression needs at least 2 landmarks, not {count}")
    centre = rows.mean(0)
    chosen = find_kernel(kernel, bandwidth, x, y, generator)
    basis = spectral_basis(chosen, rows - centre, draw_landmarks(rows - centre, count, generator=generator))
    root = basis.variances.sqrt()

    def f(z: Tensor) -> Tensor:
        return basis(z - centre.to(z)) * root.to(z)

    return _feature_test("mmd-compressed", f, count, x, y, permutations, generator, unbiased)


def _fourier(x: Tensor, y: Tensor, features: int, bandwidth: float | str, generator: Generator) -> Features:
    if features < 1:
        raise InputError(f"random features need at least 1 frequency, not {features}")
    width = find_bandwidth(bandwidth, x, y, generator)
    shape = (x.shape[1], features)
    frequencies = torch.randn(shape, generator=generator, device=generator.device, dtype=torch.float64) / width
    centre = torch.cat([x, y]).double().mean(0)

    def f(z: Tensor) -> Tensor:
        angle = (z - centre.to(z)) @ frequencies.to(z)
        return torch.cat([angle.cos(), angle.sin()], 1) / math.sqrt(features)

    return f


def _feature_test(
    method: str,
    features: Features,
    width: int,
    x: Tensor,
    y: Tensor,
    permutations: int,
    generator: Generator,
    unbiased: bool,
) -> TestResult:
    started = time.perf_counter()
    members = draw_members(len(x), len(y), permutations, generator=generator).to(x.device)
    with torch.no_grad():
        sums = feature_sums(features, x, y, members, width=width)
        witness = _linear_witness(features, features(x).mean(0) - features(y).mean(0))
    return kernel_result(method, sums, members, (len(x), len(y)), witness, started=started, unbiased=unbiased)


def _linear_witness(features: Features, difference: Float[Tensor, " r"]) -> Witness:
    """phi = 2 difference'f - |difference|^2, psi = 2 difference'f: the witness of the MMD^2 of f(a)'f(b)."""
    norm = float(difference @ difference)

    def twice(t: Tensor) -> Tensor:
        return 2.0 * (features(t.flatten(1)) @ difference.to(t))

    tags: frozenset[Tag] = frozenset({"certified", "tight", "differentiable"})
    return Witness(phi=lambda t: twice(t) - norm, psi=twice, tags=tags)


METHODS = {
    "mmd-rff": Method(
        family="kernels",
        reads="MMD through random Fourier features: linear time, for large samples",
        convention="MMD^2, U-statistic, of the kernel that the drawn frequencies make",
        cost="(n+m) R (d + B), R = 500 frequencies",
        effect="MMD^2 (U-statistic, random features)",
        test=random_features_test,
        distance=random_features_distance,
    ),
    "mmd-compressed": Method(
        family="kernels",
        reads="MMD through R landmark rows: near-linear time, nearly the full test's power",
        convention="MMD^2, U-statistic, of the Nystroem kernel",
        cost="(n+m) R (d + R + B), R = 2 sqrt(n+m)",
        effect="MMD^2 (U-statistic, Nystroem)",
        test=compressed_test,
    ),
}
