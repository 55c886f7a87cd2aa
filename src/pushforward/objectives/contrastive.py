"""Contrastive losses: which of the rows of a batch belong together.

Two views u_i, v_i of every row i = 1 .. N (two random changes of it, or two modalities), scaled to length 1; tau is the
temperature, s = 1 / tau. Each loss is a softmax cross entropy, a mean of -log "the share that belongs to the row".

    NT-Xent  (Chen et al. 2020, eq. 1)      over the 2N views z = (u, v), with p(i) the other view of the same row,
                                            l_i = -s z_i.z_p(i) + ln sum_{k != i} exp(s z_i.z_k)
    SupCon   (Khosla et al. 2020, eq. 2)    P(i) = all other views with the label of i,
                                            l_i = -1/|P(i)| sum_{p in P(i)} s z_i.z_p + ln sum_{k != i} exp(s z_i.z_k)
    CLIP     (Radford et al. 2021, fig. 3)  l_i = (CE_i(s U V') + CE_i(s V U')) / 2,  CE_i(S) = -S_ii + ln sum_j e^S_ij

Where all views are one (collapse), NT-Xent is ln(2N - 1) and CLIP's loss ln N. SupCon with a label for every row of its
own is NT-Xent. ln N less a loss of N candidates bounds mutual information from below (`twosample.information`).

Every function gives one loss for each row, `(n,)`, the mean of those of its two views. Several processes: `among` are
the views of all processes, `first` the place of this one's rows in them; the mean over the processes' losses is then
that of the union batch, and so is its gradient.
"""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn.functional import normalize

Views = Float[Tensor, "n k"]


def nt_xent(
    u: Views, v: Views, *, temperature: float = 0.5, among: tuple[Tensor, Tensor] | None = None, first: int = 0
) -> Float[Tensor, " n"]:
    """NT-Xent of the rows whose views are `u` and `v` `(n, k)`, of any length: (l_i + l_p(i)) / 2, in nats."""
    z, everyone, mine = _pooled(u, v, among, first)
    total = len(everyone)
    scores = _scores(z, everyone, mine, temperature)
    partner = (mine + total // 2) % total
    told = scores.gather(1, partner[:, None]).squeeze(1)
    return _halves(scores.logsumexp(1) - told)


def supervised(
    u: Views,
    v: Views,
    labels: Int[Tensor, " n"],
    *,
    temperature: float = 0.1,
    among: tuple[Tensor, Tensor, Tensor] | None = None,
    first: int = 0,
) -> Float[Tensor, " n"]:
    """SupCon of the rows with these `labels`, in nats. A negative label says that a row's class is not known: then its
    own other view alone belongs to it."""
    views = None if among is None else among[:2]
    z, everyone, mine = _pooled(u, v, views, first)
    total = len(everyone)
    known = (labels if among is None else among[2]).repeat(2)
    place = torch.arange(total, device=z.device)
    same = (known[mine][:, None] == known) & (known >= 0)
    same = same | (place == ((mine + total // 2) % total)[:, None])
    same = same & (place != mine[:, None])
    scores = _scores(z, everyone, mine, temperature)
    told = torch.where(same, scores, 0.0).sum(1) / same.sum(1)
    return _halves(scores.logsumexp(1) - told)


def clip(
    u: Views,
    v: Views,
    scale: Float[Tensor, ""] | float,
    *,
    among: tuple[Tensor, Tensor] | None = None,
    first: int = 0,
) -> Float[Tensor, " n"]:
    """CLIP's symmetric cross entropy of the pairs `u`, `v` `(n, k)`, of any length, at the scale s, in nats."""
    all_u, all_v = (u, v) if among is None else among
    a, b, all_a, all_b = (normalize(one, dim=1) for one in (u, v, all_u, all_v))
    told = scale * (a * b).sum(1)
    forth, back = scale * a @ all_b.T, scale * b @ all_a.T
    return (forth.logsumexp(1) + back.logsumexp(1)) / 2 - told


def _pooled(
    u: Tensor, v: Tensor, among: tuple[Tensor, ...] | None, first: int
) -> tuple[Float[Tensor, "m k"], Float[Tensor, "total k"], Int[Tensor, " m"]]:
    """This process's views (2n), those of all (2N), both of length 1, and the places of the first in the second."""
    n = len(u)
    z = normalize(torch.cat([u, v]), dim=1)
    everyone = z if among is None else normalize(torch.cat(among), dim=1)
    places = torch.arange(first, first + n, device=u.device)
    return z, everyone, torch.cat([places, places + len(everyone) // 2])


def _scores(z: Tensor, everyone: Tensor, mine: Tensor, temperature: float) -> Float[Tensor, "m total"]:
    """z.z' / tau, and -inf for a view with itself."""
    scores = z @ everyone.T / temperature
    return scores.scatter(1, mine[:, None], -torch.inf)


def _halves(losses: Float[Tensor, " m"]) -> Float[Tensor, " n"]:
    one, other = losses.chunk(2)
    return (one + other) / 2
