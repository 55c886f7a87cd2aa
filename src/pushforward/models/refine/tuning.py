"""Training the critic on against the finished generator.

Rejection and the other methods take the critic for the best there is against the generator as it is; one that was
trained along with it (and against an average of its weights, not at all) is not. A copy of it is trained by logistic
loss, log(1 + e^-D(x)) + log(1 + e^D(y)), on real rows against fresh samples (Azadi et al. 2019, who keep training it;
the density ratio corrector of Ansari et al. 2021), and the state with the least loss on rows kept aside is taken.
"""

from __future__ import annotations

import copy
import math
from dataclasses import replace

import torch
from torch import Tensor
from torch.nn.functional import softplus

from ..drawing import rng
from .subject import Subject

RATE = 1e-3
BATCH = 256
ASIDE = 0.2  # share of the rows by which the best state is chosen
LOOKS = 20


def tuned(subject: Subject, real: Tensor, steps: int, seed: int) -> Subject:
    """`subject` with its critic trained on for `steps` steps on rows `real`, as the critic judges them."""
    critic = copy.deepcopy(subject.critic).requires_grad_(True)
    aside = max(1, round(ASIDE * len(real)))
    kept, rows = real[:aside], real[aside:]
    fresh = subject.rows(subject.noise(aside, seed, "tune", "aside"))
    adam = torch.optim.Adam(critic.parameters(), lr=RATE, betas=(0.5, 0.99))
    least, best = _loss(replace(subject, critic=critic), kept, fresh), copy.deepcopy(critic.state_dict())
    size = min(BATCH, len(rows))
    for step in range(steps):
        adam.param_groups[0]["lr"] = RATE * (1 - step / steps)
        index = torch.randint(len(rows), (size,), generator=rng(seed, "tune rows", step)).to(rows.device)
        y = subject.rows(subject.noise(size, seed, "tune", step))
        a, b = critic(torch.cat([rows[index], y])).chunk(2)
        loss = softplus(-a).mean() + softplus(b).mean()
        adam.zero_grad()
        loss.backward()
        adam.step()
        if (step + 1) % max(1, math.ceil(steps / LOOKS)) == 0:
            now = _loss(replace(subject, critic=critic), kept, fresh)
            if now < least:
                least, best = now, copy.deepcopy(critic.state_dict())
    critic.load_state_dict(best)
    return replace(subject, critic=critic.eval().requires_grad_(False))


def _loss(subject: Subject, x: Tensor, y: Tensor) -> float:
    """Mean logistic loss."""
    a, b = subject.score(x), subject.score(y)
    return float(softplus(-a).mean() + softplus(b).mean())
