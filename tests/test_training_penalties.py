"""Penalties against closed forms and finite differences."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from pushforward.training.draw import Draw
from pushforward.training.penalties import between, dragan, gradient_penalty, lecam, r1, r2

SHAPES = [(1,), (7,), (3, 4), (3, 5, 2), (1, 8, 8), (2, 3, 2, 2)]  # inputs of 2 to 5 dimensions
shapes = st.sampled_from(SHAPES)


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def draw(n: int, shape: tuple[int, ...], seed: int) -> tuple[Tensor, Tensor, Tensor]:
    g = rng(seed)
    x, y = (torch.randn(n, *shape, generator=g, dtype=torch.float64) for _ in range(2))
    return x, y, torch.randn(*shape, generator=g, dtype=torch.float64)


@settings(deadline=None, max_examples=40)
@given(shape=shapes, seed=st.integers(0, 2**31), weight=st.floats(0.01, 100), pack=st.sampled_from([1, 2, 3]))
def test_linear_critic_in_closed_form(shape: tuple[int, ...], seed: int, weight: float, pack: int) -> None:
    """D of a pack is the sum of w.x over its rows, whose slope in the pack has the norm sqrt(m) |w|."""
    x, y, w = draw(6, shape, seed)
    w = w / w.norm() * (0.2 + seed % 7 / 2)  # norms below and above 1
    norm = math.sqrt(pack) * float(w.norm())

    def critic(u: Tensor) -> Tensor:
        return (u * w).flatten(1).sum(1).unflatten(0, (-1, pack)).sum(1)

    ones = torch.ones(6 // pack, dtype=torch.float64)
    torch.testing.assert_close(r1(critic, x, weight), weight / 2 * norm**2 * ones)
    torch.testing.assert_close(r2(critic, y, weight), weight / 2 * norm**2 * ones)
    slope = weight * (norm - 1) ** 2 * ones
    torch.testing.assert_close(gradient_penalty(critic, x, y, weight, draw=Draw(rng()), pack=pack), slope)
    torch.testing.assert_close(dragan(critic, x, weight, draw=Draw(rng())), slope)
    one_sided = gradient_penalty(critic, x, y, weight, draw=Draw(rng()), one_sided=True, pack=pack)
    torch.testing.assert_close(one_sided, weight * max(0.0, norm - 1) ** 2 * ones)
    if norm < 1:
        assert not one_sided.any()


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("pack", [1, 4])
def test_each_row_has_its_own_place_on_its_own_line(shape: tuple[int, ...], pack: int) -> None:
    x, y, _ = draw(64, shape, 3)
    u = between(x, y, Draw(rng(5)), pack)
    t = ((u - y) / (x - y)).reshape(64 // pack, -1)
    assert (t.amax(1) - t.amin(1)).max() < 1e-6  # one t for all of a row, or pack
    t = t.mean(1)
    assert t.min() > -1e-9
    assert t.max() < 1 + 1e-9
    assert len(t.unique()) == 64 // pack  # fewer would mean one for the batch


def test_rows_do_not_touch_each_other() -> None:
    """The penalty of a row is the same alone and in a batch; it uses the norm over all dimensions of that row."""

    def critic(u: Tensor) -> Tensor:
        return (u**2).flatten(1).sum(1) / 2  # gradient u

    x, y, _ = draw(6, (3, 4), 1)
    torch.testing.assert_close(r1(critic, x, 3.0), 1.5 * x.square().sum((1, 2)))
    torch.testing.assert_close(torch.cat([r1(critic, row[None], 3.0) for row in x]), r1(critic, x, 3.0))
    u = between(x, y, Draw(rng(8)))
    expected = 10 * (u.flatten(1).norm(dim=1) - 1) ** 2
    torch.testing.assert_close(gradient_penalty(critic, x, y, 10.0, draw=Draw(rng(8))), expected)


def test_dragan_looks_beside_the_data() -> None:
    """With D = |u|^2 / 2 the penalty is (|u| - 1)^2, which tells where u was: x + half the deviation times a normal."""

    def critic(u: Tensor) -> Tensor:
        return (u**2).flatten(1).sum(1) / 2

    x, _, _ = draw(8, (3, 4), 4)
    x = 5 * x + 1
    u = x + x.std(correction=0) / 2 * torch.randn(8, 3, 4, generator=rng(6)).double()
    torch.testing.assert_close(dragan(critic, x, 2.0, draw=Draw(rng(6))), 2 * (u.flatten(1).norm(dim=1) - 1) ** 2)


def test_lecam_row_by_row() -> None:
    a, b = torch.tensor([1.0, 2.0]), torch.tensor([-1.0, 0.5])
    found = lecam(a, b, torch.tensor(3.0), torch.tensor(-2.0), 0.1)
    torch.testing.assert_close(found, torch.tensor([0.1 * (9 + 16), 0.1 * (16 + 6.25)]))


def test_gradient_in_the_critics_weights() -> None:
    """R1 of D(x) = w.x^2/2 is gamma/2 |w x|^2, so its derivative in w is gamma w x^2: a second derivative of D."""
    x, _, w = draw(9, (4,), 2)
    w.requires_grad_()
    r1(lambda u: (w * u**2).sum(1) / 2, x, 0.7).sum().backward()
    torch.testing.assert_close(w.grad, 0.7 * w.detach() * x.square().sum(0))


def test_flat_critic_has_a_finite_gradient() -> None:
    w = torch.zeros(4, requires_grad=True)
    x, y = torch.ones(3, 4), torch.zeros(3, 4)
    charge = gradient_penalty(lambda u: u @ w, x, y, 10.0, draw=Draw(rng()))
    charge.sum().backward()
    assert w.grad is not None
    assert w.grad.isfinite().all()
    torch.testing.assert_close(charge.detach(), torch.full((3,), 10.0))
