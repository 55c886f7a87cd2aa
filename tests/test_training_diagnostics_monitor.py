"""The monitor, the alarms and the duality gap, on games whose state is known by construction."""

import json
import math
import time
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from pushforward import objectives
from pushforward.errors import InputError
from pushforward.nets import MLPCritic, MLPGenerator
from pushforward.training.diagnostics import Monitor, alarms, duality_gap

SIDE = torch.arange(4.0)
MODES = torch.cartesian_prod(SIDE, SIDE)  # 16 on a square
SIGMA = 0.05


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def draw(n: int, seed: int) -> Tensor:
    which = torch.randint(16, (n,), generator=rng(seed))
    return MODES[which] + SIGMA * torch.randn(n, 2, generator=rng(seed + 1))


class Scripted(nn.Module):
    """Draws evenly from chosen modes: the first number of the noise picks one, the others are its normal noise."""

    def __init__(self, modes: Sequence[int], sigma: float = SIGMA) -> None:
        super().__init__()
        self.centres = MODES[list(modes)]
        self.sigma = sigma

    def noise(self, n: int, *, generator: torch.Generator) -> Tensor:
        return torch.randn(n, 3, generator=generator)

    def forward(self, z: Tensor) -> Tensor:
        place = (torch.special.ndtr(z[:, 0]) * len(self.centres)).long().clamp(max=len(self.centres) - 1)
        return self.centres[place] + self.sigma * z[:, 1:]


class Scores(nn.Module):
    """A critic that is any function of the rows."""

    def __init__(self, score: Any) -> None:
        super().__init__()
        self.score = score

    def forward(self, x: Tensor) -> Tensor:
        scores: Tensor = self.score(x)
        return scores


@pytest.fixture(scope="module")
def monitors() -> dict[str, Any]:
    """What a monitor of the square takes; monitors have a state, so that every test makes its own."""
    return {"train": draw(8000, 0), "held": draw(2000, 10), "modes": MODES}


ALL = range(16)


def test_a_perfect_generator_gives_what_data_give(monitors: dict[str, Any]) -> None:
    monitor = Monitor(monitors["train"], monitors["held"], seed=1)
    figures = monitor(1, Scripted(ALL), Scripted(ALL)) | monitor(2, Scripted(ALL), Scripted(ALL))
    assert figures["modes"] == 16
    assert figures["modes_missing"] == figures["modes_missing_raw"] == figures["modes_missing_share"] == 0
    assert figures["modes_effective"] == pytest.approx(figures["modes_effective_data"], abs=0.2)
    assert figures["coverage"] == pytest.approx(figures["coverage_data"], abs=0.05)
    assert figures["vendi"] == pytest.approx(1, abs=0.05)
    assert figures["ema_gap"] == figures["ema_distance"] == figures["hopping"] == figures["modes_lost"] == 0
    assert not any(name.startswith(("critic", "holdout", "divergence")) for name in figures)  # there is no critic


def test_a_collapsed_average_is_told_apart_from_the_generator(monitors: dict[str, Any]) -> None:
    figures = Monitor(monitors["train"], monitors["held"], seed=1)(1, Scripted(ALL), Scripted([0, 5, 10]))
    assert figures["modes_missing"] == 13
    assert figures["modes_missing_share"] == pytest.approx(13 / 16, abs=0.02)
    assert figures["modes_missing_raw"] == 0
    assert figures["modes_effective"] == pytest.approx(3, abs=0.02)
    assert figures["coverage"] == pytest.approx(3 / 16, abs=0.03)
    assert figures["vendi"] < 0.8
    q = np.array([1 / 3] * 3 + [0] * 13)
    p = np.full(16, 1 / 16)
    m = (p + q) / 2
    truth = (np.sum(q[:3] * np.log(q[:3] / m[:3])) + np.sum(p * np.log(p / m))) / 2
    assert figures["ema_gap"] == pytest.approx(truth, abs=0.03)
    assert figures["ema_distance"] > 0.5


def test_within_a_mode_collapse_shows_in_the_coverage(monitors: dict[str, Any]) -> None:
    figures = Monitor(**monitors, seed=1)(1, Scripted(ALL), Scripted(ALL, sigma=SIGMA / 10))
    assert figures["modes_missing"] == 0
    assert figures["coverage"] < figures["coverage_data"] / 2


def test_a_hopping_generator(monitors: dict[str, Any]) -> None:
    monitor = Monitor(**monitors, seed=1)
    first, second = (monitor(k, Scripted(m), Scripted(ALL)) for k, m in enumerate(([0, 1], [14, 15])))
    assert "hopping" not in first  # there was nothing before
    assert second["hopping"] == pytest.approx(math.log(2), abs=0.01)
    assert second["hopping_share"] == 1
    assert (second["modes_lost"], second["modes_found"]) == (2, 2)


def test_known_modes_are_taken_as_they_are(monitors: dict[str, Any]) -> None:
    monitor = Monitor(monitors["train"], modes=MODES[:4] - 0.3)
    assert torch.equal(monitor.clusters.centres, MODES[:4] - 0.3)
    with pytest.raises(InputError, match=r"modes must have the rows' shape \(2,\), not \(3,\)"):
        Monitor(monitors["train"], modes=torch.zeros(4, 3))


def test_a_critic_that_learned_the_training_rows_by_heart(monitors: dict[str, Any]) -> None:
    train = monitors["train"]
    seen = {tuple(row) for row in train.tolist()}
    known = Scores(lambda x: torch.tensor([6.0 * (tuple(row) in seen) for row in x.tolist()]) + 0.1 * x[:, 0])
    honest = Scores(lambda x: x[:, 0])
    objective = objectives.objective("ns")
    bad = Monitor(**monitors)(1, Scripted(ALL), Scripted(ALL), known, objective)
    good = Monitor(**monitors)(1, Scripted(ALL), Scripted(ALL), honest, objective)
    assert (bad["critic_auc_train"], bad["holdout_auc"]) == (1, 1)
    assert bad["critic_auc_held"] == pytest.approx(0.5, abs=0.04)  # five standard errors; on training rows it is 1
    assert bad["critic_auc_held_high"] - bad["critic_auc_held_low"] < 0.04
    assert bad["holdout_gap"] == pytest.approx(6, abs=0.1)
    assert bad["holdout_z"] > 40
    assert abs(good["holdout_z"]) < 5
    # what the loss says of held-out rows: no divergence, where that on training rows would be near its supremum, 0
    assert bad["divergence_low"] < -math.log(4) < 0
    assert bad["divergence"] < -1.3
    assert good["calibration_error"] > 0.1  # x is no log ratio: sigma(x) claims what is not there


def test_a_saturated_generator(monitors: dict[str, Any]) -> None:
    far = Scripted([0], sigma=0.0)
    obvious = Scores(lambda x: 12 * x.norm(dim=1).clamp(max=1) - 6)
    figures = {
        name: Monitor(**monitors)(1, far, far, obvious, objectives.objective(name))["saturation"]
        for name in ("minimax", "ns")
    }
    assert figures["minimax"] == pytest.approx(1 - 1 / (1 + math.exp(6)) / (1 / (1 + math.exp(-6))), abs=1e-3)
    assert figures["ns"] == pytest.approx(0, abs=1e-3)


def test_critics_that_give_no_single_finite_score_are_passed_over(monitors: dict[str, Any]) -> None:
    for critic in (Scores(lambda x: x), Scores(lambda x: x[:, 0] * math.nan)):
        figures = Monitor(**monitors)(1, Scripted(ALL), Scripted(ALL), critic, objectives.objective("ns"))
        assert figures["modes_missing"] == 0
        assert not any(name.startswith("critic") for name in figures)


def test_samples_that_are_not_finite_have_no_figures(monitors: dict[str, Any]) -> None:
    assert Monitor(**monitors)(1, Scripted(ALL), Scripted(ALL, sigma=math.nan)) == {}


def test_without_a_holdout_the_rest_is_told(monitors: dict[str, Any]) -> None:
    figures = Monitor(monitors["train"])(1, Scripted(ALL), Scripted(ALL), Scores(lambda x: x[:, 0]))
    assert {"critic_auc_train", "coverage_data", "modes_missing"} <= set(figures)
    assert not {"critic_auc_held", "holdout_gap", "divergence"} & set(figures)
    assert 0.9 < figures["coverage_data"] <= 1


def test_a_resumed_monitor_goes_on_as_if_never_stopped(monitors: dict[str, Any]) -> None:
    one, two = Monitor(**monitors, seed=3), Monitor(**monitors, seed=3)
    for step, modes in enumerate(([0, 1], [1, 2], [3])):
        last = one(step, Scripted(modes), Scripted(ALL))
        if step == 1:
            two.restore(one.tree())
    assert two(2, Scripted([3]), Scripted(ALL)) == last
    assert last["modes_lost"] == 2
    assert all(isinstance(value, Tensor | int) for value in one.tree().values())
    assert "hopping" not in one(2, Scripted([3]), Scripted(ALL))  # the same step again
    assert Monitor(**monitors, seed=3).tree()["last"] is None


def test_figures_are_plain_numbers_and_nothing_is_touched(monitors: dict[str, Any]) -> None:
    generator, critic = MLPGenerator((2,), generator=rng()), MLPCritic((2,), generator=rng(1))
    before = [weight.clone() for weight in (*generator.parameters(), *critic.parameters())]
    figures = Monitor(**monitors)(1, generator, generator, critic, objectives.objective("rpgan"))
    assert json.loads(json.dumps(figures)) == figures
    assert all(type(value) is float and math.isfinite(value) for value in figures.values())
    after = [*generator.parameters(), *critic.parameters()]
    assert all(torch.equal(a, b) and b.grad is None for a, b in zip(before, after, strict=True))


def test_half_precision(monitors: dict[str, Any]) -> None:
    generator, critic = MLPGenerator((2,), generator=rng()), MLPCritic((2,), generator=rng(1))
    with torch.autocast("cpu", torch.bfloat16):
        half = Monitor(**monitors)(1, generator, generator, critic, objectives.objective("ns"))
    full = Monitor(**monitors)(1, generator, generator, critic, objectives.objective("ns"))
    assert half == pytest.approx(full, rel=0.1, abs=0.1)


@pytest.mark.parametrize("shape", [(1, 8, 8), (40,)])
def test_images_and_wide_rows(shape: tuple[int, ...]) -> None:
    rows = torch.randn(600, *shape, generator=rng())
    generator, critic = MLPGenerator(shape, generator=rng()), MLPCritic(shape, generator=rng(1))
    figures = Monitor(rows[:400], rows[400:])(1, generator, generator, critic, objectives.objective("ns"))
    assert all(math.isfinite(value) for value in figures.values())


def test_held_out_rows_help_to_find_the_clusters_of_few(monitors: dict[str, Tensor]) -> None:
    """200 rows have a dozen for each mode: too few to be sure of all 16."""
    monitor = Monitor(monitors["train"][:200], monitors["held"], seed=1)
    assert monitor.clusters.counts.sum() == 2200
    assert len(monitor.clusters.centres) == 16


@pytest.mark.parametrize("rows", [torch.zeros(200, 2), draw(3, 0)], ids=["alike", "three"])
def test_rows_alike_and_few(rows: Tensor) -> None:
    figures = Monitor(rows, rows)(1, Scripted(ALL), Scripted(ALL))
    assert all(math.isfinite(value) for value in figures.values())
    with pytest.raises(InputError, match="at least two training rows, not 1"):
        Monitor(rows[:1])


def test_a_record_costs_little() -> None:
    """The budget is 100 ms of one thread; three times that is let pass, for slower and busier machines."""
    generator, critic = MLPGenerator((2,), generator=rng()), MLPCritic((2,), generator=rng(1))
    monitor = Monitor(draw(8000, 0), draw(2000, 10))
    taken = []
    for step in range(4):
        began = time.process_time()
        monitor(step, generator, generator, critic, objectives.objective("ns"))
        taken.append(time.process_time() - began)
    assert min(taken) < 0.3


# ---- alarms


def records(count: int, **figures: Any) -> list[dict[str, Any]]:
    """`count` records every 50 steps; a figure is a number, or a function of the record's place."""
    usual = {
        "modes": 16.0,
        "modes_missing": 0.0,
        "modes_missing_share": 0.0,
        "modes_effective": 15.9,
        "modes_effective_data": 16.0,
        "modes_lost": 0.0,
        "modes_found": 0.0,
        "hopping": 0.0,
        "hopping_share": 0.1,
        "saturation": 0.3,
        "critic_auc_train": 0.8,
        "critic_auc_held": 0.8,
        "holdout_z": 0.5,
        "holdout_auc": 0.5,
    }
    made = []
    for i in range(count):
        values = {name: value(i) if callable(value) else value for name, value in (usual | figures).items()}
        made.append({"step": 50 * (i + 1)} | values)
    return made


def losses(count: int, seed: int, wave: float = 0.0) -> dict[str, Any]:
    """Two losses of red noise around a falling trend, and a wave of period 6 records."""
    from scipy.signal import lfilter

    noise = lfilter([1], [1, -0.6], np.random.default_rng(seed).standard_normal((2, count)), axis=1)
    at = np.arange(count)
    critic, generator = noise + 3 * np.exp(-at / 20) + wave * np.sin(2 * np.pi * at / 6)
    return {"critic_loss": lambda i: float(critic[i]), "generator_loss": lambda i: float(generator[i])}


def test_a_healthy_history_raises_nothing() -> None:
    """Modes are missing at first and gained, scores and losses are noise: no alarm in 8 histories.

    Overfitting and oscillation are false with probability .01 each at most: 8 histories have more than 3
    alarms with a probability of at most 1e-4, and the seeds are fixed.
    """
    raised = []
    for seed in range(8):
        z = torch.randn(100, generator=rng(seed)).tolist()
        history = records(
            100,
            modes_missing=lambda i: max(0.0, 16.0 - i),
            modes_missing_share=lambda i: max(0.0, 1 - i / 16),
            modes_lost=lambda i: float(i in (2, 4, 5)),  # while it begins
            holdout_z=lambda i, z=z: z[i],
            **losses(100, seed),
        )
        raised += alarms(history)
    assert len(raised) <= 3


def test_a_collapse_is_a_sentence_with_a_remedy() -> None:
    history = records(60, modes_missing=5.0, modes_missing_share=0.31, modes_effective=10.6)
    (alarm,) = alarms(history)
    assert alarm.name == "collapse"
    assert alarm.step == 1100  # of the records up to 1100, eight come after two thirds of it
    assert "hardly reach 5 of 16 clusters of the data, which hold 31% of it" in alarm.sentence
    assert alarm.sentence.endswith("(step 1,100)")
    assert "raise gamma" in alarm.remedy
    assert str(alarm) == f"{alarm.sentence}; {alarm.remedy}"


def test_modes_that_are_being_gained_are_no_collapse_and_a_recovery_is_told() -> None:
    assert alarms(records(60, modes_missing=lambda i: 16 * 0.8**i)) == []
    (alarm,) = alarms(records(60, modes_missing=lambda i: 4.0 if i < 40 else 0.0))
    assert "though later they reach all (step 3,000)" in alarm.sentence


def test_hops_are_counted_over_the_window() -> None:
    """Two records with a loss may be a slip; three of 24 have a probability of 2e-6 (binomial) where nothing hops."""
    assert alarms(records(60, modes_lost=lambda i: float(i in (40, 50)))) == []
    (alarm,) = alarms(records(60, modes_lost=lambda i: 2.0 * (i in (34, 40, 46, 52)), hopping_share=0.6))
    assert alarm.name == "hopping"
    assert "given up clusters that it held 6 times" in alarm.sentence
    assert alarm.sentence.endswith("60% of the same noise goes to another cluster (step 2,350)")
    (early,) = alarms(records(60, modes_lost=lambda i: float(i in (8, 10, 12))))
    assert early.step < 1000
    assert early.sentence.endswith("though no longer after step 1,550")


def test_a_wave_in_the_losses_is_an_oscillation() -> None:
    (alarm,) = alarms(records(120, **losses(120, 3, wave=2.0), ema_distance=0.4))
    assert alarm.name == "oscillation"
    assert alarm.step in (2400, 4800)
    period = float(alarm.sentence.split("circles of about ")[1].split(" steps")[0])
    assert period == pytest.approx(300, rel=0.1)
    assert "samples are 0.40 deviations of the data from those of its average" in alarm.sentence


def test_overfitting_says_both_figures() -> None:
    history = records(30, holdout_z=lambda i: 0.9 * i, holdout_auc=0.9, critic_auc_train=0.97, critic_auc_held=0.61)
    (alarm,) = alarms(history)
    assert alarm.name == "overfitting"
    assert "AUC is 0.97 on training rows and 0.61 on rows it never saw" in alarm.sentence
    assert "lower the critic's capacity" in alarm.remedy


def test_saturation_has_to_last() -> None:
    assert alarms(records(40, saturation=lambda i: 0.99 if i % 3 else 0.5)) == []
    (alarm,) = alarms(records(40, saturation=0.996))
    assert alarm.name == "saturation"
    assert "99.6% of it is lost" in alarm.sentence


def test_alarms_of_a_part_are_alarms_of_the_whole() -> None:
    history = records(
        100,
        modes_missing=lambda i: 3.0,
        modes_lost=lambda i: float(i > 40),
        saturation=lambda i: min(1.0, i / 30),
        holdout_z=lambda i: i / 4,
        **losses(100, 5, wave=2.0),
    )
    whole = alarms(history)
    assert {alarm.name for alarm in whole} == {"collapse", "hopping", "oscillation", "overfitting", "saturation"}
    assert [alarm.step for alarm in whole] == sorted(alarm.step for alarm in whole)
    for count in range(0, 100, 7):
        assert alarms(history[:count]) == [alarm for alarm in whole if alarm.step <= 50 * count]


def test_records_without_the_figures_are_passed_over() -> None:
    history = records(60, modes_missing=5.0)
    plain = [{"step": 25 + record["step"], "critic_loss": 1.0} for record in history]
    mixed = sorted([*history, *plain], key=lambda record: record["step"])
    assert alarms(mixed) == alarms(history)
    assert alarms(plain) == alarms([]) == []
    assert alarms([{"step": 1, "modes_missing": None}]) == []


# ---- the duality gap


class Constant(nn.Module):
    """A critic that scores 0 everywhere until it is trained."""

    def __init__(self) -> None:
        super().__init__()
        self.body = MLPCritic((1,), width=16, depth=1, generator=rng())
        self.scale = nn.Parameter(torch.zeros(()))

    def forward(self, x: Tensor) -> Tensor:
        scores: Tensor = self.scale * self.body(x)
        return scores


class Shift(nn.Module):
    """z + theta."""

    def __init__(self, theta: float) -> None:
        super().__init__()
        self.theta = nn.Parameter(torch.tensor(theta))

    def noise(self, n: int, *, generator: torch.Generator) -> Tensor:
        return torch.randn(n, 1, generator=generator)

    def forward(self, z: Tensor) -> Tensor:
        return z + self.theta


def test_the_duality_gap_at_an_equilibrium_and_far_from_it() -> None:
    """Against a critic that is 0 every generator is worth -ln 4; the best critic is worth 2 JSD - ln 4.

    At equal distributions the gap is 0, and where they do not overlap 2 JSD = ln 4. An overlapping pair, N(0, 1) and
    N(1, 1), has 2 JSD = .2264 (quadrature), of which a trained critic finds at most all.
    """
    rows = torch.randn(4000, 1, generator=rng(1))
    minimax = objectives.objective("minimax")
    gaps = {}
    for theta in (0.0, 1.0, 30.0):
        found = duality_gap(Shift(theta), Constant(), minimax, rows[:2000], rows[2000:], steps=60, learning_rate=0.03)
        gaps[theta] = found.gap
        assert found.value == pytest.approx(-math.log(4), abs=1e-6)
        assert found.best_generator == pytest.approx(-math.log(4), abs=1e-6)
    assert abs(gaps[0.0].value) < 0.03
    assert gaps[1.0].value == pytest.approx(0.2264, abs=0.06)
    assert gaps[30.0].value == pytest.approx(math.log(4), abs=0.01)


def test_the_best_generator_is_searched_too_and_the_players_are_left_alone() -> None:
    rows = torch.randn(1000, 1, generator=rng(1))
    generator, critic = Shift(2.0), nn.Sequential(nn.utils.skip_init(nn.Linear, 1, 1, bias=False), nn.Flatten(0))
    nn.init.constant_(critic[0].weight, -1.0)  # scores fall with x: the best generator goes down
    found = duality_gap(generator, critic, objectives.objective("wgan"), rows, rows, steps=50, learning_rate=0.1)
    # V = E x over G less E x over data; theta goes from 2 to 2 - 50 * .1 under Adam, whose steps are that long
    assert found.value == pytest.approx(2, abs=0.2)
    assert found.best_generator == pytest.approx(2 - 5, abs=0.5)
    assert float(generator.theta.detach()) == 2
    assert generator.theta.requires_grad


def test_a_monitors_duality_gap_needs_a_holdout_and_scores(monitors: dict[str, Any]) -> None:
    generator, critic = MLPGenerator((2,), width=8, generator=rng()), MLPCritic((2,), width=8, generator=rng(1))
    minimax = objectives.objective("minimax")
    found = Monitor(**monitors).duality_gap(generator, critic, minimax, steps=5)
    assert found.gap.low <= found.gap.value <= found.gap.high
    with pytest.raises(InputError, match="give a holdout"):
        Monitor(monitors["train"]).duality_gap(generator, critic, minimax)
    none = objectives.Objective("gmmn", None, lambda a, b: a, reads="data")
    with pytest.raises(InputError, match="the objective gmmn has no critic's score"):
        Monitor(**monitors).duality_gap(generator, critic, none)
