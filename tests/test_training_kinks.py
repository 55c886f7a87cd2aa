"""Rectifiers as products: the same numbers, and nothing behind a kink."""

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import relu
from torch.utils.checkpoint import checkpoint

from pushforward.training.kinks import RectifiersAsProducts
from pushforward.training.penalties import unit_slope


class Methods(nn.Module):
    """Every way of calling a rectifier."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(6, 6) for _ in range(5))

    def forward(self, x: Tensor) -> Tensor:
        one, two, three, four, five = self.layers
        h = torch.relu(one(x))
        h = two(h).relu()
        h = relu(three(h), inplace=True)
        h = nn.LeakyReLU(0.3, inplace=True)(four(h))
        return five(nn.LeakyReLU()(h)).sum(1)


def critics() -> dict[str, nn.Module]:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        kinks = nn.Sequential(nn.Conv2d(1, 4, 2), nn.LeakyReLU(0.2), nn.Flatten(), nn.Linear(8, 1), nn.Flatten(0))
        smooth = nn.Sequential(nn.Linear(6, 5), nn.Tanh(), nn.Linear(5, 4), nn.ReLU(), nn.Linear(4, 1), nn.Flatten(0))
        return {
            "methods": Methods(),
            "pictures": nn.Sequential(nn.Unflatten(1, (1, 2, 3)), *kinks),
            "smooth below a kink": smooth,
        }


def charged(critic: nn.Module, x: Tensor) -> tuple[Tensor, list[Tensor]]:
    """The gradient penalty by PyTorch alone, and its slopes in the weights."""
    u = x.clone().requires_grad_()
    (slope,) = torch.autograd.grad(critic(u).sum(), u, create_graph=True)
    charge = 3.0 * ((slope.square().sum(1) + 1e-20).sqrt() - 1).square()
    return charge, slopes(charge, critic)


def slopes(charge: Tensor, critic: nn.Module) -> list[Tensor]:
    found = torch.autograd.grad(charge.sum(), list(critic.parameters()), allow_unused=True)
    return [torch.zeros_like(w) if s is None else s for s, w in zip(found, critic.parameters(), strict=True)]


@pytest.mark.parametrize("name", list(critics()))
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_penalty_is_what_pytorch_makes_of_it(name: str, dtype: torch.dtype) -> None:
    critic = critics()[name].to(dtype)
    x = torch.randn(50, 6, generator=torch.Generator().manual_seed(1), dtype=dtype)
    x[0] = 0.0
    expected, by_weight = charged(critic, x)
    found = unit_slope(critic, x, 3.0)
    torch.testing.assert_close(found, expected)
    assert any(slope.abs().max() > 0.01 for slope in by_weight)
    torch.testing.assert_close(slopes(found, critic), by_weight)


def test_a_critic_that_is_computed_again_on_the_way_back() -> None:
    """Activation checkpointing: the second computation does not know of products, so the first must not either."""
    critic, x = critics()["smooth below a kink"], torch.randn(20, 6, generator=torch.Generator().manual_seed(3))

    class Again(nn.Module):
        def forward(self, u: Tensor) -> Tensor:
            found: Tensor = checkpoint(critic, u, use_reentrant=False)
            return found

    expected, by_weight = charged(critic, x)
    charge = unit_slope(Again(), x, 3.0)
    torch.testing.assert_close(charge, expected)
    charge.sum().backward()
    for slope, weight in zip(by_weight, critic.parameters(), strict=True):
        torch.testing.assert_close(torch.zeros_like(weight) if weight.grad is None else weight.grad, slope)


def test_nothing_behind_a_kink_is_visited() -> None:
    """A bias below a rectifier moves no slope: it gets no gradient, where PyTorch alone computes zeros."""
    critic, x = critics()["pictures"], torch.randn(9, 6, generator=torch.Generator().manual_seed(2))
    assert isinstance(critic, nn.Sequential)
    bias = critic[1].bias
    u = x.clone().requires_grad_()
    (slope,) = torch.autograd.grad(critic(u).sum(), u, create_graph=True)
    (zeros,) = torch.autograd.grad(slope.sum(), [bias], allow_unused=True)
    assert zeros is not None
    assert not zeros.any()  # the day this fails, `kinks` has nothing left to do
    (nothing,) = torch.autograd.grad(unit_slope(critic, x, 1.0).sum(), [bias], allow_unused=True)
    assert nothing is None


@pytest.mark.parametrize("kink", [nn.ReLU(), nn.LeakyReLU(0.2), nn.ReLU(inplace=True)])
def test_values_are_the_same(kink: nn.Module) -> None:
    x = torch.tensor([-2.0, -0.0, 0.0, 1e-30, 3.0, float("inf"), float("nan")])
    with RectifiersAsProducts():
        found = kink(x.clone())
    torch.testing.assert_close(found, kink(x.clone()), equal_nan=True, rtol=0, atol=0)
