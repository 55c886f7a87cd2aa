"""Likelihood of binarised digits: scikit-learn's 1,797 digits, a pixel bright where its shade is above 8 of 16.

    python benchmarks/bench_explicit_binary.py [--models VAE IWAE-5 ...] [--seeds 0 1 2] [--steps 2000]

360 test pictures, drawn by class in proportion (`train_test_split(test_size=.2, random_state=0, stratify=target)`); on
this split and threshold independent pixels cost 24.57 nats, with half a picture added to every count. What is told:

    -ELBO          the mean over draws of ln q(z|x) - ln p(x, z), an upper bound of the NLL
    -L5            minus the importance-weighted bound of 5 draws, what an IWAE of 5 climbs
    NLL            the estimate of 1,000 draws, also an upper bound in expectation
    reconstructed  pixels that come back wrong, of 64

Of several seeds the mean, and the range beside it.
"""

import argparse
import math
import time
from collections.abc import Callable
from typing import Any

import torch
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from torch import Tensor

import explicit
from pushforward.evaluation.likelihood import elbo, iwae
from pushforward.models.autoencoders import VAE, VQVAE

DRAWS = 1000
COMMON: dict[str, Any] = {"device": "cpu"}
MODELS: dict[str, Callable[[int, int], Any]] = {
    "VAE": lambda steps, seed: VAE(steps=steps, seed=seed, **COMMON),
    "IWAE-5": lambda steps, seed: VAE(samples=5, steps=steps, seed=seed, **COMMON),
    "VQVAE, 16 codes of 16": lambda steps, seed: VQVAE(codebook=16, steps=steps, seed=seed, **COMMON),
}


def data() -> tuple[Tensor, Tensor]:
    """Training and test pictures, uint8 0 or 255 `(n, 1, 8, 8)`."""
    digits = load_digits()
    bright = torch.from_numpy((digits.images > 8).astype("uint8") * 255).unsqueeze(1)
    train, test = train_test_split(range(len(bright)), test_size=0.2, random_state=0, stratify=digits.target)
    return bright[train], bright[test]


def independent(train: Tensor, test: Tensor) -> float:
    """NLL of pixels that are bright independently of each other, nats."""
    x, y = ((rows.flatten(1) > 0).double() for rows in (train, test))
    p = (x.sum(0) + 0.5) / (len(x) + 1)
    return -float((y * p.log() + (1 - y) * (1 - p).log()).sum(1).mean())


def bounds(model: Any, test: Tensor) -> dict[str, float]:
    """The figures of one fitted model."""
    wrong = float((torch.from_numpy(model.reconstruct(test.numpy())) != test).flatten(1).sum(1).double().mean())
    if isinstance(model, VQVAE):
        return {"NLL": -float(model.log_prob(test.numpy()).mean()), "reconstructed": wrong}
    x = model.codec_.expand(test)
    joint, own = model.generator_.weights(x, DRAWS, generator=torch.Generator().manual_seed(0))
    groups = [(joint[k : k + 5], own[k : k + 5]) for k in range(0, DRAWS, 5)]
    fives = [iwae(one, other).value for one, other in groups]
    nll = -float(model.log_prob(test.numpy(), draws=DRAWS).mean())
    return {
        "-ELBO": -elbo(joint, own).value,
        "-L5": -math.fsum(fives) / len(fives),
        "NLL": nll,
        "reconstructed": wrong,
    }


def measure(name: str, train: Tensor, test: Tensor, steps: int, seed: int) -> dict[str, float]:
    model = MODELS[name](steps, seed)
    wall, cpu = time.perf_counter(), time.process_time()
    model.fit(train.numpy(), progress=False)
    spent = {"seconds": time.perf_counter() - wall, "CPU seconds": time.process_time() - cpu}
    return {**bounds(model, test), **spent, "steps": float(model.steps_done_)}


def told(found: list[dict[str, float]]) -> dict[str, str]:
    """The mean of every figure, and its range over the seeds."""
    out = {}
    for figure in found[0]:
        values = [one[figure] for one in found]
        mean, digits = math.fsum(values) / len(values), 0 if "seconds" in figure or figure == "steps" else 2
        out[figure] = f"{mean:.{digits}f}"
        if len(values) > 1:
            out[figure] += f" ({min(values):.{digits}f}-{max(values):.{digits}f})"
    return out


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", nargs="*", default=list(MODELS))
    parser.add_argument("--seeds", nargs="*", type=int, default=[0, 1, 2])
    parser.add_argument("--steps", type=int, default=2000)
    asked = parser.parse_args()
    train, test = data()
    base = independent(train, test)
    print(f"independent pixels: {base:.2f}", flush=True)
    explicit.keep("binary", "independent pixels", {"NLL": f"{base:.2f}"})
    for name in asked.models:
        found = []
        for seed in asked.seeds:
            found.append(measure(name, train, test, asked.steps, seed))
            print(name, seed, {figure: round(value, 3) for figure, value in found[-1].items()}, flush=True)
            explicit.keep("binary", name, {**told(found), "seeds": len(found)})


if __name__ == "__main__":
    main()
