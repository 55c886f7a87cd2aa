"""Latent tools and representations: walks, inversion, directions, critics' features, probes, `pushforward encode`."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pushforward.errors import InputError
from pushforward.models import GAN, BiGAN, InfoGAN, ScoreDifference, load
from pushforward.models.inversion import invert
from pushforward.models.latent import (
    between,
    decode,
    directions,
    from_normal,
    interpolate,
    latents,
    laws,
    spherical,
    to_normal,
    traverse,
)
from pushforward.models.representation import features, fine_tune, layers, linear_probe, nearest_neighbours

TINY: Mapping[str, Any] = {"steps": 5, "width": 8, "depth": 1, "batch_size": 16, "device": "cpu"}


@pytest.fixture(scope="module")
def plane() -> GAN:
    x = np.random.default_rng(0).normal(size=(200, 2)) * [3.0, 0.1] + [5.0, -1.0]
    return GAN(**TINY).fit(x, progress=False)


@pytest.fixture(scope="module")
def frame() -> pl.DataFrame:
    draw = np.random.default_rng(2)
    return pl.DataFrame({"price": draw.lognormal(size=120).round(2), "town": draw.choice(list("abc"), 120)})


@pytest.fixture(scope="module")
def table(frame: pl.DataFrame) -> GAN:
    return GAN(**TINY, noise_size=3).fit(frame, progress=False)


@pytest.fixture(scope="module")
def pictures() -> np.ndarray:
    return np.random.default_rng(1).integers(0, 256, size=(40, 18, 17), dtype=np.uint8)


@pytest.fixture(scope="module")
def album(pictures: np.ndarray) -> GAN:
    return GAN(**{**TINY, "steps": 1}, noise_size=4).fit(pictures, progress=False)


# ---- walks


@settings(max_examples=15, deadline=None)
@given(st.integers(2, 30), st.floats(0.1, 5), st.integers(0, 2**31 - 1))
def test_an_arc_keeps_the_norm_and_turns_evenly(m: int, radius: float, seed: int) -> None:
    draw = torch.Generator().manual_seed(seed)
    a, b = (torch.nn.functional.normalize(torch.randn(3, m, generator=draw)) * radius for _ in range(2))
    way = spherical(a, b, torch.linspace(0, 1, 7))
    torch.testing.assert_close(way.norm(dim=2), torch.full((3, 7), radius))
    torch.testing.assert_close(way[:, 0], a, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(way[:, -1], b, atol=1e-4, rtol=1e-4)
    steps = (way[:, 1:] - way[:, :-1]).norm(dim=2)  # chords of equal angles are equal
    torch.testing.assert_close(steps, steps[:, :1].expand_as(steps), atol=1e-3 * radius, rtol=1e-3)


def test_norms_in_between_are_between_and_opposite_ends_have_a_way() -> None:
    a, b = torch.tensor([[3.0, 0.0, 0.0]]), torch.tensor([[-1.0, 0.0, 0.0]])
    way = spherical(a, b, torch.linspace(0, 1, 5))[0]
    torch.testing.assert_close(way.norm(dim=1), torch.linspace(3, 1, 5))
    torch.testing.assert_close(way[-1], b[0], atol=1e-5, rtol=0)
    assert torch.equal(spherical(a, a, torch.linspace(0, 1, 3))[0], a.repeat(3, 1))


def test_walks_respect_the_laws_of_the_coordinates() -> None:
    """Uniforms stay within their ends, and a one-hot code changes half-way."""
    found = (("normal", 2), ("uniform", 1), ("symmetric", 1), ("onehot", 2))
    a = torch.tensor([[1.0, 0.0, 0.01, -0.9, 1.0, 0.0]])
    b = torch.tensor([[0.0, 1.0, 0.99, 0.9, 0.0, 1.0]])
    torch.testing.assert_close(from_normal(to_normal(a, found), found), a)
    for how in ("spherical", "linear"):
        way = between(a, b, 5, found, how)[0]  # type: ignore[arg-type]
        torch.testing.assert_close(way[0], a[0], atol=1e-5, rtol=1e-4)
        torch.testing.assert_close(way[-1], b[0], atol=1e-5, rtol=1e-4)
        assert way[:, 4:].tolist() == [[1, 0], [1, 0], [0, 1], [0, 1], [0, 1]]
        assert bool(((way[:, 2] > 0) & (way[:, 2] < 1) & (way[:, 3].abs() < 1)).all())
    torch.testing.assert_close(between(a, b, 3, (("normal", 6),), "linear")[0, 1], (a + b)[0] / 2)


def test_latents_are_those_of_the_samples(plane: GAN, table: GAN, album: GAN) -> None:
    for model, n in ((plane, 9000), (album, 3)):  # 9000 rows are more than one chunk
        np.testing.assert_array_equal(decode(model, latents(model, n, 5)), model.sample(n, seed=5))
    assert decode(table, latents(table, 30, 5), seed=5).equals(table.sample(30, seed=5))
    assert laws(plane) == (("normal", 2),)
    assert laws(table) == (("normal", 1 + 3), ("uniform", 3))


def test_ways_begin_and_end_where_they_should(plane: GAN, table: GAN) -> None:
    z = latents(plane, 4, 0)
    way = interpolate(plane, z[:2], z[2:], 6)
    assert way.shape == (12, 2)
    np.testing.assert_allclose(way[[0, 6, 5, 11]], decode(plane, z), rtol=1e-4)
    u = latents(table, 2, 0)
    walk = interpolate(table, u[0], u[1], 3, how="linear")
    assert walk.schema == table.sample(1, seed=0).schema
    assert walk[["town"]].equals(decode(table, np.stack([u[0], between_(table, u), u[1]]))[["town"]])


def between_(model: GAN, z: np.ndarray) -> np.ndarray:
    """The middle of a straight way, by hand: uniforms by way of normal quantiles."""
    from scipy.stats import norm

    u = np.concatenate([z[:, :4], norm.ppf(z[:, 4:])], 1).mean(0)
    return np.concatenate([u[:4], norm.cdf(u[4:])])


def test_traverses_change_one_dimension(plane: GAN) -> None:
    z = latents(plane, 2, 0)
    expected = np.repeat(z, 3, 0)
    expected[:, 1] = [-2, 0, 2, -2, 0, 2]
    np.testing.assert_allclose(traverse(plane, z, 1, [-2, 0, 2]), decode(plane, expected), rtol=1e-5)
    moved = traverse(plane, z[0], np.array([0.6, 0.8]), [0.0, 5.0])
    np.testing.assert_allclose(moved, decode(plane, np.stack([z[0], z[0] + [3.0, 4.0]])), rtol=1e-5)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda m, z: interpolate(m, z, z, how="curved"), "unknown way 'curved'.*spherical, linear"),
        (lambda m, z: interpolate(m, z, z, 1), "steps must be a whole number of at least 2"),
        (lambda m, z: interpolate(m, z, z[:1]), "3 latents to start from and 1 to go to"),
        (lambda m, z: decode(m, z[:, :1]), r"latents of shape \(3, 1\).*rows of 2 numbers"),
        (lambda m, z: decode(m, z * np.nan), "NaN or infinite"),
        (lambda m, z: traverse(m, z, 2, [0]), "dimension 2: the latents have dimensions 0 to 1"),
        (lambda m, z: traverse(m, z, np.ones(3), [0]), r"a direction of shape \(3,\)"),
        (lambda m, z: latents(m, 0), "at least 1"),
        (lambda m, z: invert(m, decode(m, z), starts=0), "starts must be"),
        (lambda m, z: directions(m, z, [0, 0, 0]), "1 different labels"),
        (lambda m, z: directions(m, z, "cut"), "only tables have columns"),
        (
            lambda m, z: features(m, decode(m, z), layer="deep"),
            "no layer 'deep'; it has body.enter, body.blocks.0, hid",
        ),
    ],
)
def test_what_makes_no_sense_is_refused(call: Any, message: str, plane: GAN) -> None:
    with pytest.raises(InputError, match=message):
        call(plane, latents(plane, 3, 0))


def test_models_that_are_not_fitted_have_no_latents() -> None:
    with pytest.raises(InputError, match="not fitted yet"):
        latents(GAN(), 3)


def test_what_is_given_changes_half_way() -> None:
    """Of points whose second coordinate is given: it is a's, then b's."""
    x = np.random.default_rng(0).normal(size=(100, 2))
    model = GAN(**TINY).fit(x, given=[1], progress=False)
    z = latents(model, 2, 0)
    assert laws(model)[-1] == ("given", 1)
    way = interpolate(model, z[0], z[1], 4)[:, 1]
    np.testing.assert_allclose(way, np.repeat(decode(model, z)[:, 1], 2), rtol=1e-5)


# ---- inversion


def test_inversion_recovers_the_latents_of_generated_rows(plane: GAN) -> None:
    """An all but linear map of the plane: 40 latents to 1e-2, and distances a hundredth of the nearest draws'."""
    z = latents(plane, 40, 3)
    found = invert(plane, decode(plane, z), candidates=64)
    assert np.linalg.norm(found.latents - z, axis=1).max() < 1e-2
    assert found.distances.mean() < 0.01 * found.drawn.mean()
    np.testing.assert_allclose(found.rows, decode(plane, z), atol=0.05)
    again = invert(plane, decode(plane, z), candidates=64)
    np.testing.assert_array_equal(found.latents, again.latents)


def test_inversion_of_tables_and_images_comes_nearer_than_any_draw(
    table: GAN, frame: pl.DataFrame, album: GAN, pictures: np.ndarray
) -> None:
    found = invert(table, frame.head(20), steps=60, candidates=64)
    assert (found.distances <= found.drawn + 1e-5).all()
    assert found.distances.mean() < 0.1 * found.drawn.mean()
    assert found.rows["town"].equals(frame.head(20)["town"])
    images = invert(album, pictures[:4], steps=5, candidates=16, starts=2)
    assert (images.distances < images.drawn).all()
    assert images.rows.shape == (4, 18, 17)


def test_an_encoder_gives_a_start_and_a_price_keeps_latents_near(plane: GAN) -> None:
    x = np.random.default_rng(0).normal(size=(100, 2))
    model = BiGAN(**TINY).fit(x, progress=False)
    assert (
        invert(model, x[:5], steps=0, starts=2).distances <= invert(model, x[:5], steps=0, starts=1).distances
    ).all()
    z = 4 * latents(plane, 10, 0)
    dear = invert(plane, decode(plane, z), prior=1.0, candidates=64)
    assert np.linalg.norm(dear.latents, axis=1).mean() < 0.8 * np.linalg.norm(z, axis=1).mean()


# ---- directions


def test_directions_are_the_normals_of_what_labels_divide(plane: GAN) -> None:
    """Labels by a known half-space of 600 latents: within 15 degrees (least squares would scatter by 3)."""
    z = latents(plane, 600, 1)
    normal = np.array([0.6, -0.8])
    found = directions(plane, z, np.where(z @ normal > 0, "over", "under"))
    assert found.names == ("over", "under")
    assert found["over"] @ normal > math.cos(math.radians(15))
    np.testing.assert_allclose(found["over"], -found["under"])
    assert found.accuracy > 0.95
    assert 0.4 < found.chance < 0.65
    with pytest.raises(InputError, match="no direction is named 'left'; there are over, under"):
        found["left"]


def test_directions_of_a_tables_categories_and_of_a_function(table: GAN, plane: GAN) -> None:
    """Towns are drawn by a uniform of each: what makes one likelier is linear in normal coordinates, nearly."""
    found = directions(table, latents(table, 900, 0), "town")
    assert found.names == ("a", "b", "c")
    assert found.vectors.shape == (3, 7)
    assert found.accuracy > found.chance + 0.3
    along = traverse(table, latents(table, 50, 1), found["b"], [0.0, 4.0])["town"].to_numpy().reshape(50, 2)
    assert (along[:, 1] == "b").mean() > (along[:, 0] == "b").mean() + 0.3
    by_place = directions(plane, latents(plane, 300, 0), lambda rows: rows[:, 0] > 5)
    assert by_place.accuracy > 0.9


def test_directions_are_told_on_latents_they_were_not_fitted_to(table: GAN) -> None:
    """Labels at random, 7 dimensions, 1000 latents: 300 held out, accuracy within 5 standard errors of a half (a false
    alarm in 1.7 million); on the latents of the fit it would be .54."""
    labels = np.random.default_rng(3).integers(0, 2, 1000)
    found = directions(table, latents(table, 1000, 0), labels)
    assert abs(found.accuracy - 0.5) < 5 * 0.5 / math.sqrt(300)


# ---- features of critics


def test_layers_of_critics_by_name_number_and_all(plane: GAN) -> None:
    x = plane.sample(30, seed=0)
    assert layers(plane) == ("body.enter", "body.blocks.0", "hidden")
    assert plane.features(x).shape == (30, 8)
    assert features(plane, x, layer="all").shape == (30, 24)
    for name, number in (("body.enter", 0), ("body.blocks.0", 1), ("hidden", -1)):
        np.testing.assert_array_equal(features(plane, x, layer=name), features(plane, x, layer=number))
    rows = plane.codec_.expand(plane.codec_.encode(plane.sample_dataset(30, seed=0)))
    torch.testing.assert_close(torch.from_numpy(plane.features(x)), plane.critic_.features(rows).detach())
    torch.testing.assert_close(
        torch.from_numpy(features(plane, x, layer="body.enter")),
        plane.critic_.body.enter(torch.cat([rows, *_waves(plane, rows)], 1)),
    )


def _waves(model: GAN, rows: torch.Tensor) -> list[torch.Tensor]:
    f = model.critic_.frequencies  # type: ignore[union-attr]
    phases = rows[:, :, None] * f
    return [(phases.sin() / f).flatten(1), (phases.cos() / f).flatten(1)] if len(f) else []  # type: ignore[arg-type]


def test_what_convolutions_give_is_pooled(album: GAN, pictures: np.ndarray) -> None:
    assert layers(album) == ("enter", "levels.0", "levels.1", "hidden")
    assert features(album, pictures, layer="enter").shape == (40, 8 * 16)
    assert features(album, pictures[:1]).shape[1] == album.critic_.leave.in_features


def test_a_critic_of_pairs_is_shown_the_code_of_the_data() -> None:
    x = np.random.default_rng(0).normal(size=(60, 2))
    model = BiGAN(**TINY, stochastic=True).fit(x, progress=False)
    assert layers(model)[:2] == ("body.body.enter", "body.body.blocks.0")
    rows = model.codec_.expand(model.codec_.encode(model.sample_dataset(60, seed=0)))
    with torch.no_grad():
        expected = model.critic_.features(model.generator_.data(rows))
    found = model.features(model.sample(60, seed=0))
    torch.testing.assert_close(torch.from_numpy(found), expected, atol=1e-5, rtol=1e-4)
    assert (model.features(x) == model.features(x)).all()  # nothing is drawn


def test_models_without_a_critic_have_no_features() -> None:
    assert not hasattr(ScoreDifference(), "features")
    x = np.random.default_rng(0).normal(size=(60, 2))
    with pytest.raises(InputError, match="has no critic"):
        GAN("energy", **TINY).fit(x, progress=False).features(x)


# ---- probes


def test_probes_are_told_on_rows_they_were_not_fitted_to() -> None:
    """Random labels, 3000 rows: within 5 standard errors of a half (a false alarm in 1.7 million). Told on the rows of
    the fit, neighbours would have 1 and the linear probe on 60 features .58."""
    draw = np.random.default_rng(0)
    x, labels = draw.normal(size=(3000, 60)), draw.integers(0, 2, 3000)
    for probe in (linear_probe(x, labels), nearest_neighbours(x, labels)):
        assert probe.rows == 900
        assert abs(probe.accuracy - 0.5) < 5 * 0.5 / math.sqrt(900)
        assert probe.chance == pytest.approx(0.5, abs=0.1)
    again = linear_probe(x, labels, held=(x[:10], labels[:10]))
    assert again.rows == 10


def test_probes_read_what_is_there() -> None:
    draw = np.random.default_rng(0)
    labels = draw.integers(0, 3, 600)
    x = np.eye(3)[labels] + 0.05 * draw.normal(size=(600, 3))
    assert linear_probe(x, labels).accuracy == 1
    assert nearest_neighbours(x, labels, k=3).accuracy == 1
    with pytest.raises(InputError, match="n labels"):
        linear_probe(x, labels[:5])
    with pytest.raises(InputError, match="1 different labels"):
        linear_probe(x, np.zeros(600))


def test_a_critic_is_fine_tuned_and_stays_as_it_was(plane: GAN) -> None:
    """Labels by a line through 400 rows: 90 % of 200 others."""
    x = plane.sample(600, seed=1)
    labels = np.where((x - [5.0, -1.0]) @ [1 / 3, 10.0] > 0, "over", "under")
    before = plane.features(x[:5])
    tuned = fine_tune(plane, x[:400], labels[:400], steps=150, learning_rate=1e-2)
    assert (tuned.predict(x[400:]) == labels[400:]).mean() > 0.9
    assert tuned.predict_proba(x[:7]).shape == (7, 2)
    np.testing.assert_array_equal(before, plane.features(x[:5]))
    assert (fine_tune(plane, x, labels, steps=2).predict(x) == fine_tune(plane, x, labels, steps=2).predict(x)).all()
    with pytest.raises(InputError, match="two classes or more"):
        fine_tune(plane, x, np.zeros(600))


# ---- the command


def test_the_command_encodes_and_says_which_models_can(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from pushforward.cli import encoding
    from pushforward.data import sources

    x = np.random.default_rng(0).normal(size=(50, 2))
    np.save(tmp_path / "x.npy", x)
    BiGAN(**TINY).fit(x, progress=False).save(tmp_path / "both")
    InfoGAN(**TINY, categorical=(2,), continuous=0).fit(x, progress=False).save(tmp_path / "one")
    out, data = tmp_path / "z.npy", str(tmp_path / "x.npy")
    encoding.encode_run(tmp_path / "both", data, out, kind=None, columns=None, force=False)
    np.testing.assert_array_equal(np.load(out), load(tmp_path / "both").encode(x))
    assert "Wrote 50 latents of 2 numbers" in " ".join(capsys.readouterr().out.split())
    assert (sources.read(out).made_by or {})["class"] == "BiGAN"
    with pytest.raises(InputError, match=r"an? InfoGAN has no encoder; models with one: .*bigan"):
        encoding.encode_run(tmp_path / "one", data, out, kind=None, columns=None, force=True)
