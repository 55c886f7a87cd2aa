"""The table of f-divergences: name -> `Link`.

D_f(P||Q) = E_Q[f(p/q)] with f convex and f(1) = 0 (except `gan`, where f(1) = -ln 4). A link reads the critic's score
as v = log p/q and gives phi(v) = f'(e^v), psi(v) = f*(f'(e^v)):

| name | f(u) | phi(v) | psi(v) |
|---|---|---|---|
| kl | u ln u | v + 1 | e^v |
| reverse-kl | -ln u | -e^-v | v - 1 |
| pearson | (u - 1)^2 | 2 (e^v - 1) | e^2v - 1 |
| neyman | (1 - u)^2 / u | 1 - e^-2v | 2 - 2 e^-v |
| hellinger | (sqrt u - 1)^2 | 1 - e^(-v/2) | e^(v/2) - 1 |
| jeffreys | (u - 1) ln u | 1 + v - e^-v | e^v + v - 1 |
| js | u ln u - (u + 1) ln((1 + u)/2), which is 2 JSD | ln 2 - sp(-v) | sp(v) - ln 2 |
| gan | u ln u - (u + 1) ln(u + 1), which is 2 JSD - ln 4 | -sp(-v) | sp(v) |
| tv | abs(u - 1)/2 | sign(v)/2 | sign(v)/2 |
| alpha | (u^a - 1 - a(u - 1)) / (a(a - 1)) | (e^((a-1)v) - 1)/(a - 1) | (e^(av) - 1)/a |

(sp = softplus.) Any score whatever gives a lower bound; the true log ratio makes it tight. `FGAN` holds the same
divergences in the critic outputs of Nowozin et al. (2016, table 2), T = g_f(v): same bounds, other scales of v, gentler
to train where they differ (pearson, jeffreys, tv).

Scores are clamped, for phi and psi alike, to where their exponentials fit the floating type. A clamped score is still a
score, so the pair remains a minorant, and no loss or gradient is ever infinite or NaN for a finite score.

The non-saturating signal of a link is its own phi read on model samples: -phi(D(y)) = sp(-D(y)) for `gan`. At an
optimal critic the gradient of -psi is sigma(v) times that of v for `gan` and `js`, which vanishes where fakes are
obvious; that of -phi is sigma(-v) times it, which does not (Goodfellow et al. 2014, section 3).
"""

import math
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid, relu, softplus

from pushforward.errors import InputError
from pushforward.witness import Link, Tag

__all__ = [
    "FGAN",
    "LINKS",
    "WASSERSTEIN",
    "Link",
    "alpha",
    "fgan_alpha",
    "link",
]

_F_DIVERGENCE: frozenset[Tag] = frozenset({"certified", "log_ratio", "differentiable"})
_NOT_LOG_RATIO: frozenset[Tag] = frozenset({"certified", "differentiable"})
_LN2 = math.log(2.0)


def _bounded(v: Tensor, rate: float, power: float) -> Tensor:
    """v clamped to where exp(rate |v|), or (1 + rate |v|)^power where that is finite, leaves a factor of 1e8 (1e2 in
    half precision) for sums over a batch."""
    largest = torch.finfo(v.dtype).max
    room = math.log(largest) - math.log(1e8 if largest > 1e30 else 1e2)
    limit = (room if power == math.inf else math.expm1(room / power)) / rate
    return v.clamp(-limit, limit)


def _link(
    name: str,
    phi: Callable[[Tensor], Tensor],
    psi: Callable[[Tensor], Tensor],
    f: Callable[[Tensor], Tensor],
    *,
    rate: float = 0.0,
    power: float = math.inf,
    tags: frozenset[Tag] = _F_DIVERGENCE,
) -> Link:
    """A link that grows like exp(rate |v|), or (1 + rate |v|)^power: both halves see the same clamped score."""
    if not rate:
        return Link(phi, psi, name, f, tags)
    return Link(lambda v: phi(_bounded(v, rate, power)), lambda v: psi(_bounded(v, rate, power)), name, f, tags)


def alpha(a: float) -> Link:
    """The alpha divergence, f(u) = (u^a - 1 - a(u - 1)) / (a(a - 1)); a -> 1 is KL and a -> 0 reverse KL.

    phi = (e^((a-1)v) - 1)/(a - 1), psi = (e^(av) - 1)/a, with their limits at a = 1 and a = 0 (where they equal the
    rows `kl` and `reverse-kl` up to the constants that f'(1) = 0 fixes). a = 1/2 is twice `hellinger`, a = 2 half
    `pearson`, a = -1 half `neyman`.
    """
    a = float(a)
    if not math.isfinite(a):
        raise InputError(f"the alpha divergence needs a finite order, not {a}")

    def f(u: Tensor) -> Tensor:
        if a == 1.0:
            return u * u.log() - u + 1.0
        if a == 0.0:
            return u - 1.0 - u.log()
        return (u**a - 1.0 - a * (u - 1.0)) / (a * (a - 1.0))

    rate = max(abs(a), abs(a - 1.0))
    return _link(f"alpha:{a:g}", lambda v: _power(v, a - 1.0), lambda v: _power(v, a), f, rate=rate)


def _power(v: Tensor, c: float) -> Tensor:
    """(e^(cv) - 1)/c, and v at c = 0."""
    return v if c == 0.0 else torch.expm1(c * v) / c


def _xlogx(u: Tensor) -> Tensor:
    return torch.xlogy(u, u)


_KL = _link("kl", lambda v: v + 1.0, torch.exp, _xlogx, rate=1.0)
_REVERSE_KL = _link("reverse-kl", lambda v: -torch.exp(-v), lambda v: v - 1.0, lambda u: -u.log(), rate=1.0)
_PEARSON = _link(
    "pearson", lambda v: 2.0 * torch.expm1(v), lambda v: torch.expm1(2.0 * v), lambda u: (u - 1.0) ** 2, rate=2.0
)
_NEYMAN = _link(
    "neyman", lambda v: -torch.expm1(-2.0 * v), lambda v: -2.0 * torch.expm1(-v), lambda u: (1.0 - u) ** 2 / u, rate=2.0
)
_HELLINGER = _link(
    "hellinger",
    lambda v: -torch.expm1(-0.5 * v),
    lambda v: torch.expm1(0.5 * v),
    lambda u: (u.sqrt() - 1.0) ** 2,
    rate=0.5,
)
_JEFFREYS = _link(
    "jeffreys", lambda v: v - torch.expm1(-v), lambda v: v + torch.expm1(v), lambda u: (u - 1.0) * u.log(), rate=1.0
)
_JS = _link(
    "js",
    lambda v: _LN2 + logsigmoid(v),
    lambda v: softplus(v) - _LN2,
    lambda u: _xlogx(u) - (u + 1.0) * ((1.0 + u) / 2.0).log(),
)
_GAN = _link("gan", logsigmoid, softplus, lambda u: _xlogx(u) - (u + 1.0) * (1.0 + u).log())
_TV = _link(
    "tv",
    lambda v: v.sign() / 2.0,
    lambda v: v.sign() / 2.0,
    lambda u: (u - 1.0).abs() / 2.0,
    tags=_F_DIVERGENCE - {"differentiable"},
)

LINKS: Mapping[str, Link] = MappingProxyType(
    {
        "kl": _KL,
        "reverse-kl": _REVERSE_KL,
        "js": _JS,
        "gan": _GAN,
        "pearson": _PEARSON,
        "neyman": _NEYMAN,
        "hellinger": _HELLINGER,
        "jeffreys": _JEFFREYS,
        "tv": _TV,
        "alpha": alpha(0.5),
    }
)
"""v = log p/q -> witness. `tv`'s pair is a step: exact, and without a gradient; train with `FGAN["tv"]`."""


class _LogLambertOfExp(torch.autograd.Function):
    """u(s) = ln W(e^s), the root of e^u + u = s (Corless et al. 1996), by Newton's method; u' = 1/(1 + e^u)."""

    @staticmethod
    def forward(ctx: Any, s: Tensor) -> Tensor:
        u = torch.where(s > 1.0, s.clamp(min=1.0).log(), s)  # right of the root of a convex function: monotone
        for _ in range(12):
            e = u.exp()
            u = u - (e + u - s) / (e + 1.0)
        ctx.save_for_backward(u)
        return u

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:
        (u,) = ctx.saved_tensors
        return grads[0] * torch.sigmoid(-u)


def _jeffreys_conjugate(t: Tensor) -> Tensor:
    """f*(t) = w + 1/w + t - 2 with w = W(e^(1-t))."""
    u: Tensor = _LogLambertOfExp.apply(1.0 - t)  # type: ignore[no-untyped-call]
    return u.exp() + torch.exp(-u) + t - 2.0


def _fgan(
    row: Link,
    phi: Callable[[Tensor], Tensor],
    psi: Callable[[Tensor], Tensor],
    rate: float = 0.0,
    power: float = math.inf,
) -> Link:
    assert row.f is not None
    return _link(row.name, phi, psi, row.f, rate=rate, power=power, tags=_NOT_LOG_RATIO)


def fgan_alpha(a: float) -> Link:
    """`alpha(a)` in an output that training can bear.

    Above order 1 the ratio itself would be the exponential of the output, and its powers overflow; there the output is
    T itself, phi = v, and psi = f*(v) = (max(0, 1 + (a-1)v)^(a/(a-1)) - 1)/a, at a = 2 half of `FGAN["pearson"]`.
    """
    if a <= 1.0:
        return alpha(a)
    slope, power = a - 1.0, a / (a - 1.0)

    def psi(v: Tensor) -> Tensor:
        # by logarithms, which keep what 1 + (a-1)v rounds away where the order is near 1
        return torch.expm1(power * torch.log1p((slope * v).clamp_min(torch.finfo(v.dtype).eps - 1.0))) / a

    return _fgan(alpha(a), lambda v: v, psi, rate=slope, power=power)


FGAN: Mapping[str, Link] = MappingProxyType(
    {
        "kl": _fgan(_KL, lambda v: v, lambda v: torch.exp(v - 1.0), rate=1.0),
        "reverse-kl": _REVERSE_KL,
        "js": _JS,
        "gan": _GAN,
        "pearson": _fgan(_PEARSON, lambda v: v, lambda v: relu(1.0 + v / 2.0) ** 2 - 1.0, rate=2.0),
        "neyman": _fgan(_NEYMAN, lambda v: -torch.expm1(-v), lambda v: -2.0 * torch.expm1(-0.5 * v), rate=1.0),
        "hellinger": _fgan(_HELLINGER, lambda v: -torch.expm1(-v), torch.expm1, rate=1.0),
        "jeffreys": _fgan(_JEFFREYS, lambda v: v, _jeffreys_conjugate, rate=1.0),
        "tv": _fgan(_TV, lambda v: v.tanh() / 2.0, lambda v: v.tanh() / 2.0),
        "alpha": LINKS["alpha"],
    }
)
"""The same divergences with the critic's output T = g_f(v) of Nowozin et al. (2016): phi = g_f, psi = f* o g_f.

Pearson's conjugate is that of f on u >= 0, which is t^2/4 + t down to t = -2 and -1 below: no density ratio is
negative, and a generator pushed by t^2/4 + t there would be pushed the wrong way. Its output ends at t = 35, a ratio of
18.5 (as narrow as the log ratio's exponentials need): a critic that follows ratios of thousands, as they are at the
start of training, does not come back from there.
"""

WASSERSTEIN = Link(phi=lambda v: v, psi=lambda v: v, name="wasserstein", tags=frozenset({"differentiable"}))
"""phi = psi = v: W1 by Kantorovich and Rubinstein if the critic is 1-Lipschitz, which a link cannot certify."""


def link(name: str) -> Link:
    """The link `name` of `LINKS`, or `alpha:1.5` for any order; unknown names list the known ones (`InputError`)."""
    order = alpha_order(name)
    if order is not None:
        return alpha(order)
    if name not in LINKS:
        raise InputError(f"unknown link {name!r}; known: {', '.join(sorted(LINKS))} and alpha:A for an order A")
    return LINKS[name]


def alpha_order(name: str) -> float | None:
    """1.5 of "alpha:1.5"; None for any other name."""
    head, colon, tail = name.partition(":")
    if head != "alpha" or not colon:
        return None
    try:
        return float(tail)
    except ValueError:
        raise InputError(f"the order in {name!r} is not a number; write for example alpha:1.5") from None
