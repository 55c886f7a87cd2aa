"""Velocities by name, those that learn, and those of a witness."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn

from pushforward import closed_form
from pushforward.closed_form import Gaussian
from pushforward.errors import InputError
from pushforward.fitters import KernelFitter
from pushforward.flow import (
    VELOCITIES,
    CriticField,
    DenoiserField,
    DriftField,
    Learner,
    MMDField,
    ScoreDifferenceField,
    Velocity,
    Widths,
    networks,
    of_witness,
    velocity,
    velocity_by_name,
    widths,
)
from pushforward.links import LINKS
from pushforward.readings.flow import velocity as reading
from pushforward.witness import Witness

P = Gaussian.isotropic(torch.tensor([1.0, 0.5]), 0.6)
Q = Gaussian.isotropic(torch.tensor([0.0, 0.0]), 1.0)


def samples(n: int, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Model rows of Q and data rows of P."""
    g = torch.Generator().manual_seed(seed)
    return Q.sample(n, generator=g), P.sample(n, generator=g)


@pytest.fixture
def small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(networks, "BATCH", 64)


@pytest.mark.parametrize("name", VELOCITIES)
@pytest.mark.parametrize("event", [(3,), (2, 4, 5)])
def test_every_velocity_moves_rows_of_any_shape_towards_the_data(
    name: str, event: tuple[int, ...], small_batches: None
) -> None:
    """The displacement has the rows' shape and no gradient, a seed fixes it, and its mean points at the data."""
    g = torch.Generator().manual_seed(0)
    x, y = torch.randn(60, *event, generator=g) + 1.0, torch.randn(40, *event, generator=g)

    def moved(seed: int) -> Tensor:
        made, source = velocity_by_name(name).make(x, seed=0), torch.Generator().manual_seed(seed)
        assert isinstance(made, Velocity)
        if isinstance(made, Learner):
            assert isinstance(made, nn.Module)
            made.update(y, x, progress=0.2, generator=source)
        return made(y, x, progress=0.2, generator=source)

    v = moved(1)
    assert v.shape == y.shape
    assert v.dtype == y.dtype
    assert not v.requires_grad
    assert torch.equal(v, moved(1))
    assert float(v.mean()) > 0.005
    assert float((y + v).mean()) < 1.5


@pytest.mark.parametrize("name", VELOCITIES)
def test_displacements_have_the_datas_units(name: str, small_batches: None) -> None:
    """Rows ten times as long and elsewhere move ten times as far."""
    y, x = samples(80)

    def moved(scale: float, shift: float) -> Tensor:
        a, b = scale * x + shift, scale * y + shift
        made, source = velocity_by_name(name).make(a, seed=0), torch.Generator().manual_seed(0)
        if isinstance(made, Learner):
            made.update(b, a, progress=0.5, generator=source)
        return made(b, a, progress=0.5, generator=source)

    small, large = moved(1.0, 0.0), moved(10.0, 5.0)
    assert float((large / 10 - small).norm() / small.norm()) < 0.02


def test_an_unknown_velocity_lists_the_known() -> None:
    with pytest.raises(InputError, match=r"unknown velocity 'gan'; known: score-difference, critic, denoisers"):
        velocity_by_name("gan")
    assert {row.name for row in VELOCITIES.values()} == set(VELOCITIES)
    assert velocity is reading


def test_drift_temperatures_fall_from_the_papers_to_the_fine_width() -> None:
    field = DriftField(Widths(2.0, 0.01))
    assert field.temperatures(0.0) == pytest.approx([t * 2.0 * math.sqrt(2) for t in (0.02, 0.05, 0.2)])
    assert field.temperatures(1.0) == pytest.approx([0.01, 0.025, 0.1])
    coarse = DriftField(Widths(2.0, 1.0))
    assert coarse.temperatures(1.0) == pytest.approx(coarse.temperatures(0.0))


def test_noise_injection_reads_the_field_beside_the_rows() -> None:
    y, x = samples(50)
    between = widths(x)

    def moved(noise: float, seed: int) -> Tensor:
        return MMDField(between, noise)(y, x, progress=0.5, generator=torch.Generator().manual_seed(seed))

    assert torch.equal(moved(0.0, 0), moved(0.0, 1))
    assert not torch.equal(moved(0.5, 0), moved(0.5, 1))
    assert float((moved(1e-4, 0) - moved(0.0, 0)).norm() / moved(0.0, 0).norm()) < 0.05  # one more row in the mean


# witnesses


class KnownRatio:
    """A fitter that has nothing to find: the link's witness at ln p/q."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __call__(self, x: Tensor, y: Tensor, *, generator: torch.Generator) -> Witness:
        return LINKS[self.name](closed_form.log_ratio(P, Q))


def test_the_js_velocity_is_sigma_of_v_times_the_score_difference(generator: torch.Generator) -> None:
    y, x = samples(100)
    moved = {
        name: of_witness(KnownRatio(name))(y, x, progress=0.0, generator=generator)
        for name in ("reverse-kl", "js", "gan")
    }
    difference = P.score(y) - Q.score(y)
    torch.testing.assert_close(moved["reverse-kl"], difference, rtol=1e-4, atol=1e-5)
    weight = torch.sigmoid(closed_form.log_ratio(P, Q)(y))[:, None]
    assert float(weight.std()) > 0.1
    torch.testing.assert_close(moved["js"], weight * difference, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(moved["gan"], moved["js"], rtol=1e-5, atol=1e-6)


def test_a_witness_moves_by_the_square_of_its_scale(generator: torch.Generator) -> None:
    y, x = samples(100)
    plain = of_witness(KnownRatio("js"))(y, x, progress=0.0, generator=generator)
    falling = of_witness(KnownRatio("js"), Widths(2.0, 0.5))
    torch.testing.assert_close(falling(y, x, progress=0.0, generator=generator), 4.0 * plain)
    torch.testing.assert_close(falling(y, x, progress=1.0, generator=generator), 0.25 * plain)


def test_fitters_serve_as_velocities(generator: torch.Generator) -> None:
    """The kernel witness moves rows as the MMD field does; one without a gradient says so."""
    y, x = samples(150)
    kernel = of_witness(KernelFitter())(y, x, progress=0.0, generator=generator)
    assert float((kernel * (P.mean - y)).sum(1).mean()) > 0

    def flat(x: Tensor, y: Tensor, *, generator: torch.Generator) -> Witness:
        return Witness(phi=lambda t: t.detach().sum(1), psi=lambda t: t.detach().sum(1))

    with pytest.raises(InputError, match="no gradient"):
        of_witness(flat)(y, x, progress=0.0, generator=generator)


# those that learn


@pytest.mark.parametrize("kind", [CriticField, DenoiserField])
def test_learners_find_the_smoothed_score_difference(kind: type[CriticField] | type[DenoiserField]) -> None:
    """Between Gaussians at one width, after 300 small steps: within a fifth of the closed form in mean square."""
    y, x = samples(2000)
    between = Widths(0.8, 0.79)
    learner = kind(x, between=between, width=32, rounds=30)
    g = torch.Generator().manual_seed(0)
    learner.update(y, x, progress=0.0, generator=g)
    smooth = [Gaussian.isotropic(d.mean, math.sqrt(float(d.covariance[0, 0]) + 0.64)) for d in (P, Q)]
    truth = 0.64 * (smooth[0].score(y) - smooth[1].score(y))
    found = learner(y, x, progress=0.0, generator=g)
    assert float((found - truth).norm() / truth.norm()) < 0.2
    kernel = ScoreDifferenceField(between, own=0.0)(y, x, progress=0.0, generator=g)
    assert float((found - kernel).norm() / kernel.norm()) < 0.25


def test_a_critics_link_is_read_by_the_chain_rule(small_batches: None) -> None:
    y, x = samples(200)
    fields = [CriticField(x, seed=3), CriticField(x, seed=3, link=LINKS["js"])]
    g = torch.Generator()
    for field in fields:
        field.update(y, x, progress=0.3, generator=g.manual_seed(0))
    plain, js = (field(y, x, progress=0.3, generator=g) for field in fields)
    ratio = (js * plain).sum(1) / (plain * plain).sum(1)
    assert float((js - ratio[:, None] * plain).abs().max()) < 1e-5
    assert bool(((ratio > 0) & (ratio < 1)).all())


@pytest.mark.parametrize("kind", [CriticField, DenoiserField])
def test_a_learners_state_is_all_that_it_knows(
    kind: type[CriticField] | type[DenoiserField], small_batches: None
) -> None:
    y, x = samples(200)
    g = torch.Generator()
    taught, fresh = kind(x, seed=1), kind(x, seed=2)
    taught.update(y, x, progress=0.5, generator=g.manual_seed(0))
    expected = taught(y, x, progress=0.5, generator=g)
    assert not torch.equal(fresh(y, x, progress=0.5, generator=g), expected)
    fresh.load_state_dict(taught.state_dict())
    assert torch.equal(fresh(y, x, progress=0.5, generator=g), expected)
