"""Explicit densities of points in the plane: the divergence from the truth, KL(p || q), of every model that has one.

    python benchmarks/bench_explicit_points.py [--models nsf maf realnvp gmm] [--sets 8-gaussians moons checkerboard]
    python benchmarks/bench_explicit_points.py --class pushforward.models.diffusion:Diffusion --name diffusion
        --options '{"steps": 2000}'                             any class with log_prob of points

The truths have known densities, so that KL = E_p [ln p - ln q] is a mean over fresh rows, with its standard error. All
train for 2,000 steps of 512 rows, Adam from 1e-3 by a cosine, on 200,000 rows of which a tenth is kept back; the
average of the weights that is best on those is the model.
"""

import argparse
import importlib
import json
import math
import time
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from explicit import keep
from pushforward.data.toys import TOYS, Toy
from pushforward.models.classical import Mixture
from pushforward.models.normalising import Flow

ROWS, FRESH = 200_000, 50_000
BUDGET: Mapping[str, Any] = {"steps": 2000, "batch_size": 512, "learning_rate": 1e-3, "device": "cpu"}
MODELS: Mapping[str, Any] = {
    "gmm": lambda seed: Mixture(8, seed=seed),
    "maf": lambda seed: Flow(transform="maf", seed=seed, **BUDGET),
    "realnvp": lambda seed: Flow(transform="realnvp", seed=seed, **BUDGET),
    "nsf": lambda seed: Flow(transform="nsf", seed=seed, **BUDGET),
}


def eight_gaussians() -> Toy:
    """Eight modes on a circle of radius 2.83, sigma .354."""
    angle = torch.arange(8, dtype=torch.float64) * math.pi / 4
    centres, sigma = 2.83 * torch.stack([angle.cos(), angle.sin()], 1), 0.354

    def draw(n: int, generator: torch.Generator) -> Tensor:
        which = torch.randint(8, (n,), generator=generator)
        return centres[which] + sigma * torch.randn(n, 2, generator=generator, dtype=torch.float64)

    def density(x: Tensor) -> Tensor:
        off = torch.cdist(x, centres).square() / (2 * sigma**2)
        return (-off).logsumexp(1) - math.log(8 * 2 * math.pi * sigma**2)

    return Toy("8-gaussians", ROWS, draw, density, modes=centres.float(), sigma=sigma)


SETS = {"8-gaussians": eight_gaussians(), "moons": TOYS["moons"], "checkerboard": TOYS["checkerboard"]}


def divergence(model: Any, toy: Toy, *, seed: int) -> tuple[float, float]:
    """KL(p || q) over fresh rows of `toy`, and its standard error."""
    fresh = toy.sample(FRESH, torch.Generator().manual_seed(seed + 1_000_000))
    told = [model.log_prob(part.numpy()) for part in fresh.split(10_000)]
    off = toy.log_prob(fresh) - torch.cat([torch.as_tensor(np.asarray(one), dtype=torch.float64) for one in told])
    return float(off.mean()), float(off.std() / math.sqrt(FRESH))


def measure(model: Any, toy: Toy, *, seed: int) -> dict[str, Any]:
    """Fit `model` to rows of `toy`, and compare."""
    rows = toy.sample(ROWS, torch.Generator().manual_seed(seed)).numpy()
    wall, cpu = time.monotonic(), time.process_time()
    model.fit(rows, progress=False)
    wall, cpu = time.monotonic() - wall, time.process_time() - cpu
    kl, error = divergence(model, toy, seed=seed)
    weights = getattr(model, "generator_", None)
    return {
        "kl": kl,
        "kl_stderr": error,
        "seconds": wall,
        "cpu_seconds": cpu,
        "parameters": None if weights is None else sum(one.numel() for one in weights.parameters()),
        "seed": seed,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="*", default=list(MODELS), choices=list(MODELS))
    parser.add_argument("--sets", nargs="+", default=list(SETS), choices=list(SETS))
    parser.add_argument("--class", dest="made_by", help="module:Class of another model, instead of --models")
    parser.add_argument("--name", help="what its row is called")
    parser.add_argument("--options", default="{}", help="its parameters, as JSON")
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    makers: dict[str, Any] = {name: MODELS[name] for name in asked.models}
    if asked.made_by:
        module, _, name = asked.made_by.partition(":")
        made, options = getattr(importlib.import_module(module), name), json.loads(asked.options)
        makers = {asked.name or name: lambda seed: made(seed=seed, **{**BUDGET, **options})}
    for name, make in makers.items():
        for of in asked.sets:
            found = measure(make(asked.seed), SETS[of], seed=asked.seed)
            keep("points", f"{name} {of}", {"model": name, "set": of, **found})
            print(
                f"{name:16} {of:14} KL {found['kl']:.4f} +- {found['kl_stderr']:.4f}  "
                f"{found['seconds']:.0f} s ({found['cpu_seconds']:.0f} s of one core)",
                flush=True,
            )


if __name__ == "__main__":
    main()
