"""The page of a run: pictures that show what is there, in a page that stands alone."""

from __future__ import annotations

import base64
import dataclasses
import hashlib
import io
import json
import re
import shutil
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch
from torch import Tensor, nn

from pushforward.cli.app import run as command
from pushforward.data import sources
from pushforward.data.codec import fit_codec
from pushforward.data.dataset import Dataset
from pushforward.errors import InputError
from pushforward.models import GAN
from pushforward.report import run_fragment, run_page
from pushforward.report.pictures import View, pictures_of, sheets, training
from pushforward.report.pictures.conditioned import Level, real_at
from pushforward.report.pictures.drawing import cloud
from pushforward.report.pictures.latent import ranked
from pushforward.report.pictures.mirrored import errors
from pushforward.report.pictures.parts import Picture, Section
from pushforward.report.pictures.view import axes_of, chosen
from pushforward.training.diagnostics.alarms import Alarm

EVIL = "<script>alert(1)</script>"
VOID = {"meta", "img", "br", "link", "input", "hr"}


class Page(HTMLParser):
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


class Linear(nn.Module):
    """y = z W, for which reaches are known; `conditions` may stand at the end of z."""

    def __init__(self, weights: Tensor) -> None:
        super().__init__()
        self.weights = nn.Parameter(weights)

    def noise(self, n: int, *, generator: torch.Generator) -> Tensor:
        return torch.randn(n, len(self.weights), generator=generator)

    def forward(self, z: Tensor) -> Tensor:
        return z @ self.weights


class Known:
    """A model that does what a test says it does: what it can do is which of these methods it has."""

    def __init__(self, data: Dataset, **methods: Any) -> None:
        self.codec_ = fit_codec(data)
        self.data_ = {"rows": len(data)}
        self.id_, self.seed = "0" * 16, 0
        for name, method in methods.items():
            setattr(self, name, method)

    def get_params(self) -> dict[str, Any]:
        return {"seed": 0}


def points(n: int, d: int = 2, seed: int = 0) -> Dataset:
    return Dataset("points", torch.from_numpy(np.random.default_rng(seed).normal(size=(n, d))), f"points {seed}")


def table(n: int, seed: int) -> Dataset:
    rng = np.random.default_rng(seed)
    size = rng.normal(size=n)
    frame = {EVIL: size, "b|<b>": np.where(rng.random(n) < 0.5, '"><img src=x>', "plain"), "twice": 2 * size}
    return Dataset("table", pl.DataFrame(frame), f"{EVIL}.csv")


def titles(found: tuple[Section, ...]) -> dict[str, list[str]]:
    return {section.name: [picture.title for picture in section.pictures] for section in found}


def all_pictures(found: tuple[Section, ...]) -> list[Picture]:
    return [picture for section in found for picture in section.pictures]


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A few steps on data of each kind, in folders, with rows held out as the command line keeps them."""
    folder = tmp_path_factory.mktemp("runs")
    digits = sources.read("sample:digits").take(torch.arange(200))
    made = {"images": digits, "points": points(200), "table": table(200, 0)}
    small: dict[str, Any] = {"steps": 2, "batch_size": 8, "width": 8, "depth": 1, "noise_size": 2, "device": "cpu"}
    for kind, data in made.items():
        GAN(**small).fit(data, out=folder / kind, progress=False)
    held = {"images": "zip", "points": "npy", "table": "parquet"}
    for kind, data in made.items():
        where = folder / kind / "data" / f"holdout.{held[kind]}"
        sources.write(data.take(torch.arange(40)), where, made_by={"part": "holdout"}, synthetic=False)
    return {kind: folder / kind for kind in made}


@pytest.fixture(scope="module")
def pages(runs: dict[str, Path]) -> dict[str, str]:
    return {kind: run_page(path) for kind, path in runs.items()}


# ---- the page


def test_the_page_stands_alone(pages: dict[str, str]) -> None:
    for text in pages.values():
        page = Page(text)
        (script,) = re.findall(r"<script>(.*)</script>", text, re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
        assert f"script-src 'sha256-{digest}'" in text
        assert "default-src 'none'" in text
        assert not {tag for tag, _ in page.tags} & {"link", "iframe", "object", "embed", "base", "form"}
        for tag, attributes in page.tags:
            assert not any(name.startswith("on") for name in attributes), (tag, attributes)
            for name in ("src", "href", "xlink:href", "srcset"):
                value = attributes.get(name)
                assert value is None or value.startswith(("data:image/png;base64,", "#")), (tag, name, value)
        assert not re.findall(r"https?://(?!www\.w3\.org/)", text)
        assert not re.findall(r"url\((?!#)", text)
        assert len(text) < 2_000_000


def test_text_of_the_user_is_escaped(pages: dict[str, str]) -> None:
    text = pages["table"]
    assert EVIL not in text
    assert "<img src=x" not in text
    assert EVIL in Page(text).shown  # as text it is there: a column's name


def test_the_page_can_be_read_aloud(pages: dict[str, str]) -> None:
    for text in pages.values():
        page = Page(text)
        headings = [int(tag[1]) for tag, _ in page.tags if re.fullmatch(r"h[1-6]", tag)]
        assert headings[0] == 1
        assert all(b - a <= 1 for a, b in pairwise(headings))
        assert all(attributes.get("aria-label") for tag, attributes in page.tags if tag == "svg")
        assert all(attributes.get("alt") for tag, attributes in page.tags if tag == "img")
        ids = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
        assert len(ids) == len(set(ids))
        assert {str(a["href"])[1:] for tag, a in page.tags if tag == "a"} <= set(ids)


def test_a_notebook_shows_a_model(runs: dict[str, Path]) -> None:
    for kind, run in runs.items():
        text = run_fragment(GAN.load(run))
        assert "<script" not in text
        assert "GAN learned to draw" in Page(text).shown
        assert ("data:image/png;base64," in text) == (kind == "images")
        assert text.count("<tr>") == (0 if kind == "images" else 6)


def test_what_it_is_and_how_it_went(runs: dict[str, Path], pages: dict[str, str]) -> None:
    shown = Page(pages["images"]).shown
    assert "GAN learned to draw images like the 200 of sample:digits: 2 steps" in shown
    assert "rows held out of training" in shown
    assert f"pushforward sample {runs['images']}" in shown
    weights = sum(p.numel() for p in GAN.load(runs["images"]).generator_.parameters())
    assert f"generator of {weights:,} weights" in shown
    assert "Losses" in shown


@pytest.mark.skipif(shutil.which("chromium") is None, reason="no Chromium on the path")
def test_it_fits_a_phone_in_the_dark(pages: dict[str, str], tmp_path: Path) -> None:
    sync = pytest.importorskip("playwright.sync_api")
    with sync.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        for name, text in pages.items():
            (tmp_path / "page.html").write_text(text, encoding="utf-8")
            page = browser.new_page(viewport={"width": 375, "height": 800}, color_scheme="dark")
            page.goto((tmp_path / "page.html").as_uri())
            assert page.evaluate("document.documentElement.scrollWidth") <= 375, name
            bright = page.evaluate("getComputedStyle(document.body).backgroundColor")
            assert sum(int(part) for part in bright[4:-1].split(",")) < 380
            page.close()
        browser.close()


# ---- what is drawn follows from what the model can do


def test_sections_follow_from_methods() -> None:
    data = points(60)
    only = Known(data, sample=None, sample_dataset=lambda n, seed: points(n, seed=seed))
    assert titles(pictures_of(View(only))) == {}  # `sample` is no method here
    only.sample = lambda n: None
    assert titles(pictures_of(View(only))) == {"samples": ["Scatter", "Coordinates one by one"]}
    both = Known(data, encode=lambda x: x.values.numpy(), reconstruct=lambda x: x.values)
    assert list(titles(pictures_of(View(both)))) == []  # nothing to encode
    found = pictures_of(View(both, data, "rows"))
    assert titles(found) == {"reconstruction": ["Pairs"], "latent": ["Latent map"]}
    with_generator = Known(data, generator_=Linear(torch.eye(2)), encode=lambda x: x.values.numpy())
    assert titles(pictures_of(View(with_generator, data, "rows"))) == {"latent": ["Traversals", "Latent map"]}
    there = Known(data, translate=lambda x, to: x.values + (1 if to == "B" else -1))
    found = pictures_of(View(there, data, "rows", other=data))
    assert titles(found) == {"translation": ["From A to B, and back", "From B to A, and back"]}
    assert all(": 0" in picture.lead and "so 0% of chance" in picture.lead for picture in all_pictures(found))


@pytest.mark.parametrize("kind", ["images", "points", "table"])
def test_every_kind_is_mirrored_and_translated(kind: str) -> None:
    data = {"images": sources.read("sample:digits"), "points": points(40, d=4), "table": table(40, 0)}[kind]
    data = data.take(torch.arange(40))
    model = Known(data, reconstruct=lambda x: x, translate=lambda x, to: x)
    found = pictures_of(View(model, data, "rows held out", other=data))
    assert list(titles(found)) == ["reconstruction", "translation"]
    assert "error over 40 rows held out: 0;" in all_pictures(found)[0].lead
    for picture in all_pictures(found):
        assert picture.reads.endswith(".")
        assert picture.reads.count(". ") == 0  # one sentence


def test_a_conditional_model_is_drawn_level_by_level() -> None:
    data = points(120)
    labels = np.where(data.values[:, 0].numpy() > 0, "right", "left")
    small: dict[str, Any] = {"steps": 2, "batch_size": 8, "width": 8, "depth": 1, "device": "cpu"}
    model = GAN(**small).fit(data, given=labels, progress=False)
    found = {section.name: section for section in pictures_of(View(model, data, "rows"))}
    (picture,) = found["conditional"].pictures
    assert picture.title == "By label"
    assert [chart.caption for chart in picture.body.items] == ["label = left", "label = right"]
    traversed = found["latent"].pictures[0].body.items
    assert {chart.caption for chart in traversed} == {"z0", "z1"}  # what is given is no direction of the noise


def test_a_model_that_goes_one_way_is_held_against_true_counterparts() -> None:
    def there(rows: Dataset, to: str) -> Tensor:
        if to == "A":
            raise InputError("only to B")
        return rows.values + 1

    data = points(80)
    true = dataclasses.replace(data, values=data.values + 1)
    (section,) = pictures_of(View(Known(data, translate=there), data, "rows", other=true))
    (picture,) = section.pictures
    assert picture.title == "From A to B"
    assert "to their true counterparts in B: 0;" in picture.lead


@pytest.mark.parametrize("kind", ["images", "points", "table"])
def test_holes_are_shown_and_filled(kind: str) -> None:
    """A model that fills holes with the truth: no difference; what it was given had holes in every row."""
    data = {"images": sources.read("sample:digits"), "points": points(40, d=3), "table": table(40, 0)}[kind]
    data = data.take(torch.arange(30))
    seen: list[Any] = []

    def fill(rows: Any, seed: int) -> Any:
        seen.append(rows)
        truth = chosen(data, 30, 0)
        return truth.take(torch.arange(len(rows[0] if kind == "images" else rows)))

    (section,) = pictures_of(View(Known(data, fill=fill), data, "rows"))
    assert section.pictures[0].lead.startswith("Root mean square difference from the truth, over all cells: 0;")
    if kind == "images":
        hidden = seen[0][1]
        assert bool(hidden.flatten(1).any(1).all())
    elif kind == "points":
        assert np.isnan(seen[0]).any(1).all()
    else:
        nulls = seen[0].values.select(pl.all().is_null()).to_numpy()
        assert nulls.any(1).all()
        assert not nulls.all(1).any()


def test_real_rows_of_a_level_are_a_random_part_of_them() -> None:
    """Rows in order of size: the part shown of a level must not be its first ones. The mean of 1,500 of 3,000 uniform
    numbers is within .06 of .5 but for a chance of 1e-15 (8 standard errors of .0053); of the first ones it is .25."""
    size = np.linspace(0, 1, 3000)
    data = Dataset("table", pl.DataFrame({"kind": ["a"] * 3000 + ["b"] * 100, "size": [*size, *[5.0] * 100]}))
    found = real_at(View(Known(data), data), "kind", Level("a", "a", True))
    assert found is not None
    assert set(found.values["kind"]) == {"a"}
    assert abs(found.values["size"].mean() - 0.5) < 0.06
    near = real_at(View(Known(data), data), "size", Level(0.5, "0.5", False))
    assert near is not None
    assert near.values["size"].min() > 0.45
    assert near.values["size"].max() < 0.55


def test_a_law_in_closed_form_has_a_page() -> None:
    from pushforward.models import Gaussian

    page = Page(run_page(Gaussian().fit(points(50), progress=False)))
    assert "Gaussian was fitted in closed form to 50 points" in page.shown
    assert "How it trained" not in page.shown


# ---- figures with a known answer


def test_reach_is_that_of_a_linear_generator() -> None:
    """|G(z; high) - G(z; low)| = 2 q |w_j| for all z, and E|G(z) - G(z')|^2 = 2 sum w^2; so within a third."""
    weights = torch.diag(torch.tensor([1.0, 0.0, 3.0]))
    data = points(50, d=3)
    view = View(Known(data, generator_=Linear(weights)))
    found = {axis.name: reach for axis, reach in ranked(view)}
    assert list(found) == ["z2", "z0", "z1"]
    assert found["z1"] == pytest.approx(0, abs=1e-6)
    assert found["z2"] / found["z0"] == pytest.approx(3, rel=1e-4)
    assert found["z2"] == pytest.approx(2 * 2.326 * 3 / np.sqrt(2 * 10), rel=1 / 3)


def test_axes_have_the_laws_of_the_noise() -> None:
    axes = axes_of((("normal", 2), ("onehot", 3), ("symmetric", 1), ("uniform", 1)), coded=True)
    assert [axis.name for axis in axes] == ["z0", "z1", "c1", "u1", "v6"]
    assert [axis.code for axis in axes] == [False, False, True, True, False]
    z = torch.zeros(2, 7)
    moved = axes[2].apply(z)
    assert moved.shape == (3, 2, 7)
    assert torch.equal(moved[:, 0, 2:5], torch.eye(3))
    assert float(moved.sum()) == 6  # nothing else moved
    assert float(axes[4].values.min()) >= 0
    assert float(axes[4].values.max()) <= 1


def test_the_error_of_a_reconstruction() -> None:
    data = sources.read("sample:digits").take(torch.arange(30))
    assert errors(data, data)[0] == 0
    zeros = dataclasses.replace(data, values=torch.zeros_like(data.values))
    mine, chance = errors(data, zeros)
    assert mine == pytest.approx(float((data.values.double() / 255).square().mean().sqrt()))
    assert 0.1 < chance < mine * 2


def test_a_sheet_has_every_image_in_its_place() -> None:
    from PIL import Image

    images = torch.arange(6, dtype=torch.uint8)[:, None, None, None].expand(6, 1, 8, 8) * 40
    made = sheets.sheet(images, 3, "six", side=8)
    with Image.open(io.BytesIO(base64.b64decode(made.uri.partition(",")[2]))) as picture:
        assert picture.mode == "LA"
        assert picture.size == (3 * 8 + 2, 2 * 8 + 1)
        assert [picture.getpixel((9 * k + 4, 4)) for k in range(3)] == [(0, 255), (40, 255), (80, 255)]
        assert [picture.getpixel((9 * k + 4, 13)) for k in range(3)] == [(120, 255), (160, 255), (200, 255)]
        assert picture.getpixel((8, 4))[1] == 0  # the gap is transparent


def test_large_images_are_shrunk_so_that_the_page_stays_small() -> None:
    """Noise, which no PNG compresses, of 3 x 128 x 128: a sheet of all tiles of a page stays under its share."""
    noise = torch.randint(0, 256, (30, 3, 128, 128), generator=torch.Generator().manual_seed(0)).to(torch.uint8)
    side = sheets.side_of(noise)
    one = len(sheets.sheet(noise, 30, "noise", side=side).uri) / 30
    assert one * sheets.TILES < 1_700_000
    assert sheets.side_of(torch.zeros(30, 3, 64, 64, dtype=torch.uint8)) == 64


def test_a_scatter_draws_every_point_once() -> None:
    rows = np.random.default_rng(0).normal(size=(57, 2)).tolist()
    svg = cloud({"a": rows[:30], "b": rows[30:]}, ["red", "blue"], label="points", axes=["x", "y"])
    assert svg.count("<circle") == 57
    assert re.search(r'<g fill="red"[^>]*>(<circle[^>]*/>){30}</g>', svg)
    assert len(svg) < 57 * 60 + 12_000
    assert svg == cloud({"a": rows[:30], "b": rows[30:]}, ["red", "blue"], label="points", axes=["x", "y"])


# ---- the history


def records(n: int) -> list[dict[str, Any]]:
    return [{"step": k + 1, "critic_loss": 1 / (k + 1), "generator_loss": 0.5, "seconds": 0.1 * k} for k in range(n)]


def test_curves_of_the_history() -> None:
    history = records(500)
    history[3]["critic_loss"] = float("nan")
    history[5] |= {"new_figure": 2.0}
    history[9] |= {"new_figure": 3.0, "judge": "trees"}
    section = training.training(history, [Alarm("oscillation", 200, "it swings", "slow down")], ("generator_loss",))
    assert section is not None
    charts = {chart.caption: chart for picture in section.pictures for chart in picture.body.items}
    assert "it swings; slow down" in charts["Losses"].svg
    assert "it swings" not in charts["new figure"].svg
    assert "NaN" not in charts["Losses"].svg
    assert "judge" not in charts
    assert training.CHARGED in charts
    assert training.training(records(1), [], ()) is None


def test_thinned_points_keep_the_mean_and_the_last_step() -> None:
    kept = training._points(records(1000), "critic_loss")
    assert len(kept) <= training.MOST_POINTS
    assert kept[-1][0] == 1000
    assert kept[0][1] == pytest.approx(np.mean([1 / (k + 1) for k in range(5)]))


@pytest.fixture(scope="module")
def cut(runs: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that was cut short before it had saved weights."""
    run = tmp_path_factory.mktemp("cut") / "run"
    shutil.copytree(runs["points"], run)
    (run / "weights.safetensors").unlink()
    saved = json.loads((run / "model.json").read_text())
    saved["run"] |= {"status": "training", "step": 0}
    (run / "model.json").write_text(json.dumps(saved | {"weights": None}))
    return run


def test_a_run_without_weights_shows_its_history(cut: Path) -> None:
    page = Page(run_page(cut))
    assert "no weights to draw from yet" in page.shown
    assert "step 2 of 2" in page.shown
    sections = [attributes["id"] for tag, attributes in page.tags if tag == "section"]
    assert sections == ["training", "made"]
    with pytest.raises(InputError, match="has no weights, so there is nothing to hold data against"):
        run_page(cut, data=points(20))


# ---- bad input, and the command


def test_data_of_another_form_is_refused(runs: dict[str, Path]) -> None:
    with pytest.raises(InputError, match=r"toy:moons:20 is points but what .*images was fitted on is images"):
        run_page(runs["images"], data="toy:moons:20")
    with pytest.raises(InputError, match="points of 3 coordinates"):
        run_page(runs["points"], data=points(20, d=3))
    with pytest.raises(InputError, match="2 sets of data are given, and GAN has 1 domain"):
        run_page(runs["points"], data=[points(20), points(20)])
    with pytest.raises(InputError, match="is not fitted yet"):
        run_page(GAN())


def test_the_command(runs: dict[str, Path], cut: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "run.html"
    run = str(runs["points"])
    assert command(["show", run, "--json"]) == 0
    before = capsys.readouterr().out
    assert command(["show", run, "--html", str(out), "--data", "toy:moons:50"]) == 0
    told = capsys.readouterr()
    assert told.out == ""
    assert "Wrote" in told.err
    assert "rows of toy:moons:50" in out.read_text()
    with pytest.raises(InputError, match="already exists; give --force"):
        command(["show", run, "--html", str(out)])
    with pytest.raises(InputError, match="is no run folder"):
        command(["show", str(out), "--html", str(tmp_path / "x.html")])
    with pytest.raises(InputError, match="give --html FILE too"):
        command(["show", run, "--data", "toy:moons:50"])
    assert command(["show", str(cut), "--html", str(out), "--force", "--json"]) == 0
    assert json.loads(capsys.readouterr().out).keys() == json.loads(before).keys()
    assert "no weights to draw from yet" in out.read_text()
