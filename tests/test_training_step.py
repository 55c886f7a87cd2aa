"""The adversarial step: who moves, by which gradient, in either form."""

import copy

import pytest
import torch
from torch import Tensor, nn

from pushforward import links
from pushforward.nets import MLPCritic, MLPGenerator
from pushforward.training.penalties import penalty
from pushforward.training.step import FIGURES, Rules, critic_loss, generator_loss, move, step


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def players(seed: int = 0, d: int = 3) -> tuple[nn.Module, nn.Module]:
    g = rng(seed)
    generator = MLPGenerator((d,), noise_size=4, width=16, depth=1, generator=g).double()
    critic = MLPCritic((d,), width=16, depth=1, generator=g).double()
    for network in (generator, critic):  # away from the zeros that the blocks start with
        for weight in network.parameters():
            weight.data.add_(0.3 * torch.randn(weight.shape, generator=g, dtype=torch.float64))
    return generator, critic


def gradients(network: nn.Module, loss: Tensor) -> list[Tensor]:
    return list(torch.autograd.grad(loss, list(network.parameters())))


@pytest.mark.parametrize("name", sorted(links.OBJECTIVES))
def test_target_with_unit_rate_is_the_direct_step(name: str) -> None:
    """lambda_1 = 1: regressing G onto y - grad_y loss has the gradient of the loss itself, for every objective."""
    objective = links.objective(name)
    generator, critic = players(1)
    g = rng(2)
    x, z = torch.randn(12, 3, generator=g).double(), torch.randn(12, 4, generator=g).double()
    direct = generator_loss(Rules(objective, penalty("none")), critic, x, generator(z))
    target = generator_loss(Rules(objective, penalty("none"), lambda_1=1.0), critic, x, generator(z))
    for one, other in zip(gradients(generator, direct / 12), gradients(generator, target / 12), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-12)

    # so plain SGD goes to the same weights
    after = []
    for lambda_1 in (None, 1.0):
        moved = copy.deepcopy(generator)
        sgd = torch.optim.SGD(moved.parameters(), lr=0.1)
        generator_loss(Rules(objective, penalty("none"), lambda_1), critic, x, moved(z)).backward()
        sgd.step()
        after.append(torch.cat([weight.detach().flatten() for weight in moved.parameters()]))
    torch.testing.assert_close(after[0], after[1], rtol=1e-9, atol=1e-12)


def test_target_rates_multiply() -> None:
    """The gradient is lambda_1 times the direct one."""
    objective = links.objective("rpgan")
    generator, critic = players(3)
    g = rng(4)
    x, z = torch.randn(8, 3, generator=g).double(), torch.randn(8, 4, generator=g).double()
    direct = gradients(generator, generator_loss(Rules(objective, penalty("none")), critic, x, generator(z)))
    half = gradients(generator, generator_loss(Rules(objective, penalty("none"), 0.5), critic, x, generator(z)))
    for one, other in zip(direct, half, strict=True):
        torch.testing.assert_close(one / 2, other, rtol=1e-9, atol=1e-12)


def test_moved_samples_follow_the_critic() -> None:
    """Under the Wasserstein loss a sample moves by lambda_1 times the critic's own gradient there."""
    _, critic = players(5)
    g = rng(6)
    x, y = torch.randn(7, 3, generator=g).double(), torch.randn(7, 3, generator=g).double()
    rules = Rules(links.objective("wgan"), penalty("none"))
    slope = torch.func.vmap(torch.func.grad(lambda row: critic(row[None]).squeeze()))(y)
    torch.testing.assert_close(move(rules, critic, x, y, 0.3), y + 0.3 * slope)


def test_who_descends_and_on_what() -> None:
    generator, critic = players(7)
    before = [copy.deepcopy(network.state_dict()) for network in (generator, critic)]
    g, drawn, seen = rng(8), [], {"generator": 0, "critic": 0}

    def batches() -> Tensor:
        drawn.append(torch.randn(10, 3, generator=g).double())
        return drawn[-1]

    def descend(name: str, network: nn.Module):
        def descend_(loss: Tensor) -> None:
            seen[name] += 1
            found = torch.autograd.grad(loss, list(network.parameters()))
            with torch.no_grad():
                for weight, slope in zip(network.parameters(), found, strict=True):
                    weight -= 0.01 * slope

        return descend_

    class Doubled(nn.Module):
        """The generator in double precision, whose noise is single."""

        def noise(self, n: int, *, generator: torch.Generator) -> Tensor:
            return torch.randn(n, 4, generator=generator).double()

        def forward(self, noise: Tensor) -> Tensor:
            return generator(noise)

    rules = Rules(links.objective("rpgan"), penalty("r1+r2"))
    figures = step(
        rules,
        Doubled(),
        critic,
        descend("generator", generator),
        descend("critic", critic),
        batches,
        n_critic=3,
        weight=0.1,
        rng=rng(9),
    )
    assert seen == {"generator": 1, "critic": 3}
    assert len(drawn) == 3
    assert figures.shape == (len(FIGURES),)
    assert figures.isfinite().all()
    assert not figures.requires_grad
    for network, old in zip((generator, critic), before, strict=True):
        assert all(
            not torch.equal(old[name], now) for name, now in network.state_dict().items() if old[name].numel() > 1
        )
        assert all(weight.grad is None for weight in network.parameters())


def test_critic_loss_is_the_mean_of_its_parts() -> None:
    _, critic = players(10)
    g = rng(11)
    x, y = torch.randn(9, 3, generator=g).double(), torch.randn(9, 3, generator=g).double()
    rules = Rules(links.objective("rpgan"), penalty("r1+r2"))
    loss, charge, gap, accuracy = critic_loss(rules, critic, x, y, 0.4, rng())
    a, b = critic(x), critic(y)
    torch.testing.assert_close(loss, nn.functional.softplus(b - a).mean())
    slopes = [torch.func.vmap(torch.func.grad(lambda row: critic(row[None]).squeeze()))(rows) for rows in (x, y)]
    torch.testing.assert_close(charge, 0.2 * sum(slope.square().sum(1).mean() for slope in slopes))
    torch.testing.assert_close(gap, (a - b).mean().detach())
    assert float(accuracy) == pytest.approx(float((a > b).double().mean()))
