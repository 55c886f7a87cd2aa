"""The divergences that the density methods share: their names, their conventions, and their value for known masses.

Conventions are those of `pushforward.links`, D_f(P||Q) = E_Q[f(p/q)], P the data and Q the model, in nats: `js` is
2 JSD, `hellinger` is int (sqrt p - sqrt q)^2 (at most 2), `pearson` int (p - q)^2/q, `neyman` int (p - q)^2/p, `tv` at
most 1, `alpha` of order a (int p^a q^(1-a) - 1)/(a(a - 1)), with KL at a = 1 and reverse KL at a = 0. Renyi's
divergence ln(int p^a q^(1-a))/(a - 1), a > 0, is no f-divergence but an increasing function of `alpha`, through which
values, bounds and intervals pass.
"""

import dataclasses
import math
from dataclasses import dataclass
from typing import final

import torch
from jaxtyping import Float
from torch import Tensor

from pushforward import links
from pushforward.errors import InputError
from pushforward.witness import Estimate, Link

NAMES = ("kl", "reverse-kl", "js", "jeffreys", "hellinger", "pearson", "neyman", "tv", "alpha", "renyi")
"""What `divergence=` may be; `alpha` and `renyi` read `order=` too."""

_CURVATURE = {
    "kl": 1.0,
    "reverse-kl": 1.0,
    "js": 0.5,
    "jeffreys": 2.0,
    "hellinger": 0.5,
    "pearson": 2.0,
    "neyman": 2.0,
    "alpha": 1.0,
}


@final
@dataclass(frozen=True)
class Divergence:
    """One of `NAMES`; `order` is that of `alpha` and `renyi` and is not read by the others."""

    name: str = "kl"
    order: float = 0.5

    def __post_init__(self) -> None:
        if self.name not in NAMES:
            raise InputError(f"unknown divergence {self.name!r}; known: {', '.join(NAMES)}")
        if not math.isfinite(self.order):
            raise InputError(f"the order of a divergence must be finite, not {self.order}")
        if self.name == "renyi" and self.order <= 0.0:
            raise InputError(f"Renyi's divergence needs a positive order, not {self.order:g}")

    @property
    def label(self) -> str:
        """The name, with the order where there is one."""
        return f"{self.name} of order {self.order:g}" if self.name in ("alpha", "renyi") else self.name

    @property
    def base(self) -> "Divergence":
        """The f-divergence that this is a function of: `alpha` for `renyi`, else itself."""
        return dataclasses.replace(self, name="alpha") if self.name == "renyi" else self

    @property
    def curvature(self) -> float:
        """f''(1) of an f-divergence: D_f is about f''(1)/2 times chi^2 where P and Q are close (NaN for `tv`)."""
        return _CURVATURE.get(self.base.name, math.nan)

    def link(self) -> Link:
        """The row of `pushforward.links.LINKS` for `base`."""
        return links.alpha(self.order) if self.base.name == "alpha" else links.LINKS[self.name]

    def from_base(self, e: Estimate) -> Estimate:
        """An estimate of `base` as one of this: Renyi's through its increasing map, limits by limits."""
        if self.name != "renyi" or self.order == 1.0:
            return e
        low, value, high = (
            float(renyi_of_alpha(torch.tensor(v, dtype=torch.float64), self.order)) for v in (e.low, e.value, e.high)
        )
        inside = 1.0 + self.order * (self.order - 1.0) * e.value
        if not math.isfinite(value):
            return Estimate(value, math.nan, math.nan, math.nan, e.level)
        stderr = self.order * e.stderr / inside if inside > 0.0 else math.nan
        return Estimate(value, stderr, low, high, e.level)


def renyi_of_alpha(value: Float[Tensor, "*b"], order: float) -> Float[Tensor, "*b"]:
    """ln(1 + a(a - 1) A)/(a - 1), increasing in the alpha divergence A; infinite where nothing overlaps (a < 1), and
    minus infinity below what A can be (a > 1), which a limit of an interval may lie at.
    """
    if order == 1.0:
        return value
    return torch.log((1.0 + order * (order - 1.0) * value).clamp_min(0.0)) / (order - 1.0)


def of_masses(kind: Divergence, p: Float[Tensor, "K *b"], q: Float[Tensor, "K *b"]) -> Float[Tensor, "*b"]:
    """The divergence between probability vectors `p` and `q` (columns): direct sums over the K categories.

    Infinite where the definition says so: KL and Pearson where q = 0 < p, reverse KL and Neyman where p = 0 < q,
    Jeffreys for either, `alpha` and `renyi` likewise for orders outside (0, 1).
    """
    if kind.name == "renyi":
        return renyi_of_alpha(of_masses(kind.base, p, q), kind.order)
    if kind.name == "alpha" and kind.order not in (0.0, 1.0):
        a = kind.order
        return (_power_terms(p, q, a).sum(0) - 1.0) / (a * (a - 1.0))
    name = {0.0: "reverse-kl", 1.0: "kl"}[kind.order] if kind.name == "alpha" else kind.name
    return _terms(name, p, q).sum(0)


def _terms(name: str, p: Tensor, q: Tensor) -> Tensor:
    if name == "kl":
        return torch.xlogy(p, p) - torch.xlogy(p, q)
    if name == "pearson":
        return torch.where(p == q, torch.zeros_like(p), (p - q) ** 2 / q)
    if name in ("reverse-kl", "neyman"):
        return _terms("kl" if name == "reverse-kl" else "pearson", q, p)
    if name == "jeffreys":
        return _terms("kl", p, q) + _terms("kl", q, p)
    if name == "js":
        middle = 0.5 * (p + q)
        return _terms("kl", p, middle) + _terms("kl", q, middle)
    if name == "hellinger":
        return (p.sqrt() - q.sqrt()) ** 2
    return 0.5 * (p - q).abs()


def _power_terms(p: Tensor, q: Tensor, a: float) -> Tensor:
    """p^a q^(1-a), which is 0 where both are."""
    return torch.where((p == 0.0) & (q == 0.0), torch.zeros_like(p), p**a * q ** (1.0 - a))
