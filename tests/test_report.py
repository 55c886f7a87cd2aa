"""The page: self-contained, escaped, readable by machines for people; the sheet."""

from __future__ import annotations

import base64
import dataclasses
import hashlib
import re
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch

from pushforward.data import sources
from pushforward.data.dataset import Dataset
from pushforward.errors import InputError
from pushforward.evaluation import Comparison, compare
from pushforward.report import write_sheet

EVIL = "<script>alert(1)</script>"
EVIL_VALUE = "\"><img src=x onerror='alert(2)'>{{ 7*7 }}"
VOID = {"meta", "img", "br", "link", "input", "hr"}


class Page(HTMLParser):
    """Every tag with its attributes, the ids, the text, and whether tags close in order."""

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


def evil_table(seed: int) -> Dataset:
    rng = np.random.default_rng(seed)
    n = 150
    frame = {
        EVIL: rng.normal(size=n),
        "b|<b>bold</b>": np.where(rng.random(n) < 0.5, EVIL_VALUE, "plain"),
        "`c` ]]>": rng.integers(0, 4, n),
        "day": np.datetime64("2024-01-01") + rng.integers(0, 90, n).astype("timedelta64[D]"),
        "</style></svg>": [None if v < -1 else v for v in rng.normal(size=n).tolist()],
    }
    return Dataset("table", pl.DataFrame(frame), f"{EVIL}.csv", made_by={"model": EVIL, "more": {"a": 1}})


@pytest.fixture(scope="module")
def evil() -> Comparison:
    return compare(evil_table(0), evil_table(1), train=evil_table(2))


@pytest.fixture(scope="module")
def pages(evil: Comparison) -> dict[str, str]:
    digits = sources.read("sample:digits")
    rng = np.random.default_rng(0)
    images = compare(digits.take(torch.arange(200)), digits.take(torch.arange(200, 400)))
    points = compare(rng.normal(size=(100, 1)), rng.normal(size=(100, 1)), train=rng.normal(size=(200, 1)))
    return {name: result.to_html() for name, result in (("table", evil), ("images", images), ("points", points))}


def test_the_page_is_self_contained(pages: dict[str, str]) -> None:
    """No style sheet, font, script or picture from elsewhere, and a policy that would forbid them: it admits the one
    script of the page by its hash."""
    for text in pages.values():
        page = Page(text)
        names = [tag for tag, _ in page.tags]
        assert not set(names) & {"link", "iframe", "object", "embed", "base", "form"}
        assert [attributes for tag, attributes in page.tags if tag == "script"] == [{}]
        (script,) = re.findall(r"<script>(.*)</script>", text, re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
        assert f"script-src 'sha256-{digest}'" in text
        assert "unsafe-eval" not in text
        for tag, attributes in page.tags:
            assert not any(name.startswith("on") for name in attributes), (tag, attributes)
            for name in ("src", "href", "xlink:href", "srcset", "action", "data"):
                value = attributes.get(name)
                assert value is None or value.startswith(("data:image/png;base64,", "#")), (tag, name, value)
        assert "default-src 'none'" in text
        assert not re.findall(r"https?://(?!www\.w3\.org/)", text)
        assert "@import" not in text
        assert not re.findall(r"url\((?!#)", text)


def test_user_text_is_escaped(evil: Comparison, pages: dict[str, str]) -> None:
    text = pages["table"]
    assert EVIL not in text
    assert "<img src=x" not in text
    assert "<b>bold" not in text
    page = Page(text)
    shown = "".join(page.text)
    assert EVIL in shown  # as text it is there: the column's name
    assert "{{ 7*7 }}" in shown
    assert text.count("</style>") == 1
    markdown = evil.to_markdown()
    assert "<script" not in markdown
    assert "b\\|&lt;b>bold" in markdown


def test_pages_are_small(pages: dict[str, str]) -> None:
    for name, text in pages.items():
        assert len(text) < 1_200_000, name


def test_the_saved_result_makes_the_same_page(evil: Comparison, pages: dict[str, str], tmp_path: Path) -> None:
    evil.to_json(tmp_path / "r.json")
    again = Comparison.from_json(tmp_path / "r.json")
    again.to_html(tmp_path / "r.html")
    assert (tmp_path / "r.html").read_text(encoding="utf-8") == pages["table"]


def test_the_page_can_be_read_aloud(pages: dict[str, str]) -> None:
    for text in pages.values():
        page = Page(text)
        assert page.tags[0] == ("html", {"lang": "en"})
        headings = [int(tag[1]) for tag, _ in page.tags if re.fullmatch(r"h[1-6]", tag)]
        assert headings[0] == 1
        assert headings.count(1) == 1
        assert all(b - a <= 1 for a, b in pairwise(headings))
        for tag, attributes in page.tags:
            if tag == "svg":
                assert attributes.get("role") == "img"
                assert attributes.get("aria-label")
            if tag == "img":
                assert attributes.get("alt")
        ids = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
        assert len(ids) == len(set(ids))
        targets = {str(a["href"])[1:] for tag, a in page.tags if tag == "a"}
        assert targets <= set(ids)
        assert "prefers-color-scheme: dark" in text
        assert "@media print" in text


def test_the_verdict_and_every_figure_are_on_the_page(evil: Comparison, pages: dict[str, str]) -> None:
    shown = "".join(Page(pages["table"]).text)
    assert evil.verdict.sentence in shown
    for metric in evil.metrics:
        assert metric.name in shown
    for column in evil.columns:
        assert column.name in shown
    assert evil.copies.note in shown
    assert "not given" in shown  # the holdout


def test_marks_have_tooltips(pages: dict[str, str]) -> None:
    assert re.search(r"<title>[^<]*: real \d+\.\d\d%, fake \d+\.\d\d%</title>", pages["table"])
    assert "pass for real</title>" in pages["table"]


def test_sheet(tmp_path: Path) -> None:
    from PIL import Image

    digits = sources.read("sample:digits")
    path = tmp_path / "sheet.png"
    write_sheet(digits, path, made_by={"model": "gan"}, count=30, columns=10)
    with Image.open(path) as picture:
        assert picture.size == (10 * 34 + 2, 3 * 34 + 2)  # 8 pixels, four times as large, and gaps
        assert '"gan"' in picture.info["pushforward"]
        assert picture.mode == "L"
    tall = dataclasses.replace(digits, values=digits.values[:3].expand(3, 3, 8, 8))
    write_sheet(tall, path)
    with Image.open(path) as picture:
        assert picture.mode == "RGB"
        assert "pushforward" not in picture.info
    with pytest.raises(InputError, match="only images"):
        write_sheet(sources.read("toy:ring:20"), path)
