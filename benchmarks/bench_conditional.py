"""Conditional generation: are asked labels obeyed, and are tables as good within every asked level?

    python benchmarks/bench_conditional.py digits [--steps 3000]         scikit-learn's digits, given the digit
    python benchmarks/bench_conditional.py fashion --data DIR            Fashion-MNIST, DIR of its four idx files
    python benchmarks/bench_conditional.py diamonds [--data CSV]         a table given `cut`, and with nothing given
    python benchmarks/bench_conditional.py page                          docs/benchmarks/conditional.md

digits, fashion: a classifier (support vectors) learned from real images judges the images asked for, as many of each
class; beside it, how often it is right on real ones it has not seen. Spread: the variance of the images of a class over
that of real ones, least and most over the classes.

diamonds: two fifths of the rows are held out. Within each cut, boosted trees tell samples from as many held-out rows
(AUC by five-fold prediction, .5 is perfect): samples given the cut of the model that was fitted `given=["cut"]`, and
those of a model of all columns, drawn until enough have the cut. Rare: every level that at most 5 % of the rows have,
in 20,000 samples with nothing asked, as its share, that in the data, and the deviation in binomial standard errors of
both counts.

What was measured is stored as soon as it is there (docs/benchmarks/conditional.json). `--pictures DIR` saves sheets:
a row for each class, the last three columns real.
"""

import argparse
import gzip
import time
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import torch
from PIL import Image

from pages import machine, store, table, write
from pushforward.data import sources
from pushforward.models import GAN

Found = dict[str, Any]
SHOWN, REAL = 12, 3
RARE, DRAWN, HELD = 0.05, 20_000, 0.4


# ---- images


def digits() -> tuple[np.ndarray, np.ndarray]:
    from sklearn.datasets import load_digits

    data = load_digits()
    return (data.images / 16 * 255).round().astype(np.uint8), data.target


def fashion(folder: Path) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    def read(name: str) -> np.ndarray:
        raw = gzip.decompress((folder / f"{name}.gz").read_bytes())
        shape = np.frombuffer(raw, ">i4", raw[3], 4)
        return np.frombuffer(raw, np.uint8, offset=4 + 4 * raw[3]).reshape(shape)

    parts = ("train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")
    return tuple(read(part) for part in parts)  # type: ignore[return-value]


def judge(x: np.ndarray, y: np.ndarray) -> Any:
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler
    from sklearn.svm import SVC

    return make_pipeline(StandardScaler(with_std=False), SVC(C=10.0, gamma="scale")).fit(flat(x), y)


def flat(x: np.ndarray) -> np.ndarray:
    return x.reshape(len(x), -1) / 255.0


def sheet(x: np.ndarray, y: np.ndarray, drawn: np.ndarray, asked: np.ndarray, scale: int) -> Image.Image:
    """A row for each class: samples, then real images."""
    rows = []
    for level in np.unique(y):
        cells = [*drawn[asked == level][:SHOWN], np.full_like(x[0], 128), *x[y == level][:REAL]]
        rows.append(np.concatenate([np.pad(cell, 1, constant_values=90) for cell in cells], 1))
    return Image.fromarray(np.concatenate(rows)).resize(
        (rows[0].shape[1] * scale, sum(r.shape[0] for r in rows) * scale), Image.Resampling.NEAREST
    )


def images(name: str, options: argparse.Namespace) -> None:
    if name == "digits":
        x, y = digits()
        order = np.random.default_rng(0).permutation(len(x))
        x, y, test_x, test_y = x[order[:1400]], y[order[:1400]], x[order[1400:]], y[order[1400:]]
    else:
        x, y, test_x, test_y = fashion(options.data)
    known = judge(x[: options.judged], y[: options.judged])
    right = float((known.predict(flat(test_x)) == test_y).mean())
    for ways in options.ways:
        for seed in range(options.seeds):
            model = GAN(steps=options.steps, conditioning=ways, seed=seed, device=options.device)
            started = time.perf_counter()
            model.fit(x, given=y, progress=options.progress)
            if model.interrupted_:
                raise SystemExit(130)
            seconds = time.perf_counter() - started
            asked = np.repeat(np.unique(y), options.each)
            drawn = model.sample(len(asked), given=asked, seed=seed)
            said = known.predict(flat(drawn))
            per = [float((said == asked)[asked == level].mean()) for level in np.unique(y)]
            spread = [
                float(flat(drawn[asked == level]).var(0).sum() / flat(x[y == level]).var(0).sum())
                for level in np.unique(y)
            ]
            cell = {
                "obeyed": float((said == asked).mean()),
                "least": min(per),
                "spread": [min(spread), max(spread)],
                "steps": model.steps_done_,
                "seconds": seconds,
                "real": right,
                "asked": len(asked),
            }
            store("conditional", {name: {f"{ways}/{model.steps_done_}/{seed}": cell}})
            print(name, ways, seed, cell, flush=True)
            if options.pictures:
                options.pictures.mkdir(parents=True, exist_ok=True)
                picture = sheet(x, y, drawn, asked, 4 if name == "digits" else 2)
                picture.save(options.pictures / f"{name}-{ways}-{seed}.png")


# ---- diamonds


def told(real: Any, fake: Any, codec: Any, seed: int) -> tuple[float, float]:
    """AUC of boosted trees between two data sets of one size, by five-fold prediction, and its standard error."""
    from sklearn.ensemble import HistGradientBoostingClassifier
    from sklearn.model_selection import StratifiedKFold, cross_val_predict

    from pushforward.training.diagnostics.critic import auc

    (x, categorical, _), (y, _, _) = codec.features(real), codec.features(fake)
    rows, labels = np.concatenate([x, y]), np.repeat([1, 0], [len(x), len(y)])
    trees = HistGradientBoostingClassifier(categorical_features=categorical, random_state=seed)
    folds = StratifiedKFold(5, shuffle=True, random_state=seed)
    scores = cross_val_predict(trees, rows, labels, cv=folds, method="predict_proba")[:, 1]
    found = auc(torch.from_numpy(scores[labels == 1]), torch.from_numpy(scores[labels == 0]))
    return found.value, found.stderr


def diamonds(options: argparse.Namespace) -> None:
    data = sources.read(str(options.data) if options.data else "sample:diamonds", columns=None)
    if options.rows:
        data = data.take(torch.randperm(len(data), generator=torch.Generator().manual_seed(0))[: options.rows])
    train, held = data.split(HELD, seed=0)
    for name in options.models:
        given = None if name == "nothing" else name.split("+")
        model = GAN(steps=options.steps, seed=0, device=options.device, conditioning=options.how if given else None)
        started = time.perf_counter()
        model.fit(train, given=given, progress=options.progress)
        if model.interrupted_:
            raise SystemExit(130)
        seconds = time.perf_counter() - started
        cells: Found = {}
        for cut in sorted(held.values["cut"].unique()):
            real = held.take(torch.from_numpy(np.flatnonzero((held.values["cut"] == cut).to_numpy())))
            aucs, errors, shares, exact = [], [], [], []
            for seed in range(options.seeds):
                fake = model.sample_dataset(len(real), given={"cut": cut}, seed=seed)
                auc, error = told(real, fake, model.codec_, seed)
                aucs.append(auc), errors.append(error)
                shares.append(fake.made_by["given"]["share"])
                exact.append(bool((fake.values["cut"] == cut).all()))
            cells[cut] = {
                "auc": float(np.mean(aucs)),
                "stderr": float(np.mean(errors)),
                "share": float(np.mean(shares)),
                "exact": all(exact),
                "rows": len(real),
            }
            print(name, cut, cells[cut], flush=True)
        fake = model.sample_dataset(len(held), seed=0)
        whole = told(held, fake, model.codec_, 0)
        store(
            "conditional",
            {
                "diamonds": {
                    f"{name}/{options.how or 'default'}/{model.steps_done_}": {
                        "rows": len(train),
                        "cells": cells,
                        "auc": whole,
                        "seconds": seconds,
                        "rare": rare(model, train),
                    }
                }
            },
        )
        print(name, "all rows", whole, f"{seconds:.0f} s", flush=True)


def rare(model: GAN, train: Any) -> Found:
    """Shares of rare levels in samples and in the data, and how far apart in binomial standard errors."""
    drawn, found = model.sample_dataset(DRAWN, seed=1).values, {}
    for name, dtype in train.values.schema.items():
        if dtype != pl.String:
            continue
        for level, count in train.values[name].value_counts().iter_rows():
            p = count / len(train)
            if p <= RARE:
                q = float((drawn[name] == level).mean())
                pooled = (count + q * DRAWN) / (len(train) + DRAWN)
                error = (pooled * (1 - pooled) * (1 / len(train) + 1 / DRAWN)) ** 0.5
                found[f"{name}={level}"] = {"data": p, "samples": q, "z": (q - p) / error}
    return found


# ---- the page


def page(found: Found) -> list[str]:
    lines = [
        "# Conditional generation",
        "",
        "Made by `python benchmarks/bench_conditional.py` (`digits`, `fashion`, `diamonds`, then `page`): its head",
        f"says what is measured. One thread a run, beside other work, so seconds are upper bounds; {machine()}.",
    ]
    for name, title in (("digits", "scikit-learn's digits, 8 x 8"), ("fashion", "Fashion-MNIST, 28 x 28")):
        if name in found:
            rows = []
            for key, cell in found[name].items():
                ways, steps, seed = key.split("/")
                rows.append(
                    [ways, f"{int(steps):,}", seed]
                    + [f"{100 * cell[part]:.1f}" for part in ("obeyed", "least", "real")]
                    + [f"{cell['spread'][0]:.2f}-{cell['spread'][1]:.2f}", f"{cell['seconds']:.0f}"]
                )
            head = ["conditioning", "steps", "seed", "asked class %", "worst class %", "real rows %", "spread", "s"]
            lines += ["", f"## {title}, given the class", "", *table(head, rows)]
    if "diamonds" in found:
        lines += ["", "## Diamonds, given the cut", "", *diamonds_table(found["diamonds"])]
    return lines


def diamonds_table(found: Found) -> list[str]:
    """AUC within each cut, by model, and the rare levels."""
    names = list(found)
    cuts = sorted(found[names[0]]["cells"])
    rows = []
    for cut in cuts:
        cells = [found[name]["cells"][cut] for name in names]
        aucs = [f"{cell['auc']:.3f} ± {cell['stderr']:.3f}" for cell in cells]
        rows.append([cut, f"{cells[0]['rows']:,}", *aucs, *(f"{100 * cell['share']:.3g}" for cell in cells)])
    rows.append(["all", "", *("{:.3f} ± {:.3f}".format(*found[name]["auc"]) for name in names), *[""] * len(names)])
    shown = [name.split("/")[0] for name in names]
    lines = table(
        ["cut", "rows", *(f"AUC, {name} given" for name in shown), *(f"% kept, {name} given" for name in shown)], rows
    )
    exact = all(cell["exact"] for name in names for cell in found[name]["cells"].values())
    lines += ["", f"Every sample had the cut that was asked: {'yes' if exact else 'no'}.", ""]
    rare_rows = [
        [level, f"{100 * one['data']:.2f}"]
        + [f"{100 * found[n]['rare'][level]['samples']:.2f} ({found[n]['rare'][level]['z']:+.1f})" for n in names]
        for level, one in found[names[0]]["rare"].items()
    ]
    return [*lines, *table(["rare level", "data %", *(f"samples %, {name} given (z)" for name in shown)], rare_rows)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=["digits", "fashion", "diamonds", "page"])
    parser.add_argument("--data", type=Path)
    parser.add_argument("--steps", type=int)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--each", type=int, default=300, help="images of each class that are judged")
    parser.add_argument("--judged", type=int, default=60_000, help="images that the judge learns from")
    parser.add_argument("--rows", type=int, help="of the table, at random; all by default")
    parser.add_argument("--ways", nargs="+", default=["film+projection"])
    parser.add_argument("--how", help="conditioning of the table's model")
    parser.add_argument("--models", nargs="+", default=["nothing", "cut"])
    parser.add_argument("--pictures", type=Path)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--progress", action="store_true")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    if options.what == "page":
        write("conditional", page(store("conditional", {})))
    elif options.what == "diamonds":
        diamonds(options)
    else:
        images(options.what, options)


if __name__ == "__main__":
    main()
