"""Planted faults: does the first screen of a comparison name what is wrong, and nothing where nothing is?

    python benchmarks/bench_faults.py [--seeds 20] [--data diamonds digits gaussian] [--faults copies blur ...]

Three sources: diamonds (a mixed table, 2,000 real, 2,000 fake and 4,000 training rows), scikit-learn's digits (images
with labels, 700, 700 and 397), and a mixture of Gaussians in 64 dimensions, neighbours of which
correlate by .6 (2,000, 2,000 and 4,000). The fakes are rows of
the same source that nobody else has, a perfect generator, into which one fault is planted. A fault counts as named if a
finding of one of the kinds that fit it stands among `Comparison.findings`; `nothing` counts comparisons in which any
finding is made, which must not exceed alpha = .05 beyond chance. Figures go to docs/benchmarks/faults.json, cell by
cell, and the page beside it.
"""

import argparse
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import polars as pl
import torch
from scipy.ndimage import gaussian_filter
from scipy.stats import binom

import pages
from pushforward.data import sources
from pushforward.data.dataset import Dataset
from pushforward.evaluation.findings import first_screen
from pushforward.evaluation.job import prepare

ALPHA = 0.05
Sets = dict[str, Any]  # real, fake, train: Dataset; labels: role -> codes
D, COMPONENTS = 64, 5


def diamonds(rng: np.random.Generator) -> Sets:
    frame = sources.read("sample:diamonds").values.unique(maintain_order=True)
    order = rng.permutation(len(frame))[:8000]
    parts = {"real": order[:2000], "fake": order[2000:4000], "train": order[4000:]}
    return {name: Dataset("table", frame[rows], name) for name, rows in parts.items()} | {"labels": {}}


def digits(rng: np.random.Generator) -> Sets:
    from sklearn.datasets import load_digits

    source = load_digits()
    images = torch.from_numpy((source.images * 15.9375).astype(np.uint8))[:, None]
    order = rng.permutation(len(images))
    parts = {"real": order[:700], "fake": order[700:1400], "train": order[1400:]}
    sets: Sets = {name: Dataset("images", images[rows], name) for name, rows in parts.items()}
    return sets | {"labels": {name: source.target[rows] for name, rows in parts.items()}}


def gaussian(rng: np.random.Generator) -> Sets:
    """Component 0 has 2 % of the mass."""
    shares = [0.02, *[0.98 / (COMPONENTS - 1)] * (COMPONENTS - 1)]
    centres = 4 * rng.normal(size=(COMPONENTS, D)) / np.sqrt(2)
    gaps = np.abs(np.subtract.outer(np.arange(D), np.arange(D)))
    mix = np.linalg.cholesky(0.6**gaps).T  # neighbours correlate by .6

    def draw(n: int) -> tuple[np.ndarray, np.ndarray]:
        which = rng.choice(COMPONENTS, n, p=shares)
        return (centres[which] + rng.normal(size=(n, D)) @ mix).astype(np.float32), which

    sets: Sets = {"components": {}, "labels": {}}
    for name, n in (("real", 2000), ("fake", 2000), ("train", 4000)):
        values, which = draw(n)
        sets[name], sets["components"][name] = Dataset("points", torch.from_numpy(values), name), which
    return sets


SOURCES: dict[str, Callable[[np.random.Generator], Sets]] = {
    "diamonds": diamonds,
    "digits": digits,
    "gaussian": gaussian,
}


# ---- the faults: each changes the fakes in place, None where it does not fit the source


def put(sets: Sets, rows: np.ndarray, values: Any) -> None:
    """Fakes at `rows` become `values` (a frame or a tensor)."""
    fake = sets["fake"]
    if fake.kind == "table":
        kept = fake.values[np.setdiff1d(np.arange(len(fake)), rows)]
        sets["fake"] = replace(fake, values=pl.concat([kept, values]))
    else:
        new = fake.values.clone()
        new[rows] = values.to(new.dtype)
        sets["fake"] = replace(fake, values=new)


def some(sets: Sets, role: str, share: float, rng: np.random.Generator) -> np.ndarray:
    return rng.permutation(len(sets[role]))[: round(share * len(sets["fake"]))]


def copies(sets: Sets, rng: np.random.Generator) -> None:
    """5 % of the fakes are training rows."""
    where, chosen = some(sets, "fake", 0.05, rng), some(sets, "train", 0.05, rng)
    put(sets, where, sets["train"].values[chosen])
    for role in sets["labels"]:
        if role == "fake":
            sets["labels"]["fake"][where] = sets["labels"]["train"][chosen]


def near(sets: Sets, rng: np.random.Generator) -> None:
    """10 % of the fakes are training rows with noise: a hundredth of a column's spread; one grey level of 16."""
    where, chosen = some(sets, "fake", 0.1, rng), some(sets, "train", 0.1, rng)
    values = sets["train"].values[chosen]
    if sets["fake"].kind == "table":
        noisy = [
            (pl.Series(name, values[name] + 0.01 * values[name].std() * rng.normal(size=len(values)))).cast(
                values[name].dtype
            )
            for name in values.columns
            if values[name].dtype.is_numeric()
        ]
        put(sets, where, values.with_columns(noisy))
    elif sets["fake"].kind == "images":
        noise = torch.from_numpy(rng.integers(-16, 17, values.shape))
        put(sets, where, (values.int() + noise).clamp(0, 255))
        sets["labels"]["fake"][where] = sets["labels"]["train"][chosen]
    else:
        put(sets, where, values + 0.01 * values.std() * torch.from_numpy(rng.normal(size=values.shape)))


def mode(sets: Sets, rng: np.random.Generator) -> None:
    """A mode of about 2 % of the real rows is not among the fakes: a clarity and a cut that go together, a digit made
    rare before, the small component."""
    fake = sets["fake"]
    if fake.kind == "table":
        gone = ((fake.values["clarity"] == "IF") & (fake.values["cut"] == "Ideal")).to_numpy()  # 2.2 %
    elif fake.kind == "images":
        for role in ("real", "train"):  # a digit becomes rare: 2 % where there were 10 %
            rare = np.flatnonzero(sets["labels"][role] == 8)
            keep = np.setdiff1d(np.arange(len(sets[role])), rare[len(rare) // 5 :])
            sets[role] = sets[role].take(torch.from_numpy(keep))
            sets["labels"][role] = sets["labels"][role][keep]
        gone = sets["labels"]["fake"] == 8
    else:
        gone = sets["components"]["fake"] == 0
    sets["fake"] = fake.take(torch.from_numpy(np.flatnonzero(~gone)))
    if sets["labels"]:
        sets["labels"]["fake"] = sets["labels"]["fake"][~gone]


def shift(sets: Sets, rng: np.random.Generator) -> None:
    """One column by .3 of its spread; all pixels brighter by 5 %."""
    fake = sets["fake"]
    if fake.kind == "table":
        moved = (fake.values["price"] + 0.3 * fake.values["price"].std()).cast(fake.values["price"].dtype)
        sets["fake"] = replace(fake, values=fake.values.with_columns(price=moved))
    elif fake.kind == "images":
        sets["fake"] = replace(fake, values=(fake.values.float() + 13).clamp(0, 255).to(torch.uint8))
    else:
        values = fake.values.clone()
        values[:, int(rng.integers(D))] += 0.3 * values.std()
        sets["fake"] = replace(fake, values=values)


def unbound(sets: Sets, rng: np.random.Generator) -> str | None:
    """One column in an order of its own: right marginals, broken correlation."""
    fake = sets["fake"]
    order = rng.permutation(len(fake))
    if fake.kind == "table":
        sets["fake"] = replace(fake, values=fake.values.with_columns(carat=fake.values["carat"][order]))
    elif fake.kind == "points":
        values, j = fake.values.clone(), int(rng.integers(D))
        values[:, j] = values[torch.from_numpy(order), j]
        sets["fake"] = replace(fake, values=values)
    else:
        return "not for images"
    return None


def blur(sets: Sets, rng: np.random.Generator) -> str | None:
    """A Gaussian blur of half a pixel."""
    fake = sets["fake"]
    if fake.kind != "images":
        return "for images"
    soft = gaussian_filter(fake.values.numpy().astype(np.float32), (0, 0, 0.5, 0.5))
    sets["fake"] = replace(fake, values=torch.from_numpy(np.rint(soft).clip(0, 255).astype(np.uint8)))
    return None


def twice(sets: Sets, rng: np.random.Generator) -> None:
    """The second half of the fakes repeats the first."""
    half = torch.arange(len(sets["fake"]) // 2).repeat(2)
    sets["fake"] = sets["fake"].take(half)
    if sets["labels"]:
        sets["labels"]["fake"] = sets["labels"]["fake"][half.numpy()]


def labels(sets: Sets, rng: np.random.Generator) -> str | None:
    """The class (of a table, the column `color`) in an order of its own."""
    fake = sets["fake"]
    order = rng.permutation(len(fake))
    if fake.kind == "table":
        sets["fake"] = replace(fake, values=fake.values.with_columns(color=fake.values["color"][order]))
    elif fake.kind == "images":
        sets["labels"]["fake"] = sets["labels"]["fake"][order]
    else:
        return "no labels"
    return None


def nothing(sets: Sets, rng: np.random.Generator) -> None:
    """No fault."""


# fault -> (how it is planted, the kinds of finding that name it)
FAULTS: dict[str, tuple[Callable[[Sets, np.random.Generator], str | None], Sequence[str]]] = {
    "copies": (copies, ("copies",)),
    "near copies": (near, ("near copies",)),
    "dropped mode": (mode, ("dropped modes",)),
    "shifted column": (shift, ("columns",)),
    "broken correlation": (unbound, ("dependence",)),
    "blur": (blur, ("blur",)),
    "duplicated half": (twice, ("repeats",)),
    "shuffled labels": (labels, ("labels", "dependence")),
    "nothing": (nothing, ()),
}


def run(source: str, fault: str, seed: int) -> dict[str, Any] | None:
    """One comparison: the names of its findings and of what was looked for; None where the fault does not fit."""
    rng = np.random.default_rng([seed, 77])
    sets = SOURCES[source](rng)
    plant, right = FAULTS[fault]
    if plant(sets, rng):
        return None
    started = time.perf_counter()
    roles = {role: sets[role] for role in ("real", "fake", "train")} | {"holdout": None}
    job = prepare(roles, suite="quick", alpha=ALPHA, seed=seed, labels=sets["labels"] or None)
    found, looked_for = first_screen(job)
    return {
        "source": source,
        "fault": fault,
        "seed": seed,
        "found": [finding.name for finding in found],
        "named": any(finding.name in right for finding in found),
        "first": bool(found) and found[0].name in right,
        "looked_for": list(looked_for),
        "seconds": time.perf_counter() - started,
    }


def page(cells: list[dict[str, Any]]) -> list[str]:
    rows = []
    for fault in FAULTS:
        for source in SOURCES:
            group = [cell for cell in cells if (cell["source"], cell["fault"]) == (source, fault)]
            if not group:
                continue
            n = len(group)
            others: dict[str, int] = {}
            for cell in group:
                for name in cell["found"]:
                    if name not in FAULTS[fault][1]:
                        others[name] = others.get(name, 0) + 1
            hit = sum(bool(cell["found"]) if fault == "nothing" else cell["named"] for cell in group)
            told = ", ".join(f"{name} {count}" for name, count in sorted(others.items(), key=lambda item: -item[1]))
            seconds = sum(cell["seconds"] for cell in group) / n
            rows.append([fault, source, f"{hit} of {n}", told, f"{seconds:.1f}"])
    clean = [cell for cell in cells if cell["fault"] == "nothing"]
    alarms = sum(bool(cell["found"]) for cell in clean)
    planted = [cell for cell in cells if cell["fault"] != "nothing"]
    named, first = (sum(cell[key] for cell in planted) for key in ("named", "first"))
    most = int(binom.ppf(0.999, max(1, len(clean)), ALPHA))
    return [
        "# Planted faults",
        "",
        "Made by `python benchmarks/bench_faults.py`; its head says what is planted. Named: comparisons in which a",
        "finding of the right kind stands on the first screen (for `nothing`: in which any does). Also found: other",
        "kinds, which a fault may well cause. Seconds of the findings alone, one thread.",
        "",
        *pages.table(["fault", "data", "named", "also found", "s"], rows),
        "",
        f"Of {len(planted)} comparisons with a fault it is named in {named}, and is the first finding in {first}.",
        f"Without a fault {alarms} of {len(clean)} comparisons have a finding at level {ALPHA}; up to {most} would be "
        "chance (99.9 %).",
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--data", nargs="+", choices=list(SOURCES), default=list(SOURCES))
    parser.add_argument("--faults", nargs="+", choices=list(FAULTS), default=list(FAULTS))
    options = parser.parse_args()
    torch.set_num_threads(1)
    cells: dict[str, dict[str, Any]] = pages.store("faults", {})
    for seed in range(options.first_seed, options.first_seed + options.seeds):
        for source in options.data:
            for fault in options.faults:
                key = f"{source}/{fault}/{seed}"
                if key in cells:
                    continue
                found = run(source, fault, seed)
                if found is None:
                    continue
                cells[key] = found
                pages.store("faults", {key: found})
                print(f"{key}: {', '.join(found['found']) or 'nothing'} ({found['seconds']:.1f} s)", flush=True)
    pages.write("faults", page(list(cells.values())))


if __name__ == "__main__":
    main()
