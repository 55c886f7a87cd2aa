"""Losses f_1 .. f_k as one to descend.

    weighted             sum w_i f_i: reaches every point of a convex front, and of a concave one the ends only
    tchebycheff          max w_i (f_i - z_i): reaches every point, with a gradient of one loss at a time
    smooth-tchebycheff   mu log sum exp(w_i (f_i - z_i) / mu): the same, smooth; within mu log k of it (Lin et al. 2024)
    mgda                 the shortest vector in the convex hull of the gradients (Desideri 2012): descends all losses,
                         and is 0 exactly where no direction does; the start decides where on the front it ends
    upgrad, ...          any aggregator of `torchjd` by its name (Quinton & Rey 2024), where that package is installed

w: the preference, positive. z: what each loss would be at best (0 by default).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from pushforward.errors import InputError

WAYS = ("weighted", "tchebycheff", "smooth-tchebycheff", "mgda")
AGGREGATORS = ("AlignedMTL", "ConFIG", "DualProj", "IMTLG", "Mean", "PCGrad", "Sum", "UPGrad")  # torchjd's
SMOOTH = 0.01
_ROUNDS = 1000


def weighted(losses: Float[Tensor, " k"], preference: Float[Tensor, " k"]) -> Float[Tensor, ""]:
    """sum w_i f_i."""
    return (preference * losses).sum()


def tchebycheff(
    losses: Float[Tensor, " k"], preference: Float[Tensor, " k"], ideal: Float[Tensor, " k"] | float = 0.0
) -> Float[Tensor, ""]:
    """max w_i (f_i - z_i)."""
    return (preference * (losses - ideal)).max()


def smooth_tchebycheff(
    losses: Float[Tensor, " k"],
    preference: Float[Tensor, " k"],
    ideal: Float[Tensor, " k"] | float = 0.0,
    *,
    mu: float = SMOOTH,
) -> Float[Tensor, ""]:
    """mu log sum exp(w_i (f_i - z_i) / mu)."""
    return mu * torch.logsumexp(preference * (losses - ideal) / mu, 0)


def least_norm(gram: Float[Tensor, "k k"]) -> Float[Tensor, " k"]:
    """The weights a >= 0, sum a = 1, of the shortest point of the convex hull of k vectors with inner products `gram`,
    float64: of two, a_1 = clip((g_2 - g_1).g_2 / |g_1 - g_2|^2, 0, 1); of more, by Wolfe's algorithm (1976), which is
    exact after finitely many steps."""
    gram = gram.detach().double().cpu()
    k = len(gram)
    corral = [int(gram.diagonal().argmin())]
    a = torch.zeros(k, dtype=torch.float64)
    a[corral] = 1.0
    scale = float(gram.diagonal().max())
    for _ in range(_ROUNDS):
        along = gram @ a  # <g_i, x>
        new = int(along.argmin())
        if new in corral or float(along[new]) >= float(a @ along) - 1e-12 * scale:
            return a
        corral.append(new)
        while True:  # to the shortest point of the affine hull, or as far as the weights stay positive
            b = _affine(gram, corral)
            if bool((b > 1e-14).all()):
                a = torch.zeros_like(a)
                a[corral] = b
                break
            now = a[corral]
            falls = b <= 1e-14
            share = float((now[falls] / (now[falls] - b[falls]).clamp(min=1e-300)).min())
            moved = (now + min(1.0, share) * (b - now)).clamp(min=0)
            kept = [i for i, one in zip(corral, moved.tolist(), strict=True) if one > 1e-14]
            a = torch.zeros_like(a)
            a[corral] = moved
            corral = kept or [int(a.argmax())]
    return a / a.sum()


def _affine(gram: Tensor, corral: Sequence[int]) -> Tensor:
    """The weights, summing to 1, of the shortest point of the affine hull."""
    part = gram[corral][:, corral]
    m = len(corral)
    system = torch.zeros(m + 1, m + 1, dtype=torch.float64)
    system[:m, :m], system[m, :m], system[:m, m] = part, 1.0, 1.0
    right = torch.zeros(m + 1, dtype=torch.float64)
    right[m] = 1.0
    found: Tensor = torch.linalg.lstsq(system, right[:, None], driver="gelsd").solution[:m, 0]
    return found


def combined(
    losses: Float[Tensor, " k"],
    weights: Sequence[Tensor],
    how: str = "mgda",
    *,
    preference: Float[Tensor, " k"] | None = None,
    ideal: Float[Tensor, " k"] | float = 0.0,
) -> Float[Tensor, ""]:
    """One loss whose gradient in `weights` (tensors: a network's parameters, say) descends `losses` as `how` says.

    For `mgda` and torchjd's aggregators its value is only a vehicle: the step's direction d as sum d.w, or the losses
    in mgda's weights. preference: w, all alike by default (mgda scales the losses by it). `InputError` for an unknown
    `how`, or preferences that are not positive or not as many as the losses.
    """
    w = losses.new_ones(len(losses)) / len(losses) if preference is None else preference.to(losses)
    if w.shape != losses.shape or not bool((w > 0).all()):
        raise InputError(f"a preference of {len(losses)} positive weights is expected, one a loss, not {w.tolist()}")
    if how == "weighted":
        return weighted(losses, w)
    if how == "tchebycheff":
        return tchebycheff(losses, w, ideal)
    if how == "smooth-tchebycheff":
        return smooth_tchebycheff(losses, w, ideal)
    rows = _jacobian(w * losses, weights)
    if how == "mgda":
        return (least_norm(rows @ rows.T).to(losses) * w * losses).sum()
    direction = _aggregator(how)(rows)
    flat = torch.cat([one.flatten() for one in weights])
    return (direction.detach() * flat).sum()


def _jacobian(losses: Tensor, weights: Sequence[Tensor]) -> Float[Tensor, "k m"]:
    rows = []
    for one in losses:
        slopes = torch.autograd.grad(one, weights, retain_graph=True, allow_unused=True, materialize_grads=True)
        rows.append(torch.cat([slope.flatten() for slope in slopes]))
    return torch.stack(rows).detach()


def _aggregator(name: str) -> Callable[[Tensor], Tensor]:
    try:
        from torchjd import aggregation
    except ModuleNotFoundError:
        raise InputError(
            f"{name!r} is none of {', '.join(WAYS)}; others are torchjd's: pip install 'pushforward[torchjd]'"
        ) from None
    known: dict[str, Any] = {one.lower(): getattr(aggregation, one) for one in AGGREGATORS}
    if name.lower() not in known:
        raise InputError(f"unknown way {name!r}; known: {', '.join((*WAYS, *sorted(known)))}")
    made: Callable[[Tensor], Tensor] = known[name.lower()]()
    return made
