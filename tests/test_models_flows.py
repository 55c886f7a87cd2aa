"""Flows: densities that integrate to one and match their samples, exact inverses, bounds in bits, and global state."""

import subprocess
import sys
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch
from scipy import integrate, stats
from sklearn.base import clone
from torch.distributions import (
    AffineTransform,
    Distribution,
    ExpTransform,
    Gamma,
    MultivariateNormal,
    Normal,
    SigmoidTransform,
)

from pushforward.data.tables import Block
from pushforward.errors import InputError
from pushforward.models.classical import Gaussian
from pushforward.models.maps import InverseTransform, Map, Pushforward
from pushforward.models.normalising import Flow
from pushforward.nets.event import Event
from pushforward.nets.zuko_flow import SQUASHES, TRANSFORMS, FlowNet, Layers

TINY: dict[str, Any] = {"width": 16, "depth": 1, "device": "cpu", "validation": 0.0}
MIXED = Event(
    "table",
    (7,),
    (
        Block("a", "numeric", 0, 1, 1),
        Block("b", "numeric", 1, 2, 1),
        Block("b", "category", 2, 4, 2),
        Block("k", "category", 4, 7, 3),
    ),
)


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def shaken(net: torch.nn.Module, strength: float = 0.4, seed: int = 1) -> Any:
    """Every weight drawn anew: no layer is the identity that it begins as."""
    generator = rng(seed)
    with torch.no_grad():
        for weight in net.parameters():
            weight.copy_(strength * torch.randn(weight.shape, generator=generator))
    return net.requires_grad_(False)


def net_of(event: Event, kind: str = "nsf", squash: str = "score") -> Any:
    named = {"kind": kind, "transforms": 3, "bins": 6, "squash": squash, "width": 16, "depth": 1}
    return shaken(FlowNet(event, **named, generator=rng()))  # type: ignore[arg-type]


# ---- the change of variables


@pytest.mark.parametrize("kind", TRANSFORMS)
@pytest.mark.parametrize(("d", "context"), [(1, 0), (1, 2), (2, 0), (5, 3)])
def test_the_determinant_is_that_of_the_jacobian(kind: str, d: int, context: int) -> None:
    """By automatic differentiation in float64, and the inverse takes every row back."""
    layers = shaken(
        Layers(d, kind=kind, transforms=4, bins=5, context=context, width=16, depth=2, generator=rng())
    ).double()
    x = torch.randn(6, d, generator=rng(2), dtype=torch.float64)
    c = torch.randn(6, context, generator=rng(3), dtype=torch.float64) if context else None
    z, total = layers(x, c)
    for i in range(6):
        given = None if c is None else c[i : i + 1]
        jacobian = torch.autograd.functional.jacobian(lambda one: layers(one[None], given)[0][0], x[i])  # noqa: B023
        assert float(torch.linalg.slogdet(jacobian)[1]) == pytest.approx(float(total[i]), abs=1e-9)
    torch.testing.assert_close(layers.inverse(z, c), x, atol=1e-7, rtol=0)
    assert float((z - x).abs().max()) > 0.1


@pytest.mark.parametrize("kind", TRANSFORMS)
def test_the_density_integrates_to_one(kind: str) -> None:
    net = shaken(net_of(Event("points", (2,)), kind), 0.25)
    axis = np.linspace(-14, 14, 301)
    grid = torch.tensor(list(product(axis, axis)), dtype=torch.float32)
    p = torch.cat([net.log_prob(part, generator=rng()) for part in grid.split(200_000)]).exp().double()
    total = integrate.simpson(integrate.simpson(p.view(301, 301).numpy(), x=axis), x=axis)
    assert total == pytest.approx(1, abs=3e-3)


@pytest.mark.parametrize("kind", TRANSFORMS)
def test_samples_follow_the_density(kind: str) -> None:
    """E_q[h(x)] of the samples and of the density, for the density itself: entropy by samples and by a grid (five
    standard errors and the grid's own error); Kolmogorov-Smirnov of latents of the samples at 1e-6."""
    net = shaken(net_of(Event("points", (2,)), kind), 0.25)
    x = net(net.noise(20_000, generator=rng(4)))
    told = net.log_prob(x, generator=rng())
    axis = np.linspace(-14, 14, 301)
    grid = torch.tensor(list(product(axis, axis)), dtype=torch.float32)
    p = torch.cat([net.log_prob(part, generator=rng()) for part in grid.split(200_000)]).exp().double().numpy()
    each = np.where(p > 0, p * np.log(np.maximum(p, 1e-300)), 0).reshape(301, 301)
    entropy = integrate.simpson(integrate.simpson(each, x=axis), x=axis)
    assert abs(float(told.mean()) - entropy) < 5 * float(told.std()) / 20_000**0.5 + 0.01
    z = net.encode(x)
    for column in z.T:
        assert stats.kstest(column.double().numpy(), "norm").pvalue > 1e-6


def test_a_number_that_is_missing_has_no_density() -> None:
    """A mixed table's total mass: sum over its categories of the integral over the numbers that are there."""
    net = shaken(net_of(MIXED), 0.25)
    axis = np.linspace(-14, 14, 281)
    total = 0.0
    for there, kind in product([1.0, 0.0], range(3)):
        tail = torch.tensor([[there, 1 - there, *(float(i == kind) for i in range(3))]])
        grid = torch.tensor(list(product(axis, axis if there else [0.0])), dtype=torch.float32)
        rows = torch.cat([grid, tail.expand(len(grid), -1)], 1)
        p = net.log_prob(rows, generator=rng()).exp().double().view(281, -1).numpy()
        whole = integrate.simpson(p, x=axis, axis=0)
        total += float(integrate.simpson(whole, x=axis)) if there else float(whole[0])
    assert total == pytest.approx(1, abs=5e-3)


def test_latents_of_mixed_rows_decode_to_them() -> None:
    net = net_of(MIXED)
    made = net(net.noise(3000, generator=rng(5)))
    again = net.decode(net.encode(made))
    torch.testing.assert_close(again[:, 2:], made[:, 2:])
    torch.testing.assert_close(again, made, atol=2e-3, rtol=1e-3)
    assert bool((made[made[:, 3] > 0, 1] == 0).all())  # a number that is not there is 0
    # draws have the masses that the network tells (chi-squared at 1e-6)
    rows = torch.tensor([[a, 1 - a, *(float(i == k) for i in range(3))] for a in (1.0, 0.0) for k in range(3)])
    mass = net.categories.log_prob(rows).exp().double()
    counts = [(made[:, 2:] == row).all(1).sum().item() for row in rows]
    assert stats.chisquare(counts, (3000 * mass / mass.sum()).numpy()).pvalue > 1e-6


# ---- pictures


@pytest.mark.parametrize("squash", SQUASHES)
def test_pictures_are_bounded_from_below(squash: str) -> None:
    """All 16 pictures of four binary pixels: the mean of many draws of the bound's weight is P, which adds up to one
    (with the logit, to no more: what lies beyond its ends is lost); the bound lies below its logarithm; and a shade
    that training never had has no mass."""
    event = Event("images", (1, 2, 2), shades=(0, 255))
    net = shaken(net_of(event, squash=squash), 0.15)
    corners = torch.tensor(list(product([-1.0, 1.0], repeat=4))).view(-1, 1, 2, 2)
    start = corners[[0, 3, 5, 15, 15, 9]]
    net.warm_start(start, generator=rng())
    draws = 4000
    u = torch.rand(draws * 16, 4, generator=rng(3))
    told = net._log_mass(corners.repeat(draws, 1, 1, 1), u, None).double().view(draws, 16)
    mass, error = told.exp().mean(0), told.exp().std(0) / draws**0.5
    whole, off = float(mass.sum()), 6 * float(error.square().sum().sqrt()) + 1e-3
    assert whole < 1 + off
    if squash == "score":
        assert whole > 1 - off
    assert off < 0.2
    assert bool((told.mean(0) < mass.log() + 6 * error / mass).all())
    better = net.log_prob(corners.repeat(40, 1, 1, 1), generator=rng(1)).double().view(40, 16).mean(0)
    assert float((better - told.mean(0)).mean()) > 0  # more draws, a closer bound
    odd = corners[:2].clone()
    odd[1, 0, 0, 0] = 0.2
    assert net.log_prob(odd, generator=rng()).isfinite().tolist() == [True, False]
    assert float(net.log_prob(odd, generator=rng())[1]) == -np.inf
    torch.testing.assert_close(net.decode(net.encode(corners)), corners)


def test_bits_of_uniform_pixels_and_of_independent_ones() -> None:
    """log2 Q where shades are equally likely; and before its first step a flow on normal scores is the law of
    independent pixels: the bound is that law exactly, and in bits at least the discrete entropy."""
    shades = np.arange(0, 256, 17).astype(np.uint8)  # 16 of them
    even = np.tile(shades, 60)[: 16 * 60].reshape(-1, 1, 1)
    net = FlowNet(
        Event("images", (1, 1, 1), shades=tuple(shades.tolist())),
        kind="nsf", transforms=2, bins=4, squash="score", width=8, depth=1, generator=rng(),
    )  # fmt: skip
    x = torch.as_tensor(even, dtype=torch.float32)[:, None] / 127.5 - 1
    net.warm_start(x, generator=rng())
    with torch.no_grad():
        bits = -net.log_prob(x, generator=rng()).double() / np.log(2)
    np.testing.assert_allclose(bits.numpy(), 4.0, atol=1e-3)
    pictures = np.random.default_rng(0).choice([0, 90, 255], size=(500, 2, 2), p=[0.7, 0.2, 0.1]).astype(np.uint8)
    model = Flow(steps=1, learning_rate=1e-9, **TINY).fit(pictures, progress=False)
    truth = 0.0
    for pixel in pictures.reshape(500, -1).T:
        counts = np.array([(pixel == shade).sum() for shade in (0, 90, 255)])
        truth -= float((counts * np.log((counts + 0.5) / 501.5)).sum()) / 500
    assert -float(model.log_prob(pictures).mean()) == pytest.approx(truth, abs=2e-3)


# ---- the estimator


def test_a_flow_learns_and_its_global_state_stays() -> None:
    """Held-out log density of two bent clouds beyond a Gaussian's by .5; torch.distributions checks as before."""
    flags = Distribution._validate_args, Distribution.__dict__["arg_constraints"]
    draw = np.random.default_rng(0)
    x = draw.normal(size=(3000, 1))
    rows = np.hstack([x, x**2 + 0.2 * draw.normal(size=(3000, 1))]) * [100.0, 0.01]
    model = Flow(steps=150, learning_rate=5e-3, batch_size=256, **{**TINY, "validation": 0.1})
    model.fit(rows[:2500], progress=False)
    held = rows[2500:]
    gain = model.log_prob(held).mean() - Gaussian().fit(rows[:2500], progress=False).log_prob(held).mean()
    assert float(gain) > 0.5
    z = model.encode(held)
    assert z.shape == (500, 2)
    assert z.dtype == np.float32
    np.testing.assert_allclose(model.decode(z) / [100.0, 0.01], held / [100.0, 0.01], atol=1e-3)
    np.testing.assert_array_equal(model.reconstruct(held), model.decode(z))
    drawn = model.sample(400, seed=1)
    assert np.median(np.abs(drawn[:, 1] / 0.01 - (drawn[:, 0] / 100) ** 2)) < 0.5
    assert (Distribution._validate_args, Distribution.__dict__["arg_constraints"]) == flags
    with pytest.raises(ValueError, match="constraint"):
        Normal(0.0, -1.0)


def test_importing_the_library_imports_no_zuko() -> None:
    code = (
        "import sys, pushforward, pushforward.models.normalising, torch; assert 'zuko' not in sys.modules;"
        "from torch.distributions import Distribution as D; a = D._validate_args, D.__dict__['arg_constraints'];"
        "s = torch.get_rng_state(); from pushforward.nets.zuko_flow import zuko; zuko();"
        "assert 'zuko' in sys.modules and a == (D._validate_args, D.__dict__['arg_constraints']);"
        "assert torch.equal(s, torch.get_rng_state())"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_mixed_tables_and_conditions(tmp_path: Path) -> None:
    """Numbers follow their category, missing ones stay missing, and a saved model is the same."""
    draw = np.random.default_rng(1)
    kind = draw.choice(["low", "high"], size=1500)
    x = np.where(kind == "high", 3.0, -3.0) + draw.normal(size=1500)
    hole = [None if one < 0.3 else float(v) for one, v in zip(draw.random(1500), x, strict=True)]
    table = pl.DataFrame({"kind": kind, "x": x, "hole": hole})
    model = Flow(steps=120, learning_rate=6e-3, batch_size=128, **TINY).fit(table, out=tmp_path / "run", progress=False)
    drawn = model.sample(1000, seed=2)
    assert drawn.filter(pl.col("kind") == "high")["x"].mean() > 1.5
    assert drawn.filter(pl.col("kind") == "low")["x"].mean() < -1.5
    assert 150 < drawn["hole"].null_count() < 450
    both = drawn.drop_nulls()
    assert np.corrcoef(both["x"], both["hole"])[0, 1] > 0.8
    again = Flow.load(tmp_path / "run")
    assert again.sample(50, seed=2).equals(drawn[:50])
    torch.testing.assert_close(again.log_prob(table), model.log_prob(table), rtol=0, atol=0)
    assert model.encode(table).shape == (1500, 4)
    back = model.reconstruct(table)
    assert back["kind"].equals(table["kind"])
    assert back["hole"].is_null().equals(table["hole"].is_null())
    assert float(np.mean(np.abs(back["x"].to_numpy() - x) < 1e-3)) > 0.99  # but in the outermost steps of its codec
    beside = Flow(steps=100, learning_rate=8e-3, batch_size=128, **TINY).fit(table, given=["kind"], progress=False)
    assert beside.sample(300, given={"kind": "high"}, seed=0)["x"].mean() > 1.5
    # ln p(x, hole | kind) = ln p(kind, x, hole) - ln p(kind), and both kinds are as frequent
    assert float(beside.log_prob(table).mean() - model.log_prob(table).mean()) == pytest.approx(np.log(2), abs=0.4)


def test_folders_clones_and_one_row_of_pictures(tmp_path: Path) -> None:
    pictures = np.random.default_rng(0).choice([0, 90, 255], size=(150, 3, 3)).astype(np.uint8)
    model = Flow(transform="realnvp", transforms=3, steps=6, **TINY).fit(pictures, out=tmp_path, progress=False)
    again = Flow.load(tmp_path)
    torch.testing.assert_close(again.log_prob(pictures), model.log_prob(pictures), rtol=0, atol=0)
    np.testing.assert_array_equal(again.sample(9, seed=1), model.sample(20, seed=1)[:9])
    np.testing.assert_array_equal(clone(model).fit(pictures, progress=False).sample(9, seed=1), again.sample(9, seed=1))
    assert model.log_prob(pictures[:1]).shape == (1,)
    assert (Flow.likelihood, model.likelihood) == ("exact", "lower_bound")
    np.testing.assert_array_equal(model.reconstruct(pictures), pictures)
    one = np.random.default_rng(0).gamma(2.0, size=(400, 1))
    line = Flow(steps=20, learning_rate=1e-2, **TINY).fit(one, progress=False)
    assert line.sample(5, seed=0).shape == (5, 1)


def test_what_cannot_be_used() -> None:
    rows = np.random.default_rng(0).normal(size=(30, 2))
    for options, words in (
        ({"transform": "glow"}, "unknown transform 'glow'; known: nsf, maf, realnvp"),
        ({"squash": "tanh"}, "unknown squash 'tanh'; known: logit, score"),
        ({"transforms": 0}, "transforms must be a whole number of at least 1, not 0"),
        ({"bins": 1}, "bins must be a whole number of at least 2, not 1"),
    ):
        with pytest.raises(InputError, match=words):
            Flow(**options).fit(rows, progress=False)  # type: ignore[arg-type]


# ---- maps made by hand


def test_a_pushforward_is_scipys_lognormal() -> None:
    """exp(2 z + 1): density, samples (Kolmogorov-Smirnov at 1e-6), inverse, and -inf where exp has no value."""
    law = Pushforward([AffineTransform(1.0, 2.0), ExpTransform()], d=1)
    truth = stats.lognorm(2.0, scale=np.e)
    x = np.array([[0.1], [1.0], [7.0], [-1.0], [0.0]])
    told = law.log_prob(x)
    np.testing.assert_allclose(told[:3], truth.logpdf(x[:3, 0]), rtol=1e-10)
    assert told[3:].tolist() == [-np.inf, -np.inf]
    drawn = law.sample(5000, seed=1)
    assert stats.kstest(drawn[:, 0], truth.cdf).pvalue > 1e-6
    np.testing.assert_array_equal(drawn, law.sample(5000, seed=1))
    np.testing.assert_allclose(law.decode(law.encode(drawn)), drawn, rtol=1e-9)


def test_a_linear_map_of_three_functions_is_a_gaussian() -> None:
    a = torch.tensor([[2.0, 0.0, 0.0], [1.0, 0.5, 0.0], [-1.0, 3.0, 1.5]], dtype=torch.float64)
    size = float(a.diagonal().log().sum())
    linear = Map(lambda z: z @ a.T, lambda x: x @ torch.linalg.inv(a).T, lambda z: torch.full((len(z),), size))
    law = Pushforward(linear, d=3)
    x = law.sample(200, seed=0)
    truth = stats.multivariate_normal(np.zeros(3), (a @ a.T).numpy())
    np.testing.assert_allclose(law.log_prob(x), truth.logpdf(x), rtol=1e-7)
    base = MultivariateNormal(torch.zeros(3), torch.eye(3))
    torch.testing.assert_close(Pushforward(linear, base).log_prob(x), law.log_prob(x), rtol=1e-4, atol=1e-4)


def test_bases_of_other_supports_and_of_fitted_models() -> None:
    uniform = Pushforward(AffineTransform(-1.0, 3.0), "uniform", d=2)
    told = uniform.log_prob([[0.0, 1.0], [2.5, 0.0]])
    assert told.tolist() == [pytest.approx(-2 * np.log(3)), -np.inf]
    gamma = Pushforward(AffineTransform(0.0, 2.0), Gamma(torch.tensor(2.0), torch.tensor(1.0)))
    x = np.array([[0.5], [3.0], [-2.0]])
    np.testing.assert_allclose(gamma.log_prob(x)[:2], stats.gamma(2, scale=2).logpdf(x[:2, 0]), rtol=1e-6)
    assert float(gamma.log_prob(x)[2]) == -np.inf
    assert gamma.sample(7, seed=0).shape == (7, 1)
    rows = np.random.default_rng(0).normal(size=(500, 2))
    fitted = Gaussian().fit(rows, progress=False)
    logistic = Pushforward(SigmoidTransform(), fitted)
    inner = 1 / (1 + np.exp(-rows[:50]))
    expected = fitted.log_prob(rows[:50]) - torch.from_numpy(np.log(inner * (1 - inner)).sum(1))
    torch.testing.assert_close(logistic.log_prob(inner), expected, rtol=1e-6, atol=1e-6)
    assert logistic.log_prob([[0.5, 1.5], [0.2, 0.3]]).isfinite().tolist() == [False, True]
    for bad, words in (
        ((lambda z: z,), "a step of a transform"),
        ((ExpTransform(), "cauchy"), "unknown base 'cauchy'; known: normal, uniform"),
        ((ExpTransform(), "normal"), "give d"),
        ((ExpTransform(), object()), "must have sample and log_prob"),
    ):
        with pytest.raises(InputError, match=words):
            Pushforward(*bad)


def test_a_zuko_transform_is_a_transform() -> None:
    """Its own spline pushed forward: mass one on the line."""
    from pushforward.nets.zuko_flow import zuko

    widths, heights, slopes = (torch.randn(n, generator=rng(n), dtype=torch.float64) for n in (6, 7, 5))
    law = Pushforward(zuko().spline(widths, heights[:6], slopes), d=1)
    x = np.linspace(-9, 9, 20_001)
    assert integrate.simpson(law.log_prob(x).exp().numpy(), x=x) == pytest.approx(1, abs=1e-4)


def test_inverse_transform_sampling() -> None:
    """scipy's gamma by its quantile function: density to 1e-6, F by halving, samples at 1e-6."""
    truth = stats.gamma(2.0)
    law = InverseTransform(truth.ppf)
    x = np.array([0.05, 0.7, 3.0, 9.0])
    np.testing.assert_allclose(law.encode(x), truth.cdf(x), atol=1e-9)
    np.testing.assert_allclose(law.log_prob(x), truth.logpdf(x), atol=1e-5)
    assert float(law.log_prob([-1.0])[0]) == -np.inf
    drawn = law.sample(5000, seed=3)
    assert stats.kstest(drawn, truth.cdf).pvalue > 1e-6
    with_cdf = InverseTransform(truth.ppf, truth.cdf)
    np.testing.assert_allclose(with_cdf.encode(x), truth.cdf(x), rtol=1e-12)


def test_inverse_transforms_of_data() -> None:
    rows = np.random.default_rng(0).gamma(2.0, size=4000)
    law = InverseTransform.of(rows)
    x = np.linspace(rows.min(), rows.max(), 200_001)
    assert integrate.trapezoid(law.log_prob(x).exp().numpy(), x=x) == pytest.approx(1, abs=1e-3)
    assert stats.ks_2samp(law.sample(4000, seed=1), np.random.default_rng(9).gamma(2.0, size=4000)).pvalue > 1e-6
    assert not np.isin(law.sample(500, seed=1), rows).any()
    np.testing.assert_allclose(law.decode(law.encode(rows)), rows, atol=1e-9)
    assert law.log_prob([rows.min() - 1, rows.max() + 1]).tolist() == [-np.inf, -np.inf]
    atoms = InverseTransform.of([1.0, 1.0, 2.0, 5.0], smooth=False)
    np.testing.assert_allclose(atoms.log_prob([1.0, 2.0, 3.0]).exp(), [0.5, 0.25, 0.0])
    counts = np.unique(atoms.sample(4000, seed=0), return_counts=True)
    assert counts[0].tolist() == [1.0, 2.0, 5.0]
    assert stats.chisquare(counts[1], [2000, 1000, 1000]).pvalue > 1e-6
    for bad, words in (([3.0, 3.0], "differ"), ([1.0, 1.0, 1.0, 2.0], "repeated so often"), ([1.0, np.nan], "NaN")):
        with pytest.raises(InputError, match=words):
            InverseTransform.of(bad)
