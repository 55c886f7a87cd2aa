"""Mutual information from pairs (x_i, y_i), by lower bounds, and a test of independence.

I(X; Y) = KL(P || Q) with P the law of pairs that belong together and Q that of pairs put together at random. So every
bound of a divergence bounds it, with a critic f(x, y) that is fitted on a share of the pairs and read on the others:

    nwj       E_P[f + 1] - E_Q[e^f]            the link `kl`                       (Nguyen, Wainwright and Jordan 2010)
    dv        nwj at f - c, c = ln mean e^f over random pairs of the fitting share  (Donsker and Varadhan 1983); f is
              trained on infonce, which is calm, and read without its cap
    mine      the same, f trained on Donsker and Varadhan's bound itself            (Belghazi et al. 2018)
    infonce   E[ f(x_i, y_i) - ln (1/N) sum_j e^f(x_i, y_j) ] over N held-out pairs at a time, and the same with the
              sides exchanged, half of each (van den Oord et al. 2018): at most ln N, whatever the information

Tight for nwj at f = ln p/q, for dv and mine at that plus any constant, for infonce likewise as N grows. The variance of
nwj, dv and mine grows like e^I: more than about ln n nats cannot be shown from n pairs (McAllester and Stratos 2020).
infonce has the same limit as its cap, ln N, and stays calm: a value near ln N says that N is too small.

The intervals. nwj, dv and mine are U-statistics of the held-out pairs w_i = (x_i, y_i): mean phi(x_i, y_i) - mean over
i != j of psi(x_i, y_j). Their first-order part is phi(w_i) - mean_j psi(x_i, y_j) - mean_j psi(x_j, y_i), whose spread
over i gives the standard error. infonce is a mean over disjoint groups of N pairs. Given the critic both are unbiased
for a lower bound of I, so `low` is a lower confidence limit of I at (1 - level)/2; `high` limits what this critic
reaches.

Independence: with n held-out pairs, and a permutation of the y_i, the mean of f over pairs is as likely as that over
the true ones if X and Y are independent. Every bound's other term is a mean over all pairings (or nearly), which
no permutation changes, so this is the test by any of them. p = (1 + #)/(1 + B), exact at any size.
"""

import math
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, Literal, final

import torch
from jaxtyping import Float
from torch import Generator, Tensor

from pushforward.errors import InputError
from pushforward.fitters.classifier import ClassifierFitter
from pushforward.fitters.critic import CriticFitter
from pushforward.fitters.pairs import PairCritic, PairScore, Score, info_nce
from pushforward.links import LINKS
from pushforward.readings.significance import permutation_pvalue
from pushforward.twosample.result import TestResult
from pushforward.witness import Estimate

BOUNDS = ("infonce", "dv", "nwj", "mine")
_PAIRED = 1 << 20  # pairs (x_i, y_j), i != j, that a reading scores at most
_TILE = 1 << 16  # pairs scored at once
_GROUPS, _MOST = 16, 256  # of held-out pairs, where the N of infonce is not asked for; that N at most
_RANDOM = 4  # random pairs to a true one, of the fitting share, that a classifier sees
_FEWEST = 16  # pairs to fit on, and to read on


def mutual_information(
    x: Float[Tensor, "n *dx"],
    y: Float[Tensor, "m *dy"],
    *,
    bound: str = "infonce",
    critic: PairScore | None = None,
    model: Any = "pairs",
    size: int | None = None,
    train: float = 0.5,
    level: float = 0.95,
    seed: int = 0,
) -> Estimate:
    """A lower bound of I(X; Y) in nats on held-out pairs, with its interval; see the module's docstring.

    x, y: row i of one belongs to row i of the other; floats, flattened.
    bound: `infonce`, `dv`, `nwj` or `mine`. size: N of `infonce`, by default a sixteenth of the held-out pairs, at most
        256; its value is at most ln N.
    critic: f, where it is known, or fitted on other pairs. Then no more than the constant of `dv` and `mine` is fitted,
        on the share `train`, and for `infonce` and `nwj` all pairs are read.
    model: what is fitted on the share `train` where no critic is given: `pairs`, or a `PairCritic` (its loss will be
        that of the bound); for `dv` and `nwj` also `critic`, or a `CriticFitter`, a neural critic of x and y side by
        side, or a classifier as `fitters.ClassifierFitter` takes it: these tell true pairs from random ones, four times
        as many.

    `InputError` for unequal numbers of rows, too few, NaN, or unknown names.
    """
    found = _prepare(x, y, bound, critic, model, train, seed)
    return _read(found, bound, size, level)


def independence_test(
    x: Float[Tensor, "n *dx"],
    y: Float[Tensor, "m *dy"],
    *,
    bound: str = "infonce",
    critic: PairScore | None = None,
    model: Any = "pairs",
    permutations: int = 500,
    size: int | None = None,
    train: float = 0.5,
    seed: int = 0,
) -> TestResult:
    """Are X and Y independent? By the held-out mean of f over true pairs against random pairings.

    The statistic is that mean less its mean over the random pairings; the effect is `mutual_information` by the same
    bound and split, whose arguments these are. `TestResult.method` is `independence-BOUND`; there is no witness, as the
    critic scores pairs, not rows.
    """
    if permutations < 1:
        raise InputError(f"a permutation test needs at least one permutation, not {permutations}")
    started = time.perf_counter()
    found = _prepare(x, y, bound, critic, model, train, seed)
    fitted = time.perf_counter()
    g, h, join = found.g, found.h, found.join
    draw, count = found.generator, len(found.g)
    null = torch.stack(
        [
            _scored(join, g, h[torch.randperm(count, generator=draw, device=draw.device).to(h.device)]).mean()
            for _ in range(permutations)
        ]
    )
    observed, centre = _scored(join, g, h).mean(), null.mean()
    if not (bool(observed.isfinite()) and bool(null.isfinite().all())):
        raise InputError("the critic's scores are not finite on these pairs; look for overflow in it or in the data")
    tested = time.perf_counter()
    return TestResult(
        method=f"independence-{bound}",
        statistic=float(observed - centre),
        pvalue=permutation_pvalue(float(observed), null),
        null=null - centre,
        effect=_read(found, bound, size, 0.95),
        n_x=len(x),
        n_y=len(y),
        permutations=permutations,
        witness=None,
        seconds=time.perf_counter() - started,
        convention="held-out mean score of true pairs, less its mean over random pairings",
        timings={"fit": fitted - started, "test": tested - fitted},
    )


# ---- fitting


@final
@dataclass(frozen=True, eq=False)
class _Ready:
    """A critic and what it is read on: the sides `g`, `h` of held-out pairs, in random order."""

    join: PairScore
    g: Tensor
    h: Tensor
    generator: Generator


def _prepare(x: Tensor, y: Tensor, bound: str, critic: PairScore | None, model: Any, train: float, seed: int) -> _Ready:
    """The critic, in which the constant of `dv` and `mine` is already taken off, and the pairs that it has not seen."""
    _check(bound, model, critic)
    x, y = _pairs(x, y)
    generator = torch.Generator().manual_seed(seed)
    order = torch.randperm(len(x), generator=generator).to(x.device)
    share = 0 if critic is not None and bound in ("infonce", "nwj") else _share(train, len(x))
    fit, held = (order[:share], order[share:]) if share else (order[:0], order)
    if critic is not None:
        score = Score(_same, _same, critic)
    else:
        score = _learned(x[fit], y[fit], bound, model, generator)
    with torch.no_grad():
        seen = score.left(x[fit]), score.right(y[fit])
        join = score.join if bound == "infonce" or critic is not None else _within(score.join, *seen)
        if bound in ("dv", "mine"):
            join = _less(join, _constant(join, *seen))
        return _Ready(join, score.left(x[held]), score.right(y[held]), generator)


def _learned(x: Tensor, y: Tensor, bound: str, model: Any, generator: Generator) -> Score:
    if isinstance(model, PairCritic) or (isinstance(model, str) and model == "pairs"):
        losses: dict[str, Literal["infonce", "nwj", "dv"]] = {"nwj": "nwj", "mine": "dv"}
        chosen = model if isinstance(model, PairCritic) else PairCritic()
        return replace(chosen, loss=losses.get(bound, "infonce"))(x, y, generator=generator)
    own = model if isinstance(model, CriticFitter) else CriticFitter()
    plain = own is model or (isinstance(model, str) and model == "critic")
    fitter = replace(own, link=LINKS["js"]) if plain else ClassifierFitter(model)
    # pairs with replacement: whole pairings would have margins exactly those of the true pairs, and then the first
    # split of a tree gains nothing anywhere
    one = torch.randint(len(x), (_RANDOM * len(x),), generator=generator)
    other = (one + torch.randint(1, len(x), one.shape, generator=generator)) % len(x)
    apart = torch.cat([x[one.to(x.device)], y[other.to(y.device)]], 1)
    witness = fitter(torch.cat([x, y], 1), apart, generator=generator)

    def join(a: Tensor, b: Tensor) -> Tensor:
        rows = torch.cat([a, b], 1)
        return witness.phi(rows) + witness.psi(rows)  # of the link `js` these add up to v, the log ratio

    return Score(_same, _same, join)


def _same(rows: Tensor) -> Tensor:
    return rows


def _within(join: PairScore, g: Tensor, h: Tensor) -> PairScore:
    """The score kept within its range on the pairs it was fitted on: still a score, so still a bound, and one far pair
    on which it extrapolates cannot swamp a mean of e^f."""
    values = torch.cat([_scored(join, g, h), _scored(join, g, h.roll(1, 0))])
    low, high = float(values.min()), float(values.max())
    return lambda a, b: join(a, b).clamp(low, high)


def _constant(join: PairScore, g: Tensor, h: Tensor) -> float:
    """ln mean e^f over pairs put together at random."""
    parts = torch.stack([values.double().logsumexp(0) for values in _apart(join, g, h)])
    return float(parts.logsumexp(0)) - math.log(len(parts) * len(g))


def _less(join: PairScore, constant: float) -> PairScore:
    return lambda a, b: join(a, b) - constant


# ---- reading


def _read(found: _Ready, bound: str, size: int | None, level: float) -> Estimate:
    with torch.no_grad():
        if bound == "infonce":
            return _read_groups(found, size, level)
        if size is not None:
            raise InputError(f"size is the N of infonce; leave it out for {bound}")
        return _read_link(found, level)


def _read_link(found: _Ready, level: float) -> Estimate:
    """mean phi(x_i, y_i) - mean psi(x_i, y_j) of the link `kl`: a U-statistic with its first-order standard error."""
    link, (g, h) = LINKS["kl"], (found.g, found.h)
    true = link.phi(_scored(found.join, g, h).double())
    rows, columns, pairings = torch.zeros_like(true), torch.zeros_like(true), 0
    for shift, values in enumerate(_apart(found.join, g, h), 1):
        apart = link.psi(values.double())
        rows, columns, pairings = rows + apart, columns + apart.roll(shift, 0), shift
    value = true.mean() - rows.mean() / pairings
    stderr = (true - (rows + columns) / pairings).std() / math.sqrt(len(true))
    return Estimate.normal(float(value), float(stderr), level)


def _read_groups(found: _Ready, size: int | None, level: float) -> Estimate:
    """The mean of `info_nce` over disjoint groups of N pairs, with Student's interval."""
    from scipy.stats import t

    n = len(found.g)
    size = max(2, min(_MOST, n // _GROUPS)) if size is None else size
    groups = n // size if size > 1 else 0
    if groups < 2:
        raise InputError(
            f"size={size}: infonce needs at least two held-out groups of two pairs or more, and {n} pairs are held out"
        )
    values = torch.stack(
        [
            info_nce(_matrix(found.join, found.g[k * size : (k + 1) * size], found.h[k * size : (k + 1) * size]))
            for k in range(groups)
        ]
    ).double()
    stderr = float(values.std()) / math.sqrt(groups)
    half = float(t.ppf((1.0 + level) / 2.0, groups - 1)) * stderr
    value = float(values.mean())
    return Estimate(value, stderr, value - half, value + half, level)


def _apart(join: PairScore, g: Tensor, h: Tensor) -> Iterator[Tensor]:
    """f(x_i, y_(i+s)) `(n,)` for s = 1, 2, ...: all other pairs, or as many as `_PAIRED` allows."""
    n = len(g)
    shifts = range(1, 1 + min(n - 1, max(1, _PAIRED // n)))
    together = max(1, _TILE // n)
    for first in shifts[::together]:
        some = shifts[first - 1 : first - 1 + together]
        moved = torch.cat([h.roll(-shift, 0) for shift in some])
        yield from _scored(join, torch.cat([g] * len(some)), moved).split(n)


def _scored(join: PairScore, g: Tensor, h: Tensor) -> Float[Tensor, " n"]:
    return torch.cat([join(a, b) for a, b in zip(g.split(_TILE), h.split(_TILE), strict=True)])


def _matrix(join: PairScore, g: Tensor, h: Tensor) -> Float[Tensor, "N N"]:
    n = len(g)
    rows = max(1, _TILE // n)
    parts = [
        join(part.repeat_interleave(n, 0), h.repeat(len(part), *[1] * (h.dim() - 1))).view(len(part), n)
        for part in g.split(rows)
    ]
    return torch.cat(parts)


# ---- what is asked


def _check(bound: str, model: Any, critic: PairScore | None) -> None:
    if bound not in BOUNDS:
        raise InputError(f"unknown bound {bound!r} of mutual information; known: {', '.join(BOUNDS)}")
    own = isinstance(model, PairCritic) or (isinstance(model, str) and model == "pairs")
    if critic is None and not own and bound in ("infonce", "mine"):
        raise InputError(f"{bound} fits a critic of pairs of its own; leave model out, or take bound='nwj' or 'dv'")


def _pairs(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """Both sides as floats `(n, d)`."""
    if len(x) != len(y):
        raise InputError(f"{len(x)} rows of x and {len(y)} of y; give pairs, a row of one for every row of the other")
    if len(x) < 2 * _FEWEST:
        raise InputError(f"{len(x)} pairs are too few to fit a critic and to read it; give at least {2 * _FEWEST}")
    kind = torch.promote_types(torch.promote_types(x.dtype, y.dtype), torch.float32)
    flat = [side.reshape(len(side), -1).to(kind) for side in (x, y)]
    for name, side in zip("xy", flat, strict=True):
        if not bool(side.isfinite().all()):
            raise InputError(f"{name} has values that are missing or infinite; fill them, or leave those pairs out")
    return flat[0], flat[1]


def _share(train: float, n: int) -> int:
    """How many pairs are fitted on."""
    count = round(train * n) if 0.0 < train < 1.0 else 0
    if count < _FEWEST or n - count < _FEWEST:
        raise InputError(
            f"train={train!r}: of {n} pairs at least {_FEWEST} are to be fitted on and {_FEWEST} to be read on"
        )
    return count
