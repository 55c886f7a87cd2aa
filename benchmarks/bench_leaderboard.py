"""Every family that takes tables, on the same rows and under the same budget: one leaderboard.

    python benchmarks/bench_leaderboard.py diamonds sample:diamonds --target price [--models copula] [--seconds 60]
    python benchmarks/bench_leaderboard.py flights FLIGHTS.csv --target arr_delay --rows 60000

A fifth of the rows is held out, of which at most 5,000 judge. Models are fitted one after another, those trained by
steps for `--seconds` each, and every model is kept as soon as it is judged. Columns: AUC of boosted trees telling
samples from held-out rows, cross-fitted (.5 is perfect), with its interval; the quality score of sdmetrics' definition;
R2 of boosted trees trained on 4,000 samples and tested on held-out rows (TSTR); `followed`: the share of samples that
stick to single training rows (closer to them than held-out rows can explain); log-likelihood of held-out rows in nats,
and what sort of figure it is; wall seconds and this process's own CPU seconds of the fit; numbers learned. `real` holds
the same figures between held-out and training rows.
"""

from __future__ import annotations

import argparse
import time
from typing import Any

import torch

import explicit
from pushforward.data.sources import read
from pushforward.errors import InputError
from pushforward.evaluation.contest import Contest, contest
from pushforward.models import NAMES, by_name
from pushforward.models.choosing.candidates import SETTINGS, estimators, unfit

FAMILIES = ("independent", "copula", "trees", "trees-40", "bootstrap")  # first those without steps, then all others
NOT_FOR_THIS = ("auto", "imputer", "score-difference", "drifting", "bigan", "infogan")  # for another purpose


def table_families() -> list[str]:
    """The names of all families that draw tables."""
    found = list(FAMILIES)
    for name in NAMES:
        family = by_name(name)
        takes = "table" in getattr(family, "kinds", ("points", "images", "table"))
        if name not in (*found, *NOT_FOR_THIS) and takes and not unfit(family):
            found.append(name)
    return found


def figures(found: Contest, name: str) -> dict[str, Any]:
    """The row of one model."""
    one, entry = found.board.comparisons[name], found.entry(name)
    copies = one.copies
    followed = None
    if copies.closer is not None and copies.expected is not None:
        followed = max(0.0, (copies.closer - copies.expected) / (1 - copies.expected))
    verdict = one.verdict
    likelihood = found.figure(name, "log_likelihood")
    row: dict[str, Any] = {"AUC": round(verdict.auc, 4), "interval": f"{verdict.auc_low:.3f} … {verdict.auc_high:.3f}"}
    for figure in ("quality", "tstr"):
        metric = found.figure(name, figure)
        row[figure] = None if metric is None else round(metric.value, 4)
    row["followed"] = None if followed is None else round(followed, 3)
    row["copies found"] = "yes" if any("copies" in finding.name for finding in one.findings) else "no"
    row["nats"] = None if likelihood is None else round(likelihood.value, 3)
    row["likelihood"] = entry.likelihood.split(";")[0]
    row |= {"seconds": round(entry.seconds, 1), "CPU seconds": round(entry.cpu, 1), "numbers": entry.numbers}
    return row | {"rows": entry.rows}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("section", choices=("diamonds", "flights"))
    parser.add_argument("data")
    parser.add_argument("--target", required=True)
    parser.add_argument("--models", nargs="+")
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--rows", type=int)
    parser.add_argument("--judged", type=int, default=5000)
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    torch.set_num_threads(1)
    data = read(asked.data)
    if asked.rows is not None and asked.rows < len(data):
        order = torch.randperm(len(data), generator=torch.Generator().manual_seed(asked.seed))
        data = data.take(order[: asked.rows].sort().values)
    for name in asked.models or table_families():
        started = time.perf_counter()
        if name not in SETTINGS and name not in NAMES:
            print(f"{name}: not in this version", flush=True)
            continue
        model = estimators([name], "table", steps=None, device="cpu", seed=asked.seed)
        try:
            found = contest(
                data, models=model, budget=asked.seconds, target=asked.target, most_judged=asked.judged, seed=asked.seed
            )
        except InputError as reason:
            print(f"{name}: {reason}", flush=True)
            continue
        row = figures(found, name)
        real = {figure: found.ceiling(figure) for figure in ("auc", "quality", "tstr")}
        explicit.keep(asked.section, name, row)
        explicit.keep(
            asked.section,
            "real",
            {"AUC": real["auc"], "quality": real["quality"], "tstr": real["tstr"], "rows": found.train},
        )
        print(f"{name} ({time.perf_counter() - started:.0f} s in all): {row}; real {real}", flush=True)
    explicit.page()


if __name__ == "__main__":
    main()
