"""Models that are fitted in closed form or by a library: the baselines that a trained generator must beat.

`Gaussian`, `PPCA`, `Mixture` and `KDE` have exact densities; `Independent` and `Copula` keep every column's own law;
`Trees` draws column by column; `Bootstrap` only repeats the training rows, and is there to be caught.
"""

from .columns import Copula, Independent
from .densities import KDE, PPCA, Gaussian, Mixture
from .memory import Bootstrap
from .trees import Trees

__all__ = ["KDE", "PPCA", "Bootstrap", "Copula", "Gaussian", "Independent", "Mixture", "Trees"]
