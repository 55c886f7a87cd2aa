"""`compare`, end to end and by its parts: what must be detected is, and what must not be is not.

Repeated checks state their size: correct code fails them with probability below 1e-6.
"""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch
from scipy import stats

from pushforward.data import sources
from pushforward.data.dataset import Dataset
from pushforward.errors import InputError
from pushforward.evaluation import Comparison, check_gate, compare, gate, memorization
from pushforward.evaluation.associations import associations
from pushforward.evaluation.discrimination import detectable_auc, discriminate, sequential_test
from pushforward.evaluation.frames import Frame, frame_of
from pushforward.evaluation.intervals import wilson
from pushforward.evaluation.marginals import columns as compare_columns
from pushforward.evaluation.marginals import distance_and_pvalue
from pushforward.fitters.classifier import auc

FALSE_FAILURE = 1e-6


def table(n: int, seed: int, name: str = "table") -> Dataset:
    """A small mixed table: dependent numbers, a zero-inflated one, categories with rare levels, dates, holes."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=n)
    holes = rng.random(n) < 0.1
    frame = pl.DataFrame(
        {
            "x": x,
            "y": 2 * x + 0.1 * rng.normal(size=n),
            "count": np.where(rng.random(n) < 0.6, 0, rng.poisson(3, n)),
            "letter": np.where(x > 0, "a", "b"),
            "rare": [f"level {k}" for k in rng.zipf(1.6, n) % 997],
            "flag": rng.random(n) < 0.3,
            "day": np.datetime64("2024-01-01") + rng.integers(0, 300, n).astype("timedelta64[D]"),
            "constant": np.full(n, 5),
            "empty": pl.Series([None] * n, dtype=pl.Float64),
        }
    ).with_columns(pl.when(pl.Series(holes)).then(None).otherwise(pl.col("x")).alias("holed"))
    return Dataset("table", frame, name)


def shuffled(data: Dataset, seed: int) -> Dataset:
    """Every column by itself is right, and nothing hangs together."""
    rng = np.random.default_rng(seed)
    series = [data.values[name][rng.permutation(len(data))] for name in data.values.columns]
    return dataclasses.replace(data, values=pl.DataFrame(series), name="shuffled")


def digits(rows: slice, noise: float = 0.0) -> Dataset:
    data = sources.read("sample:digits")
    values = data.values[rows].float()
    values = values + noise * torch.randn(values.shape, generator=torch.Generator().manual_seed(1))
    return dataclasses.replace(data, values=values.clamp(0, 255).to(torch.uint8))


@pytest.fixture(scope="module")
def bad_table() -> Comparison:
    return compare(table(600, 0, "real"), shuffled(table(600, 1), 2), train=table(900, 3, "train"))


@pytest.fixture(scope="module")
def points() -> Comparison:
    return compare(sources.read("toy:ring:400"), np.random.default_rng(0).normal(size=(400, 2)).astype(np.float32))


@pytest.fixture(scope="module")
def images() -> Comparison:
    return compare(digits(slice(0, 300)), digits(slice(300, 600), 60), train=digits(slice(600, 900)))


def test_the_interval_of_a_cross_fitted_auc_is_wider_than_of_fixed_scores() -> None:
    """Twice the variance where nothing was learned, none more where all rows are told."""
    rng = np.random.default_rng(0)
    for shift, factor in ((0.0, 2**0.5), (6.0, 1.0)):
        x, y = rng.normal(size=(300, 1)), rng.normal(size=(300, 1)) - shift
        found = discriminate(x, y, categorical=[], folds=5, seed=0, level=0.95)
        fixed = auc(found.real, found.fake)
        width, narrow = (
            np.log(b / (1 - b)) - np.log(a / (1 - a)) for a, b in ((found.low, found.high), (fixed.low, fixed.high))
        )
        assert width / narrow == pytest.approx(factor, rel=0.07)


def test_shuffled_columns_are_detected(bad_table: Comparison) -> None:
    verdict = bad_table.verdict
    assert verdict.detected
    assert 0 < verdict.pvalue < 1e-4
    assert verdict.auc_low < verdict.auc < verdict.auc_high
    assert verdict.auc_low > 0.8
    assert verdict.sentence.startswith("A difference was detected (p = ")
    assert bad_table["correlations"].low > bad_table["correlations"].baseline  # type: ignore[operator]
    first = bad_table.views["correlations"]["pairs"][0]
    assert {first["a"], first["b"]} <= {"x", "y", "letter", "holed"}
    assert abs(first["real"]) > 0.8
    assert abs(first["fake"]) < 0.3
    assert all(column.pvalue_adjusted > 0.001 for column in bad_table.columns)  # the columns alone tell nothing
    assert not bad_table.copies.detected()


def test_the_schema(bad_table: Comparison, points: Comparison, images: Comparison) -> None:
    for comparison in (bad_table, points, images):
        data = json.loads(comparison.to_json())
        assert data["schema"] == "pushforward.compare/1"
        assert set(data["verdict"]) == {"detected", "pvalue", "auc", "auc_low", "auc_high", "sentence"}
        for metric in data["metrics"]:
            assert set(metric) == {"name", "group", "value", "low", "high", "baseline", "direction", "reads"}
            assert metric["baseline"] is not None, "no figure without its real-vs-real baseline"
            if metric["low"] is not None:
                assert metric["low"] <= metric["value"] <= metric["high"]
            else:
                assert metric["group"] == "modes"  # counts and shares with a floor of their own are no estimates
        for column in data["columns"]:
            assert {"name", "kind", "statistic", "pvalue", "pvalue_adjusted"} <= set(column)
            assert 0 < column["pvalue"] <= column["pvalue_adjusted"] <= 1
        assert {"version", "seed", "command"} <= set(data["made_by"])
        assert [c["pvalue_adjusted"] for c in data["columns"]] == sorted(c["pvalue_adjusted"] for c in data["columns"])


def test_round_trip(bad_table: Comparison, points: Comparison, images: Comparison, tmp_path: Path) -> None:
    for comparison in (bad_table, points, images):
        path = tmp_path / "result.json"
        text = comparison.to_json(path)
        assert path.read_text(encoding="utf-8") == text
        assert Comparison.from_json(path) == comparison
        assert len(text) < 400_000  # pictures are binned, records few: no data set travels along


def test_a_foreign_or_broken_file_is_refused(bad_table: Comparison, tmp_path: Path) -> None:
    path = tmp_path / "result.json"
    path.write_text('{"schema": "pushforward.compare/9"}')
    with pytest.raises(InputError, match=r"compare/9"):
        Comparison.from_json(path)
    path.write_text('{"schema": "pushforward.compare/1", "verdict": {}}')
    with pytest.raises(InputError, match="not a whole comparison"):
        Comparison.from_json(path)
    path.write_text("{")
    with pytest.raises(InputError, match="is not JSON"):
        Comparison.from_json(path)
    with pytest.raises(InputError, match="cannot be read"):
        Comparison.from_json(tmp_path / "none.json")


def test_metrics_by_name(bad_table: Comparison) -> None:
    assert bad_table["auc"].value == bad_table.verdict.auc
    with pytest.raises(KeyError, match="closer_to_train"):
        bad_table["nothing"]


def test_the_same_seed_gives_the_same_result() -> None:
    real, fake = table(120, 0), table(100, 1)
    first, second, third = (compare(real, fake, seed=seed) for seed in (3, 3, 4))
    assert first == second
    assert first.views["scores"] != third.views["scores"]


def test_records_are_rows_of_the_data(points: Comparison, bad_table: Comparison, images: Comparison) -> None:
    real = sources.read("toy:ring:400").values
    for record in points.records:
        if record.role == "missed":
            assert list(record.values.values()) == pytest.approx(real[record.row].tolist(), rel=1e-5)
    fakes = [record for record in bad_table.records if record.role == "fake-like"]
    assert [record.score for record in fakes] == sorted(record.score for record in fakes)
    # what gives a shuffled row away is that y is not 2 x
    assert np.mean([abs(r.values["y"] - 2 * r.values["x"]) > 0.5 for r in fakes]) == 1
    assert all((record.image or "").startswith("data:image/png;base64,") for record in images.records)


def test_images_are_judged(images: Comparison) -> None:
    assert images.verdict.detected
    assert "principal components" in images.inputs["classifier_sees"]
    assert {part.name for part in images.test.parts} == {"classifier", "columns", "kernels"}
    assert images["mmd2"].low > images["mmd2"].baseline  # type: ignore[operator]


def test_points_of_a_toy_report_their_modes(points: Comparison) -> None:
    assert points["modes"].baseline == 8
    assert points["high_quality"].high < points["high_quality"].baseline  # type: ignore[operator]
    assert points.verdict.detected


def test_nothing_detected_says_what_would_have_been() -> None:
    result = compare(table(400, 20), table(400, 21), seed=1)  # one seed; that the rate is right is the next test
    assert "No difference was detected at n = 400" in result.verdict.sentence
    assert "would have been found with probability 0.8" in result.verdict.sentence
    assert "same" not in result.verdict.sentence
    assert "not given (--train)" in result.copies.note


def test_type_one_error_of_the_verdict() -> None:
    """Two samples of one mixed table, 80 times: p <= .05 in at most 17 (P = 1e-6 if the level were just kept).

    A test that looked at its training rows, or a coding of categories that knows which side is real, rejects nearly
    always here (half of `rare`'s levels occur once).
    """
    rejected, classifier = 0, []
    for seed in range(80):
        frame = frame_of({"real": table(110, 2 * seed + 100), "fake": table(90, 2 * seed + 101)})
        part, _, _ = sequential_test(
            frame.trees("real"),
            frame.trees("fake"),
            categorical=frame.categorical,
            parts=3,
            permutations=99,
            seed=seed,
        )
        least = compare_columns(frame, [(frame.rows["real"], frame.rows["fake"])])[0].pvalue_adjusted
        classifier.append(part.pvalue)
        rejected += 2 * min(part.pvalue, least) <= 0.05
    assert rejected <= stats.binom.isf(FALSE_FAILURE, 80, 0.05)
    # the exact part is uniform, but for its ties on small samples; it may not be smaller
    assert stats.kstest(classifier, "uniform", alternative="greater").pvalue > FALSE_FAILURE


def test_power_is_what_the_sentence_says() -> None:
    """Scores of two normals whose AUC is the announced one: found with probability 0.8 (here >= .65 in 200)."""
    auc = detectable_auc(300, 300, alpha=0.05)
    gap = np.sqrt(2) * stats.norm.ppf(auc)
    rng = np.random.default_rng(0)
    found = sum(
        stats.mannwhitneyu(rng.normal(gap, 1, 300), rng.normal(0, 1, 300), alternative="greater").pvalue <= 0.05
        for _ in range(200)
    )
    assert 0.65 * 200 <= found <= 0.93 * 200


@pytest.mark.parametrize("kind", ["numeric", "ties", "few levels", "many levels", "holes"])
def test_columns_keep_their_level(kind: str) -> None:
    """400 null columns: p <= .05 in at most 45 of them, and 30 of each would not do for a different one."""
    rng = np.random.default_rng(5)

    def draw(n: int, moved: bool) -> np.ndarray:
        if kind == "numeric":
            return rng.normal(0.6 * moved, 1, n)
        if kind == "ties":
            return rng.poisson(2 + 1.2 * moved, n).astype(float)
        if kind == "holes":
            return np.where(rng.random(n) < 0.1 + 0.3 * moved, np.nan, rng.normal(size=n))
        levels = 4 if kind == "few levels" else 300
        return np.minimum(rng.geometric(min(1, (3.0 - 1.5 * moved) / levels), n), levels).astype(float)

    nominal = kind.endswith("levels")
    null = [distance_and_pvalue(draw(90, False), draw(120, False), nominal)[2] for _ in range(400)]
    assert np.sum(np.array(null) <= 0.05) <= stats.binom.isf(FALSE_FAILURE, 400, 0.05)
    other = [distance_and_pvalue(draw(90, False), draw(120, True), nominal)[2] for _ in range(60)]
    assert np.mean(np.array(other) <= 0.05) >= 0.5


def test_unseen_categories_are_evidence() -> None:
    real, fake = table(500, 0), table(500, 1)
    strange = pl.Series("letter", ["c"] * 40 + fake.values["letter"].to_list()[40:])
    result = compare(real, dataclasses.replace(fake, values=fake.values.with_columns(strange)))
    first = result.columns[0]
    assert (first.name, first.kind) == ("letter", "category")
    assert first.outside == pytest.approx(0.08)
    assert first.outside_baseline == 0
    assert first.pvalue_adjusted < 1e-4
    assert result.verdict.detected
    assert result["outside"].value >= 0.08


def test_copies_are_flagged_and_fresh_samples_are_not() -> None:
    """Training rows handed out as samples look perfect, and are told."""
    train, holdout, fresh = table(800, 0, "train"), table(300, 1, "holdout"), table(400, 2, "fresh")
    rows = torch.randperm(800, generator=torch.Generator().manual_seed(0))[:400]
    copied = compare(holdout, dataclasses.replace(train.take(rows), name="copies"), train=train)
    assert copied.copies.detected(1e-6)
    assert copied.copies.duplicates == 1
    assert copied["closer_to_train"].low > copied.copies.expected  # type: ignore[operator]
    assert copied["closer_to_train"].value > 0.99
    assert copied.copies.expected == pytest.approx(800 / 1100)
    assert "may be copies" in copied.verdict.sentence
    assert compare(holdout, fresh, train=train).copies.pvalue > 1e-6  # type: ignore[operator]


def test_copies_test_keeps_its_level_and_finds_near_copies() -> None:
    """Exchangeable train and holdout, 300 times, with ties, duplicates and a collapsed generator: the p-value holds."""
    rng = np.random.default_rng(0)
    options: dict[str, Any] = {"level": 0.95, "seed": 0, "most_queries": 10_000, "most_rows": 10_000}
    pvalues, baselines = [], []
    for k in range(300):
        train, holdout = (np.round(rng.normal(size=(n, 2)), 1) for n in (120, 60))
        spread = 0.05 if k % 2 else 1.0  # every other generator draws from one spot only
        figures, _ = memorization.look_for_copies(
            np.round(spread * rng.normal(size=(150, 2)), 1), train, holdout, **options
        )
        pvalues.append(figures["pvalue"])
        baselines.append(figures["closer_baseline"])
    assert np.sum(np.array(pvalues) <= 0.05) <= stats.binom.isf(FALSE_FAILURE, 300, 0.05)
    # a held-out row leaves 120 training rows among the 179 others
    assert np.mean(baselines) == pytest.approx(120 / 179, abs=0.02)
    train, holdout = rng.normal(size=(300, 3)), rng.normal(size=(300, 3))
    near = train[:100] + 0.01 * rng.normal(size=(100, 3))
    figures, neighbours = memorization.look_for_copies(
        np.concatenate([near, rng.normal(size=(100, 3))]), train, holdout, **options
    )
    assert figures["pvalue"] < 1e-3
    assert all(fake == row for fake, row, _ in neighbours.closest(20))


def test_duplicates_count_equal_rows() -> None:
    a = np.array([[1.0, np.nan], [0.0, 2.0], [3.0, 4.0]])
    b = np.array([[-0.0, 2.0], [1.0, np.nan]])
    assert memorization.duplicates(a, b) == pytest.approx(2 / 3)


def test_rows_of_few_values_meet_by_chance() -> None:
    """Equal rows make REAL a part of TRAIN only where chance does not explain them."""
    rng = np.random.default_rng(0)
    few, many = rng.integers(0, 2, (400, 2)).astype(float), rng.normal(size=(400, 2))
    assert not memorization.contains(few[:200], few[200:])
    assert not memorization.contains(many[:200], many[200:])
    assert memorization.contains(many, many[:100])


@pytest.mark.parametrize("value", [0.0, 1e300])
def test_constant_and_huge_values(value: float) -> None:
    """Every figure stays finite (JSON has no NaN), and one value against another is told."""
    same = np.full((40, 2), value)
    result = compare(same, same, train=np.full((50, 2), value))
    assert not result.verdict.detected
    assert result.verdict.auc_low < 0.5 < result.verdict.auc_high
    assert Comparison.from_dict(json.loads(result.to_json())) == result
    spread = np.random.default_rng(0).normal(size=(60, 2)) * max(value, 1)
    assert compare(np.full((60, 2), value), spread).verdict.detected


def test_infinite_values_are_refused() -> None:
    data = table(60, 0)
    infinite = data.values.with_columns(pl.Series("y", [np.inf] + [0.0] * 59))
    with pytest.raises(InputError, match=r"column 'y' holds infinite values"):
        compare(data, dataclasses.replace(data, values=infinite))


def test_without_the_data_copies_are_not_judged() -> None:
    data = table(300, 0, "all of it")
    train, _ = data.split(0.2)
    result = compare(data, table(200, 5), train=train)
    assert not result.copies.judged
    assert "REAL repeats the training rows" in result.copies.note
    assert "two random halves" in result.inputs["baseline"]
    with pytest.raises(InputError, match="closer_to_train"):
        gate(result, "closer_to_train>0.9")


def test_holdout_is_the_baseline() -> None:
    result = compare(table(200, 0), table(200, 1), train=table(300, 2), holdout=table(150, 3, "holdout"))
    assert result.inputs["baseline"] == "real against holdout (200 and 150 rows)"
    assert result.copies.n_holdout == 150


def test_associations_equal_the_textbook() -> None:
    frame = frame_of({"real": table(500, 0), "fake": table(400, 1)})
    found = associations(frame)
    names = list(found.names)
    both = np.concatenate([frame.rows["real"], frame.rows["fake"]])
    ranks = stats.rankdata(both[:, names.index("x")]), stats.rankdata(both[:, names.index("y")])
    expected = np.corrcoef(ranks[0][:500], ranks[1][:500])[0, 1]
    assert found.value["real"][names.index("x"), names.index("y")] == pytest.approx(expected, abs=1e-9)
    letter = frame.rows["real"][:, names.index("letter")]
    groups = [ranks[0][:500][letter == k] for k in (0, 1)]
    between = sum(len(g) * (g.mean() - ranks[0][:500].mean()) ** 2 for g in groups)
    eta = np.sqrt(between / ((ranks[0][:500] - ranks[0][:500].mean()) ** 2).sum())
    assert found.value["real"][names.index("x"), names.index("letter")] == pytest.approx(eta, abs=1e-9)
    assert np.isnan(found.value["real"][names.index("constant"), names.index("x")])
    assert np.allclose(found.value["real"], found.value["real"].T, equal_nan=True)


def test_differences_of_correlation_are_calibrated() -> None:
    """The jackknife z of 45 x 8 null pairs: standard deviation near 1, never far below (no false alarms)."""
    z = []
    for seed in range(8):
        rng = np.random.default_rng(seed)
        mix = np.linalg.qr(rng.normal(size=(10, 10)))[0] * np.linspace(0.2, 2, 10)
        rows = {role: rng.normal(size=(n, 10)) @ mix for role, n in (("real", 700), ("fake", 500))}
        frame = Frame(tuple("abcdefghij"), ("numeric",) * 10, ((),) * 10, rows)
        found = associations(frame)
        above = np.triu_indices(10, 1)
        error = np.hypot(found.stderr["real"], found.stderr["fake"])
        z.append((found.value["fake"] - found.value["real"])[above] / error[above])
    assert 0.8 < np.std(np.concatenate(z)) < 1.3


def test_regions_say_where_in_words(bad_table: Comparison, points: Comparison, images: Comparison) -> None:
    """Shuffled columns: what hangs together in REAL is taken apart, so boxes of two columns tell the two sets."""
    assert bad_table.regions
    first = bad_table.regions[0]
    assert first.ratio is None or not 0.9 < first.ratio < 1.1
    assert any(name in first.text for name in ("x", "y", "letter", "holed"))
    assert first.n_real == round(first.real_share * 300)  # half of the 600 rows are counted
    assert points.regions[0].conditions[0].split()[0] in ("x1", "x2")
    assert any(name in images.regions[0].text for name in ("brightness", "contrast", "edges"))
    assert first.text.replace("|", "\\|").replace("<", "&lt;") in bad_table.to_markdown()


def test_a_file_of_an_earlier_version_is_read(bad_table: Comparison) -> None:
    data = bad_table.to_dict()
    del data["regions"], data["tests"]
    assert Comparison.from_dict(data) == dataclasses.replace(bad_table, regions=(), tests=())


def test_gates(bad_table: Comparison) -> None:
    assert gate(bad_table, "auc>0.8")
    assert not gate(bad_table, " auc <= 0.5 ")
    assert gate(bad_table, "pvalue<1e-3")
    assert gate(bad_table, "auc_low>=.5")
    assert not gate(bad_table, "auc_high==2")
    assert gate(bad_table, "closer_to_train>-1")
    assert check_gate("marginals>0.1") == ("marginals", ">", 0.1)
    with pytest.raises(InputError, match=r"known: auc, auc_high, auc_low, .*closer_to_train"):
        gate(bad_table, "auk>0.8")
    for broken in ("auc", "auc>", "auc=0.8", ">0.8", "auc>0.8 or", "auc>x", "", "__import__('os')"):
        with pytest.raises(InputError, match="NAME OPERATOR NUMBER"):
            check_gate(broken)


def test_mistakes_are_one_sentence() -> None:
    data = table(100, 0)
    with pytest.raises(InputError, match=r"unknown suite 'slow'; known: quick, full"):
        compare(data, data, suite="slow")
    with pytest.raises(InputError, match="too few"):
        compare(data, table(10, 1, "tiny"))
    with pytest.raises(InputError, match="alpha"):
        compare(data, data, alpha=2)
    with pytest.raises(InputError, match="letter"):
        compare(data, dataclasses.replace(data, values=data.values.drop("letter"), name="fake"))


def test_points_of_one_coordinate_and_of_many() -> None:
    rng = np.random.default_rng(0)
    thin = compare(rng.normal(size=(80, 1)), rng.normal(2, 1, size=(80, 1)))
    assert thin.verdict.detected
    wide = compare(rng.normal(size=(60, 300)), rng.normal(size=(60, 300)))
    assert "principal components" in wide.inputs["classifier_sees"]


def test_markdown(bad_table: Comparison, tmp_path: Path) -> None:
    path = tmp_path / "result.md"
    text = bad_table.to_markdown(path)
    assert path.read_text(encoding="utf-8") == text
    assert bad_table.verdict.sentence in text
    assert "| auc | " in text


def test_wilson_of_the_effective_number_is_wider() -> None:
    low, high = wilson(0.8, 50)
    narrow_low, narrow_high = wilson(0.8, 500)
    assert low < narrow_low < narrow_high < high
