"""`TestResult`: what a two-sample test answers."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from statistics import NormalDist
from typing import Any, final

import torch
from torch import Tensor

from pushforward.witness import Estimate, Witness


@final
@dataclass(frozen=True)
class Part:
    """One of several statistics in a test: a feature, a kernel. `adjusted` is its p-value corrected for the others."""

    name: str
    statistic: float
    pvalue: float
    adjusted: float


@final
@dataclass(frozen=True, eq=False)
class TestResult:
    """The evidence of one two-sample test.

    - `method`: its name in `METHODS`; `convention`: what the statistic is, normalisation included;
    - `statistic`: the observed value, large when the sets differ; `null` `(B,)`: its values under permutation
      (empty where the null is exact);
    - `pvalue`: (1 + #{null >= statistic})/(1 + B), or the exact tail; never 0;
    - `effect`: how large the difference is, in the method's own units (see `METHODS[method].effect`), with an interval;
    - `n_x`, `n_y`: rows given; `permutations`: B; `seconds`: wall time;
    - `witness`: where the difference is, to explain it or to follow it; None where the method has none;
    - `quadratic`: the statistic is of second order in the difference, so that its spread grows with it (MMD^2);
    - `parts`: the single statistics where the test joins several, most telling first; `timings`: seconds of its steps.
    """

    method: str
    statistic: float
    pvalue: float
    null: Tensor = field(repr=False)
    effect: Estimate
    n_x: int
    n_y: int
    permutations: int
    witness: Witness | None = field(repr=False)
    seconds: float
    quadratic: bool = field(default=False, repr=False)
    convention: str = field(default="", repr=False)
    parts: tuple[Part, ...] = field(default=(), repr=False)
    timings: Mapping[str, float] = field(default_factory=dict, repr=False)

    __test__ = False  # pytest would collect it by its name

    def __repr__(self) -> str:
        return (
            f"TestResult({self.method!r}, pvalue={self.pvalue:.4g}, statistic={self.statistic:.4g}, "
            f"effect={self.effect}, n_x={self.n_x}, n_y={self.n_y}, permutations={self.permutations})"
        )

    def _repr_html_(self) -> str:
        """What a notebook shows: the decision, the null sample, the effect."""
        from pushforward.report import card  # a result shows itself

        return card(self)

    def plot(self, what: str | None = None, **options: Any) -> Any:
        """An Altair chart: "null", the statistic among its relabellings, or the "parts"; see `report.plot`."""
        from pushforward.report import plot

        return plot(self, what, **options)

    def detected(self, alpha: float = 0.05) -> bool:
        """Whether p <= alpha: the chance of a True for two sets of one distribution is at most alpha."""
        return self.pvalue <= alpha

    def detectable(self, alpha: float = 0.05, power: float = 0.8) -> float:
        """The true value of the statistic that these sizes would have detected with probability about `power`.

        t = c + z s(t): c the (1 - alpha) quantile of the null, z the normal quantile of `power`, s(t) the spread under
        such a difference. For linear statistics s is the null's. A quadratic one is |a + G|^2 less its mean for a
        Gaussian G of covariance S, with t = |a|^2: its variance is that of the null, 2 tr S^2, plus 4 a'Sa, at most
        4 t (tr S^2)^.5; so the value is on the cautious side. For a fitted witness it speaks of that witness, frozen.
        NaN where the null is not a sample.
        """
        if len(self.null) < 2:
            return float("nan")
        null = self.null.double()
        c, s = float(torch.quantile(null, 1.0 - alpha)), float(null.std())
        z = NormalDist().inv_cdf(power)
        if not self.quadratic:
            return c + z * s
        slope = 2.0 * math.sqrt(2.0) * s  # t = c + z sqrt(s^2 + slope t): a quadratic equation
        half = c + 0.5 * z * z * slope
        return half + math.copysign(math.sqrt(max(0.0, half * half - c * c + z * z * s * s)), z)
