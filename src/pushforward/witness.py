"""A witness: the pair of functions by which every comparison of two distributions here is made.

For P (data, samples `x`) and Q (model, samples `y`), a witness is an affine minorant of a divergence D,

    D(P, Q)  >=  E_{x~P}[phi(x)] - E_{y~Q}[psi(y)],

high where the data exceed the model. The right-hand side is its *gap*. A witness is found from samples by a `Fitter` (a
neural critic, a kernel mean difference, a classifier) and then read: as an estimate of D, as a test statistic, as a
signal that trains a generator, as an explanation of where the two sets differ, as a velocity field that moves the
model's samples towards the data. Fitters and readings know nothing of each other; this module is all that they share.

A `Link` turns one unconstrained score v, which means log p/q where the critic is optimal, into such a pair. For the
f-divergence of a convex f (Nguyen, Wainwright and Jordan 2010; Nowozin, Cseke and Tomioka 2016),

    phi(v) = f'(e^v),    psi(v) = f*(f'(e^v)) = e^v f'(e^v) - f(e^v),    hence    psi'(v) = e^v phi'(v),

which is the law that every link of `pushforward.links` is tested against.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from statistics import NormalDist
from typing import Any, Literal, Protocol, TypeAlias, final, runtime_checkable

from jaxtyping import Float
from torch import Generator, Tensor

Score: TypeAlias = Callable[[Tensor], Tensor]
"""`(n, *d) -> (n,)`, each row on its own."""

Statistic: TypeAlias = Callable[[Tensor, Tensor], Tensor]
"""`((n, *d), (m, *d)) -> ()`: large when the two sets differ."""

Tag: TypeAlias = Literal["tight", "certified", "log_ratio", "differentiable"]
"""What may be relied on, so that no reading asks for a class:

- `certified`: the expected gap is at most the divergence, for this witness as it stands (the constraint holds by
  construction; a penalty only encourages one and certifies nothing);
- `tight`: the gap attains the divergence, between the two distributions the witness was made for (for a kernel
  witness: between the two samples it was fitted on);
- `log_ratio`: phi and psi are functions of one score that estimates log p/q, class sizes already removed;
- `differentiable`: psi can be differentiated in its input.
"""


@final
@dataclass(frozen=True, eq=False)
class Witness:
    """The pair `phi`, `psi`, each `(n, *d) -> (n,)`, and what may be relied on (`tags`).

    `phi` is read on data and `psi` on model samples. Both close over whatever was fitted: moving a network to another
    device is up to its owner.
    """

    phi: Score
    psi: Score
    tags: frozenset[Tag] = frozenset()

    def gap(self, x: Float[Tensor, "n *d"], y: Float[Tensor, "m *d"]) -> Float[Tensor, ""]:
        """mean phi(x) - mean psi(y): x is data, y is model; in the divergence's own units."""
        return self.phi(x).mean() - self.psi(y).mean()


@final
@dataclass(frozen=True, eq=False)
class Link:
    """From one critic score v to a witness: `phi(v)` on data, `psi(v)` on model samples, both elementwise.

    `f` is the convex function whose divergence E_Q[f(p/q)] the pair bounds, where there is one (the tests compare it
    with u phi(ln u) - psi(ln u)); `tags` are what a witness made by this link may claim whatever the critic.
    """

    phi: Callable[[Tensor], Tensor]
    psi: Callable[[Tensor], Tensor]
    name: str = "link"
    f: Callable[[Tensor], Tensor] | None = field(default=None, repr=False)
    tags: frozenset[Tag] = frozenset({"differentiable"})

    def __call__(self, critic: Score, *, differentiable: bool = True) -> Witness:
        """The witness of a critic `(n, *d) -> (n,)`. A critic without a gradient says `differentiable=False`."""
        tags = self.tags if differentiable else self.tags - {"differentiable"}
        return Witness(phi=lambda x: self.phi(critic(x)), psi=lambda y: self.psi(critic(y)), tags=tags)


@final
@dataclass(frozen=True)
class Estimate:
    """A number with its standard error and the interval that covers the truth in a share `level` of repetitions."""

    value: float
    stderr: float
    low: float
    high: float
    level: float = 0.95

    def __repr__(self) -> str:
        if self.low != self.low or self.high != self.high:
            return f"Estimate({self.value:.4g}, no interval)"
        return f"Estimate({self.value:.4g}, {100 * self.level:g}% interval {self.low:.4g} to {self.high:.4g})"

    def _repr_html_(self) -> str:
        """What a notebook shows."""
        from pushforward.report import card  # a result shows itself: the one look upwards

        return card(self)

    def plot(self, **options: Any) -> Any:
        """The point with its interval as an Altair chart; see `report.plot`, which takes estimates by name, too."""
        from pushforward.report import plot

        return plot(self, **options)

    @classmethod
    def normal(cls, value: float, stderr: float, level: float = 0.95) -> "Estimate":
        """value +- z stderr, z the normal quantile of `level`."""
        z = NormalDist().inv_cdf((1.0 + level) / 2.0)
        return cls(value, stderr, value - z * stderr, value + z * stderr, level)


@runtime_checkable
class Fitter(Protocol):
    """Samples -> witness: one object per way of finding it.

    The witness is high where `x` (data) exceeds `y` (model). All randomness comes from `generator`. A witness fitted on
    the very rows it is then tested on rejects almost always: whoever calls a fitter keeps rows back.
    """

    def __call__(self, x: Float[Tensor, "n *d"], y: Float[Tensor, "m *d"], *, generator: Generator) -> Witness: ...
