"""Frechet and kernel distances and measures of variety against closed forms, definitions and simulated coverage."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from pushforward.closed_form import Gaussian, kid, mmd_squared, wasserstein2_squared
from pushforward.errors import InputError
from pushforward.evaluation.fidelity import (
    birthday_test,
    cmmd,
    frechet_distance,
    frechet_from_moments,
    inception_score,
    kernel_distance,
    median_sample,
    repetition_probability,
    spatial_frechet,
    vendi_score,
)
from pushforward.evaluation.fidelity.diversity import near_pairs
from pushforward.evaluation.fidelity.kernel_distances import mmd_estimate
from pushforward.fitters.kernel import GaussianKernel


def normal(n: int, d: int, seed: int, *, mean: float = 0.0, deviation: float = 1.0) -> Tensor:
    draws = torch.randn(n, d, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return mean + deviation * draws


def of_moments(x: Tensor, y: Tensor) -> float:
    return frechet_from_moments(
        real_mean=x.mean(0), real_covariance=x.T.cov(), fake_mean=y.mean(0), fake_covariance=y.T.cov()
    )


# the Frechet distance


def test_frechet_of_known_gaussians() -> None:
    def distance(m1: list, s1: list, m2: list, s2: list) -> float:
        parts = [torch.tensor(part, dtype=torch.float64) for part in (m1, s1, m2, s2)]
        names = ("real_mean", "real_covariance", "fake_mean", "fake_covariance")
        return frechet_from_moments(**dict(zip(names, parts, strict=True)))

    assert distance([0], [[1]], [3], [[4]]) == pytest.approx(10, rel=1e-12)
    two = distance([1, -1], [[2, 1], [1, 2]], [0, 0], [[1, 0], [0, 3]])
    assert two == pytest.approx(2.5166852264521, rel=1e-12)
    assert distance([0, 0], [[1, 1], [1, 1]], [0, 0], [[4, 4], [4, 4]]) == pytest.approx(2, rel=1e-12)  # singular
    assert distance([0, 0], [[1, 0], [0, 0]], [0, 0], [[0, 0], [0, 1]]) == pytest.approx(2, rel=1e-12)


@settings(max_examples=25, deadline=None)
@given(d=st.integers(1, 8), seed=st.integers(0, 10**6), condition=st.floats(0, 4))
def test_frechet_is_the_squared_wasserstein_distance_of_gaussians(d: int, seed: int, condition: float) -> None:
    scale = torch.logspace(0, -condition, d, dtype=torch.float64)
    x, y = normal(50, d, seed) * scale, normal(60, d, seed + 1, mean=0.3)
    truth = wasserstein2_squared(Gaussian(x.mean(0), cov(x)), Gaussian(y.mean(0), cov(y)))
    assert frechet_distance(real=x, fake=y, correct=False).value == pytest.approx(float(truth), rel=1e-9)


def cov(x: Tensor) -> Tensor:
    return x.T.cov().reshape(x.shape[1], x.shape[1])


def test_frechet_agrees_with_the_matrix_square_root() -> None:
    """The definition as pytorch-fid and torch-fidelity have it: |dm|^2 + tr(S1 + S2 - 2 (S1 S2)^1/2)."""
    from scipy.linalg import sqrtm

    x, y = normal(400, 24, 1) @ normal(24, 24, 2), normal(300, 24, 3, mean=0.2) @ normal(24, 24, 4)
    s1, s2 = np.cov(x.numpy(), rowvar=False), np.cov(y.numpy(), rowvar=False)
    shift = (x.mean(0) - y.mean(0)).numpy()
    published = shift @ shift + np.trace(s1 + s2 - 2 * sqrtm(s1 @ s2).real)
    assert frechet_distance(real=x, fake=y, correct=False).value == pytest.approx(published, rel=1e-6)
    in_float32 = frechet_distance(real=x.float(), fake=y.float(), correct=False).value
    assert in_float32 == pytest.approx(published, rel=1e-6)


@pytest.mark.parametrize(("n", "m"), [(20, 30), (20, 200), (200, 20), (40, 41)])
def test_frechet_with_fewer_rows_than_features(n: int, m: int) -> None:
    """The nuclear norm of A B' against singular covariances held whole."""
    x, y = normal(n, 40, 5), normal(m, 40, 6, deviation=1.3)
    assert frechet_distance(real=x, fake=y, correct=False).value == pytest.approx(of_moments(x, y), rel=1e-9)


def test_frechet_is_not_disturbed_by_where_the_data_lie() -> None:
    x, y = normal(500, 6, 7), normal(500, 6, 8, deviation=1.1)
    near, far = (frechet_distance(real=x + shift, fake=y + shift) for shift in (0.0, 1e5))
    assert far.value == pytest.approx(near.value, abs=1e-7)
    assert far.high == pytest.approx(near.high, abs=1e-7)


def test_frechet_null_bias_and_its_correction() -> None:
    """d = 64, n = 2000: the plug-in is 1.104 too large, (1/n + 1/m)(d + d(d+1)/4), and the corrected one right.

    The corrected value has standard deviation .033 (simulated), so a mean of 4 lies within .1 of 0 but for 2e-9; the
    plug-in's sd is the same. Left in, the bias would be 1.104; half of it left in, .55.
    """
    found = []
    for seed in range(4):
        x, y = normal(2000, 64, 100 + seed), normal(2000, 64, 200 + seed)
        estimates = frechet_distance(real=x, fake=y, correct=False), frechet_distance(real=x, fake=y, groups=8)
        found.append([estimate.value for estimate in estimates])
    plug_in, corrected = np.mean(found, 0)
    assert plug_in == pytest.approx(1.104, abs=0.1)
    assert corrected == pytest.approx(0.0, abs=0.1)


def covered(estimates: list, truth: float) -> int:
    return sum(e.low <= truth <= max(e.high, 0.0) or (truth == 0.0 and e.low <= 0.0) for e in estimates)


@pytest.mark.parametrize("mean", [0.0, 0.15, 0.6])
def test_frechet_interval_covers(mean: float) -> None:
    """Nominal 95 %, 120 repetitions; the benchmark page has 400 each.

    At 93 % or more, fewer than 97 of 120 are covered with probability < 1e-6; an interval without the null variance,
    a naive bootstrap's or the plug-in's would be covered in next to none at FD = 0 or at .135.
    """
    d, n = 6, 300
    truth = d * mean**2
    estimates = [
        frechet_distance(real=normal(n, d, 3000 + s), fake=normal(n, d, 6000 + s, mean=mean)) for s in range(120)
    ]
    assert covered(estimates, truth) >= 97
    assert np.mean([e.value for e in estimates]) == pytest.approx(truth, abs=0.05)
    assert np.mean([e.high for e in estimates]) < 3 * truth + 0.15  # an interval of some use
    assert all(e.low <= e.value <= e.high or e.value < 0 for e in estimates)


def test_spatial_frechet_sees_where_things_are() -> None:
    maps = normal(400, 9 * 4, 9).reshape(400, 9, 2, 2)
    x, y = maps[:200], maps[200:].clone()
    bright = torch.zeros(2, 2, dtype=torch.float64)
    bright[0, 0] = 3.0
    moved = y + bright.flip(1)
    flat = frechet_distance(real=(x + bright)[:, :7].flatten(1), fake=moved[:, :7].flatten(1), correct=False)
    found = spatial_frechet(real=x + bright, fake=moved, correct=False)
    assert found == flat or (found.value == flat.value and math.isnan(found.low))  # Nash et al.: 7 channels, flattened
    assert found.value > 7 * 2 * 9
    averaged = frechet_distance(real=(x + bright).mean((2, 3)), fake=moved.mean((2, 3)), correct=False)
    assert averaged.value < 1.0


# kernel distances


def test_kid_population() -> None:
    """N(0, I16) against N(.5, I16): 1.02930; sd .0385 at n = 1300 (simulated), mean of 4: five sd are .1."""
    truth = float(
        kid(Gaussian.isotropic(torch.zeros(16).double(), 1.0), Gaussian.isotropic(torch.full((16,), 0.5).double(), 1.0))
    )
    assert truth == pytest.approx(1.02930, abs=5e-6)
    found = [kernel_distance(real=normal(1300, 16, s), fake=normal(1300, 16, 50 + s, mean=0.5)).value for s in range(4)]
    assert np.mean(found) == pytest.approx(truth, abs=0.1)


def naive(k_xx: Tensor, k_yy: Tensor, k_xy: Tensor) -> float:
    n, m = len(k_xx), len(k_yy)
    within = (k_xx.sum() - k_xx.trace()) / (n * (n - 1)) + (k_yy.sum() - k_yy.trace()) / (m * (m - 1))
    return float(within - 2 * k_xy.mean())


def test_kid_is_its_definition_across_tiles() -> None:
    x, y = normal(1100, 5, 10), normal(700, 5, 11, mean=0.3)
    k = [(a @ b.T / 5 + 1) ** 3 for a, b in ((x, x), (y, y), (x, y))]
    assert kernel_distance(real=x, fake=y).value == pytest.approx(naive(*k), rel=1e-10)
    biased = float(k[0].mean() + k[1].mean() - 2 * k[2].mean())
    assert kernel_distance(real=x, fake=y, unbiased=False).value == pytest.approx(biased, rel=1e-10)
    quadratic = [(a @ b.T / 2 + 3) ** 2 for a, b in ((x, x), (y, y), (x, y))]
    assert kernel_distance(real=x, fake=y, degree=2, scale=2, offset=3).value == pytest.approx(
        naive(*quadratic), rel=1e-9
    )
    single = kernel_distance(real=x.float(), fake=y.float()).value  # products in float32
    assert single == pytest.approx(naive(*k), rel=1e-5)


def test_cmmd_is_its_definition() -> None:
    x, y = normal(300, 12, 12), normal(200, 12, 13, mean=0.3)
    a, b = x / x.norm(dim=1, keepdim=True), y / y.norm(dim=1, keepdim=True)
    k = [torch.exp(-0.005 * torch.cdist(p, q) ** 2) for p, q in ((a, a), (b, b), (a, b))]
    assert cmmd(real=x, fake=y).value == pytest.approx(1000 * naive(*k), rel=1e-6)
    published = 1000 * float(k[0].mean() + k[1].mean() - 2 * k[2].mean())
    assert cmmd(real=x, fake=y, unbiased=False).value == pytest.approx(published, rel=1e-6)
    wide = cmmd(real=x, fake=y, bandwidth=2.0, scale=1.0, normalise=False)
    assert wide.value == pytest.approx(mmd_estimate(GaussianKernel(2.0), x, y).value, rel=1e-12)


def test_mmd_between_gaussians() -> None:
    p, q = Gaussian.isotropic(torch.zeros(2).double(), 1.0), Gaussian.isotropic(torch.ones(2).double(), 1.5)
    found = mmd_estimate(GaussianKernel(1.0), normal(3000, 2, 14), normal(3000, 2, 15, mean=1.0, deviation=1.5))
    assert abs(found.value - float(mmd_squared(p, q, 1.0))) < 5 * found.stderr < 0.05


@pytest.mark.parametrize("mean", [0.0, 0.1, 0.5])
def test_kid_interval_covers(mean: float) -> None:
    """As for the Frechet distance: fewer than 121 of 150 are covered with probability < 1e-6 at 93 %; with the error
    overstated (or understated) by sqrt 2 at equality, the mean squared error would tell: its ratio to the variance is
    1 within .8 there (chi^2 of one degree of freedom, 150 draws, skewed: simulated sd .14)."""
    d, n = 8, 120
    truth = float(kid(*(Gaussian.isotropic(torch.full((d,), m).double(), 1.0) for m in (0.0, mean))))
    estimates = [
        kernel_distance(real=normal(n, d, 9000 + s), fake=normal(n, d, 12000 + s, mean=mean)) for s in range(150)
    ]
    assert covered(estimates, truth) >= 121
    ratio = np.mean([(e.value - truth) ** 2 for e in estimates]) / np.mean([e.stderr**2 for e in estimates])
    assert 0.4 < ratio < 1.8


# variety


def test_vendi_of_known_sets() -> None:
    assert vendi_score(fake=torch.eye(12)).value == pytest.approx(12, rel=1e-9)
    assert vendi_score(fake=torch.ones(30, 4)).value == pytest.approx(1, rel=1e-9)
    assert vendi_score(fake=torch.eye(5).repeat(40, 1)).value == pytest.approx(5, rel=1e-9)
    assert vendi_score(fake=torch.cat([torch.eye(3).repeat(10, 1), torch.zeros(10, 3)])).value == pytest.approx(4)
    assert vendi_score(fake=torch.zeros(6, 3)).value == pytest.approx(1)
    far = 100.0 * torch.eye(9, dtype=torch.float64)
    assert vendi_score(fake=far, kernel=GaussianKernel(1.0)).value == pytest.approx(9, rel=1e-9)


@pytest.mark.parametrize("order", [0.5, 1.0, 2.0, math.inf])
def test_vendi_by_covariance_is_vendi_by_kernel(order: float) -> None:
    x = normal(60, 7, 16)

    def cosine(a: Tensor, b: Tensor) -> Tensor:
        return torch.nn.functional.normalize(a) @ torch.nn.functional.normalize(b).T

    by_kernel = vendi_score(fake=x, kernel=cosine, order=order)
    assert vendi_score(fake=x, order=order).value == pytest.approx(by_kernel.value, rel=1e-6)


def test_inception_score_of_known_sets() -> None:
    balanced = torch.eye(10, dtype=torch.float64).repeat(30, 1)
    assert inception_score(fake=balanced).value == pytest.approx(10, rel=1e-12)
    assert inception_score(fake=balanced, splits=10).value == pytest.approx(10, rel=1e-12)
    assert inception_score(fake=balanced[::10]).value == pytest.approx(1, rel=1e-12)
    assert inception_score(fake=torch.full((20, 4), 0.25)).value == pytest.approx(1, rel=1e-12)
    p = torch.softmax(normal(500, 6, 17), 1)
    definition = float(torch.exp((p * (p / p.mean(0)).log()).sum(1).mean()))
    found = inception_score(fake=p)
    assert found.value == pytest.approx(definition, rel=1e-10)
    assert 1.0 <= found.low < found.value < found.high <= 6.0


def test_jackknifed_intervals_cover() -> None:
    """200 repetitions at a nominal 95 %: fewer than 165 covered has probability < 1e-6 at 93 %."""
    mix, weights = normal(5, 5, 18), 1.5 * normal(4, 8, 19)

    def probabilities(n: int, seed: int) -> Tensor:
        return torch.softmax(normal(n, 4, seed) @ weights, 1)

    vendi, score = vendi_score(fake=normal(200_000, 5, 20) @ mix), inception_score(fake=probabilities(200_000, 21))
    for truth, draw in (
        (vendi.value, lambda s: vendi_score(fake=normal(600, 5, 15000 + s) @ mix)),
        (score.value, lambda s: inception_score(fake=probabilities(600, 18000 + s))),
    ):
        assert 165 <= covered([draw(s) for s in range(200)], truth) < 200


def test_birthdays() -> None:
    assert repetition_probability(365, 23) == pytest.approx(0.507297, abs=1e-6)
    assert repetition_probability(10, 11) == 1.0
    assert median_sample(365) == pytest.approx(22.49, abs=0.01)
    assert repetition_probability(10**6, round(median_sample(10**6))) == pytest.approx(0.5, abs=2e-3)


def test_birthday_test_finds_the_support() -> None:
    """365 days, 1000 rows: the estimated support has sd 10 (simulated), so 60 is six of them."""
    days = torch.randint(365, (1000,), generator=torch.Generator().manual_seed(22))
    found = birthday_test(fake=days)
    assert found.support.value == pytest.approx(365, abs=60)
    assert found.support.low < 365 < found.support.high
    naive_count = int((days[:, None] == days[None, :]).sum() - 1000) // 2
    assert found.pairs == naive_count
    assert found.half == pytest.approx(median_sample(found.support.value))
    none = birthday_test(fake=torch.arange(500))
    assert none.pairs == 0
    assert none.support.value == none.support.high == math.inf
    assert none.support.low == pytest.approx(500 * 499 / 2 / 3.689, rel=1e-3)  # Poisson: 3.689 at 97.5 %


def test_near_pairs_are_counted_across_tiles() -> None:
    x = normal(1300, 3, 23)
    expected = (torch.cdist(x, x) <= 0.4).sum(1) - 1
    assert torch.equal(near_pairs(x, 0.4), expected)


# what is refused


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda x: frechet_distance(real=x, fake=x[:, :2]), "rows of real have 4 values but rows of fake have 2"),
        (lambda x: frechet_distance(real=x, fake=x[:11]), "11 rows of 4 features are too few"),
        (lambda x: frechet_distance(real=x, fake=x * math.nan), "fake has a missing value"),
        (lambda x: frechet_distance(real=x, fake=x, groups=6), "power of 2"),
        (lambda x: frechet_distance(real=x, fake=x, level=1.5), "level 1.5"),
        (lambda x: frechet_distance(real=x[:0], fake=x), "real has 0 rows"),
        (lambda x: spatial_frechet(real=x, fake=x), r"maps \(n, c, h, w\)"),
        (lambda x: kernel_distance(real=x[:2], fake=x), "real has 2 rows"),
        (lambda x: kernel_distance(real=x, fake=x, scale=0.0), "scale"),
        (lambda x: cmmd(real=x, fake=x, bandwidth=0.0), "bandwidth"),
        (lambda x: inception_score(fake=x), "class probabilities"),
        (lambda x: inception_score(fake=torch.full((4, 2), 0.5), splits=3), "splits 3"),
        (lambda x: vendi_score(fake=x, order=-1.0), "order -1"),
        (lambda x: birthday_test(fake=x, threshold=-1.0), "threshold -1"),
        (
            lambda x: frechet_from_moments(real_mean=x[0], real_covariance=x, fake_mean=x[0], fake_covariance=x.T @ x),
            r"means \(d,\)",
        ),
    ],
)
def test_bad_input_is_named(call: object, says: str) -> None:
    with pytest.raises(InputError, match=says):
        call(normal(40, 4, 24))


def test_sides_cannot_be_swapped_silently() -> None:
    x = normal(40, 4, 25)
    for metric in (frechet_distance, kernel_distance, cmmd, spatial_frechet):
        with pytest.raises(TypeError):
            metric(x, x)
