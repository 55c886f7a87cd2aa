"""Speed of the two-sample tests, ours beside peers that install from a registry, in turns in one process.

    python benchmarks/bench_tests_speed.py [--quick] [--only mmd aggregated ...] [--repeats 5]

For each piece of work: median seconds of ours and of the peers, their ratio, and the floor: the floating-point
operations of the matrix products inside ours, at the rate that a matrix product reaches in this process. Peers whose
time is linear in their permutations are run at two small counts and extrapolated to the full one, and marked `*`;
`--whole` runs them in full. Peak memory is that of a fresh process that does one call and nothing else, with its
imports. Peers are optional (`pip install kerneltests hyppo dcor goodpoints sbi alibi-detect`); a missing one is
skipped, and said to be. Results are merged into docs/benchmarks/two-sample.json; bench_tests_report.py makes the page.
`--quick` shrinks every size to check that the script works; its results are not stored.
"""

import argparse
import importlib.util
import math
import resource
import statistics
import subprocess
import sys
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

import two_sample_data as data
from bench_tests_power import ctt
from bench_tests_report import merge
from pushforward.twosample import distance, two_sample

Work = Callable[[data.Array, data.Array], Any]


@dataclass(frozen=True)
class Entry:
    """One contestant: `work(x, y)`. With `counts` (few, all), `work(x, y, count)` is timed at few and 2 few and
    extrapolated. `module` is the import that it needs."""

    name: str
    work: Callable[..., Any]
    module: str = "pushforward"
    counts: tuple[int, int] | None = None

    @property
    def installed(self) -> bool:
        if importlib.util.find_spec(self.module) is None:
            print(f"  {self.name}: skipped, {self.module} is not installed")
            return False
        return True


@dataclass(frozen=True)
class Found:
    """What was measured: median `seconds`, peak `megabytes` if asked for, and what there is to say."""

    name: str
    seconds: float
    extrapolated: bool = False
    megabytes: float | None = None
    note: str = ""


def seconds_of(work: Callable[[], Any]) -> float:
    """Wall time of one call."""
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def gemm_rate(dtype: torch.dtype) -> float:
    """Floating-point operations a second of a 2000 x 2000 matrix product."""
    a = torch.rand(2000, 2000, dtype=dtype)
    return 2 * 2000**3 / min(seconds_of(lambda: a @ a) for _ in range(7))


def race(entries: list[Entry], x: data.Array, y: data.Array, *, repeats: int, whole: bool) -> list[Found]:
    """Every contestant in turns, after one warm-up each on few rows."""
    entries = [e for e in entries if e.installed]
    for e in entries:
        e.work(x[:64], y[:64], *((2,) if e.counts else ()))
    times: dict[str, list[float]] = {e.name: [] for e in entries}
    for turn in range(repeats):
        for e in entries:
            if e.counts is None:
                times[e.name].append(seconds_of(lambda e=e: e.work(x, y)))
            elif turn == 0:
                times[e.name].append(_linear(e, x, y, whole))
    return [Found(e.name, statistics.median(times[e.name]), e.counts is not None and not whole) for e in entries]


def _linear(e: Entry, x: data.Array, y: data.Array, whole: bool) -> float:
    """Seconds at the full count from those at few and twice as many, or in full."""
    assert e.counts is not None
    few, all_of_them = e.counts
    if whole:
        return seconds_of(lambda: e.work(x, y, all_of_them))
    once, twice = (seconds_of(lambda c=c: e.work(x, y, c)) for c in (few, 2 * few))
    return once + (twice - once) / few * (all_of_them - few)


def peak(key: str, name: str, n: int, d: int) -> float:
    """Peak resident MB of a fresh process that does one call of a contestant."""
    command = [sys.executable, __file__, "--alone", key, name, str(n), str(d)]
    out = subprocess.run(command, capture_output=True, text=True, check=True)
    return float(out.stdout.splitlines()[-1].split()[0])


def alone(key: str, name: str, n: int, d: int) -> None:
    """Do one call and print this process's peak resident MB and the seconds."""
    entry = next(e for e in CONTESTANTS[key]() if e.name == name)
    x, y = data.shift(n, 0, d=d, size=0.1)
    entry.work(x[:64], y[:64])
    seconds = seconds_of(lambda: entry.work(x, y))
    print(f"{resident():.1f} {seconds:.3f}")


def resident() -> float:
    """Peak resident memory of this process, in MB; where it can be had, without what it inherited from its parent."""
    status = Path("/proc/self/status")
    if status.exists():
        return float(status.read_text().split("VmHWM:")[1].split()[0]) / 1e3
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1e6 if sys.platform == "darwin" else 1e3)


def _single(v: data.Array) -> torch.Tensor:
    return torch.from_numpy(v).float()


def _hyppo(x: data.Array, y: data.Array, reps: int) -> Any:
    from hyppo.ksample import MMD

    return MMD().test(x, y, reps=reps, auto=False)


def _dcor_test(x: data.Array, y: data.Array, reps: int) -> Any:
    from dcor.homogeneity import energy_test

    return energy_test(x, y, num_resamples=reps)


def _alibi(x: data.Array, y: data.Array, reps: int) -> Any:
    from alibi_detect.cd import MMDDrift

    return MMDDrift(x.astype(np.float32), backend="pytorch", n_permutations=reps).predict(y.astype(np.float32))


def _fuse(x: data.Array, y: data.Array, reps: int) -> Any:
    import kt

    return kt.two_sample(x, y, method="mmdfuse", number_permutations=reps)


def _agg(x: data.Array, y: data.Array, reps: int) -> Any:
    import kt

    return kt.two_sample(x, y, method="mmdagg", B1=reps, B2=reps)


def _dcor_distance(x: data.Array, y: data.Array) -> Any:
    import dcor

    return dcor.energy_distance(x, y)


def _cdist(x: data.Array, y: data.Array) -> float:
    from scipy.spatial.distance import cdist

    return float(2 * cdist(x, y).mean() - cdist(x, x).mean() - cdist(y, y).mean())


def _sbi(x: data.Array, y: data.Array) -> float:
    from sbi.utils.metrics import c2st

    return float(c2st(torch.from_numpy(x), torch.from_numpy(y)))


def _ridge_accuracy(x: data.Array, y: data.Array) -> float:
    return two_sample(x, y, "c2st-ridge", statistic="accuracy", permutations=99).statistic


def _few_features(x: data.Array, y: data.Array) -> bool:
    return two_sample(x, y, "mmd-rff", features=64, permutations=499).pvalue <= 0.05


CONTESTANTS: dict[str, Callable[[], list[Entry]]] = {
    "mmd": lambda: [
        Entry("ours, mmd", lambda x, y: two_sample(x, y, "mmd")),
        Entry("ours, mmd, float32", lambda x, y: two_sample(_single(x), _single(y), "mmd")),
        Entry("hyppo MMD", _hyppo, "hyppo", (5, 500)),
        Entry("dcor energy_test", _dcor_test, "dcor", (10, 500)),
        Entry("alibi-detect MMDDrift", _alibi, "alibi_detect", (10, 500)),
    ],
    "aggregated": lambda: [
        Entry("ours, default", lambda x, y: two_sample(x, y)),
        Entry("ours, default, float32", lambda x, y: two_sample(_single(x), _single(y))),
        Entry("kerneltests MMD-FUSE", _fuse, "kt", (50, 2000)),
        Entry("kerneltests MMDAgg", _agg, "kt", (50, 2000)),
    ],
    "near-linear": lambda: [
        Entry("ours, mmd-compressed", lambda x, y: two_sample(x, y, "mmd-compressed", permutations=499).pvalue <= 0.05),
        Entry("ours, mmd-compressed, float32", lambda x, y: _test32(x, y, "mmd-compressed")),
        Entry("ours, mmd-rff, 64 features", _few_features),
        Entry("goodpoints CTT", lambda x, y: ctt(x, y, 0), "goodpoints"),
    ],
    "energy": lambda: [
        Entry("ours, energy distance", lambda x, y: distance(x, y, "energy")),
        Entry("ours, energy distance, float32", lambda x, y: distance(_single(x), _single(y), "energy")),
        Entry("dcor energy_distance", _dcor_distance, "dcor"),
        Entry("scipy cdist", _cdist, "scipy"),
    ],
    "c2st": lambda: [
        Entry("ours, ridge accuracy and 99 permutations", _ridge_accuracy),
        Entry("ours, ridge AUC with interval", lambda x, y: distance(x, y, "c2st-ridge")),
        Entry("sbi c2st, forest", _sbi, "sbi"),
    ],
    "wasserstein": lambda: [
        Entry("ours, W1 with interval", lambda x, y: distance(x, y, "wasserstein-1d")),
        Entry("scipy wasserstein_distance", _scipy_w1, "scipy"),
    ],
    "large": lambda: [
        Entry(
            "ours, mmd, float32",
            lambda x, y: two_sample(_single(x), _single(y), "mmd", permutations=200, memory_budget=1_000_000_000),
        )
    ],
}


def _test32(x: data.Array, y: data.Array, method: str) -> bool:
    return two_sample(_single(x), _single(y), method).pvalue <= 0.05


def _scipy_w1(x: data.Array, y: data.Array) -> float:
    from scipy.stats import wasserstein_distance

    return float(wasserstein_distance(x[:, 0], y[:, 0]))


@dataclass(frozen=True)
class Settings:
    """How much of it to do."""

    quick: bool
    whole: bool
    repeats: int

    def size(self, full: int, small: int) -> int:
        return small if self.quick else full


def mmd(s: Settings) -> None:
    """Floor: the product of the (n+m)^2 kernel matrix with B labellings."""
    n, d, b = s.size(2000, 200), 10, 500
    x, y = data.shift(n, 0, d=d, size=0.1)
    found = race(CONTESTANTS["mmd"](), x, y, repeats=s.repeats, whole=s.whole)
    _report(s, "mmd", f"MMD permutation test, n = m = {n}, d = {d}, B = {b}", found, 2.0 * (2 * n) ** 2 * (b + d))


def aggregated(s: Settings) -> None:
    """Floor: six kernels' rows against 256 landmarks, their coordinates, and these against the labellings."""
    n, d, b, r = s.size(2000, 200), 10, 500, 256
    x, y = data.shift(n, 0, d=d, size=0.1)
    found = race(CONTESTANTS["aggregated"](), x, y, repeats=s.repeats, whole=s.whole)
    title = f"aggregated test, n = m = {n}, d = {d}; ours B = {b}, theirs their default of 2000"
    _report(s, "aggregated", title, found, 6 * 2.0 * 2 * n * r * (d + r + b))


def near_linear(s: Settings) -> None:
    """Time and power of the same shift; floor as for one kernel of 2 sqrt(n+m) landmarks."""
    d, b = 10, 499
    for n in (256, 512) if s.quick else (2048, 16384):
        size = 6.0 / math.sqrt(n)
        entries = CONTESTANTS["near-linear"]()
        found = race(entries, *data.shift(n, 0, d=d, size=size), repeats=s.repeats, whole=s.whole)
        times = s.size(50, 5)
        rates: dict[str, float] = dict.fromkeys((f.name for f in found), 0.0)
        for seed in range(1000, 1000 + times):
            x, y = data.shift(n, seed, d=d, size=size)
            for e in entries:
                if e.name in rates and "float32" not in e.name:
                    rates[e.name] += float(e.work(x, y)) / times
        noted = [replace(f, note="" if "float32" in f.name else f"power {rates[f.name]:.2f}") for f in found]
        r = 2 * math.sqrt(2 * n)
        title = f"near-linear test, n = m = {n}, d = {d}, shift {size:.3f}, B = {b}; power in {times} repetitions"
        _report(s, f"near-linear-{n}", title, noted, 2.0 * 2 * n * r * (d + r + b))


def energy(s: Settings) -> None:
    """Floor: every pair's inner product (half of the square matrix)."""
    n, d = s.size(5000, 300), 10
    x, y = data.shift(n, 0, d=d, size=0.1)
    found = race(CONTESTANTS["energy"](), x, y, repeats=s.repeats, whole=s.whole)
    found = [replace(f, megabytes=peak("energy", f.name, n, d)) for f in found]
    _report(s, "energy", f"energy distance, n = m = {n}, d = {d}", found, (2.0 * n) ** 2 * d)


def c2st(s: Settings) -> None:
    """Floor: the coordinates of all rows, and their products with the labellings."""
    n, d, r, b = s.size(2000, 200), 10, 256, 99
    x, y = data.shift(n, 0, d=d, size=2 * 0.31622777)
    bayes = 0.5 * (1 + math.erf(0.31622777 / math.sqrt(2)))
    entries = CONTESTANTS["c2st"]()
    found = race(entries, x, y, repeats=s.repeats, whole=s.whole)
    draws = [data.shift(n, seed, d=d, size=2 * 0.31622777) for seed in range(1, 1 + s.size(5, 2))]
    noted = []
    for f in found:
        e = next(e for e in entries if e.name == f.name)
        if "AUC" in f.name:
            noted.append(f)
            continue
        accuracy = statistics.mean(e.work(*draw) for draw in draws)
        noted.append(replace(f, note=f"accuracy {accuracy:.3f}, mean of {len(draws)} draws; Bayes {bayes:.3f}"))
    _report(s, "c2st", f"classifier test, n = m = {n}, d = {d}", noted, 2.0 * 2 * n * r * (d + 2 * r + 2 * b))


def wasserstein(s: Settings) -> None:
    """Floor: not a matrix product but a sort of both samples, timed here."""
    n = s.size(1_000_000, 10_000)
    x, y = data.shift(n, 0, d=1, size=0.1)
    found = race(CONTESTANTS["wasserstein"](), x, y, repeats=s.repeats, whole=s.whole)
    both = torch.from_numpy(np.stack([x[:, 0], y[:, 0]]))
    sort = min(seconds_of(lambda: both.sort(1)) for _ in range(3))
    _report(s, "wasserstein", f"exact W1 in one dimension, n = m = {n:,}", found, floor=sort)


def large(s: Settings) -> None:
    """One call in a fresh process: time and peak memory."""
    n, d, b = s.size(50_000, 1000), 16, 200
    command = [sys.executable, __file__, "--alone", "large", "ours, mmd, float32", str(n), str(d)]
    out = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    found = [Found("ours, mmd, float32", float(out[1]), megabytes=float(out[0]))]
    _report(s, "large", f"MMD permutation test, n = m = {n:,}, d = {d}, B = {b}", found, 2.0 * (2 * n) ** 2 * (b + d))


def cold(s: Settings) -> None:
    """A fresh process: seconds to import, then to the first and the second answer at n = 1000."""
    code = (
        "import time; s = time.perf_counter(); from pushforward.twosample import two_sample; import torch; "
        "i = time.perf_counter(); x, y = torch.randn(1000, 10), torch.randn(1000, 10); "
        "two_sample(x, y); f = time.perf_counter(); two_sample(x, y); "
        "print(i - s, f - i, time.perf_counter() - f)"
    )
    runs = []
    for _ in range(s.repeats):
        out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
        runs.append([float(v) for v in out.split()])
    names = ("import", "first answer after it", "second answer")
    found = [Found(name, statistics.median(v)) for name, v in zip(names, zip(*runs, strict=True), strict=True)]
    _report(s, "cold", "cold start, default test, n = m = 1000, d = 10", found)


def _report(
    s: Settings, key: str, title: str, found: list[Found], operations: float = 0.0, *, floor: float = 0.0
) -> None:
    """Print one piece of work, and store it."""
    kinds = {"float64": torch.float64, "float32": torch.float32} if operations else {}
    floors = {name: operations / gemm_rate(dtype) for name, dtype in kinds.items()} | ({"sort": floor} if floor else {})
    print(f"{title}\n  floor: {', '.join(f'{name} {value:.4f} s' for name, value in floors.items()) or 'none'}")
    for f in found:
        ratio = f.seconds / found[0].seconds
        memory = "" if f.megabytes is None else f"  {f.megabytes:.0f} MB"
        print(
            f"  {f.name:42} {f.seconds:9.4f}{'*' if f.extrapolated else ' '}s {ratio:8.1f} x{memory}  {f.note}",
            flush=True,
        )
    if not s.quick:
        stored = [{k: v for k, v in vars(f).items() if v not in ("", None)} for f in found]
        merge({"speed": {key: {"title": title, "floors": floors, "found": stored}}})


WORK: dict[str, Callable[[Settings], None]] = {
    "mmd": mmd,
    "aggregated": aggregated,
    "near-linear": near_linear,
    "energy": energy,
    "c2st": c2st,
    "wasserstein": wasserstein,
    "large": large,
    "cold": cold,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--whole", action="store_true", help="run slow peers in full")
    parser.add_argument("--only", nargs="*", default=list(WORK), choices=list(WORK))
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--alone", nargs=4, metavar=("KEY", "NAME", "N", "D"), help="one call, its peak memory")
    a = parser.parse_args()
    warnings.filterwarnings("ignore")
    if a.alone:
        alone(a.alone[0], a.alone[1], int(a.alone[2]), int(a.alone[3]))
        return
    settings = Settings(a.quick, a.whole, 2 if a.quick else a.repeats)
    if not a.quick:
        merge({"machine": {"threads": torch.get_num_threads(), "torch": torch.__version__}})
    print(f"{torch.get_num_threads()} threads; seconds are medians of {settings.repeats} turns; * extrapolated")
    for name in a.only:
        WORK[name](settings)


if __name__ == "__main__":
    main()
