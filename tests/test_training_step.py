"""The adversarial step: who moves, by which gradient, in either form."""

import copy

import pytest
import torch
from torch import Tensor, nn

from pushforward import objectives
from pushforward.nets import MLPCritic, MLPGenerator, Shape
from pushforward.training.draw import Draw, Moment
from pushforward.training.regularisers.gradient import ZeroCentred
from pushforward.training.step import Rules, critic_loss, critic_scene, generator_loss, move, regression_loss, step


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def players(seed: int = 0, d: int = 3, *, outputs: int = 1) -> tuple[nn.Module, nn.Module]:
    g = rng(seed)
    generator = MLPGenerator((d,), noise_size=4, width=16, depth=1, generator=g).double()
    critic = MLPCritic((d,), width=16, depth=1, shape=Shape(outputs=outputs), generator=g).double()
    for network in (generator, critic):  # away from the zeros that the blocks start with
        for weight in network.parameters():
            weight.data.add_(0.3 * torch.randn(weight.shape, generator=g, dtype=torch.float64))
    return generator, critic


def moment(seed: int = 0) -> Moment:
    return Moment(0, 100, Draw(rng(seed)))


def target_loss(rules: Rules, critic: nn.Module, x: Tensor, y: Tensor) -> Tensor:
    return regression_loss(y, move(rules, critic, x, y, moment()))


def gradients(network: nn.Module, loss: Tensor) -> list[Tensor]:
    return list(torch.autograd.grad(loss, list(network.parameters())))


@pytest.mark.parametrize("name", sorted(objectives.OBJECTIVES))
def test_target_with_unit_rate_is_the_direct_step(name: str) -> None:
    """lambda_1 = 1: regressing G onto y - grad_y loss has the gradient of the loss itself, for every objective: those
    of scores, of pairs, of whole batches, of embeddings and features, and of the data themselves."""
    objective = objectives.objective(name)
    generator, critic = players(1, outputs=objective.outputs)
    g = rng(2)
    x, z = torch.randn(12, 3, generator=g).double(), torch.randn(12, 4, generator=g).double()
    direct = generator_loss(Rules(objective), critic, x, generator(z), moment())
    target = target_loss(Rules(objective, lambda_1=1.0), critic, x, generator(z))
    for one, other in zip(gradients(generator, direct / 12), gradients(generator, target / 12), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-12)

    # so plain SGD goes to the same weights
    after = []
    for lambda_1 in (None, 1.0):
        moved = copy.deepcopy(generator)
        sgd = torch.optim.SGD(moved.parameters(), lr=0.1)
        rules = Rules(objective, lambda_1=lambda_1)
        if lambda_1 is None:
            generator_loss(rules, critic, x, moved(z), moment()).backward()
        else:
            target_loss(rules, critic, x, moved(z)).backward()
        sgd.step()
        after.append(torch.cat([weight.detach().flatten() for weight in moved.parameters()]))
    torch.testing.assert_close(after[0], after[1], rtol=1e-9, atol=1e-12)


def test_target_rates_multiply() -> None:
    """The gradient is lambda_1 times the direct one."""
    objective = objectives.objective("rpgan")
    generator, critic = players(3)
    g = rng(4)
    x, z = torch.randn(8, 3, generator=g).double(), torch.randn(8, 4, generator=g).double()
    direct = gradients(generator, generator_loss(Rules(objective), critic, x, generator(z), moment()))
    half = gradients(generator, target_loss(Rules(objective, lambda_1=0.5), critic, x, generator(z)))
    for one, other in zip(direct, half, strict=True):
        torch.testing.assert_close(one / 2, other, rtol=1e-9, atol=1e-12)


def test_moved_samples_follow_the_critic() -> None:
    """Under the Wasserstein loss a sample moves by lambda_1 times the critic's own gradient there."""
    _, critic = players(5)
    g = rng(6)
    x, y = torch.randn(7, 3, generator=g).double(), torch.randn(7, 3, generator=g).double()
    rules = Rules(objectives.objective("wgan"), lambda_1=0.3)
    slope = torch.func.vmap(torch.func.grad(lambda row: critic(row[None]).squeeze()))(y)
    torch.testing.assert_close(move(rules, critic, x, y, moment()), y + 0.3 * slope)


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

    rules = Rules(objectives.objective("rpgan"), (ZeroCentred(0.1, 0.1),), n_critic=3)
    figures = step(
        rules,
        Doubled(),
        critic,
        descend("generator", generator),
        descend("critic", critic),
        batches,
        moment(9),
    )
    assert seen == {"generator": 1, "critic": 3}
    assert len(drawn) == 3
    assert set(figures) == set(rules.figures)
    assert all(one.isfinite().all() and one.shape == () and not one.requires_grad for one in figures.values())
    for network, old in zip((generator, critic), before, strict=True):
        assert all(
            not torch.equal(old[name], now) for name, now in network.state_dict().items() if old[name].numel() > 1
        )
        assert all(weight.grad is None for weight in network.parameters())


def test_critic_loss_is_the_mean_of_its_parts() -> None:
    _, critic = players(10)
    g = rng(11)
    x, y = torch.randn(9, 3, generator=g).double(), torch.randn(9, 3, generator=g).double()
    rules = Rules(objectives.objective("rpgan"), (ZeroCentred(0.4, 0.4),))
    loss, charge = critic_loss(rules, critic_scene(rules, critic, x, y, moment()))
    a, b = critic(x), critic(y)
    torch.testing.assert_close(loss, nn.functional.softplus(b - a).mean())
    slopes = [torch.func.vmap(torch.func.grad(lambda row: critic(row[None]).squeeze()))(rows) for rows in (x, y)]
    torch.testing.assert_close(charge, 0.2 * sum(slope.square().sum(1).mean() for slope in slopes))
