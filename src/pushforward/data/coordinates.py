"""Joint coordinates for the numbers of a table: a triangular map that takes near-deterministic relations out.

Marginal maps make every number N(0, 1) but leave the relations between columns (a depth that is 200 z / (x + y), a
price that follows from a weight) as thin, bent sheets, which a generator must otherwise find by trial. With the numeric
slots in an order j_1, j_2, ... chosen from the data, and c the row's categories, slot j becomes

    e_j = R_j( Phi^-1( F_j(t_j | t_before, c) ) )                                (Rosenblatt 1952; Knothe 1957)

- t_j is the slot's latent u_j, which keeps heaps (prices, weights at round numbers) where they are; or its value w_j on
  a straight or log scale, in which relations between measurements are straight lines, where that explains more nats of
  it, and at least NARROW: its residual is then so narrow that heaps do not matter.
- F_j is a mixture of Gaussians in the residual of a robust ridge regression; weights, places and widths come from a
  small network of what goes before, fitted by maximum likelihood. A part EPSILON is wide, so that outliers cost little.
- R_j is a monotone piecewise-linear map (quantiles to Gaussian quantiles) that makes e_j exactly N(0, 1) on training
  rows.

A slot for which none of this explains held-out rows better than its own marginal does stays as it was, e_j = u_j: on
few rows, or on independent columns, the map is the identity. If F were the true conditional law, e would be N(0, I) and
independent of c; the adversarial game is played on what is left.

`fixed` slots come first and stay as they are, e_j = u_j, so that a row's values there alone say what is in them: a
generator can be given them, and the rest of the map is conditional on them.

The order goes from heaped and hard to predict (first) to determined by the others (last): backwards, the slot
whose residual given all the others explains most nats is put last, and so on.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import torch
from jaxtyping import Float
from torch import Tensor
from torch.special import ndtr, ndtri

if TYPE_CHECKING:
    from .tables import TableCodec

COMPONENTS = 8
WIDTH = 64
STEPS, BATCH, RATE = 4000, 512, 4e-3
OPERATIONS = 7e11  # of the fit's multiplications at most: about 20 seconds on two cores
EPOCHS = 80
FIT_ROWS = 100_000
ORDER_ROWS = 20_000
FEWEST_ROWS = 500
NARROW = 2.5  # nats
LEAST_GAIN = 0.01  # nats a row on held-out rows, below which a slot stays as it was
RARE = 0.002  # share of rows under which a category is not looked at
EPSILON, WIDE, REACH = 2e-3, 8.0, 60.0  # the mixture's wide part, and the bound on residuals
_KNOTS = 1024


@dataclass(frozen=True, eq=False)
class Monotone:
    """An increasing piecewise-linear map through `(x, y)` `(m,)`, m >= 2, straight beyond its ends."""

    x: Tensor
    y: Tensor

    @classmethod
    def through(cls, x: Tensor, y: Tensor) -> Monotone:
        """The map through these float64 knots, nudged apart where they are equal, thinned to at most `_KNOTS`."""
        if len(x) > _KNOTS:
            kept = torch.linspace(0, len(x) - 1, _KNOTS).round().long().unique()
            x, y = x[kept], y[kept]
        return cls(_increasing(x).float(), _increasing(y).float())

    def __call__(self, x: Tensor) -> Tensor:
        return _along(x, self.x, self.y)

    def inverse(self, y: Tensor) -> Tensor:
        return _along(y, self.y, self.x)

    def slope(self, x: Tensor) -> Tensor:
        i = torch.searchsorted(self.x, x.contiguous()).clamp(1, len(self.x) - 1)
        return (self.y[i] - self.y[i - 1]) / (self.x[i] - self.x[i - 1])


def _increasing(knots: Tensor) -> Tensor:
    """Strictly ascending also after rounding to float32, by steps of a few of its units."""
    unit = max(float(knots.abs().max()), 1.0) * 1e-6
    steps = torch.arange(len(knots), dtype=torch.float64) * unit
    return (knots.double() - steps).cummax(0).values + steps


def _along(x: Tensor, at: Tensor, to: Tensor) -> Tensor:
    i = torch.searchsorted(at, x.contiguous()).clamp(1, len(at) - 1)
    return to[i - 1] + (x - at[i - 1]) * ((to[i] - to[i - 1]) / (at[i] - at[i - 1]))


@dataclass(frozen=True, eq=False)
class Coordinates:
    """The fitted map; see the module's docstring.

    Slots count from 0, in the codec's order. `order`: first to last. `straight[j]`: slot j is measured by w, not u.
    `active[j]`: it is not the identity. `gain[j]`: held-out nats a row it explains beyond its own marginal.
    `seen`: which entries of the one-hot groups the map looks at. `present[j]`: the entry that says that slot j holds a
    number, or -1 where it always does. `scales`: u -> w; `ranks`: R. `arrays`: low, high `(k,)` (bounds of w as an
    input), ridge `(k, p)`, spread `(k,)`, and the networks' layers in_w, in_b, mid_w, mid_b, out_w, out_b.
    """

    order: tuple[int, ...]
    straight: tuple[bool, ...]
    active: tuple[bool, ...]
    gain: tuple[float, ...]
    seen: tuple[int, ...]
    present: tuple[int, ...]
    scales: tuple[Monotone, ...]
    ranks: tuple[Monotone, ...]
    arrays: Mapping[str, Tensor]

    schema: ClassVar[int] = 1

    @classmethod
    def fit(
        cls,
        codec: TableCodec,
        rows: Float[Tensor, "n m"],
        *,
        seed: int = 0,
        components: int = COMPONENTS,
        fixed: Collection[int] = (),
    ) -> Coordinates | None:
        """Fitted on the training `rows` that `codec`, without coordinates yet, encoded; None where there is nothing to
        do: fewer than `FEWEST_ROWS` rows, no number, or no slot that anything else in the row explains.

        components: of the mixtures. With 1 the map only shifts and scales. fixed: slots to be left as they are.
        """
        from ._coordinates_fit import fit

        return fit(codec, rows, seed=seed, components=components, fixed=fixed)

    def forward(self, numeric: Float[Tensor, "n k"], onehot: Float[Tensor, "n c"]) -> Float[Tensor, "n k"]:
        """The coordinates e of latents u, given the one-hot groups of the same rows; 0 where a slot holds no number."""
        u, cats = numeric.detach().float().cpu(), self.categories(onehot)
        there = self.there(onehot)
        w = self.measured(u)
        context = self.context(u * there, w * there)
        out = u.clone()
        for j in self.order:
            if not self.active[j]:
                continue
            place, parts = self.conditional(j, context, cats)
            t = w[:, j] if self.straight[j] else u[:, j]
            z = standard((t - place) / self.arrays["spread"][j], parts)
            out[:, j] = self.ranks[j](z)
        return (out * there).to(numeric.device)

    def log_slope(self, numeric: Float[Tensor, "n k"], onehot: Float[Tensor, "n c"]) -> Float[Tensor, " n"]:
        """ln |det de/du| of `forward` at latents u, over the slots that hold a number; float64.

        The map is triangular in its order, so this is the sum over active slots of ln de_j/du_j, with
        e = R(z), z = Phi^-1(F(r)), r = (t - place) / spread:  R'(z) f(r) / phi(z) / spread * dt/du.
        """
        u, cats = numeric.detach().float().cpu(), self.categories(onehot)
        there = self.there(onehot)
        w = self.measured(u)
        context, total = self.context(u * there, w * there), torch.zeros(len(u), dtype=torch.float64)
        for j in self.order:
            if not self.active[j]:
                continue
            place, parts = self.conditional(j, context, cats)
            t, spread = (w if self.straight[j] else u)[:, j], self.arrays["spread"][j]
            r = (t - place) / spread
            z = standard(r, parts)
            log_phi = -0.5 * z.double().square() - 0.5 * math.log(2 * math.pi)
            steep = log_density(r.double(), parts).double() - log_phi - spread.double().log()
            steep = steep + self.ranks[j].slope(z).double().log()
            if self.straight[j]:
                steep = steep + self.scales[j].slope(u[:, j]).double().log()
            total += torch.where(there[:, j] > 0, steep, 0.0)
        return total.to(numeric.device)

    def inverse(self, numeric: Float[Tensor, "n k"], onehot: Float[Tensor, "n c"]) -> Float[Tensor, "n k"]:
        """The latents u of coordinates e: slot by slot, each by bisection of its conditional distribution function."""
        e, cats = numeric.detach().float().cpu(), self.categories(onehot)
        there = self.there(onehot)
        u, w = torch.zeros_like(e), torch.zeros_like(e)
        for j in self.order:
            if not self.active[j]:
                u[:, j] = e[:, j]
                w[:, j] = self.scales[j](u[:, j])
            else:
                place, parts = self.conditional(j, self.context(u, w), cats)
                residual = from_standard(self.ranks[j].inverse(e[:, j]), parts)
                t = residual * self.arrays["spread"][j] + place
                u[:, j] = self.scales[j].inverse(t) if self.straight[j] else t
                w[:, j] = t if self.straight[j] else self.scales[j](t)
            u[:, j] *= there[:, j]
            w[:, j] *= there[:, j]
        return u.to(numeric.device)

    def categories(self, onehot: Tensor) -> Tensor:
        """The entries of the one-hot groups that the map looks at, on the CPU."""
        return onehot.detach()[:, list(self.seen)].float().cpu()

    def there(self, onehot: Tensor) -> Tensor:
        """`(n, k)`: 1 where the slot holds a number, 0 where the column is missing or at a point mass."""
        return there(onehot.detach().cpu(), self.present)

    def measured(self, u: Tensor) -> Tensor:
        """w `(n, k)` of u."""
        return torch.stack([scale(u[:, j]) for j, scale in enumerate(self.scales)], 1)

    def context(self, u: Tensor, w: Tensor) -> Tensor:
        """What a network sees of all slots, `(n, 2k)`: u and w, held within the bulk of the training rows."""
        return torch.cat([u.clamp(-3.5, 3.5), w.clamp(self.arrays["low"], self.arrays["high"])], 1)

    def conditional(self, j: int, context: Tensor, cats: Tensor) -> tuple[Tensor, Parts]:
        """Slot j's place (the regression's prediction) and the mixture of its residual, for every row."""
        a, m = self.arrays, context.shape[1]
        past = before(self.order, j)
        ridge, in_w = a["ridge"][j, 1:], a["in_w"][j]
        first = torch.cat([in_w, ridge[:, None]], 1)  # the network's first layer and the regression in one product
        seen = context @ (first[:m] * past[:, None]) + cats @ first[m:]
        place = seen[:, -1] + a["ridge"][j, 0]
        h = torch.nn.functional.silu(seen[:, :-1] + a["in_b"][j])
        h = h + torch.nn.functional.silu(h @ a["mid_w"][j] + a["mid_b"][j])
        return place, split(h @ a["out_w"][j] + a["out_b"][j])

    def to_dict(self) -> dict[str, Any]:
        """JSON-able; the arrays are in `tensors()`."""
        return {
            "schema": self.schema,
            "order": list(self.order),
            "straight": list(self.straight),
            "active": list(self.active),
            "gain": list(self.gain),
            "seen": list(self.seen),
            "present": list(self.present),
        }

    def tensors(self) -> dict[str, Tensor]:
        """The fitted arrays by name, for safetensors."""
        return {name: value.contiguous() for name, value in self._named()}

    def _named(self) -> Iterator[tuple[str, Tensor]]:
        yield from self.arrays.items()
        for kind, maps in (("scale", self.scales), ("rank", self.ranks)):
            for j, one in enumerate(maps):
                yield f"{kind}.{j}.x", one.x
                yield f"{kind}.{j}.y", one.y

    @classmethod
    def from_dict(cls, d: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> Coordinates:
        """The map that wrote `to_dict()` and `tensors()`."""
        k = len(d["order"])
        fields: dict[str, Any] = {
            name: tuple(d[name]) for name in ("order", "straight", "active", "gain", "seen", "present")
        }
        maps: dict[str, Any] = {
            f"{kind}s": tuple(Monotone(tensors[f"{kind}.{j}.x"], tensors[f"{kind}.{j}.y"]) for j in range(k))
            for kind in ("scale", "rank")
        }
        return cls(**fields, **maps, arrays={name: value for name, value in tensors.items() if "." not in name})


Parts = tuple[Tensor, Tensor, Tensor]  # log weights, places, log widths of a mixture: (..., components) each


def split(out: Tensor) -> Parts:
    """A network's output `(..., 3 components)` as a mixture; widths stay within e^-5 .. e^5."""
    weights, places, widths = out.chunk(3, -1)
    return torch.log_softmax(weights, -1), places, 5 * torch.tanh(widths / 5)


def log_density(r: Tensor, parts: Parts) -> Tensor:
    """log f(r) of residuals `(...,)`: (1 - EPSILON) mixture + EPSILON N(0, WIDE^2)."""
    weights, places, widths = parts
    z = (r[..., None] - places) * torch.exp(-widths)
    narrow = torch.logsumexp(weights - widths - z.square() / 2, -1) + math.log1p(-EPSILON)
    wide = math.log(EPSILON / WIDE) - (r / WIDE).square() / 2
    return torch.logaddexp(narrow, wide) - math.log(math.sqrt(2 * math.pi))


def standard(r: Tensor, parts: Parts) -> Tensor:
    """Phi^-1(F(r)), accurate in both tails; |r| is held to REACH."""
    return _standard(r.double().clamp(-REACH, REACH), *_ready(parts)).float()


def from_standard(z: Tensor, parts: Parts) -> Tensor:
    """The inverse of `standard`, by bisection to about 1e-9."""
    ready, z = _ready(parts), z.double()
    low, high = torch.full_like(z, -REACH), torch.full_like(z, REACH)
    for _ in range(36):
        middle = (low + high) / 2
        below = _standard(middle, *ready) < z
        low, high = torch.where(below, middle, low), torch.where(below, high, middle)
    return ((low + high) / 2).float()


def _ready(parts: Parts) -> tuple[Tensor, Tensor, Tensor]:
    weights, places, widths = (part.double() for part in parts)
    return weights.exp() * (1 - EPSILON), places, torch.exp(-widths)


def _standard(r: Tensor, weights: Tensor, places: Tensor, precisions: Tensor) -> Tensor:
    z = (r[..., None] - places) * precisions
    lower = (weights * ndtr(z)).sum(-1) + EPSILON * ndtr(r / WIDE)
    upper = (weights * ndtr(-z)).sum(-1) + EPSILON * ndtr(-r / WIDE)
    return torch.where(lower < upper, ndtri(lower), -ndtri(upper))


def before(order: tuple[int, ...], j: int) -> Tensor:
    """`(2k,)`: 1 for the inputs u_i and w_i of slots i that come before j."""
    mask = torch.zeros(len(order))
    mask[list(order[: order.index(j)])] = 1
    return mask.repeat(2)


def there(onehot: Tensor, present: tuple[int, ...]) -> Tensor:
    """`(n, k)`: the entry `present[j]` of the one-hot groups for every slot j, 1 where that is -1."""
    columns = [onehot[:, place] if place >= 0 else onehot.new_ones(len(onehot)) for place in present]
    return torch.stack(columns, 1).float() if columns else onehot.new_zeros(len(onehot), 0)
