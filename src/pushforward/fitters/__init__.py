"""Fitters: samples -> `Witness`, one per way of finding it.

- `ClassifierFitter`: the logit of a probabilistic classifier, prior removed;
- `CriticFitter`: a small neural critic trained on a link's own bound, stopped early;
- `DeepKernelFitter`: the mean difference of a kernel trained for the power of its test;
- `KernelFitter`: the kernel mean difference, in closed form;
- `MeanFitter`: the difference of means in a pooled metric (Hotelling);
- `LipschitzCriticFitter`: a neural critic for the Wasserstein distance, its steepness penalised, not certified;
- `NeighbourFitter`: the log ratio of nearest neighbours;
- `SinkhornFitter`, `TransportFitter`: dual potentials of entropic and of exact transport.
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
from pushforward.fitters.lipschitz import LipschitzCriticFitter
from pushforward.fitters.moments import MeanFitter
from pushforward.fitters.neighbours import NeighbourFitter
from pushforward.fitters.sinkhorn import SinkhornFitter
from pushforward.fitters.transport import TransportFitter

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
    "LipschitzCriticFitter",
    "MeanFitter",
    "MultiscaleKernel",
    "NeighbourFitter",
    "PolynomialKernel",
    "RationalQuadraticKernel",
    "SinkhornFitter",
    "TransportFitter",
    "auc",
    "cross_fitted_scores",
    "kernel_witness",
    "median_distance",
]
