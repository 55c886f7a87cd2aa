"""How near fakes come to real rows, by moments and kernels, how varied they are, and the same for streams.

Metrics are plain functions of features `real=` and `fake=`; `accumulators` make them from batches; `figures` are what
`compare` runs.
"""

from .accumulators import Accumulator, FrechetAccumulator, KernelDistanceAccumulator, ReservoirMetric
from .adapter import TorchMetric, torchmetrics_metric
from .diversity import Birthday, birthday_test, inception_score, median_sample, repetition_probability, vendi_score
from .frechet import frechet_distance, frechet_from_moments, spatial_frechet
from .kernel_distances import cmmd, kernel_distance
from .moments import Moments
from .reservoir import Reservoir

__all__ = [
    "Accumulator",
    "Birthday",
    "FrechetAccumulator",
    "KernelDistanceAccumulator",
    "Moments",
    "Reservoir",
    "ReservoirMetric",
    "TorchMetric",
    "birthday_test",
    "cmmd",
    "frechet_distance",
    "frechet_from_moments",
    "inception_score",
    "kernel_distance",
    "median_sample",
    "repetition_probability",
    "spatial_frechet",
    "torchmetrics_metric",
    "vendi_score",
]
