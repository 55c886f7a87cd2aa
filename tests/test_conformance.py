"""The conformance suite catches what it says it catches: each broken link, objective or fitter fails with a reason."""

import dataclasses
import math

import pytest
import torch
from torch import Generator, Tensor

from pushforward.closed_form import Gaussian
from pushforward.conformance import check_fitter, check_link, check_objective
from pushforward.conformance.links import check_frozen_gradient, check_law, check_minorant, check_tight
from pushforward.fitters import ClassifierFitter
from pushforward.links import LINKS
from pushforward.objectives import OBJECTIVES, Objective
from pushforward.witness import Link, Witness

JS, KL = LINKS["js"], LINKS["kl"]


@pytest.mark.parametrize(
    ("link", "reason"),
    [
        (dataclasses.replace(KL, psi=lambda v: 1.1 * KL.psi(v)), "not tight"),
        (dataclasses.replace(KL, psi=lambda v: 0.9 * KL.psi(v)), "not a minorant"),
        (dataclasses.replace(KL, psi=lambda v: 0.9 * KL.psi(v), f=None), "not a minorant"),
        (dataclasses.replace(JS, phi=lambda v: -JS.phi(v), psi=lambda v: -JS.psi(v)), "falls at"),
        (dataclasses.replace(JS, phi=torch.zeros_like), "constant"),
        (Link(phi=lambda v: v + 1.0, psi=torch.exp, name="raw"), "overflows"),
        (dataclasses.replace(JS, phi=lambda v: v.mean()), "elementwise"),
    ],
)
def test_broken_links_are_caught(link: Link, reason: str) -> None:
    with pytest.raises(AssertionError, match=reason):
        check_link(link)


def test_each_check_catches_alone() -> None:
    bent = dataclasses.replace(KL, psi=lambda v: 0.9 * KL.psi(v))
    for check, reason in (
        (check_law, "psi'"),
        (check_minorant, "minorant"),
        (check_tight, "tight"),
        (check_frozen_gradient, "frozen"),
    ):
        with pytest.raises(AssertionError, match=reason):
            check(bent)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"critic": lambda a, b: a - b}, "higher score of data"),
        ({"critic": lambda a, b: -a - b}, "lower score of the model"),
        ({"generator": lambda a, b: b}, "higher score of its samples"),
        ({"generator": lambda a, b: -b.mean()}, "one value per sample"),
        ({"generator": lambda a, b: a - b}, "paired=False"),
        ({"critic": lambda a, b: b - a + 0.0 * b + b.mean()}, "on its own"),
    ],
)
def test_broken_objectives_are_caught(changes: dict[str, object], reason: str) -> None:
    broken: Objective = dataclasses.replace(OBJECTIVES["wgan"], **changes)  # type: ignore[arg-type]
    with pytest.raises(AssertionError, match=reason):
        check_objective(broken)


class Broken:
    """A logistic fitter with one fault."""

    def __init__(self, fault: str) -> None:
        self.fault = fault

    def __call__(self, x: Tensor, y: Tensor, *, generator: Generator) -> Witness:
        fitter = ClassifierFitter("logistic", LINKS["reverse-kl"])
        if self.fault == "swapped":
            return fitter(y, x, generator=generator)
        w = fitter(x, y, generator=generator)
        if self.fault == "global":
            torch.rand(1)
        if self.fault == "mutates":
            x += 1.0
        faults = {
            "batch": lambda rows: w.psi(rows) - w.psi(rows).mean(),
            "shape": lambda rows: w.psi(rows)[:, None],
            "gradient": lambda rows: w.psi(rows.detach()) + 0.5 * (rows - rows.detach()).sum(1),
            "inflated": lambda rows: w.psi(rows) - 3.0,
            "random": lambda rows: w.psi(rows) + torch.rand(1, generator=SHARED, dtype=rows.dtype),
        }
        return dataclasses.replace(w, psi=faults.get(self.fault, w.psi))


SHARED = torch.Generator().manual_seed(0)


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        ("swapped", "x is data and y is the model"),
        ("mutates", "changed the rows"),
        ("batch", "each row on its own"),
        ("shape", "one value per row"),
        ("gradient", "gradient of psi is off"),
        ("inflated", "between equal distributions"),
        ("random", "two different witnesses"),
    ],
)
def test_broken_fitters_are_caught(fault: str, reason: str) -> None:
    with pytest.raises(AssertionError, match=reason):
        check_fitter(Broken(fault))


def test_global_randomness_is_caught() -> None:
    state = torch.get_rng_state()
    try:
        with pytest.raises(AssertionError, match="global random state"):
            check_fitter(Broken("global"))
    finally:
        torch.set_rng_state(state)


def test_an_excessive_bound_is_caught() -> None:
    with pytest.raises(AssertionError, match="exceeds the divergence"):
        check_fitter(ClassifierFitter("logistic"), divergence=lambda p, q: torch.tensor(0.01))


def test_sound_ones_pass() -> None:
    check_link(JS)
    check_objective(OBJECTIVES["rpgan"])
    check_fitter(ClassifierFitter("logistic"), divergence=lambda p, q: _js(p, q))


def _js(p: Gaussian, q: Gaussian) -> Tensor:
    """2 JSD by quadrature along the line between the means (equal isotropic covariances)."""
    t = torch.linspace(-10, 11, 4001, dtype=torch.float64)
    line = torch.stack([t, torch.zeros_like(t)], 1)
    w = JS(lambda rows: p.log_prob(rows) - q.log_prob(rows))
    value: Tensor = torch.trapezoid(p.log_prob(line).exp() * w.phi(line) - q.log_prob(line).exp() * w.psi(line), t)
    return value * math.sqrt(2.0 * math.pi)  # the other coordinate's density was read at 0
