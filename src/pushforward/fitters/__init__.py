"""Fitters: samples -> `Witness`, one per way of finding it.

- `ClassifierFitter`: the logit of a probabilistic classifier, prior removed;
- `CriticFitter`: a small neural critic trained on a link's own bound, stopped early;
- `KernelFitter`: the kernel mean difference, in closed form.
"""

from pushforward.fitters.classifier import ClassifierFitter, auc, cross_fitted_scores
from pushforward.fitters.critic import CriticFitter
from pushforward.fitters.kernel import EnergyKernel, GaussianKernel, KernelFitter, kernel_witness, median_distance

__all__ = [
    "ClassifierFitter",
    "CriticFitter",
    "EnergyKernel",
    "GaussianKernel",
    "KernelFitter",
    "auc",
    "cross_fitted_scores",
    "kernel_witness",
    "median_distance",
]
