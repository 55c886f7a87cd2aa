"""One adversarial step, in its two forms.

`direct`: both networks descend their losses.

    critic     descends  mean[ loss_D(D(x), D(y)) + penalty ]       y = G(z), frozen
    generator  descends  mean[ loss_G(D(x), D(G(z))) ]              D as just updated, frozen

`target`: the samples move first, by lambda_1 along the gradient in data space, and the generator is then regressed onto
where they went; lambda_2 is its learning rate in parameter space.

    t = y - lambda_1 grad_y loss_G,     generator descends  mean[ |G(z) - t|^2 / 2 ]

With lambda_1 = 1 both have the same gradient: d/dtheta |G - t|^2 / 2 = (y - t).dG = grad_y loss_G . dG.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor, nn

from ..links import Objective
from .penalties import Penalty, squared_norm

Critic = Callable[[Tensor], Tensor]
FIGURES = ("critic_loss", "generator_loss", "gap", "accuracy", "penalty")


@runtime_checkable
class Generator(Protocol):
    """Noise for n rows, and rows for noise."""

    def noise(self, n: int, *, generator: torch.Generator) -> Tensor: ...

    def __call__(self, noise: Tensor) -> Tensor: ...


@dataclass(frozen=True)
class Rules:
    """The loss and penalty of a run, and which form the generator's update takes (`lambda_1=None`: direct)."""

    objective: Objective
    penalty: Penalty
    lambda_1: float | None = None


def step(
    rules: Rules,
    generator: Generator,
    critic: nn.Module,
    descend_generator: Callable[[Tensor], None],
    descend_critic: Callable[[Tensor], None],
    batches: Callable[[], Tensor],
    *,
    n_critic: int,
    weight: float,
    rng: torch.Generator,
    view: Callable[[Tensor], Tensor] = lambda x: x,
) -> Float[Tensor, " figures"]:
    """`n_critic` critic steps, then one of the generator; the `FIGURES` of the last, detached, on the device.

    `batches()` gives the next data `(n, *event)`; `view` is what the critic sees of a batch (an augmentation, or all of
    it); `weight` is the penalty's.
    """

    def seen(batch: Tensor) -> Tensor:
        scores: Tensor = critic(view(batch))
        return scores

    for turn in range(n_critic):
        x = batches()
        with torch.set_grad_enabled(turn == n_critic - 1):
            y = generator(generator.noise(len(x), generator=rng))
        loss, charge, gap, accuracy = critic_loss(rules, seen, x, y.detach(), weight, rng)
        descend_critic(loss + charge)
    loss_g = generator_loss(rules, seen, x, y)
    descend_generator(loss_g)
    return torch.stack([loss.detach(), loss_g.detach(), gap, accuracy, charge.detach()])


def critic_loss(
    rules: Rules, critic: Critic, x: Tensor, y: Tensor, weight: float, rng: torch.Generator
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Mean loss and mean penalty of the critic; and, detached, its score gap E a - E b and how often a > b."""
    x, y = x.detach().requires_grad_(), y.detach().requires_grad_()
    a, b = critic(torch.cat([x, y])).chunk(2)
    charge = rules.penalty(critic, x, y, a, b, weight, rng).mean()
    with torch.no_grad():
        gap, accuracy = (a - b).mean(), (a > b).float().mean()
    return rules.objective.critic(a, b).mean(), charge, gap, accuracy


def generator_loss(rules: Rules, critic: Critic, x: Tensor, y: Tensor) -> Tensor:
    """The generator's mean loss at its samples `y = G(z)`, whose gradient in G is that of the rule's form.

    In the target form the value returned is the regression's, lambda_1^2 |grad|^2 / 2.
    """
    if rules.lambda_1 is None:
        return _mean_loss(rules, critic, x, y)
    target = move(rules, critic, x, y.detach(), rules.lambda_1)
    return squared_norm(y - target).mean() / 2


def move(rules: Rules, critic: Critic, x: Tensor, y: Tensor, lambda_1: float) -> Tensor:
    """Where the samples go: y - lambda_1 grad_y loss_G, row by row, detached."""
    y = y.detach().requires_grad_()
    (slope,) = torch.autograd.grad(_mean_loss(rules, critic, x, y), y)
    return (y - lambda_1 * len(y) * slope).detach()  # the mean's 1/n is undone: each row moves along its own gradient


def _mean_loss(rules: Rules, critic: Critic, x: Tensor, y: Tensor) -> Tensor:
    if rules.objective.paired:
        with torch.no_grad():
            a = critic(x)
    else:
        a = y.new_zeros(len(y))
    return rules.objective.generator(a, critic(y)).mean()
