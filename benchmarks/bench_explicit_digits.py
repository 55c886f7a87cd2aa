"""Explicit models of pictures: bits per dimension of digits, nats of binarised digits, bits of Fashion-MNIST.

    python benchmarks/bench_explicit_digits.py digits [--models uniform independent ppca gmm maf realnvp nsf made]
    python benchmarks/bench_explicit_digits.py binary [--models independent made]
    python benchmarks/bench_explicit_digits.py fashion --data FOLDER [--models real vae realnvp]
    python benchmarks/bench_explicit_digits.py digits --class pushforward.models.x:X --name x --options '{}'

Digits: the 1,797 pictures of 8 by 8 pixels and 17 shades that come with scikit-learn; the test is 360 of them,
`train_test_split(test_size=.2, random_state=0, stratify=target)`, and of the others a tenth is kept back by the models
that choose their weights. Bits per dimension are -log2 P / 64 of the discrete picture; models of densities tell a lower
bound of ln P by uniform dequantisation (`one draw`: of one draw of the noise, as published figures are; else of eight,
which is closer). Binarised: shades above 8 of 16.
FOLDER holds Fashion-MNIST's `t10k-images-idx3-ubyte` and `train-images-idx3-ubyte` (with .gz or without). With the
extra `efficientnet` also the Frechet distance of 1,000 samples and 1,000 test pictures in its features at 96 pixels;
`real` is that of 1,000 training pictures.
"""

import argparse
import gzip
import importlib
import json
import math
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from explicit import keep
from pushforward.data.sources import read
from pushforward.errors import InputError
from pushforward.evaluation.encoders import encoder
from pushforward.evaluation.fidelity import frechet_distance
from pushforward.models.autoencoders import VAE
from pushforward.models.autoregressive import MADE
from pushforward.models.classical import PPCA, Mixture
from pushforward.models.normalising import Flow
from pushforward.training.draw import Draw, Moment
from pushforward.witness import Estimate

Maker = Callable[[int], Any]
DIGITS: Mapping[str, Maker] = {
    "ppca": lambda seed: PPCA(20, seed=seed),
    "gmm": lambda seed: Mixture(seed=seed),
    "gmm 8": lambda seed: Mixture(8, seed=seed),
    "maf": lambda seed: Flow(transform="maf", steps=1000, seed=seed, device="cpu"),
    "realnvp": lambda seed: Flow(transform="realnvp", steps=1000, seed=seed, device="cpu"),
    "nsf": lambda seed: Flow(steps=500, seed=seed, device="cpu"),
    "nsf logit": lambda seed: Flow(steps=500, squash="logit", seed=seed, device="cpu"),
    "made": lambda seed: MADE(steps=500, width=256, seed=seed, device="cpu"),
}
BINARY: Mapping[str, Maker] = {
    "made": lambda seed: MADE(steps=800, width=256, seed=seed, device="cpu"),
    "made 8 orders": lambda seed: MADE(orders=8, steps=2000, width=384, seed=seed, device="cpu"),
}
FASHION: Mapping[str, Maker] = {
    "vae": lambda seed: VAE(steps=2000, seed=seed, device="cpu"),
    "realnvp": lambda seed: Flow(transform="realnvp", steps=600, width=256, seed=seed, device="cpu"),
}


def digits(*, binary: bool) -> tuple[np.ndarray, np.ndarray]:
    """Training and test pictures `(n, 8, 8)`, bytes."""
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    x = read("sample:digits").values[:, 0].numpy()
    x = ((x > 128) * np.uint8(255)).astype(np.uint8) if binary else x
    train, test = train_test_split(x, test_size=0.2, random_state=0, stratify=load_digits().target)
    return train, test


def fashion(folder: Path, *, test: int = 2000) -> tuple[np.ndarray, np.ndarray]:
    """Training pictures and the first `test` of the test ones, `(n, 28, 28)`."""
    return _idx(folder, "train-images-idx3-ubyte"), _idx(folder, "t10k-images-idx3-ubyte")[:test]


def _idx(folder: Path, name: str) -> np.ndarray:
    path = folder / name
    raw = path.read_bytes() if path.exists() else gzip.decompress((folder / f"{name}.gz").read_bytes())
    shape = np.frombuffer(raw, dtype=">i4", count=3, offset=4)
    return np.frombuffer(raw, dtype=np.uint8, offset=16).reshape(shape).copy()


def independent(train: np.ndarray, test: np.ndarray) -> np.ndarray:
    """ln P of every test picture where each pixel has its own frequencies, half a row added to each shade."""
    shades = np.unique(train)
    told = np.zeros(len(test))
    for place in np.ndindex(*train.shape[1:]):
        counts = (train[(slice(None), *place)][:, None] == shades).sum(0) + 0.5
        told += np.log(counts / counts.sum())[np.searchsorted(shades, test[(slice(None), *place)])]
    return told


def frechet(test: np.ndarray, rows: np.ndarray, *, count: int = 1000) -> Estimate | None:
    """The Frechet distance of two sets of pictures, `count` of each, in EfficientNet's features, where it stands."""
    try:
        told = encoder("efficientnet-lite0", size=96).fit(torch.as_tensor(test)[:, None])
    except InputError:
        return None
    real, fake = (told(torch.as_tensor(x[:count])[:, None]) for x in (test, rows))
    return frechet_distance(real=real, fake=fake, correct=False)  # 1,000 rows, as the published figures have it


def one_draw(model: Any, test: np.ndarray) -> float | None:
    """Mean ln P by the plain bound of one draw, of a network that tells it."""
    network = getattr(model, "generator_", None)
    if network is None or not hasattr(network, "pixels"):
        return None
    x = model.codec_.expand(torch.as_tensor(test)[:, None])
    with torch.no_grad():
        told = network.learn(x, Moment(1, 1, Draw(torch.Generator().manual_seed(1))))["nll"]
    return -float(told.mean())


def pictures(model: Any, seed: int) -> dict[str, np.ndarray]:
    """1,000 samples; of a VAE also the means that its latents are decoded to, without the noise of every pixel."""
    found = {"frechet": np.asarray(model.sample(1000, seed=seed))}
    if isinstance(model, VAE):
        latents = np.random.default_rng(seed).normal(size=(1000, np.asarray(model.encode(found["frechet"])).shape[1]))
        found["frechet of means"] = np.asarray(model.decode(latents.astype(np.float32)))
    return found


def measure(
    make: Maker | None, name: str, train: np.ndarray, test: np.ndarray, *, seed: int, drawn: bool = False
) -> dict[str, Any]:
    """nats and bits per dimension of `test`, and the seconds of the fit."""
    wall, cpu, model = time.monotonic(), time.process_time(), None
    if name == "uniform":
        told = np.full(len(test), -test[0].size * math.log(len(np.unique(train))))
    elif name == "independent":
        told = independent(train, test)
    else:
        assert make is not None
        model = make(seed).fit(train, progress=False)
    wall, cpu = time.monotonic() - wall, time.process_time() - cpu
    if model is not None:
        told = np.concatenate([np.asarray(model.log_prob(part)) for part in np.array_split(test, 1 + len(test) // 500)])
    size, found = test[0].size * math.log(2), float(-told.mean())
    record = {
        "bits": found / size,
        "bits_stderr": float(told.std() / size / math.sqrt(len(test))),
        "nats": found,
        "seconds": wall,
        "cpu_seconds": cpu,
        "seed": seed,
    }
    plain = None if model is None else one_draw(model, test)
    record |= {} if plain is None else {"bits_of_one_draw": -plain / size}
    for name, rows in (pictures(model, seed) if drawn and model is not None else {}).items():
        distance = frechet(test, rows)
        record |= {} if distance is None else {name: distance.value}
    return record


def shown(found: Mapping[str, Any], section: str) -> dict[str, Any]:
    """The figures that a section has columns for."""
    names = {"nats": "NLL"} if section == "binary" else {"bits": "bits", "bits_of_one_draw": "bits of one draw"}
    names |= {"bits_stderr": "+-"} if section != "binary" else {}
    names |= {"frechet": "Frechet", "frechet of means": "of means", "seconds": "seconds", "cpu_seconds": "CPU seconds"}
    return {names[name]: round(value, 3) for name, value in found.items() if name in names}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("section", choices=["digits", "binary", "fashion"])
    parser.add_argument("--models", nargs="*")
    parser.add_argument("--class", dest="made_by", help="module:Class of another model, instead of --models")
    parser.add_argument("--name", help="what its row is called")
    parser.add_argument("--options", default="{}", help="its parameters, as JSON")
    parser.add_argument("--data", type=Path, help="the folder of Fashion-MNIST")
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    known = {"digits": DIGITS, "binary": BINARY, "fashion": FASHION}[asked.section]
    names = (
        [*(["real"] if asked.section == "fashion" else ["uniform"]), "independent", *known]
        if asked.models is None
        else asked.models
    )
    makers: dict[str, Maker | None] = {name: known.get(name) for name in names}
    if asked.made_by:
        module, _, name = asked.made_by.partition(":")
        made, options = getattr(importlib.import_module(module), name), json.loads(asked.options)
        makers = {asked.name or name: lambda seed: made(seed=seed, **options)}
    if asked.section == "fashion":
        if asked.data is None:
            parser.error("fashion needs --data, the folder that holds its files")
        train, test = fashion(asked.data)
    else:
        train, test = digits(binary=asked.section == "binary")
    for name, make in makers.items():
        if name == "real":
            distance = frechet(test, np.random.default_rng(asked.seed).permutation(train))
            keep("fashion", name, {"Frechet": distance and round(distance.value, 3)})
            print("real", distance, flush=True)
            continue
        found = measure(make, name, train, test, seed=asked.seed, drawn=asked.section == "fashion")
        keep(asked.section, name, shown(found, asked.section))
        plain = f" (one draw {found['bits_of_one_draw']:.3f})" if "bits_of_one_draw" in found else ""
        print(
            f"{name:16} {found['bits']:.3f} +- {found['bits_stderr']:.3f} bits{plain}, {found['nats']:.2f} nats, "
            f"Frechet {found.get('frechet')}, {found['seconds']:.0f} s ({found['cpu_seconds']:.0f} s of one core)",
            flush=True,
        )


if __name__ == "__main__":
    main()
