"""What changes over a run, as functions of the step alone (so that a resumed run follows the same path).

With p = step / steps and c = (1 + cos(pi p)) / 2, which falls from 1 to 0:

    learning rate   lr (end + (1 - end) c)
    Adam's beta2    .99 - .09 c
    penalty weight  first^(1-q) last^q,  q = min(1, p / .8): a geometric fall, then flat

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
    weight: float


@dataclass(frozen=True)
class Schedule:
    """`steps` in all; the learning rate falls to `end` of itself, the penalty's weight from `first` to `last`."""

    steps: int
    learning_rate: float
    first: float
    last: float
    end: float = 0.1
    flat_from: float = 0.8

    def at(self, step: int) -> Plan:
        p = min(1.0, step / self.steps)
        c = (1 + math.cos(math.pi * p)) / 2
        q = min(1.0, p / self.flat_from)
        weight = self.first ** (1 - q) * self.last**q if self.first > 0 and self.last > 0 else 0.0
        return Plan(self.learning_rate * (self.end + (1 - self.end) * c), 0.99 - 0.09 * c, weight)
