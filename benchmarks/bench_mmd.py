"""MMD permutation test against the bare matrix product it contains: time ratio, peak memory, accuracy.

    python benchmarks/bench_mmd.py [--n 2000] [--d 10] [--permutations 500] [--repeats 7]

Prints the median seconds of `two_sample(x, y, "mmd")` and of K (2n x 2n) @ V (2n x B) in float32, measured in turns in
this process, and their ratio (to beat: 4); the peak resident memory of a process that runs the test and nothing else
(to beat: 600 MB); and the relative error of the statistic against a float64 brute force (to beat: 1e-6).
"""

import argparse
import resource
import statistics
import subprocess
import sys
import time
from pathlib import Path

import torch

from pushforward.twosample import two_sample


def samples(n: int, d: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Two sets of float32 rows that differ a little."""
    g = torch.Generator().manual_seed(0)
    return torch.randn(n, d, generator=g) + 0.05, torch.randn(n, d, generator=g)


def seconds(work: object) -> float:
    """Wall time of one call."""
    assert callable(work)
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def peak_megabytes(n: int, d: int, permutations: int) -> float:
    """Peak resident memory, in MB, of a fresh process that imports the library and runs one test."""
    call = f"b.two_sample(*b.samples({n}, {d}), 'mmd', permutations={permutations})"
    code = f"import bench_mmd as b; {call}; print(b.resident())"
    here = __file__.rsplit("/", 1)[0]
    out = subprocess.run([sys.executable, "-c", code], cwd=here, capture_output=True, text=True, check=True)
    return float(out.stdout)


def resident() -> float:
    """Peak resident memory of this process so far, in MB."""
    status = Path("/proc/self/status")
    if status.exists():  # ru_maxrss there begins with what the process that started this one had
        line = next(row for row in status.read_text().splitlines() if row.startswith("VmHWM"))
        return float(line.split()[1]) / 1e3
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1e6 if sys.platform == "darwin" else 1e3)


def brute_force(x: torch.Tensor, y: torch.Tensor, bandwidth: float) -> float:
    """MMD^2 (U-statistic) in float64 from whole matrices of direct differences."""

    def k(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        squares = torch.cdist(a.double(), b.double(), compute_mode="donot_use_mm_for_euclid_dist") ** 2
        return torch.exp(-squares / (2 * bandwidth**2))

    n, m = len(x), len(y)
    xx, yy = k(x, x), k(y, y)
    within = (xx.sum() - xx.trace()) / (n * (n - 1)) + (yy.sum() - yy.trace()) / (m * (m - 1))
    return float(within - 2 * k(x, y).mean())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    for name, default in (("--n", 2000), ("--d", 10), ("--permutations", 500), ("--repeats", 7)):
        parser.add_argument(name, type=int, default=default)
    a = parser.parse_args()
    x, y = samples(a.n, a.d)
    g = torch.Generator().manual_seed(1)
    kernel, members = torch.rand(2 * a.n, 2 * a.n, generator=g), torch.rand(2 * a.n, a.permutations, generator=g)
    two_sample(x, y, "mmd", permutations=a.permutations)  # warm up both
    _ = kernel @ members
    test, bare = [], []
    for _ in range(a.repeats):
        bare.append(seconds(lambda: kernel @ members))
        test.append(seconds(lambda: two_sample(x, y, "mmd", permutations=a.permutations)))
    ratio = statistics.median(test) / statistics.median(bare)
    ratios = sorted(t / b for t, b in zip(test, bare, strict=True))
    print(f"n = m = {a.n}, d = {a.d}, B = {a.permutations}, {torch.get_num_threads()} threads, median of {a.repeats}")
    print(f"test {statistics.median(test):.3f} s, bare product {statistics.median(bare):.3f} s")
    print(f"ratio {ratio:.2f} (in turns {ratios[0]:.2f} to {ratios[-1]:.2f}; to beat: 4)")
    print(f"peak memory {peak_megabytes(a.n, a.d, a.permutations):.0f} MB (to beat: 600)")
    s = 3.0
    error = abs(two_sample(x, y, "mmd", bandwidth=s, permutations=19).statistic / brute_force(x, y, s) - 1)
    print(f"relative error of the statistic {error:.1e} (to beat: 1e-6)")


if __name__ == "__main__":
    main()
