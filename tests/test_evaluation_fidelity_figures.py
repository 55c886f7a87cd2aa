"""The figures of fidelity as a comparison computes them: names, intervals, baselines, and what is left out."""

import numpy as np
import pytest
import torch
from torch import Tensor

from pushforward.evaluation.comparison import Metric
from pushforward.evaluation.fidelity.figures import FIGURES
from pushforward.evaluation.figures import KINDS, LeftOut
from pushforward.evaluation.job import Job, prepare

BY_NAME = {figure.name: figure for figure in FIGURES}


def job_of(real: object, fake: object, suite: str = "full") -> Job:
    return prepare({"real": real, "fake": fake, "train": None, "holdout": None}, suite=suite, alpha=0.05, seed=0)


def points(n: int, d: int, seed: int, *, mean: float = 0.0) -> Tensor:
    return mean + torch.randn(n, d, generator=torch.Generator().manual_seed(seed))


def pictures(n: int, seed: int, *, top: int = 256) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, top, (n, 1, 8, 8), generator=generator, dtype=torch.uint8)


def only(figure: str, job: Job) -> Metric:
    found = BY_NAME[figure].compute(job)
    assert [metric.name for metric in found] == [figure]
    metric = found[0]
    assert np.isfinite(metric.value)
    assert metric.baseline is not None
    assert np.isfinite(metric.baseline)
    if metric.low is not None:
        assert metric.low <= metric.value <= metric.high
    return metric


def test_catalogue() -> None:
    assert list(BY_NAME) == ["frechet", "kid", "cmmd", "vendi", "inception", "birthday", "spatial"]
    for figure in FIGURES:
        assert set(figure.kinds) <= set(KINDS)
        assert set(figure.suites) <= {"quick", "full", "image", "table", "privacy"}
    assert [figure.name for figure in FIGURES if "quick" in figure.suites] == ["frechet"]


def near_nothing(metric: Metric) -> bool:
    """Below five standard errors, of which the interval's upper half is two: the chance of more is < 1e-6."""
    return abs(metric.value) <= 2.5 * (metric.high - metric.value)


@pytest.mark.parametrize("d", [1, 4, 40, 300])
def test_distances_see_a_shift_and_no_more(d: int) -> None:
    """A shift of .5 in every coordinate of 400 rows stands clear of the baseline, in few dimensions and in more than
    there are rows; without it the figure is nothing."""
    real = points(400, d, 1)
    for name in ["frechet", "kid"] + ["cmmd"] * (d >= 32):
        same, shifted = (only(name, job_of(real, points(300, d, 2, mean=mean))) for mean in (0.0, 0.5))
        assert near_nothing(same)
        assert shifted.low > max(0.0, shifted.baseline)
        assert shifted.direction == "lower"


def test_frechet_of_a_table_with_categories_and_constants() -> None:
    import polars as pl

    rng = np.random.default_rng(0)

    def table(n: int, levels: list[str]) -> pl.DataFrame:
        columns = {"a": rng.normal(size=n), "b": rng.choice(levels, n), "c": np.ones(n), "d": rng.integers(0, 3, n)}
        return pl.DataFrame(columns)

    real = table(600, ["x", "y", "z"])
    same, other = (only("frechet", job_of(real, table(500, levels))) for levels in (["x", "y", "z"], ["x", "x", "y"]))
    assert near_nothing(same)
    assert other.low > same.high


def test_variety_sees_repetitions() -> None:
    real = points(600, 6, 3)
    few = points(10, 6, 4).repeat(50, 1)
    vendi, birthday = only("vendi", job_of(real, few)), only("birthday", job_of(real, few))
    assert vendi.high < vendi.baseline
    assert birthday.value == pytest.approx(10 * 50 * 49 / (500 * 499))
    assert birthday.low > birthday.baseline == 0.0
    assert "support" not in birthday.reads
    assert "as from 10 equally likely" in birthday.reads


def test_inception_score_needs_probabilities() -> None:
    with pytest.raises(LeftOut, match="softmax"):
        BY_NAME["inception"].compute(job_of(points(100, 5, 5), points(100, 5, 6)))
    real, fake = (torch.softmax(scale * points(300, 5, 7), 1) for scale in (3.0, 0.5))
    found = only("inception", job_of(real, fake))
    assert 1.0 <= found.low <= found.high < found.baseline <= 5.0


def test_pictures() -> None:
    real, fake = pictures(700, 8), pictures(500, 9)
    moved = fake.clone()
    moved[:, :, :4] //= 2
    for name in ("frechet", "spatial", "kid", "cmmd"):
        same, other = only(name, job_of(real, fake, "image")), only(name, job_of(real, moved, "image"))
        assert near_nothing(same)
        assert other.low > same.high
    assert only("vendi", job_of(real, fake, "image")).low > 1


def test_too_few_rows_are_left_out() -> None:
    job = job_of(points(40, 3, 10), points(40, 3, 11))
    for name in ("frechet", "kid", "vendi", "birthday"):
        with pytest.raises(LeftOut, match="give at least 32"):
            BY_NAME[name].compute(job)
    with pytest.raises(LeftOut, match="embeddings"):
        BY_NAME["cmmd"].compute(job)
    with pytest.raises(LeftOut, match="maps of positions"):
        BY_NAME["spatial"].compute(job_of(pictures(70, 12).repeat(1, 3, 1, 1), pictures(70, 13).repeat(1, 3, 1, 1)))


def test_figures_repeat_and_share_their_rows() -> None:
    real, fake = points(500, 5, 14), points(400, 5, 15)
    first, second = job_of(real, fake), job_of(real, fake)
    for name in ("frechet", "kid", "vendi", "birthday"):
        assert BY_NAME[name].compute(first) == BY_NAME[name].compute(second)
    assert {"fidelity.components", "fidelity.features"} <= set(first.cache)
