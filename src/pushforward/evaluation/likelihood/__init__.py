"""How probable the data are under a model: exact where it has a density, else bounds and estimates marked as such."""

from .annealed import Annealed, annealed_log_likelihood
from .bits import (
    Likelihood,
    bits_of_nats,
    bits_per_dim,
    dequantised_bits,
    elbo,
    generalisation_gap,
    iwae,
    negative_log_likelihood,
    perplexity,
    uniform_noise,
)
from .densities import Parzen, fit_parzen, kernel_log_density, parzen_log_likelihood
from .figures import FIGURES

__all__ = [
    "FIGURES",
    "Annealed",
    "Likelihood",
    "Parzen",
    "annealed_log_likelihood",
    "bits_of_nats",
    "bits_per_dim",
    "dequantised_bits",
    "elbo",
    "fit_parzen",
    "generalisation_gap",
    "iwae",
    "kernel_log_density",
    "negative_log_likelihood",
    "parzen_log_likelihood",
    "perplexity",
    "uniform_noise",
]
