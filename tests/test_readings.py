"""Readings: estimates that cover, p-values that are uniform, explanations that point, velocities that are scores."""

import itertools
import math

import pytest
import torch
from scipy.stats import binom
from torch import Tensor

from pushforward import closed_form as cf
from pushforward.closed_form import Gaussian
from pushforward.errors import InputError
from pushforward.fitters import EnergyKernel, GaussianKernel
from pushforward.links import LINKS
from pushforward.readings import (
    KernelStatistic,
    draw_members,
    estimate,
    explain,
    kernel_sums,
    patches,
    permutation_pvalue,
    permutation_test,
    velocity,
)
from pushforward.readings.significance import Gap
from pushforward.witness import Witness

F64 = torch.float64
P = Gaussian(torch.tensor([1.0, 0.0], dtype=F64), torch.tensor([[1.0, 0.3], [0.3, 0.8]], dtype=F64))
Q = Gaussian(torch.tensor([0.0, 0.2], dtype=F64), torch.tensor([[1.2, -0.1], [-0.1, 1.0]], dtype=F64))


def draws(n: int, m: int, seed: int = 0) -> tuple[Tensor, Tensor]:
    g = torch.Generator().manual_seed(seed)
    return P.sample(n, generator=g), Q.sample(m, generator=g)


# estimate


def test_estimate_covers_the_divergence_at_a_tight_witness() -> None:
    """300 repetitions at 95 %: the exact binomial band at 1e-7 is 256 to 299 hits; a standard error wrong by a factor
    .7 covers 83 % (249) and is caught."""
    w, truth = LINKS["kl"](cf.log_ratio(P, Q)), float(cf.kl(P, Q))
    hits = 0
    for seed in range(300):
        e = estimate(w, *draws(300, 200, seed))
        hits += e.low <= truth <= e.high
    assert 256 <= hits <= 299


def test_estimate_is_the_gap_with_its_standard_error() -> None:
    x, y = draws(50, 70)
    w = LINKS["js"](cf.log_ratio(P, Q))
    e = estimate(w, x, y, level=0.9)
    assert e.value == pytest.approx(float(w.gap(x, y)))
    assert e.stderr == pytest.approx(math.sqrt(float(w.phi(x).var() / 50 + w.psi(y).var() / 70)))
    assert e.level == 0.9
    with pytest.raises(InputError, match="two rows"):
        estimate(w, x[:1], y)


# significance


def test_pvalue_counts_itself_and_ties() -> None:
    null = torch.tensor([0.0, 1.0, 2.0, 3.0])
    assert permutation_pvalue(10.0, null) == 1 / 5
    assert permutation_pvalue(2.0, null) == 3 / 5
    assert permutation_pvalue(-1.0, null) == 1.0
    assert permutation_pvalue(1.0, torch.ones(9)) == 1.0


def test_members_choose_n_rows_uniformly(generator: torch.Generator) -> None:
    """Each pair of 5 rows should be chosen 400 times in 4000; six standard deviations are 114 (2e-9 each)."""
    members = draw_members(2, 3, 4000, generator=generator)
    assert members.shape == (5, 4000)
    assert bool((members.sum(0) == 2).all())
    for a, b in itertools.combinations(range(5), 2):
        assert abs(int((members[a] & members[b]).sum()) - 400) < 114


def median_difference(x: Tensor, y: Tensor) -> Tensor:
    return (x.median() - y.median()).abs()


@pytest.mark.parametrize("statistic", [median_difference, KernelStatistic(GaussianKernel(1.0))])
def test_type_one_error_is_exact(statistic: KernelStatistic) -> None:
    """400 tests of equal distributions at alpha = .1 with 19 permutations: rejections ~ Binomial(400, at most .1). A
    correct test exceeds 75 with probability 1e-7; one with level .25 (as when the observed value is left out of 1 + B,
    or rows are reused) does so 99 times in 100."""
    assert binom.sf(75, 400, 0.1) < 1e-7 < 0.99 < binom.sf(75, 400, 0.25)
    g = torch.Generator().manual_seed(0)
    rejections = 0
    for _ in range(400):
        x, y = torch.randn(8, 1, generator=g), torch.randn(11, 1, generator=g)
        rejections += permutation_test(statistic, x, y, permutations=19, generator=g).pvalue <= 0.1
    assert rejections <= 75
    assert rejections >= 10  # and not by never rejecting: a correct test falls below with probability 1e-8


def test_a_batched_null_equals_one_by_one() -> None:
    x, y = draws(30, 20)
    w = LINKS["hellinger"](cf.log_ratio(P, Q))
    for fast in (Gap(w), KernelStatistic(GaussianKernel(1.2)), KernelStatistic(EnergyKernel(), unbiased=False)):
        slow = permutation_test(fast.__call__, x, y, generator=torch.Generator().manual_seed(1))
        quick = permutation_test(fast, x, y, generator=torch.Generator().manual_seed(1))
        assert quick.statistic == pytest.approx(slow.statistic, rel=1e-9)
        assert torch.allclose(quick.null, slow.null, atol=1e-4 * float(slow.null.std()))
        assert quick.pvalue == slow.pvalue
    assert permutation_test(w, x, y, generator=torch.Generator().manual_seed(1)).pvalue == pytest.approx(1 / 501)


def test_permutation_test_refuses() -> None:
    x, y = draws(5, 5)
    g = torch.Generator()
    for a, b, count, message in (
        (x[:0], y, 9, "rows on both sides"),
        (x, y[:, :1], 9, "shape"),
        (x, y, 0, "at least one"),
    ):
        with pytest.raises(InputError, match=message):
            permutation_test(median_difference, a, b, permutations=count, generator=g)
    with pytest.raises(InputError, match="not finite"):
        permutation_test(lambda a, b: (a.sum() - b.sum()) / 0.0, x, y, permutations=9, generator=g)


# kernel sums


def brute_force(kernel: object, x: Tensor, y: Tensor, unbiased: bool) -> float:
    """MMD^2 in float64 from whole matrices of directly computed differences."""
    x, y = x.double(), y.double()

    def k(a: Tensor, b: Tensor) -> Tensor:
        squares = ((a[:, None] - b) ** 2).sum(2)
        return (
            torch.exp(-squares / (2 * kernel.bandwidth**2)) if isinstance(kernel, GaussianKernel) else -squares.sqrt()
        )

    n, m = len(x), len(y)
    xx, yy, xy = k(x, x), k(y, y), k(x, y)
    if unbiased:
        within = (xx.sum() - xx.trace()) / (n * (n - 1)) + (yy.sum() - yy.trace()) / (m * (m - 1))
        return float(within - 2 * xy.mean())
    return float(xx.mean() + yy.mean() - 2 * xy.mean())


@pytest.mark.parametrize("unbiased", [True, False])
@pytest.mark.parametrize("kernel", [GaussianKernel(3.0), EnergyKernel()])
@pytest.mark.parametrize(
    ("dtype", "offset", "shift"), [(torch.float32, 0.0, 0.0), (torch.float32, 100.0, 0.3), (F64, 0.0, 0.3)]
)
def test_statistic_equals_float64_brute_force(
    kernel: GaussianKernel | EnergyKernel, unbiased: bool, dtype: torch.dtype, offset: float, shift: float
) -> None:
    """To 1e-6 relative, also where the statistic is near 0 and where the data are far from the origin."""
    g = torch.Generator().manual_seed(0)
    x = torch.randn(500, 10, generator=g, dtype=dtype) + offset + shift
    y = torch.randn(300, 10, generator=g, dtype=dtype) + offset
    sums = kernel_sums(kernel, x, y, tile=128)
    assert sums.statistic(unbiased=unbiased) == pytest.approx(brute_force(kernel, x, y, unbiased), rel=1e-6)


def test_null_equals_brute_force_on_relabelled_rows() -> None:
    g = torch.Generator().manual_seed(0)
    x, y = torch.randn(90, 4, generator=g), torch.randn(70, 4, generator=g) + 0.2
    members = draw_members(90, 70, 12, generator=g)
    kernel, pooled = GaussianKernel(2.0), torch.cat([x, y])
    null = kernel_sums(kernel, x, y, members, tile=50).null(members)
    truth = torch.tensor([brute_force(kernel, pooled[row], pooled[~row], True) for row in members.T], dtype=F64)
    assert torch.allclose(null, truth, atol=1e-4 * float(truth.std()))


@pytest.mark.parametrize("shift", [0.0, 0.8])
def test_mmd_interval_covers(shift: float) -> None:
    """300 repetitions at 95 %. Under a difference the exact binomial band at 1e-7 is 256 to 299 hits; without one the
    interval is conservative, so only the lower end is asked."""
    p, q = Gaussian.univariate(shift, 1.0), Gaussian.univariate(0.0, 1.0)
    truth = float(cf.mmd_squared(p, q, 1.0))
    g = torch.Generator().manual_seed(0)
    hits = 0
    for _ in range(300):
        e = kernel_sums(GaussianKernel(1.0), p.sample(100, generator=g), q.sample(70, generator=g)).estimate()
        hits += e.low <= truth <= e.high
    assert hits >= 256
    assert shift == 0.0 or hits <= 299


def test_kernel_sums_need_two_rows() -> None:
    with pytest.raises(InputError, match="two rows"):
        kernel_sums(GaussianKernel(1.0), torch.zeros(1, 2), torch.zeros(5, 2))


# explain


def test_explain_points_at_the_feature_and_the_records(generator: torch.Generator) -> None:
    """The third of four features differs by one deviation; at n = 400 its attribution is 20 standard errors of the
    others'."""
    x, y = torch.randn(400, 4, generator=generator), torch.randn(300, 4, generator=generator)
    x[:, 2] += 1.0
    w = LINKS["js"](lambda rows: rows[:, 2] - 0.5)
    e = explain(w, x, y, top=5, generator=generator)
    assert int(e.ranked[0]) == 2
    assert float(e.features[2]) > 0.5 * e.gap > 0.0
    assert torch.equal(e.features[[0, 1, 3]], torch.zeros(3, dtype=F64))
    assert torch.equal(e.missed, x[:, 2].topk(5).indices)
    assert torch.equal(e.given_away, (-y[:, 2]).topk(5).indices)


def test_explain_takes_groups_and_images(generator: torch.Generator) -> None:
    x, y = torch.randn(60, 1, 4, 4, generator=generator), torch.randn(60, 1, 4, 4, generator=generator)
    x[:, 0, 2:, :2] += 1.0
    groups = patches((1, 4, 4), 2)
    assert groups[2] == [8, 9, 12, 13]
    w = LINKS["js"](lambda rows: rows[:, 0, 2:, :2].sum((1, 2)) - 2.0)
    assert int(explain(w, x, y, groups=groups, generator=generator).ranked[0]) == 2
    with pytest.raises(InputError, match="outside"):
        explain(w, x, y, groups=[[99]], generator=generator)
    with pytest.raises(InputError, match="repeats"):
        explain(w, x, y, repeats=1, generator=generator)


# flow


def test_velocity_of_reverse_kl_is_the_score_difference() -> None:
    _, y = draws(1, 50)
    difference = P.score(y) - Q.score(y)
    v = cf.log_ratio(P, Q)
    assert torch.allclose(velocity(LINKS["reverse-kl"](v), y), difference, atol=1e-10)
    scaled = torch.sigmoid(v(y))[:, None] * difference
    assert torch.allclose(velocity(LINKS["js"](v), y), scaled, atol=1e-10)


def test_velocity_moves_the_model_towards_the_data() -> None:
    """A small step along the velocity lowers the divergence: KL(Q||P) falls by |v|^2 eps to first order."""
    _, y = draws(1, 4000)
    w = LINKS["reverse-kl"](cf.log_ratio(P, Q))
    v = velocity(w, y)
    mean = y.mean(0) + 0.1 * v.mean(0)
    moved = Gaussian(mean, (y + 0.1 * v).T.cov())
    assert float(cf.kl(moved, P)) < 0.9 * float(cf.kl(Q, P))
    assert not y.requires_grad


def test_velocity_needs_a_gradient() -> None:
    with pytest.raises(InputError, match="no gradient"):
        velocity(Witness(phi=lambda x: x[:, 0].detach(), psi=lambda y: y[:, 0].detach()), torch.zeros(3, 2))
