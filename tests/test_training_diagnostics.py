"""The statistics behind the diagnostics, each against its closed form or its level.

A test that draws repeats with fixed seeds; where it asks for a level or a mean, the bound is at least 5 standard errors
away from it, so that correct code fails in fewer than 1e-6 of all seeds.
"""

import math

import numpy as np
import pytest
import torch
from scipy import stats
from sklearn.metrics import roc_auc_score
from torch import Tensor

from pushforward import objectives
from pushforward.data.toys import toy
from pushforward.training.diagnostics import clusters, collapse, critic, hopping, oscillation


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def normal(n: int, d: int = 1, seed: int = 0) -> Tensor:
    return torch.randn(n, d, generator=rng(seed), dtype=torch.float64)


# ---- coordinates and clusters


@pytest.mark.parametrize(("name", "k"), [("ring", 8), ("grid", 25)])
def test_separated_modes_are_the_clusters(name: str, k: int) -> None:
    one = toy(name)
    assert one.modes is not None
    found = clusters.fit_clusters(one.sample(4000, rng()), samples=2000, seed=0)
    distance = torch.cdist(one.modes.float(), found.centres).min(1).values
    assert len(found.centres) == k
    assert float(distance.max()) < 0.03
    assert int(found.counts.sum()) == 4000


@pytest.mark.parametrize(("rows", "samples", "k"), [(4000, 2000, 50), (4000, 500, 12), (100, 2000, 5), (20, 2000, 1)])
def test_a_cloud_without_modes_is_cut_into_cells_that_can_be_judged(rows: int, samples: int, k: int) -> None:
    found = clusters.fit_clusters(normal(rows, 2), samples=samples, seed=0)
    assert len(found.centres) == k


def test_coordinates_keep_the_distances_of_rows_on_a_plane() -> None:
    flat = normal(300, 3) @ normal(3, 100, seed=1)
    x = clusters.fit_space(flat.reshape(300, 4, 25).float(), seed=0)(flat.float())
    assert x.shape == (300, clusters.FEW)
    torch.testing.assert_close(torch.pdist(x), torch.pdist(flat.float()), rtol=1e-3, atol=1e-3)


def test_coordinates_of_large_events_come_from_a_projection() -> None:
    two = torch.cat([torch.zeros(50, 3000), torch.ones(50, 3000)]) + 0.1 * normal(100, 3000).float()
    x = clusters.fit_space(two, seed=0)(two)
    apart, within = torch.cdist(x[:50], x[50:]), torch.pdist(x[:50])
    assert float(apart.min()) > 3 * float(within.max())  # the truth: sqrt(3000) = 54.8 against about 7.7


def test_few_numbers_are_taken_as_they_are() -> None:
    x = normal(50, 5).float()
    assert torch.equal(clusters.fit_space(x, seed=0)(x), x)


# ---- collapse


def test_the_effective_number_of_even_and_of_single_shares() -> None:
    assert float(collapse.effective_number(torch.full((7,), 30))) == pytest.approx(7)
    assert float(collapse.effective_number(torch.tensor([0, 50, 0]))) == pytest.approx(1)


def test_missing_is_the_exact_conditional_bound() -> None:
    counts, samples = torch.tensor([5000, 5000, 9000, 1000, 400, 40, 0]), 2000
    at = collapse.missing_at_most(counts, samples)
    each, of_samples = collapse.LEVEL / 7, 1000 / (1000 + 20440)
    assert at[:4].tolist() == [have * 2000 // 20440 // 5 for have in (5000, 5000, 9000, 1000)]  # a fifth of their due
    assert at[4] > 0
    for have, bound in ((400, int(at[4])), (40, int(at[5]))):
        assert stats.binom.cdf(bound, have + bound, of_samples) <= each
        assert stats.binom.cdf(bound + 1, have + bound + 1, of_samples) > each
    assert at[-2:].tolist() == [-1, -1]  # too small to be judged


@pytest.mark.parametrize(("k", "rows"), [(2, 60), (8, 250), (25, 250), (25, 20_000)])
def test_half_of_true_shares_that_few_rows_tell_is_not_called_missing(k: int, rows: int) -> None:
    """Half of the clusters at half of their share, real counts drawn too: at most 1e-3 of readings, here at most 4 of
    4,000 on average; the bound is 17 (false failures: 3e-7). A cluster without samples is seen unless it is tiny."""
    samples, draws = 4000, np.random.default_rng(0)
    share = np.full(k, 1 / k)
    halved = share * np.where(np.arange(k) < k // 2, 0.5, 1.0)
    halved[k // 2 :] *= (1 - halved[: k // 2].sum()) / halved[k // 2 :].sum()
    false = 0
    for _ in range(4000):
        at = collapse.missing_at_most(torch.from_numpy(draws.multinomial(rows, share)), samples)
        false += int((torch.from_numpy(draws.multinomial(samples, halved)) <= at).any())
    assert false <= 17
    assert (at >= 0).double().mean() > 0.5


def test_half_of_every_share_is_not_called_missing_and_a_hundredth_is() -> None:
    """Level: at most 1e-3 of readings, here at most 2 of 2,000 on average; the bound is 12."""
    k, samples = 40, 2000
    at = collapse.missing_at_most(torch.full((k,), 500), samples)
    draws = np.random.default_rng(0)
    halved = np.full(k, 0.5 / k)
    halved[-1] += 0.5
    hundredth = np.full(k, 1 / k)
    hundredth[0] = 0.01 / k
    false = (torch.from_numpy(draws.multinomial(samples, halved, 2000)) <= at).any(1).sum()
    seen = (torch.from_numpy(draws.multinomial(samples, hundredth / hundredth.sum(), 200)) <= at)[:, 0].double().mean()
    assert int(false) <= 12
    assert float(seen) > 0.95  # the truth: .999


def test_coverage_of_equal_distributions() -> None:
    """Its expectation 1 - prod_i (N - i)/(N + M - i) = .9692 in any dimension; 40 repeats have an error of .0015."""
    found = []
    for seed in range(40):
        real, other = normal(500, 3, seed), normal(500, 3, 1000 + seed)
        found.append(float(collapse.coverage(real, collapse.radii(real), other)))
    n, k = 500, collapse.NEIGHBOURS
    truth = 1 - math.prod((n - i) / (2 * n - i) for i in range(1, k + 1))
    assert truth == pytest.approx(0.9692, abs=1e-4)
    assert abs(np.mean(found) - truth) < 5.5 * np.std(found) / math.sqrt(40)


def test_vendi_counts_different_rows() -> None:
    far = 100 * torch.arange(6.0)[:, None]
    assert float(collapse.vendi(far, 1.0)) == pytest.approx(6)
    assert float(collapse.vendi(far[[0, 0, 0, 1, 1, 1]], 1.0)) == pytest.approx(2)
    assert float(collapse.vendi(torch.ones(9, 2), 1.0)) == pytest.approx(1)
    assert collapse.bandwidth(torch.ones(9, 2)) == 1.0


# ---- hopping


def test_jensen_shannon_of_histograms() -> None:
    a, b = torch.tensor([10, 0]), torch.tensor([0, 30])
    assert float(hopping.jensen_shannon(a, b)) == pytest.approx(math.log(2))
    assert float(hopping.jensen_shannon(a, 3 * a)) == pytest.approx(0, abs=1e-12)
    p, q = np.array([0.2, 0.8]), np.array([0.5, 0.5])
    m = (p + q) / 2
    truth = (stats.entropy(p, m) + stats.entropy(q, m)) / 2
    assert float(hopping.jensen_shannon(torch.tensor([2, 8]), torch.tensor([5, 5]))) == pytest.approx(truth)


def test_swapping_before_and_after_leaves_no_divergence_on_average() -> None:
    """Without the correction the mean would be .0025, 50 standard errors from 0; the bound is 6."""
    before = torch.randint(8, (1000,), generator=rng(0))
    after = torch.where(torch.rand(1000, generator=rng(1)) < 0.3, torch.randint(8, (1000,), generator=rng(2)), before)
    net, plain = [], []
    for seed in range(400):
        swap = torch.rand(1000, generator=rng(10 + seed)) < 0.5
        one, two = torch.where(swap, after, before), torch.where(swap, before, after)
        net.append(float(hopping.moved(one, two, 8)[0]))
        plain.append(float(hopping.jensen_shannon(clusters.count(one, 8), clusters.count(two, 8))))
    error = np.std(net) / math.sqrt(400)
    assert np.mean(plain) > 20 * error
    assert abs(np.mean(net)) < 6 * error


def test_all_the_mass_that_moves_is_told() -> None:
    before = torch.zeros(500, dtype=torch.long)
    divergence, share = hopping.moved(before, before + 1, 3)
    assert float(share) == 1
    assert float(divergence) == pytest.approx(math.log(2), rel=0.01)
    assert [float(v) for v in hopping.moved(before, before, 3)] == [0, 0]


def test_clusters_are_held_lost_and_found() -> None:
    share, at_most = torch.full((4,), 0.25), torch.tensor([10, 10, 10, -1])
    held = torch.zeros(4, dtype=torch.bool)
    told = []
    for counts in ([200, 200, 0, 0], [200, 60, 140, 0], [390, 10, 0, 0], [200, 200, 0, 0]):
        held, lost, found = hopping.turn_over(held, torch.tensor(counts), share, at_most)
        told.append((held.int().tolist(), lost.int().tolist(), found.int().tolist()))
    assert told == [
        ([1, 1, 0, 0], [0, 0, 0, 0], [1, 1, 0, 0]),
        ([1, 1, 1, 0], [0, 0, 0, 0], [0, 0, 1, 0]),  # 60 of 100 is neither missing nor newly found
        ([1, 0, 0, 0], [0, 1, 1, 0], [0, 0, 0, 0]),
        ([1, 1, 0, 0], [0, 0, 0, 0], [0, 1, 0, 0]),  # the last is not judged: never held
    ]


# ---- the critic


def test_auc_with_ties_is_scikit_learns() -> None:
    a, b = (normal(80) + 0.5).round(decimals=1)[:, 0], normal(50, seed=1).round(decimals=1)[:, 0]
    truth = roc_auc_score([1] * 80 + [0] * 50, torch.cat([a, b]).numpy())
    assert critic.auc(a, b).value == pytest.approx(truth, abs=1e-12)


@pytest.mark.parametrize("shift", [0.0, 1.0, 3.0])
def test_the_interval_of_the_auc_holds_its_level(shift: float) -> None:
    """Phi(shift/sqrt 2) between normals; 95 % of 600 repeats have an error of .9 %: at least 90.5 % must hold."""
    truth = stats.norm.cdf(shift / math.sqrt(2))
    held = 0
    for seed in range(600):
        found = critic.auc(normal(150, seed=seed)[:, 0] + shift, normal(100, seed=10_000 + seed)[:, 0])
        held += found.low <= truth <= found.high
    assert held >= 543


def test_a_perfect_auc_is_not_certain() -> None:
    found = critic.auc(torch.arange(100.0) + 1000, torch.arange(50.0))
    assert (found.value, found.high) == (1, 1)
    assert 0.9 < found.low < 0.95  # Wilson's 50 of 50: .929


def test_mann_whitney_is_scipys() -> None:
    a, h = normal(70)[:, 0] + 0.3, normal(90, seed=1)[:, 0]
    value, z = critic.mann_whitney(a, h)
    truth = stats.mannwhitneyu(a.numpy(), h.numpy(), alternative="greater", method="asymptotic", use_continuity=False)
    assert value == pytest.approx(truth.statistic / (70 * 90))
    assert stats.norm.sf(z) == pytest.approx(truth.pvalue, rel=1e-9)


def test_the_divergence_of_the_true_log_ratio() -> None:
    """P = N(1, 1), Q = N(0, 1), log p/q = x - 1/2: minimax finds 2 JSD - ln 4, rpgan E log sigma(a - b)."""
    x, y = normal(60_000)[:, 0] + 1, normal(60_000, seed=1)[:, 0]
    nodes, weights = np.polynomial.hermite_e.hermegauss(120)
    weights = weights / weights.sum()

    def log_sigma(v: np.ndarray) -> np.ndarray:
        return -np.logaddexp(0, -v)

    separate = weights @ log_sigma(nodes + 0.5) + weights @ log_sigma(0.5 - nodes)
    paired = weights @ log_sigma(1 + math.sqrt(2) * nodes)
    for name, truth in (("minimax", separate), ("rpgan", paired)):
        found = critic.divergence(objectives.objective(name), x - 0.5, y - 0.5)
        assert abs(found.value - truth) < 6 * found.stderr
        assert found.stderr < 0.01
    assert separate > -math.log(4)


def test_calibration_of_true_of_steep_and_of_shifted_scores() -> None:
    """The truth is slope 1 and error 0; slopes are off by .016 (1 sd), errors by at most .003; the bounds are 6 sd."""
    x, y = normal(20_000)[:, 0] + 1, normal(20_000, seed=1)[:, 0]
    slope, error = critic.calibration(x - 0.5, y - 0.5)
    assert slope == pytest.approx(1, abs=0.1)
    assert error < 0.02
    assert critic.calibration(x + 7, y + 7) == pytest.approx((slope, error), abs=1e-6)
    steep, far = critic.calibration(4 * x - 2, 4 * y - 2)
    assert steep == pytest.approx(slope / 4, rel=1e-6)
    density = stats.norm.pdf
    at = np.linspace(-8, 9, 20_001)
    gap = np.abs(1 / (1 + np.exp(-(at - 0.5))) - 1 / (1 + np.exp(-4 * (at - 0.5))))
    truth = np.trapezoid(gap * (density(at) + density(at - 1)) / 2, at)
    assert far == pytest.approx(truth, abs=0.02)


def test_separated_scores_have_a_finite_slope() -> None:
    slope, error = critic.calibration(torch.full((50,), 3.0), torch.full((50,), -3.0))
    assert math.isfinite(slope)
    assert slope > 1
    assert error == 0  # sigma(-3) = .05 is off by no more than what sampling of 7 rows in a bin explains


def test_saturation_where_samples_are_obvious() -> None:
    a, b = torch.linspace(8, 10, 50), torch.linspace(-10, -8, 50)
    found = {name: critic.saturation(objectives.objective(name), a, b) for name in ("minimax", "ns", "wgan", "rpgan")}
    assert found["minimax"] == pytest.approx(1 - float(torch.sigmoid(b).mean() / torch.sigmoid(a.max())), abs=1e-6)
    assert found["minimax"] > 0.999
    assert max(found["ns"], found["wgan"], found["rpgan"]) < 1e-3


def test_a_loss_without_a_gradient_is_saturated() -> None:
    flat = objectives.Objective("flat", lambda a, b: a - b, lambda a, b: 0 * b)
    assert critic.saturation(flat, torch.zeros(4), torch.ones(4)) == 1


# ---- oscillation


def noise(kind: str, n: int, seed: int) -> np.ndarray:
    from scipy.signal import lfilter

    shocks = np.random.default_rng(seed).standard_normal((2, n + 100))
    slow = lfilter([1], [1, -0.9], shocks[0])[100:]
    return {"white": shocks[1][100:], "red": slow, "both": slow + 2 * shocks[1][100:], "spikes": shocks[0][100:] ** 9}[
        kind
    ]


@pytest.mark.parametrize("kind", ["white", "red", "both", "spikes"])
def test_noise_does_not_oscillate(kind: str) -> None:
    """p <= .05 in about 5 % of 80 series: 4, sd 1.9; the bound is 14, which a level of .3 would pass 1 time in 500."""
    trend = np.linspace(3, 0, 48)
    false = sum(oscillation.peak(list(noise(kind, 48, seed) + trend), draws=99).pvalue <= 0.05 for seed in range(80))
    assert false <= 14


def test_a_sinusoid_in_red_noise_is_found_with_its_period() -> None:
    t = np.arange(64)
    for seed in range(10):
        found = oscillation.peak(list(noise("red", 64, seed) * 0.4 + 1.5 * np.sin(2 * np.pi * t / 8)), draws=999)
        assert found.pvalue <= 0.005
        assert 7 < found.period < 9.2


def test_a_constant_series_has_no_peak() -> None:
    assert oscillation.peak([1.0] * 30).pvalue == 1
