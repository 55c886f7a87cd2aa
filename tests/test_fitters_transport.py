"""Witnesses by transport: dual potentials, entropic potentials, and the Lipschitz critic."""

import math

import ot
import pytest
import torch

from pushforward.closed_form import Gaussian
from pushforward.conformance import check_fitter
from pushforward.errors import InputError
from pushforward.fitters.lipschitz import LipschitzCriticFitter
from pushforward.fitters.sinkhorn import SinkhornFitter
from pushforward.fitters.transport import TransportFitter, exact_plan, ground_cost, masses
from pushforward.readings import velocity

QUICK = LipschitzCriticFitter(width=16, depth=1, steps=150, learning_rate=1e-2)


def pair(n: int, m: int, shift: float, seed: int = 0, d: int = 2) -> tuple[torch.Tensor, torch.Tensor]:
    g = torch.Generator().manual_seed(seed)
    x, y = (torch.randn(k, d, generator=g, dtype=torch.float64) for k in (n, m))
    x[:, 0] += shift
    return x, y


def fit(fitter: object, x: torch.Tensor, y: torch.Tensor) -> object:
    return fitter(x, y, generator=torch.Generator().manual_seed(0))


def translation(p: Gaussian, q: Gaussian) -> torch.Tensor:
    """W_1 of two Gaussians that differ by a shift alone is its length."""
    return (p.mean - q.mean).norm()


def test_conformance() -> None:
    check_fitter(TransportFitter(), n=80, m=60, divergence=translation)
    check_fitter(TransportFitter(p=2.0), n=80, m=60)
    check_fitter(SinkhornFitter(blur=1.0), n=200, m=150)
    check_fitter(SinkhornFitter(reach=2.0), n=200, m=150)
    check_fitter(QUICK)


def test_w1_witness_is_certified_and_tight() -> None:
    x, y = pair(60, 45, 0.7)
    w = fit(TransportFitter(), x, y)
    truth = ot.emd2([], [], ot.dist(x.numpy(), y.numpy(), metric="euclidean"))
    assert float(w.gap(x, y)) == pytest.approx(truth, rel=1e-9)
    z = torch.cat([x, y, 3.0 * pair(200, 200, 5.0, 1)[0]])
    rise, run = (w.psi(z)[:, None] - w.psi(z)).abs(), torch.cdist(z, z, compute_mode="donot_use_mm_for_euclid_dist")
    assert bool((rise <= run + 1e-9).all())
    assert float(rise[run > 0].div(run[run > 0]).max()) > 0.999  # the bound is reached, so the check could fail
    step = velocity(w, y)  # a mean of unit vectors where a row is split
    assert float(step.norm(dim=1).max()) <= 1.0 + 1e-9
    moved = ot.emd2([], [], ot.dist(x.numpy(), (y + 0.1 * step).numpy(), metric="euclidean"))
    assert moved < truth - 0.05
    assert w.psi(y.float()).dtype == torch.float32
    assert torch.isfinite(w.psi(torch.ones(2, 2, dtype=torch.int64))).all()


def test_w2_witness_is_tight_and_bounds_at_the_fitted_rows() -> None:
    x, y = pair(40, 55, 0.7)
    w = fit(TransportFitter(p=2.0), x, y)
    truth = ot.emd2([], [], ot.dist(x.numpy(), y.numpy()))
    assert float(w.gap(x, y)) == pytest.approx(truth, rel=1e-9)
    z = 2.0 * pair(300, 300, 0.0, 1)[0]
    assert bool((w.phi(x)[:, None] - w.psi(z) <= ground_cost(x, z, 2.0) + 1e-9).all())
    assert bool((w.phi(z)[:, None] - w.psi(y) <= ground_cost(z, y, 2.0) + 1e-9).all())
    assert "certified" not in w.tags
    step = velocity(w, y)  # of psi = max_i (u_i - |y - x_i|^2): twice the way to the row it is sent to
    assert ot.emd2([], [], ot.dist(x.numpy(), (y + 0.5 * step).numpy())) < 0.2 * truth


@pytest.mark.parametrize("reach", [None, 1.0])
@pytest.mark.parametrize("debiased", [True, False])
def test_sinkhorn_witness_is_tight(reach: float | None, debiased: bool) -> None:
    from pushforward.twosample.transport_sinkhorn import SinkhornStatistic

    x, y = pair(40, 30, 0.7)
    w = fit(SinkhornFitter(0.5, reach, debiased), x, y)
    value = float(SinkhornStatistic(0.5, reach, debiased)(x, y))
    assert float(w.gap(x, y)) == pytest.approx(value, rel=1e-5)
    assert "certified" not in w.tags


def test_lipschitz_critic_estimates_w1_from_below() -> None:
    """A shift by 2, whose W_1 is 2: the held-out gap of 1000 rows a side has a standard error below .07."""
    x, y = pair(300, 300, 2.0)
    w = fit(LipschitzCriticFitter(width=16, steps=150, learning_rate=1e-2), x, y)
    fresh = pair(1000, 1000, 2.0, 1)
    assert 1.3 < float(w.gap(*fresh)) < 2.0 + 6 * 0.07
    assert w.tags == {"differentiable"}
    steep = velocity(w, torch.cat([x, y])).norm(dim=1)
    assert 0.5 < float(steep.max()) < 1.0 + 1e-6
    scaled = fit(LipschitzCriticFitter(width=16, steps=150, learning_rate=1e-2), 100.0 * x + 7.0, 100.0 * y + 7.0)
    assert float(scaled.gap(100.0 * fresh[0] + 7.0, 100.0 * fresh[1] + 7.0)) == pytest.approx(
        100.0 * float(w.gap(*fresh)), rel=0.2
    )


def test_transport_that_stops_early_is_an_error() -> None:
    x, y = pair(60, 60, 0.0)
    even = masses(None, x, "x")
    with pytest.raises(InputError, match=r"exact transport stopped early .*more than 3 iterations"):
        exact_plan(ground_cost(x, y, 1.0), even, even, iterations=3)


def test_plan_and_its_variance() -> None:
    x, y = pair(30, 20, 1.0)
    a, b = torch.rand(30, generator=torch.Generator().manual_seed(0)), None
    plan = exact_plan(ground_cost(x, y, 2.0), masses(a, x, "a"), masses(b, y, "b"))
    assert float(plan.mass.sum()) == pytest.approx(1.0)
    assert plan.cost == pytest.approx(float(masses(a, x, "a") @ plan.u + plan.v.mean()), rel=1e-9)
    assert bool((plan.u[:, None] + plan.v <= ground_cost(x, y, 2.0) + 1e-9).all())
    even = masses(None, x, "a"), masses(None, y, "b")
    assert plan.variance(*even) == pytest.approx(float(plan.u.var() / 30 + plan.v.var() / 20))


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ([1.0, 2.0], "one weight for each of 3 rows"),
        ([1.0, -1.0, 1.0], "not negative"),
        ([0.0, 0.0, 0.0], "not all 0"),
        ([1.0, math.nan, 1.0], "finite"),
    ],
)
def test_unusable_weights(weights: list[float], message: str) -> None:
    with pytest.raises(InputError, match=message):
        masses(torch.tensor(weights), torch.zeros(3, 1), "weights_x")


@pytest.mark.parametrize(
    ("fitter", "message"),
    [
        (TransportFitter(p=3.0), "p=1 or p=2, not 3"),
        (SinkhornFitter(blur=-1.0), "blur must be a positive number"),
        (SinkhornFitter(blur="median"), "blur must be a positive number"),
        (SinkhornFitter(reach=0.0), "reach must be a positive number"),
        (SinkhornFitter(blur=1e-3, iterations=2), "did not converge at blur=0.001.*larger blur"),
        (LipschitzCriticFitter(), "at least 8 rows on each side, not 5 and 4"),
    ],
)
def test_unusable_fitters(fitter: object, message: str) -> None:
    with pytest.raises(InputError, match=message):
        fit(fitter, *pair(5, 4, 1.0))
