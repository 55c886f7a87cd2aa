"""The linear fitter: where do the means differ, in the metric of the pooled covariance? And features to use it on.

For a fixed metric S, |mu_P - mu_Q|^2_S = D'S^-1 D >= 2 a'D - a'S a for every direction a, with equality at a = S^-1 D.
So phi = 2 a'(x - c) - a'S a and psi = 2 a'(y - c) are a witness of the squared Mahalanobis distance of the means in
that metric: Fisher's (1936) discriminant, twice. S is the pooled covariance of the rows given, and the witness is
certified for the distance in *that* metric, as a kernel witness is for the kernel at its bandwidth. For two Gaussians
of covariance S, psi/2 is log p/q up to a constant; that is an assumption, so `log_ratio` is not claimed.

`Places` are analytic features (Chwialkowski et al. 2015) whose means tell distributions apart, and `optimise_places`
finds the most telling (Jitkrittum et al. 2016).
"""

import math
from dataclasses import dataclass
from typing import final

import torch
from jaxtyping import Float
from torch import Generator, Tensor

from pushforward.fitters.kernel import median_distance
from pushforward.witness import Tag, Witness

RANK = 1e-10  # directions of less variance than this share of the largest are constant up to rounding


def ridge(rows: Float[Tensor, "N d"], shrinkage: float | None) -> float:
    """The share of the identity in the correlation matrix of the pooled rows, looking at sizes and pooled rows only.

    `shrinkage` where it is given. Otherwise 0 where there are at least twice as many degrees of freedom, N - 2, as
    features, and else the share of Ledoit and Wolf (2004, lemma 3.5), which minimises the expected squared error of
    (1 - s) R + s I. `rows` are standardised.
    """
    total, d = rows.shape
    if shrinkage is not None:
        return shrinkage
    if 2 * d <= total - 2:
        return 0.0
    with torch.no_grad():
        gram = rows @ rows.T if total < d else rows.T @ rows
        square = float(gram.square().sum()) / total**2  # |R|^2
        trace = float(rows.square().sum()) / total
        apart = square - trace * trace / d
        noise = float(rows.square().sum(1).square().sum()) / total**2 - square / total
    return min(1.0, noise / apart) if apart > 0.0 else 1.0


@final
@dataclass(frozen=True)
class MeanFitter:
    """Samples -> the linear witness of D'S^-1 D.

    S is the pooled covariance ((n-1) S_x + (m-1) S_y)/(N-2), after the features are brought to unit pooled deviation
    shrunk towards the identity by `shrinkage` (default: none where 2d <= N - 2, else Ledoit and Wolf's). Constant
    features and directions count for nothing.
    """

    shrinkage: float | None = None

    def __call__(self, x: Float[Tensor, "n *d"], y: Float[Tensor, "m *d"], *, generator: Generator) -> Witness:
        """The witness of data `x` and model samples `y`; nothing is random. Certified for its metric, tight on the
        rows given (the gap is D'S^-1 D), differentiable.
        """
        a, b = x.detach().flatten(1).double(), y.detach().flatten(1).double()
        n, m = len(a), len(b)
        pooled = torch.cat([a, b])
        centre, scale = standard_scale(pooled)
        z = (pooled - centre) / scale
        s = ridge(z, self.shrinkage)
        difference = z[:n].mean(0) - z[n:].mean(0)
        within = torch.cat([z[:n] - z[:n].mean(0), z[n:] - z[n:].mean(0)])
        solved = _solve(within, (1.0 - s) / max(1, n + m - 2), s, difference)
        norm = float(solved @ difference)
        direction = solved / scale

        def score(t: Tensor) -> Tensor:
            return 2.0 * ((t.flatten(1).to(direction) - centre.to(t.device)) @ direction.to(t.device))

        tags: frozenset[Tag] = frozenset({"certified", "tight", "differentiable"})
        return Witness(phi=lambda t: (score(t) - norm).to(t), psi=lambda t: score(t).to(t), tags=tags)


def standard_scale(pooled: Float[Tensor, "N d"]) -> tuple[Float[Tensor, " d"], Float[Tensor, " d"]]:
    """Mean and deviation of each feature of the pooled rows; a constant feature has deviation 1."""
    constant = (pooled == pooled[0]).all(0)
    centre = torch.where(constant, pooled[0], pooled.mean(0))  # so that it leaves 0, not rounding
    variance = (pooled - centre).square().mean(0)
    # the root of 0 has no gradient: it is taken of 1 instead
    return centre, torch.where(constant, torch.ones_like(variance), variance).sqrt()


def _solve(within: Tensor, share: float, s: float, right: Tensor) -> Tensor:
    """(share W'W + s I)^-1 right, by the smaller of the two Gram matrices; a pseudo-inverse where s = 0."""
    count, d = within.shape
    if s > 0.0 and d > count:  # Woodbury
        gram = share * (within @ within.T) + s * torch.eye(count).to(within)
        solved: Tensor = (right - share * within.T @ torch.linalg.solve(gram, within @ right)) / s
        return solved
    matrix = share * (within.T @ within) + s * torch.eye(d).to(within)
    inverse: Tensor = torch.linalg.pinv(matrix, hermitian=True, rtol=RANK)
    return inverse @ right


def waves(rows: Float[Tensor, "n d"], points: Float[Tensor, "t d"]) -> Float[Tensor, "n 2*t"]:
    """cos and sin of every t.row, side by side, in float64."""
    phase = rows.double() @ points.T
    return torch.cat([phase.cos(), phase.sin()], 1)


@final
@dataclass(frozen=True, eq=False)
class Places:
    """J places and a width, in standardised units, with the features they give.

    `kind` "me": k(z, v_j) = exp(-|z - v_j|^2/(2 width^2)), J of them; "scf": l(z) cos(v_j.z) and l(z) sin(v_j.z) with
    l(z) = exp(-|z|^2/(2 width^2)), which makes the difference of characteristic functions analytic; 2J of them.
    """

    kind: str
    centre: Tensor
    scale: Tensor
    places: Tensor
    log_width: Tensor

    def __call__(self, rows: Float[Tensor, "n d"]) -> Float[Tensor, "n j"]:
        """The features of each row, in float64."""
        z = (rows.double() - self.centre.to(rows.device)) / self.scale.to(rows.device)
        places, precision = self.places.to(rows.device), (-2.0 * self.log_width).exp().to(rows.device)
        if self.kind == "me":
            square = z.square().sum(1, keepdim=True) + places.square().sum(1) - 2.0 * z @ places.T
            return (-0.5 * precision * square).exp()
        smooth = (-0.5 * precision * z.square().sum(1, keepdim=True)).exp()
        return smooth * waves(z, places)


def optimise_places(
    x: Float[Tensor, "n d"],
    y: Float[Tensor, "m d"],
    *,
    kind: str,
    places: int,
    steps: int,
    generator: Generator,
) -> Places:
    """Places and width that maximise T^2 of the features of these rows, covariance plus 1e-3 of its mean variance, by
    Adam (Jitkrittum et al. 2016, equation 5): starts at random rows ("me") or Gaussian frequencies ("scf").
    """
    n, m, d = len(x), len(y), x.shape[1]
    pooled = torch.cat([x, y]).detach().double()
    centre, scale = standard_scale(pooled)
    if kind == "me":
        chosen = torch.randint(n + m, (places,), generator=generator, device=generator.device).to(x.device)
        noise = torch.randn(places, d, generator=generator, dtype=torch.float64, device=generator.device)
        start = ((pooled - centre) / scale)[chosen] + 0.1 * noise.to(x.device)
        width = median_distance((pooled - centre) / scale, generator=generator)
    else:
        noise = torch.randn(places, d, generator=generator, dtype=torch.float64, device=generator.device)
        start = noise.to(x.device) / math.sqrt(d)
        width = math.sqrt(d) * 2.0
    at = start.clone().requires_grad_(True)
    log_width = torch.tensor(math.log(width), dtype=torch.float64, device=x.device, requires_grad=True)
    optimiser = torch.optim.Adam([at, log_width], lr=0.05)
    with torch.enable_grad():
        for _ in range(steps):
            features = Places(kind, centre, scale, at, log_width)
            loss = -_power(features(pooled[:n]), features(pooled[n:])).log()
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
    return Places(kind, centre, scale, at.detach(), log_width.detach())


def _power(f: Tensor, g: Tensor) -> Tensor:
    """T^2 of features `f` and `g` with a ridge, kept off 0."""
    n, m = len(f), len(g)
    difference = f.mean(0) - g.mean(0)
    covariance = ((n - 1) * f.T.cov().reshape(f.shape[1], -1) + (m - 1) * g.T.cov().reshape(f.shape[1], -1)) / (
        n + m - 2
    )
    ridge = 1e-3 * covariance.diagonal().mean() + 1e-12
    solved = torch.linalg.solve(covariance + ridge * torch.eye(len(covariance)).to(covariance), difference)
    power: Tensor = n * m / (n + m) * (difference @ solved) + 1e-12
    return power
