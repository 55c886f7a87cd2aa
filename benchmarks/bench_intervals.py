"""Do nominal 95 % intervals of the AUC and of the shares of copies cover the truth in 95 % of repetitions?

    python benchmarks/bench_intervals.py [--repetitions 300]

(Those of Frechet, KID and the neighbours' figures are measured by `bench_fidelity.py --coverage` and
`bench_neighbours.py --coverage`.) The AUC of a comparison is that of trees, each row judged by trees that did not see
it; its truth is the AUC of those very trees, fold against fold, on 5,000 fresh rows of each set. The share of exact
copies has the planted share as its truth; the share of fakes nearer to a training row, where nothing was copied,
n_train / (n_train + n_holdout).
"""

import argparse
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binom

import pages
from pushforward.evaluation import memorization
from pushforward.evaluation.discrimination import discriminate
from pushforward.evaluation.intervals import wilson
from pushforward.fitters.classifier import auc
from pushforward.fitters.scorers import fit_scorer

Array = NDArray[np.float64]
FOLDS, FRESH = 5, 5_000


def auc_covered(n: int, shift: float, seed: int) -> tuple[bool, float, float]:
    """Covered, value, truth; the folds are those of `cross_fitted_scores`, fitted again to judge fresh rows."""
    rng = np.random.default_rng(seed)
    x, y = rng.normal(size=(n, 2)), rng.normal([shift, 0.0], 1.0, size=(n, 2))
    found = discriminate(x, y, categorical=[], folds=FOLDS, seed=seed, level=0.95)
    if shift == 0:
        return found.low <= 0.5 <= found.high, found.auc, 0.5
    order = np.random.default_rng(seed)
    fold_x, fold_y = (order.permutation(np.arange(n) % FOLDS) for _ in range(2))
    a, b = rng.normal(size=(FRESH, 2)), rng.normal([shift, 0.0], 1.0, size=(FRESH, 2))
    scores: list[list[Array]] = [[], []]
    for k in range(FOLDS):
        scorer = fit_scorer(x[fold_x != k], y[fold_y != k], model="boosting", seed=seed + k, categorical=[])
        for side, fresh in zip(scores, (a, b), strict=True):
            side.append(scorer(fresh[k::FOLDS]))
    truth = auc(np.concatenate(scores[0]), np.concatenate(scores[1])).value
    return found.low <= truth <= found.high, found.auc, truth


def copies_covered(n: int, share: float, seed: int) -> tuple[bool, float, float]:
    rng = np.random.default_rng(seed)
    train, fake = rng.normal(size=(2 * n, 3)), rng.normal(size=(n, 3))
    copied = rng.random(n) < share
    fake[copied] = train[rng.integers(0, len(train), copied.sum())]
    value = memorization.duplicates(fake, train)
    low, high = wilson(value, n)
    return low <= share <= high, value, share


def closer_covered(n: int, share: float, seed: int) -> tuple[bool, float, float]:
    """`share` of the real rows were trained on; FAKE is of the same law, or (n odd) of another."""
    rng = np.random.default_rng(seed)
    trained = round(2 * n * share)
    real, fake = rng.normal(size=(2 * n, 3)), rng.normal(size=(n, 3)) * (1.0 if n % 2 == 0 else 0.5)
    figures, _ = memorization.look_for_copies(
        fake, real[:trained], real[trained:], level=0.95, seed=seed, most_queries=n, most_rows=2 * n
    )
    return figures["closer_low"] <= share <= figures["closer_high"], figures["closer"], share


CASES: list[tuple[str, Callable[[int, float, int], tuple[bool, float, float]], int, float]] = [
    ("share of exact copies, 5 % of 500", copies_covered, 500, 0.05),
    ("share of exact copies, 1 % of 2,000", copies_covered, 2000, 0.01),
    ("share nearer to training rows, 500 fakes, half trained on", closer_covered, 500, 0.5),
    ("share nearer to training rows, 501 narrow fakes, 80 % trained on", closer_covered, 501, 0.8),
    ("AUC, n = m = 200, equal", auc_covered, 200, 0.0),
    ("AUC, n = m = 200, shift 1", auc_covered, 200, 1.0),
]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repetitions", type=int, default=300)
    options = parser.parse_args()
    rows = []
    for name, run, n, setting in CASES:
        found = [run(n, setting, seed) for seed in range(options.repetitions)]
        covered = [one[0] for one in found]
        values, truths = (np.array([one[k] for one in found]) for k in (1, 2))
        rows.append(
            [name, f"{np.mean(covered):.1%}", f"{truths.mean():.4f}", f"{values.mean():.4f}", f"{values.std():.4f}"]
        )
        print(" | ".join(rows[-1]), flush=True)
    band = binom.interval(0.999, options.repetitions, 0.95)
    pages.write(
        "intervals",
        [
            "# Intervals of the AUC and of copies",
            "",
            "Made by `python benchmarks/bench_intervals.py`; its head says what the truths are. Share of",
            f"{options.repetitions} repetitions in which a nominal 95 % interval covers the truth; by chance it lies",
            f"between {band[0] / options.repetitions:.1%} and {band[1] / options.repetitions:.1%} (99.9 %).",
            "",
            *pages.table(["interval", "covered", "truth (mean)", "value (mean)", "value (sd)"], rows),
        ],
    )


if __name__ == "__main__":
    main()
