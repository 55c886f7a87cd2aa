"""Particles: where they arrive, and what `transport` accepts and gives back."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Generator, Tensor

from pushforward.closed_form import Gaussian, wasserstein2_squared
from pushforward.data import toys
from pushforward.errors import InputError
from pushforward.flow import VELOCITIES, CriticField, DenoiserField, ScoreDifferenceField, transport, widths


def energy(a: Tensor, b: Tensor) -> float:
    """2 E|A - B| - E|A - A'| - E|B - B'|, own pairs left out."""
    a, b = a.double(), b.double()
    within = [float(torch.cdist(z, z).sum()) / (len(z) * (len(z) - 1)) for z in (a, b)]
    return 2 * float(torch.cdist(a, b).mean()) - sum(within)


@pytest.mark.parametrize(
    ("name", "velocity", "steps", "quality"),
    [
        ("ring", "score-difference", 80, 0.95),
        ("grid", "score-difference", 80, 0.95),
        ("ring", "mmd", 80, 0.85),
        ("ring", "drift", 40, 0.7),
        ("ring", "wasserstein", 12, 0.9),
    ],
)
def test_particles_arrive_at_every_mode(name: str, velocity: str, steps: int, quality: float) -> None:
    """From N(0, I): all modes, the share within 3 sigma, and an energy distance to fresh data as that of real data.

    The band is three root mean squares of what as many fresh rows have (over 10 draws); the start is outside.
    """
    toy, g = toys.toy(name), torch.Generator().manual_seed(0)
    data, fresh = toy.sample(4000, g), toy.sample(500, g)
    start = data.std(0) * torch.randn(300, 2, generator=g)
    moved = transport(start, data, velocity, steps=steps, batch=300)
    report = toys.mode_report(moved.rows, toy)
    assert report.captured == report.modes
    assert report.high_quality >= quality
    assert report.reverse_kl < 0.04
    level = math.sqrt(sum(energy(toy.sample(300, g), fresh) ** 2 for _ in range(10)) / 10)
    assert abs(energy(moved.rows, fresh)) < 3 * level
    assert energy(start, fresh) > 4 * level
    assert len(moved.speed) == steps
    assert moved.speed[-1] < 0.5 * moved.speed[0]


@pytest.mark.parametrize("velocity", ["critic", "denoisers"])
def test_particles_follow_a_learner(velocity: str) -> None:
    """Onto two normals, 4 apart and of deviation .3: near one of them, and about half at each."""
    g = torch.Generator().manual_seed(0)
    side = 2.0 * torch.randint(2, (2000, 1), generator=g) - 1.0
    data = torch.cat([2.0 * side, torch.zeros(2000, 1)], 1) + 0.3 * torch.randn(2000, 2, generator=g)
    learner = (CriticField if velocity == "critic" else DenoiserField)(data, width=64)
    moved = transport(torch.randn(300, 2, generator=g), data, learner, steps=30).rows
    off = torch.stack([moved[:, 0].abs() - 2.0, moved[:, 1]], 1)
    assert float((off.norm(dim=1) < 0.9).double().mean()) > 0.9
    assert 0.4 < float((moved[:, 0] > 0).double().mean()) < 0.6
    assert 0.25 < float(off.norm(dim=1).median()) < 0.45  # of the data: .353


@pytest.mark.parametrize("velocity", ["wasserstein", "score-difference"])
def test_gaussians_arrive_at_gaussians(velocity: str) -> None:
    """The end's W2^2 from the data's law is under .03, as good as fresh rows (about .01); the start's is 5.2."""
    g = torch.Generator().manual_seed(1)
    p = Gaussian(torch.tensor([2.0, -1.0]), torch.tensor([[1.0, 0.6], [0.6, 0.8]]))
    data, start = p.sample(1000, generator=g), 0.5 * torch.randn(300, 2, generator=g)
    moved = transport(start, data, velocity, steps=10 if velocity == "wasserstein" else 60, batch=500).rows
    assert float(wasserstein2_squared(p, Gaussian(moved.mean(0), moved.T.cov()))) < 0.03


def test_the_wasserstein_flow_follows_the_optimal_map() -> None:
    """From N(b, B) to N(a, A) on a line each row goes to a + (A/B)^1/2 (y - b), in order.

    Both are the mid quantiles of their law, so nothing is random but the float32 rounding and the last blur.
    """
    levels = (torch.arange(200, dtype=torch.float64) + 0.5) / 200
    normal = torch.special.ndtri(levels)[:, None]
    data, start = 3.0 + 2.0 * normal, -1.0 + 0.5 * normal
    moved = transport(start, data, "wasserstein", steps=8, keep=9)
    exact = 3.0 + 4.0 * (start + 1.0)
    assert float((moved.rows - exact).square().mean().sqrt()) < 0.05
    assert bool((moved.rows.diff(dim=0) > 0).all())
    way = moved.path - start  # straight: halfway rows lie between start and end, in order
    assert bool((moved.path[4].diff(dim=0) > 0).all())
    assert float((way[-1] - way[4]).abs().max()) < float(way[-1].abs().max())


# what it takes and gives


def test_it_gives_back_what_it_was_given() -> None:
    rng = np.random.default_rng(0)
    data = rng.normal(5.0, 2.0, (100, 3))
    moved = transport(rng.normal(size=(40, 3)), data, steps=5, keep=3)
    assert isinstance(moved.rows, np.ndarray)
    assert moved.rows.dtype == np.float64
    assert moved.path.shape == (3, 40, 3)
    assert np.array_equal(moved.path[-1], moved.rows)
    start = torch.from_numpy(rng.normal(size=(40, 3))).float()
    kept = transport(start, torch.from_numpy(data), steps=5, keep=6)
    assert kept.rows.dtype == torch.float32
    assert kept.path.shape == (6, 40, 3)
    torch.testing.assert_close(kept.path[0], start, rtol=1e-5, atol=1e-5)
    assert transport(start, data, steps=2).path.shape == (0, 40, 3)
    assert kept.seconds > 0
    for speed, (a, b) in zip(kept.speed, zip(kept.path[:-1], kept.path[1:], strict=True), strict=True):
        assert speed == pytest.approx(float((b - a).norm(dim=1).mean()), rel=1e-4, abs=1e-5)


def test_units_do_not_matter() -> None:
    """Coordinates of very different scales are each brought to their own; a constant one stays."""
    g = torch.Generator().manual_seed(0)
    data, start = torch.randn(200, 2, generator=g), torch.randn(50, 2, generator=g)
    unit, shift = torch.tensor([1000.0, 0.01]), torch.tensor([5000.0, 3.0])
    plain = transport(start, data, steps=20).rows
    there = transport(start * unit + shift, data * unit + shift, steps=20).rows
    torch.testing.assert_close((there - shift) / unit, plain, rtol=0.0, atol=0.02)
    constant = torch.cat([data, torch.full((200, 1), 7.0)], 1)
    moved = transport(torch.cat([start, torch.full((50, 1), 7.0)], 1), constant, steps=20).rows
    torch.testing.assert_close(moved[:, 2], torch.full((50,), 7.0))


def test_images_keep_their_shape_and_range() -> None:
    g = torch.Generator().manual_seed(0)
    data = (torch.rand(80, 1, 4, 4, generator=g) > 0.5).float() * 0.8 + 0.1
    moved = transport(torch.rand(30, 1, 4, 4, generator=g), data, steps=40)
    assert moved.rows.shape == (30, 1, 4, 4)
    assert float((moved.rows - 0.5).abs().mean()) > 0.3  # data: .4; the start: .25


def test_a_seed_fixes_the_rows_and_the_callback_sees_each_step() -> None:
    g = torch.Generator().manual_seed(0)
    data, start = torch.randn(300, 2, generator=g) + 3.0, torch.randn(50, 2, generator=g)
    seen: list[tuple[int, Tensor]] = []
    first = transport(start, data, "mmd", steps=4, batch=64, callback=lambda k, rows: seen.append((k, rows)))
    assert torch.equal(first.rows, transport(start, data, "mmd", steps=4, batch=64).rows)
    assert not torch.equal(first.rows, transport(start, data, "mmd", steps=4, batch=64, seed=1).rows)
    assert [k for k, _ in seen] == [0, 1, 2, 3]
    torch.testing.assert_close(seen[-1][1], first.rows)


def test_an_object_sees_rows_in_their_own_units() -> None:
    g = torch.Generator().manual_seed(0)
    data, start = 10 * torch.randn(300, 2, generator=g) + 30.0, torch.randn(60, 2, generator=g)

    def to_the_mean(y: Tensor, x: Tensor, *, progress: float, generator: Generator) -> Tensor:
        return x.mean(0) - y

    moved = transport(start, data, to_the_mean, steps=2, rate=0.5).rows
    torch.testing.assert_close(moved, 0.25 * start + 0.75 * data.mean(0), rtol=1e-4, atol=1e-4)
    field = ScoreDifferenceField(widths(data))
    assert abs(float(transport(start, data, field, steps=40).rows.mean()) - 30.0) < 3.0


GOOD = torch.randn(20, 2, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize(
    ("x0", "data", "options", "says"),
    [
        (GOOD, GOOD[:, :1], {}, r"rows of x0 have shape \(2,\) but rows of data \(1,\)"),
        (GOOD[:, 0], GOOD[:, 0], {}, r"x0 has shape \(20,\); give rows"),
        (GOOD[:1], GOOD, {}, "x0 has 1 rows"),
        (GOOD, GOOD[:1], {}, "data has 1 rows"),
        (GOOD, torch.ones(20, 2), {}, "all rows of data are equal"),
        (GOOD, torch.ones(20, 1, 3, 3), {}, "rows of x0 have shape"),
        (
            torch.ones(5, 1, 3, 3),
            torch.arange(9.0).reshape(1, 1, 3, 3).repeat(20, 1, 1, 1),
            {},
            "all rows of data are equal",
        ),
        (
            GOOD,
            GOOD.clone().index_fill_(0, torch.tensor([3]), math.nan),
            {},
            "data has a missing or infinite value in row 3",
        ),
        (GOOD + 1j, GOOD, {}, "x0 holds complex numbers"),
        (GOOD, np.array([["a", "b"]] * 20), {}, "data holds"),
        (GOOD, GOOD, {"velocity": "gan"}, "unknown velocity 'gan'; known: score-difference"),
        (GOOD, GOOD, {"steps": 0}, "steps must be positive, not 0"),
        (GOOD, GOOD, {"rate": 0.0}, "rate must be positive, not 0.0"),
        (GOOD, GOOD, {"batch": 1}, "a batch of 1 cannot be compared"),
        (GOOD, GOOD, {"keep": -1}, "keep must be 0 or more"),
    ],
)
def test_bad_input_is_named(x0: object, data: object, options: dict[str, object], says: str) -> None:
    with pytest.raises(InputError, match=says):
        transport(x0, data, **options)  # type: ignore[arg-type]


def test_every_velocity_has_a_line_to_show() -> None:
    for row in VELOCITIES.values():
        assert row.what
        assert row.descends
        assert row.source
        assert row.steps > 0
