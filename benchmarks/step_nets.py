"""The networks, the loop by hand and the clock of bench_steps.py; plain PyTorch, for every environment it runs in.

    mlp     points in 2-D: three hidden layers of 128 in both networks, 8 noises, batch 256
    dcgan   images 3 x 28 x 28: two transposed convolutions of 4 x 4 over a 7 x 7 base in the generator, with batch
            normalisation; two strided ones in the critic, without (as WGAN-GP asks); 64 noises, batch 64

`by_hand` is the loop of PyTorch's own DCGAN example: one draw of samples serves both networks, Adam as it comes.
`by_hand(tight=True)` is what one can do about its speed and stay with the same mathematics: fused Adam, one pass of
the critic over data and samples, and no gradient of the generator's loss for the critic's weights.
"""

import math
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import softplus

GP, RATE, BETAS, ROWS = 10.0, 2e-4, (0.5, 0.999), 20_000


@dataclass(frozen=True)
class Task:
    """One game: which networks, which loss, and how often the critic moves."""

    net: str
    loss: str  # "ns" or "wgan-gp"
    event: tuple[int, ...]
    batch: int
    noise: int
    n_critic: int


TASKS = {
    "mlp-ns": Task("mlp", "ns", (2,), 256, 8, 1),
    "mlp-wgan-gp": Task("mlp", "wgan-gp", (2,), 256, 8, 5),
    "dcgan-ns": Task("dcgan", "ns", (3, 28, 28), 64, 64, 1),
    "dcgan-wgan-gp": Task("dcgan", "wgan-gp", (3, 28, 28), 64, 64, 5),
}


def networks(task: Task, event: Sequence[int] | None = None, width: int = 128) -> tuple[nn.Sequential, nn.Sequential]:
    """(generator, critic) of a task, the critic's scores `(n, 1)`; `event` in the place of the task's."""
    event = tuple(event or task.event)
    if task.net == "mlp":
        size = math.prod(event)
        return (
            nn.Sequential(*_dense(task.noise, width), nn.Linear(width, size), nn.Unflatten(1, event)),
            nn.Sequential(nn.Flatten(), *_dense(size, width), nn.Linear(width, 1)),
        )
    generator = nn.Sequential(
        nn.Linear(task.noise, 128 * 49),
        nn.Unflatten(1, (128, 7, 7)),
        nn.BatchNorm2d(128),
        nn.ReLU(),
        nn.ConvTranspose2d(128, 64, 4, 2, 1),
        nn.BatchNorm2d(64),
        nn.ReLU(),
        nn.ConvTranspose2d(64, event[0], 4, 2, 1),
        nn.Tanh(),
    )
    critic = nn.Sequential(
        nn.Conv2d(event[0], 64, 4, 2, 1),
        nn.LeakyReLU(0.2),
        nn.Conv2d(64, 128, 4, 2, 1),
        nn.LeakyReLU(0.2),
        nn.Flatten(),
        nn.Linear(128 * 49, 1),
    )
    return generator, critic


def _dense(size: int, width: int) -> list[nn.Module]:
    layers: list[nn.Module] = []
    for before in (size, width, width):
        layers += [nn.Linear(before, width), nn.ReLU()]
    return layers


def data(event: Sequence[int], device: str) -> Tensor:
    """Rows to train on, uniform in [-1, 1]: what they are does not matter to a clock."""
    rows = torch.rand(ROWS, *event, generator=torch.Generator().manual_seed(0))
    return (2 * rows - 1).to(device)


def batches(rows: Tensor, size: int) -> Iterator[Tensor]:
    """Batch after batch of shuffled rows, for ever."""
    while True:
        order = torch.randperm(len(rows), device=rows.device)
        for first in range(0, len(rows) - size + 1, size):
            yield rows[order[first : first + size]]


def by_hand(task: Task, device: str, *, tight: bool = False) -> Callable[[Iterator[Tensor]], None]:
    """One generator step with its critic steps, as one would write it."""
    generator, critic = (net.to(device) for net in networks(task))
    adam = [torch.optim.Adam(net.parameters(), RATE, BETAS, fused=tight or None) for net in (generator, critic)]
    critic_weights, generator_weights = list(critic.parameters()), list(generator.parameters())

    def penalty(x: Tensor, y: Tensor) -> Tensor:
        t = torch.rand(len(x), *[1] * (x.dim() - 1), device=device)
        u = (t * x + (1 - t) * y).requires_grad_()
        (slope,) = torch.autograd.grad(critic(u).sum(), u, create_graph=True)
        return GP * (slope.flatten(1).norm(dim=1) - 1).square().mean()

    def critic_loss(x: Tensor, y: Tensor) -> Tensor:
        a, b = critic(torch.cat([x, y])).chunk(2) if tight else (critic(x), critic(y))
        if task.loss == "ns":
            return softplus(-a).mean() + softplus(b).mean()
        return b.mean() - a.mean() + penalty(x, y)

    def step(feed: Iterator[Tensor]) -> None:
        for turn in range(task.n_critic):
            x = next(feed)
            with torch.set_grad_enabled(turn == task.n_critic - 1):
                y = generator(torch.randn(len(x), task.noise, device=device))
            adam[1].zero_grad()
            critic_loss(x, y.detach()).backward(inputs=critic_weights)
            adam[1].step()
        adam[0].zero_grad()
        b = critic(y)
        loss = softplus(-b).mean() if task.loss == "ns" else -b.mean()
        loss.backward(inputs=generator_weights if tight else None)
        adam[0].step()

    return step


class Metered:
    """Batches that count steps: waits for a number of steps on the standard input, hands out their batches, and says
    how many seconds of wall and of processor time passed until the next batch was asked for.

    A loop that only pulls batches is so timed from outside, whatever else it does between them.
    """

    def __init__(self, feed: Iterator[Tensor], task: Task, answers: object) -> None:
        self.feed, self.task, self.answers = feed, task, answers
        self.batch_size = task.batch

    def __len__(self) -> int:
        return ROWS // self.batch_size

    def __iter__(self) -> Iterator[Tensor]:
        for line in sys.stdin:
            wait(line)
            began = time.perf_counter(), time.process_time()
            for _ in range(int(line) * self.task.n_critic):
                yield next(self.feed)
            wait(line)
            took = time.perf_counter() - began[0], time.process_time() - began[1]
            print(*took, file=self.answers, flush=True)


def wait(_: object) -> None:
    """Until the device has done what it was given."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()
