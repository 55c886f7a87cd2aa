"""Diffusion and flow matching: densities in the plane, beside a GAN, guided by a critic, distilled into one pass.

    python benchmarks/bench_explicit_diffusion.py points [--sets 8-gaussians moons checkerboard]
        [--models flow diffusion] [--steps 2000]
    python benchmarks/bench_explicit_diffusion.py sampling
    python benchmarks/bench_explicit_diffusion.py guidance [--sets 8-gaussians moons digits] [--seeds 5]
    python benchmarks/bench_explicit_diffusion.py distillation [--sets ...]
    every one: [--runs FOLDER]      keeps fitted flows, and takes them from there

The sets and the budget of `points` are those of `bench_explicit_points.py`, on 10,000 fresh rows.

The energy distance is 2 E|x - y| - E|x - x'| - E|y - y'|, unbiased (it may fall below 0). `guidance` fits a diffusion
for too few steps, guides it by a critic, and compares samples of the same noise without and with: each seed is one run
of all of it, the test of all seeds is exact (signs of the differences flipped) and one-sided, beside a paired t-test.

Quality in `distillation` is measured from what the two first moments alone give to what real rows give,

    quality(model) = 1 - (E(model, real) - E(real', real)) / (E(N(mean, covariance), real) - E(real', real)),

and what a generator keeps is its quality over its teacher's; `kept_root` is the same of the root of each distance
difference, which is harsher.
"""

import argparse
import math
import time
from collections.abc import Callable
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from bench_explicit_points import BUDGET, ROWS, SETS
from explicit import keep
from pushforward.data.toys import mode_report
from pushforward.models import GAN
from pushforward.models.diffusion import Diffusion, Distilled, FlowMatching, guide
from pushforward.twosample.calls import discrepancy

FRESH, SAMPLES = 10_000, 5000
MODELS: dict[str, Any] = {"flow": FlowMatching, "diffusion": Diffusion}


class Clock:
    """Seconds of wall and of one core since it was made."""

    def __init__(self) -> None:
        self.wall, self.cpu = time.monotonic(), time.process_time()

    def read(self) -> dict[str, float]:
        return {"seconds": time.monotonic() - self.wall, "cpu_seconds": time.process_time() - self.cpu}


def energy(x: Tensor, y: Tensor) -> float:
    """The energy distance, unbiased."""
    return float(discrepancy("energy")(x.double(), y.double()))


def rows_of(name: str, n: int, seed: int) -> Tensor:
    return SETS[name].sample(n, torch.Generator().manual_seed(seed))


def fitted(kind: str, name: str, steps: int, runs: Path | None) -> tuple[Any, dict[str, float]]:
    """A model fitted to 200,000 rows of a set, and its seconds; from `runs` where it is there."""
    folder = runs / f"{kind}-{name}-{steps}" if runs else None
    if folder is not None and (folder / "weights.safetensors").exists():
        return MODELS[kind].load(folder), {}
    clock = Clock()
    model = MODELS[kind](**{**BUDGET, "steps": steps}).fit(rows_of(name, ROWS, 0).numpy(), progress=False)
    spent = clock.read()
    if folder is not None:
        model.save(folder)
    return model, spent


# ---- densities


def points(sets: list[str], kinds: list[str], steps: int, runs: Path | None) -> None:
    for name, kind in product(sets, kinds):
        model, spent = fitted(kind, name, steps, runs)
        fresh = rows_of(name, FRESH, 1_000_000)
        off = SETS[name].log_prob(fresh) - model.log_prob(fresh.numpy())
        told = {"kl": float(off.mean()), "kl_stderr": float(off.std()) / math.sqrt(FRESH), **spent}
        label = {"flow": "flow matching", "diffusion": "diffusion"}[kind]
        label += "" if steps == 2000 else f", {steps:,} steps"
        keep("points", f"{label} {name}", {"model": label, "set": name, **told, "seed": 0})
        print(label, name, _plain(told), f"stopped: {model.stopped_ or 'no'}", flush=True)


# ---- beside a GAN


def sampling(runs: Path | None) -> None:
    name = "8-gaussians"
    toy, real = SETS[name], rows_of(name, SAMPLES, 77)
    assert toy.modes is not None
    toy = replace(toy, modes=toy.modes.double())

    def judge(label: str, rows: Tensor, spent: dict[str, float]) -> None:
        modes = mode_report(rows, toy)
        told = {"modes": modes.captured, "within_3_sigma": modes.high_quality, "energy": energy(rows, real), **spent}
        keep("sampling", label, told)
        print(label, _plain(told), flush=True)

    judge("real rows", rows_of(name, SAMPLES, 78), {})
    model, spent = fitted("flow", name, 2000, runs)
    judge("flow matching, 2,000 steps", torch.from_numpy(model.sample(SAMPLES, seed=1)), spent)
    for label, options in (
        ("plain GAN (ns, no regulariser), 2,000 steps", {"objective": "ns", "regularise": "none"}),
        ("GAN as it is by default, 2,000 steps", {}),
    ):
        clock = Clock()
        gan = GAN(steps=2000, device="cpu", **options).fit(rows_of(name, ROWS, 0).numpy(), progress=False)
        judge(label, torch.from_numpy(gan.sample(SAMPLES, seed=1)), clock.read())


# ---- guidance


def guidance(sets: list[str], seeds: int) -> None:
    from scipy.stats import ttest_rel

    for name in sets:
        clock, found = Clock(), []
        for seed in range(seeds):
            found.append(one_guided(name, seed))
            print(name, seed, _plain(found[-1]), flush=True)
        before, after = (np.array([one[key] for one in found]) for key in ("before", "after"))
        told = {
            "real": float(np.mean([one["real"] for one in found])),
            "before": float(before.mean()),
            "after": float(after.mean()),
            "lowered": f"{int((after < before).sum())} of {seeds} seeds",
            "p_signs": signs(before - after),
            "p_t": float(ttest_rel(before, after, alternative="greater").pvalue),
            **clock.read(),
        }
        keep("guidance", name, told)
        print(name, _plain(told), flush=True)


def signs(differences: np.ndarray) -> float:
    """The exact one-sided p of a mean difference, by flipping signs."""
    flips = np.array(list(product([1, -1], repeat=len(differences))))
    return float(((flips @ differences) >= differences.sum() - 1e-15).mean())


def one_guided(name: str, seed: int) -> dict[str, float]:
    """An under-trained diffusion's energy distance from held-out rows without and with guidance."""
    if name == "digits":
        train, held = digits(seed)
        steps, options, n = 150, {"steps": 300, "samples": 1500}, 1500
    else:
        train, held = rows_of(name, 20_000, seed).numpy(), rows_of(name, SAMPLES, 500 + seed)
        steps, options, n = 200, {"steps": 300, "samples": 5000}, SAMPLES
    model = Diffusion(steps=steps, device="cpu", seed=seed, sampling_steps=16).fit(train, progress=False)
    made = guide(model, train, device="cpu", seed=seed, progress=False, **options)
    flat: Callable[[Any], Tensor] = lambda rows: torch.from_numpy(rows).flatten(1).double() / _unit(name)  # noqa: E731
    before, after = (energy(flat(made.sample(n, weight=w, seed=seed)), held) for w in (0.0, 1.0))
    real = energy(flat(train)[: len(held)], held)
    return {"real": real, "before": before, "after": after}


def _unit(name: str) -> float:
    return 255.0 if name == "digits" else 1.0


def digits(seed: int) -> tuple[np.ndarray, Tensor]:
    """1,437 pictures of 17 shades to learn from, and 360 others in [0, 1] as vectors."""
    from sklearn.datasets import load_digits

    pictures = np.rint(load_digits().images * 255 / 16).astype(np.uint8)[:, None]
    order = np.random.default_rng(seed).permutation(len(pictures))
    return pictures[order[360:]], torch.from_numpy(pictures[order[:360]]).flatten(1).double() / 255


# ---- distillation


def distillation(sets: list[str], runs: Path | None) -> None:
    for name in sets:
        teacher, _ = fitted("flow", name, 2000, runs)
        clock = Clock()
        student = Distilled(device="cpu").fit(teacher, progress=False)
        spent, real = clock.read(), rows_of(name, SAMPLES, 77)
        other = rows_of(name, SAMPLES, 78)
        normal = torch.distributions.MultivariateNormal(other.double().mean(0), other.double().T.cov())
        noise = torch.randn(SAMPLES, 2, generator=torch.Generator().manual_seed(79), dtype=torch.float64)
        found = {
            "real": energy(other, real),
            "teacher": energy(torch.from_numpy(teacher.sample(SAMPLES, seed=1)), real),
            "one_pass": energy(torch.from_numpy(student.sample(SAMPLES, seed=1)), real),
            "moments": energy(normal.loc + noise @ normal.scale_tril.T, real),
        }
        told = {**found, **kept(found), **spent}
        keep("distillation", name, told)
        print(name, _plain(told), flush=True)


def kept(found: dict[str, float]) -> dict[str, float]:
    """What the one-pass generator keeps of its teacher's quality, by distances and by their roots."""
    over = {key: max(0.0, found[key] - found["real"]) for key in ("teacher", "one_pass", "moments")}
    quality = {key: 1 - over[key] / over["moments"] for key in ("teacher", "one_pass")}
    root = {key: 1 - math.sqrt(over[key] / over["moments"]) for key in ("teacher", "one_pass")}
    return {"kept": quality["one_pass"] / quality["teacher"], "kept_root": root["one_pass"] / root["teacher"]}


def _plain(told: dict[str, Any]) -> str:
    return "  ".join(
        f"{key} {value:.4f}" if isinstance(value, float) else f"{key} {value}" for key, value in told.items()
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["points", "sampling", "guidance", "distillation"])
    parser.add_argument("--sets", nargs="+", default=None, choices=[*SETS, "digits"])
    parser.add_argument("--models", nargs="+", default=["flow"], choices=list(MODELS))
    parser.add_argument("--steps", type=int, default=2000)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--runs", type=Path)
    asked = parser.parse_args()
    if asked.what == "points":
        points(asked.sets or list(SETS), asked.models, asked.steps, asked.runs)
    elif asked.what == "sampling":
        sampling(asked.runs)
    elif asked.what == "guidance":
        guidance(asked.sets or ["8-gaussians", "moons", "digits"], asked.seeds)
    else:
        distillation(asked.sets or list(SETS), asked.runs)


if __name__ == "__main__":
    main()
