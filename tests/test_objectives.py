"""What the objectives estimate, on distributions where the truth is known.

Losses of a batch as a whole, and of pairs, are evaluated exactly: P and Q have a few atoms with whole counts, so a
batch holds every atom in its true share (and a batch of pairs every pair). Losses of rows are integrated by quadrature.
"""

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor

from pushforward.conformance import check_objective
from pushforward.fitters.kernel import EnergyKernel, GaussianKernel
from pushforward.objectives import OBJECTIVES, Objective, direct, embedded, relativistic_average
from pushforward.objectives.batches import QUADRATICS
from pushforward.objectives.statistics import KernelDistance, SinkhornDistance
from pushforward.twosample.kernels import KernelLoss
from pushforward.twosample.transport_sinkhorn import SinkhornStatistic

F64 = torch.float64


def rng(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


# ---- by quadrature: P = N(0, 1), Q = N(.6, 1.3^2), whose f-divergences are all finite

T = torch.linspace(-12.0, 14.0, 26001, dtype=F64)
Q_MEAN, Q_DEVIATION = 0.6, 1.3
P = torch.exp(-0.5 * T**2) / math.sqrt(2 * math.pi)
Q = torch.exp(-0.5 * ((T - Q_MEAN) / Q_DEVIATION) ** 2) / (Q_DEVIATION * math.sqrt(2 * math.pi))
V = 0.5 * ((T - Q_MEAN) / Q_DEVIATION) ** 2 - 0.5 * T**2 + math.log(Q_DEVIATION)
R = V.exp()


def integral(values: Tensor) -> float:
    return float(torch.trapezoid(values, T))


def value(objective: Objective, scores: Tensor) -> float:
    """Minus the critic's expected loss, for a loss that is a sum of one of a and one of b."""
    assert objective.critic is not None
    zero = torch.zeros_like(scores)
    both = P * objective.critic(scores, zero) + Q * objective.critic(zero, scores)
    return -(integral(both) - float(objective.critic(zero, zero)[0]))


TV = integral((P - Q).abs()) / 2
TRIANGULAR = integral((P - Q) ** 2 / (P + Q))
M = (P + Q) / 2
JSD = integral(P * (P / M).log() + Q * (Q / M).log()) / 2
KL, REVERSE = integral(P * V), -integral(Q * V)
HELLINGER = integral((P.sqrt() - Q.sqrt()) ** 2)
SIGN = V.sign()

# the best scores, from the table of f-GAN's outputs, and what is then attained
OPTIMA: dict[str, tuple[Tensor, float]] = {
    "minimax": (V, 2 * JSD - math.log(4)),
    "ns": (V, 2 * JSD - math.log(4)),
    "feature-matching": (V, 2 * JSD - math.log(4)),
    "gan": (V, 2 * JSD - math.log(4)),
    "lsgan": (P / (P + Q), TRIANGULAR / 4 - 0.5),
    "hinge": (SIGN, 2 * TV - 2),
    "ebgan": (torch.where(V > 0, 40.0, -math.log(math.e - 1)), TV - 1),
    "kl": (1 + V, KL),
    "reverse-kl": (V, REVERSE),
    "js": (V, 2 * JSD),
    "jeffreys": (1 + V - 1 / R, KL + REVERSE),
    "pearson": (2 * (R - 1), integral((P - Q) ** 2 / Q)),
    "neyman": (2 * V, integral((P - Q) ** 2 / P)),
    "hellinger": (V / 2, HELLINGER),
    "alpha": (V, 2 * HELLINGER),
    "tv": (20 * SIGN, TV),
}


def test_every_loss_of_rows_has_its_optimum_here() -> None:
    rows = {name for name, one in OBJECTIVES.items() if one.critic and not (one.reads != "features" and one.joint)}
    rows = {name.removesuffix("-ns") for name in rows if not OBJECTIVES[name].paired or name == "feature-matching"}
    assert rows == set(OPTIMA) | {"wgan"}


@pytest.mark.parametrize("name", OPTIMA)
def test_the_best_critic_attains_what_is_estimated(name: str) -> None:
    """V* = 2 JSD - ln 4 for the logistic losses, 2 TV - 2 for the hinge, D_f for an f-divergence; and no
    score does better."""
    scores, expected = OPTIMA[name]
    for variant in (name, f"{name}-ns"):
        if variant not in OBJECTIVES:
            continue
        objective = OBJECTIVES[variant]
        # the best score of Jeffreys is -1/r in the tails, and links clamp scores (at 670 here)
        assert value(objective, scores) == pytest.approx(expected, abs=2e-4 if name == "jeffreys" else 2e-6)
        for change in (0.3 * torch.sin(T), torch.full_like(T, 0.1), -0.2 * SIGN):
            assert value(objective, scores + change) < expected + 1e-9


def test_the_gaussian_closed_form() -> None:
    """The quadrature itself: KL(P||Q) = ln s + (1 + m^2)/(2 s^2) - 1/2."""
    exact = math.log(Q_DEVIATION) + (1 + Q_MEAN**2) / (2 * Q_DEVIATION**2) - 0.5
    assert pytest.approx(exact, abs=1e-9) == KL


# ---- exactly: atoms with whole counts

COUNTS_P, COUNTS_Q = torch.tensor([7, 1, 4, 6, 2]), torch.tensor([2, 5, 4, 1, 8])
P_ATOMS, Q_ATOMS = COUNTS_P.double() / 20, COUNTS_Q.double() / 20
T_ATOMS = float(((P_ATOMS - Q_ATOMS) ** 2 / (P_ATOMS + Q_ATOMS)).sum())
LOG_RATIO = (P_ATOMS / Q_ATOMS).log()


def kl(p: Tensor, q: Tensor) -> float:
    return float((p * (p / q).log()).sum())


def batches(d: Tensor) -> tuple[Tensor, Tensor]:
    """Scores `(5,)` of the atoms -> those of a batch of P and one of Q, `(20,)` each, the shares exact."""
    return d.repeat_interleave(COUNTS_P), d.repeat_interleave(COUNTS_Q)


def pairs(d: Tensor) -> tuple[Tensor, Tensor]:
    """The same with every row of P beside every row of Q, `(400,)` each."""
    a, b = batches(d)
    return a.repeat_interleave(20), b.repeat(20)


def best(objective: Objective, batch: Callable[[Tensor], tuple[Tensor, Tensor]]) -> tuple[float, Tensor]:
    """The least critic loss over all scores of the atoms, negated, and those scores."""
    from scipy.optimize import minimize

    def loss(at: np.ndarray) -> tuple[float, np.ndarray]:
        d = torch.tensor(at, requires_grad=True)
        found = objective.critic(*batch(d)).mean()
        return found.item(), torch.autograd.grad(found, d)[0].numpy()

    found = minimize(loss, np.zeros(5), jac=True, method="BFGS", options={"gtol": 1e-10, "maxiter": 1000})
    return -float(found.fun), torch.tensor(found.x)


def centred(d: Tensor) -> Tensor:
    return d - d.mean()


PRODUCT = (P_ATOMS[:, None] * Q_ATOMS).flatten(), (Q_ATOMS[:, None] * P_ATOMS).flatten()
MIXED = (PRODUCT[0] + PRODUCT[1]) / 2
FISHER = centred((P_ATOMS - Q_ATOMS) / (P_ATOMS + Q_ATOMS))


@pytest.mark.parametrize(
    ("name", "batch", "expected", "scores"),
    [
        ("minimax", batches, kl(P_ATOMS, (P_ATOMS + Q_ATOMS) / 2) + kl(Q_ATOMS, (P_ATOMS + Q_ATOMS) / 2) - math.log(4),
         LOG_RATIO),
        ("rpgan", pairs, (kl(PRODUCT[0], MIXED) + kl(PRODUCT[1], MIXED)) / 2 - math.log(2), LOG_RATIO),
        ("rplsgan", pairs, -(2 - T_ATOMS) / (2 + T_ATOMS), 2 / (2 + T_ATOMS) * FISHER),
        ("ralsgan", batches, -2 * (2 - T_ATOMS) / (2 + 3 * T_ATOMS), 4 / (2 + 3 * T_ATOMS) * FISHER),
        ("softmax", batches, kl(P_ATOMS, (P_ATOMS + Q_ATOMS) / 2), (P_ATOMS / (P_ATOMS + Q_ATOMS)).log()),
    ],
)  # fmt: skip
def test_the_critic_finds_its_optimum(
    name: str, batch: Callable[[Tensor], tuple[Tensor, Tensor]], expected: float, scores: Tensor
) -> None:
    """Over every critic there is, the best value and the scores that attain it are those that the table names."""
    found, at = best(OBJECTIVES[name], batch)
    assert found == pytest.approx(expected, abs=1e-9)
    torch.testing.assert_close(centred(at), centred(scores), atol=1e-5, rtol=0)


def test_the_logistic_critic_is_a_calibrated_probability() -> None:
    """sigma(h*) = p/(p + q), where h* is found by training and not put in."""
    _, scores = best(OBJECTIVES["ns"], batches)
    torch.testing.assert_close(scores.sigmoid(), P_ATOMS / (P_ATOMS + Q_ATOMS), atol=1e-6, rtol=0)


def test_paired_hinge_is_bounded_by_the_products_distance() -> None:
    """sup_D of rphinge, by linear programming: below TV(P x Q, Q x P) - 1, and equal to it for two-valued ratios."""
    from scipy.optimize import linprog

    def program(p: Tensor, q: Tensor) -> tuple[float, float]:
        """min sum_ij p_i q_j s_ij with s_ij >= 1 - (d_i - d_j), s >= 0, over d and s."""
        k = len(p)
        first, second = torch.cartesian_prod(torch.arange(k), torch.arange(k)).T
        a = torch.zeros(k * k, k + k * k, dtype=F64)
        a[torch.arange(k * k), first] -= 1.0
        a[torch.arange(k * k), second] += 1.0
        a[:, k:] = -torch.eye(k * k, dtype=F64)
        weights = torch.cat([torch.zeros(k, dtype=F64), (p[:, None] * q).flatten()])
        bounds = [(None, None)] * k + [(0, None)] * k**2
        found = linprog(weights.numpy(), A_ub=a.numpy(), b_ub=-torch.ones(k * k).numpy(), bounds=bounds)
        return -found.fun, float((p[:, None] * q - q[:, None] * p).abs().sum()) / 2 - 1

    attained, bound = program(P_ATOMS, Q_ATOMS)
    assert attained < bound - 1e-3
    attained, bound = program(torch.tensor([0.7, 0.3], dtype=F64), torch.tensor([0.2, 0.8], dtype=F64))
    assert attained == pytest.approx(bound, abs=1e-9)


@pytest.mark.parametrize(("name", "alike"), [("ragan", -2 * math.log(2)), ("rahinge", -2.0), ("ralsgan", -2.0)])
def test_averages_are_least_where_the_distributions_agree(name: str, alike: float) -> None:
    """No critic beats a constant when P = Q, and one does when they differ."""
    critic = OBJECTIVES[name].critic
    g = rng(0)
    for _ in range(50):
        d = torch.randn(5, generator=g, dtype=F64)
        same = d.repeat_interleave(COUNTS_P)
        assert -float(critic(same, same).mean()) <= alike + 1e-12
    assert -float(critic(*batches(0.5 * LOG_RATIO)).mean()) > alike + 0.1


def test_averages_are_their_formulas() -> None:
    a, b = torch.tensor([0.7, -1.2], dtype=F64), torch.tensor([-0.4, 2.0], dtype=F64)
    sp, ma, mb = torch.nn.functional.softplus, a.mean(), b.mean()
    torch.testing.assert_close(OBJECTIVES["ragan"].critic(a, b), sp(-(a - mb)) + sp(b - ma))
    torch.testing.assert_close(OBJECTIVES["ragan"].generator(a, b), sp(-(b - ma)) + sp(a - mb))
    torch.testing.assert_close(OBJECTIVES["rahinge"].critic(a, b), (1 - a + mb).relu() + (1 + b - ma).relu())
    torch.testing.assert_close(OBJECTIVES["ralsgan"].generator(a, b), (b - ma - 1) ** 2 + (a - mb + 1) ** 2)


def test_softmax_is_its_formula() -> None:
    """Lin (2017), eq. 6 and 8, with the score as minus the energy; there sums of n each, so ln 2n more."""
    a, b = torch.tensor([0.7, -1.2, 0.1], dtype=F64), torch.tensor([-0.4, 2.0, 0.3], dtype=F64)
    z = (a.exp().sum() + b.exp().sum()).log() - math.log(6)
    torch.testing.assert_close(OBJECTIVES["softmax"].critic(a, b), z - a.mean())
    torch.testing.assert_close(OBJECTIVES["softmax"].generator(a, b), z - (a.sum() + b.sum()) / 6)


# ---- distances between batches


def rows(seed: int, *, n: int = 60, m: int = 45, d: int = 3) -> tuple[Tensor, Tensor]:
    g = rng(seed)
    x, y = torch.randn(n, d, generator=g, dtype=F64), torch.randn(m, d, generator=g, dtype=F64)
    return 1.5 * x + 20.0, (0.8 * y + 20.7).requires_grad_()


def both(loss: Callable[[Tensor, Tensor], Tensor], x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    found = loss(x, y)
    return found.detach(), torch.autograd.grad(found, y)[0]


def test_energy_distance_is_its_definition() -> None:
    x, y = rows(1)
    found = OBJECTIVES["energy"].generator(x, y)
    within = [torch.nn.functional.pdist(z).mean() for z in (x, y)]
    torch.testing.assert_close(found, 2 * torch.cdist(x, y).mean() - within[0] - within[1], atol=1e-9, rtol=1e-9)
    torch.testing.assert_close(-OBJECTIVES["cramer"].critic(x, y), found)


@pytest.mark.parametrize(
    ("name", "kernel"), [("energy", EnergyKernel()), ("mmd", QUADRATICS), ("cramer", EnergyKernel())]
)
def test_kernel_losses_agree_with_the_two_sample_statistics(name: str, kernel: object) -> None:
    """The value and the generator's gradient are those of `twosample`'s own loss."""
    x, y = rows(2)
    for one, other in zip(both(OBJECTIVES[name].generator, x, y), both(KernelLoss(kernel), x, y), strict=True):
        torch.testing.assert_close(one, other, atol=1e-9, rtol=1e-7)


def test_gmmn_has_widths_relative_to_the_batch() -> None:
    """Mean of six Gaussian MMD^2 whose widths are 1 to 1/32 of the root mean square distance of two rows; the same
    whatever the units and the origin."""
    x, y = rows(3)
    z = torch.cat([x, y]).detach()
    scale = float(torch.cdist(z, z).square().mean().sqrt())
    each = [KernelLoss(GaussianKernel(scale / 2**k))(x, y) for k in range(6)]
    found = OBJECTIVES["gmmn"].generator(x, y)
    torch.testing.assert_close(found, torch.stack(each).mean(), atol=1e-9, rtol=1e-7)
    torch.testing.assert_close(OBJECTIVES["gmmn"].generator(100 * x - 3, 100 * y - 3), found, atol=1e-9, rtol=1e-7)


def test_sinkhorn_agrees_with_the_two_sample_statistic() -> None:
    """Value and gradient, at the same blur, the other solved until it has converged."""
    x, y = rows(4)
    z = torch.cat([x, y]).detach()
    scale = float(torch.cdist(z, z).square().mean().sqrt())
    for blur, tolerance, slack in ((0.2, 1e-6, 1e-4), (0.1, 1e-3, 6e-2)):
        exact = both(SinkhornStatistic(blur=blur * scale, tolerance=1e-9, iterations=5000), x, y)
        found = both(SinkhornDistance(blur=blur), x, y)
        torch.testing.assert_close(found[0], exact[0], atol=0, rtol=tolerance)
        assert float((found[1] - exact[1]).norm() / exact[1].norm()) < slack
    longer = SinkhornDistance(blur=0.1, last=1000)(x, y)
    torch.testing.assert_close(longer.detach(), exact[0], atol=1e-5, rtol=0)


def test_sinkhorn_gradient_is_that_of_its_value() -> None:
    x, y = rows(5, n=20, m=15, d=2)
    distance = SinkhornDistance(blur=0.2, last=200)
    (slope,) = torch.autograd.grad(distance(x, y), y)
    way, step = torch.randn(y.shape, generator=rng(6), dtype=F64), 1e-5
    way = way - way.mean(0)
    # the blur is relative to the batch and a constant in the gradient, so the batch's size is kept on the way
    centre, size = torch.cat([x, y]).mean(0).detach(), (torch.cat([x, y]) - torch.cat([x, y]).mean(0)).detach()[20:]
    way = way - (way * size).sum() / size.square().sum() * size
    assert float(centre.norm()) > 0
    change = (distance(x, y.detach() + step * way) - distance(x, y.detach() - step * way)) / (2 * step)
    torch.testing.assert_close((slope * way).sum(), change, atol=1e-6, rtol=1e-4)


@pytest.mark.parametrize("name", ["mmd", "cramer", "sinkhorn-learned", "gmmn", "energy", "sinkhorn"])
def test_distances_fall_to_zero_when_descended(name: str) -> None:
    """Rows moved down the gradient (of the mean, so times their number) come to resemble the data."""
    objective = OBJECTIVES[name]
    g = rng(7)
    x = torch.randn(30, 2, generator=g, dtype=F64)
    y = (torch.randn(30, 2, generator=g, dtype=F64) * 0.3 + 1.5).requires_grad_()
    first = float(objective.generator(x, y).detach())
    for _ in range(25):
        (slope,) = torch.autograd.grad(objective.generator(x, y), y)
        y = (y - {"gmmn": 20.0, "mmd": 20.0}.get(name, 10.0) * slope).detach().requires_grad_()
    assert float(objective.generator(x, y).detach()) < 0.3 * first
    assert float((y.mean(0) - x.mean(0)).norm().detach()) < 1.2  # from 2.0


# ---- every row of the table


@pytest.mark.parametrize("name", sorted(OBJECTIVES))
def test_the_table(name: str) -> None:
    one = OBJECTIVES[name]
    check_objective(one)
    assert one.name == name
    assert one.estimates
    assert one.tight
    assert one.source


def test_the_issue_s_families_are_there() -> None:
    names = """minimax ns lsgan hinge wgan kl reverse-kl js pearson neyman hellinger jeffreys tv alpha kl-ns js-ns rpgan
    rphinge rplsgan ragan rahinge ralsgan ebgan softmax mmd cramer sinkhorn sinkhorn-learned gmmn energy
    feature-matching"""
    assert set(names.split()) <= set(OBJECTIVES)


def batch_of(one: Objective, player: str, seed: int) -> tuple[Tensor, Tensor]:
    wide = one.reads in ("data", "embedding") or (one.reads == "features" and player == "generator")
    shape = (6, 5) if wide else (6,)
    g = rng(seed)
    return torch.randn(shape, generator=g), torch.randn(shape, generator=g)


@pytest.mark.parametrize("name", sorted(OBJECTIVES))
@pytest.mark.parametrize("scale", [0.0, 1e-12, 1e9])
def test_losses_and_gradients_are_finite_at_extremes(name: str, scale: float) -> None:
    """Constant, tiny and enormous values in float32, all alike and far apart."""
    one = OBJECTIVES[name]
    for player, loss in (("critic", one.critic), ("generator", one.generator)):
        if loss is None:
            continue
        for offset in (0.0, 1e9, -1e9):
            a, b = batch_of(one, player, 8)
            a, b = (scale * a).requires_grad_(), (scale * b + offset).requires_grad_()
            found = loss(a, b)
            slopes = torch.autograd.grad(found.mean(), (a, b), allow_unused=True)
            assert found.isfinite().all()
            assert all(slope.isfinite().all() for slope in slopes if slope is not None)


def test_one_row_is_too_few_to_compare() -> None:
    with pytest.raises(Exception, match="1 is too few; raise batch_size"):
        OBJECTIVES["mmd"].generator(torch.zeros(1, 2), torch.zeros(1, 2))


def test_own_distances_and_averages() -> None:
    """One line each: a distance on an embedding, the same on the data, and a margin loss against averages."""
    laplace = KernelDistance(EnergyKernel(), relative=True)
    check_objective(embedded("mine", laplace))
    check_objective(direct("mine", laplace))
    check_objective(relativistic_average("mine", lambda margin: (-margin).exp()))
