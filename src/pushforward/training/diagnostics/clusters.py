"""Where the data's mass lies: few coordinates, and clusters in them, fitted once on rows of the data.

Events of more than `FEW` numbers are looked at in their first principal components (beyond `EXACT` numbers: of a
Gaussian random projection). If the rows fall into well separated groups, these are the clusters: Ward's tree is cut
where the simplified silhouette mean[(b - a)/max(a, b)] (a, b: distances to the nearest and the second nearest centre;
Hruschka, de Castro and Campello 2006) is at least `STRONG`, which Kaufman and Rousseeuw (1990) call strong structure,
at the largest k where it has a local maximum within `NEAR` of its best. Otherwise k-means cuts the cloud into cells,
few enough that samples that leave one out are seen to (`VISIBLE` of them in each). There are at most `MOST` clusters,
groups of 8 rows and cells of 20 rows on average at least.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import torch
from jaxtyping import Float, Int
from torch import Tensor

FEW = 32  # coordinates
EXACT = 1024  # numbers in an event up to which its covariance is decomposed as it is,
PROJECTED = 128  # and how many random directions are taken of a larger one
MOST = 50  # clusters
STRONG = 0.7
NEAR = 0.05
VISIBLE = 40
FITTED = 1500  # rows that clusters are fitted on
COUNTED = 20_000  # rows at most that coordinates and shares are taken from,
NUMBERS = 2**27  # of these many numbers at most (512 MiB)
_TILE = 8192


def enough(numbers: int) -> int:
    """How many rows of so many `numbers` each are worth looking at."""
    return min(COUNTED, max(MOST, NUMBERS // numbers))


@final
@dataclass(frozen=True, eq=False)
class Space:
    """Rows `(n, *event)` -> coordinates `(n, k)`: (x - centre) basis, or x itself where `basis` is None."""

    centre: Tensor
    basis: Tensor | None

    def __call__(self, rows: Tensor) -> Float[Tensor, "n k"]:
        x = rows.detach().flatten(1).to(self.centre.dtype)
        return x if self.basis is None else (x - self.centre) @ self.basis


def fit_space(rows: Tensor, *, seed: int) -> Space:
    """At most `FEW` coordinates that keep the most variance of the rows `(n, *event)`; set by (rows, seed)."""
    x = rows.detach().flatten(1).float()
    centre, d = x.mean(0), x.shape[1]
    if d <= FEW:
        return Space(centre, None)
    if d > EXACT:
        rng = torch.Generator().manual_seed(seed)
        first = torch.randn(d, PROJECTED, generator=rng) / PROJECTED**0.5
    else:
        first = torch.eye(d)
    y = (x - centre) @ first
    axes = torch.linalg.eigh((y.T @ y / len(y)).double()).eigenvectors[:, -FEW:].flip(1)
    return Space(centre, first @ axes.float())


@final
@dataclass(frozen=True, eq=False)
class Clusters:
    """Nearest-centre clusters: `centres` `(k, q)`, and the `counts` `(k,)` of the real rows in each."""

    centres: Float[Tensor, "k q"]
    counts: Int[Tensor, " k"]

    def assign(self, x: Float[Tensor, "n q"]) -> Int[Tensor, " n"]:
        """The nearest centre of each row."""
        return nearest_centre(x, self.centres)

    def histogram(self, x: Float[Tensor, "n q"]) -> Int[Tensor, " k"]:
        """How many rows each cluster has."""
        return count(self.assign(x), len(self.centres))


def count(cluster: Int[Tensor, " n"], k: int) -> Int[Tensor, " k"]:
    """How often each of 0..k-1 occurs."""
    return torch.bincount(cluster, minlength=k)


def nearest_centre(x: Float[Tensor, "n q"], centres: Float[Tensor, "k q"]) -> Int[Tensor, " n"]:
    """argmin_j |x_i - c_j|, in tiles of rows."""
    return torch.cat([torch.cdist(part, centres).argmin(1) for part in x.split(_TILE)])


def fit_clusters(
    x: Float[Tensor, "n q"], *, samples: int, seed: int, centres: Float[Tensor, "k q"] | None = None
) -> Clusters:
    """The clusters of the real rows `x`, which come in random order, or of the known `centres`.

    `samples` is how many samples a histogram will be made of.
    """
    if centres is None:
        centres = _centres(x[:FITTED], samples, seed).to(x)
    return Clusters(centres, count(nearest_centre(x, centres), len(centres)))


def _centres(x: Tensor, samples: int, seed: int) -> Tensor:
    different = len(x.unique(dim=0))
    groups = _groups(x, min(MOST, len(x) // 8, different))
    if groups is not None:
        return groups
    cut = min(MOST, len(x) // 20, samples // VISIBLE, different)
    if cut < 2:
        return x.mean(0, keepdim=True)
    from sklearn.cluster import KMeans

    cells = KMeans(cut, n_init=1, random_state=seed % 2**32).fit(x.double().numpy())
    return torch.from_numpy(cells.cluster_centers_)


def _groups(x: Tensor, most: int) -> Tensor | None:
    """The centres of well separated groups, if there are any; see the module's docstring."""
    from scipy.cluster.hierarchy import fcluster, ward

    if most < 2:
        return None
    x = x.double()
    tree = ward(x.numpy())
    strength, found = [], []
    for k in range(2, most + 1):
        label = torch.from_numpy(fcluster(tree, k, "maxclust")).long() - 1
        size = count(label, k)
        sums = torch.zeros(k, x.shape[1], dtype=x.dtype).index_add_(0, label, x)
        centres = (sums / size[:, None])[size > 0]  # ties may leave fewer than k
        near = torch.cdist(x, centres).topk(2, 1, largest=False).values
        strength.append(float(((near[:, 1] - near[:, 0]) / near[:, 1].clamp_min(1e-12)).mean()))
        found.append(centres)
    around = [-1.0, *strength, -1.0]
    enough = max(STRONG, (1 - NEAR) * max(strength))
    peaks = [i for i, s in enumerate(strength) if s >= enough and s >= around[i] and s > around[i + 2]]
    return found[peaks[-1]] if peaks else None
