"""Gradient penalties against closed forms and finite differences."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from pushforward.errors import InputError
from pushforward.training.penalties import PENALTIES, between, gradient_penalty, penalty, r1, r2

SHAPES = [(1,), (7,), (3, 4), (3, 5, 2), (1, 8, 8)]
shapes = st.sampled_from(SHAPES)


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def draw(n: int, shape: tuple[int, ...], seed: int) -> tuple[Tensor, Tensor, Tensor]:
    g = rng(seed)
    x, y = (torch.randn(n, *shape, generator=g, dtype=torch.float64) for _ in range(2))
    return x, y, torch.randn(*shape, generator=g, dtype=torch.float64)


@settings(deadline=None, max_examples=30)
@given(shape=shapes, seed=st.integers(0, 2**31), weight=st.floats(0.01, 100))
def test_linear_critic_in_closed_form(shape: tuple[int, ...], seed: int, weight: float) -> None:
    x, y, w = draw(5, shape, seed)
    norm = float(w.norm())

    def critic(u: Tensor) -> Tensor:
        return (u * w).flatten(1).sum(1)

    ones = torch.ones(5, dtype=torch.float64)
    torch.testing.assert_close(r1(critic, x, weight), weight / 2 * norm**2 * ones)
    torch.testing.assert_close(r2(critic, y, weight), weight / 2 * norm**2 * ones)
    torch.testing.assert_close(gradient_penalty(critic, x, y, weight, generator=rng()), weight * (norm - 1) ** 2 * ones)
    one_sided = gradient_penalty(critic, x, y, weight, generator=rng(), one_sided=True)
    torch.testing.assert_close(one_sided, weight * max(0.0, norm - 1) ** 2 * ones)
    if norm < 1:
        assert not one_sided.any()


@pytest.mark.parametrize("shape", SHAPES)
def test_each_row_has_its_own_place_on_its_own_line(shape: tuple[int, ...]) -> None:
    x, y, _ = draw(64, shape, 3)
    u = between(x, y, rng(5))
    t = ((u - y) / (x - y)).flatten(1)
    assert (t.amax(1) - t.amin(1)).max() < 1e-6  # one t for all of a row
    t = t.mean(1)
    assert t.min() > -1e-9
    assert t.max() < 1 + 1e-9
    assert len(t.unique()) == 64  # 64 equal or few t's would mean one for the batch


def test_rows_do_not_touch_each_other() -> None:
    """The penalty of a row is the same alone and in a batch; it uses the norm over all dimensions of that row."""

    def critic(u: Tensor) -> Tensor:
        return (u**2).flatten(1).sum(1) / 2  # gradient u

    x, y, _ = draw(6, (3, 4), 1)
    torch.testing.assert_close(r1(critic, x, 3.0), 1.5 * x.square().sum((1, 2)))
    torch.testing.assert_close(torch.cat([r1(critic, row[None], 3.0) for row in x]), r1(critic, x, 3.0))
    u = between(x, y, rng(8))
    expected = 10 * (u.flatten(1).norm(dim=1) - 1) ** 2
    torch.testing.assert_close(gradient_penalty(critic, x, y, 10.0, generator=rng(8)), expected)


def test_gradient_in_the_critics_weights() -> None:
    """R1 of D(x) = w.x^2/2 is gamma/2 |w x|^2, so its derivative in w is gamma w x^2: a second derivative of D."""
    x, _, w = draw(9, (4,), 2)
    w.requires_grad_()
    r1(lambda u: (w * u**2).sum(1) / 2, x, 0.7).sum().backward()
    torch.testing.assert_close(w.grad, 0.7 * w.detach() * x.square().sum(0))


def test_flat_critic_has_a_finite_gradient() -> None:
    w = torch.zeros(4, requires_grad=True)
    x, y = torch.ones(3, 4), torch.zeros(3, 4)
    charge = gradient_penalty(lambda u: u @ w, x, y, 10.0, generator=rng())
    charge.sum().backward()
    assert w.grad is not None
    assert w.grad.isfinite().all()
    torch.testing.assert_close(charge.detach(), torch.full((3,), 10.0))


@pytest.mark.parametrize("name", list(PENALTIES))
def test_by_name(name: str) -> None:
    x, y, w = draw(5, (3,), 4)
    x, y = x.requires_grad_(), y.requires_grad_()

    def critic(u: Tensor) -> Tensor:
        return u @ w

    found = penalty(name)(critic, x, y, critic(x), critic(y), 2.0, rng())
    square = float(w.square().sum())
    expected = {
        "r1+r2": 2 * square,
        "r1": square,
        "gp": 2 * (math.sqrt(square) - 1) ** 2,
        "gp-one-sided": 2 * max(0.0, math.sqrt(square) - 1) ** 2,
        "none": 0.0,
    }[name]
    torch.testing.assert_close(found, torch.full((5,), expected, dtype=torch.float64))


def test_unknown_name_lists_the_known() -> None:
    with pytest.raises(InputError, match=r"r1\+r2.*gp"):
        penalty("r3")
