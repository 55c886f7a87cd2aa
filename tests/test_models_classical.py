"""Closed-form models: their densities against known ones, what they keep of the data, folders, and refusals."""

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch
from scipy import stats
from sklearn.base import clone
from sklearn.decomposition import PCA
from sklearn.mixture import GaussianMixture
from sklearn.neighbors import KernelDensity

from pushforward.errors import InputError
from pushforward.models import load
from pushforward.models.classical import KDE, PPCA, Bootstrap, Copula, Gaussian, Independent, Mixture, Trees

ALL: tuple[Any, ...] = (Gaussian, PPCA, Mixture, KDE, Independent, Copula, Trees, Bootstrap)


@pytest.fixture(scope="module")
def points() -> np.ndarray:
    rng = np.random.default_rng(0)
    return rng.normal(size=(400, 4)) @ rng.normal(size=(4, 4)) * [10.0, 1.0, 0.1, 3.0] + [5.0, -1.0, 0.0, 100.0]


@pytest.fixture(scope="module")
def table() -> pl.DataFrame:
    rng = np.random.default_rng(1)
    x = rng.normal(size=3000)
    kind = np.where(x + 0.5 * rng.normal(size=3000) > 0, "high", "low")
    kind = np.where(rng.random(3000) < 0.1, "odd", kind)
    return pl.DataFrame(
        {
            "x": x,
            "double": 2 * x + 0.01 * rng.normal(size=3000),
            "kind": kind,
            "count": rng.poisson(np.exp(x / 2)),
            "hole": [None if rng.random() < 0.3 else float(v) for v in rng.exponential(size=3000)],
        }
    )


# ---- densities


def test_gaussian_is_the_multivariate_normal_of_the_data(points: np.ndarray) -> None:
    truth = stats.multivariate_normal(points.mean(0), np.cov(points.T, bias=True))
    np.testing.assert_allclose(Gaussian().fit(points, progress=False).log_prob(points), truth.logpdf(points), rtol=1e-9)


@pytest.mark.parametrize("q", [1, 2, 3])
def test_ppca_is_scikit_learns_pca(points: np.ndarray, q: int) -> None:
    """Mean log likelihood, and the reconstruction's squared error: N times the discarded eigenvalues' sum."""
    x = (points - points.mean(0)) / points.std(0)  # so that the codec changes nothing
    model, peer = PPCA(q).fit(x, progress=False), PCA(q).fit(x)
    shrink = len(x) / (len(x) - 1)  # scikit-learn divides by n - 1
    law = model.arrays_
    for one, other in ((law["variances"], peer.explained_variance_), (law["noise"], peer.noise_variance_)):
        np.testing.assert_allclose(one.numpy() * shrink, other, rtol=1e-9)
    eigenvalues = np.linalg.eigvalsh(np.cov(x.T, bias=True))[::-1]
    d, s2 = 4, eigenvalues[q:].mean()
    mean = -(d * np.log(2 * np.pi) + np.log(eigenvalues[:q]).sum() + (d - q) * np.log(s2) + d) / 2
    assert float(model.log_prob(x).mean()) == pytest.approx(mean, rel=1e-9)
    back = model.reconstruct(x)
    np.testing.assert_allclose(back, peer.inverse_transform(peer.transform(x)), atol=2e-6)
    assert np.square(back - x).sum() == pytest.approx(len(x) * eigenvalues[q:].sum(), rel=1e-5)
    np.testing.assert_allclose(model.decode(model.encode(x)), back, atol=2e-6)
    spread = model.sample(40_000, seed=1)
    np.testing.assert_allclose(np.cov(spread.T), peer.get_covariance() / shrink, atol=0.06)


def test_components_as_a_share(points: np.ndarray) -> None:
    x = (points - points.mean(0)) / points.std(0)
    peer = PCA(0.9).fit(x)
    assert len(PPCA(0.9).fit(x, progress=False).arrays_["variances"]) == peer.n_components_


def test_mixture_is_scikit_learns(points: np.ndarray) -> None:
    x = (points - points.mean(0)) / points.std(0)
    peer = GaussianMixture(3, reg_covar=1e-6, n_init=2, random_state=0, max_iter=300).fit(x)
    model = Mixture(3).fit(x, progress=False)
    np.testing.assert_allclose(model.log_prob(x), peer.score_samples(x), rtol=1e-5)
    assert len(Mixture().fit(x, progress=False).arrays_["weights"]) == 1  # one Gaussian, by its criterion


def test_kernel_density_is_scikit_learns_and_chooses_a_width(points: np.ndarray) -> None:
    x = (points - points.mean(0)) / points.std(0)
    peer = KernelDensity(bandwidth=0.3).fit(x)
    np.testing.assert_allclose(KDE(0.3).fit(x, progress=False).log_prob(x[:50]), peer.score_samples(x[:50]), rtol=1e-6)
    rng = np.random.default_rng(5)
    chosen = float(KDE().fit(rng.normal(size=(3000, 1)), progress=False).arrays_["width"])
    assert 0.1 < chosen < 0.4  # the asymptotically best is 1.06 n^(-1/5) = .21


@pytest.mark.parametrize("model", [Gaussian(), PPCA(2), Mixture(2), KDE()])
def test_a_density_follows_the_units(points: np.ndarray, model: Any) -> None:
    here = model.fit(points, progress=False).log_prob(points)
    there = clone(model).fit(1000 * points, progress=False).log_prob(1000 * points)
    torch.testing.assert_close(there, here - 4 * np.log(1000), rtol=1e-5, atol=1e-4)


def test_bits_per_dimension_of_uniform_pixels() -> None:
    """The entropy of the fitted Gaussian of u = (byte + noise) / 256, in bits a pixel, on top of log2 256: a cell is so
    small that the bound is the mass."""
    images = np.random.default_rng(0).integers(0, 256, size=(4000, 2, 2), dtype=np.uint8)
    model = Gaussian().fit(images, progress=False)
    bits = -float(model.log_prob(images).mean()) / (4 * np.log(2))
    u = (images.reshape(-1, 4) + 0.5) / 256
    entropy = 0.5 * np.log2(np.linalg.det(2 * np.pi * np.e * (np.cov(u.T, bias=True) + np.eye(4) / 12 / 256**2))) / 4
    assert bits == pytest.approx(8 + entropy, abs=1e-3)
    assert bits > 8  # the truth is uniform: no law has fewer
    assert model.sample(3, seed=0).shape == (3, 2, 2)


@pytest.mark.parametrize("model", [Gaussian(), PPCA(2), Mixture(2), KDE()])
def test_pictures_of_few_shades_have_masses(model: Any, tmp_path: Path) -> None:
    """All 81 pictures of four pixels with three shades: the masses that are bounded add up to one at most, and to most
    of it; a fourth shade has none; what is drawn has the shades of training; a saved model tells the same."""
    rng = np.random.default_rng(0)
    images = np.where(rng.random((600, 1, 1)) < 0.5, 40, 200).astype(np.uint8) * np.ones((1, 2, 2), dtype=np.uint8)
    images = np.where(rng.random((600, 2, 2)) < 0.3, 90, images).astype(np.uint8)
    model = clone(model).fit(images, out=tmp_path, progress=False)
    assert (type(model).likelihood, model.likelihood) == ("exact", "lower_bound")
    every = np.stack(np.meshgrid(*4 * [[40, 90, 200]]), -1).reshape(-1, 2, 2).astype(np.uint8)
    told = torch.stack([model.log_prob(every, seed=seed) for seed in range(20)])
    assert 0.6 < float(told.exp().mean(0).sum()) < 1.02
    uniform = -4 * np.log(3)
    assert float(model.log_prob(images).mean()) > uniform
    odd = every[:2].copy()
    odd[1, 0, 0] = 41
    assert model.log_prob(odd).tolist() == [pytest.approx(float(told[0, 0])), -np.inf]
    assert set(np.unique(model.sample(200, seed=0)).tolist()) == {40, 90, 200}
    torch.testing.assert_close(load(tmp_path).log_prob(every), told[0], rtol=0, atol=0)


def test_constant_and_repeated_columns_keep_a_density() -> None:
    x = np.random.default_rng(0).normal(size=(100, 1))
    rows = np.hstack([x, x, np.full((100, 1), 7.0)])
    for model in (Gaussian(), PPCA(1), Mixture(2), KDE()):
        fitted = model.fit(rows, progress=False)
        assert bool(fitted.log_prob(rows).isfinite().all())
        np.testing.assert_allclose(fitted.sample(50, seed=0)[:, 2], 7.0, atol=0.6)


# ---- columns


def test_inverse_transform_sampling_of_one_column() -> None:
    """Kolmogorov-Smirnov at 1e-6 against fresh rows of the law; it would catch a distance of .04."""
    law = stats.gamma(2.0)
    drawn = Independent().fit(law.rvs((20_000, 1), random_state=1), progress=False).sample(20_000, seed=3)
    assert stats.ks_2samp(drawn[:, 0], law.rvs(20_000, random_state=2)).pvalue > 1e-6


def test_copula_keeps_relations_and_independence_drops_them(points: np.ndarray) -> None:
    truth = np.corrcoef(points.T)
    kept = Copula().fit(points, progress=False).sample(20_000, seed=0)
    np.testing.assert_allclose(np.corrcoef(kept.T), truth, atol=0.06)
    apart = Independent().fit(points, progress=False).sample(20_000, seed=0)
    assert np.abs(np.corrcoef(apart.T) - np.eye(4)).max() < 5.2 / np.sqrt(20_000)  # 6 pairs, 1e-6
    assert np.abs(truth - np.eye(4)).max() > 0.3


@pytest.mark.parametrize("make", [Independent, Copula, Trees])
def test_tables_keep_their_margins(table: pl.DataFrame, make: Any) -> None:
    """Shares of levels and of holes within five standard errors, numbers by Kolmogorov-Smirnov at 1e-6."""
    drawn = make().fit(table, progress=False).sample(6000, seed=0)
    assert drawn.schema == table.schema
    for level in ("high", "low", "odd"):
        p = float((table["kind"] == level).mean())
        assert abs(float((drawn["kind"] == level).mean()) - p) < 5 * np.sqrt(p * (1 - p) * (1 / 6000 + 1 / 3000))
    p = table["hole"].null_count() / 3000
    assert abs(drawn["hole"].null_count() / 6000 - p) < 5 * np.sqrt(p * (1 - p) * (1 / 6000 + 1 / 3000))
    for name in ("x", "hole"):
        assert stats.ks_2samp(drawn[name].drop_nulls(), table[name].drop_nulls()).pvalue > 1e-6


def test_copula_and_trees_keep_what_hangs_together(table: pl.DataFrame) -> None:
    for make, closeness in ((Copula, 0.2), (Trees, 0.25)):
        drawn = make().fit(table, progress=False).sample(4000, seed=1)
        assert float((drawn["double"] - 2 * drawn["x"]).abs().median()) < closeness
    high = drawn.filter(pl.col("kind") == "high")["x"].mean()
    low = drawn.filter(pl.col("kind") == "low")["x"].mean()
    assert high > 0.4 > -0.4 > low


def test_trees_do_not_repeat_numbers_but_the_bootstrap_repeats_rows(table: pl.DataFrame) -> None:
    drawn = Trees().fit(table, progress=False).sample(2000, seed=0)
    assert len(set(drawn["x"]) & set(table["x"])) < 20
    again = Bootstrap().fit(table, progress=False).sample(500, seed=0)
    nearest = np.abs(again["double"].to_numpy()[:, None] - table["double"].to_numpy()).min(1)
    assert nearest.max() < 1e-5  # every row is one of the data's


def test_trees_follow_a_curve() -> None:
    """y = x^2 exactly: held-out rows and drawn ones are told apart by less than a fifth of the spread of y."""
    x = np.random.default_rng(0).uniform(-1, 1, size=(4000, 1))
    drawn = Trees().fit(np.hstack([x, x**2]), progress=False).sample(2000, seed=0)
    assert np.abs(drawn[:, 1] - drawn[:, 0] ** 2).max() < 0.06


# ---- conventions


@pytest.mark.parametrize("make", ALL)
def test_seeds_folders_and_clones(points: np.ndarray, tmp_path: Path, make: Any) -> None:
    model = make(seed=3)
    fitted = model.fit(points, out=tmp_path / "run", progress=False)
    assert fitted is model
    rows = model.sample(300, seed=5)
    assert rows.shape == (300, 4)
    assert rows.dtype == points.dtype
    np.testing.assert_array_equal(rows[:20], model.sample(20, seed=5))
    assert not np.array_equal(rows, model.sample(300, seed=6))
    again = load(tmp_path / "run")
    assert type(again) is make
    np.testing.assert_array_equal(rows, again.sample(300, seed=5))
    assert again.id_ == model.id_
    if hasattr(model, "log_prob"):
        torch.testing.assert_close(again.log_prob(points), model.log_prob(points), rtol=0, atol=0)
    assert clone(model).get_params() == model.get_params()
    with pytest.raises(InputError, match="already holds a run"):
        make(seed=3).fit(points, out=tmp_path / "run", progress=False)
    resumed = make(seed=3).fit(points, out=tmp_path / "run", resume=True, progress=False)
    np.testing.assert_array_equal(rows, resumed.sample(300, seed=5))


@pytest.mark.parametrize("make", [Independent, Copula, Trees, Bootstrap])
def test_tables_in_folders(table: pl.DataFrame, tmp_path: Path, make: Any) -> None:
    model = make().fit(table, out=tmp_path, progress=False)
    assert load(tmp_path).sample(50, seed=1).equals(model.sample(50, seed=1))


def test_what_cannot_be_used(points: np.ndarray, table: pl.DataFrame) -> None:
    with pytest.raises(InputError, match=r"table, which Gaussian does not model; it takes points and images"):
        Gaussian().fit(table, progress=False)
    with pytest.raises(InputError, match="at least two"):
        Copula().fit(points[:1], progress=False)
    with pytest.raises(InputError, match="give at most 3"):
        PPCA(4).fit(points, progress=False)
    with pytest.raises(InputError, match="5 components for 3 rows"):
        Mixture(5).fit(points[:3], progress=False)
    with pytest.raises(InputError, match=r"shape \(2,\), but this model was fitted to points of shape \(4,\)"):
        Gaussian().fit(points, progress=False).log_prob(points[:, :2])
    for bad in (PPCA(0), PPCA(1.5), Mixture(0), KDE(-1.0), KDE(rows=1), Trees(0)):
        with pytest.raises(InputError, match="must be"):
            bad.fit(points, progress=False)
    with pytest.raises(InputError, match="not fitted"):
        Trees().sample(3)
