"""Utility: skills and their intervals against closed forms and scikit-learn, dependence and triples against planted
faults and nulls, sdmetrics' definitions against its numbers.

Repeated checks state the probability with which correct code fails them (at most 1e-6).
"""

from __future__ import annotations

import math

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

from pushforward.errors import InputError
from pushforward.evaluation import utility as U
from pushforward.evaluation.figures import LeftOut
from pushforward.evaluation.frames import MISSING, Frame
from pushforward.evaluation.job import prepare
from pushforward.evaluation.utility import scores
from pushforward.evaluation.utility.dependence import additive_chi_squared, effect_interval
from pushforward.evaluation.utility.quality import correlation_similarity

Array = NDArray[np.float64]
MISSES = stats.binom.isf(1e-6, 300, 0.05)  # of 300 intervals at 95 %: 35


# --- scores ---------------------------------------------------------------------------------------------------------


def test_scores_are_scikit_learns() -> None:
    from sklearn.metrics import accuracy_score, r2_score, roc_auc_score, root_mean_squared_error

    rng = np.random.default_rng(0)
    y, f = rng.normal(size=200), rng.normal(size=200)
    found = scores.score_numbers(y, f)
    assert found.skill == pytest.approx(r2_score(y, f), abs=1e-12)
    assert found.second.value == pytest.approx(root_mean_squared_error(y, f), abs=1e-12)
    levels = rng.integers(0, 4, 200).astype(float)
    p = np.round(rng.dirichlet(np.ones(4), 200), 1) + 1e-3  # with ties
    p /= p.sum(1, keepdims=True)
    found = scores.score_levels(levels, p, np.arange(4.0))
    area = roc_auc_score(levels, p, multi_class="ovr", average="weighted")
    assert found.skill == pytest.approx(2 * area - 1, abs=1e-12)
    assert found.second.value == pytest.approx(accuracy_score(levels, p.argmax(1)), abs=1e-12)


def test_a_level_the_model_never_saw_counts_as_not_known() -> None:
    truth = np.array([0.0, 0.0, 1.0, 1.0, 2.0, 2.0])
    p = np.array([[0.9, 0.1]] * 2 + [[0.1, 0.9]] * 2 + [[0.5, 0.5]] * 2)
    assert scores.score_levels(truth, p, np.array([0.0, 1.0])).skill == pytest.approx((1 + 1 + 0) / 3)


def test_missing_targets_add_nothing() -> None:
    rng = np.random.default_rng(1)
    y, f = rng.normal(size=100), rng.normal(size=100)
    y[::3] = np.nan
    whole, part = scores.score_numbers(y, f), scores.score_numbers(y[np.isfinite(y)], f[np.isfinite(y)])
    assert whole.skill == part.skill
    assert whole.estimate().stderr == pytest.approx(part.estimate().stderr, rel=0.01)


def test_intervals_of_r2_and_of_its_difference_cover() -> None:
    """y = x + e, predicted by x and by x/2: R^2 is 1/2 and 3/8, the gap 1/8. 300 repetitions at 95 %."""
    rng, misses = np.random.default_rng(2), np.zeros(2)
    for _ in range(300):
        x = rng.normal(size=250)
        y = x + rng.normal(size=250)
        a, b = scores.score_numbers(y, x), scores.score_numbers(y, x / 2)
        gap = scores.of_influence(a.skill - b.skill, a.influence - b.influence)
        misses += [not e.low <= t <= e.high for e, t in ((a.estimate(), 0.5), (gap, 0.125))]
    assert (misses <= MISSES).all()
    assert gap.stderr < 0.5 * math.hypot(a.estimate().stderr, b.estimate().stderr)  # paired: much tighter


def test_interval_of_the_auc_skill_covers() -> None:
    """Three levels, scores N(delta_k 1[y = k], 1): AUC_k = Phi(delta_k/sqrt 2), weighted by the shares. 300 times."""
    rng, misses = np.random.default_rng(3), 0
    share, delta = np.array([0.5, 0.3, 0.2]), np.array([0.5, 1.0, 2.0])
    truth = float(2 * share @ stats.norm.cdf(delta / math.sqrt(2)) - 1)
    for _ in range(300):
        y = rng.choice(3, 300, p=share)
        p = rng.normal(size=(300, 3)) + delta * (y[:, None] == np.arange(3))
        e = scores.score_levels(y.astype(float), p, np.arange(3.0)).estimate()
        misses += not e.low <= truth <= e.high
    assert misses <= MISSES


# --- train on fakes -------------------------------------------------------------------------------------------------


def regression(n: int, seed: int, *, shuffled: bool = False) -> Array:
    """Columns: two numbers, a category of 3 levels, and their sum with noise: R^2 of the best predictor is .9."""
    rng = np.random.default_rng(seed)
    a, b, c = rng.normal(size=n), rng.normal(size=n), rng.integers(0, 3, n).astype(float)
    signal = a + b + 1.5 * (c == 1)
    y = signal + math.sqrt(2.5 / 9) * rng.normal(size=n)
    if shuffled:
        y = rng.permutation(y)
    a = np.where(rng.random(n) < 0.03, np.nan, a)
    return np.stack([a, b, c, y], 1)


KINDS = ("numeric", "numeric", "category", "numeric")


@pytest.mark.parametrize("model", ["boosting", "linear"])
def test_good_fakes_serve_as_well_and_shuffled_ones_not_at_all(model: str) -> None:
    real, test = regression(800, 0), regression(1500, 1)

    def run(fake: Array) -> U.Utility:
        return U.utility(real_train=real, fake=fake, real_test=test, target=3, kinds=KINDS, model=model)

    good, bad = run(regression(1600, 2)), run(regression(1600, 3, shuffled=True))
    assert good.score == "R2"
    assert (good.n_train, good.n_test) == (800, 1500)
    assert good.trtr.value > 0.75
    assert abs(good.gap.value) < 0.04
    assert abs(good.trts.value - good.trtr.value) < 0.06
    assert bad.tstr.high < 0.1
    assert bad.gap.low > 0.6
    assert bad.trts.high < 0.2
    assert good.tstr_second.value == pytest.approx(good.trtr_second.value, rel=0.15)


def test_a_category_as_target_and_fakes_that_lack_a_level() -> None:
    real, test = regression(800, 4), regression(1000, 5)
    one = regression(1600, 6)

    def run() -> U.Utility:
        return U.utility(real_train=real, fake=one, real_test=test, target=2, kinds=KINDS, model="linear")

    whole = run()
    one[one[:, 2] == 1, 2] = 0.0
    lacking = run()
    one[:, 2] = 0.0
    single = run()
    assert whole.score == "2 AUC - 1"
    assert whole.trtr.value > lacking.tstr.value + 0.1
    assert single.tstr.value == 0.0


def test_targets_by_default_and_refused_ones() -> None:
    rng = np.random.default_rng(7)
    rows = np.stack([rng.normal(size=300), np.zeros(300), rng.integers(0, 40, 300), rng.integers(0, 3, 300)], 1)
    kinds = ("numeric", "numeric", "category", "category")
    assert U.default_targets(rows, kinds) == [0, 3]
    wide = rng.normal(size=(60, 50))
    assert len(U.default_targets(wide, ("numeric",) * 50)) == 10

    def run(target: int, rows: Array = rows, **others: str) -> U.Utility:
        return U.utility(real_train=rows, fake=rows, real_test=rows, target=target, kinds=kinds, **others)  # type: ignore[arg-type]

    with pytest.raises(InputError, match="column 1 never varies"):
        run(1)
    with pytest.raises(InputError, match="39 levels"):
        run(2)
    with pytest.raises(InputError, match="at least 30"):
        run(0, rows[:40])
    with pytest.raises(InputError, match="boosting, linear"):
        run(0, model="forest")


# --- dependence -----------------------------------------------------------------------------------------------------


FRAME = Frame(tuple("abcd"), ("numeric", "numeric", "category", "category"), ((), (), tuple("0123"), tuple("012")), {})


def tied(n: int, rng: np.random.Generator, *, broken: bool = False, bent: bool = False) -> Array:
    """a and b normal with correlation .8, c a category that follows a, d one of its own."""
    a = rng.normal(size=n)
    b = 0.8 * a + 0.6 * rng.normal(size=n)
    c = np.digitize(a + rng.normal(size=n), [-1.0, 0.5, 2.0])
    d = rng.choice(3, n, p=[0.8, 0.15, 0.05])
    if broken:
        b = rng.permutation(b)
    if bent:
        a = np.exp(a) + 3
    return np.stack([a, b, c, d], 1).astype(float)


@pytest.mark.parametrize("bent", [False, True])
def test_equal_dependence_is_not_called_different(bent: bool) -> None:
    """Any finding at level .05 among 6 pairs, marginals equal or bent, in at most 12 of 50 repetitions (failure
    below 1e-6); single p-values below .05 in at most 13 % (they are one in twenty, or fewer)."""
    rng, false, small = np.random.default_rng(8), 0, []
    for _ in range(50):
        found = U.dependence(FRAME, real=tied(320, rng), fake=tied(220, rng, bent=bent))
        false += found[0].adjusted <= 0.05
        small += [pair.pvalue < 0.05 for pair in found]
    assert false <= stats.binom.isf(1e-6, 50, 0.05)
    assert np.mean(small) < 0.13


def test_a_reweighted_category_is_no_change_of_dependence() -> None:
    rng = np.random.default_rng(9)
    real, fake = tied(3000, rng), tied(9000, rng)
    kept = rng.random(len(fake)) < np.array([1.0, 0.3, 0.6, 0.9])[fake[:, 2].astype(int)]
    found = {pair.names: pair for pair in U.dependence(FRAME, real=real, fake=fake[kept])}
    assert found["c", "d"].adjusted > 0.01


def test_broken_correlation_with_right_marginals_is_named() -> None:
    rng = np.random.default_rng(10)
    first, *rest = U.dependence(FRAME, real=tied(400, rng), fake=tied(400, rng, broken=True))
    assert first.names == ("a", "b")
    assert first.adjusted < 1e-6
    assert first.low > 0.05
    assert first.real > 0.7
    assert abs(first.fake) < 0.2
    assert "a and b go together differently (change 0." in first.sentence
    assert {pair.names for pair in rest if pair.adjusted < 1e-3} <= {("b", "c")}


def test_additive_fit_of_tables_with_equal_odds_ratios_is_exact() -> None:
    rng = np.random.default_rng(11)
    base = rng.uniform(50, 200, (4, 3))
    other = base * rng.uniform(0.2, 3, (4, 1)) * rng.uniform(0.2, 3, (1, 3))
    statistic, df = additive_chi_squared(base, other)
    assert statistic == pytest.approx(0.0, abs=1e-8)
    assert df == 12 - (4 + 3 - 1)
    base[0, 0] *= 2
    assert additive_chi_squared(base, other)[0] > 10


def test_effect_interval_covers() -> None:
    """Two binary columns with a change of odds ratio: w is sqrt(X^2 / rows) of the expected counts. 300 times."""
    p, q = np.array([[0.3, 0.2], [0.2, 0.3]]), np.array([[0.4, 0.1], [0.2, 0.3]])
    truth = math.sqrt(additive_chi_squared(p * 6e5, q * 4e5)[0] / 1e6)
    rng, misses = np.random.default_rng(12), 0
    for _ in range(300):
        real, fake = (rng.multinomial(n, t.ravel()).reshape(2, 2) for n, t in ((600, p), (400, q)))
        _, low, high = effect_interval(*additive_chi_squared(real, fake), 1000, 0.95)
        misses += not low <= truth <= high
    assert misses <= MISSES
    for statistic in (4e4, 6e4):  # either side of where the normal approximation takes over
        assert effect_interval(statistic, 49, 10**6, 0.95)[1:] == pytest.approx(
            [math.sqrt((math.sqrt(statistic - 49) + z) ** 2 / 1e6) for z in (-1.96, 1.96)], rel=1e-4
        )


# --- triples --------------------------------------------------------------------------------------------------------


def test_an_exclusive_or_shows_in_a_triple_only() -> None:
    rng = np.random.default_rng(13)
    real = rng.integers(0, 2, (4000, 4)).astype(float)
    fake = rng.integers(0, 2, (4000, 4)).astype(float)
    fake[:, 2] = (fake[:, 0] + fake[:, 1]) % 2
    frame = Frame(tuple("abcd"), ("category",) * 4, (("0", "1"),) * 4, {})
    found = U.total_variation_of_triples(frame, real=real, fake=fake)
    assert found.names == ("a", "b", "c")
    assert found.worst.low < 0.5 < found.worst.high
    assert found.worst.value == pytest.approx(0.5, abs=0.04)
    assert (found.triples, found.of) == (4, 4)
    assert found.mean.value == pytest.approx(0.125, abs=0.04)


def test_interval_of_the_triples_covers() -> None:
    """Three binary columns, q = p but for two cells: TV = .1. 300 repetitions at 95 %."""
    p = np.full(8, 0.125)
    q = p + np.array([0.1, -0.1, 0, 0, 0, 0, 0, 0])
    cells = np.stack(np.unravel_index(np.arange(8), (2, 2, 2)), 1).astype(float)
    frame = Frame(tuple("abc"), ("category",) * 3, (("0", "1"),) * 3, {})
    rng, misses = np.random.default_rng(14), 0
    for _ in range(300):
        real, fake = cells[rng.choice(8, 200, p=p)], cells[rng.choice(8, 300, p=q)]
        e = U.total_variation_of_triples(frame, real=real, fake=fake).mean
        misses += not e.low <= 0.1 <= e.high
    assert misses <= MISSES


def test_of_many_triples_some_different_ones_are_drawn() -> None:
    rng = np.random.default_rng(15)
    frame = Frame(tuple(f"x{j}" for j in range(60)), ("numeric",) * 60, ((),) * 60, {})
    found = U.total_variation_of_triples(frame, real=rng.normal(size=(80, 60)), fake=rng.normal(size=(80, 60)), most=50)
    assert (found.triples, found.of, found.bins) == (50, 34220, 2)
    two = Frame(("a", "b"), ("numeric",) * 2, ((), ()), {})
    with pytest.raises(InputError, match="at least 3"):
        U.total_variation_of_triples(two, real=rng.normal(size=(80, 2)), fake=rng.normal(size=(80, 2)))


# --- quality --------------------------------------------------------------------------------------------------------


def made(seed: int, n: int, shift: float) -> Array:
    """The table that sdmetrics was given: numbers a (some missing), b, e; levels c; levels d, of which 4 is missing."""
    rng = np.random.default_rng(seed)
    a = rng.normal(size=n) + shift
    b = 0.8 * a + 0.6 * rng.normal(size=n)
    c = np.digitize(a + 0.3 * rng.normal(size=n), [-1, 0, 1.5])
    d = np.where(rng.random(n) < 0.8, c, rng.integers(0, 5, n))
    e = rng.exponential(size=n) * (1 + shift)
    a = np.where(rng.random(n) < 0.05 + shift / 10, np.nan, a)
    return np.stack([a, b, c, d, e], 1)


def test_quality_is_that_of_sdmetrics() -> None:
    """Expected: sdmetrics 0.32.0, QualityReport and the single metrics, on the same rows (to 1e-6)."""
    real, fake = made(1, 800, 0.0), made(2, 500, 0.3)
    real = real[real[:, 2] != 3]  # a level that only the fakes have
    levels = ((), (), ("L0", "L1", "L2", "L3"), ("M0", "M1", "M2", "M3", MISSING), ())
    frame = Frame(tuple("abcde"), ("numeric", "numeric", "category", "category", "numeric"), levels, {})
    found = U.quality(frame, real=real, fake=fake)
    near = {"abs": 1e-6}
    assert found.overall == pytest.approx(0.7687686897997069, **near)
    assert (found.shapes, found.trends) == pytest.approx((0.857189, 0.680349), **near)
    assert found.columns == pytest.approx(
        {"a": 0.815422, "b": 0.851554, "c": 0.8792683585430329, "d": 0.8666124558095007, "e": 0.873087}, **near
    )
    pairs = {"ab": 0.976063, "ac": 0.381543, "ad": 0.444921, "bc": 0.698523, "bd": 0.730534, "cd": 0.8505073431241655}
    assert {"".join(k): v for k, v in found.pairs.items() if not math.isnan(v)} == pytest.approx(pairs, **near)
    assert found.boundaries == pytest.approx({"a": 0.9740820734341252, "b": 0.97, "e": 1.0}, **near)
    assert found.categories == pytest.approx({"c": 0.9, "d": 1.0}, **near)
    gone = {"a": 0.9647182910547396, "b": 1.0, "c": 1.0, "d": 0.9926114819759679, "e": 1.0}
    assert found.missing == pytest.approx(gone, **near)
    both = {"real": real[:, :2], "fake": fake[:, :2]}
    assert correlation_similarity(**both, ranks=True) == pytest.approx(0.9753075944010896, **near)
    other = {"real": real[:, [1, 4]], "fake": fake[:, [1, 4]]}
    assert correlation_similarity(**other) == pytest.approx(0.99069361467196, **near)


def test_associations_are_scipys() -> None:
    rng = np.random.default_rng(16)
    x, y = rng.normal(size=(2, 300))
    y, codes = y + x, rng.integers(0, 4, 300).astype(float)
    assert U.correlation(x, y) == pytest.approx(stats.pearsonr(x, y)[0], abs=1e-12)
    assert U.correlation(np.round(x), y, ranks=True) == pytest.approx(stats.spearmanr(np.round(x), y)[0], abs=1e-12)
    other = np.where(rng.random(300) < 0.4, codes, rng.integers(0, 4, 300)).astype(float)
    table = np.histogram2d(codes, other, bins=4)[0].astype(int)
    assert U.cramers_v(codes, other) == pytest.approx(stats.contingency.association(table, method="cramer"), abs=1e-12)
    assert U.cramers_v(codes, other, corrected=True) < U.cramers_v(codes, other)
    f = stats.f_oneway(*(y[codes == k] for k in range(4))).statistic  # F = (eta^2/3) / ((1 - eta^2)/296)
    assert U.correlation_ratio(y, codes) == pytest.approx(math.sqrt(3 * f / (3 * f + 296)), abs=1e-12)
    assert math.isnan(U.correlation(np.ones(5), np.arange(5.0)))


# --- figures --------------------------------------------------------------------------------------------------------


def test_every_figure_gives_what_it_says_and_names_the_planted_fault() -> None:
    import polars as pl

    rng = np.random.default_rng(17)

    def table(n: int, *, broken: bool = False) -> pl.DataFrame:
        rows = tied(n, rng, broken=broken)
        a = np.round(rows[:, 0], 2)
        names = np.where(rows[:, 2] > 1, "north", "south")
        b = np.round(a + np.abs(rows[:, 1]) * 0.1 + 0.01, 2)
        b = rng.permutation(b) if broken else b
        return pl.DataFrame({"low": a, "high": b, "place": names, "extra": rows[:, 1]})

    roles = {"real": table(900), "fake": table(700, broken=True), "holdout": table(600)}
    job = prepare(roles, suite="quick", alpha=0.05, seed=0)
    found = {}
    for figure in U.FIGURES:
        metrics = figure.compute(job)
        assert tuple(m.name for m in metrics) == (figure.gives or (figure.name,))
        for m in metrics:
            assert m.group == figure.group == "utility"
            assert m.low is not None
            assert m.low <= m.value <= m.high
            assert m.baseline is not None
            found[m.name] = m
    assert "low < high" in found["violations_worst"].reads
    assert found["violations_worst"].low > 0.2 > found["violations_worst"].baseline
    assert "low with high" in found["dependence"].reads
    assert found["dependence"].low > found["dependence"].baseline
    assert found["tstr"].high < found["tstr"].baseline
    assert found["tstr_gap"].low > 0.1
    assert found["tv3"].value > 1.2 * found["tv3"].baseline
    assert U.rules_of(job)[0].constraint.sentence == "low < high"
    assert U.rules_of(job)[0].adjusted < 1e-9
    assert {"low", "high"} == set(U.pairs_of(job)[0].names)


def test_figures_say_why_they_are_left_out() -> None:
    rng = np.random.default_rng(18)
    by_name = {figure.name: figure for figure in U.FIGURES}
    job = prepare(
        {"real": rng.normal(size=(60, 1)), "fake": rng.normal(size=(60, 1))}, suite="quick", alpha=0.05, seed=0
    )
    for name, why in (
        ("violations", "100 real rows"),
        ("dependence", "one column"),
        ("tv3", "no triple"),
        ("tstr", "at least 180 rows"),
    ):
        with pytest.raises(LeftOut, match=why):
            by_name[name].compute(job)
    job = prepare(
        {"real": rng.normal(size=(900, 2)), "fake": rng.normal(size=(900, 2))}, suite="quick", alpha=0.05, seed=0
    )
    with pytest.raises(LeftOut, match="no rule"):
        by_name["violations"].compute(job)
