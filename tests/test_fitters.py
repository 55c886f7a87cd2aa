"""Fitters: the conformance suite, then what is particular to each."""

import math

import numpy as np
import pytest
import torch
from sklearn.metrics import roc_auc_score
from sklearn.tree import DecisionTreeClassifier

from pushforward import closed_form as cf
from pushforward.closed_form import Gaussian
from pushforward.conformance import check_fitter
from pushforward.errors import InputError
from pushforward.fitters import (
    ClassifierFitter,
    CriticFitter,
    EnergyKernel,
    GaussianKernel,
    KernelFitter,
    auc,
    cross_fitted_scores,
    median_distance,
)
from pushforward.fitters.scorers import fit_logistic, recode
from pushforward.links import LINKS, WASSERSTEIN
from pushforward.readings import estimate
from pushforward.witness import Fitter

F64 = torch.float64


def gaussians(n: int, m: int, shift: float, d: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    x, y = rng.normal(size=(n, d)), rng.normal(size=(m, d))
    x[:, 0] += shift
    return x, y


def reverse_kl(p: Gaussian, q: Gaussian) -> torch.Tensor:
    return cf.kl(q, p)


@pytest.mark.parametrize(
    ("fitter", "divergence"),
    [
        (ClassifierFitter("logistic", LINKS["reverse-kl"]), reverse_kl),
        (ClassifierFitter("logistic", LINKS["hellinger"]), cf.hellinger),
        (ClassifierFitter(DecisionTreeClassifier(max_leaf_nodes=8)), None),
        (CriticFitter(LINKS["kl"], width=32, steps=200), cf.kl),
        (CriticFitter(width=32, steps=200), None),
        (KernelFitter(GaussianKernel(1.5)), lambda p, q: cf.mmd_squared(p, q, 1.5)),
        (KernelFitter(), None),
        (KernelFitter(EnergyKernel()), None),
    ],
)
def test_conformance(fitter: Fitter, divergence: object) -> None:
    check_fitter(fitter, divergence=divergence)  # type: ignore[arg-type]


# classifier


def test_logistic_agrees_with_scikit_learn() -> None:
    from sklearn.linear_model import LogisticRegression

    x, y = gaussians(300, 200, 0.7, 4)
    rows = np.concatenate([x, y])
    standard = (rows - rows.mean(0)) / rows.std(0)
    theirs = LogisticRegression(tol=1e-10).fit(standard, np.r_[np.ones(300), np.zeros(200)])
    ours = fit_logistic(x, y)
    assert np.allclose(ours(rows), theirs.decision_function(standard) - math.log(300 / 200), atol=1e-5)


def test_logistic_survives_separated_classes_and_constant_columns() -> None:
    x, y = gaussians(50, 50, 100.0, 3)
    x[:, 2] = y[:, 2] = 7.0
    scorer = fit_logistic(x, y)
    assert np.isfinite(scorer.weights).all()
    assert (scorer(x) > 0).all()
    assert (scorer(y) < 0).all()


@pytest.mark.parametrize("model", ["logistic", DecisionTreeClassifier(max_leaf_nodes=4, min_samples_leaf=200)])
def test_the_prior_is_removed(model: object) -> None:
    """Nine times as many model rows shift an uncorrected logit by ln 9 = 2.2; the corrected one centres on 0."""
    x, y = gaussians(150, 1350, 0.0, 2)
    fitter = ClassifierFitter(model, WASSERSTEIN)
    w = fitter(torch.from_numpy(x), torch.from_numpy(y), generator=torch.Generator().manual_seed(0))
    fresh = torch.from_numpy(gaussians(1000, 1, 0.0, 2, seed=1)[0])
    assert abs(float(w.psi(fresh).median())) < 0.6
    a, b = cross_fitted_scores(x, y, model=model)
    assert abs(float(np.median(np.concatenate([a, b])))) < 0.6


def test_logistic_witness_is_the_log_ratio() -> None:
    """N((1,0), I) against N(0, I): v = x_0 - 1/2; coefficients have standard error .02 at this n, asked within .12."""
    x, y = gaussians(8000, 4000, 1.0, 2)
    fitter = ClassifierFitter("logistic", WASSERSTEIN)
    w = fitter(torch.from_numpy(x), torch.from_numpy(y), generator=torch.Generator().manual_seed(0))
    at = torch.tensor([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]], dtype=F64)
    assert torch.allclose(w.psi(at), torch.tensor([-0.5, 0.5, -0.5], dtype=F64), atol=0.12)


def test_cross_fitting_does_not_leak() -> None:
    """Unpruned trees remember their training rows (AUC 1 in sample). Cross-fitted on equal sets the AUC has standard
    error .018: asked within .11 of 1/2, six of them."""
    x, y = gaussians(500, 500, 0.0, 3)
    scores = cross_fitted_scores(x, y, model=DecisionTreeClassifier(), folds=4)
    assert abs(auc(*scores).value - 0.5) < 0.11


def test_cross_fitting_repeats_with_its_seed_and_takes_missing_values() -> None:
    x, y = gaussians(120, 80, 1.5, 3)
    x[:10, 1] = np.nan
    x[:, 2] = y[:, 2] = np.nan
    for model in ("boosting", "logistic"):
        first = cross_fitted_scores(x, y, seed=3, model=model)
        second = cross_fitted_scores(x, y, seed=3, model=model)
        assert [s.shape for s in first] == [(120,), (80,)]
        assert np.array_equal(first[0], second[0])
        assert auc(*first).low > 0.6


def test_categories_are_not_numbers() -> None:
    """Even codes on one side and odd on the other: invisible to a line, plain to a classifier that is told."""
    rng = np.random.default_rng(0)
    x, y = 2.0 * rng.integers(0, 6, size=(200, 1)), 2.0 * rng.integers(0, 6, size=(200, 1)) + 1.0
    for model in ("boosting", "logistic"):
        assert auc(*cross_fitted_scores(x, y, model=model, categorical=[0])).value > 0.95
    assert auc(*cross_fitted_scores(x, y, model="logistic")).value < 0.8


def test_recode_pools_rare_levels_and_keeps_missing_ones() -> None:
    x, y = np.arange(400.0)[:, None], np.r_[np.zeros(50), np.nan][:, None]
    a, b, columns = recode(x, y, [0])
    assert columns == [0]
    assert np.nanmax(a) == 254
    assert (b[:50] == 0).all()
    assert np.isnan(b[50])
    with pytest.raises(InputError, match="column 3 does not exist"):
        recode(x, y, [3])


@pytest.mark.parametrize(
    ("x", "y", "options", "message"),
    [
        (np.zeros((9, 2)), np.zeros((9, 3)), {}, "x has 2 columns but y has 3"),
        (np.zeros((3, 2)), np.zeros((9, 2)), {}, "folds"),
        (np.zeros(9), np.zeros((9, 2)), {}, "matrix"),
        (np.full((9, 2), np.inf), np.zeros((9, 2)), {}, "infinite value in row 0"),
        (np.zeros((9, 2)), np.ones((9, 2)), {"model": "svm"}, "unknown classifier 'svm'; known: logistic"),
        (np.zeros((9, 2)), np.ones((9, 2)), {"model": object()}, "predict_proba"),
        (np.full((9, 2), np.nan), np.full((9, 2), np.nan), {"model": "logistic"}, "every value is missing"),
    ],
)
def test_unusable_input(x: np.ndarray, y: np.ndarray, options: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        cross_fitted_scores(x, y, **options)  # type: ignore[arg-type]


# AUC


def test_auc_counts_ties_half() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.integers(0, 5, 60).astype(float), rng.integers(0, 4, 70).astype(float)
    truth = roc_auc_score(np.r_[np.ones(60), np.zeros(70)], np.r_[a, b])
    assert auc(a, b).value == pytest.approx(float(truth))
    assert auc(b, a).value == pytest.approx(1 - float(truth))
    assert auc(a, a).value == pytest.approx(0.5)


def test_auc_interval_covers() -> None:
    """400 repetitions at 95 %: the exact binomial band with false-failure rate 1e-7 is 353 to 397 hits. An interval
    with three quarters of the right width covers 86 % (345) and is caught more often than not."""
    rng = np.random.default_rng(1)
    truth = float(cf.best_auc(Gaussian.univariate(1.0, 1.0), Gaussian.univariate(0.0, 1.0)))
    hits = 0
    for _ in range(400):
        e = auc(rng.normal(1.0, 1.0, 80), rng.normal(0.0, 1.0, 120))
        hits += e.low <= truth <= e.high
    assert 353 <= hits <= 397


def test_auc_at_the_edges() -> None:
    perfect = auc([2.0, 3.0, 4.0, 5.0], [0.0, 1.0, 1.5])
    assert (perfect.value, perfect.high) == (1.0, 1.0)
    assert perfect.low == pytest.approx(0.025 ** (1 / 3))
    assert auc([0.0, 0.0], [1.0, 1.0]).low == 0.0
    assert auc([1.0, 1.0], [1.0, 1.0]).value == 0.5
    with pytest.raises(InputError, match="two scores"):
        auc([1.0], [0.0, 1.0])
    with pytest.raises(InputError, match="finite"):
        auc([1.0, np.nan], [0.0, 1.0])


# kernel


def test_kernel_witness_is_tight_on_its_samples() -> None:
    """Gap on the fitted rows = V-statistic MMD^2, brute force."""
    x, y = (torch.from_numpy(a) for a in gaussians(40, 60, 0.5, 3))
    kernel = GaussianKernel(1.3)
    w = KernelFitter(kernel)(x, y, generator=torch.Generator())
    brute = kernel(x, x).mean() + kernel(y, y).mean() - 2 * kernel(x, y).mean()
    assert float(w.gap(x, y)) == pytest.approx(float(brute), rel=1e-10)
    assert "tight" in w.tags


def test_kernel_witness_scores_images_and_long_sets_in_chunks() -> None:
    g = torch.Generator().manual_seed(0)
    x, y = torch.randn(30, 1, 4, 4, generator=g), torch.randn(20, 1, 4, 4, generator=g)
    w = KernelFitter()(x, y, generator=g)
    rows = torch.randn(1500, 1, 4, 4, generator=g)
    assert w.psi(rows).shape == (1500,)
    assert torch.allclose(w.psi(rows)[1400:], w.psi(rows[1400:]), atol=1e-6)


def test_median_distance(generator: torch.Generator) -> None:
    z = torch.tensor([[0.0], [1.0], [3.0]])
    assert median_distance(z, generator=generator) == 2.0
    assert median_distance(torch.zeros(5, 2), generator=generator) == 1.0
    assert median_distance(torch.tensor([[0.0], [0.0], [0.0], [4.0]]), generator=generator) == 4.0
    many = torch.randn(3000, 2, generator=generator)
    few = [median_distance(many, generator=torch.Generator().manual_seed(s)) for s in (0, 0, 1)]
    assert few[0] == few[1] != few[2]


# critic


def test_critic_learns_what_a_line_cannot() -> None:
    """N(0, 2.25 I) against N(0, I): equal means. Held-out JS bound within its truth and above half of it."""
    p, q = (Gaussian.isotropic(torch.zeros(2, dtype=F64), s) for s in (1.5, 1.0))
    g = torch.Generator().manual_seed(0)
    w = CriticFitter(LINKS["hellinger"], width=32, steps=400)(
        p.sample(1500, generator=g), q.sample(1000, generator=g), generator=g
    )
    e = estimate(w, p.sample(4000, generator=g), q.sample(4000, generator=g))
    truth = float(cf.hellinger(p, q))
    assert 0.5 * truth < e.value < truth + 6 * e.stderr


def test_critic_needs_rows() -> None:
    g = torch.Generator()
    with pytest.raises(InputError, match="at least 8 rows"):
        CriticFitter()(torch.zeros(5, 2), torch.zeros(50, 2), generator=g)


def test_the_multiscale_kernel_can_be_differentiated() -> None:
    from pushforward.fitters.kernel import MultiscaleKernel

    g = torch.Generator().manual_seed(0)
    a, b = torch.randn(3, 2, generator=g).double().requires_grad_(), torch.randn(4, 2, generator=g).double()
    assert torch.autograd.gradcheck(lambda rows: MultiscaleKernel((0.5, 1.0, 2.0))(rows, b), (a,))
