"""Toys: exact densities, distinct modes, and the mode report's arithmetic."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy import stats

from pushforward.data.sources import read
from pushforward.data.toys import TOYS, mode_report, toy
from pushforward.errors import InputError


def integral(name: str) -> float:
    """Of the density over a box that holds all but e^-40 of it, by the midpoint rule."""
    made = toy(name)
    if made.d == 1:
        x = torch.linspace(-16, 20, 360_001, dtype=torch.float64)
        return float(torch.trapezoid(made.log_prob(x[:, None]).exp(), x))
    if made.modes is not None:  # all modes have one weight: a box of 8 sigma around each, which is far from the others
        side = (torch.arange(96, dtype=torch.float64) + 0.5) / 96 * 16 - 8
        around = torch.cartesian_prod(side, side) * made.sigma
        cell = (16 / 96 * made.sigma) ** 2
        return sum(float(made.log_prob(mode + around).exp().sum()) * cell for mode in made.modes)
    reach, n = 5, 240  # the checkerboard's edges fall between cells
    side = (torch.arange(n, dtype=torch.float64) + 0.5) / n * 2 * reach - reach
    return float(made.log_prob(torch.cartesian_prod(side, side)).exp().sum()) * (2 * reach / n) ** 2


@pytest.mark.parametrize("name", TOYS)
def test_density_integrates_to_one(name: str) -> None:
    assert integral(name) == pytest.approx(1, abs=1e-7)


@pytest.mark.parametrize("name", TOYS)
def test_samples_follow_the_density(name: str, generator: torch.Generator) -> None:
    """The mean of -log p over draws is the entropy, found by quadrature; false failure 6e-7 (five standard errors).

    Draws of a width 10 % off would move it by 0.1 to 0.2 nats, ten standard errors.
    """
    made = toy(name)
    x = made.sample(4000, generator)
    assert x.dtype == torch.float32
    assert torch.isfinite(made.log_prob(x)).all()
    values = made.log_prob(x)
    assert abs(-float(values.mean()) - exact_entropy(name)) < 5 * float(values.std()) / math.sqrt(4000) + 1e-9


def exact_entropy(name: str) -> float:
    """Quadrature of -p log p, for the same densities."""
    made = toy(name)
    if made.d == 1:
        x = torch.linspace(-16, 20, 360_001, dtype=torch.float64)
        log_p = made.log_prob(x[:, None])
        return -float(torch.trapezoid(log_p.exp() * log_p, x))
    if name == "checkerboard":
        return math.log(32)
    if made.modes is not None:  # modes that do not overlap: log k + entropy of one
        return math.log(len(made.modes)) + 1 + math.log(2 * math.pi * made.sigma**2)
    side = (torch.arange(240, dtype=torch.float64) + 0.5) / 240 * 10 - 5
    log_p = made.log_prob(torch.cartesian_prod(side, side))
    return -float(torch.special.xlogy(log_p.exp(), log_p.exp()).sum()) * (10 / 240) ** 2


def test_modes_are_distinct() -> None:
    ring, grid = toy("ring"), toy("grid")
    assert ring.modes.shape == (8, 2)
    assert torch.pdist(ring.modes).min() == pytest.approx(2 * math.sin(math.pi / 8))
    torch.testing.assert_close(ring.modes.norm(dim=1), torch.ones(8, dtype=torch.float64))
    assert grid.modes.shape == (25, 2)
    assert torch.pdist(grid.modes).min() == 2
    assert (ring.sigma, grid.sigma) == (0.01, 0.05)


@pytest.mark.parametrize(("name", "kl"), [("ring", 0.0013), ("grid", 0.0047)])
def test_perfect_sampler_scores_as_known(name: str, kl: float, generator: torch.Generator) -> None:
    """A perfect sampler of 2500: share within 3 sigma is 1 - e^-4.5 = .98889; reverse KL about (k - 1) / 2n."""
    reports = [mode_report(toy(name).sample(2500, generator), toy(name)) for _ in range(40)]
    assert all(r.captured == r.modes for r in reports)
    assert np.mean([r.high_quality for r in reports]) == pytest.approx(1 - math.exp(-4.5), abs=0.002)
    assert np.mean([r.reverse_kl for r in reports]) == pytest.approx(kl, rel=0.35)


def test_mode_report_of_a_collapsed_sampler() -> None:
    ring = toy("ring")
    report = mode_report(ring.modes[:2].repeat(50, 1), ring)
    assert (report.captured, report.modes, report.high_quality) == (2, 8, 1.0)
    assert report.reverse_kl == pytest.approx(math.log(4))
    far = mode_report(ring.modes * 1.05, ring)
    assert (far.captured, far.high_quality) == (0, 0.0)
    with pytest.raises(InputError, match="no separate modes"):
        mode_report(torch.zeros(3, 2), toy("moons"))


def test_mixture_is_the_one_of_the_paper() -> None:
    x = torch.tensor([[-1.0], [0.3], [2.0]])
    expected = 0.33 * stats.norm.pdf(x, -1, 0.065**0.5) + 0.67 * stats.norm.pdf(x, 2, 2**0.5)
    torch.testing.assert_close(toy("mixture-1d").log_prob(x).exp(), torch.from_numpy(expected[:, 0]).double())


def test_reading_toys() -> None:
    assert read("toy:ring").values.shape == (100_000, 2)
    assert read("toy:grid").values.shape == (100_000, 2)
    assert read("toy:mixture-1d").values.shape == (20_000, 1)
    assert torch.equal(read("toy:moons:50").values, read("toy:moons:50").values)
    for source, words in (("toy:donut", "ring, grid"), ("toy:ring:many", "toy:ring:1000"), ("toy:ring:0", "number")):
        with pytest.raises(InputError, match=words):
            read(source)
