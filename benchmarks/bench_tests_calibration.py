"""Type-I error of every two-sample method: rejections in many repetitions on three null families.

    python benchmarks/bench_tests_calibration.py [--repetitions 1000] [--methods mmd ks ...] [--workers 2]

x and y have 36 and 28 rows of one distribution: whole numbers with ties, a heavy-tailed one, one of 500 dimensions
(`two_sample_data.NULLS`). A rate is inside the exact 99.9 % band where the binomial law of a valid test would put it
999 times in 1000; below the band a test is conservative, above it broken. Sequential tests report the p-value at their
largest wealth, that is under the worst optional stopping. Results are merged into docs/benchmarks/two-sample.json after
every method; bench_tests_report.py makes the page.
"""

import argparse
import json
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import torch
from scipy.stats import binom

from pushforward.errors import InputError
from pushforward.fitters import CriticFitter
from pushforward.fitters.deep_kernel import DeepKernelFitter
from pushforward.fitters.lipschitz import LipschitzCriticFitter
from pushforward.twosample import METHODS, two_sample
from two_sample_data import NULLS

RESULTS = Path(__file__).resolve().parent.parent / "docs" / "benchmarks" / "two-sample.json"
N, M, PERMUTATIONS = 36, 28, 99
ALPHAS = (0.05, 0.01)
QUICK = CriticFitter(width=8, depth=1, steps=20)


def _bounded(z: torch.Tensor) -> torch.Tensor:
    return torch.cat([z[:, :4].tanh(), z[:, :4].cos()], 1)


def _log_normal(shift: float) -> Callable[[torch.Tensor], torch.Tensor]:
    return lambda z: -0.5 * ((z - shift) ** 2).sum(1)


OPTIONS: dict[str, list[tuple[str, dict[str, Any]]]] = {
    "c2st": [("logistic", {"model": "logistic"}), ("forest of 10", {"model": "small-forest"})],
    "c2st-accuracy": [
        ("logistic", {"model": "logistic"}),
        ("logistic, binomial", {"model": "logistic", "null": "binomial"}),
    ],
    "c2st-ridge": [("margin", {}), ("auc", {"statistic": "auc"}), ("accuracy", {"statistic": "accuracy"})],
    "critic": [("20 steps", {"fitter": QUICK})],
    "mmd-deep": [("10 steps", {"fitter": DeepKernelFitter(width=8, steps=10)})],
    "lipschitz-critic": [("20 steps", {"fitter": LipschitzCriticFitter(width=8, depth=1, steps=20)})],
    "nwj": [("logistic", {"model": "logistic"})],
    "dv": [("logistic", {"model": "logistic"})],
    "tv-accuracy": [("logistic", {"model": "logistic"})],
    "dudley": [("16 rows", {"rows": 16})],
    "me": [("20 steps", {"steps": 20})],
    "scf": [("20 steps", {"steps": 20})],
    "lrt": [("two normals", {"log_p": _log_normal(0.0), "log_q": _log_normal(0.3)})],
    "ipm": [("8 bounded functions", {"functions": _bounded})],
    "friedman-rafsky": [(s, {"statistic": s}) for s in ("original", "generalised", "weighted", "max")],
}
"""Method -> variants (name, options); the others run with their defaults."""
ONE_COLUMN = {"wasserstein-1d", "wald-wolfowitz"}


def batch(method: str, variant: int, family: str, seeds: range) -> tuple[list[float], str]:
    """The p-values for these seeds, and why the method refused the family, if it did."""
    torch.set_num_threads(1)
    options = OPTIONS.get(method, [("", {})])[variant][1]
    if options.get("model") == "small-forest":
        from sklearn.ensemble import RandomForestClassifier

        options = options | {"model": RandomForestClassifier(10, min_samples_leaf=3)}
    pvalues = []
    for seed in seeds:
        x, y = NULLS[family](N, seed, m=M)
        if method in ONE_COLUMN:
            x, y = x[:, :1], y[:, :1]
        try:
            pvalues.append(two_sample(x, y, method, permutations=PERMUTATIONS, alpha=0.01, seed=seed, **options).pvalue)
        except InputError as error:
            return pvalues, str(error)
    return pvalues, ""


def band(repetitions: int, alpha: float) -> tuple[int, int]:
    """Rejections between which a test of exact level lies with probability .999."""
    return int(binom.ppf(0.0005, repetitions, alpha)), int(binom.ppf(0.9995, repetitions, alpha))


def store(name: str, found: dict[str, Any], repetitions: int) -> None:
    """Merge one method's counts into the results."""
    results = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    found = {"repetitions": repetitions} | found
    results.setdefault("calibration", {}).setdefault("methods", {})[name] = found
    RESULTS.parent.mkdir(parents=True, exist_ok=True)
    RESULTS.write_text(json.dumps(results, indent=1) + "\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repetitions", type=int, default=1000)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--methods", nargs="*", default=[name for name, method in METHODS.items() if method.test])
    a = parser.parse_args()
    pieces = [range(s, min(s + 50, a.repetitions)) for s in range(0, a.repetitions, 50)]
    with ProcessPoolExecutor(a.workers) as pool:
        for method in a.methods:
            for number, (variant, _) in enumerate(OPTIONS.get(method, [("", {})])):
                name, found, started = f"{method} ({variant})" if variant else method, {}, time.perf_counter()
                jobs = {
                    family: [pool.submit(batch, method, number, family, piece) for piece in pieces] for family in NULLS
                }
                for family, futures in jobs.items():
                    parts = [future.result() for future in futures]
                    refused = next((why for _, why in parts if why), "")
                    pvalues = [p for ps, _ in parts for p in ps]
                    counts = {f"{alpha:g}": sum(p <= alpha for p in pvalues) for alpha in ALPHAS}
                    found[family] = {"refused": refused} if refused else counts
                store(name, found, a.repetitions)
                shown = {
                    family: "refused"
                    if counts.get("refused")
                    else {
                        alpha: f"{count}{'' if count <= band(a.repetitions, float(alpha))[1] else ' HIGH'}"
                        for alpha, count in counts.items()
                    }
                    for family, counts in found.items()
                }
                print(f"{name}: {shown} {time.perf_counter() - started:.0f} s", flush=True)


if __name__ == "__main__":
    main()
