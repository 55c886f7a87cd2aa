"""Power of the two-sample tests, ours beside the peers that install from a registry, on the same draws.

    python benchmarks/bench_tests_power.py [--rows ...] [--methods ...] [--repetitions 200] [--peers | --no-peers]

Rejection rates at alpha = .05 with Wilson 95 % intervals. Every method sees the same x and y of each repetition: seed
`--first-seed` onwards. On Blob, published figures are of tests that train on half the rows; tests that do not split get
both halves, 18 n rows of each set for n per mode. Peers run with their own defaults, save that goodpoints' CTT is given
the median distance as bandwidth, compression level 4 and 499 permutations; the slow ones get `--peer-repetitions`, and
none where n is beyond `PEER_ROWS`. They are optional: `pip install kerneltests goodpoints`; one that is missing is
skipped, and said to be. Results are merged into docs/benchmarks/two-sample.json after every method of every row;
bench_tests_report.py makes the page.
"""

import argparse
import importlib.util
import time
from collections.abc import Callable
from concurrent.futures import Executor, ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial

import torch
from scipy.spatial.distance import pdist

import two_sample_data as data
from bench_tests_report import merge, wilson
from pushforward.twosample import two_sample

ALPHA = 0.05
CHUNK = 10  # repetitions in one job


@dataclass(frozen=True)
class Row:
    """`draw(seed)` gives x and y; `published` holds others' rates, as printed by their authors."""

    title: str
    draw: Callable[[int], tuple[data.Array, data.Array]]
    rows: int
    published: dict[str, float]


def _mixture(n: int, fuse: float, agg: float, deep: float, automl: float) -> Row:
    quoted = {"MMD-FUSE": fuse, "MMDAgg": agg, "MMD-D": deep, "AutoML": automl, "MMD, median": 0.05}
    return Row(f"mixture, n = {n}", partial(data.mixture, n), n, quoted)


def _blob(n: int, published: bool, quoted: dict[str, float]) -> Row:
    kind = "multiplied by L" if published else "multiplied by L'"
    return Row(f"Blob {kind}, {n} per mode", partial(data.blob, 18 * n, published=published), 18 * n, quoted)


_AUTOML = {
    10: {"AutoML, witness": 0.56, "AutoML, accuracy": 0.39},
    20: {"AutoML, witness": 0.984, "AutoML, accuracy": 0.84},
}
_LR = {500: {"kernel LR": 0.995, "AggMMD": 0.45}, 1500: {"kernel LR": 0.835, "AggMMD": 0.165}}
_SPIKES = {500: 10.0, 1500: 15.0}
_UNIFORM = {
    1: Row(
        "perturbed uniform, d = 1, n = 1500",
        partial(data.perturbed_uniform, 1500, d=1, amplitude=0.2),
        1500,
        {"MMDAgg": 0.785},
    ),
    2: Row(
        "perturbed uniform, d = 2, n = 1500",
        partial(data.perturbed_uniform, 1500, d=2, amplitude=0.4),
        1500,
        {"MMD-FUSE": 0.69},
    ),
}
ROWS: dict[str, Row] = {
    "mixture-500": _mixture(500, 0.18, 0.19, 0.135, 0.12),
    "mixture-1500": _mixture(1500, 0.635, 0.665, 0.335, 0.415),
    "mixture-3000": _mixture(3000, 0.97, 0.99, 0.73, 0.87),
    "uniform-1": _UNIFORM[1],
    "uniform-2": _UNIFORM[2],
    **{f"blob-{n}": _blob(n, False, {}) for n in _AUTOML},
    **{f"blob-published-{n}": _blob(n, True, quoted) for n, quoted in _AUTOML.items()},
    **{f"hdgm-{n}": Row(f"HDGM, d = 10, n = {n}", partial(data.hdgm, n), n, {}) for n in (1000, 2000, 4000)},
    **{
        f"spiked-{d}": Row(
            f"spike of {_SPIKES[d]:g}, d = {d}, n = 100", partial(data.spiked, 100, d=d, spike=_SPIKES[d]), 100, quoted
        )
        for d, quoted in _LR.items()
    },
    "laplace": Row("normal against Laplace, d = 1, n = 250", partial(data.laplace, 250), 250, {}),
    "shift": Row("shift of .25, d = 5, n = 250", partial(data.shift, 250, d=5, size=0.25), 250, {}),
}


def _kerneltests(name: str, x: data.Array, y: data.Array, seed: int) -> bool:
    import kt

    return bool(kt.two_sample(x, y, method=name, alpha=ALPHA, seed=seed))


def ctt(x: data.Array, y: data.Array, seed: int) -> bool:
    from goodpoints.ctt import ctt

    width = float(sorted(pdist(x[:500]))[len(x[:500]) * (len(x[:500]) - 1) // 4])
    return float(ctt(x, y, 4, B=499, lam=width, null_seed=seed, statistic_seed=seed, alpha=ALPHA).rejects) > 0.5


def _ours(name: str, x: data.Array, y: data.Array, seed: int) -> bool:
    return two_sample(x, y, name, seed=seed).pvalue <= ALPHA


OURS = ("mmd-agg", "c2st-ridge", "mmd", "energy")
METHODS: dict[str, Callable[[data.Array, data.Array, int], bool]] = {
    **{name: partial(_ours, name) for name in OURS},
    "kerneltests mmdagg": partial(_kerneltests, "mmdagg"),
    "kerneltests mmdfuse": partial(_kerneltests, "mmdfuse"),
    "goodpoints ctt": ctt,
}
MODULES = {"kerneltests mmdagg": "kt", "kerneltests mmdfuse": "kt", "goodpoints ctt": "goodpoints"}
PEER_ROWS = {"kerneltests mmdagg": 1500, "kerneltests mmdfuse": 500, "goodpoints ctt": 10**9}


def batch(row: str, method: str, seeds: range) -> tuple[int, float]:
    """Rejections over these seeds, and the seconds that the tests took."""
    torch.set_num_threads(1)
    rejections, seconds = 0, 0.0
    for seed in seeds:
        x, y = ROWS[row].draw(seed)
        started = time.perf_counter()
        rejections += METHODS[method](x, y, seed)
        seconds += time.perf_counter() - started
    return rejections, seconds


def measure(pool: Executor, row: str, method: str, seeds: range) -> None:
    """One cell of the table: run, merge into the results, print."""
    pieces = [seeds[i : i + CHUNK] for i in range(0, len(seeds), CHUNK)]
    found = list(pool.map(batch, [row] * len(pieces), [method] * len(pieces), pieces))
    rejections, seconds = sum(r for r, _ in found), sum(s for _, s in found)
    cell = {"rejections": rejections, "repetitions": len(seeds), "seconds": round(seconds / len(seeds), 4)}
    described = {"title": ROWS[row].title, "order": list(ROWS).index(row), "published": ROWS[row].published}
    merge({"power": {row: {**described, "methods": {method: cell}}}})
    low, high = wilson(rejections, len(seeds))
    rate = rejections / len(seeds)
    print(f"{row:20} {method:20} {rate:.3f} [{low:.3f}, {high:.3f}] {seconds / len(seeds):.3f} s", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", nargs="*", default=list(ROWS), choices=list(ROWS), metavar="ROW")
    parser.add_argument("--methods", nargs="*", default=list(METHODS), choices=list(METHODS), metavar="METHOD")
    parser.add_argument("--repetitions", type=int, default=200)
    parser.add_argument("--peer-repetitions", type=int, default=40, help="of kerneltests, which takes seconds a test")
    parser.add_argument("--peers", action=argparse.BooleanOptionalAction, default=True)
    parser.add_argument("--first-seed", type=int, default=1000)
    parser.add_argument("--workers", type=int, default=2)
    a = parser.parse_args()
    missing = {m for m, module in MODULES.items() if importlib.util.find_spec(module) is None}
    for method in sorted(missing & set(a.methods)) if a.peers else ():
        print(f"{method}: skipped, {MODULES[method]} is not installed")
    with ProcessPoolExecutor(a.workers) as pool:
        for row in a.rows:
            for method in a.methods:
                if method in MODULES and (not a.peers or method in missing or ROWS[row].rows > PEER_ROWS[method]):
                    continue
                repetitions = a.peer_repetitions if MODULES.get(method) == "kt" else a.repetitions
                measure(pool, row, method, range(a.first_seed, a.first_seed + repetitions))


if __name__ == "__main__":
    main()
