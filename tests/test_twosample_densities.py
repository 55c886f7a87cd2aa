"""Divergences from neighbours, from counts, between fitted Gaussians and from given densities."""

import math
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch
from scipy.spatial.distance import cdist
from scipy.stats import binom, chi2_contingency

from pushforward import closed_form as cf
from pushforward.closed_form import Gaussian
from pushforward.errors import InputError
from pushforward.readings.significance import draw_members, permutation_test
from pushforward.twosample import densities, discrete, gaussian, likelihood
from pushforward.twosample.divergences import NAMES, Divergence, of_masses, renyi_of_alpha
from pushforward.twosample.neighbours import nearest
from pushforward.twosample.result import TestResult
from pushforward.witness import Statistic

METHODS = {**densities.METHODS, **discrete.METHODS, **gaussian.METHODS, **likelihood.METHODS}
F64 = torch.float64
P = Gaussian(torch.tensor([0.5, 0.3], dtype=F64), torch.eye(2, dtype=F64))
Q = Gaussian(torch.zeros(2, dtype=F64), torch.eye(2, dtype=F64))
DENSITIES: dict[str, Any] = {"log_p": P.log_prob, "log_q": Q.log_prob}
TIED_OPTIONS: dict[str, dict[str, Any]] = {"lrt": DENSITIES}


def source(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def pair(n: int, m: int, seed: int, p: Gaussian = Q, q: Gaussian = Q) -> tuple[torch.Tensor, torch.Tensor]:
    g = source(seed)
    return p.sample(n, generator=g), q.sample(m, generator=g)


def run(method: str, x: torch.Tensor, y: torch.Tensor, seed: int = 0, b: int = 39, **options: Any) -> TestResult:
    test = METHODS[method].test
    assert test is not None
    return test(x, y, permutations=b, generator=source(seed), **options)


def options_of(method: str) -> dict[str, Any]:
    return TIED_OPTIONS.get(method, {})


def digits(n: int, m: int, seed: int, tilt: float = 0.0) -> tuple[torch.Tensor, torch.Tensor]:
    """Two columns of few values, with many ties; `tilt` moves the first column of x."""
    g = source(seed)
    x, y = (torch.randint(3, (rows, 2), generator=g).double() for rows in (n, m))
    x[:, 0] = torch.where(torch.rand(n, generator=g) < tilt, 2.0, x[:, 0])
    return x, y


STATISTICS: dict[str, Statistic] = {
    "kl-knn": densities.NeighbourStatistic(Divergence("kl")),
    "chi2": discrete.CountTest(),
    "gaussian": gaussian.GaussianStatistic(Divergence("jeffreys")),
    "lrt": likelihood.LikelihoodStatistic(P.log_prob, Q.log_prob),
}


@pytest.mark.parametrize("name", STATISTICS)
@pytest.mark.parametrize("ties", [False, True])
def test_type_one_error(name: str, ties: bool) -> None:
    """Level: 60 tests of equal distributions at alpha = .05, n = 26, m = 18, with and without ties. Rejections of a
    valid test exceed the limit with probability 1e-7; a level of .45 does so 99 times in 100."""
    most = int(binom.isf(1e-7, 60, 0.05))
    assert binom.sf(most, 60, 0.45) > 0.99
    rejections = 0
    for seed in range(60):
        x, y = digits(26, 18, seed) if ties else pair(26, 18, seed)
        found = permutation_test(STATISTICS[name], x, y, permutations=19, generator=source(seed))
        rejections += found.pvalue <= 0.05
    assert rejections <= most


@pytest.mark.parametrize("method", sorted(set(METHODS) - {"discrete"}))
def test_power(method: str) -> None:
    """A shift by (1.2, .8), delta 1.44, at n = 120, m = 150: each statistic lies beyond all of its null, which a blind
    one does once in 100."""
    p = Gaussian(torch.tensor([1.2, 0.8], dtype=F64), torch.eye(2, dtype=F64))
    assert run(method, *pair(120, 150, 0, p), 0, 99, **options_of(method)).pvalue == 0.01


def test_power_of_counts() -> None:
    """Half of the rows moved to one digit, 300 a side: chi-square's noncentrality is near 80 on 8 degrees of freedom,
    and a blind test passes with probability 6e-6; bins do the same for continuous rows."""
    for seed in range(2):
        for statistic in ("chi2", "g"):
            assert run("discrete", *digits(300, 300, seed, 0.5), seed, statistic=statistic).pvalue <= 0.05
    shifted = Gaussian(torch.tensor([1.0, 1.0], dtype=F64), torch.eye(2, dtype=F64))
    assert run("discrete", *pair(200, 200, 0, shifted), bins=3).pvalue <= 0.05
    assert run("discrete", *pair(50, 50, 0, shifted)).pvalue == 1.0  # no row repeats: nothing to see


# neighbours


@pytest.mark.parametrize("d", [1, 3])
def test_nearest_neighbours_are_those_of_all_distances(d: int) -> None:
    g = source()
    x, y = torch.randn(70, d, generator=g, dtype=F64), torch.randn(90, d, generator=g, dtype=F64)
    y[:5] = y[5:10]  # ties
    y[10] = y[11] = y[12]
    for rows, others, own in ((x, y, False), (y, y, True), (x, x, True)):
        table = torch.from_numpy(cdist(rows, others))
        if own:
            table.fill_diagonal_(math.inf)
        near = nearest(rows, others, 7, own=own)
        torch.testing.assert_close(near.distance, table.sort(1).values[:, :7], rtol=1e-10, atol=1e-13)
        torch.testing.assert_close(near.distance, table.gather(1, near.index), rtol=1e-10, atol=1e-13)
        if own:
            assert not (near.index == torch.arange(len(rows))[:, None]).any()


@pytest.mark.parametrize("name", NAMES)
def test_estimates_are_those_of_the_papers(name: str) -> None:
    """The sums as published, from the whole matrices of distances."""
    x, y = pair(30, 40, 3, P)
    n, m, d, k, a = 30, 40, 2, 4, 0.7
    rho = np.sort(cdist(x, x), 1)[:, k]
    nu = np.sort(cdist(x, y), 1)[:, k - 1]
    rho_y, nu_y = np.sort(cdist(y, y), 1)[:, k], np.sort(cdist(y, x), 1)[:, k - 1]
    u, w = np.log((m * nu**d) / ((n - 1) * rho**d)), np.log((n * nu_y**d) / ((m - 1) * rho_y**d))

    def integral(order: float, v: np.ndarray) -> float:
        gamma = math.gamma(k) ** 2 / (math.gamma(k - order + 1) * math.gamma(k + order - 1))
        return float(gamma * np.exp((order - 1) * v).mean())

    alpha = (integral(a, u) - 1) / (a * (a - 1))
    truth = {
        "kl": u.mean(),
        "reverse-kl": w.mean(),
        "jeffreys": u.mean() + w.mean(),
        "hellinger": 2 - integral(0.5, u) - integral(0.5, w),
        "pearson": integral(2.0, u) - 1,
        "neyman": integral(2.0, w) - 1,
        "js": np.log(2 / (1 + np.exp(-u))).mean() + np.log(2 / (1 + np.exp(-w))).mean(),
        "tv": (np.sign(u).mean() + np.sign(w).mean()) / 2,
        "alpha": alpha,
        "renyi": math.log(integral(a, u)) / (a - 1),
    }[name]
    statistic = densities.NeighbourStatistic(Divergence(name, a), k)
    assert float(statistic(x, y)) == pytest.approx(float(truth), rel=1e-9)
    members = draw_members(30, 40, 8, generator=source())
    value, null = statistic.with_null(x, y, members)
    pooled = torch.cat([x, y])
    slow = torch.stack([statistic(pooled[row], pooled[~row]) for row in members.T])
    assert float(value) == pytest.approx(float(truth), rel=1e-9)
    torch.testing.assert_close(null, slow, rtol=1e-9, atol=1e-12)


def test_relabelling_with_short_lists_and_ties_is_exact(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lists cut to 2 k neighbours, which random labels often outrun, and rows that repeat."""
    monkeypatch.setattr(densities, "_length", lambda k, share, lists, most: 2 * k)
    statistic = densities.NeighbourStatistic(Divergence("jeffreys"), 3)
    for x, y in (pair(14, 30, 0), digits(14, 30, 0)):
        members = draw_members(14, 30, 12, generator=source())
        pooled = torch.cat([x, y])
        slow = torch.stack([statistic(pooled[row], pooled[~row]) for row in members.T])
        torch.testing.assert_close(statistic.with_null(x, y, members)[1], slow, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("name", ["kl", "hellinger", "pearson", "js", "tv", "renyi"])
def test_neighbours_estimate_closed_forms(name: str) -> None:
    """N(m, I) against N(0, I) in two columns, |m|^2 = .34, n = 1500, m = 1200: within six standard errors (2e-9), which
    are asked to be small, and .02 for the biases that the module states."""
    g = source(1)
    x, y = P.sample(1500, generator=g), Q.sample(1200, generator=g)
    if name == "js":
        fine = P.sample(200_000, generator=g), Q.sample(200_000, generator=g)
        truth = float(Divergence("js").link()(cf.log_ratio(P, Q)).gap(*fine))
    else:
        truth = float(gaussian.between(Divergence(name), P, Q))
    measure = METHODS[f"{name}-knn"].distance
    assert measure is not None
    e = measure(x, y, generator=source())
    assert abs(e.value - truth) < 6 * e.stderr + 0.02
    assert e.stderr < 0.15
    assert e.low < e.value < e.high


def test_the_jackknife_of_neighbours_is_as_wide_as_the_spread() -> None:
    """20 repetitions at n = m = 100: the mean standard error lies within a factor 2 of the standard deviation, whose
    own relative error is 16 % (four of those at least, either way)."""
    found = [densities.knn_distance(*pair(100, 100, seed, P), generator=source(seed)) for seed in range(20)]
    spread = float(np.std([e.value for e in found], ddof=1))
    assert spread / 2.0 < np.mean([e.stderr for e in found]) < 2.0 * spread


def test_neighbour_gradient() -> None:
    x, y = (rows.clone().requires_grad_() for rows in pair(6, 6, 0, P))
    for name in ("jeffreys", "js"):
        statistic = densities.NeighbourStatistic(Divergence(name), 2)
        assert torch.autograd.gradcheck(statistic, (x, y), eps=1e-6, atol=1e-5)


def test_rows_that_repeat_have_no_density() -> None:
    x, y = digits(40, 30, 0)
    with pytest.raises(InputError, match="use the method 'discrete'"):
        densities.knn_distance(x, y, generator=source())
    tied = run("kl-knn", x, y)
    assert math.isfinite(tied.statistic)
    assert math.isnan(tied.effect.low)
    same = torch.ones(20, 2)
    assert run("kl-knn", same, same).pvalue == 1.0
    twice = pair(40, 40, 0)[0]
    assert run("jeffreys-knn", twice, twice).pvalue >= 0.5


def test_many_rows_in_one_column() -> None:
    """Sorted, not tiled: 5e4 rows a side within the time limit; the test refuses what it cannot do, in a sentence."""
    g = source()
    x, y = torch.randn(50_000, 1, generator=g, dtype=F64) + 1.0, torch.randn(50_000, 1, generator=g, dtype=F64)
    statistic = densities.NeighbourStatistic(Divergence("kl"))
    assert float(statistic(x, y)) == pytest.approx(0.5, abs=0.05)
    with pytest.raises(InputError, match="take too long; use at most"):
        statistic.with_null(x, y, torch.zeros(1, 1, dtype=torch.bool).expand(100_000, 10_000))


def test_neighbour_witness_bounds_on_fresh_rows() -> None:
    """The gap on rows of its own is a lower bound, six standard errors aside, and well above zero."""
    from pushforward.readings import estimate

    witness = densities.knn_witness(Divergence("js"), *pair(1000, 1000, 0, P))
    e = estimate(witness, *pair(2000, 2000, 1, P))
    assert 0.02 < e.value < 0.08 + 6 * e.stderr  # 2 JSD is .0815
    assert witness.tags == {"certified", "log_ratio"}
    assert witness.phi(torch.zeros(3, 2)).dtype == torch.float32


# counts


@pytest.mark.parametrize("name", NAMES)
def test_masses_are_direct_sums(name: str) -> None:
    p, q = np.array([0.5, 0.3, 0.2]), np.array([0.2, 0.2, 0.6])
    m, a = (p + q) / 2, 0.7
    power = (p**a * q ** (1 - a)).sum()
    truth = {
        "kl": (p * np.log(p / q)).sum(),
        "reverse-kl": (q * np.log(q / p)).sum(),
        "js": (p * np.log(p / m)).sum() + (q * np.log(q / m)).sum(),
        "jeffreys": ((p - q) * np.log(p / q)).sum(),
        "hellinger": ((np.sqrt(p) - np.sqrt(q)) ** 2).sum(),
        "pearson": ((p - q) ** 2 / q).sum(),
        "neyman": ((p - q) ** 2 / p).sum(),
        "tv": np.abs(p - q).sum() / 2,
        "alpha": (power - 1) / (a * (a - 1)),
        "renyi": np.log(power) / (a - 1),
    }[name]
    x, y = (
        torch.from_numpy(np.repeat([[1.0], [2.0], [5.0]], (s * 10 * k).round().astype(int), 0))
        for s, k in ((p, 3), (q, 2))
    )
    kind = Divergence(name, a)
    assert float(of_masses(kind, torch.from_numpy(p), torch.from_numpy(q))) == pytest.approx(truth, rel=1e-12)
    assert float(discrete.MassStatistic(kind)(x, y)) == pytest.approx(truth, rel=1e-12)
    e = discrete.discrete_distance(x, y, generator=source(), divergence=name, order=a, correct=False)
    assert e.value == pytest.approx(truth, rel=1e-12)
    if name not in ("tv", "renyi"):  # a link's f agrees with the sum, and so do its special cases
        f = kind.link().f
        assert f is not None
        r = torch.from_numpy(p / q)
        assert float((torch.from_numpy(q) * f(r)).sum()) == pytest.approx(truth, rel=1e-12)


def test_orders_that_have_other_names() -> None:
    p, q = torch.tensor([0.5, 0.3, 0.2], dtype=F64), torch.tensor([0.2, 0.2, 0.6], dtype=F64)

    def value(name: str, order: float = 0.5) -> float:
        return float(of_masses(Divergence(name, order), p, q))

    assert value("alpha", 2.0) == pytest.approx(value("pearson") / 2)
    assert value("alpha", -1.0) == pytest.approx(value("neyman") / 2)
    assert value("alpha", 0.5) == pytest.approx(2 * value("hellinger"))
    assert value("alpha", 1.0) == value("renyi", 1.0) == value("kl")
    assert value("alpha", 0.0) == value("reverse-kl")
    assert value("renyi", 1.0 + 1e-7) == pytest.approx(value("kl"), rel=1e-5)


@pytest.mark.parametrize(
    ("name", "order", "value"),
    [
        ("kl", 0.5, math.inf),
        ("reverse-kl", 0.5, math.inf),
        ("jeffreys", 0.5, math.inf),
        ("pearson", 0.5, math.inf),
        ("neyman", 0.5, math.inf),
        ("alpha", 1.5, math.inf),
        ("alpha", -0.5, math.inf),
        ("renyi", 0.5, math.inf),
        ("renyi", 1.5, math.inf),
        ("js", 0.5, 2 * math.log(2)),
        ("hellinger", 0.5, 2.0),
        ("tv", 0.5, 1.0),
        ("alpha", 0.5, 4.0),
    ],
)
def test_point_masses_apart(name: str, order: float, value: float) -> None:
    """Point masses at 0 and theta: the same for every theta other than 0, and 0 there."""
    x, y = torch.zeros(6, 1, dtype=F64), torch.full((5, 1), 0.1, dtype=F64)
    statistic = discrete.METHODS["discrete"].statistic
    assert statistic is not None
    assert float(statistic(divergence=name, order=order)(x, y)) == pytest.approx(value)
    assert float(statistic(divergence=name, order=order)(x, x)) == 0.0
    e = discrete.discrete_distance(x, y, generator=source(), divergence=name, order=order)
    if math.isinf(value):
        assert e.value == math.inf
        assert math.isnan(e.low)
    assert run("discrete", x, y, divergence=name, order=order).statistic == pytest.approx(11.0)


def test_counts_agree_with_scipy() -> None:
    x, y = digits(70, 50, 0, 0.2)
    index, size = discrete.categories(x, y)
    table = np.stack([np.bincount(part, minlength=size) for part in (index[:70], index[70:])])
    for statistic, name in (("chi2", "pearson"), ("g", "log-likelihood")):
        truth = chi2_contingency(table, correction=False, lambda_=name).statistic
        assert run("discrete", x, y, statistic=statistic).statistic == pytest.approx(float(truth), rel=1e-12)
        counts = discrete.CountTest(statistic)
        members = draw_members(70, 50, 25, generator=source())
        pooled = torch.cat([x, y])
        slow = torch.stack([counts(pooled[row], pooled[~row]) for row in members.T])
        torch.testing.assert_close(counts.with_null(x, y, members)[1], slow, rtol=1e-10, atol=1e-10)
    assert run("discrete", x, x).pvalue == 1.0
    assert run("discrete", torch.ones(9, 1), torch.ones(4, 1)).pvalue == 1.0


@pytest.mark.parametrize(
    ("name", "order"), [("kl", 0.5), ("js", 0.5), ("pearson", 0.5), ("renyi", 0.5), ("renyi", 2.0)]
)
@pytest.mark.parametrize("equal", [False, True])
def test_intervals_of_counts_cover(name: str, order: float, equal: bool) -> None:
    """100 repetitions of 400 and 300 draws from 6 categories: the corrected 95 % interval covers the truth at least 79
    times (a true coverage of .95 gives fewer with probability below 1e-6), for the same and for different masses; the
    correction halves the bias at least where it matters."""
    p = torch.tensor([0.3, 0.2, 0.2, 0.1, 0.1, 0.1], dtype=F64)
    q = p if equal else torch.tensor([0.15, 0.25, 0.2, 0.1, 0.1, 0.2], dtype=F64)
    kind = Divergence(name, order)
    truth, g = float(of_masses(kind, p, q)), source()
    covered, bias, plain = 0, 0.0, 0.0
    for _ in range(100):
        x = torch.multinomial(p, 400, True, generator=g).double()[:, None]
        y = torch.multinomial(q, 300, True, generator=g).double()[:, None]
        e = discrete._estimate(kind, x, y, 0.95, None, correct=True)
        covered += e.low <= truth <= e.high
        bias += (e.value - truth) / 100
        plain += (float(discrete.MassStatistic(kind)(x, y)) - truth) / 100
    assert binom.cdf(78, 100, 0.95) < 1e-6
    assert covered >= 79
    if equal:
        assert abs(bias) < plain / 2


def test_interval_of_total_variation() -> None:
    """McDiarmid's limits, and the delta method's standard error against the spread of 200 repetitions (5 %)."""
    p, q = torch.tensor([0.5, 0.3, 0.2], dtype=F64), torch.tensor([0.2, 0.3, 0.5], dtype=F64)
    g, found = source(), []
    for _ in range(200):
        x = torch.multinomial(p, 400, True, generator=g).double()[:, None]
        y = torch.multinomial(q, 300, True, generator=g).double()[:, None]
        found.append(discrete.discrete_distance(x, y, generator=g, divergence="tv"))
    half = math.sqrt(math.log(40.0) / 2 * (1 / 400 + 1 / 300))
    assert all(e.high - e.value == pytest.approx(half) for e in found)
    assert all(e.low <= 0.3 <= e.high for e in found)
    assert np.std([e.value for e in found]) == pytest.approx(np.mean([e.stderr for e in found]), rel=0.35)


def test_witness_of_counts() -> None:
    x, y = digits(400, 400, 0, 0.5)
    witness = run("discrete", x, y).witness
    assert witness is not None
    assert float(witness.gap(x, y)) == pytest.approx(float(discrete.MassStatistic(Divergence("js"))(x, y)), rel=0.05)
    unseen = torch.tensor([[7.0, 7.0]])
    assert float(witness.phi(unseen)) == pytest.approx(0.0, abs=1e-6)


# Gaussians


@pytest.mark.parametrize("name", [n for n in NAMES if n != "js"])
def test_gaussians_are_closed_forms_of_moments(name: str) -> None:
    x, y = pair(60, 50, 0, P)
    p, q = (Gaussian(rows.mean(0), torch.cov(rows.T)) for rows in (x, y))
    if name == "tv":
        both = (59 * p.covariance + 49 * q.covariance) / 108
        p, q = Gaussian(p.mean, both), Gaussian(q.mean, both)
    truth = float(
        {
            "kl": lambda: cf.kl(p, q),
            "reverse-kl": lambda: cf.kl(q, p),
            "jeffreys": lambda: cf.jeffreys(p, q),
            "hellinger": lambda: cf.hellinger(p, q),
            "pearson": lambda: cf.pearson(p, q),
            "neyman": lambda: cf.neyman(p, q),
            "tv": lambda: cf.total_variation(p, q),
            "alpha": lambda: cf.alpha(p, q, 0.7),
            "renyi": lambda: renyi_of_alpha(cf.alpha(p, q, 0.7), 0.7),
        }[name]()
    )
    statistic = gaussian.GaussianStatistic(Divergence(name, 0.7))
    assert float(statistic(x, y)) == pytest.approx(truth, rel=1e-12)
    members = draw_members(60, 50, 6, generator=source())
    pooled = torch.cat([x, y])
    slow = torch.stack([statistic(pooled[row], pooled[~row]) for row in members.T])
    torch.testing.assert_close(statistic.with_null(x, y, members)[1], slow, rtol=1e-8, atol=1e-10)
    e = gaussian.gaussian_distance(x, y, generator=source(), divergence=name, order=0.7)
    assert e.value == pytest.approx(truth, rel=1e-12)
    assert e.low < truth < e.high
    if name in ("jeffreys", "hellinger", "tv"):
        a, b = (rows[:6].clone().requires_grad_() for rows in (x, y))
        assert torch.autograd.gradcheck(statistic, (a, b))


def test_fitted_gaussians_estimate_the_truth() -> None:
    """Six standard errors (2e-9), which are asked to be small."""
    for name in ("kl", "hellinger", "tv", "renyi"):
        e = gaussian.gaussian_distance(*pair(3000, 2000, 0, P), generator=source(), divergence=name)
        truth = float(gaussian.between(Divergence(name), P, Q))
        assert abs(e.value - truth) < 6 * e.stderr
        assert e.stderr < 0.15 * truth


# the likelihood ratio


def test_likelihood_ratio_estimates_jeffreys() -> None:
    x, y = pair(2000, 1500, 0, P)
    e = likelihood.lrt_distance(x, y, generator=source(), **DENSITIES)
    assert abs(e.value - float(cf.jeffreys(P, Q))) < 6 * e.stderr < 0.2
    statistic = likelihood.LikelihoodStatistic(P.log_prob, Q.log_prob)
    assert float(statistic(x, y)) == pytest.approx(e.value, rel=1e-12)
    members = draw_members(30, 20, 10, generator=source())
    pooled = torch.cat([x[:30], y[:20]])
    slow = torch.stack([statistic(pooled[row], pooled[~row]) for row in members.T])
    torch.testing.assert_close(statistic.with_null(x[:30], y[:20], members)[1], slow)
    result = run("lrt", x, y, **DENSITIES)
    assert result.witness is not None
    gap = float(result.witness.gap(*pair(20000, 20000, 5, P)))
    assert gap == pytest.approx(float(cf.jeffreys(P, Q)), rel=0.1)


def test_one_sample_likelihood_ratio() -> None:
    """200 samples of 30 rows from Q: Markov's p-value rejects rarely, the Monte Carlo one at its level (limits passed
    with probability 1e-7); from P, of the size that suffices, nearly always."""
    needed, enough = likelihood.samples_needed(float(cf.hellinger(P, Q)), alpha=0.05, power=0.95)
    assert needed <= enough
    g, markov, exact, found = source(), 0, 0, 0
    fresh = Q.sample(30 * 99, generator=g)
    for _ in range(200):
        z = Q.sample(30, generator=g)
        markov += likelihood.likelihood_ratio_test(z, P.log_prob, Q.log_prob).detected(0.05)
        fresh = Q.sample(30 * 99, generator=g)
        exact += likelihood.likelihood_ratio_test(z, P.log_prob, Q.log_prob, reference=fresh).detected(0.05)
        rows = P.sample(enough, generator=g)
        result = likelihood.likelihood_ratio_test(rows, P.log_prob, Q.log_prob)
        v = P.log_prob(rows) - Q.log_prob(rows)
        assert result.log_ratio == pytest.approx(float(v.sum()))
        assert result.pvalue == pytest.approx(min(1.0, math.exp(-float(v.sum()))))
        found += result.detected(0.05)
    limit = int(binom.isf(1e-7, 200, 0.05))
    assert markov <= exact <= limit
    assert found >= int(binom.ppf(1e-7, 200, 0.9))  # Markov's threshold is a little above the best one
    assert likelihood.likelihood_ratio_test(z, P.log_prob, Q.log_prob, reference=fresh).draws == 99


def test_samples_needed_follows_the_inverse_distance() -> None:
    """By the law n ~ 1/H; and by simulation no test at the lower size could do, while the upper one is ample: the exact
    errors of the test at L = 0 between N(0, 1) and N(e, 1) are Phi(-e sqrt(n)/2) each."""
    sizes = [likelihood.samples_needed(h) for h in (0.001, 0.01, 0.1)]
    for (a, b), (c, d) in pairwise(sizes):
        assert a / c == pytest.approx(10, rel=0.1)
        assert b / d == pytest.approx(10, rel=0.1)
    e = 0.2
    least, enough = likelihood.samples_needed(
        float(cf.hellinger(Gaussian.univariate(e, 1.0), Gaussian.univariate(0.0, 1.0)))
    )
    error = [0.5 * math.erfc(e * math.sqrt(n) / 2 / math.sqrt(2)) for n in (least, enough)]
    assert error[0] > 0.05 > error[1]
    assert likelihood.samples_needed(2.0) == (1, 1)


# refusals


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda x, y: run("kl-knn", x, y, k=0), "needs more than 0 neighbours, not k=0"),
        (lambda x, y: run("pearson-knn", x, y, k=1), "pearson divergence needs more than 1 neighbours, not k=1"),
        (lambda x, y: run("alpha-knn", x, y, order=-3.0, k=3), "alpha of order -3 divergence needs more than 3"),
        (lambda x, y: run("kl-knn", x[:5], y), "5 neighbours need at least 6 rows on each side, not 5 and 30"),
        (lambda x, y: run("renyi-knn", x, y, order=-1.0), "Renyi's divergence needs a positive order, not -1"),
        (lambda x, y: run("alpha-knn", x, y, order=math.nan), "must be finite"),
        (lambda x, y: run("discrete", x, y, statistic="t"), 'statistic of counts is "chi2" or "g", not \'t\''),
        (lambda x, y: run("discrete", x, y, divergence="ks"), "unknown divergence 'ks'; known: kl"),
        (lambda x, y: run("discrete", x, y, bins=1), "at least 2 bins, not 1"),
        (lambda x, y: run("gaussian", x, y, divergence="js"), "'js' has no closed form between Gaussians; use"),
        (lambda x, y: run("gaussian", x[:3], y), "in 2 columns need at least 4 rows on each side, not 3 and 30"),
        (lambda x, y: run("gaussian", x * 0.0, y * 0.0), "column 0 is constant"),
        (lambda x, y: run("gaussian", x[:, :1].repeat(1, 2), y), "the covariance of x is singular"),
        (lambda x, y: run("gaussian", 2.0 * x, y, divergence="pearson"), "infinite between the fitted Gaussians"),
        (lambda x, y: run("lrt", x, y), "needs both log densities; give log_p= and log_q="),
        (
            lambda x, y: run("lrt", x, y, log_p=lambda t: t, log_q=Q.log_prob),
            "log_p must give one value for each of 40",
        ),
        (
            lambda x, y: run("lrt", x, y, log_p=lambda t: t[:, 0].clamp_min(0.0).log(), log_q=Q.log_prob),
            "ln p/q is -inf at row .* of x: a density is 0 there",
        ),
        (lambda x, y: likelihood.samples_needed(0.0), r"lies in \(0, 2\], not at 0"),
        (lambda x, y: likelihood.samples_needed(0.1, alpha=0.5, power=0.4), "alpha below power"),
        (
            lambda x, y: likelihood.likelihood_ratio_test(x, P.log_prob, Q.log_prob, reference=y),
            "reference has 30 rows, fewer than the 40 rows",
        ),
    ],
)
def test_unusable_input_is_one_sentence(call: Any, message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        call(*pair(40, 30, 0))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("method", sorted(METHODS))
def test_edges(method: str) -> None:
    """float32 in, few rows, more columns than rows where that has a meaning: finite answers, p in (0, 1]."""
    options = options_of(method)
    x, y = (rows.float() for rows in pair(12, 9, 0))
    result = run(method, x, y, **options)
    assert 0.0 < result.pvalue <= 1.0
    assert math.isfinite(result.statistic)
    if method not in ("gaussian", "lrt"):
        g = source()
        wide = torch.randn(8, 30, generator=g), torch.randn(9, 30, generator=g)
        assert 0.0 < run(method, *wide, **options).pvalue <= 1.0
