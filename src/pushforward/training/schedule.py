"""What changes over a run, as functions of the step alone (so that a resumed run follows the same path).

With p = step / steps and c = (1 + cos(pi p)) / 2, which falls from 1 to 0:

    learning rate   lr (end + (1 - end) c)
    Adam's beta2    from .9 to .99, or as set: last + (first - last) c
    weights         first^(1-q) last^q,  q = min(1, p / .8): a geometric fall, then flat (of gradient penalties)

(R3GAN, Huang et al. 2024, decays all three; there by a cosine and the weight tenfold.)
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple


class Plan(NamedTuple):
    """The settings of one step."""

    learning_rate: float
    beta2: float


@dataclass(frozen=True)
class Schedule:
    """`steps` in all; the learning rate falls to `end` of itself."""

    steps: int
    learning_rate: float
    end: float = 0.1
    beta2: tuple[float, float] = (0.9, 0.99)  # at the first step, and after the last

    def at(self, step: int) -> Plan:
        c = (1 + math.cos(math.pi * min(1.0, step / self.steps))) / 2
        return Plan(
            self.learning_rate * (self.end + (1 - self.end) * c), self.beta2[1] + (self.beta2[0] - self.beta2[1]) * c
        )


FLAT_FROM = 0.8  # share of a run after which falling weights are flat


def falling(first: float, last: float, progress: float, *, flat_from: float = FLAT_FROM) -> float:
    """first^(1-q) last^q at p = `progress`; 0 where either end is."""
    q = min(1.0, progress / flat_from)
    return first ** (1 - q) * last**q if first > 0 and last > 0 else 0.0
