"""Frechet and kernel distances beside torch-fidelity, pytorch-fid and torchmetrics, and the coverage of our intervals.

    python benchmarks/bench_fidelity.py [--only frechet kid] [--coverage] [--repetitions 400] [--quick]

Speed: every contestant once, one after the other in this process, on one thread, from the same float32 features
`(10,000, 2048)`. CPU seconds are given beside wall seconds: on a shared machine only the former compare. Peers are
optional (`pip install torch-fidelity pytorch-fid torchmetrics`); only functions that work on features are called, and a
peer that does not run is said not to. Coverage: the share of repetitions in which a nominal 95 % interval holds the
closed-form truth. Results are merged into docs/benchmarks/fidelity.json, and the page is made of all that is
stored; `--quick` shrinks everything to check that the script works, and stores nothing.
"""

import argparse
import math
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import numpy as np
import torch
from torch import Tensor

import pages
from pushforward.closed_form import Gaussian, kid, wasserstein2_squared
from pushforward.evaluation.fidelity import frechet_distance, kernel_distance

NAME = "fidelity"
PACKAGES = ("torch", "numpy", "scipy", "torch-fidelity", "pytorch-fid", "torchmetrics")


@dataclass(frozen=True)
class Case:
    """N(0, I_d) against N(mean, deviation^2 I_d), n rows each."""

    d: int
    n: int
    mean: float
    deviation: float = 1.0

    @property
    def name(self) -> str:
        return f"d = {self.d}, n = {self.n}, mean {self.mean:g}, sd {self.deviation:g}"

    def gaussians(self) -> tuple[Gaussian, Gaussian]:
        zero = torch.zeros(self.d, dtype=torch.float64)
        return Gaussian.isotropic(zero, 1.0), Gaussian.isotropic(zero + self.mean, self.deviation)


FRECHET_CASES = (
    Case(1, 300, 0.0), Case(2, 500, 0.0), Case(8, 500, 0.0), Case(32, 1000, 0.0), Case(64, 2000, 0.0),
    Case(2, 500, 0.1), Case(8, 500, 0.1), Case(32, 1000, 0.1), Case(8, 500, 0.3, 1.2), Case(64, 2000, 0.2, 1.2),
)  # fmt: skip
KID_CASES = (
    Case(2, 200, 0.0), Case(16, 200, 0.0), Case(64, 200, 0.0), Case(2, 200, 0.1), Case(16, 200, 0.05),
    Case(16, 200, 0.5), Case(2, 300, 0.5, 1.3),
)  # fmt: skip


# speed


def features(n: int, d: int, *, flat: bool = False) -> tuple[Tensor, Tensor]:
    """Two sets of float32 features: `flat`, N(0, I) and N(0, 1.21 I); else non-negative as a rectifier leaves them and
    with a spectrum that falls by orders of magnitude, as encoders' do (which speeds nonsymmetric eigenvalues up)."""
    generator = torch.Generator().manual_seed(0)
    if flat:
        x, y = (torch.randn(n, d, generator=generator) for _ in range(2))
        return x, 1.1 * y
    scale = torch.logspace(0, -2.5, d)
    turn = torch.randn(d, d, generator=generator) / math.sqrt(d)

    def draw(gain: float) -> Tensor:
        return ((torch.randn(n, d, generator=generator) * scale * gain) @ turn + 0.05).relu()

    return draw(1.0), draw(1.1)


def ours_frechet(x: Tensor, y: Tensor) -> float:
    return frechet_distance(real=x, fake=y, correct=False).value


def torch_fidelity_frechet(x: Tensor, y: Tensor) -> float:
    from torch_fidelity.metric_fid import KEY_METRIC_FID, fid_features_to_statistics, fid_statistics_to_metric

    statistics = [fid_features_to_statistics(rows) for rows in (x, y)]
    return float(fid_statistics_to_metric(*statistics, verbose=False)[KEY_METRIC_FID])


def pytorch_fid_frechet(x: Tensor, y: Tensor) -> float:
    from pytorch_fid.fid_score import calculate_frechet_distance

    parts = [part for rows in (x.numpy(), y.numpy()) for part in (rows.mean(0), np.cov(rows, rowvar=False))]
    return float(calculate_frechet_distance(*parts))


def torchmetrics_frechet(x: Tensor, y: Tensor) -> float:
    from torchmetrics.image.fid import FrechetInceptionDistance

    class Given(torch.nn.Module):
        num_features = x.shape[1]

        def forward(self, rows: Tensor) -> Tensor:
            return rows

    metric = FrechetInceptionDistance(feature=Given())
    metric.set_dtype(torch.float64)
    metric.update(x, real=True)
    metric.update(y, real=False)
    return float(metric.compute())


def ours_kid(x: Tensor, y: Tensor) -> dict[str, float]:
    found = kernel_distance(real=x, fake=y)
    return {"value": found.value, "stderr": found.stderr}


def torch_fidelity_kid(x: Tensor, y: Tensor, subsets: int = 100, size: int = 1000) -> dict[str, float]:
    from torch_fidelity.metric_kid import KEY_METRIC_KID_MEAN, KEY_METRIC_KID_STD, kid_features_to_metric

    found = kid_features_to_metric(
        x, y, kid_subsets=subsets, kid_subset_size=size, kid_kernel="poly", kid_kernel_poly_degree=3,
        kid_kernel_poly_gamma=None, kid_kernel_poly_coef0=1.0, rng_seed=0, verbose=False,
    )  # fmt: skip
    return {"value": found[KEY_METRIC_KID_MEAN], "spread of subsets": found[KEY_METRIC_KID_STD]}


FRECHET = {
    "ours": ours_frechet,
    "torch-fidelity": torch_fidelity_frechet,
    "pytorch-fid": pytorch_fid_frechet,
    "torchmetrics": torchmetrics_frechet,
}
KID = {"ours, all pairs": ours_kid, "torch-fidelity, 100 x 1000": torch_fidelity_kid}


def timed(name: str, work: Callable[[Tensor, Tensor], Any], x: Tensor, y: Tensor) -> dict[str, Any]:
    """One call: wall and CPU seconds and what it gave, or why it did not run."""
    wall, cpu = time.perf_counter(), time.process_time()
    try:
        found = work(x, y)
    except Exception as error:  # a peer that does not run here is a result too
        print(f"  {name}: does not run ({type(error).__name__}: {error})", flush=True)
        return {"failed": f"{type(error).__name__}: {str(error).splitlines()[0][:120]}"}
    seconds = {"wall": time.perf_counter() - wall, "cpu": time.process_time() - cpu}
    result = found if isinstance(found, dict) else {"value": found}
    print(f"  {name}: {seconds['wall']:.1f} s wall, {seconds['cpu']:.1f} s CPU, {result}", flush=True)
    return seconds | result


def race(
    contestants: dict[str, Callable[[Tensor, Tensor], Any]], n: int, d: int, *, flat: bool = False
) -> dict[str, Any]:
    small = features(max(64, n // 100), 32)
    for work in contestants.values():  # imports and first calls are not timed
        try:
            work(*small)
        except Exception:  # said again, and kept, where it is timed
            continue
    x, y = features(n, d, flat=flat)
    return {name: timed(name, work, x, y) for name, work in contestants.items()} | {"rows": n, "width": d}


def agreement(n: int = 600, d: int = 64) -> dict[str, float]:
    """Relative differences from the peers' figures on the same float64 features."""
    x, y = (rows.double() for rows in features(n, d))
    found = {}
    ours = ours_frechet(x, y)
    for name, work in FRECHET.items():
        if name != "ours":
            try:
                found[f"Frechet, {name}"] = abs(work(x, y) / ours - 1.0)
            except Exception as error:
                print(f"  {name}: does not run ({type(error).__name__})")
    try:
        theirs = torch_fidelity_kid(x, y, 1, n)["value"]
        found["KID, torch-fidelity, one subset of all rows"] = abs(theirs / ours_kid(x, y)["value"] - 1.0)
    except ImportError:
        pass
    return found


# coverage


def covering(case: Case, metric: Callable[..., Any], truth: float, repetitions: int) -> dict[str, float]:
    generator = torch.Generator().manual_seed(1)

    def draw(mean: float, deviation: float) -> Tensor:
        return mean + deviation * torch.randn(case.n, case.d, generator=generator, dtype=torch.float64)

    found = [metric(real=draw(0.0, 1.0), fake=draw(case.mean, case.deviation)) for _ in range(repetitions)]
    value, low, high = np.array([(e.value, e.low, e.high) for e in found]).T
    held = (low <= truth) & (truth <= high)
    return {
        "truth": truth, "covered": float(held.mean()), "mean": float(value.mean()), "sd": float(value.std()),
        "width": float(np.median(high - low)), "repetitions": repetitions,
    }  # fmt: skip


def coverage(repetitions: int) -> dict[str, Any]:
    results: dict[str, Any] = {"Frechet": {}, "KID": {}}
    for case in FRECHET_CASES:
        truth = float(wasserstein2_squared(*case.gaussians()))
        truth = 0.0 if truth < 1e-12 else truth
        results["Frechet"][case.name] = covering(case, frechet_distance, truth, repetitions)
        print(f"  Frechet, {case.name}: {results['Frechet'][case.name]}", flush=True)
    for case in KID_CASES:
        truth = float(kid(*case.gaussians()))
        truth = 0.0 if abs(truth) < 1e-12 else truth
        results["KID"][case.name] = covering(case, kernel_distance, truth, repetitions)
        print(f"  KID, {case.name}: {results['KID'][case.name]}", flush=True)
    return results


# the page


def versions() -> dict[str, str]:
    found = {}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def speed_table(results: dict[str, Any], ours: str) -> list[str]:
    rows = []
    for name, found in results.items():
        if not isinstance(found, dict):
            continue
        if "failed" in found:
            rows.append([name, "-", "-", "-", f"does not run: {found['failed']}"])
            continue
        ratio = found["cpu"] / results[ours]["cpu"]
        figures = ", ".join(f"{key} {value:.8g}" for key, value in found.items() if key not in ("wall", "cpu"))
        rows.append([name, f"{found['wall']:.1f}", f"{found['cpu']:.1f}", f"{ratio:.2f}", figures])
    return pages.table(["", "wall s", "CPU s", "CPU, ours = 1", "figure"], rows)


def page(stored: dict[str, Any]) -> list[str]:
    lines = ["# Fidelity: Frechet and kernel distances", "", "Made by `benchmarks/bench_fidelity.py`.", ""]
    if "speed" in stored:
        speed = stored["speed"]
        named = ", ".join(f"{name} {number}" for name, number in stored["versions"].items())
        lines += [f"One thread, every contestant once, in one process, on {stored['machine']}; {named}.", ""]
        for key, title, ours in (
            ("frechet", "Frechet distance from features with a falling spectrum", "ours"),
            ("frechet-flat", "Frechet distance from features with a flat spectrum", "ours"),
            ("kid", "KID from features", "ours, all pairs"),
        ):
            if key in speed:
                shape = f"{speed[key]['rows']:,} x {speed[key]['width']} float32 each"
                lines += [f"## {title}, {shape}", "", *speed_table(speed[key], ours), ""]
    if "agreement" in stored:
        rows = [[name, f"{value:.1e}"] for name, value in stored["agreement"].items()]
        lines += ["## Agreement", "", "Relative differences on the same 600 x 64 float64 features.", ""]
        lines += [*pages.table(["", "relative difference"], rows), ""]
    for name, cases in stored.get("coverage", {}).items():
        first = next(iter(cases.values()))
        lines += [f"## Coverage of nominal 95 % intervals: {name}", ""]
        lines += [f"{first['repetitions']} repetitions of N(0, I) against N(mean, sd^2 I), n rows each.", ""]
        keys = ("truth", "mean", "sd", "width")
        rows = [[case, f"{f['covered']:.1%}", *(f"{f[key]:.4g}" for key in keys)] for case, f in cases.items()]
        lines += [*pages.table(["", "covered", "truth", "mean", "sd", "median width"], rows), ""]
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument(
        "--only", nargs="*", choices=["frechet", "frechet-flat", "kid", "agreement"], help="what to time"
    )
    parser.add_argument("--coverage", action="store_true", help="simulate the coverage of intervals instead")
    parser.add_argument("--repetitions", type=int, default=400)
    parser.add_argument("--quick", action="store_true", help="small sizes, nothing stored")
    options = parser.parse_args()
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    found: dict[str, Any] = {}
    if options.coverage:
        found["coverage"] = coverage(5 if options.quick else options.repetitions)
    else:
        chosen = options.only or ["agreement", "kid", "frechet", "frechet-flat"]
        n, d = (1200, 64) if options.quick else (10_000, 2048)
        if "agreement" in chosen:
            found["agreement"] = agreement()
        races = {"kid": (KID, False), "frechet": (FRECHET, False), "frechet-flat": (FRECHET, True)}
        speed = {key: race(work, n, d, flat=flat) for key, (work, flat) in races.items() if key in chosen}
        found |= {"speed": speed, "versions": versions(), "machine": pages.machine()}
    if options.quick:
        print("\n".join(page(found)))
    else:
        pages.write(NAME, page(pages.store(NAME, found)))


if __name__ == "__main__":
    main()
