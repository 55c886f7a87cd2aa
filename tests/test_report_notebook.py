"""Notebook manners: cards and charts of results, models and data; short reprs; a bar that is drawn in place."""

from __future__ import annotations

import dataclasses
import json
import math
import re
import subprocess
import sys
import types
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch
import vl_convert
from torch import nn

from pushforward import distance, flow, models, two_sample
from pushforward.data.dataset import Dataset
from pushforward.errors import InputError
from pushforward.evaluation import Comparison, compare
from pushforward.evaluation.contest import Contest, Entry
from pushforward.evaluation.leaderboard import Leaderboard, standings
from pushforward.models.base import Estimator
from pushforward.models.several import TradeOff
from pushforward.objectives.several import Front, dominated
from pushforward.report import card, image_of, plot, save_picture, sheet_of, write_front
from pushforward.report.cards import MOST
from pushforward.report.standing import SERIES
from pushforward.training.progress import Event, reporter
from pushforward.twosample import Part, TestResult
from pushforward.witness import Estimate

EVIL = "<script>alert(1)</script>"
QUOTED = "\"'><img src=x onerror='alert(2)'>{{ 7*7 }} & ]]>"
VOID = {"img", "br", "path", "rect", "circle"}


class Card(HTMLParser):
    """Every tag with its attributes, and the text; tags must close in order."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.text: list[str] = []
        self.feed(text)
        assert self.open == [], "unclosed tags"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text.append(data)

    @property
    def shown(self) -> str:
        return "".join(self.text)


def table(seed: int, n: int = 150, shift: float = 0.0) -> Dataset:
    rng = np.random.default_rng(seed)
    frame = {
        EVIL: rng.normal(size=n) + shift,
        QUOTED: np.where(rng.random(n) < 0.5, QUOTED, "plain"),
        "day": np.datetime64("2024-01-01") + rng.integers(0, 90, n).astype("timedelta64[D]"),
        "gaps": [None if v < -1 else v for v in rng.normal(size=n).tolist()],
    }
    return Dataset("table", pl.DataFrame(frame), f"{EVIL}.csv", made_by={"model": QUOTED, "more": {"a": 1}})


def points(n: int, d: int, seed: int = 0) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(seed).normal(size=(n, d)))


def noise(*shape: int) -> torch.Tensor:
    return torch.randint(0, 255, shape, dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


def result(p: float = 0.01, count: int = 99, parts: tuple[Part, ...] = ()) -> TestResult:
    """A test whose statistic `round(p (1 + count)) - 1` of `count` relabellings reach."""
    null = torch.linspace(0, 1, count, dtype=torch.float64)
    above = round(p * (1 + count)) - 1 if count else 0
    statistic = float(null[-above]) if above else 1.5
    effect = Estimate(0.61, 0.02, 0.57, 0.65)
    return TestResult("c2st-ridge", statistic, p, null, effect, 200, 300, count, None, 0.12, parts=parts)


def records(count: int = 30, lost: float = 0.1) -> list[dict[str, Any]]:
    return [
        {
            "step": 10 * (k + 1),
            "seconds": 0.5 * k,
            "critic_loss": 0.7 - 0.001 * k,
            "generator_loss": 0.7 + 0.01 * math.sin(k * k),
            "critic_gradient": 1.0 / (k + 1),
            "generator_gradient": 0.3,
            "saturation": lost,
            "critic_auc_train": 0.9,
            "auc": None if k % 3 else 0.6,
            "auc_lower": 0.5,
            "auc_upper": 0.7,
            "note": "text",
            "gap": float("nan"),
        }
        for k in range(count)
    ]


class Model(Estimator):
    """A model of its own, for the tests. `InputError` wherever it is asked to draw.

    More.
    """

    likelihood = "exact"

    def __init__(self, weights: Any = None, *, steps: int = 3, networks: Any = None, seed: int = 0) -> None:
        self.weights, self.steps, self.networks, self.seed = weights, steps, networks, seed

    def fit(self, lost: float = 0.1) -> Model:
        self.codec_ = types.SimpleNamespace(kind="table", name=EVIL)
        self.data_, self.id_, self.history_ = {"rows": 1500}, "0" * 16, records(lost=lost)
        self.steps_done_ = self.steps_ = 300
        self.closing_ = {"sentence": f"On 120 rows of {EVIL} AUC 0.51."}
        return self

    def sample(self, n: int) -> Any:
        raise InputError("a card draws nothing")


@pytest.fixture(scope="module")
def compared() -> dict[str, Comparison]:
    near = compare(table(0, 80), table(1, 80), metrics=["precision"])
    far = compare(table(0, 80), table(2, 80, shift=3.0), metrics=["precision"])
    return {"near": near, EVIL: far}


@pytest.fixture(scope="module")
def things(compared: dict[str, Comparison]) -> dict[str, Any]:
    """One of everything that shows itself."""
    losses = torch.tensor([[0.0, 1.0], [0.4, 0.3], [1.0, 0.0], [0.9, 0.9]])
    front = Front(losses, losses, losses, dominated(losses))
    board: Leaderboard = standings(compared)
    entries = (
        Entry("near", "Gaussian", 0.2, 100),
        Entry(EVIL, "KDE", 3.0, 100),
        Entry("broken", "GAN", 1.0, 100, why=QUOTED),
    )
    x, y = points(60, 2), points(50, 2, 1) + 1
    return {
        "test": result(),
        "parts": result(0.3, parts=(Part(EVIL, 0.3, 0.01, 0.02), Part(QUOTED, 0.1, 0.4, 0.5))),
        "exact": result(0.004, count=0),
        "betting": two_sample(x, y, "betting", permutations=19),
        "estimate": Estimate(0.5, 0.1, 0.3, 0.7),
        "bare": Estimate(0.5, math.nan, math.nan, math.nan),
        "comparison": compared[EVIL],
        "metric": compared[EVIL]["auc"],
        "board": board,
        "contest": Contest(EVIL, "table", 100, 50, 10.0, 0, entries, board),
        "front": front,
        "trade-off": TradeOff((EVIL, "rate_of"), front, ()),
        "moved": flow.transport(x, y, steps=4, keep=3),
        "model": Model(seed=4).fit(),
        "alarmed": Model().fit(lost=0.97),
        "unfitted": models.VAE(width=EVIL),
        "gaussian": models.Gaussian().fit(points(40, 2), progress=False),
        "table": table(0),
        "points": Dataset("points", points(3000, 2), EVIL),
        "many": Dataset("points", points(20, 9), EVIL),
        "images": Dataset("images", noise(30, 3, 40, 40), EVIL),
    }


# ---- cards


def test_cards_stand_alone_and_are_small(things: dict[str, Any]) -> None:
    """No script, style sheet, handler or address; user text as text; tags that close; no more than `MOST` bytes."""
    for name, thing in things.items():
        text = thing._repr_html_()
        found = Card(text)
        assert len(text.encode()) < MOST, name
        assert not {tag for tag, _ in found.tags} & {"script", "style", "link", "iframe", "object", "form"}, name
        for tag, attributes in found.tags:
            assert not any(key.startswith("on") for key in attributes), (name, tag)
            assert str(attributes.get("src") or "data:image/png;base64,").startswith("data:image/png;base64,"), name
            assert "href" not in attributes, name
            assert tag not in ("svg", "img") or attributes.get("aria-label") or attributes.get("alt"), name
        assert not re.findall(r"https?://|url\(|@import", text), name
        assert EVIL not in text, name
        assert "<img src=x" not in text, name


def test_user_text_is_shown_as_text(things: dict[str, Any]) -> None:
    for name in ("parts", "comparison", "board", "contest", "trade-off", "model", "table", "points", "images"):
        assert EVIL in Card(things[name]._repr_html_()).shown, name
    assert QUOTED in Card(things["table"]._repr_html_()).shown


def test_cards_say_what_matters(things: dict[str, Any]) -> None:
    shown = {name: Card(thing._repr_html_()).shown for name, thing in things.items()}
    assert "A difference was detected: p = 0.01." in shown["test"]
    assert "none of 99 relabellings reach it" in shown["test"]
    assert "29 of 99 relabellings reach it" in shown["parts"]
    assert "0.610 (0.570 … 0.650): cross-fitted AUC" in shown["test"]
    assert shown["exact"].count("relabelling") == 0
    assert "0.500, 95% interval 0.300 … 0.700" in shown["estimate"]
    assert "no interval" in shown["bare"]
    assert "real against real" in shown["metric"]
    assert "3 points on the front of 2 losses; 1 is dominated." in shown["front"]
    assert "60 rows moved in 4 steps" in shown["moved"]
    assert "real against real" in shown["contest"]
    assert "VAE, not fitted yet" in shown["unfitted"]
    assert "an estimate from below" in shown["unfitted"]
    assert "exact" in shown["gaussian"]
    assert "a table of 150 rows and 4 columns" in shown["table"]
    assert "date" in shown["table"]
    assert "and 1 more coordinate" in shown["many"]
    assert "30 images of 40 × 40 pixels, in colour" in shown["images"]


def test_the_card_of_a_model_draws_nothing(things: dict[str, Any]) -> None:
    """`Model.sample` raises; the card has its settings, its closing figure and its alarms."""
    shown = Card(things["model"]._repr_html_()).shown
    assert "Model learned to draw rows like the 1,500 of" in shown
    assert "A model of its own, for the tests." in shown
    assert "seed=4" in shown
    assert "AUC 0.51" in shown
    assert "saturation" not in shown
    assert "saturation" in Card(things["alarmed"]._repr_html_()).shown


def test_names_as_long_as_books() -> None:
    """A card stays small whatever the columns are called."""
    long = "x" * 200_000
    data = Dataset("table", pl.DataFrame({long: [long], "b": [1]}), long)
    assert len(card(data)) < 5_000
    parts = tuple(Part(long, 0.1, 0.5, 0.5) for _ in range(40))
    assert len(card(result(parts=parts))) < 20_000
    assert len(json.dumps(plot(result(parts=parts), "parts").to_dict())) < 60_000


def test_a_card_larger_than_that_says_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pushforward.report.cards.MOST", 100)
    assert "TestResult(" in Card(card(result())).shown
    assert card(result()).count("<table") == 0


@pytest.mark.parametrize("shape", [(0, 1, 8, 8), (1, 1, 1, 1), (3, 3, 300, 20), (200, 1, 28, 28)])
def test_images_of_any_size(shape: tuple[int, ...]) -> None:
    data = Dataset("images", noise(*shape))
    assert len(card(data)) < MOST


def test_tables_of_any_columns() -> None:
    """Missing throughout, constant, boolean, durations, lists, infinite: all are shown, and drawn."""
    frame = pl.DataFrame(
        {
            "empty": pl.Series([None, None, None], dtype=pl.Float64),
            "null": [None, None, None],
            "one": [2013, 2013, 2013],
            "yes": [True, False, None],
            "time": pl.Series([0, 1, 2]).cast(pl.Duration("ms")),
            "when": pl.Series([0, 60, 3600]).cast(pl.Datetime("ms")),
            "list": [[1], [2], []],
            "wild": [math.inf, math.nan, 1.0],
            "kind": pl.Series(["a", "b", None], dtype=pl.Categorical),
        }
    )
    data = Dataset("table", frame, "odd", columns={"one": "categorical"})
    shown = Card(card(data)).shown
    for word in ("categorical", "boolean", "duration", "datetime", "category"):
        assert word in shown
    assert "33% missing" in drawn(plot(data))
    assert len(card(Dataset("table", frame[:0], "none"))) > 0


def test_what_has_no_card_or_chart() -> None:
    with pytest.raises(InputError, match="int has no card"):
        card(3)
    with pytest.raises(InputError, match="int has no chart"):
        plot(3)
    with pytest.raises(InputError, match="list has no chart"):
        plot([])


# ---- one line


def test_reprs_are_one_short_line(things: dict[str, Any]) -> None:
    for name, thing in things.items():
        assert "\n" not in repr(thing), name
        assert len(repr(thing)) < 500, name
    assert repr(things["test"]).startswith(
        "TestResult('c2st-ridge', pvalue=0.01, statistic=1.5, effect=Estimate(0.61, "
    )
    assert repr(things["bare"]) == "Estimate(0.5, no interval)"
    assert repr(things["comparison"]).startswith("Comparison(different, p=")
    assert repr(things["front"]) == "Front(3 of 4 points on the front of 2 losses)"
    assert repr(things["moved"]).startswith("Transported(rows=60 x 2, path=3, steps=4, speed=")
    assert repr(things["points"]) == f"Dataset('points', 3000 x 2, name={EVIL!r})"
    assert repr(things["board"]).startswith("Leaderboard(by auc: 1 near 0.")
    assert "1 without figures" in repr(things["contest"])


def test_estimators_print_what_differs_from_the_defaults() -> None:
    assert repr(Model()) == "Model()"
    assert repr(Model(steps=3, seed=1)) == "Model(seed=1)"
    assert repr(Model(np.zeros(3))) == "Model(weights=array([0., 0., 0.]))"  # no array compares as a whole
    assert repr(Model(torch.zeros(3))) == "Model(weights=tensor([0., 0., 0.]))"
    assert repr(Model(networks=(nn.Identity(), nn.ReLU()))) == "Model(networks=(Identity(...), ReLU(...)))"
    long = repr(Model("y" * 1000))
    assert long.endswith("...)")
    assert len(long) < 130
    assert Model(seed=1).changed_params() == {"seed": 1}


# ---- charts


def drawn(chart: Any) -> str:
    """The chart as an SVG; what Vega Lite does not accept raises."""
    return str(vl_convert.vegalite_to_svg(chart.to_dict(validate=False)))


def title(chart: Any) -> str:
    return " ".join(chart.title.text)


CHARTS = {
    "test": "A difference was detected: p = 0.01",
    "parts": "No difference was detected: p = 0.3",
    "exact": "A difference was detected: p = 0.004",
    "betting": "A difference was detected: p = ",
    "estimate": "The estimate is 0.500, 95% interval 0.300 … 0.700",
    "bare": "The estimate is 0.500, no interval",
    "comparison": "A difference was detected (p ",
    "board": "near is ahead of all others by auc, beyond noise.",
    "contest": "near is ahead of all others by auc, beyond noise. Between two real sets auc is",
    "front": "3 points on the front of 2 losses; 1 is dominated",
    "trade-off": "3 points on the front of 2 losses",
    "moved": "60 rows moved in 4 steps",
    "table": "a table of 150 rows and 4 columns",
    "points": "3,000 points of 2 coordinates",
    "many": "20 points of 9 coordinates",
    "images": "30 images of 40 × 40 pixels",
}


@pytest.mark.parametrize("name", CHARTS)
def test_every_chart_is_drawn_and_states_its_result(name: str, things: dict[str, Any]) -> None:
    chart = things[name].plot()
    spec = chart.to_dict()
    assert CHARTS[name] in title(chart)
    assert spec["config"]["background"] == "white"
    assert len(json.dumps(spec)) < 700_000
    svg = str(vl_convert.vegalite_to_svg(spec))
    assert svg.startswith("<svg")
    assert EVIL not in svg
    assert "<img src=x" not in svg
    fields = set(re.findall(r'"field": "([^"]*)"', json.dumps(spec)))
    assert not [field for field in fields if not field.isidentifier()], "user text names no field"


def test_charts_without_their_look_can_be_put_together() -> None:
    both = plot(result(), look=False) | plot(Estimate(0.5, 0.1, 0.3, 0.7), look=False)
    assert "background" not in both.to_dict()["config"]
    with pytest.raises(TypeError, match="config"):
        plot(result()) | plot(result())


def test_the_null_sample_and_the_observed_statistic() -> None:
    """Every relabelling is in a bar; the rule stands at the statistic."""
    sets = list(result(0.3).plot().to_dict()["datasets"].values())
    bars = next(rows for rows in sets if "height" in rows[0])
    assert sum(row["height"] for row in bars) == pytest.approx(99)
    assert any(rows[0].get("at") == pytest.approx(result(0.3).statistic) for rows in sets)
    flat = dataclasses.replace(result(), null=torch.ones(20), statistic=1.0, pvalue=1.0)
    assert "p = 1" in title(flat.plot())
    assert drawn(flat.plot())


def test_parts_where_the_null_is_a_law() -> None:
    parts = (Part("a", 0.3, 0.01, 0.02), Part("b", 0.1, 0.4, 0.5))
    chart = result(0.02, count=0, parts=parts).plot()
    assert '"statistic of each part"' in json.dumps(chart.to_dict())
    with pytest.raises(InputError, match="a test has no chart 'parts'; it has null"):
        result().plot("parts")


def test_estimates_by_name() -> None:
    x, y = points(60, 2), points(50, 2, 1) + 1
    found = {"energy": distance(x, y, "energy"), EVIL: Estimate(9.0, 1.0, 7.0, 11.0)}
    chart = plot(found, baseline=0.0)
    assert title(chart).startswith("energy has the smallest of 2 estimates")
    assert EVIL not in drawn(chart)
    with pytest.raises(InputError, match="no finite estimate"):
        plot(Estimate(math.nan, math.nan, math.nan, math.nan))


@pytest.mark.parametrize("what", ["columns", "roc", "scores", "scatter", EVIL, QUOTED, "day", "gaps"])
def test_charts_of_a_comparison(what: str, compared: dict[str, Comparison]) -> None:
    chart = compared[EVIL].plot(what)
    assert EVIL not in drawn(chart)
    if what == "columns":
        assert re.match(f"[12] of 4 columns differs?: {re.escape(EVIL)}", title(chart))  # the other by chance
    if what == EVIL:
        assert f"{EVIL} differs: distance" in title(chart)
    if what == "day":
        assert "day was not seen to differ" in title(chart)
    if what == "roc":
        assert "A classifier tells real from fake with AUC" in title(chart)


def test_charts_that_a_comparison_has_not(compared: dict[str, Comparison]) -> None:
    with pytest.raises(InputError, match="'prize' is no chart and no column; charts: figures, columns"):
        compared["near"].plot("prize")
    with pytest.raises(InputError, match="unexpected keyword argument 'colour'"):
        compared["near"].plot(colour="red")
    views = {**compared["near"].views, "columns": {}}
    with pytest.raises(InputError, match="column 'day' is not drawn"):
        dataclasses.replace(compared["near"], views=views).plot("day")
    assert "None of 4 columns was seen to differ" in title(compared["near"].plot("columns"))
    assert drawn(compared["near"].plot("columns", most=2)).count("more are not drawn")


def test_figures_stand_beside_their_baselines(compared: dict[str, Comparison]) -> None:
    """Each on a strip of its own, from 0 to 100, with what is said beside it."""
    metric = compared[EVIL]["auc"]
    sets = compared[EVIL].plot().to_dict(validate=False)["datasets"].values()
    (row,) = {row["told"]: row for rows in sets for row in rows if row["name"].endswith("|auc")}.values()
    assert row["told"].startswith(f"{metric.value:.3f}  (")
    assert 0 <= row["baseline"] < row["low"] <= row["value"] <= row["high"] <= 100


def test_the_course_of_a_run(things: dict[str, Any]) -> None:
    chart = things["model"].plot_history()
    assert title(chart).startswith("Model learned to draw rows like the 1,500 of")
    svg = drawn(chart)
    for words in ("Losses", "Auditor", "Gradients", "no alarm was raised", "blue: critic"):
        assert words in svg
    assert EVIL not in svg
    alarmed = drawn(things["alarmed"].plot_history())
    assert "saturation: the generator hardly gets a gradient" in alarmed
    assert "no alarm was raised" not in alarmed
    few = plot(records(), figures=["saturation"])
    assert title(few) == "300 steps in 14 seconds"
    assert len(few.to_dict()["concat"]) == 1


def test_runs_without_a_course(things: dict[str, Any]) -> None:
    with pytest.raises(InputError, match="Gaussian has no history"):
        things["gaussian"].plot_history()
    with pytest.raises(InputError, match="this VAE is not fitted yet"):
        things["unfitted"].plot_history()
    with pytest.raises(InputError, match="1 records make no curve"):
        plot(records(1))
    with pytest.raises(InputError, match="figure 'loss': no record has it; they have step, seconds, critic_loss"):
        plot(records(), figures=["loss"])
    with pytest.raises(InputError, match="this Auto is not fitted yet"):
        models.Auto().plot_history()


def test_what_auto_tried() -> None:
    judged = {"seconds": 1.0, "auc_low": 0.5, "auc_high": 0.6, "refused": ""}
    tried = [{"model": "kde", "auc": 0.6, **judged}, {"model": EVIL, "auc": 0.55, **judged}, {"model": "gan", **judged}]
    tried[0]["refused"] = "it copies"
    auto = models.Auto()
    auto.model_, auto.choice_ = Model(), {"sentence": "Of 3 models one.", "chosen": EVIL, "candidates": tried}
    chart = auto.plot_history()
    assert title(chart) == "Of 3 models one."
    assert "kde was refused: it copies" in drawn(chart)


def test_charts_of_data(things: dict[str, Any]) -> None:
    assert "1,500 of them are drawn" in drawn(things["points"].plot())  # every second of 3,000
    assert len(plot(things["many"], columns=["x2", "x9"]).to_dict()["concat"]) == 2
    with pytest.raises(InputError, match="has no column 'z'; it has x1"):
        plot(things["many"], columns=["z"])
    with pytest.raises(InputError, match="has no rows to draw"):
        plot(things["many"].take(torch.tensor([], dtype=torch.long)))
    whole = Dataset("points", torch.arange(60.0)[:, None], "days")
    bars = next(iter(plot(whole).to_dict()["datasets"].values()))
    assert len({round(row["height"], 9) for row in bars}) == 1  # a bin holds as many whole numbers as any other


def test_rows_that_were_moved(things: dict[str, Any]) -> None:
    moved = things["moved"]
    speeds = next(iter(moved.plot("speed").to_dict()["datasets"].values()))
    assert [row["speed"] for row in speeds] == pytest.approx(list(moved.speed))
    far = flow.transport(points(20, 3), points(20, 3, 1), steps=2)
    assert "mean displacement" in drawn(far.plot())
    with pytest.raises(InputError, match=r"rows of 3 numbers do not lie in the plane; take plot\('speed'\)"):
        far.plot("rows")


# ---- fronts


def test_fronts_of_more_losses_and_as_files(things: dict[str, Any], tmp_path: Path) -> None:
    three = torch.tensor([[0.0, 1.0, 2.0], [1.0, 0.0, 3.0]])
    front = Front(three, three, three, dominated(three))
    assert drawn(front.plot(losses=(0, 2), names=["a", "b", EVIL])).count(EVIL) == 0
    with pytest.raises(InputError, match="a front of 3 losses: give 3 names"):
        front.plot(names=["a", "b"])
    write_front(things["front"], tmp_path / "f.svg", ("rate", "distortion"))
    text = (tmp_path / "f.svg").read_text(encoding="utf-8")
    assert "distortion" in text
    assert 'xmlns="http://www.w3.org/2000/svg"' in text
    assert "hollow: dominated" in text
    with pytest.raises(InputError, match="already exists"):
        write_front(things["front"], tmp_path / "f.svg")
    with pytest.raises(InputError, match=r"is an \.svg or a \.png"):
        write_front(things["front"], tmp_path / "f.pdf")


# ---- pictures that stand alone


def test_pictures_are_written(things: dict[str, Any], tmp_path: Path) -> None:
    from PIL import Image

    chart = things["estimate"].plot()
    save_picture(chart, tmp_path / "a.png", scale=1)
    small, large = image_of(chart, scale=1).size, image_of(chart, scale=2).size
    assert Image.open(tmp_path / "a.png").size == small
    assert large == pytest.approx([2 * n for n in small], abs=2)
    sheet = sheet_of(np.zeros((5, 4, 6)), columns=3, scale=2)
    save_picture(sheet, tmp_path / "b.png")
    assert Image.open(tmp_path / "b.png").size == sheet.size == (3 * 12 + 4 * 2, 2 * 8 + 3 * 2)
    save_picture([sheet, sheet.rotate(180), sheet], tmp_path / "c.gif", seconds=1)
    frames = Image.open(tmp_path / "c.gif")
    assert frames.info["loop"] == 0
    assert sheet_of(np.full((1, 2, 2), 1.0), scale=1).getpixel((2, 2)) == 255
    assert sheet_of(torch.zeros(1, 3, 2, 2, dtype=torch.uint8)).mode == "RGB"


def test_pictures_that_cannot_be_written(tmp_path: Path) -> None:
    sheet = sheet_of(np.zeros((1, 4, 4)))
    for name in ("a.gif", "a.jpg", "a"):
        with pytest.raises(InputError, match=r"one picture a \.png or an \.svg"):
            save_picture(sheet, tmp_path / name)
    with pytest.raises(InputError, match=r"frames become a \.gif"):
        save_picture([sheet], tmp_path / "a.png")
    with pytest.raises(InputError, match=r"only charts can be written as \.svg"):
        save_picture(sheet, tmp_path / "a.svg")
    with pytest.raises(InputError, match="at least one frame"):
        save_picture([], tmp_path / "a.gif")
    with pytest.raises(InputError, match="frames are of 2 sizes"):
        save_picture([sheet, sheet.resize((9, 9))], tmp_path / "a.gif")
    with pytest.raises(InputError, match="not int"):
        save_picture(3, tmp_path / "a.png")
    with pytest.raises(InputError, match="images are"):
        sheet_of(np.zeros((4, 4)))
    assert list(tmp_path.iterdir()) == []


def test_colours_are_told_apart() -> None:
    """Every pair of the series' colours differs by a fifth of the range in one channel at least."""
    values = np.array([[int(colour[k : k + 2], 16) for k in (1, 3, 5)] for colour in SERIES])
    apart = np.abs(values[:, None] - values[None]).max(2)
    assert apart[~np.eye(len(SERIES), dtype=bool)].min() > 51


# ---- progress


class Handle:
    def __init__(self) -> None:
        self.shown: list[dict[str, str]] = []

    def update(self, data: dict[str, str], *, raw: bool) -> None:
        assert raw
        self.shown.append(data)


@pytest.fixture
def notebook(monkeypatch: pytest.MonkeyPatch) -> list[Handle]:
    """A kernel's IPython, as far as it is used: every output with all that it showed."""
    outputs: list[Handle] = []

    def display(data: dict[str, str], *, raw: bool, display_id: bool = False) -> Handle | None:
        assert raw
        outputs.append(Handle())
        outputs[-1].shown.append(data)
        return outputs[-1] if display_id else None

    ipython = types.ModuleType("IPython")
    ipython.get_ipython = lambda: types.SimpleNamespace(kernel=object())  # type: ignore[attr-defined]
    shown = types.ModuleType("IPython.display")
    shown.display = display  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "IPython", ipython)
    monkeypatch.setitem(sys.modules, "IPython.display", shown)
    return outputs


def test_a_notebook_has_one_bar_drawn_in_place(notebook: list[Handle], capsys: pytest.CaptureFixture[str]) -> None:
    show = reporter(True)
    show(Event("prepare", 0, 0, 0.0, message=f"reading {EVIL}"))
    show(Event("start", 0, 1000, 0.0))
    for step in range(1, 1001):
        show(Event("log", step, 1000, step / 100, {"critic_loss": 0.5}))
    show(Event("alarm", 1000, 1000, 10.0, message=QUOTED))
    show(Event("checkpoint", 1000, 1000, 10.0))
    show(Event("end", 1000, 1000, 10.0, message="stopped"))
    assert len(notebook) == 2  # what it does first, and the bar
    bar = notebook[1].shown
    assert len(bar) < 20  # a thousand records in no time are not drawn one by one
    last = bar[-1]["text/html"]
    assert 'value="1000" max="1000"' in last
    assert "step 1,000 of 1,000  10 s  critic 0.5" in last
    assert "left" not in last
    assert "stopped" in last
    assert "alarm at step 1,000: " in Card(last).shown
    assert "<img" not in last
    assert EVIL not in notebook[0].shown[0]["text/html"]
    assert bar[-1]["text/plain"].splitlines()[-1] == "stopped"
    assert capsys.readouterr() == ("", "")


def test_the_time_left(notebook: list[Handle]) -> None:
    """Of a run that was resumed at step 500 after 100 s: 100 steps in 10 s, 400 to go."""
    show = reporter(True)
    show(Event("start", 500, 1000, 100.0))
    show(Event("log", 600, 1000, 110.0, {}))
    assert "110 s, 40 s left" in notebook[0].shown[-1]["text/plain"]


def test_a_fit_in_a_notebook(notebook: list[Handle], capsys: pytest.CaptureFixture[str]) -> None:
    models.GAN(steps=2, batch_size=8, width=8, depth=1, device="cpu").fit(points(20, 2))
    models.Gaussian().fit(points(20, 2))
    assert [len(one.shown) > 1 for one in notebook] == [False, True, False]
    assert "step 2 of 2" in notebook[1].shown[-1]["text/plain"]
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize("shell", [None, types.SimpleNamespace(kernel=None), types.SimpleNamespace()])
def test_elsewhere_lines_are_plain(
    shell: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """IPython in a terminal or under a script is no notebook; and False is silence anywhere."""
    ipython = types.ModuleType("IPython")
    ipython.get_ipython = lambda: shell  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "IPython", ipython)
    for progress in (True, False):
        show = reporter(progress)
        show(Event("start", 0, 100, 0.0))
        for step in range(1, 101):
            show(Event("log", step, 100, 1.0, {"gap": 0.1}))
        show(Event("end", 100, 100, 1.0, message="the end"))
        lines = capsys.readouterr().err.splitlines()
        assert len(lines) == (21 if progress else 0)


# ---- lightness


def test_nothing_is_loaded_before_it_is_shown() -> None:
    """`import pushforward` and `import pushforward.report` load neither torch nor Altair nor the pages."""
    code = (
        "import sys, pushforward, pushforward.report\n"
        "heavy = {'torch', 'altair', 'jinja2', 'polars', 'vl_convert', 'pushforward.evaluation', 'IPython'}\n"
        "sys.exit(' '.join(heavy & set(sys.modules)) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
    assert "plot" in dir(sys.modules["pushforward.report"])
