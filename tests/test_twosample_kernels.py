"""Kernel tests beyond the plain MMD: the aggregated default, parts of the kernel matrix, features, learned kernels."""

import subprocess
import sys
from typing import Any

import numpy as np
import pytest
import torch
from scipy.stats import binom

from pushforward import closed_form as cf
from pushforward.closed_form import Gaussian
from pushforward.errors import InputError
from pushforward.fitters import KERNELS, DeepKernelFitter, GaussianKernel
from pushforward.fitters.nystroem import draw_landmarks, spectral_basis
from pushforward.readings import draw_members, kernel_sums
from pushforward.readings.feature_sums import feature_sums
from pushforward.readings.kernel_sums import tile_for
from pushforward.twosample import discrepancy, distance, two_sample

CASES: list[tuple[str, dict[str, Any]]] = [
    ("mmd-agg", {}),
    ("mmd-linear", {}),
    ("mmd-block", {}),
    ("mmd-cross", {}),
    ("mmd-rff", {"features": 40}),
    ("mmd-compressed", {"landmarks": 12}),
    ("mmd-deep", {"fitter": DeepKernelFitter(width=8, steps=3)}),
    ("c2st-ridge", {}),
    ("c2st-ridge", {"statistic": "auc"}),
    ("c2st-ridge", {"statistic": "accuracy", "folds": 3}),
    ("c2st", {"model": "logistic", "statistic": "auc"}),
]


def pair(n: int, m: int, shift: float, seed: int, d: int = 2) -> tuple[torch.Tensor, torch.Tensor]:
    g = torch.Generator().manual_seed(seed)
    return torch.randn(n, d, generator=g) + shift, torch.randn(m, d, generator=g)


@pytest.mark.parametrize(("method", "options"), CASES)
def test_type_one_error(method: str, options: dict[str, Any]) -> None:
    """150 tests of equal distributions at alpha = .05, with ties: more than 24 rejections of a valid test have
    probability below 1e-6; a level of .3 gives them 999 times in 1000."""
    assert binom.sf(24, 150, 0.05) < 1e-6 < 0.999 < binom.sf(24, 150, 0.3)
    rejections = 0
    for seed in range(150):
        x, y = (a.mul(2.0).round() for a in pair(30, 22, 0.0, seed))
        rejections += two_sample(x, y, method, permutations=99, seed=seed, **options).detected(0.05)
    assert rejections <= 24


@pytest.mark.parametrize(("method", "options"), CASES)
def test_power(method: str, options: dict[str, Any]) -> None:
    """A shift by one deviation in both of two coordinates (best AUC .84), 3 seeds: each test has power above .9999 at
    these sizes; a blind one passes with probability 1.3e-4 at most."""
    size = 1500 if method == "mmd-linear" else 300
    for seed in range(3):
        x, y = pair(size, size, 1.0, seed)
        assert two_sample(x, y, method, permutations=99, seed=seed, **options).pvalue <= 0.05


def test_the_default_sees_texture_that_single_kernels_miss() -> None:
    """Four far clusters of 300 rows, one of them half as wide again: of 5 draws the default rejects 4 at least, which a
    blind test does with probability 3e-5; a single kernel at the median distance sees it in 3 at most."""
    found = blind = 0
    for seed in range(5):
        rng = np.random.default_rng(seed)
        corners = np.array([[20.0, 20.0], [20.0, -20.0], [-20.0, 20.0], [-20.0, -20.0]])
        x, y = (corners[rng.integers(4, size=1200)] for _ in range(2))
        wide = (y == corners[0]).all(1)
        x += rng.normal(size=x.shape)
        y += rng.normal(size=y.shape) * np.where(wide, 1.5, 1.0)[:, None]
        found += two_sample(x, y, permutations=99, seed=seed).detected()
        blind += two_sample(x, y, "mmd", permutations=99, seed=seed).detected()
    assert found >= 4
    assert blind <= 3


def test_parts_of_the_default() -> None:
    x, y = pair(150, 120, 0.6, 0)
    result = two_sample(x, y, permutations=199)
    assert result.parts[0].adjusted == min(part.adjusted for part in result.parts) <= 0.05
    assert all(part.pvalue <= part.adjusted + 1e-12 or part.pvalue <= 0.02 for part in result.parts)
    assert {part.name.split()[0].rstrip(",") for part in result.parts} == {"gaussian", "linear", "quadratic"}
    assert set(result.timings) == {"test", "effect", "witness"}
    assert result.witness is not None
    assert float(result.witness.phi(x).mean() - result.witness.psi(y).mean()) > 0.0
    assert result.effect.low > 0.5
    shifted = two_sample(x * 1000.0 + 5.0, y * 1000.0 + 5.0, permutations=199)
    assert shifted.pvalue == result.pvalue  # the unit of the columns does not matter
    tiny = two_sample(x[:3], y[:2])
    assert 0.0 < tiny.pvalue <= 1.0
    assert np.isnan(tiny.effect.value)  # too few rows for folds
    with pytest.raises(InputError, match="at least 99 permutations, not 50"):
        two_sample(x, y, permutations=50)
    with pytest.raises(InputError, match="bandwidths must be at least 1"):
        two_sample(x, y, bandwidths=0)


def test_nystroem_is_exact_where_every_row_is_a_landmark() -> None:
    """Coordinates are uncorrelated with variance 1, and give the full kernel's MMD^2 and its relabellings."""
    x, y = (a.double() for a in pair(40, 30, 0.4, 1))
    rows, kernel = torch.cat([x, y]), GaussianKernel(0.8)
    basis = spectral_basis(kernel, rows, draw_landmarks(rows, 100, generator=torch.Generator()))
    coordinates = basis(rows)
    assert torch.allclose(coordinates.mean(0), torch.zeros(coordinates.shape[1]).double(), atol=1e-6)
    assert torch.allclose(coordinates.T @ coordinates / 70, torch.eye(coordinates.shape[1]).double(), atol=1e-5)
    members = draw_members(40, 30, 19, generator=torch.Generator().manual_seed(0))
    root = basis.variances.sqrt()
    fast = feature_sums(lambda z: basis(z) * root, x, y, members, width=70)
    slow = kernel_sums(kernel, x, y, members)
    for unbiased in (True, False):
        assert fast.statistic(unbiased=unbiased) == pytest.approx(slow.statistic(unbiased=unbiased), rel=1e-4)
        assert torch.allclose(fast.null(members, unbiased=unbiased), slow.null(members, unbiased=unbiased), atol=1e-6)
    assert fast.stderr() == pytest.approx(slow.stderr(), rel=2 / 30)  # centring features moves its terms by 1/n
    delta = basis(x).mean(0) - basis(y).mean(0)
    witness = basis.witness(basis.variances, delta)
    assert float(witness.gap(x, y)) == pytest.approx(slow.statistic(unbiased=False), rel=1e-4)


def test_kernels_by_name() -> None:
    """Each against its formula, entry by entry."""
    a, b = (rows.double() for rows in pair(5, 4, 0.5, 0))
    squares = ((a[:, None] - b[None]) ** 2).sum(2)
    formulas = {
        "gaussian": (-squares / (2 * 0.7**2)).exp(),
        "laplace": (-squares.sqrt() / 0.7).exp(),
        "rational-quadratic": 1 / (1 + squares / (2 * 0.7**2)),
        "imq": (1 + squares / 0.7**2) ** -0.5,
        "polynomial": (a @ b.T / 0.7**2 + 1.0) ** 3,
    }
    assert set(formulas) == set(KERNELS)
    for name, formula in formulas.items():
        assert torch.allclose(KERNELS[name](0.7)(a, b), formula, rtol=1e-9)
    x, y = pair(40, 30, 0.3, 2)
    kid = two_sample(x, y, "mmd", kernel="polynomial", bandwidth=2**0.5, permutations=19).statistic
    k = {(i, j): (p.double() @ q.double().T / 2 + 1) ** 3 for i, p in enumerate((x, y)) for j, q in enumerate((x, y))}
    truth = (k[0, 0].sum() - k[0, 0].trace()) / (40 * 39) + (k[1, 1].sum() - k[1, 1].trace()) / (30 * 29)
    assert kid == pytest.approx(float(truth - 2 * k[0, 1].mean()), rel=1e-9)  # not shifted to the mean
    with pytest.raises(InputError, match="unknown kernel 'rbf'; known: gaussian"):
        two_sample(x, y, "mmd", kernel="rbf")


@pytest.mark.parametrize("kernel", ["gaussian", "laplace", "rational-quadratic", "imq", "polynomial"])
def test_kernel_losses_equal_the_tests_statistic(kernel: str) -> None:
    x, y = (rows.double() for rows in pair(30, 20, 0.5, 3))
    for unbiased in (True, False):
        loss = discrepancy("mmd", kernel=kernel, bandwidth=0.9, unbiased=unbiased)
        tested = two_sample(x, y, "mmd", kernel=kernel, bandwidth=0.9, unbiased=unbiased, permutations=19)
        assert float(loss(x, y)) == pytest.approx(tested.statistic, rel=1e-7)
    slope = discrepancy("mmd", kernel=kernel, bandwidth=0.9)
    assert torch.autograd.gradcheck(lambda a: slope(a, y), x[:4].clone().requires_grad_(True), atol=1e-6)


@pytest.mark.parametrize("method", ["mmd-linear", "mmd-rff"])
def test_large_sample_estimates_meet_the_closed_form(method: str) -> None:
    """Within six standard errors (2e-9) of MMD^2 between Gaussians; the features' own error is one more of 2 %."""
    p, q = Gaussian.univariate(0.7, 1.0), Gaussian.univariate(0.0, 1.0)
    g = torch.Generator().manual_seed(0)
    e = distance(p.sample(20_000, generator=g), q.sample(20_000, generator=g), method, bandwidth=1.0)
    truth = float(cf.mmd_squared(p, q, 1.0))
    assert abs(e.value - truth) < 6 * e.stderr + (0.15 * truth if method == "mmd-rff" else 0.0)
    assert e.stderr < 0.1 * truth


def test_ridge_auc_approaches_the_best() -> None:
    """Shift by one deviation in one of five columns: best AUC .76; n = 1000 a side leaves it within .03."""
    g = torch.Generator().manual_seed(0)
    x, y = torch.randn(1000, 5, generator=g), torch.randn(1000, 5, generator=g)
    x[:, 0] += 1.0
    p, q = Gaussian.univariate(1.0, 1.0), Gaussian.univariate(0.0, 1.0)
    assert distance(x, y, "c2st-ridge").value == pytest.approx(float(cf.best_auc(p, q)), abs=0.03)
    accuracy = two_sample(x, y, "c2st-ridge", statistic="accuracy", permutations=99)
    assert accuracy.statistic == pytest.approx(float(cf.best_accuracy(p, q)), abs=0.03)
    assert accuracy.pvalue == 0.01


def test_memory_budget() -> None:
    assert tile_for(None, 10**6, 10, 500) > tile_for(30_000_000, 4000, 10, 500) >= 128
    x, y = pair(200, 150, 0.2, 0)
    free, bound = (two_sample(x, y, "mmd", permutations=99, memory_budget=b) for b in (None, 10_000_000))
    assert free.statistic == pytest.approx(bound.statistic, rel=1e-9)
    assert free.pvalue == bound.pvalue
    with pytest.raises(InputError, match=r"memory budget of 1,000 bytes is too small .* give at least \d+ MB"):
        two_sample(x, y, "mmd", memory_budget=1000)


SHARED = """
import sys, torch, torch.distributed as dist
from pushforward.twosample import two_sample
rank, folder = int(sys.argv[1]), sys.argv[2]
torch.set_num_threads(1)
dist.init_process_group("gloo", init_method=f"file://{folder}/rendezvous", rank=rank, world_size=2)
g = torch.Generator().manual_seed(0)
x, y = torch.randn(2500, 3, generator=g), torch.randn(2300, 3, generator=g) + 0.1
r = two_sample(x, y, "mmd", permutations=29)
print(f"{r.statistic:.15e} {r.pvalue} {float(r.null.sum()):.9e}")
dist.destroy_process_group()
"""


def test_processes_share_the_tiles(tmp_path: Any) -> None:
    """Two processes, each with half of the tiles, both get the answer of one."""
    runs = [
        subprocess.Popen([sys.executable, "-c", SHARED, str(rank), str(tmp_path)], stdout=subprocess.PIPE, text=True)
        for rank in range(2)
    ]
    answers = [run.communicate(timeout=120)[0].split() for run in runs]
    g = torch.Generator().manual_seed(0)
    x, y = torch.randn(2500, 3, generator=g), torch.randn(2300, 3, generator=g) + 0.1
    alone = two_sample(x, y, "mmd", permutations=29)
    for statistic, pvalue, null in answers:
        assert float(statistic) == pytest.approx(alone.statistic, rel=1e-9)
        assert float(pvalue) == alone.pvalue
        assert float(null) == pytest.approx(float(alone.null.sum()), rel=1e-6)


@pytest.mark.parametrize(
    ("method", "options", "message"),
    [
        ("mmd-block", {"block": 1}, "between 2 and 20 rows of each side, not 1"),
        ("mmd-rff", {"features": 0}, "at least 1 frequency"),
        ("mmd-rff", {"bandwidth": -2.0}, "bandwidth must be a positive number"),
        ("mmd-compressed", {"landmarks": 1}, "at least 2 landmarks"),
        ("c2st-ridge", {"statistic": "f1"}, "unknown statistic 'f1'; known: margin, accuracy, auc"),
        ("c2st-ridge", {"folds": 40}, "40 folds need at least"),
        ("mmd-deep", {"train": 2.0}, "between 0 and 1"),
    ],
)
def test_unusable_options_are_one_sentence(method: str, options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        two_sample(*pair(20, 20, 0.0, 0), method, **options)
    assert "\n" not in str(caught.value)
