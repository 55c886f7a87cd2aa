"""The code blocks of README.md and docs/**/*.md run. Every page is one test, `-k "given"` picks docs/howto/given.md.

A page runs in an empty folder, its blocks in order, its `python` blocks in one namespace:

    python       executed. Nothing is predefined: a page imports and makes what it uses, as its reader must
    pycon        a session, `>>>`; what it prints is compared
    console      lines that begin with `$ ` are run, `\\` continues them. `pushforward` runs in this process and must
                 end with status 0; of `make` the target must exist, of `python FILE` the file; after `torchrun ... -m`
                 the words are parsed; `pip`, `git` and the like are left alone. Other lines are output, not compared
    json, toml   parsed. Blocks in any other language, or none, are not run; `bash` and its kin are refused

All is made quick (`quick`): training ends at `STEPS` steps whatever is asked for, and built-in data have `ROWS` rows.
So pages show real commands with real numbers, and nothing here depends on what was learned.

Comments that readers do not see, each a paragraph of its own, speak to this file:

    <!-- test: skip: REASON -->       the next block is not run; its commands and options must exist, its Python compile
    <!-- test: needs: NAMES -->       stand-ins are put there from here on: files (`FILES`), names of Python (`NAMES`)
    <!-- test: run
    PYTHON
    -->                               run here, in the page's namespace: to prepare, or to look at what a block left
    <!-- test: status: 1 -->          the exit status of the last command of the next block
    <!-- test: raises: InputError --> what the next Python block raises
    <!-- test: steps: 200 -->         STEPS, for the next block

Two pages are summaries whose lines do not follow one another (`SUMMARIES`): all stand-ins are there from the start, and
an output that is in a command's way is removed.
"""

from __future__ import annotations

import contextlib
import doctest
import glob
import importlib.util
import io
import json
import re
import shlex
import shutil
import sys
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
PAGES = [page for page in PAGES if not {"_build", "auto_examples"} & set(page.relative_to(ROOT).parts)]
SUMMARIES = ("README.md", "docs/models.md")
STEPS, ROWS, TREES = 10, 400, 10
PICTURE = '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 100 100" width="100" height="100"></svg>'

OPEN = re.compile(r"^(\s*)(`{3,}|~{3,})\s*(.*?)\s*$")
COMMENT = re.compile(r"^<!-- test: (\w+)(?::? ?(.*?))?(?: ?-->)?$")
REFUSED = ("bash", "sh", "shell", "shell-session", "zsh", "py", "python3", "ipython")
LEFT_ALONE = (
    "pip",
    "uv",
    "git",
    "ls",
    "cat",
    "open",
    "xdg-open",
    "export",
    "tensorboard",
    "unset",
    "curl",
    "nvidia-smi",
)

# Lines of the summaries that are not run, by how they begin, and why.
NOT_RUN = {
    "pushforward fit diamonds.csv --out run --until": "an auditor needs more rows; test_models_gan.py has one",
    "pushforward leaderboard diamonds.csv": "test_cli_leaderboard.py runs it",
    "pushforward compare real/ fake/ --encoder": "test_evaluation_encoders.py does",
    "pushforward encode-features real/ --encoder net.onnx": "needs a network from elsewhere",
    "pushforward compare real.csv fake.csv --train train.csv --suite full": "the full suite takes long",
    "pushforward compare real.csv a.csv b.csv c.csv": "test_cli_judging.py runs it",
    "pushforward sample run -n 1000 --refine": "docs/howto/refine.md does",
    "pushforward show run --html": "test_report_run.py does",
}


# ---- pages -> blocks


@dataclass
class Block:
    """A piece of a page that does something: a fenced block, or the Python of a comment (`language` "run")."""

    language: str
    text: str
    line: int  # of its first line in the page
    asked: dict[str, str] = field(default_factory=dict)


def blocks(page: Path) -> list[Block]:
    """The blocks of a page in order, each with what the comments before it ask."""
    lines = page.read_text(encoding="utf-8").split("\n")
    found: list[Block] = []
    asked: dict[str, str] = {}
    around: list[str] = []
    at = 0
    while at < len(lines):
        comment, fence = COMMENT.match(lines[at]), OPEN.match(lines[at])
        if comment:
            at, words = _comment(lines, at, comment, page)
            if words[0] == "run":
                found.append(Block("run", words[1], at + 1))
            elif words[0] == "needs":
                found.append(Block("needs", words[1], at + 1))
            else:
                assert words[0] in ("skip", "status", "raises", "steps"), f"{page}:{at + 1}: no such comment"
                asked[words[0]] = words[1]
        elif fence:
            indent, ticks, language = fence.groups()
            if around and ticks == around[-1] and not language:
                around.pop()
                at += 1
                continue
            if language.startswith("{") and len(ticks) > 3:  # a directive around other blocks
                around.append(ticks)
                at += 1
                continue
            end = next((i for i in range(at + 1, len(lines)) if lines[i].strip() == ticks), None)
            assert end is not None, f"{page}:{at + 1}: this block has no end"
            text = "\n".join(line.removeprefix(indent) for line in lines[at + 1 : end]) + "\n"
            found.append(Block(language.split()[0] if language else "", text, at + 2, asked))
            asked, at = {}, end
        at += 1
    assert not asked, f"{page}: a comment asks {asked} of no block"
    return found


def _comment(lines: list[str], at: int, found: re.Match[str], page: Path) -> tuple[int, tuple[str, str]]:
    """Where a comment ends, and what it says."""
    if lines[at].rstrip().endswith("-->"):
        return at, (found[1], found[2] or "")
    end = next((i for i in range(at + 1, len(lines)) if lines[i].strip() == "-->"), None)
    assert end is not None, f"{page}:{at + 1}: this comment has no line --> at its end"
    return end, (found[1], "\n".join(lines[at + 1 : end]) + "\n")


# ---- stand-ins


def _diamonds(rows: int = ROWS, seed: int = 0) -> pl.DataFrame:
    from pushforward.data import sources

    whole: pl.DataFrame = sources.read("sample:diamonds").values
    return whole.sample(min(rows, len(whole)), seed=seed, shuffle=True)


def _flights() -> pl.DataFrame:
    """Rows with times, categories and missing values."""
    rng = np.random.default_rng(0)
    minutes = rng.integers(0, 525_600, ROWS)
    delay = rng.normal(5, 20, ROWS).round()
    return pl.DataFrame(
        {
            "carrier": rng.choice(["AA", "B6", "DL", "UA"], ROWS),
            "origin": rng.choice(["EWR", "JFK", "LGA"], ROWS),
            "distance": rng.integers(80, 5000, ROWS),
            "dep_delay": [None if i % 9 == 0 else float(v) for i, v in enumerate(delay)],
            "arr_delay": [None if i % 7 == 0 else float(v) + 3 for i, v in enumerate(delay)],
            "time_hour": [f"2013-{1 + m // 43_801:02d}-{1 + m % 28:02d}T{m % 24:02d}:00:00" for m in minutes],
        }
    )


def _holes() -> pl.DataFrame:
    """Some flights, of which every third lacks its carrier too."""
    table = _flights().head(20)
    gone = [i % 3 == 0 for i in range(len(table))]
    return table.with_columns(pl.when(pl.Series(gone)).then(None).otherwise(pl.col("carrier")).alias("carrier"))


def _digits(n: int) -> tuple[np.ndarray, np.ndarray]:
    from sklearn.datasets import load_digits

    digits = load_digits()
    return np.rint(digits.images[:n] * (255 / 16)).astype(np.uint8), digits.target[:n]


def _folder(path: Path, *, first: int, classes: bool = False) -> None:
    from PIL import Image

    images, labels = _digits(240)
    for i, (image, label) in enumerate(zip(images, labels, strict=True)):
        if i % 3 == first:
            place = path / ("cat", "dog")[int(label) % 2] if classes else path
            place.mkdir(parents=True, exist_ok=True)
            Image.fromarray(image).save(place / f"{i}.png")


def _zip(path: Path) -> None:
    _folder(path.with_suffix(""), first=0)
    shutil.make_archive(str(path.with_suffix("")), "zip", path.with_suffix(""))
    shutil.rmtree(path.with_suffix(""))


def _normal(path: Path, *, seed: int, shift: float = 0.0) -> None:
    np.save(path, np.random.default_rng(seed).normal(shift, 1.0, (ROWS, 2)).astype(np.float32))


def _csv(path: Path, *, seed: int, rows: int = ROWS) -> None:
    _diamonds(rows, seed).write_csv(path)


FILES: Mapping[str, Callable[[Path], Any]] = {
    "diamonds.csv": partial(_csv, seed=0),
    "data.csv": partial(_csv, seed=0),
    "diamonds.parquet": lambda path: _diamonds().write_parquet(path),
    **{f"{name}.csv": partial(_csv, seed=i, rows=150) for i, name in enumerate(("real", "fake", "train", "holdout"))},
    **{f"{name}.csv": partial(_csv, seed=5 + i, rows=150) for i, name in enumerate("abc")},
    "flights.csv": lambda path: _flights().write_csv(path),
    "with_holes.csv": lambda path: _holes().write_csv(path),
    "points.npy": partial(_normal, seed=0),
    "real.npy": partial(_normal, seed=1),
    "fake.npy": partial(_normal, seed=2, shift=0.3),
    "photos": partial(_folder, first=0, classes=True),
    **{name: partial(_folder, first=i) for i, name in enumerate(("real", "fake", "new"))},
    **{name: partial(_folder, first=i) for i, name in enumerate(("drawn_by_a", "drawn_by_b"))},
    "real.zip": _zip,
    "digits.npz": lambda path: np.savez(path, images=_digits(ROWS)[0]),
    # what a run leaves, for the summaries
    "run/data/holdout.parquet": lambda path: _diamonds(150, seed=3).write_parquet(path),
    "run/data/train.parquet": lambda path: _diamonds(150, seed=2).write_parquet(path),
    "fake.parquet": lambda path: _diamonds(150, seed=1).write_parquet(path),
    "report.json": lambda path: _report(path),
}


def _report(path: Path) -> None:
    import pushforward as pf

    pf.compare(_diamonds(150, 0), _diamonds(150, 1)).to_json(path)


def _names() -> dict[str, Any]:
    """What pages may find in their namespace when they ask for it."""
    import torch

    from pushforward import models

    table, rng = _diamonds(), np.random.default_rng(0)
    points = rng.normal(size=(ROWS, 2)).astype(np.float32)
    images, labels = _digits(200)
    few = np.where(np.arange(len(labels)) % 10 == 0, labels, -1)
    x = torch.from_numpy(rng.normal(size=(200, 4)).astype(np.float32))
    generator, critic = _modules()
    return {
        "table": table, "train": table, "holdout": _diamonds(150, 3), "points": points, "data": points,
        "x0": points[:100] + 1, "x": x, "y": x + 0.1, "images": images, "more": images[:50], "more_images": images[:50],
        "labels": few, "my_generator": generator, "my_critic": critic,
        "rows_with_holes": _diamonds(20, 5).with_columns(pl.lit(None, pl.Int64).alias("price")),
        "lab_a": points, "lab_b": points @ [[0.0, 1.0], [-1.0, 0.0]], "left": points, "right": points[:, ::-1].copy(),
        "queries": points[:5], "among": points[:, ::-1].copy(),
        "model": models.GAN(steps=STEPS).fit(points, progress=False),
        "apart": models.several.apart,
    }  # fmt: skip


def _modules() -> tuple[Any, Any]:
    import torch

    from pushforward.nets import MLPCritic, MLPGenerator

    rng = torch.Generator().manual_seed(0)
    made = MLPGenerator((2,), noise_size=8, width=16, depth=1, generator=rng)
    return made, MLPCritic((2,), width=16, depth=1, generator=rng)


# ---- quick


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> dict[str, int]:
    """Training ends at `most["steps"]` steps, built-in data have `ROWS` rows, comparisons look at half as many with
    `TREES` trees, and charts in pages stay empty."""
    import torch
    import vl_convert
    from jaxtyping import config
    from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

    from pushforward.data import builtin, sources
    from pushforward.evaluation.job import SUITES
    from pushforward.models import setup
    from pushforward.models.diffusion import Distilled

    monkeypatch.setattr(config, "jaxtyping_disable", True)  # readers have no type checks: 120 does where 120.0 stands
    most = {"steps": STEPS}
    begin, read, known = setup.begin, sources.read_builtin, builtin.builtin_labels

    def short(model: Any, *words: Any, steps: int | None) -> Any:
        return begin(model, *words, steps=min(steps or model.steps or most["steps"], most["steps"]))

    def small(source: str) -> Any:
        data = read(source)
        return data if len(data) <= ROWS else data.take(torch.linspace(0, len(data) - 1, ROWS).long())

    def labels(source: str) -> Any:
        found = known(source)
        return found if found is None else found[np.linspace(0, len(found) - 1, ROWS).astype(int)]

    few = dict.fromkeys(("classifier_rows", "kernel_rows", "association_rows", "method_rows"), ROWS // 2)
    few |= dict.fromkeys(("copy_queries", "copy_rows"), ROWS // 2)
    for name, suite in SUITES.items():
        monkeypatch.setitem(SUITES, name, replace(suite, folds=2, halvings=2, permutations=199, **few))
    for boosted in (HistGradientBoostingClassifier, HistGradientBoostingRegressor):
        monkeypatch.setitem(boosted.__init__.__kwdefaults__, "max_iter", TREES)
    monkeypatch.setattr(vl_convert, "vegalite_to_svg", lambda spec: PICTURE)
    monkeypatch.setattr(setup, "begin", short)
    monkeypatch.setattr(sources, "read_builtin", small)
    monkeypatch.setattr(builtin, "builtin_labels", labels)
    monkeypatch.setitem(Distilled.__init__.__kwdefaults__, "warm_steps", STEPS)
    monkeypatch.setitem(Distilled.__init__.__kwdefaults__, "pairs", 64)
    return most


# ---- running


class Runner:
    """A page in a folder of its own."""

    def __init__(self, page: Path, folder: Path, most: dict[str, int], monkeypatch: pytest.MonkeyPatch) -> None:
        self.page, self.folder, self.most, self.monkeypatch = page, folder, most, monkeypatch
        self.summary = page.relative_to(ROOT).as_posix() in SUMMARIES
        self.names: dict[str, Any] = {"__name__": "page"}
        if self.summary:
            for name in FILES:
                self.put(name)
            self.names |= _names()

    def put(self, name: str) -> None:
        """Put a stand-in there."""
        if name in FILES:
            path = self.folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            FILES[name](path)
        else:
            found = _names()
            assert name in found, f"{self.page}: needs {name!r}, of which there is no stand-in"
            self.names[name] = found[name]

    def run(self, block: Block) -> None:
        """Run a block, or fail with its place."""
        self.most["steps"] = int(block.asked.get("steps", STEPS))
        where = f"{self.page.relative_to(ROOT)}:{block.line}"
        match block.language:
            case "needs":
                for name in block.text.split():
                    self.put(name.rstrip("/"))
            case "python" | "run":
                self.python(block, where)
            case "pycon":
                self.session(block, where)
            case "console":
                self.console(block, where)
            case "json":
                json.loads(block.text)
            case "toml":
                tomllib.loads(block.text)
            case other:
                assert other not in REFUSED, f"{where}: write `python` or `console`, not `{other}`"

    def python(self, block: Block, where: str) -> None:
        # blank lines put the block where it stands in the page, so that a traceback names its line
        code = compile("\n" * (block.line - 1) + block.text, str(self.page), "exec")
        if "skip" in block.asked:
            return
        if "raises" not in block.asked:
            exec(code, self.names)
            return
        with pytest.raises(Exception) as caught:  # noqa: PT011 - its name is compared
            exec(code, self.names)
        assert type(caught.value).__name__ == block.asked["raises"], where

    def session(self, block: Block, where: str) -> None:
        test = doctest.DocTestParser().get_doctest(block.text, self.names, where, str(self.page), block.line)
        if "skip" in block.asked:
            return
        said: list[str] = []
        runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE)
        failed = runner.run(test, out=said.append, clear_globs=False).failed
        self.names |= test.globs
        assert not failed, "".join(said)

    def console(self, block: Block, where: str) -> None:
        lines = commands(block.text)
        for number, line in enumerate(lines):
            status = int(block.asked.get("status", 0)) if number == len(lines) - 1 else 0
            self.command(line, f"{where}: $ {line}", status, skip="skip" in block.asked)

    def command(self, line: str, where: str, status: int, *, skip: bool) -> None:
        words = shlex.split(line, comments=True)
        while words and re.match(r"^[A-Z_]+=", words[0]):
            words = words[1:]
        if "pushforward" in words and words[0] in ("torchrun", "pushforward"):
            if self.summary and any(line.startswith(start) for start in NOT_RUN):
                skip = True
            if words[0] == "torchrun" or skip:
                parse(words[words.index("pushforward") + 1 :], where)
                return
            self.pushforward(words[1:], where, status)
        elif words[0] == "make":
            targets = re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
            missing = [word for word in words[1:] if "=" not in word and word not in targets]
            assert not missing, f"{where}: the Makefile has no {missing}"
        elif words[0] in ("python", "python3") and words[1].endswith(".py"):
            assert (ROOT / words[1]).exists() or (self.folder / words[1]).exists(), f"{where}: no such file"
        elif words[0] == "cd":
            if Path(words[1]).is_dir():
                self.monkeypatch.chdir(words[1])
        elif words[0] == "mkdir":
            Path(words[-1]).mkdir(parents=True, exist_ok=True)
        else:
            assert words[0] in (*LEFT_ALONE, "python", "python3"), f"{where}: what should be done with this?"

    def pushforward(self, words: list[str], where: str, status: int) -> None:
        from pushforward.cli import main

        words = words[: words.index("|")] if "|" in words else words
        target = None
        if ">" in words:
            words, target = words[: words.index(">")], Path(words[words.index(">") + 1])
        words = [match for word in words for match in (sorted(glob.glob(word)) if "*" in word else [word])]
        if self.summary:
            self.clear(words)
        self.monkeypatch.setattr(sys, "argv", ["pushforward", *words])
        out, errors = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(errors):
            found = main(words)
        assert found == status, f"{where}\nended with {found}, not {status}\n{out.getvalue()}\n{errors.getvalue()}"
        if target is not None:
            target.write_text(out.getvalue(), encoding="utf-8")

    def clear(self, words: list[str]) -> None:
        """Remove the outputs that are in the way."""
        for option in ("--out", "--html", "--json", "--md", "--markdown"):
            if option in words:
                path = Path(words[words.index(option) + 1])
                shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
                path.with_name(path.name + ".json").unlink(missing_ok=True)


def commands(text: str) -> list[str]:
    """The commands of a console block, continued lines joined."""
    joined = re.sub(r"\\\n(?:> )?\s*", "", text)
    return [line[2:].strip() for line in joined.split("\n") if line.startswith("$ ")]


def parse(words: list[str], where: str) -> None:
    """The command must exist, and take these options."""
    import typer.main

    from pushforward.cli.app import app

    group: Any = typer.main.get_command(app)
    assert words, where
    if words[0].startswith("-"):
        return
    assert words[0] in group.commands, f"{where}: there is no command {words[0]!r}"
    try:
        group.commands[words[0]].make_context(words[0], words[1:])
    except Exception as error:
        raise AssertionError(f"{where}: {error}") from error


# ---- tests


def _checker() -> Any:
    path = ROOT / "docs" / "_ext" / "check_links.py"
    spec = importlib.util.spec_from_file_location("check_links", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_broken_links_of_a_site_are_found(tmp_path: Path) -> None:
    (tmp_path / "b").mkdir()
    links = (
        "b/",
        "b/index.html#here",
        "https://example.org/x",
        "b/index.html#gone",
        "gone.html",
        "../out.html",
        "#top",
    )
    (tmp_path / "index.html").write_text("".join(f'<a href="{link}">x</a>' for link in links))
    (tmp_path / "b" / "index.html").write_text('<h1 id="here">b</h1><img src="../gone.png">')
    found = _checker().broken(tmp_path.resolve())
    assert {line.split(": ")[1] for line in found} == {
        "b/index.html#gone",
        "gone.html",
        "../out.html",
        "#top",
        "../gone.png",
    }
    assert _checker().main(str(tmp_path)) == 1


def test_blocks_and_what_is_asked_of_them(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(
        "# Page\n\n<!-- test: needs: a.csv -->\n\n"
        "```console\n$ pushforward show \\\n  a.csv   # one\nout\n$ make test\n```\n\n"
        "<!-- test: run\nx = 1\n-->\n\n````{tab-set}\n```python\nassert x == 1\n```\n````\n\n"
        "<!-- test: skip: slow -->\n\n- in a list\n\n  ```python\n  1 / 0\n  ```\n\n```{math}\n1\n```\n"
    )
    found = blocks(page)
    assert [one.language for one in found] == ["needs", "console", "run", "python", "python", "{math}"]
    assert commands(found[1].text) == ["pushforward show a.csv   # one", "make test"]
    assert (found[2].text, found[3].text, found[4].text) == ("x = 1\n", "assert x == 1\n", "1 / 0\n")
    assert [one.asked for one in found[3:5]] == [{}, {"skip": "slow"}]
    assert found[3].line == 18


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_the_blocks_of_a_page_run(
    page: Path, tmp_path: Path, quick: dict[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    found = blocks(page)
    if not found:
        pytest.skip("no blocks")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "100")
    runner = Runner(page, tmp_path, quick, monkeypatch)
    for block in found:
        runner.run(block)
