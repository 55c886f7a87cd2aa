"""Exact optimal transport between two samples, and its dual potentials as a witness.

    OT_c(a, b) = min over plans pi with marginals a, b of sum pi_ij c(x_i, y_j)
               = max sum a_i u_i + sum b_j v_j   subject to   u_i + v_j <= c(x_i, y_j)

solved by POT's network simplex (Bonneel et al. 2011; Flamary et al. 2021). W_p is OT^(1/p) for c = |x - y|^p.

The dual lives on the rows; a c-transform carries it to every point. For p = 1, f(z) = max_i (u_i - |z - x_i|) is
1-Lipschitz whatever u (McShane 1934), so f bounds W_1 from below between any two distributions (Kantorovich and
Rubinstein), and attains it on the rows. Its gradient at a model row is the unit vector to the data row it is sent to.
"""

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import final

import torch
from jaxtyping import Float
from torch import Generator, Tensor

from pushforward.errors import InputError
from pushforward.witness import Score, Tag, Witness

MOST_PAIRS = 25_000_000  # n m; a dense cost matrix of 200 MB, and POT's copies of it
ITERATIONS = 5_000_000
_CHUNK = 1024  # rows scored at a time


@final
@dataclass(frozen=True, eq=False)
class Plan:
    """An optimal plan, sparse: `mass` `(k,)` from x row `rows` to y row `columns`; `cost`, its total; the dual `u`
    `(n,)`, `v` `(m,)`, both c-transforms of each other.
    """

    rows: Tensor
    columns: Tensor
    mass: Tensor
    cost: float
    u: Tensor
    v: Tensor

    def variance(self, a: Float[Tensor, " n"], b: Float[Tensor, " m"]) -> float:
        """The first-order variance of the cost: sum a^2 (u - mean u)^2 n/(n-1), and the same of v.

        For equal weights var u/n + var v/m (del Barrio and Loubes 2019, theorem 4.1).
        """
        return weighted_variance(self.u, a) + weighted_variance(self.v, b)


def weighted_variance(values: Float[Tensor, " n"], weights: Float[Tensor, " n"]) -> float:
    """The variance of sum w_i v_i: sum w^2 (v - sum w v)^2 n/(n-1); `weights` sum to 1."""
    n = len(values)
    return float((weights**2 * (values - weights @ values) ** 2).sum()) * n / max(1, n - 1)


def ground_cost(x: Float[Tensor, "n d"], y: Float[Tensor, "m d"], p: float) -> Float[Tensor, "n m"]:
    """|x_i - y_j|^p without cancellation; the gradient at equal rows is 0."""
    distances = torch.cdist(x, y, compute_mode="donot_use_mm_for_euclid_dist")
    return distances if p == 1.0 else distances**p


def masses(weights: Tensor | None, like: Float[Tensor, "n d"], name: str) -> Float[Tensor, " n"]:
    """Weights of the rows as shares of 1, in float64: equal where there are none. `InputError` for unusable ones."""
    if weights is None:
        return torch.full((len(like),), 1.0 / len(like), dtype=torch.float64, device=like.device)
    w = torch.as_tensor(weights).detach().to(like.device, torch.float64)
    if w.shape != (len(like),):
        raise InputError(f"{name} must hold one weight for each of {len(like)} rows, not shape {tuple(w.shape)}")
    if not bool(torch.isfinite(w).all()) or float(w.min()) < 0.0 or float(w.sum()) <= 0.0:
        raise InputError(f"{name} must be finite, not negative and not all 0; drop or mend such weights")
    return w / w.sum()


def exact_plan(
    cost: Float[Tensor, "n m"],
    a: Float[Tensor, " n"],
    b: Float[Tensor, " m"],
    *,
    iterations: int = ITERATIONS,
    duals: bool = True,
) -> Plan:
    """The optimal plan for a `cost` matrix and marginals `a`, `b` (of sum 1), by POT on the CPU.

    About (n m)^1.25 operations in practice. `InputError` where the simplex stops before its optimum.
    """
    import ot

    matrix = cost.detach().double().cpu().numpy()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # POT warns and returns a wrong plan; below that is an error
        plan, log = ot.emd(a.cpu().numpy(), b.cpu().numpy(), matrix, numItermax=iterations, log=True)
    if log["warning"] is not None:
        reason = str(log["warning"]).split(".")[0].split("\n")[0]
        raise InputError(f"exact transport stopped early ({reason}); allow more than {iterations} iterations, or rows")
    full = torch.from_numpy(plan)
    rows, columns = full.nonzero(as_tuple=True)
    mass, device = full[rows, columns], cost.device
    u, v = a.new_zeros(0), b.new_zeros(0)
    if duals:  # the simplex's own dual satisfies the constraints up to rounding
        c = cost.detach().double()
        u = (c - torch.from_numpy(log["v"]).to(device)).amin(1)
        v = (c - u[:, None]).amin(0)
    return Plan(rows.to(device), columns.to(device), mass.to(device), float(log["cost"]), u, v)


def check_pairs(n: int, m: int, most: int = MOST_PAIRS) -> None:
    """`InputError` where n x m pairs are too many for a dense cost matrix."""
    if n * m > most:
        raise InputError(
            f"{n} x {m} rows make {n * m} pairs and exact transport takes {most} at most; "
            "give fewer rows, or use sliced or sinkhorn"
        )


def envelope(support: Float[Tensor, "n d"], heights: Tensor, cost: Callable[[Tensor, Tensor], Tensor]) -> Score:
    """z -> max_i (heights_i - cost(z, support_i)), in chunks of rows and in their own dtype."""

    def score(rows: Tensor) -> Tensor:
        flat = rows.flatten(1) if rows.is_floating_point() else rows.flatten(1).double()
        tops, points = heights.to(flat), support.to(flat)
        return torch.cat([(tops - cost(part, points)).amax(1) for part in flat.split(_CHUNK)])

    return score


@final
@dataclass(frozen=True)
class TransportFitter:
    """Samples -> the dual potentials of W_p^p (p = 1 or 2) as a witness, by exact transport.

    p = 1: one 1-Lipschitz function, certified and tight. p = 2: psi(y) = max_i (u_i - |y - x_i|^2) and
    phi(x) = min_j (|x - y_j|^2 + psi(y_j)), tight for W_2^2 on the rows it was fitted on, and a lower bound for the
    fitted x rows against any y (or any x against the fitted y rows). It is not certified between other distributions:
    the largest phi that would be, the transform of psi over all of space, is -infinity outside the hull of the x rows.
    """

    p: float = 1.0
    iterations: int = ITERATIONS

    def __call__(self, x: Float[Tensor, "n *d"], y: Float[Tensor, "m *d"], *, generator: Generator) -> Witness:
        """The witness of data `x` and model samples `y`; nothing is random. `InputError` beyond 25 million pairs."""
        a, b = x.detach().flatten(1).double(), y.detach().flatten(1).double()
        check_pairs(len(a), len(b))
        plan = exact_plan(
            ground_cost(a, b, check_power(self.p)),
            masses(None, a, "x"),
            masses(None, b, "y"),
            iterations=self.iterations,
        )
        return plan_witness(a, b, plan, self.p)


def plan_witness(x: Float[Tensor, "n d"], y: Float[Tensor, "m d"], plan: Plan, p: float) -> Witness:
    """The witness of a solved plan: see `TransportFitter`."""
    psi = envelope(x, plan.u, lambda z, t: ground_cost(z, t, p))
    if p == 1.0:
        return Witness(phi=psi, psi=psi, tags=frozenset[Tag]({"certified", "tight", "differentiable"}))
    above = envelope(y, plan.v, lambda z, t: ground_cost(z, t, p))
    return Witness(phi=lambda z: -above(z), psi=psi, tags=frozenset[Tag]({"tight", "differentiable"}))


def check_power(p: float) -> float:
    """`p` itself; `InputError` for an order that exact transport does not offer."""
    if p not in (1.0, 2.0):
        raise InputError(f"exact transport takes p=1 or p=2, not {p}; use wasserstein-1d or sliced for other orders")
    return float(p)
