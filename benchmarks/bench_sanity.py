"""Sanity checks of figures of fidelity and diversity: which figure passes which, and does the verdict pass more?

    python benchmarks/bench_sanity.py [--repetitions 3] [--verdict-repetitions 3] [--page]

The 15 checks of Raisa, van Breugel and van der Schaar (ICML 2025, arXiv 2505.22450), with the distributions, the sizes
and the pass criteria of the code published with them (DPBayes/position-fidelity-diversity-metrics-flawed), written
anew, on fewer points of each sweep and with fewer repetitions. Each check is a sweep of fakes that go from bad to good
or back; it is scored on two desiderata. Results go to docs/benchmarks/sanity.json, cell by cell, and the page beside
it.
"""

import argparse
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

import pages
from pushforward.data.dataset import Dataset
from pushforward.errors import InputError
from pushforward.evaluation import marginals
from pushforward.evaluation.discrimination import discriminate, sequential_test
from pushforward.evaluation.fidelity import cmmd, frechet_distance, kernel_distance, vendi_score
from pushforward.evaluation.findings import first_screen
from pushforward.evaluation.job import prepare
from pushforward.evaluation.neighbours import alpha_precision, beta_recall, nearest, neighbour_scores
from pushforward.twosample import two_sample

Array = NDArray[np.float64]
Rng = np.random.Generator
N, ALPHA, LEVEL = 1000, 0.05, 0.95
MODES = ("dropped modes", "thin modes")


# ---- criteria: of a curve of values along a sweep; "low" and "high" are two answers that a figure must not mix


@dataclass(frozen=True)
class Curve:
    """Means over repetitions along the sweep; of the verdict also the share of repetitions that detect a difference
    and that name lost modes (NaN where not tried)."""

    variant: Any
    values: Array
    detected: Array
    named: Array


Criterion = Callable[[Curve], bool | str]
Criteria = dict[str, dict[str, Sequence[Criterion]]]  # by desideratum and role


def near(target: float, i: int) -> Criterion:
    return lambda c: bool(abs(c.values[i] - target) <= 0.05)


def wide(i: int) -> Criterion:
    """Of a diversity figure where the fakes spread too far: 1 ("high") and 0 ("low") are both answers."""
    return lambda c: "high" if near(1, i)(c) else "low" if near(0, i)(c) else False


def bell(middle: int) -> Criterion:
    def found(c: Curve) -> bool:
        v, top = c.values, c.values[middle]
        ends = min(v[0], v[-1]) - v.min() <= 0.1
        return bool(top - v[0] >= 0.2 and top - v[-1] >= 0.2 and v.max() - top <= 0.1 and ends)

    return found


def falls(drop: int | None = None) -> Criterion:
    """From high to low; with `drop` it has fallen by .1 already there."""

    def found(c: Curve) -> bool:
        v = c.values
        shape = v[0] - v[-1] >= 0.2 and v.max() - v[0] <= 0.1 and v[-1] - v.min() <= 0.1
        return bool(shape and (drop is None or v[0] - v[drop] >= 0.1))

    return found


def rises(c: Curve) -> bool:
    return bool(falls()(replace(c, values=c.values[::-1])))


def level(c: Curve) -> bool:
    return bool(np.ptp(c.values) <= 0.05)


def either(low: Criterion, high: Criterion) -> Criterion:
    return lambda c: "low" if low(c) else "high" if high(c) else False


def of_discrete(discrete: Criterion, continuous: Criterion) -> Criterion:
    """By which of the two REAL is."""
    return lambda c: (discrete if c.variant == "discrete" else continuous)(c)


def same(i: int) -> Criterion:
    """Of the verdict: not told apart, and no difference detected in most repetitions."""
    return lambda c: bool(near(1, i)(c) and c.detected[i] < 0.5)


def differs(i: int, target: float = 0.0) -> Criterion:
    """Of the verdict: told apart as well as can be, and detected."""
    return lambda c: bool(near(target, i)(c) and c.detected[i] > 0.5)


def names(lost: int, whole: int) -> Criterion:
    """Of the verdict: lost modes are named where there are such, and not where there are none."""
    return lambda c: bool(c.named[lost] > 0.5 and c.named[whole] < 0.5)


# ---- distributions


def mixture(rng: Rng, n: int, means: Array, scale: float, shares: Any) -> Array:
    shares = np.asarray(shares, dtype=float)
    which = rng.choice(len(means), n, p=shares / shares.sum())
    return means[which] + scale * rng.normal(size=(n, means.shape[1]))


def ball(rng: Rng, n: int, d: int) -> Array:
    x = rng.normal(size=(n, d))
    return np.asarray(x / np.linalg.norm(x, axis=1, keepdims=True) * rng.uniform(size=(n, 1)) ** (1 / d))


def torus(rng: Rng, n: int) -> Array:
    """About the z axis: radius 1, tube .1."""
    tube, turn = 0.1 * ball(rng, n, 2), rng.uniform(0, 2 * np.pi, n)
    reach = 1 + tube[:, 0]
    return np.stack([reach * np.cos(turn), reach * np.sin(turn), tube[:, 1]], 1)


LINE = np.linspace(0, 10, 10)[:, None]
SCALES = {1: 1 / 6, 8: 1 / 3, 64: 1.0}
SPREAD = {1: 3.0, 8: 1.0, 64: 0.5}  # log10 of the widest
FARTHEST = {1: 6.0, 8: 3.0, 64: 1.0}
FIRST = [(5.5, -4.1), (4.9, -13.6), (-16.4, 9.1), (-2.2, 12.5), (11.6, -5.0)]
CENTRES = np.array([*FIRST, (-24.6, 14.2), (16.8, -3.2), (-5.5, -6.8), (9.5, 1.1), (-5.4, -17.3)])  # REAL: the first
Pair = tuple[Array, Array]


def shifted(d: int, at: float, a: Rng, b: Rng) -> Pair:
    return a.normal(size=(N, d)), b.normal(size=(N, d)) + at * FARTHEST[d]


def outlier(variant: str, at: float, a: Rng, b: Rng) -> Pair:
    side, d = variant.split()[0], int(variant.split()[1])
    x, y = shifted(d, at, a, b)
    far = np.full((1, d), FARTHEST[d])
    return (np.concatenate([x, far]), y) if side == "real" else (x, np.concatenate([y, far]))


def stretched(d: int, at: float, a: Rng, b: Rng) -> Pair:
    return a.normal(size=(N, d)), b.normal(size=(N, d)) * 10 ** (at * SPREAD[d])


def together(d: int, at: float, a: Rng, b: Rng) -> Pair:
    means = np.tile(LINE, (1, d))
    return mixture(a, N, means, SCALES[d], np.ones(10)), mixture(b, N, means, SCALES[d], [1] + 9 * [1 - at])


def in_turn(d: int, at: float, a: Rng, b: Rng) -> Pair:
    means, kept = np.tile(LINE, (1, d)), np.arange(10) < 10 - at
    return mixture(a, N, means, SCALES[d], np.ones(10)), mixture(b, N, means, SCALES[d], kept)


def invented(_: str, at: float, a: Rng, b: Rng) -> Pair:
    return mixture(a, N, CENTRES[:5], 0.25, np.ones(5)), mixture(b, N, CENTRES[: int(at)], 0.25, np.ones(int(at)))


def surface(d: int, at: float, a: Rng, b: Rng) -> Pair:
    x, y = a.normal(size=(N, d)), b.normal(size=(N, d))
    return tuple(r * z / np.linalg.norm(z, axis=1, keepdims=True) for r, z in ((1.0, x), (at, y)))


def cubes(d: int, n: int, m: int, a: Rng, b: Rng) -> Pair:
    """Unit cubes that share a fifth of their volume."""
    return a.uniform(size=(n, d)), b.uniform(size=(m, d)) + 1 - 0.2 ** (1 / d)


def sphere_torus(real: str, at: float, a: Rng, b: Rng) -> Pair:
    if real == "sphere":
        return 0.8 * ball(a, N, 3), torus(b, int(at))
    return torus(a, N), 0.8 * ball(b, int(at), 3)


def one_for_two(d: int, at: float, a: Rng, b: Rng) -> Pair:
    means = np.tile([[-at / 2], [at / 2]], (1, d))
    return mixture(a, N, means, 1.0, [1, 1]), b.normal(size=(N, d)) * math.sqrt(1 + at**2)


def one_scaled(_: str, at: float, a: Rng, b: Rng) -> Pair:
    x, y = a.normal(size=(N, 2)), b.normal(size=(N, 2))
    y[:, 0] += 6
    return x * [1, at], y * [1, at]


def heavy(_: str, at: float, a: Rng, b: Rng) -> Pair:
    """Beside it a column with Pareto's distribution of index 1.01, alike in both."""
    x, y = shifted(1, at, a, b)
    return tuple(np.concatenate([z, 1 + g.pareto(1.01, (N, 1))], 1) for z, g in ((x, a), (y, b)))  # type: ignore[return-value]


def one_apart(_: str, at: float, a: Rng, b: Rng) -> Pair:
    x, y = a.normal(size=(N, int(at) + 1)), b.normal(size=(N, int(at) + 1))
    y[:, 0] += 6
    return x, y


def rounded(real: str, at: float, a: Rng, b: Rng) -> Pair:
    x, y = at * a.normal(size=(N, 1)), at * b.normal(size=(N, 1))
    return (np.round(x), y) if real == "discrete" else (x, np.round(y))


# ---- the checks


@dataclass(frozen=True)
class Check:
    """`points` of the sweep, in order, for each of `variants`; `criteria[desideratum][role]`, where the roles are
    fidelity, diversity and verdict; of the verdict, a test is run at the `tested` points."""

    name: str
    variants: Sequence[Any]
    points: Sequence[float]
    draw: Callable[[Any, float, Rng, Rng], Pair]
    criteria: Criteria
    tested: Sequence[int]
    modes: bool = False


def alike(*criteria: Criterion, verdict: Sequence[Criterion] = ()) -> dict[str, Sequence[Criterion]]:
    return {"fidelity": criteria, "diversity": criteria, "verdict": verdict or criteria, "distance": criteria}


def hill(middle: int) -> Criteria:
    """Good in the middle, bad at both ends."""
    ends = [same(middle), differs(0), differs(-1)]
    return {
        "bounds": alike(near(1, middle), near(0, 0), near(0, -1), verdict=ends),
        "purpose": alike(bell(middle)),
    }


def drops(at: int) -> Criteria:
    """Modes vanish: fidelity stays, diversity falls, the verdict nears the best AUC of all, .95, and names them."""
    fallen = falls(at)
    return {
        "bounds": {
            "fidelity": [near(1, 0), near(1, -1)],
            "diversity": [near(1, 0)],
            "verdict": [same(0), differs(-1, 0.1)],
        },
        "purpose": {
            "fidelity": [level],
            "diversity": [fallen],
            "verdict": [fallen, names(-1, 0)],
            "distance": [fallen],
        },
    }


def flat(desideratum: str) -> Criteria:
    """Wholly different all along."""
    return {
        desideratum: alike(level),
        "bounds": alike(near(0, 0), near(0, -1), verdict=[differs(0), differs(-1)]),
    }


def cube(desideratum: str) -> Criteria:
    """A fifth of either is within the other; the best AUC is .98."""
    return {desideratum: alike(level), "purpose": alike(near(0.2, -1), verdict=[differs(-1, 0.04)])}


_bell_3, _bell_5 = hill(1), hill(2)
_spread: Criteria = {
    "bounds": {
        "fidelity": [near(1, 2), near(1, 0), near(0, -1)],
        "diversity": [near(1, 2), near(0, 0), wide(-1)],
        "verdict": [same(2), differs(0), differs(-1)],
    },
    "purpose": {
        "fidelity": [falls()],
        "diversity": [either(bell(2), rises)],
        "verdict": [bell(2)],
        "distance": [bell(2)],
    },
}
_invention: Criteria = {
    "bounds": {
        "fidelity": [near(1, 2), near(1, 0)],
        "diversity": [near(1, 2), near(1, -1)],
        "verdict": [same(2), differs(0, 0.2), differs(-1, 0.5)],
    },
    "purpose": {
        "fidelity": [falls()],
        "diversity": [rises],
        "verdict": [bell(2), names(0, 2)],
        "distance": [bell(2)],
    },
}
_collapse: Criteria = {
    "bounds": alike(near(1, 0), verdict=[same(0)]),
    "purpose": {
        "fidelity": [falls()],
        "diversity": [either(falls(), level)],
        "verdict": [falls()],
        "distance": [falls()],
    },
}
_discrete: Criteria = {
    "bounds": {
        "fidelity": [of_discrete(near(0, i), near(1, i)) for i in (0, -1)],
        "diversity": [of_discrete(wide(i), near(0, i)) for i in (0, -1)],
        "verdict": [differs(0), differs(-1)],
    },
    "purpose": alike(level),
}
DIMENSIONS = (1, 8, 64)
FIVE, SIZES, TENS = (-1.0, -0.5, 0.0, 0.5, 1.0), (1128, 10_000), (1, 10, 100, 1000)
OUTLIERS = [f"{side} {d}" for side in ("real", "fake") for d in DIMENSIONS]
CHECKS = (
    Check("mean", DIMENSIONS, FIVE, shifted, _bell_5, (0, 2, 4)),
    Check("mean, one outlier", OUTLIERS, (-1.0, 0.0, 1.0), outlier, _bell_3, (0, 1, 2)),
    Check("standard deviation", DIMENSIONS, FIVE, stretched, _spread, (0, 2, 4)),
    Check("modes dropped together", DIMENSIONS, (0.0, 0.5, 47 / 49, 1.0), together, drops(2), (0, 3), modes=True),
    Check("modes dropped in turn", DIMENSIONS, (0, 2, 4, 9), in_turn, drops(2), (0, 3), modes=True),
    Check("modes dropped or invented", ["d 2"], (1, 3, 5, 7, 10), invented, _invention, (0, 2, 4), modes=True),
    Check("surface of a sphere", (2, 16, 128), (0.1, 0.55, 1.0, 1.45, 1.9), surface, _bell_5, (0, 2, 4)),
    Check("cubes, more rows", DIMENSIONS, SIZES, lambda d, n, a, b: cubes(d, int(n), int(n), a, b), cube("data"), (1,)),
    Check(
        "cubes, more fakes",
        DIMENSIONS,
        SIZES,
        lambda d, n, a, b: cubes(d, N, int(n), a, b),
        cube("hyperparameters"),
        (1,),
    ),
    Check(
        "sphere and torus",
        ["sphere", "torus"],
        SIZES,
        sphere_torus,
        {"purpose": alike(level), "bounds": alike(near(0, -1), verdict=[differs(-1)])},
        (1,),
    ),
    Check("one mode for two", DIMENSIONS, (0.0, 2.0, 5.0), one_for_two, _collapse, (0,)),
    Check("one column rescaled", ["d 2"], (1e-3, 0.1, 1, 10, 1e3), one_scaled, flat("invariance"), (0, 4)),
    Check("mean, Pareto beside", ["d 2"], FIVE, heavy, _bell_5, (0, 2, 4)),
    Check("one column apart of many", ["all"], TENS, one_apart, flat("purpose"), (0, 3)),
    Check("discrete and continuous", ["discrete", "continuous"], TENS, rounded, _discrete, (0, 3)),
)


# ---- figures

OTHERS = {  # not of the library
    "fidelity": ("cover precision", "symmetric precision", "probabilistic precision"),
    "diversity": ("cover recall", "symmetric recall", "probabilistic recall"),
}
FIDELITY = ("precision", "density", "clipped density", "alpha precision", *OTHERS["fidelity"])
DIVERSITY = ("recall", "coverage", "clipped coverage", "beta recall", *OTHERS["diversity"], "Vendi ratio")
DISTANCES = ("Frechet", "KID", "CMMD")


def covered(about: torch.Tensor, by: torch.Tensor, k: int) -> float:
    """Share of balls to the 3k-th neighbour among `about` that hold k of `by` (Cheema and Urner 2023)."""
    reach = nearest(queries=about, rows=about, k=3 * k, own=True).distance[:, -1]
    return float((nearest(queries=about, rows=by, k=k).distance[:, -1] <= reach).double().mean())


def likely(of: torch.Tensor, among: torch.Tensor) -> float:
    """1 - prod (1 - max(0, 1 - d/R)), R 1.2 times the mean distance to the 4th neighbour (Park and Kim 2023)."""
    reach = 1.2 * float(nearest(queries=among, rows=among, k=4, own=True).distance[:, -1].mean())
    parts = [(torch.cdist(rows, among) / reach).clamp(1e-12, 1).log().sum(1) for rows in of.split(256)]
    return float(-torch.expm1(torch.cat(parts)).mean())


def measured(real: Array, fake: Array) -> dict[str, float]:
    """All figures, of columns standardised by REAL as in the published code; NaN where a figure refuses the rows."""
    mean, scale = real.mean(0), real.std(0)
    x, y = (torch.from_numpy((z - mean) / scale) for z in (real, fake))
    three = neighbour_scores(real=x, fake=y, k=3, intervals=False)
    five = neighbour_scores(real=x, fake=y, k=5, intervals=False)
    back = neighbour_scores(real=y, fake=x, k=5, intervals=False)
    k = int(int(math.log(len(x)) + 7) / 3 + 1)
    found = {
        "precision": three.precision.value,
        "recall": three.recall.value,
        "density": five.density.value,
        "coverage": five.coverage.value,
        "clipped density": five.clipped_density.value,
        "clipped coverage": five.clipped_coverage.value,
        "alpha precision": alpha_precision(real=x, fake=y).value,
        "beta recall": beta_recall(real=x, fake=y).value,
        "cover precision": covered(x, y, k),
        "cover recall": covered(y, x, k),
        "symmetric precision": min(five.precision.value, back.coverage.value),
        "symmetric recall": min(five.recall.value, five.coverage.value),
        "probabilistic precision": likely(y, x),
        "probabilistic recall": likely(x, y),
        "Vendi ratio": vendi_score(fake=y, groups=1).value / vendi_score(fake=x, groups=1).value,
        "KID": kernel_distance(real=x, fake=y).value,
        "CMMD": cmmd(real=x, fake=y).value,
    }
    try:
        found["Frechet"] = frechet_distance(real=x, fake=y).value
    except InputError:  # fewer than 3 d rows
        found["Frechet"] = math.nan
    return found


def judged(real: Array, fake: Array, *, test: bool, modes: bool, seed: int) -> dict[str, Any]:
    """The verdict of a comparison: the AUC, whether a difference is detected, whether the first screen names modes.

    Parts of the test (a Bonferroni minimum) are run from the cheapest on, until one has detected a difference.
    """
    sets = {name: Dataset("points", torch.from_numpy(z).float(), name) for name, z in (("real", real), ("fake", fake))}
    job = prepare(sets, suite="quick", alpha=ALPHA, seed=seed)
    rows = (np.arange(len(real)), np.arange(len(fake)))
    x, y, categorical, _ = job.features("real", rows[0], "fake", rows[1])
    auc = discriminate(x, y, categorical=categorical, folds=job.suite.folds, seed=seed, level=LEVEL).auc
    found: dict[str, Any] = {"auc": auc}
    if test:

        def columns() -> float:
            return min(one.pvalue_adjusted for one in marginals.columns(job.frame, job.baseline_columns()))

        def kernels() -> float:
            most = job.suite.kernel_rows
            i, k = job.sample("real", most, 30), job.sample("fake", most, 31)
            a, b = (torch.from_numpy(job.space.rows[r][z]).float() for r, z in (("real", i), ("fake", k)))
            return two_sample(a, b, "mmd-agg", permutations=999, seed=seed).pvalue

        def classifier() -> float:
            part, _, _ = sequential_test(
                x, y, categorical=categorical, parts=job.suite.folds, permutations=job.suite.permutations, seed=seed
            )
            return part.pvalue

        found["detected"] = any(3 * part() <= ALPHA for part in (columns, kernels, classifier))
    if test and modes:
        found["findings"] = [finding.name for finding in first_screen(job)[0]]
    return found


ALIKE = {  # where both sets are of one distribution
    "modes dropped or invented": 5,
    "surface of a sphere": 1,
    **dict.fromkeys(("mean", "mean, one outlier", "mean, Pareto beside", "standard deviation", "one mode for two"), 0),
    **dict.fromkeys(("modes dropped together", "modes dropped in turn"), 0),
}


@dataclass(frozen=True)
class Cell:
    """A point of a check's sweep."""

    check: Check
    variant: Any
    i: int

    @property
    def key(self) -> str:
        return f"{self.check.name}/{self.variant}/{self.check.points[self.i]:.4g}"

    @property
    def alike(self) -> bool:
        return self.check.points[self.i] == ALIKE.get(self.check.name)

    def draw(self, repetition: int) -> Pair:
        place = [CHECKS.index(self.check), list(self.check.variants).index(self.variant), repetition]
        real, fake = np.random.default_rng([1, *place]), np.random.default_rng([2, self.i, *place])
        return self.check.draw(self.variant, self.check.points[self.i], real, fake)

    def figures(self, repetition: int) -> dict[str, Any]:
        found = measured(*self.draw(repetition))
        return {name: None if math.isnan(value) else round(value, 5) for name, value in found.items()}

    def verdict(self, repetition: int) -> dict[str, Any]:
        test = self.i in [i % len(self.check.points) for i in self.check.tested]
        return judged(*self.draw(repetition), test=test, modes=self.check.modes, seed=repetition)


def cells_of(checks: Sequence[Check]) -> list[Cell]:
    """The cheapest first."""
    found = [Cell(c, variant, i) for c in checks for variant in c.variants for i in range(len(c.points))]
    return sorted(found, key=lambda cell: sum(part.size for part in cell.draw(0)))


# ---- the score


def role_of(name: str) -> str:
    for role, names_ in (("fidelity", FIDELITY), ("diversity", DIVERSITY), ("distance", DISTANCES)):
        if name in names_:
            return role
    return "verdict"


def curve(results: Mapping[str, Any], check: Check, variant: Any, name: str) -> Curve | None:
    """Means over the repetitions; None where a point is not measured yet. Of the verdict min(1, 2 (1 - AUC)); of a
    distance 1 - D / the largest D of the curve."""
    values, detected, named = [], [], []
    for i in range(len(check.points)):
        what = "verdict" if name == "verdict" else "figures"
        found = list(results.get(f"{Cell(check, variant, i).key}/{what}", {}).values())
        if not found:
            return None
        if name != "verdict":
            values.append(np.mean([math.nan if one[name] is None else one[name] for one in found]))
            continue
        values.append(min(1.0, 2 * (1 - np.mean([one["auc"] for one in found]))))
        detected.append(np.mean([one.get("detected", math.nan) for one in found]))
        named.append(np.mean([bool(set(one.get("findings", ())) & set(MODES)) for one in found]))
    heights = np.array(values)
    if name in DISTANCES:
        heights = 1 - heights / np.abs(heights).max()
    return Curve(variant, heights, np.array(detected), np.array(named))


def passes(results: Mapping[str, Any], check: Check, desideratum: str, name: str) -> bool | None:
    """All criteria in all variants, and no mixture of "low" and "high"; None: not measured."""
    role, curves = role_of(name), [curve(results, check, variant, name) for variant in check.variants]
    if any(found is None for found in curves):
        return None
    criteria = check.criteria[desideratum]
    absolute = desideratum == "bounds" or (check.name.startswith("cubes") and desideratum == "purpose")
    asked = [] if role == "distance" and absolute else criteria[role]  # a distance has no upper bound
    answers = [criterion(found) for criterion in asked for found in curves if found is not None]
    return bool(answers) and all(answers) and not {"low", "high"} <= set(answers)


def scored(results: Mapping[str, Any], name: str) -> dict[tuple[str, str], bool | None]:
    return {(c.name, part): passes(results, c, part, name) for c in CHECKS for part in sorted(c.criteria)}


def marks(results: Mapping[str, Any], names_: Sequence[str]) -> list[str]:
    found = {name: scored(results, name) for name in names_}
    mark = {True: "pass", False: "", None: "?"}
    rows = [[f"{key[0]}: {key[1]}", *(mark[found[name][key]] for name in names_)] for key in found[names_[0]]]
    return pages.table(["check: desideratum", *names_], rows)


PARTS = ("purpose", "bounds", "data", "hyperparameters", "invariance")
SHARED = [  # asked with the same numbers of fidelity, diversity and verdict
    (check.name, part)
    for check in CHECKS
    for part, asked in check.criteria.items()
    if asked["fidelity"] is asked["diversity"] and not (check.name.startswith("cubes") and part == "purpose")
]


def totals(results: Mapping[str, Any]) -> list[list[str]]:
    rows = []
    for name in ("verdict", *FIDELITY, *DIVERSITY, *DISTANCES):
        found = scored(results, name)
        parts = []
        for part in PARTS:
            of = [value for (_, asked), value in found.items() if asked == part]
            parts.append(f"{sum(value is True for value in of)} of {len(of)}")
        by = "written here" if name in OTHERS.get(role_of(name), ()) else "`evaluation`"
        whole, shared = (sum(found[key] is True for key in keys) for keys in (found, SHARED))
        rows.append([name, role_of(name), by, f"{whole}", f"{shared}", *parts])
    return sorted(rows, key=lambda row: -int(row[3]))


def standing(results: Mapping[str, Any]) -> str:
    """The verdict beside the best of the others, over all desiderata and over those that ask the same of every kind."""
    rows = totals(results)
    told = []
    for column, of in ((3, "all 30"), (4, f"the {len(SHARED)} that ask the same numbers of every kind of figure")):
        best = max((row for row in rows if row[0] != "verdict"), key=lambda row: int(row[column]))
        own = next(row for row in rows if row[0] == "verdict")
        told.append(f"of {of} the verdict passes {own[column]}, the best of the others ({best[0]}) {best[column]}")
    return (
        f"{told[0].capitalize()}; {told[1]}. On the other {30 - len(SHARED)} a verdict is asked its own question, "
        "where fidelity and diversity are asked others; the paper has no criteria for a verdict: these are ours."
    )


def detections(results: Mapping[str, Any]) -> str:
    """How often the verdict detects a difference, where there is none and where there is one."""
    counts = {True: [0, 0], False: [0, 0]}
    for cell in cells_of(CHECKS):
        none = cell.alike
        for one in results.get(f"{cell.key}/verdict", {}).values():
            if "detected" in one:
                counts[none][0] += one["detected"]
                counts[none][1] += 1
    return (
        f"A difference was detected in {counts[True][0]} of {counts[True][1]} comparisons of sets of one distribution "
        f"(level {ALPHA}; one outlier is none), and in {counts[False][0]} of {counts[False][1]} tested of others."
    )


HEAD = [
    "# Sanity checks",
    "",
    "Made by `python benchmarks/bench_sanity.py`. Fifteen checks of figures of fidelity and diversity by Raisa, van",
    "Breugel and van der Schaar (ICML 2025, [arXiv 2505.22450](https://arxiv.org/abs/2505.22450)), who found that",
    "all figures of the time fail many. Each is a sweep in which the right answer is known, scored on two of their",
    "desiderata, 30 in all. Distributions, sizes (1,000 rows a side; up to 10,000 where rows are varied) and pass",
    "criteria are those of the code published with the paper, written anew. Other than there: sweeps have 2 to 5",
    "points in place of 10 to 51, which makes every criterion a little easier; there are fewer repetitions (10",
    "there); the alpha precision and the beta recall are of the columns, not of a learnt embedding, and by the",
    "formulas of the text of their paper.",
]
TELLS = (  # check, REAL and FAKE, what passes
    (
        "mean",
        "N(0, 1); the mean of all columns from -6 to 6 (d = 8: 3, d = 64: 1)",
        "bounds: 1 where alike, 0 at the ends; purpose: a bell",
    ),
    ("mean, one outlier", "the same, and one row of 6, 3, 1 in REAL or in FAKE", "the same"),
    (
        "standard deviation",
        "N(0, 1); from 10^-3 to 10^3 (d = 8: 10^-1 to 10, d = 64: 10^-.5 to 10^.5)",
        "bounds: alike 1; narrow fakes: fidelity 1, diversity 0; wide ones: fidelity 0, diversity 0 or 1; "
        "purpose: fidelity falls, diversity a bell or rising",
    ),
    (
        "modes dropped together",
        "ten modes on a line, nine thinned out",
        "bounds: fidelity 1 at both ends; purpose: fidelity level, diversity falls",
    ),
    ("modes dropped in turn", "the same, one after the other", "the same"),
    (
        "modes dropped or invented",
        "five modes in the plane; 1 to 10, of which the first five are REAL's",
        "bounds: 1 where alike; fidelity 1 with modes dropped, diversity 1 with modes invented; purpose: "
        "fidelity falls, diversity rises",
    ),
    ("surface of a sphere", "radius 1; .1 to 1.9; d = 2, 16, 128", "bounds, purpose: as for the mean"),
    ("cubes, more rows", "unit cubes that share a fifth; 1,128 and 10,000 rows a side", "data: level; purpose: .2"),
    ("cubes, more fakes", "the same with 1,000 reals", "hyperparameters: level; purpose: .2"),
    (
        "sphere and torus",
        "a ball of radius .8 and a torus about it; 1,128 and 10,000 fakes; either way round",
        "purpose: level; bounds: 0",
    ),
    (
        "one mode for two",
        "two modes 0 to 5 apart; one that spans both",
        "bounds: 1 where alike; purpose: falls (diversity: or level)",
    ),
    (
        "one column rescaled",
        "means (0, 0) and (6, 0); the second column by 10^-3 to 10^3 in both",
        "invariance: level; bounds: 0",
    ),
    (
        "mean, Pareto beside",
        "the mean for d = 1, beside a column of Pareto's law (1.01) alike in both",
        "as for the mean",
    ),
    (
        "one column apart of many",
        "one column with means 0 and 6, 1 to 1,000 alike beside it",
        "purpose: level; bounds: 0",
    ),
    (
        "discrete and continuous",
        "one column N(0, s), s from 1 to 1,000, one of the sets rounded; either way round",
        "purpose: level; bounds: REAL rounded: fidelity 0, diversity 0 or 1; FAKE rounded: fidelity 1, diversity 0",
    ),
)
RULES = [
    '"1", "0" and ".2" are within .05, "level" is a range of at most .05; a bell rises, and what falls or rises',
    "does so, by at least .2, and is within .1 of its extremes at the ends (the middle). All of it of means over",
    "repetitions, in every d.",
    "",
    "**The verdict** is scored as strictly, on 1 where the classifier cannot tell FAKE from REAL and 0 where it",
    "always can: min(1, 2 (1 - AUC)), AUC the mean. It has one answer where fidelity and diversity have two, so",
    "that it must be 1 where the sets are alike and near the best AUC there is where they differ: 0 for disjoint",
    "sets, .1 with nine modes of ten lost (AUC .95), .2 and .5 for four of five modes lost and five invented, .04",
    "for the cubes. Besides, every `bounds` asks that most repetitions detect a difference at alpha = .05 where",
    "there is one and not where there is none; and `purpose` with dropped modes asks that the findings name lost",
    "modes where they are lost and not where none is. Narrow and wide fakes alike must be told apart (a bell). It",
    "does not say, as a pair of figures would, whether fidelity or diversity is at fault; that is for the findings.",
    "",
    "**Distances** (Frechet, KID, CMMD) are scored in the same way on 1 - D / the largest D of the sweep. They have",
    "no upper bound, and fail `bounds` by that. The Vendi ratio is Vendi(FAKE) / Vendi(REAL).",
    "",
    "Precision, recall (k = 3), density and coverage (k = 5) equal the definitions of `prdc` to 1e-6 where rows do",
    "not tie, and symmetric figures are made of them. Cover and probabilistic figures were written for this bench",
    "from the papers (Cheema and Urner 2023; Park and Kim 2023). synthcity's alpha precision is left out: the",
    "package is too heavy to install.",
]
READING = [
    "## Reading",
    "",
    "What the verdict fails:",
    "",
    "- *Discrete and continuous*, bounds and purpose: rounding is seen while a column has tens of values. From a",
    "  hundred on, neither the trees (whose cuts are 255 quantiles) nor the tests of columns and kernels see it. No",
    "  other figure passes the bounds either (the Vendi ratio is level, since it is always 1 in one column).",
    "- *One column apart of many*, both: wider points than 256 coordinates are judged by 32 principal components of",
    "  standardised coordinates, in which one of a thousand is lost (AUC .57). The test of single columns detects the",
    "  difference all the same, so that the verdict says that there is one, and not how large. All other figures fail",
    "  here as well: distances are drowned by the columns that do not differ.",
    "- *Cubes* in 64 columns, whether it is level in the number of rows: trees learn the faces of a cube slowly (AUC",
    "  .93 from 1,128 rows a side, .979 from 10,000; the best is .98), so the AUC is a lower bound that rises.",
    "- *Standard deviation*, bounds, by a hair and by chance: .946 where alike in 64 columns, of three repetitions.",
    "",
    "Of the figures of neighbours, clipped density passes most: its calibration keeps it at 1 where alike and",
    "within 0 and 1. Density is not bounded where fakes crowd in the middle (190 for narrow fakes in 64 columns,",
    "200 for a small sphere inside a large one in 128). Precision is .6 where alike for 64 columns at k = 3, and",
    "one real outlier lifts it to 1 where nothing is right. Recall is 1 where the fakes surround the reals. All but",
    "the symmetric ones take a shell for what it encloses in 16 columns and more, and all give .3 to 1 in place of",
    ".2 for cubes in 8 and 64 columns. Coverage depends on the number of fakes. Alpha precision bounds both ends",
    "well, but is no figure of fidelity in the sense of these checks: it falls when modes are dropped and for",
    "narrow fakes, since it asks for the right share at every distance from one centre. Distances order what moves",
    "means, not what is lost or spread; they have no scale on which to say how much.",
    "",
    "One AUC of 1,000 rows a side is not as steady as its own interval: where the sets are alike it spreads by .018",
    'about .5 here, more than the .013 of fixed trees, since the folds share rows. A single comparison passes "1',
    'where alike, within .05" in about four of five; means of three nearly always.',
]


def page(results: Mapping[str, Any]) -> list[str]:
    head = ["figure", "kind", "by", "passed of 30", f"of the {len(SHARED)} shared", *PARTS]
    repetitions = {
        what: [len(found) for key, found in results.items() if key.endswith(f"/{what}")]
        for what in ("verdict", "figures")
    }
    times = {
        what: sum(one["cpu"] for key, found in results.items() if key.endswith(f"/{what}") for one in found.values())
        for what in repetitions
    }
    counted = ", ".join(
        f"{what} {min(counts, default=0)} to {max(counts, default=0)}" for what, counts in repetitions.items()
    )
    return [
        *HEAD,
        "",
        *(line.replace("---:", "---") for line in pages.table(["check", "REAL and FAKE", "passes"], TELLS)),
        "",
        *RULES,
        "",
        f"Repetitions: {counted}. Processor time: {times['verdict']:.0f} s for the verdicts, {times['figures']:.0f} s "
        "for all figures together.",
        "",
        *pages.table(head, totals(results)),
        "",
        standing(results),
        "",
        detections(results),
        "",
        "## Fidelity",
        "",
        *marks(results, ("verdict", *FIDELITY)),
        "",
        "## Diversity, and distances",
        "",
        *marks(results, ("verdict", *DIVERSITY, *DISTANCES)),
        "",
        *READING,
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repetitions", type=int, default=3)
    parser.add_argument("--verdict-repetitions", type=int, default=3, help="where both sets are of one distribution")
    parser.add_argument(
        "--most", type=int, default=10**9, help="values of both sets, above which a cell is left for later"
    )
    parser.add_argument("--page", action="store_true", help="only write the page")
    options = parser.parse_args()
    torch.set_num_threads(1)
    results = pages.store("sanity", {})
    if not options.page:
        wanted = [("verdict", r) for r in range(options.verdict_repetitions)]
        wanted += [("figures", r) for r in range(options.repetitions)]
        for what, repetition in wanted:
            for cell in cells_of(CHECKS):
                key = f"{cell.key}/{what}"
                if what == "verdict" and repetition and not cell.alike:
                    continue  # one says what differs; what is alike may look different by chance
                if str(repetition) in results.get(key, {}) or sum(z.size for z in cell.draw(0)) > options.most:
                    continue
                started = time.process_time()
                found = getattr(cell, what)(repetition) | {"cpu": round(time.process_time() - started, 2)}
                results = pages.store("sanity", {key: {str(repetition): found}})
                print(f"{key} {repetition}: {found if what == 'verdict' else found['cpu']}", flush=True)
    pages.write("sanity", page(results))


if __name__ == "__main__":
    main()
