"""The table of f-divergences against quadrature, and the adversarial losses against their formulas."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn.functional import softplus

from pushforward.conformance import check_link, check_objective
from pushforward.errors import InputError
from pushforward.links import FGAN, LINKS, WASSERSTEIN, Link, alpha, fgan_alpha, link
from pushforward.objectives import OBJECTIVES, objective, of_link, relativistic

F64 = torch.float64


@pytest.mark.parametrize("name", LINKS)
def test_links_obey_the_law(name: str) -> None:
    check_link(LINKS[name])


@pytest.mark.parametrize("name", FGAN)
def test_fgan_outputs_bound_the_same_divergences(name: str) -> None:
    check_link(FGAN[name])


def test_wasserstein_claims_no_certificate() -> None:
    check_link(WASSERSTEIN)
    assert "certified" not in WASSERSTEIN.tags


@pytest.mark.parametrize("a", [-1.0, 0.0, 0.3, 0.5, 1.0, 1.7, 2.0])
def test_alpha_obeys_the_law(a: float) -> None:
    check_link(alpha(a))


@pytest.mark.parametrize("a", [-1.0, 0.5, 1.0, 1.01, 1.5, 2.0, 2.5])
def test_alpha_in_an_output_for_training_obeys_the_law(a: float) -> None:
    check_link(fgan_alpha(a))


def test_alpha_in_an_output_for_training_contains_pearsons() -> None:
    v = torch.linspace(-4, 4, 33, dtype=F64)
    assert torch.allclose(fgan_alpha(2.0).phi(v), 0.5 * FGAN["pearson"].phi(2 * v))
    assert torch.allclose(fgan_alpha(2.0).psi(v), 0.5 * FGAN["pearson"].psi(2 * v))


@pytest.mark.parametrize("a", [1.0 + 1e-6, 1.01, 1.3, 1.45, 1.5, 2.0, 3.0])
def test_alpha_in_an_output_for_training_is_tight_at_large_ratios_in_single_precision(a: float) -> None:
    u = torch.tensor([10.0, 1e4], dtype=F64)
    pair, score = fgan_alpha(a), (torch.expm1((a - 1.0) * u.log()) / (a - 1.0)).float()
    assert pair.f is not None
    torch.testing.assert_close(u * pair.phi(score) - pair.psi(score), pair.f(u), rtol=1e-5, atol=0)


@pytest.mark.parametrize("a", [1.01, 1.5, 2.0, 5.0])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_alpha_in_an_output_for_training_stays_finite(a: float, dtype: torch.dtype) -> None:
    v = torch.tensor([-1.0, -0.5, 0.0, 1.0], dtype=dtype) * torch.finfo(dtype).max
    v.requires_grad_()
    psi = fgan_alpha(a).psi(v)
    (slope,) = torch.autograd.grad(psi.sum(), v)
    assert psi.isfinite().all()
    assert slope.isfinite().all()


@pytest.mark.parametrize(
    ("a", "name", "factor"), [(0.5, "hellinger", 2.0), (2.0, "pearson", 0.5), (-1.0, "neyman", 0.5)]
)
def test_alpha_contains_other_rows(a: float, name: str, factor: float) -> None:
    v = torch.linspace(-4, 4, 33, dtype=F64)
    assert torch.allclose(alpha(a).phi(v), factor * LINKS[name].phi(v))
    assert torch.allclose(alpha(a).psi(v), factor * LINKS[name].psi(v))


@pytest.mark.parametrize("limit", [0.0, 1.0])
def test_alpha_is_continuous_in_its_order(limit: float) -> None:
    v = torch.linspace(-3, 3, 25, dtype=F64)
    assert torch.allclose(alpha(limit).phi(v), alpha(limit + 1e-7).phi(v), atol=1e-5)
    assert torch.allclose(alpha(limit).psi(v), alpha(limit + 1e-7).psi(v), atol=1e-5)


# reference: P = .33 N(-1, .065) + .67 N(2, 2), Q = N(mu, sigma^2) fitted under the row's divergence, scored under each
CROSS = {
    "kl": (1.0100, 1.8306, {"kl": 0.2831, "reverse-kl": 0.3502, "js": 0.1346, "jeffreys": 0.6333, "pearson": 0.7379}),
    "reverse-kl": (1.5781, 1.6312, {"kl": 0.3581, "reverse-kl": 0.2482, "js": 0.1359, "jeffreys": 0.6063, "pearson":
    1.4326}), "js": (1.3068, 1.7539, {"kl": 0.2993, "reverse-kl": 0.2745, "js": 0.1281, "jeffreys": 0.5737, "pearson":
    0.9534}), "jeffreys": (1.3216, 1.7029, {"kl": 0.3053, "reverse-kl": 0.2655, "js": 0.1286, "jeffreys": 0.5708,
    "pearson": 1.0006}), "pearson": (0.5737, 1.9273, {"kl": 0.3112, "reverse-kl": 0.5580, "js": 0.1648, "jeffreys":
    0.8693, "pearson": 0.6458}),
}  # fmt: skip


def _density(t: Tensor, mean: float, variance: float) -> Tensor:
    return torch.exp(-0.5 * (t - mean) ** 2 / variance) / math.sqrt(2 * math.pi * variance)


def _gap(pair: Link, mu: float, sigma: float) -> float:
    """E_P phi - E_Q psi at the true log ratio, by quadrature."""
    t = torch.linspace(-12.0, 16.0, 28001, dtype=F64)
    p = 0.33 * _density(t, -1.0, 0.065) + 0.67 * _density(t, 2.0, 2.0)
    q = _density(t, mu, sigma**2)
    v = p.log() - q.log()
    return float(torch.trapezoid(p * pair.phi(v) - q * pair.psi(v), t))


@pytest.mark.parametrize("fitted", CROSS)
def test_cross_table(fitted: str) -> None:
    mu, sigma, scores = CROSS[fitted]
    for name, value in scores.items():
        assert _gap(LINKS[name], mu, sigma) == pytest.approx(value, abs=2e-4), name


@pytest.mark.parametrize("fitted", CROSS)
def test_cross_table_minimum_is_on_the_diagonal(fitted: str) -> None:
    mu, sigma, _ = CROSS[fitted]
    best = _gap(LINKS[fitted], mu, sigma)
    for other, (m, s, _) in CROSS.items():
        assert other == fitted or _gap(LINKS[fitted], m, s) > best
    for dm, ds in ((0.05, 0.0), (-0.05, 0.0), (0.0, 0.05), (0.0, -0.05)):
        assert _gap(LINKS[fitted], mu + dm, sigma + ds) > best


@settings(deadline=None, max_examples=50)
@given(st.floats(-1e30, 1e30), st.floats(-1e30, 1e30))
def test_losses_and_gradients_stay_finite(a: float, b: float) -> None:
    scores = torch.tensor([a]).clamp(-1e9, 1e9), torch.tensor([b]).clamp(-1e9, 1e9)
    for obj in (one for one in OBJECTIVES.values() if one.reads == "scores" and not one.joint):  # row by row, in scores
        s, t = (v.clone().requires_grad_() for v in scores)
        assert obj.critic is not None
        for loss in (obj.critic(s, t), obj.generator(s, t)):
            grads = torch.autograd.grad(loss.sum(), (s, t), allow_unused=True, retain_graph=True)
            assert torch.isfinite(loss).all(), obj.name
            assert all(torch.isfinite(g).all() for g in grads if g is not None), obj.name


@pytest.mark.parametrize("name", OBJECTIVES)
def test_objectives(name: str) -> None:
    check_objective(OBJECTIVES[name])
    assert objective(name) is OBJECTIVES[name]
    assert OBJECTIVES[name].name == name or name == "alpha"


def test_design_names_are_there() -> None:
    names = "minimax ns lsgan hinge wgan rpgan kl reverse-kl js gan pearson neyman hellinger jeffreys tv alpha"
    assert set(names.split()) <= set(OBJECTIVES)


A, B = torch.tensor([0.7, -1.2], dtype=F64), torch.tensor([-0.4, 2.0], dtype=F64)


@pytest.mark.parametrize(
    ("name", "critic", "generator"),
    [
        ("minimax", softplus(-A) + softplus(B), -softplus(B)),
        ("ns", softplus(-A) + softplus(B), softplus(-B)),
        ("lsgan", (A - 1) ** 2 + B**2, (B - 1) ** 2),
        ("hinge", (1 - A).clamp(min=0) + (1 + B).clamp(min=0), -B),
        ("wgan", B - A, -B),
        ("rpgan", softplus(-(A - B)), softplus(-(B - A))),
        ("gan", softplus(-A) + softplus(B), -softplus(B)),
        ("kl", -A + (B - 1).exp(), -(B - 1).exp()),
        ("pearson", -A + B**2 / 4 + B, -(B**2) / 4 - B),
        ("tv", (B.tanh() - A.tanh()) / 2, -B.tanh() / 2),
    ],
)
def test_losses_are_their_formulas(name: str, critic: Tensor, generator: Tensor) -> None:
    assert torch.allclose(OBJECTIVES[name].critic(A, B), critic)
    assert torch.allclose(OBJECTIVES[name].generator(A, B), generator)


def test_non_saturating_signal() -> None:
    """At v, |dG/db| is sigma(v) for minimax and sigma(-v) for ns; -phi of `gan` is the ns loss."""
    v = torch.linspace(-8, 8, 33, dtype=F64, requires_grad=True)
    for name, expected in (("minimax", torch.sigmoid(v)), ("ns", torch.sigmoid(-v))):
        (slope,) = torch.autograd.grad(OBJECTIVES[name].generator(v, v).sum(), v)
        assert torch.allclose(slope.abs(), expected.detach())
    ns = of_link(LINKS["gan"], saturating=False)
    assert torch.allclose(ns.generator(v, v), OBJECTIVES["ns"].generator(v, v))
    check_objective(ns)


def test_jeffreys_conjugate_solves_its_equation() -> None:
    """f*(t) = w + 1/w + t - 2 with w e^w = e^(1-t)."""
    t = torch.linspace(-30, 30, 121, dtype=F64, requires_grad=True)
    psi = FGAN["jeffreys"].psi(t)
    (ratio,) = torch.autograd.grad(psi.sum(), t)  # (f*)'(t) = u where f'(u) = 1 + ln u - 1/u = t
    assert torch.allclose(1 + ratio.log() - 1 / ratio, t, atol=1e-8)
    assert torch.allclose(ratio * t - (ratio - 1) * ratio.log(), psi, rtol=1e-8, atol=1e-8)


def test_relativistic_pairing_of_another_loss() -> None:
    hinge = relativistic("rphinge", lambda margin: (1 - margin).clamp(min=0))
    assert torch.allclose(hinge.critic(A, B), (1 - (A - B)).clamp(min=0))
    check_objective(hinge)


def test_unknown_names_list_the_known() -> None:
    with pytest.raises(InputError, match=r"unknown objective 'gna'; known: alpha, .*gan, .*rpgan"):
        objective("gna")
    with pytest.raises(InputError, match=r"known: .*hellinger"):
        link("l2")
    with pytest.raises(InputError, match=r"write for example alpha:1\.5"):
        link("alpha:x")
    with pytest.raises(InputError, match="finite"):
        alpha(math.inf)


def test_names_and_objects() -> None:
    assert link("js") is LINKS["js"]
    assert link("alpha:1.5").name == "alpha:1.5"
    assert objective(OBJECTIVES["ns"]) is OBJECTIVES["ns"]
    assert objective(LINKS["kl"]).name == "kl"
    check_objective(objective("alpha:1.5"))
