"""Synthetic diamonds: can boosted trees tell them from real ones, and do they teach a price model as real ones do?

20 % of the rows are held out; every model sees the other 43,152 only.

    python benchmarks/bench_tables.py [--models gan ...] [--seed 0] [--threads 2] [--steps N]

- AUC: scikit-learn's HistGradientBoostingClassifier, default settings, 5-fold stratified, 10,788 held-out rows against
  as many synthetic ones, categories as such. .5 is perfect; training rows against held-out ones give the row `real`.
- R2: HistGradientBoostingRegressor of the price, trained on 43,152 synthetic rows, tested on the held-out ones.
- copies: share of synthetic rows equal to a training row (`real`: of held-out rows); DCR: median distance of synthetic
  rows to the nearest training row over that of held-out ones (standardised numbers; another category counts 1).
- outside: values beyond the training bounds; missing: categories of the training rows that never appear.

Models: `gan` (the default), `coordinates` (the generator as it starts: no adversarial training), `gan-plain`
(adversarial training without joint coordinates), `real` (training rows), `ctgan` (if installed; 60 epochs).
"""

import argparse
import time
from collections.abc import Callable
from unittest import mock

import numpy as np
import polars as pl
import torch
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import StratifiedKFold, cross_val_predict
from sklearn.neighbors import NearestNeighbors

from pushforward.data.coordinates import Coordinates
from pushforward.data.dataset import Dataset
from pushforward.data.sources import read
from pushforward.models import GAN

TARGET = "price"
CATEGORIES = ("cut", "color", "clarity")


def codes(frame: pl.DataFrame, train: pl.DataFrame) -> np.ndarray:
    """Float64 `(n, 10)`: numbers, and categories as their place in the sorted training levels (NaN: none of them)."""
    out = np.empty((len(frame), frame.width))
    for i, name in enumerate(train.columns):
        if name in CATEGORIES:
            levels = {level: float(j) for j, level in enumerate(sorted(train[name].cast(pl.String).unique()))}
            out[:, i] = [levels.get(value, np.nan) for value in frame[name].cast(pl.String)]
        else:
            out[:, i] = frame[name].to_numpy()
    return out


def auc(x: np.ndarray, y: np.ndarray, categorical: list[int]) -> float:
    n = min(len(x), len(y))
    rows, labels = np.concatenate([x[:n], y[:n]]), np.repeat([0, 1], n)
    folds = StratifiedKFold(5, shuffle=True, random_state=0)
    model = HistGradientBoostingClassifier(random_state=0, categorical_features=categorical)
    return float(roc_auc_score(labels, cross_val_predict(model, rows, labels, cv=folds, method="predict_proba")[:, 1]))


def price_r2(made: np.ndarray, held: np.ndarray, target: int, categorical: list[int]) -> float:
    places = [i - (i > target) for i in categorical]
    model = HistGradientBoostingRegressor(random_state=0, categorical_features=places)
    model.fit(np.delete(made, target, 1), made[:, target])
    return float(model.score(np.delete(held, target, 1), held[:, target]))


def nearest(rows: np.ndarray, train: np.ndarray, categorical: list[int]) -> float:
    """Median distance of 5,000 `rows` to their nearest training rows."""
    numbers = [i for i in range(train.shape[1]) if i not in categorical]
    unit = train[:, numbers].std(0)

    def embed(a: np.ndarray) -> np.ndarray:
        hot = [np.eye(int(train[:, i].max()) + 1)[a[:, i].astype(int)] / np.sqrt(2) for i in categorical]
        return np.concatenate([a[:, numbers] / unit, *hot], 1)

    tree = NearestNeighbors(n_neighbors=1).fit(embed(train))
    return float(np.median(tree.kneighbors(embed(rows[:5000]))[0]))


def gan(train: Dataset, n: int, seed: int, steps: int | None) -> pl.DataFrame:
    model = GAN(seed=seed, steps=steps, device="cpu").fit(train, progress=False)
    return model.sample_dataset(n, seed=seed).values


def coordinates(train: Dataset, n: int, seed: int, steps: int | None) -> pl.DataFrame:
    model = GAN(seed=seed, steps=1, learning_rate=1e-12, device="cpu").fit(train, progress=False)
    return model.sample_dataset(n, seed=seed).values


def gan_plain(train: Dataset, n: int, seed: int, steps: int | None) -> pl.DataFrame:
    with mock.patch.object(Coordinates, "fit", return_value=None):
        return gan(train, n, seed, steps)


def real(train: Dataset, n: int, seed: int, steps: int | None) -> pl.DataFrame:
    return train.take(torch.randperm(len(train), generator=torch.Generator().manual_seed(seed))[:n]).values


def ctgan(train: Dataset, n: int, seed: int, steps: int | None) -> pl.DataFrame:
    from ctgan import CTGAN

    torch.manual_seed(seed)  # a peer that reads the global state
    model = CTGAN(epochs=60)
    model.fit(train.values.to_pandas(), discrete_columns=list(CATEGORIES))
    return pl.from_pandas(model.sample(n))


MODELS: dict[str, Callable[[Dataset, int, int, int | None], pl.DataFrame]] = {
    "real": real,
    "gan": gan,
    "coordinates": coordinates,
    "gan-plain": gan_plain,
    "ctgan": ctgan,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", nargs="+", default=["real", "coordinates", "gan"], choices=list(MODELS))
    parser.add_argument("--steps", type=int)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    train, held = read("sample:diamonds").split(0.2, seed=options.seed)
    names = train.values.columns
    categorical, target = [names.index(name) for name in CATEGORIES], names.index(TARGET)
    x_train, x_held = codes(train.values, train.values), codes(held.values, train.values)
    known = {row.tobytes() for row in x_train}
    baseline = nearest(x_held, x_train, categorical)
    print(f"{'model':12} {'AUC':>6} {'R2':>6} {'seconds':>8} {'copies':>7} {'DCR':>6} {'outside':>7} {'missing':>7}")
    for name in options.models:
        started = time.perf_counter()
        made = MODELS[name](train, len(train), options.seed, options.steps)
        seconds = time.perf_counter() - started
        y = codes(made, train.values)
        copied = np.mean([row.tobytes() in known for row in (x_held if name == "real" else y)])
        outside = int(((y < x_train.min(0)) | (y > x_train.max(0))).sum())
        missing = sum(len(np.setdiff1d(x_train[:, i], y[:, i])) for i in categorical)
        ratio = 1.0 if name == "real" else nearest(y, x_train, categorical) / baseline
        print(
            f"{name:12} {auc(x_held, y, categorical):6.4f} {price_r2(y, x_held, target, categorical):6.4f} "
            f"{seconds:8.1f} {copied:7.4f} {ratio:6.3f} {outside:7} {missing:7}",
            flush=True,
        )


if __name__ == "__main__":
    main()
