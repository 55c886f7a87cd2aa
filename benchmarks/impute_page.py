"""docs/benchmarks/impute.md, of what `bench_impute.py` measured."""

import json
from typing import Any

import numpy as np

import pages

DRAWS = 10
DECK = 20_000  # training rows that neighbours are looked for among
FEW = 10_000  # to which slow regressions are fitted
LEVELS = 12  # most frequent levels of a column that get an indicator of their own
OURS = ("ours", "ours-game")
METHODS = (
    "mean-mode",
    "marginal-draw",
    "iterative",
    "iterative-posterior",
    "iterative-bounded",
    "iterative-bounded-posterior",
    "iterative-onehot",
    "iterative-onehot-posterior",
    "iterative-trees",
    "knn",
    *OURS,
)
ABOUT = {
    "mean-mode": "the training mean of a number, the most frequent level of a category",
    "marginal-draw": "every cell drawn from its column's training values",
    "iterative": "scikit-learn's IterativeImputer as it comes (BayesianRidge), categories as ranks by frequency",
    "iterative-posterior": "the same with sample_posterior=True",
    "iterative-bounded": "IterativeImputer with every column's least and greatest training value as its bounds",
    "iterative-bounded-posterior": "the same with sample_posterior=True",
    "iterative-onehot": f"bounded, on {FEW:,} rows, with indicators of a category's {LEVELS} most frequent levels",
    "iterative-onehot-posterior": "the same with sample_posterior=True",
    "iterative-trees": f"bounded, with ExtraTreesRegressor (as MissForest), 3 rounds, {FEW:,} rows",
    "knn": f"the values of the {DRAWS} nearest of {DECK:,} training rows by the cells seen (Gower's distance)",
    "ours": "`Imputer()` as it comes",
    "ours-game": "`Imputer(objective='rpgan')`: the same with a game that refines the numbers",
}


HEAD = """Made by `python benchmarks/bench_impute.py` (`tables`, `moons`, `digits`, then `page`): its head says how.

Energy score of a row with missing cells, of draws X, X' and the truth y: E|X - y| - E|X - X'| / 2, lower is better
(strictly proper: no law has as low a mean as the true conditional one; Gneiting and Raftery 2007). The norm is over
the missing cells of the row, numbers in training standard deviations, two different levels of a category at
distance 1 (one-hot over the square root of 2). Methods that draw are judged by 10 draws, those that give one value by
that one. The interval is twice the standard error over rows. Point errors: of the draws' mean (root mean square, in
standard deviations) and of their most frequent level (share right), averaged over columns."""


def page() -> None:
    found = json.loads((pages.FOLDER / "impute.json").read_text())
    lines = ["# Filling missing cells", "", *HEAD.splitlines()]
    for name in ("flights", "diamonds"):
        if name in found:
            lines += ["", *table_page(name, found[name])]
    if "moons" in found:
        lines += ["", *moons_page(found["moons"]["methods"])]
    if "digits" in found:
        lines += ["", *digits_page(found["digits"]["methods"])]
    lines += ["", "## What the game adds", "", *game_page(found)]
    measured = {method for part in found.values() for method in part["methods"]}
    about = [[f"`{name}`", words] for name, words in ABOUT.items() if name in measured]
    lines += ["", "## Methods", "", "| method | |", "|---|---|", *(f"| {a} | {b} |" for a, b in about)]
    pages.write("impute", lines)


def game_page(found: dict[str, Any]) -> list[str]:
    """Likelihood alone beside likelihood and a game, wherever both were measured."""
    rows = []
    for name, part in found.items():
        plain, game = (part["methods"].get(method) for method in OURS)
        if plain and game:
            columns = plain.get("columns") or {"": plain}
            for column in columns:
                one, other = (side["columns"][column] if column else side for side in (plain, game))
                cells = [f"{side['energy']:.4f} +- {2 * side['stderr']:.4f}" for side in (one, other)]
                rows.append([f"{name} {column}".strip(), *cells])
    return [
        "Likelihood alone beside likelihood and a game for completed rows, with as many steps. In the game Adam has no",
        "momentum, for the critic's sake, from which the likelihood suffers. `Imputer` plays none unless asked.",
        "",
        *pages.table(["", "energy score without", "with a game"], rows),
    ]


def table_page(name: str, found: dict[str, Any]) -> list[str]:
    setting, methods = found["setting"], found["methods"]
    rows = []
    for method in METHODS:
        if method not in methods:
            continue
        one = methods[method]
        numbers = [one["errors"][column] for column in setting["numeric"]]
        levels = [one["errors"][column] for column in setting["category"]]
        rows.append(
            [
                f"`{method}`",
                f"{one['energy']:.3f} +- {2 * one['stderr']:.3f}",
                f"{np.mean(numbers):.3f}",
                f"{100 * np.mean(levels):.1f}",
                f"{one['processor']:.0f}",
            ]
        )
    columns = [*setting["numeric"], *setting["category"]]
    shown = [method for method in METHODS if method in methods]
    each = [[f"`{c}`", *(f"{methods[m]['errors'][c]:.3f}" for m in shown)] for c in columns]
    return [
        f"## {name.capitalize()}: {100 * setting['masked']:.0f} % of all cells missing at random",
        "",
        f"{setting['train']:,} training rows, {setting['asked']:,} held-out rows to fill; {pages.machine()}. Processor",
        "seconds are of fitting and filling together, on one thread.",
        "",
        _sentence(methods),
        "",
        *pages.table(["method", "energy score", "RMSE", "levels right %", "processor s"], rows),
        "",
        f"Column by column: RMSE in standard deviations; share of levels right ({', '.join(setting['category'])}).",
        "",
        *pages.table(["column", *(f"`{m}`" for m in shown)], each),
    ]


def _sentence(methods: dict[str, Any]) -> str:
    rivals = {name: one["energy"] for name, one in methods.items() if name.startswith("iterative")}
    if not rivals or "ours" not in methods:
        return ""
    best, mine = min(rivals, key=lambda name: rivals[name]), methods["ours"]["energy"]
    than = f"{100 * (1 - mine / rivals[best]):.0f} % below" if mine < rivals[best] else "not below"
    return (
        f"`Imputer` is {than} the best IterativeImputer (`{best}`) in energy score: {mine:.3f} and {rivals[best]:.3f}."
    )


def moons_page(methods: dict[str, Any]) -> list[str]:
    rows = []
    for method, one in methods.items():
        cells = [f"`{method}`" if method != "true law" else method]
        for column in one["columns"].values():
            cells += [f"{column['energy']:.4f} +- {2 * column['stderr']:.4f}", f"{column['wasserstein']:.3f}"]
        rows.append(cells)
    head = ["method", "first given second: energy", "W1", "second given first: energy", "W1"]
    return [
        "## Two moons: one coordinate given the other",
        "",
        "20,000 training points, 1,000 to fill. The true conditional law is known (the toy's density): its own draws",
        "give the lowest possible score. W1: mean Wasserstein distance between a row's 10 draws and 10 of the true law",
        "(that of the true law is that of 10 draws from 10 others).",
        "",
        *pages.table(head, rows),
    ]


def digits_page(methods: dict[str, Any]) -> list[str]:
    rows = [
        [f"`{m}`", f"{one['energy']:.3f} +- {2 * one['stderr']:.3f}", f"{one['rmse']:.3f}", f"{one['seconds']:.0f}"]
        for m, one in methods.items()
    ]
    return [
        "## Digits: the lower half painted in",
        "",
        "1,437 training images of 8 x 8, 360 to fill (scikit-learn's digits, pixels in 0..1, Euclidean over the 32",
        "missing ones). Columns of the picture: the image, what was seen of it, four fills.",
        "",
        "![Digits of which the lower half was painted in](../img/inpainting.png)",
        "",
        *pages.table(["method", "energy score", "RMSE of the mean", "s"], rows),
    ]
