"""Losses of a batch as a whole. Of critic scores a = D(x), b = D(y):

| name | critic | generator |
|---|---|---|
| ragan, rahinge, ralsgan | l(a - mean b) + l(mean a - b) | l(b - mean a) + l(mean b - a) |
| softmax | ln Z - mean a | ln Z - (mean a + mean b)/2,  Z = mean of e^a, e^b over both |
| feature-matching | that of `ns` | abs(mean h(x) - mean h(y))^2, h the last hidden layer |

(l = sp(-m), relu(1 - m), (1 - m)^2.) Of what a critic with `WIDTH` outputs makes of the rows, where it maximises the
distance between the two batches and the generator minimises it, or of the rows themselves, without a critic:

| of an embedding | of the data | distance |
|---|---|---|
| mmd | gmmn | MMD^2: rational quadratic kernels; Gaussian ones of six widths |
| cramer | energy | energy distance |
| sinkhorn-learned | sinkhorn | debiased Sinkhorn divergence |

The widths and the blur of those without a critic, and the blur of `sinkhorn-learned`, are relative to the batch: see
`statistics`. The embeddings' other distances have none, so a critic could raise them by its scale alone: they need a
regulariser of its slope (Binkowski et al. 2018; Bellemare et al. 2017).
"""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor

from pushforward.fitters.kernel import EnergyKernel, GaussianKernel, RationalQuadraticKernel
from pushforward.objectives.objective import Loss, Objective, relativistic_average
from pushforward.objectives.scores import hinge, logistic, minimax_critic, squared
from pushforward.objectives.statistics import KernelDistance, MeanKernel, SinkhornDistance

WIDTH = 16  # outputs of an embedding (Binkowski et al. 2018, section 4)
GAUSSIANS = MeanKernel(tuple(GaussianKernel(2.0**-k) for k in range(6)))  # of `gmmn`, relative to the batch
# heavy tails, so that rows far apart still attract (Binkowski et al. 2018, section 4)
QUADRATICS = MeanKernel(tuple(RationalQuadraticKernel(1.0, exponent) for exponent in (0.2, 0.5, 1.0, 2.0, 5.0)))


def log_partition(a: Float[Tensor, " n"], b: Float[Tensor, " m"]) -> Float[Tensor, ""]:
    """ln of the mean of e^v over the scores of both batches, each counting half."""
    return torch.logaddexp(a.logsumexp(0) - math.log(len(a)), b.logsumexp(0) - math.log(len(b))) - math.log(2.0)


def softmax_critic(a: Float[Tensor, " n"], b: Float[Tensor, " m"]) -> Float[Tensor, ""]:
    """ln Z - mean a: cross-entropy against a target that is even over the data (Lin 2017, eq. 6)."""
    return log_partition(a, b) - a.mean()


def softmax_generator(a: Float[Tensor, " n"], b: Float[Tensor, " m"]) -> Float[Tensor, ""]:
    """ln Z - (mean a + mean b)/2: the same against a target that is even over all rows (Lin 2017, eq. 8)."""
    return log_partition(a, b) - 0.5 * (a.mean() + b.mean())


def feature_matching(a: Float[Tensor, "n k"], b: Float[Tensor, "m k"]) -> Float[Tensor, ""]:
    """|mean a - mean b|^2 of the critic's last hidden layer (Salimans et al. 2016, section 3.1)."""
    return (a.mean(0) - b.mean(0)).square().sum()


def embedded(
    name: str, distance: Loss, *, estimates: str = "", tight: str = "", source: str = "", outputs: int = WIDTH
) -> Objective:
    """The critic embeds rows so as to raise a `distance` between the two batches, the generator lowers it."""
    return Objective(
        name,
        critic=lambda a, b: -distance(a, b),
        generator=distance,
        paired=True,
        joint=True,
        reads="embedding",
        outputs=outputs,
        estimates=estimates,
        tight=tight,
        source=source,
    )


def direct(name: str, distance: Loss, *, estimates: str = "", source: str = "") -> Objective:
    """The generator lowers a `distance` between its samples and the data; there is no critic."""
    return Objective(
        name,
        critic=None,
        generator=distance,
        paired=True,
        joint=True,
        reads="data",
        estimates=estimates,
        tight="up to sampling: there is no critic",
        source=source,
    )


def _of_scores() -> list[Objective]:
    average = "a divergence of its own, 0 only where P = Q, without a closed form"
    return [
        relativistic_average(
            "ragan", logistic, estimates=f"{average}, less 2 ln 2", tight="at the best of all critics"
        ),
        relativistic_average("rahinge", hinge, estimates=f"{average}, less 2", tight="at the best of all critics"),
        relativistic_average(
            "ralsgan",
            squared,
            estimates="-2 (2 - T)/(2 + 3 T), T = int (p-q)^2/(p+q)",
            tight="at D = (p - q)/(p + q) times 4/(2 + 3 T), + constant",
        ),
        Objective(
            "softmax",
            softmax_critic,
            softmax_generator,
            paired=True,
            joint=True,
            estimates="KL(P, (P + Q)/2)",
            tight="at D = log p/(p + q) + constant",
            source="Lin 2017, sums over the batch as means",
        ),
        Objective(
            "feature-matching",
            minimax_critic,
            feature_matching,
            paired=True,
            joint=True,
            reads="features",
            estimates="2 JSD(P, Q) - ln 4",
            tight="at D = log p/q",
            source="Salimans et al. 2016, on the last hidden layer",
        ),
    ]


def _of_rows() -> list[Objective]:
    energy, sinkhorn = KernelDistance(EnergyKernel()), SinkhornDistance()
    return [
        embedded(
            "mmd",
            KernelDistance(QUADRATICS),
            estimates="the largest MMD^2 between P and Q as embedded, rational quadratic kernels",
            tight="at the best embedding that the regulariser lets through",
            source="Li et al. 2017; Binkowski et al. 2018",
        ),
        embedded(
            "cramer",
            energy,
            estimates="the largest energy distance between P and Q as embedded",
            tight="at the best embedding that the regulariser lets through",
            source="Bellemare et al. 2017, both batches whole in place of its surrogate",
        ),
        embedded(
            "sinkhorn-learned",
            sinkhorn,
            estimates="the largest Sinkhorn divergence between P and Q as embedded, blur a tenth of their size",
            tight="at the best embedding that the regulariser lets through",
            source="Genevay, Peyre and Cuturi 2018",
        ),
        direct(
            "gmmn",
            KernelDistance(GAUSSIANS, relative=True),
            estimates="MMD^2(P, Q), Gaussian kernels of six widths from the size of the batch to 1/32 of it",
            source="Li, Swersky and Zemel 2015; Dziugaite et al. 2015",
        ),
        direct(
            "energy",
            energy,
            estimates="the energy distance 2E|X-Y| - E|X-X'| - E|Y-Y'|",
            source="Szekely and Rizzo 2013",
        ),
        direct(
            "sinkhorn",
            sinkhorn,
            estimates="the debiased Sinkhorn divergence at the cost |x - y|^2/2, blur a tenth of the batch's size",
            source="Genevay et al. 2018; Feydy et al. 2019",
        ),
    ]


ROWS: list[Objective] = [*_of_scores(), *_of_rows()]
