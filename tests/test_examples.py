"""Every script of the gallery runs, in a reduced setting, and leaves the one picture that it is named after."""

from __future__ import annotations

import ast
import re
import runpy
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[1] / "examples"
SCRIPTS = sorted(FOLDER.glob("*.py"))
REDUCED = re.compile(r"^([A-Z][A-Z_]*) = .+?  # (.+) in the tests$", re.MULTILINE)
MOST_LINES = 62


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
def test_a_script_leaves_its_picture(script: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from PIL import Image

    monkeypatch.chdir(tmp_path)
    reduced = tmp_path / "reduced.py"
    reduced.write_text(REDUCED.sub(r"\1 = \2", script.read_text(encoding="utf-8")), encoding="utf-8")
    runpy.run_path(str(reduced))
    reduced.unlink()
    left = sorted(path.name for path in tmp_path.iterdir())
    assert left in ([f"{script.stem}.png"], [f"{script.stem}.gif"])
    with Image.open(tmp_path / left[0]) as picture:
        assert picture.width >= 300
        assert picture.getextrema() not in (((255, 255),) * 3, (255, 255)), "an empty picture"


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
def test_a_script_is_short_and_says_what_it_shows(script: Path) -> None:
    text = script.read_text(encoding="utf-8")
    assert len(text.splitlines()) <= MOST_LINES
    told = ast.get_docstring(ast.parse(text))
    assert told is not None
    title, line, rest = told.split("\n", 2)
    assert set(line) == {"="}
    assert len(line) >= len(title)
    assert len(rest.split()) >= 20
    assert re.search(r"^# %%", text, re.MULTILINE)
