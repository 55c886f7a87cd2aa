"""The utility group for `compare`: rules broken, dependence changed, triples of columns, training on fakes.

Rules are found in the first of the two real sets of the baseline and judged on the second, which they have not seen, so
that Fisher's test of FAKE against it is exact. `rules_of` and `pairs_of` are computed once for a comparison.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

import numpy as np
from numpy.typing import NDArray

from ...errors import InputError
from .. import intervals
from ..comparison import Metric
from ..figures import Figure, LeftOut
from ..job import some
from .constraints import LEAST_ROWS, Broken, Table, broken_rules, find_constraints
from .dependence import PairDependence, dependence
from .learning import Learning, learn
from .rules import breaks
from .triples import total_variation_of_triples

if TYPE_CHECKING:
    from ..job import Job

Array = NDArray[np.float64]
T = TypeVar("T")

LEVEL = 0.95
JUDGED_ROWS = 50_000
TRIPLE_ROWS = 20_000
WIDEST = 256


def rules_of(job: Job) -> tuple[Broken, ...]:
    """The constraints found in REAL, each in FAKE and in real rows it was not found in, the least likely first.

    Those with `adjusted <= alpha` are findings: the chance of any false one is at most alpha. Empty where REAL keeps no
    rule that could be confirmed.
    """

    def make() -> tuple[Broken, ...]:
        (a, i), (b, k) = job.baseline[0]
        if len(i) < 2 * LEAST_ROWS:
            raise LeftOut(f"rules need {2 * LEAST_ROWS} real rows to be found in, {len(i)} are there; give more rows")
        found = find_constraints(Table.of(job.frame, job.frame.rows[a][i]), seed=job.seed)
        held = job.frame.rows[b][some(k, JUDGED_ROWS, np.random.default_rng([job.seed, 254]))]
        fake = job.frame.rows["fake"][job.sample("fake", JUDGED_ROWS, 255)]
        return broken_rules(found, real=held, fake=fake, level=LEVEL)

    return job.once("rules", make)


def pairs_of(job: Job) -> tuple[PairDependence, ...]:
    """Every pair of columns with its p-value of "goes together differently in FAKE", the least likely first."""

    def make() -> tuple[PairDependence, ...]:
        most = job.suite.association_rows
        x, y = (job.frame.rows[role][job.sample(role, most, 256 + s)] for s, role in enumerate(("real", "fake")))
        return _pairs(job, x, y)

    return job.once("dependence", make)


def _pairs(job: Job, x: Array, y: Array) -> tuple[PairDependence, ...]:
    if len(job.frame.names) < 2:
        raise LeftOut("one column has nothing to depend on; give at least two")
    try:
        return dependence(job.frame, real=x, fake=y, seed=job.seed, level=LEVEL)
    except InputError as error:
        raise LeftOut(str(error)) from error


def violations(job: Job) -> list[Metric]:
    """The share of fakes that break any rule found in REAL, and the rate of the rule broken most beyond REAL."""
    found = rules_of(job)
    if not found:
        raise LeftOut(
            "no rule was found that REAL keeps (orders, sums, dependencies, ranges, decimals, missing values)"
        )
    (_, _), (b, k) = job.baseline[0]
    rules = tuple(item.constraint for item in found)
    held = job.frame.rows[b][some(k, JUDGED_ROWS, np.random.default_rng([job.seed, 254]))]
    fake = job.frame.rows["fake"][job.sample("fake", JUDGED_ROWS, 255)]
    shares = []
    for rows in (fake, held):
        wrong = np.zeros(len(rows), dtype=bool)
        for rule in rules:
            wrong |= breaks(rule, rows)[1]
        shares.append(float(wrong.mean()))
    low, high = intervals.wilson(shares[0], len(fake), LEVEL)
    worst = max(found, key=lambda item: item.fake.rate - item.real.rate)
    each = 1 - (1 - LEVEL) / len(found)
    ends = [intervals.wilson(item.fake.rate, item.fake.counted, each) for item in found]
    place = found.index(worst)
    beyond = sum(item.adjusted <= job.alpha for item in found)
    return [
        Metric(
            "violations", "utility", shares[0], low, high, shares[1], "lower",
            f"share of fake rows that break one of {len(found)} rules found in real rows; {beyond} of them are broken "
            f"more often than in real rows at level {job.alpha:g}",
        ),
        Metric(
            "violations_worst", "utility", worst.fake.rate, *ends[place], worst.real.rate, "lower",
            f"the rule that fakes break most beyond real rows: {worst.constraint.sentence}",
        ),
    ]  # fmt: skip


def changed_dependence(job: Job) -> list[Metric]:
    """The largest change of dependence between two columns, whatever their marginals."""
    found = pairs_of(job)
    if not found:
        raise LeftOut("no two columns vary, so none can depend on another")
    rng = np.random.default_rng([job.seed, 258])
    (a, i), (b, k) = job.baseline[0]
    most = job.suite.association_rows
    sides = (job.frame.rows[role][some(rows, most, rng)] for role, rows in ((a, i), (b, k)))
    try:
        base = max((pair.effect for pair in _pairs(job, *sides)), default=0.0)
    except LeftOut:
        base = None
    worst = max(found, key=lambda pair: pair.effect)
    differ = sum(pair.adjusted <= job.alpha for pair in found)
    return [
        Metric(
            "dependence", "utility", worst.effect,
            max(pair.low for pair in found), max(pair.high for pair in found), base, "lower",
            f"largest change of dependence between two columns (w: 0 none, 1 all), marginals aside: {worst.names[0]} "
            f"with {worst.names[1]}; {differ} of {len(found)} pairs differ at level {job.alpha:g}",
        )
    ]  # fmt: skip


def triples(job: Job) -> list[Metric]:
    """Total variation of three columns at a time, all sets cut to one number of rows, so that its noise is alike."""
    if len(job.frame.names) < 3:
        raise LeftOut(f"{len(job.frame.names)} columns make no triple; at least 3 are needed")
    (a, i), (b, k) = job.baseline[0]
    size = min(TRIPLE_ROWS, len(i), len(k), len(job.data["real"]), len(job.data["fake"]))
    rng = np.random.default_rng([job.seed, 259])
    of = [job.frame.rows[role][job.sample(role, size, 260 + s)] for s, role in enumerate(("real", "fake"))]
    found = total_variation_of_triples(job.frame, real=of[0], fake=of[1], seed=job.seed, level=LEVEL)
    of = [job.frame.rows[role][some(rows, size, rng)] for role, rows in ((a, i), (b, k))]
    base = total_variation_of_triples(job.frame, real=of[0], fake=of[1], seed=job.seed, bins=found.bins, level=LEVEL)
    looked = f"{found.triples} of {found.of}" if found.triples < found.of else f"all {found.of}"
    noise = f"plug-in values of {size:,} rows of each set, as is the baseline: its noise is in both"
    return [
        Metric(
            "tv3", "utility", found.mean.value, found.mean.low, found.mean.high, base.mean.value, "lower",
            f"mean total variation of {looked} triples of columns in up to {found.bins} bins; {noise}",
        ),
        Metric(
            "tv3_worst", "utility", found.worst.value, found.worst.low, found.worst.high, base.worst.value, "lower",
            f"largest total variation of a triple of columns: {', '.join(found.names)}; {noise}",
        ),
    ]  # fmt: skip


def train_on_fakes(job: Job) -> list[Metric]:
    """Boosted trees trained on fakes and tested on real rows, beside the same trained on real rows; and the reverse."""
    found = job.once("learn-boosting", lambda: _learn(job, "boosting"))
    worst, real = found.worst
    told = (
        f"{found.score} over {len(found.targets)} target{'s' * (len(found.targets) > 1)}, {found.n_train:,} training "
        f"and {found.n_test:,} test rows"
    )
    return [
        Metric(
            "tstr", "utility", found.tstr.value, found.tstr.low, found.tstr.high, found.trtr.value, "higher",
            f"mean skill of trees trained on fakes, tested on real rows ({told}); baseline: trained on real rows; "
            f"worst: {worst.target} {worst.tstr.value:.3f}, real {real:.3f}",
        ),
        Metric(
            "tstr_gap", "utility", found.gap.value, found.gap.low, found.gap.high, found.gap_baseline, "lower",
            "skill lost by training on fakes, on the same test rows; baseline: between two real training sets; "
            "the interval is over test rows, given the fitted trees",
        ),
        Metric(
            "trts", "utility", found.trts.value, found.trts.low, found.trts.high, found.trtr.value, "baseline",
            "mean skill of trees trained on real rows, tested on fakes: do fakes keep the relations of real rows?",
        ),
    ]  # fmt: skip


def linear_on_fakes(job: Job) -> list[Metric]:
    """The second opinion: linear models trained on fakes and tested on real rows."""
    found = job.once("learn-linear", lambda: _learn(job, "linear"))
    return [
        Metric(
            "tstr_linear", "utility", found.tstr.value, found.tstr.low, found.tstr.high, found.trtr.value, "higher",
            f"mean skill of linear models trained on fakes, tested on real rows ({found.score}, "
            f"{len(found.targets)} targets); baseline: trained on real rows",
        )
    ]  # fmt: skip


def _learn(job: Job, model: str) -> Learning:
    if len(job.frame.names) > WIDEST:
        raise LeftOut(f"{len(job.frame.names)} columns are too many to predict one by one; give at most {WIDEST}")
    return learn(job, model=model, level=LEVEL, targets=() if job.target is None else (job.target,))


FIGURES: tuple[Figure, ...] = (
    Figure(
        name="violations",
        group="utility",
        compute=violations,
        reads="share of fake rows that break a rule found in real rows (orders, sums, dependencies, ranges, decimals)",
        source="found on one half of the real rows, confirmed on the other, judged on further ones",
        suites=("quick", "full", "table"),
        kinds=("points", "table"),
        gives=("violations", "violations_worst"),
    ),
    Figure(
        name="dependence",
        group="utility",
        compute=changed_dependence,
        reads="largest change of dependence between two columns, whatever their marginals",
        source="additive logistic model of a table of counts; Cohen's w",
        suites=("quick", "full", "table"),
        kinds=("points", "table"),
    ),
    Figure(
        name="tv3",
        group="utility",
        compute=triples,
        reads="total variation of three columns at a time: what no pair of columns shows",
        source="plug-in, McDiarmid's interval",
        suites=("full", "table"),
        kinds=("points", "table"),
        gives=("tv3", "tv3_worst"),
    ),
    Figure(
        name="tstr",
        group="utility",
        compute=train_on_fakes,
        reads="skill of boosted trees trained on fakes and tested on real rows, and the reverse",
        source="Esteban, Hyland and Ratsch 2017; Ravuri and Vinyals 2019",
        suites=("full", "table"),
        kinds=("points", "table"),
        gives=("tstr", "tstr_gap", "trts"),
    ),
    Figure(
        name="tstr_linear",
        group="utility",
        compute=linear_on_fakes,
        reads="skill of linear models trained on fakes and tested on real rows: a second opinion",
        source="as tstr",
        suites=("full", "table"),
        kinds=("points", "table"),
    ),
)
