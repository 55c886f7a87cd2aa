"""The default test: kernels of several kinds and widths, several regularisations of each, joined into one exact test.

No single kernel sees everything: a wide one sees shifts, a narrow one texture, and every MMD weighs a kernel's few
coarse coordinates far above the many fine ones. So, on rows scaled to unit pooled variance,

1. for each kernel of the bank (Gaussian ones at geometric steps of the middle range of the pooled rows' distances,
   linear, quadratic) take its principal coordinates e_j with pooled variances s_j (`pushforward.fitters.nystroem`),
   and delta_j = mean e_j(x) - mean e_j(y);
2. statistics T = sum_j s_j/(s_j + lambda) delta_j^2 with lambda = s_4, s_16, s_64, s_256: from nearly the MMD (lambda =
   infinity) to nearly whitened (spectral regularisation: Hagrass, Sriperumbudur and Li 2024);
3. for the observed labels and each of B random relabellings b, T_b turned into an evidence l_b = -ln p, p the upper
   tail of a Pearson III law with the mean, variance and skewness of that statistic over all B + 1 labellings;
4. the joint statistic ln(mean e^(2l))/2 over all statistics: a generalised mean of their 1/p (Vovk and Wang 2020), a
   soft maximum like that of MMD-FUSE (Biggs, Schrab and Gretton 2023), but over statistics put on one scale.

Steps 1 to 4 treat the B + 1 labellings alike, so the rank of the observed one is uniform under equal distributions: the
level is exact at any sample size, whatever the tail law in step 3 is worth. Only power depends on it. Cost: for each
kernel N R (d + R + B) with R landmarks; nothing of size N x N is made.
"""

import math
import time
from dataclasses import dataclass
from typing import final

import torch
from jaxtyping import Float
from torch import Generator, Tensor

from pushforward.errors import InputError
from pushforward.fitters.kernel import GaussianKernel, Kernel, PolynomialKernel, bandwidth_grid
from pushforward.fitters.nystroem import SpectralBasis, draw_landmarks, spectral_basis
from pushforward.readings.feature_sums import projections
from pushforward.readings.significance import draw_members, permutation_pvalue
from pushforward.twosample.method import Method
from pushforward.twosample.result import Part, TestResult
from pushforward.twosample.ridge import ridge_auc
from pushforward.twosample.scaling import Scaling, scaled
from pushforward.witness import Estimate, Witness

LEVELS = (4, 16, 64, 256)  # lambda is the variance of this coordinate
_SPAN = (0.375, 0.75)  # of the range of distances, on its logarithmic scale: more kernels cost power, see docs/log.md
_POWER = 2.0  # of 1/p in the mean
_FEWEST_PERMUTATIONS = 99  # three moments of a null cannot be had from fewer
_FEWEST_FOR_AUC = 10  # rows in all, for five folds
_UNKNOWN = Estimate(math.nan, math.nan, math.nan, math.nan)
_LEAST_SKEWNESS = 0.05  # below, a Pearson III law is a normal one


def aggregated_test(
    x: Float[Tensor, "n d"],
    y: Float[Tensor, "m d"],
    *,
    permutations: int,
    generator: Generator,
    bandwidths: int = 4,
    landmarks: int = 256,
    standardise: bool = True,
) -> TestResult:
    """The test above with `bandwidths` Gaussian kernels and at most `landmarks` landmark rows.

    `parts` are the single statistics with their own permutation p-values and these adjusted for all others (single-step
    max of l: Westfall and Young 1993). The witness is that of the most telling one; it was chosen and fitted on these
    rows, so it explains but proves nothing. The effect does not depend on that choice: the cross-fitted AUC of ridge
    regression on the mean of the Gaussian kernels (`ridge_auc`; NaN with fewer than ten rows). `standardise=False`
    takes the test's rows as they are. At least 99 permutations (`InputError`).
    """
    if permutations < _FEWEST_PERMUTATIONS:
        raise InputError(
            f"joining kernels needs at least {_FEWEST_PERMUTATIONS} permutations, not {permutations}; "
            'use more, or a single kernel (method "mmd")'
        )
    if bandwidths < 1 or landmarks < 2:
        raise InputError(f"bandwidths must be at least 1 and landmarks 2, not {bandwidths} and {landmarks}")
    started = time.perf_counter()
    rows, scaling = scaled(torch.cat([x, y]), standardise=standardise)
    chosen = draw_landmarks(rows, landmarks, generator=generator)
    members = draw_members(len(x), len(y), permutations, generator=generator).to(rows.device)
    observed = torch.zeros(len(rows), 1, dtype=torch.bool, device=rows.device)
    observed[: len(x)] = True
    labellings = torch.cat([observed, members], 1)
    with torch.no_grad():
        found = (_evidence(*kernel, rows, chosen, labellings, len(x)) for kernel in _bank(chosen, bandwidths))
        evidences = [e for e in found if e is not None]
        joint = _join(torch.cat([e.logs for e in evidences])) if evidences else torch.zeros(1 + permutations)
        tested = time.perf_counter()
        enough = len(rows) >= _FEWEST_FOR_AUC
        effect = ridge_auc(x, y, generator=generator, landmarks=landmarks) if enough else _UNKNOWN
    measured = time.perf_counter()
    best = max(evidences, key=lambda e: float(e.logs[:, 0].max()), default=None)
    witness = None if best is None else best.witness(scaling)  # None: all rows are equal
    ended = time.perf_counter()
    return TestResult(
        method="mmd-agg",
        statistic=float(joint[0]),
        pvalue=permutation_pvalue(float(joint[0]), joint[1:]),
        null=joint[1:],
        effect=effect,
        n_x=len(x),
        n_y=len(y),
        permutations=permutations,
        witness=witness,
        seconds=ended - started,
        parts=_parts(evidences),
        timings={"test": tested - started, "effect": measured - tested, "witness": ended - measured},
    )


def _bank(landmarks: Tensor, bandwidths: int) -> list[tuple[str, Kernel]]:
    grid = bandwidth_grid(landmarks, bandwidths, span=_SPAN)
    kernels: list[tuple[str, Kernel]] = [(f"gaussian {width:.3g}", GaussianKernel(width)) for width in grid]
    scale = landmarks.shape[1] ** 0.5
    kernels.append(("linear", PolynomialKernel(scale, 1, 0.0)))
    kernels.append(("quadratic", PolynomialKernel(scale, 2, 0.0)))
    return kernels


@final
@dataclass(frozen=True, eq=False)
class _Evidence:
    """The statistics of one kernel, a row for each of its `levels`: `values` `(l, 1 + B)` of each labelling, observed
    first, `logs` `(l, 1 + B)` their -ln p, `weights` `(l, r)` of the squared differences; the observed `difference`
    `(r,)`."""

    name: str
    basis: SpectralBasis
    levels: tuple[str, ...]
    values: Tensor
    logs: Tensor
    weights: Tensor
    difference: Tensor

    def witness(self, scaling: Scaling) -> Witness:
        """The witness of the most telling row, on rows as they were given."""
        row = int(self.logs[:, 0].argmax())
        inner = self.basis.witness(self.weights[row], self.difference)
        return Witness(lambda t: inner.phi(scaling(t)), lambda t: inner.psi(scaling(t)), inner.tags)


def _evidence(
    name: str, kernel: Kernel, rows: Tensor, landmarks: Tensor, labellings: Tensor, n: int
) -> _Evidence | None:
    """Steps 1 to 3 for one kernel; None where it sees no two rows differ."""
    basis = spectral_basis(kernel, rows, landmarks)
    s = basis.variances
    if not len(s):
        return None
    levels = [k for k in LEVELS if k <= len(s)] or [len(s)]
    weights = torch.stack([s / (s + s[k - 1]) for k in levels])
    sums = projections(basis, rows, labellings, width=len(landmarks)).double()
    differences = sums * (1.0 / n + 1.0 / (len(rows) - n))  # the coordinates of all rows sum to 0
    values = weights @ differences**2
    names = tuple(f"{name}, {k} coordinates" for k in levels)
    return _Evidence(name, basis, names, values, _tail_evidence(values), weights, differences[:, 0])


def _tail_evidence(values: Float[Tensor, "k L"]) -> Float[Tensor, "k L"]:
    """-ln of the upper tail of a Pearson III law with each row's mean, variance and skewness; 0 for a constant row."""
    mean, spread = values.mean(1, keepdim=True), values.std(1, correction=0, keepdim=True)
    constant = spread <= 1e-9 * mean.abs()
    z = (values - mean) / torch.where(constant, 1.0, spread)
    skewness = (z**3).mean(1, keepdim=True).clamp_min(_LEAST_SKEWNESS)
    shape = 4.0 / skewness**2
    tail = torch.special.gammaincc(shape.expand_as(z), (shape + z * shape.sqrt()).clamp_min(0.0))
    return torch.where(constant, 0.0, -tail.clamp_min(1e-300).log())


def _join(logs: Float[Tensor, "k L"]) -> Float[Tensor, " L"]:
    """ln(mean e^(2l))/2 over the statistics, for each labelling."""
    return (torch.logsumexp(_POWER * logs, 0) - math.log(len(logs))) / _POWER


def _parts(evidences: list[_Evidence]) -> tuple[Part, ...]:
    """Every statistic with its own p-value and the one adjusted for all, most telling first."""
    if not evidences:
        return ()
    highest = torch.cat([e.logs for e in evidences]).amax(0)
    parts = [
        Part(
            level,
            float(value[0]),
            permutation_pvalue(float(log[0]), log[1:]),
            permutation_pvalue(float(log[0]), highest[1:]),
        )
        for e in evidences
        for level, value, log in zip(e.levels, e.values, e.logs, strict=True)
    ]
    return tuple(sorted(parts, key=lambda part: (part.adjusted, part.pvalue)))


METHODS = {
    "mmd-agg": Method(
        family="kernels",
        reads="the default: kernels of many widths and kinds and their spectra joined; shifts, shapes and texture",
        convention="half the ln of the mean of 1/p^2 over kernels and regularisations, p smoothed over permutations",
        cost="6 kernels x (n+m) R (d + R + B), R = 256 landmarks",
        effect="cross-fitted AUC of ridge regression on the Gaussian kernels' mean",
        test=aggregated_test,
        distance=ridge_auc,
    )
}
