"""A generator of one pass in the terms of a diffusion, and the score difference that teaches it.

    G(z) = cos a_0 z + sin a_0 F_G(z, a_0)          the denoiser's formula at one loud level, z ~ N(0, I)

starts as the teacher's own network, is regressed onto pairs (z, the teacher's sample of z), and then moves along the
difference of two scores of noised rows: the teacher's, and that of a student which keeps learning G's samples,

    V(x) = E_{a, e} [ F_teacher(y, a) - F_student(y, a) ],    y = cos a x + sin a e,

which descends KL(G's law, teacher's law) at every level (distribution matching distillation, Yin et al. 2024; Luo et
al. 2023, Diff-Instruct). In F every level counts about alike: D_teacher - D_student = sin a (F_teacher - F_student).
"""

from __future__ import annotations

import copy
import math

import torch
from jaxtyping import Float
from torch import Tensor, nn

from .denoiser import LEVEL_MEAN, LEVEL_SPREAD, Noised
from .noise_levels import log_normal_levels, over

LOUD = 2.0  # sigma at which the generator reads its noise
PAIRED_RATE, PAIRED_BATCH = 1e-3, 512
WARM_UP = 50  # times as many steps of the student before its score is first read: it starts as the teacher


class OneStep(nn.Module):
    """Noise -> rows of unit scale; `emit` gives rows of data.

    `pairs`: noise `(m, *event)` and the teacher's rows for it, which `warm_start` regresses it onto in so many steps.
    """

    def __init__(self, teacher: Noised) -> None:
        super().__init__()
        self.event, self.units = teacher.event, copy.deepcopy(teacher.units)
        self.field = copy.deepcopy(teacher.field).requires_grad_()
        self.angle = math.atan(LOUD)
        self.pairs: tuple[Tensor, Tensor] | None = None
        self.warm_steps = 0

    def noise(self, n: int, *, generator: torch.Generator) -> Float[Tensor, "n m"]:
        return torch.randn(n, self.event.size, generator=generator, device=generator.device)

    def forward(self, noise: Float[Tensor, "n m"]) -> Tensor:
        z = noise.unflatten(1, self.event.shape)
        found: Tensor = self.field(z, z.new_full((1,), self.angle))
        rows: Tensor = math.cos(self.angle) * z + math.sin(self.angle) * found
        return rows

    def emit(self, noise: Float[Tensor, "n m"]) -> Tensor:
        """Expanded rows of data."""
        rows: Tensor = self.units.leave(self(noise))
        return rows

    def warm_start(self, rows: Tensor, *, generator: torch.Generator) -> None:
        """Regress it onto the teacher's pairs; training rows are not looked at."""
        if self.pairs is None:
            return
        z, y = self.pairs
        self.pairs = None
        optimiser = torch.optim.Adam(self.field.parameters(), lr=PAIRED_RATE)
        for step in range(self.warm_steps):
            for group in optimiser.param_groups:
                group["lr"] = PAIRED_RATE * (1 + math.cos(math.pi * step / self.warm_steps)) / 2
            some = torch.randint(len(z), (PAIRED_BATCH,), generator=generator)
            optimiser.zero_grad()
            torch.autograd.backward((self(z[some].flatten(1)) - y[some]).square().mean())
            optimiser.step()


class TeacherField(nn.Module):
    """V of the module's docstring: a velocity that learns (`flow.Learner`). The student is trained before it is asked.

    rounds: the student's steps each time; looks: levels that each row is looked at. The optimiser's moments start anew
    where a run is resumed.
    """

    def __init__(self, teacher: Noised, *, rounds: int, looks: int, learning_rate: float) -> None:
        super().__init__()
        self.teacher = copy.deepcopy(teacher.field).requires_grad_(False)
        self.student = copy.deepcopy(teacher.field).requires_grad_()
        self.rounds, self.looks, self.learning_rate = rounds, looks, learning_rate
        self._optimiser: torch.optim.Optimizer | None = None

    def update(self, y: Tensor, x: Tensor, *, progress: float, generator: torch.Generator) -> None:
        """The student learns the rows `y` of the generator, of unit scale, as a denoiser does; `x` is not looked at."""
        rounds = self.rounds * (WARM_UP if self._optimiser is None else 1)
        if self._optimiser is None:
            self._optimiser = torch.optim.Adam(self.student.parameters(), lr=self.learning_rate, betas=(0.9, 0.99))
        with torch.enable_grad():
            for _ in range(rounds):
                a, e = _levels(y, generator)
                cos, sin = over(a.cos(), y), over(a.sin(), y)
                found = self.student(cos * y.detach() + sin * e, a)
                self._optimiser.zero_grad()
                torch.autograd.backward((found - (sin * y.detach() - cos * e)).square().mean())
                self._optimiser.step()

    def __call__(
        self, y: Float[Tensor, m * event], x: Tensor, *, progress: float, generator: torch.Generator
    ) -> Float[Tensor, m * event]:
        """The displacement of each row of `y` for a unit step."""
        moved = torch.zeros_like(y)
        with torch.no_grad():
            for _ in range(self.looks):
                a, e = _levels(y, generator)
                noisy = over(a.cos(), y) * y + over(a.sin(), y) * e
                moved += self.teacher(noisy, a) - self.student(noisy, a)
        return moved / self.looks


def _levels(y: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Angles `(n,)`, a shuffled one from each n-th of their law, and standard normal noise like y."""
    on = generator.device
    order = torch.randperm(len(y), generator=generator, device=on).to(y.device)
    p = (torch.arange(len(y), device=on) + torch.rand(len(y), generator=generator, device=on)) / len(y)
    sigma = log_normal_levels(p.to(y.device), mean=LEVEL_MEAN, spread=LEVEL_SPREAD)
    return sigma.atan()[order], torch.randn(y.shape, generator=generator, device=on).to(y)
