"""Refinement by the critic, against truth: generators of known density, and critics that are the exact log ratio.

Statistical checks fail correct code with probability at most 1e-6 each and say what they would catch.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch
from scipy.stats import kstest, norm
from torch import Tensor, nn

from pushforward.data import sources
from pushforward.data.dataset import Dataset
from pushforward.data.points import PointsCodec
from pushforward.errors import InputError
from pushforward.models import GAN, ScoreDifference
from pushforward.models.refine import METHODS, Calibration, Options, calibrate, held_out, measure, refined
from pushforward.models.refine.calibration import log_loss
from pushforward.models.refine.chains import length_for
from pushforward.models.refine.coordinates import Data, Latent, laws
from pushforward.models.refine.gradient_flow import flow, piloted
from pushforward.models.refine.job import Job
from pushforward.models.refine.rejection import threshold
from pushforward.models.refine.subject import Subject
from pushforward.models.refine.transport import descent, scales

N = 2000
KS = math.sqrt(-math.log(1e-6 / 2) / 2)  # of sqrt(n) times the Kolmogorov distance: exceeded once in a million
SAMPLING = ("drs", "mh", "resample")


class Affine(nn.Module):
    """x = scale z + shift, z standard normal: N(shift, scale^2 I)."""

    def __init__(self, d: int, scale: float = 1.0, shift: float = 0.0) -> None:
        super().__init__()
        self.d, self.shift = d, shift
        self.scale = nn.Parameter(torch.tensor(scale))

    def noise(self, n: int, *, generator: torch.Generator) -> Tensor:
        return torch.randn(n, self.d, generator=generator)

    def forward(self, noise: Tensor) -> Tensor:
        return self.scale * noise + self.shift


class Critic(nn.Module):
    """A given function of rows as a critic."""

    def __init__(self, score: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.score = score

    def forward(self, rows: Tensor) -> Tensor:
        return self.score(rows)


def known(generator: nn.Module, score: Callable[[Tensor], Tensor], d: int) -> GAN:
    """A fitted GAN of these players, its codec the identity."""
    model = GAN(device="cpu")
    model.generator_, model.critic_, model.id_ = generator.eval(), Critic(score), "known"
    model.codec_ = PointsCodec(torch.zeros(d).double(), torch.ones(d).double(), torch.float64)
    return model


def identity(low: float, high: float, real: Tensor) -> Calibration:
    """The calibration of a critic that is the log ratio itself."""
    rows = tuple(real.double().quantile(torch.linspace(0, 1, 257, dtype=torch.float64)).tolist())
    loss = {"constant": math.log(2), "affine": 0.0}
    return Calibration("affine", (low, high), (low, high), 1.0, 0.0, rows, 1, 1, "truth", loss, 0.5, 0.5, 0.5, 1.0)


# the data N(0.8, 0.7^2) against samples N(0, 1): log p/q is at most 1.0, so that no weight is extreme
DATA = norm(0.8, 0.7)


def exact(rows: Tensor) -> Tensor:
    x = rows[:, 0]
    return x.square() / 2 - ((x - 0.8) / 0.7).square() / 2 - math.log(0.7)


def real_rows(n: int, seed: int = 1) -> Tensor:
    return 0.8 + 0.7 * torch.randn(n, 1, generator=torch.Generator().manual_seed(seed))


def drawn(model: GAN, method: str, *, seed: int = 0, n: int = N, **options: Any) -> tuple[np.ndarray, Any]:
    found = refined(model, n, method, seed=seed, options=Options(**options))
    return np.asarray(found.dataset.values), found


# ---- calibration


def test_calibration_recovers_an_affine_distortion_and_removes_the_prior() -> None:
    """p = N(1, 1), q = N(0, 1): l = x - 1/2, seen as 4 l + 7. Standard errors of slope and offset are about
    .02 and .03: the bounds are six of them and more. Had the prior stayed, log 4 would be added."""
    g = torch.Generator().manual_seed(0)
    for n, m in ((8000, 8000), (4000, 16_000)):
        a, b = torch.randn(n, generator=g) + 1, torch.randn(m, generator=g)
        found = calibrate(4 * (a - 0.5) + 7, 4 * (b - 0.5) + 7, kind="affine")
        assert abs(4 * found.slope - 1) < 0.15
        assert abs(float(found(torch.tensor([7.0]))) - 0) < 0.2
        assert found.tells


def test_isotonic_calibration_undoes_a_bent_score() -> None:
    """sinh(2 l) is no affine map of l. What is lost by calibrating on 10,000 rows a side is under .006 in log loss, six
    standard errors of its own (about .001); an affine map of the bent score loses .02 or more."""
    g = torch.Generator().manual_seed(0)
    a, b = torch.randn(10_000, generator=g) + 1, torch.randn(10_000, generator=g)
    bend = lambda x: torch.sinh(2 * (x - 0.5))  # noqa: E731
    found = calibrate(bend(a), bend(b))
    fresh_a, fresh_b = torch.randn(20_000, generator=g) + 1, torch.randn(20_000, generator=g)
    best = log_loss((fresh_a - 0.5).double().numpy(), (fresh_b - 0.5).double().numpy())
    got = log_loss(found(bend(fresh_a)).numpy(), found(bend(fresh_b)).numpy())
    bent = calibrate(bend(a), bend(b), kind="affine")
    affine = log_loss(bent(bend(fresh_a)).numpy(), bent(bend(fresh_b)).numpy())
    assert found.kind == "isotonic"
    assert got < best + 0.006 < affine - 0.004
    ratios = torch.tensor(found.ratios)
    assert bool((ratios.diff() >= 0).all())
    assert found.log_losses["isotonic"] == pytest.approx(got, abs=0.02)


def test_a_critic_that_knows_nothing_is_worth_nothing_and_one_turned_round_is_not_believed() -> None:
    g = torch.Generator().manual_seed(0)
    a, b = torch.randn(4000, generator=g), torch.randn(4000, generator=g)
    assert (
        float(calibrate(a, b)(torch.linspace(-1, 1, 9)).abs().max()) < 0.35
    )  # a step of 80 rows has deviation .22 / 2
    turned = calibrate(a - 2, b)
    assert turned.kind == "constant"
    assert not turned.tells
    assert float(turned(a).abs().max()) == 0.0
    assert turned.slope == 0.0


def test_scores_that_separate_everything_stay_bounded() -> None:
    found = calibrate(torch.linspace(1, 2, 100), torch.linspace(-2, -1, 100), kind="affine")
    assert found.top <= math.log(200) + 1e-9
    assert torch.isfinite(found(torch.tensor([-1e9, 0.0, 1e9]))).all()
    constant = calibrate(torch.ones(60), torch.ones(60))
    assert float(constant(torch.tensor([3.0]))) == 0.0


def test_a_calibration_survives_json() -> None:
    g = torch.Generator().manual_seed(0)
    found = calibrate(torch.randn(300, generator=g) + 1, torch.randn(300, generator=g), of="holdout")
    again = Calibration.from_dict(json.loads(json.dumps(found.to_dict())))
    assert again == found
    with pytest.raises(InputError, match="lacks 'slope'"):
        Calibration.from_dict({k: v for k, v in found.to_dict().items() if k != "slope"})


# ---- methods that choose rows


@pytest.mark.parametrize("method", SAMPLING)
def test_the_rows_chosen_follow_the_data_where_the_critic_is_the_log_ratio(method: str) -> None:
    """Kolmogorov's distance of 2,000 rows from the data's law is under 2.69/sqrt(2000) = .06 but once in a million
    times (resampled rows: of their effective number); the generator's own are .38 away, and rows weighted by w^(1/2) or
    w^2 .15 and .18."""
    model = known(Affine(1), exact, 1)
    model.calibration_ = identity(-60.0, 1.1, exact(real_rows(20_000))).to_dict()  # type: ignore[attr-defined]
    rows, found = drawn(model, method)
    assert len(rows) == N
    distance = kstest(rows[:, 0], DATA.cdf).statistic
    assert distance < KS / math.sqrt(found.report.effective)
    plain = np.asarray(model.generator_(model.generator_.noise(N, generator=torch.Generator())).detach())
    assert kstest(plain[:, 0], DATA.cdf).statistic > 0.25


@pytest.mark.parametrize("method", SAMPLING)
def test_they_do_with_a_calibration_from_rows_too(method: str) -> None:
    """A critic 3 l - 5, calibrated by 8,000 rows: the calibration adds its own error, under .02."""
    model = known(Affine(1), lambda rows: 3 * exact(rows) - 5, 1)
    found = refined(model, N, method, real=real_rows(8000), seed=0)
    rows = np.asarray(found.dataset.values)[:, 0]
    assert kstest(rows, DATA.cdf).statistic < KS / math.sqrt(found.report.effective) + 0.02
    report = found.report
    assert report.auc_before is not None
    assert report.auc_after is not None
    assert report.auc_before > 0.7
    assert abs(report.auc_after - 0.5) < 0.06  # 5 standard errors of .009 or less, and the calibration's error
    assert report.calibration is not None
    assert report.calibration["log_loss"] < report.calibration["log_loss_of_constant"]
    assert 0 < report.acceptance <= 1
    assert report.tried >= N


def test_importance_weights_estimate_means_over_data() -> None:
    """Weighted mean and second moment are the data's .8 and 1.13 within 5.5 standard errors (delta method)."""
    model = known(Affine(1), exact, 1)
    model.calibration_ = identity(-60.0, 1.1, exact(real_rows(20_000))).to_dict()  # type: ignore[attr-defined]
    rows, found = drawn(model, "importance", n=20_000)
    assert found.weights is not None
    w, x = found.weights.numpy(), rows[:, 0]
    assert w.mean() == pytest.approx(1, abs=1e-9)
    for value, truth in ((x, 0.8), (x**2, 0.8**2 + 0.7**2)):
        estimate = (w * value).mean()
        error = math.sqrt(((w * (value - estimate)) ** 2).mean() / len(x))
        assert abs(estimate - truth) < 5.5 * error
        assert abs(value.mean() - truth) > 8 * error  # unweighted rows would not do
    assert found.report.effective == pytest.approx(w.sum() ** 2 / (w**2).sum())
    assert found.report.auc_after is None


def test_rejection_is_exact_without_a_shift_and_accepts_more_with_one() -> None:
    ratio = torch.linspace(-5, 2, 50, dtype=torch.float64)
    chance = torch.sigmoid(threshold(ratio, 2.0, 0.0))
    assert torch.allclose(chance, torch.exp(ratio - 2), atol=2e-6)
    model = known(Affine(1), exact, 1)
    model.calibration_ = identity(-60.0, 1.1, exact(real_rows(2000))).to_dict()  # type: ignore[attr-defined]
    plain, shifted = (drawn(model, "drs", **asked)[1].report for asked in ({}, {"percentile": 20.0}))
    assert shifted.acceptance > plain.acceptance + 0.2  # 4,000 rows: a standard error is under .01
    # exact rejection accepts E_q w / max w = e^-1.05: the largest log ratio is 1.05 at x = 1.57
    largest = float(exact(torch.tensor([[0.8 / (1 - 0.49)]])))
    assert plain.acceptance == pytest.approx(math.exp(-largest), abs=0.03)
    assert plain.figures["largest_log_ratio"] == pytest.approx(largest, abs=1e-3)


def test_a_chain_is_as_long_as_its_largest_weight_asks() -> None:
    assert length_for(1.0) == 1
    length = length_for(20.0)
    assert (1 - 1 / 20) ** length <= 0.01 < (1 - 1 / 20) ** (length - 1)
    assert length_for(1e9) == 640


def test_so_few_accepted_that_it_is_given_up_is_an_error_with_a_remedy() -> None:
    model = known(Affine(1), lambda rows: 8 * rows[:, 0], 1)
    model.calibration_ = identity(-60.0, 60.0, torch.full((300,), 40.0)).to_dict()  # type: ignore[attr-defined]
    with pytest.raises(InputError, match=r"drs.*accepted .* of .* fewer than the 9,000 asked.*percentile"):
        drawn(model, "drs", n=9000, most_tries=1)
    with pytest.raises(InputError, match=r"mh.*given up.*resample"):
        drawn(model, "mh", n=50, chain=2, most_tries=3)


# ---- methods that move rows


def test_transport_along_a_linear_critic_goes_its_known_way() -> None:
    """D = k.x: with K < |k| every row moves along k, by steps that each help and so grow by half from the first (which
    is `rate` long); with K > |k| it stays. The measured K is the largest of 100 secant slopes |k cos|: within 2 % of
    |k| in a plane."""
    k = torch.tensor([3.0, -4.0])
    model = known(Affine(2), lambda rows: rows @ k, 2)
    job = Job(Subject.of(model), 100, 0, Options(), None)
    space = Data(job.subject)
    slope, length = scales(job, space)
    assert 0.98 * 5 < slope <= 5 * (1 + 1e-5)
    assert length == pytest.approx(1, abs=0.05)  # scores deviate by |k|
    start = space.start(job.subject.noise(100, 0, "test"))
    steps, rate = 10, 0.05
    away, scores = descent(space, 2.5, rate, steps, 1e-5)(start)
    expected = rate * sum(1.5**t for t in range(steps))
    assert torch.allclose(away - start, expected * (k / 5).expand(100, 2), atol=1e-3)
    assert torch.allclose(scores, away @ k, atol=1e-4)
    stays, _ = descent(space, 10.0, rate, steps, 1e-5)(start)
    assert float((stays - start).norm(dim=1).max()) < 1e-4
    rows, found = drawn(model, "dot-data", n=100, lipschitz=2.5, rate=0.05, steps=10)
    assert found.report.calibration is None
    own = np.asarray(model.generator_(job.subject.noise(8192, 0, "dot", 0)[:100]).detach())
    along = (rows - own) @ (k / 5).double().numpy()
    across = (rows - own) @ np.array([0.8, 0.6])
    assert along.min() > 0.5
    assert np.abs(across).max() < 1e-3


def test_transport_in_latent_space_keeps_to_the_sphere_and_ends_no_worse() -> None:
    model = known(Affine(16, scale=2.0), lambda rows: -(rows - 1).square().sum(1), 16)
    job = Job(Subject.of(model), 64, 0, Options(), None)
    space = Latent(job.subject)
    start = space.start(job.subject.noise(64, 0, "test"))
    step = space.tangent(torch.ones_like(start), start)
    assert float((step * start).sum(1).abs().max()) < 1e-4
    slope, length = scales(job, space)
    found, scores = descent(space, slope / 3, 0.02 * length, 20, 1e-3)(start)
    before = job.subject.score_noise(start).detach()
    assert bool((scores >= before - 1e-4).all())
    assert float((scores - before).mean()) > 0
    assert torch.allclose(found.norm(dim=1), start.norm(dim=1), rtol=1e-4)


@pytest.mark.parametrize("method", ["dgflow", "dgflow-data"])
@pytest.mark.parametrize("divergence", ["kl", "js", "logd"])
def test_flow_along_the_exact_ratio_lowers_the_divergence(method: str, divergence: str) -> None:
    """q = N(0, 4), p = N(2, 4): l = x/2 - 1/2 moves all rows alike (kl) or nearly. KL(q|p) = 1/2 before; what
    2,000 rows leave of it by mean and deviation is under .06 after, and under .45 with the weights of js and logd,
    which change the deviation too (a standard error is under .02; the pilot may miss the mean by .1, which is .005)."""
    model = known(Affine(1, scale=2.0), lambda rows: 6 * (rows[:, 0] / 2 - 0.5) + 3, 1)
    real = 2 + 2 * torch.randn(20_000, 1, generator=torch.Generator().manual_seed(3))
    found = refined(model, N, method, real=real, seed=0, options=Options(divergence=divergence))
    x = np.asarray(found.dataset.values)[:, 0]
    mean, deviation = x.mean(), x.std()
    left = math.log(2 / deviation) + (deviation**2 + (mean - 2) ** 2) / 8 - 0.5
    assert left < (0.06 if divergence == "kl" else 0.45)
    if divergence == "kl":
        assert found.report.auc_after == pytest.approx(0.5, abs=0.06)


def test_a_flow_step_is_the_published_one_and_the_pilot_finds_the_time() -> None:
    model = known(Affine(1), lambda rows: rows[:, 0] - 0.5, 1)  # p = N(1, 1)
    real = 1 + torch.randn(20_000, generator=torch.Generator().manual_seed(3))
    job = Job(Subject.of(model), N, 0, Options(), identity(-60, 60, real - 0.5))
    space = Data(job.subject)
    start = space.start(job.subject.noise(N, 0, "test"))
    moved = flow(job, space, start, 0.02, 5, 0)
    assert torch.allclose(moved - start, torch.full_like(start, 0.1), atol=1e-5)  # eta grad l = .02, five times
    assert 20 * piloted(job, space, 20) == pytest.approx(1, abs=0.12)  # 5 standard errors of 2,048 rows
    noisy = Job(job.subject, N, 0, Options(noise=0.5), job.calibration)
    spread = (flow(noisy, space, start, 0.02, 1, 0) - start - 0.02).std()
    assert float(spread) == pytest.approx(math.sqrt(2 * 0.02 * 0.5), rel=0.06)  # 5 standard errors of 1/sqrt(2 n)


def test_uniform_noise_moves_as_normal_numbers_and_a_condition_not_at_all() -> None:
    class Mixed(Affine):
        laws = (("normal", 1), ("uniform", 1), ("symmetric", 1), ("fixed", 1))

        def noise(self, n: int, *, generator: torch.Generator) -> Tensor:
            flat = torch.rand(n, 2, generator=generator)
            ends = torch.randn(n, 2, generator=generator)
            return torch.cat([ends[:, :1], flat[:, :1], 2 * flat[:, 1:] - 1, ends[:, 1:]], 1)

    model = known(Mixed(4), lambda rows: rows.sum(1), 4)
    space = Latent(Subject.of(model))
    noise = space.subject.noise(500, 0, "test")
    u = space.start(noise)
    assert torch.allclose(space.noise(u), noise, atol=1e-4)
    _, climb = space.slope(u)
    assert bool((climb[:, :3] > 0).all())
    assert bool((climb[:, 3] == 0).all())
    moved = space.noise(u + 50 * climb)
    assert bool((moved[:, 1] <= 1).all())
    assert bool((moved[:, 2] <= 1).all())
    assert torch.equal(moved[:, 3], noise[:, 3])
    assert laws(nn.Identity(), 7) == (("normal", 7),)


# ---- the critic trained on


def test_training_the_critic_on_makes_it_tell() -> None:
    """p = N(1, I), q = N(0, I) in the plane, a critic that starts as a constant. The best log loss is .49,
    E log(1 + e^-l) with l ~ N(1, 2); one untrained has log 2 = .69, and 1,500 rows have a standard error of .01."""
    model = known(Affine(2), lambda rows: rows[:, 0], 2)
    inner, outer = (nn.utils.skip_init(nn.Linear, *size) for size in ((2, 16), (16, 1)))  # type: ignore[arg-type]
    network = nn.Sequential(inner, nn.LeakyReLU(), outer, nn.Flatten(0))
    g = torch.Generator().manual_seed(0)
    for weight in network.parameters():
        weight.data = 0.3 * torch.randn(weight.shape, generator=g)
    inner.weight.data[:] = 0
    model.critic_ = network.requires_grad_(False)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    real = 1 + torch.randn(3000, 2, generator=g)
    report = refined(model, 500, "resample", real=real, seed=0, options=Options(tune=200)).report
    assert report.calibration is not None
    assert report.calibration["log_loss"] < 0.56
    assert report.calibration["rows"] == 1500
    assert all(torch.equal(before[name], value) for name, value in network.state_dict().items())  # a copy was trained


# ---- every method on every kind of data

TINY: dict[str, Any] = {"steps": 12, "width": 8, "depth": 1, "batch_size": 16, "device": "cpu"}
KINDS = ("points", "table", "images")


def rows_of(kind: str, n: int) -> Any:
    r = np.random.default_rng(5)
    if kind == "points":
        return r.normal(size=(n, 2)) * [3.0, 0.1] + [5.0, -1.0]
    if kind == "images":
        return r.integers(0, 256, size=(n, 8, 8), dtype=np.uint8)
    cut = r.choice(["fair", "good", "ideal"], n, p=[0.1, 0.3, 0.6])
    price = np.where(r.random(n) < 0.3, np.nan, r.lognormal(size=n))
    return pl.DataFrame({"cut": cut, "price": pl.Series(price).fill_nan(None), "size": r.normal(size=n)})


@pytest.fixture(scope="module")
def models() -> dict[str, GAN]:
    made = {}
    for kind in KINDS:
        model = GAN(**TINY).fit(rows_of(kind, 200), progress=False)
        model.calibration_ = measure(model, rows_of(kind, 300), of="holdout")
        made[kind] = model
    return made


def values(dataset: Dataset) -> np.ndarray:
    if dataset.kind == "table":
        return np.array(dataset.values.rows(), dtype=object)
    return np.asarray(dataset.values)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("method", METHODS)
def test_as_many_rows_as_asked_of_the_same_form_and_the_same_for_a_seed(
    models: dict[str, GAN], kind: str, method: str
) -> None:
    model, n = models[kind], 520 if kind == "images" else 150  # images: more than a chunk
    options = Options(**{k: 3 for k in ("steps", "chain") if k in METHODS[method].reads})
    first, again = (refined(model, n, method, seed=1, options=options) for _ in range(2))
    plain = model.sample_dataset(n, seed=1)
    assert len(first.dataset) == n
    assert first.dataset.kind == kind
    assert values(first.dataset).shape == values(plain).shape
    if kind == "table":
        assert first.dataset.values.schema == plain.values.schema
        assert set(first.dataset.values["cut"]) <= {"fair", "good", "ideal"}
    assert repr(values(first.dataset).tolist()) == repr(values(again.dataset).tolist())
    if kind == "points":
        other = refined(model, n, method, seed=2, options=options)
        assert repr(values(first.dataset).tolist()) != repr(values(other.dataset).tolist())
    report = first.report
    assert (report.asked, report.method) == (n, method)
    assert 0 < report.effective <= n + 1e-6
    assert report.sentence.startswith(f"{method}: {n:,} rows")
    assert (first.weights is not None) == METHODS[method].weighted
    assert first.dataset.made_by is not None
    assert first.dataset.made_by["refine"] == method
    json.dumps(report.to_dict())


def test_in_data_space_categories_stay_and_absent_numbers_stay_absent(models: dict[str, GAN]) -> None:
    model = models["table"]
    space = Data(Subject.of(model))
    start = space.start(space.subject.noise(300, 0, "test"))
    _, climb = space.slope(start)
    k = model.codec_.n_numeric  # type: ignore[attr-defined]
    assert bool((climb[:, k:] == 0).all())
    assert bool((climb[:, :k] != 0).any())
    for number, there in model.codec_.companions:  # type: ignore[attr-defined]
        absent = start[:, there] == 0
        assert bool(absent.any())
        assert bool((climb[absent, number] == 0).all())


def test_images_stay_within_their_range(models: dict[str, GAN]) -> None:
    space = Data(Subject.of(models["images"]))
    assert float(space.within(torch.full((1, 1, 8, 8), 3.0)).max()) == 1.0


# ---- what cannot be done


def test_models_that_cannot_refine_are_refused() -> None:
    x = rows_of("points", 100)
    flow_model = ScoreDifference(**TINY).fit(x, progress=False)
    with pytest.raises(InputError, match="without a critic"):
        refined(flow_model, 5, "drs", real=x)
    assert measure(flow_model, x, of="holdout") is None
    packed = GAN(regularise="r1+pack:2", **TINY).fit(x, progress=False)
    with pytest.raises(InputError, match="packed rows"):
        refined(packed, 5, "dot")
    with pytest.raises(InputError, match="not fitted"):
        refined(GAN(), 5, "dot")
    several = known(Affine(2), lambda rows: rows, 2)
    with pytest.raises(InputError, match="one score a row"):
        refined(several, 5, "dot")


def test_wrong_words_are_told(models: dict[str, GAN]) -> None:
    model = models["points"]
    with pytest.raises(InputError, match=r"unknown refinement 'mhh'; known: drs, mh, dot"):
        refined(model, 5, "mhh")
    with pytest.raises(InputError, match="pool is not an option of 'drs'"):
        refined(model, 5, "drs", options=Options(pool=3))
    with pytest.raises(InputError, match="at least 1"):
        refined(model, 0, "drs")
    with pytest.raises(InputError, match="unknown divergence 'hellinger'; known: kl"):
        refined(model, 5, "dgflow", options=Options(divergence="hellinger"))
    with pytest.raises(InputError, match="percentile must lie between"):
        refined(model, 5, "drs", options=Options(percentile=120.0))
    with pytest.raises(InputError, match="tune needs real rows"):
        refined(model, 5, "dot", options=Options(tune=10))
    with pytest.raises(InputError, match="too few to calibrate"):
        refined(model, 5, "drs", real=rows_of("points", 20))
    with pytest.raises(InputError, match="points of 3 coordinates"):
        refined(model, 5, "drs", real=np.zeros((100, 3)))
    bare = known(Affine(1), exact, 1)
    with pytest.raises(InputError, match="keeps no calibration; give real="):
        refined(bare, 5, "mh")


def test_the_rows_that_a_run_holds_out_are_found(tmp_path: Path) -> None:
    assert held_out(tmp_path) is None
    (tmp_path / "data").mkdir()
    sources.write(sources.read(rows_of("points", 60)), tmp_path / "data" / "holdout.npz", made_by={}, synthetic=False)
    kept = held_out(tmp_path)
    assert kept is not None
    assert len(kept) == 60
