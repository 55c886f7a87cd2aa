"""Closed forms against the reference's numbers, quadrature and each other."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import multivariate_normal

from pushforward import closed_form as cf
from pushforward.closed_form import Gaussian
from pushforward.errors import InputError
from pushforward.links import LINKS, alpha

F64 = torch.float64
GRID = torch.linspace(-40.0, 40.0, 40001, dtype=F64)
CLOSED = {
    "kl": cf.kl,
    "reverse-kl": lambda p, q: cf.kl(q, p),
    "jeffreys": cf.jeffreys,
    "hellinger": cf.hellinger,
    "pearson": cf.pearson,
    "neyman": cf.neyman,
}


def vector(*values: float) -> torch.Tensor:
    return torch.tensor(values, dtype=F64)


def test_frechet_checks() -> None:
    assert float(
        cf.wasserstein2_squared(Gaussian.univariate(0.0, 1.0), Gaussian.univariate(3.0, 2.0))
    ) == pytest.approx(10.0)
    a, b = torch.tensor([[2.0, 1.0], [1.0, 2.0]], dtype=F64), torch.diag(vector(1, 3))
    value = float(cf.wasserstein2_squared(Gaussian(vector(1, -1), a), Gaussian(vector(0, 0), b)))
    assert value == pytest.approx(2.5166852264521, abs=1e-12)
    assert value == pytest.approx(2 + 4 + 4 - 2 * math.sqrt(8 + 2 * math.sqrt(9)), abs=1e-12)


def test_kid_check() -> None:
    zero = torch.zeros(16, dtype=F64)
    value = cf.kid(Gaussian.isotropic(zero, 1.0), Gaussian.isotropic(zero + 0.5, 1.0))
    assert float(value) == pytest.approx(1.02930, abs=5e-6)


def test_kid_by_simulation(generator: torch.Generator) -> None:
    """Within six standard errors of a U-statistic on 20,000 pairs: fails by chance with probability 2e-9."""
    s = torch.tensor([[1.0, 0.3], [0.3, 0.5]], dtype=F64)
    p, q = Gaussian(vector(0.4, -0.2), s), Gaussian(vector(-0.3, 0.1), torch.eye(2, dtype=F64) * 1.5)
    draw = {k: g.sample(20000, generator=generator) for k, g in (("x", p), ("u", p), ("y", q), ("w", q))}

    def kernel(a: str, b: str) -> torch.Tensor:
        return ((draw[a] * draw[b]).sum(1) / 2 + 1) ** 3

    each = kernel("x", "u") + kernel("y", "w") - kernel("x", "y") - kernel("u", "w")
    assert abs(float(each.mean() - cf.kid(p, q))) < 6 * float(each.std()) / math.sqrt(20000)


@settings(max_examples=25, deadline=None)
@given(st.floats(-1.5, 1.5), st.floats(0.75, 1.3), st.sampled_from([*CLOSED, "alpha:0.3", "alpha:1.4"]))
def test_divergences_agree_with_quadrature_of_the_tight_witness(mean: float, deviation: float, name: str) -> None:
    p, q = Gaussian.univariate(0.0, 1.0), Gaussian.univariate(mean, deviation)
    order = float(name.partition(":")[2] or 0)
    pair = alpha(order) if name.startswith("alpha") else LINKS[name]
    closed = cf.alpha(p, q, order) if name.startswith("alpha") else CLOSED[name](p, q)
    x = GRID[:, None]
    w = pair(cf.log_ratio(p, q))
    gap = torch.trapezoid(p.log_prob(x).exp() * w.phi(x) - q.log_prob(x).exp() * w.psi(x), GRID)
    assert float(gap) == pytest.approx(float(closed), rel=1e-6, abs=1e-9)


def test_alpha_limits_are_the_two_kls() -> None:
    p, q = Gaussian.univariate(0.0, 1.0), Gaussian.univariate(1.0, 1.5)
    for order, truth in ((1.0, cf.kl(p, q)), (0.0, cf.kl(q, p))):
        assert float(cf.alpha(p, q, order)) == float(truth)
        assert float(cf.alpha(p, q, order + 1e-6)) == pytest.approx(float(truth), rel=1e-4)


def test_chi_squared_is_infinite_beyond_its_condition() -> None:
    wide, narrow = Gaussian.univariate(0.0, 1.5), Gaussian.univariate(0.0, 1.0)
    assert math.isinf(float(cf.pearson(wide, narrow)))
    assert math.isfinite(float(cf.pearson(narrow, wide)))
    assert math.isinf(float(cf.neyman(narrow, wide)))


def test_equal_covariance_forms() -> None:
    s = torch.tensor([[2.0, 0.5], [0.5, 1.0]], dtype=F64)
    p, q = Gaussian(vector(0, 0), s), Gaussian(vector(1, 1), s)
    delta = math.sqrt(float(vector(1, 1) @ torch.linalg.inv(s) @ vector(1, 1)))

    def phi(t: float) -> float:
        return 0.5 * math.erfc(-t / math.sqrt(2))

    assert float(cf.mahalanobis(p, q)) == pytest.approx(delta)
    assert float(cf.total_variation(p, q)) == pytest.approx(2 * phi(delta / 2) - 1)
    assert float(cf.best_accuracy(p, q)) == pytest.approx((1 + float(cf.total_variation(p, q))) / 2)
    assert float(cf.best_auc(p, q)) == pytest.approx(phi(delta / math.sqrt(2)))
    with pytest.raises(InputError, match="equal covariance"):
        cf.total_variation(p, Gaussian(vector(0, 0), 2 * s))


@pytest.mark.parametrize(("a", "b"), [(0.0, 0.7), (1.2, 0.5), (-0.8, 0.3), (2.0, 0.0)])
def test_wasserstein1_by_quantiles(a: float, b: float) -> None:
    """W1 = int |F^-1 - G^-1| = E|a + bZ|."""
    value = float(cf.wasserstein1(Gaussian.univariate(1.0, 1.0), Gaussian.univariate(1.0 + a, 1.0 + b)))
    z = torch.linspace(-9, 9, 200001, dtype=F64)
    weight = torch.exp(-0.5 * z * z) / math.sqrt(2 * math.pi)
    assert value == pytest.approx(float(torch.trapezoid((a + b * z).abs() * weight, z)), abs=1e-7)


def test_point_masses_as_a_limit() -> None:
    """W1 between points at 0 and theta is |theta|; TV tends to 1 and KL grows without bound."""
    near = [Gaussian.univariate(m, 1e-4) for m in (0.0, 0.3)]
    assert float(cf.wasserstein1(*near)) == pytest.approx(0.3)
    assert float(cf.total_variation(*near)) == pytest.approx(1.0)
    assert float(cf.kl(*near)) > 1e6


def test_sliced_wasserstein_by_directions(generator: torch.Generator) -> None:
    """Six standard errors over 4000 random directions (2e-9)."""
    p, q = Gaussian.isotropic(vector(1, 2, 0), 1.0), Gaussian.isotropic(vector(0, 0, 0), 1.5)
    direction = torch.randn(4000, 3, generator=generator, dtype=F64)
    direction = direction / direction.norm(dim=1, keepdim=True)
    each = (direction @ (p.mean - q.mean)) ** 2 + 0.25
    error = abs(float(each.mean() - cf.sliced_wasserstein2_squared(p, q)))
    assert error < 6 * float(each.std()) / math.sqrt(4000)
    with pytest.raises(InputError, match="isotropic"):
        cf.sliced_wasserstein2_squared(p, Gaussian(p.mean, torch.diag(vector(1, 2, 3))))


def test_mmd_squared_by_quadrature() -> None:
    p, q, s = Gaussian.univariate(0.0, 1.0), Gaussian.univariate(0.7, 1.4), 0.9
    t = torch.linspace(-9, 9, 1201, dtype=F64)
    difference = (p.log_prob(t[:, None]).exp() - q.log_prob(t[:, None]).exp()) * (t[1] - t[0])
    kernel = torch.exp(-0.5 * (t[:, None] - t) ** 2 / s**2)
    assert float(cf.mmd_squared(p, q, s)) == pytest.approx(float(difference @ kernel @ difference), abs=1e-9)


def test_everything_is_zero_between_equal_gaussians() -> None:
    s = torch.tensor([[2.0, 0.5], [0.5, 1.0]], dtype=F64)
    p = Gaussian(vector(1, 2), s)
    for distance in (*CLOSED.values(), cf.wasserstein2_squared, cf.total_variation, cf.kid):
        assert float(distance(p, p)) == pytest.approx(0.0, abs=1e-12)
    assert float(cf.mmd_squared(p, p, 1.0)) == pytest.approx(0.0, abs=1e-12)


def test_gaussian_score_and_samples(generator: torch.Generator) -> None:
    s = torch.tensor([[2.0, 0.5], [0.5, 1.0]], dtype=F64)
    p = Gaussian(vector(1, 2), s)
    x = p.sample(20000, generator=generator).requires_grad_()
    (gradient,) = torch.autograd.grad(p.log_prob(x).sum(), x)
    assert torch.allclose(gradient, p.score(x), atol=1e-10)
    assert torch.allclose(x.mean(0), p.mean, atol=6 * math.sqrt(2 / 20000))
    assert torch.allclose(x.T.cov(), s, atol=6 * math.sqrt(8 / 20000))
    truth = multivariate_normal(p.mean.numpy(), s.numpy()).logpdf(x.detach().numpy())
    assert torch.allclose(p.log_prob(x), torch.from_numpy(truth))
    with pytest.raises(InputError, match="covariance"):
        Gaussian(vector(1, 2), vector(1, 2))
