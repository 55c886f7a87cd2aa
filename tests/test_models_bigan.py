"""`models.BiGAN`, `InfoGAN` and `SemiSupervised`: the algebra of their games, known optima, both ways, whole runs."""

import math
import os
import signal
from collections.abc import Callable, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch
from sklearn.base import clone
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, softmax

from pushforward.errors import InputError
from pushforward.models import GAN, BiGAN, InfoGAN, SemiSupervised, load
from pushforward.models.latent import latents
from pushforward.models.semi_supervised import ClassCritic, Supervised
from pushforward.nets import MLPCritic, MLPGenerator, Shape
from pushforward.nets.coded import CodedGenerator, reads
from pushforward.nets.encoder import BiGenerator, Encoder, PairCritic
from pushforward.nets.joint import Joint
from pushforward.objectives import objective
from pushforward.training import checkpoint
from pushforward.training.draw import Draw, Moment
from pushforward.training.progress import Event
from pushforward.training.step import Rules, critic_scene, data_rows, generator_loss

TINY: Mapping[str, Any] = {
    "steps": 8,
    "width": 8,
    "depth": 1,
    "batch_size": 16,
    "checkpoint_every": 4,
    "device": "cpu",
}
QUICK: Mapping[str, Any] = {"width": 16, "batch_size": 64, "learning_rate": 3e-3, "checkpoint_every": None}


@pytest.fixture(scope="module")
def points() -> np.ndarray:
    return np.random.default_rng(0).normal(size=(200, 2)) * [3.0, 0.1] + [5.0, -1.0]


@pytest.fixture(scope="module")
def frame() -> pl.DataFrame:
    draw = np.random.default_rng(2)
    return pl.DataFrame(
        {
            "price": draw.lognormal(size=120).round(2),
            "rooms": draw.integers(1, 6, 120),
            "town": draw.choice(list("abc"), 120),
        }
    )


@pytest.fixture(scope="module")
def pictures() -> np.ndarray:
    return np.random.default_rng(1).integers(0, 256, size=(40, 18, 17, 3), dtype=np.uint8)


def moment(generator: torch.Generator) -> Moment:
    return Moment(0, 10, Draw(generator))


def pair(
    generator: torch.Generator, *, m: int = 2, cycle: tuple[float, float] = (0.0, 0.0), **options: Any
) -> tuple[BiGenerator, PairCritic]:
    """A bidirectional generator of points in the plane, and its critic."""
    decoder = MLPGenerator((2,), noise_size=m, width=8, depth=1, generator=generator)
    outputs = 2 * m if options.get("stochastic") else m
    encoder = Encoder(
        MLPCritic((2,), width=8, depth=1, shape=Shape(outputs=outputs), generator=generator),
        m,
        stochastic=options.pop("stochastic", False),
    )
    joint = Joint(((2,), (m,)))
    shape = options.pop("shape", Shape())
    body = MLPCritic((2,), width=8, depth=1, generator=generator)
    critic = PairCritic(body, joint, width=8, depth=1, shape=shape, generator=generator)
    return BiGenerator(decoder, encoder, joint, cycle=cycle, **options), critic


# ---- the game of pairs


def test_the_critic_sees_data_with_their_code_and_samples_with_their_noise(generator: torch.Generator) -> None:
    made, _ = pair(generator)
    x, z = torch.randn(5, 2, generator=generator), made.noise(5, generator=generator)
    rows, code = made.joint.split(data_rows(made, x, Draw(generator)))
    assert torch.equal(rows, x)
    assert torch.equal(code, made.encoder(x))
    y, back = made.joint.split(made(z))
    assert torch.equal(y, made.emit(z))
    assert torch.equal(back, z)


@pytest.mark.parametrize("name", ["ns", "rpgan", "hinge"])
def test_both_sides_want_to_be_taken_for_each_other(name: str, generator: torch.Generator) -> None:
    """The generator's loss is the critic's with the sides exchanged, and moves decoder and encoder alike."""
    made, critic = pair(generator)
    nn.init.normal_(critic.both.blocks[0].outer.weight, generator=generator)
    x, z = torch.randn(6, 2, generator=generator), made.noise(6, generator=generator)
    rules = Rules(objective(name), joint=critic.joint)
    pairs, samples = data_rows(made, x, Draw(generator)), made(z)
    loss = generator_loss(rules, critic, pairs, samples, moment(generator))
    a, b = critic(pairs), critic(samples)
    torch.testing.assert_close(loss, objective(name).critic(b, a).mean())
    loss.backward()
    for part in (made.decoder, made.encoder):
        assert sum(float(w.grad.abs().sum()) for w in part.parameters() if w.grad is not None) > 0


def test_the_cycle_terms_are_mean_absolute_differences(generator: torch.Generator) -> None:
    made, critic = pair(generator, cycle=(2.0, 3.0))
    x, z = torch.randn(6, 2, generator=generator), made.noise(6, generator=generator)
    play = SimpleNamespace(x=made.data(x), y=made(z), network=critic)
    owed = made.owes(play, z)
    assert tuple(owed) == made.charges == ("cycle_data", "cycle_latent")
    torch.testing.assert_close(owed["cycle_data"], 2 * (x - made.emit(made.encoder(x))).abs().mean(1))
    torch.testing.assert_close(owed["cycle_latent"], 3 * (z - made.encoder(made.emit(z))).abs().mean(1))
    alone, _ = pair(generator)
    assert alone.charges == ()


def test_a_stochastic_encoder_draws_with_its_own_mean_and_variance(generator: torch.Generator) -> None:
    """20,000 draws: means within 6 standard errors, log variances within .1 (10 standard errors)."""
    made, _ = pair(generator, stochastic=True)
    x = torch.randn(2, 2, generator=generator)
    mean, spread = made.encoder.moments(x)
    assert spread is not None
    torch.testing.assert_close(made.encoder(x), mean)
    codes = made.joint.split(made.data(x.repeat_interleave(20_000, 0), Draw(generator)))[1].unflatten(0, (2, -1))
    assert ((codes.mean(1) - mean).abs() < 6 * (spread / 2).exp() / math.sqrt(20_000)).all()
    assert ((codes.var(1).log() - spread).abs() < 0.1).all()
    assert torch.equal(made.joint.split(made.data(x))[1], mean)  # nothing is drawn where nobody draws


def test_pairs_are_packed_side_by_side(generator: torch.Generator) -> None:
    made, critic = pair(generator, shape=Shape(pack=2))
    nn.init.normal_(critic.both.blocks[0].outer.weight, generator=generator)
    rows = made(made.noise(8, generator=generator))
    scores = critic(rows)
    assert scores.shape == (4,)
    torch.testing.assert_close(critic(rows[2:4]), scores[1:2])
    assert not torch.allclose(critic(rows.flip(0)).flip(0), scores)  # the order within a pack counts


def test_uniform_latents_lie_between_minus_one_and_one(generator: torch.Generator) -> None:
    made, _ = pair(generator, law="uniform")
    z = made.noise(4000, generator=generator)
    assert float(z.abs().max()) <= 1
    assert abs(float(z.square().mean()) - 1 / 3) < 6 * math.sqrt(4 / 45 / 8000)  # Var(z^2) = 1/5 - 1/9


# ---- a game whose optimum is known


def test_a_gaussian_and_its_inverse() -> None:
    """Data N(1, 9): E and G are x = 1 + 3z or x = 1 - 3z, found by the game alone; one fixed seed. An encoder that is
    independent of x is 1.1 away from (x - 1)/3 on average, one that is 0 is .8 away."""
    x = np.random.default_rng(0).normal(size=(2000, 1)) * 3 + 1
    model = BiGAN(**{**TINY, **QUICK, "steps": 180, "batch_size": 128}, noise_size=1, cycle=0.0)
    model.fit(x, progress=False)
    code, fresh = model.encode(x)[:, 0], latents(model, 2000, 1)
    sign = np.sign(np.corrcoef(code, x[:, 0])[0, 1])
    assert np.abs(sign * code - (x[:, 0] - 1) / 3).mean() < 0.3  # of a law of width 1
    again = model.encode(model.decode(fresh))
    assert np.abs(again - fresh).mean() < 0.3 * np.abs(np.roll(again, 1, 0) - fresh).mean()
    drawn = model.sample(4000, seed=2)
    assert abs(drawn.mean() - 1) < 0.6
    assert abs(drawn.std() / 3 - 1) < 0.3


def test_the_cycle_term_inverts_better_than_chance() -> None:
    """Correlated data in the plane: |G(E(x)) - x| and |E(G(z)) - z| under 15 % of what another row's are."""
    x = np.random.default_rng(0).normal(size=(2000, 2)) @ np.array([[1, 0.8], [0, 0.6]]) * 3 + 1
    model = BiGAN(**{**TINY, **QUICK, "steps": 70}).fit(x, progress=False)
    z = latents(model, 2000, 1)
    code, again = model.encode(model.decode(z)), model.reconstruct(x)
    for found, was in ((code, z), (again, x)):
        reached = np.linalg.norm(found - was, axis=1).mean()
        assert reached < 0.15 * np.linalg.norm(found - np.roll(was, 1, 0), axis=1).mean()


# ---- both ways, by kind


def test_points_go_both_ways(points: np.ndarray) -> None:
    model = BiGAN(**TINY)
    assert model.fit(points, progress=False) is model
    code = model.encode(points)
    assert code.shape == (200, 2)
    assert code.dtype == np.float32
    assert (code == model.encode(points)).all()
    np.testing.assert_allclose(model.decode(code), model.reconstruct(points), rtol=1e-6)
    assert model.reconstruct(points).dtype == points.dtype
    assert {"cycle_data", "gap", "penalty"} <= set(model.history_[-1])
    assert isinstance(BiGAN(**TINY).fit(torch.from_numpy(points), progress=False).decode(code), Tensor)


@pytest.mark.parametrize("options", [{}, {"perceptron": True, "law": "uniform"}])
def test_images_go_both_ways(options: dict[str, Any], pictures: np.ndarray) -> None:
    model = BiGAN(**{**TINY, "steps": 2, "noise_size": 5}, **options).fit(pictures, progress=False)
    assert model.encode(pictures).shape == (40, 5)
    again = model.reconstruct(pictures[:3])
    assert again.shape == (3, 18, 17, 3)
    assert again.dtype == np.uint8
    assert model.features(pictures).shape == (40, 128)


def test_tables_go_both_ways(frame: pl.DataFrame) -> None:
    """The latent is the numbers' noise and `noise_size` more, but not the categories' uniforms."""
    model = BiGAN(**TINY, noise_size=3, stochastic=True).fit(frame, progress=False)
    assert model.encode(frame).shape == (120, 1 + 3)  # rooms has few values, so it is a category
    again = model.reconstruct(frame)
    assert again.schema == frame.schema
    assert again.equals(model.reconstruct(frame))
    assert (model.encode(frame, seed=1) != model.encode(frame, seed=2)).any()
    assert (model.encode(frame, seed=1) == model.encode(frame, seed=1)).all()


# ---- whole runs


def interrupt_at(step: int) -> Callable[[Event], None]:
    def report(event: Event) -> None:
        if event.kind == "log" and event.step == step:
            os.kill(os.getpid(), signal.SIGINT)

    return report


def fit_bigan(data: np.ndarray, **options: Any) -> Any:
    return BiGAN(**TINY, cycle_latent=0.5, stochastic=True).fit(data, **options)


def fit_infogan(data: np.ndarray, **options: Any) -> Any:
    return InfoGAN(**TINY, categorical=(3,), continuous=1).fit(data, **options)


def fit_semi(data: np.ndarray, **options: Any) -> Any:
    labels = np.where(np.arange(len(data)) < 50, (data[:, 0] > 5).astype(int), -1)
    return SemiSupervised(**TINY).fit(data, labels, **options)


@pytest.mark.parametrize("fit", [fit_bigan, fit_infogan, fit_semi])
def test_saved_loaded_and_resumed_bit_for_bit(fit: Callable[..., Any], points: np.ndarray, tmp_path: Path) -> None:
    whole = fit(points, out=tmp_path / "whole", progress=False)
    part = fit(points, out=tmp_path / "part", progress=interrupt_at(6))
    assert part.interrupted_
    again = fit(points, out=tmp_path / "part", resume=True, progress=False)
    assert again.steps_done_ == whole.steps_done_
    weights = [checkpoint.latest(tmp_path / name)[1] for name in ("whole", "part")]  # type: ignore[index]
    for player in ("generator", "critic"):
        first, second = (one[player]["network"] for one in weights)
        assert all(torch.equal(first[name], second[name]) for name in first)
    loaded = load(tmp_path / "part")
    assert type(loaded) is type(whole)
    assert (loaded.sample(9, seed=1) == whole.sample(9, seed=1)).all()
    assert (loaded.features(points) == whole.features(points)).all()
    for name in ("encode", "predict_proba"):
        if hasattr(whole, name):
            assert (getattr(loaded, name)(points) == getattr(whole, name)(points)).all()


def test_parameters_are_stored_unchanged_and_cloned() -> None:
    for model in (BiGAN(law="uniform", cycle=2.0), InfoGAN(categorical=(2, 5), weight=0.5), SemiSupervised(weight=3.0)):
        twin = clone(model)
        assert twin.get_params() == model.get_params()
        assert "networks" not in model.get_params()
    assert repr(BiGAN(stochastic=True, seed=2)) == "BiGAN(stochastic=True, seed=2)"


def test_models_without_an_encoder_have_no_encode(points: np.ndarray) -> None:
    for model in (GAN(), InfoGAN(), SemiSupervised()):
        assert not hasattr(model, "encode")
    with pytest.raises(InputError, match="not fitted yet"):
        BiGAN().encode(points)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"law": "cauchy"}, "unknown law 'cauchy'.*normal, uniform"),
        ({"cycle": -1.0}, "cycle is a weight of at least 0, not -1.0"),
        ({"objective": "mmd"}, "'mmd' has no critic that scores rows"),
        ({"steps": 0}, "steps must be a whole number"),
    ],
)
def test_parameters_that_make_no_sense_are_refused(options: dict[str, Any], message: str, points: np.ndarray) -> None:
    with pytest.raises(InputError, match=message):
        BiGAN(**{**TINY, **options}).fit(points, progress=False)


def test_data_of_another_form_are_refused(points: np.ndarray, frame: pl.DataFrame) -> None:
    model = BiGAN(**{**TINY, "steps": 1}).fit(points, progress=False)
    with pytest.raises(InputError, match="points of 3 coordinates"):
        model.encode(np.zeros((4, 3)))
    with pytest.raises(InputError, match="NaN"):
        model.encode(np.full((4, 2), np.nan))
    tables = BiGAN(**{**TINY, "steps": 1}).fit(frame, progress=False)
    with pytest.raises(InputError, match="lacks the column 'town'"):
        tables.reconstruct(frame.drop("town"))
    with pytest.raises(InputError, match="latent is normal"):
        BiGAN(**TINY, law="uniform").fit(frame, progress=False)


# ---- codes


class Copy(nn.Module):
    """A decoder that shows its noise, and draws it standard normal."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.width = width
        self.weight = nn.Parameter(torch.ones(()))

    def noise(self, n: int, *, generator: torch.Generator) -> Tensor:
        return torch.randn(n, self.width, generator=generator)

    def forward(self, noise: Tensor) -> Tensor:
        return self.weight * noise


class Reading(nn.Module):
    """A reader of what `Copy` shows: sharp logits of three levels, the number itself, a log variance."""

    def __init__(self, log_variance: float, sharpness: float) -> None:
        super().__init__()
        self.log_variance, self.sharpness = log_variance, sharpness

    def forward(self, y: Tensor) -> Tensor:
        return torch.cat([self.sharpness * y[:, :3], y[:, 3:4], torch.full((len(y), 1), self.log_variance)], 1)


def test_codes_have_their_laws(generator: torch.Generator) -> None:
    """20,000 draws: levels within 6 standard errors of a third, numbers within [-1, 1] with variance 1/3."""
    made = CodedGenerator(Copy(6), Reading(0, 0), categorical=(3,), continuous=1)
    assert made.laws == (("onehot", 3), ("symmetric", 1), ("normal", 2))
    codes = made.codes(made.noise(20_000, generator=generator))
    assert (codes[:, :3].sum(1) == 1).all()
    assert ((codes[:, :3].mean(0) - 1 / 3).abs() < 6 * math.sqrt(2 / 9 / 20_000)).all()
    assert float(codes[:, 3].abs().max()) <= 1
    assert abs(float(codes[:, 3].square().mean()) - 1 / 3) < 6 * math.sqrt(4 / 45 / 20_000)


def test_surprise_is_the_negative_log_likelihood_of_the_codes(generator: torch.Generator) -> None:
    made = CodedGenerator(Copy(6), Reading(-1.0, 2.0), categorical=(3,), continuous=1, weight=0.5)
    z = made.noise(7, generator=generator)
    y = made(z)
    surprise = made.surprise(y, made.codes(z))
    level = torch.distributions.Categorical(logits=2 * y[:, :3]).log_prob(z[:, :3].argmax(1))
    spread = 8 * math.tanh(-1 / 8)
    number = torch.distributions.Normal(y[:, 3], math.exp(spread / 2)).log_prob(z[:, 3])
    torch.testing.assert_close(surprise, -torch.stack([level, number], 1))
    owed = made.owes(SimpleNamespace(y=y), z)
    torch.testing.assert_close(owed["codes"], 0.5 * surprise.sum(1))
    assert reads((3,), 1) == 5


def test_information_is_bounded_by_entropy_and_found_by_a_good_reader(generator: torch.Generator) -> None:
    good = CodedGenerator(Copy(6), Reading(0, 30.0), categorical=(3,), continuous=1)
    blind = CodedGenerator(Copy(6), Reading(0, 0.0), categorical=(3,), continuous=1)
    z = good.noise(500, generator=generator)
    told = good.entropies[0] - good.surprise(good(z), good.codes(z))[:, 0]
    assert float(told.detach().mean()) == pytest.approx(math.log(3), abs=1e-5)
    assert (blind.entropies[0] - blind.surprise(blind(z), blind.codes(z))[:, 0]).abs().max() < 1e-5


def test_codes_are_told_by_samples_after_training() -> None:
    """Three blobs and three levels: more than half of log 3 nats; a constant reader has 0, a fresh one less."""
    draw = np.random.default_rng(0)
    x = np.array([[0, 3], [3, -2], [-3, -2]])[draw.integers(0, 3, 1000)] + 0.3 * draw.normal(size=(1000, 2))
    model = InfoGAN(**{**TINY, **QUICK, "steps": 60}, categorical=(3,), continuous=0)
    told = model.fit(x, progress=False).information(2000)["c1"]
    assert told.most == pytest.approx(math.log(3))
    assert told.low > 0.5 * math.log(3)
    assert told.low < told.most
    asked = np.arange(600) % 3
    read = model.codes(model.sample(600, seed=3, codes={"c1": asked}))["c1"]
    assert (read == asked).mean() > 0.7


def test_asked_codes_leave_the_rest_of_the_noise_as_it_was(points: np.ndarray) -> None:
    model = InfoGAN(**TINY, categorical=(3, 2), continuous=1).fit(points, progress=False)
    noise, asked = torch.from_numpy(latents(model, 20, 4)), {"c2": 1, "u1": np.linspace(-1, 1, 20)}
    drawn = model.sample_dataset(20, seed=4, codes=asked)
    assert drawn.made_by is not None
    assert drawn.made_by["seed"] == 4
    assert drawn.made_by["codes"]["c2"] == 1
    noise[:, 3:5] = torch.tensor([0.0, 1.0])
    noise[:, 5] = torch.linspace(-1, 1, 20)
    with torch.no_grad():
        expected = model.codec_.decode(model.generator_(noise)).values
    torch.testing.assert_close(drawn.values, expected)
    own = model.generator_.codes(torch.from_numpy(latents(model, 20, 4)))[:, 5].numpy()
    np.testing.assert_allclose(model.sample(20, seed=4, codes={"u1": own}), model.sample(20, seed=4), rtol=1e-6)


@pytest.mark.parametrize(
    ("codes", "message"),
    [
        ({"c3": 0}, "unknown code 'c3'; this model has c1, c2, u1"),
        ({"c1": 3}, "code c1: its levels are 0 to 2, not 3"),
        ({"c1": 0.5}, "levels are 0 to 2"),
        ({"u1": 1.5}, "between -1 and 1"),
        ({"u1": [0, 0]}, "one for each of the 5 rows"),
    ],
)
def test_codes_that_the_model_lacks_are_refused(codes: dict[str, Any], message: str, points: np.ndarray) -> None:
    model = _three_codes(points)
    with pytest.raises(InputError, match=message):
        model.sample(5, codes=codes)


_KEPT: dict[str, InfoGAN] = {}


def _three_codes(points: np.ndarray) -> InfoGAN:
    if not _KEPT:
        _KEPT["model"] = InfoGAN(**{**TINY, "steps": 1}, categorical=(3, 2), continuous=1).fit(points, progress=False)
    return _KEPT["model"]


def test_codes_that_make_no_sense_are_refused(points: np.ndarray) -> None:
    for options, message in (
        ({"categorical": (1,)}, "2 or more"),
        ({"categorical": (), "continuous": 0}, "at least one code"),
        ({"weight": 0.0}, "weight must be a positive"),
    ):
        with pytest.raises(InputError, match=message):
            InfoGAN(**TINY, **options).fit(points, progress=False)


def test_tables_and_images_have_codes_too(frame: pl.DataFrame, pictures: np.ndarray) -> None:
    """Those of a table stand in the part of its noise that everything sees, behind the numbers'."""
    model = InfoGAN(**{**TINY, "steps": 2}, noise_size=3, categorical=(2,), continuous=1).fit(frame, progress=False)
    assert [law for law, _ in model.generator_.laws] == ["normal", "onehot", "symmetric", "normal", "uniform"]
    assert model.sample(5, seed=0, codes={"c1": 1}).schema == frame.schema
    images = InfoGAN(**{**TINY, "steps": 1}, noise_size=3, categorical=(2,), continuous=0)
    assert images.fit(pictures, progress=False).sample(2, seed=0, codes={"c1": [0, 1]}).shape == (2, 18, 17, 3)


# ---- K + 1 classes


def test_the_critic_of_classes_is_one_of_k_plus_one(generator: torch.Generator) -> None:
    """D(x) = Z/(Z + 1) is one less the share of the class K + 1, whose logit is 0."""
    critic = ClassCritic(MLPCritic((2,), width=8, depth=1, shape=Shape(outputs=3), generator=generator))
    x = torch.randn(6, 2, generator=generator)
    logits = critic.classify(x)
    z = logits.exp().sum(1)
    torch.testing.assert_close(critic(x).sigmoid(), z / (z + 1))
    extended = softmax(torch.cat([logits, torch.zeros(6, 1)], 1), 1)
    torch.testing.assert_close(critic(x).sigmoid(), 1 - extended[:, 3])
    # the loss of all data against samples is that of the classifier for "any of the K" and for "the last"
    torch.testing.assert_close(
        objective("ns").critic(critic(x), critic(x)), -(1 - extended[:, 3]).log() - extended[:, 3].log()
    )


def test_labelled_rows_are_charged_their_cross_entropy(generator: torch.Generator) -> None:
    critic = ClassCritic(MLPCritic((2,), width=8, depth=1, shape=Shape(outputs=3), generator=generator))
    known = Supervised(2.0)
    rows, labels = torch.randn(1, 2, generator=generator), torch.tensor([1])
    known.know(rows, labels, lambda found: found)
    x = torch.randn(4, 2, generator=generator)
    scene = critic_scene(Rules(objective("ns"), (known,)), critic, x, x, moment(generator))
    charged = known.charge(scene)
    assert charged is not None
    torch.testing.assert_close(charged, 2 * cross_entropy(critic.classify(rows), labels).expand(4))
    assert not known.state_dict()  # the rows are not the run's


def blobs(n: int) -> tuple[np.ndarray, np.ndarray]:
    draw = np.random.default_rng(0)
    which = draw.integers(0, 2, n)
    return np.array([[2.0, 0.0], [-2.0, 0.0]])[which] + 0.7 * draw.normal(size=(n, 2)), which


def test_few_labels_are_enough() -> None:
    """Twenty labels on 800 rows of two blobs: 95 % of 2,000 other rows at least (the best rule has 99.8 %)."""
    x, which = blobs(800)
    labels = [("left" if one else "right") if i < 20 else None for i, one in enumerate(which)]
    assert len(set(labels)) == 3
    model = SemiSupervised(**{**TINY, **QUICK, "steps": 90}).fit(x, labels, progress=False)
    fresh, truth = blobs(2800)
    said = model.predict(fresh[800:])
    assert (said == np.where(truth[800:] == 1, "left", "right")).mean() > 0.95
    sure = model.predict_proba(fresh[:5])
    np.testing.assert_allclose(sure.sum(1), 1, rtol=1e-5)
    assert list(model.classes_) == ["left", "right"]
    assert model.sample(3, seed=0).shape == (3, 2)


def test_a_column_may_hold_the_labels(frame: pl.DataFrame, tmp_path: Path) -> None:
    some = frame.with_columns(pl.when(pl.int_range(pl.len()) < 40).then("town").alias("town"))
    model = SemiSupervised(**{**TINY, "steps": 2}).fit(some, "town", out=tmp_path / "run", progress=False)
    assert model.sample(4, seed=0).columns == ["price", "rooms"]
    loaded = load(tmp_path / "run")
    assert (loaded.predict(frame) == model.predict(frame.drop("town"))).all()  # the column is not looked at
    assert set(loaded.classes_) == {"a", "b", "c"}


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ([0, 1], "2 labels for the 200 rows"),
        (np.full(200, -1), "0 different labels are known"),
        (np.zeros(200), "1 different labels are known"),
        ("town", "no column 'town' of labels"),
    ],
)
def test_labels_that_cannot_be_used_are_refused(labels: Any, message: str, points: np.ndarray) -> None:
    with pytest.raises(InputError, match=message):
        SemiSupervised(**TINY).fit(points, labels, progress=False)


def test_other_labels_are_another_run(points: np.ndarray, tmp_path: Path) -> None:
    labels = np.arange(200) % 2
    SemiSupervised(**TINY).fit(points, labels, out=tmp_path / "run", progress=interrupt_at(6))
    with pytest.raises(InputError, match="started on different data"):
        SemiSupervised(**TINY).fit(points, 1 - labels, out=tmp_path / "run", resume=True, progress=False)
