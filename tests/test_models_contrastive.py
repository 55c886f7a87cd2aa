"""Contrastive learning: the losses against brute force and closed forms, the views, and the two estimators."""

import inspect
import json
import math
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch
from torch import Tensor

from pushforward.errors import InputError
from pushforward.models.contrastive import CLIP, SimCLR
from pushforward.models.contrastive.views import cells, default, pair, parse
from pushforward.models.representation import few_labels, linear_probe
from pushforward.nets.event import Event
from pushforward.objectives.contrastive import clip, nt_xent, supervised
from pushforward.training import augment
from pushforward.training.draw import Draw

SMALL: dict[str, Any] = {"width": 8, "depth": 1, "size": 8, "device": "cpu", "batch_size": 32}


def two(n: int, k: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    return tuple(torch.randn(n, k, generator=generator, dtype=torch.float64) for _ in range(2))  # type: ignore[return-value]


def brute(u: Tensor, v: Tensor, labels: list[int], tau: float) -> list[float]:
    """SupCon row by row, in loops: the losses of all views averaged over the two of every row."""
    z = [row / row.norm() for row in [*u, *v]]
    y = labels * 2
    n, losses = len(u), []
    for i in range(2 * n):
        total = sum(math.exp(float(z[i] @ z[k]) / tau) for k in range(2 * n) if k != i)
        mine = [k for k in range(2 * n) if k != i and (y[k] == y[i] if y[i] >= 0 else k == (i + n) % (2 * n))]
        losses.append(-sum(math.log(math.exp(float(z[i] @ z[k]) / tau) / total) for k in mine) / len(mine))
    return [(losses[i] + losses[i + n]) / 2 for i in range(n)]


# ---- losses


@pytest.mark.parametrize("n", [2, 5, 64])
@pytest.mark.parametrize("tau", [0.07, 0.5])
def test_collapsed_views_cost_what_chance_costs(n: int, tau: float) -> None:
    """All views one: ln(2N - 1) for NT-Xent and SupCon, whatever the labels; ln N for CLIP; and no gradient."""
    u = torch.ones(n, 3, dtype=torch.float64, requires_grad=True)
    v = torch.ones(n, 3, dtype=torch.float64)
    labels = torch.arange(n) % 2
    for loss, expected in (
        (nt_xent(u, v, temperature=tau), math.log(2 * n - 1)),
        (supervised(u, v, labels, temperature=tau), math.log(2 * n - 1)),
        (clip(u, v, 1 / tau), math.log(n)),
    ):
        torch.testing.assert_close(loss, torch.full((n,), expected, dtype=torch.float64), rtol=0, atol=1e-12)
        (slope,) = torch.autograd.grad(loss.sum(), u)
        assert float(slope.abs().max()) < 1e-12


def test_losses_are_those_of_loops(generator: torch.Generator) -> None:
    u, v = two(6, 4, generator)
    own = brute(u, v, list(range(6)), 0.3)
    assert nt_xent(u, v, temperature=0.3).tolist() == pytest.approx(own, abs=1e-12)
    assert supervised(u, v, torch.arange(6), temperature=0.3).tolist() == pytest.approx(own, abs=1e-12)
    labels = [0, 1, 0, -1, 1, -1]  # -1: not known
    told = brute(u, v, labels, 0.3)
    assert supervised(u, v, torch.tensor(labels), temperature=0.3).tolist() == pytest.approx(told, abs=1e-12)
    assert nt_xent(5 * u, v / 7, temperature=0.3).tolist() == pytest.approx(own, abs=1e-12)  # length says nothing


def test_clip_is_its_formula(generator: torch.Generator) -> None:
    """(CE(s U V') + CE(s V U')) / 2, with torch's cross entropy."""
    u, v = two(5, 3, generator)
    a, b = u / u.norm(dim=1, keepdim=True), v / v.norm(dim=1, keepdim=True)
    own, ce = torch.arange(5), torch.nn.functional.cross_entropy
    told = (ce(14.3 * a @ b.T, own) + ce(14.3 * b @ a.T, own)) / 2
    assert float(clip(u, v, 14.3).mean()) == pytest.approx(float(told), abs=1e-12)


def test_blocks_of_a_batch_have_the_loss_and_the_gradient_of_all(generator: torch.Generator) -> None:
    """What three processes of 4 rows compute: the mean of their losses, and its gradient, are those of the 12 rows."""
    weights = torch.randn(3, 4, generator=generator, dtype=torch.float64).requires_grad_()
    x, y = two(12, 3, generator)
    labels = torch.arange(12) % 5
    for loss in (
        lambda u, v, y, among, first: nt_xent(u, v, among=among and among[:2], first=first),
        lambda u, v, y, among, first: supervised(u, v, y, among=among, first=first),
        lambda u, v, y, among, first: clip(u, v, 10.0, among=among and among[:2], first=first),
    ):
        u, v = x @ weights, y @ weights
        whole = loss(u, v, labels, None, 0)
        parts = [slice(k, k + 4) for k in (0, 4, 8)]
        blocks = [loss(u[p], v[p], labels[p], (u, v, labels), p.start) for p in parts]
        torch.testing.assert_close(torch.cat(blocks), whole, rtol=0, atol=1e-12)
        one, other = (torch.autograd.grad(f.mean(), weights, retain_graph=True)[0] for f in (whole, torch.cat(blocks)))
        torch.testing.assert_close(one, other, rtol=0, atol=1e-12)


# ---- views


def test_warp_of_nothing_is_nothing_and_a_quarter_turn_is_one(generator: torch.Generator) -> None:
    x = torch.rand(5, 2, 6, 6, generator=generator)
    draw = Draw(generator)
    torch.testing.assert_close(augment.warp(x, draw, turn=0.0, zoom=0.0, move=0.0), x, rtol=0, atol=1e-5)
    many = x[:1].expand(200, -1, -1, -1)  # as many mirrored as of a fair coin: 55 to 145, but for 1 run in 10^9
    mirrored = (augment.mirror(many, draw) == many.flip(3)).flatten(1).all(1)
    assert 55 < int(mirrored.sum()) < 145
    turned = augment.warp(x, _Top(), turn=math.pi / 2, zoom=0.0, move=0.0)
    assert any(torch.allclose(turned, torch.rot90(x, k, (2, 3)), atol=1e-5) for k in (1, 3))


class _Top(Draw):
    """Draws that are all at the upper end."""

    def __init__(self) -> None:
        super().__init__(torch.Generator())

    def uniform(self, n: int, *shape: int) -> Tensor:
        return torch.ones(n, *shape)


def test_a_crop_is_a_window_at_full_size(generator: torch.Generator) -> None:
    """Of a picture that rises evenly to the right a window rises less, and stays between its ends."""
    x = torch.linspace(-1, 1, 32).expand(200, 1, 32, 32)
    made = augment.crop(x, Draw(generator), least=0.2)
    slope = made[:, 0, 16, 24] - made[:, 0, 16, 8]
    whole = float(x[0, 0, 0, 24] - x[0, 0, 0, 8])
    assert bool((slope > 0).all())
    assert bool((slope <= whole + 1e-4).all())
    assert float(slope.min()) < 0.6 * whole
    assert bool((made.abs() <= 1 + 1e-6).all())


def test_corruption_keeps_columns_and_breaks_rows(generator: torch.Generator) -> None:
    """Cells of column j come from column j; a number and the codes of its column go together; the share is as asked.

    20000 cells at .6: the share is within 5 standard deviations, .017, of what is expected (a cell that draws itself
    is not seen to change: 1 in 4000)."""
    n = 4000
    number = torch.arange(n).float()
    group = torch.nn.functional.one_hot(torch.arange(n) % 2, 2).float()
    other = torch.arange(n).float()[:, None] + 0.5
    rows = torch.cat([number[:, None], other, other + 1, other + 2, other + 3, group], 1)
    owners = torch.tensor([0, 1, 2, 3, 4, 0, 0])
    made = augment.corrupt(rows, owners, Draw(generator), share=0.6)
    for j in range(5):
        assert set(made[:, j].tolist()) <= set(rows[:, j].tolist())
    assert torch.equal(made[:, 6], made[:, 0] % 2)  # the code is still that of the number
    assert abs(float((made[:, :5] != rows[:, :5]).float().mean()) - 0.6) < 0.018
    changed = made[:, :5] != rows[:, :5]
    assert abs(float((changed[:, 0] & changed[:, 1]).float().mean()) - 0.36) < 0.04  # each cell by itself


def test_views_by_name() -> None:
    photo, digit = Event("images", (3, 64, 64)), Event("images", (1, 8, 8))
    assert default(photo) == "crop+flip+jitter"
    assert default(digit) == "warp+jitter+cutout"
    assert parse("noise:0.1+corrupt") == (("noise", 0.1), ("corrupt", 0.6))
    first, second = pair("noise+corrupt", Event("points", (3,)))
    assert [name for name, _ in first.changes] == ["noise"]
    assert [name for name, _ in second.changes] == ["noise", "corrupt"]
    for words, kind, says in (
        ("blur", None, "unknown view 'blur'"),
        ("warp", "table", "take corrupt, none"),
        ("corrupt:1.5", None, r"in \(0, 1\]"),
        ("noise:x", None, "not a number"),
    ):
        with pytest.raises(InputError, match=says):
            parse(words, kind)  # type: ignore[arg-type]


# ---- estimators


@pytest.fixture(scope="module")
def digits() -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """1,437 digits of 8 x 8 and their labels, and 360 held out."""
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    x, y = load_digits(return_X_y=True)
    x = (x * 255 / 16).round().astype(np.uint8).reshape(-1, 8, 8)
    train, test, y_train, y_test = train_test_split(x, y, test_size=360, random_state=0, stratify=y)
    return train, y_train, test, y_test


def table(n: int, seed: int = 0) -> pl.DataFrame:
    draw = np.random.default_rng(seed)
    kind = draw.integers(0, 3, n)
    value = kind + 0.1 * draw.normal(size=n)
    return pl.DataFrame(
        {
            "value": pl.Series(
                [None if hole else v for hole, v in zip(draw.uniform(size=n) < 0.3, value, strict=True)]
            ),
            "other": kind * 2.0 + 0.2 * draw.normal(size=n),
            "kind": np.array(["x", "y", "z"])[kind],
        }
    )


def test_cells_of_a_table_are_its_columns() -> None:
    model = SimCLR(**SMALL, steps=1).fit(table(60), progress=False)
    from pushforward.models.neural import event_of

    event = event_of(model.codec_, model.network_)
    found, columns = cells(event), [block.column for block in event.blocks]
    assert Counter(columns)["value"] == 2  # a number and the level that says whether it is there
    places = {block.kind: found[block.start] for block in event.blocks if block.column == "value"}
    assert places["numeric"] == places["category"]
    assert len(found.unique()) == 3


def test_simclr_learns_what_a_digit_is(digits: tuple[np.ndarray, ...]) -> None:
    """100 steps of 64 rows: from 5 labels a class the features tell more of 360 digits than pixels do, by more than two
    in a hundred; the loss falls from chance, ln 127."""
    train, y_train, test, y_test = digits
    model = SimCLR(steps=100, width=8, batch_size=64, device="cpu", validation=0.0).fit(train, progress=False)
    h, told = model.encode(train), model.encode(test)
    assert (h.dtype, h.shape) == (np.float32, (1437, 128))
    few = few_labels(h, y_train, held=(told, y_test), draws=5)
    raw = few_labels(train.reshape(len(train), -1), y_train, held=(test.reshape(len(test), -1), y_test), draws=5)
    assert few.accuracy > raw.accuracy + 0.02
    losses = [record["contrast"] for record in model.history_]
    assert losses[0] == pytest.approx(math.log(127), abs=0.7)
    assert losses[-1] < losses[0] - 1.0
    assert not hasattr(model, "sample")
    assert not hasattr(model, "decode")


def test_labels_teach_what_no_view_tells(generator: torch.Generator) -> None:
    """Two classes that no line parts: with half of the labels known a linear probe is right on more than .9 of fresh
    rows; of the rows as they are on less than .65 (400 rows at .5: but for 1 run in 10^8)."""
    x, fresh = (torch.randn(n, 2, generator=generator) for n in (400, 400))
    y, told = ((rows.prod(1) > 0).numpy() for rows in (x, fresh))
    known = y.astype(float)
    known[::2] = math.nan
    options: dict[str, Any] = {**SMALL, "width": 32, "depth": 2, "steps": 100, "validation": 0.0, "batch_size": 64}
    model = SimCLR(**options).fit(x, known, holdout=fresh, progress=False)
    assert linear_probe(model.encode(x), y, held=(model.encode(fresh), told)).accuracy > 0.9
    assert linear_probe(x.numpy(), y, held=(fresh.numpy(), told)).accuracy < 0.65
    assert "loss_held" in {name for record in model.history_ for name in record}


def test_tables_and_their_label_column() -> None:
    data = table(300).with_columns(label=pl.col("kind"))
    model = SimCLR(**SMALL, steps=30).fit(data, "label", progress=False)
    h = model.encode(data)
    assert np.array_equal(h, model.encode(data.drop("label")))  # it is no part of what is encoded
    assert linear_probe(h, data["kind"].to_numpy()).accuracy > 0.9
    with pytest.raises(InputError, match="no column 'nothing'"):
        SimCLR(**SMALL).fit(data, "nothing")
    with pytest.raises(InputError, match="two or more"):
        SimCLR(**SMALL).fit(data, ["one"] * 300)


def halves(digits: tuple[np.ndarray, ...]) -> tuple[np.ndarray, ...]:
    train, _, test, _ = digits
    return train[:, :, :4], train[:, :, 4:], test[:, :, :4], test[:, :, 4:]


def test_clip_finds_the_other_half(digits: tuple[np.ndarray, ...]) -> None:
    """60 steps of 64: the right half is among the first 10 of 360 for a third of the left ones (by chance: 1 in 36)."""
    left, right, a, b = halves(digits)
    model = CLIP(views="none", steps=60, width=8, batch_size=64, device="cpu").fit(left, to=right, progress=False)
    own = np.arange(360)[:, None]
    assert (model.retrieve(a, b, 10) == own).any(1).mean() > 0.33
    assert (model.retrieve(b, a, 10, side="b") == own).any(1).mean() > 0.33
    assert 1 < model.scale_ <= 100
    u, v = model.encode(a[:9]), model.encode(b[:7], side="b")
    assert np.allclose(np.linalg.norm(u, axis=1), 1, atol=1e-6)
    assert np.allclose(model.similarity(a[:9], b[:7]), u @ v.T, atol=1e-6)
    assert np.array_equal(model.retrieve(a[:9], b[:7], 7), np.argsort(-(u @ v.T), axis=1, kind="stable"))


def test_the_scale_begins_and_ends_where_it_should(generator: torch.Generator) -> None:
    x = torch.randn(40, 3, generator=generator)
    model = CLIP(**SMALL, steps=1, learning_rate=1e-12).fit(x, to=-x, progress=False)
    assert model.scale_ == pytest.approx(1 / 0.07, rel=1e-5)
    towers = model.generator_
    with torch.no_grad():
        towers.t.fill_(9.0)  # type: ignore[union-attr, operator]
    assert model.scale_ == pytest.approx(100.0, rel=1e-6)


def test_two_kinds_of_rows(tmp_path: Path) -> None:
    """A table and pictures that show it; saved and loaded, both encode as before."""
    frame = table(200, seed=1)
    level = frame["kind"].replace_strict({"x": 30, "y": 120, "z": 220}, return_dtype=pl.UInt8).to_numpy()
    pictures = np.broadcast_to(level[:, None, None], (200, 8, 8)).copy()
    model = CLIP(**SMALL, steps=60).fit(frame, to=pictures, out=tmp_path / "run", progress=False)
    found = model.retrieve(frame, pictures, 1)[:, 0]
    assert (level[found] == level).mean() > 0.9
    again = CLIP.load(tmp_path / "run")
    assert np.array_equal(again.encode(frame), model.encode(frame))
    assert np.array_equal(again.encode(pictures, side="b"), model.encode(pictures, side="b"))
    assert again.encode(pictures[:1], side="b").shape == (1, 8)


@pytest.mark.parametrize("which", ["points", "images", "labelled", "table"])
def test_saved_loaded_resumed_and_seeded(which: str, tmp_path: Path, generator: torch.Generator) -> None:
    data: Any = torch.randn(120, 3, generator=generator)
    labels = None
    if which == "images":
        data = (torch.rand(120, 1, 8, 8, generator=generator) * 255).to(torch.uint8)
    elif which == "table":
        data = table(120)
    elif which == "labelled":
        labels = (data[:, 0] > 0).long()
    model = SimCLR(**SMALL, steps=6, seed=5).fit(data, labels, out=tmp_path / "run", progress=False)
    codes = model.encode(data)
    assert np.array_equal(SimCLR.load(tmp_path / "run").encode(data), codes)
    assert np.array_equal(SimCLR(**SMALL, steps=6, seed=5).fit(data, labels, progress=False).encode(data), codes)
    assert not np.array_equal(SimCLR(**SMALL, steps=6, seed=6).fit(data, labels, progress=False).encode(data), codes)
    again = SimCLR(**SMALL, steps=6, seed=5).fit(data, labels, out=tmp_path / "run", resume=True, progress=False)
    assert np.array_equal(again.encode(data), codes)
    # one row as among many, up to how products of another size are summed
    np.testing.assert_allclose(model.encode(data[:1]), codes[:1], atol=1e-5)


@pytest.mark.parametrize("family", [SimCLR, CLIP])
def test_parameters_are_stored_as_given(family: type) -> None:
    from sklearn.base import clone

    model = family(size=5, seed=3, views="none")
    assert clone(model).get_params() == model.get_params()
    assert set(inspect.signature(family).parameters) == set(model.get_params())


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda x: SimCLR(views="mirror").fit(x), "unknown view 'mirror'"),
        (lambda x: SimCLR(views="warp").fit(x, progress=False), "for images, not for points"),
        (lambda x: SimCLR(temperature=0.0).fit(x), "temperature must be a positive number"),
        (lambda x: SimCLR(size=0).fit(x), "size must be a whole number"),
        (lambda x: SimCLR(until="indistinguishable").fit(x), "draws none"),
        (lambda x: SimCLR().encode(x), "not fitted yet"),
        (lambda x: SimCLR().fit(x, [0, 1]), "2 labels for the 40 rows"),
        (lambda x: CLIP().fit(x), "give the other one too"),
        (lambda x: CLIP().fit(x, to=x[:9]), "40 rows"),
        (lambda x: CLIP().fit(x, to=x, holdout=x), "holdout must be a pair"),
        (lambda x: CLIP(views=("none",)).fit(x, to=x), "or a pair of them"),
        (lambda x: _clip(x).encode(x, side="c"), "no such side"),
        (lambda x: _clip(x).encode(x[:, :1]), "side a of what this model was fitted on"),
        (lambda x: _clip(x).retrieve(x, x, 41), "k=41"),
    ],
)
def test_what_cannot_be_done_is_said(make: Any, says: str, generator: torch.Generator) -> None:
    with pytest.raises(InputError, match=says):
        make(torch.randn(40, 2, generator=generator))


def _clip(x: Tensor) -> CLIP:
    return CLIP(**SMALL, steps=1).fit(x, to=x, progress=False)


def test_few_labels_are_a_probe_of_few_rows() -> None:
    draw = np.random.default_rng(0)
    labels = np.repeat([0, 1], 100)
    sure, vain = labels[:, None] * 10 + draw.normal(size=(200, 2)), draw.normal(size=(200, 2))
    found = few_labels(sure, labels, per_class=3, draws=4)
    assert (found.accuracy, found.spread, found.rows, found.per_class, found.draws) == (1.0, 0.0, 60, 3, 4)
    assert 0.3 < few_labels(vain, labels, draws=4).accuracy < 0.7
    assert few_labels(vain, labels, seed=1) == few_labels(vain, labels, seed=1)
    with pytest.raises(InputError, match="ask for fewer"):
        few_labels(sure, labels, per_class=90)


# ---- several processes

RUNS = ("plain", "labels", "corrupt", "pairs")


def fit_all(folder: str) -> None:
    """Four short runs, each in a folder of its name."""
    x = torch.randn(200, 4, generator=torch.Generator().manual_seed(0))
    options: dict[str, Any] = {"steps": 4, "batch_size": 32, "width": 16, "depth": 1, "size": 8, "device": "cpu"}
    for name in ("plain", "labels", "corrupt"):
        labels = (x[:, 0] > 0).long() if name == "labels" else None
        model = SimCLR(views="corrupt" if name == "corrupt" else "noise", seed=3, **options)
        model.fit(x, labels, out=f"{folder}/{name}", progress=False)
    CLIP(views="noise", seed=3, **options).fit(x, to=x.flip(1) + 1, out=f"{folder}/pairs", progress=False)


def test_two_processes_follow_one(tmp_path: Path) -> None:
    """Every figure of every step, the gradient's norm among them, to 1e-5: the candidates are those of the union."""
    head = "import sys, torch\nfrom typing import Any\nfrom pushforward.models.contrastive import CLIP, SimCLR\n"
    script = tmp_path / "script.py"
    script.write_text(f"{head}\n{inspect.getsource(fit_all)}\nfit_all(sys.argv[1])\n")
    launch = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    argv = [sys.executable, *launch, str(script), str(tmp_path / "two")]
    done = subprocess.run(argv, env=environment, capture_output=True, text=True, timeout=280)
    assert done.returncode == 0, done.stderr[-3000:]
    fit_all(str(tmp_path / "one"))
    for run in RUNS:
        one, two = (
            [json.loads(line) for line in (tmp_path / name / run / "history.jsonl").read_text().splitlines()]
            for name in ("one", "two")
        )
        assert len(one) == len(two) == 4
        assert one[0]["contrast"] != pytest.approx(one[-1]["contrast"], rel=1e-3)  # there was something to agree on
        for a, b in zip(one, two, strict=True):
            for figure in a.keys() - {"seconds"}:
                assert b[figure] == pytest.approx(a[figure], rel=1e-5, abs=1e-5), (run, a["step"], figure)
