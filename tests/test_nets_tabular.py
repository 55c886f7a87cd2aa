"""Networks for tables: exact one-hots with gradients, idle starts, and a base that knows the categories' pairs."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
import torch

from pushforward.data.dataset import Dataset
from pushforward.data.tables import TableCodec
from pushforward.nets import tabular
from pushforward.nets.tabular import TabularCritic, TabularGenerator


def frame(n: int = 4000) -> pl.DataFrame:
    """Two numbers (one with holes), and three categories of which the second repeats the first nine times in ten."""
    rng = np.random.default_rng(0)
    first = rng.choice(4, n, p=[0.4, 0.3, 0.2, 0.1])
    second = np.where(rng.random(n) < 0.9, first, rng.integers(0, 4, n))
    return pl.DataFrame(
        {
            "x": rng.normal(size=n),
            "y": np.where(rng.random(n) < 0.25, np.nan, rng.normal(size=n)),
            "first": first.astype(str),
            "second": second.astype(str),
            "third": rng.choice(["u", "v"], n),
        }
    )


@pytest.fixture(scope="module")
def codec() -> TableCodec:
    return TableCodec.fit(Dataset("table", frame(), "here", "polars"))


@pytest.fixture(scope="module")
def rows(codec: TableCodec) -> torch.Tensor:
    return codec.expand(codec.encode(Dataset("table", frame(), "here", "polars")))


def made(codec: TableCodec, **sizes: int) -> TabularGenerator:
    return TabularGenerator(codec.blocks, width=32, generator=torch.Generator().manual_seed(0), **sizes)


def draw(network: TabularGenerator, n: int, seed: int = 1) -> torch.Tensor:
    return network(network.noise(n, generator=torch.Generator().manual_seed(seed)))


def test_rows_have_exact_one_hots_and_empty_slots_are_zero(codec: TableCodec) -> None:
    out = draw(made(codec), 500)
    assert out.shape == (500, *codec.event_shape)
    for b in codec.blocks:
        if b.kind == "category":
            group = out[:, b.start : b.stop]
            assert torch.equal(group.sum(1), torch.ones(500))
            assert ((group == 0) | (group == 1)).all()
    for slot, place in codec.companions:
        assert torch.equal(out[:, slot] == 0, out[:, place] == 0)


def test_the_same_noise_gives_the_same_rows_and_the_same_seed_the_same_weights(codec: TableCodec) -> None:
    one, two = made(codec), made(codec)
    assert torch.equal(draw(one, 64), draw(two, 64))
    assert not torch.equal(draw(one, 64), draw(one, 64, seed=2))


def test_gradients_reach_numbers_and_categories(codec: TableCodec) -> None:
    network = made(codec).requires_grad_()
    critic = TabularCritic(codec.blocks, width=32, generator=torch.Generator().manual_seed(1))
    critic(draw(network, 256)).mean().backward()
    leaves = [network.heads.leave.weight.grad, network.trunk.leave.weight.grad]
    assert all(g is not None and g.abs().sum() > 0 for g in leaves)


def test_it_starts_as_independent_gaussian_numbers_and_the_bases_categories(
    codec: TableCodec, rows: torch.Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """n = 20,000: a mean within .04 is 5.6 of its standard errors (failure rate 2e-8 each), shares likewise."""
    monkeypatch.setattr(tabular, "FEW_LEVELS", 4)
    network = made(codec).warm_start(rows, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        out = draw(network, 20_000)
    assert out[:, 0].mean().abs() < 0.04
    assert (out[:, 0].std() - 1).abs() < 0.04
    k = codec.n_numeric
    assert (out[:, k:].mean(0) - rows[:, k:].mean(0)).abs().max() < 0.03
    at = {b.column: slice(b.start, b.stop) for b in codec.blocks if b.kind == "category"}
    pairs = [t[:, at["first"]].T @ t[:, at["second"]] / len(t) for t in (out, rows)]
    assert (pairs[0] - pairs[1]).abs().max() < 0.03
    assert (pairs[0].sum(1)[:, None] * pairs[0].sum(0) - pairs[0]).abs().max() > 0.1  # and independence would show


def test_few_levels_start_independent_at_their_frequencies(codec: TableCodec, rows: torch.Tensor) -> None:
    network = made(codec).warm_start(rows, generator=torch.Generator().manual_seed(0))
    assert network.base_direct.abs().sum() == 0
    k = codec.n_numeric
    assert (draw(network, 20_000)[:, k:].mean(0) - rows[:, k:].mean(0)).abs().max() < 0.03


def test_scores_are_one_a_row_and_rows_do_not_touch(codec: TableCodec, rows: torch.Tensor) -> None:
    critic = TabularCritic(codec.blocks, width=32, generator=torch.Generator().manual_seed(1))
    scores = critic(rows[:10])
    assert scores.shape == (10,)
    assert torch.allclose(critic(rows[3:4]), scores[3:4], atol=1e-5)
    x = rows[:8].clone().requires_grad_()
    (slope,) = torch.autograd.grad(critic(x)[2], x)
    assert torch.equal(slope[[0, 1, 3, 4, 5, 6, 7]], torch.zeros(7, x.shape[1]))


@pytest.mark.parametrize("columns", [["x"], ["third"], ["x", "y"]])
def test_numbers_alone_and_categories_alone(columns: list[str]) -> None:
    small = TableCodec.fit(Dataset("table", frame(600).select(columns), "here", "polars"))
    x = small.expand(small.encode(Dataset("table", frame(600).select(columns), "here", "polars")))
    network = made(small).warm_start(x, generator=torch.Generator().manual_seed(0))
    out = draw(network, 50)
    assert out.shape == (50, *small.event_shape)
    critic = TabularCritic(small.blocks, width=16, generator=torch.Generator().manual_seed(1))
    assert torch.isfinite(critic(out)).all()
