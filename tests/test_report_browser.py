"""The pages in a real browser: they load with the network cut, draw, sort, filter and fit a phone.

Needs a Chromium on the path (Debian's `chromium` will do); without one these tests are skipped.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch

from pushforward.data import sources
from pushforward.data.dataset import Dataset
from pushforward.evaluation import compare, leaderboard

CHROMIUM = next(
    (found for name in ("chromium", "chromium-browser", "google-chrome") if (found := shutil.which(name))), None
)
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on the path")

PHONE, DESK = {"width": 375, "height": 800}, {"width": 1440, "height": 1000}


def table(seed: int, moved: float = 0.0) -> Dataset:
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(400, 10))
    x[:, 3] += moved
    frame = pl.DataFrame({f"column number {j} with a long name": x[:, j] for j in range(10)})
    return Dataset("table", frame.with_columns(kind=pl.Series(rng.choice(["a", "b", "c"], 400))), f"table {seed}")


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("pages")
    paths = {name: folder / f"{name}.html" for name in ("table", "images", "board")}
    earlier = compare(table(0), table(1), train=table(2))
    compare(table(0), table(1, moved=1.0), train=table(2), against=earlier).to_html(paths["table"])
    digits = sources.read("sample:digits")
    parts = [digits.take(torch.arange(200 * k, 200 * (k + 1))) for k in range(3)]
    compare(parts[0], parts[1], train=parts[2]).to_html(paths["images"])
    leaderboard(table(0), {"good": table(1), "moved": table(3, moved=1.0)}).to_html(paths["board"])
    return paths


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    sync = pytest.importorskip("playwright.sync_api")
    with sync.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def opened(browser: Any, pages: dict[str, Path]) -> Iterator[Any]:
    """`opened(name, size, **settings)`: the page, loaded offline; at the end nothing was asked for or complained of."""
    contexts: list[Any] = []
    troubles: list[str] = []

    def visit(name: str, size: dict[str, int] = DESK, **settings: Any) -> Any:
        context = browser.new_context(viewport=size, offline=True, **settings)
        contexts.append(context)
        page = context.new_page()
        page.on(
            "console", lambda message: troubles.append(message.text) if message.type in ("error", "warning") else None
        )
        page.on("pageerror", lambda error: troubles.append(str(error)))
        own = pages[name].as_uri()
        page.on(
            "request",
            lambda request: (
                troubles.append(request.url)
                if request.url.split("#")[0] != own and not request.url.startswith("data:")
                else None
            ),
        )
        page.goto(own)
        return page

    yield visit
    for context in contexts:
        context.close()
    assert troubles == []


@pytest.mark.parametrize("name", ["table", "images", "board"])
@pytest.mark.parametrize("size", [PHONE, DESK], ids=["phone", "desk"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_page_fits_its_window_and_draws(opened: Any, name: str, size: dict[str, int], scheme: str) -> None:
    page = opened(name, size, color_scheme=scheme)
    assert page.evaluate("document.documentElement.scrollWidth") <= size["width"]
    empty = "els => els.filter(e => { const r = e.getBoundingClientRect(); return !r.width || !r.height; }).length"
    assert page.locator("main svg[role=img]:visible").count() > 0
    assert page.locator("main svg[role=img]:visible").evaluate_all(empty) == 0
    if name != "board":
        assert page.locator("main svg path:visible").count() > 0
    paper = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (sum(int(part) for part in paper[4:-1].split(",")) > 380) == (scheme == "light")


def names(page: Any) -> list[str]:
    found: list[str] = page.locator("#columns table.sortable tbody tr:visible td.name").all_inner_texts()
    return found


def test_tables_sort_by_mouse_and_keyboard(opened: Any) -> None:
    page = opened("table")
    first = names(page)
    assert first[0] == "column number 3 with a long name"  # the one that was moved
    button = page.locator("#columns table.sortable th button", has_text="distance")
    button.click()
    assert page.locator("#columns th[aria-sort=ascending]").count() == 1
    assert names(page)[-1] == first[0]
    button.focus()
    page.keyboard.press("Enter")
    assert page.locator("#columns th[aria-sort=descending]").count() == 1
    assert names(page)[0] == first[0]
    page.locator("#columns table.sortable th button", has_text="column").first.click()
    assert names(page) == sorted(first)


def test_tables_filter(opened: Any) -> None:
    page = opened("table")
    box = page.locator("#columns .filter input")
    box.fill("number 7")
    assert names(page) == ["column number 7 with a long name"]
    assert "1 of 11" in page.locator("#columns .filter").inner_text()
    box.fill("")
    assert len(names(page)) == 11


def test_what_was_planted_stands_on_the_first_screen(opened: Any) -> None:
    page = opened("table")
    finding = page.locator(".findings li", has_text="column number 3")
    assert finding.is_visible()
    assert finding.bounding_box()["y"] < DESK["height"]
    assert page.locator("#history tbody tr", has_text="auc").is_visible()


def test_explanations_open(opened: Any) -> None:
    page = opened("table", PHONE)
    text = page.locator("#columns details.how p").first
    assert not text.is_visible()
    page.locator("#columns details.how summary").first.click()
    assert text.is_visible()


def test_the_printed_page_has_no_controls(opened: Any) -> None:
    page = opened("table")
    page.emulate_media(media="print")
    assert not page.locator("nav").is_visible()
    assert page.locator(".filter:visible").count() == 0
    assert page.locator("#columns table").first.is_visible()
