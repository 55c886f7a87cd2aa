"""Figures of nearest neighbours: speed and memory beside peers in one process run, published numbers, and intervals.

    python benchmarks/bench_neighbours.py [--only prdc gower numbers] [--coverage] [--repetitions 300] [--quick]

Peers are optional (`pip install prdc sdmetrics`); a missing one is skipped, and said to be. Work is timed in turns, and
medians are shown; ratios are of CPU seconds, which other work on the machine disturbs least. Peak memory is that of a
fresh process that does one call, less that of the same process without the call. sdmetrics' nearest record takes
minutes at full size: it is timed on fewer rows, and extrapolated in proportion to the pairs of rows (marked `*`).
`--coverage` simulates the intervals. Results are merged into the stored docs/benchmarks/neighbours.json, and the page
is written from it; `--quick` shrinks every size and stores nothing.
"""

import argparse
import contextlib
import importlib.util
import io
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

import pages
from pushforward.evaluation.neighbours import gower_nearest, neighbour_scores
from pushforward.evaluation.neighbours.manifolds import NAMES, expected_coverage

NAME = "neighbours"
SETTINGS = {  # n, m, d, shift of the fakes (with a spread of .9; none where the shift is 0)
    "equal, d = 3": (600, 600, 3, 0.0),
    "d = 2": (800, 800, 2, 0.5),
    "d = 5, twice the fakes": (400, 800, 5, 0.3),
    "d = 8": (1000, 1000, 8, 0.2),
    "d = 32": (800, 800, 32, 0.1),
    "d = 64": (500, 500, 64, 0.2),
}


def normal(seed: int, rows: int, width: int) -> torch.Tensor:
    return torch.randn(rows, width, generator=torch.Generator().manual_seed(seed))


def seconds(work: Callable[[], Any]) -> tuple[float, float]:
    """Of the clock, and of the CPU."""
    start, busy = time.perf_counter(), time.process_time()
    with contextlib.redirect_stdout(io.StringIO()):
        work()
    return time.perf_counter() - start, time.process_time() - busy


def medians(calls: dict[str, Callable[[], Any]], turns: int) -> tuple[dict[str, float], dict[str, float]]:
    """Seconds of the clock and of the CPU by name: medians of `turns`, in each of which every call has its turn."""
    taken: dict[str, list[tuple[float, float]]] = {name: [] for name in calls}
    for _ in range(turns):
        for name, call in calls.items():
            taken[name].append(seconds(call))
    clock, cpu = ({name: statistics.median(t[i] for t in times) for name, times in taken.items()} for i in (0, 1))
    return clock, cpu


def work(name: str, rows: int) -> Callable[[], Any]:
    """One contestant's work on `rows` rows, ready to be called."""
    if name in ("prdc", "ours", "ours with intervals"):
        x, y = normal(0, rows, 64), normal(1, rows, 64) + 0.1
        if name == "prdc":
            import prdc

            return lambda: prdc.compute_prdc(x.numpy(), y.numpy(), 5)
        return lambda: neighbour_scores(real=x, fake=y, k=5, intervals=name != "ours")
    tables = [mixed(seed, rows) for seed in (0, 1)]
    if name == "gower":
        kinds = ["numeric"] * 9 + ["category"] * 6
        return lambda: gower_nearest(queries=tables[0], rows=tables[1], kinds=kinds)
    if name == "sdmetrics":
        import pandas as pd
        from sdmetrics.single_table.privacy.dcr_utils import calculate_dcr

        frames = [pd.DataFrame(table.numpy(), columns=[f"c{j}" for j in range(15)]) for table in tables]
        kind = {f"c{j}": {"sdtype": "numerical" if j < 9 else "categorical"} for j in range(15)}
        return lambda: calculate_dcr(frames[0], frames[1], {"columns": kind})
    return lambda: None


def mixed(seed: int, rows: int) -> torch.Tensor:
    """Nine columns of numbers, one of a hundred missing, and six of categories."""
    generator = torch.Generator().manual_seed(seed)
    numbers = torch.randn(rows, 9, generator=generator).double()
    numbers[torch.rand(rows, 9, generator=generator) < 0.01] = float("nan")
    return torch.cat([numbers, torch.randint(0, 6, (rows, 6), generator=generator).double()], 1)


def peak(name: str, rows: int) -> float:
    """Megabytes of a fresh process at its peak."""
    command = [sys.executable, __file__, "--peak", name, str(rows)]
    return float(subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()[-1])


def there(module: str) -> bool:
    found = importlib.util.find_spec(module) is not None
    if not found:
        print(f"{module}: skipped, it is not installed")
    return found


def bench_prdc(quick: bool) -> dict[str, Any]:
    rows = 1_000 if quick else 10_000
    names = ["ours", "ours with intervals", *(["prdc"] if there("prdc") else [])]
    found, cpu = medians({name: work(name, rows) for name in names}, 1 if quick else 3)
    memory = {name: peak(name, rows) - peak(f"idle {name}", rows) for name in names}  # what peers import differs
    print("seconds", found, "of CPU", cpu, "MB", memory)
    return {
        "prdc": {"rows": rows, "seconds": found, "cpu": cpu, "megabytes": memory, "threads": torch.get_num_threads()}
    }


def bench_gower(quick: bool) -> dict[str, Any]:
    rows, few = (1_000, 300) if quick else (10_000, 1_500)
    calls = {"ours": work("gower", rows)} | ({"sdmetrics": work("sdmetrics", few)} if there("sdmetrics") else {})
    clock, cpu = medians(calls, 3)
    found: dict[str, Any] = {"rows": rows, "few": few, "seconds": clock, "cpu": cpu, "threads": torch.get_num_threads()}
    if "sdmetrics" in calls:
        found["scale"] = (rows / few) ** 2
        theirs = work("sdmetrics", few)().to_numpy()
        a, b = mixed(0, few), mixed(1, few)
        same = gower_nearest(queries=a, rows=b, kinds=["numeric"] * 9 + ["category"] * 6).distance.numpy()
        found["difference"] = float(np.abs(theirs - same).max())
    print("gower", found)
    return {"gower": found}


def bench_numbers(quick: bool) -> dict[str, Any]:
    rows, width = (500, 100) if quick else (10_000, 1_000)
    found = neighbour_scores(real=normal(2, rows, width), fake=normal(3, rows, width), k=5)
    print("N(0, I_1000)", found)
    values = {name: [(e := getattr(found, name)).value, e.low, e.high] for name in NAMES}
    return {"numbers": {"rows": rows, "width": width, "values": values, "expected": expected_coverage(rows, rows, 5)}}


def bench_coverage(repetitions: int) -> dict[str, Any]:
    """How often intervals hold the expectation: the mean of all repetitions, clipped figures by their own rule."""
    stored = {}
    for setting, (n, m, width, shift) in SETTINGS.items():
        generator, found = torch.Generator().manual_seed(5), []
        for _ in range(repetitions):
            x = torch.randn(n, width, generator=generator)
            y = torch.randn(m, width, generator=generator) * (0.9 if shift else 1.0) + shift
            scores = neighbour_scores(real=x, fake=y, k=5, generator=generator)
            found.append([[e.value, e.low, e.high] for e in (getattr(scores, name) for name in NAMES[:4])])
        value, low, high = torch.tensor(found, dtype=torch.float64).unbind(2)
        truth = value.mean(0)
        hits = ((low <= truth) & (truth <= high)).double().mean(0)
        stored[setting] = {
            "repetitions": repetitions,
            "truth": dict(zip(NAMES, truth.tolist(), strict=False)),
            "held": dict(zip(NAMES, hits.tolist(), strict=False)),
        }
        print(setting, stored[setting], flush=True)
    return {"coverage": stored}


def page(results: dict[str, Any]) -> list[str]:
    lines = ["# Nearest neighbours", "", f"Measured by `benchmarks/bench_neighbours.py`: {results['machine']}.", ""]
    if "prdc" in results:
        found = results["prdc"]
        base, mem = found["cpu"].get("prdc"), found["megabytes"].get("prdc")
        lines += [f"## Precision, recall, density, coverage: n = m = {found['rows']:,}, d = 64, k = 5", ""]
        rows = [
            [name, f"{s:.2f}", f"{found['cpu'][name]:.2f}", f"{base / found['cpu'][name]:.1f}x" if base else "-",
             f"{found['megabytes'][name]:,.0f}",
             f"{found['megabytes'][name] / mem:.3f}" if mem else "-"]
            for name, s in found["seconds"].items()
        ]  # fmt: skip
        lines += pages.table(["", "seconds", "CPU seconds", "prdc's over it", "peak MB", "of prdc's"], rows)
        lines += ["", f"Threads: {found['threads']}. Ours gives the clipped figures too. Peak memory is above that of a"
                  " process without the call.", ""]  # fmt: skip
    if "gower" in results:
        found = results["gower"]
        lines += [
            f"## Nearest record by Gower's distance: {found['rows']:,} x {found['rows']:,} x 15 mixed columns",
            "",
        ]
        scale = {"ours": 1.0, "sdmetrics": found.get("scale", 1.0)}
        cpu = {name: spent * scale[name] for name, spent in found["cpu"].items()}
        rows = [
            [name + " *" * (scale[name] > 1), f"{s * scale[name]:.2f}", f"{cpu[name]:.2f}",
             f"{cpu['sdmetrics'] / cpu[name]:.0f}x" if "sdmetrics" in cpu else "-"]
            for name, s in found["seconds"].items()
        ]  # fmt: skip
        lines += pages.table(["", "seconds", "CPU seconds", "sdmetrics' over it"], rows)
        if "sdmetrics" in cpu:
            lines += ["", f"\\* {found['cpu']['sdmetrics']:.2f} CPU seconds at {found['few']:,} x {found['few']:,}, "
                      f"extrapolated by pairs. Threads: {found['threads']}. Greatest difference of a distance: "
                      f"{found['difference']:.0e}.", ""]  # fmt: skip
    if "numbers" in results:
        found = results["numbers"]
        lines += [f"## Equal distributions N(0, I), n = m = {found['rows']:,}, d = {found['width']:,}, k = 5", ""]
        rows = [[name, f"{v:.4f}", f"[{a:.4f}, {b:.4f}]"] for name, (v, a, b) in found["values"].items()]
        lines += pages.table(["", "value", "interval"], rows)
        lines += ["", f"Expected: density 1, coverage {found['expected']:.4f}.", ""]
    if "coverage" in results:
        lines += ["## Share of nominal 95 % intervals that hold the expectation at these sizes", ""]
        rows = [
            [f"{name} ({SETTINGS[name][0]}, {SETTINGS[name][1]})", *(f"{found['held'][n]:.3f}" for n in NAMES[:4]),
             str(found["repetitions"])]
            for name, found in results["coverage"].items() if name in SETTINGS
        ]  # fmt: skip
        lines += pages.table(["normals (n, m), k = 5", *NAMES[:4], "repetitions"], rows)
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="*", default=["prdc", "gower", "numbers"])
    parser.add_argument("--coverage", action="store_true")
    parser.add_argument("--repetitions", type=int, default=300)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--peak", nargs=2, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.peak:
        call = work(asked.peak[0].removeprefix("idle "), int(asked.peak[1]))
        if not asked.peak[0].startswith("idle "):
            seconds(call)
        lines = Path("/proc/self/status").read_text().splitlines()  # getrusage would remember the parent's peak
        print(int(next(line for line in lines if line.startswith("VmHWM")).split()[1]) / 1024)
        return
    work_by_name: dict[str, Callable[[], dict[str, Any]]] = {
        "prdc": lambda: bench_prdc(asked.quick),
        "gower": lambda: bench_gower(asked.quick),
        "numbers": lambda: bench_numbers(asked.quick),
    }
    chosen = [work_by_name[name] for name in work_by_name if name in asked.only]
    if asked.coverage:
        chosen.append(lambda: bench_coverage(20 if asked.quick else asked.repetitions))
    for bench in chosen:
        found = bench()
        if asked.quick:
            print(json.dumps(found, indent=1))
        else:
            pages.write(NAME, page(pages.store(NAME, found | {"machine": pages.machine()})))


if __name__ == "__main__":
    main()
