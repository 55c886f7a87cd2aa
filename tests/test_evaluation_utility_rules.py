"""Constraints found in data: planted ones are found and told apart, chance ones are not, violations are counted right.

Repeated checks state the probability with which correct code fails them (at most 1e-6).
"""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

from pushforward.data import sources
from pushforward.errors import InputError
from pushforward.evaluation.frames import MISSING, frame_of
from pushforward.evaluation.utility import Constraint, Table, broken_rules, find_constraints, violations

Array = NDArray[np.float64]
DAY = 86400.0


def orders(n: int, seed: int) -> Table:
    """An invented table of orders with one rule of every kind; the city's level 6 is "(missing)"."""
    rng = np.random.default_rng(seed)
    quantity, price = rng.integers(1, 20, n).astype(float), np.round(rng.uniform(5, 90, n), 2)
    total = np.round(quantity * price, 2)
    tax = np.round(rng.uniform(0, 30, n), 2)
    ordered = np.floor(rng.uniform(15_000, 19_000, n)) * DAY
    sent = ordered + rng.integers(0, 900, n) // 9 * DAY
    city = rng.choice(7, n, p=[0.3, 0.2, 0.2, 0.1, 0.1, 0.05, 0.05]).astype(float)
    state = np.array([0, 0, 1, 1, 2, 2, 3], dtype=float)[city.astype(int)]
    wait = np.where(rng.random(n) < 0.2, np.nan, rng.exponential(size=n))
    reply = np.where(np.isnan(wait), np.nan, rng.normal(size=n))
    rating = np.where(np.isnan(wait) | (rng.random(n) < 0.2), np.nan, rng.normal(size=n))
    kelvin = rng.normal(20, 6, n)
    columns = {
        "quantity": quantity, "price": price, "total": total, "tax": tax, "sum": total + tax,
        "ordered": ordered, "sent": sent, "city": city, "state": state, "wait": wait, "reply": reply,
        "rating": rating, "celsius": kelvin, "fahrenheit": 1.8 * kelvin + 32,
    }  # fmt: skip
    levels = {"city": (*"abcdef", MISSING), "state": tuple("wxyz")}
    kinds = {"ordered": "datetime", "sent": "datetime", "city": "category", "state": "category"}
    return Table(
        tuple(columns),
        tuple(kinds.get(name, "numeric") for name in columns),
        tuple(levels.get(name, ()) for name in columns),
        np.stack(list(columns.values()), 1),
    )


def told(rules: tuple[Constraint, ...]) -> set[str]:
    return {rule.sentence for rule in rules}


def test_one_rule_of_every_kind_is_found_and_said() -> None:
    found = told(find_constraints(orders(3000, 0)))
    between = {
        "total = quantity × price",
        "sum = total + tax",
        "fahrenheit = 1.8 × celsius + 32",
        "ordered <= sent",
        "city determines state",
        "wait and reply are missing together",
        "where wait is missing, rating is missing",
    }
    single = {
        "wait is never negative",
        "quantity lies between 1 and 19",
        "quantity is a whole number",
        "price has at most 2 decimals",
        "ordered holds whole days",
    }
    assert between | single <= found
    follow = {"price <= total", "total < sum", "total <= sum", "tax < sum", "tax <= sum", "quantity < total"}
    relations = {s for s in found if any(word in s for word in (" = ", "determines", "<", "missing"))}
    assert relations <= between | follow


def test_unit_changes_and_sums_to_a_constant_are_said_plainly() -> None:
    rng = np.random.default_rng(1)
    a = rng.integers(0, 24, 800).astype(float)
    b = rng.integers(0, 60, 800).astype(float)
    c = rng.dirichlet(np.ones(3), 800) * 100
    rows = np.stack([a, b, 100 * a + b, *c.T], 1)
    table = Table(("hour", "minute", "time", "p", "q", "r"), ("numeric",) * 6, ((),) * 6, rows)
    found = told(find_constraints(table))
    assert "time = 100 × hour + minute" in found
    assert any(s.endswith(" = 100") and {"p", "q", "r"} <= set(s) for s in found), found


def test_chance_finds_no_rule_between_independent_columns() -> None:
    """60 tables of 7 independent columns: no rule between columns in any (each is confirmed at level .05 against being
    broken in 5 % of rows, and independent columns break such rules far more often)."""
    relational = {"order", "linear", "product", "dependency", "missing"}
    for seed in range(60):
        rng = np.random.default_rng(seed)
        n = 240
        category = [rng.integers(0, k, n).astype(float) for k in (2, 5)]
        skewed = (rng.random(n) < 0.04).astype(float)  # nearly constant: "determined" by anything
        numbers = [rng.normal(size=n), rng.exponential(size=n), rng.integers(0, 3, n).astype(float)]
        gaps = np.where(rng.random(n) < 0.1, np.nan, rng.normal(size=n))
        levels = (("a", "b"), tuple("abcde"), ("a", "b"), (), (), (), ())
        rows = np.stack([*category, skewed, *numbers, gaps], 1)
        table = Table(tuple("abcdefg"), ("category",) * 3 + ("numeric",) * 4, levels, rows)
        assert not [rule for rule in find_constraints(table, seed=seed) if rule.kind in relational]


def test_a_few_wrong_rows_do_not_hide_a_rule_and_keys_determine_nothing() -> None:
    rng = np.random.default_rng(2)
    a, b = rng.normal(size=4000), rng.normal(size=4000)
    total = a + b
    wrong = rng.permutation(4000)[:8]
    total[wrong] += 1000.0
    key = rng.permutation(4000).astype(float)
    table = Table(("a", "b", "total", "key"), ("numeric",) * 4, ((),) * 4, np.stack([a, b, total, key], 1))
    found = {rule.sentence: rule for rule in find_constraints(table)}
    assert found["total = a + b"].broken <= 8
    assert found["total = a + b"].counted == 2000
    assert not any("determines" in sentence for sentence in found)


def test_violations_are_counted_by_hand() -> None:
    nan = float("nan")
    rows = np.array([[1.0, 2.0, 0.0], [2.0, 2.0, 1.0], [3.0, nan, 1.0], [4.0, 3.0, 5.0]])
    rules = (
        Constraint("order", (0, 1), "a < b", (1.0,)),
        Constraint("order", (0, 1), "a <= b", (0.0,)),
        Constraint("range", (0,), "range", (2.0, np.inf)),
        Constraint("grid", (0,), "twos", (2.0,)),
        Constraint("linear", (0, 1, 2), "c = a - b", (1.0, -1.0, 0.0, 1e-9)),
        Constraint("product", (0, 1), "b = 2/a", (-1.0, 2.0, 0.0)),
        Constraint("dependency", (2, 0), "c -> a", (), ((0.0, 1.0), (1.0, 2.0))),  # level 5 was never seen
        Constraint("missing", (1, 2), "together", (1.0, nan, -1.0)),
        Constraint("missing", (1, 2), "implies", (0.0, nan, 1.0)),
    )
    counts = [(v.broken, v.counted) for v in violations(rules, rows)]
    assert counts == [(2, 3), (1, 3), (1, 4), (2, 4), (3, 3), (2, 3), (1, 3), (1, 1), (0, 1)]
    assert violations(rules[:1], rows)[0].rate == pytest.approx(2 / 3)


def test_broken_rules_are_named_with_fishers_test() -> None:
    table = orders(3000, 3)
    rules = find_constraints(table)
    real, fake = orders(800, 4).rows, orders(700, 5).rows
    state = table.names.index("state")
    fake[:30, state] = (fake[:30, state] + 1) % 4
    first, second, *_ = broken_rules(rules, real=real, fake=fake)
    assert first.constraint.sentence == "city determines state"
    expected = stats.fisher_exact([[30, 670], [0, 800]], alternative="greater").pvalue
    assert first.pvalue == pytest.approx(expected, rel=1e-9)
    assert first.adjusted == pytest.approx(min(1.0, len(rules) * expected), rel=1e-9)
    assert "broken by 4.29% of fake rows and 0.00% of real" in first.sentence
    assert second.adjusted > 0.05
    spoilt = fake.copy()
    spoilt[:, state] = (fake[:, state] + 1) % 4
    assert min(b.pvalue for b in broken_rules(rules, real=real, fake=spoilt)) > 0  # never 0


def test_no_rule_is_called_broken_where_fake_is_real() -> None:
    """Rules that a few rows break (so that the test has something to err on), fake from the same source: any finding
    at level .05 in at most 14 of 60 repetitions (false failure below 1e-6)."""
    false = 0
    for seed in range(60):
        rng = np.random.default_rng([seed, 1])

        def draw(n: int, rng: np.random.Generator = rng) -> Array:
            a = rng.integers(0, 8, n)
            b = np.where(rng.random(n) < 0.002, rng.integers(0, 4, n), a // 2)
            low = rng.normal(size=n)
            return np.stack([a, b, low, low + rng.normal(1.7, 0.6, n)], 1).astype(float)

        table = Table(tuple("abcd"), ("numeric",) * 4, ((),) * 4, draw(1500))
        found = broken_rules(find_constraints(table, seed=seed), real=draw(600), fake=draw(900))
        assert found
        false += found[0].adjusted <= 0.05
    assert false <= stats.binom.isf(1e-6, 60, 0.05)


def test_rules_of_diamonds() -> None:
    frame = frame_of({"real": sources.read("sample:diamonds")})
    rows = frame.rows["real"][:: max(1, len(frame.rows["real"]) // 8000)]
    found = told(find_constraints(Table.of(frame, rows)))
    assert {"z < x", "z < y", "price is never negative", "price is a whole number"} <= found
    assert {f"{name} has at most 2 decimals" for name in ("carat", "x", "y", "z")} <= found
    assert not any("determines" in rule or "carat <" in rule for rule in found)


def test_too_few_rows_are_refused() -> None:
    with pytest.raises(InputError, match="40 rows are too few to find rules in; give at least 100"):
        find_constraints(orders(40, 0))
