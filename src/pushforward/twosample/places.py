"""Tests at a few places that were optimised on one half of the rows, where they maximise a proxy of the power.

    me    differences of mean embeddings E k(x, v_j) at J places v_j, studentised          (Chwialkowski et al. 2015)
    scf   differences of smoothed characteristic functions at J frequencies, studentised   (Jitkrittum et al. 2016)

The statistic is Hotelling's T^2 of the features on the other half.
"""

import time
from functools import partial

import torch
from jaxtyping import Float
from torch import Generator, Tensor

from pushforward.errors import InputError
from pushforward.fitters.moments import MeanFitter, Places, optimise_places
from pushforward.readings.significance import permutation_test
from pushforward.twosample.method import Method
from pushforward.twosample.moments import Hotelling, jackknifed, mean_distance
from pushforward.twosample.ranks import SMALLEST
from pushforward.twosample.result import TestResult
from pushforward.witness import Estimate, Tag, Witness

_FEWEST = 4  # rows of a side on each half


def places_test(
    kind: str,
    x: Float[Tensor, "n d"],
    y: Float[Tensor, "m d"],
    *,
    permutations: int,
    generator: Generator,
    places: int = 5,
    steps: int = 50,
    train: float = 0.5,
    null: str = "permutation",
) -> TestResult:
    """Test by the features of `kind` "me" or "scf" at optimised places (`Places`, `optimise_places`).

    Hotelling's T^2 of the features of the rows that were held out, (1 - `train`) of each side. `null` "permutation",
    exact, or "chi2": its limit, with one degree of freedom a feature. The effect is the squared Mahalanobis distance
    of the held-out features with a jackknife interval; the witness is linear in the features, from the other rows.
    """
    if null not in ("permutation", "chi2"):
        raise InputError(f'the null is "permutation" or "chi2", not {null!r}')
    started = time.perf_counter()
    found, (test_x, test_y), witness = held_out(kind, x, y, generator, places, steps, train)
    f, g = found(test_x), found(test_y)
    if null == "permutation":
        tested = permutation_test(Hotelling(0.0), f, g, permutations=permutations, generator=generator)
        value, pvalue, sample = tested.statistic, tested.pvalue, tested.null
    else:
        value = float(Hotelling(0.0)(f, g))
        pvalue, sample = _chi2_tail(value, f.shape[1]), torch.empty(0, dtype=torch.float64)
    return TestResult(
        method=kind,
        statistic=value,
        pvalue=pvalue,
        null=sample,
        effect=jackknifed(mean_distance, f, g, generator, 0.95),
        n_x=len(x),
        n_y=len(y),
        permutations=len(sample),
        witness=witness,
        seconds=time.perf_counter() - started,
        quadratic=True,
    )


def places_distance(
    kind: str,
    x: Float[Tensor, "n d"],
    y: Float[Tensor, "m d"],
    *,
    generator: Generator,
    level: float = 0.95,
    places: int = 5,
    steps: int = 50,
    train: float = 0.5,
) -> Estimate:
    """The squared Mahalanobis distance of the held-out features, with a jackknife interval."""
    found, (a, b), _ = held_out(kind, x, y, generator, places, steps, train)
    return jackknifed(mean_distance, found(a), found(b), generator, level)


def _chi2_tail(value: float, degrees: int) -> float:
    from scipy.stats import chi2

    return max(float(chi2.sf(value, degrees)), SMALLEST)


def held_out(
    kind: str, x: Tensor, y: Tensor, generator: Generator, places: int, steps: int, train: float
) -> tuple[Places, tuple[Tensor, Tensor], Witness]:
    """Places and witness from one part of the rows, and the rows of the other part."""
    if places < 1 or steps < 0:
        raise InputError(f"places must be at least 1 and steps at least 0, not {places} and {steps}")
    if not 0.0 < train < 1.0:
        raise InputError(f"the share to train on must lie between 0 and 1, not {train}")
    halves = []
    for rows in (x, y):
        cut = round(train * len(rows))
        if min(cut, len(rows) - cut) < _FEWEST:
            raise InputError(f"{len(rows)} rows are too few to find places on a share {train:g} and test on the rest")
        order = torch.randperm(len(rows), generator=generator, device=generator.device).to(rows.device)
        halves.append((rows[order[:cut]], rows[order[cut:]]))
    (fit_x, test_x), (fit_y, test_y) = halves
    found = optimise_places(fit_x, fit_y, kind=kind, places=places, steps=steps, generator=generator)
    linear = MeanFitter()(found(fit_x), found(fit_y), generator=generator)
    tags: frozenset[Tag] = frozenset({"certified", "differentiable"})
    witness = Witness(
        phi=lambda t: linear.phi(found(t.flatten(1))).to(t),
        psi=lambda t: linear.psi(found(t.flatten(1))).to(t),
        tags=tags,
    )
    return found, (test_x, test_y), witness


METHODS = {
    "me": Method(
        family="moments",
        reads="mean embeddings at a few places, found on half the rows: where the sets differ most",
        convention="Hotelling's T^2 of the features k(., v_j) on held-out rows",
        cost="(n+m) places (d steps + B)",
        effect="squared Mahalanobis distance of the held-out features",
        test=partial(places_test, "me"),
        distance=partial(places_distance, "me"),
        at_least=8,
    ),
    "scf": Method(
        family="moments",
        reads="smoothed characteristic functions at a few frequencies, found on half the rows: periodic differences",
        convention="Hotelling's T^2 of l(.) cos and l(.) sin on held-out rows",
        cost="(n+m) places (d steps + B)",
        effect="squared Mahalanobis distance of the held-out features",
        test=partial(places_test, "scf"),
        distance=partial(places_distance, "scf"),
        at_least=8,
    ),
}
