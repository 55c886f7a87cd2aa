"""Fitters: samples -> `Witness`, one per way of finding it.

- `ClassifierFitter`: the logit of a probabilistic classifier, prior removed;
- `CriticFitter`: a small neural critic trained on a link's own bound, stopped early;
- `DeepKernelFitter`: the mean difference of a kernel trained for the power of its test;
- `KernelFitter`: the kernel mean difference, in closed form;
- `MeanFitter`: the difference of means in a pooled metric (Hotelling);
- `NeighbourFitter`: the log ratio of nearest neighbours.
"""

from pushforward.fitters.classifier import ClassifierFitter, auc, cross_fitted_scores
from pushforward.fitters.critic import CriticFitter
from pushforward.fitters.deep_kernel import DeepKernelFitter
from pushforward.fitters.kernel import (
    KERNELS,
    EnergyKernel,
    GaussianKernel,
    InverseMultiquadricKernel,
    KernelFitter,
    LaplaceKernel,
    MultiscaleKernel,
    PolynomialKernel,
    RationalQuadraticKernel,
    kernel_witness,
    median_distance,
)
from pushforward.fitters.moments import MeanFitter
from pushforward.fitters.neighbours import NeighbourFitter

__all__ = [
    "KERNELS",
    "ClassifierFitter",
    "CriticFitter",
    "DeepKernelFitter",
    "EnergyKernel",
    "GaussianKernel",
    "InverseMultiquadricKernel",
    "KernelFitter",
    "LaplaceKernel",
    "MeanFitter",
    "MultiscaleKernel",
    "NeighbourFitter",
    "PolynomialKernel",
    "RationalQuadraticKernel",
    "auc",
    "cross_fitted_scores",
    "kernel_witness",
    "median_distance",
]
