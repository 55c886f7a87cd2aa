"""Autoencoders as estimators: what they give for data of every kind, and against what is known in closed form."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch

from pushforward.conformance import check_estimator
from pushforward.errors import InputError
from pushforward.models.autoencoders import VAE, VQVAE, WAE, Autoencoder
from pushforward.nets.autoencoder import Plain, Variational
from pushforward.nets.decoders import Bernoulli, Categorical, Cells, Gaussian, Mixed

QUICK: dict[str, Any] = {"steps": 3, "width": 8, "depth": 1, "device": "cpu"}


def points(n: int = 150, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return rng.standard_normal((n, 3)) @ np.array([[1.0, 0.5, 0.0], [0.0, 0.3, 0.0], [0.2, 0.0, 2.0]]) + 2


def table(n: int = 150, seed: int = 0) -> pl.DataFrame:
    rng = np.random.default_rng(seed)
    kind = rng.choice(["x", "y", "z"], n)
    here = rng.standard_normal(n) > -1
    size = rng.standard_normal(n) + 3 * (kind == "x")
    return pl.DataFrame({"size": size, "kind": kind, "weight": np.where(here, size * 2, np.nan)}).with_columns(
        pl.col("weight").fill_nan(None)
    )


def pictures(n: int = 120, shades: int = 2, seed: int = 0) -> np.ndarray:
    levels = np.linspace(0, 255, shades).round().astype(np.uint8)
    return levels[np.random.default_rng(seed).integers(0, shades, (n, 4, 4))]


DATA = {"points": points, "table": table, "images": pictures}


@pytest.mark.parametrize(
    ("model", "kind"),
    [
        (Autoencoder(noise=0.1, latent="mixture", components=2, **QUICK), "points"),
        (VAE(**QUICK), "table"),
        (VQVAE(codebook=4, code_size=2, **QUICK), "images"),
    ],
    ids=lambda one: type(one).__name__,
)
def test_a_family_does_what_an_estimator_does(model: Any, kind: str) -> None:
    """One kind each, as every family of the library is asked elsewhere."""
    given = {"points": None, "table": ["kind"], "images": None}[kind]
    check_estimator(model, DATA[kind](), given=given)


@pytest.mark.parametrize("kind", list(DATA))
@pytest.mark.parametrize("model", [Autoencoder(**QUICK), VAE(samples=3, **QUICK), WAE(**QUICK), VQVAE(**QUICK)])
def test_every_family_takes_every_kind(model: Any, kind: str, tmp_path: Path) -> None:
    rows, fitted = DATA[kind](), clone(model).fit(DATA[kind](), progress=False)
    codes, back = fitted.encode(rows), fitted.reconstruct(rows)
    assert len(codes) == len(back) == len(rows)
    assert type(back) is type(rows)
    assert same(back, fitted.reconstruct(rows))
    assert same(back, fitted.decode(codes))
    fitted.save(tmp_path / "run")
    again = type(model).load(tmp_path / "run")
    assert np.array_equal(again.encode(rows), codes)
    if hasattr(model, "sample"):
        assert same(again.sample(9, seed=3), fitted.sample(9, seed=3))


def test_a_table_in_joint_coordinates_comes_back_as_it_was() -> None:
    """A column that is all but twice another is one of its coordinates; rows survive their way through the codec."""
    rows = table(600)
    model = VAE(**QUICK).fit(rows, progress=False)
    assert model.codec_.coordinates is not None
    assert model.sample(9, seed=1).columns == rows.columns
    told = model.log_prob(rows)
    assert bool(told.isfinite().all())
    given = VAE(**QUICK).fit(rows, given=["size"], progress=False)
    assert given.sample(5, given={"size": 1.0}, seed=0)["size"].to_list() == pytest.approx([1.0] * 5, abs=0.05)


def clone(model: Any) -> Any:
    return type(model)(**model.get_params())


def same(one: Any, other: Any) -> bool:
    return one.equals(other) if isinstance(one, pl.DataFrame) else np.array_equal(one, other)


# ---- plain


def test_a_linear_autoencoder_finds_the_principal_components() -> None:
    """Squared error of all rows: n times the sum of the discarded eigenvalues (of standardised columns) and never less;
    reached to 1 %."""
    rng = np.random.default_rng(1)
    x = rng.standard_normal((1000, 5)) @ np.diag([3.0, 2.0, 1.0, 0.6, 0.4]) @ rng.standard_normal((5, 5))
    model = Autoencoder(
        latent_size=2, linear=True, steps=600, batch_size=256, learning_rate=0.02, validation=0, device="cpu"
    )
    model.fit(x, progress=False)
    z, back = ((rows - x.mean(0)) / x.std(0) for rows in (x, model.reconstruct(x)))
    least = len(x) * np.linalg.eigvalsh(z.T @ z / len(x))[:-2].sum()
    error = np.square(z - back).sum()
    assert least * (1 - 1e-6) < error < 1.01 * least


def test_a_linear_denoiser_is_the_wiener_filter() -> None:
    """Of x + s e the best affine guess of x is mean + C (C + s^2 I)^-1 (x - mean), C the covariance: the map that is
    learned agrees with it, entry by entry."""
    x = points(2000)[:, :2]
    model = Autoencoder(
        latent_size=2, linear=True, noise=0.7, steps=800, batch_size=512, learning_rate=0.02, validation=0, device="cpu"
    )
    model.fit(x, progress=False)
    c = np.corrcoef(x.T)
    wiener = c @ np.linalg.inv(c + 0.49 * np.eye(2))
    units = np.vstack([np.zeros(2), np.eye(2)]) * x.std(0) + x.mean(0)
    back = (model.reconstruct(units) - x.mean(0)) / x.std(0)
    assert np.abs(back[1:] - back[0] - wiener).max() < 0.03
    assert np.abs(back[0]).max() < 0.03


def test_a_plain_autoencoder_cannot_generate_until_its_codes_have_a_law() -> None:
    model = Autoencoder(**QUICK)
    assert not hasattr(model, "sample")
    assert not hasattr(model, "log_prob")
    with pytest.raises(AttributeError, match=r"cannot generate.*latent='gaussian'"):
        model.sample(3)
    assert hasattr(Autoencoder(latent="gaussian"), "sample_dataset")
    with pytest.raises(InputError, match="unknown law 'flow'"):
        Autoencoder(latent="flow", **QUICK).fit(points(), progress=False)
    with pytest.raises(InputError, match="until judges samples"):
        Autoencoder(latent="gaussian", until="indistinguishable", **QUICK).fit(points(), progress=False)


def test_the_law_of_the_codes_is_that_of_the_rows_codes(tmp_path: Path) -> None:
    """Decoded by an affine map, samples have the mean and covariance of the reconstructions: each entry to 6 standard
    errors of 20,000 draws."""
    x, n = points(500), 20_000
    model = Autoencoder(latent_size=2, linear=True, latent="gaussian", validation=0, **QUICK).fit(x, progress=False)
    back, drawn = model.reconstruct(x), model.sample(n, seed=1)
    spread = np.cov(back.T, bias=True)
    error = np.sqrt((np.outer(np.diag(spread), np.diag(spread)) + spread**2) / n)
    assert (np.abs(drawn.mean(0) - back.mean(0)) < 6 * back.std(0) / math.sqrt(n)).all()
    assert (np.abs(np.cov(drawn.T) - spread) < 6 * error).all()
    model.save(tmp_path / "run")
    assert np.array_equal(Autoencoder.load(tmp_path / "run").sample(20, seed=1), model.sample(20, seed=1))


# ---- VAE


@pytest.mark.parametrize(
    ("data", "decoder", "expected"),
    [
        (points(), None, Gaussian),
        (table(), None, Mixed),
        (pictures(), None, Bernoulli),
        (pictures(shades=5), None, Categorical),
        (pictures(shades=100), None, Cells),
        (pictures(shades=5), "gaussian", Cells),
    ],
)
def test_the_decoder_suits_the_data(data: Any, decoder: str | None, expected: type) -> None:
    model = VAE(decoder=decoder, **QUICK).fit(data, progress=False)
    assert isinstance(model.generator_, Variational)
    assert isinstance(model.generator_.law, expected)
    assert model.log_prob(data).dtype == torch.float64
    assert bool(model.log_prob(data).isfinite().all())


def test_a_density_is_in_the_datas_own_units() -> None:
    """Ten times the data is a density a tenth as high in each of three coordinates."""
    x = points()
    one = VAE(**QUICK).fit(x, progress=False).log_prob(x)
    ten = VAE(**QUICK).fit(10 * x, progress=False).log_prob(10 * x)
    assert torch.allclose(one - ten, torch.full((len(x),), 3 * math.log(10), dtype=torch.float64), atol=1e-3)


def test_more_draws_raise_the_estimate_and_the_elbo_lies_below() -> None:
    """In the mean over rows: the bound of 64 draws above that of one, by which it is also the ELBO in expectation."""
    x = points()
    model = VAE(samples=1, **{**QUICK, "steps": 60}).fit(x, progress=False)
    elbo, many = model.elbo(x, draws=64), model.log_prob(x, draws=64)
    assert bool((many >= elbo - 1e-9).all())  # of the same draws, by Jensen
    assert float((many - elbo).mean()) > 0
    assert torch.equal(model.log_prob(x), model.log_prob(x))
    assert not torch.equal(model.log_prob(x, seed=1), model.log_prob(x, seed=2))


def test_a_vae_learns_a_gaussian() -> None:
    """ln p of fresh rows of N(0, C): the mean is below the truth and within .1 nats of it."""
    rng = np.random.default_rng(2)
    root = np.array([[1.0, 0.0], [0.8, 0.4]])
    x, fresh = (rng.standard_normal((n, 2)) @ root.T for n in (4000, 4000))
    model = VAE(latent_size=2, steps=400, width=32, depth=1, batch_size=128, learning_rate=5e-3, device="cpu")
    model.fit(x, progress=False)
    truth = torch.distributions.MultivariateNormal(torch.zeros(2), torch.from_numpy(root @ root.T).float())
    gap = truth.log_prob(torch.from_numpy(fresh).float()).double() - model.log_prob(fresh)
    assert -6 * float(gap.std()) / math.sqrt(len(gap)) < float(gap.mean()) < 0.1


def test_pictures_learn_more_than_independent_pixels() -> None:
    """Two patterns of 16 pixels with 5 % of them flipped: ln 2 and 16 entropies of .05 against 16 bits apart."""
    rng = np.random.default_rng(3)
    pattern = rng.integers(0, 2, 16)
    which = rng.integers(0, 2, 1200)
    bright = (pattern[None] ^ which[:, None]) ^ (rng.random((1200, 16)) < 0.05)
    x = (255 * bright).astype(np.uint8).reshape(-1, 4, 4)
    entropy = math.log(2) - 16 * (0.05 * math.log(0.05) + 0.95 * math.log(0.95))
    model = VAE(latent_size=2, steps=250, width=32, depth=1, learning_rate=3e-3, device="cpu").fit(
        x[:1000], progress=False
    )
    nll = -float(model.log_prob(x[1000:]).mean())
    assert entropy - 6 * 16 * 0.7 / math.sqrt(200) < nll < entropy + 1.0 < 16 * math.log(2) - 4
    assert set(np.unique(model.sample(50, seed=0))) <= {0, 255}
    assert (model.reconstruct(x[1000:]) != x[1000:]).mean() < 0.07


def test_an_unseen_shade_has_no_mass() -> None:
    x = pictures()
    model = VAE(**QUICK).fit(x, progress=False)
    strange = x[:3].copy()
    strange[1, 0, 0] = 77
    told = model.log_prob(strange)
    assert torch.isneginf(told[1])
    assert bool(told[[0, 2]].isfinite().all())


def test_a_vae_of_rows_given_a_label_draws_and_weighs_by_it() -> None:
    rng = np.random.default_rng(4)
    label = rng.integers(0, 2, 1000)
    x = rng.standard_normal((1000, 2)) * 0.3 + 4 * label[:, None]
    model = VAE(latent_size=1, steps=250, width=16, depth=1, learning_rate=5e-3, device="cpu")
    model.fit(x, given=label, progress=False)
    for value in (0, 1):
        drawn = model.sample(200, given=value, seed=0)
        assert np.abs(drawn.mean(0) - 4 * value).max() < 0.5
        right, wrong = (
            float(model.log_prob(x[label == value], given=np.full((label == value).sum(), one)).mean())
            for one in (value, 1 - value)
        )
        assert right > wrong + 10


# ---- VQ-VAE and WAE


def test_codes_are_whole_numbers_and_samples_are_of_the_prior_of_them() -> None:
    """Four clusters and codes enough to tell them apart: samples fall where rows are, every cluster with its share."""
    rng = np.random.default_rng(5)
    which = rng.choice(4, 2000, p=[0.4, 0.3, 0.2, 0.1])
    centres = np.array([[0.0, 0.0], [5.0, 0.0], [0.0, 5.0], [5.0, 5.0]])
    x = centres[which] + 0.2 * rng.standard_normal((2000, 2))
    model = VQVAE(
        latent_size=1, codebook=8, code_size=4, steps=300, width=32, depth=1, batch_size=128, learning_rate=5e-3,
        device="cpu",
    ).fit(x, progress=False)  # fmt: skip
    codes = model.encode(x)
    assert codes.dtype == np.int64
    assert codes.shape == (2000, 1)
    assert codes.max() < 8
    assert np.array_equal(model.decode(codes), model.reconstruct(x))
    assert np.abs(model.reconstruct(x) - x).mean() < 0.4
    drawn = model.sample(2000, seed=1)
    nearest = np.linalg.norm(drawn[:, None] - centres[None], axis=2).argmin(1)
    shares = np.bincount(nearest, minlength=4) / 2000
    assert np.abs(shares - [0.4, 0.3, 0.2, 0.1]).max() < 0.1
    with pytest.raises(InputError, match="whole numbers from 0 to 7"):
        model.decode(np.array([[8]]))


@pytest.mark.parametrize("penalty", ["mmd", "energy"])
def test_the_codes_of_a_wae_are_drawn_to_their_prior(penalty: str) -> None:
    x = points(1500)
    model = WAE(latent_size=2, penalty=penalty, steps=150, width=32, depth=1, batch_size=64, learning_rate=5e-3,
                device="cpu").fit(x, progress=False)  # fmt: skip
    z = model.encode(x)
    assert np.abs(z.mean(0)).max() < 0.25
    assert np.abs(np.cov(z.T) - np.eye(2)).max() < 0.4
    error = np.square((model.reconstruct(x) - x) / x.std(0)).sum(1).mean()
    assert error < 1.0  # of 3 when nothing is told
    assert "penalty" in model.history_[-1]


# ---- refusals


@pytest.mark.parametrize(
    ("model", "data", "told"),
    [
        (VAE(latent_size=4, **QUICK), points(), "latent_size 4 is larger than the data, whose rows have 3 numbers"),
        (Autoencoder(latent_size=4, **QUICK), points(), "give at most 3"),
        (WAE(latent_size=17, **QUICK), pictures(), "latent_size 17 is larger than the data"),
        (VQVAE(latent_size=17, **QUICK), pictures(), "latent_size 17 is larger than the data"),
        (VAE(decoder="poisson", **QUICK), points(), "unknown decoder 'poisson'; known: bernoulli, categorical"),
        (VAE(decoder="bernoulli", **QUICK), points(), "decoder 'bernoulli' does not suit points; choose gaussian"),
        (VAE(decoder="bernoulli", **QUICK), pictures(shades=5), "of images of two shades, and these have 5"),
        (VAE(decoder="categorical", **QUICK), pictures(shades=100), "at most 32 shades"),
        (VAE(samples=0, **QUICK), points(), "samples must be a whole number of at least 1, not 0"),
        (VAE(warm_up=1.0, **QUICK), points(), "warm_up is a share"),
        (VAE(beta=-1.0, **QUICK), points(), "beta must be a number of at least 0"),
        (VAE(free_bits=0.1, samples=2, **QUICK), points(), "free_bits holds the divergence of the ELBO"),
        (WAE(penalty="wasserstein", **QUICK), points(), "unknown objective 'wasserstein'"),
        (WAE(penalty="feature-matching", **QUICK), points(), "choose mmd, energy, sinkhorn, gmmn"),
        (Autoencoder(noise=1.5, **QUICK), table(), "share of a row that is blotted out"),
        (VQVAE(codebook=1, **QUICK), points(), "a codebook of one entry"),
    ],
)
def test_what_cannot_be_done_is_refused_in_a_sentence(model: Any, data: Any, told: str) -> None:
    with pytest.raises(InputError, match=told):
        model.fit(data, progress=False)


def test_a_larger_picture_goes_by_convolutions_or_by_a_perceptron_on_request() -> None:
    x = np.random.default_rng(0).integers(0, 256, (40, 20, 20, 3), dtype=np.uint8)
    for perceptron in (False, True):
        model = Autoencoder(perceptron=perceptron, latent_size=6, **QUICK).fit(x, progress=False)
        assert isinstance(model.generator_, Plain)
        assert model.generator_.reader.convolve is not perceptron
        assert model.encode(x).shape == (40, 6)
        assert model.reconstruct(x).shape == x.shape
