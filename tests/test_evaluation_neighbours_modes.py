"""Modes, repeats, and all figures of neighbours as `compare` calls them."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch
from torch import Tensor

from pushforward.errors import InputError
from pushforward.evaluation.figures import LeftOut
from pushforward.evaluation.job import prepare
from pushforward.evaluation.neighbours import crowding, mode_report, repeats
from pushforward.evaluation.neighbours.figures import FIGURES


def mixture(seed: int, rows: int, modes: int, among: int = 50) -> Tensor:
    """The first `modes` of `among` well separated modes in 6 dimensions, equally likely."""
    centres = 8 * torch.randn(among, 6, generator=torch.Generator().manual_seed(99))
    generator = torch.Generator().manual_seed(seed)
    which = torch.randint(0, modes, (rows,), generator=generator)
    return centres[which] + torch.randn(rows, 6, generator=generator)


def test_a_dropped_mode_of_two_percent_is_named() -> None:
    real, fake = mixture(1, 4000, 50), mixture(2, 2000, 49)
    found = mode_report(real=real, fake=fake, modes=50)
    (lost,) = found.dropped()
    assert lost.fake == 0
    assert lost.real == pytest.approx(40, abs=31)  # five standard deviations of 2 % of 2,000 counted rows
    centre = 8 * torch.randn(50, 6, generator=torch.Generator().manual_seed(99))[49]
    assert float((real[lost.row] - centre).norm()) < 6  # the row that stands for it
    assert found.captured == 49
    assert found.missing > 0.02


def test_no_mode_is_named_where_none_is_dropped() -> None:
    """Holm holds 5 % over all modes: in 40 nulls 11 or more would have probability 1e-6."""
    named = sum(mode_report(real=mixture(s, 600, 8), fake=mixture(s + 500, 400, 8)).pvalue <= 0.05 for s in range(40))
    assert named < 11


def test_known_labels_are_counted_as_they_are() -> None:
    one = torch.zeros(80, 1)
    labels = np.repeat(["a", "b", "c", "d"], 20), np.repeat(["a", "b"], 40)
    found = mode_report(real=one, fake=one, labels=labels)
    assert [(m.label, m.real, m.fake, m.ratio) for m in found.modes] == [
        ("a", 20, 40, 2.0), ("b", 20, 40, 2.0), ("c", 20, 0, 0.0), ("d", 20, 0, 0.0),
    ]  # fmt: skip
    assert [m.label for m in found.dropped()] == ["c", "d"]
    assert (found.effective_real, found.effective_fake) == (pytest.approx(4), pytest.approx(2))
    assert (found.missing, found.captured) == (0.5, 2)
    chance = 2 * math.prod((80 - i) / (160 - i) for i in range(20))  # Fisher's: all 20 among the reals, two-sided
    assert found.modes[2].pvalue == pytest.approx(chance, rel=1e-6)
    with pytest.raises(InputError, match="labels: 3 of fake"):
        mode_report(real=one, fake=one, labels=(labels[0], np.array(["a", "b", "c"])))
    with pytest.raises(InputError, match="modes must lie"):
        mode_report(real=one, fake=one, modes=60)


def test_a_repeated_half_is_found_exactly_and_nearly() -> None:
    real, fake = mixture(3, 1000, 50), mixture(4, 1000, 50)
    assert repeats(real=real.numpy(), fake=fake.numpy()).pvalue == 1.0
    assert crowding(real=real, fake=fake).pvalue > 1e-3
    fake[500:] = fake[:500]
    exact = repeats(real=real.numpy(), fake=fake.numpy())
    assert (exact.fake.value, exact.real.value, exact.pvalue) == (1.0, 0.0, 0.001)
    fake[500:] += 1e-3
    assert repeats(real=real.numpy(), fake=fake.numpy()).pvalue == 1.0
    near = crowding(real=real, fake=fake)
    assert (near.fake.value, near.pvalue) == (1.0, 0.001)


def test_crowding_of_rows_of_few_values_and_of_collapsed_fakes() -> None:
    rng = np.random.default_rng(1)
    real, fake = (torch.from_numpy(rng.integers(0, 2, (3000, 2)).astype(float)) for _ in range(2))
    assert crowding(real=real, fake=fake).fake.value == 1.0
    assert crowding(real=real, fake=fake).pvalue == 1.0  # real's are as crowded
    assert repeats(real=real.numpy(), fake=fake.numpy()).pvalue > 1e-2
    heap = crowding(real=mixture(7, 400, 50), fake=1e-3 * mixture(8, 400, 1))
    assert (heap.fake.value, heap.pvalue) == (1.0, 0.001)


def test_repeats_that_real_has_too_are_no_evidence() -> None:
    """300 nulls of rows that repeat by chance: 38 p-values of at most 5 % would have probability 1e-6."""
    rng, hits = np.random.default_rng(0), 0
    for seed in range(300):
        real, fake = (rng.integers(0, 9, (60, 2)).astype(float) for _ in range(2))
        hits += repeats(real=real, fake=fake, relabellings=99, seed=seed).pvalue <= 0.05
    assert 1 <= hits < 38


def frame(rng: np.random.Generator, rows: int) -> pl.DataFrame:
    z = rng.normal(size=(rows, 3))
    return pl.DataFrame(
        {"a": z[:, 0], "b": z[:, 0] + z[:, 1], "c": np.where(rng.random(rows) < 0.1, np.nan, z[:, 2]),
         "d": np.array(list("uvwx"))[rng.integers(0, 4, rows)]}
    )  # fmt: skip


def job_of(copies: int = 0, **roles: Any) -> Any:
    rng = np.random.default_rng(5)
    data = {role: frame(rng, 700) for role in ("real", "fake", "train", "holdout")} | roles
    if copies:
        data["fake"] = pl.concat([data["fake"][copies:], data["train"][:copies]])
    return prepare({k: v for k, v in data.items() if v is not None}, suite="quick", alpha=0.05, seed=0)


def test_every_figure_gives_what_it_says_with_a_baseline_between_real_rows() -> None:
    job = job_of()
    for figure in FIGURES:
        metrics = figure.compute(job)
        assert metrics[0].name == figure.name
        assert {metric.name for metric in metrics} == set(figure.gives or (figure.name,))
        for metric in metrics:
            assert math.isfinite(metric.value), metric
            assert metric.baseline is not None, metric
            assert metric.direction in ("lower", "higher", "baseline")
            assert (metric.low is None) == (metric.high is None)
            assert metric.low is None or metric.high is None or metric.low <= metric.value <= metric.high, metric
    assert job.cache["near_copies"].pvalue > 1e-6
    assert job.cache["identical"].pvalue > 1e-6


def test_the_figures_find_five_percent_of_copies() -> None:
    job = job_of(copies=35)
    found = {}
    for figure in FIGURES:
        if figure.name in ("identical", "near_copies", "gower_copies"):
            found |= {metric.name: metric for metric in figure.compute(job)}
    assert found["identical"].value == pytest.approx(0.05)
    for name in ("identical", "near_copies", "gower_copies"):
        assert found[name].low > found[name].baseline, name
    assert job.cache["identical"].pvalue < 1e-6
    assert job.cache["near_copies"].pvalue < 1e-4


def test_without_unseen_rows_copies_are_left_out() -> None:
    rng = np.random.default_rng(6)
    same = frame(rng, 200)
    job = job_of(real=same, train=same, holdout=None)
    for figure in FIGURES:
        if figure.needs == ("train",):
            with pytest.raises(LeftOut, match="--holdout"):
                figure.compute(job)
